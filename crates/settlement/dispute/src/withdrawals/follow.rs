//! Waits for the clocks of a withdrawal, and takes each step when its time has come.

use std::time::Duration;

use alloy_primitives::{Address, B256};
use alloy_rpc_types_eth::{BlockId, TransactionReceipt};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::bridge::{Located, WithdrawalBridge};
use super::l2::L2Receipt;
use super::report::{Action, Next, Report};
use super::reverts::GAS_ESTIMATION;
use super::send::Sender;
use super::status::Status;
use super::transfers::Call;
use super::{BridgeError, TARGET};

/// How patient to be.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Between two looks.
    pub poll: Duration,
    /// In all; `None` for as long as it takes.
    pub timeout: Option<Duration>,
}

/// A wait with an end.
struct Wait {
    patience: Patience,
    started: Instant,
    last: String,
}

impl Wait {
    fn new(patience: Patience) -> Self {
        Self { patience, started: Instant::now(), last: String::new() }
    }

    /// Tells what is waited for, when that changes, and waits a little.
    async fn pause(&mut self, what: &str) -> Result<(), BridgeError> {
        // Numbers count down; only another reason is news.
        let words: String = what.chars().filter(|char| !char.is_ascii_digit()).collect();
        if words != self.last {
            info!(target: TARGET, "waiting: {what}");
            self.last = words;
        }
        if let Some(limit) = self.patience.timeout
            && self.started.elapsed() >= limit
        {
            let seconds = limit.as_secs();
            return Err(BridgeError::Timeout { what: what.to_owned(), seconds });
        }
        sleep(self.patience.poll).await;
        Ok(())
    }
}

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Until a valid proof is on L1.
    Proven,
    /// Until the withdrawal is done.
    Finalized,
    /// Until the message of a withdrawal that is done was delivered, too.
    Delivered,
}

impl Goal {
    /// What is done to reach it.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Proven => "prove",
            Self::Finalized => "finalize",
            Self::Delivered => "relay",
        }
    }

    fn reached(self, report: &Report) -> bool {
        let finalized = report.status == Status::Finalized;
        match self {
            Self::Proven => !matches!(report.status, Status::WaitingToProve | Status::ReadyToProve),
            Self::Finalized => finalized,
            Self::Delivered => finalized && report.delivered != Some(false),
        }
    }
}

/// A transaction that a step took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// What it did.
    pub action: Action,
    /// Its hash on L1.
    pub transaction: B256,
}

/// How much a step may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only the goal's own step.
    Own,
    /// Whatever comes before it, too.
    Earlier,
}

/// Takes the next step if it is one towards the goal and its time has come.
///
/// # Errors
/// When it is not the time, or the step fails.
pub async fn step(
    bridge: &WithdrawalBridge,
    sender: &Sender,
    located: &Located,
    goal: Goal,
    reach: Reach,
) -> Result<(Report, Option<Step>), BridgeError> {
    let report = bridge.report(located, &[sender.address()]).await?;
    let Some(next) = due(&report, goal, reach) else { return Ok((report, None)) };
    let action = next.action;
    let receipt = match action {
        Action::Prove | Action::ProveAgain => sender.send("proving", &next.call).await?,
        Action::Finalize => finalize(bridge, sender, &report, &next.call).await?,
        Action::Relay => sender.send_through("relaying", &next.call).await?,
    };
    Ok((report, Some(Step { action, transaction: receipt.transaction_hash })))
}

/// Finalizes with gas enough for the withdrawal's call. A message that would fail all the same waits
/// at the messenger, where it can be relayed again; any other call is made only once.
async fn finalize(
    bridge: &WithdrawalBridge,
    sender: &Sender,
    report: &Report,
    call: &Call,
) -> Result<TransactionReceipt, BridgeError> {
    const WHAT: &str = "finalizing";
    let target = report.withdrawal.target;
    let again = target == bridge.l1().contracts().bridges.messenger;
    match sender.send_through(WHAT, call).await {
        Err(BridgeError::Reverted { reason, .. }) if reason.contains(GAS_ESTIMATION) => {
            if !again {
                return Err(BridgeError::CallWouldFail { target, refusal: reason });
            }
            warn!(target: TARGET, "the message's call fails on L1 now; it can be relayed later");
            sender.send(WHAT, call).await
        }
        sent => sent,
    }
}

/// Why the step towards the goal is not taken now, with the name of the contract's error.
///
/// # Errors
/// When L1 does not answer.
pub async fn refusal(
    bridge: &WithdrawalBridge,
    sender: &Sender,
    report: Report,
    goal: Goal,
) -> Result<BridgeError, BridgeError> {
    let what = goal.verb();
    let call = match goal {
        Goal::Finalized => {
            let submitter = report.proof.map_or(sender.address(), |proof| proof.submitter);
            Some(bridge.finalization(&report.withdrawal, submitter))
        }
        Goal::Proven if !goal.reached(&report) => report.next.map(|next| next.call),
        Goal::Proven | Goal::Delivered => None,
    };
    let refusal = match call {
        None => None,
        Some(call) => match sender.simulate(what, &call, BlockId::latest()).await {
            Err(BridgeError::Reverted { reason, .. }) => Some(reason),
            Err(error) => return Err(error),
            // Its time has come just now.
            Ok(()) => None,
        },
    };
    Ok(BridgeError::NotNow { what, refusal, status: report.status, reason: report.note })
}

/// The step that is due.
fn due(report: &Report, goal: Goal, reach: Reach) -> Option<&Next> {
    let next = report.next.as_ref()?;
    let towards = match (goal, next.action) {
        (Goal::Proven, Action::Prove | Action::ProveAgain)
        | (Goal::Finalized, Action::Finalize)
        | (Goal::Delivered, Action::Relay) => true,
        (Goal::Finalized, Action::Prove | Action::ProveAgain) => reach == Reach::Earlier,
        _ => false,
    };
    (towards && !goal.reached(report) && !report.paused).then_some(next)
}

/// Takes all steps up to the goal, each when its time has come. A game that is struck out meanwhile
/// is answered by another proof. Gives the steps taken and the report at the end.
///
/// # Errors
/// When a step fails for good, or time runs out. What was done stays done: the same call goes on
/// from there.
pub async fn follow(
    bridge: &WithdrawalBridge,
    sender: &Sender,
    located: &Located,
    goal: Goal,
    patience: Patience,
) -> Result<(Vec<Step>, Report), BridgeError> {
    let mut wait = Wait::new(patience);
    let mut steps = Vec::new();
    loop {
        match step(bridge, sender, located, goal, Reach::Earlier).await {
            Ok((_, Some(step))) => steps.push(step),
            Ok((report, None)) if goal.reached(&report) => return Ok((steps, report)),
            Ok((report, None)) => wait.pause(&report.note).await?,
            Err(error) if error.is_temporary() => {
                warn!(target: TARGET, %error, "trying again");
                wait.pause("a node that answers").await?;
            }
            // A game or a clock changed between the look and the step: look again.
            Err(error @ BridgeError::Reverted { .. }) if wait.last != "a revert to pass" => {
                warn!(target: TARGET, %error, "looking again");
                wait.pause("a revert to pass").await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Waits until the status differs from the first one seen, or is final.
///
/// # Errors
/// When time runs out, or an answer is wrong.
pub async fn next_status(
    bridge: &WithdrawalBridge,
    located: &Located,
    submitters: &[Address],
    patience: Patience,
) -> Result<Report, BridgeError> {
    let mut wait = Wait::new(patience);
    let mut first = None;
    loop {
        match bridge.report(located, submitters).await {
            Ok(report) => {
                let ready = report.next.is_some() && !report.paused;
                let from = *first.get_or_insert(report.status);
                if ready || report.status != from || report.status == Status::Finalized {
                    return Ok(report);
                }
                wait.pause(&report.note).await?;
            }
            Err(error) if error.is_temporary() => {
                warn!(target: TARGET, %error, "trying again");
                wait.pause("a node that answers").await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Waits until L2 has executed the deposit that a hash names.
///
/// # Errors
/// When time runs out.
pub async fn deposited(
    bridge: &WithdrawalBridge,
    deposit: B256,
    patience: Patience,
) -> Result<L2Receipt, BridgeError> {
    let l2 = bridge.l2("wait for the deposit")?;
    let mut wait = Wait::new(patience);
    loop {
        match l2.receipt(deposit).await {
            Ok(Some(receipt)) => return Ok(receipt),
            Ok(None) => wait.pause("L2 reaches the deposit's L1 block").await?,
            Err(error) if error.is_temporary() => {
                warn!(target: TARGET, %error, "trying again");
                wait.pause("a node that answers").await?;
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Bytes, U256};

    use super::*;
    use crate::withdrawals::{Delays, Withdrawal};

    fn report(status: Status, next: Option<Action>, delivered: Option<bool>) -> Report {
        let call = Call { to: Address::ZERO, value: U256::ZERO, data: Bytes::new() };
        Report {
            status,
            withdrawal_hash: B256::ZERO,
            withdrawal: Withdrawal {
                nonce: U256::ZERO,
                sender: Address::ZERO,
                target: Address::ZERO,
                value: U256::ZERO,
                gas_limit: U256::ZERO,
                data: Bytes::new(),
            },
            l2_transaction: B256::ZERO,
            l2_block: 1,
            l1_block: 1,
            l1_time: 1,
            paused: false,
            delays: Delays { proof_maturity: 1, game_finality: 1 },
            proof: None,
            clocks: None,
            game: None,
            newest_game_block: None,
            rejected: Vec::new(),
            invalidated: None,
            delivered,
            next: next.map(|action| Next { action, call }),
            note: String::new(),
        }
    }

    #[test]
    fn each_goal_takes_the_steps_that_lead_to_it() {
        use Action::{Finalize, Prove, ProveAgain, Relay};
        use Goal::{Delivered, Finalized, Proven};
        for (status, next, steps_of) in [
            (Status::WaitingToProve, None, vec![]),
            (Status::ReadyToProve, Some(Prove), vec![Proven, Finalized]),
            (Status::ReadyToProve, Some(ProveAgain), vec![Proven, Finalized]),
            (Status::WaitingToFinalize, None, vec![]),
            (Status::ReadyToFinalize, Some(Finalize), vec![Finalized]),
            (Status::Finalized, None, vec![]),
        ] {
            let report = report(status, next, None);
            let paused = Report { paused: true, ..report.clone() };
            for goal in [Proven, Finalized, Delivered] {
                let step = |reach| due(&report, goal, reach).map(|next| next.action);
                let all = next.filter(|_| steps_of.contains(&goal));
                assert_eq!(step(Reach::Earlier), all, "{status} {goal:?}");
                // The first goal is the step's own.
                let own = next.filter(|_| steps_of.first() == Some(&goal));
                assert_eq!(step(Reach::Own), own, "{status} {goal:?}");
                assert_eq!(due(&paused, goal, Reach::Earlier), None, "{status} {goal:?}");
            }
        }
        let failed = report(Status::Finalized, Some(Relay), Some(false));
        assert_eq!(due(&failed, Finalized, Reach::Earlier), None);
        assert_eq!(due(&failed, Delivered, Reach::Own).map(|next| next.action), Some(Relay));
        assert!(Finalized.reached(&failed) && !Delivered.reached(&failed));
        assert!(Delivered.reached(&report(Status::Finalized, None, Some(true))));
        assert!(!Delivered.reached(&report(Status::ReadyToFinalize, Some(Finalize), None)));
    }
}

//! Waits for the clocks of a withdrawal, and takes each step when its time has come.

use std::time::Duration;

use alloy_primitives::{Address, B256};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::bridge::{Located, WithdrawalBridge};
use super::l2::L2Receipt;
use super::report::{Action, Report};
use super::send::Sender;
use super::status::Status;
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
}

impl Goal {
    const fn reached(self, status: Status) -> bool {
        match self {
            Self::Finalized => matches!(status, Status::Finalized),
            Self::Proven => !matches!(status, Status::WaitingToProve | Status::ReadyToProve),
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

/// Takes the next step if it is one towards the goal and its time has come.
///
/// # Errors
/// When it is not the time, or the step fails.
pub async fn step(
    bridge: &WithdrawalBridge,
    sender: &Sender,
    located: &Located,
    goal: Goal,
) -> Result<(Report, Option<Step>), BridgeError> {
    let report = bridge.report(located, &[sender.address()]).await?;
    let Some((action, what)) = due(&report, goal) else { return Ok((report, None)) };
    let Some(next) = &report.next else { return Ok((report, None)) };
    let receipt = sender.send(what, &next.call).await?;
    Ok((report, Some(Step { action, transaction: receipt.transaction_hash })))
}

/// The step that is due, and its name.
fn due(report: &Report, goal: Goal) -> Option<(Action, &'static str)> {
    let action = report.next.as_ref()?.action;
    if goal.reached(report.status) || report.paused {
        return None;
    }
    match action {
        Action::Prove | Action::ProveAgain => Some((action, "proving")),
        Action::Finalize => Some((action, "finalizing")),
        Action::Relay => None,
    }
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
        match step(bridge, sender, located, goal).await {
            Ok((_, Some(step))) => steps.push(step),
            Ok((report, None)) if goal.reached(report.status) => return Ok((steps, report)),
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

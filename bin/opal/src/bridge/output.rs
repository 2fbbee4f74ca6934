//! What `opal bridge` prints: for people, or as JSON.

use alloy_primitives::utils::format_ether;
use alloy_primitives::{B256, U256};
use opal_dispute::withdrawals::{
    Action, Call, Clock, Deposit, GameStatus, Layer, Located, Report, Status, Step, duration,
};
use serde_json::{Value, json};

use super::args::WhichArgs;
use crate::tool::print;

/// One result, in both forms.
pub(super) struct Output {
    lines: Vec<String>,
    json: Value,
}

impl Output {
    /// Prints it.
    pub(super) fn print(&self, as_json: bool) {
        if as_json {
            print(&self.json.to_string());
        } else {
            self.lines.iter().for_each(|line| print(line));
        }
    }
}

fn row(name: &str, value: impl std::fmt::Display) -> String {
    format!("{name:<18} {value}")
}

fn call_rows(call: &Call) -> Vec<String> {
    vec![row("to", call.to), row("value", format!("{} wei", call.value)), row("data", &call.data)]
}

/// Calls to be signed elsewhere, in order.
pub(super) fn unsigned(layer: Layer, calls: &[Call]) -> Output {
    let mut lines = Vec::new();
    for call in calls {
        lines.push(row("send to", layer));
        lines.extend(call_rows(call));
    }
    let layer = layer.to_string().to_lowercase();
    Output { lines, json: json!({ "layer": layer, "calls": calls }) }
}

/// A deposit on its way, or there.
pub(super) struct Deposited {
    /// The approval of a token, where one was needed.
    pub approval: Option<B256>,
    /// The transaction on L1.
    pub l1: B256,
    /// What it becomes on L2, and what became of each; nothing if it was not waited for.
    pub l2: Vec<(Deposit, Option<Fate>)>,
}

/// What became of a deposit on L2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its call was made.
    Done,
    /// Its call failed.
    Failed,
    /// The messenger's call was made, but the call that the message asks for failed.
    Undelivered,
}

impl Fate {
    const fn words(self) -> &'static str {
        match self {
            Self::Done => " (done)",
            Self::Failed => " (failed)",
            Self::Undelivered => " (there, but the message's call failed)",
        }
    }
}

impl Deposited {
    pub(super) fn output(&self) -> Output {
        let mut lines = Vec::new();
        lines.extend(self.approval.map(|hash| row("approval", hash)));
        lines.push(row("L1 transaction", self.l1));
        for (deposit, fate) in &self.l2 {
            let fate = fate.map_or("", Fate::words);
            lines.push(row("L2 transaction", format!("{}{fate}", deposit.hash)));
        }
        let hashes: Vec<B256> = self.l2.iter().map(|(deposit, _)| deposit.hash).collect();
        let fates: Vec<Fate> = self.l2.iter().filter_map(|(_, fate)| *fate).collect();
        let succeeded: Vec<bool> = fates.iter().map(|fate| *fate == Fate::Done).collect();
        let json = json!({
            "approval": self.approval,
            "l1Transaction": self.l1,
            "l2Transactions": hashes,
            "succeeded": succeeded,
        });
        Output { lines, json }
    }
}

/// A withdrawal that has begun.
pub(super) fn begun(located: &Located, approval: Option<B256>) -> Output {
    let hash = located.withdrawal.hash();
    let mut lines = Vec::new();
    lines.extend(approval.map(|hash| row("approval", hash)));
    lines
        .push(row("L2 transaction", format!("{} in block {}", located.transaction, located.block)));
    lines.push(row("withdrawal", hash));
    lines.push(row("next", format!("opal bridge prove --tx {}", located.transaction)));
    let json = json!({
        "approval": approval,
        "l2Transaction": located.transaction,
        "l2Block": located.block,
        "withdrawalHash": hash,
        "withdrawal": located.withdrawal,
    });
    Output { lines, json }
}

/// A message of a deposit that was relayed again on L2.
pub(super) fn relayed(transaction: B256) -> Output {
    let lines =
        vec![row("relay", format!("L2 transaction {transaction}")), row("message", "delivered")];
    Output { lines, json: json!({ "l2Transaction": transaction, "delivered": true }) }
}

/// Steps taken, and where the withdrawal is now.
pub(super) fn stepped(steps: &[Step], report: &Report, which: &WhichArgs) -> Output {
    let status = status(report, which);
    let mut lines: Vec<String> = steps
        .iter()
        .map(|step| row(name(step.action), format!("L1 transaction {}", step.transaction)))
        .collect();
    lines.extend(status.lines);
    let mut json = status.json;
    if let Some(object) = json.as_object_mut() {
        object.insert("steps".to_owned(), json!(steps));
    }
    Output { lines, json }
}

const fn name(action: Action) -> &'static str {
    match action {
        Action::Prove => "prove",
        Action::ProveAgain => "prove again",
        Action::Finalize => "finalize",
        Action::Relay => "relay again",
    }
}

fn clock(clock: &Clock) -> String {
    match (clock.left, clock.until) {
        (Some(0), Some(until)) => format!("over since {}", utc(until)),
        (Some(left), Some(until)) => {
            format!("{} left, until {}", duration(left), utc(until))
        }
        _ => format!("not known: the game has no clock; it began {}", utc(clock.from)),
    }
}

/// Wei as people read them: `0.1 ether`.
fn ether(wei: U256) -> String {
    let text = format_ether(wei);
    // There is a point, and digits on both sides of it.
    format!("{} ether", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A time in seconds as people read it.
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // The Gregorian calendar in years from March on, of 400 years each 146,097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..=9 => (year + 400 * era, month + 3),
        _ => (year + 400 * era + 1, month - 9),
    };
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// The command that goes on with a withdrawal; `None` if there is nothing left to do.
fn command(report: &Report, which: &WhichArgs) -> Option<String> {
    let (verb, flag) = match (&report.next, report.status) {
        (Some(next), _) => match next.action {
            Action::Prove | Action::ProveAgain => ("prove", ""),
            Action::Finalize => ("finalize", ""),
            Action::Relay => ("relay", ""),
        },
        (None, Status::WaitingToProve) => ("prove", " --wait"),
        (None, Status::Finalized) => return None,
        (None, _) => ("finalize", " --wait"),
    };
    // While the chain is paused a step has to wait, too.
    let flag = if report.paused && verb != "relay" { " --wait" } else { flag };
    let index = if which.index == 0 { String::new() } else { format!(" --index {}", which.index) };
    Some(format!("opal bridge {verb}{flag} --tx {}{index}", which.tx))
}

/// Where a withdrawal is.
pub(super) fn status(report: &Report, which: &WhichArgs) -> Output {
    let mut lines = vec![
        row("status", report.status),
        row("", &report.note),
        row("withdrawal", report.withdrawal_hash),
        row("L2 transaction", format!("{} in block {}", report.l2_transaction, report.l2_block)),
        row("from", report.withdrawal.sender),
        row("to", report.withdrawal.target),
        row("value", ether(report.withdrawal.value)),
    ];
    lines.extend(report.withdrawal.cargo().map(|cargo| row("carries", cargo)));
    if report.paused {
        lines.push(row("paused", "yes: nothing is proven or finalized now"));
    }
    if let (Some(proof), Some(clocks)) = (&report.proof, &report.clocks) {
        lines.push(row("proven", format!("{} by {}", utc(proof.proven_at), proof.submitter)));
        lines.push(row("game", format!("{} ({})", proof.game, proof.standing.status)));
        lines.push(row("proof maturity", clock(&clocks.proof_maturity)));
        lines.push(match (proof.standing.status, clocks.game.left) {
            (GameStatus::InProgress, Some(left)) => {
                row("game and airgap", format!("{} left, if nobody moves", duration(left)))
            }
            _ => row("game airgap", clock(&clocks.game)),
        });
    }
    if let Some(game) = &report.game {
        let text = format!("{} {} about L2 block {}", game.index, game.address, game.l2_block);
        lines.push(row("game", text));
    }
    for rejected in &report.rejected {
        let text = format!("{} {}: {}", rejected.index, rejected.game, rejected.reason);
        lines.push(row("passed over", text));
    }
    if let Some(delivered) = report.delivered {
        lines.push(row("message", if delivered { "delivered" } else { "failed on L1" }));
    }
    lines.extend(command(report, which).map(|command| row("next", command)));
    Output { lines, json: json!(report) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_795_919_857, "2026-11-29 02:37:37 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(seconds), text);
        }
        assert!(utc(u64::MAX).ends_with(" UTC"));
    }

    #[test]
    fn ether_has_no_more_digits_than_it_needs() {
        for (wei, text) in [
            (0u128, "0 ether"),
            (1, "0.000000000000000001 ether"),
            (100_000_000_000_000_000, "0.1 ether"),
            (20_000_000_000_000_000_000, "20 ether"),
        ] {
            assert_eq!(ether(U256::from(wei)), text);
        }
    }
}

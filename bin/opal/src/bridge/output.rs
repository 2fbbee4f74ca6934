//! What `opal bridge` prints: for people, or as JSON.

use alloy_primitives::B256;
use opal_dispute::withdrawals::{
    Action, Call, Clock, GameStatus, Layer, Located, Report, Step, duration,
};
use serde_json::{Value, json};

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
    /// What it becomes on L2.
    pub l2: Vec<B256>,
    /// Whether each succeeded there; empty if it was not waited for.
    pub succeeded: Vec<bool>,
}

impl Deposited {
    pub(super) fn output(&self) -> Output {
        let mut lines = Vec::new();
        lines.extend(self.approval.map(|hash| row("approval", hash)));
        lines.push(row("L1 transaction", self.l1));
        for (place, hash) in self.l2.iter().enumerate() {
            let fate = match self.succeeded.get(place) {
                None => "",
                Some(true) => " (done)",
                Some(false) => " (failed)",
            };
            lines.push(row("L2 transaction", format!("{hash}{fate}")));
        }
        let json = json!({
            "approval": self.approval,
            "l1Transaction": self.l1,
            "l2Transactions": self.l2,
            "succeeded": self.succeeded,
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

/// Steps taken, and where the withdrawal is now.
pub(super) fn stepped(steps: &[Step], report: &Report) -> Output {
    let status = status(report);
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

fn clock(clock: &Clock, length: u64) -> String {
    match (clock.left, clock.until) {
        (Some(0), _) => format!("over ({} since {})", duration(length), clock.from),
        (Some(left), Some(until)) => {
            format!("{} left: {} from {} to {until}", duration(left), duration(length), clock.from)
        }
        _ => format!("not known: the game has no clock (from {})", clock.from),
    }
}

/// Where a withdrawal is.
pub(super) fn status(report: &Report) -> Output {
    let mut lines = vec![
        row("status", report.status),
        row("", &report.note),
        row("withdrawal", report.withdrawal_hash),
        row("L2 transaction", format!("{} in block {}", report.l2_transaction, report.l2_block)),
        row("from, to", format!("{} → {}", report.withdrawal.sender, report.withdrawal.target)),
        row("value", format!("{} wei", report.withdrawal.value)),
    ];
    if report.paused {
        lines.push(row("paused", "yes: nothing is proven or finalized now"));
    }
    if let (Some(proof), Some(clocks)) = (&report.proof, &report.clocks) {
        lines.push(row("proven", format!("at {} by {}", proof.proven_at, proof.submitter)));
        lines.push(row("game", format!("{} ({})", proof.game, proof.standing.status)));
        let maturity = clock(&clocks.proof_maturity, report.delays.proof_maturity);
        lines.push(row("proof maturity", maturity));
        let standing = &proof.standing;
        let (what, length) = match (standing.status, standing.max_clock) {
            (GameStatus::InProgress, max) => (
                "game, airgap",
                max.unwrap_or_default().saturating_add(report.delays.game_finality),
            ),
            _ => ("game airgap", report.delays.game_finality),
        };
        lines.push(row(what, clock(&clocks.game, length)));
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
    if let Some(next) = &report.next {
        lines.push(row("next, on L1", name(next.action)));
        lines.extend(call_rows(&next.call));
    }
    Output { lines, json: json!(report) }
}

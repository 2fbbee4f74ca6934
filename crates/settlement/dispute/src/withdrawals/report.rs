//! What `opal bridge status` tells of a withdrawal.

use alloy_primitives::{Address, B256};
use serde::Serialize;

use super::Withdrawal;
use super::games::{Game, Objection};
use super::status::{Clocks, Delays, Proof, Status};
use super::transfers::Call;

/// A step that can be taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Prove it.
    Prove,
    /// Prove it once more, against another game.
    ProveAgain,
    /// Finalize it.
    Finalize,
    /// Let L1's messenger make a call that failed once more.
    Relay,
}

/// The next step, ready to be signed by anybody and sent to L1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Next {
    /// Which step.
    pub action: Action,
    /// The call.
    #[serde(flatten)]
    pub call: Call,
}

/// A game that reaches the withdrawal's L2 block and was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// Its place in the factory's list.
    pub index: u64,
    /// The game.
    pub game: Address,
    /// Why.
    pub reason: Objection,
}

/// Everything about a withdrawal at one L1 block. Times in seconds of L1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Where it is.
    pub status: Status,
    /// Hash of the withdrawal.
    pub withdrawal_hash: B256,
    /// The withdrawal.
    pub withdrawal: Withdrawal,
    /// The L2 transaction that made it.
    pub l2_transaction: B256,
    /// The L2 block of that.
    pub l2_block: u64,
    /// Number of the L1 block.
    pub l1_block: u64,
    /// Its time.
    pub l1_time: u64,
    /// Whether the chain is paused: then nothing is proven or finalized.
    pub paused: bool,
    /// The chain's delays.
    pub delays: Delays,
    /// The proof that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// What that waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clocks: Option<Clocks>,
    /// The game to prove against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub game: Option<Game>,
    /// Newest L2 block that a game of the respected type is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest_game_block: Option<u64>,
    /// Games that were passed over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,
    /// Why the last proof counts no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invalidated: Option<Objection>,
    /// Whether the message that the withdrawal carries was delivered on L1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered: Option<bool>,
    /// What to do now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
    /// What it waits for, or how it ended, in a sentence.
    pub note: String,
}

/// Seconds as people read them: `3d 12h`, `4m 5s`.
pub fn duration(seconds: u64) -> String {
    let parts = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut left = seconds;
    let mut words: Vec<String> = Vec::new();
    for (size, unit) in parts {
        let count = left / size;
        left %= size;
        if count > 0 && words.len() < 2 {
            words.push(format!("{count}{unit}"));
        }
    }
    if words.is_empty() { "0s".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_their_two_largest_parts() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (245, "4m 5s"),
            (302_400, "3d 12h"),
            (604_801, "7d 1s"),
            (90_061, "1d 1h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}

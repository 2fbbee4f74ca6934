//! Dispute games from the view of the account that created them: what is known of a game on L1,
//! and what to do about it next.
//!
//! ```text
//!  in progress ──clock over: resolveClaim, resolve──► resolved ──airgap over──► final
//!      claimCredit (closes the game, announces the payment) ──delay over──► claimCredit (pays) ──► done
//! ```
//! Spec: `fault-proof/stage-one/fault-dispute-game.md`, "Resolution"; `bond-incentives.md`, "Game
//! Finalization".

mod read;
mod step;

pub(crate) use read::read;
pub(crate) use step::{Action, Outcome, Step, next_step};

use alloy_primitives::{Address, U256};

/// A game that our account created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnGame {
    /// Place in the factory's list.
    pub index: u64,
    /// The game's contract.
    pub address: Address,
    /// L1 time of its creation, in seconds.
    pub created_at: u64,
    /// The L2 block that it is about.
    pub l2_block: u64,
    /// Whether it is of the type that games are created of. Others come from before a change of
    /// types, and are only seen through.
    pub current: bool,
}

/// What L1 says of a game.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// Moves may still be made, or nobody has resolved it.
    InProgress(InProgress),
    /// It has a winner.
    Resolved(Resolved),
}

/// A game without a winner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InProgress {
    /// L1 time of its creation, in seconds.
    pub created_at: u64,
    /// Seconds that each side has.
    pub max_clock_duration: u64,
    /// Claims made, the root claim counted.
    pub claims: u64,
    /// What is left to be resolved.
    pub open: Open,
}

/// The last claim that is not resolved. All claims made against it come after it, so it is the next
/// one that can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Open {
    /// All claims are resolved.
    None,
    /// This one, and the seconds that its challengers have used.
    Claim { index: u64, challenger_duration: u64 },
    /// It is among those before this index; no more were looked at.
    Before(u64),
}

/// A game with a winner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Whether the claim stands.
    pub defender_won: bool,
    /// L1 time of the resolution, in seconds.
    pub resolved_at: u64,
    /// Seconds from then on after which the outcome counts: more than these must have passed.
    pub finality_delay: u64,
    /// Whether the chain is paused: nothing can be closed or paid then.
    pub paused: bool,
    /// Whether nothing speaks against the game itself, such as a blacklist.
    pub proper: bool,
    /// How bonds are paid, once the game is closed.
    pub mode: BondMode,
    /// Wei for our account when bonds go to the winners.
    pub won: U256,
    /// Wei for our account when bonds go back to where they came from.
    pub refund: U256,
    /// Whether the payment is announced.
    pub unlocked: bool,
    /// L1 time of the announcement.
    pub unlocked_at: u64,
    /// Seconds between announcement and payment.
    pub payment_delay: u64,
}

/// How the bonds of a game are paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BondMode {
    /// The game is not closed.
    Undecided,
    /// To the winners.
    Normal,
    /// Back to where they came from.
    Refund,
}

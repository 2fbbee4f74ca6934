//! When a game is created: pure functions of what the chains say.

use std::fmt;

use opal_protocol::L2BlockRef;

use super::client::SyncStatus;
use crate::games::OwnGame;

/// How often games are created, and about which blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Seconds between games, by the clock of L1.
    pub interval: u64,
    /// Seconds between games while withdrawals wait for one; `None` makes no difference for them.
    pub withdrawal_interval: Option<u64>,
    /// Whether safe blocks are proposed, and not finalized ones only.
    pub allow_non_finalized: bool,
}

/// Why no game is created at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The rollup node does not know its chains yet.
    NodeNotReady,
    /// The rollup node still reads L1.
    NodeSyncing { current: u64, target: u64 },
    /// The factory's list was not read far enough to know the newest game.
    Searching,
    /// A game is on its way to L1.
    UnderWay,
    /// The game about this block is confirmed, but the factory's list does not show it yet.
    NotListed { block: u64 },
    /// The block was proposed, or a later one.
    NothingNew { newest: u64 },
    /// Games must begin after the anchor.
    Anchored { anchor: u64 },
    /// The newest game is too young.
    NotDue { until: u64 },
    /// A game with the same claim exists.
    Exists { block: u64 },
    /// The rollup node's chain changed in between.
    Replaced { block: u64 },
    /// The last attempt failed: the next one comes later.
    Resting,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeNotReady => f.write_str("the rollup node does not know its chains yet"),
            Self::NodeSyncing { current, target } => {
                write!(f, "the rollup node has read L1 up to block {current} of {target}")
            }
            Self::Searching => f.write_str("the factory's list of games is being read"),
            Self::UnderWay => f.write_str("a game is on its way to L1"),
            Self::NotListed { block } => {
                write!(f, "the game about L2 block {block} is confirmed and not in the list yet")
            }
            Self::NothingNew { newest } => {
                write!(f, "L2 block {newest} is proposed, and there is no newer one to be")
            }
            Self::Anchored { anchor } => {
                write!(f, "the anchor is at L2 block {anchor}, and there is no newer one")
            }
            Self::NotDue { until } => write!(f, "the next game is due at L1 time {until}"),
            Self::Exists { block } => write!(f, "L2 block {block} has its game already"),
            Self::Replaced { block } => write!(f, "L2 block {block} was just replaced"),
            Self::Resting => f.write_str("the last attempt failed, and the next one comes later"),
        }
    }
}

/// What to do about a block that could be proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Create a game.
    Propose,
    /// It depends on whether withdrawals wait for one.
    AskWithdrawals,
    /// Create none.
    Hold(Hold),
}

/// The newest block that may be proposed.
pub(crate) fn target(
    status: &SyncStatus,
    pace: &Pace,
    sync_target: Option<u64>,
) -> Result<L2BlockRef, Hold> {
    let target = if pace.allow_non_finalized { status.safe_l2 } else { status.finalized_l2 };
    if status.head_l1.hash.is_zero() || target.hash.is_zero() {
        return Err(Hold::NodeNotReady);
    }
    let current = status.current_l1.number;
    match sync_target {
        Some(target) if current < target => Err(Hold::NodeSyncing { current, target }),
        _ => Ok(target),
    }
}

/// Whether to create a game about L2 block `block` at L1 time `now`. `withdrawals` tells, if it is
/// known, whether there are withdrawals that the newest game does not serve and this one would.
/// With `demanded`, the age of the newest game does not matter.
pub(crate) fn judge(
    block: u64,
    newest: Option<&OwnGame>,
    now: u64,
    pace: &Pace,
    withdrawals: Option<bool>,
    demanded: bool,
) -> Verdict {
    let Some(newest) = newest else { return Verdict::Propose };
    if block <= newest.l2_block {
        return Verdict::Hold(Hold::NothingNew { newest: newest.l2_block });
    }
    let due = newest.created_at.saturating_add(pace.interval);
    if demanded || now >= due {
        return Verdict::Propose;
    }
    let early = pace.withdrawal_interval.map(|wait| newest.created_at.saturating_add(wait));
    match (early, withdrawals) {
        (Some(early), None) if now >= early => Verdict::AskWithdrawals,
        (Some(early), Some(true)) if now >= early => Verdict::Propose,
        (Some(early), Some(true)) => Verdict::Hold(Hold::NotDue { until: early }),
        _ => Verdict::Hold(Hold::NotDue { until: due }),
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256};
    use opal_protocol::L1BlockRef;

    use super::*;

    const PACE: Pace =
        Pace { interval: 100, withdrawal_interval: Some(10), allow_non_finalized: false };

    const NEWEST: OwnGame =
        OwnGame { index: 3, address: Address::ZERO, created_at: 1000, l2_block: 50, current: true };

    fn status() -> SyncStatus {
        let l1 = |number| L1BlockRef { number, hash: B256::repeat_byte(1), ..Default::default() };
        let l2 = |number| L2BlockRef { number, hash: B256::repeat_byte(2), ..Default::default() };
        SyncStatus { current_l1: l1(8), head_l1: l1(9), safe_l2: l2(60), finalized_l2: l2(40) }
    }

    #[test]
    fn finalized_blocks_are_proposed_unless_safe_ones_are_allowed() {
        assert_eq!(target(&status(), &PACE, None).map(|block| block.number), Ok(40));
        let pace = Pace { allow_non_finalized: true, ..PACE };
        assert_eq!(target(&status(), &pace, None).map(|block| block.number), Ok(60));
        assert_eq!(target(&SyncStatus::default(), &PACE, None), Err(Hold::NodeNotReady));
        let syncing = Hold::NodeSyncing { current: 8, target: 9 };
        assert_eq!(target(&status(), &PACE, Some(9)), Err(syncing));
        assert!(target(&status(), &PACE, Some(8)).is_ok());
    }

    #[test]
    fn a_game_is_due_after_the_interval() {
        let judge = |block, now| judge(block, Some(&NEWEST), now, &PACE, Some(false), false);
        assert_eq!(judge(51, 1100), Verdict::Propose);
        assert_eq!(judge(51, 1099), Verdict::Hold(Hold::NotDue { until: 1100 }));
        assert_eq!(judge(50, 9999), Verdict::Hold(Hold::NothingNew { newest: 50 }));
        assert_eq!(judge(49, 9999), Verdict::Hold(Hold::NothingNew { newest: 50 }));
    }

    #[test]
    fn the_first_game_is_due_at_once() {
        assert_eq!(judge(0, None, 0, &PACE, None, false), Verdict::Propose);
    }

    #[test]
    fn withdrawals_make_a_game_due_sooner() {
        let judge = |now, waiting| judge(51, Some(&NEWEST), now, &PACE, waiting, false);
        assert_eq!(judge(1010, None), Verdict::AskWithdrawals);
        assert_eq!(judge(1010, Some(true)), Verdict::Propose);
        assert_eq!(judge(1010, Some(false)), Verdict::Hold(Hold::NotDue { until: 1100 }));
        assert_eq!(judge(1009, None), Verdict::Hold(Hold::NotDue { until: 1100 }));
        assert_eq!(judge(1009, Some(true)), Verdict::Hold(Hold::NotDue { until: 1010 }));
        assert_eq!(judge(1100, None), Verdict::Propose);
    }

    #[test]
    fn a_demand_overrides_the_interval_but_needs_a_new_block() {
        let judge = |block| judge(block, Some(&NEWEST), 1001, &PACE, None, true);
        assert_eq!(judge(51), Verdict::Propose);
        assert_eq!(judge(50), Verdict::Hold(Hold::NothingNew { newest: 50 }));
    }
}

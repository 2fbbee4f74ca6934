//! The games of our account, as the factory's list tells: which is the newest, and which need a look
//! when. No clock, no network.
//!
//! ```text
//!  the factory's list:  │ too old or not read yet │ read │ new since the last look │
//!                       0                     tail      head                     count
//! ```
//! At the start both marks stand at the list's end. New entries are read as they come, older ones
//! page by page down to the age that matters.

use std::collections::BTreeMap;
use std::ops::Range;

use alloy_primitives::Address;

use crate::games::OwnGame;

/// Entries of the factory's list that are read in one look.
const PAGE: u64 = 32;
/// Longest time between attempts at one game, in seconds of L1's clock.
const MAX_BACKOFF: u64 = 600;

/// A game that is not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tracked {
    /// The game.
    pub game: OwnGame,
    /// From this index on all claims are known to be resolved.
    pub resolved_from: Option<u64>,
    /// Attempts that failed in a row.
    pub failures: u32,
    /// Whether an earlier look found something to be done or waited for.
    pub looked_at: bool,
    /// Not looked at before this L1 time, in seconds.
    check_at: u64,
    /// Whether a transaction is on its way.
    busy: bool,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    /// Seconds: older games are not looked for.
    window: u64,
    head: u64,
    tail: u64,
    /// L1 time of the entry at `tail`.
    oldest: Option<u64>,
    /// Whether everything that matters was read.
    searched: bool,
    newest: Option<OwnGame>,
    open: BTreeMap<u64, Tracked>,
}

impl Ledger {
    /// Nothing read of a list with so many entries.
    pub(crate) const fn new(window: u64, count: u64) -> Self {
        Self {
            window,
            head: count,
            tail: count,
            oldest: None,
            searched: count == 0,
            newest: None,
            open: BTreeMap::new(),
        }
    }

    /// The indices to read next, in this order, of a list with so many entries. `None` if the list
    /// is shorter than it was: an L1 reorg.
    pub(crate) fn unread(&self, count: u64) -> Option<Vec<u64>> {
        if count < self.head {
            return None;
        }
        let new: Range<u64> = self.head..count.min(self.head.saturating_add(PAGE));
        if !new.is_empty() {
            return Some(new.collect());
        }
        let old = if self.searched { 0..0 } else { self.tail.saturating_sub(PAGE)..self.tail };
        Some(old.rev().collect())
    }

    /// Takes in the entry at `index`: when it was created, and the game if it is ours. Entries must
    /// come in the order of [`Ledger::unread`]; others are left out.
    pub(crate) fn saw(&mut self, index: u64, created_at: u64, own: Option<OwnGame>, now: u64) {
        if index == self.head {
            self.head += 1;
        } else if index + 1 == self.tail && !self.searched {
            if created_at.saturating_add(self.window) < now {
                self.searched = true;
                return;
            }
            self.tail = index;
            self.oldest = Some(created_at);
            self.searched = index == 0;
        } else {
            return;
        }
        let Some(game) = own else { return };
        if game.current && self.newest.is_none_or(|newest| newest.index < game.index) {
            self.newest = Some(game);
        }
        let tracked = Tracked {
            game,
            resolved_from: None,
            failures: 0,
            looked_at: false,
            check_at: 0,
            busy: false,
        };
        self.open.insert(game.index, tracked);
    }

    /// The newest game of ours that was read, of the type that games are created of.
    pub(crate) const fn newest(&self) -> Option<&OwnGame> {
        self.newest.as_ref()
    }

    /// Whether [`Ledger::newest`] can be relied on, for the question whether a game younger than
    /// `interval` exists, in a list with so many entries.
    pub(crate) fn is_known(&self, count: u64, interval: u64, now: u64) -> bool {
        let old_enough = |oldest: u64| oldest.saturating_add(interval) <= now;
        self.head == count
            && (self.newest.is_some() || self.searched || self.oldest.is_some_and(old_enough))
    }

    /// Games that need a look at this L1 time, those first that wait longest.
    pub(crate) fn due(&self, now: u64, limit: usize) -> Vec<Tracked> {
        let mut due: Vec<Tracked> =
            self.open.values().filter(|game| !game.busy && game.check_at <= now).copied().collect();
        due.sort_by_key(|tracked| (tracked.check_at, tracked.game.index));
        due.truncate(limit);
        due
    }

    /// Number of games that are not finished.
    pub(crate) fn unfinished(&self) -> usize {
        self.open.len()
    }

    /// The game needs no look before this L1 time.
    pub(crate) fn wait(&mut self, game: &OwnGame, until: u64) {
        if let Some(tracked) = self.tracked(game) {
            *tracked = Tracked { check_at: until, failures: 0, looked_at: true, ..*tracked };
        }
    }

    /// All claims of the game from this index on are resolved.
    pub(crate) fn resolved_from(&mut self, game: &OwnGame, index: u64) {
        if let Some(tracked) = self.tracked(game) {
            tracked.resolved_from = Some(index);
        }
    }

    /// A transaction to the game is on its way.
    pub(crate) fn sent(&mut self, game: &OwnGame) {
        if let Some(tracked) = self.tracked(game) {
            (tracked.busy, tracked.looked_at) = (true, true);
        }
    }

    /// The transaction is done: look again at once.
    pub(crate) fn done(&mut self, game: &OwnGame) {
        if let Some(tracked) = self.tracked(game) {
            *tracked = Tracked { busy: false, failures: 0, check_at: 0, ..*tracked };
        }
    }

    /// The transaction failed, or would have: try again later.
    pub(crate) fn failed(&mut self, game: &OwnGame, now: u64) {
        if let Some(tracked) = self.tracked(game) {
            let backoff = 1u64.checked_shl(tracked.failures + 1).unwrap_or(MAX_BACKOFF);
            tracked.busy = false;
            tracked.failures = tracked.failures.saturating_add(1).min(32);
            tracked.check_at = now.saturating_add(backoff.min(MAX_BACKOFF));
        }
    }

    /// Nothing is left to be done about the game.
    pub(crate) fn finished(&mut self, game: &OwnGame) {
        if self.tracked(game).is_some() {
            self.open.remove(&game.index);
        }
    }

    /// No games are looked after.
    pub(crate) fn forget_open(&mut self) {
        self.open.clear();
    }

    /// The entry of a game; another one may have its index after a reorg.
    fn tracked(&mut self, game: &OwnGame) -> Option<&mut Tracked> {
        let address: Address = game.address;
        self.open.get_mut(&game.index).filter(|tracked| tracked.game.address == address)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn game(index: u64) -> OwnGame {
        OwnGame {
            index,
            address: Address::with_last_byte(index as u8),
            created_at: 1000 + index,
            l2_block: index * 10,
            current: true,
        }
    }

    /// Reads one page of a list where entry n is from second 1000 + n, and ours if n is in `own`.
    fn look(ledger: &mut Ledger, count: u64, own: &[u64], now: u64) -> usize {
        let unread = ledger.unread(count).unwrap();
        for &index in &unread {
            let own = own.contains(&index).then(|| game(index));
            ledger.saw(index, 1000 + index, own, now);
        }
        unread.len()
    }

    fn open(ledger: &Ledger) -> Vec<u64> {
        ledger.due(u64::MAX, 100).iter().map(|tracked| tracked.game.index).collect()
    }

    #[test]
    fn an_empty_list_is_known_at_once() {
        let mut ledger = Ledger::new(100, 0);
        assert!(ledger.is_known(0, 10, 0) && ledger.newest().is_none());
        assert!(!ledger.is_known(1, 10, 0));
        assert_eq!(look(&mut ledger, 1, &[0], 1000), 1);
        assert_eq!(ledger.newest(), Some(&game(0)));
        assert!(ledger.is_known(1, 10, 1000));
    }

    #[test]
    fn a_long_list_is_read_by_pages_from_its_end_down_to_the_window() {
        let mut ledger = Ledger::new(50, 100);
        assert!(!ledger.is_known(100, 10, 1100));
        assert_eq!(look(&mut ledger, 100, &[60, 80], 1100), 32);
        assert_eq!(ledger.newest(), Some(&game(80)));
        // New entries come before older ones.
        assert_eq!(look(&mut ledger, 102, &[60, 80, 101], 1101), 2);
        assert_eq!(ledger.newest(), Some(&game(101)));
        assert_eq!(look(&mut ledger, 102, &[40, 60, 80, 101], 1101), 32);
        assert_eq!(look(&mut ledger, 102, &[40, 60, 80, 101], 1101), 0);
        // The entry at 40 is older than the window.
        assert_eq!(open(&ledger), [60, 80, 101]);
    }

    #[test]
    fn entries_older_than_the_interval_settle_whether_a_game_is_due() {
        let mut ledger = Ledger::new(1000, 100);
        look(&mut ledger, 100, &[], 1100);
        // Down to entry 68, of second 1068.
        assert!(!ledger.is_known(100, 33, 1100));
        assert!(ledger.is_known(100, 32, 1100));
    }

    #[test]
    fn a_shorter_list_is_a_reorg() {
        let mut ledger = Ledger::new(100, 3);
        look(&mut ledger, 3, &[2], 1003);
        assert_eq!(ledger.unread(2), None);
        assert_eq!(ledger.unread(3), Some(vec![]));
    }

    #[test]
    fn games_of_an_earlier_type_are_seen_through_but_put_off_no_game() {
        let mut ledger = Ledger::new(100, 0);
        let earlier = OwnGame { current: false, ..game(0) };
        ledger.saw(0, 1000, Some(earlier), 1000);
        assert_eq!((ledger.newest(), ledger.unfinished()), (None, 1));
        ledger.saw(1, 1001, Some(game(1)), 1001);
        ledger.saw(2, 1002, Some(OwnGame { current: false, ..game(2) }), 1002);
        assert_eq!((ledger.newest(), ledger.unfinished()), (Some(&game(1)), 3));
    }

    #[test]
    fn games_are_looked_at_when_they_are_due() {
        let mut ledger = Ledger::new(100, 0);
        look(&mut ledger, 3, &[0, 1, 2], 1003);
        ledger.wait(&game(0), 2000);
        ledger.sent(&game(1));
        assert_eq!(open(&ledger), [2, 0]);
        assert_eq!(ledger.due(1999, 100).len(), 1);
        assert_eq!(ledger.due(2000, 1)[0].game.index, 2);
        ledger.done(&game(1));
        assert_eq!(open(&ledger), [1, 2, 0]);
        ledger.finished(&game(1));
        assert_eq!((open(&ledger).as_slice(), ledger.unfinished()), ([2, 0].as_slice(), 2));
        assert_eq!(ledger.newest(), Some(&game(2)));
    }

    #[test]
    fn failures_are_tried_again_ever_later() {
        let mut ledger = Ledger::new(100, 0);
        look(&mut ledger, 1, &[0], 1000);
        for expected in [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600] {
            ledger.failed(&game(0), 5000);
            assert!(ledger.due(5000 + expected - 1, 1).is_empty(), "{expected}");
            assert_eq!(ledger.due(5000 + expected, 1).len(), 1, "{expected}");
        }
        (0..100).for_each(|_| ledger.failed(&game(0), 5000));
        assert_eq!(ledger.due(5600, 1).len(), 1);
        ledger.done(&game(0));
        assert_eq!(ledger.due(0, 1)[0].failures, 0);
    }

    #[test]
    fn what_comes_for_a_game_that_vanished_changes_nothing() {
        let mut ledger = Ledger::new(100, 0);
        look(&mut ledger, 1, &[0], 1000);
        let other = OwnGame { address: Address::repeat_byte(9), ..game(0) };
        ledger.sent(&other);
        ledger.finished(&other);
        assert_eq!(open(&ledger), [0]);
    }
}

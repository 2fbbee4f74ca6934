//! Slots: the L1's division of wall-clock time.

use std::time::Duration;

/// Numbers slots from genesis on. Block timestamps are slot starts, so a late block never shifts
/// the ones after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotClock {
    genesis_time: u64,
    slot_seconds: u64,
}

/// What the clock says about the next block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextBlock {
    /// Build now, for this slot.
    Due {
        /// Slot of the block; slots that were missed before it stay empty.
        slot: u64,
    },
    /// Nothing to do before this time has passed.
    In(Duration),
}

impl SlotClock {
    /// A clock whose slot 0 starts at `genesis_time` (Unix seconds). `None` when a slot would last
    /// zero seconds.
    pub const fn new(genesis_time: u64, slot_seconds: u64) -> Option<Self> {
        if slot_seconds == 0 { None } else { Some(Self { genesis_time, slot_seconds }) }
    }

    /// Unix time at which slot 0 starts.
    pub const fn genesis_time(&self) -> u64 {
        self.genesis_time
    }

    /// Seconds a slot lasts.
    pub const fn slot_seconds(&self) -> u64 {
        self.slot_seconds
    }

    /// The slot that `timestamp` falls into; 0 before genesis.
    pub const fn slot_at(&self, timestamp: u64) -> u64 {
        timestamp.saturating_sub(self.genesis_time) / self.slot_seconds
    }

    /// Unix time at which a slot starts.
    pub const fn start_of(&self, slot: u64) -> u64 {
        self.genesis_time.saturating_add(slot.saturating_mul(self.slot_seconds))
    }

    /// Whether a block after the one of `head_slot` is due. `now` is the time since the Unix epoch.
    ///
    /// After a pause (the machine slept, a build took long) the block goes into the current slot
    /// at once and the missed slots stay empty, as on mainnet: no burst of blocks, no drift.
    pub const fn next_block(&self, head_slot: u64, now: Duration) -> NextBlock {
        let current = self.slot_at(now.as_secs());
        if current > head_slot {
            return NextBlock::Due { slot: current };
        }
        let start = Duration::from_secs(self.start_of(head_slot.saturating_add(1)));
        NextBlock::In(start.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_block_is_due_at_the_start_of_each_slot() {
        let clock = SlotClock::new(1000, 2).unwrap();
        assert_eq!(clock.next_block(0, at(1000.0)), NextBlock::In(at(2.0)));
        assert_eq!(clock.next_block(0, at(1001.5)), NextBlock::In(at(0.5)));
        assert_eq!(clock.next_block(0, at(1002.0)), NextBlock::Due { slot: 1 });
        assert_eq!(clock.next_block(1, at(1002.25)), NextBlock::In(at(1.75)));
    }

    #[test]
    fn a_late_block_does_not_shift_the_next() {
        let clock = SlotClock::new(1000, 2).unwrap();
        assert_eq!(clock.next_block(0, at(1003.75)), NextBlock::Due { slot: 1 });
        assert_eq!(clock.start_of(1), 1002);
        assert_eq!(clock.next_block(1, at(1003.75)), NextBlock::In(at(0.25)));
    }

    #[test]
    fn a_pause_leaves_empty_slots() {
        let clock = SlotClock::new(1000, 2).unwrap();
        assert_eq!(clock.next_block(1, at(1021.0)), NextBlock::Due { slot: 10 });
        assert_eq!(clock.next_block(10, at(1021.0)), NextBlock::In(at(1.0)));
    }

    #[test]
    fn a_genesis_in_the_past_is_due_at_once_and_one_in_the_future_waits() {
        let clock = SlotClock::new(1000, 12).unwrap();
        assert_eq!(clock.next_block(0, at(1_700_000_000.0)), NextBlock::Due { slot: 141_666_583 });
        assert_eq!(clock.next_block(0, at(900.0)), NextBlock::In(at(112.0)));
        assert_eq!(SlotClock::new(0, 0), None);
    }
}

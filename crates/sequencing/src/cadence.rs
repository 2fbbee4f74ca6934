//! Block times: one L2 block per `block_time` of the wall clock.

use core::time::Duration;

/// When the next block is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The block's timestamp, in seconds since the Unix epoch.
    pub timestamp: u64,
    /// How long to wait before it is sealed; zero when it is due or late.
    pub wait: Duration,
    /// How many further blocks are due already: the sequencer is behind and builds without a
    /// pause, leaving the pool out only where the drift rule demands it.
    pub behind: u64,
}

/// The slot after a head with `head_timestamp`, at wall-clock time `now` (since the Unix epoch).
/// A late sequencer catches up block by block: L2 timestamps never skip a slot.
pub fn next_slot(head_timestamp: u64, block_time: u64, now: Duration) -> Slot {
    let timestamp = head_timestamp.saturating_add(block_time);
    let due = Duration::from_secs(timestamp);
    let behind = now.as_secs().saturating_sub(timestamp) / block_time.max(1);
    Slot { timestamp, wait: due.saturating_sub(now), behind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_until_the_slot_and_counts_how_far_behind_it_is() {
        let early = next_slot(100, 2, Duration::from_millis(100_500));
        assert_eq!((early.timestamp, early.wait), (102, Duration::from_millis(1_500)));
        let late = next_slot(100, 2, Duration::from_secs(109));
        assert_eq!((late.timestamp, late.wait, late.behind), (102, Duration::ZERO, 3));
    }
}

//! The L1 origin of the next block.
//!
//! ```text
//!                     next origin known?
//!                    /                  \
//!                  yes                   no
//!      its time ≤ block time?        drift within the limit?
//!        /            \                /            \
//!      yes             no            yes             no
//!   take next     keep current   keep current   wait for L1
//! ```
//! Spec: `derivation.md`, "Batch Queue" (what a verifier accepts) and `glossary.md`, "Sequencer
//! drift". Taking the next origin as early as allowed keeps deposits fast and the drift small.

use opal_protocol::{L1BlockRef, L2BlockRef, RollupConfig};

/// What to build the next block on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginChoice {
    /// The L1 origin.
    pub origin: L1BlockRef,
    /// Whether the block opens a new epoch, so that it carries the deposits of `origin`.
    pub new_epoch: bool,
}

/// Why no origin can be chosen now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// The L2 head stands on another L1 block than the one given: the L1 reorganised.
    #[error("L1 origin {expected} of the L2 head is not the canonical block {found}")]
    OriginReorged {
        /// Origin that the L2 head names.
        expected: opal_protocol::BlockId,
        /// Canonical L1 block of that height.
        found: opal_protocol::BlockId,
    },
    /// The next L1 block does not follow the current origin: the L1 reorganised.
    #[error("next L1 block {next} does not build on the current origin {current}")]
    NextOrphaned {
        /// The block after the origin.
        next: opal_protocol::BlockId,
        /// The current origin.
        current: opal_protocol::BlockId,
    },
    /// The sequencer drift is used up and the next L1 block is not known yet.
    #[error("the next L1 block after {current} is needed: the drift limit of {limit} s is reached")]
    NextRequired {
        /// The current origin.
        current: opal_protocol::BlockId,
        /// The drift limit in seconds.
        limit: u64,
    },
}

/// Chooses the L1 origin of the block after `l2_head`.
///
/// `current` is the canonical L1 block at the height of the head's origin, `next` the block after
/// it, if the node may use it already (confirmation depth).
///
/// # Errors
/// When the L1 reorganised under the head, or the drift limit forbids another block on `current`.
pub fn choose_origin(
    config: &RollupConfig,
    l2_head: &L2BlockRef,
    current: L1BlockRef,
    next: Option<L1BlockRef>,
) -> Result<OriginChoice, OriginError> {
    if current.hash != l2_head.l1_origin.hash {
        return Err(OriginError::OriginReorged {
            expected: l2_head.l1_origin,
            found: current.id(),
        });
    }
    let time = l2_head.timestamp.saturating_add(config.block_time);
    match next {
        Some(next) if next.parent_hash != current.hash => {
            Err(OriginError::NextOrphaned { next: next.id(), current: current.id() })
        }
        Some(next) if next.timestamp <= time => Ok(OriginChoice { origin: next, new_epoch: true }),
        // Too early for the next origin. Past the drift limit such a block is legal only when
        // empty; `must_be_empty` says so.
        Some(_) => Ok(OriginChoice { origin: current, new_epoch: false }),
        None => {
            let limit = config.max_sequencer_drift(current.timestamp);
            if time > current.timestamp.saturating_add(limit) {
                return Err(OriginError::NextRequired { current: current.id(), limit });
            }
            Ok(OriginChoice { origin: current, new_epoch: false })
        }
    }
}

/// Whether the block at `timestamp` must hold no user transactions: past the drift limit, and in
/// the activation block of a fork that upgrades the system by deposits.
pub fn must_be_empty(
    config: &RollupConfig,
    parent_timestamp: u64,
    timestamp: u64,
    origin: &L1BlockRef,
) -> bool {
    let drift_limit = config.max_sequencer_drift(origin.timestamp);
    timestamp > origin.timestamp.saturating_add(drift_limit)
        || config.schedule.upgrade_at(parent_timestamp, timestamp).is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloy_primitives::B256;
    use opal_protocol::{Hardfork, HardforkSchedule};

    fn config(newest: Hardfork) -> RollupConfig {
        let mut config = RollupConfig {
            block_time: 2,
            max_sequencer_drift_config: 600,
            seq_window_size: 3600,
            channel_timeout_config: 300,
            l1_chain_id: 900,
            l2_chain_id: 901,
            ..RollupConfig::default()
        };
        config.schedule = HardforkSchedule::at_genesis(newest);
        config
    }

    fn l1(number: u64, timestamp: u64) -> L1BlockRef {
        L1BlockRef {
            hash: B256::with_last_byte(number as u8 + 1),
            number,
            parent_hash: B256::with_last_byte(number as u8),
            timestamp,
        }
    }

    fn head(origin: &L1BlockRef, timestamp: u64) -> L2BlockRef {
        L2BlockRef { l1_origin: origin.id(), timestamp, ..Default::default() }
    }

    #[test]
    fn next_origin_is_taken_as_soon_as_its_time_has_come() {
        let config = config(Hardfork::Karst);
        let (current, next) = (l1(1, 100), l1(2, 112));
        let early = choose_origin(&config, &head(&current, 108), current, Some(next)).unwrap();
        assert_eq!((early.origin, early.new_epoch), (current, false));
        let due = choose_origin(&config, &head(&current, 110), current, Some(next)).unwrap();
        assert_eq!((due.origin, due.new_epoch), (next, true));
    }

    #[test]
    fn without_next_origin_the_drift_limit_holds() {
        let config = config(Hardfork::Ecotone);
        let current = l1(1, 100);
        assert!(choose_origin(&config, &head(&current, 698), current, None).is_ok());
        assert!(matches!(
            choose_origin(&config, &head(&current, 700), current, None),
            Err(OriginError::NextRequired { limit: 600, .. })
        ));
    }

    #[test]
    fn reorgs_are_told_apart() {
        let config = config(Hardfork::Karst);
        let current = l1(1, 100);
        let mut other = current;
        other.hash = B256::repeat_byte(9);
        assert!(matches!(
            choose_origin(&config, &head(&current, 100), other, None),
            Err(OriginError::OriginReorged { .. })
        ));
        let mut orphan = l1(2, 101);
        orphan.parent_hash = B256::repeat_byte(9);
        assert!(matches!(
            choose_origin(&config, &head(&current, 100), current, Some(orphan)),
            Err(OriginError::NextOrphaned { .. })
        ));
    }

    #[test]
    fn blocks_past_the_drift_and_activation_blocks_are_empty() {
        let mut config = config(Hardfork::Ecotone);
        config.schedule.set(Hardfork::Fjord, Some(5000));
        let origin = l1(1, 100);
        assert!(!must_be_empty(&config, 698, 700, &origin));
        assert!(must_be_empty(&config, 700, 702, &origin));
        let later = l1(9, 4990);
        assert!(must_be_empty(&config, 4998, 5000, &later));
        assert!(!must_be_empty(&config, 5000, 5002, &later));
    }
}

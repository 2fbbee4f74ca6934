//! From which L1 block on derivation must read, given a safe head. Spec: `derivation.md`,
//! "Resetting the Pipeline".

use opal_protocol::{BlockId, L2BlockRef, RollupConfig};

/// Whether a host that looks for the start of derivation must go on from `candidate` to its parent.
///
/// The walk begins at the safe head itself. `safe_origin` is the safe head's L1 origin,
/// `candidate_origin_time` the timestamp of the candidate's. It ends at a block whose L1 origin is a
/// channel timeout before the safe head's, or at genesis; derivation starts at that origin, with the
/// system configuration of that block.
pub fn must_walk_back(
    config: &RollupConfig,
    safe_origin: BlockId,
    candidate: &L2BlockRef,
    candidate_origin_time: u64,
) -> bool {
    let timeout = config.channel_timeout(candidate_origin_time);
    candidate.number > config.genesis.l2.number
        && candidate.l1_origin.number > config.genesis.l1.number
        && candidate.l1_origin.number.saturating_add(timeout) > safe_origin.number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_utils::config_at;
    use opal_protocol::Hardfork;

    fn candidate(number: u64, l1: u64) -> L2BlockRef {
        let l1_origin = BlockId { number: l1, ..BlockId::default() };
        L2BlockRef { number, l1_origin, ..L2BlockRef::default() }
    }

    #[test]
    fn the_walk_ends_a_channel_timeout_back_or_at_genesis() {
        let config = config_at(Hardfork::Granite);
        let safe = BlockId { number: 1000, ..BlockId::default() };
        assert!(must_walk_back(&config, safe, &candidate(5000, 1000), 0));
        assert!(must_walk_back(&config, safe, &candidate(4800, 951), 0));
        assert!(!must_walk_back(&config, safe, &candidate(4799, 950), 0));
        let early = BlockId { number: 20, ..BlockId::default() };
        assert!(must_walk_back(&config, early, &candidate(1, 1), 0));
        assert!(!must_walk_back(&config, early, &candidate(0, 0), 0));
    }

    /// granite/derivation.md, and derivation.md, "Finding the sync starting point": the timeout is
    /// that of the L1 block where derivation would start.
    #[test]
    fn the_walk_is_shorter_where_granite_is_active_at_its_end() {
        let mut config = config_at(Hardfork::Fjord);
        config.schedule.set(Hardfork::Granite, Some(1000));
        let safe = BlockId { number: 1000, ..BlockId::default() };
        assert!(!must_walk_back(&config, safe, &candidate(4000, 950), 1000));
        assert!(must_walk_back(&config, safe, &candidate(4000, 950), 999));
        assert!(must_walk_back(&config, safe, &candidate(3000, 701), 999));
        assert!(!must_walk_back(&config, safe, &candidate(3000, 700), 999));
    }
}

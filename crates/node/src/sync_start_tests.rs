#![allow(clippy::unwrap_used)]
use super::*;
use crate::testing::{config, genesis, l1_header};
use alloy_consensus::Header;
use opal_protocol::l1_info::l1_info_deposit;
use opal_protocol::{Block, Hardfork};
use std::collections::HashSet;

/// An L1 of 12-second blocks and an L2 with two blocks for each of them. Block `n` of the L2 has
/// the L1 origin `n / 2`.
struct World {
    config: Arc<RollupConfig>,
    l1: Vec<B256>,
    l2: HashMap<B256, SealedBlock>,
    refs: Vec<L2BlockRef>,
}

impl World {
    fn new(l1_blocks: u64, granite: Option<u64>) -> Self {
        let config = Arc::new(config(granite));
        let l1 = (0..l1_blocks).map(|n| l1_header(n, 0).hash_slow()).collect();
        let mut refs = vec![block_ref(&config, &genesis()).unwrap()];
        let mut l2 = HashMap::from([(genesis().hash, genesis())]);
        for number in 1..2 * l1_blocks {
            let origin = l1_header(number / 2, 0);
            let system_config = config.genesis.system_config;
            let (hash, time) = (origin.hash_slow(), 6 * number);
            let info =
                l1_info_deposit(&config, &system_config, number % 2, &origin, hash, time).unwrap();
            let header = Header {
                number,
                timestamp: time,
                parent_hash: refs.last().unwrap().hash,
                gas_limit: 30_000_000,
                ..Header::default()
            };
            let mut block = Block { header, body: Default::default() };
            block.body.transactions.push(info.into());
            let block = SealedBlock::new(block);
            refs.push(block_ref(&config, &block).unwrap());
            l2.insert(block.hash, block);
        }
        Self { config, l1, l2, refs }
    }

    fn heads(&self, unsafe_head: usize, finalized: usize) -> Heads {
        let (unsafe_head, finalized) = (self.refs[unsafe_head], self.refs[finalized]);
        Heads { unsafe_head, safe: finalized, finalized }
    }

    /// L1 block `n` completed the L2 blocks up to `2n - 9`: four L1 blocks later.
    fn log(&self, newest: u64) -> Vec<SafeEntry> {
        let entry = |n: u64| SafeEntry {
            derived_from: BlockId { hash: self.l1[n as usize], number: n },
            safe: self.refs[2 * n as usize - 9],
        };
        (5..=newest).rev().map(entry).collect()
    }

    /// The first `common` L1 blocks, then `own` others.
    fn l1_fork(&self, common: usize, own: usize) -> Vec<B256> {
        let own = (common..common + own).map(|n| l1_header(n as u64, 1).hash_slow());
        self.l1.iter().copied().take(common).chain(own).collect()
    }

    /// The result, and how many questions the L1 was asked.
    fn search(
        &self,
        heads: Heads,
        log: Vec<SafeEntry>,
        l1: &[B256],
    ) -> (Result<SyncStart, NodeError>, usize) {
        let mut search = Search::new(self.config.clone(), heads, log.into_iter());
        let mut asked = HashSet::new();
        let l2 = |hash| Ok(self.l2.get(&hash).cloned());
        loop {
            match search.next(&l2) {
                Ok(Next::L1Hash(number)) => {
                    assert!(asked.insert(number), "{number} is asked for twice");
                    search.l1_hash(number, l1.get(number as usize).copied());
                }
                Ok(Next::L1Block(id)) => {
                    assert_eq!(l1.get(id.number as usize), Some(&id.hash), "start is canonical");
                    search.l1_block(L1BlockRef {
                        hash: id.hash,
                        number: id.number,
                        timestamp: 12 * id.number,
                        parent_hash: B256::ZERO,
                    });
                }
                Ok(Next::Found(start)) => return (Ok(*start), asked.len()),
                Err(error) => return (Err(error), asked.len()),
            }
        }
    }

    /// Numbers of the unsafe head, the safe head, and the L1 block to start from.
    fn found(&self, heads: Heads, log: Vec<SafeEntry>, l1: &[B256]) -> (u64, u64, u64) {
        let start = self.search(heads, log, l1).0.unwrap();
        let d = start.derivation;
        (start.unsafe_head.number, d.safe_head.number, d.l1.number)
    }
}

#[test]
fn without_a_reorg_the_heads_stay() {
    let world = World::new(1001, None);
    let heads = world.heads(2000, 1500);
    let (start, asked) = world.search(heads, world.log(1000), &world.l1);
    let start = start.unwrap();
    assert_eq!(start.unsafe_head, world.refs[2000]);
    assert_eq!(start.derivation.safe_head, world.refs[1991]);
    // A channel timeout of 300 before the safe head's origin, which is 995.
    assert_eq!(start.derivation.l1.id(), world.refs[1391].l1_origin);
    assert_eq!(start.derivation.l1.number, 695);
    assert_eq!(start.derivation.l1_system_config.gas_limit, 30_000_000);
    assert_eq!(asked, 1, "the unsafe head's origin is where the safe head came from");
}

#[test]
fn an_unsafe_head_whose_origin_is_gone_goes_back_to_the_last_canonical_origin() {
    let world = World::new(1001, None);
    let heads = world.heads(2000, 1500);
    for common in [1000, 999, 998, 990, 900, 800, 752] {
        let l1 = world.l1_fork(common, 300);
        let newest = 2 * common as u64 - 1;
        // Of the L1 blocks that remain, the last one completed eight blocks less.
        let safe = (2 * (common as u64 - 1) - 9).max(1500);
        let (unsafe_head, found_safe, _) = world.found(heads, world.log(1000), &l1);
        assert_eq!((unsafe_head, found_safe), (newest, safe), "{common}");
    }
}

#[test]
fn a_safe_head_can_lose_its_batch_although_its_origin_stays() {
    let world = World::new(1001, None);
    // The newest origin is 993; batches came from L1 up to 1000.
    let heads = world.heads(1987, 1500);
    let l1 = world.l1_fork(997, 50);
    assert_eq!(world.found(heads, world.log(1000), &l1), (1987, 2 * 996 - 9, 691));
    // The record is above the unsafe head: what was derived is gone from the engine.
    assert_eq!(world.found(world.heads(1900, 1500), world.log(1000), &world.l1).1, 1899);
}

#[test]
fn the_finalized_head_is_never_undone() {
    let world = World::new(1001, None);
    let heads = world.heads(2000, 1800);
    // Its origin is 900.
    let (result, _) = world.search(heads, world.log(1000), &world.l1_fork(900, 300));
    assert!(matches!(result, Err(NodeError::FinalizedReorged(id)) if id.number == 900));
    let l1 = world.l1_fork(901, 300);
    assert_eq!(world.found(heads, world.log(1000), &l1).1, 1800);
    assert_eq!(world.found(heads, Vec::new(), &world.l1).1, 1800, "nothing recorded");
    let old = world.log(890);
    assert_eq!(world.found(heads, old, &world.l1).1, 1800, "the record ends before");
}

#[test]
fn the_walk_back_is_a_channel_timeout_of_the_fork_at_the_candidate() {
    // Safe origin 995. Granite shortens 300 to 50, by the time of each candidate's origin.
    for (granite, expected) in [
        (None, 695),
        (Some(0), 945),
        (Some(12 * 945), 945),
        // At 945 the long timeout is still in force.
        (Some(12 * 946), 695),
        (Some(12 * 2000), 695),
    ] {
        let world = World::new(1001, granite);
        assert_eq!(
            world.config.channel_timeout(12 * 1000),
            if expected == 695 && granite != Some(12 * 946) { 300 } else { 50 }
        );
        let found = world.found(world.heads(2000, 1500), world.log(1000), &world.l1);
        assert_eq!(found, (2000, 1991, expected), "Granite at {granite:?}");
        assert_eq!(world.config.schedule.time(Hardfork::Granite), granite);
    }
}

#[test]
fn the_walk_back_ends_at_genesis() {
    let world = World::new(101, None);
    assert_eq!(world.found(world.heads(200, 0), world.log(100), &world.l1), (200, 191, 0));
    let world = World::new(1, None);
    assert_eq!(world.found(world.heads(0, 0), Vec::new(), &world.l1), (0, 0, 0));
}

#[test]
fn an_l1_shorter_than_our_origins_keeps_the_unsafe_head() {
    let world = World::new(1001, None);
    let heads = world.heads(2000, 1500);
    let (start, asked) = world.search(heads, world.log(1000), &world.l1[..951]);
    let start = start.unwrap();
    assert_eq!(start.unsafe_head.number, 2000, "plausible");
    assert_eq!(start.derivation.safe_head.number, 2 * 950 - 9, "confirmed");
    assert!(asked < 25, "{asked}");
    // What the L1 does have contradicts it.
    let l1 = world.l1_fork(940, 20);
    assert_eq!(world.found(heads, world.log(1000), &l1).0, 2 * 940 - 1);
}

#[test]
fn an_l1_behind_the_finalized_origin_decides_nothing() {
    let world = World::new(1001, None);
    let heads = world.heads(2000, 1800);
    for length in [0, 1, 500, 900] {
        let (result, asked) = world.search(heads, world.log(1000), &world.l1[..length]);
        assert!(matches!(result, Err(NodeError::L1Behind(id)) if id.number == 900), "{length}");
        assert!(asked < 20, "{asked}");
    }
}

#[test]
fn a_switched_l1_endpoint_does_not_cause_an_endless_walk() {
    // Nothing is final yet, so all of the L2 may have to go.
    let world = World::new(3001, None);
    let (result, asked) =
        world.search(world.heads(6000, 0), world.log(3000), &world.l1_fork(0, 4000));
    let Err(NodeError::WrongL1Genesis { expected, found }) = result else { panic!("{result:?}") };
    assert_eq!((expected, found), (world.config.genesis.l1, l1_header(0, 1).hash_slow()));
    assert!(asked <= 13, "one question for each order of magnitude: {asked}");
    // A deep, but possible reorg.
    let (start, asked) =
        world.search(world.heads(6000, 0), world.log(3000), &world.l1_fork(10, 4000));
    assert_eq!(start.unwrap().unsafe_head.number, 19);
    assert!(asked < 40, "{asked}");
}

#[test]
fn a_missing_l2_block_is_an_error() {
    let mut world = World::new(101, None);
    world.l2.remove(&world.refs[150].hash);
    let (result, _) = world.search(world.heads(200, 0), world.log(100), &world.l1_fork(50, 60));
    assert!(
        matches!(&result, Err(NodeError::MissingBlock(hash)) if *hash == world.refs[150].hash.to_string()),
        "{result:?}"
    );
}

#[test]
fn the_newest_canonical_block_is_found_with_few_questions() {
    for length in 1..70usize {
        for first in 0..=length {
            let mut asked = 0;
            let found = newest_canonical(
                |index: usize| {
                    let index = index.min(length - 1);
                    Ok::<_, ()>((index, BlockId { number: index as u64, ..BlockId::default() }))
                },
                |id| {
                    asked += 1;
                    Ok(id.number >= first as u64)
                },
            );
            assert_eq!(found, Ok((first < length).then_some(first)), "{first} of {length}");
            assert!(asked <= 2 * (usize::BITS - first.leading_zeros()) + 2, "{asked} for {first}");
        }
    }
}

//! Rules of the pipeline as a whole, each once kept and once broken.
#![allow(clippy::unwrap_used)]

use alloc::vec;
use alloc::vec::Vec;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256};
use opal_protocol::ChannelId;
use opal_protocol::batcher_tx::encode_batcher_data;
use opal_protocol::blob::encode_blob;
use opal_protocol::config::{AltDaConfig, CommitmentType};

use super::*;
use crate::host::{ChannelDrop, FrameDrop};
use crate::test_utils::config_at;

#[path = "machine_world.rs"]
mod world;
use world::*;

/// derivation.md, "L1 Traversal": the update of an L1 block counts for the data in that block.
#[test]
fn a_new_batcher_counts_from_its_l1_block_on() {
    for (changes, blocks) in [(true, [(1212, 2)]), (false, [(1212, 1)])] {
        let mut world = World::new(config_at(Hardfork::Granite));
        let old = world.calldata(&key(1), &frames(1, &world.channel(&[1]), 1));
        let new = world.calldata(&key(2), &frames(2, &world.channel(&[2]), 1));
        let log = batcher_log(&world.config, key(2).address());
        world.mine(vec![old, new], if changes { vec![log] } else { vec![] });
        assert_eq!(world.run(&mut world.machine()).blocks, blocks);
    }
}

/// system-config.md. TRAPS 10: a malformed update neither stops derivation nor hides another.
#[test]
fn a_malformed_update_is_reported_and_hides_no_other() {
    let mut world = World::new(config_at(Hardfork::Granite));
    let new = world.calldata(&key(2), &frames(2, &world.channel(&[2]), 1));
    let good = batcher_log(&world.config, key(2).address());
    let mut bad = batcher_log(&world.config, key(3).address());
    bad.data.data = bad.data.data.slice(..95);
    world.mine(vec![new], vec![bad.clone(), good, bad]);
    let run = world.run(&mut world.machine());
    assert_eq!(run.blocks, [(1212, 2)]);
    assert!(matches!(run.dropped[..], [Dropped::ConfigLog(_), Dropped::ConfigLog(_)]));
    assert_eq!(run.end, Some(Step::Idle));
}

/// derivation.md, "Resetting derivation stages". TRAPS 7: the batcher is that of the L1 block where
/// derivation starts, not that of the safe head; the updates in that block are part of it.
#[test]
fn the_first_l1_block_is_read_with_the_configuration_given_for_it() {
    let mut world = World::new(config_at(Hardfork::Granite));
    let old = world.calldata(&key(1), &frames(1, &world.channel(&[1]), 1));
    let new = world.calldata(&key(2), &frames(2, &world.channel(&[2]), 1));
    let log = batcher_log(&world.config, key(3).address());
    let header = world.l1[0].header.clone();
    world.l1[0] = l1_block(header, vec![old, new], vec![log]);
    for (byte, blocks) in [(1, vec![(1212, 1)]), (2, vec![(1212, 2)]), (3, vec![])] {
        let mut start = world.start();
        start.l1_system_config.batcher_address = key(byte).address();
        start.safe_system_config.batcher_address = key(9).address();
        let mut machine = Derivation::new(world.config.clone(), start);
        assert_eq!(world.run(&mut machine).blocks, blocks, "{byte}");
    }
}

/// derivation.md, "Resetting the Pipeline": an L1 block that does not build on the one before.
#[test]
fn an_l1_reorg_is_a_reset() {
    let mut world = World::new(config_at(Hardfork::Granite));
    world.mine(vec![], vec![]);
    assert_eq!(world.run(&mut world.machine()).end, Some(Step::Idle));
    let mut header = world.l1[1].header.clone();
    header.parent_hash = B256::ZERO;
    let mut other = World { config: world.config.clone(), l1: vec![world.l1[0].clone()] };
    other.l1.push(l1_block(header, vec![], vec![]));
    let mut machine = other.machine();
    for _ in 0..2 {
        let end = other.run(&mut machine).end;
        assert!(matches!(end, Some(Step::Reset(ResetReason::ReorgDetected { .. }))), "{end:?}");
    }
    // The very first one, too.
    let mut machine = world.machine();
    let header = Header { timestamp: 1201, ..world.l1[0].header.clone() };
    let mut first = l1_block(header, vec![], vec![]);
    first.reference.number = 100;
    machine.provide(Input::L1Block(first)).unwrap();
    assert!(matches!(machine.step(), Step::Reset(ResetReason::ReorgDetected { .. })));
}

/// derivation.md, "L2 Chain Derivation Pipeline": the last stage goes first; L1 is read no further
/// than needed.
#[test]
fn l1_is_read_only_when_nothing_else_is_left() {
    let mut world = World::new(config_at(Hardfork::Granite));
    let tx = world.calldata(&key(1), &frames(1, &world.channel(&[1, 1]), 1));
    world.mine(vec![tx], vec![]);
    world.mine(vec![], vec![]);
    let mut machine = world.machine();
    for block in &world.l1 {
        machine.provide(Input::L1Block(block.clone())).unwrap();
    }
    assert_eq!(machine.step(), Step::AdvancedOrigin(world.l1[1].reference));
    for _ in 0..2 {
        let Step::Execute(given) = machine.step() else { panic!() };
        assert_eq!(machine.step(), Step::Execute(given.clone()));
        assert_eq!(machine.origin(), world.l1[1].reference);
        machine.executed(Executed::Valid(execute(&given).0)).unwrap();
    }
    assert_eq!(machine.step(), Step::AdvancedOrigin(world.l1[2].reference));
}

/// TRAPS 8 and 11: blobs count for the block that they were asked for. Too few or too many are no
/// answer: derivation neither stops nor resets, it asks again.
#[test]
fn blobs_of_another_block_or_in_another_number_are_no_answer() {
    let mut world = World::new(config_at(Hardfork::Granite));
    let data = encode_batcher_data(&frames(1, &world.channel(&[1]), 1));
    let blob = encode_blob(&data).unwrap();
    let hash = B256::repeat_byte(1);
    let twice = [world.blobs(&[hash, hash]), world.blobs(&[hash])];
    for tx in twice {
        world.mine(vec![tx], vec![]);
    }
    let mut machine = world.machine();
    for block in &world.l1 {
        machine.provide(Input::L1Block(block.clone())).unwrap();
    }
    let (first, second) = (world.l1[1].reference, world.l1[2].reference);
    let blobs = |block: L1BlockRef, count| Input::Blobs {
        block: block.id(),
        blobs: vec![blob.clone(); count],
    };
    // Before they are asked for they are not kept.
    machine.provide(blobs(first, 2)).unwrap();
    assert_eq!(machine.step(), Step::AdvancedOrigin(first));
    let need = Step::Need(Request::Blobs { block: first, hashes: vec![hash; 2] });
    assert_eq!(machine.step(), need);
    for got in [0, 1, 3] {
        let error = InputError::BlobCount { block: first.id(), expected: 2, got };
        assert_eq!(machine.provide(blobs(first, got)), Err(error));
        assert_eq!(machine.step(), need);
    }
    machine.provide(blobs(second, 2)).unwrap();
    assert_eq!(machine.step(), need);
    machine.provide(blobs(first, 2)).unwrap();
    let Step::Execute(given) = machine.step() else { panic!() };
    machine.executed(Executed::Valid(execute(&given).0)).unwrap();
    // What is left of the answer does not count for the next block.
    machine.provide(blobs(first, 2)).unwrap();
    let mut step = machine.step();
    while matches!(step, Step::Dropped(_) | Step::AdvancedOrigin(_)) {
        step = machine.step();
    }
    assert_eq!(step, Step::Need(Request::Blobs { block: second, hashes: vec![hash] }));
}

/// A channel of which the first half stands in L1 block 101 and the second in 102, and which 103 has
/// as a whole.
fn across_holocene(holocene: u64) -> (Run, Derivation) {
    let mut config = config_at(Hardfork::Granite);
    config.schedule.set(Hardfork::Holocene, Some(holocene));
    let mut world = World::new(config);
    let all = frames(1, &world.channel(&[1, 1]), 2);
    for part in [&all[..1], &all[1..], &all] {
        let tx = world.calldata(&key(1), part);
        world.mine(vec![tx], vec![]);
    }
    let mut machine = world.machine();
    // As an indexed traversal does, which knows all L1 blocks in advance.
    for block in &world.l1 {
        machine.provide(Input::L1Block(block.clone())).unwrap();
    }
    let run = world.run(&mut machine);
    (run, machine)
}

/// holocene/derivation.md, "Activation": by the time of the L1 block, all that is buffered goes.
/// TRAPS 6 (an indexed traversal takes part in it) and 9 (the epochs read before it stay: the first
/// channel of Holocene may belong to them).
#[test]
fn holocene_discards_what_is_buffered_and_keeps_the_epochs() {
    let time = |number: u64| 1200 + 12 * (number - 100);
    let (run, machine) = across_holocene(time(102));
    assert_eq!(run.blocks, [(1212, 1), (1214, 1)]);
    assert_eq!(run.end, Some(Step::Idle));
    let lost =
        Dropped::Frame { channel: ChannelId([1; 16]), number: 1, reason: FrameDrop::NoChannel };
    assert_eq!(run.dropped, [Dropped::Holocene, lost]);
    assert_eq!(machine.origin().number, 103);
    // A second later, the channel is complete before.
    let (run, _) = across_holocene(time(102) + 1);
    assert_eq!(run.blocks, [(1212, 1), (1214, 1)]);
    assert_eq!(run.dropped[0], Dropped::Holocene);
    assert!(
        run.dropped[1..].iter().all(|d| matches!(d, Dropped::Batch { .. })),
        "{:?}",
        run.dropped
    );
}

/// Derivation that starts in Holocene has nothing to discard.
#[test]
fn a_start_at_holocenes_first_block_discards_nothing() {
    let (run, _) = across_holocene(1200);
    assert_eq!(run.blocks, [(1212, 1), (1214, 1)]);
    assert!(!run.dropped.contains(&Dropped::Holocene));
    let (run, _) = across_holocene(1201);
    assert!(run.dropped.contains(&Dropped::Holocene));
}

/// A channel with a block that is refused (of two transactions) and one after it, and another
/// channel with another block for the same time.
fn refused(holocene: Option<u64>) -> Run {
    let mut config = config_at(Hardfork::Granite);
    config.schedule.set(Hardfork::Holocene, holocene);
    let mut world = World::new(config);
    let bad = frames(1, &world.channel(&[2, 1]), 1);
    let other = frames(2, &world.channel(&[1, 3]), 1);
    let txs = [bad, other].map(|frames| world.calldata(&key(1), &frames));
    world.mine(txs.into(), vec![]);
    world.run_with(&mut world.machine(), |attributes| {
        attributes.transactions.iter().flatten().filter(|tx| tx[0] != 0x7e).count() != 2
    })
}

/// derivation.md, "L1-sync: payload attributes processing": before Holocene the batch is dropped,
/// and the next one for that time counts. holocene/derivation.md, "Engine Queue": from then on, by
/// the time of the L1 block that it is derived from, the block keeps its deposits alone.
#[test]
fn a_refused_block_gives_way_to_the_next_batch_or_to_its_deposits() {
    let time = 1212;
    for holocene in [None, Some(time + 1)] {
        let run = refused(holocene);
        assert_eq!(run.blocks, [(1212, 1), (1214, 3)]);
    }
    let run = refused(Some(time));
    assert_eq!(run.blocks, [(1212, 0)]);
    // The rest of the channel went unseen; the other channel's batches are of the past, and on
    // another parent.
    let reasons: Vec<_> = run
        .dropped
        .iter()
        .filter_map(|d| match d {
            Dropped::Batch { timestamp, reason } => Some((*timestamp, *reason)),
            _ => None,
        })
        .collect();
    use crate::DropReason as R;
    assert_eq!(reasons, [(1212, R::Past), (1214, R::Parent)]);
}

/// derivation.md, "Engine API Error handling": deposits alone are never invalid.
#[test]
fn a_refused_block_of_deposits_is_critical() {
    for fork in [Hardfork::Granite, Hardfork::Holocene] {
        for (refuse, critical) in [(false, false), (true, true)] {
            let mut world = World::new(config_at(fork));
            let tx = world.calldata(&key(1), &frames(1, &world.channel(&[0]), 1));
            world.mine(vec![tx], vec![]);
            let end = world.run_with(&mut world.machine(), |_| !refuse).end.unwrap();
            let is_critical = matches!(end, Step::Critical(CriticalError::DepositsOnlyInvalid(_)));
            assert_eq!(is_critical, critical, "{fork}: {end:?}");
        }
    }
    // The replacement, too.
    let mut world = World::new(config_at(Hardfork::Holocene));
    let tx = world.calldata(&key(1), &frames(1, &world.channel(&[1]), 1));
    world.mine(vec![tx], vec![]);
    let end = world.run_with(&mut world.machine(), |_| false).end.unwrap();
    assert!(matches!(end, Step::Critical(_)));
}

/// derivation.md, "Channel Bank" and holocene/derivation.md: which of the two takes the frames is
/// told by the L1 block read.
#[test]
fn frames_out_of_order_count_until_holocene() {
    for (holocene, blocks) in [(1212, vec![]), (1213, vec![(1212, 1)])] {
        let mut config = config_at(Hardfork::Granite);
        config.schedule.set(Hardfork::Holocene, Some(holocene));
        let mut world = World::new(config);
        let mut parts = frames(1, &world.channel(&[1]), 2);
        parts.reverse();
        let txs = parts.iter().map(|f| world.calldata(&key(1), core::slice::from_ref(f)));
        let txs = txs.collect();
        world.mine(txs, vec![]);
        let run = world.run(&mut world.machine());
        assert_eq!(run.blocks, blocks);
        assert!(
            !run.dropped
                .iter()
                .any(|d| matches!(d, Dropped::Channel { reason: ChannelDrop::TimedOut, .. }))
        );
    }
}

/// Of what is provided no more is kept than can be used soon.
#[test]
fn the_inbox_keeps_what_is_wanted_and_little_more() {
    let world = World::new(config_at(Hardfork::Granite));
    let mut machine = world.machine();
    let ahead = |number| {
        let mut header = world.l1[0].header.clone();
        header.number = number;
        Input::L1Block(l1_block(header, vec![], vec![]))
    };
    for number in 0..100 {
        machine.provide(ahead(number)).unwrap();
    }
    for number in 100..100 + MAX_AHEAD {
        machine.provide(ahead(number)).unwrap();
        machine.provide(ahead(number)).unwrap();
    }
    for number in [100 + MAX_AHEAD, u64::MAX] {
        let error = InputError::TooFarAhead { number, next: 100 };
        assert_eq!(machine.provide(ahead(number)), Err(error));
    }
    assert_eq!(machine.inbox.l1_blocks.len(), MAX_AHEAD as usize);
    let blobs = vec![encode_blob(b"").unwrap()];
    machine.provide(Input::Blobs { block: world.l1[0].reference.id(), blobs }).unwrap();
    machine.provide(Input::BlobsMissing { block: world.l1[0].reference.id() }).unwrap();
    assert!(machine.inbox.blobs.is_none() && machine.inbox.blobs_missing.is_none());
    for number in 0..500 {
        machine.provide(Input::L2Block(l2_block(&world, number))).unwrap();
    }
    assert!(machine.inbox.l2_blocks.is_empty());
    machine.inbox.l2_wanted = Some(499);
    machine.provide(Input::L2Block(l2_block(&world, 499))).unwrap();
    machine.provide(Input::L2Block(l2_block(&world, 499))).unwrap();
    assert_eq!((machine.inbox.l2_blocks.len(), machine.inbox.l2_wanted), (1, None));
}

/// An L1 block must be the one that its reference names.
#[test]
fn a_chain_with_its_batches_elsewhere_is_not_derived() {
    let alt_da = AltDaConfig {
        challenge_address: Address::ZERO,
        commitment_type: CommitmentType::Generic,
        challenge_window: 1,
        resolve_window: 1,
    };
    let config = RollupConfig { alt_da: Some(alt_da), ..config_at(Hardfork::Karst) };
    let mut machine = World::new(config).machine();
    assert_eq!(machine.step(), Step::Critical(CriticalError::AltDa));
    let mut machine = World::new(config_at(Hardfork::Karst)).machine();
    assert!(matches!(machine.step(), Step::Need(_)));
}

#[test]
fn an_l1_block_that_contradicts_itself_is_refused() {
    let world = World::new(config_at(Hardfork::Granite));
    let mut machine = world.machine();
    machine.provide(Input::L1Block(world.l1[0].clone())).unwrap();
    let changes: [fn(&mut L1Block); 3] = [
        |block| block.reference.number += 1,
        |block| block.reference.timestamp += 1,
        |block| block.reference.parent_hash = B256::repeat_byte(1),
    ];
    for change in changes {
        let mut block = world.l1[0].clone();
        change(&mut block);
        let error = InputError::Header(block.reference.id());
        assert_eq!(machine.provide(Input::L1Block(block)), Err(error));
    }
}

/// What was executed must be what was given out.
#[test]
fn another_block_than_the_attributes_describe_is_refused() {
    let mut world = World::new(config_at(Hardfork::Granite));
    let block = world.start().safe_head;
    assert_eq!(
        world.machine().executed(Executed::Valid(block)),
        Err(ExecutedError::NothingExecuting)
    );
    let tx = world.calldata(&key(1), &frames(1, &world.channel(&[1]), 1));
    world.mine(vec![tx], vec![]);
    let mut machine = world.machine();
    for block in &world.l1 {
        machine.provide(Input::L1Block(block.clone())).unwrap();
    }
    let given = loop {
        if let Step::Execute(given) = machine.step() {
            break given;
        }
    };
    let right = execute(&given).0;
    let changes: [fn(&mut L2BlockRef); 4] = [
        |block| block.number += 1,
        |block| block.timestamp += 1,
        |block| block.parent_hash = B256::ZERO,
        |block| block.l1_origin.number += 1,
    ];
    for change in changes {
        let mut block = right;
        change(&mut block);
        let refused = machine.executed(Executed::Valid(block));
        assert!(matches!(refused, Err(ExecutedError::Mismatch { .. })));
        assert_eq!(machine.step(), Step::Execute(given.clone()));
    }
    machine.executed(Executed::Valid(right)).unwrap();
    assert_eq!(machine.safe_head(), right);
}

//! Stories: an L1 in memory, batches by our own encoder, and what derivation makes of them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use alloy_primitives::{Address, TxKind, U256};
use common::{Run, World, config, config_log, key, references, user_tx};
use opal_derivation::{
    ChannelDrop, CriticalError, DropReason, Dropped, Executed, FrameDrop, Input, ResetReason, Step,
};
use opal_protocol::deposit::encode_deposit_log;
use opal_protocol::{DepositTransaction, Hardfork};

fn drop_reasons(run: &Run) -> Vec<DropReason> {
    let reason = |dropped: &Dropped| match dropped {
        Dropped::Batch { reason, .. } => Some(*reason),
        _ => None,
    };
    run.dropped.iter().filter_map(reason).collect()
}

/// Five rounds of sequencing and posting.
fn world(newest: Hardfork) -> World {
    let mut world = World::new(config(newest));
    for _ in 0..5 {
        world.sequence_and_post();
    }
    world
}

#[test]
fn every_fork_derives_what_was_sequenced() {
    for fork in opal_protocol::hardfork::TABLE.map(|row| row.fork) {
        let world = world(fork);
        let mut derivation = world.derivation();
        let run = world.run(&mut derivation);
        assert_eq!(run.references(), references(&world.l2[1..]), "{fork}");
        assert!(run.dropped.is_empty(), "{fork}: {:?}", run.dropped);
        assert_eq!(derivation.safe_head(), world.l2_head());
        assert_eq!(run.end, Some(Step::Idle));
        assert!(run.executed.iter().all(|a| a.attributes.no_tx_pool && a.concluding));
    }
}

#[test]
fn blobs_and_calldata_mix_and_frames_span_l1_blocks() {
    let mut world = World::new(config(Hardfork::Karst));
    let blocks = world.sequence_to_l1_head();
    let frames = world.channel(&blocks, 150);
    assert!(frames.len() >= 3, "{}", frames.len());
    let (first, rest) = frames.split_at(1);
    let calldata = world.calldata_tx(&key(1), first);
    world.mine(vec![calldata], Vec::new());
    let blob = world.blob_tx(&key(1), rest);
    // Somebody else's transaction to the inbox does not count.
    let stranger = world.calldata_tx(&key(7), &frames);
    world.mine(vec![stranger, blob], Vec::new());
    let mut derivation = world.derivation();
    let run = world.run(&mut derivation);
    assert_eq!(run.references(), references(&blocks));
    assert!(run.executed.iter().all(|a| a.derived_from.number == 2));
}

#[test]
fn before_ecotone_blob_transactions_count_by_their_calldata() {
    let mut world = World::new(config(Hardfork::Delta));
    let blocks = world.sequence_to_l1_head();
    let frames = world.channel(&blocks, 100_000);
    // Blobs are not looked at, and the calldata of this one is no frame.
    let tx = world.blob_tx(&key(1), &frames);
    world.mine(vec![tx], Vec::new());
    let run = world.run(&mut world.derivation());
    assert!(run.blocks.is_empty());
    assert!(matches!(run.dropped[..], [Dropped::BatcherData(_)]));
}

#[test]
fn holocene_activates_in_the_middle() {
    let mut config = config(Hardfork::Granite);
    let activation = common::START_TIME + 36;
    config.schedule.set(Hardfork::Holocene, Some(activation));
    let mut world = World::new(config);
    for _ in 0..8 {
        world.sequence_and_post();
    }
    let run = world.run(&mut world.derivation());
    assert_eq!(run.references(), references(&world.l2[1..]));
    assert!(run.dropped.iter().all(|d| *d == Dropped::Holocene), "{:?}", run.dropped);
    assert_eq!(run.dropped.len(), 1);
    for block in &run.blocks {
        let holocene = block.reference.timestamp >= activation;
        assert_eq!(block.attributes.eip1559_params.is_some(), holocene);
    }
}

#[test]
fn a_channel_begun_before_holocene_is_lost_at_activation() {
    let mut config = config(Hardfork::Granite);
    config.schedule.set(Hardfork::Holocene, Some(common::START_TIME + 24));
    let mut world = World::new(config);
    let blocks = world.sequence_to_l1_head();
    let frames = world.channel(&blocks, 150);
    let (before, after) = frames.split_at(1);
    let tx = world.calldata_tx(&key(1), before);
    world.mine(vec![tx], Vec::new());
    let tx = world.calldata_tx(&key(1), after);
    world.mine(vec![tx], Vec::new());
    let mut derivation = world.derivation();
    let run = world.run(&mut derivation);
    assert!(run.blocks.is_empty());
    // Posted again as a whole, it counts, although its blocks are older than Holocene.
    let tx = world.calldata_tx(&key(1), &frames);
    world.mine(vec![tx], Vec::new());
    let run = world.run(&mut derivation);
    assert_eq!(run.references(), references(&blocks));
}

#[test]
fn frames_out_of_order_count_before_holocene_and_not_after() {
    for (fork, counts) in [(Hardfork::Granite, true), (Hardfork::Holocene, false)] {
        let mut world = World::new(config(fork));
        let blocks = world.sequence_to_l1_head();
        let mut frames = world.channel(&blocks, 150);
        let first = frames.remove(0);
        let tx = world.calldata_tx(&key(1), &frames);
        world.mine(vec![tx], Vec::new());
        let tx = world.calldata_tx(&key(1), &[first]);
        world.mine(vec![tx], Vec::new());
        let run = world.run(&mut world.derivation());
        assert_eq!(!run.blocks.is_empty(), counts, "{fork}");
        let dropped = run
            .dropped
            .iter()
            .any(|d| matches!(d, Dropped::Frame { reason: FrameDrop::NoChannel, .. }));
        assert_eq!(dropped, !counts, "{fork}");
    }
}

#[test]
fn batches_out_of_order_count_before_holocene_and_not_after() {
    for (fork, counts) in [(Hardfork::Granite, true), (Hardfork::Holocene, false)] {
        let mut world = World::new(config(fork));
        let blocks = world.sequence_to_l1_head();
        let (early, late) = blocks.split_at(2);
        let (early, late) = (world.channel(early, 10_000), world.channel(late, 10_000));
        let txs = vec![world.calldata_tx(&key(1), &late), world.calldata_tx(&key(1), &early)];
        world.mine(txs, Vec::new());
        let run = world.run(&mut world.derivation());
        let expected = if counts { &blocks[..] } else { &blocks[..2] };
        assert_eq!(run.references(), references(expected), "{fork}");
        assert_eq!(drop_reasons(&run), if counts { vec![] } else { vec![DropReason::Future] });
    }
}

#[test]
fn a_lost_channel_times_out() {
    for (fork, timeout) in [(Hardfork::Fjord, 300), (Hardfork::Karst, 50)] {
        let mut config = config(fork);
        config.seq_window_size = 1000;
        let mut world = World::new(config);
        let blocks = world.sequence_to_l1_head();
        let frames = world.channel(&blocks, 150);
        let (first, rest) = frames.split_at(1);
        let tx = world.calldata_tx(&key(1), first);
        world.mine(vec![tx], Vec::new());
        world.mine_empty(timeout);
        let tx = world.calldata_tx(&key(1), rest);
        world.mine(vec![tx], Vec::new());
        let run = world.run(&mut world.derivation());
        assert!(run.blocks.is_empty());
        assert!(
            run.dropped
                .iter()
                .any(|d| matches!(d, Dropped::Channel { reason: ChannelDrop::TimedOut, .. })),
            "{fork}: {:?}",
            run.dropped
        );
    }
}

#[test]
fn an_expired_sequencing_window_gives_empty_blocks_and_the_batcher_recovers() {
    for fork in [Hardfork::Granite, Hardfork::Karst] {
        let mut world = World::new(config(fork));
        world.mine_empty(11);
        let mut derivation = world.derivation();
        let run = world.run(&mut derivation);
        // Window 10: at L1 block 11 epoch 0 and then epoch 1 have expired. L2 time goes on up to
        // the time of the next epoch.
        assert!(!run.blocks.is_empty(), "{fork}");
        for block in &run.blocks {
            assert_eq!(block.attributes.transactions.as_ref().unwrap().len(), 1);
            let next = &world.l1[block.reference.l1_origin.number as usize + 1];
            assert!(block.reference.timestamp < next.reference.timestamp);
        }
        // A sequencer that continues from the safe head is heard again.
        world.adopt(&run.blocks);
        let blocks: Vec<_> = (0..3).map(|i| world.sequence(vec![user_tx(i)])).collect();
        let frames = world.channel(&blocks, 10_000);
        let tx = world.calldata_tx(&key(1), &frames);
        world.mine(vec![tx], Vec::new());
        let run = world.run(&mut derivation);
        assert_eq!(run.references()[..3], references(&blocks), "{fork}: {:?}", run.dropped);
    }
}

#[test]
fn a_batch_after_its_sequencing_window_is_dropped() {
    let mut world = World::new(config(Hardfork::Karst));
    let blocks = world.sequence_to_l1_head();
    let frames = world.channel(&blocks, 10_000);
    world.mine_empty(10);
    let tx = world.calldata_tx(&key(1), &frames);
    world.mine(vec![tx], Vec::new());
    let run = world.run(&mut world.derivation());
    assert_ne!(run.references()[0], blocks[0].reference);
}

#[test]
fn deposits_and_configuration_updates_apply_from_their_epoch_on() {
    let mut world = World::new(config(Hardfork::Karst));
    let deposit = DepositTransaction {
        from: Address::repeat_byte(5),
        to: TxKind::Call(Address::repeat_byte(6)),
        mint: 10,
        value: U256::from(3),
        gas_limit: 100_000,
        ..DepositTransaction::default()
    };
    let logs = vec![
        config_log(&world.config, 2, U256::from(40_000_000)),
        encode_deposit_log(world.config.deposit_contract_address, &deposit),
        config_log(&world.config, 200, U256::ZERO),
        config_log(&world.config, 6, U256::from(1_234)),
    ];
    world.sequence_and_post();
    world.mine(Vec::new(), logs);
    let epoch = world.l1_head().reference.number;
    for _ in 0..3 {
        world.sequence_and_post();
    }
    let run = world.run(&mut world.derivation());
    assert_eq!(run.references(), references(&world.l2[1..]));
    for block in &run.blocks {
        let after = block.reference.l1_origin.number >= epoch;
        let first =
            block.reference.l1_origin.number == epoch && block.reference.sequence_number == 0;
        let attributes = &block.attributes;
        assert_eq!(attributes.gas_limit, Some(if after { 40_000_000 } else { 30_000_000 }));
        assert_eq!(attributes.min_base_fee, Some(if after { 1_234 } else { 0 }));
        let deposits = attributes.transactions.iter().flatten().filter(|tx| tx[0] == 0x7e).count();
        assert_eq!(deposits, if first { 2 } else { 1 });
    }
    // The malformed one in between was reported and hid nothing.
    assert!(matches!(run.dropped[..], [Dropped::ConfigLog(_)]));
}

#[test]
fn the_batcher_key_changes_by_configuration() {
    let mut world = World::new(config(Hardfork::Karst));
    let blocks = world.sequence_to_l1_head();
    let frames = world.channel(&blocks, 10_000);
    // The update counts for its own L1 block already.
    let log = config_log(&world.config, 0, U256::from_be_bytes(key(2).address().into_word().0));
    let old = world.calldata_tx(&key(1), &frames);
    world.mine(vec![old], vec![log]);
    let mut derivation = world.derivation();
    assert!(world.run(&mut derivation).blocks.is_empty());
    let new = world.calldata_tx(&key(2), &frames);
    world.mine(vec![new], Vec::new());
    assert_eq!(world.run(&mut derivation).references(), references(&blocks));
}

#[test]
fn a_refused_block_is_replaced_by_its_deposits_from_holocene_on() {
    let world = world(Hardfork::Karst);
    let mut derivation = world.derivation();
    let refused = world.l2[3].reference.timestamp;
    let run = world.run_with(&mut derivation, |attributes| {
        attributes.timestamp != refused || attributes.transactions.as_ref().unwrap().len() == 1
    });
    assert_eq!(run.references()[..2], references(&world.l2[1..3]));
    let replaced = &run.blocks[2];
    assert_eq!(replaced.attributes.timestamp, refused);
    let transactions = replaced.attributes.transactions.as_ref().unwrap();
    let original = world.l2[3].attributes.transactions.as_ref().unwrap();
    assert_eq!(transactions[..], original[..1]);
    // What was built on the refused block is void.
    assert!(run.blocks.get(3).is_none_or(|block| block.reference != world.l2[4].reference));
}

#[test]
fn a_refused_block_is_left_out_before_holocene() {
    let world = world(Hardfork::Granite);
    let mut derivation = world.derivation();
    let refused = world.l2[3].reference.timestamp;
    let run = world.run_with(&mut derivation, |attributes| {
        attributes.timestamp != refused || attributes.transactions.as_ref().unwrap().len() == 1
    });
    assert_eq!(run.references(), references(&world.l2[1..3]));
    assert_eq!(derivation.safe_head(), world.l2[2].reference);
}

#[test]
fn refused_deposits_are_critical() {
    let world = world(Hardfork::Karst);
    let mut derivation = world.derivation();
    let run = world.run_with(&mut derivation, |_| false);
    assert!(matches!(run.end, Some(Step::Critical(CriticalError::DepositsOnlyInvalid(_)))));
    assert!(matches!(derivation.step(), Step::Critical(_)));
}

#[test]
fn l1_reorgs_of_any_depth_are_seen_and_a_new_machine_follows_the_new_chain() {
    for depth in [1, 2, 3, 5] {
        let mut world = world(Hardfork::Karst);
        let mut derivation = world.derivation();
        world.run(&mut derivation);
        let keep = world.l1.len() - depth;
        world.l1.truncate(keep);
        let kept = world
            .l2
            .iter()
            .rposition(|block| (block.reference.l1_origin.number as usize) < keep)
            .unwrap();
        let blocks = world.l2[1..=kept].to_vec();
        world.adopt(&blocks);
        // The new chain overtakes the old one; its blocks differ, because the time of the batcher
        // transactions in them does.
        let tx = world_tx(&mut world);
        world.mine(vec![tx], Vec::new());
        for _ in 0..depth + 1 {
            world.sequence_and_post();
        }
        let run = world.run(&mut derivation);
        assert!(
            matches!(run.end, Some(Step::Reset(ResetReason::ReorgDetected { .. }))),
            "depth {depth}: {:?}",
            run.end
        );
        let mut derivation = world.derivation();
        let run = world.run(&mut derivation);
        assert_eq!(run.end, Some(Step::Idle));
        assert!(derivation.safe_head().number > 0);
    }
}

fn world_tx(world: &mut World) -> opal_protocol::TxEnvelope {
    let blocks = world.l2[1..].to_vec();
    let frames = world.channel(&blocks, 100_000);
    world.calldata_tx(&key(1), &frames)
}

#[test]
fn missing_blobs_reset_and_blobs_in_another_encoding_are_skipped() {
    let mut world = World::new(config(Hardfork::Karst));
    let blocks = world.sequence_to_l1_head();
    let frames = world.channel(&blocks, 10_000);
    let garbage = world.blob_tx(&key(1), &frames[..1]);
    let opal_protocol::TxEnvelope::Eip4844(tx) = &garbage else { panic!() };
    let hash = tx.tx().blob_versioned_hashes[0];
    let good = world.blobs[&hash].clone();
    let mut bad = good.clone();
    bad[1] = 9;
    world.blobs.insert(hash, bad);
    world.mine(vec![garbage], Vec::new());
    let run = world.run(&mut world.derivation());
    assert!(run.blocks.is_empty() && matches!(run.dropped[..], [Dropped::Blob { .. }]));

    let mut derivation = world.derivation();
    loop {
        match derivation.step() {
            Step::Need(opal_derivation::Request::Blobs { block, .. }) => {
                let wrong = Input::Blobs { block: block.id(), blobs: vec![] };
                assert!(derivation.provide(wrong).is_err());
                derivation.provide(Input::BlobsMissing { block: block.id() }).unwrap();
            }
            Step::Need(request) => derivation.provide(world.answer(&request)).unwrap(),
            Step::Reset(reason) => {
                assert!(matches!(reason, ResetReason::BlobsMissing(_)));
                break;
            }
            Step::AdvancedOrigin(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn executed_must_fit_what_was_given_out() {
    let world = world(Hardfork::Karst);
    let mut derivation = world.derivation();
    assert!(derivation.executed(Executed::Invalid).is_err());
    let attributes = loop {
        match derivation.step() {
            Step::Need(request) => derivation.provide(world.answer(&request)).unwrap(),
            Step::Execute(attributes) => break attributes,
            _ => {}
        }
    };
    assert_eq!(derivation.step(), Step::Execute(attributes));
    assert!(derivation.executed(Executed::Valid(world.l2[2].reference)).is_err());
    assert!(derivation.executed(Executed::Valid(world.l2[1].reference)).is_ok());
    assert_eq!(derivation.safe_head(), world.l2[1].reference);
}

/// A small generator (xorshift), so that a failing seed can be run again.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

#[test]
fn late_early_and_repeated_answers_change_nothing() {
    let mut config = config(Hardfork::Granite);
    config.schedule.set(Hardfork::Holocene, Some(common::START_TIME + 60));
    let mut world = World::new(config);
    for round in 0..10 {
        let blocks = world.sequence_to_l1_head();
        let frames = world.channel(&blocks, 150);
        let tx = if round % 2 == 0 {
            world.calldata_tx(&key(1), &frames)
        } else {
            world.blob_tx(&key(1), &frames)
        };
        // Some are repeated.
        let txs = if round % 3 == 0 { vec![tx.clone(), tx] } else { vec![tx] };
        world.mine(txs, Vec::new());
    }
    world.mine_empty(14);
    let expected = world.run(&mut world.derivation());
    assert!(expected.blocks.len() > 60);

    for seed in 1..40 {
        let mut rng = Rng(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut derivation = world.derivation();
        let mut run = Run::default();
        let mut idle = 0;
        while idle < 3 {
            // Anything at any time: L1 blocks far and near, old and new, blobs of old requests.
            if rng.below(3) == 0 {
                let number = rng.below(world.l1.len() as u64) as usize;
                let _ = derivation.provide(Input::L1Block(world.l1[number].clone()));
            }
            if rng.below(8) == 0 {
                let block = world.l1[rng.below(world.l1.len() as u64) as usize].reference.id();
                let _ = derivation.provide(Input::Blobs { block, blobs: vec![] });
            }
            match derivation.step() {
                Step::Need(request) => match rng.below(4) {
                    // No answer yet: the step is repeated.
                    0 => {}
                    1 if matches!(request, opal_derivation::Request::L1Block { .. }) => {
                        let opal_derivation::Request::L1Block { number } = request else {
                            continue;
                        };
                        derivation.provide(Input::L1NotYet { number }).unwrap();
                    }
                    2 => {
                        derivation.provide(world.answer(&request)).unwrap();
                        derivation.provide(world.answer(&request)).unwrap();
                    }
                    _ => derivation.provide(world.answer(&request)).unwrap(),
                },
                Step::Execute(attributes) if rng.below(2) == 0 => {
                    let block = common::execute(&attributes.parent, &attributes.attributes);
                    derivation.executed(Executed::Valid(block)).unwrap();
                    run.executed.push(*attributes);
                }
                Step::Execute(_) => {}
                Step::AdvancedOrigin(origin) => run.origins.push(origin),
                Step::Dropped(dropped) => run.dropped.push(dropped),
                Step::Idle if derivation.next_l1() as usize == world.l1.len() => idle += 1,
                Step::Idle => {}
                other => panic!("seed {seed}: {other:?}"),
            }
        }
        assert_eq!(run.executed, expected.executed, "seed {seed}");
        assert_eq!(run.origins, expected.origins, "seed {seed}");
        assert_eq!(run.dropped, expected.dropped, "seed {seed}");
    }
}

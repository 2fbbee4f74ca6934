//! Sequencing windows that expire, and L2 time that runs ahead of L1 time.

use opal_derivation::DropReason;
use opal_protocol::Hardfork;

use crate::batch_drops;
use crate::common::{
    L1_BLOCK_TIME, START_TIME, WHOLE, World, config, give_bundles, references, user_tx,
};

const FORKS: [Hardfork; 4] =
    [Hardfork::Bedrock, Hardfork::Granite, Hardfork::Holocene, Hardfork::Karst];

#[test]
fn an_expired_window_gives_empty_blocks_and_the_batcher_recovers() {
    for fork in FORKS {
        let mut world = World::new(config(fork));
        world.mine_empty(11);
        let mut verifier = world.verifier();
        let run = verifier.run(&world);
        // Window 10: at L1 block 11 epoch 0 and then epoch 1 have expired. L2 time goes on up to
        // the time of the next epoch.
        assert!(!run.blocks.is_empty(), "{fork}");
        for block in &run.blocks {
            assert_eq!(block.attributes.transactions.as_ref().unwrap().len(), 1);
            let next = &world.l1[block.reference.l1_origin.number as usize + 1];
            assert!(block.reference.timestamp < next.reference.timestamp);
        }
        // A sequencer that continues from the safe head is heard again.
        world.adopt(&verifier);
        let blocks: Vec<_> = (0..3).map(|i| world.sequence(vec![user_tx(i)])).collect();
        let frames = if fork >= Hardfork::Delta {
            world.span_channel(&blocks, WHOLE)
        } else {
            world.channel(&blocks, WHOLE)
        };
        world.post(&frames);
        let run = verifier.run(&world);
        assert_eq!(run.references()[..3], references(&blocks), "{fork}: {:?}", run.dropped);
    }
}

#[test]
fn a_batcher_that_stays_away_for_long_gets_a_chain_of_empty_blocks() {
    for fork in FORKS {
        let mut world = World::new(config(fork));
        world.sequence_and_post();
        world.mine_empty(40);
        let mut verifier = world.verifier();
        let run = verifier.run(&world);
        let head = run.blocks.last().unwrap().reference;
        // Epochs up to 41 - 10 have expired, and each L1 block has its six L2 blocks.
        assert_eq!(head.l1_origin.number, 31, "{fork}");
        assert_eq!(head.timestamp, START_TIME + 32 * L1_BLOCK_TIME - 2);
        assert_eq!(head.number, 6 * 32 - 1);
        // What was sequenced meanwhile comes too late and is dropped.
        world.sequence_and_post();
        assert!(
            verifier
                .run(&world)
                .blocks
                .iter()
                .all(|block| { block.attributes.transactions.as_ref().unwrap().len() == 1 })
        );
        // From there on as if nothing had been.
        world.adopt(&verifier);
        let blocks = world.sequence_to_l1_head();
        let frames = world.channel(&blocks, WHOLE);
        world.post(&frames);
        let run = verifier.run(&world);
        assert_eq!(run.references(), references(&blocks), "{fork}: {:?}", run.dropped);
    }
}

#[test]
fn a_batch_counts_in_the_last_l1_block_of_its_window_and_not_after() {
    for fork in FORKS {
        for (late, counts) in [(0, true), (1, false)] {
            for span in [false, true] {
                if span && fork < Hardfork::Delta {
                    continue;
                }
                let mut world = World::new(config(fork));
                let blocks = world.sequence_to_l1_head();
                // Epoch 0, window 10: L1 block 10 is the last one.
                world.mine_empty(9 + late);
                let frames = if span {
                    world.span_channel(&blocks, WHOLE)
                } else {
                    world.channel(&blocks, WHOLE)
                };
                world.post(&frames);
                let run = world.derive();
                let first = run.blocks.first().map(|block| block.reference);
                assert_eq!(first == Some(blocks[0].reference), counts, "{fork}: {:?}", run.dropped);
                if !counts {
                    // By then empty blocks stand in the batches' places: they are of the past.
                    assert!(!batch_drops(&run).is_empty(), "{fork}");
                }
            }
        }
    }
}

#[test]
fn epochs_without_batches_have_one_block_at_least() {
    // L1 is faster than L2: each L2 block takes the next L1 block as its origin.
    for fork in FORKS {
        let mut world = World::new(config(fork));
        world.l1_block_time = 1;
        world.mine_empty(13);
        let run = world.derive();
        let origins: Vec<u64> = run.blocks.iter().map(|b| b.reference.l1_origin.number).collect();
        let expected: Vec<u64> = (1..origins.len() as u64 + 1).collect();
        assert_eq!(origins, expected, "{fork}");
        assert!(run.blocks.iter().all(|b| b.reference.sequence_number == 0));
        assert!(!origins.is_empty());
    }
}

/// A chain of this fork with a short drift, whose L1 pauses after the first block.
fn with_pause(fork: Hardfork, drift: u64, pause: u64) -> World {
    let mut config = config(fork);
    config.max_sequencer_drift_config = drift;
    let mut world = World::new(config);
    world.l1_block_time = pause;
    world.mine_empty(1);
    world.l1_block_time = L1_BLOCK_TIME;
    world
}

#[test]
fn beyond_the_drift_only_empty_blocks_count() {
    for (fork, drift) in
        [(Hardfork::Bedrock, 20), (Hardfork::Ecotone, 20), (Hardfork::Karst, 1_800)]
    {
        let mut world = with_pause(fork, 20, 2_400);
        let last_with_user = drift / 2;
        for i in 0..last_with_user {
            world.sequence_at(0, vec![user_tx(i)]);
        }
        assert_eq!(world.l2_head().timestamp, START_TIME + drift);
        for _ in 0..3 {
            world.sequence_at(0, Vec::new());
        }
        let good = world.l2[1..].to_vec();
        // One with a user's transaction beyond the drift.
        let bad = world.sequence_at(0, vec![user_tx(1)]);
        let frames = world.channel(&good, WHOLE);
        world.post(&frames);
        let frames = world.channel(&[bad], WHOLE);
        world.post(&frames);
        let run = world.derive();
        assert_eq!(run.references(), references(&good), "{fork}");
        assert_eq!(batch_drops(&run), [DropReason::Drift], "{fork}");
    }
}

#[test]
fn beyond_the_drift_empty_blocks_must_take_the_next_epoch_as_soon_as_they_can() {
    for fork in [Hardfork::Bedrock, Hardfork::Ecotone] {
        let mut world = with_pause(fork, 20, 60);
        // Up to the next L1 block's time all stay in epoch 0.
        while world.l2_head().timestamp + 2 < START_TIME + 60 {
            let transactions = if world.l2_head().timestamp + 2 <= START_TIME + 20 {
                vec![user_tx(1)]
            } else {
                Vec::new()
            };
            world.sequence_at(0, transactions);
        }
        let good = world.l2[1..].to_vec();
        let bad = world.sequence_at(0, Vec::new());
        world.l2.pop();
        let next = world.sequence_at(1, vec![user_tx(2)]);
        let frames = world.channel(&good, WHOLE);
        world.post(&frames);
        let frames = world.channel(&[bad], WHOLE);
        world.post(&frames);
        let frames = world.channel(std::slice::from_ref(&next), WHOLE);
        world.post(&frames);
        let run = world.derive();
        assert_eq!(run.references(), references(&[good, vec![next]].concat()), "{fork}");
        assert_eq!(batch_drops(&run), [DropReason::DriftEpoch], "{fork}");
    }
}

#[test]
fn spans_keep_to_the_drift_too() {
    for fork in [Hardfork::Ecotone] {
        let mut world = with_pause(fork, 20, 60);
        for i in 0..11 {
            world.sequence_at(0, vec![user_tx(i)]);
        }
        let blocks = world.l2[1..].to_vec();
        // The eleventh is beyond it, so the span falls as a whole.
        let frames = world.span_channel(&blocks, WHOLE);
        world.post(&frames);
        let mut verifier = world.verifier();
        let run = verifier.run(&world);
        assert!(run.blocks.is_empty());
        assert_eq!(batch_drops(&run), [DropReason::Drift], "{fork}");
        let frames = world.span_channel(&blocks[..10], WHOLE);
        world.post(&frames);
        assert_eq!(verifier.run(&world).references(), references(&blocks[..10]));
    }
}

#[test]
fn the_drift_of_fjord_goes_by_the_time_of_the_origin() {
    // The same 25 seconds beyond an origin before Fjord, and of Fjord.
    for (fjord, counts) in [(START_TIME + 1, false), (START_TIME, true)] {
        let mut config = config(Hardfork::Ecotone);
        config.max_sequencer_drift_config = 20;
        config.schedule.set(Hardfork::Fjord, Some(fjord));
        give_bundles(&mut config);
        let mut world = World::new(config);
        world.l1_block_time = 60;
        world.mine_empty(1);
        for i in 0..13 {
            world.sequence_at(0, vec![user_tx(i)]);
        }
        let blocks = world.l2[1..].to_vec();
        let frames = world.channel(&blocks, WHOLE);
        world.post(&frames);
        let run = world.derive();
        let expected = if counts { &blocks[..] } else { &blocks[..10] };
        assert_eq!(run.references(), references(expected), "{:?}", run.dropped);
    }
}

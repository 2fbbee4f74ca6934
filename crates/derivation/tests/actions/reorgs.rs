//! L1 reorganisations, and where derivation goes on after them.

use opal_derivation::{ResetReason, Step};
use opal_protocol::Hardfork;

use crate::common::{START_TIME, Verifier, WHOLE, World, config, references};

/// A chain with one L2 block for each L1 block, each of which is posted in the next L1 block.
fn long_world(fork: Hardfork, l1_blocks: u64) -> World {
    let mut config = config(fork);
    config.block_time = 12;
    let mut world = World::new(config);
    while world.l1_head().reference.number < l1_blocks {
        if fork >= Hardfork::Delta && world.l1.len().is_multiple_of(2) {
            world.sequence_and_post_span();
        } else {
            world.sequence_and_post();
        }
    }
    world
}

/// The new L1 chain overtakes the old one, and the verifier sees that.
fn sees_reorg(verifier: &mut Verifier, world: &World) {
    let run = verifier.run(world);
    assert!(run.blocks.is_empty());
    assert!(
        matches!(run.end, Some(Step::Reset(ResetReason::ReorgDetected { .. }))),
        "{:?}",
        run.end
    );
    // It stays that way until the host builds another machine.
    assert!(matches!(verifier.step(), Step::Reset(_)));
}

fn depths(fork: Hardfork, batches_come_back: bool) {
    for depth in 1..=64_usize {
        let mut world = long_world(fork, 70);
        // Every depth is replayed; some are shuffled as well.
        world.schedules = if depth.is_power_of_two() { 3 } else { 0 };
        let mut verifier = world.verifier();
        let run = verifier.run(&world);
        assert_eq!(run.references(), references(&world.l2[1..run.blocks.len() + 1]));
        assert!(run.blocks.len() > 65);
        world.reorg_l1(depth);

        if batches_come_back {
            // The batcher posts again what the L1 lost, and goes on.
            let safe = verifier.find_start(&world).safe_head.number as usize;
            let lost = world.l2[safe + 1..].to_vec();
            if lost.is_empty() {
                world.mine_empty(1);
            } else {
                let frames = world.channel(&lost, WHOLE);
                world.post(&frames);
            }
            while world.l1_head().reference.number <= 71 {
                world.sequence_and_post();
            }
            sees_reorg(&mut verifier, &world);
            let start = verifier.reset(&world);
            assert_eq!(start.safe_head.number, safe as u64);
            let run = verifier.run(&world);
            assert_eq!(run.end, Some(Step::Idle), "depth {depth}");
            let derived = verifier.blocks();
            assert_eq!(references(&derived), references(&world.l2)[..derived.len()], "{depth}");
            assert!(derived.len() > 70, "depth {depth}: {}", derived.len());
        } else {
            // The batcher is gone: empty blocks, as their windows expire.
            world.mine_empty(depth + 1);
            sees_reorg(&mut verifier, &world);
            let start = verifier.reset(&world);
            let run = verifier.run(&world);
            assert_eq!(run.end, Some(Step::Idle), "depth {depth}");
            let users = |block: &crate::common::L2Block| {
                block.attributes.transactions.as_ref().unwrap().len() > 1
            };
            assert!(!run.blocks.iter().any(users), "depth {depth}");
            let l1_head = world.l1_head().reference.number;
            let head = verifier.safe_head();
            let expired = l1_head.saturating_sub(10);
            assert!(head.l1_origin.number + 1 >= expired, "depth {depth}: {head:?}");
            assert!(head.number >= start.safe_head.number);
            // Back again, it is heard.
            world.adopt(&verifier);
            let blocks = world.sequence_to_l1_head();
            let frames = world.channel(&blocks, WHOLE);
            world.post(&frames);
            let run = verifier.run(&world);
            assert_eq!(run.references(), references(&blocks), "depth {depth}: {:?}", run.dropped);
        }
    }
}

#[test]
fn reorgs_of_depth_1_to_64_whose_batches_come_back() {
    depths(Hardfork::Karst, true);
}

#[test]
fn reorgs_of_depth_1_to_64_whose_batches_are_lost() {
    depths(Hardfork::Karst, false);
}

#[test]
fn reorgs_of_depth_1_to_64_before_holocene() {
    depths(Hardfork::Fjord, true);
}

#[test]
fn a_reorg_that_only_moves_a_batch_keeps_the_chain() {
    for fork in [Hardfork::Granite, Hardfork::Karst] {
        let mut world = World::new(config(fork));
        world.sequence_and_post();
        let blocks = world.sequence_to_l1_head();
        let frames = world.span_channel(&blocks, WHOLE);
        world.post(&frames);
        let mut verifier = world.verifier();
        verifier.run(&world);
        let head = verifier.safe_head();
        // The same channel, one L1 block later.
        world.reorg_l1(1);
        world.mine_empty(1);
        world.post(&frames);
        sees_reorg(&mut verifier, &world);
        let start = verifier.reset(&world);
        assert!(start.safe_head.number < head.number);
        verifier.run(&world);
        assert_eq!(verifier.safe_head(), head, "{fork}");
        assert_eq!(verifier.derived_from().number, 3);
    }
}

#[test]
fn a_channel_that_began_long_before_the_safe_head_is_found_again() {
    // Before Holocene channels overlap: the first frame of one lies before the whole of another.
    for fork in [Hardfork::Fjord, Hardfork::Granite] {
        let mut config = config(fork);
        config.seq_window_size = 1_000;
        config.channel_timeout_config = 30;
        let timeout = if fork >= Hardfork::Granite { 50 } else { 30 };
        config.block_time = 12;
        let mut world = World::new(config);
        world.schedules = 5;
        for _ in 0..60 {
            world.sequence_and_post();
        }
        let later = world.sequence_to_l1_head();
        world.mine_empty(1);
        let more = world.sequence_to_l1_head();
        let later_frames = world.channel(&more, 60);
        world.post(&later_frames[..1]);
        world.mine_empty(5);
        let frames = world.channel(&later, WHOLE);
        world.post(&frames);
        let mut verifier = world.verifier();
        verifier.run(&world);
        let start = verifier.reset(&world);
        // A channel timeout back, no more and no less than needed.
        assert!(start.l1.number + timeout <= start.safe_head.l1_origin.number, "{fork}");
        assert!(start.l1.number + timeout + 2 > start.safe_head.l1_origin.number);
        assert!(start.l1.number > 0);
        world.post(&later_frames[1..]);
        let run = verifier.run(&world);
        assert_eq!(run.references(), references(&more), "{fork}: {:?}", run.dropped);
    }
}

#[test]
fn an_l1_that_is_shorter_for_a_while_is_waited_for() {
    let mut world = World::new(config(Hardfork::Karst));
    for _ in 0..4 {
        world.sequence_and_post();
    }
    let mut verifier = world.verifier();
    verifier.run(&world);
    let head = verifier.safe_head();
    let longer = world.l1.clone();
    world.l1.truncate(2);
    let run = verifier.run(&world);
    assert_eq!((run.end, verifier.safe_head()), (Some(Step::Idle), head));
    world.l1 = longer;
    world.sequence_and_post();
    let run = verifier.run(&world);
    assert_eq!(run.end, Some(Step::Idle));
    assert_eq!(verifier.safe_head(), world.l2_head());
}

#[test]
fn a_reorg_across_holocenes_activation_takes_the_rules_of_the_new_chain() {
    let mut config = config(Hardfork::Granite);
    config.schedule.set(Hardfork::Holocene, Some(START_TIME + 36));
    let mut world = World::new(config);
    for _ in 0..5 {
        world.sequence_and_post();
    }
    let mut verifier = world.verifier();
    verifier.run(&world);
    world.reorg_l1(4);
    let safe = verifier.find_start(&world).safe_head.number as usize;
    let lost = world.l2[safe + 1..].to_vec();
    if !lost.is_empty() {
        let frames = world.channel(&lost, WHOLE);
        world.post(&frames);
    }
    for _ in 0..6 {
        world.sequence_and_post();
    }
    sees_reorg(&mut verifier, &world);
    verifier.reset(&world);
    let run = verifier.run(&world);
    assert_eq!(run.end, Some(Step::Idle));
    assert_eq!(verifier.safe_head(), world.l2_head(), "{:?}", run.dropped);
}

//! Frames lost, repeated, reordered; channels interleaved, cut off, too late. Holocene turns most of
//! these stories round.

use alloy_primitives::Bytes;
use opal_derivation::{ChannelDrop, Dropped, FrameDrop};
use opal_protocol::{Frame, Hardfork};

use crate::common::{L2Block, Run, WHOLE, World, config, key, references};
use crate::{KINDS, channel_drops, frame_drops};

fn is_strict(fork: Hardfork) -> bool {
    fork >= Hardfork::Holocene
}

/// A world with one round of blocks, and their channel in several frames.
fn frames_of(fork: Hardfork, frame_size: usize) -> (World, Vec<L2Block>, Vec<Frame>) {
    let mut config = config(fork);
    config.seq_window_size = 1_000;
    let mut world = World::new(config);
    let blocks = world.sequence_to_l1_head();
    let frames = world.channel(&blocks, frame_size);
    assert!(frames.len() >= 4, "{}", frames.len());
    (world, blocks, frames)
}

fn assert_derives(run: &Run, blocks: &[L2Block], what: impl std::fmt::Display) {
    assert_eq!(run.references(), references(blocks), "{what}: {:?}", run.dropped);
}

#[test]
fn frames_lie_in_one_transaction_or_many_or_many_l1_blocks() {
    for fork in KINDS {
        let (mut world, blocks, frames) = frames_of(fork, 150);
        let (one, many) = frames.split_at(2);
        world.post(one);
        world.mine_empty(2);
        let mut txs = Vec::new();
        for frame in &many[..many.len() - 1] {
            txs.push(world.calldata_tx(&key(1), std::slice::from_ref(frame)));
        }
        world.mine(txs, Vec::new());
        let mut verifier = world.verifier();
        assert_derives(&verifier.run(&world), &[], fork);
        world.post(&many[many.len() - 1..]);
        let run = verifier.run(&world);
        assert_derives(&run, &blocks, fork);
        assert!(run.executed.iter().all(|a| a.derived_from.number == 5), "{fork}");
    }
}

#[test]
fn a_lost_frame_holds_its_channel_up_until_it_comes() {
    for fork in KINDS {
        let (mut world, blocks, mut frames) = frames_of(fork, 150);
        let lost = frames.remove(1);
        world.post(&frames);
        let mut verifier = world.verifier();
        let run = verifier.run(&world);
        assert_derives(&run, &[], fork);
        world.post(&[lost]);
        let run = verifier.run(&world);
        if is_strict(fork) {
            // What followed the gap is gone; the frame alone continues, but completes nothing.
            assert_derives(&run, &[], fork);
            world.post(&frames[1..]);
            assert_derives(&verifier.run(&world), &blocks, fork);
        } else {
            assert_derives(&run, &blocks, fork);
        }
    }
}

#[test]
fn repeated_frames_count_once() {
    for fork in KINDS {
        let (mut world, blocks, frames) = frames_of(fork, 150);
        let twice: Vec<Frame> = frames.iter().flat_map(|f| [f.clone(), f.clone()]).collect();
        world.post(&twice);
        // The whole channel once more: its batches are of the past then.
        world.post(&frames);
        let run = world.derive();
        assert_derives(&run, &blocks, fork);
        let expected = if is_strict(fork) { FrameDrop::OutOfOrder } else { FrameDrop::Duplicate };
        assert!(frame_drops(&run).contains(&expected), "{fork}: {:?}", run.dropped);
    }
}

#[test]
fn repeated_frames_in_other_l1_blocks_count_once() {
    for fork in KINDS {
        let (mut world, blocks, frames) = frames_of(fork, 150);
        for frame in &frames {
            world.post(std::slice::from_ref(frame));
            world.post(std::slice::from_ref(frame));
        }
        let run = world.derive();
        assert_derives(&run, &blocks, fork);
    }
}

#[test]
fn a_repeated_first_frame_begins_its_channel_anew_from_holocene_on() {
    for fork in KINDS {
        let (mut world, blocks, frames) = frames_of(fork, 150);
        world.post(&frames[..2]);
        world.post(&frames[..1]);
        world.post(&frames[2..]);
        let mut verifier = world.verifier();
        let run = verifier.run(&world);
        if is_strict(fork) {
            assert_derives(&run, &[], fork);
            assert!(!run.dropped.is_empty());
        } else {
            assert_derives(&run, &blocks, fork);
        }
    }
}

#[test]
fn reversed_frames_count_before_holocene_only() {
    for fork in KINDS {
        let (mut world, blocks, mut frames) = frames_of(fork, 150);
        frames.reverse();
        world.post(&frames);
        let mut verifier = world.verifier();
        let run = verifier.run(&world);
        assert_derives(&run, if is_strict(fork) { &[] } else { &blocks }, fork);
        if is_strict(fork) {
            frames.reverse();
            world.post(&frames);
            assert_derives(&verifier.run(&world), &blocks, fork);
        }
    }
}

#[test]
fn the_first_frame_after_the_others_counts_before_holocene_only() {
    for fork in KINDS {
        let (mut world, blocks, mut frames) = frames_of(fork, 150);
        let first = frames.remove(0);
        world.post(&frames);
        world.post(&[first]);
        let run = world.derive();
        assert_derives(&run, if is_strict(fork) { &[] } else { &blocks }, fork);
        assert_eq!(frame_drops(&run).contains(&FrameDrop::NoChannel), is_strict(fork), "{fork}");
    }
}

/// Two channels, frame by frame.
fn interleaved(world: &mut World, blocks: &[L2Block]) -> (Vec<Frame>, Vec<Frame>) {
    let (early, late) = blocks.split_at(blocks.len() / 2);
    let (early, late) = (world.channel(early, 120), world.channel(late, 120));
    assert!(early.len() >= 2 && late.len() >= 2);
    (early, late)
}

#[test]
fn interleaved_channels_count_before_holocene_only() {
    for fork in KINDS {
        let mut world = World::new(config(fork));
        let blocks = world.sequence_to_l1_head();
        let (early, late) = interleaved(&mut world, &blocks);
        let mut frames = Vec::new();
        for at in 0..early.len().max(late.len()) {
            frames.extend(early.get(at).cloned());
            frames.extend(late.get(at).cloned());
        }
        world.post(&frames);
        let mut verifier = world.verifier();
        let run = verifier.run(&world);
        if !is_strict(fork) {
            assert_derives(&run, &blocks, fork);
            continue;
        }
        // Each first frame pushes the other channel out.
        assert_derives(&run, &[], fork);
        assert!(frame_drops(&run).contains(&FrameDrop::Replaced), "{:?}", run.dropped);
        // One after the other they count.
        world.post(&[early, late].concat());
        assert_derives(&verifier.run(&world), &blocks, fork);
    }
}

#[test]
fn a_channel_that_begins_before_another_is_complete_replaces_it_from_holocene_on() {
    for fork in KINDS {
        let mut world = World::new(config(fork));
        let blocks = world.sequence_to_l1_head();
        let (early, late) = interleaved(&mut world, &blocks);
        world.post(&early[..1]);
        world.post(&late[..1]);
        world.post(&early[1..]);
        world.post(&late[1..]);
        let mut verifier = world.verifier();
        let run = verifier.run(&world);
        if !is_strict(fork) {
            assert_derives(&run, &blocks, fork);
            continue;
        }
        // The early channel is gone; the late one completes, but its batches leave a gap.
        assert_derives(&run, &[], fork);
        assert_eq!(channel_drops(&run), [ChannelDrop::Replaced]);
        world.post(&early);
        world.post(&late);
        assert_derives(&verifier.run(&world), &blocks, fork);
    }
}

#[test]
fn channels_are_read_in_the_order_in_which_they_began_before_canyon() {
    // The later channel is complete first. Before Canyon the earlier one holds it up; from Canyon
    // on it is read, and its batches wait for their turn. Either way both count when the earlier
    // one is complete.
    for (fork, early_derived_from) in [(Hardfork::Regolith, 3), (Hardfork::Granite, 3)] {
        let mut world = World::new(config(fork));
        let blocks = world.sequence_to_l1_head();
        let (early, late) = interleaved(&mut world, &blocks);
        world.post(&early[..1]);
        world.post(&late);
        world.post(&early[1..]);
        let run = world.derive();
        assert_derives(&run, &blocks, fork);
        assert!(run.executed.iter().all(|a| a.derived_from.number == early_derived_from));
    }
}

/// Posts all frames but the first so that the last one comes `delay` L1 blocks after the first.
fn delayed(fork: Hardfork, delay: usize) -> (World, Vec<L2Block>) {
    let (mut world, blocks, frames) = frames_of(fork, 150);
    world.post(&frames[..1]);
    world.mine_empty(delay - 1);
    world.post(&frames[1..]);
    (world, blocks)
}

#[test]
fn a_channel_that_is_complete_exactly_at_the_timeout_counts() {
    for (fork, timeout) in [
        (Hardfork::Regolith, 300),
        (Hardfork::Fjord, 300),
        (Hardfork::Granite, 50),
        (Hardfork::Karst, 50),
    ] {
        let (world, blocks) = delayed(fork, timeout);
        assert_derives(&world.derive(), &blocks, fork);
    }
}

#[test]
fn a_channel_that_is_complete_a_block_after_the_timeout_is_lost() {
    for (fork, timeout) in [
        (Hardfork::Regolith, 300),
        (Hardfork::Fjord, 300),
        (Hardfork::Granite, 50),
        (Hardfork::Karst, 50),
    ] {
        let (world, _) = delayed(fork, timeout + 1);
        let run = world.derive();
        assert_derives(&run, &[], fork);
        assert!(channel_drops(&run).contains(&ChannelDrop::TimedOut), "{fork}: {:?}", run.dropped);
    }
}

#[test]
fn after_a_timeout_the_same_channel_can_be_posted_again() {
    for (fork, timeout) in [(Hardfork::Fjord, 300), (Hardfork::Karst, 50)] {
        let (mut world, blocks, frames) = frames_of(fork, 150);
        world.post(&frames[..1]);
        world.mine_empty(timeout + 1);
        world.post(&frames);
        assert_derives(&world.derive(), &blocks, fork);
    }
}

#[test]
fn one_malformed_frame_voids_its_transaction_and_no_other() {
    for fork in KINDS {
        let (mut world, blocks, frames) = frames_of(fork, 150);
        let good = opal_protocol::batcher_tx::encode_batcher_data(&frames);
        let mut bad = good.to_vec();
        bad.push(7);
        let mut not_last = good.to_vec();
        *not_last.last_mut().unwrap() = 2;
        let mut version = good.to_vec();
        version[0] = 9;
        let mut txs = Vec::new();
        for data in [Bytes::new(), bad.into(), not_last.into(), version.into()] {
            txs.push(world.inbox_tx(&key(1), data));
        }
        world.mine(txs, Vec::new());
        let mut verifier = world.verifier();
        let run = verifier.run(&world);
        assert_derives(&run, &[], fork);
        let bad = run.dropped.iter().filter(|d| matches!(d, Dropped::BatcherData(_))).count();
        assert_eq!(bad, 4, "{fork}: {:?}", run.dropped);
        world.post(&frames);
        assert_derives(&verifier.run(&world), &blocks, fork);
    }
}

#[test]
fn only_the_batcher_writes_to_the_inbox() {
    for fork in KINDS {
        let (mut world, blocks, frames) = frames_of(fork, 150);
        let stranger = world.calldata_tx(&key(7), &frames);
        // A set-code transaction does not count even of the batcher.
        let set_code = world.set_code_tx(&key(1), &frames);
        world.mine(vec![stranger, set_code], Vec::new());
        let mut verifier = world.verifier();
        let run = verifier.run(&world);
        assert_derives(&run, &[], fork);
        assert!(run.dropped.is_empty(), "{:?}", run.dropped);
        world.post(&frames);
        assert_derives(&verifier.run(&world), &blocks, fork);
    }
}

#[test]
fn a_channel_of_garbage_is_dropped_and_the_next_one_counts() {
    for fork in KINDS {
        let mut world = World::new(config(fork));
        let blocks = world.sequence_to_l1_head();
        let whole = world.channel(&blocks, WHOLE);
        let mut cut = whole[0].data.to_vec();
        cut.truncate(cut.len() / 2);
        for channel in [Bytes::from_static(b"\x33garbage"), Bytes::new(), cut.into()] {
            let frames = world.frames(&channel, WHOLE);
            world.post(&frames);
        }
        let good = world.channel(&blocks, WHOLE);
        world.post(&good);
        let run = world.derive();
        assert_derives(&run, &blocks, fork);
        let bad = run.dropped.iter().filter(|d| matches!(d, Dropped::ChannelData(_))).count();
        assert!(bad >= 2, "{fork}: {:?}", run.dropped);
    }
}

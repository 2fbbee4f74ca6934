//! Batches out of order, invalid ones in the middle, spans over what is safe already.

use alloy_primitives::{B256, Bytes};
use opal_derivation::{DropReason, Dropped};
use opal_protocol::{Hardfork, SingularBatch};

use crate::common::{
    Content, L2Block, Run, WHOLE, World, batch, config, key, references, singular,
    user_set_code_tx, user_tx,
};
use crate::{KINDS, batch_drops};

const SPAN_FORKS: [Hardfork; 4] =
    [Hardfork::Delta, Hardfork::Granite, Hardfork::Holocene, Hardfork::Karst];

fn is_strict(fork: Hardfork) -> bool {
    fork >= Hardfork::Holocene
}

/// A world with twelve blocks of two epochs that nobody posted yet.
fn unposted(fork: Hardfork) -> (World, Vec<L2Block>) {
    let mut world = World::new(config(fork));
    world.mine_empty(1);
    let blocks = world.sequence_to_l1_head();
    assert!(blocks.len() >= 11, "{}", blocks.len());
    (world, blocks)
}

fn assert_derives(run: &Run, blocks: &[L2Block], what: impl std::fmt::Display) {
    assert_eq!(run.references(), references(blocks), "{what}: {:?}", run.dropped);
}

#[test]
fn batches_out_of_order_count_before_holocene_and_not_after() {
    for fork in KINDS {
        let mut world = World::new(config(fork));
        let blocks = world.sequence_to_l1_head();
        let (early, late) = blocks.split_at(2);
        let (early, late) = (world.channel(early, WHOLE), world.channel(late, WHOLE));
        let txs = vec![world.calldata_tx(&key(1), &late), world.calldata_tx(&key(1), &early)];
        world.mine(txs, Vec::new());
        let run = world.derive();
        let (expected, drops) = if is_strict(fork) {
            (&blocks[..2], vec![DropReason::Future])
        } else {
            (&blocks[..], vec![])
        };
        assert_derives(&run, expected, fork);
        assert_eq!(batch_drops(&run), drops);
    }
}

/// The reference node keeps a batch of the future that names an L1 block which does not exist yet
/// until its time comes. Then it is dropped, and whatever takes its place comes from the same L1
/// block as if it had been dropped at once.
#[test]
fn a_batch_of_the_future_that_names_a_later_l1_block_delays_nothing() {
    for fork in KINDS.into_iter().filter(|fork| !is_strict(*fork)) {
        for ahead in [1, 2, 50] {
            let (mut world, blocks) = unposted(fork);
            world.schedules = 20;
            let inclusion = world.l1_head().reference.number + 1;
            // On the right parent, and once more on one that nobody can know.
            let epoch_num = inclusion + ahead;
            let known = SingularBatch { epoch_num, ..batch(&blocks[6]) };
            let parent_hash = B256::repeat_byte(9);
            let unknown = SingularBatch { epoch_num, parent_hash, ..batch(&blocks[7]) };
            let frames = world.channel_of(&[known, unknown].map(Content::Singular), WHOLE);
            let txs = vec![world.calldata_tx(&key(1), &frames)];
            let frames = world.channel(&blocks, WHOLE);
            let txs = [txs, vec![world.calldata_tx(&key(1), &frames)]].concat();
            world.mine(txs, Vec::new());
            world.mine_empty(2);
            let run = world.derive();
            assert_derives(&run, &blocks, fork);
            assert_eq!(batch_drops(&run), [DropReason::EpochHash; 2], "{fork}");
            assert!(run.executed.iter().all(|a| a.derived_from.number == inclusion), "{fork}");
        }
    }
}

#[test]
fn batches_in_reverse_within_a_channel_count_before_holocene_only() {
    for fork in KINDS {
        let mut world = World::new(config(fork));
        let blocks = world.sequence_to_l1_head();
        let mut content = singular(&blocks);
        content.reverse();
        let frames = world.channel_of(&content, WHOLE);
        world.post(&frames);
        let run = world.derive();
        assert_derives(&run, if is_strict(fork) { &[] } else { &blocks }, fork);
    }
}

#[test]
fn repeated_batches_are_of_the_past() {
    for fork in KINDS {
        let mut world = World::new(config(fork));
        let blocks = world.sequence_to_l1_head();
        for _ in 0..2 {
            let frames = world.channel(&blocks, WHOLE);
            world.post(&frames);
        }
        let run = world.derive();
        assert_derives(&run, &blocks, fork);
        assert_eq!(batch_drops(&run), vec![DropReason::Past; blocks.len()], "{fork}");
    }
}

#[test]
fn an_invalid_batch_takes_the_rest_of_its_channel_with_it_from_holocene_on() {
    for fork in KINDS {
        let (mut world, blocks) = unposted(fork);
        let mut stranger = batch(&blocks[2]);
        stranger.parent_hash = B256::repeat_byte(7);
        let mut content = singular(&blocks[..2]);
        content.push(Content::Singular(stranger));
        content.extend(singular(&blocks[2..]));
        let frames = world.channel_of(&content, WHOLE);
        world.post(&frames);
        let mut verifier = world.verifier();
        let run = verifier.run(&world);
        assert_eq!(batch_drops(&run)[..1], [DropReason::Parent], "{fork}");
        if is_strict(fork) {
            assert_derives(&run, &blocks[..2], fork);
            let frames = world.channel(&blocks[2..], WHOLE);
            world.post(&frames);
            assert_derives(&verifier.run(&world), &blocks[2..], fork);
        } else {
            assert_derives(&run, &blocks, fork);
        }
    }
}

#[test]
fn each_way_in_which_a_batch_can_be_wrong_leaves_its_place_to_another() {
    type Change = fn(&mut opal_protocol::SingularBatch);
    let changes: [(Change, DropReason); 6] = [
        (|b| b.epoch_hash = B256::repeat_byte(3), DropReason::EpochHash),
        (|b| b.epoch_num += 2, DropReason::EpochTooFar),
        (|b| b.parent_hash = B256::ZERO, DropReason::Parent),
        (|b| b.transactions.push(Bytes::new()), DropReason::EmptyTx(1)),
        (|b| b.transactions.push(Bytes::from_static(b"\x7e\xc0")), DropReason::DepositTx(1)),
        (|b| b.timestamp -= 2, DropReason::Past),
    ];
    for fork in KINDS {
        for (change, reason) in changes {
            let (mut world, blocks) = unposted(fork);
            world.schedules = 20;
            let mut bad = batch(&blocks[3]);
            change(&mut bad);
            let mut content = singular(&blocks[..3]);
            content.push(Content::Singular(bad));
            let frames = world.channel_of(&content, WHOLE);
            world.post(&frames);
            let frames = world.channel(&blocks[3..], WHOLE);
            world.post(&frames);
            let run = world.derive();
            assert_derives(&run, &blocks, fork);
            assert_eq!(batch_drops(&run), [reason], "{fork}");
        }
    }
}

#[test]
fn an_unknown_batch_type_does_not_stop_derivation() {
    for fork in KINDS {
        let (mut world, blocks) = unposted(fork);
        let mut content = singular(&blocks[..3]);
        content.push(Content::Raw(alloy_rlp::encode(Bytes::from_static(b"\x09what is this"))));
        content.extend(singular(&blocks[3..6]));
        let frames = world.channel_of(&content, WHOLE);
        world.post(&frames);
        let frames = world.channel(&blocks[3..], WHOLE);
        world.post(&frames);
        let run = world.derive();
        assert_derives(&run, &blocks, fork);
        assert!(run.dropped.iter().any(|d| matches!(d, Dropped::ChannelData(_))));
    }
}

// --- spans ---------------------------------------------------------------------------------------

#[test]
fn a_span_over_the_safe_chain_that_says_the_same_goes_on_from_there() {
    for fork in SPAN_FORKS {
        for from in 0..4 {
            let (mut world, blocks) = unposted(fork);
            world.schedules = 40;
            let frames = world.span_channel(&blocks[..5], WHOLE);
            world.post(&frames);
            let frames = world.span_channel(&blocks[from..], WHOLE);
            world.post(&frames);
            let run = world.derive();
            assert_derives(&run, &blocks, format!("{fork}, from {from}"));
            assert!(run.dropped.is_empty(), "{fork}: {:?}", run.dropped);
            // The parent of the overlap is block `from`.
            assert!(run.l2_requests.contains(&(from as u64)), "{:?}", run.l2_requests);
            // Before Holocene each block of the overlap is compared.
            let compared = run.l2_requests.contains(&(from as u64 + 1));
            assert_eq!(compared, !is_strict(fork), "{fork}: {:?}", run.l2_requests);
        }
    }
}

#[test]
fn a_span_over_the_safe_chain_that_says_something_else_counts_from_holocene_only() {
    // Holocene looks at no block before the safe head, only at the parent and the last origin.
    for fork in SPAN_FORKS {
        let (mut world, blocks) = unposted(fork);
        let frames = world.span_channel(&blocks[..5], WHOLE);
        world.post(&frames);
        let Content::Span(parent_origin, mut batches) = world.span(&blocks[2..]) else { panic!() };
        batches[1].transactions = vec![user_tx(77)];
        let frames = world.channel_of(&[Content::Span(parent_origin, batches)], WHOLE);
        world.post(&frames);
        let run = world.derive();
        if is_strict(fork) {
            assert_derives(&run, &blocks, fork);
        } else {
            assert_derives(&run, &blocks[..5], fork);
            assert_eq!(batch_drops(&run), [DropReason::Overlap(4)], "{fork}");
        }
    }
}

#[test]
fn a_span_on_another_parent_or_origin_is_dropped() {
    for fork in SPAN_FORKS {
        for (spoil_parent, reason) in [(true, DropReason::Parent), (false, DropReason::EpochHash)] {
            let (mut world, blocks) = unposted(fork);
            let frames = world.span_channel(&blocks[..5], WHOLE);
            world.post(&frames);
            let Content::Span(parent_origin, mut batches) = world.span(&blocks[5..]) else {
                panic!()
            };
            if spoil_parent {
                batches[0].parent_hash = B256::repeat_byte(1);
            } else {
                batches.last_mut().unwrap().epoch_hash = B256::repeat_byte(1);
            }
            let bad = Content::Span(parent_origin, batches);
            // A good one stands behind it in the channel.
            let good = world.span(&blocks[5..]);
            let frames = world.channel_of(&[bad, good], WHOLE);
            world.post(&frames);
            let mut verifier = world.verifier();
            let run = verifier.run(&world);
            assert_eq!(batch_drops(&run), [reason], "{fork}");
            if is_strict(fork) {
                assert_derives(&run, &blocks[..5], fork);
                let frames = world.span_channel(&blocks[5..], WHOLE);
                world.post(&frames);
                assert_derives(&verifier.run(&world), &blocks[5..], fork);
            } else {
                assert_derives(&run, &blocks, fork);
            }
        }
    }
}

#[test]
fn a_span_of_the_past_is_dropped() {
    for fork in SPAN_FORKS {
        let (mut world, blocks) = unposted(fork);
        let frames = world.span_channel(&blocks[..6], WHOLE);
        world.post(&frames);
        // The past one does not take the rest of its channel with it.
        let past = world.span(&blocks[1..4]);
        let rest = world.span(&blocks[6..]);
        let frames = world.channel_of(&[past, rest], WHOLE);
        world.post(&frames);
        let run = world.derive();
        assert_derives(&run, &blocks, fork);
        assert_eq!(batch_drops(&run), [DropReason::Past], "{fork}");
    }
}

#[test]
fn a_span_that_leaves_a_gap_waits_before_holocene_and_is_dropped_after() {
    for fork in SPAN_FORKS {
        let (mut world, blocks) = unposted(fork);
        let frames = world.span_channel(&blocks[4..], WHOLE);
        world.post(&frames);
        let frames = world.span_channel(&blocks[..4], WHOLE);
        world.post(&frames);
        let run = world.derive();
        if is_strict(fork) {
            assert_derives(&run, &blocks[..4], fork);
            assert_eq!(batch_drops(&run), [DropReason::Future], "{fork}");
        } else {
            assert_derives(&run, &blocks, fork);
        }
    }
}

#[test]
fn an_invalid_block_in_a_span_voids_all_of_it_before_holocene_and_the_rest_after() {
    // Set-code transactions count from Isthmus on.
    for fork in [Hardfork::Delta, Hardfork::Granite, Hardfork::Holocene] {
        let (mut world, blocks) = unposted(fork);
        let Content::Span(parent_origin, mut batches) = world.span(&blocks) else { panic!() };
        batches[4].transactions.push(user_set_code_tx(1));
        let bad = Content::Span(parent_origin, batches);
        let behind = singular(&blocks[4..6]);
        let frames = world.channel_of(&[vec![bad], behind].concat(), WHOLE);
        world.post(&frames);
        let mut verifier = world.verifier();
        let run = verifier.run(&world);
        assert_eq!(batch_drops(&run), [DropReason::SetCodeTx(1)], "{fork}");
        if is_strict(fork) {
            assert_derives(&run, &blocks[..4], fork);
            assert!(run.dropped.contains(&Dropped::SpanRest(blocks.len() - 5)));
        } else {
            // Those behind it wait for the first ones.
            assert_derives(&run, &[], fork);
        }
        let at = run.blocks.len();
        let frames = world.span_channel(&blocks[at..], WHOLE);
        world.post(&frames);
        assert_derives(&verifier.run(&world), &blocks[at..], fork);
    }
}

#[test]
fn a_span_between_the_blocks_of_the_safe_chain_is_dropped() {
    for fork in SPAN_FORKS {
        let (mut world, blocks) = unposted(fork);
        let frames = world.span_channel(&blocks[..5], WHOLE);
        world.post(&frames);
        let Content::Span(parent_origin, mut batches) = world.span(&blocks[3..]) else { panic!() };
        batches.iter_mut().for_each(|batch| batch.timestamp += 1);
        let frames = world.channel_of(&[Content::Span(parent_origin, batches)], WHOLE);
        world.post(&frames);
        let run = world.derive();
        assert_derives(&run, &blocks[..5], fork);
        assert_eq!(batch_drops(&run), [DropReason::Misaligned], "{fork}");
    }
}

#[test]
fn a_malformed_span_hides_nothing_behind_it_in_other_channels() {
    for fork in SPAN_FORKS {
        let (mut world, blocks) = unposted(fork);
        // A span that claims 2^63 blocks.
        let mut claim = vec![1, 0, 0];
        claim.extend([0; 40]);
        claim.extend([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]);
        let raw = Content::Raw(alloy_rlp::encode(Bytes::from(claim)));
        let frames = world.channel_of(&[raw], WHOLE);
        world.post(&frames);
        let frames = world.span_channel(&blocks, WHOLE);
        world.post(&frames);
        let run = world.derive();
        assert_derives(&run, &blocks, fork);
        assert!(!run.dropped.is_empty());
    }
}

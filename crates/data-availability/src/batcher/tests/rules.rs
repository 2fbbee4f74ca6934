//! What the state decides, yes and no.

use std::sync::Arc;

use opal_protocol::{Batch, ChannelId, ChannelReader, Hardfork};

use super::support::{Chain, Fixture, l1, numbers, posting};
use crate::batcher::channel::{CloseReason, PendingBlock, TxData};
use crate::batcher::config::Posting;
use crate::batcher::state::Confirmation;
use crate::batcher::status::{ResetReason, SyncStatus, WaitReason};
use crate::batcher::{BatchType, CompressionAlgo};

/// A fixture whose chain has this many blocks of one small transaction.
fn fixture(blocks: usize) -> Fixture {
    let mut fixture = Fixture::new(posting());
    for _ in 0..blocks {
        fixture.chain.extend(1, 0);
    }
    fixture
}

#[test]
fn blocks_are_read_above_the_newer_of_safe_head_and_newest_read() {
    let mut f = fixture(10);
    assert_eq!(f.look(5, 5, 3).load, Some(4..=10));
    assert_eq!(f.look(5, 5, 3).load, None);
    f.chain.extend(0, 0);
    assert_eq!(f.look(5, 5, 3).load, Some(11..=11));
    // What became safe is forgotten.
    let plan = f.look(5, 5, 9);
    assert_eq!((plan.reset, plan.load, f.state.pending_blocks()), (None, None, 2));
}

#[test]
fn a_node_that_does_not_know_its_heads_yet_is_waited_for() {
    let mut f = fixture(1);
    let plan = f.state.on_status(&SyncStatus::default());
    assert_eq!((plan.wait, plan.load), (Some(WaitReason::NodeNotReady), None));
}

#[test]
fn with_wait_node_sync_l1_is_read_to_its_first_tip_before_anything_is_posted() {
    let mut chain = Chain::new(Hardfork::Holocene);
    for _ in 0..6 {
        chain.extend(1, 0);
    }
    let mut f = Fixture::with(chain, posting(), true);
    let wait = Some(WaitReason::NodeSyncing { current: 2, target: 5 });
    assert_eq!(f.look(2, 5, 0).wait, wait);
    // The target stays although L1 grows.
    assert_eq!(f.look(2, 9, 2).wait, wait);
    let plan = f.look(5, 9, 4);
    assert_eq!((plan.wait, plan.load), (None, Some(5..=6)));
}

#[test]
fn a_block_that_does_not_extend_the_newest_one_empties_the_state() {
    let mut f = fixture(4);
    f.look(2, 2, 0);
    f.chain.reorg(2);
    let block = f.chain.extend(1, 0);
    let block = PendingBlock::new(&f.chain.config, &block).unwrap();
    assert_eq!(f.state.add_block(block), Err(ResetReason::L2Reorg { number: 4 }));
    assert_eq!(f.state.pending_blocks(), 0);
}

#[test]
fn a_reorg_of_unsafe_or_safe_blocks_is_seen_and_blocks_are_read_again() {
    let mut f = fixture(6);
    f.look(3, 3, 2);
    f.chain.reorg(4);
    let plan = f.look(3, 3, 2);
    assert_eq!(plan.reset, Some(ResetReason::L2Reorg { number: 6 }));
    assert_eq!(plan.load, Some(3..=6));
    // Now the safe head itself is another block than the one read; the unsafe head is far above.
    f.chain.reorg(2);
    f.chain.extend(0, 0);
    let plan = f.look(3, 3, 4);
    assert_eq!(plan.reset, Some(ResetReason::L2Reorg { number: 4 }));
    assert_eq!(plan.load, Some(5..=7));
    // The parent of the oldest block was replaced.
    f.chain.reorg(3);
    f.chain.extend(0, 0);
    assert_eq!(f.look(3, 3, 4).reset, Some(ResetReason::L2Reorg { number: 4 }));
    assert_eq!(f.look(3, 3, 4).reset, None);
}

#[test]
fn after_the_safe_head_went_back_the_node_may_first_find_what_l1_holds() {
    let mut f = fixture(8);
    f.look(4, 4, 6);
    let plan = f.look(1, 5, 2);
    assert_eq!(plan.reset, Some(ResetReason::SafeHeadBack));
    assert_eq!(plan.wait, Some(WaitReason::NodeSyncing { current: 1, target: 5 }));
    let plan = f.look(5, 6, 7);
    assert_eq!((plan.reset, plan.wait, plan.load), (None, None, Some(8..=8)));
}

#[test]
fn a_safe_head_that_goes_back_when_all_was_safe_brings_no_second_posting() {
    let mut f = fixture(8);
    f.look(4, 4, 8);
    assert_eq!(f.state.pending_blocks(), 0);
    let plan = f.look(1, 5, 2);
    assert_eq!(plan.reset, Some(ResetReason::SafeHeadBack));
    assert_eq!(plan.wait, Some(WaitReason::NodeSyncing { current: 1, target: 5 }));
    let plan = f.look(5, 6, 8);
    assert_eq!((plan.reset, plan.wait, plan.load), (None, None, None));
}

#[test]
fn a_safe_head_beyond_all_that_was_read_starts_afresh() {
    let mut f = fixture(4);
    f.look(2, 2, 0);
    for _ in 0..4 {
        f.chain.extend(0, 0);
    }
    let plan = f.look(4, 4, 6);
    assert_eq!(plan.reset, Some(ResetReason::SafeHeadAhead));
    assert_eq!(plan.load, Some(7..=8));
}

#[test]
fn a_node_behind_our_blocks_gets_nothing_posted() {
    let mut f = fixture(4);
    f.look(2, 2, 0);
    f.chain.blocks.truncate(3);
    let plan = f.look(2, 2, 0);
    assert_eq!(plan.wait, Some(WaitReason::NodeBehind { unsafe_l2: 2, newest: 4 }));
    assert_eq!(plan.reset, None);
}

#[test]
fn an_idle_channel_is_posted_with_the_next_l1_block_and_not_before() {
    let mut f = fixture(2);
    f.look(10, 10, 0);
    assert!(f.build(10).is_empty());
    f.chain.extend(1, 0);
    f.look(10, 10, 0);
    assert!(f.build(10).is_empty());
    f.look(10, 11, 0);
    let closed = f.build(11);
    assert_eq!(closed.len(), 1);
    assert_eq!((closed[0].reason, closed[0].first, closed[0].last), (CloseReason::Duration, 1, 3));
    let tx = f.state.next_tx().unwrap();
    assert_eq!(numbers(&tx), [1, 2, 3]);
    assert!(f.state.next_tx().is_none());
}

#[test]
fn without_a_duration_only_size_and_window_close_a_channel() {
    let mut f = Fixture::new(Posting { max_channel_duration: 0, ..posting() });
    f.chain.extend(1, 0);
    f.look(10, 10, 0);
    // Block 1 has origin 0, whose window of 100 blocks ends with block 100; the margin is 4.
    assert!(f.build(95).is_empty());
    let closed = f.build(96);
    assert_eq!(closed[0].reason, CloseReason::SequencingWindow);
}

#[test]
fn a_flush_closes_what_there_is_once() {
    let mut f = Fixture::new(Posting { max_channel_duration: 0, ..posting() });
    f.chain.extend(1, 0);
    f.look(10, 10, 0);
    assert!(f.build(10).is_empty());
    f.state.flush();
    assert_eq!(f.build(10)[0].reason, CloseReason::Flush);
    f.chain.extend(1, 0);
    f.look(10, 10, 0);
    assert!(f.build(10).is_empty());
}

#[test]
fn a_full_channel_is_closed_at_once_and_its_frame_is_used_well() {
    let mut f = fixture(0);
    for _ in 0..30 {
        f.chain.extend(1, 1000);
    }
    f.look(20, 20, 0);
    let closed = f.build(20);
    assert!((2..=4).contains(&closed.len()), "{closed:?}");
    let mut next = 1;
    for channel in &closed {
        assert_eq!((channel.reason, channel.frames), (CloseReason::Full, 1), "{channel:?}");
        assert!((8_000..10_000).contains(&channel.output_bytes), "{channel:?}");
        assert_eq!(channel.first, next);
        next = channel.last + 1;
    }
}

#[test]
fn a_block_larger_than_a_channel_takes_several_frames_in_order() {
    let mut f = fixture(0);
    f.chain.extend(40, 1000);
    let txs = f.post(5, 0);
    assert!(txs.len() >= 4, "{}", txs.len());
    for (index, tx) in txs.iter().enumerate() {
        let last = index + 1 == txs.len();
        assert_eq!(tx.frames.len(), 1);
        assert_eq!(usize::from(tx.frames[0].number), index);
        assert_eq!(tx.frames[0].is_last, last);
        assert_eq!(numbers(tx), if last { vec![1] } else { vec![] });
        let expected = if last { Confirmation::Complete } else { Confirmation::Partial };
        assert_eq!(f.confirm(tx, 7), expected);
    }
}

#[test]
fn while_a_channel_waits_for_its_turn_the_next_one_fills() {
    let mut f = fixture(2);
    f.look(5, 5, 0);
    f.build(5);
    assert_eq!(f.build(6).len(), 1);
    for head in 7..10 {
        f.chain.extend(1, 0);
        f.look(5, head, 0);
        assert!(f.build(head).is_empty(), "L1 {head}");
    }
    f.state.next_tx().unwrap();
    let closed = f.build(10);
    assert_eq!((closed[0].first, closed[0].last), (3, 5));
}

#[test]
fn confirmed_channels_stay_until_their_blocks_are_safe() {
    let mut f = fixture(3);
    let txs = f.post(5, 0);
    assert_eq!(txs.len(), 1);
    assert_eq!(f.confirm(&txs[0], 7), Confirmation::Complete);
    // Derivation has not passed block 7 yet.
    assert_eq!(f.look(7, 8, 0).reset, None);
    assert_eq!(f.state.pending_blocks(), 3);
    assert_eq!(f.look(8, 9, 3).reset, None);
    assert_eq!(f.state.pending_blocks(), 0);
    assert_eq!(f.confirm(&txs[0], 7), Confirmation::Stale);
}

#[test]
fn a_confirmed_channel_that_derivation_passed_over_is_posted_again() {
    let mut f = fixture(3);
    let txs = f.post(5, 0);
    f.confirm(&txs[0], 7);
    let plan = f.look(8, 9, 0);
    let (channel, last_block) = (txs[0].channel, 3);
    assert_eq!(plan.reset, Some(ResetReason::ChannelLost { channel, last_block }));
    assert_eq!(plan.load, Some(1..=3));
    let again = f.post(9, 0);
    assert_eq!(numbers(&again[0]), [1, 2, 3]);
    assert_ne!(again[0].channel, channel);
}

#[test]
fn after_several_losses_in_a_row_posting_rests_until_the_safe_head_moves() {
    let mut f = fixture(3);
    let mut head = 10;
    let mut rests = Vec::new();
    for _ in 0..3 {
        let txs = f.post(head, 0);
        f.confirm(&txs[0], head + 2);
        f.look(head + 3, head + 4, 0);
        head += 4;
        rests.push(match f.state.may_send(head) {
            Ok(()) => 0,
            Err(WaitReason::Resting { until }) => until - head,
            Err(other) => panic!("{other}"),
        });
        head += rests.last().unwrap();
        assert_eq!(f.state.may_send(head), Ok(()));
    }
    assert_eq!(rests, [0, 2, 4]);
    let txs = f.post(head, 0);
    f.confirm(&txs[0], head + 2);
    f.look(head + 3, head + 4, 0);
    assert!(f.state.may_send(head + 4).is_err());
    f.look(head + 4, head + 4, 1);
    assert_eq!(f.state.may_send(head + 4), Ok(()));
}

#[test]
fn nothing_is_posted_after_the_sequencing_window() {
    let mut f = fixture(3);
    f.look(5, 5, 0);
    f.build(5);
    // Block 1 has origin 0 and a window of 100: L1 block 100 may still include it.
    assert_eq!(f.state.may_send(99), Ok(()));
    let passed = WaitReason::WindowPassed { block: 1, l1_origin: 0, window_end: 100 };
    assert_eq!(f.state.may_send(100), Err(passed));
    // Neither closing the channel nor reading the blocks again changes that.
    f.build(100);
    assert_eq!(f.state.may_send(100), Err(passed));
    f.state.clear();
    f.look(100, 100, 0);
    assert_eq!(f.state.may_send(100), Err(passed));
    // The node derives other blocks in their place, and the sequencer builds on those.
    f.chain.reorg(0);
    let plan = f.look(101, 101, 2);
    assert_eq!(plan.reset, Some(ResetReason::L2Reorg { number: 2 }));
    assert_eq!(f.state.may_send(99), Ok(()));
}

#[test]
fn a_failed_transaction_takes_its_channel_and_later_ones_with_it() {
    let mut f = fixture(2);
    let first = f.post(5, 0).remove(0);
    f.chain.extend(1, 0);
    let second = f.post(7, 0).remove(0);
    f.chain.extend(1, 0);
    let third = f.post(9, 0).remove(0);
    assert_eq!(
        (numbers(&first), numbers(&second), numbers(&third)),
        (vec![1, 2], vec![3], vec![4])
    );
    assert_eq!(f.confirm(&first, 7), Confirmation::Complete);
    f.state.tx_failed(second.channel);
    assert_eq!(f.confirm(&third, 10), Confirmation::Stale);
    let again = f.post(11, 2);
    assert_eq!(again.len(), 1);
    assert_eq!(numbers(&again[0]), [3, 4]);
    // A failure of something already given up changes nothing.
    f.state.tx_failed(third.channel);
    assert!(f.state.next_tx().is_none());
}

#[test]
fn a_channel_spread_over_too_many_l1_blocks_is_posted_again() {
    // Granite's timeout is 50 blocks.
    for (second, expected) in [(60, Confirmation::Complete), (61, Confirmation::TimedOut)] {
        let mut f = fixture(0);
        f.chain.extend(12, 1000);
        let txs = f.post(8, 0);
        assert_eq!(txs.len(), 2);
        assert_eq!(f.confirm(&txs[0], 10), Confirmation::Partial);
        assert_eq!(f.confirm(&txs[1], second), expected);
        let complete = expected == Confirmation::Complete;
        assert_eq!(f.post(62, u64::from(complete)).is_empty(), complete);
    }
}

#[test]
fn frames_that_would_come_too_late_are_not_sent_any_more() {
    let mut f = fixture(0);
    f.chain.extend(12, 1000);
    f.look(8, 8, 0);
    f.build(8);
    f.build(9);
    let first = f.state.next_tx().unwrap();
    f.confirm(&first, 10);
    // The timeout is 50, the margin 4.
    assert!(f.look(10, 55, 0).timed_out.is_empty());
    assert_eq!(f.look(10, 56, 0).timed_out, [first.channel]);
    assert!(f.state.next_tx().is_none());
    let again = f.post(57, 0);
    assert_eq!(again[0].frames[0].number, 0);
    assert_ne!(again[0].channel, first.channel);
}

#[test]
fn blocks_that_became_safe_leave_the_open_channel() {
    let mut f = fixture(4);
    f.look(5, 5, 0);
    f.build(5);
    f.look(5, 5, 2);
    f.build(5);
    f.build(6);
    assert_eq!(numbers(&f.state.next_tx().unwrap()), [3, 4]);
}

#[test]
fn compression_follows_the_fork_unless_zlib_is_asked_for() {
    let first_byte = |fork, compression| {
        let mut chain = Chain::new(fork);
        chain.extend(1, 0);
        let mut f = Fixture::with(chain, Posting { compression, ..posting() }, false);
        f.post(5, 0)[0].frames[0].data[0]
    };
    assert_eq!(first_byte(Hardfork::Fjord, CompressionAlgo::Auto), 1);
    assert_eq!(first_byte(Hardfork::Fjord, CompressionAlgo::Zlib) & 0x0f, 8);
    assert_eq!(first_byte(Hardfork::Ecotone, CompressionAlgo::Auto) & 0x0f, 8);
    assert_eq!(first_byte(Hardfork::Ecotone, CompressionAlgo::Brotli) & 0x0f, 8);
}

#[test]
fn a_channel_holds_the_batches_asked_for_from_delta_on() {
    let batches = |fork, batch_type| {
        let mut chain = Chain::new(fork);
        for transactions in [1, 0, 2] {
            chain.extend(transactions, 0);
        }
        let mut f = Fixture::with(chain, Posting { batch_type, ..posting() }, false);
        let data = f.post(5, 0)[0].frames[0].data.clone();
        let mut reader = ChannelReader::new(&data, 1_000_000, true).unwrap();
        std::iter::from_fn(|| reader.next_batch()).map(Result::unwrap).collect::<Vec<_>>()
    };
    let singular = |batches: &[Batch]| {
        batches.len() == 3 && batches.iter().all(|batch| matches!(batch, Batch::Singular(_)))
    };
    assert!(singular(&batches(Hardfork::Canyon, BatchType::Span)), "before Delta");
    assert!(singular(&batches(Hardfork::Delta, BatchType::Singular)));
    let [Batch::Span(span)] = &batches(Hardfork::Delta, BatchType::Span)[..] else {
        panic!("not one span")
    };
    assert_eq!((span.block_count(), span.tx_count(), span.l1_origin_num), (3, 3, 1));
}

#[test]
fn delta_counts_from_the_first_blocks_l1_origin_on() {
    let mut chain = Chain::new(Hardfork::Canyon);
    for _ in 0..8 {
        chain.extend(0, 0);
    }
    let config = Arc::make_mut(&mut chain.config);
    // Active from L1 block 3 on, which is the origin of block 6.
    config.schedule.set(Hardfork::Delta, Some(l1(3).timestamp));
    let mut f = Fixture::with(chain, posting(), false);
    let is_span = |txs: &[TxData]| {
        let mut reader = ChannelReader::new(&txs[0].frames[0].data, 1_000_000, true).unwrap();
        matches!(reader.next_batch(), Some(Ok(Batch::Span(_))))
    };
    assert!(!is_span(&f.post(5, 0)), "begins with block 1");
    f.state.clear();
    assert!(!is_span(&f.post(7, 4)), "begins with block 5");
    f.state.clear();
    assert!(is_span(&f.post(9, 5)), "begins with block 6");
}

#[test]
fn older_nodes_without_a_local_safe_head_are_understood() {
    let f = fixture(2);
    let status = serde_json::json!({
        "current_l1": l1(3), "head_l1": l1(4), "unsafe_l2": f.chain.reference(2),
        "safe_l2": f.chain.reference(1), "queued_unsafe_l2": null,
    });
    let status: SyncStatus = serde_json::from_value(status).unwrap();
    assert_eq!(status.safe(), f.chain.reference(1));
    assert_eq!((status.current_l1, status.head_l1), (l1(3), l1(4)));
}

#[test]
fn channels_have_the_ids_given() {
    let mut f = fixture(1);
    assert_eq!(f.post(5, 0)[0].channel, ChannelId([1; 16]));
}

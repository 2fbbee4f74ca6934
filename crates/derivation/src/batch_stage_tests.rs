//! Rules of the batch stage, each once kept and once broken. Spec: holocene/derivation.md.
#![allow(clippy::unwrap_used)]

use alloc::vec;
use alloc::vec::Vec;

use alloy_primitives::B256;
use opal_protocol::{Hardfork, SingularBatch};

use super::*;
use crate::test_utils::{Rig, batch, encode_span, l1_ref, safe_head};

struct Bench {
    rig: Rig,
    stage: BatchStage,
    parent: L2BlockRef,
}

impl Bench {
    /// The epochs 100 to 103 are read, batches come out of L1 block 103.
    fn new() -> Self {
        let mut bench = Self {
            rig: Rig::new(Hardfork::Holocene, 100),
            stage: BatchStage::new(Epochs::new(l1_ref(100))),
            parent: safe_head(),
        };
        for origin in 101..=103 {
            bench.open(origin);
        }
        bench
    }

    fn open(&mut self, origin: u64) {
        self.rig.open(origin);
        self.stage.epochs.update(l1_ref(origin), &self.parent);
    }

    fn pull(&mut self) -> Pull<SingularBatch> {
        loop {
            let (pipeline, mut ctx) = self.rig.parts();
            match self.stage.next_batch(pipeline, &self.parent, &mut ctx) {
                Err(Stall::Again) => {}
                other => return other,
            }
        }
    }

    /// Whether all of L1 so far is read and gives no batch.
    fn is_eof(&mut self) -> bool {
        matches!(self.pull(), Err(Stall::Eof))
    }

    /// The next batch becomes a block; its time.
    fn accept(&mut self) -> u64 {
        let batch = self.pull().unwrap();
        self.parent.hash = hash(batch.timestamp);
        self.parent.number += 1;
        self.parent.timestamp = batch.timestamp;
        self.parent.l1_origin = batch.epoch();
        batch.timestamp
    }

    fn post(&mut self, batches: &[SingularBatch]) {
        let encoded: Vec<_> = batches.iter().map(SingularBatch::encode_for_channel).collect();
        self.rig.post(&encoded);
    }
}

fn hash(timestamp: u64) -> B256 {
    B256::repeat_byte(timestamp as u8)
}

/// A batch on top of the one before it, as [`Bench::accept`] makes blocks of them.
fn chained(timestamp: u64) -> SingularBatch {
    match timestamp {
        1210 => batch(timestamp),
        _ => SingularBatch { parent_hash: hash(timestamp - 2), ..batch(timestamp) },
    }
}

/// "Batch Queue": batches come in order, in and across channels.
#[test]
fn batches_in_order_are_taken() {
    let mut b = Bench::new();
    b.post(&[chained(1210), chained(1212)]);
    b.post(&[chained(1214)]);
    assert_eq!([b.accept(), b.accept(), b.accept()], [1210, 1212, 1214]);
    assert!(b.is_eof() && b.rig.dropped.is_empty());
}

/// "Batch Queue": what is of the future is dropped, not kept, and its channel with it ("Fast
/// Channel Invalidation"); the next channel is read.
#[test]
fn a_batch_of_the_future_is_dropped_with_its_channel() {
    let mut b = Bench::new();
    b.post(&[chained(1212), chained(1210)]);
    assert!(b.is_eof());
    assert_eq!(b.rig.reasons(), [DropReason::Future]);
    b.post(&[chained(1212)]);
    b.post(&[chained(1210)]);
    assert_eq!(b.accept(), 1210);
    assert_eq!(b.rig.reasons(), [DropReason::Future]);
    // It was not put aside for now.
    assert!(b.is_eof());
}

/// "Batch Queue": what is of the past is dropped alone; the channel goes on.
#[test]
fn a_batch_of_the_past_is_dropped_alone() {
    let mut b = Bench::new();
    b.post(&[batch(1206), batch(1208), chained(1210), batch(1208), chained(1212)]);
    assert_eq!([b.accept(), b.accept()], [1210, 1212]);
    assert_eq!(b.rig.reasons(), [DropReason::Past; 3]);
}

/// "Fast Channel Invalidation".
#[test]
fn an_invalid_batch_drops_the_rest_of_its_channel() {
    let mut b = Bench::new();
    let invalid = SingularBatch { parent_hash: B256::ZERO, ..batch(1212) };
    b.post(&[chained(1210), invalid, chained(1212)]);
    b.post(&[chained(1212)]);
    assert_eq!(b.accept(), 1210);
    assert_eq!(b.accept(), 1212);
    assert_eq!(b.rig.reasons(), [DropReason::Parent]);
    assert!(b.is_eof());
}

/// "Span Batches": blocks before an invalid one stand, those after it and the rest of the channel
/// are dropped.
#[test]
fn an_invalid_block_of_a_span_drops_what_follows_and_nothing_before() {
    let mut b = Bench::new();
    // The third block is before its origin (1224), and so would be the fourth.
    let blocks = [(100, 1210), (101, 1212), (102, 1214), (102, 1216)];
    let span = encode_span(safe_head().hash, 100, &blocks);
    b.rig.post(&[span, chained(1214).encode_for_channel()]);
    assert_eq!([b.accept(), b.accept()], [1210, 1212]);
    assert!(b.is_eof());
    let dropped: Vec<_> = b.rig.dropped.drain(..).collect();
    let reason = DropReason::BeforeOrigin;
    assert_eq!(dropped, [Dropped::Batch { timestamp: 1214, reason }, Dropped::SpanRest(1)]);
}

/// "Span Batches": origin check, parent check and a start after the next block's time invalidate
/// the span, and drop the channel.
#[test]
fn an_invalid_span_prefix_drops_the_rest_of_the_channel() {
    let good = encode_span(safe_head().hash, 100, &[(100, 1210), (100, 1212)]);
    let single = batch(1210).encode_for_channel();
    let mut b = Bench::new();
    b.rig.post(&[good.clone(), single.clone()]);
    assert_eq!([b.accept(), b.accept()], [1210, 1212]);
    let mut other_l1 = good.clone();
    // Of the last 20 bytes before block count, origin bits and two counts.
    let at = other_l1.len() - 5;
    other_l1[at] ^= 1;
    let stranger = encode_span(hash(1), 100, &[(100, 1210), (100, 1212)]);
    let future = encode_span(safe_head().hash, 100, &[(100, 1212)]);
    // Its second block has a time beyond 64 bits: it is no less of the future.
    let far_future = encode_span(safe_head().hash, 100, &[(100, u64::MAX), (100, 1)]);
    for (span, reason) in [
        (far_future, DropReason::Future),
        (other_l1, DropReason::EpochHash),
        (stranger, DropReason::Parent),
        (future, DropReason::Future),
    ] {
        let mut b = Bench::new();
        b.rig.post(&[span, single.clone()]);
        assert!(b.is_eof());
        assert_eq!(b.rig.reasons(), [reason]);
    }
}

/// "Span Batches": a span of the past is dropped alone.
#[test]
fn a_span_of_the_past_is_dropped_alone() {
    let mut b = Bench::new();
    let past = encode_span(hash(1204), 100, &[(100, 1206), (100, 1208)]);
    b.rig.post(&[past, batch(1210).encode_for_channel()]);
    assert_eq!(b.accept(), 1210);
    assert_eq!(b.rig.reasons(), [DropReason::Past]);
}

fn safe_block(number: u64, epoch: u64) -> crate::SafeBlock {
    let l1_origin = l1_ref(epoch).id();
    let reference = L2BlockRef { number, hash: hash(1206), l1_origin, ..safe_head() };
    crate::SafeBlock { reference, transactions: vec![] }
}

/// "Span Batches": a span may overlap the safe chain, of which only the parent is looked at.
#[test]
fn a_span_may_overlap_the_safe_chain() {
    let mut b = Bench::new();
    b.rig.post(&[encode_span(hash(1206), 100, &[(100, 1208), (100, 1210)])]);
    for _ in 0..2 {
        let needed = b.pull().unwrap_err();
        assert!(matches!(needed, Stall::Need(Request::L2Block { number: 499 })), "{needed:?}");
    }
    b.rig.inbox.l2_blocks.insert(499, safe_block(499, 100));
    assert_eq!(b.accept(), 1210);
    assert!(b.is_eof() && b.rig.dropped.is_empty() && b.rig.inbox.l2_blocks.is_empty());
}

/// "Span Batches", the note: an overlapping span whose first block after the safe head has an epoch
/// older than the safe head's is invalid, and no critical error.
#[test]
fn an_overlapping_span_with_an_outdated_epoch_is_dropped() {
    for (safe_epoch, taken) in [(100, true), (101, false)] {
        let mut b = Bench::new();
        b.parent.timestamp = 1214;
        b.parent.l1_origin = l1_ref(safe_epoch).id();
        let span = encode_span(hash(1206), 100, &[(100, 1214), (100, 1216), (101, 1218)]);
        b.rig.post(&[span, SingularBatch { ..batch(1216) }.encode_for_channel()]);
        b.rig.inbox.l2_blocks.insert(499, safe_block(499, 100));
        assert_eq!(b.pull().is_ok(), taken);
        assert_eq!(b.rig.reasons(), Vec::from_iter((!taken).then_some(DropReason::EpochTooOld)));
    }
}

/// A span whose last epoch is not read is lost; the channel goes on, as in the reference node
/// (docs/deviations.md).
#[test]
fn an_undecided_span_is_lost_without_its_channel() {
    let mut b = Bench::new();
    let ahead = encode_span(
        safe_head().hash,
        100,
        &[(100, 1210), (101, 1212), (102, 1224), (103, 1236), (104, 1248)],
    );
    b.rig.post(&[ahead, batch(1210).encode_for_channel()]);
    assert_eq!(b.accept(), 1210);
    assert_eq!(b.rig.reasons(), [DropReason::OriginUnknown]);
    b.open(104);
    assert!(b.is_eof());
}

/// "Engine Queue": when execution refuses a block, the rest of its span and of its channel goes.
#[test]
fn a_refused_block_drops_the_rest_of_its_span_and_channel() {
    let mut b = Bench::new();
    let span = encode_span(safe_head().hash, 100, &[(100, 1210), (100, 1212), (100, 1214)]);
    b.rig.post(&[span, chained(1212).encode_for_channel()]);
    b.accept();
    let (pipeline, mut ctx) = b.rig.parts();
    b.stage.flush(pipeline, &mut ctx);
    assert!(b.is_eof());
    assert_eq!(b.rig.dropped.drain(..).collect::<Vec<_>>(), [Dropped::SpanRest(2)]);
    b.post(&[chained(1212)]);
    assert_eq!(b.accept(), 1212);
}

/// A channel completed no later than the parent's epoch holds only past batches: it is read and
/// forgotten.
#[test]
fn batches_up_to_the_parents_epoch_are_read_and_forgotten() {
    for (origin, taken) in [(99, false), (100, false), (101, true)] {
        let mut b = Bench::new();
        b.rig = Rig::new(Hardfork::Holocene, origin);
        b.stage = BatchStage::new(Epochs::new(l1_ref(origin.min(100))));
        b.open(origin);
        b.post(&[batch(1210), batch(1210)]);
        assert_eq!(b.pull().is_ok(), taken, "{origin}");
    }
}

/// "Batch Queue": empty batches as before, when all batches of the window have been read.
#[test]
fn an_empty_batch_comes_when_all_batches_of_the_window_are_read() {
    for posted in [true, false] {
        let mut b = Bench::new();
        for origin in 104..=110 {
            assert!(b.is_eof(), "{origin}");
            b.open(origin);
        }
        if posted {
            b.post(&[batch(1210)]);
        }
        assert_eq!(b.pull().unwrap().transactions.is_empty(), !posted);
    }
}

/// Two epochs are always at hand, if derivation began at a safe head.
#[test]
fn without_a_second_epoch_the_start_was_wrong() {
    let mut b = Bench::new();
    b.stage = BatchStage::new(Epochs::new(l1_ref(103)));
    let error = b.pull().unwrap_err();
    assert!(matches!(error, Stall::Critical(CriticalError::MissingEpochs { held: 1, .. })));
    assert!(Bench::new().is_eof());
}

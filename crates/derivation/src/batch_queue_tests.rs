//! Rules of the batch queue, each once kept and once broken.
#![allow(clippy::unwrap_used)]

use alloc::vec;

use opal_protocol::Hardfork;

use super::*;
use crate::test_utils::{Rig, batch, encode_span, l1_ref, safe_head, tx};

struct Bench {
    rig: Rig,
    queue: BatchQueue,
    parent: L2BlockRef,
}

/// What the queue came to: a batch's time and whether it closes its span, or why there is none.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Batch(u64, bool),
    Eof,
    Need(Request),
}
use Next::{Eof, Need};

impl Bench {
    fn new() -> Self {
        let rig = Rig::new(Hardfork::Granite, 100);
        Self { rig, queue: BatchQueue::new(l1_ref(100)), parent: safe_head() }
    }

    fn pull(&mut self) -> Result<(SingularBatch, bool), Next> {
        loop {
            let (pipeline, mut ctx) = self.rig.parts();
            match self.queue.next_batch(pipeline, &self.parent, &mut ctx) {
                Ok(next) => return Ok(next),
                Err(Stall::Again) => {}
                Err(Stall::Eof) => return Err(Eof),
                Err(Stall::Need(request)) => return Err(Need(request)),
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    fn next(&mut self) -> Next {
        match self.pull() {
            Ok((batch, last)) => Next::Batch(batch.timestamp, last),
            Err(next) => next,
        }
    }

    /// The next batch becomes a block.
    fn accept(&mut self) -> SingularBatch {
        let (batch, _) = self.pull().unwrap();
        self.parent.hash = hash(batch.timestamp);
        self.parent.number += 1;
        self.parent.timestamp = batch.timestamp;
        self.parent.l1_origin = batch.epoch();
        batch
    }

    fn open(&mut self, origin: u64) {
        self.rig.open(origin);
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

/// derivation.md, "Batch Queue": of several acceptable batches the first one on L1 counts.
#[test]
fn the_first_acceptable_batch_in_order_of_l1_is_taken() {
    let mut b = Bench::new();
    let other = SingularBatch { transactions: vec![tx(1), tx(2)], ..batch(1210) };
    b.post(&[other.clone(), batch(1210)]);
    assert_eq!(b.accept(), other);
    assert_eq!(b.next(), Eof);
    assert_eq!(b.rig.reasons(), [DropReason::Past]);
    // An earlier one that is not acceptable does not keep it away.
    let mut b = Bench::new();
    let wrong = SingularBatch { parent_hash: B256::ZERO, ..batch(1210) };
    b.post(&[wrong, batch(1210)]);
    assert_eq!(b.accept(), batch(1210));
    assert_eq!(b.rig.reasons(), [DropReason::Parent]);
}

/// derivation.md, "Batch Queue": a batch of the future stays and is judged again.
#[test]
fn a_batch_of_the_future_waits_for_its_turn() {
    let mut b = Bench::new();
    b.post(&[chained(1214), chained(1212)]);
    assert_eq!(b.next(), Eof);
    assert!(b.rig.dropped.is_empty());
    b.post(&[chained(1210)]);
    for timestamp in [1210, 1212, 1214] {
        assert_eq!(b.accept().timestamp, timestamp);
    }
    assert_eq!(b.next(), Eof);
    assert!(b.rig.dropped.is_empty() && b.queue.batches.is_empty());
}

/// derivation.md, "Batch Queue": while a batch is undecided, no later one is taken.
#[test]
fn an_undecided_batch_holds_up_those_behind_it() {
    let mut b = Bench::new();
    b.parent.timestamp = 1210;
    let here = batch(1212);
    let (epoch_num, epoch_hash) = (101, l1_ref(101).hash);
    let next_epoch = SingularBatch { epoch_num, epoch_hash, ..batch(1212) };
    b.post(&[next_epoch.clone(), here.clone()]);
    assert_eq!(b.next(), Eof);
    b.open(101);
    assert_eq!(b.pull().unwrap().0, next_epoch);
    // In the other order nothing is undecided.
    let mut b = Bench::new();
    b.parent.timestamp = 1210;
    b.post(&[here.clone(), next_epoch]);
    assert_eq!(b.pull().unwrap().0, here);
}

/// derivation.md, "Batch Queue": a dropped batch is not judged again.
#[test]
fn a_dropped_batch_is_gone() {
    let mut b = Bench::new();
    let stranger = SingularBatch { parent_hash: hash(1208), ..batch(1210) };
    b.post(&[stranger.clone(), stranger]);
    assert_eq!(b.next(), Eof);
    assert_eq!(b.rig.reasons(), [DropReason::Parent; 2]);
    // Even if it would fit now.
    b.parent.hash = hash(1208);
    assert_eq!(b.next(), Eof);
}

/// derivation.md, "Batch Queue": empty batches only when no batch can be accepted.
#[test]
fn an_empty_batch_comes_when_no_batch_can_be_accepted() {
    for posted in [true, false] {
        let mut b = Bench::new();
        for origin in 101..=110 {
            assert_eq!(b.next(), Eof);
            b.open(origin);
        }
        if posted {
            b.post(&[batch(1210)]);
        }
        assert_eq!(b.accept().transactions.is_empty(), !posted);
    }
}

/// derivation.md, "Batch Queue": batches of L1 blocks before the parent's epoch do not count, but
/// are read.
#[test]
fn batches_before_the_parents_epoch_are_read_and_forgotten() {
    for (origin, taken) in [(99, false), (100, true)] {
        let mut b = Bench::new();
        b.queue = BatchQueue::new(l1_ref(origin));
        b.rig = Rig::new(Hardfork::Granite, origin);
        b.post(&[batch(1210)]);
        assert_eq!(b.next() == Next::Batch(1210, true), taken);
        assert!(b.queue.batches.is_empty());
        assert_eq!(b.next(), if taken { Next::Eof } else { Eof });
    }
}

/// delta/span-batches.md, "Batch Queue": a span gives its blocks one by one; only the last one
/// concludes. If one of them does not become a block, all of the span is void.
#[test]
fn a_span_gives_its_blocks_and_is_void_as_a_whole() {
    let span = encode_span(safe_head().hash, 100, &[(100, 1210), (100, 1212), (100, 1214)]);
    let mut b = Bench::new();
    b.rig.post(core::slice::from_ref(&span));
    for (timestamp, last) in [(1210, false), (1212, false), (1214, true)] {
        assert_eq!(b.next(), Next::Batch(timestamp, last));
        b.parent.timestamp = timestamp;
    }
    let mut b = Bench::new();
    b.rig.post(&[span, batch(1210).encode_for_channel()]);
    assert_eq!(b.next(), Next::Batch(1210, false));
    b.parent.timestamp = 1210;
    assert_eq!(b.next(), Next::Batch(1212, false));
    // Execution refuses that one: back to the safe head, where the next batch counts.
    b.parent = safe_head();
    assert_eq!(b.accept(), batch(1210));
}

/// delta/span-batches.md, "Batch Queue": a span stands among batches of the other version by the
/// order of L1.
#[test]
fn spans_and_singular_batches_share_the_queue() {
    let span = encode_span(safe_head().hash, 100, &[(100, 1210), (100, 1212)]);
    let single = batch(1210).encode_for_channel();
    let mut b = Bench::new();
    b.rig.post(&[single.clone(), span.clone()]);
    assert_eq!(b.next(), Next::Batch(1210, true));
    let mut b = Bench::new();
    b.rig.post(&[span, single]);
    assert_eq!(b.next(), Next::Batch(1210, false));
}

/// delta/span-batches.md, "Batch Queue": a span that overlaps the safe chain is compared with it. A
/// missing block leaves no trace: whenever it comes, the answer is the same.
#[test]
fn an_overlapping_span_asks_for_the_blocks_of_the_safe_chain() {
    let mut b = Bench::new();
    b.rig.post(&[encode_span(hash(1206), 100, &[(100, 1208), (100, 1210)])]);
    for number in [499, 500] {
        assert_eq!(b.next(), Need(Request::L2Block { number }));
        assert_eq!(b.next(), Need(Request::L2Block { number }));
        let reference = L2BlockRef { number, hash: hash(1206), ..safe_head() };
        let safe = crate::SafeBlock { reference, transactions: vec![] };
        b.rig.inbox.l2_blocks.insert(number, safe);
    }
    assert_eq!(b.next(), Next::Batch(1210, true));
    assert!(b.rig.inbox.l2_blocks.is_empty());
}

/// Batches that can't become valid are not kept until their time: the queue holds what L1 carries in
/// a sequencing window.
#[test]
fn a_batch_of_the_future_that_cannot_become_valid_is_not_kept() {
    let with_epoch = |number: u64| {
        let hash = l1_ref(number).hash;
        SingularBatch { epoch_num: number, epoch_hash: hash, ..batch(9000) }
    };
    for (epoch, reason) in [
        (99, Some(DropReason::EpochTooOld)),
        (100, None),
        (110, None),
        (111, Some(DropReason::EpochHash)),
        (1 << 50, Some(DropReason::EpochHash)),
    ] {
        let mut b = Bench::new();
        for origin in 101..=110 {
            b.open(origin);
            assert_eq!(b.next() == Eof, origin < 110);
        }
        b.post(&[with_epoch(epoch)]);
        b.pull().unwrap();
        assert_eq!(b.queue.batches.len(), usize::from(reason.is_none()), "{epoch}");
        assert_eq!(b.rig.reasons(), Vec::from_iter(reason));
    }
    // Nor is one that the window shuts out: 100 + 10 < 111.
    let mut b = Bench::new();
    for origin in 101..=111 {
        b.open(origin);
        b.next();
    }
    b.post(&[with_epoch(100)]);
    b.pull().unwrap();
    assert_eq!(b.rig.reasons(), [DropReason::IncludedTooLate]);
}

/// As long as nothing changed, batches of the future are not judged again for each batch read.
#[test]
fn many_batches_of_the_future_are_judged_once() {
    let mut b = Bench::new();
    let many: Vec<_> = (0..5000).map(|i| batch(2000 + 2 * i)).collect();
    b.post(&many);
    assert_eq!(b.next(), Eof);
    assert_eq!((b.queue.batches.len(), b.queue.judged.1), (5000, 5000));
    b.post(&[chained(1210)]);
    assert_eq!(b.accept().timestamp, 1210);
    assert_eq!(b.next(), Eof);
    assert_eq!(b.queue.judged.0.0, b.parent.hash);
    assert_eq!((b.queue.batches.len(), b.queue.judged.1), (5000, 5000));
}

/// What waits does not hold the channel that it came in, however much else is in there.
#[test]
fn what_waits_holds_its_own_memory_alone() {
    let mut b = Bench::new();
    let span = |from: u64| encode_span(hash(9), 100, &[(100, from), (100, from + 2)]);
    let filler = SingularBatch { transactions: vec![vec![1; 100_000].into()], ..batch(1200) };
    let filler = filler.encode_for_channel();
    let singular = |time| batch(time).encode_for_channel();
    let row =
        [span(1300), filler.clone(), span(1310), singular(1320), filler.clone(), singular(1330)];
    b.rig.post(&row);
    assert_eq!(b.next(), Eof);
    assert_eq!(b.rig.reasons(), [DropReason::Past; 2]);
    let own = |waiting: &Waiting| match &waiting.batch {
        DecodedBatch::Span(span) => (span.columns().as_ptr() as usize, span.size()),
        DecodedBatch::Singular(batch) => (batch.transactions[0].as_ptr() as usize, 0),
    };
    let places: Vec<_> = b.queue.batches.iter().map(own).collect();
    assert!(places[0].1 < 500, "{places:?}");
    // In the channel they would be as far apart as what is between them is long.
    let apart = |i: usize| places[i + 1].0.wrapping_sub(places[i].0);
    assert_eq!(places.len(), 4);
    assert_ne!(apart(0), span(1300).len() + filler.len());
    assert_ne!(apart(2), singular(1320).len() + filler.len());
}

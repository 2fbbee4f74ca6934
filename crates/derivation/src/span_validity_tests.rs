//! Rules of span batches, each once kept and once broken. Spec: delta/span-batches.md, "Batch
//! Queue", whose order this file has; what Holocene changes is in holocene/derivation.md, "Span
//! Batches".
#![allow(clippy::unwrap_used)]

use alloc::vec;
use alloc::vec::Vec;

use alloy_primitives::{B256, Bytes};
use opal_protocol::span_batch::{RawSpanBatch, SpanBatch, SpanBatchError, SpanTxError};
use opal_protocol::{Hardfork, L2BlockRef};

use crate::batch_validity::*;
use crate::batch_validity_tests::Case;
use crate::test_utils::{l1_ref, safe_head, span, span_tx as tx};
use DropReason as R;

type Blocks<'a> = &'a [(u64, u64)];

/// A span on top of the safe head, each block (epoch and time) with one transaction.
fn on_head(blocks: Blocks<'_>) -> SpanBatch {
    on(safe_head().hash, blocks, vec![tx(2)])
}

fn on(parent: B256, blocks: Blocks<'_>, transactions: Vec<Bytes>) -> SpanBatch {
    let blocks: Vec<_> = blocks.iter().map(|b| (b.0, b.1, transactions.clone())).collect();
    span(parent, &blocks)
}

/// Two blocks in epoch 100, one in 101.
const GOOD: Blocks<'static> = &[(100, 1210), (101, 1212), (101, 1214)];

fn check(case: &Case, span: &SpanBatch) -> Verdict {
    check_span_batch(&case.context(), span)
}

/// The verdict of all that is checked from Holocene on, before blocks are taken one by one.
fn prefix(case: &Case, span: &SpanBatch) -> Verdict {
    match check_span_prefix(&case.context(), span) {
        Ok(_) => Verdict::Accept,
        Err(verdict) => verdict,
    }
}

/// The verdict before Holocene.
fn granite(change: impl FnOnce(&mut Case), span: &SpanBatch) -> Verdict {
    let mut case = Case::new(Hardfork::Granite);
    change(&mut case);
    check(&case, span)
}

#[test]
fn a_span_that_keeps_all_rules_is_accepted() {
    let case = Case::new(Hardfork::Granite);
    assert_eq!(check(&case, &on_head(GOOD)), Verdict::Accept);
    let batches = SingularBatches::new(on_head(GOOD), &case.l1, &case.safe).unwrap();
    let epochs: Vec<_> = batches.map(|b| (b.timestamp, b.epoch())).collect();
    let [first, second] = [l1_ref(100).id(), l1_ref(101).id()];
    assert_eq!(epochs, [(1210, first), (1212, second), (1214, second)]);
}

#[test]
fn the_next_epoch_of_a_span_must_be_known() {
    let next = on_head(&[(101, 1212)]);
    let at = |known| {
        granite(
            |c| {
                c.safe.timestamp = 1210;
                c.l1.truncate(known);
            },
            &next,
        )
    };
    assert_eq!(at(2), Verdict::Accept);
    assert_eq!(at(1), Verdict::Undecided);
    assert_eq!(at(0), Verdict::Undecided);
}

/// "Span Batch Activation Rule": by the time of the L1 origin of the span's first block.
#[test]
fn spans_need_delta_by_the_time_of_their_first_origin() {
    let at = |delta, blocks| {
        granite(
            |c| {
                c.safe.timestamp = 1210;
                c.config.schedule.set(Hardfork::Delta, Some(delta));
            },
            &on_head(blocks),
        )
    };
    assert_eq!(at(1200, &[(100, 1212)]), Verdict::Accept);
    assert_eq!(at(1201, &[(100, 1212)]), Verdict::Drop(R::BeforeDelta));
    // Neither the time of its blocks counts, nor that of later origins.
    assert_eq!(at(1201, &[(100, 1212), (101, 1214)]), Verdict::Drop(R::BeforeDelta));
    assert_eq!(at(1212, &[(101, 1212)]), Verdict::Accept);
    assert_eq!(at(1213, &[(101, 1212)]), Verdict::Drop(R::BeforeDelta));
}

/// Before Holocene it is to be judged again; from then on it is dropped.
#[test]
fn a_span_after_the_next_timestamp_is_of_the_future() {
    for (fork, future) in
        [(Hardfork::Granite, Verdict::Future), (Hardfork::Holocene, Verdict::Drop(R::Future))]
    {
        let case = Case::new(fork);
        assert_eq!(prefix(&case, &on_head(&[(100, 1210)])), Verdict::Accept);
        assert_eq!(prefix(&case, &on_head(&[(100, 1211)])), future);
        assert_eq!(prefix(&case, &on_head(&[(100, u64::MAX)])), future);
    }
}

/// A span needs a block after the safe head. From Holocene on one without does not invalidate its
/// channel.
#[test]
fn a_span_without_a_new_block_is_of_the_past() {
    for (fork, past) in
        [(Hardfork::Granite, Verdict::Drop(R::Past)), (Hardfork::Holocene, Verdict::Past)]
    {
        let mut case = Case::new(fork);
        overlapped(&mut case);
        let until = |last| on(B256::repeat_byte(0x98), &[(100, 1206), (100, last)], vec![tx(1)]);
        assert_eq!(prefix(&case, &until(1210)), Verdict::Accept);
        assert_eq!(prefix(&case, &until(1209)), past);
        assert_eq!(prefix(&case, &until(1208)), past);
    }
}

/// The blocks 498 to 500 (the safe head), at times 1204 to 1208, each with one transaction.
fn overlapped(case: &mut Case) {
    for (number, hash) in [(498, 0x98), (499, 0x99), (500, 0xaa)] {
        let reference = L2BlockRef {
            hash: B256::repeat_byte(hash),
            number,
            timestamp: 1208 - 2 * (500 - number),
            l1_origin: l1_ref(100).id(),
            ..L2BlockRef::default()
        };
        case.safe_blocks.insert(number, SafeBlock { reference, transactions: vec![tx(1)] });
    }
}

#[test]
fn a_span_is_aligned_with_the_blocks_of_the_safe_chain() {
    let case =
        |blocks: Blocks<'_>| granite(overlapped, &on(B256::repeat_byte(0x98), blocks, vec![tx(1)]));
    assert_eq!(case(&[(100, 1206), (100, 1208), (100, 1210)]), Verdict::Accept);
    assert_eq!(case(&[(100, 1207), (100, 1211)]), Verdict::Drop(R::Misaligned));
    assert_eq!(case(&[(100, 1209), (100, 1211)]), Verdict::Drop(R::Misaligned));
}

/// A span has a parent in the safe chain: it begins after genesis.
#[test]
fn a_span_before_genesis_is_dropped() {
    let overlapping =
        on(B256::repeat_byte(0x98), &[(100, 1206), (100, 1208), (100, 1210)], vec![tx(1)]);
    let at = |genesis| {
        granite(
            |c| {
                overlapped(c);
                c.config.genesis.l2.number = genesis;
            },
            &overlapping,
        )
    };
    assert_eq!(at(498), Verdict::Accept);
    assert_eq!(at(499), Verdict::Drop(R::BeforeGenesis));
    // Nor does the number wrap.
    assert_eq!(granite(|c| c.safe.number = 1, &overlapping), Verdict::Drop(R::BeforeGenesis));
    assert_eq!(granite(|c| c.safe.number = 2, &overlapping), Verdict::NeedL2Block(0));
}

#[test]
fn the_parent_check_must_match() {
    for blocks in [GOOD, &[(100, 1206), (100, 1208), (100, 1210)]] {
        let parent = if blocks == GOOD { 0xaa } else { 0x98 };
        for (hash, verdict) in [(parent, Verdict::Accept), (0x11, Verdict::Drop(R::Parent))] {
            let span = on(B256::repeat_byte(hash), blocks, vec![tx(1)]);
            assert_eq!(granite(overlapped, &span), verdict);
            let mut holocene = Case::new(Hardfork::Holocene);
            overlapped(&mut holocene);
            assert_eq!(prefix(&holocene, &span), verdict);
        }
    }
}

/// By the epoch of the span's first block, for the span as a whole.
#[test]
fn a_span_is_included_within_the_sequencing_window_of_its_first_epoch() {
    assert_eq!(granite(|c| c.inclusion = l1_ref(110), &on_head(GOOD)), Verdict::Accept);
    let late = granite(|c| c.inclusion = l1_ref(111), &on_head(GOOD));
    assert_eq!(late, Verdict::Drop(R::IncludedTooLate));
}

#[test]
fn a_spans_first_epoch_is_at_most_the_one_after_its_parents() {
    let from =
        |epoch| granite(|c| (c.safe.timestamp = 1222, overlapped(c)).1, &on_head(&[(epoch, 1224)]));
    assert_eq!(from(101), Verdict::Accept);
    assert_eq!(from(102), Verdict::Drop(R::EpochTooFar));
}

#[test]
fn the_origin_check_must_match_the_l1_block_of_the_last_epoch() {
    for fork in [Hardfork::Granite, Hardfork::Holocene] {
        let mut case = Case::new(fork);
        assert_eq!(prefix(&case, &on_head(GOOD)), Verdict::Accept);
        case.l1[1].hash = B256::ZERO;
        assert_eq!(prefix(&case, &on_head(GOOD)), Verdict::Drop(R::EpochHash));
        // Only that of the last is told.
        let mut case = Case::new(fork);
        case.l1[0].hash = B256::ZERO;
        assert_eq!(prefix(&case, &on_head(GOOD)), Verdict::Accept);
    }
}

/// The reference node waits for the L1 block that a span names (docs/deviations.md).
#[test]
fn the_l1_block_of_the_last_epoch_must_be_read() {
    let span = on_head(&[(100, 1210), (101, 1222), (102, 1234), (103, 1246)]);
    for (known, verdict) in [(4, Verdict::Accept), (3, Verdict::Undecided)] {
        for fork in [Hardfork::Granite, Hardfork::Holocene] {
            let mut case = Case::new(fork);
            case.l1.truncate(known);
            assert_eq!(prefix(&case, &span), verdict);
        }
    }
}

#[test]
fn a_spans_first_epoch_is_not_older_than_its_parents() {
    let mut case = Case::new(Hardfork::Granite);
    case.safe.timestamp = 1212;
    case.safe.l1_origin = l1_ref(101).id();
    assert_eq!(prefix(&case, &on_head(&[(101, 1214)])), Verdict::Accept);
    let old = on_head(&[(100, 1214), (101, 1216)]);
    assert_eq!(prefix(&case, &old), Verdict::Drop(R::EpochTooOld));
}

/// A last epoch that lies behind what is kept of L1 is older than the safe head's: it must not be
/// waited for. (From Holocene on, what is undecided is lost in any case.)
#[test]
fn a_last_epoch_before_those_kept_is_too_old() {
    let check = |fork, epoch| prefix(&Case::new(fork), &on_head(&[(epoch, 1210)]));
    assert_eq!(check(Hardfork::Granite, 100), Verdict::Accept);
    assert_eq!(check(Hardfork::Granite, 99), Verdict::Drop(R::EpochTooOld));
    assert_eq!(check(Hardfork::Holocene, 99), Verdict::Undecided);
}

#[test]
fn a_block_of_a_span_is_not_of_an_epoch_before_the_safe_heads() {
    // An overlapping span: its parent's epoch is 100, the safe head's is 101.
    let overlapping = |second| {
        on(B256::repeat_byte(0x98), &[(100, 1206), (100, 1208), second, (101, 1212)], vec![tx(1)])
    };
    let check = |safe_epoch| {
        granite(
            |c| {
                overlapped(c);
                c.safe.l1_origin = l1_ref(safe_epoch).id();
            },
            &overlapping((100, 1210)),
        )
    };
    assert_eq!(check(100), Verdict::Accept);
    assert_eq!(check(101), Verdict::Drop(R::EpochTooOld));
}

#[test]
fn a_block_of_a_span_has_a_known_epoch() {
    // Epochs that do not follow each other can't be encoded; the last one is known here.
    let gap = |known: u64| {
        granite(
            |c| {
                c.l1.retain(|block| block.number != known);
            },
            &on_head(&[(100, 1210), (101, 1224), (102, 1238)]),
        )
    };
    assert_eq!(gap(103), Verdict::Accept);
    assert_eq!(gap(101), Verdict::Drop(R::EpochUnknown));
}

#[test]
fn a_block_of_a_span_is_not_before_its_origin() {
    let second = |time| granite(|_| (), &on_head(&[(100, 1210), (101, time)]));
    assert_eq!(second(1212), Verdict::Accept);
    assert_eq!(second(1211), Verdict::Drop(R::BeforeOrigin));
}

/// Before Fjord the drift is 600 seconds, epoch 100 is at 1200.
fn drift(timestamp: u64, empty: bool, next: Option<u64>) -> Verdict {
    drift_of(&[(100, timestamp)], empty, next)
}

fn drift_of(blocks: Blocks<'_>, empty: bool, next: Option<u64>) -> Verdict {
    let transactions = if empty { vec![] } else { vec![tx(2)] };
    let mut case = Case::new(Hardfork::Ecotone);
    case.safe.timestamp = blocks[0].1 - 2;
    match next {
        Some(time) => case.l1[1].timestamp = time,
        None => case.l1.truncate(1),
    }
    check(&case, &on(case.safe.hash, blocks, transactions))
}

#[test]
fn beyond_the_drift_a_block_of_a_span_has_no_transactions() {
    assert_eq!(drift(1800, false, Some(9000)), Verdict::Accept);
    assert_eq!(drift(1802, false, Some(9000)), Verdict::Drop(R::Drift));
    assert_eq!(drift(1802, true, Some(9000)), Verdict::Accept);
}

#[test]
fn beyond_the_drift_a_block_of_a_span_leaves_its_epoch_if_it_can() {
    assert_eq!(drift(1802, true, Some(1803)), Verdict::Accept);
    assert_eq!(drift(1802, true, Some(1802)), Verdict::Drop(R::DriftEpoch));
    assert_eq!(drift(1800, true, Some(1212)), Verdict::Accept);
}

#[test]
fn beyond_the_drift_the_next_epoch_of_a_span_must_be_known() {
    assert_eq!(drift(1800, true, None), Verdict::Accept);
    assert_eq!(drift(1802, true, None), Verdict::Undecided);
}

#[test]
fn beyond_the_drift_a_span_may_always_change_the_epoch() {
    assert_eq!(drift(1902, true, Some(1212)), Verdict::Drop(R::DriftEpoch));
    assert_eq!(drift_of(&[(101, 1902)], true, Some(1212)), Verdict::Accept);
    let second = drift_of(&[(100, 1800), (101, 1902)], true, Some(1212));
    assert_eq!(second, Verdict::Accept);
    let third = drift_of(&[(100, 1800), (101, 1902), (101, 2004)], true, Some(1212));
    assert_eq!(third, Verdict::Drop(R::DriftEpoch));
}

/// fjord/derivation.md, "Constant Maximum Sequencer Drift": by the time of each block's L1 origin.
#[test]
fn the_drift_of_a_span_is_constant_from_fjord_on_by_the_time_of_the_origin() {
    let at = |fjord, timestamp| {
        let mut case = Case::new(Hardfork::Ecotone);
        case.config.schedule.set(Hardfork::Fjord, Some(fjord));
        case.safe.timestamp = timestamp - 2;
        check(&case, &on_head(&[(100, timestamp)]))
    };
    assert_eq!(at(1200, 3000), Verdict::Accept);
    assert_eq!(at(1200, 3002), Verdict::Drop(R::Drift));
    assert_eq!(at(1201, 1802), Verdict::Drop(R::Drift));
    // A block of the next origin, where it is active.
    let mut case = Case::new(Hardfork::Ecotone);
    case.config.schedule.set(Hardfork::Fjord, Some(1212));
    case.safe.timestamp = 1798;
    let span = |second| on_head(&[(100, 1800), (101, second)]);
    assert_eq!(check(&case, &span(3012)), Verdict::Accept);
    assert_eq!(check(&case, &span(3014)), Verdict::Drop(R::Drift));
}

/// A span of one block with one transaction, whose data column has these bytes.
fn with_data(data: &[u8]) -> Result<SpanBatch, SpanBatchError> {
    // One block, no bits; one transaction, which creates nothing; then r and s, and the recipient.
    let head = [&[0, 0][..], &[0; 40], &[1, 0, 1, 0, 0], &[1; 64], &[7; 20]].concat();
    // Nonce, gas limit, no legacy transaction to be protected.
    let body = [&head[..], data, &[1, 1]].concat();
    RawSpanBatch::decode(&body.into())?.into_span(2, 0, 901)
}

/// Value, two fees, no calldata, no access list.
const DATA: [u8; 7] = [2, 0xc5, 1, 2, 3, 0x80, 0xc0];

/// What is refused here has no form in a span: it is dropped when it is decoded.
#[test]
fn a_transaction_of_a_span_is_not_empty() {
    assert_eq!(with_data(&DATA).unwrap().blocks().next().unwrap().transactions.len(), 1);
    assert!(matches!(with_data(&[]), Err(SpanBatchError::TxData { index: 0, .. })));
    let empty = with_data(&[2, 0xc0]);
    assert!(matches!(empty, Err(SpanBatchError::Transaction { index: 0, .. })));
}

#[test]
fn a_transaction_of_a_span_is_no_deposit() {
    let of = |kind| with_data(&[&[kind], &DATA[1..]].concat());
    assert!(of(2).is_ok());
    let error = SpanTxError::Type(0x7e);
    assert_eq!(of(0x7e), Err(SpanBatchError::Transaction { index: 0, error }));
}

/// isthmus/derivation.md, "Activation": by the timestamp of each block. TRAPS 15.
#[test]
fn set_code_transactions_of_a_span_count_from_isthmus_on_by_the_time_of_the_block() {
    // Included before Holocene, so that the span is checked as a whole.
    let at = |isthmus| {
        let mut case = Case::new(Hardfork::Granite);
        case.config.schedule.set(Hardfork::Isthmus, Some(isthmus));
        check(&case, &on(case.safe.hash, &[(100, 1210), (101, 1212)], vec![tx(4)]))
    };
    assert_eq!(at(1210), Verdict::Accept);
    assert_eq!(at(1211), Verdict::Drop(R::SetCodeTx(0)));
    assert_eq!(at(1213), Verdict::Drop(R::SetCodeTx(0)));
}

/// "Overlapped blocks checks": number of the L1 origin, and the transactions without deposits.
#[test]
fn an_overlapping_span_must_say_what_the_safe_chain_says() {
    let mut case = Case::new(Hardfork::Granite);
    let overlapping = |second: u8| {
        let block = |time, byte| (100, time, vec![tx(byte)]);
        span(B256::repeat_byte(0x98), &[block(1206, 1), block(1208, second), block(1210, 2)])
    };
    // What is compared must have been provided, block by block.
    let mut blocks = Case::new(Hardfork::Granite);
    overlapped(&mut blocks);
    for number in 498..=500 {
        assert_eq!(check(&case, &overlapping(1)), Verdict::NeedL2Block(number));
        case.safe_blocks.insert(number, blocks.safe_blocks[&number].clone());
    }
    assert_eq!(check(&case, &overlapping(1)), Verdict::Accept);
    assert_eq!(check(&case, &overlapping(2)), Verdict::Drop(R::Overlap(500)));
    let batches = SingularBatches::new(overlapping(1), &case.l1, &case.safe).unwrap();
    assert_eq!(batches.len(), 1);

    let mut fewer = Case::new(Hardfork::Granite);
    overlapped(&mut fewer);
    fewer.safe_blocks.get_mut(&499).unwrap().transactions.push(tx(1));
    assert_eq!(check(&fewer, &overlapping(1)), Verdict::Drop(R::Overlap(499)));

    let mut other_epoch = Case::new(Hardfork::Granite);
    overlapped(&mut other_epoch);
    other_epoch.safe_blocks.get_mut(&499).unwrap().reference.l1_origin.number = 99;
    assert_eq!(check(&other_epoch, &overlapping(1)), Verdict::Drop(R::Overlap(499)));
}

/// holocene/derivation.md, "Span Batches": neither the blocks nor the overlap are checked as a
/// whole from Holocene on.
#[test]
fn from_holocene_on_only_the_prefix_of_a_span_is_checked() {
    let mut case = Case::new(Hardfork::Holocene);
    overlapped(&mut case);
    let blocks = [(100, 1206), (100, 1208), (101, 1210)];
    let span = on(B256::repeat_byte(0x98), &blocks, vec![tx(4)]);
    assert_eq!(prefix(&case, &span), Verdict::Accept);
    assert_eq!(check(&case, &span), Verdict::Drop(R::BeforeOrigin));
}

/// holocene/derivation.md, "Span Batches", the note: the first place where an outdated epoch shows.
#[test]
fn a_span_with_an_outdated_epoch_after_the_safe_head_has_no_singular_batches() {
    let mut case = Case::new(Hardfork::Holocene);
    assert!(SingularBatches::new(on_head(GOOD), &case.l1, &case.safe).is_ok());
    case.safe.l1_origin = l1_ref(101).id();
    let outdated = SingularBatches::new(on_head(GOOD), &case.l1, &case.safe);
    assert_eq!(outdated.err(), Some(R::EpochTooOld));
    let unknown = SingularBatches::new(on_head(GOOD), &case.l1[..0], &safe_head());
    assert_eq!(unknown.err(), Some(R::EpochUnknown));
}

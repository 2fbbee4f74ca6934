//! Each rule of batch validity, once broken and once kept.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use alloy_primitives::{B256, Bytes};
use opal_protocol::span_batch::{SpanBatch, SpanBlock};
use opal_protocol::{Hardfork, L1BlockRef, L2BlockRef, RollupConfig, SingularBatch};

use crate::batch_validity::*;
use crate::test_utils::{config_at, l1_ref};
use DropReason as R;

/// A safe head at time 1208 in epoch 100 (time 1200); epochs 100 to 103 are read.
struct Case {
    config: RollupConfig,
    l1: Vec<L1BlockRef>,
    safe: L2BlockRef,
    inclusion: L1BlockRef,
    batch: SingularBatch,
    safe_blocks: BTreeMap<u64, SafeBlock>,
}

fn tx(byte: u8) -> Bytes {
    vec![byte, 1, 2].into()
}

impl Case {
    fn new(fork: Hardfork) -> Self {
        let l1: Vec<_> = (100..104).map(l1_ref).collect();
        let safe = L2BlockRef {
            hash: B256::repeat_byte(0xaa),
            number: 500,
            parent_hash: B256::repeat_byte(0xa9),
            timestamp: 1208,
            l1_origin: l1[0].id(),
            sequence_number: 4,
        };
        let batch = SingularBatch {
            parent_hash: safe.hash,
            epoch_num: 100,
            epoch_hash: l1[0].hash,
            timestamp: 1210,
            transactions: vec![tx(2)],
        };
        let inclusion = l1[3];
        Self { config: config_at(fork), l1, safe, inclusion, batch, safe_blocks: BTreeMap::new() }
    }

    fn context(&self) -> BatchContext<'_> {
        BatchContext {
            config: &self.config,
            l1_blocks: &self.l1,
            safe_head: &self.safe,
            inclusion: &self.inclusion,
            safe_blocks: &self.safe_blocks,
        }
    }

    fn check(&self) -> Verdict {
        check_singular_batch(&self.context(), &self.batch)
    }

    fn check_with(change: impl FnOnce(&mut Self)) -> Verdict {
        let mut case = Self::new(Hardfork::Granite);
        change(&mut case);
        case.check()
    }
}

#[test]
fn a_batch_that_keeps_all_rules_is_accepted() {
    for fork in [Hardfork::Bedrock, Hardfork::Granite, Hardfork::Holocene, Hardfork::Karst] {
        assert_eq!(Case::new(fork).check(), Verdict::Accept, "{fork}");
    }
}

#[test]
fn timestamps_of_the_future_and_the_past_change_meaning_with_holocene() {
    for (fork, future, past) in [
        (Hardfork::Granite, Verdict::Future, Verdict::Drop(R::Past)),
        (Hardfork::Holocene, Verdict::Drop(R::Future), Verdict::Past),
    ] {
        let mut case = Case::new(fork);
        case.batch.timestamp = 1212;
        assert_eq!(case.check(), future);
        case.batch.timestamp = 1208;
        assert_eq!(case.check(), past);
    }
}

#[test]
fn the_parent_must_be_the_safe_head() {
    assert_eq!(Case::check_with(|c| c.batch.parent_hash = B256::ZERO), Verdict::Drop(R::Parent));
}

#[test]
fn inclusion_must_be_within_the_sequencing_window() {
    // The window is 10 blocks: 110 is the last.
    assert_eq!(Case::check_with(|c| c.inclusion = l1_ref(110)), Verdict::Accept);
    let late = Case::check_with(|c| c.inclusion = l1_ref(111));
    assert_eq!(late, Verdict::Drop(R::IncludedTooLate));
}

#[test]
fn the_epoch_is_the_parents_or_the_next() {
    let with_epoch = |number: u64| {
        Case::check_with(|c| {
            // Late enough for epoch 101.
            (c.safe.timestamp, c.batch.timestamp) = (1210, 1212);
            (c.batch.epoch_num, c.batch.epoch_hash) = (number, l1_ref(number).hash);
        })
    };
    assert_eq!(with_epoch(99), Verdict::Drop(R::EpochTooOld));
    assert_eq!(with_epoch(100), Verdict::Accept);
    assert_eq!(with_epoch(101), Verdict::Accept);
    assert_eq!(with_epoch(102), Verdict::Drop(R::EpochTooFar));
    let unknown = Case::check_with(|c| {
        c.batch.epoch_num = 101;
        c.l1.truncate(1);
    });
    assert_eq!(unknown, Verdict::Undecided);
    assert_eq!(Case::check_with(|c| c.l1.clear()), Verdict::Undecided);
    let other = Case::check_with(|c| c.batch.epoch_hash = B256::ZERO);
    assert_eq!(other, Verdict::Drop(R::EpochHash));
}

#[test]
fn l2_time_is_not_before_its_origin() {
    let early = Case::check_with(|c| {
        (c.batch.epoch_num, c.batch.epoch_hash) = (101, c.l1[1].hash);
    });
    assert_eq!(early, Verdict::Drop(R::BeforeOrigin));
}

#[test]
fn beyond_the_drift_only_empty_batches_pass_and_only_while_the_next_epoch_cannot_begin() {
    for (fork, drift) in [(Hardfork::Granite, 1800), (Hardfork::Ecotone, 600)] {
        let at = |time: u64, empty: bool, next_time: u64| {
            let mut c = Case::new(fork);
            (c.safe.timestamp, c.batch.timestamp) = (time - 2, time);
            if empty {
                c.batch.transactions.clear();
            }
            c.l1[1].timestamp = next_time;
            c.check()
        };
        let last = 1200 + drift;
        assert_eq!(at(last, false, last + 9), Verdict::Accept);
        assert_eq!(at(last + 2, false, last + 9), Verdict::Drop(R::Drift));
        assert_eq!(at(last + 2, true, last + 9), Verdict::Accept);
        assert_eq!(at(last + 2, true, last + 2), Verdict::Drop(R::DriftEpoch));
        let mut c = Case::new(fork);
        (c.safe.timestamp, c.batch.timestamp) = (last, last + 2);
        c.batch.transactions.clear();
        c.l1.truncate(1);
        assert_eq!(c.check(), Verdict::Undecided);
        // A batch that advances the epoch may be as late as it is.
        let mut c = Case::new(fork);
        (c.safe.timestamp, c.batch.timestamp) = (last + 100, last + 102);
        c.batch.transactions.clear();
        (c.batch.epoch_num, c.batch.epoch_hash) = (101, c.l1[1].hash);
        assert_eq!(c.check(), Verdict::Accept);
    }
}

#[test]
fn activation_blocks_of_late_forks_hold_no_transactions() {
    for (fork, refuses) in [
        (Hardfork::Isthmus, false),
        (Hardfork::Jovian, true),
        (Hardfork::Karst, true),
        (Hardfork::Interop, true),
    ] {
        let mut case = Case::new(fork);
        case.config.schedule.set(fork, Some(1210));
        let expected = if refuses { Verdict::Drop(R::ActivationBlock) } else { Verdict::Accept };
        assert_eq!(case.check(), expected, "{fork}");
        case.config.schedule.set(fork, Some(1208));
        assert_eq!(case.check(), Verdict::Accept, "{fork}");
        case.config.schedule.set(fork, Some(1210));
        case.batch.transactions.clear();
        assert_eq!(case.check(), Verdict::Accept, "{fork}");
    }
}

#[test]
fn transactions_are_not_empty_no_deposits_and_set_code_from_isthmus_on_only() {
    let with = |fork, transactions| {
        let mut case = Case::new(fork);
        case.batch.transactions = transactions;
        case.check()
    };
    use Hardfork::{Holocene, Isthmus};
    assert_eq!(with(Isthmus, vec![tx(2), Bytes::new()]), Verdict::Drop(R::EmptyTx(1)));
    assert_eq!(with(Isthmus, vec![tx(0x7e)]), Verdict::Drop(R::DepositTx(0)));
    assert_eq!(with(Holocene, vec![tx(4)]), Verdict::Drop(R::SetCodeTx(0)));
    assert_eq!(with(Isthmus, vec![tx(4)]), Verdict::Accept);
}

/// A span of three blocks on the safe head: two in epoch 100, one in 101.
fn span(case: &Case) -> SpanBatch {
    let block =
        |epoch_num, timestamp| SpanBlock { epoch_num, timestamp, transactions: vec![tx(2)] };
    make(case, vec![block(100, 1210), block(101, 1212), block(101, 1214)])
}

fn make(case: &Case, blocks: Vec<SpanBlock>) -> SpanBatch {
    let prefix = |hash: B256| hash[..20].try_into().unwrap();
    let last = l1_ref(blocks.last().unwrap().epoch_num);
    SpanBatch::new(prefix(case.safe.hash), prefix(last.hash), blocks).unwrap()
}

fn check_span(case: &Case, span: &SpanBatch) -> Verdict {
    check_span_batch(&case.context(), span)
}

#[test]
fn a_span_that_keeps_all_rules_is_accepted() {
    let case = Case::new(Hardfork::Granite);
    assert_eq!(check_span(&case, &span(&case)), Verdict::Accept);
    let batches = singular_batches(span(&case), &case.l1, &case.safe).unwrap();
    assert_eq!(batches.len(), 3);
    assert_eq!(batches[1].epoch_hash, case.l1[1].hash);
}

#[test]
fn spans_need_delta_by_the_time_of_their_first_origin() {
    let mut case = Case::new(Hardfork::Granite);
    case.config.schedule.set(Hardfork::Delta, Some(1200));
    assert_eq!(check_span(&case, &span(&case)), Verdict::Accept);
    case.config.schedule.set(Hardfork::Delta, Some(1201));
    assert_eq!(check_span(&case, &span(&case)), Verdict::Drop(R::BeforeDelta));
}

#[test]
fn span_times_parent_and_origins() {
    let case = Case::new(Hardfork::Granite);
    let block = |epoch_num, timestamp| SpanBlock { epoch_num, timestamp, transactions: vec![] };
    let check = |case: &Case, blocks| check_span(case, &make(case, blocks));
    assert_eq!(check(&case, vec![block(100, 1212)]), Verdict::Future);
    assert_eq!(check(&case, vec![block(100, 1208)]), Verdict::Drop(R::Past));
    assert_eq!(check(&case, vec![block(102, 1210)]), Verdict::Drop(R::EpochTooFar));
    assert_eq!(check(&case, vec![block(99, 1210)]), Verdict::Undecided);
    assert_eq!(check(&case, vec![block(101, 1210)]), Verdict::Drop(R::BeforeOrigin));
    let gap = vec![block(100, 1210), block(104, 1212)];
    assert_eq!(check(&case, gap), Verdict::Undecided);

    let mut other = Case::new(Hardfork::Granite);
    other.safe.hash = B256::ZERO;
    assert_eq!(check_span(&other, &span(&case)), Verdict::Drop(R::Parent));
    let mut other = Case::new(Hardfork::Granite);
    other.l1[1].hash = B256::ZERO;
    assert_eq!(check_span(&other, &span(&case)), Verdict::Drop(R::EpochHash));
    let mut late = Case::new(Hardfork::Granite);
    late.inclusion = l1_ref(111);
    assert_eq!(check_span(&late, &span(&case)), Verdict::Drop(R::IncludedTooLate));

    let holocene = Case::new(Hardfork::Holocene);
    assert_eq!(check(&holocene, vec![block(100, 1212)]), Verdict::Drop(R::Future));
    assert_eq!(check(&holocene, vec![block(100, 1208)]), Verdict::Past);
}

#[test]
fn span_blocks_keep_the_rules_of_singular_batches_before_holocene() {
    let case = Case::new(Hardfork::Granite);
    let with = |transactions| {
        let blocks = vec![SpanBlock { epoch_num: 100, timestamp: 1210, transactions }];
        check_span(&case, &make(&case, blocks))
    };
    assert_eq!(with(vec![Bytes::new()]), Verdict::Drop(R::EmptyTx(0)));
    assert_eq!(with(vec![tx(0x7e)]), Verdict::Drop(R::DepositTx(0)));
    assert_eq!(with(vec![tx(4)]), Verdict::Drop(R::SetCodeTx(0)));
    let mut drift = Case::new(Hardfork::Granite);
    drift.safe.timestamp = 3000;
    let block = |transactions| SpanBlock { epoch_num: 100, timestamp: 3002, transactions };
    let verdict = check_span(&drift, &make(&drift, vec![block(vec![tx(2)])]));
    assert_eq!(verdict, Verdict::Drop(R::Drift));
    let verdict = check_span(&drift, &make(&drift, vec![block(vec![])]));
    assert_eq!(verdict, Verdict::Drop(R::DriftEpoch));
}

#[test]
fn an_overlapping_span_must_say_what_the_safe_chain_says() {
    let mut case = Case::new(Hardfork::Granite);
    let safe = |case: &Case, number: u64, hash: u8, txs: Vec<Bytes>| SafeBlock {
        reference: L2BlockRef {
            hash: B256::repeat_byte(hash),
            number,
            timestamp: case.safe.timestamp - 2 * (case.safe.number - number),
            l1_origin: case.l1[0].id(),
            ..L2BlockRef::default()
        },
        transactions: txs,
    };
    let block =
        |timestamp, byte| SpanBlock { epoch_num: 100, timestamp, transactions: vec![tx(byte)] };
    let overlapping = |second: u8| {
        let check = l1_ref(100).hash[..20].try_into().unwrap();
        let blocks = vec![block(1206, 1), block(1208, second), block(1210, 2)];
        SpanBatch::new([0x98; 20], check, blocks).unwrap()
    };
    assert_eq!(check_span(&case, &overlapping(1)), Verdict::NeedL2Block(498));
    let parent = safe(&case, 498, 0x98, vec![]);
    case.safe_blocks.insert(498, parent);
    assert_eq!(check_span(&case, &overlapping(1)), Verdict::NeedL2Block(499));
    let (first, second) =
        (safe(&case, 499, 0x99, vec![tx(1)]), safe(&case, 500, 0xaa, vec![tx(1)]));
    case.safe_blocks.insert(499, first);
    case.safe_blocks.insert(500, second);
    assert_eq!(check_span(&case, &overlapping(1)), Verdict::Accept);
    assert_eq!(check_span(&case, &overlapping(2)), Verdict::Drop(R::Overlap(500)));
    let batches = singular_batches(overlapping(1), &case.l1, &case.safe).unwrap();
    assert_eq!(batches.len(), 1);

    let misaligned = make(&case, vec![block(1207, 1), block(1211, 1)]);
    assert_eq!(check_span(&case, &misaligned), Verdict::Drop(R::Misaligned));
    case.safe.number = 0;
    assert_eq!(check_span(&case, &overlapping(1)), Verdict::Drop(R::BeforeGenesis));
}

#[test]
fn a_span_with_an_outdated_epoch_after_the_safe_head_has_no_singular_batches() {
    let mut case = Case::new(Hardfork::Holocene);
    case.safe.l1_origin = case.l1[1].id();
    let outdated = singular_batches(span(&case), &case.l1, &case.safe);
    assert_eq!(outdated, Err(R::EpochTooOld));
    let unknown = singular_batches(span(&case), &case.l1[..0], &Case::new(Hardfork::Holocene).safe);
    assert_eq!(unknown, Err(R::EpochUnknown));
}

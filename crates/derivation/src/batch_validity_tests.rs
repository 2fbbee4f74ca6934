//! Rules of singular batches, each once kept and once broken. Spec: derivation.md, "Batch Queue",
//! whose order this file has.
#![allow(clippy::unwrap_used)]

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use alloy_primitives::{B256, Bytes};
use opal_protocol::{Hardfork, L1BlockRef, L2BlockRef, RollupConfig, SingularBatch};

use crate::batch_validity::*;
use crate::test_utils::{batch, config_at, l1_ref, safe_head, tx};
use DropReason as R;

/// A safe head at time 1208 in epoch 100 (time 1200); epochs 100 to 103 are read.
pub(crate) struct Case {
    pub(crate) config: RollupConfig,
    pub(crate) l1: Vec<L1BlockRef>,
    pub(crate) safe: L2BlockRef,
    pub(crate) inclusion: L1BlockRef,
    pub(crate) batch: SingularBatch,
    pub(crate) safe_blocks: BTreeMap<u64, SafeBlock>,
}

impl Case {
    pub(crate) fn new(fork: Hardfork) -> Self {
        let l1: Vec<_> = (100..104).map(l1_ref).collect();
        let inclusion = l1[3];
        Self {
            config: config_at(fork),
            l1,
            safe: safe_head(),
            inclusion,
            batch: batch(1210),
            safe_blocks: BTreeMap::new(),
        }
    }

    pub(crate) fn context(&self) -> BatchContext<'_> {
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

    /// Puts the batch, and with it the safe head, to another time.
    fn at(&mut self, timestamp: u64) {
        (self.safe.timestamp, self.batch.timestamp) = (timestamp - 2, timestamp);
    }

    fn in_epoch(&mut self, number: u64) {
        (self.batch.epoch_num, self.batch.epoch_hash) = (number, l1_ref(number).hash);
    }

    fn check_with(change: impl FnOnce(&mut Self)) -> Verdict {
        let mut case = Self::new(Hardfork::Granite);
        change(&mut case);
        case.check()
    }
}

#[test]
fn a_batch_that_keeps_all_rules_is_accepted() {
    for fork in opal_protocol::hardfork::TABLE.map(|row| row.fork) {
        assert_eq!(Case::new(fork).check(), Verdict::Accept, "{fork}");
    }
}

/// Before Holocene it is to be judged again, from then on it is dropped; holocene/derivation.md,
/// "Batch Queue".
#[test]
fn a_batch_after_the_next_timestamp_is_of_the_future() {
    for (fork, future) in
        [(Hardfork::Granite, Verdict::Future), (Hardfork::Holocene, Verdict::Drop(R::Future))]
    {
        let mut case = Case::new(fork);
        case.batch.timestamp = 1211;
        assert_eq!(case.check(), future);
        case.batch.timestamp = u64::MAX;
        assert_eq!(case.check(), future);
        case.batch.timestamp = 1210;
        assert_eq!(case.check(), Verdict::Accept);
    }
}

/// From Holocene on that does not invalidate its channel; holocene/derivation.md, "Batch Queue".
#[test]
fn a_batch_before_the_next_timestamp_is_of_the_past() {
    for (fork, past) in
        [(Hardfork::Granite, Verdict::Drop(R::Past)), (Hardfork::Holocene, Verdict::Past)]
    {
        let mut case = Case::new(fork);
        case.batch.timestamp = 1209;
        assert_eq!(case.check(), past);
        case.batch.timestamp = 0;
        assert_eq!(case.check(), past);
        case.batch.timestamp = 1210;
        assert_eq!(case.check(), Verdict::Accept);
    }
}

/// holocene/derivation.md, "Activation": by the time of the L1 block that includes the batch, not by
/// that of the batch or of its epoch.
#[test]
fn holocene_counts_by_the_time_of_the_inclusion_block() {
    let check = |holocene: u64, timestamp| {
        let mut case = Case::new(Hardfork::Granite);
        case.config.schedule.set(Hardfork::Holocene, Some(holocene));
        case.batch.timestamp = timestamp;
        case.check()
    };
    let inclusion = l1_ref(103).timestamp;
    assert_eq!(check(inclusion, 1208), Verdict::Past);
    assert_eq!(check(inclusion + 1, 1208), Verdict::Drop(R::Past));
    assert_eq!(check(inclusion, 1212), Verdict::Drop(R::Future));
    assert_eq!(check(inclusion + 1, inclusion + 1), Verdict::Future);
}

#[test]
fn the_parent_must_be_the_safe_head() {
    assert_eq!(Case::check_with(|c| c.batch.parent_hash = c.safe.hash), Verdict::Accept);
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
fn the_epoch_is_not_older_than_the_safe_heads() {
    assert_eq!(Case::check_with(|c| c.in_epoch(100)), Verdict::Accept);
    assert_eq!(Case::check_with(|c| c.in_epoch(99)), Verdict::Drop(R::EpochTooOld));
}

#[test]
fn the_next_epoch_must_be_known() {
    let next = |known| {
        Case::check_with(|c| {
            c.at(1212);
            c.in_epoch(101);
            c.l1.truncate(known);
        })
    };
    assert_eq!(next(2), Verdict::Accept);
    assert_eq!(next(1), Verdict::Undecided);
    assert_eq!(next(0), Verdict::Undecided);
}

#[test]
fn the_epoch_is_at_most_the_next() {
    let in_epoch = |number, known| {
        Case::check_with(|c| {
            c.at(1224);
            c.in_epoch(number);
            c.l1.truncate(known);
        })
    };
    assert_eq!(in_epoch(101, 4), Verdict::Accept);
    assert_eq!(in_epoch(102, 4), Verdict::Drop(R::EpochTooFar));
    assert_eq!(in_epoch(102, 1), Verdict::Drop(R::EpochTooFar));
    assert_eq!(in_epoch(1 << 50, 4), Verdict::Drop(R::EpochTooFar));
}

/// The epoch of the safe head counts, not the one that empty batches are about to begin: each epoch
/// has a block.
#[test]
fn no_epoch_is_left_out_after_empty_batches_filled_one() {
    let in_epoch = |number| {
        Case::check_with(|c| {
            c.at(1230);
            c.in_epoch(number);
            c.l1.remove(0);
        })
    };
    assert_eq!(in_epoch(101), Verdict::Accept);
    assert_eq!(in_epoch(102), Verdict::Drop(R::EpochTooFar));
}

#[test]
fn the_epoch_hash_must_be_that_of_the_l1_block() {
    for epoch in [100, 101] {
        let check = |change: fn(&mut Case)| {
            Case::check_with(|c| {
                c.at(1212);
                c.in_epoch(epoch);
                change(c);
            })
        };
        assert_eq!(check(|_| ()), Verdict::Accept);
        assert_eq!(check(|c| c.batch.epoch_hash = B256::ZERO), Verdict::Drop(R::EpochHash));
    }
}

#[test]
fn l2_time_is_not_before_its_origin() {
    let at = |timestamp| {
        Case::check_with(|c| {
            c.at(timestamp);
            c.in_epoch(101);
        })
    };
    assert_eq!(at(1212), Verdict::Accept);
    assert_eq!(at(1211), Verdict::Drop(R::BeforeOrigin));
}

/// A batch in epoch 100 (time 1200) whose next epoch begins at `next`.
fn drifting(fork: Hardfork, timestamp: u64, empty: bool, next: Option<u64>) -> Case {
    let mut case = Case::new(fork);
    case.at(timestamp);
    if empty {
        case.batch.transactions.clear();
    }
    match next {
        Some(time) => case.l1[1].timestamp = time,
        None => case.l1.truncate(1),
    }
    case
}

#[test]
fn beyond_the_drift_there_are_no_transactions() {
    let check =
        |timestamp, empty| drifting(Hardfork::Ecotone, timestamp, empty, Some(9000)).check();
    assert_eq!(check(1800, false), Verdict::Accept);
    assert_eq!(check(1801, false), Verdict::Drop(R::Drift));
    assert_eq!(check(1801, true), Verdict::Accept);
}

#[test]
fn beyond_the_drift_an_epoch_is_not_kept_when_the_next_could_begin() {
    let check = |timestamp, next| drifting(Hardfork::Ecotone, timestamp, true, next).check();
    assert_eq!(check(1802, Some(1803)), Verdict::Accept);
    assert_eq!(check(1802, Some(1802)), Verdict::Drop(R::DriftEpoch));
    // Within the drift it may be kept.
    assert_eq!(check(1800, Some(1212)), Verdict::Accept);
}

#[test]
fn beyond_the_drift_the_next_epoch_must_be_known() {
    let check = |timestamp| drifting(Hardfork::Ecotone, timestamp, true, None).check();
    assert_eq!(check(1800), Verdict::Accept);
    assert_eq!(check(1802), Verdict::Undecided);
}

#[test]
fn beyond_the_drift_an_epoch_may_always_be_left() {
    let mut case = drifting(Hardfork::Ecotone, 1900, true, Some(1212));
    assert_eq!(case.check(), Verdict::Drop(R::DriftEpoch));
    case.in_epoch(101);
    assert_eq!(case.check(), Verdict::Accept);
}

/// fjord/derivation.md, "Constant Maximum Sequencer Drift": by the time of the batch's L1 origin.
#[test]
fn the_drift_is_constant_from_fjord_on_by_the_time_of_the_origin() {
    let check = |fjord, timestamp| {
        let mut case = drifting(Hardfork::Ecotone, timestamp, false, Some(9000));
        case.config.schedule.set(Hardfork::Fjord, Some(fjord));
        case.check()
    };
    assert_eq!(check(1200, 3000), Verdict::Accept);
    assert_eq!(check(1200, 3002), Verdict::Drop(R::Drift));
    assert_eq!(check(1201, 1800), Verdict::Accept);
    assert_eq!(check(1201, 1802), Verdict::Drop(R::Drift));
}

#[test]
fn a_transaction_is_not_empty() {
    let with = |transactions| Case::check_with(|c| c.batch.transactions = transactions);
    assert_eq!(with(vec![tx(2), tx(1)]), Verdict::Accept);
    assert_eq!(with(vec![]), Verdict::Accept);
    assert_eq!(with(vec![tx(2), Bytes::new()]), Verdict::Drop(R::EmptyTx(1)));
}

#[test]
fn a_transaction_is_no_deposit() {
    let with = |kind| Case::check_with(|c| c.batch.transactions = vec![tx(kind)]);
    assert_eq!(with(0x7d), Verdict::Accept);
    assert_eq!(with(0x7e), Verdict::Drop(R::DepositTx(0)));
}

/// isthmus/derivation.md, "Activation": by the timestamp of the batch. TRAPS 15.
#[test]
fn set_code_transactions_count_from_isthmus_on_by_the_time_of_the_batch() {
    let check = |isthmus| {
        let mut case = Case::new(Hardfork::Holocene);
        case.config.schedule.set(Hardfork::Isthmus, isthmus);
        case.batch.transactions = vec![tx(4)];
        case.check()
    };
    assert_eq!(check(Some(1210)), Verdict::Accept);
    assert_eq!(check(Some(1211)), Verdict::Drop(R::SetCodeTx(0)));
    assert_eq!(check(None), Verdict::Drop(R::SetCodeTx(0)));
}

/// The specification drops all types from 3 on but 4; the deployed nodes drop deposits and, before
/// Isthmus, set-code transactions (docs/deviations.md).
#[test]
fn other_types_are_left_to_execution() {
    for kind in [0, 1, 2, 3, 5, 0x7d, 0x7f, 0xc0, 0xff] {
        let verdict = Case::check_with(|c| c.batch.transactions = vec![tx(kind)]);
        assert_eq!(verdict, Verdict::Accept, "{kind:#x}");
    }
}

/// jovian/derivation.md, "Activation Block Rules"; interop/derivation.md, "Activation Block". The
/// earlier forks rely on the sequencer.
#[test]
fn activation_blocks_of_late_forks_hold_no_transactions() {
    for (fork, refuses) in [
        (Hardfork::Ecotone, false),
        (Hardfork::Fjord, false),
        (Hardfork::Isthmus, false),
        (Hardfork::Jovian, true),
        (Hardfork::Karst, true),
        (Hardfork::Interop, true),
    ] {
        let mut case = Case::new(fork);
        case.config.schedule.set(fork, Some(1210));
        let expected = if refuses { Verdict::Drop(R::ActivationBlock) } else { Verdict::Accept };
        assert_eq!(case.check(), expected, "{fork}");
        case.batch.transactions.clear();
        assert_eq!(case.check(), Verdict::Accept, "{fork}");
    }
}

/// The first block at or after the time, which need not be a block's. TRAPS 13: by timestamp, not
/// by block number; a chain that has the fork from genesis on has no such block.
#[test]
fn the_activation_block_is_the_first_at_or_after_the_forks_time() {
    for fork in [Hardfork::Jovian, Hardfork::Karst, Hardfork::Interop] {
        for (time, refused) in [(1208, false), (1209, true), (1210, true), (1211, false)] {
            let mut case = Case::new(fork);
            case.config.schedule.set(fork, Some(time));
            let verdict = case.check();
            assert_eq!(verdict == Verdict::Drop(R::ActivationBlock), refused, "{fork} {time}");
        }
        let mut genesis = Case::new(fork);
        genesis.config.schedule.set(fork, Some(0));
        assert_eq!(genesis.check(), Verdict::Accept);
    }
}

/// Which of several broken rules is named decides between the future, the past and a drop.
#[test]
fn rules_are_checked_in_the_order_of_the_specification() {
    let mut case = Case::new(Hardfork::Granite);
    case.config.schedule.set(Hardfork::Jovian, Some(1210));
    case.inclusion = l1_ref(200);
    case.batch = SingularBatch {
        parent_hash: B256::ZERO,
        epoch_num: 99,
        epoch_hash: B256::ZERO,
        timestamp: 1212,
        transactions: vec![tx(0x7e)],
    };
    assert_eq!(case.check(), Verdict::Future);
    case.at(1210);
    assert_eq!(case.check(), Verdict::Drop(R::Parent));
    case.batch.parent_hash = case.safe.hash;
    assert_eq!(case.check(), Verdict::Drop(R::IncludedTooLate));
    case.inclusion = l1_ref(103);
    assert_eq!(case.check(), Verdict::Drop(R::EpochTooOld));
    case.batch.epoch_num = 101;
    assert_eq!(case.check(), Verdict::Drop(R::EpochHash));
    case.in_epoch(101);
    assert_eq!(case.check(), Verdict::Drop(R::BeforeOrigin));
    case.in_epoch(100);
    case.l1[0].timestamp = 0;
    case.config.max_sequencer_drift_config = 0;
    case.config.schedule.set(Hardfork::Fjord, Some(1210));
    assert_eq!(case.check(), Verdict::Drop(R::ActivationBlock));
    case.config.schedule.set(Hardfork::Jovian, None);
    assert_eq!(case.check(), Verdict::Drop(R::Drift));
    case.l1[0].timestamp = 1200;
    case.config.max_sequencer_drift_config = 600;
    assert_eq!(case.check(), Verdict::Drop(R::DepositTx(0)));
    case.batch.transactions = vec![tx(2)];
    assert_eq!(case.check(), Verdict::Accept);
}

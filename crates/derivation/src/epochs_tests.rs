//! Rules of empty batches, and of the L1 blocks that are kept, each once kept and once broken.
#![allow(clippy::unwrap_used)]

use opal_protocol::Hardfork;

use super::*;
use crate::test_utils::{config_at, l1_ref, safe_head};

/// Epochs from 100 up to `origin`, with a sequencing window of ten blocks.
fn epochs(origin: u64) -> (Epochs, RollupConfig) {
    let mut epochs = Epochs::new(l1_ref(100));
    for number in 101..=origin {
        epochs.update(l1_ref(number), &safe_head());
    }
    (epochs, config_at(Hardfork::Granite))
}

/// A parent at this time, in this epoch.
fn parent(timestamp: u64, epoch: u64) -> L2BlockRef {
    L2BlockRef { timestamp, l1_origin: l1_ref(epoch).id(), ..safe_head() }
}

fn empty(parent: &L2BlockRef, epoch: u64) -> Empty {
    Empty::Batch(SingularBatch {
        parent_hash: parent.hash,
        epoch_num: epoch,
        epoch_hash: l1_ref(epoch).hash,
        timestamp: parent.timestamp + 2,
        transactions: alloc::vec::Vec::new(),
    })
}

/// derivation.md, "Batch Queue": only once the sequencing window of the epoch has been read.
#[test]
fn no_empty_batch_before_the_sequencing_window_has_expired() {
    let (mut before, config) = epochs(109);
    assert_eq!(before.next_empty(&config, true, &safe_head()), Empty::NotYet);
    let (mut after, config) = epochs(110);
    assert_eq!(after.next_empty(&config, true, &safe_head()), empty(&safe_head(), 100));
}

/// derivation.md, "Batch Queue": all batches of the window's last L1 block come before.
#[test]
fn no_empty_batch_while_the_last_l1_block_of_the_window_is_being_read() {
    let (mut reading, config) = epochs(110);
    assert_eq!(reading.next_empty(&config, false, &safe_head()), Empty::NotYet);
    assert_eq!(reading.next_empty(&config, true, &safe_head()), empty(&safe_head(), 100));
    let (mut beyond, config) = epochs(111);
    assert_eq!(beyond.next_empty(&config, false, &safe_head()), empty(&safe_head(), 100));
}

/// derivation.md, "Batch Queue": only when the next epoch is known.
#[test]
fn no_empty_batch_without_the_next_epoch() {
    let (mut epochs, mut config) = epochs(101);
    config.seq_window_size = 0;
    assert_eq!(epochs.next_empty(&config, true, &safe_head()), empty(&safe_head(), 100));
    let (mut alone, _) = self::epochs(100);
    assert_eq!(alone.next_empty(&config, true, &safe_head()), Empty::NotYet);
}

/// derivation.md, "Batch Queue": the epoch is repeated as long as the next one lies ahead, then
/// left. What is at hand is judged again in between.
#[test]
fn empty_batches_repeat_the_epoch_until_the_time_of_the_next() {
    let (mut epochs, config) = epochs(110);
    let last = parent(1208, 100);
    assert_eq!(epochs.next_empty(&config, true, &last), empty(&last, 100));
    let full = parent(1210, 100);
    assert_eq!(epochs.next_empty(&config, true, &full), Empty::EpochAdvanced);
    assert_eq!(epochs.epoch(), Some(l1_ref(101)));
    // The window of the epoch that begins has not expired.
    assert_eq!(epochs.next_empty(&config, true, &full), Empty::NotYet);
    epochs.update(l1_ref(111), &full);
    assert_eq!(epochs.next_empty(&config, true, &full), empty(&full, 101));
}

/// derivation.md, "Batch Queue": each epoch has a block at least, even one that L2 time has passed.
#[test]
fn an_epoch_whose_time_has_passed_gets_one_empty_batch() {
    let (mut epochs, config) = epochs(110);
    let ahead = parent(1300, 100);
    assert_eq!(epochs.next_empty(&config, true, &ahead), Empty::EpochAdvanced);
    epochs.update(l1_ref(111), &ahead);
    assert_eq!(epochs.next_empty(&config, true, &ahead), empty(&ahead, 101));
    let inside = parent(1302, 101);
    epochs.update(l1_ref(111), &inside);
    assert_eq!(epochs.next_empty(&config, true, &inside), Empty::EpochAdvanced);
}

/// Behind by several epochs, each is filled at once: how early the next L1 block is provided makes
/// no difference.
#[test]
fn several_expired_epochs_need_no_further_l1_block() {
    let (mut epochs, config) = epochs(113);
    let mut head = parent(1210, 100);
    let mut filled = alloc::vec::Vec::new();
    loop {
        match epochs.next_empty(&config, true, &head) {
            Empty::Batch(batch) => {
                filled.push(batch.epoch_num);
                head = parent(batch.timestamp, batch.epoch_num);
                epochs.update(l1_ref(113), &head);
            }
            Empty::EpochAdvanced => {}
            Empty::NotYet => break,
        }
    }
    let expected: alloc::vec::Vec<u64> = [[101; 6], [102; 6], [103; 6]].concat();
    assert_eq!(filled, expected);
}

/// derivation.md, "Batch Queue" ("epoch"), and base of the batch stages in the reference node: L1
/// blocks before the parent's epoch are not kept.
#[test]
fn epochs_before_the_parents_are_forgotten() {
    let (mut epochs, _) = epochs(105);
    assert_eq!(epochs.len(), 6);
    epochs.update(l1_ref(105), &parent(1236, 103));
    assert_eq!((epochs.len(), epochs.epoch()), (3, Some(l1_ref(103))));
    let mut behind = Epochs::new(l1_ref(90));
    for number in 91..100 {
        behind.update(l1_ref(number), &safe_head());
        assert_eq!(behind.len(), 0);
    }
    behind.update(l1_ref(100), &safe_head());
    assert_eq!(behind.epoch(), Some(l1_ref(100)));
}

/// The current epoch is the parent's, or the one after it when empty batches have filled that.
#[test]
fn an_epoch_that_does_not_continue_the_parents_is_a_reset() {
    let (epochs, _) = epochs(105);
    assert_eq!(epochs.check_continues(&parent(1208, 100)), Ok(()));
    assert_eq!(epochs.check_continues(&parent(1208, 99)), Ok(()));
    let mut other = parent(1208, 100);
    other.l1_origin.hash = Default::default();
    for wrong in [parent(1208, 98), parent(1208, 101), other] {
        let mismatch =
            ResetReason::EpochMismatch { epoch: l1_ref(100).id(), origin: wrong.l1_origin };
        assert_eq!(epochs.check_continues(&wrong), Err(mismatch));
    }
}

/// delta/span-batches.md, "Batch Queue": the blocks of an accepted span come one by one, each on
/// the block before it; if that is not the head, the rest is forgotten.
#[test]
fn the_blocks_of_a_span_follow_the_head_or_are_forgotten() {
    let (mut epochs, config) = epochs(101);
    let batches = || {
        let blocks = [1210, 1212].map(|time| (100, time, alloc::vec::Vec::new()));
        let span = crate::test_utils::span(safe_head().hash, &blocks);
        SingularBatches::new(span, &[l1_ref(100)], &safe_head()).unwrap()
    };
    epochs.set_span(batches());
    let head = L2BlockRef { hash: alloy_primitives::B256::repeat_byte(1), ..safe_head() };
    let (first, last) = epochs.next_of_span(&head, &config).unwrap();
    assert_eq!((first.timestamp, first.parent_hash, last), (1210, head.hash, false));
    let (second, last) = epochs.next_of_span(&parent(1210, 100), &config).unwrap();
    assert_eq!((second.timestamp, last), (1212, true));
    epochs.set_span(batches());
    assert!(epochs.next_of_span(&parent(1206, 100), &config).is_none());
    assert_eq!(epochs.clear_span(), 0);
}

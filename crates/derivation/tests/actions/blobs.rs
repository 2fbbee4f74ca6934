//! Batches in blobs: missing, wrong, several in a transaction, mixed with calldata.

use alloy_primitives::Bytes;
use opal_derivation::{Dropped, Input, Request, ResetReason, Step};
use opal_protocol::batcher_tx::encode_batcher_data;
use opal_protocol::{Hardfork, TxEnvelope};

use crate::common::{L1_BLOCK_TIME, START_TIME, WHOLE, World, config, key, references};

const FORKS: [Hardfork; 3] = [Hardfork::Ecotone, Hardfork::Granite, Hardfork::Karst];

#[test]
fn blobs_and_calldata_are_read_in_the_order_of_their_transactions() {
    for fork in FORKS {
        let mut world = World::new(config(fork));
        let blocks = world.sequence_to_l1_head();
        let frames = world.channel(&blocks, 120);
        assert!(frames.len() >= 5);
        let first = world.calldata_tx(&key(1), &frames[..1]);
        let several = world.blob_tx(&key(1), &frames[1..3]);
        let stranger = world.blob_tx(&key(7), &frames);
        let middle = world.calldata_tx(&key(1), &frames[3..4]);
        let rest = world.blob_tx(&key(1), &frames[4..]);
        world.mine(vec![first, several, stranger, middle, rest], Vec::new());
        let run = world.derive();
        assert_eq!(run.references(), references(&blocks), "{fork}: {:?}", run.dropped);
        assert!(run.dropped.is_empty());
    }
}

#[test]
fn a_channel_lies_in_blobs_of_many_l1_blocks() {
    for fork in FORKS {
        let mut world = World::new(config(fork));
        let blocks = world.sequence_to_l1_head();
        for frame in world.channel(&blocks, 120) {
            let tx = world.blob_tx(&key(1), &[frame]);
            world.mine(vec![tx], Vec::new());
        }
        let run = world.derive();
        assert_eq!(run.references(), references(&blocks), "{fork}: {:?}", run.dropped);
    }
}

#[test]
fn before_ecotone_blob_transactions_count_by_their_calldata() {
    let mut world = World::new(config(Hardfork::Delta));
    let blocks = world.sequence_to_l1_head();
    let frames = world.channel(&blocks, WHOLE);
    let tx = world.blob_tx(&key(1), &frames);
    world.mine(vec![tx], Vec::new());
    let mut verifier = world.verifier();
    let run = verifier.run(&world);
    assert!(run.blocks.is_empty());
    assert!(matches!(run.dropped[..], [Dropped::BatcherData(_)]));
    let tx = world.blob_tx_with(&key(1), &[], encode_batcher_data(&frames));
    world.mine(vec![tx], Vec::new());
    assert_eq!(verifier.run(&world).references(), references(&blocks));
}

#[test]
fn from_ecotone_on_the_calldata_of_a_blob_transaction_does_not_count() {
    for fork in FORKS {
        let mut world = World::new(config(fork));
        let blocks = world.sequence_to_l1_head();
        let frames = world.channel(&blocks, WHOLE);
        let tx = world.blob_tx_with(&key(1), &[], encode_batcher_data(&frames));
        world.mine(vec![tx], Vec::new());
        let run = world.derive();
        assert!(run.blocks.is_empty() && run.dropped.is_empty(), "{fork}");
    }
}

fn hashes(tx: &TxEnvelope) -> Vec<alloy_primitives::B256> {
    let TxEnvelope::Eip4844(tx) = tx else { panic!("no blob transaction") };
    tx.tx().blob_versioned_hashes.clone()
}

#[test]
fn a_blob_in_another_encoding_is_skipped_and_hides_no_other() {
    for fork in FORKS {
        let mut world = World::new(config(fork));
        let blocks = world.sequence_to_l1_head();
        let frames = world.channel(&blocks, WHOLE);
        let noise = world.frames(&Bytes::from_static(b"noise"), WHOLE);
        let tx = world.blob_tx(&key(1), &[noise, frames].concat());
        let noise = hashes(&tx)[0];
        world.blobs.get_mut(&noise).unwrap()[1] = 9;
        world.mine(vec![tx], Vec::new());
        let run = world.derive();
        assert_eq!(run.references(), references(&blocks), "{fork}");
        let [Dropped::Blob { hash, .. }] = run.dropped[..] else { panic!("{:?}", run.dropped) };
        assert_eq!(hash, noise);
    }
}

#[test]
fn missing_blobs_reset_and_later_they_are_there() {
    for fork in FORKS {
        let mut world = World::new(config(fork));
        world.sequence_and_post();
        let blocks = world.sequence_to_l1_head();
        let frames = world.span_channel(&blocks, WHOLE);
        let tx = world.blob_tx(&key(1), &frames);
        let hash = hashes(&tx)[0];
        world.mine(vec![tx], Vec::new());
        let blob = world.blobs.remove(&hash).unwrap();
        let mut verifier = world.verifier();
        let run = verifier.run(&world);
        let missing = world.l1_head().reference.id();
        assert_eq!(run.end, Some(Step::Reset(ResetReason::BlobsMissing(missing))), "{fork}");
        // A reset without them ends the same way, and changes nothing.
        let safe = verifier.safe_head();
        verifier.reset(&world);
        assert_eq!(verifier.run(&world).end, run.end);
        assert_eq!(verifier.safe_head(), safe);
        world.blobs.insert(hash, blob);
        verifier.reset(&world);
        let run = verifier.run(&world);
        assert_eq!(run.references(), references(&blocks), "{fork}: {:?}", run.dropped);
    }
}

#[test]
fn too_few_and_too_many_blobs_are_refused_and_asked_for_again() {
    let mut world = World::new(config(Hardfork::Karst));
    let blocks = world.sequence_to_l1_head();
    let frames = world.channel(&blocks, 200);
    assert!(frames.len() >= 2);
    let tx = world.blob_tx(&key(1), &frames);
    world.mine(vec![tx], Vec::new());
    let mut verifier = world.verifier();
    let request = loop {
        match verifier.step() {
            Step::Need(request @ Request::Blobs { .. }) => break request,
            Step::Need(request) => {
                let answer = verifier.answer(&world, &request);
                verifier.provide(answer).unwrap();
            }
            Step::AdvancedOrigin(_) => {}
            other => panic!("{other:?}"),
        }
    };
    let Input::Blobs { block, blobs } = verifier.answer(&world, &request) else { panic!() };
    let mut many = blobs.clone();
    many.push(blobs[0].clone());
    for wrong in [Vec::new(), blobs[1..].to_vec(), many] {
        assert!(verifier.provide(Input::Blobs { block, blobs: wrong }).is_err());
        assert_eq!(verifier.step(), Step::Need(request.clone()));
    }
    // Those of another L1 block are nobody's.
    let other = world.l1[0].reference.id();
    verifier.provide(Input::Blobs { block: other, blobs: blobs.clone() }).unwrap();
    assert_eq!(verifier.step(), Step::Need(request.clone()));
    verifier.provide(Input::Blobs { block, blobs }).unwrap();
    assert_eq!(verifier.run(&world).references(), references(&blocks));
}

#[test]
fn blobs_of_a_hundred_hashes_in_one_l1_block_are_read() {
    let mut world = World::new(config(Hardfork::Karst));
    world.mine_empty(2);
    let blocks = world.sequence_to_l1_head();
    let frames = world.channel(&blocks, 40);
    let mut txs = Vec::new();
    for frames in frames.chunks(9) {
        txs.push(world.blob_tx(&key(1), frames));
    }
    assert!(frames.len() > 60, "{}", frames.len());
    // The machine keeps 128 KiB each; few schedules are enough.
    world.schedules = 5;
    world.mine(txs, Vec::new());
    assert_eq!(world.derive().references(), references(&blocks));
    assert_eq!(world.l1_head().reference.timestamp, START_TIME + 3 * L1_BLOCK_TIME);
}

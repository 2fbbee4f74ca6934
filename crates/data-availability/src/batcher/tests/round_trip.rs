//! From blocks to blobs and calldata, and back to the same transactions.

use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes};
use opal_protocol::batcher_tx::decode_batcher_data;
use opal_protocol::blob::{MAX_BLOB_DATA, decode_blob};
use opal_protocol::{Batch, ChannelReader, Hardfork, SealedBlock};

use super::support::{Chain, Fixture, posting};
use crate::batcher::config::Posting;
use crate::batcher::{BatchType, DataAvailabilityType, payload};

/// User transactions of a block, as they travel.
fn raw(block: &SealedBlock) -> Vec<Bytes> {
    let transactions = block.block.body.transactions.iter();
    transactions.filter(|tx| !tx.is_deposit_tx()).map(|tx| tx.encoded_2718().into()).collect()
}

fn posts_all(fork: Hardfork, da: DataAvailabilityType, posting: Posting) {
    let mut chain = Chain::new(fork);
    for transactions in [0, 1, 3, 0, 200] {
        chain.extend(transactions, 900);
    }
    let mut f = Fixture::with(chain, Posting { da, ..posting }, false);
    let txs = f.post(10, 0);
    let mut channels: Vec<(opal_protocol::ChannelId, Vec<u8>)> = Vec::new();
    for tx in &txs {
        let inbox = Address::repeat_byte(0xff);
        let (candidate, bytes) = payload::transaction(&tx.frames, da, inbox).unwrap();
        assert_eq!(candidate.to, Some(inbox));
        let payloads: Vec<Bytes> = match da {
            DataAvailabilityType::Blobs => {
                assert!(candidate.data.is_empty() && candidate.blobs.len() <= 6);
                candidate.blobs.iter().map(|blob| decode_blob(blob).unwrap()).collect()
            }
            DataAvailabilityType::Calldata => {
                assert!(candidate.blobs.is_empty());
                vec![candidate.data.clone()]
            }
        };
        assert_eq!(bytes, payloads.iter().map(|p| p.len() as u64).sum::<u64>());
        for frame in payloads.iter().flat_map(|p| decode_batcher_data(p).unwrap()) {
            if frame.number == 0 {
                channels.push((frame.id, Vec::new()));
            }
            let (id, data) = channels.last_mut().unwrap();
            assert_eq!(frame.id, *id, "a frame out of order");
            data.extend_from_slice(&frame.data);
        }
    }
    let config = &f.chain.config;
    let mut blocks = f.chain.blocks.iter().skip(1);
    let mut next = || {
        let block = blocks.next().expect("a block for each batch");
        (f.chain.reference(block.header().number), raw(block))
    };
    for (_, data) in &channels {
        let fjord = config.is_active(Hardfork::Fjord, u64::MAX);
        let mut reader = ChannelReader::new(data, 100_000_000, fjord).unwrap();
        while let Some(batch) = reader.next_batch() {
            match batch.unwrap() {
                Batch::Singular(batch) => {
                    let (reference, transactions) = next();
                    assert_eq!(batch.parent_hash, reference.parent_hash);
                    assert_eq!(batch.epoch(), reference.l1_origin);
                    assert_eq!(batch.timestamp, reference.timestamp);
                    assert_eq!(batch.transactions, transactions);
                }
                Batch::Span(raw) => {
                    let span = raw
                        .into_span(config.block_time, config.genesis.l2_time, config.l2_chain_id)
                        .unwrap();
                    let mut last = None;
                    for block in span.blocks() {
                        let (reference, transactions) = next();
                        assert!(last.is_some() || span.matches_parent(&reference.parent_hash));
                        assert_eq!(block.epoch_num, reference.l1_origin.number);
                        assert_eq!(block.timestamp, reference.timestamp);
                        assert_eq!(block.transactions, transactions);
                        last = Some(reference.l1_origin.hash);
                    }
                    assert!(span.matches_origin(&last.unwrap()));
                }
            }
        }
    }
    assert!(blocks.next().is_none(), "blocks without a batch");
}

#[test]
fn singular_batches_hold_what_the_blocks_hold() {
    let posting = Posting { batch_type: BatchType::Singular, ..posting() };
    posts_all(Hardfork::Holocene, DataAvailabilityType::Calldata, posting.clone());
    posts_all(Hardfork::Canyon, DataAvailabilityType::Calldata, posting);
}

#[test]
fn blobs_hold_what_the_blocks_hold() {
    let max_frame_size = MAX_BLOB_DATA - 1;
    posts_all(
        Hardfork::Holocene,
        DataAvailabilityType::Blobs,
        Posting { max_frame_size, ..posting() },
    );
}

#[test]
fn calldata_holds_what_the_blocks_hold() {
    posts_all(Hardfork::Holocene, DataAvailabilityType::Calldata, posting());
    posts_all(Hardfork::Ecotone, DataAvailabilityType::Calldata, posting());
}

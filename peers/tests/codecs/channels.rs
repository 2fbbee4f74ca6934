//! Frames, batches, channels, blobs.

use std::collections::HashMap;

use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Bytes};
use kona_derive::{BlobSource, DataAvailabilityProvider, PipelineError, PipelineErrorKind};
use kona_protocol::{Batch as KonaBatch, BatchReader};
use opal_peers::generate::{self, Rng};
use opal_peers::{kona, vectors};
use opal_protocol::batch::Batch;
use opal_protocol::batcher_tx::decode_batcher_data;
use opal_protocol::blob::{Blob, decode_blob, encode_blob};
use opal_protocol::frame::FrameError;
use opal_protocol::span_batch::SpanChain;
use opal_protocol::{ChannelReader, Hardfork, RollupConfig, TxEnvelope};
use opal_tests::vectors::{Vectors, list, optional, parse};

use super::{Tally, guarded, json_files, mutate, with_mutations};

#[test]
fn vectors_frames() {
    let mut seeds: Vec<Bytes> = Vec::new();
    let files = Vectors::from_env().files("derivation");
    for json in files.iter().filter(|f| f.name.contains("json")).map(|f| f.json()) {
        let cases = list(&json["cases"]);
        seeds.extend(cases.iter().filter_map(|case| optional(case, "data")).map(parse::<Bytes>));
    }
    let frame = |number: u16, length: usize, is_last| opal_protocol::Frame {
        id: opal_protocol::ChannelId([7; 16]),
        number,
        data: Bytes::from(vec![3; length]),
        is_last,
    };
    let frames = [frame(0, 30, false), frame(1, 0, false), frame(2, 50, true)];
    seeds.push(opal_protocol::batcher_tx::encode_batcher_data(&frames));
    let mut tally = Tally::default();
    for data in with_mutations(1, &seeds, 20_000) {
        let ours = decode_batcher_data(&data);
        let theirs = kona_protocol::Frame::parse_frames(&data);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                assert_eq!(ours.len(), theirs.len(), "{data}");
                for (ours, theirs) in ours.iter().zip(&theirs) {
                    let fields = (ours.id.0, ours.number, &ours.data[..], ours.is_last);
                    let peer = (theirs.id, theirs.number, &theirs.data[..], theirs.is_last);
                    assert_eq!(fields, peer, "{data}");
                }
                tally.same(true);
            }
            (Err(_), Err(_)) => tally.same(false),
            (Err(FrameError::IsLast { .. }), Ok(_)) => tally.excuse("frame-is-last"),
            (ours, theirs) => panic!("{data}: {ours:?}, the peer {theirs:?}"),
        }
    }
    tally.report("frames");
}

/// A batch in a form that both sides' values come to: timestamp, epoch, hashes as far as there are,
/// transactions.
#[derive(Debug, PartialEq, Eq)]
struct Plain {
    checks: (Vec<u8>, Vec<u8>),
    blocks: Vec<(u64, u64, Vec<Bytes>)>,
}

fn plain(batch: Batch, config: &RollupConfig) -> Result<Plain, String> {
    match batch {
        Batch::Singular(b) => Ok(Plain {
            checks: (b.parent_hash.to_vec(), b.epoch_hash.to_vec()),
            blocks: vec![(b.timestamp, b.epoch_num, b.transactions)],
        }),
        Batch::Span(raw) => {
            let span = raw
                .into_span(config.block_time, config.genesis.l2_time, config.l2_chain_id)
                .map_err(|error| error.to_string())?;
            Ok(Plain {
                checks: (span.parent_check().to_vec(), span.l1_origin_check().to_vec()),
                blocks: span.blocks().map(|b| (b.timestamp, b.epoch_num, b.transactions)).collect(),
            })
        }
    }
}

fn kona_plain(batch: KonaBatch) -> Plain {
    match batch {
        KonaBatch::Single(b) => Plain {
            checks: (b.parent_hash.to_vec(), b.epoch_hash.to_vec()),
            blocks: vec![(b.timestamp, b.epoch_num, b.transactions)],
        },
        KonaBatch::Span(b) => Plain {
            checks: (b.parent_check.to_vec(), b.l1_origin_check.to_vec()),
            blocks: b
                .batches
                .into_iter()
                .map(|b| (b.timestamp, b.epoch_num, b.transactions))
                .collect(),
        },
    }
}

/// Whether a span has numbers in more bytes than they need: what it says in the shortest form is
/// other bytes.
fn is_overlong(data: &Bytes, config: &RollupConfig) -> bool {
    let Ok(Batch::Span(raw)) = Batch::decode(data) else { return false };
    let first_origin_changes = raw.first_origin_changes();
    let chain = SpanChain::from(config);
    let span = raw.into_span(chain.block_time, chain.genesis_time, chain.chain_id).unwrap();
    let shortest = span.encode(chain, first_origin_changes).unwrap();
    !data[1..].starts_with(&shortest)
}

/// Why the sides may differ on this batch, if they may.
fn batch_excuse(
    data: &Bytes,
    config: &RollupConfig,
    ours: &Result<Plain, String>,
    theirs: &Option<Option<Plain>>,
) -> Option<&'static str> {
    match (ours, theirs) {
        (_, None) if data.first().is_some_and(|kind| *kind > 1) => Some("batch-type"),
        (_, None) => Some("span-panic"),
        (Ok(ours), Some(None)) => {
            // Our decoder, like op-node's, moves bytes; the peer decodes into types. What is no
            // transaction for alloy's types is none for the peer.
            let mut all = ours.blocks.iter().flat_map(|(_, _, txs)| txs);
            if all.any(|tx| TxEnvelope::decode_2718_exact(tx).is_err()) {
                return Some("span-number");
            }
            is_overlong(data, config).then_some("span-varint")
        }
        (Err(error), Some(Some(_))) if error.contains("_bits") => Some("span-bits"),
        (Err(error), Some(Some(_))) if error.contains("exceeds the limit") => Some("span-limit"),
        _ => None,
    }
}

fn compare_batch(tally: &mut Tally, data: &Bytes, config: &RollupConfig) {
    let peer = kona::rollup_config(config);
    let ours = Batch::decode(data)
        .map_err(|error| error.to_string())
        .and_then(|batch| plain(batch, config));
    let theirs = guarded(|| KonaBatch::decode(&mut data.as_ref(), &peer).ok().map(kona_plain));
    match (&ours, &theirs) {
        (Ok(ours), Some(Some(theirs))) if ours == theirs => return tally.same(true),
        (Err(_), Some(None)) => return tally.same(false),
        _ => {}
    }
    match batch_excuse(data, config, &ours, &theirs) {
        Some(name) => tally.excuse(name),
        None => {
            let (head, length) = (data.slice(..data.len().min(400)), data.len());
            let ours = ours.map(|plain| plain.blocks.len());
            let theirs = theirs.map(|theirs| theirs.map(|plain| plain.blocks.len()));
            tally.wrong.push(format!("{length} bytes {head}: {ours:?}, the peer {theirs:?}"));
        }
    }
}

#[test]
fn vectors_batches() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut tally = Tally::default();
    let mut small: Vec<Bytes> = Vec::new();
    for channel in vectors::channels() {
        let mut rest = channel.stream.as_ref();
        while !rest.is_empty() {
            let batch = alloy_rlp::Header::decode_bytes(&mut rest, false).unwrap();
            let batch = Bytes::copy_from_slice(batch);
            compare_batch(&mut tally, &batch, &channel.config);
            if batch.len() < 10_000 {
                small.push(batch);
            }
        }
    }
    for json in json_files("derivation/span") {
        let body: Bytes = parse(&json["raw_span_body"]);
        let mut config = generate::config(Hardfork::Ecotone);
        config.l2_chain_id = opal_tests::vectors::uint(&json["chain_id"]);
        config.genesis.l2_time = opal_tests::vectors::uint(&json["genesis_time"]);
        let batch = Bytes::from([&[1], &body[..]].concat());
        compare_batch(&mut tally, &batch, &config);
        small.push(batch);
    }
    // Batches of a few transactions are those in which a mutation hits a column's edge.
    let config = generate::config(Hardfork::Isthmus);
    for seed in 0..40 {
        let blocks = generate::blocks(&config, seed, 1 + seed % 5, seed % 4);
        for stream in [generate::span_stream(&config, &blocks), generate::singular_stream(&blocks)]
        {
            let mut rest = stream.as_ref();
            let batch = alloy_rlp::Header::decode_bytes(&mut rest, false).unwrap();
            small.push(Bytes::copy_from_slice(batch));
        }
    }
    for batch in with_mutations(2, &small, 20_000) {
        compare_batch(&mut tally, &batch, &config);
    }
    let _ = std::panic::take_hook();
    tally.report("batches");
    let shown = tally.wrong.len().min(5);
    assert!(shown == 0, "{} differ: {:#?}", tally.wrong.len(), &tally.wrong[..shown]);
}

#[test]
fn vectors_damaged_channels() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut tally = Tally::default();
    let mut rng = Rng(3);
    for channel in vectors::channels() {
        let mut peer = kona::rollup_config(&channel.config);
        peer.hardforks.fjord_time = Some(0);
        let limit = 100_000_000;
        for at in 0..30 {
            let data = if at == 0 {
                channel.data.to_vec()
            } else {
                mutate(&mut rng, &channel.data, &channel.data)
            };
            let ours: Vec<Result<Plain, String>> = ChannelReader::new(&data, limit, true)
                .map_or_else(
                    |_| Vec::new(),
                    |mut reader| {
                        std::iter::from_fn(|| reader.next_batch())
                            .take_while(Result::is_ok)
                            .map(|batch| plain(batch.unwrap(), &channel.config))
                            .collect()
                    },
                );
            let theirs = guarded(|| {
                let mut reader = BatchReader::new(data.clone(), limit as usize);
                std::iter::from_fn(|| reader.next_batch(&peer)).map(kona_plain).collect::<Vec<_>>()
            });
            let Some(theirs) = theirs else {
                tally.excuse("span-panic");
                continue;
            };
            // What the peer reads, we read; but for the last batch, and never of what is whole.
            let mut pairs = ours.iter().zip(&theirs);
            let more = theirs.len().saturating_sub(ours.len());
            if more > usize::from(at > 0) || pairs.any(|(ours, theirs)| ours.as_ref() != Ok(theirs))
            {
                let (ours, theirs) = (ours.len(), theirs.len());
                tally.wrong.push(format!("{} mutation {at}: {ours}, {theirs}", channel.name));
            }
            if theirs.len() == ours.len() {
                tally.same(!ours.is_empty());
            } else if more > 0 {
                tally.excuse("channel-last");
            } else {
                tally.excuse("channel-damaged");
            }
        }
    }
    let _ = std::panic::take_hook();
    tally.report("damaged channels");
    assert!(tally.wrong.is_empty(), "{:?}", tally.wrong);
}

#[test]
fn vectors_blobs() {
    let mut seeds: Vec<Box<Blob>> = vectors::blobs().into_values().collect();
    for json in json_files("blobs") {
        for case in list(&json["decode"]) {
            let prefix: Bytes = parse(&case["blob_prefix"]);
            let mut blob = Box::new(Blob::ZERO);
            blob[..prefix.len()].copy_from_slice(&prefix);
            seeds.push(blob);
        }
        for sidecar in list(&json["data"]) {
            seeds.push(Box::new(Blob::from_slice(&parse::<Bytes>(&sidecar["blob"]))));
        }
    }
    let mut rng = Rng(4);
    for length in [0, 1, 26, 27, 28, 122, 123, 124, 250, 5000, 130_043, 130_044] {
        seeds.push(encode_blob(&rng.bytes(length)).unwrap());
    }
    let mut tally = Tally::default();
    let originals = seeds.len();
    for round in 0..3_000 {
        let blob = if round < originals {
            seeds[round].clone()
        } else {
            let mut blob = seeds[rng.below(originals as u64) as usize].clone();
            for _ in 0..=rng.below(2) {
                // Half of the changes hit the head.
                let range = if rng.below(2) == 0 { 64 } else { blob.len() as u64 };
                let at = rng.below(range) as usize;
                blob[at] ^= 1 << rng.below(8);
            }
            blob
        };
        let ours = decode_blob(&blob).ok();
        let (block, by_hash) = generate::blob_block(core::slice::from_ref(&blob));
        let chain = kona::Chain::new(core::slice::from_ref(&block));
        let blobs: HashMap<B256, Box<Blob>> = by_hash;
        let mut source =
            BlobSource::new(chain, kona::Blobs::new(&blobs), Address::repeat_byte(0xff));
        let info = kona::block_info(block.reference);
        let theirs = kona::now(source.next(&info, generate::batcher().address()));
        match (ours, theirs) {
            (Some(ours), Ok(theirs)) if ours == theirs => tally.same(true),
            (None, Err(PipelineErrorKind::Temporary(PipelineError::Eof))) => tally.same(false),
            (Some(_), Err(_)) if blob.iter().all(|byte| *byte == 0) => tally.excuse("blob-zero"),
            (ours, theirs) => panic!(
                "blob {}: {:?}, the peer {:?}",
                Bytes::copy_from_slice(&blob[..64]),
                ours.map(|data| data.len()),
                theirs.map(|data| data.len())
            ),
        }
    }
    tally.report("blobs");
}

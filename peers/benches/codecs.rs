//! The parts, both sides in one process: decompression, batches, blobs, encoding and compression.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

mod common;

use std::collections::HashMap;
use std::hint::black_box;

use alloy_primitives::{Address, B256, Bytes};
use common::CpuTime;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kona_comp::{BrotliCompressor, BrotliLevel, ChannelCompressor, CompressorWriter};
use kona_derive::{BlobSource, DataAvailabilityProvider};
use kona_protocol::{Batch as KonaBatch, BatchReader};
use opal_peers::generate::{self, BatchBlock};
use opal_peers::kona;
use opal_peers::vectors::{self, Channel};
use opal_protocol::batch::Batch;
use opal_protocol::blob::{Blob, decode_blob, encode_blob};
use opal_protocol::compress::{compress_brotli, compress_zlib, decompress_brotli, decompress_zlib};
use opal_protocol::span_batch::{RawSpanBatch, SpanBuilder, SpanChain};
use opal_protocol::{ChannelReader, Hardfork, RollupConfig, SingularBatch};

/// More than any channel here holds.
const LIMIT: usize = 100_000_000;

/// A benchmark of each side, in one group.
fn compare<A, B>(
    c: &mut Criterion<CpuTime>,
    group: &str,
    throughput: Throughput,
    mut opal: impl FnMut() -> A,
    mut kona: impl FnMut() -> B,
) {
    let mut group = c.benchmark_group(group);
    group.throughput(throughput);
    group.bench_function("opal", |b| b.iter(&mut opal));
    group.bench_function("kona", |b| b.iter(&mut kona));
    group.finish();
}

/// The real channels, and generated ones of both batch types and compressions.
fn channels() -> Vec<Channel> {
    let mut channels = vectors::channels();
    let config = generate::config(Hardfork::Holocene);
    let blocks = generate::blocks(&config, 1, 120, 20);
    let streams = [
        ("generated-span", generate::span_stream(&config, &blocks)),
        ("generated-singular", generate::singular_stream(&blocks)),
    ];
    for (name, stream) in streams {
        for brotli in [false, true] {
            channels.push(Channel {
                name: format!("{name}-{}", if brotli { "brotli" } else { "zlib" }),
                config: config.clone(),
                data: generate::compress(&stream, brotli).into(),
                stream: stream.clone(),
                brotli,
                blocks: blocks.len(),
                transactions: blocks.iter().map(|block| block.transactions.len()).sum(),
            });
        }
    }
    channels
}

/// The chain as the peer wants it here: it asks whether Fjord is active at a batch's time.
fn fjord(config: &RollupConfig) -> kona_genesis::RollupConfig {
    let mut config = kona::rollup_config(config);
    config.hardforks.fjord_time = Some(0);
    config
}

fn opal_read(data: &[u8], config: &RollupConfig) -> usize {
    let mut reader = ChannelReader::new(data, LIMIT as u64, true).unwrap();
    let mut blocks = 0;
    while let Some(batch) = reader.next_batch() {
        blocks += match batch.unwrap() {
            Batch::Singular(batch) => {
                black_box(&batch);
                1
            }
            Batch::Span(raw) => {
                let genesis_time = config.genesis.l2_time;
                let span =
                    raw.into_span(config.block_time, genesis_time, config.l2_chain_id).unwrap();
                span.blocks().map(black_box).count()
            }
        };
    }
    blocks
}

fn kona_read(data: Vec<u8>, config: &kona_genesis::RollupConfig) -> usize {
    let mut reader = BatchReader::new(data, LIMIT);
    let mut blocks = 0;
    while let Some(batch) = reader.next_batch(config) {
        blocks += match black_box(&batch) {
            KonaBatch::Single(_) => 1,
            KonaBatch::Span(span) => span.batches.len(),
        };
    }
    blocks
}

/// Compressed channel to batches with all transactions, and the decompressor's part of it.
fn read_channels(c: &mut Criterion<CpuTime>) {
    for channel in channels() {
        let Channel { name, config, data, stream, brotli, .. } = &channel;
        let peer = fjord(config);
        assert_eq!(opal_read(data, config), channel.blocks, "{name}");
        assert_eq!(kona_read(data.to_vec(), &peer), channel.blocks, "{name}");
        let mut group = c.benchmark_group(format!("channel/{name}"));
        group.throughput(Throughput::Bytes(stream.len() as u64));
        group.bench_function("opal", |b| b.iter(|| opal_read(data, config)));
        group.bench_function("kona", |b| {
            b.iter_batched(|| data.to_vec(), |data| kona_read(data, &peer), BatchSize::LargeInput);
        });
        group.finish();

        let bytes = Throughput::Bytes(stream.len() as u64);
        let group = format!("decompress/{name}");
        if *brotli {
            compare(
                c,
                &group,
                bytes,
                || decompress_brotli(&data[1..], LIMIT),
                || kona_protocol::decompress_brotli(&data[1..], LIMIT),
            );
        } else {
            compare(
                c,
                &group,
                bytes,
                || decompress_zlib(data, LIMIT),
                || {
                    // What the peer's reader does with a zlib channel.
                    let mut reader = BatchReader::new(data.to_vec(), LIMIT);
                    reader.decompress().unwrap();
                    reader.decompressed
                },
            );
        }
    }
}

/// The bodies of the span batches in a channel, without their version byte.
fn span_bodies(stream: &[u8]) -> Vec<Bytes> {
    let mut rest = stream;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let batch = alloy_rlp::Header::decode_bytes(&mut rest, false).unwrap();
        if batch[0] == 1 {
            out.push(Bytes::copy_from_slice(&batch[1..]));
        }
    }
    out
}

fn decode_spans(c: &mut Criterion<CpuTime>) {
    for channel in channels() {
        let Channel { name, config, stream, .. } = &channel;
        let bodies = span_bodies(stream);
        if bodies.is_empty() || name.ends_with("zlib") {
            continue;
        }
        let (block_time, genesis, id) =
            (config.block_time, config.genesis.l2_time, config.l2_chain_id);
        let opal = || {
            for body in &bodies {
                let raw = RawSpanBatch::decode(body).unwrap();
                let span = raw.into_span(block_time, genesis, id).unwrap();
                span.blocks().for_each(|block| drop(black_box(block)));
            }
        };
        let kona = || {
            for body in &bodies {
                let mut raw = kona_protocol::RawSpanBatch::decode(&mut body.as_ref()).unwrap();
                black_box(raw.derive(block_time, genesis, id).unwrap());
            }
        };
        let txs = Throughput::Elements(channel.transactions as u64);
        compare(c, &format!("span-decode/{name}"), txs, opal, kona);
    }
}

/// The peer decodes blobs only as part of its blob source, so both decode the 63 blobs that remain
/// of a transaction of 64 after its signature was checked and the first one read.
fn decode_blobs(c: &mut Criterion<CpuTime>) {
    let real: Vec<Box<Blob>> = vectors::blobs().into_values().collect();
    let full = encode_blob(&generate::Rng(5).bytes(opal_protocol::blob::MAX_BLOB_DATA)).unwrap();
    let sets = [("real", real), ("full", vec![full])];
    for (name, blobs) in sets {
        if blobs.is_empty() {
            continue;
        }
        let blobs: Vec<Box<Blob>> = blobs.iter().cycle().take(64).cloned().collect();
        let (block, by_hash) = generate::blob_block(&blobs);
        let batcher: Address = generate::batcher().address();
        let source = {
            let chain = kona::Chain::new(core::slice::from_ref(&block));
            let blobs: HashMap<B256, Box<Blob>> = by_hash;
            let inbox = Address::repeat_byte(0xff);
            let mut source = BlobSource::new(chain, kona::Blobs::new(&blobs), inbox);
            kona::now(source.next(&kona::block_info(block.reference), batcher)).unwrap();
            source
        };
        let info = kona::block_info(block.reference);
        let mut group = c.benchmark_group(format!("blob-decode/{name}"));
        group.throughput(Throughput::Bytes(63 * 131_072));
        group.bench_function("opal", |b| {
            b.iter(|| {
                for blob in &blobs[1..] {
                    black_box(decode_blob(blob).unwrap());
                }
            });
        });
        group.bench_function("kona", |b| {
            b.iter_batched_ref(
                || source.clone(),
                |source| {
                    for _ in 1..64 {
                        black_box(kona::now(source.next(&info, batcher)).unwrap());
                    }
                },
                BatchSize::LargeInput,
            );
        });
        group.finish();
    }
}

fn singular(block: &BatchBlock) -> SingularBatch {
    SingularBatch {
        epoch_num: block.epoch,
        timestamp: block.timestamp,
        transactions: block.transactions.clone(),
        ..SingularBatch::default()
    }
}

fn kona_single(block: &BatchBlock) -> kona_protocol::SingleBatch {
    kona_protocol::SingleBatch {
        epoch_num: block.epoch,
        timestamp: block.timestamp,
        transactions: block.transactions.clone(),
        ..kona_protocol::SingleBatch::default()
    }
}

/// The blocks of every real channel and of a generated one.
fn block_sets() -> Vec<(String, RollupConfig, Vec<BatchBlock>)> {
    let mut sets: Vec<_> = vectors::channels()
        .into_iter()
        .map(|channel| {
            let blocks = generate::batch_blocks(&channel.stream, &channel.config);
            (channel.name, channel.config, blocks)
        })
        .collect();
    let config = generate::config(Hardfork::Holocene);
    let blocks = generate::blocks(&config, 1, 120, 20);
    sets.push(("generated".into(), config, blocks));
    sets
}

fn encode_batches(c: &mut Criterion<CpuTime>) {
    for (name, config, blocks) in block_sets() {
        let batches: Vec<SingularBatch> = blocks.iter().map(singular).collect();
        let singles: Vec<_> = blocks.iter().map(kona_single).collect();
        let txs: usize = blocks.iter().map(|block| block.transactions.len()).sum();
        let txs = Throughput::Elements(txs as u64);
        let opal = || {
            for batch in &batches {
                black_box(batch.encode_for_channel());
            }
        };
        let kona = || {
            for single in &singles {
                let mut out = Vec::new();
                KonaBatch::Single(single.clone()).encode(&mut out).unwrap();
                black_box(out);
            }
        };
        compare(c, &format!("singular-encode/{name}"), txs.clone(), opal, kona);

        let chain = SpanChain::from(&config);
        let opal = || {
            let mut span = SpanBuilder::new(chain, batches[0].epoch_num);
            for batch in &batches {
                span.push(batch).unwrap();
            }
            span.encode().unwrap()
        };
        let kona = || {
            let mut span = kona_protocol::SpanBatch {
                genesis_timestamp: config.genesis.l2_time,
                chain_id: config.l2_chain_id,
                ..kona_protocol::SpanBatch::default()
            };
            for single in &singles {
                span.append_singular_batch(single.clone(), 1).unwrap();
            }
            let mut out = Vec::new();
            span.to_raw_span_batch().unwrap().encode(&mut out).unwrap();
            out
        };
        assert_eq!(opal(), kona(), "{name}");
        compare(c, &format!("span-encode/{name}"), txs, opal, kona);
    }
}

/// One-shot compression of the same stream with the settings that each side's batcher uses. The
/// sizes that come out are in the table of `benches/tables.rs`.
fn compress(c: &mut Criterion<CpuTime>) {
    for (name, config, blocks) in block_sets() {
        if blocks.len() < 60 {
            // Seconds for each; the longer channels tell enough.
            continue;
        }
        let span = generate::span_stream(&config, &blocks);
        let singular = generate::singular_stream(&blocks);
        for (kind, stream) in [("span", span), ("singular", singular)] {
            let theirs = |level| kona_comp::compress_brotli(&stream, level).unwrap();
            let bytes = Throughput::Bytes(stream.len() as u64);
            let mut group = c.benchmark_group(format!("compress/{name}/{kind}"));
            group.throughput(bytes).sample_size(10);
            group.bench_function("zlib/opal", |b| b.iter(|| compress_zlib(&stream)));
            group.bench_function("zlib/kona", |b| b.iter(|| kona_comp::compress_zlib(&stream)));
            group.bench_function("brotli/opal", |b| b.iter(|| compress_brotli(&stream)));
            group.bench_function("brotli/kona-9", |b| b.iter(|| theirs(BrotliLevel::Brotli9)));
            group.bench_function("brotli/kona-10", |b| b.iter(|| theirs(BrotliLevel::Brotli10)));
            group.finish();
        }
    }
}

/// A channel that grows batch by batch, as a batcher's does: its compressed size is asked for
/// after each.
fn grow(c: &mut Criterion<CpuTime>) {
    let config = generate::config(Hardfork::Holocene);
    let blocks = generate::blocks(&config, 1, 40, 20);
    let batches: Vec<SingularBatch> = blocks.iter().map(singular).collect();
    let encoded: Vec<Vec<u8>> = batches.iter().map(SingularBatch::encode_for_channel).collect();
    let mut group = c.benchmark_group("channel-out/generated-40-blocks");
    group.sample_size(10);
    group.bench_function("opal", |b| {
        b.iter(|| {
            let compression = opal_protocol::Compression::Brotli;
            let id = opal_protocol::ChannelId::default();
            let mut out = opal_protocol::ChannelOut::new(id, compression, LIMIT as u64);
            for batch in &batches {
                out.add(batch).unwrap();
                black_box(out.compressed_len());
            }
            out.frames(130_043).unwrap()
        });
    });
    group.bench_function("kona", |b| {
        b.iter(|| {
            let mut out = BrotliCompressor::new(BrotliLevel::Brotli9);
            for batch in &encoded {
                out.write(batch).unwrap();
                black_box(out.len());
            }
            out.get_compressed()
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = read_channels, decode_spans, decode_blobs, encode_batches, compress, grow
}
criterion_main!(benches);

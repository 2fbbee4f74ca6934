//! From a channel's bytes to L2 blocks, and back, on the real channels of the vectors: all of it,
//! and each part alone. `OPAL_VECTORS` names the folder; without it there is nothing to measure.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use alloy_primitives::Bytes;
use criterion::{Criterion, Throughput};
use opal_protocol::blob::{MAX_BLOB_DATA, decode_blob, encode_blob};
use opal_protocol::compress::{decompress_brotli, decompress_zlib};
use opal_protocol::span_batch::{RawSpanBatch, SpanBatch, SpanBuilder, SpanChain};
use opal_protocol::{Batch, ChannelReader, Compression, SingularBatch};
use opal_tests::vectors::{Vectors, parse, uint};

const LIMIT: usize = 100_000_000;

/// Every batch of a channel, with all its transactions.
fn read(channel: &[u8], chain: SpanChain) -> (Vec<SpanBatch>, Vec<SingularBatch>) {
    let (mut spans, mut singulars) = (Vec::new(), Vec::new());
    let mut reader = ChannelReader::new(channel, LIMIT as u64, true).unwrap();
    while let Some(batch) = reader.next_batch() {
        match batch.unwrap() {
            Batch::Singular(batch) => singulars.push(batch),
            Batch::Span(raw) => spans.push(into_span(*raw, chain)),
        }
    }
    (spans, singulars)
}

fn into_span(raw: RawSpanBatch, chain: SpanChain) -> SpanBatch {
    raw.into_span(chain.block_time, chain.genesis_time, chain.chain_id).unwrap()
}

fn channel(c: &mut Criterion, name: &str, data: &Bytes, chain: SpanChain) {
    let reader = ChannelReader::new(data, LIMIT as u64, true).unwrap();
    let stream = reader.decompressed().clone();
    let (spans, singulars) = read(data, chain);
    let txs: usize = spans
        .iter()
        .flat_map(SpanBatch::heads)
        .map(|block| block.tx_count)
        .chain(singulars.iter().map(|batch| batch.transactions.len()))
        .sum();
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("all", |b| b.iter(|| black_box(read(data, chain))));
    group.bench_function("decompress", |b| match reader.compression() {
        Compression::Zlib => b.iter(|| black_box(decompress_zlib(data, LIMIT))),
        Compression::Brotli => b.iter(|| black_box(decompress_brotli(&data[1..], LIMIT))),
    });
    if !spans.is_empty() {
        let bodies: Vec<Bytes> = bodies(&stream);
        group.throughput(Throughput::Elements(txs as u64));
        group.bench_function("span columns", |b| {
            b.iter(|| {
                for body in &bodies {
                    black_box(RawSpanBatch::decode(body).unwrap());
                }
            });
        });
        group.bench_function("span blocks", |b| {
            b.iter(|| {
                for body in &bodies {
                    black_box(into_span(RawSpanBatch::decode(body).unwrap(), chain));
                }
            });
        });
        let blocks: Vec<Vec<SingularBatch>> = spans.iter().map(singular).collect();
        group.bench_function("span encode", |b| {
            b.iter(|| {
                for blocks in &blocks {
                    let mut span = SpanBuilder::new(chain, blocks[0].epoch_num);
                    blocks.iter().try_for_each(|block| span.push(block)).unwrap();
                    black_box(span.encode_for_channel().unwrap());
                }
            });
        });
    }
    group.finish();
}

/// The bodies of the span batches in a decompressed channel.
fn bodies(stream: &Bytes) -> Vec<Bytes> {
    let mut rest = stream.as_ref();
    let mut bodies = Vec::new();
    while !rest.is_empty() {
        let batch = alloy_rlp::Header::decode_bytes(&mut rest, false).unwrap();
        bodies.push(stream.slice_ref(&batch[1..]));
    }
    bodies
}

fn singular(span: &SpanBatch) -> Vec<SingularBatch> {
    let blocks = span.blocks().map(|block| SingularBatch {
        epoch_num: block.epoch_num,
        timestamp: block.timestamp,
        transactions: block.transactions,
        ..SingularBatch::default()
    });
    blocks.collect()
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for file in Vectors::from_env().files("derivation/channels") {
        let json = file.json();
        let data: Bytes = parse(&json["channel"]["channel_data"]);
        let chain = SpanChain {
            block_time: 2,
            genesis_time: json["genesis_time"].as_u64().unwrap_or(0),
            chain_id: uint(&json["chain_id"]),
        };
        channel(&mut criterion, file.name.split('.').next().unwrap(), &data, chain);
    }
    let data: Vec<u8> = (0..MAX_BLOB_DATA).map(|i| (i * 7 % 251) as u8).collect();
    let blob = encode_blob(&data).unwrap();
    let mut group = criterion.benchmark_group("blob");
    group.throughput(Throughput::Bytes(data.len() as u64));
    group.bench_function("decode", |b| b.iter(|| black_box(decode_blob(&blob).unwrap())));
    group.bench_function("encode", |b| b.iter(|| black_box(encode_blob(&data).unwrap())));
    group.finish();
    criterion.final_summary();
}

//! Bytes and CPU time of each compression level, on the real channels of the vectors and on a
//! generated one, as the tables of `docs/compression.md`:
//! `cargo run --release -p opal-protocol --example compression`.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use alloy_primitives::{B256, Bytes, keccak256};
use opal_protocol::compress::{
    compress_brotli_at, compress_zlib_at, decompress_brotli, decompress_zlib,
};
use opal_protocol::span_batch::{SpanBatch, SpanChain, encode_span_batch};
use opal_protocol::{Batch, ChannelReader, SingularBatch};
use opal_tests::vectors::{Vectors, parse, uint};

const LIMIT: usize = 100_000_000;

/// Time that this thread has spent on a CPU; time that has passed where the system does not tell.
fn cpu_time(start: Instant) -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = stat.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// The mean time of a run, and the last result. The system counts in ticks of some milliseconds, so
/// many runs are needed.
fn timed<T>(run: impl Fn() -> T) -> (Duration, T) {
    let start = Instant::now();
    let before = cpu_time(start);
    let mut runs = 0;
    loop {
        let out = run();
        runs += 1;
        let spent = cpu_time(start).saturating_sub(before);
        if spent > Duration::from_millis(300) {
            return (spent / runs, out);
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn table(name: &str, data: &[u8]) {
    println!("\n### {name}: {} bytes\n", data.len());
    println!("| level | bytes | ratio | compress, ms | decompress, ms |");
    println!("|---|---:|---:|---:|---:|");
    let row = |name: String, (time, out): (Duration, Vec<u8>), back: Duration| {
        let ratio = out.len() as f64 / data.len() as f64;
        println!(
            "| {name} | {} | {ratio:.4} | {:.1} | {:.2} |",
            out.len(),
            millis(time),
            millis(back)
        );
    };
    for level in [1, 3, 6, 7, 8, 9, 10] {
        let packed = timed(|| compress_zlib_at(data, level));
        let (back, out) = timed(|| decompress_zlib(&packed.1, LIMIT));
        assert!(out.complete && out.data == data);
        row(format!("zlib {level}"), packed, back);
    }
    for quality in [1, 3, 5, 6, 7, 8, 9, 10, 11] {
        let packed = timed(|| compress_brotli_at(data, quality).unwrap());
        let (back, out) = timed(|| decompress_brotli(&packed.1, LIMIT));
        assert!(out.complete && out.data == data);
        row(format!("brotli {quality}"), packed, back);
    }
}

/// The batches of a channel as spans, and the same blocks as singular batches.
fn both_types(channel: &[u8], chain: SpanChain) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut reader = ChannelReader::new(channel, LIMIT as u64, true).unwrap();
    let spans = reader.decompressed().to_vec();
    let mut singulars = Vec::new();
    while let Some(batch) = reader.next_batch() {
        let Batch::Span(raw) = batch.unwrap() else { return None };
        let span = raw.into_span(chain.block_time, chain.genesis_time, chain.chain_id).unwrap();
        for batch in singular(&span) {
            singulars.extend(batch.encode_for_channel());
        }
    }
    Some((spans, singulars))
}

/// Blocks of a span, with hashes that are made up: as many as there are, and as little
/// compressible.
fn singular(span: &SpanBatch) -> Vec<SingularBatch> {
    let blocks = span.blocks().map(|block| SingularBatch {
        parent_hash: keccak256(block.timestamp.to_be_bytes()),
        epoch_num: block.epoch_num,
        epoch_hash: keccak256(block.epoch_num.to_be_bytes()),
        timestamp: block.timestamp,
        transactions: block.transactions,
    });
    blocks.collect()
}

/// Blocks of transfers, the most repetitive load there is: accounts send a token, call after call.
fn generated(chain: SpanChain) -> Vec<SingularBatch> {
    let word = |n: u64| keccak256(n.to_be_bytes());
    let transaction = |n: u64| -> Bytes {
        let account = n % 300;
        let to = word(account * 7 % 40);
        let mut calldata = hex_selector().to_vec();
        calldata.extend_from_slice(B256::left_padding_from(&word(n % 1_000)[..20]).as_slice());
        calldata.extend_from_slice(B256::left_padding_from(&(n * 1_000).to_be_bytes()).as_slice());
        let mut body = Vec::new();
        let put = |bytes: &[u8], body: &mut Vec<u8>| {
            alloy_rlp::Encodable::encode(&bytes, body);
        };
        alloy_rlp::Encodable::encode(&chain.chain_id, &mut body);
        alloy_rlp::Encodable::encode(&(n / 300), &mut body);
        alloy_rlp::Encodable::encode(&1_000_000u64, &mut body);
        alloy_rlp::Encodable::encode(&(1_000_000_000 + n % 50), &mut body);
        alloy_rlp::Encodable::encode(&65_000u64, &mut body);
        put(&to[..20], &mut body);
        put(&[], &mut body);
        put(&calldata, &mut body);
        body.push(0xc0);
        alloy_rlp::Encodable::encode(&(n % 2), &mut body);
        // Numbers without leading zeros, as signatures are.
        for half in [0, 1 << 32] {
            let mut half = word(n + half).0;
            half[0] |= 1;
            put(&half, &mut body);
        }
        let header = alloy_rlp::Header { list: true, payload_length: body.len() };
        let mut out = vec![2];
        header.encode(&mut out);
        out.extend(body);
        out.into()
    };
    let block = |i: u64| SingularBatch {
        parent_hash: word(i),
        epoch_num: i / 6,
        epoch_hash: word(i / 6),
        timestamp: chain.genesis_time + chain.block_time * i,
        transactions: (0..20).map(|n| transaction(20 * i + n)).collect(),
    };
    (0..300).map(block).collect()
}

/// `transfer(address,uint256)`.
const fn hex_selector() -> [u8; 4] {
    [0xa9, 0x05, 0x9c, 0xbb]
}

fn main() {
    let chain = SpanChain { block_time: 2, genesis_time: 0, chain_id: 10 };
    let mut types = Vec::new();
    for file in Vectors::from_env().files("derivation/channels") {
        let json = file.json();
        let data: Bytes = parse(&json["channel"]["channel_data"]);
        let chain = SpanChain { chain_id: uint(&json["chain_id"]), ..chain };
        let name = file.name.split('.').next().unwrap();
        let reader = ChannelReader::new(&data, LIMIT as u64, true).unwrap();
        table(&format!("{name} ({} bytes on L1)", data.len()), reader.decompressed());
        if let Some((spans, singulars)) = both_types(&data, chain) {
            types.push((name.to_owned(), spans, singulars));
        }
    }
    let blocks = generated(chain);
    let singulars: Vec<u8> = blocks.iter().flat_map(SingularBatch::encode_for_channel).collect();
    let span = encode_span_batch(&blocks, 0, chain).unwrap();
    table("generated: 300 blocks of 20 token transfers, one span", &span);
    types.push(("generated".to_owned(), span, singulars));

    println!(
        "\n### Batch types\n\n| channel | bytes, span | singular | brotli 9, span | singular |"
    );
    println!("|---|---:|---:|---:|---:|");
    for (name, spans, singulars) in types {
        let packed = |data: &[u8]| compress_brotli_at(data, 9).unwrap().len();
        let (span, singular) = (packed(&spans), packed(&singulars));
        println!("| {name} | {} | {} | {span} | {singular} |", spans.len(), singulars.len());
    }
}

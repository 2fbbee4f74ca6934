//! Frames, channels and batches.

use std::ops::ControlFlow;

use alloy_consensus::Transaction as _;
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{B256, Bytes, hex, keccak256};
use opal_protocol::batcher_tx::{decode_batcher_data, encode_batcher_data};
use opal_protocol::span_batch::{RawSpanBatch, SpanBatch, SpanBlock, SpanBuilder, SpanChain};
use opal_protocol::{Batch, ChannelReader, Compression, Hardfork, SingularBatch, TxEnvelope};
use opal_tests::vectors::{Outcome, VectorFile, list, optional, parse, text, uint};
use serde_json::Value;

use crate::fork;

/// The bytes of a note such as `00 || ff*16 00ee || dd*1000`: hex, parts of it repeated.
fn bytes_of_note(note: &str) -> Bytes {
    let mut out = Vec::new();
    for part in note.split(|c: char| c.is_whitespace() || c == '|').filter(|part| !part.is_empty())
    {
        let (digits, times) = part.split_once('*').unwrap_or((part, "1"));
        out.extend(hex::decode(digits).unwrap().repeat(times.parse().unwrap()));
    }
    out.into()
}

pub fn check_frames(file: &VectorFile) -> Outcome {
    let json = file.json();
    file.expect_lists(&json, &["cases"]);
    let cases = list(&json["cases"]);
    for case in cases {
        let data = match (optional(case, "data"), optional(case, "data_note")) {
            (Some(data), _) => parse(data),
            (None, Some(note)) => bytes_of_note(text(note)),
            _ => file.not_understood(case),
        };
        let result = decode_batcher_data(&data);
        match (optional(case, "frames"), optional(case, "error")) {
            (Some(count), None) => {
                let frames = result.unwrap_or_else(|error| panic!("{}: {error}", case["name"]));
                assert_eq!(frames.len() as u64, uint(count), "{}", case["name"]);
                assert_eq!(encode_batcher_data(&frames), data, "{}", case["name"]);
            }
            (None, Some(_)) => assert!(result.is_err(), "{}", case["name"]),
            _ => file.not_understood(case),
        }
    }
    Outcome::Checked(cases.len())
}

pub fn check_channel(file: &VectorFile) -> Outcome {
    let json = file.json();
    let channel = &json["channel"];
    let (Some(data), Some(_)) = (optional(channel, "channel_data"), channel["batches"].as_array())
    else {
        file.not_understood(if channel.is_object() { channel } else { &json })
    };
    let data: Bytes = parse(data);
    let brotli = text(&channel["compression"]) == "brotli";
    let fjord = optional(&json, "active_fork").map_or(brotli, |name| fork(name) >= Hardfork::Fjord);
    // `MAX_RLP_BYTES_PER_CHANNEL`.
    let limit = if fjord { 100_000_000 } else { 10_000_000 };

    let mut reader = ChannelReader::new(&data, limit, fjord).unwrap();
    assert_eq!(reader.compression() == Compression::Brotli, brotli);
    let stream = reader.decompressed().clone();
    assert_eq!(stream.len() as u64, uint(&channel["decompressed_len"]));
    assert_eq!(keccak256(&stream), parse::<B256>(&channel["decompressed_keccak256"]));
    let mut rest = stream.as_ref();
    for expected in list(&channel["batches"]) {
        let encoded = alloy_rlp::Header::decode_bytes(&mut rest, false).unwrap();
        let batch = reader.next_batch().unwrap().unwrap();
        check_batch(file, batch, &Bytes::copy_from_slice(encoded), expected, &json);
    }
    assert!(reader.next_batch().is_none(), "more batches than the vector lists");
    if brotli {
        assert!(ChannelReader::new(&data, limit, false).is_err(), "brotli before Fjord");
    }
    check_cuts(&data, &stream, list(&channel["batches"]).len());
    check_batcher_tx(&json, &data);
    Outcome::Checked(list(&channel["batches"]).len())
}

/// A channel that is cut, or longer than the limit, counts up to the cut.
fn check_cuts(data: &Bytes, stream: &Bytes, batches: usize) {
    if let Ok(cut) = ChannelReader::new(&data[..data.len() * 2 / 3], u64::MAX, true) {
        assert!(stream.starts_with(cut.decompressed()));
    }
    let mut limited = ChannelReader::new(data, stream.len() as u64 - 1, true).unwrap();
    assert_eq!(limited.decompressed()[..], stream[..stream.len() - 1]);
    let whole =
        std::iter::from_fn(|| limited.next_batch()).try_fold(0, |count, batch| match batch {
            Ok(_) => ControlFlow::Continue(count + 1),
            Err(_) => ControlFlow::Break(count),
        });
    let (ControlFlow::Continue(whole) | ControlFlow::Break(whole)) = whole;
    assert_eq!(whole, batches - 1);
}

/// The transaction that carried a whole channel, where the vector has it.
fn check_batcher_tx(json: &Value, data: &Bytes) {
    let (Some(raw), Some(frames)) =
        (optional(json, "batcher_tx"), json["channel"]["frames"].as_array())
    else {
        return;
    };
    let raw: Bytes = parse(raw);
    let tx = TxEnvelope::decode_2718_exact(&raw).unwrap();
    let found: Vec<_> = decode_batcher_data(tx.input())
        .unwrap()
        .into_iter()
        .filter(|frame| json["channel"]["channel_id"] == hex::encode_prefixed(frame.id.0))
        .collect();
    assert_eq!(found.len(), frames.len());
    for (frame, listed) in found.iter().zip(frames) {
        assert_eq!(u64::from(frame.number), uint(&listed["number"]));
        assert_eq!(frame.data.len() as u64, uint(&listed["length"]));
        assert_eq!(frame.is_last, listed["is_last"]);
    }
    let carried: Vec<u8> = found.iter().flat_map(|frame| &frame.data).copied().collect();
    assert_eq!(carried, **data);
}

/// The chain of a vector. Seconds between the blocks of a span: given, or else as the listed blocks
/// have it.
fn chain(json: &Value, blocks: &[Value]) -> SpanChain {
    let block_time = match (optional(json, "block_time"), blocks) {
        (Some(time), _) => uint(time),
        (None, [first, second, ..]) => uint(&second["timestamp"]) - uint(&first["timestamp"]),
        // A span of one block gives the same block for any value.
        _ => 2,
    };
    let (genesis_time, chain_id) = (uint(&json["genesis_time"]), uint(&json["chain_id"]));
    SpanChain { block_time, genesis_time, chain_id }
}

/// Puts a span together, and encodes it again to the same bytes: from its blocks, and from singular
/// batches.
fn check_encoding(raw: RawSpanBatch, chain: SpanChain, body: &[u8]) -> SpanBatch {
    let first_origin_changes = raw.first_origin_changes();
    let span = raw.into_span(chain.block_time, chain.genesis_time, chain.chain_id).unwrap();
    assert!(span.encode(chain, first_origin_changes).unwrap() == body, "encodes otherwise");

    let hash = |check: [u8; 20]| B256::right_padding_from(&check);
    let blocks = span.blocks().map(|block| SingularBatch {
        parent_hash: hash(*span.parent_check()),
        epoch_num: block.epoch_num,
        epoch_hash: hash(*span.l1_origin_check()),
        timestamp: block.timestamp,
        transactions: block.transactions,
    });
    let parent_l1_origin = span.first_epoch() - u64::from(first_origin_changes);
    let mut builder = SpanBuilder::new(chain, parent_l1_origin);
    for block in blocks {
        builder.push(&block).unwrap();
    }
    assert_eq!(builder.encoded_len(), body.len());
    assert!(builder.encode().unwrap() == body, "encodes otherwise");
    span
}

fn check_batch(file: &VectorFile, batch: Batch, encoded: &Bytes, expected: &Value, json: &Value) {
    assert_eq!(encoded.len() as u64, uint(&expected["encoded_len"]));
    assert_eq!(keccak256(encoded), parse::<B256>(&expected["encoded_keccak256"]));
    match (text(&expected["type"]), batch) {
        ("singular", Batch::Singular(batch)) => {
            assert_eq!(batch.parent_hash, parse::<B256>(&expected["parent_hash"]));
            assert_eq!(batch.epoch_num, uint(&expected["epoch_num"]));
            assert_eq!(batch.epoch_hash, parse::<B256>(&expected["epoch_hash"]));
            assert_eq!(batch.timestamp, uint(&expected["timestamp"]));
            // Encoding again gives the same bytes, behind an RLP header.
            assert!(batch.encode_for_channel().ends_with(encoded));
            check_transactions(&batch.transactions, expected);
        }
        ("span", Batch::Span(raw)) => {
            let blocks = list(&expected["blocks"]);
            assert_eq!(raw.rel_timestamp, uint(&expected["rel_timestamp"]));
            assert_eq!(raw.l1_origin_num, uint(&expected["l1_origin_num"]));
            let chain = chain(json, blocks);
            let span = check_encoding(*raw, chain, &encoded[1..]);
            assert_eq!(span.parent_check()[..], parse::<Bytes>(&expected["parent_check"])[..]);
            assert_eq!(
                span.l1_origin_check()[..],
                parse::<Bytes>(&expected["l1_origin_check"])[..]
            );
            assert_eq!(span.block_count(), blocks.len());
            for (block, expected) in span.blocks().zip(blocks) {
                let SpanBlock { timestamp, epoch_num, transactions } = block;
                assert_eq!(timestamp, uint(&expected["timestamp"]));
                assert_eq!(epoch_num, uint(&expected["epoch"]));
                check_transactions(&transactions, expected);
            }
        }
        ("singular" | "span", _) => panic!("{}: the batch is of the other type", file.place()),
        _ => file.not_understood(expected),
    }
}

/// The transactions have the hashes listed, and decode and encode to themselves.
fn check_transactions(transactions: &[Bytes], expected: &Value) {
    let hashes: Vec<B256> = transactions.iter().map(keccak256).collect();
    let listed: Vec<B256> = list(&expected["tx_hashes"]).iter().map(parse).collect();
    assert_eq!(hashes, listed);
    for raw in transactions {
        let tx = TxEnvelope::decode_2718_exact(raw).unwrap();
        assert_eq!(tx.encoded_2718(), *raw);
    }
}

pub fn check_span(file: &VectorFile) -> Outcome {
    let json = file.json();
    let (Some(body), Some(expected)) =
        (optional(&json, "raw_span_body"), optional(&json, "expected"))
    else {
        file.not_understood(&json)
    };
    let body: Bytes = parse(body);
    let raw = RawSpanBatch::decode(&body).unwrap();
    assert_eq!(raw.block_count() as u64, uint(&expected["block_count"]));
    assert_eq!(raw.rel_timestamp, uint(&expected["rel_timestamp"]));
    assert_eq!(raw.l1_origin_num, uint(&expected["l1_origin_num"]));
    assert_eq!(raw.parent_check[..], parse::<Bytes>(&expected["parent_check"])[..]);
    let used = body.len() - optional(expected, "trailing_bytes").map_or(0, uint) as usize;
    let span = check_encoding(raw, chain(&json, &[]), &body[..used]);
    let blocks: Vec<SpanBlock> = span.blocks().collect();
    let counts: Vec<u64> = blocks.iter().map(|block| block.transactions.len() as u64).collect();
    let listed: Vec<u64> = list(&expected["block_tx_counts"]).iter().map(uint).collect();
    assert_eq!(counts, listed);
    let txs: Vec<&Bytes> = blocks.iter().flat_map(|block| &block.transactions).collect();
    let hashes: Vec<B256> = txs.iter().map(keccak256).collect();
    let listed: Vec<B256> = list(&expected["tx_hashes"]).iter().map(parse).collect();
    assert_eq!(hashes, listed);
    for (tx, listed) in txs.iter().zip(list(&expected["txs_first3"])) {
        assert_eq!(**tx, parse::<Bytes>(listed));
    }
    // A prefix is an error and nothing worse; about a thousand of them tell.
    for length in (0..used).step_by(used / 1000 + 1).chain([used - 1]) {
        assert!(RawSpanBatch::decode(&body.slice(..length)).is_err(), "cut at {length}");
    }
    Outcome::Checked(1)
}

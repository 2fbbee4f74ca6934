//! Rules of the channel reader, each once kept and once broken.
#![allow(clippy::unwrap_used)]

use alloc::vec;
use alloc::vec::Vec;

use alloy_primitives::B256;
use opal_protocol::channel::ChannelError;
use opal_protocol::compress::{BROTLI_VERSION, compress_brotli, compress_zlib};

use super::*;
use crate::test_utils::{batch, config_at, encode_span, in_channel, l1_ref, varint};

/// What comes out of a channel that L1 block `origin` completes: the timestamps of its batches, and
/// what was dropped.
fn read(config: &RollupConfig, origin: u64, channel: &[u8]) -> (Vec<u64>, Vec<Dropped>) {
    let mut dropped = VecDeque::new();
    let origin = l1_ref(origin);
    let mut reader = ChannelInReader::default();
    reader.open(channel, config, &origin, &mut dropped);
    let mut out = Vec::new();
    while reader.is_open() {
        out.extend(reader.next_batch(config, &origin, &mut dropped).map(|b| b.timestamp()));
    }
    (out, dropped.into())
}

fn zlib(batches: &[Vec<u8>]) -> Vec<u8> {
    compress_zlib(&batches.concat())
}

fn brotli(batches: &[Vec<u8>]) -> Vec<u8> {
    [&[BROTLI_VERSION][..], &compress_brotli(&batches.concat()).unwrap()].concat()
}

fn one(timestamp: u64) -> Vec<u8> {
    batch(timestamp).encode_for_channel()
}

/// derivation.md, "Channel Format": zlib, told by the low four bits of the first byte; anything
/// else than that and Brotli's version byte drops the channel.
#[test]
fn a_channel_is_compressed_by_zlib_or_dropped() {
    let config = config_at(Hardfork::Granite);
    let good = zlib(&[one(1210), one(1212)]);
    assert_eq!(good[0] & 0x0f, 8);
    assert_eq!(read(&config, 101, &good), (vec![1210, 1212], vec![]));
    for first in [0, 2, 7, 9, 14, 0x10, 0xf0] {
        let mut bad = good.clone();
        bad[0] = first;
        let dropped = Dropped::ChannelData(ChannelError::Compression(first));
        assert_eq!(read(&config, 101, &bad), (vec![], vec![dropped]));
    }
    let empty = Dropped::ChannelData(ChannelError::Empty);
    assert_eq!(read(&config, 101, &[]), (vec![], vec![empty]));
}

/// fjord/derivation.md, "Brotli Channel Compression" and "Timestamp Activation". TRAPS 3: by the
/// time of the L1 block read, not by that of the batch.
#[test]
fn brotli_counts_from_fjord_on_by_the_time_of_the_l1_block() {
    let time = l1_ref(101).timestamp;
    let mut config = config_at(Hardfork::Ecotone);
    for batch_time in [1, time - 1, time + 1_000_000] {
        let channel = brotli(&[one(batch_time)]);
        config.schedule.set(Hardfork::Fjord, Some(time));
        assert_eq!(read(&config, 101, &channel), (vec![batch_time], vec![]));
        config.schedule.set(Hardfork::Fjord, Some(time + 1));
        let dropped = Dropped::ChannelData(ChannelError::BrotliBeforeFjord);
        assert_eq!(read(&config, 101, &channel), (vec![], vec![dropped]));
    }
    // zlib stays valid.
    config.schedule.set(Hardfork::Fjord, Some(0));
    assert_eq!(read(&config, 101, &zlib(&[one(5)])), (vec![5], vec![]));
}

/// Two batches that take this many bytes together.
fn two_batches(total: usize) -> Vec<Vec<u8>> {
    let first = one(1210);
    let mut second = batch(1212);
    let filler = |length: usize| vec![2; length].into();
    let nearly = total - 10_000;
    second.transactions = vec![filler(nearly)];
    let overhead = second.encode_for_channel().len() - nearly;
    second.transactions = vec![filler(total - first.len() - overhead)];
    let second = second.encode_for_channel();
    assert_eq!(first.len() + second.len(), total);
    vec![first, second]
}

/// derivation.md, "Channel Format", and fjord/derivation.md: batches within the first
/// MAX_RLP_BYTES_PER_CHANNEL bytes count, whatever follows them.
#[test]
fn batches_beyond_the_limit_of_decompressed_bytes_are_cut_off() {
    let time = l1_ref(101).timestamp;
    let mut config = config_at(Hardfork::Ecotone);
    for (total, fjord, batches) in [
        (10_000_000, None, vec![1210, 1212]),
        (10_000_001, None, vec![1210]),
        (10_000_001, Some(time + 1), vec![1210]),
        (10_000_001, Some(time), vec![1210, 1212]),
        (100_000_000, Some(time), vec![1210, 1212]),
        (100_000_001, Some(time), vec![1210]),
    ] {
        config.schedule.set(Hardfork::Fjord, fjord);
        let (read, dropped) = read(&config, 101, &zlib(&two_batches(total)));
        assert_eq!(read, batches, "{total}");
        assert_eq!(dropped.len(), 2 - batches.len(), "{total}");
    }
}

/// derivation.md, "Channel Format": a bomb is cut off at the limit as well.
#[test]
fn a_decompression_bomb_costs_no_more_than_the_limit() {
    let config = config_at(Hardfork::Ecotone);
    let bomb = compress_zlib(&vec![0x80; 40_000_000]);
    assert!(bomb.len() < 100_000);
    let mut reader = ChannelInReader::default();
    reader.open(&bomb, &config, &l1_ref(101), &mut VecDeque::new());
    assert_eq!(reader.reader.as_ref().unwrap().decompressed().len(), 10_000_000);
}

/// derivation.md, "Batch Format". TRAPS 4: an unknown version is no panic. It ends the channel, as
/// in the reference node (docs/deviations.md).
#[test]
fn an_unknown_batch_version_drops_the_rest_of_the_channel() {
    let config = config_at(Hardfork::Granite);
    for version in [2, 3, 0x7f, 0xff] {
        let unknown = in_channel(&[version, 1, 2, 3]);
        let channel = zlib(&[one(1210), unknown, one(1212)]);
        let (batches, dropped) = read(&config, 101, &channel);
        assert_eq!(batches, [1210]);
        let error = opal_protocol::batch::BatchError::Version(version);
        assert_eq!(dropped, [Dropped::ChannelData(error.into())]);
    }
}

/// derivation.md, "Batch Format": malformed contents end the channel, and so does anything between
/// batches; what follows a batch within its own byte string does not.
#[test]
fn malformed_contents_drop_the_rest_of_the_channel() {
    let config = config_at(Hardfork::Granite);
    let mut body = vec![0];
    alloy_rlp::Encodable::encode(&batch(1211), &mut body);
    let with_more = in_channel(&[&body[..], b"more"].concat());
    let good = zlib(&[one(1210), with_more, one(1212)]);
    assert_eq!(read(&config, 101, &good), (vec![1210, 1211, 1212], vec![]));
    let cut = in_channel(&body[..body.len() - 1]);
    let list = vec![0xc1, 0x80];
    let empty = vec![0x80];
    let stray = vec![0x00];
    for bad in [cut, list, empty, stray] {
        let (batches, dropped) = read(&config, 101, &zlib(&[one(1210), bad.clone(), one(1212)]));
        assert_eq!(batches, [1210], "{bad:02x?}");
        assert!(matches!(dropped[..], [Dropped::ChannelData(_)]), "{bad:02x?}");
    }
}

/// derivation.md, "Channel Format": a damaged end leaves what came before it.
#[test]
fn the_batches_before_a_damaged_place_count() {
    let config = config_at(Hardfork::Granite);
    let random: Vec<u8> =
        (0..2000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let mut large = batch(1212);
    large.transactions = vec![random.into()];
    let whole = zlib(&[one(1210), large.encode_for_channel()]);
    assert_eq!(read(&config, 101, &whole).0, [1210, 1212]);
    assert_eq!(read(&config, 101, &whole[..whole.len() / 2]).0, [1210]);
}

/// delta/span-batches.md, "Span Batch Activation Rule": before Delta, by the time of the L1 block
/// read, a span is skipped and the channel goes on.
#[test]
fn a_span_before_delta_is_dropped_alone() {
    let time = l1_ref(101).timestamp;
    let mut config = config_at(Hardfork::Canyon);
    let span = encode_span(B256::repeat_byte(0xaa), 100, &[(100, 1212), (100, 1214)]);
    let channel = zlib(&[one(1210), span, one(1216)]);
    config.schedule.set(Hardfork::Delta, Some(time));
    assert_eq!(read(&config, 101, &channel), (vec![1210, 1212, 1216], vec![]));
    config.schedule.set(Hardfork::Delta, Some(time + 1));
    let dropped = vec![Dropped::SpanBeforeDelta];
    assert_eq!(read(&config, 101, &channel), (vec![1210, 1216], dropped));
}

/// A span of one block with this many transactions, which follow as they are.
fn raw_span(count: u64, transactions: &[u8]) -> Vec<u8> {
    let mut body = vec![1, 5, 100];
    body.extend_from_slice(&[0; 40]);
    body.extend_from_slice(&[1, 0]);
    varint(count, &mut body);
    body.extend_from_slice(transactions);
    in_channel(&body)
}

/// delta/span-batches.md, "Span batch format": columns that cannot be parsed end the channel; a
/// transaction of an unknown type drops the span alone, as in the reference node.
#[test]
fn a_malformed_span_drops_the_channel_and_a_foreign_transaction_the_span() {
    let config = config_at(Hardfork::Granite);
    let transaction = |data: &[u8], tail: &[u8]| {
        let mut columns = vec![0, 0];
        columns.extend_from_slice(&[1; 64]);
        columns.extend_from_slice(&[2; 20]);
        columns.extend_from_slice(data);
        columns.extend_from_slice(&[3, 4]);
        columns.extend_from_slice(tail);
        raw_span(1, &columns)
    };
    let check = |span: Vec<u8>| read(&config, 101, &zlib(&[one(1210), span, one(1212)]));
    // value 1, gas price 2, no data: an unprotected legacy transaction.
    assert_eq!(check(transaction(&[0xc3, 1, 2, 0x80], &[0])), (vec![1210, 5, 1212], vec![]));
    let (batches, dropped) = check(transaction(&[0x63, 0xc3, 1, 2, 0x80], &[]));
    assert_eq!(batches, [1210, 1212]);
    assert!(matches!(dropped[..], [Dropped::MalformedSpan(_)]));
    // No blocks; data that is no list; an end within the signatures.
    let empty = in_channel(&[&[1, 5, 100][..], &[0; 40], &[0]].concat());
    for span in [empty, transaction(&[0x82, 1, 2], &[0]), raw_span(1, &[0, 0, 1, 2])] {
        let (batches, dropped) = check(span);
        assert_eq!(batches, [1210]);
        assert!(matches!(dropped[..], [Dropped::ChannelData(_)]), "{dropped:?}");
    }
}

/// delta/span-batches.md, "Span Batch Size Limits". TRAPS 5: claims of more elements than that, or
/// of more than is there, end the channel and cost nothing.
#[test]
fn a_span_that_claims_too_much_drops_the_rest_of_the_channel() {
    let config = config_at(Hardfork::Granite);
    for claimed in [10_000_000, 10_000_001, 1 << 63, u64::MAX] {
        let (batches, dropped) =
            read(&config, 101, &zlib(&[one(1210), raw_span(claimed, &[]), one(1212)]));
        assert_eq!(batches, [1210], "{claimed}");
        assert!(matches!(dropped[..], [Dropped::ChannelData(_)]));
    }
    let (batches, dropped) = read(&config, 101, &zlib(&[one(1210), raw_span(0, &[]), one(1212)]));
    assert_eq!((batches, dropped), (vec![1210, 5, 1212], vec![]));
}

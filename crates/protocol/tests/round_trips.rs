//! What an encoder writes, its decoder gives back, for values made by a seeded generator; and no
//! decoder panics or gives anything that cannot be encoded again, whatever is changed in the bytes.
#![allow(missing_docs, clippy::unwrap_used)]

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy_rlp::Decodable;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use opal_protocol::batch::BatchError;
use opal_protocol::batcher_tx::{decode_batcher_data, encode_batcher_data};
use opal_protocol::blob::{MAX_BLOB_DATA, decode_blob, encode_blob};
use opal_protocol::compress::{
    compress_brotli_at, compress_zlib_at, decompress_brotli, decompress_zlib,
};
use opal_protocol::frame::parse_frames;
use opal_protocol::span_batch::{RawSpanBatch, SpanBuilder, SpanChain, encode_span_batch};
use opal_protocol::{
    Batch, ChannelId, ChannelOut, ChannelReader, Compression, Frame, SingularBatch, TxEnvelope,
};

/// Numbers that depend on the seed alone (SplitMix64).
struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn flip(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }

    /// A number of any size: as often of 3 bits as of 60.
    fn number(&mut self) -> u64 {
        let bits = self.below(65) as u32;
        self.next().checked_shr(64 - bits).unwrap_or(0)
    }

    fn bytes(&mut self, length: usize) -> Bytes {
        // Runs of one byte and of any bytes, so that something can be compressed.
        let mut out = Vec::with_capacity(length);
        while out.len() < length {
            let run = (1 + self.below(40)).min(length - out.len());
            if self.flip() {
                let byte = self.next() as u8;
                out.extend(std::iter::repeat_n(byte, run));
            } else {
                out.extend((0..run).map(|_| self.next() as u8));
            }
        }
        out.into()
    }

    fn hash(&mut self) -> B256 {
        B256::from_slice(&std::array::from_fn::<u8, 32, _>(|_| self.next() as u8))
    }

    /// Up to 256 bits.
    fn word(&mut self) -> U256 {
        let shift = self.below(257);
        U256::from_be_bytes(self.hash().0).checked_shr(shift).unwrap_or_default()
    }

    fn address(&mut self) -> Address {
        Address::from_slice(&self.hash()[..20])
    }

    fn to(&mut self) -> TxKind {
        if self.below(4) == 0 { TxKind::Create } else { TxKind::Call(self.address()) }
    }

    fn access_list(&mut self) -> AccessList {
        let items = (0..self.below(3)).map(|_| AccessListItem {
            address: self.address(),
            storage_keys: (0..self.below(3)).map(|_| self.hash()).collect(),
        });
        AccessList(items.collect())
    }

    fn authorizations(&mut self) -> Vec<SignedAuthorization> {
        let signed = (0..self.below(3)).map(|_| {
            let authorization = Authorization {
                chain_id: self.word(),
                address: self.address(),
                nonce: self.number(),
            };
            SignedAuthorization::new_unchecked(
                authorization,
                self.next() as u8,
                self.word(),
                self.word(),
            )
        });
        signed.collect()
    }

    /// A transaction of any type that a span batch holds.
    fn transaction(&mut self, chain_id: u64) -> Bytes {
        let signature = Signature::new(self.word(), self.word(), self.flip());
        let (nonce, gas_limit) = (self.number(), self.number());
        let (max_fee_per_gas, max_priority_fee_per_gas) =
            (u128::from(self.number()) << 20, u128::from(self.number()));
        let length = self.below(200);
        let (value, input) = (self.word(), self.bytes(length));
        let tx = match self.below(4) {
            0 => {
                let chain_id = self.flip().then_some(chain_id);
                let (gas_price, to) = (max_fee_per_gas, self.to());
                let tx = TxLegacy { chain_id, nonce, gas_price, gas_limit, to, value, input };
                TxEnvelope::Legacy(tx.into_signed(signature))
            }
            1 => {
                let (to, access_list) = (self.to(), self.access_list());
                let gas_price = max_fee_per_gas;
                TxEnvelope::Eip2930(
                    TxEip2930 {
                        chain_id,
                        nonce,
                        gas_price,
                        gas_limit,
                        to,
                        value,
                        access_list,
                        input,
                    }
                    .into_signed(signature),
                )
            }
            2 => TxEnvelope::Eip1559(
                TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to: self.to(),
                    value,
                    access_list: self.access_list(),
                    input,
                }
                .into_signed(signature),
            ),
            _ => TxEnvelope::Eip7702(
                TxEip7702 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to: self.address(),
                    value,
                    access_list: self.access_list(),
                    authorization_list: self.authorizations(),
                    input,
                }
                .into_signed(signature),
            ),
        };
        tx.encoded_2718().into()
    }

    /// Consecutive blocks, and the L1 origin of their parent.
    fn blocks(&mut self, chain: SpanChain) -> (Vec<SingularBatch>, u64) {
        let first = chain.genesis_time + self.below(1 << 30) as u64;
        let parent_l1_origin = self.number() >> 1;
        let mut epoch_num = parent_l1_origin;
        let blocks = (0..1 + self.below(20) as u64).map(|i| {
            epoch_num += u64::from(self.below(3) == 0);
            SingularBatch {
                parent_hash: self.hash(),
                epoch_num,
                epoch_hash: self.hash(),
                timestamp: first + i * chain.block_time,
                transactions: (0..self.below(4))
                    .map(|_| self.transaction(chain.chain_id))
                    .collect(),
            }
        });
        (blocks.collect(), parent_l1_origin)
    }

    fn chain(&mut self) -> SpanChain {
        SpanChain {
            block_time: 1 + self.below(12) as u64,
            genesis_time: self.below(1 << 31) as u64,
            // Chain ids of 64 bits, too: TRAPS 15.
            chain_id: 1 + (self.number() >> self.below(2)).min(u64::MAX - 1),
        }
    }

    /// Changes, removes or adds a few bytes.
    fn damage(&mut self, data: &[u8]) -> Bytes {
        let mut out = data.to_vec();
        for _ in 0..1 + self.below(3) {
            let at = self.below(out.len().max(1));
            match self.below(5) {
                _ if out.is_empty() => out.push(self.next() as u8),
                0 => out.truncate(at),
                1 => drop(out.remove(at)),
                2 => out.insert(at, self.next() as u8),
                3 => out[at] ^= 1 << self.below(8),
                _ => out[at] = self.next() as u8,
            }
        }
        out.into()
    }
}

/// The body of a span batch holds the blocks.
fn assert_holds(body: &Bytes, blocks: &[SingularBatch], chain: SpanChain) {
    let raw = RawSpanBatch::decode(body).unwrap();
    let first_origin_changes = raw.first_origin_changes();
    let span = raw.into_span(chain.block_time, chain.genesis_time, chain.chain_id).unwrap();
    assert!(span.matches_parent(&blocks[0].parent_hash));
    assert!(span.matches_origin(&blocks[blocks.len() - 1].epoch_hash));
    assert_eq!(span.block_count(), blocks.len());
    for (block, batch) in span.blocks().zip(blocks) {
        assert_eq!((block.epoch_num, block.timestamp), (batch.epoch_num, batch.timestamp));
        assert_eq!(block.transactions, batch.transactions);
    }
    assert_eq!(span.encode(chain, first_origin_changes).unwrap(), **body);
}

#[test]
fn span_batches() {
    let mut g = Generator(1);
    for _ in 0..300 {
        let chain = g.chain();
        let (blocks, parent_l1_origin) = g.blocks(chain);
        let body = Bytes::from(encode_span_batch(&blocks, parent_l1_origin, chain).unwrap());
        assert_holds(&body, &blocks, chain);
        // Every prefix is refused, and bytes behind the last column do not count.
        let cut = g.below(body.len());
        assert!(RawSpanBatch::decode(&body.slice(..cut)).is_err());
        let longer = Bytes::from([&body[..], &[1, 2, 3]].concat());
        assert_eq!(RawSpanBatch::decode(&longer), RawSpanBatch::decode(&body));
    }
}

#[test]
fn damaged_span_batches() {
    let mut g = Generator(2);
    let mut survivors = 0;
    for _ in 0..3000 {
        let chain = g.chain();
        let (blocks, parent_l1_origin) = g.blocks(chain);
        let body = encode_span_batch(&blocks, parent_l1_origin, chain).unwrap();
        let Ok(raw) = RawSpanBatch::decode(&g.damage(&body)) else { continue };
        let first_origin_changes = raw.first_origin_changes();
        let Ok(span) = raw.into_span(chain.block_time, chain.genesis_time, chain.chain_id) else {
            continue;
        };
        // What decodes has one encoding only, but for amounts that no transaction may have, and
        // numbers that are longer than they need be.
        if let Ok(again) = span.encode(chain, first_origin_changes) {
            let raw = RawSpanBatch::decode(&again.into()).unwrap();
            let again = raw.into_span(chain.block_time, chain.genesis_time, chain.chain_id);
            assert_eq!(again.unwrap(), span);
            survivors += 1;
        }
    }
    assert!(survivors > 100, "{survivors}");
}

#[test]
fn a_refused_block_leaves_no_trace_in_a_span() {
    let mut g = Generator(3);
    for _ in 0..200 {
        let chain = g.chain();
        let (blocks, parent_l1_origin) = g.blocks(chain);
        let expected = encode_span_batch(&blocks, parent_l1_origin, chain).unwrap();
        let mut span = SpanBuilder::new(chain, parent_l1_origin);
        for block in &blocks {
            let mut wrong = block.clone();
            match g.below(4) {
                0 => wrong.transactions.push(Bytes::from_static(&[0x7e, 0xc0])),
                1 => wrong.epoch_num += 2,
                2 => wrong.transactions.push(g.transaction(chain.chain_id).slice(..10)),
                _ => wrong.transactions.insert(0, Bytes::new()),
            }
            assert!(span.push(&wrong).is_err());
            let length = span.channel_len();
            if span.block_count() > 0 {
                assert!(span.push_within(block, length).unwrap().is_err());
                assert_eq!(span.channel_len(), length);
            }
            assert!(span.push_within(block, usize::MAX).unwrap().is_ok());
        }
        assert_eq!(span.encoded_len(), expected.len());
        assert_eq!(span.encode().unwrap(), expected);
        let in_channel = span.encode_for_channel().unwrap();
        assert_eq!(in_channel.len(), span.channel_len());
        assert!(in_channel.ends_with(&[&[1], &expected[..]].concat()));
    }
}

#[test]
fn singular_batches() {
    let mut g = Generator(4);
    for _ in 0..300 {
        let chain = g.chain();
        for batch in g.blocks(chain).0 {
            let encoded = batch.encode_for_channel();
            let mut rest = &encoded[..];
            let data =
                Bytes::copy_from_slice(alloy_rlp::Header::decode_bytes(&mut rest, false).unwrap());
            assert!(rest.is_empty());
            assert_eq!(Batch::decode(&data), Ok(Batch::Singular(batch)));
            let damaged = g.damage(&data);
            if damaged.first() == Some(&0) {
                // The rules are those of the derived decoder, which copies.
                let copied = SingularBatch::decode(&mut &damaged[1..]).map(Batch::Singular);
                assert_eq!(Batch::decode(&damaged), copied.map_err(BatchError::Singular));
            }
            if let Ok(Batch::Singular(other)) = Batch::decode(&damaged) {
                assert_eq!(other.clone().into_own_memory(), other);
                let again = Bytes::from(other.encode_for_channel());
                assert!(again.len() <= encoded.len() + 20);
            }
        }
    }
}

#[test]
fn channels() {
    let mut g = Generator(5);
    for round in 0..80 {
        let chain = g.chain();
        let (blocks, parent_l1_origin) = g.blocks(chain);
        let compression = if g.flip() { Compression::Zlib } else { Compression::Brotli };
        let (id, limit) = (ChannelId([round; 16]), 10_000_000);
        let span = g.flip();
        let mut out = if span {
            ChannelOut::new_span(id, compression, limit, chain, parent_l1_origin)
        } else {
            ChannelOut::new(id, compression, limit)
        }
        .with_level(g.below(12) as u8);
        blocks.iter().try_for_each(|block| out.add(block)).unwrap();
        assert_eq!(out.batches(), blocks.len());
        let frames = out.frames(24 + g.below(500)).unwrap();
        let data = encode_batcher_data(&frames);
        assert_eq!(decode_batcher_data(&data).unwrap(), frames);
        let compressed: Vec<u8> = frames.iter().flat_map(|frame| frame.data.to_vec()).collect();
        let mut reader = ChannelReader::new(&compressed, limit, true).unwrap();
        assert_eq!(reader.decompressed().len(), out.input_len());
        if span {
            let Some(Ok(Batch::Span(raw))) = reader.next_batch() else { panic!("no span") };
            let span = raw.into_span(chain.block_time, chain.genesis_time, chain.chain_id).unwrap();
            let found: Vec<_> = span.blocks().map(|b| b.transactions).collect();
            let expected: Vec<_> = blocks.into_iter().map(|b| b.transactions).collect();
            assert_eq!(found, expected);
        } else {
            for block in blocks {
                assert_eq!(reader.next_batch(), Some(Ok(Batch::Singular(block))));
            }
        }
        assert_eq!(reader.next_batch(), None);
        // Whatever happens to the data, the reader comes to an end.
        for _ in 0..20 {
            if let Ok(mut reader) = ChannelReader::new(&g.damage(&compressed), limit, true) {
                while reader.next_batch().is_some() {}
            }
        }
    }
}

#[test]
fn a_span_channel_is_full_at_its_limit() {
    let mut g = Generator(6);
    let chain = g.chain();
    let (blocks, parent_l1_origin) = loop {
        let made = g.blocks(chain);
        if made.0.len() > 10 {
            break made;
        }
    };
    let open = |limit| {
        let (id, compression) = (ChannelId::default(), Compression::Brotli);
        ChannelOut::new_span(id, compression, limit, chain, parent_l1_origin)
    };
    let mut whole = open(u64::MAX);
    blocks.iter().try_for_each(|block| whole.add(block)).unwrap();
    let exact = whole.input_len() as u64;
    let mut out = open(exact);
    blocks.iter().try_for_each(|block| out.add(block)).unwrap();
    let mut out = open(exact - 1);
    let added = blocks.iter().take_while(|block| out.add(block).is_ok()).count();
    assert_eq!((added, out.batches()), (blocks.len() - 1, blocks.len() - 1));
    let data = out.compressed().unwrap();
    let mut reader = ChannelReader::new(&data, exact - 1, true).unwrap();
    let Some(Ok(Batch::Span(raw))) = reader.next_batch() else { panic!("no span") };
    assert_eq!(raw.block_count(), added);
}

#[test]
fn frames() {
    let mut g = Generator(7);
    for _ in 0..500 {
        let frames: Vec<Frame> = (0..1 + g.below(5))
            .map(|_| {
                let length = g.below(300);
                Frame {
                    id: ChannelId(std::array::from_fn(|_| g.next() as u8)),
                    number: g.number() as u16,
                    data: g.bytes(length),
                    is_last: g.flip(),
                }
            })
            .collect();
        let data = encode_batcher_data(&frames);
        assert_eq!(decode_batcher_data(&data).as_ref(), Ok(&frames));
        assert_eq!(parse_frames(&data.slice(1..)), Ok(frames));
        let damaged = g.damage(&data);
        if let Ok(frames) = decode_batcher_data(&damaged) {
            assert_eq!(encode_batcher_data(&frames), damaged);
        }
    }
}

#[test]
fn blobs() {
    let mut g = Generator(8);
    let edges = [0, 1, 26, 27, 28, 122, 123, 124, MAX_BLOB_DATA - 1, MAX_BLOB_DATA];
    let lengths: Vec<usize> = (0..60).map(|_| g.below(MAX_BLOB_DATA + 1)).chain(edges).collect();
    for length in lengths {
        let data = g.bytes(length);
        let mut blob = encode_blob(&data).unwrap();
        assert_eq!(decode_blob(&blob).unwrap(), data);
        for _ in 0..20 {
            let at = g.below(blob.len());
            let bit = 1 << g.below(8);
            blob.0[at] ^= bit;
            // The two top bits of the first byte are not looked at.
            match decode_blob(&blob) {
                Ok(other) if at > 0 || bit < 0x40 => assert_eq!(encode_blob(&other).unwrap(), blob),
                _ => {}
            }
            blob.0[at] ^= bit;
        }
    }
    assert!(encode_blob(&vec![0; MAX_BLOB_DATA + 1]).is_err());
}

/// The zlib decoder of a library, which has another author.
fn other_zlib(input: &[u8], limit: usize) -> (Vec<u8>, bool) {
    const FLAGS: u32 = inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER
        | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut out = vec![0; limit];
    let (status, _, written) = decompress(&mut DecompressorOxide::new(), input, &mut out, 0, FLAGS);
    out.truncate(written);
    (out, status == TINFLStatus::Done)
}

#[test]
fn zlib_against_another_decoder() {
    let mut g = Generator(9);
    let limit = 1 << 20;
    let (mut damaged_alike, mut damaged) = (0, 0);
    for round in 0..400 {
        let length = g.below([100, 5_000, 200_000][round % 3]);
        let data = g.bytes(length);
        let compressed = compress_zlib_at(&data, g.below(11) as u8);
        let out = decompress_zlib(&compressed, limit);
        assert!(out.complete && out.data == data);
        // Bytes behind the stream do not count.
        let longer = [&compressed[..], b"trailing"].concat();
        assert!(decompress_zlib(&longer, limit).complete);
        // The limit cuts.
        let cut = g.below(length + 1);
        assert!(decompress_zlib(&compressed, cut).data == data[..cut]);
        for _ in 0..20 {
            let other = g.damage(&compressed);
            let ours = decompress_zlib(&other, limit);
            let (theirs, done) = other_zlib(&other, limit);
            if done {
                assert!(ours.complete && ours.data == theirs);
                continue;
            }
            let common = ours.data.len().min(theirs.len());
            assert!(ours.data[..common] == theirs[..common]);
            damaged += 1;
            // Ours needs more bits near the end than the symbol has.
            damaged_alike += usize::from(theirs.len().abs_diff(ours.data.len()) < 20);
        }
    }
    assert!(damaged > 5_000 && damaged_alike * 100 > damaged * 99, "{damaged_alike} {damaged}");
}

#[test]
fn brotli_streams() {
    let mut g = Generator(10);
    for _ in 0..60 {
        let length = g.below(100_000);
        let data = g.bytes(length);
        let compressed = compress_brotli_at(&data, g.below(10) as u8).unwrap();
        let out = decompress_brotli(&compressed, 1 << 20);
        assert!(out.complete && out.data == data);
        let cut = g.below(compressed.len());
        let out = decompress_brotli(&compressed[..cut], 1 << 20);
        assert!(!out.complete && data.starts_with(&out.data));
        let limit = g.below(length + 1);
        assert!(decompress_brotli(&compressed, limit).data == data[..limit]);
        assert!(decompress_brotli(&compressed, length).data == data);
        decompress_brotli(&g.damage(&compressed), 1 << 20);
    }
}

/// Bytes that come to a tenth when they are compressed.
fn repetitive(g: &mut Generator, length: usize) -> Vec<u8> {
    let words: Vec<Bytes> = (0..64).map(|_| g.bytes(32)).collect();
    (0..length / 32).flat_map(|_| words[g.below(words.len())].to_vec()).collect()
}

#[test]
fn brotli_keeps_what_came_before_a_cut() {
    let mut g = Generator(11);
    for quality in 2..10 {
        let data = repetitive(&mut g, 400_000);
        let compressed = compress_brotli_at(&data, quality).unwrap();
        assert!(compressed.len() * 8 < data.len(), "{}", compressed.len());
        let mut last = data.len();
        for cut in (0..compressed.len()).rev().step_by(1000) {
            let out = decompress_brotli(&compressed[..cut], 1 << 20);
            assert!(!out.complete && data.starts_with(&out.data) && out.data.len() <= last);
            last = out.data.len();
            // But for the codes that the block begins with, the output is in step with the input.
            let expected = data.len() / 100 * (cut * 100 / compressed.len());
            assert!(last + 50_000 > expected, "{quality}: {last} of {expected}");
            if cut + 1 == compressed.len() {
                assert!(last + 1000 > data.len(), "{quality}: {last}");
            }
        }
    }
}

/// The reference node reads 4095 bytes first, then pieces of 32 KiB: when it finds damage, it has
/// what came out of the pieces before.
#[test]
fn brotli_keeps_what_came_before_the_damage() {
    let mut g = Generator(12);
    let mut stopped = 0;
    for round in 0..60 {
        let data = repetitive(&mut g, 1_600_000);
        let mut compressed = compress_brotli_at(&data, 4).unwrap();
        let begin = [4095, 4095 + 32_768][round % 2];
        assert!(compressed.len() > begin + 20_000, "{}", compressed.len());
        let before = decompress_brotli(&compressed[..begin], 1 << 21).data;
        assert!(before.len() > begin * 5, "{}", before.len());
        let at = begin + 10 + g.below(10_000);
        compressed[at..at + 3000].fill_with(|| g.next() as u8);
        let out = decompress_brotli(&compressed, 1 << 21);
        assert!(out.data.starts_with(&before));
        stopped += usize::from(out.data.len() == before.len());
    }
    assert!(stopped > 5, "{stopped}");
}

//! The rules in which decoders differ, on streams made bit by bit.
#![allow(clippy::unwrap_used)]

use alloc::vec;

use super::codes::{END_OF_BLOCK, PRECODE_ORDER};
use super::*;
use crate::compress::compress_zlib;

/// Writes a stream.
struct Writer {
    bytes: Vec<u8>,
    bits: usize,
}

impl Writer {
    /// Begins with a zlib header.
    fn new() -> Self {
        Self { bytes: vec![0x78, 0x9c], bits: 0 }
    }

    /// A number, its lowest bit first.
    fn number(&mut self, number: u32, count: usize) -> &mut Self {
        for i in 0..count {
            if self.bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((number >> i & 1) as u8) << (self.bits % 8);
            self.bits += 1;
        }
        self
    }

    /// A code, its first bit first.
    fn code(&mut self, code: u32, count: usize) -> &mut Self {
        for i in (0..count).rev() {
            self.number(code >> i, 1);
        }
        self
    }

    /// The beginning of a last block with these code lengths. The lengths have codes of four bits
    /// each.
    fn dynamic(&mut self, litlens: &[u8], distances: &[u8]) -> &mut Self {
        self.number(1, 1).number(2, 2);
        self.number(litlens.len() as u32 - 257, 5).number(distances.len() as u32 - 1, 5);
        self.number(15, 4);
        for symbol in PRECODE_ORDER {
            self.number(if symbol < 16 { 4 } else { 0 }, 3);
        }
        for length in litlens.iter().chain(distances) {
            self.code(u32::from(*length), 4);
        }
        self
    }

    /// Ends with the checksum of this output.
    fn end(&mut self, output: &[u8]) -> Vec<u8> {
        self.bytes.extend_from_slice(&adler32(output).to_be_bytes());
        core::mem::take(&mut self.bytes)
    }
}

fn inflate(input: &[u8]) -> (Vec<u8>, End) {
    let out = inflate_zlib(input, 1 << 20);
    (out.data, out.end)
}

#[test]
fn checksums() {
    for length in [0, 1, 31, 32, 703, 704, 705, 100_000] {
        for byte in [0, 1, 255] {
            let data = vec![byte; length];
            let (mut a, mut b) = (1u64, 0u64);
            for byte in &data {
                a = (a + u64::from(*byte)) % 65521;
                b = (b + a) % 65521;
            }
            assert_eq!(u64::from(adler32(&data)), b << 16 | a);
        }
    }
}

#[test]
fn headers() {
    let good = compress_zlib(b"hello");
    let with = |cmf: u8, flags: u8, more: &[u8]| {
        let check = 31 - u16::from_be_bytes([cmf, flags]) % 31;
        [&[cmf, flags + (check % 31) as u8], more, &good[2..]].concat()
    };
    let hello = (b"hello".to_vec(), End::Complete);
    let nothing = (Vec::new(), End::Damage);
    assert_eq!(inflate(&with(0x78, 0, &[])), hello);
    assert_eq!(inflate(&with(0x08, 0, &[])), hello, "a small window");
    assert_eq!(inflate(&with(0x88, 0, &[])), nothing, "a window of 64 KiB");
    assert_eq!(inflate(&with(0x7f, 0, &[])), nothing, "method 15");
    assert_eq!(inflate(&[&[0x78, 0x9d], &good[2..]].concat()), nothing, "header check");
    assert_eq!(inflate(&with(0x78, 0x20, &[0, 0, 0, 1])), hello, "the empty dictionary");
    assert_eq!(inflate(&with(0x78, 0x20, &[0, 0, 0, 2])), nothing, "another dictionary");
    for short in [&[][..], &[0x78], &[0x78, 0x9c]] {
        assert_eq!(inflate(short), nothing);
    }
}

#[test]
fn what_came_before_the_end_counts() {
    let data: Vec<u8> = (0..60_000u32).flat_map(|i| (i / 7 % 1000).to_le_bytes()).collect();
    let good = compress_zlib(&data);
    let mut longest = 0;
    for cut in (0..good.len()).rev().step_by(97).chain([good.len() - 4, 40, 3]) {
        let (out, end) = inflate(&good[..cut]);
        assert!(data.starts_with(&out));
        assert_eq!(end, End::Damage);
        longest = longest.max(out.len());
    }
    assert_eq!(longest, data.len());
    let mut wrong = good.clone();
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(inflate(&wrong), (data.clone(), End::Damage));
    // The limit is told from damage, and what fills it exactly is complete.
    let limited = |limit| inflate_zlib(&good, limit);
    assert_eq!(limited(data.len()).end, End::Complete);
    for limit in [0, 1, 1000, data.len() - 1] {
        let out = limited(limit);
        assert_eq!((&out.data[..], out.end), (&data[..limit], End::Limit));
    }
}

#[test]
fn stored_blocks() {
    let block = |last: u8, data: &[u8]| {
        let length = data.len() as u16;
        [&[last], &length.to_le_bytes()[..], &(!length).to_le_bytes(), data].concat()
    };
    let stream = |blocks: &[Vec<u8>], data: &[u8]| {
        [&[0x78, 0x9c], &blocks.concat()[..], &adler32(data).to_be_bytes()].concat()
    };
    let good = stream(&[block(0, b"abc"), block(0, b""), block(1, b"de")], b"abcde");
    let out = inflate_zlib(&good, 100);
    assert_eq!((&out.data[..], out.end, out.flushed), (&b"abcde"[..], End::Complete, 3));
    assert_eq!(inflate(&good[..9]), (b"ab".to_vec(), End::Damage), "cut within a block");
    let out = inflate_zlib(&good, 4);
    assert_eq!((&out.data[..], out.end), (&b"abcd"[..], End::Limit));
    let mut wrong = good;
    wrong[5] ^= 1;
    assert_eq!(inflate(&wrong), (Vec::new(), End::Damage), "length and its inverse");
}

#[test]
fn as_many_bits_as_the_end_of_block_code_must_be_there() {
    // Codes of 1 to 15 bits: a, b, c and so on, and 15 bits for the end of the block.
    let mut litlens = vec![0u8; 257];
    for i in 0..15u8 {
        litlens[usize::from(b'a' + i)] = i + 1;
    }
    litlens[END_OF_BLOCK] = 15;
    let mut w = Writer::new();
    w.dynamic(&litlens, &[0]);
    // The last code of 15 bits is the end of the block's.
    let start = w.bits;
    for _ in 0..100 {
        w.code(0, 1);
    }
    let good = w.code(0x7fff, 15).end(&[b'a'; 100]);
    assert_eq!(inflate(&good), (vec![b'a'; 100], End::Complete));
    for cut in 3 + start.div_ceil(8)..good.len() - 4 {
        let bits = (cut - 2) * 8 - start;
        let expected = (bits + 1).saturating_sub(15).min(100);
        assert_eq!(inflate(&good[..cut]), (vec![b'a'; expected], End::Damage), "{bits}");
    }
}

#[test]
fn codes() {
    let mut litlens = vec![0u8; 257];
    // No end-of-block code: the block goes on to the end of the input.
    (litlens[97], litlens[98]) = (1, 1);
    let mut w = Writer::new();
    let endless = w.dynamic(&litlens, &[0]).number(0b1010, 4).bytes.clone();
    let (out, end) = inflate(&endless);
    assert!(out.starts_with(b"abab") && end == End::Damage, "{out:?}");
    // One code of one bit; its other value is none.
    litlens[98] = 0;
    let mut w = Writer::new();
    let single = w.dynamic(&litlens, &[0]).number(0b1000, 4).bytes.clone();
    assert_eq!(inflate(&single), (b"aaa".to_vec(), End::Damage));
    // Too few and too many codes.
    for lengths in [[2, 2, 2], [1, 1, 1], [1, 2, 3], [2, 0, 0]] {
        litlens[97..100].copy_from_slice(&lengths);
        let mut w = Writer::new();
        let wrong = w.dynamic(&litlens, &[0]).number(0, 30).bytes.clone();
        assert_eq!(inflate(&wrong), (Vec::new(), End::Damage), "{lengths:?}");
    }
    // A match needs a distance code, and may not reach behind the beginning.
    let mut litlens = vec![0u8; 258];
    (litlens[97], litlens[END_OF_BLOCK], litlens[257]) = (1, 2, 2);
    // Codes: a 0, end 10, three bytes 11; distance one has the code 0.
    let matched = |distances: &[u8], literals: usize| {
        let mut w = Writer::new();
        w.dynamic(&litlens, distances);
        for _ in 0..literals {
            w.code(0, 1);
        }
        w.code(0b11, 2).code(0, 1).code(0b10, 2).end(b"aaaa")
    };
    assert_eq!(inflate(&matched(&[1], 1)), (b"aaaa".to_vec(), End::Complete));
    assert_eq!(inflate(&matched(&[1], 0)), (Vec::new(), End::Damage));
    assert_eq!(inflate(&matched(&[0], 1)), (b"a".to_vec(), End::Damage));
    // 287 symbols are too many, as are 31 distances.
    for (litlens, distances) in [(287, 1), (257, 31)] {
        let mut lengths = vec![0u8; litlens];
        (lengths[97], lengths[END_OF_BLOCK]) = (1, 1);
        let mut w = Writer::new();
        w.dynamic(&lengths, &vec![0; distances]).number(0b10, 2);
        let stream = w.end(b"a");
        assert_eq!(inflate(&stream), (Vec::new(), End::Damage));
    }
}

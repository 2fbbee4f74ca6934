//! Decompression of zlib streams (RFC 1950, RFC 1951).
//!
//! Node and fault-proof program must agree about every stream, damaged ones too, and both with the
//! reference node, which uses Go's `compress/zlib`. Therefore one decoder serves both builds, with
//! Go's rules where decoders differ:
//! - what was decompressed before an error counts;
//! - a code is complete, or has one symbol of length one, or none; a block needs no end-of-block
//!   code until it ends;
//! - near the end of the input, a symbol is read only if as many bits are left as the end-of-block
//!   code has;
//! - a distance may reach back 32 KiB, whatever window the header announces;
//! - a preset dictionary is accepted if it is the empty one.
//!
//! Most of the work is done by a loop that decodes without looking for the end of input or output,
//! because both are known to be far away. A symbol is found by one look into a table of 2^11
//! entries; longer codes go on in a second table behind it.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// What came out of a zlib stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inflated {
    /// The output, up to the limit or the first error.
    pub(crate) data: Vec<u8>,
    /// Why no more came out.
    pub(crate) end: End,
    /// Where in the output the last empty stored block stands, which Go takes as an order to hand
    /// over what there is.
    pub(crate) flushed: usize,
}

/// Where decompression ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// At the end of the stream; the checksum is right.
    Complete,
    /// At the limit of the output, or before.
    Limit,
    /// Where the stream is damaged or cut off; or at its end, with a wrong checksum.
    Damage,
}

/// Most literal and length symbols, and most distance symbols, of a dynamic block.
const MAX_SYMBOLS: (usize, usize) = (286, 30);
const END_OF_BLOCK: usize = 256;
const MAX_CODE: usize = 15;
const LITLEN_BITS: usize = 11;
const DISTANCE_BITS: usize = 8;
/// Both parts of the tables: at most 143 prefixes of 11 bits are shared by two codes or more, at
/// most 15 of 8 bits; each goes on in a table of 2^4 or 2^7 entries.
const LITLEN_TABLE: usize = (1 << LITLEN_BITS) + 144 * 16;
const DISTANCE_TABLE: usize = (1 << DISTANCE_BITS) + 16 * 128;

// A table's entry:
//   bits 0..8    bits to consume: code and extra bits
//   bits 8..12   bits of the code alone
//   bits 12..16  kind, one bit of it set; none for an unused code, whose entry is zero
//   bits 16..32  literal, or least length or distance, or place of the second table
const LITERAL: u32 = 1 << 15;
const VALUE: u32 = 1 << 14;
const BLOCK_END: u32 = 1 << 13;
const SECOND: u32 = 1 << 12;

/// The most that one symbol adds to the output.
const MAX_MATCH: usize = 258;
/// Matches are copied in pieces of this size, so that the last may reach beyond their end.
const PIECE: usize = 16;
/// Distance from the end of the output that the fast loop keeps: three literals, and a match.
const OUTPUT_SLACK: usize = 3 + MAX_MATCH + PIECE;
/// Distance from the end of the input that the fast loop keeps: two loads of eight bytes.
const INPUT_SLACK: usize = 16;

/// Least length and number of extra bits of the symbols from 257 on.
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];
/// Least distance and number of extra bits of the distance symbols.
const DISTANCES: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];
/// The order in which the lengths of the code of code lengths stand.
const PRECODE_ORDER: [usize; 19] =
    [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The stream is damaged or ends, or the output is full: nothing more comes.
struct Stop;

/// The input, as a row of bits. `buffer` may hold more bits than `left` says; they are those that
/// follow.
struct Bits<'a> {
    input: &'a [u8],
    at: usize,
    buffer: u64,
    left: u32,
}

impl<'a> Bits<'a> {
    const fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0, buffer: 0, left: 0 }
    }

    /// Makes 56 bits available at least, given that eight bytes are left.
    #[inline(always)]
    fn refill_fast(&mut self) {
        if let Some(chunk) = self.input.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            self.buffer |= u64::from_le_bytes(*chunk) << self.left;
            self.at += (63 - self.left as usize) >> 3;
            self.left |= 56;
        }
    }

    /// Makes as many bits available as there are, up to 56.
    fn refill(&mut self) {
        while self.left < 56
            && let Some(byte) = self.input.get(self.at)
        {
            self.buffer |= u64::from(*byte) << self.left;
            self.at += 1;
            self.left += 8;
        }
    }

    #[inline(always)]
    const fn consume(&mut self, count: u32) {
        self.buffer >>= count;
        self.left -= count;
    }

    /// At most 16 bits.
    fn take(&mut self, count: u32) -> Result<u32, Stop> {
        self.refill();
        if count > self.left {
            return Err(Stop);
        }
        let out = self.buffer as u32 & ((1 << count) - 1);
        self.consume(count);
        Ok(out)
    }

    /// Gives up the rest of a byte, and puts back whole bytes.
    fn align(&mut self) {
        self.at -= (self.left / 8) as usize;
        (self.buffer, self.left) = (0, 0);
    }

    /// Bytes, after [`Bits::align`].
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let out = *self.input.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(out)
    }
}

/// A code, as a table.
struct Table<const SIZE: usize> {
    entries: [u32; SIZE],
    /// Bits of the longest code beyond those of the first part.
    second_bits: u32,
    /// Bits that must be there before a symbol is read.
    min: u32,
}

impl<const SIZE: usize> Table<SIZE> {
    const fn new() -> Self {
        Self { entries: [0; SIZE], second_bits: 0, min: 0 }
    }

    /// Builds the table of a code with these lengths. `entry` gives a symbol's entry without the
    /// bits of its code.
    fn build(
        &mut self,
        first_bits: usize,
        lengths: &[u8],
        entry: impl Fn(usize) -> u32,
    ) -> Result<(), Stop> {
        let mut counts = [0usize; MAX_CODE + 1];
        for length in lengths {
            counts[usize::from(*length & 15)] += 1;
        }
        counts[0] = 0;
        let max = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
        self.min = counts.iter().position(|count| *count > 0).unwrap_or(0) as u32;
        self.second_bits = max.saturating_sub(first_bits) as u32;
        // The first code of each length, and how much of the code space is used.
        let mut next = [0usize; MAX_CODE + 2];
        for length in 1..=max {
            next[length + 1] = (next[length] + counts[length]) << 1;
        }
        let used = if max == 0 { 0 } else { next[max] + counts[max] };
        let single = max == 1 && used == 1;
        if max > 0 && used != 1 << max && !single {
            return Err(Stop);
        }
        // Symbols by length.
        let mut starts = [0usize; MAX_CODE + 2];
        for length in 1..=MAX_CODE {
            starts[length + 1] = starts[length] + counts[length];
        }
        let mut sorted = [0u16; 320];
        let mut fill = starts;
        for (symbol, length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            let place = &mut fill[usize::from(*length & 15)];
            if let Some(slot) = sorted.get_mut(*place) {
                *slot = symbol as u16;
            }
            *place += 1;
        }
        let symbols = |length: usize| sorted.get(starts[length]..starts[length + 1]);
        // The first part doubles with each length: codes are read from their first bit on, which is
        // the lowest of the index.
        self.entries[0] = 0;
        let mut size = 1;
        for (length, code) in next.iter().enumerate().take(first_bits + 1).skip(1) {
            self.entries.copy_within(..size, size);
            size *= 2;
            for (i, symbol) in symbols(length).into_iter().flatten().enumerate() {
                let bits = length as u32;
                self.entries[reversed(code + i, length)] =
                    entry(usize::from(*symbol)) + (bits << 8 | bits);
            }
        }
        // The second parts.
        let (mut prefix, mut base) = (usize::MAX, size);
        let mut second = 0;
        for (length, first) in next.iter().enumerate().take(max + 1).skip(first_bits + 1) {
            for (i, symbol) in symbols(length).into_iter().flatten().enumerate() {
                let code = reversed(first + i, length);
                if code & (size - 1) != prefix {
                    prefix = code & (size - 1);
                    second = base;
                    base += 1 << self.second_bits;
                    self.entries[prefix] = (second as u32) << 16 | SECOND;
                }
                let bits = length as u32;
                let value = entry(usize::from(*symbol)) + (bits << 8 | bits);
                let step = 1 << (length - first_bits);
                let places = second + (code >> first_bits)..base;
                for at in places.step_by(step) {
                    self.entries[at] = value;
                }
            }
        }
        Ok(())
    }

    /// The entry of the code that `buffer` begins with.
    #[inline(always)]
    fn look_up(&self, first_bits: usize, buffer: u64) -> u32 {
        let entry = self.entries[buffer as usize & ((1 << first_bits) - 1)];
        if entry & SECOND == 0 { entry } else { self.look_further(first_bits, buffer, entry) }
    }

    #[inline(always)]
    fn look_further(&self, first_bits: usize, buffer: u64, entry: u32) -> u32 {
        let rest = (buffer >> first_bits) as usize & ((1 << self.second_bits) - 1);
        self.entries[((entry >> 16) as usize + rest).min(SIZE - 1)]
    }
}

/// A code of `length` bits with its first bit lowest.
const fn reversed(code: usize, length: usize) -> usize {
    ((code as u16).reverse_bits() >> (16 - length)) as usize
}

const fn litlen_entry(symbol: usize) -> u32 {
    match symbol {
        0..END_OF_BLOCK => LITERAL | (symbol as u32) << 16,
        END_OF_BLOCK => BLOCK_END,
        _ => value_entry(&LENGTHS, symbol - END_OF_BLOCK - 1),
    }
}

const fn distance_entry(symbol: usize) -> u32 {
    value_entry(&DISTANCES, symbol)
}

/// An invalid symbol has a code, but stands for nothing: its entry has no kind.
const fn value_entry(values: &[(u16, u8)], index: usize) -> u32 {
    if index >= values.len() {
        return 0;
    }
    let (least, extra) = values[index];
    VALUE | (least as u32) << 16 | extra as u32
}

/// The value of a length or distance: the least one, and the extra bits behind the code.
#[inline(always)]
const fn value(entry: u32, buffer: u64) -> usize {
    let all = entry & 0xff;
    let code = entry >> 8 & 0xf;
    (entry >> 16) as usize + ((buffer & ((1 << all) - 1)) >> code) as usize
}

/// Codes and their tables.
struct Codes {
    litlen: Table<LITLEN_TABLE>,
    distance: Table<DISTANCE_TABLE>,
    /// Whether the tables are those of the fixed codes.
    fixed: bool,
}

impl Codes {
    fn fixed(&mut self) -> Result<(), Stop> {
        if self.fixed {
            return Ok(());
        }
        let mut lengths = [8; 288];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        self.litlen.build(LITLEN_BITS, &lengths, litlen_entry)?;
        self.distance.build(DISTANCE_BITS, &[5; 32], distance_entry)?;
        self.fixed = true;
        Ok(())
    }

    /// Reads the codes at the beginning of a dynamic block.
    fn dynamic(&mut self, bits: &mut Bits<'_>) -> Result<(), Stop> {
        self.fixed = false;
        let litlens = 257 + bits.take(5)? as usize;
        let distances = 1 + bits.take(5)? as usize;
        let count = 4 + bits.take(4)? as usize;
        if litlens > MAX_SYMBOLS.0 || distances > MAX_SYMBOLS.1 {
            return Err(Stop);
        }
        let mut lengths = [0u8; 19];
        for symbol in PRECODE_ORDER.iter().take(count) {
            lengths[*symbol] = bits.take(3)? as u8;
        }
        let precode = &mut self.distance;
        precode.build(7, &lengths, |symbol| VALUE | (symbol as u32) << 16)?;

        let mut lengths = [0u8; 320];
        let all = litlens + distances;
        let mut done = 0;
        while done < all {
            bits.refill();
            let entry = precode.look_up(7, bits.buffer);
            let used = entry & 0xff;
            if entry == 0 || used.max(precode.min) > bits.left {
                return Err(Stop);
            }
            bits.consume(used);
            let (length, repeat) = match entry >> 16 {
                16 if done == 0 => return Err(Stop),
                16 => (lengths[done - 1], 3 + bits.take(2)?),
                17 => (0, 3 + bits.take(3)?),
                18 => (0, 11 + bits.take(7)?),
                length => (length as u8, 1),
            };
            let end = done + repeat as usize;
            if end > all {
                return Err(Stop);
            }
            lengths[done..end].fill(length);
            done = end;
        }
        self.litlen.build(LITLEN_BITS, &lengths[..litlens], litlen_entry)?;
        self.litlen.min = self.litlen.min.max(u32::from(lengths[END_OF_BLOCK]));
        self.distance.build(DISTANCE_BITS, &lengths[litlens..all], distance_entry)
    }
}

/// The output: a buffer of zeros that is filled, and grows up to the limit.
struct Output {
    data: Vec<u8>,
    at: usize,
    limit: usize,
    flushed: usize,
    /// Whether something did not fit.
    full: bool,
}

impl Output {
    /// Makes room for `more` bytes, or as many as the limit allows. Gives how many.
    fn reserve(&mut self, more: usize) -> usize {
        let wanted = self.at.saturating_add(more).min(self.limit);
        if wanted > self.data.len() {
            // In steps that stay in the cache until they are filled.
            self.data.resize(wanted.max((self.data.len() + (1 << 15)).min(self.limit)), 0);
        }
        more.min(self.data.len() - self.at)
    }

    /// Repeats what stands `distance` back, byte for byte.
    fn repeat(&mut self, distance: usize, length: usize) -> Result<(), Stop> {
        if distance > self.at {
            return Err(Stop);
        }
        let room = self.reserve(length);
        for at in self.at..self.at + room {
            self.data[at] = self.data[at - distance];
        }
        self.at += room;
        self.full = room < length;
        if self.full { Err(Stop) } else { Ok(()) }
    }
}

/// Decompresses a zlib stream to at most `limit` bytes. Bytes behind its end are ignored.
pub(crate) fn inflate_zlib(input: &[u8], limit: usize) -> Inflated {
    // A guess that a real channel seldom outgrows twice.
    let capacity = input.len().saturating_mul(4).clamp(1024, 1 << 24).min(limit);
    let mut out =
        Output { data: Vec::with_capacity(capacity), at: 0, limit, flushed: 0, full: false };
    let end = match zlib(input, &mut out) {
        Ok(true) => End::Complete,
        Err(Stop) if out.full => End::Limit,
        Ok(false) | Err(Stop) => End::Damage,
    };
    out.data.truncate(out.at);
    Inflated { data: out.data, end, flushed: out.flushed }
}

/// Whether the checksum is right.
fn zlib(input: &[u8], out: &mut Output) -> Result<bool, Stop> {
    let mut bits = Bits::new(input);
    let [cmf, flags] = bits.bytes().ok_or(Stop)?;
    let deflate = cmf & 0x0f == 8 && cmf >> 4 <= 7;
    if !deflate || !u16::from_be_bytes([cmf, flags]).is_multiple_of(31) {
        return Err(Stop);
    }
    // The checksum of an empty dictionary is one.
    if flags & 0x20 != 0 && bits.bytes() != Some(1u32.to_be_bytes()) {
        return Err(Stop);
    }
    let mut codes = Box::new(Codes { litlen: Table::new(), distance: Table::new(), fixed: false });
    loop {
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(&mut bits, out)?,
            1 => {
                codes.fixed()?;
                compressed(&mut bits, out, &codes)?;
            }
            2 => {
                codes.dynamic(&mut bits)?;
                compressed(&mut bits, out, &codes)?;
            }
            _ => return Err(Stop),
        }
        if last {
            break;
        }
    }
    bits.align();
    let checksum = bits.bytes().ok_or(Stop)?;
    Ok(u32::from_be_bytes(checksum) == adler32(&out.data[..out.at]))
}

fn stored(bits: &mut Bits<'_>, out: &mut Output) -> Result<(), Stop> {
    bits.align();
    let length = u16::from_le_bytes(bits.bytes().ok_or(Stop)?);
    let inverse = u16::from_le_bytes(bits.bytes().ok_or(Stop)?);
    if length != !inverse {
        return Err(Stop);
    }
    if length == 0 {
        out.flushed = out.at;
    }
    let length = usize::from(length);
    let rest = bits.input.get(bits.at..).unwrap_or_default();
    let there = length.min(rest.len());
    let count = out.reserve(there);
    out.full = count < there;
    out.data[out.at..out.at + count].copy_from_slice(&rest[..count]);
    out.at += count;
    bits.at += count;
    if count < length { Err(Stop) } else { Ok(()) }
}

/// The symbols of a block with codes.
fn compressed(bits: &mut Bits<'_>, out: &mut Output, codes: &Codes) -> Result<(), Stop> {
    loop {
        // Room for the fast loop.
        out.reserve(2 * OUTPUT_SLACK);
        if fast(bits, out, codes)? {
            return Ok(());
        }
        // One symbol, and then the fast loop again if that is possible: near the end of the output
        // it is, once there is more room.
        bits.refill();
        let entry = codes.litlen.look_up(LITLEN_BITS, bits.buffer);
        let code = entry >> 8 & 0xf;
        if entry & (LITERAL | VALUE | BLOCK_END) == 0 || code.max(codes.litlen.min) > bits.left {
            return Err(Stop);
        }
        if entry & LITERAL != 0 {
            if out.reserve(1) == 0 {
                out.full = true;
                return Err(Stop);
            }
            out.data[out.at] = (entry >> 16) as u8;
            out.at += 1;
            bits.consume(code);
            continue;
        }
        let used = entry & 0xff;
        if used > bits.left {
            return Err(Stop);
        }
        let length = value(entry, bits.buffer);
        bits.consume(used);
        if entry & BLOCK_END != 0 {
            return Ok(());
        }
        bits.refill();
        let entry = codes.distance.look_up(DISTANCE_BITS, bits.buffer);
        let used = entry & 0xff;
        if entry & VALUE == 0 || used > bits.left {
            return Err(Stop);
        }
        let distance = value(entry, bits.buffer);
        bits.consume(used);
        out.repeat(distance, length)?;
    }
}

/// Decodes symbols as long as the ends of input and output are far; `true` at the end of the block.
fn fast(bits: &mut Bits<'_>, out: &mut Output, codes: &Codes) -> Result<bool, Stop> {
    let Some(last_input) = bits.input.len().checked_sub(INPUT_SLACK) else { return Ok(false) };
    let Some(last_output) = out.data.len().checked_sub(OUTPUT_SLACK) else { return Ok(false) };
    let mut b = Bits { input: bits.input, at: bits.at, buffer: bits.buffer, left: bits.left };
    let data = out.data.as_mut_slice();
    let mut at = out.at;
    let first = |b: &Bits<'_>| codes.litlen.entries[b.buffer as usize & ((1 << LITLEN_BITS) - 1)];
    let mut room = b.at <= last_input && at <= last_output;
    if room {
        b.refill_fast();
    }
    let mut entry = first(&b);
    let result = loop {
        // Here 56 bits are there at least, and `entry` is of the next symbol.
        if !room {
            break Ok(false);
        }
        // Three literals of the first part take 33 bits at most.
        if entry & LITERAL != 0 {
            b.consume(entry & 0xff);
            data[at] = (entry >> 16) as u8;
            at += 1;
            entry = first(&b);
            if entry & LITERAL != 0 {
                b.consume(entry & 0xff);
                data[at] = (entry >> 16) as u8;
                at += 1;
                entry = first(&b);
                if entry & LITERAL != 0 {
                    b.consume(entry & 0xff);
                    data[at] = (entry >> 16) as u8;
                    at += 1;
                    entry = first(&b);
                    room = b.at <= last_input && at <= last_output;
                    if room {
                        b.refill_fast();
                    }
                    continue;
                }
            }
        }
        // 34 bits are left.
        if entry & SECOND != 0 {
            entry = codes.litlen.look_further(LITLEN_BITS, b.buffer, entry);
            if entry & LITERAL != 0 {
                b.consume(entry & 0xff);
                data[at] = (entry >> 16) as u8;
                at += 1;
                entry = first(&b);
                room = b.at <= last_input && at <= last_output;
                if room {
                    b.refill_fast();
                }
                continue;
            }
        }
        if entry & VALUE == 0 {
            if entry & BLOCK_END == 0 {
                break Err(Stop);
            }
            b.consume(entry & 0xff);
            break Ok(true);
        }
        let length = value(entry, b.buffer);
        b.consume(entry & 0xff);
        // 14 bits are left, of 28 that a distance may take.
        b.refill_fast();
        let distance_entry = codes.distance.look_up(DISTANCE_BITS, b.buffer);
        if distance_entry & VALUE == 0 {
            break Err(Stop);
        }
        let distance = value(distance_entry, b.buffer);
        b.consume(distance_entry & 0xff);
        // 28 bits are left: enough to look at the next symbol while the match is copied.
        entry = first(&b);
        if distance > at {
            break Err(Stop);
        }
        room = b.at <= last_input && at + length <= last_output;
        if room {
            b.refill_fast();
        }
        copy(data, at, distance, length);
        at += length;
    };
    *bits = b;
    out.at = at;
    result
}

/// Copies a match whose end is at least [`PIECE`] bytes away from the end of `data`.
#[inline(always)]
fn copy(data: &mut [u8], at: usize, distance: usize, length: usize) {
    if distance >= PIECE {
        let mut done = 0;
        while done < length {
            let from = at - distance + done;
            let mut piece = [0; PIECE];
            piece.copy_from_slice(&data[from..from + PIECE]);
            data[at + done..at + done + PIECE].copy_from_slice(&piece);
            done += PIECE;
        }
    } else if distance == 1 {
        let byte = data[at - 1];
        data[at..at + length].fill(byte);
    } else {
        for to in at..at + length {
            data[to] = data[to - distance];
        }
    }
}

/// The checksum of a zlib stream.
fn adler32(data: &[u8]) -> u32 {
    const MODULUS: u32 = 65521;
    /// Sums kept side by side, so that the compiler computes them at once.
    const LANES: usize = 32;
    /// As many rounds as no sum of sums overflows 16 bits in: 255 · 22 · 23 / 2.
    const ROUNDS: usize = 22;

    let (mut a, mut b) = (1u32, 0u32);
    for block in data.chunks(LANES * ROUNDS) {
        let chunks = block.chunks_exact(LANES);
        let rest = chunks.remainder();
        b += a * (block.len() - rest.len()) as u32;
        let (mut sums, mut sums_of_sums) = ([0u16; LANES], [0u16; LANES]);
        for chunk in chunks {
            for (i, byte) in chunk.iter().enumerate() {
                sums_of_sums[i] += sums[i];
                sums[i] += u16::from(*byte);
            }
        }
        // Each byte counts as often in b as there are bytes from it to the end.
        for (i, (sum, of_sums)) in sums.iter().zip(&sums_of_sums).enumerate() {
            b += u32::from(*of_sums) * LANES as u32 + u32::from(*sum) * (LANES - i) as u32;
            a += u32::from(*sum);
        }
        for byte in rest {
            a += u32::from(*byte);
            b += a;
        }
        (a, b) = (a % MODULUS, b % MODULUS);
    }
    b << 16 | a
}

#[cfg(test)]
#[path = "inflate_tests.rs"]
mod tests;

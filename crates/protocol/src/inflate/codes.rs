//! Codes of literals, lengths and distances, as tables.

use super::Stop;
use super::bits::Bits;

/// Most literal and length symbols, and most distance symbols, of a dynamic block.
const MAX_SYMBOLS: (usize, usize) = (286, 30);
pub(super) const END_OF_BLOCK: usize = 256;
const MAX_CODE: usize = 15;
pub(super) const LITLEN_BITS: usize = 11;
pub(super) const DISTANCE_BITS: usize = 8;
/// Both parts of the tables: at most 143 prefixes of 11 bits are shared by two codes or more, at
/// most 15 of 8 bits; each goes on in a table of 2^4 or 2^7 entries.
const LITLEN_TABLE: usize = (1 << LITLEN_BITS) + 144 * 16;
const DISTANCE_TABLE: usize = (1 << DISTANCE_BITS) + 16 * 128;

// A table's entry:
//   bits 0..8    bits to consume: code and extra bits
//   bits 8..12   bits of the code alone
//   bits 12..16  kind, one bit of it set; none for an unused code, whose entry is zero
//   bits 16..32  literal, or least length or distance, or place of the second table
pub(super) const LITERAL: u32 = 1 << 15;
pub(super) const VALUE: u32 = 1 << 14;
pub(super) const BLOCK_END: u32 = 1 << 13;
pub(super) const SECOND: u32 = 1 << 12;

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
pub(super) const PRECODE_ORDER: [usize; 19] =
    [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// A code, as a table.
pub(super) struct Table<const SIZE: usize> {
    pub(super) entries: [u32; SIZE],
    /// Bits of the longest code beyond those of the first part.
    second_bits: u32,
    /// Bits that must be there before a symbol is read.
    pub(super) min: u32,
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
    pub(super) fn look_up(&self, first_bits: usize, buffer: u64) -> u32 {
        let entry = self.entries[buffer as usize & ((1 << first_bits) - 1)];
        if entry & SECOND == 0 { entry } else { self.look_further(first_bits, buffer, entry) }
    }

    #[inline(always)]
    pub(super) fn look_further(&self, first_bits: usize, buffer: u64, entry: u32) -> u32 {
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
pub(super) const fn value(entry: u32, buffer: u64) -> usize {
    let all = entry & 0xff;
    let code = entry >> 8 & 0xf;
    (entry >> 16) as usize + ((buffer & ((1 << all) - 1)) >> code) as usize
}

/// Codes and their tables.
pub(super) struct Codes {
    pub(super) litlen: Table<LITLEN_TABLE>,
    pub(super) distance: Table<DISTANCE_TABLE>,
    /// Whether the tables are those of the fixed codes.
    fixed: bool,
}

impl Codes {
    pub(super) const fn new() -> Self {
        Self { litlen: Table::new(), distance: Table::new(), fixed: false }
    }

    pub(super) fn fixed(&mut self) -> Result<(), Stop> {
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
    pub(super) fn dynamic(&mut self, bits: &mut Bits<'_>) -> Result<(), Stop> {
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

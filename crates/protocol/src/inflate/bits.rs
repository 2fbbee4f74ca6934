//! The input of a decompressor.

use super::Stop;

/// The input, as a row of bits. `buffer` may hold more bits than `left` says; they are those that
/// follow.
pub(super) struct Bits<'a> {
    pub(super) input: &'a [u8],
    pub(super) at: usize,
    pub(super) buffer: u64,
    pub(super) left: u32,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0, buffer: 0, left: 0 }
    }

    /// Makes 56 bits available at least, given that eight bytes are left.
    #[inline(always)]
    pub(super) fn refill_fast(&mut self) {
        if let Some(chunk) = self.input.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            self.buffer |= u64::from_le_bytes(*chunk) << self.left;
            self.at += (63 - self.left as usize) >> 3;
            self.left |= 56;
        }
    }

    /// Makes as many bits available as there are, up to 56.
    pub(super) fn refill(&mut self) {
        while self.left < 56
            && let Some(byte) = self.input.get(self.at)
        {
            self.buffer |= u64::from(*byte) << self.left;
            self.at += 1;
            self.left += 8;
        }
    }

    #[inline(always)]
    pub(super) const fn consume(&mut self, count: u32) {
        self.buffer >>= count;
        self.left -= count;
    }

    /// At most 16 bits.
    pub(super) fn take(&mut self, count: u32) -> Result<u32, Stop> {
        self.refill();
        if count > self.left {
            return Err(Stop);
        }
        let out = self.buffer as u32 & ((1 << count) - 1);
        self.consume(count);
        Ok(out)
    }

    /// Gives up the rest of a byte, and puts back whole bytes.
    pub(super) fn align(&mut self) {
        self.at -= (self.left / 8) as usize;
        (self.buffer, self.left) = (0, 0);
    }

    /// Bytes, after [`Bits::align`].
    pub(super) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let out = *self.input.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(out)
    }
}

//! The output of a decompressor.

use alloc::vec::Vec;

use super::Stop;

/// The most that one symbol adds to the output.
const MAX_MATCH: usize = 258;
/// Matches are copied in pieces of this size, so that the last may reach beyond their end.
const PIECE: usize = 16;
/// Distance from the end of the output that the fast loop keeps: three literals, and a match.
pub(super) const OUTPUT_SLACK: usize = 3 + MAX_MATCH + PIECE;
/// The output: a buffer of zeros that is filled, and grows up to the limit.
pub(super) struct Output {
    pub(super) data: Vec<u8>,
    pub(super) at: usize,
    limit: usize,
    pub(super) flushed: usize,
    /// Whether something did not fit.
    pub(super) full: bool,
}

impl Output {
    /// With room for so many bytes at first.
    pub(super) fn new(capacity: usize, limit: usize) -> Self {
        Self { data: Vec::with_capacity(capacity), at: 0, limit, flushed: 0, full: false }
    }

    /// Makes room for `more` bytes, or as many as the limit allows. Gives how many.
    pub(super) fn reserve(&mut self, more: usize) -> usize {
        let wanted = self.at.saturating_add(more).min(self.limit);
        if wanted > self.data.len() {
            // In steps that stay in the cache until they are filled.
            self.data.resize(wanted.max((self.data.len() + (1 << 15)).min(self.limit)), 0);
        }
        more.min(self.data.len() - self.at)
    }

    /// Repeats what stands `distance` back, byte for byte.
    pub(super) fn repeat(&mut self, distance: usize, length: usize) -> Result<(), Stop> {
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

/// Copies a match whose end is at least [`PIECE`] bytes away from the end of `data`.
#[inline(always)]
pub(super) fn copy(data: &mut [u8], at: usize, distance: usize, length: usize) {
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

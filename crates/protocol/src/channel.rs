//! Channels: batches in a row, compressed, and cut into frames.
//!
//! The reader is what derivation uses; [`ChannelOut`] is its mirror image for the batcher. Spec:
//! `derivation.md`, "Channel Format"; `fjord/derivation.md`.

use alloy_primitives::Bytes;
use alloy_rlp::Header;

use crate::batch::{Batch, BatchError};
pub use crate::channel_out::{ChannelOut, ChannelOutError};
use crate::compress::{Compression, read_brotli};
use crate::inflate::{End, inflate_zlib};

/// Why a channel, or the rest of it, cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The channel has no data.
    #[error("channel is empty")]
    Empty,
    /// The first byte announces no known compression.
    #[error("channel begins with byte {0:#04x}, which is neither zlib nor Brotli")]
    Compression(u8),
    /// Brotli in an L1 block before Fjord.
    #[error("channel is Brotli-compressed, which is valid from Fjord on only")]
    BrotliBeforeFjord,
    /// The decompressed data ends within a batch, or holds something else than byte strings.
    #[error("channel data at byte {at}: {error}")]
    Rlp {
        /// Position in the decompressed data.
        at: usize,
        /// What is wrong there.
        error: alloy_rlp::Error,
    },
    /// The last batch before an error in the compressed data, if the reference node does not see
    /// that it is whole.
    #[error("batch at byte {at} ends where the compressed data is damaged")]
    LastBatch {
        /// Position in the decompressed data.
        at: usize,
    },
    /// A batch that cannot be decoded.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// Reads the batches of a complete channel, one by one.
#[derive(Clone, Debug)]
pub struct ChannelReader {
    data: Bytes,
    at: usize,
    compression: Compression,
    /// In a stream that ends in an error: where the reference decoder handed over last before.
    handed_over: Option<usize>,
}

/// The reference decoder of zlib hands over its output when its window is full.
const WINDOW: usize = 32_768;
/// The reference decoder reads less than so many bytes through a buffer of that size, and more
/// directly.
const READ_BUFFER: usize = 4096;

impl ChannelReader {
    /// Decompresses a channel. What goes beyond `max_rlp_bytes` is cut off, as is all that follows
    /// a damaged place; neither is an error here: the batches before it count.
    ///
    /// # Errors
    /// When the compression is unknown or not yet valid.
    pub fn new(channel: &[u8], max_rlp_bytes: u64, fjord: bool) -> Result<Self, ChannelError> {
        let (&first, rest) = channel.split_first().ok_or(ChannelError::Empty)?;
        let limit = usize::try_from(max_rlp_bytes).unwrap_or(usize::MAX);
        let compression = Compression::of_channel(first).ok_or(ChannelError::Compression(first))?;
        let (data, handed_over) = match compression {
            Compression::Zlib => {
                let out = inflate_zlib(channel, limit);
                let full_windows = out.data.len() / WINDOW * WINDOW;
                let damaged = out.end == End::Damage;
                (out.data, damaged.then_some(full_windows.max(out.flushed)))
            }
            Compression::Brotli if !fjord => return Err(ChannelError::BrotliBeforeFjord),
            Compression::Brotli => {
                let (out, handed_over) = read_brotli(rest, limit);
                (out.data, handed_over)
            }
        };
        Ok(Self { data: data.into(), at: 0, compression, handed_over })
    }

    /// How the channel was compressed.
    pub const fn compression(&self) -> Compression {
        self.compression
    }

    /// The whole decompressed stream.
    pub const fn decompressed(&self) -> &Bytes {
        &self.data
    }

    /// The next batch, `None` at the end. After an error nothing more comes: a channel counts up to
    /// its first malformed batch.
    pub fn next_batch(&mut self) -> Option<Result<Batch, ChannelError>> {
        let rest = &self.data[self.at..];
        if rest.is_empty() {
            return None;
        }
        let batch = byte_string(rest)
            .map_err(|error| ChannelError::Rlp { at: self.at, error })
            .and_then(|(start, end)| {
                let (start, end) = (self.at + start, self.at + end);
                if end == self.data.len()
                    && let Some(handed_over) = self.handed_over
                    && lost_in_error(&self.data, handed_over)
                {
                    return Err(ChannelError::LastBatch { at: self.at });
                }
                self.at = end;
                Ok(Batch::decode(&self.data.slice(start..end))?)
            });
        if batch.is_err() {
            self.at = self.data.len();
        }
        Some(batch)
    }
}

/// Where the byte string that `data` begins with starts and ends.
fn byte_string(data: &[u8]) -> alloy_rlp::Result<(usize, usize)> {
    let mut rest = data;
    let header = Header::decode(&mut rest)?;
    if header.list {
        return Err(alloy_rlp::Error::UnexpectedList);
    }
    // The length was checked against the rest by `Header::decode`.
    let start = data.len() - rest.len();
    if header.payload_length > rest.len() {
        return Err(alloy_rlp::Error::InputTooShort);
    }
    Ok((start, start + header.payload_length))
}

/// Whether the reference node loses the batch that ends where its decompressor fails (at a damaged
/// place, the end of a zlib stream that was cut off, a wrong checksum, or bytes behind a Brotli
/// stream). What is handed over last
/// comes together with the error. If it is read into the batch directly, the batch is given up,
/// although it is whole; if it goes through the read buffer, the error shows only afterwards.
///
/// Up to `handed_over` everything was read without an error, and the read buffer is empty there.
fn lost_in_error(data: &[u8], handed_over: usize) -> bool {
    let (mut batch, mut buffered_to) = (0, handed_over);
    while let Ok((start, end)) = byte_string(&data[batch..]) {
        let (start, end) = (batch + start, batch + end);
        let buffer = |to: usize| (to + READ_BUFFER).min(data.len());
        // The header is read through the buffer.
        while buffered_to < start {
            buffered_to = buffer(buffered_to);
        }
        // So is the rest of the batch, unless the buffer is empty when much is left of it.
        while buffered_to < end {
            if end - buffered_to < READ_BUFFER {
                buffered_to = buffer(buffered_to);
            } else if end == data.len() {
                return true;
            } else {
                buffered_to = end;
            }
        }
        batch = end;
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloc::vec;
    use alloc::vec::Vec;

    use alloy_primitives::keccak256;

    use super::*;
    use crate::SingularBatch;
    use crate::compress::{compress_brotli, compress_zlib};
    use crate::frame::{ChannelId, FRAME_OVERHEAD};

    fn batch(i: u64) -> SingularBatch {
        let tx = |j: u64| Bytes::from(keccak256((i * 100 + j).to_be_bytes()).repeat(3));
        SingularBatch {
            timestamp: i,
            transactions: (0..10).map(tx).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        for compression in [Compression::Zlib, Compression::Brotli] {
            let mut out = ChannelOut::new(ChannelId([1; 16]), compression, 10_000_000);
            for i in 0..200 {
                out.add(&batch(i)).unwrap();
                let estimate = out.compressed_len();
                assert!(estimate > 0 && estimate < out.input_len() + 100);
            }
            let exact = out.compressed().unwrap().len();
            let estimate = out.compressed_len();
            assert!(estimate.abs_diff(exact) * 10 < exact, "{estimate} {exact}");
            let frames = out.frames(1000).unwrap();
            assert!(frames.iter().all(|frame| frame.encoded_len() <= 1000));
            assert!(frames.iter().rev().skip(1).all(|f| f.encoded_len() == 1000 && !f.is_last));
            assert!(frames.last().unwrap().is_last);
            let data: Vec<u8> = frames.iter().flat_map(|frame| frame.data.to_vec()).collect();
            let mut reader = ChannelReader::new(&data, 10_000_000, true).unwrap();
            assert_eq!(reader.compression(), compression);
            for i in 0..200 {
                assert_eq!(reader.next_batch(), Some(Ok(Batch::Singular(batch(i)))));
            }
            assert_eq!(reader.next_batch(), None);
        }
    }

    #[test]
    fn limits_of_the_writer() {
        let mut out = ChannelOut::new(ChannelId::default(), Compression::Zlib, 1500);
        out.add(&batch(1)).unwrap();
        assert!(matches!(out.add(&batch(2)), Err(ChannelOutError::Full { .. })));
        assert_eq!(out.batches(), 1);
        assert_eq!(out.frames(FRAME_OVERHEAD), Err(ChannelOutError::FrameSize(FRAME_OVERHEAD)));
        let mut large = ChannelOut::new(ChannelId::default(), Compression::Zlib, u64::MAX);
        for i in 0..300 {
            large.add(&batch(i)).unwrap();
        }
        assert!(matches!(large.frames(FRAME_OVERHEAD + 1), Err(ChannelOutError::TooManyFrames(_))));
    }

    /// TRAPS 3: whether Brotli is valid is the caller's to say, by the L1 origin's time. TRAPS 4: an
    /// unknown batch type ends the channel and nothing else.
    #[test]
    fn unknown_compression_and_malformed_batches() {
        let error = |data: &[u8]| ChannelReader::new(data, 1000, true).unwrap_err();
        assert_eq!(error(&[]), ChannelError::Empty);
        assert_eq!(error(&[2, 3]), ChannelError::Compression(2));
        let brotli = [&[1][..], &compress_brotli(b"x").unwrap()].concat();
        let error = ChannelReader::new(&brotli, 1000, false).unwrap_err();
        assert_eq!(error, ChannelError::BrotliBeforeFjord);

        let good = batch(1).encode_for_channel();
        // A list in place of a byte string; an unknown version; an empty string.
        for bad in [vec![0xc0], vec![0x82, 9, 9], vec![0x80], vec![0x81, 0]] {
            let data = compress_zlib(&[good.clone(), bad, good.clone()].concat());
            let mut reader = ChannelReader::new(&data, 10_000, true).unwrap();
            assert!(matches!(reader.next_batch(), Some(Ok(_))));
            assert!(matches!(reader.next_batch(), Some(Err(_))));
            assert_eq!(reader.next_batch(), None);
        }
    }

    #[test]
    fn a_bomb_stays_within_its_limit() {
        let bomb = vec![0u8; 4_000_000];
        for data in [compress_zlib(&bomb), [&[1][..], &compress_brotli(&bomb).unwrap()].concat()] {
            assert!(data.len() < 10_000);
            let reader = ChannelReader::new(&data, 1_000_000, true).unwrap();
            assert_eq!(reader.decompressed().len(), 1_000_000);
            assert!(ChannelReader::new(&data, 0, true).unwrap().decompressed().is_empty());
        }
    }

    /// A channel with these batches, whose checksum is wrong.
    fn with_wrong_checksum(batches: &[SingularBatch]) -> (usize, Vec<u8>) {
        let data: Vec<u8> = batches.iter().flat_map(SingularBatch::encode_for_channel).collect();
        let mut compressed = compress_zlib(&data);
        *compressed.last_mut().unwrap() ^= 1;
        (data.len(), compressed)
    }

    fn count(channel: &[u8]) -> usize {
        let mut reader = ChannelReader::new(channel, 10_000_000, true).unwrap();
        core::iter::from_fn(|| reader.next_batch()).filter(Result::is_ok).count()
    }

    /// The reference node keeps the last batch before a wrong checksum if it has read its end
    /// through a buffer of 4096 bytes: if less than that follow the last 32 KiB handed over.
    #[test]
    fn the_last_batch_before_an_error_counts_as_the_reference_node_reads_it() {
        let large = |length: usize| SingularBatch {
            transactions: vec![keccak256([1]).repeat(length / 32).into()],
            ..Default::default()
        };
        let mut seen = [0; 2];
        for length in (30_000..70_000).step_by(1600) {
            let (total, channel) = with_wrong_checksum(&[large(length)]);
            let lost = total % WINDOW >= READ_BUFFER;
            assert_eq!(count(&channel), usize::from(!lost), "{total}");
            seen[usize::from(lost)] += 1;
            // What follows from the same 32 KiB goes through the buffer.
            let (_, channel) = with_wrong_checksum(&[large(length), batch(1)]);
            assert_eq!(count(&channel), 2);
        }
        assert!(seen[0] > 1 && seen[1] > 1, "{seen:?}");
        // A large batch after a small one in the same 32 KiB: a few bytes of it are in the buffer,
        // the rest is read directly.
        let (_, channel) = with_wrong_checksum(&[batch(1), large(9_000)]);
        assert_eq!(count(&channel), 1);
        let (_, channel) = with_wrong_checksum(&[batch(1), large(5_000)]);
        assert_eq!(count(&channel), 2);
        // A limit is no error: what fills it exactly counts.
        let data = large(50_000).encode_for_channel();
        let channel = compress_zlib(&[&data[..], &[0x80; 100]].concat());
        let mut reader = ChannelReader::new(&channel, data.len() as u64, true).unwrap();
        assert!(matches!(reader.next_batch(), Some(Ok(_))));
        assert_eq!(reader.next_batch(), None);
    }

    /// Bytes behind a Brotli stream are an error that comes with the last output, if they are in
    /// the piece of the input in which the stream ends: of 4095 bytes first, then of 32 KiB.
    #[test]
    fn bytes_behind_a_brotli_stream() {
        let with = |stream: &[u8], behind: usize| [&[1], stream, &vec![0; behind]].concat();
        let stream = |batches: &[SingularBatch]| {
            let data: Vec<u8> =
                batches.iter().flat_map(SingularBatch::encode_for_channel).collect();
            compress_brotli(&data).unwrap()
        };
        let large = |length: usize| {
            let words = (0..length.div_ceil(32) as u64).flat_map(|i| keccak256(i.to_be_bytes()).0);
            let data: Vec<u8> = words.take(length).collect();
            SingularBatch { transactions: vec![data.into()], ..Default::default() }
        };
        let repeated =
            SingularBatch { transactions: vec![vec![7; 9000].into()], ..Default::default() };
        // The batch is read directly, as it is longer than the read buffer.
        let one = stream(core::slice::from_ref(&repeated));
        assert!(one.len() < 1000);
        assert_eq!([0, 1, 5000].map(|behind| count(&with(&one, behind))), [1, 0, 0]);
        // So are all before it but for the last, and what is short goes through the buffer.
        let two = stream(&[repeated.clone(), batch(1)]);
        assert_eq!([0, 1].map(|behind| count(&with(&two, behind))), [2, 2]);
        let two = stream(&[batch(1), repeated]);
        assert_eq!([0, 1].map(|behind| count(&with(&two, behind))), [2, 1]);
        let short = stream(&[batch(1)]);
        assert_eq!([0, 1].map(|behind| count(&with(&short, behind))), [1, 1]);

        // What follows the first piece is short enough for the buffer, or is not.
        for (length, counts) in [(5000, 1), (7900, 1), (8400, 0), (12_000, 0)] {
            let stream = stream(&[large(length)]);
            assert!(stream.len() > 4095);
            assert_eq!(count(&with(&stream, 0)), 1);
            assert_eq!(count(&with(&stream, 1)), counts, "{length}");
        }
    }
}

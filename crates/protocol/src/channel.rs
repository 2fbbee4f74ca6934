//! Channels: batches in a row, compressed, and cut into frames.
//!
//! The reader is what derivation uses; [`ChannelOut`] is its mirror image for the batcher. Spec:
//! `derivation.md`, "Channel Format"; `fjord/derivation.md`.

use alloc::vec::Vec;

use alloy_primitives::Bytes;
use alloy_rlp::Header;

use crate::batch::{Batch, BatchError, SingularBatch};
use crate::compress::{
    BROTLI_VERSION, Compression, compress_brotli, compress_zlib, decompress_brotli, decompress_zlib,
};
use crate::frame::{ChannelId, FRAME_OVERHEAD, Frame, MAX_FRAME_DATA};

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
}

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
        let output = match compression {
            Compression::Zlib => decompress_zlib(channel, limit),
            Compression::Brotli if !fjord => return Err(ChannelError::BrotliBeforeFjord),
            Compression::Brotli => decompress_brotli(rest, limit),
        };
        Ok(Self { data: output.data.into(), at: 0, compression })
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
                let body = self.data.slice(self.at + start..self.at + end);
                self.at += end;
                Ok(Batch::decode(&body)?)
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

/// Why a batch was not added to a [`ChannelOut`], or no frames came out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelOutError {
    /// The channel would decompress to more than derivation reads. Close it and open another.
    #[error("batch of {batch} bytes does not fit: the channel holds {held} of {limit} bytes")]
    Full {
        /// RLP length of the batch.
        batch: usize,
        /// Bytes in the channel.
        held: usize,
        /// The limit of the fork.
        limit: u64,
    },
    /// A frame size that leaves no room for data.
    #[error("frame size {0} leaves no room for data beside the 23 bytes of overhead")]
    FrameSize(usize),
    /// More frames than a 16-bit frame number counts.
    #[error("channel needs {0} frames, the most is 65536")]
    TooManyFrames(usize),
    /// The compressor failed.
    #[error("compressor failed")]
    Compressor,
}

/// A channel being filled by the batcher.
///
/// Batches are kept uncompressed and compressed as one piece by [`ChannelOut::compressed`], which
/// gives the best ratio. [`ChannelOut::compressed_len`] is an estimate in between.
#[derive(Clone, Debug)]
pub struct ChannelOut {
    id: ChannelId,
    compression: Compression,
    max_rlp_bytes: u64,
    data: Vec<u8>,
    batches: usize,
    /// Length of `data` when it was last compressed to measure, and the result's length.
    measured: (usize, usize),
}

impl ChannelOut {
    /// An empty channel. `max_rlp_bytes` is the limit of the fork in which the channel will be
    /// included ([`RollupConfig::max_rlp_bytes_per_channel`](crate::RollupConfig)).
    pub const fn new(id: ChannelId, compression: Compression, max_rlp_bytes: u64) -> Self {
        Self { id, compression, max_rlp_bytes, data: Vec::new(), batches: 0, measured: (0, 0) }
    }

    /// The channel's identifier.
    pub const fn id(&self) -> ChannelId {
        self.id
    }

    /// Appends a batch.
    ///
    /// # Errors
    /// [`ChannelOutError::Full`]; the channel is then unchanged.
    pub fn add(&mut self, batch: &SingularBatch) -> Result<(), ChannelOutError> {
        let encoded = batch.encode_for_channel();
        if (self.data.len() + encoded.len()) as u64 > self.max_rlp_bytes {
            return Err(ChannelOutError::Full {
                batch: encoded.len(),
                held: self.data.len(),
                limit: self.max_rlp_bytes,
            });
        }
        self.data.extend_from_slice(&encoded);
        self.batches += 1;
        Ok(())
    }

    /// Number of batches added.
    pub const fn batches(&self) -> usize {
        self.batches
    }

    /// Bytes before compression.
    pub fn input_len(&self) -> usize {
        self.data.len()
    }

    /// Bytes after compression, estimated: measured each time the channel has grown by a quarter,
    /// and extended in between by the ratio measured last.
    pub fn compressed_len(&mut self) -> usize {
        let (length, compressed) = self.measured;
        if self.data.len() > length + length / 4 {
            // A failing compressor shows itself when the channel is closed.
            let now = self.compressed().map_or(self.data.len(), |out| out.len());
            self.measured = (self.data.len(), now);
            return now;
        }
        let grown = self.data.len() - length;
        compressed + (grown * compressed).div_ceil(length.max(1))
    }

    /// The complete compressed channel.
    ///
    /// # Errors
    /// When the compressor fails.
    pub fn compressed(&self) -> Result<Vec<u8>, ChannelOutError> {
        match self.compression {
            Compression::Zlib => Ok(compress_zlib(&self.data)),
            Compression::Brotli => {
                let body = compress_brotli(&self.data).ok_or(ChannelOutError::Compressor)?;
                let mut out = Vec::with_capacity(body.len() + 1);
                out.push(BROTLI_VERSION);
                out.extend_from_slice(&body);
                Ok(out)
            }
        }
    }

    /// Closes the channel: compresses it and cuts it into frames of at most `max_frame_size` bytes
    /// each, overhead included.
    ///
    /// # Errors
    /// When the frame size leaves no room for data, or would need too many frames.
    pub fn frames(&self, max_frame_size: usize) -> Result<Vec<Frame>, ChannelOutError> {
        let room = max_frame_size.saturating_sub(FRAME_OVERHEAD).min(MAX_FRAME_DATA);
        if room == 0 {
            return Err(ChannelOutError::FrameSize(max_frame_size));
        }
        let data = Bytes::from(self.compressed()?);
        let count = data.len().div_ceil(room).max(1);
        if count > 1 << 16 {
            return Err(ChannelOutError::TooManyFrames(count));
        }
        Ok((0..count)
            .map(|i| Frame {
                id: self.id,
                number: i as u16,
                data: data.slice(i * room..((i + 1) * room).min(data.len())),
                is_last: i + 1 == count,
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloc::vec;
    use alloy_primitives::keccak256;

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
        }
    }
}

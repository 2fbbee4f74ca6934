//! Channels as the batcher writes them; the mirror image of [`ChannelReader`](crate::ChannelReader).

use alloc::boxed::Box;
use alloc::vec::Vec;

use alloy_primitives::Bytes;

use crate::SingularBatch;
use crate::compress::{
    BROTLI_VERSION, Compression, DEFAULT_LEVEL, compress_brotli_at, compress_zlib_at,
};
use crate::frame::{ChannelId, FRAME_OVERHEAD, Frame, MAX_FRAME_DATA};
use crate::span_batch::{SpanBuilder, SpanChain, SpanEncodeError};

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
    /// A block that has no place in the span batch.
    #[error("span batch: {0}")]
    Span(#[from] SpanEncodeError),
}

/// What a channel holds before compression.
#[derive(Clone, Debug)]
enum Content {
    /// Singular batches, encoded.
    Singular(Vec<u8>),
    /// One span batch, which grows.
    Span(Box<SpanBuilder>),
}

/// A channel being filled by the batcher: with singular batches, or with one span batch of all its
/// blocks.
///
/// Batches are kept uncompressed and compressed as one piece by [`ChannelOut::compressed`], which
/// gives the best ratio. [`ChannelOut::compressed_len`] is an estimate in between.
#[derive(Clone, Debug)]
pub struct ChannelOut {
    id: ChannelId,
    compression: Compression,
    level: u8,
    max_rlp_bytes: u64,
    content: Content,
    batches: usize,
    /// Length of the content when it was last compressed to measure, and the result's length.
    measured: (usize, usize),
}

impl ChannelOut {
    /// An empty channel for singular batches. `max_rlp_bytes` is the limit of the fork in which
    /// the channel will be included
    /// ([`RollupConfig::max_rlp_bytes_per_channel`](crate::RollupConfig)).
    pub const fn new(id: ChannelId, compression: Compression, max_rlp_bytes: u64) -> Self {
        Self {
            id,
            compression,
            level: DEFAULT_LEVEL,
            max_rlp_bytes,
            content: Content::Singular(Vec::new()),
            batches: 0,
            measured: (0, 0),
        }
    }

    /// An empty channel for a span batch. The parent of its first block has an L1 origin with the
    /// number `parent_l1_origin`. Valid from Delta on.
    pub fn new_span(
        id: ChannelId,
        compression: Compression,
        max_rlp_bytes: u64,
        chain: SpanChain,
        parent_l1_origin: u64,
    ) -> Self {
        let content = Content::Span(Box::new(SpanBuilder::new(chain, parent_l1_origin)));
        Self { content, ..Self::new(id, compression, max_rlp_bytes) }
    }

    /// With another level than [`DEFAULT_LEVEL`]: zlib has 0 to 10, Brotli 0 to 11.
    #[must_use]
    pub const fn with_level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// The channel's identifier.
    pub const fn id(&self) -> ChannelId {
        self.id
    }

    /// Appends a block.
    ///
    /// # Errors
    /// [`ChannelOutError::Full`], or in a span [`ChannelOutError::Span`]; the channel is then
    /// unchanged.
    pub fn add(&mut self, batch: &SingularBatch) -> Result<(), ChannelOutError> {
        let limit = self.max_rlp_bytes;
        let held = self.input_len();
        let full = |batch| ChannelOutError::Full { batch, held, limit };
        match &mut self.content {
            Content::Singular(data) => {
                let encoded = batch.encode_for_channel();
                if (held + encoded.len()) as u64 > limit {
                    return Err(full(encoded.len()));
                }
                data.extend_from_slice(&encoded);
            }
            Content::Span(span) => {
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                span.push_within(batch, limit)?
                    .map_err(|length| full(length.saturating_sub(held)))?;
            }
        }
        self.batches += 1;
        Ok(())
    }

    /// Number of blocks added.
    pub const fn batches(&self) -> usize {
        self.batches
    }

    /// Bytes before compression.
    pub fn input_len(&self) -> usize {
        match &self.content {
            Content::Singular(data) => data.len(),
            Content::Span(span) if span.block_count() == 0 => 0,
            Content::Span(span) => span.channel_len(),
        }
    }

    /// Bytes after compression, estimated: measured each time the channel has grown by a quarter,
    /// and extended in between by the ratio measured last.
    pub fn compressed_len(&mut self) -> usize {
        let (length, compressed) = self.measured;
        let input = self.input_len();
        if input > length + length / 4 {
            // A failing compressor shows itself when the channel is closed.
            let now = self.compressed().map_or(input, |out| out.len());
            self.measured = (input, now);
            return now;
        }
        let grown = input - length;
        compressed + (grown * compressed).div_ceil(length.max(1))
    }

    /// The complete compressed channel.
    ///
    /// # Errors
    /// When the compressor fails.
    pub fn compressed(&self) -> Result<Vec<u8>, ChannelOutError> {
        let span;
        let data = match &self.content {
            Content::Singular(data) => data,
            Content::Span(builder) if builder.block_count() == 0 => &Vec::new(),
            Content::Span(builder) => {
                span = builder.encode_for_channel()?;
                &span
            }
        };
        match self.compression {
            Compression::Zlib => Ok(compress_zlib_at(data, self.level)),
            Compression::Brotli => {
                let body =
                    compress_brotli_at(data, self.level).ok_or(ChannelOutError::Compressor)?;
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

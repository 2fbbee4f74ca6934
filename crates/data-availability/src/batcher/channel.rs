//! One channel: filling, closing, and being sent.

use opal_protocol::batch::SingularBatch;
use opal_protocol::channel::{ChannelOut, ChannelOutError};
use opal_protocol::compress::Compression;
use opal_protocol::frame::{ChannelId, Frame};
use opal_protocol::{BlockId, L2BlockRef};

/// Limits that decide when a channel is closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Compressed bytes that fill the channel's frames.
    pub(super) target_bytes: usize,
    /// L1 head at which the channel is closed at the latest.
    pub(super) deadline: u64,
}

/// What a block adds to a channel.
#[derive(Clone, Debug)]
pub(super) struct BlockInput {
    pub(super) reference: L2BlockRef,
    pub(super) batch: SingularBatch,
}

/// Outcome of adding a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    Yes,
    /// The channel is full without it.
    Full,
}

/// A channel being filled.
#[derive(Debug)]
pub(super) struct OpenChannel {
    out: ChannelOut,
    limits: Limits,
    blocks: Blocks,
}

/// The L2 blocks in a channel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Blocks {
    pub(super) first: BlockId,
    pub(super) last: BlockId,
    pub(super) count: u64,
    pub(super) transactions: u64,
}

impl OpenChannel {
    pub(super) fn new(
        id: ChannelId,
        compression: Compression,
        max_rlp_bytes: u64,
        limits: Limits,
    ) -> Self {
        let out = ChannelOut::new(id, compression, max_rlp_bytes);
        Self { out, limits, blocks: Blocks::default() }
    }

    /// Adds a block unless the channel would outgrow its target; the first block always goes in.
    pub(super) fn add(&mut self, block: &BlockInput) -> Result<Added, ChannelOutError> {
        if self.blocks.count > 0 && self.expected_len(&block.batch) > self.limits.target_bytes {
            return Ok(Added::Full);
        }
        match self.out.add(&block.batch) {
            Ok(()) => {}
            Err(ChannelOutError::Full { .. }) if self.blocks.count > 0 => return Ok(Added::Full),
            Err(error) => return Err(error),
        }
        let id = block.reference.id();
        if self.blocks.count == 0 {
            self.blocks.first = id;
        }
        self.blocks.last = id;
        self.blocks.count += 1;
        self.blocks.transactions += block.batch.transactions.len() as u64;
        Ok(Added::Yes)
    }

    /// Compressed length with the batch, at the ratio reached so far.
    fn expected_len(&mut self, batch: &SingularBatch) -> usize {
        let transactions: usize = batch.transactions.iter().map(|tx| tx.len()).sum();
        // Parent, epoch and timestamp of a batch take about 80 bytes, of which half compress away.
        let raw = transactions + 80;
        let compressed = self.out.compressed_len();
        let growth = raw.saturating_mul(compressed) / self.out.input_len().max(1);
        compressed.saturating_add(growth.min(raw))
    }

    /// Moves the deadline forward.
    pub(super) fn close_by(&mut self, l1_block: u64) {
        self.limits.deadline = self.limits.deadline.min(l1_block);
    }

    pub(super) const fn is_due(&self, l1_head: u64) -> bool {
        l1_head >= self.limits.deadline
    }

    pub(super) fn is_full(&mut self) -> bool {
        self.out.compressed_len() >= self.limits.target_bytes
    }

    /// Bytes held in memory.
    pub(super) fn memory(&self) -> usize {
        self.out.input_len()
    }

    pub(super) fn close(self, max_frame_size: usize) -> Result<ClosedChannel, ChannelOutError> {
        let frames = self.out.frames(max_frame_size)?;
        Ok(ClosedChannel {
            id: self.out.id(),
            blocks: self.blocks,
            frame_count: frames.len(),
            unsent: frames.into(),
            confirmed: 0,
            included: None,
        })
    }
}

/// A channel whose frames are final.
#[derive(Debug)]
pub(super) struct ClosedChannel {
    pub(super) id: ChannelId,
    pub(super) blocks: Blocks,
    frame_count: usize,
    unsent: std::collections::VecDeque<Frame>,
    confirmed: usize,
    /// Lowest and highest L1 block that holds a frame.
    included: Option<(u64, u64)>,
}

impl ClosedChannel {
    /// The next frames to send, in order.
    pub(super) fn take_frames(&mut self, most: usize) -> Vec<Frame> {
        let count = most.min(self.unsent.len());
        self.unsent.drain(..count).collect()
    }

    /// Takes back frames that were not sent; they must be the ones taken last.
    pub(super) fn put_back(&mut self, frames: Vec<Frame>) {
        for frame in frames.into_iter().rev() {
            self.unsent.push_front(frame);
        }
    }

    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Bytes held in memory.
    pub(super) fn memory(&self) -> usize {
        self.unsent.iter().map(Frame::encoded_len).sum()
    }

    /// Notes that L1 holds `frames` more frames; `true` when it now holds all.
    pub(super) fn confirm(&mut self, frames: usize, l1_block: u64) -> bool {
        self.confirmed += frames;
        self.included = Some(match self.included {
            None => (l1_block, l1_block),
            Some((low, high)) => (low.min(l1_block), high.max(l1_block)),
        });
        self.is_complete()
    }

    pub(super) const fn is_complete(&self) -> bool {
        self.confirmed >= self.frame_count
    }

    /// L1 blocks between its first and its last frame so far.
    pub(super) fn span(&self) -> u64 {
        self.included.map_or(0, |(low, high)| high - low)
    }

    /// L1 block with its last frame, once L1 holds them all.
    pub(super) fn completed_at(&self) -> Option<u64> {
        self.included.filter(|_| self.is_complete()).map(|(_, high)| high)
    }
}

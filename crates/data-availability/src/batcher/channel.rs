//! One channel on its way: filled with blocks, closed, cut into frames, sent, confirmed.

use opal_protocol::SingularBatch;
use opal_protocol::channel::ChannelOutError;
use opal_protocol::frame::FRAME_OVERHEAD;
use opal_protocol::l1_info::{L1InfoError, l1_info_of_block};
use opal_protocol::{BlockId, ChannelId, ChannelOut, Frame, RollupConfig, SealedBlock};

use super::config::Posting;

/// An L2 block that is not safe yet, reduced to what posting it needs.
#[derive(Clone, Debug)]
pub(crate) struct PendingBlock {
    pub id: BlockId,
    pub l1_origin: BlockId,
    /// Timestamp of the L1 origin.
    pub l1_origin_time: u64,
    /// Number of the parent's L1 origin.
    pub parent_l1_origin: u64,
    pub batch: SingularBatch,
    /// Bytes in a channel before compression, as a singular batch.
    pub size: usize,
}

/// Why a block can't be posted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PendingBlockError {
    /// It does not begin with L1 attributes.
    #[error(transparent)]
    L1Info(#[from] L1InfoError),
    /// The first block of an epoch whose origin is L1's genesis: no L1 block is before it, so there
    /// can be no parent with an older origin.
    #[error("block {0} begins the epoch of L1 block 0, which no L1 block precedes")]
    NoEarlierOrigin(BlockId),
}

impl PendingBlock {
    /// # Errors
    /// When the block does not begin with L1 attributes, or with such that no chain has.
    pub(crate) fn new(
        config: &RollupConfig,
        block: &SealedBlock,
    ) -> Result<Self, PendingBlockError> {
        let info = l1_info_of_block(config, block.hash, &block.block)?;
        let l1_origin = info.l1_origin();
        let begins_epoch = u64::from(info.sequence_number == 0);
        let parent_l1_origin = l1_origin
            .number
            .checked_sub(begins_epoch)
            .ok_or_else(|| PendingBlockError::NoEarlierOrigin(block.id()))?;
        let batch = SingularBatch::from_block(&block.block, l1_origin);
        Ok(Self {
            id: block.id(),
            l1_origin,
            l1_origin_time: info.timestamp,
            parent_l1_origin,
            size: batch.encode_for_channel().len(),
            batch,
        })
    }

    fn summary(&self) -> BlockSummary {
        BlockSummary { number: self.id.number, transactions: self.batch.transactions.len() as u64 }
    }
}

/// What statistics need of a block in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockSummary {
    pub number: u64,
    /// Transactions without deposits.
    pub transactions: u64,
}

/// Why a channel was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// It has the size wanted.
    Full,
    /// It was open for as long as the operator wants.
    Duration,
    /// The sequencing window of its oldest block closes soon.
    SequencingWindow,
    /// The operator asked for it.
    Flush,
}

/// A channel that takes blocks.
#[derive(Clone, Debug)]
pub(crate) struct ChannelBuilder {
    out: ChannelOut,
    /// L1 head when the channel was opened.
    opened_at: u64,
    /// Number of the L1 origin of the first block: no later one has an older origin.
    oldest_origin: u64,
    blocks: Vec<BlockSummary>,
}

impl ChannelBuilder {
    /// The empty channel `out` for `first` and its successors; the block is not added yet.
    pub(crate) const fn new(out: ChannelOut, opened_at: u64, first: &PendingBlock) -> Self {
        Self { out, opened_at, oldest_origin: first.l1_origin.number, blocks: Vec::new() }
    }

    pub(crate) fn first_block(&self) -> Option<u64> {
        self.blocks.first().map(|block| block.number)
    }

    /// Adds a block; `Ok(false)` when the channel is too full for it, which an empty one never is.
    ///
    /// # Errors
    /// When the block is too large for any channel.
    pub(crate) fn add(
        &mut self,
        block: &PendingBlock,
        posting: &Posting,
    ) -> Result<bool, ChannelOutError> {
        if !self.blocks.is_empty() {
            // What the block will add is reckoned by the ratio of the channel so far.
            let compressed = self.out.compressed_len();
            let added = block.size.saturating_mul(compressed) / self.out.input_len().max(1);
            if compressed.saturating_add(added) > target_len(posting) {
                return Ok(false);
            }
        }
        match self.out.add(&block.batch) {
            Ok(()) => {
                self.blocks.push(block.summary());
                Ok(true)
            }
            Err(ChannelOutError::Full { .. }) if !self.blocks.is_empty() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether it is time to close the channel, with every block that there is in it.
    pub(crate) fn close_reason(
        &mut self,
        posting: &Posting,
        seq_window_size: u64,
        l1_head: u64,
    ) -> Option<CloseReason> {
        let window_ends = self.oldest_origin.saturating_add(seq_window_size);
        let due = self.opened_at.saturating_add(posting.max_channel_duration);
        if self.out.compressed_len() >= target_len(posting) {
            Some(CloseReason::Full)
        } else if l1_head.saturating_add(posting.sub_safety_margin) >= window_ends {
            Some(CloseReason::SequencingWindow)
        } else if posting.max_channel_duration > 0 && l1_head >= due {
            Some(CloseReason::Duration)
        } else {
            None
        }
    }

    /// Compresses the channel and cuts it into frames. Slow: some 10 ms per blob.
    ///
    /// # Errors
    /// When the compressor fails, or there would be more than 65536 frames.
    pub(crate) fn close(self, posting: &Posting) -> Result<ClosedChannel, ChannelOutError> {
        let frames = self.out.frames(posting.max_frame_size)?;
        Ok(ClosedChannel {
            id: self.out.id(),
            input_bytes: self.out.input_len(),
            oldest_origin: self.oldest_origin,
            blocks: self.blocks,
            frames,
            sent: 0,
            confirmed: 0,
            included: None,
        })
    }
}

/// Compressed bytes that fill the wanted number of frames.
fn target_len(posting: &Posting) -> usize {
    posting.target_num_frames.saturating_mul(posting.max_frame_size.saturating_sub(FRAME_OVERHEAD))
}

/// A channel that is being sent, or waits until its blocks are safe.
#[derive(Clone, Debug)]
pub(crate) struct ClosedChannel {
    pub id: ChannelId,
    /// Bytes before compression.
    pub input_bytes: usize,
    /// Number of the L1 origin of the first block.
    pub oldest_origin: u64,
    pub blocks: Vec<BlockSummary>,
    frames: Vec<Frame>,
    /// The first so many frames were handed out.
    sent: usize,
    /// So many of them are confirmed.
    confirmed: usize,
    /// Lowest and highest L1 block that includes a frame.
    included: Option<(u64, u64)>,
}

/// One transaction's worth of a channel.
#[derive(Clone, Debug)]
pub(crate) struct TxData {
    pub channel: ChannelId,
    /// Consecutive frames.
    pub frames: Vec<Frame>,
    /// The channel's blocks, if these frames complete it; otherwise none.
    pub completes: Vec<BlockSummary>,
}

impl ClosedChannel {
    pub(crate) fn first_block(&self) -> Option<u64> {
        self.blocks.first().map(|block| block.number)
    }

    pub(crate) fn last_block(&self) -> Option<u64> {
        self.blocks.last().map(|block| block.number)
    }

    pub(crate) const fn frame_count(&self) -> usize {
        self.frames.len()
    }

    /// Bytes of all frames' data.
    pub(crate) fn output_bytes(&self) -> usize {
        self.frames.iter().map(|frame| frame.data.len()).sum()
    }

    pub(crate) const fn has_unsent_frames(&self) -> bool {
        self.sent < self.frames.len()
    }

    pub(crate) const fn is_confirmed(&self) -> bool {
        self.confirmed >= self.frames.len()
    }

    /// The L1 block that includes the last frame, once all are confirmed.
    pub(crate) fn complete_at(&self) -> Option<u64> {
        self.included.filter(|_| self.is_confirmed()).map(|(_, last)| last)
    }

    /// Hands out the next frames.
    pub(crate) fn next_tx(&mut self, frames_per_tx: usize) -> Option<TxData> {
        let end = self.sent.saturating_add(frames_per_tx.max(1)).min(self.frames.len());
        let frames = self.frames.get(self.sent..end).filter(|frames| !frames.is_empty())?.to_vec();
        self.sent = end;
        let completes = if self.has_unsent_frames() { Vec::new() } else { self.blocks.clone() };
        Some(TxData { channel: self.id, frames, completes })
    }

    /// Notes that L1 included so many of the frames handed out.
    pub(crate) fn confirm(&mut self, frames: usize, l1_block: u64) {
        self.confirmed += frames;
        let (first, last) = self.included.unwrap_or((l1_block, l1_block));
        self.included = Some((first.min(l1_block), last.max(l1_block)));
    }

    /// Whether derivation can't complete the channel any more, or not with a sufficient reserve:
    /// its first frame was included too long ago.
    pub(crate) fn is_timed_out(&self, timeout: u64, margin: u64, l1_head: u64) -> bool {
        let Some((first, last)) = self.included else { return false };
        let end = first.saturating_add(timeout);
        if last > end {
            return true;
        }
        // Frames under way may be included already: their confirmation will tell.
        self.has_unsent_frames() && l1_head.saturating_add(margin) >= end
    }
}

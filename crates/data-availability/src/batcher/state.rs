//! What the batcher knows and decides; no I/O.

use std::collections::VecDeque;
use std::sync::Arc;

use opal_protocol::channel::ChannelOutError;
use opal_protocol::compress::Compression;
use opal_protocol::frame::{ChannelId, FRAME_OVERHEAD, Frame};
use opal_protocol::{BlockId, Hardfork, L1BlockRef, L2BlockRef, RollupConfig};
use serde::Deserialize;

use super::channel::{Added, BlockInput, Blocks, ClosedChannel, Limits, OpenChannel};

/// Batch data held in memory before loading waits for L1 to take some.
const MAX_MEMORY: usize = 64 << 20;

/// The parts of `optimism_syncStatus` that the batcher goes by.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct SyncStatus {
    /// L1 block that derivation has read last.
    pub(super) current_l1: L1BlockRef,
    pub(super) head_l1: L1BlockRef,
    pub(super) unsafe_l2: L2BlockRef,
    pub(super) safe_l2: L2BlockRef,
}

/// The settings that the decisions depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    pub(super) max_channel_duration: u64,
    pub(super) sub_safety_margin: u64,
    pub(super) target_frames: usize,
    pub(super) max_frame_size: usize,
    pub(super) frames_per_tx: usize,
}

/// What to do after a look at the sync status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// Go on.
    Continue,
    /// The node reads L1 again from further back: its safe head will catch up.
    Wait,
    /// What was posted is not what became safe: start again from the safe head.
    Reset(String),
}

/// Frames of one transaction, and where they belong.
#[derive(Debug)]
pub(super) struct TxFrames {
    pub(super) channel: ChannelId,
    /// Counts resets, so that the outcome of an earlier life is told apart.
    pub(super) epoch: u64,
    pub(super) frames: Vec<Frame>,
}

/// Why a block was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotAdded {
    /// Its parent is not the block added last.
    Reorg,
    /// It can never be posted.
    Never(ChannelOutError),
}

pub(super) struct State {
    config: Arc<RollupConfig>,
    policy: Policy,
    new_id: fn() -> ChannelId,
    /// The block added last, or the safe head after a reset; `None` before the first status.
    tip: Option<BlockId>,
    /// The safe head seen last.
    safe: BlockId,
    current_l1: u64,
    l1_head: L1BlockRef,
    open: Option<OpenChannel>,
    closed: VecDeque<ClosedChannel>,
    epoch: u64,
}

impl State {
    pub(super) fn new(config: Arc<RollupConfig>, policy: Policy, new_id: fn() -> ChannelId) -> Self {
        Self {
            config,
            policy,
            new_id,
            tip: None,
            safe: BlockId::default(),
            current_l1: 0,
            l1_head: L1BlockRef::default(),
            open: None,
            closed: VecDeque::new(),
            epoch: 0,
        }
    }

    /// Takes note of the node's progress: forgets what became safe, and finds out whether
    /// something posted was lost.
    pub(super) fn on_status(&mut self, status: &SyncStatus) -> Advice {
        self.l1_head = status.head_l1;
        // A node that was restarted or follows an L1 reorg derives anew from further back; its
        // safe head says nothing until it is where it was.
        let reached = self.current_l1.min(status.head_l1.number);
        if status.current_l1.number < reached {
            return Advice::Wait;
        }
        self.current_l1 = status.current_l1.number;
        let safe = status.safe_l2.id();
        let Some(tip) = self.tip else {
            self.tip = Some(safe);
            self.safe = safe;
            return Advice::Continue;
        };
        if safe.number < self.safe.number {
            return Advice::Reset(format!("the safe head went back from {} to {safe}", self.safe));
        }
        if safe.number > tip.number {
            return Advice::Reset(format!("the safe head {safe} is ahead of what was posted"));
        }
        if safe.number == tip.number && safe.hash != tip.hash {
            return Advice::Reset(format!("another block became safe: {safe} instead of {tip}"));
        }
        self.safe = safe;
        while let Some(channel) = self.closed.front() {
            let last = channel.blocks.last;
            if last.number > safe.number {
                break;
            }
            if last.number == safe.number && last.hash != safe.hash {
                return Advice::Reset(format!("another block became safe: {safe}, posted {last}"));
            }
            if !channel.is_complete() {
                // Its last frames are still on their way, but are not needed any more.
                break;
            }
            self.closed.pop_front();
        }
        if let Some(channel) = self.closed.front()
            && let Some(at) = channel.completed_at()
            && self.current_l1 > at
            && channel.blocks.last.number > safe.number
        {
            return Advice::Reset(format!(
                "channel {:?} is on L1 since block {at} but its last block {} did not become safe",
                channel.id, channel.blocks.last
            ));
        }
        Advice::Continue
    }

    /// Forgets everything; batching starts again after the safe head of the next status.
    pub(super) fn reset(&mut self) {
        self.tip = None;
        self.open = None;
        self.closed.clear();
        self.epoch += 1;
    }

    /// Number of the block to load next; `None` before the first status and while too much waits.
    pub(super) fn next_block(&self) -> Option<u64> {
        let open = self.open.as_ref().map_or(0, OpenChannel::memory);
        let closed: usize = self.closed.iter().map(ClosedChannel::memory).sum();
        if open + closed > MAX_MEMORY {
            return None;
        }
        self.tip.map(|tip| tip.number + 1)
    }

    /// Adds the next block to the channel being filled; closes it and opens another when full.
    pub(super) fn add_block(&mut self, block: &BlockInput) -> Result<(), NotAdded> {
        let reference = &block.reference;
        let follows = |tip: BlockId| {
            reference.parent_hash == tip.hash && reference.number == tip.number + 1
        };
        if !self.tip.is_some_and(follows) {
            return Err(NotAdded::Reorg);
        }
        // A new channel takes its first block in any case, so the second round adds it.
        for _ in 0..2 {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.open_channel(),
            };
            let added = open.add(block).map_err(NotAdded::Never)?;
            let window_end = reference.l1_origin.number + self.config.seq_window_size;
            open.close_by(window_end.saturating_sub(self.policy.sub_safety_margin));
            let full = added == Added::Full || open.is_full();
            self.open = Some(open);
            if full {
                self.close().map_err(NotAdded::Never)?;
            }
            if added == Added::Yes {
                break;
            }
        }
        self.tip = Some(reference.id());
        Ok(())
    }

    fn open_channel(&self) -> OpenChannel {
        let head = &self.l1_head;
        // What is valid at the L1 head is valid in the later block that will hold the channel.
        let fjord = self.config.is_active(Hardfork::Fjord, head.timestamp);
        let compression = if fjord { Compression::Brotli } else { Compression::Zlib };
        let max_rlp_bytes = self.config.max_rlp_bytes_per_channel(head.timestamp);
        let timeout = self.config.channel_timeout(head.timestamp);
        let timeout = timeout.saturating_sub(self.policy.sub_safety_margin).max(1);
        let duration = match self.policy.max_channel_duration {
            0 => timeout,
            duration => duration.min(timeout),
        };
        let limits = Limits {
            target_bytes: self
                .policy
                .max_frame_size
                .saturating_sub(FRAME_OVERHEAD)
                .saturating_mul(self.policy.target_frames),
            deadline: head.number.saturating_add(duration),
        };
        OpenChannel::new((self.new_id)(), compression, max_rlp_bytes, limits)
    }

    /// Closes the channel being filled when its time has come.
    pub(super) fn close_if_due(&mut self) -> Result<(), ChannelOutError> {
        match &self.open {
            Some(open) if open.is_due(self.l1_head.number) => self.close(),
            _ => Ok(()),
        }
    }

    /// Closes the channel being filled, if there is one.
    pub(super) fn close(&mut self) -> Result<(), ChannelOutError> {
        if let Some(open) = self.open.take() {
            self.closed.push_back(open.close(self.policy.max_frame_size)?);
        }
        Ok(())
    }

    /// Whether frames wait to be sent.
    pub(super) fn has_unsent(&self) -> bool {
        self.closed.iter().any(ClosedChannel::has_unsent)
    }

    /// The frames of the next transaction, in channel order.
    pub(super) fn next_tx(&mut self) -> Option<TxFrames> {
        let channel = self.closed.iter_mut().find(|channel| channel.has_unsent())?;
        let frames = channel.take_frames(self.policy.frames_per_tx);
        Some(TxFrames { channel: channel.id, epoch: self.epoch, frames })
    }

    /// Takes back the frames of the transaction made last, which could not be sent.
    pub(super) fn put_back(&mut self, tx: TxFrames) {
        if let Some(channel) = self.channel_of(&tx) {
            channel.put_back(tx.frames);
        }
    }

    /// Notes that L1 included a transaction. Gives the blocks of the channel that it completed.
    ///
    /// # Errors
    /// When the channel took longer than its timeout, and so is void.
    pub(super) fn confirmed(
        &mut self,
        tx: &TxFrames,
        l1_block: u64,
    ) -> Result<Option<Blocks>, String> {
        let timeout = self.config.channel_timeout(self.l1_head.timestamp);
        let Some(channel) = self.channel_of(tx) else { return Ok(None) };
        let complete = channel.confirm(tx.frames.len(), l1_block);
        if channel.span() > timeout {
            return Err(format!("channel {:?} took longer than its timeout", channel.id));
        }
        Ok(complete.then_some(channel.blocks))
    }

    /// Whether a transaction was made after the last reset.
    pub(super) const fn is_current(&self, tx: &TxFrames) -> bool {
        tx.epoch == self.epoch
    }

    fn channel_of(&mut self, tx: &TxFrames) -> Option<&mut ClosedChannel> {
        if tx.epoch != self.epoch {
            return None;
        }
        self.closed.iter_mut().find(|channel| channel.id == tx.channel)
    }
}

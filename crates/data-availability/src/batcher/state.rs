//! What the batcher knows and decides. No clock, no network: every input is an argument.
//!
//! ```text
//!  blocks, oldest first:   │ in closed channels │ in the open channel │ not built yet │
//!                          ▲                                          ▲
//!                     safe head + 1                                 built
//! ```
//! A block leaves at the front when it is safe. When anything casts doubt on the state (a reorg, a
//! confirmed channel that derivation did not take) all of it is dropped, and the blocks above the
//! safe head are read again.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use opal_protocol::{BlockId, ChannelId, ChannelOut, Hardfork, L1BlockRef, L2BlockRef};
use opal_protocol::{RollupConfig, channel::ChannelOutError};

use super::BatchType;
use super::channel::{ChannelBuilder, CloseReason, ClosedChannel, PendingBlock, TxData};
use super::config::Posting;
use super::status::{ResetReason, SyncStatus, WaitReason};

/// Uncompressed batches held at once; more blocks are read when some of these are safe.
const MAX_PENDING_BYTES: usize = 256 << 20;
/// Blocks read in one go.
const MAX_LOAD: u64 = 256;
/// Closed channels that may wait to be sent before no further one is filled.
const MAX_WAITING_CHANNELS: usize = 4;
/// Longest rest after lost channels, in L1 blocks.
const MAX_REST: u64 = 64;

/// What to do after a look at the sync status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// State was dropped.
    pub reset: Option<ResetReason>,
    /// Do nothing for now.
    pub wait: Option<WaitReason>,
    /// Channels that timed out on L1 and are built again.
    pub timed_out: Vec<ChannelId>,
    /// L2 blocks to read.
    pub load: Option<RangeInclusive<u64>>,
}

/// What the confirmation of a transaction means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirmation {
    /// Nobody waits for it: its channel was given up, or its blocks are safe already.
    Stale,
    /// The channel needs more.
    Partial,
    /// All of the channel is on L1.
    Complete,
    /// Its frames are too far apart on L1; its blocks go into another one.
    TimedOut,
}

/// A channel that was just closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed {
    pub reason: CloseReason,
    pub id: ChannelId,
    pub blocks: usize,
    pub first: u64,
    pub last: u64,
    pub frames: usize,
    pub input_bytes: usize,
    pub output_bytes: usize,
}

/// A block that can't be put into a channel, or with no block a channel that can't be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BuildError {
    pub block: Option<BlockId>,
    pub error: ChannelOutError,
}

/// How far L1 must be read by the node before its safe head counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SyncTarget {
    None,
    /// The L1 head that the next status tells.
    NextHead,
    Block(u64),
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct BatcherState {
    rollup: Arc<RollupConfig>,
    posting: Arc<Posting>,
    blocks: VecDeque<PendingBlock>,
    /// Sum of the blocks' sizes.
    bytes: usize,
    /// So many of the blocks are in channels.
    built: usize,
    open: Option<ChannelBuilder>,
    closed: VecDeque<ClosedChannel>,
    /// As the last status told.
    safe: L2BlockRef,
    sync_target: SyncTarget,
    /// Channels lost in a row.
    losses: u32,
    /// Nothing is posted before L1 reaches this block.
    rest_until: u64,
    /// The open channel is closed at the next occasion.
    flush: bool,
}

impl BatcherState {
    /// Nothing known.
    pub(crate) fn new(rollup: Arc<RollupConfig>, posting: Arc<Posting>) -> Self {
        Self {
            rollup,
            posting,
            blocks: VecDeque::new(),
            bytes: 0,
            built: 0,
            open: None,
            closed: VecDeque::new(),
            safe: L2BlockRef::default(),
            sync_target: SyncTarget::None,
            losses: 0,
            rest_until: 0,
            flush: false,
        }
    }

    /// An empty state that stands in while this one is at work elsewhere.
    pub(crate) fn stand_in(&self) -> Self {
        Self::new(Arc::clone(&self.rollup), Arc::clone(&self.posting))
    }

    /// Reads no blocks before the node has derived everything that is on L1 at the next status.
    pub(crate) const fn wait_for_node_sync(&mut self) {
        self.sync_target = SyncTarget::NextHead;
    }

    /// Drops all blocks and channels. What is under way to L1 goes on, and counts for nothing here.
    pub(crate) fn clear(&mut self) {
        self.blocks.clear();
        self.bytes = 0;
        self.built = 0;
        self.open = None;
        self.closed.clear();
    }

    /// Closes the open channel at the next occasion, however little is in it.
    pub(crate) const fn flush(&mut self) {
        self.flush = true;
    }

    pub(crate) fn pending_blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Number of the newest block read, or of the safe head.
    pub(crate) fn newest_number(&self) -> u64 {
        self.newest().number
    }

    fn newest(&self) -> BlockId {
        self.blocks.back().map_or(self.safe.id(), |block| block.id)
    }

    /// Takes in the heads: finds out whether the state still holds, drops what is safe, and says
    /// which blocks to read next.
    pub(crate) fn on_status(&mut self, status: &SyncStatus) -> Plan {
        let mut plan = Plan::default();
        let safe = status.safe();
        if !status.is_known() {
            plan.wait = Some(WaitReason::NodeNotReady);
            return plan;
        }
        if safe.number > self.safe.number {
            (self.losses, self.rest_until) = (0, 0);
        }
        let went_back = safe.number < self.safe.number;
        self.safe = safe;
        plan.reset = self.doubt(status, went_back);
        if let Some(reason) = plan.reset {
            self.clear();
            match reason {
                // The node may be about to derive again what L1 still holds.
                ResetReason::SafeHeadBack => self.wait_for_node_sync(),
                ResetReason::ChannelLost { .. } => {
                    self.losses = self.losses.saturating_add(1);
                    self.rest_until = status.head_l1.number.saturating_add(rest_after(self.losses));
                }
                ResetReason::SafeHeadAhead | ResetReason::L2Reorg { .. } => {}
            }
        }
        self.prune();
        plan.timed_out = self.requeue_timed_out(&status.head_l1);
        if self.sync_target == SyncTarget::NextHead {
            self.sync_target = SyncTarget::Block(status.head_l1.number);
        }
        if let SyncTarget::Block(target) = self.sync_target {
            let current = status.current_l1.number;
            if current < target {
                plan.wait = Some(WaitReason::NodeSyncing { current, target });
                return plan;
            }
            self.sync_target = SyncTarget::None;
        }
        let newest = self.newest().number;
        let unsafe_l2 = status.unsafe_l2.number;
        if unsafe_l2 < newest {
            plan.wait = Some(WaitReason::NodeBehind { unsafe_l2, newest });
        } else if unsafe_l2 > newest && self.bytes < MAX_PENDING_BYTES {
            plan.load = Some(newest + 1..=unsafe_l2.min(newest.saturating_add(MAX_LOAD)));
        }
        plan
    }

    /// Whether the status contradicts the state; `went_back` says that the safe head is older than
    /// it was.
    fn doubt(&self, status: &SyncStatus, went_back: bool) -> Option<ResetReason> {
        let safe = self.safe;
        let (Some(oldest), Some(newest)) = (self.blocks.front(), self.blocks.back()) else {
            // Everything was safe. Most of it will be again, without being posted again.
            return went_back.then_some(ResetReason::SafeHeadBack);
        };
        if safe.number > newest.id.number {
            return Some(ResetReason::SafeHeadAhead);
        }
        if safe.number.saturating_add(1) < oldest.id.number {
            return Some(ResetReason::SafeHeadBack);
        }
        let replaced = |head: &&L2BlockRef| {
            self.known_hash(head.number).is_some_and(|known| known != head.hash)
        };
        if let Some(head) = [&safe, &status.unsafe_l2].into_iter().find(replaced) {
            return Some(ResetReason::L2Reorg { number: head.number });
        }
        self.closed.iter().find_map(|channel| {
            let complete_at = channel.complete_at()?;
            let last_block = channel.last_block()?;
            (status.current_l1.number > complete_at && last_block > safe.number)
                .then_some(ResetReason::ChannelLost { channel: channel.id, last_block })
        })
    }

    /// The hash that a block of this number must have, if it is one of ours or their parent.
    fn known_hash(&self, number: u64) -> Option<alloy_primitives::B256> {
        let oldest = self.blocks.front()?;
        match number.checked_sub(oldest.id.number) {
            Some(index) => self.blocks.get(usize::try_from(index).ok()?).map(|block| block.id.hash),
            None if number + 1 == oldest.id.number => Some(oldest.batch.parent_hash),
            None => None,
        }
    }

    /// Drops what is safe.
    fn prune(&mut self) {
        let safe = self.safe.number;
        while let Some(block) = self.blocks.pop_front_if(|block| block.id.number <= safe) {
            self.bytes -= block.size;
            self.built = self.built.saturating_sub(1);
        }
        while self.closed.pop_front_if(|channel| channel.last_block() <= Some(safe)).is_some() {}
        if self.open.as_ref().and_then(ChannelBuilder::first_block).is_some_and(|n| n <= safe) {
            self.rebuild_from(self.closed.len());
        }
    }

    /// Gives up the closed channel at `index` and all after it; their blocks go into new ones.
    fn rebuild_from(&mut self, index: usize) {
        let first = match self.closed.get(index) {
            Some(channel) => channel.first_block(),
            None => self.open.as_ref().and_then(ChannelBuilder::first_block),
        };
        self.closed.truncate(index);
        self.open = None;
        if let (Some(first), Some(oldest)) = (first, self.blocks.front()) {
            let built = usize::try_from(first.saturating_sub(oldest.id.number));
            self.built = self.built.min(built.unwrap_or(usize::MAX));
        }
    }

    fn requeue_timed_out(&mut self, l1_head: &L1BlockRef) -> Vec<ChannelId> {
        let timeout = self.rollup.channel_timeout(l1_head.timestamp);
        let margin = self.posting.sub_safety_margin;
        let timed_out =
            |channel: &ClosedChannel| channel.is_timed_out(timeout, margin, l1_head.number);
        let Some(index) = self.closed.iter().position(timed_out) else { return Vec::new() };
        let lost = self.closed.iter().skip(index).filter(|c| timed_out(c)).map(|c| c.id).collect();
        self.rebuild_from(index);
        lost
    }

    /// Appends a block that was read.
    ///
    /// # Errors
    /// When it does not extend the newest one; the state is then empty.
    pub(crate) fn add_block(&mut self, block: PendingBlock) -> Result<(), ResetReason> {
        let newest = self.newest();
        let extends = block.batch.parent_hash == newest.hash;
        if !extends || newest.number.checked_add(1) != Some(block.id.number) {
            self.clear();
            return Err(ResetReason::L2Reorg { number: newest.number });
        }
        self.bytes += block.size;
        self.blocks.push_back(block);
        Ok(())
    }

    /// Whether what is next to be sent may be sent now.
    pub(crate) fn may_send(&self, l1_head: u64) -> Result<(), WaitReason> {
        if l1_head < self.rest_until {
            return Err(WaitReason::Resting { until: self.rest_until });
        }
        let waiting = self.closed.iter().find(|channel| channel.has_unsent_frames());
        let next = match waiting {
            Some(channel) => channel.first_block().map(|n| (n, channel.oldest_origin)),
            None => {
                let block = self.blocks.get(self.closed_blocks());
                block.map(|block| (block.id.number, block.l1_origin.number))
            }
        };
        let Some((block, l1_origin)) = next else { return Ok(()) };
        // The earliest block that can include it is the next one.
        let window_end = l1_origin.saturating_add(self.rollup.seq_window_size);
        if l1_head.saturating_add(1) > window_end {
            return Err(WaitReason::WindowPassed { block, l1_origin, window_end });
        }
        Ok(())
    }

    /// Number of blocks in closed channels.
    fn closed_blocks(&self) -> usize {
        let open = self.open.as_ref().and_then(ChannelBuilder::first_block);
        match (open, self.blocks.front()) {
            (Some(first), Some(oldest)) => {
                usize::try_from(first.saturating_sub(oldest.id.number)).unwrap_or(self.built)
            }
            _ => self.built,
        }
    }

    /// Fills channels with the blocks read, and closes those that are due. Slow when a channel is
    /// closed. `caught_up` says that no more blocks are there to be read: only then is a channel
    /// closed before it is full.
    ///
    /// # Errors
    /// When a block fits no channel, or the compressor fails.
    pub(crate) fn build(
        &mut self,
        l1_head: &L1BlockRef,
        caught_up: bool,
        mut new_id: impl FnMut() -> ChannelId,
    ) -> Result<Vec<Closed>, BuildError> {
        let posting = Arc::clone(&self.posting);
        let window = self.rollup.seq_window_size;
        let mut closed = Vec::new();
        while self.waiting_channels() < MAX_WAITING_CHANNELS
            && let Some(block) = self.blocks.get(self.built)
        {
            let builder = self.open.get_or_insert_with(|| {
                let out = new_channel(new_id(), &self.rollup, &posting, l1_head.timestamp, block);
                ChannelBuilder::new(out, l1_head.number, block)
            });
            let added = builder.add(block, &posting);
            let fits = added.map_err(|error| BuildError { block: Some(block.id), error })?;
            if fits {
                self.built += 1;
            }
            let reason = builder.close_reason(&posting, window, l1_head.number);
            if !fits || reason == Some(CloseReason::Full) {
                closed.extend(self.close(CloseReason::Full)?);
            }
        }
        if let Some(builder) = &mut self.open
            && caught_up
        {
            let due = builder.close_reason(&posting, window, l1_head.number);
            // While a channel waits to be sent, a further one would only be smaller than need be.
            if self.flush {
                closed.extend(self.close(CloseReason::Flush)?);
            } else if let (Some(reason), 0) = (due, self.waiting_channels()) {
                closed.extend(self.close(reason)?);
            }
        }
        self.flush &= !caught_up;
        Ok(closed)
    }

    fn waiting_channels(&self) -> usize {
        self.closed.iter().filter(|channel| channel.has_unsent_frames()).count()
    }

    fn close(&mut self, reason: CloseReason) -> Result<Option<Closed>, BuildError> {
        let Some(builder) = self.open.take() else { return Ok(None) };
        let channel =
            builder.close(&self.posting).map_err(|error| BuildError { block: None, error })?;
        let closed = Closed {
            reason,
            id: channel.id,
            blocks: channel.blocks.len(),
            first: channel.first_block().unwrap_or_default(),
            last: channel.last_block().unwrap_or_default(),
            frames: channel.frame_count(),
            input_bytes: channel.input_bytes,
            output_bytes: channel.output_bytes(),
        };
        self.closed.push_back(channel);
        Ok(Some(closed))
    }

    /// Hands out the next transaction. From Holocene on derivation takes frames and batches in
    /// strict order only, so the order of the calls must be the order on L1.
    pub(crate) fn next_tx(&mut self) -> Option<TxData> {
        let frames_per_tx = self.posting.frames_per_tx();
        let channel = self.closed.iter_mut().find(|channel| channel.has_unsent_frames())?;
        channel.next_tx(frames_per_tx)
    }

    /// L1 confirmed a transaction with so many frames of a channel.
    pub(crate) fn tx_confirmed(
        &mut self,
        channel: ChannelId,
        frames: usize,
        l1_block: u64,
        l1_head: &L1BlockRef,
    ) -> Confirmation {
        let Some(channel) = self.closed.iter_mut().find(|c| c.id == channel) else {
            return Confirmation::Stale;
        };
        channel.confirm(frames, l1_block);
        let complete = channel.is_confirmed();
        if !self.requeue_timed_out(l1_head).is_empty() {
            Confirmation::TimedOut
        } else if complete {
            Confirmation::Complete
        } else {
            Confirmation::Partial
        }
    }

    /// A transaction was given up. Its channel and those after it are built again under new ids: a
    /// frame that is missing makes derivation drop what follows it.
    pub(crate) fn tx_failed(&mut self, channel: ChannelId) {
        if let Some(index) = self.closed.iter().position(|c| c.id == channel) {
            self.rebuild_from(index);
        }
    }
}

/// An empty channel for `first` and its successors. Limit and compression are what derivation
/// accepts: it looks at the time of the L1 block that includes the channel, which can't be before
/// the head's. For span batches it looks at the time of the first block's L1 origin, too.
fn new_channel(
    id: ChannelId,
    rollup: &RollupConfig,
    posting: &Posting,
    l1_time: u64,
    first: &PendingBlock,
) -> ChannelOut {
    let max_rlp_bytes = rollup.max_rlp_bytes_per_channel(l1_time);
    let (compression, level) = posting.compression.at(rollup.is_active(Hardfork::Fjord, l1_time));
    let delta = rollup.is_active(Hardfork::Delta, first.l1_origin_time.min(l1_time));
    let out = if posting.batch_type == BatchType::Span && delta {
        let parent_l1_origin = first.parent_l1_origin;
        ChannelOut::new_span(id, compression, max_rlp_bytes, rollup.into(), parent_l1_origin)
    } else {
        ChannelOut::new(id, compression, max_rlp_bytes)
    };
    out.with_level(level)
}

/// L1 blocks to wait after so many losses in a row: none after the first, which a reorg explains,
/// then 2, 4, 8 and so on.
fn rest_after(losses: u32) -> u64 {
    match losses {
        0 | 1 => 0,
        n => 2u64.saturating_pow(n - 1).min(MAX_REST),
    }
}

//! What the rollup node says, and what the batcher makes of it.

use std::fmt;

use opal_protocol::{ChannelId, L1BlockRef, L2BlockRef};
use serde::Deserialize;

/// The part of `optimism_syncStatus` that the batcher reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct SyncStatus {
    /// L1 block that derivation has read last.
    pub current_l1: L1BlockRef,
    /// Tip of the L1.
    pub head_l1: L1BlockRef,
    /// Tip of the L2.
    pub unsafe_l2: L2BlockRef,
    /// Newest L2 block derived from L1.
    safe_l2: L2BlockRef,
    /// The same before interop's cross-chain checks; absent on older nodes.
    local_safe_l2: Option<L2BlockRef>,
}

impl SyncStatus {
    #[cfg(test)]
    pub(crate) const fn new(
        current_l1: L1BlockRef,
        head_l1: L1BlockRef,
        safe: L2BlockRef,
        unsafe_l2: L2BlockRef,
    ) -> Self {
        Self { current_l1, head_l1, unsafe_l2, safe_l2: safe, local_safe_l2: Some(safe) }
    }

    /// What is on L1: whether other chains agree with it is not the batcher's concern.
    pub(crate) fn safe(&self) -> L2BlockRef {
        self.local_safe_l2.unwrap_or(self.safe_l2)
    }

    /// Whether the node knows its chains: it answers with empty references until then.
    pub(crate) fn is_known(&self) -> bool {
        let hashes = [self.head_l1.hash, self.unsafe_l2.hash, self.safe().hash];
        hashes.iter().all(|hash| !hash.is_zero())
    }
}

/// Why nothing is done at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitReason {
    /// The rollup node does not know L1 or its own heads yet.
    NodeNotReady,
    /// The rollup node still reads L1; what it will find there need not be posted again.
    NodeSyncing { current: u64, target: u64 },
    /// The node's newest block is older than ours: it restarted, or reorganises.
    NodeBehind { unsafe_l2: u64, newest: u64 },
    /// Derivation would drop the batch: it would come after the end of its sequencing window. The
    /// node will put other blocks in the place of these.
    WindowPassed { block: u64, l1_origin: u64, window_end: u64 },
    /// Several channels in a row were lost; whatever the cause, posting on would burn money.
    Resting { until: u64 },
}

impl WaitReason {
    /// Whether the operator should be told loudly.
    pub(crate) const fn is_alarming(&self) -> bool {
        matches!(self, Self::WindowPassed { .. } | Self::Resting { .. })
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeNotReady => write!(f, "the rollup node does not know its chains yet"),
            Self::NodeSyncing { current, target } => {
                write!(f, "the rollup node has read L1 up to block {current} of {target}")
            }
            Self::NodeBehind { unsafe_l2, newest } => {
                write!(f, "the node is at L2 block {unsafe_l2}, but had {newest} before")
            }
            Self::WindowPassed { block, l1_origin, window_end } => write!(
                f,
                "the sequencing window of L2 block {block} (L1 origin {l1_origin}) ended with L1 \
                 block {window_end}: its batch would be dropped, so nothing is posted until the \
                 node has derived other blocks in its place"
            ),
            Self::Resting { until } => write!(
                f,
                "channels were confirmed but did not become safe, several times in a row; next \
                 attempt at L1 block {until}"
            ),
        }
    }
}

/// Why all state was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResetReason {
    /// The safe head is older than it was: L1 reorg, or the node started afresh.
    SafeHeadBack,
    /// The safe head is newer than anything read: another batcher, or an earlier run of this one.
    SafeHeadAhead,
    /// A block that was read is not in the chain any more.
    L2Reorg { number: u64 },
    /// All of a channel is on L1 and derivation has passed it, but its blocks are not safe.
    ChannelLost { channel: ChannelId, last_block: u64 },
}

impl fmt::Display for ResetReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SafeHeadBack => write!(f, "the safe head went back"),
            Self::SafeHeadAhead => write!(f, "the safe head is ahead of all blocks read"),
            Self::L2Reorg { number } => write!(f, "L2 block {number} was replaced"),
            Self::ChannelLost { channel, last_block } => write!(
                f,
                "channel {channel} is on L1, but L2 block {last_block} in it did not become safe"
            ),
        }
    }
}

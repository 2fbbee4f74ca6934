//! What the node knows of both chains, in op-node's JSON shape.

use opal_protocol::{L1BlockRef, L2BlockRef};
use serde::{Deserialize, Serialize};

/// Answer of `optimism_syncStatus`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncStatus {
    /// L1 block that derivation has read last.
    pub current_l1: L1BlockRef,
    /// Kept for clients of older nodes: same as `finalized_l1`.
    pub current_l1_finalized: L1BlockRef,
    /// Tip of the L1.
    pub head_l1: L1BlockRef,
    /// L1's safe block.
    pub safe_l1: L1BlockRef,
    /// L1's finalized block.
    pub finalized_l1: L1BlockRef,
    /// Tip of the L2.
    pub unsafe_l2: L2BlockRef,
    /// Newest L2 block derived from L1.
    pub safe_l2: L2BlockRef,
    /// Newest L2 block derived from finalized L1 blocks.
    pub finalized_l2: L2BlockRef,
    /// Newest block of a span batch that is not complete yet; same as `safe_l2` outside of one.
    pub pending_safe_l2: L2BlockRef,
    /// Same as `unsafe_l2` on a chain without interop.
    pub cross_unsafe_l2: L2BlockRef,
    /// Same as `safe_l2` on a chain without interop.
    pub local_safe_l2: L2BlockRef,
}

//! Blocks and the references by which layers speak of them.

use alloc::sync::Arc;

use alloy_consensus::Header;
use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::TxEnvelope;

/// A block of either layer: header, transactions, and withdrawals where the fork has them.
pub type Block = alloy_consensus::Block<TxEnvelope, Header>;

/// A block with its hash, cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBlock {
    /// Keccak-256 of the RLP-encoded header.
    pub hash: B256,
    /// Header and body.
    pub block: Arc<Block>,
}

impl SealedBlock {
    /// Seals a block by hashing its header.
    pub fn new(block: Block) -> Self {
        Self { hash: block.header.hash_slow(), block: Arc::new(block) }
    }

    /// The block's header.
    pub fn header(&self) -> &Header {
        &self.block.header
    }

    /// Number and hash.
    pub fn id(&self) -> BlockId {
        BlockId { hash: self.hash, number: self.block.header.number }
    }
}

/// Hash and number of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlockId {
    /// Block hash.
    pub hash: B256,
    /// Block number.
    pub number: u64,
}

impl core::fmt::Display for BlockId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}:{}", self.hash, self.number)
    }
}

/// What derivation and the rollup RPC say of an L1 block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct L1BlockRef {
    /// Block hash.
    pub hash: B256,
    /// Block number.
    pub number: u64,
    /// Hash of the parent block.
    pub parent_hash: B256,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
}

impl L1BlockRef {
    /// Number and hash.
    pub const fn id(&self) -> BlockId {
        BlockId { hash: self.hash, number: self.number }
    }

    /// The reference of a header whose hash is known.
    pub const fn from_header(hash: B256, header: &Header) -> Self {
        Self {
            hash,
            number: header.number,
            parent_hash: header.parent_hash,
            timestamp: header.timestamp,
        }
    }
}

/// What derivation and the rollup RPC say of an L2 block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct L2BlockRef {
    /// Block hash.
    pub hash: B256,
    /// Block number.
    pub number: u64,
    /// Hash of the parent block.
    #[serde(rename = "parentHash")]
    pub parent_hash: B256,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// The L1 block that the L2 block belongs to (its epoch).
    #[serde(rename = "l1origin")]
    pub l1_origin: BlockId,
    /// Distance to the first L2 block of the epoch.
    #[serde(rename = "sequenceNumber")]
    pub sequence_number: u64,
}

impl L2BlockRef {
    /// Number and hash.
    pub const fn id(&self) -> BlockId {
        BlockId { hash: self.hash, number: self.number }
    }
}

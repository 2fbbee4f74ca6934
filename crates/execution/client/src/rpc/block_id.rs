//! From a block number, tag or hash to a block.

use std::sync::Arc;

use alloy_consensus::Header;
use alloy_eips::{BlockId, BlockNumberOrTag};
use opal_evm::State;

use super::Rpc;
use super::error::{self, RpcResult};
use crate::chain::{ChainError, StoredBlock};

impl Rpc {
    /// The canonical block that a number or tag names. `pending` is answered with the head: blocks
    /// are built on demand, so there is no block in the making.
    pub(super) fn by_tag(&self, tag: BlockNumberOrTag) -> Option<Arc<StoredBlock>> {
        let chain = &self.chain;
        let hash = match tag {
            BlockNumberOrTag::Number(number) => return chain.stored_by_number(number),
            BlockNumberOrTag::Earliest => chain.genesis().hash,
            BlockNumberOrTag::Latest | BlockNumberOrTag::Pending => chain.head().hash,
            BlockNumberOrTag::Safe => chain.safe().hash,
            BlockNumberOrTag::Finalized => chain.finalized().hash,
        };
        chain.stored(&hash)
    }

    /// The block that a number, tag or hash names.
    pub(super) fn by_id(&self, id: BlockId) -> RpcResult<Arc<StoredBlock>> {
        match id {
            BlockId::Number(tag) => self.by_tag(tag).ok_or_else(error::header_not_found),
            BlockId::Hash(hash) => {
                let stored = self
                    .chain
                    .stored(&hash.block_hash)
                    .ok_or_else(|| error::server("header for hash not found"))?;
                if hash.require_canonical == Some(true)
                    && !self.chain.is_canonical(&hash.block_hash)
                {
                    return Err(error::server("hash is not currently canonical"));
                }
                Ok(stored)
            }
        }
    }

    /// Header and state after a block; the head when none is named.
    pub(super) fn state(&self, id: Option<BlockId>) -> RpcResult<(Arc<StoredBlock>, State)> {
        let stored = self.by_id(id.unwrap_or_default())?;
        match self.chain.state_at(&stored.block.hash) {
            Ok(state) => Ok((stored, state)),
            Err(ChainError::StateUnavailable { .. }) => {
                Err(error::state_unavailable(stored.block.header().state_root))
            }
            Err(other) => Err(error::chain(&other)),
        }
    }

    /// A guess at the block that would be built now.
    pub(super) fn pending_header(&self) -> Header {
        let head = self.chain.head();
        let parent = head.header();
        let pool = self.chain.pool().head();
        Header {
            parent_hash: head.hash,
            number: parent.number.saturating_add(1),
            timestamp: parent.timestamp.saturating_add(1),
            base_fee_per_gas: Some(pool.base_fee),
            logs_bloom: Default::default(),
            gas_used: 0,
            transactions_root: alloy_consensus::constants::EMPTY_ROOT_HASH,
            receipts_root: alloy_consensus::constants::EMPTY_ROOT_HASH,
            nonce: Default::default(),
            ..parent.clone()
        }
    }
}

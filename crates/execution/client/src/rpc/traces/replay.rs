//! Blocks executed once more, from their parents' states.

use alloy_primitives::{Address, B256};
use jsonrpsee::types::ErrorObjectOwned;
use opal_evm::{BlockError, BlockExecutor, BlockInput, TxError};
use opal_protocol::{SealedBlock, TxEnvelope};

use super::limits::Budget;
use crate::chain::{ChainError, StoredBlock};
use crate::rpc::Rpc;
use crate::rpc::error::{self, RpcResult};

/// A block and who sent its transactions.
pub(super) struct Target {
    pub block: SealedBlock,
    pub senders: Vec<Address>,
}

impl From<&StoredBlock> for Target {
    fn from(stored: &StoredBlock) -> Self {
        Self { block: stored.block.clone(), senders: stored.senders.clone() }
    }
}

impl Target {
    /// The transactions with their senders, in order.
    pub fn transactions(&self) -> impl Iterator<Item = (&TxEnvelope, Address)> {
        self.block.block.body.transactions.iter().zip(self.senders.iter().copied())
    }
}

/// A transaction that does not execute in its own block.
pub(super) fn transaction_failed(hash: B256, error: &TxError) -> ErrorObjectOwned {
    error::server(format!("tracing failed: transaction {hash}: {error}"))
}

pub(super) fn block_failed(error: &BlockError) -> ErrorObjectOwned {
    error::server(format!("tracing failed: {error}"))
}

impl Rpc {
    /// The parent's state, and the parent.
    pub(super) fn state_before(
        &self,
        block: &SealedBlock,
    ) -> RpcResult<(SealedBlock, opal_evm::State)> {
        let header = block.header();
        if block.hash == self.chain.genesis().hash {
            return Err(error::server("genesis is not traceable"));
        }
        let parent = self
            .chain
            .block_by_hash(&header.parent_hash)
            .ok_or_else(|| error::server(format!("parent {} not found", header.parent_hash)))?;
        match self.chain.state_at(&parent.hash) {
            Ok(state) => Ok((parent, state)),
            Err(ChainError::StateUnavailable { .. }) => {
                Err(error::state_unavailable(parent.header().state_root))
            }
            Err(other) => Err(error::chain(&other)),
        }
    }

    /// Begins to execute a block on its parent's state and hands the executor on, before the first
    /// transaction.
    pub(super) fn replay<R>(
        &self,
        target: &Target,
        go_on: impl FnOnce(&mut BlockExecutor<'_>) -> RpcResult<R>,
    ) -> RpcResult<R> {
        let (parent, state) = self.state_before(&target.block)?;
        let input = BlockInput::from_block(&target.block.block);
        let hashes = |number| self.chain.ancestor_hash(parent.hash, number);
        let spec = self.chain.spec();
        let mut executor = BlockExecutor::new(spec, (&parent).into(), input, &state, &hashes)
            .map_err(|error| block_failed(&error))?;
        go_on(&mut executor)
    }

    /// Like [`Rpc::replay`], with the first `count` transactions executed.
    pub(super) fn replay_until<R>(
        &self,
        target: &Target,
        count: usize,
        budget: &mut Budget,
        go_on: impl FnOnce(&mut BlockExecutor<'_>, &mut Budget) -> RpcResult<R>,
    ) -> RpcResult<R> {
        self.replay(target, |executor| {
            for (tx, sender) in target.transactions().take(count) {
                budget.check()?;
                executor
                    .transact(tx, sender)
                    .map_err(|error| transaction_failed(tx.tx_hash(), &error))?;
            }
            go_on(executor, budget)
        })
    }
}

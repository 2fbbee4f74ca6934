//! States of blocks: those in memory, and those that are computed again.

use alloy_primitives::B256;
use opal_evm::State;

use super::{Chain, ChainError, StoredBlock};

impl Chain {
    /// State after a block.
    ///
    /// # Errors
    /// When the block is not known or its state was dropped.
    pub fn state_at(&self, hash: &B256) -> Result<State, ChainError> {
        let store = self.read();
        if let Some(state) = store.state(hash) {
            return Ok(state.clone());
        }
        let block = store.block(hash).ok_or(ChainError::UnknownBlock(*hash))?;
        Err(ChainError::StateUnavailable { hash: *hash, number: block.number() })
    }

    /// The state after a block if it need not be computed.
    fn kept_state(&self, block: &StoredBlock) -> Option<State> {
        self.read().state(&block.hash()).cloned()
    }

    /// State after a block, executing again from the nearest kept state if it was dropped.
    pub(crate) fn ensure_state(&self, hash: B256) -> Result<State, ChainError> {
        if let Some(state) = self.read().state(&hash) {
            return Ok(state.clone());
        }
        let block = self.stored(&hash).ok_or_else(|| self.missing(hash))?;
        let state = self.compute_state(&block)?;
        self.write().put_state(&block, state.clone());
        Ok(state)
    }

    /// Why there is no such block: nobody knows it, or the disk does not tell.
    fn missing(&self, hash: B256) -> ChainError {
        self.storage_error().map_or(ChainError::UnknownBlock(hash), ChainError::from)
    }

    fn compute_state(&self, block: &StoredBlock) -> Result<State, ChainError> {
        if let Some(state) = self.kept_state(block) {
            return Ok(state);
        }
        // Hashes alone: the way back may be long.
        let mut replay = vec![block.hash()];
        let mut cursor = block.parent_hash();
        let mut state = loop {
            let block = self.stored(&cursor).ok_or_else(|| self.missing(cursor))?;
            if let Some(state) = self.kept_state(&block) {
                break state;
            }
            cursor = block.parent_hash();
            replay.push(block.hash());
        };
        for hash in replay.into_iter().rev() {
            let block = self.stored(&hash).ok_or_else(|| self.missing(hash))?;
            let executed =
                self.execute(block.parent_hash(), &block.block.block, &block.senders, &state)?;
            state = executed.state;
        }
        Ok(state)
    }
}

//! States of blocks: those in memory, those on the disk, and those that are computed again.

use std::sync::{Arc, PoisonError};

use alloy_primitives::B256;
use opal_evm::State;

use super::{Chain, ChainError, StoredBlock};

/// Computed states that are kept for further queries.
const KEPT: usize = 16;

impl Chain {
    /// State after a block. One that is neither in memory nor on the disk, but within the history
    /// of a chain on disk, is computed from the nearest one before it.
    ///
    /// # Errors
    /// When the block is not known, or its state is not kept.
    pub fn state_at(&self, hash: &B256) -> Result<State, ChainError> {
        if let Some(state) = self.read().state(hash) {
            return Ok(state.clone());
        }
        let block = self.stored(hash).ok_or_else(|| self.missing(*hash))?;
        let number = block.number();
        let disk = self.durable.as_ref().map(|durable| durable.disk());
        if disk.is_none_or(|disk| disk.state_before(number).is_none()) {
            return Err(ChainError::StateUnavailable { hash: *hash, number });
        }
        // One at a time: computing takes as long as executing some dozens of blocks.
        let mut computed = self.computed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, state)) = computed.iter().find(|(known, _)| known == hash) {
            return Ok(state.clone());
        }
        let state = self.compute_state(&block)?;
        if computed.len() >= KEPT {
            computed.pop_front();
        }
        computed.push_back((*hash, state.clone()));
        Ok(state)
    }

    /// The state after a block if it need not be computed.
    fn kept_state(&self, block: &StoredBlock) -> Result<Option<State>, ChainError> {
        if let Some(state) = self.read().state(&block.hash()) {
            return Ok(Some(state.clone()));
        }
        let Some(durable) = &self.durable else { return Ok(None) };
        // A state is what its root says, whichever of two forks the block is on.
        Ok(durable.disk().state(block.number(), &block.block.header().state_root)?)
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

    fn compute_state(&self, block: &Arc<StoredBlock>) -> Result<State, ChainError> {
        // Hashes alone: the way back may be long.
        let mut replay = Vec::new();
        let mut cursor = block.clone();
        let mut state = loop {
            if let Some(state) = self.kept_state(&cursor)? {
                break state;
            }
            // No state that could be gone on from: not even its place is looked for.
            if self
                .durable
                .as_ref()
                .is_some_and(|durable| durable.disk().state_before(cursor.number()).is_none())
            {
                let (hash, number) = (block.hash(), block.number());
                return Err(ChainError::StateUnavailable { hash, number });
            }
            replay.push(cursor.hash());
            let parent = cursor.parent_hash();
            cursor = self.stored(&parent).ok_or_else(|| self.missing(parent))?;
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

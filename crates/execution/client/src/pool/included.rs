//! Transactions that were included and would come back incomplete after a reorg, since blocks hold
//! neither blobs nor conditions.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use alloy_primitives::B256;

use super::PooledTransaction;

/// Bytes of such transactions that are kept, blobs not counted.
const MAX_MEMORY: usize = 16 << 20;

/// The newest of these transactions.
#[derive(Debug, Default)]
pub(super) struct Included {
    order: VecDeque<B256>,
    kept: HashMap<B256, Arc<PooledTransaction>>,
    blobs: usize,
    memory: usize,
}

impl Included {
    pub fn get(&self, hash: &B256) -> Option<&Arc<PooledTransaction>> {
        self.kept.get(hash)
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<PooledTransaction>> {
        self.kept.values()
    }

    /// Keeps a transaction if it has blobs or a condition; the oldest make room.
    pub fn insert(&mut self, tx: Arc<PooledTransaction>, max_blobs: usize) {
        if tx.sidecar().is_none() && tx.condition().is_none() {
            return;
        }
        let (hash, blobs, memory) = (tx.hash(), tx.blob_count(), tx.memory());
        // A transaction that a reorg brought back may be included again.
        if self.kept.insert(hash, tx).is_none() {
            self.order.push_back(hash);
            self.blobs += blobs;
            self.memory += memory;
        }
        while self.blobs > max_blobs || self.memory > MAX_MEMORY {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(tx) = self.kept.remove(&oldest) {
                self.blobs = self.blobs.saturating_sub(tx.blob_count());
                self.memory = self.memory.saturating_sub(tx.memory());
            }
        }
    }
}

//! Blocks that were read from the disk lately.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::chain::StoredBlock;

/// The blocks used last, up to a number of bytes.
#[derive(Debug)]
pub(crate) struct BlockCache {
    blocks: HashMap<u64, Cached>,
    /// Block numbers by when they were used.
    used: BTreeMap<u64, u64>,
    clock: u64,
    bytes: u64,
    max_bytes: u64,
}

#[derive(Debug)]
struct Cached {
    block: Arc<StoredBlock>,
    bytes: u64,
    used: u64,
}

impl BlockCache {
    pub fn new(max_bytes: u64) -> Self {
        Self { blocks: HashMap::new(), used: BTreeMap::new(), clock: 0, bytes: 0, max_bytes }
    }

    pub fn get(&mut self, number: u64) -> Option<Arc<StoredBlock>> {
        let cached = self.blocks.get_mut(&number)?;
        self.clock += 1;
        self.used.remove(&cached.used);
        cached.used = self.clock;
        self.used.insert(self.clock, number);
        Some(cached.block.clone())
    }

    pub fn insert(&mut self, block: Arc<StoredBlock>, bytes: u64) {
        let number = block.number();
        self.clock += 1;
        let cached = Cached { block, bytes, used: self.clock };
        if let Some(old) = self.blocks.insert(number, cached) {
            self.used.remove(&old.used);
            self.bytes -= old.bytes;
        }
        self.used.insert(self.clock, number);
        self.bytes += bytes;
        while self.bytes > self.max_bytes {
            let Some((_, oldest)) = self.used.pop_first() else { break };
            if let Some(old) = self.blocks.remove(&oldest) {
                self.bytes -= old.bytes;
            }
        }
    }

    pub fn clear(&mut self) {
        *self = Self::new(self.max_bytes);
    }
}

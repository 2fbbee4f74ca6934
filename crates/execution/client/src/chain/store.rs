//! What the chain remembers: blocks by hash, the canonical chain, and states of recent blocks.
//!
//! ```text
//!   blocks by hash ──┬── canonical[number] ── genesis … finalized … safe … head
//!                    └── forks (until finality passes their height)
//!   states: head − window … head, and those of genesis, safe and finalized
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use alloy_primitives::{Address, B256};
use opal_evm::{L1FeeParams, State};
use opal_protocol::{Receipt, SealedBlock};

use super::ChainConfig;

/// A block with what its execution gave.
#[derive(Debug)]
pub struct StoredBlock {
    /// The block.
    pub block: SealedBlock,
    /// One receipt per transaction.
    pub receipts: Vec<Receipt>,
    /// One sender per transaction.
    pub senders: Vec<Address>,
    /// Storage root of the message passer after the block; `None` on L1.
    pub withdrawals_storage_root: Option<B256>,
    /// Fee parameters that the block's transactions paid by; `None` on L1.
    pub l1_fee: Option<L1FeeParams>,
}

impl StoredBlock {
    /// Block number.
    pub fn number(&self) -> u64 {
        self.block.header().number
    }
}

/// How the canonical chain changed.
#[derive(Debug, Default)]
pub(crate) struct Transition {
    /// Blocks that left, newest first.
    pub removed: Vec<Arc<StoredBlock>>,
    /// Blocks that came, oldest first.
    pub added: Vec<Arc<StoredBlock>>,
}

/// The three labels of the Engine API.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Labels {
    pub head: B256,
    pub safe: B256,
    pub finalized: B256,
}

#[derive(Debug)]
pub(crate) struct Store {
    blocks: HashMap<B256, Arc<StoredBlock>>,
    by_number: BTreeMap<u64, Vec<B256>>,
    states: HashMap<B256, State>,
    /// Hash by height above genesis.
    canonical: Vec<B256>,
    genesis_number: u64,
    transactions: HashMap<B256, (B256, u32)>,
    pub labels: Labels,
    state_window: u64,
    max_states: u64,
    max_fork_blocks: usize,
}

impl Store {
    pub fn new(genesis: StoredBlock, state: State, config: &ChainConfig) -> Self {
        let (hash, number) = (genesis.block.hash, genesis.number());
        Self {
            blocks: HashMap::from([(hash, Arc::new(genesis))]),
            by_number: BTreeMap::from([(number, vec![hash])]),
            states: HashMap::from([(hash, state)]),
            canonical: vec![hash],
            genesis_number: number,
            transactions: HashMap::new(),
            labels: Labels { head: hash, safe: hash, finalized: hash },
            state_window: config.state_window,
            max_states: config.max_states,
            max_fork_blocks: config.max_fork_blocks,
        }
    }

    pub fn block(&self, hash: &B256) -> Option<&Arc<StoredBlock>> {
        self.blocks.get(hash)
    }

    pub fn state(&self, hash: &B256) -> Option<&State> {
        self.states.get(hash)
    }

    pub fn canonical_hash(&self, number: u64) -> Option<B256> {
        let height = usize::try_from(number.checked_sub(self.genesis_number)?).ok()?;
        self.canonical.get(height).copied()
    }

    pub fn is_canonical(&self, block: &StoredBlock) -> bool {
        self.canonical_hash(block.number()) == Some(block.block.hash)
    }

    pub fn transaction(&self, hash: &B256) -> Option<(&Arc<StoredBlock>, usize)> {
        let (block, index) = self.transactions.get(hash)?;
        Some((self.blocks.get(block)?, *index as usize))
    }

    /// Hash of the ancestor of `from` (itself included) at this height.
    pub fn ancestor(&self, from: B256, number: u64) -> Option<B256> {
        let mut block = self.blocks.get(&from)?;
        loop {
            if block.number() == number {
                return Some(block.block.hash);
            }
            if block.number() < number {
                return None;
            }
            if self.is_canonical(block) {
                return self.canonical_hash(number);
            }
            block = self.blocks.get(&block.block.header().parent_hash)?;
        }
    }

    pub fn is_ancestor(&self, ancestor: &B256, of: B256) -> bool {
        self.blocks
            .get(ancestor)
            .is_some_and(|block| self.ancestor(of, block.number()) == Some(*ancestor))
    }

    /// Keeps a state that was computed again.
    pub fn put_state(&mut self, hash: B256, state: State) {
        if self.blocks.contains_key(&hash) {
            self.states.insert(hash, state);
        }
    }

    pub fn insert(&mut self, block: StoredBlock, state: State) {
        let (hash, number) = (block.block.hash, block.number());
        if self.blocks.insert(hash, Arc::new(block)).is_none() {
            self.by_number.entry(number).or_default().push(hash);
        }
        self.states.insert(hash, state);
        self.bound_forks();
    }

    /// Makes `head` the end of the canonical chain. `None` when the block, or an ancestor of it,
    /// is not known.
    pub fn set_head(&mut self, head: B256) -> Option<Transition> {
        let mut added = Vec::new();
        let mut cursor = self.blocks.get(&head)?.clone();
        while !self.is_canonical(&cursor) {
            let parent = self.blocks.get(&cursor.block.header().parent_hash)?.clone();
            added.push(cursor);
            cursor = parent;
        }
        added.reverse();
        let keep = usize::try_from(cursor.number().checked_sub(self.genesis_number)?).ok()? + 1;
        let removed: Vec<_> = self
            .canonical
            .drain(keep..)
            .rev()
            .filter_map(|hash| self.blocks.get(&hash).cloned())
            .collect();
        for block in &removed {
            for tx in &block.block.block.body.transactions {
                self.transactions.remove(&tx.tx_hash());
            }
        }
        for block in &added {
            let hash = block.block.hash;
            self.canonical.push(hash);
            for (i, tx) in block.block.block.body.transactions.iter().enumerate() {
                self.transactions.insert(tx.tx_hash(), (hash, i as u32));
            }
        }
        self.labels.head = head;
        // A label that is no longer on the chain falls back to the last common block.
        let common = cursor.block.hash;
        for label in [self.labels.safe, self.labels.finalized] {
            if self.is_ancestor(&label, head) {
                continue;
            }
            if self.labels.safe == label {
                self.labels.safe = common;
            }
            if self.labels.finalized == label {
                self.labels.finalized = common;
            }
        }
        Some(Transition { removed, added })
    }

    /// Drops forks that finality has passed, and states beyond the window.
    pub fn prune(&mut self) {
        let finalized = self.blocks.get(&self.labels.finalized).map_or(0, |block| block.number());
        let stale: Vec<B256> =
            self.by_number.range(..=finalized).flat_map(|(_, hashes)| hashes).copied().collect();
        for hash in stale {
            self.drop_if_fork(hash);
        }
        // Heights at or below finality hold one block now; nothing there can become a fork again.
        self.by_number = self.by_number.split_off(&finalized.saturating_add(1));
        self.prune_states();
    }

    fn prune_states(&mut self) {
        let number = |hash: &B256| self.blocks.get(hash).map_or(0, |block| block.number());
        let Labels { head, safe, finalized } = self.labels;
        let oldest = number(&head)
            .saturating_sub(self.state_window)
            .min(number(&finalized))
            .max(number(&head).saturating_sub(self.max_states));
        let genesis = self.canonical.first().copied();
        let blocks = &self.blocks;
        self.states.retain(|hash, _| {
            [head, safe, finalized].contains(hash)
                || genesis == Some(*hash)
                || blocks.get(hash).is_some_and(|block| block.number() >= oldest)
        });
    }

    fn drop_if_fork(&mut self, hash: B256) {
        if self.blocks.get(&hash).is_some_and(|block| !self.is_canonical(block)) {
            self.blocks.remove(&hash);
            self.states.remove(&hash);
        }
    }

    /// Blocks outside the canonical chain are bounded even if nothing is ever finalized: the
    /// lowest go first.
    fn bound_forks(&mut self) {
        while self.blocks.len() > self.canonical.len() + self.max_fork_blocks {
            let lowest = self.by_number.iter().find_map(|(number, hashes)| {
                let fork = hashes.iter().find(|hash| self.canonical_hash(*number) != Some(**hash));
                fork.map(|hash| (*number, *hash))
            });
            let Some((number, hash)) = lowest else { return };
            self.drop_if_fork(hash);
            if let Some(hashes) = self.by_number.get_mut(&number) {
                hashes.retain(|h| *h != hash);
            }
        }
    }
}

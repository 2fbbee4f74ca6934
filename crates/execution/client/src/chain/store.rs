//! What the chain holds in memory: blocks that are not flushed or were flushed lately, the
//! canonical chain over them, and states of recent blocks.
//!
//! ```text
//!   disk: genesis … ───────────────┐ flushed
//!   canonical in memory:      base ┴──────────── finalized … safe … head
//!   forks: blocks by hash, until finality passes their height
//!   states: head − window … head, and those of genesis, safe and finalized block
//! ```
//! A chain without a disk has its base at genesis and holds everything.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use alloy_primitives::{Address, B256, Bloom};
use opal_evm::{L1FeeParams, State};
use opal_protocol::{Receipt, SealedBlock};

use super::ChainConfig;
use crate::disk::{Disk, DiskError};

/// States behind the head that a chain on the disk keeps at hand, at most: each holds on to what of
/// the trie has changed since.
const DURABLE_STATES: u64 = 64;

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

    pub(crate) fn hash(&self) -> B256 {
        self.block.hash
    }

    pub(crate) fn parent_hash(&self) -> B256 {
        self.block.header().parent_hash
    }
}

/// How the canonical chain changes.
#[derive(Debug)]
pub(crate) struct Transition {
    /// The last block that stays.
    pub common: Arc<StoredBlock>,
    /// Blocks that leave, newest first.
    pub removed: Vec<Arc<StoredBlock>>,
    /// Blocks that come, oldest first.
    pub added: Vec<Arc<StoredBlock>>,
}

impl Transition {
    /// The end of the chain after it.
    pub fn head(&self) -> &Arc<StoredBlock> {
        self.added.last().unwrap_or(&self.common)
    }

    /// Whether the blocks that leave are all here, so that they can stay as a fork.
    pub fn keeps_removed(&self) -> bool {
        let next = self.common.number().saturating_add(1);
        self.removed.last().is_none_or(|oldest| oldest.number() == next)
    }
}

/// The three labels of the Engine API.
#[derive(Clone, Debug)]
pub(crate) struct Labels {
    pub head: Arc<StoredBlock>,
    pub safe: Arc<StoredBlock>,
    pub finalized: Arc<StoredBlock>,
}

#[derive(Debug)]
pub(crate) struct Store {
    genesis: Arc<StoredBlock>,
    blocks: HashMap<B256, Arc<StoredBlock>>,
    /// Hashes above the finalized height, to find forks by.
    by_number: BTreeMap<u64, Vec<B256>>,
    /// States with the numbers of their blocks.
    states: HashMap<B256, (u64, State)>,
    /// Hashes by height above `base`.
    canonical: VecDeque<B256>,
    base: u64,
    transactions: HashMap<B256, (B256, u32)>,
    pub labels: Labels,
    disk: Option<Arc<Disk>>,
    state_window: u64,
    max_states: u64,
    max_fork_blocks: usize,
    memory_blocks: u64,
}

impl Store {
    pub fn new(
        genesis: StoredBlock,
        state: State,
        config: &ChainConfig,
        disk: Option<Arc<Disk>>,
    ) -> Self {
        let genesis = Arc::new(genesis);
        let (hash, number) = (genesis.hash(), genesis.number());
        let label = || genesis.clone();
        Self {
            blocks: HashMap::from([(hash, label())]),
            by_number: BTreeMap::from([(number, vec![hash])]),
            states: HashMap::from([(hash, (number, state))]),
            canonical: VecDeque::from([hash]),
            base: number,
            transactions: HashMap::new(),
            labels: Labels { head: label(), safe: label(), finalized: label() },
            disk,
            state_window: config.state_window,
            max_states: config.max_states,
            max_fork_blocks: config.max_fork_blocks,
            memory_blocks: config.memory_blocks,
            genesis,
        }
    }

    /// Puts a state on the disk in the place of genesis' state, or nothing if it is kept no more.
    pub fn replace_genesis_state(&mut self, state: Option<State>) {
        match state {
            Some(state) => self.put_state(&self.genesis.clone(), state),
            None => drop(self.states.remove(&self.genesis.hash())),
        }
    }

    /// Makes the last flushed block the head of a store that is new.
    pub fn resume(&mut self, head: Arc<StoredBlock>) {
        self.base = head.number().saturating_add(1);
        self.canonical.clear();
        self.labels = Labels { head: head.clone(), safe: head.clone(), finalized: head };
    }

    /// What the disk answers. A disk that fails to answer is trusted no more: the chain goes on
    /// reading, and promises nothing.
    fn on_disk<T>(&self, read: impl FnOnce(&Disk) -> Result<Option<T>, DiskError>) -> Option<T> {
        let disk = self.disk.as_deref()?;
        read(disk).unwrap_or_else(|error| {
            tracing::error!(target: "opal::execution", %error, "cannot read the chain's data");
            disk.fail(&error);
            None
        })
    }

    pub fn block(&self, hash: &B256) -> Option<Arc<StoredBlock>> {
        let labels = [&self.labels.head, &self.labels.safe, &self.labels.finalized];
        if let Some(block) = self.blocks.get(hash) {
            return Some(block.clone());
        }
        if let Some(block) = labels.into_iter().find(|block| block.hash() == *hash) {
            return Some(block.clone());
        }
        self.on_disk(|disk| match disk.number(hash)? {
            Some(number) => disk.block(number),
            None => Ok(None),
        })
        .filter(|block| block.hash() == *hash)
    }

    /// Whether a block is known, at little cost.
    pub fn contains(&self, hash: &B256) -> bool {
        self.blocks.contains_key(hash) || self.on_disk(|disk| disk.number(hash)).is_some()
    }

    pub fn block_by_number(&self, number: u64) -> Option<Arc<StoredBlock>> {
        if number < self.base && number != self.genesis.number() {
            return self.on_disk(|disk| disk.block(number));
        }
        self.block(&self.canonical_hash(number)?)
    }

    /// Blooms of the canonical blocks from `from` on, up to `to`, as many as lie in one place: on
    /// the disk or in memory. None when there is no block `from`.
    pub fn logs_blooms(&self, from: u64, to: u64) -> Vec<Bloom> {
        let genesis = self.genesis.number();
        if from < self.base && from != genesis {
            let to = to.min(self.base - 1);
            return self.on_disk(|disk| disk.blooms(from, to).map(Some)).unwrap_or_default();
        }
        // Genesis is in memory, but not what follows it.
        let to = if from < self.base { from } else { to };
        let blocks = (from..=to).map_while(|number| self.block_by_number(number));
        blocks.map(|block| block.block.header().logs_bloom).collect()
    }

    pub fn state(&self, hash: &B256) -> Option<&State> {
        self.states.get(hash).map(|(_, state)| state)
    }

    pub fn canonical_hash(&self, number: u64) -> Option<B256> {
        if number == self.genesis.number() {
            return Some(self.genesis.hash());
        }
        match number.checked_sub(self.base) {
            Some(height) => self.canonical.get(usize::try_from(height).ok()?).copied(),
            None => self.on_disk(|disk| disk.hash(number)),
        }
    }

    pub fn is_canonical(&self, block: &StoredBlock) -> bool {
        self.canonical_hash(block.number()) == Some(block.hash())
    }

    pub fn transaction(&self, hash: &B256) -> Option<(Arc<StoredBlock>, usize)> {
        let found = match self.transactions.get(hash) {
            Some((block, index)) => Some((self.block(block)?, *index as usize)),
            None => self.on_disk(|disk| disk.transaction(hash)),
        };
        // Of a block that has left the chain the disk may still speak until the next flush, and
        // memory if too many left at once.
        found.filter(|(block, _)| self.is_canonical(block))
    }

    /// Hash of the ancestor of `from` (itself included) at this height.
    pub fn ancestor(&self, from: B256, number: u64) -> Option<B256> {
        let mut block = self.block(&from)?;
        loop {
            if block.number() == number {
                return Some(block.hash());
            }
            if block.number() < number {
                return None;
            }
            if self.is_canonical(&block) {
                return self.canonical_hash(number);
            }
            block = self.block(&block.parent_hash())?;
        }
    }

    pub fn is_ancestor(&self, ancestor: &B256, of: B256) -> bool {
        self.block(ancestor)
            .is_some_and(|block| self.ancestor(of, block.number()) == Some(*ancestor))
    }

    /// Keeps a state that was computed again.
    pub fn put_state(&mut self, block: &StoredBlock, state: State) {
        self.states.insert(block.hash(), (block.number(), state));
    }

    pub fn insert(&mut self, block: StoredBlock, state: State) {
        self.put_state(&block, state);
        self.insert_block(Arc::new(block));
        self.bound_forks();
    }

    fn insert_block(&mut self, block: Arc<StoredBlock>) {
        let (hash, number) = (block.hash(), block.number());
        if self.blocks.insert(hash, block).is_none() {
            self.by_number.entry(number).or_default().push(hash);
        }
    }

    /// What changes when `head` becomes the end of the canonical chain. `None` when the block, or
    /// an ancestor of it, is not known.
    pub fn plan(&self, head: B256) -> Option<Transition> {
        let mut added = Vec::new();
        let mut cursor = self.block(&head)?;
        while !self.is_canonical(&cursor) {
            let parent = self.block(&cursor.parent_hash())?;
            added.push(cursor);
            cursor = parent;
        }
        added.reverse();
        // More than can be kept as a fork is not even read.
        let oldest = self.labels.head.number().saturating_sub(self.max_fork_blocks as u64);
        let removed = (cursor.number().max(oldest)..self.labels.head.number()).rev();
        let removed = removed.filter_map(|number| self.block_by_number(number + 1)).collect();
        Some(Transition { common: cursor, removed, added })
    }

    /// Changes the canonical chain. Blocks that leave stay as a fork, unless they are too many.
    pub fn apply(&mut self, change: &Transition) {
        for block in &change.removed {
            for tx in &block.block.block.body.transactions {
                self.transactions.remove(&tx.tx_hash());
            }
        }
        let next = change.common.number().saturating_add(1);
        let complete = change.keeps_removed();
        for block in &change.removed {
            if complete {
                self.insert_block(block.clone());
            } else {
                self.forget(&block.hash());
            }
        }
        match next.checked_sub(self.base) {
            Some(keep) => self.canonical.truncate(keep as usize),
            None => {
                self.canonical.clear();
                self.base = next;
            }
        }
        for block in &change.added {
            let hash = block.hash();
            self.canonical.push_back(hash);
            for (i, tx) in block.block.block.body.transactions.iter().enumerate() {
                self.transactions.insert(tx.tx_hash(), (hash, i as u32));
            }
        }
        self.labels.head = change.head().clone();
        // A label that is no longer on the chain falls back to the last common block.
        if !self.is_canonical(&self.labels.safe) {
            self.labels.safe = change.common.clone();
        }
        if !self.is_canonical(&self.labels.finalized) {
            self.labels.finalized = change.common.clone();
        }
        self.bound_forks();
    }

    /// Blocks that the journal must hold when the disk has the canonical blocks before number
    /// `next`: all others that are known, parents first. Those in `more` may not be known yet.
    pub fn unflushed(&self, next: u64, more: &[Arc<StoredBlock>]) -> Vec<Arc<StoredBlock>> {
        let on_disk = |block: &StoredBlock| block.number() < next && self.is_canonical(block);
        let mut blocks: Vec<_> =
            self.blocks.values().filter(|block| !on_disk(block)).cloned().collect();
        blocks.extend(more.iter().filter(|b| !self.blocks.contains_key(&b.hash())).cloned());
        blocks.sort_unstable_by_key(|block| block.number());
        blocks
    }

    /// Canonical blocks from this number on, all of which must be in memory.
    pub fn canonical_from(&self, number: u64) -> Vec<Arc<StoredBlock>> {
        let skip = number.saturating_sub(self.base) as usize;
        let hashes = self.canonical.iter().skip(skip);
        hashes.filter_map(|hash| self.blocks.get(hash).cloned()).collect()
    }

    /// Lets go of canonical blocks that the disk has, except the newest ones.
    pub fn release_flushed(&mut self) {
        let Some(disk) = &self.disk else { return };
        let keep_from = self.labels.head.number().saturating_sub(self.memory_blocks);
        let until = disk.next().min(keep_from);
        while self.base < until {
            let Some(hash) = self.canonical.pop_front() else { break };
            self.base += 1;
            if hash == self.genesis.hash() {
                continue;
            }
            if let Some(block) = self.blocks.get(&hash) {
                for tx in &block.block.block.body.transactions {
                    self.transactions.remove(&tx.tx_hash());
                }
            }
            self.forget(&hash);
        }
    }

    fn forget(&mut self, hash: &B256) {
        let Some(block) = self.blocks.remove(hash) else { return };
        if let Some(hashes) = self.by_number.get_mut(&block.number()) {
            hashes.retain(|other| other != hash);
            if hashes.is_empty() {
                self.by_number.remove(&block.number());
            }
        }
    }

    /// Drops forks that finality has passed, and states beyond the window.
    pub fn prune(&mut self) {
        let finalized = self.labels.finalized.number();
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
        let Labels { head, safe, finalized } = &self.labels;
        if self.disk.is_some() {
            // What is older is on the disk, or executed again from there.
            let window = self.state_window.min(DURABLE_STATES);
            let oldest = head.number().saturating_sub(window);
            self.states.retain(|hash, (number, _)| *number >= oldest || *hash == head.hash());
            return;
        }
        let oldest = head
            .number()
            .saturating_sub(self.state_window)
            .min(finalized.number())
            .max(head.number().saturating_sub(self.max_states));
        let keep = [head.hash(), safe.hash(), finalized.hash(), self.genesis.hash()];
        self.states.retain(|hash, (number, _)| *number >= oldest || keep.contains(hash));
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

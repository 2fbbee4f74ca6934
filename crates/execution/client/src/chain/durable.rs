//! The chain on the disk: opening it again, what is written when, and flushes.
//!
//! ```text
//!   import ── block record ─────────────┐                       synced before VALID, except blocks
//!   forkchoice ── label record ─────────┴─► journal             built here: with their forkchoice
//!        │
//!        └─ enough blocks? ──► flush thread: state, blocks, index ─► sync ─► new journal ─► memory
//!   reorg below the flushed block ─► new journal with fewer flushed blocks, the others as forks
//! ```

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use alloy_genesis::Genesis;
use opal_evm::{ChainSpec, State};
use opal_protocol::SealedBlock;

use super::store::Labels;
use super::{Chain, ChainConfig, ChainError, StoredBlock, Transition};
use crate::disk::database::below_finalized;
use crate::disk::{BlockRecord, Disk, DiskError, Forkchoice, Identity, Record, Recovered};
use crate::rules;
use crate::state_store::StateStoreOptions;

/// Of which blocks the states are kept. States back to the finalized block always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// Of those that are at most so many seconds older than the head.
    Seconds(u64),
    /// Of so many behind the head.
    Blocks(u64),
    /// Of all.
    All,
}

/// What is kept if nothing else is said: a week, in which an output can be challenged.
pub const DEFAULT_HISTORY: History = History::Seconds(7 * 24 * 60 * 60);

/// How a chain is stored.
#[derive(Clone, Debug)]
pub struct StorageConfig {
    /// The chain's directory, which is made if it is not there.
    pub dir: PathBuf,
    /// Canonical blocks after which a flush begins (default 64). A restart executes about as many.
    pub flush_blocks: u64,
    /// Bytes of the journal after which a flush begins, however few blocks it holds (default
    /// 64 MiB).
    pub flush_bytes: u64,
    /// Which states can be had, at least (default [`DEFAULT_HISTORY`]). Blocks and receipts are
    /// always kept.
    pub history: History,
    /// Bytes of the state that stay in memory, about (default 512 MiB).
    pub state_memory: u64,
    /// Blocks that may wait for a flush before changes of the chain do (default 1024).
    pub max_unflushed: u64,
}

impl StorageConfig {
    /// The defaults in a directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            flush_blocks: 64,
            flush_bytes: 64 << 20,
            history: DEFAULT_HISTORY,
            state_memory: 512 << 20,
            max_unflushed: 1024,
        }
    }
}

/// A chain's disk and the flush that may be under way.
#[derive(Debug)]
pub(crate) struct Durable {
    disk: Arc<Disk>,
    config: StorageConfig,
    flush: Mutex<Flush>,
    flush_ended: Condvar,
}

#[derive(Debug, Default)]
struct Flush {
    running: bool,
    /// The thread of the newest flush.
    thread: Option<JoinHandle<()>>,
    /// Canonical blocks that are not on the disk.
    behind: u64,
}

impl Durable {
    pub fn disk(&self) -> &Arc<Disk> {
        &self.disk
    }

    fn flush(&self) -> MutexGuard<'_, Flush> {
        self.flush.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while too many blocks wait for a flush that is under way.
    pub fn wait_for_room(&self) {
        self.wait(|flush| flush.running && flush.behind >= self.config.max_unflushed);
    }

    fn wait(&self, while_true: impl Fn(&Flush) -> bool) {
        let flush = self.flush();
        let _ended = self
            .flush_ended
            .wait_while(flush, |flush| while_true(flush))
            .unwrap_or_else(PoisonError::into_inner);
    }
}

impl Chain {
    /// A chain in a directory, which goes on where it was. In a new directory it begins at genesis.
    ///
    /// # Errors
    /// When the genesis describes no chain, or the directory cannot be used: it is another chain's,
    /// open in another process, damaged, or not writable.
    pub fn open(
        spec: ChainSpec,
        genesis: &Genesis,
        config: ChainConfig,
        storage: StorageConfig,
    ) -> Result<Arc<Self>, ChainError> {
        let (chain, recovered) = Self::build(spec, genesis, config, |spec, genesis, state| {
            let identity = Identity { chain_id: spec.chain_id, genesis: genesis.hash };
            let options = StateStoreOptions {
                memory: storage.state_memory,
                archive: storage.history == History::All,
                ..Default::default()
            };
            let genesis = (genesis.header().number, state);
            let (disk, recovered) = Disk::open(&storage.dir, identity, genesis, options)?;
            let durable = Durable {
                disk: Arc::new(disk),
                config: storage,
                flush: Mutex::default(),
                flush_ended: Condvar::new(),
            };
            Ok(Some((durable, recovered)))
        })?;
        match chain.recover(recovered) {
            Ok(()) => Ok(chain),
            // What could not be read comes before what was missed for it.
            Err(error) => Err(chain.storage_error().map_or(error, ChainError::from)),
        }
    }

    /// Brings back what the journal holds: executes its blocks on the last flushed state and sets
    /// the labels.
    fn recover(&self, recovered: Recovered) -> Result<(), ChainError> {
        let Some(durable) = &self.durable else { return Ok(()) };
        let disk = durable.disk();
        let genesis = self.genesis.header();
        let state = disk.state(genesis.number, &genesis.state_root)?;
        self.write().replace_genesis_state(state);
        if let Some(last) = disk.next().checked_sub(1).filter(|last| *last >= disk.first()) {
            let block = disk.block(last)?.ok_or_else(|| disk.inconsistent("the last block"))?;
            self.write().resume(block);
        }
        let count = recovered.blocks.len();
        for BlockRecord { block, senders } in recovered.blocks {
            let parent = block.header().parent_hash;
            if !self.read().contains(&parent) {
                // The beginning of its fork was dropped when there were too many.
                continue;
            }
            let state = self.ensure_state(parent)?;
            let executed = self.execute(parent, &block.block, &senders, &state);
            let executed = executed.map_err(|error| match error {
                ChainError::InvalidBlock(error) => {
                    let what = format!("block {} cannot be executed again: {error}", block.id());
                    disk.inconsistent(&what).into()
                }
                error => error,
            })?;
            let (stored, state) = self.stored_block(executed, senders)?;
            self.write().insert(stored, state);
        }
        if let Some(labels) = recovered.forkchoice {
            let label = |name: &str, hash| {
                self.stored(&hash)
                    .ok_or_else(|| disk.inconsistent(&format!("the {name} block {hash}")))
            };
            let safe = label("safe", labels.safe)?;
            let finalized = label("finalized", labels.finalized)?;
            let mut store = self.write();
            let change = store.plan(labels.head);
            let change =
                change.ok_or_else(|| disk.inconsistent(&format!("the head {}", labels.head)))?;
            store.apply(&change);
            (store.labels.safe, store.labels.finalized) = (safe, finalized);
        }
        let head = self.head();
        let state = self.ensure_state(head.hash)?;
        self.write().prune();
        let pool_head = rules::pool_head(&self.spec, &head, state).map_err(ChainError::State)?;
        self.pool.set_head(pool_head, &[], Vec::new());
        durable.flush().behind = behind(disk, head.header().number);
        tracing::info!(target: "opal::execution", path = %disk.path().display(),
            head = head.header().number, flushed = disk.next().saturating_sub(1),
            executed = count, safe = self.safe().header().number,
            finalized = self.finalized().header().number, "chain opened");
        Ok(())
    }

    /// Why the storage is not to be used any more, if it has failed. Nothing mends it but a restart.
    pub fn storage_error(&self) -> Option<DiskError> {
        self.durable.as_ref()?.disk.usable().err()
    }

    /// Writes a block that was executed into the journal.
    pub(super) fn journal_block(&self, stored: &StoredBlock) -> Result<(), ChainError> {
        let Some(durable) = &self.durable else { return Ok(()) };
        Ok(durable.disk.append(&record(stored))?)
    }

    /// Syncs what was written into the journal.
    pub(super) fn make_durable(&self) -> Result<(), ChainError> {
        let Some(durable) = &self.durable else { return Ok(()) };
        Ok(durable.disk.sync()?)
    }

    /// Makes a change of the chain last before anybody sees it.
    pub(super) fn journal_change(
        &self,
        change: &Transition,
        safe: Option<&Arc<StoredBlock>>,
        finalized: Option<&Arc<StoredBlock>>,
    ) -> Result<(), ChainError> {
        let Some(durable) = &self.durable else { return Ok(()) };
        durable.disk.usable()?;
        let before = forkchoice(&self.read().labels);
        let labels = self.labels_after(change, safe, finalized);
        let next = change.common.number().saturating_add(1);
        if next < durable.disk.next() {
            let mut records: Vec<Record> = {
                let store = self.read();
                let kept = match change.keeps_removed() {
                    true => &change.removed[..],
                    false => &[],
                };
                let blocks = store.unflushed(next, kept);
                blocks.iter().map(|block| record(block)).collect()
            };
            records.push(Record::Forkchoice(labels));
            tracing::info!(target: "opal::execution", from = durable.disk.next() - 1,
                to = change.common.number(), "flushed blocks are taken back");
            return Ok(durable.disk.unwind(next, &records)?);
        }
        if labels == before {
            return Ok(());
        }
        durable.disk.append(&Record::Forkchoice(labels))?;
        // The safe block follows from L1 data and is found again; a sync for each of its steps
        // would only slow derivation down.
        if (labels.head, labels.finalized) != (before.head, before.finalized) {
            durable.disk.sync()?;
        }
        Ok(())
    }

    fn labels_after(
        &self,
        change: &Transition,
        safe: Option<&Arc<StoredBlock>>,
        finalized: Option<&Arc<StoredBlock>>,
    ) -> Forkchoice {
        let store = self.read();
        let common = change.common.number();
        let stays = |label: &Arc<StoredBlock>| match label.number() <= common {
            true => label.hash(),
            false => change.common.hash(),
        };
        Forkchoice {
            head: change.head().hash(),
            safe: safe.map_or_else(|| stays(&store.labels.safe), |block| block.hash()),
            finalized: finalized
                .map_or_else(|| stays(&store.labels.finalized), |block| block.hash()),
        }
    }

    /// The state of a new head, with what it takes of memory and disk in bounds.
    pub(super) fn tend(&self, state: State) -> Result<State, ChainError> {
        match &self.durable {
            Some(durable) => Ok(durable.disk.tend(state)?),
            None => Ok(state),
        }
    }

    /// Begins a flush if enough has come together and none is under way. `state` is the head's.
    pub(super) fn start_flush(&self, state: State) {
        let Some(durable) = &self.durable else { return };
        let next = durable.disk.next();
        let behind = behind(&durable.disk, self.head().header().number);
        let mut flush = durable.flush();
        flush.behind = behind;
        let due = behind >= durable.config.flush_blocks
            || behind > 0 && durable.disk.journal_bytes() >= durable.config.flush_bytes;
        if !due || flush.running {
            return;
        }
        let Some(chain) = self.this.upgrade() else { return };
        let blocks = self.read().canonical_from(next);
        flush.running = true;
        drop(flush);
        let thread = std::thread::Builder::new().name("flush".into());
        match thread.spawn(move || chain.run_flush(&blocks, &state)) {
            Ok(thread) => durable.flush().thread = Some(thread),
            Err(error) => {
                // Tried again with the next block.
                tracing::warn!(target: "opal::execution", %error, "no thread for a flush");
                self.end_flush();
            }
        }
    }

    fn run_flush(&self, blocks: &[Arc<StoredBlock>], state: &State) {
        if let Some(durable) = &self.durable
            && let Err(error) = self.flush(durable, blocks, state)
        {
            tracing::error!(target: "opal::execution", %error,
                "the chain cannot be written to the disk any more");
            durable.disk.fail(&error);
        }
        self.end_flush();
    }

    fn end_flush(&self) {
        if let Some(durable) = &self.durable {
            let behind = behind(&durable.disk, self.head().header().number);
            let mut flush = durable.flush();
            (flush.running, flush.behind) = (false, behind);
            drop(flush);
            durable.flush_ended.notify_all();
        }
    }

    fn flush(
        &self,
        durable: &Durable,
        blocks: &[Arc<StoredBlock>],
        state: &State,
    ) -> Result<(), DiskError> {
        let disk = &durable.disk;
        let Some(last) = blocks.last() else { return Ok(()) };
        let started = std::time::Instant::now();
        let keep_from = match durable.config.history {
            History::All => 0,
            History::Blocks(blocks) => last.number().saturating_sub(blocks),
            History::Seconds(seconds) => {
                disk.first_since(last.block.header().timestamp.saturating_sub(seconds))?
            }
        };
        let keep_from = keep_from.min(self.finalized().header().number);
        let flushed = disk.write(blocks, state, keep_from)?;
        let written = started.elapsed();

        let _guard = self.change_now();
        let alone = std::time::Instant::now();
        let follows = blocks.first().is_some_and(|first| first.number() == disk.next());
        if !follows || !self.read().is_canonical(last) {
            tracing::debug!(target: "opal::execution", block = last.number(),
                "a flush is given up: the chain has left its blocks");
            return Ok(());
        }
        let mut records: Vec<Record> = {
            let store = self.read();
            let rest = store.unflushed(last.number().saturating_add(1), &[]);
            rest.iter().map(|block| record(block)).collect()
        };
        records.push(Record::Forkchoice(forkchoice(&self.read().labels)));
        disk.commit(flushed, &records)?;
        self.write().release_flushed();
        self.times.add(|times| {
            times.flushes += 1;
            times.flushing += started.elapsed();
            times.committing += alone.elapsed();
        });
        tracing::debug!(target: "opal::execution", to = last.number(), blocks = blocks.len(),
            ?written, took = ?started.elapsed(), "flushed");
        Ok(())
    }

    /// Makes the canonical block at a height the head, as an operator's command; the blocks above it
    /// become a fork. `force` allows to go below the finalized block, which then is the head, too.
    ///
    /// # Errors
    /// When there is no such block, it is below the finalized one, or its state is gone.
    pub fn set_head_to(&self, number: u64, force: bool) -> Result<SealedBlock, ChainError> {
        let mut guard = self.change();
        let finalized = self.finalized().header().number;
        if number < finalized && !force {
            return Err(below_finalized(number, finalized).into());
        }
        let block = self.block_by_number(number).ok_or_else(|| {
            DiskError::Refused(format!("block {number} is not here, or not canonical"))
        })?;
        self.set_canonical(&mut guard, block.hash, None, None)?;
        Ok(block)
    }

    /// Waits until no flush is under way. Once the chain is dropped after that, its directory can
    /// be opened again.
    pub fn wait_for_flush(&self) {
        if let Some(durable) = &self.durable {
            durable.wait(|flush| flush.running);
            let thread = durable.flush().thread.take();
            // A panic was reported when it happened.
            let _ = thread.map(JoinHandle::join);
        }
    }
}

fn behind(disk: &Disk, head: u64) -> u64 {
    head.saturating_add(1).saturating_sub(disk.next())
}

fn record(stored: &StoredBlock) -> Record {
    Record::Block(BlockRecord { block: stored.block.clone(), senders: stored.senders.clone() })
}

fn forkchoice(labels: &Labels) -> Forkchoice {
    let Labels { head, safe, finalized } = labels;
    Forkchoice { head: head.hash(), safe: safe.hash(), finalized: finalized.hash() }
}

#[cfg(test)]
#[path = "fault_tests.rs"]
mod fault_tests;
#[cfg(test)]
#[path = "durable_tests.rs"]
mod tests;

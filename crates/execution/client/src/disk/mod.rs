//! A chain on the disk.
//!
//! ```text
//!   import, forkchoice ──► journal-N            one checksummed record each, synced before anyone is told
//!                             │ every so many blocks, on a thread of its own: a flush
//!                             ▼
//!   state/…  ◄── the state    blocks.index, blocks-*.data ◄── canonical blocks    index-*.run ◄── hashes
//!                             │ all synced
//!                             ▼
//!   journal-N+1               begins with the lengths of all these files: its name commits the flush
//! ```
//! Whatever instant the process ends at, the newest journal says which bytes of the other files
//! count and which blocks came after them. The rest is cut off when the directory is opened.
//!
//! This module moves bytes; it knows no rules of chains. [`Chain`](crate::Chain) decides.

mod blooms;
mod cache;
mod codec;
pub mod database;
mod directory;
mod error;
mod file;
mod journal;
mod record;
mod roots;
mod runs;
pub mod seed;
mod segments;
pub mod snapshot;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy_consensus::Header;
use alloy_primitives::{B256, Bloom};
use opal_evm::State;

use crate::chain::StoredBlock;
use crate::state_store::{StateRoot, StateStore, StateStoreOptions};
use cache::BlockCache;
use directory::Directory;
pub use directory::Identity;
pub use error::DiskError;
use file::{names, numbered};
use journal::Journal;
use record::{Base, StateLengths};
pub(crate) use record::{BlockRecord, Forkchoice, Record};
use roots::{NewRoots, Root, Roots};
use runs::{IndexEntry, NewRuns, Place, Runs};
use segments::{Entry, Segments};

/// Bytes, as they lie on the disk, of blocks that are kept after they were read.
const CACHE_BYTES: u64 = 32 << 20;

/// The files of one chain, open for reading and writing.
#[derive(Debug)]
pub(crate) struct Disk {
    directory: Directory,
    segments: Segments,
    runs: Runs,
    roots: Roots,
    states: StateStore,
    /// What of the state store counts.
    state_lengths: Mutex<StateLengths>,
    journal: Mutex<Journal>,
    cache: Mutex<BlockCache>,
    /// Held while anything but the journal is written.
    writing: Mutex<()>,
}

/// What the journal holds beside the flushed blocks.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// Blocks, parents before children.
    pub blocks: Vec<BlockRecord>,
    /// The newest labels; `None` in a new directory.
    pub forkchoice: Option<Forkchoice>,
}

/// A flush that is written and synced, but not committed.
#[derive(Debug)]
pub(crate) struct Flushed {
    blocks: u64,
    runs: NewRuns,
    roots: NewRoots,
    state: StateLengths,
}

/// What the index must know of a block.
fn index_entries(block: &StoredBlock) -> Vec<IndexEntry> {
    let number = block.number();
    let mut entries = vec![Place { number, index: None }.entry(&block.block.hash)];
    for (index, tx) in block.block.block.body.transactions.iter().enumerate() {
        let place = Place { number, index: Some(index as u32) };
        entries.push(place.entry(&tx.tx_hash()));
    }
    entries
}

/// Folder of the state store.
const STATE: &str = "state";

fn root(number: u64, root: &StateRoot) -> Root {
    Root { number, hash: root.hash, position: root.position, oldest: root.oldest }
}

const fn state_root(root: &Root) -> StateRoot {
    StateRoot { hash: root.hash, position: root.position, oldest: root.oldest }
}

/// A directory without a journal has no blocks: with some it has lost its journal, and all of them
/// would be thrown away.
fn no_blocks(dir: &Path) -> Result<(), DiskError> {
    let names = names(dir)?;
    match names.iter().find(|name| numbered(name, "blocks-", ".data").is_some()) {
        None => Ok(()),
        Some(blocks) => {
            let reason = "there are blocks, but the journal is missing";
            Err(DiskError::damaged(&dir.join(blocks), 0, reason))
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// Opens the directory of a chain, or makes it with the state of its genesis block, which has
    /// this number.
    pub fn open(
        path: &Path,
        identity: Identity,
        genesis: (u64, &State),
        options: StateStoreOptions,
    ) -> Result<(Self, Recovered), DiskError> {
        let directory = Directory::open(path, identity)?;
        Self::open_in(directory, Some(genesis), options)
    }

    fn open_in(
        mut directory: Directory,
        new: Option<(u64, &State)>,
        options: StateStoreOptions,
    ) -> Result<(Self, Recovered), DiskError> {
        let path = &directory.path;
        let mut recovered = Recovered::default();
        let mut base = None;
        let journal = Journal::open(path, |record, _| {
            match record {
                Record::Base(found) => base = Some(*found),
                Record::Block(block) => recovered.blocks.push(block),
                Record::Forkchoice(forkchoice) => recovered.forkchoice = Some(forkchoice),
            }
            Ok(())
        })?;
        let genesis = directory.identity.genesis;
        let open_states =
            |committed| StateStore::open(&path.join(STATE), genesis, committed, options);
        let (journal, base, segments, roots, states) = match (journal, base, new) {
            (Some(journal), Some(base), _) => {
                let states = open_states(Some(base.state.into()))?;
                let segments =
                    Segments::open(path, base.first, base.blocks, directory.has_blooms())?;
                let roots = Roots::open(path, base.roots_file, base.roots)?;
                (journal, base, segments, roots, states)
            }
            (_, _, Some((number, state))) => {
                // New, or its making was interrupted before anything was promised.
                no_blocks(path)?;
                let states = open_states(None)?;
                let persisted = states.append(state)?;
                states.sync()?;
                let first = number.saturating_add(1);
                let segments = Segments::create(path, first)?;
                let roots = Roots::create(path, vec![root(number, &persisted.root)])?;
                let base = Base {
                    first,
                    blocks: 0,
                    roots_file: roots.number(),
                    roots: 1,
                    state: persisted.committed.into(),
                    runs: Vec::new(),
                };
                let journal = Journal::create(path, 1, &base, std::iter::empty())?;
                (journal, base, segments, roots, states)
            }
            _ => return Err(DiskError::Absent { path: path.clone() }),
        };
        let runs = Runs::open(path, &base.runs)?;
        directory.upgrade()?;
        let disk = Self {
            segments,
            runs,
            roots,
            states,
            state_lengths: Mutex::new(base.state),
            journal: Mutex::new(journal),
            cache: Mutex::new(BlockCache::new(CACHE_BYTES)),
            writing: Mutex::new(()),
            directory,
        };
        Ok((disk, recovered))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.directory.path
    }

    /// The chain that it belongs to.
    pub const fn identity(&self) -> Identity {
        self.directory.identity
    }

    // --- reading ------------------------------------------------------------------------------

    /// Number of the first block in the segments.
    pub const fn first(&self) -> u64 {
        self.segments.first()
    }

    /// Number of the block after the last one in the segments.
    pub fn next(&self) -> u64 {
        self.segments.first() + self.segments.count()
    }

    /// Hash of a flushed block.
    pub fn hash(&self, number: u64) -> Result<Option<B256>, DiskError> {
        Ok(self.segments.entry(number)?.map(|entry| entry.hash))
    }

    /// Number of the flushed block with this hash.
    pub fn number(&self, hash: &B256) -> Result<Option<u64>, DiskError> {
        for place in self.runs.find(hash)? {
            if place.index.is_none() && self.hash(place.number)? == Some(*hash) {
                return Ok(Some(place.number));
            }
        }
        Ok(None)
    }

    /// The flushed block at a height.
    pub fn block(&self, number: u64) -> Result<Option<Arc<StoredBlock>>, DiskError> {
        self.read_entry(number, |entry| {
            let cached = lock(&self.cache).get(number);
            if let Some(block) = cached.filter(|block| block.block.hash == entry.hash) {
                return Ok(block);
            }
            let (block, bytes) = self.segments.block(entry)?;
            let block = Arc::new(block);
            lock(&self.cache).insert(block.clone(), bytes);
            Ok(block)
        })
    }

    /// The header of the flushed block at a height, with its hash.
    pub fn header(&self, number: u64) -> Result<Option<(B256, Header)>, DiskError> {
        self.read_entry(number, |entry| Ok((entry.hash, self.segments.header(entry)?)))
    }

    /// Blooms of consecutive flushed blocks from `from` on, up to `to` or the last one; none when
    /// there is no such block.
    pub fn blooms(&self, from: u64, to: u64) -> Result<Vec<Bloom>, DiskError> {
        let last = to.min(self.next().saturating_sub(1));
        if from > last {
            return Ok(Vec::new());
        }
        let blooms = self.read_entry(last, |_| self.segments.blooms(from, last))?;
        Ok(blooms.unwrap_or_default())
    }

    /// Reads what an entry of the index points to. A reorg may take the block away meanwhile; then
    /// bytes that do not fit are no damage.
    fn read_entry<T>(
        &self,
        number: u64,
        read: impl Fn(&Entry) -> Result<T, DiskError>,
    ) -> Result<Option<T>, DiskError> {
        loop {
            let Some(entry) = self.segments.entry(number)? else { return Ok(None) };
            match read(&entry) {
                Err(error) if self.segments.entry(number)? == Some(entry) => return Err(error),
                Err(_) => {}
                Ok(found) => return Ok(Some(found)),
            }
        }
    }

    /// Number of the first flushed block that is not older than this time, or of the block after
    /// the last one.
    pub fn first_since(&self, timestamp: u64) -> Result<u64, DiskError> {
        let (mut low, mut high) = (self.first(), self.next());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.header(middle)? {
                Some((_, header)) if header.timestamp < timestamp => low = middle + 1,
                // A reorg may have taken it back meanwhile.
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The flushed block that holds a transaction, and its index there.
    pub fn transaction(&self, hash: &B256) -> Result<Option<(Arc<StoredBlock>, usize)>, DiskError> {
        for Place { number, index } in self.runs.find(hash)? {
            let Some(index) = index.map(|index| index as usize) else { continue };
            let Some(block) = self.block(number)? else { continue };
            let transaction = block.block.block.body.transactions.get(index);
            if transaction.is_some_and(|tx| tx.tx_hash() == *hash) {
                return Ok(Some((block, index)));
            }
        }
        Ok(None)
    }

    /// Number of the block with the newest stored state at or before this block.
    pub fn state_before(&self, number: u64) -> Option<u64> {
        self.roots.at_or_before(number).map(|root| root.number)
    }

    /// The stored state after a block, if there is one with this root.
    pub fn state(&self, number: u64, hash: &B256) -> Result<Option<State>, DiskError> {
        let root = self.roots.at_or_before(number);
        let Some(root) = root.filter(|root| root.number == number && root.hash == *hash) else {
            return Ok(None);
        };
        Ok(Some(self.states.state(&state_root(&root))?))
    }

    /// The same state with memory and files in bounds; see [`StateStore::tend`].
    pub fn tend(&self, state: State) -> Result<State, DiskError> {
        Ok(self.states.tend(state)?)
    }

    // --- writing ------------------------------------------------------------------------------

    /// Writes a record into the journal, not yet synced.
    pub fn append(&self, record: &Record) -> Result<(), DiskError> {
        lock(&self.journal).append(record)
    }

    /// Syncs the journal.
    pub fn sync(&self) -> Result<(), DiskError> {
        lock(&self.journal).sync()
    }

    /// Bytes of the journal.
    pub fn journal_bytes(&self) -> u64 {
        lock(&self.journal).len()
    }

    /// Whether anything can be promised still.
    pub fn usable(&self) -> Result<(), DiskError> {
        lock(&self.journal).usable()
    }

    /// Lets every write into the journal go to another file, which refuses it.
    #[cfg(test)]
    pub fn break_writes(&self, file: std::fs::File) {
        lock(&self.journal).break_writes(file);
    }

    /// The files are whole and contradict each other.
    pub fn inconsistent(&self, what: &str) -> DiskError {
        DiskError::damaged(lock(&self.journal).path(), 0, format!("{what} is not in the data"))
    }

    /// Nothing is promised any more.
    pub fn fail(&self, error: &DiskError) {
        lock(&self.journal).fail(error.to_string());
    }

    /// Writes canonical blocks that follow the flushed ones, oldest first, and the state after the
    /// last one. States of blocks before `keep_from` need not be kept.
    pub fn write(
        &self,
        blocks: &[Arc<StoredBlock>],
        state: &State,
        keep_from: u64,
    ) -> Result<Flushed, DiskError> {
        let _writing = lock(&self.writing);
        let persisted = self.states.append(state)?;
        // What an abandoned flush has left.
        let count = self.segments.count();
        self.segments.cut(count)?;
        self.segments.append(blocks)?;
        let entries = blocks.iter().flat_map(|block| index_entries(block)).collect();
        let runs = self.runs.append(entries)?;
        let last = self.segments.first() + count + blocks.len() as u64 - 1;
        let roots = self.roots.append(root(last, &persisted.root), keep_from)?;
        self.states.sync()?;
        let state = persisted.committed.into();
        Ok(Flushed { blocks: count + blocks.len() as u64, runs, roots, state })
    }

    /// Commits a flush. `rest` is what the journal must hold beside it.
    pub fn commit(&self, flushed: Flushed, rest: &[Record]) -> Result<(), DiskError> {
        let _writing = lock(&self.writing);
        let (roots_file, roots) = self.roots.after(&flushed.roots);
        let base = Base {
            first: self.segments.first(),
            blocks: flushed.blocks,
            roots_file,
            roots,
            state: flushed.state,
            runs: flushed.runs.ids(),
        };
        lock(&self.journal).replace(&base, rest.iter())?;
        *lock(&self.state_lengths) = flushed.state;
        self.segments.publish(flushed.blocks);
        if let Some(oldest) = self.roots.publish(flushed.roots)? {
            self.states.prune(oldest)?;
        }
        self.runs.publish(flushed.runs)
    }

    /// Takes flushed blocks back, so that `next` is the number of the block after the last one
    /// left. `rest` is what the journal must hold beside them.
    pub fn unwind(&self, next: u64, rest: &[Record]) -> Result<(), DiskError> {
        let _writing = lock(&self.writing);
        let blocks = next.saturating_sub(self.segments.first()).min(self.segments.count());
        let last = next.saturating_sub(1);
        let base = Base {
            first: self.segments.first(),
            blocks,
            roots_file: self.roots.number(),
            roots: self.roots.read(|roots| roots.partition_point(|root| root.number <= last))
                as u64,
            state: *lock(&self.state_lengths),
            runs: self.runs.ids(),
        };
        lock(&self.journal).replace(&base, rest.iter())?;
        self.roots.truncate(last);
        self.segments.publish(blocks);
        lock(&self.cache).clear();
        // The journal has gone back by now; a caller who does not go back with it must not go on.
        let cut = self.segments.cut(blocks).and_then(|()| self.runs.delete_unused());
        cut.inspect_err(|error| self.fail(error))
    }
}

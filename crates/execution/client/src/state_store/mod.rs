//! The world state on disk: an append-only, copy-on-write trie.
//!
//! Nodes lie in segment files and refer to their children by position as well as by
//! hash, so that a walk down the trie takes one read a level and no index. Nothing is ever written
//! over: each root that was stored stays readable until its segments are deleted, whatever came
//! after it, and a crash loses at most a tail that nobody committed to.
//!
//! ```text
//!   execute ──► State ──append──► nodes, codes (children first) ──► StateRoot, Committed
//!                 ▲                                                       │ sync, then the caller
//!                 └──────────── state(StateRoot) ◄────────────────────────┘ writes both down
//! ```
//! How a chain uses it:
//!
//! 1. [`StateStore::open`] with the last [`Committed`] that it wrote down; what lies beyond is cut
//!    off. `None` begins anew.
//! 2. After each block, or each few, [`append`](StateStore::append). Blocks between two appends
//!    need none of their own: their states share what is stored. The [`StateRoot`] goes with the
//!    block, the state is good for the next one.
//! 3. Before a [`Committed`] is written down, [`sync`](StateStore::sync). A chain with a journal
//!    of blocks may do both rarely, and execute the journal's blocks again after a crash.
//! 4. On each new head, [`tend`](StateStore::tend): it bounds memory and moves what old segments
//!    still hold towards the end of the files; the state that it gives takes the old one's place.
//! 5. Once a [`Committed`] and the roots to be kept are written down,
//!    [`prune`](StateStore::prune) with the lowest [`StateRoot::oldest`] of these roots.
//!
//! Only one process may have the directory open; the caller holds the lock.

mod codes;
mod error;
mod import;
mod segments;
#[cfg(test)]
mod sweep_tests;
mod tend;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use alloy_primitives::{B256, Bytes};
use opal_evm::revm::bytecode::Bytecode;
use opal_evm::{Place, Record, State, StateError, TrieSink, TrieSource};

use crate::threads::run_jobs;
use codes::{CodeWriter, Codes};
pub use error::StoreError;
pub(crate) use error::advice;
pub use import::Importer;
use segments::{HEADER, Location, MAX_RECORD, MAX_SEGMENT, Segments};
use tend::Tending;

/// How the store behaves.
#[derive(Clone, Debug)]
pub struct StateStoreOptions {
    /// Bytes of trie nodes that stay in memory, about (default 512 MiB).
    pub memory: u64,
    /// Bytes after which a new segment begins (default and most: 256 MiB).
    pub segment_bytes: u64,
    /// Whether every state is kept for ever: nothing is moved and nothing deleted.
    pub archive: bool,
}

impl Default for StateStoreOptions {
    fn default() -> Self {
        Self { memory: 512 << 20, segment_bytes: MAX_SEGMENT, archive: false }
    }
}

/// A state in the store. To be written down as it is; the numbers have no meaning elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateRoot {
    /// The state root.
    pub hash: B256,
    /// Where the root node lies; 0 for the empty state.
    pub position: u64,
    /// Lowest number of a segment that the state needs.
    pub oldest: u32,
}

/// How much of each file counts. Whatever lies beyond was not promised to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Number of the last segment.
    pub segment: u32,
    /// Its length in bytes.
    pub length: u64,
    /// Length of the file of codes.
    pub codes: u64,
    /// Length of the index of codes.
    pub code_index: u64,
}

/// What an append gave.
#[derive(Clone, Debug)]
pub struct Persisted {
    /// Where the state lies.
    pub root: StateRoot,
    /// The files' lengths with it; durable after the next [`StateStore::sync`].
    pub committed: Committed,
    /// The same state, readable beyond what memory holds. It differs from the one that was given
    /// only if that one was of no store.
    pub state: State,
    /// Nodes that were new.
    pub nodes: u64,
    /// Bytes that were written.
    pub bytes: u64,
}

/// Figures of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateStoreStats {
    /// Number of the first and last segment.
    pub segments: (u32, u32),
    /// Bytes of all segments.
    pub node_bytes: u64,
    /// Bytes of the files of codes and of their index.
    pub code_bytes: u64,
    /// Number of codes.
    pub codes: u64,
    /// Bytes of nodes in memory, as estimated by the last sweeps.
    pub memory: u64,
    /// Records read since the store was opened.
    pub reads: u64,
}

/// The store.
#[derive(Debug)]
pub struct StateStore {
    files: Arc<Files>,
    writer: Mutex<Writer>,
    tending: Mutex<Tending>,
    options: StateStoreOptions,
}

/// What states read from.
#[derive(Debug)]
struct Files {
    /// Tells this opening of the files from any other in the process.
    id: u64,
    dir: PathBuf,
    segments: Segments,
    codes: Codes,
    /// The position that the next record gets; all below are written.
    written: AtomicU64,
    reads: AtomicU64,
    /// Bytes in memory of nodes that were read and kept since the last sweep, and how many may be.
    kept: AtomicU64,
    may_keep: AtomicU64,
}

/// Bytes that a record takes in memory once decoded, for one byte of file.
const MEMORY_PER_BYTE: u64 = 3;

impl TrieSource for Files {
    fn node(&self, _: &B256) -> Result<Option<Bytes>, StateError> {
        // There is no index by hash: who has no position is not of this store.
        Ok(None)
    }

    fn record(&self, position: u64, hash: &B256) -> Result<Record, StateError> {
        let bytes = self.segments.get(position, hash)?;
        self.reads.fetch_add(1, Ordering::Relaxed);
        let memory = bytes.len() as u64 * MEMORY_PER_BYTE;
        let kept = self.kept.fetch_add(memory, Ordering::Relaxed);
        let keep = kept < self.may_keep.load(Ordering::Relaxed);
        if !keep {
            self.kept.fetch_sub(memory, Ordering::Relaxed);
        }
        Ok(Record { bytes, keep })
    }

    fn code(&self, hash: &B256) -> Result<Option<Bytecode>, StateError> {
        self.codes.get(hash)
    }

    fn file_set(&self) -> u64 {
        self.id
    }
}

/// The end of the files. What is in the buffers has its position already; after a failed write
/// the next one begins with it.
#[derive(Debug)]
struct Writer {
    segment: u32,
    file: Arc<File>,
    /// Bytes of the last segment that are written.
    length: u64,
    buffer: Vec<u8>,
    codes: CodeWriter,
    codes_unsynced: bool,
    /// Segments with bytes that are not durable.
    unsynced: Vec<(u32, Arc<File>)>,
    /// Whether a file was made since the directory was synced.
    dir_unsynced: bool,
    failed: bool,
}

/// Bytes that are buffered before they are written.
const BUFFER: usize = 4 << 20;

impl Writer {
    fn end(&self) -> u64 {
        self.length + self.buffer.len() as u64
    }

    fn flush(&mut self, files: &Files) -> Result<(), StoreError> {
        // Codes first: a node whose code is missing is worse than a code that nobody needs.
        self.codes_unsynced |= files.codes.flush(&mut self.codes)?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.unsynced.last().is_none_or(|(segment, _)| *segment != self.segment) {
            self.unsynced.push((self.segment, self.file.clone()));
        }
        let path = || files.segments.path(self.segment);
        self.file
            .write_all_at(&self.buffer, self.length)
            .map_err(|error| StoreError::io(&path())(error))?;
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        let end = Location { segment: self.segment, offset: self.length, length: 0 };
        files.written.store(end.position(), Ordering::Release);
        Ok(())
    }

    fn next_segment(&mut self, files: &Files) -> Result<(), StoreError> {
        self.flush(files)?;
        self.file = files.segments.add(self.segment + 1)?;
        self.segment += 1;
        self.length = HEADER;
        self.dir_unsynced = true;
        Ok(())
    }

    fn committed(&self) -> Committed {
        let [codes, code_index] = self.codes.lengths;
        Committed { segment: self.segment, length: self.length, codes, code_index }
    }
}

/// What nodes and codes are given to during an append.
struct Sink<'a> {
    files: &'a Files,
    writer: &'a mut Writer,
    segment_bytes: u64,
    nodes: u64,
    bytes: u64,
    error: Option<StoreError>,
}

impl Sink<'_> {
    fn done<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StateError> {
        result.map_err(|error| {
            let text = error.to_string();
            self.error = Some(error);
            StateError::Source(text)
        })
    }
}

impl TrieSink for Sink<'_> {
    fn node(&mut self, hash: &B256, record: &[u8]) -> Result<Place, StateError> {
        if record.len() > MAX_RECORD - 4 {
            return Err(StateError::Source(format!("node {hash} is too long for a record")));
        }
        if self.writer.end() + MAX_RECORD as u64 > self.segment_bytes {
            let result = self.writer.next_segment(self.files);
            self.done(result)?;
        } else if self.writer.buffer.len() >= BUFFER {
            let result = self.writer.flush(self.files);
            self.done(result)?;
        }
        let (segment, offset) = (self.writer.segment, self.writer.end());
        let length = segments::put(hash, record, &mut self.writer.buffer);
        self.nodes += 1;
        self.bytes += length as u64;
        let position = Location { segment, offset, length }.position();
        Ok(Place { position, oldest: segment })
    }

    fn code(&mut self, hash: &B256, code: &Bytecode) -> Result<(), StateError> {
        self.files.codes.add(&mut self.writer.codes, hash, code)
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl StateStore {
    /// Opens the store in a directory, which is made if need be, and cuts off what lies beyond
    /// `committed`. With `None` nothing was ever promised: files of this chain's store that are
    /// there are emptied.
    ///
    /// # Errors
    /// When a file is missing, damaged, shorter than what was committed, of another chain or of
    /// another format, and when the system refuses. Nothing is changed then but tails that were
    /// cut.
    pub fn open(
        dir: &Path,
        genesis: B256,
        committed: Option<Committed>,
        options: StateStoreOptions,
    ) -> Result<Self, StoreError> {
        std::fs::create_dir_all(dir).map_err(StoreError::io(dir))?;
        let segments = Segments::list(dir, genesis)?;
        let lengths = committed.map(|committed| [committed.codes, committed.code_index]);
        if let Some(committed) = committed
            && [committed.length, committed.codes, committed.code_index].iter().any(|l| *l < HEADER)
        {
            return Err(StoreError::Foreign {
                file: dir.to_owned(),
                what: format!("no store has the lengths {committed:?}"),
            });
        }
        let (segment, length) = match committed {
            None => {
                if let Some((first, last)) = segments.range() {
                    // Only what is ours is emptied.
                    (first..=last).try_for_each(|segment| segments.check_to_replace(segment))?;
                }
                segments.remove(|_| true)?;
                segments.add(1)?;
                (1, HEADER)
            }
            Some(Committed { segment, length, .. }) => {
                if segments.range().is_none_or(|(_, last)| last < segment) {
                    return Err(missing(&segments.path(segment)));
                }
                if let Some(gap) = segments.first_gap(segment) {
                    return Err(missing(&segments.path(gap)));
                }
                let first = segments.range().map_or(segment, |(first, _)| first);
                (first..segment).try_for_each(|segment| segments.check(segment))?;
                (segment, length)
            }
        };
        let file = segments.open_last(segment, length)?;
        let (codes, code_writer) = Codes::open(dir, &genesis, lengths)?;
        segments.remove(|number| number > segment)?;
        segments::sync_dir(dir)?;
        let end = Location { segment, offset: length, length: 0 };
        let files = Arc::new(Files {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            dir: dir.to_owned(),
            segments,
            codes,
            written: AtomicU64::new(end.position()),
            reads: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            may_keep: AtomicU64::new(options.memory),
        });
        let writer = Writer {
            segment,
            unsynced: vec![(segment, file.clone())],
            file,
            length,
            buffer: Vec::new(),
            codes: code_writer,
            codes_unsynced: true,
            dir_unsynced: false,
            failed: false,
        };
        Ok(Self {
            files,
            writer: Mutex::new(writer),
            tending: Mutex::new(Tending::default()),
            options,
        })
    }

    fn writer(&self) -> Result<MutexGuard<'_, Writer>, StoreError> {
        // A panic between two records leaves the buffer with whole records.
        let writer = self.writer.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if writer.failed {
            return Err(StoreError::Failed(self.files.dir.clone()));
        }
        Ok(writer)
    }

    /// Writes every node and code of the state that is not on disk yet, children first. It is not
    /// durable before [`StateStore::sync`]. States of this store and states in memory can be
    /// given; of the latter everything is copied.
    ///
    /// # Errors
    /// When the state is of another store or not whole, or when it cannot be written. After such
    /// an error the same state can be given again.
    pub fn append(&self, state: &State) -> Result<Persisted, StoreError> {
        let mut writer = self.writer()?;
        let state = match state.file_set() {
            id if id == self.files.id => state.clone(),
            0 => state.detached(self.files.clone())?,
            _ => return Err(StoreError::ForeignState(state.root())),
        };
        let (place, nodes, bytes) = self.write(&mut writer, |sink| state.persist(sink))?;
        let root = StateRoot { hash: state.root(), position: place.position, oldest: place.oldest };
        self.appended(&root, bytes);
        Ok(Persisted { root, committed: writer.committed(), state, nodes, bytes })
    }

    /// Lets `persist` store nodes and writes them, and gives how many nodes and bytes these are.
    fn write<T>(
        &self,
        writer: &mut Writer,
        persist: impl FnOnce(&mut dyn TrieSink) -> Result<T, StateError>,
    ) -> Result<(T, u64, u64), StoreError> {
        let mut sink = Sink {
            files: &self.files,
            writer,
            segment_bytes: self.options.segment_bytes.clamp(2 * MAX_RECORD as u64, MAX_SEGMENT),
            nodes: 0,
            bytes: 0,
            error: None,
        };
        let result = persist(&mut sink);
        let Sink { nodes, bytes, error, .. } = sink;
        let result = result.map_err(|state| error.unwrap_or(StoreError::State(state)));
        writer.flush(&self.files)?;
        Ok((result?, nodes, bytes))
    }

    /// Makes everything durable that was appended.
    ///
    /// # Errors
    /// When the system refuses; the store must then be opened again.
    pub fn sync(&self) -> Result<(), StoreError> {
        let mut writer = self.writer()?;
        let result = self.sync_files(&mut writer);
        writer.failed |= result.is_err();
        result
    }

    fn sync_files(&self, writer: &mut Writer) -> Result<(), StoreError> {
        for (segment, file) in writer.unsynced.drain(..) {
            file.sync_data()
                .map_err(|error| StoreError::io(&self.files.segments.path(segment))(error))?;
        }
        if std::mem::take(&mut writer.codes_unsynced) {
            self.files.codes.sync()?;
        }
        if std::mem::take(&mut writer.dir_unsynced) {
            segments::sync_dir(&self.files.dir)?;
        }
        Ok(())
    }

    /// A state that was appended, now or before the store was opened. Nodes are read when first
    /// needed.
    ///
    /// # Errors
    /// When the root node is not there or damaged.
    pub fn state(&self, root: &StateRoot) -> Result<State, StoreError> {
        if root.position != 0 {
            self.files.segments.get(root.position, &root.hash)?;
        }
        let place = Place { position: root.position, oldest: root.oldest };
        Ok(State::from_stored(root.hash, place, self.files.clone()).with_jobs(run_jobs))
    }

    /// Hashes every node of a state again and reads every code; `progress` is called with the
    /// number of nodes seen so far. What the state shares with `known`, which was checked before, is
    /// left out.
    ///
    /// # Errors
    /// When something is damaged or missing: which file, and where.
    pub fn check(
        &self,
        root: &StateRoot,
        known: Option<&StateRoot>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64, StoreError> {
        let known = known.map(|known| self.state(known)).transpose()?;
        let mut nodes = 0;
        self.state(root)?.check(known.as_ref(), &mut || {
            nodes += 1;
            progress(nodes);
        })?;
        Ok(nodes)
    }

    /// Deletes the segments below `oldest`, which no root that is kept may need, and gives how
    /// many bytes that frees. The roots to be kept and a [`Committed`] must be written down before.
    /// An archive deletes nothing.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn prune(&self, oldest: u32) -> Result<u64, StoreError> {
        if self.options.archive {
            return Ok(0);
        }
        let last = self.writer()?.segment;
        let freed = self.files.segments.remove(|segment| segment < oldest.min(last))?;
        if freed > 0 {
            segments::sync_dir(&self.files.dir)?;
        }
        Ok(freed)
    }

    /// Figures of the store.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn stats(&self) -> Result<StateStoreStats, StoreError> {
        let (segment, [codes, index]) = {
            let writer = self.writer()?;
            (writer.segment, writer.codes.lengths)
        };
        Ok(StateStoreStats {
            segments: self.files.segments.range().unwrap_or((segment, segment)),
            node_bytes: self.files.segments.bytes()?,
            code_bytes: codes + index,
            codes: self.files.codes.count(),
            memory: self.memory(),
            reads: self.files.reads.load(Ordering::Relaxed),
        })
    }
}

fn missing(path: &Path) -> StoreError {
    StoreError::Foreign { file: path.to_owned(), what: "is missing".into() }
}

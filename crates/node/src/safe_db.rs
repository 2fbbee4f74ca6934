//! From which L1 block on which L2 block was safe: the file behind `optimism_safeHeadAtL1Block`.
//!
//! ```text
//!   header  magic · L2 chain id · hash of the L2 genesis block · checksum
//!   record  L1 number · L1 hash · L2 number · L2 hash · checksum       ascending in both numbers
//!   record  …
//! ```
//! Header and records are 84 bytes each, so a look-up is a binary search on the file and holds
//! nothing in memory. There is one record for each L1 block that moved the safe head: on a chain
//! that posts in every L1 block 0.6 MB a day.
//!
//! The newest L1 block's record is held back until derivation has read that block to its end, or its
//! L2 block becomes final, then written and synced; only then the next one is written. After a crash
//! therefore nothing but the last record can be incomplete. It is dropped, since derivation yields it
//! again. Any other damage is an error. Going back cuts the file and syncs it before anything is
//! appended.
//!
//! [`SafeDb::in_memory`] keeps the same bytes for the life of the process, for chains that live no
//! longer.
//!
//! What is recorded follows from L1 data alone, so records stay true as long as their L1 blocks are
//! canonical, whatever the safe head does: a node that derives again what it has derived before
//! finds its records confirmed and writes nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy_primitives::B256;
use opal_protocol::BlockId;
use serde::Serialize;
use tracing::{error, info, warn};

/// Name of the file in the directory that the user names.
const FILE_NAME: &str = "safe-heads";
const MAGIC: &[u8; 16] = b"opal safe heads1";
/// Bytes of a record, and of the header.
const RECORD: usize = 84;
/// What of it the checksum covers.
const CONTENT: usize = RECORD - 4;
/// Records read at once when the file is checked.
const CHUNK: usize = 1024;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SafeDbError {
    /// The operating system refuses.
    #[error("safe head database {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Its answer.
        error: io::Error,
    },
    /// Another process has it open.
    #[error("safe head database {0} is in use by another process")]
    InUse(PathBuf),
    /// It is no such database, or that of another chain.
    #[error("safe head database {path} is not this chain's: {reason}; name another directory")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// A record that was complete is so no more.
    #[error(
        "safe head database {path} is damaged at record {index}: {reason}; delete it to have it written anew"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The record, from 0.
        index: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It was given up after an earlier error, which is in the log.
    #[error("safe head database failed (see the log)")]
    Failed,
}

/// An L1 block and the newest L2 block that is safe once it was read. JSON as op-node's
/// `optimism_safeHeadAtL1Block`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SafeHeadRecord {
    /// The L1 block.
    pub l1_block: BlockId,
    /// The L2 block.
    pub safe_head: BlockId,
}

/// The database. All calls may be made from any thread; they read or write a few hundred bytes.
#[derive(Debug)]
pub struct SafeDb {
    path: PathBuf,
    inner: Mutex<Inner>,
}

/// The bytes of the database.
#[derive(Debug)]
enum Content {
    File(File),
    /// Header and records, as in a file.
    Memory(Vec<u8>),
}

#[derive(Debug)]
struct Inner {
    content: Content,
    /// Records in the content.
    len: u64,
    /// The record of the L1 block that derivation reads now.
    open: Option<SafeHeadRecord>,
    /// Number of the safe head before that L1 block, where it is known.
    before: Option<u64>,
    /// Number of the newest safe head that derivation has yielded or started from.
    newest: Option<u64>,
    /// A write has failed half-way: the end of the file is not known to be whole.
    broken_end: bool,
    /// Given up by [`SafeDb::fail`].
    failed: bool,
}

impl SafeDb {
    /// Opens the database in this directory, or makes a new one, and checks every record.
    ///
    /// # Errors
    /// When it belongs to another chain or process, or is damaged anywhere but at its end.
    pub fn open(dir: &Path, l2_chain_id: u64, l2_genesis: B256) -> Result<Self, SafeDbError> {
        let path = dir.join(FILE_NAME);
        let io = |error| SafeDbError::Io { path: path.clone(), error };
        std::fs::create_dir_all(dir).map_err(io)?;
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SafeDbError::InUse(path)),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let header = header(l2_chain_id, l2_genesis);
        let bytes = file.metadata().map_err(io)?.len();
        let len = if bytes <= RECORD as u64 {
            // New, or its making was interrupted, when space may be reserved but not filled.
            let mut found = Vec::new();
            file.read_to_end(&mut found).map_err(io)?;
            let filled = found.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            if !header.starts_with(&found[..filled]) {
                let reason = found.first_chunk().map_or_else(
                    || "it is another file".to_owned(),
                    |found| foreign(found, l2_chain_id),
                );
                return Err(SafeDbError::Foreign { path, reason });
            }
            file.rewind().map_err(io)?;
            file.write_all(&header).and_then(|()| file.sync_all()).map_err(io)?;
            // The name must be as durable as the content. Not every system can sync a directory.
            let _ = File::open(dir).and_then(|dir| dir.sync_all());
            0
        } else {
            let mut found = [0; RECORD];
            file.read_exact(&mut found).map_err(io)?;
            if found != header {
                let reason = foreign(&found, l2_chain_id);
                return Err(SafeDbError::Foreign { path, reason });
            }
            let records = check(&mut file, &path, bytes - RECORD as u64)?;
            if file_end(records) < bytes {
                warn!(target: "opal::node", path = %path.display(), records,
                    "the last record of the safe head database was not completely written; \
                     it is dropped and will be derived again");
                file.set_len(file_end(records)).and_then(|()| file.sync_data()).map_err(io)?;
            }
            records
        };
        info!(target: "opal::node", path = %path.display(), records = len, "safe head database");
        Ok(Self::new(path, Content::File(file), len))
    }

    /// An empty database that ends with the process; 84 bytes for each L1 block that moves the safe
    /// head.
    pub fn in_memory() -> Self {
        Self::new(PathBuf::from("in memory"), Content::Memory(vec![0; RECORD]), 0)
    }

    const fn new(path: PathBuf, content: Content, len: u64) -> Self {
        let inner = Inner {
            content,
            len,
            open: None,
            before: None,
            newest: None,
            broken_end: false,
            failed: false,
        };
        Self { path, inner: Mutex::new(inner) }
    }

    /// The newest record at or before an L1 block number.
    ///
    /// # Errors
    /// When the file cannot be read, or the record read is damaged.
    pub fn at_l1(&self, number: u64) -> Result<Option<SafeHeadRecord>, SafeDbError> {
        let mut inner = self.usable()?;
        let stored = match inner.count_up_to(number, &self.path)?.checked_sub(1) {
            Some(index) => Some(inner.read(index, &self.path)?),
            None => None,
        };
        let Some(open) = inner.open.filter(|open| open.l1_block.number <= number) else {
            return Ok(stored);
        };
        // While something is derived again, the file can know more than the record being filled.
        Ok(Some(match stored {
            Some(stored) if stored.l1_block.number > open.l1_block.number => stored,
            Some(stored)
                if stored.l1_block == open.l1_block
                    && stored.safe_head.number > open.safe_head.number =>
            {
                stored
            }
            _ => open,
        }))
    }

    /// Number of records in the file.
    pub fn len(&self) -> u64 {
        self.lock().len
    }

    /// Whether the file has no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record at an index, counted from the oldest; `None` past the end.
    ///
    /// # Errors
    /// When the file cannot be read, or the record is damaged.
    pub fn get(&self, index: u64) -> Result<Option<SafeHeadRecord>, SafeDbError> {
        let mut inner = self.usable()?;
        if index >= inner.len {
            return Ok(None);
        }
        inner.read(index, &self.path).map(Some)
    }

    /// Number of records whose L2 block is at most this one.
    ///
    /// # Errors
    /// When the file cannot be read, or a record read is damaged.
    pub fn count_up_to_l2(&self, number: u64) -> Result<u64, SafeDbError> {
        self.usable()?.count(&self.path, |record| record.safe_head.number <= number)
    }

    /// Says that derivation goes on from the L2 block of this number.
    pub(crate) fn resume(&self, safe: u64) {
        self.lock().newest = Some(safe);
    }

    /// Takes a new safe head. It answers look-ups at once, and is written when the next L1 block
    /// moves the safe head, or by [`SafeDb::flush`].
    ///
    /// # Errors
    /// When the record before it cannot be written; the new one is not taken then.
    pub fn record(&self, record: SafeHeadRecord) -> Result<(), SafeDbError> {
        let mut inner = self.usable()?;
        match &mut inner.open {
            Some(open) if open.l1_block == record.l1_block => *open = record,
            _ => {
                inner.flush(&self.path)?;
                inner.open = Some(record);
                inner.before = inner.newest;
            }
        }
        inner.newest = Some(record.safe_head.number);
        Ok(())
    }

    /// Writes what is not written yet; it survives a crash from then on.
    ///
    /// # Errors
    /// When it cannot be written. It is kept and may be tried again.
    pub fn flush(&self) -> Result<(), SafeDbError> {
        self.usable()?.flush(&self.path)
    }

    /// Forgets all but the oldest `len` records, among them the one that is not written.
    ///
    /// # Errors
    /// When the file cannot be cut.
    pub fn truncate(&self, len: u64) -> Result<(), SafeDbError> {
        let mut inner = self.usable()?;
        inner.open = None;
        inner.truncate(len, &self.path)
    }

    /// Gives the database up: a disk that is full or broken stops the record, not the node. The
    /// error is logged once; from then on every call answers [`SafeDbError::Failed`] and the file
    /// is left alone. The next start drops what was not completely written and goes on from there.
    pub(crate) fn fail(&self, error: &SafeDbError) {
        if !std::mem::replace(&mut self.lock().failed, true) {
            error!(target: "opal::node", %error,
                "safe heads are not recorded until the node is restarted");
        }
    }

    /// Makes every write fail, and no read.
    #[cfg(test)]
    pub(crate) fn break_writes(&self) {
        if let Ok(file) = File::open(&self.path) {
            self.lock().content = Content::File(file);
        }
    }

    fn usable(&self) -> Result<MutexGuard<'_, Inner>, SafeDbError> {
        let inner = self.lock();
        if inner.failed { Err(SafeDbError::Failed) } else { Ok(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SafeDb {
    fn drop(&mut self) {
        // What cannot be written now is derived again after the next start.
        if let Err(error) = self.flush()
            && !matches!(error, SafeDbError::Failed)
        {
            warn!(target: "opal::node", %error, "the newest safe head is not recorded");
        }
    }
}

impl Content {
    fn read_at(&mut self, out: &mut [u8; RECORD], offset: u64) -> io::Result<()> {
        match self {
            Self::File(file) => {
                file.seek(SeekFrom::Start(offset))?;
                file.read_exact(out)
            }
            Self::Memory(bytes) => {
                let found = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
                let found = found.and_then(|rest| rest.first_chunk());
                *out = *found.ok_or(io::ErrorKind::UnexpectedEof)?;
                Ok(())
            }
        }
    }

    /// Writes at the end, which is at this offset; what is written lasts when this returns.
    fn write_at(&mut self, record: &[u8; RECORD], offset: u64) -> io::Result<()> {
        match self {
            Self::File(file) => {
                file.seek(SeekFrom::Start(offset))?;
                file.write_all(record)?;
                file.sync_data()
            }
            Self::Memory(bytes) => {
                bytes.extend_from_slice(record);
                Ok(())
            }
        }
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        match self {
            Self::File(file) => {
                file.set_len(len)?;
                file.sync_data()
            }
            Self::Memory(bytes) => {
                bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
                Ok(())
            }
        }
    }
}

impl Inner {
    fn read(&mut self, index: u64, path: &Path) -> Result<SafeHeadRecord, SafeDbError> {
        let mut bytes = [0; RECORD];
        self.content
            .read_at(&mut bytes, file_end(index))
            .map_err(|error| SafeDbError::Io { path: path.to_owned(), error })?;
        decode(&bytes, index).ok_or_else(|| SafeDbError::Damaged {
            path: path.to_owned(),
            index,
            reason: "its checksum is wrong",
        })
    }

    /// How many records are at or before this L1 block number.
    fn count_up_to(&mut self, number: u64, path: &Path) -> Result<u64, SafeDbError> {
        self.count(path, |record| record.l1_block.number <= number)
    }

    /// How many records, from the oldest on, are as asked for.
    fn count(
        &mut self,
        path: &Path,
        is: impl Fn(&SafeHeadRecord) -> bool,
    ) -> Result<u64, SafeDbError> {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low + (high - low) / 2;
            if is(&self.read(middle, path)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn flush(&mut self, path: &Path) -> Result<(), SafeDbError> {
        let Some(new) = self.open else { return Ok(()) };
        let mut keep = self.count_up_to(new.l1_block.number, path)?;
        if let Some(index) = keep.checked_sub(1)
            && self.read(index, path)? == new
        {
            // Derived again; what comes later stands until derivation says otherwise.
            self.open = None;
            return Ok(());
        }
        // Records that contradict the new one, and all after them, come from rules or an L1 chain
        // that no longer count. So do those that were ahead of the L1 and are passed over:
        // derivation had less in its blocks up to the new one.
        while let Some(index) = keep.checked_sub(1) {
            let last = self.read(index, path)?;
            if last.l1_block.number < new.l1_block.number
                && last.safe_head.number < new.safe_head.number
                && self.before.is_none_or(|before| last.safe_head.number <= before)
            {
                break;
            }
            keep = index;
        }
        self.truncate(keep, path)?;
        self.append(&new).map_err(|error| SafeDbError::Io { path: path.to_owned(), error })?;
        self.open = None;
        Ok(())
    }

    fn truncate(&mut self, len: u64, path: &Path) -> Result<(), SafeDbError> {
        if len >= self.len && !self.broken_end {
            return Ok(());
        }
        let len = len.min(self.len);
        self.content
            .cut(file_end(len))
            .map_err(|error| SafeDbError::Io { path: path.to_owned(), error })?;
        self.len = len;
        self.broken_end = false;
        Ok(())
    }

    fn append(&mut self, record: &SafeHeadRecord) -> io::Result<()> {
        self.broken_end = true;
        self.content.write_at(&encode(record, self.len), file_end(self.len))?;
        self.broken_end = false;
        self.len += 1;
        Ok(())
    }
}

/// Size of a file with this many records; where the next one begins.
const fn file_end(records: u64) -> u64 {
    (records + 1) * RECORD as u64
}

fn seal(bytes: &mut [u8; RECORD], index: u64) {
    let sum = checksum(&bytes[..CONTENT], index);
    bytes[CONTENT..].copy_from_slice(&sum.to_be_bytes());
}

/// The checksum covers the place, so that a record is not taken for one at another place.
fn checksum(content: &[u8], index: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&index.to_be_bytes());
    hasher.update(content);
    hasher.finalize()
}

fn header(chain_id: u64, genesis: B256) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    bytes[..16].copy_from_slice(MAGIC);
    bytes[16..24].copy_from_slice(&chain_id.to_be_bytes());
    bytes[24..56].copy_from_slice(genesis.as_slice());
    seal(&mut bytes, u64::MAX);
    bytes
}

/// What makes a header another one's.
fn foreign(found: &[u8; RECORD], chain_id: u64) -> String {
    if found[..16] != *MAGIC {
        return "it is another file".to_owned();
    }
    let mut id = [0; 8];
    id.copy_from_slice(&found[16..24]);
    match u64::from_be_bytes(id) {
        id if id != chain_id => format!("it belongs to the chain {id}"),
        _ => "it belongs to another genesis, or its header is damaged".to_owned(),
    }
}

fn encode(record: &SafeHeadRecord, index: u64) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    for (id, at) in [(&record.l1_block, 0), (&record.safe_head, 40)] {
        bytes[at..at + 8].copy_from_slice(&id.number.to_be_bytes());
        bytes[at + 8..at + 40].copy_from_slice(id.hash.as_slice());
    }
    seal(&mut bytes, index);
    bytes
}

fn decode(bytes: &[u8; RECORD], index: u64) -> Option<SafeHeadRecord> {
    let id = |at: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&bytes[at..at + 8]);
        BlockId {
            hash: B256::from_slice(&bytes[at + 8..at + 40]),
            number: u64::from_be_bytes(number),
        }
    };
    let sum = checksum(&bytes[..CONTENT], index).to_be_bytes();
    (bytes[CONTENT..] == sum).then(|| SafeHeadRecord { l1_block: id(0), safe_head: id(40) })
}

/// Reads all records from where the file stands, which has `bytes` left. Returns how many there
/// are without the last one, if that is incomplete.
fn check(file: &mut File, path: &Path, bytes: u64) -> Result<u64, SafeDbError> {
    let records = bytes / RECORD as u64;
    let torn = !bytes.is_multiple_of(RECORD as u64);
    let damaged = |index, reason| SafeDbError::Damaged { path: path.to_owned(), index, reason };
    let mut buffer = vec![0; CHUNK * RECORD];
    let mut last: Option<SafeHeadRecord> = None;
    let mut index = 0;
    while index < records {
        let count = usize::try_from(records - index).unwrap_or(CHUNK).min(CHUNK);
        let chunk = &mut buffer[..count * RECORD];
        file.read_exact(chunk).map_err(|error| SafeDbError::Io { path: path.to_owned(), error })?;
        for bytes in chunk.as_chunks::<RECORD>().0 {
            let Some(record) = decode(bytes, index) else {
                if index + 1 == records && !torn {
                    return Ok(index);
                }
                return Err(damaged(index, "its checksum is wrong"));
            };
            if let Some(last) = last
                && (last.l1_block.number >= record.l1_block.number
                    || last.safe_head.number >= record.safe_head.number)
            {
                return Err(damaged(index, "it is not above the one before"));
            }
            last = Some(record);
            index += 1;
        }
    }
    Ok(records)
}

#[cfg(test)]
#[path = "safe_db_tests.rs"]
mod tests;

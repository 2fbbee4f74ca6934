//! Blocks of the canonical chain, one after the other.
//!
//! ```text
//!   blocks.index        header · entry · entry · …        64 bytes each, so block n is one read away
//!   blocks.blooms       a bloom for each entry (see `blooms`)
//!   blocks-00000.data   header · body · results │ header · body · results │ …       up to 1 GiB
//!   blocks-00001.data   …
//! ```
//! How many blocks count is written in the journal; whatever lies beyond is the rest of a flush
//! that was interrupted or taken back, and is overwritten.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy_consensus::Header;
use alloy_primitives::{B256, Bloom};

use super::DiskError;
use super::blooms::Blooms;
use super::codec::{self, MIN_PART, Parts};
use super::file::{DataFile, delete, names, numbered, sync_dir};
use crate::chain::StoredBlock;

const MAGIC: &[u8; 16] = b"opal blocks   1\n";
/// Bytes of an entry of the index, and of its header.
const ENTRY: usize = 64;
/// A data file ends before it would grow beyond this.
const MAX_FILE: u64 = 1 << 30;
/// Blooms that are made again at a time.
const MADE_AT_ONCE: u64 = 1_024;

/// Where a block lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub hash: B256,
    file: u32,
    offset: u32,
    header: u32,
    body: u32,
    results: u32,
}

impl Entry {
    fn size(&self) -> u64 {
        u64::from(self.header) + u64::from(self.body) + u64::from(self.results)
    }

    fn encode(&self, number: u64) -> [u8; ENTRY] {
        let mut out = [0; ENTRY];
        out[..32].copy_from_slice(self.hash.as_slice());
        let words = [self.file, self.offset, self.header, self.body, self.results];
        for (place, word) in out[32..52].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        out[52..60].copy_from_slice(&number.to_le_bytes());
        let sum = crc32fast::hash(&out[..60]);
        out[60..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8; ENTRY], number: u64) -> Option<Self> {
        let word =
            |at: usize| bytes[at..].first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        let sound = crc32fast::hash(&bytes[..60]) == word(60)
            && bytes[52..60] == number.to_le_bytes()
            && [40, 44, 48].into_iter().all(|at| word(at) >= MIN_PART);
        sound.then(|| Self {
            hash: B256::from_slice(&bytes[..32]),
            file: word(32),
            offset: word(36),
            header: word(40),
            body: word(44),
            results: word(48),
        })
    }
}

/// The block files. Reading needs no lock; one thread at a time appends or cuts.
#[derive(Debug)]
pub(crate) struct Segments {
    dir: PathBuf,
    /// Number of the first block.
    first: u64,
    /// Blocks that count.
    count: AtomicU64,
    index: DataFile,
    blooms: Blooms,
    data: Mutex<BTreeMap<u32, Arc<DataFile>>>,
    /// The end of what is written, which may be beyond what counts.
    end: Mutex<End>,
}

#[derive(Clone, Copy, Debug)]
struct End {
    blocks: u64,
    file: u32,
    offset: u64,
}

fn data_name(number: u32) -> String {
    format!("blocks-{number:05}.data")
}

fn index_header(first: u64) -> [u8; ENTRY] {
    let mut header = [0; ENTRY];
    header[..16].copy_from_slice(MAGIC);
    header[16..24].copy_from_slice(&first.to_le_bytes());
    let sum = crc32fast::hash(&header[..24]);
    header[24..28].copy_from_slice(&sum.to_le_bytes());
    header
}

const fn entry_offset(block: u64) -> u64 {
    (block + 1) * ENTRY as u64
}

impl Segments {
    /// Files without a block, of which the first will have this number.
    pub fn create(dir: &Path, first: u64) -> Result<Self, DiskError> {
        let index = DataFile::create(dir.join("blocks.index"))?;
        index.write_at(&index_header(first), 0)?;
        index.sync()?;
        for name in names(dir)? {
            if numbered(&name, "blocks-", ".data").is_some() {
                delete(&dir.join(name))?;
            }
        }
        let blooms = Blooms::create(dir, first)?;
        sync_dir(dir)?;
        Ok(Self::new(dir, first, 0, index, blooms))
    }

    fn new(dir: &Path, first: u64, count: u64, index: DataFile, blooms: Blooms) -> Self {
        Self {
            dir: dir.to_owned(),
            first,
            count: AtomicU64::new(count),
            index,
            blooms,
            data: Mutex::default(),
            end: Mutex::new(End { blocks: count, file: 0, offset: 0 }),
        }
    }

    /// Opens the files and cuts them to the blocks that count. Blooms are made again where there
    /// are none; `keep_blooms` is false when those that are there may be of other blocks.
    pub fn open(dir: &Path, first: u64, count: u64, keep_blooms: bool) -> Result<Self, DiskError> {
        let index = DataFile::open(dir.join("blocks.index"), true)?;
        let mut header = [0; ENTRY];
        index.read_at(&mut header, 0)?;
        if header != index_header(first) {
            return Err(DiskError::damaged(&index.path, 0, "its header is wrong"));
        }
        let length = index.len()?;
        if first.checked_add(count).is_none() || count >= length / ENTRY as u64 {
            let reason = format!("it ends before block {count} from {first} on");
            return Err(DiskError::damaged(&index.path, length, reason));
        }
        let blooms = match keep_blooms {
            true => Blooms::open(dir, first)?,
            false => None,
        };
        let blooms = blooms.map_or_else(|| Blooms::create(dir, first), Ok)?;
        let segments = Self::new(dir, first, count, index, blooms);
        segments.make_blooms(count)?;
        segments.cut(count)?;
        Ok(segments)
    }

    /// Makes the blooms that are missing from the headers.
    fn make_blooms(&self, count: u64) -> Result<(), DiskError> {
        let found = self.blooms.count()?;
        if found >= count {
            return Ok(());
        }
        tracing::info!(target: "opal::execution", blocks = count - found, path = %self.dir.display(),
            "the index of blooms is made from the headers");
        let mut place = found;
        while place < count {
            let next = count.min(place + MADE_AT_ONCE);
            let blooms: Result<Vec<Bloom>, DiskError> = (place..next)
                .map(|place| Ok(self.header(&self.entry_at(place)?)?.logs_bloom))
                .collect();
            self.blooms.write(place, blooms?.iter())?;
            place = next;
        }
        self.blooms.sync()?;
        sync_dir(&self.dir)
    }

    /// Number of the first block.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// Blocks that count.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Says how many of the blocks that were appended and synced count.
    pub fn publish(&self, count: u64) {
        self.count.store(count, Ordering::Release);
    }

    /// Cuts the files after this many blocks. What is cut must not count any more.
    pub fn cut(&self, count: u64) -> Result<(), DiskError> {
        let (file, offset) = match count.checked_sub(1) {
            None => (0, 0),
            Some(last) => {
                let entry = self.entry_at(last)?;
                (entry.file, u64::from(entry.offset) + entry.size())
            }
        };
        self.index.cut(entry_offset(count))?;
        self.blooms.cut(count)?;
        for name in names(&self.dir)? {
            let number = numbered(&name, "blocks-", ".data");
            if number.is_some_and(|number| number > u64::from(file)) {
                delete(&self.dir.join(name))?;
            }
        }
        self.files().retain(|number, _| *number <= file);
        if count > 0 {
            self.data(file)?.cut(offset)?;
        }
        *self.end() = End { blocks: count, file, offset };
        Ok(())
    }

    /// Writes blocks behind the last one that was written. They do not count yet.
    pub fn append(&self, blocks: &[Arc<StoredBlock>]) -> Result<(), DiskError> {
        let mut end = *self.end();
        let mut entries = Vec::with_capacity(blocks.len() * ENTRY);
        // One write for each file.
        let mut pending: Vec<u8> = Vec::new();
        for block in blocks {
            let Parts { header, body, results } = Parts::of(block);
            let size = (header.len() + body.len() + results.len()) as u64;
            let used = end.offset + pending.len() as u64;
            if used > 0 && used + size > MAX_FILE {
                self.write(&end, &pending)?;
                pending.clear();
                end = End { blocks: end.blocks, file: end.file + 1, offset: 0 };
            }
            let entry = Entry {
                hash: block.block.hash,
                file: end.file,
                // Below `MAX_FILE`, as are the parts of a block.
                offset: (end.offset + pending.len() as u64) as u32,
                header: header.len() as u32,
                body: body.len() as u32,
                results: results.len() as u32,
            };
            for part in [&header, &body, &results] {
                pending.extend_from_slice(part);
            }
            let place = end.blocks + (entries.len() / ENTRY) as u64;
            entries.extend_from_slice(&entry.encode(self.first + place));
        }
        self.write(&end, &pending)?;
        end.offset += pending.len() as u64;
        self.blooms.write(end.blocks, blocks.iter().map(|b| &b.block.header().logs_bloom))?;
        self.blooms.sync()?;
        self.index.write_at(&entries, entry_offset(end.blocks))?;
        end.blocks += blocks.len() as u64;
        *self.end() = end;
        self.index.sync()
    }

    /// Writes at the end of a data file, and syncs it.
    fn write(&self, end: &End, bytes: &[u8]) -> Result<(), DiskError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let file = if end.offset == 0 {
            let file = Arc::new(DataFile::create(self.dir.join(data_name(end.file)))?);
            sync_dir(&self.dir)?;
            self.files().insert(end.file, file.clone());
            file
        } else {
            self.data(end.file)?
        };
        file.write_at(bytes, end.offset)?;
        file.sync()
    }

    /// Where a block lies; `None` for a number that is not here.
    pub fn entry(&self, number: u64) -> Result<Option<Entry>, DiskError> {
        match number.checked_sub(self.first) {
            Some(place) if place < self.count() => match self.entry_at(place) {
                // Taken back, and perhaps overwritten, while it was read.
                Err(_) if place >= self.count() => Ok(None),
                entry => entry.map(Some),
            },
            _ => Ok(None),
        }
    }

    fn entry_at(&self, place: u64) -> Result<Entry, DiskError> {
        let mut bytes = [0; ENTRY];
        let offset = entry_offset(place);
        self.index.read_at(&mut bytes, offset)?;
        Entry::decode(&bytes, self.first + place)
            .ok_or_else(|| DiskError::damaged(&self.index.path, offset, "an entry is wrong"))
    }

    /// Blooms of the blocks of these numbers, all of which must be here.
    pub fn blooms(&self, from: u64, to: u64) -> Result<Vec<Bloom>, DiskError> {
        let Some(place) = from.checked_sub(self.first) else { return Ok(Vec::new()) };
        let count = to.saturating_add(1).saturating_sub(from);
        self.blooms.read(place, count as usize)
    }

    /// The header at an entry.
    pub fn header(&self, entry: &Entry) -> Result<Header, DiskError> {
        let file = self.data(entry.file)?;
        let bytes = file.read_vec(entry.header as usize, entry.offset.into())?;
        codec::header(&bytes, &entry.hash)
            .map_err(|reason| DiskError::damaged(&file.path, entry.offset.into(), reason))
    }

    /// The block at an entry, and the bytes that it takes here.
    pub fn block(&self, entry: &Entry) -> Result<(StoredBlock, u64), DiskError> {
        let file = self.data(entry.file)?;
        let offset = u64::from(entry.offset) + u64::from(entry.header);
        let bytes = file.read_vec(entry.body as usize + entry.results as usize, offset)?;
        let (body, results) = bytes.split_at(entry.body as usize);
        let block = codec::block(body, results, &entry.hash)
            .map_err(|reason| DiskError::damaged(&file.path, offset, reason))?;
        Ok((block, entry.size()))
    }

    /// Reads every block that counts and compares what belongs together; `each` is given them in
    /// order.
    pub fn check(
        &self,
        mut each: impl FnMut(u64, &StoredBlock) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        let mut parent = None;
        for place in 0..self.count() {
            let entry = self.entry_at(place)?;
            let header = self.header(&entry)?;
            let wrong = |what: &str| {
                DiskError::damaged(&self.index.path, entry_offset(place), what.to_owned())
            };
            if header.number != self.first + place {
                return Err(wrong("it leads to a block of another number"));
            }
            if parent.is_some_and(|parent| parent != header.parent_hash) {
                return Err(wrong("the block does not follow the one before it"));
            }
            if self.blooms.read(place, 1)? != [header.logs_bloom] {
                return Err(wrong("the bloom in blocks.blooms is not the block's"));
            }
            let (block, _) = self.block(&entry)?;
            each(header.number, &block)?;
            parent = Some(entry.hash);
        }
        Ok(())
    }

    /// Bytes of index, blooms and data files.
    pub fn bytes(&self) -> Result<u64, DiskError> {
        let mut bytes = self.index.len()? + self.blooms.bytes()?;
        for name in names(&self.dir)? {
            if numbered(&name, "blocks-", ".data").is_some() {
                let path = self.dir.join(name);
                bytes += std::fs::metadata(&path).map_err(DiskError::io(&path, "read"))?.len();
            }
        }
        Ok(bytes)
    }

    fn data(&self, number: u32) -> Result<Arc<DataFile>, DiskError> {
        if let Some(file) = self.files().get(&number) {
            return Ok(file.clone());
        }
        // All are opened for writing, since any may become the last one again.
        let file = Arc::new(DataFile::open(self.dir.join(data_name(number)), true)?);
        self.files().insert(number, file.clone());
        Ok(file)
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<DataFile>>> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

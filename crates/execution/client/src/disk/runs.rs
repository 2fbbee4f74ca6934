//! Finds blocks and transactions by their hashes.
//!
//! Each flush writes one sorted run; eight runs of about one size become one. An entry is the first
//! 8 bytes of a hash and a place (block number, and index in it), so a look-up gives *candidates*,
//! which the caller compares with the block itself. That makes stale entries harmless: what a
//! reorg takes back need not be deleted here, and a transaction that comes again gets a second
//! entry.
//!
//! ```text
//!   index-000000000007.run    header │ page │ page │ …
//!   page (4096 bytes)         checksum · number of entries · 255 × (key · place)
//! ```
//! Hashes are spread evenly, so the page of one is guessed from its value and found after a look
//! or two.

use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use alloy_primitives::B256;

use super::DiskError;
use super::file::{DataFile, delete, names, numbered, sync_dir};
use super::record::RunId;

const MAGIC: &[u8; 16] = b"opal index    1\n";
const PAGE: usize = 4096;
const PAGE_HEADER: usize = 16;
const ENTRY: usize = 16;
const PER_PAGE: usize = (PAGE - PAGE_HEADER) / ENTRY;
/// Runs of one size that become one.
const FAN: usize = 8;
/// Entries of the smallest size.
const SMALLEST: u64 = 4096;
/// Guesses by value before the search halves what is left: hashes can be chosen by somebody.
const GUESSES: usize = 4;

/// Where something is in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Number of the block.
    pub number: u64,
    /// Index of the transaction in it; `None` for the block itself.
    pub index: Option<u32>,
}

/// Bits of a place that hold the index.
const INDEX_BITS: u32 = 24;
const INDEX_NONE: u64 = (1 << INDEX_BITS) - 1;

/// Key and place, in the order of the file.
pub(crate) type IndexEntry = (u64, u64);

impl Place {
    /// The highest number of a block that can be written down.
    pub const MAX_NUMBER: u64 = u64::MAX >> INDEX_BITS;

    fn encode(self) -> u64 {
        let index = self.index.map_or(INDEX_NONE, u64::from);
        (self.number << INDEX_BITS) | index.min(INDEX_NONE)
    }

    const fn decode(place: u64) -> Self {
        let index = place & INDEX_NONE;
        let index = if index == INDEX_NONE { None } else { Some(index as u32) };
        Self { number: place >> INDEX_BITS, index }
    }

    /// The entry of something with this hash at this place.
    pub fn entry(self, hash: &B256) -> IndexEntry {
        (key(hash), self.encode())
    }
}

fn key(hash: &B256) -> u64 {
    hash.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// One sorted file.
#[derive(Debug)]
struct Run {
    id: RunId,
    file: DataFile,
}

fn name(id: u64) -> String {
    format!("index-{id:012}.run")
}

impl Run {
    fn open(dir: &Path, id: RunId) -> Result<Self, DiskError> {
        let run = Self { id, file: DataFile::open(dir.join(name(id.id)), false)? };
        let mut header = [0; 32];
        run.file.read_at(&mut header, 0)?;
        if header != run_header(&id) {
            return Err(DiskError::damaged(&run.file.path, 0, "its header is wrong"));
        }
        let found = run.file.len()?;
        let expected = (run.pages() + 1).checked_mul(PAGE as u64);
        if expected != Some(found) || id.id == u64::MAX {
            let reason = format!("it has {found} bytes, too many or too few for {id:?}");
            return Err(DiskError::damaged(&run.file.path, found, reason));
        }
        Ok(run)
    }

    /// Writes a run of entries that come in order.
    fn write(
        dir: &Path,
        id: RunId,
        mut entries: impl Iterator<Item = Result<IndexEntry, DiskError>>,
    ) -> Result<Self, DiskError> {
        let file = DataFile::create(dir.join(name(id.id)))?;
        let mut out = vec![0; PAGE];
        out[..32].copy_from_slice(&run_header(&id));
        let mut written = 0;
        loop {
            let mut page = [0; PAGE];
            let mut count = 0;
            for place in page[PAGE_HEADER..].chunks_exact_mut(ENTRY) {
                let Some(entry) = entries.next() else { break };
                let (key, value) = entry?;
                place[..8].copy_from_slice(&key.to_be_bytes());
                place[8..].copy_from_slice(&value.to_be_bytes());
                count += 1u32;
            }
            if count == 0 {
                break;
            }
            page[4..8].copy_from_slice(&count.to_le_bytes());
            let sum = crc32fast::hash(&page[4..]);
            page[..4].copy_from_slice(&sum.to_le_bytes());
            out.extend_from_slice(&page);
            if out.len() >= 256 * PAGE {
                file.write_at(&out, written)?;
                written += out.len() as u64;
                out.clear();
            }
        }
        file.write_at(&out, written)?;
        file.sync()?;
        Ok(Self { id, file })
    }

    const fn pages(&self) -> u64 {
        self.id.entries.div_ceil(PER_PAGE as u64)
    }

    fn page(&self, page: u64) -> Result<Page, DiskError> {
        let mut bytes = [0; PAGE];
        let offset = (page + 1) * PAGE as u64;
        self.file.read_at(&mut bytes, offset)?;
        let word = |at: usize| bytes[at..].first_chunk().map_or(0, |w| u32::from_le_bytes(*w));
        let count = word(4) as usize;
        if crc32fast::hash(&bytes[4..]) != word(0) || count == 0 || count > PER_PAGE {
            return Err(DiskError::damaged(&self.file.path, offset, "the checksum is wrong"));
        }
        Ok(Page { bytes, count })
    }

    /// Places of all entries with this key.
    fn find(&self, key: u64, found: &mut Vec<Place>) -> Result<(), DiskError> {
        let pages =
            |distance: u64| ((u128::from(distance) * u128::from(self.pages())) >> 64) as u64;
        // The first page whose last key is not below the key is in `low..=high`; it may be the
        // end of the file.
        let (mut low, mut high) = (0, self.pages());
        let (mut guess, mut looks) = (pages(key), 0);
        while low < high {
            let page = match looks {
                ..GUESSES => guess.clamp(low, high - 1),
                _ => low + (high - low) / 2,
            };
            looks += 1;
            let entries = self.page(page)?;
            let (first, last) = (entries.entry(0), entries.entry(entries.count - 1));
            if last.0 < key {
                low = page + 1;
                guess = page.saturating_add(1 + pages(key - last.0));
            } else {
                high = page;
                if first.0 < key {
                    break;
                }
                guess = page.saturating_sub(1 + pages(first.0 - key));
            }
        }
        for page in high..self.pages() {
            let entries = self.page(page)?;
            for at in entries.first_from(key)..entries.count {
                let entry = entries.entry(at);
                if entry.0 != key {
                    return Ok(());
                }
                found.push(Place::decode(entry.1));
            }
        }
        Ok(())
    }

    /// All entries in order.
    fn entries(&self) -> impl Iterator<Item = Result<IndexEntry, DiskError>> + '_ {
        (0..self.pages()).flat_map(|page| match self.page(page) {
            Ok(page) => (0..page.count).map(|at| Ok(page.entry(at))).collect::<Vec<_>>(),
            Err(error) => vec![Err(error)],
        })
    }
}

/// A page with a sound checksum; it has an entry at least.
struct Page {
    bytes: [u8; PAGE],
    count: usize,
}

impl Page {
    fn entry(&self, at: usize) -> IndexEntry {
        let number =
            |at: usize| self.bytes[at..].first_chunk().map_or(0, |b| u64::from_be_bytes(*b));
        let at = PAGE_HEADER + at * ENTRY;
        (number(at), number(at + 8))
    }

    /// The first entry whose key is not below this one.
    fn first_from(&self, key: u64) -> usize {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle).0 < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

fn run_header(id: &RunId) -> [u8; 32] {
    let mut header = [0; 32];
    header[..16].copy_from_slice(MAGIC);
    header[16..24].copy_from_slice(&id.entries.to_le_bytes());
    let mut sum = crc32fast::Hasher::new();
    sum.update(&header[..24]);
    sum.update(&id.id.to_le_bytes());
    header[24..28].copy_from_slice(&sum.finalize().to_le_bytes());
    header
}

/// The runs that count, oldest first.
#[derive(Debug)]
pub(crate) struct Runs {
    dir: PathBuf,
    runs: RwLock<Vec<Arc<Run>>>,
}

impl Runs {
    /// Opens these runs and deletes all others.
    pub fn open(dir: &Path, ids: &[RunId]) -> Result<Self, DiskError> {
        let runs: Result<Vec<_>, _> =
            ids.iter().map(|id| Run::open(dir, *id).map(Arc::new)).collect();
        let runs = Self { dir: dir.to_owned(), runs: RwLock::new(runs?) };
        runs.delete_unused()?;
        Ok(runs)
    }

    fn list(&self) -> Vec<Arc<Run>> {
        self.runs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The runs that count.
    pub fn ids(&self) -> Vec<RunId> {
        self.list().iter().map(|run| run.id).collect()
    }

    /// Where something with this hash may be; the newest places first.
    pub fn find(&self, hash: &B256) -> Result<Vec<Place>, DiskError> {
        let mut found = Vec::new();
        for run in self.list().iter().rev() {
            run.find(key(hash), &mut found)?;
        }
        Ok(found)
    }

    /// Writes a run of these entries, and merges runs where enough of one size are there. Gives the
    /// runs that count once [`Runs::publish`] is called.
    pub fn append(&self, mut entries: Vec<IndexEntry>) -> Result<NewRuns, DiskError> {
        entries.sort_unstable();
        entries.dedup();
        let mut runs = self.list();
        let mut next = runs.iter().map(|run| run.id.id).max().map_or(0, |id| id + 1);
        if !entries.is_empty() {
            let id = RunId { id: next, entries: entries.len() as u64 };
            next += 1;
            runs.push(Arc::new(Run::write(&self.dir, id, entries.into_iter().map(Ok))?));
        }
        while let Some(from) = mergeable(&runs) {
            let merged = merge(&self.dir, next, &runs[from..])?;
            next += 1;
            runs.truncate(from);
            runs.push(Arc::new(merged));
        }
        sync_dir(&self.dir)?;
        Ok(NewRuns(runs))
    }

    /// Makes the runs count that [`Runs::append`] gave; the journal names them by now.
    pub fn publish(&self, runs: NewRuns) -> Result<(), DiskError> {
        *self.runs.write().unwrap_or_else(PoisonError::into_inner) = runs.0;
        self.delete_unused()
    }

    /// Deletes the files of runs that do not count. Somebody who still reads one can go on.
    pub fn delete_unused(&self) -> Result<(), DiskError> {
        let used: Vec<u64> = self.list().iter().map(|run| run.id.id).collect();
        for file in names(&self.dir)? {
            if numbered(&file, "index-", ".run").is_some_and(|id| !used.contains(&id)) {
                delete(&self.dir.join(file))?;
            }
        }
        Ok(())
    }

    /// Reads every page; `each` is given all entries.
    pub fn check(
        &self,
        mut each: impl FnMut(u64, Place) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        for run in self.list() {
            let (mut count, mut before) = (0, None);
            for entry in run.entries() {
                let entry = entry?;
                if before >= Some(entry) {
                    return Err(DiskError::damaged(&run.file.path, 0, "entries are not in order"));
                }
                (before, count) = (Some(entry), count + 1);
                each(entry.0, Place::decode(entry.1))?;
            }
            if count != run.id.entries {
                return Err(DiskError::damaged(&run.file.path, 0, "entries are missing"));
            }
        }
        Ok(())
    }

    /// Bytes of all runs.
    pub fn bytes(&self) -> u64 {
        self.list().iter().map(|run| (run.pages() + 1) * PAGE as u64).sum()
    }
}

/// Runs that were written and do not count yet.
#[derive(Debug)]
pub(crate) struct NewRuns(Vec<Arc<Run>>);

impl NewRuns {
    pub fn ids(&self) -> Vec<RunId> {
        self.0.iter().map(|run| run.id).collect()
    }
}

/// How often the smallest size fits into a run by factors of [`FAN`].
fn level(entries: u64) -> u32 {
    (entries / SMALLEST).checked_ilog(FAN as u64).map_or(0, |log| log + 1)
}

/// From where on the newest runs are of one size and enough to become one.
fn mergeable(runs: &[Arc<Run>]) -> Option<usize> {
    let newest = level(runs.last()?.id.entries);
    let same = runs.iter().rev().take_while(|run| level(run.id.entries) <= newest).count();
    (same >= FAN).then(|| runs.len() - same)
}

fn merge(dir: &Path, id: u64, runs: &[Arc<Run>]) -> Result<Run, DiskError> {
    // Equal entries come once: those of blocks that were written again after a reorg.
    let count = Merged::new(runs)?.try_fold(0, |n, entry| entry.map(|_| n + 1))?;
    Run::write(dir, RunId { id, entries: count }, Merged::new(runs)?)
}

/// The entries of several runs in order, each once.
struct Merged<'a> {
    sources: Vec<Box<dyn Iterator<Item = Result<IndexEntry, DiskError>> + 'a>>,
    heap: BinaryHeap<std::cmp::Reverse<(IndexEntry, usize)>>,
    failed: Option<DiskError>,
    last: Option<IndexEntry>,
}

impl<'a> Merged<'a> {
    fn new(runs: &'a [Arc<Run>]) -> Result<Self, DiskError> {
        let mut sources: Vec<Box<dyn Iterator<Item = _> + 'a>> = Vec::new();
        let mut heap = BinaryHeap::new();
        for (source, run) in runs.iter().enumerate() {
            let mut entries = run.entries();
            if let Some(first) = entries.next() {
                heap.push(std::cmp::Reverse((first?, source)));
            }
            sources.push(Box::new(entries));
        }
        Ok(Self { sources, heap, failed: None, last: None })
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<IndexEntry, DiskError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(error) = self.failed.take() {
                return Some(Err(error));
            }
            let std::cmp::Reverse((entry, source)) = self.heap.pop()?;
            match self.sources.get_mut(source).and_then(Iterator::next) {
                Some(Ok(next)) => self.heap.push(std::cmp::Reverse((next, source))),
                Some(Err(error)) => self.failed = Some(error),
                None => {}
            }
            if self.last != Some(entry) {
                self.last = Some(entry);
                return Some(Ok(entry));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloy_primitives::keccak256;

    fn hash(n: u64) -> B256 {
        keccak256(n.to_be_bytes())
    }

    fn place(n: u64) -> Place {
        Place { number: n / 10, index: (!n.is_multiple_of(10)).then_some((n % 10) as u32) }
    }

    #[test]
    fn what_is_written_is_found_through_merges() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::open(dir.path(), &[]).unwrap();
        for batch in 0..40u64 {
            let entries = (batch * 300..(batch + 1) * 300).map(|n| place(n).entry(&hash(n)));
            let new = runs.append(entries.collect()).unwrap();
            runs.publish(new).unwrap();
        }
        let runs = Runs::open(dir.path(), &runs.ids()).unwrap();
        assert!(runs.ids().len() < 2 * FAN, "{:?}", runs.ids());
        for n in 0..12_000 {
            assert_eq!(runs.find(&hash(n)).unwrap(), [place(n)], "{n}");
        }
        for n in 12_000..13_000 {
            assert!(runs.find(&hash(n)).unwrap().is_empty());
        }
        let mut seen = 0;
        runs.check(|_, _| {
            seen += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, 12_000);
        let files = names(dir.path()).unwrap().len();
        assert_eq!(files, runs.ids().len(), "runs that do not count are deleted");
    }

    #[test]
    fn keys_that_somebody_chose_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::open(dir.path(), &[]).unwrap();
        // All hashes close together, and one key over several pages.
        let close = |n: u64| B256::from(alloy_primitives::U256::from(n + 5) << 192);
        let mut entries: Vec<_> = (0..3000).map(|n| place(n).entry(&close(n))).collect();
        entries.extend((0..1000).map(|n| place(n).entry(&close(1500))));
        let new = runs.append(entries).unwrap();
        runs.publish(new).unwrap();
        for n in (0..3000).filter(|n| *n != 1500) {
            assert_eq!(runs.find(&close(n)).unwrap(), [place(n)], "{n}");
        }
        assert_eq!(runs.find(&close(1500)).unwrap().len(), 1001);
        assert!(runs.find(&B256::ZERO).unwrap().is_empty());
        assert!(runs.find(&B256::repeat_byte(0xff)).unwrap().is_empty());
    }
}

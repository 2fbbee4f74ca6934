//! Which states are on the disk: the list of state roots, oldest first.
//!
//! ```text
//!   roots-00000     header │ block number · state root · position · checksum │ …   64 bytes each
//! ```

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use alloy_primitives::B256;

use super::DiskError;
use super::file::{DataFile, delete, names, numbered, sync_dir};

const MAGIC: &[u8; 16] = b"opal roots    1\n";
const ENTRY: usize = 64;

/// A state on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    /// The block that it is the state after.
    pub number: u64,
    /// The state root.
    pub hash: B256,
    /// Where the state store has it.
    pub position: u64,
    /// The oldest segment of the state store that it needs.
    pub oldest: u32,
}

impl Root {
    fn encode(&self) -> [u8; ENTRY] {
        let mut out = [0; ENTRY];
        out[..8].copy_from_slice(&self.number.to_le_bytes());
        out[8..40].copy_from_slice(self.hash.as_slice());
        out[40..48].copy_from_slice(&self.position.to_le_bytes());
        out[48..52].copy_from_slice(&self.oldest.to_le_bytes());
        let sum = crc32fast::hash(&out[..60]);
        out[60..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8; ENTRY]) -> Option<Self> {
        let number = |at: usize| bytes[at..].first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
        let sum = crc32fast::hash(&bytes[..60]).to_le_bytes();
        (bytes[60..] == sum).then(|| Self {
            number: number(0),
            hash: B256::from_slice(&bytes[8..40]),
            position: number(40),
            oldest: bytes[48..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b)),
        })
    }
}

/// The list, held in memory whole.
#[derive(Debug)]
pub(crate) struct Roots {
    dir: PathBuf,
    list: RwLock<List>,
}

#[derive(Debug)]
struct List {
    number: u64,
    file: Arc<DataFile>,
    /// Those that count.
    roots: Vec<Root>,
}

/// What a flush has written, and what counts once it is committed.
#[derive(Debug)]
pub(crate) enum NewRoots {
    /// One more in the file that there is.
    One(Root),
    /// A new file, without the oldest ones.
    List {
        /// Its number.
        number: u64,
        /// The file.
        file: Arc<DataFile>,
        /// What is in it.
        roots: Vec<Root>,
    },
}

fn name(number: u64) -> String {
    format!("roots-{number:05}")
}

const fn offset(count: usize) -> u64 {
    ((count + 1) * ENTRY) as u64
}

/// Roots that have become too old before the list is written anew; in tests, short chains get there.
const OUTDATED: usize = if cfg!(test) { 4 } else { 32 };

fn write_list(dir: &Path, number: u64, roots: &[Root]) -> Result<Arc<DataFile>, DiskError> {
    let file = DataFile::create(dir.join(name(number)))?;
    let mut bytes = vec![0; ENTRY];
    bytes[..16].copy_from_slice(MAGIC);
    roots.iter().for_each(|root| bytes.extend_from_slice(&root.encode()));
    file.write_at(&bytes, 0)?;
    file.sync()?;
    sync_dir(dir)?;
    Ok(Arc::new(file))
}

impl Roots {
    /// Writes the first list.
    pub fn create(dir: &Path, roots: Vec<Root>) -> Result<Self, DiskError> {
        let file = write_list(dir, 0, &roots)?;
        let list = RwLock::new(List { number: 0, file, roots });
        Ok(Self { dir: dir.to_owned(), list })
    }

    /// Opens a list, cuts it to what counts and deletes all others.
    pub fn open(dir: &Path, number: u64, count: u64) -> Result<Self, DiskError> {
        let file = DataFile::open(dir.join(name(number)), true)?;
        let count = usize::try_from(count)
            .ok()
            .filter(|count| count.checked_add(1).is_some_and(|n| n.checked_mul(ENTRY).is_some()))
            .ok_or_else(|| DiskError::damaged(&file.path, 0, format!("{count} roots")))?;
        file.cut(offset(count))?;
        let mut bytes = vec![0; offset(count) as usize];
        file.read_at(&mut bytes, 0)?;
        if !bytes.starts_with(MAGIC) {
            return Err(DiskError::damaged(&file.path, 0, "its header is wrong"));
        }
        let mut roots = Vec::with_capacity(count);
        for entry in bytes.as_chunks::<ENTRY>().0.iter().skip(1) {
            let root = Root::decode(entry).ok_or_else(|| {
                DiskError::damaged(&file.path, offset(roots.len()), "a checksum is wrong")
            })?;
            roots.push(root);
        }
        let list = RwLock::new(List { number, file: Arc::new(file), roots });
        let roots = Self { dir: dir.to_owned(), list };
        roots.delete_others()?;
        Ok(roots)
    }

    fn delete_others(&self) -> Result<(), DiskError> {
        let used = self.number();
        for file in names(&self.dir)? {
            if numbered(&file, "roots-", "").is_some_and(|number| number != used) {
                delete(&self.dir.join(file))?;
            }
        }
        Ok(())
    }

    fn list(&self) -> RwLockReadGuard<'_, List> {
        self.list.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, List> {
        self.list.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of the list's file.
    pub fn number(&self) -> u64 {
        self.list().number
    }

    /// Applies `f` to those that count, which are in the order of their numbers.
    pub fn read<R>(&self, f: impl FnOnce(&[Root]) -> R) -> R {
        f(&self.list().roots)
    }

    /// The newest root of a block at or before this one.
    pub fn at_or_before(&self, number: u64) -> Option<Root> {
        self.read(|roots| {
            let after = roots.partition_point(|root| root.number <= number);
            after.checked_sub(1).and_then(|at| roots.get(at)).copied()
        })
    }

    /// Writes a root behind those that count. Those that only states of blocks before `keep_from`
    /// need are left out now and then. None of this counts before [`Roots::publish`].
    pub fn append(&self, root: Root, keep_from: u64) -> Result<NewRoots, DiskError> {
        let list = self.list();
        let from = list.roots.partition_point(|root| root.number <= keep_from).saturating_sub(1);
        if from < OUTDATED {
            list.file.write_at(&root.encode(), offset(list.roots.len()))?;
            list.file.sync()?;
            return Ok(NewRoots::One(root));
        }
        let mut roots = list.roots.get(from..).unwrap_or_default().to_vec();
        roots.push(root);
        let number = list.number + 1;
        let file = write_list(&self.dir, number, &roots)?;
        Ok(NewRoots::List { number, file, roots })
    }

    /// Number of the file and of the roots in it, once these are published.
    pub fn after(&self, new: &NewRoots) -> (u64, u64) {
        match new {
            NewRoots::One(_) => {
                let list = self.list();
                (list.number, list.roots.len() as u64 + 1)
            }
            NewRoots::List { number, roots, .. } => (*number, roots.len() as u64),
        }
    }

    /// Makes count what was appended; the journal says so by now. Gives the oldest segment of the
    /// state store that is still needed, if fewer states are kept than before.
    pub fn publish(&self, new: NewRoots) -> Result<Option<u32>, DiskError> {
        match new {
            NewRoots::One(root) => {
                self.change().roots.push(root);
                Ok(None)
            }
            NewRoots::List { number, file, roots } => {
                let oldest = roots.iter().map(|root| root.oldest).min();
                *self.change() = List { number, file, roots };
                self.delete_others()?;
                Ok(oldest)
            }
        }
    }

    /// Forgets the roots of blocks after this one; the journal says so by now.
    pub fn truncate(&self, number: u64) {
        let mut list = self.change();
        let keep = list.roots.partition_point(|root| root.number <= number);
        list.roots.truncate(keep);
    }
}

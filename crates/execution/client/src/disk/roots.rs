//! Which states are on the disk: the list of state roots, oldest first.
//!
//! ```text
//!   roots-00000     header │ block number · state root · position · checksum │ …     64 bytes each
//! ```

use std::path::Path;
use std::sync::{PoisonError, RwLock};

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
}

impl Root {
    fn encode(&self) -> [u8; ENTRY] {
        let mut out = [0; ENTRY];
        out[..8].copy_from_slice(&self.number.to_le_bytes());
        out[8..40].copy_from_slice(self.hash.as_slice());
        out[40..48].copy_from_slice(&self.position.to_le_bytes());
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
        })
    }
}

/// The list, held in memory whole.
#[derive(Debug)]
pub(crate) struct Roots {
    number: u64,
    file: DataFile,
    /// Those that count.
    roots: RwLock<Vec<Root>>,
}

fn name(number: u64) -> String {
    format!("roots-{number:05}")
}

const fn offset(count: usize) -> u64 {
    ((count + 1) * ENTRY) as u64
}

impl Roots {
    /// Writes a list as a whole under a new number.
    pub fn create(dir: &Path, number: u64, roots: Vec<Root>) -> Result<Self, DiskError> {
        let file = DataFile::create(dir.join(name(number)))?;
        let mut bytes = vec![0; ENTRY];
        bytes[..16].copy_from_slice(MAGIC);
        roots.iter().for_each(|root| bytes.extend_from_slice(&root.encode()));
        file.write_at(&bytes, 0)?;
        file.sync()?;
        sync_dir(dir)?;
        Ok(Self { number, file, roots: RwLock::new(roots) })
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
        let roots = Self { number, file, roots: RwLock::new(roots) };
        roots.delete_others(dir)?;
        Ok(roots)
    }

    pub fn delete_others(&self, dir: &Path) -> Result<(), DiskError> {
        for file in names(dir)? {
            if numbered(&file, "roots-", "").is_some_and(|number| number != self.number) {
                delete(&dir.join(file))?;
            }
        }
        Ok(())
    }

    /// Number of the list's file.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// How many count.
    pub fn count(&self) -> usize {
        self.read(|roots| roots.len())
    }

    /// Applies `f` to those that count.
    pub fn read<R>(&self, f: impl FnOnce(&[Root]) -> R) -> R {
        f(&self.roots.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The newest root of a block at or before this one.
    pub fn at_or_before(&self, number: u64) -> Option<Root> {
        self.read(|roots| {
            let after = roots.partition_point(|root| root.number <= number);
            after.checked_sub(1).and_then(|at| roots.get(at)).copied()
        })
    }

    /// Writes a root behind those that count, and syncs it. It does not count yet.
    pub fn append(&self, root: &Root) -> Result<(), DiskError> {
        self.file.write_at(&root.encode(), offset(self.count()))?;
        self.file.sync()
    }

    /// Makes a root count that was appended.
    pub fn publish(&self, root: Root) {
        self.roots.write().unwrap_or_else(PoisonError::into_inner).push(root);
    }

    /// Forgets the roots of blocks after this one; the journal knows already.
    pub fn truncate(&self, number: u64) {
        let mut roots = self.roots.write().unwrap_or_else(PoisonError::into_inner);
        let keep = roots.partition_point(|root| root.number <= number);
        roots.truncate(keep);
    }
}

//! Contract code: each once, by its hash.
//!
//! ```text
//!  codes         header │ code │ code │ …
//!  codes.index   header │ hash: 32, offset: u64, length: u32, CRC-32 of those: u32 │ …
//! ```
//! The index is read when the store is opened: 48 bytes a contract.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, RwLock};

use alloy_primitives::map::B256Map;
use alloy_primitives::{B256, Bytes, keccak256};
use opal_evm::StateError;
use opal_evm::revm::bytecode::Bytecode;
use opal_evm::state::bytecode;

use super::StoreError;
use super::segments::{Content, HEADER, check_to_replace, create, cut, open};

const ENTRY: usize = 48;
/// Bytes of analysed code that are kept.
const CACHE_BYTES: usize = 64 << 20;

/// Where a code lies in its file.
#[derive(Clone, Copy, Debug)]
struct Extent {
    offset: u64,
    length: u32,
}

#[derive(Debug)]
pub(super) struct Codes {
    paths: [PathBuf; 2],
    data: File,
    index: File,
    known: RwLock<B256Map<Extent>>,
    cache: Mutex<Cache>,
}

/// Codes that are about to be written.
#[derive(Debug)]
pub(super) struct CodeWriter {
    /// Bytes that both files have.
    pub lengths: [u64; 2],
    data: Vec<u8>,
    index: Vec<u8>,
    added: B256Map<Extent>,
}

/// Analysed codes; when the new half is full it becomes the old half.
#[derive(Debug, Default)]
struct Cache {
    new: B256Map<Bytecode>,
    old: B256Map<Bytecode>,
    bytes: usize,
}

impl Cache {
    fn get(&mut self, hash: &B256) -> Option<Bytecode> {
        if let Some(code) = self.new.get(hash) {
            return Some(code.clone());
        }
        let code = self.old.remove(hash)?;
        self.put(*hash, code.clone());
        Some(code)
    }

    fn put(&mut self, hash: B256, code: Bytecode) {
        // The code, its padded copy's table of jumps, and the maps' own share.
        self.bytes += code.len() * 2 + 256;
        self.new.insert(hash, code);
        if self.bytes > CACHE_BYTES / 2 {
            self.old = std::mem::take(&mut self.new);
            self.bytes = 0;
        }
    }
}

impl Codes {
    /// Opens both files and cuts them to their committed lengths; without any, makes them anew.
    pub fn open(
        dir: &Path,
        genesis: &B256,
        committed: Option<[u64; 2]>,
    ) -> Result<(Self, CodeWriter), StoreError> {
        let paths = [dir.join("codes"), dir.join("codes.index")];
        let contents = [Content::Codes, Content::CodeIndex];
        let mut known = B256Map::default();
        let [data, index] = match committed {
            None => {
                check_to_replace(&paths[0], contents[0], genesis)?;
                check_to_replace(&paths[1], contents[1], genesis)?;
                [create(&paths[0], contents[0], genesis)?, create(&paths[1], contents[1], genesis)?]
            }
            Some(lengths) => {
                let data = open(&paths[0], contents[0], genesis, true)?;
                let index = open(&paths[1], contents[1], genesis, true)?;
                cut(&data, &paths[0], lengths[0])?;
                cut(&index, &paths[1], lengths[1])?;
                known = read_index(&index, &paths[1], lengths)?;
                [data, index]
            }
        };
        let writer = CodeWriter {
            lengths: committed.unwrap_or([HEADER; 2]),
            data: Vec::new(),
            index: Vec::new(),
            added: B256Map::default(),
        };
        let cache = Mutex::default();
        Ok((Self { paths, data, index, known: RwLock::new(known), cache }, writer))
    }

    /// Number of codes.
    pub fn count(&self) -> u64 {
        self.known.read().unwrap_or_else(|poisoned| poisoned.into_inner()).len() as u64
    }

    fn extent(&self, hash: &B256) -> Option<Extent> {
        self.known.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(hash).copied()
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The code with this hash, if it is stored.
    pub fn get(&self, hash: &B256) -> Result<Option<Bytecode>, StateError> {
        if let Some(code) = self.cache().get(hash) {
            return Ok(Some(code));
        }
        let Some(extent) = self.extent(hash) else { return Ok(None) };
        let damaged = |what: String| StateError::Damaged {
            file: self.paths[0].display().to_string(),
            offset: extent.offset,
            what,
        };
        let mut bytes = vec![0; extent.length as usize];
        self.data
            .read_exact_at(&mut bytes, extent.offset)
            .map_err(|error| damaged(error.to_string()))?;
        if keccak256(&bytes) != *hash {
            return Err(damaged(format!("the code has not the hash {hash}")));
        }
        let code = bytecode(Bytes::from(bytes));
        self.cache().put(*hash, code.clone());
        Ok(Some(code))
    }

    /// Takes a code to be written, unless it is there.
    pub fn add(
        &self,
        writer: &mut CodeWriter,
        hash: &B256,
        code: &Bytecode,
    ) -> Result<(), StateError> {
        if self.extent(hash).is_some() || writer.added.contains_key(hash) {
            return Ok(());
        }
        let bytes = code.original_byte_slice();
        let length = u32::try_from(bytes.len())
            .map_err(|_| StateError::Source(format!("code {hash} is longer than 4 GiB")))?;
        let extent = Extent { offset: writer.lengths[0] + writer.data.len() as u64, length };
        writer.data.extend_from_slice(bytes);
        let start = writer.index.len();
        writer.index.extend_from_slice(hash.as_slice());
        writer.index.extend_from_slice(&extent.offset.to_be_bytes());
        writer.index.extend_from_slice(&length.to_be_bytes());
        let sum = crc32fast::hash(&writer.index[start..]);
        writer.index.extend_from_slice(&sum.to_be_bytes());
        writer.added.insert(*hash, extent);
        Ok(())
    }

    /// Writes what was added, and says whether that was anything. After an error, the next call
    /// tries again.
    pub fn flush(&self, writer: &mut CodeWriter) -> Result<bool, StoreError> {
        if writer.added.is_empty() {
            return Ok(false);
        }
        let write = |file: &File, path: &Path, bytes: &[u8], at: u64| {
            file.write_all_at(bytes, at).map_err(StoreError::io(path))
        };
        write(&self.data, &self.paths[0], &writer.data, writer.lengths[0])?;
        write(&self.index, &self.paths[1], &writer.index, writer.lengths[1])?;
        writer.lengths[0] += writer.data.len() as u64;
        writer.lengths[1] += writer.index.len() as u64;
        writer.data.clear();
        writer.index.clear();
        let mut known = self.known.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        known.extend(writer.added.drain());
        Ok(true)
    }

    /// Makes what was written durable.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.data.sync_data().map_err(StoreError::io(&self.paths[0]))?;
        self.index.sync_data().map_err(StoreError::io(&self.paths[1]))
    }
}

fn read_index(index: &File, path: &Path, lengths: [u64; 2]) -> Result<B256Map<Extent>, StoreError> {
    let damaged = |offset: u64, what: &str| StoreError::Damaged {
        file: path.to_owned(),
        offset,
        what: what.into(),
    };
    let length = lengths[1].checked_sub(HEADER).ok_or_else(|| damaged(0, "no header"))?;
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| damaged(0, "too long"))?];
    index.read_exact_at(&mut bytes, HEADER).map_err(StoreError::io(path))?;
    let (entries, left) = bytes.as_chunks::<ENTRY>();
    if !left.is_empty() {
        return Err(damaged(lengths[1], "the last entry is cut off"));
    }
    let mut known = B256Map::with_capacity_and_hasher(entries.len(), Default::default());
    for (at, entry) in (HEADER..).step_by(ENTRY).zip(entries) {
        let (content, sum) = entry.split_at(ENTRY - 4);
        let mut offset = [0; 8];
        offset.copy_from_slice(&content[32..40]);
        let mut length = [0; 4];
        length.copy_from_slice(&content[40..]);
        let extent =
            Extent { offset: u64::from_be_bytes(offset), length: u32::from_be_bytes(length) };
        let end = extent.offset.checked_add(u64::from(extent.length));
        if crc32fast::hash(content).to_be_bytes() != sum || end.is_none_or(|end| end > lengths[0]) {
            return Err(damaged(at, "the entry is wrong"));
        }
        known.insert(B256::from_slice(&content[..32]), extent);
    }
    Ok(known)
}

//! The files of records.
//!
//! ```text
//!  nodes-000001   header │ record │ record │ …        about 256 MB
//!  nodes-000002   header │ …                          the one that is written to
//!
//!  record    what the trie gives, CRC-32 over the node's hash and that (4 bytes, big-endian)
//!  position  segment: 24 bits, offset in the file: 28 bits, length of the record: 12 bits
//! ```
//! The checksum covers the hash by which the reader knows the node, so that a whole record in the
//! wrong place is found out, too. Hashing each node again would cost ten times as much as reading
//! it does.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use alloy_primitives::B256;
use opal_evm::StateError;

use super::StoreError;

/// Bytes of a file's header.
pub(super) const HEADER: u64 = 64;
/// Bytes after which a new segment begins, at most; what 28 bits of offset can say.
pub(super) const MAX_SEGMENT: u64 = 1 << 28;
/// Bytes of a record with its checksum, at most; what 12 bits of length can say.
pub(super) const MAX_RECORD: usize = (1 << 12) - 1;
const CHECKSUM: usize = 4;
const MAGIC: &[u8; 8] = b"OPALSTAT";
/// Version of all file formats of this store.
const VERSION: u32 = 1;
/// Segments that are open at once.
const MAX_OPEN: usize = 256;

/// What a file of the store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Nodes(u32),
    Codes,
    CodeIndex,
}

impl Content {
    fn tag(self) -> [u8; 8] {
        let (kind, number) = match self {
            Self::Nodes(segment) => (1u32, segment),
            Self::Codes => (2, 0),
            Self::CodeIndex => (3, 0),
        };
        let mut tag = [0; 8];
        tag[..4].copy_from_slice(&kind.to_be_bytes());
        tag[4..].copy_from_slice(&number.to_be_bytes());
        tag
    }
}

/// Magic, version, content, genesis hash, zeros, CRC-32 of all that.
fn header(content: Content, genesis: &B256) -> [u8; HEADER as usize] {
    let mut bytes = [0; HEADER as usize];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_be_bytes());
    bytes[12..20].copy_from_slice(&content.tag());
    bytes[20..52].copy_from_slice(genesis.as_slice());
    let checksum = crc32fast::hash(&bytes[..60]);
    bytes[60..].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// Makes a file with its header; an old one is emptied.
pub(super) fn create(path: &Path, content: Content, genesis: &B256) -> Result<File, StoreError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(StoreError::io(path))?;
    file.write_all_at(&header(content, genesis), 0).map_err(StoreError::io(path))?;
    Ok(file)
}

/// Opens a file and checks its header.
pub(super) fn open(
    path: &Path,
    content: Content,
    genesis: &B256,
    write: bool,
) -> Result<File, StoreError> {
    let file =
        OpenOptions::new().read(true).write(write).open(path).map_err(StoreError::io(path))?;
    let mut got = [0; HEADER as usize];
    file.read_exact_at(&mut got, 0).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => foreign(path, "is too short for a header".into()),
        _ => StoreError::io(path)(error),
    })?;
    if got == header(content, genesis) {
        return Ok(file);
    }
    let what = if &got[..8] != MAGIC {
        "is no file of a state store".into()
    } else if got[8..12] != VERSION.to_be_bytes() {
        let version = u32::from_be_bytes([got[8], got[9], got[10], got[11]]);
        format!("has format version {version}, this program reads {VERSION}")
    } else if got[60..] != crc32fast::hash(&got[..60]).to_be_bytes() {
        "has a damaged header".into()
    } else if got[20..52] != genesis[..] {
        format!("is of the chain with genesis {}", B256::from_slice(&got[20..52]))
    } else {
        "holds something else than its name says".into()
    };
    Err(foreign(path, what))
}

/// Checks that a file may be made anew: that it is ours, or that its making was interrupted, or that
/// there is none.
pub(super) fn check_to_replace(
    path: &Path,
    content: Content,
    genesis: &B256,
) -> Result<(), StoreError> {
    let mut start = Vec::new();
    match File::open(path).and_then(|file| file.take(HEADER).read_to_end(&mut start)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io(path)(error)),
        Ok(_) if header(content, genesis).starts_with(&start) => Ok(()),
        Ok(_) => open(path, content, genesis, false).map(drop),
    }
}

fn file_name(segment: u32) -> String {
    format!("nodes-{segment:06}")
}

fn foreign(path: &Path, what: String) -> StoreError {
    StoreError::Foreign { file: path.to_owned(), what }
}

/// Cuts a file to its committed length.
pub(super) fn cut(file: &File, path: &Path, length: u64) -> Result<(), StoreError> {
    let got = file.metadata().map_err(StoreError::io(path))?.len();
    if got < length {
        return Err(StoreError::Truncated { file: path.to_owned(), expected: length, got });
    }
    if got > length {
        file.set_len(length).map_err(StoreError::io(path))?;
        file.sync_all().map_err(StoreError::io(path))?;
    }
    Ok(())
}

/// Makes creations and removals in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(StoreError::io(dir))
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub segment: u32,
    pub offset: u64,
    pub length: usize,
}

impl Location {
    pub const fn of(position: u64) -> Self {
        Self {
            segment: (position >> 40) as u32,
            offset: position >> 12 & (MAX_SEGMENT - 1),
            length: (position & MAX_RECORD as u64) as usize,
        }
    }

    pub const fn position(&self) -> u64 {
        (self.segment as u64) << 40 | self.offset << 12 | self.length as u64
    }
}

/// Appends a record with its checksum to a buffer and gives its length.
pub(super) fn put(hash: &B256, record: &[u8], buffer: &mut Vec<u8>) -> usize {
    buffer.extend_from_slice(record);
    buffer.extend_from_slice(&checksum(hash, record).to_be_bytes());
    record.len() + CHECKSUM
}

fn checksum(hash: &B256, record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(hash.as_slice());
    hasher.update(record);
    hasher.finalize()
}

/// The segments that exist, some of them open.
#[derive(Debug)]
pub(super) struct Segments {
    dir: PathBuf,
    genesis: B256,
    files: RwLock<BTreeMap<u32, Option<Arc<File>>>>,
}

impl Segments {
    /// The segments in a directory.
    pub fn list(dir: &Path, genesis: B256) -> Result<Self, StoreError> {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(dir).map_err(StoreError::io(dir))? {
            let name = entry.map_err(StoreError::io(dir))?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("nodes-")?.parse().ok());
            // What merely looks like a segment's name is somebody else's.
            if let Some(number) = number.filter(|number| name.to_str() == Some(&file_name(*number)))
            {
                files.insert(number, None);
            }
        }
        Ok(Self { dir: dir.to_owned(), genesis, files: RwLock::new(files) })
    }

    pub fn path(&self, segment: u32) -> PathBuf {
        self.dir.join(file_name(segment))
    }

    /// Lowest and highest number.
    pub fn range(&self) -> Option<(u32, u32)> {
        let files = self.read();
        Some((*files.keys().next()?, *files.keys().next_back()?))
    }

    /// Numbers from the lowest to `last` that have no file.
    pub fn first_gap(&self, last: u32) -> Option<u32> {
        let files = self.read();
        let first = *files.keys().next()?;
        (first..=last).find(|number| !files.contains_key(number))
    }

    pub fn add(&self, segment: u32) -> Result<Arc<File>, StoreError> {
        let path = self.path(segment);
        let file = Arc::new(create(&path, Content::Nodes(segment), &self.genesis)?);
        self.write().insert(segment, Some(file.clone()));
        Ok(file)
    }

    pub fn open_last(&self, segment: u32, length: u64) -> Result<Arc<File>, StoreError> {
        let path = self.path(segment);
        let file = Arc::new(open(&path, Content::Nodes(segment), &self.genesis, true)?);
        cut(&file, &path, length)?;
        self.write().insert(segment, Some(file.clone()));
        Ok(file)
    }

    /// Checks that an older segment is ours.
    pub fn check(&self, segment: u32) -> Result<(), StoreError> {
        open(&self.path(segment), Content::Nodes(segment), &self.genesis, false).map(drop)
    }

    /// Checks that a segment may be made anew.
    pub fn check_to_replace(&self, segment: u32) -> Result<(), StoreError> {
        check_to_replace(&self.path(segment), Content::Nodes(segment), &self.genesis)
    }

    /// Deletes the segments for which `gone` holds and gives how many bytes that frees.
    pub fn remove(&self, gone: impl Fn(u32) -> bool) -> Result<u64, StoreError> {
        let numbers: Vec<u32> = self.read().keys().copied().filter(|n| gone(*n)).collect();
        let mut freed = 0;
        for number in numbers {
            let path = self.path(number);
            let length = path.metadata().map_err(StoreError::io(&path))?.len();
            std::fs::remove_file(&path).map_err(StoreError::io(&path))?;
            self.write().remove(&number);
            freed += length;
        }
        Ok(freed)
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> Result<u64, StoreError> {
        let numbers: Vec<u32> = self.read().keys().copied().collect();
        numbers.into_iter().try_fold(0, |sum, number| {
            let path = self.path(number);
            Ok(sum + path.metadata().map_err(StoreError::io(&path))?.len())
        })
    }

    /// The record of the node with this hash.
    pub fn get(&self, position: u64, hash: &B256) -> Result<Vec<u8>, StateError> {
        let location = Location::of(position);
        let damaged = |what: &str| StateError::Damaged {
            file: self.path(location.segment).display().to_string(),
            offset: location.offset,
            what: what.into(),
        };
        let file = self.file(location.segment).map_err(|error| match error {
            Some(error) => StateError::Source(error.to_string()),
            None => damaged("the file is missing"),
        })?;
        let mut bytes = vec![0; location.length];
        file.read_exact_at(&mut bytes, location.offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged("the file ends before the record does"),
            _ => StateError::Source(format!("{}: {error}", self.path(location.segment).display())),
        })?;
        let (record, sum) =
            bytes.split_last_chunk::<CHECKSUM>().ok_or_else(|| damaged("no record is so short"))?;
        if checksum(hash, record).to_be_bytes() != *sum {
            return Err(damaged("the record's checksum is wrong"));
        }
        bytes.truncate(location.length - CHECKSUM);
        Ok(bytes)
    }

    /// An open segment; the error is `None` when there is no such segment.
    fn file(&self, segment: u32) -> Result<Arc<File>, Option<StoreError>> {
        match self.read().get(&segment) {
            None => return Err(None),
            Some(Some(file)) => return Ok(file.clone()),
            Some(None) => {}
        }
        let path = self.path(segment);
        let file =
            Arc::new(open(&path, Content::Nodes(segment), &self.genesis, false).map_err(Some)?);
        let mut files = self.write();
        // Any other than the newest will do: the system keeps the pages, not the handle.
        if files.values().flatten().count() >= MAX_OPEN
            && let Some(other) = files.values_mut().find(|file| file.is_some())
        {
            *other = None;
        }
        if let Some(slot) = files.get_mut(&segment) {
            *slot = Some(file.clone());
        }
        Ok(file)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<u32, Option<Arc<File>>>> {
        // Nobody panics with the lock held.
        self.files.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<u32, Option<Arc<File>>>> {
        self.files.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

//! The journal: what happened since the last flush, one record after the other.
//!
//! A journal begins with what the other files hold ([`Base`]) and the blocks that they lack. So the
//! newest journal alone says what is true, and giving it its name is the one step that commits a
//! flush, or takes one back. Blocks and forkchoice changes are appended and synced before anybody
//! is told of them.
//!
//! ```text
//!   magic · number · checksum      Base      Block …  Forkchoice      Block   Forkchoice   …
//!   └─────────────── written whole, synced, then renamed ──────┘      └───── appended ─────
//! ```

use std::io::Read;
use std::path::{Path, PathBuf};

use super::DiskError;
use super::file::{DataFile, delete, names, numbered, sync_dir};
use super::record::{Base, Framed, Record};

const MAGIC: &[u8; 16] = b"opal journal  1\n";
const FILE_HEADER: usize = 32;
/// Bytes gathered before a new journal is written on.
const CHUNK: usize = 1 << 20;

/// The newest journal, open for appending.
#[derive(Debug)]
pub(crate) struct Journal {
    dir: PathBuf,
    file: DataFile,
    number: u64,
    len: u64,
    synced: u64,
    /// Why nothing is appended any more.
    failed: Option<String>,
}

fn name(number: u64) -> String {
    format!("journal-{number:012}")
}

impl Journal {
    /// Writes a journal with these records and makes it the newest one. When this fails, the one
    /// before still is.
    pub fn create<'a>(
        dir: &Path,
        number: u64,
        base: &Base,
        rest: impl Iterator<Item = &'a Record>,
    ) -> Result<Self, DiskError> {
        let partial = dir.join(format!("{}.new", name(number)));
        let result = Self::write(&partial, number, base, rest).and_then(|len| {
            let path = dir.join(name(number));
            std::fs::rename(&partial, &path).map_err(DiskError::io(&path, "create"))?;
            sync_dir(dir)?;
            let file = DataFile::open(path, true)?;
            Ok(Self { dir: dir.to_owned(), file, number, len, synced: len, failed: None })
        });
        if result.is_err() {
            // The error before is the one to tell.
            let _ = delete(&partial);
        }
        result
    }

    fn write<'a>(
        path: &Path,
        number: u64,
        base: &Base,
        rest: impl Iterator<Item = &'a Record>,
    ) -> Result<u64, DiskError> {
        let file = DataFile::create(path.to_owned())?;
        let mut bytes = file_header(number).to_vec();
        let mut len = 0;
        Record::Base(Box::new(base.clone())).encode(number, 0, &mut bytes);
        let mut last = None;
        for record in rest {
            record.encode(number, 0, &mut bytes);
            last = Some(record);
            if bytes.len() >= CHUNK {
                file.write_at(&bytes, len)?;
                len += bytes.len() as u64;
                bytes.clear();
            }
        }
        // The last one stands there twice, the second time with the length before it: so no damage
        // to what comes before passes for a write that was interrupted, and the second one itself
        // can be spared.
        if let Some(record) = last {
            record.encode(number, len + bytes.len() as u64, &mut bytes);
        }
        file.write_at(&bytes, len)?;
        file.sync()?;
        Ok(len + bytes.len() as u64)
    }

    /// Opens the newest journal and gives all its records to `each`. `None` when there is none:
    /// the directory is new. A last record that a crash has interrupted is cut off.
    pub fn open(
        dir: &Path,
        mut each: impl FnMut(Record, u64) -> Result<(), DiskError>,
    ) -> Result<Option<Self>, DiskError> {
        let numbers = |names: &[String]| -> Vec<u64> {
            names.iter().filter_map(|name| numbered(name, "journal-", "")).collect()
        };
        let names = names(dir)?;
        for name in names.iter().filter(|name| numbered(name, "journal-", ".new").is_some()) {
            delete(&dir.join(name))?;
        }
        let numbers = numbers(&names);
        let Some(number) = numbers.iter().copied().max() else { return Ok(None) };
        let path = dir.join(name(number));
        let mut bytes = Vec::new();
        std::fs::File::open(&path)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(DiskError::io(&path, "read"))?;
        let damaged = |at: usize, reason: &str| DiskError::damaged(&path, at as u64, reason);
        if bytes.get(..FILE_HEADER) != Some(&file_header(number)[..]) {
            return Err(damaged(0, "its header is not that of a journal"));
        }
        let mut at = FILE_HEADER;
        while let Some(framed) = Framed::read(&bytes[at..], number) {
            let record = framed.decode().map_err(|reason| damaged(at, &reason))?;
            if matches!(record, Record::Base(_)) != (at == FILE_HEADER) {
                return Err(damaged(at, "a record stands where it cannot stand"));
            }
            each(record, at as u64)?;
            at += framed.size;
        }
        if at == FILE_HEADER {
            return Err(damaged(at, "its first record is wrong"));
        }
        if promised(&bytes[at..], number, at as u64) {
            return Err(damaged(at, "the checksum of a record is wrong"));
        }
        let file = DataFile::open(path, true)?;
        if at < bytes.len() {
            let (path, bytes_dropped) = (file.path.display(), bytes.len() - at);
            match Framed::is_whole(&bytes[at..]) {
                false => {
                    tracing::warn!(target: "opal::execution", %path, offset = at, bytes_dropped,
                    "the journal's last record is cut short, or its length is damaged, and is dropped; if \
                     its write was interrupted, nobody was told of it")
                }
                true => {
                    tracing::warn!(target: "opal::execution", %path, offset = at, bytes_dropped,
                    "the journal's last record has its length, but a wrong checksum, and is dropped: \
                     a loss of power interrupted its write, and nobody was told of it. If there was \
                     none, the disk has damaged what it was to keep: the head may be older than \
                     what this node has confirmed; run opal db check, and replace the disk")
                }
            }
            file.cut(at as u64)?;
        }
        for older in numbers.into_iter().filter(|older| *older != number) {
            delete(&dir.join(self::name(older)))?;
        }
        let len = at as u64;
        Ok(Some(Self { dir: dir.to_owned(), file, number, len, synced: len, failed: None }))
    }

    /// Writes a record at the end. It survives the end of this process, and from the next
    /// [`Journal::sync`] on that of the system.
    pub fn append(&mut self, record: &Record) -> Result<(), DiskError> {
        self.usable()?;
        let mut bytes = Vec::new();
        record.encode(self.number, self.synced, &mut bytes);
        let written = self.file.write_at(&bytes, self.len);
        self.note(written)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Makes all that was appended last.
    pub fn sync(&mut self) -> Result<(), DiskError> {
        self.usable()?;
        if self.synced < self.len {
            let synced = self.file.sync();
            self.note(synced)?;
            self.synced = self.len;
        }
        Ok(())
    }

    /// Puts a new journal in the place of this one, at once or not at all.
    pub fn replace<'a>(
        &mut self,
        base: &Base,
        rest: impl Iterator<Item = &'a Record>,
    ) -> Result<(), DiskError> {
        self.usable()?;
        let next = Self::create(&self.dir, self.number + 1, base, rest);
        let next = match next {
            Ok(next) => next,
            Err(error) => {
                // Whether the new name lasts is not known, so neither journal can be written on.
                self.failed = Some(error.to_string());
                return Err(error);
            }
        };
        let old = std::mem::replace(self, next);
        // The new one counts already; whoever is told of an error believes that the old one does.
        let deleted = delete(&old.file.path);
        self.note(deleted)
    }

    /// Gives the journal up: nothing is promised any more.
    pub fn fail(&mut self, why: String) {
        self.failed.get_or_insert(why);
    }

    /// Lets every write go to another file, which refuses it.
    #[cfg(test)]
    pub fn break_writes(&mut self, file: std::fs::File) {
        self.file.swap(file);
    }

    /// Bytes in the journal.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Whether the journal can be written on.
    pub fn usable(&self) -> Result<(), DiskError> {
        self.failed.as_ref().map_or(Ok(()), |why| Err(DiskError::Failed(why.clone())))
    }

    /// A write that failed may have been done in part, and a sync that failed is never repaired by
    /// a second one: after either nothing more can be promised.
    fn note(&mut self, result: Result<(), DiskError>) -> Result<(), DiskError> {
        if let Err(error) = &result {
            self.failed = Some(error.to_string());
        }
        result
    }
}

fn file_header(number: u64) -> [u8; FILE_HEADER] {
    let mut header = [0; FILE_HEADER];
    header[..16].copy_from_slice(MAGIC);
    header[16..24].copy_from_slice(&number.to_le_bytes());
    let sum = crc32fast::hash(&header[..24]);
    header[24..28].copy_from_slice(&sum.to_le_bytes());
    header
}

/// Whether `rest`, which begins at `offset` with something that is no record, holds a record that
/// was written when the disk had more than this offset.
fn promised(rest: &[u8], number: u64, offset: u64) -> bool {
    let mut at = 0;
    while let Some(found) = rest.get(at..).and_then(Framed::seek) {
        at += found;
        // Looked at first, since whoever sends transactions can have markers written by thousands:
        // a record knows of more than `offset` bytes, and of none after itself.
        let place = offset + at as u64;
        let synced = Framed::synced(&rest[at..]);
        if synced.is_some_and(|synced| offset < synced && synced <= place)
            && Framed::read(&rest[at..], number).is_some()
        {
            return true;
        }
        at += 1;
    }
    false
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;

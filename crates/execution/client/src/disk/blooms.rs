//! The blooms of the blocks' logs, side by side, so that a search over many blocks reads them in a
//! few large pieces and touches only the blocks that may match.
//!
//! ```text
//!   blocks.blooms       header · bloom, checksum · bloom, checksum · …      260 bytes each
//! ```
//! A bloom has the place here that its block has in `blocks.index`. All of it follows from the
//! headers: what is missing is made again from them when the directory is opened.

use std::path::Path;

use alloy_primitives::Bloom;

use super::DiskError;
use super::file::DataFile;

const NAME: &str = "blocks.blooms";
const MAGIC: &[u8; 16] = b"opal blooms   1\n";
const HEADER: usize = 32;
const BLOOM: usize = 256;
/// Bytes of a bloom with its checksum.
const ENTRY: usize = BLOOM + 4;

/// The file. Reading needs no lock; one thread at a time writes or cuts.
#[derive(Debug)]
pub(crate) struct Blooms {
    file: DataFile,
    /// Number of the first block.
    first: u64,
}

fn header(first: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..16].copy_from_slice(MAGIC);
    header[16..24].copy_from_slice(&first.to_le_bytes());
    let sum = crc32fast::hash(&header[..28]);
    header[28..].copy_from_slice(&sum.to_le_bytes());
    header
}

const fn offset(place: u64) -> u64 {
    HEADER as u64 + place * ENTRY as u64
}

/// Checksum of a bloom and of the block's number, so that none passes for another's.
fn checksum(bloom: &[u8], number: u64) -> [u8; 4] {
    let mut sum = crc32fast::Hasher::new();
    sum.update(bloom);
    sum.update(&number.to_le_bytes());
    sum.finalize().to_le_bytes()
}

impl Blooms {
    /// An empty file, in place of one that may be there.
    pub fn create(dir: &Path, first: u64) -> Result<Self, DiskError> {
        let file = DataFile::create(dir.join(NAME))?;
        file.write_at(&header(first), 0)?;
        file.sync()?;
        Ok(Self { file, first })
    }

    /// The file, if it is there and has a header.
    pub fn open(dir: &Path, first: u64) -> Result<Option<Self>, DiskError> {
        let path = dir.join(NAME);
        if !path.exists() {
            return Ok(None);
        }
        let file = DataFile::open(path, true)?;
        if file.len()? < HEADER as u64 {
            return Ok(None);
        }
        let mut found = [0; HEADER];
        file.read_at(&mut found, 0)?;
        if found != header(first) {
            return Err(DiskError::damaged(&file.path, 0, "its header is wrong"));
        }
        Ok(Some(Self { file, first }))
    }

    /// Blooms that are there whole.
    pub fn count(&self) -> Result<u64, DiskError> {
        Ok(self.file.len()?.saturating_sub(HEADER as u64) / ENTRY as u64)
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> Result<u64, DiskError> {
        self.file.len()
    }

    /// Writes the blooms of consecutive blocks, not yet synced.
    pub fn write<'a>(
        &self,
        place: u64,
        blooms: impl Iterator<Item = &'a Bloom>,
    ) -> Result<(), DiskError> {
        let mut bytes = Vec::new();
        for (number, bloom) in (self.first + place..).zip(blooms) {
            bytes.extend_from_slice(bloom.as_slice());
            bytes.extend_from_slice(&checksum(bloom.as_slice(), number));
        }
        self.file.write_at(&bytes, offset(place))
    }

    /// What is written is on the disk when this returns.
    pub fn sync(&self) -> Result<(), DiskError> {
        self.file.sync()
    }

    /// Cuts the file after this many blooms.
    pub fn cut(&self, count: u64) -> Result<(), DiskError> {
        self.file.cut(offset(count))
    }

    /// Blooms of consecutive blocks.
    pub fn read(&self, place: u64, count: usize) -> Result<Vec<Bloom>, DiskError> {
        let mut bytes = vec![0; count * ENTRY];
        self.file.read_at(&mut bytes, offset(place))?;
        let entries = bytes.as_chunks::<ENTRY>().0;
        (place..)
            .zip(entries)
            .map(|(place, entry)| {
                let (bloom, sum) = entry.split_at(BLOOM);
                match checksum(bloom, self.first + place) == sum {
                    true => Ok(Bloom::from_slice(bloom)),
                    false => Err(DiskError::damaged(
                        &self.file.path,
                        offset(place),
                        "a checksum is wrong (this file alone may be deleted, it is made again)",
                    )),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn bloom(n: u8) -> Bloom {
        Bloom::repeat_byte(n)
    }

    #[test]
    fn blooms_are_read_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let blooms = Blooms::create(dir.path(), 7).unwrap();
        let written: Vec<_> = (0..5).map(bloom).collect();
        blooms.write(0, written.iter()).unwrap();
        blooms.sync().unwrap();
        assert_eq!(blooms.count().unwrap(), 5);
        assert_eq!(blooms.read(0, 5).unwrap(), written);
        assert_eq!(blooms.read(3, 1).unwrap(), [bloom(3)]);
        assert!(blooms.read(5, 0).unwrap().is_empty());
        // Others take the place of what was cut off.
        blooms.cut(2).unwrap();
        blooms.write(2, [bloom(9)].iter()).unwrap();
        let blooms = Blooms::open(dir.path(), 7).unwrap().unwrap();
        assert_eq!(blooms.read(0, 3).unwrap(), [bloom(0), bloom(1), bloom(9)]);
        assert!(blooms.read(0, 4).unwrap_err().to_string().contains("ends too early"));
    }

    #[test]
    fn what_is_damaged_is_named_and_what_is_missing_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        assert!(Blooms::open(dir.path(), 7).unwrap().is_none());
        let blooms = Blooms::create(dir.path(), 7).unwrap();
        blooms.write(0, [bloom(1), bloom(2)].iter()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert!(Blooms::open(dir.path(), 8).is_err(), "of a chain that begins elsewhere");

        let mut bytes = whole.clone();
        bytes[HEADER + ENTRY + 100] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let blooms = Blooms::open(dir.path(), 7).unwrap().unwrap();
        assert_eq!(blooms.read(0, 1).unwrap(), [bloom(1)]);
        let error = blooms.read(0, 2).unwrap_err().to_string();
        assert!(error.contains(&format!("{} is damaged at byte 292", path.display())), "{error}");
        // A bloom in another one's place.
        let bytes = [&whole[..HEADER], &whole[HEADER + ENTRY..], &whole[HEADER + ENTRY..]].concat();
        std::fs::write(&path, &bytes).unwrap();
        assert!(blooms.read(0, 1).is_err() && blooms.read(1, 1).is_ok());

        std::fs::write(&path, &whole[..HEADER + ENTRY + 20]).unwrap();
        assert_eq!(Blooms::open(dir.path(), 7).unwrap().unwrap().count().unwrap(), 1);
        std::fs::write(&path, &whole[..20]).unwrap();
        assert!(Blooms::open(dir.path(), 7).unwrap().is_none());
    }
}

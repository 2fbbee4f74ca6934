//! Files that are read at offsets and know their names.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::DiskError;

/// An open file with its path, for errors. Reads and writes name their offset, so that any number
/// of threads may read.
#[derive(Debug)]
pub(crate) struct DataFile {
    pub path: PathBuf,
    file: File,
}

impl DataFile {
    /// Opens a file that is there.
    pub fn open(path: PathBuf, write: bool) -> Result<Self, DiskError> {
        let file = OpenOptions::new().read(true).write(write).open(&path);
        let file = file.map_err(DiskError::io(&path, "open"))?;
        Ok(Self { path, file })
    }

    /// Makes an empty file, in place of one that may be there.
    pub fn create(path: PathBuf) -> Result<Self, DiskError> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(DiskError::io(&path, "create"))?;
        Ok(Self { path, file })
    }

    pub fn len(&self) -> Result<u64, DiskError> {
        let meta = self.file.metadata().map_err(DiskError::io(&self.path, "read"))?;
        Ok(meta.len())
    }

    /// Fills `out` from `offset` on; a file that ends before is damaged.
    pub fn read_at(&self, out: &mut [u8], offset: u64) -> Result<(), DiskError> {
        read_exact_at(&self.file, out, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                DiskError::damaged(&self.path, offset, "the file ends too early")
            }
            _ => DiskError::Io { path: self.path.clone(), doing: "read", error },
        })
    }

    /// So many bytes from `offset` on; they take no memory before the file is known to have them.
    pub fn read_vec(&self, length: usize, offset: u64) -> Result<Vec<u8>, DiskError> {
        if offset.saturating_add(length as u64) > self.len()? {
            return Err(DiskError::damaged(&self.path, offset, "the file ends too early"));
        }
        let mut bytes = vec![0; length];
        self.read_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), DiskError> {
        write_all_at(&self.file, bytes, offset).map_err(DiskError::io(&self.path, "write"))
    }

    /// Cuts the file if it is longer.
    pub fn cut(&self, len: u64) -> Result<(), DiskError> {
        let found = self.len()?;
        if found < len {
            return Err(DiskError::damaged(
                &self.path,
                found,
                format!("the file ends before byte {len}, to which it was written and synced"),
            ));
        }
        if found > len {
            self.file.set_len(len).map_err(DiskError::io(&self.path, "cut"))?;
            self.sync()?;
        }
        Ok(())
    }

    /// Reads and writes another file under this name.
    #[cfg(test)]
    pub fn swap(&mut self, file: File) {
        self.file = file;
    }

    /// What is written is on the disk when this returns.
    pub fn sync(&self) -> Result<(), DiskError> {
        self.file.sync_data().map_err(DiskError::io(&self.path, "sync"))
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, offset)
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut out: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !out.is_empty() {
        match file.seek_read(out, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                out = &mut out[n..];
                offset += n as u64;
            }
        }
    }
    Ok(())
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        let n = file.seek_write(bytes, offset)?;
        bytes = &bytes[n..];
        offset += n as u64;
    }
    Ok(())
}

/// Makes names that were created, renamed or deleted in a directory last. Not every file system
/// can do this; those that cannot need it not.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), DiskError> {
    match File::open(dir).and_then(|dir| dir.sync_all()) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::InvalidInput
                    | io::ErrorKind::Unsupported
                    | io::ErrorKind::PermissionDenied
            ) =>
        {
            Err(DiskError::Io { path: dir.to_owned(), doing: "sync", error })
        }
        _ => Ok(()),
    }
}

/// Makes a directory and those above it that are not there, so that they last.
pub(crate) fn make_dir(dir: &Path) -> Result<(), DiskError> {
    let new: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
    std::fs::create_dir_all(dir).map_err(DiskError::io(dir, "create"))?;
    let parents = new.into_iter().filter_map(Path::parent);
    parents
        .map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
        .try_for_each(sync_dir)
}

/// Names of the files in a directory.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>, DiskError> {
    let read = DiskError::io(dir, "read");
    let entries = std::fs::read_dir(dir).and_then(|entries| {
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    });
    entries.map_err(read)
}

/// Deletes a file that nothing refers to any more.
pub(crate) fn delete(path: &Path) -> Result<(), DiskError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(DiskError::Io { path: path.to_owned(), doing: "delete", error })
        }
        _ => Ok(()),
    }
}

/// The number in a name such as `blocks-00012.dat`.
pub(crate) fn numbered(name: &str, prefix: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_not_there_takes_no_memory() {
        let dir = tempfile::tempdir().unwrap();
        let file = DataFile::create(dir.path().join("file")).unwrap();
        file.write_at(b"content", 0).unwrap();
        assert_eq!(file.read_vec(4, 3).unwrap(), b"tent");
        // More than any machine has.
        for (length, offset) in [(isize::MAX as usize, 0), (8, 0), (4, 4), (1, u64::MAX)] {
            let error = file.read_vec(length, offset).unwrap_err();
            assert!(matches!(error, DiskError::Damaged { .. }), "{error}");
        }
    }
}

//! The directory of one chain: who has it open, and whose it is.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use opal_service::files::write_whole;

use super::DiskError;
use super::file::{make_dir, names};

/// The layout that this code writes. It is raised when an older Opal could not go on with what this
/// one writes. Format 1 has no blooms; it is read, and becomes format 2 when it is opened.
pub(crate) const FORMAT: u64 = 2;
/// The first format with blooms of all blocks.
const BLOOMS: u64 = 2;
const LOCK: &str = "LOCK";
const IDENTITY: &str = "IDENTITY";
const FIRST_LINE: &str = "opal execution data";

/// The chain that a directory belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// EIP-155 id.
    pub chain_id: u64,
    /// Hash of the first block.
    pub genesis: B256,
}

/// A directory that this process alone has open.
#[derive(Debug)]
pub(crate) struct Directory {
    pub path: PathBuf,
    pub identity: Identity,
    /// What the identity file says.
    format: u64,
    /// Holds the lock until it is dropped.
    _lock: Lock,
}

/// The lock on a directory, which goes with this value.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that was just forked off has it, too, until it
        // runs its own program. What fails here is left to that.
        let _ = self.0.unlock();
    }
}

impl Directory {
    /// Locks the directory of a chain, making it if it is not there or empty.
    pub fn open(path: &Path, identity: Identity) -> Result<Self, DiskError> {
        make_dir(path)?;
        // Before anything is written: a directory with files of others stays as it is.
        if !path.join(IDENTITY).exists() {
            let ours = |name: &String| name == LOCK || name.starts_with(&format!(".{IDENTITY}"));
            if let Some(other) = names(path)?.into_iter().find(|name| !ours(name)) {
                let reason = format!("it holds {other} and no {IDENTITY}");
                return Err(DiskError::Foreign { path: path.to_owned(), reason });
            }
        }
        let lock = lock(path)?;
        let file = path.join(IDENTITY);
        let mut format = FORMAT;
        if file.exists() {
            let (found, has) = read_identity(&file)?;
            format = has;
            if found != identity {
                let reason = if found.chain_id == identity.chain_id {
                    format!("its genesis is {}, not {}", found.genesis, identity.genesis)
                } else {
                    format!("it is of chain {}, not {}", found.chain_id, identity.chain_id)
                };
                return Err(DiskError::Foreign { path: path.to_owned(), reason });
            }
        } else {
            write_identity(&file, identity)?;
        }
        Ok(Self { path: path.to_owned(), identity, format, _lock: lock })
    }

    /// Locks a directory that is there, of whatever chain.
    pub fn existing(path: &Path) -> Result<Self, DiskError> {
        let file = path.join(IDENTITY);
        if !file.exists() {
            return Err(DiskError::Absent { path: path.to_owned() });
        }
        let lock = lock(path)?;
        let (identity, format) = read_identity(&file)?;
        Ok(Self { path: path.to_owned(), identity, format, _lock: lock })
    }

    /// Whether its file of blooms belongs to its blocks. An older Opal leaves one as it is that it
    /// does not know.
    pub const fn has_blooms(&self) -> bool {
        self.format >= BLOOMS
    }

    /// Says that everything is there now that the newest format has; an older Opal will refuse it.
    pub fn upgrade(&mut self) -> Result<(), DiskError> {
        if self.format < FORMAT {
            write_identity(&self.path.join(IDENTITY), self.identity)?;
            self.format = FORMAT;
        }
        Ok(())
    }
}

/// Takes the lock, which the system gives back when the process ends, however it ends.
pub(super) fn lock(dir: &Path) -> Result<Lock, DiskError> {
    let path = dir.join(LOCK);
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(DiskError::io(&path, "open"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut by = String::new();
            let read = (&mut file).take(100).read_to_string(&mut by);
            let by = by.trim().to_owned();
            let by = (read.is_ok() && !by.is_empty()).then_some(by);
            return Err(DiskError::InUse { path: dir.to_owned(), by });
        }
        Err(TryLockError::Error(error)) => {
            return Err(DiskError::Io { path, doing: "lock", error });
        }
    }
    let note = format!("process {}\n", std::process::id());
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(note.as_bytes()))
        .map_err(DiskError::io(&path, "write"))?;
    Ok(Lock(file))
}

fn write_identity(path: &Path, identity: Identity) -> Result<(), DiskError> {
    let Identity { chain_id, genesis } = identity;
    let text = format!("{FIRST_LINE}\nformat {FORMAT}\nchain {chain_id}\ngenesis {genesis}\n");
    write_whole(path, text.as_bytes()).map_err(DiskError::io(path, "write"))
}

/// The identity and the format.
fn read_identity(path: &Path) -> Result<(Identity, u64), DiskError> {
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(1000).read_to_string(&mut text)).map_err(
        |error| match error.kind() {
            io::ErrorKind::InvalidData => foreign(path),
            _ => DiskError::Io { path: path.to_owned(), doing: "read", error },
        },
    )?;
    let mut lines = text.lines();
    if lines.next() != Some(FIRST_LINE) {
        return Err(foreign(path));
    }
    let mut value = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ');
    let format: u64 = value("format").and_then(|v| v.parse().ok()).ok_or_else(|| foreign(path))?;
    if !(1..=FORMAT).contains(&format) {
        return Err(DiskError::Format { path: path.to_owned(), found: format, known: FORMAT });
    }
    let chain_id = value("chain").and_then(|v| v.parse().ok()).ok_or_else(|| foreign(path))?;
    let genesis = value("genesis").and_then(|v| v.parse().ok()).ok_or_else(|| foreign(path))?;
    Ok((Identity { chain_id, genesis }, format))
}

fn foreign(path: &Path) -> DiskError {
    DiskError::Foreign { path: path.to_owned(), reason: "it is no identity file of Opal".into() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_lock_is_given_back_though_a_forked_process_has_the_file_open() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap();
        assert!(matches!(lock(dir.path()), Err(DiskError::InUse { .. })));
        // What a fork does.
        let copy = first.0.try_clone().unwrap();
        drop(first);
        lock(dir.path()).unwrap();
        drop(copy);
    }
}

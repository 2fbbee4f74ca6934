use std::io;
use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use opal_evm::StateError;

/// Why the state store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused: no space, no permission, a broken disk. Nothing is lost that was
    /// synced; what could not be written is written by the next append.
    #[error("cannot use {}: {error}{}", file.display(), advice(error))]
    Io {
        /// File or directory.
        file: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// The file is not one of this chain's, or of a format that this version does not read.
    #[error("{}: {what}", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// What shows it.
        what: String,
    },
    /// A file ends before what is known to be in it.
    #[error("{} has {got} bytes, {expected} were committed; restore it or start from a snapshot", file.display())]
    Truncated {
        /// The file.
        file: PathBuf,
        /// Bytes that were committed.
        expected: u64,
        /// Bytes that are there.
        got: u64,
    },
    /// A file's content is damaged.
    #[error("{} is damaged at byte {offset}: {what}; restore it or start from a snapshot", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// A state of another store was given.
    #[error("the state {0} lies in another store")]
    ForeignState(B256),
    /// An earlier sync failed, after which nobody knows what is on the disk: open the store again.
    #[error("an earlier write to {} failed; restart to read what is on the disk", .0.display())]
    Failed(PathBuf),
    /// What is imported is not in the order of keys.
    #[error("import: {what} {key} does not come after the one before it")]
    Order {
        /// Account or slot.
        what: &'static str,
        /// The hashed key.
        key: B256,
    },
    /// A slot or code was imported without its account, or a slot without a value.
    #[error("import: {0}")]
    Import(&'static str),
    /// The state itself could not be read or hashed.
    #[error(transparent)]
    State(#[from] StateError),
}

impl StoreError {
    pub(super) fn io(file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |error| Self::Io { file, error }
    }
}

/// What to do about an error of the system, as the end of a sentence.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free space on the disk and start again, nothing that was promised is lost"
        }
        io::ErrorKind::FileTooLarge => {
            "; the system limits the size of files (ulimit -f): raise that and start again"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; the file system is mounted read-only",
        io::ErrorKind::PermissionDenied => "; the directory must be this user's and writable",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_with_what_to_do() {
        for (kind, words) in [
            (io::ErrorKind::StorageFull, "free space on the disk"),
            (io::ErrorKind::FileTooLarge, "limits the size of files"),
        ] {
            let error = StoreError::io(Path::new("nodes-000001"))(kind.into()).to_string();
            assert!(error.contains("nodes-000001") && error.contains(words), "{error}");
        }
    }
}

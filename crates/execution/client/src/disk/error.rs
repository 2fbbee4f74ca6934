//! Why stored data cannot be used. Each variant names the file and what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::state_store::{StoreError, advice};

/// A fault of the data directory or of the disk below it; never one of a block.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The operating system refuses.
    #[error("cannot {doing} {}: {error}{}", path.display(), advice(error))]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The system's answer.
        error: io::Error,
    },
    /// Another process has the directory open.
    #[error(
        "{} is in use by {}; stop it, or give this one another --data-dir", path.display(),
        by.as_deref().unwrap_or("another process")
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Who it is, as far as its lock file tells.
        by: Option<String>,
    },
    /// It holds something else, or the data of another chain.
    #[error("{} is not this chain's data: {reason}; name another directory", path.display())]
    Foreign {
        /// The directory or file.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// It was written by a version of Opal with another format.
    #[error(
        "{} has format {found}, this Opal reads format {known}: use the Opal that wrote it, or \
         export a snapshot with that one and import it here", path.display()
    )]
    Format {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The one that is known here.
        known: u64,
    },
    /// There is no chain in the directory.
    #[error("{} holds no chain", path.display())]
    Absent {
        /// The directory.
        path: PathBuf,
    },
    /// Bytes are not what was written.
    #[error(
        "{} is damaged at byte {offset}: {reason}; restore a backup, import a snapshot, or delete \
         the directory to have it derived again", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// A snapshot is damaged or contradicts itself.
    #[error(
        "snapshot {} is wrong at byte {offset} of its content: {reason}; nothing was imported",
        path.display()
    )]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// Where, counted after decompression.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// The state cannot be read or written.
    #[error("state: {0}")]
    State(#[from] StoreError),
    /// Given up after an earlier error.
    #[error("storage has failed, nothing is stored until a restart: {0}")]
    Failed(String),
    /// What was asked for cannot be done with this chain.
    #[error("{0}")]
    Refused(String),
}

impl DiskError {
    pub(crate) fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { path: path.to_owned(), doing, error }
    }

    pub(crate) fn damaged(path: &Path, offset: u64, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), offset, reason: reason.into() }
    }
}

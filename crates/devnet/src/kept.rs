//! A rollup that outlasts its process: what `--data-dir` keeps of it.
//!
//! ```text
//!   DIR/devnet/LOCK                     taken by the process that runs the rollup
//!              l1-genesis.json, genesis.json, rollup.json, addresses.json
//!                                       what the rollup began with
//!              settings.json            how it was asked for; written last: from then on it is there
//!              l1/                      the embedded L1: chain, blobs
//!              sequencer/, verifier/    each node: chain, safe heads, waiting transactions
//! ```
//! Keys are never written: the same mnemonic must be given again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use alloy_genesis::Genesis;
use alloy_primitives::Address;
use opal_governance::Addresses;
use opal_protocol::{Hardfork, RollupConfig};
use opal_service::files::write_whole;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::up::{L1Choice, UpConfig};

/// Folder in the data directory.
const DIR: &str = "devnet";
const LOCK: &str = "LOCK";
const SETTINGS: &str = "settings.json";
const ROLLUP: &str = "rollup.json";
const L1_GENESIS: &str = "l1-genesis.json";
const L2_GENESIS: &str = "genesis.json";
const ADDRESSES: &str = "addresses.json";
/// What `settings.json` looks like. Raised when an older Opal could not go on with the rollup.
const FORMAT: u64 = 1;

/// Why a rollup cannot be kept, or one that was kept cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The operating system refuses.
    #[error("cannot {doing} {}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The system's answer.
        error: io::Error,
    },
    /// Another process runs the rollup.
    #[error("{} is in use by another process; stop it, or name another directory", .0.display())]
    InUse(PathBuf),
    /// A file is not what was written.
    #[error("{} is damaged: {reason}; restore it from a backup, or delete {} to begin anew",
        path.display(), path.parent().unwrap_or(path).display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The rollup was made by a version of Opal that keeps it in another way.
    #[error("{} has format {found}, this Opal reads format {FORMAT}: use the Opal that made it, or \
        name another directory", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// The rollup was asked for otherwise when it was made.
    #[error("the rollup in {} was made with {kept}, not with {asked}; start it as it was made, or name \
        another directory", path.display())]
    Settings {
        /// The rollup's folder.
        path: PathBuf,
        /// The flag and its value when the rollup was made.
        kept: String,
        /// The flag and its value now.
        asked: String,
    },
}

/// The settings that a rollup is made of and that cannot change afterwards. A flag that shapes
/// genesis belongs here; ports, labels and the like do not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    format: u64,
    /// Seconds between blocks of the embedded L1; `None` on an external one.
    l1_block_time: Option<u64>,
    l2_block_time: u64,
    fork: String,
    fork_offsets: BTreeMap<Hardfork, u64>,
    /// The mnemonic's first account.
    account: Address,
}

impl Settings {
    /// What a rollup is asked for with.
    pub fn of(config: &UpConfig) -> Self {
        Self {
            format: FORMAT,
            l1_block_time: match &config.l1 {
                L1Choice::Embedded { block_time, .. } => Some(*block_time),
                L1Choice::External { .. } => None,
            },
            l2_block_time: config.l2_block_time,
            fork: config.fork.to_string(),
            fork_offsets: config.fork_offsets.clone(),
            account: config.accounts.users().first().map(|user| user.address()).unwrap_or_default(),
        }
    }

    /// Each setting as the user gives it.
    fn flags(&self) -> [String; 5] {
        let offsets = match self.fork_offsets.is_empty() {
            true => "no --fork-offset".to_owned(),
            false => {
                let all = self.fork_offsets.iter().map(|(fork, time)| format!("{fork}={time}"));
                format!("--fork-offset {}", all.collect::<Vec<_>>().join(","))
            }
        };
        [
            match self.l1_block_time {
                Some(seconds) => format!("an embedded L1 and --l1-block-time {seconds}"),
                None => "an L1 given by --l1".to_owned(),
            },
            format!("--l2-block-time {}", self.l2_block_time),
            format!("--fork {}", self.fork),
            offsets,
            format!("a --mnemonic whose first account is {}", self.account),
        ]
    }
}

/// What a rollup begins with.
#[derive(Debug)]
pub struct Beginning {
    /// Genesis of the embedded L1, where there is one.
    pub l1_genesis: Option<Genesis>,
    /// Genesis of the L2.
    pub l2_genesis: Genesis,
    /// The rollup configuration, without upgrade transactions.
    pub rollup: RollupConfig,
    /// Contracts on L1.
    pub addresses: Addresses,
}

/// The folder of a rollup, which this process alone has open.
#[derive(Debug)]
pub struct Kept {
    dir: PathBuf,
    /// Holds the lock until it is dropped.
    _lock: File,
}

fn io_error(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> KeptError {
    move |error| KeptError::Io { path: path.to_owned(), doing, error }
}

impl Kept {
    /// Locks the rollup's folder in a data directory, making it if it is not there.
    ///
    /// # Errors
    /// When the disk refuses, or another process has it.
    pub fn open(data_dir: &Path) -> Result<Self, KeptError> {
        let dir = data_dir.join(DIR);
        std::fs::create_dir_all(&dir).map_err(io_error(&dir, "create"))?;
        let path = dir.join(LOCK);
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(io_error(&path, "open"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(KeptError::InUse(dir)),
            Err(TryLockError::Error(error)) => Err(io_error(&path, "lock")(error)),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Folder of the embedded L1.
    pub fn l1(&self) -> PathBuf {
        self.dir.join("l1")
    }

    /// Folder of a node.
    pub fn node(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// What the rollup in the folder began with; `None` if there is no rollup yet.
    ///
    /// # Errors
    /// When it was made with other settings, or a file cannot be used.
    pub fn load(&self, settings: &Settings) -> Result<Option<Beginning>, KeptError> {
        let path = self.dir.join(SETTINGS);
        let Some(value) = self.read::<serde_json::Value>(SETTINGS)? else {
            // Chains begin after the settings are written.
            return match self.l1().exists() || self.node("sequencer").exists() {
                true => Err(KeptError::Damaged { path, reason: "it is missing".into() }),
                false => Ok(None),
            };
        };
        let found = value.get("format").and_then(serde_json::Value::as_u64).unwrap_or_default();
        if found != FORMAT {
            return Err(KeptError::Format { path, found });
        }
        let kept: Settings = serde_json::from_value(value)
            .map_err(|error| KeptError::Damaged { path, reason: error.to_string() })?;
        let different = kept.flags().into_iter().zip(settings.flags()).find(|(a, b)| a != b);
        if let Some((kept, asked)) = different {
            return Err(KeptError::Settings { path: self.dir.clone(), kept, asked });
        }
        let rollup: serde_json::Value = self.must_read(ROLLUP)?;
        let rollup = RollupConfig::from_json(&rollup.to_string()).map_err(|error| {
            KeptError::Damaged { path: self.dir.join(ROLLUP), reason: error.to_string() }
        })?;
        Ok(Some(Beginning {
            l1_genesis: match kept.l1_block_time {
                Some(_) => Some(self.must_read(L1_GENESIS)?),
                None => None,
            },
            l2_genesis: self.must_read(L2_GENESIS)?,
            rollup,
            addresses: self.must_read(ADDRESSES)?,
        }))
    }

    /// Demands that the rollup is the one that was found on a given L1.
    ///
    /// # Errors
    /// When it is another one.
    pub fn expect_same(&self, kept: &Beginning, found: &Beginning) -> Result<(), KeptError> {
        let of = |beginning: &Beginning| {
            format!("a deployment whose L2 genesis is {}", beginning.rollup.genesis.l2.hash)
        };
        match kept.rollup.genesis == found.rollup.genesis {
            true => Ok(()),
            false => Err(KeptError::Settings {
                path: self.dir.clone(),
                kept: of(kept),
                asked: of(found),
            }),
        }
    }

    /// Keeps what a new rollup begins with. It lasts when this returns; before that there is none.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, settings: &Settings, beginning: &Beginning) -> Result<(), KeptError> {
        if let Some(genesis) = &beginning.l1_genesis {
            self.write(L1_GENESIS, genesis)?;
        }
        self.write(L2_GENESIS, &beginning.l2_genesis)?;
        self.write(ROLLUP, &beginning.rollup)?;
        self.write(ADDRESSES, &beginning.addresses)?;
        self.write(SETTINGS, settings)
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<(), KeptError> {
        let path = self.dir.join(name);
        let error = io_error(&path, "write");
        match serde_json::to_vec(value) {
            Ok(json) => write_whole(&path, &json).map_err(error),
            Err(json) => Err(error(json.into())),
        }
    }

    fn must_read<T: DeserializeOwned>(&self, name: &str) -> Result<T, KeptError> {
        let missing =
            || KeptError::Damaged { path: self.dir.join(name), reason: "it is missing".into() };
        self.read(name)?.ok_or_else(missing)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, KeptError> {
        let path = self.dir.join(name);
        let json = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            json => json.map_err(io_error(&path, "read"))?,
        };
        let read = serde_json::from_slice(&json);
        read.map(Some).map_err(|error| KeptError::Damaged { path, reason: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use opal_governance::{DevAccounts, Intent, TEST_MNEMONIC, devnet_genesis};

    fn settings() -> Settings {
        Settings {
            format: FORMAT,
            l1_block_time: Some(2),
            l2_block_time: 1,
            fork: "karst".into(),
            fork_offsets: BTreeMap::new(),
            account: Address::repeat_byte(1),
        }
    }

    fn beginning() -> Beginning {
        let intent = Intent::devnet(&DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap());
        let genesis = devnet_genesis(&intent, 1_800_000_000).unwrap();
        Beginning {
            l1_genesis: Some(genesis.l1_genesis),
            l2_genesis: genesis.l2_genesis,
            rollup: genesis.rollup_config,
            addresses: genesis.addresses,
        }
    }

    #[test]
    fn what_was_kept_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::open(dir.path()).unwrap();
        assert!(kept.load(&settings()).unwrap().is_none());
        let before = beginning();
        kept.save(&settings(), &before).unwrap();
        assert!(matches!(Kept::open(dir.path()), Err(KeptError::InUse(_))));
        drop(kept);
        let kept = Kept::open(dir.path()).unwrap();
        let after = kept.load(&settings()).unwrap().unwrap();
        assert_eq!(after.rollup, before.rollup);
        assert_eq!(after.l1_genesis, before.l1_genesis);
        assert_eq!(after.addresses, before.addresses);
        let json = |genesis: &Genesis| serde_json::to_string(genesis).unwrap();
        assert_eq!(json(&after.l2_genesis), json(&before.l2_genesis));
    }

    #[test]
    fn other_settings_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::open(dir.path()).unwrap();
        kept.save(&settings(), &beginning()).unwrap();
        let offsets = BTreeMap::from([(Hardfork::Karst, 30)]);
        for (asked, word) in [
            (Settings { l1_block_time: Some(3), ..settings() }, "--l1-block-time 2"),
            (Settings { l1_block_time: None, ..settings() }, "--l1"),
            (Settings { l2_block_time: 2, ..settings() }, "--l2-block-time 1"),
            (Settings { fork: "jovian".into(), ..settings() }, "--fork karst"),
            (Settings { fork_offsets: offsets, ..settings() }, "no --fork-offset"),
            (Settings { account: Address::ZERO, ..settings() }, "--mnemonic"),
        ] {
            let error = kept.load(&asked).unwrap_err();
            assert!(matches!(error, KeptError::Settings { .. }), "{error}");
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn files_that_are_missing_or_damaged_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::open(dir.path()).unwrap();
        kept.save(&settings(), &beginning()).unwrap();
        for name in [L1_GENESIS, L2_GENESIS, ROLLUP, ADDRESSES, SETTINGS] {
            let path = kept.path().join(name);
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
            let error = kept.load(&settings()).unwrap_err();
            assert!(matches!(error, KeptError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains(name), "{error}");
            std::fs::remove_file(&path).unwrap();
            // Without its settings, which come last, there is no rollup.
            let missing = kept.load(&settings());
            assert!(if name == SETTINGS { matches!(missing, Ok(None)) } else { missing.is_err() });
            std::fs::write(&path, &whole).unwrap();
        }
        let newer = Settings { format: FORMAT + 1, ..settings() };
        kept.write(SETTINGS, &newer).unwrap();
        let error = kept.load(&settings()).unwrap_err();
        assert!(matches!(error, KeptError::Format { found, .. } if found == FORMAT + 1), "{error}");
    }
}

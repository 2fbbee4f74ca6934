//! The files that hold the upgrade transactions of forks: a directory of bundles.
//!
//! A bundle is known by its hash, not by its name: every `.json` and `.json.gz` in the directory is
//! looked at. So the published files serve as they are, and so does a list of the deposits of the
//! forks that came before bundles.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use alloy_primitives::{B256, Bytes};
use flate2::read::MultiGzDecoder;
use opal_protocol::hardfork::{TABLE, Upgrade};
use opal_protocol::upgrades::{BundleError, MissingUpgrade};
use opal_protocol::{Hardfork, RollupConfig, UpgradeBundle};
use serde_json::Value;
use tracing::warn;
use url::Url;

use crate::files::write_whole;
use crate::http::{HttpError, http_client, http_error_text, without_credentials};

/// Bytes that a file may have, packed and unpacked.
pub const MAX_FILE_BYTES: u64 = 16 << 20;
/// Files that a directory may hold.
const MAX_FILES: usize = 1000;

/// Why upgrade transactions can't be had.
#[derive(Debug, thiserror::Error)]
pub enum UpgradesError {
    /// A file or directory can't be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A directory with more files than bundles can be.
    #[error("{}: more than {MAX_FILES} files; name a directory that holds upgrade bundles", .0.display())]
    TooManyFiles(PathBuf),
    /// A file that is too long, or unpacks to too much.
    #[error("longer than {MAX_FILE_BYTES} bytes")]
    TooLong,
    /// A file that is no bundle and no list of upgrade deposits.
    #[error("{0}")]
    Format(String),
    /// A bundle that cannot be.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A bundle that no chain is known to have.
    #[error(
        "the bundle has SHA-256 {0}, which is no fork's; if it is of your own chain, say of which \
         fork: --custom FORK"
    )]
    Unknown(B256),
    /// The chain needs bundles that were not found.
    #[error("{}", missing_text(dir, missing))]
    Missing {
        /// Where they were looked for.
        dir: PathBuf,
        /// Which.
        missing: Vec<MissingUpgrade>,
    },
    /// The URL can't be used.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The download failed.
    #[error("{url}: {error}")]
    Download {
        /// Host, without credentials.
        url: String,
        /// Why.
        error: String,
    },
}

fn missing_text(dir: &Path, missing: &[MissingUpgrade]) -> String {
    let file =
        |upgrade: &MissingUpgrade| Some(format!("{} (SHA-256 {})", upgrade.fork, upgrade.sha256?));
    let files: Vec<String> = missing.iter().filter_map(file).collect();
    let unnamed = missing.iter().filter(|upgrade| upgrade.sha256.is_none());
    let mut parts: Vec<String> = unnamed.map(ToString::to_string).collect();
    if !files.is_empty() {
        parts.insert(
            0,
            format!(
                "upgrade transactions are missing in {}: those of {}; get the bundle files by \
                 `opal upgrades import FILE` or `opal upgrades download URL`",
                dir.display(),
                files.join(", ")
            ),
        );
    }
    parts.join("; ")
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> UpgradesError + '_ {
    move |error| UpgradesError::Io { path: path.to_owned(), error }
}

/// What a file holds.
enum Contents {
    /// One bundle, of a fork that the file does not name.
    Bundle(Vec<u8>),
    /// Deposits by fork: intent and EIP-2718 encoding.
    Deposits(Vec<(Hardfork, Vec<(String, Bytes)>)>),
}

/// The bytes of a file, out of gzip if it is packed.
fn unpack(file: &[u8]) -> Result<Vec<u8>, UpgradesError> {
    let mut bytes = Vec::new();
    let read = if file.starts_with(&[0x1f, 0x8b]) {
        MultiGzDecoder::new(file).take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)
    } else {
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)
    };
    let read = read.map_err(|error| UpgradesError::Format(format!("gzip: {error}")))?;
    if read as u64 > MAX_FILE_BYTES { Err(UpgradesError::TooLong) } else { Ok(bytes) }
}

fn contents(file: &[u8]) -> Result<Contents, UpgradesError> {
    let bytes = unpack(file)?;
    let json: Value =
        serde_json::from_slice(&bytes).map_err(|error| UpgradesError::Format(error.to_string()))?;
    if json.get("transactions").is_some() {
        return Ok(Contents::Bundle(bytes));
    }
    // Test vectors wrap the bundle.
    if let Some(bundle) = json.get("bundle").filter(|bundle| bundle.is_object()) {
        let bytes = serde_json::to_vec_pretty(bundle);
        let bytes = bytes.map_err(|error| UpgradesError::Format(error.to_string()))?;
        return Ok(Contents::Bundle(bytes));
    }
    let Some(forks) = json.get("forks").and_then(Value::as_object) else {
        return Err(UpgradesError::Format(
            "neither an upgrade bundle nor a list of upgrade deposits".to_owned(),
        ));
    };
    let forks = forks.iter().map(|(name, deposits)| {
        let fork = name.parse().ok()?;
        let deposit = |deposit: &Value| {
            let raw = deposit.get("raw")?.as_str()?.parse().ok()?;
            Some((deposit.get("intent")?.as_str()?.to_owned(), raw))
        };
        Some((fork, deposits.as_array()?.iter().map(deposit).collect::<Option<_>>()?))
    });
    forks.collect::<Option<_>>().map(Contents::Deposits).ok_or_else(|| {
        UpgradesError::Format("each upgrade deposit must have \"intent\" and \"raw\"".to_owned())
    })
}

/// The bundle in the layout of the published files, which a bundle may have lost on its way.
fn laid_out(bundle: &UpgradeBundle) -> Result<UpgradeBundle, BundleError> {
    UpgradeBundle::from_transactions(bundle.fork(), bundle.transactions().to_vec())
}

/// The bundles with these hashes that a file holds, and how the others would be known.
fn bundles_in(
    contents: &Contents,
    wanted: &[(Hardfork, B256)],
) -> Result<(Vec<UpgradeBundle>, Vec<B256>), UpgradesError> {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    match contents {
        Contents::Bundle(bytes) => {
            for (fork, hash) in wanted {
                // A file of another fork is no error.
                let Ok(bundle) = UpgradeBundle::parse(*fork, bytes) else { continue };
                let bundle = if bundle.sha256() == *hash { bundle } else { laid_out(&bundle)? };
                if bundle.sha256() == *hash {
                    found.push(bundle);
                }
            }
            if found.is_empty() {
                // Any bundle can be interop's, which has neither a pin nor intents of its own.
                others.push(laid_out(&UpgradeBundle::parse(Hardfork::Interop, bytes)?)?.sha256());
            }
        }
        Contents::Deposits(forks) => {
            for (fork, deposits) in forks {
                let deposits = deposits.iter().map(|(intent, raw)| (intent.as_str(), raw.as_ref()));
                let bundle = UpgradeBundle::from_deposits(*fork, deposits)?;
                if wanted.contains(&(*fork, bundle.sha256())) {
                    found.push(bundle);
                } else {
                    others.push(bundle.sha256());
                }
            }
        }
    }
    Ok((found, others))
}

/// The bundles that every chain has: fork and hash.
pub fn pinned() -> Vec<(Hardfork, B256)> {
    let pin = |fork: Hardfork| match fork.upgrade() {
        Upgrade::Bundle { sha256, .. } => Some((fork, sha256)),
        Upgrade::None | Upgrade::OwnBundle => None,
    };
    TABLE.iter().filter_map(|row| pin(row.fork)).collect()
}

/// The files of a directory that may be bundles, by name; none if it does not exist.
///
/// # Errors
/// When the directory can't be read, or holds far too many.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>, UpgradesError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(dir)(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(at(dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if (name.ends_with(".json") || name.ends_with(".json.gz")) && !name.starts_with('.') {
            if files.len() == MAX_FILES {
                return Err(UpgradesError::TooManyFiles(dir.to_owned()));
            }
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A file as it is, unless it is longer than [`MAX_FILE_BYTES`].
///
/// # Errors
/// When it is, or can't be read.
pub fn read(path: &Path) -> Result<Vec<u8>, UpgradesError> {
    let file = fs::File::open(path).map_err(at(path))?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(at(path))?;
    if read as u64 > MAX_FILE_BYTES { Err(UpgradesError::TooLong) } else { Ok(bytes) }
}

/// Loads the bundles of all forks that the chain activates after genesis, as far as they are in
/// `dir`, which need not exist. What is missing is for [`require_upgrades`] to say.
///
/// # Errors
/// When the directory can't be read. A file that is no bundle is warned of and left out.
pub fn load_upgrades(dir: &Path, config: &mut RollupConfig) -> Result<(), UpgradesError> {
    let wanted: Vec<_> = config
        .upgrading_forks()
        .filter(|fork| config.upgrade_bundle(*fork).is_err())
        .filter_map(|fork| Some((fork, config.upgrade_hash(fork)?)))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut bundles: Vec<_> = config.upgrades.iter().cloned().collect();
    for path in files(dir)? {
        let found = read(&path).and_then(|file| bundles_in(&contents(&file)?, &wanted));
        match found {
            Ok((found, _)) => bundles.extend(found),
            Err(error) => {
                warn!(target: "opal::upgrades", path = %path.display(), %error, "file is left out");
            }
        }
    }
    config.upgrades = bundles.into_iter().collect();
    Ok(())
}

/// Refuses a chain whose upgrade transactions were not all loaded: those of the forks that activate
/// after the time `after`, in seconds. A node that starts from genesis gives the time of genesis.
///
/// # Errors
/// Names all bundles that are missing, and how to get them.
pub fn require_upgrades(
    dir: &Path,
    config: &RollupConfig,
    after: u64,
) -> Result<(), UpgradesError> {
    let missing: Vec<_> = config.missing_upgrades(after).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(UpgradesError::Missing { dir: dir.to_owned(), missing })
    }
}

/// What [`import`] accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Bundles that every chain has.
    Pinned,
    /// Any bundle, as one of this fork on a chain of its own.
    Custom(Hardfork),
}

/// A bundle that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The file.
    pub path: PathBuf,
    /// The bundle.
    pub bundle: UpgradeBundle,
}

/// Puts the bundles of a file into the directory, which is made if need be.
///
/// # Errors
/// When the file holds none, or one that is not accepted; nothing is written then.
pub fn import(dir: &Path, file: &[u8], accept: Accept) -> Result<Vec<Imported>, UpgradesError> {
    let contents = contents(file)?;
    let bundles: Vec<(UpgradeBundle, Vec<u8>)> = match (accept, contents) {
        (Accept::Pinned, contents) => {
            let (bundles, others) = bundles_in(&contents, &pinned())?;
            if let Some(hash) = others.first() {
                return Err(UpgradesError::Unknown(*hash));
            }
            let with_file = |bundle: UpgradeBundle| {
                let file = bundle.to_json()?.into_bytes();
                Ok((bundle, file))
            };
            bundles.into_iter().map(with_file).collect::<Result<_, BundleError>>()?
        }
        (Accept::Custom(fork), Contents::Bundle(file)) => {
            vec![(UpgradeBundle::parse(fork, &file)?, file)]
        }
        (Accept::Custom(fork), Contents::Deposits(_)) => {
            return Err(UpgradesError::Format(format!(
                "--custom {fork} is for a bundle, not for a list of upgrade deposits"
            )));
        }
    };
    fs::create_dir_all(dir).map_err(at(dir))?;
    bundles.into_iter().map(|(bundle, file)| write(dir, bundle, &file)).collect()
}

/// Name of a bundle's file. A chain of its own has other bundles than the rest, and both may lie in
/// one directory.
fn file_name(fork: Hardfork, hash: B256) -> String {
    if pinned().contains(&(fork, hash)) {
        format!("{fork}_nut_bundle.json")
    } else {
        let short = hash.to_string();
        format!("{fork}_nut_bundle.{}.json", short.get(2..18).unwrap_or_default())
    }
}

/// The files in a directory that were imported for chains of their own.
///
/// # Errors
/// As [`files`].
pub fn own_files(dir: &Path) -> Result<Vec<PathBuf>, UpgradesError> {
    let mut files = files(dir)?;
    files.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.contains("_nut_bundle.") && !name.ends_with("_nut_bundle.json")
    });
    Ok(files)
}

fn write(dir: &Path, bundle: UpgradeBundle, file: &[u8]) -> Result<Imported, UpgradesError> {
    let path = dir.join(file_name(bundle.fork(), bundle.sha256()));
    write_whole(&path, file).map_err(at(&path))?;
    Ok(Imported { path, bundle })
}

/// What a directory has of one fork's bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is in this file.
    Present(PathBuf, Box<UpgradeBundle>),
    /// It is nowhere.
    Missing,
    /// The file that has its name holds something else, for this reason.
    Wrong(PathBuf, String),
}

/// Looks for bundles in a directory.
///
/// # Errors
/// When the directory can't be read.
pub fn verify(
    dir: &Path,
    wanted: &[(Hardfork, B256)],
) -> Result<BTreeMap<Hardfork, Presence>, UpgradesError> {
    let mut state: BTreeMap<_, _> =
        wanted.iter().map(|(fork, _)| (*fork, Presence::Missing)).collect();
    for path in files(dir)? {
        let found = read(&path).and_then(|file| bundles_in(&contents(&file)?, wanted));
        let reason = match &found {
            Ok((_, others)) => others.first().map(|hash| format!("it has SHA-256 {hash}")),
            Err(error) => Some(error.to_string()),
        };
        for bundle in found.into_iter().flat_map(|(found, _)| found) {
            state.insert(bundle.fork(), Presence::Present(path.clone(), Box::new(bundle)));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for (fork, hash) in wanted {
            if let (Some(Presence::Missing), Some(reason)) = (state.get(fork), &reason)
                && name == file_name(*fork, *hash)
            {
                state.insert(*fork, Presence::Wrong(path.clone(), reason.clone()));
            }
        }
    }
    Ok(state)
}

/// Fetches a file over HTTP or HTTPS, of at most [`MAX_FILE_BYTES`].
///
/// # Errors
/// When the URL is of another kind, or the server gives nothing, or too much.
pub async fn download(url: &Url) -> Result<Vec<u8>, UpgradesError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(HttpError::Scheme { url: without_credentials(url) }.into());
    }
    let failed = |error: String| UpgradesError::Download { url: without_credentials(url), error };
    let request = http_client(url)?.get(url.clone()).send().await;
    let response = request.and_then(reqwest::Response::error_for_status);
    let mut response = response.map_err(|error| failed(http_error_text(&error)))?;
    let mut bytes = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| failed(http_error_text(&error)))?
    {
        if bytes.len() as u64 + chunk.len() as u64 > MAX_FILE_BYTES {
            return Err(UpgradesError::TooLong);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
#[path = "upgrades_tests.rs"]
mod tests;

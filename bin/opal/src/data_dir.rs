//! Where Opal keeps data: chains, genesis files and upgrade bundles.

use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use clap::Args;
use eyre::{WrapErr, bail, eyre};

/// The flag of every command that reads or writes data files.
#[derive(Clone, Debug, Args)]
pub(crate) struct DataDir {
    /// Directory of chains, genesis files and upgrade bundles [default: `opal` in the user's data
    /// directory, ~/.local/share].
    #[arg(
        long,
        visible_alias = "datadir",
        env = "OPAL_DATA_DIR",
        value_name = "DIR",
        global = true
    )]
    data_dir: Option<PathBuf>,
}

impl DataDir {
    /// The one that is named, or else the usual one.
    pub(crate) fn new(named: Option<PathBuf>) -> Self {
        let usual = || std::env::var_os("OPAL_DATA_DIR").filter(|path| !path.is_empty());
        Self { data_dir: named.or_else(|| usual().map(PathBuf::from)) }
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> eyre::Result<PathBuf> {
        if let Some(dir) = &self.data_dir {
            return Ok(dir.clone());
        }
        let from = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty());
        if let Some(dir) = from("XDG_DATA_HOME") {
            return Ok(PathBuf::from(dir).join("opal"));
        }
        match from("HOME") {
            Some(home) => Ok(PathBuf::from(home).join(".local/share/opal")),
            None => bail!("no home directory for the data files; name one with --data-dir"),
        }
    }

    /// The genesis files in it, one of a chain, named by its id.
    pub(crate) fn genesis(&self) -> eyre::Result<PathBuf> {
        Ok(self.path()?.join("genesis"))
    }

    /// The directory of one chain's blocks and state.
    pub(crate) fn execution(&self, chain_id: u64, genesis: B256) -> eyre::Result<PathBuf> {
        Ok(self.path()?.join(EXECUTION).join(format!("{chain_id}-{genesis}")))
    }

    /// The directory of the chain with this id, or of the only one that there is.
    pub(crate) fn find_execution(&self, chain_id: Option<u64>) -> eyre::Result<PathBuf> {
        let root = self.path()?;
        // The directory of a chain may be named itself.
        if is_chain(&root) {
            return Ok(root);
        }
        let root = root.join(EXECUTION);
        let context = || format!("cannot read {}", root.display());
        let mut found = Vec::new();
        let entries = match std::fs::read_dir(&root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            entries => Some(entries.wrap_err_with(context)?),
        };
        for entry in entries.into_iter().flatten() {
            let path = entry.wrap_err_with(context)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let id = name.split('-').next().and_then(|id| id.parse::<u64>().ok());
            if is_chain(&path) && (chain_id.is_none() || id == chain_id) {
                found.push(path);
            }
        }
        found.sort();
        match &found[..] {
            [one] => Ok(one.clone()),
            [] => {
                Err(eyre!("no chain in {}; name a data directory with --data-dir", root.display()))
            }
            several => {
                let names: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
                bail!(
                    "there are several chains; name one with --chain ID, or its directory with \
                     --data-dir: {}",
                    names.join(", ")
                )
            }
        }
    }
}

/// Folder of the chains.
const EXECUTION: &str = "execution";

fn is_chain(path: &Path) -> bool {
    path.join("IDENTITY").is_file()
}

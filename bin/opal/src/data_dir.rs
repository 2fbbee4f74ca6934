//! Where Opal keeps data files: genesis files and upgrade bundles.

use std::path::PathBuf;

use clap::Args;
use eyre::bail;

/// The flag of every command that reads or writes data files.
#[derive(Clone, Debug, Args)]
pub(crate) struct DataDir {
    /// Directory of genesis files and upgrade bundles [default: `opal` in the user's data
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
}

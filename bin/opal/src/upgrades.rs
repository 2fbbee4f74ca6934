//! `opal upgrades`: the files with the upgrade transactions of forks.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use eyre::{Report, WrapErr, bail};
use opal_protocol::hardfork::{TABLE, Upgrade};
use opal_protocol::{Hardfork, RollupConfig};
use opal_service::http::without_credentials;
use opal_service::upgrades::{
    self, Accept, Presence, UpgradesError, load_upgrades, pinned, require_upgrades,
};
use url::Url;

use crate::data_dir::DataDir;
use crate::tool::{on_thread, print};

/// Where the upgrade bundles are.
#[derive(Clone, Debug, Args)]
pub(crate) struct UpgradesDir {
    /// Directory of the upgrade bundles [default: `upgrades` in the data directory].
    #[arg(long, env = "OPAL_UPGRADES", value_name = "DIR", global = true)]
    upgrades: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

impl UpgradesDir {
    /// The one that is named, or that in the data directory that is named, or in the usual one.
    pub(crate) fn new(upgrades: Option<PathBuf>, data_dir: Option<PathBuf>) -> Self {
        Self { upgrades, data: DataDir::new(data_dir) }
    }

    /// The directory.
    pub(crate) fn path(&self) -> eyre::Result<PathBuf> {
        match &self.upgrades {
            Some(dir) => Ok(dir.clone()),
            None => Ok(self.data.path()?.join("upgrades")),
        }
    }

    /// Loads the bundles that a chain needs when it is derived from genesis on.
    pub(crate) fn load(&self, config: &mut RollupConfig) -> eyre::Result<()> {
        if config.upgrading_forks().next().is_none() {
            return Ok(());
        }
        let dir = self.path()?;
        load_upgrades(&dir, config).wrap_err("--upgrades")?;
        Ok(require_upgrades(&dir, config, config.genesis.l2_time)?)
    }
}

/// The upgrade transactions of forks, which are data: each fork's first block carries the
/// transactions of one file, its bundle, known by its SHA-256.
#[derive(Debug, Args)]
pub(crate) struct UpgradesArgs {
    #[command(flatten)]
    dir: UpgradesDir,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take bundles from files: published bundles, or lists of upgrade deposits; plain or gzip.
    Import {
        /// Files, or directories with such files.
        #[arg(required = true, value_name = "FILE|DIR")]
        paths: Vec<PathBuf>,
        /// Take a bundle of your own chain, as one of this fork.
        #[arg(long, value_name = "FORK")]
        custom: Option<Hardfork>,
    },
    /// Tell for each fork whether its bundle is there, is missing, or is wrong.
    Verify,
    /// Tell which bundles there are, and what is in them.
    List,
    /// Fetch a file over HTTP and take the bundles in it.
    Download {
        /// Where it is.
        url: Url,
        /// Take a bundle of your own chain, as one of this fork.
        #[arg(long, value_name = "FORK")]
        custom: Option<Hardfork>,
    },
}

pub(crate) async fn run(args: UpgradesArgs) -> eyre::Result<()> {
    let dir = args.dir.path()?;
    match args.command {
        Command::Import { paths, custom } => {
            on_thread(move || import(&dir, &paths, accept(custom))).await
        }
        Command::Verify => on_thread(move || verify(&dir)).await,
        Command::List => on_thread(move || list(&dir)).await,
        Command::Download { url, custom } => {
            let file = upgrades::download(&url).await;
            on_thread(move || take_download(&dir, &url, file, accept(custom))).await
        }
    }
}

/// The error with the file or host that it is about. Those of reading and fetching name it.
fn with_place(place: &str, error: UpgradesError) -> Report {
    match error {
        UpgradesError::Io { .. } | UpgradesError::Http(_) | UpgradesError::Download { .. } => {
            error.into()
        }
        error => Report::new(error).wrap_err(place.to_owned()),
    }
}

fn take_download(
    dir: &Path,
    url: &Url,
    file: Result<Vec<u8>, UpgradesError>,
    accept: Accept,
) -> eyre::Result<()> {
    // A path or query may hold a key.
    let host = without_credentials(url);
    let imported = file.and_then(|file| upgrades::import(dir, &file, accept));
    let imported = imported.map_err(|error| with_place(&host, error))?;
    if imported.is_empty() {
        bail!("{host}: no upgrade bundle is in the file");
    }
    tell(&imported);
    Ok(())
}

fn accept(custom: Option<Hardfork>) -> Accept {
    custom.map_or(Accept::Pinned, Accept::Custom)
}

fn tell(imported: &[upgrades::Imported]) {
    for upgrades::Imported { path, bundle } in imported {
        print(&format!(
            "{}: {} transactions, SHA-256 {}, in {}",
            bundle.fork(),
            bundle.deposits().len(),
            bundle.sha256(),
            path.display()
        ));
    }
}

fn import(dir: &Path, paths: &[PathBuf], accept: Accept) -> eyre::Result<()> {
    let mut any = false;
    for path in paths {
        if !path.is_dir() {
            let imported = upgrades::read(path)
                .and_then(|file| upgrades::import(dir, &file, accept))
                .map_err(|error| with_place(&path.display().to_string(), error))?;
            tell(&imported);
            any |= !imported.is_empty();
            continue;
        }
        if accept != Accept::Pinned {
            bail!("--custom: {} is a directory; name the bundle's file", path.display());
        }
        for path in upgrades::files(path)? {
            // In a directory other files may lie.
            let imported =
                upgrades::read(&path).and_then(|file| upgrades::import(dir, &file, accept));
            match imported {
                Ok(imported) => {
                    tell(&imported);
                    any |= !imported.is_empty();
                }
                Err(error @ UpgradesError::Io { .. }) => return Err(error.into()),
                Err(error) => print(&format!("left out {}: {error}", path.display())),
            }
        }
    }
    if !any {
        bail!("no upgrade bundle was found");
    }
    Ok(())
}

fn verify(dir: &Path) -> eyre::Result<()> {
    let mut lacking = 0;
    for (fork, presence) in upgrades::verify(dir, &pinned())? {
        match presence {
            Presence::Present(path, _) => {
                print(&format!("{fork}: present in {}", path.display()));
            }
            Presence::Missing => {
                lacking += 1;
                print(&format!("{fork}: missing"));
            }
            Presence::Wrong(path, reason) => {
                lacking += 1;
                print(&format!("{fork}: wrong, {}: {reason}", path.display()));
            }
        }
    }
    if lacking > 0 {
        bail!("{lacking} of the public bundles are not in {}", dir.display());
    }
    Ok(())
}

fn list(dir: &Path) -> eyre::Result<()> {
    let present = upgrades::verify(dir, &pinned())?;
    for row in &TABLE {
        match (row.upgrade, present.get(&row.fork)) {
            (Upgrade::None, _) => {}
            (Upgrade::OwnBundle, _) => {
                print(&format!(
                    "{}: not final; a chain that schedules it names its own bundle",
                    row.fork
                ));
            }
            (Upgrade::Bundle { sha256, .. }, Some(Presence::Present(path, bundle))) => {
                print(&format!(
                    "{}: {} transactions with {} gas, SHA-256 {sha256}, in {}",
                    row.fork,
                    bundle.deposits().len(),
                    bundle.gas(),
                    path.display()
                ));
            }
            (Upgrade::Bundle { sha256, .. }, _) => {
                print(&format!("{}: not here, SHA-256 {sha256}", row.fork));
            }
        }
    }
    for path in upgrades::own_files(dir)? {
        print(&format!("of an own chain: {}", path.display()));
    }
    Ok(())
}

//! `opal derive`: derivation without a node. L1 data in, payload attributes out, one JSON line for
//! each L2 block; compared with the blocks that are known. `docs/derive.md` has the format.

mod data;
mod output;
mod run;

use std::path::{Path, PathBuf};

use clap::Args;
use eyre::{WrapErr, bail, eyre};
use opal_protocol::registry;
use opal_protocol::{RollupConfig, UpgradeBundles};
use opal_service::upgrades::load_upgrades;

use crate::network::{L1ChainConfig, refuse_alt_da};
use crate::tool::on_thread;
use crate::upgrades::UpgradesDir;
use data::{Data, Rollup};
use output::Output;

/// Derive payload attributes from recorded L1 data, and compare them with known L2 blocks.
///
/// Prints one JSON line per L2 block on stdout; progress and dropped data on stderr.
#[derive(Debug, Args)]
pub(crate) struct DeriveArgs {
    /// A recording (`opal node --record`), or a file or folder with segments of L1 blocks
    /// (`opal-l1seg-v1`, .json or .json.gz).
    #[arg(long, value_name = "DIR|FILE")]
    l1_data: PathBuf,
    /// File or folder with known L2 blocks (`opal-l2expected-v1`) [default: those in --l1-data].
    #[arg(long, value_name = "DIR|FILE")]
    l2_data: Option<PathBuf>,
    /// File or folder with blobs (`opal-blob-v1`) [default: those in --l1-data].
    #[arg(long, value_name = "DIR|FILE")]
    blobs: Option<PathBuf>,
    /// The chain: its name or id in the superchain registry [default: what the L1 data names].
    #[arg(long, value_name = "NAME|ID", conflicts_with = "rollup_config")]
    network: Option<String>,
    /// The rollup.json of a chain that is not in the registry.
    #[arg(long, visible_alias = "rollup.config", value_name = "FILE")]
    rollup_config: Option<PathBuf>,
    /// Number of the L2 block to build on [default: the first of the L2 data].
    #[arg(long, value_name = "NUMBER")]
    safe_head: Option<u64>,
    #[command(flatten)]
    l1: L1ChainConfig,
    #[command(flatten)]
    upgrades: UpgradesDir,
    /// Print what was dropped as JSON lines on stdout, too.
    #[arg(long)]
    drops: bool,
    /// Print no progress and no dropped data on stderr.
    #[arg(long, short)]
    quiet: bool,
}

/// Runs to the end of the data.
///
/// # Errors
/// When data is missing or corrupt, or a derived block is not the known one.
pub(crate) async fn run(args: DeriveArgs) -> eyre::Result<()> {
    on_thread(move || derive(&args)).await
}

fn derive(args: &DeriveArgs) -> eyre::Result<()> {
    let mut output = Output::new(args.drops, args.quiet);
    if let Some(lines) = data::open_recording(&args.l1_data)? {
        if args.network.is_some() || args.rollup_config.is_some() || args.safe_head.is_some() {
            bail!(
                "--l1-data {} is a recording, which says itself what chain it is and where it \
                 starts: leave out --network, --rollup-config and --safe-head",
                args.l1_data.display()
            );
        }
        let mut known = Data::default();
        if let Some(path) = &args.l2_data {
            known.read(path).wrap_err("--l2-data")?;
        }
        if args.l1.l1_chain_config.is_some() {
            output
                .note("a recording has its L1's parameters: --rollup.l1-chain-config is not read");
        }
        let load = |config: &RollupConfig| {
            refuse_alt_da(config)?;
            bundles(&args.upgrades, config)
        };
        return run::recording(lines, load, &known, &mut output)
            .wrap_err_with(|| args.l1_data.display().to_string());
    }
    let mut data = Data::default();
    data.read(&args.l1_data).wrap_err("--l1-data")?;
    if !data.has_l1() {
        bail!(
            "--l1-data {}: neither a recording nor any segment of L1 blocks (opal-l1seg-v1) is there",
            args.l1_data.display()
        );
    }
    for (flag, path) in [("--l2-data", &args.l2_data), ("--blobs", &args.blobs)] {
        if let Some(path) = path {
            data.read(path).wrap_err(flag)?;
        }
    }
    let mut config = chain(args, data.rollup.as_ref())?;
    refuse_alt_da(&config)?;
    if let Some(note) = args.l1.set(&mut config)? {
        output.note(&note);
    }
    config.upgrades = bundles(&args.upgrades, &config)?;
    data.select(&config)?;
    run::segments(config, &data, args.safe_head, &mut output)
}

/// The upgrade bundles that are there; one that is missing is an error where it is needed.
fn bundles(dir: &UpgradesDir, config: &RollupConfig) -> eyre::Result<UpgradeBundles> {
    if config.upgrading_forks().next().is_none() {
        return Ok(UpgradeBundles::default());
    }
    let mut config = config.clone();
    load_upgrades(&dir.path()?, &mut config).wrap_err("--upgrades")?;
    Ok(config.upgrades)
}

fn read_config(path: &Path) -> eyre::Result<RollupConfig> {
    let name = || format!("--rollup-config {}", path.display());
    let json = std::fs::read_to_string(path).wrap_err_with(name)?;
    RollupConfig::from_json(&json).wrap_err_with(name)
}

fn chain(args: &DeriveArgs, named: Option<&Rollup>) -> eyre::Result<RollupConfig> {
    if let Some(path) = &args.rollup_config {
        return read_config(path);
    }
    let (name, from) = match (&args.network, named) {
        (Some(name), _) => (name.clone(), "--network"),
        (None, Some(rollup)) => {
            let id = rollup.chain_id.map(|id| id.to_string());
            let name = id.or_else(|| rollup.chain.clone());
            let name = name.ok_or_else(|| {
                eyre!("the L1 data names no chain: give --network or --rollup-config")
            })?;
            (name, "chain of the L1 data")
        }
        (None, None) => bail!("the L1 data names no chain: give --network or --rollup-config"),
    };
    let preset = registry::find(&name).wrap_err(from)?;
    preset.supported()?;
    Ok(preset.rollup_config())
}

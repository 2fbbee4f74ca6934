//! `opal up`.

use std::any::Any;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use eyre::{WrapErr, bail};
use opal_da::DataAvailabilityType;
use opal_devnet::up::{self, Contracts, L1Choice, Ports, UpConfig};
use opal_governance::{DevAccounts, TEST_MNEMONIC};
use opal_protocol::Hardfork;
use opal_service::Shutdown;
use opal_service::keys::{Key, Secret};
use url::Url;

use crate::banner;
use crate::upgrades::UpgradesDir;

/// Flags of `opal up`. Each can be set by its `OPAL_UP_*` variable too.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Address that all servers listen on.
    #[arg(long, env = "OPAL_UP_HOST", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Port of the L1 JSON-RPC (embedded L1 only); 0 picks a free one, as for all ports.
    #[arg(long, env = "OPAL_UP_L1_PORT", default_value_t = 8545)]
    l1_port: u16,
    /// Port of the L1 beacon API (embedded L1 only).
    #[arg(long, env = "OPAL_UP_L1_BEACON_PORT", default_value_t = 5052)]
    l1_beacon_port: u16,
    /// Port of the L2 JSON-RPC (HTTP and WebSocket).
    #[arg(long, env = "OPAL_UP_L2_PORT", default_value_t = 9545)]
    l2_port: u16,
    /// Port of the rollup RPC.
    #[arg(long, env = "OPAL_UP_ROLLUP_PORT", default_value_t = 7545)]
    rollup_port: u16,
    /// Port of the verifier's L2 JSON-RPC.
    #[arg(long, env = "OPAL_UP_VERIFIER_PORT", default_value_t = 9546)]
    verifier_port: u16,
    /// Port of the verifier's rollup RPC.
    #[arg(long, env = "OPAL_UP_VERIFIER_ROLLUP_PORT", default_value_t = 7546)]
    verifier_rollup_port: u16,
    /// Port of the Prometheus metrics; not served without it.
    #[arg(long, env = "OPAL_UP_METRICS_PORT")]
    metrics_port: Option<u16>,
    /// Start no verifier.
    #[arg(long, env = "OPAL_UP_NO_VERIFIER")]
    no_verifier: bool,
    /// Start no proposer: withdrawals can't be proven then.
    #[arg(long, env = "OPAL_UP_NO_PROPOSER")]
    no_proposer: bool,

    /// Seconds between blocks of the embedded L1.
    #[arg(long, env = "OPAL_UP_L1_BLOCK_TIME", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    l1_block_time: u64,
    /// Blocks by which the embedded L1's `safe` block follows its tip.
    #[arg(long, env = "OPAL_UP_L1_SAFE_LAG", default_value_t = 4)]
    l1_safe_lag: u64,
    /// Blocks by which the embedded L1's `finalized` block follows its tip.
    #[arg(long, env = "OPAL_UP_L1_FINALITY_LAG", default_value_t = 8)]
    l1_finality_lag: u64,
    /// Seconds between L2 blocks.
    #[arg(long, env = "OPAL_UP_L2_BLOCK_TIME", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    l2_block_time: u64,
    /// The newest hardfork that is active from L2 genesis on (regolith … karst).
    #[arg(long, env = "OPAL_UP_FORK", default_value_t = Hardfork::LATEST_LIVE, value_name = "NAME")]
    fork: Hardfork,
    /// Let a later fork activate this many seconds after L2 genesis; can be given for several.
    #[arg(
        long = "fork-offset",
        env = "OPAL_UP_FORK_OFFSETS",
        value_name = "NAME=SECONDS",
        value_delimiter = ',',
        value_parser = fork_offset
    )]
    fork_offsets: Vec<(Hardfork, u64)>,
    /// Directory of the upgrade bundles [default: `upgrades` in the data directory].
    #[arg(long, env = "OPAL_UPGRADES", value_name = "DIR")]
    upgrades: Option<PathBuf>,
    /// Where batches go.
    #[arg(long, env = "OPAL_UP_DA", value_enum, default_value_t = DataAvailabilityType::Blobs)]
    da: DataAvailabilityType,

    /// Mnemonic of the prefunded accounts and of the roles [default: the well-known test mnemonic].
    #[arg(long, env = "OPAL_UP_MNEMONIC", hide_env_values = true, value_name = "WORDS")]
    mnemonic: Option<Secret>,
    /// Keep both chains in this directory; the next start with it goes on where this one stopped.
    /// Without it everything is in memory.
    #[arg(long, visible_alias = "datadir", env = "OPAL_UP_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Write rollup.json, genesis.json, addresses.json and endpoints.json here.
    #[arg(long, env = "OPAL_UP_OUT", value_name = "DIR")]
    out: Option<PathBuf>,

    /// Run on this L1 instead of the embedded one; the contracts are deployed to it.
    #[arg(long, env = "OPAL_UP_L1", value_name = "URL", help_heading = "External L1")]
    l1: Option<Url>,
    /// Beacon API of the given L1; needed for blobs.
    #[arg(
        long,
        env = "OPAL_UP_L1_BEACON",
        value_name = "URL",
        requires = "l1",
        help_heading = "External L1"
    )]
    l1_beacon: Option<Url>,
    /// Private key that pays for the deployment [default: the mnemonic's first account].
    #[arg(
        long,
        env = "OPAL_UP_DEPLOYER_KEY",
        hide_env_values = true,
        value_name = "KEY",
        requires = "l1",
        help_heading = "External L1"
    )]
    deployer_key: Option<Secret>,
    /// Deploy nothing: run the rollup that `opal deploy` has put there, from its folder. Its forks
    /// and its block time are in it; the mnemonic must have its roles.
    #[arg(
        long,
        env = "OPAL_UP_DEPLOYMENT",
        value_name = "DIR",
        requires = "l1",
        conflicts_with_all = ["deployer_key", "fork", "fork_offsets", "l2_block_time"],
        help_heading = "External L1"
    )]
    deployment: Option<PathBuf>,
}

/// `jovian=30`.
fn fork_offset(text: &str) -> Result<(Hardfork, u64), String> {
    let (fork, seconds) =
        text.split_once('=').ok_or_else(|| "expected NAME=SECONDS, as in jovian=30".to_owned())?;
    let fork: Hardfork = fork.parse().map_err(|error| format!("{error}"))?;
    let seconds = seconds.parse().map_err(|error| format!("\"{seconds}\": {error}"))?;
    Ok((fork, seconds))
}

impl TryFrom<UpArgs> for UpConfig {
    type Error = eyre::Report;

    fn try_from(args: UpArgs) -> eyre::Result<Self> {
        let phrase = args.mnemonic.as_ref().map_or(TEST_MNEMONIC, Secret::expose);
        let accounts = DevAccounts::from_mnemonic(phrase).wrap_err("--mnemonic")?;
        let interop = |fork: &Hardfork| *fork == Hardfork::Interop;
        if interop(&args.fork) || args.fork_offsets.iter().any(|(fork, _)| interop(fork)) {
            bail!("interop: it needs more than one chain, which `opal up` does not run");
        }
        if args.fork < Hardfork::Ecotone
            && args.l1.is_none()
            && args.da == DataAvailabilityType::Blobs
        {
            bail!(
                "--da blobs: derivation reads blobs from Ecotone on; with --fork {} use --da calldata",
                args.fork
            );
        }
        if args.l1_safe_lag > args.l1_finality_lag {
            bail!(
                "--l1-safe-lag {} is above --l1-finality-lag {}: a finalized block is safe",
                args.l1_safe_lag,
                args.l1_finality_lag
            );
        }
        let l1 = match args.l1 {
            None => L1Choice::Embedded {
                block_time: args.l1_block_time,
                safe_lag: args.l1_safe_lag,
                finality_lag: args.l1_finality_lag,
            },
            Some(rpc) => {
                let contracts = match (args.deployment.clone(), &args.deployer_key) {
                    (Some(dir), _) => Contracts::Deployed(dir),
                    (None, Some(secret)) => {
                        let key = Key::from_hex(secret).wrap_err("--deployer-key")?;
                        Contracts::Deploy(Box::new(key))
                    }
                    (None, None) => {
                        Contracts::Deploy(Box::new(Key::from_signer(accounts.users()[0].clone())))
                    }
                };
                if args.l1_beacon.is_none() && args.da == DataAvailabilityType::Blobs {
                    bail!(
                        "--l1-beacon is missing: blobs are read from a beacon API; give its URL or use --da calldata"
                    );
                }
                L1Choice::External { rpc, beacon: args.l1_beacon, contracts }
            }
        };
        Ok(Self {
            host: args.host,
            ports: Ports {
                l1: args.l1_port,
                l1_beacon: args.l1_beacon_port,
                l2: args.l2_port,
                rollup: args.rollup_port,
                verifier: args.verifier_port,
                verifier_rollup: args.verifier_rollup_port,
                metrics: args.metrics_port,
            },
            l1,
            l2_block_time: args.l2_block_time,
            fork: args.fork,
            // Without forks to come there is nothing to look for.
            upgrades: match args.fork_offsets.is_empty() && args.deployment.is_none() {
                true => PathBuf::new(),
                false => UpgradesDir::new(args.upgrades, args.data_dir.clone()).path()?,
            },
            fork_offsets: args.fork_offsets.into_iter().collect(),
            da: args.da,
            accounts,
            verifier: !args.no_verifier,
            proposer: !args.no_proposer,
            data_dir: args.data_dir,
            out: args.out,
        })
    }
}

pub(crate) async fn run(args: UpArgs, shutdown: &Shutdown) -> eyre::Result<Box<dyn Any>> {
    let started = Instant::now();
    let secret_mnemonic = args.mnemonic.is_some();
    let config = UpConfig::try_from(args)?;
    let devnet = up::start(config, shutdown).await?;
    banner::print(&devnet, secret_mnemonic, started.elapsed());
    Ok(Box::new(devnet))
}

//! Which chain a node runs: one of the registry, or one of its own files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use eyre::{WrapErr, bail, eyre};
use opal_execution::{Chain, ChainConfig};
use opal_governance::genesis_file;
use opal_governance::l1_chain_config::l1_blob_schedule;
use opal_protocol::registry::{self, ChainPreset};
use opal_protocol::{Hardfork, RollupConfig, l1_fees};
use tracing::{info, warn};

use crate::data_dir::DataDir;
use crate::genesis;
use crate::storage::StorageArgs;
use crate::upgrades::UpgradesDir;

/// Flags that say which chain it is.
#[derive(Clone, Debug, Args)]
pub(crate) struct NetworkArgs {
    /// A chain of the superchain registry by name or id, such as op-sepolia; `opal chains` lists
    /// them.
    #[arg(
        long,
        env = "OPAL_NODE_NETWORK",
        value_name = "NAME|ID",
        conflicts_with = "rollup_config",
        required_unless_present = "rollup_config"
    )]
    network: Option<String>,
    /// The rollup.json of a chain that is not in the registry.
    #[arg(
        long,
        visible_alias = "rollup.config",
        env = "OPAL_NODE_ROLLUP_CONFIG",
        value_name = "FILE"
    )]
    rollup_config: Option<PathBuf>,
    /// The chain's L2 genesis, as genesis.json or as the registry has it; with --network the one in
    /// the data directory if left out. Not read where the chain runs elsewhere.
    #[arg(long, env = "OPAL_NODE_GENESIS", value_name = "FILE")]
    genesis: Option<PathBuf>,
    #[command(flatten)]
    l1: L1ChainConfig,
    /// Start although the chain seems to lack the time of the Pectra blob schedule fix, without
    /// which chains on Sepolia and Holesky from before Pectra come out wrong.
    #[arg(long, env = "OPAL_NODE_IGNORE_MISSING_PECTRA_BLOB_SCHEDULE", hide_short_help = true)]
    ignore_missing_pectra_blob_schedule: bool,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    pub(crate) upgrades: UpgradesDir,
}

/// What derivation must know of an L1 that is none of Ethereum's public networks.
#[derive(Clone, Debug, Args)]
pub(crate) struct L1ChainConfig {
    /// Genesis or chain config of the L1, if it is none of Ethereum's public networks: it has the
    /// blob parameters.
    #[arg(
        long = "rollup.l1-chain-config",
        visible_alias = "l1-chain-config",
        env = "OPAL_NODE_ROLLUP_L1_CHAIN_CONFIG",
        value_name = "FILE"
    )]
    pub(crate) l1_chain_config: Option<PathBuf>,
}

impl L1ChainConfig {
    /// Sets the L1's blob parameters; gives what its user should know, if there is something.
    ///
    /// # Errors
    /// If the file is wrong or missing.
    pub(crate) fn set(&self, config: &mut RollupConfig) -> eyre::Result<Option<String>> {
        let l1_chain_id = config.l1_chain_id;
        let known = l1_fees::is_known_l1(l1_chain_id);
        match &self.l1_chain_config {
            Some(path) if known => Ok(Some(format!(
                "the blob parameters of L1 {l1_chain_id} are known, its chain config {} is not read",
                path.display()
            ))),
            Some(path) => {
                let json = read("--rollup.l1-chain-config", path)?;
                config.l1_blob_schedule = l1_blob_schedule(&json, l1_chain_id)
                    .wrap_err_with(|| format!("--rollup.l1-chain-config {}", path.display()))?;
                Ok(None)
            }
            None if known => Ok(None),
            None => Ok(Some(format!(
                "no chain config of L1 {l1_chain_id}: its blob parameters are taken to be \
                 Ethereum's of Cancun and Prague (--rollup.l1-chain-config gives others)"
            ))),
        }
    }
}

/// Refuses a chain whose batches are not on L1.
///
/// # Errors
/// If it is one.
pub(crate) fn refuse_alt_da(config: &RollupConfig) -> eyre::Result<()> {
    if config.alt_da.is_some() {
        bail!(
            "chain {} posts commitments to L1 and keeps its batches on a DA server (alt-DA); Opal \
             derives chains whose batches are on L1",
            config.l2_chain_id
        );
    }
    Ok(())
}

/// Activation times instead of the configuration's, in seconds since the Unix epoch.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Activation times instead of the configured ones")]
pub(crate) struct Overrides {
    #[arg(
        long = "override.canyon",
        env = "OPAL_NODE_OVERRIDE_CANYON",
        value_name = "TIME",
        hide_short_help = true
    )]
    override_canyon: Option<u64>,
    #[arg(
        long = "override.delta",
        env = "OPAL_NODE_OVERRIDE_DELTA",
        value_name = "TIME",
        hide_short_help = true
    )]
    override_delta: Option<u64>,
    #[arg(
        long = "override.ecotone",
        env = "OPAL_NODE_OVERRIDE_ECOTONE",
        value_name = "TIME",
        hide_short_help = true
    )]
    override_ecotone: Option<u64>,
    #[arg(
        long = "override.fjord",
        env = "OPAL_NODE_OVERRIDE_FJORD",
        value_name = "TIME",
        hide_short_help = true
    )]
    override_fjord: Option<u64>,
    #[arg(
        long = "override.granite",
        env = "OPAL_NODE_OVERRIDE_GRANITE",
        value_name = "TIME",
        hide_short_help = true
    )]
    override_granite: Option<u64>,
    #[arg(
        long = "override.holocene",
        env = "OPAL_NODE_OVERRIDE_HOLOCENE",
        value_name = "TIME",
        hide_short_help = true
    )]
    override_holocene: Option<u64>,
    #[arg(
        long = "override.isthmus",
        env = "OPAL_NODE_OVERRIDE_ISTHMUS",
        value_name = "TIME",
        hide_short_help = true
    )]
    override_isthmus: Option<u64>,
    #[arg(
        long = "override.jovian",
        env = "OPAL_NODE_OVERRIDE_JOVIAN",
        value_name = "TIME",
        hide_short_help = true
    )]
    override_jovian: Option<u64>,
    #[arg(
        long = "override.karst",
        env = "OPAL_NODE_OVERRIDE_KARST",
        value_name = "TIME",
        hide_short_help = true
    )]
    override_karst: Option<u64>,
    #[arg(
        long = "override.interop",
        visible_alias = "override.lagoon",
        env = "OPAL_NODE_OVERRIDE_INTEROP",
        value_name = "TIME",
        hide_short_help = true
    )]
    override_interop: Option<u64>,
    #[arg(
        long = "override.pectrablobschedule",
        env = "OPAL_NODE_OVERRIDE_PECTRABLOBSCHEDULE",
        value_name = "TIME",
        hide_short_help = true
    )]
    override_pectrablobschedule: Option<u64>,
    /// Whether the gas limit keeps what Karst's first block added to it.
    #[arg(long = "override.keep-karst-upgrade-gas", env = "OPAL_NODE_OVERRIDE_KEEP_KARST_UPGRADE_GAS", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", hide_short_help = true)]
    override_keep_karst_upgrade_gas: Option<bool>,
}

impl Overrides {
    /// Whether one was given.
    pub(crate) fn any(&self) -> bool {
        [
            self.override_canyon,
            self.override_delta,
            self.override_ecotone,
            self.override_fjord,
            self.override_granite,
            self.override_holocene,
            self.override_isthmus,
            self.override_jovian,
            self.override_karst,
            self.override_interop,
            self.override_pectrablobschedule,
        ]
        .iter()
        .any(Option::is_some)
            || self.override_keep_karst_upgrade_gas.is_some()
    }

    /// Sets what was given; tells each.
    pub(crate) fn apply(&self, config: &mut RollupConfig) {
        let forks = [
            (Hardfork::Canyon, self.override_canyon),
            (Hardfork::Delta, self.override_delta),
            (Hardfork::Ecotone, self.override_ecotone),
            (Hardfork::Fjord, self.override_fjord),
            (Hardfork::Granite, self.override_granite),
            (Hardfork::Holocene, self.override_holocene),
            (Hardfork::Isthmus, self.override_isthmus),
            (Hardfork::Jovian, self.override_jovian),
            (Hardfork::Karst, self.override_karst),
            (Hardfork::Interop, self.override_interop),
        ];
        for (fork, time) in forks {
            if let Some(time) = time {
                info!(target: "opal::node", %fork, time, configured = ?config.schedule.time(fork),
                    "activation time overridden");
                config.schedule.set(fork, Some(time));
            }
        }
        if let Some(time) = self.override_pectrablobschedule {
            info!(target: "opal::node", time, configured = ?config.pectra_blob_schedule_time,
                "time of the Pectra blob schedule fix overridden");
            config.pectra_blob_schedule_time = Some(time);
        }
        if let Some(keep) = self.override_keep_karst_upgrade_gas {
            info!(target: "opal::node", keep, configured = config.keep_karst_upgrade_gas,
                "keeping of Karst's upgrade gas overridden");
            config.keep_karst_upgrade_gas = keep;
        }
    }
}

impl NetworkArgs {
    /// The chain's configuration with its upgrade transactions, and its execution layer with the
    /// genesis block, whose hash is the configuration's.
    ///
    /// # Errors
    /// If a file is wrong or missing, Opal can't run the chain, or its directory can't be used.
    pub(crate) fn load(
        &self,
        storage: &StorageArgs,
        limits: ChainConfig,
    ) -> eyre::Result<(RollupConfig, Arc<Chain>)> {
        let mut config = self.config()?;
        let path = self.genesis_path()?;

        let in_genesis = || format!("--genesis {}", path.display());
        let json = genesis_file::read_file(&path).wrap_err_with(in_genesis)?;
        let file = genesis_file::parse(&json).wrap_err_with(in_genesis)?;
        drop(json);
        if self.rollup_config.is_some() && file.has_config {
            genesis_file::check_rules(&file.genesis.config, &config).wrap_err_with(in_genesis)?;
        }
        self.overrides.apply(&mut config);
        config.check()?;
        let genesis = file.of_chain(&config).wrap_err_with(in_genesis)?;
        let chain = storage.open(&self.upgrades.data, &genesis, limits, |hash| {
            genesis_file::check_hash(hash, &config).wrap_err_with(in_genesis)
        })?;
        self.finish(&mut config)?;
        Ok((config, chain))
    }

    /// The chain's configuration with its upgrade transactions, for a node whose chain another
    /// process runs.
    ///
    /// # Errors
    /// If a file is wrong or missing, or Opal can't derive the chain.
    pub(crate) fn load_rollup(&self) -> eyre::Result<RollupConfig> {
        let mut config = self.config()?;
        self.overrides.apply(&mut config);
        config.check()?;
        self.finish(&mut config)?;
        Ok(config)
    }

    /// The configuration as the registry or the file has it.
    fn config(&self) -> eyre::Result<RollupConfig> {
        let config = match (&self.network, &self.rollup_config) {
            (Some(name), _) => {
                let chain = registry::find(name).wrap_err("--network")?;
                chain.supported().wrap_err_with(|| format!("--network {name}"))?;
                chain.rollup_config()
            }
            (None, Some(path)) => RollupConfig::from_json(&read("--rollup-config", path)?)
                .wrap_err_with(|| format!("--rollup-config {}", path.display()))?,
            (None, None) => bail!("give --network, or --rollup-config and --genesis"),
        };
        refuse_alt_da(&config)?;
        Ok(config)
    }

    /// The file of the genesis.
    fn genesis_path(&self) -> eyre::Result<PathBuf> {
        let Some(name) = &self.network else {
            let path = self.genesis.clone();
            return path.ok_or_else(|| eyre!("--genesis: the chain's genesis is needed"));
        };
        let chain = registry::find(name).wrap_err("--network")?;
        genesis_of(chain, self.genesis.as_ref(), &self.upgrades.data)
            .wrap_err_with(|| format!("--network {name}"))
    }

    fn finish(&self, config: &mut RollupConfig) -> eyre::Result<()> {
        self.l1_parameters(config)?;
        self.upgrades.load(config)?;
        tell(config);
        Ok(())
    }

    /// What derivation must know of the L1.
    fn l1_parameters(&self, config: &mut RollupConfig) -> eyre::Result<()> {
        if let Some(note) = self.l1.set(config)? {
            info!(target: "opal::node", "{note}");
        }
        if config.probably_lacks_pectra_blob_schedule() {
            if !self.ignore_missing_pectra_blob_schedule {
                bail!(
                    "the chain is older than Pectra on its L1 and has no pectra_blob_schedule_time: ask \
                     its operator for the time and set it in rollup.json or by \
                     --override.pectrablobschedule (or go on with --ignore-missing-pectra-blob-schedule)"
                );
            }
            warn!(target: "opal::node", "no time of the Pectra blob schedule fix");
        }
        Ok(())
    }
}

/// The file of a registry chain's genesis: the one named, or that in the data directory.
///
/// # Errors
/// If there is none, or the chain can't start from one.
pub(crate) fn genesis_of(
    chain: &ChainPreset,
    named: Option<&PathBuf>,
    data: &DataDir,
) -> eyre::Result<PathBuf> {
    if chain.is_migrated() {
        bail!(
            "{} was there before Bedrock: the state that it begins with, at block {}, is in no \
             genesis file, and Opal can't start from a snapshot",
            chain.title,
            chain.l2.number
        );
    }
    match named {
        Some(path) => Ok(path.clone()),
        None => genesis::stored(data, chain),
    }
}

/// Tells the forks, and those without a time.
fn tell(config: &RollupConfig) {
    let names =
        |forks: &[Hardfork]| forks.iter().map(|fork| fork.name()).collect::<Vec<_>>().join(", ");
    let unscheduled = config.unscheduled();
    let newest = config.schedule.at(u64::MAX);
    info!(target: "opal::node", chain_id = config.l2_chain_id, l1_chain_id = config.l1_chain_id,
        forks_to = %newest, "chain");
    if !unscheduled.is_empty() {
        info!(target: "opal::node", "not scheduled: {}", names(&unscheduled));
    }
}

fn read(flag: &str, path: &Path) -> eyre::Result<String> {
    std::fs::read_to_string(path)
        .wrap_err_with(|| format!("{flag}: cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;
    use opal_governance::{DevAccounts, Intent, TEST_MNEMONIC, devnet_genesis};

    #[derive(Debug, Parser)]
    struct Probe {
        #[command(flatten)]
        network: NetworkArgs,
    }

    const TIME: u64 = 1_800_000_000;

    /// A chain's two files in a folder of their own, with no other data.
    struct Files(PathBuf);

    impl Files {
        fn new(name: &str) -> Self {
            let folder = format!("opal-network-{name}-{}", std::process::id());
            let folder = std::env::temp_dir().join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            let accounts = DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap();
            let intent = Intent { fork: Hardfork::Granite, ..Intent::devnet(&accounts) };
            let devnet = devnet_genesis(&intent, TIME).unwrap();
            let write = |name: &str, json: Result<String, serde_json::Error>| {
                std::fs::write(folder.join(name), json.unwrap()).unwrap();
            };
            write("rollup.json", serde_json::to_string(&devnet.rollup_config));
            write("genesis.json", serde_json::to_string(&devnet.l2_genesis));
            write("l1.json", serde_json::to_string(&devnet.l1_genesis));
            Self(folder)
        }

        fn path(&self, name: &str) -> String {
            self.0.join(name).display().to_string()
        }

        fn change(&self, name: &str, change: impl FnOnce(&mut serde_json::Value)) {
            let path = self.0.join(name);
            let mut value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            change(&mut value);
            std::fs::write(path, value.to_string()).unwrap();
        }

        fn load(&self, more: &[&str]) -> Result<(RollupConfig, Arc<Chain>), String> {
            let (rollup, genesis) = (self.path("rollup.json"), self.path("genesis.json"));
            self.load_with(&[&["--rollup-config", &rollup, "--genesis", &genesis], more].concat())
        }

        fn load_with(&self, flags: &[&str]) -> Result<(RollupConfig, Arc<Chain>), String> {
            let data = self.path("data");
            let all = [&["opal", "--data-dir", &data], flags].concat();
            let probe = Probe::try_parse_from(all).map_err(|error| error.to_string())?;
            let loaded = probe.network.load(&StorageArgs::memory(), ChainConfig::default());
            loaded.map_err(|error| format!("{error:#}"))
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_pair_of_files_is_a_chain() {
        let files = Files::new("pair");
        let (config, chain) = files.load(&[]).unwrap();
        assert_eq!(chain.head().id(), config.genesis.l2);
        assert_eq!(config.unscheduled().first(), Some(&Hardfork::Holocene));
        // The L1's own parameters.
        assert_eq!(config.l1_blob_schedule, None);
        let l1 = files.path("l1.json");
        let (config, _) = files.load(&["--rollup.l1-chain-config", &l1]).unwrap();
        assert!(config.l1_blob_schedule.is_some());
        let wrong = files.path("genesis.json");
        assert!(
            files.load(&["--rollup.l1-chain-config", &wrong]).unwrap_err().contains("of chain")
        );
    }

    #[test]
    fn overrides_hold_for_derivation_and_execution() {
        let files = Files::new("override");
        let time = (TIME + 100).to_string();
        let (config, chain) = files.load(&["--override.holocene", &time]).unwrap();
        assert_eq!(config.schedule.time(Hardfork::Holocene), Some(TIME + 100));
        assert!(chain.spec().is_active(Hardfork::Holocene, TIME + 100));
        assert!(!chain.spec().is_active(Hardfork::Holocene, TIME + 99));
        let flags = ["--override.pectrablobschedule", "7", "--override.keep-karst-upgrade-gas"];
        let (config, _) = files.load(&flags).unwrap();
        assert_eq!(config.pectra_blob_schedule_time, Some(7));
        assert!(config.keep_karst_upgrade_gas);
        // Not in order, and a fork that changes the genesis block.
        let error = files.load(&["--override.granite", "5", "--override.fjord", "6"]).unwrap_err();
        assert!(error.contains("granite is scheduled at 5"), "{error}");
        let later = (TIME + 1).to_string();
        let later = [
            "--override.granite",
            &later,
            "--override.fjord",
            &later,
            "--override.ecotone",
            &later,
        ];
        let error = files.load(&later).unwrap_err();
        assert!(error.contains("the genesis makes block"), "{error}");
    }

    #[test]
    fn files_that_do_not_belong_together_are_refused() {
        let files = Files::new("wrong");
        files.change("genesis.json", |genesis| genesis["config"]["holoceneTime"] = 5.into());
        let error = files.load(&[]).unwrap_err();
        assert!(error.contains("holoceneTime is 5 in the genesis, absent in"), "{error}");
        let files = Files::new("changed");
        files.change("genesis.json", |genesis| genesis["extraData"] = "0x01".into());
        let error = files.load(&[]).unwrap_err();
        assert!(error.contains("the genesis makes block"), "{error}");
        let files = Files::new("alt-da");
        files.change("rollup.json", |rollup| {
            rollup["alt_da"] = serde_json::json!({
                "da_commitment_type": "GenericCommitment",
                "da_challenge_window": 1,
                "da_resolve_window": 1,
            });
        });
        assert!(files.load(&[]).unwrap_err().contains("alt-DA"));
    }

    #[test]
    fn the_registrys_chains_say_what_they_need() {
        let files = Files::new("registry");
        let error = |name: &str| files.load_with(&["--network", name]).unwrap_err();
        assert!(error("unichian-sepolia").contains("did you mean \"unichain-sepolia\"?"));
        assert!(error("op-mainnet").contains("before Bedrock"));
        assert!(error("celo-mainnet").contains("data availability layer of its own"));
        let missing = error("op-sepolia");
        assert!(missing.contains("opal genesis import"), "{missing}");
        let genesis = files.path("genesis.json");
        let other =
            files.load_with(&["--network", "op-sepolia", "--genesis", &genesis]).unwrap_err();
        assert!(other.contains("the genesis is of chain 901, not of 11155420"), "{other}");
        let rollup = files.path("rollup.json");
        assert!(files.load_with(&["--rollup-config", &rollup]).is_err());
        assert!(files.load_with(&["--network", "10", "--rollup-config", &rollup]).is_err());
    }
}

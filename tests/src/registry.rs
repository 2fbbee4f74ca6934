//! The superchain registry, as the table of chain presets in `opal-protocol` is made from it.
//!
//! A registry is a folder with `superchain/configs/<superchain>/<chain>.toml` and one
//! `superchain.toml` in each of these folders. Every key of every file must be known here: what the
//! registry comes to say beyond it is an error and not lost.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// A chain of the registry with what its superchain adds to it.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Folder of the chain's file.
    pub superchain: String,
    /// The file's name without extension.
    pub name: String,
    /// Chain id of the superchain's L1.
    pub l1_chain_id: u64,
    /// The file, with the fork times that it inherits.
    pub config: ChainToml,
}

/// `<chain>.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, dead_code, reason = "the registry's own names, all of them")]
pub struct ChainToml {
    pub name: String,
    public_rpc: String,
    sequencer_rpc: String,
    explorer: String,
    pub governed_by_optimism: bool,
    pub superchain_time: Option<u64>,
    pub data_availability_type: String,
    pub chain_id: u64,
    pub batch_inbox_addr: String,
    pub block_time: u64,
    pub seq_window_size: u64,
    pub max_sequencer_drift: u64,
    pub gas_paying_token: Option<String>,
    pub hardforks: Hardforks,
    pub interop: Option<Interop>,
    pub optimism: Optimism,
    pub alt_da: Option<AltDa>,
    pub genesis: Genesis,
    roles: BTreeMap<String, String>,
    pub addresses: BTreeMap<String, String>,
}

/// Fork times in seconds, and the two settings beside them.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "the registry's own names")]
#[serde(deny_unknown_fields)]
pub struct Hardforks {
    pub canyon_time: Option<u64>,
    pub delta_time: Option<u64>,
    pub ecotone_time: Option<u64>,
    pub fjord_time: Option<u64>,
    pub granite_time: Option<u64>,
    pub holocene_time: Option<u64>,
    pub pectra_blob_schedule_time: Option<u64>,
    pub isthmus_time: Option<u64>,
    pub jovian_time: Option<u64>,
    pub karst_time: Option<u64>,
    #[serde(alias = "lagoon_time")]
    pub interop_time: Option<u64>,
    #[serde(default)]
    pub keep_karst_upgrade_gas: bool,
}

/// The chains whose messages this chain takes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interop {
    /// By chain id in decimal.
    pub dependencies: BTreeMap<String, BTreeMap<String, toml::Value>>,
}

/// EIP-1559 parameters.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "the registry's own names")]
#[serde(deny_unknown_fields)]
pub struct Optimism {
    pub eip1559_elasticity: u64,
    pub eip1559_denominator: u64,
    pub eip1559_denominator_canyon: u64,
}

/// Where batches lie that are not on L1.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "the registry's own names")]
#[serde(deny_unknown_fields)]
pub struct AltDa {
    pub da_challenge_contract_address: String,
    pub da_challenge_window: u64,
    pub da_resolve_window: u64,
    pub da_commitment_type: String,
}

/// Where the chain begins.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "the registry's own names")]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    pub l2_time: u64,
    pub l1: BlockId,
    pub l2: BlockId,
    pub system_config: SystemConfig,
}

/// A block.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "the registry's own names")]
#[serde(deny_unknown_fields)]
pub struct BlockId {
    pub hash: String,
    pub number: u64,
}

/// The system configuration at genesis.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "the registry's own names")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SystemConfig {
    pub batcher_address: String,
    pub overhead: String,
    pub scalar: String,
    pub gas_limit: u64,
}

/// `superchain.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "fields that no preset has are here so that they are known")]
struct SuperchainToml {
    name: String,
    superchain_config_addr: Option<String>,
    safer_safes_addr: Option<String>,
    op_contracts_manager_addr: Option<String>,
    hardforks: Hardforks,
    l1: L1,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "fields that no preset has are here so that they are known")]
struct L1 {
    chain_id: u64,
    public_rpc: String,
    explorer: String,
}

/// Every chain of a registry, by superchain and name.
///
/// # Errors
/// What could not be read, with the file.
pub fn read(registry: &Path) -> Result<Vec<Chain>, String> {
    let configs = registry.join("superchain/configs");
    let mut chains = Vec::new();
    for folder in sorted(&configs)?.into_iter().filter(|path| path.is_dir()) {
        let superchain: SuperchainToml = parse(&folder.join("superchain.toml"))?;
        for path in sorted(&folder)? {
            let (Some(name), Some(parent)) = (path.file_stem(), folder.file_name()) else {
                continue;
            };
            let name = name.to_string_lossy().into_owned();
            if name == "superchain" || path.extension().is_none_or(|ext| ext != "toml") {
                continue;
            }
            let mut config: ChainToml = parse(&path)?;
            inherit(&mut config, &superchain.hardforks);
            let l1_chain_id = superchain.l1.chain_id;
            let superchain = parent.to_string_lossy().into_owned();
            chains.push(Chain { superchain, name, l1_chain_id, config });
        }
    }
    Ok(chains)
}

/// The entries of a folder, by name.
fn sorted(folder: &Path) -> Result<Vec<std::path::PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    paths.sort();
    Ok(paths)
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, String> {
    let error = |reason: String| format!("{}: {reason}", path.display());
    let text = fs::read_to_string(path).map_err(|e| error(e.to_string()))?;
    toml::from_str(&text).map_err(|e| error(e.to_string()))
}

/// The registry's rule of inheritance: a chain that joined its superchain at `superchain_time` gets
/// each of the superchain's times from then on that it does not set itself, and 0 for one that is
/// not after its genesis. The registry writes inherited times into the chain's file as well, so
/// that this matters only to a file that is behind its superchain's.
fn inherit(config: &mut ChainToml, superchain: &Hardforks) {
    let Some(joined) = config.superchain_time else { return };
    let genesis = config.genesis.l2_time;
    let set = |own: &mut Option<u64>, theirs: Option<u64>| {
        if let (None, Some(time)) = (*own, theirs.filter(|time| *time >= joined)) {
            *own = Some(if time > genesis { time } else { 0 });
        }
    };
    let own = &mut config.hardforks;
    set(&mut own.canyon_time, superchain.canyon_time);
    set(&mut own.delta_time, superchain.delta_time);
    set(&mut own.ecotone_time, superchain.ecotone_time);
    set(&mut own.fjord_time, superchain.fjord_time);
    set(&mut own.granite_time, superchain.granite_time);
    set(&mut own.holocene_time, superchain.holocene_time);
    set(&mut own.isthmus_time, superchain.isthmus_time);
    set(&mut own.jovian_time, superchain.jovian_time);
    set(&mut own.karst_time, superchain.karst_time);
    set(&mut own.interop_time, superchain.interop_time);
    // A chain that began after the fix's time has never needed it.
    if superchain.pectra_blob_schedule_time.is_some_and(|time| time > genesis) {
        set(&mut own.pectra_blob_schedule_time, superchain.pectra_blob_schedule_time);
    }
}

impl Hardforks {
    /// Canyon's time and those of the forks after it; not scheduled ones are at the end.
    ///
    /// # Errors
    /// If a fork is scheduled and the one before it is not.
    pub fn times(&self) -> Result<Vec<u64>, String> {
        let all = [
            self.canyon_time,
            self.delta_time,
            self.ecotone_time,
            self.fjord_time,
            self.granite_time,
            self.holocene_time,
            self.isthmus_time,
            self.jovian_time,
            self.karst_time,
            self.interop_time,
        ];
        let times: Vec<u64> = all.iter().map_while(|time| *time).collect();
        match all[times.len()..].iter().flatten().next() {
            None => Ok(times),
            Some(time) => Err(format!("a fork at {time} comes after one without a time")),
        }
    }
}

const HEADER: &str = "\
//! The chains of the superchain registry. Generated, not to be edited: after a change of the
//! registry run
//! `cargo run -p opal-tests --bin registry-table -- REGISTRY > crates/protocol/src/registry_table.rs`
//! with the folder of a checkout; the vectors test of this crate compares the two.

use alloy_primitives::{address, b256};

use super::{ChainPreset, DataAvailability};
use crate::BlockId;
use crate::config::{AltDaConfig, BaseFeeConfig, CommitmentType};
";

/// The source of the preset table.
///
/// # Errors
/// If a chain has a value that the table can't hold.
pub fn table(chains: &[Chain]) -> Result<String, String> {
    let mut out =
        format!("{HEADER}\npub(super) static CHAINS: [ChainPreset; {}] = [\n", chains.len());
    for chain in chains {
        let row = row(chain).map_err(|e| format!("{}/{}: {e}", chain.superchain, chain.name))?;
        out.push_str(&row);
    }
    out.push_str("];\n");
    Ok(out)
}

fn row(chain: &Chain) -> Result<String, String> {
    let Chain { superchain, name, l1_chain_id, config } = chain;
    let (forks, genesis, base_fee) = (&config.hardforks, &config.genesis, &config.optimism);
    let system = &genesis.system_config;
    let dependencies = config.interop.iter().flat_map(|interop| interop.dependencies.keys());
    let dependencies = dependencies
        .map(|id| id.parse().map_err(|_| format!("{id} is no chain id")))
        .collect::<Result<Vec<u64>, String>>()?;
    let contract = |key: &str| {
        let address = config.addresses.get(key).ok_or_else(|| format!("no {key}"))?;
        hex("address", address, 20)
    };
    let gas_paying_token = match &config.gas_paying_token {
        None => "None".to_owned(),
        Some(address) => format!("Some({})", hex("address", address, 20)?),
    };
    let [l1_hash, l2_hash, overhead, scalar] =
        [&genesis.l1.hash, &genesis.l2.hash, &system.overhead, &system.scalar]
            .map(|word| hex("b256", word, 32));
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write!(
        out,
        "    ChainPreset {{
        superchain: {superchain:?}, name: {name:?}, title: {:?},
        chain_id: {}, l1_chain_id: {l1_chain_id},
        governed_by_optimism: {}, superchain_time: {:?},
        data_availability: {},
        gas_paying_token: {gas_paying_token},
        block_time: {}, seq_window_size: {}, max_sequencer_drift: {},
        base_fee: BaseFeeConfig {{ elasticity: {}, denominator: {}, denominator_canyon: {} }},
        forks: &{:?},
        pectra_blob_schedule_time: {:?}, keep_karst_upgrade_gas: {},
        dependency_set: &{dependencies:?},
        l1: BlockId {{ number: {}, hash: {} }},
        l2: BlockId {{ number: {}, hash: {} }},
        l2_time: {}, gas_limit: {},
        batcher: {},
        overhead: {},
        scalar: {},
        batch_inbox: {},
        portal: {},
        system_config: {},
    }},
",
        config.name,
        config.chain_id,
        config.governed_by_optimism,
        config.superchain_time,
        data_availability(config)?,
        config.block_time,
        config.seq_window_size,
        config.max_sequencer_drift,
        base_fee.eip1559_elasticity,
        base_fee.eip1559_denominator,
        base_fee.eip1559_denominator_canyon,
        forks.times()?,
        forks.pectra_blob_schedule_time,
        forks.keep_karst_upgrade_gas,
        genesis.l1.number,
        l1_hash?,
        genesis.l2.number,
        l2_hash?,
        genesis.l2_time,
        system.gas_limit,
        hex("address", &system.batcher_address, 20)?,
        overhead?,
        scalar?,
        hex("address", &config.batch_inbox_addr, 20)?,
        contract("OptimismPortalProxy")?,
        contract("SystemConfigProxy")?,
    );
    Ok(out)
}

fn data_availability(config: &ChainToml) -> Result<String, String> {
    match (config.data_availability_type.as_str(), &config.alt_da) {
        ("eth-da", None) => Ok("DataAvailability::L1".to_owned()),
        ("alt-da", None) => Ok("DataAvailability::Alt(None)".to_owned()),
        ("alt-da", Some(alt)) => {
            let kind = match alt.da_commitment_type.as_str() {
                "KeccakCommitment" => "Keccak",
                "GenericCommitment" => "Generic",
                other => return Err(format!("unknown da_commitment_type {other:?}")),
            };
            Ok(format!(
                "DataAvailability::Alt(Some(AltDaConfig {{
            challenge_address: {},
            commitment_type: CommitmentType::{kind}, challenge_window: {}, resolve_window: {},
        }}))",
                hex("address", &alt.da_challenge_contract_address, 20)?,
                alt.da_challenge_window,
                alt.da_resolve_window
            ))
        }
        (other, alt) => {
            Err(format!("data availability {other:?}, alt_da given: {}", alt.is_some()))
        }
    }
}

/// A hex literal in the macro that reads it.
fn hex(name: &str, text: &str, bytes: usize) -> Result<String, String> {
    let digits = text.strip_prefix("0x").unwrap_or_default();
    if digits.len() != 2 * bytes || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Err(format!("{text:?} has not {bytes} bytes"));
    }
    Ok(format!("{name}!(\"{}\")", digits.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forks(text: &str) -> Hardforks {
        toml::from_str(text).unwrap()
    }

    fn chain(superchain_time: &str, own: &str) -> ChainToml {
        let word = "0x".to_owned() + &"11".repeat(32);
        let address = "0x".to_owned() + &"22".repeat(20);
        toml::from_str(&format!(
            "name = \"x\"\npublic_rpc = \"\"\nsequencer_rpc = \"\"\nexplorer = \"\"
governed_by_optimism = true\n{superchain_time}\ndata_availability_type = \"eth-da\"
chain_id = 7\nbatch_inbox_addr = \"{address}\"\nblock_time = 2\nseq_window_size = 3600
max_sequencer_drift = 600\n[hardforks]\n{own}\n[optimism]\neip1559_elasticity = 6
eip1559_denominator = 50\neip1559_denominator_canyon = 250\n[genesis]\nl2_time = 1000
l1 = {{ hash = \"{word}\", number = 1 }}\nl2 = {{ hash = \"{word}\", number = 0 }}
system_config = {{ batcherAddress = \"{address}\", overhead = \"{word}\", scalar = \"{word}\", gasLimit = 5 }}
[roles]\n[addresses]\nOptimismPortalProxy = \"{address}\"\nSystemConfigProxy = \"{address}\"\n"
        ))
        .unwrap()
    }

    #[test]
    fn times_are_inherited_from_the_superchain() {
        let superchain = forks(
            "canyon_time = 500\ndelta_time = 1000\necotone_time = 1001\nfjord_time = 1100
             granite_time = 1200\npectra_blob_schedule_time = 900",
        );
        // Not a member: nothing. A member from 0: all, those up to genesis as 0.
        let mut config = chain("", "");
        inherit(&mut config, &superchain);
        assert!(config.hardforks.times().unwrap().is_empty());
        let mut config = chain("superchain_time = 0", "");
        inherit(&mut config, &superchain);
        assert_eq!(config.hardforks.times().unwrap(), [0, 0, 1001, 1100, 1200]);
        assert_eq!(config.hardforks.pectra_blob_schedule_time, None);
        // Its own times stay; those from before it joined are not inherited.
        let mut config = chain(
            "superchain_time = 1100",
            "canyon_time = 0\ndelta_time = 0\necotone_time = 1050\ngranite_time = 1300",
        );
        inherit(&mut config, &superchain);
        assert_eq!(config.hardforks.times().unwrap(), [0, 0, 1050, 1100, 1300]);
        let mut late = chain("superchain_time = 1101", "canyon_time = 0");
        inherit(&mut late, &superchain);
        assert!(late.hardforks.times().unwrap_err().contains("1200"));
    }

    #[test]
    fn unknown_keys_are_errors() {
        let error = toml::from_str::<Hardforks>("holocen_time = 1").unwrap_err();
        assert!(error.to_string().contains("holocen_time"), "{error}");
        assert!(hex("address", "0x1234", 20).is_err());
    }
}

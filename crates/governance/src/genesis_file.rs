//! Genesis files: read, from the superchain registry's form too, and checked against the hash that
//! the chain's configuration has. The state that a chain begins with is data, like upgrade bundles:
//! who has the right file has the chain, wherever the file comes from.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, Bytes, U256};
use opal_protocol::config::BaseFeeConfig;
use opal_protocol::hardfork::TABLE;
use opal_protocol::{BlockId, Hardfork, HardforkSchedule, RollupConfig};
use serde::Deserialize;
use serde_json::json;

/// The largest genesis that is read, in bytes, packed or not. The largest in the registry has 94 MB
/// of JSON.
const MAX_JSON: u64 = 1 << 30;
/// First bytes of a zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Why a genesis file is not the chain's.
#[derive(Debug, thiserror::Error)]
pub enum GenesisFileError {
    /// The file can't be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file can't be unpacked.
    #[error("zstd: {0} (files of the superchain registry need its superchain/extra/dictionary)")]
    Zstd(io::Error),
    /// More than any chain has.
    #[error("the genesis has more than {MAX_JSON} bytes")]
    TooLarge,
    /// Not the JSON of a genesis.
    #[error("genesis: {0}")]
    Json(#[from] serde_json::Error),
    /// A part is missing without which there is no genesis block.
    #[error("genesis: {0} is missing")]
    Missing(&'static str),
    /// The file names a state by its root and does not hold it.
    #[error(
        "the genesis holds no state, only its root {state_root}: the chain was there before Bedrock, \
         and its first Bedrock block can't be rebuilt from a genesis file"
    )]
    NoState {
        /// The state's root.
        state_root: B256,
    },
    /// The chain was there before Bedrock.
    #[error(
        "chain {chain_id} was there before Bedrock: its first Bedrock block {number} has the state \
         of that older chain and can't be rebuilt from a genesis file"
    )]
    Migrated {
        /// The chain.
        chain_id: u64,
        /// Number of its first Bedrock block.
        number: u64,
    },
    /// A genesis of another chain.
    #[error("the genesis is of chain {found}, not of {expected}")]
    ChainId {
        /// The chain id of the configuration.
        expected: u64,
        /// The chain id of the file.
        found: u64,
    },
    /// The block is not the one that the configuration names.
    #[error(
        "the genesis makes block {found}, and the chain begins with {expected}: it is another \
         chain's, or was changed"
    )]
    Hash {
        /// The hash of the configuration.
        expected: B256,
        /// The hash that the file makes.
        found: B256,
    },
    /// Genesis and rollup configuration disagree on the chain's rules.
    #[error(
        "genesis and rollup config disagree: {key} is {found} in the genesis, {expected} in the rollup config"
    )]
    Rules {
        /// Key in the `config` section of the genesis.
        key: String,
        /// The value of the rollup config.
        expected: String,
        /// The value of the genesis.
        found: String,
    },
    /// The execution layer refuses the genesis.
    #[error("{0}")]
    Execution(String),
}

/// The JSON in a genesis file: as it is, or out of zstd, for which the registry's files need its
/// dictionary.
///
/// # Errors
/// If it can't be unpacked, or is larger than any chain's.
pub fn unpack(file: Vec<u8>, dictionary: &[u8]) -> Result<Vec<u8>, GenesisFileError> {
    unpack_up_to(file, dictionary, MAX_JSON)
}

fn unpack_up_to(file: Vec<u8>, dictionary: &[u8], limit: u64) -> Result<Vec<u8>, GenesisFileError> {
    if !file.starts_with(&ZSTD_MAGIC) {
        return if file.len() as u64 > limit { Err(GenesisFileError::TooLarge) } else { Ok(file) };
    }
    let decoder = zstd::Decoder::with_dictionary(file.as_slice(), dictionary)
        .map_err(GenesisFileError::Zstd)?;
    read_up_to(decoder, limit, GenesisFileError::Zstd)
}

/// All that is there to read, unless it is more than the limit.
fn read_up_to(
    source: impl Read,
    limit: u64,
    failed: impl FnOnce(io::Error) -> GenesisFileError,
) -> Result<Vec<u8>, GenesisFileError> {
    let mut bytes = Vec::new();
    source.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit { Err(GenesisFileError::TooLarge) } else { Ok(bytes) }
}

/// Packs the JSON of a genesis, so that [`unpack`] reads it without a dictionary.
///
/// # Errors
/// Only for want of memory.
pub fn pack(json: &[u8]) -> Result<Vec<u8>, GenesisFileError> {
    zstd::encode_all(json, 10).map_err(GenesisFileError::Zstd)
}

/// Reads a file of either form. A dictionary is looked for where the registry has it.
///
/// # Errors
/// If the file can't be read or unpacked, or is larger than any chain's.
pub fn read_file(path: &Path) -> Result<Vec<u8>, GenesisFileError> {
    let read = |path: &Path| read_up_to(File::open(path)?, MAX_JSON, GenesisFileError::Io);
    let file = read(path)?;
    let dictionary = match dictionary_of(path) {
        Some(path) => read(&path)?,
        None => Vec::new(),
    };
    unpack(file, &dictionary)
}

/// The dictionary beside a genesis file in a checkout of the registry: `superchain/extra/dictionary`
/// for `superchain/extra/genesis/<superchain>/<chain>.json.zst`.
fn dictionary_of(path: &Path) -> Option<PathBuf> {
    // A relative path need not name the folders above.
    let path = path.canonicalize().ok()?;
    let extra = path.parent()?.parent()?.parent()?;
    Some(extra.join("dictionary")).filter(|path| path.is_file())
}

/// A genesis as a file has it.
#[derive(Clone, Debug)]
pub struct GenesisFile {
    /// The genesis; its `config` is the default one where the file has none.
    pub genesis: Genesis,
    /// Whether the file has a `config` section. The files of the registry have none: the chain's
    /// rules are in its configuration.
    pub has_config: bool,
}

/// Reads the JSON of a genesis.
///
/// # Errors
/// If it is none, or has no state.
pub fn parse(json: &[u8]) -> Result<GenesisFile, GenesisFileError> {
    let file: GenesisJson = serde_json::from_slice(json)?;
    if let Some(state_root) = file.state_hash {
        return Err(GenesisFileError::NoState { state_root });
    }
    let missing = |key| GenesisFileError::Missing(key);
    let has_config = file.config.is_some();
    let genesis = Genesis {
        config: file.config.unwrap_or_default(),
        nonce: file.nonce.unwrap_or_default(),
        timestamp: file.timestamp.ok_or(missing("timestamp"))?,
        extra_data: file.extra_data,
        gas_limit: file.gas_limit.ok_or(missing("gasLimit"))?,
        difficulty: file.difficulty,
        mix_hash: file.mix_hash,
        coinbase: file.coinbase,
        alloc: file.alloc.ok_or(missing("alloc"))?,
        base_fee_per_gas: file.base_fee_per_gas,
        excess_blob_gas: file.excess_blob_gas,
        blob_gas_used: file.blob_gas_used,
        slot_number: None,
        number: file.number,
        parent_hash: file.parent_hash,
    };
    Ok(GenesisFile { genesis, has_config })
}

/// The fields of a genesis. The type that executes it has defaults for those that no chain can do
/// without, and no place for a state that is elsewhere.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GenesisJson {
    config: Option<ChainConfig>,
    #[serde(default, with = "alloy_serde::quantity::opt")]
    nonce: Option<u64>,
    #[serde(default, with = "alloy_serde::quantity::opt")]
    timestamp: Option<u64>,
    #[serde(default)]
    extra_data: Bytes,
    #[serde(default, with = "alloy_serde::quantity::opt")]
    gas_limit: Option<u64>,
    #[serde(default)]
    difficulty: U256,
    #[serde(default)]
    mix_hash: B256,
    #[serde(default)]
    coinbase: Address,
    alloc: Option<BTreeMap<Address, GenesisAccount>>,
    #[serde(default, with = "alloy_serde::quantity::opt")]
    base_fee_per_gas: Option<u128>,
    #[serde(default, with = "alloy_serde::quantity::opt")]
    excess_blob_gas: Option<u64>,
    #[serde(default, with = "alloy_serde::quantity::opt")]
    blob_gas_used: Option<u64>,
    #[serde(default, with = "alloy_serde::quantity::opt")]
    number: Option<u64>,
    parent_hash: Option<B256>,
    state_hash: Option<B256>,
}

impl GenesisFile {
    /// The genesis under the rules of the rollup configuration, if it can be the chain's. Whether
    /// it is, the hash of its block tells: [`check_hash`].
    ///
    /// # Errors
    /// If the chain has no genesis that a file can hold, or the file is another chain's.
    pub fn of_chain(self, rollup: &RollupConfig) -> Result<Genesis, GenesisFileError> {
        let mut genesis = self.genesis;
        let first = rollup.genesis.l2.number;
        if first != genesis.number.unwrap_or_default() {
            let chain_id = rollup.l2_chain_id;
            return Err(GenesisFileError::Migrated { chain_id, number: first });
        }
        let (expected, found) = (rollup.l2_chain_id, genesis.config.chain_id);
        if self.has_config && expected != found {
            return Err(GenesisFileError::ChainId { expected, found });
        }
        if !self.has_config {
            genesis.config = crate::l1_genesis::merged_config(expected);
        }
        set_rules(&mut genesis.config, &rollup.schedule, &rollup.chain_op_config);
        Ok(genesis)
    }
}

/// Whether a block is the one that the chain begins with.
///
/// # Errors
/// If it is another one.
pub fn check_hash(found: B256, rollup: &RollupConfig) -> Result<(), GenesisFileError> {
    let expected = rollup.genesis.l2.hash;
    if found == expected { Ok(()) } else { Err(GenesisFileError::Hash { expected, found }) }
}

/// Makes the block of a genesis file and compares it with the one that the chain begins with.
///
/// # Errors
/// If it is another one, or none.
pub fn verify(file: GenesisFile, rollup: &RollupConfig) -> Result<BlockId, GenesisFileError> {
    let genesis = file.of_chain(rollup)?;
    let (block, _) = crate::genesis_block("L2", &genesis)
        .map_err(|error| GenesisFileError::Execution(error.to_string()))?;
    let id = block.id();
    check_hash(id.hash, rollup)?;
    Ok(id)
}

/// Whether the `config` section has the rules of the rollup configuration. The two come as two
/// files, and a fork in only one of them would make a chain of one's own.
///
/// # Errors
/// The first rule that differs.
pub fn check_rules(config: &ChainConfig, rollup: &RollupConfig) -> Result<(), GenesisFileError> {
    let differs = |key: &str, found: Option<u64>, expected: Option<u64>| {
        let text =
            |value: Option<u64>| value.map_or_else(|| "absent".to_owned(), |v| v.to_string());
        let (found, expected) = (text(found), text(expected));
        Err(GenesisFileError::Rules { key: key.to_owned(), expected, found })
    };
    let number = |value: &serde_json::Value| value.as_u64();
    for row in &TABLE {
        let Some(key) = row.genesis_key else { continue };
        let found = config.extra_fields.get(key).and_then(number);
        let expected = rollup.schedule.time(row.fork);
        if found != expected {
            return differs(key, found, expected);
        }
    }
    let (fees, optimism) = (&rollup.chain_op_config, config.extra_fields.get("optimism"));
    for (key, expected) in [
        ("eip1559Elasticity", fees.elasticity),
        ("eip1559Denominator", fees.denominator),
        ("eip1559DenominatorCanyon", fees.denominator_canyon),
    ] {
        let found = optimism.and_then(|section| section.get(key)).and_then(number);
        if found.is_some_and(|found| found != expected) {
            return differs(&format!("optimism.{key}"), found, Some(expected));
        }
    }
    Ok(())
}

/// Writes the rules of an OP chain into the `config` section: Ethereum's forks at the time of those
/// that bring them, the OP Stack's forks under their keys, and the EIP-1559 parameters. The files
/// of the registry have the forks of their chain's first day only.
pub fn set_rules(config: &mut ChainConfig, schedule: &HardforkSchedule, fees: &BaseFeeConfig) {
    config.shanghai_time = schedule.time(Hardfork::Canyon);
    config.cancun_time = schedule.time(Hardfork::Ecotone);
    config.prague_time = schedule.time(Hardfork::Isthmus);
    config.osaka_time = schedule.time(Hardfork::Karst);
    for row in &TABLE {
        let Some(key) = row.genesis_key else { continue };
        match schedule.time(row.fork) {
            Some(time) => config.extra_fields.insert(key.to_owned(), json!(time)),
            None => config.extra_fields.remove(key),
        };
    }
    let optimism = json!({
        "eip1559Elasticity": fees.elasticity,
        "eip1559Denominator": fees.denominator,
        "eip1559DenominatorCanyon": fees.denominator_canyon,
    });
    config.extra_fields.insert("optimism".to_owned(), optimism);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{DevAccounts, Intent, TEST_MNEMONIC, devnet_genesis};

    fn devnet() -> (Genesis, RollupConfig) {
        let intent = Intent::devnet(&DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap());
        let devnet = devnet_genesis(&intent, 1_800_000_000).unwrap();
        (devnet.l2_genesis, devnet.rollup_config)
    }

    #[test]
    fn plain_and_packed_files_are_the_same() {
        let (genesis, rollup) = devnet();
        let json = serde_json::to_vec(&genesis).unwrap();
        let packed = pack(&json).unwrap();
        assert!(packed.len() < json.len() / 10);
        assert_eq!(unpack(packed.clone(), &[]).unwrap(), json);
        assert_eq!(unpack(json.clone(), &[]).unwrap(), json);
        let read = parse(&json).unwrap();
        assert!(read.has_config);
        assert_eq!(read.genesis, genesis);
        assert_eq!(verify(read, &rollup).unwrap(), rollup.genesis.l2);
        // As the registry has it: without the section that says what chain it is.
        let mut value = serde_json::to_value(&genesis).unwrap();
        value["config"] = serde_json::Value::Null;
        let read = parse(value.to_string().as_bytes()).unwrap();
        assert!(!read.has_config);
        assert_eq!(verify(read, &rollup).unwrap(), rollup.genesis.l2);

        let folder = std::env::temp_dir().join(format!("opal-genesis-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("genesis.json.zst");
        std::fs::write(&path, &packed).unwrap();
        assert_eq!(read_file(&path).unwrap(), json);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(read_file(&path), Err(GenesisFileError::Io(_))));
        assert!(matches!(unpack(packed[..99].to_vec(), &[]), Err(GenesisFileError::Zstd(_))));
    }

    #[test]
    fn more_than_the_limit_is_refused_in_either_form() {
        let json = vec![b' '; 1000];
        for file in [json.clone(), pack(&json).unwrap()] {
            assert_eq!(unpack_up_to(file.clone(), &[], 1000).unwrap(), json);
            let refused = unpack_up_to(file, &[], 999);
            assert!(matches!(refused, Err(GenesisFileError::TooLarge)));
        }
        let read = |limit| read_up_to(json.as_slice(), limit, GenesisFileError::Io);
        assert_eq!(read(1000).unwrap(), json);
        assert!(matches!(read(999), Err(GenesisFileError::TooLarge)));
    }

    #[test]
    fn the_dictionary_is_found_from_a_path_with_dots() {
        let name = format!("opal-genesis-dictionary-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let genesis = folder.join("extra/genesis/sepolia");
        std::fs::create_dir_all(&genesis).unwrap();
        let dictionary = folder.join("extra/dictionary").display().to_string();
        std::fs::write(&dictionary, "x").unwrap();
        std::fs::write(genesis.join("op.json.zst"), "x").unwrap();
        let found = dictionary_of(&genesis.join("../sepolia/./op.json.zst")).unwrap();
        assert_eq!(found, Path::new(&dictionary).canonicalize().unwrap());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_is_not_the_chains_is_refused() {
        let (genesis, rollup) = devnet();
        let verify = |genesis: &Genesis, rollup: &RollupConfig| {
            verify(GenesisFile { genesis: genesis.clone(), has_config: true }, rollup)
        };
        let mut changed = genesis.clone();
        changed.timestamp += 1;
        let error = verify(&changed, &rollup).unwrap_err();
        assert!(matches!(error, GenesisFileError::Hash { .. }), "{error}");
        // A single wei more in the state.
        let mut changed = genesis.clone();
        let account = changed.alloc.values_mut().next().unwrap();
        account.balance += alloy_primitives::U256::ONE;
        let error = verify(&changed, &rollup).unwrap_err();
        assert!(matches!(error, GenesisFileError::Hash { .. }), "{error}");
        let mut changed = genesis.clone();
        changed.config.chain_id += 1;
        let error = verify(&changed, &rollup).unwrap_err();
        assert!(matches!(error, GenesisFileError::ChainId { .. }), "{error}");
        let op_mainnet = RollupConfig::for_chain(10).unwrap();
        let error = verify(&genesis, &op_mainnet).unwrap_err();
        assert!(error.to_string().contains("105235063"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |json: &str| parse(json.as_bytes()).unwrap_err().to_string();
        assert!(error("{}").contains("timestamp is missing"));
        assert!(error(r#"{"timestamp":"0x1","alloc":{}}"#).contains("gasLimit is missing"));
        let no_state = r#"{"timestamp":"0x1","gasLimit":"0x1"}"#;
        assert!(error(no_state).contains("alloc is missing"));
        let root = B256::repeat_byte(3);
        let migrated = format!(r#"{{"config":null,"alloc":{{}},"stateHash":"{root}"}}"#);
        assert!(error(&migrated).contains(&root.to_string()));
        assert!(parse(b"[]").is_err());
    }

    #[test]
    fn rules_of_genesis_and_rollup_config_are_compared() {
        let (mut genesis, rollup) = devnet();
        check_rules(&genesis.config, &rollup).unwrap();
        let mut other = rollup.clone();
        other.schedule.set(Hardfork::Interop, Some(5));
        let error = check_rules(&genesis.config, &other).unwrap_err().to_string();
        assert!(error.contains("interopTime is absent in the genesis, 5 in"), "{error}");
        set_rules(&mut genesis.config, &other.schedule, &other.chain_op_config);
        check_rules(&genesis.config, &other).unwrap();
        assert!(check_rules(&genesis.config, &rollup).is_err());
        set_rules(&mut genesis.config, &rollup.schedule, &rollup.chain_op_config);
        check_rules(&genesis.config, &rollup).unwrap();
        other = rollup.clone();
        other.chain_op_config.elasticity += 1;
        let error = check_rules(&genesis.config, &other).unwrap_err().to_string();
        assert!(error.contains("optimism.eip1559Elasticity"), "{error}");
    }
}

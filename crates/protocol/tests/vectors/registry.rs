//! The presets against the superchain registry.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::Address;
use opal_protocol::registry::{self, ChainPreset, DataAvailability};
use opal_protocol::{Hardfork, RollupConfig};
use opal_tests::vectors::{Outcome, VectorFile, Vectors, list, optional, parse, text, uint};
use serde_json::{Value, json};

const CONFIGS: &str = "registry/superchain/configs";
const TABLE: &str = include_str!("../../src/registry_table.rs");

/// Adds the tests: one for each file, and one that makes the table anew.
pub fn add(vectors: &mut Vectors) {
    vectors.whole(CONFIGS, |configs| {
        let root = configs.ancestors().nth(2).unwrap();
        let chains = opal_tests::registry::read(root).unwrap();
        let table = opal_tests::registry::table(&chains).unwrap();
        assert!(table == TABLE, "registry_table.rs is not of this registry: make it anew");
        Outcome::Checked(chains.len())
    });
    let superchains = vectors.folders(CONFIGS);
    if superchains.is_empty() {
        vectors.folder(CONFIGS, check_toml);
    }
    for superchain in superchains {
        vectors.folder(&superchain, check_toml);
    }
    vectors.folder("registry", check_lists);
    vectors.folder("registry/superchain/extra/addresses", check_addresses);
}

fn check_toml(file: &VectorFile) -> Outcome {
    let toml = file.toml();
    let (_, superchain) = file.folder.rsplit_once('/').unwrap();
    let name = file.name.strip_suffix(".toml").unwrap();
    if name == "superchain" {
        return check_superchain(superchain, &toml);
    }
    let preset = registry::find(&format!("{superchain}/{name}")).unwrap();
    check_preset(preset, &toml);
    assert_eq!(
        serde_json::to_value(preset.rollup_config()).unwrap(),
        rollup_json(&toml, preset.l1_chain_id),
        "{}",
        file.place()
    );
    Outcome::Checked(1)
}

/// What the reference node makes of the file of a chain.
fn rollup_json(toml: &Value, l1_chain_id: u64) -> Value {
    let (genesis, system) = (&toml["genesis"], &toml["genesis"]["system_config"]);
    let fees = &toml["optimism"];
    let lower = |value: &Value| text(value).to_lowercase();
    let mut json = json!({
        "genesis": {
            "l1": genesis["l1"],
            "l2": genesis["l2"],
            "l2_time": genesis["l2_time"],
            "system_config": {
                "batcherAddr": lower(&system["batcherAddress"]),
                "overhead": system["overhead"],
                "scalar": system["scalar"],
                "gasLimit": system["gasLimit"],
                // Not in the registry: zero until L1 sets them.
                "eip1559Params": "0x0000000000000000",
                "operatorFeeParams": format!("0x{}", "00".repeat(32)),
                "minBaseFee": 0,
                "daFootprintGasScalar": 0,
            }
        },
        "block_time": toml["block_time"],
        "max_sequencer_drift": toml["max_sequencer_drift"],
        "seq_window_size": toml["seq_window_size"],
        "channel_timeout": 300,
        "l1_chain_id": l1_chain_id,
        "l2_chain_id": toml["chain_id"],
        "regolith_time": 0,
        "batch_inbox_address": lower(&toml["batch_inbox_addr"]),
        "deposit_contract_address": lower(&toml["addresses"]["OptimismPortalProxy"]),
        "l1_system_config_address": lower(&toml["addresses"]["SystemConfigProxy"]),
        "chain_op_config": {
            "eip1559Elasticity": fees["eip1559_elasticity"],
            "eip1559Denominator": fees["eip1559_denominator"],
            "eip1559DenominatorCanyon": fees["eip1559_denominator_canyon"],
        }
    });
    for (key, value) in toml["hardforks"].as_object().unwrap() {
        json[key] = value.clone();
    }
    if let Some(alt_da) = optional(toml, "alt_da") {
        json["alt_da"] = alt_da.clone();
        let address = lower(&alt_da["da_challenge_contract_address"]);
        json["alt_da"]["da_challenge_contract_address"] = address.clone().into();
        if parse::<Address>(&address.into()).is_zero() {
            json["alt_da"].as_object_mut().unwrap().remove("da_challenge_contract_address");
        }
    }
    if let Some(interop) = optional(toml, "interop") {
        let ids = interop["dependencies"].as_object().unwrap().keys();
        json["dependency_set"] = ids.map(|id| id.parse::<u64>().unwrap()).collect();
    }
    json
}

/// What is no part of the rollup configuration.
fn check_preset(preset: &ChainPreset, toml: &Value) {
    assert_eq!(preset.title, text(&toml["name"]));
    assert_eq!(Some(preset.governed_by_optimism), toml["governed_by_optimism"].as_bool());
    assert_eq!(preset.superchain_time, optional(toml, "superchain_time").map(uint));
    assert_eq!(preset.gas_paying_token, optional(toml, "gas_paying_token").map(parse));
    let on_l1 = preset.data_availability == DataAvailability::L1;
    assert_eq!(on_l1, text(&toml["data_availability_type"]) == "eth-da");
    assert_eq!(preset.supported().is_ok(), on_l1);
}

/// Members of a superchain have its fork times from their joining on, the registry says so in the
/// chain's own file.
fn check_superchain(superchain: &str, toml: &Value) -> Outcome {
    let mut checked = 1;
    for preset in registry::chains().iter().filter(|preset| preset.superchain == superchain) {
        assert_eq!(preset.l1_chain_id, uint(&toml["l1"]["chain_id"]));
        let Some(joined) = preset.superchain_time else { continue };
        let config = preset.rollup_config();
        for (key, time) in toml["hardforks"].as_object().unwrap() {
            let time = uint(time);
            if time < joined || time <= preset.l2_time {
                continue;
            }
            let own = match key.strip_suffix("_time").unwrap() {
                "pectra_blob_schedule" => config.pectra_blob_schedule_time,
                fork => config.schedule.time(fork.parse().unwrap()),
            };
            // One chain chose a time of its own before it joined.
            assert!(own.is_some_and(|own| own == time || own < joined), "{}: {key}", preset.title);
            checked += 1;
        }
    }
    Outcome::Checked(checked)
}

fn check_lists(file: &VectorFile) -> Outcome {
    let json = file.json();
    if optional(&json, "results").is_some() {
        return check_genesis_hashes(&json["results"]);
    }
    if optional(&json, "l1StartingBlockTag").is_some() {
        // Who deploys reads it; what derivation takes of it stands in the rollup configuration.
        return Outcome::Ignored("a deploy configuration: governance's, not derivation's".into());
    }
    let chains = list(&json);
    if chains.is_empty() {
        return Outcome::Ignored("no list of chains".into());
    }
    for chain in chains {
        let preset = registry::find(text(&chain["identifier"])).unwrap();
        assert_eq!(preset.identifier(), text(&chain["identifier"]));
        assert_eq!(preset.title, text(&chain["name"]));
        assert_eq!(preset.chain_id, uint(&chain["chainId"]));
        assert_eq!(Some(preset.governed_by_optimism), chain["governedByOptimism"].as_bool());
        let on_l1 = text(&chain["dataAvailabilityType"]) == "eth-da";
        assert_eq!(preset.data_availability == DataAvailability::L1, on_l1);
        assert_eq!(preset.gas_paying_token, optional(chain, "gasPayingToken").map(parse));
        assert_eq!(preset.superchain, text(&chain["parent"]["chain"]));
    }
    let listed: BTreeSet<u64> = chains.iter().map(|chain| uint(&chain["chainId"])).collect();
    let presets: BTreeSet<u64> = registry::chains().iter().map(|chain| chain.chain_id).collect();
    assert_eq!(listed, presets);
    Outcome::Checked(chains.len())
}

fn check_genesis_hashes(results: &Value) -> Outcome {
    let results = results.as_object().unwrap();
    for (identifier, result) in results {
        let preset = registry::find(identifier).unwrap();
        let expected: alloy_primitives::B256 = parse(&result["expect"]);
        assert_eq!(preset.l2.hash, expected, "{identifier}");
        assert_eq!(Some(!preset.is_migrated()), result["ok"].as_bool(), "{identifier}");
    }
    Outcome::Checked(results.len())
}

fn check_addresses(file: &VectorFile) -> Outcome {
    let json = file.json();
    let chains: BTreeMap<u64, &Value> =
        json.as_object().unwrap().iter().map(|(id, chain)| (id.parse().unwrap(), chain)).collect();
    for (id, addresses) in &chains {
        let config = RollupConfig::for_chain(*id).unwrap_or_else(|| panic!("no preset of {id}"));
        let portal: Address = parse(&addresses["OptimismPortalProxy"]);
        assert_eq!(config.deposit_contract_address, portal, "{id}");
        let system_config: Address = parse(&addresses["SystemConfigProxy"]);
        assert_eq!(config.l1_system_config_address, system_config, "{id}");
    }
    // PROTOCOL.md's times are OP Mainnet's.
    assert_eq!(RollupConfig::for_chain(10).unwrap().unscheduled(), [Hardfork::Interop]);
    Outcome::Checked(chains.len())
}

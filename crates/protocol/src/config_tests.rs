#![allow(clippy::unwrap_used)]

use alloc::string::String;
use alloc::vec;

use alloy_primitives::{Address, B256, address, b256};
use serde_json::{Value, json};

use super::*;

/// A configuration with everything set, as the reference node writes it.
fn sample() -> Value {
    json!({
        "genesis": {
            "l1": {
                "hash": "0x1111111111111111111111111111111111111111111111111111111111111111",
                "number": 424242
            },
            "l2": {
                "hash": "0x2222222222222222222222222222222222222222222222222222222222222222",
                "number": 1337
            },
            "l2_time": 10,
            "system_config": {
                "batcherAddr": "0x3333333333333333333333333333333333333333",
                "overhead": "0x00000000000000000000000000000000000000000000000000000000000000bc",
                "scalar": "0x01000000000000000000000000000000000000000000000000000007000000e9",
                "gasLimit": 30000000,
                "eip1559Params": "0x000000fa00000006",
                "operatorFeeParams":
                    "0x0000000000000000000000000000000000000000000000070000000000000009",
                "minBaseFee": 5,
                "daFootprintGasScalar": 400
            }
        },
        "block_time": 2,
        "max_sequencer_drift": 600,
        "seq_window_size": 3600,
        "channel_timeout": 300,
        "l1_chain_id": 900,
        "l2_chain_id": 901,
        "regolith_time": 0,
        "canyon_time": 0,
        "delta_time": 0,
        "ecotone_time": 0,
        "fjord_time": 0,
        "granite_time": 0,
        "holocene_time": 77,
        "isthmus_time": 78,
        "jovian_time": 79,
        "karst_time": 80,
        "interop_time": 81,
        "batch_inbox_address": "0x4444444444444444444444444444444444444444",
        "deposit_contract_address": "0x5555555555555555555555555555555555555555",
        "l1_system_config_address": "0x6666666666666666666666666666666666666666",
        "chain_op_config": {
            "eip1559Elasticity": 6,
            "eip1559Denominator": 50,
            "eip1559DenominatorCanyon": 250
        },
        "alt_da": {
            "da_challenge_contract_address": "0x7777777777777777777777777777777777777777",
            "da_commitment_type": "KeccakCommitment",
            "da_challenge_window": 160,
            "da_resolve_window": 161
        },
        "pectra_blob_schedule_time": 12
    })
}

fn read(value: &Value) -> Result<RollupConfig, ConfigError> {
    RollupConfig::from_json(&value.to_string())
}

fn config() -> RollupConfig {
    read(&sample()).unwrap()
}

/// The error that the sample gives with one change.
fn error_with(change: impl FnOnce(&mut Value)) -> String {
    let mut value = sample();
    change(&mut value);
    read(&value).unwrap_err().to_string()
}

fn without(value: &mut Value, key: &str) {
    value.as_object_mut().unwrap().remove(key).unwrap();
}

#[test]
fn every_field_of_the_reference_node_is_read_and_written() {
    let config = config();
    assert_eq!(serde_json::to_value(&config).unwrap(), sample());
    assert_eq!(serde_json::from_value::<RollupConfig>(sample()).unwrap(), config);

    assert_eq!(config.genesis.l1, BlockId { hash: B256::repeat_byte(0x11), number: 424_242 });
    assert_eq!(config.genesis.l2, BlockId { hash: B256::repeat_byte(0x22), number: 1337 });
    assert_eq!(config.genesis.l2_time, 10);
    let system = config.genesis.system_config;
    assert_eq!(system.batcher_address, Address::repeat_byte(0x33));
    assert_eq!((system.gas_limit, system.overhead[31]), (30_000_000, 0xbc));
    assert_eq!(system.operator_fee(), (7, 9));
    assert_eq!((system.min_base_fee, system.da_footprint_gas_scalar), (5, 400));
    assert_eq!((config.block_time, config.max_sequencer_drift_config), (2, 600));
    assert_eq!((config.seq_window_size, config.channel_timeout_config), (3600, 300));
    assert_eq!((config.l1_chain_id, config.l2_chain_id), (900, 901));
    for (fork, time) in TABLE.iter().skip(7).zip(77..) {
        assert_eq!(config.schedule.time(fork.fork), Some(time), "{}", fork.name);
    }
    assert_eq!(config.batch_inbox_address, Address::repeat_byte(0x44));
    assert_eq!(config.deposit_contract_address, Address::repeat_byte(0x55));
    assert_eq!(config.l1_system_config_address, Address::repeat_byte(0x66));
    assert_eq!(config.pectra_blob_schedule_time, Some(12));
    let alt_da = config.alt_da.unwrap();
    assert_eq!(alt_da.challenge_address, Address::repeat_byte(0x77));
    assert_eq!(alt_da.commitment_type, CommitmentType::Keccak);
    assert_eq!((alt_da.challenge_window, alt_da.resolve_window), (160, 161));
}

#[test]
fn what_may_be_left_out_may_be() {
    let mut value = sample();
    for key in ["interop_time", "karst_time", "alt_da", "pectra_blob_schedule_time"] {
        without(&mut value, key);
    }
    value["jovian_time"] = Value::Null;
    let system = &mut value["genesis"]["system_config"];
    for key in ["eip1559Params", "operatorFeeParams", "minBaseFee", "daFootprintGasScalar"] {
        without(system, key);
    }
    let config = read(&value).unwrap();
    assert_eq!(config.alt_da, None);
    assert_eq!(config.genesis.system_config.eip1559_params, alloy_primitives::B64::ZERO);
    // Forks without a time are said.
    let unscheduled = [Hardfork::Jovian, Hardfork::Karst, Hardfork::Interop];
    assert_eq!(config.unscheduled(), unscheduled);
    assert!(super::RollupConfig::for_chain(10).unwrap().unscheduled() == [Hardfork::Interop]);
}

#[test]
fn fields_that_must_be_there_are_named() {
    for path in [
        "genesis",
        "genesis.l1",
        "genesis.l1.hash",
        "genesis.l2.number",
        "genesis.l2_time",
        "genesis.system_config.batcherAddr",
        "genesis.system_config.gasLimit",
        "block_time",
        "seq_window_size",
        "channel_timeout",
        "l1_chain_id",
        "l2_chain_id",
        "batch_inbox_address",
        "deposit_contract_address",
        "l1_system_config_address",
        "chain_op_config",
        "chain_op_config.eip1559Elasticity",
        "alt_da.da_commitment_type",
    ] {
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
        let error = error_with(|value| {
            let parent = parent.split('.').filter(|part| !part.is_empty());
            without(parent.fold(value, |value, part| &mut value[part]), key);
        });
        assert_eq!(error, alloc::format!("rollup config: {path} is missing"));
    }
    // Which chains have had the field always, the registry knows.
    let mut value = sample();
    value["l2_chain_id"] = 252.into();
    without(&mut value, "chain_op_config");
    assert_eq!(read(&value).unwrap().chain_op_config.elasticity, 10);
}

// TRAPS "Silently ignored configuration": unknown is an error.
#[test]
fn unknown_fields_are_errors_and_name_what_was_meant() {
    let error = error_with(|value| value["custom_gas_token"] = true.into());
    assert_eq!(error, "rollup config: unknown field \"custom_gas_token\"");
    let error = error_with(|value| value["holoceneTime"] = 1.into());
    assert!(error.ends_with("\"holoceneTime\"; did you mean \"holocene_time\"?"), "{error}");
    let error = error_with(|value| value["genesis"]["l1"]["nonce"] = 1.into());
    assert_eq!(error, "rollup config: unknown field \"genesis.l1.nonce\"");
    let error = error_with(|value| value["genesis"]["system_config"]["gas_limit"] = 1.into());
    assert!(error.contains("genesis.system_config.gas_limit"), "{error}");
    assert!(error.contains("did you mean \"gasLimit\"?"), "{error}");
    let error = error_with(|value| value["alt_da"]["da_window"] = 1.into());
    assert!(error.contains("alt_da.da_window"), "{error}");
    let error = error_with(|value| value["chain_op_config"]["elasticity"] = 1.into());
    assert!(error.contains("chain_op_config.elasticity"), "{error}");
}

#[test]
fn a_key_that_stands_there_twice_is_an_error() {
    for (key, repeated) in [
        ("\"block_time\":2", "\"block_time\":2,\"block_time\":1"),
        ("\"number\":1337", "\"number\":1337,\"number\":1337"),
    ] {
        let text = sample().to_string();
        assert!(text.contains(key));
        let error = RollupConfig::from_json(&text.replace(key, repeated)).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("stands there twice") && error.contains("line 1"), "{error}");
    }
}

#[test]
fn values_of_the_wrong_kind_name_their_field() {
    let error = error_with(|value| value["genesis"]["l2"]["hash"] = "0x12".into());
    assert!(error.starts_with("rollup config: genesis.l2.hash: "), "{error}");
    let error = error_with(|value| value["block_time"] = "2".into());
    assert!(error.starts_with("rollup config: block_time: "), "{error}");
    let error = error_with(|value| value["karst_time"] = (-1).into());
    assert!(error.starts_with("rollup config: karst_time: "), "{error}");
    let error = error_with(|value| value["genesis"] = 7.into());
    assert_eq!(error, "rollup config: genesis: a number instead of an object");
    let error = error_with(|value| value["alt_da"]["da_commitment_type"] = "Sha".into());
    assert!(error.contains("alt_da.da_commitment_type"), "{error}");
    for text in ["", "[]", "{} {}", "{", "{\"a\":1,}", "null"] {
        assert!(RollupConfig::from_json(text).is_err(), "{text}");
    }
    let nested = "[".repeat(100_000);
    assert!(matches!(RollupConfig::from_json(&nested), Err(ConfigError::Json(_))));
}

#[test]
fn fields_of_older_releases_are_understood() {
    // As releases up to 2024 wrote them for chains without alt-DA.
    let mut value = sample();
    without(&mut value, "alt_da");
    value["protocol_versions_address"] = "0x79add5713b383daa0a138d3c4780c7a1804a8090".into();
    value["da_challenge_address"] = "0x0000000000000000000000000000000000000000".into();
    value["da_challenge_window"] = 0.into();
    value["da_resolve_window"] = 0.into();
    value["use_plasma"] = false.into();
    let config = read(&value).unwrap();
    assert_eq!(config.alt_da, None);
    let versions = address!("79add5713b383daa0a138d3c4780c7a1804a8090");
    assert_eq!(config.protocol_versions_address, versions);
    let written = serde_json::to_value(&config).unwrap();
    assert_eq!(read(&written).unwrap(), config);
    // With alt-DA, alone and beside the section that came after.
    value["use_plasma"] = true.into();
    value["da_challenge_address"] = "0x7777777777777777777777777777777777777777".into();
    value["da_challenge_window"] = 160.into();
    value["da_resolve_window"] = 161.into();
    let alt_da = config_with_alt_da();
    assert_eq!(read(&value).unwrap().alt_da, alt_da);
    value["alt_da"] = sample()["alt_da"].clone();
    assert_eq!(read(&value).unwrap().alt_da, alt_da);
    value["da_resolve_window"] = 1.into();
    let error = read(&value).unwrap_err().to_string();
    assert!(error.contains("alt_da: it differs"), "{error}");
}

fn config_with_alt_da() -> Option<AltDaConfig> {
    config().alt_da
}

#[test]
fn fields_of_other_clients_may_say_what_is_so() {
    let mut value = sample();
    value["granite_channel_timeout"] = 50.into();
    value["fjord_max_sequencer_drift"] = 1800.into();
    assert_eq!(read(&value).unwrap(), config());
    let error = error_with(|value| value["granite_channel_timeout"] = 51.into());
    assert!(error.contains("granite_channel_timeout: 51"), "{error}");
    let error = error_with(|value| value["interop_message_expiry_window"] = 3600.into());
    assert!(error.contains("interop_message_expiry_window"), "{error}");
    without(&mut value, "interop_time");
    value["interop_message_expiry_window"] = 3600.into();
    assert!(read(&value).is_ok());
    // The later name of interop.
    value["lagoon_time"] = 81.into();
    without(&mut value, "interop_message_expiry_window");
    assert_eq!(read(&value).unwrap(), config());
    value["interop_time"] = 82.into();
    let error = read(&value).unwrap_err().to_string();
    assert!(error.contains("lagoon_time: 81"), "{error}");
}

#[test]
fn our_own_fields_survive() {
    let mut config = config();
    config.keep_karst_upgrade_gas = true;
    config.dependency_set = [901, 902].into();
    config.upgrade_bundles = [(Hardfork::Interop, B256::repeat_byte(9))].into();
    let json = serde_json::to_string(&config).unwrap();
    assert!(json.contains("\"keep_karst_upgrade_gas\":true"), "{json}");
    assert_eq!(RollupConfig::from_json(&json).unwrap(), config);
}

/// The reference node's rules: each with what it refuses, at the edge of what it takes.
#[test]
fn impossible_values_are_refused() {
    type Change = fn(&mut RollupConfig);
    let cases: [(&str, Change, Change); 19] = [
        ("block_time", |c| c.block_time = 1, |c| c.block_time = 0),
        ("channel_timeout", |c| c.channel_timeout_config = 1, |c| c.channel_timeout_config = 0),
        ("seq_window_size", |c| c.seq_window_size = 2, |c| c.seq_window_size = 1),
        (
            "max_sequencer_drift",
            |c| c.max_sequencer_drift_config = 1,
            |c| c.max_sequencer_drift_config = 0,
        ),
        (
            "genesis.l1.hash",
            |c| c.genesis.l1.hash = B256::with_last_byte(1),
            |c| c.genesis.l1.hash = B256::ZERO,
        ),
        (
            "genesis.l2.hash",
            |c| c.genesis.l2.hash = B256::with_last_byte(1),
            |c| c.genesis.l2.hash = B256::ZERO,
        ),
        (
            "genesis.l2.hash",
            |c| c.genesis.l2.hash.0[31] = 7,
            |c| c.genesis.l2.hash = c.genesis.l1.hash,
        ),
        ("genesis.l2_time", |c| c.genesis.l2_time = 1, |c| c.genesis.l2_time = 0),
        (
            "genesis.system_config.batcherAddr",
            |c| c.genesis.system_config.batcher_address = Address::with_last_byte(1),
            |c| c.genesis.system_config.batcher_address = Address::ZERO,
        ),
        (
            "genesis.system_config.scalar",
            |c| c.genesis.system_config.scalar = B256::with_last_byte(1),
            |c| c.genesis.system_config.scalar = B256::ZERO,
        ),
        (
            "genesis.system_config.gasLimit",
            |c| c.genesis.system_config.gas_limit = 1,
            |c| c.genesis.system_config.gas_limit = 0,
        ),
        (
            "batch_inbox_address",
            |c| c.batch_inbox_address = Address::with_last_byte(1),
            |c| c.batch_inbox_address = Address::ZERO,
        ),
        (
            "deposit_contract_address",
            |c| c.deposit_contract_address = Address::with_last_byte(1),
            |c| c.deposit_contract_address = Address::ZERO,
        ),
        ("l1_chain_id", |c| c.l1_chain_id = 1, |c| c.l1_chain_id = 0),
        ("l2_chain_id", |c| c.l2_chain_id = 1, |c| c.l2_chain_id = 0),
        ("l2_chain_id", |c| c.l2_chain_id = 899, |c| c.l2_chain_id = 900),
        (
            "chain_op_config.eip1559Elasticity",
            |c| c.chain_op_config.elasticity = 1,
            |c| c.chain_op_config.elasticity = 0,
        ),
        (
            "chain_op_config.eip1559Denominator",
            |c| c.chain_op_config.denominator = 1,
            |c| c.chain_op_config.denominator = 0,
        ),
        (
            "chain_op_config.eip1559DenominatorCanyon",
            |c| c.chain_op_config.denominator_canyon = 1,
            |c| c.chain_op_config.denominator_canyon = 0,
        ),
    ];
    for (field, good, bad) in cases {
        let (mut yes, mut no) = (config(), config());
        good(&mut yes);
        bad(&mut no);
        assert_eq!(yes.check(), Ok(()), "{field}");
        match no.check() {
            Err(ConfigError::Invalid { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    assert!(RollupConfig::default().check().is_err());
}

#[test]
fn alt_da_has_a_contract_if_its_commitments_can_be_challenged() {
    let check = |address: u8, commitment_type, challenge_window, resolve_window| {
        let challenge_address = Address::with_last_byte(address);
        let alt_da =
            AltDaConfig { challenge_address, commitment_type, challenge_window, resolve_window };
        RollupConfig { alt_da: Some(alt_da), ..config() }.check()
    };
    let field = |result: Result<(), ConfigError>| match result {
        Err(ConfigError::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    use CommitmentType::{Generic, Keccak};
    let address = "alt_da.da_challenge_contract_address";
    assert_eq!(check(1, Keccak, 1, 1), Ok(()));
    assert_eq!(field(check(0, Keccak, 1, 1)), address);
    assert_eq!(check(0, Generic, 1, 1), Ok(()));
    assert_eq!(field(check(1, Generic, 1, 1)), address);
    assert_eq!(field(check(1, Keccak, 0, 1)), "alt_da.da_challenge_window");
    assert_eq!(field(check(1, Keccak, 1, 0)), "alt_da.da_resolve_window");
}

#[test]
fn forks_activate_in_order() {
    for pair in TABLE.windows(2).skip(1) {
        let (earlier, later) = (pair[0].fork, pair[1].fork);
        let mut config = config();
        config.schedule = HardforkSchedule::at_genesis(earlier);
        config.schedule.set(earlier, Some(100));
        assert_eq!(config.check(), Ok(()));
        config.schedule.set(later, Some(100));
        assert_eq!(config.check(), Ok(()), "{later} with {earlier}");
        config.schedule.set(later, Some(99));
        let (earlier_time, later_time) = (Some(100), Some(99));
        let error = ConfigError::ForkOrder { earlier, earlier_time, later, later_time };
        assert_eq!(config.check(), Err(error));
        config.schedule.set(earlier, None);
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains(earlier.name()) && error.contains("nowhere"), "{error}");
    }
}

#[test]
fn chains_that_may_lack_the_blob_schedule_fix_are_known() {
    let mut config = config();
    config.l1_chain_id = 11_155_111;
    assert!(!config.probably_lacks_pectra_blob_schedule());
    config.pectra_blob_schedule_time = None;
    config.genesis.l2_time = 1_741_159_776;
    assert!(config.probably_lacks_pectra_blob_schedule());
    // Began after Prague, or on an L1 without the trouble.
    config.genesis.l2_time += 1;
    assert!(!config.probably_lacks_pectra_blob_schedule());
    config.genesis.l2_time = 1;
    config.l1_chain_id = 1;
    assert!(!config.probably_lacks_pectra_blob_schedule());
}

/// fjord/derivation.md, "Constant Maximum Sequencer Drift": by the L1 origin's time.
#[test]
fn sequencer_drift_is_a_constant_from_fjord_on() {
    let config = at(Hardfork::Fjord, 100);
    assert_eq!((config.max_sequencer_drift(99), config.max_sequencer_drift(100)), (600, 1800));
}

/// granite/derivation.md, "Reduce Channel Timeout": by the time of the L1 block with the frame.
#[test]
fn channel_timeout_is_shorter_from_granite_on() {
    let config = at(Hardfork::Granite, 200);
    assert_eq!((config.channel_timeout(199), config.channel_timeout(200)), (300, 50));
}

/// fjord/derivation.md, "Increasing `MAX_RLP_BYTES_PER_CHANNEL` and `MAX_CHANNEL_BANK_SIZE`".
#[test]
fn channels_are_larger_from_fjord_on() {
    let config = at(Hardfork::Fjord, 100);
    let bank = (config.max_channel_bank_size(99), config.max_channel_bank_size(100));
    assert_eq!(bank, (100_000_000, 1_000_000_000));
    let rlp = (config.max_rlp_bytes_per_channel(99), config.max_rlp_bytes_per_channel(100));
    assert_eq!(rlp, (10_000_000, 100_000_000));
}

/// A chain where the fork comes at a time and the one before it holds from genesis on.
fn at(fork: Hardfork, time: u64) -> RollupConfig {
    let mut config = config();
    config.schedule = HardforkSchedule::at_genesis(fork);
    config.schedule.set(fork, Some(time));
    config
}

#[test]
fn block_times_follow_from_genesis() {
    let config = config();
    assert_eq!(config.timestamp_of(1337 + 3), 16);
    assert_eq!(config.timestamp_of(0), 10);
    assert_eq!(config.timestamp_of(u64::MAX), u64::MAX);
    // The first block with a fork, its parent being without; never the genesis block.
    let config = at(Hardfork::Holocene, 15);
    let blocks = [12, 14, 16, 18].map(|time| config.is_activation_block(Hardfork::Holocene, time));
    assert_eq!(blocks, [false, false, true, false]);
    assert!(!config.is_activation_block(Hardfork::Granite, 0));
}

#[test]
fn op_mainnet_is_what_the_reference_node_has_built_in() {
    let config = RollupConfig::for_chain(10).unwrap();
    let expected = json!({
        "genesis": {
            "l1": {
                "hash": b256!("438335a20d98863a4c0c97999eb2481921ccd28553eac6f913af7c12aec04108"),
                "number": 17422590
            },
            "l2": {
                "hash": b256!("dbf6a80fef073de06add9b0d14026d6e5a86c85f6d102c36d3d8e9cf89c2afd3"),
                "number": 105235063
            },
            "l2_time": 1686068903,
            "system_config": {
                "batcherAddr": "0x6887246668a3b87f54deb3b94ba47a6f63f32985",
                "overhead": "0x00000000000000000000000000000000000000000000000000000000000000bc",
                "scalar": "0x00000000000000000000000000000000000000000000000000000000000a6fe0",
                "gasLimit": 30000000
            }
        },
        "block_time": 2,
        "max_sequencer_drift": 600,
        "seq_window_size": 3600,
        "channel_timeout": 300,
        "l1_chain_id": 1,
        "l2_chain_id": 10,
        "regolith_time": 0,
        "canyon_time": 1704992401,
        "delta_time": 1708560000,
        "ecotone_time": 1710374401,
        "fjord_time": 1720627201,
        "granite_time": 1726070401,
        "holocene_time": 1736445601,
        "isthmus_time": 1746806401,
        "jovian_time": 1764691201,
        "karst_time": 1783526401,
        "keep_karst_upgrade_gas": true,
        "batch_inbox_address": "0xff00000000000000000000000000000000000010",
        "deposit_contract_address": "0xbeb5fc579115071764c7423a4f12edde41f106ed",
        "l1_system_config_address": "0x229047fed2591dbec1ef1118d64f7af3db9eb290",
        "chain_op_config": {
            "eip1559Elasticity": 6,
            "eip1559Denominator": 50,
            "eip1559DenominatorCanyon": 250
        }
    });
    assert_eq!(read(&expected).unwrap(), config);
    let mut forks = vec![];
    for row in TABLE.iter().skip(2) {
        forks.extend(config.schedule.time(row.fork));
    }
    assert_eq!(forks.len(), 9);
}

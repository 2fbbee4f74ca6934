//! Updates of the system configuration, and the packed fee scalars.

use alloy_primitives::{B256, Log, U256};
use opal_protocol::SystemConfig;
use opal_protocol::system_config::{CONFIG_UPDATE, unsafe_block_signer_update};
use opal_tests::vectors::{Outcome, VectorFile, list, optional, parse, uint};
use serde_json::Value;

use crate::log;

pub fn check(file: &VectorFile) -> Outcome {
    let json = file.json();
    file.expect_lists(&json, &["cases"]);
    for case in list(&json["cases"]) {
        match (optional(case, "scalar"), optional(case, "expect")) {
            (Some(_), None) => check_scalar(case),
            (None, Some(expect)) => {
                for (key, ecotone) in [("pre_ecotone", false), ("ecotone", true)] {
                    check_update(file, case, expect.get(key).unwrap_or(expect), ecotone);
                }
            }
            _ => file.not_understood(case),
        }
    }
    Outcome::Checked(list(&json["cases"]).len())
}

fn check_scalar(case: &Value) {
    let config = SystemConfig { scalar: parse(&case["scalar"]), ..Default::default() };
    let scalars = config.fee_scalars().unwrap();
    assert_eq!(u64::from(scalars.base_fee_scalar), uint(&case["base_fee_scalar"]), "{case}");
    let blob = u64::from(scalars.blob_base_fee_scalar);
    assert_eq!(blob, uint(&case["blob_base_fee_scalar"]), "{case}");
    if uint(&case["version"]) == 1 {
        assert_eq!(scalars.encode(), config.scalar, "{case}");
    }
}

/// One log, before or from Ecotone on. What follows a malformed log still counts.
fn check_update(file: &VectorFile, case: &Value, expect: &Value, ecotone: bool) {
    let name = format!("{} (Ecotone: {ecotone})", case["name"]);
    let log = log(case);
    let mut config = SystemConfig::default();
    let result = config.apply_log(&log, ecotone);
    match expect {
        Value::String(outcome) if outcome.starts_with("malformed") => {
            assert!(result.is_err(), "{name}");
            assert_eq!(config, SystemConfig::default(), "{name}");
            check_that_later_logs_count(&log, &name);
        }
        Value::String(outcome) if outcome.starts_with("accepted") => {
            // The vectors' table speaks of the rules before Ecotone, which took any scalar.
            assert!(result.is_ok() || ecotone, "{name}: {result:?}");
        }
        Value::Object(fields) => {
            result.unwrap_or_else(|error| panic!("{name}: {error}"));
            for (field, value) in fields {
                check_field(file, &name, (field, value), &config, &log);
            }
        }
        _ => file.not_understood(case),
    }
}

fn check_that_later_logs_count(malformed: &Log, name: &str) {
    let topics = vec![CONFIG_UPDATE, B256::ZERO, B256::with_last_byte(2)];
    let words = [32u64, 32, 7].map(|word| B256::from(U256::from(word)));
    let good = Log::new_unchecked(malformed.address, topics, words.concat().into());
    let mut config = SystemConfig::default();
    let mut errors = 0;
    for log in [malformed, &good] {
        errors += usize::from(config.apply_log(log, true).is_err());
    }
    assert_eq!((errors, config.gas_limit), (1, 7), "{name}");
}

fn check_field(
    file: &VectorFile,
    name: &str,
    (field, value): (&str, &Value),
    config: &SystemConfig,
    log: &Log,
) {
    let word = |slice: &[u8]| U256::from_be_slice(slice);
    let found = match field {
        "batcher_address" => {
            assert_eq!(config.batcher_address, parse::<alloy_primitives::Address>(value), "{name}");
            return;
        }
        "unsafe_block_signer" => {
            assert_eq!(unsafe_block_signer_update(log), Some(parse(value)), "{name}");
            return;
        }
        "overhead" => config.overhead.into(),
        "scalar" => config.scalar.into(),
        "gas_limit" => U256::from(config.gas_limit),
        "denominator" | "eip1559_denominator" => word(&config.eip1559_params[..4]),
        "elasticity" | "eip1559_elasticity" => word(&config.eip1559_params[4..]),
        "operator_fee_scalar" => U256::from(config.operator_fee().0),
        "operator_fee_constant" => U256::from(config.operator_fee().1),
        "min_base_fee" => U256::from(config.min_base_fee),
        "da_footprint_gas_scalar" => U256::from(config.da_footprint_gas_scalar),
        _ => panic!("{}: {name}: not understood: {field}", file.place()),
    };
    assert_eq!(found, parse::<U256>(value), "{name}: {field}");
}

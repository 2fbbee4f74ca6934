//! Tables of fees: L1 cost, FastLZ sizes, operator fee, base fee, blob base fee, EIP-1559
//! parameters.

use alloy_consensus::Header;
use alloy_primitives::{Address, B64, B256, Bytes, Log, U256};
use opal_evm::l1_fee::{DataSize, fastlz_size};
use opal_evm::{BlockInput, L1FeeParams, next_base_fee};
use opal_protocol::extra_data::{ExtraData, decode_extra_data_of_fork, write_extra_data};
use opal_protocol::l1_fees::blob_base_fee;
use opal_protocol::system_config::CONFIG_UPDATE;
use opal_protocol::{DEPOSIT_TX_TYPE, Hardfork, PayloadAttributes, SystemConfig};
use opal_tests::vectors::{Outcome, VectorFile, list, optional, parse, text, uint};
use serde_json::{Value, json};

use crate::{fork, number, op_spec, spec};

const ATTRIBUTES: &str = "payload_attribute_eip1559Params";
const EXTRA_DATA: &str = "header_extra_data_";

pub fn check(file: &VectorFile) -> Outcome {
    let table = file.json();
    let mut checked = 0;
    for (key, cases) in table.as_object().into_iter().flatten() {
        if !cases[0].is_object() {
            continue;
        }
        for case in list(cases) {
            match key.strip_prefix(EXTRA_DATA) {
                Some(name) => {
                    let fork = name.parse().unwrap();
                    let valid =
                        decode_extra_data_of_fork(fork, &parse::<Bytes>(&case["v"])).is_ok();
                    assert_eq!(valid, case["valid"], "{case}");
                }
                None if key == ATTRIBUTES => check_params(case),
                None if key == "cases" => check_case(file, case),
                None => file.not_understood(&table),
            }
            checked += 1;
        }
    }
    Outcome::Checked(checked)
}

fn check_case(file: &VectorFile, case: &Value) {
    let has = |key| optional(case, key).is_some();
    if has("l1_fee") && has("tx") {
        check_l1_cost(case);
    } else if has("len") && has("input") {
        let size = fastlz_size(&parse::<Bytes>(&case["input"]));
        assert_eq!(u64::from(size), uint(&case["len"]), "{case}");
    } else if has("fee") && has("gas") {
        let params = L1FeeParams {
            operator_fee_scalar: number(&case["scalar"]).to(),
            operator_fee_constant: number(&case["constant"]).to(),
            ..params(fork(&case["fork"]), &Value::Null)
        };
        assert_eq!(params.operator_fee(uint(&case["gas"])), number(&case["fee"]), "{case}");
    } else if has("base_fee") && has("parent_base_fee") {
        check_base_fee(case);
    } else if has("blob_base_fee") && has("excess_blob_gas") {
        check_blob_base_fee(file, case);
    } else {
        file.not_understood(case);
    }
}

fn params(fork: Hardfork, value: &Value) -> L1FeeParams {
    // The block in which Ecotone comes has no scalars of the new kind yet.
    let old = optional(value, "base_fee_scalar").is_none()
        && optional(value, "blob_base_fee_scalar").is_none();
    L1FeeParams {
        fork,
        base_fee: number(&value["base_fee"]),
        overhead: number(&value["overhead"]),
        scalar: number(&value["scalar"]),
        blob_base_fee: number(&value["blob_base_fee"]),
        base_fee_scalar: number(&value["base_fee_scalar"]).to(),
        blob_base_fee_scalar: number(&value["blob_base_fee_scalar"]).to(),
        operator_fee_scalar: number(&value["operator_fee_scalar"]).to(),
        operator_fee_constant: number(&value["operator_fee_constant"]).to(),
        da_footprint_gas_scalar: number(&value["da_footprint_gas_scalar"]).to(),
        first_ecotone_block: fork == Hardfork::Ecotone && old,
    }
}

fn check_l1_cost(case: &Value) {
    let fork = fork(&case["fork"]);
    let tx: Bytes = parse(&case["tx"]);
    if tx.first() == Some(&DEPOSIT_TX_TYPE) {
        // Deposits never get as far as a price: they were paid for on L1.
        assert_eq!(number(&case["l1_fee"]), U256::ZERO, "{case}");
        return;
    }
    let params = params(fork, &case["params"]);
    let size = DataSize::of(&tx, fork);
    assert_eq!(params.l1_cost(&size), number(&case["l1_fee"]), "{case}");
    if let Some(gas) = optional(case, "l1_gas_used") {
        assert_eq!(params.l1_gas(&size), number(gas), "{case}");
    }
}

fn check_base_fee(case: &Value) {
    let fork = fork(&case["fork"]);
    let extra_data = match optional(case, "min_base_fee") {
        Some(minimum) => Some(write_extra_data(
            ExtraData {
                denominator: uint(&case["denominator"]) as u32,
                elasticity: uint(&case["elasticity"]) as u32,
                min_base_fee: 0,
            }
            .eip1559_params(),
            Some(uint(minimum)),
        )),
        None => optional(case, "parent_extra_data").map(parse::<Bytes>),
    };
    // A parent without parameters in its extra data is of an earlier fork than Holocene.
    let time = |row: Hardfork| match row <= fork {
        true if row >= Hardfork::Holocene && extra_data.is_none() => Some(2),
        active => active.then_some(0),
    };
    let rollup = json!({
        "eip1559_elasticity": case["elasticity"],
        "eip1559_denominator": case["denominator"],
        "eip1559_denominator_canyon": case["denominator"],
    });
    let parent = Header {
        base_fee_per_gas: Some(uint(&case["parent_base_fee"])),
        gas_limit: uint(&case["parent_gas_limit"]),
        gas_used: uint(&case["parent_gas_used"]),
        blob_gas_used: Some(optional(case, "parent_blob_gas_used").map_or(0, uint)),
        extra_data: extra_data.clone().unwrap_or_default(),
        ..Default::default()
    };
    let fee = next_base_fee(&op_spec(1, &rollup, time), &parent, 2);
    assert_eq!(fee, uint(&case["base_fee"]), "{case}");
}

fn check_blob_base_fee(file: &VectorFile, case: &Value) {
    let excess = uint(&case["excess_blob_gas"]);
    let name = text(&case["fork"]);
    // A chain without a table of its own follows the headers; the forks that change nothing but
    // blob parameters are known by Ethereum's times.
    let (chain, time) = match name {
        "cancun" | "prague" | "osaka" => (900, 0),
        "bpo1" => (1, 1_765_290_071),
        "bpo2" => (1, 1_767_747_671),
        _ => file.not_understood(case),
    };
    let header = Header {
        excess_blob_gas: Some(excess),
        requests_hash: (name != "cancun").then_some(B256::ZERO),
        timestamp: time,
        ..Header::default()
    };
    assert_eq!(blob_base_fee(chain, &header), Some(number(&case["blob_base_fee"])), "{case}");
    if chain == 1 {
        return;
    }
    let mut config = json!({"chainId": 1});
    for (fork, key) in [
        ("shanghai", "shanghaiTime"),
        ("cancun", "cancunTime"),
        ("prague", "pragueTime"),
        ("osaka", "osakaTime"),
    ] {
        config[key] = 0.into();
        if fork == name {
            break;
        }
    }
    let fee = spec(config).blob_params(0).unwrap().calc_blob_fee(excess);
    assert_eq!(U256::from(fee), number(&case["blob_base_fee"]), "{case}");
}

/// EIP-1559 parameters in payload attributes, and in an update of the system configuration, which
/// has the same rule.
fn check_params(case: &Value) {
    let params: Bytes = parse(&case["v"]);
    let valid = params.len() == 8 && {
        let holocene = op_spec(1, &json!({}), |fork| (fork <= Hardfork::Holocene).then_some(0));
        let attributes = PayloadAttributes {
            timestamp: 2,
            withdrawals: Some(Vec::new()),
            parent_beacon_block_root: Some(B256::ZERO),
            gas_limit: Some(30_000_000),
            eip1559_params: Some(B64::from_slice(&params)),
            ..PayloadAttributes::default()
        };
        let taken = BlockInput::from_attributes(&holocene, &Header::default(), &attributes).is_ok();

        let mut data = vec![0; 96];
        (data[31], data[63]) = (32, 32);
        data[88..].copy_from_slice(&params);
        let topics = vec![CONFIG_UPDATE, B256::ZERO, B256::with_last_byte(4)];
        let log = Log::new_unchecked(Address::ZERO, topics, data.into());
        assert_eq!(SystemConfig::default().apply_log(&log, true).is_ok(), taken, "{case}");
        taken
    };
    assert_eq!(valid, case["valid"], "{case}");
}

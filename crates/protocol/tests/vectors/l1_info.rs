//! L1 attributes: calldata of every form, and the deposits of real blocks.

use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use opal_protocol::deposit::DepositSource;
use opal_protocol::l1_info::{L1BlockInfo, L1InfoForm};
use opal_protocol::{Hardfork, TxEnvelope};
use opal_tests::vectors::{Outcome, VectorFile, list, optional, parse, text};
use serde_json::Value;

use crate::fork;

const FORMS: [L1InfoForm; 4] =
    [L1InfoForm::Bedrock, L1InfoForm::Ecotone, L1InfoForm::Isthmus, L1InfoForm::Jovian];

pub fn check(file: &VectorFile) -> Outcome {
    let json = file.json();
    file.expect_lists(&json, &["cases", "invalid"]);
    for case in list(&json["cases"]) {
        check_case(file, case);
    }
    for case in list(&json["invalid"]) {
        assert!(L1BlockInfo::decode(&parse::<Bytes>(&case["calldata"])).is_err(), "{case}");
    }
    for (name, selector) in json["selectors"].as_object().into_iter().flatten() {
        let known =
            FORMS.iter().any(|form| hex::encode_prefixed(form.selector()) == text(selector));
        assert!(known, "{}: selector of {name}", file.place());
    }
    Outcome::Checked(list(&json["cases"]).len() + list(&json["invalid"]).len())
}

fn check_case(file: &VectorFile, case: &Value) {
    let deposit = optional(case, "deposit_tx").map(|raw| {
        let raw: Bytes = parse(raw);
        let tx = TxEnvelope::decode_2718_exact(&raw).unwrap();
        assert_eq!(tx.encoded_2718(), raw);
        if let Some(hash) = optional(case, "tx_hash") {
            assert_eq!(tx.tx_hash(), parse::<B256>(hash));
        }
        let TxEnvelope::Deposit(deposit) = tx else { panic!("{}: no deposit", file.place()) };
        deposit.into_inner()
    });
    let calldata: Bytes = match (optional(case, "calldata"), &deposit) {
        (Some(calldata), _) => parse(calldata),
        (None, Some(deposit)) => deposit.input.clone(),
        _ => file.not_understood(case),
    };
    let what = format!("{}{}", case["name"], case["block"]);
    let info = L1BlockInfo::decode(&calldata).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(info.encode(), calldata, "{what}");
    check_fields(file, &info, &case["fields"]);
    if let Some(deposit) = deposit {
        let source = DepositSource::L1Info {
            l1_block_hash: info.block_hash,
            sequence_number: info.sequence_number,
        };
        // Some samples were put together by hand and say so by naming no block.
        let real =
            optional(case, "block").is_some() || case["source_hash_check"]["verified"] == true;
        assert!(!real || source.hash() == deposit.source_hash, "{what}");
    }
    if let Some(name) = optional(case, "fork") {
        check_form(fork(name), info.form, &what);
    }
}

/// A block has the form of its fork, but for a fork's first block, which has the one before.
fn check_form(fork: Hardfork, form: L1InfoForm, what: &str) {
    let latest = |fork: Hardfork| match fork {
        _ if fork >= Hardfork::Jovian => L1InfoForm::Jovian,
        _ if fork >= Hardfork::Isthmus => L1InfoForm::Isthmus,
        _ if fork >= Hardfork::Ecotone => L1InfoForm::Ecotone,
        _ => L1InfoForm::Bedrock,
    };
    let before = opal_protocol::hardfork::TABLE[(fork as usize).saturating_sub(1)].fork;
    assert!(form == latest(fork) || form == latest(before), "{what}: {form:?} at {fork}");
}

fn check_fields(file: &VectorFile, info: &L1BlockInfo, fields: &Value) {
    for (field, value) in fields.as_object().into_iter().flatten() {
        let found = match field.as_str() {
            "kind" => {
                assert_eq!(text(value), format!("{:?}", info.form).to_lowercase());
                continue;
            }
            "block_hash" => {
                assert_eq!(info.block_hash, parse::<B256>(value));
                continue;
            }
            "batcher" => {
                assert_eq!(info.batcher_address, parse::<Address>(value));
                continue;
            }
            "number" => U256::from(info.number),
            "time" => U256::from(info.timestamp),
            "base_fee" => info.base_fee,
            "blob_base_fee" => info.blob_base_fee,
            "sequence_number" => U256::from(info.sequence_number),
            "l1_fee_overhead" => info.l1_fee_overhead,
            "l1_fee_scalar" => info.l1_fee_scalar,
            "base_fee_scalar" => U256::from(info.base_fee_scalar),
            "blob_base_fee_scalar" => U256::from(info.blob_base_fee_scalar),
            "operator_fee_scalar" => U256::from(info.operator_fee_scalar),
            "operator_fee_constant" => U256::from(info.operator_fee_constant),
            "da_footprint_gas_scalar" => U256::from(info.da_footprint_gas_scalar),
            _ => file.not_understood(fields),
        };
        assert_eq!(found, parse::<U256>(value), "{}: {field}", file.place());
    }
}

//! Deposit logs, source hashes and deposit transactions.

use alloy_consensus::Transaction as _;
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use opal_protocol::deposit::{DepositSource, decode_deposit_log, encode_deposit_log};
use opal_protocol::{DepositTransaction, TxEnvelope};
use opal_tests::vectors::{Outcome, VectorFile, list, optional, parse, text, uint};
use serde_json::Value;

use crate::log;

fn raw_tx(deposit: DepositTransaction) -> Vec<u8> {
    TxEnvelope::from(deposit).encoded_2718()
}

pub fn check_deposits(file: &VectorFile) -> Outcome {
    let json = file.json();
    file.expect_lists(&json, &["cases", "deposits", "logs", "l1_info", "upgrade"]);
    let logs: Vec<&Value> =
        ["cases", "deposits", "logs"].iter().flat_map(|key| list(&json[*key])).collect();
    for case in &logs {
        check_log(file, case, &json);
    }
    for case in list(&json["l1_info"]) {
        let source = DepositSource::L1Info {
            l1_block_hash: parse(&case["l1_block_hash"]),
            sequence_number: uint(&case["sequence_number"]),
        };
        assert_eq!(source.hash(), parse::<B256>(&case["expect"]), "{case}");
    }
    for case in list(&json["upgrade"]) {
        let source = DepositSource::Upgrade { intent: text(&case["intent"]) };
        assert_eq!(source.hash(), parse::<B256>(&case["source_hash"]), "{case}");
    }
    Outcome::Checked(logs.len() + list(&json["l1_info"]).len() + list(&json["upgrade"]).len())
}

/// A log with the block it stands in (or the whole file's), and the deposit it must give.
fn check_log(file: &VectorFile, case: &Value, json: &Value) {
    let Some(block) = optional(case, "l1_block_hash").or_else(|| optional(json, "l1_block_hash"))
    else {
        file.not_understood(case)
    };
    let log = log(case);
    let what = format!("{} {}", case["name"], case["log_index"]);
    let result = decode_deposit_log(&log, parse(block), uint(&case["log_index"]));
    let expected = optional(case, "expect_tx").or_else(|| optional(case, "expected_deposit_tx"));
    let Some(expected) = expected else {
        if optional(case, "expect_error").is_none() {
            file.not_understood(case);
        }
        assert!(result.is_err(), "{what}");
        return;
    };
    let deposit = result.unwrap_or_else(|error| panic!("{what}: {error}"));
    // Of what we write we read the same.
    let again = encode_deposit_log(log.address, &deposit);
    let again = decode_deposit_log(&again, parse(block), uint(&case["log_index"])).unwrap();
    assert_eq!(again, deposit, "{what}");
    let raw = raw_tx(deposit);
    assert_eq!(raw, parse::<Bytes>(expected), "{what}");
    if let Some(hash) = optional(case, "expected_hash") {
        assert_eq!(keccak256(&raw), parse::<B256>(hash), "{what}");
    }
}

/// Transactions of any type: hash, encoding, and the fields that are listed.
pub fn check_transactions(file: &VectorFile) -> Outcome {
    let json = file.json();
    file.expect_lists(&json, &["cases"]);
    for case in list(&json["cases"]) {
        let raw: Bytes = parse(&case["raw"]);
        if optional(case, "error").or_else(|| optional(case, "expect_error")).is_some() {
            assert!(TxEnvelope::decode_2718_exact(&raw).is_err(), "{}", case["name"]);
            continue;
        }
        let tx = TxEnvelope::decode_2718_exact(&raw).unwrap();
        assert_eq!(tx.encoded_2718(), raw);
        assert_eq!(tx.tx_hash(), parse::<B256>(&case["hash"]));
        check_fields(file, &tx, &case["fields"]);
    }
    Outcome::Checked(list(&json["cases"]).len())
}

fn check_fields(file: &VectorFile, tx: &TxEnvelope, fields: &Value) {
    let deposit = match tx {
        TxEnvelope::Deposit(deposit) => Some(deposit.inner()),
        _ => None,
    };
    for (field, value) in fields.as_object().into_iter().flatten() {
        match field.as_str() {
            "source_hash" => assert_eq!(deposit.unwrap().source_hash, parse::<B256>(value)),
            "from" => assert_eq!(tx.recover().unwrap(), parse::<Address>(value)),
            "to" if value.is_null() => assert_eq!(tx.kind(), TxKind::Create),
            "to" => assert_eq!(tx.to(), Some(parse(value))),
            "mint" => {
                let mint = if value.is_null() { U256::ZERO } else { parse(value) };
                assert_eq!(U256::from(deposit.unwrap().mint), mint);
            }
            "value" => assert_eq!(tx.value(), parse::<U256>(value)),
            "gas" => assert_eq!(tx.gas_limit(), uint(value)),
            "nonce" => assert_eq!(tx.nonce(), uint(value)),
            "is_system_tx" => assert_eq!(deposit.unwrap().is_system_transaction, *value),
            "data" => assert_eq!(*tx.input(), parse::<Bytes>(value)),
            _ => file.not_understood(fields),
        }
    }
}

//! Withdrawals of other projects and of real chains. How the files are found, and what fails: see
//! `opal_tests::vectors`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::process::ExitCode;

use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use alloy_sol_types::SolCall;
use opal_dispute::withdrawals::Withdrawal;
use opal_protocol::contracts::ICrossDomainMessenger::relayMessageCall;
use opal_tests::vectors::{Outcome, VectorFile, Vectors, list, optional, parse};
use serde_json::Value;

fn main() -> ExitCode {
    let mut vectors = Vectors::from_env();
    vectors.folder("withdrawals", check);
    vectors.all_read(&["withdrawals"], &[]);
    vectors.run()
}

fn check(file: &VectorFile) -> Outcome {
    let json = file.json();
    if let Some(receipt) = optional(&json, "receipt") {
        check_receipt(receipt, &json["expected"]);
        return Outcome::Checked(1);
    }
    file.expect_lists(&json, &["withdrawals", "cross_domain_messages"]);
    let withdrawals = list(&json["withdrawals"]);
    for case in withdrawals {
        check_withdrawal(case);
    }
    let messages = list(&json["cross_domain_messages"]);
    let hashed = messages.iter().filter(|case| check_message(case)).count();
    Outcome::Checked(withdrawals.len() + hashed)
}

fn check_withdrawal(case: &Value) {
    let withdrawal = Withdrawal {
        nonce: parse(&case["nonce"]),
        sender: parse(&case["sender"]),
        target: parse(&case["target"]),
        value: parse(&case["value"]),
        gas_limit: parse(&case["gas_limit"]),
        data: parse(&case["data"]),
    };
    assert_eq!(withdrawal.hash(), parse::<B256>(&case["hash"]), "{case}");
    assert_eq!(withdrawal.slot(), parse::<B256>(&case["sent_messages_slot"]), "{case}");
}

/// A message of the messengers, carried by a withdrawal. Those of before Bedrock (version 0) are
/// none that a withdrawal carries now: false.
fn check_message(case: &Value) -> bool {
    let message = relayMessageCall {
        _nonce: parse(&case["nonce"]),
        _sender: parse(&case["sender"]),
        _target: parse(&case["target"]),
        _value: parse(&case["value"]),
        _minGasLimit: parse(&case["gas_limit"]),
        _message: parse(&case["data"]),
    };
    let carrier = |data: Bytes| Withdrawal {
        nonce: U256::ZERO,
        sender: message._sender,
        target: message._target,
        value: message._value,
        gas_limit: U256::ZERO,
        data,
    };
    if let Some(encoded) = optional(case, "encoded") {
        assert_eq!(carrier(parse(encoded)).message_hash(), None, "{case}");
        return false;
    }
    let hash = carrier(message.abi_encode().into()).message_hash();
    assert_eq!(hash, Some(parse::<B256>(&case["hash"])), "{case}");
    true
}

/// The receipt of a withdrawal by the bridge.
fn check_receipt(receipt: &Value, expected: &Value) {
    let logs: Vec<Log> = list(&receipt["logs"])
        .iter()
        .map(|log| {
            let topics = list(&log["topics"]).iter().map(parse).collect();
            Log::new_unchecked(parse(&log["address"]), topics, parse::<Bytes>(&log["data"]))
        })
        .collect();
    let [withdrawal] = &Withdrawal::in_logs(&logs).unwrap()[..] else { panic!("one withdrawal") };
    assert_eq!(withdrawal.hash(), parse::<B256>(&expected["withdrawal_hash"]));
    assert_eq!(withdrawal.nonce, parse::<U256>(&expected["nonce"]));
    assert_eq!(withdrawal.sender, parse::<Address>(&expected["sender"]));
    assert_eq!(withdrawal.target, parse::<Address>(&expected["target"]));
    assert_eq!(withdrawal.value, parse::<U256>(&expected["value"]));
    assert_eq!(withdrawal.gas_limit, parse::<U256>(&expected["gas_limit"]));
    assert_eq!(withdrawal.message_hash(), Some(keccak256(&withdrawal.data)));
}

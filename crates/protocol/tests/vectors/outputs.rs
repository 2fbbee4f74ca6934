//! Output roots, super roots, and a proof of the account that an output commits to.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::RlpEncodable;
use alloy_trie::Nibbles;
use alloy_trie::proof::verify_proof;
use opal_protocol::OutputV0;
use opal_protocol::output::SuperRoot;
use opal_tests::vectors::{Outcome, VectorFile, list, optional, parse, text, uint};
use serde_json::Value;

pub fn check(file: &VectorFile) -> Outcome {
    let json = file.json();
    file.expect_lists(&json, &["cases", "invalid"]);
    for case in list(&json["cases"]) {
        if optional(case, "output_root").is_some() {
            check_output(case);
        } else if optional(case, "chains").is_some() {
            check_super_root(case);
        } else {
            file.not_understood(case);
        }
    }
    for case in list(&json["invalid"]) {
        let encoded: Bytes = parse(&case["encoded"]);
        assert!(SuperRoot::decode(&encoded).is_err(), "{case}");
    }
    let mut checked = list(&json["cases"]).len() + list(&json["invalid"]).len();
    if let Some(case) = optional(&json, "proof_case") {
        check_account_proof(case);
        checked += 1;
    }
    Outcome::Checked(checked)
}

fn check_output(case: &Value) {
    let output = OutputV0 {
        state_root: parse(&case["state_root"]),
        withdrawals_storage_root: parse(&case["message_passer_storage_root"]),
        block_hash: parse(&case["block_hash"]),
    };
    assert_eq!(output.root(), parse::<B256>(&case["output_root"]), "{case}");
    assert_eq!(OutputV0::decode(&output.encode()), Ok(output), "{case}");
}

fn check_super_root(case: &Value) {
    let outputs = list(&case["chains"]).iter().map(|chain| (parse(&chain[0]), parse(&chain[1])));
    let super_root = SuperRoot::new(uint(&case["timestamp"]), outputs.collect());
    let encoded: Bytes = parse(&case["encoded"]);
    assert_eq!(super_root.encode(), encoded, "{case}");
    assert_eq!(super_root.root(), parse::<B256>(&case["hash"]), "{case}");
    assert_eq!(SuperRoot::decode(&encoded), Ok(super_root), "{case}");
}

#[derive(RlpEncodable)]
struct Account {
    nonce: u64,
    balance: U256,
    storage_root: B256,
    code_hash: B256,
}

/// A header and the answer of `eth_getProof` in its state.
fn check_account_proof(case: &Value) {
    let header: Header = serde_json::from_value(case["header"].clone()).unwrap();
    assert_eq!(header.hash_slow(), parse::<B256>(&case["header"]["hash"]));
    let answer = &case["eth_getProof"];
    let account = Account {
        nonce: uint(&answer["nonce"]),
        balance: parse(&answer["balance"]),
        storage_root: parse(&answer["storageHash"]),
        code_hash: parse(&answer["codeHash"]),
    };
    let proof: Vec<Bytes> = list(&answer["accountProof"]).iter().map(parse).collect();
    let key = keccak256(parse::<Address>(&answer["address"]));
    let leaf = alloy_rlp::encode(account);
    verify_proof(header.state_root, Nibbles::unpack(key), Some(leaf), &proof)
        .unwrap_or_else(|error| panic!("{}: {error}", text(&answer["address"])));
}

//! Receipts, their root, and output roots.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bloom, Bytes, U256, keccak256};
use alloy_rlp::{Decodable, RlpEncodable};
use alloy_trie::proof::verify_proof;
use alloy_trie::{Nibbles, root::ordered_trie_root_with_encoder};
use opal_protocol::output::output_root_v0;
use opal_protocol::{Receipt, TxType};
use opal_tests::vectors::{Outcome, VectorFile, list, optional, parse, text, uint};
use serde_json::Value;

use crate::log;

fn receipt(value: &Value) -> Receipt {
    Receipt {
        tx_type: TxType::try_from(uint(&value["type"]) as u8).unwrap(),
        success: value["status"].as_bool().unwrap_or_else(|| uint(&value["status"]) == 1),
        cumulative_gas_used: uint(&value["cumulative_gas_used"]),
        logs: list(&value["logs"]).iter().map(log).collect(),
        deposit_nonce: optional(value, "deposit_nonce").map(uint),
        deposit_receipt_version: optional(value, "deposit_receipt_version").map(uint),
    }
}

pub fn check_receipts(file: &VectorFile) -> Outcome {
    let json = file.json();
    file.expect_lists(&json, &["cases", "receipts"]);
    for case in list(&json["cases"]) {
        check_encoding(case);
    }
    let receipts: Vec<Receipt> = list(&json["receipts"]).iter().map(receipt).collect();
    if !receipts.is_empty() {
        check_roots(file, &receipts, &json["expected"]);
    }
    Outcome::Checked(list(&json["cases"]).len() + receipts.len())
}

/// The network form wraps a typed receipt in an RLP string.
fn check_encoding(case: &Value) {
    let fields = &case["fields"];
    let mut ours = Vec::new();
    receipt(fields).encode_2718(&mut ours);
    let network: Bytes = parse(&case["network_rlp"]);
    let mut theirs = network.as_ref();
    if uint(&fields["type"]) != 0 {
        theirs = alloy_rlp::Header::decode_bytes(&mut theirs, false).unwrap();
    }
    if optional(fields, "bloom").is_none() {
        assert_eq!(ours, theirs, "{}", case["name"]);
        return;
    }
    // The vector's bloom is not that of its logs; all else must be the same.
    let (our_bloom, their_bloom) = (bloom_at(&ours), bloom_at(theirs));
    assert_eq!(our_bloom, their_bloom, "{}", case["name"]);
    ours[our_bloom.clone()].copy_from_slice(&theirs[their_bloom]);
    assert_eq!(ours, theirs, "{}", case["name"]);
}

/// Where the bloom filter stands in a consensus receipt.
fn bloom_at(receipt: &[u8]) -> std::ops::Range<usize> {
    let mut rest = if receipt[0] < 0x80 { &receipt[1..] } else { receipt };
    rest = alloy_rlp::Header::decode_bytes(&mut rest, true).unwrap();
    bool::decode(&mut rest).unwrap();
    u64::decode(&mut rest).unwrap();
    Bloom::decode(&mut rest).unwrap();
    let end = receipt.len() - rest.len();
    end - Bloom::len_bytes()..end
}

/// Between Regolith and Canyon the root leaves the deposit nonce out.
fn check_roots(file: &VectorFile, receipts: &[Receipt], expected: &Value) {
    let root = |receipts: &[Receipt]| {
        ordered_trie_root_with_encoder(receipts, |receipt, out| receipt.encode_2718(out))
    };
    let Some(roots) = expected.as_object() else { file.not_understood(expected) };
    for (rule, listed) in roots {
        let ours = match rule.as_str() {
            "regolith_root" | "bedrock_root" => {
                root(&receipts.iter().map(Receipt::for_receipts_root).collect::<Vec<_>>())
            }
            rule if rule.starts_with("canyon_root") => root(receipts),
            _ => file.not_understood(expected),
        };
        assert_eq!(ours, parse::<B256>(listed), "{rule}");
    }
}

pub fn check_outputs(file: &VectorFile) -> Outcome {
    let json = file.json();
    file.expect_lists(&json, &["cases", "invalid"]);
    let mut checked = 0;
    for case in list(&json["cases"]) {
        let Some(output) = optional(case, "output_root") else {
            if optional(case, "chains").is_none() {
                file.not_understood(case);
            }
            continue;
        };
        let root = output_root_v0(
            parse(&case["state_root"]),
            parse(&case["message_passer_storage_root"]),
            parse(&case["block_hash"]),
        );
        assert_eq!(root, parse::<B256>(output), "{case}");
        checked += 1;
    }
    if let Some(case) = optional(&json, "proof_case") {
        check_account_proof(case);
        checked += 1;
    }
    if checked == 0 && !list(&json["cases"]).is_empty() {
        return Outcome::Ignored("super roots come with interop".into());
    }
    Outcome::Checked(checked)
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

//! Receipts and their root.

use alloy_primitives::{B256, Bloom, Bytes};
use alloy_rlp::Decodable;
use alloy_trie::root::ordered_trie_root_with_encoder;
use opal_protocol::{Receipt, TxType};
use opal_tests::vectors::{Outcome, VectorFile, list, optional, parse, uint};
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

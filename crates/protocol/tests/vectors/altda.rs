//! Alt-DA commitments.

use alloy_primitives::Bytes;
use opal_protocol::altda::Commitment;
use opal_tests::vectors::{Outcome, VectorFile, list, optional, parse, text, uint};

pub fn check(file: &VectorFile) -> Outcome {
    let json = file.json();
    file.expect_lists(&json, &["valid", "invalid"]);
    let (valid, invalid) = (list(&json["valid"]), list(&json["invalid"]));
    for (case, is_valid) in
        valid.iter().map(|case| (case, true)).chain(invalid.iter().map(|case| (case, false)))
    {
        let raw: Bytes = parse(&case["commitment"]);
        let decoded = Commitment::decode(&raw);
        // What is said of an input: whether the commitment is to it.
        let input = optional(case, "input_ascii").map(text);
        let Ok(commitment) = decoded else {
            assert!(!is_valid && input.is_none(), "{case}: {decoded:?}");
            continue;
        };
        assert!(is_valid || input.is_some(), "{case}: decoded");
        assert_eq!(commitment.encode(), raw);
        if let Some(kind) = optional(case, "type") {
            assert_eq!(uint(kind), u64::from(raw[0]));
        }
        if let Some(data) = optional(case, "tx_data") {
            assert_eq!(commitment.batcher_data(), parse::<Bytes>(data));
        }
        if let Some(input) = input {
            let expected = optional(case, "verify").map_or(is_valid, |v| v.as_bool().unwrap());
            assert_eq!(commitment.matches(input.as_bytes()), Some(expected), "{case}");
        }
    }
    Outcome::Checked(valid.len() + invalid.len())
}

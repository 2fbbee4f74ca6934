//! What an L1 answers, good and bad. How the files are found, and what fails: see
//! `opal_tests::vectors`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::process::ExitCode;

use alloy_primitives::B256;
use opal_da::{verify_l1_block, verify_l1_header};
use opal_tests::vectors::{Outcome, VectorFile, Vectors, list, optional, parse, text};
use serde_json::Value;

fn main() -> ExitCode {
    let mut vectors = Vectors::from_env();
    vectors.folder("rpc", check_rpc);
    vectors.run()
}

fn check_rpc(file: &VectorFile) -> Outcome {
    let json = file.json();
    let cases = list(&json["cases"]);
    if cases.is_empty() || cases.iter().any(|case| optional(case, "kind").is_none()) {
        return Outcome::Ignored("no answers of an L1 that are good or bad".to_owned());
    }
    for case in cases {
        let name = &case["name"];
        let data = case["data"].to_string();
        let found = match text(&case["kind"]) {
            "blocks" => verify_l1_block(&data).map(|block| block.hash),
            "headers" => verify_l1_header(&data).map(|reference| reference.hash),
            _ => file.not_understood(case),
        };
        if case["metadata"]["fail"] == Value::Bool(true) {
            assert!(found.is_err(), "{name} must be rejected: {}", case["metadata"]["reason"]);
        } else {
            let found = found.unwrap_or_else(|error| panic!("{name} must be accepted: {error}"));
            assert_eq!(found, parse::<B256>(&case["data"]["hash"]), "{name}");
        }
    }
    Outcome::Checked(cases.len())
}

//! Payload ids of the reference client, and transactions and receipts as other nodes show them. How
//! the files are found, and what fails: see `opal_tests::vectors`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod sample;

use std::process::ExitCode;

use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, keccak256};
use opal_execution::engine_api::{Envelope, ExecutionPayload, Expected, requests_hash};
use opal_execution::{PayloadAttributes, PayloadId, payload_id};
use opal_protocol::TxEnvelope;
use opal_tests::vectors::{Outcome, VectorFile, Vectors, engine_json, list, optional, parse};
use serde::Deserialize;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let mut vectors = Vectors::from_env();
    vectors.folder("engine", check_engine);
    vectors.folder("rpc", check_rpc);
    vectors.run()
}

fn check_engine(file: &VectorFile) -> Outcome {
    let json = file.json();
    if optional(&json, "flashblocks").is_some() {
        return check_flashblocks(list(&json["flashblocks"]), &json["expected"]);
    }
    if optional(&json, "payloads").is_some() {
        let payloads = list(&json["payloads"]);
        payloads.iter().for_each(check_payload);
        let faulty: Vec<&Value> = json["faulty"].as_array().into_iter().flatten().collect();
        check_faulty(&faulty);
        return Outcome::Checked(payloads.len() + faulty.len());
    }
    file.expect_lists(&json, &["cases"]);
    for case in list(&json["cases"]) {
        let Some(attributes) = optional(case, "attributes") else { file.not_understood(case) };
        check_attributes(case, &engine_json(attributes));
    }
    Outcome::Checked(list(&json["cases"]).len())
}

/// A payload, or an answer with one, read and written again.
fn check_payload(case: &Value) {
    let json = &case["json"];
    let again = if json.get("executionPayload").is_some() {
        serde_json::to_value(Envelope::deserialize(json).unwrap()).unwrap()
    } else {
        serde_json::to_value(ExecutionPayload::deserialize(json).unwrap()).unwrap()
    };
    assert_eq!(&again, json, "{}", case["name"]);
}

/// A payload, as text, that is one of no version: refused by each version of the method on each fork.
fn check_faulty(cases: &[&Value]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for module in sample::engines() {
        for case in cases {
            let json: Value = serde_json::from_str(case["json"].as_str().unwrap()).unwrap();
            for (method, params) in [
                ("engine_newPayloadV1", json!([json])),
                ("engine_newPayloadV2", json!([json])),
                ("engine_newPayloadV3", json!([json, [], B256::ZERO])),
                ("engine_newPayloadV4", json!([json, [], B256::ZERO, []])),
            ] {
                let answer = runtime.block_on(sample::answer(&module, method, &params));
                assert!(
                    answer["error"]["code"].is_number(),
                    "{}: {method}: {answer}",
                    case["name"]
                );
            }
        }
    }
}

/// Each flashblock, with the transactions of those before it, is a payload of the hash it says, and
/// the last one is the block.
fn check_flashblocks(blocks: &[Value], whole: &Value) -> Outcome {
    let mut payload = serde_json::Map::new();
    let mut last = None;
    let mut transactions = Vec::new();
    let camel = |key: &str| {
        let mut parts = key.split('_').map(str::to_owned);
        let first = parts.next().unwrap_or_default();
        parts.fold(first, |name, part| name + &part[..1].to_uppercase() + &part[1..])
    };
    for block in blocks {
        for part in ["base", "diff"] {
            for (key, value) in block[part].as_object().into_iter().flatten() {
                payload.insert(camel(key), value.clone());
            }
        }
        transactions.extend(list(&block["diff"]["transactions"]).iter().cloned());
        payload.insert("transactions".to_owned(), transactions.clone().into());
        // Before Jovian nobody says that there is no blob gas.
        for key in ["blobGasUsed", "excessBlobGas"] {
            payload.entry(key).or_insert_with(|| "0x0".into());
        }
        let expected = Expected {
            withdrawals_root_given: true,
            parent_beacon_block_root: Some(parse(&payload["parentBeaconBlockRoot"])),
            requests_hash: Some(requests_hash(&[]).unwrap()),
        };
        let read = ExecutionPayload::deserialize(&Value::Object(payload.clone())).unwrap();
        last = Some(read.into_block(&expected).unwrap());
    }
    if let (Some(last), Some(hash)) = (last, optional(whole, "block_hash")) {
        assert_eq!(last.hash, parse::<B256>(hash));
    }
    Outcome::Checked(blocks.len())
}

/// Attributes read and written again, and the id of the job they start, where the vector has it.
fn check_attributes(case: &Value, json: &Value) {
    let attributes: PayloadAttributes = serde_json::from_value(json.clone()).unwrap();
    let again = serde_json::to_value(&attributes).unwrap();
    for (key, value) in json.as_object().unwrap() {
        assert_eq!(&again[key], value, "{}: {key}", case["name"]);
    }
    if let Some(id) = optional(case, "payload_id") {
        let parent: B256 = parse(&case["parent_hash"]);
        assert_eq!(payload_id(parent, &attributes), parse::<PayloadId>(id), "{}", case["name"]);
    }
}

fn check_rpc(file: &VectorFile) -> Outcome {
    let json = file.json();
    let l1 = list(&json["cases"]).iter().all(|case| optional(case, "kind").is_some());
    if (l1 && json["cases"].is_array()) || json["genesis"].is_object() {
        return Outcome::Ignored("what an L1 answers concerns the L1 reader".to_owned());
    }
    file.expect_lists(&json, &["transactions", "receipts"]);
    let ours = sample::objects();
    let transactions = list(&json["transactions"]);
    for object in transactions {
        // Its fields are those of the hash that it states.
        let tx: TxEnvelope = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(keccak256(tx.encoded_2718()), parse::<B256>(&object["hash"]), "{object}");
        check_shape(object, &ours.transactions);
    }
    let receipts = list(&json["receipts"]);
    for object in receipts {
        check_shape(object, &ours.receipts);
    }
    Outcome::Checked(transactions.len() + receipts.len())
}

/// Each field of theirs is one of ours in some object of the kind, and of the same form in one of
/// the same type.
fn check_shape(theirs: &Value, ours: &[Value]) {
    let same_type: Vec<&Value> = ours.iter().filter(|o| o["type"] == theirs["type"]).collect();
    assert!(!same_type.is_empty(), "no transaction of type {} is shown", theirs["type"]);
    for (key, value) in theirs.as_object().unwrap() {
        // Some nodes show parity beside a deposit's empty signature.
        if key == "yParity" && theirs["type"] == "0x7e" {
            continue;
        }
        let shown = |objects: &[&Value]| {
            objects.iter().any(|o| o.get(key).is_some_and(|own| form(own) == form(value)))
        };
        // Some nodes show what a deposit would have paid.
        let all: Vec<&Value> = ours.iter().collect();
        assert!(shown(&same_type) || (theirs["type"] == "0x7e" && shown(&all)), "{key}: {value}");
    }
}

/// What kind of JSON a value is. What may be absent is null at times.
fn form(value: &Value) -> &'static str {
    match value {
        Value::String(text) if text.starts_with("0x") => "hex",
        // A recipient or a contract that there is not.
        Value::Null => "hex",
        Value::String(_) => "text",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

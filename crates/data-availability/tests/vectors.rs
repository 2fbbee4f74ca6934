//! What an L1 answers, good and bad. How the files are found, and what fails: see
//! `opal_tests::vectors`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::process::ExitCode;

use alloy_eips::eip4844::kzg_to_versioned_hash;
use alloy_primitives::{B256, Bytes};
use axum::routing::get;
use axum::{Json, Router};
use opal_da::{BeaconClient, DaError, SlotRule, verify_l1_block, verify_l1_header};
use opal_protocol::L1BlockRef;
use opal_tests::vectors::{Outcome, VectorFile, Vectors, list, optional, parse, text};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let mut vectors = Vectors::from_env();
    vectors.folder("blobs", check_sidecars);
    vectors.folder("rpc", check_rpc);
    vectors.run()
}

fn check_rpc(file: &VectorFile) -> Outcome {
    let json = file.json();
    if json["genesis"].is_object() {
        check_beacon(&json);
        return Outcome::Checked(1);
    }
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

/// The client finds a slot as a beacon node's genesis and configuration tell it to.
fn check_beacon(json: &Value) {
    let number = |value: &Value| text(value).parse::<u64>().unwrap();
    let genesis_time = number(&json["genesis"]["data"]["genesis_time"]);
    let seconds_per_slot = number(&json["spec"]["data"]["SECONDS_PER_SLOT"]);
    let router = node(json["genesis"].clone(), json["spec"].clone());
    let rule = runtime().block_on(async { connect(router).await.slot_rule() });
    assert_eq!(rule, SlotRule::Time { genesis_time, seconds_per_slot });
    let timestamp = genesis_time + 7 * seconds_per_slot;
    assert_eq!(rule.slot(&block(timestamp)), Some(7));
    assert_eq!(rule.slot(&block(genesis_time - 1)), None);
}

/// A beacon node's answer with the sidecars of a slot: each blob is found by its versioned hash, in
/// the order asked for, and one byte that differs is no blob any more.
fn check_sidecars(file: &VectorFile) -> Outcome {
    let json = file.json();
    if json["data"][0]["kzg_commitment"].is_null() {
        return Outcome::Ignored("no answer of a beacon node".to_owned());
    }
    let sidecars = list(&json["data"]);
    let mut wanted: Vec<(B256, Bytes)> = sidecars
        .iter()
        .map(|sidecar| {
            let commitment: Bytes = parse(&sidecar["kzg_commitment"]);
            (kzg_to_versioned_hash(&commitment), parse(&sidecar["blob"]))
        })
        .collect();
    wanted.reverse();
    let hashes: Vec<B256> = wanted.iter().map(|(hash, _)| *hash).collect();
    let mut damaged = json.clone();
    let blob = text(&damaged["data"][0]["blob"]).to_owned();
    let flipped = if blob.ends_with('0') { '1' } else { '0' };
    damaged["data"][0]["blob"] = format!("{}{flipped}", &blob[..blob.len() - 1]).into();
    let slot = sidecars[0]["signed_block_header"]["message"]["slot"].as_str().unwrap();
    let time = 12 * slot.parse::<u64>().unwrap();
    let path = format!("/eth/v1/beacon/blob_sidecars/{slot}");
    let serve = |answer: Value| {
        let genesis = json!({"data": {"genesis_time": "0"}});
        let spec = json!({"data": {"SECONDS_PER_SLOT": "12"}});
        node(genesis, spec).route(&path, get(|| async { Json(answer) }))
    };
    runtime().block_on(async {
        let beacon = connect(serve(json.clone())).await;
        let blobs = beacon.blobs(&block(time), &hashes).await.unwrap();
        assert!(blobs.iter().map(|blob| &blob[..]).eq(wanted.iter().map(|(_, blob)| &blob[..])));
        let beacon = connect(serve(damaged)).await;
        let error = beacon.blobs(&block(time), &hashes).await.unwrap_err();
        let DaError::BlobMissing { hash, .. } = error else { panic!("{error}") };
        assert_eq!(Some(&hash), hashes.last());
    });
    Outcome::Checked(sidecars.len())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

fn node(genesis: Value, spec: Value) -> Router {
    Router::new()
        .route("/eth/v1/beacon/genesis", get(|| async { Json(genesis) }))
        .route("/eth/v1/config/spec", get(|| async { Json(spec) }))
}

async fn connect(router: Router) -> BeaconClient {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    BeaconClient::connect(&url).await.unwrap()
}

fn block(timestamp: u64) -> L1BlockRef {
    L1BlockRef { timestamp, ..L1BlockRef::default() }
}

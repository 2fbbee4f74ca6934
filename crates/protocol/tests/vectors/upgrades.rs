//! Upgrade transactions: bundles, and the deposits of the forks before there were any.

use std::collections::BTreeMap;

use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{B256, Bytes, keccak256};
use opal_protocol::deposit::DepositSource;
use opal_protocol::hardfork::{TABLE, Upgrade};
use opal_protocol::upgrades::{UpgradeBundle, qualified_intent};
use opal_protocol::{Hardfork, TxEnvelope};
use opal_tests::vectors::{Outcome, VectorFile, list, optional, parse, text, uint};
use serde_json::Value;

pub fn check(file: &VectorFile) -> Outcome {
    let json = file.json();
    file.expect_lists(&json, &["bundles", "derived"]);
    if let Some(forks) = json["forks"].as_object() {
        let checked = forks.iter().map(|(fork, deposits)| check_deposits(fork, list(deposits)));
        return Outcome::Checked(checked.sum());
    }
    if let Some(bundle) = optional(&json, "bundle") {
        return Outcome::Checked(check_bundle(file, &json, bundle));
    }
    if list(&json["bundles"]).is_empty() {
        file.not_understood(&json);
    }
    check_other_fork(&json)
}

/// The hash that every chain has for a fork's bundle.
fn pinned(fork: Hardfork) -> Option<(B256, u64)> {
    match fork.upgrade() {
        Upgrade::Bundle { sha256, extra_gas } => Some((sha256, extra_gas)),
        Upgrade::None | Upgrade::OwnBundle => None,
    }
}

/// The bundle that we make of a fork's published deposits is the one that is pinned, and gives the
/// same deposits.
fn check_deposits(fork: &str, listed: &[Value]) -> usize {
    let fork: Hardfork = fork.parse().unwrap();
    let raw: Vec<Bytes> = listed.iter().map(|deposit| parse(&deposit["raw"])).collect();
    let intents = listed.iter().map(|deposit| text(&deposit["intent"]));
    let deposits = intents.zip(raw.iter().map(AsRef::as_ref));
    let bundle = UpgradeBundle::from_deposits(fork, deposits).unwrap();
    assert_eq!(bundle.deposits(), raw, "{fork}");
    assert_eq!(bundle.gas(), listed.iter().map(|deposit| uint(&deposit["gas_limit"])).sum::<u64>());
    for (deposit, listed) in bundle.deposits().iter().zip(listed) {
        let TxEnvelope::Deposit(deposit) = TxEnvelope::decode_2718_exact(deposit).unwrap() else {
            panic!("no deposit");
        };
        assert_eq!(deposit.source_hash, parse::<B256>(&listed["source_hash"]), "{listed}");
    }
    let file = bundle.to_json().unwrap();
    assert_eq!(UpgradeBundle::parse(fork, file.as_bytes()).unwrap(), bundle, "{fork}");
    assert_eq!(pinned(fork), Some((bundle.sha256(), 0)), "{fork}");
    listed.len()
}

/// A published bundle: our file of it has the published hash, our deposits the listed ones.
fn check_bundle(file: &VectorFile, json: &Value, bundle: &Value) -> usize {
    let sha256: B256 = parse(&json["file_sha256"]);
    let derived = list(&json["derived"]);
    let bytes = serde_json::to_vec(bundle).unwrap();
    let sources = |fork: Hardfork| {
        let bundle = UpgradeBundle::parse(fork, &bytes).ok()?;
        let deposits: Vec<_> = bundle.deposits().iter().map(deposit_hashes).collect();
        let listed =
            derived.iter().map(|case| (parse(&case["source_hash"]), parse(&case["tx_hash"])));
        (deposits == listed.collect::<Vec<(B256, B256)>>()).then_some(bundle)
    };
    // The file does not name its fork, but its source hashes do.
    let Some(bundle) = TABLE.iter().find_map(|row| sources(row.fork)) else {
        file.not_understood(json);
    };
    assert_eq!(bundle.gas(), uint(&json["total_gas"]));
    let written = bundle.to_json().unwrap();
    let written = UpgradeBundle::parse(bundle.fork(), written.as_bytes()).unwrap();
    assert_eq!(written.sha256(), sha256);
    assert_eq!(written.deposits(), bundle.deposits());
    if let Some(pinned) = pinned(bundle.fork()) {
        assert_eq!(pinned, (sha256, bundle.gas()));
    }
    derived.len()
}

fn deposit_hashes(raw: &Bytes) -> (B256, B256) {
    match TxEnvelope::decode_2718_exact(raw).unwrap() {
        TxEnvelope::Deposit(deposit) => (deposit.source_hash, keccak256(raw)),
        other => panic!("{:?} is no deposit", other.tx_type()),
    }
}

/// Bundles of a fork that no chain has: the rule of their source hashes is the same.
fn check_other_fork(json: &Value) -> Outcome {
    let expected: BTreeMap<&str, &Value> = json["expected"]
        .as_object()
        .map(|expected| expected.iter().map(|(key, value)| (key.as_str(), value)).collect())
        .unwrap_or_default();
    let fork = text(&json["fork_name"]);
    let mut checked = 0;
    for (bundle, name) in list(&json["bundles"]).iter().zip(["first", "second", "third"]) {
        let bytes = serde_json::to_vec(bundle).unwrap();
        let bundle = UpgradeBundle::parse(Hardfork::Interop, &bytes).unwrap();
        let hashes = bundle.transactions().iter().enumerate().map(|(index, transaction)| {
            let intent = qualified_intent(fork, index, &transaction.intent);
            DepositSource::Upgrade { intent: &intent }.hash()
        });
        let listed = expected[format!("{name}_source_hashes").as_str()];
        let listed: Vec<B256> = list(listed).iter().map(parse).collect();
        assert_eq!(hashes.collect::<Vec<_>>(), listed, "{name}");
        checked += listed.len();
    }
    Outcome::Checked(checked)
}

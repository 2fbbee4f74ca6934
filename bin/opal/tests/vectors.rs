//! `opal derive` on the segments of real chains: each known block must come out and match, and one
//! that is not what L1 says must be found out. Any folder of the layout of `../shared/vectors`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../crates/derivation/tests/common/mod.rs"]
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use alloy_consensus::Header;
use alloy_primitives::{Bytes, hex};
use alloy_rlp::Decodable;
use common::{L1_BLOCK_TIME, START_TIME, World, config, references};
use opal_protocol::Hardfork;
use opal_protocol::hardfork::{TABLE, Upgrade};
use opal_service::upgrades::load_upgrades;
use opal_tests::vectors::{Outcome, VectorFile, Vectors, list, parse, text};
use serde_json::Value;

struct Derived {
    success: bool,
    lines: Vec<Value>,
    errors: String,
}

fn derive(arguments: &[&str]) -> Derived {
    let mut command = Command::new(env!("CARGO_BIN_EXE_opal"));
    let output = command.arg("derive").args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let errors = String::from_utf8(output.stderr).unwrap();
    Derived { success: output.status.success(), lines, errors }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn main() -> ExitCode {
    let mut vectors = Vectors::from_env();
    let root = vectors.root().to_owned();
    vectors.folder("derivation/expected", move |file| check(file, &root));
    vectors.whole("upgrades", activations);
    vectors.run()
}

/// Each fork that has a public bundle activates with it in the middle of a chain, and `opal derive`
/// gives the same from the recording.
fn activations(upgrades: &Path) -> Outcome {
    let mut checked = 0;
    for row in &TABLE {
        let Upgrade::Bundle { .. } = row.upgrade else { continue };
        let mut config = config(TABLE[row.fork as usize - 1].fork);
        let activation = START_TIME + 2 * L1_BLOCK_TIME;
        config.schedule.set(row.fork, Some(activation));
        load_upgrades(upgrades, &mut config).unwrap();
        let bundle = config.upgrade_bundle(row.fork).unwrap().clone();
        let mut world = World::new(config);
        world.schedules = 20;
        for _ in 0..4 {
            world.sequence_and_post();
        }
        let mut verifier = world.verifier();
        let run = verifier.run(&world);
        assert_eq!(run.references(), references(&world.l2[1..]), "{}", row.fork);
        let first = run.blocks.iter().find(|b| b.reference.timestamp == activation).unwrap();
        let transactions = first.attributes.transactions.as_ref().unwrap();
        assert_eq!(transactions[1..], *bundle.deposits(), "{}", row.fork);
        let own_gas = if row.fork >= Hardfork::Karst { bundle.gas() } else { 0 };
        assert_eq!(first.attributes.gas_limit, Some(30_000_000 + own_gas));

        let folder = tempfile::tempdir().unwrap();
        let recording = folder.path().join("recording");
        fs::write(&recording, verifier.recording()).unwrap();
        let derived = derive(&["--l1-data", path(&recording), "--upgrades", path(upgrades)]);
        assert!(derived.success, "{}", derived.errors);
        assert_eq!(derived.lines.len(), run.blocks.len());
        let nothing = folder.path().join("nothing");
        let derived = derive(&["--l1-data", path(&recording), "--upgrades", path(&nothing)]);
        let hash = bundle.sha256().to_string();
        assert!(!derived.success && derived.errors.contains(&hash), "{}", derived.errors);
        checked += 1;
    }
    Outcome::Checked(checked)
}

fn check(file: &VectorFile, root: &Path) -> Outcome {
    let json = file.json();
    let Some(chain) = json["rollup"]["chain"].as_str() else { file.not_understood(&json) };
    let (l1, blobs) = (root.join("derivation/l1"), root.join("blobs"));
    let known = &list(&json["blocks"])[1..];
    let folder = tempfile::tempdir().unwrap();
    let l2: PathBuf = folder.path().join("expected.json");
    let run = |expected: &Value| {
        fs::write(&l2, expected.to_string()).unwrap();
        let upgrades = root.join("upgrades");
        derive(&[
            "--l1-data",
            path(&l1),
            "--l2-data",
            path(&l2),
            "--blobs",
            path(&blobs),
            "--upgrades",
            path(&upgrades),
            "--network",
            chain,
        ])
    };

    let derived = run(&json);
    assert!(derived.success, "{}", derived.errors);
    for (line, block) in derived.lines.iter().zip(known) {
        assert_eq!(line["comparison"], "match", "{line}");
        assert_eq!((&line["number"], &line["hash"]), (&block["number"], &block["hash"]));
        assert_eq!(line["attributes"]["transactions"], block["transactions"]);
    }
    // The block after the last known one is derived as well, where L1 goes so far, and is the end.
    assert!(derived.lines.len() >= known.len(), "{}", derived.errors);
    assert!(derived.lines[known.len()..].iter().all(|line| line["comparison"] == "unknown"));

    // A transaction less: the block is not the one of its header.
    let mut changed = json.clone();
    changed["blocks"][3]["transactions"].as_array_mut().unwrap().pop();
    let derived = run(&changed);
    assert!(!derived.success && derived.errors.contains("transactions root"), "{}", derived.errors);

    // Another block, whose header is what it claims to be.
    let mut changed = json.clone();
    let block = &mut changed["blocks"][3];
    let raw: Bytes = parse(&block["header_rlp"]);
    let header = Header::decode(&mut raw.as_ref()).unwrap();
    let header = Header { gas_limit: header.gas_limit + 1, ..header };
    block["header_rlp"] = hex::encode_prefixed(alloy_rlp::encode(&header)).into();
    block["hash"] = header.hash_slow().to_string().into();
    let derived = run(&changed);
    assert!(!derived.success, "{}", derived.errors);
    let last = derived.lines.last().unwrap();
    assert_eq!((&last["number"], text(&last["comparison"])), (&known[2]["number"], "differs"));
    assert!(text(&last["difference"]).contains("gas limit"), "{last}");
    Outcome::Checked(known.len())
}

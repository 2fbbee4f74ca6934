//! `opal derive` on recordings, as its users run it. On segments of L1 blocks: `vectors.rs`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../crates/derivation/tests/common/mod.rs"]
mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use common::{World, config};
use opal_protocol::Hardfork;
use serde_json::Value;

struct Outcome {
    success: bool,
    lines: Vec<Value>,
    errors: String,
}

fn derive(arguments: &[&str]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_opal"));
    let output = command.arg("derive").args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let errors = String::from_utf8(output.stderr).unwrap();
    Outcome { success: output.status.success(), lines, errors }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A story: five rounds, and a refused block that its deposits replace.
fn story() -> (World, String) {
    let mut world = World::new(config(Hardfork::Karst));
    for _ in 0..5 {
        world.sequence_and_post_span();
    }
    world.schedules = 1;
    let mut verifier = world.verifier();
    let refused = world.l2[9].reference.timestamp;
    verifier.run_with(&world, |attributes| {
        attributes.timestamp != refused || attributes.transactions.as_ref().unwrap().len() == 1
    });
    (world, verifier.recording())
}

#[test]
fn a_recording_is_run_again() {
    let (world, recording) = story();
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("recording.jsonl");
    fs::write(&plain, &recording).unwrap();
    let packed = folder.path().join("recording.jsonl.gz");
    let file = fs::File::create(&packed).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, Default::default());
    encoder.write_all(recording.as_bytes()).unwrap();
    encoder.finish().unwrap();

    for file in [&plain, &packed] {
        let outcome = derive(&["--l1-data", path(file), "--drops"]);
        assert!(outcome.success, "{}", outcome.errors);
        let blocks: Vec<&Value> =
            outcome.lines.iter().filter(|line| line.get("dropped").is_none()).collect();
        for (line, block) in blocks.iter().zip(&world.l2[1..9]) {
            assert_eq!(line["number"], block.reference.number);
            assert_eq!(line["hash"], block.reference.hash.to_string());
            assert_eq!(line["parentHash"], block.reference.parent_hash.to_string());
            assert_eq!(line["attributes"], serde_json::to_value(&block.attributes).unwrap());
            assert_eq!(line["comparison"], "unknown");
        }
        assert_eq!(blocks[8]["comparison"], "invalid");
        assert_eq!(blocks[9]["number"], 9);
        assert_eq!(blocks[9]["attributes"]["transactions"].as_array().unwrap().len(), 1);
        // The rest of the span and of its channel went with the refused block.
        assert!(outcome.lines.iter().any(|line| line["dropped"].is_string()));
        assert!(outcome.errors.contains("dropped"), "{}", outcome.errors);
        let quiet = derive(&["--l1-data", path(file), "--quiet"]);
        assert_eq!((quiet.lines.len(), quiet.errors.as_str()), (blocks.len(), ""));
    }
}

#[test]
fn a_recording_that_was_cut_off_or_changed_says_so() {
    let (_, recording) = story();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    let write = |text: &str| fs::write(&file, text).unwrap();

    let lines: Vec<&str> = recording.lines().collect();
    write(&lines[..lines.len() / 2].join("\n"));
    let outcome = derive(&["--l1-data", path(&file)]);
    assert!(outcome.success && !outcome.lines.is_empty());
    assert!(outcome.errors.contains("it was cut off"), "{}", outcome.errors);

    // Stopped within a line.
    let torn = &recording[..recording.len() * 2 / 3];
    assert!(!torn.ends_with(['\n', '}']));
    write(torn);
    let outcome = derive(&["--l1-data", path(&file)]);
    assert!(outcome.success && !outcome.lines.is_empty(), "{}", outcome.errors);
    assert!(outcome.errors.contains("it was cut off"), "{}", outcome.errors);
    write(&recording[..40]);
    assert!(!derive(&["--l1-data", path(&file)]).success);

    // The same line, and others after it.
    write(&format!("{torn}\n{}\n", lines[lines.len() - 1]));
    let outcome = derive(&["--l1-data", path(&file)]);
    assert!(!outcome.success);
    let place = format!("{}: line ", file.display());
    assert!(outcome.errors.contains(&place), "{}", outcome.errors);

    // A block that the attributes do not describe.
    let at = lines.iter().position(|line| line.contains("\"executed\"")).unwrap();
    let changed = lines[at].replace("\"number\":1,\"parent", "\"number\":2,\"parent");
    let changed = if changed == lines[at] {
        lines[at].replacen("\"number\":1", "\"number\":2", 2)
    } else {
        changed
    };
    assert_ne!(changed, lines[at]);
    let mut lines = lines;
    lines[at] = &changed;
    write(&lines.join("\n"));
    let outcome = derive(&["--l1-data", path(&file)]);
    assert!(!outcome.success && outcome.errors.contains(&format!("line {}", at + 1)));
}

#[test]
fn what_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    let outcome = derive(&["--l1-data", path(&nowhere)]);
    assert!(!outcome.success && outcome.errors.contains("nowhere"), "{}", outcome.errors);
    let outcome = derive(&["--l1-data", path(folder.path())]);
    assert!(outcome.errors.contains("opal-l1seg-v1"), "{}", outcome.errors);
    for (name, content) in [("broken.json", &b"{"[..]), ("broken.json.gz", &b"no gzip"[..])] {
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        let outcome = derive(&["--l1-data", path(folder.path())]);
        assert!(!outcome.success && outcome.errors.contains(name), "{}", outcome.errors);
        fs::remove_file(file).unwrap();
    }
}

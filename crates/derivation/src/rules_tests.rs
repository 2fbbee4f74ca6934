//! The tables of RULES.md name tests that exist.
#![allow(clippy::unwrap_used)]

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::path::{Path, PathBuf};

/// Where the tests of a place in the tables may be.
fn files(place: &str) -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (folder, stage) = match place.split_once('/') {
        Some(("protocol", stage)) => (here.join("../protocol/src"), stage),
        Some(("actions", story)) => return [here.join(format!("tests/actions/{story}.rs"))].into(),
        Some(_) => return Vec::new(),
        None => (here.join("src"), place),
    };
    ["_tests.rs", ".rs", "/tests.rs"].map(|end| folder.join(format!("{stage}{end}"))).into()
}

/// The names of the functions behind `#[test]`.
fn tests_in(source: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line == "#[test]" {
            is_test = true;
        } else if let Some(rest) = line.strip_prefix("fn ") {
            names.extend(rest.split('(').next().filter(|_| is_test));
            is_test = false;
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            is_test = false;
        }
    }
    names
}

fn exists(test: &str) -> bool {
    let Some((place, name)) = test.split_once("::") else { return false };
    let sources = files(place).into_iter().filter_map(|file| std::fs::read_to_string(file).ok());
    sources.into_iter().any(|source| tests_in(&source).contains(&name))
}

/// What is wrong with the rows of the tables in this text: each must name a test in its last two
/// columns.
fn faults(text: &str) -> (usize, Vec<String>) {
    let (mut rows, mut faults) = (0, Vec::new());
    let table_rows = text.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    for row in table_rows {
        let columns: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [.., yes, no] = columns[..] else { continue };
        if !yes.starts_with('`') && !no.starts_with('`') && ["Yes", "Within", "Kept"].contains(&yes)
        {
            continue;
        }
        rows += 1;
        for test in [yes, no].map(|cell| cell.trim_matches('`')) {
            if !exists(test) {
                faults.push(format!("{}: no test \"{test}\"", columns[0]));
            }
        }
    }
    (rows, faults)
}

#[test]
fn every_row_of_the_tables_names_tests_that_exist() {
    let (rows, faults) = faults(include_str!("../RULES.md"));
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(rows > 150, "{rows}");
}

#[test]
fn a_row_without_tests_is_a_fault() {
    let good = "| rule | page | `rules::a_row_without_tests_is_a_fault` | `rules::a_row_without_tests_is_a_fault` |";
    assert_eq!(faults(good), (1, Vec::new()));
    let none = "| rule | page | `rules::a_row_without_tests_is_a_fault` | |";
    assert_eq!(faults(none).1, ["rule: no test \"\"".to_string()]);
    let helper = "| rule | page | `rules::exists` | `nowhere::x` |";
    assert_eq!(faults(helper).1.len(), 2);
}

/// Each test of these files is in the tables: none is written and then forgotten.
#[test]
fn every_test_of_a_stage_is_in_the_tables() {
    let text = include_str!("../RULES.md");
    let stages = [
        "attributes",
        "batch_queue",
        "batch_stage",
        "batch_validity",
        "channel_assembler",
        "channel_bank",
        "channel_reader",
        "codec_rules",
        "epochs",
        "frame_queue",
        "l1_retrieval",
        "machine",
        "span_validity",
    ];
    // What the machine demands of its host is no rule of the specification.
    let others = [
        "an_l1_block_that_contradicts_itself_is_refused",
        "another_block_than_the_attributes_describe_is_refused",
    ];
    let mut missing = Vec::new();
    for stage in stages {
        let source = std::fs::read_to_string(&files(stage)[0]).unwrap();
        let names = tests_in(&source);
        assert!(names.len() > 5, "{stage}");
        let named = |name: &&str| text.contains(&format!("`{stage}::{name}`"));
        let unnamed = names.iter().filter(|name| !named(name) && !others.contains(*name));
        missing.extend(unnamed.map(|name| format!("{stage}::{name}")));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

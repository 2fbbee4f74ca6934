//! The fuzzer's targets over this crate, run on their first inputs.

use crate::fuzz::TARGETS;

/// Runs a target over all its seeds.
fn seeds_pass(name: &str) {
    for target in TARGETS.iter().filter(|target| target.name == name) {
        let seeds = (target.seeds)();
        assert!(seeds.len() > 3);
        seeds.iter().for_each(|seed| (target.run)(seed));
    }
}

#[test]
fn payloads() {
    seeds_pass("payload");
}

#[test]
fn rpc_calls() {
    seeds_pass("rpc");
}

#[test]
fn pool_journals() {
    seeds_pass("pool_journal");
}

#[test]
fn data_directories() {
    seeds_pass("database");
}

#[test]
fn snapshots() {
    seeds_pass("snapshot");
}

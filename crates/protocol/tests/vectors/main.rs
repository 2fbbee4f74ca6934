//! Data of other projects and of real chains, through the codecs of this crate. How the files are
//! found, and what fails: see `opal_tests::vectors`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod altda;
mod batches;
mod blobs;
mod deposits;
mod l1_info;
mod outputs;
mod receipts;
mod registry;
mod sysconfig;
mod upgrades;

use std::process::ExitCode;

use alloy_primitives::{Address, Bytes, Log};
use opal_protocol::Hardfork;
use opal_tests::vectors::{Vectors, list, optional, parse, text};
use serde_json::Value;

fn main() -> ExitCode {
    let mut vectors = Vectors::from_env();
    vectors.folder("altda", altda::check);
    vectors.folder("blobs", blobs::check);
    vectors.folder("deposits", deposits::check_deposits);
    vectors.folder("derivation", batches::check_frames);
    vectors.folder("derivation/channels", batches::check_channel);
    vectors.folder("derivation/span", batches::check_span);
    vectors.folder("l1info", l1_info::check);
    vectors.folder("outputs", outputs::check);
    vectors.folder("receipts", receipts::check_receipts);
    registry::add(&mut vectors);
    vectors.folder("sysconfig", sysconfig::check);
    vectors.folder("txs", deposits::check_transactions);
    vectors.folder("upgrades", upgrades::check);
    // What this layer answers for; opal-derivation reads the other two.
    let ours = ["altda", "blobs", "deposits", "derivation", "l1info", "outputs", "sysconfig"];
    vectors.all_read(&ours, &["derivation/l1", "derivation/expected"]);
    vectors.all_read(&["receipts", "txs", "upgrades"], &[]);
    vectors.run()
}

/// A fork by name. The L1 fix between Holocene and Isthmus has a name of its own in the vectors.
fn fork(value: &Value) -> Hardfork {
    match text(value) {
        "pectra_blob_schedule" => Hardfork::Holocene,
        name => name.parse().unwrap(),
    }
}

fn log(value: &Value) -> Log {
    let topics = list(&value["topics"]).iter().map(parse).collect();
    let address = optional(value, "address").map_or(Address::ZERO, parse);
    Log::new_unchecked(address, topics, parse::<Bytes>(&value["data"]))
}

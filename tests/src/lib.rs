//! What the integration tests share: starting the real binary, and running third-party clients
//! against it. Only tests and benches use this crate, so it panics where a test would.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod clients;
#[cfg(feature = "server")]
pub mod json_rpc;
pub mod process;
pub mod registry;
pub mod rpc;
pub mod stack;
pub mod vectors;

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}

/// Writes to stdout past the test harness, which hides what `println!` writes in a passing test.
pub fn say(text: &str) {
    // A closed stdout is no reason to fail.
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
}

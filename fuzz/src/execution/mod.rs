//! Targets over the execution client: JSON of the Engine API and of JSON-RPC, the pool's file, the
//! data directory of a chain, and snapshots.
//!
//! The client's own tests compile these files, too, and run them over the seeds (see its `lib.rs`):
//! they use nothing but its public API, and no crate that it has not.
#![allow(clippy::unwrap_used)]

mod chain;
mod database;
mod files;
mod input;
mod json;
mod payload;
mod pool;
mod rpc;
mod snapshot;

/// A target's function, and the most memory in bytes that it may use.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&[u8]),
    // Not counted by the client's tests, of which several run at once.
    #[allow(dead_code)]
    pub(crate) memory: usize,
    /// Its first inputs.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub(crate) const TARGETS: [Target; 5] = [
    Target { name: "payload", run: payload::run, memory: 256 << 20, seeds: payload::seeds },
    Target { name: "rpc", run: rpc::run, memory: 512 << 20, seeds: rpc::seeds },
    Target { name: "pool_journal", run: pool::run, memory: 64 << 20, seeds: pool::seeds },
    Target { name: "database", run: database::run, memory: 128 << 20, seeds: database::seeds },
    Target { name: "snapshot", run: snapshot::run, memory: 128 << 20, seeds: snapshot::seeds },
];

//! Opal beside other implementations, in one process: the same input into both, and what comes out
//! of each compared (`tests/`) and timed (`benches/`). Derivation stands beside kona's, execution
//! beside op-revm's.
//!
//! | Module | What it holds |
//! |---|---|
//! | [`execution`] | blocks made from a seed, executed by both sides |
//! | [`scenario`] | an L1 with what is on it, and how the machine of each side runs over it |
//! | [`kona`] | the same values in the peer's types, and its data sources in memory |
//! | [`vectors`] | channels and L1 segments of the test vectors |
//! | [`generate`] | batches, channels and L1 chains made from a seed |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "this workspace only tests and measures"
)]

pub mod execution;
pub mod generate;
pub mod kona;
pub mod scenario;
pub mod vectors;

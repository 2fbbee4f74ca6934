//! Opal's execution beside that of `op-revm`, `alloy-op-evm` and `alloy-evm`: the same blocks into
//! both, and what comes out of each compared.
//!
//! | Module | What it holds |
//! |---|---|
//! | [`bytecode`] | contracts made from a seed |
//! | [`world`] | a chain made from a seed, and transactions of all kinds |
//! | [`peer`] | blocks executed by the peer |
//! | [`plain`] | the peer's state and its root |
//! | [`compare`] | both sides block by block |

pub mod bytecode;
pub mod compare;
pub mod peer;
pub mod plain;
pub mod world;

//! One chain in one process: store, transaction pool, payload builder, engine and JSON-RPC.
//!
//! ```text
//!            JSON-RPC ──reads──► Chain ◄──reads, changes── LocalEngine ◄── node driver
//!               │                  │ ▲                          │
//!            raw tx ──► TxPool ◄───┘ └── opal-evm executes ◄────┘ builder
//! ```
//!
//! The embedded L1 and every L2 are values of the same types with different rules. Nothing here is
//! `async` except the RPC subscriptions: calls that execute blocks are made from a blocking thread.

mod builder;
mod chain;
mod disk;
mod engine;
pub mod engine_api;
// The targets use the public API alone, by the crate's name.
#[cfg(test)]
extern crate self as opal_execution;
#[cfg(test)]
#[path = "../../../../fuzz/src/execution/mod.rs"]
mod fuzz;
#[cfg(test)]
mod fuzz_tests;
mod payload_id;
mod pool;
pub mod rpc;
mod rules;
mod senders;
pub mod state_store;
#[cfg(test)]
mod testing;
mod threads;

pub use builder::{BuiltPayload, DaLimits};
pub use chain::{
    Chain, ChainConfig, ChainError, ChainEvent, DEFAULT_HISTORY, History, ImportTimes,
    StorageConfig, StoredBlock, genesis_block,
};
pub use disk::database::{Checked, Database, DatabaseStats, Progress};
pub use disk::seed::seed_chain;
pub use disk::snapshot::{Snapshot, import_snapshot, snapshot_identity};
pub use disk::{DiskError, Identity};
pub use engine::{
    EngineError, ForkchoiceState, ForkchoiceUpdated, LocalEngine, OutputV0, PayloadStatus,
};
pub use opal_evm::{ChainSpec, SpecError};
pub use opal_protocol::{PayloadAttributes, SealedBlock};
pub use payload_id::{PayloadId, payload_id};
pub use pool::{
    BestTransactions, Journal, KnownAccount, PoolConfig, PoolContent, PoolError, PoolHead,
    PoolStats, PooledTransaction, Restored, Sidecar, TransactionConditional, TxPool, keep_pool,
    register_pool_metrics,
};

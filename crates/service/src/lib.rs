//! What every service of Opal shares, done once.
//!
//! - [`Shutdown`]: one cancellation token and task tracker; a critical task's end stops the
//!   process with a named reason.
//! - [`logging`]: `tracing` to stderr, text or JSON, and the live status line of a terminal.
//! - [`rpc_server`]: JSON-RPC over HTTP and WebSocket on one port, [`access`]: who may call it.
//! - [`admin`]: the admin RPC of batcher and proposer.
//! - [`metrics`]: a Prometheus registry and its HTTP endpoint.
//! - [`endpoint`]: a JSON-RPC endpoint, the flag that names it, and how it is waited for.
//! - [`files`]: files that are written at once or not at all.
//! - [`http`]: the TLS provider, the shared HTTP client and alloy providers.
//! - [`jwt`]: the secret and the tokens of the Engine API.
//! - [`keys`]: private keys from hex, a mnemonic or a keystore file, and the flags that give them.
//! - [`tx_manager`]: sends L1 transactions and sees them through.
//! - [`trouble`]: when something that stays wrong is worth a line in the log.
//! - [`upgrades`]: the files that hold the upgrade transactions of forks.
//! - [`web`]: HTTP servers that are no JSON-RPC.

pub mod access;
pub mod admin;
mod answers;
mod backlog;
mod connections;
pub mod duration;
pub mod endpoint;
pub mod files;
pub mod http;
#[cfg(unix)]
pub mod ipc;
pub mod jwt;
pub mod keys;
pub mod logging;
pub mod metrics;
pub mod rpc_server;
pub mod shutdown;
pub mod trouble;
pub mod tx_manager;
pub mod upgrades;
pub mod web;

pub use rpc_server::{RpcHandle, RpcServerConfig};
pub use shutdown::{Shutdown, StopReason};
pub use tx_manager::{TxCandidate, TxError, TxManager, TxManagerArgs, TxManagerConfig};

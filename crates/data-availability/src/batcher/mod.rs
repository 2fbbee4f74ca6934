//! The batcher: posts the sequencer's blocks to L1, so that anyone can derive the chain.
//!
//! ```text
//!  rollup RPC ── sync status ──► BatcherState::on_status ── which blocks ──► L2 RPC
//!                                        │                                     │ blocks, verified
//!                                        ▼                                     ▼
//!              reset to the safe head ◄─ state: blocks ► open channel ► closed channels
//!              (reorg, lost channel)                                           │ frames, in order
//!                                                                              ▼
//!  stats, metrics ◄── confirmed / failed ◄── L1 ◄── TxManager ◄── blobs or calldata
//! ```
//!
//! All decisions are made by `state` and `channel`, which know neither clock nor network; `run`
//! does the waiting and the calls. Nothing is stored: after a restart the safe head says where to
//! go on.

mod args;
mod channel;
mod client;
mod config;
mod metrics;
mod payload;
mod rpc;
mod run;
mod state;
mod status;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use opal_protocol::{BlockId, ConfigError};
use opal_service::endpoint::ConnectError;
use opal_service::http::HttpError;
use opal_service::keys::KeyArgsError;
use opal_service::rpc_server::RpcServerError;
use opal_service::{RpcHandle, Shutdown, admin, metrics as service_metrics};
use tokio::sync::{mpsc, watch};

pub use args::{BatchType, BatcherArgs, CompressionAlgo, DataAvailabilityType};
pub use config::BatcherConfig;

/// Log target of the batcher.
const TARGET: &str = "opal::da::batcher";

/// Why the batcher did not start, or stopped. Everything that time can heal (an endpoint that does
/// not answer, a transaction that fails) is waited for instead.
#[derive(Debug, thiserror::Error)]
pub enum BatcherError {
    /// A flag has a value that can't be used.
    #[error("{flag}: {reason}")]
    Flag {
        /// The flag, with its dashes.
        flag: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no key, or it can't be read.
    #[error(transparent)]
    Key(#[from] KeyArgsError),
    /// A URL can't be used.
    #[error("{flag}: {source}")]
    Http {
        /// The flag that gave the URL.
        flag: &'static str,
        /// What is wrong with it.
        source: HttpError,
    },
    /// The admin RPC or the metrics can't be served.
    #[error(transparent)]
    Rpc(#[from] RpcServerError),
    /// An endpoint serves another chain than the rollup configuration names.
    #[error("{flag} serves chain {found}, but the rollup configuration names {expected}")]
    WrongChain {
        /// The flag that gave the URL.
        flag: &'static str,
        /// Chain id of the endpoint.
        found: u64,
        /// Chain id in the rollup configuration.
        expected: u64,
    },
    /// The rollup node's configuration can't be used.
    #[error("--rollup-rpc: {0}")]
    Rollup(#[from] ConfigError),
    /// The safety margin leaves a channel no time.
    #[error(
        "--sub-safety-margin is {margin}, but channels of this chain time out after {timeout} L1 \
         blocks and its sequencing window has {window}; it must be smaller than both"
    )]
    Margin {
        /// The margin, in L1 blocks.
        margin: u64,
        /// The chain's channel timeout, in L1 blocks.
        timeout: u64,
        /// The chain's sequencing window, in L1 blocks.
        window: u64,
    },
    /// A block that fits no channel.
    #[error("L2 block {block} can't be posted: {reason}")]
    Block {
        /// The block.
        block: BlockId,
        /// Why.
        reason: String,
    },
    /// Compression or blob encoding failed.
    #[error("channel can't be written: {0}")]
    Encoding(String),
}

/// What the batcher has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatcherStats {
    /// Transactions that L1 confirmed.
    pub transactions: u64,
    /// Bytes in them: calldata, or what was really used of the blobs.
    pub l1_bytes: u64,
    /// Blobs in them.
    pub blobs: u64,
    /// L2 transactions of users (no deposits) whose data is confirmed. A block that had to be
    /// posted twice counts once.
    pub l2_transactions: u64,
    /// Transactions given up; their data was or will be sent again.
    pub failed_transactions: u64,
    /// Channels that L1 confirmed but derivation did not take, or that timed out.
    pub lost_channels: u64,
    /// L2 blocks read and not yet safe.
    pub pending_blocks: u64,
    /// Whether nothing is sent at present because it would be wasted: another key is the chain's
    /// batcher, the sequencing window has passed, or several channels were lost in a row.
    pub paused: bool,
}

/// A running batcher. It ends with the [`Shutdown`] that it was started with.
#[derive(Debug)]
pub struct Batcher {
    stats: watch::Receiver<BatcherStats>,
    rpc: Option<RpcHandle>,
    metrics: Option<SocketAddr>,
}

impl Batcher {
    /// Starts the batcher. Endpoints that do not answer yet are waited for in the background; the
    /// task then ends with an error when they turn out to be the wrong ones.
    ///
    /// # Errors
    /// When the configuration is wrong, as far as the endpoints tell at once, or a port is
    /// taken.
    pub async fn start(config: BatcherConfig, shutdown: &Shutdown) -> Result<Self, BatcherError> {
        let rpc = config.admin_rpc.map(admin::bind).transpose()?;
        let serve = |addr| {
            service_metrics::serve(config.metrics.clone(), addr, "--metrics.port", shutdown.token())
        };
        let metrics = config.metrics_server.map(serve).transpose()?;
        let connector = run::Connector::new(config)?;
        let session = match connector.connect().await {
            Ok(session) => Some(session),
            Err(ConnectError::Wrong(error)) => return Err(error),
            // The task tries again, and says so.
            Err(ConnectError::Unavailable(_)) => None,
        };
        let (stats, receiver) = watch::channel(BatcherStats::default());
        let (commands, inbox) = mpsc::channel(8);
        let rpc = rpc.map(|rpc| rpc.serve(admin::module(&rpc::METHODS, commands))).transpose()?;
        let stop = shutdown.token();
        shutdown.spawn_critical("batcher", run::run(connector, session, stats, inbox, stop));
        Ok(Self { stats: receiver, rpc, metrics })
    }

    /// What the batcher has done, as it changes.
    pub fn stats(&self) -> watch::Receiver<BatcherStats> {
        self.stats.clone()
    }

    /// The admin RPC, where one was asked for.
    pub const fn rpc(&self) -> Option<&RpcHandle> {
        self.rpc.as_ref()
    }

    /// Where the metrics are served, if they were asked for.
    pub fn metrics_url(&self) -> Option<String> {
        self.metrics.map(|addr| format!("http://{addr}/metrics"))
    }
}

//! The batcher: posts the sequencer's blocks to L1.
//!
//! ```text
//!  sequencer's RPCs ──blocks after the safe head──► channel being filled
//!                                                     │ full, old enough, or flushed
//!                                                     ▼
//!                       frames ◄── closed channels, first in first out
//!                         │ one blob (or calldata) each, several to a transaction
//!                         ▼
//!                    TxManager ──► L1 ──► derivation ──► the safe head advances: channel forgotten
//!                                             └─ it does not: start again from the safe head
//! ```
//! [`state`] decides and does no I/O; [`driver`] asks and sends.

mod args;
mod channel;
mod driver;
mod rpc;
mod source;
mod state;

use std::fmt;
use std::sync::Arc;

use opal_service::http;
use opal_service::rpc_server::{self, RpcServerConfig, RpcServerError};
use opal_service::{RpcHandle, Shutdown, TxError, TxManager};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

pub use args::{BatcherArgs, BatcherConfig, ConfigError, DataAvailabilityType};

use crate::DaError;
use driver::{Command, Driver};
use source::Source;

const TARGET: &str = "opal::da::batcher";

/// What the batcher has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatcherStats {
    /// Batcher transactions that L1 included.
    pub transactions: u64,
    /// Bytes that those transactions posted: calldata, or the content of blobs.
    pub l1_bytes: u64,
    /// Blobs that those transactions carried.
    pub blobs: u64,
    /// L2 blocks in channels that L1 holds completely.
    pub l2_blocks: u64,
    /// Transactions of users (all but deposits) in those blocks.
    pub l2_transactions: u64,
    /// Times that batching started again from the safe head.
    pub resets: u64,
}

/// Why the batcher did not start or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum BatcherError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An endpoint did not answer, or is not what it should be.
    #[error(transparent)]
    Endpoint(#[from] DaError),
    /// The transaction manager did not start.
    #[error("transactions: {0}")]
    Tx(#[from] TxError),
    /// The admin RPC did not start.
    #[error(transparent)]
    Rpc(#[from] RpcServerError),
    /// A channel can't be closed: the frame size leaves no room, or the compressor failed.
    #[error("channel: {0}")]
    Channel(#[from] opal_protocol::channel::ChannelOutError),
    /// A block can never be posted.
    #[error("L2 block {number} cannot be posted: {reason}")]
    Block {
        /// Its number.
        number: u64,
        /// Why.
        reason: String,
    },
}

/// A running batcher. Its task ends with the [`Shutdown`] it was started with.
pub struct Batcher {
    stats: watch::Receiver<BatcherStats>,
    commands: mpsc::Sender<Command>,
    rpc: Option<RpcHandle>,
}

impl fmt::Debug for Batcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher")
            .field("stats", &*self.stats.borrow())
            .field("rpc", &self.rpc.as_ref().map(RpcHandle::local_addr))
            .finish_non_exhaustive()
    }
}

impl Batcher {
    /// Connects to L1 and to the sequencer, and starts to post.
    ///
    /// # Errors
    /// When an endpoint does not answer, or belongs to another chain.
    pub async fn start(config: BatcherConfig, shutdown: &Shutdown) -> Result<Self, BatcherError> {
        let source = Source::connect(&config).await?;
        let rollup = Arc::new(source.rollup_config().await?);
        let l1 = http::provider(&config.l1_rpc).map_err(DaError::from)?;
        let txs = TxManager::new(l1, config.key.clone(), config.tx_manager.clone()).await?;
        if txs.chain_id() != rollup.l1_chain_id {
            return Err(BatcherError::Endpoint(DaError::WrongChain {
                endpoint: http::without_credentials(&config.l1_rpc),
                expected: rollup.l1_chain_id,
                found: txs.chain_id(),
            }));
        }
        source.expect_chain_id(rollup.l2_chain_id).await?;
        let named = rollup.genesis.system_config.batcher_address;
        if named != txs.address() {
            warn!(target: TARGET, key = %txs.address(), genesis = %named,
                "the key is not the batcher of the chain's genesis; \
                 what it posts counts only if the SystemConfig names it");
        }
        let (commands, command_inbox) = mpsc::channel(8);
        let rpc = match config.rpc_addr {
            None => None,
            Some(addr) => {
                let server = RpcServerConfig::new(addr, "--rpc.port");
                Some(rpc_server::serve(&server, rpc::module(commands.clone()))?)
            }
        };
        info!(target: TARGET, address = %txs.address(), inbox = %rollup.batch_inbox_address,
            da = %config.da, "batcher starts");
        let (stats_sender, stats) = watch::channel(BatcherStats::default());
        let driver = Driver::new(config, rollup, source, txs, stats_sender);
        let token = shutdown.token();
        shutdown.spawn_critical("batcher", driver.run(command_inbox, token));
        Ok(Self { stats, commands, rpc })
    }

    /// What the batcher has done so far.
    pub fn stats(&self) -> watch::Receiver<BatcherStats> {
        self.stats.clone()
    }

    /// `admin_startBatcher`, `admin_stopBatcher` and `admin_flushBatcher`.
    pub fn rpc_module(&self) -> jsonrpsee::RpcModule<()> {
        rpc::module(self.commands.clone())
    }

    /// The admin RPC, where one was asked for.
    pub const fn rpc(&self) -> Option<&RpcHandle> {
        self.rpc.as_ref()
    }
}

//! The embedded L1: an Ethereum chain in this process, with a beacon API beside it.
//!
//! ```text
//!   SlotClock ─► Producer ─► LocalEngine (opal-execution, Ethereum's rules) ─► eth_, dev_ RPC
//!                   └──────► BlobStore (beacon blocks, blobs) ───────────────► beacon API
//! ```
//! No validators, no committees: one producer fills every slot. What a rollup node can see is as on
//! Ethereum: slots, beacon roots (EIP-4788), blobs with real KZG commitments, the labels `safe` and
//! `finalized`, and reorgs ([`EmbeddedL1::reorg`], `dev_reorg`).

pub mod beacon;
pub mod blob_files;
pub mod blob_store;
pub mod dev_rpc;
pub mod producer;
pub mod slots;
pub mod ssz;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_genesis::Genesis;
use jsonrpsee::core::RegisterMethodError;
use opal_execution::{
    Chain, ChainConfig, ChainError, ChainSpec, LocalEngine, SpecError, StorageConfig,
};
use opal_protocol::SealedBlock;
use opal_service::rpc_server::{RpcEndpoint, RpcServerError};
use opal_service::{RpcHandle, RpcServerConfig, Shutdown};
use tracing::info;
use url::Url;

use beacon::BeaconApi;
use blob_files::{BlobFiles, BlobFilesError};
use blob_store::{BlobStore, Retention};
use producer::{LabelLag, Producer, Tick};
pub use producer::{MAX_REORG_DEPTH, ProducerError, Reorg};
use slots::SlotClock;

const TARGET: &str = "opal::devnet";

/// Folders in the data directory.
const CHAIN_DIR: &str = "chain";
const BLOBS_DIR: &str = "blobs";
/// Bytes of the state that stay in memory, about: an L1 for development has little.
const STATE_MEMORY: u64 = 64 << 20;

/// What the embedded L1 is made of.
#[derive(Clone, Debug)]
pub struct L1Config {
    /// Genesis in geth's format, without an `optimism` section; Prague or later from the first
    /// block on. Its timestamp is the start of slot 0.
    pub genesis: Genesis,
    /// Seconds a slot lasts.
    pub block_time: u64,
    /// Blocks by which `safe` follows the head.
    pub safe_lag: u64,
    /// Blocks by which `finalized` follows the head; the deepest reorg that is possible.
    pub finality_lag: u64,
    /// Where JSON-RPC listens, HTTP and WebSocket; port 0 lets the system choose.
    pub rpc_addr: SocketAddr,
    /// Where the beacon API listens; port 0 lets the system choose.
    pub beacon_addr: SocketAddr,
    /// Directory of the chain and its blobs, where an L1 with the same genesis goes on; `None` keeps
    /// all in memory.
    pub data_dir: Option<PathBuf>,
}

/// Why the embedded L1 did not start.
#[derive(Debug, thiserror::Error)]
pub enum L1Error {
    /// The genesis has no usable rules.
    #[error("L1 genesis: {0}")]
    Spec(#[from] SpecError),
    /// The genesis describes no chain, or its data cannot be used.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Blobs that were kept cannot be used.
    #[error("blobs: {0}")]
    Blobs(#[from] BlobFilesError),
    /// The genesis describes a chain of another kind.
    #[error(
        "L1 genesis: the chain must follow Ethereum's rules of Prague or later from genesis on"
    )]
    Fork,
    /// Slots need a length.
    #[error("the L1 block time must be at least 1 second")]
    BlockTime,
    /// Labels in the wrong order.
    #[error("the L1 finality lag ({finality_lag}) must not be below the safe lag ({safe_lag})")]
    Labels {
        /// Lag of the safe label.
        safe_lag: u64,
        /// Lag of the finalized label.
        finality_lag: u64,
    },
    /// The JSON-RPC port can't be used.
    #[error(transparent)]
    Rpc(#[from] RpcServerError),
    /// A method is there twice; a mistake in this program.
    #[error("L1 JSON-RPC: {0}")]
    Methods(#[from] RegisterMethodError),
    /// The beacon API's port can't be used.
    #[error("cannot listen on {addr} (--l1-beacon-port): {source}")]
    Beacon {
        /// Address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A running L1. Its tasks end with the [`Shutdown`] that it was started under; dropping this
/// handle stops JSON-RPC.
#[derive(Debug)]
pub struct EmbeddedL1 {
    chain: Arc<Chain>,
    producer: Arc<Mutex<Producer>>,
    rpc: RpcHandle,
    beacon_addr: SocketAddr,
}

impl EmbeddedL1 {
    /// Claims both ports, then starts the chain, or lets it go on: the next block is built at once if
    /// its slot has begun.
    ///
    /// # Errors
    /// When a port is taken, the configuration describes no chain or its data cannot be used; nothing
    /// runs then.
    pub async fn start(config: L1Config, shutdown: &Shutdown) -> Result<Self, L1Error> {
        let rpc = RpcEndpoint::bind(RpcServerConfig::new(config.rpc_addr, "--l1-port"))?;
        let beacon_error = |source| L1Error::Beacon { addr: config.beacon_addr, source };
        let beacon =
            tokio::net::TcpListener::bind(config.beacon_addr).await.map_err(beacon_error)?;
        let beacon_addr = beacon.local_addr().map_err(beacon_error)?;

        // Blocks of the journal are executed again, which takes its time.
        let opening = tokio::task::spawn_blocking(move || L1::new(&config)).await;
        let L1 { chain, producer, api } = match opening {
            Ok(opened) => opened?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let producer = Arc::new(Mutex::new(producer));
        let mut methods = opal_execution::rpc::module(chain.clone());
        methods.merge(dev_rpc::module(producer.clone())?)?;
        let rpc = rpc.serve(methods)?;

        let stop = shutdown.token();
        shutdown.spawn_critical("L1 beacon API", async move {
            opal_service::web::serve(beacon, api.router(), stop).await;
            Ok::<_, L1Error>(())
        });
        shutdown.spawn_critical("L1 block producer", produce(producer.clone(), shutdown.clone()));
        info!(
            target: TARGET,
            chain_id = chain.spec().chain_id,
            rpc = %rpc.local_addr(),
            beacon = %beacon_addr,
            "embedded L1"
        );
        Ok(Self { chain, producer, rpc, beacon_addr })
    }

    /// The chain.
    pub const fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// JSON-RPC over HTTP.
    pub fn rpc_url(&self) -> Url {
        url("http", self.rpc.local_addr())
    }

    /// JSON-RPC over WebSocket.
    pub fn ws_url(&self) -> Url {
        url("ws", self.rpc.local_addr())
    }

    /// The beacon API.
    pub fn beacon_url(&self) -> Url {
        url("http", self.beacon_addr)
    }

    /// Replaces the newest `depth` blocks; see [`Producer::reorg`]. Blocks while it executes.
    ///
    /// # Errors
    /// On a depth out of range or beyond the finalized block.
    pub fn reorg(&self, depth: u64) -> Result<Reorg, ProducerError> {
        lock(&self.producer).reorg(depth)
    }

    /// Builds a block at once; see [`Producer::mine`]. Blocks while it executes.
    ///
    /// # Errors
    /// When execution fails.
    pub fn mine(&self) -> Result<SealedBlock, ProducerError> {
        lock(&self.producer).mine(unix_time())
    }
}

/// The parts of an L1 before anything runs.
struct L1 {
    chain: Arc<Chain>,
    producer: Producer,
    api: BeaconApi,
}

impl L1 {
    fn new(config: &L1Config) -> Result<Self, L1Error> {
        let (safe_lag, finality_lag) = (config.safe_lag, config.finality_lag);
        if safe_lag > finality_lag {
            return Err(L1Error::Labels { safe_lag, finality_lag });
        }
        let genesis_time = config.genesis.timestamp;
        let clock = SlotClock::new(genesis_time, config.block_time).ok_or(L1Error::BlockTime)?;
        let spec = ChainSpec::from_genesis(&config.genesis)?;
        let blobs = spec.blob_params(genesis_time).ok_or(L1Error::Fork)?;
        if spec.is_l2() || !spec.has_requests(genesis_time) {
            return Err(L1Error::Fork);
        }
        // Osaka is the execution side of Fulu, Prague of Electra.
        let osaka = config.genesis.config.osaka_time.is_some_and(|time| time <= genesis_time);
        let (chain, store, files) = match &config.data_dir {
            None => {
                let chain = Chain::new(spec, &config.genesis)?;
                let store = BlobStore::new(chain.genesis(), Retention::default());
                (chain, store, None)
            }
            Some(dir) => {
                let storage = StorageConfig {
                    state_memory: STATE_MEMORY,
                    ..StorageConfig::new(dir.join(CHAIN_DIR))
                };
                let chain = Chain::open(spec, &config.genesis, ChainConfig::default(), storage)?;
                let files = BlobFiles::open(dir.join(BLOBS_DIR))?;
                let store = files.restore(&chain, clock, Retention::default())?;
                (chain, store, Some(files))
            }
        };
        let store = Arc::new(RwLock::new(store));
        let api = BeaconApi {
            store: store.clone(),
            clock,
            chain_id: chain.spec().chain_id,
            consensus_fork: if osaka { "fulu" } else { "electra" },
            max_blobs: blobs.max_blob_count,
        };
        let lag = LabelLag { safe: safe_lag, finalized: finality_lag };
        let producer = Producer::new(LocalEngine::new(chain.clone()), store, clock, lag, files);
        Ok(Self { chain, producer, api })
    }
}

/// Builds each block when its slot begins, until the process stops.
async fn produce(producer: Arc<Mutex<Producer>>, shutdown: Shutdown) -> Result<(), ProducerError> {
    while !shutdown.is_stopping() {
        let turn = producer.clone();
        let tick = tokio::task::spawn_blocking(move || lock(&turn).tick(unix_time())).await;
        let tick = match tick {
            Ok(tick) => tick?,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime ends.
            Err(_) => break,
        };
        if let Tick::Wait(time) = tick {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(time) => {}
            }
        }
    }
    Ok(())
}

fn lock(producer: &Mutex<Producer>) -> std::sync::MutexGuard<'_, Producer> {
    // The producer keeps no state that a panic could leave half-changed.
    producer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Time since the Unix epoch; zero before it.
fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

// An address and a port without an IPv6 scope are written as in a URL, so parsing can't fail.
#[allow(clippy::expect_used)]
fn url(scheme: &str, addr: SocketAddr) -> Url {
    let addr = SocketAddr::new(addr.ip(), addr.port());
    Url::parse(&format!("{scheme}://{addr}")).expect("scheme and socket address form a URL")
}

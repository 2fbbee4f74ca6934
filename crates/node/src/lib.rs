//! The rollup node: derivation, forkchoice and, if asked, sequencing over one execution engine.
//!
//! [`start`] runs a node; [`NodeHandle`] is how others see it. One task ([`driver`]) owns all
//! state; `core.rs` and [`forkchoice`] hold its decisions, which ask nobody; the L1 watcher, the fetcher and the
//! RPC are tasks at its edge. A node has no tie to any other node but the L1.
//!
//! ```no_run
//! # async fn example(
//! #     config: opal_node::NodeConfig,
//! #     rpc: opal_service::rpc_server::RpcEndpoint,
//! #     engine: std::sync::Arc<dyn opal_node::Engine>,
//! #     l1: std::sync::Arc<opal_da::L1Client>,
//! # ) -> Result<(), opal_node::NodeError> {
//! let shutdown = opal_service::Shutdown::new();
//! let metrics = opal_service::metrics::Metrics::new();
//! let node = opal_node::start(config, rpc, engine, l1, &metrics, &shutdown).await?;
//! println!("safe head {}", node.status().borrow().safe_l2.number);
//! # Ok(())
//! # }
//! ```

mod core;
pub mod driver;
pub mod engine;
mod error;
mod fetcher;
pub mod forkchoice;
pub mod full;
mod l1_watcher;
mod metrics;
mod recording;
mod rpc;
pub mod safe_db;
mod sequencer;
mod status;
mod sync_start;
#[cfg(test)]
mod testing;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use opal_da::L1Client;
use opal_protocol::{Hardfork, RollupConfig};
use opal_service::metrics::Metrics;
use opal_service::rpc_server::RpcEndpoint;
use opal_service::{RpcHandle, Shutdown};
use tokio::sync::{mpsc, watch};

pub use driver::Command;
pub use engine::{Engine, HttpEngine};
pub use error::NodeError;
pub use full::{FullNode, FullNodeConfig};
pub use status::SyncStatus;

use crate::core::CoreParts;
use driver::{Driver, DriverParts};
use l1_watcher::L1Heads;
use recording::Recording;
use safe_db::SafeDb;
use sequencer::Sequencer;

/// How a node runs.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Name in logs, tasks and metrics, such as `sequencer` or `verifier`.
    pub name: &'static str,
    /// The chain.
    pub rollup: Arc<RollupConfig>,
    /// Present on a node that builds blocks.
    pub sequencer: Option<SequencerConfig>,
    /// L1 blocks that must stand above one before derivation reads it.
    pub l1_conf_depth: u64,
    /// Time between looks at the L1 head.
    pub l1_poll_interval: Duration,
    /// Whether the rollup RPC answers `admin_` methods.
    pub rpc_admin: bool,
    /// The record that answers `optimism_safeHeadAtL1Block`; off without it.
    pub safe_db: Option<Arc<SafeDb>>,
    /// File that everything given to derivation is written to, for `opal derive`.
    pub record: Option<PathBuf>,
    /// Whether to start without a beacon endpoint although batches may be in blobs.
    pub allow_no_beacon: bool,
}

/// How a sequencer chooses L1 origins.
#[derive(Clone, Copy, Debug, Default)]
pub struct SequencerConfig {
    /// L1 blocks that must stand above an L1 origin before a block builds on it.
    pub l1_conf_depth: u64,
}

/// A running node.
#[derive(Debug)]
pub struct NodeHandle {
    status: watch::Receiver<SyncStatus>,
    rpc: RpcHandle,
}

impl NodeHandle {
    /// The node's view of both chains; changes are announced.
    pub fn status(&self) -> watch::Receiver<SyncStatus> {
        self.status.clone()
    }

    /// The rollup RPC server.
    pub const fn rpc(&self) -> &RpcHandle {
        &self.rpc
    }
}

/// Starts a node: finds its place on the L1, answers the rollup RPC on `rpc` and runs until
/// shutdown.
///
/// # Errors
/// When the L1 does not answer or is another chain, the engine's genesis is not the rollup's, the
/// beacon endpoint is missing, or a file of the node cannot be used.
/// Nothing is left running then.
pub async fn start(
    config: NodeConfig,
    rpc: RpcEndpoint,
    engine: Arc<dyn Engine>,
    l1: Arc<L1Client>,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Result<NodeHandle, NodeError> {
    l1.expect_chain_id(config.rollup.l1_chain_id)?;
    let blobs = config.rollup.schedule.time(Hardfork::Ecotone).is_some();
    if blobs && !l1.has_beacon() && !config.allow_no_beacon {
        return Err(NodeError::NoBeacon);
    }
    let recording = match &config.record {
        Some(path) => Some(
            Recording::create(path, &config.rollup)
                .map_err(|error| NodeError::Recording { path: path.clone(), error })?,
        ),
        None => None,
    };
    let l1_heads = L1Heads::read(&l1).await?;
    let (status_tx, status) = watch::channel(SyncStatus::default());
    let (commands_tx, commands) = mpsc::channel(16);
    let driver = Driver::start(DriverParts {
        core: CoreParts {
            config: config.rollup.clone(),
            engine: engine.clone(),
            l1_heads,
            safe_db: config.safe_db.clone(),
            recording,
            metrics: metrics::NodeMetrics::new(metrics, config.name),
        },
        l1: l1.clone(),
        l1_conf_depth: config.l1_conf_depth,
        sequencer: config
            .sequencer
            .map(|s| Sequencer::new(config.rollup.clone(), l1.clone(), s.l1_conf_depth)),
        status: status_tx,
    })
    .await?;

    let context = rpc::RpcContext {
        config: config.rollup.clone(),
        engine,
        status: status.clone(),
        commands: commands_tx,
        safe_db: config.safe_db,
    };
    let module = rpc::module(context, config.rpc_admin)?;
    let rpc = rpc.serve(module)?;

    let (heads_tx, heads) = watch::channel(l1_heads);
    let interval = config.l1_poll_interval;
    let stop = shutdown.token();
    shutdown.spawn_critical(format!("{} L1 watcher", config.name), async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = l1_watcher::watch_l1(l1, interval, heads_tx) => {}
        }
        Ok::<(), Infallible>(())
    });
    let stop = shutdown.token();
    shutdown.spawn_critical(config.name, async move {
        driver.run(heads, commands, stop.cancelled()).await
    });
    Ok(NodeHandle { status, rpc })
}

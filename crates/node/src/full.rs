//! A whole L2 node in one process: execution, its JSON-RPC, and the rollup node over it.

use std::sync::Arc;

use opal_da::L1Client;
use opal_execution::rpc::RpcConfig;
use opal_execution::{Chain, LocalEngine};
#[cfg(unix)]
use opal_service::ipc::{IpcConfig, IpcHandle};
use opal_service::metrics::Metrics;
use opal_service::rpc_server::RpcEndpoint;
use opal_service::{RpcHandle, Shutdown};

use crate::{NodeConfig, NodeError, NodeHandle};

/// What a full node needs beside the L1.
#[derive(Debug)]
pub struct FullNodeConfig {
    /// The rollup node.
    pub node: NodeConfig,
    /// The L2 chain, which must be the rollup's.
    pub chain: Arc<Chain>,
    /// Where the execution JSON-RPC listens.
    pub rpc: RpcEndpoint,
    /// Limits of the execution JSON-RPC.
    pub methods: RpcConfig,
    /// The Unix socket of the execution JSON-RPC.
    #[cfg(unix)]
    pub ipc: Option<IpcConfig>,
    /// Where the rollup RPC listens.
    pub rollup_rpc: RpcEndpoint,
}

/// A running full node.
#[derive(Debug)]
pub struct FullNode {
    /// The L2 chain.
    pub chain: Arc<Chain>,
    /// The rollup node.
    pub node: NodeHandle,
    /// The execution JSON-RPC server.
    pub rpc: RpcHandle,
    /// The Unix socket, if there is one.
    #[cfg(unix)]
    pub ipc: Option<IpcHandle>,
}

/// Starts the rollup node over a chain and answers on both RPCs.
///
/// # Errors
/// When the chain does not belong to the rollup config, or the L1 does not answer.
pub async fn start(
    config: FullNodeConfig,
    l1: Arc<L1Client>,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Result<FullNode, NodeError> {
    let chain = config.chain;
    let engine = LocalEngine::new(chain.clone());
    opal_execution::register_pool_metrics(metrics, config.node.name, chain.clone());
    let node =
        crate::start(config.node, config.rollup_rpc, Arc::new(engine), l1, metrics, shutdown)
            .await?;
    let module = opal_execution::rpc::module_with(chain.clone(), config.methods);
    #[cfg(unix)]
    let ipc = config.ipc.map(|ipc| opal_service::ipc::serve(ipc, module.clone())).transpose()?;
    let rpc = config.rpc.serve(module)?;
    Ok(FullNode {
        chain,
        node,
        rpc,
        #[cfg(unix)]
        ipc,
    })
}

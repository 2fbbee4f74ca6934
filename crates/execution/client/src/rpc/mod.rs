//! JSON-RPC: the `eth`, `net`, `web3`, `txpool`, `debug` and `miner` namespaces of one chain.
//!
//! Names, parameters, result shapes, error codes and texts are those of geth and op-geth. The
//! module can be mounted on a server or called in process.

mod block_id;
mod blocks;
mod call;
mod error;
mod fees;
mod fill;
mod filters;
mod fork_config;
mod gate;
mod historical;
mod info;
mod logs;
pub(crate) mod params;
mod pool;
mod request;
mod send;
mod simulate;
mod state;
mod subscriptions;
mod traces;
mod types;

use std::sync::Arc;
use std::time::Duration;

use alloy_eips::BlockId;
use jsonrpsee::RpcModule;
/// A JSON-RPC error, for [`HistoricalRpc`].
pub use jsonrpsee::types::ErrorObjectOwned;
use serde::Serialize;

use crate::chain::Chain;
use error::RpcResult;
use filters::Filters;
use gate::{Deadline, Gate};
pub use historical::HistoricalRpc;
use params::Args;
pub use traces::TraceConfig;
pub(crate) use types::L1Fields;

/// Limits and names of the RPC.
#[derive(Clone, Debug)]
pub struct RpcConfig {
    /// Answer of `web3_clientVersion`.
    pub client_version: String,
    /// Most gas that `eth_call` and `eth_estimateGas` may use, and `eth_simulateV1` in all.
    pub call_gas_limit: u64,
    /// How long a call that executes code or searches logs may take (geth's `--rpc.evmtimeout`).
    pub call_timeout: Duration,
    /// Expensive calls that run at once; others wait, and cheap calls pass them by.
    pub expensive_calls: usize,
    /// How long an expensive call may wait for its turn.
    pub longest_wait: Duration,
    /// How long `eth_sendRawTransactionSync` waits when it is not told.
    pub send_sync_timeout: Duration,
    /// How long `eth_sendRawTransactionSync` may be told to wait.
    pub max_send_sync_timeout: Duration,
    /// Answers for blocks before Bedrock (op-geth's `--rollup.historicalrpc`).
    pub historical: Option<HistoricalRpc>,
    /// Most blocks that one `eth_getLogs` may look at.
    pub max_log_blocks: u64,
    /// Most logs that one request may return.
    pub max_logs: usize,
    /// Most bytes of data that the logs of one request may hold.
    pub max_log_bytes: usize,
    /// Most filters that wait to be polled; the one that was polled longest ago leaves first.
    pub max_filters: usize,
    /// A filter that is not polled for this long is dropped.
    pub filter_timeout: Duration,
    /// Most changes that one filter collects between two polls.
    pub max_filter_changes: usize,
    /// Limits of traces.
    pub trace: TraceConfig,
}

impl Default for RpcConfig {
    fn default() -> Self {
        Self {
            client_version: concat!("opal/v", env!("CARGO_PKG_VERSION"), "/rust").to_string(),
            call_gas_limit: 50_000_000,
            call_timeout: Duration::from_secs(5),
            expensive_calls: 2 * std::thread::available_parallelism().map_or(2, usize::from),
            longest_wait: Duration::from_secs(20),
            send_sync_timeout: Duration::from_secs(20),
            max_send_sync_timeout: Duration::from_secs(60),
            historical: None,
            max_log_blocks: 100_000,
            max_logs: 20_000,
            max_log_bytes: 64 * 1024 * 1024,
            max_filters: 1_000,
            filter_timeout: Duration::from_secs(300),
            max_filter_changes: 10_000,
            trace: TraceConfig::default(),
        }
    }
}

/// What the methods work on.
pub(crate) struct Rpc {
    chain: Arc<Chain>,
    config: RpcConfig,
    filters: Filters,
    gate: Gate,
}

impl Rpc {
    /// The deadline of a call that begins now.
    fn deadline(&self) -> Deadline {
        Deadline::new(self.config.call_timeout)
    }
}

/// The RPC of a chain with default limits.
pub fn module(chain: Arc<Chain>) -> RpcModule<()> {
    module_with(chain, RpcConfig::default())
}

/// The RPC of a chain.
pub fn module_with(chain: Arc<Chain>, config: RpcConfig) -> RpcModule<()> {
    let filters = Filters::new(config.max_filters, config.filter_timeout);
    let gate = Gate::new(config.expensive_calls, config.longest_wait);
    let mut registry = Registry(RpcModule::new(Rpc { chain, config, filters, gate }));
    blocks::register(&mut registry);
    state::register(&mut registry);
    call::register(&mut registry);
    simulate::register(&mut registry);
    fees::register(&mut registry);
    logs::register(&mut registry);
    filters::register(&mut registry);
    pool::register(&mut registry);
    send::register(&mut registry);
    fill::register(&mut registry);
    fork_config::register(&mut registry);
    info::register(&mut registry);
    traces::register(&mut registry);
    subscriptions::register(&mut registry);
    registry.0.remove_context()
}

/// The module while methods are being added. Every name is a literal in this crate and added once;
/// a name added twice is a mistake that the test of the method list finds, so it is only logged.
struct Registry(RpcModule<Rpc>);

impl Registry {
    /// A method that answers from memory.
    fn quick<T: Serialize + Clone + 'static>(
        &mut self,
        name: &'static str,
        method: fn(&Rpc, &Args<'_>) -> RpcResult<T>,
    ) {
        let added = self.0.register_method(name, move |params, rpc, _| method(rpc, &Args(params)));
        if let Err(error) = added {
            tracing::error!(target: "opal::execution", name, %error, "RPC method not added");
        }
    }

    /// A method that computes for long enough to need a thread of its own, and its turn at the
    /// gate.
    fn blocking<T: Serialize + Clone + Send + 'static>(
        &mut self,
        name: &'static str,
        method: fn(&Rpc, &Args<'_>) -> RpcResult<T>,
    ) {
        let added = self.0.register_async_method(name, move |params, rpc, _| {
            expensive(rpc, Args(params), method)
        });
        if let Err(error) = added {
            tracing::error!(target: "opal::execution", name, %error, "RPC method not added");
        }
    }

    /// A method on the state of the block that the parameter at `block` names; blocks before
    /// Bedrock are another node's.
    fn at_block<T: Serialize + Clone + Send + 'static>(
        &mut self,
        name: &'static str,
        block: usize,
        cost: Cost,
        method: fn(&Rpc, &Args<'_>) -> RpcResult<T>,
    ) {
        let added = self.0.register_async_method(name, move |params, rpc, _| async move {
            let params = Args(params);
            if rpc.is_historical(params.peek::<BlockId>(block)) {
                return rpc.ask_historical(name, &params).await;
            }
            let answer = match cost {
                Cost::Cheap => method(&rpc, &params),
                Cost::Expensive => expensive(rpc, params, method).await,
            };
            answer.and_then(blocks::to_value)
        });
        if let Err(error) = added {
            tracing::error!(target: "opal::execution", name, %error, "RPC method not added");
        }
    }
}

/// Whether a method reads a few values or computes.
#[derive(Clone, Copy, Debug)]
enum Cost {
    Cheap,
    Expensive,
}

/// Waits for a turn at the gate and runs a method on a thread where it may block.
async fn expensive<T: Send + 'static>(
    rpc: Arc<Rpc>,
    params: Args<'static>,
    method: fn(&Rpc, &Args<'_>) -> RpcResult<T>,
) -> RpcResult<T> {
    let permit = rpc.gate.enter().await?;
    let run = move || {
        let _permit = permit;
        method(&rpc, &params)
    };
    match tokio::task::spawn_blocking(run).await {
        Ok(answer) => answer,
        Err(error) => Err(internal(&error)),
    }
}

fn internal(error: &tokio::task::JoinError) -> ErrorObjectOwned {
    tracing::error!(target: "opal::execution", %error, "RPC method failed");
    error::internal("method handler crashed")
}

#[cfg(test)]
mod tests;

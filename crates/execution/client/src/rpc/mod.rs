//! JSON-RPC: the `eth`, `net`, `web3`, `txpool`, `debug` and `miner` namespaces of one chain.
//!
//! Names, parameters, result shapes, error codes and texts are those of geth and op-geth. The
//! module can be mounted on a server or called in process.

mod block_id;
mod blocks;
mod call;
mod error;
mod fees;
mod filters;
mod info;
mod logs;
mod pool;
mod state;
mod subscriptions;
mod types;

use std::sync::Arc;

use jsonrpsee::RpcModule;
use jsonrpsee::types::Params;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::chain::Chain;
use error::RpcResult;
use filters::Filters;
pub(crate) use types::L1Fields;

/// Limits and names of the RPC.
#[derive(Clone, Debug)]
pub struct RpcConfig {
    /// Answer of `web3_clientVersion`.
    pub client_version: String,
    /// Most gas that `eth_call` and `eth_estimateGas` may use.
    pub call_gas_limit: u64,
    /// Most blocks that one `eth_getLogs` may look at.
    pub max_log_blocks: u64,
    /// Most logs that one request may return.
    pub max_logs: usize,
    /// Most filters that wait to be polled; the one that was polled longest ago leaves first.
    pub max_filters: usize,
    /// Most changes that one filter collects between two polls.
    pub max_filter_changes: usize,
}

impl Default for RpcConfig {
    fn default() -> Self {
        Self {
            client_version: concat!("opal/v", env!("CARGO_PKG_VERSION"), "/rust").to_string(),
            call_gas_limit: 50_000_000,
            max_log_blocks: 100_000,
            max_logs: 20_000,
            max_filters: 1_000,
            max_filter_changes: 10_000,
        }
    }
}

/// What the methods work on.
pub(crate) struct Rpc {
    chain: Arc<Chain>,
    config: RpcConfig,
    filters: Filters,
}

/// The RPC of a chain with default limits.
pub fn module(chain: Arc<Chain>) -> RpcModule<()> {
    module_with(chain, RpcConfig::default())
}

/// The RPC of a chain.
pub fn module_with(chain: Arc<Chain>, config: RpcConfig) -> RpcModule<()> {
    let filters = Filters::new(config.max_filters);
    let mut registry = Registry(RpcModule::new(Rpc { chain, config, filters }));
    blocks::register(&mut registry);
    state::register(&mut registry);
    call::register(&mut registry);
    fees::register(&mut registry);
    logs::register(&mut registry);
    filters::register(&mut registry);
    pool::register(&mut registry);
    info::register(&mut registry);
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

    /// A method that computes for long enough to need a thread of its own.
    fn blocking<T: Serialize + Clone + 'static>(
        &mut self,
        name: &'static str,
        method: fn(&Rpc, &Args<'_>) -> RpcResult<T>,
    ) {
        let added = self
            .0
            .register_blocking_method(name, move |params, rpc, _| method(&rpc, &Args(params)));
        if let Err(error) = added {
            tracing::error!(target: "opal::execution", name, %error, "RPC method not added");
        }
    }
}

/// Positional parameters. Trailing optional ones may be absent or null; surplus ones are ignored.
struct Args<'a>(Params<'a>);

impl Args<'_> {
    fn sequence(&self) -> jsonrpsee::types::params::ParamsSequence<'_> {
        self.0.sequence()
    }

    fn one<A: DeserializeOwned>(&self) -> RpcResult<A> {
        self.sequence().next()
    }

    fn two<A: DeserializeOwned, B: DeserializeOwned>(&self) -> RpcResult<(A, B)> {
        let mut params = self.sequence();
        Ok((params.next()?, params.next()?))
    }

    fn two_optional<A: DeserializeOwned, B: DeserializeOwned>(&self) -> RpcResult<(A, Option<B>)> {
        let mut params = self.sequence();
        Ok((params.next()?, params.optional_next()?))
    }
}

#[cfg(test)]
mod tests;

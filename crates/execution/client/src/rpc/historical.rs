//! Calls on blocks before Bedrock, which this chain does not have: they go to a node that does.

use std::pin::Pin;
use std::sync::Arc;

use alloy_eips::{BlockId, BlockNumberOrTag};
use jsonrpsee::types::ErrorObjectOwned;
use serde_json::Value;

use super::Rpc;
use super::error;
use super::params::Args;

/// op-geth's code for a call that nobody here can answer.
const NO_HISTORICAL_FALLBACK: i32 = -32801;

type Answer = Pin<Box<dyn Future<Output = Result<Value, ErrorObjectOwned>> + Send>>;

/// A node that answers for blocks before Bedrock (`--rollup.historicalrpc`).
#[derive(Clone)]
pub struct HistoricalRpc(Arc<dyn Fn(&'static str, Value) -> Answer + Send + Sync>);

impl core::fmt::Debug for HistoricalRpc {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HistoricalRpc")
    }
}

impl HistoricalRpc {
    /// Asks by `call`, which gets method and parameters.
    pub fn new(call: impl Fn(&'static str, Value) -> Answer + Send + Sync + 'static) -> Self {
        Self(Arc::new(call))
    }
}

impl Rpc {
    /// Whether the block that a parameter names lies before this chain's first one.
    pub(super) fn is_historical(&self, block: Option<BlockId>) -> bool {
        match block {
            Some(BlockId::Number(BlockNumberOrTag::Number(number))) => {
                number < self.chain.genesis().header().number
            }
            _ => false,
        }
    }

    /// Asks the node of before Bedrock.
    pub(super) async fn ask_historical(
        &self,
        method: &'static str,
        params: &Args<'_>,
    ) -> Result<Value, ErrorObjectOwned> {
        let Some(historical) = &self.config.historical else {
            return Err(ErrorObjectOwned::owned(
                NO_HISTORICAL_FALLBACK,
                "no historical RPC is available for this historical (pre-bedrock) execution request",
                None::<()>,
            ));
        };
        let params = params.0.parse().map_err(|_| error::invalid_params("non-array args"))?;
        historical.0(method, params).await.map_err(|error| {
            let text = format!("historical backend error: {}", error.message());
            ErrorObjectOwned::owned(error.code(), text, error.data())
        })
    }
}

//! What the batcher asks of the three endpoints.

use std::ops::RangeInclusive;

use alloy_primitives::{Address, B256, Bytes, U64};
use alloy_provider::{DynProvider, Provider};
use alloy_transport::TransportError;
use futures::{Stream, StreamExt, stream};
use opal_protocol::contracts::ISystemConfig;
use opal_protocol::{ConfigError, RollupConfig, SealedBlock};
use opal_service::http::{error_text, provider, without_credentials};
use serde_json::json;
use serde_json::value::RawValue;
use url::Url;

use super::BatcherError;
use super::status::SyncStatus;
use crate::rpc_block::{Layer, RpcBlock};

/// Blocks asked for at the same time.
const CONCURRENT_BLOCKS: usize = 8;

/// Selector of `batcherHash()`.
const BATCHER_HASH: [u8; 4] =
    <ISystemConfig::batcherHashCall as alloy_sol_types::SolCall>::SELECTOR;

/// An endpoint that failed, and why; always worth another try.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag} {endpoint}: {reason}")]
pub(crate) struct CallError {
    flag: &'static str,
    endpoint: String,
    reason: String,
}

/// A JSON-RPC endpoint that a flag names.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub flag: &'static str,
    /// Without credentials.
    name: String,
    pub provider: DynProvider,
}

impl Endpoint {
    pub(crate) fn new(flag: &'static str, url: &Url) -> Result<Self, BatcherError> {
        let provider = provider(url).map_err(|source| BatcherError::Http { flag, source })?;
        Ok(Self { flag, name: without_credentials(url), provider })
    }

    pub(crate) fn error(&self, reason: String) -> CallError {
        CallError { flag: self.flag, endpoint: self.name.clone(), reason }
    }

    fn call_error(&self, what: &str, error: &TransportError) -> CallError {
        self.error(format!("{what}: {}", error_text(error)))
    }

    pub(crate) async fn chain_id(&self) -> Result<u64, CallError> {
        self.provider.get_chain_id().await.map_err(|e| self.call_error("eth_chainId", &e))
    }

    /// The rollup node's configuration of the chain; the inner error is a configuration that this
    /// version can't read.
    pub(crate) async fn rollup_config(
        &self,
    ) -> Result<Result<RollupConfig, ConfigError>, CallError> {
        const METHOD: &str = "optimism_rollupConfig";
        let answer = self.provider.client().request_noparams::<Box<RawValue>>(METHOD).await;
        let json = answer.map_err(|e| self.call_error(METHOD, &e))?;
        Ok(RollupConfig::from_json(json.get()))
    }

    pub(crate) async fn sync_status(&self) -> Result<SyncStatus, CallError> {
        const METHOD: &str = "optimism_syncStatus";
        let answer = self.provider.client().request_noparams(METHOD).await;
        answer.map_err(|e| self.call_error(METHOD, &e))
    }

    /// L2 blocks with these numbers, each checked against its hash, in order. The numbers may
    /// belong to different chains when a reorg comes in between.
    pub(crate) fn l2_blocks(
        &self,
        numbers: RangeInclusive<u64>,
    ) -> impl Stream<Item = Result<SealedBlock, CallError>> + '_ {
        stream::iter(numbers).map(|number| self.l2_block(number)).buffered(CONCURRENT_BLOCKS)
    }

    async fn l2_block(&self, number: u64) -> Result<SealedBlock, CallError> {
        const METHOD: &str = "eth_getBlockByNumber";
        let params = (U64::from(number), true);
        let answer = self.provider.client().request::<_, Option<RpcBlock>>(METHOD, params).await;
        let block = answer.map_err(|e| self.call_error(METHOD, &e))?;
        let block = block.ok_or_else(|| self.error(format!("there is no L2 block {number}")))?;
        let block = block.verify(Layer::L2).map_err(|e| self.error(e.to_string()))?;
        if block.header().number != number {
            let found = block.header().number;
            return Err(self.error(format!("asked for L2 block {number}, got {found}")));
        }
        Ok(block)
    }

    /// The account whose batches count, as the SystemConfig contract names it now. `None` if it
    /// names none: a hash of another form than an address.
    pub(crate) async fn batcher_address(
        &self,
        system_config: Address,
    ) -> Result<Option<Address>, CallError> {
        let call = json!({ "to": system_config, "data": Bytes::from_static(&BATCHER_HASH) });
        let answer = self.provider.client().request::<_, Bytes>("eth_call", (call, "latest")).await;
        let answer = answer.map_err(|e| self.call_error("batcherHash()", &e))?;
        let Ok(word) = B256::try_from(answer.as_ref()) else {
            return Err(self.error(format!(
                "SystemConfig {system_config} does not answer batcherHash(): {answer}"
            )));
        };
        let padding_is_zero = word.iter().take(12).all(|byte| *byte == 0);
        Ok(padding_is_zero.then(|| Address::from_word(word)))
    }
}

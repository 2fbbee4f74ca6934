//! What the batcher reads from the sequencer.

use alloy_primitives::{B256, U64};
use alloy_provider::{DynProvider, Provider};
use opal_protocol::batch::SingularBatch;
use opal_protocol::{RollupConfig, l1_info};
use opal_service::http;
use serde_json::Value;
use url::Url;

use super::args::BatcherConfig;
use super::channel::BlockInput;
use super::state::SyncStatus;
use crate::DaError;
use crate::rpc_block::{Layer, RpcBlock};

/// The sequencer's execution and rollup RPC.
pub(super) struct Source {
    l2: Endpoint,
    rollup: Endpoint,
}

struct Endpoint {
    provider: DynProvider,
    name: String,
}

impl Endpoint {
    fn new(url: &Url) -> Result<Self, DaError> {
        Ok(Self { provider: http::provider(url)?, name: http::without_credentials(url) })
    }
}

impl Source {
    pub(super) async fn connect(config: &BatcherConfig) -> Result<Self, DaError> {
        Ok(Self { l2: Endpoint::new(&config.l2_rpc)?, rollup: Endpoint::new(&config.rollup_rpc)? })
    }

    pub(super) async fn rollup_config(&self) -> Result<RollupConfig, DaError> {
        let what = "optimism_rollupConfig";
        let client = self.rollup.provider.client();
        let value: Value = client
            .request_noparams(what)
            .await
            .map_err(|error| DaError::rpc(&self.rollup.name, what, &error))?;
        RollupConfig::from_json(&value.to_string()).map_err(|error| DaError::Refused {
            endpoint: self.rollup.name.clone(),
            what: what.to_owned(),
            reason: error.to_string(),
        })
    }

    pub(super) async fn expect_chain_id(&self, expected: u64) -> Result<(), DaError> {
        let found = self.l2.provider.get_chain_id().await;
        let found = found.map_err(|error| DaError::rpc(&self.l2.name, "eth_chainId", &error))?;
        if found == expected {
            return Ok(());
        }
        Err(DaError::WrongChain { endpoint: self.l2.name.clone(), expected, found })
    }

    pub(super) async fn sync_status(&self) -> Result<SyncStatus, DaError> {
        let what = "optimism_syncStatus";
        let status = self.rollup.provider.client().request_noparams(what).await;
        status.map_err(|error| DaError::rpc(&self.rollup.name, what, &error))
    }

    /// The canonical L2 block of this number as a batch; `None` above the tip.
    pub(super) async fn block(
        &self,
        config: &RollupConfig,
        number: u64,
    ) -> Result<Option<BlockInput>, DaError> {
        let what = "eth_getBlockByNumber";
        let params = (U64::from(number), true);
        let block = self.l2.provider.client().request::<_, Option<RpcBlock>>(what, params).await;
        let block = block.map_err(|error| DaError::rpc(&self.l2.name, what, &error))?;
        let Some(block) = block else { return Ok(None) };
        let sealed = block.verify(Layer::L2)?;
        input(config, sealed.hash, &sealed.block).map(Some).map_err(|reason| {
            DaError::Inconsistent { block: sealed.id(), reason }
        })
    }
}

/// A block as the batch that makes derivation build it again.
pub(super) fn input(
    config: &RollupConfig,
    hash: B256,
    block: &opal_protocol::Block,
) -> Result<BlockInput, String> {
    let reference = l1_info::l2_block_ref(config, hash, block).map_err(|e| e.to_string())?;
    Ok(BlockInput { reference, batch: SingularBatch::from_block(block, reference.l1_origin) })
}

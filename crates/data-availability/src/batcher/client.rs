//! What the batcher asks of the three endpoints.

use std::ops::RangeInclusive;

use alloy_primitives::{Address, B256, Bytes, U64};
use alloy_provider::Provider;
use futures::{Stream, StreamExt, stream};
use opal_protocol::SealedBlock;
use opal_protocol::contracts::ISystemConfig;
use opal_service::endpoint::{CallError, Endpoint};
use serde_json::json;

use super::status::SyncStatus;
use crate::rpc_block::{Layer, RpcBlock};

/// Blocks asked for at the same time.
const CONCURRENT_BLOCKS: usize = 8;

/// Selector of `batcherHash()`.
const BATCHER_HASH: [u8; 4] =
    <ISystemConfig::batcherHashCall as alloy_sol_types::SolCall>::SELECTOR;

pub(crate) async fn sync_status(rollup: &Endpoint) -> Result<SyncStatus, CallError> {
    rollup.request("optimism_syncStatus", ()).await
}

/// L2 blocks with these numbers, each checked against its hash, in order. The numbers may belong to
/// different chains when a reorg comes in between.
pub(crate) fn l2_blocks(
    l2: &Endpoint,
    numbers: RangeInclusive<u64>,
) -> impl Stream<Item = Result<SealedBlock, CallError>> + '_ {
    stream::iter(numbers).map(|number| l2_block(l2, number)).buffered(CONCURRENT_BLOCKS)
}

async fn l2_block(l2: &Endpoint, number: u64) -> Result<SealedBlock, CallError> {
    let params = (U64::from(number), true);
    let block: Option<RpcBlock> = l2.request("eth_getBlockByNumber", params).await?;
    let block = block.ok_or_else(|| l2.error(format!("there is no L2 block {number}")))?;
    let block = block.verify(Layer::L2).map_err(|e| l2.error(e.to_string()))?;
    if block.header().number != number {
        let found = block.header().number;
        return Err(l2.error(format!("asked for L2 block {number}, got {found}")));
    }
    Ok(block)
}

/// The account whose batches count, as the SystemConfig contract names it now. `None` if it names
/// none: a hash of another form than an address.
pub(crate) async fn batcher_address(
    l1: &Endpoint,
    system_config: Address,
) -> Result<Option<Address>, CallError> {
    let call = json!({ "to": system_config, "data": Bytes::from_static(&BATCHER_HASH) });
    let answer = l1.provider.client().request::<_, Bytes>("eth_call", (call, "latest")).await;
    let answer = answer.map_err(|e| l1.call_error("batcherHash()", &e))?;
    let Ok(word) = B256::try_from(answer.as_ref()) else {
        return Err(l1.error(format!(
            "SystemConfig {system_config} does not answer batcherHash(): {answer}"
        )));
    };
    let padding_is_zero = word.iter().take(12).all(|byte| *byte == 0);
    Ok(padding_is_zero.then(|| Address::from_word(word)))
}

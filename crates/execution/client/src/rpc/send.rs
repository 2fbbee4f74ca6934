//! `eth_sendRawTransactionSync` (EIP-7966), op-geth's `eth_sendRawTransactionConditional`, and the
//! methods of a node that holds keys, which this one does not.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes};
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::types::ErrorObjectOwned;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use super::blocks::to_value;
use super::error::{self, RpcResult};
use super::gate::seconds;
use super::params::Args;
use super::{Registry, Rpc, expensive};
use crate::pool::TransactionConditional;

/// Code of a transaction that waits longer than the caller (EIP-7966).
const SYNC_TIMEOUT: i32 = 4;

pub(super) fn register(registry: &mut Registry) {
    let added = registry.0.register_async_method("eth_sendRawTransactionSync", |params, rpc, _| {
        send_sync(params, rpc)
    });
    if let Err(error) = added {
        tracing::error!(target: "opal::execution", %error, "eth_sendRawTransactionSync not added");
    }
    registry.blocking("eth_sendRawTransactionConditional", |rpc, params| {
        let (raw, condition): (Bytes, TransactionConditional) = params.two()?;
        let head = rpc.chain.head();
        // The state before the head; genesis has none before it.
        let before = match head.hash == rpc.chain.genesis().hash {
            true => head.hash,
            false => head.header().parent_hash,
        };
        let state = rpc.chain.state_at(&before).map_err(|error| error::chain(&error))?;
        let added = rpc.chain.pool().add_conditional(&raw, condition, &state);
        added.map_err(|error| error::pool(&error))
    });
    registry.quick("eth_sendTransaction", |_, params| {
        let _: TransactionRequest = params.one()?;
        unknown_account()
    });
    registry.quick("eth_signTransaction", |_, params| {
        let _: TransactionRequest = params.one()?;
        unknown_account()
    });
    registry.quick("eth_sign", |_, params| {
        let _: (Address, Bytes) = params.two()?;
        unknown_account()
    });
    // Those of the node's own accounts: it has none.
    registry.quick("eth_pendingTransactions", |_, _| Ok(Vec::<Value>::new()));
}

fn unknown_account() -> RpcResult<Value> {
    Err(error::server("unknown account"))
}

/// Sends a transaction and waits for its receipt.
async fn send_sync(params: jsonrpsee::types::Params<'static>, rpc: Arc<Rpc>) -> RpcResult<Value> {
    let params = Args(params);
    let timeout: Option<u64> = {
        let mut params = params.sequence();
        let _: Bytes = params.next()?;
        params.optional_next()?
    };
    let config = &rpc.config;
    let timeout = match timeout {
        None | Some(0) => config.send_sync_timeout,
        Some(millis) => Duration::from_millis(millis).min(config.max_send_sync_timeout),
    };
    // Before the transaction is sent, so that no block is missed.
    let mut events = rpc.chain.subscribe();
    let hash = expensive(rpc.clone(), params, |rpc, params| {
        let raw: Bytes = params.one()?;
        rpc.chain.pool().add_raw(&raw).map_err(|error| error::pool(&error))
    })
    .await?;
    let included = async {
        loop {
            if let Some(receipt) = rpc.receipt(&hash) {
                return to_value(receipt);
            }
            if matches!(events.recv().await, Err(RecvError::Closed)) {
                return Err(error::server("chain subscription closed"));
            }
        }
    };
    match tokio::time::timeout(timeout, included).await {
        Ok(receipt) => receipt,
        Err(_) => Err(not_yet(hash, timeout)),
    }
}

fn not_yet(hash: B256, timeout: Duration) -> ErrorObjectOwned {
    let text = format!(
        "The transaction was added to the transaction pool but wasn't processed in {}",
        seconds(timeout)
    );
    ErrorObjectOwned::owned(SYNC_TIMEOUT, text, Some(hash))
}

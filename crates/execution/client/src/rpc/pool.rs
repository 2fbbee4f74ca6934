//! Sending transactions, and looking into the pool.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_consensus::Transaction;
use alloy_primitives::{Address, Bytes, U64};
use serde::Serialize;

use super::types::RpcTransaction;
use super::{Registry, error};
use crate::pool::{PoolContent, PooledTransaction};

/// Transactions by nonce (decimal).
type ByNonce<T> = BTreeMap<String, T>;

/// The two halves of the pool.
#[derive(Clone, Debug, Serialize)]
struct Halves<T> {
    pending: T,
    queued: T,
}

pub(super) fn register(registry: &mut Registry) {
    registry.blocking("eth_sendRawTransaction", |rpc, params| {
        let raw: Bytes = params.one()?;
        rpc.chain.pool().add_raw(&raw).map_err(|error| error::pool(&error))
    });
    registry.quick("txpool_status", |rpc, _| {
        let (pending, queued) = rpc.chain.pool().status();
        Ok(Halves { pending: U64::from(pending), queued: U64::from(queued) })
    });
    registry.blocking("txpool_content", |rpc, _| {
        let PoolContent { pending, queued } = rpc.chain.pool().content();
        let all = |half: BTreeMap<Address, Vec<Arc<PooledTransaction>>>| {
            by_account(half, &|tx| RpcTransaction::new(tx.tx(), tx.sender(), None))
        };
        Ok(Halves { pending: all(pending), queued: all(queued) })
    });
    registry.blocking("txpool_contentFrom", |rpc, params| {
        let address: Address = params.one()?;
        let PoolContent { mut pending, mut queued } = rpc.chain.pool().content_of(address);
        let one = |half: &mut BTreeMap<Address, Vec<Arc<PooledTransaction>>>| {
            let transactions = half.remove(&address).unwrap_or_default();
            by_nonce(&transactions, &|tx| RpcTransaction::new(tx.tx(), tx.sender(), None))
        };
        Ok(Halves { pending: one(&mut pending), queued: one(&mut queued) })
    });
    registry.blocking("txpool_inspect", |rpc, _| {
        let PoolContent { pending, queued } = rpc.chain.pool().content();
        let all = |half: BTreeMap<Address, Vec<Arc<PooledTransaction>>>| by_account(half, &summary);
        Ok(Halves { pending: all(pending), queued: all(queued) })
    });
}

fn by_account<T>(
    half: BTreeMap<Address, Vec<Arc<PooledTransaction>>>,
    show: &impl Fn(&PooledTransaction) -> T,
) -> BTreeMap<String, ByNonce<T>> {
    // Keys carry the address checksum, as geth's do.
    half.into_iter().map(|(sender, txs)| (sender.to_string(), by_nonce(&txs, show))).collect()
}

fn by_nonce<T>(
    transactions: &[Arc<PooledTransaction>],
    show: &impl Fn(&PooledTransaction) -> T,
) -> ByNonce<T> {
    transactions.iter().map(|tx| (tx.tx().nonce().to_string(), show(tx))).collect()
}

fn summary(pooled: &PooledTransaction) -> String {
    let tx = pooled.tx();
    let to = tx.to().map_or_else(|| "contract creation".to_string(), |to| to.to_string());
    format!("{to}: {} wei + {} gas × {} wei", tx.value(), tx.gas_limit(), tx.max_fee_per_gas())
}

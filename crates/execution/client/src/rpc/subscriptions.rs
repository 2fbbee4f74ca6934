//! `eth_subscribe`.

use std::collections::HashSet;
use std::sync::Arc;

use alloy_primitives::B256;
use alloy_rpc_types_eth::Filter;
use jsonrpsee::core::to_json_raw_value;
use jsonrpsee::types::Params;
use jsonrpsee::{PendingSubscriptionSink, SubscriptionSink};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::broadcast::error::RecvError;

use super::error::{self, RpcResult};
use super::filters::{ChainCursor, Missed, missed_logs};
use super::params::Args;
use super::types::{self, RpcTransaction};
use super::{Registry, Rpc};

/// Blocks that one notification round works through.
const MAX_BLOCKS: usize = 64;
/// Transactions that one subscription to receipts may name.
const MAX_RECEIPT_HASHES: usize = 200;

enum Kind {
    NewHeads,
    Logs(Box<Filter>),
    /// Hashes, or whole transactions when set.
    Pending(bool),
    Syncing,
    /// Receipts of these transactions, or of all.
    Receipts(HashSet<B256>),
}

/// What `transactionReceipts` may be told.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ReceiptQuery {
    transaction_hashes: Vec<B256>,
}

pub(super) fn register(registry: &mut Registry) {
    let added = registry.0.register_subscription(
        "eth_subscribe",
        "eth_subscription",
        "eth_unsubscribe",
        |params, pending, rpc, _| serve(params, pending, rpc),
    );
    if let Err(error) = added {
        tracing::error!(target: "opal::execution", %error, "eth_subscribe not added");
    }
}

fn parse(params: Params<'_>) -> RpcResult<Kind> {
    let params = Args(params);
    let mut params = params.sequence();
    let name: String = params.next()?;
    match name.as_str() {
        "newHeads" => Ok(Kind::NewHeads),
        "logs" => {
            let filter: Option<Filter> = params.optional_next()?;
            let filter = filter.unwrap_or_default();
            super::logs::check_size(&filter)?;
            Ok(Kind::Logs(Box::new(filter)))
        }
        "newPendingTransactions" => Ok(Kind::Pending(params.optional_next()?.unwrap_or_default())),
        "syncing" => Ok(Kind::Syncing),
        "transactionReceipts" => {
            let query: Option<ReceiptQuery> = params.optional_next()?;
            let hashes = query.unwrap_or_default().transaction_hashes;
            if hashes.len() > MAX_RECEIPT_HASHES {
                return Err(error::server(
                    "exceed max number of transaction hashes allowed per transactionReceipts \
                     subscription",
                ));
            }
            Ok(Kind::Receipts(hashes.into_iter().collect()))
        }
        other => {
            Err(error::invalid_params(format!("no \"{other}\" subscription in eth namespace")))
        }
    }
}

async fn serve(params: Params<'static>, pending: PendingSubscriptionSink, rpc: Arc<Rpc>) {
    let kind = match parse(params) {
        Ok(kind) => kind,
        Err(error) => return pending.reject(error).await,
    };
    // Before the client learns its id, so that it misses nothing after.
    let cursor = ChainCursor::at_head(&rpc.chain);
    let events = rpc.chain.subscribe();
    let transactions = rpc.chain.pool().subscribe();
    let Ok(sink) = pending.accept().await else { return };
    match kind {
        kind @ (Kind::NewHeads | Kind::Logs(_) | Kind::Receipts(_)) => {
            follow(&rpc, sink, cursor, events, kind).await;
        }
        Kind::Pending(full) => follow_pool(&rpc, sink, transactions, full).await,
        // This node is never syncing by itself: whoever drives it says what comes next.
        Kind::Syncing => {
            if send(&sink, &false).await {
                sink.closed().await;
            }
        }
    }
}

/// Sends one notification; false when the client has gone.
async fn send(sink: &SubscriptionSink, item: &impl Serialize) -> bool {
    match to_json_raw_value(item) {
        Ok(message) => sink.send(message).await.is_ok(),
        Err(_) => false,
    }
}

async fn follow(
    rpc: &Rpc,
    sink: SubscriptionSink,
    mut cursor: ChainCursor,
    mut events: tokio::sync::broadcast::Receiver<crate::ChainEvent>,
    kind: Kind,
) {
    loop {
        tokio::select! {
            () = sink.closed() => return,
            event = events.recv() => {
                // What happened is read off the chain, so a lost event does no harm.
                if matches!(event, Err(RecvError::Closed)) {
                    return;
                }
            }
        }
        loop {
            let missed = cursor.advance(&rpc.chain, MAX_BLOCKS);
            if missed.added.is_empty() && missed.removed.is_empty() {
                break;
            }
            let Ok(messages) = messages(rpc, &kind, &missed) else { return };
            for message in messages {
                if sink.send(message).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The notifications about missed blocks.
fn messages(
    rpc: &Rpc,
    kind: &Kind,
    missed: &Missed,
) -> Result<Vec<Box<RawValue>>, serde_json::Error> {
    match kind {
        Kind::NewHeads => {
            let added = missed.added.iter();
            added.map(|stored| to_json_raw_value(&types::bare_header(&stored.block))).collect()
        }
        Kind::Logs(filter) => missed_logs(missed, filter).iter().map(to_json_raw_value).collect(),
        Kind::Receipts(hashes) => {
            let mut batches = Vec::new();
            for stored in &missed.added {
                let transactions = &stored.block.block.body.transactions;
                let wanted = transactions.iter().enumerate();
                let wanted = wanted
                    .filter(|(_, tx)| hashes.is_empty() || hashes.contains(&tx.tx_hash()))
                    .map(|(index, _)| index);
                let receipts = rpc.receipts_of(stored).some(wanted);
                if !receipts.is_empty() {
                    batches.push(to_json_raw_value(&receipts)?);
                }
            }
            Ok(batches)
        }
        Kind::Pending(_) | Kind::Syncing => Ok(Vec::new()),
    }
}

async fn follow_pool(
    rpc: &Rpc,
    sink: SubscriptionSink,
    mut transactions: tokio::sync::broadcast::Receiver<B256>,
    full: bool,
) {
    loop {
        let hash = tokio::select! {
            () = sink.closed() => return,
            hash = transactions.recv() => match hash {
                Ok(hash) => hash,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            },
        };
        let alive = if full {
            let Some(tx) = rpc.chain.pool().get(&hash) else { continue };
            send(&sink, &RpcTransaction::new(tx.tx(), tx.sender(), None)).await
        } else {
            send(&sink, &hash).await
        };
        if !alive {
            return;
        }
    }
}

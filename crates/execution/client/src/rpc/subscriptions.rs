//! `eth_subscribe`.

use std::sync::Arc;

use alloy_rpc_types_eth::Filter;
use jsonrpsee::core::to_json_raw_value;
use jsonrpsee::types::Params;
use jsonrpsee::{PendingSubscriptionSink, SubscriptionSink};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;

use super::error::{self, RpcResult};
use super::filters::{ChainCursor, missed_logs};
use super::types::{self, RpcTransaction};
use super::{Registry, Rpc};

/// Blocks that one notification round works through.
const MAX_BLOCKS: usize = 1_024;

enum Kind {
    NewHeads,
    Logs(Box<Filter>),
    /// Hashes, or whole transactions when set.
    Pending(bool),
    Syncing,
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

fn parse(params: &Params<'_>) -> RpcResult<Kind> {
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
        other => {
            Err(error::invalid_params(format!("no \"{other}\" subscription in eth namespace")))
        }
    }
}

async fn serve(params: Params<'static>, pending: PendingSubscriptionSink, rpc: Arc<Rpc>) {
    let kind = match parse(&params) {
        Ok(kind) => kind,
        Err(error) => return pending.reject(error).await,
    };
    // Before the client learns its id, so that it misses nothing after.
    let cursor = ChainCursor::at_head(&rpc.chain);
    let events = rpc.chain.subscribe();
    let transactions = rpc.chain.pool().subscribe();
    let Ok(sink) = pending.accept().await else { return };
    match kind {
        Kind::NewHeads => follow(&rpc, sink, cursor, events, None).await,
        Kind::Logs(filter) => follow(&rpc, sink, cursor, events, Some(*filter)).await,
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
    filter: Option<Filter>,
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
            match &filter {
                None => {
                    for stored in &missed.added {
                        if !send(&sink, &types::bare_header(&stored.block)).await {
                            return;
                        }
                    }
                }
                Some(filter) => {
                    for log in missed_logs(&missed, filter) {
                        if !send(&sink, &log).await {
                            return;
                        }
                    }
                }
            }
        }
    }
}

async fn follow_pool(
    rpc: &Rpc,
    sink: SubscriptionSink,
    mut transactions: tokio::sync::broadcast::Receiver<alloy_primitives::B256>,
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

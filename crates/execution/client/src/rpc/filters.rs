//! Filters that clients poll, and the cursor by which they and subscriptions follow the chain.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use alloy_primitives::{B256, U64};
use alloy_rpc_types_eth::{Filter, Log};
use opal_protocol::BlockId;
use serde::Serialize;
use tokio::sync::broadcast;

use super::error::{self, RpcResult};
use super::logs;
use super::types::RpcTransaction;
use super::{Registry, Rpc};
use crate::chain::{Chain, StoredBlock};

/// The last block that a reader has seen. Following by position instead of by a queue of events
/// loses nothing however slow the reader is, and costs nothing while nobody reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChainCursor {
    last: BlockId,
}

/// What a reader has missed.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// Blocks that it saw and that are no longer canonical, newest first.
    pub removed: Vec<Arc<StoredBlock>>,
    /// Canonical blocks that it has not seen, oldest first.
    pub added: Vec<Arc<StoredBlock>>,
}

impl ChainCursor {
    /// At the head of the chain.
    pub fn at_head(chain: &Chain) -> Self {
        Self { last: chain.head().id() }
    }

    /// Moves towards the head by at most `max_blocks`.
    pub fn advance(&mut self, chain: &Chain, max_blocks: usize) -> Missed {
        let mut missed = Missed::default();
        while !chain.is_canonical(&self.last.hash) {
            let Some(stored) = chain.stored(&self.last.hash) else {
                // Finality has passed and the fork is forgotten: go on from its height.
                let number = self.last.number.min(chain.head().header().number);
                let Some(hash) = chain.canonical_hash(number) else { return missed };
                self.last = BlockId { hash, number };
                break;
            };
            let header = stored.block.header();
            self.last =
                BlockId { hash: header.parent_hash, number: header.number.saturating_sub(1) };
            missed.removed.push(stored);
        }
        while missed.added.len() < max_blocks {
            let Some(next) = chain.stored_by_number(self.last.number + 1) else { break };
            if next.block.header().parent_hash != self.last.hash {
                // The chain changed under our feet: the next call sees it from here.
                break;
            }
            self.last = next.block.id();
            missed.added.push(next);
        }
        missed
    }
}

enum Kind {
    Blocks(ChainCursor),
    Logs(ChainCursor, Box<Filter>),
    /// Hashes, or whole transactions when set.
    Pending(broadcast::Receiver<B256>, bool),
}

struct Entry {
    kind: Kind,
    last_used: u64,
    /// When it is dropped if nobody polls it.
    expires: Instant,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<u64, Entry>,
    /// Counts uses; ids are taken from it too.
    clock: u64,
}

/// All installed filters.
pub(super) struct Filters {
    inner: Mutex<Inner>,
    limit: usize,
    timeout: Duration,
}

impl Filters {
    pub fn new(limit: usize, timeout: Duration) -> Self {
        Self { inner: Mutex::default(), limit, timeout }
    }

    /// The filters without those that were forgotten.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Plain maps: nothing is half done after a panic.
        let mut inner = self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let now = Instant::now();
        inner.entries.retain(|_, entry| entry.expires > now);
        inner
    }

    fn expiry(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.timeout).unwrap_or(now)
    }

    /// A filter that is being used now.
    fn touch<'a>(&self, inner: &'a mut Inner, id: u64) -> RpcResult<&'a mut Entry> {
        inner.clock += 1;
        let clock = inner.clock;
        let entry = inner.entries.get_mut(&id).ok_or_else(|| error::server("filter not found"))?;
        entry.last_used = clock;
        entry.expires = self.expiry();
        Ok(entry)
    }

    fn install(&self, kind: Kind) -> U64 {
        let mut inner = self.lock();
        if inner.entries.len() >= self.limit {
            let oldest =
                inner.entries.iter().min_by_key(|(_, entry)| entry.last_used).map(|(id, _)| *id);
            if let Some(id) = oldest {
                inner.entries.remove(&id);
            }
        }
        inner.clock += 1;
        let id = inner.clock;
        inner.entries.insert(id, Entry { kind, last_used: id, expires: self.expiry() });
        U64::from(id)
    }
}

/// `eth_getFilterChanges`: hashes, logs or transactions.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Changes {
    Hashes(Vec<B256>),
    Logs(Vec<Log>),
    Transactions(Vec<RpcTransaction>),
}

pub(super) fn register(registry: &mut Registry) {
    registry.quick("eth_newBlockFilter", |rpc, _| {
        Ok(rpc.filters.install(Kind::Blocks(ChainCursor::at_head(&rpc.chain))))
    });
    registry.quick("eth_newFilter", |rpc, params| {
        let filter = logs::parse(params)?;
        logs::check_size(&filter)?;
        let cursor = ChainCursor::at_head(&rpc.chain);
        Ok(rpc.filters.install(Kind::Logs(cursor, Box::new(filter))))
    });
    registry.quick("eth_newPendingTransactionFilter", |rpc, params| {
        let full: Option<bool> = params.sequence().optional_next()?;
        let transactions = rpc.chain.pool().subscribe();
        Ok(rpc.filters.install(Kind::Pending(transactions, full.unwrap_or_default())))
    });
    registry.quick("eth_uninstallFilter", |rpc, params| {
        let id: U64 = params.one()?;
        Ok(rpc.filters.lock().entries.remove(&id.to::<u64>()).is_some())
    });
    registry.blocking("eth_getFilterChanges", |rpc, params| {
        let id: U64 = params.one()?;
        rpc.filter_changes(id.to())
    });
    registry.blocking("eth_getFilterLogs", |rpc, params| {
        let id: U64 = params.one()?;
        let filter = match &rpc.filters.touch(&mut rpc.filters.lock(), id.to())?.kind {
            Kind::Logs(_, filter) => filter.clone(),
            _ => return Err(error::server("filter not found")),
        };
        rpc.logs(&filter)
    });
}

impl Rpc {
    fn filter_changes(&self, id: u64) -> RpcResult<Changes> {
        let limit = self.config.max_filter_changes;
        let mut inner = self.filters.lock();
        let entry = self.filters.touch(&mut inner, id)?;
        Ok(match &mut entry.kind {
            Kind::Blocks(cursor) => {
                let missed = cursor.advance(&self.chain, limit);
                Changes::Hashes(missed.added.iter().map(|stored| stored.block.hash).collect())
            }
            Kind::Logs(cursor, filter) => {
                let missed = cursor.advance(&self.chain, limit);
                Changes::Logs(missed_logs(&missed, filter))
            }
            Kind::Pending(receiver, false) => Changes::Hashes(drain(receiver, limit)),
            Kind::Pending(receiver, true) => {
                let pooled = drain(receiver, limit).into_iter();
                let pooled = pooled.filter_map(|hash| self.chain.pool().get(&hash));
                let shown = pooled.map(|tx| RpcTransaction::new(tx.tx(), tx.sender(), None));
                Changes::Transactions(shown.collect())
            }
        })
    }
}

/// Logs of the missed blocks: those of removed blocks first, marked so.
pub(super) fn missed_logs(missed: &Missed, filter: &Filter) -> Vec<Log> {
    let mut found = Vec::new();
    for stored in &missed.removed {
        logs::collect(stored, filter, true, &mut found);
    }
    for stored in missed.added.iter().filter(|stored| in_range(filter, stored.number())) {
        logs::collect(stored, filter, false, &mut found);
    }
    found
}

fn in_range(filter: &Filter, number: u64) -> bool {
    filter.get_from_block().is_none_or(|from| number >= from)
        && filter.get_to_block().is_none_or(|to| number <= to)
}

fn drain(receiver: &mut broadcast::Receiver<B256>, limit: usize) -> Vec<B256> {
    let mut hashes = Vec::new();
    while hashes.len() < limit {
        match receiver.try_recv() {
            Ok(hash) => hashes.push(hash),
            Err(broadcast::error::TryRecvError::Lagged(_)) => {}
            Err(_) => break,
        }
    }
    hashes
}

//! The transaction pool.
//!
//! ```text
//!   decode ──► stateless ──► recover ──► account rules ──► KZG   ──► replacement, ──► queues
//!              rules         sender      (head state)      proofs    limits
//!   queues ── unbroken run from the account's nonce: "pending" ──► best tip first ──► builder
//!          └─ behind a gap: "queued"
//!   new head: included and stale ones leave; a reorg's transactions come back.
//! ```
//!
//! Everything up to the queues runs on the caller's thread without a lock, the cheap rules before
//! the expensive ones; under the lock no step grows with the pool but by a logarithm.

mod best;
mod conditional;
mod config;
mod error;
mod included;
mod journal;
mod keeper;
mod metrics;
mod queues;
mod stats;
mod transaction;
mod validate;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, Bytes, U256};
use opal_evm::State;
use tokio::sync::broadcast;

use crate::threads::cores;

pub use best::BestTransactions;
pub(crate) use conditional::Unmet;
pub use conditional::{KnownAccount, TransactionConditional};
pub use config::PoolConfig;
pub use error::PoolError;
use included::Included;
pub use journal::{Journal, Restored};
pub use keeper::keep_pool;
pub use metrics::register_pool_metrics;
use queues::{Account, Inserted, Queues};
use stats::Counters;
pub use stats::PoolStats;
use transaction::DecodedTransaction;
pub use transaction::{PooledTransaction, Sidecar};
use validate::AccountView;
pub use validate::PoolHead;

/// Where a transaction of the pool stands.
#[derive(Clone, Debug, Default)]
pub struct PoolContent {
    /// Executable transactions by sender and nonce.
    pub pending: BTreeMap<Address, Vec<Arc<PooledTransaction>>>,
    /// Transactions behind a nonce gap.
    pub queued: BTreeMap<Address, Vec<Arc<PooledTransaction>>>,
}

impl PoolContent {
    fn add(&mut self, sender: Address, account: &Account) {
        for (nonce, entry) in &account.transactions {
            let part = if *nonce < account.next { &mut self.pending } else { &mut self.queued };
            part.entry(sender).or_default().push(entry.tx.clone());
        }
    }
}

#[derive(Debug)]
struct Inner {
    head: Arc<PoolHead>,
    queues: Queues,
    included: Included,
    counters: Counters,
    expired_at: Instant,
    /// Grows with every change: a payload built at an older version can be improved.
    version: u64,
}

/// Transactions that wait for a block. All methods may be called from any thread.
#[derive(Debug)]
pub struct TxPool {
    config: PoolConfig,
    inner: RwLock<Inner>,
    refused: stats::Refused,
    pending: broadcast::Sender<B256>,
}

/// A transaction that has passed all rules but those about the rest of the pool.
struct Prepared {
    tx: Arc<PooledTransaction>,
    /// Whose state it was checked against.
    head: Arc<PoolHead>,
    view: AccountView,
    cost: U256,
}

/// Transactions that became executable and were not yet read by a slow subscriber.
const PENDING_BACKLOG: usize = 4_096;
/// How often transactions that have waited for too long are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// From this number of items on, work is shared between threads.
const PARALLEL_FROM: usize = 64;

impl TxPool {
    /// An empty pool on top of a head.
    pub fn new(config: PoolConfig, head: PoolHead) -> Self {
        let (pending, _) = broadcast::channel(PENDING_BACKLOG);
        let inner = Inner {
            queues: Queues::new(head.base_fee, config.locals.iter().copied()),
            head: Arc::new(head),
            included: Included::default(),
            counters: Counters::default(),
            expired_at: Instant::now(),
            version: 0,
        };
        Self { config, inner: RwLock::new(inner), refused: stats::Refused::default(), pending }
    }

    // A panic while the lock was held leaves plain collections behind, each of them consistent
    // enough to go on with; poisoning would turn one lost request into a dead pool.
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Limits in force.
    pub const fn config(&self) -> &PoolConfig {
        &self.config
    }

    /// Decodes, checks and inserts a raw transaction; returns its hash.
    ///
    /// # Errors
    /// The rule that the transaction breaks.
    pub fn add_raw(&self, raw: &[u8]) -> Result<B256, PoolError> {
        self.counted(self.prepare_raw(raw, None).and_then(|prepared| self.insert(prepared)))
    }

    /// Like [`TxPool::add_raw`] for many at once: senders are recovered on all cores, and the lock
    /// is taken once. Results are in the order of the transactions.
    pub fn add_raw_batch(&self, raw: &[Bytes]) -> Vec<Result<B256, PoolError>> {
        let prepared = in_parallel(raw, &|raw: &Bytes| self.prepare_raw(raw, None));
        let mut executable = Vec::new();
        let results = {
            let mut inner = self.write();
            let insert = |prepared: Result<Prepared, PoolError>| {
                let (hash, inserted) = self.insert_locked(&mut inner, prepared?)?;
                executable.extend(inserted.executable);
                Ok(hash)
            };
            prepared.into_iter().map(insert).collect::<Vec<_>>()
        };
        self.announce(executable);
        results.into_iter().map(|result| self.counted(result)).collect()
    }

    /// Like [`TxPool::add_raw`], under a condition that must hold now, in a block on the head's
    /// number and time and the state `before_head`, and again when it is included. As in op-geth
    /// the state is that before the head, so that the method tells nothing that is not known.
    ///
    /// # Errors
    /// The rule that the transaction breaks; [`PoolError::ConditionCost`] and
    /// [`PoolError::Condition`] for the condition.
    pub fn add_conditional(
        &self,
        raw: &[u8],
        condition: TransactionConditional,
        before_head: &State,
    ) -> Result<B256, PoolError> {
        let condition = self.check_condition(condition, before_head);
        let prepared = condition.and_then(|condition| self.prepare_raw(raw, Some(condition)));
        self.counted(prepared.and_then(|prepared| self.insert(prepared)))
    }

    fn check_condition(
        &self,
        mut condition: TransactionConditional,
        before_head: &State,
    ) -> Result<TransactionConditional, PoolError> {
        condition.admit()?;
        let head = self.head();
        condition.check_block(head.number, head.timestamp).map_err(|unmet| {
            PoolError::Condition(format!("failed header check: {}", unmet.text()))
        })?;
        let state = condition.check_state(before_head);
        let state = state.map_err(|error| PoolError::State(error.to_string()))?;
        state.map_err(|unmet| {
            PoolError::Condition(format!("failed parent block state check: {}", unmet.text()))
        })?;
        Ok(condition)
    }

    /// Checks and inserts a transaction; returns its hash.
    ///
    /// # Errors
    /// The rule that the transaction breaks.
    pub fn add(&self, tx: PooledTransaction) -> Result<B256, PoolError> {
        let head = self.head();
        let size = tx.raw().len();
        let checked = head
            .check_stateless(tx.tx(), size, size, &self.config)
            .and_then(|()| self.prepare(tx, head));
        self.counted(checked.and_then(|prepared| self.insert(prepared)))
    }

    fn prepare_raw(
        &self,
        raw: &[u8],
        condition: Option<TransactionConditional>,
    ) -> Result<Prepared, PoolError> {
        // What is too long is not even decoded.
        validate::check_size(
            raw.len(),
            self.config.max_tx_bytes.max(self.config.max_blob_tx_bytes),
        )?;
        let decoded = DecodedTransaction::decode(raw)?;
        let head = {
            let inner = self.read();
            if inner.queues.get(&decoded.hash).is_some() {
                return Err(PoolError::AlreadyKnown);
            }
            inner.head.clone()
        };
        head.check_stateless(&decoded.tx, decoded.size(), decoded.network_size, &self.config)?;
        let mut tx = decoded.recover()?;
        if let Some(condition) = condition {
            tx = tx.with_condition(condition);
        }
        self.prepare(tx, head)
    }

    fn prepare(&self, tx: PooledTransaction, head: Arc<PoolHead>) -> Result<Prepared, PoolError> {
        let (tip, minimum) = (tx.tip_cap(), self.config.min_tip);
        if tip < minimum && !self.config.locals.contains(&tx.sender()) {
            return Err(PoolError::TipTooLow { tip, minimum });
        }
        // Who can't pay does not get proofs verified or authorities recovered, which takes
        // milliseconds.
        let view = head.check_account(&tx)?;
        head.check_blobs(&tx)?;
        tx.authorities();
        let cost = head.full_cost(&tx);
        Ok(Prepared { tx: Arc::new(tx), head, view, cost })
    }

    fn insert(&self, prepared: Prepared) -> Result<B256, PoolError> {
        let (hash, inserted) = self.insert_locked(&mut self.write(), prepared)?;
        self.announce(inserted.executable);
        Ok(hash)
    }

    fn insert_locked(
        &self,
        inner: &mut Inner,
        prepared: Prepared,
    ) -> Result<(B256, Inserted), PoolError> {
        let Prepared { tx, head, mut view, mut cost } = prepared;
        let hash = tx.hash();
        if !Arc::ptr_eq(&head, &inner.head) {
            // The head moved meanwhile.
            view = inner.head.check_account(&tx)?;
            cost = inner.head.full_cost(&tx);
        }
        let now = Instant::now();
        self.expire_locked(inner, now);
        let inserted = inner.queues.insert(tx, view, cost, &self.config, now)?;
        inner.version += 1;
        inner.counters.added += 1;
        inner.counters.replaced += u64::from(inserted.replaced.is_some());
        inner.counters.evicted += inserted.evicted.len() as u64;
        Ok((hash, inserted))
    }

    fn announce(&self, executable: Vec<B256>) {
        for hash in executable {
            // Nobody listening is not an error.
            let _ = self.pending.send(hash);
        }
    }

    fn counted(&self, result: Result<B256, PoolError>) -> Result<B256, PoolError> {
        if let Err(error) = &result {
            self.refused.count(error);
        }
        result
    }

    /// Drops what has waited behind a gap for longer than the lifetime. Every head and every
    /// transaction ask for it; once a minute it is done.
    fn expire_locked(&self, inner: &mut Inner, now: Instant) {
        if now.saturating_duration_since(inner.expired_at) < EXPIRY_INTERVAL {
            return;
        }
        inner.expired_at = now;
        let expired = inner.queues.expire(now, self.config.lifetime);
        if expired > 0 {
            inner.version += 1;
            inner.counters.expired += expired as u64;
        }
    }

    /// Moves the pool to a new head: `included` are the transactions of the blocks that became
    /// canonical, `reinjected` those that a reorg took out. Reinjected transactions find their
    /// blobs and conditions again if the pool still holds them.
    pub fn set_head(
        &self,
        head: PoolHead,
        included: &[B256],
        reinjected: Vec<(opal_protocol::TxEnvelope, Address)>,
    ) {
        let head = Arc::new(head);
        // State is read before the lock is taken.
        let (senders, kept) = {
            let inner = self.read();
            let senders: Vec<Address> = inner.queues.accounts().keys().copied().collect();
            let kept = reinjected.iter().map(|(tx, _)| inner.included.get(&tx.tx_hash()).cloned());
            (senders, kept.collect::<Vec<_>>())
        };
        let views = in_parallel(&senders, &|sender: &Address| head.account(*sender));
        let views: HashMap<Address, AccountView> =
            senders.into_iter().zip(views).filter_map(|(s, view)| Some((s, view.ok()?))).collect();
        let whole = reinjected.into_iter().zip(kept).map(|((tx, sender), kept)| {
            kept.unwrap_or_else(|| Arc::new(PooledTransaction::new(tx, sender, None)))
        });
        let mut back: Vec<Prepared> =
            whole.filter_map(|tx| self.prepare_again(tx, &head)).collect();
        back.sort_by_key(|prepared| prepared.tx.nonce());

        let mut inner = self.write();
        inner.head = head.clone();
        inner.version += 1;
        for hash in included {
            // The accounts are moved below.
            if let Some(tx) = inner.queues.take_included(hash) {
                inner.counters.included += 1;
                inner.included.insert(tx, self.config.max_included_blobs);
            }
        }
        // An account that can't be read, or came after the reading, is as it was: a transaction
        // too many does no harm.
        let moved = inner.queues.move_to(
            head.base_fee,
            |sender, old| match views.get(sender) {
                Some(view) => *view,
                None => head.account(*sender).unwrap_or(old),
            },
            |tx| head.full_cost(tx),
            |tx| head.still_fits(tx),
        );
        inner.counters.dropped += moved.dropped.len() as u64;
        let mut executable = moved.executable;
        for prepared in back {
            let hash = prepared.tx.hash();
            match self.insert_locked(&mut inner, prepared) {
                Ok((_, inserted)) => {
                    inner.counters.reinjected += 1;
                    executable.extend(inserted.executable);
                }
                // As a fresh one would be refused.
                Err(error) => lost(&hash, &error),
            }
        }
        let trimmed = inner.queues.trim_queued(self.config.max_queued);
        inner.counters.evicted += trimmed.len() as u64;
        self.expire_locked(&mut inner, Instant::now());
        drop(inner);
        self.announce(executable);
    }

    /// Checks a transaction that comes back out of a block by what may have changed since it was
    /// checked first.
    fn prepare_again(&self, tx: Arc<PooledTransaction>, head: &Arc<PoolHead>) -> Option<Prepared> {
        let check = || {
            if tx.has_blobs() && tx.sidecar().is_none() {
                return Err(PoolError::MissingSidecar);
            }
            if !head.still_fits(&tx) {
                return Err(PoolError::GasLimit);
            }
            head.check_account(&tx)
        };
        match check() {
            Ok(view) => {
                tx.authorities();
                let cost = head.full_cost(&tx);
                Some(Prepared { tx, head: head.clone(), view, cost })
            }
            Err(error) => {
                lost(&tx.hash(), &error);
                None
            }
        }
    }

    /// Drops a transaction that execution refused for good.
    pub fn remove(&self, hash: &B256) {
        let mut inner = self.write();
        if inner.queues.remove(hash).is_some() {
            inner.version += 1;
            inner.counters.dropped += 1;
            let trimmed = inner.queues.trim_queued(self.config.max_queued);
            inner.counters.evicted += trimmed.len() as u64;
        }
    }

    /// Executable transactions at these fees, best tip first.
    pub fn best(&self, base_fee: u64, blob_base_fee: u128) -> BestTransactions<'_> {
        BestTransactions::new(self, base_fee, blob_base_fee)
    }

    /// A transaction of the pool.
    pub fn get(&self, hash: &B256) -> Option<Arc<PooledTransaction>> {
        self.read().queues.get(hash).cloned()
    }

    /// Blobs of a transaction that waits in the pool or was included lately.
    pub fn sidecar(&self, hash: &B256) -> Option<Sidecar> {
        let inner = self.read();
        let tx = inner.queues.get(hash).or_else(|| inner.included.get(hash))?;
        tx.sidecar().cloned()
    }

    /// Blobs by their versioned hashes, of transactions that wait in the pool or were included
    /// lately: the transaction's sidecar, and which of its blobs it is. Unlike all else, this looks at
    /// every transaction, under the lock for reading.
    pub fn blobs(&self, hashes: &[B256]) -> Vec<Option<(Sidecar, usize)>> {
        let wanted: HashSet<B256> = hashes.iter().copied().collect();
        let mut found = HashMap::new();
        let inner = self.read();
        for tx in inner.queues.all().chain(inner.included.all()) {
            let Some(sidecar) = tx.sidecar() else { continue };
            let blobs = tx.tx().blob_versioned_hashes().unwrap_or_default();
            for (index, hash) in blobs.iter().enumerate().filter(|(_, hash)| wanted.contains(*hash))
            {
                found.insert(*hash, (sidecar.clone(), index));
            }
        }
        drop(inner);
        hashes.iter().map(|hash| found.get(hash).cloned()).collect()
    }

    /// The nonce that the account's next transaction needs, executable ones of the pool counted.
    ///
    /// # Errors
    /// When state can't be read.
    pub fn next_nonce(&self, sender: Address) -> Result<u64, PoolError> {
        let head = {
            let inner = self.read();
            if let Some(account) = inner.queues.accounts().get(&sender) {
                return Ok(account.next);
            }
            inner.head.clone()
        };
        Ok(head.account(sender)?.nonce)
    }

    /// Number of executable transactions and of those behind a gap.
    pub fn status(&self) -> (usize, usize) {
        let inner = self.read();
        let pending = inner.queues.executable();
        (pending, inner.queues.len() - pending)
    }

    /// What the pool holds, and what it did since it began.
    pub fn stats(&self) -> PoolStats {
        let inner = self.read();
        let pending = inner.queues.executable();
        PoolStats {
            pending,
            queued: inner.queues.len() - pending,
            bytes: inner.queues.bytes(),
            blobs: inner.queues.blobs(),
            refused: self.refused.snapshot(),
            ..inner.counters.stats()
        }
    }

    /// Everything, sorted by sender and nonce.
    pub fn content(&self) -> PoolContent {
        let inner = self.read();
        let mut content = PoolContent::default();
        for (sender, account) in inner.queues.accounts() {
            content.add(*sender, account);
        }
        content
    }

    /// What one account has in the pool.
    pub fn content_of(&self, sender: Address) -> PoolContent {
        let inner = self.read();
        let mut content = PoolContent::default();
        if let Some(account) = inner.queues.accounts().get(&sender) {
            content.add(sender, account);
        }
        content
    }

    /// Grows with every change of the pool.
    pub fn version(&self) -> u64 {
        self.read().version
    }

    /// The block that the pool's transactions would go into.
    pub fn head(&self) -> Arc<PoolHead> {
        self.read().head.clone()
    }

    /// Hashes of transactions as they become executable.
    pub fn subscribe(&self) -> broadcast::Receiver<B256> {
        self.pending.subscribe()
    }
}

fn lost(hash: &B256, error: &PoolError) {
    tracing::debug!(target: "opal::execution", %hash, %error, "transaction lost in a reorg");
}

/// `work` on every item, on as many threads as there are cores when there is enough of it. Results
/// are in the order of the items.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: &(impl Fn(&T) -> R + Sync)) -> Vec<R> {
    let threads = cores().min(16);
    if items.len() < PARALLEL_FROM || threads == 1 {
        return items.iter().map(work).collect();
    }
    let size = items.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let spawned: Vec<_> = items
            .chunks(size)
            .map(|chunk| scope.spawn(move || chunk.iter().map(work).collect::<Vec<R>>()))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Vec<R>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        spawned.into_iter().flat_map(join).collect()
    })
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod journal_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;

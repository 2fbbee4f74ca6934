//! The transaction pool.
//!
//! ```text
//!   decode, recover ──► stateless rules ──► account rules ──► replacement, limits ──► queues
//!                        (KZG proofs)        (head state)      (10 %, blobs 100 %)
//!   queues ── unbroken run from the account's nonce: "pending" ──► best tip first ──► builder
//!          └─ behind a gap: "queued"
//!   new head: included and stale ones leave; a reorg's transactions come back.
//! ```

mod error;
mod queues;
mod transaction;
mod validate;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256};
use tokio::sync::broadcast;

pub use error::PoolError;
pub use queues::BestTransactions;
use queues::Queues;
pub use transaction::{PooledTransaction, Sidecar};
pub use validate::PoolHead;

/// Limits of the pool.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Transactions in all.
    pub max_transactions: usize,
    /// Bytes of all transactions, blobs not counted.
    pub max_bytes: usize,
    /// Blobs of all transactions (128 KiB each).
    pub max_blobs: usize,
    /// Transactions of one account.
    pub max_per_account: usize,
    /// Transactions of one account behind a nonce gap.
    pub max_queued_per_account: usize,
    /// Bytes of one transaction, blobs not counted.
    pub max_tx_bytes: usize,
    /// Lowest tip cap, in wei per gas.
    pub min_tip: u128,
    /// Blobs kept after their transaction was included, for the case of a reorg.
    pub max_included_blobs: usize,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_transactions: 16_384,
            max_bytes: 128 << 20,
            max_blobs: 512,
            max_per_account: 4_096,
            max_queued_per_account: 64,
            max_tx_bytes: 128 << 10,
            min_tip: 0,
            max_included_blobs: 512,
        }
    }
}

/// Where a transaction of the pool stands.
#[derive(Clone, Debug, Default)]
pub struct PoolContent {
    /// Executable transactions by sender and nonce.
    pub pending: BTreeMap<Address, Vec<PooledTransaction>>,
    /// Transactions behind a nonce gap.
    pub queued: BTreeMap<Address, Vec<PooledTransaction>>,
}

/// Blobs of included transactions, oldest first, in case a reorg brings the transactions back.
#[derive(Debug, Default)]
struct Included {
    order: std::collections::VecDeque<B256>,
    sidecars: HashMap<B256, Sidecar>,
    blobs: usize,
}

impl Included {
    fn insert(&mut self, hash: B256, sidecar: Sidecar, limit: usize) {
        let blobs = sidecar.blobs().len();
        // A transaction that a reorg brought back may be included again.
        if self.sidecars.insert(hash, sidecar).is_none() {
            self.order.push_back(hash);
            self.blobs += blobs;
        }
        while self.blobs > limit {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(sidecar) = self.sidecars.remove(&oldest) {
                self.blobs = self.blobs.saturating_sub(sidecar.blobs().len());
            }
        }
    }
}

#[derive(Debug)]
struct Inner {
    head: Arc<PoolHead>,
    queues: Queues,
    included: Included,
    /// Grows with every change: a payload built at an older version can be improved.
    version: u64,
}

/// Transactions that wait for a block. All methods may be called from any thread.
#[derive(Debug)]
pub struct TxPool {
    config: PoolConfig,
    inner: RwLock<Inner>,
    pending: broadcast::Sender<B256>,
}

/// Transactions that became executable and were not yet read by a slow subscriber.
const PENDING_BACKLOG: usize = 4_096;

impl TxPool {
    /// An empty pool on top of a head.
    pub fn new(config: PoolConfig, head: PoolHead) -> Self {
        let (pending, _) = broadcast::channel(PENDING_BACKLOG);
        let inner = Inner {
            head: Arc::new(head),
            queues: Queues::default(),
            included: Included::default(),
            version: 0,
        };
        Self { config, inner: RwLock::new(inner), pending }
    }

    // A panic while the lock was held leaves plain collections behind, each of them consistent
    // enough to go on with; poisoning would turn one lost request into a dead pool.
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Decodes, checks and inserts a raw transaction; returns its hash.
    ///
    /// # Errors
    /// The rule that the transaction breaks.
    pub fn add_raw(&self, raw: &[u8]) -> Result<B256, PoolError> {
        self.add(PooledTransaction::decode(raw)?)
    }

    /// Checks and inserts a transaction; returns its hash.
    ///
    /// # Errors
    /// The rule that the transaction breaks.
    pub fn add(&self, tx: PooledTransaction) -> Result<B256, PoolError> {
        let head = {
            let inner = self.read();
            if inner.queues.get(&tx.hash()).is_some() {
                return Err(PoolError::AlreadyKnown);
            }
            inner.head.clone()
        };
        head.check_stateless(&tx, &self.config)?;
        // Who can't pay does not get proofs verified, which takes milliseconds (outside the lock).
        head.check_account(&tx)?;
        head.check_blobs(&tx)?;
        let (hash, sender, nonce) = (tx.hash(), tx.sender(), tx.tx().nonce());
        let executable: Vec<B256> = {
            let mut inner = self.write();
            let head = inner.head.clone();
            let account = head.check_account(&tx)?;
            let cost = head.full_cost(&tx);
            let before = inner.queues.next_nonce(sender, account.nonce);
            inner.queues.insert(
                tx,
                account.nonce,
                account.balance,
                cost,
                head.base_fee,
                &self.config,
            )?;
            inner.version += 1;
            if nonce < before {
                vec![hash]
            } else {
                let run = inner.queues.run(sender, account.nonce);
                run.skip((before - account.nonce) as usize).map(|e| e.tx.hash()).collect()
            }
        };
        for hash in executable {
            // Nobody listening is not an error.
            let _ = self.pending.send(hash);
        }
        Ok(hash)
    }

    /// Moves the pool to a new head: `included` are the transactions of the blocks that became
    /// canonical, `reinjected` those that a reorg took out. Reinjected blob transactions find
    /// their blobs again if the pool still holds them.
    pub fn set_head(
        &self,
        head: PoolHead,
        included: &[B256],
        mut reinjected: Vec<(opal_protocol::TxEnvelope, Address)>,
    ) {
        let mut inner = self.write();
        let head = Arc::new(head);
        inner.head = head.clone();
        inner.version += 1;
        for hash in included {
            if let Some(entry) = inner.queues.remove(hash)
                && let Some(sidecar) = entry.tx.sidecar()
            {
                inner.included.insert(*hash, sidecar.clone(), self.config.max_included_blobs);
            }
        }
        reinjected.sort_by_key(|(tx, _)| tx.nonce());
        for (tx, sender) in reinjected {
            let sidecar = inner.included.sidecars.get(&tx.tx_hash()).cloned();
            let tx = PooledTransaction::new(tx, sender, sidecar);
            // What no longer fits the new chain is gone, as a fresh transaction would be refused.
            if let Err(error) = reinsert(&mut inner, &head, tx, &self.config) {
                tracing::debug!(target: "opal::execution", %error, "transaction lost in a reorg");
            }
        }
        for hash in stale(&inner.queues, &head) {
            inner.queues.remove(&hash);
        }
    }

    /// Drops a transaction that execution refused for good.
    pub fn remove(&self, hash: &B256) {
        let mut inner = self.write();
        if inner.queues.remove(hash).is_some() {
            inner.version += 1;
        }
    }

    /// Executable transactions at these fees, best tip first.
    pub fn best(&self, base_fee: u64, blob_base_fee: u128) -> BestTransactions {
        let inner = self.read();
        let head = &inner.head;
        inner.queues.best(base_fee, blob_base_fee, |sender| {
            head.account(sender).map_or(0, |account| account.nonce)
        })
    }

    /// A transaction of the pool.
    pub fn get(&self, hash: &B256) -> Option<PooledTransaction> {
        self.read().queues.get(hash).map(|entry| entry.tx.clone())
    }

    /// Blobs of a transaction that waits in the pool or was included lately.
    pub fn sidecar(&self, hash: &B256) -> Option<Sidecar> {
        let inner = self.read();
        match inner.queues.get(hash) {
            Some(entry) => entry.tx.sidecar().cloned(),
            None => inner.included.sidecars.get(hash).cloned(),
        }
    }

    /// The nonce that the account's next transaction needs, executable ones of the pool counted.
    ///
    /// # Errors
    /// When state can't be read.
    pub fn next_nonce(&self, sender: Address) -> Result<u64, PoolError> {
        let inner = self.read();
        let account = inner.head.account(sender)?;
        Ok(inner.queues.next_nonce(sender, account.nonce))
    }

    /// Number of executable transactions and of those behind a gap.
    pub fn status(&self) -> (usize, usize) {
        let inner = self.read();
        let pending = inner
            .queues
            .accounts()
            .keys()
            .map(|sender| {
                let nonce = inner.head.account(*sender).map_or(0, |account| account.nonce);
                inner.queues.run(*sender, nonce).count()
            })
            .sum();
        (pending, inner.queues.len() - pending)
    }

    /// Everything, sorted by sender and nonce.
    pub fn content(&self) -> PoolContent {
        let inner = self.read();
        let mut content = PoolContent::default();
        for (sender, account) in inner.queues.accounts() {
            let nonce = inner.head.account(*sender).map_or(0, |account| account.nonce);
            let run = inner.queues.next_nonce(*sender, nonce);
            for (n, entry) in account {
                let part = if *n < run { &mut content.pending } else { &mut content.queued };
                part.entry(*sender).or_default().push(entry.tx.clone());
            }
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

fn reinsert(
    inner: &mut Inner,
    head: &PoolHead,
    tx: PooledTransaction,
    config: &PoolConfig,
) -> Result<(), PoolError> {
    // Proofs were checked when the transaction came first; everything else may have changed.
    if tx.blob_count() > 0 && tx.sidecar().is_none() {
        return Err(PoolError::MissingSidecar);
    }
    let account = head.check_account(&tx)?;
    let cost = head.full_cost(&tx);
    inner.queues.insert(tx, account.nonce, account.balance, cost, head.base_fee, config).map(|_| ())
}

/// Transactions whose nonce is used, or that their sender can't pay for any more.
fn stale(queues: &Queues, head: &PoolHead) -> Vec<B256> {
    let mut stale = Vec::new();
    for (sender, account) in queues.accounts() {
        let Ok(view) = head.account(*sender) else { continue };
        for (nonce, entry) in account {
            if *nonce < view.nonce
                || entry.cost > view.balance
                || entry.tx.tx().gas_limit() > head.gas_limit
            {
                stale.push(entry.tx.hash());
            }
        }
    }
    stale
}

#[cfg(test)]
mod tests;

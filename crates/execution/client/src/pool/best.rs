//! The executable transactions, best first.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;

use alloy_consensus::Transaction;

use super::queues::Entry;
use super::{PooledTransaction, TxPool};

/// One sender's next transaction in the race for block space.
#[derive(Debug)]
struct Candidate {
    tip: u128,
    sequence: u64,
    tx: Arc<PooledTransaction>,
}

impl Candidate {
    const fn key(&self) -> (u128, Reverse<u64>) {
        (self.tip, Reverse(self.sequence))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// The executable transactions at given fees: the highest tip first, of equal ones the oldest, and
/// each sender's by nonce. It starts with the pool as it is and looks up a sender's later
/// transactions when they are due.
#[derive(Debug)]
pub struct BestTransactions<'a> {
    pool: &'a TxPool,
    base_fee: u64,
    blob_base_fee: u128,
    heads: BinaryHeap<Candidate>,
    /// Whose successor is to be looked up.
    current: Option<Arc<PooledTransaction>>,
}

impl<'a> BestTransactions<'a> {
    pub(super) fn new(pool: &'a TxPool, base_fee: u64, blob_base_fee: u128) -> Self {
        let mut this =
            Self { pool, base_fee, blob_base_fee, heads: BinaryHeap::new(), current: None };
        let inner = pool.read();
        let accounts = inner.queues.accounts().values();
        let firsts = accounts.filter_map(|account| account.transactions.get(&account.view.nonce));
        let heads: Vec<Candidate> = firsts.filter_map(|entry| this.candidate(entry)).collect();
        drop(inner);
        this.heads = heads.into();
        this
    }

    /// `None` when the transaction does not pay the base fees.
    fn candidate(&self, entry: &Entry) -> Option<Candidate> {
        let tx = entry.tx.tx();
        if tx.max_fee_per_blob_gas().is_some_and(|fee| fee < self.blob_base_fee) {
            return None;
        }
        let over_base = entry.tx.fee_cap().checked_sub(u128::from(self.base_fee))?;
        let tip = over_base.min(entry.tx.tip_cap());
        Some(Candidate { tip, sequence: entry.sequence, tx: entry.tx.clone() })
    }

    /// About the next `count` transactions, in no order: the best of the senders' next ones.
    pub(crate) fn upcoming(&self, count: usize) -> impl Iterator<Item = &PooledTransaction> {
        // In a heap the better ones lie in front, roughly.
        self.heads.iter().take(count).map(|candidate| &*candidate.tx)
    }

    /// Leaves out the rest of the sender whose transaction was returned last: without that one the
    /// later nonces can't run.
    pub fn skip_sender(&mut self) {
        self.current = None;
    }
}

impl Iterator for BestTransactions<'_> {
    type Item = Arc<PooledTransaction>;

    fn next(&mut self) -> Option<Arc<PooledTransaction>> {
        if let Some(last) = self.current.take() {
            let inner = self.pool.read();
            let account = inner.queues.accounts().get(&last.sender());
            let following =
                account.and_then(|account| account.transactions.get(&last.nonce().checked_add(1)?));
            if let Some(candidate) = following.and_then(|entry| self.candidate(entry)) {
                drop(inner);
                self.heads.push(candidate);
            }
        }
        let Candidate { tx, .. } = self.heads.pop()?;
        self.current = Some(tx.clone());
        Some(tx)
    }
}

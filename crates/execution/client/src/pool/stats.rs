//! What the pool counts. Hosts publish it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::error::PoolError;

/// What the pool holds, and what it did since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Executable transactions.
    pub pending: usize,
    /// Transactions behind a nonce gap.
    pub queued: usize,
    /// Bytes of memory, blobs not counted.
    pub bytes: usize,
    /// Blobs.
    pub blobs: usize,
    /// Transactions taken, those that a reorg brought back included.
    pub added: u64,
    /// Transactions that took another's place.
    pub replaced: u64,
    /// Transactions that a reorg brought back.
    pub reinjected: u64,
    /// Transactions that left with a block.
    pub included: u64,
    /// Transactions that left a full pool.
    pub evicted: u64,
    /// Transactions that had waited too long behind a gap.
    pub expired: u64,
    /// Transactions that a new head or their execution made impossible.
    pub dropped: u64,
    /// Transactions not taken, by reason.
    pub refused: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub added: u64,
    pub replaced: u64,
    pub reinjected: u64,
    pub included: u64,
    pub evicted: u64,
    pub expired: u64,
    pub dropped: u64,
}

impl Counters {
    pub fn stats(&self) -> PoolStats {
        PoolStats {
            added: self.added,
            replaced: self.replaced,
            reinjected: self.reinjected,
            included: self.included,
            evicted: self.evicted,
            expired: self.expired,
            dropped: self.dropped,
            ..PoolStats::default()
        }
    }
}

/// Refusals by reason. The reasons are literals, so there are few.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<BTreeMap<&'static str, u64>>);

impl Refused {
    pub fn count(&self, error: &PoolError) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(error.reason()).or_default() += 1;
    }

    pub fn snapshot(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

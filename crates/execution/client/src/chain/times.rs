//! Where the time of imports goes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Clock time that a chain has spent on blocks that came from elsewhere and on its new heads, since
/// it was opened. What is not in here of a block's time goes into labels and indexes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportTimes {
    /// Blocks that were executed.
    pub blocks: u64,
    /// Recovering the senders of their transactions.
    pub senders: Duration,
    /// The transactions, and the calls before them.
    pub execution: Duration,
    /// The calls after the transactions, all roots, the header's comparison.
    pub roots: Duration,
    /// Writing blocks and labels into the journal, and waiting for the disk; nothing in memory.
    pub storing: Duration,
    /// Keeping the state's memory and files in bounds; nothing in memory.
    pub tending: Duration,
    /// Moving the pool to new heads.
    pub pool: Duration,
    /// Flushes that were committed.
    pub flushes: u64,
    /// What they took on a thread of their own, beside imports as a rule.
    pub flushing: Duration,
    /// The last part of each flush, in which the chain cannot change.
    pub committing: Duration,
}

impl ImportTimes {
    /// What was added since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            blocks: self.blocks.saturating_sub(before.blocks),
            senders: self.senders.saturating_sub(before.senders),
            execution: self.execution.saturating_sub(before.execution),
            roots: self.roots.saturating_sub(before.roots),
            storing: self.storing.saturating_sub(before.storing),
            tending: self.tending.saturating_sub(before.tending),
            pool: self.pool.saturating_sub(before.pool),
            flushes: self.flushes.saturating_sub(before.flushes),
            flushing: self.flushing.saturating_sub(before.flushing),
            committing: self.committing.saturating_sub(before.committing),
        }
    }
}

/// The sums, as they grow.
#[derive(Debug, Default)]
pub(super) struct Times(Mutex<ImportTimes>);

impl Times {
    pub(super) fn add(&self, add: impl FnOnce(&mut ImportTimes)) {
        add(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn get(&self) -> ImportTimes {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

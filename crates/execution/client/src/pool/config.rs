//! The pool's limits.

use std::collections::BTreeSet;
use std::time::Duration;

use alloy_primitives::Address;

/// Limits of the pool.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Transactions in all.
    pub max_transactions: usize,
    /// Transactions behind a nonce gap, in all.
    pub max_queued: usize,
    /// Bytes of memory of all transactions, blobs not counted.
    pub max_bytes: usize,
    /// Blobs of all transactions (128 KiB each).
    pub max_blobs: usize,
    /// Transactions of one account.
    pub max_per_account: usize,
    /// Transactions of one account behind a nonce gap.
    pub max_queued_per_account: usize,
    /// Bytes of one transaction, blobs not counted.
    pub max_tx_bytes: usize,
    /// Bytes of one transaction with its blobs.
    pub max_blob_tx_bytes: usize,
    /// Lowest tip cap, in wei per gas.
    pub min_tip: u128,
    /// How long a transaction may wait behind a gap.
    pub lifetime: Duration,
    /// Senders that the lowest tip does not bind, and whose transactions neither expire nor leave
    /// a full pool.
    pub locals: BTreeSet<Address>,
    /// Whether transactions without a chain id (before EIP-155) are taken.
    pub allow_unprotected: bool,
    /// Blobs kept after their transaction was included, for the case of a reorg.
    pub max_included_blobs: usize,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_transactions: 16_384,
            max_queued: 4_096,
            max_bytes: 256 << 20,
            max_blobs: 512,
            max_per_account: 4_096,
            max_queued_per_account: 64,
            max_tx_bytes: 128 << 10,
            // Nine blobs with their proofs; the fork says how many there may be.
            max_blob_tx_bytes: 5 << 18,
            min_tip: 0,
            lifetime: Duration::from_secs(3 * 60 * 60),
            locals: BTreeSet::new(),
            allow_unprotected: false,
            max_included_blobs: 512,
        }
    }
}

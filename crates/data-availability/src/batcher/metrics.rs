//! The batcher's numbers: for the status of a devnet, and as `opal_batcher_*` for Prometheus.

use opal_service::metrics::Metrics;
use opal_service::metrics::prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use tokio::sync::watch;

use super::BatcherStats;
use super::channel::BlockSummary;

/// Keeps statistics and metrics in step.
#[derive(Debug)]
pub(crate) struct Recorder {
    stats: watch::Sender<BatcherStats>,
    /// The newest block that was counted.
    counted_block: u64,
    transactions: Counter,
    failed: Counter,
    l1_bytes: Counter,
    l2_transactions: Counter,
    lost: Counter,
    pending_blocks: Gauge,
    paused: Gauge,
}

impl Recorder {
    pub(crate) fn new(stats: watch::Sender<BatcherStats>, metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.register("batcher", name, help, Counter::default());
        let gauge = |name, help| metrics.register("batcher", name, help, Gauge::default());
        Self {
            stats,
            counted_block: 0,
            transactions: counter("transactions", "Transactions that L1 confirmed"),
            failed: counter("failed_transactions", "Transactions given up"),
            l1_bytes: counter("l1_bytes", "Bytes of batcher data in confirmed transactions"),
            l2_transactions: counter("l2_transactions", "User transactions in confirmed channels"),
            lost: counter("lost_channels", "Channels on L1 that derivation did not take"),
            pending_blocks: gauge("pending_blocks", "L2 blocks read and not yet safe"),
            paused: gauge("paused", "Whether sending is paused because it would be wasted"),
        }
    }

    /// L1 confirmed a transaction with so many bytes and blobs, which completes the data of these blocks.
    pub(crate) fn confirmed(&mut self, bytes: u64, blobs: u64, blocks: &[BlockSummary]) {
        let new = blocks.iter().filter(|block| block.number > self.counted_block);
        let l2_transactions = new.map(|block| block.transactions).sum::<u64>();
        if let Some(last) = blocks.last() {
            self.counted_block = self.counted_block.max(last.number);
        }
        self.transactions.inc();
        self.l1_bytes.inc_by(bytes);
        self.l2_transactions.inc_by(l2_transactions);
        self.stats.send_modify(|stats| {
            stats.transactions += 1;
            stats.l1_bytes += bytes;
            stats.blobs += blobs;
            stats.l2_transactions += l2_transactions;
        });
    }

    pub(crate) fn failed(&self) {
        self.failed.inc();
        self.stats.send_modify(|stats| stats.failed_transactions += 1);
    }

    pub(crate) fn lost(&self, channels: u64) {
        if channels > 0 {
            self.lost.inc_by(channels);
            self.stats.send_modify(|stats| stats.lost_channels += channels);
        }
    }

    pub(crate) fn state(&self, pending_blocks: usize, paused: bool) {
        self.pending_blocks.set(i64::try_from(pending_blocks).unwrap_or(i64::MAX));
        self.paused.set(i64::from(paused));
        self.stats.send_if_modified(|stats| {
            let pending_blocks = pending_blocks as u64;
            let changed = (stats.pending_blocks, stats.paused) != (pending_blocks, paused);
            (stats.pending_blocks, stats.paused) = (pending_blocks, paused);
            changed
        });
    }
}

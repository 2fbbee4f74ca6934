//! The live status of a running devnet: one line that redraws on a terminal, plain log records
//! elsewhere.

use std::time::Duration;

use opal_da::BatcherStats;
use opal_dispute::ProposerStats;
use opal_node::SyncStatus;
use opal_service::{Shutdown, logging};
use tokio::sync::watch;
use tracing::info;

/// Time between status records where there is no terminal.
const RECORD_INTERVAL: Duration = Duration::from_secs(10);
/// Time between redraws of the terminal's line.
const LINE_INTERVAL: Duration = Duration::from_millis(500);

/// Everything that the status tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Snapshot {
    /// Tip of the L1.
    pub l1_head: u64,
    /// Tip of the L2.
    pub unsafe_l2: u64,
    /// Newest L2 block derived from L1.
    pub safe_l2: u64,
    /// Newest L2 block derived from finalized L1 blocks.
    pub finalized_l2: u64,
    /// Safe head of the verifier, where one runs.
    pub verifier_safe: Option<u64>,
    /// Batcher transactions that L1 included.
    pub batches: u64,
    /// Bytes on L1 for each L2 transaction of a user; `None` before the first one.
    pub bytes_per_tx: Option<f64>,
    /// L2 block of the newest proposal, where a proposer runs and has made one.
    pub proposed: Option<u64>,
}

impl Snapshot {
    /// Puts together what the sequencer, the verifier, the batcher and the proposer say.
    pub fn new(
        sequencer: &SyncStatus,
        verifier: Option<&SyncStatus>,
        batcher: &BatcherStats,
        proposer: Option<&ProposerStats>,
    ) -> Self {
        let bytes_per_tx = (batcher.l2_transactions > 0)
            .then(|| batcher.l1_bytes as f64 / batcher.l2_transactions as f64);
        Self {
            l1_head: sequencer.head_l1.number,
            unsafe_l2: sequencer.unsafe_l2.number,
            safe_l2: sequencer.safe_l2.number,
            finalized_l2: sequencer.finalized_l2.number,
            verifier_safe: verifier.map(|v| v.safe_l2.number),
            batches: batcher.transactions,
            bytes_per_tx,
            proposed: proposer.and_then(|stats| stats.newest_block),
        }
    }

    /// The line of the terminal.
    pub fn line(&self) -> String {
        let mut line = format!(
            "L1 {} | L2 unsafe {} safe {} finalized {}",
            self.l1_head, self.unsafe_l2, self.safe_l2, self.finalized_l2
        );
        if let Some(safe) = self.verifier_safe {
            line.push_str(&format!(" | verifier {safe}"));
        }
        line.push_str(&format!(" | batches {}", self.batches));
        if let Some(bytes) = self.bytes_per_tx {
            line.push_str(&format!(" | {bytes:.1} B/tx on L1"));
        }
        if let Some(block) = self.proposed {
            line.push_str(&format!(" | proposed {block}"));
        }
        line
    }

    fn record(&self) {
        info!(
            target: "opal::status",
            l1 = self.l1_head,
            unsafe_l2 = self.unsafe_l2,
            safe = self.safe_l2,
            finalized = self.finalized_l2,
            verifier_safe = self.verifier_safe,
            batches = self.batches,
            bytes_per_tx = self.bytes_per_tx.map(|b| (b * 10.0).round() / 10.0),
            proposed = self.proposed,
            "status"
        );
    }
}

/// Shows the status until shutdown.
pub fn show(
    sequencer: watch::Receiver<SyncStatus>,
    verifier: Option<watch::Receiver<SyncStatus>>,
    batcher: watch::Receiver<BatcherStats>,
    proposer: Option<watch::Receiver<ProposerStats>>,
    shutdown: &Shutdown,
) {
    let stop = shutdown.token();
    shutdown.spawn("status", async move {
        let on_terminal = logging::has_status_line();
        let interval = if on_terminal { LINE_INTERVAL } else { RECORD_INTERVAL };
        let mut ticks = tokio::time::interval(interval);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let verifier = verifier.as_ref().map(|v| *v.borrow());
            let proposer = proposer.as_ref().map(|p| *p.borrow());
            let (sequencer, batcher) = (*sequencer.borrow(), *batcher.borrow());
            let snapshot =
                Snapshot::new(&sequencer, verifier.as_ref(), &batcher, proposer.as_ref());
            if on_terminal {
                logging::set_status(Some(snapshot.line()));
            } else {
                snapshot.record();
            }
        }
        logging::set_status(None);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_bytes_per_transaction_only_when_there_are_some() {
        let status = SyncStatus::default();
        let mut stats = BatcherStats { transactions: 3, l1_bytes: 1000, ..BatcherStats::default() };
        let line = Snapshot::new(&status, None, &stats, None).line();
        assert_eq!(line, "L1 0 | L2 unsafe 0 safe 0 finalized 0 | batches 3");
        stats.l2_transactions = 8;
        let proposer = ProposerStats { newest_block: Some(7), ..ProposerStats::default() };
        let line = Snapshot::new(&status, Some(&status), &stats, Some(&proposer)).line();
        let expected = "| verifier 0 | batches 3 | 125.0 B/tx on L1 | proposed 7";
        assert!(line.ends_with(expected), "{line}");
    }
}

//! The proposer's numbers: for the status of a devnet, and as `opal_proposer_*` for Prometheus.

use alloy_primitives::U256;
use opal_service::metrics::Metrics;
use opal_service::metrics::prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use tokio::sync::watch;

use super::ProposerStats;

const GWEI: u64 = 1_000_000_000;

/// Keeps statistics and metrics in step.
#[derive(Debug)]
pub(crate) struct Recorder {
    stats: watch::Sender<ProposerStats>,
    created: Counter,
    resolved: Counter,
    paid: Counter,
    lost: Counter,
    paid_gwei: Counter,
    failed: Counter,
    newest_block: Gauge,
    unfinished: Gauge,
}

impl Recorder {
    pub(crate) fn new(stats: watch::Sender<ProposerStats>, metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.register("proposer", name, help, Counter::default());
        let gauge = |name, help| metrics.register("proposer", name, help, Gauge::default());
        Self {
            stats,
            created: counter("games_created", "Games created"),
            resolved: counter("games_resolved", "Games resolved"),
            paid: counter("games_paid", "Games whose bond was paid back"),
            lost: counter("games_lost", "Games that a challenger won"),
            paid_gwei: counter("bonds_paid_gwei", "Bonds paid back, in gwei"),
            failed: counter("failed_transactions", "Transactions refused, reverted or given up"),
            newest_block: gauge("newest_block", "L2 block of this account's newest game"),
            unfinished: gauge("unfinished_games", "Games of this account that are not finished"),
        }
    }

    pub(crate) fn created(&self) {
        self.created.inc();
        self.stats.send_modify(|stats| stats.created += 1);
    }

    pub(crate) fn resolved(&self) {
        self.resolved.inc();
        self.stats.send_modify(|stats| stats.resolved += 1);
    }

    /// The bond of a game came back.
    pub(crate) fn paid(&self, wei: U256) {
        self.paid.inc();
        self.paid_gwei.inc_by((wei / U256::from(GWEI)).saturating_to());
        self.stats.send_modify(|stats| {
            stats.paid += 1;
            stats.paid_wei = stats.paid_wei.saturating_add(wei);
        });
    }

    /// A challenger won a game.
    pub(crate) fn lost(&self) {
        self.lost.inc();
        self.stats.send_modify(|stats| stats.lost += 1);
    }

    pub(crate) fn failed(&self) {
        self.failed.inc();
        self.stats.send_modify(|stats| stats.failed_transactions += 1);
    }

    pub(crate) fn state(&self, newest_block: Option<u64>, unfinished: usize) {
        self.newest_block.set(newest_block.map_or(0, |n| i64::try_from(n).unwrap_or(i64::MAX)));
        self.unfinished.set(i64::try_from(unfinished).unwrap_or(i64::MAX));
        self.stats.send_if_modified(|stats| {
            let now = (newest_block, unfinished as u64);
            let changed = (stats.newest_block, stats.unfinished) != now;
            (stats.newest_block, stats.unfinished) = now;
            changed
        });
    }
}

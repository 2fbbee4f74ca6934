//! `opal_node_*` metrics. Names of the default ones mirror op-node's.

use opal_service::metrics::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::status::SyncStatus;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefLabels {
    layer: &'static str,
    r#type: &'static str,
}

/// Gauges and counters of one node.
#[derive(Clone, Debug)]
pub(crate) struct NodeMetrics {
    refs_number: Family<RefLabels, Gauge>,
    refs_time: Family<RefLabels, Gauge>,
    /// Batches, frames and channels that derivation dropped.
    pub dropped: Counter,
    /// Times derivation started anew.
    pub resets: Counter,
    /// Unsafe blocks that L1 data replaced.
    pub unsafe_reorgs: Counter,
    /// Seconds to build a block as the sequencer.
    pub build_seconds: Histogram,
}

impl NodeMetrics {
    /// Registers the metrics under `opal_<service>_`.
    pub(crate) fn new(metrics: &Metrics, service: &str) -> Self {
        Self {
            refs_number: metrics.register(
                service,
                "default_refs_number",
                "Number of each head",
                Family::default(),
            ),
            refs_time: metrics.register(
                service,
                "default_refs_time",
                "Timestamp of each head, in seconds",
                Family::default(),
            ),
            dropped: metrics.register(
                service,
                "derivation_dropped",
                "Frames, channels and batches dropped by derivation",
                Counter::default(),
            ),
            resets: metrics.register(
                service,
                "derivation_resets",
                "Times derivation started anew",
                Counter::default(),
            ),
            unsafe_reorgs: metrics.register(
                service,
                "unsafe_reorgs",
                "Unsafe blocks replaced by L1 data",
                Counter::default(),
            ),
            build_seconds: metrics.register(
                service,
                "build_seconds",
                "Seconds to build a block",
                Histogram::new(exponential_buckets(0.001, 2.0, 12)),
            ),
        }
    }

    /// Publishes the heads.
    pub(crate) fn record(&self, status: &SyncStatus) {
        let rows = [
            ("l1", "l1_head", status.head_l1.number, status.head_l1.timestamp),
            ("l1", "l1_derived", status.current_l1.number, status.current_l1.timestamp),
            ("l1", "l1_finalized", status.finalized_l1.number, status.finalized_l1.timestamp),
            ("l2", "l2_unsafe", status.unsafe_l2.number, status.unsafe_l2.timestamp),
            ("l2", "l2_safe", status.safe_l2.number, status.safe_l2.timestamp),
            ("l2", "l2_finalized", status.finalized_l2.number, status.finalized_l2.timestamp),
        ];
        for (layer, r#type, number, time) in rows {
            let labels = RefLabels { layer, r#type };
            self.refs_number.get_or_create(&labels).set(i64::try_from(number).unwrap_or(i64::MAX));
            self.refs_time.get_or_create(&labels).set(i64::try_from(time).unwrap_or(i64::MAX));
        }
    }
}

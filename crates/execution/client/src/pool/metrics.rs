//! The pool's counts as Prometheus metrics, read when they are asked for.

use std::fmt;
use std::sync::Arc;

use opal_service::metrics::Metrics;
use opal_service::metrics::prometheus_client::collector::Collector;
use opal_service::metrics::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use opal_service::metrics::prometheus_client::metrics::counter::ConstCounter;
use opal_service::metrics::prometheus_client::metrics::gauge::ConstGauge;

use super::PoolStats;
use crate::chain::Chain;

/// Publishes the pool of a chain as `opal_<service>_txpool_*`.
pub fn register_pool_metrics(metrics: &Metrics, service: &str, chain: Arc<Chain>) {
    let prefix = format!("opal_{service}_txpool");
    metrics.register_collector(Box::new(PoolCollector { prefix, chain }));
}

#[derive(Debug)]
struct PoolCollector {
    prefix: String,
    chain: Arc<Chain>,
}

impl Collector for PoolCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let PoolStats {
            pending,
            queued,
            bytes,
            blobs,
            added,
            replaced,
            reinjected,
            included,
            evicted,
            expired,
            dropped,
            refused,
        } = self.chain.pool().stats();
        let gauges = [
            ("pending", "Transactions that could be in the next block", pending),
            ("queued", "Transactions behind a nonce gap", queued),
            ("bytes", "Bytes of memory of all transactions, blobs not counted", bytes),
            ("blobs", "Blobs of all transactions", blobs),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let name = format!("{}_{name}", self.prefix);
            let kind = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(&name, help, None, kind)?)?;
        }
        let counters = [
            ("added", "Transactions taken", added),
            ("replaced", "Transactions that took another's place", replaced),
            ("reinjected", "Transactions that a reorg brought back", reinjected),
            ("included", "Transactions that left with a block", included),
            ("evicted", "Transactions that left a full pool", evicted),
            ("expired", "Transactions that waited too long behind a gap", expired),
            ("dropped", "Transactions that became impossible", dropped),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            let name = format!("{}_{name}", self.prefix);
            let kind = counter.metric_type();
            counter.encode(encoder.encode_descriptor(&name, help, None, kind)?)?;
        }
        let name = format!("{}_refused", self.prefix);
        let kind = ConstCounter::new(0u64).metric_type();
        let mut family =
            encoder.encode_descriptor(&name, "Transactions not taken, by reason", None, kind)?;
        for (reason, count) in refused {
            let counter = ConstCounter::new(count);
            counter.encode(family.encode_family(&[("reason", reason)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::*;

    #[test]
    fn the_pool_is_seen_in_the_metrics() {
        let engine = l2_engine();
        let metrics = Metrics::new();
        register_pool_metrics(&metrics, "execution", engine.chain().clone());
        let pool = engine.chain().pool();
        for nonce in [0, 1, 3] {
            pool.add_raw(&raw(&transfer(0, nonce, GWEI))).unwrap();
        }
        pool.add_raw(&raw(&transfer(0, 0, GWEI))).unwrap_err();
        let text = metrics.encode();
        for line in [
            "opal_execution_txpool_pending 2\n",
            "opal_execution_txpool_queued 1\n",
            "opal_execution_txpool_added_total 3\n",
            "opal_execution_txpool_refused_total{reason=\"known\"} 1\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}

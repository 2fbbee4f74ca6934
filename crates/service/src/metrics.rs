//! Prometheus metrics and the endpoint that serves them.
//!
//! A service registers its metrics with [`Metrics::register`] under `opal_<service>_<name>`; the
//! handles (`Counter`, `Gauge`, `Histogram` of `prometheus_client`) are cheap to clone and to
//! update.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use clap::Args;
pub use prometheus_client;
use prometheus_client::collector::Collector;
use prometheus_client::registry::{Metric, Registry};
use tokio_util::sync::CancellationToken;

use crate::rpc_server::{RpcServerConfig, RpcServerError, bind};
use crate::web;

/// Flags of the metrics. Each role names its own variables for them, by `mut_arg`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Metrics")]
pub struct MetricsArgs {
    /// Serve Prometheus metrics.
    #[arg(long = "metrics.enabled")]
    pub metrics_enabled: bool,
    /// Address of the metrics.
    #[arg(long = "metrics.addr", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST),
          value_name = "ADDRESS")]
    pub metrics_addr: IpAddr,
    /// Port of the metrics; 0 picks a free one.
    #[arg(long = "metrics.port", default_value_t = 7300, value_name = "PORT")]
    pub metrics_port: u16,
}

impl MetricsArgs {
    /// Where to listen, if metrics are wanted.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.metrics_enabled.then(|| SocketAddr::new(self.metrics_addr, self.metrics_port))
    }
}

/// The registry of a process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a metric as `opal_<service>_<name>` and returns it.
    pub fn register<M>(&self, service: &str, name: &str, help: &str, metric: M) -> M
    where
        M: Metric + Clone,
    {
        let name = format!("opal_{service}_{name}");
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register(name, help, metric.clone());
        metric
    }

    /// Registers a source that is asked whenever the metrics are; it names its metrics itself.
    pub fn register_collector(&self, collector: Box<dyn Collector>) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(collector);
    }

    /// All metrics in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}

/// Serves `GET /metrics` and `GET /healthz` until `stop` is cancelled; returns the address
/// listened on. Must be called inside a tokio runtime.
///
/// # Errors
/// When the address can't be listened on.
pub fn serve(
    metrics: Metrics,
    addr: SocketAddr,
    flag: &'static str,
    stop: CancellationToken,
) -> Result<SocketAddr, RpcServerError> {
    let error = |source| RpcServerError::Bind { addr, flag, source };
    let listener = bind(&RpcServerConfig::new(addr, flag))?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(error)?;
    let local_addr = listener.local_addr().map_err(error)?;
    let router = Router::new()
        .route("/metrics", get(move || encode(metrics.clone())))
        .route("/healthz", get(|| async { "OK" }));
    tokio::spawn(web::serve(listener, router, stop));
    Ok(local_addr)
}

async fn encode(metrics: Metrics) -> impl IntoResponse {
    const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    (StatusCode::OK, [(header::CONTENT_TYPE, TEXT)], metrics.encode())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[tokio::test]
    async fn registered_metrics_are_served() {
        let metrics = Metrics::new();
        let counter: Counter = metrics.register("batcher", "txs", "Sent.", Counter::default());
        counter.inc_by(3);
        let stop = CancellationToken::new();
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let addr = serve(metrics, addr, "--metrics.port", stop.clone()).unwrap();
        let url = format!("http://{addr}/metrics");
        let client = crate::http::http_client(&url.parse().unwrap()).unwrap();
        let body = client.get(&url).send().await.unwrap().text().await.unwrap();
        assert!(body.contains("opal_batcher_txs_total 3"), "{body}");
        stop.cancel();
    }
}

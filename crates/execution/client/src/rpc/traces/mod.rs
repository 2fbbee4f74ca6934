//! `debug_trace…`, `trace_…`, `ots_…`, witnesses and what else looks into executed blocks.
//!
//! ```text
//!  block ─► parent's state ─► BlockExecutor, as at import ─► transact… ─► inspect(tx, tracer)
//!                                                                           │ within a budget
//!                                                          trace in JSON ◄──┘ of bytes and time
//! ```

mod geth;
mod limits;
mod otterscan;
mod parity;
mod replay;
mod state;
mod witness;

use std::time::Duration;

use jsonrpsee::types::ErrorObjectOwned;

use super::error::{self, RpcResult};
use super::{Registry, Rpc};
use limits::Budget;

/// Limits of one tracing request.
#[derive(Clone, Copy, Debug)]
pub struct TraceConfig {
    /// How long it may take when it does not say.
    pub timeout: Duration,
    /// How long it may ask for.
    pub max_timeout: Duration,
    /// Most bytes that its tracers may record, about as they will stand in the answer.
    pub max_bytes: usize,
    /// Most blocks that `trace_filter` and `debug_getModifiedAccountsBy…` may execute.
    pub max_blocks: u64,
}

impl Default for TraceConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            max_timeout: Duration::from_secs(120),
            max_bytes: 128 * 1024 * 1024,
            max_blocks: 100,
        }
    }
}

pub(super) fn register(registry: &mut Registry) {
    geth::register(registry);
    parity::register(registry);
    otterscan::register(registry);
    state::register(registry);
    witness::register(registry);
}

impl Rpc {
    /// The budget of a request that begins now and asks for this timeout, in Go's notation.
    fn budget(&self, timeout: Option<&str>) -> RpcResult<Budget> {
        let config = &self.config.trace;
        let timeout = match timeout {
            None => config.timeout,
            Some(text) => parse_duration(text)
                .ok_or_else(|| error::server(format!("time: invalid duration {text:?}")))?
                .min(config.max_timeout),
        };
        Ok(Budget::new(config.max_bytes, timeout))
    }
}

/// A duration as Go writes it: `1m30s`, `1.5s`, `250ms`.
fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

fn not_found() -> ErrorObjectOwned {
    error::server("transaction not found")
}

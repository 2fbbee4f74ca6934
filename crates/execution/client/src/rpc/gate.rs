//! Bounds on calls that compute: how many run at once, and for how long.
//!
//! ```text
//!   cheap call ──────────────────────────────► answered on the runtime's own threads
//!   expensive call ──► gate (N at once) ─────► a blocking thread, with a deadline
//!                        │ waited too long
//!                        └──► error -32005
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonrpsee::types::ErrorObjectOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{self, RpcResult};

/// Lets a bounded number of expensive calls run at once.
#[derive(Debug)]
pub(super) struct Gate {
    permits: Arc<Semaphore>,
    longest_wait: Duration,
}

impl Gate {
    pub fn new(calls: usize, longest_wait: Duration) -> Self {
        Self { permits: Arc::new(Semaphore::new(calls.max(1))), longest_wait }
    }

    /// Waits for a turn.
    pub async fn enter(&self) -> RpcResult<OwnedSemaphorePermit> {
        let turn = self.permits.clone().acquire_owned();
        match tokio::time::timeout(self.longest_wait, turn).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(error::server("server is shutting down")),
            Err(_) => Err(error::limit_exceeded(
                "server is busy: too many expensive calls are running, try again later",
            )),
        }
    }
}

/// When a call must have ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    end: Instant,
    timeout: Duration,
}

impl Deadline {
    /// Begins to count now.
    pub fn new(timeout: Duration) -> Self {
        let now = Instant::now();
        Self { end: now.checked_add(timeout).unwrap_or(now), timeout }
    }

    pub fn passed(&self) -> bool {
        Instant::now() >= self.end
    }

    pub fn check(&self) -> RpcResult<()> {
        if self.passed() { Err(self.error()) } else { Ok(()) }
    }

    pub fn error(&self) -> ErrorObjectOwned {
        error::server(format!("execution aborted (timeout = {})", seconds(self.timeout)))
    }
}

/// A duration as geth writes it: `5s`, `1m0s`, `250ms`.
pub(super) fn seconds(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let fraction = |millis: u128| {
        let text = format!("{}.{:03}", millis / 1_000, millis % 1_000);
        format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match millis / 60_000 {
        0 => fraction(millis),
        minutes => format!("{minutes}m{}", fraction(millis % 60_000)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_are_written_as_geth_does() {
        for (millis, text) in
            [(5_000, "5s"), (250, "250ms"), (1_500, "1.5s"), (60_000, "1m0s"), (90_250, "1m30.25s")]
        {
            assert_eq!(seconds(Duration::from_millis(millis)), text);
        }
        let deadline = Deadline::new(Duration::ZERO);
        assert_eq!(deadline.check().unwrap_err().message(), "execution aborted (timeout = 0ms)");
    }

    #[tokio::test]
    async fn a_full_gate_refuses_after_a_while_and_opens_again() {
        let gate = Gate::new(1, Duration::from_millis(20));
        let permit = gate.enter().await.unwrap();
        assert_eq!(gate.enter().await.unwrap_err().code(), -32005);
        drop(permit);
        assert!(gate.enter().await.is_ok());
    }
}

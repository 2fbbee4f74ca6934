//! Starting tasks and ending the process.
//!
//! ```text
//!   running ──trigger(reason) / signal / end of a critical task──► stopping ──► stopped
//!              (the first reason is kept)                  tasks see `cancelled()`,
//!                                                          bounded by `stopped(limit)`
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinError;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};

const TARGET: &str = "opal::service";

/// How long a graceful end may take before the process leaves its tasks behind.
pub const GRACE: Duration = Duration::from_millis(900);

/// Why the process stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody asked for it: a signal, an admin call, the end of a test.
    Requested(String),
    /// A critical task ended although nobody had asked for it.
    TaskFailed {
        /// Name given to [`Shutdown::spawn_critical`].
        task: String,
        /// Error, panic message, or that it ended early.
        error: String,
    },
}

impl StopReason {
    /// Exit code of the process: 0 when the end was asked for, 1 when a task failed.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Requested(_) => 0,
            Self::TaskFailed { .. } => 1,
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested(reason) => f.write_str(reason),
            Self::TaskFailed { task, error } => write!(f, "{task} failed: {error}"),
        }
    }
}

/// Handle to the life of a process or of a stack inside a test. Cheap to clone.
#[derive(Clone, Default)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    token: CancellationToken,
    tracker: TaskTracker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    reason: Option<StopReason>,
    running: BTreeMap<u64, String>,
    next_id: u64,
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown")
            .field("stopping", &self.is_stopping())
            .field("running", &self.running())
            .finish()
    }
}

impl Shutdown {
    /// A handle with no tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task whose end, error or panic before the shutdown stops the whole process. The
    /// task must end soon after [`Shutdown::cancelled`] completes; it is dropped when the process
    /// stops waiting for it.
    pub fn spawn_critical<F, E>(&self, name: impl Into<String>, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let name = name.into();
        let task = tokio::spawn(future);
        let this = self.clone();
        self.track(name.clone(), async move {
            let error = match task.await {
                Ok(Ok(())) if this.is_stopping() => return,
                Ok(Ok(())) => "ended although nobody asked it to".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(join) => panic_message(join),
            };
            if this.is_stopping() {
                warn!(target: TARGET, task = name, error, "task failed while stopping");
            } else {
                this.stop(StopReason::TaskFailed { task: name, error });
            }
        });
    }

    /// Starts a task that may end at any time. A panic is logged and stops nothing.
    pub fn spawn<F>(&self, name: impl Into<String>, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let name = name.into();
        let task = tokio::spawn(future);
        self.track(name.clone(), async move {
            if let Err(join) = task.await {
                warn!(target: TARGET, task = name, error = panic_message(join), "task failed");
            }
        });
    }

    fn track(&self, name: String, future: impl Future<Output = ()> + Send + 'static) {
        let id = {
            let mut state = self.state();
            let id = state.next_id;
            state.next_id += 1;
            state.running.insert(id, name);
            id
        };
        let this = self.clone();
        self.inner.tracker.spawn(async move {
            future.await;
            this.state().running.remove(&id);
        });
    }

    /// Completes when the process begins to stop.
    pub fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        self.inner.token.cancelled()
    }

    /// The token behind [`Shutdown::cancelled`], for code that wants an owned future or a child.
    pub fn token(&self) -> CancellationToken {
        self.inner.token.clone()
    }

    /// Whether the process is stopping.
    pub fn is_stopping(&self) -> bool {
        self.inner.token.is_cancelled()
    }

    /// Asks for a graceful end. Only the first reason is kept.
    pub fn trigger(&self, reason: impl Into<String>) {
        self.stop(StopReason::Requested(reason.into()));
    }

    fn stop(&self, reason: StopReason) {
        {
            let mut state = self.state();
            if state.reason.is_some() {
                return;
            }
            match &reason {
                StopReason::Requested(why) => info!(target: TARGET, reason = why, "stopping"),
                StopReason::TaskFailed { task, error } => {
                    error!(target: TARGET, task, error, "critical task failed, stopping");
                }
            }
            state.reason = Some(reason);
        }
        self.inner.token.cancel();
    }

    /// Names of the tasks that still run.
    pub fn running(&self) -> Vec<String> {
        self.state().running.values().cloned().collect()
    }

    /// Handles Ctrl-C and SIGTERM from now on: the first begins a graceful end, a second one ends
    /// the process at once with exit code 130. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the operating system refuses to register the handlers.
    pub fn wait_for_signals(&self) -> std::io::Result<()> {
        let mut signals = Signals::new()?;
        let this = self.clone();
        tokio::spawn(async move {
            let name = signals.recv().await;
            this.trigger(format!("received {name}"));
            let name = signals.recv().await;
            eprintln!("received a second {name}, leaving at once");
            std::process::exit(130);
        });
        Ok(())
    }

    /// Waits until the process is asked to stop, then at most `limit` (see [`GRACE`]) for its
    /// tasks to end, and says why it stopped. Tasks still running then are named in a warning.
    pub async fn stopped(&self, limit: Duration) -> StopReason {
        self.cancelled().await;
        self.inner.tracker.close();
        if tokio::time::timeout(limit, self.inner.tracker.wait()).await.is_err() {
            warn!(target: TARGET, tasks = self.running().join(", "), "tasks did not end in time");
        } else {
            debug!(target: TARGET, "all tasks ended");
        }
        let reason = self.state().reason.clone();
        reason.unwrap_or_else(|| StopReason::Requested("cancelled".to_owned()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is plain data that no panic can leave half-changed.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn panic_message(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => {
            let text = payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| payload.downcast_ref::<String>().cloned());
            format!("panicked: {}", text.unwrap_or_else(|| "no message".to_owned()))
        }
        Err(_) => "was aborted".to_owned(),
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn recv(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "interrupt (Ctrl-C)",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn recv(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "interrupt (Ctrl-C)"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn first_reason_is_kept_and_tasks_are_awaited() {
        let shutdown = Shutdown::new();
        let task = shutdown.clone();
        shutdown.spawn_critical("listener", async move {
            task.cancelled().await;
            Ok::<(), String>(())
        });
        shutdown.trigger("first");
        shutdown.trigger("second");
        let reason = shutdown.stopped(LIMIT).await;
        assert_eq!(reason, StopReason::Requested("first".to_owned()));
        assert_eq!(reason.exit_code(), 0);
        assert!(shutdown.running().is_empty());
    }

    #[tokio::test]
    async fn error_panic_and_early_end_of_a_critical_task_stop_with_its_name() {
        type Task = fn() -> Result<(), String>;
        let cases: [(&str, Task); 3] = [
            ("port 8545 lost", || Err("port 8545 lost".to_owned())),
            ("panicked: boom 7", || panic!("boom {}", 7)),
            ("ended although nobody asked it to", || Ok(())),
        ];
        for (expected, task) in cases {
            let shutdown = Shutdown::new();
            shutdown.spawn_critical("worker", async move { task() });
            let reason = shutdown.stopped(LIMIT).await;
            let expected =
                StopReason::TaskFailed { task: "worker".to_owned(), error: expected.to_owned() };
            assert_eq!(reason, expected);
            assert_eq!(reason.exit_code(), 1);
        }
    }

    #[tokio::test]
    async fn a_stuck_task_does_not_hold_the_end() {
        let shutdown = Shutdown::new();
        shutdown.spawn_critical("stuck", std::future::pending::<Result<(), String>>());
        shutdown.trigger("done");
        shutdown.stopped(Duration::from_millis(20)).await;
        assert_eq!(shutdown.running(), vec!["stuck".to_owned()]);
    }
}

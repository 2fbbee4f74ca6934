//! What a WebSocket connection keeps in memory.
//!
//! The server reads on whatever is still unanswered, and keeps each answer until the client has
//! taken it up. A client that only asks would fill any memory, so it is not read from until it has
//! read itself:
//!
//! ```text
//!   socket ──► requests that are being answered ──► answers ──► socket
//!     │               └───────── held ───────────────┘             │
//!     └─ paused while more is held than one connection may ◄───────┘ written: held no more
//! ```

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// What a request, and an answer, take beside their bytes.
const CALL: usize = 512;
/// One connection may hold this part of the memory of all.
const PART: usize = 16;

/// The memory that all connections of a server hold, in bytes.
#[derive(Debug)]
pub(crate) struct Memory {
    held: AtomicUsize,
    limit: usize,
}

impl Memory {
    /// Nothing is held yet.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { held: AtomicUsize::new(0), limit })
    }

    /// Whether nothing more should be begun.
    pub fn is_full(&self) -> bool {
        self.held.load(Ordering::Relaxed) >= self.limit
    }

    /// Takes some; tells whether that is within the limit.
    pub fn take(&self, bytes: usize) -> bool {
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        before.saturating_add(bytes) <= self.limit
    }

    /// Gives back what was taken.
    pub fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The backlog of one connection; empty until it becomes a WebSocket.
#[derive(Debug)]
pub(crate) struct Backlog {
    memory: Arc<Memory>,
    websocket: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of requests, and of answers, with what calls take beside them.
    held: usize,
    /// Lengths of the answers that are not written yet, the oldest first.
    answers: VecDeque<usize>,
    /// Bytes written of the oldest.
    written: usize,
    /// Reads on when less is held.
    reader: Option<Waker>,
}

impl Backlog {
    pub fn new(memory: Arc<Memory>) -> Arc<Self> {
        Arc::new(Self { memory, websocket: AtomicBool::new(false), state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Numbers only: nothing is half done after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts from now on.
    pub fn begin(&self) {
        self.websocket.store(true, Ordering::Relaxed);
    }

    /// Whether the connection is a WebSocket.
    pub fn is_websocket(&self) -> bool {
        self.websocket.load(Ordering::Relaxed)
    }

    /// Whether a WebSocket should get no answer now but that there is no memory for it.
    pub fn is_refused(&self) -> bool {
        self.is_websocket() && self.memory.is_full()
    }

    /// Counts a request with parameters of this size until it is answered.
    pub fn request(self: &Arc<Self>, params: usize) -> Request {
        let bytes = if self.is_websocket() { params.saturating_add(CALL) } else { 0 };
        self.take(&mut self.state(), bytes);
        Request { backlog: Arc::clone(self), bytes }
    }

    /// Counts an answer until it is written.
    pub fn answer(&self, bytes: usize) {
        if self.is_websocket() {
            let mut state = self.state();
            state.answers.push_back(bytes);
            self.take(&mut state, bytes.saturating_add(CALL));
        }
    }

    /// Bytes were written to the client. Those of notifications and of the protocol were not
    /// counted, so an answer may count for a little less time than it is held.
    pub fn written(&self, bytes: usize) {
        if !self.is_websocket() {
            return;
        }
        let mut state = self.state();
        state.written = state.written.saturating_add(bytes);
        let mut done = 0_usize;
        while let Some(oldest) = state.answers.front().copied() {
            let Some(left) = state.written.checked_sub(oldest) else { break };
            state.written = left;
            state.answers.pop_front();
            done = done.saturating_add(oldest).saturating_add(CALL);
        }
        if state.answers.is_empty() {
            state.written = 0;
        }
        self.give_back(state, done);
    }

    /// Whether the client has to take up answers before more is read from it; its reader is woken
    /// when it has.
    pub fn must_wait(&self, cx: &Context<'_>) -> bool {
        if !self.is_websocket() {
            return false;
        }
        let mut state = self.state();
        let wait = state.held > self.memory.limit / PART || state.held > 0 && self.memory.is_full();
        if wait {
            state.reader = Some(cx.waker().clone());
        }
        wait
    }

    fn take(&self, state: &mut State, bytes: usize) {
        state.held = state.held.saturating_add(bytes);
        self.memory.take(bytes);
    }

    fn give_back(&self, mut state: MutexGuard<'_, State>, bytes: usize) {
        state.held = state.held.saturating_sub(bytes);
        self.memory.give_back(bytes);
        let reader = if bytes > 0 { state.reader.take() } else { None };
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        let held = self.state().held;
        self.memory.give_back(held);
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Request {
    backlog: Arc<Backlog>,
    bytes: usize,
}

impl Drop for Request {
    fn drop(&mut self) {
        self.backlog.give_back(self.backlog.state(), self.bytes);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_held_pauses_the_reader_and_is_given_back() {
        let memory = Memory::new(32_000);
        let held = || memory.held.load(Ordering::Relaxed);
        let backlog = Backlog::new(Arc::clone(&memory));
        let cx = Context::from_waker(Waker::noop());
        // Not yet a WebSocket: HTTP counts by itself.
        backlog.answer(5_000);
        assert!(!backlog.must_wait(&cx));
        backlog.begin();
        let request = backlog.request(600);
        assert!(!backlog.must_wait(&cx));
        backlog.answer(500);
        assert!(backlog.must_wait(&cx));
        drop(request);
        assert!(!backlog.must_wait(&cx));
        assert_eq!(held(), 500 + CALL);
        // Small answers take memory, too.
        backlog.answer(1);
        backlog.answer(1);
        assert!(backlog.must_wait(&cx));
        backlog.written(499);
        assert_eq!(held(), 502 + 3 * CALL);
        // What was not counted is written as well.
        backlog.written(2_000);
        assert_eq!(held(), 0);

        // Another connection has filled the memory of all.
        backlog.answer(10);
        memory.take(32_000);
        assert!(backlog.must_wait(&cx) && backlog.is_refused());
        backlog.written(12);
        assert!(!backlog.must_wait(&cx));
        memory.give_back(32_000);
        assert!(!backlog.is_refused());
        backlog.answer(77);
        drop(backlog);
        assert_eq!(held(), 0);
    }
}

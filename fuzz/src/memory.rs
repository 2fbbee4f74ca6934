//! Counts the memory in use, so that a target can say how much an input may cost.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, with a count of the bytes that are allocated.
pub struct Counting;

fn grown(bytes: usize) {
    let now = NOW.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(now, Relaxed);
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grown(size);
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a function used, in bytes beyond what was in use before.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// The most at a time.
    pub peak: usize,
    /// What its result still holds.
    pub held: usize,
}

/// Runs a function and counts. Meaningful while no other thread runs.
pub fn measure<T>(function: impl FnOnce() -> T) -> (T, Used) {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = function();
    let used = |counter: &AtomicUsize| counter.load(Relaxed).saturating_sub(before);
    (result, Used { peak: used(&PEAK), held: used(&NOW) })
}

/// Runs a function that may use this many bytes at a time, beyond what was in use before.
///
/// # Panics
/// When it used more. Meaningful in a process with one thread only.
pub fn within<T>(limit: usize, what: &str, function: impl FnOnce() -> T) -> T {
    let (result, Used { peak, .. }) = measure(function);
    assert!(peak <= limit, "{what} used {peak} bytes of memory, the limit is {limit}");
    result
}

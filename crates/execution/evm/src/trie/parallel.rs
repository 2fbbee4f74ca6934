//! Work on many subtrees at once, where there are threads.

use crate::StateError;

/// Changes from which on the subtrees of a root are worked on by several threads: below, starting
/// the threads takes longer.
pub(crate) const MANY: usize = 256;

/// Calls `work` for each item; on several threads if `many` says that it is worth it and the
/// platform has them.
///
/// # Errors
/// The first error of `work`, after which not all items were worked on.
pub(crate) fn each<T: Send>(
    items: &mut [T],
    many: bool,
    work: impl Fn(&mut T) -> Result<(), StateError> + Sync,
) -> Result<(), StateError> {
    #[cfg(feature = "std")]
    if many && items.len() > 1 && threads() > 1 {
        return on_threads(items, &work);
    }
    #[cfg(not(feature = "std"))]
    let _ = many;
    items.iter_mut().try_for_each(work)
}

/// Threads that the machine runs at once; more than a root has children are of no use.
#[cfg(feature = "std")]
fn threads() -> usize {
    static THREADS: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *THREADS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from).min(16))
}

#[cfg(feature = "std")]
fn on_threads<T: Send>(
    items: &mut [T],
    work: &(impl Fn(&mut T) -> Result<(), StateError> + Sync),
) -> Result<(), StateError> {
    use std::sync::{Mutex, PoisonError};

    // Few items a turn even out what takes longer, not too few when there are thousands.
    let workers = threads().min(items.len());
    let turn = (items.len() / (8 * workers)).max(1);
    let queue = Mutex::new(items.chunks_mut(turn));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        while let Some(items) = next() {
            items.iter_mut().try_for_each(work)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let others: alloc::vec::Vec<_> = (1..workers).map(|_| scope.spawn(run)).collect();
        let mut result = run();
        for other in others {
            // A panic of one thread goes on in the one that waits for it.
            let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result = result.and(other);
        }
        result
    })
}

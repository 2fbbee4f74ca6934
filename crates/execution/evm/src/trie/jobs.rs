//! Work on many subtrees at once, for hosts that have threads.
//!
//! This crate knows no threads. It cuts large work into jobs that do not need each other, and
//! whoever makes a [`State`](crate::State) says [how they are run](crate::State::with_jobs).

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

use crate::StateError;

/// A piece of work that does not need the others of its list.
pub type Job<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Runs every job of a list once, in any order, on as many threads as the host likes, and returns
/// when all are done.
pub type RunJobs = for<'a> fn(Vec<Job<'a>>);

/// Runs jobs without threads.
pub fn one_by_one(jobs: Vec<Job<'_>>) {
    jobs.into_iter().for_each(|job| job());
}

/// Changes from which on the subtrees of a root become jobs: below, starting threads takes longer.
pub(crate) const MANY: usize = 256;
/// Jobs of one list at most. Several for each thread even out what takes longer; too many cost more
/// than they do.
const MOST: usize = 128;

/// Calls `work` for each item, in jobs that `run` is given.
///
/// # Errors
/// An error of `work`, after which not all items were worked on.
pub(crate) fn each<T: Send>(
    items: &mut [T],
    run: RunJobs,
    work: impl Fn(&mut T) -> Result<(), StateError> + Sync,
) -> Result<(), StateError> {
    let share = items.len().div_ceil(MOST).max(1);
    let mut results = Vec::new();
    results.resize_with(items.len().div_ceil(share), || None);
    let work = &work;
    let jobs = items.chunks_mut(share).zip(&mut results).map(|(items, result)| {
        let job = move || *result = Some(items.iter_mut().try_for_each(work));
        Box::new(job) as Job<'_>
    });
    run(jobs.collect());
    let left_out = || Err(StateError::Source("a job was not run".to_string()));
    results.into_iter().try_for_each(|result| result.unwrap_or_else(left_out))
}

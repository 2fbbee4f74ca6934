//! Jobs on as many threads as the machine runs at once.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use opal_evm::trie::jobs::{Job, one_by_one};

/// Threads of one list of jobs at most: roots of tries have no more children.
const MOST: usize = 16;

/// Threads that the machine runs at once. The system takes a while to say, so it is asked once.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}

/// Runs jobs on several threads, this one among them.
///
/// # Panics
/// When a job does, after all threads have ended.
pub(crate) fn run_jobs(jobs: Vec<Job<'_>>) {
    run_on(cores().min(MOST), jobs);
}

fn run_on(threads: usize, jobs: Vec<Job<'_>>) {
    let threads = threads.min(jobs.len());
    if threads < 2 {
        return one_by_one(jobs);
    }
    let queue = Mutex::new(jobs.into_iter());
    // Nobody panics with the lock held.
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || std::iter::from_fn(next).for_each(|job| job());
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        run();
        for other in others {
            // A panic of one thread goes on in the one that waits for it.
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use alloy_primitives::{B256, U256, keccak256};
    use opal_evm::NoSource;
    use opal_evm::trie::{Change, Trie};

    use super::*;

    #[test]
    fn every_job_is_run_once() {
        for (threads, count) in [(1, 3), (2, 0), (2, 1), (3, 100), (16, 5)] {
            let runs: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            let job = |runs: &AtomicUsize| {
                runs.fetch_add(1, Relaxed);
            };
            run_on(
                threads,
                runs.iter().map(|runs| Box::new(move || job(runs)) as Job<'_>).collect(),
            );
            assert!(runs.iter().all(|runs| runs.load(Relaxed) == 1), "{threads} {count}");
        }
    }

    #[test]
    fn a_panic_of_a_job_reaches_the_caller() {
        let job = |n: u32| Box::new(move || assert_ne!(n, 30)) as Job<'_>;
        let run = || run_on(4, (0..60).map(job).collect());
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    }

    #[test]
    fn threads_and_none_give_the_same_root() {
        fn on_four(jobs: Vec<Job<'_>>) {
            run_on(4, jobs);
        }
        let changes = |round: u64| -> Vec<Change<U256>> {
            let key = |n: u64| keccak256(n.to_be_bytes());
            let value = |n: u64| (n % 3 != round % 3).then(|| U256::from(n + round));
            let mut changes: Vec<(B256, _)> = (0..2_000).map(|n| (key(n), value(n))).collect();
            changes.retain(|(_, value)| round > 0 || value.is_some());
            changes.sort_unstable_by_key(|(key, _)| *key);
            changes
        };
        let (mut alone, mut shared) = (Trie::<U256>::default(), Trie::<U256>::default());
        for round in 0..4 {
            // What the round before has removed is not removed again.
            let mut list = changes(round);
            list.retain(|(key, value)| {
                value.is_some() || alone.get(key, &NoSource, |_| ()).unwrap().is_some()
            });
            let root = alone.update(&mut list.clone(), &NoSource, one_by_one).unwrap();
            assert_eq!(shared.update(&mut list, &NoSource, on_four).unwrap(), root);
        }
    }
}

//! Keeps a pool's journal while the process runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::Journal;
use crate::chain::Chain;

/// Reads the journal into the pool of a chain, then writes it every `every` if the pool has
/// changed, and once more when `stop` completes. What goes wrong with the file is logged; the pool
/// works without.
pub async fn keep_pool(
    chain: Arc<Chain>,
    journal: Journal,
    every: Duration,
    stop: impl Future<Output = ()>,
) {
    let pool = (chain, journal);
    let (restored, pool) = on_thread(pool, |chain, journal| journal.load(chain.pool())).await;
    match restored {
        Ok(restored) if restored.read > 0 => {
            tracing::info!(
                target: "opal::execution",
                read = restored.read,
                kept = restored.kept,
                "transaction pool read from its journal"
            );
        }
        Ok(_) => {}
        Err(error) => {
            let path = pool.1.path().display();
            tracing::warn!(target: "opal::execution", %error, %path, "the pool's journal is not read");
        }
    }
    let mut pool = pool;
    let mut written = None;
    let mut ticks = tokio::time::interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(stop);
    loop {
        let last = tokio::select! {
            () = &mut stop => true,
            _ = ticks.tick() => false,
        };
        // The version before the writing: what comes meanwhile is written the next time.
        let version = Some(pool.0.pool().version());
        if version != written {
            let saved;
            (saved, pool) = on_thread(pool, |chain, journal| journal.save(chain.pool())).await;
            match saved {
                Ok(count) => {
                    written = version;
                    tracing::debug!(target: "opal::execution", count, "pool's journal written");
                }
                Err(error) => {
                    let path = pool.1.path().display();
                    tracing::warn!(target: "opal::execution", %error, %path, "the pool's journal is not written");
                }
            }
        }
        if last {
            return;
        }
    }
}

/// Files are read and written on a thread that may block.
async fn on_thread<T: Send + 'static>(
    (chain, journal): (Arc<Chain>, Journal),
    work: fn(&Chain, &Journal) -> T,
) -> (T, (Arc<Chain>, Journal)) {
    let done = tokio::task::spawn_blocking(move || {
        let result = work(&chain, &journal);
        (result, (chain, journal))
    });
    match done.await {
        Ok(done) => done,
        // The runtime ends blocking work only after all tasks.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::*;

    #[tokio::test]
    async fn the_journal_is_written_on_the_way_and_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Journal::FILE);
        let run = |chain: &Arc<Chain>, every| {
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let kept = keep_pool(chain.clone(), Journal::new(&path), every, async {
                let _ = stopped.await;
            });
            (stop, tokio::spawn(kept))
        };
        let size = || std::fs::metadata(&path).map_or(0, |file| file.len());
        let until = |ready: Box<dyn Fn() -> bool>| async move {
            let deadline = Instant::now() + Duration::from_secs(20);
            while !ready() {
                assert!(Instant::now() < deadline);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let chain = l2_chain_with(|_| {});
        chain.pool().add_raw(&raw(&transfer(0, 0, GWEI))).unwrap();
        let (stop, task) = run(&chain, Duration::from_millis(10));
        let path_seen = path.clone();
        until(Box::new(move || path_seen.exists())).await;
        let first = size();
        assert!(first > 0);
        stop.send(()).unwrap();
        task.await.unwrap();

        let chain = l2_chain_with(|_| {});
        let (stop, task) = run(&chain, Duration::from_secs(3_600));
        let seen = chain.clone();
        until(Box::new(move || seen.pool().status() == (1, 0))).await;
        chain.pool().add_raw(&raw(&transfer(0, 1, GWEI))).unwrap();
        stop.send(()).unwrap();
        task.await.unwrap();
        assert_eq!(size(), 2 * first);
    }
}

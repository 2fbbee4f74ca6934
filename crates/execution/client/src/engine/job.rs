//! One payload that is being built.
//!
//! ```text
//!   begin ── forced transactions only ──► a block that is there at once
//!     └─ after a moment, a thread: while the pool changes ──► build again ──► until fetched
//!   fetch ── pool changed? ──► build again, if the last time was short ──► the block
//! ```
//! A consensus client in the same process fetches at once, and nothing is built twice. One that
//! waits for the end of its slot finds a full block, however long that took to build.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use alloy_primitives::Address;
use opal_protocol::{PayloadAttributes, SealedBlock, TxEnvelope};

use super::{EngineError, attributes_error, lock};
use crate::builder::{self, Built, BuiltPayload};
use crate::chain::Chain;

/// Longest time in which transactions of the pool are added to a block.
const FILL_LIMIT: Duration = Duration::from_millis(500);
/// A block that took longer to build is not built again while somebody waits for it.
const SHORT: Duration = Duration::from_millis(100);
/// From the begin of a job to its first block from the pool that nobody asked for.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Between looks at the pool.
const PAUSE: Duration = Duration::from_millis(200);
/// A job that was not fetched by then is no longer improved; the longest slot is Ethereum's.
const LIFETIME: Duration = Duration::from_secs(12);

#[derive(Debug)]
pub(super) struct Job {
    parent: SealedBlock,
    attributes: PayloadAttributes,
    forced: Vec<(TxEnvelope, Address)>,
    fetched: AtomicBool,
    newest: Mutex<Newest>,
}

/// The newest block of a job.
#[derive(Debug)]
struct Newest {
    payload: BuiltPayload,
    /// The version of the pool that it was built from; `None` when without the pool.
    pool_version: Option<u64>,
    took: Duration,
}

impl Job {
    /// Builds the block without the pool: this finds bad forced transactions.
    pub(super) fn begin(
        chain: &Chain,
        parent: SealedBlock,
        attributes: PayloadAttributes,
    ) -> Result<Self, EngineError> {
        let forced = builder::forced_transactions(&attributes).map_err(attributes_error)?;
        let payload = build(chain, &parent, &attributes, &forced, false)?;
        let newest = Newest { payload, pool_version: None, took: Duration::ZERO };
        let newest = Mutex::new(newest);
        Ok(Self { parent, attributes, forced, fetched: AtomicBool::new(false), newest })
    }

    /// Starts the thread that builds from the pool. It ends with the job, and keeps neither job nor
    /// chain alive.
    pub(super) fn improve_until_fetched(job: &Arc<Self>, chain: &Arc<Chain>) {
        if job.attributes.no_tx_pool {
            return;
        }
        let (job, chain) = (Arc::downgrade(job), Arc::downgrade(chain));
        let thread = std::thread::Builder::new().name("payload".to_owned());
        if let Err(error) = thread.spawn(move || improve(&job, &chain)) {
            // The block is built when it is asked for, then.
            tracing::warn!(target: "opal::execution", %error, "no thread for payload building");
        }
    }

    /// The block, as new as it can be had without a long wait.
    pub(super) fn fetch(&self, chain: &Chain) -> Result<BuiltPayload, EngineError> {
        self.fetched.store(true, Ordering::Relaxed);
        let mut newest = lock(&self.newest);
        if !self.attributes.no_tx_pool && (newest.pool_version.is_none() || newest.took <= SHORT) {
            self.refresh(chain, &mut newest)?;
        }
        Ok(newest.payload.clone())
    }

    /// Builds again if the pool has changed.
    fn refresh(&self, chain: &Chain, newest: &mut Newest) -> Result<(), EngineError> {
        let version = chain.pool().version();
        if newest.pool_version == Some(version) {
            return Ok(());
        }
        let started = Instant::now();
        newest.payload = build(chain, &self.parent, &self.attributes, &self.forced, true)?;
        newest.pool_version = Some(version);
        newest.took = started.elapsed();
        Ok(())
    }
}

fn build(
    chain: &Chain,
    parent: &SealedBlock,
    attributes: &PayloadAttributes,
    forced: &[(TxEnvelope, Address)],
    with_pool: bool,
) -> Result<BuiltPayload, EngineError> {
    let state = chain.ensure_state(parent.hash)?;
    let until = with_pool.then(|| Instant::now() + FILL_LIMIT);
    let Built { payload, executed, senders } =
        builder::build(chain, parent, &state, attributes, forced, until)
            .map_err(attributes_error)?;
    chain.remember_built(&mut chain.change(), executed, senders)?;
    Ok(payload)
}

fn improve(job: &Weak<Job>, chain: &Weak<Chain>) {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    while started.elapsed() < LIFETIME {
        std::thread::sleep(pause);
        pause = PAUSE;
        let (Some(job), Some(chain)) = (job.upgrade(), chain.upgrade()) else { return };
        if job.fetched.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = job.refresh(&chain, &mut lock(&job.newest)) {
            // Whoever fetches the block is told.
            tracing::debug!(target: "opal::execution", %error, "payload not improved");
            return;
        }
    }
}

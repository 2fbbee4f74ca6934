//! Brings derivation its inputs, ahead of time.
//!
//! Derivation names one input at a time; L1 blocks are read in order, so the fetcher asks for the
//! next few as soon as one is wanted. A fetch retries until it succeeds: what derivation needs
//! cannot be skipped, and a reset drops the fetches of an abandoned L1 chain.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use opal_da::{DaError, L1Client};
use opal_derivation::{Input, L1Block, Request};
use opal_protocol::{BlockId, L1BlockRef};
use tokio::task::JoinSet;
use tracing::warn;

/// L1 blocks fetched ahead of the one that derivation waits for.
const LOOK_AHEAD: u64 = 8;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// Fetches in flight and L1 blocks that arrived early.
pub struct Fetcher {
    l1: Arc<L1Client>,
    tasks: JoinSet<Input>,
    /// The block derivation waits for, if it waits for one.
    wanted: Option<u64>,
    /// `None` while the fetch is in flight. Holds at most `LOOK_AHEAD + 1` entries.
    blocks: BTreeMap<u64, Option<L1Block>>,
    /// The L1 block whose blobs are being fetched.
    blobs: Option<BlockId>,
}

impl Fetcher {
    /// A fetcher that reads from this L1.
    pub fn new(l1: Arc<L1Client>) -> Self {
        Self { l1, tasks: JoinSet::new(), wanted: None, blocks: BTreeMap::new(), blobs: None }
    }

    /// Drops everything in flight: the L1 chain was abandoned.
    pub fn reset(&mut self) {
        self.tasks = JoinSet::new();
        self.wanted = None;
        self.blocks.clear();
        self.blobs = None;
    }

    /// Drops the blocks that arrived early: the L1 chain may be another one there now. What is
    /// still in flight goes on, so that an L1 head that jumps to and fro does not stop derivation.
    pub fn forget_early(&mut self) {
        self.blocks.retain(|_, block| block.is_none());
    }

    /// Starts what derivation asks for. Returns the input at once when it is there already; the
    /// rest arrives through [`Fetcher::next`]. `l1_head` is the highest block number to read.
    pub fn request(&mut self, request: Request, l1_head: u64) -> Option<Input> {
        match request {
            Request::L1Block { number } => {
                self.blocks.retain(|n, _| *n >= number);
                if number > l1_head {
                    return Some(Input::L1NotYet { number });
                }
                for ahead in number..=l1_head.min(number.saturating_add(LOOK_AHEAD)) {
                    self.blocks.entry(ahead).or_insert_with(|| {
                        self.tasks.spawn(fetch_block(self.l1.clone(), ahead));
                        None
                    });
                }
                if let Some(Some(block)) = self.blocks.get_mut(&number).map(Option::take) {
                    self.blocks.remove(&number);
                    return Some(Input::L1Block(block));
                }
                self.wanted = Some(number);
                None
            }
            Request::Blobs { block, .. } if self.blobs == Some(block.id()) => None,
            Request::Blobs { block, hashes } => {
                self.blobs = Some(block.id());
                self.tasks.spawn(fetch_blobs(self.l1.clone(), block, hashes));
                None
            }
            // The driver answers it from the engine.
            Request::L2Block { .. } => None,
        }
    }

    /// The next input that derivation waits for. Cancel-safe; never resolves while nothing is in
    /// flight.
    pub async fn next(&mut self) -> Input {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(Input::L1Block(block))) => {
                    let number = block.reference.number;
                    if self.wanted == Some(number) {
                        self.wanted = None;
                        self.blocks.remove(&number);
                        return Input::L1Block(block);
                    }
                    if let Some(slot) = self.blocks.get_mut(&number) {
                        *slot = Some(block);
                    }
                }
                Some(Ok(input)) => {
                    self.blobs = None;
                    return input;
                }
                Some(Err(error)) if error.is_panic() => {
                    std::panic::resume_unwind(error.into_panic());
                }
                // Aborted: the runtime ends.
                Some(Err(_)) | None => std::future::pending().await,
            }
        }
    }
}

async fn fetch_block(l1: Arc<L1Client>, number: u64) -> Input {
    let mut delay = FIRST_RETRY;
    loop {
        match l1.block_by_number(number).await {
            Ok(block) => {
                return Input::L1Block(L1Block {
                    reference: block.reference,
                    header: block.header.clone(),
                    receipts: block.receipts.clone(),
                    transactions: block.transactions.clone(),
                });
            }
            Err(error) => pause(&mut delay, &error, "L1 block", number).await,
        }
    }
}

async fn fetch_blobs(
    l1: Arc<L1Client>,
    block: L1BlockRef,
    hashes: Vec<alloy_primitives::B256>,
) -> Input {
    let mut delay = FIRST_RETRY;
    loop {
        match l1.blobs(&block, &hashes).await {
            Ok(blobs) => return Input::Blobs { block: block.id(), blobs },
            Err(error) => pause(&mut delay, &error, "blobs of L1 block", block.number).await,
        }
    }
}

async fn pause(delay: &mut Duration, error: &DaError, what: &str, number: u64) {
    if *delay > FIRST_RETRY {
        warn!(target: "opal::node", %error, "cannot read {what} {number} yet; trying on");
    }
    tokio::time::sleep(*delay).await;
    *delay = (*delay * 2).min(LONGEST_RETRY);
}

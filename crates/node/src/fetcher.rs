//! Brings derivation its inputs, ahead of time.
//!
//! Derivation names one input at a time; L1 blocks are read in order, so the fetcher asks for the
//! next few as soon as one is wanted, as long as what has arrived early is not too large. A fetch
//! retries until it succeeds: what derivation needs cannot be skipped, and a reset drops the
//! fetches of an abandoned L1 chain.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use opal_da::{DaError, L1Client};
use opal_derivation::{Input, L1Block, Request};
use opal_protocol::{BlockId, L1BlockRef};
use tokio::task::JoinSet;
use tracing::warn;

/// L1 blocks fetched ahead of the one that derivation waits for.
const LOOK_AHEAD: u64 = 8;
/// Bytes of early blocks, arrived or expected, beyond which no further one is asked for.
const EARLY_BYTES: usize = 64 << 20;
/// Least bytes that a block counts before it has arrived: more than nearly all have. After a larger
/// one the next are expected to be as large.
const EXPECTED_BYTES: usize = 4 << 20;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// Where the inputs come from.
#[derive(Clone)]
enum Source {
    L1(Arc<L1Client>),
    #[cfg(test)]
    Script(Arc<tests::Script>),
}

impl Source {
    /// A block, and about how many bytes it takes.
    async fn block(&self, number: u64) -> Result<(L1Block, usize), DaError> {
        match self {
            Self::L1(l1) => {
                let block = l1.block_by_number(number).await?;
                let weight = block.weight();
                let block = L1Block {
                    reference: block.reference,
                    header: block.header.clone(),
                    receipts: block.receipts.clone(),
                    transactions: block.transactions.clone(),
                };
                Ok((block, weight))
            }
            #[cfg(test)]
            Self::Script(script) => script.block(number).await,
        }
    }

    async fn blobs(
        &self,
        block: &L1BlockRef,
        hashes: &[B256],
    ) -> Result<Vec<Box<opal_protocol::blob::Blob>>, DaError> {
        match self {
            Self::L1(l1) => l1.blobs(block, hashes).await,
            #[cfg(test)]
            Self::Script(script) => script.blobs(block, hashes).await,
        }
    }

    async fn wait(&self, delay: Duration) {
        match self {
            Self::L1(_) => tokio::time::sleep(delay).await,
            #[cfg(test)]
            Self::Script(script) => script.wait(delay).await,
        }
    }
}

/// An L1 block ahead of the one wanted.
#[expect(clippy::large_enum_variant, reason = "nine of them at most")]
enum Early {
    InFlight,
    Here(L1Block, usize),
}

impl Early {
    const fn weight(&self, expected: usize) -> usize {
        match self {
            Self::InFlight => expected,
            Self::Here(_, weight) => *weight,
        }
    }
}

/// What a fetch brought.
enum Arrived {
    Block(L1Block, usize),
    Blobs(Input),
}

/// Fetches in flight and L1 blocks that arrived early.
pub struct Fetcher {
    source: Source,
    tasks: JoinSet<Arrived>,
    /// The block derivation waits for, if it waits for one.
    wanted: Option<u64>,
    /// Holds at most `LOOK_AHEAD + 1` entries.
    blocks: BTreeMap<u64, Early>,
    /// Bytes that a block in flight counts.
    expected: usize,
    /// The L1 block whose blobs are being fetched.
    blobs: Option<BlockId>,
}

impl Fetcher {
    /// A fetcher that reads from this L1.
    pub fn new(l1: Arc<L1Client>) -> Self {
        Self::from_source(Source::L1(l1))
    }

    fn from_source(source: Source) -> Self {
        Self {
            source,
            tasks: JoinSet::new(),
            wanted: None,
            blocks: BTreeMap::new(),
            expected: EXPECTED_BYTES,
            blobs: None,
        }
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
        self.blocks.retain(|_, block| matches!(block, Early::InFlight));
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
                let mut bytes: usize = self.blocks.values().map(|b| b.weight(self.expected)).sum();
                for ahead in number..=l1_head.min(number.saturating_add(LOOK_AHEAD)) {
                    if self.blocks.contains_key(&ahead) {
                        continue;
                    }
                    if ahead > number && bytes.saturating_add(self.expected) > EARLY_BYTES {
                        break;
                    }
                    bytes = bytes.saturating_add(self.expected);
                    self.blocks.insert(ahead, Early::InFlight);
                    self.tasks.spawn(fetch_block(self.source.clone(), ahead));
                }
                if let Some(Early::Here(..)) = self.blocks.get(&number)
                    && let Some(Early::Here(block, _)) = self.blocks.remove(&number)
                {
                    return Some(Input::L1Block(block));
                }
                self.wanted = Some(number);
                None
            }
            Request::Blobs { block, .. } if self.blobs == Some(block.id()) => None,
            Request::Blobs { block, hashes } => {
                self.blobs = Some(block.id());
                self.tasks.spawn(fetch_blobs(self.source.clone(), block, hashes));
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
                Some(Ok(Arrived::Block(block, weight))) => {
                    let number = block.reference.number;
                    self.expected = weight.max(EXPECTED_BYTES);
                    if self.wanted == Some(number) {
                        self.wanted = None;
                        self.blocks.remove(&number);
                        return Input::L1Block(block);
                    }
                    if let Some(slot) = self.blocks.get_mut(&number) {
                        *slot = Early::Here(block, weight);
                    }
                }
                Some(Ok(Arrived::Blobs(input))) => {
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

async fn fetch_block(source: Source, number: u64) -> Arrived {
    let mut delay = FIRST_RETRY;
    loop {
        let error = match source.block(number).await {
            Ok((block, weight)) if block.reference.number == number => {
                return Arrived::Block(block, weight);
            }
            Ok((block, _)) => DaError::Inconsistent {
                block: block.reference.id(),
                reason: format!("block {number} was asked for"),
            },
            Err(error) => error,
        };
        pause(&source, &mut delay, &error, "L1 block", number).await;
    }
}

async fn fetch_blobs(source: Source, block: L1BlockRef, hashes: Vec<B256>) -> Arrived {
    let mut delay = FIRST_RETRY;
    loop {
        let error = match source.blobs(&block, &hashes).await {
            Ok(blobs) if blobs.len() == hashes.len() => {
                return Arrived::Blobs(Input::Blobs { block: block.id(), blobs });
            }
            Ok(blobs) => DaError::Inconsistent {
                block: block.id(),
                reason: format!("{} blobs came for {} hashes", blobs.len(), hashes.len()),
            },
            Err(error) => error,
        };
        pause(&source, &mut delay, &error, "blobs of L1 block", block.number).await;
    }
}

async fn pause(source: &Source, delay: &mut Duration, error: &DaError, what: &str, number: u64) {
    if *delay > FIRST_RETRY {
        warn!(target: "opal::node", %error, "cannot read {what} {number} yet; trying on");
    }
    source.wait(*delay).await;
    *delay = (*delay * 2).min(LONGEST_RETRY);
}

#[cfg(test)]
#[path = "fetcher_tests.rs"]
mod tests;

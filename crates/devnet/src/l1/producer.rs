//! The block producer: what consensus is to Ethereum, this is to the embedded L1.
//!
//! ```text
//!   clock ── slot due ──► attributes ──► engine builds ──► beacon block + blobs ──► new head,
//!                                                                  safe, finalized follow by lag
//!   dev_reorg(depth) ──► head moves back to the fork block ──► other blocks in the same slots
//! ```
//! All of it is synchronous and takes the time as an argument; the loop with the real clock is in
//! the parent module.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use alloy_primitives::{Address, B256, keccak256};
use opal_execution::{EngineError, ForkchoiceState, LocalEngine, PayloadStatus};
use opal_protocol::{BlockId, PayloadAttributes, SealedBlock};
use serde::Serialize;
use tracing::{debug, info};

use super::blob_files::{BlobFiles, BlobFilesError};
use super::blob_store::{BlobStore, stored_blobs};
use super::slots::{NextBlock, SlotClock};

const TARGET: &str = "opal::devnet";

/// Most blocks that one reorg replaces.
pub const MAX_REORG_DEPTH: u64 = 64;

/// Receives the priority fees of L1 blocks.
pub const FEE_RECIPIENT: Address = Address::repeat_byte(0xfe);

/// Why the L1 could not go on, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ProducerError {
    /// A reorg that replaces nothing or too much.
    #[error("a reorg's depth is 1 to {MAX_REORG_DEPTH}, not {0}")]
    Depth(u64),
    /// Finalized blocks stay.
    #[error(
        "a reorg of depth {depth} would replace finalized blocks: the head is block {head}, block \
         {finalized} is final, so at most {} can be replaced now (the finality lag sets how many)",
        head.saturating_sub(*finalized)
    )]
    BeyondFinalized {
        /// Depth asked for.
        depth: u64,
        /// Number of the head.
        head: u64,
        /// Number of the finalized block.
        finalized: u64,
    },
    /// The execution engine failed.
    #[error("L1 execution: {0}")]
    Engine(#[from] EngineError),
    /// The execution engine did not take its own block.
    #[error("L1 execution refused block {number}: {status:?}")]
    Refused {
        /// Number of the block.
        number: u64,
        /// What it said.
        status: Box<PayloadStatus>,
    },
    /// A canonical block that must exist does not.
    #[error("L1 block {0} is missing")]
    Missing(u64),
    /// The blobs of a block cannot be kept.
    #[error("L1 blobs: {0}")]
    Blobs(#[from] BlobFilesError),
}

/// Number of blocks by which the labels follow the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelLag {
    /// `safe` is this far behind.
    pub safe: u64,
    /// `finalized` is this far behind.
    pub finalized: u64,
}

/// What a call of [`Producer::tick`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tick {
    /// A block was due and is now the head.
    Built(SealedBlock),
    /// No block is due before this time has passed.
    Wait(Duration),
}

/// A reorg that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reorg {
    /// Newest block that both chains share.
    pub common_ancestor: BlockId,
    /// The head before.
    pub old_head: BlockId,
    /// The head now, in the slot of the old one.
    pub new_head: BlockId,
}

/// Builds the blocks of the embedded L1.
#[derive(Debug)]
pub struct Producer {
    engine: LocalEngine,
    store: Arc<RwLock<BlobStore>>,
    clock: SlotClock,
    lag: LabelLag,
    /// Where blobs outlast the process; `None` for an L1 in memory.
    files: Option<BlobFiles>,
    /// The head that the newest reorg replaced. It makes the blocks of each reorg differ from those
    /// that they replace.
    replaced: B256,
}

impl Producer {
    /// A producer for a chain with the store of its beacon blocks. What the store lets go of goes
    /// from `files`, too.
    pub const fn new(
        engine: LocalEngine,
        store: Arc<RwLock<BlobStore>>,
        clock: SlotClock,
        lag: LabelLag,
        files: Option<BlobFiles>,
    ) -> Self {
        Self { engine, store, clock, lag, files, replaced: B256::ZERO }
    }

    // The store is changed by assignments that can't panic half-way.
    fn store(&self) -> RwLockReadGuard<'_, BlobStore> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn store_mut(&self) -> RwLockWriteGuard<'_, BlobStore> {
        self.store.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Builds a block if one is due at `now` (time since the Unix epoch).
    ///
    /// # Errors
    /// When execution fails; the chain then stands where it stood.
    pub fn tick(&mut self, now: Duration) -> Result<Tick, ProducerError> {
        let head_slot = self.store().head_slot();
        match self.clock.next_block(head_slot, now) {
            NextBlock::Due { slot } => Ok(Tick::Built(self.extend(slot, true)?)),
            NextBlock::In(time) => Ok(Tick::Wait(time)),
        }
    }

    /// Builds a block at once, in the current slot or, when that is taken, in the one after the
    /// head's: the chain may so run ahead of the clock, which then waits for it.
    ///
    /// # Errors
    /// When execution fails.
    pub fn mine(&mut self, now: Duration) -> Result<SealedBlock, ProducerError> {
        let next = self.store().head_slot().saturating_add(1);
        self.extend(next.max(self.clock.slot_at(now.as_secs())), true)
    }

    /// Replaces the newest `depth` blocks by others in the same slots. The first of them is empty;
    /// the dropped transactions are back in the pool and are included from the next block on, so
    /// that every transaction changes its place and none is lost. The safe label falls back to the
    /// common ancestor if it lay above; finalized blocks are never replaced.
    ///
    /// # Errors
    /// On a depth out of range or beyond the finalized block nothing has changed. When execution
    /// fails, the chain may stand anywhere from the common ancestor on.
    pub fn reorg(&mut self, depth: u64) -> Result<Reorg, ProducerError> {
        if depth == 0 || depth > MAX_REORG_DEPTH {
            return Err(ProducerError::Depth(depth));
        }
        let chain = self.engine.chain().clone();
        let (old_head, finalized) = (chain.head(), chain.finalized());
        let (head, finalized) = (old_head.header().number, finalized.header().number);
        let fork = head
            .checked_sub(depth)
            .filter(|fork| *fork >= finalized)
            .ok_or(ProducerError::BeyondFinalized { depth, head, finalized })?;
        let block = |number| chain.block_by_number(number).ok_or(ProducerError::Missing(number));
        let common = block(fork)?;
        let slots = (fork + 1..=head)
            .map(|number| Ok(self.clock.slot_at(block(number)?.header().timestamp)))
            .collect::<Result<Vec<_>, ProducerError>>()?;

        self.replaced = old_head.hash;
        if !self.store_mut().revert_to(self.clock.slot_at(common.header().timestamp)) {
            return Err(ProducerError::Missing(fork));
        }
        self.set_head(common.hash, fork, None)?;
        let mut new_head = common.id();
        for (i, slot) in slots.into_iter().enumerate() {
            new_head = self.extend(slot, i > 0)?.id();
        }
        let reorg = Reorg { common_ancestor: common.id(), old_head: old_head.id(), new_head };
        info!(target: TARGET, depth, old = %reorg.old_head, new = %reorg.new_head, "L1 reorg");
        Ok(reorg)
    }

    /// Builds on the head and makes the new block the head.
    fn extend(&self, slot: u64, with_pool: bool) -> Result<SealedBlock, ProducerError> {
        let parent = self.engine.head();
        let number = parent.header().number.saturating_add(1);
        let attributes = PayloadAttributes {
            timestamp: self.clock.start_of(slot),
            prev_randao: self.randao(parent.hash, slot),
            suggested_fee_recipient: FEE_RECIPIENT,
            withdrawals: Some(Vec::new()),
            parent_beacon_block_root: Some(self.store().head_root()),
            no_tx_pool: !with_pool,
            ..PayloadAttributes::default()
        };
        let job = self.set_head(parent.hash, parent.header().number, Some(attributes))?;
        // Attributes always start a job; the engine would name an id that it does not know.
        let payload = self.engine.get_payload(job.unwrap_or_default())?;
        let block = payload.block;
        let status = self.engine.new_payload(&block)?;
        if !status.is_valid() {
            return Err(ProducerError::Refused { number, status: Box::new(status) });
        }
        let sidecars = payload.sidecars.iter().map(|(_, sidecar)| sidecar.as_ref());
        let blobs: Vec<_> = sidecars.flat_map(stored_blobs).collect();
        let count = blobs.len();
        // Whoever sees the block finds its blobs, after a crash, too.
        if let Some(files) = &self.files {
            files.write(&block.id(), &blobs)?;
        }
        self.store_mut().append(slot, &block, blobs);
        self.set_head(block.hash, number, None)?;
        debug!(
            target: TARGET,
            number,
            slot,
            transactions = block.block.body.transactions.len(),
            blobs = count,
            "L1 block"
        );
        Ok(block)
    }

    /// Sets the head and lets the labels follow; they never fall below where they are, except that
    /// safe goes no higher than the head. Starts a job when attributes are given.
    fn set_head(
        &self,
        head: B256,
        number: u64,
        attributes: Option<PayloadAttributes>,
    ) -> Result<Option<opal_execution::PayloadId>, ProducerError> {
        let chain = self.engine.chain();
        let follow = |current: SealedBlock, lag: u64| {
            let number = number.saturating_sub(lag).max(current.header().number.min(number));
            chain.ancestor_hash(head, number).ok_or(ProducerError::Missing(number))
        };
        let safe = follow(chain.safe(), self.lag.safe)?;
        let finalized = follow(chain.finalized(), self.lag.finalized)?;
        let updated = self
            .engine
            .fork_choice_updated(ForkchoiceState { head, safe, finalized }, attributes)?;
        if !updated.status.is_valid() {
            let status = Box::new(updated.status);
            return Err(ProducerError::Refused { number, status });
        }
        let slot_of = |block: SealedBlock| self.clock.slot_at(block.header().timestamp);
        let (safe, finalized) = (slot_of(chain.safe()), slot_of(chain.finalized()));
        let gone = {
            let mut store = self.store_mut();
            store.set_labels(safe, finalized);
            store.take_changes()
        };
        // The chain does not go back to blocks that have left, not even after a crash from here on.
        if let Some(files) = &self.files {
            files.apply(gone)?;
        }
        Ok(updated.payload_id)
    }

    /// Pseudo-randomness of a block: the same for the same parent, slot and newest reorg.
    fn randao(&self, parent: B256, slot: u64) -> B256 {
        let mut seed = parent.to_vec();
        seed.extend(slot.to_be_bytes());
        seed.extend(self.replaced);
        keccak256(seed)
    }
}

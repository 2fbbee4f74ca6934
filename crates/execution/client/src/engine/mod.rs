//! The engine: what the Engine API offers, called directly.
//!
//! ```text
//!   new_payload ──► execute on the parent, store ──► VALID | INVALID | SYNCING (parent unknown)
//!   fork_choice_updated ──► head, safe, finalized (reorg to any known block) ──► VALID | SYNCING
//!        └─ with attributes ──► building job: forced transactions are executed at once
//!        └─ and without noTxPool ──► a thread that builds from the pool until the job is fetched
//!   get_payload ──► the job's block, built again from the pool if that has changed
//! ```
//! Blocks are built without holding up imports and forkchoice changes.

mod job;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use alloy_consensus::Header;
use alloy_primitives::B256;
use opal_protocol::{PayloadAttributes, SealedBlock};

use crate::builder::{self, BuildError, BuiltPayload};
use crate::chain::{Chain, ChainError};
use crate::payload_id::{PayloadId, payload_id};
use job::Job;

/// The three labels that consensus sets. Zero hashes for safe and finalized mean "not known yet"
/// and leave the label where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForkchoiceState {
    /// End of the canonical chain.
    pub head: B256,
    /// An ancestor of the head (or the head itself).
    pub safe: B256,
    /// An ancestor of the safe block (or the safe block itself).
    pub finalized: B256,
}

/// What the engine says of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadStatus {
    /// The block and all its ancestors are valid.
    Valid {
        /// Hash of the block.
        latest_valid_hash: B256,
    },
    /// The block, or an ancestor, breaks the rules.
    Invalid {
        /// The last ancestor that is valid; `None` when the block is not even what its hash says,
        /// so that nothing is known of its ancestors.
        latest_valid_hash: Option<B256>,
        /// The broken rule.
        error: String,
    },
    /// An ancestor is not known: more blocks are needed first.
    Syncing,
}

impl PayloadStatus {
    /// Whether this is [`PayloadStatus::Valid`].
    pub const fn is_valid(&self) -> bool {
        matches!(self, Self::Valid { .. })
    }
}

/// Answer to a change of forkchoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkchoiceUpdated {
    /// Status of the head.
    pub status: PayloadStatus,
    /// The building job, when attributes were given.
    pub payload_id: Option<PayloadId>,
}

/// The parts of a version-0 output root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputV0 {
    /// State root of the block.
    pub state_root: B256,
    /// Storage root of the message passer.
    pub withdrawals_storage_root: B256,
    /// Hash of the block.
    pub block_hash: B256,
}

/// Errors of engine calls. The Engine API's code of each is in its description.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// -38001: no such building job; it was too old, or never began.
    #[error("unknown payload {0}")]
    UnknownPayload(PayloadId),
    /// -38002: the labels contradict each other.
    #[error("invalid forkchoice state: {0}")]
    InvalidForkchoice(String),
    /// -38003: the attributes can't be built; the head has been set all the same.
    #[error("{0}")]
    InvalidAttributes(String),
    /// A fault of this node.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// Blocks found invalid, so that their descendants are known to be.
#[derive(Debug)]
struct InvalidBlock {
    hash: B256,
    latest_valid_hash: Option<B256>,
    error: String,
}

const MAX_JOBS: usize = 16;
const MAX_INVALID: usize = 128;

/// The engine of one chain in this process. Calls block while blocks are executed. Clones share
/// everything.
#[derive(Clone, Debug)]
pub struct LocalEngine {
    chain: Arc<Chain>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    jobs: Mutex<VecDeque<(PayloadId, Arc<Job>)>>,
    invalid: Mutex<VecDeque<InvalidBlock>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Held for plain assignments only; nothing is half done after a panic.
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl LocalEngine {
    /// An engine for a chain.
    pub fn new(chain: Arc<Chain>) -> Self {
        Self { chain, shared: Arc::default() }
    }

    /// The chain.
    pub const fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// Moves head, safe and finalized, and starts a building job when attributes are given. Any
    /// known block can become the head: transactions that drop out of the chain go back to the
    /// pool.
    ///
    /// # Errors
    /// [`EngineError::InvalidForkchoice`] when safe or finalized is not an ancestor of the head;
    /// [`EngineError::InvalidAttributes`] when a forced transaction can't be executed or the
    /// attributes don't fit the chain.
    pub fn fork_choice_updated(
        &self,
        state: ForkchoiceState,
        attributes: Option<PayloadAttributes>,
    ) -> Result<ForkchoiceUpdated, EngineError> {
        if state.head.is_zero() {
            // As geth has it: a status, not an error.
            let error = "the head is the zero hash".to_owned();
            let status = PayloadStatus::Invalid { latest_valid_hash: None, error };
            return Ok(ForkchoiceUpdated { status, payload_id: None });
        }
        if let Some(status) = self.known_invalid(&[state.head]) {
            return Ok(ForkchoiceUpdated { status, payload_id: None });
        }
        let Some(head) = self.chain.block_by_hash(&state.head) else {
            return Ok(ForkchoiceUpdated { status: PayloadStatus::Syncing, payload_id: None });
        };
        let safe = self.check_label("safe", state.safe, state.head)?;
        let finalized = self.check_label("finalized", state.finalized, state.head)?;
        if let (Some(safe), Some(finalized)) = (safe, finalized)
            && !self.chain.is_ancestor(&finalized, safe)
        {
            return Err(EngineError::InvalidForkchoice(format!(
                "finalized block {finalized} is not an ancestor of safe block {safe}"
            )));
        }
        self.chain.set_canonical(&mut self.chain.change(), state.head, safe, finalized)?;
        let payload_id = match attributes {
            None => None,
            Some(attributes) => Some(self.start_job(head, attributes)?),
        };
        let status = PayloadStatus::Valid { latest_valid_hash: state.head };
        Ok(ForkchoiceUpdated { status, payload_id })
    }

    fn check_label(
        &self,
        label: &str,
        hash: B256,
        head: B256,
    ) -> Result<Option<B256>, EngineError> {
        if hash.is_zero() {
            return Ok(None);
        }
        if self.chain.block_by_hash(&hash).is_none() {
            let text = format!("{label} block {hash} is not known");
            return Err(EngineError::InvalidForkchoice(text));
        }
        if !self.chain.is_ancestor(&hash, head) {
            let text = format!("{label} block {hash} is not an ancestor of head {head}");
            return Err(EngineError::InvalidForkchoice(text));
        }
        Ok(Some(hash))
    }

    fn start_job(
        &self,
        parent: SealedBlock,
        attributes: PayloadAttributes,
    ) -> Result<PayloadId, EngineError> {
        // Before a job is looked for: an id does not tell an empty list from none.
        builder::check(self.chain.spec(), &parent, &attributes).map_err(attributes_error)?;
        let id = payload_id(parent.hash, &attributes);
        if self.job(&id).is_some() {
            return Ok(id);
        }
        let job = Arc::new(Job::begin(&self.chain, parent, attributes)?);
        Job::improve_until_fetched(&job, &self.chain);
        let mut jobs = lock(&self.shared.jobs);
        if jobs.len() >= MAX_JOBS {
            jobs.pop_front();
        }
        jobs.push_back((id, job));
        Ok(id)
    }

    fn job(&self, id: &PayloadId) -> Option<Arc<Job>> {
        lock(&self.shared.jobs).iter().find(|(known, _)| known == id).map(|(_, job)| job.clone())
    }

    /// The block of a building job. It is built again if the pool has changed since it was last
    /// built, unless the attributes exclude the pool or that would take long.
    ///
    /// # Errors
    /// [`EngineError::UnknownPayload`] when there is no such job.
    pub fn get_payload(&self, id: PayloadId) -> Result<BuiltPayload, EngineError> {
        self.job(&id).ok_or(EngineError::UnknownPayload(id))?.fetch(&self.chain)
    }

    /// Executes a block and stores it. It becomes canonical when forkchoice says so.
    ///
    /// # Errors
    /// Only on faults of this node; what is wrong with the block is in the status.
    pub fn new_payload(&self, block: &SealedBlock) -> Result<PayloadStatus, EngineError> {
        let parent = block.header().parent_hash;
        let real_hash = block.header().hash_slow();
        if real_hash != block.hash {
            return Ok(PayloadStatus::Invalid {
                latest_valid_hash: None,
                error: format!("blockhash mismatch, want {}, got {real_hash}", block.hash),
            });
        }
        if let Some(status) = self.known_invalid(&[block.hash, parent]) {
            if let PayloadStatus::Invalid { latest_valid_hash, error } = &status {
                self.mark_invalid(block.hash, *latest_valid_hash, error.clone());
            }
            return Ok(status);
        }
        let mut guard = self.chain.change();
        match self.chain.import(&mut guard, block) {
            Ok(()) => Ok(PayloadStatus::Valid { latest_valid_hash: block.hash }),
            Err(ChainError::UnknownParent(_)) => Ok(PayloadStatus::Syncing),
            Err(ChainError::InvalidBlock(error)) => {
                self.mark_invalid(block.hash, Some(parent), error.clone());
                Ok(PayloadStatus::Invalid { latest_valid_hash: Some(parent), error })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn known_invalid(&self, hashes: &[B256]) -> Option<PayloadStatus> {
        let invalid = lock(&self.shared.invalid);
        let block = invalid.iter().find(|block| hashes.contains(&block.hash))?;
        Some(PayloadStatus::Invalid {
            latest_valid_hash: block.latest_valid_hash,
            error: block.error.clone(),
        })
    }

    fn mark_invalid(&self, hash: B256, latest_valid_hash: Option<B256>, error: String) {
        let mut invalid = lock(&self.shared.invalid);
        if invalid.iter().any(|block| block.hash == hash) {
            return;
        }
        if invalid.len() >= MAX_INVALID {
            invalid.pop_front();
        }
        invalid.push_back(InvalidBlock { hash, latest_valid_hash, error });
    }

    /// End of the canonical chain.
    pub fn head(&self) -> SealedBlock {
        self.chain.head()
    }

    /// The safe block; genesis until one was set.
    pub fn safe(&self) -> Option<SealedBlock> {
        Some(self.chain.safe())
    }

    /// The finalized block; genesis until one was set.
    pub fn finalized(&self) -> Option<SealedBlock> {
        Some(self.chain.finalized())
    }

    /// A header, canonical or not.
    pub fn header_by_hash(&self, hash: &B256) -> Option<Header> {
        self.chain.header_by_hash(hash)
    }

    /// A block, canonical or not.
    pub fn block_by_hash(&self, hash: &B256) -> Option<SealedBlock> {
        self.chain.block_by_hash(hash)
    }

    /// The canonical block at a height.
    pub fn block_by_number(&self, number: u64) -> Option<SealedBlock> {
        self.chain.block_by_number(number)
    }

    /// The parts of the output root after a block. Spec: `proposals.md`, "L2 Output Commitment
    /// Construction".
    ///
    /// # Errors
    /// When the block is not known here, the chain is an L1, or the block is one before Isthmus of
    /// an imported snapshot, which proves no such root.
    pub fn output_at(&self, hash: &B256) -> Result<OutputV0, EngineError> {
        let stored = self.chain.stored(hash).ok_or(ChainError::UnknownBlock(*hash))?;
        let withdrawals_storage_root = stored.withdrawals_storage_root.ok_or_else(|| {
            ChainError::State("the block has no output root, or none is known".into())
        })?;
        let state_root = stored.block.header().state_root;
        Ok(OutputV0 { state_root, withdrawals_storage_root, block_hash: *hash })
    }
}

fn attributes_error(error: BuildError) -> EngineError {
    match error {
        BuildError::State(error) => EngineError::Chain(ChainError::State(error)),
        other => EngineError::InvalidAttributes(other.to_string()),
    }
}

#[cfg(test)]
mod tests;

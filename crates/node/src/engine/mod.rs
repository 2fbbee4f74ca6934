//! The seam between node and execution engine, and the node's use of it: labels, references,
//! building.
//!
//! ```text
//!   driver ──► Engine ──┬── LocalEngine: the chain in this process, called directly
//!                       └── HttpEngine: any execution client, by the Engine API
//! ```
//! One suite of expectations (`conformance.rs`) runs over both. Calls block: they are made where a
//! thread may wait.

#[cfg(test)]
mod conformance;
mod http;
mod local;

use std::fmt::Debug;

use alloy_primitives::{B256, Bytes, keccak256};
use opal_execution::{ForkchoiceState, ForkchoiceUpdated, OutputV0, PayloadId, PayloadStatus};
use opal_protocol::{
    L2BlockRef, PayloadAttributes, RollupConfig, SealedBlock, TxEnvelope, l2_block_ref,
};

pub use http::{HttpEngine, HttpEngineError};

use crate::error::NodeError;
use crate::forkchoice::Heads;

/// Which block to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockAt {
    /// With this hash, canonical or not.
    Hash(B256),
    /// The canonical one of this height.
    Number(u64),
    /// The end of the canonical chain.
    Latest,
    /// The safe block, or genesis; `None` where the engine knows none yet.
    Safe,
    /// The finalized block, or genesis; `None` where the engine knows none yet.
    Finalized,
}

/// Why an engine did not do what it was asked, by what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// It does not answer, or not now: try again.
    #[error("no answer from the execution engine: {0}")]
    Unavailable(String),
    /// It does not have what it was told before, as after a restart that lost blocks: start again
    /// from what it has.
    #[error("the execution engine does not have what it had: {0}")]
    Lost(String),
    /// The attributes can never become a block.
    #[error("{0}")]
    InvalidAttributes(String),
    /// A fault of the engine, or of the two together, that no other try mends: stop.
    #[error("{0}")]
    Broken(String),
}

/// What the node asks of an execution engine.
pub trait Engine: Debug + Send + Sync {
    /// Moves the labels, and starts a building job when attributes are given.
    ///
    /// # Errors
    /// See [`EngineError`]; contradicting labels are the node's fault or the engine's loss.
    fn fork_choice_updated(
        &self,
        state: ForkchoiceState,
        attributes: Option<PayloadAttributes>,
    ) -> Result<ForkchoiceUpdated, EngineError>;

    /// The block of a building job, whose attributes have this timestamp.
    ///
    /// # Errors
    /// [`EngineError::Lost`] when there is no such job.
    fn get_payload(&self, id: PayloadId, timestamp: u64) -> Result<SealedBlock, EngineError>;

    /// Executes and stores a block. What is wrong with it is in the status.
    ///
    /// # Errors
    /// When the engine fails.
    fn new_payload(&self, block: &SealedBlock) -> Result<PayloadStatus, EngineError>;

    /// Reads a block; `None` if there is none.
    ///
    /// # Errors
    /// When the engine fails.
    fn block(&self, at: BlockAt) -> Result<Option<SealedBlock>, EngineError>;

    /// The parts of the output root after a block that the engine has.
    ///
    /// # Errors
    /// When the engine fails or does not have the block's state.
    fn output_at(&self, block: &SealedBlock) -> Result<OutputV0, EngineError>;
}

/// Why a block was not built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// The engine's answer; `InvalidAttributes` says that they can never become a block.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine built a block that it does not take: a fault of the engine.
    #[error("the engine refuses its own block: {0}")]
    NotImported(String),
}

/// The L2 reference of a block.
pub(crate) fn block_ref(
    config: &RollupConfig,
    block: &SealedBlock,
) -> Result<L2BlockRef, NodeError> {
    l2_block_ref(config, block.hash, &block.block)
        .map_err(|error| NodeError::L1Info { block: block.id(), error: error.into() })
}

/// The engine's heads, checked against the rollup's genesis.
pub(crate) fn heads(engine: &dyn Engine, config: &RollupConfig) -> Result<Heads, NodeError> {
    let genesis = engine
        .block(BlockAt::Number(config.genesis.l2.number))?
        .ok_or_else(|| NodeError::MissingBlock(config.genesis.l2.to_string()))?;
    if genesis.id() != config.genesis.l2 {
        return Err(NodeError::WrongL2Genesis { expected: config.genesis.l2, found: genesis.id() });
    }
    let at = |label| Ok::<_, NodeError>(engine.block(label)?.unwrap_or_else(|| genesis.clone()));
    Ok(Heads {
        unsafe_head: block_ref(config, &at(BlockAt::Latest)?)?,
        safe: block_ref(config, &at(BlockAt::Safe)?)?,
        finalized: block_ref(config, &at(BlockAt::Finalized)?)?,
    })
}

/// Tells the engine the heads.
pub(crate) fn set_heads(engine: &dyn Engine, heads: &Heads) -> Result<(), EngineError> {
    update(engine, heads, heads.unsafe_head.hash, None).map(drop)
}

/// Builds a block on `parent` and imports it. The engine's head becomes the new block only with
/// the next [`set_heads`].
pub(crate) fn build(
    engine: &dyn Engine,
    heads: &Heads,
    parent: B256,
    attributes: PayloadAttributes,
) -> Result<SealedBlock, BuildError> {
    let timestamp = attributes.timestamp;
    let (forced, only) = (attributes.transactions.clone(), attributes.no_tx_pool);
    let id = update(engine, heads, parent, Some(attributes))?
        .ok_or_else(|| BuildError::NotImported("no building job was started".to_owned()))?;
    let block = engine.get_payload(id, timestamp)?;
    check_forced(&block, &forced.unwrap_or_default(), only)?;
    match engine.new_payload(&block)? {
        PayloadStatus::Valid { .. } => Ok(block),
        PayloadStatus::Invalid { error, .. } => Err(BuildError::NotImported(error)),
        PayloadStatus::Syncing => {
            let text = format!("parent {} of the block that it built", block.header().parent_hash);
            Err(EngineError::Lost(text).into())
        }
    }
}

/// Whether a block opens with the transactions that it must, and, with `only`, has no other.
/// op-reth leaves those out that it can't execute, where others refuse the attributes; the block
/// would then be another than that of the chain.
fn check_forced(block: &SealedBlock, forced: &[Bytes], only: bool) -> Result<(), BuildError> {
    let built = &block.block.body.transactions;
    let same = |(wanted, tx): (&Bytes, &TxEnvelope)| tx.tx_hash() == keccak256(wanted);
    let first_other = forced.iter().zip(built).position(|pair| !same(pair));
    if let Some(index) = first_other.or((built.len() < forced.len()).then_some(built.len())) {
        let text = format!("the engine left out transaction {index}, which must be in the block");
        return Err(EngineError::InvalidAttributes(text).into());
    }
    if only && built.len() > forced.len() {
        let text = "it has transactions of the pool, which it must not have".to_owned();
        return Err(BuildError::NotImported(text));
    }
    Ok(())
}

fn update(
    engine: &dyn Engine,
    heads: &Heads,
    head: B256,
    attributes: Option<PayloadAttributes>,
) -> Result<Option<PayloadId>, EngineError> {
    let state = ForkchoiceState { head, safe: heads.safe.hash, finalized: heads.finalized.hash };
    let updated = engine.fork_choice_updated(state, attributes)?;
    match updated.status {
        PayloadStatus::Valid { .. } => Ok(updated.payload_id),
        PayloadStatus::Invalid { error, .. } => {
            Err(EngineError::Broken(format!("head {head} is invalid: {error}")))
        }
        PayloadStatus::Syncing => Err(EngineError::Lost(format!("head {head}"))),
    }
}

//! The node's use of the execution engine: labels, references, building.

use alloy_primitives::B256;
use opal_execution::{EngineError, ForkchoiceState, LocalEngine, PayloadId, PayloadStatus};
use opal_protocol::{L2BlockRef, PayloadAttributes, RollupConfig, SealedBlock, l2_block_ref};

use crate::error::NodeError;
use crate::forkchoice::Heads;

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
pub(crate) fn heads(engine: &LocalEngine, config: &RollupConfig) -> Result<Heads, NodeError> {
    let genesis = engine
        .block_by_number(config.genesis.l2.number)
        .ok_or_else(|| NodeError::MissingBlock(config.genesis.l2.to_string()))?;
    if genesis.id() != config.genesis.l2 {
        return Err(NodeError::WrongL2Genesis { expected: config.genesis.l2, found: genesis.id() });
    }
    Ok(Heads {
        unsafe_head: block_ref(config, &engine.head())?,
        safe: block_ref(config, &engine.safe().unwrap_or_else(|| genesis.clone()))?,
        finalized: block_ref(config, &engine.finalized().unwrap_or(genesis))?,
    })
}

/// Tells the engine the heads.
pub(crate) fn set_heads(engine: &LocalEngine, heads: &Heads) -> Result<(), EngineError> {
    update(engine, heads, heads.unsafe_head.hash, None).map(drop)
}

/// Builds a block on `parent` and imports it. The engine's head becomes the new block only with
/// the next [`set_heads`].
pub(crate) fn build(
    engine: &LocalEngine,
    heads: &Heads,
    parent: B256,
    attributes: PayloadAttributes,
) -> Result<SealedBlock, BuildError> {
    let id = update(engine, heads, parent, Some(attributes))?
        .ok_or_else(|| BuildError::NotImported("no building job was started".to_owned()))?;
    let built = engine.get_payload(id)?;
    match engine.new_payload(&built.block)? {
        PayloadStatus::Valid { .. } => Ok(built.block),
        PayloadStatus::Invalid { error, .. } => Err(BuildError::NotImported(error)),
        PayloadStatus::Syncing => {
            Err(BuildError::NotImported("its parent is not known".to_owned()))
        }
    }
}

fn update(
    engine: &LocalEngine,
    heads: &Heads,
    head: B256,
    attributes: Option<PayloadAttributes>,
) -> Result<Option<PayloadId>, EngineError> {
    let state = ForkchoiceState { head, safe: heads.safe.hash, finalized: heads.finalized.hash };
    let updated = engine.fork_choice_updated(state, attributes)?;
    match updated.status {
        PayloadStatus::Valid { .. } => Ok(updated.payload_id),
        PayloadStatus::Invalid { error, .. } => Err(EngineError::InvalidForkchoice(error)),
        PayloadStatus::Syncing => {
            Err(EngineError::InvalidForkchoice(format!("head {head} is not known")))
        }
    }
}

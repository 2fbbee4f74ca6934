//! The node's use of the execution engine: labels, references, building.

use opal_execution::{EngineError, ForkchoiceState, LocalEngine, PayloadStatus};
use opal_protocol::{L2BlockRef, PayloadAttributes, RollupConfig, SealedBlock, l2_block_ref};

use crate::error::NodeError;
use crate::forkchoice::Heads;

/// Why a block was not built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// Execution says that the attributes can never become a block.
    #[error("invalid payload attributes: {0}")]
    InvalidAttributes(String),
    /// Anything else.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The L2 reference of a block.
pub(crate) fn block_ref(
    config: &RollupConfig,
    block: &SealedBlock,
) -> Result<L2BlockRef, NodeError> {
    l2_block_ref(config, block.hash, &block.block)
        .map_err(|error| NodeError::L1Info { block: block.id(), error })
}

/// The engine's heads, checked against the rollup's genesis.
pub(crate) fn heads(engine: &LocalEngine, config: &RollupConfig) -> Result<Heads, NodeError> {
    let genesis = engine
        .block_by_number(config.genesis.l2.number)
        .ok_or_else(|| NodeError::MissingBlock(config.genesis.l2.to_string()))?;
    if genesis.id() != config.genesis.l2 {
        return Err(NodeError::WrongL2Genesis {
            expected: config.genesis.l2,
            found: genesis.id(),
        });
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
    parent: alloy_primitives::B256,
    attributes: PayloadAttributes,
) -> Result<SealedBlock, BuildError> {
    let invalid = |error| match error {
        EngineError::InvalidAttributes(error) => BuildError::InvalidAttributes(error.to_string()),
        other => BuildError::Engine(other),
    };
    let id = update(engine, heads, parent, Some(attributes)).map_err(invalid)?;
    let Some(id) = id else {
        return Err(EngineError::UnknownPayload.into());
    };
    let built = engine.get_payload(id).map_err(invalid)?;
    match engine.new_payload(&built.block)? {
        PayloadStatus::Valid => Ok(built.block),
        PayloadStatus::Invalid { error, .. } => Err(BuildError::InvalidAttributes(error)),
        PayloadStatus::Syncing => Err(EngineError::UnknownPayload.into()),
    }
}

fn update(
    engine: &LocalEngine,
    heads: &Heads,
    head: alloy_primitives::B256,
    attributes: Option<PayloadAttributes>,
) -> Result<Option<opal_execution::PayloadId>, EngineError> {
    let state = ForkchoiceState { head, safe: heads.safe.hash, finalized: heads.finalized.hash };
    let updated = engine.fork_choice_updated(state, attributes)?;
    match updated.status {
        PayloadStatus::Valid => Ok(updated.payload_id),
        PayloadStatus::Invalid { error, .. } => Err(EngineError::Forkchoice(error)),
        PayloadStatus::Syncing => Err(EngineError::UnknownHead(head)),
    }
}

//! What the next block of the sequencer holds.

use opal_da::{DaError, L1BlockData, L1Client};
use opal_derivation::build_attributes;
use opal_execution::LocalEngine;
use opal_protocol::{L1BlockRef, L2BlockRef, PayloadAttributes, RollupConfig, system_config_of};
use opal_sequencing::{OriginError, choose_origin, must_be_empty};

use crate::forkchoice::Heads;

/// Why the next block cannot be planned now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error(transparent)]
    Origin(#[from] OriginError),
    #[error("L1: {0}")]
    L1(#[from] DaError),
    #[error("attributes: {0}")]
    Attributes(String),
    #[error("the engine does not know the unsafe head {0}")]
    UnknownHead(alloy_primitives::B256),
}

impl PlanError {
    /// Whether the L1 changed under the unsafe head, so that the node must reset.
    pub(crate) const fn l1_reorged(&self) -> bool {
        matches!(
            self,
            Self::Origin(OriginError::OriginReorged { .. } | OriginError::NextOrphaned { .. })
        )
    }
}

/// Plans blocks: chooses the L1 origin and makes the attributes.
#[derive(Debug)]
pub(crate) struct Sequencer {
    /// L1 blocks that must stand above an origin before it is used.
    conf_depth: u64,
    /// Origin of the unsafe head, so that an epoch's blocks need no look-up.
    current: Option<L1BlockRef>,
}

impl Sequencer {
    pub(crate) const fn new(conf_depth: u64) -> Self {
        Self { conf_depth, current: None }
    }

    /// Forgets the origin: the L1 chain may be another one now.
    pub(crate) const fn reset(&mut self) {
        self.current = None;
    }

    /// The attributes of the block after the unsafe head.
    pub(crate) async fn plan(
        &mut self,
        config: &RollupConfig,
        engine: &LocalEngine,
        l1: &L1Client,
        heads: &Heads,
        l1_head: u64,
    ) -> Result<PayloadAttributes, PlanError> {
        let parent = heads.unsafe_head;
        let current = self.current_origin(l1, &parent).await?;
        let next = parent.l1_origin.number.saturating_add(1);
        let next = if next.saturating_add(self.conf_depth) <= l1_head {
            Some(l1.block_ref_by_number(next).await?)
        } else {
            None
        };
        let choice = choose_origin(config, &parent, current, next)?;
        let origin = l1.block_by_hash(choice.origin.hash).await?;

        let parent_block =
            engine.block_by_hash(parent.hash).ok_or(PlanError::UnknownHead(parent.hash))?;
        let system_config = system_config_of(config, &parent_block.block)
            .map_err(|error| PlanError::Attributes(error.to_string()))?;
        let mut attributes = attributes_on(config, &parent, system_config, &origin, choice.new_epoch)?;
        attributes.no_tx_pool =
            must_be_empty(config, parent.timestamp, attributes.timestamp, &choice.origin);
        self.current = Some(choice.origin);
        Ok(attributes)
    }

    async fn current_origin(
        &self,
        l1: &L1Client,
        parent: &L2BlockRef,
    ) -> Result<L1BlockRef, DaError> {
        match self.current {
            Some(current) if current.id() == parent.l1_origin => Ok(current),
            _ => l1.block_ref_by_number(parent.l1_origin.number).await,
        }
    }
}

fn attributes_on(
    config: &RollupConfig,
    parent: &L2BlockRef,
    system_config: opal_protocol::SystemConfig,
    origin: &L1BlockData,
    new_epoch: bool,
) -> Result<PayloadAttributes, PlanError> {
    build_attributes(
        config,
        parent,
        &system_config,
        &origin.header,
        origin.reference.hash,
        new_epoch.then_some(origin.receipts.as_slice()),
        Vec::new(),
    )
    .map_err(|error| PlanError::Attributes(error.to_string()))
}

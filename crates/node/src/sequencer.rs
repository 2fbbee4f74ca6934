//! What the next block of the sequencer holds.

use opal_da::{DaError, L1Client};
use opal_derivation::{EpochData, build_attributes};
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
    /// The origin of the last block, so that the further blocks of its epoch need no look-up.
    epoch: Option<(L1BlockRef, EpochData)>,
}

impl Sequencer {
    pub(crate) const fn new(conf_depth: u64) -> Self {
        Self { conf_depth, epoch: None }
    }

    /// Forgets the origin: the L1 chain may be another one now.
    pub(crate) fn reset(&mut self) {
        self.epoch = None;
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
        let epoch = self.epoch_data(config, l1, choice.origin).await?;

        let parent_block =
            engine.block_by_hash(&parent.hash).ok_or(PlanError::UnknownHead(parent.hash))?;
        let system_config = system_config_of(config, parent.hash, &parent_block.block)
            .map_err(|error| PlanError::Attributes(error.to_string()))?;
        let mut attributes = build_attributes(config, &parent, &system_config, epoch, &[])
            .map_err(|error| PlanError::Attributes(error.to_string()))?;
        attributes.no_tx_pool =
            must_be_empty(config, parent.timestamp, attributes.timestamp, &choice.origin);
        Ok(attributes)
    }

    async fn epoch_data(
        &mut self,
        config: &RollupConfig,
        l1: &L1Client,
        origin: L1BlockRef,
    ) -> Result<&EpochData, DaError> {
        let epoch = match self.epoch.take() {
            Some(epoch) if epoch.0 == origin => epoch,
            _ => {
                let block = l1.block_by_hash(origin.hash).await?;
                let data =
                    EpochData::new(config, origin.hash, block.header.clone(), &block.receipts);
                (origin, data)
            }
        };
        Ok(&self.epoch.insert(epoch).1)
    }

    async fn current_origin(
        &self,
        l1: &L1Client,
        parent: &L2BlockRef,
    ) -> Result<L1BlockRef, DaError> {
        match &self.epoch {
            Some((current, _)) if current.id() == parent.l1_origin => Ok(*current),
            _ => l1.block_ref_by_number(parent.l1_origin.number).await,
        }
    }
}

//! What the next block of the sequencer holds.
//!
//! L1 blocks are read in the background: a block is not held up by an L1 that is slow or away as
//! long as the drift limit allows to stay on the current origin.

use std::sync::Arc;
use std::time::Duration;

use opal_da::{DaError, L1Client};
use opal_derivation::{EpochData, build_attributes};
use opal_protocol::{L1BlockRef, L2BlockRef, PayloadAttributes, RollupConfig, system_config_of};
use opal_sequencing::{OriginError, choose_origin, must_be_empty};
use tokio::task::JoinSet;
use tracing::debug;

use crate::engine::{BlockAt, Engine, EngineError};
use crate::forkchoice::Heads;

/// How long a block waits for an L1 block that is not read yet; the reading goes on afterwards.
const L1_PATIENCE: Duration = Duration::from_millis(100);

/// Why the next block cannot be planned now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error(transparent)]
    Origin(#[from] OriginError),
    #[error("L1: {0}")]
    L1(#[from] DaError),
    #[error("L1 block {0} is still being read")]
    L1Slow(u64),
    #[error("attributes: {0}")]
    Attributes(String),
    #[error(transparent)]
    Engine(#[from] EngineError),
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

/// An L1 block and what L2 blocks take from it.
#[derive(Debug)]
struct Origin {
    reference: L1BlockRef,
    data: EpochData,
}

/// An L1 block on its way here. Dropping it ends the reading.
#[derive(Debug)]
struct Reading {
    number: u64,
    task: JoinSet<Result<Origin, DaError>>,
}

impl Reading {
    fn start(config: Arc<RollupConfig>, l1: Arc<L1Client>, number: u64) -> Self {
        let mut task = JoinSet::new();
        task.spawn(async move {
            let block = l1.block_by_number(number).await?;
            let reference = block.reference;
            let data =
                EpochData::new(&config, reference.hash, block.header.clone(), &block.receipts);
            Ok(Origin { reference, data })
        });
        Self { number, task }
    }
}

/// Plans blocks: chooses the L1 origin and makes the attributes.
#[derive(Debug)]
pub(crate) struct Sequencer {
    config: Arc<RollupConfig>,
    l1: Arc<L1Client>,
    /// L1 blocks that must stand above an origin before it is used.
    conf_depth: u64,
    /// The origin of the last block.
    current: Option<Origin>,
    /// The one after it, from when it is read until a block may build on it.
    next: Option<Origin>,
    reading: Option<Reading>,
}

impl Sequencer {
    pub(crate) const fn new(config: Arc<RollupConfig>, l1: Arc<L1Client>, conf_depth: u64) -> Self {
        Self { config, l1, conf_depth, current: None, next: None, reading: None }
    }

    /// Forgets the origins: the L1 chain is another one now.
    pub(crate) fn reset(&mut self) {
        self.current = None;
        self.next = None;
        self.reading = None;
    }

    /// Forgets the next origin: the L1 chain may be another one above the current origin.
    pub(crate) fn forget_next(&mut self) {
        self.next = None;
    }

    /// The attributes of the block after the unsafe head. Waits for the L1 for a moment at most.
    pub(crate) async fn plan(
        &mut self,
        engine: &dyn Engine,
        heads: &Heads,
        l1_head: u64,
    ) -> Result<PayloadAttributes, PlanError> {
        let parent = heads.unsafe_head;
        let current = self.move_to(&parent).await?;
        self.look_ahead(current.number.saturating_add(1), l1_head).await;
        let next = self.next.as_ref().map(|next| next.reference);
        let choice = choose_origin(&self.config, &parent, current, next)?;
        let origin = if choice.new_epoch { &self.next } else { &self.current };
        // Both are there: the choice was made from them.
        let origin = origin.as_ref().ok_or(PlanError::L1Slow(choice.origin.number))?;

        let parent_block =
            engine.block(BlockAt::Hash(parent.hash))?.ok_or(PlanError::UnknownHead(parent.hash))?;
        let system_config = system_config_of(&self.config, parent.hash, &parent_block.block)
            .map_err(|error| PlanError::Attributes(error.to_string()))?;
        let mut attributes =
            build_attributes(&self.config, &parent, &system_config, &origin.data, &[])
                .map_err(|error| PlanError::Attributes(error.to_string()))?;
        attributes.no_tx_pool =
            must_be_empty(&self.config, parent.timestamp, attributes.timestamp, &choice.origin);
        Ok(attributes)
    }

    /// Makes the canonical L1 block at the height of the head's origin the current one.
    async fn move_to(&mut self, head: &L2BlockRef) -> Result<L1BlockRef, PlanError> {
        let is_origin = |origin: &&Origin| origin.reference.id() == head.l1_origin;
        if let Some(current) = self.current.as_ref().filter(is_origin) {
            return Ok(current.reference);
        }
        let origin = match self.next.take() {
            Some(next) if is_origin(&&next) => next,
            _ => self.read(head.l1_origin.number).await?,
        };
        Ok(self.current.insert(origin).reference)
    }

    /// Reads the next origin, once the L1 is long enough. Without it the block stays on the
    /// current one, if it may.
    async fn look_ahead(&mut self, number: u64, l1_head: u64) {
        self.next.take_if(|next| next.reference.number != number);
        if self.next.is_none() && number.saturating_add(self.conf_depth) <= l1_head {
            match self.read(number).await {
                Ok(next) => self.next = Some(next),
                Err(error) => {
                    debug!(target: "opal::sequencing", %error, "next L1 origin is not here yet");
                }
            }
        }
    }

    async fn read(&mut self, number: u64) -> Result<Origin, PlanError> {
        let reading = match &mut self.reading {
            Some(reading) if reading.number == number => reading,
            slot => slot.insert(Reading::start(self.config.clone(), self.l1.clone(), number)),
        };
        let answer = tokio::time::timeout(L1_PATIENCE, reading.task.join_next()).await;
        let answer = answer.map_err(|_| PlanError::L1Slow(number))?;
        self.reading = None;
        match answer {
            Some(Ok(origin)) => Ok(origin?),
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime ends.
            Some(Err(_)) | None => Err(PlanError::L1Slow(number)),
        }
    }
}

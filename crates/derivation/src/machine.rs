//! The state machine: turns pulls and stalls of the stages into steps for the host.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;

use opal_protocol::l1_info::system_config_after;
use opal_protocol::{
    AttributesWithParent, BlockId, Hardfork, L1BlockRef, L2BlockRef, RollupConfig, SingularBatch,
    SystemConfig, TxEnvelope,
};

use crate::attributes::{EpochData, deposits_only, is_deposits_only};
use crate::attributes_queue::{AttributesQueue, Head};
use crate::batch_queue::BatchQueue;
use crate::batch_stage::BatchStage;
use crate::batch_validity::SafeBlock;
use crate::host::{
    CriticalError, Dropped, Executed, ExecutedError, Inbox, Input, InputError, L1Block, MAX_AHEAD,
    Pull, Request, ResetReason, Stall, Step,
};
use crate::pipeline::{Context, Pipeline};

/// From where derivation goes on. See the crate's documentation for how a host finds it.
#[derive(Clone, Copy, Debug)]
pub struct DerivationStart {
    /// The L2 block to build on.
    pub safe_head: L2BlockRef,
    /// System configuration read out of the safe head.
    pub safe_system_config: SystemConfig,
    /// The first L1 block to read: no later than the safe head's origin.
    pub l1: L1BlockRef,
    /// System configuration as of that L1 block.
    pub l1_system_config: SystemConfig,
}

/// The batch stage of the fork.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a machine has one of them")]
enum Batches {
    Queue(BatchQueue),
    Stage(BatchStage),
}

/// Attributes that the host is executing.
#[derive(Debug)]
struct Executing {
    attributes: Box<AttributesWithParent>,
    /// What they were built with.
    system_config: SystemConfig,
}

/// Derives one L2 chain. See the crate's documentation.
#[derive(Debug)]
pub struct Derivation {
    config: Arc<RollupConfig>,
    inbox: Inbox,
    pipeline: Pipeline,
    batches: Batches,
    attributes: AttributesQueue,
    /// The last block that closed its batch.
    safe: Head,
    /// The last block of a span that is not complete (before Holocene); otherwise the safe head.
    pending: Head,
    executing: Option<Executing>,
    /// Whether the first L1 block has been opened.
    opened: bool,
    dropped: VecDeque<Dropped>,
    /// Reset or critical: repeated for ever.
    halted: Option<Step>,
}

impl Derivation {
    /// A machine that continues after `start.safe_head`.
    pub fn new(config: Arc<RollupConfig>, start: DerivationStart) -> Self {
        let batches = if config.is_active(Hardfork::Holocene, start.l1.timestamp) {
            Batches::Stage(BatchStage::new(crate::epochs::Epochs::new(start.l1)))
        } else {
            Batches::Queue(BatchQueue::new(start.l1))
        };
        let safe = Head { block: start.safe_head, system_config: start.safe_system_config };
        Self {
            inbox: Inbox::default(),
            pipeline: Pipeline::new(&config, start.l1, start.l1_system_config),
            batches,
            attributes: AttributesQueue::default(),
            safe,
            pending: safe,
            executing: None,
            opened: false,
            dropped: VecDeque::new(),
            // Its batches would be missed, and empty blocks take their place.
            halted: config.alt_da.is_some().then_some(Step::Critical(CriticalError::AltDa)),
            config,
        }
    }

    /// The L1 block being read.
    pub const fn origin(&self) -> L1BlockRef {
        self.pipeline.origin()
    }

    /// The last block that is safe.
    pub const fn safe_head(&self) -> L2BlockRef {
        self.safe.block
    }

    /// The block that the next attributes build on: the safe head, or, before Holocene, the last
    /// block of a span that is not complete yet.
    pub const fn pending_safe_head(&self) -> L2BlockRef {
        self.pending.block
    }

    /// The chain being derived.
    pub const fn config(&self) -> &Arc<RollupConfig> {
        &self.config
    }

    /// Number of the next L1 block that will be asked for.
    pub const fn next_l1(&self) -> u64 {
        let origin = self.pipeline.origin().number;
        if self.opened { origin.saturating_add(1) } else { origin }
    }

    /// Goes on until the host has something to do.
    pub fn step(&mut self) -> Step {
        loop {
            if let Some(dropped) = self.dropped.pop_front() {
                return Step::Dropped(dropped);
            }
            if let Some(halted) = &self.halted {
                return halted.clone();
            }
            if let Some(executing) = &self.executing {
                return Step::Execute(executing.attributes.clone());
            }
            let stall = match self.pull() {
                Ok(executing) => {
                    self.executing = Some(executing);
                    continue;
                }
                Err(stall) => stall,
            };
            match stall {
                Stall::Again => {}
                // What was dropped is told before the next L1 block, whether that is here or not.
                Stall::Eof | Stall::Need(_) if !self.dropped.is_empty() => {}
                Stall::Eof => match self.advance() {
                    Ok(Some(step)) => return step,
                    Ok(None) => {}
                    Err(reason) => self.halted = Some(Step::Reset(reason)),
                },
                Stall::Need(request) => {
                    if let Request::L2Block { number } = request {
                        self.inbox.l2_wanted = Some(number);
                    }
                    return Step::Need(request);
                }
                Stall::Reset(reason) => self.halted = Some(Step::Reset(reason)),
                Stall::Critical(error) => self.halted = Some(Step::Critical(error)),
            }
        }
    }

    /// The next attributes.
    fn pull(&mut self) -> Pull<Executing> {
        if !self.opened {
            return Err(Stall::Eof);
        }
        let mut ctx =
            Context { config: &self.config, inbox: &mut self.inbox, dropped: &mut self.dropped };
        let parent = &self.pending.block;
        let (batch, concluding): (SingularBatch, bool) = match &mut self.batches {
            Batches::Queue(queue) => queue.next_batch(&mut self.pipeline, parent, &mut ctx)?,
            Batches::Stage(stage) => {
                (stage.next_batch(&mut self.pipeline, parent, &mut ctx)?, true)
            }
        };
        let (attributes, system_config) = self.attributes.attributes(
            &self.config,
            &self.pending,
            &batch,
            concluding,
            self.pipeline.origin(),
        )?;
        Ok(Executing { attributes, system_config })
    }

    /// Opens the next L1 block, if it is there. `None` after the very first, whose number the host
    /// knows.
    fn advance(&mut self) -> Result<Option<Step>, ResetReason> {
        let number = self.next_l1();
        let Some(block) = self.inbox.l1_blocks.remove(&number) else {
            if self.inbox.not_yet.take() == Some(number) {
                return Ok(Some(Step::Idle));
            }
            return Ok(Some(Step::Need(Request::L1Block { number })));
        };
        let origin = self.origin();
        let reference = block.reference;
        let continues = if self.opened {
            reference.parent_hash == origin.hash
        } else {
            reference.hash == origin.hash
        };
        if !continues {
            let (origin, found) = (origin.id(), reference.id());
            return Err(ResetReason::ReorgDetected { origin, found });
        }
        let L1Block { header, receipts, transactions, .. } = block;
        let data = EpochData::new(&self.config, reference.hash, header, &receipts);
        let first = !self.opened;
        if !first {
            // The first block's updates are in the configuration that the host gave.
            let errors =
                data.update_system_config(&mut self.pipeline.traversal.system_config, &self.config);
            self.dropped.extend(errors.into_iter().map(Dropped::ConfigLog));
        }
        self.attributes.push_epoch(data, &self.safe.block);
        self.pipeline.traversal.open(reference, transactions);
        self.opened = true;
        self.inbox.blobs = None;
        self.inbox.blobs_missing = None;
        if !first
            && self.config.schedule.activates(
                Hardfork::Holocene,
                origin.timestamp,
                reference.timestamp,
            )
        {
            self.begin_holocene(origin);
        }
        Ok((!first).then_some(Step::AdvancedOrigin(reference)))
    }

    fn begin_holocene(&mut self, last_origin: L1BlockRef) {
        self.pipeline.begin_holocene();
        if let Batches::Queue(queue) = &mut self.batches {
            let mut epochs =
                core::mem::replace(&mut queue.epochs, crate::epochs::Epochs::new(last_origin));
            epochs.clear_span();
            self.batches = Batches::Stage(BatchStage::new(epochs));
            self.dropped.push_back(Dropped::Holocene);
        }
    }

    /// Takes an answer, or something that will be needed later. What is not needed is ignored, so
    /// an answer may be given twice.
    ///
    /// # Errors
    /// When it cannot be an answer. The machine is then as it was.
    pub fn provide(&mut self, input: Input) -> Result<(), InputError> {
        match input {
            Input::L1Block(block) => self.provide_l1_block(block),
            Input::L1NotYet { number } => {
                self.inbox.not_yet = Some(number);
                Ok(())
            }
            Input::Blobs { block, blobs } => {
                if let Some(expected) = self.expected_blobs(block) {
                    if blobs.len() != expected {
                        let got = blobs.len();
                        return Err(InputError::BlobCount { block, expected, got });
                    }
                    self.inbox.blobs = Some((block, blobs));
                }
                Ok(())
            }
            Input::BlobsMissing { block } => {
                if self.expected_blobs(block).is_some() && self.inbox.blobs.is_none() {
                    self.inbox.blobs_missing = Some(block);
                }
                Ok(())
            }
            Input::L2Block(block) => {
                if self.inbox.l2_wanted == Some(block.header().number) {
                    let reference =
                        opal_protocol::l2_block_ref(&self.config, block.hash, &block.block)?;
                    self.inbox.l2_wanted = None;
                    let encode = |tx: &TxEnvelope| {
                        alloy_eips::eip2718::Encodable2718::encoded_2718(tx).into()
                    };
                    let transactions = block
                        .block
                        .body
                        .transactions
                        .iter()
                        .filter(|tx| !tx.is_deposit_tx())
                        .map(encode)
                        .collect();
                    let safe = SafeBlock { reference, transactions };
                    self.inbox.l2_blocks.insert(reference.number, safe);
                }
                Ok(())
            }
        }
    }

    fn provide_l1_block(&mut self, block: L1Block) -> Result<(), InputError> {
        let reference = block.reference;
        let header = &block.header;
        if reference.number != header.number
            || reference.parent_hash != header.parent_hash
            || reference.timestamp != header.timestamp
        {
            return Err(InputError::Header(reference.id()));
        }
        let next = self.next_l1();
        if reference.number < next {
            return Ok(());
        }
        if reference.number - next >= MAX_AHEAD {
            return Err(InputError::TooFarAhead { number: reference.number, next });
        }
        if self.inbox.not_yet == Some(reference.number) {
            self.inbox.not_yet = None;
        }
        // The latest answer counts: an earlier one may come from a chain that is gone.
        self.inbox.l1_blocks.insert(reference.number, block);
        Ok(())
    }

    /// How many blobs of this block are waited for.
    fn expected_blobs(&self, block: BlockId) -> Option<usize> {
        (block == self.origin().id()).then(|| self.pipeline.blobs_wanted()).flatten()
    }

    /// Reports what became of the attributes of [`Step::Execute`].
    ///
    /// `Invalid` has consequences by fork: from Holocene on the same block is demanded with its
    /// deposits alone, and the rest of the channel is dropped; before, the batch is dropped, and
    /// the blocks of the same span with it.
    ///
    /// # Errors
    /// When nothing is being executed, or the block is not what the attributes describe. The
    /// machine is then as it was.
    pub fn executed(&mut self, executed: Executed) -> Result<(), ExecutedError> {
        let executing = self.executing.as_ref().ok_or(ExecutedError::NothingExecuting)?;
        let given = &executing.attributes;
        match executed {
            Executed::Valid(block) => {
                let parent = given.parent.id();
                if block.parent_hash != parent.hash
                    || block.number != parent.number.wrapping_add(1)
                    || block.timestamp != given.attributes.timestamp
                    || block.l1_origin != given.l1_origin
                {
                    return Err(ExecutedError::Mismatch { block: block.id(), parent });
                }
                let system_config =
                    system_config_after(&self.config, &executing.system_config, block.timestamp);
                self.pending = Head { block, system_config };
                if given.concluding {
                    self.safe = self.pending;
                }
                self.executing = None;
            }
            Executed::Invalid if is_deposits_only(&given.attributes) => {
                let error = CriticalError::DepositsOnlyInvalid(given.parent.id());
                self.halted = Some(Step::Critical(error));
            }
            Executed::Invalid => {
                let holocene =
                    self.config.is_active(Hardfork::Holocene, given.derived_from.timestamp);
                let mut ctx = Context {
                    config: &self.config,
                    inbox: &mut self.inbox,
                    dropped: &mut self.dropped,
                };
                match &mut self.batches {
                    Batches::Stage(stage) if holocene => {
                        stage.flush(&mut self.pipeline, &mut ctx);
                        if let Some(executing) = &mut self.executing {
                            executing.attributes.attributes =
                                deposits_only(&executing.attributes.attributes);
                        }
                    }
                    _ => {
                        // The whole span is void: its blocks so far are no longer to be kept.
                        self.pending = self.safe;
                        self.executing = None;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;

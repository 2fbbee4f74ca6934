//! The node's one task: it owns derivation and forkchoice and decides what happens next.
//!
//! ```text
//!            shutdown ─┐
//!      sequencer slot ─┤                      ┌─► engine (build, import, forkchoice)
//!             command ─┼─► Driver (one loop) ─┼─► fetcher (L1 blocks, blobs)
//!       L1 heads move ─┤                      └─► status
//!  fetched input here ─┤
//!   derivation step ───┘
//! ```
//! The order of the branches is their priority: a block that is due goes before derivation work,
//! of which one step is done per turn, so that a long catch-up never delays the sequencer.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opal_da::L1Client;
use opal_derivation::{
    Derivation, DropReason, Dropped, Executed, Input, Request, Step, attributes_match_block,
};
use opal_execution::{EngineError, LocalEngine};
use opal_protocol::{AttributesWithParent, L2BlockRef, RollupConfig, SealedBlock};
use opal_sequencing::next_slot;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::engine::{self, BuildError};
use crate::error::NodeError;
use crate::fetcher::Fetcher;
use crate::forkchoice::{Event, ForkchoiceState, Heads};
use crate::l1_watcher::L1Heads;
use crate::metrics::NodeMetrics;
use crate::sequencer::Sequencer;
use crate::status::SyncStatus;
use crate::sync_start;

/// How soon a block that could not be built is tried again.
const BUILD_RETRY: Duration = Duration::from_millis(200);
/// Longest wait for the L1 when our heads are compared with it.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(1);
/// How soon a comparison or a reset that the L1 did not allow is tried again, and least time
/// between two resets that derivation asks for.
const L1_RETRY: Duration = Duration::from_secs(1);
/// Longest wait for a slot, 30 years, which the clock can add without an overflow.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 365 * 86_400);

/// What an operator can ask of a running node.
#[derive(Debug)]
pub enum Command {
    /// Start sequencing on top of the unsafe head, which must have this hash unless it is zero.
    StartSequencer(alloy_primitives::B256, oneshot::Sender<Result<(), String>>),
    /// Stop sequencing; answers with the hash of the last block.
    StopSequencer(oneshot::Sender<Result<alloy_primitives::B256, String>>),
    /// Whether the node sequences now.
    SequencerActive(oneshot::Sender<bool>),
    /// Walk back to the newest safe head that L1 confirms and derive anew from there.
    ResetDerivation(oneshot::Sender<()>),
}

pub(crate) struct Driver {
    config: Arc<RollupConfig>,
    engine: LocalEngine,
    l1: Arc<L1Client>,
    l1_conf_depth: u64,
    forkchoice: ForkchoiceState,
    derivation: Derivation,
    fetcher: Fetcher,
    l1_heads: L1Heads,
    /// Set when the L1 head did not extend the one before: until our heads were compared with
    /// the L1, its chain may have reorganised under them.
    l1_unverified: bool,
    /// Why derivation must start anew, while that has not been possible.
    reset_due: Option<String>,
    /// When to look at `l1_unverified` and `reset_due` again.
    retry_at: Instant,
    /// Whether a derivation step can make progress; cleared while it waits for an input.
    derivation_ready: bool,
    sequencer: Option<Sequencer>,
    sequencing: bool,
    sequence_at: Instant,
    status: watch::Sender<SyncStatus>,
    metrics: NodeMetrics,
}

pub(crate) struct DriverParts {
    pub config: Arc<RollupConfig>,
    pub engine: LocalEngine,
    pub l1: Arc<L1Client>,
    pub l1_conf_depth: u64,
    pub sequencer: Option<Sequencer>,
    pub l1_heads: L1Heads,
    pub status: watch::Sender<SyncStatus>,
    pub metrics: NodeMetrics,
}

impl Driver {
    /// Finds where to start from what the engine holds and what the L1 confirms.
    pub(crate) async fn start(parts: DriverParts) -> Result<Self, NodeError> {
        let heads = engine::heads(&parts.engine, &parts.config)?;
        let mut forkchoice = ForkchoiceState::new(heads.finalized);
        forkchoice.on(Event::Reset { unsafe_head: heads.unsafe_head, safe: heads.safe });
        let start = sync_start::find(&parts.config, &parts.engine, &parts.l1, &forkchoice).await?;
        let mut driver = Self {
            derivation: Derivation::new(parts.config.clone(), start.derivation),
            fetcher: Fetcher::new(parts.l1.clone()),
            sequencing: parts.sequencer.is_some(),
            config: parts.config,
            engine: parts.engine,
            l1: parts.l1,
            l1_conf_depth: parts.l1_conf_depth,
            forkchoice,
            l1_heads: parts.l1_heads,
            l1_unverified: false,
            reset_due: None,
            retry_at: Instant::now(),
            derivation_ready: true,
            sequencer: parts.sequencer,
            sequence_at: Instant::now(),
            status: parts.status,
            metrics: parts.metrics,
        };
        driver.move_heads(Event::Reset {
            unsafe_head: start.unsafe_head,
            safe: start.derivation.safe_head,
        })?;
        driver.schedule_sequencing();
        driver.publish();
        Ok(driver)
    }

    /// Runs until shutdown. An error is one that the node cannot mend by itself.
    pub(crate) async fn run(
        self,
        l1_heads: watch::Receiver<L1Heads>,
        commands: mpsc::Receiver<Command>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), NodeError> {
        // The race is around everything, so that an L1 that hangs does not hold up the end.
        tokio::select! {
            biased;
            () = shutdown => Ok(()),
            result = self.run_until_error(l1_heads, commands) => result,
        }
    }

    async fn run_until_error(
        mut self,
        mut l1_heads: watch::Receiver<L1Heads>,
        mut commands: mpsc::Receiver<Command>,
    ) -> Result<(), NodeError> {
        loop {
            let in_doubt = self.l1_unverified || self.reset_due.is_some();
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(self.sequence_at), if self.sequencing => {
                    self.sequence().await?;
                }
                Some(command) = commands.recv() => self.on_command(command).await?,
                Ok(()) = l1_heads.changed() => {
                    let heads = *l1_heads.borrow_and_update();
                    self.on_l1_heads(heads).await?;
                }
                () = tokio::time::sleep_until(self.retry_at), if in_doubt => {
                    self.settle_doubt().await?;
                }
                input = self.fetcher.next() => self.provide(input),
                () = std::future::ready(()), if self.can_derive() => self.derive()?,
            }
            self.publish();
        }
    }

    // --- derivation ---------------------------------------------------------------------------

    const fn can_derive(&self) -> bool {
        self.derivation_ready && self.reset_due.is_none()
    }

    fn derive(&mut self) -> Result<(), NodeError> {
        let derivation = &mut self.derivation;
        match tokio::task::block_in_place(|| derivation.step()) {
            Step::Need(Request::L2Block { number }) => match self.engine.block_by_number(number) {
                Some(block) => self.provide(Input::L2Block(block)),
                None => return Err(NodeError::MissingBlock(number.to_string())),
            },
            Step::Need(request) => {
                let limit = self.l1_heads.head.number.saturating_sub(self.l1_conf_depth);
                match self.fetcher.request(request, limit) {
                    Some(input) => self.provide(input),
                    None => self.derivation_ready = false,
                }
            }
            Step::Execute(attributes) => self.apply_derived(*attributes)?,
            Step::AdvancedOrigin(l1) => {
                debug!(target: "opal::derivation", l1 = l1.number, "read L1 block");
            }
            Step::Dropped(reason) => {
                self.metrics.dropped.inc();
                // Normal while L1 is read again after a start or a reset.
                if matches!(reason, Dropped::Batch { reason: DropReason::Past, .. }) {
                    debug!(target: "opal::derivation", %reason, "dropped L1 data");
                } else {
                    info!(target: "opal::derivation", %reason, "dropped L1 data");
                }
            }
            Step::Reset(reason) => {
                // At once, except that resets without progress do not follow each other closely.
                self.retry_at = self.retry_at.max(Instant::now());
                self.reset_due = Some(reason.to_string());
            }
            Step::Critical(error) => return Err(error.into()),
            Step::Idle => {
                self.derivation_ready = false;
                self.finalize()?;
            }
        }
        Ok(())
    }

    fn provide(&mut self, input: Input) {
        match self.derivation.provide(input) {
            Ok(()) => {}
            // An answer to a request from before a reset: derivation asks anew.
            Err(error) => debug!(target: "opal::derivation", %error, "input not wanted"),
        }
        self.derivation_ready = true;
    }

    /// Makes the block that derivation demands part of the safe chain: by recognising it in the
    /// unsafe chain, or by building it.
    fn apply_derived(&mut self, attributes: AttributesWithParent) -> Result<(), NodeError> {
        let heads = *self.forkchoice.heads();
        let parent = attributes.parent;
        if heads.unsafe_head.number > parent.number {
            let number = parent.number.saturating_add(1);
            if let Some(block) = self.engine.block_by_number(number) {
                let check = attributes_match_block(
                    &self.config,
                    parent.hash,
                    &attributes.attributes,
                    &block.block,
                );
                match check {
                    Ok(()) => return self.accept_derived(&block, &attributes),
                    Err(mismatch) => {
                        self.metrics.unsafe_reorgs.inc();
                        warn!(target: "opal::node", number, %mismatch,
                            "the unsafe block differs from L1 data and is replaced");
                    }
                }
            }
        }
        let engine = &self.engine;
        let built = tokio::task::block_in_place(|| {
            engine::build(engine, &heads, parent.hash, attributes.attributes.clone())
        });
        match built {
            Ok(block) => {
                let reference = self.block_ref(&block)?;
                self.forkchoice.on(Event::UnsafeExtended(reference));
                self.accept_derived(&block, &attributes)
            }
            Err(BuildError::Engine(EngineError::InvalidAttributes(error))) => {
                warn!(target: "opal::derivation", %error, parent = parent.number,
                    "execution refuses the derived block");
                // The attempt has moved the engine to the parent; the unsafe chain stands as before.
                engine::set_heads(&self.engine, &heads)?;
                self.derivation.executed(Executed::Invalid)?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a derived block, which is in the unsafe chain by now. One that does not close its
    /// batch (a span, before Holocene) is not safe yet.
    fn accept_derived(
        &mut self,
        block: &SealedBlock,
        attributes: &AttributesWithParent,
    ) -> Result<(), NodeError> {
        let reference = self.block_ref(block)?;
        if attributes.concluding {
            let derived_from = attributes.derived_from;
            self.forkchoice.on(Event::SafeDerived { block: reference, derived_from });
        }
        engine::set_heads(&self.engine, self.forkchoice.heads())?;
        self.derivation.executed(Executed::Valid(reference))?;
        self.schedule_sequencing();
        Ok(())
    }

    // --- L1 -----------------------------------------------------------------------------------

    async fn on_l1_heads(&mut self, new: L1Heads) -> Result<(), NodeError> {
        let old = std::mem::replace(&mut self.l1_heads, new);
        if new.head.hash != old.head.hash {
            self.derivation_ready = true;
            if new.head.parent_hash != old.head.hash {
                self.l1_unverified = true;
                self.fetcher.forget_early();
                if let Some(sequencer) = &mut self.sequencer {
                    sequencer.forget_next();
                }
            }
        }
        if self.l1_unverified {
            self.verify_l1().await?;
        }
        self.finalize()
    }

    /// Applies the L1's finality, unless the L1 may have left the chain that our heads come from.
    fn finalize(&mut self) -> Result<(), NodeError> {
        if self.l1_unverified || self.reset_due.is_some() {
            return Ok(());
        }
        self.move_heads(Event::L1Finalized(self.l1_heads.finalized))
    }

    /// Does what could not be done before: a reset, or a comparison with the L1.
    async fn settle_doubt(&mut self) -> Result<(), NodeError> {
        match self.reset_due.take() {
            Some(why) => self.reset(&why).await,
            None => self.verify_l1().await,
        }
    }

    async fn verify_l1(&mut self) -> Result<(), NodeError> {
        match tokio::time::timeout(VERIFY_TIMEOUT, self.l1_chain_is_ours()).await {
            Ok(Ok(Some(true))) => {
                self.l1_unverified = false;
                return Ok(());
            }
            Ok(Ok(Some(false))) => return self.reset("the L1 reorganised").await,
            Ok(Ok(None)) => debug!(target: "opal::node", "L1 head is behind our L1 origin"),
            Ok(Err(error)) => debug!(target: "opal::node", %error, "cannot compare with L1 yet"),
            Err(_) => debug!(target: "opal::node", "L1 is too slow to compare with it now"),
        }
        self.retry_at = Instant::now() + L1_RETRY;
        Ok(())
    }

    /// Whether the L1 blocks that our heads stand on and come from are canonical; `None` when the
    /// L1 is shorter. After a reset the safe head may come from an L1 block that derivation has not
    /// reached again.
    async fn l1_chain_is_ours(&self) -> Result<Option<bool>, opal_da::DaError> {
        let origin = self.derivation.origin().id();
        let safe_from = self.forkchoice.safe_heads_newest_first().next();
        let ours = [
            self.forkchoice.heads().unsafe_head.l1_origin,
            origin,
            safe_from.map_or(origin, |entry| entry.derived_from.id()),
        ];
        let [a, b, c] = ours.map(|id| self.l1.canonical_hash(id.number));
        let (a, b, c) = tokio::try_join!(a, b, c)?;
        let mut known = true;
        for (id, canonical) in ours.into_iter().zip([a, b, c]) {
            match canonical {
                Some(hash) if hash == id.hash => {}
                Some(_) => return Ok(Some(false)),
                None => known = false,
            }
        }
        Ok(known.then_some(true))
    }

    async fn reset(&mut self, why: &str) -> Result<(), NodeError> {
        let before = *self.forkchoice.heads();
        let found = sync_start::find(&self.config, &self.engine, &self.l1, &self.forkchoice).await;
        self.retry_at = Instant::now() + L1_RETRY;
        let start = match found {
            Ok(start) => start,
            // The L1 is away or still changing: keep the heads and come back.
            Err(NodeError::L1(error)) => {
                warn!(target: "opal::node", %error, why, "reset waits for the L1");
                self.reset_due = Some(why.to_owned());
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.fetcher.reset();
        let safe = start.derivation.safe_head;
        let l1_start = start.derivation.l1.number;
        self.derivation = Derivation::new(self.config.clone(), start.derivation);
        self.derivation_ready = true;
        self.l1_unverified = false;
        self.reset_due = None;
        self.metrics.resets.inc();
        info!(target: "opal::node", why,
            unsafe_from = before.unsafe_head.number, unsafe_to = start.unsafe_head.number,
            safe_from = before.safe.number, safe_to = safe.number,
            l1_start, "derivation starts anew");
        self.move_heads(Event::Reset { unsafe_head: start.unsafe_head, safe })?;
        if let Some(sequencer) = &mut self.sequencer {
            sequencer.reset();
        }
        self.schedule_sequencing();
        Ok(())
    }

    // --- sequencing ---------------------------------------------------------------------------

    async fn sequence(&mut self) -> Result<(), NodeError> {
        let Some(sequencer) = &mut self.sequencer else {
            self.sequencing = false;
            return Ok(());
        };
        let heads = *self.forkchoice.heads();
        let l1_head = self.l1_heads.head.number;
        let plan = match sequencer.plan(&self.engine, &heads, l1_head).await {
            Ok(plan) => plan,
            Err(error) if error.l1_reorged() => {
                self.reset(&error.to_string()).await?;
                if self.forkchoice.heads().unsafe_head == heads.unsafe_head {
                    // The L1 contradicts itself for the moment.
                    self.sequence_at = Instant::now() + BUILD_RETRY;
                }
                return Ok(());
            }
            Err(error) => {
                warn!(target: "opal::sequencing", %error, "no block can be built yet");
                self.sequence_at = Instant::now() + BUILD_RETRY;
                return Ok(());
            }
        };
        let engine = &self.engine;
        let started = Instant::now();
        match tokio::task::block_in_place(|| {
            engine::build(engine, &heads, heads.unsafe_head.hash, plan)
        }) {
            Ok(block) => {
                self.metrics.build_seconds.observe(started.elapsed().as_secs_f64());
                let reference = self.block_ref(&block)?;
                debug!(target: "opal::sequencing", number = reference.number, hash = %reference.hash,
                    txs = block.block.body.transactions.len(), origin = reference.l1_origin.number,
                    "built block");
                self.move_heads(Event::UnsafeExtended(reference))?;
                self.schedule_sequencing();
            }
            Err(error) => {
                warn!(target: "opal::sequencing", %error, "block was not built; trying again");
                self.sequence_at = Instant::now() + BUILD_RETRY;
            }
        }
        Ok(())
    }

    fn schedule_sequencing(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let head = self.forkchoice.heads().unsafe_head.timestamp;
        let slot = next_slot(head, self.config.block_time, now);
        // A sequencer that catches up leaves a moment to the other branches between its blocks.
        let pause = if slot.behind > 0 { Duration::from_millis(1) } else { Duration::ZERO };
        self.sequence_at = Instant::now() + slot.wait.min(LONGEST_WAIT) + pause;
    }

    async fn on_command(&mut self, command: Command) -> Result<(), NodeError> {
        let head = self.forkchoice.heads().unsafe_head.hash;
        // A caller that went away does not need its answer.
        match command {
            Command::StartSequencer(hash, reply) => {
                let answer = if self.sequencer.is_none() {
                    Err("this node is not configured as a sequencer".to_owned())
                } else if self.sequencing {
                    Err("sequencer already running".to_owned())
                } else if !hash.is_zero() && hash != head {
                    Err(format!("block hash {hash} does not match the unsafe head {head}"))
                } else {
                    self.sequencing = true;
                    self.schedule_sequencing();
                    info!(target: "opal::sequencing", "sequencer started");
                    Ok(())
                };
                let _ = reply.send(answer);
            }
            Command::StopSequencer(reply) => {
                let answer = if self.sequencing {
                    self.sequencing = false;
                    info!(target: "opal::sequencing", "sequencer stopped");
                    Ok(head)
                } else {
                    Err("sequencer not running".to_owned())
                };
                let _ = reply.send(answer);
            }
            Command::SequencerActive(reply) => {
                let _ = reply.send(self.sequencing);
            }
            Command::ResetDerivation(reply) => {
                self.reset("asked by the operator").await?;
                let _ = reply.send(());
            }
        }
        Ok(())
    }

    // --- heads --------------------------------------------------------------------------------

    fn block_ref(&self, block: &SealedBlock) -> Result<L2BlockRef, NodeError> {
        engine::block_ref(&self.config, block)
    }

    fn move_heads(&mut self, event: Event) -> Result<(), NodeError> {
        if let Some(heads) = self.forkchoice.on(event) {
            engine::set_heads(&self.engine, &heads)?;
        }
        Ok(())
    }

    fn publish(&self) {
        let Heads { unsafe_head, safe, finalized } = *self.forkchoice.heads();
        let status = SyncStatus {
            current_l1: self.derivation.origin(),
            current_l1_finalized: self.l1_heads.finalized,
            head_l1: self.l1_heads.head,
            safe_l1: self.l1_heads.safe,
            finalized_l1: self.l1_heads.finalized,
            unsafe_l2: unsafe_head,
            safe_l2: safe,
            finalized_l2: finalized,
            pending_safe_l2: self.derivation.pending_safe_head(),
            cross_unsafe_l2: unsafe_head,
            local_safe_l2: safe,
        };
        self.metrics.record(&status);
        self.status.send_if_modified(|current| {
            let changed = *current != status;
            *current = status;
            changed
        });
    }
}

//! The node's one task: it owns derivation and forkchoice and decides what happens next.
//!
//! ```text
//!            shutdown ─┐
//!      sequencer slot ─┤                      ┌─► engine (build, import, forkchoice)
//!             command ─┼─► Driver (one loop) ─┼─► fetcher (L1 blocks, blobs)
//!       L1 heads move ─┤        │             └─► status
//!  fetched input here ─┤      Core
//!   derivation step ───┘
//! ```
//! The order of the branches is their priority: a block that is due goes before derivation work,
//! of which one step is done per turn, so that a long catch-up never delays the sequencer. What the
//! node knows and decides is in `core.rs`; this file brings the answers of the L1 and keeps the
//! time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::B256;
use opal_da::{DaError, L1Client};
use opal_protocol::{BlockId, RollupConfig};
use opal_sequencing::next_slot;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinSet, block_in_place};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::core::{Core, CoreParts, Turn, Verdict, keep_confirmed, known_heads};
use crate::engine::{BlockAt, BuildError, Engine, EngineError};
use crate::error::NodeError;
use crate::fetcher::Fetcher;
use crate::forkchoice::{ForkchoiceState, SafeEntry};
use crate::l1_watcher::L1Heads;
use crate::safe_db::{SafeDb, SafeHeadRecord};
use crate::sequencer::{PlanError, Sequencer};
use crate::status::SyncStatus;
use crate::sync_start::{Next, Search, SyncStart};

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
    StartSequencer(B256, oneshot::Sender<Result<(), String>>),
    /// Stop sequencing; answers with the hash of the last block.
    StopSequencer(oneshot::Sender<Result<B256, String>>),
    /// Whether the node sequences now.
    SequencerActive(oneshot::Sender<bool>),
    /// Walk back to the newest safe head that L1 confirms and derive anew from there.
    ResetDerivation(oneshot::Sender<()>),
}

/// The L1's answer to a question of finality.
type FinalityAnswer = ((BlockId, SafeEntry), Result<[Option<B256>; 2], DaError>);

pub(crate) struct Driver {
    core: Core,
    l1: Arc<L1Client>,
    l1_conf_depth: u64,
    fetcher: Fetcher,
    /// The question of finality that the L1 is being asked, if one is.
    finality: JoinSet<FinalityAnswer>,
    /// When to look at a reset that is due, or at heads that are unverified, again.
    retry_at: Instant,
    sequencer: Option<Sequencer>,
    sequencing: bool,
    sequence_at: Instant,
    status: watch::Sender<SyncStatus>,
}

pub(crate) struct DriverParts {
    pub core: CoreParts,
    pub l1: Arc<L1Client>,
    pub l1_conf_depth: u64,
    pub sequencer: Option<Sequencer>,
    pub status: watch::Sender<SyncStatus>,
}

impl Driver {
    /// Finds where to start from what the engine holds and what the L1 confirms.
    pub(crate) async fn start(parts: DriverParts) -> Result<Self, NodeError> {
        let DriverParts { core, l1, l1_conf_depth, sequencer, status } = parts;
        let forkchoice = known_heads(&*core.engine, &core.config, core.safe_db.as_deref())?;
        let (heads, log) = (*forkchoice.heads(), forkchoice.safe_heads_newest_first().copied());
        let mut search = Search::new(core.config.clone(), heads, log);
        let start = find(&mut search, &*core.engine, &l1).await?;
        if let Some(db) = &core.safe_db {
            confirm_safe_db(db, &l1, &core.config, &start, heads.finalized.number).await?;
        }
        let mut driver = Self {
            core: Core::new(core, forkchoice, start)?,
            fetcher: Fetcher::new(l1.clone()),
            finality: JoinSet::new(),
            l1,
            l1_conf_depth,
            retry_at: Instant::now(),
            sequencing: sequencer.is_some(),
            sequencer,
            sequence_at: Instant::now(),
            status,
        };
        driver.schedule_sequencing();
        driver.publish();
        Ok(driver)
    }

    /// Runs until shutdown. An error is one that the node cannot mend by itself.
    pub(crate) async fn run(
        mut self,
        l1_heads: watch::Receiver<L1Heads>,
        commands: mpsc::Receiver<Command>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), NodeError> {
        // The race is around everything, so that an L1 that hangs does not hold up the end.
        let result = tokio::select! {
            biased;
            () = shutdown => Ok(()),
            result = self.run_until_error(l1_heads, commands) => result,
        };
        self.core.close();
        result
    }

    async fn run_until_error(
        &mut self,
        mut l1_heads: watch::Receiver<L1Heads>,
        mut commands: mpsc::Receiver<Command>,
    ) -> Result<(), NodeError> {
        loop {
            let in_doubt = self.core.l1_unverified() || self.core.reset_due.is_some();
            let done = tokio::select! {
                biased;
                () = tokio::time::sleep_until(self.sequence_at), if self.sequencing => {
                    self.sequence().await
                }
                Some(command) = commands.recv() => self.on_command(command).await,
                Ok(()) = l1_heads.changed() => {
                    let heads = *l1_heads.borrow_and_update();
                    self.on_l1_heads(heads).await
                }
                () = tokio::time::sleep_until(self.retry_at), if in_doubt => {
                    self.settle_doubt().await
                }
                Some(answer) = self.finality.join_next() => self.on_finality(answer),
                input = self.fetcher.next() => {
                    self.core.provide(input);
                    Ok(())
                }
                () = std::future::ready(()), if self.core.can_derive() => self.derive(),
            };
            if let Err(error) = done {
                self.on_error(error)?;
            }
            self.publish();
        }
    }

    /// An engine that does not answer, or that lost blocks, is no end: the node starts anew from
    /// what it has, once it answers. Blocks that are missing right after that belong to no chain.
    fn on_error(&mut self, error: NodeError) -> Result<(), NodeError> {
        let again = match &error {
            NodeError::Engine(EngineError::Unavailable(_) | EngineError::Lost(_)) => true,
            NodeError::MissingBlock(_) => !self.core.engine_lost,
            _ => false,
        };
        if !again {
            return Err(error);
        }
        if self.core.engine_lost {
            debug!(target: "opal::node", %error, "the execution engine is not back yet");
        } else {
            warn!(target: "opal::node", %error, "starting anew from what the execution engine has");
        }
        self.core.engine_lost = true;
        self.core.reset_due = Some(error.to_string());
        self.retry_at = Instant::now() + L1_RETRY;
        // Nothing can be built meanwhile.
        self.sequence_at = self.sequence_at.max(self.retry_at);
        Ok(())
    }

    // --- derivation ---------------------------------------------------------------------------

    fn derive(&mut self) -> Result<(), NodeError> {
        let safe = self.core.heads().safe;
        match block_in_place(|| self.core.derive())? {
            Turn::Progress => {
                if self.core.heads().safe != safe {
                    self.schedule_sequencing();
                }
            }
            Turn::Want(request) => {
                let head = self.core.l1_heads.head.number;
                let limit = head.saturating_sub(self.l1_conf_depth);
                if let Some(input) = self.fetcher.request(request, limit) {
                    self.core.provide(input);
                }
            }
            Turn::Idle => self.ask_finality(),
        }
        Ok(())
    }

    // --- L1 -----------------------------------------------------------------------------------

    async fn on_l1_heads(&mut self, new: L1Heads) -> Result<(), NodeError> {
        if self.core.on_l1_heads(new) {
            self.fetcher.forget_early();
            if let Some(sequencer) = &mut self.sequencer {
                sequencer.forget_next();
            }
        }
        if self.core.l1_unverified() {
            self.verify_l1().await?;
        }
        self.ask_finality();
        Ok(())
    }

    /// Asks the L1 whether what its finality would make final is on its chain; one question at a
    /// time. The answer comes to [`Driver::on_finality`].
    fn ask_finality(&mut self) {
        if !self.finality.is_empty() {
            return;
        }
        if let Some(candidate) = self.core.final_candidate() {
            let l1 = self.l1.clone();
            self.finality.spawn(async move {
                let ids = [candidate.0.number, candidate.1.derived_from.number];
                let [a, b] = ids.map(|number| l1.canonical_hash(number));
                let answer = tokio::try_join!(a, b).map(|(a, b)| [a, b]);
                (candidate, answer)
            });
        }
    }

    fn on_finality(
        &mut self,
        answer: Result<FinalityAnswer, tokio::task::JoinError>,
    ) -> Result<(), NodeError> {
        match answer {
            Ok((candidate, Ok(canonical))) => self.core.finalize(candidate, canonical)?,
            // The next L1 head brings the question up again.
            Ok((_, Err(error))) => {
                debug!(target: "opal::node", %error, "L1 finality is not confirmed yet");
            }
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime ends.
            Err(_) => {}
        }
        Ok(())
    }

    /// Does what could not be done before: a reset, or a comparison with the L1.
    async fn settle_doubt(&mut self) -> Result<(), NodeError> {
        match self.core.reset_due.take() {
            Some(why) => self.reset(&why).await,
            None => self.verify_l1().await,
        }
    }

    async fn verify_l1(&mut self) -> Result<(), NodeError> {
        let ours = self.core.ours();
        let l1 = &self.l1;
        let [a, b, c] = ours.map(|id| l1.canonical_hash(id.number));
        let answer = tokio::time::timeout(VERIFY_TIMEOUT, async { tokio::try_join!(a, b, c) });
        match answer.await {
            Ok(Ok((a, b, c))) => match self.core.judge(&ours, &[a, b, c]) {
                Verdict::Ours => return Ok(()),
                Verdict::Reorged => return self.reset("the L1 reorganised").await,
                Verdict::Unknown => {
                    debug!(target: "opal::node", "L1 head is behind our L1 origin");
                }
            },
            Ok(Err(error)) => debug!(target: "opal::node", %error, "cannot compare with L1 yet"),
            Err(_) => debug!(target: "opal::node", "L1 is too slow to compare with it now"),
        }
        self.retry_at = Instant::now() + L1_RETRY;
        Ok(())
    }

    async fn reset(&mut self, why: &str) -> Result<(), NodeError> {
        let found = self.find_start().await;
        self.retry_at = Instant::now() + L1_RETRY;
        let (known, start) = match found {
            Ok(found) => found,
            // The L1 is away or still changing: keep the heads and come back.
            Err(error @ (NodeError::L1(_) | NodeError::L1Behind(_))) => {
                warn!(target: "opal::node", %error, why, "reset waits for the L1");
                self.core.reset_due = Some(why.to_owned());
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.fetcher.reset();
        match known {
            Some(forkchoice) => self.core.rejoin(forkchoice, start, why)?,
            None => self.core.restart(start, why)?,
        }
        if let Some(sequencer) = &mut self.sequencer {
            sequencer.reset();
        }
        self.schedule_sequencing();
        Ok(())
    }

    /// Where to start from; with what the engine has, if that may be something else than it had.
    async fn find_start(&self) -> Result<(Option<ForkchoiceState>, SyncStart), NodeError> {
        let core = &self.core;
        let known = match core.engine_lost {
            true => Some(core.known_heads()?),
            false => None,
        };
        let (mut search, finalized) = match &known {
            Some(known) => {
                let log = known.safe_heads_newest_first().copied();
                let search = Search::new(core.config.clone(), *known.heads(), log);
                (search, known.heads().finalized.number)
            }
            None => (core.search(), core.heads().finalized.number),
        };
        let start = find(&mut search, &*core.engine, &self.l1).await?;
        if let Some(db) = core.safe_db() {
            confirm_safe_db(db, &self.l1, &core.config, &start, finalized).await?;
        }
        Ok((known, start))
    }

    // --- sequencing ---------------------------------------------------------------------------

    async fn sequence(&mut self) -> Result<(), NodeError> {
        let Some(sequencer) = &mut self.sequencer else {
            self.sequencing = false;
            return Ok(());
        };
        let heads = *self.core.heads();
        let l1_head = self.core.l1_heads.head.number;
        let plan = match sequencer.plan(&*self.core.engine, &heads, l1_head).await {
            Ok(plan) => plan,
            Err(PlanError::Engine(error)) => return Err(error.into()),
            Err(error) if error.l1_reorged() => {
                self.reset(&error.to_string()).await?;
                if self.core.heads().unsafe_head == heads.unsafe_head {
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
        let started = Instant::now();
        match block_in_place(|| self.core.build_unsafe(plan)) {
            Ok((block, reference)) => {
                self.core.metrics.build_seconds.observe(started.elapsed().as_secs_f64());
                debug!(target: "opal::sequencing", number = reference.number, hash = %reference.hash,
                    txs = block.block.body.transactions.len(), origin = reference.l1_origin.number,
                    "built block");
                self.core.extend_unsafe(reference)?;
                self.schedule_sequencing();
            }
            Err(BuildError::Engine(
                error @ (EngineError::Unavailable(_)
                | EngineError::Lost(_)
                | EngineError::Broken(_)),
            )) => return Err(error.into()),
            Err(error) => {
                warn!(target: "opal::sequencing", %error, "block was not built; trying again");
                self.sequence_at = Instant::now() + BUILD_RETRY;
            }
        }
        Ok(())
    }

    fn schedule_sequencing(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let head = self.core.heads().unsafe_head.timestamp;
        let slot = next_slot(head, self.core.config.block_time, now);
        // A sequencer that catches up leaves a moment to the other branches between its blocks.
        let pause = if slot.behind > 0 { Duration::from_millis(1) } else { Duration::ZERO };
        self.sequence_at = Instant::now() + slot.wait.min(LONGEST_WAIT) + pause;
    }

    async fn on_command(&mut self, command: Command) -> Result<(), NodeError> {
        let head = self.core.heads().unsafe_head.hash;
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

    fn publish(&self) {
        let status = self.core.status();
        self.core.metrics.record(&status);
        self.status.send_if_modified(|current| {
            let changed = *current != status;
            *current = status;
            changed
        });
    }
}

/// Answers a search until it has found where to start.
async fn find(
    search: &mut Search,
    engine: &dyn Engine,
    l1: &L1Client,
) -> Result<SyncStart, NodeError> {
    let l2 = |hash| Ok(engine.block(BlockAt::Hash(hash))?);
    loop {
        match search.next(&l2)? {
            Next::L1Hash(number) => search.l1_hash(number, l1.canonical_hash(number).await?),
            Next::L1Block(id) => search.l1_block(l1.block_ref_by_hash(id.hash).await?),
            Next::Found(start) => return Ok(*start),
        }
    }
}

/// Makes the record of safe heads agree with the L1: what comes from orphaned blocks is cut off.
/// Where derivation starts at genesis, which is safe by definition, it is recorded as safe from the
/// first L1 block on, as op-node does.
async fn confirm_safe_db(
    db: &SafeDb,
    l1: &L1Client,
    config: &RollupConfig,
    start: &SyncStart,
    finalized: u64,
) -> Result<(), NodeError> {
    let mut hashes = HashMap::new();
    while let Some(number) = keep_confirmed(db, &hashes, finalized) {
        hashes.insert(number, l1.canonical_hash(number).await?);
    }
    let genesis = config.genesis.l2;
    if start.derivation.safe_head.id() == genesis && matches!(db.at_l1(0), Ok(None)) {
        let l1_block = l1.block_ref_by_number(0).await?.id();
        let record = SafeHeadRecord { l1_block, safe_head: genesis };
        if let Err(error) = db.record(record).and_then(|()| db.flush()) {
            db.fail(&error);
        }
    }
    Ok(())
}

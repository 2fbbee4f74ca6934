//! What the node knows and decides, without asking anybody outside: derivation, forkchoice, the
//! execution engine, the record of safe heads.
//!
//! The [driver](crate::driver) calls it, brings the answers of the L1 and keeps the time. So every
//! story of reorgs, late answers and refused blocks can be told by plain calls.
//!
//! ```text
//!   derive() ──► Turn::Want(request)      ──► fetch, then provide()
//!            ──► Turn::Progress
//!            ──► Turn::Idle               ──► wait for an L1 head
//!   on_l1_heads() ─► in doubt? ──► ours() ──► ask the L1, then judge()
//!   reset_due     ─► search()             ──► ask the L1, then restart()
//!   final_candidate()                     ──► ask the L1, then finalize()
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use alloy_primitives::B256;
use opal_derivation::{
    Derivation, DerivationStart, DropReason, Dropped, Executed, Input, InputError, Request, Step,
    attributes_match_block,
};
use opal_protocol::{
    AttributesWithParent, BlockId, L2BlockRef, PayloadAttributes, RollupConfig, SealedBlock,
};
use tracing::{debug, info, warn};

use crate::engine::{self, BlockAt, BuildError, Engine, EngineError};
use crate::error::NodeError;
use crate::forkchoice::{Event, Finality, ForkchoiceState, Heads, SafeEntry};
use crate::l1_watcher::L1Heads;
use crate::metrics::NodeMetrics;
use crate::recording::Recording;
use crate::safe_db::{SafeDb, SafeDbError, SafeHeadRecord};
use crate::status::SyncStatus;
use crate::sync_start::{Search, Standing, SyncStart, newest_canonical};

/// What became of a derivation step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Turn {
    /// Something happened; go on.
    Progress,
    /// Bring this. Derivation waits for it.
    Want(Request),
    /// All of the L1 is read.
    Idle,
}

/// Whether our heads stand on the L1's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ours,
    Reorged,
    /// The L1 is too short to tell.
    Unknown,
}

pub(crate) struct Core {
    pub(crate) config: Arc<RollupConfig>,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) metrics: NodeMetrics,
    pub(crate) l1_heads: L1Heads,
    /// Why derivation must start anew, while that has not been possible.
    pub(crate) reset_due: Option<String>,
    /// Whether the engine failed or lost blocks, so that the next start is from what it has then.
    pub(crate) engine_lost: bool,
    /// Set when the L1 head did not extend the one before: until our heads were compared with
    /// the L1, its chain may have reorganised under them.
    l1_unverified: bool,
    forkchoice: ForkchoiceState,
    derivation: Derivation,
    /// Whether a derivation step can make progress; cleared while it waits for an input.
    derivation_ready: bool,
    safe_db: Option<Arc<SafeDb>>,
    recording: Option<Recording>,
    /// The unsafe head that a span batch is replacing, until the span is complete: if it proves
    /// invalid, the chain that it replaced stands again.
    replaced: Option<L2BlockRef>,
}

/// What a [`Core`] is made of.
pub(crate) struct CoreParts {
    pub config: Arc<RollupConfig>,
    pub engine: Arc<dyn Engine>,
    pub l1_heads: L1Heads,
    pub safe_db: Option<Arc<SafeDb>>,
    pub recording: Option<Recording>,
    pub metrics: NodeMetrics,
}

/// The heads that the engine holds, with what the database tells of their safety.
pub(crate) fn known_heads(
    engine: &dyn Engine,
    config: &RollupConfig,
    safe_db: Option<&SafeDb>,
) -> Result<ForkchoiceState, NodeError> {
    let heads = engine::heads(engine, config)?;
    let mut forkchoice = ForkchoiceState::new(heads.finalized);
    forkchoice.on(Event::Reset { unsafe_head: heads.unsafe_head, safe: heads.safe });
    if let Some(db) = safe_db {
        let mut entries = Vec::new();
        for index in (0..db.count_up_to_l2(heads.unsafe_head.number)?).rev() {
            let Some(record) = db.get(index)? else { break };
            let block = engine.block(BlockAt::Number(record.safe_head.number))?;
            let Some(block) = block.filter(|block| block.id() == record.safe_head) else { break };
            let safe = engine::block_ref(config, &block)?;
            entries.push(SafeEntry { derived_from: record.l1_block, safe });
            if safe.number <= heads.finalized.number {
                break;
            }
        }
        forkchoice.restore(entries.into_iter().rev());
    }
    Ok(forkchoice)
}

/// Cuts the database from the oldest record on whose L1 block is orphaned. Records that the L1 does
/// not reach (yet), and those of L2 blocks up to the `finalized` one, stay. Returns the number of an
/// L1 block whose hash must be known first, and nothing when it is done or the database has failed.
pub(crate) fn keep_confirmed(
    db: &SafeDb,
    hashes: &HashMap<u64, Option<B256>>,
    finalized: u64,
) -> Option<u64> {
    try_keep_confirmed(db, hashes, finalized).unwrap_or_else(|error| {
        db.fail(&error);
        None
    })
}

fn try_keep_confirmed(
    db: &SafeDb,
    hashes: &HashMap<u64, Option<B256>>,
    finalized: u64,
) -> Result<Option<u64>, SafeDbError> {
    enum Stop {
        Ask(u64),
        Db(SafeDbError),
    }
    db.flush()?;
    let Some(last) = db.len().checked_sub(1) else { return Ok(None) };
    let found = newest_canonical(
        |index| {
            let from_newest = (index as u64).min(last);
            let record = db.get(last - from_newest).map_err(Stop::Db)?;
            let id = record.map(|record| record.l1_block).unwrap_or_default();
            // No more than the index asked for.
            Ok((usize::try_from(from_newest).unwrap_or(index), id))
        },
        |id| match hashes.get(&id.number) {
            Some(hash) => Ok(Standing::of(id, *hash) == Standing::Canonical),
            None => Err(Stop::Ask(id.number)),
        },
    );
    let keep = match found {
        Ok(Some(index)) => (last + 1).saturating_sub(index as u64),
        Ok(None) => 0,
        Err(Stop::Ask(number)) => return Ok(Some(number)),
        Err(Stop::Db(error)) => return Err(error),
    };
    let keep = keep.max(db.count_up_to_l2(finalized)?);
    if let Some(above) = db.get(keep)? {
        match hashes.get(&above.l1_block.number) {
            None => return Ok(Some(above.l1_block.number)),
            Some(hash) if Standing::of(above.l1_block, *hash) != Standing::Orphaned => {
                return Ok(None);
            }
            Some(_) => {}
        }
        info!(target: "opal::node", dropped = last + 1 - keep, kept = keep,
            "safe heads from L1 blocks that are not canonical are forgotten");
        db.truncate(keep)?;
    }
    Ok(None)
}

impl Core {
    pub(crate) fn new(
        parts: CoreParts,
        forkchoice: ForkchoiceState,
        start: SyncStart,
    ) -> Result<Self, NodeError> {
        let derivation = Derivation::new(parts.config.clone(), start.derivation);
        let mut core = Self {
            config: parts.config,
            engine: parts.engine,
            metrics: parts.metrics,
            l1_heads: parts.l1_heads,
            reset_due: None,
            engine_lost: false,
            l1_unverified: false,
            forkchoice,
            derivation,
            derivation_ready: true,
            safe_db: parts.safe_db,
            recording: parts.recording,
            replaced: None,
        };
        core.record_start(&start.derivation);
        let safe = start.derivation.safe_head;
        if let Some(db) = &core.safe_db {
            db.resume(safe.number);
        }
        core.move_heads(Event::Reset { unsafe_head: start.unsafe_head, safe })?;
        Ok(core)
    }

    pub(crate) const fn heads(&self) -> &Heads {
        self.forkchoice.heads()
    }

    // --- derivation ---------------------------------------------------------------------------

    pub(crate) const fn can_derive(&self) -> bool {
        self.derivation_ready && self.reset_due.is_none()
    }

    /// One step of derivation.
    pub(crate) fn derive(&mut self) -> Result<Turn, NodeError> {
        if let Some(recording) = &mut self.recording {
            recording.step();
        }
        match self.derivation.step() {
            Step::Need(Request::L2Block { number }) => {
                match self.engine.block(BlockAt::Number(number))? {
                    Some(block) => self.provide(Input::L2Block(block)),
                    None => return Err(NodeError::MissingBlock(number.to_string())),
                }
            }
            Step::Need(request) => {
                self.derivation_ready = false;
                return Ok(Turn::Want(request));
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
            Step::Reset(reason) => self.reset_due = Some(reason.to_string()),
            Step::Critical(error) => return Err(error.into()),
            Step::Idle => {
                self.derivation_ready = false;
                if let Some(recording) = &mut self.recording {
                    recording.flush();
                }
                // The newest L1 block is read to its end.
                self.flush_record();
                return Ok(Turn::Idle);
            }
        }
        Ok(Turn::Progress)
    }

    /// Hands an answer to derivation, which asks again when it is not what was asked for.
    pub(crate) fn provide(&mut self, input: Input) {
        if let Some(recording) = &mut self.recording {
            recording.input(&input);
        }
        match self.derivation.provide(input) {
            Ok(()) => {}
            Err(error @ InputError::BlobCount { .. }) => {
                warn!(target: "opal::derivation", %error, "asking again");
            }
            // An answer to a request from before a reset.
            Err(error) => debug!(target: "opal::derivation", %error, "input not wanted"),
        }
        self.derivation_ready = true;
    }

    fn executed(&mut self, executed: Executed) -> Result<(), NodeError> {
        if let Some(recording) = &mut self.recording {
            recording.executed(&executed);
        }
        Ok(self.derivation.executed(executed)?)
    }

    /// Makes the block that derivation demands part of the safe chain: by recognising it in the
    /// unsafe chain, or by building it.
    fn apply_derived(&mut self, attributes: AttributesWithParent) -> Result<(), NodeError> {
        let heads = *self.forkchoice.heads();
        let parent = attributes.parent;
        if heads.unsafe_head.number > parent.number {
            let number = parent.number.saturating_add(1);
            if let Some(block) = self.engine.block(BlockAt::Number(number))? {
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
        match engine::build(&*self.engine, &heads, parent.hash, attributes.attributes.clone()) {
            Ok(block) => {
                let reference = self.block_ref(&block)?;
                if heads.unsafe_head.number > parent.number {
                    self.replaced.get_or_insert(heads.unsafe_head);
                }
                self.forkchoice.on(Event::UnsafeExtended(reference));
                self.accept_derived(&block, &attributes)
            }
            Err(BuildError::Engine(EngineError::InvalidAttributes(error))) => {
                warn!(target: "opal::derivation", %error, parent = parent.number,
                    "execution refuses the derived block");
                self.executed(Executed::Invalid)?;
                if self.derivation.pending_safe_head() == heads.safe
                    && let Some(replaced) = self.replaced.take()
                {
                    // Nothing of the span counts.
                    self.forkchoice.on(Event::UnsafeExtended(replaced));
                }
                // The attempt has moved the engine to the parent; the unsafe chain stands as before.
                Ok(engine::set_heads(&*self.engine, self.forkchoice.heads())?)
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
        let derived_from = attributes.derived_from.id();
        if attributes.concluding {
            self.forkchoice.on(Event::SafeDerived { block: reference, derived_from });
            self.replaced = None;
        }
        engine::set_heads(&*self.engine, self.forkchoice.heads())?;
        if let Some(db) = self.safe_db.as_ref().filter(|_| attributes.concluding) {
            let record = SafeHeadRecord { l1_block: derived_from, safe_head: block.id() };
            if let Err(error) = db.record(record) {
                db.fail(&error);
            }
        }
        self.executed(Executed::Valid(reference))
    }

    /// Makes the record of safe heads durable as far as it is known.
    fn flush_record(&self) {
        if let Some(db) = &self.safe_db
            && let Err(error) = db.flush()
        {
            db.fail(&error);
        }
    }

    // --- L1 -----------------------------------------------------------------------------------

    /// Takes new L1 heads. True when the new head does not build on the old one, so that what was
    /// read ahead may be of another chain.
    pub(crate) fn on_l1_heads(&mut self, new: L1Heads) -> bool {
        let old = std::mem::replace(&mut self.l1_heads, new);
        if new.head.hash == old.head.hash {
            return false;
        }
        self.derivation_ready = true;
        let jumped = new.head.parent_hash != old.head.hash;
        self.l1_unverified |= jumped;
        jumped
    }

    /// Whether our heads must be compared with the L1.
    pub(crate) const fn l1_unverified(&self) -> bool {
        self.l1_unverified
    }

    /// The L1 blocks that our heads stand on and come from. After a reset the safe head may come
    /// from an L1 block that derivation has not reached again.
    pub(crate) fn ours(&self) -> [BlockId; 3] {
        let origin = self.derivation.origin().id();
        let safe_from = self.forkchoice.safe_heads_newest_first().next();
        [
            self.forkchoice.heads().unsafe_head.l1_origin,
            origin,
            safe_from.map_or(origin, |entry| entry.derived_from),
        ]
    }

    /// Compares [`Core::ours`] with what the L1 has at their heights.
    pub(crate) fn judge(&mut self, ours: &[BlockId; 3], canonical: &[Option<B256>; 3]) -> Verdict {
        let standings: Vec<Standing> =
            ours.iter().zip(canonical).map(|(id, hash)| Standing::of(*id, *hash)).collect();
        if standings.contains(&Standing::Orphaned) {
            Verdict::Reorged
        } else if standings.contains(&Standing::Ahead) {
            Verdict::Unknown
        } else {
            self.l1_unverified = false;
            Verdict::Ours
        }
    }

    /// What the L1's finality makes final: the L1 block that it names and the entry that it covers.
    /// Both must be on the L1's chain. Nothing while the L1 may have left the chain that our heads
    /// come from.
    pub(crate) fn final_candidate(&mut self) -> Option<(BlockId, SafeEntry)> {
        if self.l1_unverified || self.reset_due.is_some() {
            return None;
        }
        let signal = self.l1_heads.finalized.id();
        match self.forkchoice.finality(signal) {
            Finality::Nothing => None,
            Finality::Covers(entry) => Some((signal, entry)),
            Finality::OtherChain(ours) => {
                warn!(target: "opal::node", finalized = %signal, %ours,
                    "the L1 finalizes another block than the one we read");
                self.l1_unverified = true;
                None
            }
        }
    }

    /// Takes the L1's hashes at the heights of a [`Core::final_candidate`].
    pub(crate) fn finalize(
        &mut self,
        (signal, entry): (BlockId, SafeEntry),
        canonical: [Option<B256>; 2],
    ) -> Result<(), NodeError> {
        if self.l1_unverified || self.reset_due.is_some() {
            return Ok(());
        }
        let standings =
            [Standing::of(signal, canonical[0]), Standing::of(entry.derived_from, canonical[1])];
        if standings == [Standing::Canonical; 2] {
            // What is final must not be missing from the record after a crash.
            self.flush_record();
            self.move_heads(Event::Finalized(entry))?;
        } else if standings.contains(&Standing::Orphaned) {
            self.l1_unverified = true;
        }
        Ok(())
    }

    // --- starting anew ------------------------------------------------------------------------

    /// A search for the place to start from anew.
    pub(crate) fn search(&self) -> Search {
        let log = self.forkchoice.safe_heads_newest_first().copied();
        Search::new(self.config.clone(), *self.forkchoice.heads(), log)
    }

    /// What the engine has now, after it failed or lost blocks.
    pub(crate) fn known_heads(&self) -> Result<ForkchoiceState, NodeError> {
        known_heads(&*self.engine, &self.config, self.safe_db.as_deref())
    }

    /// Starts anew from what the engine has, and from where a search from there led.
    pub(crate) fn rejoin(
        &mut self,
        forkchoice: ForkchoiceState,
        start: SyncStart,
        why: &str,
    ) -> Result<(), NodeError> {
        self.forkchoice = forkchoice;
        self.engine_lost = false;
        self.restart(start, why)
    }

    /// The record of safe heads.
    pub(crate) const fn safe_db(&self) -> Option<&Arc<SafeDb>> {
        self.safe_db.as_ref()
    }

    /// Throws away what derivation holds and goes on from `start`.
    pub(crate) fn restart(&mut self, start: SyncStart, why: &str) -> Result<(), NodeError> {
        let before = *self.forkchoice.heads();
        let safe = start.derivation.safe_head;
        self.derivation = Derivation::new(self.config.clone(), start.derivation);
        self.record_start(&start.derivation);
        if let Some(db) = &self.safe_db {
            db.resume(safe.number);
        }
        self.derivation_ready = true;
        self.l1_unverified = false;
        self.reset_due = None;
        self.replaced = None;
        self.metrics.resets.inc();
        info!(target: "opal::node", why,
            unsafe_from = before.unsafe_head.number, unsafe_to = start.unsafe_head.number,
            safe_from = before.safe.number, safe_to = safe.number,
            l1_start = start.derivation.l1.number, "derivation starts anew");
        self.move_heads(Event::Reset { unsafe_head: start.unsafe_head, safe })
    }

    fn record_start(&mut self, start: &DerivationStart) {
        if let Some(recording) = &mut self.recording {
            recording.start(start);
        }
    }

    /// Makes everything durable: the node stops.
    pub(crate) fn close(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.end();
        }
        self.flush_record();
    }

    // --- heads --------------------------------------------------------------------------------

    /// Builds the next unsafe block.
    pub(crate) fn build_unsafe(
        &mut self,
        attributes: PayloadAttributes,
    ) -> Result<(SealedBlock, L2BlockRef), BuildError> {
        let heads = *self.forkchoice.heads();
        let block = engine::build(&*self.engine, &heads, heads.unsafe_head.hash, attributes)?;
        let reference =
            self.block_ref(&block).map_err(|error| BuildError::NotImported(error.to_string()))?;
        Ok((block, reference))
    }

    pub(crate) fn extend_unsafe(&mut self, block: L2BlockRef) -> Result<(), NodeError> {
        self.move_heads(Event::UnsafeExtended(block))
    }

    fn block_ref(&self, block: &SealedBlock) -> Result<L2BlockRef, NodeError> {
        engine::block_ref(&self.config, block)
    }

    fn move_heads(&mut self, event: Event) -> Result<(), NodeError> {
        if let Some(heads) = self.forkchoice.on(event) {
            engine::set_heads(&*self.engine, &heads)?;
        }
        Ok(())
    }

    pub(crate) fn status(&self) -> SyncStatus {
        let Heads { unsafe_head, safe, finalized } = *self.forkchoice.heads();
        SyncStatus {
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
        }
    }
}

#[cfg(test)]
#[path = "core_tests/mod.rs"]
mod tests;

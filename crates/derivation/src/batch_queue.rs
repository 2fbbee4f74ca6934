//! Batch queue (before Holocene): batches may come in any order and wait for their turn. Spec:
//! `derivation.md`, "Batch Queue"; `delta/span-batches.md`.

use alloc::boxed::Box;
use alloc::vec::Vec;

use alloy_primitives::B256;
use opal_protocol::{L1BlockRef, L2BlockRef, RollupConfig, SingularBatch};

use crate::batch_validity::{
    BatchContext, Comparison, DropReason, SingularBatches, Verdict, check_singular_batch,
    go_on_with_span_batch,
};
use crate::channel_reader::DecodedBatch;
use crate::epochs::Epochs;
use crate::host::{Dropped, Pull, Request, Stall};
use crate::pipeline::{Context, Pipeline};

/// A batch that may still become valid.
#[derive(Debug)]
struct Waiting {
    batch: DecodedBatch,
    /// The L1 block that completed its channel.
    inclusion: L1BlockRef,
}

/// The sixth stage, before Holocene.
#[derive(Debug)]
pub(crate) struct BatchQueue {
    pub(crate) epochs: Epochs,
    /// In the order in which they were first seen.
    batches: Vec<Waiting>,
    /// A batch that was read, but could not be judged without a block from the host; and how far it
    /// was compared with the safe chain.
    incoming: Option<(DecodedBatch, Option<Comparison>)>,
    /// Set while a batch could not be chosen without a block from the host. The next call must not
    /// read on, or a late answer would change the choice.
    choosing: Option<Box<Choice>>,
    /// What the waiting batches were last judged by, and how many of them, from the first on, are
    /// of the future by that.
    judged: (JudgedBy, usize),
}

/// A choice that waits for a block from the host, to go on where it was left: a span may need
/// thousands of them.
#[derive(Debug)]
struct Choice {
    /// Whether the pipeline had no more data.
    out_of_data: bool,
    by: JudgedBy,
    /// Of the waiting batches that are not of the future by what is known, from the first on.
    verdicts: Vec<Verdict>,
    /// How far the batch after those was compared with the safe chain.
    compared: Option<Comparison>,
}

/// All that changes what a waiting batch is: parent, current epoch, number of L1 blocks at hand.
type JudgedBy = (B256, Option<B256>, usize);

impl Waiting {
    /// Which rule a batch of the future will break when its time comes. Such a batch need not be
    /// kept, so the queue holds no more than L1 carried in a sequencing window.
    fn never_valid(&self, epoch: u64, config: &RollupConfig) -> Option<DropReason> {
        let (first, last) = match &self.batch {
            DecodedBatch::Singular(batch) => (batch.epoch_num, batch.epoch_num),
            DecodedBatch::Span(span) => (span.first_epoch(), span.last_epoch()),
        };
        if last < epoch {
            // Epochs do not go back.
            Some(DropReason::EpochTooOld)
        } else if first.saturating_add(config.seq_window_size) < self.inclusion.number {
            Some(DropReason::IncludedTooLate)
        } else if matches!(self.batch, DecodedBatch::Singular(_)) && first > self.inclusion.number {
            // It names the hash of an L1 block that was not there yet, which nobody could know. Nor
            // would it make others wait until that block is read: only a batch with the hash of its
            // parent does, and the parent of one that could follow has an L1 origin no older than
            // the L1 block with the batch, so that its hash could not be known either. (A span may
            // make others wait before its parent is looked at, and so must stay.)
            Some(DropReason::EpochHash)
        } else {
            None
        }
    }
}

fn check(
    waiting: &Waiting,
    compared: &mut Option<Comparison>,
    epochs: &mut Epochs,
    parent: &L2BlockRef,
    ctx: &Context<'_>,
) -> Result<Verdict, Stall> {
    let context = BatchContext {
        config: ctx.config,
        l1_blocks: epochs.blocks(),
        safe_head: parent,
        inclusion: &waiting.inclusion,
        safe_blocks: &ctx.inbox.l2_blocks,
    };
    let verdict = match &waiting.batch {
        DecodedBatch::Singular(batch) => check_singular_batch(&context, batch),
        DecodedBatch::Span(span) => go_on_with_span_batch(&context, span, compared),
    };
    match verdict {
        Verdict::NeedL2Block(number) => Err(Stall::Need(Request::L2Block { number })),
        verdict => Ok(verdict),
    }
}

fn note_dropped(batch: &DecodedBatch, reason: DropReason) -> Dropped {
    Dropped::Batch { timestamp: batch.timestamp(), reason }
}

impl BatchQueue {
    pub(crate) fn new(origin: L1BlockRef) -> Self {
        Self {
            epochs: Epochs::new(origin),
            batches: Vec::new(),
            incoming: None,
            choosing: None,
            judged: Default::default(),
        }
    }

    /// The next batch on top of `parent`, and whether it closes its span.
    pub(crate) fn next_batch(
        &mut self,
        pipeline: &mut Pipeline,
        parent: &L2BlockRef,
        ctx: &mut Context<'_>,
    ) -> Pull<(SingularBatch, bool)> {
        if let Some(next) = self.epochs.next_of_span(parent, ctx.config) {
            return Ok(next);
        }
        self.epochs.update(pipeline.origin(), parent);
        let choice = match self.choosing.take() {
            Some(choice) => *choice,
            None => {
                let out_of_data = self.load(pipeline, parent, ctx)?;
                if pipeline.origin().number < parent.l1_origin.number {
                    // Batches of such L1 blocks cannot extend the parent; read on.
                    return Err(if out_of_data { Stall::Eof } else { Stall::Again });
                }
                let by = Default::default();
                Choice { out_of_data, by, verdicts: Vec::new(), compared: None }
            }
        };
        let out_of_data = choice.out_of_data;
        let result = self.choose(choice, parent, ctx);
        if !matches!(result, Err(Stall::Need(_))) {
            ctx.inbox.l2_blocks.clear();
        }
        match result {
            Err(Stall::Eof) if !out_of_data => Err(Stall::Again),
            result => result,
        }
    }

    /// Reads one more batch into the queue; says whether there was none.
    fn load(
        &mut self,
        pipeline: &mut Pipeline,
        parent: &L2BlockRef,
        ctx: &mut Context<'_>,
    ) -> Pull<bool> {
        let (batch, mut compared) = match self.incoming.take() {
            Some(incoming) => incoming,
            None => match pipeline.next_batch(ctx) {
                Ok(batch) => (batch, None),
                Err(Stall::Eof) => return Ok(true),
                Err(stall) => return Err(stall),
            },
        };
        let inclusion = pipeline.origin();
        if inclusion.number < parent.l1_origin.number {
            return Ok(false);
        }
        let waiting = Waiting { batch, inclusion };
        match check(&waiting, &mut compared, &mut self.epochs, parent, ctx) {
            Ok(Verdict::Drop(reason)) => {
                ctx.dropped.push_back(note_dropped(&waiting.batch, reason));
            }
            Ok(Verdict::Accept) => self.batches.push(waiting),
            Ok(_) => {
                self.batches.push(Waiting { batch: waiting.batch.into_own_memory(), ..waiting });
            }
            Err(stall) => {
                self.incoming = Some((waiting.batch, compared));
                return Err(stall);
            }
        }
        Ok(false)
    }

    /// The first batch that is valid now; or an empty one, if the sequencing window has expired.
    fn choose(
        &mut self,
        mut choice: Choice,
        parent: &L2BlockRef,
        ctx: &mut Context<'_>,
    ) -> Pull<(SingularBatch, bool)> {
        self.epochs.check_continues(parent).map_err(Stall::Reset)?;
        let by = (parent.hash, self.epochs.epoch().map(|block| block.hash), self.epochs.len());
        let future = if self.judged.0 == by { self.judged.1 } else { 0 };
        // Judge first, change the queue afterwards: a missing block must leave no trace.
        if choice.by != by {
            choice = Choice { by, verdicts: Vec::new(), compared: None, ..choice };
        }
        for waiting in self.batches.iter().skip(future + choice.verdicts.len()) {
            let compared = &mut choice.compared;
            let verdict = match check(waiting, compared, &mut self.epochs, parent, ctx) {
                Ok(verdict) => verdict,
                Err(stall) => {
                    self.choosing = Some(Box::new(choice));
                    return Err(stall);
                }
            };
            choice.verdicts.push(verdict);
            if matches!(verdict, Verdict::Accept | Verdict::Undecided) {
                break;
            }
        }
        let Choice { out_of_data, verdicts, .. } = choice;
        let mut chosen = None;
        let mut undecided = false;
        let epoch = self.epochs.epoch().map_or(0, |block| block.number);
        let mut verdicts = verdicts.into_iter();
        let rest = self.batches.split_off(future.min(self.batches.len()));
        self.judged = (by, self.batches.len());
        for waiting in rest {
            match verdicts.next() {
                Some(Verdict::Accept) => chosen = Some(waiting.batch),
                Some(Verdict::Drop(reason)) => {
                    ctx.dropped.push_back(note_dropped(&waiting.batch, reason));
                }
                Some(Verdict::Undecided) => {
                    undecided = true;
                    self.batches.push(waiting);
                }
                Some(_) => match waiting.never_valid(epoch, ctx.config) {
                    Some(reason) => ctx.dropped.push_back(note_dropped(&waiting.batch, reason)),
                    None => {
                        self.batches.push(waiting);
                        self.judged.1 += 1;
                    }
                },
                None => self.batches.push(waiting),
            }
        }
        match chosen {
            _ if undecided => Err(Stall::Eof),
            Some(DecodedBatch::Singular(batch)) => Ok((batch, true)),
            Some(DecodedBatch::Span(span)) => {
                let timestamp = span.first_timestamp();
                match SingularBatches::new(*span, self.epochs.blocks(), parent) {
                    Ok(batches) => {
                        self.epochs.set_span(batches);
                        self.epochs.next_of_span(parent, ctx.config).ok_or(Stall::Again)
                    }
                    // The full check has passed every block, so this does not happen.
                    Err(reason) => {
                        ctx.dropped.push_back(Dropped::Batch { timestamp, reason });
                        Err(Stall::Again)
                    }
                }
            }
            None => {
                let batch = self.epochs.next_empty(ctx.config, out_of_data, parent).pull()?;
                Ok((batch, true))
            }
        }
    }
}

#[cfg(test)]
#[path = "batch_queue_tests.rs"]
mod tests;

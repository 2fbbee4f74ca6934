//! Batch stage (from Holocene): batches come in order or not at all. Spec:
//! `holocene/derivation.md`, "Batch Queue" and "Span Batches".

use opal_protocol::{L2BlockRef, SingularBatch};

use crate::batch_validity::{
    BatchContext, DropReason, SingularBatches, Verdict, check_singular_batch, check_span_prefix,
};
use crate::channel_reader::DecodedBatch;
use crate::epochs::Epochs;
use crate::host::{CriticalError, Dropped, Pull, Request, Stall};
use crate::pipeline::{Context, Pipeline};

/// The sixth stage, from Holocene on.
#[derive(Debug)]
pub(crate) struct BatchStage {
    pub(crate) epochs: Epochs,
    /// A batch that was read, but could not be judged without a block from the host.
    incoming: Option<DecodedBatch>,
}

impl BatchStage {
    /// Takes over the L1 blocks that were collected before Holocene: the first channel of Holocene
    /// may belong to earlier epochs.
    pub(crate) const fn new(epochs: Epochs) -> Self {
        Self { epochs, incoming: None }
    }

    /// Drops the rest of the span and of the channel.
    pub(crate) fn flush(&mut self, pipeline: &mut Pipeline, ctx: &mut Context<'_>) {
        let rest = self.epochs.clear_span();
        if rest > 0 {
            ctx.dropped.push_back(Dropped::SpanRest(rest));
        }
        self.incoming = None;
        pipeline.flush_channel();
    }

    /// The next batch on top of `parent`.
    pub(crate) fn next_batch(
        &mut self,
        pipeline: &mut Pipeline,
        parent: &L2BlockRef,
        ctx: &mut Context<'_>,
    ) -> Pull<SingularBatch> {
        let origin = pipeline.origin();
        self.epochs.update(origin, parent);
        if origin.number <= parent.l1_origin.number {
            // A channel completed no later than the parent's epoch holds only past batches.
            pipeline.next_batch(ctx)?;
            return Err(Stall::Again);
        }
        if self.epochs.len() < 2 {
            return Err(Stall::Critical(CriticalError::MissingEpochs {
                held: self.epochs.len(),
                origin: origin.id(),
            }));
        }
        self.epochs.check_continues(parent).map_err(Stall::Reset)?;
        let batch = match self.candidate(pipeline, parent, ctx) {
            Ok(batch) => batch,
            Err(Stall::Eof) => {
                return self.epochs.next_empty(ctx.config, true, parent).pull();
            }
            Err(stall) => return Err(stall),
        };
        let inclusion = *self.epochs.origin();
        let context = BatchContext {
            config: ctx.config,
            l1_blocks: self.epochs.blocks(),
            safe_head: parent,
            inclusion: &inclusion,
            safe_blocks: &ctx.inbox.l2_blocks,
        };
        let timestamp = batch.timestamp;
        match check_singular_batch(&context, &batch) {
            Verdict::Accept => return Ok(batch),
            Verdict::Drop(reason) => {
                ctx.dropped.push_back(Dropped::Batch { timestamp, reason });
                self.flush(pipeline, ctx);
            }
            Verdict::Past => {
                let reason = DropReason::Past;
                ctx.dropped.push_back(Dropped::Batch { timestamp, reason });
            }
            // With two epochs at hand each singular batch can be judged, and there is no future.
            Verdict::Undecided | Verdict::Future | Verdict::NeedL2Block(_) => {}
        }
        Err(Stall::Again)
    }

    /// The next batch of the current span, or of the channel.
    fn candidate(
        &mut self,
        pipeline: &mut Pipeline,
        parent: &L2BlockRef,
        ctx: &mut Context<'_>,
    ) -> Pull<SingularBatch> {
        if let Some((batch, _)) = self.epochs.next_of_span(parent, ctx.config) {
            return Ok(batch);
        }
        let batch = match self.incoming.take() {
            Some(batch) => batch,
            None => pipeline.next_batch(ctx)?,
        };
        let span = match batch {
            DecodedBatch::Singular(batch) => return Ok(batch),
            DecodedBatch::Span(span) => span,
        };
        let timestamp = span.first_timestamp();
        let inclusion = *self.epochs.origin();
        let context = BatchContext {
            config: ctx.config,
            l1_blocks: self.epochs.blocks(),
            safe_head: parent,
            inclusion: &inclusion,
            safe_blocks: &ctx.inbox.l2_blocks,
        };
        let checked = check_span_prefix(&context, &span);
        if let Err(Verdict::NeedL2Block(number)) = checked {
            self.incoming = Some(DecodedBatch::Span(span));
            return Err(Stall::Need(Request::L2Block { number }));
        }
        ctx.inbox.l2_blocks.clear();
        let reason = match checked {
            Ok(_) => match SingularBatches::new(*span, self.epochs.blocks(), parent) {
                Ok(batches) => {
                    self.epochs.set_span(batches);
                    return self
                        .epochs
                        .next_of_span(parent, ctx.config)
                        .map(|(batch, _)| batch)
                        .ok_or(Stall::Again);
                }
                Err(reason) => reason,
            },
            Err(Verdict::Drop(reason)) => reason,
            // Neither drops the rest of the channel. The reference implementation loses a span that
            // it cannot decide on, and goes on with the next batch.
            Err(Verdict::Past) => {
                let reason = DropReason::Past;
                ctx.dropped.push_back(Dropped::Batch { timestamp, reason });
                return Err(Stall::Again);
            }
            Err(_) => {
                let reason = DropReason::OriginUnknown;
                ctx.dropped.push_back(Dropped::Batch { timestamp, reason });
                return Err(Stall::Again);
            }
        };
        ctx.dropped.push_back(Dropped::Batch { timestamp, reason });
        self.flush(pipeline, ctx);
        Err(Stall::Again)
    }
}

#[cfg(test)]
#[path = "batch_stage_tests.rs"]
mod tests;

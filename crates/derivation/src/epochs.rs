//! The L1 blocks that batches are checked against, and the empty batches that fill an expired
//! sequencing window. Shared by the batch queue and the batch stage. Spec: `derivation.md`, "Batch
//! Queue".

use alloc::collections::VecDeque;

use opal_protocol::{BlockId, L1BlockRef, L2BlockRef, RollupConfig, SingularBatch};

use crate::batch_validity::SingularBatches;
use crate::host::{Pull, ResetReason, Stall};

/// Consecutive L1 blocks from the current epoch to the origin, and the rest of a span batch.
#[derive(Debug)]
pub(crate) struct Epochs {
    origin: L1BlockRef,
    blocks: VecDeque<L1BlockRef>,
    /// The rest of an accepted span.
    span: SingularBatches,
}

impl Epochs {
    pub(crate) fn new(origin: L1BlockRef) -> Self {
        Self { origin, blocks: VecDeque::from([origin]), span: SingularBatches::default() }
    }

    /// The L1 blocks; the first is the current epoch.
    pub(crate) fn blocks(&mut self) -> &[L1BlockRef] {
        self.blocks.make_contiguous()
    }

    /// The L1 block up to which batches were read.
    pub(crate) const fn origin(&self) -> &L1BlockRef {
        &self.origin
    }

    /// The current epoch.
    pub(crate) fn epoch(&self) -> Option<L1BlockRef> {
        self.blocks.front().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Follows the pipeline's origin, and drops the epochs before the parent's. While the origin is
    /// behind the parent's epoch, blocks are not kept.
    pub(crate) fn update(&mut self, origin: L1BlockRef, parent: &L2BlockRef) {
        if self.origin != origin {
            self.origin = origin;
            if origin.number < parent.l1_origin.number {
                self.blocks.clear();
            } else {
                self.blocks.push_back(origin);
            }
        }
        let epoch = parent.l1_origin.number;
        if self.blocks.front().is_some_and(|first| epoch > first.number)
            && let Some(at) = self.blocks.iter().position(|block| block.number == epoch)
        {
            self.blocks.drain(..at);
        }
    }

    /// The current epoch must be the parent's or the one after it.
    pub(crate) fn check_continues(&self, parent: &L2BlockRef) -> Result<(), ResetReason> {
        match self.epoch() {
            Some(epoch)
                if epoch.id() != parent.l1_origin
                    && epoch.number != parent.l1_origin.number.wrapping_add(1) =>
            {
                Err(ResetReason::EpochMismatch { epoch: epoch.id(), origin: parent.l1_origin })
            }
            _ => Ok(()),
        }
    }

    /// The next batch of the span if it follows the parent; otherwise the span is forgotten. The
    /// second part of the answer tells whether that was the span's last batch.
    pub(crate) fn next_of_span(
        &mut self,
        parent: &L2BlockRef,
        config: &RollupConfig,
    ) -> Option<(SingularBatch, bool)> {
        let next_time = parent.timestamp.saturating_add(config.block_time);
        if self.span.timestamp()? != next_time {
            self.clear_span();
        }
        let mut batch = self.span.next()?;
        batch.parent_hash = parent.hash;
        Some((batch, self.span.len() == 0))
    }

    /// Keeps the batches of an accepted span.
    pub(crate) fn set_span(&mut self, span: SingularBatches) {
        self.span = span;
    }

    /// Forgets the rest of the span; says how much that was.
    pub(crate) fn clear_span(&mut self) -> usize {
        core::mem::take(&mut self.span).len()
    }

    /// The empty batch that derivation makes itself when the sequencing window of the epoch has
    /// expired and no batch came.
    pub(crate) fn next_empty(
        &mut self,
        config: &RollupConfig,
        out_of_data: bool,
        parent: &L2BlockRef,
    ) -> Empty {
        let Some(epoch) = self.epoch() else { return Empty::NotYet };
        let expiry = epoch.number.saturating_add(config.seq_window_size);
        let expired = expiry < self.origin.number || (expiry == self.origin.number && out_of_data);
        let Some(next_epoch) = self.blocks.get(1).filter(|_| expired) else {
            return Empty::NotYet;
        };
        let first_of_epoch = epoch.number == parent.l1_origin.number.wrapping_add(1);
        let timestamp = parent.timestamp.saturating_add(config.block_time);
        // Until L2 time reaches the next epoch's; but each epoch has one block at least.
        if timestamp < next_epoch.timestamp || first_of_epoch {
            let BlockId { hash, number } = epoch.id();
            return Empty::Batch(SingularBatch {
                parent_hash: parent.hash,
                epoch_num: number,
                epoch_hash: hash,
                timestamp,
                transactions: alloc::vec::Vec::new(),
            });
        }
        self.blocks.pop_front();
        Empty::EpochAdvanced
    }
}

/// What [`Epochs::next_empty`] came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Empty {
    /// The empty batch.
    Batch(SingularBatch),
    /// The epoch had all its blocks and was left. What is at hand must be judged again, before the
    /// next L1 block is read: what comes out may not depend on how early that is provided.
    EpochAdvanced,
    /// The sequencing window has not expired, or the next epoch is not known.
    NotYet,
}

impl Empty {
    /// The batch, or why the batch stage has none.
    pub(crate) fn pull(self) -> Pull<SingularBatch> {
        match self {
            Self::Batch(batch) => Ok(batch),
            Self::EpochAdvanced => Err(Stall::Again),
            Self::NotYet => Err(Stall::Eof),
        }
    }
}

#[cfg(test)]
#[path = "epochs_tests.rs"]
mod tests;

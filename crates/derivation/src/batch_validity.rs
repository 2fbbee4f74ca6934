//! Whether a batch may extend the safe chain. Pure rules, in the order in which the specification
//! has them. Spec: `derivation.md`, "Batch Queue"; `delta/span-batches.md`, "Batch Queue";
//! `holocene/derivation.md`.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use alloy_primitives::{B256, Bytes};
use opal_protocol::span_batch::{SpanBatch, SpanPosition};
use opal_protocol::{
    BlockId, DEPOSIT_TX_TYPE, Hardfork, L1BlockRef, L2BlockRef, RollupConfig, SingularBatch,
};

/// EIP-2718 type of set-code transactions (EIP-7702).
const SET_CODE_TX_TYPE: u8 = 4;

/// A block of the safe chain, as far as a span batch is compared with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafeBlock {
    /// The block.
    pub reference: L2BlockRef,
    /// Its raw transactions, without deposits.
    pub transactions: Vec<Bytes>,
}

/// What a batch is judged by.
#[derive(Clone, Copy, Debug)]
pub struct BatchContext<'a> {
    /// The chain.
    pub config: &'a RollupConfig,
    /// Consecutive L1 blocks; the first is the safe head's origin, or the one after it when empty
    /// batches have filled that epoch.
    pub l1_blocks: &'a [L1BlockRef],
    /// The block to build on.
    pub safe_head: &'a L2BlockRef,
    /// The L1 block that completed the batch's channel.
    pub inclusion: &'a L1BlockRef,
    /// Blocks of the safe chain that the host has provided, by number.
    pub safe_blocks: &'a BTreeMap<u64, SafeBlock>,
}

/// The judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The batch is next.
    Accept,
    /// The batch will never be valid on this chain.
    Drop(DropReason),
    /// L1 must be read further before this can be said.
    Undecided,
    /// The batch may be valid later (before Holocene).
    Future,
    /// The batch has nothing that the safe chain lacks (from Holocene on).
    Past,
    /// This block of the safe chain must be compared with.
    NeedL2Block(u64),
}

/// Which rule a batch breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DropReason {
    /// It leaves a gap after the safe head (from Holocene on).
    #[error("timestamp is after the next block's")]
    Future,
    /// It is not after the safe head.
    #[error("timestamp is not after the safe head's")]
    Past,
    /// It builds on another block.
    #[error("parent is not the safe head")]
    Parent,
    /// It was included after its sequencing window.
    #[error("included after the sequencing window of its epoch")]
    IncludedTooLate,
    /// Its epoch is older than its parent's.
    #[error("epoch is older than the parent's")]
    EpochTooOld,
    /// Its epoch is not the next either.
    #[error("epoch is more than one ahead of the parent's")]
    EpochTooFar,
    /// Its epoch is on another L1 chain.
    #[error("epoch hash is not that of the L1 block")]
    EpochHash,
    /// An epoch that no L1 block at hand has.
    #[error("epoch is not among the L1 blocks read")]
    EpochUnknown,
    /// It is older than its epoch.
    #[error("timestamp is before the L1 origin's")]
    BeforeOrigin,
    /// It has transactions, but L2 ran too far ahead of L1.
    #[error("has transactions beyond the sequencer drift")]
    Drift,
    /// It has no transactions beyond the drift, but stays in an epoch that could have been left.
    #[error("stays in its epoch beyond the sequencer drift although the next one could begin")]
    DriftEpoch,
    /// It has transactions in the activation block of a fork with upgrade transactions.
    #[error("has transactions in a fork's activation block")]
    ActivationBlock,
    /// It has an empty transaction.
    #[error("transaction {0} is empty")]
    EmptyTx(usize),
    /// It has a deposit.
    #[error("transaction {0} is a deposit")]
    DepositTx(usize),
    /// It has a set-code transaction before Isthmus.
    #[error("transaction {0} is a set-code transaction before Isthmus")]
    SetCodeTx(usize),
    /// A span before Delta.
    #[error("span batch with an origin before Delta")]
    BeforeDelta,
    /// A span that overlaps the safe chain, its blocks between those of the chain.
    #[error("overlapping span is not aligned with the safe chain's blocks")]
    Misaligned,
    /// A span whose blocks differ from the safe chain's.
    #[error("overlapping span differs from safe block {0}")]
    Overlap(u64),
    /// A span that begins before genesis.
    #[error("span begins before the genesis block")]
    BeforeGenesis,
    /// A span whose last L1 origin is not read yet: it was included before the L1 block it names.
    #[error("the last L1 origin of the span is not known")]
    OriginUnknown,
}

impl BatchContext<'_> {
    fn holocene(&self) -> bool {
        self.config.is_active(Hardfork::Holocene, self.inclusion.timestamp)
    }

    fn next_timestamp(&self) -> u64 {
        self.safe_head.timestamp.saturating_add(self.config.block_time)
    }
}

/// Judges a singular batch.
pub fn check_singular_batch(ctx: &BatchContext<'_>, batch: &SingularBatch) -> Verdict {
    use DropReason as R;
    let config = ctx.config;
    let Some(epoch) = ctx.l1_blocks.first() else { return Verdict::Undecided };
    let next_timestamp = ctx.next_timestamp();
    if batch.timestamp > next_timestamp {
        return if ctx.holocene() { Verdict::Drop(R::Future) } else { Verdict::Future };
    }
    if batch.timestamp < next_timestamp {
        return if ctx.holocene() { Verdict::Past } else { Verdict::Drop(R::Past) };
    }
    if batch.parent_hash != ctx.safe_head.hash {
        return Verdict::Drop(R::Parent);
    }
    if batch.epoch_num.saturating_add(config.seq_window_size) < ctx.inclusion.number {
        return Verdict::Drop(R::IncludedTooLate);
    }
    let origin = if batch.epoch_num < epoch.number {
        return Verdict::Drop(R::EpochTooOld);
    } else if batch.epoch_num == epoch.number {
        epoch
    } else if batch.epoch_num - epoch.number == 1 && epoch.number <= ctx.safe_head.l1_origin.number
    {
        // Whether the next epoch is right can be said only when its L1 block is there.
        match ctx.l1_blocks.get(1) {
            Some(next) => next,
            None => return Verdict::Undecided,
        }
    } else {
        // Also from an epoch that empty batches are still to begin: each epoch has a block.
        return Verdict::Drop(R::EpochTooFar);
    };
    if batch.epoch_hash != origin.hash {
        return Verdict::Drop(R::EpochHash);
    }
    if batch.timestamp < origin.timestamp {
        return Verdict::Drop(R::BeforeOrigin);
    }
    // Forks whose activation block refuses transactions by this rule; the earlier ones rely on the
    // sequencer.
    let activates = [Hardfork::Jovian, Hardfork::Karst, Hardfork::Interop]
        .into_iter()
        .any(|fork| config.is_activation_block(fork, batch.timestamp));
    if activates && !batch.transactions.is_empty() {
        return Verdict::Drop(R::ActivationBlock);
    }
    let advances = origin.number != epoch.number;
    let drift = check_drift(
        config,
        batch.timestamp,
        batch.transactions.is_empty(),
        origin,
        advances,
        ctx.l1_blocks.get(1),
    );
    if let Some(verdict) = drift {
        return verdict;
    }
    match check_transactions(config, batch.timestamp, &batch.transactions) {
        Some(reason) => Verdict::Drop(reason),
        None => Verdict::Accept,
    }
}

/// The rules of the sequencer drift. `None` when they let the block pass.
fn check_drift(
    config: &RollupConfig,
    timestamp: u64,
    is_empty: bool,
    origin: &L1BlockRef,
    advances_epoch: bool,
    next_origin: Option<&L1BlockRef>,
) -> Option<Verdict> {
    let drift = config.max_sequencer_drift(origin.timestamp);
    if timestamp <= origin.timestamp.saturating_add(drift) {
        return None;
    }
    if !is_empty {
        return Some(Verdict::Drop(DropReason::Drift));
    }
    // An empty block may go on in the epoch, to keep L2 time ahead of L1 time, as long as the next
    // epoch could not have begun.
    if advances_epoch {
        return None;
    }
    match next_origin {
        None => Some(Verdict::Undecided),
        Some(next) if timestamp >= next.timestamp => Some(Verdict::Drop(DropReason::DriftEpoch)),
        Some(_) => None,
    }
}

/// The rules for the bytes of transactions.
fn check_transactions(
    config: &RollupConfig,
    timestamp: u64,
    transactions: &[Bytes],
) -> Option<DropReason> {
    let isthmus = config.is_active(Hardfork::Isthmus, timestamp);
    transactions.iter().enumerate().find_map(|(i, tx)| match tx.first() {
        None => Some(DropReason::EmptyTx(i)),
        Some(&DEPOSIT_TX_TYPE) => Some(DropReason::DepositTx(i)),
        Some(&SET_CODE_TX_TYPE) if !isthmus => Some(DropReason::SetCodeTx(i)),
        Some(_) => None,
    })
}

/// Judges what a span batch says of itself as a whole: all that is checked from Holocene on before
/// its blocks are taken one by one. Gives the parent block on acceptance.
pub fn check_span_prefix(ctx: &BatchContext<'_>, span: &SpanBatch) -> Result<L2BlockRef, Verdict> {
    use DropReason as R;
    let config = ctx.config;
    let epoch = ctx.l1_blocks.first().ok_or(Verdict::Undecided)?;
    let (first_timestamp, last_timestamp) = (span.first_timestamp(), span.last_timestamp());
    let (start_epoch, last_epoch) = (span.first_epoch(), span.last_epoch());
    let mut origin = epoch;
    if start_epoch == epoch.number.wrapping_add(1) {
        origin = ctx.l1_blocks.get(1).ok_or(Verdict::Undecided)?;
    }
    if !config.is_active(Hardfork::Delta, origin.timestamp) {
        return Err(Verdict::Drop(R::BeforeDelta));
    }
    let next_timestamp = ctx.next_timestamp();
    if first_timestamp > next_timestamp {
        return Err(if ctx.holocene() { Verdict::Drop(R::Future) } else { Verdict::Future });
    }
    if last_timestamp < next_timestamp {
        return Err(if ctx.holocene() { Verdict::Past } else { Verdict::Drop(R::Past) });
    }
    let mut parent = *ctx.safe_head;
    if first_timestamp < next_timestamp {
        if first_timestamp > ctx.safe_head.timestamp {
            return Err(Verdict::Drop(R::Misaligned));
        }
        let behind = ctx.safe_head.timestamp - first_timestamp;
        // A configuration that was not checked may have a block time of zero: nothing is aligned
        // with it.
        let blocks = behind
            .checked_div(config.block_time)
            .filter(|_| behind.is_multiple_of(config.block_time))
            .ok_or(Verdict::Drop(R::Misaligned))?;
        let number = blocks
            .checked_add(1)
            .and_then(|blocks| ctx.safe_head.number.checked_sub(blocks))
            .filter(|number| *number >= config.genesis.l2.number)
            .ok_or(Verdict::Drop(R::BeforeGenesis))?;
        let block = ctx.safe_blocks.get(&number).ok_or(Verdict::NeedL2Block(number))?;
        parent = block.reference;
    }
    if !span.matches_parent(&parent.hash) {
        return Err(Verdict::Drop(R::Parent));
    }
    if start_epoch.saturating_add(config.seq_window_size) < ctx.inclusion.number {
        return Err(Verdict::Drop(R::IncludedTooLate));
    }
    if start_epoch > parent.l1_origin.number.saturating_add(1) {
        return Err(Verdict::Drop(R::EpochTooFar));
    }
    match ctx.l1_blocks.iter().find(|block| block.number == last_epoch) {
        // An epoch that was left is behind the safe head's. From Holocene on the caller drops what
        // is undecided, and goes on in the channel.
        None if last_epoch < epoch.number && !ctx.holocene() => {
            return Err(Verdict::Drop(R::EpochTooOld));
        }
        None => return Err(Verdict::Undecided),
        Some(block) if !span.matches_origin(&block.hash) => {
            return Err(Verdict::Drop(R::EpochHash));
        }
        Some(_) => {}
    }
    if start_epoch < parent.l1_origin.number {
        return Err(Verdict::Drop(R::EpochTooOld));
    }
    Ok(parent)
}

/// How far a span was compared with the safe chain when a block of that was missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison {
    /// What was judged holds on top of this block only.
    safe_head: B256,
    /// Number of the first block not compared yet, and where it is in the span.
    next: u64,
    at: SpanPosition,
}

/// Judges a whole span batch, block by block (before Holocene).
pub fn check_span_batch(ctx: &BatchContext<'_>, span: &SpanBatch) -> Verdict {
    go_on_with_span_batch(ctx, span, &mut None)
}

/// As [`check_span_batch`]; goes on where the same span was left, as long as nothing but the blocks
/// of the safe chain has come to the context.
pub(crate) fn go_on_with_span_batch(
    ctx: &BatchContext<'_>,
    span: &SpanBatch,
    left: &mut Option<Comparison>,
) -> Verdict {
    let safe_head = ctx.safe_head.hash;
    let mut comparison = match left.take().filter(|left| left.safe_head == safe_head) {
        Some(comparison) => comparison,
        None => match check_span_blocks(ctx, span) {
            Ok(parent) => {
                // No block has the last of all numbers for its parent.
                let next = parent.number.saturating_add(1);
                Comparison { safe_head, next, at: span.start() }
            }
            Err(verdict) => return verdict,
        },
    };
    // Where the span overlaps the safe chain, it must say what the chain says.
    while comparison.next <= ctx.safe_head.number && span.timestamp_at(&comparison.at).is_some() {
        let number = comparison.next;
        let mut at = comparison.at;
        let Some(safe) = ctx.safe_blocks.get(&number) else {
            *left = Some(comparison);
            return Verdict::NeedL2Block(number);
        };
        let Some(block) = span.take_block(&mut at) else { break };
        if safe.transactions != block.transactions
            || safe.reference.l1_origin.number != block.epoch_num
        {
            return Verdict::Drop(DropReason::Overlap(number));
        }
        let Some(next) = number.checked_add(1) else { break };
        comparison = Comparison { next, at, ..comparison };
    }
    Verdict::Accept
}

/// All rules but the comparison with the safe chain. Gives the parent block on acceptance.
fn check_span_blocks(ctx: &BatchContext<'_>, span: &SpanBatch) -> Result<L2BlockRef, Verdict> {
    use DropReason as R;
    let parent = check_span_prefix(ctx, span)?;
    let config = ctx.config;
    let mut origin_at = 0;
    let mut previous_epoch = parent.l1_origin.number;
    for block in span.heads() {
        let advances = block.epoch_num > previous_epoch;
        previous_epoch = block.epoch_num;
        if block.timestamp <= ctx.safe_head.timestamp {
            continue;
        }
        if block.epoch_num < ctx.safe_head.l1_origin.number {
            return Err(Verdict::Drop(R::EpochTooOld));
        }
        let Some(at) =
            (origin_at..ctx.l1_blocks.len()).find(|i| ctx.l1_blocks[*i].number == block.epoch_num)
        else {
            return Err(Verdict::Drop(R::EpochUnknown));
        };
        origin_at = at;
        let origin = &ctx.l1_blocks[at];
        if block.timestamp < origin.timestamp {
            return Err(Verdict::Drop(R::BeforeOrigin));
        }
        let next = ctx.l1_blocks.get(at + 1);
        let drift =
            check_drift(config, block.timestamp, block.tx_count == 0, origin, advances, next);
        if let Some(verdict) = drift {
            return Err(verdict);
        }
        // A span has no form for empty transactions and deposits.
        if !config.is_active(Hardfork::Isthmus, block.timestamp)
            && let Some(i) = block.set_code_at()
        {
            return Err(Verdict::Drop(R::SetCodeTx(i)));
        }
    }
    Ok(parent)
}

/// The blocks of a span after the safe head as singular batches, still without parent hashes. They
/// are made one at a time: a span of few bytes may have millions of them.
#[derive(Debug, Default)]
pub(crate) struct SingularBatches {
    /// The span, and the place before its next block after the safe head.
    span: Option<Box<(SpanBatch, SpanPosition)>>,
    /// Number of blocks to come.
    left: usize,
    /// Timestamp of the safe head when the span was accepted.
    after: u64,
    /// The L1 blocks when the span was accepted.
    epochs: VecDeque<BlockId>,
}

impl SingularBatches {
    /// # Errors
    /// When a block's epoch is older than the safe head's, or unknown. From Holocene on this is the
    /// first place where that shows.
    pub(crate) fn new(
        span: SpanBatch,
        l1_blocks: &[L1BlockRef],
        safe_head: &L2BlockRef,
    ) -> Result<Self, DropReason> {
        let mut epochs = l1_blocks.iter();
        let mut epoch = None;
        let mut left = 0;
        for block in span.heads() {
            if block.timestamp <= safe_head.timestamp {
                continue;
            }
            if block.epoch_num < safe_head.l1_origin.number {
                return Err(DropReason::EpochTooOld);
            }
            if epoch != Some(block.epoch_num) {
                let found = epochs.find(|epoch| epoch.number == block.epoch_num);
                epoch = Some(found.ok_or(DropReason::EpochUnknown)?.number);
            }
            left += 1;
        }
        let at = span.start();
        let epochs = l1_blocks.iter().map(L1BlockRef::id).collect();
        let mut batches =
            Self { span: Some(Box::new((span, at))), left, after: safe_head.timestamp, epochs };
        batches.skip_old();
        Ok(batches)
    }

    /// Moves on to the next block after the safe head.
    fn skip_old(&mut self) {
        let Some((span, at)) = self.span.as_deref_mut() else { return };
        while span.timestamp_at(at).is_some_and(|timestamp| timestamp <= self.after) {
            span.take_head(at);
        }
    }

    /// The next batch's timestamp.
    pub(crate) fn timestamp(&self) -> Option<u64> {
        self.span.as_deref().and_then(|(span, at)| span.timestamp_at(at))
    }
}

impl Iterator for SingularBatches {
    type Item = SingularBatch;

    fn next(&mut self) -> Option<SingularBatch> {
        let (span, at) = self.span.as_deref_mut()?;
        let block = span.take_block(at)?;
        self.left -= 1;
        self.skip_old();
        while self.epochs.front()?.number != block.epoch_num {
            self.epochs.pop_front();
        }
        Some(SingularBatch {
            parent_hash: Default::default(),
            epoch_num: block.epoch_num,
            epoch_hash: self.epochs.front()?.hash,
            timestamp: block.timestamp,
            transactions: block.transactions,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for SingularBatches {}

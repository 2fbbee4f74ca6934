//! What the machine and its host say to each other.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes};
use opal_protocol::batch::BatchError;
use opal_protocol::blob::{Blob, BlobError};
use opal_protocol::channel::ChannelError;
use opal_protocol::frame::FrameError;
use opal_protocol::l1_info::L1InfoError;
use opal_protocol::span_batch::SpanBatchError;
use opal_protocol::system_config::ConfigLogError;
use opal_protocol::{
    AttributesWithParent, BlockId, ChannelId, L1BlockRef, L2BlockRef, Receipt, SealedBlock,
    TxEnvelope,
};

use crate::batch_validity::{DropReason, SafeBlock};

/// An L1 block as the host provides it: receipts and transactions checked against the header's
/// roots, the hash against the header.
#[derive(Clone, Debug)]
pub struct L1Block {
    /// Hash, number, parent and time.
    pub reference: L1BlockRef,
    /// The header.
    pub header: Header,
    /// Receipts in order.
    pub receipts: Arc<Vec<Receipt>>,
    /// Transactions in order.
    pub transactions: Arc<Vec<TxEnvelope>>,
}

/// What the machine needs from its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The canonical L1 block with this number. Answer: [`Input::L1Block`] or [`Input::L1NotYet`].
    /// Later blocks may be provided along with it.
    L1Block {
        /// Block number.
        number: u64,
    },
    /// Blobs of an L1 block, checked against their versioned hashes. Answer: [`Input::Blobs`] or
    /// [`Input::BlobsMissing`].
    Blobs {
        /// The L1 block.
        block: L1BlockRef,
        /// Versioned hashes, in the order in which the blobs are to be provided.
        hashes: Vec<B256>,
    },
    /// A block of the safe L2 chain, to compare an overlapping span batch with. Answer:
    /// [`Input::L2Block`].
    L2Block {
        /// Block number.
        number: u64,
    },
}

/// What the host answers, or provides before it is asked.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all inputs are L1 blocks")]
pub enum Input {
    /// A canonical L1 block.
    L1Block(L1Block),
    /// The L1 chain has no block with this number yet.
    L1NotYet {
        /// Block number.
        number: u64,
    },
    /// The blobs asked for, in the order of the hashes.
    Blobs {
        /// The L1 block.
        block: BlockId,
        /// The blobs.
        blobs: Vec<Box<Blob>>,
    },
    /// Blobs of this L1 block cannot be had although the block exists: either the block was
    /// reorganized away, or the blobs were pruned.
    BlobsMissing {
        /// The L1 block.
        block: BlockId,
    },
    /// A block of the safe L2 chain.
    L2Block(SealedBlock),
}

/// An answer that cannot be used. The machine is unchanged and repeats its request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The reference and the header of an L1 block contradict each other.
    #[error("L1 block {0} does not match its header")]
    Header(BlockId),
    /// An L1 block further ahead than the machine keeps.
    #[error("L1 block {number} is too far ahead: the next one needed is {next}")]
    TooFarAhead {
        /// Number of the block.
        number: u64,
        /// Number that is needed.
        next: u64,
    },
    /// Not as many blobs as asked for.
    #[error("got {got} blobs of L1 block {block}, asked for {expected}")]
    BlobCount {
        /// The L1 block.
        block: BlockId,
        /// Hashes in the request.
        expected: usize,
        /// Blobs in the answer.
        got: usize,
    },
    /// An L2 block without well-formed L1 attributes.
    #[error(transparent)]
    L2Block(#[from] L1InfoError),
}

/// What became of the attributes of [`Step::Execute`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executed {
    /// The block that they describe: built, or found in the chain already.
    Valid(L2BlockRef),
    /// Execution refuses them.
    Invalid,
}

/// An answer to [`Step::Execute`] that does not fit it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecutedError {
    /// No attributes were given out.
    #[error("no attributes are being executed")]
    NothingExecuting,
    /// The block is not what the attributes describe.
    #[error("block {block} does not come from the attributes on top of {parent}")]
    Mismatch {
        /// The block reported.
        block: BlockId,
        /// Parent in the attributes.
        parent: BlockId,
    },
}

/// What the host shall do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Fetch something and provide it.
    Need(Request),
    /// Execute these attributes, or find that the chain has their block already, and report with
    /// [`Derivation::executed`](crate::Derivation::executed). Repeated until then.
    Execute(Box<AttributesWithParent>),
    /// The machine reads this L1 block now.
    AdvancedOrigin(L1BlockRef),
    /// Something was dropped; to be counted and logged.
    Dropped(Dropped),
    /// All of L1 is read. Step again when there is a new L1 block.
    Idle,
    /// The machine's view of L1 or L2 is no longer right; it stays in this state. Build a new one.
    Reset(ResetReason),
    /// The chain cannot be derived; the machine stays in this state. A person must look at it.
    Critical(CriticalError),
}

/// Why a new machine is needed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResetReason {
    /// An L1 block does not build on the one before.
    #[error("L1 reorg: block {found} does not build on {origin}")]
    ReorgDetected {
        /// The origin so far.
        origin: BlockId,
        /// The L1 block provided next.
        found: BlockId,
    },
    /// Blobs of the origin cannot be had.
    #[error("blobs of L1 block {0} are not to be had")]
    BlobsMissing(BlockId),
    /// The epochs that batches are checked with do not continue the safe head's.
    #[error("L1 epoch {epoch} does not continue the origin {origin} of the safe head")]
    EpochMismatch {
        /// Earliest epoch held.
        epoch: BlockId,
        /// L1 origin of the safe head.
        origin: BlockId,
    },
    /// A batch does not build on the safe head.
    #[error("batch at {timestamp} does not build on the safe head {safe_head}")]
    BatchMismatch {
        /// Timestamp of the batch.
        timestamp: u64,
        /// The safe head.
        safe_head: BlockId,
    },
    /// The L1 block of a batch's epoch is not held.
    #[error("L1 epoch {0} is not held")]
    EpochMissing(BlockId),
    /// Attributes would contradict the parent's L1 origin.
    #[error(transparent)]
    Attributes(crate::AttributesError),
}

/// Why derivation cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CriticalError {
    /// Attributes of deposits alone were refused, which no execution may do.
    #[error("execution refuses the deposits-only block on top of {0}")]
    DepositsOnlyInvalid(BlockId),
    /// The attributes cannot be built.
    #[error(transparent)]
    Attributes(crate::AttributesError),
    /// The chain does not post its batches to L1.
    #[error(
        "the chain keeps its batches outside L1 (alt_da in its rollup config), which is not derived"
    )]
    AltDa,
    /// Fewer L1 epochs are held than the batch stage needs: the start was not a safe head.
    #[error("only {held} L1 epochs are held at origin {origin}")]
    MissingEpochs {
        /// Number of epochs held.
        held: usize,
        /// The origin.
        origin: BlockId,
    },
}

/// Something that was read and does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// A system configuration update.
    #[error("system config log: {0}")]
    ConfigLog(ConfigLogError),
    /// A blob that is not in the blob encoding.
    #[error("blob {hash}: {error}")]
    Blob {
        /// Versioned hash.
        hash: B256,
        /// What is wrong.
        error: BlobError,
    },
    /// All frames of a batcher transaction or blob.
    #[error("batcher data: {0}")]
    BatcherData(FrameError),
    /// A frame out of order (Holocene), or of a timed-out channel, or one that its channel does not
    /// take.
    #[error("frame {number} of channel {channel}: {reason}")]
    Frame {
        /// Its channel.
        channel: ChannelId,
        /// Its number.
        number: u16,
        /// What is wrong.
        reason: FrameDrop,
    },
    /// A channel.
    #[error("channel {channel}: {reason}")]
    Channel {
        /// The channel.
        channel: ChannelId,
        /// What is wrong.
        reason: ChannelDrop,
    },
    /// The rest of a channel that cannot be read.
    #[error("rest of the channel: {0}")]
    ChannelData(ChannelError),
    /// A span batch before Delta.
    #[error("span batch before Delta")]
    SpanBeforeDelta,
    /// A span batch whose transactions cannot be put together.
    #[error("span batch: {0}")]
    MalformedSpan(SpanBatchError),
    /// A batch that is not valid. From Holocene on the rest of its channel goes with it, unless it
    /// is merely of the past.
    #[error("batch at {timestamp}: {reason}")]
    Batch {
        /// Timestamp of the batch, of a span its first block's.
        timestamp: u64,
        /// Which rule it breaks.
        reason: DropReason,
    },
    /// The rest of a span batch whose last block was refused by execution.
    #[error("{0} blocks of a span batch after an invalid one")]
    SpanRest(usize),
    /// Holocene began: everything buffered by then.
    #[error("everything buffered before Holocene")]
    Holocene,
}

/// Why a frame does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameDrop {
    /// Not the next frame of its channel, or of another channel that is not begun.
    #[error("out of order")]
    OutOfOrder,
    /// A first frame came before the channel was complete.
    #[error("its channel was replaced by another before it was complete")]
    Replaced,
    /// The channel has this frame.
    #[error("duplicate")]
    Duplicate,
    /// The channel has its last frame, which is not this one.
    #[error("beyond the end of its channel")]
    BeyondEnd,
    /// A second last frame.
    #[error("a second last frame")]
    SecondLast,
    /// The channel is open for longer than the channel timeout.
    #[error("its channel timed out")]
    TimedOut,
    /// There is no channel that it could continue.
    #[error("no channel is open")]
    NoChannel,
}

/// Why a channel does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelDrop {
    /// Open for longer than the channel timeout.
    #[error("timed out")]
    TimedOut,
    /// The bank is full and this is its oldest channel.
    #[error("pruned, because the channel bank is full")]
    BankFull,
    /// More compressed data than a channel may have (Holocene).
    #[error("larger than a channel may be")]
    TooLarge,
    /// A new channel began (Holocene).
    #[error("replaced by a new channel")]
    Replaced,
}

impl From<BatchError> for Dropped {
    fn from(error: BatchError) -> Self {
        Self::ChannelData(error.into())
    }
}

/// L1 blocks ahead of the origin that are kept.
pub(crate) const MAX_AHEAD: u64 = 128;

/// What was provided and is not used yet.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// L1 blocks ahead of the origin, by number.
    pub(crate) l1_blocks: BTreeMap<u64, L1Block>,
    /// The L1 block that the host says is not there yet.
    pub(crate) not_yet: Option<u64>,
    /// Blobs of the origin.
    pub(crate) blobs: Option<(BlockId, Vec<Box<Blob>>)>,
    /// Blobs of the origin that cannot be had.
    pub(crate) blobs_missing: Option<BlockId>,
    /// The block of the safe chain that was asked for and not provided yet.
    pub(crate) l2_wanted: Option<u64>,
    /// Blocks of the safe chain, for the span batch that is being checked.
    pub(crate) l2_blocks: BTreeMap<u64, SafeBlock>,
}

/// Why a stage has nothing to give.
#[derive(Debug)]
pub(crate) enum Stall {
    /// It needs the next L1 block.
    Eof,
    /// It made progress; ask it again.
    Again,
    /// It needs something from the host.
    Need(Request),
    /// The machine must be built anew.
    Reset(ResetReason),
    /// The chain cannot be derived.
    Critical(CriticalError),
}

pub(crate) type Pull<T> = Result<T, Stall>;

/// Data that one batcher transaction carries in calldata or one blob.
pub(crate) type BatcherData = Bytes;

//! Batches: what a channel holds, once decompressed.
//!
//! A channel is a row of RLP byte strings, each of them a version byte and a batch. Spec:
//! `derivation.md`, "Batch Format".

use alloc::boxed::Box;
use alloc::vec::Vec;

use alloy_primitives::{B256, Bytes};
use alloy_rlp::{Decodable, Encodable, Header, RlpDecodable, RlpEncodable};

use crate::span_batch::{RawSpanBatch, SpanBatchError};
use crate::{Block, BlockId};

/// Version byte of a singular batch.
pub const SINGULAR_BATCH: u8 = 0;
/// Version byte of a span batch.
pub const SPAN_BATCH: u8 = 1;

/// The sequencer's input to one L2 block.
#[derive(Clone, Debug, Default, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct SingularBatch {
    /// The L2 block to build on.
    pub parent_hash: B256,
    /// Number of the L1 origin.
    pub epoch_num: u64,
    /// Hash of the L1 origin.
    pub epoch_hash: B256,
    /// Timestamp of the L2 block, in seconds.
    pub timestamp: u64,
    /// Raw EIP-2718 transactions, without deposits.
    pub transactions: Vec<Bytes>,
}

impl SingularBatch {
    /// The L1 origin.
    pub const fn epoch(&self) -> BlockId {
        BlockId { hash: self.epoch_hash, number: self.epoch_num }
    }

    /// The batch that makes derivation build `block` again, given the L1 origin that its L1
    /// attributes deposit names.
    pub fn from_block(block: &Block, l1_origin: BlockId) -> Self {
        let transactions = block
            .body
            .transactions
            .iter()
            .filter(|tx| !tx.is_deposit_tx())
            .map(|tx| alloy_eips::eip2718::Encodable2718::encoded_2718(tx).into())
            .collect();
        Self {
            parent_hash: block.header.parent_hash,
            epoch_num: l1_origin.number,
            epoch_hash: l1_origin.hash,
            timestamp: block.header.timestamp,
            transactions,
        }
    }

    /// Decodes the RLP list behind the version byte of `data`, as [`Decodable`] does; but the
    /// transactions share the memory of `data`.
    fn decode_shared(data: &Bytes) -> alloy_rlp::Result<Self> {
        let mut at = data.get(1..).unwrap_or_default();
        let header = Header::decode(&mut at)?;
        if !header.list {
            return Err(alloy_rlp::Error::UnexpectedString);
        }
        let length = at.len();
        let mut batch = Self {
            parent_hash: Decodable::decode(&mut at)?,
            epoch_num: Decodable::decode(&mut at)?,
            epoch_hash: Decodable::decode(&mut at)?,
            timestamp: Decodable::decode(&mut at)?,
            transactions: Vec::new(),
        };
        let list = Header::decode_bytes(&mut at, true)?;
        // Counted first: a transaction of a byte takes 32 of memory, and should not take twice that
        // while their row grows.
        batch.transactions.reserve_exact(strings(list).count());
        for transaction in strings(list) {
            batch.transactions.push(data.slice_ref(transaction?));
        }
        let got = length - at.len();
        if got != header.payload_length {
            let expected = header.payload_length;
            return Err(alloy_rlp::Error::ListLengthMismatch { expected, got });
        }
        Ok(batch)
    }

    /// Copies the transactions out of the memory of the channel that they were read from. For a
    /// batch that must wait: it would hold all of that memory.
    #[must_use]
    pub fn into_own_memory(mut self) -> Self {
        let all = Bytes::from(self.transactions.concat());
        let mut start = 0;
        for transaction in &mut self.transactions {
            let end = start + transaction.len();
            *transaction = all.slice(start..end);
            start = end;
        }
        self
    }

    /// The batch as it stands in a channel: an RLP byte string of version byte and body.
    pub fn encode_for_channel(&self) -> Vec<u8> {
        let length = 1 + self.length();
        let header = Header { list: false, payload_length: length };
        let mut out = Vec::with_capacity(header.length() + length);
        header.encode(&mut out);
        out.push(SINGULAR_BATCH);
        self.encode(&mut out);
        out
    }
}

/// The byte strings in an RLP list, up to the first that is none.
fn strings(mut list: &[u8]) -> impl Iterator<Item = alloy_rlp::Result<&[u8]>> {
    core::iter::from_fn(move || {
        let next = (!list.is_empty()).then(|| Header::decode_bytes(&mut list, false))?;
        if next.is_err() {
            list = &[];
        }
        Some(next)
    })
}

/// A decoded batch of either version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Batch {
    /// One L2 block.
    Singular(SingularBatch),
    /// A range of L2 blocks, its transactions not yet put together.
    Span(Box<RawSpanBatch>),
}

/// Why bytes are no batch. The rest of the channel is then dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The byte string is empty.
    #[error("batch is empty")]
    Empty,
    /// A version that does not exist.
    #[error("unknown batch version {0}")]
    Version(u8),
    /// A singular batch with a malformed body.
    #[error("singular batch: {0}")]
    Singular(alloy_rlp::Error),
    /// A span batch with a malformed body.
    #[error("span batch: {0}")]
    Span(#[from] SpanBatchError),
}

impl Batch {
    /// Decodes a version byte and what it announces; what comes out shares the memory of `data`. Bytes after the batch are ignored, as the
    /// reference implementation does.
    ///
    /// # Errors
    /// When the version is unknown or the body malformed.
    pub fn decode(data: &Bytes) -> Result<Self, BatchError> {
        match data.split_first() {
            None => Err(BatchError::Empty),
            Some((&SINGULAR_BATCH, _)) => {
                SingularBatch::decode_shared(data).map(Self::Singular).map_err(BatchError::Singular)
            }
            Some((&SPAN_BATCH, _)) => RawSpanBatch::decode(&data.slice(1..))
                .map(|raw| Self::Span(Box::new(raw)))
                .map_err(BatchError::Span),
            Some((&version, _)) => Err(BatchError::Version(version)),
        }
    }
}

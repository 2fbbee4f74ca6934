//! Span batches, from blocks to bytes.

use alloc::vec::Vec;

use super::transaction::{SpanTxError, TxParts};
use super::{MAX_SPAN_BATCH_ELEMENTS, SpanBatch, SpanBlock, SpanChain};
use crate::SingularBatch;
use crate::batch::SPAN_BATCH;

/// Why blocks make no span batch that a decoder would give back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanEncodeError {
    /// No blocks.
    #[error("no blocks")]
    Empty,
    /// More elements than a decoder accepts.
    #[error("{0}: more than the limit of 10000000")]
    TooMany(&'static str),
    /// A block that does not follow its predecessor in time; a span has no gaps.
    #[error("block {index} has timestamp {found}, expected {expected}")]
    Timestamp {
        /// Position of the block.
        index: usize,
        /// Timestamp that the block must have; the first one's is at least that of genesis.
        expected: u64,
        /// Timestamp of the block.
        found: u64,
    },
    /// An L1 origin that is neither the predecessor's nor the one after it.
    #[error("block {index} has L1 origin {found}, expected {previous} or its successor")]
    Origin {
        /// Position of the block.
        index: usize,
        /// The predecessor's L1 origin.
        previous: u64,
        /// L1 origin of the block.
        found: u64,
    },
    /// A transaction that has no place in a span batch.
    #[error("transaction {index} of block {block}: {error}")]
    Transaction {
        /// Position of the block.
        block: usize,
        /// Position of the transaction in the block.
        index: usize,
        /// What is wrong.
        error: SpanTxError,
    },
}

/// A bit list under construction, its first bit lowest.
#[derive(Clone, Debug, Default)]
struct BitList {
    bytes: Vec<u8>,
    length: usize,
}

impl BitList {
    fn push(&mut self, bit: bool) {
        if self.length.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << (self.length % 8);
        }
        self.length += 1;
    }

    fn truncate(&mut self, length: usize) {
        self.length = length;
        self.bytes.truncate(length.div_ceil(8));
        if let Some(last) = self.bytes.last_mut()
            && !length.is_multiple_of(8)
        {
            *last &= (1 << (length % 8)) - 1;
        }
    }

    /// Appends the list as a big-endian number.
    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.bytes.iter().rev());
    }
}

const fn varint_len(number: u64) -> usize {
    let bits = 64 - (number | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Appends an unsigned LEB128 number.
fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The columns of the transactions, encoded as far as they can be before the last is known.
#[derive(Clone, Debug, Default)]
struct Columns {
    origin_bits: BitList,
    block_tx_counts: Vec<u8>,
    creation_bits: BitList,
    y_parity_bits: BitList,
    signatures: Vec<u8>,
    tos: Vec<u8>,
    datas: Vec<u8>,
    nonces: Vec<u8>,
    gases: Vec<u8>,
    protected_bits: BitList,
}

/// The lengths of all columns, to come back to.
struct Mark([usize; 10]);

impl Columns {
    const fn mark(&self) -> Mark {
        Mark([
            self.origin_bits.length,
            self.block_tx_counts.len(),
            self.creation_bits.length,
            self.y_parity_bits.length,
            self.signatures.len(),
            self.tos.len(),
            self.datas.len(),
            self.nonces.len(),
            self.gases.len(),
            self.protected_bits.length,
        ])
    }

    fn truncate(&mut self, mark: &Mark) {
        let Mark(
            [origins, counts, creations, parities, sigs, tos, datas, nonces, gases, protected],
        ) = *mark;
        self.origin_bits.truncate(origins);
        self.block_tx_counts.truncate(counts);
        self.creation_bits.truncate(creations);
        self.y_parity_bits.truncate(parities);
        self.signatures.truncate(sigs);
        self.tos.truncate(tos);
        self.datas.truncate(datas);
        self.nonces.truncate(nonces);
        self.gases.truncate(gases);
        self.protected_bits.truncate(protected);
    }

    fn push(&mut self, tx: &TxParts<'_>) -> Result<(), SpanTxError> {
        tx.put_data(MAX_SPAN_BATCH_ELEMENTS as usize, &mut self.datas)?;
        self.creation_bits.push(tx.to.is_none());
        self.y_parity_bits.push(tx.y_parity);
        for word in [tx.r, tx.s] {
            // A number of at most 32 bytes.
            self.signatures.resize(self.signatures.len() + 32 - word.len(), 0);
            self.signatures.extend_from_slice(word);
        }
        self.tos.extend_from_slice(tx.to.unwrap_or_default());
        put_varint(tx.nonce, &mut self.nonces);
        put_varint(tx.gas, &mut self.gases);
        if tx.kind == 0 {
            self.protected_bits.push(tx.protected);
        }
        Ok(())
    }

    /// The columns' share of the body's length; without the number of blocks.
    fn encoded_len(&self) -> usize {
        let bits =
            [&self.origin_bits, &self.creation_bits, &self.y_parity_bits, &self.protected_bits];
        let bytes = [
            &self.block_tx_counts,
            &self.signatures,
            &self.tos,
            &self.datas,
            &self.nonces,
            &self.gases,
        ];
        bits.iter().map(|bits| bits.bytes.len()).sum::<usize>()
            + bytes.iter().map(|bytes| bytes.len()).sum::<usize>()
    }
}

/// A span batch that grows block by block. Adding a block costs in proportion to the block, not to
/// the span; a block that is refused leaves no trace.
#[derive(Clone, Debug)]
pub struct SpanBuilder {
    chain: SpanChain,
    parent_check: [u8; 20],
    l1_origin_check: [u8; 20],
    first_timestamp: u64,
    /// L1 origin of the last block, or of the first block's parent.
    l1_origin: u64,
    blocks: usize,
    columns: Columns,
}

impl SpanBuilder {
    /// An empty span, whose first block's parent has an L1 origin with this number.
    pub fn new(chain: SpanChain, parent_l1_origin: u64) -> Self {
        Self {
            chain,
            parent_check: [0; 20],
            l1_origin_check: [0; 20],
            first_timestamp: 0,
            l1_origin: parent_l1_origin,
            blocks: 0,
            columns: Columns::default(),
        }
    }

    /// Number of blocks.
    pub const fn block_count(&self) -> usize {
        self.blocks
    }

    /// Number of transactions.
    pub const fn tx_count(&self) -> usize {
        self.columns.creation_bits.length
    }

    /// Appends a block. That it builds on the one before is not checked: a span holds no hashes
    /// that would tell.
    ///
    /// # Errors
    /// When the block does not follow its predecessor in time and L1 origin, has a transaction
    /// without span batch form, or makes the span too large.
    pub fn push(&mut self, batch: &SingularBatch) -> Result<(), SpanEncodeError> {
        let advance = batch.epoch_num.checked_sub(self.l1_origin);
        let Some(advance @ (0 | 1)) = advance else {
            let (index, previous, found) = (self.blocks, self.l1_origin, batch.epoch_num);
            return Err(SpanEncodeError::Origin { index, previous, found });
        };
        self.push_block(batch.timestamp, advance == 1, &batch.transactions)?;
        if self.blocks == 1 {
            self.parent_check.copy_from_slice(&batch.parent_hash[..20]);
        }
        self.l1_origin = batch.epoch_num;
        self.l1_origin_check.copy_from_slice(&batch.epoch_hash[..20]);
        Ok(())
    }

    fn push_block(
        &mut self,
        timestamp: u64,
        origin_changes: bool,
        transactions: &[alloy_primitives::Bytes],
    ) -> Result<(), SpanEncodeError> {
        let index = self.blocks;
        let expected = match index {
            0 => timestamp.max(self.chain.genesis_time),
            _ => (index as u64)
                .saturating_mul(self.chain.block_time)
                .saturating_add(self.first_timestamp),
        };
        if timestamp != expected {
            return Err(SpanEncodeError::Timestamp { index, expected, found: timestamp });
        }
        let limit = MAX_SPAN_BATCH_ELEMENTS as usize;
        if index >= limit {
            return Err(SpanEncodeError::TooMany("blocks"));
        }
        if transactions.len() > limit - self.tx_count() {
            return Err(SpanEncodeError::TooMany("transactions"));
        }
        let mark = self.columns.mark();
        for (position, raw) in transactions.iter().enumerate() {
            let added = TxParts::split(raw, self.chain.chain_id)
                .and_then(|parts| self.columns.push(&parts));
            if let Err(error) = added {
                self.columns.truncate(&mark);
                return Err(SpanEncodeError::Transaction { block: index, index: position, error });
            }
        }
        self.columns.origin_bits.push(origin_changes);
        put_varint(transactions.len() as u64, &mut self.columns.block_tx_counts);
        if index == 0 {
            self.first_timestamp = timestamp;
        }
        self.blocks += 1;
        Ok(())
    }

    /// Appends a block if the span stays within `limit` bytes, as [`SpanBuilder::channel_len`]
    /// counts them; otherwise gives that length and leaves the span as it is.
    ///
    /// # Errors
    /// As [`SpanBuilder::push`].
    pub fn push_within(
        &mut self,
        batch: &SingularBatch,
        limit: usize,
    ) -> Result<Result<(), usize>, SpanEncodeError> {
        let mark = self.columns.mark();
        let checks = (self.parent_check, self.l1_origin_check);
        let before = (checks, self.first_timestamp, self.l1_origin);
        self.push(batch)?;
        let length = self.channel_len();
        if length <= limit {
            return Ok(Ok(()));
        }
        self.columns.truncate(&mark);
        self.blocks -= 1;
        (self.parent_check, self.l1_origin_check) = before.0;
        (self.first_timestamp, self.l1_origin) = (before.1, before.2);
        Ok(Err(length))
    }

    fn rel_timestamp(&self) -> u64 {
        self.first_timestamp.saturating_sub(self.chain.genesis_time)
    }

    /// Length of the body, in bytes.
    pub fn encoded_len(&self) -> usize {
        varint_len(self.rel_timestamp())
            + varint_len(self.l1_origin)
            + 40
            + varint_len(self.blocks as u64)
            + self.columns.encoded_len()
    }

    /// Length in a channel, in bytes: an RLP byte string of version byte and body.
    pub fn channel_len(&self) -> usize {
        let header = alloy_rlp::Header { list: false, payload_length: 1 + self.encoded_len() };
        header.length_with_payload()
    }

    /// The body, without the version byte.
    ///
    /// # Errors
    /// When there are no blocks.
    pub fn encode(&self) -> Result<Vec<u8>, SpanEncodeError> {
        let mut out = Vec::with_capacity(self.encoded_len());
        self.put(&mut out)?;
        Ok(out)
    }

    /// The batch as it stands in a channel: an RLP byte string of version byte and body.
    ///
    /// # Errors
    /// When there are no blocks.
    pub fn encode_for_channel(&self) -> Result<Vec<u8>, SpanEncodeError> {
        let mut out = Vec::with_capacity(self.channel_len());
        let payload_length = 1 + self.encoded_len();
        alloy_rlp::Header { list: false, payload_length }.encode(&mut out);
        out.push(SPAN_BATCH);
        self.put(&mut out)?;
        Ok(out)
    }

    fn put(&self, out: &mut Vec<u8>) -> Result<(), SpanEncodeError> {
        if self.blocks == 0 {
            return Err(SpanEncodeError::Empty);
        }
        let columns = &self.columns;
        put_varint(self.rel_timestamp(), out);
        put_varint(self.l1_origin, out);
        out.extend_from_slice(&self.parent_check);
        out.extend_from_slice(&self.l1_origin_check);
        put_varint(self.blocks as u64, out);
        columns.origin_bits.put(out);
        out.extend_from_slice(&columns.block_tx_counts);
        columns.creation_bits.put(out);
        columns.y_parity_bits.put(out);
        out.extend_from_slice(&columns.signatures);
        out.extend_from_slice(&columns.tos);
        out.extend_from_slice(&columns.datas);
        out.extend_from_slice(&columns.nonces);
        out.extend_from_slice(&columns.gases);
        columns.protected_bits.put(out);
        Ok(())
    }
}

/// Encodes consecutive blocks as the body of a span batch, without the version byte. The parent of
/// the first block has an L1 origin with the number `parent_l1_origin`.
///
/// # Errors
/// As [`SpanBuilder::push`], or when there are no blocks.
pub fn encode_span_batch(
    batches: &[SingularBatch],
    parent_l1_origin: u64,
    chain: SpanChain,
) -> Result<Vec<u8>, SpanEncodeError> {
    let mut span = SpanBuilder::new(chain, parent_l1_origin);
    batches.iter().try_for_each(|batch| span.push(batch))?;
    span.encode()
}

/// Encodes blocks as the body of a span batch, without the version byte. `first_origin_changes` says
/// whether the first block has another L1 origin than its parent. The two checks, of the parent's
/// hash and of the hash of the last L1 origin, are taken as they are, so that a span can be made that
/// fits no chain.
///
/// # Errors
/// When the blocks do not follow each other in time and L1 origin, or a transaction has no span
/// batch form.
pub fn encode_blocks(
    checks: ([u8; 20], [u8; 20]),
    blocks: impl IntoIterator<Item = SpanBlock>,
    chain: SpanChain,
    first_origin_changes: bool,
) -> Result<Vec<u8>, SpanEncodeError> {
    let mut span = SpanBuilder::new(chain, 0);
    for (index, block) in blocks.into_iter().enumerate() {
        let previous = span.l1_origin;
        let changes = match block.epoch_num.checked_sub(previous) {
            _ if index == 0 => first_origin_changes,
            Some(advance @ (0 | 1)) => advance == 1,
            _ => {
                let found = block.epoch_num;
                return Err(SpanEncodeError::Origin { index, previous, found });
            }
        };
        span.push_block(block.timestamp, changes, &block.transactions)?;
        span.l1_origin = block.epoch_num;
    }
    (span.parent_check, span.l1_origin_check) = checks;
    span.encode()
}

impl SpanBatch {
    /// Encodes the body again, without the version byte; as [`encode_blocks`].
    ///
    /// # Errors
    /// As [`encode_blocks`]: amounts that no transaction may have pass the decoder.
    pub fn encode(
        &self,
        chain: SpanChain,
        first_origin_changes: bool,
    ) -> Result<Vec<u8>, SpanEncodeError> {
        let checks = (*self.parent_check(), *self.l1_origin_check());
        encode_blocks(checks, self.blocks(), chain, first_origin_changes)
    }
}

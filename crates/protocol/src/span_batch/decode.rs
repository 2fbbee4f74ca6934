//! Span batches, from bytes to columns, and from columns to blocks.

use alloc::vec::Vec;
use core::ops::Range;

use alloy_primitives::Bytes;
use alloy_rlp::Header;

use super::transaction::{EXPLICIT_LEGACY, RAW_OVERHEAD, TxParts, cut};
use super::{MAX_SPAN_BATCH_ELEMENTS, SpanBatch, SpanBatchError, SpanBlock, SpanChain};

/// A bit list: a big-endian number, its lowest bit first in order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bits(Bytes);

impl Bits {
    fn get(&self, index: usize) -> bool {
        let byte = self.0.len().checked_sub(1 + index / 8).and_then(|at| self.0.get(at));
        byte.is_some_and(|byte| byte >> (index % 8) & 1 == 1)
    }

    fn count_ones(&self) -> u64 {
        self.0.iter().map(|byte| u64::from(byte.count_ones())).sum()
    }
}

/// Where a transaction's data list stands in the column of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TxData {
    kind: u8,
    /// Without the type byte.
    list: Range<usize>,
}

/// A span batch in columns, with the lengths of all columns checked. The columns share the memory
/// of what was decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawSpanBatch {
    /// Timestamp of the first block, counted from L2 genesis.
    pub rel_timestamp: u64,
    /// Number of the last block's L1 origin.
    pub l1_origin_num: u64,
    /// First 20 bytes of the first block's parent hash.
    pub parent_check: [u8; 20],
    /// First 20 bytes of the hash of the last block's L1 origin.
    pub l1_origin_check: [u8; 20],
    block_tx_counts: Vec<u32>,
    origin_bits: Bits,
    creation_bits: Bits,
    y_parity_bits: Bits,
    protected_bits: Bits,
    /// r and s, 64 bytes a transaction.
    signatures: Bytes,
    /// 20 bytes for each transaction that creates no contract.
    tos: Bytes,
    data_column: Bytes,
    datas: Vec<TxData>,
    nonces: Vec<u64>,
    gases: Vec<u64>,
}

/// Takes columns off the front of a body.
struct Columns<'a> {
    body: &'a Bytes,
    at: usize,
}

impl Columns<'_> {
    fn rest(&self) -> &[u8] {
        &self.body[self.at..]
    }

    fn bytes(&mut self, count: u64, what: &'static str) -> Result<Bytes, SpanBatchError> {
        let count = usize::try_from(count).map_err(|_| SpanBatchError::Truncated(what))?;
        if count > self.rest().len() {
            return Err(SpanBatchError::Truncated(what));
        }
        let out = self.body.slice(self.at..self.at + count);
        self.at += count;
        Ok(out)
    }

    fn check(&mut self, what: &'static str) -> Result<[u8; 20], SpanBatchError> {
        let mut out = [0; 20];
        out.copy_from_slice(&self.bytes(20, what)?);
        Ok(out)
    }

    /// An unsigned LEB128 number.
    fn varint(&mut self, what: &'static str) -> Result<u64, SpanBatchError> {
        let mut out = 0u64;
        for (i, byte) in self.rest().iter().take(10).enumerate() {
            // The tenth byte holds only the 64th bit.
            if i == 9 && *byte > 1 {
                return Err(SpanBatchError::Varint(what));
            }
            out |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.at += i + 1;
                return Ok(out);
            }
        }
        Err(SpanBatchError::Truncated(what))
    }

    fn varints(&mut self, count: usize, what: &'static str) -> Result<Vec<u64>, SpanBatchError> {
        // A number takes a byte at least, so the rest bounds what may be allocated.
        let mut out = Vec::with_capacity(count.min(self.rest().len()));
        for _ in 0..count {
            out.push(self.varint(what)?);
        }
        Ok(out)
    }

    fn bits(&mut self, length: u64, what: &'static str) -> Result<Bits, SpanBatchError> {
        let bytes = self.bytes(length.div_ceil(8), what)?;
        let spare = (8 - length % 8) % 8;
        if spare != 0 && bytes[0] >> (8 - spare) != 0 {
            return Err(SpanBatchError::Bits(what));
        }
        Ok(Bits(bytes))
    }

    /// A transaction's type byte, unless it is a legacy one, and its RLP list with header.
    fn tx_data(&mut self, index: usize) -> Result<TxData, SpanBatchError> {
        let what = "transaction data";
        let first = *self.rest().first().ok_or(SpanBatchError::Truncated(what))?;
        let kind = if first <= 0x7f {
            self.at += 1;
            if first == 0 { EXPLICIT_LEGACY } else { first }
        } else {
            0
        };
        let start = self.at;
        let mut rest = self.rest();
        let before = rest.len();
        let header =
            Header::decode(&mut rest).map_err(|error| SpanBatchError::TxData { index, error })?;
        if !header.list {
            let error = alloy_rlp::Error::UnexpectedString;
            return Err(SpanBatchError::TxData { index, error });
        }
        // A length was checked against the rest when its header was decoded.
        let length = (before - rest.len()).saturating_add(header.payload_length);
        if length as u64 > MAX_SPAN_BATCH_ELEMENTS {
            return Err(SpanBatchError::TooMany { what, count: length as u64 });
        }
        if length > before {
            return Err(SpanBatchError::Truncated(what));
        }
        self.at += length;
        Ok(TxData { kind, list: start..self.at })
    }
}

fn limited(count: u64, what: &'static str) -> Result<u64, SpanBatchError> {
    if count > MAX_SPAN_BATCH_ELEMENTS {
        Err(SpanBatchError::TooMany { what, count })
    } else {
        Ok(count)
    }
}

impl RawSpanBatch {
    /// Decodes the body that follows the version byte. Memory stays in proportion to the body,
    /// whatever it claims. Bytes after the last column are ignored, as the reference
    /// implementation does.
    ///
    /// # Errors
    /// When the body is malformed.
    pub fn decode(body: &Bytes) -> Result<Self, SpanBatchError> {
        let mut columns = Columns { body, at: 0 };
        let rel_timestamp = columns.varint("rel_timestamp")?;
        let l1_origin_num = columns.varint("l1_origin_num")?;
        let parent_check = columns.check("parent_check")?;
        let l1_origin_check = columns.check("l1_origin_check")?;

        let block_count = limited(columns.varint("block_count")?, "blocks")?;
        if block_count == 0 {
            return Err(SpanBatchError::Empty);
        }
        let origin_bits = columns.bits(block_count, "origin_bits")?;
        let mut total = 0u64;
        let mut block_tx_counts =
            Vec::with_capacity((block_count as usize).min(columns.rest().len()));
        for _ in 0..block_count {
            let count = limited(columns.varint("block_tx_counts")?, "transactions of a block")?;
            // At most 10^7 times 10^7.
            total += count;
            block_tx_counts.push(count as u32);
        }
        limited(total, "transactions")?;

        let creation_bits = columns.bits(total, "contract_creation_bits")?;
        let y_parity_bits = columns.bits(total, "y_parity_bits")?;
        let signatures = columns.bytes(64 * total, "tx_sigs")?;
        let recipients = total - creation_bits.count_ones();
        let tos = columns.bytes(20 * recipients, "tx_tos")?;
        // 64 bytes of signature for each were there, so this is bounded by the body.
        let count = total as usize;
        let mut datas = Vec::with_capacity(count);
        let mut legacy = 0;
        let start = columns.at;
        for index in 0..count {
            let mut data = columns.tx_data(index)?;
            legacy += u64::from(matches!(data.kind, 0 | EXPLICIT_LEGACY));
            data.list = data.list.start - start..data.list.end - start;
            datas.push(data);
        }
        let data_column = body.slice(start..columns.at);
        let nonces = columns.varints(count, "tx_nonces")?;
        let gases = columns.varints(count, "tx_gases")?;
        let protected_bits = columns.bits(legacy, "protected_bits")?;
        Ok(Self {
            rel_timestamp,
            l1_origin_num,
            parent_check,
            l1_origin_check,
            block_tx_counts,
            origin_bits,
            creation_bits,
            y_parity_bits,
            protected_bits,
            signatures,
            tos,
            data_column,
            datas,
            nonces,
            gases,
        })
    }

    /// Number of blocks.
    pub fn block_count(&self) -> usize {
        self.block_tx_counts.len()
    }

    /// Number of transactions.
    pub fn tx_count(&self) -> usize {
        self.datas.len()
    }

    /// Whether the first block claims another L1 origin than its parent. Derivation finds out by
    /// the parent itself and does not look at this bit.
    pub fn first_origin_changes(&self) -> bool {
        self.origin_bits.get(0)
    }

    /// Puts blocks and transactions together. The transactions of one block share their memory.
    ///
    /// # Errors
    /// When a transaction has a type without span batch form, or not the fields of its type.
    pub fn into_span(
        self,
        block_time: u64,
        genesis_time: u64,
        chain_id: u64,
    ) -> Result<SpanBatch, SpanBatchError> {
        self.to_span(&SpanChain { block_time, genesis_time, chain_id })
    }

    fn to_span(&self, chain: &SpanChain) -> Result<SpanBatch, SpanBatchError> {
        let changes = self.origin_bits.count_ones() - u64::from(self.first_origin_changes());
        // A chain of origins that begins before block zero matches no L1; the check of the origins
        // drops it.
        let mut epoch_num = self.l1_origin_num.wrapping_sub(changes);
        let mut transactions = Transactions::new(self, chain.chain_id);
        let mut blocks = Vec::with_capacity(self.block_count());
        for (i, count) in self.block_tx_counts.iter().enumerate() {
            if i > 0 && self.origin_bits.get(i) {
                epoch_num = epoch_num.wrapping_add(1);
            }
            // In 64 bits that wrap, as the reference implementation computes it: what begins in the
            // far future is for the batch stage to drop, which then drops the channel, too.
            let timestamp = (i as u64)
                .wrapping_mul(chain.block_time)
                .wrapping_add(chain.genesis_time)
                .wrapping_add(self.rel_timestamp);
            let transactions = transactions.next_block(*count as usize)?;
            blocks.push(SpanBlock { epoch_num, timestamp, transactions });
        }
        SpanBatch::new(self.parent_check, self.l1_origin_check, blocks).ok_or(SpanBatchError::Empty)
    }
}

/// Puts the transactions of a span together, block by block.
struct Transactions<'a> {
    raw: &'a RawSpanBatch,
    chain_id: u64,
    next: usize,
    recipients: core::slice::ChunksExact<'a, u8>,
    legacy: usize,
}

impl<'a> Transactions<'a> {
    fn new(raw: &'a RawSpanBatch, chain_id: u64) -> Self {
        Self { raw, chain_id, next: 0, recipients: raw.tos.chunks_exact(20), legacy: 0 }
    }

    fn next_block(&mut self, count: usize) -> Result<Vec<Bytes>, SpanBatchError> {
        // The sum of the counts is the number of transactions.
        let range = self.next..(self.next + count).min(self.raw.datas.len());
        let Some((first, last)) =
            self.raw.datas[range.clone()].first().zip(self.raw.datas[range.clone()].last())
        else {
            return Ok(Vec::new());
        };
        let data_length = last.list.end - first.list.start;
        let mut buffer = Vec::with_capacity(data_length + count * RAW_OVERHEAD);
        let mut ends = Vec::with_capacity(count);
        for index in range.clone() {
            self.put(index, &mut buffer)?;
            ends.push(buffer.len());
        }
        self.next = range.end;
        Ok(cut(buffer, &ends))
    }

    fn put(&mut self, index: usize, out: &mut Vec<u8>) -> Result<(), SpanBatchError> {
        let raw = self.raw;
        let TxData { kind, list } = &raw.datas[index];
        let to = if raw.creation_bits.get(index) {
            None
        } else {
            // As many were decoded as there are unset bits.
            self.recipients.next()
        };
        let protected = *kind != 0 || raw.protected_bits.get(self.legacy);
        self.legacy += usize::from(*kind == 0);
        let (r, s) = raw.signatures[64 * index..64 * (index + 1)].split_at(32);
        let y_parity = raw.y_parity_bits.get(index);
        let (nonce, gas) = (raw.nonces[index], raw.gases[index]);
        TxParts::of_columns(*kind, nonce, gas, to, y_parity, protected, r, s)
            .with_data(&raw.data_column[list.clone()])
            .map_err(|error| SpanBatchError::Transaction { index, error })?
            .put_raw(self.chain_id, out);
        Ok(())
    }
}

//! Span batches, from bytes to columns.

use alloy_primitives::Bytes;
use alloy_rlp::Header;

use super::transaction::{EXPLICIT_LEGACY, SpanTxError, check_data};
use super::{MAX_SPAN_BATCH_ELEMENTS, SpanBatch, SpanBatchError, SpanChain};

/// Where the columns stand in the body: their first bytes, or the end of a bit list, whose lowest
/// bit is the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// End of the origin bits; here the transaction counts begin.
    pub(super) counts: usize,
    pub(super) creations_end: usize,
    /// End of the parity bits; here r and s begin, 64 bytes a transaction.
    pub(super) signatures: usize,
    /// 20 bytes for each transaction that creates no contract.
    pub(super) tos: usize,
    pub(super) datas: usize,
    pub(super) nonces: usize,
    pub(super) gases: usize,
}

/// A span batch in columns, all of them checked. They share the memory of what was decoded.
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
    /// The body, up to the end of its last column, the protected bits.
    pub(super) body: Bytes,
    pub(super) places: Places,
    blocks: usize,
    transactions: usize,
    /// How many blocks but for the first have another L1 origin than their parent.
    later_changes: u64,
    /// Whether there are set-code transactions.
    pub(super) set_code: bool,
    /// The first transaction that cannot be put together.
    fault: Option<(usize, SpanTxError)>,
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

    fn bytes(&mut self, count: u64, what: &'static str) -> Result<&[u8], SpanBatchError> {
        let count = usize::try_from(count).map_err(|_| SpanBatchError::Truncated(what))?;
        if count > self.rest().len() {
            return Err(SpanBatchError::Truncated(what));
        }
        self.at += count;
        Ok(&self.body[self.at - count..self.at])
    }

    fn check(&mut self, what: &'static str) -> Result<[u8; 20], SpanBatchError> {
        let mut out = [0; 20];
        out.copy_from_slice(self.bytes(20, what)?);
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

    /// A bit list; gives how many bits are set.
    fn bits(&mut self, length: u64, what: &'static str) -> Result<u64, SpanBatchError> {
        let bytes = self.bytes(length.div_ceil(8), what)?;
        let spare = (8 - length % 8) % 8;
        if spare != 0 && bytes[0] >> (8 - spare) != 0 {
            return Err(SpanBatchError::Bits(what));
        }
        Ok(bytes.iter().map(|byte| u64::from(byte.count_ones())).sum())
    }

    /// A transaction's type, and its RLP list with header.
    fn tx_data(&mut self, index: usize) -> Result<(u8, &[u8]), SpanBatchError> {
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
        Ok((kind, &self.body[start..self.at]))
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
    /// Decodes the body that follows the version byte. Takes no memory but that of the body, whatever
    /// that claims. Bytes after the last column are ignored, as the reference implementation does.
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
        let changes = columns.bits(block_count, "origin_bits")?;
        let mut places = Places { counts: columns.at, ..Places::default() };
        let later_changes = changes - u64::from(bit(body, places.counts, 0));
        let mut total = 0u64;
        for _ in 0..block_count {
            // At most 10^7 times 10^7.
            total += limited(columns.varint("block_tx_counts")?, "transactions of a block")?;
        }
        limited(total, "transactions")?;

        let creations = columns.bits(total, "contract_creation_bits")?;
        places.creations_end = columns.at;
        columns.bits(total, "y_parity_bits")?;
        places.signatures = columns.at;
        columns.bytes(64 * total, "tx_sigs")?;
        places.tos = columns.at;
        columns.bytes(20 * (total - creations), "tx_tos")?;
        places.datas = columns.at;
        let transactions = total as usize;
        let (mut legacy, mut set_code, mut fault) = (0, false, None);
        for index in 0..transactions {
            let creates = bit(body, places.creations_end, index);
            let (kind, data) = columns.tx_data(index)?;
            legacy += u64::from(matches!(kind, 0 | EXPLICIT_LEGACY));
            set_code |= kind == SET_CODE;
            if fault.is_none() {
                fault = check_data(kind, creates, data).err().map(|error| (index, error));
            }
        }
        places.nonces = columns.at;
        for _ in 0..transactions {
            columns.varint("tx_nonces")?;
        }
        places.gases = columns.at;
        for _ in 0..transactions {
            columns.varint("tx_gases")?;
        }
        columns.bits(legacy, "protected_bits")?;
        let body = body.slice(..columns.at);
        Ok(Self {
            rel_timestamp,
            l1_origin_num,
            parent_check,
            l1_origin_check,
            body,
            places,
            blocks: block_count as usize,
            transactions,
            later_changes,
            set_code,
            fault,
        })
    }

    /// Number of blocks, at least one.
    pub const fn block_count(&self) -> usize {
        self.blocks
    }

    /// Number of transactions.
    pub const fn tx_count(&self) -> usize {
        self.transactions
    }

    /// Whether the first block claims another L1 origin than its parent. Derivation finds out by
    /// the parent itself and does not look at this bit.
    pub fn first_origin_changes(&self) -> bool {
        bit(&self.body, self.places.counts, 0)
    }

    /// Number of the first block's L1 origin. A chain of origins that begins before block zero
    /// wraps and matches no L1; the check of the origins drops it.
    pub(super) const fn first_epoch(&self) -> u64 {
        self.l1_origin_num.wrapping_sub(self.later_changes)
    }

    /// Gives the columns the meaning that they have on a chain: blocks and their transactions.
    ///
    /// # Errors
    /// When a transaction has a type without span batch form, or not the fields of its type.
    pub fn into_span(
        self,
        block_time: u64,
        genesis_time: u64,
        chain_id: u64,
    ) -> Result<SpanBatch, SpanBatchError> {
        match self.fault {
            Some((index, error)) => Err(SpanBatchError::Transaction { index, error }),
            None => Ok(SpanBatch::new(self, SpanChain { block_time, genesis_time, chain_id })),
        }
    }
}

/// EIP-2718 type of set-code transactions (EIP-7702).
pub(super) const SET_CODE: u8 = 4;

/// A bit of a list that ends at `end`: a big-endian number, its lowest bit first in order.
pub(super) fn bit(body: &[u8], end: usize, index: usize) -> bool {
    let byte = end.checked_sub(1 + index / 8).and_then(|at| body.get(at));
    byte.is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

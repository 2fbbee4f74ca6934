//! Span batches: a range of L2 blocks, stored in columns so that it compresses well.
//!
//! ```text
//! span    = rel_timestamp ++ l1_origin_num ++ parent_check ++ l1_origin_check ++ payload
//! payload = block_count ++ origin_bits ++ block_tx_counts ++ txs
//! txs     = contract_creation_bits ++ y_parity_bits ++ tx_sigs ++ tx_tos ++ tx_datas
//!           ++ tx_nonces ++ tx_gases ++ protected_bits
//! ```
//! Decoding has two steps, because their errors have different consequences: a body that cannot be
//! parsed ends its channel, one whose transactions cannot be put together is dropped alone. Spec:
//! `delta/span-batches.md`.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rlp::{Decodable, Encodable, Header};

/// Most blocks, and most transactions, that a span batch may hold; also the most bytes of one
/// transaction's data.
pub const MAX_SPAN_BATCH_ELEMENTS: u64 = 10_000_000;

/// Why a span batch cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanBatchError {
    /// The data ends early.
    #[error("data ends within {0}")]
    Truncated(&'static str),
    /// A number of more than 64 bits.
    #[error("number in {0} has more than 64 bits")]
    Varint(&'static str),
    /// No blocks.
    #[error("no blocks")]
    Empty,
    /// More elements than allowed.
    #[error("{what}: {count} exceeds the limit of 10000000")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many were claimed.
        count: u64,
    },
    /// Bits set beyond the length of a bit list.
    #[error("{0} has bits beyond its length")]
    Bits(&'static str),
    /// The data of a transaction is no RLP list.
    #[error("data of transaction {index}: {error}")]
    TxData {
        /// Position of the transaction.
        index: usize,
        /// What is wrong.
        error: alloy_rlp::Error,
    },
    /// A transaction type that has no span batch form.
    #[error("transaction {index} has type {kind}")]
    TxType {
        /// Position of the transaction.
        index: usize,
        /// EIP-2718 type.
        kind: u8,
    },
    /// A set-code transaction that creates a contract.
    #[error("set-code transaction {0} has no recipient")]
    NoRecipient(usize),
    /// Timestamps beyond 64 bits.
    #[error("timestamp overflows")]
    Timestamp,
}

/// A bit list: a big-endian number, its lowest bit first in order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bits(Bytes);

impl Bits {
    fn get(&self, index: usize) -> bool {
        let byte = self.0.len().checked_sub(1 + index / 8).and_then(|at| self.0.get(at));
        byte.is_some_and(|byte| byte >> (index % 8) & 1 == 1)
    }

    fn count_ones(&self) -> usize {
        self.0.iter().map(|byte| byte.count_ones() as usize).sum()
    }
}

/// A span batch in columns, with the lengths of all columns checked.
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
    /// Type and RLP list of each transaction.
    datas: Vec<(u8, Bytes)>,
    nonces: Vec<u64>,
    gases: Vec<u64>,
}

/// One L2 block of a span batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanBlock {
    /// Number of the L1 origin.
    pub epoch_num: u64,
    /// Timestamp, in seconds.
    pub timestamp: u64,
    /// Raw EIP-2718 transactions, without deposits.
    pub transactions: Vec<Bytes>,
}

/// A span batch, its transactions put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanBatch {
    /// First 20 bytes of the first block's parent hash.
    pub parent_check: [u8; 20],
    /// First 20 bytes of the hash of the last block's L1 origin.
    pub l1_origin_check: [u8; 20],
    /// The blocks; never empty.
    blocks: Vec<SpanBlock>,
}

impl SpanBatch {
    /// A span of blocks; `None` if there are none.
    pub fn new(
        parent_check: [u8; 20],
        l1_origin_check: [u8; 20],
        blocks: Vec<SpanBlock>,
    ) -> Option<Self> {
        (!blocks.is_empty()).then_some(Self { parent_check, l1_origin_check, blocks })
    }

    /// The blocks, in order.
    pub fn blocks(&self) -> &[SpanBlock] {
        &self.blocks
    }

    /// The first block. The constructor refuses an empty span.
    pub fn first(&self) -> &SpanBlock {
        &self.blocks[0]
    }

    /// The last block.
    pub fn last(&self) -> &SpanBlock {
        &self.blocks[self.blocks.len() - 1]
    }

    /// Whether the span claims to build on the block with this hash.
    pub fn matches_parent(&self, hash: &B256) -> bool {
        hash[..20] == self.parent_check
    }

    /// Whether the last block's L1 origin claims to have this hash.
    pub fn matches_origin(&self, hash: &B256) -> bool {
        hash[..20] == self.l1_origin_check
    }

    /// Consumes the span.
    pub fn into_blocks(self) -> Vec<SpanBlock> {
        self.blocks
    }
}

/// What a type byte of zero decodes to. It counts among the legacy transactions, but a transaction
/// cannot be made of it.
const EXPLICIT_LEGACY: u8 = 0x80;

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
        for i in 0..10 {
            let byte = *self.rest().first().ok_or(SpanBatchError::Truncated(what))?;
            self.at += 1;
            // The tenth byte holds only the 64th bit.
            if i == 9 && byte > 1 {
                return Err(SpanBatchError::Varint(what));
            }
            out |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                return Ok(out);
            }
        }
        Err(SpanBatchError::Varint(what))
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
    fn tx_data(&mut self, index: usize) -> Result<(u8, Bytes), SpanBatchError> {
        let first = *self.rest().first().ok_or(SpanBatchError::Truncated("transaction data"))?;
        let kind = if first <= 0x7f {
            self.at += 1;
            if first == 0 { EXPLICIT_LEGACY } else { first }
        } else {
            0
        };
        let mut rest = self.rest();
        let before = rest.len();
        let header =
            Header::decode(&mut rest).map_err(|error| SpanBatchError::TxData { index, error })?;
        if !header.list {
            let error = alloy_rlp::Error::UnexpectedString;
            return Err(SpanBatchError::TxData { index, error });
        }
        let length = (before - rest.len() + header.payload_length) as u64;
        if length > MAX_SPAN_BATCH_ELEMENTS {
            return Err(SpanBatchError::TooMany { what: "transaction data", count: length });
        }
        Ok((kind, self.bytes(length, "transaction data")?))
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
        let recipients = total - creation_bits.count_ones() as u64;
        let tos = columns.bytes(20 * recipients, "tx_tos")?;
        // 64 bytes of signature for each were there, so this is bounded by the body.
        let count = total as usize;
        let mut datas = Vec::with_capacity(count);
        for index in 0..count {
            datas.push(columns.tx_data(index)?);
        }
        let nonces = columns.varints(count, "tx_nonces")?;
        let gases = columns.varints(count, "tx_gases")?;
        let legacy =
            datas.iter().filter(|(kind, _)| matches!(*kind, 0 | EXPLICIT_LEGACY)).count() as u64;
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

    /// Puts blocks and transactions together.
    ///
    /// # Errors
    /// When a transaction has a type without span batch form, or not the fields of its type.
    pub fn into_span(
        self,
        block_time: u64,
        genesis_time: u64,
        chain_id: u64,
    ) -> Result<SpanBatch, SpanBatchError> {
        let count = self.block_count();
        let mut epochs = alloc::vec![0; count];
        let mut epoch = self.l1_origin_num;
        for (i, slot) in epochs.iter_mut().enumerate().rev() {
            *slot = epoch;
            if i > 0 && self.origin_bits.get(i) {
                // A chain of origins that begins before block zero matches no L1; the check of
                // the origins drops it.
                epoch = epoch.wrapping_sub(1);
            }
        }
        let mut transactions = self.transactions(chain_id)?.into_iter();
        let mut blocks = Vec::with_capacity(count);
        for (i, (epoch_num, txs)) in epochs.into_iter().zip(&self.block_tx_counts).enumerate() {
            let timestamp = (i as u64)
                .checked_mul(block_time)
                .and_then(|t| t.checked_add(genesis_time)?.checked_add(self.rel_timestamp))
                .ok_or(SpanBatchError::Timestamp)?;
            let transactions = transactions.by_ref().take(*txs as usize).collect();
            blocks.push(SpanBlock { epoch_num, timestamp, transactions });
        }
        SpanBatch::new(self.parent_check, self.l1_origin_check, blocks).ok_or(SpanBatchError::Empty)
    }

    fn transactions(&self, chain_id: u64) -> Result<Vec<Bytes>, SpanBatchError> {
        let mut out = Vec::with_capacity(self.tx_count());
        let mut recipients = self.tos.chunks_exact(20);
        let mut legacy = 0;
        for (index, (kind, data)) in self.datas.iter().enumerate() {
            let to = if self.creation_bits.get(index) {
                None
            } else {
                // As many were decoded as there are unset bits.
                recipients.next().map(Address::from_slice)
            };
            let y_parity = self.y_parity_bits.get(index);
            let v = if *kind == 0 {
                let protected = self.protected_bits.get(legacy);
                legacy += 1;
                // EIP-155: the chain id may have all 64 bits, so twice it does not fit them.
                if protected {
                    U256::from(chain_id) * U256::from(2) + U256::from(35)
                } else {
                    U256::from(27)
                }
            } else {
                U256::ZERO
            } + U256::from(y_parity as u8);
            let signature = &self.signatures[64 * index..64 * (index + 1)];
            let tx = Columnar {
                index,
                kind: *kind,
                data,
                nonce: self.nonces[index],
                gas: self.gases[index],
                to,
                v,
                r: U256::from_be_slice(&signature[..32]),
                s: U256::from_be_slice(&signature[32..]),
            };
            out.push(tx.assemble(chain_id)?);
        }
        Ok(out)
    }
}

/// One transaction, gathered from the columns.
struct Columnar<'a> {
    index: usize,
    kind: u8,
    data: &'a [u8],
    nonce: u64,
    gas: u64,
    to: Option<Address>,
    v: U256,
    r: U256,
    s: U256,
}

impl Columnar<'_> {
    /// Writes the raw transaction: the fields of the data list in their places among those of the
    /// columns, byte for byte.
    fn assemble(&self, chain_id: u64) -> Result<Bytes, SpanBatchError> {
        let malformed = |error| SpanBatchError::TxData { index: self.index, error };
        let fields = Fields::split(self.data, self.kind).map_err(|error| match error {
            FieldsError::Rlp(error) => malformed(error),
            FieldsError::Kind => SpanBatchError::TxType { index: self.index, kind: self.kind },
        })?;
        if self.kind == 4 && self.to.is_none() {
            return Err(SpanBatchError::NoRecipient(self.index));
        }
        let mut body = Vec::with_capacity(self.data.len() + 160);
        if self.kind != 0 {
            chain_id.encode(&mut body);
        }
        self.nonce.encode(&mut body);
        body.extend_from_slice(fields.fees);
        self.gas.encode(&mut body);
        match &self.to {
            Some(to) => to.encode(&mut body),
            None => body.push(alloy_rlp::EMPTY_STRING_CODE),
        }
        body.extend_from_slice(fields.value);
        body.extend_from_slice(fields.rest);
        self.v.encode(&mut body);
        self.r.encode(&mut body);
        self.s.encode(&mut body);
        let header = Header { list: true, payload_length: body.len() };
        let mut out = Vec::with_capacity(1 + header.length() + body.len());
        if self.kind != 0 {
            out.push(self.kind);
        }
        header.encode(&mut out);
        out.extend_from_slice(&body);
        Ok(out.into())
    }
}

enum FieldsError {
    Rlp(alloy_rlp::Error),
    Kind,
}

impl From<alloy_rlp::Error> for FieldsError {
    fn from(error: alloy_rlp::Error) -> Self {
        Self::Rlp(error)
    }
}

/// The fields of a transaction's data list, still encoded. In the list the value comes first, in
/// the transaction the fees do.
struct Fields<'a> {
    value: &'a [u8],
    /// Gas price, or priority fee and fee cap.
    fees: &'a [u8],
    /// Calldata, and from type 1 on the access list, and in type 4 the authorizations.
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn split(data: &'a [u8], kind: u8) -> Result<Self, FieldsError> {
        let mut list = data;
        let payload = Header::decode_bytes(&mut list, true)?;
        let mut at = payload;
        // The reference implementation keeps set-code numbers in 256 bits, those of older types in
        // numbers of any size: such a transaction passes here and fails in execution.
        let number = if kind == 4 { number_256 } else { number };
        let value = take(&mut at, number)?;
        let start = at;
        match kind {
            0 | 1 => {
                take(&mut at, number)?;
            }
            2 | 4 => {
                take(&mut at, number)?;
                take(&mut at, number)?;
            }
            _ => return Err(FieldsError::Kind),
        }
        let fees = &start[..start.len() - at.len()];
        let start = at;
        take(&mut at, |buf| Header::decode_bytes(buf, false).map(|_| ()))?;
        if kind >= 1 {
            take(&mut at, |buf| alloy_eips::eip2930::AccessList::decode(buf).map(|_| ()))?;
        }
        if kind == 4 {
            take(&mut at, |buf| {
                Vec::<alloy_eips::eip7702::SignedAuthorization>::decode(buf).map(|_| ())
            })?;
        }
        if !at.is_empty() {
            return Err(alloy_rlp::Error::UnexpectedLength.into());
        }
        Ok(Self { value, fees, rest: start })
    }
}

/// A number of any size in canonical form.
fn number(buf: &mut &[u8]) -> alloy_rlp::Result<()> {
    match Header::decode_bytes(buf, false)?.first() {
        Some(0) => Err(alloy_rlp::Error::LeadingZero),
        _ => Ok(()),
    }
}

/// A number of at most 256 bits in canonical form.
fn number_256(buf: &mut &[u8]) -> alloy_rlp::Result<()> {
    U256::decode(buf).map(|_| ())
}

/// The encoding of one item, which `check` must accept and consume.
fn take<'a>(
    at: &mut &'a [u8],
    check: impl FnOnce(&mut &'a [u8]) -> alloy_rlp::Result<()>,
) -> alloy_rlp::Result<&'a [u8]> {
    let start = *at;
    check(at)?;
    Ok(&start[..start.len() - at.len()])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn varint(mut n: u64, out: &mut Vec<u8>) {
        while n >= 0x80 {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
    }

    /// A prefix, and the number of blocks.
    fn head(blocks: u64) -> Vec<u8> {
        let mut out = alloc::vec![5, 9];
        out.extend_from_slice(&[7; 40]);
        varint(blocks, &mut out);
        out
    }

    fn decode(body: Vec<u8>) -> Result<RawSpanBatch, SpanBatchError> {
        RawSpanBatch::decode(&body.into())
    }

    /// One block with one transaction, which creates nothing and has this data.
    fn one_tx(data: &[u8], protected: &[u8]) -> Vec<u8> {
        let mut out = head(1);
        out.extend_from_slice(&[1, 1, 0, 0]);
        out.extend_from_slice(&[1; 64]);
        out.extend_from_slice(&[2; 20]);
        out.extend_from_slice(data);
        out.extend_from_slice(&[3, 4]);
        out.extend_from_slice(protected);
        out
    }

    #[test]
    fn claims_cost_nothing() {
        assert_eq!(decode(head(0)), Err(SpanBatchError::Empty));
        for count in [10_000_001, 1 << 63, u64::MAX] {
            assert_eq!(decode(head(count)), Err(SpanBatchError::TooMany { what: "blocks", count }));
        }
        assert_eq!(decode(head(10_000_000)), Err(SpanBatchError::Truncated("origin_bits")));
        let mut body = head(1);
        body.push(0);
        varint(10_000_000, &mut body);
        assert_eq!(decode(body), Err(SpanBatchError::Truncated("contract_creation_bits")));
        let mut body = head(2);
        body.push(0);
        varint(10_000_000, &mut body);
        varint(1, &mut body);
        let count = 10_000_001;
        assert_eq!(decode(body), Err(SpanBatchError::TooMany { what: "transactions", count }));
        let mut body = head(1);
        *body.last_mut().unwrap() = 0xff;
        body.extend_from_slice(&[0xff; 9]);
        assert_eq!(decode(body), Err(SpanBatchError::Varint("block_count")));
    }

    #[test]
    fn bits_beyond_the_length_are_refused() {
        for (bits, ok) in [(0b111, true), (0b1000, false)] {
            let mut body = head(3);
            body.extend_from_slice(&[bits, 0, 0, 0]);
            assert_eq!(decode(body).is_ok(), ok);
        }
    }

    #[test]
    fn a_protected_legacy_signature_fits_any_chain_id() {
        // value 1, gas price 2, no data.
        let raw = decode(one_tx(&[0xc3, 1, 2, 0x80], &[1])).unwrap();
        let span = raw.into_span(2, 100, u64::MAX).unwrap();
        assert_eq!((span.first().timestamp, span.first().epoch_num), (105, 9));
        let tx = &span.first().transactions[0];
        let v: U256 = U256::from(u64::MAX) * U256::from(2) + U256::from(35);
        let mut encoded = Vec::new();
        v.encode(&mut encoded);
        assert!(tx.windows(encoded.len()).any(|window| window == encoded));
    }

    #[test]
    fn transactions_that_cannot_be_put_together_drop_the_span_alone() {
        for data in [&[3, 0xc0][..], &[0, 0xc3, 1, 2, 0x80], &[0xc2, 1, 2], &[4, 0xc0]] {
            let raw = decode(one_tx(data, &[0])).unwrap();
            assert!(raw.into_span(2, 0, 1).is_err(), "{data:?}");
        }
        assert!(decode(one_tx(&[0x82, 1, 2], &[0])).is_err(), "not a list");
        assert!(decode(one_tx(&[2, 0xfb, 0xff, 0xff, 0xff, 0xff], &[0])).is_err(), "too long");
    }
}

//! The blocks of a span batch, made out of its columns one at a time.

use alloc::vec::Vec;

use alloy_primitives::{B256, Bytes};
use alloy_rlp::Header;

use super::decode::{SET_CODE, bit};
use super::transaction::{RAW_OVERHEAD, TxParts, cut};
use super::{RawSpanBatch, SpanBlock, SpanChain};

/// A span batch on its chain, all transactions of which can be put together. It holds its columns
/// and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanBatch {
    raw: RawSpanBatch,
    chain: SpanChain,
}

/// A place between the blocks of a span: what was read of each column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanPosition {
    block: usize,
    /// L1 origin of the block before, or of the first one.
    epoch_num: u64,
    tx: usize,
    legacy: usize,
    // The rest are places in the body.
    counts: usize,
    tos: usize,
    datas: usize,
    nonces: usize,
    gases: usize,
}

/// One block of a span, without its transactions.
#[derive(Clone, Copy, Debug)]
pub struct SpanHead<'a> {
    /// Number of the L1 origin.
    pub epoch_num: u64,
    /// Timestamp, in seconds.
    pub timestamp: u64,
    /// Number of transactions.
    pub tx_count: usize,
    span: &'a SpanBatch,
    /// Before the first of them, if the span has set-code transactions.
    at: SpanPosition,
}

impl SpanHead<'_> {
    /// Position of the first set-code transaction in the block.
    pub fn set_code_at(&self) -> Option<usize> {
        let mut at = self.at;
        (0..self.tx_count)
            .filter(|_| self.span.raw.set_code)
            .find(|_| self.span.take_parts(&mut at).is_some_and(|(tx, _)| tx.kind == SET_CODE))
    }
}

/// An unsigned LEB128 number, which was checked.
fn varint(body: &[u8], at: &mut usize) -> Option<u64> {
    let (mut out, mut shift) = (0, 0);
    loop {
        let byte = *body.get(*at)?;
        *at += 1;
        out |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(out);
        }
        shift += 7;
    }
}

/// A transaction's type, and where its data list is.
fn data(body: &[u8], at: &mut usize) -> Option<(u8, core::ops::Range<usize>)> {
    let first = *body.get(*at)?;
    let typed = first <= 0x7f;
    let start = *at + usize::from(typed);
    let mut rest = body.get(start..)?;
    let before = rest.len();
    let header = Header::decode(&mut rest).ok()?;
    *at = start + (before - rest.len()) + header.payload_length;
    Some((if typed { first } else { 0 }, start..*at))
}

// All that is read below was read once when the columns were decoded, so nothing ends early: the
// `None` of the readers do not occur but at the end of the span.
impl SpanBatch {
    pub(super) const fn new(raw: RawSpanBatch, chain: SpanChain) -> Self {
        Self { raw, chain }
    }

    /// Number of blocks, at least one.
    pub const fn block_count(&self) -> usize {
        self.raw.block_count()
    }

    /// First 20 bytes of the first block's parent hash.
    pub const fn parent_check(&self) -> &[u8; 20] {
        &self.raw.parent_check
    }

    /// First 20 bytes of the hash of the last block's L1 origin.
    pub const fn l1_origin_check(&self) -> &[u8; 20] {
        &self.raw.l1_origin_check
    }

    /// Whether the span claims to build on the block with this hash.
    pub fn matches_parent(&self, hash: &B256) -> bool {
        hash[..20] == self.raw.parent_check
    }

    /// Whether the last block's L1 origin claims to have this hash.
    pub fn matches_origin(&self, hash: &B256) -> bool {
        hash[..20] == self.raw.l1_origin_check
    }

    /// Number of the first block's L1 origin.
    pub const fn first_epoch(&self) -> u64 {
        self.raw.first_epoch()
    }

    /// Number of the last block's L1 origin.
    pub const fn last_epoch(&self) -> u64 {
        self.raw.l1_origin_num
    }

    /// Timestamp of the first block, in seconds.
    pub const fn first_timestamp(&self) -> u64 {
        self.timestamp(0)
    }

    /// Timestamp of the last block, in seconds.
    pub const fn last_timestamp(&self) -> u64 {
        self.timestamp(self.raw.block_count() - 1)
    }

    /// In 64 bits that wrap, as the reference implementation computes it: what begins in the far
    /// future is for the batch stage to drop, which then drops the channel, too.
    const fn timestamp(&self, block: usize) -> u64 {
        (block as u64)
            .wrapping_mul(self.chain.block_time)
            .wrapping_add(self.chain.genesis_time)
            .wrapping_add(self.raw.rel_timestamp)
    }

    /// All columns, as they stand in a channel: the body without the version byte.
    pub fn columns(&self) -> &[u8] {
        &self.raw.body
    }

    /// Bytes of memory that the span takes, if it shares none with others
    /// ([`SpanBatch::into_own_memory`]).
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.raw.body.len()
    }

    /// Copies the columns out of the memory of the channel that they were read from. For a span that
    /// must wait: it would hold all of that memory.
    #[must_use]
    pub fn into_own_memory(mut self) -> Self {
        self.raw.body = Bytes::copy_from_slice(&self.raw.body);
        self
    }

    /// Before the first block.
    pub const fn start(&self) -> SpanPosition {
        let places = &self.raw.places;
        SpanPosition {
            block: 0,
            epoch_num: self.raw.first_epoch(),
            tx: 0,
            legacy: 0,
            counts: places.counts,
            tos: places.tos,
            datas: places.datas,
            nonces: places.nonces,
            gases: places.gases,
        }
    }

    /// Timestamp of the block behind a position.
    pub fn timestamp_at(&self, at: &SpanPosition) -> Option<u64> {
        (at.block < self.block_count()).then(|| self.timestamp(at.block))
    }

    /// The block behind a position, which moves behind that block.
    pub fn take_block(&self, at: &mut SpanPosition) -> Option<SpanBlock> {
        let SpanHead { epoch_num, timestamp, tx_count, .. } = self.begin_block(at)?;
        Some(SpanBlock { epoch_num, timestamp, transactions: self.take_transactions(at, tx_count) })
    }

    /// The same without the transactions, which are looked at only as far as is needed to pass them.
    pub fn take_head(&self, at: &mut SpanPosition) -> Option<SpanHead<'_>> {
        let head = self.begin_block(at)?;
        for _ in 0..head.tx_count {
            self.take_parts(at)?;
        }
        Some(head)
    }

    /// The blocks, in order, each made when it is asked for.
    pub fn blocks(&self) -> impl Iterator<Item = SpanBlock> + '_ {
        let mut at = self.start();
        core::iter::from_fn(move || self.take_block(&mut at))
    }

    /// The blocks without their transactions, in order. The columns of the transactions are looked
    /// at only if there are set-code transactions.
    pub fn heads(&self) -> impl Iterator<Item = SpanHead<'_>> {
        let mut at = self.start();
        core::iter::from_fn(move || {
            if self.raw.set_code { self.take_head(&mut at) } else { self.begin_block(&mut at) }
        })
    }

    /// Moves a position before the transactions of its block.
    fn begin_block(&self, at: &mut SpanPosition) -> Option<SpanHead<'_>> {
        let timestamp = self.timestamp_at(at)?;
        let (body, places) = (&self.raw.body, &self.raw.places);
        if at.block > 0 && bit(body, places.counts, at.block) {
            at.epoch_num = at.epoch_num.wrapping_add(1);
        }
        let tx_count = varint(body, &mut at.counts)? as usize;
        at.block += 1;
        Some(SpanHead { epoch_num: at.epoch_num, timestamp, tx_count, span: self, at: *at })
    }

    fn take_transactions(&self, at: &mut SpanPosition, count: usize) -> Vec<Bytes> {
        if count == 0 {
            return Vec::new();
        }
        let mut end = at.datas;
        for _ in 0..count {
            data(&self.raw.body, &mut end);
        }
        let mut buffer = Vec::with_capacity(end - at.datas + count * RAW_OVERHEAD);
        let mut ends = Vec::with_capacity(count);
        for _ in 0..count {
            if let Some((parts, data)) = self.take_parts(at)
                && let Some(tx) = parts.with_data(data)
            {
                tx.put_raw(self.chain.chain_id, &mut buffer);
            }
            ends.push(buffer.len());
        }
        cut(buffer, &ends)
    }

    /// The columns' share of a transaction, and its data list.
    fn take_parts(&self, at: &mut SpanPosition) -> Option<(TxParts<'_>, &[u8])> {
        let (body, places) = (&self.raw.body[..], &self.raw.places);
        let (kind, list) = data(body, &mut at.datas)?;
        let to = if bit(body, places.creations_end, at.tx) {
            None
        } else {
            at.tos += 20;
            Some(body.get(at.tos - 20..at.tos)?)
        };
        let protected = kind != 0 || bit(body, body.len(), at.legacy);
        at.legacy += usize::from(kind == 0);
        let y_parity = bit(body, places.signatures, at.tx);
        let signature = places.signatures + 64 * at.tx;
        let (r, s) = body.get(signature..signature + 64)?.split_at(32);
        let nonce = varint(body, &mut at.nonces)?;
        let gas = varint(body, &mut at.gases)?;
        at.tx += 1;
        let parts = TxParts::of_columns(kind, nonce, gas, to, y_parity, protected, r, s);
        Some((parts, body.get(list)?))
    }
}

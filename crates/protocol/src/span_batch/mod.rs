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
//!
//! A decoded span stays what it was: columns, in the memory of the stream that they were read from.
//! Ten million blocks without transactions come in 11 kB of a channel, so a block must not cost more
//! than its bit and its byte. It is made when it is asked for (`blocks`).

mod blocks;
mod decode;
mod encode;
#[cfg(test)]
mod tests;
mod transaction;

use alloc::vec::Vec;

use alloy_primitives::Bytes;

use crate::RollupConfig;

pub use blocks::{SpanBatch, SpanHead, SpanPosition};
pub use decode::RawSpanBatch;
pub use encode::{SpanBuilder, SpanEncodeError, encode_blocks, encode_span_batch};
pub use transaction::SpanTxError;

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
    /// A transaction that cannot be put together.
    #[error("transaction {index}: {error}")]
    Transaction {
        /// Position of the transaction.
        index: usize,
        /// What is wrong.
        error: SpanTxError,
    },
}

/// What a span batch takes for granted about its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanChain {
    /// Seconds between L2 blocks.
    pub block_time: u64,
    /// Timestamp of L2 genesis.
    pub genesis_time: u64,
    /// Chain id of the L2.
    pub chain_id: u64,
}

impl From<&RollupConfig> for SpanChain {
    fn from(config: &RollupConfig) -> Self {
        Self {
            block_time: config.block_time,
            genesis_time: config.genesis.l2_time,
            chain_id: config.l2_chain_id,
        }
    }
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

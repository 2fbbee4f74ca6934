//! Why transactions and blocks are refused.

use alloc::string::{String, ToString};

use alloy_primitives::Address;
use opal_protocol::extra_data::ExtraDataError;
use revm::context::result::InvalidTransaction;

use crate::handler::EvmError;
use crate::requests::InvalidDepositLog;
use crate::{HeaderField, StateError};

/// Why a transaction was not executed. The block is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// It needs more gas than the block has left. It may fit into another block.
    #[error("the transaction's gas limit is {needed}, the block has {available} left")]
    BlockGas {
        /// The transaction's gas limit.
        needed: u64,
        /// What is left of the block's.
        available: u64,
    },
    /// Its blobs do not fit. They may fit into another block.
    #[error("the transaction's blobs take {needed} blob gas, the block has {available} left")]
    BlobGas {
        /// The transaction's blob gas.
        needed: u64,
        /// What is left of the block's.
        available: u64,
    },
    /// Its DA footprint does not fit (Jovian). It may fit into another block.
    #[error("the transaction's DA footprint is {needed}, the block has {available} left")]
    DaFootprint {
        /// The transaction's footprint in gas.
        needed: u64,
        /// What is left of the block's.
        available: u64,
    },
    /// The chain has no transactions of this type.
    #[error("transactions of type {0:#04x} do not exist on this chain")]
    Type(u8),
    /// It is invalid in the state at hand: nonce, funds, fees, intrinsic gas and the like.
    #[error("invalid transaction: {0}")]
    Invalid(InvalidTransaction),
    /// The state could not be read; the block cannot go on.
    #[error(transparent)]
    State(#[from] StateError),
    /// The EVM gave up for a reason that is no transaction's fault; the block cannot go on.
    #[error("evm: {0}")]
    Evm(String),
}

impl TxError {
    /// Whether the block cannot go on, whatever transaction comes next.
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::State(_) | Self::Evm(_))
    }

    /// Whether the transaction may be valid in a later or emptier block as it stands.
    pub const fn does_not_fit(&self) -> bool {
        matches!(self, Self::BlockGas { .. } | Self::BlobGas { .. } | Self::DaFootprint { .. })
    }
}

impl From<EvmError> for TxError {
    fn from(error: EvmError) -> Self {
        match error {
            EvmError::Transaction(error) => Self::Invalid(error),
            EvmError::Database(error) => Self::State(error),
            error => Self::Evm(error.to_string()),
        }
    }
}

/// Why a block could not be executed, or is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// A header field is not what the rules or the execution give.
    #[error("block {number}: {field} should be {expected}, is {got}")]
    Header {
        /// The block's number.
        number: u64,
        /// Which field.
        field: HeaderField,
        /// What the rules give.
        expected: String,
        /// What the header says.
        got: String,
    },
    /// `extraData` does not have the fork's form.
    #[error(transparent)]
    ExtraData(#[from] ExtraDataError),
    /// A transaction cannot be executed.
    #[error("transaction {index}: {error}")]
    Transaction {
        /// Its place in the block.
        index: usize,
        /// Why not.
        error: TxError,
    },
    /// The number of senders does not match the number of transactions.
    #[error("{senders} senders were given for {transactions} transactions")]
    Senders {
        /// Number of senders.
        senders: usize,
        /// Number of transactions.
        transactions: usize,
    },
    /// A contract that the protocol calls is missing or failed (EIP-7002, EIP-7251).
    #[error("system contract {address}: {reason}")]
    SystemContract {
        /// The contract.
        address: Address,
        /// What went wrong.
        reason: String,
    },
    /// A malformed log of the deposit contract (EIP-6110).
    #[error(transparent)]
    DepositLog(#[from] InvalidDepositLog),
    /// The encoded block is longer than EIP-7934 allows.
    #[error("the block takes {got} bytes, {max} are allowed")]
    Size {
        /// Encoded length.
        got: usize,
        /// Highest length.
        max: usize,
    },
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The EVM gave up for a reason that is no transaction's fault.
    #[error("evm: {0}")]
    Evm(String),
}

impl From<EvmError> for BlockError {
    fn from(error: EvmError) -> Self {
        match error {
            EvmError::Database(error) => Self::State(error),
            error => Self::Evm(error.to_string()),
        }
    }
}

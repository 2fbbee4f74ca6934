//! What can go wrong between Opal and an L1.

use alloy_primitives::B256;
use alloy_transport::{RpcError, TransportError};
use opal_protocol::BlockId;
use opal_service::http::{self, HttpError};

/// Why something could not be read from L1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DaError {
    /// The endpoint did not answer, or not now. Try again.
    #[error("{endpoint} does not answer ({what}): {reason}")]
    Unavailable {
        /// The endpoint, without credentials.
        endpoint: String,
        /// What was asked.
        what: String,
        /// What came instead.
        reason: String,
    },
    /// The endpoint refused the call or lacks it. Needs another endpoint or a setting there.
    #[error("{endpoint} refuses {what}: {reason}")]
    Refused {
        /// The endpoint, without credentials.
        endpoint: String,
        /// What was asked.
        what: String,
        /// Its answer.
        reason: String,
    },
    /// The block is not there: not yet, or no longer after a reorg.
    #[error("L1 has no block {0}")]
    NotFound(String),
    /// The answer contradicts the hashes that commit to it.
    #[error("L1 block {block} is not what its hash says: {reason}")]
    Inconsistent {
        /// The block.
        block: BlockId,
        /// The contradiction.
        reason: String,
    },
    /// The block holds a transaction of a type that this version does not know.
    #[error(
        "L1 block {block} holds a transaction of unknown type {ty:#04x}; a newer version of Opal is needed"
    )]
    UnknownTransactionType {
        /// The block.
        block: BlockId,
        /// EIP-2718 type.
        ty: u64,
    },
    /// The L1 is another chain than the one meant.
    #[error("the L1 at {endpoint} has chain id {found}, expected {expected}")]
    WrongChain {
        /// The endpoint, without credentials.
        endpoint: String,
        /// Chain id wanted.
        expected: u64,
        /// Chain id found.
        found: u64,
    },
    /// Blobs are needed, but no beacon endpoint was given.
    #[error(
        "L1 block {0} carries batches in blobs, but no beacon endpoint is configured (--l1-beacon)"
    )]
    NoBeacon(BlockId),
    /// The beacon endpoint does not have the blobs: too new for it, or pruned after about 18 days.
    #[error(
        "{endpoint} has no blob {hash} for L1 block {block} (slot {slot}); it may have pruned it: name an endpoint that archives blobs by --l1.beacon-fallbacks"
    )]
    BlobMissing {
        /// The endpoint, without credentials.
        endpoint: String,
        /// The L1 block.
        block: BlockId,
        /// Slot asked for.
        slot: u64,
        /// Versioned hash of a blob that is missing.
        hash: B256,
    },
    /// A client could not be made.
    #[error("{0}")]
    Client(String),
}

impl DaError {
    /// Whether the same call may succeed later at the same endpoint.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::NotFound(_) | Self::BlobMissing { .. })
    }

    pub(crate) fn rpc(endpoint: &str, what: &str, error: &TransportError) -> Self {
        let (endpoint, what) = (endpoint.to_owned(), what.to_owned());
        let reason = http::error_text(error);
        match error {
            RpcError::ErrorResp(payload) if !payload.is_retry_err() => {
                Self::Refused { endpoint, what, reason }
            }
            _ => Self::Unavailable { endpoint, what, reason },
        }
    }
}

impl From<HttpError> for DaError {
    fn from(error: HttpError) -> Self {
        Self::Client(error.to_string())
    }
}

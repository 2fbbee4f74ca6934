//! What can go wrong on the way between the layers.

use std::fmt;

use alloy_primitives::{Address, B256};
use opal_service::TxError;
use opal_service::http::error_text;

use super::{ForceError, LogError, ProofError};

/// A chain, as users name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The chain with the portal.
    L1,
    /// The rollup.
    L2,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L1 => "L1",
            Self::L2 => "L2",
        })
    }
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// A node did not answer, or not with what was asked for. Try again, or with another node.
    #[error("{layer} RPC, {method}: {reason}")]
    Rpc {
        /// Which node.
        layer: Layer,
        /// What was asked.
        method: &'static str,
        /// What it said.
        reason: String,
    },
    /// A contract answers a question in no way that it should.
    #[error("{address} on L1 does not answer {call}: {reason}; is it the chain's portal?")]
    Contract {
        /// The contract asked.
        address: Address,
        /// The function's signature.
        call: &'static str,
        /// What came instead.
        reason: String,
    },
    /// A portal of an earlier time.
    #[error(
        "the portal {portal} is version {version}, which has no disputeGameFactory(): chains that \
         propose to an L2OutputOracle are not supported"
    )]
    OldPortal {
        /// The portal.
        portal: Address,
        /// Its version.
        version: String,
    },
    /// The L2 RPC serves another chain.
    #[error("--l2-rpc serves chain {found}, but the portal is that of chain {expected}")]
    WrongChain {
        /// Chain id of the endpoint.
        found: u64,
        /// Chain id in the SystemConfig.
        expected: u64,
    },
    /// Something needs L2.
    #[error("--l2-rpc is needed to {0}")]
    NeedsL2(&'static str),
    /// Something needs a key.
    #[error(
        "a key is needed to send: give one (--keystore, --private-key-file …), or --unsigned to print the call"
    )]
    NeedsKey,
    /// No such transaction.
    #[error("neither L2 nor L1 knows transaction {0}; is it mined?")]
    UnknownTransaction(B256),
    /// The transaction failed on L2.
    #[error("L2 transaction {0} failed: it withdrew nothing")]
    FailedTransaction(B256),
    /// The transaction withdrew nothing.
    #[error("transaction {0} withdraws nothing")]
    NoWithdrawal(B256),
    /// The transaction has fewer withdrawals.
    #[error("transaction {transaction} has {count} withdrawals; --index {index} is none of them")]
    NoSuchWithdrawal {
        /// The transaction.
        transaction: B256,
        /// Withdrawals that it made.
        count: usize,
        /// What was asked for, from 0.
        index: usize,
    },
    /// The contract would revert, or did.
    #[error("{what} reverts: {reason}")]
    Reverted {
        /// What was tried.
        what: &'static str,
        /// The error's name and meaning.
        reason: String,
    },
    /// It is not the time for this step.
    #[error("cannot {what}: {}the withdrawal is {status}: {reason}", named(.refusal))]
    NotNow {
        /// What was tried.
        what: &'static str,
        /// How the contract refuses it; `None` where there is nothing yet that it could be asked.
        refusal: Option<String>,
        /// Where the withdrawal is.
        status: super::Status,
        /// Why.
        reason: String,
    },
    /// The withdrawal's own call on L1 would fail, and the portal makes it only once.
    #[error(
        "cannot finalize: {refusal}: the call to {target} would fail on L1, and what it carries would be \
         lost, for the portal makes it only once; finalize when the target accepts it"
    )]
    CallWouldFail {
        /// What the withdrawal calls.
        target: Address,
        /// How the portal tells it.
        refusal: String,
    },
    /// The wait took too long.
    #[error("{what}: not within {seconds} s (--timeout)")]
    Timeout {
        /// What was waited for.
        what: String,
        /// The limit.
        seconds: u64,
    },
    /// A token's other side is not known.
    #[error("{0} does not say what its other side is: give --remote-token")]
    RemoteToken(Address),
    /// The L2 RPC's log is malformed.
    #[error("L2 RPC: {0}")]
    Log(#[from] LogError),
    /// The L2 RPC's proof does not hold.
    #[error("{0}")]
    Proof(#[from] ProofError),
    /// The call can't be forced.
    #[error("{0}")]
    Force(#[from] ForceError),
    /// The transaction was not mined.
    #[error("{what}: {source}")]
    Tx {
        /// What was sent.
        what: &'static str,
        /// Why.
        source: TxError,
    },
}

/// The contract's error in front of the rest.
fn named(refusal: &Option<String>) -> String {
    refusal.as_ref().map(|refusal| format!("{refusal}; ")).unwrap_or_default()
}

impl BridgeError {
    pub(super) fn rpc(
        layer: Layer,
        method: &'static str,
        error: &alloy_transport::TransportError,
    ) -> Self {
        Self::Rpc { layer, method, reason: error_text(error) }
    }

    /// Whether the same may work later: a node that does not answer is no reason to stop waiting.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Rpc { .. })
    }
}

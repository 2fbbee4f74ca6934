//! Sends L1 transactions from one account and sees them through.
//!
//! ```text
//!  send_async ──► permit (max_pending) ──► nonce ──► sign ──► publish ──┐   in order, one at a time
//!                                                                      ▼
//!        ┌──────── no receipt for `resubmission_interval`: raise fees, publish again
//!        ▼                                                             │
//!     watching ──receipt──► confirming ──`confirmations` blocks──► done
//!        ▲                      │
//!        └── receipt gone (L1 reorg): publish again
//! ```
//!
//! Every transaction runs in a task of its own, so a caller that stops waiting loses nothing: the
//! nonce it used stays accounted for.

mod config;
pub mod fees;
mod rejection;
mod run;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy_eips::eip4844::Blob;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_provider::{DynProvider, Provider};
use alloy_rpc_types_eth::TransactionReceipt;
use tokio::sync::{Mutex as AsyncMutex, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

pub use config::{TxManagerArgs, TxManagerConfig};
pub use rejection::{Rejection, classify};

use crate::http::error_text;
use crate::keys::Key;

/// What to send. Nonce, fees and signature are the manager's.
#[derive(Clone, Default)]
pub struct TxCandidate {
    /// Recipient; `None` creates a contract.
    pub to: Option<Address>,
    /// Calldata or init code.
    pub data: Bytes,
    /// Wei to transfer.
    pub value: U256,
    /// Blobs to carry; a transaction without any is an ordinary EIP-1559 one.
    pub blobs: Vec<Blob>,
    /// Gas limit; `None` asks L1 for an estimate.
    pub gas_limit: Option<u64>,
}

impl fmt::Debug for TxCandidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TxCandidate")
            .field("to", &self.to)
            .field("data_bytes", &self.data.len())
            .field("value", &self.value)
            .field("blobs", &self.blobs.len())
            .field("gas_limit", &self.gas_limit)
            .finish()
    }
}

/// Why a transaction was given up. The nonce it held is free again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// L1 did not answer when it was needed before anything was sent. Try again later.
    #[error("L1 does not answer: {0}")]
    Unavailable(String),
    /// The account can't pay. Needs the operator.
    #[error("{address} cannot pay for the transaction: {reason}")]
    InsufficientFunds {
        /// The sending account.
        address: Address,
        /// What L1 said.
        reason: String,
    },
    /// L1 refuses this transaction whatever it pays.
    #[error("L1 refuses the transaction: {0}")]
    Refused(String),
    /// Getting the transaction in would cost more than the operator allows.
    #[error("the fees needed exceed the limit (--fee-limit-multiplier): {0}")]
    FeeLimit(String),
    /// The transaction that was mined with this nonce is not ours: the key is in use elsewhere.
    #[error(
        "nonce {nonce} of {address} was used by another transaction; does a second process use this key?"
    )]
    NonceTaken {
        /// The sending account.
        address: Address,
        /// The nonce.
        nonce: u64,
    },
    /// Earlier transactions of the account vanished (L1 reorg), so that this one can't be mined.
    /// What they carried has to be sent again.
    #[error("nonce {nonce} cannot be reached: an L1 reorg dropped earlier transactions")]
    NonceGap {
        /// The nonce that can't be reached.
        nonce: u64,
    },
    /// Not confirmed within the send timeout.
    #[error("not confirmed within {0:?} (--txmgr.send-timeout)")]
    Timeout(std::time::Duration),
    /// The blobs are not valid: a field element is not below the modulus.
    #[error("invalid blob: {0}")]
    Blob(String),
    /// The signer failed.
    #[error("signing failed: {0}")]
    Signer(String),
    /// The manager was closed.
    #[error("the transaction manager is closed")]
    Closed,
}

/// A transaction on its way. Dropping it does not stop the transaction.
#[derive(Debug)]
pub struct PendingTx {
    /// The account's nonce that the transaction uses.
    pub nonce: u64,
    /// Hash of the first attempt; a later attempt with higher fees has another.
    pub first_hash: B256,
    outcome: oneshot::Receiver<Result<TransactionReceipt, TxError>>,
}

impl PendingTx {
    /// Waits until the transaction is confirmed. A receipt may report that execution reverted.
    ///
    /// # Errors
    /// When the transaction was given up.
    pub async fn confirmed(self) -> Result<TransactionReceipt, TxError> {
        self.outcome.await.unwrap_or(Err(TxError::Closed))
    }
}

/// Sends transactions from one account. Cheap to clone; all clones share the account's nonces.
#[derive(Clone)]
pub struct TxManager {
    inner: Arc<Inner>,
}

impl fmt::Debug for TxManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TxManager")
            .field("address", &self.address())
            .field("chain_id", &self.inner.chain_id)
            .field("in_flight", &*self.inner.in_flight())
            .finish()
    }
}

struct Inner {
    provider: DynProvider,
    key: Key,
    chain_id: u64,
    config: TxManagerConfig,
    permits: Arc<Semaphore>,
    /// The next nonce, when it is known without asking L1. Whoever holds the lock publishes next.
    next_nonce: Arc<AsyncMutex<Option<u64>>>,
    in_flight: Mutex<BTreeSet<u64>>,
    /// Whether L1 wants one proof per cell (EIP-7594, Osaka) instead of one per blob.
    cell_proofs: AtomicBool,
    closed: CancellationToken,
}

impl Inner {
    fn in_flight(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        // A set of numbers can't be left half-changed.
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TxManager {
    /// A manager for the account of `key` on the L1 behind `provider`.
    ///
    /// # Errors
    /// When L1 does not tell its chain id.
    pub async fn new(
        provider: DynProvider,
        key: Key,
        config: TxManagerConfig,
    ) -> Result<Self, TxError> {
        let chain_id = provider
            .get_chain_id()
            .await
            .map_err(|error| TxError::Unavailable(error_text(&error)))?;
        let permits = Arc::new(Semaphore::new(config.max_pending.clamp(1, 1 << 20)));
        Ok(Self {
            inner: Arc::new(Inner {
                provider,
                key,
                chain_id,
                config,
                permits,
                next_nonce: Arc::default(),
                in_flight: Mutex::default(),
                cell_proofs: AtomicBool::new(false),
                closed: CancellationToken::new(),
            }),
        })
    }

    /// The sending account.
    pub fn address(&self) -> Address {
        self.inner.key.address()
    }

    /// Chain id of the L1 sent to.
    pub fn chain_id(&self) -> u64 {
        self.inner.chain_id
    }

    /// Sends and waits until confirmed. A receipt may report that execution reverted.
    ///
    /// # Errors
    /// When the transaction could not be sent or was given up.
    pub async fn send(&self, candidate: TxCandidate) -> Result<TransactionReceipt, TxError> {
        self.send_async(candidate).await?.confirmed().await
    }

    /// Sends, and returns when L1 took the first attempt. Calls made one after the other get
    /// ascending nonces; while `max_pending` transactions are under way, a call waits.
    ///
    /// # Errors
    /// When the transaction could not be sent.
    pub async fn send_async(&self, candidate: TxCandidate) -> Result<PendingTx, TxError> {
        let inner = &self.inner;
        let permit = Arc::clone(&inner.permits).acquire_owned().await;
        let permit = permit.map_err(|_| TxError::Closed)?;
        let order = Arc::clone(&inner.next_nonce).lock_owned().await;
        let (published, first) = oneshot::channel();
        let (done, outcome) = oneshot::channel();
        let task = run::run(Arc::clone(inner), candidate, order, published);
        let closed = inner.closed.clone();
        tokio::spawn(async move {
            let result = tokio::select! {
                result = task => result,
                () = closed.cancelled() => Err(TxError::Closed),
            };
            drop(permit);
            // Nobody has to wait for the outcome.
            let _ = done.send(result);
        });
        match first.await {
            Ok((nonce, first_hash)) => Ok(PendingTx { nonce, first_hash, outcome }),
            // The task ended before anything was published: its outcome says why.
            Err(_) => match outcome.await {
                Ok(Err(error)) => Err(error),
                _ => Err(TxError::Closed),
            },
        }
    }

    /// Forgets the next nonce, so that the next send asks L1. For use after an L1 reorg.
    pub async fn resync(&self) {
        *self.inner.next_nonce.lock().await = None;
    }

    /// Stops watching and sending; transactions already published may still be mined.
    pub fn close(&self) {
        self.inner.permits.close();
        self.inner.closed.cancel();
    }
}

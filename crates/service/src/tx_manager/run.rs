//! The life of one transaction.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use alloy_consensus::{
    EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip4844, TxEip4844WithSidecar,
};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip4844::{BlobTransactionSidecar, calc_blob_gasprice};
use alloy_eips::eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant};
use alloy_network::{TransactionBuilder, TxSignerSync};
use alloy_primitives::{Address, B256, Bytes, TxKind};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{TransactionReceipt, TransactionRequest};
use alloy_transport::TransportError;
use serde::Deserialize;
use tokio::sync::{OwnedMutexGuard, oneshot};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::fees::{Fees, Market};
use super::rejection::{Rejection, classify};
use super::{Inner, TxCandidate, TxError};
use crate::http::error_text;
use crate::trouble::Trouble;

const TARGET: &str = "opal::service::tx";

/// Attempts to find a nonce that L1 takes before the transaction is given up.
const MAX_NONCE_ATTEMPTS: u32 = 5;

/// Polls that may show our nonce as used without showing one of our receipts; nodes behind a load
/// balancer lag behind one another.
const MISSING_RECEIPT_POLLS: u32 = 10;

/// Marks a nonce as in use for as long as it lives.
struct NonceInFlight<'a> {
    inner: &'a Inner,
    nonce: u64,
}

impl<'a> NonceInFlight<'a> {
    fn new(inner: &'a Inner, nonce: u64) -> Self {
        inner.in_flight().insert(nonce);
        Self { inner, nonce }
    }
}

impl Drop for NonceInFlight<'_> {
    fn drop(&mut self) {
        self.inner.in_flight().remove(&self.nonce);
    }
}

/// A transaction ready to be signed with any nonce and fees.
struct Prepared {
    to: Option<Address>,
    data: Bytes,
    value: alloy_primitives::U256,
    gas_limit: u64,
    sidecar: Option<Sidecar>,
}

/// Blobs with their commitments and proofs, and the form of the proofs.
struct Sidecar {
    variant: BlobTransactionSidecarVariant,
    cells: bool,
}

pub(super) async fn run(
    inner: Arc<Inner>,
    candidate: TxCandidate,
    mut next_nonce: OwnedMutexGuard<Option<u64>>,
    published: oneshot::Sender<(u64, B256)>,
) -> Result<TransactionReceipt, TxError> {
    let deadline = inner.config.send_timeout.map(|timeout| Instant::now() + timeout);
    let first = first_attempt(&inner, candidate, &mut next_nonce, deadline).await;
    let (prepared, mut attempts, in_flight) = match first {
        Ok(first) => first,
        Err(error) => {
            *next_nonce = None;
            return Err(error);
        }
    };
    let nonce = in_flight.nonce;
    *next_nonce = Some(nonce + 1);
    drop(next_nonce);
    if let Some(hash) = attempts.hashes.first() {
        // Nobody has to wait for the first attempt.
        let _ = published.send((nonce, *hash));
    }
    let result = watch(&inner, &prepared, nonce, &mut attempts, deadline).await;
    drop(in_flight);
    if let Err(error) = &result {
        warn!(target: TARGET, nonce, %error, "transaction given up");
        *inner.next_nonce.lock().await = None;
    }
    result
}

/// What was published so far.
struct Attempts {
    /// Oldest first.
    hashes: Vec<B256>,
    /// The newest attempt as sent.
    raw: Bytes,
    fees: Fees,
    at: Instant,
}

async fn first_attempt<'a>(
    inner: &'a Inner,
    candidate: TxCandidate,
    next_nonce: &mut Option<u64>,
    deadline: Option<Instant>,
) -> Result<(Prepared, Attempts, NonceInFlight<'a>), TxError> {
    let mut prepared = prepare(inner, candidate).await?;
    let mut market = market(inner, prepared.sidecar.is_some()).await.map_err(unavailable)?;
    let mut fees = Fees::suggest(&market, &inner.config.fees, prepared.sidecar.is_some());
    let mut nonce_attempts = 0;
    let mut form_changed = false;
    let mut trouble = Trouble::default();
    loop {
        let nonce = match *next_nonce {
            Some(nonce) => nonce,
            None => unused_nonce(inner).await.map_err(unavailable)?,
        };
        let (hash, raw) = sign(inner, &prepared, nonce, &fees)?;
        let in_flight = NonceInFlight::new(inner, nonce);
        let rejection = match publish(inner, &raw, prepared.sidecar.is_some()).await {
            Ok(()) | Err(Rejection::AlreadyKnown) => {
                debug!(target: TARGET, %hash, nonce, tip = fees.tip, max_fee = fees.max_fee,
                    blobs = prepared.blob_count(), "transaction published");
                let attempts = Attempts { hashes: vec![hash], raw, fees, at: Instant::now() };
                return Ok((prepared, attempts, in_flight));
            }
            Err(rejection) => rejection,
        };
        debug!(target: TARGET, nonce, ?rejection, "first attempt not taken");
        match rejection {
            Rejection::AlreadyKnown => {}
            Rejection::NonceTooLow | Rejection::NonceTooHigh => {
                nonce_attempts += 1;
                if nonce_attempts > MAX_NONCE_ATTEMPTS {
                    return Err(TxError::NonceTaken { address: inner.key.address(), nonce });
                }
                if next_nonce.take().is_none() {
                    // L1's own answer was wrong: its nodes may lag behind one another.
                    pause(inner, deadline).await?;
                }
            }
            Rejection::Underpriced => {
                // Something of an earlier process may hold the nonce: outbid it.
                market = refreshed(inner, &prepared, market).await;
                fees = raise(inner, &fees, &market)?;
            }
            Rejection::SidecarForm(reason) => {
                if form_changed {
                    return Err(TxError::Refused(reason));
                }
                form_changed = true;
                prepared.change_proofs(inner).await?;
            }
            Rejection::InsufficientFunds(reason) => {
                return Err(TxError::InsufficientFunds { address: inner.key.address(), reason });
            }
            Rejection::Refused(reason) => return Err(TxError::Refused(reason)),
            Rejection::Reserved => {
                let reason = "the pool holds one of the other kind, with or without blobs";
                wait_out(inner, &mut trouble, nonce, reason, deadline).await?;
            }
            Rejection::Unavailable(reason) => {
                wait_out(inner, &mut trouble, nonce, &reason, deadline).await?;
            }
        }
    }
}

/// Waits for L1 to take a transaction that it may take later; says so.
async fn wait_out(
    inner: &Inner,
    trouble: &mut Trouble,
    nonce: u64,
    reason: &str,
    deadline: Option<Instant>,
) -> Result<(), TxError> {
    if trouble.note(reason) {
        warn!(target: TARGET, nonce, reason, "L1 does not take a transaction yet; trying on");
    }
    pause(inner, deadline).await
}

async fn pause(inner: &Inner, deadline: Option<Instant>) -> Result<(), TxError> {
    tokio::time::sleep(inner.config.poll_interval).await;
    check_deadline(inner, deadline)
}

fn check_deadline(inner: &Inner, deadline: Option<Instant>) -> Result<(), TxError> {
    match (deadline, inner.config.send_timeout) {
        (Some(deadline), Some(timeout)) if Instant::now() >= deadline => {
            Err(TxError::Timeout(timeout))
        }
        _ => Ok(()),
    }
}

/// The lowest nonce that no mined transaction used and none of ours holds.
async fn unused_nonce(inner: &Inner) -> Result<u64, TransportError> {
    let mut nonce = inner.provider.get_transaction_count(inner.key.address()).await?;
    let in_flight = inner.in_flight();
    while in_flight.contains(&nonce) {
        nonce += 1;
    }
    Ok(nonce)
}

/// Watches an accepted transaction until it is confirmed or given up.
async fn watch(
    inner: &Inner,
    prepared: &Prepared,
    nonce: u64,
    attempts: &mut Attempts,
    deadline: Option<Instant>,
) -> Result<TransactionReceipt, TxError> {
    let mut seen = false;
    let mut missing_receipts = 0;
    let mut gaps = 0;
    loop {
        // A transaction that was seen in a block is past timing out: it only waits for more blocks.
        if !seen {
            check_deadline(inner, deadline)?;
        }
        match find_receipt(inner, &attempts.hashes).await {
            Ok(Some(receipt)) => {
                seen = true;
                missing_receipts = 0;
                if is_confirmed(inner, &receipt).await.unwrap_or(false) {
                    debug!(target: TARGET, hash = %receipt.transaction_hash, nonce, "confirmed");
                    return Ok(receipt);
                }
            }
            Ok(None) if seen => {
                seen = false;
                warn!(target: TARGET, nonce, "an L1 reorg dropped the transaction; sending again");
                republish(inner, prepared, attempts).await;
            }
            Ok(None) => {
                let due = attempts.at.elapsed() >= inner.config.resubmission_interval;
                match inner.provider.get_transaction_count(inner.key.address()).await {
                    Ok(mined) if mined > nonce => {
                        missing_receipts += 1;
                        if missing_receipts > MISSING_RECEIPT_POLLS {
                            let address = inner.key.address();
                            return Err(TxError::NonceTaken { address, nonce });
                        }
                    }
                    Ok(mined) if due => {
                        missing_receipts = 0;
                        gaps = if has_gap(inner, mined, nonce) { gaps + 1 } else { 0 };
                        if gaps > 1 {
                            return Err(TxError::NonceGap { nonce });
                        }
                        resubmit(inner, prepared, nonce, attempts).await?;
                    }
                    Ok(_) => missing_receipts = 0,
                    Err(error) => debug!(target: TARGET, error = error_text(&error), "no nonce"),
                }
            }
            Err(error) => debug!(target: TARGET, error = error_text(&error), "no receipt"),
        }
        tokio::time::sleep(inner.config.poll_interval).await;
    }
}

/// Whether a nonce between the chain's and ours is held by nobody.
fn has_gap(inner: &Inner, mined: u64, nonce: u64) -> bool {
    let in_flight = inner.in_flight();
    (mined..nonce).any(|n| !in_flight.contains(&n))
}

async fn find_receipt(
    inner: &Inner,
    hashes: &[B256],
) -> Result<Option<TransactionReceipt>, TransportError> {
    for hash in hashes.iter().rev() {
        if let Some(receipt) = inner.provider.get_transaction_receipt(*hash).await? {
            return Ok(Some(receipt));
        }
    }
    Ok(None)
}

async fn is_confirmed(inner: &Inner, receipt: &TransactionReceipt) -> Option<bool> {
    let included = receipt.block_number?;
    if inner.config.confirmations <= 1 {
        return Some(true);
    }
    let head = inner.provider.get_block_number().await.ok()?;
    Some(head.saturating_add(1) >= included.saturating_add(inner.config.confirmations))
}

/// Sends the newest attempt once more as it is.
async fn republish(inner: &Inner, prepared: &Prepared, attempts: &mut Attempts) {
    attempts.at = Instant::now();
    if let Err(rejection) = publish(inner, &attempts.raw, prepared.sidecar.is_some()).await {
        debug!(target: TARGET, ?rejection, "sending again was not taken");
    }
}

/// Raises the fees and publishes again; at the operator's fee limit sends the same once more, in
/// case the pool has dropped it.
async fn resubmit(
    inner: &Inner,
    prepared: &Prepared,
    nonce: u64,
    attempts: &mut Attempts,
) -> Result<(), TxError> {
    let Ok(market) = market(inner, prepared.sidecar.is_some()).await else {
        return Ok(());
    };
    let fees = match raise(inner, &attempts.fees, &market) {
        Ok(fees) => fees,
        Err(error) => {
            warn!(target: TARGET, nonce, %error, "not raising the fees further");
            republish(inner, prepared, attempts).await;
            return Ok(());
        }
    };
    let (hash, raw) = sign(inner, prepared, nonce, &fees)?;
    match publish(inner, &raw, prepared.sidecar.is_some()).await {
        Ok(()) | Err(Rejection::AlreadyKnown) => {
            info!(target: TARGET, %hash, nonce, tip = fees.tip, max_fee = fees.max_fee,
                "published again with higher fees");
            *attempts = Attempts {
                hashes: std::mem::take(&mut attempts.hashes),
                raw,
                fees,
                at: Instant::now(),
            };
            attempts.hashes.push(hash);
        }
        Err(Rejection::Underpriced) => {
            // The pool wants more: start from here at the next turn, which comes at once.
            attempts.fees = fees;
        }
        Err(Rejection::NonceTooLow) => {
            // It was mined in between: its receipt comes next.
            attempts.at = Instant::now();
        }
        Err(rejection) => {
            warn!(target: TARGET, nonce, ?rejection, tip = fees.tip, max_fee = fees.max_fee,
                "L1 does not take the transaction with higher fees; it goes on waiting");
            attempts.at = Instant::now();
        }
    }
    Ok(())
}

fn raise(inner: &Inner, fees: &Fees, market: &Market) -> Result<Fees, TxError> {
    let raised = fees.bumped(market, &inner.config.fees);
    if raised.allowed(market, &inner.config.fees) {
        Ok(raised)
    } else {
        Err(TxError::FeeLimit(format!("{raised:?} at market prices {market:?}, in wei per gas")))
    }
}

async fn publish(inner: &Inner, raw: &Bytes, blobs: bool) -> Result<(), Rejection> {
    let sent = inner.provider.client().request::<_, B256>("eth_sendRawTransaction", (raw,)).await;
    sent.map(drop).map_err(|error| classify(&error, blobs))
}

fn sign(inner: &Inner, tx: &Prepared, nonce: u64, fees: &Fees) -> Result<(B256, Bytes), TxError> {
    let signer = inner.key.signer();
    let failed = |error: alloy_signer::Error| TxError::Signer(error.to_string());
    let envelope: EthereumTxEnvelope<TxEip4844WithSidecar> = match (&tx.sidecar, tx.to) {
        (Some(sidecar), Some(to)) => {
            let mut unsigned = TxEip4844 {
                chain_id: inner.chain_id,
                nonce,
                gas_limit: tx.gas_limit,
                max_fee_per_gas: fees.max_fee,
                max_priority_fee_per_gas: fees.tip,
                to,
                value: tx.value,
                input: tx.data.clone(),
                blob_versioned_hashes: sidecar.variant.versioned_hashes().collect(),
                max_fee_per_blob_gas: fees.max_blob_fee.unwrap_or_default(),
                ..Default::default()
            };
            let signature = signer.sign_transaction_sync(&mut unsigned).map_err(failed)?;
            let sidecar = sidecar.variant.clone();
            let with_sidecar = TxEip4844WithSidecar::from_tx_and_sidecar(unsigned, sidecar);
            with_sidecar.into_signed(signature).into()
        }
        (Some(_), None) => {
            return Err(TxError::Refused("a blob transaction needs a recipient".to_owned()));
        }
        (None, to) => {
            let mut unsigned = TxEip1559 {
                chain_id: inner.chain_id,
                nonce,
                gas_limit: tx.gas_limit,
                max_fee_per_gas: fees.max_fee,
                max_priority_fee_per_gas: fees.tip,
                to: to.map_or(TxKind::Create, TxKind::Call),
                value: tx.value,
                input: tx.data.clone(),
                ..Default::default()
            };
            let signature = signer.sign_transaction_sync(&mut unsigned).map_err(failed)?;
            unsigned.into_signed(signature).into()
        }
    };
    Ok((*envelope.tx_hash(), envelope.encoded_2718().into()))
}

impl Prepared {
    fn blob_count(&self) -> usize {
        self.sidecar.as_ref().map_or(0, |sidecar| sidecar.variant.blobs().len())
    }

    /// Computes the other form of proofs, and remembers it for the account's later transactions.
    async fn change_proofs(&mut self, inner: &Inner) -> Result<(), TxError> {
        if let Some(sidecar) = self.sidecar.take() {
            let cells = !sidecar.cells;
            info!(target: TARGET, cells, "L1 wants the other form of blob proofs");
            self.sidecar = Some(prove(sidecar.variant.into_blobs(), cells).await?);
            inner.cell_proofs.store(cells, Ordering::Relaxed);
        }
        Ok(())
    }
}

async fn prepare(inner: &Inner, candidate: TxCandidate) -> Result<Prepared, TxError> {
    let TxCandidate { to, data, value, blobs, gas_limit } = candidate;
    let gas_limit = match gas_limit {
        Some(gas_limit) => gas_limit,
        None => {
            let mut request = TransactionRequest::default()
                .from(inner.key.address())
                .value(value)
                .with_input(data.clone());
            request.to = Some(to.map_or(TxKind::Create, TxKind::Call));
            let estimate = inner.provider.estimate_gas(request).await;
            estimate.map_err(|error| match classify(&error, false) {
                Rejection::Unavailable(reason) => TxError::Unavailable(reason),
                Rejection::InsufficientFunds(reason) => {
                    TxError::InsufficientFunds { address: inner.key.address(), reason }
                }
                _ => TxError::Refused(error_text(&error)),
            })?
        }
    };
    let sidecar = match blobs.is_empty() {
        true => None,
        false => Some(prove(blobs, inner.cell_proofs.load(Ordering::Relaxed)).await?),
    };
    Ok(Prepared { to, data, value, gas_limit, sidecar })
}

/// Commitments and proofs, computed on a blocking thread: a few ms per blob, or some hundred ms
/// per blob for cell proofs.
async fn prove(blobs: Vec<alloy_eips::eip4844::Blob>, cells: bool) -> Result<Sidecar, TxError> {
    let task = tokio::task::spawn_blocking(move || {
        // No precomputed tables: they would cost 96 MiB for a few ms.
        let settings = c_kzg::ethereum_kzg_settings(0);
        if cells {
            BlobTransactionSidecarEip7594::try_from_blobs_with_settings(blobs, settings)
                .map(BlobTransactionSidecarVariant::Eip7594)
        } else {
            BlobTransactionSidecar::try_from_blobs_with_settings(blobs, settings)
                .map(BlobTransactionSidecarVariant::Eip4844)
        }
    });
    match task.await {
        Ok(Ok(variant)) => Ok(Sidecar { variant, cells }),
        Ok(Err(error)) => Err(TxError::Blob(format!("{error:?}"))),
        Err(_) => Err(TxError::Closed),
    }
}

fn unavailable(error: TransportError) -> TxError {
    TxError::Unavailable(error_text(&error))
}

/// The fee fields of a header; everything else is left unread, so that new forks do not matter.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeeHeader {
    #[serde(default, with = "alloy_serde::quantity::opt")]
    base_fee_per_gas: Option<u128>,
    #[serde(default, with = "alloy_serde::quantity::opt")]
    excess_blob_gas: Option<u64>,
}

async fn market(inner: &Inner, blobs: bool) -> Result<Market, TransportError> {
    let client = inner.provider.client();
    let head: Option<FeeHeader> = client.request("eth_getBlockByNumber", ("latest", false)).await?;
    // An L1 that suggests no tip gets the operator's lowest one.
    let tip = inner.provider.get_max_priority_fee_per_gas().await.unwrap_or(0);
    let base_fee = head.as_ref().and_then(|head| head.base_fee_per_gas).unwrap_or(0);
    let blob_base_fee = if blobs {
        match inner.provider.get_blob_base_fee().await {
            Ok(fee) => fee,
            // Cancun's price curve is the steepest: never too low for a later fork.
            Err(_) => calc_blob_gasprice(head.and_then(|head| head.excess_blob_gas).unwrap_or(0)),
        }
    } else {
        0
    };
    Ok(Market { tip, base_fee, blob_base_fee })
}

async fn refreshed(inner: &Inner, prepared: &Prepared, old: Market) -> Market {
    market(inner, prepared.sidecar.is_some()).await.unwrap_or(old)
}

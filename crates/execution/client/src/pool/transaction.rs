//! A transaction as it arrives over RPC, decoded and with its sender recovered.

use std::sync::Arc;

use alloy_consensus::{
    EthereumTxEnvelope, Signed, Transaction, TxEip4844WithSidecar, transaction::TxEip4844,
};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_eips::eip7594::BlobTransactionSidecarVariant;
use alloy_primitives::{Address, B256, Bytes, U256};
use opal_protocol::TxEnvelope;

use super::PoolError;

/// Blobs of one transaction with their commitments and proofs, shared between pool, built payloads
/// and blob store.
pub type Sidecar = Arc<BlobTransactionSidecarVariant>;

type NetworkEnvelope = EthereumTxEnvelope<TxEip4844WithSidecar<BlobTransactionSidecarVariant>>;

const BLOB_TX_TYPE: u8 = 3;

/// A signed transaction with its sender, its encoding as blocks hold it, and its blobs if it has
/// any.
#[derive(Clone, Debug)]
pub struct PooledTransaction {
    tx: TxEnvelope,
    sender: Address,
    hash: B256,
    raw: Bytes,
    sidecar: Option<Sidecar>,
}

impl PooledTransaction {
    /// Decodes what `eth_sendRawTransaction` was given. Blob transactions come in their network
    /// form, with the sidecar. Recovers the sender (about 40 µs).
    ///
    /// # Errors
    /// When the bytes are no transaction, the signature is wrong, or the type can't be sent
    /// (deposits come from L1 only).
    pub fn decode(mut raw: &[u8]) -> Result<Self, PoolError> {
        let input = &mut raw;
        let (tx, sidecar) = if input.first() == Some(&BLOB_TX_TYPE) {
            let (tx, sidecar) = decode_blob_transaction(input)?;
            (TxEnvelope::Eip4844(tx), Some(Arc::new(sidecar)))
        } else {
            let tx = TxEnvelope::decode_2718(input)
                .map_err(|error| PoolError::Decode(error.to_string()))?;
            (tx, None)
        };
        if !input.is_empty() {
            return Err(PoolError::Decode("bytes after the end of the transaction".into()));
        }
        if tx.is_deposit_tx() {
            return Err(PoolError::TypeNotSupported);
        }
        let sender = tx.recover().map_err(|error| PoolError::InvalidSender(error.to_string()))?;
        Ok(Self::new(tx, sender, sidecar))
    }

    /// Wraps a transaction whose sender is known, such as one that a reorg took out of a block.
    pub fn new(tx: TxEnvelope, sender: Address, sidecar: Option<Sidecar>) -> Self {
        let raw = Bytes::from(tx.encoded_2718());
        Self { hash: tx.tx_hash(), tx, sender, raw, sidecar }
    }

    /// The transaction as blocks hold it, without blobs.
    pub const fn tx(&self) -> &TxEnvelope {
        &self.tx
    }

    /// Who signed it.
    pub const fn sender(&self) -> Address {
        self.sender
    }

    /// Transaction hash.
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// EIP-2718 encoding without blobs.
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Blobs, commitments and proofs of a blob transaction.
    pub const fn sidecar(&self) -> Option<&Sidecar> {
        self.sidecar.as_ref()
    }

    /// Number of blobs.
    pub fn blob_count(&self) -> usize {
        self.tx.blob_versioned_hashes().map_or(0, |hashes| hashes.len())
    }

    /// The most wei that the transaction can take from its sender, without the L2 chain's L1 and
    /// operator fees.
    pub fn max_cost(&self) -> U256 {
        let gas = U256::from(self.tx.gas_limit()) * U256::from(self.tx.max_fee_per_gas());
        let blob_gas = U256::from(self.tx.blob_gas_used().unwrap_or_default())
            * U256::from(self.tx.max_fee_per_blob_gas().unwrap_or_default());
        gas.saturating_add(blob_gas).saturating_add(self.tx.value())
    }
}

fn decode_blob_transaction(
    input: &mut &[u8],
) -> Result<(Signed<TxEip4844>, BlobTransactionSidecarVariant), PoolError> {
    let bare = *input;
    match NetworkEnvelope::decode_2718(input) {
        Ok(NetworkEnvelope::Eip4844(signed)) => {
            let (tx, signature, hash) = signed.into_parts();
            let (tx, sidecar) = tx.into_parts();
            Ok((Signed::new_unchecked(tx, signature, hash), sidecar))
        }
        Ok(_) => Err(PoolError::TypeNotSupported),
        Err(error) => match TxEnvelope::decode_2718(&mut &*bare) {
            Ok(_) => Err(PoolError::MissingSidecar),
            Err(_) => Err(PoolError::Decode(error.to_string())),
        },
    }
}

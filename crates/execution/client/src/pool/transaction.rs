//! A transaction as it arrives over RPC: decoded first, its sender recovered when the cheap rules
//! have passed.

use std::sync::{Arc, OnceLock};

use alloy_consensus::{
    EthereumTxEnvelope, Signed, Transaction, TxEip4844WithSidecar, Typed2718,
    transaction::TxEip4844,
};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_eips::eip7594::BlobTransactionSidecarVariant;
use alloy_primitives::{Address, B256, Bytes, U256};
use opal_evm::l1_fee::DataSize;
use opal_protocol::{Hardfork, TxEnvelope};

use super::{PoolError, TransactionConditional};

/// Blobs of one transaction with their commitments and proofs, shared between pool, built payloads
/// and blob store.
pub type Sidecar = Arc<BlobTransactionSidecarVariant>;

type NetworkEnvelope = EthereumTxEnvelope<TxEip4844WithSidecar<BlobTransactionSidecarVariant>>;

const BLOB_TX_TYPE: u8 = 3;

/// What was sent, before anybody asked who signed it.
#[derive(Debug)]
pub(super) struct DecodedTransaction {
    pub tx: TxEnvelope,
    pub hash: B256,
    /// Bytes that were sent, blobs included.
    pub network_size: usize,
    raw: Bytes,
    sidecar: Option<Sidecar>,
}

impl DecodedTransaction {
    pub fn decode(bytes: &[u8]) -> Result<Self, PoolError> {
        let mut rest = bytes;
        let input = &mut rest;
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
        let raw = Bytes::from(tx.encoded_2718());
        Ok(Self { hash: tx.tx_hash(), tx, network_size: bytes.len(), raw, sidecar })
    }

    /// Bytes of the encoding that blocks hold.
    pub fn size(&self) -> usize {
        self.raw.len()
    }

    /// Recovers the sender, which takes about 40 µs.
    pub fn recover(self) -> Result<PooledTransaction, PoolError> {
        let sender =
            self.tx.recover().map_err(|error| PoolError::InvalidSender(error.to_string()))?;
        Ok(PooledTransaction::assemble(self.tx, sender, self.hash, self.raw, self.sidecar))
    }
}

/// A signed transaction with its sender, its encoding as blocks hold it, and its blobs if it has
/// any.
#[derive(Clone, Debug)]
pub struct PooledTransaction {
    tx: TxEnvelope,
    sender: Address,
    hash: B256,
    raw: Bytes,
    sidecar: Option<Sidecar>,
    data_size: DataSize,
    condition: Option<Arc<TransactionConditional>>,
    authorities: OnceLock<Vec<Address>>,
}

impl PooledTransaction {
    /// Decodes what `eth_sendRawTransaction` was given. Blob transactions come in their network
    /// form, with the sidecar. Recovers the sender (about 40 µs).
    ///
    /// # Errors
    /// When the bytes are no transaction, the signature is wrong, or the type can't be sent
    /// (deposits come from L1 only).
    pub fn decode(raw: &[u8]) -> Result<Self, PoolError> {
        DecodedTransaction::decode(raw)?.recover()
    }

    /// Wraps a transaction whose sender is known, such as one that a reorg took out of a block.
    pub fn new(tx: TxEnvelope, sender: Address, sidecar: Option<Sidecar>) -> Self {
        let raw = Bytes::from(tx.encoded_2718());
        let hash = tx.tx_hash();
        Self::assemble(tx, sender, hash, raw, sidecar)
    }

    fn assemble(
        tx: TxEnvelope,
        sender: Address,
        hash: B256,
        raw: Bytes,
        sidecar: Option<Sidecar>,
    ) -> Self {
        // By the newest measure, whatever the fork: it is taken once and may be needed after the
        // fork that begins to use it.
        let data_size = DataSize::of(&raw, Hardfork::Fjord);
        let (condition, authorities) = (None, OnceLock::new());
        Self { tx, sender, hash, raw, sidecar, data_size, condition, authorities }
    }

    pub(super) fn with_condition(mut self, condition: TransactionConditional) -> Self {
        self.condition = Some(Arc::new(condition));
        self
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

    /// What must hold when it is included (`eth_sendRawTransactionConditional`).
    pub fn condition(&self) -> Option<&TransactionConditional> {
        self.condition.as_deref()
    }

    /// Its size on L1 by each fork's measure.
    pub const fn data_size(&self) -> &DataSize {
        &self.data_size
    }

    /// Estimated bytes after batch compression (Fjord's estimate).
    pub fn da_size(&self) -> u64 {
        self.data_size.estimated_scaled() / 1_000_000
    }

    /// Number of blobs.
    pub fn blob_count(&self) -> usize {
        self.tx.blob_versioned_hashes().map_or(0, |hashes| hashes.len())
    }

    /// Bytes of memory that it takes in the pool, blobs not counted: an upper estimate of its
    /// encoding, its decoded form (a list's items take up to twice their encoded size) and the
    /// pool's indexes.
    pub fn memory(&self) -> usize {
        const FIXED: usize = 1_024;
        let condition = self.condition.as_ref().map_or(0, |condition| condition.memory());
        FIXED + 3 * self.raw.len() + condition
    }

    /// The accounts that an EIP-7702 transaction sets the code of, each once; tuples whose
    /// signature does not recover are left out. Recovers them when first asked (40 µs each).
    pub fn authorities(&self) -> &[Address] {
        self.authorities.get_or_init(|| {
            let tuples = self.tx.authorization_list().unwrap_or_default();
            let mut authorities: Vec<Address> =
                tuples.iter().filter_map(|tuple| tuple.recover_authority().ok()).collect();
            authorities.sort_unstable();
            authorities.dedup();
            authorities
        })
    }

    /// The most wei that the transaction can take from its sender, without the L2 chain's L1 and
    /// operator fees.
    pub fn max_cost(&self) -> U256 {
        let gas = U256::from(self.tx.gas_limit()) * U256::from(self.tx.max_fee_per_gas());
        let blob_gas = U256::from(self.tx.blob_gas_used().unwrap_or_default())
            * U256::from(self.tx.max_fee_per_blob_gas().unwrap_or_default());
        gas.saturating_add(blob_gas).saturating_add(self.tx.value())
    }

    /// The encoding in which it was sent: with the sidecar, if it has one.
    pub(super) fn network_encoding(&self) -> Bytes {
        let (TxEnvelope::Eip4844(signed), Some(sidecar)) = (&self.tx, &self.sidecar) else {
            return self.raw.clone();
        };
        let tx = TxEip4844WithSidecar { tx: signed.tx().clone(), sidecar: (**sidecar).clone() };
        let signed = Signed::new_unchecked(tx, *signed.signature(), self.hash);
        NetworkEnvelope::Eip4844(signed).encoded_2718().into()
    }

    /// Highest total fee, in wei per gas.
    pub(super) fn fee_cap(&self) -> u128 {
        self.tx.max_fee_per_gas()
    }

    /// Highest tip, in wei per gas; before EIP-1559 the whole gas price.
    pub(super) fn tip_cap(&self) -> u128 {
        self.tx.max_priority_fee_per_gas().unwrap_or_else(|| self.tx.max_fee_per_gas())
    }

    pub(super) fn nonce(&self) -> u64 {
        self.tx.nonce()
    }

    pub(super) fn has_blobs(&self) -> bool {
        self.tx.is_eip4844()
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

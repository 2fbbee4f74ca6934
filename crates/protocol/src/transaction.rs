//! Transactions of both layers in one envelope.

use alloy_consensus::crypto::RecoveryError;
use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{
    Signed, TransactionEnvelope, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy,
};
use alloy_primitives::{Address, B256};
pub use op_alloy_consensus::TxDeposit as DepositTransaction;

use crate::sealed_deposit::SealedDeposit;

/// EIP-2718 type byte of deposits. Spec: `deposits.md`, "The Deposited Transaction Type".
pub const DEPOSIT_TX_TYPE: u8 = 0x7e;

/// Every transaction type that a block of the L1 or of an OP chain can hold. Which of them a given
/// chain allows is the executor's rule, not the codec's. Blob transactions appear here in their
/// block form, without the sidecar.
#[derive(Clone, Debug, TransactionEnvelope)]
#[envelope(tx_type_name = TxType, alloy_consensus = alloy_consensus)]
pub enum TxEnvelope {
    /// Untyped transaction.
    #[envelope(ty = 0)]
    Legacy(Signed<TxLegacy>),
    /// EIP-2930: access list.
    #[envelope(ty = 1)]
    Eip2930(Signed<TxEip2930>),
    /// EIP-1559: priority fee.
    #[envelope(ty = 2)]
    Eip1559(Signed<TxEip1559>),
    /// EIP-4844: blob hashes; L1 only.
    #[envelope(ty = 3)]
    Eip4844(Signed<TxEip4844>),
    /// EIP-7702: set code.
    #[envelope(ty = 4)]
    Eip7702(Signed<TxEip7702>),
    /// OP Stack deposit; L2 only.
    #[envelope(ty = 126)]
    Deposit(SealedDeposit),
}

impl TxEnvelope {
    /// Transaction hash: Keccak-256 of the EIP-2718 encoding.
    pub fn tx_hash(&self) -> B256 {
        match self {
            Self::Legacy(tx) => *tx.hash(),
            Self::Eip2930(tx) => *tx.hash(),
            Self::Eip1559(tx) => *tx.hash(),
            Self::Eip4844(tx) => *tx.hash(),
            Self::Eip7702(tx) => *tx.hash(),
            Self::Deposit(tx) => tx.hash(),
        }
    }

    /// The type.
    pub const fn tx_type(&self) -> TxType {
        match self {
            Self::Legacy(_) => TxType::Legacy,
            Self::Eip2930(_) => TxType::Eip2930,
            Self::Eip1559(_) => TxType::Eip1559,
            Self::Eip4844(_) => TxType::Eip4844,
            Self::Eip7702(_) => TxType::Eip7702,
            Self::Deposit(_) => TxType::Deposit,
        }
    }

    /// Whether this is a deposit, which pays no fees and carries no signature.
    pub const fn is_deposit_tx(&self) -> bool {
        matches!(self, Self::Deposit(_))
    }

    /// The sender: recovered from the signature (about 40 µs), or the deposit's `from`.
    ///
    /// # Errors
    /// When the signature does not recover to a key, or its `s` is in the upper half of the curve
    /// order (EIP-2).
    pub fn recover(&self) -> Result<Address, RecoveryError> {
        // By the trait: `Signed` has a method of the same name that takes a high `s`.
        match self {
            Self::Legacy(tx) => SignerRecoverable::recover_signer(tx),
            Self::Eip2930(tx) => SignerRecoverable::recover_signer(tx),
            Self::Eip1559(tx) => SignerRecoverable::recover_signer(tx),
            Self::Eip4844(tx) => SignerRecoverable::recover_signer(tx),
            Self::Eip7702(tx) => SignerRecoverable::recover_signer(tx),
            Self::Deposit(tx) => Ok(tx.from),
        }
    }
}

impl From<DepositTransaction> for TxEnvelope {
    fn from(tx: DepositTransaction) -> Self {
        Self::Deposit(tx.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloy_consensus::SignableTransaction;
    use alloy_primitives::{Signature, U256, b256};

    use super::*;

    /// Order of the curve.
    const ORDER: B256 = b256!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");

    #[test]
    fn signatures_with_a_high_s_are_refused() {
        let order = U256::from_be_bytes(ORDER.0);
        let half = order >> 1;
        // The same signature in its two forms, both of which recover to the same key.
        let low = Signature::new(U256::ONE, half, false);
        let high = Signature::new(U256::ONE, order - half, true);
        for signature in [low, high] {
            let envelopes = [
                TxEnvelope::Legacy(TxLegacy::default().into_signed(signature)),
                TxEnvelope::Eip2930(TxEip2930::default().into_signed(signature)),
                TxEnvelope::Eip1559(TxEip1559::default().into_signed(signature)),
                TxEnvelope::Eip4844(TxEip4844::default().into_signed(signature)),
                TxEnvelope::Eip7702(TxEip7702::default().into_signed(signature)),
            ];
            for tx in envelopes {
                assert_eq!(tx.recover().is_ok(), signature == low, "{:?}", tx.tx_type());
            }
        }
    }
}

//! The deposit of an envelope: beside its hash, and decoded from its type byte only.

use core::ops::Deref;

use alloy_consensus::{Sealed, Transaction, Typed2718};
use alloy_eips::eip2718::{Decodable2718, Eip2718Error, Eip2718Result, Encodable2718};
use alloy_eips::eip2930::AccessList;
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{B256, Bytes, ChainId, TxKind, U256};
use alloy_rlp::BufMut;
use serde::{Deserialize, Serialize, Serializer};

use crate::DepositTransaction;

/// A deposit and its hash.
///
/// A type of its own because of its decoder: op-alloy's also takes the bare list of a deposit's
/// fields, without the type byte. In an envelope such bytes are those of a malformed legacy
/// transaction; read as a deposit, they would mint what nobody deposited, and slip by every rule
/// that looks for the type byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub struct SealedDeposit(Sealed<DepositTransaction>);

impl SealedDeposit {
    /// The deposit without its hash.
    pub fn into_inner(self) -> DepositTransaction {
        self.0.into_inner()
    }
}

impl From<DepositTransaction> for SealedDeposit {
    fn from(deposit: DepositTransaction) -> Self {
        Self(Sealed::new(deposit))
    }
}

impl Deref for SealedDeposit {
    type Target = Sealed<DepositTransaction>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// With an empty signature, as clients of the RPC expect it.
impl Serialize for SealedDeposit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        op_alloy_consensus::serde_deposit_tx_rpc(&self.0, serializer)
    }
}

impl Typed2718 for SealedDeposit {
    fn ty(&self) -> u8 {
        self.0.ty()
    }
}

impl Encodable2718 for SealedDeposit {
    fn encode_2718_len(&self) -> usize {
        self.0.encode_2718_len()
    }

    fn encode_2718(&self, out: &mut dyn BufMut) {
        self.0.encode_2718(out);
    }

    fn trie_hash(&self) -> B256 {
        self.0.hash()
    }
}

impl Decodable2718 for SealedDeposit {
    fn typed_decode(ty: u8, buf: &mut &[u8]) -> Eip2718Result<Self> {
        Sealed::<DepositTransaction>::typed_decode(ty, buf).map(Self)
    }

    fn fallback_decode(_: &mut &[u8]) -> Eip2718Result<Self> {
        Err(Eip2718Error::UnexpectedType(0))
    }
}

impl Transaction for SealedDeposit {
    fn chain_id(&self) -> Option<ChainId> {
        self.0.chain_id()
    }

    fn nonce(&self) -> u64 {
        self.0.nonce()
    }

    fn gas_limit(&self) -> u64 {
        Transaction::gas_limit(&self.0)
    }

    fn gas_price(&self) -> Option<u128> {
        self.0.gas_price()
    }

    fn max_fee_per_gas(&self) -> u128 {
        self.0.max_fee_per_gas()
    }

    fn max_priority_fee_per_gas(&self) -> Option<u128> {
        self.0.max_priority_fee_per_gas()
    }

    fn max_fee_per_blob_gas(&self) -> Option<u128> {
        self.0.max_fee_per_blob_gas()
    }

    fn priority_fee_or_price(&self) -> u128 {
        self.0.priority_fee_or_price()
    }

    fn effective_gas_price(&self, base_fee: Option<u64>) -> u128 {
        self.0.effective_gas_price(base_fee)
    }

    fn is_dynamic_fee(&self) -> bool {
        self.0.is_dynamic_fee()
    }

    fn kind(&self) -> TxKind {
        self.0.kind()
    }

    fn is_create(&self) -> bool {
        self.0.is_create()
    }

    fn value(&self) -> U256 {
        Transaction::value(&self.0)
    }

    fn input(&self) -> &Bytes {
        Transaction::input(&self.0)
    }

    fn access_list(&self) -> Option<&AccessList> {
        self.0.access_list()
    }

    fn blob_versioned_hashes(&self) -> Option<&[B256]> {
        self.0.blob_versioned_hashes()
    }

    fn authorization_list(&self) -> Option<&[SignedAuthorization]> {
        self.0.authorization_list()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloc::vec::Vec;

    use alloy_rlp::{Decodable, Encodable};

    use super::*;
    use crate::{TxEnvelope, TxType};

    #[test]
    fn only_the_type_byte_makes_a_deposit() {
        let deposit = DepositTransaction { mint: 1 << 80, ..DepositTransaction::default() };
        let mut bare = Vec::new();
        deposit.encode(&mut bare);
        assert!(bare[0] >= 0xc0);
        assert!(TxEnvelope::decode_2718(&mut bare.as_slice()).is_err());
        assert!(TxEnvelope::decode_2718_exact(&bare).is_err());
        assert!(TxEnvelope::network_decode(&mut bare.as_slice()).is_err());
        assert!(TxEnvelope::decode(&mut bare.as_slice()).is_err());

        let typed = [&[0x7e], bare.as_slice()].concat();
        let envelope = TxEnvelope::decode_2718_exact(&typed).unwrap();
        assert_eq!(envelope.tx_type(), TxType::Deposit);
        assert_eq!(envelope.encoded_2718(), typed);
        assert_eq!(envelope.tx_hash(), alloy_primitives::keccak256(&typed));
        let mut network = Vec::new();
        envelope.encode(&mut network);
        assert_eq!(TxEnvelope::decode(&mut network.as_slice()).unwrap(), envelope);
    }
}

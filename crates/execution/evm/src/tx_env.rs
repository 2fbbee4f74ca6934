//! A transaction as revm takes it.

use alloc::vec::Vec;

use alloy_consensus::Transaction;
use alloy_eips::eip2930::AccessList;
use alloy_primitives::Address;
use opal_protocol::TxEnvelope;
use revm::context::TxEnv;
use revm::context_interface::either::Either;

/// revm's form of a transaction. A deposit has a gas price of zero.
pub fn tx_env(tx: &TxEnvelope, sender: Address) -> TxEnv {
    let list = |list: Option<&AccessList>| list.cloned().unwrap_or_default();
    TxEnv {
        tx_type: tx.tx_type() as u8,
        caller: sender,
        gas_limit: tx.gas_limit(),
        gas_price: tx.max_fee_per_gas(),
        kind: tx.kind(),
        value: tx.value(),
        data: tx.input().clone(),
        nonce: tx.nonce(),
        chain_id: tx.chain_id(),
        access_list: list(tx.access_list()),
        gas_priority_fee: tx.max_priority_fee_per_gas(),
        blob_hashes: tx.blob_versioned_hashes().map(<[_]>::to_vec).unwrap_or_default(),
        max_fee_per_blob_gas: tx.max_fee_per_blob_gas().unwrap_or_default(),
        authorization_list: tx
            .authorization_list()
            .map(|list| list.iter().cloned().map(Either::Left).collect::<Vec<_>>())
            .unwrap_or_default(),
    }
}

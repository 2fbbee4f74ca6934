//! Heads and transactions for tests of the pool alone: no chain, no signatures.
#![allow(clippy::unwrap_used)]

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use opal_evm::{ChainSpec, State};
use opal_protocol::TxEnvelope;
use revm::primitives::hardfork::SpecId;

use super::{PoolHead, PooledTransaction};

/// State in which the accounts have these nonces and the same balance.
pub fn state_of(accounts: impl IntoIterator<Item = (Address, u64)>, balance: U256) -> State {
    let mut genesis = crate::testing::l1_genesis(true);
    genesis.alloc = accounts
        .into_iter()
        .map(|(address, nonce)| {
            let account =
                alloy_genesis::GenesisAccount { nonce: Some(nonce), balance, ..Default::default() };
            (address, account)
        })
        .collect();
    opal_evm::genesis(&ChainSpec::from_genesis(&genesis).unwrap(), &genesis).unwrap().1
}

/// A head of an L1 without blobs.
pub fn head(state: State, base_fee: u64) -> PoolHead {
    PoolHead {
        hash: Default::default(),
        number: 1,
        timestamp: 1,
        chain_id: crate::testing::L1_CHAIN_ID,
        spec_id: SpecId::OSAKA,
        base_fee,
        gas_limit: 30_000_000,
        blobs: None,
        blob_base_fee: 1,
        l1_fee: None,
        state,
    }
}

pub fn address(n: u64) -> Address {
    Address::left_padding_from(&(0x00aa_0000_0000 + n).to_be_bytes())
}

/// A transaction of this sender. Its signature is anybody's; the sender's address in the call data
/// makes the hash its own.
pub fn unsigned(
    from: Address,
    nonce: u64,
    fee: u128,
    tip: u128,
    extra: usize,
) -> PooledTransaction {
    let tx = TxEip1559 {
        chain_id: crate::testing::L1_CHAIN_ID,
        nonce,
        gas_limit: 100_000 + 40 * extra as u64,
        max_fee_per_gas: fee,
        max_priority_fee_per_gas: tip,
        to: TxKind::Call(Address::ZERO),
        value: U256::ZERO,
        access_list: Default::default(),
        input: Bytes::from([from.as_slice(), &vec![1; extra]].concat()),
    };
    let signed = tx.into_signed(Signature::test_signature());
    PooledTransaction::new(TxEnvelope::Eip1559(signed), from, None)
}

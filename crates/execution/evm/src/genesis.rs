//! The first block and its state.

use alloc::collections::BTreeMap;

use alloy_consensus::{BlockBody, EMPTY_ROOT_HASH, Header};
use alloy_eips::eip1559::INITIAL_BASE_FEE;
use alloy_eips::eip4895::Withdrawals;
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_genesis::Genesis;
use alloy_primitives::{Bytes, U256};
use opal_protocol::predeploys::L2_TO_L1_MESSAGE_PASSER;
use opal_protocol::{Block, Hardfork, SealedBlock};
use revm::state::AccountInfo;

use crate::state::CodeCache;
use crate::{ChainSpec, State, StateError};

/// Why a genesis file gives no block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// A field has a value that no chain can have.
    #[error("genesis: {0}")]
    Field(&'static str),
    /// The state could not be built.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Builds the genesis block and its state from `alloc`. Header fields that the file leaves out get
/// the values that the forks at its timestamp demand.
///
/// # Errors
/// When the base fee does not fit 64 bits, or no block can come after this one.
pub fn genesis(spec: &ChainSpec, file: &Genesis) -> Result<(SealedBlock, State), GenesisError> {
    if file.number == Some(u64::MAX) {
        return Err(GenesisError::Field("number is 2^64 - 1, which nothing can follow"));
    }
    let state = state_of(file)?;
    let time = file.timestamp;
    let base_fee = match file.base_fee_per_gas {
        None => INITIAL_BASE_FEE,
        Some(fee) => {
            u64::try_from(fee).map_err(|_| GenesisError::Field("baseFeePerGas is above 2^64"))?
        }
    };
    let withdrawals_root = if spec.is_active(Hardfork::Isthmus, time) {
        Some(state.storage_root(&L2_TO_L1_MESSAGE_PASSER)?)
    } else {
        spec.has_withdrawals(time).then_some(EMPTY_ROOT_HASH)
    };
    let blobs = spec.has_beacon_root(time);
    let header = Header {
        parent_hash: file.parent_hash.unwrap_or_default(),
        beneficiary: file.coinbase,
        state_root: state.root(),
        difficulty: file.difficulty,
        number: file.number.unwrap_or_default(),
        gas_limit: file.gas_limit,
        timestamp: time,
        extra_data: file.extra_data.clone(),
        mix_hash: file.mix_hash,
        nonce: file.nonce.to_be_bytes().into(),
        base_fee_per_gas: Some(base_fee),
        withdrawals_root,
        blob_gas_used: blobs.then(|| file.blob_gas_used.unwrap_or_default()),
        excess_blob_gas: blobs.then(|| file.excess_blob_gas.unwrap_or_default()),
        parent_beacon_block_root: blobs.then(Default::default),
        requests_hash: spec.has_requests(time).then_some(EMPTY_REQUESTS_HASH),
        ..Default::default()
    };
    let body = BlockBody {
        withdrawals: spec.has_withdrawals(time).then(Withdrawals::default),
        ..Default::default()
    };
    Ok((SealedBlock::new(Block { header, body }), state))
}

fn state_of(file: &Genesis) -> Result<State, StateError> {
    let mut state = State::default();
    let mut codes = CodeCache::default();
    let (no_code, no_storage) = (Bytes::new(), BTreeMap::new());
    for (address, account) in &file.alloc {
        let (code_hash, code) = codes.get(account.code.as_ref().unwrap_or(&no_code));
        let info = AccountInfo {
            balance: account.balance,
            nonce: account.nonce.unwrap_or_default(),
            code_hash,
            account_id: None,
            code: Some(code),
        };
        let slots = account.storage.as_ref().unwrap_or(&no_storage).iter();
        let slots =
            slots.map(|(slot, value)| (U256::from_be_bytes(slot.0), U256::from_be_bytes(value.0)));
        state.set_account(address, info, true, slots)?;
    }
    state.commit()?;
    Ok(state)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_block_can_follow_genesis() {
        let with_number = |number: &str| {
            let json = alloc::format!(
                r#"{{"config":{{"chainId":1}},"gasLimit":"0x1","difficulty":"0x0","alloc":{{}},
                    "number":"{number}"}}"#
            );
            let file: Genesis = serde_json::from_str(&json).unwrap();
            genesis(&ChainSpec::from_genesis(&file).unwrap(), &file).map(drop)
        };
        assert_eq!(with_number("0xfffffffffffffffe"), Ok(()));
        let error = with_number("0xffffffffffffffff").unwrap_err();
        assert!(matches!(error, GenesisError::Field(_)), "{error}");
    }
}

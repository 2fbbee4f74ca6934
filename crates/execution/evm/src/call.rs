//! Running a call without a block: `eth_call` and `eth_estimateGas`.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use alloy_consensus::Header;
use alloy_eips::eip2930::AccessList;
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256, map::AddressMap};
use revm::context::result::{ExecutionResult, HaltReason, InvalidTransaction};
use revm::context::{BlockEnv, TxEnv};
use revm::context_interface::either::Either;
use revm::state::AccountInfo;

use crate::executor::{BlockHashes, blob_env, cfg_env};
use crate::handler::{self, BlockDb, EvmError, L2Tx, OpalEvm};
use crate::state::bytecode;
use crate::{ChainSpec, State, StateError};

/// A call to simulate. Fields that are `None` get the values that make the call go through: no
/// gas price means that gas is free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRequest {
    /// Who calls; nonce and code of the account are not checked.
    pub from: Address,
    /// Who is called; `None` creates a contract.
    pub to: Option<Address>,
    /// Value in wei.
    pub value: U256,
    /// Gas limit; `None` is the block's.
    pub gas: Option<u64>,
    /// Price of gas in wei, before EIP-1559.
    pub gas_price: Option<u128>,
    /// Highest price of gas in wei.
    pub max_fee_per_gas: Option<u128>,
    /// Highest tip in wei.
    pub max_priority_fee_per_gas: Option<u128>,
    /// Call data or init code.
    pub data: Bytes,
    /// Addresses and slots to warm up.
    pub access_list: Option<AccessList>,
    /// Delegations to set first (EIP-7702).
    pub authorization_list: Option<Vec<SignedAuthorization>>,
    /// Nonce of the sender, which decides the address of a created contract; `None` is the
    /// account's.
    pub nonce: Option<u64>,
    /// Blobs that the call pretends to carry (L1).
    pub blob_versioned_hashes: Option<Vec<B256>>,
    /// Highest price of blob gas in wei (L1).
    pub max_fee_per_blob_gas: Option<u128>,
}

/// Another state for one account during a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountOverride {
    /// Balance in wei.
    pub balance: Option<U256>,
    /// Nonce.
    pub nonce: Option<u64>,
    /// Code.
    pub code: Option<Bytes>,
    /// The whole storage: slots that are not named are zero.
    pub state: Option<Vec<(B256, B256)>>,
    /// Single slots.
    pub state_diff: Option<Vec<(B256, B256)>>,
}

/// Overrides by account.
pub type StateOverrides = AddressMap<AccountOverride>;

/// Why a call could not be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The request is not valid: funds, intrinsic gas, fees below the base fee.
    #[error("{0}")]
    Invalid(InvalidTransaction),
    /// Both kinds of gas price, or both kinds of storage override.
    #[error("{0}")]
    Request(&'static str),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The EVM gave up.
    #[error("evm: {0}")]
    Evm(String),
}

impl From<EvmError> for CallError {
    fn from(error: EvmError) -> Self {
        match error {
            EvmError::Transaction(error) => Self::Invalid(error),
            EvmError::Database(error) => Self::State(error),
            error => Self::Evm(error.to_string()),
        }
    }
}

/// Runs `request` in the block of `header`, on `state`. Nothing is kept. Neither the L1 fee nor the
/// operator fee is charged, and gas only if the request names a price; the limits of block and
/// transaction gas do not apply.
///
/// # Errors
/// When the request is not valid or the state cannot be read. A revert or a halt is no error.
pub fn call(
    spec: &ChainSpec,
    header: &Header,
    state: &State,
    request: &CallRequest,
    overrides: &StateOverrides,
    hashes: BlockHashes<'_>,
) -> Result<ExecutionResult<HaltReason>, CallError> {
    let (mut evm, tx) = prepare(spec, header, state, request, overrides, hashes)?;
    Ok(handler::run(&mut evm, tx, L2Tx::Call)?)
}

/// The EVM and the transaction of a call.
pub(crate) fn prepare<'a>(
    spec: &ChainSpec,
    header: &Header,
    state: &State,
    request: &CallRequest,
    overrides: &StateOverrides,
    hashes: BlockHashes<'a>,
) -> Result<(OpalEvm<'a>, TxEnv), CallError> {
    let time = header.timestamp;
    let state = overridden(state, overrides)?;
    let nonce = match request.nonce {
        Some(nonce) => nonce,
        None => state.info(&request.from)?.map_or(0, |info| info.nonce),
    };
    let tx = call_env(request, header.gas_limit, nonce)?;
    let mut blob = blob_env(spec, time, header.excess_blob_gas);
    // Gas that is free must be so whatever the base fee is; the BASEFEE opcode then gives zero,
    // as it does in the reference client.
    let basefee = if tx.gas_price == 0 { 0 } else { header.base_fee_per_gas.unwrap_or_default() };
    let free_blobs = tx.max_fee_per_blob_gas == 0 && !spec.is_l2();
    if let Some(blob) = blob.as_mut().filter(|_| free_blobs) {
        blob.blob_gasprice = 0;
    }
    let block = BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(time),
        gas_limit: header.gas_limit,
        basefee,
        difficulty: U256::ZERO,
        prevrandao: Some(header.mix_hash),
        blob_excess_gas_and_price: blob,
        slot_num: 0,
    };
    let mut cfg = cfg_env(spec, time);
    cfg.disable_eip3607 = true;
    cfg.disable_nonce_check = true;
    cfg.disable_block_gas_limit = true;
    cfg.tx_gas_limit_cap = Some(u64::MAX);
    cfg.tx_chain_id_check = false;
    let evm = handler::new_evm(BlockDb { state, hashes }, block, cfg, spec.hardfork(time));
    Ok((evm, tx))
}

fn call_env(request: &CallRequest, block_gas: u64, nonce: u64) -> Result<TxEnv, CallError> {
    let dynamic = request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some();
    if dynamic && request.gas_price.is_some() {
        return Err(CallError::Request(
            "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified",
        ));
    }
    let tip = request.max_priority_fee_per_gas;
    let mut tx = TxEnv {
        caller: request.from,
        gas_limit: request.gas.unwrap_or(block_gas),
        gas_price: request.gas_price.or(request.max_fee_per_gas).unwrap_or_default(),
        kind: request.to.map_or(TxKind::Create, TxKind::Call),
        value: request.value,
        data: request.data.clone(),
        nonce,
        chain_id: None,
        access_list: request.access_list.clone().unwrap_or_default(),
        gas_priority_fee: dynamic.then(|| tip.unwrap_or_default()),
        blob_hashes: request.blob_versioned_hashes.clone().unwrap_or_default(),
        max_fee_per_blob_gas: request.max_fee_per_blob_gas.unwrap_or_default(),
        authorization_list: request
            .authorization_list
            .iter()
            .flatten()
            .cloned()
            .map(Either::Left)
            .collect(),
        tx_type: 0,
    };
    tx.tx_type = if !tx.authorization_list.is_empty() {
        4
    } else if !tx.blob_hashes.is_empty() {
        3
    } else if dynamic {
        2
    } else {
        u8::from(request.access_list.is_some())
    };
    Ok(tx)
}

fn overridden(state: &State, overrides: &StateOverrides) -> Result<State, CallError> {
    let mut state = state.clone();
    for (address, change) in overrides {
        if change.state.is_some() && change.state_diff.is_some() {
            return Err(CallError::Request("account has both state and stateDiff overrides"));
        }
        let mut info = state.info(address)?.unwrap_or_default();
        info.balance = change.balance.unwrap_or(info.balance);
        info.nonce = change.nonce.unwrap_or(info.nonce);
        if let Some(code) = &change.code {
            let code_hash = keccak256(code);
            info = AccountInfo { code_hash, code: Some(bytecode(code.clone())), ..info };
        }
        let slots = change.state.iter().chain(&change.state_diff).flatten();
        let slots =
            slots.map(|(slot, value)| (U256::from_be_bytes(slot.0), U256::from_be_bytes(value.0)));
        state.set_account(address, info, change.state.is_some(), slots)?;
    }
    Ok(state)
}

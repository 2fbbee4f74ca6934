//! Calls, overrides and failures between JSON and the EVM, in geth's words.

use std::collections::HashMap;

use alloy_consensus::{
    Header, SignableTransaction, Signed, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy,
};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{Address, B256, Signature, TxKind, U64, U256};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_eth::state::{AccountOverride as RpcAccountOverride, StateOverride};
use jsonrpsee::types::ErrorObjectOwned;
use opal_evm::{
    AccountOverride, CallError, CallRequest, ExecutionResult, HaltReason, InvalidTransaction,
    StateOverrides,
};
use opal_protocol::TxEnvelope;
use serde::Deserialize;

use super::error::{self, RpcResult};
use super::gate::Deadline;

/// Longest init code (EIP-3860).
const MAX_INIT_CODE: usize = 49_152;

/// Header fields that a call may set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BlockOverrides {
    pub number: Option<U256>,
    /// Taken and left alone: a proof-of-stake chain has none.
    #[serde(rename = "difficulty")]
    _difficulty: Option<U256>,
    pub time: Option<U64>,
    pub gas_limit: Option<U64>,
    #[serde(alias = "coinbase")]
    pub fee_recipient: Option<Address>,
    #[serde(alias = "random")]
    pub prev_randao: Option<B256>,
    #[serde(alias = "baseFee")]
    pub base_fee_per_gas: Option<U256>,
    pub blob_base_fee: Option<U256>,
    pub beacon_root: Option<B256>,
    pub withdrawals: Option<Withdrawals>,
    /// Hashes of earlier blocks by number (decimal).
    pub block_hash: Option<HashMap<String, B256>>,
}

fn too_large(name: &str) -> ErrorObjectOwned {
    error::invalid_params(format!("block override {name} is too large"))
}

impl BlockOverrides {
    /// The base fee, in wei.
    pub fn base_fee(&self) -> RpcResult<Option<u64>> {
        let narrow = |fee| u64::try_from(fee).map_err(|_| too_large("baseFeePerGas"));
        self.base_fee_per_gas.map(narrow).transpose()
    }

    /// The price of blob gas, in wei.
    pub fn blob_fee(&self) -> RpcResult<Option<u128>> {
        let narrow = |fee| u128::try_from(fee).map_err(|_| too_large("blobBaseFee"));
        self.blob_base_fee.map(narrow).transpose()
    }

    pub fn number(&self) -> RpcResult<Option<u64>> {
        self.number.map(|n| u64::try_from(n).map_err(|_| too_large("number"))).transpose()
    }

    /// Puts the overrides of a single call in force.
    pub fn apply(&self, header: &mut Header) -> RpcResult<()> {
        for (name, set) in [
            ("beaconRoot", self.beacon_root.is_some()),
            ("withdrawals", self.withdrawals.is_some()),
        ] {
            if set {
                return Err(error::server(format!(
                    "block override \"{name}\" is not supported for this RPC method"
                )));
            }
        }
        header.number = self.number()?.unwrap_or(header.number);
        header.timestamp = self.time.map_or(header.timestamp, |time| time.to());
        header.gas_limit = self.gas_limit.map_or(header.gas_limit, |gas| gas.to());
        header.beneficiary = self.fee_recipient.unwrap_or(header.beneficiary);
        header.mix_hash = self.prev_randao.unwrap_or(header.mix_hash);
        header.base_fee_per_gas = self.base_fee()?.or(header.base_fee_per_gas);
        Ok(())
    }

    /// The hash that an override gives to an earlier block.
    pub fn hash_of(&self, number: u64) -> Option<B256> {
        self.block_hash.as_ref()?.get(&number.to_string()).copied()
    }
}

/// Overrides by account.
pub(super) fn state_overrides(overrides: Option<StateOverride>) -> StateOverrides {
    let overrides = overrides.unwrap_or_default().into_iter();
    overrides.map(|(address, account)| (address, account_override(account))).collect()
}

fn account_override(account: RpcAccountOverride) -> AccountOverride {
    AccountOverride {
        balance: account.balance,
        nonce: account.nonce,
        code: account.code,
        state: account.state.map(|slots| slots.into_iter().collect()),
        state_diff: account.state_diff.map(|slots| slots.into_iter().collect()),
        move_precompile_to: account.move_precompile_to,
    }
}

/// A call as the EVM takes it.
pub(super) fn call_request(request: TransactionRequest, chain_id: u64) -> RpcResult<CallRequest> {
    if let Some(have) = request.chain_id.filter(|have| *have != chain_id) {
        let text = format!("chainId does not match node's (have={have}, want={chain_id})");
        return Err(error::server(text));
    }
    let data = request.input.unique_input().map_err(|_| {
        error::server(
            "both \"data\" and \"input\" are set and not equal. Please use \"input\" to pass \
             transaction call data",
        )
    })?;
    Ok(CallRequest {
        from: request.from.unwrap_or_default(),
        to: match request.to {
            Some(TxKind::Call(to)) => Some(to),
            Some(TxKind::Create) | None => None,
        },
        value: request.value.unwrap_or_default(),
        gas: request.gas,
        gas_price: request.gas_price,
        max_fee_per_gas: request.max_fee_per_gas,
        max_priority_fee_per_gas: request.max_priority_fee_per_gas,
        data: data.cloned().unwrap_or_default(),
        access_list: request.access_list,
        authorization_list: request.authorization_list,
        nonce: request.nonce,
        blob_versioned_hashes: request.blob_versioned_hashes,
        max_fee_per_blob_gas: request.max_fee_per_blob_gas,
    })
}

/// The transaction that a call would be, with a signature of zeros. Nonce and gas are those of the
/// request.
pub(super) fn unsigned(request: &CallRequest, chain_id: u64) -> TxEnvelope {
    let CallRequest { value, data: input, .. } = request.clone();
    let nonce = request.nonce.unwrap_or_default();
    let gas_limit = request.gas.unwrap_or_default();
    let kind = request.to.map_or(TxKind::Create, TxKind::Call);
    let to = request.to.unwrap_or_default();
    let access_list = request.access_list.clone().unwrap_or_default();
    let max_fee_per_gas = request.max_fee_per_gas.unwrap_or_default();
    let max_priority_fee_per_gas = request.max_priority_fee_per_gas.unwrap_or_default();
    if let Some(authorization_list) = request.authorization_list.clone() {
        return TxEnvelope::Eip7702(sign(TxEip7702 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to,
            value,
            access_list,
            authorization_list,
            input,
        }));
    }
    if let Some(blob_versioned_hashes) = request.blob_versioned_hashes.clone() {
        return TxEnvelope::Eip4844(sign(TxEip4844 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to,
            value,
            access_list,
            blob_versioned_hashes,
            max_fee_per_blob_gas: request.max_fee_per_blob_gas.unwrap_or_default(),
            input,
        }));
    }
    match request.gas_price {
        None => TxEnvelope::Eip1559(sign(TxEip1559 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to: kind,
            value,
            access_list,
            input,
        })),
        Some(gas_price) if request.access_list.is_some() => TxEnvelope::Eip2930(sign(TxEip2930 {
            chain_id,
            nonce,
            gas_price,
            gas_limit,
            to: kind,
            value,
            access_list,
            input,
        })),
        Some(gas_price) => TxEnvelope::Legacy(sign(TxLegacy {
            chain_id: Some(chain_id),
            nonce,
            gas_price,
            gas_limit,
            to: kind,
            value,
            input,
        })),
    }
}

fn sign<T: SignableTransaction<Signature> + alloy_consensus::transaction::RlpEcdsaEncodableTx>(
    tx: T,
) -> Signed<T> {
    let signature = Signature::new(U256::ZERO, U256::ZERO, false);
    Signed::new_unhashed(tx, signature)
}

/// Why a call was refused: code and text. The code is that of `eth_simulateV1`; `eth_call` has one
/// for all.
pub(super) fn refusal(
    error: &InvalidTransaction,
    request: &CallRequest,
    base_fee: u64,
) -> (i32, String) {
    use InvalidTransaction as E;
    let from = request.from;
    let fee_cap = request.max_fee_per_gas.or(request.gas_price).unwrap_or_default();
    match error {
        E::NonceTooHigh { tx, state } => {
            (-38011, format!("nonce too high: address {from}, tx: {tx} state: {state}"))
        }
        E::NonceTooLow { tx, state } => {
            (-38010, format!("nonce too low: address {from}, tx: {tx} state: {state}"))
        }
        E::NonceOverflowInTransaction => {
            (-32603, format!("nonce has max value: address {from}, nonce: {}", u64::MAX))
        }
        E::GasPriceLessThanBasefee => (
            -38012,
            format!(
                "max fee per gas less than block base fee: address {from}, maxFeePerGas: \
                 {fee_cap}, baseFee: {base_fee}"
            ),
        ),
        E::PriorityFeeGreaterThanMaxFee => (
            -32602,
            format!(
                "max priority fee per gas higher than max fee per gas: address {from}, \
                 maxPriorityFeePerGas: {}, maxFeePerGas: {fee_cap}",
                request.max_priority_fee_per_gas.unwrap_or_default()
            ),
        ),
        E::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            (-38013, format!("intrinsic gas too low: have {gas_limit}, want {initial_gas}"))
        }
        E::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => (
            -38013,
            format!("insufficient gas for floor data gas cost: have {gas_limit}, want {gas_floor}"),
        ),
        E::LackOfFundForMaxFee { fee, balance } => (
            -38014,
            format!(
                "insufficient funds for gas * price + value: address {from} have {balance} want \
                 {fee}"
            ),
        ),
        E::OverflowPaymentInTransaction => (
            -38014,
            format!(
                "insufficient funds for gas * price + value: address {from} required balance \
                 exceeds 256 bits"
            ),
        ),
        E::RejectCallerWithCode => (-38024, format!("sender not an eoa: address {from}")),
        E::CreateInitCodeSizeLimit => (
            -38025,
            format!(
                "max initcode size exceeded: code size {} limit {MAX_INIT_CODE}",
                request.data.len()
            ),
        ),
        E::BlobGasPriceGreaterThanMax { block_blob_gas_price, tx_max_fee_per_blob_gas } => (
            -32603,
            format!(
                "max fee per blob gas less than block blob gas fee: address {from} \
                 blobGasFeeCap: {tx_max_fee_per_blob_gas}, blobBaseFee: {block_blob_gas_price}"
            ),
        ),
        E::EmptyBlobs => (-32603, "blob transaction missing blob hashes".to_string()),
        E::BlobCreateTransaction => (-32603, "blob transaction of type create".to_string()),
        E::TooManyBlobs { max, have } => {
            (-32603, format!("blob transaction has too many blobs: have {have}, permitted {max}"))
        }
        E::EmptyAuthorizationList => {
            (-32603, format!("EIP-7702 transaction with empty auth list (sender {from})"))
        }
        other => (-32603, other.to_string()),
    }
}

/// A call that could not be run, as `eth_call` says it.
pub(super) fn call_error(
    error: CallError,
    request: &CallRequest,
    base_fee: u64,
    gas: u64,
    deadline: &Deadline,
) -> ErrorObjectOwned {
    match error {
        CallError::Invalid(invalid) => {
            let (_, text) = refusal(&invalid, request, base_fee);
            error::server(format!("err: {text} (supplied gas {gas})"))
        }
        CallError::Stopped => deadline.error(),
        other => error::server(other.to_string()),
    }
}

/// What a call returned, or why it failed.
pub(super) fn returned(result: ExecutionResult<HaltReason>) -> RpcResult<alloy_primitives::Bytes> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data()),
        ExecutionResult::Revert { output, .. } => Err(error::reverted(&output)),
        ExecutionResult::Halt { reason, .. } => Err(error::server(halt_text(&reason))),
    }
}

/// Why code stopped, in geth's words.
pub(super) fn halt_text(reason: &HaltReason) -> String {
    use HaltReason as R;
    match reason {
        R::OutOfGas(_) => "out of gas",
        R::InvalidFEOpcode => "invalid opcode: INVALID",
        R::OpcodeNotFound | R::NotActivated => "invalid opcode",
        R::InvalidJump => "invalid jump destination",
        R::StackUnderflow => "stack underflow",
        R::StackOverflow => "stack limit reached 1024 (1023)",
        R::OutOfOffset => "return data out of bounds",
        R::CreateCollision => "contract address collision",
        R::NonceOverflow => "nonce uint64 overflow",
        R::CreateContractSizeLimit => "max code size exceeded",
        R::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        R::CreateInitCodeSizeLimit => "max initcode size exceeded",
        R::StateChangeDuringStaticCall | R::CallNotAllowedInsideStatic => "write protection",
        R::OutOfFunds => "insufficient balance for transfer",
        R::CallTooDeep => "max call depth exceeded",
        R::PrecompileErrorWithContext(text) => return text.clone(),
        other => return other.to_string(),
    }
    .to_string()
}

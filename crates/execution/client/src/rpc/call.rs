//! `eth_call` and `eth_estimateGas`.

use alloy_consensus::Header;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Bytes, TxKind, U64, U256};
use alloy_rpc_types_eth::state::{AccountOverride as RpcAccountOverride, StateOverride};
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest};
use jsonrpsee::types::ErrorObjectOwned;
use opal_evm::{
    AccountOverride, CallError, CallRequest, ExecutionResult, HaltReason, InvalidTransaction,
    State, StateOverrides,
};
use revm::primitives::eip7825::TX_GAS_LIMIT_CAP;
use revm::primitives::hardfork::SpecId;

use super::error::{self, RpcResult};
use super::{Registry, Rpc};

/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;
/// Gas that a call with value hands to the callee, which the first guess must cover.
const CALL_STIPEND: u64 = 2_300;
/// The search stops when it is this close, in parts of a thousand.
const ESTIMATE_TOLERANCE: u64 = 15;

pub(super) fn register(registry: &mut Registry) {
    registry.blocking("eth_call", |rpc, params| {
        let mut params = params.sequence();
        let request: TransactionRequest = params.next()?;
        let block: Option<BlockId> = params.optional_next()?;
        let state: Option<StateOverride> = params.optional_next()?;
        let header: Option<BlockOverrides> = params.optional_next()?;
        let call = Call::new(rpc, request, block, state, header)?;
        call.run(None)?.map_err(call_error).and_then(returned)
    });
    registry.blocking("eth_estimateGas", |rpc, params| {
        let mut params = params.sequence();
        let request: TransactionRequest = params.next()?;
        let block: Option<BlockId> = params.optional_next()?;
        let state: Option<StateOverride> = params.optional_next()?;
        let header: Option<BlockOverrides> = params.optional_next()?;
        Ok(U64::from(Call::new(rpc, request, block, state, header)?.estimate()?))
    });
}

/// One call with everything it runs on.
struct Call<'a> {
    rpc: &'a Rpc,
    request: CallRequest,
    header: Header,
    block_hash: alloy_primitives::B256,
    state: State,
    overrides: StateOverrides,
}

type Outcome = Result<ExecutionResult<HaltReason>, CallError>;

impl<'a> Call<'a> {
    fn new(
        rpc: &'a Rpc,
        request: TransactionRequest,
        block: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<BlockOverrides>,
    ) -> RpcResult<Self> {
        let (stored, state) = rpc.state(block)?;
        let pending = block == Some(BlockId::Number(BlockNumberOrTag::Pending));
        let mut header = if pending { rpc.pending_header() } else { stored.block.header().clone() };
        if let Some(overrides) = block_overrides {
            apply_block_overrides(&mut header, overrides)?;
        }
        let overrides = state_overrides.unwrap_or_default();
        let overrides = overrides
            .into_iter()
            .map(|(address, account)| Ok((address, account_override(account)?)))
            .collect::<RpcResult<_>>()?;
        let block_hash = stored.block.hash;
        Ok(Self { rpc, request: call_request(request)?, header, block_hash, state, overrides })
    }

    /// Runs the call with this gas limit, or with the request's or the node's.
    fn run(&self, gas: Option<u64>) -> RpcResult<Outcome> {
        let limit = self.rpc.config.call_gas_limit;
        let gas = gas.or(self.request.gas).map_or(limit, |gas| gas.min(limit));
        let request = CallRequest { gas: Some(gas), ..self.request.clone() };
        let chain = &self.rpc.chain;
        // A block number from an override may lie beyond the chain: no such block has a hash.
        let hashes =
            |number| Some(chain.ancestor_hash(self.block_hash, number).unwrap_or_default());
        let outcome = opal_evm::call(
            chain.spec(),
            &self.header,
            &self.state,
            &request,
            &self.overrides,
            &hashes,
        );
        match outcome {
            Err(CallError::State(error)) => Err(error::server(error.to_string())),
            other => Ok(other),
        }
    }

    /// The least gas limit with which the call succeeds, within 1.5 %.
    fn estimate(&self) -> RpcResult<u64> {
        let highest = self.highest_gas()?;
        if self.is_transfer()? && self.succeeds(TRANSFER_GAS)? {
            return Ok(TRANSFER_GAS);
        }
        let used = match self.run(Some(highest))? {
            Ok(ExecutionResult::Success { gas, .. }) => gas,
            Ok(ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. })
            | Err(CallError::Invalid(
                InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
                | InvalidTransaction::GasFloorMoreThanGasLimit { .. },
            )) => {
                return Err(error::server(format!("gas required exceeds allowance ({highest})")));
            }
            Ok(failed) => return Err(failure(failed)),
            Err(error) => return Err(call_error(error)),
        };
        let (mut low, mut high) = (used.tx_gas_used().saturating_sub(1), highest);
        // What the call spent before refunds, and what EIP-150 holds back from subcalls.
        let guess = (used.tx_gas_used() + used.final_refunded() + CALL_STIPEND) / 63 * 64 + 64;
        if guess < high {
            if self.succeeds(guess)? {
                high = guess;
            } else {
                low = guess;
            }
        }
        while low + 1 < high {
            if high - low < high / 1000 * ESTIMATE_TOLERANCE {
                break;
            }
            // Most calls need little more than they use: look near the lower end first.
            let middle = (low + (high - low) / 2).min(low.saturating_mul(2).max(low + 1));
            if self.succeeds(middle)? {
                high = middle;
            } else {
                low = middle;
            }
        }
        Ok(high)
    }

    /// Upper end of the search: the request's limit or the block's, the caps, and what the sender
    /// can pay for.
    fn highest_gas(&self) -> RpcResult<u64> {
        let asked = self.request.gas.filter(|gas| *gas >= TRANSFER_GAS);
        let mut highest =
            asked.unwrap_or(self.header.gas_limit).min(self.rpc.config.call_gas_limit);
        let spec = self.rpc.chain.spec().evm_spec(self.header.timestamp);
        if spec.is_enabled_in(SpecId::OSAKA) {
            highest = highest.min(TX_GAS_LIMIT_CAP);
        }
        let price = self.request.gas_price.or(self.request.max_fee_per_gas).unwrap_or_default();
        if price == 0 {
            return Ok(highest);
        }
        let overridden = self.overrides.get(&self.request.from).and_then(|o| o.balance);
        let balance = match overridden {
            Some(balance) => balance,
            None => {
                let account = self.state.account(&self.request.from);
                account.map_err(|e| error::server(e.to_string()))?.unwrap_or_default().balance
            }
        };
        let Some(available) = balance.checked_sub(self.request.value) else {
            return Err(error::server("insufficient funds for transfer"));
        };
        let affordable = available / U256::from(price);
        Ok(u64::try_from(affordable).map_or(highest, |gas| gas.min(highest)))
    }

    fn is_transfer(&self) -> RpcResult<bool> {
        let request = &self.request;
        let Some(to) = request.to else { return Ok(false) };
        let plain = request.data.is_empty()
            && request.access_list.is_none()
            && request.authorization_list.is_none();
        if !plain || self.overrides.get(&to).is_some_and(|o| o.code.is_some()) {
            return Ok(false);
        }
        let code = self.state.code(&to).map_err(|e| error::server(e.to_string()))?;
        Ok(code.is_empty())
    }

    /// Whether the call succeeds with this much gas; too little for the call to begin is a no.
    fn succeeds(&self, gas: u64) -> RpcResult<bool> {
        match self.run(Some(gas))? {
            Ok(result) => Ok(result.is_success()),
            Err(CallError::Invalid(
                InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
                | InvalidTransaction::GasFloorMoreThanGasLimit { .. },
            )) => Ok(false),
            Err(error) => Err(call_error(error)),
        }
    }
}

fn returned(result: ExecutionResult<HaltReason>) -> RpcResult<Bytes> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data()),
        failed => Err(failure(failed)),
    }
}

fn failure(result: ExecutionResult<HaltReason>) -> ErrorObjectOwned {
    match result {
        ExecutionResult::Revert { output, .. } => error::reverted(&output),
        ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. } => {
            error::server("out of gas")
        }
        ExecutionResult::Halt { reason: HaltReason::InvalidFEOpcode, .. } => {
            error::server("invalid opcode: INVALID")
        }
        ExecutionResult::Halt { reason: HaltReason::OpcodeNotFound, .. } => {
            error::server("invalid opcode")
        }
        ExecutionResult::Halt { reason, .. } => error::server(reason.to_string()),
        ExecutionResult::Success { .. } => error::server("execution succeeded"),
    }
}

/// geth's texts for what clients match on.
fn call_error(error: CallError) -> ErrorObjectOwned {
    error::server(match error {
        CallError::Invalid(InvalidTransaction::LackOfFundForMaxFee { fee, balance }) => {
            format!("insufficient funds for gas * price + value: have {balance} want {fee}")
        }
        CallError::Invalid(InvalidTransaction::CallGasCostMoreThanGasLimit {
            initial_gas,
            gas_limit,
        }) => format!("intrinsic gas too low: have {gas_limit}, want {initial_gas}"),
        CallError::Invalid(InvalidTransaction::GasPriceLessThanBasefee) => {
            "max fee per gas less than block base fee".to_string()
        }
        CallError::Invalid(InvalidTransaction::PriorityFeeGreaterThanMaxFee) => {
            "max priority fee per gas higher than max fee per gas".to_string()
        }
        CallError::Invalid(InvalidTransaction::CreateInitCodeSizeLimit) => {
            "max initcode size exceeded".to_string()
        }
        other => other.to_string(),
    })
}

fn call_request(request: TransactionRequest) -> RpcResult<CallRequest> {
    let data = request.input.unique_input().map_err(|_| {
        error::invalid_params(
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

fn account_override(account: RpcAccountOverride) -> RpcResult<AccountOverride> {
    if account.move_precompile_to.is_some() {
        return Err(error::invalid_params("movePrecompileToAddress is not supported"));
    }
    Ok(AccountOverride {
        balance: account.balance,
        nonce: account.nonce,
        code: account.code,
        state: account.state.map(|slots| slots.into_iter().collect()),
        state_diff: account.state_diff.map(|slots| slots.into_iter().collect()),
    })
}

fn apply_block_overrides(header: &mut Header, overrides: BlockOverrides) -> RpcResult<()> {
    let BlockOverrides {
        number,
        time,
        gas_limit,
        coinbase,
        random,
        base_fee,
        difficulty: _,
        blob_base_fee,
        beacon_root,
        block_hash,
        ..
    } = overrides;
    if blob_base_fee.is_some() || beacon_root.is_some() || block_hash.is_some() {
        return Err(error::invalid_params(
            "block overrides of blob base fee, beacon root and block hashes are not supported",
        ));
    }
    let narrow = |value: U256, name: &str| {
        u64::try_from(value)
            .map_err(|_| error::invalid_params(format!("block override {name} is too large")))
    };
    if let Some(number) = number {
        header.number = narrow(number, "number")?;
    }
    if let Some(base_fee) = base_fee {
        header.base_fee_per_gas = Some(narrow(base_fee, "baseFeePerGas")?);
    }
    header.timestamp = time.unwrap_or(header.timestamp);
    header.gas_limit = gas_limit.unwrap_or(header.gas_limit);
    header.beneficiary = coinbase.unwrap_or(header.beneficiary);
    header.mix_hash = random.unwrap_or(header.mix_hash);
    Ok(())
}

//! `eth_call`, `eth_estimateGas` and `eth_createAccessList`.

use alloy_consensus::Header;
use alloy_eips::eip2930::AccessList;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, U64, U256};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_eth::state::StateOverride;
use jsonrpsee::types::ErrorObjectOwned;
use opal_evm::{
    CallBlock, CallError, CallRequest, EvmContext, ExecutionResult, HaltReason, Inspected,
    InvalidTransaction, OverriddenState, State,
};
use revm::Inspector;
use revm::context::BlockEnv;
use revm::primitives::eip7825::TX_GAS_LIMIT_CAP;
use revm::primitives::hardfork::SpecId;
use serde::Serialize;

use super::error::{self, RpcResult};
use super::gate::Deadline;
use super::params::Args;
use super::request::{
    BlockOverrides, call_error, call_request, halt_text, refusal, returned, state_overrides,
};
use super::{Cost, Registry, Rpc};

/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;
/// Gas that a call with value hands to the callee, which the first guess must cover.
const CALL_STIPEND: u64 = 2_300;
/// The search stops when it is this close, in parts of a thousand.
const ESTIMATE_TOLERANCE: u64 = 15;
/// Gas that one authorization costs at least (EIP-7702).
const AUTHORIZATION_GAS: u64 = 25_000;

/// The answer of `eth_createAccessList`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CreatedAccessList {
    access_list: AccessList,
    /// Why the call failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    gas_used: U64,
}

pub(super) fn register(registry: &mut Registry) {
    registry.at_block("eth_call", 1, Cost::Expensive, |rpc, params| {
        returned(Call::parse(rpc, params)?.run(None)?)
    });
    registry.at_block("eth_estimateGas", 1, Cost::Expensive, |rpc, params| {
        Call::parse(rpc, params)?.estimate().map(U64::from)
    });
    registry.at_block("eth_createAccessList", 1, Cost::Expensive, |rpc, params| {
        Call::parse(rpc, params)?.access_list()
    });
}

/// One call with everything it runs on.
pub(super) struct Call<'a> {
    rpc: &'a Rpc,
    request: CallRequest,
    header: Header,
    block_hash: B256,
    state: OverriddenState,
    overrides: BlockOverrides,
    blob_base_fee: Option<u128>,
    deadline: Deadline,
}

type Outcome = Result<ExecutionResult<HaltReason>, CallError>;

impl<'a> Call<'a> {
    /// Reads request, block, state overrides and block overrides.
    fn parse(rpc: &'a Rpc, params: &Args<'_>) -> RpcResult<Self> {
        let mut params = params.sequence();
        let request: TransactionRequest = params.next()?;
        let block: Option<BlockId> = params.optional_next()?;
        let state: Option<StateOverride> = params.optional_next()?;
        let overrides: Option<BlockOverrides> = params.optional_next()?;
        Self::new(rpc, request, block, state, overrides.unwrap_or_default())
    }

    pub(super) fn new(
        rpc: &'a Rpc,
        request: TransactionRequest,
        block: Option<BlockId>,
        state: Option<StateOverride>,
        overrides: BlockOverrides,
    ) -> RpcResult<Self> {
        let (stored, before) = rpc.state(block)?;
        let pending = block == Some(BlockId::Number(BlockNumberOrTag::Pending));
        let header = if pending { rpc.pending_header() } else { stored.block.header().clone() };
        Self::on_state(rpc, request, (header, stored.block.hash), &before, state, overrides)
    }

    /// Like [`Call::new`], in the block of this header and with this hash, but on any state.
    pub(super) fn on_state(
        rpc: &'a Rpc,
        request: TransactionRequest,
        (mut header, block_hash): (Header, B256),
        before: &State,
        state: Option<StateOverride>,
        overrides: BlockOverrides,
    ) -> RpcResult<Self> {
        overrides.apply(&mut header)?;
        let spec = rpc.chain.spec();
        let accounts = state_overrides(state);
        let state = OverriddenState::new(spec, header.timestamp, before, &accounts);
        Ok(Self {
            rpc,
            request: call_request(request, spec.chain_id)?,
            header,
            block_hash,
            state: state.map_err(|error| error::server(error.to_string()))?,
            blob_base_fee: overrides.blob_fee()?,
            overrides,
            deadline: rpc.deadline(),
        })
    }

    /// Does something in the call's block.
    fn in_block<T>(&self, act: impl FnOnce(&CallBlock<'_>) -> T) -> T {
        let chain = &self.rpc.chain;
        // A block number from an override may lie beyond the chain: no such block has a hash.
        let hashes = |number| {
            let own = self.overrides.hash_of(number);
            let hash = own.or_else(|| chain.ancestor_hash(self.block_hash, number));
            Some(hash.unwrap_or_default())
        };
        let stop = || self.deadline.passed();
        act(&CallBlock {
            spec: chain.spec(),
            header: &self.header,
            blob_base_fee: self.blob_base_fee,
            state: &self.state,
            hashes: &hashes,
            stop: Some(&stop),
        })
    }

    /// Of the call's block, in wei.
    fn base_fee(&self) -> u64 {
        self.header.base_fee_per_gas.unwrap_or_default()
    }

    /// The gas limit of a run: this one, or the request's, or the node's.
    fn gas(&self, gas: Option<u64>) -> u64 {
        let limit = self.rpc.config.call_gas_limit;
        gas.or(self.request.gas).map_or(limit, |gas| gas.min(limit))
    }

    /// Runs the call under an inspector, which has to stop it if need be.
    pub(super) fn inspect<I>(&self, inspector: &mut I) -> RpcResult<(Inspected, BlockEnv)>
    where
        I: for<'b> Inspector<EvmContext<'b>>,
    {
        let gas = self.gas(None);
        let request = CallRequest { gas: Some(gas), ..self.request.clone() };
        self.in_block(|block| block.inspect(&request, inspector))
            .map_err(|error| call_error(error, &request, self.base_fee(), gas, &self.deadline))
    }

    fn try_run(&self, gas: u64) -> Outcome {
        let request = CallRequest { gas: Some(gas), ..self.request.clone() };
        self.in_block(|block| block.call(&request))
    }

    fn run(&self, gas: Option<u64>) -> RpcResult<ExecutionResult<HaltReason>> {
        let gas = self.gas(gas);
        self.try_run(gas)
            .map_err(|error| call_error(error, &self.request, self.base_fee(), gas, &self.deadline))
    }

    fn access_list(&self) -> RpcResult<CreatedAccessList> {
        let gas = self.gas(None);
        let authorizations = self.request.authorization_list.iter().flatten().count() as u64;
        if authorizations > gas / AUTHORIZATION_GAS {
            return Err(error::server("insufficient gas to process all authorizations"));
        }
        let request = CallRequest { gas: Some(gas), ..self.request.clone() };
        let created = self.in_block(|block| block.access_list(&request));
        let (access_list, result) = created.map_err(|error| match error {
            CallError::Invalid(invalid) => {
                let (_, text) = refusal(&invalid, &request, self.base_fee());
                error::server(format!("failed to apply transaction: err: {text}"))
            }
            other => call_error(other, &request, self.base_fee(), gas, &self.deadline),
        })?;
        let error = match &result {
            ExecutionResult::Success { .. } => None,
            ExecutionResult::Revert { .. } => Some("execution reverted".to_string()),
            ExecutionResult::Halt { reason, .. } => Some(halt_text(reason)),
        };
        Ok(CreatedAccessList { access_list, error, gas_used: U64::from(result.tx_gas_used()) })
    }

    /// The least gas limit with which the call succeeds, within 1.5 %.
    pub(super) fn estimate(&self) -> RpcResult<u64> {
        let highest = self.highest_gas()?;
        if self.is_transfer()? && self.succeeds(TRANSFER_GAS)? {
            return Ok(TRANSFER_GAS);
        }
        let used = match self.try_run(highest) {
            Ok(ExecutionResult::Success { gas, .. }) => gas,
            Ok(ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. })
            | Err(CallError::Invalid(
                InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
                | InvalidTransaction::GasFloorMoreThanGasLimit { .. },
            )) => {
                return Err(error::server(format!("gas required exceeds allowance ({highest})")));
            }
            Ok(failed) => {
                returned(failed)?;
                return Err(error::internal("a call that succeeded counts as failed"));
            }
            Err(error) => return Err(self.failed(error, highest)),
        };
        let (mut low, mut high) = (used.tx_gas_used().saturating_sub(1), highest);
        // What the call spent before refunds, and what EIP-150 holds back from subcalls.
        let spent = used.total_gas_spent().max(used.floor_gas());
        let guess = spent.saturating_add(CALL_STIPEND).saturating_mul(64) / 63;
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

    /// A call that an estimate could not run.
    fn failed(&self, error: CallError, gas: u64) -> ErrorObjectOwned {
        match error {
            CallError::Invalid(invalid) => {
                let (_, text) = refusal(&invalid, &self.request, self.base_fee());
                error::server(format!("failed with {gas} gas: {text}"))
            }
            other => call_error(other, &self.request, self.base_fee(), gas, &self.deadline),
        }
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
        let account = self.state.state().account(&self.request.from);
        let account = account.map_err(|error| error::server(error.to_string()))?;
        let balance = account.unwrap_or_default().balance;
        let Some(available) =
            balance.checked_sub(self.request.value).filter(|left| !left.is_zero())
        else {
            return Err(error::server("insufficient funds for transfer"));
        };
        let affordable = available / U256::from(price);
        Ok(u64::try_from(affordable).map_or(highest, |gas| gas.min(highest)))
    }

    fn is_transfer(&self) -> RpcResult<bool> {
        let request = &self.request;
        let Some(to) = request.to.filter(|_| request.data.is_empty()) else { return Ok(false) };
        let code = self.state.state().code(&to);
        Ok(code.map_err(|error| error::server(error.to_string()))?.is_empty())
    }

    /// Whether the call succeeds with this much gas; too little for the call to begin is a no.
    fn succeeds(&self, gas: u64) -> RpcResult<bool> {
        self.deadline.check()?;
        match self.try_run(gas) {
            Ok(result) => Ok(result.is_success()),
            Err(CallError::Invalid(
                InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
                | InvalidTransaction::GasFloorMoreThanGasLimit { .. },
            )) => Ok(false),
            Err(error) => Err(self.failed(error, gas)),
        }
    }
}

//! `eth_simulateV1`: blocks of calls on top of a block, with overrides of both.
//!
//! Spec: execution-apis, `eth_simulateV1`. Gaps between the blocks asked for are filled with empty
//! ones; a block's calls see those before them; nothing is kept.

use std::collections::HashMap;

use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, U64};
use alloy_rpc_types_eth::state::StateOverride;
use alloy_rpc_types_eth::{Block, BlockTransactions, Log, TransactionRequest};
use opal_evm::{
    BlockExecutor, BlockInput, CallError, CallRequest, ExecutedBlock, ExecutionResult, HaltReason,
    OverriddenState, Parent, Simulation, State,
};
use opal_protocol::{SealedBlock, TxEnvelope};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::blocks::to_value;
use super::error::{self, RpcResult};
use super::gate::Deadline;
use super::request::{BlockOverrides, call_request, halt_text, refusal, state_overrides, unsigned};
use super::types::{self, Position, RpcBlock, RpcTransaction};
use super::{Cost, Registry, Rpc};

/// Blocks of one simulation, the filled-in ones included.
const MAX_BLOCKS: u64 = 256;
/// Calls of one block.
const MAX_CALLS_PER_BLOCK: usize = 5_000;
/// Calls of one simulation.
const MAX_CALLS: usize = 10_000;
/// Seconds between blocks whose time is not given.
const TIME_INCREMENT: u64 = 12;

/// Code of a call that failed otherwise than by a revert.
const VM_ERROR: i32 = -32015;
/// Code of a call that reverted.
const REVERTED: i32 = 3;
const BLOCK_GAS_LIMIT_REACHED: i32 = -38015;
const BLOCK_NUMBER_INVALID: i32 = -38020;
const BLOCK_TIMESTAMP_INVALID: i32 = -38021;
const CLIENT_LIMIT_EXCEEDED: i32 = -38026;

pub(super) fn register(registry: &mut Registry) {
    registry.at_block("eth_simulateV1", 1, Cost::Expensive, |rpc, params| {
        let mut params = params.sequence();
        let payload: Payload = params.next()?;
        let block: Option<BlockId> = params.optional_next()?;
        rpc.simulate(payload, block)
    });
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    #[serde(default)]
    block_state_calls: Vec<BlockCalls>,
    #[serde(default)]
    trace_transfers: bool,
    #[serde(default)]
    validation: bool,
    #[serde(default)]
    return_full_transactions: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BlockCalls {
    block_overrides: Option<BlockOverrides>,
    state_overrides: Option<StateOverride>,
    calls: Vec<TransactionRequest>,
}

/// A block with number and time fixed.
struct Planned {
    number: u64,
    time: u64,
    overrides: BlockOverrides,
    state: Option<StateOverride>,
    calls: Vec<TransactionRequest>,
}

/// What became of a call.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallResult {
    return_data: Bytes,
    logs: Vec<Log>,
    gas_used: U64,
    max_used_gas: U64,
    status: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

#[derive(Serialize)]
struct Failure {
    message: String,
    code: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Bytes>,
}

#[derive(Serialize)]
struct Simulated {
    #[serde(flatten)]
    block: RpcBlock,
    calls: Vec<CallResult>,
}

/// Refuses what is too much, before anything is computed.
fn check_size(blocks: &[BlockCalls]) -> RpcResult<()> {
    let limit = |text: String| Err(error::coded(CLIENT_LIMIT_EXCEEDED, text));
    if blocks.is_empty() {
        return Err(error::invalid_params("empty input"));
    }
    if blocks.len() as u64 > MAX_BLOCKS {
        return limit("too many blocks".into());
    }
    let mut all = 0;
    for block in blocks {
        let calls = block.calls.len();
        if calls > MAX_CALLS_PER_BLOCK {
            return limit(format!("too many calls in block: {calls} > {MAX_CALLS_PER_BLOCK}"));
        }
        all += calls;
        if all > MAX_CALLS {
            return limit(format!("too many calls: {all} > {MAX_CALLS}"));
        }
    }
    Ok(())
}

/// Fixes numbers and times, and fills gaps.
fn plan(blocks: Vec<BlockCalls>, base: &SealedBlock) -> RpcResult<Vec<Planned>> {
    let (first, mut time) = (base.header().number, base.header().timestamp);
    let mut last = first;
    let mut planned = Vec::new();
    for block in blocks {
        let overrides = block.block_overrides.unwrap_or_default();
        let number = overrides.number()?.unwrap_or(last.saturating_add(1));
        if number <= last {
            let text = format!("block numbers must be in order: {number} <= {last}");
            return Err(error::coded(BLOCK_NUMBER_INVALID, text));
        }
        if number - first > MAX_BLOCKS {
            return Err(error::coded(CLIENT_LIMIT_EXCEEDED, "too many blocks"));
        }
        for number in last + 1..number {
            time = time.saturating_add(TIME_INCREMENT);
            let overrides = BlockOverrides::default();
            planned.push(Planned { number, time, overrides, state: None, calls: Vec::new() });
        }
        let asked = overrides.time.map(|asked| asked.to::<u64>());
        let next = asked.unwrap_or(time.saturating_add(TIME_INCREMENT));
        if next <= time {
            let text = format!("block timestamps must be in order: {next} <= {time}");
            return Err(error::coded(BLOCK_TIMESTAMP_INVALID, text));
        }
        (time, last) = (next, number);
        let (state, calls) = (block.state_overrides, block.calls);
        planned.push(Planned { number, time, overrides, state, calls });
    }
    Ok(planned)
}

/// A simulation under way.
struct Run<'a> {
    rpc: &'a Rpc,
    base: B256,
    /// Hashes of the simulated blocks.
    hashes: HashMap<u64, B256>,
    /// Gas that all calls together may still use.
    budget: u64,
    validation: bool,
    trace_transfers: bool,
    full: bool,
    deadline: Deadline,
}

impl Rpc {
    fn simulate(&self, payload: Payload, block: Option<BlockId>) -> RpcResult<Vec<Value>> {
        check_size(&payload.block_state_calls)?;
        let (stored, mut state) = self.state(block)?;
        let mut parent = stored.block.clone();
        let planned = plan(payload.block_state_calls, &parent)?;
        let mut run = Run {
            rpc: self,
            base: parent.hash,
            hashes: HashMap::new(),
            budget: self.config.call_gas_limit,
            validation: payload.validation,
            trace_transfers: payload.trace_transfers,
            full: payload.return_full_transactions,
            deadline: self.deadline(),
        };
        let mut simulated = Vec::with_capacity(planned.len());
        for block in planned {
            run.deadline.check()?;
            let (shown, executed) = run.block(&parent, &state, block)?;
            run.hashes.insert(executed.block.header().number, executed.block.hash);
            (parent, state) = (executed.block, executed.state);
            simulated.push(shown);
        }
        Ok(simulated)
    }
}

impl Run<'_> {
    fn block(
        &mut self,
        parent: &SealedBlock,
        state: &State,
        block: Planned,
    ) -> RpcResult<(Value, ExecutedBlock)> {
        let spec = self.rpc.chain.spec();
        let Planned { number, time, overrides, state: accounts, calls } = block;
        let header = parent.header();
        let base_fee = match overrides.base_fee()? {
            Some(base_fee) => base_fee,
            None if self.validation => opal_evm::next_base_fee(spec, header, time),
            None => 0,
        };
        let withdrawals = overrides.withdrawals.clone().unwrap_or_default().into_inner();
        if spec.is_l2() && !withdrawals.is_empty() {
            return Err(error::invalid_params("an OP chain has no withdrawals of this kind"));
        }
        let input = BlockInput {
            timestamp: time,
            beneficiary: overrides.fee_recipient.unwrap_or(header.beneficiary),
            prev_randao: overrides.prev_randao.unwrap_or_default(),
            gas_limit: overrides.gas_limit.map_or(header.gas_limit, |gas| gas.to()),
            extra_data: Bytes::new(),
            parent_beacon_block_root: spec
                .has_beacon_root(time)
                .then(|| overrides.beacon_root.unwrap_or_default()),
            withdrawals: spec.has_withdrawals(time).then_some(withdrawals),
        };
        let accounts = state_overrides(accounts);
        let state = OverriddenState::new(spec, time, state, &accounts)
            .map_err(|error| error::server(error.to_string()))?;
        let (chain, base) = (&self.rpc.chain, self.base);
        let known = self.hashes.clone();
        let hashes = move |number| {
            let simulated = known.get(&number).copied();
            Some(simulated.or_else(|| chain.ancestor_hash(base, number)).unwrap_or_default())
        };
        let deadline = self.deadline;
        let stop = move || deadline.passed();
        let simulation = Simulation {
            base_fee,
            blob_base_fee: overrides.blob_fee()?,
            validation: self.validation,
            trace_transfers: self.trace_transfers,
            stop: Some(&stop),
        };
        let parent = Parent { hash: parent.hash, header };
        let mut executor =
            BlockExecutor::simulate(spec, parent, input, &state, &hashes, simulation)
                .map_err(|error| error::server(error.to_string()))?;
        let place = Place { number, time };
        let mut results = Vec::with_capacity(calls.len());
        let mut senders = Vec::with_capacity(calls.len());
        let mut logs = 0;
        for call in calls {
            deadline.check()?;
            let (request, capped) = self.request(&mut executor, call)?;
            let tx = unsigned(&request, spec.chain_id);
            let result = executor
                .simulate_call(&request, &tx)
                .map_err(|error| refused(error, &request, base_fee, &deadline))?;
            let used = result.tx_gas_used();
            self.budget = self.budget.checked_sub(used).ok_or_else(|| {
                error::server(format!(
                    "RPC gas cap exhausted: need {used}, remaining {}",
                    self.budget
                ))
            })?;
            let result = place.result(result, &tx, results.len(), logs, capped);
            logs += result.logs.len();
            senders.push(request.from);
            results.push(result);
        }
        let executed = executor.finish().map_err(|error| error::server(error.to_string()))?;
        for log in results.iter_mut().flat_map(|result| &mut result.logs) {
            log.block_hash = Some(executed.block.hash);
        }
        let block = show(&executed.block, &senders, self.full);
        Ok((to_value(Simulated { block, calls: results })?, executed))
    }

    /// The call with nonce and gas, and whether less gas is left for it than it asks for.
    fn request(
        &self,
        executor: &mut BlockExecutor<'_>,
        call: TransactionRequest,
    ) -> RpcResult<(CallRequest, bool)> {
        let mut request = call_request(call, self.rpc.chain.spec().chain_id)?;
        if request.nonce.is_none() {
            let nonce = executor.nonce(request.from);
            request.nonce = Some(nonce.map_err(|error| error::server(error.to_string()))?);
        }
        let left = executor.gas_left();
        let asked = request.gas.unwrap_or(left);
        if asked > left {
            return Err(error::coded(
                BLOCK_GAS_LIMIT_REACHED,
                format!("block gas limit reached: remaining: {left}, required: {asked}"),
            ));
        }
        let gas = asked.min(self.budget);
        request.gas = Some(gas);
        Ok((request, gas < asked))
    }
}

fn refused(
    error: CallError,
    request: &CallRequest,
    base_fee: u64,
    deadline: &Deadline,
) -> jsonrpsee::types::ErrorObjectOwned {
    match error {
        CallError::Invalid(invalid) => {
            let (code, text) = refusal(&invalid, request, base_fee);
            let gas = request.gas.unwrap_or_default();
            error::coded(code, format!("err: {text} (supplied gas {gas})"))
        }
        CallError::Stopped => deadline.error(),
        other => error::server(other.to_string()),
    }
}

/// Where a call runs.
struct Place {
    number: u64,
    time: u64,
}

impl Place {
    /// A call's result. The hash of the block is not known yet.
    fn result(
        &self,
        result: ExecutionResult<HaltReason>,
        tx: &TxEnvelope,
        index: usize,
        first_log: usize,
        capped: bool,
    ) -> CallResult {
        let gas = *result.gas();
        let success = result.is_success();
        let logs = if success { result.logs() } else { &[] };
        let logs = logs.iter().enumerate().map(|(i, log)| Log {
            inner: log.clone(),
            block_hash: None,
            block_number: Some(self.number),
            block_timestamp: Some(self.time),
            transaction_hash: Some(tx.tx_hash()),
            transaction_index: Some(index as u64),
            log_index: Some((first_log + i) as u64),
            removed: false,
        });
        let logs = logs.collect();
        let error = match &result {
            ExecutionResult::Success { .. } => None,
            ExecutionResult::Revert { output, .. } => Some(Failure {
                message: error::revert_text(output),
                code: REVERTED,
                data: Some(output.clone()),
            }),
            ExecutionResult::Halt { reason, .. } => {
                let mut message = halt_text(reason);
                if capped {
                    message.push_str(" (gas limit was capped by the RPC server's global gas cap)");
                }
                Some(Failure { message, code: VM_ERROR, data: None })
            }
        };
        let return_data = match &result {
            ExecutionResult::Success { output, .. } => output.data().clone(),
            _ => Bytes::new(),
        };
        CallResult {
            return_data,
            logs,
            gas_used: U64::from(gas.tx_gas_used()),
            max_used_gas: U64::from(gas.total_gas_spent().max(gas.floor_gas())),
            status: U64::from(success),
            error,
        }
    }
}

fn show(block: &SealedBlock, senders: &[Address], full: bool) -> RpcBlock {
    let body = &block.block.body;
    let transactions = if full {
        let senders = body.transactions.iter().zip(senders).enumerate();
        BlockTransactions::Full(
            senders
                .map(|(index, (tx, sender))| {
                    RpcTransaction::new(tx, *sender, Some(Position::new(block, index)))
                })
                .collect(),
        )
    } else {
        BlockTransactions::Hashes(body.transactions.iter().map(|tx| tx.tx_hash()).collect())
    };
    Block {
        header: types::header(block),
        uncles: Vec::new(),
        transactions,
        withdrawals: body.withdrawals.clone(),
    }
}

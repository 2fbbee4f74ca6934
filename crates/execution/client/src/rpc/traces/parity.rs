//! `trace_…`: the flat traces, state differences and VM traces that Parity began.

use alloy_eips::{BlockId, BlockNumberOrTag, Decodable2718};
use alloy_primitives::map::HashSet;
use alloy_primitives::{B256, Bytes, U64};
use alloy_rpc_types_eth::state::StateOverride;
use alloy_rpc_types_eth::{TransactionInfo, TransactionRequest};
use alloy_rpc_types_trace::filter::TraceFilter;
use alloy_rpc_types_trace::parity::{
    LocalizedTransactionTrace, TraceResults, TraceResultsWithTransactionHash, TraceType,
};
use opal_evm::{BlockExecutor, BlockInput, Inspected};
use opal_protocol::TxEnvelope;
use revm_inspectors::tracing::{
    TraceLimitBehavior, TraceLimits, TracingInspector, TracingInspectorConfig,
};

use super::limits::{Budget, Limited, Recorded};
use super::not_found;
use super::replay::{Target, block_failed, transaction_failed};
use crate::rpc::call::Call;
use crate::rpc::error::{self, RpcResult};
use crate::rpc::request::BlockOverrides;
use crate::rpc::{Registry, Rpc};

/// Kinds of trace by name; a list or a set in JSON.
type TraceTypes = HashSet<TraceType>;

/// Most calls of one `trace_callMany`.
const MAX_CALLS: usize = 1_000;

pub(super) fn register(registry: &mut Registry) {
    registry.blocking("trace_block", |rpc, params| {
        let block: BlockId = params.one()?;
        let Ok(stored) = rpc.by_id(block) else { return Ok(None) };
        let mut budget = rpc.budget(None)?;
        block_traces(rpc, &Target::from(&*stored), &mut budget).map(Some)
    });
    registry.blocking("trace_transaction", |rpc, params| {
        let hash: B256 = params.one()?;
        transaction_traces(rpc, &hash)
    });
    registry.blocking("trace_get", |rpc, params| {
        let (hash, path): (B256, Vec<U64>) = params.two()?;
        let path: Vec<usize> = path
            .into_iter()
            .map(|n| usize::try_from(n.to::<u64>()).unwrap_or(usize::MAX))
            .collect();
        let traces = transaction_traces(rpc, &hash)?;
        Ok(traces.into_iter().flatten().find(|trace| trace.trace.trace_address == path))
    });
    registry.blocking("trace_filter", |rpc, params| filter(rpc, params.one()?));
    registry.blocking("trace_call", |rpc, params| {
        let mut params = params.sequence();
        let request: TransactionRequest = params.next()?;
        let types: TraceTypes = params.next()?;
        let block: Option<BlockId> = params.optional_next()?;
        let state: Option<StateOverride> = params.optional_next()?;
        let overrides: Option<BlockOverrides> = params.optional_next()?;
        let mut budget = rpc.budget(None)?;
        let call = Call::new(rpc, request, block, state, overrides.unwrap_or_default())?;
        let (inspected, tracer) = run_call(&call, &types, &mut budget)?;
        results(tracer, &inspected, &types)
    });
    registry.blocking("trace_callMany", |rpc, params| {
        let (calls, block): (Vec<(TransactionRequest, TraceTypes)>, Option<BlockId>) =
            params.two_optional()?;
        call_many(rpc, calls, block)
    });
    registry.blocking("trace_rawTransaction", |rpc, params| {
        let (raw, types): (Bytes, TraceTypes) = params.two()?;
        raw_transaction(rpc, &raw, &types)
    });
    registry.blocking("trace_replayTransaction", |rpc, params| {
        let (hash, types): (B256, TraceTypes) = params.two()?;
        let (stored, index) = rpc.chain.transaction(&hash).ok_or_else(not_found)?;
        let target = Target::from(&*stored);
        let (tx, sender) = target.transactions().nth(index).ok_or_else(not_found)?;
        let mut budget = rpc.budget(None)?;
        rpc.replay_until(&target, index, &mut budget, |executor, budget| {
            let config = TracingInspectorConfig::from_parity_config(&types);
            let (inspected, tracer) = run(executor, tx, sender, config, budget)?;
            results(tracer, &inspected, &types)
        })
    });
    registry.blocking("trace_replayBlockTransactions", |rpc, params| {
        let (block, types): (BlockId, TraceTypes) = params.two()?;
        let Ok(stored) = rpc.by_id(block) else { return Ok(None) };
        let target = Target::from(&*stored);
        let mut budget = rpc.budget(None)?;
        let config = TracingInspectorConfig::from_parity_config(&types);
        let traces = rpc.replay(&target, |executor| {
            let mut traces = Vec::with_capacity(target.senders.len());
            for (tx, sender) in target.transactions() {
                let (inspected, tracer) = run(executor, tx, sender, config, &mut budget)?;
                traces.push(TraceResultsWithTransactionHash {
                    full_trace: results(tracer, &inspected, &types)?,
                    transaction_hash: tx.tx_hash(),
                });
            }
            Ok(traces)
        });
        traces.map(Some)
    });
}

fn tracer(config: TracingInspectorConfig, budget: &Budget) -> (TracingInspector, Recorded) {
    // Of what steps do to memory, only the tracer knows how much it keeps.
    let limits = TraceLimits::default()
        .set_max_recorded_bytes(Some(budget.left()))
        .set_behavior(TraceLimitBehavior::Halt);
    let recorded = Recorded { steps: config.record_steps, ..Recorded::default() };
    (TracingInspector::new(config).with_limits(limits), recorded)
}

/// What the tracer's own limit says, once it has run.
fn settle(tracer: &TracingInspector, budget: &mut Budget) -> RpcResult<()> {
    let recorded = if tracer.limit_exceeded() { usize::MAX } else { tracer.recorded_bytes() };
    budget.take(recorded);
    budget.error().map_or(Ok(()), Err)
}

/// Executes a transaction of a block under a tracer within the budget.
pub(super) fn run(
    executor: &mut BlockExecutor<'_>,
    tx: &TxEnvelope,
    sender: alloy_primitives::Address,
    config: TracingInspectorConfig,
    budget: &mut Budget,
) -> RpcResult<(Inspected, TracingInspector)> {
    budget.check()?;
    let (mut tracer, recorded) = tracer(config, budget);
    let inspected = executor.inspect(tx, sender, &mut Limited::new(&mut tracer, recorded, budget));
    settle(&tracer, budget)?;
    let inspected = inspected.map_err(|error| transaction_failed(tx.tx_hash(), &error))?;
    Ok((inspected, tracer))
}

fn run_call(
    call: &Call<'_>,
    types: &TraceTypes,
    budget: &mut Budget,
) -> RpcResult<(Inspected, TracingInspector)> {
    budget.check()?;
    let config = TracingInspectorConfig::from_parity_config(types);
    let (mut tracer, recorded) = tracer(config, budget);
    let inspected = call.inspect(&mut Limited::new(&mut tracer, recorded, budget));
    settle(&tracer, budget)?;
    Ok((inspected?.0, tracer))
}

fn results(
    tracer: TracingInspector,
    inspected: &Inspected,
    types: &TraceTypes,
) -> RpcResult<TraceResults> {
    let builder = tracer.into_parity_builder();
    builder
        .into_trace_results_with_state(&inspected.outcome, types, &inspected.before)
        .map_err(|error| error::server(error.to_string()))
}

fn block_traces(
    rpc: &Rpc,
    target: &Target,
    budget: &mut Budget,
) -> RpcResult<Vec<LocalizedTransactionTrace>> {
    if target.senders.is_empty() {
        return Ok(Vec::new());
    }
    rpc.replay(target, |executor| {
        let mut traces = Vec::new();
        for (index, (tx, sender)) in target.transactions().enumerate() {
            let config = TracingInspectorConfig::default_parity();
            let (_, tracer) = run(executor, tx, sender, config, budget)?;
            traces.extend(localized(tracer, target, index, tx));
        }
        Ok(traces)
    })
}

fn localized(
    tracer: TracingInspector,
    target: &Target,
    index: usize,
    tx: &TxEnvelope,
) -> Vec<LocalizedTransactionTrace> {
    let header = target.block.header();
    tracer.into_parity_builder().into_localized_transaction_traces(TransactionInfo {
        hash: Some(tx.tx_hash()),
        index: Some(index as u64),
        block_hash: Some(target.block.hash),
        block_number: Some(header.number),
        base_fee: header.base_fee_per_gas,
        ..Default::default()
    })
}

fn transaction_traces(rpc: &Rpc, hash: &B256) -> RpcResult<Option<Vec<LocalizedTransactionTrace>>> {
    let Some((stored, index)) = rpc.chain.transaction(hash) else { return Ok(None) };
    let target = Target::from(&*stored);
    let Some((tx, sender)) = target.transactions().nth(index) else { return Ok(None) };
    let mut budget = rpc.budget(None)?;
    let traces = rpc.replay_until(&target, index, &mut budget, |executor, budget| {
        let config = TracingInspectorConfig::default_parity();
        let (_, tracer) = run(executor, tx, sender, config, budget)?;
        Ok(localized(tracer, &target, index, tx))
    });
    traces.map(Some)
}

fn filter(rpc: &Rpc, filter: TraceFilter) -> RpcResult<Vec<LocalizedTransactionTrace>> {
    let head = rpc.chain.head().header().number;
    let first = filter.from_block.unwrap_or_else(|| rpc.chain.genesis().header().number);
    let last = filter.to_block.unwrap_or(head).min(head);
    if filter.to_block.is_some_and(|to| first > to) {
        return Err(error::invalid_params(
            "invalid parameters: fromBlock cannot be greater than toBlock",
        ));
    }
    let max = rpc.config.trace.max_blocks;
    if last.saturating_sub(first) >= max {
        return Err(error::limit_exceeded(format!(
            "block range too large: trace_filter takes at most {max} blocks"
        )));
    }
    let (matcher, after) = (filter.matcher(), filter.after.unwrap_or_default());
    let count = filter.count.unwrap_or(u64::MAX);
    let mut budget = rpc.budget(None)?;
    let mut found = Vec::new();
    let mut seen = 0;
    for number in first..=last {
        let Some(stored) = rpc.by_tag(BlockNumberOrTag::Number(number)) else { continue };
        for trace in block_traces(rpc, &Target::from(&*stored), &mut budget)? {
            if !matcher.matches(&trace.trace) {
                continue;
            }
            seen += 1;
            if seen > after {
                if found.len() as u64 >= count {
                    return Ok(found);
                }
                found.push(trace);
            }
        }
    }
    Ok(found)
}

/// Each call sees what those before it changed.
fn call_many(
    rpc: &Rpc,
    calls: Vec<(TransactionRequest, TraceTypes)>,
    block: Option<BlockId>,
) -> RpcResult<Vec<TraceResults>> {
    if calls.len() > MAX_CALLS {
        return Err(error::limit_exceeded(format!("too many calls: at most {MAX_CALLS}")));
    }
    let (stored, mut state) = rpc.state(block)?;
    let mut budget = rpc.budget(None)?;
    let mut all = Vec::with_capacity(calls.len());
    for (request, types) in calls {
        let place = (stored.block.header().clone(), stored.block.hash);
        let call = Call::on_state(rpc, request, place, &state, None, BlockOverrides::default())?;
        let (inspected, tracer) = run_call(&call, &types, &mut budget)?;
        all.push(results(tracer, &inspected, &types)?);
        state = state
            .apply(inspected.outcome.state)
            .map_err(|error| error::server(error.to_string()))?;
    }
    Ok(all)
}

/// Runs a signed transaction in a block on top of the head, as the next block would.
fn raw_transaction(rpc: &Rpc, raw: &[u8], types: &TraceTypes) -> RpcResult<TraceResults> {
    let invalid = |error: String| error::server(format!("failed to decode transaction: {error}"));
    let tx = TxEnvelope::decode_2718_exact(raw).map_err(|error| invalid(error.to_string()))?;
    if tx.is_deposit_tx() {
        return Err(error::server("transaction type not supported"));
    }
    let sender = tx.recover().map_err(|error| invalid(error.to_string()))?;
    let (stored, state) = rpc.state(None)?;
    let head = &stored.block;
    let pending = rpc.pending_header();
    let hashes = |number| rpc.chain.ancestor_hash(head.hash, number);
    let input = BlockInput {
        timestamp: pending.timestamp,
        beneficiary: pending.beneficiary,
        prev_randao: pending.mix_hash,
        gas_limit: pending.gas_limit,
        extra_data: pending.extra_data,
        parent_beacon_block_root: pending.parent_beacon_block_root,
        withdrawals: None,
    };
    let mut executor = BlockExecutor::new(rpc.chain.spec(), head.into(), input, &state, &hashes)
        .map_err(|error| block_failed(&error))?;
    let mut budget = rpc.budget(None)?;
    let config = TracingInspectorConfig::from_parity_config(types);
    let (inspected, tracer) = run(&mut executor, &tx, sender, config, &mut budget)?;
    results(tracer, &inspected, types)
}

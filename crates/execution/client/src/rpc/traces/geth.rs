//! `debug_trace…`: geth's struct logger and its native tracers.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, Bytes, U64};
use alloy_rlp::Decodable;
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_eth::state::StateOverride;
use alloy_rpc_types_trace::geth::{
    GethDebugBuiltInTracerType, GethDebugTracerConfig, GethDebugTracerType,
    GethDebugTracingOptions, GethTrace, StructLog, TraceResult,
};
use opal_evm::{BlockExecutor, Inspected};
use opal_protocol::{Block, SealedBlock, TxEnvelope};
use revm::context::BlockEnv;
use revm_inspectors::tracing::{DebugInspector, DebugInspectorError, TransactionContext};
use serde::Deserialize;
use serde_json::Value;

use super::limits::{Budget, Limited, Recorded};
use super::not_found;
use super::replay::{Target, transaction_failed};
use crate::rpc::call::Call;
use crate::rpc::error::{self, RpcResult};
use crate::rpc::request::BlockOverrides;
use crate::rpc::{Registry, Rpc};

/// Longest text of a tracer that an error repeats.
const SHOWN_TRACER: usize = 40;

pub(super) fn register(registry: &mut Registry) {
    registry.blocking("debug_traceTransaction", |rpc, params| {
        let (hash, options): (B256, Option<GethDebugTracingOptions>) = params.two_optional()?;
        let options = Options::new(options.unwrap_or_default())?;
        let mut budget = rpc.budget(options.timeout())?;
        let (stored, index) = rpc.chain.transaction(&hash).ok_or_else(not_found)?;
        let target = Target::from(&*stored);
        let (tx, sender) = target.transactions().nth(index).ok_or_else(not_found)?;
        rpc.replay_until(&target, index, &mut budget, |executor, budget| {
            let place = place(&target, index, tx);
            trace_transaction(executor, tx, sender, place, &options, budget)
        })
    });
    registry.blocking("debug_traceBlockByNumber", |rpc, params| {
        let (tag, options): (BlockNumberOrTag, _) = params.two_optional()?;
        let stored = rpc
            .by_tag(tag)
            .ok_or_else(|| error::server(format!("block {} not found", text(&tag))))?;
        trace_block(rpc, &Target::from(&*stored), options)
    });
    registry.blocking("debug_traceBlockByHash", |rpc, params| {
        let (hash, options): (B256, _) = params.two_optional()?;
        let stored = rpc
            .chain
            .stored(&hash)
            .ok_or_else(|| error::server(format!("block {hash} not found")))?;
        trace_block(rpc, &Target::from(&*stored), options)
    });
    registry.blocking("debug_traceBlock", |rpc, params| {
        let (rlp, options): (Bytes, _) = params.two_optional()?;
        trace_block(rpc, &decode_block(rpc, &rlp)?, options)
    });
    registry.blocking("debug_traceCall", |rpc, params| {
        let mut params = params.sequence();
        let request: TransactionRequest = params.next()?;
        let block: Option<BlockId> = params.optional_next()?;
        let options: Option<CallOptions> = params.optional_next()?;
        trace_call(rpc, request, block, options.unwrap_or_default())
    });
    // Refused blocks are not kept: there are none to list, and none to trace.
    registry.quick("debug_getBadBlocks", |_, _| Ok(Vec::<Value>::new()));
    registry.quick("debug_traceBadBlock", |_, params| {
        let hash: B256 = params.one()?;
        Err::<Value, _>(error::server(format!("bad block {hash} not found")))
    });
}

/// What `debug_traceCall` takes beside the options of all traces.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CallOptions {
    #[serde(flatten)]
    trace: GethDebugTracingOptions,
    state_overrides: Option<StateOverride>,
    block_overrides: Option<BlockOverrides>,
    /// Transactions of the block to execute first.
    tx_index: Option<U64>,
}

/// Options that name a tracer which exists.
#[derive(Debug)]
struct Options(GethDebugTracingOptions);

impl Options {
    fn new(mut options: GethDebugTracingOptions) -> RpcResult<Self> {
        if let Some(GethDebugTracerType::BuiltInTracer(GethDebugBuiltInTracerType::MuxTracer)) =
            options.tracer
        {
            spell_out_mux(&mut options.tracer_config);
        }
        let this = Self(options);
        this.tracer()?;
        Ok(this)
    }

    fn timeout(&self) -> Option<&str> {
        self.0.timeout.as_deref()
    }

    fn tracer(&self) -> RpcResult<DebugInspector> {
        DebugInspector::new(self.0.clone()).map_err(|error| match (error, &self.0.tracer) {
            (DebugInspectorError::JsTracerNotEnabled, Some(tracer)) => {
                let shown: String = tracer.as_str().chars().take(SHOWN_TRACER).collect();
                error::server(format!(
                    "no tracer {shown:?}: JavaScript tracers are not supported; built in are \
                     callTracer, flatCallTracer, prestateTracer, 4byteTracer, muxTracer, \
                     noopTracer and erc7562Tracer"
                ))
            }
            (error, _) => error::server(error.to_string()),
        })
    }

    fn recorded(&self, tracer: &DebugInspector) -> Recorded {
        match tracer {
            DebugInspector::Default(_, config) => Recorded {
                steps: true,
                stack: !config.disable_stack.unwrap_or_default(),
                memory: config.is_memory_enabled(),
                storage: !config.disable_storage.unwrap_or_default(),
                return_data: config.is_return_data_enabled(),
                most_steps: config.limit.filter(|limit| *limit != 0),
            },
            DebugInspector::Erc7562Tracer(..) => Recorded {
                steps: true,
                stack: true,
                memory: true,
                storage: true,
                ..Recorded::default()
            },
            _ => Recorded::default(),
        }
    }
}

/// A mux tracer's parts may have an empty configuration or none, as in geth; the library wants one
/// or the other by tracer.
fn spell_out_mux(config: &mut GethDebugTracerConfig) {
    let Value::Object(tracers) = &mut config.0 else { return };
    for (name, config) in tracers {
        let plain = matches!(name.as_str(), "4byteTracer" | "noopTracer");
        let empty = config.is_null() || config.as_object().is_some_and(|map| map.is_empty());
        if empty {
            *config = if plain { Value::Null } else { Value::Object(Default::default()) };
        }
    }
}

fn place(target: &Target, index: usize, tx: &TxEnvelope) -> TransactionContext {
    TransactionContext::default()
        .with_block_hash(target.block.hash)
        .with_tx_index(index)
        .with_tx_hash(tx.tx_hash())
}

fn trace_transaction(
    executor: &mut BlockExecutor<'_>,
    tx: &TxEnvelope,
    sender: alloy_primitives::Address,
    place: TransactionContext,
    options: &Options,
    budget: &mut Budget,
) -> RpcResult<GethTrace> {
    let mut tracer = options.tracer()?;
    let recorded = options.recorded(&tracer);
    let inspected = executor.inspect(tx, sender, &mut Limited::new(&mut tracer, recorded, budget));
    if let Some(error) = budget.error() {
        return Err(error);
    }
    let inspected = inspected.map_err(|error| transaction_failed(tx.tx_hash(), &error))?;
    result(&mut tracer, Some(place), inspected, executor.block_env())
}

fn result(
    tracer: &mut DebugInspector,
    place: Option<TransactionContext>,
    inspected: Inspected,
    block: &BlockEnv,
) -> RpcResult<GethTrace> {
    let Inspected { outcome, mut before, tx } = inspected;
    let mut trace = tracer
        .get_result(place, &tx, block, &outcome, &mut before)
        .map_err(|error: DebugInspectorError<_>| error::server(error.to_string()))?;
    if let GethTrace::Default(frame) = &mut trace {
        frame.struct_logs.iter_mut().for_each(leave_out_empty);
    }
    Ok(trace)
}

/// Geth leaves out what is empty or zero in a step.
fn leave_out_empty(step: &mut StructLog) {
    step.refund_counter = step.refund_counter.filter(|refund| *refund != 0);
    step.memory = step.memory.take().filter(|words| !words.is_empty());
    step.return_data = step.return_data.take().filter(|data| !data.is_empty());
}

fn trace_block(
    rpc: &Rpc,
    target: &Target,
    options: Option<GethDebugTracingOptions>,
) -> RpcResult<Vec<TraceResult>> {
    let options = Options::new(options.unwrap_or_default())?;
    let mut budget = rpc.budget(options.timeout())?;
    rpc.replay(target, |executor| {
        let mut traces = Vec::with_capacity(target.senders.len());
        for (index, (tx, sender)) in target.transactions().enumerate() {
            budget.check()?;
            let place = place(target, index, tx);
            let trace = trace_transaction(executor, tx, sender, place, &options, &mut budget)?;
            traces.push(TraceResult::new_success(trace, Some(tx.tx_hash())));
        }
        Ok(traces)
    })
}

/// A block that a caller brings along. It is executed, not verified.
fn decode_block(rpc: &Rpc, rlp: &[u8]) -> RpcResult<Target> {
    let invalid = |error: String| error::server(format!("could not decode block: {error}"));
    let block = Block::decode(&mut &*rlp).map_err(|error| invalid(error.to_string()))?;
    // As many as fit into a request take seconds.
    let mut budget = rpc.budget(None)?;
    let sender = |tx: &TxEnvelope| {
        budget.check()?;
        tx.recover().map_err(|error| invalid(error.to_string()))
    };
    let senders = block.body.transactions.iter().map(sender).collect::<RpcResult<_>>()?;
    Ok(Target { block: SealedBlock::new(block), senders })
}

fn trace_call(
    rpc: &Rpc,
    request: TransactionRequest,
    block: Option<BlockId>,
    options: CallOptions,
) -> RpcResult<GethTrace> {
    let CallOptions { trace, state_overrides, block_overrides, tx_index } = options;
    let trace = Options::new(trace)?;
    let mut budget = rpc.budget(trace.timeout())?;
    let overrides = block_overrides.unwrap_or_default();
    let call = match tx_index {
        None => Call::new(rpc, request, block, state_overrides, overrides)?,
        Some(index) => {
            let stored = rpc.by_id(block.unwrap_or_default())?;
            let target = Target::from(&*stored);
            let count = usize::try_from(index.to::<u64>()).unwrap_or(usize::MAX);
            if count > target.senders.len() {
                return Err(error::server(format!(
                    "transaction index {count} out of range for block {}",
                    stored.block.hash
                )));
            }
            let state = rpc.replay_until(&target, count, &mut budget, |executor, _| {
                executor.state_so_far().map_err(|error| error::server(error.to_string()))
            })?;
            let header = stored.block.header().clone();
            let hash = stored.block.hash;
            Call::on_state(rpc, request, (header, hash), &state, state_overrides, overrides)?
        }
    };
    let mut tracer = trace.tracer()?;
    let recorded = trace.recorded(&tracer);
    let watched = &mut Limited::new(&mut tracer, recorded, &mut budget);
    let inspected = call.inspect(watched);
    if let Some(error) = budget.error() {
        return Err(error);
    }
    let (inspected, block) = inspected?;
    result(&mut tracer, None, inspected, &block)
}

fn text(tag: &BlockNumberOrTag) -> String {
    match tag {
        BlockNumberOrTag::Number(number) => format!("#{number}"),
        tag => tag.to_string(),
    }
}

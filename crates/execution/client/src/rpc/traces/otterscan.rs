//! `ots_…`: what the block explorer Otterscan asks beside the standard methods. Its searches by
//! address need an index that this client does not keep, so they are not offered.

use std::sync::Arc;

use alloy_consensus::Transaction;
use alloy_eips::BlockNumberOrTag;
use alloy_eips::eip1898::LenientBlockNumberOrTag;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rpc_types_eth::Index;
use alloy_rpc_types_trace::otterscan::{
    ContractCreator, InternalIssuance, InternalOperation, TraceEntry,
};
use opal_evm::{State, StateError};
use revm::inspector::NoOpInspector;
use revm_inspectors::otterscan::InternalOperationsInspector;
use revm_inspectors::tracing::types::{CallKind, CallTrace};
use revm_inspectors::tracing::{TracingInspector, TracingInspectorConfig};
use serde_json::{Value, json};

use super::limits::{Budget, Limited, Recorded};
use super::not_found;
use super::parity;
use super::replay::{Target, transaction_failed};
use crate::chain::{ChainError, StoredBlock};
use crate::rpc::blocks::to_value;
use crate::rpc::error::{self, RpcResult};
use crate::rpc::{Cost, Registry, Rpc, types};
use crate::rules;

/// The version of this API, as Otterscan counts them.
const API_LEVEL: u64 = 8;
/// Bytes of a transaction's input that a list shows: the method's selector.
const SELECTOR: usize = 4;

pub(super) fn register(registry: &mut Registry) {
    registry.quick("ots_getApiLevel", |_, _| Ok(API_LEVEL));
    registry.at_block("ots_hasCode", 1, Cost::Cheap, |rpc, params| {
        let (address, block): (Address, Option<LenientBlockNumberOrTag>) = params.two_optional()?;
        let (_, state) = rpc.state(block.map(Into::into))?;
        state.code(&address).map(|code| !code.is_empty()).map_err(state_error)
    });
    registry.blocking("ots_getBlockDetails", |rpc, params| {
        let block: LenientBlockNumberOrTag = params.one()?;
        rpc.by_tag(block.into_inner()).map(|stored| details(&stored)).transpose()
    });
    registry.blocking("ots_getBlockDetailsByHash", |rpc, params| {
        let hash: B256 = params.one()?;
        rpc.chain.stored(&hash).map(|stored| details(&stored)).transpose()
    });
    registry.blocking("ots_getBlockTransactions", |rpc, params| {
        let mut params = params.sequence();
        let block: LenientBlockNumberOrTag = params.next()?;
        let (page, size): (Index, Index) = (params.next()?, params.next()?);
        let stored = rpc.by_tag(block.into_inner());
        stored.map(|stored| transactions(rpc, &stored, page.0, size.0)).transpose()
    });
    registry.blocking("ots_getInternalOperations", |rpc, params| operations(rpc, &params.one()?));
    registry.blocking("ots_getTransactionError", |rpc, params| revert(rpc, &params.one()?));
    registry.blocking("ots_traceTransaction", |rpc, params| trace(rpc, &params.one()?));
    registry.blocking("ots_getTransactionBySenderAndNonce", |rpc, params| {
        let (sender, nonce): (Address, Index) = params.two()?;
        by_sender_and_nonce(rpc, sender, nonce.0 as u64)
    });
    registry.blocking("ots_getContractCreator", |rpc, params| creator(rpc, params.one()?));
}

fn state_error(error: StateError) -> jsonrpsee::types::ErrorObjectOwned {
    error::server(error.to_string())
}

/// A block without its transactions, and what they paid.
fn details(stored: &StoredBlock) -> RpcResult<Value> {
    let mut block = slim(stored)?;
    if let Some(block) = block.as_object_mut() {
        block.remove("transactions");
    }
    // A block of proof of stake brings nothing into being.
    let issuance = InternalIssuance::default();
    Ok(json!({ "block": block, "issuance": issuance, "totalFees": total_fees(stored) }))
}

/// A block with its transactions' hashes.
fn slim(stored: &StoredBlock) -> RpcResult<Value> {
    let mut block = to_value(types::block(stored, false))?;
    block["logsBloom"] = Value::Null;
    block["transactionCount"] = json!(stored.block.block.body.transactions.len());
    Ok(block)
}

/// All that senders paid, in wei: for gas, and on an OP chain for L1 data and to the operator.
fn total_fees(stored: &StoredBlock) -> U256 {
    let header = stored.block.header();
    let transactions = stored.block.block.body.transactions.iter().enumerate();
    transactions.filter(|(_, tx)| !tx.is_deposit_tx()).fold(U256::ZERO, |sum, (index, tx)| {
        let gas = rules::gas_used(&stored.receipts, index);
        let price = tx.effective_gas_price(header.base_fee_per_gas);
        let l1 = stored.l1_fee.as_ref().map_or(U256::ZERO, |params| {
            let data = params.info(tx).map(|info| info.l1_fee).unwrap_or_default();
            data.saturating_add(params.operator_fee(gas))
        });
        sum.saturating_add(U256::from(gas) * U256::from(price)).saturating_add(l1)
    })
}

/// A page of a block's transactions, counted from the last one, with their receipts.
fn transactions(rpc: &Rpc, stored: &StoredBlock, page: usize, size: usize) -> RpcResult<Value> {
    let count = stored.block.block.body.transactions.len();
    let end = count.saturating_sub(page.saturating_mul(size));
    let start = end.saturating_sub(size);
    let shown = (start..end).filter_map(|index| types::RpcTransaction::mined(stored, index));
    let mut shown = to_value(shown.collect::<Vec<_>>())?;
    for tx in shown.as_array_mut().into_iter().flatten() {
        if let Some(input) = tx["input"].as_str() {
            let selector = input.get(..2 + 2 * SELECTOR).unwrap_or(input).to_owned();
            tx["input"] = selector.into();
        }
    }
    let mut block = slim(stored)?;
    block["transactions"] = shown;
    let mut receipts = to_value(rpc.receipts_of(stored).some(start..end))?;
    for receipt in receipts.as_array_mut().into_iter().flatten() {
        receipt["logs"] = Value::Null;
        receipt["logsBloom"] = Value::Null;
        receipt["timestamp"] = json!(alloy_primitives::U64::from(stored.block.header().timestamp));
    }
    Ok(json!({ "fullblock": block, "receipts": receipts }))
}

/// A transaction of a block, and those before it.
fn find(rpc: &Rpc, hash: &B256) -> RpcResult<(Target, usize)> {
    let (stored, index) = rpc.chain.transaction(hash).ok_or_else(not_found)?;
    Ok((Target::from(&*stored), index))
}

/// Transfers, creations and self-destructions within a transaction.
fn operations(rpc: &Rpc, hash: &B256) -> RpcResult<Vec<InternalOperation>> {
    let mut inspector = InternalOperationsInspector::default();
    let (target, index) = find(rpc, hash)?;
    let (tx, sender) = target.transactions().nth(index).ok_or_else(not_found)?;
    let mut budget = rpc.budget(None)?;
    rpc.replay_until(&target, index, &mut budget, |executor, budget| {
        let watched = &mut Limited::new(&mut inspector, Recorded::default(), budget);
        let executed = executor.inspect(tx, sender, watched);
        budget.check()?;
        executed.map_err(|error| transaction_failed(tx.tx_hash(), &error))
    })?;
    Ok(inspector.into_operations())
}

/// What a failed transaction returned; nothing for one that succeeded.
fn revert(rpc: &Rpc, hash: &B256) -> RpcResult<Bytes> {
    let (target, index) = find(rpc, hash)?;
    let (tx, sender) = target.transactions().nth(index).ok_or_else(not_found)?;
    let mut budget = rpc.budget(None)?;
    let inspected = rpc.replay_until(&target, index, &mut budget, |executor, budget| {
        let mut nothing = NoOpInspector;
        let watched = &mut Limited::new(&mut nothing, Recorded::default(), budget);
        let executed = executor.inspect(tx, sender, watched);
        budget.check()?;
        executed.map_err(|error| transaction_failed(tx.tx_hash(), &error))
    })?;
    let result = inspected.outcome.result;
    Ok(if result.is_success() { Bytes::new() } else { result.into_output().unwrap_or_default() })
}

fn call_tree(
    rpc: &Rpc,
    target: &Target,
    index: usize,
    budget: &mut Budget,
) -> RpcResult<TracingInspector> {
    let (tx, sender) = target.transactions().nth(index).ok_or_else(not_found)?;
    rpc.replay_until(target, index, budget, |executor, budget| {
        let config = TracingInspectorConfig::default_parity();
        parity::run(executor, tx, sender, config, budget).map(|(_, tracer)| tracer)
    })
}

/// All calls, creations and self-destructions of a transaction, each before what it caused.
fn trace(rpc: &Rpc, hash: &B256) -> RpcResult<Vec<TraceEntry>> {
    let (target, index) = find(rpc, hash)?;
    let tracer = call_tree(rpc, &target, index, &mut rpc.budget(None)?)?;
    let nodes = tracer.traces().nodes();
    let mut entries = Vec::with_capacity(nodes.len());
    // The children of a node lie behind it, but not always before its siblings.
    let mut waiting = vec![0];
    while let Some(node) = waiting.pop().and_then(|index| nodes.get(index)) {
        entries.extend(of_call(&node.trace));
        waiting.extend(node.children.iter().rev());
    }
    Ok(entries)
}

fn of_call(call: &CallTrace) -> impl Iterator<Item = TraceEntry> {
    let depth = u32::try_from(call.depth).unwrap_or(u32::MAX);
    let has_value = !matches!(call.kind, CallKind::DelegateCall | CallKind::StaticCall);
    let entry = TraceEntry {
        r#type: call.kind.to_string(),
        depth,
        from: call.caller,
        to: call.address,
        value: has_value.then_some(call.value),
        input: call.data.clone(),
        output: call.output.clone(),
    };
    let destroyed = call.selfdestruct_refund_target.map(|heir| TraceEntry {
        r#type: "SELFDESTRUCT".to_owned(),
        depth: depth.saturating_add(1),
        from: call.selfdestruct_address.unwrap_or(call.address),
        to: heir,
        value: call.selfdestruct_transferred_value,
        input: Bytes::new(),
        output: Bytes::new(),
    });
    [Some(entry), destroyed].into_iter().flatten()
}

/// The first canonical block after which a state has some property that it does not lose again;
/// `None` when the newest has not, or the first one of the chain has already.
///
/// # Errors
/// When that block lies before the states that are kept.
fn first_with(
    rpc: &Rpc,
    budget: &mut Budget,
    has: impl Fn(&State) -> Result<bool, StateError>,
) -> RpcResult<Option<Arc<StoredBlock>>> {
    let chain = &rpc.chain;
    let (genesis, head) = (chain.genesis().header().number, chain.head().header().number);
    let block = |number| rpc.by_tag(BlockNumberOrTag::Number(number));
    // `None` where no state is kept.
    let has_at = |number: u64| -> RpcResult<Option<bool>> {
        let Some(stored) = block(number) else { return Ok(None) };
        match chain.state_at(&stored.block.hash) {
            Ok(state) => has(&state).map(Some).map_err(state_error),
            Err(ChainError::StateUnavailable { .. }) => Ok(None),
            Err(other) => Err(error::chain(&other)),
        }
    };
    if has_at(head)? != Some(true) {
        return Ok(None);
    }
    let (mut low, mut high) = (genesis, head);
    while low < high {
        budget.check()?;
        let middle = low + (high - low) / 2;
        match has_at(middle)? {
            Some(true) => high = middle,
            // States are kept of the newest blocks.
            Some(false) | None => low = middle + 1,
        }
    }
    if high == genesis {
        return Ok(None);
    }
    if has_at(high - 1)?.is_none() {
        let root = block(high - 1).map_or(B256::ZERO, |stored| stored.block.header().state_root);
        return Err(error::state_unavailable(root));
    }
    Ok(block(high))
}

/// Hash of the transaction that used a nonce of an account.
fn by_sender_and_nonce(rpc: &Rpc, sender: Address, nonce: u64) -> RpcResult<Option<B256>> {
    let mut budget = rpc.budget(None)?;
    let used = |state: &State| Ok(state.account(&sender)?.is_some_and(|it| it.nonce > nonce));
    let Some(stored) = first_with(rpc, &mut budget, used)? else { return Ok(None) };
    let (receipts, senders) = (&stored.receipts, &stored.senders);
    for ((tx, receipt), from) in
        stored.block.block.body.transactions.iter().zip(receipts).zip(senders)
    {
        if *from == sender && receipt.deposit_nonce.unwrap_or_else(|| tx.nonce()) == nonce {
            return Ok(Some(tx.tx_hash()));
        }
    }
    // A delegation used it.
    Ok(None)
}

/// Who created a contract, and in which transaction; `None` for what has no code and for what was
/// there from the beginning.
fn creator(rpc: &Rpc, address: Address) -> RpcResult<Option<ContractCreator>> {
    let mut budget = rpc.budget(None)?;
    let deployed = |state: &State| state.code(&address).map(|code| !code.is_empty());
    let Some(stored) = first_with(rpc, &mut budget, deployed)? else { return Ok(None) };
    let target = Target::from(&*stored);
    rpc.replay(&target, |executor| {
        let mut found = None;
        for (tx, sender) in target.transactions() {
            let config = TracingInspectorConfig::default_parity();
            let (_, tracer) = parity::run(executor, tx, sender, config, &mut budget)?;
            let mut calls = tracer.traces().nodes().iter().map(|node| &node.trace);
            // After the creation that lasted none can succeed.
            let created = calls
                .rfind(|call| call.kind.is_any_create() && call.success && call.address == address);
            if let Some(call) = created {
                found = Some(ContractCreator { hash: tx.tx_hash(), creator: call.caller });
            }
        }
        Ok(found)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::*;

    #[test]
    fn fees_are_those_of_gas_of_l1_data_and_of_the_operator() {
        let engine = l2_engine();
        let chain = engine.chain();
        for nonce in 0..2 {
            chain.pool().add_raw(&raw(&transfer(0, nonce, GWEI))).unwrap();
        }
        let block = extend(&engine, l2_attributes(&engine.head(), &[minting_deposit(7)]));
        let stored = chain.stored(&block.hash).unwrap();
        let mut dearer = StoredBlock {
            block: stored.block.clone(),
            receipts: stored.receipts.clone(),
            senders: stored.senders.clone(),
            withdrawals_storage_root: stored.withdrawals_storage_root,
            l1_fee: stored.l1_fee,
        };
        dearer.l1_fee.as_mut().unwrap().operator_fee_constant += 777;
        let more = total_fees(&dearer) - total_fees(&stored);
        // Deposits pay none of it.
        assert_eq!(more, U256::from(2 * 777));
    }
}

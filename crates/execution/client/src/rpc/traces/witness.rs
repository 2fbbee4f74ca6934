//! `debug_executionWitness` and `debug_executePayload`: what a stateless client needs to execute a
//! block.

use alloy_eips::{BlockId, Decodable2718};
use alloy_primitives::{B256, Bytes};
use opal_evm::{BlockExecutor, BlockInput, execution_witness};
use opal_protocol::{PayloadAttributes, SealedBlock, TxEnvelope};
use revm::inspector::NoOpInspector;
use serde::Serialize;

use super::limits::{Budget, Limited, Recorded};
use super::replay::{Target, block_failed, transaction_failed};
use crate::rpc::error::{self, RpcResult};
use crate::rpc::{Registry, Rpc};

/// A witness in the shape of geth, reth and op-reth.
#[derive(Clone, Debug, Serialize)]
struct Witness {
    /// Encoded trie nodes.
    state: Vec<Bytes>,
    /// Contract codes.
    codes: Vec<Bytes>,
    /// Addresses and slots, not hashed.
    keys: Vec<Bytes>,
    /// RLP of headers, oldest first: the parent, and ancestors whose hashes the block asks for.
    headers: Vec<Bytes>,
}

pub(super) fn register(registry: &mut Registry) {
    registry.blocking("debug_executionWitness", |rpc, params| {
        let block: BlockId = params.one()?;
        let stored = rpc.by_id(block)?;
        witness(rpc, &Target::from(&*stored))
    });
    registry.blocking("debug_executionWitnessByBlockHash", |rpc, params| {
        let hash: B256 = params.one()?;
        let stored = rpc.by_id(hash.into())?;
        witness(rpc, &Target::from(&*stored))
    });
    registry.blocking("debug_executePayload", |rpc, params| {
        let (parent, attributes): (B256, PayloadAttributes) = params.two()?;
        execute_payload(rpc, &parent, &attributes)
    });
}

fn witness(rpc: &Rpc, target: &Target) -> RpcResult<Witness> {
    let (parent, state) = rpc.state_before(&target.block)?;
    let hashes = |number| rpc.chain.ancestor_hash(parent.hash, number);
    let (spec, block) = (rpc.chain.spec(), &target.block.block);
    let (_, found) =
        execution_witness(spec, (&parent).into(), block, &target.senders, &state, &hashes)
            .map_err(|error| block_failed(&error))?;
    Ok(Witness {
        state: found.nodes,
        codes: found.codes,
        keys: found.keys,
        headers: headers(rpc, parent, found.oldest_ancestor)?,
    })
}

/// The parent's header, and those before it down to `oldest`.
fn headers(rpc: &Rpc, parent: SealedBlock, oldest: Option<u64>) -> RpcResult<Vec<Bytes>> {
    let oldest = oldest.unwrap_or(u64::MAX).min(parent.header().number);
    let mut headers = Vec::new();
    let mut cursor = parent;
    loop {
        headers.push(Bytes::from(alloy_rlp::encode(cursor.header())));
        if cursor.header().number <= oldest {
            break;
        }
        let hash = cursor.header().parent_hash;
        cursor = rpc
            .chain
            .block_by_hash(&hash)
            .ok_or_else(|| error::server(format!("header {hash} not found")))?;
    }
    headers.reverse();
    Ok(headers)
}

/// Builds the block of these attributes, forced transactions only, and gives its witness. Deposits
/// cost nothing and may ask for any gas, so time is what bounds them.
fn execute_payload(rpc: &Rpc, parent: &B256, attributes: &PayloadAttributes) -> RpcResult<Witness> {
    let (stored, state) = rpc.state(Some((*parent).into()))?;
    let (parent, spec) = (&stored.block, rpc.chain.spec());
    let input = BlockInput::from_attributes(spec, parent.header(), attributes)
        .map_err(|error| error::invalid_params(error.to_string()))?;
    let hashes = |number| rpc.chain.ancestor_hash(parent.hash, number);
    let mut executor = BlockExecutor::new(spec, parent.into(), input, &state, &hashes)
        .map_err(|error| block_failed(&error))?;
    let mut budget = Budget::new(usize::MAX, rpc.config.trace.timeout);
    let mut senders = Vec::new();
    for raw in attributes.transactions.iter().flatten() {
        let invalid = |error: String| error::invalid_params(format!("transaction: {error}"));
        let tx = TxEnvelope::decode_2718_exact(raw).map_err(|error| invalid(error.to_string()))?;
        let sender = tx.recover().map_err(|error| invalid(error.to_string()))?;
        let mut tracer = NoOpInspector;
        let watched = &mut Limited::new(&mut tracer, Recorded::default(), &mut budget);
        let executed = executor.inspect(&tx, sender, watched);
        budget.check()?;
        executed.map_err(|error| transaction_failed(tx.tx_hash(), &error))?;
        senders.push(sender);
    }
    let built = executor.finish().map_err(|error| block_failed(&error))?;
    witness(rpc, &Target { block: built.block, senders })
}

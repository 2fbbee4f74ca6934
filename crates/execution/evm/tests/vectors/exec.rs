//! L2 blocks with a witness for state: executed as the header names them, which tells the rule that
//! fails, then built from their attributes; the hash must be the chain's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy_consensus::{BlockBody, Header};
use alloy_eips::eip2718::Decodable2718;
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::Decodable;
use opal_evm::revm::inspector::CountInspector;
use opal_evm::{
    BlockExecutor, BlockHashes, BlockInput, ChainSpec, ExecutedBlock, Parent, Preimages, State,
    execute_block, execution_witness,
};
use opal_protocol::hardfork::TABLE;
use opal_protocol::{Block, PayloadAttributes, RollupConfig, TxEnvelope};
use opal_tests::vectors::{Outcome, VectorFile, engine_json, optional, parse, uint};
use serde_json::Value;

use crate::{fork, op_spec};

fn header(value: &Value) -> Header {
    Header::decode(&mut parse::<Bytes>(value).as_ref()).unwrap()
}

/// An inspector changes nothing: the block is the same, and each transaction's result is that of
/// its receipt.
fn inspected_is_the_same(
    spec: &ChainSpec,
    parent: Parent<'_>,
    built: &ExecutedBlock,
    senders: &[Address],
    state: &State,
    hashes: BlockHashes<'_>,
) {
    let input = BlockInput::from_block(&built.block.block);
    let mut executor = BlockExecutor::new(spec, parent, input, state, hashes).unwrap();
    let transactions = &built.block.block.body.transactions;
    let mut gas_before = 0;
    for ((tx, sender), receipt) in transactions.iter().zip(senders).zip(&built.receipts) {
        let mut inspector = CountInspector::new();
        let inspected = executor.inspect(tx, *sender, &mut inspector).unwrap();
        let result = &inspected.outcome.result;
        assert_eq!(result.tx_gas_used(), receipt.cumulative_gas_used - gas_before);
        assert_eq!(result.is_success(), receipt.success);
        assert_eq!(result.logs(), receipt.logs);
        assert!(inspected.outcome.state.contains_key(sender));
        gas_before = receipt.cumulative_gas_used;
    }
    assert_eq!(executor.finish().unwrap().block, built.block);
}

pub fn check(file: &VectorFile) -> Outcome {
    let case = file.json();
    let needed = ["attributes", "preimages", "expected"];
    let parent = ["parent_header_rlp", "parent_header"];
    let has = |key: &&str| optional(&case, key).is_some();
    if !needed.iter().all(has) || !parent.iter().any(has) {
        file.not_understood(&case);
    }
    check_case(&case);
    Outcome::Checked(1)
}

/// The rules of a case's chain. A fork is active when the file says so; where that says nothing of a
/// fork (of one that came after the file's writer), the registry does, and else the fork that the
/// block is of.
fn spec_of(case: &Value) -> ChainSpec {
    let (rollup, chain_id) = (&case["rollup"], uint(&case["chain_id"]));
    let registered = RollupConfig::for_chain(chain_id).map(|config| config.schedule);
    let active = optional(case, "active_fork").map(fork);
    let mut before = Some(0);
    op_spec(chain_id, rollup, |fork| {
        let key = TABLE[fork as usize].rollup_key?;
        let time = match (rollup["hardforks"].get(key), &registered) {
            (Some(time), _) => (!time.is_null()).then(|| uint(time)),
            (None, Some(schedule)) => schedule.time(fork),
            (None, None) => active.is_some_and(|active| fork <= active).then_some(0),
        };
        // No fork comes before an earlier one.
        before = before.and_then(|before| Some(time?.max(before)));
        before
    })
}

/// Checks one block.
pub fn check_case(case: &Value) {
    let spec = spec_of(case);
    let attributes: PayloadAttributes =
        serde_json::from_value(engine_json(&case["attributes"])).unwrap();
    let parent = match optional(case, "parent_header_rlp") {
        Some(rlp) => header(rlp),
        None => serde_json::from_value(case["parent_header"].clone()).unwrap(),
    };
    let parent_hash = parent.hash_slow();
    assert_eq!(parent_hash, parse::<B256>(&case["parent_hash"]));
    let witness: Preimages =
        case["preimages"].as_object().unwrap().values().map(parse::<Bytes>).collect();

    let mut hashes = BTreeMap::from([(parent.number, parent_hash)]);
    let mut next = (parent.number, parent.parent_hash);
    while let Some(rlp) = witness.get(&next.1) {
        let ancestor = Header::decode(&mut rlp.as_ref()).unwrap();
        hashes.insert(ancestor.number, next.1);
        next = (ancestor.number, ancestor.parent_hash);
    }
    hashes.entry(next.0.saturating_sub(1)).or_insert(next.1);
    let hashes = |number: u64| hashes.get(&number).copied();

    let state = State::from_root(parent.state_root, Arc::new(witness));
    let parent = Parent { hash: parent_hash, header: &parent };
    let input = BlockInput::from_attributes(&spec, parent.header, &attributes).unwrap();
    let mut transactions = Vec::new();
    let mut senders = Vec::new();
    for (index, raw) in attributes.transactions.iter().flatten().enumerate() {
        let tx = TxEnvelope::decode_2718_exact(raw)
            .unwrap_or_else(|error| panic!("transaction {index} does not decode: {error}"));
        senders.push(tx.recover().unwrap_or_else(|error| panic!("transaction {index}: {error}")));
        transactions.push(tx);
    }

    let expected = &case["expected"];
    if let Some(rlp) = optional(expected, "header_rlp") {
        let withdrawals = attributes.withdrawals.clone().map(Withdrawals::new);
        let body =
            BlockBody { transactions: transactions.clone(), ommers: Vec::new(), withdrawals };
        let block = Block { header: header(rlp), body };
        execute_block(&spec, parent, &block, &senders, &state, &hashes)
            .unwrap_or_else(|error| panic!("{error}"));
    }
    let mut executor = BlockExecutor::new(&spec, parent, input, &state, &hashes).unwrap();
    for (index, (tx, sender)) in transactions.iter().zip(&senders).enumerate() {
        executor
            .transact(tx, *sender)
            .unwrap_or_else(|error| panic!("transaction {index} {}: {error}", tx.tx_hash()));
    }
    let built = executor.finish().unwrap();
    let fields = built.block.header();
    if let Some(gas) = optional(expected, "gas_used") {
        assert_eq!(fields.gas_used, uint(gas), "gas_used");
    }
    for (key, root) in [
        ("transactions_root", fields.transactions_root),
        ("receipts_root", fields.receipts_root),
        ("state_root", fields.state_root),
    ] {
        if let Some(expected) = optional(expected, key) {
            assert_eq!(root, parse::<B256>(expected), "{key}");
        }
    }
    assert_eq!(built.block.hash, parse::<B256>(&expected["block_hash"]), "{fields:?}");
    let again =
        execute_block(&spec, parent, &built.block.block, &senders, &state, &hashes).unwrap();
    assert_eq!(again.block, built.block);

    inspected_is_the_same(&spec, parent, &built, &senders, &state, &hashes);

    let block = &built.block.block;
    let (recorded, found) =
        execution_witness(&spec, parent, block, &senders, &state, &hashes).unwrap();
    assert_eq!(recorded.block, built.block);
    let known: BTreeSet<Bytes> =
        case["preimages"].as_object().unwrap().values().map(parse::<Bytes>).collect();
    for preimage in found.nodes.iter().chain(&found.codes) {
        assert!(known.contains(preimage), "a preimage that the recording lacks");
    }
    let exact: Preimages = found.nodes.into_iter().chain(found.codes).collect();
    let state = State::from_root(parent.header.state_root, Arc::new(exact));
    let stateless = execute_block(&spec, parent, block, &senders, &state, &hashes).unwrap();
    assert_eq!(stateless.block, built.block);
}

//! L2 blocks with a witness for state: built from their attributes, then executed as built, the
//! hash must be the chain's.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_consensus::Header;
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{B256, Bytes};
use alloy_rlp::Decodable;
use opal_evm::{BlockExecutor, BlockInput, Parent, Preimages, State, execute_block};
use opal_protocol::hardfork::TABLE;
use opal_protocol::{PayloadAttributes, TxEnvelope};
use opal_tests::vectors::{Outcome, VectorFile, engine_json, optional, parse, uint};
use serde_json::Value;

use crate::{fork, op_spec};

fn header(value: &Value) -> Header {
    Header::decode(&mut parse::<Bytes>(value).as_ref()).unwrap()
}

pub fn check(file: &VectorFile) -> Outcome {
    let case = file.json();
    let needed = ["attributes", "parent_header_rlp", "preimages", "expected"];
    if needed.iter().any(|key| optional(&case, key).is_none()) {
        file.not_understood(&case);
    }
    let rollup = &case["rollup"];
    let spec =
        op_spec(uint(&case["chain_id"]), rollup, |fork_| match optional(rollup, "hardforks") {
            Some(times) => {
                TABLE[fork_ as usize].rollup_key.and_then(|key| optional(times, key)).map(uint)
            }
            None => (fork_ <= fork(&case["active_fork"])).then_some(0),
        });
    let attributes: PayloadAttributes =
        serde_json::from_value(engine_json(&case["attributes"])).unwrap();
    let parent = header(&case["parent_header_rlp"]);
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
    let mut executor = BlockExecutor::new(&spec, parent, input, &state, &hashes).unwrap();
    let mut senders = Vec::new();
    for raw in attributes.transactions.into_iter().flatten() {
        let tx = TxEnvelope::decode_2718_exact(&raw).unwrap();
        let sender = tx.recover().unwrap();
        executor
            .transact(&tx, sender)
            .unwrap_or_else(|error| panic!("transaction {}: {error}", tx.tx_hash()));
        senders.push(sender);
    }
    let built = executor.finish().unwrap();

    let expected = &case["expected"];
    if let Some(rlp) = optional(expected, "header_rlp") {
        assert_eq!(built.block.header(), &header(rlp));
    }
    assert_eq!(built.block.hash, parse::<B256>(&expected["block_hash"]));
    let again =
        execute_block(&spec, parent, &built.block.block, &senders, &state, &hashes).unwrap();
    assert_eq!(again.block, built.block);
    Outcome::Checked(1)
}

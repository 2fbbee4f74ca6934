//! Ethereum's blockchain tests: encoded blocks on a genesis, some of which must be refused.

use std::collections::HashMap;

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes};
use alloy_rlp::Decodable;
use opal_evm::{ChainSpec, Parent, State, execute_block, genesis};
use opal_protocol::Block;
use opal_tests::vectors::{list, optional, parse};
use serde_json::{Value, json};

use crate::ethereum::{Test, config_of};
use crate::spec;
use crate::state_tests::unreachable;

/// The blocks so far, by hash.
type Blocks = HashMap<B256, (Header, State)>;

/// Runs a chain.
pub fn run(test: &Value) -> Test {
    let network = test["network"].as_str().unwrap();
    let Some(config) = config_of(network, &test["config"]) else { return Test::Left };
    let spec = spec(config.clone());
    let alloc =
        json!({"config": config, "gasLimit": "0x1", "difficulty": "0x0", "alloc": test["pre"]});
    let (_, state) = genesis(&spec, &serde_json::from_value(alloc).unwrap()).unwrap();
    let raw: Bytes = parse(&test["genesisRLP"]);
    let first = Block::decode(&mut raw.as_ref()).unwrap().header;
    assert_eq!(first.state_root, state.root(), "genesis");
    let mut blocks = Blocks::from([(first.hash_slow(), (first, state))]);
    for (index, block) in list(&test["blocks"]).iter().enumerate() {
        let raw: Bytes = parse(&block["rlp"]);
        let result = import(&spec, &raw, &mut blocks);
        // Some tests name the reason of a refusal, the others leave out what a valid block has.
        let refused = optional(block, "expectException").is_some()
            || optional(block, "blockHeader").is_none();
        // Drafts of Prague's tests lack the contracts that every chain must have by then.
        let draft = matches!(&result, Err(error) if error.starts_with("system contract"));
        if result.is_err() != refused && (draft || unreachable(&test["pre"])) {
            return Test::Left;
        }
        assert_eq!(result.is_err(), refused, "block {index}: {result:?}");
    }
    let last: B256 = parse(&test["lastblockhash"]);
    let (_, state) = &blocks[&last];
    if let Some(root) = optional(test, "postStateHash") {
        assert_eq!(state.root(), parse::<B256>(root));
    }
    Test::Passed
}

fn import(spec: &ChainSpec, mut raw: &[u8], blocks: &mut Blocks) -> Result<(), String> {
    let block = Block::decode(&mut raw).map_err(|error| error.to_string())?;
    if !raw.is_empty() {
        return Err("bytes after the block".into());
    }
    let mut senders = Vec::new();
    for tx in &block.body.transactions {
        senders.push(tx.recover().map_err(|error| error.to_string())?);
    }
    let hash = block.header.parent_hash;
    let (header, state) = blocks.get(&hash).ok_or("no such parent")?;
    let ancestor = |number: u64| {
        let mut at = (hash, header);
        while at.1.number > number {
            let hash = at.1.parent_hash;
            at = (hash, &blocks.get(&hash)?.0);
        }
        (at.1.number == number).then_some(at.0)
    };
    let parent = Parent { hash, header };
    let executed = execute_block(spec, parent, &block, &senders, state, &ancestor)
        .map_err(|error| error.to_string())?;
    blocks.insert(executed.block.hash, (block.header, executed.state));
    Ok(())
}

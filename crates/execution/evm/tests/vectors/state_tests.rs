//! Ethereum's state tests, each as the only transaction of a block whose parent is made so that the
//! block has the base fee and the excess blob gas that the test names.

use alloy_consensus::Header;
use alloy_eips::eip2718::Decodable2718;
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_rlp::Encodable;
use opal_evm::{
    BlockExecutor, BlockInput, ChainSpec, Parent, State, genesis, next_excess_blob_gas,
};
use opal_protocol::TxEnvelope;
use opal_tests::vectors::{list, optional, parse, text, uint};
use serde_json::{Value, json};

use crate::ethereum::{Test, config_of};
use crate::spec;

/// Every case of a test, by way of `run`.
pub fn run_all(name: &str, test: &Value, run: &mut dyn FnMut(&str, &dyn Fn() -> Test)) {
    for (fork, cases) in test["post"].as_object().into_iter().flatten() {
        for case in list(cases) {
            let name = format!("{name} {fork} {}", case["indexes"]);
            run(&name, &|| match config_of(fork, &test["config"]) {
                Some(config) => run_case(test, case, config),
                None => Test::Left,
            });
        }
    }
}

/// Runs `act` in a block with this environment.
pub fn in_block<T>(
    spec: &ChainSpec,
    env: &Value,
    state: &State,
    act: impl FnOnce(BlockExecutor<'_>) -> T,
) -> T {
    let hashes = |number: u64| Some(keccak256(number.to_string()));
    let time = uint(&env["currentTimestamp"]);
    let gas_limit = uint(&env["currentGasLimit"]);
    let parent = parent(spec, env, time, gas_limit);
    let input = BlockInput {
        timestamp: time,
        beneficiary: parse(&env["currentCoinbase"]),
        prev_randao: optional(env, "currentRandom").map_or(B256::ZERO, parse),
        gas_limit,
        extra_data: Bytes::new(),
        parent_beacon_block_root: None,
        withdrawals: None,
    };
    let parent = Parent { hash: B256::ZERO, header: &parent };
    let executor = BlockExecutor::new(spec, parent, input, state, &hashes).unwrap();
    assert_eq!(executor.base_fee(), optional(env, "currentBaseFee").map_or(0, uint));
    act(executor)
}

/// A parent whose child at `time` has the base fee and the excess blob gas of the environment.
fn parent(spec: &ChainSpec, env: &Value, time: u64, gas_limit: u64) -> Header {
    let number = uint(&env["currentNumber"]);
    let excess = optional(env, "currentExcessBlobGas").map_or(0, uint);
    let mut parent = Header {
        number: number.checked_sub(1).expect("the first block has no transactions"),
        timestamp: time - 1,
        gas_limit,
        // As much as is aimed at, so that the base fee stays.
        gas_used: gas_limit / 2,
        base_fee_per_gas: Some(optional(env, "currentBaseFee").map_or(0, uint)),
        ..Default::default()
    };
    let Some(params) = spec.blob_params(time) else { return parent };
    // An empty parent takes the target off; where blobs are cheap next to gas, a full one adds what
    // is above the target, and an empty one changes nothing (EIP-7918).
    let blobs = |count: u64| count * DATA_GAS_PER_BLOB;
    let surplus = blobs(params.max_blob_count - params.target_blob_count);
    for (before, used) in [
        (excess + blobs(params.target_blob_count), 0),
        (excess, 0),
        (excess.saturating_sub(surplus), blobs(params.max_blob_count)),
    ] {
        parent.excess_blob_gas = Some(before);
        parent.blob_gas_used = Some(used);
        if next_excess_blob_gas(spec, &parent, time) == Some(excess) {
            return parent;
        }
    }
    panic!("no parent gives an excess blob gas of {excess}")
}

fn run_case(test: &Value, case: &Value, config: Value) -> Test {
    let spec = spec(config.clone());
    let alloc =
        json!({"config": config, "gasLimit": "0x1", "difficulty": "0x0", "alloc": test["pre"]});
    let (_, state) = genesis(&spec, &serde_json::from_value(alloc).unwrap()).unwrap();
    let raw: Bytes = parse(&case["txbytes"]);
    let tx = TxEnvelope::decode_2718_exact(&raw).map_err(|error| error.to_string());
    let tx = tx.and_then(|tx| match tx.recover() {
        Ok(sender) => Ok((tx, sender)),
        Err(error) => Err(error.to_string()),
    });
    if let (Ok((_, sender)), Some(named)) = (&tx, optional(&test["transaction"], "sender")) {
        assert_eq!(*sender, parse::<Address>(named));
    }
    let (outcome, (after, logs)) = in_block(&spec, &test["env"], &state, |mut executor| {
        let outcome = tx.and_then(|(tx, sender)| {
            executor.transact(&tx, sender).map_err(|error| error.to_string())
        });
        let logs = executor.receipts().first().map(|receipt| receipt.logs.clone());
        (outcome, (executor.into_state().unwrap(), logs.unwrap_or_default()))
    });
    let refused = optional(case, "expectException").is_some();
    assert_eq!(outcome.is_err(), refused, "{outcome:?}");
    if after.root() != parse::<B256>(&case["hash"]) && unreachable(&test["pre"]) {
        return Test::Left;
    }
    assert_eq!(after.root(), parse::<B256>(&case["hash"]), "{outcome:?}");
    let mut rlp = Vec::new();
    logs.encode(&mut rlp);
    assert_eq!(keccak256(rlp), parse::<B256>(&case["logs"]), "{outcome:?}");
    Test::Passed
}

/// Whether a state holds storage where there is neither code nor a nonce, which no chain can reach.
/// EIP-7610 forbids to create contracts there; the EVM at hand does not ask.
pub fn unreachable(pre: &Value) -> bool {
    pre.as_object().into_iter().flatten().any(|(_, account)| {
        account["storage"].as_object().is_some_and(|storage| !storage.is_empty())
            && optional(account, "nonce").is_none_or(|nonce| uint(nonce) == 0)
            && optional(account, "code").is_none_or(|code| text(code) == "0x")
    })
}

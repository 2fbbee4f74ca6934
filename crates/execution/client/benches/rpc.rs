//! JSON-RPC without a network: reads, calls, proofs, and log searches over 10,000 blocks of which
//! one in a hundred matches. Each method alone, and `eth_call` from many clients at once.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B64, B256, Bytes, TxKind, U256, address};
use criterion::{Criterion, Throughput};
use jsonrpsee::RpcModule;
use opal_execution::{Chain, ForkchoiceState, LocalEngine, PayloadAttributes};
use opal_protocol::{DepositTransaction, Hardfork, TxEnvelope, predeploys};
use serde_json::{Value, json};

const BLOCKS: u64 = 10_000;
/// Emits a log with topic 7 when it is called with data.
const LOGGER: Address = address!("0000000000000000000000000000000000000109");
const CLIENTS: usize = 32;

fn engine() -> LocalEngine {
    let mut config = json!({
        "chainId": 901, "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0,
        "optimism": {
            "eip1559Elasticity": 6, "eip1559Denominator": 50, "eip1559DenominatorCanyon": 250
        },
    });
    for row in &opal_protocol::hardfork::TABLE {
        if let Some(key) = row.genesis_key.filter(|_| row.fork <= Hardfork::Karst) {
            config[key] = json!(0);
        }
    }
    let mut alloc = serde_json::Map::new();
    for n in 1..=10_000u64 {
        let account = Address::from_word(B256::from(U256::from(n << 32)));
        alloc.insert(account.to_string(), json!({ "balance": "0x1" }));
    }
    let slots: serde_json::Map<String, Value> = (0..10_000u64)
        .map(|n| (B256::from(U256::from(n)).to_string(), json!(B256::repeat_byte(1))))
        .collect();
    let logger = json!({ "balance": "0x0", "code": "0x365f52600760205fa1", "storage": slots });
    alloc.insert(LOGGER.to_string(), logger);
    let genesis = json!({
        "config": config, "timestamp": "0x1", "extraData": "0x01000000fa000000060000000000000000",
        "gasLimit": "0x1c9c380", "difficulty": "0x0", "baseFeePerGas": "0x1",
        "excessBlobGas": "0x0", "blobGasUsed": "0x0", "alloc": alloc,
    });
    LocalEngine::new(Chain::from_genesis(&serde_json::from_value(genesis).unwrap()).unwrap())
}

fn extend(engine: &LocalEngine) {
    let head = engine.head();
    let (number, timestamp) = (head.header().number + 1, head.header().timestamp + 1);
    let quiet = number % 100 != 0;
    let deposit = TxEnvelope::from(DepositTransaction {
        source_hash: B256::from(U256::from(number)),
        from: predeploys::L1_INFO_DEPOSITOR,
        to: TxKind::Call(if quiet { predeploys::L1_BLOCK } else { LOGGER }),
        mint: 0,
        value: U256::ZERO,
        gas_limit: 1_000_000,
        is_system_transaction: false,
        input: Bytes::new(),
    });
    let attributes = PayloadAttributes {
        timestamp,
        suggested_fee_recipient: predeploys::SEQUENCER_FEE_VAULT,
        withdrawals: Some(Vec::new()),
        parent_beacon_block_root: Some(B256::ZERO),
        transactions: Some(vec![deposit.encoded_2718().into()]),
        gas_limit: Some(30_000_000),
        eip1559_params: Some(B64::ZERO),
        min_base_fee: Some(0),
        ..Default::default()
    };
    let state = |head| ForkchoiceState { head, ..Default::default() };
    let updated = engine.fork_choice_updated(state(head.hash), Some(attributes)).unwrap();
    let block = engine.get_payload(updated.payload_id.unwrap()).unwrap().block;
    engine.new_payload(&block).unwrap();
    engine.fork_choice_updated(state(block.hash), None).unwrap();
}

async fn ask(module: &RpcModule<()>, request: &str) -> usize {
    let (answer, _) = module.raw_json_request(request, 1).await.unwrap();
    assert!(!answer.get().contains("\"error\""), "{}", answer.get());
    answer.get().len()
}

fn main() {
    let engine = engine();
    for _ in 0..BLOCKS {
        extend(&engine);
    }
    let module = opal_execution::rpc::module(engine.chain().clone());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let request = |method: &str, params: Value| {
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
    };
    let topic = B256::with_last_byte(7);
    let all = |filter: Value| {
        let mut filter = filter;
        filter["fromBlock"] = json!("0x1");
        filter["toBlock"] = json!(format!("{BLOCKS:#x}"));
        json!([filter])
    };
    let call = request("eth_call", json!([{ "to": LOGGER, "data": "0x01" }, "latest"]));
    let requests = [
        ("eth_blockNumber", request("eth_blockNumber", json!([]))),
        ("eth_getBalance", request("eth_getBalance", json!([LOGGER, "latest"]))),
        ("eth_call", call.clone()),
        ("eth_getProof, one slot", request("eth_getProof", json!([LOGGER, ["0x5"], "latest"]))),
        (
            "eth_getLogs, 100 of 10,000 blocks match",
            request("eth_getLogs", all(json!({ "address": LOGGER, "topics": [topic] }))),
        ),
        (
            "eth_getLogs, no block matches",
            request("eth_getLogs", all(json!({ "topics": [B256::ZERO] }))),
        ),
    ];
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    let mut group = criterion.benchmark_group("rpc");
    for (name, request) in &requests {
        group.bench_function(*name, |bench| {
            bench.iter(|| black_box(runtime.block_on(ask(&module, request))));
        });
    }
    group.throughput(Throughput::Elements(CLIENTS as u64));
    group.bench_function("eth_call, 32 at once", |bench| {
        bench.iter(|| {
            runtime.block_on(async {
                let mut calls = tokio::task::JoinSet::new();
                for _ in 0..CLIENTS {
                    let (module, call) = (module.clone(), call.clone());
                    calls.spawn(async move { ask(&module, &call).await });
                }
                while let Some(answer) = calls.join_next().await {
                    black_box(answer.unwrap());
                }
            });
        });
    });
    group.finish();
    criterion.final_summary();
}

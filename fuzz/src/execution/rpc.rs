//! JSON-RPC: any method with any parameters, on a chain of a few blocks.

use std::sync::OnceLock;
use std::time::Duration;

use alloy_primitives::{Address, B256};
use jsonrpsee::RpcModule;
use opal_execution::LocalEngine;
use opal_execution::rpc::{self, RpcConfig, TraceConfig};
use serde_json::{Value, json};

use super::chain::{self, CALLER, LOGGER, LOOPER, REVERTER, SENDER};
use super::input::Input;
use super::json::{ask, lengthen};
use super::payload::with_mode;

struct World {
    engine: LocalEngine,
    module: RpcModule<()>,
    methods: Vec<&'static str>,
    head: B256,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let engine = chain::engine();
        chain::extend(&engine, 4);
        for raw in chain::raw_transactions() {
            let _ = engine.chain().pool().add_raw(&raw);
        }
        let timeout = Duration::from_millis(500);
        let config = RpcConfig {
            call_timeout: timeout,
            send_sync_timeout: Duration::from_millis(5),
            max_send_sync_timeout: Duration::from_millis(5),
            max_filters: 16,
            trace: TraceConfig {
                timeout,
                max_timeout: timeout,
                max_bytes: 16 << 20,
                ..TraceConfig::default()
            },
            ..RpcConfig::default()
        };
        let module = rpc::module_with(engine.chain().clone(), config);
        let mut methods: Vec<_> = module.method_names().collect();
        methods.sort_unstable();
        let head = engine.head().hash;
        World { module, engine, methods, head }
    })
}

/// Every call is answered. The input: a method, whether and which list is made long, and JSON.
pub(super) fn run(data: &[u8]) {
    let mut input = Input(data);
    let (method, long) = (input.byte(), input.bytes(6));
    let Ok(text) = std::str::from_utf8(input.0) else { return };
    let mut long = Input(long);
    let longer = match (long.byte() % 4 == 1, serde_json::from_str::<Value>(text)) {
        (true, Ok(mut value)) => {
            lengthen(&mut value, &mut long);
            Some(value.to_string())
        }
        (true, Err(_)) => return,
        (false, _) => None,
    };
    let world = world();
    let method = world.methods[usize::from(method) % world.methods.len()];
    ask(&world.module, method, longer.as_deref().unwrap_or(text));
    if world.engine.head().hash != world.head {
        chain::set_head(&world.engine, world.head);
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let world = world();
    let hash = |number| chain::hash(&world.engine, number);
    let block = world.engine.chain().block_by_hash(&world.head).unwrap();
    let deposit = json!(block.block.body.transactions[0].tx_hash());
    let raw = &chain::raw_transactions()[0];
    let block_rlp = alloy_primitives::Bytes::from(alloy_rlp::encode(&*block.block));
    let call = json!({
        "from": SENDER, "to": LOGGER, "gas": "0x30000", "value": "0x1", "input": "0x010203",
        "nonce": "0x0", "maxFeePerGas": "0x174876e800", "maxPriorityFeePerGas": "0x1",
        "accessList": [{ "address": LOGGER, "storageKeys": [B256::ZERO] }],
        "chainId": "0x385", "type": "0x2",
    });
    let to = |to: Address| json!({ "to": to, "input": "0x01" });
    let setting = json!({
        "from": SENDER, "to": LOGGER, "authorizationList": [{
            "chainId": "0x0", "address": LOGGER, "nonce": "0x0", "yParity": "0x0", "r": "0x3e9",
            "s": "0x7",
        }],
    });
    let blobs = json!({ "to": LOGGER, "blobVersionedHashes": [B256::repeat_byte(1)],
        "maxFeePerBlobGas": "0x1" });
    let legacy = json!({ "from": SENDER, "to": LOGGER, "gasPrice": "0x3b9aca00" });
    let create = json!({ "from": SENDER, "data": "0x60015ff3" });
    let state = json!({
        LOGGER.to_string(): { "balance": "0x1", "nonce": "0x5", "code": "0x5f5f52",
            "stateDiff": { B256::ZERO.to_string(): B256::repeat_byte(1) } },
        SENDER.to_string(): { "state": { B256::ZERO.to_string(): B256::repeat_byte(1) } },
        "0x0000000000000000000000000000000000000001": { "movePrecompileToAddress": CALLER },
    });
    let overrides = json!({
        "number": "0x64", "time": "0x7d0", "gasLimit": "0x1c9c380", "feeRecipient": SENDER,
        "prevRandao": B256::ZERO, "baseFeePerGas": "0x7", "blobBaseFee": "0x1",
        "blockHash": { "3": B256::ZERO },
    });
    let filter = json!({
        "fromBlock": "0x0", "toBlock": "latest", "address": [LOGGER, REVERTER],
        "topics": [[B256::with_last_byte(7), B256::ZERO], null],
    });
    let simulation = json!({
        "blockStateCalls": [
            { "blockOverrides": { "number": "0x8", "time": "0x7d0", "baseFeePerGas": "0x1" },
              "stateOverrides": { SENDER.to_string(): { "balance": "0xde0b6b3a7640000" } },
              "calls": [to(LOGGER), to(REVERTER), create] },
            { "calls": [{ "from": SENDER, "to": CALLER, "gas": "0x10000" }] },
        ],
        "traceTransfers": true, "validation": false, "returnFullTransactions": true,
    });
    let validated = json!({
        "blockStateCalls": [{ "calls": [call] }, { "blockOverrides": { "gasLimit": "0x1" } }, {}],
        "validation": true,
    });
    let tracer = |name: &str, config: Value| json!({ "tracer": name, "tracerConfig": config });
    let attributes = chain::attributes(&block);
    let both = json!(["trace", "vmTrace", "stateDiff"]);
    let conditional = json!({
        "knownAccounts": { LOGGER.to_string(): { B256::ZERO.to_string(): B256::ZERO },
            SENDER.to_string(): B256::ZERO },
        "blockNumberMin": "0x1", "blockNumberMax": "0x9", "timestampMin": "0x1",
    });
    let mut calls = vec![
        ("eth_call", json!([call, "latest"])),
        ("eth_call", json!([call, "latest", state, overrides])),
        ("eth_call", json!([to(LOOPER), { "blockHash": hash(2), "requireCanonical": true }])),
        ("eth_call", json!([to(CALLER), "pending", state])),
        ("eth_call", json!([setting, "safe"])),
        ("eth_call", json!([blobs, "0x1"])),
        ("eth_estimateGas", json!([call, "latest", state, overrides])),
        ("eth_estimateGas", json!([legacy])),
        ("eth_estimateGas", json!([to(LOOPER)])),
        ("eth_estimateGas", json!([setting])),
        ("eth_createAccessList", json!([call, "latest", state, overrides])),
        ("eth_createAccessList", json!([create])),
        ("eth_createAccessList", json!([setting])),
        ("eth_fillTransaction", json!([legacy])),
        ("eth_fillTransaction", json!([setting])),
        ("eth_fillTransaction", json!([blobs])),
        ("eth_simulateV1", json!([simulation, "latest"])),
        ("eth_simulateV1", json!([validated, "0x1"])),
        ("eth_getLogs", json!([filter])),
        ("eth_getLogs", json!([{ "blockHash": hash(1), "topics": [] }])),
        ("eth_newFilter", json!([filter])),
        ("eth_newBlockFilter", json!([])),
        ("eth_newPendingTransactionFilter", json!([true])),
        ("eth_getFilterChanges", json!(["0x1"])),
        ("eth_getFilterLogs", json!(["0x1"])),
        ("eth_uninstallFilter", json!(["0x1"])),
        ("eth_subscribe", json!(["logs", filter])),
        ("eth_subscribe", json!(["newHeads"])),
        ("eth_subscribe", json!(["newPendingTransactions", true])),
        ("eth_subscribe", json!(["transactionReceipts", { "transactionHashes": [deposit] }])),
        ("eth_feeHistory", json!(["0x4", "latest", [0, 25.5, 100]])),
        ("eth_feeHistory", json!([4, "0x2", []])),
        ("eth_getProof", json!([LOGGER, ["0x1", B256::ZERO], "latest"])),
        ("eth_getStorageValues", json!([{ LOGGER.to_string(): [B256::ZERO] }, "latest"])),
        ("eth_getStorageAt", json!([LOGGER, "0x1", "latest"])),
        ("eth_getBalance", json!([LOGGER, { "blockNumber": "0x1" }])),
        ("eth_getTransactionCount", json!([SENDER, "pending"])),
        ("eth_getCode", json!([LOGGER, "earliest"])),
        ("eth_getBlockByNumber", json!(["pending", true])),
        ("eth_getBlockByNumber", json!(["0x2", true])),
        ("eth_getBlockByHash", json!([hash(2), false])),
        ("eth_getBlockReceipts", json!([hash(2)])),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["0x1", "0x0"])),
        ("eth_getTransactionReceipt", json!([deposit])),
        ("eth_sendRawTransaction", json!([raw])),
        ("eth_sendRawTransactionSync", json!([raw, 1])),
        ("eth_sendRawTransactionConditional", json!([raw, conditional])),
        ("eth_config", json!([])),
        ("txpool_content", json!([])),
        ("txpool_contentFrom", json!([SENDER])),
        ("miner_setMaxDASize", json!(["0x64", "0x64"])),
        ("web3_sha3", json!(["0x68656c6c6f"])),
        ("debug_getRawReceipts", json!(["latest"])),
        ("debug_traceTransaction", json!([deposit, {}])),
        (
            "debug_traceTransaction",
            json!([deposit, { "enableMemory": true, "enableReturnData": true,
            "disableStack": false, "limit": 5, "timeout": "1m30s" }]),
        ),
        (
            "debug_traceBlockByNumber",
            json!(["0x1", tracer("callTracer", json!({ "withLog": true }))]),
        ),
        (
            "debug_traceBlockByHash",
            json!([hash(1), tracer("prestateTracer", json!({ "diffMode": true }))]),
        ),
        ("debug_traceBlock", json!([block_rlp, tracer("4byteTracer", json!({}))])),
        (
            "debug_traceCall",
            json!([call, "latest", { "tracer": "flatCallTracer", "txIndex": "0x1",
            "stateOverrides": state, "blockOverrides": overrides }]),
        ),
        ("debug_traceCall", json!([to(LOOPER), "latest", {}])),
        (
            "debug_traceCall",
            json!([
                to(CALLER),
                "latest",
                tracer(
                    "muxTracer",
                    json!({
            "callTracer": { "onlyTopCall": true }, "prestateTracer": {}, "4byteTracer": null })
                )
            ]),
        ),
        ("debug_traceCall", json!([call, "latest", tracer("erc7562Tracer", json!({}))])),
        ("debug_setHead", json!(["0x2"])),
        ("debug_intermediateRoots", json!([hash(1)])),
        ("debug_getModifiedAccountsByNumber", json!(["0x1", "0x3"])),
        ("debug_getModifiedAccountsByHash", json!([hash(1), hash(3)])),
        ("debug_storageRangeAt", json!([hash(1), 1, LOGGER, "0x", 100])),
        ("debug_accountRange", json!(["latest", "0x00", 10, false, false])),
        ("debug_dumpBlock", json!(["latest"])),
        ("debug_executionWitness", json!(["0x2"])),
        ("debug_executePayload", json!([hash(4), attributes])),
        ("trace_block", json!(["0x1"])),
        ("trace_get", json!([deposit, ["0x0"]])),
        (
            "trace_filter",
            json!([{ "fromBlock": "0x0", "toBlock": "0x4", "fromAddress": [SENDER],
            "toAddress": [LOGGER], "mode": "union", "after": 1, "count": 2 }]),
        ),
        ("trace_call", json!([call, both, "latest", state, overrides])),
        ("trace_call", json!([to(LOOPER), ["vmTrace"]])),
        ("trace_callMany", json!([[[call, both], [to(CALLER), ["trace"]]], "latest"])),
        ("trace_rawTransaction", json!([raw, both])),
        ("trace_replayTransaction", json!([deposit, both])),
        ("trace_replayBlockTransactions", json!(["0x1", both])),
    ];
    // The others, without parameters and with an ordinary one.
    let known: Vec<&str> = calls.iter().map(|(name, _)| *name).collect();
    let left = world.methods.iter().filter(|name| !known.contains(*name));
    let mut others: Vec<_> =
        left.flat_map(|name| [(*name, json!([])), (*name, json!(["0x1"]))]).collect();
    calls.append(&mut others);
    let mut seeds = Vec::new();
    for (name, params) in calls {
        let place = world.methods.iter().position(|method| *method == name);
        let place = place.unwrap_or_else(|| panic!("no method {name}")) as u8;
        seeds.push(with_mode([place, 0, 0, 0, 0, 0, 0], &params));
        // Each of its lists made long.
        let lists = params.to_string().matches(['[', '{']).count();
        for list in 0..lists.min(255) as u8 {
            seeds.push(with_mode([place, 1, list, 11, 0, 0, 0], &params));
        }
    }
    seeds
}

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use alloy_consensus::{SignableTransaction, TxEip7702, TxLegacy};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{B256, Bytes, TxKind, U256, hex, keccak256};
use alloy_signer::SignerSync;
use opal_protocol::TxEnvelope;
use serde_json::{Value, json};

use super::*;
use crate::testing::*;
use crate::{ForkchoiceState, LocalEngine};

/// The `result` of a call, or its `error`.
async fn ask(module: &RpcModule<()>, method: &str, params: Value) -> Result<Value, Value> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let (answer, _) = module.raw_json_request(&request.to_string(), 16).await.unwrap();
    let mut answer: Value = serde_json::from_str(answer.get()).unwrap();
    match answer.get("error") {
        Some(_) => Err(answer["error"].take()),
        None => Ok(answer["result"].take()),
    }
}

async fn ok(module: &RpcModule<()>, method: &str, params: Value) -> Value {
    ask(module, method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
}

fn l2() -> (LocalEngine, RpcModule<()>) {
    let engine = l2_engine();
    let module = module(engine.chain().clone());
    (engine, module)
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn call_logger(from: u8, nonce: u64) -> TxEnvelope {
    tx(L2_CHAIN_ID, from, nonce, LOGGER, GWEI, Bytes::from([1; 3]))
}

mod blocks;
mod history;
mod logs;
mod otterscan;
mod simulate;
mod traces;

/// docs/rpc.md lists what is registered, and nothing else. Names of namespaces that are documented
/// elsewhere are left out.
#[tokio::test]
async fn the_book_lists_every_method() {
    let (_, module) = l2();
    let registered: BTreeSet<&str> = module.method_names().collect();
    let book = include_str!("../../../../../docs/rpc.md");
    let listed: BTreeSet<&str> = book
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .filter(|name| name.contains('_'))
        .collect();
    let missing: Vec<_> = registered.difference(&listed).collect();
    let invented: Vec<_> = listed.difference(&registered).collect();
    assert!(missing.is_empty(), "docs/rpc.md lacks {missing:?}");
    assert!(invented.is_empty(), "docs/rpc.md lists {invented:?}, which are not registered");
}

#[tokio::test]
async fn every_method_of_this_step_answers_by_its_exact_name() {
    let (_, module) = l2();
    let names: Vec<_> = module.method_names().collect();
    let expected = "eth_chainId eth_blockNumber eth_getBlockByNumber eth_getBlockByHash \
        eth_getBlockTransactionCountByNumber eth_getBlockTransactionCountByHash \
        eth_getBlockReceipts eth_getTransactionByHash eth_getTransactionByBlockNumberAndIndex \
        eth_getTransactionByBlockHashAndIndex eth_getTransactionReceipt eth_getTransactionCount \
        eth_getBalance eth_getCode eth_getStorageAt eth_getProof eth_call eth_estimateGas \
        eth_gasPrice eth_maxPriorityFeePerGas eth_blobBaseFee eth_feeHistory \
        eth_sendRawTransaction eth_getLogs eth_newFilter eth_newBlockFilter \
        eth_newPendingTransactionFilter eth_getFilterChanges eth_getFilterLogs \
        eth_uninstallFilter eth_syncing eth_accounts eth_subscribe eth_unsubscribe net_version \
        net_listening net_peerCount web3_clientVersion web3_sha3 txpool_status txpool_content \
        txpool_contentFrom txpool_inspect debug_getRawBlock debug_getRawHeader \
        debug_getRawReceipts debug_getRawTransaction miner_setMaxDASize rpc_modules \
        eth_getUncleCountByBlockNumber eth_getUncleCountByBlockHash eth_getRawTransactionByHash";
    for name in expected.split_whitespace() {
        assert!(names.contains(&name), "{name} is missing");
    }
}

#[tokio::test]
async fn identity_and_utilities() {
    let (engine, module) = l2();
    assert_eq!(ok(&module, "eth_chainId", json!([])).await, "0x385");
    assert_eq!(ok(&module, "net_version", json!([])).await, "901");
    assert_eq!(ok(&module, "net_listening", json!([])).await, true);
    assert_eq!(ok(&module, "net_peerCount", json!([])).await, "0x0");
    assert_eq!(ok(&module, "eth_syncing", json!([])).await, false);
    assert_eq!(ok(&module, "eth_accounts", json!([])).await, json!([]));
    let hash = ok(&module, "web3_sha3", json!(["0x68656c6c6f"])).await;
    assert_eq!(hash, json!(keccak256("hello")));
    assert!(ok(&module, "web3_clientVersion", json!([])).await.as_str().unwrap().contains("opal"));
    assert_eq!(ok(&module, "eth_blockNumber", json!([])).await, "0x0");
    assert_eq!(ok(&module, "miner_setMaxDASize", json!(["0x64", "0x0"])).await, true);
    engine.chain().da_limits().set(0, 0);
    let unknown = ask(&module, "eth_nothing", json!([])).await.unwrap_err();
    assert_eq!(unknown["code"], -32601);
    let wrong = ask(&module, "eth_getBalance", json!(["0x12"])).await.unwrap_err();
    assert_eq!(wrong["code"], -32602);
}

#[tokio::test]
async fn state_is_read_at_any_tag() {
    let (engine, module) = l2();
    let me = signer(0).address();
    let genesis = engine.head();
    engine.chain().pool().add_raw(&raw(&transfer(0, 0, GWEI))).unwrap();
    let one = extend(&engine, l2_attributes(&genesis, &[]));
    engine.chain().pool().add_raw(&raw(&transfer(0, 1, GWEI))).unwrap();
    let balance = |tag: Value| ask(&module, "eth_getBalance", json!([RECIPIENT, tag]));
    assert_eq!(balance(json!("latest")).await, Ok(json!("0x1")));
    assert_eq!(balance(json!("safe")).await, Ok(json!("0x0")));
    assert_eq!(balance(json!("finalized")).await, Ok(json!("0x0")));
    assert_eq!(balance(json!({ "blockHash": one.hash })).await, Ok(json!("0x1")));
    assert_eq!(balance(json!({ "blockNumber": "0x0" })).await, Ok(json!("0x0")));
    let error = balance(json!("0x55")).await.unwrap_err();
    assert_eq!((&error["code"], &error["message"]), (&json!(-32000), &json!("header not found")));
    let nonce = |tag: &'static str| ask(&module, "eth_getTransactionCount", json!([me, tag]));
    assert_eq!(
        (nonce("latest").await, nonce("pending").await),
        (Ok(json!("0x1")), Ok(json!("0x2")))
    );
    assert_eq!(ok(&module, "eth_getTransactionCount", json!([me])).await, "0x1");
    let slot = ok(
        &module,
        "eth_getStorageAt",
        json!([opal_protocol::predeploys::L1_BLOCK, "0x7", "latest"]),
    );
    assert_eq!(slot.await, json!(B256::with_last_byte(1)));
    let long = format!("0x{}", "0".repeat(65));
    for (key, complaint) in [
        (long.as_str(), "storage key too long (want at most 32 bytes): \"0x000"),
        ("0xasdf", "invalid hex in storage key: \"0xasdf\""),
        ("é", "invalid hex in storage key: \"é\""),
    ] {
        let error = ask(&module, "eth_getStorageAt", json!([me, key, "latest"])).await.unwrap_err();
        assert_eq!(error["code"], -32602);
        assert!(error["message"].as_str().unwrap().starts_with(complaint), "{error}");
    }
    let error = ask(&module, "debug_getRawBlock", json!(["2"])).await.unwrap_err();
    assert_eq!(error["message"], "invalid argument 0: hex string without 0x prefix");

    let params = json!([opal_protocol::predeploys::L1_BLOCK, ["0x7"], "latest"]);
    let proof = ok(&module, "eth_getProof", params).await;
    assert_eq!(
        keys(&proof),
        ["accountProof", "address", "balance", "codeHash", "nonce", "storageHash", "storageProof"]
    );
    assert_eq!(proof["storageProof"][0]["value"], "0x1");
    let root = proof["accountProof"][0].as_str().unwrap();
    assert_eq!(keccak256(hex::decode(root).unwrap()), one.header().state_root);

    let pending = ok(&module, "eth_getBlockByNumber", json!(["pending", false])).await;
    assert_eq!((&pending["number"], &pending["hash"]), (&json!("0x2"), &Value::Null));
    assert_eq!(pending["transactions"].as_array().unwrap().len(), 1);
    let state = ForkchoiceState { head: one.hash, safe: one.hash, finalized: one.hash };
    engine.fork_choice_updated(state, None).unwrap();
    assert_eq!(balance(json!("finalized")).await, Ok(json!("0x1")));
}

#[tokio::test]
async fn calls_and_estimates() {
    let (engine, module) = l2();
    let me = signer(0).address();
    let call = |request: Value| ask(&module, "eth_call", json!([request, "latest"]));
    assert_eq!(call(json!({ "to": LOGGER, "data": "0x0102" })).await, Ok(json!("0x")));
    let error = call(json!({ "to": REVERTER })).await.unwrap_err();
    assert_eq!(error["code"], 3);
    assert_eq!(error["message"], "execution reverted: nope");
    assert!(error["data"].as_str().unwrap().starts_with("0x08c379a0"), "{error}");
    // PUSH1 1 SLOAD PUSH0 MSTORE PUSH1 32 PUSH0 RETURN, put in place by overrides.
    let overrides = json!({ RECIPIENT.to_string(): {
        "code": "0x6001545f5260205ff3",
        "stateDiff": { B256::with_last_byte(1).to_string(): B256::with_last_byte(0x42) }
    }});
    let params = json!([{ "to": RECIPIENT, "input": "0x" }, "latest", overrides]);
    assert_eq!(ok(&module, "eth_call", params).await, json!(B256::with_last_byte(0x42)));
    // NUMBER PUSH0 MSTORE PUSH1 32 PUSH0 RETURN.
    let overrides = json!({ RECIPIENT.to_string(): { "code": "0x435f5260205ff3" } });
    let params = json!([{ "to": RECIPIENT }, "latest", overrides, { "number": "0x63" }]);
    assert_eq!(ok(&module, "eth_call", params).await, json!(B256::with_last_byte(0x63)));
    // BLOCKHASH of 128, a block that the chain does not have.
    let overrides = json!({ RECIPIENT.to_string(): { "code": "0x6080405f5260205ff3" } });
    let params = json!([{ "to": RECIPIENT }, "latest", overrides, { "number": "0x100" }]);
    assert_eq!(ok(&module, "eth_call", params).await, json!(B256::ZERO));
    let poor = json!({ "from": RECIPIENT, "to": me, "value": "0x1", "gas": "0x5208" });
    let error = call(poor).await.unwrap_err();
    let message = error["message"].as_str().unwrap();
    let expected = format!(
        "err: insufficient funds for gas * price + value: address {RECIPIENT} have 0 want 1 \
         (supplied gas 21000)"
    );
    assert_eq!(message, expected);
    let cheap = json!({ "from": me, "to": RECIPIENT, "maxFeePerGas": "0x1", "gas": "0x5208" });
    let message = call(cheap).await.unwrap_err()["message"].clone();
    let base_fee = engine.head().header().base_fee_per_gas.unwrap();
    let expected = format!(
        "err: max fee per gas less than block base fee: address {me}, maxFeePerGas: 1, baseFee: \
         {base_fee} (supplied gas 21000)"
    );
    assert_eq!(message, expected);

    let estimate = |request: Value| ask(&module, "eth_estimateGas", json!([request]));
    let transfer = json!({ "from": me, "to": RECIPIENT, "value": "0x1" });
    assert_eq!(estimate(transfer).await, Ok(json!("0x5208")));
    let error = estimate(json!({ "from": me, "to": REVERTER })).await.unwrap_err();
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!(3), &json!("execution reverted: nope"))
    );
    let gas = estimate(json!({ "from": me, "to": LOGGER, "data": "0x0102" })).await.unwrap();
    let gas = u64::from_str_radix(&gas.as_str().unwrap()[2..], 16).unwrap();
    assert!((21_800..25_000).contains(&gas), "{gas}");
    let enough = json!({ "from": me, "to": LOGGER, "data": "0x0102", "gas": format!("{gas:#x}") });
    assert!(call(enough).await.is_ok());
    let error =
        estimate(json!({ "from": me, "to": LOGGER, "data": "0x0102", "gas": "0x5300" })).await;
    let message = error.unwrap_err()["message"].clone();
    assert_eq!(message, "gas required exceeds allowance (21248)");
    let create = json!({ "from": me, "data": "0x5f5ff3" });
    assert!(estimate(create).await.is_ok());
}

#[tokio::test]
async fn fees_come_from_the_chain() {
    let (engine, module) = l2();
    for nonce in 0..3 {
        engine.chain().pool().add_raw(&raw(&transfer(0, nonce, 2 * GWEI))).unwrap();
        extend(&engine, l2_attributes(&engine.head(), &[]));
    }
    let history = ok(&module, "eth_feeHistory", json!(["0x2", "latest", [10.0, 90.0]])).await;
    assert_eq!(
        keys(&history),
        [
            "baseFeePerBlobGas",
            "baseFeePerGas",
            "blobGasUsedRatio",
            "gasUsedRatio",
            "oldestBlock",
            "reward"
        ]
    );
    assert_eq!(history["oldestBlock"], "0x2");
    assert_eq!(history["baseFeePerGas"].as_array().unwrap().len(), 3);
    assert_eq!(
        history["reward"],
        json!([["0x77359400", "0x77359400"], ["0x77359400", "0x77359400"]])
    );
    let next = engine.chain().pool().head().base_fee;
    assert_eq!(history["baseFeePerGas"][2], format!("{next:#x}"));
    let none = ok(&module, "eth_feeHistory", json!([5, "latest"])).await;
    assert_eq!(none["baseFeePerGas"].as_array().unwrap().len(), 5);
    assert!(none.get("reward").is_none_or(Value::is_null));
    for params in [json!(["0x1", "latest", [90, 10]]), json!(["0x1", "latest", [101]])] {
        let error = ask(&module, "eth_feeHistory", params).await.unwrap_err();
        assert!(error["message"].as_str().unwrap().starts_with("invalid reward percentile"));
    }
    assert!(ask(&module, "eth_feeHistory", json!(["0x1", "0x99"])).await.is_err());
    let tip = ok(&module, "eth_maxPriorityFeePerGas", json!([])).await;
    assert_eq!(tip, format!("{:#x}", 1_000_000));
    let base_fee = engine.head().header().base_fee_per_gas.unwrap();
    let price = ok(&module, "eth_gasPrice", json!([])).await;
    assert_eq!(price, format!("{:#x}", base_fee + 1_000_000));
    assert_eq!(ok(&module, "eth_blobBaseFee", json!([])).await, "0x1");
}

#[tokio::test]
async fn logs_by_range_hash_and_filter() {
    let engine = l2_engine();
    let config = RpcConfig { max_log_blocks: 4, max_logs: 3, max_filters: 2, ..Default::default() };
    let module = module_with(engine.chain().clone(), config);
    let all = json!({ "fromBlock": "earliest", "toBlock": "latest", "address": LOGGER });
    let log_filter = ok(&module, "eth_newFilter", json!([{ "address": LOGGER }])).await;
    let block_filter = ok(&module, "eth_newBlockFilter", json!([])).await;
    let genesis = engine.head();
    let mut blocks = Vec::new();
    for nonce in 0..3 {
        engine.chain().pool().add_raw(&raw(&call_logger(0, nonce))).unwrap();
        blocks.push(extend(&engine, l2_attributes(&engine.head(), &[])));
    }
    let count = |value: &Value| value.as_array().unwrap().len();
    assert_eq!(count(&ok(&module, "eth_getLogs", json!([all])).await), 3);
    for (filter, expected) in [
        (json!({ "blockHash": blocks[1].hash }), 1),
        (json!({ "fromBlock": "0x2", "toBlock": "latest" }), 2),
        (json!({ "fromBlock": "0x1", "topics": [B256::with_last_byte(7)] }), 3),
        (json!({ "fromBlock": "0x1", "topics": [[B256::with_last_byte(7), B256::ZERO]] }), 3),
        (json!({ "fromBlock": "0x1", "topics": [null] }), 3),
        (json!({ "fromBlock": "0x1", "topics": [B256::with_last_byte(8)] }), 0),
        (json!({ "fromBlock": "0x1", "address": [REVERTER] }), 0),
        (json!({}), 1),
    ] {
        assert_eq!(count(&ok(&module, "eth_getLogs", json!([filter])).await), expected, "{filter}");
    }
    let both = "invalid argument 0: cannot specify both BlockHash and FromBlock/ToBlock, choose one \
                or the other";
    for (filter, code, text) in [
        (json!({ "fromBlock": "0x2", "toBlock": "0x1" }), -32602, "invalid block range params"),
        (json!({ "fromBlock": "0x99", "toBlock": "0x98" }), -32602, "invalid block range params"),
        (
            json!({ "fromBlock": "0x2", "toBlock": "0x99" }),
            -32602,
            "block range extends beyond current head block",
        ),
        (json!({ "blockHash": B256::ZERO }), -32000, "unknown block"),
        (json!({ "blockHash": B256::ZERO, "fromBlock": "0x1" }), -32602, both),
    ] {
        let error = ask(&module, "eth_getLogs", json!([filter])).await.unwrap_err();
        assert_eq!((&error["code"], &error["message"]), (&json!(code), &json!(text)), "{filter}");
    }
    let changes = ok(&module, "eth_getFilterChanges", json!([block_filter])).await;
    assert_eq!(changes, json!([blocks[0].hash, blocks[1].hash, blocks[2].hash]));
    assert_eq!(count(&ok(&module, "eth_getFilterChanges", json!([log_filter])).await), 3);
    assert_eq!(ok(&module, "eth_getFilterChanges", json!([log_filter])).await, json!([]));

    // A reorg: the three come back as removed, newest first, and are mined again in one block.
    set_head(&engine, genesis.hash);
    let mut attributes = l2_attributes(&genesis, &[]);
    attributes.timestamp += 1;
    let other = extend(&engine, attributes);
    let logs = ok(&module, "eth_getFilterChanges", json!([log_filter])).await;
    let removed: Vec<_> = (0..6).map(|i| logs[i]["removed"].as_bool().unwrap()).collect();
    assert_eq!(removed, [true, true, true, false, false, false]);
    assert_eq!(logs[0]["blockNumber"], "0x3");
    let changes = ok(&module, "eth_getFilterChanges", json!([block_filter])).await;
    assert_eq!(changes, json!([other.hash]));
    assert_eq!(count(&ok(&module, "eth_getFilterLogs", json!([log_filter])).await), 3);

    engine.chain().pool().add_raw(&raw(&call_logger(0, 3))).unwrap();
    for _ in 0..4 {
        extend(&engine, l2_attributes(&engine.head(), &[]));
    }
    let error = ask(&module, "eth_getLogs", json!([all])).await.unwrap_err();
    assert_eq!(error["message"], "exceed maximum block range: 4");
    let many = json!({ "fromBlock": "0x0", "toBlock": "0x3" });
    let error = ask(&module, "eth_getLogs", json!([many])).await.unwrap_err();
    assert_eq!(error["message"], "query returned more than 3 results");

    // A third filter drives out the one that was used longest ago.
    let third = ok(&module, "eth_newPendingTransactionFilter", json!([])).await;
    let gone = ask(&module, "eth_getFilterChanges", json!([block_filter])).await.unwrap_err();
    assert_eq!(gone["message"], "filter not found");
    let hash = engine.chain().pool().add_raw(&raw(&transfer(1, 0, GWEI))).unwrap();
    assert_eq!(ok(&module, "eth_getFilterChanges", json!([third])).await, json!([hash]));
    assert_eq!(ok(&module, "eth_uninstallFilter", json!([third])).await, true);
    assert_eq!(ok(&module, "eth_uninstallFilter", json!([third])).await, false);
}

#[tokio::test]
async fn pool_is_shown_as_geth_shows_it() {
    let (engine, module) = l2();
    let me = signer(0).address();
    let pool = engine.chain().pool();
    let hash = pool.add_raw(&raw(&transfer(0, 0, GWEI))).unwrap();
    pool.add_raw(&raw(&transfer(0, 2, GWEI))).unwrap();
    let status = ok(&module, "txpool_status", json!([])).await;
    assert_eq!(status, json!({ "pending": "0x1", "queued": "0x1" }));
    let content = ok(&module, "txpool_content", json!([])).await;
    assert_eq!(content["pending"][me.to_string()]["0"]["hash"], json!(hash));
    assert_eq!(content["queued"][me.to_string()]["2"]["nonce"], "0x2");
    let waiting = content["queued"][me.to_string()]["2"].as_object().unwrap();
    for field in ["blockHash", "blockNumber", "blockTimestamp", "transactionIndex"] {
        assert_eq!(waiting.get(field), Some(&Value::Null), "{field}");
    }
    let from = ok(&module, "txpool_contentFrom", json!([me])).await;
    assert_eq!(from["pending"], content["pending"][me.to_string()]);
    let inspect = ok(&module, "txpool_inspect", json!([])).await;
    let expected = format!("{RECIPIENT}: 1 wei + 100000 gas × 100000000000 wei");
    assert_eq!(inspect["pending"][me.to_string()]["0"], expected);
    let again = json!([raw(&transfer(0, 0, GWEI))]);
    let error = ask(&module, "eth_sendRawTransaction", again).await.unwrap_err();
    assert_eq!((&error["code"], &error["message"]), (&json!(-32000), &json!("already known")));
}

#[tokio::test]
async fn subscriptions_follow_head_logs_and_pool() {
    let (engine, module) = l2();
    let subscribe = |params: Value| {
        let module = module.clone();
        async move {
            let params: Vec<Value> = serde_json::from_value(params).unwrap();
            module.subscribe_unbounded("eth_subscribe", params).await.unwrap()
        }
    };
    let mut heads = subscribe(json!(["newHeads"])).await;
    let mut logs = subscribe(json!(["logs", { "address": LOGGER }])).await;
    let mut hashes = subscribe(json!(["newPendingTransactions"])).await;
    let mut full = subscribe(json!(["newPendingTransactions", true])).await;
    let genesis = engine.head();
    let hash = engine.chain().pool().add_raw(&raw(&call_logger(0, 0))).unwrap();
    let one = extend(&engine, l2_attributes(&genesis, &[]));
    let head: Value = heads.next().await.unwrap().unwrap().0;
    assert_eq!((&head["hash"], &head["number"]), (&json!(one.hash), &json!("0x1")));
    assert!(head.get("transactions").is_none());
    let log: Value = logs.next().await.unwrap().unwrap().0;
    assert_eq!((&log["transactionHash"], &log["removed"]), (&json!(hash), &json!(false)));
    assert_eq!(hashes.next::<B256>().await.unwrap().unwrap().0, hash);

    set_head(&engine, genesis.hash);
    let log: Value = logs.next().await.unwrap().unwrap().0;
    assert_eq!((&log["transactionHash"], &log["removed"]), (&json!(hash), &json!(true)));
    let second = engine.chain().pool().add_raw(&raw(&transfer(1, 0, GWEI))).unwrap();
    // The full form of the first one is there only as long as the pool has it.
    loop {
        let tx: Value = full.next().await.unwrap().unwrap().0;
        if tx["hash"] == json!(second) {
            assert_eq!(tx["from"], json!(signer(1).address()));
            break;
        }
    }
    let error = ask(&module, "eth_subscribe", json!(["nothing"])).await.unwrap_err();
    assert_eq!(error["message"], "no \"nothing\" subscription in eth namespace");
}

//! Overrides, access lists, `eth_simulateV1`, limits, and what else calls have.

use std::time::Duration;

use super::*;

fn u64_of(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// Loops for ever.
const LOOP: &str = "0x5b600056";

#[tokio::test]
async fn a_call_that_runs_too_long_is_aborted() {
    let engine = l2_engine();
    let config = RpcConfig {
        call_timeout: Duration::from_millis(20),
        call_gas_limit: u64::MAX / 4,
        ..Default::default()
    };
    let module = module_with(engine.chain().clone(), config);
    let overrides = json!({ RECIPIENT.to_string(): { "code": LOOP } });
    let gas = format!("{:#x}", u64::MAX / 4);
    let request = json!({ "to": RECIPIENT, "gas": gas });
    let calls = json!([{ "stateOverrides": overrides, "calls": [request],
                         "blockOverrides": { "gasLimit": gas } }]);
    for (method, params) in [
        ("eth_call", json!([request, "latest", overrides])),
        ("eth_createAccessList", json!([request, "latest", overrides])),
        ("eth_simulateV1", json!([{ "blockStateCalls": calls }, "latest"])),
    ] {
        let error = ask(&module, method, params).await.unwrap_err();
        assert_eq!(error["message"], "execution aborted (timeout = 20ms)", "{method}");
        assert_eq!(error["code"], -32000, "{method}");
    }
}

#[tokio::test]
async fn cheap_calls_pass_expensive_ones_by() {
    let engine = l2_engine();
    let config = RpcConfig {
        call_timeout: Duration::from_millis(700),
        call_gas_limit: u64::MAX / 4,
        expensive_calls: 1,
        longest_wait: Duration::from_millis(50),
        ..Default::default()
    };
    let module = module_with(engine.chain().clone(), config);
    let overrides = json!({ RECIPIENT.to_string(): { "code": LOOP } });
    let slow = json!([{ "to": RECIPIENT, "gas": "0xffffffffffff" }, "latest", overrides]);
    let running = tokio::spawn({
        let module = module.clone();
        async move { ask(&module, "eth_call", slow).await }
    });
    tokio::task::yield_now().await;
    // Until the slow one has its turn, a second one is answered.
    let deadline = std::time::Instant::now() + Duration::from_secs(2);
    loop {
        let second = ask(&module, "eth_call", json!([{ "to": RECIPIENT }])).await;
        if second.is_err_and(|error| error["code"] == -32005) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the gate never closed");
    }
    assert_eq!(ok(&module, "eth_blockNumber", json!([])).await, "0x0");
    assert_eq!(ok(&module, "eth_getBalance", json!([LOGGER, "latest"])).await, "0x0");
    assert!(!running.is_finished());
    running.abort();
}

#[tokio::test]
async fn access_lists_and_overrides() {
    let (_, module) = l2();
    // SLOAD of slot 1, BALANCE of 0x77.
    let code = json!({ RECIPIENT.to_string(): { "code": "0x6001545060773150" } });
    let request = json!({ "from": signer(0).address(), "to": RECIPIENT });
    let created = ok(&module, "eth_createAccessList", json!([request, "latest", code])).await;
    let list = created["accessList"].as_array().unwrap();
    let slots = |index: usize| list[index]["storageKeys"].as_array().unwrap().len();
    assert_eq!((list.len(), slots(0), slots(1)), (2, 0, 1), "{created}");
    assert!(created.get("error").is_none() && u64_of(&created["gasUsed"]) > 21_000);
    let failed = json!([{ "to": REVERTER }, "latest"]);
    assert_eq!(ok(&module, "eth_createAccessList", failed).await["error"], "execution reverted");

    // The identity precompile, somewhere else.
    let identity = "0x0000000000000000000000000000000000000004";
    let moved = json!({ identity: { "movePrecompileToAddress": RECIPIENT } });
    let params = json!([{ "to": RECIPIENT, "input": "0xc0ffee" }, "latest", moved]);
    assert_eq!(ok(&module, "eth_call", params).await, "0xc0ffee");
    let moved = json!({ LOGGER.to_string(): { "movePrecompileToAddress": RECIPIENT } });
    let params = json!([{ "to": RECIPIENT }, "latest", moved]);
    let error = ask(&module, "eth_call", params).await.unwrap_err();
    assert_eq!(error["message"], format!("account {LOGGER} is not a precompile"));
    let both = json!({ LOGGER.to_string(): { "state": {}, "stateDiff": {} } });
    let error = ask(&module, "eth_call", json!([{ "to": LOGGER }, "latest", both])).await;
    assert_eq!(
        error.unwrap_err()["message"],
        format!("account {LOGGER} has both 'state' and 'stateDiff'")
    );
    // BLOBBASEFEE and BLOCKHASH, overridden: MUL of both as a word.
    let code = json!({ RECIPIENT.to_string(): { "code": "0x4a5f52607f4060205260405ff3" } });
    let block = json!({ "number": "0x80", "blobBaseFee": "0x9",
                        "blockHash": { "127": B256::with_last_byte(5) } });
    let words = ok(&module, "eth_call", json!([{ "to": RECIPIENT }, "latest", code, block])).await;
    let (fee, hash) = (B256::with_last_byte(9), B256::with_last_byte(5));
    assert_eq!(words, format!("0x{}{}", hex::encode(fee), hex::encode(hash)));
    let root = json!({ "beaconRoot": B256::ZERO });
    let error = ask(&module, "eth_call", json!([{ "to": LOGGER }, "latest", {}, root])).await;
    assert_eq!(
        error.unwrap_err()["message"],
        "block override \"beaconRoot\" is not supported for this RPC method"
    );
    // Solidity's panic 0x11.
    let panic = "0x634e487b715f5260116020526024601cfd";
    let code = json!({ RECIPIENT.to_string(): { "code": panic } });
    let error = ask(&module, "eth_call", json!([{ "to": RECIPIENT }, "latest", code])).await;
    assert_eq!(
        error.unwrap_err()["message"],
        "execution reverted: arithmetic underflow or overflow"
    );
    let error = ask(&module, "eth_call", json!([{ "chainId": "0x1" }])).await.unwrap_err();
    assert_eq!(
        error["message"],
        format!("chainId does not match node's (have=1, want={L2_CHAIN_ID})")
    );
}

async fn simulate(module: &RpcModule<()>, payload: Value) -> Result<Value, Value> {
    ask(module, "eth_simulateV1", json!([payload, "latest"])).await
}

#[tokio::test]
async fn simulated_blocks_of_calls() {
    let (engine, module) = l2();
    let me = signer(0).address();
    let rich = json!({ me.to_string(): { "balance": "0x64" } });
    let send = json!({ "from": me, "to": RECIPIENT, "value": "0x7" });
    let log = json!({ "from": me, "to": LOGGER, "input": "0x010203" });
    let payload = json!({
        "blockStateCalls": [
            { "stateOverrides": rich, "calls": [send, log, { "from": me, "to": REVERTER }] },
            { "blockOverrides": { "number": "0x4", "time": "0x1000", "baseFeePerGas": "0x5" },
              "calls": [
                // BALANCE of the recipient, and the base fee, as words.
                { "data": format!("0x73{}315f524860205260405ff3", hex::encode(RECIPIENT)) },
              ] },
        ],
        "traceTransfers": true, "returnFullTransactions": true,
    });
    let blocks = simulate(&module, payload).await.unwrap();
    let blocks = blocks.as_array().unwrap();
    assert_eq!(blocks.len(), 4, "gaps are filled");
    let numbers: Vec<u64> = blocks.iter().map(|block| u64_of(&block["number"])).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!(blocks[0]["parentHash"], json!(engine.head().hash));
    assert_eq!(blocks[3]["parentHash"], blocks[2]["hash"]);
    let times: Vec<u64> = blocks.iter().map(|block| u64_of(&block["timestamp"])).collect();
    assert_eq!(times, [1_012, 1_024, 1_036, 4_096]);
    let [sent, logged, reverted] = [0, 1, 2].map(|i| &blocks[0]["calls"][i]);
    assert_eq!((&sent["status"], &sent["gasUsed"]), (&json!("0x1"), &json!("0x5208")));
    assert_eq!(sent["logs"][0]["address"], json!(opal_evm::TRANSFER_LOG_ADDRESS));
    assert_eq!(sent["logs"][0]["data"], json!(B256::with_last_byte(7)));
    assert_eq!(sent["logs"][0]["blockHash"], blocks[0]["hash"]);
    assert_eq!(logged["logs"][0]["logIndex"], "0x1");
    assert_eq!((&reverted["status"], &reverted["error"]["code"]), (&json!("0x0"), &json!(3)));
    assert_eq!(reverted["error"]["message"], "execution reverted: nope");
    assert!(u64_of(&logged["maxUsedGas"]) >= u64_of(&logged["gasUsed"]));
    let transactions = blocks[0]["transactions"].as_array().unwrap();
    assert_eq!(transactions.len(), 3);
    assert_eq!(transactions[0]["from"], json!(me));
    assert_eq!(transactions[1]["nonce"], "0x1");
    let returned = hex::decode(blocks[3]["calls"][0]["returnData"].as_str().unwrap()).unwrap();
    assert_eq!((returned[31], returned[63]), (7, 5), "state and base fee");
    // The transfer's log is not in the block's bloom filter, that of the contract is.
    assert_ne!(blocks[0]["logsBloom"], blocks[1]["logsBloom"]);
    assert!(blocks[0]["gasUsed"] != json!("0x0") && blocks[1]["gasUsed"] == json!("0x0"));
}

#[tokio::test]
async fn simulations_are_validated_and_bounded() {
    let (_, module) = l2();
    let me = signer(0).address();
    let one = |call: Value| json!({ "blockStateCalls": [{ "calls": [call] }], "validation": true });
    let fees = |call: Value| {
        let mut call = call;
        call["maxFeePerGas"] = json!("0x174876e800");
        call["gas"] = json!("0x186a0");
        one(call)
    };
    let code = |payload: Value| {
        let module = module.clone();
        async move { simulate(&module, payload).await.unwrap_err()["code"].as_i64().unwrap() }
    };
    assert_eq!(code(fees(json!({ "from": me, "to": LOGGER, "nonce": "0x5" }))).await, -38011);
    assert_eq!(code(one(json!({ "from": me, "to": LOGGER, "gas": "0x186a0" }))).await, -38012);
    assert_eq!(code(fees(json!({ "from": RECIPIENT, "to": LOGGER }))).await, -38014);
    let mut low = fees(json!({ "from": me, "to": LOGGER }));
    low["blockStateCalls"][0]["calls"][0]["gas"] = json!("0x100");
    assert_eq!(code(low).await, -38013);
    let mut high = fees(json!({ "from": me, "to": LOGGER }));
    high["blockStateCalls"][0]["calls"][0]["gas"] = json!("0xffffffffff");
    assert_eq!(code(high).await, -38015);
    let blocks = |list: Value| json!({ "blockStateCalls": list });
    let number = |n: &str| json!({ "blockOverrides": { "number": n } });
    assert_eq!(code(blocks(json!([]))).await, -32602);
    assert_eq!(code(blocks(json!([number("0x2"), number("0x2")]))).await, -38020);
    let time = json!({ "blockOverrides": { "time": "0x1" } });
    assert_eq!(code(blocks(json!([time]))).await, -38021);
    assert_eq!(code(blocks(json!([number("0x101")]))).await, -38026);
    assert_eq!(code(blocks(json!(vec![json!({}); 257]))).await, -38026);
    let calls = vec![json!({ "to": LOGGER }); 5_001];
    assert_eq!(code(blocks(json!([{ "calls": calls }]))).await, -38026);
    let ok = simulate(&module, fees(json!({ "from": me, "to": LOGGER }))).await.unwrap();
    assert_eq!(ok[0]["calls"][0]["status"], "0x1");
}

#[tokio::test]
async fn sending_and_waiting() {
    let (engine, module) = l2();
    let waiting = tokio::spawn({
        let module = module.clone();
        let raw_tx = raw(&transfer(0, 0, GWEI));
        async move { ask(&module, "eth_sendRawTransactionSync", json!([raw_tx])).await }
    });
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while engine.chain().pool().status().0 == 0 {
        assert!(std::time::Instant::now() < deadline, "the transaction never came");
        tokio::task::yield_now().await;
    }
    let block = extend(&engine, l2_attributes(&engine.head(), &[]));
    let receipt = waiting.await.unwrap().unwrap();
    assert_eq!(receipt["blockHash"], json!(block.hash));
    let next = transfer(0, 1, GWEI);
    let error = ask(&module, "eth_sendRawTransactionSync", json!([raw(&next), 1])).await;
    let error = error.unwrap_err();
    assert_eq!((&error["code"], &error["data"]), (&json!(4), &json!(next.tx_hash())));
    assert!(error["message"].as_str().unwrap().ends_with("wasn't processed in 1ms"), "{error}");
    let params = json!([{ "from": signer(0).address(), "to": RECIPIENT, "value": "0x1" }]);
    let filled = ok(&module, "eth_fillTransaction", params).await;
    assert_eq!((&filled["tx"]["nonce"], &filled["tx"]["gas"]), (&json!("0x2"), &json!("0x5208")));
    assert!(filled["raw"].as_str().unwrap().starts_with("0x02"));
    assert_eq!(filled["tx"]["gasPrice"], Value::Null, "beside fee caps there is no price");
    let conditional = |condition: Value| {
        let params = json!([raw(&transfer(1, 0, GWEI)), condition]);
        ask(&module, "eth_sendRawTransactionConditional", params)
    };
    let late = conditional(json!({ "blockNumberMax": "0x0" })).await.unwrap_err();
    assert_eq!(late["code"], -32003, "{late}");
    let l1_block = opal_protocol::predeploys::L1_BLOCK.to_string();
    let slot =
        |value: u8| json!({ B256::with_last_byte(7).to_string(): B256::with_last_byte(value) });
    let wrong = json!({ "knownAccounts": { l1_block.clone(): slot(2) } });
    assert_eq!(conditional(wrong).await.unwrap_err()["code"], -32003);
    let slots: serde_json::Map<String, Value> =
        (0..1_001u64).map(|n| (B256::from(U256::from(n)).to_string(), json!(B256::ZERO))).collect();
    let dear = json!({ "knownAccounts": { l1_block.clone(): slots } });
    assert_eq!(conditional(dear).await.unwrap_err()["code"], -32005);
    let right = json!({ "knownAccounts": { l1_block: slot(1) }, "blockNumberMin": "0x1" });
    assert_eq!(conditional(right).await, Ok(json!(transfer(1, 0, GWEI).tx_hash())));
    for method in ["eth_sendTransaction", "eth_signTransaction"] {
        let error = ask(&module, method, json!([{}])).await.unwrap_err();
        assert_eq!(error["message"], "unknown account");
    }
}

#[tokio::test]
async fn smaller_ones() {
    let (engine, module) = l2();
    let config = ok(&module, "eth_config", json!([])).await;
    assert_eq!(config["current"]["chainId"], "0x385");
    assert_eq!(config["current"]["activationTime"], 0);
    assert_eq!(config["next"], Value::Null);
    assert!(config["current"]["precompiles"].get("P256VERIFY").is_some(), "{config}");
    assert_eq!(config["current"]["forkId"].as_str().unwrap().len(), 10);
    let slot = B256::with_last_byte(7);
    let l1_block = opal_protocol::predeploys::L1_BLOCK;
    let values =
        ok(&module, "eth_getStorageValues", json!([{ l1_block.to_string(): [slot] }])).await;
    assert_eq!(values[l1_block.to_string().to_lowercase()], json!([B256::with_last_byte(1)]));
    let error = ask(&module, "eth_getStorageValues", json!([{}])).await.unwrap_err();
    assert_eq!((&error["code"], &error["message"]), (&json!(-32602), &json!("empty request")));
    let header = ok(&module, "eth_getHeaderByNumber", json!(["latest"])).await;
    assert_eq!(header["hash"], json!(engine.head().hash));
    assert!(header.get("transactions").is_none() && header.get("size").is_none());
    let block = extend(&engine, l2_attributes(&engine.head(), &[]));
    let first = ok(&module, "eth_getRawTransactionByBlockNumberAndIndex", json!(["0x1", "0x0"]));
    let same = json!([block.hash, "0x0"]);
    assert_eq!(first.await, ok(&module, "eth_getRawTransactionByBlockHashAndIndex", same).await);
    let none = json!(["0x1", "0x9"]);
    assert_eq!(ok(&module, "eth_getRawTransactionByBlockNumberAndIndex", none).await, "0x");
    let uncle = ok(&module, "eth_getUncleByBlockNumberAndIndex", json!(["0x1", "0x0"])).await;
    assert_eq!(uncle, Value::Null);
    let error = ask(&module, "eth_getBalance", json!([])).await.unwrap_err();
    assert_eq!(error["message"], "missing value for required argument 0");
    let error = ask(&module, "eth_getBalance", json!(["0x12"])).await.unwrap_err();
    assert!(error["message"].as_str().unwrap().starts_with("invalid argument 0: "), "{error}");
}

#[tokio::test]
async fn blocks_before_bedrock_are_another_nodes() {
    let mut genesis = l2_genesis();
    genesis.number = Some(100);
    let chain = crate::Chain::from_genesis(&genesis).unwrap();
    let alone = module(chain.clone());
    let params = json!([RECIPIENT, "0x5"]);
    let error = ask(&alone, "eth_getBalance", params.clone()).await.unwrap_err();
    assert_eq!(error["code"], -32801);
    assert!(error["message"].as_str().unwrap().starts_with("no historical RPC is available"));
    let historical = HistoricalRpc::new(|method, params| {
        Box::pin(async move {
            match method {
                "eth_getBalance" => Ok(json!([method, params])),
                _ => Err(ErrorObjectOwned::owned(-32000, "not here", None::<()>)),
            }
        })
    });
    let config = RpcConfig { historical: Some(historical), ..Default::default() };
    let module = module_with(chain, config);
    let answer = ok(&module, "eth_getBalance", params.clone()).await;
    assert_eq!(answer, json!(["eth_getBalance", params]));
    let error = ask(&module, "eth_call", json!([{}, "0x63"])).await.unwrap_err();
    assert_eq!(error["message"], "historical backend error: not here");
    assert_eq!(ok(&module, "eth_getBalance", json!([RECIPIENT, "0x64"])).await, "0x0");
    assert_eq!(ok(&module, "eth_getBalance", json!([RECIPIENT])).await, "0x0");
}

//! Traces, witnesses and states of blocks with every kind of transaction.

use std::sync::Arc;
use std::time::Duration;

use alloy_consensus::Header;
use alloy_primitives::{Address, U64};
use alloy_rlp::Decodable;
use opal_evm::{Preimages, State, execute_block};
use opal_protocol::{DepositTransaction, SealedBlock, predeploys};

use super::*;

/// Writes slot 0, calls the logger, calls the reverter, returns 42.
const RUNTIME: [u8; 34] = hex!(
    "60015f55" "5f5f5f5f5f6101095af150" "5f5f5f5f5f61dead5af150" "602a5f5260205ff3"
);

/// Init code that deploys [`RUNTIME`].
fn init_code() -> Bytes {
    [&hex!("60228060095f395ff3")[..], &RUNTIME].concat().into()
}

fn deposit(change: impl FnOnce(&mut DepositTransaction)) -> TxEnvelope {
    let mut tx = DepositTransaction {
        source_hash: B256::repeat_byte(0x55),
        from: signer(5).address(),
        to: TxKind::Call(LOGGER),
        mint: 7,
        value: U256::ZERO,
        gas_limit: 200_000,
        is_system_transaction: false,
        input: Bytes::from([1; 5]),
    };
    change(&mut tx);
    tx.into()
}

pub(super) struct Traced {
    pub engine: LocalEngine,
    pub module: RpcModule<()>,
    pub contract: Address,
    pub blocks: Vec<SealedBlock>,
}

/// Three blocks: a deployment, then every kind of transaction, then one without users.
pub(super) async fn traced() -> Traced {
    let (engine, module) = l2();
    let mut blocks = Vec::new();
    let deploy = custom(0, |tx| {
        (tx.to, tx.value, tx.input) = (TxKind::Create, U256::ZERO, init_code());
        tx.gas_limit = 300_000;
    });
    let contract = signer(0).address().create(0);
    let send = |tx: &TxEnvelope| ok(&module, "eth_sendRawTransaction", json!([raw(tx)]));
    send(&deploy).await;
    blocks.push(extend(&engine, l2_attributes(&engine.head(), &[minting_deposit(7)])));

    let legacy = TxLegacy {
        chain_id: Some(L2_CHAIN_ID),
        nonce: 0,
        gas_price: 20 * GWEI,
        gas_limit: 50_000,
        to: TxKind::Call(REVERTER),
        value: U256::ZERO,
        input: Bytes::new(),
    };
    let signature = signer(1).sign_hash_sync(&legacy.signature_hash()).unwrap();
    let authorization =
        Authorization { chain_id: U256::from(L2_CHAIN_ID), address: LOGGER, nonce: 0 };
    let signed = signer(6).sign_hash_sync(&authorization.signature_hash()).unwrap();
    let set_code = TxEip7702 {
        chain_id: L2_CHAIN_ID,
        nonce: 0,
        gas_limit: 200_000,
        max_fee_per_gas: 100 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to: signer(6).address(),
        value: U256::ZERO,
        access_list: Default::default(),
        authorization_list: vec![authorization.into_signed(signed)],
        input: Bytes::from([9; 4]),
    };
    let set_code_signature = signer(2).sign_hash_sync(&set_code.signature_hash()).unwrap();
    for tx in [
        TxEnvelope::Legacy(legacy.into_signed(signature)),
        TxEnvelope::Eip7702(set_code.into_signed(set_code_signature)),
        tx(L2_CHAIN_ID, 3, 0, contract, 2 * GWEI, Bytes::from([0xab; 36])),
        transfer(4, 0, GWEI),
    ] {
        send(&tx).await;
    }
    let forced = [
        deposit(|_| ()),
        // Too dear: fails before it runs.
        deposit(|tx| (tx.from, tx.value) = (RECIPIENT, U256::from(10).pow(U256::from(30)))),
        deposit(|tx| (tx.to, tx.input) = (TxKind::Create, init_code())),
        deposit(|tx| tx.to = TxKind::Call(REVERTER)),
    ];
    blocks.push(extend(&engine, l2_attributes(&engine.head(), &forced)));
    assert_eq!(blocks[1].block.body.transactions.len(), 9);
    blocks.push(extend(&engine, l2_attributes(&engine.head(), &[])));
    Traced { engine, module, contract, blocks }
}

pub(super) fn number(value: &Value) -> u64 {
    serde_json::from_value::<U64>(value.clone()).unwrap().to()
}

/// Gas and success of every trace are those of the receipts, whichever way they are asked for.
#[tokio::test]
async fn traces_agree_with_receipts() {
    let Traced { module, blocks, .. } = traced().await;
    for block in &blocks {
        let receipts = ok(&module, "eth_getBlockReceipts", json!([block.hash])).await;
        let call = json!({ "tracer": "callTracer" });
        let calls = ok(&module, "debug_traceBlockByHash", json!([block.hash, call])).await;
        let height = format!("{:#x}", block.header().number);
        let same = ok(&module, "debug_traceBlockByNumber", json!([height, call])).await;
        assert_eq!(calls, same);
        let rlp = Bytes::from(alloy_rlp::encode(&*block.block));
        let same = ok(&module, "debug_traceBlock", json!([rlp, call])).await;
        assert_eq!(calls, same);
        let logs = ok(&module, "debug_traceBlockByHash", json!([block.hash])).await;
        let flat = ok(&module, "trace_block", json!([height])).await;
        let roots: Vec<&Value> =
            flat.as_array().unwrap().iter().filter(|t| t["traceAddress"] == json!([])).collect();
        let replayed =
            ok(&module, "trace_replayBlockTransactions", json!([height, ["trace", "stateDiff"]]))
                .await;
        for (index, receipt) in receipts.as_array().unwrap().iter().enumerate() {
            let hash = &receipt["transactionHash"];
            assert_eq!(&calls[index]["txHash"], hash);
            let frame = &calls[index]["result"];
            assert_eq!(frame["gasUsed"], receipt["gasUsed"], "{frame}");
            assert_eq!(frame["from"], receipt["from"]);
            assert_eq!(frame.get("error").is_none(), receipt["status"] == "0x1", "{frame}");
            let alone = ok(&module, "debug_traceTransaction", json!([hash, call])).await;
            assert_eq!(&alone, frame);
            let log = &logs[index]["result"];
            assert_eq!(log["gas"].as_u64().unwrap(), number(&receipt["gasUsed"]));
            assert_eq!(log["failed"], receipt["status"] == "0x0");
            let root = roots[index];
            assert_eq!(&root["transactionHash"], hash);
            assert_eq!(root.get("error").is_none(), receipt["status"] == "0x1", "{root}");
            assert_eq!(&replayed[index]["transactionHash"], hash);
            let own = ok(&module, "trace_transaction", json!([hash])).await;
            assert_eq!(&own[0], root);
            let again =
                ok(&module, "trace_replayTransaction", json!([hash, ["trace", "stateDiff"]])).await;
            assert_eq!(again["trace"], replayed[index]["trace"]);
            assert_eq!(again["stateDiff"], replayed[index]["stateDiff"]);
        }
        assert_eq!(roots.len(), receipts.as_array().unwrap().len());
    }
}

#[tokio::test]
async fn tracers_have_geths_shapes() {
    let Traced { module, blocks, contract, .. } = traced().await;
    let hash = blocks[1].block.body.transactions[5..]
        .iter()
        .find(|tx| alloy_consensus::Transaction::to(*tx) == Some(contract))
        .unwrap()
        .tx_hash();
    let trace =
        async |options: Value| ok(&module, "debug_traceTransaction", json!([hash, options])).await;

    let call = trace(json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } })).await;
    assert_eq!(
        (&call["type"], &call["value"], &call["output"]),
        (&json!("CALL"), &json!("0x0"), &json!(B256::with_last_byte(42)))
    );
    assert_eq!(call["to"], json!(contract));
    let [log, revert] = [0, 1].map(|i| call["calls"][i].clone());
    assert_eq!((&log["to"], &log["logs"][0]["address"]), (&json!(LOGGER), &json!(LOGGER)));
    assert_eq!(
        (&revert["error"], &revert["revertReason"]),
        (&json!("execution reverted"), &json!("nope"))
    );
    let top = json!({ "tracer": "callTracer", "tracerConfig": { "onlyTopCall": true } });
    assert!(trace(top).await.get("calls").is_none());

    let flat = trace(json!({ "tracer": "flatCallTracer" })).await;
    let paths: Vec<_> =
        flat.as_array().unwrap().iter().map(|t| t["traceAddress"].clone()).collect();
    assert_eq!(paths, [json!([]), json!([0]), json!([1])]);
    assert_eq!(flat[2]["error"], "Reverted");
    for (path, index) in [(json!([]), 0), (json!(["0x1"]), 2)] {
        let one = ok(&module, "trace_get", json!([hash, path])).await;
        assert_eq!(one["traceAddress"], flat[index]["traceAddress"]);
    }
    assert_eq!(ok(&module, "trace_get", json!([hash, ["0x9"]])).await, Value::Null);

    let four = trace(json!({ "tracer": "4byteTracer" })).await;
    assert_eq!(four, json!({ "0xabababab-32": 1 }));
    assert_eq!(trace(json!({ "tracer": "noopTracer" })).await, json!({}));
    let mux = json!({ "callTracer": {}, "4byteTracer": {}, "prestateTracer": null });
    let mux = trace(json!({ "tracer": "muxTracer", "tracerConfig": mux })).await;
    assert_eq!(keys(&mux), ["4byteTracer", "callTracer", "prestateTracer"]);
    assert_eq!(mux["4byteTracer"], four);

    // What the sender loses is what the vaults gain: fees on gas, for L1 data and to the operator.
    let diff =
        trace(json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } })).await;
    let sender = signer(3).address().to_string().to_lowercase();
    let wei = |value: &Value| serde_json::from_value::<U256>(value.clone()).unwrap_or_default();
    let lost = wei(&diff["pre"][&sender]["balance"]) - wei(&diff["post"][&sender]["balance"]);
    let mut gained = U256::ZERO;
    for vault in
        [predeploys::SEQUENCER_FEE_VAULT, predeploys::BASE_FEE_VAULT, predeploys::L1_FEE_VAULT]
    {
        let vault = vault.to_string().to_lowercase();
        let gain = wei(&diff["post"][&vault]["balance"]) - wei(&diff["pre"][&vault]["balance"]);
        assert!(!gain.is_zero(), "{vault}");
        gained += gain;
    }
    assert_eq!(lost, gained);
    let address = contract.to_string().to_lowercase();
    let slot = json!({ B256::ZERO.to_string(): B256::with_last_byte(1) });
    assert_eq!(diff["post"][&address]["storage"], slot);
    let pre = trace(json!({ "tracer": "prestateTracer" })).await;
    assert_eq!(pre[&sender]["nonce"], Value::Null);
    let slot = json!({ B256::ZERO.to_string(): B256::ZERO });
    assert_eq!(
        (&pre[&address]["code"], &pre[&address]["storage"]),
        (&json!(Bytes::from(RUNTIME)), &slot)
    );
    let bare = json!({ "disableCode": true, "disableStorage": true });
    let bare = trace(json!({ "tracer": "prestateTracer", "tracerConfig": bare })).await;
    assert_eq!(keys(&bare[&address]), ["balance", "nonce"]);

    let plain = trace(json!({ "enableMemory": true, "enableReturnData": true })).await;
    let steps = plain["structLogs"].as_array().unwrap();
    let store = steps.iter().find(|step| step["op"] == "SSTORE").unwrap();
    assert_eq!(store["stack"], json!(["0x1", "0x0"]));
    assert_eq!(store["depth"], 1);
    assert_eq!(store["storage"].as_object().unwrap().len(), 1);
    // Nothing is left out instead of shown empty.
    assert!(steps.iter().all(|step| step["refund"] != 0
        && step["memory"] != json!([])
        && step["returnData"] != "0x"));
    assert_eq!(keys(&steps[0]), ["depth", "gas", "gasCost", "op", "pc", "stack"]);
    let last = steps.last().unwrap();
    assert_eq!(
        (&last["op"], &last["memory"][0]),
        (&json!("RETURN"), &json!(B256::with_last_byte(42)))
    );
    assert!(steps.iter().any(|step| step["depth"] == 2));
    assert!(steps.iter().any(|step| step["returnData"].is_string()));
    let short = trace(json!({ "disableStack": true, "disableStorage": true, "limit": 5 })).await;
    let steps = short["structLogs"].as_array().unwrap();
    assert_eq!(steps.len(), 5);
    assert!(steps.iter().all(|s| s.get("stack").is_none()
        && s.get("storage").is_none()
        && s.get("memory").is_none()));

    let vm = ok(&module, "trace_replayTransaction", json!([hash, ["vmTrace"]])).await;
    assert_eq!(vm["vmTrace"]["code"], json!(Bytes::from(RUNTIME)));
    assert_eq!((&vm["trace"], &vm["stateDiff"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn a_failed_deposit_is_shown_as_a_failed_call() {
    let Traced { module, blocks, .. } = traced().await;
    let hash = blocks[1].block.body.transactions[2].tx_hash();
    let call =
        ok(&module, "debug_traceTransaction", json!([hash, { "tracer": "callTracer" }])).await;
    assert_eq!(call["error"], "insufficient balance for transfer");
    assert_eq!((&call["gas"], &call["gasUsed"]), (&json!("0x30d40"), &json!("0x30d40")));
    assert_eq!((&call["to"], &call["input"]), (&json!(LOGGER), &json!("0x0101010101")));
    let replayed = ok(&module, "trace_replayTransaction", json!([hash, ["stateDiff"]])).await;
    let recipient = RECIPIENT.to_string().to_lowercase();
    let diff = &replayed["stateDiff"][&recipient];
    assert!(diff["nonce"]["*"].is_object() && diff["balance"]["*"].is_object(), "{diff}");
}

#[tokio::test]
async fn calls_are_traced_with_overrides_and_inside_blocks() {
    let Traced { module, blocks, contract, .. } = traced().await;
    let call = json!({ "to": contract, "data": "0x12345678" });
    let options = json!({ "tracer": "callTracer" });
    let trace = ok(&module, "debug_traceCall", json!([call, "latest", options])).await;
    assert_eq!(trace["calls"].as_array().unwrap().len(), 2);
    // Before the first transaction of its first block the contract is not there.
    let first = format!("{:#x}", blocks[0].header().number);
    for (index, calls) in [("0x0", 0), ("0x3", 2)] {
        let options = json!({ "tracer": "callTracer", "txIndex": index });
        let trace = ok(&module, "debug_traceCall", json!([call, first, options])).await;
        assert_eq!(trace["calls"].as_array().map_or(0, Vec::len), calls, "{index}");
    }
    let options = json!({ "txIndex": "0x7" });
    let far = ask(&module, "debug_traceCall", json!([call, first, options])).await.unwrap_err();
    assert!(far["message"].as_str().unwrap().contains("out of range"));
    // NUMBER, returned as a word, at an address without code.
    let options = json!({
        "stateOverrides": { RECIPIENT.to_string(): { "code": "0x435f5260205ff3" } },
        "blockOverrides": { "number": "0x99" },
        "reexec": 5,
    });
    let trace =
        ok(&module, "debug_traceCall", json!([{ "to": RECIPIENT }, "latest", options])).await;
    let word = trace["returnValue"].as_str().unwrap().trim_start_matches("0x");
    assert_eq!(word, hex::encode(B256::with_last_byte(0x99)));

    let traced = ok(&module, "trace_call", json!([call, ["trace"], "latest"])).await;
    assert_eq!(traced["trace"].as_array().unwrap().len(), 3);
    // The second call sees that the first has sent its money away.
    let rich = signer(7).address();
    let all = json!({ "from": rich, "to": RECIPIENT, "value": "0x3635c9adc5dea00000" });
    let calls =
        json!([[all, ["trace"]], [{ "from": RECIPIENT, "to": rich, "value": "0x1" }, ["trace"]]]);
    let many = ok(&module, "trace_callMany", json!([calls, "latest"])).await;
    assert_eq!(many.as_array().unwrap().len(), 2);
    let twice = json!([[all, ["trace"]], [all, ["trace"]]]);
    assert!(ask(&module, "trace_callMany", json!([twice, "latest"])).await.is_err());

    let raw_tx = raw(&transfer(8, 0, GWEI));
    let traced = ok(&module, "trace_rawTransaction", json!([raw_tx, ["trace", "stateDiff"]])).await;
    assert_eq!(traced["trace"][0]["action"]["value"], "0x1");
    assert!(traced["stateDiff"].as_object().unwrap().len() >= 4, "sender, receiver, vaults");
    let filter = json!({ "fromBlock": "0x1", "toBlock": "0x3", "toAddress": [LOGGER] });
    let found = ok(&module, "trace_filter", json!([filter])).await;
    let found = found.as_array().unwrap();
    assert!(found.len() >= 2 && found.iter().all(|t| t["action"]["to"] == json!(LOGGER)));
    let filter = json!({ "fromBlock": "0x1", "after": 1, "count": 1, "toAddress": [LOGGER] });
    assert_eq!(ok(&module, "trace_filter", json!([filter])).await, json!([found[1]]));
}

#[tokio::test]
async fn what_cannot_be_traced_is_refused_in_words() {
    let Traced { engine, blocks, .. } = traced().await;
    let mut config = RpcConfig::default();
    config.trace.max_bytes = 20_000;
    config.trace.max_blocks = 2;
    let module = module_with(engine.chain().clone(), config);
    let hash = blocks[1].block.body.transactions[5].tx_hash();
    let refused = async |method: &str, params: Value| {
        let error = ask(&module, method, params).await.unwrap_err();
        (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_string())
    };
    let (code, text) =
        refused("debug_traceTransaction", json!([hash, { "tracer": "{ step: function() {} }" }]))
            .await;
    assert!(code == -32000 && text.contains("JavaScript tracers are not supported"), "{text}");
    let (code, text) = refused("debug_traceTransaction", json!([B256::ZERO])).await;
    assert_eq!((code, text.as_str()), (-32000, "transaction not found"));
    let (_, text) = refused("debug_traceBlockByNumber", json!(["0x0"])).await;
    assert_eq!(text, "genesis is not traceable");
    let (_, text) = refused("debug_traceBlockByNumber", json!(["0x99"])).await;
    assert_eq!(text, "block #153 not found");
    let (_, text) = refused("debug_traceBlock", json!(["0x1234"])).await;
    assert!(text.starts_with("could not decode block"), "{text}");
    let (code, text) =
        refused("debug_traceBlockByHash", json!([blocks[1].hash, { "enableMemory": true }])).await;
    assert!(code == -32005 && text.contains("trace exceeds 20000 bytes"), "{text}");
    let (_, text) =
        refused("debug_traceBlockByHash", json!([blocks[1].hash, { "timeout": "1ns" }])).await;
    assert_eq!(text, "execution aborted (timeout = 0ms)");
    let (_, text) =
        refused("debug_traceBlockByHash", json!([blocks[1].hash, { "timeout": "soon" }])).await;
    assert!(text.contains("invalid duration"), "{text}");
    let (code, _) = refused("trace_filter", json!([{ "fromBlock": "0x0" }])).await;
    assert_eq!(code, -32005);
    assert_eq!(ok(&module, "trace_transaction", json!([B256::ZERO])).await, Value::Null);
    assert_eq!(ok(&module, "debug_getBadBlocks", json!([])).await, json!([]));
}

/// Code that runs for as long as it has gas is stopped by the clock and by its size.
#[tokio::test]
async fn endless_code_is_stopped() {
    let engine = l2_engine();
    let config = RpcConfig { call_gas_limit: u64::MAX / 4, ..Default::default() };
    let mut config = RpcConfig { call_timeout: Duration::from_secs(600), ..config };
    config.trace.max_bytes = 1_000_000;
    let module = module_with(engine.chain().clone(), config);
    let code = json!({ RECIPIENT.to_string(): { "code": "0x5b5f56" } });
    let gas = format!("{:#x}", u64::MAX / 4);
    let call = json!({ "to": RECIPIENT, "gas": gas });
    let options = json!({ "stateOverrides": code, "tracer": "callTracer", "timeout": "50ms" });
    let error =
        ask(&module, "debug_traceCall", json!([call, "latest", options])).await.unwrap_err();
    assert_eq!(error["message"], "execution aborted (timeout = 50ms)");
    let options = json!({ "stateOverrides": code, "disableStack": true });
    let error =
        ask(&module, "debug_traceCall", json!([call, "latest", options])).await.unwrap_err();
    assert_eq!(error["code"], -32005);
    let options = json!({ "stateOverrides": code, "limit": 10, "timeout": "50ms" });
    let error =
        ask(&module, "debug_traceCall", json!([call, "latest", options])).await.unwrap_err();
    assert_eq!(error["code"], -32000);
    let params = json!([call, ["vmTrace"], "latest", code]);
    let error = ask(&module, "trace_call", params).await.unwrap_err();
    assert_eq!(error["code"], -32005);
}

#[tokio::test]
async fn a_block_executes_from_its_witness_alone() {
    let Traced { engine, module, blocks, .. } = traced().await;
    let chain = engine.chain();
    for block in &blocks {
        let witness = ok(&module, "debug_executionWitness", json!([block.hash])).await;
        let height = format!("{:#x}", block.header().number);
        assert_eq!(ok(&module, "debug_executionWitness", json!([height])).await, witness);
        let bytes =
            |key: &str| -> Vec<Bytes> { serde_json::from_value(witness[key].clone()).unwrap() };
        let parent = Header::decode(&mut bytes("headers").last().unwrap().as_ref()).unwrap();
        assert_eq!(parent.hash_slow(), block.header().parent_hash);
        let preimages: Preimages = bytes("state").into_iter().chain(bytes("codes")).collect();
        let state = State::from_root(parent.state_root, Arc::new(preimages));
        let stored = chain.stored(&block.hash).unwrap();
        let place = opal_evm::Parent { hash: block.header().parent_hash, header: &parent };
        let spec = chain.spec();
        let executed =
            execute_block(spec, place, &block.block, &stored.senders, &state, &|_| None).unwrap();
        assert_eq!(executed.block.hash, block.hash);
        for address in &stored.senders {
            assert!(bytes("keys").contains(&Bytes::copy_from_slice(address.as_slice())));
        }
    }
    let attributes = l2_attributes(&engine.head(), &[minting_deposit(9)]);
    let params = json!([engine.head().hash, attributes]);
    let ahead = ok(&module, "debug_executePayload", params).await;
    let block = extend(&engine, l2_attributes(&engine.head(), &[minting_deposit(9)]));
    assert_eq!(ok(&module, "debug_executionWitness", json!([block.hash])).await, ahead);
}

#[tokio::test]
async fn states_can_be_looked_into_and_the_head_moved_back() {
    let Traced { engine, module, blocks, contract } = traced().await;
    for block in &blocks {
        let roots = ok(&module, "debug_intermediateRoots", json!([block.hash])).await;
        let roots = roots.as_array().unwrap();
        assert_eq!(roots.len(), block.block.body.transactions.len());
        assert_eq!(roots.last().unwrap(), &json!(block.header().state_root));
    }
    // The contract's slot is written by the call, which is not the block's first transaction.
    for (index, slots) in [(0, 0), (9, 1)] {
        let params = json!([blocks[1].hash, index, contract, "0x00", 10]);
        let range = ok(&module, "debug_storageRangeAt", params).await;
        assert_eq!(range["storage"].as_object().unwrap().len(), slots);
        assert_eq!(range["nextKey"], Value::Null);
    }
    let mut start = json!("0x");
    let mut seen = 0;
    loop {
        let params = json!(["latest", start, 4, false, false, true]);
        let page = ok(&module, "debug_accountRange", params).await;
        seen += page["accounts"].as_object().unwrap().len();
        match page.get("next") {
            Some(next) => start = next.clone(),
            None => break,
        }
    }
    let dump = ok(&module, "debug_dumpBlock", json!(["latest"])).await;
    assert_eq!(dump["accounts"].as_object().unwrap().len(), seen);
    let key = format!("pre({})", keccak256(contract));
    assert_eq!(dump["accounts"][&key]["code"], json!(Bytes::from(RUNTIME)));
    assert_eq!(
        format!("0x{}", dump["root"].as_str().unwrap().trim_start_matches("0x")),
        engine.head().header().state_root.to_string()
    );

    let modified = ok(&module, "debug_getModifiedAccountsByNumber", json!(["0x2"])).await;
    let modified: Vec<Address> = serde_json::from_value(modified).unwrap();
    for address in [contract, signer(3).address(), predeploys::L1_FEE_VAULT] {
        assert!(modified.contains(&address), "{address}");
    }
    assert!(!modified.contains(&signer(9).address()));
    let params = json!([blocks[0].hash, blocks[1].hash]);
    let same = ok(&module, "debug_getModifiedAccountsByHash", params).await;
    assert_eq!(json!(modified), same);

    ok(&module, "debug_setHead", json!(["0x1"])).await;
    assert_eq!(engine.head().hash, blocks[0].hash);
    let gone = ask(&module, "debug_setHead", json!(["0x3"])).await.unwrap_err();
    assert!(gone["message"].as_str().unwrap().contains("block 3 is not here"), "{gone}");
    set_head(&engine, blocks[2].hash);
    assert_eq!(engine.head().hash, blocks[2].hash);
}

/// A deposit may ask for any gas, and a block that somebody brings along may have any number of
/// transactions.
#[tokio::test]
async fn what_a_caller_brings_along_is_bounded_by_time() {
    let (engine, _) = l2();
    let mut config = RpcConfig::default();
    config.trace.timeout = Duration::ZERO;
    let module = module_with(engine.chain().clone(), config);
    let parent = engine.head();
    let endless = DepositTransaction {
        from: RECIPIENT,
        to: TxKind::Create,
        gas_limit: 1 << 62,
        // JUMPDEST PUSH0 JUMP
        input: Bytes::from_static(&[0x5b, 0x5f, 0x56]),
        ..Default::default()
    };
    let mut attributes = l2_attributes(&parent, &[endless.into()]);
    attributes.gas_limit = Some(i64::MAX as u64);
    let params = json!([parent.hash, attributes]);
    let error = ask(&module, "debug_executePayload", params).await.unwrap_err();
    assert_eq!(error["message"], "execution aborted (timeout = 0ms)");

    let mut block = (*extend(&engine, l2_attributes(&parent, &[])).block).clone();
    block.body.transactions = vec![transfer(0, 0, GWEI); 2];
    let params = json!([Bytes::from(alloy_rlp::encode(block))]);
    let error = ask(&module, "debug_traceBlock", params).await.unwrap_err();
    assert_eq!(error["message"], "execution aborted (timeout = 0ms)");
}

//! What Otterscan asks, compared with what the standard methods say of the same blocks.

use alloy_primitives::address;

use super::traces::{Traced, number, traced};
use super::*;

/// The calls of a `callTracer` answer, each before those it made: type, depth, from, to, input.
fn flat(call: &Value, depth: u64, calls: &mut Vec<Value>) {
    calls.push(json!([call["type"], depth, call["from"], call["to"], call["input"]]));
    for call in call["calls"].as_array().into_iter().flatten() {
        flat(call, depth + 1, calls);
    }
}

#[tokio::test]
async fn blocks_without_what_explorers_do_not_show() {
    let Traced { module, blocks, .. } = traced().await;
    assert_eq!(ok(&module, "ots_getApiLevel", json!([])).await, 8);
    let block = &blocks[1];
    let height = block.header().number;
    let details = ok(&module, "ots_getBlockDetails", json!([height])).await;
    for (method, param) in [
        ("ots_getBlockDetails", json!(format!("{height:#x}"))),
        ("ots_getBlockDetailsByHash", json!(block.hash)),
    ] {
        assert_eq!(ok(&module, method, json!([param])).await, details);
    }
    let mut standard = ok(&module, "eth_getBlockByHash", json!([block.hash])).await;
    standard.as_object_mut().unwrap().remove("transactions");
    (standard["logsBloom"], standard["transactionCount"]) = (json!(null), json!(9));
    assert_eq!(details["block"], standard);
    let nothing = json!({ "blockReward": "0x0", "uncleReward": "0x0", "issuance": "0x0" });
    assert_eq!(details["issuance"], nothing);

    let receipts = ok(&module, "eth_getBlockReceipts", json!([block.hash])).await;
    let receipts = receipts.as_array().unwrap();
    let wei = |value: &Value| serde_json::from_value::<U256>(value.clone()).unwrap();
    let paid = receipts.iter().filter(|receipt| receipt["type"] != "0x7e").map(|receipt| {
        assert!(receipt["operatorFeeScalar"].is_null());
        wei(&receipt["gasUsed"]) * wei(&receipt["effectiveGasPrice"]) + wei(&receipt["l1Fee"])
    });
    let paid = paid.fold(U256::ZERO, |sum, fees| sum + fees);
    assert!(paid > U256::ZERO);
    assert_eq!(wei(&details["totalFees"]), paid);

    // Pages count from the newest transaction on.
    let full = ok(&module, "eth_getBlockByHash", json!([block.hash, true])).await;
    for (page, size, shown) in
        [(0, 4, 5..9), (1, 4, 1..5), (2, 4, 0..1), (3, 4, 0..0), (0, 100, 0..9)]
    {
        let answer = ok(&module, "ots_getBlockTransactions", json!([height, page, size])).await;
        let transactions = answer["fullblock"]["transactions"].as_array().unwrap();
        assert_eq!(
            (transactions.len(), answer["fullblock"]["transactionCount"].clone()),
            (shown.len(), json!(9))
        );
        let all = answer["receipts"].as_array().unwrap();
        for ((tx, receipt), index) in transactions.iter().zip(all).zip(shown) {
            let mut expected = full["transactions"][index].clone();
            let input: String = expected["input"].as_str().unwrap().chars().take(10).collect();
            expected["input"] = input.into();
            assert_eq!(*tx, expected);
            let mut expected = receipts[index].clone();
            (expected["logs"], expected["logsBloom"]) = (json!(null), json!(null));
            expected["timestamp"] = full["timestamp"].clone();
            assert_eq!(*receipt, expected);
        }
    }
    for (method, params) in [
        ("ots_getBlockDetails", json!([1_000])),
        ("ots_getBlockDetailsByHash", json!([B256::ZERO])),
        ("ots_getBlockTransactions", json!([1_000, 0, 5])),
    ] {
        assert_eq!(ok(&module, method, params).await, json!(null));
    }
}

#[tokio::test]
async fn transactions_are_looked_into() {
    let Traced { engine, module, blocks, .. } = traced().await;
    // A creation that sends a wei to another creation.
    let nested = custom(7, |tx| {
        (tx.to, tx.value) = (TxKind::Create, U256::from(3));
        (tx.input, tx.gas_limit) = (Bytes::from(hex!("5f5f6001f000")), 300_000);
    });
    ok(&module, "eth_sendRawTransaction", json!([raw(&nested)])).await;
    let last = extend(&engine, l2_attributes(&engine.head(), &[]));
    let outer = signer(7).address().create(0);
    let operations = ok(&module, "ots_getInternalOperations", json!([nested.tx_hash()])).await;
    let creation = json!({ "type": 2, "from": outer, "to": outer.create(1), "value": "0x1" });
    assert_eq!(operations, json!([creation]));

    let call_tracer = json!({ "tracer": "callTracer" });
    let (mut failed, mut longest) = (0, 0);
    for tx in blocks.iter().chain([&last]).flat_map(|block| &block.block.body.transactions) {
        let hash = tx.tx_hash();
        let call = ok(&module, "debug_traceTransaction", json!([hash, call_tracer])).await;
        let mut expected = Vec::new();
        flat(&call, 0, &mut expected);
        let entries = ok(&module, "ots_traceTransaction", json!([hash])).await;
        let entries = entries.as_array().unwrap();
        let shape = |entry: &Value| {
            json!([entry["type"], entry["depth"], entry["from"], entry["to"], entry["input"]])
        };
        assert_eq!(entries.iter().map(shape).collect::<Vec<_>>(), expected);
        longest = longest.max(entries.len());
        let error = ok(&module, "ots_getTransactionError", json!([hash])).await;
        failed += usize::from(error != "0x");
        let output = call.get("output").filter(|_| call.get("error").is_some());
        assert_eq!(error, *output.unwrap_or(&json!("0x")));
    }
    assert!(failed >= 2 && longest >= 3, "{failed} {longest}");
    for method in ["ots_getInternalOperations", "ots_getTransactionError", "ots_traceTransaction"] {
        let error = ask(&module, method, json!([B256::ZERO])).await.unwrap_err();
        assert_eq!(error["message"], "transaction not found");
    }
}

#[tokio::test]
async fn nonces_and_creations_are_found_in_the_past() {
    let Traced { module, contract, blocks, .. } = traced().await;
    for tx in blocks.iter().flat_map(|block| &block.block.body.transactions) {
        let hash = tx.tx_hash();
        let tx = ok(&module, "eth_getTransactionByHash", json!([hash])).await;
        for nonce in [tx["nonce"].clone(), json!(number(&tx["nonce"]))] {
            let params = json!([tx["from"], nonce]);
            let found = ok(&module, "ots_getTransactionBySenderAndNonce", params).await;
            assert_eq!(found, json!(hash));
        }
    }
    let never = json!([signer(0).address(), 7]);
    assert_eq!(ok(&module, "ots_getTransactionBySenderAndNonce", never).await, json!(null));

    let (mut created, creators) = (0, "ots_getContractCreator");
    for block in &blocks {
        let receipts = ok(&module, "eth_getBlockReceipts", json!([block.hash])).await;
        for receipt in receipts.as_array().unwrap() {
            if !receipt["contractAddress"].is_null() && receipt["status"] == "0x1" {
                created += 1;
                let found = ok(&module, creators, json!([receipt["contractAddress"]])).await;
                let expected =
                    json!({ "hash": receipt["transactionHash"], "creator": receipt["from"] });
                assert_eq!(found, expected);
            }
        }
    }
    assert_eq!(created, 2);
    for (address, code) in [
        (contract, true),
        (LOGGER, true),
        (RECIPIENT, false),
        (address!("00000000000000000000000000000000000000ff"), false),
    ] {
        assert_eq!(ok(&module, "ots_hasCode", json!([address, "latest"])).await, code);
        let at_genesis = ok(&module, "ots_hasCode", json!([address, 0])).await;
        assert_eq!(at_genesis, address == LOGGER);
        if address != contract {
            assert_eq!(ok(&module, creators, json!([address])).await, json!(null));
        }
    }
}

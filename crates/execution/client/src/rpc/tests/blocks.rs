//! Shapes of blocks, transactions and receipts.

use super::*;

#[tokio::test]
async fn blocks_transactions_and_receipts_have_the_known_shapes() {
    let (engine, module) = l2();
    let raw_tx = raw(&call_logger(0, 0));
    let hash = ok(&module, "eth_sendRawTransaction", json!([raw_tx])).await;
    let pending = ok(&module, "eth_getTransactionByHash", json!([hash])).await;
    assert_eq!(pending["blockHash"], Value::Null);
    assert_eq!(ok(&module, "eth_getTransactionReceipt", json!([hash])).await, Value::Null);
    let block = extend(&engine, l2_attributes(&engine.head(), &[minting_deposit(7)]));

    let short = ok(&module, "eth_getBlockByNumber", json!(["latest", false])).await;
    let expected = [
        "baseFeePerGas",
        "blobGasUsed",
        "difficulty",
        "excessBlobGas",
        "extraData",
        "gasLimit",
        "gasUsed",
        "hash",
        "logsBloom",
        "miner",
        "mixHash",
        "nonce",
        "number",
        "parentBeaconBlockRoot",
        "parentHash",
        "receiptsRoot",
        "requestsHash",
        "sha3Uncles",
        "size",
        "stateRoot",
        "timestamp",
        "transactions",
        "transactionsRoot",
        "uncles",
        "withdrawals",
        "withdrawalsRoot",
    ];
    assert_eq!(keys(&short), expected);
    assert_eq!(short["transactions"][2], hash);
    assert_eq!((&short["number"], &short["hash"]), (&json!("0x1"), &json!(block.hash)));
    assert_eq!(short["nonce"], "0x0000000000000000");
    assert_eq!(short["withdrawals"], json!([]));
    let by_hash = ok(&module, "eth_getBlockByHash", json!([block.hash, true])).await;
    let [attributes, deposit, tx] = [0, 1, 2].map(|i| by_hash["transactions"][i].clone());
    assert_eq!(ok(&module, "eth_getTransactionByHash", json!([hash])).await, tx);
    let params = json!(["0x1", "0x2"]);
    assert_eq!(ok(&module, "eth_getTransactionByBlockNumberAndIndex", params).await, tx);
    let params = json!([block.hash, "0x1"]);
    assert_eq!(ok(&module, "eth_getTransactionByBlockHashAndIndex", params).await, deposit);
    assert_eq!(
        keys(&tx),
        [
            "accessList",
            "blockHash",
            "blockNumber",
            "blockTimestamp",
            "chainId",
            "from",
            "gas",
            "gasPrice",
            "hash",
            "input",
            "maxFeePerGas",
            "maxPriorityFeePerGas",
            "nonce",
            "r",
            "s",
            "to",
            "transactionIndex",
            "type",
            "v",
            "value",
            "yParity"
        ]
    );
    let base_fee = u128::from(block.header().base_fee_per_gas.unwrap());
    assert_eq!(tx["gasPrice"], format!("{:#x}", base_fee + GWEI));
    assert_eq!((&tx["type"], &tx["transactionIndex"]), (&json!("0x2"), &json!("0x2")));
    assert_eq!((&deposit["type"], &deposit["mint"]), (&json!("0x7e"), &json!("0x7")));
    assert_eq!(deposit["depositReceiptVersion"], "0x1");
    assert_eq!((&deposit["gasPrice"], &deposit["v"]), (&json!("0x0"), &json!("0x0")));
    assert_eq!(attributes["from"], "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001");

    let receipt = ok(&module, "eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(
        keys(&receipt),
        [
            "blobGasUsed",
            "blockHash",
            "blockNumber",
            "contractAddress",
            "cumulativeGasUsed",
            "daFootprintGasScalar",
            "effectiveGasPrice",
            "from",
            "gasUsed",
            "l1BaseFeeScalar",
            "l1BlobBaseFee",
            "l1BlobBaseFeeScalar",
            "l1Fee",
            "l1GasPrice",
            "l1GasUsed",
            "logs",
            "logsBloom",
            "status",
            "to",
            "transactionHash",
            "transactionIndex",
            "type"
        ]
    );
    assert_eq!((&receipt["status"], &receipt["contractAddress"]), (&json!("0x1"), &Value::Null));
    // Least size 100 bytes, scalars 1: 100e6 * (16 * 10 gwei + 1) / 1e12.
    assert_eq!(receipt["l1Fee"], format!("{:#x}", 16_000_000));
    assert_eq!(receipt["l1GasUsed"], format!("{:#x}", 1_600));
    let log = &receipt["logs"][0];
    assert_eq!(log["topics"], json!([B256::with_last_byte(7)]));
    assert_eq!(log["data"], json!(B256::with_last_byte(3)));
    assert_eq!((&log["logIndex"], &log["removed"]), (&json!("0x0"), &json!(false)));
    assert_eq!(log["transactionHash"], hash);

    let receipts = ok(&module, "eth_getBlockReceipts", json!([block.hash])).await;
    assert_eq!(receipts[2], receipt);
    assert_eq!(ok(&module, "eth_getBlockReceipts", json!(["0x1"])).await, receipts);
    assert_eq!(
        (&receipts[1]["depositNonce"], &receipts[1]["depositReceiptVersion"]),
        (&json!("0x0"), &json!("0x1"))
    );
    assert!(receipts[1].get("l1Fee").is_none());
    assert_eq!(receipts[1]["effectiveGasPrice"], "0x0");

    assert_eq!(ok(&module, "eth_getBlockTransactionCountByNumber", json!(["0x1"])).await, "0x3");
    assert_eq!(ok(&module, "eth_getBlockByNumber", json!(["0x99", false])).await, Value::Null);
    assert_eq!(ok(&module, "eth_getTransactionByHash", json!([B256::ZERO])).await, Value::Null);
    assert_eq!(
        ok(&module, "eth_getBlockByNumber", json!(["earliest", false])).await["number"],
        "0x0"
    );
    assert_eq!(ok(&module, "debug_getRawTransaction", json!([hash])).await, json!(raw_tx));
    let header = ok(&module, "debug_getRawHeader", json!(["latest"])).await;
    assert_eq!(keccak256(hex::decode(header.as_str().unwrap()).unwrap()), block.hash);
    let raw_block = ok(&module, "debug_getRawBlock", json!(["latest"])).await;
    let raw_block = hex::decode(raw_block.as_str().unwrap()).unwrap();
    let decoded: opal_protocol::Block = alloy_rlp::Decodable::decode(&mut &raw_block[..]).unwrap();
    assert_eq!(decoded.header.hash_slow(), block.hash);
    assert_eq!(
        ok(&module, "debug_getRawReceipts", json!(["latest"])).await.as_array().unwrap().len(),
        3
    );
}

#[tokio::test]
async fn legacy_and_set_code_transactions_show_their_own_fields() {
    let (engine, module) = l2();
    let legacy = TxLegacy {
        chain_id: Some(L2_CHAIN_ID),
        nonce: 0,
        gas_price: 30 * GWEI,
        gas_limit: 100_000,
        to: TxKind::Create,
        value: U256::ZERO,
        input: Bytes::from_static(&hex!("5f5ff3")),
    };
    let signature = signer(0).sign_hash_sync(&legacy.signature_hash()).unwrap();
    let parity = u64::from(signature.v());
    let legacy = TxEnvelope::Legacy(legacy.into_signed(signature));
    let authorization =
        Authorization { chain_id: U256::from(L2_CHAIN_ID), address: LOGGER, nonce: 0 };
    let signature = signer(2).sign_hash_sync(&authorization.signature_hash()).unwrap();
    let set_code = TxEip7702 {
        chain_id: L2_CHAIN_ID,
        nonce: 0,
        gas_limit: 200_000,
        max_fee_per_gas: 100 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to: RECIPIENT,
        authorization_list: vec![authorization.into_signed(signature)],
        ..Default::default()
    };
    let signature = signer(1).sign_hash_sync(&set_code.signature_hash()).unwrap();
    let set_code = TxEnvelope::Eip7702(set_code.into_signed(signature));
    for tx in [&legacy, &set_code] {
        ok(&module, "eth_sendRawTransaction", json!([raw(tx)])).await;
    }
    extend(&engine, l2_attributes(&engine.head(), &[]));
    let shown = ok(&module, "eth_getTransactionByHash", json!([legacy.tx_hash()])).await;
    assert_eq!(shown["v"], format!("{:#x}", L2_CHAIN_ID * 2 + 35 + parity));
    assert_eq!((&shown["type"], &shown["chainId"]), (&json!("0x0"), &json!("0x385")));
    assert!(shown.get("yParity").is_none() && shown.get("maxFeePerGas").is_none());
    assert_eq!(shown["to"], Value::Null);
    let receipt = ok(&module, "eth_getTransactionReceipt", json!([legacy.tx_hash()])).await;
    assert_eq!(receipt["contractAddress"], json!(signer(0).address().create(0)));

    let shown = ok(&module, "eth_getTransactionByHash", json!([set_code.tx_hash()])).await;
    assert_eq!(
        keys(&shown["authorizationList"][0]),
        ["address", "chainId", "nonce", "r", "s", "yParity"]
    );
    let code = ok(&module, "eth_getCode", json!([signer(2).address(), "latest"])).await;
    let designator = format!("0xef0100{}", hex::encode(LOGGER));
    assert_eq!(code, designator);
}

#[tokio::test]
async fn l1_receipts_show_blob_gas() {
    use alloy_eips::eip4844::builder::{SidecarBuilder, SimpleCoder};
    let engine = l1_engine(false);
    let module = module(engine.chain().clone());
    let sidecar = SidecarBuilder::<SimpleCoder>::from_slice(b"data")
        .build_4844_with_settings(c_kzg::ethereum_kzg_settings(0))
        .unwrap();
    let raw = blob_tx(0, 0, sidecar.into(), 100 * GWEI);
    let hash = ok(&module, "eth_sendRawTransaction", json!([raw])).await;
    extend(&engine, l1_attributes(&engine.head()));
    let receipt = ok(&module, "eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(
        (&receipt["blobGasUsed"], &receipt["blobGasPrice"]),
        (&json!("0x20000"), &json!("0x1"))
    );
    assert!(receipt.get("l1Fee").is_none());
    let tx = ok(&module, "eth_getTransactionByHash", json!([hash])).await;
    assert_eq!(tx["blobVersionedHashes"].as_array().unwrap().len(), 1);
    assert_eq!(tx["maxFeePerBlobGas"], format!("{:#x}", 100 * GWEI));
    // Clients of the Ethereum network type read everything.
    let block = ok(&module, "eth_getBlockByNumber", json!(["latest", true])).await;
    let block: alloy_rpc_types_eth::Block = serde_json::from_value(block).unwrap();
    assert_eq!(block.header.hash, engine.head().hash);
    assert_eq!(block.header.inner, *engine.head().header());
    let _: alloy_rpc_types_eth::TransactionReceipt = serde_json::from_value(receipt).unwrap();
}

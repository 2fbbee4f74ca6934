//! Small HTTP servers and sample blocks for tests.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use alloy_consensus::{BlockBody, Header, SignableTransaction, TxEip1559, TxEip4844, proofs};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_signer::SignerSync;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use opal_protocol::{Block, Receipt, SealedBlock, TxEnvelope, TxType};
use opal_service::keys::{Key, Secret, TEST_MNEMONIC};
use serde_json::{Value, json};
use url::Url;

/// Answers a JSON-RPC call, or refuses it with a code and a message.
pub(crate) type Answer = dyn Fn(&str, &Value) -> Result<Value, (i64, String)> + Send + Sync;

pub(crate) fn no_method(method: &str) -> (i64, String) {
    (-32601, format!("the method {method} does not exist"))
}

/// Serves JSON-RPC on a free port of the loopback.
pub(crate) async fn json_rpc(answer: Arc<Answer>) -> Url {
    async fn handle(State(answer): State<Arc<Answer>>, Json(call): Json<Value>) -> Json<Value> {
        let id = call["id"].clone();
        let method = call["method"].as_str().unwrap();
        Json(match answer(method, &call["params"]) {
            Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            Err((code, message)) => {
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
            }
        })
    }
    rest(Router::new().route("/", post(handle)).with_state(answer)).await
}

/// Serves a router on a free port of the loopback.
pub(crate) async fn rest(router: Router) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url.parse().unwrap()
}

pub(crate) fn key(index: u32) -> Key {
    Key::from_mnemonic_index(&Secret::from(TEST_MNEMONIC), index).unwrap()
}

/// A signed EIP-1559 transaction whose input is `data`.
pub(crate) fn signed_tx(nonce: u64, data: Bytes) -> TxEnvelope {
    let tx = TxEip1559 {
        chain_id: 901,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(Address::repeat_byte(7)),
        value: U256::from(nonce),
        input: data,
        ..Default::default()
    };
    let signature = key(1).signer().sign_hash_sync(&tx.signature_hash()).unwrap();
    TxEnvelope::Eip1559(tx.into_signed(signature))
}

/// A signed transaction with one blob, in the form that blocks hold.
pub(crate) fn blob_tx(nonce: u64) -> TxEnvelope {
    let tx = TxEip4844 {
        chain_id: 900,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 2_000_000_000,
        max_fee_per_blob_gas: 1,
        blob_versioned_hashes: vec![hash(1)],
        ..Default::default()
    };
    let signature = key(1).signer().sign_hash_sync(&tx.signature_hash()).unwrap();
    TxEnvelope::Eip4844(tx.into_signed(signature))
}

/// A block whose roots match its content.
pub(crate) fn block(header: Header, transactions: Vec<TxEnvelope>) -> (SealedBlock, Vec<Receipt>) {
    let receipts: Vec<Receipt> = transactions
        .iter()
        .enumerate()
        .map(|(i, tx)| Receipt {
            tx_type: TxType::try_from(tx.encoded_2718()[0]).unwrap(),
            success: i % 2 == 0,
            cumulative_gas_used: 21_000 * (i as u64 + 1),
            logs: Vec::new(),
            deposit_nonce: None,
            deposit_receipt_version: None,
        })
        .collect();
    let header = Header {
        transactions_root: proofs::calculate_transaction_root(&transactions),
        receipts_root: proofs::ordered_trie_root_with_encoder(&receipts, |r, out| {
            r.encode_2718(out);
        }),
        ..header
    };
    let body = BlockBody { transactions, ommers: Vec::new(), withdrawals: None };
    (SealedBlock::new(Block { header, body }), receipts)
}

/// The block as `eth_getBlockBy…` gives it.
pub(crate) fn block_json(block: &SealedBlock, full: bool) -> Value {
    let mut json = serde_json::to_value(block.header()).unwrap();
    json["hash"] = json!(block.hash);
    json["size"] = json!("0x100");
    json["uncles"] = json!([]);
    let txs = block.block.body.transactions.iter();
    json["transactions"] = match full {
        false => txs.map(|tx| json!(tx.tx_hash())).collect(),
        true => txs
            .enumerate()
            .map(|(i, tx)| {
                let mut json = serde_json::to_value(tx).unwrap();
                json["blockHash"] = json!(block.hash);
                json["transactionIndex"] = json!(format!("{i:#x}"));
                json["from"] = json!(Address::ZERO);
                json
            })
            .collect(),
    };
    json
}

/// Receipts as `eth_getBlockReceipts` gives them.
pub(crate) fn receipts_json(block: &SealedBlock, receipts: &[Receipt]) -> Vec<Value> {
    let txs = block.block.body.transactions.iter();
    txs.zip(receipts)
        .map(|(tx, receipt)| {
            json!({
                "type": format!("{:#x}", receipt.tx_type as u8),
                "status": if receipt.success { "0x1" } else { "0x0" },
                "cumulativeGasUsed": format!("{:#x}", receipt.cumulative_gas_used),
                "logs": receipt.logs,
                "logsBloom": receipt.bloom(),
                "transactionHash": tx.tx_hash(),
                "blockHash": block.hash,
            })
        })
        .collect()
}

/// A hash for test purposes.
pub(crate) fn hash(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

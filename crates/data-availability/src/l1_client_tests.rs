#![allow(clippy::unwrap_used)]
use super::*;
use crate::fake_server::{
    Answer, blob_tx, block, block_json, hash, json_rpc, no_method, receipts_json, signed_tx,
};
use alloy_consensus::Header;
use opal_protocol::{Receipt, SealedBlock};
use serde_json::{Value, json};

/// An L1 of a few blocks.
#[derive(Clone)]
struct Fake {
    blocks: Vec<(SealedBlock, Vec<Receipt>)>,
    block_receipts: bool,
    finalized: Option<u64>,
    version: Option<&'static str>,
    /// Changes an answer before it is given.
    tamper: fn(&str, Value) -> Value,
}

impl Fake {
    fn new(length: u64) -> Self {
        let mut blocks: Vec<(SealedBlock, Vec<Receipt>)> = Vec::new();
        for number in 0..length {
            let parent_hash = blocks.last().map_or_else(|| hash(0), |(block, _)| block.hash);
            let header = Header {
                number,
                parent_hash,
                timestamp: 1000 + 12 * number,
                base_fee_per_gas: Some(7),
                ..Header::default()
            };
            let txs = (0..number % 4).map(|n| signed_tx(n, vec![n as u8].into())).collect();
            blocks.push(block(header, txs));
        }
        Self {
            blocks,
            block_receipts: true,
            finalized: Some(1),
            version: None,
            tamper: |_, value| value,
        }
    }

    fn answer(&self, method: &str, params: &Value) -> Result<Value, (i64, String)> {
        let by_hash =
            |value: &Value| self.blocks.iter().find(|(block, _)| json!(block.hash) == *value);
        let tip = self.blocks.len() as u64 - 1;
        let value = match method {
            "eth_chainId" => json!("0x384"),
            "web3_clientVersion" if self.version.is_some() => json!(self.version),
            "eth_getBlockByNumber" => {
                let number = match params[0].as_str().unwrap() {
                    "latest" => Some(tip),
                    "safe" | "finalized" => match self.finalized {
                        Some(number) => Some(number),
                        None => return Err((-39001, "finalized block not found".to_owned())),
                    },
                    hex => u64::from_str_radix(hex.trim_start_matches("0x"), 16).ok(),
                };
                let block = number.and_then(|number| self.blocks.get(number as usize));
                block.map_or(Value::Null, |(block, _)| block_json(block, params[1] == true))
            }
            "eth_getBlockByHash" => by_hash(&params[0])
                .map_or(Value::Null, |(block, _)| block_json(block, params[1] == true)),
            "eth_getBlockReceipts" if self.block_receipts => {
                let (block, receipts) = by_hash(&params[0]).unwrap();
                json!(receipts_json(block, receipts))
            }
            "eth_getTransactionReceipt" => self
                .blocks
                .iter()
                .flat_map(|(block, receipts)| receipts_json(block, receipts))
                .find(|receipt| receipt["transactionHash"] == params[0])
                .unwrap(),
            other => return Err(no_method(other)),
        };
        Ok((self.tamper)(method, value))
    }

    async fn serve(&self) -> Url {
        let fake = self.clone();
        let answer: Arc<Answer> =
            Arc::new(move |method: &str, params: &Value| fake.answer(method, params));
        json_rpc(answer).await
    }

    async fn connect(&self) -> L1Client {
        L1Client::connect(&self.serve().await, None).await.unwrap()
    }
}

#[tokio::test]
async fn blocks_come_with_verified_content() {
    let fake = Fake::new(6);
    let l1 = fake.connect().await;
    l1.expect_chain_id(900).unwrap();
    let error = l1.expect_chain_id(1).unwrap_err().to_string();
    assert!(error.contains("900") && error.contains("expected 1"), "{error}");
    for (number, (expected, receipts)) in fake.blocks.iter().enumerate() {
        let block = l1.block_by_number(number as u64).await.unwrap();
        assert_eq!(block.reference, L1BlockRef::from_header(expected.hash, expected.header()));
        assert_eq!(&block.header, expected.header());
        assert_eq!(*block.transactions, expected.block.body.transactions);
        assert_eq!(*block.receipts, *receipts);
        let again = l1.block_by_hash(expected.hash).await.unwrap();
        assert!(Arc::ptr_eq(&block, &again), "read from memory");
        assert_eq!(l1.canonical_hash(number as u64).await.unwrap(), Some(expected.hash));
    }
    assert_eq!(l1.canonical_hash(6).await.unwrap(), None);
    assert_eq!(l1.block_by_number(6).await.unwrap_err(), DaError::NotFound("6".to_owned()));
}

#[tokio::test]
async fn receipts_one_by_one_where_the_method_is_missing() {
    let fake = Fake { block_receipts: false, ..Fake::new(4) };
    let l1 = fake.connect().await;
    let block = l1.block_by_number(3).await.unwrap();
    assert_eq!(*block.receipts, fake.blocks[3].1);
}

#[tokio::test]
async fn labels_fall_back_to_depth() {
    let l1 = Fake::new(70).connect().await;
    assert_eq!(l1.block_ref(BlockTag::Finalized).await.unwrap().number, 1);
    let l1 = Fake { finalized: None, ..Fake::new(70) }.connect().await;
    assert_eq!(l1.block_ref(BlockTag::Latest).await.unwrap().number, 69);
    assert_eq!(l1.block_ref(BlockTag::Safe).await.unwrap().number, 37);
    assert_eq!(l1.block_ref(BlockTag::Finalized).await.unwrap().number, 5);
    let l1 = Fake { finalized: None, ..Fake::new(3) }.connect().await;
    assert_eq!(l1.block_ref(BlockTag::Finalized).await.unwrap().number, 0);
}

#[tokio::test]
async fn lies_and_unknown_transactions_are_found_out() {
    type Tamper = fn(&str, Value) -> Value;
    let cases: [(&str, Tamper); 5] = [
        ("header fields", |method, mut value| {
            if method == "eth_getBlockByNumber" && value["number"] == "0x3" {
                value["gasLimit"] = json!("0x5");
            }
            value
        }),
        ("its transactions hash to", |method, mut value| {
            if method == "eth_getBlockByNumber" && value["number"] == "0x3" {
                value["transactions"].as_array_mut().unwrap().pop();
            }
            value
        }),
        ("hashes to", |method, mut value| {
            if method == "eth_getBlockByNumber" && value["number"] == "0x3" {
                value["transactions"][0]["hash"] = json!(hash(9));
            }
            value
        }),
        ("its receipts hash to", |method, mut value| {
            if method == "eth_getBlockReceipts" {
                value[1]["status"] = json!("0x1");
            }
            value
        }),
        ("unknown type 0x55", |method, mut value| {
            if method == "eth_getBlockByNumber" && value["number"] == "0x3" {
                value["transactions"][2]["type"] = json!("0x55");
            }
            value
        }),
    ];
    for (expected, tamper) in cases {
        let l1 = Fake { tamper, ..Fake::new(4) }.connect().await;
        let error = l1.block_by_number(3).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.is_temporary());
    }
}

#[tokio::test]
async fn only_anvil_may_have_another_root_and_only_where_there_are_blobs() {
    type Tamper = fn(&str, Value) -> Value;
    let other_root: Tamper = |_, value| value;
    let wrong_hash: Tamper = |method, mut value| {
        if method.starts_with("eth_getBlock") && value["transactions"][0].is_object() {
            value["transactions"][0]["hash"] = json!(hash(9));
        }
        value
    };
    let on_mainnet: Tamper =
        |method, value| if method == "eth_chainId" { json!("0x1") } else { value };
    for (version, blobs, tamper, accepted) in [
        (Some("anvil/v1.7.1"), true, other_root, true),
        (Some("anvil/v1.7.1"), true, on_mainnet, false),
        (Some("anvil/v1.7.1"), true, wrong_hash, false),
        (Some("anvil/v1.7.1"), false, other_root, false),
        (Some("Geth/v1.17.0"), true, other_root, false),
        (None, true, other_root, false),
    ] {
        let mut fake = Fake { version, tamper, ..Fake::new(1) };
        let tx = if blobs { blob_tx(0) } else { signed_tx(0, vec![1].into()) };
        let (sealed, receipts) = block(Header { number: 1, ..Header::default() }, vec![tx]);
        let mut altered = Arc::unwrap_or_clone(sealed.block);
        altered.header.transactions_root = hash(5);
        fake.blocks.push((SealedBlock::new(altered), receipts));
        let result = fake.connect().await.block_by_number(1).await;
        assert_eq!(result.is_ok(), accepted, "{version:?}, blobs {blobs}: {result:?}");
    }
}

#[tokio::test]
async fn blobs_need_a_beacon_endpoint() {
    let l1 = Fake::new(1).connect().await;
    let block = l1.block_ref(BlockTag::Latest).await.unwrap();
    let error = l1.blobs(&block, &[hash(1)]).await.unwrap_err();
    assert_eq!(error, DaError::NoBeacon(block.id()));
    assert!(error.to_string().contains("--l1-beacon"));
}

#[tokio::test]
async fn further_beacon_endpoints_are_asked_for_what_the_first_one_lacks() {
    use crate::fake_server::rest;
    use axum::{Json, Router, routing::get};
    let blob = Blob::ZERO;
    let settings = c_kzg::ethereum_kzg_settings(0);
    let commitment = alloy_eips::eip4844::AsCkzg::as_ckzg(&blob);
    let commitment = settings.blob_to_kzg_commitment(commitment).unwrap().to_bytes();
    let wanted = alloy_eips::eip4844::kzg_to_versioned_hash(&*commitment);
    let beacon = |served: Vec<String>| {
        rest(
            Router::new()
                .route(
                    "/eth/v1/beacon/genesis",
                    get(|| async { Json(json!({"data": {"genesis_time": "0"}})) }),
                )
                .route(
                    "/eth/v1/beacon/blobs/{slot}",
                    get(move || async move { Json(json!({"data": served})) }),
                ),
        )
    };
    let pruned = beacon(Vec::new()).await;
    let archive = beacon(vec![format!("0x{}", alloy_primitives::hex::encode(blob))]).await;
    let dead: Url = "http://127.0.0.1:1".parse().unwrap();
    let rpc = Fake::new(1).serve().await;
    let connect = async |beacon: Option<&Url>, fallbacks: &[Url]| {
        L1Client::connect_with(&rpc, beacon, fallbacks).await.unwrap()
    };
    let block = connect(None, &[]).await.block_ref(BlockTag::Latest).await.unwrap();
    for (first, fallbacks, found) in [
        (Some(&pruned), vec![dead.clone(), archive.clone()], true),
        (None, vec![archive.clone()], true),
        (Some(&pruned), vec![dead.clone()], false),
    ] {
        let l1 = connect(first, &fallbacks).await;
        assert!(l1.has_beacon());
        let blobs = l1.blobs(&block, &[wanted]).await;
        match blobs {
            Ok(blobs) => assert!(found && blobs.len() == 1 && *blobs[0] == blob),
            Err(error) => {
                assert!(!found && matches!(error, DaError::BlobMissing { .. }), "{error}");
                assert!(error.to_string().contains("--l1.beacon-fallbacks"), "{error}");
            }
        }
    }
    assert!(!connect(None, &[]).await.has_beacon());
}

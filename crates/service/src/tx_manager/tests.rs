//! The manager against a small L1 that speaks JSON-RPC over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_consensus::{EthereumTxEnvelope, Transaction, TxEip4844WithSidecar};
use alloy_eips::eip2718::Decodable2718;
use alloy_eips::eip4844::Blob;
use alloy_primitives::{Address, B256, Bytes, U256};
use opal_tests::json_rpc;
use serde_json::{Value, json};

use super::*;
use crate::keys::{Secret, TEST_MNEMONIC};

type Tx = EthereumTxEnvelope<TxEip4844WithSidecar>;

/// What the fake L1 does with transactions.
#[derive(Default)]
struct L1 {
    nonce: u64,
    block: u64,
    base_fee: u128,
    /// Answers to give to the next raw transactions instead of taking them.
    refuse: Vec<&'static str>,
    /// Whether transactions are mined as they come.
    mine: bool,
    cell_proofs_only: bool,
    /// Every transaction taken, in order of arrival.
    taken: Vec<Tx>,
    pool: BTreeMap<u64, Tx>,
    mined: BTreeMap<B256, u64>,
    methods: BTreeMap<String, u64>,
}

impl L1 {
    fn take(&mut self, raw: &Bytes) -> Result<B256, String> {
        if !self.refuse.is_empty() {
            return Err(self.refuse.remove(0).to_owned());
        }
        let tx = Tx::decode_2718(&mut raw.as_ref()).map_err(|e| e.to_string())?;
        if tx.nonce() < self.nonce {
            return Err(format!("nonce too low: next nonce {}", self.nonce));
        }
        if let Tx::Eip4844(signed) = &tx {
            let cells = matches!(
                signed.tx().sidecar,
                alloy_eips::eip7594::BlobTransactionSidecarVariant::Eip7594(_)
            );
            if self.cell_proofs_only && !cells {
                return Err("unexpected blob sidecar version: want 1".to_owned());
            }
            signed
                .tx()
                .sidecar
                .validate(&signed.tx().tx.blob_versioned_hashes, c_kzg::ethereum_kzg_settings(0))
                .map_err(|e| e.to_string())?;
        }
        if let Some(old) = self.pool.get(&tx.nonce()) {
            if old.tx_hash() == tx.tx_hash() {
                return Err("already known".to_owned());
            }
            let percent = if tx.blob_versioned_hashes().is_some() { 200 } else { 110 };
            let enough = |new: u128, old: u128| new * 100 >= old * percent;
            if !enough(tx.max_fee_per_gas(), old.max_fee_per_gas())
                || !enough(
                    tx.max_priority_fee_per_gas().unwrap(),
                    old.max_priority_fee_per_gas().unwrap(),
                )
            {
                return Err("replacement transaction underpriced".to_owned());
            }
        }
        let hash = *tx.tx_hash();
        self.taken.push(tx.clone());
        self.pool.insert(tx.nonce(), tx);
        if self.mine {
            self.mine_block();
        }
        Ok(hash)
    }

    fn mine_block(&mut self) {
        self.block += 1;
        while let Some(tx) = self.pool.remove(&self.nonce) {
            self.mined.insert(*tx.tx_hash(), self.block);
            self.nonce += 1;
        }
    }

    fn answer(&mut self, method: &str, params: &Value) -> Result<Value, String> {
        *self.methods.entry(method.to_owned()).or_default() += 1;
        Ok(match method {
            "eth_chainId" => json!("0x384"),
            "eth_blockNumber" => json!(format!("{:#x}", self.block)),
            "eth_getTransactionCount" => json!(format!("{:#x}", self.nonce)),
            "eth_maxPriorityFeePerGas" => json!("0x1"),
            "eth_estimateGas" => json!("0x5208"),
            "eth_getBlockByNumber" => json!({
                "baseFeePerGas": format!("{:#x}", self.base_fee),
                "excessBlobGas": "0x0",
            }),
            "eth_sendRawTransaction" => {
                let raw: Bytes = serde_json::from_value(params[0].clone()).unwrap();
                json!(self.take(&raw)?)
            }
            "eth_getTransactionReceipt" => {
                let hash: B256 = serde_json::from_value(params[0].clone()).unwrap();
                match self.mined.get(&hash) {
                    None => Value::Null,
                    Some(block) => json_rpc::receipt(json!(hash), *block, true, &[]),
                }
            }
            other => return Err(format!("method {other} not found")),
        })
    }
}

type Shared = Arc<Mutex<L1>>;

async fn start(l1: L1) -> (Shared, DynProvider) {
    let l1 = Arc::new(Mutex::new(l1));
    let shared = Arc::clone(&l1);
    let answer = move |_: &str, method: &str, params: &Value| {
        shared.lock().unwrap().answer(method, params).map_err(json_rpc::refused)
    };
    let url = format!("{}/l1", json_rpc::serve(Arc::new(answer)).await);
    (l1, crate::http::provider(&url.parse().unwrap()).unwrap())
}

fn key() -> Key {
    Key::from_mnemonic_index(&Secret::from(TEST_MNEMONIC), 2).unwrap()
}

fn quick() -> TxManagerConfig {
    TxManagerConfig {
        resubmission_interval: Duration::from_millis(40),
        poll_interval: Duration::from_millis(10),
        ..Default::default()
    }
}

async fn manager(l1: L1, config: TxManagerConfig) -> (Shared, TxManager) {
    let (l1, provider) = start(l1).await;
    let manager = TxManager::new(provider, key(), config).await.unwrap();
    (l1, manager)
}

fn transfer() -> TxCandidate {
    TxCandidate {
        to: Some(Address::ZERO),
        value: U256::from(1),
        gas_limit: Some(21_000),
        ..Default::default()
    }
}

/// Waits until `condition` holds for the L1.
async fn until(l1: &Shared, what: &str, condition: impl Fn(&L1) -> bool) {
    let wait = async {
        while !condition(&l1.lock().unwrap()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect(what);
}

#[tokio::test]
async fn sends_are_signed_priced_and_in_order() {
    let l1 = L1 { nonce: 7, mine: true, base_fee: 5_000_000_000, ..Default::default() };
    let (l1, manager) = manager(l1, quick()).await;
    assert_eq!(manager.chain_id(), 900);
    for _ in 0..3 {
        let receipt = manager.send(transfer()).await.unwrap();
        assert!(receipt.status());
    }
    let l1 = l1.lock().unwrap();
    let nonces: Vec<u64> = l1.taken.iter().map(|tx| tx.nonce()).collect();
    assert_eq!(nonces, [7, 8, 9]);
    for tx in &l1.taken {
        use alloy_consensus::transaction::SignerRecoverable;
        assert_eq!(tx.recover_signer().unwrap(), manager.address());
        assert_eq!(tx.chain_id(), Some(900));
        assert_eq!(tx.max_priority_fee_per_gas(), Some(1_000_000_000));
        assert_eq!(tx.max_fee_per_gas(), 11_000_000_000);
    }
    // The nonce was asked for once and then counted.
    assert_eq!(l1.methods["eth_sendRawTransaction"], 3);
}

#[tokio::test]
async fn several_under_way_keep_their_order_and_the_limit_holds_others_back() {
    let config = TxManagerConfig { max_pending: 2, ..quick() };
    let (l1, manager) = manager(L1::default(), config).await;
    let first = manager.send_async(transfer()).await.unwrap();
    let second = manager.send_async(transfer()).await.unwrap();
    assert_eq!((first.nonce, second.nonce), (0, 1));
    let third = manager.send_async(transfer());
    tokio::pin!(third);
    let held = tokio::time::timeout(Duration::from_millis(50), &mut third).await;
    assert!(held.is_err(), "the third had to wait");
    l1.lock().unwrap().mine_block();
    let third = third.await.unwrap();
    assert_eq!(third.nonce, 2);
    l1.lock().unwrap().mine_block();
    for pending in [first, second, third] {
        pending.confirmed().await.unwrap();
    }
}

#[tokio::test]
async fn fees_rise_until_mined() {
    let (l1, manager) = manager(L1::default(), quick()).await;
    let pending = manager.send_async(transfer()).await.unwrap();
    until(&l1, "two resubmissions", |l1| l1.taken.len() >= 3).await;
    l1.lock().unwrap().mine_block();
    let receipt = pending.confirmed().await.unwrap();
    let l1 = l1.lock().unwrap();
    assert!(l1.mined.contains_key(&receipt.transaction_hash));
    for pair in l1.taken.windows(2) {
        assert_eq!(pair[0].nonce(), pair[1].nonce());
        assert!(pair[1].max_fee_per_gas() * 100 >= pair[0].max_fee_per_gas() * 110);
    }
}

#[tokio::test]
async fn fees_stop_at_the_limit() {
    let mut config = quick();
    config.fees.threshold = 3_400_000_000;
    config.fees.multiplier = 1;
    let (l1, manager) = manager(L1::default(), config).await;
    let pending = manager.send_async(transfer()).await.unwrap();
    // At the limit the newest attempt is sent again as it is, in case the pool dropped it.
    until(&l1, "several attempts", |l1| l1.methods["eth_sendRawTransaction"] >= 5).await;
    let fees: Vec<u128> = l1.lock().unwrap().taken.iter().map(|tx| tx.max_fee_per_gas()).collect();
    assert_eq!(fees, [3_000_000_000, 3_300_000_001], "the next step, 3.63 gwei, is over the limit");
    l1.lock().unwrap().mine_block();
    pending.confirmed().await.unwrap();
}

#[tokio::test]
async fn a_send_timeout_gives_up() {
    let config = TxManagerConfig { send_timeout: Some(Duration::from_millis(100)), ..quick() };
    let (_l1, manager) = manager(L1::default(), config).await;
    let error = manager.send(transfer()).await.unwrap_err();
    assert_eq!(error, TxError::Timeout(Duration::from_millis(100)));
}

#[tokio::test]
async fn nonces_follow_the_chain_when_another_process_used_the_key() {
    let (l1, manager) = manager(L1 { mine: true, ..Default::default() }, quick()).await;
    manager.send(transfer()).await.unwrap();
    l1.lock().unwrap().nonce = 9;
    let receipt = manager.send(transfer()).await.unwrap();
    assert!(l1.lock().unwrap().mined.contains_key(&receipt.transaction_hash));
    assert_eq!(l1.lock().unwrap().taken.last().unwrap().nonce(), 9);
}

#[tokio::test]
async fn a_nonce_taken_by_another_process_is_reported() {
    let (l1, manager) = manager(L1::default(), quick()).await;
    let pending = manager.send_async(transfer()).await.unwrap();
    {
        let mut l1 = l1.lock().unwrap();
        l1.pool.clear();
        l1.nonce = 1;
    }
    let error = pending.confirmed().await.unwrap_err();
    assert_eq!(error, TxError::NonceTaken { address: manager.address(), nonce: 0 });
}

#[tokio::test]
async fn a_transaction_lost_in_a_reorg_is_sent_again() {
    let config = TxManagerConfig { confirmations: 3, ..quick() };
    let (l1, manager) = manager(L1::default(), config).await;
    let pending = manager.send_async(transfer()).await.unwrap();
    l1.lock().unwrap().mine_block();
    until(&l1, "the manager asks for confirmations", |l1| {
        l1.methods.get("eth_blockNumber").is_some_and(|calls| *calls > 1)
    })
    .await;
    {
        let mut l1 = l1.lock().unwrap();
        l1.mined.clear();
        l1.nonce = 0;
        l1.block = 0;
    }
    until(&l1, "sent again", |l1| l1.pool.contains_key(&0)).await;
    for _ in 0..3 {
        l1.lock().unwrap().mine_block();
    }
    pending.confirmed().await.unwrap();
}

#[tokio::test]
async fn a_gap_left_by_a_reorg_is_reported_and_filled_by_the_next_send() {
    let (l1, manager) = manager(L1 { mine: true, ..Default::default() }, quick()).await;
    manager.send(transfer()).await.unwrap();
    {
        // The reorg takes back the first, which is no longer watched.
        let mut l1 = l1.lock().unwrap();
        l1.mined.clear();
        l1.nonce = 0;
        l1.mine = false;
    }
    let pending = manager.send_async(transfer()).await.unwrap();
    assert_eq!(pending.nonce, 1);
    assert_eq!(pending.confirmed().await.unwrap_err(), TxError::NonceGap { nonce: 1 });
    l1.lock().unwrap().mine = true;
    let pending = manager.send_async(transfer()).await.unwrap();
    assert_eq!(pending.nonce, 0);
    pending.confirmed().await.unwrap();
}

#[tokio::test]
async fn a_full_pool_is_waited_for() {
    let l1 = L1 {
        mine: true,
        refuse: vec!["txpool is full", "account limit exceeded: pooled 16 txs"],
        ..L1::default()
    };
    let (l1, manager) = manager(l1, quick()).await;
    manager.send(transfer()).await.unwrap();
    let l1 = l1.lock().unwrap();
    assert_eq!((l1.taken.len(), l1.nonce), (1, 1));
}

#[tokio::test]
async fn refusals_are_sorted_and_leave_no_gap() {
    let l1 = L1 {
        mine: true,
        refuse: vec!["insufficient funds for gas * price + value", "exceeds block gas limit"],
        ..Default::default()
    };
    let (l1, manager) = manager(l1, quick()).await;
    let error = manager.send(transfer()).await.unwrap_err();
    assert!(matches!(error, TxError::InsufficientFunds { .. }), "{error}");
    let error = manager.send(transfer()).await.unwrap_err();
    assert!(matches!(error, TxError::Refused(_)), "{error}");
    manager.send(transfer()).await.unwrap();
    assert_eq!(l1.lock().unwrap().taken[0].nonce(), 0);
}

#[tokio::test]
async fn blobs_carry_valid_proofs_in_the_form_that_l1_wants() {
    let blobs = || TxCandidate { blobs: vec![Blob::repeat_byte(1)], ..transfer() };
    let l1 = L1 { mine: true, cell_proofs_only: true, ..Default::default() };
    let (l1, manager) = manager(l1, quick()).await;
    manager.send(blobs()).await.unwrap();
    manager.send(blobs()).await.unwrap();
    let l1 = l1.lock().unwrap();
    assert_eq!(l1.taken.len(), 2);
    assert_eq!(l1.methods["eth_sendRawTransaction"], 3, "the form is found out once");
    assert_eq!(l1.taken[0].max_fee_per_blob_gas(), Some(1_000_000_000));
}

#[tokio::test]
async fn invalid_blobs_are_refused_before_they_are_sent() {
    let (l1, manager) = manager(L1::default(), quick()).await;
    let candidate = TxCandidate { blobs: vec![Blob::repeat_byte(0xff)], ..transfer() };
    assert!(matches!(manager.send(candidate).await.unwrap_err(), TxError::Blob(_)));
    assert!(l1.lock().unwrap().taken.is_empty());
}

#[tokio::test]
async fn closing_ends_the_wait() {
    let (_l1, manager) = manager(L1::default(), quick()).await;
    let pending = manager.send_async(transfer()).await.unwrap();
    manager.close();
    assert_eq!(pending.confirmed().await.unwrap_err(), TxError::Closed);
    assert_eq!(manager.send(transfer()).await.unwrap_err(), TxError::Closed);
}

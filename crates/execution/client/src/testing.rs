//! What the tests of this crate share: small chains of both layers and signed transactions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use alloy_consensus::{SignableTransaction, Signed, TxEip1559, TxEip4844, TxEip4844WithSidecar};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip4844::builder::{SidecarBuilder, SimpleCoder};
use alloy_eips::eip7594::BlobTransactionSidecarVariant;
use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B64, B256, Bytes, TxKind, U256, address};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use opal_protocol::{DepositTransaction, PayloadAttributes, TxEnvelope, predeploys};
use serde_json::json;

use crate::{Chain, ChainConfig, ForkchoiceState, LocalEngine, SealedBlock, StorageConfig};

pub const L2_CHAIN_ID: u64 = 901;
pub const L1_CHAIN_ID: u64 = 900;
pub const GENESIS_TIME: u64 = 1_000;
pub const GWEI: u128 = 1_000_000_000;
pub const RECIPIENT: Address = address!("00000000000000000000000000000000000000aa");
/// `LOG1` with topic 7 and the call data's size in bytes as data, then stop.
pub const LOGGER: Address = address!("0000000000000000000000000000000000000109");
/// Reverts with `Error("nope")`.
pub const REVERTER: Address = address!("000000000000000000000000000000000000dead");

/// The n-th test account, which genesis gives 1000 ether.
pub fn signer(n: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::with_last_byte(n + 1)).unwrap()
}

fn alloc() -> serde_json::Value {
    let mut alloc = serde_json::Map::new();
    for n in 0..10 {
        alloc.insert(signer(n).address().to_string(), json!({ "balance": "0x3635c9adc5dea00000" }));
    }
    // CALLDATASIZE PUSH0 MSTORE; PUSH1 7 PUSH1 32 PUSH0 LOG1
    alloc.insert(LOGGER.to_string(), json!({ "balance": "0x0", "code": "0x365f52600760205fa1" }));
    // Error("nope"), written word by word from 0x1c on: selector, 0x20, 4, the text.
    let code = concat!(
        "0x6308c379a05f52",
        "6020602052",
        "6004604052",
        "636e6f706560e01b606052",
        "6064601cfd",
    );
    alloc.insert(REVERTER.to_string(), json!({ "balance": "0x0", "code": code }));
    alloc.into()
}

fn genesis(config: serde_json::Value, alloc: serde_json::Value, extra_data: &str) -> Genesis {
    serde_json::from_value(json!({
        "config": config,
        "nonce": "0x0",
        "timestamp": format!("{GENESIS_TIME:#x}"),
        "extraData": extra_data,
        "gasLimit": "0x1c9c380",
        "difficulty": "0x0",
        "mixHash": B256::ZERO,
        "coinbase": Address::ZERO,
        "baseFeePerGas": "0x3b9aca00",
        "excessBlobGas": "0x0",
        "blobGasUsed": "0x0",
        "alloc": alloc,
    }))
    .unwrap()
}

/// An OP chain with every fork up to Karst.
pub fn l2_genesis() -> Genesis {
    let mut config = json!({
        "chainId": L2_CHAIN_ID,
        "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
        "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0,
        "berlinBlock": 0, "londonBlock": 0, "mergeNetsplitBlock": 0,
        "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0,
        "terminalTotalDifficulty": 0,
        "optimism": {
            "eip1559Elasticity": 6, "eip1559Denominator": 50, "eip1559DenominatorCanyon": 250
        },
    });
    for row in &opal_protocol::hardfork::TABLE {
        if let Some(key) = row.genesis_key
            && row.fork <= opal_protocol::Hardfork::Karst
        {
            config[key] = json!(0);
        }
    }
    let mut alloc = alloc();
    // Base fee 10 gwei; scalars 1 and 1 (at bytes 16 and 20); blob base fee 1.
    let scalars = format!("0x{}0000000100000001{}", "00".repeat(16), "00".repeat(8));
    alloc[predeploys::L1_BLOCK.to_string()] = json!({
        "balance": "0x0",
        "code": "0x00",
        "storage": {
            B256::with_last_byte(1).to_string(): B256::from(U256::from(10 * GWEI)),
            B256::with_last_byte(3).to_string(): scalars,
            B256::with_last_byte(7).to_string(): B256::with_last_byte(1),
        },
    });
    for (address, code) in [
        (eip4788::BEACON_ROOTS_ADDRESS, &eip4788::BEACON_ROOTS_CODE),
        (eip2935::HISTORY_STORAGE_ADDRESS, &eip2935::HISTORY_STORAGE_CODE),
    ] {
        alloc[address.to_string()] = json!({ "balance": "0x0", "nonce": "0x1", "code": code });
    }
    genesis(config, alloc, "0x01000000fa000000060000000000000000")
}

/// An L1 with Prague, and Osaka if asked for.
pub fn l1_genesis(osaka: bool) -> Genesis {
    let mut config = json!({
        "chainId": L1_CHAIN_ID,
        "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
        "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0,
        "berlinBlock": 0, "londonBlock": 0, "mergeNetsplitBlock": 0,
        "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0,
        "terminalTotalDifficulty": 0,
    });
    if osaka {
        config["osakaTime"] = json!(0);
    }
    let mut alloc = alloc();
    for (address, code) in [
        (eip4788::BEACON_ROOTS_ADDRESS, &eip4788::BEACON_ROOTS_CODE),
        (eip2935::HISTORY_STORAGE_ADDRESS, &eip2935::HISTORY_STORAGE_CODE),
        (
            eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
            &eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_CODE,
        ),
        (
            eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
            &eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_CODE,
        ),
    ] {
        alloc[address.to_string()] = json!({ "balance": "0x0", "nonce": "0x1", "code": code });
    }
    genesis(config, alloc, "0x")
}

pub fn l2_engine() -> LocalEngine {
    LocalEngine::new(Chain::from_genesis(&l2_genesis()).unwrap())
}

pub fn l1_engine(osaka: bool) -> LocalEngine {
    LocalEngine::new(Chain::from_genesis(&l1_genesis(osaka)).unwrap())
}

/// An L2 chain whose limits the test sets.
pub fn l2_chain_with(change: impl FnOnce(&mut ChainConfig)) -> Arc<Chain> {
    let mut config = ChainConfig::default();
    change(&mut config);
    let genesis = l2_genesis();
    let spec = crate::ChainSpec::from_genesis(&genesis).unwrap();
    Chain::with_config(spec, &genesis, config).unwrap()
}

/// A deposit as L1 attributes have it: from the depositor account to `L1Block`.
pub fn attributes_deposit(n: u64) -> TxEnvelope {
    DepositTransaction {
        source_hash: B256::from(U256::from(n)),
        from: predeploys::L1_INFO_DEPOSITOR,
        to: TxKind::Call(predeploys::L1_BLOCK),
        mint: 0,
        value: U256::ZERO,
        gas_limit: 1_000_000,
        is_system_transaction: false,
        input: Bytes::new(),
    }
    .into()
}

/// A deposit that mints for the recipient.
pub fn minting_deposit(mint: u128) -> TxEnvelope {
    DepositTransaction {
        source_hash: B256::repeat_byte(0x77),
        from: RECIPIENT,
        to: TxKind::Call(RECIPIENT),
        mint,
        value: U256::ZERO,
        gas_limit: 100_000,
        is_system_transaction: false,
        input: Bytes::new(),
    }
    .into()
}

/// Attributes for a block on `parent`.
pub fn l2_attributes(parent: &SealedBlock, forced: &[TxEnvelope]) -> PayloadAttributes {
    let header = parent.header();
    let mut transactions = vec![attributes_deposit(header.number + 1).encoded_2718().into()];
    transactions.extend(forced.iter().map(|tx| Bytes::from(tx.encoded_2718())));
    PayloadAttributes {
        timestamp: header.timestamp + 1,
        suggested_fee_recipient: predeploys::SEQUENCER_FEE_VAULT,
        withdrawals: Some(Vec::new()),
        parent_beacon_block_root: Some(B256::ZERO),
        transactions: Some(transactions),
        gas_limit: Some(30_000_000),
        eip1559_params: Some(B64::ZERO),
        min_base_fee: Some(0),
        ..Default::default()
    }
}

pub fn l1_attributes(parent: &SealedBlock) -> PayloadAttributes {
    PayloadAttributes {
        timestamp: parent.header().timestamp + 2,
        withdrawals: Some(Vec::new()),
        parent_beacon_block_root: Some(B256::ZERO),
        ..Default::default()
    }
}

/// Builds a block by the attributes, imports it and makes it the head.
pub fn extend(engine: &LocalEngine, attributes: PayloadAttributes) -> SealedBlock {
    let head = engine.head().hash;
    let state = ForkchoiceState { head, ..Default::default() };
    let id = engine.fork_choice_updated(state, Some(attributes)).unwrap().payload_id.unwrap();
    let block = engine.get_payload(id).unwrap().block;
    assert!(engine.new_payload(&block).unwrap().is_valid());
    set_head(engine, block.hash);
    block
}

pub fn set_head(engine: &LocalEngine, head: B256) {
    let state = ForkchoiceState { head, ..Default::default() };
    assert!(engine.fork_choice_updated(state, None).unwrap().status.is_valid());
}

fn sign<T: SignableTransaction<alloy_primitives::Signature>>(
    signer: &PrivateKeySigner,
    tx: T,
) -> Signed<T> {
    let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    tx.into_signed(signature)
}

/// An EIP-1559 transaction with a fee cap of 100 gwei.
pub fn tx(chain_id: u64, from: u8, nonce: u64, to: Address, tip: u128, data: Bytes) -> TxEnvelope {
    let tx = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 100 * GWEI,
        max_priority_fee_per_gas: tip,
        to: TxKind::Call(to),
        value: U256::from(if data.is_empty() { 1 } else { 0 }),
        access_list: Default::default(),
        input: data,
    };
    TxEnvelope::Eip1559(sign(&signer(from), tx))
}

pub fn transfer(from: u8, nonce: u64, tip: u128) -> TxEnvelope {
    tx(L2_CHAIN_ID, from, nonce, RECIPIENT, tip, Bytes::new())
}

pub fn raw(tx: &TxEnvelope) -> Bytes {
    tx.encoded_2718().into()
}

/// A transaction that the builder changes before it is signed.
pub fn custom(from: u8, change: impl FnOnce(&mut TxEip1559)) -> TxEnvelope {
    let mut tx = TxEip1559 {
        chain_id: L2_CHAIN_ID,
        nonce: 0,
        gas_limit: 100_000,
        max_fee_per_gas: 100 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to: TxKind::Call(RECIPIENT),
        value: U256::from(1),
        access_list: Default::default(),
        input: Bytes::new(),
    };
    change(&mut tx);
    TxEnvelope::Eip1559(sign(&signer(from), tx))
}

/// Blobs with proofs, by the rules of Prague or Osaka.
pub fn sidecar(osaka: bool, blobs: usize) -> BlobTransactionSidecarVariant {
    let data = vec![7u8; 100_000 * blobs];
    let builder = SidecarBuilder::<SimpleCoder>::from_slice(&data);
    let settings = c_kzg::ethereum_kzg_settings(0);
    if osaka {
        BlobTransactionSidecarVariant::Eip7594(builder.build_7594_with_settings(settings).unwrap())
    } else {
        BlobTransactionSidecarVariant::Eip4844(builder.build_4844_with_settings(settings).unwrap())
    }
}

/// A blob transaction in its network form.
pub fn blob_tx(from: u8, nonce: u64, sidecar: BlobTransactionSidecarVariant, fee: u128) -> Bytes {
    let tx = TxEip4844 {
        chain_id: L1_CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: fee,
        max_priority_fee_per_gas: fee / 100,
        to: RECIPIENT,
        value: U256::ZERO,
        access_list: Default::default(),
        blob_versioned_hashes: sidecar.versioned_hashes().collect(),
        max_fee_per_blob_gas: fee,
        input: Bytes::new(),
    };
    let signed = sign(&signer(from), TxEip4844WithSidecar { tx, sidecar });
    alloy_consensus::EthereumTxEnvelope::Eip4844(signed).encoded_2718().into()
}

/// A durable L2 chain's engine, with small flushes.
pub fn l2_engine_in(dir: &std::path::Path) -> Result<LocalEngine, crate::ChainError> {
    l2_engine_with(dir, |_, _| {})
}

/// Like [`l2_engine_in`] with limits that the test sets.
pub fn l2_engine_with(
    dir: &std::path::Path,
    change: impl FnOnce(&mut ChainConfig, &mut StorageConfig),
) -> Result<LocalEngine, crate::ChainError> {
    let mut config = ChainConfig { memory_blocks: 4, state_window: 4, ..Default::default() };
    let mut storage = StorageConfig { flush_blocks: 8, ..StorageConfig::new(dir) };
    change(&mut config, &mut storage);
    let genesis = l2_genesis();
    let spec = crate::ChainSpec::from_genesis(&genesis).unwrap();
    Ok(LocalEngine::new(Chain::open(spec, &genesis, config, storage)?))
}

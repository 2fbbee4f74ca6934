//! A small OP chain: its genesis, blocks of deposits, transactions that anybody might have signed.

use std::sync::{Arc, OnceLock};

use alloy_consensus::{SignableTransaction, Signed, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B64, B256, Bytes, Signature, TxKind, U256, keccak256};
use opal_execution::{
    Chain, ChainConfig, ChainSpec, ForkchoiceState, LocalEngine, PayloadAttributes, PoolConfig,
    SealedBlock, StorageConfig,
};
use opal_protocol::{DepositTransaction, Hardfork, TxEnvelope};
use serde_json::{Value, json};

/// Logs the size of the call data with a topic, and stores the call's value in slot 1.
pub(super) const LOGGER: Address = Address::repeat_byte(0xa1);
/// Reverts with what it was called with.
pub(super) const REVERTER: Address = Address::repeat_byte(0xa2);
/// Runs until its gas is used up.
pub(super) const LOOPER: Address = Address::repeat_byte(0xa3);
/// Calls itself with all the gas that it has.
pub(super) const CALLER: Address = Address::repeat_byte(0xa4);
/// Sends the deposits.
pub(super) const SENDER: Address = Address::repeat_byte(0xb1);
const CHAIN_ID: u64 = 901;
const GENESIS_TIME: u64 = 1_000;

/// A signature that nobody made. Whoever it recovers to is the sender, and has funds in genesis.
fn signature(n: u8) -> Signature {
    Signature::new(U256::from(1_000 + u64::from(n)), U256::from(7), n.is_multiple_of(2))
}

fn sign<T: SignableTransaction<Signature>>(
    tx: T,
    n: u8,
    wrap: fn(Signed<T>) -> TxEnvelope,
) -> Option<(TxEnvelope, Address)> {
    let tx = wrap(tx.into_signed(signature(n)));
    let sender = tx.recover().ok()?;
    Some((tx, sender))
}

/// Transactions of every kind that the pool of an OP chain takes, with their senders.
pub(super) fn transactions() -> &'static [(TxEnvelope, Address)] {
    static TRANSACTIONS: OnceLock<Vec<(TxEnvelope, Address)>> = OnceLock::new();
    TRANSACTIONS.get_or_init(|| {
        let (gas_limit, fee) = (200_000, 100_000_000_000);
        let to = TxKind::Call(LOGGER);
        let access_list = AccessList(vec![AccessListItem {
            address: LOGGER,
            storage_keys: vec![B256::with_last_byte(1)],
        }]);
        let mut all = Vec::new();
        // Not every number is the coordinate of a point: about half of them give a sender.
        for n in 0..8 {
            let legacy = TxLegacy {
                chain_id: Some(CHAIN_ID),
                gas_price: fee,
                gas_limit,
                to,
                ..Default::default()
            };
            let dynamic = TxEip1559 {
                chain_id: CHAIN_ID,
                gas_limit,
                max_fee_per_gas: fee,
                max_priority_fee_per_gas: 1_000,
                to,
                input: Bytes::from(vec![n; 40]),
                ..Default::default()
            };
            let listed = TxEip2930 {
                chain_id: CHAIN_ID,
                gas_price: fee,
                gas_limit,
                to,
                access_list: access_list.clone(),
                ..Default::default()
            };
            let authorization =
                Authorization { chain_id: U256::from(CHAIN_ID), address: LOGGER, nonce: 0 };
            let setting = TxEip7702 {
                chain_id: CHAIN_ID,
                gas_limit,
                max_fee_per_gas: fee,
                max_priority_fee_per_gas: 1_000,
                to: LOGGER,
                authorization_list: vec![SignedAuthorization::new_unchecked(
                    authorization,
                    0,
                    U256::from(1_001),
                    U256::from(7),
                )],
                ..Default::default()
            };
            all.extend(sign(legacy, n, TxEnvelope::Legacy));
            all.extend(sign(dynamic, n, TxEnvelope::Eip1559));
            all.extend(sign(listed, n, TxEnvelope::Eip2930));
            all.extend(sign(setting, n, TxEnvelope::Eip7702));
        }
        all
    })
}

/// Their encodings.
pub(super) fn raw_transactions() -> Vec<Bytes> {
    transactions().iter().map(|(tx, _)| tx.encoded_2718().into()).collect()
}

/// The genesis file.
pub(super) fn genesis() -> Genesis {
    let mut config = json!({
        "chainId": CHAIN_ID, "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0,
        "optimism": {
            "eip1559Elasticity": 6, "eip1559Denominator": 50, "eip1559DenominatorCanyon": 250
        },
    });
    for row in opal_protocol::hardfork::TABLE.iter().filter(|row| row.fork <= Hardfork::Karst) {
        if let Some(key) = row.genesis_key {
            config[key] = json!(0);
        }
    }
    let code = |code: &str| json!({ "balance": "0x0", "code": code });
    let mut alloc = json!({
        LOGGER.to_string(): code("0x36345f5260015f52600760205fa1346001550000"),
        REVERTER.to_string(): code("0x365f5f37365ffd"),
        LOOPER.to_string(): code("0x5b5f56"),
        CALLER.to_string(): code("0x5f5f5f5f5f305af1"),
        "0x4200000000000000000000000000000000000015": {
            "balance": "0x0", "code": "0x00",
            "storage": { B256::with_last_byte(1).to_string(): B256::with_last_byte(9) },
        },
        "0x4200000000000000000000000000000000000016": code("0x00"),
    });
    for sender in transactions().iter().map(|(_, sender)| sender).chain([&SENDER]) {
        alloc[sender.to_string()] = json!({ "balance": "0x3635c9adc5dea00000" });
    }
    serde_json::from_value(json!({
        "config": config, "timestamp": format!("{GENESIS_TIME:#x}"), "gasLimit": "0x1c9c380",
        "extraData": "0x01000000fa000000060000000000000000", "difficulty": "0x0",
        "baseFeePerGas": "0x3b9aca00", "alloc": alloc,
    }))
    .unwrap()
}

fn spec() -> ChainSpec {
    ChainSpec::from_genesis(&genesis()).unwrap()
}

fn config() -> ChainConfig {
    let pool = PoolConfig { max_transactions: 64, max_bytes: 4 << 20, ..PoolConfig::default() };
    ChainConfig { memory_blocks: 2, state_window: 4, pool, ..ChainConfig::default() }
}

/// An engine at genesis, in memory.
pub(super) fn engine() -> LocalEngine {
    LocalEngine::new(Chain::with_config(spec(), &genesis(), config()).unwrap())
}

/// The chain in a directory.
pub(super) fn open(dir: &std::path::Path) -> Result<Arc<Chain>, opal_execution::ChainError> {
    let storage = StorageConfig { flush_blocks: 4, ..StorageConfig::new(dir) };
    Chain::open(spec(), &genesis(), config(), storage)
}

fn deposit(number: u64, n: u64, to: TxKind, value: u64, input: Bytes) -> Bytes {
    let tx = TxEnvelope::from(DepositTransaction {
        source_hash: keccak256((number * 100 + n).to_be_bytes()),
        from: SENDER,
        to,
        mint: 0,
        value: U256::from(value),
        gas_limit: 200_000,
        is_system_transaction: false,
        input,
    });
    tx.encoded_2718().into()
}

/// Attributes of a block with a few deposits.
pub(super) fn attributes(parent: &SealedBlock) -> PayloadAttributes {
    let header = parent.header();
    let number = header.number + 1;
    let call = |to: Address| TxKind::Call(to);
    let transactions = vec![
        deposit(number, 0, call(LOGGER), number, Bytes::from(vec![1; 5])),
        deposit(number, 1, call(REVERTER), 0, Bytes::from(vec![2; 36])),
        deposit(number, 2, TxKind::Create, 0, Bytes::from_static(&[0x60, 1, 0x5f, 0xf3])),
    ];
    PayloadAttributes {
        timestamp: header.timestamp + 2,
        withdrawals: Some(Vec::new()),
        parent_beacon_block_root: Some(B256::ZERO),
        transactions: Some(transactions),
        no_tx_pool: true,
        gas_limit: Some(30_000_000),
        eip1559_params: Some(B64::ZERO),
        min_base_fee: Some(0),
        ..Default::default()
    }
}

/// Builds so many blocks and imports them.
pub(super) fn extend(engine: &LocalEngine, blocks: usize) {
    for _ in 0..blocks {
        let head = engine.head();
        let state = ForkchoiceState { head: head.hash, ..Default::default() };
        let updated = engine.fork_choice_updated(state, Some(attributes(&head))).unwrap();
        let block = engine.get_payload(updated.payload_id.unwrap()).unwrap().block;
        assert!(engine.new_payload(&block).unwrap().is_valid());
        set_head(engine, block.hash);
    }
}

/// Makes a block the head.
pub(super) fn set_head(engine: &LocalEngine, head: B256) {
    let state = ForkchoiceState { head, ..Default::default() };
    assert!(engine.fork_choice_updated(state, None).unwrap().status.is_valid());
}

/// Every block from the head to genesis is there and follows the one before it, or the chain says
/// that its disk is damaged.
pub(super) fn check(chain: &Chain) {
    let mut above = chain.head();
    let _ = chain.state_at(&above.hash);
    let genesis = chain.genesis().header().number;
    for number in (genesis..above.header().number).rev() {
        let Some(block) = chain.stored_by_number(number) else {
            // A chain that came of a snapshot has no older blocks.
            return;
        };
        assert_eq!(block.block.header().number, number);
        assert_eq!(block.block.hash, above.header().parent_hash);
        assert_eq!(block.receipts.len(), block.block.block.body.transactions.len());
        above = block.block.clone();
    }
}

/// What can be put into JSON: hashes and addresses of this chain.
pub(super) fn hash(engine: &LocalEngine, number: u64) -> Value {
    json!(engine.chain().canonical_hash(number).unwrap_or_default())
}

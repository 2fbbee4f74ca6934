//! One block of each fork with a transaction of each type, as this client shows it.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip7702::Authorization;
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B64, B256, Bytes, Signature, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use jsonrpsee::RpcModule;
use opal_execution::{Chain, ForkchoiceState, LocalEngine, PayloadAttributes, engine_api, rpc};
use opal_protocol::hardfork::TABLE;
use opal_protocol::{DepositTransaction, Hardfork, TxEnvelope, predeploys};
use serde_json::{Value, json};

const CHAIN_ID: u64 = 901;
const GWEI: u128 = 1_000_000_000;

/// JSON objects as the RPC gives them.
#[derive(Default)]
pub struct Objects {
    pub transactions: Vec<Value>,
    pub receipts: Vec<Value>,
}

/// Of all forks.
pub fn objects() -> Objects {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut objects = Objects::default();
    for row in TABLE.iter().filter(|row| row.fork <= Hardfork::LATEST_LIVE) {
        let engine = LocalEngine::new(Chain::from_genesis(&genesis(row.fork)).unwrap());
        let block = block(&engine, row.fork);
        let module = rpc::module(engine.chain().clone());
        let (shown, receipts) = runtime.block_on(async {
            let block = json!(block);
            (
                ask(&module, "eth_getBlockByHash", json!([block, true])).await,
                ask(&module, "eth_getBlockReceipts", json!([block])).await,
            )
        });
        objects.transactions.extend(shown["transactions"].as_array().unwrap().iter().cloned());
        objects.receipts.extend(receipts.as_array().unwrap().iter().cloned());
    }
    objects
}

/// The Engine API of a new chain of each fork.
pub fn engines() -> impl Iterator<Item = RpcModule<()>> {
    TABLE.iter().filter(|row| row.fork <= Hardfork::LATEST_LIVE).map(|row| {
        engine_api::module(LocalEngine::new(Chain::from_genesis(&genesis(row.fork)).unwrap()))
    })
}

/// The whole answer, with its result or error.
pub async fn answer(module: &RpcModule<()>, method: &str, params: &Value) -> Value {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let (answer, _) = module.raw_json_request(&request.to_string(), 16).await.unwrap();
    serde_json::from_str(answer.get()).unwrap()
}

async fn ask(module: &RpcModule<()>, method: &str, params: Value) -> Value {
    let mut answer = answer(module, method, &params).await;
    assert!(answer["result"].is_array() || answer["result"].is_object(), "{method}: {answer}");
    answer["result"].take()
}

fn signer(n: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::with_last_byte(n)).unwrap()
}

/// An OP chain with all forks up to this one, four rich accounts, and L1 attributes that make every
/// fee greater than zero.
fn genesis(fork: Hardfork) -> Genesis {
    let mut config = json!({
        "chainId": CHAIN_ID,
        "optimism": {
            "eip1559Elasticity": 6, "eip1559Denominator": 50, "eip1559DenominatorCanyon": 250
        },
    });
    for row in TABLE.iter().filter(|row| row.fork <= fork) {
        if let Some(key) = row.genesis_key {
            config[key] = 0.into();
        }
    }
    let mut alloc = json!({});
    for n in 1..=4 {
        alloc[signer(n).address().to_string()] = json!({"balance": "0x3635c9adc5dea00000"});
    }
    let slot = |n: u8| B256::with_last_byte(n).to_string();
    let word = |number: u128| B256::from(U256::from(number)).to_string();
    alloc[predeploys::L1_BLOCK.to_string()] = json!({
        "balance": "0x0",
        "code": "0x00",
        "storage": {
            // Base fee; Ecotone's scalars; overhead and scalar before; blob base fee; operator fee
            // with its constant and the scalar of the DA footprint.
            slot(1): word(10 * GWEI),
            slot(3): format!("0x{}0000000100000001{}", "00".repeat(16), "00".repeat(8)),
            slot(5): word(188),
            slot(6): word(684_000),
            slot(7): word(1),
            slot(8): format!("0x{}0190{}{}", "00".repeat(18), "00000001", "0000000000000001"),
        },
    });
    let extra_data = match fork {
        _ if fork >= Hardfork::Jovian => "0x01000000fa000000060000000000000000",
        _ if fork >= Hardfork::Holocene => "0x00000000fa00000006",
        _ => "0x",
    };
    serde_json::from_value(json!({
        "config": config,
        "nonce": "0x0",
        "timestamp": "0x3e8",
        "extraData": extra_data,
        "gasLimit": "0x1c9c380",
        "difficulty": "0x0",
        "mixHash": B256::ZERO,
        "coinbase": Address::ZERO,
        "baseFeePerGas": "0x3b9aca00",
        "alloc": alloc,
    }))
    .unwrap()
}

/// Builds the first block, with a deposit and what the pool holds; gives its hash.
fn block(engine: &LocalEngine, fork: Hardfork) -> B256 {
    for tx in transactions(fork) {
        engine.chain().pool().add_raw(&tx.encoded_2718()).unwrap();
    }
    let deposit: TxEnvelope = DepositTransaction {
        from: predeploys::L1_INFO_DEPOSITOR,
        to: TxKind::Call(predeploys::L1_BLOCK),
        gas_limit: 1_000_000,
        ..DepositTransaction::default()
    }
    .into();
    let since = |first: Hardfork| fork >= first;
    let attributes = PayloadAttributes {
        timestamp: 1_002,
        suggested_fee_recipient: predeploys::SEQUENCER_FEE_VAULT,
        withdrawals: since(Hardfork::Canyon).then(Vec::new),
        parent_beacon_block_root: since(Hardfork::Ecotone).then_some(B256::ZERO),
        transactions: Some(vec![deposit.encoded_2718().into()]),
        gas_limit: Some(30_000_000),
        eip1559_params: since(Hardfork::Holocene).then_some(B64::ZERO),
        min_base_fee: since(Hardfork::Jovian).then_some(0),
        ..PayloadAttributes::default()
    };
    let set_head = |head: B256, attributes: Option<PayloadAttributes>| {
        let state = ForkchoiceState { head, ..ForkchoiceState::default() };
        engine.fork_choice_updated(state, attributes).unwrap()
    };
    let id = set_head(engine.head().hash, Some(attributes)).payload_id.unwrap();
    let block = engine.get_payload(id).unwrap().block;
    assert!(engine.new_payload(&block).unwrap().is_valid());
    assert!(set_head(block.hash, None).status.is_valid());
    block.hash
}

/// A transaction of each type that the fork knows, each by another account.
fn transactions(fork: Hardfork) -> Vec<TxEnvelope> {
    fn sign<T: SignableTransaction<Signature>>(n: u8, tx: T) -> alloy_consensus::Signed<T> {
        let signature = signer(n).sign_hash_sync(&tx.signature_hash()).unwrap();
        tx.into_signed(signature)
    }
    let (to, gas_limit, price) = (Address::repeat_byte(0xaa), 100_000, 100 * GWEI);
    let mut all = vec![
        TxEnvelope::Legacy(sign(
            1,
            TxLegacy {
                chain_id: Some(CHAIN_ID),
                gas_price: price,
                gas_limit,
                to: to.into(),
                ..TxLegacy::default()
            },
        )),
        TxEnvelope::Eip2930(sign(
            2,
            TxEip2930 {
                chain_id: CHAIN_ID,
                gas_price: price,
                gas_limit,
                to: to.into(),
                ..TxEip2930::default()
            },
        )),
        TxEnvelope::Eip1559(sign(
            3,
            TxEip1559 {
                chain_id: CHAIN_ID,
                max_fee_per_gas: price,
                max_priority_fee_per_gas: GWEI,
                gas_limit,
                to: to.into(),
                input: Bytes::from_static(&[1]),
                ..TxEip1559::default()
            },
        )),
    ];
    if fork >= Hardfork::Isthmus {
        let authorization = Authorization { chain_id: U256::from(CHAIN_ID), address: to, nonce: 0 };
        let signature = signer(5).sign_hash_sync(&authorization.signature_hash()).unwrap();
        all.push(TxEnvelope::Eip7702(sign(
            4,
            TxEip7702 {
                chain_id: CHAIN_ID,
                max_fee_per_gas: price,
                max_priority_fee_per_gas: GWEI,
                gas_limit,
                to,
                authorization_list: vec![authorization.into_signed(signature)],
                ..TxEip7702::default()
            },
        )));
    }
    all
}

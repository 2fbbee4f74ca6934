//! From the request of a payload to a full block of 1,400 transfers of the pool, on an OP chain with
//! all forks: `forkchoiceUpdated` with attributes, then `getPayload` at once.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B64, B256, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use criterion::{Criterion, Throughput};
use opal_execution::{Chain, ForkchoiceState, LocalEngine, PayloadAttributes};
use opal_protocol::TxEnvelope;
use opal_protocol::hardfork::TABLE;
use serde_json::json;

const TRANSFERS: u64 = 1_400;
const ACCOUNTS: u64 = 20_000;
const CHAIN_ID: u64 = 901;

fn signer(n: u64) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::from(U256::from(n + 1))).unwrap()
}

/// Accounts that nobody holds a key of, so that the state is not only the senders.
fn other(n: u64) -> Address {
    Address::left_padding_from(&(0xacc0_0000 + n % ACCOUNTS).to_be_bytes())
}

fn genesis() -> Genesis {
    let balance = json!({"balance": "0xde0b6b3a7640000"});
    let senders = (0..TRANSFERS).map(|n| signer(n).address());
    let others = (0..ACCOUNTS).map(other);
    let alloc: serde_json::Map<_, _> =
        senders.chain(others).map(|address| (address.to_string(), balance.clone())).collect();
    let mut config = json!({
        "chainId": CHAIN_ID, "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0,
        "optimism": {
            "eip1559Elasticity": 6, "eip1559Denominator": 50, "eip1559DenominatorCanyon": 250
        },
    });
    for row in TABLE.iter().filter(|row| row.fork <= opal_protocol::Hardfork::LATEST_LIVE) {
        if let Some(key) = row.genesis_key {
            config[key] = json!(0);
        }
    }
    serde_json::from_value(json!({
        "config": config, "gasLimit": "0x1c9c380", "difficulty": "0x0", "alloc": alloc,
        "extraData": "0x01000000fa000000060000000000000000", "baseFeePerGas": "0x3b9aca00",
        "blobGasUsed": "0x0", "excessBlobGas": "0x0",
    }))
    .unwrap()
}

fn main() {
    let engine = LocalEngine::new(Chain::from_genesis(&genesis()).unwrap());
    for n in 0..TRANSFERS {
        let tx = TxEip1559 {
            chain_id: CHAIN_ID,
            gas_limit: 21_000,
            max_fee_per_gas: 2_000_000_000,
            max_priority_fee_per_gas: 1_000 + u128::from(n),
            to: TxKind::Call(other(n * 7)),
            value: U256::from(1),
            ..Default::default()
        };
        let signature = signer(n).sign_hash_sync(&tx.signature_hash()).unwrap();
        let tx = TxEnvelope::Eip1559(tx.into_signed(signature));
        engine.chain().pool().add_raw(&tx.encoded_2718()).unwrap();
    }
    let head = engine.head();
    let state = ForkchoiceState { head: head.hash, ..Default::default() };
    let mut job = 0_u64;
    let mut payload = || {
        // Each request is another job: nothing is found built.
        job += 1;
        let attributes = PayloadAttributes {
            timestamp: head.header().timestamp + 2,
            prev_randao: B256::from(U256::from(job)),
            withdrawals: Some(Vec::new()),
            parent_beacon_block_root: Some(B256::ZERO),
            gas_limit: Some(30_000_000),
            eip1559_params: Some(B64::ZERO),
            min_base_fee: Some(0),
            ..Default::default()
        };
        let updated = engine.fork_choice_updated(state, Some(attributes)).unwrap();
        engine.get_payload(updated.payload_id.unwrap()).unwrap()
    };
    assert_eq!(payload().block.block.body.transactions.len() as u64, TRANSFERS);

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("payload");
    group.sample_size(10).throughput(Throughput::Elements(TRANSFERS));
    group.bench_function("1400 transfers", |bencher| bencher.iter(|| black_box(payload())));
    group.finish();
    criterion.final_summary();
}

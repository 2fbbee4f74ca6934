//! A block of 1,000 transfers: execution, state root and assembly. In the same run, revm alone on
//! a hash map executes the same transactions, which is the limit that the block is held against.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use criterion::{Criterion, Throughput};
use opal_evm::revm::context::{Context, TxEnv};
use opal_evm::revm::database::InMemoryDB;
use opal_evm::revm::state::AccountInfo;
use opal_evm::revm::{ExecuteEvm, MainBuilder, MainContext};
use opal_evm::{BlockExecutor, BlockInput, ChainSpec, genesis};
use opal_protocol::TxEnvelope;
use serde_json::json;

const TRANSFERS: u64 = 1_000;
const ACCOUNTS: u64 = 20_000;

fn account(n: u64) -> Address {
    Address::left_padding_from(&(0xacc0_0000 + n % ACCOUNTS).to_be_bytes())
}

fn main() {
    let alloc: serde_json::Map<_, _> = (0..ACCOUNTS)
        .map(|n| (account(n).to_string(), json!({"balance": "0xde0b6b3a7640000"})))
        .collect();
    let file = json!({
        "config": {"chainId": 900, "shanghaiTime": 0, "cancunTime": 0},
        "gasLimit": "0x3938700", "difficulty": "0x0", "alloc": alloc,
    });
    let file: Genesis = serde_json::from_value(file).unwrap();
    let spec = ChainSpec::from_genesis(&file).unwrap();
    let (parent, state) = genesis(&spec, &file).unwrap();
    let input = BlockInput {
        timestamp: 2,
        beneficiary: Address::repeat_byte(9),
        prev_randao: B256::ZERO,
        gas_limit: 60_000_000,
        extra_data: Default::default(),
        parent_beacon_block_root: Some(B256::ZERO),
        withdrawals: Some(Vec::new()),
    };
    let transactions: Vec<(TxEnvelope, Address)> = (0..TRANSFERS)
        .map(|n| {
            let tx = TxEip1559 {
                chain_id: 900,
                gas_limit: 21_000,
                max_fee_per_gas: 2_000_000_000,
                to: TxKind::Call(account(n * 7 + 5_000)),
                value: U256::from(1),
                ..Default::default()
            };
            (TxEnvelope::Eip1559(tx.into_signed(Signature::test_signature())), account(n))
        })
        .collect();

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("transfers");
    group.throughput(Throughput::Elements(TRANSFERS));
    group.bench_function("opal block with state root", |bencher| {
        bencher.iter(|| {
            let mut executor =
                BlockExecutor::new(&spec, (&parent).into(), input.clone(), &state, &|_| None)
                    .unwrap();
            for (tx, sender) in &transactions {
                executor.transact(tx, *sender).unwrap();
            }
            black_box(executor.finish().unwrap())
        });
    });

    let mut database = InMemoryDB::default();
    for n in 0..ACCOUNTS {
        let balance = U256::from(1_000_000_000_000_000_000_u64);
        database.insert_account_info(account(n), AccountInfo { balance, ..Default::default() });
    }
    group.bench_function("revm alone, no root", |bencher| {
        bencher.iter(|| {
            let mut evm = Context::mainnet().with_db(&mut database).build_mainnet();
            for (tx, sender) in &transactions {
                let TxEnvelope::Eip1559(tx) = tx else { continue };
                let tx = TxEnv {
                    caller: *sender,
                    gas_limit: 21_000,
                    gas_price: 2_000_000_000,
                    kind: tx.tx().to,
                    value: tx.tx().value,
                    ..Default::default()
                };
                evm.transact_one(tx).unwrap();
            }
            black_box(evm.finalize())
        });
    });
    group.finish();
    criterion.final_summary();
}

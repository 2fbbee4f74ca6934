//! The transaction pool: inserts with signature recovery one by one and in batches, inserts whose
//! senders are known (the pool's own work), and the best thousand out of 10,000 executable
//! transactions. The limit in the same run: recovering the senders alone.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::Encodable2718;
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use criterion::{BatchSize, Criterion, Throughput};
use opal_execution::{ChainSpec, PoolConfig, PooledTransaction, TxPool};
use opal_protocol::TxEnvelope;
use serde_json::json;

const SENDERS: u64 = 10_000;
const BURST: usize = 1_000;

fn signer(n: u64) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::from(U256::from(n + 1))).unwrap()
}

fn main() {
    let signers: Vec<PrivateKeySigner> = (0..SENDERS).map(signer).collect();
    let file = json!({
        "config": {"chainId": 900, "shanghaiTime": 0, "cancunTime": 0},
        "gasLimit": "0x3938700", "difficulty": "0x0", "baseFeePerGas": "0x1", "alloc": {},
    });
    let mut file: Genesis = serde_json::from_value(file).unwrap();
    for signer in &signers {
        let account = GenesisAccount::default().with_balance(U256::from(u128::MAX));
        file.alloc.insert(signer.address(), account);
    }
    let spec = ChainSpec::from_genesis(&file).unwrap();
    let chain = opal_execution::Chain::new(spec, &file).unwrap();
    let head = chain.pool().head();
    let raw: Vec<Bytes> = signers
        .iter()
        .enumerate()
        .map(|(n, signer)| {
            let tx = TxEip1559 {
                chain_id: 900,
                gas_limit: 21_000,
                max_fee_per_gas: 2_000_000_000,
                max_priority_fee_per_gas: (n as u128 * 7_919) % 10_007,
                to: TxKind::Call(Address::repeat_byte(1)),
                value: U256::from(1),
                ..Default::default()
            };
            let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
            TxEnvelope::Eip1559(tx.into_signed(signature)).encoded_2718().into()
        })
        .collect();
    let pooled: Vec<PooledTransaction> =
        raw.iter().map(|raw| PooledTransaction::decode(raw).unwrap()).collect();
    let empty = || TxPool::new(PoolConfig::default(), (*head).clone());

    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    let mut group = criterion.benchmark_group("pool");
    group.throughput(Throughput::Elements(BURST as u64));
    group.bench_function("limit: recover senders", |bench| {
        bench.iter(|| {
            for raw in &raw[..BURST] {
                black_box(PooledTransaction::decode(raw).unwrap());
            }
        });
    });
    group.bench_function("add one by one", |bench| {
        bench.iter_batched(
            empty,
            |pool| assert!(raw[..BURST].iter().all(|raw| pool.add_raw(raw).is_ok())),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("add a batch", |bench| {
        bench.iter_batched(
            empty,
            |pool| assert!(pool.add_raw_batch(&raw[..BURST]).iter().all(Result::is_ok)),
            BatchSize::LargeInput,
        );
    });
    group.throughput(Throughput::Elements(SENDERS));
    group.bench_function("add 10k with known senders", |bench| {
        bench.iter_batched(
            || (empty(), pooled.clone()),
            |(pool, pooled)| {
                assert!(pooled.into_iter().all(|tx| pool.add(tx).is_ok()));
                pool
            },
            BatchSize::LargeInput,
        );
    });
    let full = empty();
    full.add_raw_batch(&raw);
    assert_eq!(full.status().0 as u64, SENDERS);
    group.throughput(Throughput::Elements(BURST as u64));
    group.bench_function("best 1000 of 10k", |bench| {
        bench.iter(|| assert_eq!(full.best(1, 1).take(BURST).count(), BURST));
    });
    group.bench_function("best 10k", |bench| {
        bench.iter(|| assert_eq!(full.best(1, 1).count() as u64, SENDERS));
    });
    group.finish();
    criterion.final_summary();
}

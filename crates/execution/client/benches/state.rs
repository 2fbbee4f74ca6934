//! Blocks on a large state on disk: execution, roots, and storing what is new, each with its time,
//! beside the limit in the same run: revm alone on the same transactions, all state in a hash map,
//! no roots and nothing stored.
//!
//! Each block is executed on the state after the one before it and touches other accounts, so
//! nothing is measured twice on the same nodes; that is why this bench brings its own clock.
//! `OPAL_BENCH_ACCOUNTS` is the number of accounts, and of holders of the token (default 1000000),
//! `OPAL_BENCH_BLOCKS` that of blocks of each kind (default 30); the first third warms up.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use alloy_consensus::{Header, SignableTransaction, TxEip1559};
use alloy_primitives::map::AddressMap;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, Signature, TxKind, U256};
use alloy_primitives::{hex, keccak256};
use opal_evm::revm::context::{Context, TxEnv};
use opal_evm::revm::database::InMemoryDB;
use opal_evm::revm::state::AccountInfo;
use opal_evm::revm::{ExecuteEvm, MainBuilder, MainContext};
use opal_evm::{BlockExecutor, BlockInput, ChainSpec, Parent, State};
use opal_execution::state_store::{StateRoot, StateStore, StateStoreOptions};
use opal_protocol::TxEnvelope;
use serde_json::json;

const TOKEN: Address = Address::repeat_byte(0xe2);
const WRITER: Address = Address::repeat_byte(0xe3);
const PRICE: u128 = 2_000_000_000;
const WEI: u128 = 1_000_000_000_000_000_000;

/// `transfer(to, amount)` on a mapping at slot 0, with its event; nothing is checked.
fn token() -> Bytes {
    let move_to = |address: &str, operation: &str| {
        // mem[0] = address; slot = keccak(mem[0..64]); storage[slot] = storage[slot] ± amount
        format!("{address}5f5260405f208054602435{operation}9055")
    };
    let topic = keccak256("Transfer(address,address,uint256)");
    let code = [
        move_to("33", "9003"),
        move_to("600435", "01"),
        // LOG3(Transfer, caller, to) with the amount from memory.
        format!("6024355f52600435337f{}60205fa300", hex::encode(topic)),
    ];
    hex::decode(code.concat()).unwrap().into()
}

/// Forty words from the slot that the call data names on.
fn writer() -> Bytes {
    hex::decode("60285b80805f3501556001900380600257 00".replace(' ', "")).unwrap().into()
}

fn account(n: u64) -> Address {
    Address::left_padding_from(&(0xacc0_0000_0000 + n).to_be_bytes())
}

fn balance_slot(holder: &Address) -> B256 {
    let mut preimage = [0; 64];
    preimage[12..32].copy_from_slice(holder.as_slice());
    keccak256(preimage)
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Transfers,
    Erc20,
    Storage,
    Create,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Transfers, Self::Erc20, Self::Storage, Self::Create];

    const fn transactions(self) -> u64 {
        match self {
            Self::Transfers => 1_400,
            Self::Erc20 => 800,
            Self::Storage => 34,
            Self::Create => 110,
        }
    }

    /// The transaction number `n` of this kind and its sender; every sender has one only.
    fn transaction(self, n: u64, accounts: u64) -> (TxEip1559, Address) {
        // Primes spread neighbours over the whole state.
        let at = |n: u64, prime: u64| {
            account((u128::from(n) * u128::from(prime) % u128::from(accounts)) as u64)
        };
        let to = at(n + 1, 2_860_486_313);
        let (to, gas_limit, input) = match self {
            Self::Transfers => (TxKind::Call(to), 21_000, Bytes::new()),
            Self::Erc20 => {
                let mut input = vec![0xa9, 0x05, 0x9c, 0xbb];
                input.extend_from_slice(to.into_word().as_slice());
                input.extend_from_slice(&U256::from(7).to_be_bytes::<32>());
                (TxKind::Call(TOKEN), 80_000, input.into())
            }
            Self::Storage => (TxKind::Call(WRITER), 1_000_000, keccak256(n.to_be_bytes()).0.into()),
            // Returns a kilobyte that begins with the sender.
            Self::Create => (TxKind::Create, 300_000, hex!("335f526104005ff3").into()),
        };
        let tx = TxEip1559 {
            chain_id: 900,
            gas_limit,
            max_fee_per_gas: PRICE,
            to,
            value: U256::from(u8::from(input.is_empty())),
            input,
            ..Default::default()
        };
        (tx, at(n, 3_267_000_013))
    }
}

fn import(store: &StateStore, accounts: u64) -> StateRoot {
    let code = |address: &Address| match *address {
        TOKEN => token(),
        WRITER => writer(),
        _ => Bytes::new(),
    };
    let mut keys: Vec<(B256, Address)> =
        (0..accounts).map(account).chain([TOKEN, WRITER]).map(|a| (keccak256(a), a)).collect();
    keys.sort_unstable();
    let mut importer = store.import();
    for (key, address) in keys {
        importer.account(key, 0, U256::from(10 * WEI), code(&address)).unwrap();
        if address == TOKEN {
            let slot = |n| keccak256(balance_slot(&account(n)));
            let mut slots: Vec<B256> = (0..accounts).map(slot).collect();
            slots.sort_unstable();
            slots.into_iter().for_each(|slot| importer.slot(slot, U256::from(WEI)).unwrap());
        }
    }
    importer.finish().unwrap().root
}

/// Times of some blocks.
#[derive(Default)]
struct Times {
    gas: u64,
    execution: Duration,
    roots: Duration,
    append: Duration,
    tend: Duration,
    limit: Duration,
    bytes: u64,
}

fn main() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |value| value.replace('_', "").parse().unwrap())
    };
    let accounts = number("OPAL_BENCH_ACCOUNTS", 1_000_000);
    let blocks = number("OPAL_BENCH_BLOCKS", 30);
    let dir = tempfile::tempdir().unwrap();
    let store =
        StateStore::open(dir.path(), B256::ZERO, None, StateStoreOptions::default()).unwrap();
    let begin = Instant::now();
    let root = import(&store, accounts);
    store.sync().unwrap();
    println!(
        "{accounts} accounts and as many slots imported in {:.1} s, {} MB on disk",
        begin.elapsed().as_secs_f64(),
        store.stats().unwrap().node_bytes >> 20,
    );
    println!("kind        Mgas/s  of limit  execution  roots  append  tend  kB/block  reads/block");
    for kind in Kind::ALL {
        let reads = store.stats().unwrap().reads;
        let times = run(kind, &store, &root, accounts, blocks);
        let total = times.execution + times.roots + times.append + times.tend;
        let share = |part: Duration| 100.0 * part.as_secs_f64() / total.as_secs_f64();
        println!(
            "{:10} {:7.0} {:8.0}% {:9.0}% {:5.0}% {:6.0}% {:4.0}% {:9} {:12}",
            format!("{kind:?}"),
            times.gas as f64 / total.as_secs_f64() / 1e6,
            100.0 * times.limit.as_secs_f64() / total.as_secs_f64(),
            share(times.execution),
            share(times.roots),
            share(times.append),
            share(times.tend),
            times.bytes / (blocks - blocks / 3) / 1024,
            (store.stats().unwrap().reads - reads) / blocks,
        );
    }
    let begin = Instant::now();
    let nodes = store.check(&root, None, &mut |_| {}).unwrap();
    println!("{nodes} nodes checked in {:.1} s", begin.elapsed().as_secs_f64());
    println!("{:?}", store.stats().unwrap());
}

fn run(kind: Kind, store: &StateStore, root: &StateRoot, accounts: u64, blocks: u64) -> Times {
    let spec = json!({
        "config": {"chainId": 900, "shanghaiTime": 0, "cancunTime": 0},
        "gasLimit": "0x3938700", "difficulty": "0x0", "alloc": {},
    });
    let spec = ChainSpec::from_genesis(&serde_json::from_value(spec).unwrap()).unwrap();
    let mut state = store.state(root).unwrap();
    let mut parent = Header {
        gas_limit: 60_000_000,
        base_fee_per_gas: Some(1_000_000_000),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        ..Default::default()
    };
    let mut times = Times::default();
    let mut memory = Memory::default();
    for block in 0..blocks {
        let transactions: Vec<_> = (0..kind.transactions())
            .map(|n| kind.transaction(block * kind.transactions() + n, accounts))
            .collect();
        memory.load(&transactions, &state);
        let signed: Vec<(TxEnvelope, Address)> = transactions
            .iter()
            .map(|(tx, sender)| {
                (TxEnvelope::Eip1559(tx.clone().into_signed(Signature::test_signature())), *sender)
            })
            .collect();
        let input = BlockInput {
            timestamp: parent.timestamp + 2,
            beneficiary: Address::repeat_byte(9),
            prev_randao: B256::ZERO,
            gas_limit: 60_000_000,
            extra_data: Default::default(),
            parent_beacon_block_root: Some(B256::ZERO),
            withdrawals: Some(Vec::new()),
        };

        let begin = Instant::now();
        let hash = parent.hash_slow();
        let at = Parent { hash, header: &parent };
        let mut executor = BlockExecutor::new(&spec, at, input, &state, &|_| None).unwrap();
        for (tx, sender) in &signed {
            assert!(executor.transact(tx, *sender).unwrap().success);
        }
        let executed_at = begin.elapsed();
        let executed = executor.finish().unwrap();
        let finished_at = begin.elapsed();
        let persisted = store.append(&executed.state).unwrap();
        let appended_at = begin.elapsed();
        state = store.tend(persisted.state).unwrap();
        let tended_at = begin.elapsed();
        let limit = memory.execute(&transactions);
        parent = executed.block.header().clone();
        if block < blocks / 3 {
            continue;
        }
        times.gas += parent.gas_used;
        times.execution += executed_at;
        times.roots += finished_at - executed_at;
        times.append += appended_at - finished_at;
        times.tend += tended_at - appended_at;
        times.limit += limit;
        times.bytes += persisted.bytes;
    }
    times
}

/// The limit: revm on a hash map.
#[derive(Default)]
struct Memory {
    database: InMemoryDB,
    known: AddressMap<()>,
}

impl Memory {
    /// Puts in place what the transactions will look at.
    fn load(&mut self, transactions: &[(TxEip1559, Address)], state: &State) {
        for (tx, sender) in transactions {
            let to = match tx.to {
                TxKind::Call(TOKEN) => Address::from_slice(&tx.input[16..36]),
                TxKind::Call(to) => to,
                TxKind::Create => *sender,
            };
            for address in [*sender, to, TOKEN] {
                if self.known.insert(address, ()).is_some() {
                    continue;
                }
                let code = state.code(&address).unwrap();
                let info = AccountInfo {
                    balance: U256::from(10 * WEI),
                    code_hash: if code.is_empty() { KECCAK256_EMPTY } else { keccak256(&code) },
                    code: Some(opal_evm::state::bytecode(code)),
                    ..Default::default()
                };
                self.database.insert_account_info(address, info);
                let slot = U256::from_be_bytes(balance_slot(&address).0);
                self.database.insert_account_storage(TOKEN, slot, U256::from(WEI)).unwrap();
            }
        }
    }

    fn execute(&mut self, transactions: &[(TxEip1559, Address)]) -> Duration {
        let begin = Instant::now();
        let mut evm = Context::mainnet().with_db(&mut self.database).build_mainnet();
        for (tx, sender) in transactions {
            let tx = TxEnv {
                caller: *sender,
                gas_limit: tx.gas_limit,
                gas_price: PRICE,
                kind: tx.to,
                value: tx.value,
                data: tx.input.clone(),
                ..Default::default()
            };
            assert!(evm.transact_one(tx).unwrap().is_success());
        }
        black_box(evm.finalize());
        begin.elapsed()
    }
}

//! A block of transfers, one of token transfers, and chains of generated contracts: Opal's executor,
//! the peer's executor over its usual state with bundles, and for the first two revm alone on a hash
//! map, in the same run. Signatures are recovered before.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::hint::black_box;

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::{Decodable2718, Encodable2718, WithEncoded};
use alloy_evm::block::BlockExecutor as _;
use alloy_evm::eth::NextEvmEnvAttributes;
use alloy_evm::{Evm as _, EvmFactory};
use alloy_op_evm::block::OpAlloyReceiptBuilder;
use alloy_op_evm::{
    OpBlockExecutionCtx, OpBlockExecutor, OpEvmFactory, OpTx, evm_env_for_op_next_block,
};
use alloy_primitives::{Address, B64, B256, Bytes, Signature, TxKind, U256, hex, keccak256};
use criterion::{BenchmarkGroup, Throughput};
use op_alloy_consensus::OpTxEnvelope;
use opal_evm::revm::context::{Context, TxEnv};
use opal_evm::revm::database::InMemoryDB;
use opal_evm::revm::state::{AccountInfo, Bytecode};
use opal_evm::revm::{ExecuteEvm, MainBuilder, MainContext};
use opal_evm::{BlockExecutor, BlockInput, ChainSpec, Parent, State, genesis, next_base_fee};
use opal_peers::execution::compare::made;
use opal_peers::execution::peer::op_forks;
use opal_peers::execution::plain::Plain;
use opal_peers::execution::world::Fork;
use opal_protocol::Hardfork;
use opal_protocol::predeploys::{L1_BLOCK, L2_TO_L1_MESSAGE_PASSER, SEQUENCER_FEE_VAULT};
use opal_protocol::{PayloadAttributes, SealedBlock, TxEnvelope};
use peer_revm::DatabaseRef as _;
use peer_revm::database::states::bundle_state::BundleRetention;
use peer_revm::database::{InMemoryDB as PeerDb, State as PeerState, WrapDatabaseRef};
use serde_json::{Map, json};

const TRANSACTIONS: u64 = 1_000;
const ACCOUNTS: u64 = 20_000;
const TOKEN: Address = Address::repeat_byte(0x70);
const FEE: u128 = 2_000_000_000;

/// `transfer(address,uint256)` of a token: balances in a mapping at slot 0, one log.
fn token() -> Vec<u8> {
    let mut code = hex!(
        // Slot of the caller's balance, the balance, the amount; back out where it does not do.
        "33600052600060205260406000208054602435808210610000"
        "57"
        // What is left, to the caller's slot; the sum, to that of the receiver.
        "80910390915560043560005260406000208054820190"
        "55"
        // Transfer(address,address,uint256), then true.
        "600052600435337fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef60206000a3"
        "600160005260206000f3"
        "5b600080fd"
    )
    .to_vec();
    let end = (code.len() - 5) as u16;
    code[23..25].copy_from_slice(&end.to_be_bytes());
    code
}

fn account(n: u64) -> Address {
    Address::left_padding_from(&(0xacc0_0000 + n % ACCOUNTS).to_be_bytes())
}

fn balance_slot(owner: Address) -> U256 {
    let mut input = [0; 64];
    input[12..32].copy_from_slice(owner.as_slice());
    keccak256(input).into()
}

struct World {
    spec: ChainSpec,
    head: SealedBlock,
    state: State,
    input: BlockInput,
    ours: InMemoryDB,
    theirs: PeerDb,
}

fn world() -> World {
    let rich = U256::from(1_000_000_000_000_000_000_u64);
    let (mut ours, mut theirs) = (InMemoryDB::default(), PeerDb::default());
    let mut alloc = Map::new();
    let mut slots = Map::new();
    let code = Bytes::from(token());
    let peer = |balance, code: &Bytes| peer_revm::state::AccountInfo {
        balance,
        nonce: 0,
        code_hash: keccak256(code),
        code: Some(peer_revm::bytecode::Bytecode::new_raw(code.clone())),
        ..Default::default()
    };
    let info = AccountInfo {
        code_hash: keccak256(&code),
        code: Some(Bytecode::new_raw(code.clone())),
        ..Default::default()
    };
    ours.insert_account_info(TOKEN, info);
    theirs.insert_account_info(TOKEN, peer(U256::ZERO, &code));
    for n in 0..ACCOUNTS {
        let slot = balance_slot(account(n));
        alloc.insert(account(n).to_string(), json!({"balance": rich}));
        slots.insert(B256::from(slot).to_string(), json!(B256::from(rich)));
        let info = AccountInfo { balance: rich, ..Default::default() };
        ours.insert_account_info(account(n), info);
        ours.insert_account_storage(TOKEN, slot, rich).unwrap();
        theirs.insert_account_info(account(n), peer(rich, &Bytes::new()));
        theirs.insert_account_storage(TOKEN, slot, rich).unwrap();
    }
    alloc.insert(TOKEN.to_string(), json!({"balance": "0x0", "code": code, "storage": slots}));
    // Base fee, scalars, blob base fee.
    let scalars = U256::from(1_000) << 96 | U256::from(2_000) << 64;
    let fees = [(1, U256::from(1_000_000)), (3, scalars), (7, U256::from(1_000_000))];
    let mut storage = Map::new();
    for (slot, value) in fees {
        let slot = U256::from(slot);
        storage.insert(B256::from(slot).to_string(), json!(B256::from(value)));
        theirs.insert_account_storage(L1_BLOCK, slot, value).unwrap();
    }
    alloc.insert(
        L1_BLOCK.to_string(),
        json!({"balance": "0x0", "nonce": "0x1", "storage": storage}),
    );
    alloc.insert(L2_TO_L1_MESSAGE_PASSER.to_string(), json!({"balance": "0x0", "nonce": "0x1"}));
    let mut config = json!({"chainId": 901, "optimism": {"eip1559Elasticity": 6,
        "eip1559Denominator": 50, "eip1559DenominatorCanyon": 250}});
    for row in opal_protocol::hardfork::TABLE.iter().take(11) {
        if let Some(key) = row.genesis_key {
            config[key] = 0.into();
        }
    }
    let file = json!({"config": config, "gasLimit": "0x11e1a300", "difficulty": "0x0",
        "extraData": "0x01000000fa000000060000000000000000", "alloc": alloc});
    let file = serde_json::from_value(file).unwrap();
    let spec = ChainSpec::from_genesis(&file).unwrap();
    let (head, state) = genesis(&spec, &file).unwrap();
    let attributes = PayloadAttributes {
        timestamp: 2,
        suggested_fee_recipient: SEQUENCER_FEE_VAULT,
        withdrawals: Some(Vec::new()),
        parent_beacon_block_root: Some(B256::ZERO),
        gas_limit: Some(300_000_000),
        eip1559_params: Some(B64::ZERO),
        min_base_fee: Some(0),
        ..PayloadAttributes::default()
    };
    let input = BlockInput::from_attributes(&spec, head.header(), &attributes).unwrap();
    World { spec, head, state, input, ours, theirs }
}

fn transactions(token: bool) -> Vec<(TxEnvelope, Address)> {
    let make = |n: u64| {
        let receiver = account(n * 7 + 5_000);
        let mut input = Vec::new();
        if token {
            input.extend_from_slice(&hex!("a9059cbb"));
            input.extend_from_slice(receiver.into_word().as_slice());
            input.extend_from_slice(&U256::from(1).to_be_bytes::<32>());
        }
        let tx = TxEip1559 {
            chain_id: 901,
            gas_limit: if token { 100_000 } else { 21_000 },
            max_fee_per_gas: FEE,
            to: TxKind::Call(if token { TOKEN } else { receiver }),
            value: U256::from(u64::from(!token)),
            input: input.into(),
            ..TxEip1559::default()
        };
        (TxEnvelope::Eip1559(tx.into_signed(Signature::test_signature())), account(n))
    };
    (0..TRANSACTIONS).map(make).collect()
}

/// A block with all that both sides need to execute it.
struct Case<'a> {
    spec: &'a ChainSpec,
    parent: &'a SealedBlock,
    input: &'a BlockInput,
    state: &'a State,
    transactions: &'a [(TxEnvelope, Address)],
    senders: Vec<Address>,
    theirs: &'a PeerDb,
    recovered: Vec<WithEncoded<Recovered<OpTxEnvelope>>>,
    hashes: &'a [B256],
}

fn recovered(list: &[(TxEnvelope, Address)]) -> Vec<WithEncoded<Recovered<OpTxEnvelope>>> {
    list.iter()
        .map(|(tx, sender)| {
            let encoded = Bytes::from(tx.encoded_2718());
            let tx = OpTxEnvelope::decode_2718_exact(&encoded).unwrap();
            WithEncoded::new(encoded, Recovered::new_unchecked(tx, *sender))
        })
        .collect()
}

fn senders(list: &[(TxEnvelope, Address)]) -> Vec<Address> {
    list.iter().map(|(_, sender)| *sender).collect()
}

impl Case<'_> {
    /// Executes the transactions, as a node does: accounts that they name are read ahead.
    fn execute(&self, executor: &mut BlockExecutor<'_>) {
        executor.read_ahead(self.transactions.iter().map(|(tx, _)| tx), &self.senders);
        for (tx, sender) in self.transactions {
            black_box(executor.transact(tx, *sender).unwrap());
        }
    }

    /// Executes the block and gives its gas; its roots are left out.
    fn ours(&self) -> u64 {
        let hash = |number: u64| self.hashes.get(number as usize).copied();
        let (parent, input) = (Parent::from(self.parent), self.input.clone());
        let mut executor = BlockExecutor::new(self.spec, parent, input, self.state, &hash).unwrap();
        self.execute(&mut executor);
        executor.gas_used()
    }

    /// The same with all roots and the new state.
    fn ours_whole(&self) -> u64 {
        let hash = |number: u64| self.hashes.get(number as usize).copied();
        let (parent, input) = (Parent::from(self.parent), self.input.clone());
        let mut executor = BlockExecutor::new(self.spec, parent, input, self.state, &hash).unwrap();
        self.execute(&mut executor);
        black_box(executor.finish().unwrap()).block.header().gas_used
    }

    /// The peer's execution, with what it gives instead of a state: the bundle of changes.
    fn theirs(&self) -> u64 {
        let forks = op_forks(self.spec);
        let attributes = NextEvmEnvAttributes {
            timestamp: self.input.timestamp,
            suggested_fee_recipient: self.input.beneficiary,
            prev_randao: self.input.prev_randao,
            gas_limit: self.input.gas_limit,
            slot_number: None,
        };
        let header = self.parent.header();
        let base_fee = next_base_fee(self.spec, header, self.input.timestamp);
        let env =
            evm_env_for_op_next_block(header, attributes, base_fee, &forks, self.spec.chain_id);
        let mut state = PeerState::builder()
            .with_database(WrapDatabaseRef(self.theirs))
            .with_bundle_update()
            .build();
        let context = OpBlockExecutionCtx {
            parent_hash: self.parent.hash,
            parent_beacon_block_root: self.input.parent_beacon_block_root,
            extra_data: Bytes::new(),
        };
        let evm = OpEvmFactory::<OpTx>::default().create_evm(&mut state, env);
        let mut executor =
            OpBlockExecutor::new(evm, context, forks, OpAlloyReceiptBuilder::default());
        executor.apply_pre_execution_changes().unwrap();
        for tx in &self.recovered {
            executor.execute_transaction(tx).unwrap();
        }
        let (evm, result) = executor.finish().unwrap();
        drop(evm.finish());
        state.merge_transitions(BundleRetention::Reverts);
        black_box(state.take_bundle());
        result.gas_used
    }
}

fn alone(db: &mut InMemoryDB, list: &[(TxEnvelope, Address)]) {
    let mut evm = Context::mainnet().with_db(db).build_mainnet();
    for (tx, sender) in list {
        let TxEnvelope::Eip1559(tx) = tx else { continue };
        let tx = tx.tx();
        let tx = TxEnv {
            caller: *sender,
            gas_limit: tx.gas_limit,
            gas_price: FEE,
            kind: tx.to,
            value: tx.value,
            data: tx.input.clone(),
            ..Default::default()
        };
        assert!(evm.transact_one(tx).unwrap().is_success());
    }
    black_box(evm.finalize());
}

/// The peer's database of hash maps with what the plain state holds.
fn peer_db(plain: &Plain) -> PeerDb {
    let mut db = PeerDb::default();
    for (address, account) in &plain.accounts {
        let code = plain.code_by_hash_ref(account.info.code_hash).unwrap();
        let info = peer_revm::state::AccountInfo { code: Some(code), ..account.info.clone() };
        db.insert_account_info(*address, info);
        for (slot, value) in &account.storage {
            db.insert_account_storage(*address, *slot, *value).unwrap();
        }
    }
    for (number, hash) in plain.hashes.iter().enumerate() {
        db.cache.block_hashes.insert(U256::from(number), *hash);
    }
    db
}

/// Both sides on all cases, one after the other.
fn both(group: &mut BenchmarkGroup<'_, common::CpuTime>, cases: &[Case<'_>]) {
    for case in cases {
        assert_eq!(case.ours(), case.theirs());
        assert_eq!(case.ours(), case.ours_whole());
    }
    fn run<'a>(cases: &[Case<'a>], execute: fn(&Case<'a>) -> u64) -> u64 {
        cases.iter().map(execute).sum()
    }
    group.throughput(Throughput::Elements(cases.iter().map(Case::ours).sum()));
    group.bench_function("opal: execution", |b| b.iter(|| run(cases, Case::ours)));
    group.bench_function("alloy-op-evm: execution and bundle", |b| {
        b.iter(|| run(cases, Case::theirs))
    });
    group.bench_function("opal: whole block with its roots", |b| {
        b.iter(|| run(cases, Case::ours_whole))
    });
}

/// Chains of random contracts, and blocks of each.
const CHAINS: u64 = 12;
const BLOCKS: u64 = 12;

fn generated(criterion: &mut criterion::Criterion<common::CpuTime>, fork: Hardfork) {
    let chains: Vec<_> =
        (0..CHAINS).map(|seed| made(seed, Fork::L2(fork), BLOCKS).unwrap()).collect();
    let databases: Vec<Vec<_>> = chains
        .iter()
        .map(|(_, blocks)| blocks.iter().map(|block| peer_db(&block.plain)).collect())
        .collect();
    let mut cases = Vec::new();
    for ((spec, blocks), databases) in chains.iter().zip(&databases) {
        for (block, theirs) in blocks.iter().zip(databases) {
            cases.push(Case {
                spec,
                parent: &block.parent,
                input: &block.input,
                state: &block.state,
                transactions: &block.transactions,
                senders: senders(&block.transactions),
                theirs,
                recovered: recovered(&block.transactions),
                hashes: &block.plain.hashes,
            });
        }
    }
    let transactions: usize = cases.iter().map(|case| case.transactions.len()).sum();
    println!("{fork}: {} blocks, {transactions} transactions", cases.len());
    let mut group = criterion.benchmark_group(format!("generated contracts, {fork}"));
    both(&mut group, &cases);
    group.finish();
}

fn main() {
    let mut criterion = common::criterion().configure_from_args();
    let mut world = world();
    for (name, token) in [("transfers", false), ("token transfers", true)] {
        let list = transactions(token);
        let mut group = criterion.benchmark_group(name);
        let case = Case {
            spec: &world.spec,
            parent: &world.head,
            input: &world.input,
            state: &world.state,
            transactions: &list,
            senders: senders(&list),
            theirs: &world.theirs,
            recovered: recovered(&list),
            hashes: &[],
        };
        both(&mut group, &[case]);
        group.bench_function("revm alone", |b| b.iter(|| alone(&mut world.ours, &list)));
        group.finish();
    }
    // Karst's rules differ, see the tests.
    for fork in [Hardfork::Fjord, Hardfork::Jovian] {
        generated(&mut criterion, fork);
    }
    criterion.final_summary();
}

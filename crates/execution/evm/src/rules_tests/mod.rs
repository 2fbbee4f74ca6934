//! The rules of both layers, each shown on a small chain.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use alloc::string::String;
use alloc::vec::Vec;

use alloy_consensus::{
    Header, SignableTransaction, Signed, TxEip1559, TxEip4844, TxEip7702, TxLegacy,
};
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_eips::eip4895::Withdrawal;
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_genesis::Genesis;
use alloy_primitives::{
    Address, B64, B256, Bytes, Signature, TxKind, U256, address, b256, bytes, hex, keccak256,
};
use opal_protocol::predeploys::*;
use opal_protocol::{
    Block, DepositTransaction, Hardfork, PayloadAttributes, SealedBlock, TxEnvelope,
};
use revm::inspector::CountInspector;
use serde_json::{Value, json};

use crate::*;

mod inspect;
mod l1;
mod l2;
mod simulations;

const ALICE: Address = address!("00000000000000000000000000000000000a11ce");
const BOB: Address = address!("0000000000000000000000000000000000000b0b");
const MINER: Address = address!("4200000000000000000000000000000000000011");
/// Reverts with the word 1.
const REVERTS: Address = address!("00000000000000000000000000000000000c0de1");
/// Uses up all its gas.
const HALTS: Address = address!("00000000000000000000000000000000000c0de2");
/// Stores the call's value in slot 0 and logs nothing.
const STORES: Address = address!("00000000000000000000000000000000000c0de3");

const ETHER: u128 = 1_000_000_000_000_000_000;

fn no_hashes(_: u64) -> Option<B256> {
    None
}

fn call(
    chain: &Chain,
    header: &Header,
    request: &CallRequest,
    overrides: &StateOverrides,
) -> Result<ExecutionResult, CallError> {
    let state = OverriddenState::new(&chain.spec, header.timestamp, &chain.state, overrides)?;
    call_block(chain, header, &state).call(request)
}

fn call_block<'a>(
    chain: &'a Chain,
    header: &'a Header,
    state: &'a OverriddenState,
) -> CallBlock<'a> {
    let spec = &chain.spec;
    CallBlock { spec, header, blob_base_fee: None, state, hashes: &no_hashes, stop: None }
}

struct Chain {
    spec: ChainSpec,
    head: SealedBlock,
    state: State,
}

fn alloc() -> Value {
    json!({
        ALICE.to_string(): {"balance": U256::from(10 * ETHER)},
        REVERTS.to_string(): {"balance": "0x0", "code": "0x600160005260206000fd"},
        HALTS.to_string(): {"balance": "0x0", "code": "0xfe"},
        STORES.to_string(): {"balance": "0x0", "code": "0x34600055"},
    })
}

impl Chain {
    fn new(config: Value, alloc: Value, extra: &str) -> Self {
        let file = json!({
            "config": config, "gasLimit": "0x1c9c380", "difficulty": "0x0",
            "extraData": extra, "alloc": alloc,
        });
        let file: Genesis = serde_json::from_value(file).unwrap();
        let spec = ChainSpec::from_genesis(&file).unwrap();
        let (head, state) = genesis(&spec, &file).unwrap();
        Self { spec, head, state }
    }

    /// An OP chain with all forks up to `fork`, whose `L1Block` holds `slots`.
    fn l2(fork: Hardfork, slots: &[(u64, B256)]) -> Self {
        let mut config = json!({
            "chainId": 901,
            "optimism": {"eip1559Elasticity": 6, "eip1559Denominator": 50,
                         "eip1559DenominatorCanyon": 250},
        });
        for row in opal_protocol::hardfork::TABLE.iter().filter(|row| row.fork <= fork) {
            if let Some(key) = row.genesis_key {
                config[key] = 0.into();
            }
        }
        let mut alloc = alloc();
        let storage: serde_json::Map<String, Value> = slots
            .iter()
            .map(|(slot, value)| (B256::from(U256::from(*slot)).to_string(), json!(value)))
            .collect();
        alloc[L1_BLOCK.to_string()] = json!({"balance": "0x0", "nonce": "0x1", "storage": storage});
        alloc[L2_TO_L1_MESSAGE_PASSER.to_string()] = json!({"balance": "0x0", "nonce": "0x1", "storage": {B256::ZERO.to_string(): B256::with_last_byte(1)}});
        let extra = match fork {
            fork if fork >= Hardfork::Jovian => "0x01000000fa000000060000000000000000",
            Hardfork::Holocene | Hardfork::Isthmus => "0x00000000fa00000006",
            _ => "0x",
        };
        Self::new(config, alloc, extra)
    }

    /// An L1 with the system contracts that its fork calls.
    fn l1(fork_keys: &[&str]) -> Self {
        let mut config = json!({"chainId": 900});
        for key in fork_keys {
            config[key] = 0.into();
        }
        let mut alloc = alloc();
        for (address, code) in [
            (BEACON_ROOTS, eip4788::BEACON_ROOTS_CODE.clone()),
            (HISTORY_STORAGE, eip2935::HISTORY_STORAGE_CODE.clone()),
            (
                eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
                eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_CODE.clone(),
            ),
            (
                eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
                eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_CODE.clone(),
            ),
        ] {
            alloc[address.to_string()] = json!({"balance": "0x0", "nonce": "0x1", "code": code});
        }
        Self::new(config, alloc, "0x")
    }

    fn attributes(&self) -> PayloadAttributes {
        let timestamp = self.head.header().timestamp + 2;
        let active = |fork| self.spec.is_active(fork, timestamp);
        PayloadAttributes {
            timestamp,
            suggested_fee_recipient: MINER,
            withdrawals: self.spec.has_withdrawals(timestamp).then(Vec::new),
            parent_beacon_block_root: self
                .spec
                .has_beacon_root(timestamp)
                .then_some(B256::repeat_byte(7)),
            gas_limit: self.spec.is_l2().then_some(30_000_000),
            eip1559_params: active(Hardfork::Holocene).then_some(B64::ZERO),
            min_base_fee: active(Hardfork::Jovian).then_some(0),
            ..Default::default()
        }
    }

    fn begin(&self, attributes: &PayloadAttributes) -> BlockExecutor<'_> {
        let input =
            BlockInput::from_attributes(&self.spec, self.head.header(), attributes).unwrap();
        BlockExecutor::new(&self.spec, (&self.head).into(), input, &self.state, &no_hashes).unwrap()
    }

    fn executor(&self) -> BlockExecutor<'_> {
        self.begin(&self.attributes())
    }

    /// A block of these transactions, re-executed for good measure.
    fn block(&self, txs: &[(TxEnvelope, Address)]) -> ExecutedBlock {
        let mut executor = self.executor();
        for (tx, sender) in txs {
            executor.transact(tx, *sender).unwrap();
        }
        let built = executor.finish().unwrap();
        let senders: Vec<Address> = txs.iter().map(|(_, sender)| *sender).collect();
        let again = self.verify(&built.block.block, &senders).unwrap();
        assert_eq!(again.block, built.block);
        self.inspect(&built, &senders);
        self.stateless(&built, &senders);
        built
    }

    /// Executes the block with an inspector, which must not change anything; what it saw of each
    /// transaction.
    fn inspect(&self, built: &ExecutedBlock, senders: &[Address]) -> Vec<Inspected> {
        let input = BlockInput::from_block(&built.block.block);
        let parent = (&self.head).into();
        let mut executor =
            BlockExecutor::new(&self.spec, parent, input, &self.state, &no_hashes).unwrap();
        let transactions = &built.block.block.body.transactions;
        let mut gas_before = 0;
        let mut all = Vec::new();
        for ((tx, sender), receipt) in transactions.iter().zip(senders).zip(&built.receipts) {
            let mut count = CountInspector::new();
            let inspected = executor.inspect(tx, *sender, &mut count).unwrap();
            let result = &inspected.outcome.result;
            assert_eq!(result.tx_gas_used(), receipt.cumulative_gas_used - gas_before);
            assert_eq!(result.is_success(), receipt.success);
            assert_eq!(result.logs(), receipt.logs);
            let shown = count.call_count() + count.create_count();
            assert!(shown > 0, "a transaction that is not shown: {tx:?}");
            gas_before = receipt.cumulative_gas_used;
            all.push(inspected);
        }
        assert_eq!(executor.finish().unwrap().block, built.block);
        all
    }

    /// Executes the block from its witness alone.
    fn stateless(&self, built: &ExecutedBlock, senders: &[Address]) {
        let (parent, block) = ((&self.head).into(), &built.block.block);
        let (spec, state) = (&self.spec, &self.state);
        let (recorded, witness) =
            execution_witness(spec, parent, block, senders, state, &no_hashes).unwrap();
        assert_eq!(recorded.block, built.block);
        let preimages: Preimages = witness.nodes.into_iter().chain(witness.codes).collect();
        let state = State::from_root(state.root(), alloc::sync::Arc::new(preimages));
        let again = execute_block(spec, parent, block, senders, &state, &no_hashes).unwrap();
        assert_eq!(again.block, built.block);
    }

    fn verify(&self, block: &Block, senders: &[Address]) -> Result<ExecutedBlock, BlockError> {
        execute_block(&self.spec, (&self.head).into(), block, senders, &self.state, &no_hashes)
    }

    fn advance(&mut self, block: ExecutedBlock) {
        self.head = block.block;
        self.state = block.state;
    }
}

fn balance(state: &State, address: Address) -> U256 {
    state.account(&address).unwrap().map_or(U256::ZERO, |account| account.balance)
}

fn nonce(state: &State, address: Address) -> u64 {
    state.account(&address).unwrap().map_or(0, |account| account.nonce)
}

/// The executor is told who sent a transaction, so any signature will do.
fn sign<T: SignableTransaction<Signature>>(tx: T) -> Signed<T> {
    tx.into_signed(Signature::test_signature())
}

fn transfer(chain: &Chain, nonce: u64, gas_limit: u64, value: u128) -> TxEnvelope {
    TxEnvelope::Eip1559(sign(TxEip1559 {
        chain_id: chain.spec.chain_id,
        nonce,
        gas_limit,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1_000_000,
        to: TxKind::Call(BOB),
        value: U256::from(value),
        ..Default::default()
    }))
}

fn deposit(to: TxKind, mint: u128, value: u128, gas_limit: u64) -> DepositTransaction {
    DepositTransaction {
        source_hash: B256::repeat_byte(1),
        from: BOB,
        to,
        mint,
        value: U256::from(value),
        gas_limit,
        is_system_transaction: false,
        input: Bytes::new(),
    }
}

/// Slots of `L1Block`: base fee 1 gwei, blob base fee 1 gwei, scalars 1,000 and 2,000; operator fee
/// scalar 3,000,000 and constant 77; DA footprint scalar 400.
fn fee_slots() -> Vec<(u64, B256)> {
    let gwei = B256::from(U256::from(1_000_000_000));
    let mut scalars = B256::ZERO;
    scalars[16..20].copy_from_slice(&1_000_u32.to_be_bytes());
    scalars[20..24].copy_from_slice(&2_000_u32.to_be_bytes());
    let mut operator = B256::ZERO;
    operator[18..20].copy_from_slice(&400_u16.to_be_bytes());
    operator[20..24].copy_from_slice(&3_000_000_u32.to_be_bytes());
    operator[24..32].copy_from_slice(&77_u64.to_be_bytes());
    alloc::vec![(1, gwei), (3, scalars), (7, gwei), (8, operator)]
}

#[test]
fn an_invalid_transaction_leaves_no_trace() {
    for chain in [
        Chain::l2(Hardfork::Karst, &fee_slots()),
        Chain::l1(&["shanghaiTime", "cancunTime", "pragueTime"]),
    ] {
        let good: Vec<_> = (0..3).map(|nonce| transfer(&chain, nonce, 21_000, 1)).collect();
        let mut bad = alloc::vec![
            transfer(&chain, 7, 21_000, 1),
            transfer(&chain, 0, 20_000, 1),
            transfer(&chain, 0, 21_000, 11 * ETHER),
            transfer(&chain, 0, 40_000_000, 1),
        ];
        bad.push(if chain.spec.is_l2() {
            TxEnvelope::Eip4844(sign(TxEip4844::default()))
        } else {
            deposit(TxKind::Call(ALICE), 5, 0, 21_000).into()
        });
        let mut clean = chain.executor();
        let mut disturbed = chain.executor();
        for tx in &good {
            clean.transact(tx, ALICE).unwrap();
            for bad in &bad {
                let before =
                    (disturbed.gas_used(), disturbed.da_footprint(), disturbed.receipts().len());
                let error = disturbed.transact(bad, ALICE).unwrap_err();
                assert!(!error.is_fatal(), "{error}");
                let after =
                    (disturbed.gas_used(), disturbed.da_footprint(), disturbed.receipts().len());
                assert_eq!(before, after);
            }
            disturbed.transact(tx, ALICE).unwrap();
        }
        assert_eq!(clean.finish().unwrap().block, disturbed.finish().unwrap().block);
    }
}

#[test]
fn every_header_field_is_checked() {
    let chain = Chain::l2(Hardfork::Jovian, &fee_slots());
    let block = chain.block(&[(transfer(&chain, 0, 21_000, 1), ALICE)]).block;
    type Change = fn(&mut Header);
    let changes: [(HeaderField, Change); 15] = [
        (HeaderField::ParentHash, |h| h.parent_hash = B256::ZERO),
        (HeaderField::OmmersHash, |h| h.ommers_hash = B256::ZERO),
        (HeaderField::StateRoot, |h| h.state_root = B256::ZERO),
        (HeaderField::TransactionsRoot, |h| h.transactions_root = B256::ZERO),
        (HeaderField::ReceiptsRoot, |h| h.receipts_root = B256::ZERO),
        (HeaderField::LogsBloom, |h| h.logs_bloom.0[0] = 1),
        (HeaderField::Difficulty, |h| h.difficulty = U256::from(1)),
        (HeaderField::Number, |h| h.number = 5),
        (HeaderField::GasUsed, |h| h.gas_used += 1),
        (HeaderField::Timestamp, |h| h.timestamp = 0),
        (HeaderField::Nonce, |h| h.nonce = B64::repeat_byte(1)),
        (HeaderField::BaseFee, |h| h.base_fee_per_gas = Some(1)),
        (HeaderField::WithdrawalsRoot, |h| h.withdrawals_root = None),
        (HeaderField::BlobGasUsed, |h| h.blob_gas_used = Some(0)),
        (HeaderField::RequestsHash, |h| h.requests_hash = None),
    ];
    for (field, change) in changes {
        let mut wrong = (*block.block).clone();
        change(&mut wrong.header);
        match chain.verify(&wrong, &[ALICE]).unwrap_err() {
            BlockError::Header { field: found, .. } => assert_eq!(found, field),
            error => panic!("{field}: {error}"),
        }
    }
    // op-geth and geth (`verifyHeader`) have a bound for both layers.
    let mut wrong = (*block.block).clone();
    wrong.header.gas_limit = 1 << 63;
    let error = chain.verify(&wrong, &[ALICE]).unwrap_err();
    assert!(matches!(error, BlockError::Header { field: HeaderField::GasLimit, .. }), "{error}");
    let mut wrong = (*block.block).clone();
    wrong.body.ommers.push(wrong.header.clone());
    let error = chain.verify(&wrong, &[ALICE]).unwrap_err();
    assert!(matches!(error, BlockError::Header { field: HeaderField::OmmersHash, .. }), "{error}");
    let mut wrong = (*block.block).clone();
    wrong.header.extra_data = bytes!("00000000fa00000006");
    assert!(matches!(chain.verify(&wrong, &[ALICE]), Err(BlockError::ExtraData(_))));
    assert!(matches!(chain.verify(&block.block, &[]), Err(BlockError::Senders { .. })));
}

#[test]
fn calls_return_reverts_and_take_overrides() {
    let chain = Chain::l2(Hardfork::Karst, &fee_slots());
    let header = chain.block(&[]).block.header().clone();
    let run = |request: &CallRequest, overrides: &StateOverrides| {
        call(&chain, &header, request, overrides)
    };
    let none = StateOverrides::default();
    let request = CallRequest { from: BOB, to: Some(REVERTS), ..Default::default() };
    let ExecutionResult::Revert { output, .. } = run(&request, &none).unwrap() else {
        panic!("no revert")
    };
    assert_eq!(output, Bytes::from(U256::ONE.to_be_bytes::<32>()));

    // BOB has nothing: gas is free, value is not.
    let send =
        CallRequest { from: BOB, to: Some(ALICE), value: U256::from(1), ..Default::default() };
    assert!(matches!(run(&send, &none), Err(CallError::Invalid(_))));
    let rich = AccountOverride { balance: Some(U256::from(1)), ..Default::default() };
    let rich = StateOverrides::from_iter([(BOB, rich)]);
    assert_eq!(run(&send, &rich).unwrap().tx_gas_used(), 21_000);

    // SLOAD of slot 0, returned as a word, at an address that has no code on the chain.
    let code = AccountOverride {
        code: Some(hex!("60005460005260206000f3").into()),
        state_diff: Some(alloc::vec![(B256::ZERO, B256::with_last_byte(9))]),
        ..Default::default()
    };
    let code = StateOverrides::from_iter([(BOB, code)]);
    let read = CallRequest { to: Some(BOB), ..Default::default() };
    let result = run(&read, &code).unwrap();
    assert_eq!(result.output().unwrap(), &Bytes::from(U256::from(9).to_be_bytes::<32>()));
    assert!(run(&read, &none).unwrap().output().unwrap().is_empty());
    let both = CallRequest { gas_price: Some(1), max_fee_per_gas: Some(1), ..Default::default() };
    assert!(matches!(run(&both, &none), Err(CallError::Request(_))));
}

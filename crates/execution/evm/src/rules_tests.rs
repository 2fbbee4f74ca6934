//! The rules of both layers, each shown on a small chain.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use alloc::string::String;
use alloc::vec::Vec;

use alloy_consensus::{Header, SignableTransaction, Signed, TxEip1559, TxEip4844, TxLegacy};
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_eips::eip4895::Withdrawal;
use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_genesis::Genesis;
use alloy_primitives::{
    Address, B64, B256, Bytes, Signature, TxKind, U256, address, b256, bytes, hex, keccak256,
};
use opal_protocol::predeploys::*;
use opal_protocol::{
    Block, DepositTransaction, Hardfork, PayloadAttributes, SealedBlock, TxEnvelope,
};
use serde_json::{Value, json};

use crate::*;

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
        built
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

#[test]
fn a_deposit_mints_transfers_and_pays_nothing() {
    let chain = Chain::l2(Hardfork::Karst, &[]);
    let tx = deposit(TxKind::Call(ALICE), 5, 3, 50_000);
    let block = chain.block(&[(tx.into(), BOB)]);
    let receipt = &block.receipts[0];
    assert!(receipt.success);
    assert_eq!(receipt.cumulative_gas_used, 21_000);
    assert_eq!((receipt.deposit_nonce, receipt.deposit_receipt_version), (Some(0), Some(1)));
    assert_eq!(balance(&block.state, BOB), U256::from(2));
    assert_eq!(balance(&block.state, ALICE), U256::from(10 * ETHER + 3));
    assert_eq!(nonce(&block.state, BOB), 1);
    for vault in [SEQUENCER_FEE_VAULT, BASE_FEE_VAULT, L1_FEE_VAULT, OPERATOR_FEE_VAULT] {
        assert_eq!(balance(&block.state, vault), U256::ZERO);
    }
}

#[test]
fn a_deposit_that_reverts_or_halts_keeps_its_mint() {
    let chain = Chain::l2(Hardfork::Isthmus, &[]);
    for (to, gas_used) in [(REVERTS, 21_000..30_000), (HALTS, 50_000..50_001)] {
        let block = chain.block(&[(deposit(TxKind::Call(to), 5, 3, 50_000).into(), BOB)]);
        assert!(!block.receipts[0].success);
        assert!(gas_used.contains(&block.receipts[0].cumulative_gas_used), "{to}");
        assert_eq!(balance(&block.state, BOB), U256::from(5));
        assert_eq!(nonce(&block.state, BOB), 1);
    }
}

#[test]
fn an_invalid_deposit_is_included_as_failed_and_uses_its_gas_limit() {
    let chain = Chain::l2(Hardfork::Isthmus, &[]);
    let too_dear = deposit(TxKind::Call(ALICE), 5, 6, 50_000);
    let too_little_gas = deposit(TxKind::Call(ALICE), 5, 0, 20_999);
    let mut long_init_code = deposit(TxKind::Create, 5, 0, 5_000_000);
    long_init_code.input = alloc::vec![0; 49_153].into();
    let mut system = deposit(TxKind::Call(ALICE), 5, 0, 50_000);
    system.is_system_transaction = true;
    for tx in [too_dear, too_little_gas, long_init_code, system] {
        let gas_limit = tx.gas_limit;
        let block = chain.block(&[(tx.into(), BOB)]);
        assert!(!block.receipts[0].success);
        assert_eq!(block.receipts[0].cumulative_gas_used, gas_limit);
        assert_eq!(block.receipts[0].deposit_nonce, Some(0));
        assert_eq!(balance(&block.state, BOB), U256::from(5));
        assert_eq!(nonce(&block.state, BOB), 1);
    }
}

#[test]
fn a_deposit_creates_a_contract_at_the_address_of_its_nonce() {
    let chain = Chain::l2(Hardfork::Jovian, &[]);
    let mut tx = deposit(TxKind::Create, 0, 0, 200_000);
    // Returns one byte of code.
    tx.input = bytes!("600160005360016000f3");
    let mut executor = chain.executor();
    executor.transact(&deposit(TxKind::Call(ALICE), 0, 0, 21_000).into(), BOB).unwrap();
    let outcome = executor.transact(&tx.into(), BOB).unwrap();
    assert_eq!(outcome.created, Some(BOB.create(1)));
    let block = executor.finish().unwrap();
    assert_eq!(block.receipts[1].deposit_nonce, Some(1));
    assert_eq!(nonce(&block.state, BOB), 2);
    assert_eq!(block.state.code(&BOB.create(1)).unwrap(), bytes!("01"));
}

#[test]
fn before_regolith_deposits_are_not_metered() {
    let chain = Chain::l2(Hardfork::Bedrock, &[]);
    let mut system = deposit(TxKind::Call(STORES), 0, 0, 150_000_000);
    system.is_system_transaction = true;
    let user = deposit(TxKind::Call(ALICE), 5, 3, 50_000);
    let block = chain.block(&[(system.into(), BOB), (user.into(), BOB)]);
    assert_eq!(block.receipts[0].cumulative_gas_used, 0);
    assert_eq!(block.receipts[1].cumulative_gas_used, 50_000);
    assert!(
        block.receipts.iter().all(|receipt| receipt.success && receipt.deposit_nonce.is_none())
    );
    // From Regolith on the same deposit is metered, and the nonce stays out of the receipts root.
    let chain = Chain::l2(Hardfork::Regolith, &[]);
    let block = chain.block(&[(deposit(TxKind::Call(ALICE), 5, 3, 50_000).into(), BOB)]);
    assert_eq!(block.receipts[0].cumulative_gas_used, 21_000);
    assert_eq!(block.receipts[0].deposit_nonce, Some(0));
    assert_eq!(block.receipts[0].deposit_receipt_version, None);
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
fn fees_go_to_the_vaults_and_nothing_is_lost() {
    for (fork, operator_fee) in [
        (Hardfork::Holocene, 0_u64),
        (Hardfork::Isthmus, 21_000 * 3 + 77),
        (Hardfork::Jovian, 21_000 * 300_000_000 + 77),
        (Hardfork::Karst, 21_000 * 300_000_000 + 77),
    ] {
        let chain = Chain::l2(fork, &fee_slots());
        let tx = transfer(&chain, 0, 100_000, 1000);
        let block = chain.block(&[(tx.clone(), ALICE)]);
        let base_fee = block.block.header().base_fee_per_gas.unwrap();
        let info = block.l1_fees.unwrap().info(&tx).unwrap();
        // 100 bytes at least, at (16 * 1 gwei * 1,000 + 1 gwei * 2,000) / 1e6 wei each.
        assert!(info.l1_fee >= U256::from(100 * 18_000_000_u64), "{fork}: {}", info.l1_fee);
        assert_eq!(balance(&block.state, L1_FEE_VAULT), info.l1_fee);
        assert_eq!(balance(&block.state, BASE_FEE_VAULT), U256::from(21_000 * base_fee));
        assert_eq!(balance(&block.state, SEQUENCER_FEE_VAULT), U256::from(21_000 * 1_000_000_u64));
        assert_eq!(balance(&block.state, OPERATOR_FEE_VAULT), U256::from(operator_fee));
        let everything = [ALICE, BOB, L1_FEE_VAULT, BASE_FEE_VAULT, MINER, OPERATOR_FEE_VAULT];
        let sum: U256 = everything.into_iter().map(|a| balance(&block.state, a)).sum();
        assert_eq!(sum, U256::from(10 * ETHER), "{fork}");
        assert_eq!(info.operator_fee_scalar.is_some(), fork >= Hardfork::Isthmus);
        assert_eq!(info.da_footprint, (fork >= Hardfork::Jovian).then_some(100 * 400));
    }
}

#[test]
fn the_sender_must_afford_l1_and_operator_fee_of_the_whole_gas_limit() {
    let chain = Chain::l2(Hardfork::Jovian, &fee_slots());
    let tx = transfer(&chain, 0, 30_000, 0);
    let mut executor = chain.executor();
    let fees = executor.finish_fees(&tx);
    let need = U256::from(30_000 * 2_000_000_000_u64) + fees;
    // What is missing is one wei.
    executor = chain.executor();
    let poor = transfer_of_all_but(&chain, need - U256::from(1));
    let error = executor.transact(&poor, ALICE).unwrap_err();
    assert!(
        matches!(error, TxError::Invalid(InvalidTransaction::LackOfFundForMaxFee { .. })),
        "{error}"
    );
    executor.transact(&transfer_of_all_but(&chain, need), ALICE).unwrap();
}

fn transfer_of_all_but(chain: &Chain, kept: U256) -> TxEnvelope {
    let value: u128 = (U256::from(10 * ETHER) - kept).to();
    transfer(chain, 0, 30_000, value)
}

impl BlockExecutor<'_> {
    /// L1 fee and worst-case operator fee of a transaction with 30,000 gas; its size does not
    /// depend on the value, being below the smallest that counts.
    fn finish_fees(self, tx: &TxEnvelope) -> U256 {
        let fees = self.finish().unwrap().l1_fees.unwrap();
        fees.info(tx).unwrap().l1_fee + fees.operator_fee(30_000)
    }
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
fn jovian_limits_and_records_the_da_footprint() {
    let mut slots = fee_slots();
    slots[3].1[18..20].copy_from_slice(&u16::MAX.to_be_bytes());
    let chain = Chain::l2(Hardfork::Jovian, &slots);
    let mut executor = chain.executor();
    let footprint = 100 * u64::from(u16::MAX);
    let mut nonce = 0;
    let error = loop {
        match executor.transact(&transfer(&chain, nonce, 21_000, 1), ALICE) {
            Ok(_) => nonce += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(nonce, 30_000_000 / footprint);
    assert!(error.does_not_fit(), "{error}");
    let block = executor.finish().unwrap();
    assert_eq!(block.block.header().blob_gas_used, Some(nonce * footprint));
    // More than a sixth of the limit: the base fee rises although little gas was used.
    let header = block.block.header();
    assert!(next_base_fee(&chain.spec, header, 4) > header.base_fee_per_gas.unwrap());
}

#[test]
fn l2_headers_follow_the_forks() {
    let header = |fork| {
        let chain = Chain::l2(fork, &[]);
        (chain.block(&[]).block.header().clone(), chain.state)
    };
    let (bedrock, _) = header(Hardfork::Bedrock);
    assert_eq!((bedrock.withdrawals_root, bedrock.blob_gas_used), (None, None));
    let (canyon, _) = header(Hardfork::Canyon);
    assert_eq!(canyon.withdrawals_root, Some(alloy_trie::EMPTY_ROOT_HASH));
    let (ecotone, _) = header(Hardfork::Ecotone);
    assert_eq!((ecotone.excess_blob_gas, ecotone.requests_hash), (Some(0), None));
    assert_eq!(ecotone.extra_data, Bytes::new());
    let (holocene, _) = header(Hardfork::Holocene);
    assert_eq!(holocene.extra_data, bytes!("00000000fa00000006"));
    let (isthmus, state) = header(Hardfork::Isthmus);
    let root = state.storage_root(&L2_TO_L1_MESSAGE_PASSER).unwrap();
    assert_eq!(isthmus.withdrawals_root, Some(root));
    assert_ne!(root, alloy_trie::EMPTY_ROOT_HASH);
    assert_eq!(
        isthmus.requests_hash,
        Some(b256!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))
    );
    let (jovian, _) = header(Hardfork::Jovian);
    assert_eq!(jovian.extra_data, bytes!("01000000fa000000060000000000000000"));
}

#[test]
fn attributes_must_fit_the_fork() {
    let chain = Chain::l2(Hardfork::Isthmus, &[]);
    let good = chain.attributes();
    let parent = chain.head.header();
    let input = |attributes: &PayloadAttributes| {
        BlockInput::from_attributes(&chain.spec, parent, attributes)
    };
    assert!(input(&good).is_ok());
    let missing = PayloadAttributes { eip1559_params: None, ..good.clone() };
    assert_eq!(input(&missing), Err(InputError::Missing("eip1559Params")));
    let unexpected = PayloadAttributes { min_base_fee: Some(1), ..good.clone() };
    assert_eq!(input(&unexpected), Err(InputError::Unexpected("minBaseFee")));
    let no_limit = PayloadAttributes { gas_limit: None, ..good.clone() };
    assert_eq!(input(&no_limit), Err(InputError::Missing("gasLimit")));
    let half = PayloadAttributes { eip1559_params: Some(B64::with_last_byte(1)), ..good.clone() };
    assert!(matches!(input(&half), Err(InputError::Fees(_))));
    let early = PayloadAttributes { timestamp: parent.timestamp, ..good };
    assert!(matches!(input(&early), Err(InputError::Timestamp { .. })));
}

#[test]
fn karst_caps_gas_of_transactions_but_not_of_deposits() {
    let over = 16_777_217;
    let chain = Chain::l2(Hardfork::Karst, &[]);
    let mut executor = chain.executor();
    executor.transact(&deposit(TxKind::Call(ALICE), 0, 0, over).into(), BOB).unwrap();
    let error = executor.transact(&transfer(&chain, 0, over, 1), ALICE).unwrap_err();
    let capped = InvalidTransaction::TxGasLimitGreaterThanCap { gas_limit: over, cap: over - 1 };
    assert_eq!(error, TxError::Invalid(capped));
    let chain = Chain::l2(Hardfork::Jovian, &[]);
    chain.executor().transact(&transfer(&chain, 0, over, 1), ALICE).unwrap();
}

#[test]
fn canyon_deploys_the_create2_deployer_in_its_first_block_only() {
    let mut chain = Chain::l2(Hardfork::Regolith, &[]);
    let Rules::L2(rules) = &mut chain.spec.rules else { unreachable!() };
    rules.schedule.set(Hardfork::Canyon, Some(4));
    let before = chain.block(&[]);
    assert_eq!(before.state.code(&CREATE2_DEPLOYER).unwrap(), Bytes::new());
    chain.advance(before);
    let first = chain.block(&[]);
    let code = first.state.code(&CREATE2_DEPLOYER).unwrap();
    assert_eq!(
        keccak256(&code),
        b256!("b0550b5b431e30d38000efb7107aaa0ade03d48a7198a140edda9d27134468b2")
    );
}

#[test]
fn blob_base_fee_is_one_on_an_op_chain() {
    let chain = Chain::l2(Hardfork::Ecotone, &[]);
    // BLOBBASEFEE, returned as a word.
    let request = CallRequest { data: bytes!("4a60005260206000f3"), ..Default::default() };
    let header = chain.block(&[]).block.header().clone();
    let result =
        call(&chain.spec, &header, &chain.state, &request, &StateOverrides::default(), &no_hashes)
            .unwrap();
    assert_eq!(result.output().unwrap(), &Bytes::from(U256::ONE.to_be_bytes::<32>()));
}

#[test]
fn an_l1_block_carries_blobs_and_prices_them() {
    let mut chain = Chain::l1(&["shanghaiTime", "cancunTime", "pragueTime"]);
    let blobs = |nonce, count: u8| {
        TxEnvelope::Eip4844(sign(TxEip4844 {
            chain_id: 900,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 2_000_000_000,
            to: BOB,
            blob_versioned_hashes: (0..count)
                .map(|n| {
                    let mut hash = B256::repeat_byte(n);
                    hash[0] = 1;
                    hash
                })
                .collect(),
            max_fee_per_blob_gas: 1_000,
            ..Default::default()
        }))
    };
    let mut excess = 0;
    for block in 0..3 {
        let mut executor = chain.executor();
        executor.transact(&blobs(block, 9), ALICE).unwrap();
        let error = executor.transact(&blobs(block + 1, 1), ALICE).unwrap_err();
        assert_eq!(error, TxError::BlobGas { needed: DATA_GAS_PER_BLOB, available: 0 });
        let built = executor.finish().unwrap();
        let header = built.block.header();
        assert_eq!(header.blob_gas_used, Some(9 * DATA_GAS_PER_BLOB));
        assert_eq!(header.excess_blob_gas, Some(excess));
        // Three blobs above the target of six.
        excess += 3 * DATA_GAS_PER_BLOB;
        chain.verify(&built.block.block, &[ALICE]).unwrap();
        chain.advance(built);
    }
    assert_eq!(next_excess_blob_gas(&chain.spec, chain.head.header(), 100), Some(excess));
}

#[test]
fn an_l1_block_makes_its_system_calls_and_withdrawals() {
    let chain = Chain::l1(&["shanghaiTime", "cancunTime", "pragueTime"]);
    let mut attributes = chain.attributes();
    attributes.withdrawals =
        Some(alloc::vec![Withdrawal { index: 0, validator_index: 1, address: BOB, amount: 5 }]);
    let mut executor = chain.begin(&attributes);
    // A withdrawal request: public key of 48 bytes and amount of 8, with a fee of 1 wei.
    let mut request = alloc::vec![0x42; 48];
    request.extend_from_slice(&7_u64.to_be_bytes());
    let tx = TxEnvelope::Eip1559(sign(TxEip1559 {
        chain_id: 900,
        gas_limit: 200_000,
        max_fee_per_gas: 2_000_000_000,
        to: TxKind::Call(eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS),
        value: U256::from(1),
        input: request.into(),
        ..Default::default()
    }));
    assert!(executor.transact(&tx, ALICE).unwrap().success);
    let block = executor.finish().unwrap();
    assert_eq!(balance(&block.state, BOB), U256::from(5_000_000_000_u64));
    assert_eq!(block.requests.len(), 1);
    // Type, sender, public key, amount.
    assert_eq!((block.requests[0][0], block.requests[0].len()), (1, 1 + 20 + 48 + 8));
    assert_eq!(&block.requests[0][1..21], ALICE.as_slice());
    let header = block.block.header();
    assert_eq!(header.requests_hash, Some(crate::requests::hash(&block.requests)));
    // The parent's hash stands in the history contract, the beacon root in its own.
    let history = block.state.storage(&HISTORY_STORAGE, U256::ZERO).unwrap();
    assert_eq!(B256::from(history), chain.head.hash);
    let root = block.state.storage(&BEACON_ROOTS, U256::from(2 + 8191)).unwrap();
    assert_eq!(B256::from(root), B256::repeat_byte(7));
    chain.verify(&block.block.block, &[ALICE]).unwrap();
}

#[test]
fn an_l1_without_its_system_contracts_is_told_so() {
    let config = json!({"chainId": 900, "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0});
    let chain = Chain::new(config, alloc(), "0x");
    let error = chain.executor().finish().unwrap_err();
    assert!(matches!(error, BlockError::SystemContract { .. }), "{error}");
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
        call(&chain.spec, &header, &chain.state, request, overrides, &no_hashes)
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

#[test]
fn a_contract_destroyed_before_cancun_is_gone_and_can_be_paid() {
    // SELFDESTRUCT to the zero address; slot 1 holds a value.
    let doomed = address!("00000000000000000000000000000000000c0de4");
    let mut genesis_alloc = alloc();
    genesis_alloc[doomed.to_string()] = json!({"balance": "0x1", "code": "0x6000ff",
        "storage": {B256::with_last_byte(1).to_string(): B256::with_last_byte(2)}});
    let config = json!({"chainId": 900, "shanghaiTime": 0});
    let chain = Chain::new(config, genesis_alloc, "0x");
    let pay = |nonce, value: u64| {
        let tx = TxLegacy {
            chain_id: Some(900),
            nonce,
            gas_price: 2_000_000_000,
            gas_limit: 100_000,
            to: TxKind::Call(doomed),
            value: U256::from(value),
            ..Default::default()
        };
        (TxEnvelope::Legacy(sign(tx)), ALICE)
    };
    let gone = chain.block(&[pay(0, 0)]);
    assert!(gone.state.account(&doomed).unwrap().is_none());
    let paid = chain.block(&[pay(0, 0), pay(1, 5)]);
    let account = paid.state.account(&doomed).unwrap().unwrap();
    assert_eq!(account.balance, U256::from(5));
    assert_eq!(account.storage_root(), Some(alloy_trie::EMPTY_ROOT_HASH));
    assert_eq!(paid.state.code(&doomed).unwrap(), Bytes::new());
}

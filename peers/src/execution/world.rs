//! A chain made from a seed: its genesis, and transactions of all kinds for its blocks.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip4895::Withdrawal;
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_primitives::{Address, B64, B256, Bytes, Signature, TxKind, U256, hex};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use opal_evm::{ChainSpec, State, genesis};
use opal_protocol::hardfork::TABLE;
use opal_protocol::predeploys::{
    BEACON_ROOTS, HISTORY_STORAGE, L1_BLOCK, L2_TO_L1_MESSAGE_PASSER, SEQUENCER_FEE_VAULT,
};
use opal_protocol::{DepositTransaction, Hardfork, PayloadAttributes, SealedBlock, TxEnvelope};
use serde_json::{Map, Value, json};

use crate::execution::bytecode::{Contracts, Level};
use crate::execution::plain::Plain;
use crate::generate::Rng;

/// Gas limit of the blocks.
pub const GAS_LIMIT: u64 = 30_000_000;
const CHAIN_ID: u64 = 901;
const CONTRACTS: u64 = 8;
const SENDERS: u64 = 4;
/// Who sends the deposits of the system.
pub const DEPOSITOR: Address = Address::repeat_byte(0xde);

/// The rules that a chain is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// An OP chain's.
    L2(Hardfork),
    /// An L1's.
    L1(Level),
}

impl Fork {
    /// The EVM's fork.
    pub fn level(self) -> Level {
        match self {
            Self::L1(level) => level,
            Self::L2(fork) if fork < Hardfork::Canyon => Level::Paris,
            Self::L2(fork) if fork < Hardfork::Ecotone => Level::Shanghai,
            Self::L2(fork) if fork < Hardfork::Isthmus => Level::Cancun,
            Self::L2(fork) if fork < Hardfork::Karst => Level::Prague,
            Self::L2(_) => Level::Osaka,
        }
    }
}

/// All forks that both sides have.
pub fn forks() -> impl Iterator<Item = Fork> {
    let levels = [Level::Paris, Level::Shanghai, Level::Cancun, Level::Prague, Level::Osaka];
    let l2 = TABLE.iter().map(|row| row.fork).filter(|fork| *fork <= Hardfork::Karst);
    l2.map(Fork::L2).chain(levels.map(Fork::L1))
}

/// A chain's beginning, and what is needed to go on with it.
#[derive(Debug)]
pub struct World {
    /// The rules.
    pub spec: ChainSpec,
    /// Its first block.
    pub genesis: SealedBlock,
    /// Our state after it.
    pub state: State,
    /// The peer's.
    pub plain: Plain,
    fork: Fork,
    /// Whether some blocks come before Regolith.
    bedrock: bool,
    rng: Rng,
    pool: Vec<Address>,
    keys: Vec<PrivateKeySigner>,
}

/// `L1Block` stand-in: stores words at slots, six pairs of them.
fn setter() -> Vec<u8> {
    let mut code = Vec::new();
    for pair in 0..6_u16 {
        for at in [pair * 64 + 32, pair * 64] {
            code.push(0x61);
            code.extend_from_slice(&at.to_be_bytes());
            code.push(0x35);
        }
        code.push(0x55);
    }
    code
}

fn words(pairs: &[(u64, U256)]) -> Bytes {
    let mut out = Vec::new();
    for (slot, value) in pairs {
        out.extend_from_slice(&U256::from(*slot).to_be_bytes::<32>());
        out.extend_from_slice(&value.to_be_bytes::<32>());
    }
    out.into()
}

impl World {
    /// A chain with this fork: from the start, or from its fourth block on.
    pub fn new(seed: u64, fork: Fork) -> Self {
        let mut rng = Rng(seed);
        // Blocks come every two seconds.
        let activation = if rng.below(3) == 0 { 8 } else { 0 };
        Self::with(rng, fork, activation, &[])
    }

    /// A chain with this fork from the start and with these contracts; the storage of `L1Block`
    /// and all else is empty.
    pub fn of_contracts(fork: Fork, contracts: &[(Address, Vec<u8>)]) -> Self {
        Self::with(Rng(0), fork, 0, contracts)
    }

    fn with(mut rng: Rng, fork: Fork, activation: u64, contracts: &[(Address, Vec<u8>)]) -> Self {
        let mut config = json!({"chainId": CHAIN_ID});
        let mut time = |key: &str, newest: bool| {
            config[key] = if newest { activation } else { 0 }.into();
        };
        match fork {
            Fork::L1(level) => {
                for (row, key) in [
                    (Level::Shanghai, "shanghaiTime"),
                    (Level::Cancun, "cancunTime"),
                    (Level::Prague, "pragueTime"),
                    (Level::Osaka, "osakaTime"),
                ] {
                    if row <= level {
                        time(key, row == level);
                    }
                }
            }
            Fork::L2(fork) => {
                for row in TABLE.iter().filter(|row| row.fork <= fork) {
                    if let Some(key) = row.genesis_key {
                        time(key, row.fork == fork);
                    }
                }
                config["optimism"] = json!({"eip1559Elasticity": 6, "eip1559Denominator": 50,
                    "eip1559DenominatorCanyon": 250});
            }
        }

        let keys: Vec<_> = (1..=SENDERS)
            .map(|n| PrivateKeySigner::from_bytes(&B256::with_last_byte(n as u8)).unwrap())
            .collect();
        let contract = |n: u64| Address::left_padding_from(&(0x00c0_de00 + n).to_be_bytes());
        let mut pool: Vec<Address> = (0..CONTRACTS).map(contract).collect();
        pool.extend(keys.iter().map(PrivateKeySigner::address));
        pool.extend((0..3).map(|n| Address::repeat_byte(0xe0 + n)));
        pool.extend((1..=0x11).map(Address::with_last_byte));
        pool.push(Address::left_padding_from(&[1, 0]));
        pool.push(SEQUENCER_FEE_VAULT);

        let mut alloc = Map::new();
        let mut plain = Plain::default();
        let mut add =
            |address: Address, nonce: u64, balance: U256, code: &[u8], storage: &[(u64, U256)]| {
                let slots = storage.iter().map(|(slot, value)| (U256::from(*slot), *value));
                plain.insert(address, nonce, balance, code, slots.clone());
                let storage: Map<String, Value> = slots
                    .map(|(slot, value)| (B256::from(slot).to_string(), json!(B256::from(value))))
                    .collect();
                let account = json!({"nonce": U256::from(nonce), "balance": balance,
                "code": hex::encode_prefixed(code), "storage": storage});
                alloc.insert(address.to_string(), account);
            };
        for key in &keys {
            add(key.address(), 0, U256::from(10_u128.pow(24)), &[], &[]);
        }
        for (address, code) in contracts {
            add(*address, 1, U256::ZERO, code, &[]);
        }
        for n in 0..CONTRACTS {
            let level = fork.level();
            let code = Contracts { rng: &mut rng, pool: &pool, level }.runtime();
            let storage: Vec<_> =
                (0..rng.below(4)).map(|slot| (slot, U256::from(1 + rng.below(9)))).collect();
            add(contract(n), 1, U256::from(rng.below(10_000)), &code, &storage);
        }
        match fork {
            Fork::L2(fork) => {
                let fees =
                    if contracts.is_empty() { fee_slots(&mut rng, fork) } else { Vec::new() };
                add(L1_BLOCK, 1, U256::ZERO, &setter(), &fees);
                let code = Contracts { rng: &mut rng, pool: &pool, level: Level::Paris }.runtime();
                add(L2_TO_L1_MESSAGE_PASSER, 1, U256::ZERO, &code, &[(1, U256::ONE)]);
                pool.push(L2_TO_L1_MESSAGE_PASSER);
            }
            Fork::L1(_) => {
                for (address, code) in [
                    (
                        eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
                        &eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_CODE,
                    ),
                    (
                        eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
                        &eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_CODE,
                    ),
                ] {
                    add(address, 1, U256::ZERO, code, &[]);
                }
                pool.push(eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS);
            }
        }
        // A chain may lack the contracts of the system calls: then nothing happens.
        if rng.below(8) != 0 {
            add(BEACON_ROOTS, 1, U256::ZERO, &eip4788::BEACON_ROOTS_CODE, &[]);
            add(HISTORY_STORAGE, 1, U256::ZERO, &eip2935::HISTORY_STORAGE_CODE, &[]);
            pool.extend([BEACON_ROOTS, HISTORY_STORAGE]);
        }

        let extra = match fork {
            Fork::L2(fork)
                if fork > Hardfork::Jovian || fork == Hardfork::Jovian && activation == 0 =>
            {
                "0x01000000fa000000060000000000000000"
            }
            Fork::L2(fork)
                if fork > Hardfork::Holocene || fork == Hardfork::Holocene && activation == 0 =>
            {
                "0x00000000fa00000006"
            }
            _ => "0x",
        };
        let file = json!({
            "config": config, "gasLimit": U256::from(GAS_LIMIT), "difficulty": "0x0",
            "extraData": extra, "alloc": alloc,
        });
        let file = serde_json::from_value(file).unwrap();
        let spec = ChainSpec::from_genesis(&file).unwrap();
        let (genesis, state) = genesis(&spec, &file).unwrap();
        plain.hashes.push(genesis.hash);
        let bedrock = spec.hardfork(0) == Some(Hardfork::Bedrock);
        Self { spec, genesis, state, plain, fork, bedrock, rng, pool, keys }
    }

    /// A sender with much ether and the nonce 0.
    pub fn sender(&self) -> Address {
        self.keys[0].address()
    }

    /// Attributes of the block at this time.
    pub fn attributes(&mut self, timestamp: u64) -> PayloadAttributes {
        let active = |fork| self.spec.is_active(fork, timestamp);
        let withdrawals = self.spec.has_withdrawals(timestamp).then(|| {
            let count = if self.spec.is_l2() { 0 } else { self.rng.below(3) };
            let withdrawal = |index| Withdrawal {
                index,
                validator_index: index,
                address: self.pool[self.rng.below(self.pool.len() as u64) as usize],
                amount: self.rng.below(5),
            };
            (0..count).map(withdrawal).collect()
        });
        PayloadAttributes {
            timestamp,
            prev_randao: self.rng.word(),
            suggested_fee_recipient: SEQUENCER_FEE_VAULT,
            withdrawals,
            parent_beacon_block_root: self.spec.has_beacon_root(timestamp).then(|| self.rng.word()),
            gas_limit: Some(GAS_LIMIT),
            eip1559_params: active(Hardfork::Holocene).then_some(B64::ZERO),
            min_base_fee: active(Hardfork::Jovian).then_some(0),
            ..PayloadAttributes::default()
        }
    }

    /// How many transactions a block gets.
    pub fn transactions(&mut self) -> u64 {
        if self.rng.below(3) == 0 { 1 } else { 1 + self.rng.below(12) }
    }

    /// A created contract, to be called from now on.
    pub fn created(&mut self, address: Address) {
        if self.pool.len() < 60 {
            self.pool.push(address);
        }
    }

    fn known(&mut self) -> Address {
        // The contracts are in front.
        let most = if self.rng.below(3) == 0 { self.pool.len() as u64 } else { CONTRACTS };
        self.pool[self.rng.below(most) as usize]
    }

    fn gas_limit(&mut self) -> u64 {
        match self.rng.below(12) {
            0 => self.rng.below(60_000),
            1 => 21_000,
            2 if !self.bedrock => 10_000_000 + self.rng.below(10_000_000),
            3..=6 => 50_000 + self.rng.below(100_000),
            _ => 300_000 + self.rng.below(1_000_000),
        }
    }

    fn input(&mut self) -> Bytes {
        let words = self.rng.below(5);
        let mut out = Vec::new();
        for _ in 0..words {
            let word = match self.rng.below(4) {
                0 => B256::ZERO,
                1 => self.rng.word(),
                _ => B256::from(U256::from(self.rng.below(1000))),
            };
            out.extend_from_slice(word.as_slice());
        }
        if self.rng.below(20) == 0 {
            let length = self.rng.below(3_000) as usize;
            out.extend(self.rng.bytes(length));
        }
        out.into()
    }

    fn to(&mut self) -> (TxKind, Bytes) {
        if self.rng.below(6) == 0 {
            let level = self.fork.level();
            let code = Contracts { rng: &mut self.rng, pool: &self.pool, level }.init();
            return (TxKind::Create, code.into());
        }
        (TxKind::Call(self.known()), self.input())
    }

    fn value(&mut self) -> U256 {
        match self.rng.below(20) {
            0 => U256::from(self.rng.next()) << 64,
            1..=6 => U256::from(self.rng.below(1_000)),
            _ => U256::ZERO,
        }
    }

    /// The deposit that stands first in an OP block: sometimes it changes the fee parameters.
    pub fn first_deposit(&mut self) -> Option<(TxEnvelope, Address)> {
        let Fork::L2(fork) = self.fork else { return None };
        let mut pairs =
            if self.rng.below(2) == 0 { fee_slots(&mut self.rng, fork) } else { Vec::new() };
        pairs.truncate(6);
        let deposit = DepositTransaction {
            source_hash: self.rng.word(),
            from: DEPOSITOR,
            to: TxKind::Call(L1_BLOCK),
            gas_limit: 1_000_000,
            is_system_transaction: fork == Hardfork::Bedrock,
            input: words(&pairs),
            ..DepositTransaction::default()
        };
        Some((deposit.into(), DEPOSITOR))
    }

    /// Some transaction; `nonce` tells an account's nonce.
    pub fn transaction(
        &mut self,
        base_fee: u64,
        nonce: &mut dyn FnMut(Address) -> u64,
    ) -> (TxEnvelope, Address) {
        let choice = self.rng.below(100);
        match self.fork {
            Fork::L2(_) if choice < 30 => return self.deposit(),
            _ => {}
        }
        let sender = self.keys[self.rng.below(SENDERS) as usize].address();
        let mut nonce_of_tx = nonce(sender);
        if self.rng.below(40) == 0 {
            nonce_of_tx = nonce_of_tx.wrapping_add(1);
        }
        let (to, input) = self.to();
        let value = self.value();
        let gas_limit = self.gas_limit();
        let chain_id = CHAIN_ID;
        let tip = u128::from(self.rng.below(3) * 1_000_000);
        let max_fee = u128::from(base_fee) + u128::from(self.rng.below(3) * 500_000_000);
        let max_fee = if self.rng.below(40) == 0 { max_fee / 2 } else { max_fee };
        let signature = Signature::new(
            U256::from_be_bytes(self.rng.word().0) >> 1,
            U256::from_be_bytes(self.rng.word().0) >> 2,
            self.rng.below(2) == 0,
        );
        let level = self.fork.level();
        let tx = match self.rng.below(10) {
            0 | 1 => TxEnvelope::Legacy(
                TxLegacy {
                    chain_id: (self.rng.below(3) != 0).then_some(chain_id),
                    nonce: nonce_of_tx,
                    gas_price: max_fee,
                    gas_limit,
                    to,
                    value,
                    input,
                }
                .into_signed(signature),
            ),
            2 | 3 => TxEnvelope::Eip2930(
                TxEip2930 {
                    chain_id,
                    nonce: nonce_of_tx,
                    gas_price: max_fee,
                    gas_limit,
                    to,
                    value,
                    access_list: self.access_list(),
                    input,
                }
                .into_signed(signature),
            ),
            4 | 5 if level >= Level::Prague || self.rng.below(10) == 0 => TxEnvelope::Eip7702(
                TxEip7702 {
                    chain_id,
                    nonce: nonce_of_tx,
                    gas_limit: gas_limit + 25_000,
                    max_fee_per_gas: max_fee,
                    max_priority_fee_per_gas: tip,
                    to: to.to().copied().unwrap_or(sender),
                    value,
                    access_list: self.access_list(),
                    authorization_list: self.authorizations(sender, nonce),
                    input,
                }
                .into_signed(signature),
            ),
            6 if matches!(self.fork, Fork::L1(_)) || self.rng.below(10) == 0 => {
                let hashes = (0..self.rng.below(4)).map(|_| {
                    let mut hash = self.rng.word();
                    hash[0] = 1;
                    hash
                });
                TxEnvelope::Eip4844(
                    TxEip4844 {
                        chain_id,
                        nonce: nonce_of_tx,
                        gas_limit,
                        max_fee_per_gas: max_fee,
                        max_priority_fee_per_gas: tip,
                        to: to.to().copied().unwrap_or(sender),
                        value,
                        blob_versioned_hashes: hashes.collect(),
                        max_fee_per_blob_gas: 1_000,
                        access_list: self.access_list(),
                        input,
                    }
                    .into_signed(signature),
                )
            }
            _ => TxEnvelope::Eip1559(
                TxEip1559 {
                    chain_id: if self.rng.below(60) == 0 { 1 } else { chain_id },
                    nonce: nonce_of_tx,
                    gas_limit,
                    max_fee_per_gas: max_fee,
                    max_priority_fee_per_gas: tip,
                    to,
                    value,
                    access_list: self.access_list(),
                    input,
                }
                .into_signed(signature),
            ),
        };
        (tx, sender)
    }

    fn access_list(&mut self) -> AccessList {
        let count = [0, 0, 1, 2][self.rng.below(4) as usize];
        let item = |_| AccessListItem {
            address: self.known(),
            storage_keys: (0..self.rng.below(4)).map(|slot| B256::from(U256::from(slot))).collect(),
        };
        AccessList((0..count).map(item).collect())
    }

    fn authorizations(
        &mut self,
        sender: Address,
        nonce: &mut dyn FnMut(Address) -> u64,
    ) -> Vec<SignedAuthorization> {
        let count = self.rng.below(4);
        let list = (0..count).map(|_| {
            let key = match self.rng.below(4) {
                // A fresh account.
                0 => PrivateKeySigner::from_bytes(&B256::from(U256::from(
                    1_000 + self.rng.below(40),
                ))),
                _ => PrivateKeySigner::from_bytes(&B256::with_last_byte(
                    1 + self.rng.below(SENDERS) as u8,
                )),
            };
            let key = key.unwrap();
            let authority = key.address();
            let mut nonce = nonce(authority) + u64::from(authority == sender);
            if self.rng.below(6) == 0 {
                nonce += 1;
            }
            let address = if self.rng.below(6) == 0 { Address::ZERO } else { self.known() };
            let chain_id = [0, CHAIN_ID, CHAIN_ID, 7][self.rng.below(4) as usize];
            let authorization = Authorization { chain_id: U256::from(chain_id), address, nonce };
            let signature = key.sign_hash_sync(&authorization.signature_hash()).unwrap();
            let signed = authorization.into_signed(signature);
            if self.rng.below(12) == 0 {
                // A signature of nobody, or of somebody else.
                let authorization = signed.strip_signature();
                let s = U256::from_be_bytes(self.rng.word().0);
                return SignedAuthorization::new_unchecked(authorization, 1, U256::ONE, s);
            }
            signed
        });
        list.collect()
    }

    fn deposit(&mut self) -> (TxEnvelope, Address) {
        let (to, input) = self.to();
        let fresh = self.rng.below(3) == 0;
        let from = if fresh {
            Address::repeat_byte(0xd0 + self.rng.below(4) as u8)
        } else {
            self.pool[self.rng.below(self.pool.len() as u64) as usize]
        };
        let mint = if self.rng.below(2) == 0 { u128::from(self.rng.below(2_000)) } else { 0 };
        let mut deposit = DepositTransaction {
            source_hash: self.rng.word(),
            from,
            to,
            mint,
            value: self.value(),
            gas_limit: self.gas_limit(),
            is_system_transaction: self.rng.below(12) == 0,
            input,
        };
        // What the peer does otherwise before Regolith has tests of its own: a deposit of the
        // system that fails, a creation that its sender cannot fund, and one that the block has no
        // gas for (see `gas_limit`).
        if self.fork == Fork::L2(Hardfork::Karst) {
            // The peer holds back what is beyond the cap of transactions, see the tests.
            deposit.gas_limit = deposit.gas_limit.min(1 << 24);
        }
        if self.bedrock {
            if deposit.is_system_transaction {
                deposit.to = TxKind::Call(Address::repeat_byte(0xe1));
                deposit.gas_limit = 100_000;
                deposit.value = U256::ZERO;
            } else if to.is_create() {
                deposit.value = deposit.value.min(U256::from(mint));
            }
        }
        (deposit.into(), from)
    }
}

/// Slots of `L1Block` that the fork's fees are read from; zero now and then.
fn fee_slots(rng: &mut Rng, fork: Hardfork) -> Vec<(u64, U256)> {
    let some = |rng: &mut Rng, limit: u64| {
        if rng.below(4) == 0 { 0 } else { rng.below(limit) }
    };
    let base_fee = U256::from(some(rng, 100_000_000_000));
    if fork < Hardfork::Ecotone {
        return vec![
            (1, base_fee),
            (5, U256::from(some(rng, 3_000))),
            (6, U256::from(some(rng, 1_000_000))),
        ];
    }
    // Never both zero, which the peer takes for parameters that are not set.
    let scalars =
        U256::from(1 + rng.below(1_000_000)) << 96 | U256::from(some(rng, 2_000_000)) << 64;
    let mut slots = vec![
        (1, base_fee),
        (3, scalars),
        (5, U256::from(some(rng, 3_000))),
        (6, U256::from(some(rng, 1_000_000))),
        (7, U256::from(some(rng, 10_000_000_000))),
    ];
    if fork >= Hardfork::Isthmus {
        let footprint = U256::from(some(rng, 0x1_0000)) << 96;
        let operator = U256::from(some(rng, 10_000_000)) << 64 | U256::from(some(rng, 1_000_000));
        slots.push((8, footprint | operator));
    }
    slots
}

//! A chain of which one fork after another activates, built block by block.

use std::path::{Path, PathBuf};

use alloy_consensus::Header;
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_genesis::Genesis as GenesisFile;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_signer_local::PrivateKeySigner;
use opal_derivation::{EpochData, build_attributes};
use opal_evm::L1FeeParams;
use opal_execution::{Chain, ForkchoiceState, LocalEngine};
use opal_governance::{DevAccounts, Intent, TEST_MNEMONIC, genesis_file};
use opal_protocol::config::BaseFeeConfig;
use opal_protocol::predeploys::{GAS_PRICE_ORACLE, L1_BLOCK, L1_FEE_VAULT, OPERATOR_FEE_VAULT};
use opal_protocol::registry::{self, ChainPreset};
use opal_protocol::{
    BlockId, Genesis, Hardfork, HardforkSchedule, L2BlockRef, RollupConfig, SealedBlock,
    SystemConfig, TxEnvelope, l2_block_ref, system_config_of,
};
use opal_service::upgrades::{load_upgrades, require_upgrades};
use serde_json::Value;

use crate::support::transfer;

/// `keccak256("eip1967.proxy.implementation") - 1`.
const IMPLEMENTATION_SLOT: U256 = U256::from_be_bytes(alloy_primitives::hex!(
    "360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"
));
const FIRST: Hardfork = Hardfork::Ecotone;
const LAST: Hardfork = Hardfork::Karst;
const BLOCK_TIME: u64 = 2;

/// A chain, and all that is needed to build its next block.
struct World {
    config: RollupConfig,
    engine: LocalEngine,
    /// The one L1 block whose epoch all blocks are in.
    l1: Header,
    head: SealedBlock,
    parent: L2BlockRef,
    user: PrivateKeySigner,
    nonce: u64,
}

/// What came of an upgrade deposit.
#[derive(Debug)]
struct Upgraded {
    fork: Hardfork,
    intent: String,
    succeeded: bool,
}

impl World {
    /// A chain from this genesis, whose rules are replaced by those of `schedule`.
    fn new(mut file: GenesisFile, schedule: HardforkSchedule, upgrades: &Path) -> Self {
        let user = DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap().users()[0].clone();
        let account = file.alloc.entry(user.address()).or_default();
        account.balance = U256::from(10).pow(U256::from(20));
        // Some chains began with a base fee above what the user offers.
        file.base_fee_per_gas = Some(1_000_000_000);
        let fees = BaseFeeConfig::default();
        genesis_file::set_rules(&mut file.config, &schedule, &fees);
        let engine = LocalEngine::new(Chain::from_genesis(&file).unwrap());
        let head = engine.head();
        let l1 = Header {
            number: 100,
            timestamp: file.timestamp,
            base_fee_per_gas: Some(7_000_000_000),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::repeat_byte(0xbe)),
            ..Header::default()
        };
        let l1_id = BlockId { hash: l1.hash_slow(), number: l1.number };
        let l2_id = BlockId { hash: head.hash, number: head.header().number };
        let mut config = RollupConfig {
            genesis: Genesis {
                l1: l1_id,
                l2: l2_id,
                l2_time: file.timestamp,
                system_config: SystemConfig {
                    batcher_address: Address::repeat_byte(0xba),
                    overhead: B256::with_last_byte(188),
                    scalar: U256::from(684_000).into(),
                    gas_limit: 30_000_000,
                    ..SystemConfig::default()
                },
            },
            block_time: BLOCK_TIME,
            max_sequencer_drift_config: 600,
            seq_window_size: 3600,
            channel_timeout_config: 300,
            l1_chain_id: 900,
            l2_chain_id: file.config.chain_id,
            schedule,
            chain_op_config: fees,
            ..RollupConfig::default()
        };
        load_upgrades(upgrades, &mut config).unwrap();
        require_upgrades(upgrades, &config, file.timestamp).unwrap();
        let parent = l2_block_ref(&config, head.hash, &head.block).unwrap();
        Self { config, engine, l1, head, parent, user, nonce: 0 }
    }

    /// The next block, as a sequencer builds it and any node executes it, with these transactions.
    fn build(&mut self, transactions: &[Bytes]) {
        let system_config =
            system_config_of(&self.config, self.head.hash, &self.head.block).unwrap();
        let epoch = EpochData::new(&self.config, self.l1.hash_slow(), self.l1.clone(), &[]);
        let attributes =
            build_attributes(&self.config, &self.parent, &system_config, &epoch, transactions)
                .unwrap();
        let state = ForkchoiceState { head: self.head.hash, ..ForkchoiceState::default() };
        let id = self.engine.fork_choice_updated(state, Some(attributes)).unwrap().payload_id;
        let block = self.engine.get_payload(id.unwrap()).unwrap().block;
        assert!(self.engine.new_payload(&block).unwrap().is_valid());
        let state = ForkchoiceState { head: block.hash, ..ForkchoiceState::default() };
        assert!(self.engine.fork_choice_updated(state, None).unwrap().status.is_valid());
        self.parent = l2_block_ref(&self.config, block.hash, &block.block).unwrap();
        self.head = block;
    }

    fn next_time(&self) -> u64 {
        self.parent.timestamp + BLOCK_TIME
    }

    fn balance(&self, address: Address) -> U256 {
        let state = self.engine.chain().state_at(&self.head.hash).unwrap();
        state.account(&address).unwrap().map_or(U256::ZERO, |account| account.balance)
    }

    fn slot(&self, address: Address, slot: U256) -> U256 {
        self.engine.chain().state_at(&self.head.hash).unwrap().storage(&address, slot).unwrap()
    }

    fn code_hash(&self, address: Address) -> B256 {
        let state = self.engine.chain().state_at(&self.head.hash).unwrap();
        keccak256(state.code(&address).unwrap())
    }

    /// A block with a user's transaction, whose fees are what the fork's rules say.
    fn user_block(&mut self) {
        let raw = transfer(self.config.l2_chain_id, &self.user, self.nonce);
        self.nonce += 1;
        let before = [L1_FEE_VAULT, OPERATOR_FEE_VAULT].map(|vault| self.balance(vault));
        let raw = Bytes::from(raw);
        self.build(std::slice::from_ref(&raw));
        let receipts = self.engine.chain().receipts(&self.head.hash).unwrap();
        assert!(receipts.iter().all(|receipt| receipt.success), "{}", self.fork());
        assert_eq!(receipts.len(), 2);
        let chain = self.engine.chain();
        let state = chain.state_at(&self.head.hash).unwrap();
        let params = L1FeeParams::read(self.fork(), |slot| state.storage(&L1_BLOCK, slot)).unwrap();
        let fees = params.info(&TxEnvelope::decode_2718_exact(&raw).unwrap()).unwrap();
        let system_config = self.config.genesis.system_config;
        if self.fork() >= Hardfork::Ecotone {
            // Version 0 of the scalar: all of it is the base fee's.
            assert_eq!(fees.l1_base_fee_scalar, Some(684_000), "{}", self.fork());
            assert_eq!(fees.l1_blob_base_fee, Some(U256::from(1)));
        } else {
            assert_eq!(fees.l1_fee_scalar, Some(system_config.scalar.into()));
        }
        assert_eq!(fees.l1_gas_price, U256::from(7_000_000_000_u64));
        assert!(fees.l1_fee > U256::ZERO);
        let paid = self.balance(L1_FEE_VAULT) - before[0];
        assert_eq!(paid, fees.l1_fee, "{}", self.fork());
        assert_eq!(self.balance(OPERATOR_FEE_VAULT), before[1], "no operator fee is set");
    }

    fn fork(&self) -> Hardfork {
        self.config.schedule.at(self.parent.timestamp)
    }

    /// The block that activates forks: its upgrade deposits, and what came of them.
    fn activation_block(&mut self) -> Vec<Upgraded> {
        let (parent_time, time) = (self.parent.timestamp, self.next_time());
        let forks: Vec<_> = self.config.schedule.upgrades_at(parent_time, time).collect();
        let limit_before = self.head.header().gas_limit;
        self.build(&[]);
        let bundles = forks.iter().map(|fork| self.config.upgrade_bundle(*fork).unwrap());
        let expected: Vec<_> = bundles
            .flat_map(|bundle| {
                let of =
                    |(transaction, raw): (&opal_protocol::upgrades::UpgradeTransaction, &Bytes)| {
                        (bundle.fork(), transaction.intent.clone(), raw.clone())
                    };
                bundle.transactions().iter().zip(bundle.deposits()).map(of).collect::<Vec<_>>()
            })
            .collect();
        let transactions = &self.head.block.body.transactions;
        assert_eq!(transactions.len(), 1 + expected.len(), "{forks:?}");
        let extra: u64 = forks.iter().map(|fork| self.config.upgrade_gas(*fork).unwrap()).sum();
        if self.parent.number > 1 {
            assert_eq!(self.head.header().gas_limit, limit_before + extra, "{forks:?}");
        }
        let receipts = self.engine.chain().receipts(&self.head.hash).unwrap();
        assert!(receipts[0].success, "the L1 attributes are set in the old form");
        let rest = expected.into_iter().zip(&transactions[1..]).zip(&receipts[1..]);
        rest.map(|(((fork, intent, raw), transaction), receipt)| {
            assert_eq!(transaction.encoded_2718(), raw, "{fork}: {intent}");
            Upgraded { fork, intent, succeeded: receipt.success }
        })
        .collect()
    }
}

/// One fork every `step` blocks from the third block on.
fn one_after_another(genesis_time: u64, newest: Hardfork, step: u64) -> HardforkSchedule {
    let mut schedule = HardforkSchedule::at_genesis(newest);
    let later = opal_protocol::hardfork::TABLE.iter().map(|row| row.fork);
    let later = later.filter(|fork| *fork > newest && *fork <= LAST);
    for (n, fork) in (0..).zip(later) {
        schedule.set(fork, Some(genesis_time + BLOCK_TIME * (3 + n * step)));
    }
    schedule
}

fn failed(upgraded: &[Upgraded]) -> Vec<&Upgraded> {
    upgraded.iter().filter(|upgraded| !upgraded.succeeded).collect()
}

/// Each address that the published lists give with the hash of the code that is deployed there.
fn deployed(upgrades: &Path, fork: Hardfork) -> Vec<(Address, B256)> {
    let mut codes = Vec::new();
    for path in opal_service::upgrades::files(upgrades).unwrap() {
        let file = std::fs::read(&path).unwrap();
        let json: Value = if path.extension().is_some_and(|end| end == "gz") {
            serde_json::from_reader(flate2::read::GzDecoder::new(&*file)).unwrap()
        } else {
            serde_json::from_slice(&file).unwrap()
        };
        let deposits = json["forks"][fork.name()].as_array().cloned().unwrap_or_default();
        codes.extend(deposits.iter().filter_map(|deposit| {
            let address = deposit["deployed_address"].as_str()?.parse().ok()?;
            Some((address, deposit["deployed_code_hash"].as_str()?.parse().ok()?))
        }));
    }
    codes
}

/// Goes through all forks from the genesis on; what came of the upgrade deposits.
fn activate_all(world: &mut World, upgrades: &Path, users: bool) -> Vec<Upgraded> {
    let mut all = Vec::new();
    while world.fork() < LAST {
        let (parent, time) = (world.parent.timestamp, world.next_time());
        if world.config.schedule.upgrade_at(parent, time).is_some() {
            let upgraded = world.activation_block();
            let fork = world.fork();
            if failed(&upgraded).is_empty() {
                let codes = deployed(upgrades, fork);
                assert!(fork >= Hardfork::Karst || !codes.is_empty(), "{fork}");
                for (address, hash) in codes {
                    assert_eq!(world.code_hash(address), hash, "{fork}: {address}");
                }
            }
            all.extend(upgraded);
        } else if users {
            world.user_block();
        } else {
            world.build(&[]);
        }
    }
    for _ in 0..2 {
        if users { world.user_block() } else { world.build(&[]) }
    }
    all
}

/// A devnet's genesis before Ecotone; forks in consecutive blocks, and with users between them.
pub fn devnet_activates_every_fork(upgrades: &Path) {
    let accounts = DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap();
    let intent = Intent { fork: Hardfork::Delta, ..Intent::devnet(&accounts) };
    let time = 1_800_000_000;
    for (step, users) in [(1, false), (2, true)] {
        let genesis = opal_governance::devnet_genesis(&intent, time).unwrap().l2_genesis;
        let schedule = one_after_another(time, intent.fork, step);
        let mut world = World::new(genesis, schedule, upgrades);
        let before =
            [L1_BLOCK, GAS_PRICE_ORACLE].map(|proxy| world.slot(proxy, IMPLEMENTATION_SLOT));
        let all = activate_all(&mut world, upgrades, users);
        let counts = |fork| all.iter().filter(|upgraded| upgraded.fork == fork).count();
        let forks = [FIRST, Hardfork::Fjord, Hardfork::Isthmus, Hardfork::Jovian, LAST];
        assert_eq!(forks.map(counts), [6, 3, 8, 5, 31]);
        let after =
            [L1_BLOCK, GAS_PRICE_ORACLE].map(|proxy| world.slot(proxy, IMPLEMENTATION_SLOT));
        assert!(before.iter().zip(after).all(|(before, after)| *before != after));
        let limits = (world.head.header().gas_limit, world.config.genesis.system_config.gas_limit);
        assert_eq!(limits.0, limits.1, "the extra gas of Karst's first block is gone");
        every_deposit_succeeds(&all);
    }
}

/// Karst's last transaction gives all predeploys their newest code, and reverts where one has none:
/// a devnet's genesis has them all.
fn every_deposit_succeeds(all: &[Upgraded]) {
    let failed: Vec<_> = failed(all).iter().map(|f| (f.fork, f.intent.as_str())).collect();
    assert_eq!(failed, []);
}

/// A chain may schedule several forks for one block, which then carries the deposits of all.
pub fn all_forks_activate_in_one_block(upgrades: &Path) {
    let accounts = DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap();
    let intent = Intent { fork: Hardfork::Delta, ..Intent::devnet(&accounts) };
    let time = 1_800_000_000;
    let genesis = opal_governance::devnet_genesis(&intent, time).unwrap().l2_genesis;
    let mut world = World::new(genesis, one_after_another(time, intent.fork, 0), upgrades);
    let all = activate_all(&mut world, upgrades, true);
    assert_eq!(all.len(), 6 + 3 + 8 + 5 + 31);
    every_deposit_succeeds(&all);
}

/// Of the public chains whose genesis is here, the first that began with each fork.
pub fn public_chains(genesis: &Path) -> Vec<(&'static ChainPreset, Hardfork, PathBuf)> {
    let mut chains: Vec<(&ChainPreset, Hardfork, PathBuf)> = Vec::new();
    for chain in registry::chains() {
        let newest = chain.schedule().at(chain.l2_time);
        let file = genesis.join(chain.superchain).join(format!("{}.json.zst", chain.name));
        let known = chains.iter().any(|(_, fork, _)| *fork == newest);
        if !known && chain.supported().is_ok() && !chain.is_migrated() && file.is_file() {
            chains.push((chain, newest, file));
        }
    }
    chains
}

/// The genesis of a public chain, which has all predeploys; the forks after its own in turn, with
/// users between them.
pub fn public_chain_activates_every_fork(upgrades: &Path, chain: &ChainPreset, file: &Path) {
    let newest = chain.schedule().at(chain.l2_time);
    let mut config = chain.rollup_config();
    config.schedule = one_after_another(chain.l2_time, newest, 2);
    let file = genesis_file::parse(&genesis_file::read_file(file).unwrap()).unwrap();
    let genesis = file.of_chain(&config).unwrap();
    let mut world = World::new(genesis, config.schedule, upgrades);
    let all = activate_all(&mut world, upgrades, true);
    let later = [FIRST, Hardfork::Fjord, Hardfork::Isthmus, Hardfork::Jovian, LAST];
    let expected: usize = later
        .iter()
        .zip([6, 3, 8, 5, 31])
        .filter(|(fork, _)| **fork > newest)
        .map(|(_, n)| n)
        .sum();
    assert_eq!(all.len(), expected);
    assert!(failed(&all).is_empty(), "{:?}", failed(&all));
}

//! The deployment executed in an EVM in memory: how the embedded L1 comes to have everything in
//! its genesis.

use std::collections::BTreeMap;

use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address};
use revm::context::{BlockEnv, CfgEnv, Context, TxEnv};
use revm::context_interface::result::ExecutionResult;
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::hardfork::SpecId;
use revm::state::{AccountInfo, Bytecode};
use revm::{DatabaseRef, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext};

use crate::steps::{CREATE2_PROXY, Check, Plan, Query, byte_of};

/// Sends the steps of an in-process deployment. Nobody has its key; nothing is left of it.
pub const DEPLOYER: Address = address!("0000000000000000000000000000000000de9107");

/// Gas for each step; below the transaction gas cap of Osaka.
const STEP_GAS: u64 = 16_000_000;

/// Why an in-process deployment failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InProcessError {
    /// A step did not succeed.
    #[error("deployment step \"{step}\" failed: {reason}")]
    Step {
        /// Name of the step.
        step: String,
        /// What the EVM says.
        reason: String,
    },
    /// Something is not as it must be after the last step.
    #[error("after deployment {what} is {found}, not {expected}")]
    Check {
        /// What was looked at.
        what: String,
        /// What it is.
        found: Bytes,
        /// What it must be.
        expected: Bytes,
    },
}

/// A chain state in memory, before its first block.
#[derive(Clone, Debug)]
pub struct GenesisEvm {
    db: CacheDB<EmptyDB>,
    cfg: CfgEnv,
    block: BlockEnv,
}

impl GenesisEvm {
    /// The state of `alloc`, in block 0 at `timestamp`.
    pub fn new(chain_id: u64, timestamp: u64, alloc: &BTreeMap<Address, GenesisAccount>) -> Self {
        let mut db = CacheDB::new(EmptyDB::default());
        for (address, account) in alloc {
            let mut info = AccountInfo::from_balance(account.balance);
            info.nonce = account.nonce.unwrap_or_default();
            if let Some(code) = account.non_empty_code() {
                info = info.with_code(Bytecode::new_legacy(code.clone()));
            }
            db.insert_account_info(*address, info);
            for (slot, value) in account.storage_slots() {
                // An in-memory database without a backing one can't fail.
                let _ = db.insert_account_storage(*address, slot.into(), value);
            }
        }
        let mut cfg = CfgEnv::new_with_spec(SpecId::PRAGUE).with_chain_id(chain_id);
        cfg.disable_nonce_check = true;
        let block = BlockEnv {
            timestamp: U256::from(timestamp),
            gas_limit: u64::MAX,
            prevrandao: Some(B256::ZERO),
            ..BlockEnv::default()
        };
        Self { db, cfg, block }
    }

    /// Executes a call without fees and keeps its effects; a failure leaves no trace.
    ///
    /// # Errors
    /// What the EVM says.
    pub fn execute(
        &mut self,
        from: Address,
        to: Address,
        value: U256,
        data: Bytes,
    ) -> Result<ExecutionResult, String> {
        let tx = self.tx(from, to, value, data);
        let mut evm = Context::mainnet()
            .with_db(&mut self.db)
            .with_cfg(self.cfg.clone())
            .with_block(self.block.clone())
            .build_mainnet();
        let result = evm.transact_one(tx).map_err(|e| e.to_string())?;
        if result.is_success() {
            evm.commit_inner();
        }
        success(result)
    }

    /// Executes a call without fees from the zero address and drops its effects.
    ///
    /// # Errors
    /// What the EVM says.
    pub fn call(&self, to: Address, data: Bytes) -> Result<Bytes, String> {
        self.call_as(Address::ZERO, to, data)
    }

    fn call_as(&self, from: Address, to: Address, data: Bytes) -> Result<Bytes, String> {
        let tx = self.tx(from, to, U256::ZERO, data);
        let mut evm = Context::mainnet()
            .with_db(CacheDB::new(&self.db))
            .with_cfg(self.cfg.clone())
            .with_block(self.block.clone())
            .build_mainnet();
        let result = evm.transact_one(tx).map_err(|e| e.to_string())?;
        success(result).map(|result| result.into_output().unwrap_or_default())
    }

    fn tx(&self, caller: Address, to: Address, value: U256, data: Bytes) -> TxEnv {
        TxEnv {
            caller,
            kind: TxKind::Call(to),
            value,
            data,
            gas_limit: STEP_GAS,
            // Nothing, at genesis.
            gas_price: self.block.basefee.into(),
            chain_id: Some(self.cfg.chain_id),
            ..TxEnv::default()
        }
    }

    /// An account's balance, in wei.
    pub fn balance(&self, address: Address) -> U256 {
        self.db.cache.accounts.get(&address).map_or(U256::ZERO, |account| account.info.balance)
    }

    /// Reads what a check asks for.
    ///
    /// # Errors
    /// If a call fails.
    pub fn query(&self, query: &Query) -> Result<Bytes, String> {
        match query {
            Query::Code(address) => Ok(self
                .db
                .basic_ref(*address)
                .map_err(|e| e.to_string())?
                .and_then(|info| info.code)
                .map(|code| code.original_bytes())
                .unwrap_or_default()),
            Query::Storage(address, slot) => self
                .db
                .storage_ref(*address, (*slot).into())
                .map(|value| Bytes::copy_from_slice(&value.to_be_bytes::<32>()))
                .map_err(|e| e.to_string()),
            Query::StorageByte(address, slot, offset) => self
                .db
                .storage_ref(*address, (*slot).into())
                .map(|value| byte_of(value, *offset))
                .map_err(|e| e.to_string()),
            Query::Call(to, data) => self.call(*to, data.clone()),
        }
    }

    /// The account that init code makes: its code, and what its constructor wrote.
    ///
    /// # Errors
    /// What the EVM says.
    pub fn construct(init_code: &[u8]) -> Result<GenesisAccount, String> {
        let proxy = crate::l1_genesis::contract(crate::l1_genesis::CREATE2_PROXY_CODE);
        let mut evm = Self::new(1, 0, &BTreeMap::from([(CREATE2_PROXY, proxy)]));
        let data = [B256::ZERO.as_slice(), init_code].concat();
        evm.execute(DEPLOYER, CREATE2_PROXY, U256::ZERO, data.into())?;
        let address = CREATE2_PROXY.create2_from_code(B256::ZERO, init_code);
        let account = evm.into_alloc().remove(&address).unwrap_or_default();
        Ok(GenesisAccount { nonce: None, ..account })
    }

    /// Runs all steps of a deployment as `deployer`, and then all of its checks. Returns the gas
    /// that each step's transaction would use.
    ///
    /// # Errors
    /// The first step that fails, or the first check that does not hold.
    pub fn deploy(&mut self, plan: &Plan, deployer: Address) -> Result<Vec<u64>, InProcessError> {
        let mut gas = Vec::new();
        for step in plan.steps() {
            let result = self
                .execute(deployer, step.to, U256::ZERO, step.data.clone())
                .map_err(|reason| InProcessError::Step { step: step.name.clone(), reason })?;
            gas.push(result.tx_gas_used());
        }
        for Check { what, query, expected } in &plan.checks {
            let found = self
                .query(query)
                .map_err(|reason| InProcessError::Step { step: what.clone(), reason })?;
            if found != *expected {
                let (what, expected) = (what.clone(), expected.clone());
                return Err(InProcessError::Check { what, found, expected });
            }
        }
        Ok(gas)
    }

    /// The state as a genesis allocation. Accounts that are empty are left out, and so is the
    /// deployer.
    pub fn into_alloc(self) -> BTreeMap<Address, GenesisAccount> {
        let contracts = self.db.cache.contracts;
        self.db
            .cache
            .accounts
            .into_iter()
            .filter(|(address, account)| *address != DEPLOYER && !account.info.is_empty())
            .map(|(address, account)| {
                let code = account
                    .info
                    .code
                    .or_else(|| contracts.get(&account.info.code_hash).cloned())
                    .map(|code| code.original_bytes())
                    .filter(|code| !code.is_empty());
                let storage: BTreeMap<B256, B256> = account
                    .storage
                    .into_iter()
                    .filter(|(_, value)| !value.is_zero())
                    .map(|(slot, value)| (slot.into(), value.into()))
                    .collect();
                let account = GenesisAccount {
                    nonce: (account.info.nonce != 0).then_some(account.info.nonce),
                    balance: account.info.balance,
                    code,
                    storage: (!storage.is_empty()).then_some(storage),
                    private_key: None,
                };
                (address, account)
            })
            .collect()
    }
}

/// A result that is no success, as an error with the reason that the contract gives.
fn success(result: ExecutionResult) -> Result<ExecutionResult, String> {
    match result {
        ExecutionResult::Success { .. } => Ok(result),
        ExecutionResult::Revert { output, .. } => Err(crate::revert_reason(&output)),
        ExecutionResult::Halt { reason, .. } => Err(format!("{reason:?}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::abi::{IOwnable, ISystemConfigSetup};
    use crate::accounts::{DevAccounts, TEST_MNEMONIC};
    use crate::addresses::Addresses;
    use crate::intent::{Intent, OperatorFee};
    use crate::rollup_config::system_config;
    use crate::steps::{IMPLEMENTATION_SLOT, plan};
    use crate::{l1_genesis, steps};
    use alloy_sol_types::SolCall;
    use opal_protocol::contracts::{IOptimismPortal, ISystemConfig};
    use opal_protocol::{Hardfork, Receipt, SystemConfig, TxType};

    const TIME: u64 = 1_800_000_000;
    const ANCHOR: B256 = B256::repeat_byte(0xa7);

    fn intent() -> Intent {
        Intent::devnet(&DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap())
    }

    fn deployed(intent: &Intent) -> (GenesisEvm, Plan) {
        let plan = plan(intent, DEPLOYER, ANCHOR).unwrap();
        let genesis = l1_genesis::l1_genesis(intent, &plan, TIME).unwrap();
        (GenesisEvm::new(900, TIME, &genesis.alloc), plan)
    }

    fn call<C: SolCall>(evm: &GenesisEvm, to: Address, call: C) -> C::Return {
        C::abi_decode_returns(&evm.call(to, call.abi_encode().into()).unwrap()).unwrap()
    }

    /// The system configuration, read from the contract.
    fn on_chain(evm: &GenesisEvm, at: Address) -> SystemConfig {
        let mut config = SystemConfig {
            batcher_address: Address::from_word(call(evm, at, ISystemConfig::batcherHashCall {})),
            overhead: call(evm, at, ISystemConfigSetup::overheadCall {}).into(),
            scalar: call(evm, at, ISystemConfigSetup::scalarCall {}).into(),
            gas_limit: call(evm, at, ISystemConfig::gasLimitCall {}),
            min_base_fee: call(evm, at, ISystemConfig::minBaseFeeCall {}),
            da_footprint_gas_scalar: call(evm, at, ISystemConfig::daFootprintGasScalarCall {}),
            ..SystemConfig::default()
        };
        let denominator = call(evm, at, ISystemConfig::eip1559DenominatorCall {});
        let elasticity = call(evm, at, ISystemConfig::eip1559ElasticityCall {});
        config.eip1559_params[..4].copy_from_slice(&denominator.to_be_bytes());
        config.eip1559_params[4..].copy_from_slice(&elasticity.to_be_bytes());
        config.set_operator_fee(
            call(evm, at, ISystemConfig::operatorFeeScalarCall {}),
            call(evm, at, ISystemConfig::operatorFeeConstantCall {}),
        );
        config
    }

    #[test]
    fn the_genesis_system_config_is_what_the_contract_says() {
        let plain = intent();
        let full = Intent {
            gas_limit: 45_000_000,
            operator_fee: OperatorFee { scalar: 0, constant: 7 },
            min_base_fee: 1_000_000,
            da_footprint_gas_scalar: 500,
            ..intent()
        };
        let scaled = Intent { operator_fee: OperatorFee { scalar: 3, constant: 0 }, ..intent() };
        let old = Intent { fork: Hardfork::Delta, ..intent() };
        for intent in [plain, full, scaled, old] {
            let (evm, plan) = deployed(&intent);
            let at = plan.addresses.system_config_proxy;
            assert_eq!(on_chain(&evm, at), system_config(&intent));
            let signer = call(&evm, at, ISystemConfig::unsafeBlockSignerCall {});
            assert_eq!(signer, intent.roles.unsafe_block_signer);
            let owner = call(&evm, at, IOwnable::ownerCall {});
            assert_eq!(owner, intent.roles.system_config_owner);
        }
    }

    #[test]
    fn the_alloc_holds_the_proxies_and_no_trace_of_the_deployer() {
        let intent = intent();
        let plan = plan(&intent, DEPLOYER, ANCHOR).unwrap();
        let genesis = l1_genesis::l1_genesis(&intent, &plan, TIME).unwrap();
        assert!(!genesis.alloc.contains_key(&DEPLOYER));
        let addresses = plan.addresses;
        for (proxy, implementation) in [
            (addresses.system_config_proxy, addresses.system_config_impl),
            (addresses.optimism_portal_proxy, addresses.optimism_portal_impl),
            (addresses.anchor_state_registry_proxy, addresses.anchor_state_registry_impl),
        ] {
            let storage = genesis.alloc[&proxy].storage.as_ref().unwrap();
            assert_eq!(storage[&IMPLEMENTATION_SLOT], implementation.into_word());
            assert_eq!(storage[&steps::ADMIN_SLOT], addresses.proxy_admin.into_word());
            assert_eq!(genesis.alloc[&proxy].nonce, Some(1));
        }
        // Everything of the base allocation is still there, unchanged.
        for (address, balance) in &intent.embedded_l1.balances {
            assert_eq!(genesis.alloc[address].balance, *balance);
        }
        // One, and one more for each creation.
        let creations = plan.steps().filter(|step| step.to == steps::CREATE2_PROXY).count() as u64;
        assert_eq!(genesis.alloc[&steps::CREATE2_PROXY].nonce, Some(1 + creations));
        for (name, address) in addresses.named() {
            assert!(genesis.alloc[&address].code.is_some(), "{name}");
        }
        // What L2 begins with can be withdrawn.
        let covered: U256 = intent.l2_balances.values().sum();
        assert_eq!(genesis.alloc[&addresses.optimism_portal_proxy].balance, covered);
        // Each step's own mark is there, so that a second deployment would skip all of them.
        let evm = GenesisEvm::new(900, TIME, &genesis.alloc);
        for step in plan.steps() {
            assert_eq!(evm.query(&step.done.query).unwrap(), step.done.expected, "{}", step.name);
        }
    }

    #[test]
    fn steps_of_a_wave_do_not_depend_on_each_other() {
        let intent = Intent {
            eth_lockbox: true,
            operator_fee: OperatorFee { scalar: 1, constant: 2 },
            min_base_fee: 1,
            ..intent()
        };
        let plan = plan(&intent, DEPLOYER, ANCHOR).unwrap();
        let mut alloc = BTreeMap::new();
        alloc.insert(CREATE2_PROXY, l1_genesis::contract(l1_genesis::CREATE2_PROXY_CODE));
        let mut evm = GenesisEvm::new(900, TIME, &alloc);
        let steps: Vec<_> = plan.steps().collect();
        assert!(steps.is_sorted_by_key(|step| step.wave));
        for wave in steps.chunk_by(|a, b| a.wave == b.wave) {
            // Each one on the state before the wave, as its gas is estimated, and in another order.
            for step in wave {
                evm.call_as(DEPLOYER, step.to, step.data.clone()).unwrap();
            }
            for step in wave.iter().rev() {
                evm.execute(DEPLOYER, step.to, U256::ZERO, step.data.clone()).unwrap();
            }
        }
        for Check { what, query, expected } in &plan.checks {
            assert_eq!(evm.query(query).unwrap(), *expected, "{what}");
        }
    }

    /// Proxies and implementations by name, with the version that is initialized there.
    fn initialized<'a>(evm: &GenesisEvm, plan: &'a Plan, of: &str) -> BTreeMap<&'a str, u8> {
        let checks = plan.checks.iter().filter(|check| check.what.ends_with(of));
        checks
            .filter_map(|check| {
                let name = check.what.strip_prefix("initialized version of ")?;
                Some((name.strip_suffix(of)?, evm.query(&check.query).unwrap()[0]))
            })
            .collect()
    }

    #[test]
    fn nothing_can_be_initialized_by_others_at_any_time() {
        let intent = Intent { eth_lockbox: true, ..intent() };
        let plan = plan(&intent, DEPLOYER, ANCHOR).unwrap();
        let mut alloc = BTreeMap::new();
        alloc.insert(CREATE2_PROXY, l1_genesis::contract(l1_genesis::CREATE2_PROXY_CODE));
        let mut evm = GenesisEvm::new(900, TIME, &alloc);
        let implementations = plan.checks.iter().filter_map(|check| {
            let name = check.what.strip_prefix("implementation of ")?.strip_suffix("Proxy")?;
            Some((name, check))
        });
        let implementations: BTreeMap<_, _> = implementations.collect();
        assert_eq!(implementations.len(), 12);
        for step in plan.steps() {
            evm.execute(DEPLOYER, step.to, U256::ZERO, step.data.clone()).unwrap();
            // A proxy gets its code and its owner in one step.
            for (name, version) in initialized(&evm, &plan, "Proxy") {
                let check = implementations[name];
                let has_code = evm.query(&check.query).is_ok_and(|found| found == check.expected);
                assert_eq!(has_code, version > 0, "{name} after {}", step.name);
            }
        }
        let locked = initialized(&evm, &plan, "Impl");
        assert!(locked.len() == 12 && locked.values().all(|version| *version == 255), "{locked:?}");
    }

    #[test]
    fn an_open_initializer_is_found() {
        alloy_sol_types::sol! {
            function upgrade(address proxy, address implementation) external;
        }
        let intent = intent();
        let mut plan = plan(&intent, DEPLOYER, ANCHOR).unwrap();
        let addresses = plan.addresses;
        let (proxy, implementation) =
            (addresses.protocol_versions_proxy, addresses.protocol_versions_impl);
        let steps = &mut plan.after_start;
        let step = steps.iter_mut().find(|step| step.name == "initialize ProtocolVersions");
        step.unwrap().data = upgradeCall { proxy, implementation }.abi_encode().into();
        let mut alloc = BTreeMap::new();
        alloc.insert(CREATE2_PROXY, l1_genesis::contract(l1_genesis::CREATE2_PROXY_CODE));
        let error = GenesisEvm::new(900, TIME, &alloc).deploy(&plan, DEPLOYER).unwrap_err();
        let InProcessError::Check { what, found, expected } = error else { panic!("{error}") };
        assert_eq!(what, "initialized version of ProtocolVersionsProxy");
        assert_eq!((found[0], expected[0]), (0, 1));
    }

    #[test]
    fn the_ether_can_lie_in_a_lockbox() {
        let intent = Intent { eth_lockbox: true, ..intent() };
        let (mut evm, plan) = deployed(&intent);
        let Addresses { optimism_portal_proxy: portal, eth_lockbox_proxy: lockbox, .. } =
            plan.addresses;
        let before = evm.balance(lockbox);
        assert_eq!(before, intent.l2_balances.values().sum::<U256>());
        let user = *intent.embedded_l1.balances.keys().next().unwrap();
        evm.execute(user, portal, U256::from(8), Bytes::new()).unwrap();
        assert_eq!(evm.balance(lockbox), before + U256::from(8));
        assert!(evm.balance(portal).is_zero());
    }

    #[test]
    fn the_proposer_proposes_and_nobody_else_does() {
        alloy_sol_types::sol! {
            function create(uint32 gameType, bytes32 rootClaim, bytes extraData) external payable;
        }
        let intent = intent();
        let (mut evm, plan) = deployed(&intent);
        // The game takes the hash of the block before.
        evm.block.number = U256::from(1);
        let claim = createCall {
            gameType: steps::PERMISSIONED_GAME,
            rootClaim: B256::repeat_byte(1),
            extraData: U256::from(7).to_be_bytes::<32>().into(),
        };
        let bond = intent.dispute_game.init_bond;
        let factory = plan.addresses.dispute_game_factory_proxy;
        let mut propose =
            |from| evm.execute(from, factory, bond, claim.abi_encode().into()).map(drop);
        assert!(propose(intent.roles.challenger).is_err());
        propose(intent.roles.proposer).unwrap();
        assert_eq!(evm.balance(plan.addresses.delayed_weth_proxy), bond);
    }

    #[test]
    fn every_step_fits_into_a_transaction() {
        let intent = Intent {
            eth_lockbox: true,
            operator_fee: OperatorFee { scalar: 1, constant: 2 },
            min_base_fee: 1,
            da_footprint_gas_scalar: 1,
            ..intent()
        };
        let crate::Rehearsal { plan, gas } = crate::rehearse(&intent, DEPLOYER).unwrap();
        assert_eq!(gas.len(), plan.steps().count());
        for (step, gas) in plan.steps().zip(gas) {
            // With the margin that transactions have, below the cap of EIP-7825.
            assert!(gas > 21_000 && gas + gas / 5 < 1 << 24, "{}: {gas}", step.name);
        }
    }

    #[test]
    fn a_deposit_at_the_portal_is_one_that_derivation_reads() {
        let (mut evm, plan) = deployed(&intent());
        let user = *intent().embedded_l1.balances.keys().next().unwrap();
        let deposit = IOptimismPortal::depositTransactionCall {
            _to: Address::repeat_byte(0x77),
            _value: U256::from(3),
            _gasLimit: 100_000,
            _isCreation: false,
            _data: Bytes::from_static(&[1, 2, 3]),
        };
        let portal = plan.addresses.optimism_portal_proxy;
        let result = evm.execute(user, portal, U256::from(5), deposit.abi_encode().into()).unwrap();
        let receipt = Receipt {
            tx_type: TxType::Eip1559,
            success: true,
            cumulative_gas_used: 0,
            logs: result.into_logs(),
            deposit_nonce: None,
            deposit_receipt_version: None,
        };
        let block_hash = B256::repeat_byte(9);
        let deposits =
            opal_protocol::deposit::deposits_of_block(&[receipt], portal, block_hash).unwrap();
        let [deposit] = deposits.as_slice() else { panic!("{deposits:?}") };
        assert_eq!(deposit.from, user);
        assert_eq!(deposit.to, TxKind::Call(Address::repeat_byte(0x77)));
        assert_eq!((deposit.value, deposit.gas_limit), (U256::from(3), 100_000));
        assert_eq!(deposit.mint, 5);
        assert_eq!(deposit.input, Bytes::from_static(&[1, 2, 3]));

        // A plain transfer deposits too.
        let result = evm.execute(user, portal, U256::from(8), Bytes::new()).unwrap();
        assert_eq!(result.logs().len(), 1);
    }

    /// Why an estimate of a deposit's gas needs a margin: the portal burns what the L2 gas costs
    /// at L1's base fee, above one gwei.
    #[test]
    fn a_deposit_takes_more_gas_when_the_l1_base_fee_falls() {
        let (mut evm, plan) = deployed(&intent());
        let user = *intent().embedded_l1.balances.keys().next().unwrap();
        let deposit = IOptimismPortal::depositTransactionCall {
            _to: Address::ZERO,
            _value: U256::ZERO,
            _gasLimit: 1_000_000,
            _isCreation: true,
            _data: Bytes::from_static(&[0]),
        };
        let portal = plan.addresses.optimism_portal_proxy;
        let mut gas_at = |base_fee| {
            evm.block.basefee = base_fee;
            let data = deposit.abi_encode().into();
            evm.execute(user, portal, U256::ZERO, data).unwrap().tx_gas_used()
        };
        gas_at(1_000_000_000);
        // An empty block lowers the base fee by an eighth.
        let [before, after, floor, below] =
            [1_280_000_000, 1_120_000_000, 1_000_000_000, 875_000_000].map(&mut gas_at);
        assert!(before + before / 10 < after, "{before} {after}");
        assert!(after < floor && floor == below, "{after} {floor} {below}");
        // The margin that the clients' scripts take.
        assert!(floor < before + before / 2);
    }

    #[test]
    fn a_failing_step_is_named_with_the_contracts_reason() {
        let mut intent = intent();
        // Checked intents never come here; the contract refuses by itself.
        intent.gas_limit = 1;
        let plan = plan(&intent, DEPLOYER, ANCHOR).unwrap();
        let error = l1_genesis::l1_genesis(&intent, &plan, TIME).unwrap_err();
        let InProcessError::Step { step, reason } = error else { panic!("{error}") };
        assert_eq!(step, "initialize SystemConfig");
        assert!(reason.contains("delegatecall"), "{reason}");
    }

    #[test]
    fn a_check_that_does_not_hold_is_an_error() {
        let intent = intent();
        let mut plan = plan(&intent, DEPLOYER, ANCHOR).unwrap();
        let check = plan.checks.iter_mut().find(|c| c.what == "SystemConfig.gasLimit").unwrap();
        check.expected = Bytes::from_static(&[0; 32]);
        let error = l1_genesis::l1_genesis(&intent, &plan, TIME).unwrap_err();
        let InProcessError::Check { what, .. } = error else { panic!("{error}") };
        assert_eq!(what, "SystemConfig.gasLimit");
    }
}

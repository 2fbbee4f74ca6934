//! Genesis of the L2, in geth's format with the `optimism` section, so that op-geth and op-reth
//! read it too.

mod predeploys;

use std::collections::BTreeMap;

use alloy_eips::{eip2935, eip4788};
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, Bytes};
use opal_protocol::predeploys::{CREATE2_DEPLOYER, GAS_PRICE_ORACLE, SEQUENCER_FEE_VAULT};
use opal_protocol::{Hardfork, HardforkSchedule};
use serde_json::json;

use crate::GovernanceError;
use crate::addresses::Addresses;
use crate::artifacts::ArtifactError;
use crate::genesis_file::set_rules;
use crate::intent::Intent;
use crate::l1_genesis::{CREATE2_PROXY_CODE, INITIAL_BASE_FEE, contract, fund, merged_config};
use crate::steps::CREATE2_PROXY;

/// Builds the genesis. It depends on the intent, the time, L1's chain id and the addresses of the
/// L1 contracts that talk to those of L2: nothing else of L1 is in it.
///
/// # Errors
/// If an embedded artifact is damaged, or a predeploy refuses what the intent wants of it.
pub fn l2_genesis(
    intent: &Intent,
    addresses: &Addresses,
    l1_chain_id: u64,
    timestamp: u64,
) -> Result<Genesis, GovernanceError> {
    let schedule = intent.schedule(timestamp);
    let is_active = |fork| schedule.is_active(fork, timestamp);
    let mut alloc = predeploys::predeploys(intent, addresses, l1_chain_id)?;
    fork_contracts(&mut alloc, &schedule, timestamp)?;
    alloc.insert(CREATE2_PROXY, contract(CREATE2_PROXY_CODE));
    fund(&mut alloc, &intent.l2_balances);
    set_slot(&mut alloc, GAS_PRICE_ORACLE, B256::ZERO, fee_oracle_flags(&schedule, timestamp));

    let ecotone = is_active(Hardfork::Ecotone);
    Ok(Genesis {
        config: config(intent, &schedule),
        timestamp,
        extra_data: extra_data(intent, &schedule, timestamp),
        gas_limit: intent.gas_limit,
        coinbase: SEQUENCER_FEE_VAULT,
        alloc,
        base_fee_per_gas: Some(INITIAL_BASE_FEE),
        excess_blob_gas: ecotone.then_some(0),
        blob_gas_used: ecotone.then_some(0),
        number: Some(0),
        ..Genesis::default()
    })
}

/// Contracts that a fork's activation would have put in place, had there been blocks before it.
fn fork_contracts(
    alloc: &mut BTreeMap<Address, GenesisAccount>,
    schedule: &HardforkSchedule,
    timestamp: u64,
) -> Result<(), ArtifactError> {
    if schedule.is_active(Hardfork::Canyon, timestamp) {
        let code: Bytes = opal_evm::CREATE2_DEPLOYER_CODE.trim().parse().map_err(|e| {
            ArtifactError::Json { contract: "Create2Deployer", reason: format!("{e}") }
        })?;
        alloc.insert(CREATE2_DEPLOYER, contract(code));
    }
    if schedule.is_active(Hardfork::Ecotone, timestamp) {
        let code = eip4788::BEACON_ROOTS_CODE.clone();
        alloc.insert(eip4788::BEACON_ROOTS_ADDRESS, contract(code));
    }
    if schedule.is_active(Hardfork::Isthmus, timestamp) {
        let code = eip2935::HISTORY_STORAGE_CODE.clone();
        alloc.insert(eip2935::HISTORY_STORAGE_ADDRESS, contract(code));
    }
    Ok(())
}

/// The GasPriceOracle's first slot: one flag in each of the lowest bytes.
fn fee_oracle_flags(schedule: &HardforkSchedule, timestamp: u64) -> B256 {
    let mut slot = B256::ZERO;
    let forks = [Hardfork::Ecotone, Hardfork::Fjord, Hardfork::Isthmus, Hardfork::Jovian];
    for (byte, fork) in slot.iter_mut().rev().zip(forks) {
        *byte = schedule.is_active(fork, timestamp).into();
    }
    slot
}

fn set_slot(
    alloc: &mut BTreeMap<Address, GenesisAccount>,
    address: Address,
    slot: B256,
    value: B256,
) {
    if !value.is_zero() {
        let account = alloc.entry(address).or_default();
        account.storage.get_or_insert_default().insert(slot, value);
    }
}

/// The EIP-1559 parameters that the first block reads from its parent. Holocene: version 0,
/// denominator, elasticity; Jovian: version 1 and the minimum base fee after them.
fn extra_data(intent: &Intent, schedule: &HardforkSchedule, timestamp: u64) -> Bytes {
    if !schedule.is_active(Hardfork::Holocene, timestamp) {
        return Bytes::new();
    }
    let jovian = schedule.is_active(Hardfork::Jovian, timestamp);
    let mut data = vec![u8::from(jovian)];
    // `Intent::check` bounds both to 32 bits.
    for value in [intent.eip1559.denominator_canyon, intent.eip1559.elasticity] {
        data.extend_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes());
    }
    if jovian {
        data.extend_from_slice(&intent.min_base_fee.to_be_bytes());
    }
    data.into()
}

/// The `config` section.
fn config(intent: &Intent, schedule: &HardforkSchedule) -> ChainConfig {
    let mut config = merged_config(intent.l2_chain_id);
    config.extra_fields.insert("bedrockBlock".to_owned(), json!(0));
    set_rules(&mut config, schedule, &intent.eip1559);
    config
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::predeploys::{IMPLEMENTED, NOT_PROXIED, PREDEPLOYS};
    use super::*;
    use crate::abi::{
        IBridge, IERC721FactorySetup, IFactorySetup, IFeeVaultSetup, IL2Setup, IMessenger,
        IOwnable, IProxyAdmin,
    };
    use crate::accounts::{DevAccounts, TEST_MNEMONIC};
    use crate::artifacts::Contract;
    use crate::in_process::{DEPLOYER, GenesisEvm};
    use crate::steps::{ADMIN_SLOT, IMPLEMENTATION_SLOT};
    use alloy_primitives::{U256, address};
    use alloy_sol_types::{SolCall, SolEvent};
    use opal_protocol::BlockId;
    use opal_protocol::config::BaseFeeConfig;
    use opal_protocol::contracts::{IGasPriceOracle, IL1Block, IL2ToL1MessagePasser};
    use opal_protocol::l1_info::{L1BlockInfo, L1InfoForm};
    use opal_protocol::predeploys::{
        BASE_FEE_VAULT, L1_BLOCK, L1_FEE_VAULT, L1_INFO_DEPOSITOR, L2_CROSS_DOMAIN_MESSENGER,
        L2_ERC721_BRIDGE, L2_STANDARD_BRIDGE, L2_TO_L1_MESSAGE_PASSER, OPERATOR_FEE_VAULT,
        OPTIMISM_MINTABLE_ERC20_FACTORY, OPTIMISM_MINTABLE_ERC721_FACTORY, PROXY_ADMIN,
        implementation_of, predeploy,
    };

    const TIME: u64 = 1_800_000_000;

    fn intent(fork: Hardfork) -> Intent {
        let accounts = DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap();
        Intent { fork, ..Intent::devnet(&accounts) }
    }

    fn addresses(intent: &Intent) -> Addresses {
        crate::steps::addresses(intent, DEPLOYER).unwrap()
    }

    fn build(intent: &Intent) -> Genesis {
        l2_genesis(intent, &addresses(intent), 900, TIME).unwrap()
    }

    fn call<C: SolCall>(evm: &GenesisEvm, to: Address, call: C) -> C::Return {
        C::abi_decode_returns(&evm.call(to, call.abi_encode().into()).unwrap()).unwrap()
    }

    #[test]
    fn the_whole_namespace_is_proxied() {
        let intent = intent(Hardfork::Karst);
        let genesis = build(&intent);
        let proxy = Contract::Proxy.artifact().unwrap().runtime_code(&[]).unwrap();
        let implemented: Vec<_> = IMPLEMENTED.iter().map(|(address, _)| *address).collect();
        for index in 0..PREDEPLOYS {
            let address = predeploy(index);
            if NOT_PROXIED.contains(&address) {
                assert_eq!(genesis.alloc.contains_key(&address), implemented.contains(&address));
                continue;
            }
            let account = &genesis.alloc[&address];
            assert_eq!(account.code.as_ref(), Some(&proxy));
            let storage = account.storage.as_ref().unwrap();
            assert_eq!(storage[&ADMIN_SLOT], PROXY_ADMIN.into_word());
            let implementation =
                implemented.contains(&address).then(|| implementation_of(address).into_word());
            assert_eq!(storage.get(&IMPLEMENTATION_SLOT), implementation.as_ref());
        }
        assert!(!genesis.alloc.contains_key(&predeploy(PREDEPLOYS)));

        let evm = GenesisEvm::new(901, TIME, &genesis.alloc);
        for address in implemented.into_iter().filter(|address| !NOT_PROXIED.contains(address)) {
            let admin = call(&evm, PROXY_ADMIN, IProxyAdmin::getProxyAdminCall { proxy: address });
            let get = IProxyAdmin::getProxyImplementationCall { proxy: address };
            assert_eq!(admin, PROXY_ADMIN);
            assert_eq!(call(&evm, PROXY_ADMIN, get), implementation_of(address));
        }
        let owner = call(&evm, PROXY_ADMIN, IOwnable::ownerCall {});
        assert_eq!(owner, intent.roles.l2_proxy_admin_owner);
        // Of the account that set them up nothing is left.
        assert!(!genesis.alloc.contains_key(&DEPLOYER));
    }

    #[test]
    fn what_talks_to_l1_knows_whom() {
        let intent = intent(Hardfork::Karst);
        let genesis = build(&intent);
        let mut evm = GenesisEvm::new(901, TIME, &genesis.alloc);
        for (bridge, other) in [
            (L2_STANDARD_BRIDGE, addresses(&intent).l1_standard_bridge_proxy),
            (L2_ERC721_BRIDGE, addresses(&intent).l1_erc721_bridge_proxy),
        ] {
            assert_eq!(call(&evm, bridge, IBridge::otherBridgeCall {}), other);
        }
        for (factory, bridge) in [
            (OPTIMISM_MINTABLE_ERC20_FACTORY, L2_STANDARD_BRIDGE),
            (OPTIMISM_MINTABLE_ERC721_FACTORY, L2_ERC721_BRIDGE),
        ] {
            assert_eq!(call(&evm, factory, IFactorySetup::bridgeCall {}), bridge);
        }
        let l1 = IERC721FactorySetup::remoteChainIDCall {};
        assert_eq!(call(&evm, OPTIMISM_MINTABLE_ERC721_FACTORY, l1), U256::from(900));
        for vault in [SEQUENCER_FEE_VAULT, BASE_FEE_VAULT, L1_FEE_VAULT, OPERATOR_FEE_VAULT] {
            let recipient = call(&evm, vault, IFeeVaultSetup::recipientCall {});
            assert_eq!(recipient, intent.roles.system_config_owner);
            assert_eq!(call(&evm, vault, IFeeVaultSetup::withdrawalNetworkCall {}), 1);
        }
        let to = L2_CROSS_DOMAIN_MESSENGER;
        let other = call(&evm, to, IMessenger::otherMessengerCall {});
        assert_eq!(other, addresses(&intent).l1_cross_domain_messenger_proxy);
        // Neither the proxy nor the code behind it can be set up again.
        let again = IL2Setup::initializeCall { other }.abi_encode();
        for to in [to, implementation_of(to)] {
            let owner = intent.roles.l2_proxy_admin_owner;
            let error = evm.execute(owner, to, U256::ZERO, again.clone().into()).unwrap_err();
            assert!(!error.is_empty());
        }
    }

    #[test]
    fn predeploys_answer_through_their_proxies() {
        let genesis = build(&intent(Hardfork::Karst));
        let mut evm = GenesisEvm::new(901, TIME, &genesis.alloc);

        let info = L1BlockInfo {
            form: L1InfoForm::Jovian,
            number: 7,
            timestamp: TIME,
            base_fee: U256::from(5),
            base_fee_scalar: 1368,
            operator_fee_constant: 99,
            ..L1BlockInfo::default()
        };
        evm.execute(L1_INFO_DEPOSITOR, L1_BLOCK, U256::ZERO, info.encode()).unwrap();
        assert_eq!(call(&evm, L1_BLOCK, IL1Block::numberCall {}), 7);
        assert_eq!(call(&evm, L1_BLOCK, IL1Block::operatorFeeConstantCall {}), 99);
        assert_eq!(call(&evm, GAS_PRICE_ORACLE, IGasPriceOracle::baseFeeScalarCall {}), 1368);
        assert_eq!(call(&evm, GAS_PRICE_ORACLE, IGasPriceOracle::l1BaseFeeCall {}), U256::from(5));

        let user = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        let withdrawal = IL2ToL1MessagePasser::initiateWithdrawalCall {
            _target: user,
            _gasLimit: U256::from(100_000),
            _data: Bytes::new(),
        };
        let to = L2_TO_L1_MESSAGE_PASSER;
        let result = evm.execute(user, to, U256::from(9), withdrawal.abi_encode().into()).unwrap();
        let [log] = result.logs() else { panic!("{result:?}") };
        assert_eq!(log.address, to);
        let event = IL2ToL1MessagePasser::MessagePassed::decode_log(log).unwrap();
        assert_eq!((event.sender, event.value), (user, U256::from(9)));
        let sent = IL2ToL1MessagePasser::sentMessagesCall(event.withdrawalHash);
        assert!(call(&evm, to, sent));
    }

    #[test]
    fn flags_contracts_and_header_follow_the_fork() {
        let cases = [
            (Hardfork::Canyon, [false; 4], 0),
            (Hardfork::Ecotone, [true, false, false, false], 0),
            (Hardfork::Granite, [true, true, false, false], 0),
            (Hardfork::Holocene, [true, true, false, false], 9),
            (Hardfork::Isthmus, [true, true, true, false], 9),
            (Hardfork::Jovian, [true; 4], 17),
            (Hardfork::Karst, [true; 4], 17),
        ];
        for (fork, flags, extra_data) in cases {
            let mut intent = intent(fork);
            intent.min_base_fee = 77;
            intent.eip1559 = BaseFeeConfig { elasticity: 4, ..BaseFeeConfig::default() };
            let genesis = build(&intent);
            let evm = GenesisEvm::new(901, TIME, &genesis.alloc);
            let oracle = GAS_PRICE_ORACLE;
            let found = [
                call(&evm, oracle, IGasPriceOracle::isEcotoneCall {}),
                call(&evm, oracle, IGasPriceOracle::isFjordCall {}),
                call(&evm, oracle, IGasPriceOracle::isIsthmusCall {}),
                call(&evm, oracle, IGasPriceOracle::isJovianCall {}),
            ];
            assert_eq!(found, flags, "{fork}");
            let has = |address| genesis.alloc.contains_key(&address);
            assert_eq!(has(eip4788::BEACON_ROOTS_ADDRESS), fork >= Hardfork::Ecotone, "{fork}");
            assert_eq!(has(eip2935::HISTORY_STORAGE_ADDRESS), fork >= Hardfork::Isthmus, "{fork}");
            assert_eq!(has(CREATE2_DEPLOYER), fork >= Hardfork::Canyon, "{fork}");
            assert_eq!(genesis.extra_data.len(), extra_data, "{fork}");
            let read = opal_protocol::extra_data::decode_extra_data(
                &rollup_config_of(&intent),
                TIME,
                &genesis.extra_data,
            );
            let read = read.unwrap();
            let (denominator, elasticity, min_base_fee) = match extra_data {
                0 => (0, 0, 0),
                9 => (250, 4, 0),
                _ => (250, 4, 77),
            };
            assert_eq!(
                (read.denominator, read.elasticity, read.min_base_fee),
                (denominator, elasticity, min_base_fee),
                "{fork}"
            );
        }
    }

    fn rollup_config_of(intent: &Intent) -> opal_protocol::RollupConfig {
        let [l1, l2] = [1, 2].map(|n| BlockId { hash: B256::with_last_byte(n), number: 0 });
        crate::rollup_config::rollup_config(
            intent,
            &crate::devnet_genesis(intent, TIME).unwrap().addresses,
            900,
            l1,
            l2,
            TIME,
        )
        .unwrap()
    }

    #[test]
    fn config_section_has_the_keys_of_other_clients() {
        let mut intent = intent(Hardfork::Jovian);
        intent.l2_chain_id = 1234;
        let genesis = build(&intent);
        let json = serde_json::to_value(&genesis).unwrap();
        let config = &json["config"];
        for key in ["bedrockBlock", "londonBlock", "regolithTime", "canyonTime", "shanghaiTime"] {
            assert_eq!(config[key], 0, "{key}");
        }
        for key in ["ecotoneTime", "cancunTime", "isthmusTime", "pragueTime", "jovianTime"] {
            assert_eq!(config[key], 0, "{key}");
        }
        for key in ["karstTime", "osakaTime", "interopTime"] {
            assert_eq!(config.get(key), None, "{key}");
        }
        assert_eq!(config["chainId"], 1234);
        let expected = json!({
            "eip1559Elasticity": 6,
            "eip1559Denominator": 50,
            "eip1559DenominatorCanyon": 250,
        });
        assert_eq!(config["optimism"], expected);
        // What is written is what is read.
        assert_eq!(serde_json::from_value::<Genesis>(json).unwrap(), genesis);
    }
}

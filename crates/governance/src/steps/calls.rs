//! The calls that set a deployment's contracts up.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall, SolValue};
use opal_protocol::Hardfork;
use opal_protocol::contracts::ISystemConfig;

use super::{
    FEATURE_ETH_LOCKBOX, IMPLEMENTATION_SLOT, PERMISSIONED_GAME, RESOURCE_CONFIG, Step,
    bedrock_fees, returns, slot_is,
};
use crate::abi::{
    ChainContracts, IAnchorStateRegistrySetup, IDelayedWETHSetup, IDisputeGameFactorySetup,
    IETHLockboxSetup, IFactorySetup, IL1BridgeSetup, IL1CrossDomainMessengerSetup,
    IOptimismPortalSetup, IOwnable, IProtocolVersionsSetup, IProxyAdmin, ISuperchainConfigSetup,
    ISystemConfigSetup, Proposal,
};
use crate::addresses::Addresses;
use crate::intent::Intent;

/// Points a proxy to its implementation and initializes it, in one transaction, so that nobody can
/// come between. An implementation in the proxy's slot shows that it was done.
fn initialize(
    addresses: &Addresses,
    contract: &str,
    proxy: Address,
    implementation: Address,
    call: impl SolCall,
) -> Step {
    let data = call.abi_encode().into();
    let call = IProxyAdmin::upgradeAndCallCall { proxy, implementation, data };
    let what = format!("implementation of {contract}Proxy");
    Step {
        name: format!("initialize {contract}"),
        to: addresses.proxy_admin,
        data: call.abi_encode().into(),
        done: slot_is(what, proxy, IMPLEMENTATION_SLOT, implementation),
        wave: 0,
    }
}

/// What comes before L2's first block: who may pause, and the SystemConfig.
pub(super) fn until_start(intent: &Intent, addresses: &Addresses, deployer: Address) -> [Step; 2] {
    let superchain = ISuperchainConfigSetup::initializeCall { guardian: intent.roles.guardian };
    let config = ISystemConfigSetup::initializeCall {
        owner: deployer,
        basefeeScalar: intent.fees.base_fee,
        blobbasefeeScalar: intent.fees.blob_base_fee,
        batcherHash: intent.roles.batcher.into_word(),
        gasLimit: intent.gas_limit,
        unsafeBlockSigner: intent.roles.unsafe_block_signer,
        config: RESOURCE_CONFIG,
        batchInbox: intent.batch_inbox(),
        addresses: chain_contracts(addresses),
        l2ChainId: U256::from(intent.l2_chain_id),
        superchainConfig: addresses.superchain_config_proxy,
    };
    [
        initialize(
            addresses,
            "SuperchainConfig",
            addresses.superchain_config_proxy,
            addresses.superchain_config_impl,
            superchain,
        ),
        initialize(
            addresses,
            "SystemConfig",
            addresses.system_config_proxy,
            addresses.system_config_impl,
            config,
        ),
    ]
}

/// The contracts that the SystemConfig lists. No contract manager deployed them.
pub(super) fn chain_contracts(addresses: &Addresses) -> ChainContracts {
    ChainContracts {
        optimismPortal: addresses.optimism_portal_proxy,
        l1CrossDomainMessenger: addresses.l1_cross_domain_messenger_proxy,
        l1ERC721Bridge: addresses.l1_erc721_bridge_proxy,
        l1StandardBridge: addresses.l1_standard_bridge_proxy,
        optimismMintableERC20Factory: addresses.optimism_mintable_erc20_factory_proxy,
        delayedWETH: addresses.delayed_weth_proxy,
        opcm: Address::ZERO,
    }
}

/// Parameters that the SystemConfig's initializer does not take. They are zero after it; a step
/// exists only for what the intent wants otherwise.
pub(super) fn settings(intent: &Intent, addresses: &Addresses) -> Vec<Step> {
    let config = addresses.system_config_proxy;
    let mut steps = Vec::new();
    let mut set = |name: &str, data: Vec<u8>, done| {
        steps.push(Step { name: name.to_owned(), to: config, data: data.into(), done, wave: 0 });
    };
    if intent.eth_lockbox {
        let call =
            ISystemConfigSetup::setFeatureCall { feature: FEATURE_ETH_LOCKBOX, enabled: true };
        let getter = ISystemConfigSetup::isFeatureEnabledCall { feature: FEATURE_ETH_LOCKBOX };
        let done = returns("SystemConfig.isFeatureEnabled(ETH_LOCKBOX)", config, getter, true);
        set("enable the ETHLockbox", call.abi_encode(), done);
    }
    if intent.fork < Hardfork::Ecotone {
        let (overhead, scalar) = bedrock_fees(&intent.fees);
        let call = ISystemConfig::setGasConfigCall { _overhead: overhead, _scalar: scalar };
        let getter = ISystemConfigSetup::scalarCall {};
        let done = returns("SystemConfig.scalar", config, getter, scalar);
        set("set fee scalars of before Ecotone", call.abi_encode(), done);
    }
    let fee = intent.operator_fee;
    if fee != Default::default() {
        let call = ISystemConfig::setOperatorFeeScalarsCall {
            _operatorFeeScalar: fee.scalar,
            _operatorFeeConstant: fee.constant,
        };
        // Both are set at once; the one that is not zero tells whether they are.
        let done = if fee.scalar != 0 {
            let getter = ISystemConfig::operatorFeeScalarCall {};
            returns("SystemConfig.operatorFeeScalar", config, getter, fee.scalar)
        } else {
            let getter = ISystemConfig::operatorFeeConstantCall {};
            returns("SystemConfig.operatorFeeConstant", config, getter, fee.constant)
        };
        set("set operator fee", call.abi_encode(), done);
    }
    if intent.min_base_fee != 0 {
        let fee = intent.min_base_fee;
        let call = ISystemConfig::setMinBaseFeeCall { _minBaseFee: fee };
        let getter = ISystemConfig::minBaseFeeCall {};
        let done = returns("SystemConfig.minBaseFee", config, getter, fee);
        set("set minimum base fee", call.abi_encode(), done);
    }
    if intent.da_footprint_gas_scalar != 0 {
        let scalar = intent.da_footprint_gas_scalar;
        let call = ISystemConfig::setDAFootprintGasScalarCall { _daFootprintGasScalar: scalar };
        let getter = ISystemConfig::daFootprintGasScalarCall {};
        let done = returns("SystemConfig.daFootprintGasScalar", config, getter, u64::from(scalar));
        set("set DA footprint gas scalar", call.abi_encode(), done);
    }
    steps
}

/// The other contracts, but for the lockbox.
pub(super) fn initializations(
    addresses: &Addresses,
    deployer: Address,
    anchor: B256,
    versions_owner: Address,
) -> Vec<Step> {
    let config = addresses.system_config_proxy;
    let mut steps = vec![
        initialize(
            addresses,
            "DisputeGameFactory",
            addresses.dispute_game_factory_proxy,
            addresses.dispute_game_factory_impl,
            IDisputeGameFactorySetup::initializeCall { owner: deployer },
        ),
        initialize(
            addresses,
            "AnchorStateRegistry",
            addresses.anchor_state_registry_proxy,
            addresses.anchor_state_registry_impl,
            IAnchorStateRegistrySetup::initializeCall {
                systemConfig: config,
                disputeGameFactory: addresses.dispute_game_factory_proxy,
                startingAnchorRoot: Proposal { root: anchor, l2SequenceNumber: U256::ZERO },
                startingRespectedGameType: PERMISSIONED_GAME,
            },
        ),
        initialize(
            addresses,
            "DelayedWETH",
            addresses.delayed_weth_proxy,
            addresses.delayed_weth_impl,
            IDelayedWETHSetup::initializeCall { systemConfig: config },
        ),
        initialize(
            addresses,
            "OptimismPortal",
            addresses.optimism_portal_proxy,
            addresses.optimism_portal_impl,
            IOptimismPortalSetup::initializeCall {
                systemConfig: config,
                anchorStateRegistry: addresses.anchor_state_registry_proxy,
                ethLockbox: addresses.eth_lockbox_proxy,
            },
        ),
    ];
    steps.push(initialize(
        addresses,
        "L1CrossDomainMessenger",
        addresses.l1_cross_domain_messenger_proxy,
        addresses.l1_cross_domain_messenger_impl,
        IL1CrossDomainMessengerSetup::initializeCall {
            systemConfig: config,
            portal: addresses.optimism_portal_proxy,
        },
    ));
    steps.push(initialize(
        addresses,
        "L1StandardBridge",
        addresses.l1_standard_bridge_proxy,
        addresses.l1_standard_bridge_impl,
        IL1BridgeSetup::initializeCall {
            messenger: addresses.l1_cross_domain_messenger_proxy,
            systemConfig: config,
        },
    ));
    steps.push(initialize(
        addresses,
        "L1ERC721Bridge",
        addresses.l1_erc721_bridge_proxy,
        addresses.l1_erc721_bridge_impl,
        IL1BridgeSetup::initializeCall {
            messenger: addresses.l1_cross_domain_messenger_proxy,
            systemConfig: config,
        },
    ));
    steps.push(initialize(
        addresses,
        "OptimismMintableERC20Factory",
        addresses.optimism_mintable_erc20_factory_proxy,
        addresses.optimism_mintable_erc20_factory_impl,
        IFactorySetup::initializeCall { bridge: addresses.l1_standard_bridge_proxy },
    ));
    // No node is asked for any version until the owner asks for one.
    steps.push(initialize(
        addresses,
        "ProtocolVersions",
        addresses.protocol_versions_proxy,
        addresses.protocol_versions_impl,
        IProtocolVersionsSetup::initializeCall {
            owner: versions_owner,
            required: U256::ZERO,
            recommended: U256::ZERO,
        },
    ));
    steps
}

/// The lockbox, where the intent wants one. It asks its portal who may pause.
pub(super) fn lockbox(intent: &Intent, addresses: &Addresses) -> Vec<Step> {
    if !intent.eth_lockbox {
        return Vec::new();
    }
    let call = IETHLockboxSetup::initializeCall {
        systemConfig: addresses.system_config_proxy,
        portals: vec![addresses.optimism_portal_proxy],
    };
    let (proxy, implementation) = (addresses.eth_lockbox_proxy, addresses.eth_lockbox_impl);
    vec![initialize(addresses, "EthLockbox", proxy, implementation, call)]
}

/// Registers the kinds of dispute games.
pub(super) fn games(intent: &Intent, addresses: &Addresses) -> Vec<Step> {
    let factory = addresses.dispute_game_factory_proxy;
    let bond = intent.dispute_game.init_bond;
    let game = PERMISSIONED_GAME;
    let call = IDisputeGameFactorySetup::setImplementationCall {
        gameType: game,
        implementation: addresses.permissioned_dispute_game,
        args: game_arguments(intent, addresses),
    };
    // The arguments are set last: with them the step is done.
    let mut steps = vec![Step {
        name: "register the permissioned dispute game".to_owned(),
        to: factory,
        data: call.abi_encode().into(),
        done: returns(
            "DisputeGameFactory.gameArgs(1)",
            factory,
            IDisputeGameFactorySetup::gameArgsCall { gameType: game },
            game_arguments(intent, addresses),
        ),
        wave: 0,
    }];
    if !bond.is_zero() {
        let call = IDisputeGameFactorySetup::setInitBondCall { gameType: game, bond };
        let getter = IDisputeGameFactorySetup::initBondsCall { gameType: game };
        steps.push(Step {
            name: "set the bond of proposals".to_owned(),
            to: factory,
            data: call.abi_encode().into(),
            done: returns("DisputeGameFactory.initBonds(1)", factory, getter, bond),
            wave: 0,
        });
    }
    steps
}

/// What every permissioned game is told: the program and its machine, registry and bonds, the
/// chain, who proposes and who disputes. Packed.
pub(super) fn game_arguments(intent: &Intent, addresses: &Addresses) -> Bytes {
    let arguments = (
        intent.dispute_game.absolute_prestate,
        addresses.no_vm,
        addresses.anchor_state_registry_proxy,
        addresses.delayed_weth_proxy,
        U256::from(intent.l2_chain_id),
        intent.roles.proposer,
        intent.roles.challenger,
    );
    arguments.abi_encode_packed().into()
}

/// Gives the contracts to the owners that the intent names.
pub(super) fn handovers(intent: &Intent, addresses: &Addresses) -> Vec<Step> {
    let roles = &intent.roles;
    let hand_over = |contract: &str, address, owner| Step {
        name: format!("hand {contract} to its owner"),
        to: address,
        data: IOwnable::transferOwnershipCall { newOwner: owner }.abi_encode().into(),
        done: returns(format!("{contract}.owner"), address, IOwnable::ownerCall {}, owner),
        wave: 0,
    };
    vec![
        hand_over("SystemConfig", addresses.system_config_proxy, roles.system_config_owner),
        hand_over(
            "DisputeGameFactory",
            addresses.dispute_game_factory_proxy,
            roles.l1_proxy_admin_owner,
        ),
        hand_over("ProxyAdmin", addresses.proxy_admin, roles.l1_proxy_admin_owner),
    ]
}

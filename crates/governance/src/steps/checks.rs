//! What must hold after a deployment: everything that the intent says, read back.

use alloy_primitives::{Address, B256, Bytes, U256};
use opal_protocol::contracts::ISystemConfig;
use opal_protocol::predeploys::{L2_CROSS_DOMAIN_MESSENGER, L2_ERC721_BRIDGE, L2_STANDARD_BRIDGE};

use super::calls::game_arguments;
use super::{
    Check, FEATURE_ETH_LOCKBOX, LOCKED, PERMISSIONED_GAME, Query, RESOURCE_CONFIG, fee_parameters,
    init_version, returns,
};
use crate::abi::{
    IAnchorStateRegistrySetup, IBridge, IDelayedWETHSetup, IDisputeGameFactorySetup,
    IETHLockboxSetup, IFactorySetup, IL1BridgeSetup, IL1CrossDomainMessengerSetup, IMessenger,
    IOptimismPortalSetup, IOwnable, IProxyAdmin, ISuperchainConfigSetup, ISystemConfigSetup,
    Proposal,
};
use crate::addresses::Addresses;
use crate::artifacts::{ArtifactError, Contract};
use crate::intent::Intent;

/// Every proxy has its implementation, the ProxyAdmin is its admin, and nobody can initialize either
/// of them any more.
pub(super) fn proxies(addresses: &Addresses) -> Result<Vec<Check>, ArtifactError> {
    use Contract as C;
    let a = addresses;
    let proxies = [
        (C::SuperchainConfig, a.superchain_config_proxy, a.superchain_config_impl),
        (C::SystemConfig, a.system_config_proxy, a.system_config_impl),
        (C::OptimismPortal, a.optimism_portal_proxy, a.optimism_portal_impl),
        (C::DisputeGameFactory, a.dispute_game_factory_proxy, a.dispute_game_factory_impl),
        (C::AnchorStateRegistry, a.anchor_state_registry_proxy, a.anchor_state_registry_impl),
        (C::DelayedWETH, a.delayed_weth_proxy, a.delayed_weth_impl),
        (
            C::L1CrossDomainMessenger,
            a.l1_cross_domain_messenger_proxy,
            a.l1_cross_domain_messenger_impl,
        ),
        (C::L1StandardBridge, a.l1_standard_bridge_proxy, a.l1_standard_bridge_impl),
        (C::L1ERC721Bridge, a.l1_erc721_bridge_proxy, a.l1_erc721_bridge_impl),
        (
            C::OptimismMintableERC20Factory,
            a.optimism_mintable_erc20_factory_proxy,
            a.optimism_mintable_erc20_factory_impl,
        ),
        (C::ProtocolVersions, a.protocol_versions_proxy, a.protocol_versions_impl),
        (C::ETHLockbox, a.eth_lockbox_proxy, a.eth_lockbox_impl),
    ];
    let mut checks = Vec::new();
    for (contract, proxy, implementation) in proxies {
        if proxy.is_zero() {
            continue;
        }
        let name = contract.name();
        let (slot, offset) = contract.artifact()?.initialized_version()?;
        let initialized = |what: String, at, version: u8| Check {
            what,
            query: Query::StorageByte(at, slot, offset),
            expected: Bytes::copy_from_slice(&[version]),
        };
        checks.extend([
            returns(
                format!("implementation of {name}Proxy"),
                a.proxy_admin,
                IProxyAdmin::getProxyImplementationCall { proxy },
                implementation,
            ),
            returns(
                format!("admin of {name}Proxy"),
                a.proxy_admin,
                IProxyAdmin::getProxyAdminCall { proxy },
                a.proxy_admin,
            ),
            initialized(
                format!("initialized version of {name}Proxy"),
                proxy,
                init_version(contract),
            ),
            initialized(format!("initialized version of {name}Impl"), implementation, LOCKED),
        ]);
    }
    Ok(checks)
}

/// Who owns what, and the parameters of the chain.
pub(super) fn owners_and_settings(intent: &Intent, addresses: &Addresses) -> Vec<Check> {
    use ISystemConfig as Config;
    use ISystemConfigSetup as Setup;
    let config = addresses.system_config_proxy;
    let roles = &intent.roles;
    let (overhead, scalar) = fee_parameters(intent);
    let fee = intent.operator_fee;
    let owner = |contract: &str, address, owner: Address| {
        returns(format!("{contract}.owner"), address, IOwnable::ownerCall {}, owner)
    };
    vec![
        owner("ProxyAdmin", addresses.proxy_admin, roles.l1_proxy_admin_owner),
        owner("SystemConfig", config, roles.system_config_owner),
        owner(
            "DisputeGameFactory",
            addresses.dispute_game_factory_proxy,
            roles.l1_proxy_admin_owner,
        ),
        owner("ProtocolVersions", addresses.protocol_versions_proxy, roles.l1_proxy_admin_owner),
        returns(
            "SuperchainConfig.guardian",
            addresses.superchain_config_proxy,
            ISuperchainConfigSetup::guardianCall {},
            roles.guardian,
        ),
        returns("SystemConfig.overhead", config, Setup::overheadCall {}, overhead),
        returns("SystemConfig.scalar", config, Setup::scalarCall {}, scalar),
        returns("SystemConfig.batcherHash", config, Config::batcherHashCall {}, roles.batcher),
        returns("SystemConfig.gasLimit", config, Config::gasLimitCall {}, intent.gas_limit),
        returns("SystemConfig.eip1559Denominator", config, Config::eip1559DenominatorCall {}, 0u32),
        returns("SystemConfig.eip1559Elasticity", config, Config::eip1559ElasticityCall {}, 0u32),
        returns(
            "SystemConfig.operatorFeeScalar",
            config,
            Config::operatorFeeScalarCall {},
            fee.scalar,
        ),
        returns(
            "SystemConfig.operatorFeeConstant",
            config,
            Config::operatorFeeConstantCall {},
            fee.constant,
        ),
        returns("SystemConfig.minBaseFee", config, Config::minBaseFeeCall {}, intent.min_base_fee),
        returns(
            "SystemConfig.daFootprintGasScalar",
            config,
            Config::daFootprintGasScalarCall {},
            u64::from(intent.da_footprint_gas_scalar),
        ),
        returns(
            "SystemConfig.unsafeBlockSigner",
            config,
            Config::unsafeBlockSignerCall {},
            roles.unsafe_block_signer,
        ),
        returns("SystemConfig.batchInbox", config, Setup::batchInboxCall {}, intent.batch_inbox()),
        returns("SystemConfig.l2ChainId", config, Setup::l2ChainIdCall {}, intent.l2_chain_id),
        returns(
            "SystemConfig.resourceConfig",
            config,
            Setup::resourceConfigCall {},
            RESOURCE_CONFIG,
        ),
        returns(
            "SystemConfig.isFeatureEnabled(ETH_LOCKBOX)",
            config,
            Setup::isFeatureEnabledCall { feature: FEATURE_ETH_LOCKBOX },
            intent.eth_lockbox,
        ),
    ]
}

/// Which contract knows which, and the rules of withdrawals.
pub(super) fn wiring(intent: &Intent, addresses: &Addresses, anchor: B256) -> Vec<Check> {
    use IAnchorStateRegistrySetup as Registry;
    use IDelayedWETHSetup as Weth;
    use IDisputeGameFactorySetup as Factory;
    use IL1BridgeSetup as Bridge;
    use IL1CrossDomainMessengerSetup as Messenger;
    use IOptimismPortalSetup as Portal;
    use ISystemConfigSetup as Setup;
    let a = addresses;
    let (config, portal) = (a.system_config_proxy, a.optimism_portal_proxy);
    let (registry, weth) = (a.anchor_state_registry_proxy, a.delayed_weth_proxy);
    let game = &intent.dispute_game;
    let mut checks = vec![
        returns(
            "SystemConfig.superchainConfig",
            config,
            Setup::superchainConfigCall {},
            a.superchain_config_proxy,
        ),
        returns("SystemConfig.optimismPortal", config, Setup::optimismPortalCall {}, portal),
        returns("SystemConfig.delayedWETH", config, Setup::delayedWETHCall {}, weth),
        returns("OptimismPortal.systemConfig", portal, Portal::systemConfigCall {}, config),
        returns(
            "OptimismPortal.anchorStateRegistry",
            portal,
            Portal::anchorStateRegistryCall {},
            registry,
        ),
        returns(
            "OptimismPortal.ethLockbox",
            portal,
            Portal::ethLockboxCall {},
            a.eth_lockbox_proxy,
        ),
        returns(
            "OptimismPortal.proofMaturityDelaySeconds",
            portal,
            Portal::proofMaturityDelaySecondsCall {},
            intent.proof_maturity_delay,
        ),
        returns(
            "AnchorStateRegistry.systemConfig",
            registry,
            Registry::systemConfigCall {},
            config,
        ),
        returns(
            "AnchorStateRegistry.disputeGameFactory",
            registry,
            Registry::disputeGameFactoryCall {},
            a.dispute_game_factory_proxy,
        ),
        returns(
            "AnchorStateRegistry.getStartingAnchorRoot",
            registry,
            Registry::getStartingAnchorRootCall {},
            Proposal { root: anchor, l2SequenceNumber: U256::ZERO },
        ),
        returns(
            "AnchorStateRegistry.respectedGameType",
            registry,
            Registry::respectedGameTypeCall {},
            PERMISSIONED_GAME,
        ),
        returns(
            "AnchorStateRegistry.disputeGameFinalityDelaySeconds",
            registry,
            Registry::disputeGameFinalityDelaySecondsCall {},
            game.finality_delay,
        ),
        returns("DelayedWETH.systemConfig", weth, Weth::systemConfigCall {}, config),
        returns("DelayedWETH.delay", weth, Weth::delayCall {}, game.weth_delay),
        returns(
            "DisputeGameFactory.gameImpls(1)",
            a.dispute_game_factory_proxy,
            Factory::gameImplsCall { gameType: PERMISSIONED_GAME },
            a.permissioned_dispute_game,
        ),
        returns(
            "DisputeGameFactory.gameArgs(1)",
            a.dispute_game_factory_proxy,
            Factory::gameArgsCall { gameType: PERMISSIONED_GAME },
            game_arguments(intent, a),
        ),
        returns(
            "DisputeGameFactory.initBonds(1)",
            a.dispute_game_factory_proxy,
            Factory::initBondsCall { gameType: PERMISSIONED_GAME },
            game.init_bond,
        ),
    ];
    let messenger = a.l1_cross_domain_messenger_proxy;
    checks.extend([
        returns(
            "SystemConfig.l1CrossDomainMessenger",
            config,
            Setup::l1CrossDomainMessengerCall {},
            messenger,
        ),
        returns(
            "L1CrossDomainMessenger.systemConfig",
            messenger,
            Messenger::systemConfigCall {},
            config,
        ),
        returns("L1CrossDomainMessenger.portal", messenger, Messenger::portalCall {}, portal),
        returns(
            "L1CrossDomainMessenger.otherMessenger",
            messenger,
            IMessenger::otherMessengerCall {},
            L2_CROSS_DOMAIN_MESSENGER,
        ),
    ]);
    let bridge = a.l1_standard_bridge_proxy;
    checks.extend([
        returns("SystemConfig.l1StandardBridge", config, Setup::l1StandardBridgeCall {}, bridge),
        returns("L1StandardBridge.systemConfig", bridge, Bridge::systemConfigCall {}, config),
        returns("L1StandardBridge.messenger", bridge, Bridge::messengerCall {}, messenger),
        returns(
            "L1StandardBridge.otherBridge",
            bridge,
            IBridge::otherBridgeCall {},
            L2_STANDARD_BRIDGE,
        ),
    ]);
    let (nfts, factory) = (a.l1_erc721_bridge_proxy, a.optimism_mintable_erc20_factory_proxy);
    checks.extend([
        returns("SystemConfig.l1ERC721Bridge", config, Setup::l1ERC721BridgeCall {}, nfts),
        returns("L1ERC721Bridge.systemConfig", nfts, Bridge::systemConfigCall {}, config),
        returns("L1ERC721Bridge.messenger", nfts, Bridge::messengerCall {}, messenger),
        returns("L1ERC721Bridge.otherBridge", nfts, IBridge::otherBridgeCall {}, L2_ERC721_BRIDGE),
        returns(
            "SystemConfig.optimismMintableERC20Factory",
            config,
            Setup::optimismMintableERC20FactoryCall {},
            factory,
        ),
        returns(
            "OptimismMintableERC20Factory.bridge",
            factory,
            IFactorySetup::bridgeCall {},
            bridge,
        ),
    ]);
    if intent.eth_lockbox {
        let lockbox = a.eth_lockbox_proxy;
        let authorized = IETHLockboxSetup::authorizedPortalsCall { portal };
        checks.extend([
            returns(
                "ETHLockbox.systemConfig",
                lockbox,
                IETHLockboxSetup::systemConfigCall {},
                config,
            ),
            returns("ETHLockbox.authorizedPortals(portal)", lockbox, authorized, true),
        ]);
    }
    checks
}

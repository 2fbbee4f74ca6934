//! The contracts that a deployment creates, and where they will be.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolValue;

use super::{CREATE2_PROXY, Check, Query, Step, init_version};
use crate::addresses::Addresses;
use crate::artifacts::{ArtifactError, Contract};
use crate::intent::Intent;

/// All creations of a deployment.
pub(super) struct Created {
    pub(super) addresses: Addresses,
    pub(super) steps: Vec<Step>,
}

/// Creates through the deterministic deployment proxy, and remembers the steps.
struct Creator<'a> {
    intent: &'a Intent,
    steps: Vec<Step>,
}

impl Creator<'_> {
    /// A contract by the name of its address.
    fn create(&mut self, name: &str, init_code: &[u8], runtime_code: Bytes) -> Address {
        let name = format!("create {name}");
        let salt = salt(self.intent, &name);
        let address = CREATE2_PROXY.create2_from_code(salt, init_code);
        let what = name.replacen("create", "code of", 1);
        let done = Check { what, query: Query::Code(address), expected: runtime_code };
        let data = [salt.as_slice(), init_code].concat().into();
        self.steps.push(Step { name, to: CREATE2_PROXY, data, done, wave: 0 });
        address
    }

    /// The code behind a proxy or of a dispute game. The constructor takes the first of the
    /// immutables, a word each.
    fn implementation(
        &mut self,
        name: &str,
        contract: Contract,
        arguments: &[(&str, u64)],
    ) -> Result<Address, ArtifactError> {
        let word = |value| B256::from(U256::from(value));
        let artifact = contract.artifact()?;
        let words: Vec<B256> = arguments.iter().map(|(_, value)| word(*value)).collect();
        let version = u64::from(init_version(contract));
        let version = artifact.has_immutable("INIT_VERSION").then_some(("INIT_VERSION", version));
        let immutables: Vec<(&str, B256)> = arguments
            .iter()
            .copied()
            .chain(version)
            .map(|(name, value)| (name, word(value)))
            .collect();
        let runtime_code = artifact.runtime_code(&immutables)?;
        Ok(self.create(name, &artifact.init_code(&words.concat()), runtime_code))
    }
}

/// Different for every chain and contract, so that two proxies of the same code can exist.
fn salt(intent: &Intent, name: &str) -> B256 {
    keccak256((intent.salt, U256::from(intent.l2_chain_id), name).abi_encode())
}

/// The proxies and the code behind them. Nothing here depends on another step, but all of the
/// proxies on the ProxyAdmin.
pub(super) fn create_all(intent: &Intent, deployer: Address) -> Result<Created, ArtifactError> {
    let mut new = Creator { intent, steps: Vec::new() };
    let admin = Contract::ProxyAdmin.artifact()?;
    let admin_init = admin.init_code(&deployer.abi_encode());
    let proxy_admin = new.create("ProxyAdmin", &admin_init, admin.runtime_code(&[])?);

    let proxy = Contract::Proxy.artifact()?;
    let proxy_init = proxy.init_code(&proxy_admin.abi_encode());
    let proxy_code = proxy.runtime_code(&[])?;
    let mut proxy = |name| new.create(name, &proxy_init, proxy_code.clone());
    let mut addresses = Addresses {
        proxy_admin,
        superchain_config_proxy: proxy("SuperchainConfigProxy"),
        system_config_proxy: proxy("SystemConfigProxy"),
        optimism_portal_proxy: proxy("OptimismPortalProxy"),
        dispute_game_factory_proxy: proxy("DisputeGameFactoryProxy"),
        anchor_state_registry_proxy: proxy("AnchorStateRegistryProxy"),
        delayed_weth_proxy: proxy("DelayedWETHProxy"),
        l1_cross_domain_messenger_proxy: proxy("L1CrossDomainMessengerProxy"),
        l1_standard_bridge_proxy: proxy("L1StandardBridgeProxy"),
        l1_erc721_bridge_proxy: proxy("L1ERC721BridgeProxy"),
        optimism_mintable_erc20_factory_proxy: proxy("OptimismMintableERC20FactoryProxy"),
        protocol_versions_proxy: proxy("ProtocolVersionsProxy"),
        ..Addresses::default()
    };
    if intent.eth_lockbox {
        addresses.eth_lockbox_proxy = proxy("EthLockboxProxy");
    }

    let game = &intent.dispute_game;
    addresses.superchain_config_impl =
        new.implementation("SuperchainConfigImpl", Contract::SuperchainConfig, &[])?;
    addresses.system_config_impl =
        new.implementation("SystemConfigImpl", Contract::SystemConfig, &[])?;
    addresses.optimism_portal_impl = new.implementation(
        "OptimismPortalImpl",
        Contract::OptimismPortal,
        &[("PROOF_MATURITY_DELAY_SECONDS", intent.proof_maturity_delay)],
    )?;
    addresses.dispute_game_factory_impl =
        new.implementation("DisputeGameFactoryImpl", Contract::DisputeGameFactory, &[])?;
    addresses.anchor_state_registry_impl = new.implementation(
        "AnchorStateRegistryImpl",
        Contract::AnchorStateRegistry,
        &[("DISPUTE_GAME_FINALITY_DELAY_SECONDS", game.finality_delay)],
    )?;
    addresses.delayed_weth_impl = new.implementation(
        "DelayedWETHImpl",
        Contract::DelayedWETH,
        &[("DELAY_SECONDS", game.weth_delay)],
    )?;
    addresses.l1_cross_domain_messenger_impl =
        new.implementation("L1CrossDomainMessengerImpl", Contract::L1CrossDomainMessenger, &[])?;
    addresses.l1_standard_bridge_impl =
        new.implementation("L1StandardBridgeImpl", Contract::L1StandardBridge, &[])?;
    addresses.l1_erc721_bridge_impl =
        new.implementation("L1ERC721BridgeImpl", Contract::L1ERC721Bridge, &[])?;
    addresses.optimism_mintable_erc20_factory_impl = new.implementation(
        "OptimismMintableERC20FactoryImpl",
        Contract::OptimismMintableERC20Factory,
        &[],
    )?;
    addresses.protocol_versions_impl =
        new.implementation("ProtocolVersionsImpl", Contract::ProtocolVersions, &[])?;
    if intent.eth_lockbox {
        addresses.eth_lockbox_impl =
            new.implementation("EthLockboxImpl", Contract::ETHLockbox, &[])?;
    }
    addresses.permissioned_dispute_game = new.implementation(
        "PermissionedDisputeGame",
        Contract::PermissionedDisputeGame,
        &[
            ("MAX_GAME_DEPTH", game.max_depth),
            ("SPLIT_DEPTH", game.split_depth),
            ("CLOCK_EXTENSION", game.clock_extension),
            ("MAX_CLOCK_DURATION", game.max_clock_duration),
        ],
    )?;
    addresses.no_vm = new.implementation("NoVM", Contract::NoVM, &[])?;
    Ok(Created { addresses, steps: new.steps })
}

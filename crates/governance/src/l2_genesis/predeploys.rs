//! The predeploys of L2 in its genesis. Spec: `predeploys.md`.

use std::collections::BTreeMap;

use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall, SolValue};
use opal_protocol::predeploys::{
    BASE_FEE_VAULT, DEPLOYER_WHITELIST, GAS_PRICE_ORACLE, GOVERNANCE_TOKEN, L1_BLOCK,
    L1_BLOCK_NUMBER, L1_FEE_VAULT, L2_CROSS_DOMAIN_MESSENGER, L2_ERC721_BRIDGE, L2_STANDARD_BRIDGE,
    L2_TO_L1_MESSAGE_PASSER, LEGACY_MESSAGE_PASSER, OPERATOR_FEE_VAULT,
    OPTIMISM_MINTABLE_ERC20_FACTORY, OPTIMISM_MINTABLE_ERC721_FACTORY, PROXY_ADMIN,
    SEQUENCER_FEE_VAULT, WETH, implementation_of, predeploy,
};

use super::set_slot;
use crate::GovernanceError;
use crate::abi::{IERC721FactorySetup, IFeeVaultSetup, IL2Setup};
use crate::addresses::Addresses;
use crate::artifacts::Contract;
use crate::in_process::{DEPLOYER, GenesisEvm, InProcessError};
use crate::intent::Intent;
use crate::steps::{ADMIN_SLOT, IMPLEMENTATION_SLOT};

/// Size of the namespace of predeploys.
pub(super) const PREDEPLOYS: u16 = 2048;

/// The predeploys with an implementation.
pub(super) const IMPLEMENTED: [(Address, Contract); 17] = [
    (LEGACY_MESSAGE_PASSER, Contract::LegacyMessagePasser),
    (DEPLOYER_WHITELIST, Contract::DeployerWhitelist),
    (L2_CROSS_DOMAIN_MESSENGER, Contract::L2CrossDomainMessenger),
    (GAS_PRICE_ORACLE, Contract::GasPriceOracle),
    (L2_STANDARD_BRIDGE, Contract::L2StandardBridge),
    (SEQUENCER_FEE_VAULT, Contract::SequencerFeeVault),
    (OPTIMISM_MINTABLE_ERC20_FACTORY, Contract::OptimismMintableERC20Factory),
    (L1_BLOCK_NUMBER, Contract::L1BlockNumber),
    (L2_ERC721_BRIDGE, Contract::L2ERC721Bridge),
    (L1_BLOCK, Contract::L1Block),
    (L2_TO_L1_MESSAGE_PASSER, Contract::L2ToL1MessagePasser),
    (OPTIMISM_MINTABLE_ERC721_FACTORY, Contract::OptimismMintableERC721Factory),
    (PROXY_ADMIN, Contract::ProxyAdmin),
    (BASE_FEE_VAULT, Contract::BaseFeeVault),
    (L1_FEE_VAULT, Contract::L1FeeVault),
    (OPERATOR_FEE_VAULT, Contract::OperatorFeeVault),
    (WETH, Contract::WETH),
];

/// The addresses of the namespace that are no proxies.
pub(super) const NOT_PROXIED: [Address; 2] = [WETH, GOVERNANCE_TOKEN];

/// The whole namespace as proxies under the ProxyAdmin predeploy, so that what comes later can be
/// put behind them by an upgrade; the code behind those that exist, as its constructor leaves it;
/// and what their initializers write.
pub(super) fn predeploys(
    intent: &Intent,
    addresses: &Addresses,
    l1_chain_id: u64,
) -> Result<BTreeMap<Address, GenesisAccount>, GovernanceError> {
    let mut alloc = BTreeMap::new();
    let code = Contract::Proxy.artifact()?.runtime_code(&[])?;
    let storage = BTreeMap::from([(ADMIN_SLOT, PROXY_ADMIN.into_word())]);
    let proxy =
        GenesisAccount { code: Some(code), storage: Some(storage), ..GenesisAccount::default() };
    alloc.extend(
        (0..PREDEPLOYS)
            .map(predeploy)
            .filter(|address| !NOT_PROXIED.contains(address))
            .map(|address| (address, proxy.clone())),
    );
    for (address, contract) in IMPLEMENTED {
        // Only the ProxyAdmin's constructor takes an argument; nobody owns its implementation.
        let arguments = match contract {
            Contract::ProxyAdmin => Address::ZERO.abi_encode(),
            _ => Vec::new(),
        };
        let account = GenesisEvm::construct(&contract.artifact()?.init_code(&arguments))
            .map_err(|reason| step(contract.name(), reason))?;
        if NOT_PROXIED.contains(&address) {
            alloc.insert(address, account);
            continue;
        }
        let implementation = implementation_of(address);
        alloc.insert(implementation, account);
        set_slot(&mut alloc, address, IMPLEMENTATION_SLOT, implementation.into_word());
    }
    initialize(&mut alloc, intent, addresses, l1_chain_id)?;
    Ok(alloc)
}

fn step(what: &str, reason: String) -> InProcessError {
    InProcessError::Step { step: format!("set up {what} on L2"), reason }
}

/// Calls the initializers as the ProxyAdmin's owner, who then becomes the intent's.
fn initialize(
    alloc: &mut BTreeMap<Address, GenesisAccount>,
    intent: &Intent,
    addresses: &Addresses,
    l1_chain_id: u64,
) -> Result<(), GovernanceError> {
    // The ProxyAdmin's owner is in its first slot.
    set_slot(alloc, PROXY_ADMIN, B256::ZERO, DEPLOYER.into_word());
    let mut evm = GenesisEvm::new(intent.l2_chain_id, 0, alloc);
    for (what, address, call) in initializers(intent, addresses, l1_chain_id) {
        evm.execute(DEPLOYER, address, U256::ZERO, call).map_err(|reason| step(what, reason))?;
    }
    *alloc = evm.into_alloc();
    set_slot(alloc, PROXY_ADMIN, B256::ZERO, intent.roles.l2_proxy_admin_owner.into_word());
    Ok(())
}

/// Name, address and call of every initializer.
fn initializers(
    intent: &Intent,
    addresses: &Addresses,
    l1_chain_id: u64,
) -> Vec<(&'static str, Address, Bytes)> {
    let other = |what, address, other: Address| {
        (what, address, IL2Setup::initializeCall { other }.abi_encode().into())
    };
    let mut calls = vec![
        other(
            "L2CrossDomainMessenger",
            L2_CROSS_DOMAIN_MESSENGER,
            addresses.l1_cross_domain_messenger_proxy,
        ),
        other("L2StandardBridge", L2_STANDARD_BRIDGE, addresses.l1_standard_bridge_proxy),
        other("L2ERC721Bridge", L2_ERC721_BRIDGE, addresses.l1_erc721_bridge_proxy),
        other("OptimismMintableERC20Factory", OPTIMISM_MINTABLE_ERC20_FACTORY, L2_STANDARD_BRIDGE),
        (
            "OptimismMintableERC721Factory",
            OPTIMISM_MINTABLE_ERC721_FACTORY,
            IERC721FactorySetup::initializeCall {
                bridge: L2_ERC721_BRIDGE,
                remoteChainId: U256::from(l1_chain_id),
            }
            .abi_encode()
            .into(),
        ),
    ];
    let vaults = &intent.fee_vaults;
    for (what, address, recipient) in [
        ("SequencerFeeVault", SEQUENCER_FEE_VAULT, vaults.sequencer_fee_recipient),
        ("BaseFeeVault", BASE_FEE_VAULT, vaults.base_fee_recipient),
        ("L1FeeVault", L1_FEE_VAULT, vaults.l1_fee_recipient),
        ("OperatorFeeVault", OPERATOR_FEE_VAULT, vaults.operator_fee_recipient),
    ] {
        let call = IFeeVaultSetup::initializeCall {
            recipient: recipient.unwrap_or(intent.roles.system_config_owner),
            minWithdrawalAmount: vaults.min_withdrawal,
            withdrawalNetwork: vaults.withdrawal_network as u8,
        };
        calls.push((what, address, call.abi_encode().into()));
    }
    calls
}

//! The predeploys of L2 in its genesis. Spec: `predeploys.md`.

use std::collections::BTreeMap;

use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall, SolValue};
use opal_protocol::predeploys::{
    GAS_PRICE_ORACLE, GOVERNANCE_TOKEN, L1_BLOCK, L2_CROSS_DOMAIN_MESSENGER, L2_STANDARD_BRIDGE,
    L2_TO_L1_MESSAGE_PASSER, PROXY_ADMIN, WETH, implementation_of, predeploy,
};

use super::set_slot;
use crate::GovernanceError;
use crate::abi::IL2Setup;
use crate::addresses::Addresses;
use crate::artifacts::Contract;
use crate::in_process::{DEPLOYER, GenesisEvm, InProcessError};
use crate::intent::Intent;
use crate::steps::{ADMIN_SLOT, IMPLEMENTATION_SLOT};

/// Size of the namespace of predeploys.
pub(super) const PREDEPLOYS: u16 = 2048;

/// The predeploys with an implementation.
pub(super) const IMPLEMENTED: [(Address, Contract); 6] = [
    (L2_CROSS_DOMAIN_MESSENGER, Contract::L2CrossDomainMessenger),
    (GAS_PRICE_ORACLE, Contract::GasPriceOracle),
    (L2_STANDARD_BRIDGE, Contract::L2StandardBridge),
    (L1_BLOCK, Contract::L1Block),
    (L2_TO_L1_MESSAGE_PASSER, Contract::L2ToL1MessagePasser),
    (PROXY_ADMIN, Contract::ProxyAdmin),
];

/// The addresses of the namespace that are no proxies.
pub(super) const NOT_PROXIED: [Address; 2] = [WETH, GOVERNANCE_TOKEN];

/// The whole namespace as proxies under the ProxyAdmin predeploy, so that what comes later can be
/// put behind them by an upgrade; the code behind those that exist, as its constructor leaves it;
/// and what their initializers write.
pub(super) fn predeploys(
    intent: &Intent,
    addresses: &Addresses,
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
    initialize(&mut alloc, intent, addresses)?;
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
) -> Result<(), GovernanceError> {
    // The ProxyAdmin's owner is in its first slot.
    set_slot(alloc, PROXY_ADMIN, B256::ZERO, DEPLOYER.into_word());
    let mut evm = GenesisEvm::new(intent.l2_chain_id, 0, alloc);
    for (what, address, call) in initializers(addresses) {
        evm.execute(DEPLOYER, address, U256::ZERO, call).map_err(|reason| step(what, reason))?;
    }
    *alloc = evm.into_alloc();
    set_slot(alloc, PROXY_ADMIN, B256::ZERO, intent.roles.l2_proxy_admin_owner.into_word());
    Ok(())
}

/// Name, address and call of every initializer.
fn initializers(addresses: &Addresses) -> Vec<(&'static str, Address, Bytes)> {
    let other = |what, address, other: Address| {
        (what, address, IL2Setup::initializeCall { other }.abi_encode().into())
    };
    vec![
        other(
            "L2CrossDomainMessenger",
            L2_CROSS_DOMAIN_MESSENGER,
            addresses.l1_cross_domain_messenger_proxy,
        ),
        other("L2StandardBridge", L2_STANDARD_BRIDGE, addresses.l1_standard_bridge_proxy),
    ]
}

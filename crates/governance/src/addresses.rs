//! Addresses of a deployment, under the names that other tools use.

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

fn is_zero(address: &Address) -> bool {
    address.is_zero()
}

/// Declares the contracts once: the field, the name that it has in JSON and on the screen, and what
/// it is.
macro_rules! addresses {
    ($($(#[$doc:meta])* $field:ident = $name:literal,)*) => {
        /// The contracts of one chain on L1, under the names of the OP Stack's deployer and of the
        /// superchain registry. What the chain has not is the zero address.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Addresses {
            $($(#[$doc])* #[serde(rename = $name, skip_serializing_if = "is_zero")]
            pub $field: Address,)*
        }

        impl Addresses {
            /// Name and address of each contract that the chain has, in the order in which a person
            /// wants to read them.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, Address)> + use<> {
                [$(($name, self.$field)),*].into_iter().filter(|(_, address)| !address.is_zero())
            }
        }
    };
}

addresses! {
    /// Where users deposit and withdraw.
    optimism_portal_proxy = "OptimismPortalProxy",
    /// Parameters of the L2 chain.
    system_config_proxy = "SystemConfigProxy",
    /// Creates dispute games.
    dispute_game_factory_proxy = "DisputeGameFactoryProxy",
    /// Which dispute games count.
    anchor_state_registry_proxy = "AnchorStateRegistryProxy",
    /// Bonds of dispute games.
    delayed_weth_proxy = "DelayedWETHProxy",
    /// Messages between the layers.
    l1_cross_domain_messenger_proxy = "L1CrossDomainMessengerProxy",
    /// Token bridge.
    l1_standard_bridge_proxy = "L1StandardBridgeProxy",
    /// ERC-721 bridge.
    l1_erc721_bridge_proxy = "L1ERC721BridgeProxy",
    /// Creates tokens on L1 that stand for those of L2.
    optimism_mintable_erc20_factory_proxy = "OptimismMintableERC20FactoryProxy",
    /// Which version of the protocol nodes need.
    protocol_versions_proxy = "ProtocolVersionsProxy",
    /// Who may pause the chain.
    superchain_config_proxy = "SuperchainConfigProxy",
    /// The portal's ether, where the intent wants it apart.
    eth_lockbox_proxy = "EthLockboxProxy",
    /// The code of permissioned dispute games.
    permissioned_dispute_game = "PermissionedDisputeGame",
    /// Stands in for the fault-proof virtual machine.
    no_vm = "NoVM",
    /// Admin of the proxies.
    proxy_admin = "ProxyAdmin",
    /// The portal's code.
    optimism_portal_impl = "OptimismPortalImpl",
    /// The SystemConfig's code.
    system_config_impl = "SystemConfigImpl",
    /// The DisputeGameFactory's code.
    dispute_game_factory_impl = "DisputeGameFactoryImpl",
    /// The AnchorStateRegistry's code.
    anchor_state_registry_impl = "AnchorStateRegistryImpl",
    /// The DelayedWETH's code.
    delayed_weth_impl = "DelayedWETHImpl",
    /// The L1CrossDomainMessenger's code.
    l1_cross_domain_messenger_impl = "L1CrossDomainMessengerImpl",
    /// The L1StandardBridge's code.
    l1_standard_bridge_impl = "L1StandardBridgeImpl",
    /// The L1ERC721Bridge's code.
    l1_erc721_bridge_impl = "L1ERC721BridgeImpl",
    /// The OptimismMintableERC20Factory's code.
    optimism_mintable_erc20_factory_impl = "OptimismMintableERC20FactoryImpl",
    /// The ProtocolVersions' code.
    protocol_versions_impl = "ProtocolVersionsImpl",
    /// The SuperchainConfig's code.
    superchain_config_impl = "SuperchainConfigImpl",
    /// The ETHLockbox's code.
    eth_lockbox_impl = "EthLockboxImpl",
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn json_has_the_same_names_as_the_banner() {
        let addresses = Addresses {
            proxy_admin: Address::repeat_byte(1),
            delayed_weth_proxy: Address::repeat_byte(2),
            ..Addresses::default()
        };
        let json = serde_json::to_value(addresses).unwrap();
        let named: Vec<_> = addresses.named().collect();
        assert_eq!(named.len(), 2);
        assert_eq!(json.as_object().unwrap().len(), named.len());
        for (name, address) in named {
            assert_eq!(json[name], serde_json::json!(address), "{name}");
        }
        assert_eq!(serde_json::from_value::<Addresses>(json).unwrap(), addresses);
        assert!(serde_json::from_str::<Addresses>(r#"{"Portal":null}"#).is_err());
    }
}

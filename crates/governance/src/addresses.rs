//! Addresses of a deployment, under the names that other tools use.

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

/// The contracts of one chain on L1. The JSON names are those of the OP Stack's deployer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Addresses {
    /// Admin of the proxies.
    pub proxy_admin: Address,
    /// Where users deposit.
    pub optimism_portal_proxy: Address,
    /// The portal's code.
    pub optimism_portal_impl: Address,
    /// Parameters of the L2 chain.
    pub system_config_proxy: Address,
    /// The SystemConfig's code.
    pub system_config_impl: Address,
}

impl Addresses {
    /// Name and address of each contract, in the order in which a person wants to read them.
    pub const fn named(&self) -> [(&'static str, Address); 5] {
        [
            ("OptimismPortalProxy", self.optimism_portal_proxy),
            ("SystemConfigProxy", self.system_config_proxy),
            ("ProxyAdmin", self.proxy_admin),
            ("OptimismPortalImpl", self.optimism_portal_impl),
            ("SystemConfigImpl", self.system_config_impl),
        ]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn json_has_the_same_names_as_the_banner() {
        let json = serde_json::to_value(Addresses::default()).unwrap();
        let object = json.as_object().unwrap();
        assert_eq!(object.len(), Addresses::default().named().len());
        for (name, _) in Addresses::default().named() {
            assert!(object.contains_key(name), "{name}");
        }
    }
}

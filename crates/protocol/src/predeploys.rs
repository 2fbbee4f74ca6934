//! Addresses that the protocol fixes. Spec: `predeploys.md`, `deposits.md`, `preinstalls.md`.

use alloy_primitives::{Address, address};

/// Sender of the L1 attributes deposit.
pub const L1_INFO_DEPOSITOR: Address = address!("DeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001");
/// Took withdrawals before Bedrock.
pub const LEGACY_MESSAGE_PASSER: Address = address!("4200000000000000000000000000000000000000");
/// Said who may create contracts before Bedrock.
pub const DEPLOYER_WHITELIST: Address = address!("4200000000000000000000000000000000000002");
/// WETH9; not behind a proxy.
pub const WETH: Address = address!("4200000000000000000000000000000000000006");
/// Messages between layers, L2 side.
pub const L2_CROSS_DOMAIN_MESSENGER: Address = address!("4200000000000000000000000000000000000007");
/// L1 fee oracle.
pub const GAS_PRICE_ORACLE: Address = address!("420000000000000000000000000000000000000F");
/// Token bridge, L2 side.
pub const L2_STANDARD_BRIDGE: Address = address!("4200000000000000000000000000000000000010");
/// Receives priority fees.
pub const SEQUENCER_FEE_VAULT: Address = address!("4200000000000000000000000000000000000011");
/// Creates ERC-20 tokens that stand for those of L1.
pub const OPTIMISM_MINTABLE_ERC20_FACTORY: Address =
    address!("4200000000000000000000000000000000000012");
/// The number of the L1 block; superseded by the L1 block attributes.
pub const L1_BLOCK_NUMBER: Address = address!("4200000000000000000000000000000000000013");
/// Bridge of ERC-721 tokens, L2 side.
pub const L2_ERC721_BRIDGE: Address = address!("4200000000000000000000000000000000000014");
/// L1 block attributes.
pub const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");
/// Withdrawals; its storage root enters the output root.
pub const L2_TO_L1_MESSAGE_PASSER: Address = address!("4200000000000000000000000000000000000016");
/// Creates ERC-721 tokens that stand for those of L1.
pub const OPTIMISM_MINTABLE_ERC721_FACTORY: Address =
    address!("4200000000000000000000000000000000000017");
/// Owner of the predeploy proxies.
pub const PROXY_ADMIN: Address = address!("4200000000000000000000000000000000000018");
/// Receives base fees.
pub const BASE_FEE_VAULT: Address = address!("4200000000000000000000000000000000000019");
/// Receives L1 fees.
pub const L1_FEE_VAULT: Address = address!("420000000000000000000000000000000000001A");
/// Receives operator fees; not to be read before Isthmus.
pub const OPERATOR_FEE_VAULT: Address = address!("420000000000000000000000000000000000001b");
/// Holds the ether that interop's bridge pays out.
pub const ETH_LIQUIDITY: Address = address!("4200000000000000000000000000000000000025");
/// Governance token; not behind a proxy.
pub const GOVERNANCE_TOKEN: Address = address!("4200000000000000000000000000000000000042");
/// EIP-4788 beacon roots.
pub const BEACON_ROOTS: Address = address!("000F3df6D732807Ef1319fB7B8bB8522d0Beac02");
/// EIP-2935 block hashes.
pub const HISTORY_STORAGE: Address = address!("0000F90827F1C53a10cb7A02335B175320002935");
/// Canyon's deterministic deployment proxy.
pub const CREATE2_DEPLOYER: Address = address!("13b0D85CcB8bf860b6b79AF3029fCA081AE9beF2");

/// The proxied address of predeploy `index` (0 to 0x7ff).
pub fn predeploy(index: u16) -> Address {
    let mut bytes = [0u8; 20];
    bytes[0] = 0x42;
    bytes[18..].copy_from_slice(&index.to_be_bytes());
    Address::from(bytes)
}

/// Where the code behind a proxied predeploy lives: the same low two bytes in the 0xc0d3… space.
pub fn implementation_of(predeploy: Address) -> Address {
    let mut bytes = address!("c0D3C0d3C0d3C0D3c0d3C0d3c0D3C0d3c0d30000").into_array();
    bytes[18..].copy_from_slice(&predeploy[18..]);
    Address::from(bytes)
}

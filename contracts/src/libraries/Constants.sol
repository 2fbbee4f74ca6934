// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @dev Sender of the L1 attributes deposit and of the upgrade deposits on L2.
address constant DEPOSITOR_ACCOUNT = 0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001;

/// @dev EIP-1967 slots: keccak256("eip1967.proxy.implementation") - 1, keccak256("eip1967.proxy.admin") - 1.
bytes32 constant PROXY_IMPLEMENTATION_ADDRESS = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;
bytes32 constant PROXY_OWNER_ADDRESS = 0xb53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103;

/// @dev What the portal's `l2Sender` holds while no withdrawal is being relayed.
address constant DEFAULT_L2_SENDER = 0x000000000000000000000000000000000000dEaD;

/// @dev Origin of calls that estimate gas.
address constant ESTIMATION_ADDRESS = address(1);

/// @dev Stands for "the gas token is ether" where a token address is asked for.
address constant ETHER = 0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE;

/// @dev The L1 attributes predeploy.
address constant L1_BLOCK_ATTRIBUTES = 0x4200000000000000000000000000000000000015;

/// @dev Names of the optional features that SystemConfig and L1Block keep flags for.
bytes32 constant FEATURE_ETH_LOCKBOX = "ETH_LOCKBOX";
bytes32 constant FEATURE_CUSTOM_GAS_TOKEN = "CUSTOM_GAS_TOKEN";
bytes32 constant FEATURE_INTEROP = "INTEROP";

/// @dev Predeploys of the bridge, and the address that stands for ether on L2 in its older functions.
address constant L2_CROSS_DOMAIN_MESSENGER = 0x4200000000000000000000000000000000000007;
address constant L2_STANDARD_BRIDGE = 0x4200000000000000000000000000000000000010;
address constant L2_ERC721_BRIDGE = 0x4200000000000000000000000000000000000014;
address constant L2_TO_L1_MESSAGE_PASSER = 0x4200000000000000000000000000000000000016;
address constant LEGACY_ERC20_ETH = 0xDeadDeAddeAddEAddeadDEaDDEAdDeaDDeAD0000;

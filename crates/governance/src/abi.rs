//! What only deployment calls on the contracts: initializers, ownership, and getters that show the
//! result.

#![allow(missing_docs)]

use alloy_sol_types::sol;

sol! {
    struct ResourceConfig {
        uint32 maxResourceLimit;
        uint8 elasticityMultiplier;
        uint8 baseFeeMaxChangeDenominator;
        uint32 minimumBaseFee;
        uint32 systemTxMaxGas;
        uint128 maximumBaseFee;
    }

    struct ChainContracts {
        address l1CrossDomainMessenger;
        address l1ERC721Bridge;
        address l1StandardBridge;
        address optimismPortal;
        address optimismMintableERC20Factory;
        address delayedWETH;
        address opcm;
    }

    interface IOwnable {
        function owner() external view returns (address);
        function transferOwnership(address newOwner) external;
    }

    interface IProxyAdmin {
        function upgradeAndCall(address proxy, address implementation, bytes data) external payable;
        function getProxyImplementation(address proxy) external view returns (address);
        function getProxyAdmin(address proxy) external view returns (address);
    }

    interface ISystemConfigSetup {
        function initialize(
            address owner,
            uint32 basefeeScalar,
            uint32 blobbasefeeScalar,
            bytes32 batcherHash,
            uint64 gasLimit,
            address unsafeBlockSigner,
            ResourceConfig config,
            address batchInbox,
            ChainContracts addresses,
            uint256 l2ChainId,
            address superchainConfig
        ) external;

        function overhead() external view returns (uint256);
        function scalar() external view returns (uint256);
        function batchInbox() external view returns (address);
        function optimismPortal() external view returns (address);
        function l2ChainId() external view returns (uint256);
        function resourceConfig() external view returns (ResourceConfig);
    }

    interface IOptimismPortalSetup {
        function initialize(address systemConfig, address anchorStateRegistry, address ethLockbox) external;
        function systemConfig() external view returns (address);
        function proofMaturityDelaySeconds() external view returns (uint256);
    }
}

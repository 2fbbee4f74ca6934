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
        function superchainConfig() external view returns (address);
        function delayedWETH() external view returns (address);
        function l1CrossDomainMessenger() external view returns (address);
        function l1StandardBridge() external view returns (address);
        function l1ERC721Bridge() external view returns (address);
        function optimismMintableERC20Factory() external view returns (address);
        function startBlock() external view returns (uint256);
        function setFeature(bytes32 feature, bool enabled) external;
        function isFeatureEnabled(bytes32 feature) external view returns (bool);
        function resourceConfig() external view returns (ResourceConfig);
    }

    interface IOptimismPortalSetup {
        function initialize(address systemConfig, address anchorStateRegistry, address ethLockbox) external;
        function systemConfig() external view returns (address);
        function anchorStateRegistry() external view returns (address);
        function ethLockbox() external view returns (address);
        function proofMaturityDelaySeconds() external view returns (uint256);
    }

    interface ISuperchainConfigSetup {
        function initialize(address guardian) external;
        function guardian() external view returns (address);
        function paused(address identifier) external view returns (bool);
    }

    interface IETHLockboxSetup {
        function initialize(address systemConfig, address[] portals) external;
        function systemConfig() external view returns (address);
        function authorizedPortals(address portal) external view returns (bool);
    }

    struct Proposal {
        bytes32 root;
        uint256 l2SequenceNumber;
    }

    interface IDisputeGameFactorySetup {
        function initialize(address owner) external;
        function setImplementation(uint32 gameType, address implementation, bytes args) external;
        function setInitBond(uint32 gameType, uint256 bond) external;
        function gameImpls(uint32 gameType) external view returns (address);
        function gameArgs(uint32 gameType) external view returns (bytes);
        function initBonds(uint32 gameType) external view returns (uint256);
    }

    interface IAnchorStateRegistrySetup {
        function initialize(
            address systemConfig,
            address disputeGameFactory,
            Proposal startingAnchorRoot,
            uint32 startingRespectedGameType
        ) external;
        function systemConfig() external view returns (address);
        function disputeGameFactory() external view returns (address);
        function getStartingAnchorRoot() external view returns (Proposal);
        function respectedGameType() external view returns (uint32);
        function disputeGameFinalityDelaySeconds() external view returns (uint256);
    }

    interface IL1CrossDomainMessengerSetup {
        function initialize(address systemConfig, address portal) external;
        function systemConfig() external view returns (address);
        function portal() external view returns (address);
    }

    interface IMessenger {
        function otherMessenger() external view returns (address);
    }

    interface IL1BridgeSetup {
        function initialize(address messenger, address systemConfig) external;
        function systemConfig() external view returns (address);
        function messenger() external view returns (address);
    }

    interface IFactorySetup {
        function initialize(address bridge) external;
        function bridge() external view returns (address);
    }

    interface IERC721FactorySetup {
        function initialize(address bridge, uint256 remoteChainId) external;
        function remoteChainID() external view returns (uint256);
    }

    interface IFeeVaultSetup {
        function initialize(address recipient, uint256 minWithdrawalAmount, uint8 withdrawalNetwork) external;
        function recipient() external view returns (address);
        function minWithdrawalAmount() external view returns (uint256);
        function withdrawalNetwork() external view returns (uint8);
    }

    interface IProtocolVersionsSetup {
        function initialize(address owner, uint256 required, uint256 recommended) external;
    }

    interface IBridge {
        function otherBridge() external view returns (address);
    }

    // What L2's messenger and bridges take: their counterpart on L1. A factory takes its bridge.
    interface IL2Setup {
        function initialize(address other) external;
    }

    interface IDelayedWETHSetup {
        function initialize(address systemConfig) external;
        function systemConfig() external view returns (address);
        function delay() external view returns (uint256);
    }
}

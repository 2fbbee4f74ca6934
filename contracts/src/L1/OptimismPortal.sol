// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    DEFAULT_L2_SENDER,
    FEATURE_CUSTOM_GAS_TOKEN,
    FEATURE_ETH_LOCKBOX,
    FEATURE_INTEROP
} from "src/libraries/Constants.sol";
import { AddressAlias } from "src/libraries/AddressAlias.sol";
import { EOA } from "src/libraries/EOA.sol";
import { ResourceMetering } from "src/L1/ResourceMetering.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { ReinitializableBase } from "src/universal/ReinitializableBase.sol";
import { GameType, IAnchorStateRegistry, IDisputeGame, IDisputeGameFactory } from "src/interfaces/IDispute.sol";
import { IETHLockbox } from "src/interfaces/IETHLockbox.sol";
import { IResourceMetering } from "src/interfaces/IResourceMetering.sol";
import { ISemver } from "src/interfaces/ISemver.sol";
import { ISuperchainConfig } from "src/interfaces/ISuperchainConfig.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";

/// @notice The door from L1 to L2: takes deposits and emits the log that L2 derives them from. The storage of withdrawals
///         is laid out; they are not served by this version.
contract OptimismPortal is ResourceMetering, ReinitializableBase, ProxyAdminOwnedBase, ISemver {
    /// @custom:field disputeGameProxy The game whose claim the withdrawal was proven against.
    /// @custom:field timestamp        When it was proven.
    struct ProvenWithdrawal {
        IDisputeGame disputeGameProxy;
        uint64 timestamp;
    }

    error OptimismPortal_BadTarget();
    error OptimismPortal_CalldataTooLarge();
    error OptimismPortal_GasLimitTooLow();
    error OptimismPortal_InvalidInteropState();
    error OptimismPortal_InvalidLockboxState();
    error OptimismPortal_NotAllowedOnCGTMode();

    /// @notice One deposit.
    /// @param from       The depositor, aliased if a contract.
    /// @param to         The target; zero for a contract creation.
    /// @param version    The form of `opaqueData`; 0 is mint (32), value (32), gas limit (8), creation (1), data.
    event TransactionDeposited(address indexed from, address indexed to, uint256 indexed version, bytes opaqueData);

    uint256 internal constant DEPOSIT_VERSION = 0;
    /// @dev L2 gas of deposits that are made by a plain transfer.
    uint64 internal constant RECEIVE_DEFAULT_GAS_LIMIT = 100_000;
    /// @dev Bytes of data that a deposit may carry; bounds the size of L2 blocks that deposits alone can cause.
    uint256 internal constant MAX_CALLDATA = 120_000;
    /// @dev Seconds between proving and finalizing a withdrawal.
    uint256 internal immutable PROOF_MATURITY_DELAY_SECONDS;

    /// @notice The L2 sender of the withdrawal that is being relayed; a placeholder otherwise.
    address public l2Sender;
    mapping(bytes32 => bool) public finalizedWithdrawals;
    bytes32 private spacer_52_0_32;
    bool private spacer_53_0_1;
    address private spacer_53_1_20;
    address private spacer_54_0_20;
    ISystemConfig public systemConfig;
    address private spacer_56_0_20;
    mapping(bytes32 => mapping(address => ProvenWithdrawal)) public provenWithdrawals;
    bytes32 private spacer_58_0_32;
    GameType private spacer_59_0_4;
    uint64 private spacer_59_4_8;
    mapping(bytes32 => address[]) public proofSubmitters;
    uint256 private spacer_61_0_32;
    IAnchorStateRegistry public anchorStateRegistry;
    /// @notice Where the ether is kept if chains share it; zero otherwise.
    IETHLockbox public ethLockbox;
    bool private spacer_63_20_1;

    constructor(uint256 _proofMaturityDelaySeconds) ReinitializableBase(3) {
        PROOF_MATURITY_DELAY_SECONDS = _proofMaturityDelaySeconds;
        _disableInitializers();
    }

    /// @notice Sets the portal up; only for the proxy's admin or the admin's owner. The lockbox must be given if and
    ///         only if its feature is on.
    function initialize(
        ISystemConfig _systemConfig,
        IAnchorStateRegistry _anchorStateRegistry,
        IETHLockbox _ethLockbox
    )
        external
        reinitializer(initVersion())
    {
        _assertOnlyProxyAdminOrProxyAdminOwner();

        systemConfig = _systemConfig;
        anchorStateRegistry = _anchorStateRegistry;
        if (address(_ethLockbox) != address(0)) ethLockbox = _ethLockbox;

        bool lockbox = _systemConfig.isFeatureEnabled(FEATURE_ETH_LOCKBOX);
        if (!lockbox && _systemConfig.isFeatureEnabled(FEATURE_INTEROP)) revert OptimismPortal_InvalidInteropState();
        if (lockbox != (address(ethLockbox) != address(0))) revert OptimismPortal_InvalidLockboxState();

        if (l2Sender == address(0)) l2Sender = DEFAULT_L2_SENDER;
        __ResourceMetering_init();
    }

    /// @notice Deposits the ether sent along for the sender, with the default gas.
    receive() external payable {
        depositTransaction(msg.sender, msg.value, RECEIVE_DEFAULT_GAS_LIMIT, false, "");
    }

    /// @notice Takes ether without a deposit.
    function donateETH() external payable { }

    /// @notice Makes a transaction on L2 from L1. The ether sent along is minted for the sender on L2, even if the
    ///         transaction fails there; the L2 gas is paid by burning L1 gas.
    /// @param _to         Target on L2; zero if a contract is created.
    /// @param _value      Wei that the L2 transaction carries, out of the sender's L2 balance.
    /// @param _gasLimit   L2 gas bought.
    /// @param _isCreation Whether `_data` is the init code of a contract.
    /// @param _data       The L2 transaction's data.
    function depositTransaction(
        address _to,
        uint256 _value,
        uint64 _gasLimit,
        bool _isCreation,
        bytes memory _data
    )
        public
        payable
        metered(_gasLimit)
    {
        if (msg.value > 0) {
            if (systemConfig.isFeatureEnabled(FEATURE_CUSTOM_GAS_TOKEN)) revert OptimismPortal_NotAllowedOnCGTMode();
            if (_isUsingLockbox()) ethLockbox.lockETH{ value: msg.value }();
        }
        if (_isCreation && _to != address(0)) revert OptimismPortal_BadTarget();
        if (_gasLimit < minimumGasLimit(uint64(_data.length))) revert OptimismPortal_GasLimitTooLow();
        if (_data.length > MAX_CALLDATA) revert OptimismPortal_CalldataTooLarge();

        address from = EOA.isSenderEOA() ? msg.sender : AddressAlias.applyL1ToL2Alias(msg.sender);
        bytes memory opaqueData = abi.encodePacked(msg.value, _value, _gasLimit, _isCreation, _data);
        emit TransactionDeposited(from, _to, DEPOSIT_VERSION, opaqueData);
    }

    /// @notice The least L2 gas that a deposit with so many bytes of data must buy.
    function minimumGasLimit(uint64 _byteCount) public pure returns (uint64) {
        return _byteCount * 40 + 21000;
    }

    function version() public pure returns (string memory) {
        return "5.6.0";
    }

    function proofMaturityDelaySeconds() public view returns (uint256) {
        return PROOF_MATURITY_DELAY_SECONDS;
    }

    function paused() public view returns (bool) {
        return systemConfig.paused();
    }

    function superchainConfig() external view returns (ISuperchainConfig) {
        return systemConfig.superchainConfig();
    }

    function guardian() external view returns (address) {
        return systemConfig.guardian();
    }

    function disputeGameFactory() public view returns (IDisputeGameFactory) {
        return anchorStateRegistry.disputeGameFactory();
    }

    function disputeGameFinalityDelaySeconds() external view returns (uint256) {
        return anchorStateRegistry.disputeGameFinalityDelaySeconds();
    }

    function respectedGameType() external view returns (GameType) {
        return anchorStateRegistry.respectedGameType();
    }

    function respectedGameTypeUpdatedAt() external view returns (uint64) {
        return anchorStateRegistry.retirementTimestamp();
    }

    function disputeGameBlacklist(IDisputeGame _disputeGame) public view returns (bool) {
        return anchorStateRegistry.disputeGameBlacklist(_disputeGame);
    }

    function numProofSubmitters(bytes32 _withdrawalHash) external view returns (uint256) {
        return proofSubmitters[_withdrawalHash].length;
    }

    function _isUsingLockbox() internal view returns (bool) {
        return address(ethLockbox) != address(0) && systemConfig.isFeatureEnabled(FEATURE_ETH_LOCKBOX);
    }

    function _resourceConfig() internal view override returns (IResourceMetering.ResourceConfig memory) {
        return systemConfig.resourceConfig();
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    DEFAULT_L2_SENDER,
    ESTIMATION_ADDRESS,
    FEATURE_CUSTOM_GAS_TOKEN,
    FEATURE_ETH_LOCKBOX,
    FEATURE_INTEROP
} from "src/libraries/Constants.sol";
import { AddressAlias } from "src/libraries/AddressAlias.sol";
import { EOA } from "src/libraries/EOA.sol";
import { MerkleTrie } from "src/libraries/MerkleTrie.sol";
import { SafeCall } from "src/libraries/SafeCall.sol";
import { ResourceMetering } from "src/L1/ResourceMetering.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { ReinitializableBase } from "src/universal/ReinitializableBase.sol";
import {
    Claim,
    GameStatus,
    GameType,
    IAnchorStateRegistry,
    IDisputeGame,
    IDisputeGameFactory,
    Timestamp
} from "src/interfaces/IDispute.sol";
import { IETHLockbox } from "src/interfaces/IETHLockbox.sol";
import { IResourceMetering } from "src/interfaces/IResourceMetering.sol";
import { ISemver } from "src/interfaces/ISemver.sol";
import { ISuperchainConfig } from "src/interfaces/ISuperchainConfig.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";

/// @notice The door between L1 and L2. Takes deposits and emits the log that L2 derives them from; pays withdrawals out in
///         two steps:
///
///         prove ────── a dispute game claims an L2 state, the proof shows that this state holds the withdrawal
///           │ proof maturity delay; meanwhile the game resolves, and its airgap passes
///         finalize ─── the game won and still counts: the withdrawal's call is made, once
///
///         A withdrawal may be proven again, by anybody and against any game; each prover has a proof of its own.
contract OptimismPortal is ResourceMetering, ReinitializableBase, ProxyAdminOwnedBase, ISemver {
    /// @custom:field disputeGameProxy The game whose claim that its proof is for.
    /// @custom:field timestamp        When it was proven.
    struct ProvenWithdrawal {
        IDisputeGame disputeGameProxy;
        uint64 timestamp;
    }

    /// @notice A message from L2.
    struct WithdrawalTransaction {
        uint256 nonce;
        address sender;
        address target;
        uint256 value;
        uint256 gasLimit;
        bytes data;
    }

    /// @notice What an output root is the hash of.
    struct OutputRootProof {
        bytes32 version;
        bytes32 stateRoot;
        bytes32 messagePasserStorageRoot;
        bytes32 latestBlockhash;
    }

    error OptimismPortal_AlreadyFinalized();
    error OptimismPortal_BadTarget();
    error OptimismPortal_CallPaused();
    error OptimismPortal_CalldataTooLarge();
    error OptimismPortal_GasEstimation();
    error OptimismPortal_GasLimitTooLow();
    error OptimismPortal_ImproperDisputeGame();
    error OptimismPortal_InvalidDisputeGame();
    error OptimismPortal_InvalidInteropState();
    error OptimismPortal_InvalidLockboxState();
    error OptimismPortal_InvalidMerkleProof();
    error OptimismPortal_InvalidOutputRootProof();
    error OptimismPortal_InvalidProofTimestamp();
    error OptimismPortal_InvalidRootClaim();
    error OptimismPortal_MigratingToSameRegistry();
    error OptimismPortal_NoReentrancy();
    error OptimismPortal_NotAllowedOnCGTMode();
    error OptimismPortal_NotUsingInterop();
    error OptimismPortal_ProofNotOldEnough();
    error OptimismPortal_Unproven();

    /// @notice One deposit.
    /// @param from       The depositor, aliased if a contract.
    /// @param to         The target; zero for a contract creation.
    /// @param version    The form of `opaqueData`; 0 is mint (32), value (32), gas limit (8), creation (1), data.
    event TransactionDeposited(address indexed from, address indexed to, uint256 indexed version, bytes opaqueData);

    event WithdrawalProven(bytes32 indexed withdrawalHash, address indexed from, address indexed to);
    event WithdrawalProvenExtension1(bytes32 indexed withdrawalHash, address indexed proofSubmitter);
    event WithdrawalFinalized(bytes32 indexed withdrawalHash, bool success);
    event ETHMigrated(address indexed lockbox, uint256 balance);
    event PortalMigrated(
        IETHLockbox oldLockbox,
        IETHLockbox newLockbox,
        IAnchorStateRegistry oldAnchorStateRegistry,
        IAnchorStateRegistry newAnchorStateRegistry
    );

    uint256 internal constant OPAQUE_DATA_FORM = 0;
    /// @dev L2 gas of deposits that are made by a plain transfer.
    uint64 internal constant TRANSFER_GAS = 100_000;
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
        depositTransaction(msg.sender, msg.value, TRANSFER_GAS, false, "");
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
            if (_keepsEtherInLockbox()) ethLockbox.lockETH{ value: msg.value }();
        }
        if (_isCreation && _to != address(0)) revert OptimismPortal_BadTarget();
        if (_gasLimit < minimumGasLimit(uint64(_data.length))) revert OptimismPortal_GasLimitTooLow();
        if (_data.length > MAX_CALLDATA) revert OptimismPortal_CalldataTooLarge();

        address from = EOA.isSenderEOA() ? msg.sender : AddressAlias.applyL1ToL2Alias(msg.sender);
        bytes memory opaqueData = abi.encodePacked(msg.value, _value, _gasLimit, _isCreation, _data);
        emit TransactionDeposited(from, _to, OPAQUE_DATA_FORM, opaqueData);
    }

    /// @notice Shows that a withdrawal is in the L2 state that a dispute game is about. Replaces the caller's earlier
    ///         proof, and starts its delay anew.
    /// @param _tx               The withdrawal.
    /// @param _disputeGameIndex The game's place in the factory's list.
    /// @param _outputRootProof  What the game's root claim is the hash of.
    /// @param _withdrawalProof  Trie nodes from the message passer's storage root to the withdrawal's slot.
    function proveWithdrawalTransaction(
        WithdrawalTransaction memory _tx,
        uint256 _disputeGameIndex,
        OutputRootProof calldata _outputRootProof,
        bytes[] calldata _withdrawalProof
    )
        external
    {
        _assertWithdrawable(_tx);
        (,, IDisputeGame game) = disputeGameFactory().gameAtIndex(_disputeGameIndex);
        if (!anchorStateRegistry.isGameProper(game)) revert OptimismPortal_ImproperDisputeGame();
        if (!anchorStateRegistry.isGameRespected(game) || game.status() == GameStatus.CHALLENGER_WINS) {
            revert OptimismPortal_InvalidDisputeGame();
        }
        // A game and its proof in one block would leave nobody the time to look at the game.
        if (block.timestamp <= Timestamp.unwrap(game.createdAt())) revert OptimismPortal_InvalidProofTimestamp();
        if (Claim.unwrap(_outputRootOf(game)) != keccak256(abi.encode(_outputRootProof))) {
            revert OptimismPortal_InvalidOutputRootProof();
        }

        bytes32 withdrawalHash = _hash(_tx);
        // The message passer's `sentMessages` is at slot 0; a withdrawal that was sent is `true` there.
        bytes32 slot = keccak256(abi.encode(withdrawalHash, uint256(0)));
        bytes32 root = _outputRootProof.messagePasserStorageRoot;
        if (!MerkleTrie.holds(keccak256(abi.encode(slot)), hex"01", _withdrawalProof, root)) {
            revert OptimismPortal_InvalidMerkleProof();
        }

        provenWithdrawals[withdrawalHash][msg.sender] = ProvenWithdrawal(game, uint64(block.timestamp));
        proofSubmitters[withdrawalHash].push(msg.sender);
        emit WithdrawalProven(withdrawalHash, _tx.sender, _tx.target);
        emit WithdrawalProvenExtension1(withdrawalHash, msg.sender);
    }

    /// @notice Makes a withdrawal's call, by the caller's own proof.
    function finalizeWithdrawalTransaction(WithdrawalTransaction memory _tx) external {
        finalizeWithdrawalTransactionExternalProof(_tx, msg.sender);
    }

    /// @notice Makes a withdrawal's call, by somebody's proof. It counts as finalized even if the call fails: the target
    ///         is where to provide for another try.
    function finalizeWithdrawalTransactionExternalProof(
        WithdrawalTransaction memory _tx,
        address _proofSubmitter
    )
        public
    {
        if (l2Sender != DEFAULT_L2_SENDER) revert OptimismPortal_NoReentrancy();
        _assertWithdrawable(_tx);
        bytes32 withdrawalHash = _hash(_tx);
        checkWithdrawal(withdrawalHash, _proofSubmitter);
        finalizedWithdrawals[withdrawalHash] = true;

        bool fromLockbox = _tx.value > 0 && _keepsEtherInLockbox();
        if (fromLockbox) ethLockbox.unlockETH(_tx.value);
        l2Sender = _tx.sender;
        bool success = SafeCall.callWithMinGas(_tx.target, _tx.gasLimit, _tx.value, _tx.data);
        l2Sender = DEFAULT_L2_SENDER;
        emit WithdrawalFinalized(withdrawalHash, success);
        if (fromLockbox && !success) ethLockbox.lockETH{ value: _tx.value }();

        // An estimate of gas must not settle for the amount at which the call fails.
        if (!success && tx.origin == ESTIMATION_ADDRESS) revert OptimismPortal_GasEstimation();
    }

    /// @notice Reverts if this proof does not allow to finalize now.
    function checkWithdrawal(bytes32 _withdrawalHash, address _proofSubmitter) public view {
        if (finalizedWithdrawals[_withdrawalHash]) revert OptimismPortal_AlreadyFinalized();
        ProvenWithdrawal memory proven = provenWithdrawals[_withdrawalHash][_proofSubmitter];
        if (proven.timestamp == 0) revert OptimismPortal_Unproven();
        if (proven.timestamp <= Timestamp.unwrap(proven.disputeGameProxy.createdAt())) {
            revert OptimismPortal_InvalidProofTimestamp();
        }
        if (block.timestamp - proven.timestamp <= PROOF_MATURITY_DELAY_SECONDS) {
            revert OptimismPortal_ProofNotOldEnough();
        }
        if (!anchorStateRegistry.isGameClaimValid(proven.disputeGameProxy)) revert OptimismPortal_InvalidRootClaim();
    }

    /// @notice Moves all ether to the lockbox, when the chain joins others.
    function migrateLiquidity() external {
        _assertInterop();
        _assertOnlyProxyAdminOwner();
        uint256 balance = address(this).balance;
        ethLockbox.lockETH{ value: balance }();
        emit ETHMigrated(address(ethLockbox), balance);
    }

    /// @notice Goes over to a lockbox and a registry that several chains share.
    function migrateToSharedDisputeGame(
        IETHLockbox _newLockbox,
        IAnchorStateRegistry _newAnchorStateRegistry
    )
        external
    {
        _assertInterop();
        _refuseWhilePaused();
        _assertOnlyProxyAdminOwner();
        if (address(_newAnchorStateRegistry) == address(anchorStateRegistry)) {
            revert OptimismPortal_MigratingToSameRegistry();
        }
        emit PortalMigrated(ethLockbox, _newLockbox, anchorStateRegistry, _newAnchorStateRegistry);
        (ethLockbox, anchorStateRegistry) = (_newLockbox, _newAnchorStateRegistry);
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

    /// @dev Nothing is paid out while the chain is paused, to contracts whose calls from here move ether without a
    ///      withdrawal, or in ether where that is not the gas token.
    function _assertWithdrawable(WithdrawalTransaction memory _tx) internal view {
        _refuseWhilePaused();
        if (_tx.target == address(this) || _tx.target == address(ethLockbox)) revert OptimismPortal_BadTarget();
        if (_tx.value > 0 && systemConfig.isFeatureEnabled(FEATURE_CUSTOM_GAS_TOKEN)) {
            revert OptimismPortal_NotAllowedOnCGTMode();
        }
    }

    function _refuseWhilePaused() internal view {
        if (paused()) revert OptimismPortal_CallPaused();
    }

    function _assertInterop() internal view {
        if (!systemConfig.isFeatureEnabled(FEATURE_INTEROP)) revert OptimismPortal_NotUsingInterop();
    }

    /// @dev The output root of this chain that a game is about: its claim, or the part of it that is this chain's.
    function _outputRootOf(IDisputeGame _game) internal view returns (Claim) {
        uint256 gameType = GameType.unwrap(_game.gameType());
        // SUPER_CANNON, SUPER_PERMISSIONED_CANNON, SUPER_ASTERISC_KONA, SUPER_CANNON_KONA.
        bool ofSeveralChains = gameType == 4 || gameType == 5 || gameType == 7 || gameType == 9;
        return ofSeveralChains ? _game.rootClaimByChainId(systemConfig.l2ChainId()) : _game.rootClaim();
    }

    /// @dev What L2 knows the withdrawal by.
    function _hash(WithdrawalTransaction memory _tx) internal pure returns (bytes32) {
        return keccak256(abi.encode(_tx.nonce, _tx.sender, _tx.target, _tx.value, _tx.gasLimit, _tx.data));
    }

    function _keepsEtherInLockbox() internal view returns (bool) {
        return address(ethLockbox) != address(0) && systemConfig.isFeatureEnabled(FEATURE_ETH_LOCKBOX);
    }

    function _resourceConfig() internal view override returns (IResourceMetering.ResourceConfig memory) {
        return systemConfig.resourceConfig();
    }
}

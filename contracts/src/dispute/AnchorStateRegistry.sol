// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Initializable } from "src/universal/Initializable.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { ReinitializableBase } from "src/universal/ReinitializableBase.sol";
import {
    Claim,
    GameStatus,
    GameType,
    Hash,
    IAnchorStateRegistry,
    IDisputeGame,
    IDisputeGameFactory,
    Proposal,
    Timestamp
} from "src/interfaces/IDispute.sol";
import { ISemver } from "src/interfaces/ISemver.sol";
import { ISuperchainConfig } from "src/interfaces/ISuperchainConfig.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";

/// @notice Says which games may be believed, and remembers the newest L2 state that one of them has proven: new games begin
///         there.
///
///         registered, not blacklisted, not retired, not paused ── proper ──┐
///         was of the respected type when it was created ───────────────────┤
///         resolved, and the airgap since then is over ─────────── final ───┼── the claim is valid
///         the defender won ────────────────────────────────────────────────┘
contract AnchorStateRegistry is ProxyAdminOwnedBase, Initializable, ReinitializableBase, IAnchorStateRegistry, ISemver {
    error AnchorStateRegistry_InvalidAnchorGame();
    error AnchorStateRegistry_Unauthorized();

    event AnchorUpdated(IDisputeGame indexed game);
    event RespectedGameTypeSet(GameType gameType);
    event RetirementTimestampSet(uint256 timestamp);
    event DisputeGameBlacklisted(IDisputeGame indexed disputeGame);

    /// @dev The airgap: seconds between a game's resolution and the moment its outcome counts.
    uint256 internal immutable DISPUTE_GAME_FINALITY_DELAY_SECONDS;

    ISystemConfig public systemConfig;
    IDisputeGameFactory public disputeGameFactory;
    /// @notice The game that proved the anchor; zero while it is the starting one.
    IDisputeGame public anchorGame;
    Proposal internal startingAnchorRoot;
    /// @notice Games that the guardian has struck out.
    mapping(IDisputeGame => bool) public disputeGameBlacklist;
    /// @notice The type of games that new withdrawals may be proven against.
    GameType public respectedGameType;
    /// @notice Games created up to this time no longer count.
    uint64 public retirementTimestamp;

    modifier onlyGuardian() {
        if (msg.sender != systemConfig.guardian()) revert AnchorStateRegistry_Unauthorized();
        _;
    }

    constructor(uint256 _disputeGameFinalityDelaySeconds) ReinitializableBase(1) {
        DISPUTE_GAME_FINALITY_DELAY_SECONDS = _disputeGameFinalityDelaySeconds;
        _disableInitializers();
    }

    /// @notice Sets the registry up; only for the proxy's admin or the admin's owner. A starting root other than the one
    ///         before replaces the anchor, and must then be later than it. Games from before the first call never count.
    function initialize(
        ISystemConfig _systemConfig,
        IDisputeGameFactory _disputeGameFactory,
        Proposal memory _startingAnchorRoot,
        GameType _startingRespectedGameType
    )
        external
        reinitializer(initVersion())
    {
        _assertOnlyProxyAdminOrProxyAdminOwner();
        systemConfig = _systemConfig;
        disputeGameFactory = _disputeGameFactory;
        respectedGameType = _startingRespectedGameType;
        if (retirementTimestamp == 0) retirementTimestamp = uint64(block.timestamp);

        bool same = keccak256(abi.encode(_startingAnchorRoot)) == keccak256(abi.encode(startingAnchorRoot));
        if (!same && address(anchorGame) != address(0)) {
            (, uint256 anchored) = getAnchorRoot();
            if (_startingAnchorRoot.l2SequenceNumber <= anchored) revert AnchorStateRegistry_InvalidAnchorGame();
            delete anchorGame;
        }
        startingAnchorRoot = _startingAnchorRoot;
    }

    /// @notice Makes a game's claim the anchor, if it is valid and later than the present one. Anybody may call.
    function setAnchorState(IDisputeGame _game) external {
        (, uint256 anchored) = getAnchorRoot();
        if (!isGameClaimValid(_game) || _game.l2SequenceNumber() <= anchored) {
            revert AnchorStateRegistry_InvalidAnchorGame();
        }
        anchorGame = _game;
        emit AnchorUpdated(_game);
    }

    /// @notice Sets the type of games that count; games of other types that exist keep their standing.
    function setRespectedGameType(GameType _gameType) external onlyGuardian {
        respectedGameType = _gameType;
        emit RespectedGameTypeSet(_gameType);
    }

    /// @notice Retires all games that exist.
    function updateRetirementTimestamp() external onlyGuardian {
        retirementTimestamp = uint64(block.timestamp);
        emit RetirementTimestampSet(block.timestamp);
    }

    /// @notice Strikes out one game, for good.
    function blacklistDisputeGame(IDisputeGame _disputeGame) external onlyGuardian {
        disputeGameBlacklist[_disputeGame] = true;
        emit DisputeGameBlacklisted(_disputeGame);
    }

    /// @notice The anchor's root and L2 block number.
    function getAnchorRoot() public view returns (Hash, uint256) {
        if (address(anchorGame) == address(0)) {
            return (startingAnchorRoot.root, startingAnchorRoot.l2SequenceNumber);
        }
        return (Hash.wrap(Claim.unwrap(anchorGame.rootClaim())), anchorGame.l2SequenceNumber());
    }

    /// @notice The anchor, by the name of the time when each type of games had its own.
    function anchors(GameType) external view returns (Hash, uint256) {
        return getAnchorRoot();
    }

    function getStartingAnchorRoot() external view returns (Proposal memory) {
        return startingAnchorRoot;
    }

    /// @notice Whether the factory created the game.
    function isGameRegistered(IDisputeGame _game) public view returns (bool) {
        (GameType kind, Claim root, bytes memory extra) = _game.gameData();
        (IDisputeGame known,) = disputeGameFactory.games(kind, root, extra);
        return address(known) == address(_game);
    }

    /// @notice Whether the game's type was the respected one when it was created.
    function isGameRespected(IDisputeGame _game) public view returns (bool) {
        return _game.wasRespectedGameTypeWhenCreated();
    }

    function isGameBlacklisted(IDisputeGame _game) public view returns (bool) {
        return disputeGameBlacklist[_game];
    }

    /// @notice Whether the game is too old to count.
    function isGameRetired(IDisputeGame _game) public view returns (bool) {
        return Timestamp.unwrap(_game.createdAt()) <= retirementTimestamp;
    }

    function isGameResolved(IDisputeGame _game) public view returns (bool) {
        return Timestamp.unwrap(_game.resolvedAt()) != 0 && _game.status() != GameStatus.IN_PROGRESS;
    }

    /// @notice Whether nothing from outside speaks against the game. It says nothing of the claim.
    function isGameProper(IDisputeGame _game) public view returns (bool) {
        return isGameRegistered(_game) && !isGameBlacklisted(_game) && !isGameRetired(_game) && !paused();
    }

    /// @notice Whether the game is resolved and more than the airgap has passed since then.
    function isGameFinalized(IDisputeGame _game) public view returns (bool) {
        return isGameResolved(_game)
            && block.timestamp - Timestamp.unwrap(_game.resolvedAt()) > DISPUTE_GAME_FINALITY_DELAY_SECONDS;
    }

    /// @notice Whether the game's claim may be believed.
    function isGameClaimValid(IDisputeGame _game) public view returns (bool) {
        return isGameProper(_game) && isGameRespected(_game) && isGameFinalized(_game)
            && _game.status() == GameStatus.DEFENDER_WINS;
    }

    function paused() public view returns (bool) {
        return systemConfig.paused();
    }

    function superchainConfig() external view returns (ISuperchainConfig) {
        return systemConfig.superchainConfig();
    }

    function disputeGameFinalityDelaySeconds() external view returns (uint256) {
        return DISPUTE_GAME_FINALITY_DELAY_SECONDS;
    }

    function version() external view returns (string memory) {
        return "3.9.0";
    }
}

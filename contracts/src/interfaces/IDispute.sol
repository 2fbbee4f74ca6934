// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";

/// @notice The kind of a dispute game.
type GameType is uint32;

/// @notice A 32-byte digest.
type Hash is bytes32;

/// @notice What a game is about: an output root, or the commitment to a state of its program.
type Claim is bytes32;

/// @notice Seconds since the Unix epoch.
type Timestamp is uint64;

/// @notice Where a game is, and since when: type (32 bits), time of creation (64), address (160), from the top.
type GameId is bytes32;

/// @notice What became of a game.
enum GameStatus {
    IN_PROGRESS,
    CHALLENGER_WINS,
    DEFENDER_WINS
}

/// @notice A state of L2.
/// @custom:field root             Its output root.
/// @custom:field l2SequenceNumber Its block number, or its time where a game is about several chains.
struct Proposal {
    Hash root;
    uint256 l2SequenceNumber;
}

/// @notice A game about one proposed output root.
interface IDisputeGame {
    function initialize() external payable;
    function createdAt() external view returns (Timestamp);
    function resolvedAt() external view returns (Timestamp);
    function status() external view returns (GameStatus);
    function gameType() external view returns (GameType);
    function rootClaim() external view returns (Claim);
    function rootClaimByChainId(uint256 _chainId) external view returns (Claim);
    function extraData() external view returns (bytes memory);
    function gameData() external view returns (GameType, Claim, bytes memory);
    function l2SequenceNumber() external view returns (uint256);
    function wasRespectedGameTypeWhenCreated() external view returns (bool);
}

/// @notice Creates dispute games.
interface IDisputeGameFactory {
    function games(
        GameType _gameType,
        Claim _rootClaim,
        bytes calldata _extraData
    )
        external
        view
        returns (IDisputeGame, Timestamp);
    function gameAtIndex(uint256 _index) external view returns (GameType, Timestamp, IDisputeGame);
}

/// @notice Keeps the newest proven state and the rules of which games count.
interface IAnchorStateRegistry {
    function systemConfig() external view returns (ISystemConfig);
    function disputeGameFactory() external view returns (IDisputeGameFactory);
    function disputeGameFinalityDelaySeconds() external view returns (uint256);
    function respectedGameType() external view returns (GameType);
    function retirementTimestamp() external view returns (uint64);
    function disputeGameBlacklist(IDisputeGame _game) external view returns (bool);
    function paused() external view returns (bool);
    function getAnchorRoot() external view returns (Hash, uint256);
    function setAnchorState(IDisputeGame _game) external;
    function isGameFinalized(IDisputeGame _game) external view returns (bool);
    function isGameProper(IDisputeGame _game) external view returns (bool);
    function isGameRespected(IDisputeGame _game) external view returns (bool);
    function isGameClaimValid(IDisputeGame _game) external view returns (bool);
}

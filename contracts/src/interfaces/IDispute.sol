// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The kind of a dispute game.
type GameType is uint32;

/// @notice A game about one proposed output root.
interface IDisputeGame { }

/// @notice Creates dispute games.
interface IDisputeGameFactory { }

/// @notice Keeps the newest proven state and the rules of which games count.
interface IAnchorStateRegistry {
    function disputeGameFactory() external view returns (IDisputeGameFactory);
    function disputeGameFinalityDelaySeconds() external view returns (uint256);
    function respectedGameType() external view returns (GameType);
    function retirementTimestamp() external view returns (uint64);
    function disputeGameBlacklist(IDisputeGame _game) external view returns (bool);
}

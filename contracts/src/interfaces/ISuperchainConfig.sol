// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The switch that a guardian pauses chains with.
interface ISuperchainConfig {
    /// @param _identifier The portal or lockbox of one chain, or address(0) for all chains.
    function paused(address _identifier) external view returns (bool);
    function guardian() external view returns (address);
}

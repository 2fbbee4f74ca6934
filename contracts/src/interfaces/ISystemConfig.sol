// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IResourceMetering } from "src/interfaces/IResourceMetering.sol";
import { ISuperchainConfig } from "src/interfaces/ISuperchainConfig.sol";

/// @notice What the portal asks of the SystemConfig.
interface ISystemConfig {
    function resourceConfig() external view returns (IResourceMetering.ResourceConfig memory);
    function isFeatureEnabled(bytes32 _feature) external view returns (bool);
    function l2ChainId() external view returns (uint256);
    function paused() external view returns (bool);
    function guardian() external view returns (address);
    function superchainConfig() external view returns (ISuperchainConfig);
}

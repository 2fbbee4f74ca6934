// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IDisputeGameFactory } from "src/interfaces/IDispute.sol";
import { IETHLockbox } from "src/interfaces/IETHLockbox.sol";

/// @notice What the SystemConfig asks of the portal.
interface IOptimismPortal2 {
    function disputeGameFactory() external view returns (IDisputeGameFactory);
    function ethLockbox() external view returns (IETHLockbox);
}

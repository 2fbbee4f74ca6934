// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IDisputeGameFactory } from "src/interfaces/IDispute.sol";
import { IETHLockbox } from "src/interfaces/IETHLockbox.sol";
import { ISuperchainConfig } from "src/interfaces/ISuperchainConfig.sol";

/// @notice What the other contracts ask of the portal.
interface IOptimismPortal2 {
    function disputeGameFactory() external view returns (IDisputeGameFactory);
    function ethLockbox() external view returns (IETHLockbox);
    function superchainConfig() external view returns (ISuperchainConfig);
    function l2Sender() external view returns (address);
    function donateETH() external payable;
    function depositTransaction(
        address _to,
        uint256 _value,
        uint64 _gasLimit,
        bool _isCreation,
        bytes memory _data
    )
        external
        payable;
}

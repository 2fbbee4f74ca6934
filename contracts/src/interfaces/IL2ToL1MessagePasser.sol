// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Begins withdrawals on L2.
interface IL2ToL1MessagePasser {
    function initiateWithdrawal(address _target, uint256 _gasLimit, bytes memory _data) external payable;
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Holds the ether of portals that share their liquidity.
interface IETHLockbox {
    function lockETH() external payable;
    function unlockETH(uint256 _value) external;
    function receiveLiquidity() external payable;
}

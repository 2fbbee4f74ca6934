// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What the contracts behind a proxy ask of the proxy's admin.
interface IProxyAdmin {
    function owner() external view returns (address);
}

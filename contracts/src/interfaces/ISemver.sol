// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice A contract that names its version, "major.minor.patch".
interface ISemver {
    function version() external view returns (string memory);
}

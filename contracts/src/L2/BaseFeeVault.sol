// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { FeeVault } from "src/L2/FeeVault.sol";

/// @notice Collects base fees, which L2 does not burn.
contract BaseFeeVault is FeeVault {
    function version() external view returns (string memory) {
        return "1.6.1";
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { FeeVault } from "src/L2/FeeVault.sol";

/// @notice Collects what users pay for their data on L1.
contract L1FeeVault is FeeVault {
    function version() external view returns (string memory) {
        return "1.6.1";
    }
}

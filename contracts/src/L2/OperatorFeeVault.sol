// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { FeeVault } from "src/L2/FeeVault.sol";

/// @notice Collects the operator's fees.
contract OperatorFeeVault is FeeVault {
    function version() external view returns (string memory) {
        return "1.1.1";
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { FeeVault } from "src/L2/FeeVault.sol";

/// @notice Collects what users tip.
contract SequencerFeeVault is FeeVault {
    /// @notice `recipient` by the name that it had before Bedrock.
    function l1FeeWallet() external view returns (address) {
        return recipient;
    }

    function version() external view returns (string memory) {
        return "1.6.1";
    }
}

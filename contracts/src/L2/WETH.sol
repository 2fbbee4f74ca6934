// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { WETH98 } from "src/universal/WETH98.sol";
import { ISemver } from "src/interfaces/ISemver.sol";

/// @notice Ether as an ERC-20 token on L2.
contract WETH is WETH98, ISemver {
    function name() external pure override returns (string memory name_) {
        return "Wrapped Ether";
    }

    function symbol() external pure override returns (string memory symbol_) {
        return "WETH";
    }

    function version() external view returns (string memory) {
        return "1.1.1";
    }

    /// @dev Here only for the parameter's name, which is part of the ABI.
    function withdraw(uint256 wad) public override {
        super.withdraw(wad);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { L1_BLOCK_ATTRIBUTES } from "src/libraries/Constants.sol";
import { IL1Block } from "src/interfaces/IL1Block.sol";
import { ISemver } from "src/interfaces/ISemver.sol";

/// @notice Answers any call with the number of the L1 block that L2 knows, as an opcode did before Bedrock.
contract L1BlockNumber is ISemver {
    receive() external payable {
        _answer();
    }

    fallback() external payable {
        _answer();
    }

    function getL1BlockNumber() public view returns (uint256) {
        return IL1Block(L1_BLOCK_ATTRIBUTES).number();
    }

    function version() external view returns (string memory) {
        return "1.1.3";
    }

    function _answer() private view {
        uint256 answer = getL1BlockNumber();
        assembly {
            mstore(0, answer)
            return(0, 0x20)
        }
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { ISemver } from "src/interfaces/ISemver.sol";

/// @notice Recorded withdrawals before Bedrock. Nobody reads what is written here since.
contract LegacyMessagePasser is ISemver {
    /// @notice Whether a message was recorded, by the hash of it and its sender.
    mapping(bytes32 => bool) public sentMessages;

    function passMessageToL1(bytes memory _message) external {
        sentMessages[keccak256(abi.encodePacked(_message, msg.sender))] = true;
    }

    function version() external view returns (string memory) {
        return "1.1.2";
    }
}

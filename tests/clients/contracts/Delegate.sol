// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// The code that an account takes on by an EIP-7702 authorization.
contract Delegate {
    event Ran(address indexed self, address indexed caller);

    function run(address payable[] calldata to, uint256 each) external payable {
        for (uint256 i = 0; i < to.length; i++) {
            (bool ok,) = to[i].call{value: each}("");
            require(ok, "transfer failed");
        }
        emit Ran(address(this), msg.sender);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// What a withdrawal calls on L1: it makes another call, and remembers what came of it.
contract Forwarder {
    bool public success;
    bytes public answer;

    function forward(address target, bytes calldata data) external payable {
        (success, answer) = target.call{ value: msg.value }(data);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// What the client scripts call on L2: one stored word, events with and without topics, and calls that fail.
contract Notebook {
    event Written(address indexed author, uint256 indexed value, string note);

    error TooLarge(uint256 given, uint256 limit);

    uint256 public value;
    address public author;

    constructor(uint256 first) payable {
        value = first;
    }

    function write(uint256 next, string calldata note) external payable {
        value = next;
        author = msg.sender;
        emit Written(msg.sender, next, note);
    }

    function refuse(uint256 given) external payable {
        revert TooLarge(given, 41);
    }
}

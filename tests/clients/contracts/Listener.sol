// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

interface IMessenger {
    function xDomainMessageSender() external view returns (address);
}

/// What a message of the messengers calls: it remembers who sent it on the other chain, and what. A message that says
/// so needs much gas, and while the listener is deaf none goes through.
contract Listener {
    error TooLittleGas();
    error Deaf();

    address public sender;
    string public heard;
    uint256 public count;
    bool public deaf;

    function setDeaf(bool value) external {
        deaf = value;
    }

    function hear(string calldata words, uint256 gasNeeded) external payable {
        if (deaf) revert Deaf();
        if (gasleft() < gasNeeded) revert TooLittleGas();
        sender = IMessenger(msg.sender).xDomainMessageSender();
        heard = words;
        count++;
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What the bridges ask of the messenger of their chain.
interface ICrossDomainMessenger {
    /// @param _target      Who is called on the other chain.
    /// @param _message     What the call carries.
    /// @param _minGasLimit Gas that the call gets there at least.
    function sendMessage(address _target, bytes memory _message, uint32 _minGasLimit) external payable;

    /// @notice Who sent the message that is being relayed, on the other chain. Reverts while there is none.
    function xDomainMessageSender() external view returns (address);
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

interface IPortal {
    function depositTransaction(address to, uint256 value, uint64 gasLimit, bool isCreation, bytes calldata data)
        external
        payable;
}

/// A contract on L1 that deposits: its L2 sender is the aliased address. Twice in one transaction, so that the log
/// index of the second deposit is not zero.
contract Depositor {
    function depositTwice(IPortal portal, address to, uint256 value, uint64 gasLimit, bytes calldata data)
        external
        payable
    {
        uint256 half = msg.value / 2;
        portal.depositTransaction{value: half}(to, value, gasLimit, false, data);
        portal.depositTransaction{value: msg.value - half}(to, value, gasLimit, false, data);
    }
}

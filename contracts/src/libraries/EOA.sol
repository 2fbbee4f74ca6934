// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Tells accounts that are ruled by a key from contracts.
library EOA {
    /// @notice True if the caller is ruled by a key: it signed this transaction, or its code is an EIP-7702 delegation
    ///         designator (0xef0100 and an address, 23 bytes). A constructor counts as a contract.
    function isSenderEOA() internal view returns (bool) {
        if (msg.sender == tx.origin) return true;
        if (msg.sender.code.length != 23) return false;
        return bytes3(msg.sender.code) == 0xef0100;
    }
}

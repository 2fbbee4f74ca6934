// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Storage } from "src/libraries/Storage.sol";

/// @notice Initialization once, kept outside of the layout. The slot, the error and the event are OpenZeppelin's (5.x).
abstract contract NamespacedInitializable {
    bytes32 private constant SLOT =
        keccak256(abi.encode(uint256(keccak256("openzeppelin.storage.Initializable")) - 1)) & ~bytes32(uint256(0xff));

    error InvalidInitialization();

    event Initialized(uint64 version);

    /// @dev The function runs once.
    modifier initializer() {
        if (Storage.getUint(SLOT) != 0) revert InvalidInitialization();
        Storage.setUint(SLOT, 1);
        _;
        emit Initialized(1);
    }
}

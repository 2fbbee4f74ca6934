// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Single words at hashed slots, outside the layout that the compiler assigns.
library Storage {
    function getUint(bytes32 _slot) internal view returns (uint256 value_) {
        assembly ("memory-safe") {
            value_ := sload(_slot)
        }
    }

    function setUint(bytes32 _slot, uint256 _value) internal {
        assembly ("memory-safe") {
            sstore(_slot, _value)
        }
    }

    function getAddress(bytes32 _slot) internal view returns (address) {
        return address(uint160(getUint(_slot)));
    }

    function setAddress(bytes32 _slot, address _value) internal {
        setUint(_slot, uint160(_value));
    }
}

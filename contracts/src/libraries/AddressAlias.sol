// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The address under which an L1 contract acts on L2, so that it can't pose as the L2 contract that has the
///         same address.
library AddressAlias {
    uint160 internal constant OFFSET = uint160(0x1111000000000000000000000000000000001111);

    function applyL1ToL2Alias(address _l1Address) internal pure returns (address) {
        unchecked {
            return address(uint160(_l1Address) + OFFSET);
        }
    }
}

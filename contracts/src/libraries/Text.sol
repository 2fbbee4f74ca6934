// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Numbers as text.
library Text {
    bytes16 private constant DIGITS = "0123456789abcdef";

    /// @notice Without leading zeros.
    function decimal(uint256 _value) internal pure returns (string memory) {
        uint256 length = 1;
        for (uint256 rest = _value; rest > 9; rest /= 10) {
            ++length;
        }
        bytes memory text = new bytes(length);
        for (uint256 i = length; i > 0; _value /= 10) {
            text[--i] = DIGITS[_value % 10];
        }
        return string(text);
    }

    /// @notice "0x" and 40 lower-case digits.
    function hexadecimal(address _address) internal pure returns (string memory) {
        bytes memory text = new bytes(42);
        (text[0], text[1]) = ("0", "x");
        uint256 rest = uint160(_address);
        for (uint256 i = 42; i > 2; rest >>= 4) {
            text[--i] = DIGITS[rest & 0xf];
        }
        return string(text);
    }
}

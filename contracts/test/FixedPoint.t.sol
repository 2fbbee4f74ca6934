// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { FixedPoint } from "src/libraries/FixedPoint.sol";
import { Test } from "test/support/Test.sol";

contract FixedPointTest is Test {
    function testFuzz_clamp(int128 _value, int128 _a, int128 _b) public pure {
        (int256 min, int256 max) = _a < _b ? (_a, _b) : (_b, _a);
        int256 clamped = FixedPoint.clamp(_value, min, max);
        assertTrue(clamped >= min && clamped <= max, "in range");
        assertTrue(clamped == _value || _value < min || _value > max, "a value in range is kept");
    }

    /// @dev Against the exact power: `(d - 1) ** n / d ** n` of small numbers fits in a word.
    function testFuzz_decay_small(uint64 _value, uint8 _denominator, uint8 _exponent) public pure {
        uint256 d = bound(_denominator, 1, 255);
        uint256 n = bound(_exponent, 0, 23);
        uint256 exact = _value * (d - 1) ** n / d ** n;
        uint256 decayed = FixedPoint.decay(_value, d, n);
        assertTrue(decayed <= exact + 1 && exact <= decayed + 1, "within one");
    }

    /// @dev It never overflows, never grows with the exponent and ends at zero.
    function testFuzz_decay_large(uint128 _value, uint8 _denominator, uint64 _exponent) public pure {
        uint256 d = bound(_denominator, 1, 255);
        uint256 decayed = FixedPoint.decay(_value, d, _exponent);
        assertTrue(decayed <= _value, "not above the value");
        if (_exponent >= 50_000) assertEq(decayed, 0, "zero");
    }
}

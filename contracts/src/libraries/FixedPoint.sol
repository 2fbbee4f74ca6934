// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The arithmetic of the deposit fee market and of the games' bonds.
library FixedPoint {
    /// @dev Scale of the fractions in `decay`.
    uint256 internal constant ONE = 1e27;
    /// @dev Scale of the fractions in `exp2`.
    uint256 internal constant BINARY_ONE = 1 << 96;
    /// @dev Natural logarithm of 2, in that scale.
    uint256 private constant LN2 = 54916777467707473351141471128;

    function clamp(int256 _value, int256 _min, int256 _max) internal pure returns (int256) {
        if (_value < _min) _value = _min;
        return _value > _max ? _max : _value;
    }

    /// @notice `_value * (1 - 1 / _denominator) ** _exponent`, rounded down.
    /// @param _value       Below 2^128, so that no product overflows.
    /// @param _denominator At least 1.
    function decay(uint256 _value, uint256 _denominator, uint256 _exponent) internal pure returns (uint256) {
        uint256 base = ONE - ONE / _denominator;
        uint256 power = ONE;
        while (_exponent != 0) {
            if (_exponent & 1 == 1) power = power * base / ONE;
            base = base * base / ONE;
            _exponent >>= 1;
        }
        return _value * power / ONE;
    }

    /// @notice `2 ** _exponent`, both in units of BINARY_ONE, rounded down; less than one part in 2^90 too small.
    /// @param _exponent Below 128 times the unit, so that the result fits.
    function exp2(uint256 _exponent) internal pure returns (uint256 power_) {
        // The series of e ** x for x below ln 2; each term is less than half of the one before.
        uint256 x = _exponent % BINARY_ONE * LN2 / BINARY_ONE;
        uint256 term = BINARY_ONE;
        for (uint256 n = 1; term != 0; ++n) {
            power_ += term;
            term = term * x / BINARY_ONE / n;
        }
        power_ <<= _exponent / BINARY_ONE;
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The arithmetic of the deposit fee market.
library FixedPoint {
    /// @dev Scale of the fractions in `decay`.
    uint256 internal constant ONE = 1e27;

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
}

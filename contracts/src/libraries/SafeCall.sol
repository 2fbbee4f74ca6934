// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Calls whose target gets at least the gas that it was promised.
library SafeCall {
    /// @dev Gas for the call itself: a cold account, value, a new account; and a little for what follows.
    uint256 private constant OVERHEAD = 40_000;

    /// @notice Whether a call made now leaves its target `_minGas`: of what is left, a call passes on 63 parts of 64 at
    ///         most (EIP-150). A limit that no block could give is not worth failing for, so it may wrap around.
    function hasMinGas(uint256 _minGas, uint256 _afterwards) internal view returns (bool) {
        unchecked {
            return gasleft() * 63 >= _minGas * 64 + (OVERHEAD + _afterwards) * 63;
        }
    }

    /// @notice Calls with all the gas there is, if that is enough, and drops the result.
    function callWithMinGas(
        address _target,
        uint256 _minGas,
        uint256 _value,
        bytes memory _calldata
    )
        internal
        returns (bool success_)
    {
        require(hasMinGas(_minGas, 0), "SafeCall: Not enough gas");
        return call(_target, gasleft(), _value, _calldata);
    }

    /// @notice Calls with `_gas` gas, or with as much as a call may pass on, and drops the result.
    function call(
        address _target,
        uint256 _gas,
        uint256 _value,
        bytes memory _calldata
    )
        internal
        returns (bool success_)
    {
        // The result is not copied: its size is the target's choice, its cost would be ours.
        assembly {
            success_ := call(_gas, _target, _value, add(_calldata, 0x20), mload(_calldata), 0, 0)
        }
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Ways to destroy ether and gas.
library Burn {
    /// @notice Removes `_amount` wei of this contract's balance from the supply.
    function eth(uint256 _amount) internal {
        new Burner{ value: _amount }();
    }

    /// @notice Spends at least `_amount` gas, and no more than one loop pass above it.
    function gas(uint256 _amount) internal view {
        uint256 start = gasleft();
        while (start - gasleft() < _amount) { }
    }
}

/// @notice Destroys itself and its balance while it is created, which burns ether under EIP-6780 as well.
contract Burner {
    constructor() payable {
        selfdestruct(payable(address(this)));
    }
}

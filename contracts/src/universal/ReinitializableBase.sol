// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Names the version that an implementation initializes.
abstract contract ReinitializableBase {
    error ReinitializableBase_ZeroInitVersion();

    uint8 internal immutable INIT_VERSION;

    constructor(uint8 _initVersion) {
        if (_initVersion == 0) revert ReinitializableBase_ZeroInitVersion();
        INIT_VERSION = _initVersion;
    }

    function initVersion() public view returns (uint8) {
        return INIT_VERSION;
    }
}

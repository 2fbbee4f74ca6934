// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Initialization of contracts behind a proxy, once per version. Slot 0 and the messages are OpenZeppelin's (4.x).
abstract contract Initializable {
    /// @dev The highest version that was initialized; 255 if locked.
    uint8 private _initialized;
    bool private _initializing;

    event Initialized(uint8 version);

    /// @dev The function runs once for `_version` and never again for it or a lower one.
    modifier reinitializer(uint8 _version) {
        require(!_initializing && _initialized < _version, "Initializable: contract is already initialized");
        _initialized = _version;
        _initializing = true;
        _;
        _initializing = false;
        emit Initialized(_version);
    }

    /// @dev Only inside of an initializer.
    modifier onlyInitializing() {
        require(_initializing, "Initializable: contract is not initializing");
        _;
    }

    /// @dev Locks an implementation, which is used through its proxies only.
    function _disableInitializers() internal {
        require(!_initializing, "Initializable: contract is initializing");
        if (_initialized != type(uint8).max) {
            _initialized = type(uint8).max;
            emit Initialized(type(uint8).max);
        }
    }
}

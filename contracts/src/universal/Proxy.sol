// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { PROXY_IMPLEMENTATION_ADDRESS, PROXY_OWNER_ADDRESS } from "src/libraries/Constants.sol";
import { Storage } from "src/libraries/Storage.sol";

/// @notice A transparent EIP-1967 proxy. The admin reaches the functions below, everyone else the implementation.
///         address(0) counts as the admin: no transaction can come from it, and so eth_call may read the getters.
contract Proxy {
    event Upgraded(address indexed implementation);
    event AdminChanged(address previousAdmin, address newAdmin);

    /// @dev Delegates the call, which ends it, unless the admin makes it.
    modifier proxyCallIfNotAdmin() {
        if (msg.sender != _getAdmin() && msg.sender != address(0)) _doProxyCall();
        _;
    }

    constructor(address _admin) {
        _changeAdmin(_admin);
    }

    receive() external payable {
        _doProxyCall();
    }

    fallback() external payable {
        _doProxyCall();
    }

    function upgradeTo(address _implementation) public proxyCallIfNotAdmin {
        _setImplementation(_implementation);
    }

    /// @notice Sets the implementation and calls it with `_data`, in the proxy's context, at once.
    function upgradeToAndCall(
        address _implementation,
        bytes calldata _data
    )
        public
        payable
        proxyCallIfNotAdmin
        returns (bytes memory)
    {
        _setImplementation(_implementation);
        (bool success, bytes memory result) = _implementation.delegatecall(_data);
        require(success, "Proxy: delegatecall to new implementation contract failed");
        return result;
    }

    function changeAdmin(address _admin) public proxyCallIfNotAdmin {
        _changeAdmin(_admin);
    }

    function admin() public proxyCallIfNotAdmin returns (address) {
        return _getAdmin();
    }

    function implementation() public proxyCallIfNotAdmin returns (address) {
        return _getImplementation();
    }

    function _setImplementation(address _implementation) internal {
        Storage.setAddress(PROXY_IMPLEMENTATION_ADDRESS, _implementation);
        emit Upgraded(_implementation);
    }

    function _changeAdmin(address _admin) internal {
        address previous = _getAdmin();
        Storage.setAddress(PROXY_OWNER_ADDRESS, _admin);
        emit AdminChanged(previous, _admin);
    }

    function _getImplementation() internal view returns (address) {
        return Storage.getAddress(PROXY_IMPLEMENTATION_ADDRESS);
    }

    function _getAdmin() internal view returns (address) {
        return Storage.getAddress(PROXY_OWNER_ADDRESS);
    }

    /// @dev Hands the call to the implementation and ends it with the implementation's result.
    function _doProxyCall() internal {
        address target = _getImplementation();
        require(target != address(0), "Proxy: implementation not initialized");
        // Nothing of Solidity runs after this block, so that all of memory is free for the call's data.
        assembly {
            calldatacopy(0, 0, calldatasize())
            let success := delegatecall(gas(), target, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if success { return(0, returndatasize()) }
            revert(0, returndatasize())
        }
    }
}

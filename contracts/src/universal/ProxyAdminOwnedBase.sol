// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { PROXY_OWNER_ADDRESS } from "src/libraries/Constants.sol";
import { Storage } from "src/libraries/Storage.sol";
import { IProxyAdmin } from "src/interfaces/IProxyAdmin.sol";
import { IAddressManager } from "src/interfaces/IProxies.sol";

/// @notice Finds the ProxyAdmin of the proxy that the contract runs behind, and guards functions by it.
abstract contract ProxyAdminOwnedBase {
    error ProxyAdminOwnedBase_NotSharedProxyAdminOwner();
    error ProxyAdminOwnedBase_NotProxyAdminOwner();
    error ProxyAdminOwnedBase_NotProxyAdmin();
    error ProxyAdminOwnedBase_NotProxyAdminOrProxyAdminOwner();
    error ProxyAdminOwnedBase_ProxyAdminNotFound();
    error ProxyAdminOwnedBase_NotResolvedDelegateProxy();

    /// @dev The one name that a resolved delegate proxy is in use under.
    string private constant RESOLVED_NAME = "OVM_L1CrossDomainMessenger";

    function proxyAdminOwner() public view returns (address) {
        return proxyAdmin().owner();
    }

    /// @notice The admin in the EIP-1967 slot; behind a legacy resolved delegate proxy, which has none there, the owner
    ///         of its AddressManager.
    function proxyAdmin() public view returns (IProxyAdmin) {
        address admin = Storage.getAddress(PROXY_OWNER_ADDRESS);
        if (admin != address(0)) return IProxyAdmin(admin);

        // That proxy keeps its name in a mapping at slot 0 and its AddressManager in one at slot 1, both keyed by its
        // own address. A string below 32 bytes is stored as its bytes and, in the lowest byte, twice its length.
        uint256 name = uint256(bytes32(bytes(RESOLVED_NAME))) | (bytes(RESOLVED_NAME).length * 2);
        if (Storage.getUint(keccak256(abi.encode(address(this), uint256(0)))) != name) {
            revert ProxyAdminOwnedBase_NotResolvedDelegateProxy();
        }
        address manager = Storage.getAddress(keccak256(abi.encode(address(this), uint256(1))));
        if (manager == address(0)) revert ProxyAdminOwnedBase_ProxyAdminNotFound();
        return IProxyAdmin(IAddressManager(manager).owner());
    }

    function _assertSharedProxyAdminOwner(address _proxy) internal view {
        if (proxyAdminOwner() != ProxyAdminOwnedBase(_proxy).proxyAdminOwner()) {
            revert ProxyAdminOwnedBase_NotSharedProxyAdminOwner();
        }
    }

    function _assertOnlyProxyAdminOwner() internal view {
        if (msg.sender != proxyAdminOwner()) revert ProxyAdminOwnedBase_NotProxyAdminOwner();
    }

    function _assertOnlyProxyAdmin() internal view {
        if (msg.sender != address(proxyAdmin())) revert ProxyAdminOwnedBase_NotProxyAdmin();
    }

    function _assertOnlyProxyAdminOrProxyAdminOwner() internal view {
        if (msg.sender != address(proxyAdmin()) && msg.sender != proxyAdminOwner()) {
            revert ProxyAdminOwnedBase_NotProxyAdminOrProxyAdminOwner();
        }
    }
}

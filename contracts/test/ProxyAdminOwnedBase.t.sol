// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { PROXY_OWNER_ADDRESS } from "src/libraries/Constants.sol";
import { ProxyAdmin } from "src/universal/ProxyAdmin.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { IAddressManager } from "src/interfaces/IProxies.sol";
import { Test } from "test/support/Test.sol";

contract Owned is ProxyAdminOwnedBase {
    function onlyAdmin() external view {
        _assertOnlyProxyAdmin();
    }

    function onlyAdminOwner() external view {
        _assertOnlyProxyAdminOwner();
    }

    function onlyEither() external view {
        _assertOnlyProxyAdminOrProxyAdminOwner();
    }

    function sharedWith(address _proxy) external view {
        _assertSharedProxyAdminOwner(_proxy);
    }
}

contract ProxyAdminOwnedBaseTest is Test {
    address internal constant OWNER = address(0xA11CE);
    string internal constant NAME = "OVM_L1CrossDomainMessenger";

    Owned internal owned;
    ProxyAdmin internal admin;

    function setUp() public {
        owned = new Owned();
        admin = new ProxyAdmin(OWNER);
    }

    function testFuzz_guards(address _stranger) public {
        vm.assume(_stranger != OWNER && _stranger != address(admin));
        setAdmin(owned, admin);
        assertEq(address(owned.proxyAdmin()), address(admin), "admin");
        assertEq(owned.proxyAdminOwner(), OWNER, "owner");

        vm.startPrank(_stranger);
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotProxyAdmin.selector);
        owned.onlyAdmin();
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotProxyAdminOwner.selector);
        owned.onlyAdminOwner();
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotProxyAdminOrProxyAdminOwner.selector);
        owned.onlyEither();
        vm.stopPrank();

        vm.startPrank(OWNER);
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotProxyAdmin.selector);
        owned.onlyAdmin();
        owned.onlyAdminOwner();
        owned.onlyEither();
        vm.stopPrank();

        vm.startPrank(address(admin));
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotProxyAdminOwner.selector);
        owned.onlyAdminOwner();
        owned.onlyAdmin();
        owned.onlyEither();
    }

    function test_sharedOwner() public {
        setAdmin(owned, admin);
        Owned other = new Owned();
        setAdmin(other, new ProxyAdmin(OWNER));
        owned.sharedWith(address(other));
        setAdmin(other, new ProxyAdmin(address(0xB0B)));
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotSharedProxyAdminOwner.selector);
        owned.sharedWith(address(other));
    }

    /// @dev Behind the official resolved delegate proxy of the messenger, whose AddressManager the admin owns.
    function test_resolvedDelegateProxy() public {
        IAddressManager manager = IAddressManager(deployOfficial("AddressManager", ""));
        manager.setAddress(NAME, address(owned));
        manager.transferOwnership(address(admin));
        Owned through = Owned(deployOfficial("ResolvedDelegateProxy", abi.encode(manager, NAME)));
        assertEq(address(through.proxyAdmin()), address(admin), "admin");
        assertEq(through.proxyAdminOwner(), OWNER, "owner");

        // Without its AddressManager there is no admin to find.
        vm.store(address(through), keccak256(abi.encode(address(through), 1)), 0);
        vm.etch(address(through), address(owned).code);
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_ProxyAdminNotFound.selector);
        through.proxyAdmin();
    }

    function test_resolvedDelegateProxy_ofAnotherName() public {
        IAddressManager manager = IAddressManager(deployOfficial("AddressManager", ""));
        manager.setAddress("Another", address(owned));
        Owned through = Owned(deployOfficial("ResolvedDelegateProxy", abi.encode(manager, "Another")));
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotResolvedDelegateProxy.selector);
        through.proxyAdmin();
    }

    function setAdmin(Owned _owned, ProxyAdmin _admin) internal {
        vm.store(address(_owned), PROXY_OWNER_ADDRESS, bytes32(uint256(uint160(address(_admin)))));
    }
}

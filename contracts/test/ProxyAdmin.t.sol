// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IAddressManager } from "src/interfaces/IProxies.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { ProxyAdmin } from "src/universal/ProxyAdmin.sol";
import { Test } from "test/support/Test.sol";
import { Target } from "test/Proxy.t.sol";

contract ProxyAdminTest is Test {
    address internal constant OWNER = address(0xA11CE);
    address internal constant OTHER = address(0xB0B);

    ProxyAdmin internal admin;
    address internal official;
    Target internal target;

    function setUp() public {
        admin = new ProxyAdmin(OWNER);
        official = deployOfficial("ProxyAdmin", abi.encode(OWNER));
        target = new Target();
    }

    function test_ownerOfConstructor() public view {
        assertEq(admin.owner(), OWNER, "owner");
        assertEq(vm.load(address(admin), 0), bytes32(uint256(uint160(OWNER))), "slot 0");
    }

    function test_erc1967_upgradeAndCall() public {
        address payable proxy = payable(address(new Proxy(address(admin))));
        assertEq(admin.getProxyImplementation(proxy), address(0), "none");
        assertEq(admin.getProxyAdmin(proxy), address(admin), "admin");
        vm.deal(OWNER, 5);
        vm.startPrank(OWNER);
        admin.upgradeAndCall{ value: 5 }(proxy, address(target), abi.encodeCall(target.store, (42)));
        assertEq(admin.getProxyImplementation(proxy), address(target), "implementation");
        vm.expectRevert("Proxy: delegatecall to new implementation contract failed");
        admin.upgradeAndCall(proxy, address(target), abi.encodeCall(target.refuse, (42)));
        admin.changeProxyAdmin(proxy, OTHER);
        vm.stopPrank();
        assertEq(Target(proxy).stored(), 42, "called");
        assertEq(Target(proxy).lastSender(), address(admin), "by the admin");
        assertEq(proxy.balance, 5, "value");
        vm.prank(OTHER);
        assertEq(Proxy(proxy).admin(), OTHER, "new admin");
    }

    function testFuzz_onlyOwner(address _stranger, bytes4 _extra) public {
        vm.assume(_stranger != OWNER && _stranger != address(vm));
        address payable proxy = payable(address(new Proxy(address(admin))));
        bytes[9] memory calls = [
            abi.encodeCall(admin.setProxyType, (proxy, ProxyAdmin.ProxyType.RESOLVED)),
            abi.encodeCall(admin.setImplementationName, (proxy, "x")),
            abi.encodeCall(admin.setAddressManager, (IAddressManager(proxy))),
            abi.encodeCall(admin.setAddress, ("x", proxy)),
            abi.encodeCall(admin.setUpgrading, (true)),
            abi.encodeCall(admin.changeProxyAdmin, (proxy, OTHER)),
            abi.encodeCall(admin.upgrade, (proxy, address(target))),
            abi.encodeCall(admin.upgradeAndCall, (proxy, address(target), abi.encodePacked(_extra))),
            abi.encodeCall(admin.transferOwnership, (OTHER))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(_stranger);
            (bool success, bytes memory result) = address(admin).call(calls[i]);
            assertTrue(!success, "refused");
            assertEq(result, abi.encodeWithSignature("Error(string)", "Ownable: caller is not the owner"), "reason");
        }
    }

    /// @dev Every function, on the three kinds of proxies, beside the official contract: each of the two administers its
    ///      own proxies.
    function testFuzz_official_same(address _implementation, address _next, string memory _name) public {
        vm.assume(_implementation.code.length == 0 && uint160(_implementation) > 0xff);
        vm.assume(_next != OWNER && _next != address(vm) && _next != address(admin) && _next != official);
        Kit memory ours = kit(address(admin), _name);
        Kit memory theirs = kit(official, _name);
        for (uint256 i = 0; i < 3; ++i) {
            address a = ours.proxies[i];
            address b = theirs.proxies[i];
            both(calldataOf("getProxyImplementation(address)", a), calldataOf("getProxyImplementation(address)", b));
            both(
                abi.encodeCall(admin.upgrade, (payable(a), address(target))),
                abi.encodeCall(admin.upgrade, (payable(b), address(target)))
            );
            both(calldataOf("getProxyImplementation(address)", a), calldataOf("getProxyImplementation(address)", b));
            bytes memory store = abi.encodeCall(target.store, (i));
            both(
                abi.encodeCall(admin.upgradeAndCall, (payable(a), address(target), store)),
                abi.encodeCall(admin.upgradeAndCall, (payable(b), address(target), store))
            );
            assertEq(vm.load(a, 0), vm.load(b, 0), "proxy's slot 0");
            bytes memory refuse = abi.encodeCall(target.refuse, (i));
            both(
                abi.encodeCall(admin.upgradeAndCall, (payable(a), address(target), refuse)),
                abi.encodeCall(admin.upgradeAndCall, (payable(b), address(target), refuse))
            );
            both(
                abi.encodeCall(admin.changeProxyAdmin, (payable(a), _next)),
                abi.encodeCall(admin.changeProxyAdmin, (payable(b), _next))
            );
            both(
                abi.encodeCall(admin.upgrade, (payable(a), address(target))),
                abi.encodeCall(admin.upgrade, (payable(b), address(target)))
            );
        }
        both(abi.encodeCall(admin.setUpgrading, (true)), abi.encodeCall(admin.setUpgrading, (true)));
        assertSame(address(admin), official, OWNER, 0, abi.encodeCall(admin.isUpgrading, ()));
        assertSame(address(admin), official, OWNER, 0, abi.encodeCall(admin.transferOwnership, (address(0))));
        assertSame(address(admin), official, OWNER, 0, abi.encodeCall(admin.transferOwnership, (_next)));
        assertSame(address(admin), official, _next, 0, abi.encodeCall(admin.renounceOwnership, ()));
        assertSame(address(admin), official, abi.encodeCall(admin.owner, ()));
    }

    struct Kit {
        address[3] proxies;
    }

    /// @dev A proxy of each kind, administered by `_admin`.
    function kit(address _admin, string memory _name) internal returns (Kit memory kit_) {
        IAddressManager manager = IAddressManager(deployOfficial("AddressManager", ""));
        kit_.proxies[0] = address(new Proxy(_admin));
        kit_.proxies[1] = deployOfficial("L1ChugSplashProxy", abi.encode(_admin));
        kit_.proxies[2] = deployOfficial("ResolvedDelegateProxy", abi.encode(manager, _name));
        manager.transferOwnership(_admin);
        ProxyAdmin that = ProxyAdmin(_admin);
        vm.startPrank(OWNER);
        that.setAddressManager(manager);
        that.setProxyType(kit_.proxies[1], ProxyAdmin.ProxyType.CHUGSPLASH);
        that.setProxyType(kit_.proxies[2], ProxyAdmin.ProxyType.RESOLVED);
        that.setImplementationName(kit_.proxies[2], _name);
        that.setAddress(_name, address(0));
        vm.stopPrank();
    }

    /// @dev Makes one call to each admin, as the owner, and compares outcomes.
    function both(bytes memory _ours, bytes memory _theirs) internal {
        vm.prank(OWNER);
        (bool ourSuccess, bytes memory ourResult) = address(admin).call(_ours);
        vm.prank(OWNER);
        (bool theirSuccess, bytes memory theirResult) = official.call(_theirs);
        assertEq(ourSuccess ? 1 : 0, theirSuccess ? 1 : 0, "success");
        assertEq(ourResult, theirResult, "result");
    }

    function calldataOf(string memory _signature, address _argument) internal pure returns (bytes memory) {
        return abi.encodeWithSignature(_signature, _argument);
    }
}

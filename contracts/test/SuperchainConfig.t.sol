// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { SuperchainConfig } from "src/L1/SuperchainConfig.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { ProxyAdmin } from "src/universal/ProxyAdmin.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { Test } from "test/support/Test.sol";

contract SuperchainConfigTest is Test {
    event Paused(address identifier);
    event Unpaused(address identifier);

    address internal constant GUARDIAN = address(0x6A2D);
    address internal constant ALL = address(0);
    uint256 internal constant EXPIRY = 7_884_000;

    SuperchainConfig internal config;

    function setUp() public {
        vm.warp(1_800_000_000);
        bytes memory call = abi.encodeCall(SuperchainConfig.initialize, (GUARDIAN));
        config = SuperchainConfig(deployProxied(address(new SuperchainConfig()), call));
    }

    function test_initialize() public {
        assertEq(config.guardian(), GUARDIAN, "guardian");
        assertEq(config.pauseExpiry(), EXPIRY, "expiry");
        assertEq(config.initVersion(), 3, "init version");
        assertTrue(!config.paused(), "not paused");
        vm.expectRevert("Initializable: contract is already initialized");
        config.initialize(address(this));
        SuperchainConfig implementation = new SuperchainConfig();
        vm.expectRevert("Initializable: contract is already initialized");
        implementation.initialize(GUARDIAN);
    }

    function testFuzz_only_the_admin_initializes(address _stranger) public {
        ProxyAdmin admin = new ProxyAdmin(GUARDIAN);
        vm.assume(_stranger != address(admin) && _stranger != GUARDIAN);
        Proxy proxy = new Proxy(address(this));
        proxy.upgradeTo(address(new SuperchainConfig()));
        proxy.changeAdmin(address(admin));
        vm.prank(_stranger);
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotProxyAdminOrProxyAdminOwner.selector);
        SuperchainConfig(address(proxy)).initialize(_stranger);
        vm.prank(GUARDIAN);
        SuperchainConfig(address(proxy)).initialize(_stranger);
        assertEq(SuperchainConfig(address(proxy)).guardian(), _stranger, "guardian");
    }

    function testFuzz_only_the_guardian_switches(address _stranger, address _identifier) public {
        vm.assume(_stranger != GUARDIAN && _stranger != address(this));
        vm.startPrank(_stranger);
        vm.expectRevert(SuperchainConfig.SuperchainConfig_OnlyGuardian.selector);
        config.pause(_identifier);
        vm.expectRevert(SuperchainConfig.SuperchainConfig_OnlyGuardian.selector);
        config.unpause(_identifier);
        vm.expectRevert(SuperchainConfig.SuperchainConfig_OnlyGuardian.selector);
        config.extend(_identifier);
    }

    function testFuzz_a_pause_ends_by_itself(address _identifier, address _other, uint256 _after) public {
        vm.assume(_identifier != _other);
        uint256 start = block.timestamp;
        vm.expectEmit(address(config));
        emit Paused(_identifier);
        vm.prank(GUARDIAN);
        config.pause(_identifier);
        assertTrue(config.paused(_identifier), "paused");
        assertTrue(!config.paused(_other), "another is not");
        assertEq(config.expiration(_identifier), start + EXPIRY, "expiration");
        assertEq(config.expiration(_other), 0, "no expiration");

        vm.warp(start + EXPIRY - 1);
        assertTrue(config.paused(_identifier), "still paused");
        vm.warp(start + EXPIRY);
        assertTrue(!config.paused(_identifier), "over");

        // What is over must be reset before the switch works again.
        vm.warp(start + EXPIRY + bound(_after, 0, 1e9));
        assertTrue(!config.pausable(_identifier), "not pausable");
        vm.startPrank(GUARDIAN);
        vm.expectRevert(abi.encodeWithSelector(SuperchainConfig.SuperchainConfig_AlreadyPaused.selector, _identifier));
        config.pause(_identifier);
        vm.expectEmit(address(config));
        emit Unpaused(_identifier);
        config.unpause(_identifier);
        assertTrue(config.pausable(_identifier), "pausable");
        config.pause(_identifier);
        assertTrue(config.paused(_identifier), "paused again");
    }

    function testFuzz_extend_begins_anew(address _identifier, uint256 _after) public {
        vm.startPrank(GUARDIAN);
        bytes memory notPaused =
            abi.encodeWithSelector(SuperchainConfig.SuperchainConfig_NotAlreadyPaused.selector, _identifier);
        vm.expectRevert(notPaused);
        config.extend(_identifier);
        config.pause(_identifier);
        uint256 later = block.timestamp + bound(_after, 1, 1e9);
        vm.warp(later);
        config.extend(_identifier);
        assertEq(config.pauseTimestamps(_identifier), later, "begun anew");
        assertTrue(config.paused(_identifier), "paused");
    }

    function test_all_chains_have_an_identifier_of_their_own() public {
        vm.prank(GUARDIAN);
        config.pause(ALL);
        assertTrue(config.paused(), "all");
        assertTrue(!config.paused(address(1)), "the contract of a chain asks for both");
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { ETHLockbox } from "src/L1/ETHLockbox.sol";
import { DEFAULT_L2_SENDER } from "src/libraries/Constants.sol";
import { ProxyAdmin } from "src/universal/ProxyAdmin.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { IETHLockbox } from "src/interfaces/IETHLockbox.sol";
import { IOptimismPortal2 } from "src/interfaces/IOptimismPortal2.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";
import { Test } from "test/support/Test.sol";

/// @notice A configuration, to set by hand.
contract Config {
    bool public paused;
    address public superchainConfig = address(0x5C);

    function set(bool _paused) external {
        paused = _paused;
    }
}

/// @notice A portal's part, to set by hand.
contract Portal {
    address public proxyAdminOwner;
    address public superchainConfig = address(0x5C);
    address public l2Sender = DEFAULT_L2_SENDER;

    constructor(address _owner) {
        proxyAdminOwner = _owner;
    }

    function setSuperchainConfig(address _config) external {
        superchainConfig = _config;
    }

    function setSender(address _sender) external {
        l2Sender = _sender;
    }

    function donateETH() external payable { }

    function lock(IETHLockbox _lockbox, uint256 _value) external {
        _lockbox.lockETH{ value: _value }();
    }

    function unlock(IETHLockbox _lockbox, uint256 _value) external {
        _lockbox.unlockETH(_value);
    }
}

contract ETHLockboxTest is Test {
    event ETHLocked(IOptimismPortal2 indexed portal, uint256 amount);
    event ETHUnlocked(IOptimismPortal2 indexed portal, uint256 amount);
    event LiquidityMigrated(IETHLockbox indexed lockbox, uint256 amount);
    event LiquidityReceived(IETHLockbox indexed lockbox, uint256 amount);

    address internal constant OWNER = address(0xA11CE);

    Config internal config;
    Portal internal portal;
    ETHLockbox internal lockbox;

    function setUp() public {
        config = new Config();
        portal = new Portal(OWNER);
        lockbox = deploy(OWNER);
        vm.deal(address(portal), 100 ether);
    }

    function deploy(address _owner) internal returns (ETHLockbox) {
        ProxyAdmin admin = new ProxyAdmin(_owner);
        Proxy proxy = new Proxy(address(this));
        proxy.upgradeTo(address(new ETHLockbox()));
        proxy.changeAdmin(address(admin));
        IOptimismPortal2[] memory portals = new IOptimismPortal2[](_owner == OWNER ? 1 : 0);
        if (_owner == OWNER) portals[0] = IOptimismPortal2(address(portal));
        vm.prank(_owner);
        ETHLockbox(address(proxy)).initialize(ISystemConfig(address(config)), portals);
        return ETHLockbox(address(proxy));
    }

    function test_initialize() public {
        assertTrue(lockbox.authorizedPortals(IOptimismPortal2(address(portal))), "portal");
        assertEq(address(lockbox.superchainConfig()), address(0x5C), "superchain config");
        vm.expectRevert("Initializable: contract is already initialized");
        vm.prank(OWNER);
        lockbox.initialize(ISystemConfig(address(config)), new IOptimismPortal2[](0));
    }

    function testFuzz_what_is_locked_can_be_unlocked(uint256 _in, uint256 _out) public {
        _in = bound(_in, 0, 100 ether);
        vm.expectEmit(address(lockbox));
        emit ETHLocked(IOptimismPortal2(address(portal)), _in);
        portal.lock(lockbox, _in);
        assertEq(address(lockbox).balance, _in, "locked");
        if (_out > _in) {
            vm.expectRevert(ETHLockbox.ETHLockbox_InsufficientBalance.selector);
            portal.unlock(lockbox, _out);
            return;
        }
        vm.expectEmit(address(lockbox));
        emit ETHUnlocked(IOptimismPortal2(address(portal)), _out);
        portal.unlock(lockbox, _out);
        assertEq(address(lockbox).balance, _in - _out, "the rest");
        assertEq(address(portal).balance, 100 ether - _in + _out, "back at the portal");
    }

    function test_only_authorized_portals() public {
        portal.lock(lockbox, 1 ether);
        Portal other = new Portal(OWNER);
        vm.deal(address(other), 1 ether);
        vm.expectRevert(ETHLockbox.ETHLockbox_Unauthorized.selector);
        other.lock(lockbox, 1 ether);
        vm.expectRevert(ETHLockbox.ETHLockbox_Unauthorized.selector);
        other.unlock(lockbox, 1 ether);
        vm.prank(OWNER);
        lockbox.authorizePortal(IOptimismPortal2(address(other)));
        other.unlock(lockbox, 1 ether);
        assertEq(address(other).balance, 2 ether, "authorized portals share");
    }

    function test_no_unlocking_while_paused_or_in_a_withdrawal() public {
        portal.lock(lockbox, 1 ether);
        config.set(true);
        vm.expectRevert(ETHLockbox.ETHLockbox_Paused.selector);
        portal.unlock(lockbox, 1 ether);
        portal.lock(lockbox, 1 ether);
        config.set(false);
        portal.setSender(address(1));
        vm.expectRevert(ETHLockbox.ETHLockbox_NoWithdrawalTransactions.selector);
        portal.unlock(lockbox, 1 ether);
        portal.setSender(DEFAULT_L2_SENDER);
        portal.unlock(lockbox, 2 ether);
    }

    function test_portals_must_belong_to_the_same_superchain() public {
        Portal foreign = new Portal(address(0xBAD));
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotProxyAdminOwner.selector);
        lockbox.authorizePortal(IOptimismPortal2(address(portal)));
        vm.startPrank(OWNER);
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotSharedProxyAdminOwner.selector);
        lockbox.authorizePortal(IOptimismPortal2(address(foreign)));
        portal.setSuperchainConfig(address(0x5D));
        vm.expectRevert(ETHLockbox.ETHLockbox_DifferentSuperchainConfig.selector);
        lockbox.authorizePortal(IOptimismPortal2(address(portal)));
    }

    function test_liquidity_moves_between_lockboxes() public {
        portal.lock(lockbox, 5 ether);
        ETHLockbox target = deploy(OWNER);
        vm.startPrank(OWNER);
        vm.expectRevert(ETHLockbox.ETHLockbox_Unauthorized.selector);
        lockbox.migrateLiquidity(target);
        target.authorizeLockbox(lockbox);
        vm.expectEmit(address(target));
        emit LiquidityReceived(lockbox, 5 ether);
        vm.expectEmit(address(lockbox));
        emit LiquidityMigrated(target, 5 ether);
        lockbox.migrateLiquidity(target);
        vm.stopPrank();
        assertEq(address(target).balance, 5 ether, "moved");
        assertEq(address(lockbox).balance, 0, "nothing left");

        ETHLockbox foreign = deploy(address(0xBAD));
        vm.startPrank(OWNER);
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotSharedProxyAdminOwner.selector);
        target.migrateLiquidity(foreign);
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotSharedProxyAdminOwner.selector);
        target.authorizeLockbox(foreign);
        vm.stopPrank();
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotProxyAdminOwner.selector);
        target.migrateLiquidity(lockbox);
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotProxyAdminOwner.selector);
        target.authorizeLockbox(lockbox);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { DelayedWETH } from "src/dispute/DelayedWETH.sol";
import { ProxyAdmin } from "src/universal/ProxyAdmin.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";
import { Test } from "test/support/Test.sol";

/// @notice A configuration with a pause to set by hand.
contract Switch {
    bool public paused;
    address public superchainConfig = address(0x5C);

    function set(bool _paused) external {
        paused = _paused;
    }
}

/// @notice Tries to withdraw again while it is being paid.
contract Reentrant {
    DelayedWETH internal weth;

    constructor(DelayedWETH _weth) {
        weth = _weth;
    }

    function start() external {
        weth.withdraw(address(1), 1 ether);
    }

    receive() external payable {
        weth.withdraw(address(1), 1 ether);
    }
}

contract DelayedWETHTest is Test {
    event Approval(address indexed src, address indexed guy, uint256 wad);

    uint256 internal constant DELAY = 7 days;
    address internal constant OWNER = address(0xA11CE);
    address internal constant GAME = address(0x6A3E);
    address internal constant WINNER = address(0xB0B);

    Switch internal pause;
    DelayedWETH internal weth;

    function setUp() public {
        vm.warp(1_800_000_000);
        pause = new Switch();
        ProxyAdmin admin = new ProxyAdmin(OWNER);
        Proxy proxy = new Proxy(address(this));
        bytes memory call = abi.encodeCall(DelayedWETH.initialize, (ISystemConfig(address(pause))));
        proxy.upgradeToAndCall(address(new DelayedWETH(DELAY)), call);
        proxy.changeAdmin(address(admin));
        weth = DelayedWETH(payable(address(proxy)));
        vm.deal(GAME, 100 ether);
        vm.prank(GAME);
        weth.deposit{ value: 10 ether }();
    }

    function test_initialize() public {
        assertEq(weth.delay(), DELAY, "delay");
        assertEq(address(weth.config()), address(0x5C), "superchain config");
        vm.expectRevert("Initializable: contract is already initialized");
        weth.initialize(ISystemConfig(address(1)));
    }

    function testFuzz_a_withdrawal_waits(uint256 _wad, uint256 _early) public {
        _wad = bound(_wad, 0, 10 ether);
        vm.startPrank(GAME);
        weth.unlock(WINNER, _wad);
        vm.warp(block.timestamp + bound(_early, 0, DELAY - 1));
        vm.expectRevert("DelayedWETH: withdrawal delay not met");
        weth.withdraw(WINNER, _wad);

        vm.warp(1_800_000_000 + DELAY);
        uint256 before = GAME.balance;
        weth.withdraw(WINNER, _wad);
        assertEq(GAME.balance - before, _wad, "paid to the game");
        assertEq(weth.balanceOf(GAME), 10 ether - _wad, "balance");
        vm.expectRevert("DelayedWETH: insufficient unlocked withdrawal");
        weth.withdraw(WINNER, 1);
    }

    function test_nothing_without_an_announcement() public {
        vm.startPrank(GAME);
        vm.expectRevert("DelayedWETH: insufficient unlocked withdrawal");
        weth.withdraw(1 ether);
        vm.expectRevert("DelayedWETH: withdrawal not unlocked");
        weth.withdraw(WINNER, 0);
    }

    function test_each_announcement_begins_the_delay_anew() public {
        vm.startPrank(GAME);
        weth.unlock(WINNER, 1 ether);
        vm.warp(1_800_000_000 + DELAY - 1);
        weth.unlock(WINNER, 2 ether);
        vm.warp(1_800_000_000 + DELAY);
        vm.expectRevert("DelayedWETH: withdrawal delay not met");
        weth.withdraw(WINNER, 1 ether);
        vm.warp(1_800_000_000 + 2 * DELAY - 1);
        weth.withdraw(WINNER, 3 ether);
        (uint256 amount,) = weth.withdrawals(GAME, WINNER);
        assertEq(amount, 0, "all of it");
    }

    function test_an_announcement_is_the_games_own() public {
        vm.prank(WINNER);
        weth.unlock(WINNER, 10 ether);
        vm.warp(block.timestamp + DELAY);
        vm.prank(WINNER);
        vm.expectRevert();
        weth.withdraw(WINNER, 10 ether);
        assertEq(weth.balanceOf(GAME), 10 ether, "untouched");
    }

    function test_paused() public {
        vm.startPrank(GAME);
        weth.unlock(WINNER, 1 ether);
        vm.warp(block.timestamp + DELAY);
        pause.set(true);
        vm.expectRevert("DelayedWETH: contract is paused");
        weth.withdraw(WINNER, 1 ether);
        // Announcing goes on: it moves nothing.
        weth.unlock(address(this), 1 ether);
        pause.set(false);
        weth.withdraw(WINNER, 1 ether);
    }

    function test_no_reentrancy() public {
        Reentrant attacker = new Reentrant(weth);
        vm.deal(address(this), 2 ether);
        (bool sent,) = address(weth).call{ value: 2 ether }("");
        assertTrue(sent, "deposits");
        weth.transfer(address(attacker), 2 ether);
        vm.prank(address(attacker));
        weth.unlock(address(1), 2 ether);
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert();
        attacker.start();
        assertEq(weth.balanceOf(address(attacker)), 2 ether, "nothing gone");
    }

    function testFuzz_the_owner_holds_bonds(uint256 _wad, address _stranger) public {
        vm.assume(_stranger != OWNER);
        _wad = bound(_wad, 0, 10 ether);
        vm.startPrank(_stranger);
        vm.expectRevert("DelayedWETH: not owner");
        weth.hold(GAME);
        vm.expectRevert("DelayedWETH: not owner");
        weth.hold(GAME, _wad);
        vm.expectRevert("DelayedWETH: not owner");
        weth.recover(1);
        vm.stopPrank();

        vm.expectEmit(address(weth));
        emit Approval(GAME, OWNER, _wad);
        vm.prank(OWNER);
        weth.hold(GAME, _wad);
        assertEq(weth.balanceOf(OWNER), _wad, "held");
        assertEq(weth.allowance(GAME, OWNER), 0, "no allowance is left");
        vm.prank(OWNER);
        weth.hold(GAME);
        assertEq(weth.balanceOf(OWNER), 10 ether, "the rest");
    }

    function testFuzz_recover(uint256 _wad) public {
        uint256 before = OWNER.balance;
        vm.prank(OWNER);
        weth.recover(_wad);
        assertEq(OWNER.balance - before, _wad > 10 ether ? 10 ether : _wad, "what is there at most");
    }
}

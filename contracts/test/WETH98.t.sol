// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { WETH98 } from "src/universal/WETH98.sol";
import { Test } from "test/support/Test.sol";

contract WETH98Test is Test {
    address internal ours;
    address internal official;

    function setUp() public {
        ours = address(new WETH98());
        official = deployOfficial("WETH98", "");
    }

    function testFuzz_official_calls(address _a, address _b, uint256 _amount, uint256 _allowed, bool _all) public {
        vm.assume(_a != address(0) && _a.code.length == 0 && uint160(_a) > 0xffff && uint160(_b) > 0xffff);
        uint256 held = bound(_amount, 0, 1e30);
        assertTrue(assertSame(ours, official, _a, held, abi.encodeWithSignature("deposit()")), "deposits");
        assertSame(ours, official, _a, held, "");
        assertSame(ours, official, _a, held, hex"01020304");
        uint256 allowed = _all ? type(uint256).max : _allowed;
        assertSame(ours, official, _a, 0, abi.encodeWithSignature("approve(address,uint256)", _b, allowed));
        bytes memory take = abi.encodeWithSignature("transferFrom(address,address,uint256)", _a, address(1), held / 3);
        assertSame(ours, official, _b, 0, take);
        assertSame(ours, official, _a, 0, abi.encodeWithSignature("transfer(address,uint256)", _b, _allowed));
        assertSame(ours, official, _a, 0, abi.encodeWithSignature("transfer(address,uint256)", _b, held / 2));
        assertSame(ours, official, _a, 0, abi.encodeWithSignature("withdraw(uint256)", _amount));
        assertSame(ours, official, _a, 0, abi.encodeWithSignature("withdraw(uint256)", held / 4));
        assertSame(ours, official, abi.encodeWithSignature("name()"));
        assertSame(ours, official, abi.encodeWithSignature("symbol()"));
        assertSame(ours, official, abi.encodeWithSignature("decimals()"));
        assertSame(ours, official, abi.encodeWithSignature("totalSupply()"));
        assertSame(ours, official, abi.encodeWithSignature("balanceOf(address)", _a));
        assertSame(ours, official, abi.encodeWithSignature("allowance(address,address)", _a, _b));
    }

    function testFuzz_an_endless_allowance_stays(uint256 _wad) public {
        WETH98 weth = WETH98(payable(ours));
        _wad = bound(_wad, 0, 1e30);
        vm.deal(address(this), _wad);
        weth.deposit{ value: _wad }();
        weth.approve(address(0xB0B), type(uint256).max);
        vm.prank(address(0xB0B));
        weth.transferFrom(address(this), address(0xB0B), _wad);
        assertEq(weth.allowance(address(this), address(0xB0B)), type(uint256).max, "allowance");
        assertEq(weth.balanceOf(address(0xB0B)), _wad, "balance");
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { PROXY_IMPLEMENTATION_ADDRESS, PROXY_OWNER_ADDRESS } from "src/libraries/Constants.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { Test } from "test/support/Test.sol";

/// @notice An implementation with state, results, errors and functions that have the names of the proxy's own.
contract Target {
    error Refused(uint256 code);

    uint256 public stored;
    address public lastSender;

    function store(uint256 _value) external payable returns (uint256) {
        stored = _value;
        lastSender = msg.sender;
        return msg.value;
    }

    function refuse(uint256 _code) external pure {
        revert Refused(_code);
    }

    function admin() external pure returns (uint256) {
        return 4711;
    }

    receive() external payable {
        stored = msg.value;
    }
}

contract ProxyTest is Test {
    event Upgraded(address indexed implementation);
    event AdminChanged(address previousAdmin, address newAdmin);

    address internal constant ADMIN = address(0xAD);
    Proxy internal proxy;
    Target internal target;

    function setUp() public {
        vm.expectEmit(computeNext());
        emit AdminChanged(address(0), ADMIN);
        proxy = new Proxy(ADMIN);
        target = new Target();
    }

    function test_slots_areOfEIP1967() public {
        vm.prank(ADMIN);
        proxy.upgradeTo(address(target));
        assertEq(uint256(PROXY_IMPLEMENTATION_ADDRESS), uint256(keccak256("eip1967.proxy.implementation")) - 1, "slot");
        assertEq(uint256(PROXY_OWNER_ADDRESS), uint256(keccak256("eip1967.proxy.admin")) - 1, "slot");
        assertEq(
            vm.load(address(proxy), PROXY_IMPLEMENTATION_ADDRESS), bytes32(uint256(uint160(address(target)))), "value"
        );
        assertEq(vm.load(address(proxy), PROXY_OWNER_ADDRESS), bytes32(uint256(uint160(ADMIN))), "value");
    }

    function test_delegates_stateSenderAndValue() public {
        vm.prank(ADMIN);
        proxy.upgradeTo(address(target));
        Target through = Target(payable(address(proxy)));
        vm.deal(address(this), 9);
        assertEq(through.store{ value: 7 }(42), 7, "result");
        assertEq(through.stored(), 42, "stored in the proxy");
        assertEq(target.stored(), 0, "not in the implementation");
        assertEq(through.lastSender(), address(this), "sender");
        assertEq(through.admin(), 4711, "a stranger reaches the implementation's function");
        vm.expectRevert(abi.encodeWithSelector(Target.Refused.selector, 8));
        through.refuse(8);
        (bool success,) = address(proxy).call{ value: 2 }("");
        assertTrue(success, "plain transfer");
        assertEq(through.stored(), 2, "receive of the implementation");
    }

    function testFuzz_official_same(address _stranger, uint256 _value, bytes memory _junk) public {
        address official = deployOfficial("Proxy", abi.encode(ADMIN));
        vm.assume(_stranger != ADMIN && _stranger != address(0) && _stranger != address(vm));
        vm.assume(_stranger != address(proxy) && _stranger != official);
        address[3] memory senders = [_stranger, ADMIN, address(0)];
        bytes[9] memory calls = [
            abi.encodeCall(proxy.admin, ()),
            abi.encodeCall(proxy.implementation, ()),
            abi.encodeCall(proxy.upgradeTo, (address(target))),
            abi.encodeCall(target.store, (_value)),
            abi.encodeCall(target.refuse, (_value)),
            abi.encodeCall(proxy.upgradeToAndCall, (address(target), abi.encodeCall(target.store, (_value)))),
            abi.encodeCall(proxy.upgradeToAndCall, (address(target), abi.encodeCall(target.refuse, (_value)))),
            _junk,
            ""
        ];
        for (uint256 round = 0; round < 2; ++round) {
            for (uint256 i = 0; i < calls.length; ++i) {
                for (uint256 j = 0; j < senders.length; ++j) {
                    assertSame(address(proxy), official, senders[j], 0, calls[i]);
                    assertSame(address(proxy), official, senders[j], 3, calls[i]);
                }
            }
        }
        assertTrue(
            assertSame(address(proxy), official, ADMIN, 0, abi.encodeCall(proxy.changeAdmin, (_stranger))), "change"
        );
        assertTrue(assertSame(address(proxy), official, _stranger, 0, abi.encodeCall(proxy.admin, ())), "new admin");
        assertSame(address(proxy), official, ADMIN, 0, abi.encodeCall(proxy.admin, ()));
    }

    /// @dev The address of the contract that this one creates next, as its first.
    function computeNext() internal view returns (address) {
        return address(uint160(uint256(keccak256(abi.encodePacked(hex"d694", address(this), hex"01")))));
    }
}

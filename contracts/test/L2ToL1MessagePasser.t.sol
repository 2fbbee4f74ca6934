// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { L2ToL1MessagePasser } from "src/L2/L2ToL1MessagePasser.sol";
import { Test } from "test/support/Test.sol";

contract L2ToL1MessagePasserTest is Test {
    event MessagePassed(
        uint256 indexed nonce,
        address indexed sender,
        address indexed target,
        uint256 value,
        uint256 gasLimit,
        bytes data,
        bytes32 withdrawalHash
    );
    event WithdrawerBalanceBurnt(uint256 indexed amount);

    L2ToL1MessagePasser internal passer;

    function setUp() public {
        passer = new L2ToL1MessagePasser();
    }

    function testFuzz_initiateWithdrawal(
        address _sender,
        address _target,
        uint128 _value,
        uint256 _gasLimit,
        bytes memory _data
    )
        public
    {
        vm.assume(_sender != address(vm));
        for (uint256 i = 0; i < 3; ++i) {
            uint256 nonce = uint256(1) << 240 | i;
            assertEq(passer.messageNonce(), nonce, "nonce");
            bytes32 hash = keccak256(abi.encode(nonce, _sender, _target, uint256(_value), _gasLimit, _data));
            assertTrue(!passer.sentMessages(hash), "not yet sent");

            vm.deal(_sender, _value);
            vm.expectEmit(address(passer));
            emit MessagePassed(nonce, _sender, _target, _value, _gasLimit, _data, hash);
            vm.prank(_sender);
            passer.initiateWithdrawal{ value: _value }(_target, _gasLimit, _data);

            assertTrue(passer.sentMessages(hash), "sent");
            // What withdrawal proofs are made against.
            assertEq(vm.load(address(passer), keccak256(abi.encode(hash, 0))), bytes32(uint256(1)), "mapping in slot 0");
            assertEq(vm.load(address(passer), bytes32(uint256(1))), bytes32(i + 1), "counter in slot 1");
        }
    }

    function test_receive_withdrawsToSender() public {
        address sender = address(0xA11CE);
        vm.deal(sender, 5);
        uint256 nonce = uint256(1) << 240;
        bytes32 hash = keccak256(abi.encode(nonce, sender, sender, uint256(5), uint256(100_000), bytes("")));
        vm.expectEmit(address(passer));
        emit MessagePassed(nonce, sender, sender, 5, 100_000, "", hash);
        vm.prank(sender);
        (bool success,) = address(passer).call{ value: 5 }("");
        assertTrue(success, "received");
    }

    function testFuzz_burn(uint128 _balance) public {
        vm.deal(address(passer), _balance);
        vm.expectEmit(address(passer));
        emit WithdrawerBalanceBurnt(_balance);
        passer.burn();
        assertEq(address(passer).balance, 0, "nothing left");
    }

    function testFuzz_official_same(
        address _sender,
        address _target,
        uint128 _value,
        uint256 _gasLimit,
        bytes memory _data
    )
        public
    {
        address official = deployOfficial("L2ToL1MessagePasser", "");
        bytes memory withdrawal = abi.encodeCall(passer.initiateWithdrawal, (_target, _gasLimit, _data));
        assertTrue(assertSame(address(passer), official, _sender, _value, withdrawal), "withdrawal");
        assertTrue(assertSame(address(passer), official, _sender, _value, ""), "receive");
        assertTrue(!assertSame(address(passer), official, _sender, 0, hex"01"), "no fallback");
        assertTrue(assertSame(address(passer), official, abi.encodeCall(passer.messageNonce, ())), "nonce");
        assertTrue(assertSame(address(passer), official, abi.encodeCall(passer.MESSAGE_VERSION, ())), "version");
        assertTrue(assertSame(address(passer), official, abi.encodeCall(passer.burn, ())), "burn");
        assertEq(address(passer).balance, official.balance, "balance");
    }
}

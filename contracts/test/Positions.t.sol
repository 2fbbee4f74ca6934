// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { FixedPoint } from "src/libraries/FixedPoint.sol";
import { Positions } from "src/libraries/Positions.sol";
import { Position } from "src/interfaces/IFaultDispute.sol";
import { Test } from "test/support/Test.sol";

contract PositionsTest is Test {
    using Positions for Position;

    function testFuzz_depth(uint256 _depth, uint128 _index) public pure {
        uint128 first = uint128(1) << uint128(bound(_depth, 0, 127));
        assertEq(Position.wrap(first | (_index & (first - 1))).depth(), bound(_depth, 0, 127), "depth");
    }

    /// @dev An attack ends within the claim's leaves, a defense behind them; and a node's leaf is that of its last child.
    function testFuzz_leaves(uint128 _position, uint256 _leaves) public pure {
        Position position = Position.wrap(uint128(bound(_position, 1, type(uint128).max >> 4)));
        uint256 depth = position.depth();
        uint256 leaves = bound(_leaves, depth + 1, depth + 3);
        uint256 leaf = position.leaf(leaves);
        assertEq(Position.wrap(2 * Position.unwrap(position) + 1).leaf(leaves), leaf, "right child");
        assertTrue(position.answer(true).leaf(leaves) < leaf, "attack");
        if (Position.unwrap(position) != (uint128(2) << uint128(depth)) - 1) {
            assertTrue(position.answer(false).leaf(leaves) > leaf, "defense");
        }
        assertEq(position.highest().leaf(leaves), leaf, "highest");
        uint128 highest = Position.unwrap(position.highest());
        assertTrue(highest == 1 || highest % 2 == 0, "nothing higher");
        assertEq(Position.wrap(uint128(1) << uint128(leaves)).leaf(leaves), 0, "first leaf");
    }

    /// @dev Squares of halves, sums of exponents.
    function testFuzz_exp2(uint256 _x, uint256 _y) public pure {
        uint256 one = FixedPoint.BINARY_ONE;
        uint256 x = bound(_x, 0, 10 * one);
        uint256 y = bound(_y, 0, 10 * one);
        uint256 product = FixedPoint.exp2(x) * FixedPoint.exp2(y) / one;
        uint256 sum = FixedPoint.exp2(x + y);
        uint256 off = product > sum ? product - sum : sum - product;
        assertTrue(off <= sum >> 89, "2 ** x * 2 ** y = 2 ** (x + y)");
        assertEq(FixedPoint.exp2(x / one * one), one << (x / one), "whole exponents are exact");
    }

    function test_exp2_by_known_values() public pure {
        // The square root of two in units of 2^-96.
        uint256 root = FixedPoint.exp2(FixedPoint.BINARY_ONE / 2);
        assertTrue(root * root < 2 << 192 && (root + 64) * (root + 64) > 2 << 192, "square root of two");
    }
}

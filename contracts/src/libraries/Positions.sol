// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Position } from "src/interfaces/IFaultDispute.sol";

/// @notice Ways through a game's tree. A node speaks of all leaves up to its rightmost one, the last of them in
///         particular; so a node and its right child speak of the same leaf.
library Positions {
    Position internal constant ROOT = Position.wrap(1);

    /// @dev Deepest level that a game may have, so that a move out of it still fits the type.
    uint256 internal constant MAX_DEPTH = 125;

    /// @notice The level of a node; the root's is 0.
    function depth(Position _position) internal pure returns (uint256 depth_) {
        uint256 rest = Position.unwrap(_position);
        for (uint256 half = 64; half > 0; half /= 2) {
            if (rest >> half == 0) continue;
            rest >>= half;
            depth_ += half;
        }
    }

    /// @notice Where a claim is answered. An attack goes to the left child: the dispute begins in the first half. A defense
    ///         goes to the left child of the node beside it: this claim is right, the dispute begins behind it.
    function answer(Position _position, bool _isAttack) internal pure returns (Position) {
        uint128 node = Position.unwrap(_position);
        return Position.wrap(2 * (_isAttack ? node : node + 1));
    }

    /// @notice The node beside this one, to the left or to the right.
    function neighbour(Position _position, bool _left) internal pure returns (Position) {
        uint128 node = Position.unwrap(_position);
        return Position.wrap(_left ? node - 1 : node + 1);
    }

    /// @notice Whether a node is the first one of its level, in the part of the tree that begins at level `_top`.
    function isFirst(Position _position, uint256 _top) internal pure returns (bool) {
        return Position.unwrap(_position) % (uint256(1) << (depth(_position) - _top)) == 0;
    }

    /// @notice The leaf that a node speaks of, counted from 0 on level `_leaves`; the node must not be deeper.
    function leaf(Position _position, uint256 _leaves) internal pure returns (uint256) {
        uint256 below = _leaves - depth(_position);
        uint256 end = (uint256(Position.unwrap(_position)) + 1) << below;
        return end - 1 - (uint256(1) << _leaves);
    }

    /// @notice The highest node that speaks of the same leaf. Of all nodes that do, this is the one on the way of every
    ///         dispute that comes to that leaf's end.
    function highest(Position _position) internal pure returns (Position) {
        uint128 node = Position.unwrap(_position);
        while (node > 1 && node & 1 == 1) node >>= 1;
        return Position.wrap(node);
    }

    function equal(Position _one, Position _other) internal pure returns (bool) {
        return Position.unwrap(_one) == Position.unwrap(_other);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { RLP } from "src/libraries/RLP.sol";

/// @notice Verifies that a storage trie holds a value. Keys are hashed already, so they have 64 nibbles, and no branch has
///         a value of its own.
library MerkleTrie {
    uint256 private constant NIBBLES = 64;
    uint256 private constant BRANCH = 17;
    uint256 private constant SHORT_NODE = 2;

    /// @dev How far a proof has come.
    /// @custom:field key      Where it goes.
    /// @custom:field expected Hash of the next node; zero, which no node has, at the end.
    /// @custom:field position Nibbles of the key that are behind.
    /// @custom:field found    Hash of the leaf's value, once it is reached.
    struct Walk {
        bytes32 key;
        bytes32 expected;
        uint256 position;
        bytes32 found;
    }

    /// @notice Whether the nodes lead from `_root` along `_key` to a leaf with this value, and end there. Each node is an
    ///         element of its own, even one so short that its parent holds it.
    /// @param _value The leaf's value: the RLP of what the slot holds.
    function holds(
        bytes32 _key,
        bytes memory _value,
        bytes[] calldata _nodes,
        bytes32 _root
    )
        internal
        pure
        returns (bool)
    {
        Walk memory walk = Walk(_key, _root, 0, 0);
        for (uint256 i = 0; i < _nodes.length; ++i) {
            if (keccak256(_nodes[i]) != walk.expected) return false;
            if (!_step(walk, RLP.list(_nodes[i]))) return false;
        }
        return walk.found == keccak256(_value);
    }

    /// @dev Goes through one node; false if the key does not.
    function _step(Walk memory _walk, bytes calldata _items) private pure returns (bool) {
        uint256 count = _count(_items);
        if (count == BRANCH && _walk.position < NIBBLES) {
            _walk.expected = _reference(RLP.item(_items, _nibble(_walk.key, _walk.position)));
            ++_walk.position;
            return true;
        }
        if (count != SHORT_NODE) return false;
        (bool matches, bool isLeaf, uint256 length) = _path(RLP.str(RLP.item(_items, 0)), _walk.key, _walk.position);
        if (!matches) return false;
        _walk.position += length;
        bytes calldata second = RLP.item(_items, 1);
        if (!isLeaf) {
            _walk.expected = _reference(second);
            return true;
        }
        _walk.expected = 0;
        _walk.found = keccak256(RLP.str(second));
        return _walk.position == NIBBLES;
    }

    /// @dev The hash of the node that an item of its parent refers to. A node of 32 bytes or more is referred to by hash,
    ///      a shorter one stands in the parent itself; an empty item is the hash of no node.
    function _reference(bytes calldata _child) private pure returns (bytes32) {
        (bool isList,,) = RLP.first(_child);
        if (isList) return keccak256(_child);
        bytes calldata hash = RLP.str(_child);
        return hash.length == 32 ? bytes32(hash) : bytes32(0);
    }

    /// @dev Whether a node's path is that of the key from `_position` on, whether it ends the key, and its nibbles. The
    ///      first nibble tells leaf (2) and odd length (1); with an even length the second one is zero.
    function _path(
        bytes calldata _encoded,
        bytes32 _key,
        uint256 _position
    )
        private
        pure
        returns (bool matches_, bool isLeaf_, uint256 length_)
    {
        if (_encoded.length == 0) return (false, false, 0);
        uint256 flags = uint8(_encoded[0]) >> 4;
        uint256 skip = 2 - (flags & 1);
        isLeaf_ = flags & 2 == 2;
        length_ = 2 * _encoded.length - skip;
        bool valid = flags < 4 && (skip == 1 || uint8(_encoded[0]) & 0x0f == 0);
        // Without a step forward, nodes could follow each other forever.
        if (!valid || length_ > NIBBLES - _position || (!isLeaf_ && length_ == 0)) return (false, isLeaf_, length_);
        for (uint256 i = 0; i < length_; ++i) {
            uint256 index = i + skip;
            uint256 pair = uint8(_encoded[index / 2]);
            if ((index % 2 == 0 ? pair >> 4 : pair & 0x0f) != _nibble(_key, _position + i)) {
                return (false, isLeaf_, length_);
            }
        }
        matches_ = true;
    }

    function _nibble(bytes32 _key, uint256 _position) private pure returns (uint256) {
        return (uint256(_key) >> (4 * (NIBBLES - 1 - _position))) & 0x0f;
    }

    /// @dev How many items there are, up to one more than any node has.
    function _count(bytes calldata _items) private pure returns (uint256 count_) {
        while (_items.length > 0 && count_ <= BRANCH) {
            (,, uint256 end) = RLP.first(_items);
            _items = _items[end:];
            ++count_;
        }
    }
}

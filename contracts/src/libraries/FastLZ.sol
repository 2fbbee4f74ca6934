// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The size of data after FastLZ (level 1) compression, which Fjord's L1 fee is computed from. The byte count,
///         not the compressed bytes, is what consensus needs; the execution engines compute it in the same way.
library FastLZ {
    /// @dev Entries of the table of recent positions, 4 bytes each.
    uint256 private constant TABLE_BYTES = 8192 * 4;
    /// @dev The longest reach back of a match.
    uint256 private constant MAX_DISTANCE = 8192;
    /// @dev Bytes at the end that no match may start in.
    uint256 private constant TAIL = 13;
    /// @dev The longest run of literals under one opcode.
    uint256 private constant MAX_LITERALS = 32;
    /// @dev Bytes that one match opcode covers at most, beyond the first two.
    uint256 private constant MAX_MATCH = 262;

    /// @notice The length of `_data` when compressed.
    function compressedLength(bytes memory _data) internal pure returns (uint256 size_) {
        unchecked {
            uint256 length = _data.length;
            uint256 anchor;
            if (length > TAIL + 2) {
                uint256 limit = length - TAIL;
                uint256 table = _newTable();
                uint256 position = 2;
                while (position < limit) {
                    uint256 candidate;
                    (position, candidate) = _findMatch(_data, table, position, limit);
                    if (position >= limit) break;

                    size_ += _literalsSize(position - anchor);
                    uint256 matched = _matchLength(_data, candidate + 3, position + 3, limit + 9);
                    size_ += _matchSize(matched);

                    // The last two positions inside the match become candidates as well.
                    position += matched;
                    _replace(table, _triple(_data, position), position);
                    _replace(table, _triple(_data, position + 1), position + 1);
                    position += 2;
                    anchor = position;
                }
            }
            size_ += _literalsSize(length - anchor);
        }
    }

    /// @dev Walks on from `_position` to the first place whose next three bytes stood earlier within reach, and returns
    ///      both places; a returned position at or above `_limit` means that there is none.
    function _findMatch(
        bytes memory _data,
        uint256 _table,
        uint256 _position,
        uint256 _limit
    )
        private
        pure
        returns (uint256, uint256)
    {
        unchecked {
            // A match may not start in the last byte before the limit.
            for (; _position + 1 < _limit; ++_position) {
                uint256 sequence = _triple(_data, _position);
                // An empty entry reads as position 0, a candidate like any other.
                uint256 candidate = _replace(_table, sequence, _position);
                if (_position - candidate < MAX_DISTANCE && sequence == _triple(_data, candidate)) {
                    return (_position, candidate);
                }
            }
            return (_limit, 0);
        }
    }

    /// @dev The number of equal bytes from `_a` and `_b` on, counted with the first difference, while `_b` is below
    ///      `_end`.
    function _matchLength(bytes memory _data, uint256 _a, uint256 _b, uint256 _end) private pure returns (uint256 n_) {
        assembly ("memory-safe") {
            let start := add(_data, 0x20)
            let a := add(start, _a)
            let b := add(start, _b)
            let room := sub(_end, _b)
            for { } lt(n_, room) { } {
                let differ := xor(byte(0, mload(add(a, n_))), byte(0, mload(add(b, n_))))
                n_ := add(n_, 1)
                if differ { break }
            }
        }
    }

    /// @dev Output bytes of `_count` literals: one opcode for every 32 of them, begun ones included.
    function _literalsSize(uint256 _count) private pure returns (uint256) {
        unchecked {
            return _count + (_count + MAX_LITERALS - 1) / MAX_LITERALS;
        }
    }

    /// @dev Output bytes of a match whose `_matchLength` is `_matched` (at least 1).
    function _matchSize(uint256 _matched) private pure returns (uint256) {
        unchecked {
            uint256 length = _matched - 1;
            return 3 * (length / MAX_MATCH) + (length % MAX_MATCH >= 6 ? 3 : 2);
        }
    }

    /// @dev The three bytes at `_position`, the first one lowest.
    function _triple(bytes memory _data, uint256 _position) private pure returns (uint256 value_) {
        assembly ("memory-safe") {
            let word := mload(add(add(_data, 0x20), _position))
            value_ := or(byte(0, word), or(shl(8, byte(1, word)), shl(16, byte(2, word))))
        }
    }

    /// @dev A zeroed table in fresh memory. One more word, since the last entry is accessed as the top of a word.
    function _newTable() private pure returns (uint256 table_) {
        bytes memory table = new bytes(TABLE_BYTES + 32);
        assembly ("memory-safe") {
            table_ := add(table, 0x20)
        }
    }

    /// @dev Stores `_position` as the latest place of `_sequence` and returns the one stored before (0 if none).
    function _replace(uint256 _table, uint256 _sequence, uint256 _position) private pure returns (uint256 previous_) {
        assembly ("memory-safe") {
            let entry := and(shr(19, mul(_sequence, 2654435769)), 0x1fff)
            let pointer := add(_table, shl(2, entry))
            let word := mload(pointer)
            previous_ := shr(224, word)
            mstore(pointer, or(shl(224, _position), shr(32, shl(32, word))))
        }
    }
}

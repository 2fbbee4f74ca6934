// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Builds storage tries of a few leaves, with their proofs.
library Trie {
    /// @dev Above 55 bytes of payload the length has bytes of its own; nodes here need two of them at most.
    function header(uint256 _base, uint256 _length) internal pure returns (bytes memory) {
        if (_length <= 55) return abi.encodePacked(uint8(_base + _length));
        if (_length < 256) return abi.encodePacked(uint8(_base + 56), uint8(_length));
        return abi.encodePacked(uint8(_base + 57), uint16(_length));
    }

    function str(bytes memory _data) internal pure returns (bytes memory) {
        if (_data.length == 1 && uint8(_data[0]) < 0x80) return _data;
        return abi.encodePacked(header(0x80, _data.length), _data);
    }

    function list(bytes memory _payload) internal pure returns (bytes memory) {
        return abi.encodePacked(header(0xc0, _payload.length), _payload);
    }

    /// @dev The path of a leaf (flag 2) or an extension (flag 0) over nibbles `_from` to `_to` of the key.
    function path(uint8 _flag, bytes32 _key, uint256 _from, uint256 _to) internal pure returns (bytes memory path_) {
        uint256 count = _to - _from;
        uint8 first = count % 2 == 1 ? ((_flag | 1) << 4) | nibble(_key, _from++) : _flag << 4;
        path_ = abi.encodePacked(first);
        for (; _from < _to; _from += 2) {
            path_ = abi.encodePacked(path_, (nibble(_key, _from) << 4) | nibble(_key, _from + 1));
        }
    }

    function nibble(bytes32 _key, uint256 _index) internal pure returns (uint8) {
        return uint8(uint256(_key) >> (4 * (63 - _index))) & 0x0f;
    }

    function leaf(bytes32 _key, uint256 _from, bytes memory _value) internal pure returns (bytes memory) {
        return list(abi.encodePacked(str(path(2, _key, _from, 64)), str(_value)));
    }

    function extension(
        bytes32 _key,
        uint256 _from,
        uint256 _to,
        bytes memory _child
    )
        internal
        pure
        returns (bytes memory)
    {
        return list(abi.encodePacked(str(path(0, _key, _from, _to)), referenceTo(_child)));
    }

    /// @dev A branch with two children, at different nibbles.
    function branch(
        uint256 _one,
        bytes memory _first,
        uint256 _two,
        bytes memory _second
    )
        internal
        pure
        returns (bytes memory)
    {
        bytes memory payload;
        for (uint256 i = 0; i < 16; ++i) {
            bytes memory item = hex"80";
            if (i == _one) item = referenceTo(_first);
            if (i == _two) item = referenceTo(_second);
            payload = abi.encodePacked(payload, item);
        }
        return list(abi.encodePacked(payload, hex"80"));
    }

    function referenceTo(bytes memory _node) internal pure returns (bytes memory) {
        return _node.length < 32 ? _node : str(abi.encodePacked(keccak256(_node)));
    }

    /// @dev A trie of two keys with different values, and the proof of the first: an extension if they begin alike, a branch, a leaf.
    function pair(
        bytes32 _key,
        bytes memory _value,
        bytes32 _other
    )
        internal
        pure
        returns (bytes32 root_, bytes[] memory proof_)
    {
        uint256 common = 0;
        while (nibble(_key, common) == nibble(_other, common)) ++common;
        bytes memory own = leaf(_key, common + 1, _value);
        bytes memory fork = branch(nibble(_key, common), own, nibble(_other, common), leaf(_other, common + 1, hex"02"));
        proof_ = new bytes[](common == 0 ? 2 : 3);
        proof_[proof_.length - 1] = own;
        proof_[proof_.length - 2] = fork;
        if (common > 0) proof_[0] = extension(_key, 0, common, fork);
        root_ = keccak256(proof_[0]);
    }
}

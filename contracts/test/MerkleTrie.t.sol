// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { MerkleTrie } from "src/libraries/MerkleTrie.sol";
import { RLP } from "src/libraries/RLP.sol";
import { Test } from "test/support/Test.sol";
import { Trie } from "test/support/Trie.sol";

contract MerkleTrieTest is Test {
    bytes internal constant ONE = hex"01";

    function holds(
        bytes32 _key,
        bytes memory _value,
        bytes[] calldata _nodes,
        bytes32 _root
    )
        external
        pure
        returns (bool)
    {
        return MerkleTrie.holds(_key, _value, _nodes, _root);
    }

    /// @dev Refused in either way.
    function refused(bytes32 _key, bytes[] memory _nodes, bytes32 _root) internal view returns (bool) {
        try this.holds(_key, ONE, _nodes, _root) returns (bool held) {
            return !held;
        } catch {
            return true;
        }
    }

    function testFuzz_one_leaf(bytes32 _key, bytes32 _other) public view {
        bytes[] memory proof = new bytes[](1);
        proof[0] = Trie.leaf(_key, 0, ONE);
        bytes32 root = keccak256(proof[0]);
        assertTrue(this.holds(_key, ONE, proof, root), "held");
        assertTrue(!this.holds(_key, hex"02", proof, root), "another value");
        if (_key != _other) assertTrue(!this.holds(_other, ONE, proof, root), "another key");
        assertTrue(!this.holds(_key, ONE, new bytes[](0), root), "no node");
        assertTrue(!this.holds(_key, ONE, proof, bytes32(uint256(root) + 1)), "another root");
    }

    /// @dev `_common` nibbles are those of the first key; from 55 on the leaves are so short that the branch holds them.
    function testFuzz_two_leaves(bytes32 _key, bytes32 _other, uint256 _common) public view {
        _common = bound(_common, 0, 63);
        uint256 low = type(uint256).max >> (4 * _common);
        _other = bytes32((uint256(_key) & ~low) | (uint256(_other) & low));
        vm.assume(_key != _other);
        (bytes32 root, bytes[] memory proof) = Trie.pair(_key, ONE, _other);
        assertTrue(this.holds(_key, ONE, proof, root), "held");
        assertTrue(!this.holds(_other, ONE, proof, root), "not on this way");

        bytes[] memory shorter = new bytes[](proof.length - 1);
        bytes[] memory longer = new bytes[](proof.length + 1);
        for (uint256 i = 0; i < proof.length; ++i) {
            if (i < shorter.length) shorter[i] = proof[i];
            longer[i] = proof[i];
        }
        assertTrue(refused(_key, shorter, root), "cut");
        longer[proof.length] = proof[proof.length - 1];
        assertTrue(refused(_key, longer, root), "a node too many");
        longer[proof.length] = "";
        assertTrue(refused(_key, longer, root), "an empty node too many");
    }

    function testFuzz_any_changed_byte_is_refused(
        bytes32 _key,
        bytes32 _other,
        uint256 _node,
        uint256 _at,
        uint8 _flip
    )
        public
        view
    {
        vm.assume(_key != _other && _flip != 0);
        (bytes32 root, bytes[] memory proof) = Trie.pair(_key, ONE, _other);
        bytes memory node = proof[bound(_node, 0, proof.length - 1)];
        uint256 at_ = bound(_at, 0, node.length - 1);
        node[at_] = bytes1(uint8(node[at_]) ^ _flip);
        assertTrue(refused(_key, proof, root), "changed");
    }

    /// @dev Whatever the nodes are, whoever chose them with their root: no key is held twice, and nothing hangs.
    function testFuzz_nonsense(bytes32 _key, bytes[] memory _nodes) public view {
        vm.assume(_nodes.length > 0);
        refused(_key, _nodes, keccak256(_nodes[0]));
    }

    function test_a_leaf_must_end_the_key() public view {
        bytes32 key = keccak256("key");
        bytes[] memory proof = new bytes[](1);
        proof[0] = Trie.list(abi.encodePacked(Trie.str(Trie.path(2, key, 0, 62)), Trie.str(ONE)));
        assertTrue(refused(key, proof, keccak256(proof[0])), "two nibbles early");
        proof[0] = Trie.list(abi.encodePacked(Trie.str(abi.encodePacked(Trie.path(2, key, 0, 64), hex"00")), hex"01"));
        assertTrue(refused(key, proof, keccak256(proof[0])), "two nibbles late");
        proof[0] = Trie.list(abi.encodePacked(Trie.str(abi.encodePacked(hex"21", key)), hex"01"));
        assertTrue(refused(key, proof, keccak256(proof[0])), "a padding that is not zero");
        proof[0] = Trie.list(abi.encodePacked(Trie.str(abi.encodePacked(hex"60", key)), hex"01"));
        assertTrue(refused(key, proof, keccak256(proof[0])), "an unknown flag");
        proof[0] = Trie.list(abi.encodePacked(hex"80", hex"01"));
        assertTrue(refused(key, proof, keccak256(proof[0])), "no path");
    }
}

contract RLPTest is Test {
    function first(bytes calldata _items) external pure returns (bool, uint256, uint256) {
        return RLP.first(_items);
    }

    function str(bytes calldata _item) external pure returns (bytes memory) {
        return RLP.str(_item);
    }

    function list(bytes calldata _item) external pure returns (bytes memory) {
        return RLP.list(_item);
    }

    function testFuzz_strings_and_lists(bytes memory _data, bytes memory _rest) public {
        bytes memory encoded = Trie.str(_data);
        assertEq(this.str(encoded), _data, "string");
        (bool isList, uint256 start, uint256 end) = this.first(abi.encodePacked(encoded, _rest));
        assertTrue(!isList && end - start == _data.length && end == encoded.length, "first");
        vm.expectRevert(RLP.UnexpectedString.selector);
        this.list(encoded);
        encoded = Trie.list(_data);
        assertEq(this.list(encoded), _data, "list");
        vm.expectRevert(RLP.UnexpectedList.selector);
        this.str(encoded);
        if (_rest.length == 0) return;
        vm.expectRevert(RLP.InvalidDataRemainder.selector);
        this.list(abi.encodePacked(encoded, _rest));
    }

    function test_refusals() public {
        vm.expectRevert(RLP.EmptyItem.selector);
        this.first("");
        bytes[4] memory cut = [bytes(hex"8201"), hex"c1", hex"b8", hex"f90100"];
        for (uint256 i = 0; i < cut.length; ++i) {
            vm.expectRevert(RLP.ContentLengthMismatch.selector);
            this.first(cut[i]);
        }
        bytes[5] memory longer = [bytes(hex"8100"), hex"817f", hex"b800", hex"b837", hex"f900ff"];
        for (uint256 i = 0; i < longer.length; ++i) {
            vm.expectRevert(RLP.InvalidHeader.selector);
            this.first(longer[i]);
        }
        vm.expectRevert(RLP.ContentLengthMismatch.selector);
        this.first(hex"bfffffffffffffffff");
    }
}

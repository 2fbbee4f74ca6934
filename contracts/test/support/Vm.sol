// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The cheatcodes that the tests use.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    struct DirEntry {
        string errorMessage;
        string path;
        uint64 depth;
        bool isDir;
        bool isSymlink;
    }

    function assume(bool _condition) external pure;
    function deal(address _account, uint256 _balance) external;
    function etch(address _account, bytes calldata _code) external;
    function store(address _account, bytes32 _slot, bytes32 _value) external;
    function load(address _account, bytes32 _slot) external view returns (bytes32);
    function record() external;
    function accesses(address _account) external returns (bytes32[] memory reads_, bytes32[] memory writes_);
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);
    function prank(address _sender) external;
    function prank(address _sender, address _origin) external;
    function startPrank(address _sender) external;
    function stopPrank() external;
    function roll(uint256 _number) external;
    function warp(uint256 _timestamp) external;
    function fee(uint256 _baseFee) external;
    function setEvmVersion(string calldata _fork) external;
    function expectRevert() external;
    function expectRevert(bytes4 _selector) external;
    function expectRevert(bytes calldata _data) external;
    function expectEmit(address _emitter) external;
    function expectCall(address _callee, uint256 _value, bytes calldata _data) external;
    function mockCall(address _callee, bytes calldata _data, bytes calldata _result) external;
    function getCode(string calldata _artifact) external view returns (bytes memory);
    function readFile(string calldata _path) external view returns (string memory);
    function addr(uint256 _key) external pure returns (address);
    function sign(uint256 _key, bytes32 _digest) external pure returns (uint8 v_, bytes32 r_, bytes32 s_);
    function readDir(string calldata _path) external view returns (DirEntry[] memory);
    function snapshotGasLastCall(string calldata _group, string calldata _name) external returns (uint256);
    function parseJsonString(string calldata _json, string calldata _key) external pure returns (string memory);
    function parseJsonBytes(string calldata _json, string calldata _key) external pure returns (bytes memory);
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Vm } from "test/support/Vm.sol";
import { Proxy } from "src/universal/Proxy.sol";

/// @notice Base of all tests: cheatcodes, assertions, and the comparison of two contracts call by call.
abstract contract Test {
    Vm internal constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    error Unequal(string what, bytes left, bytes right);

    function assertTrue(bool _condition, string memory _what) internal pure {
        require(_condition, _what);
    }

    function assertEq(uint256 _left, uint256 _right, string memory _what) internal pure {
        assertEq(abi.encode(_left), abi.encode(_right), _what);
    }

    function assertEq(address _left, address _right, string memory _what) internal pure {
        assertEq(abi.encode(_left), abi.encode(_right), _what);
    }

    function assertEq(bytes32 _left, bytes32 _right, string memory _what) internal pure {
        assertEq(abi.encode(_left), abi.encode(_right), _what);
    }

    function assertEq(string memory _left, string memory _right, string memory _what) internal pure {
        assertEq(bytes(_left), bytes(_right), _what);
    }

    function assertEq(bytes memory _left, bytes memory _right, string memory _what) internal pure {
        if (keccak256(_left) != keccak256(_right)) revert Unequal(_what, _left, _right);
    }

    /// @dev A value of `_min` to `_max`, both included; small inputs and the type's extremes map to the range's ends.
    function bound(uint256 _x, uint256 _min, uint256 _max) internal pure returns (uint256) {
        if (_x >= _min && _x <= _max) return _x;
        uint256 size = _max - _min + 1;
        if (size == 0) return _x;
        if (type(uint256).max - _x < size) return _max - (type(uint256).max - _x);
        return _min + _x % size;
    }

    /// @dev The contract of npm's contracts-bedrock by that name, deployed.
    function deployOfficial(string memory _name, bytes memory _arguments) internal returns (address deployed_) {
        string memory folder = "node_modules/@eth-optimism/contracts-bedrock/forge-artifacts/";
        bytes memory code =
            abi.encodePacked(vm.getCode(string.concat(folder, _name, ".sol/", _name, ".json")), _arguments);
        assembly {
            deployed_ := create(0, add(code, 0x20), mload(code))
        }
        assertTrue(deployed_ != address(0), string.concat("official contract deploys: ", _name));
    }

    /// @dev A proxy administered by this test, with `_implementation` initialized by `_call`.
    function deployProxied(address _implementation, bytes memory _call) internal returns (address) {
        Proxy proxy = new Proxy(address(this));
        proxy.upgradeToAndCall(_implementation, _call);
        return address(proxy);
    }

    /// @dev Makes one call to two contracts and demands that success, result, logs and every slot that either of them
    ///      wrote are the same.
    function assertSame(
        address _ours,
        address _theirs,
        address _sender,
        uint256 _value,
        bytes memory _data
    )
        internal
        returns (bool success_)
    {
        Outcome memory ours = _observe(_ours, _sender, _value, _data);
        Outcome memory theirs = _observe(_theirs, _sender, _value, _data);
        assertEq(ours.success ? 1 : 0, theirs.success ? 1 : 0, "success");
        assertEq(ours.result, theirs.result, "result");
        assertEq(ours.logs.length, theirs.logs.length, "number of logs");
        for (uint256 i = 0; i < ours.logs.length; ++i) {
            assertEq(abi.encode(ours.logs[i].topics), abi.encode(theirs.logs[i].topics), "topics");
            assertEq(ours.logs[i].data, theirs.logs[i].data, "log data");
            bool own = ours.logs[i].emitter == _ours;
            assertEq(own ? _theirs : ours.logs[i].emitter, theirs.logs[i].emitter, "log emitter");
        }
        _assertSameSlots(_ours, _theirs, ours.writes);
        _assertSameSlots(_ours, _theirs, theirs.writes);
        return ours.success;
    }

    /// @dev `assertSame` for a view, from this contract and without value.
    function assertSame(address _ours, address _theirs, bytes memory _data) internal returns (bool) {
        return assertSame(_ours, _theirs, address(this), 0, _data);
    }

    struct Outcome {
        bool success;
        bytes result;
        Vm.Log[] logs;
        bytes32[] writes;
    }

    function _observe(
        address _target,
        address _sender,
        uint256 _value,
        bytes memory _data
    )
        private
        returns (Outcome memory outcome_)
    {
        vm.deal(_sender, _value);
        vm.record();
        vm.recordLogs();
        vm.prank(_sender);
        (outcome_.success, outcome_.result) = _target.call{ value: _value }(_data);
        outcome_.logs = vm.getRecordedLogs();
        (, outcome_.writes) = vm.accesses(_target);
    }

    function _assertSameSlots(address _ours, address _theirs, bytes32[] memory _slots) private view {
        for (uint256 i = 0; i < _slots.length; ++i) {
            assertEq(vm.load(_ours, _slots[i]), vm.load(_theirs, _slots[i]), "slot");
        }
    }
}

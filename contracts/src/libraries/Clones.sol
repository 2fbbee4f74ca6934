// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Minimal proxies that carry arguments. A clone calls its implementation with the caller's data, followed by
///         the arguments and, in two bytes, their length and that of these two bytes. Ether without data is taken
///         by the clone itself, with a log, within the gas that `transfer` gives.
library Clones {
    error DeploymentFailed();

    /// @dev Bytes of the clone's code before the arguments.
    uint256 private constant CODE_LENGTH = 0x71;
    /// @dev Topic of ReceiveETH(uint256).
    bytes32 private constant RECEIVE_ETH = keccak256("ReceiveETH(uint256)");

    /// @notice Creates a clone at an address that depends on this contract, the salt and all of the clone's code.
    function cloneDeterministic(
        address _implementation,
        bytes memory _arguments,
        bytes32 _salt
    )
        internal
        returns (address clone_)
    {
        bytes memory code = initCode(_implementation, _arguments);
        assembly {
            clone_ := create2(0, add(code, 0x20), mload(code), _salt)
        }
        if (clone_ == address(0)) revert DeploymentFailed();
    }

    /// @notice Code that deploys a clone.
    function initCode(address _implementation, bytes memory _arguments) internal pure returns (bytes memory) {
        // Beyond it the length would not fit its two bytes; no contract may be that large.
        require(_arguments.length < 0xff00);
        uint16 extra = uint16(_arguments.length + 2);
        bytes memory runtime = abi.encodePacked(
            // No data: MSTORE(0, CALLVALUE), LOG1(0, 32, topic), STOP.
            hex"36602f57",
            hex"346000527f",
            RECEIVE_ETH,
            hex"60206000a100",
            // CALLDATACOPY(0, 0, CALLDATASIZE).
            hex"5b3660006000",
            hex"37",
            // CODECOPY(CALLDATASIZE, arguments, extra).
            hex"61",
            extra,
            hex"60713639"
        );
        runtime = abi.encodePacked(
            runtime,
            // DELEGATECALL(GAS, implementation, 0, CALLDATASIZE + extra, 0, 0).
            hex"6000600061",
            extra,
            hex"3601600073",
            _implementation,
            hex"5af4",
            // RETURNDATACOPY(0, 0, RETURNDATASIZE), then RETURN or REVERT with it.
            hex"3d600060003e606c57",
            hex"3d6000fd",
            hex"5b3d6000f3",
            _arguments,
            extra
        );
        assert(runtime.length == CODE_LENGTH + extra);
        // RETURN the runtime code, which follows these 13 bytes.
        return abi.encodePacked(hex"61", uint16(runtime.length), hex"80600d6000396000f3", hex"00", runtime);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IBigStepper, IPreimageOracle } from "src/interfaces/IFaultDispute.sol";

/// @notice What permissioned games have for a virtual machine, and for its oracle, on a chain without one. It executes
///         nothing: a claim about a single instruction can't be countered there, so that disputes end with whoever makes
///         the last move, and with the guardian's word.
contract NoVM is IBigStepper, IPreimageOracle {
    error NoVM_NothingToExecute();

    function oracle() external view returns (IPreimageOracle) {
        return this;
    }

    function challengePeriod() external pure returns (uint256) {
        return 0;
    }

    function step(bytes calldata, bytes calldata, bytes32) external pure returns (bytes32) {
        revert NoVM_NothingToExecute();
    }

    function loadLocalData(uint256, bytes32, bytes32, uint256, uint256) external pure returns (bytes32) {
        revert NoVM_NothingToExecute();
    }
}

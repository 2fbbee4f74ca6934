// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { ISemver } from "src/interfaces/ISemver.sol";
import { BisectionGame } from "src/dispute/BisectionGame.sol";
import { OutputGame } from "src/dispute/OutputGame.sol";

/// @notice A fault dispute game between two accounts: only the proposer begins games, and only he and the challenger make
///         claims and steps. Everything else is open to anybody. Its clones carry both accounts as further arguments.
contract PermissionedDisputeGame is OutputGame, ISemver {
    error BadAuth();

    constructor(GameConstructorParams memory _params) BisectionGame(_params) { }

    function proposer() public pure returns (address proposer_) {
        return _addressArgument(COMMON_ARGUMENTS);
    }

    function challenger() public pure returns (address challenger_) {
        return _addressArgument(COMMON_ARGUMENTS + 20);
    }

    function version() external pure returns (string memory) {
        return "2.4.0";
    }

    /// @dev The factory calls, on behalf of the account that sent the transaction.
    function _assertMayPropose() internal view override {
        if (tx.origin != proposer()) revert BadAuth();
    }

    function _assertMayPlay() internal view override {
        if (msg.sender != proposer() && msg.sender != challenger()) revert BadAuth();
    }

    function _argumentsLength() internal pure override returns (uint256) {
        return COMMON_ARGUMENTS + 40;
    }
}

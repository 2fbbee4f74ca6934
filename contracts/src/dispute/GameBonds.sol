// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { FixedPoint } from "src/libraries/FixedPoint.sol";
import { Positions } from "src/libraries/Positions.sol";
import { BondDistributionMode, Position } from "src/interfaces/IFaultDispute.sol";
import { IDisputeGame, Timestamp } from "src/interfaces/IDispute.sol";
import { GameArguments } from "src/dispute/GameArguments.sol";
import { GameState } from "src/dispute/GameState.sol";

/// @notice The money of a game: what a claim costs, where it is kept, and who is given it in the end.
///
///         move ─────► bond to DelayedWETH, noted for a refund
///         resolve ──► bond noted for the winner of each dispute
///         close ────► after the airgap: winners are paid, or everybody gets a refund if the game does not count
///         claim ────► first call: announced to DelayedWETH; second call, after its delay: paid
abstract contract GameBonds is GameState, GameArguments {
    error BondTransferFailed();
    error GameDepthExceeded();
    error GameNotFinalized();
    error GameNotResolved();
    error GamePaused();
    /// @dev Part of the interface; every mode is known, so it is never raised.
    error InvalidBondDistributionMode();
    error NoCreditToClaim();

    event GameClosed(BondDistributionMode bondDistributionMode);

    /// @dev A bond pays about twice for the answer, at this price of gas.
    uint256 private constant GAS_PRICE = 200 gwei;
    /// @dev Gas that the bond on the highest level pays for.
    uint256 private constant BASE_GAS = 400_000;
    /// @dev Binary logarithm of 750, in units of FixedPoint.BINARY_ONE: the deepest level pays for 300 million gas.
    uint256 private constant GROWTH = 756688118444931295429611136513;

    /// @dev Depth of the deepest claims, whose truth a step decides.
    uint256 internal immutable MAX_GAME_DEPTH;

    constructor(uint256 _maxGameDepth) {
        MAX_GAME_DEPTH = _maxGameDepth;
    }

    /// @notice Wei that a claim at a position costs. The price grows from level to level by the same factor.
    function getRequiredBond(Position _position) public view returns (uint256 requiredBond_) {
        uint256 depth = Positions.depth(_position);
        if (depth > MAX_GAME_DEPTH) revert GameDepthExceeded();
        uint256 factor = FixedPoint.exp2(GROWTH * depth / MAX_GAME_DEPTH);
        return BASE_GAS * factor / FixedPoint.BINARY_ONE * GAS_PRICE;
    }

    /// @notice Wei that an account can claim: what it has won, unless the game is one of refunds.
    function credit(address _recipient) public view returns (uint256 credit_) {
        return bondDistributionMode == BondDistributionMode.REFUND
            ? refundModeCredit[_recipient]
            : normalModeCredit[_recipient];
    }

    /// @notice Decides who is given the bonds, once the game is final, and offers the game as the new anchor. Anybody may
    ///         call; a second call does nothing.
    function closeGame() public {
        if (bondDistributionMode != BondDistributionMode.UNDECIDED) return;
        // A paused game is not proper. That passes, a refund would not.
        if (anchorStateRegistry().paused()) revert GamePaused();
        if (Timestamp.unwrap(resolvedAt) == 0) revert GameNotResolved();
        IDisputeGame self = IDisputeGame(address(this));
        if (!anchorStateRegistry().isGameFinalized(self)) revert GameNotFinalized();

        // Refused for a game that lost, does not count or is older than the anchor; none of that is of any concern here.
        try anchorStateRegistry().setAnchorState(self) { } catch { }
        bondDistributionMode =
            anchorStateRegistry().isGameProper(self) ? BondDistributionMode.NORMAL : BondDistributionMode.REFUND;
        emit GameClosed(bondDistributionMode);
    }

    /// @notice Pays an account's credit, in two calls: the first one announces it, the second one pays it after the delay
    ///         of the contract that keeps the bonds. Closes the game if nobody has. Anybody may call.
    function claimCredit(address _recipient) external {
        closeGame();
        uint256 amount = credit(_recipient);
        if (!hasUnlockedCredit[_recipient]) {
            hasUnlockedCredit[_recipient] = true;
            weth().unlock(_recipient, amount);
            return;
        }
        if (amount == 0) revert NoCreditToClaim();
        delete refundModeCredit[_recipient];
        delete normalModeCredit[_recipient];
        weth().withdraw(_recipient, amount);
        (bool success,) = _recipient.call{ value: amount }("");
        if (!success) revert BondTransferFailed();
    }

    /// @dev Puts the ether sent along away, and notes who paid it.
    function _keepBond(address _payer) internal {
        refundModeCredit[_payer] += msg.value;
        weth().deposit{ value: msg.value }();
    }
}

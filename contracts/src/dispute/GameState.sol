// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { BondDistributionMode, Clock, Position } from "src/interfaces/IFaultDispute.sol";
import { Claim, GameStatus, Hash, IDisputeGame, Proposal, Timestamp } from "src/interfaces/IDispute.sol";

/// @notice What a fault dispute game keeps, in the order that its storage has.
abstract contract GameState is IDisputeGame {
    /// @notice One claim of the game.
    /// @custom:field parentIndex The claim that it answers; 2^32 - 1 for the root.
    /// @custom:field counteredBy Who has shown it wrong: by a step at once, otherwise known when it is resolved.
    /// @custom:field claimant    Who made it.
    /// @custom:field bond        Wei paid for it.
    /// @custom:field claim       An output root, or a state of the virtual machine.
    /// @custom:field position    Which block or step it speaks of.
    /// @custom:field clock       What its side of the dispute has used up, and when it was made.
    struct ClaimData {
        uint32 parentIndex;
        address counteredBy;
        address claimant;
        uint128 bond;
        Claim claim;
        Position position;
        Clock clock;
    }

    /// @notice How far the resolution of one claim has come.
    /// @custom:field initialCheckpointComplete Whether it has begun.
    /// @custom:field subgameIndex              How many answers have been looked at.
    /// @custom:field leftmostPosition          Position of the leftmost answer so far that stands.
    /// @custom:field counteredBy               Who made that answer.
    struct ResolutionCheckpoint {
        bool initialCheckpointComplete;
        uint32 subgameIndex;
        Position leftmostPosition;
        address counteredBy;
    }

    Timestamp public createdAt;
    Timestamp public resolvedAt;
    GameStatus public status;
    bool internal initialized;
    /// @notice Whether the root was shown to be about another block than it says.
    bool public l2BlockNumberChallenged;
    /// @notice Who has shown that.
    address public l2BlockNumberChallenger;
    /// @notice All claims; the root is the first.
    ClaimData[] public claimData;
    /// @notice Wei that each account has won in the disputes that are resolved.
    mapping(address => uint256) public normalModeCredit;
    /// @notice Claims that exist: hashes of claim, position and the index of the claim that they answer.
    mapping(Hash => bool) public claims;
    /// @notice The answers to a claim.
    mapping(uint256 => uint256[]) public subgames;
    /// @notice Whether a claim is resolved.
    mapping(uint256 => bool) public resolvedSubgames;
    mapping(uint256 => ResolutionCheckpoint) public resolutionCheckpoints;
    /// @notice The L2 state from which the game goes on, the anchor of the time when it was created.
    Proposal public startingOutputRoot;
    /// @notice Whether games of this type counted for withdrawals when this one was created.
    bool public wasRespectedGameTypeWhenCreated;
    /// @notice Wei that each account has paid.
    mapping(address => uint256) public refundModeCredit;
    /// @notice Whether an account's credit was announced to the contract that keeps it.
    mapping(address => bool) public hasUnlockedCredit;
    BondDistributionMode public bondDistributionMode;

    error GameNotInProgress();

    function _assertInProgress() internal view {
        if (status != GameStatus.IN_PROGRESS) revert GameNotInProgress();
    }
}

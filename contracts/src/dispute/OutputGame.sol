// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Positions } from "src/libraries/Positions.sol";
import { RLP } from "src/libraries/RLP.sol";
import { OutputRootProof, Position } from "src/interfaces/IFaultDispute.sol";
import { Claim, Hash } from "src/interfaces/IDispute.sol";
import { BisectionGame } from "src/dispute/BisectionGame.sol";

/// @notice What the claims of a fault dispute game speak of, and how a program decides between them.
///
///         level 0                ┌ output root of the L2 block that the game is about
///           ...                  │ output roots between the anchor and that block
///         SPLIT_DEPTH            └ output root of a single block
///         SPLIT_DEPTH + 1        ┌ last state of the program that derives one block from the block before
///           ...                  │ states in between
///         MAX_GAME_DEPTH         └ state after a single instruction
///         step                     that instruction, executed here
abstract contract OutputGame is BisectionGame {
    using Positions for Position;

    /// @dev Two outputs, one block apart, between which the program runs.
    /// @custom:field position Where the claims are; zero for the anchor, which is no claim.
    struct Dispute {
        Claim starting;
        Position startingPosition;
        Claim disputed;
        Position disputedPosition;
    }

    error BlockNumberMatches();
    error ClaimAboveSplit();
    error DuplicateStep();
    error InvalidHeaderRLP();
    error InvalidLocalIdent();
    error InvalidOutputRootProof();
    error InvalidParent();
    error InvalidPrestate();
    error ValidStep();

    /// @dev How a program's run ended, which the first byte of a claim about its state tells.
    uint8 private constant RUN_VALID = 0;
    uint8 private constant RUN_INVALID = 1;
    uint8 private constant RUN_PANIC = 2;

    /// @dev Names of what the program is told of the dispute.
    uint256 private constant L1_HEAD = 1;
    uint256 private constant STARTING_OUTPUT = 2;
    uint256 private constant DISPUTED_OUTPUT = 3;
    uint256 private constant DISPUTED_BLOCK_NUMBER = 4;
    uint256 private constant CHAIN_ID = 5;

    /// @dev Place of the block number in a block header.
    uint256 private constant HEADER_NUMBER = 8;

    /// @notice Counters a claim about a single instruction by executing one.
    /// @param _isAttack  Executes the instruction that led to the claimed state, to show another one; otherwise the next
    ///                   one, to show that the claim, made against what follows, is beside the point.
    /// @param _stateData The state before the instruction.
    /// @param _proof     What the virtual machine needs to know of its memory.
    function step(uint256 _claimIndex, bool _isAttack, bytes calldata _stateData, bytes calldata _proof) external {
        _assertMayPlay();
        _assertInProgress();
        ClaimData storage claim = claimData[_claimIndex];
        if (claim.position.depth() != MAX_GAME_DEPTH) revert InvalidParent();

        (Claim before, ClaimData storage afterwards) = _instruction(_claimIndex, _isAttack);
        // The first byte tells of the run and is not part of the hash.
        if (uint248(uint256(keccak256(_stateData))) != uint248(uint256(Claim.unwrap(before)))) {
            revert InvalidPrestate();
        }

        bytes32 context = _context(_dispute(_claimIndex));
        bool confirmed = vm().step(_stateData, _proof, context) == Claim.unwrap(afterwards.claim);
        bool sameSide = (MAX_GAME_DEPTH - afterwards.position.depth()) % 2 == 0;
        // A claim is refuted if its own side's state is wrong, or the other side's is right.
        if (confirmed == sameSide) revert ValidStep();
        if (claim.counteredBy != address(0)) revert DuplicateStep();
        claim.counteredBy = msg.sender;
    }

    /// @notice Gives the virtual machine's oracle a part of what the program asks of a dispute.
    /// @param _ident       What is asked.
    /// @param _execLeafIdx A claim about the program's states in that dispute.
    /// @param _partOffset  Where the part begins.
    function addLocalData(uint256 _ident, uint256 _execLeafIdx, uint256 _partOffset) external {
        _assertInProgress();
        Dispute memory dispute = _dispute(_execLeafIdx);
        bytes32 word;
        uint256 size = 32;
        if (_ident == L1_HEAD) {
            word = Hash.unwrap(l1Head());
        } else if (_ident == STARTING_OUTPUT) {
            word = Claim.unwrap(dispute.starting);
        } else if (_ident == DISPUTED_OUTPUT) {
            word = Claim.unwrap(dispute.disputed);
        } else if (_ident == DISPUTED_BLOCK_NUMBER) {
            // The tree has more leaves than there are blocks; all leaves behind the last block speak of it.
            uint256 number = startingOutputRoot.l2SequenceNumber + dispute.disputedPosition.leaf(SPLIT_DEPTH) + 1;
            (word, size) = (_eightBytes(number < l2BlockNumber() ? number : l2BlockNumber()), 8);
        } else if (_ident == CHAIN_ID) {
            (word, size) = (_eightBytes(l2ChainId()), 8);
        } else {
            revert InvalidLocalIdent();
        }
        vm().oracle().loadLocalData(_ident, _context(dispute), word, size, _partOffset);
    }

    /// @notice Shows that the root claim is the output of another block than it says. Whoever does wins against the root,
    ///         before all others.
    function challengeRootL2Block(OutputRootProof calldata _outputRootProof, bytes calldata _headerRLP) external {
        _assertInProgress();
        if (l2BlockNumberChallenged) revert L2BlockNumberChallenged();
        if (keccak256(abi.encode(_outputRootProof)) != Claim.unwrap(rootClaim())) revert InvalidOutputRootProof();
        if (keccak256(_headerRLP) != _outputRootProof.latestBlockhash) revert InvalidHeaderRLP();
        bytes calldata number = RLP.str(RLP.item(RLP.list(_headerRLP), HEADER_NUMBER));
        if (number.length > 32) revert InvalidHeaderRLP();
        // From the top of a word down to its end.
        if (uint256(bytes32(number)) >> (256 - 8 * number.length) == l2BlockNumber()) revert BlockNumberMatches();
        l2BlockNumberChallenged = true;
        l2BlockNumberChallenger = msg.sender;
    }

    /// @dev The first claim about a run has to say that it failed, if its side denies the output that the run should lead
    ///      to; and that it went well, if its side has claimed that output itself.
    function _checkTrace(Claim _claim, uint256 _outputIndex, bool _isAttack) internal view override {
        bool denied = true;
        if (!_isAttack) {
            ClaimData storage output = _claimAbout(claimData[_outputIndex].position.neighbour(false), _outputIndex);
            denied = (SPLIT_DEPTH - output.position.depth()) % 2 == 0;
        }
        uint8 run = uint8(Claim.unwrap(_claim)[0]);
        bool expected = denied ? run == RUN_INVALID || run == RUN_PANIC : run == RUN_VALID;
        if (!expected) revert UnexpectedRootClaim(_claim);
    }

    /// @dev What is claimed about the states before and after the instruction that a step executes.
    function _instruction(
        uint256 _claimIndex,
        bool _isAttack
    )
        private
        view
        returns (Claim before_, ClaimData storage after_)
    {
        ClaimData storage claim = claimData[_claimIndex];
        if (!_isAttack) return (claim.claim, _claimAbout(claim.position.neighbour(false), _claimIndex));
        bool isFirst = claim.position.isFirst(SPLIT_DEPTH + 1);
        before_ = isFirst ? absolutePrestate() : _claimAbout(claim.position.neighbour(true), _claimIndex).claim;
        return (before_, claim);
    }

    /// @dev The claim about the leaf of a position that the dispute of `_from` goes by; there is one for the leaves beside
    ///      its own.
    function _claimAbout(Position _position, uint256 _from) private view returns (ClaimData storage claim_) {
        Position highest = _position.highest();
        claim_ = claimData[_from];
        while (!claim_.position.equal(highest)) {
            claim_ = claimData[claim_.parentIndex];
        }
    }

    /// @dev The outputs between which a claim about the program's states disputes.
    function _dispute(uint256 _claimIndex) private view returns (Dispute memory dispute_) {
        ClaimData storage run = claimData[_claimIndex];
        if (run.position.depth() <= SPLIT_DEPTH) revert ClaimAboveSplit();
        while (run.position.depth() > SPLIT_DEPTH + 1) {
            run = claimData[run.parentIndex];
        }
        ClaimData storage output = claimData[run.parentIndex];
        ClaimData storage other = output;
        if (!run.position.equal(output.position.answer(true))) {
            // The output is agreed upon, and the one after it in dispute.
            other = _claimAbout(output.position.neighbour(false), run.parentIndex);
            return Dispute(output.claim, output.position, other.claim, other.position);
        }
        (dispute_.disputed, dispute_.disputedPosition) = (output.claim, output.position);
        if (output.position.isFirst(0)) {
            dispute_.starting = Claim.wrap(Hash.unwrap(startingOutputRoot.root));
        } else {
            other = _claimAbout(output.position.neighbour(true), run.parentIndex);
            (dispute_.starting, dispute_.startingPosition) = (other.claim, other.position);
        }
    }

    /// @dev What the oracle keeps the data of disputes apart by.
    function _context(Dispute memory _d) private pure returns (bytes32) {
        return Position.unwrap(_d.startingPosition) == 0
            ? keccak256(abi.encode(_d.disputed, _d.disputedPosition))
            : keccak256(abi.encode(_d));
    }

    /// @dev A number as the eight bytes at the top of a word.
    function _eightBytes(uint256 _number) private pure returns (bytes32) {
        return bytes32(_number << 192);
    }
}

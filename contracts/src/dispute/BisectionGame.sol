// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Positions } from "src/libraries/Positions.sol";
import { Clock, Duration, Position } from "src/interfaces/IFaultDispute.sol";
import { Claim, GameStatus, GameType, Hash, Proposal, Timestamp } from "src/interfaces/IDispute.sol";
import { GameBonds } from "src/dispute/GameBonds.sol";

/// @notice The rules by which claims are made, answered and resolved; whatever the claims speak of.
///
///         A claim stands unless an answer to it stands. Answers go one level down the tree each time, so that a dispute
///         narrows to a single leaf. The claims on even levels are of one side, those on odd levels of the other, and
///         each line of dispute has a chess clock: who lets the time of his side run out can't answer there any more.
///
///         When a claim's time for answers is over, and all answers to it are resolved, it is resolved itself: its bond
///         goes back if it stands, and otherwise to the leftmost answer that stands. The root decides the game.
abstract contract BisectionGame is GameBonds {
    /// @custom:field maxGameDepth     Level of the deepest claims.
    /// @custom:field splitDepth       Level of the last claims about outputs; those below are about a program's states.
    /// @custom:field clockExtension   Seconds that are left at least to whoever has to answer a move.
    /// @custom:field maxClockDuration Seconds that each side has in a line of dispute.
    struct GameConstructorParams {
        uint256 maxGameDepth;
        uint256 splitDepth;
        Duration clockExtension;
        Duration maxClockDuration;
    }

    error AlreadyInitialized();
    error AnchorRootNotFound();
    error BadExtraData();
    error CannotDefendRootClaim();
    error ClaimAlreadyExists();
    error ClaimAlreadyResolved();
    error ClockNotExpired();
    error ClockTimeExceeded();
    error IncorrectBondAmount();
    error InvalidChallengePeriod();
    error InvalidClockExtension();
    error InvalidDisputedClaimIndex();
    error InvalidSplitDepth();
    error L2BlockNumberChallenged();
    error MaxDepthTooLarge();
    error OutOfOrderResolution();
    error UnexpectedRootClaim(Claim rootClaim);

    /// @notice A claim was made in answer to another one.
    event Move(uint256 indexed parentIndex, Claim indexed claim, address indexed claimant);
    event Resolved(GameStatus indexed status);

    /// @dev What the root has in place of the claim that it answers.
    uint32 internal constant NO_PARENT = type(uint32).max;

    uint256 internal immutable SPLIT_DEPTH;
    uint64 internal immutable CLOCK_EXTENSION;
    uint64 internal immutable MAX_CLOCK_DURATION;

    constructor(GameConstructorParams memory _params) GameBonds(_params.maxGameDepth) {
        if (_params.maxGameDepth > Positions.MAX_DEPTH) revert MaxDepthTooLarge();
        // Two levels of outputs at least, since clocks are extended one level above the last; and more than one level
        // below them, since a program's first claim is not one that a step decides.
        (uint256 split, uint256 max) = (_params.splitDepth, _params.maxGameDepth);
        if (split < 2 || split >= max || max - split < 2) revert InvalidSplitDepth();
        SPLIT_DEPTH = split;
        CLOCK_EXTENSION = Duration.unwrap(_params.clockExtension);
        MAX_CLOCK_DURATION = Duration.unwrap(_params.maxClockDuration);
        if (CLOCK_EXTENSION > MAX_CLOCK_DURATION / 2) revert InvalidClockExtension();
    }

    /// @notice Begins the game with the root claim; called by the factory when it has created the clone.
    function initialize() external payable {
        if (initialized) revert AlreadyInitialized();
        // Data that the game does not read would allow a second game about the same claim.
        if (!_argumentsAre(_argumentsLength())) revert BadExtraData();
        _assertMayPropose();
        _checkMachine();
        initialized = true;

        (Hash anchor, uint256 anchored) = anchorStateRegistry().getAnchorRoot();
        if (Hash.unwrap(anchor) == 0) revert AnchorRootNotFound();
        if (l2BlockNumber() <= anchored) revert UnexpectedRootClaim(rootClaim());
        startingOutputRoot = Proposal(anchor, anchored);
        wasRespectedGameTypeWhenCreated =
            GameType.unwrap(anchorStateRegistry().respectedGameType()) == GameType.unwrap(gameType());
        createdAt = Timestamp.wrap(uint64(block.timestamp));
        _addClaim(NO_PARENT, gameCreator(), rootClaim(), Positions.ROOT, 0);
    }

    /// @notice Answers a claim with one about its first half. See `move`.
    function attack(Claim _disputed, uint256 _parentIndex, Claim _claim) external payable {
        move(_disputed, _parentIndex, _claim, true);
    }

    /// @notice Agrees to a claim, and answers it with one about what follows. See `move`.
    function defend(Claim _disputed, uint256 _parentIndex, Claim _claim) external payable {
        move(_disputed, _parentIndex, _claim, false);
    }

    /// @notice Answers a claim.
    /// @param _disputed       What is answered; has to be given so that a reorg can't put another claim in its place.
    /// @param _challengeIndex Its place in the list of claims.
    /// @param _claim          What is claimed instead, about the position that follows from `_isAttack`.
    function move(Claim _disputed, uint256 _challengeIndex, Claim _claim, bool _isAttack) public payable {
        _assertMayPlay();
        _assertInProgress();
        ClaimData storage parent = claimData[_challengeIndex];
        if (Claim.unwrap(parent.claim) != Claim.unwrap(_disputed)) revert InvalidDisputedClaimIndex();
        uint256 depth = Positions.depth(parent.position) + 1;
        // Nothing follows the last leaf of the tree, nor that of a program's run.
        if (!_isAttack && (_challengeIndex == 0 || depth == SPLIT_DEPTH + 2)) revert CannotDefendRootClaim();
        if (l2BlockNumberChallenged && _challengeIndex == 0) revert L2BlockNumberChallenged();
        if (depth > MAX_GAME_DEPTH) revert GameDepthExceeded();
        if (depth == SPLIT_DEPTH + 1) _checkTrace(_claim, _challengeIndex, _isAttack);
        Position position = Positions.answer(parent.position, _isAttack);
        if (msg.value != getRequiredBond(position)) revert IncorrectBondAmount();
        uint64 used = Duration.unwrap(getChallengerDuration(_challengeIndex));
        if (used == MAX_CLOCK_DURATION) revert ClockTimeExceeded();

        bytes32 id = keccak256(abi.encodePacked(_claim, position, uint128(_challengeIndex)));
        if (claims[Hash.wrap(id)]) revert ClaimAlreadyExists();
        claims[Hash.wrap(id)] = true;
        subgames[_challengeIndex].push(claimData.length);
        _addClaim(uint32(_challengeIndex), msg.sender, _claim, position, _extended(used, depth));
        emit Move(_challengeIndex, _claim, msg.sender);
    }

    /// @notice Resolves a claim that can't be answered any more and whose answers are resolved.
    /// @param _numToResolve Looks at this many further answers only. Zero, in the first call, looks at all.
    function resolveClaim(uint256 _claimIndex, uint256 _numToResolve) external {
        if (Duration.unwrap(getChallengerDuration(_claimIndex)) < MAX_CLOCK_DURATION) revert ClockNotExpired();
        if (resolvedSubgames[_claimIndex]) revert ClaimAlreadyResolved();

        ClaimData storage claim = claimData[_claimIndex];
        // Without answers it can have been countered by a step only.
        address winner = claim.counteredBy;
        bool isRoot = _claimIndex == 0;
        if (isRoot || subgames[_claimIndex].length > 0) {
            if (!_lookAtAnswers(_claimIndex, _numToResolve)) return;
            winner = isRoot && l2BlockNumberChallenged
                ? l2BlockNumberChallenger
                : resolutionCheckpoints[_claimIndex].counteredBy;
            claim.counteredBy = winner;
        }
        resolvedSubgames[_claimIndex] = true;
        normalModeCredit[winner == address(0) ? claim.claimant : winner] += claim.bond;
    }

    /// @notice Ends the game, once the root is resolved.
    function resolve() external returns (GameStatus status_) {
        _assertInProgress();
        if (!resolvedSubgames[0]) revert OutOfOrderResolution();
        status_ = claimData[0].counteredBy == address(0) ? GameStatus.DEFENDER_WINS : GameStatus.CHALLENGER_WINS;
        status = status_;
        resolvedAt = Timestamp.wrap(uint64(block.timestamp));
        emit Resolved(status_);
    }

    /// @notice Seconds that the side which may answer a claim has used up: by the moves before the claim, and since it was
    ///         made. Never more than it has.
    function getChallengerDuration(uint256 _claimIndex) public view returns (Duration duration_) {
        _assertInProgress();
        ClaimData storage claim = claimData[_claimIndex];
        uint256 used = block.timestamp - uint64(Clock.unwrap(claim.clock));
        if (claim.parentIndex != NO_PARENT) used += Clock.unwrap(claimData[claim.parentIndex].clock) >> 64;
        return Duration.wrap(used < MAX_CLOCK_DURATION ? uint64(used) : MAX_CLOCK_DURATION);
    }

    /// @notice How many answers to a claim its resolution has not looked at yet.
    function getNumToResolve(uint256 _claimIndex) external view returns (uint256 numRemainingChildren_) {
        return subgames[_claimIndex].length - resolutionCheckpoints[_claimIndex].subgameIndex;
    }

    function claimDataLen() external view returns (uint256 len_) {
        return claimData.length;
    }

    function startingBlockNumber() external view returns (uint256 startingBlockNumber_) {
        return startingOutputRoot.l2SequenceNumber;
    }

    function startingRootHash() external view returns (Hash startingRootHash_) {
        return startingOutputRoot.root;
    }

    function maxGameDepth() external view returns (uint256 maxGameDepth_) {
        return MAX_GAME_DEPTH;
    }

    function splitDepth() external view returns (uint256 splitDepth_) {
        return SPLIT_DEPTH;
    }

    function maxClockDuration() external view returns (Duration maxClockDuration_) {
        return Duration.wrap(MAX_CLOCK_DURATION);
    }

    function clockExtension() external view returns (Duration clockExtension_) {
        return Duration.wrap(CLOCK_EXTENSION);
    }

    /// @dev Reverts if the caller may not begin this game.
    function _assertMayPropose() internal view virtual;

    /// @dev Reverts if the caller may not make claims or steps.
    function _assertMayPlay() internal view virtual;

    /// @dev Bytes of arguments that a clone of this kind of game carries.
    function _argumentsLength() internal pure virtual returns (uint256);

    /// @dev Reverts if a claim about a whole run of the program can't be an answer to this claim about an output.
    function _checkTrace(Claim _claim, uint256 _outputIndex, bool _isAttack) internal view virtual;

    function _addClaim(uint32 _parentIndex, address _claimant, Claim _claim, Position _position, uint64 _used) private {
        Clock clock = Clock.wrap((uint128(_used) << 64) | uint64(block.timestamp));
        claimData.push(ClaimData(_parentIndex, address(0), _claimant, uint128(msg.value), _claim, _position, clock));
        _keepBond(_claimant);
    }

    /// @dev Reverts if the virtual machine's oracle asks for more time than there is.
    function _checkMachine() private view {
        uint256 period = vm().oracle().challengePeriod();
        if (period > type(uint64).max) revert InvalidChallengePeriod();
        if (CLOCK_EXTENSION + period > MAX_CLOCK_DURATION) revert InvalidClockExtension();
    }

    /// @dev The seconds on the clock of a claim's side, set back where too few would be left to answer the next answer.
    function _extended(uint64 _used, uint256 _depth) private view returns (uint64) {
        uint256 left = CLOCK_EXTENSION;
        // The next claim of this side would be the first about the program: it has to be run before.
        if (_depth == SPLIT_DEPTH - 1) left *= 2;
        // Or it would be a step: that may need a large preimage.
        if (_depth == MAX_GAME_DEPTH - 1) left += vm().oracle().challengePeriod();
        // The constructor and `initialize` have checked that neither is more than there is.
        uint64 latest = uint64(MAX_CLOCK_DURATION - left);
        return _used > latest ? latest : _used;
    }

    /// @dev Goes on with looking for the leftmost answer that stands; whether all answers are looked at.
    function _lookAtAnswers(uint256 _claimIndex, uint256 _count) private returns (bool) {
        uint256[] storage answers = subgames[_claimIndex];
        ResolutionCheckpoint memory seen = resolutionCheckpoints[_claimIndex];
        if (!seen.initialCheckpointComplete) {
            seen.initialCheckpointComplete = true;
            seen.leftmostPosition = Position.wrap(type(uint128).max);
            if (_count == 0) _count = answers.length;
        }
        for (; _count > 0 && seen.subgameIndex < answers.length; --_count) {
            uint256 index = answers[seen.subgameIndex++];
            if (!resolvedSubgames[index]) revert OutOfOrderResolution();
            ClaimData storage answer = claimData[index];
            bool further = Position.unwrap(answer.position) < Position.unwrap(seen.leftmostPosition);
            if (answer.counteredBy == address(0) && further) {
                (seen.leftmostPosition, seen.counteredBy) = (answer.position, answer.claimant);
            }
        }
        resolutionCheckpoints[_claimIndex] = seen;
        return seen.subgameIndex == answers.length;
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { BisectionGame } from "src/dispute/BisectionGame.sol";
import { GameBonds } from "src/dispute/GameBonds.sol";
import { GameState } from "src/dispute/GameState.sol";
import { OutputGame } from "src/dispute/OutputGame.sol";
import { PermissionedDisputeGame } from "src/dispute/PermissionedDisputeGame.sol";
import { RLP } from "src/libraries/RLP.sol";
import { Claim, GameStatus, Hash } from "src/interfaces/IDispute.sol";
import { Duration, OutputRootProof, Position } from "src/interfaces/IFaultDispute.sol";
import { DisputeFixture } from "test/support/DisputeFixture.sol";
import { Trie } from "test/support/Trie.sol";

/// @notice The rules of claims, clocks, steps and resolution, in a game that anybody may play.
contract OutputGameTest is DisputeFixture {
    event Move(uint256 indexed parentIndex, Claim indexed claim, address indexed claimant);

    bytes32 internal constant ROOT = keccak256("root");
    /// @dev First bytes of claims about a run.
    bytes32 internal constant VALID = bytes32(uint256(0xAA));
    bytes32 internal constant INVALID = bytes32((uint256(1) << 248) | 0xAA);
    bytes32 internal constant PANIC = bytes32((uint256(2) << 248) | 0xAA);
    bytes32 internal constant UNFINISHED = bytes32((uint256(3) << 248) | 0xAA);
    address internal constant ALICE = address(0xA11CE);
    address internal constant BOB = address(0xB0B);
    address internal constant CAROL = address(0xCA501);

    PermissionedDisputeGame internal game;
    /// @dev With the depths of real chains.
    PermissionedDisputeGame internal large;

    function setUp() public {
        setUpDisputes();
        large = new PermissionedDisputeGame(parameters(73, 30, 10_800, 302_400));
        game = propose(OPEN, ALICE, ROOT, 110);
    }

    /// @dev Attacks from the root down to a depth; the last claim has that depth and, since claims are made in order, that
    ///      index. Claims about the program say that it failed.
    function attackTo(uint256 _depth) internal {
        for (uint256 i = 0; i < _depth; ++i) {
            answer(game, i % 2 == 0 ? BOB : ALICE, i, bytes32((uint256(1) << 248) | (i + 1)), true);
        }
    }

    function expectMove(bytes4 _error, uint256 _index, bytes32 _claim, bool _isAttack, uint256 _bond) internal {
        (,,,, Claim disputed,,) = game.claimData(_index);
        vm.deal(BOB, _bond);
        vm.prank(BOB);
        vm.expectRevert(_error);
        game.move{ value: _bond }(disputed, _index, Claim.wrap(_claim), _isAttack);
    }

    // Moves.

    function test_what_a_move_records() public {
        vm.warp(block.timestamp + 10);
        uint256 bond = game.getRequiredBond(Position.wrap(2));
        vm.deal(BOB, bond);
        vm.expectEmit(address(game));
        emit Move(0, Claim.wrap("claim"), BOB);
        vm.prank(BOB);
        game.attack{ value: bond }(Claim.wrap(ROOT), 0, Claim.wrap("claim"));
        (uint32 parent, address by, address claimant, uint128 paid, Claim claim, Position position,) = game.claimData(1);
        assertEq(parent, 0, "parent");
        assertEq(by, address(0), "not countered");
        assertEq(claimant, BOB, "claimant");
        assertEq(paid, bond, "bond");
        assertEq(Claim.unwrap(claim), "claim", "claim");
        assertEq(Position.unwrap(position), 2, "position");
        assertEq(game.subgames(0, 0), 1, "answer");
        assertEq(game.refundModeCredit(BOB), bond, "refund");
        assertEq(weth.balanceOf(address(game)), 0.08 ether + bond, "kept");
        bytes32 id = keccak256(abi.encodePacked(bytes32("claim"), uint128(2), uint128(0)));
        assertTrue(game.claims(Hash.wrap(id)), "known");
    }

    function test_a_defense_goes_to_the_next_node() public {
        answer(game, BOB, 0, "one", true);
        vm.deal(ALICE, 1 ether);
        uint256 bond = game.getRequiredBond(Position.wrap(6));
        vm.prank(ALICE);
        game.defend{ value: bond }(Claim.wrap("one"), 1, Claim.wrap("two"));
        assertEq(positionOf(game, 2), 6, "2 * (2 + 1)");
        assertEq(positionOf(game, answer(game, BOB, 2, "three", false)), 14, "2 * (6 + 1)");
        assertEq(positionOf(game, answer(game, BOB, 2, "three", true)), 12, "2 * 6");
    }

    function testFuzz_the_disputed_claim_must_be_named(bytes32 _other) public {
        vm.assume(_other != ROOT);
        vm.expectRevert(BisectionGame.InvalidDisputedClaimIndex.selector);
        game.attack(Claim.wrap(_other), 0, Claim.wrap("claim"));
    }

    function test_what_cannot_be_defended() public {
        expectMove(BisectionGame.CannotDefendRootClaim.selector, 0, "claim", false, 0);
        attackTo(SPLIT + 1);
        expectMove(BisectionGame.CannotDefendRootClaim.selector, SPLIT + 1, "claim", false, 0);
        answer(game, BOB, SPLIT + 1, "claim", true);
        answer(game, ALICE, SPLIT + 2, "claim", false);
    }

    function test_nothing_is_deeper_than_the_deepest() public {
        attackTo(MAX_DEPTH);
        expectMove(GameBonds.GameDepthExceeded.selector, MAX_DEPTH, "claim", true, 0);
        expectMove(GameBonds.GameDepthExceeded.selector, MAX_DEPTH, "claim", false, 0);
    }

    function testFuzz_the_bond_is_exact(uint256 _bond) public {
        uint256 required = game.getRequiredBond(Position.wrap(2));
        _bond = bound(_bond, 0, 10 ether);
        vm.assume(_bond != required);
        expectMove(BisectionGame.IncorrectBondAmount.selector, 0, "claim", true, _bond);
        expectMove(BisectionGame.IncorrectBondAmount.selector, 0, "claim", true, required - 1);
        expectMove(BisectionGame.IncorrectBondAmount.selector, 0, "claim", true, required + 1);
    }

    /// @dev Bonds begin at 400,000 gas, end at 300 million, and grow by the same factor between them.
    function testFuzz_bonds_by_depth(uint256 _depth, uint256 _index) public {
        assertEq(large.getRequiredBond(Position.wrap(1)), 0.08 ether, "root");
        uint256 deepest = large.getRequiredBond(Position.wrap(uint128(1) << 73));
        assertTrue(deepest <= 60 ether && deepest >= 60 ether - 200 gwei, "deepest");
        _depth = bound(_depth, 1, 73);
        uint128 first = uint128(1) << uint128(_depth);
        uint256 bond = large.getRequiredBond(Position.wrap(first + uint128(bound(_index, 0, first - 1))));
        assertEq(bond, large.getRequiredBond(Position.wrap(first)), "the same on the whole level");
        uint256 above = large.getRequiredBond(Position.wrap(first / 2));
        // 1.0949 and 1.0950.
        assertTrue(bond > above * 10_949 / 10_000 && bond < above * 10_950 / 10_000, "the spec's factor");
        vm.expectRevert(GameBonds.GameDepthExceeded.selector);
        large.getRequiredBond(Position.wrap(uint128(1) << 74));
    }

    function test_the_same_claim_stands_once_in_a_place() public {
        answer(game, BOB, 0, "claim", true);
        expectMove(BisectionGame.ClaimAlreadyExists.selector, 0, "claim", true, game.getRequiredBond(Position.wrap(2)));
        // Elsewhere it may be made again, be it at the same position.
        answer(game, BOB, 0, "other", true);
        answer(game, ALICE, 1, "claim", true);
        answer(game, ALICE, 2, "claim", true);
        assertEq(positionOf(game, 3), positionOf(game, 4), "same position");
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_the_first_claim_about_a_run(uint8 _status, bytes32 _rest) public {
        bytes32 claim = bytes32((uint256(_status) << 248) | (uint256(_rest) >> 8));
        attackTo(SPLIT);
        uint256 bond = game.getRequiredBond(Position.wrap(32));
        (,,,, Claim disputed,,) = game.claimData(SPLIT);
        vm.deal(BOB, bond);
        vm.prank(BOB);
        // An attack denies the output, so that the run must fail.
        if (_status != 1 && _status != 2) {
            vm.expectRevert(abi.encodeWithSelector(BisectionGame.UnexpectedRootClaim.selector, claim));
        }
        game.attack{ value: bond }(disputed, SPLIT, Claim.wrap(claim));
    }

    /// @dev A defense is about the next output. Whoever makes it has to say that the run fails if the other side, that of
    ///      even depths, has claimed that output; and that it goes well if his own side has.
    function test_the_first_claim_about_a_run_that_defends() public {
        // 1, 2, 4, 8, 16: behind 16 is 17, which 8 speaks of: depth 3, an odd one.
        attackTo(SPLIT);
        uint256 bond = game.getRequiredBond(Position.wrap(34));
        bytes memory refused = abi.encodeWithSelector(BisectionGame.UnexpectedRootClaim.selector, INVALID);
        (,,,, Claim disputed,,) = game.claimData(SPLIT);
        vm.deal(BOB, bond);
        vm.prank(BOB);
        vm.expectRevert(refused);
        game.defend{ value: bond }(disputed, SPLIT, Claim.wrap(INVALID));
        assertEq(positionOf(game, answer(game, BOB, SPLIT, VALID, false)), 34, "the run behind 16");

        // 1, 2, 4, 10, 20: behind 20 is 21, which 10 speaks of: depth 3.
        uint256 defended = answer(game, BOB, 2, "defense", false);
        assertEq(positionOf(game, defended), 10, "defense");
        uint256 leaf = answer(game, ALICE, defended, "leaf", true);
        answer(game, BOB, leaf, VALID, false);
        // 1, 2, 4, 10, 22: behind 22 is 23, which 2 speaks of: depth 1.
        leaf = answer(game, ALICE, defended, "leaf", false);
        answer(game, BOB, leaf, VALID, false);
        // 1, 2, 6, 14, 30: behind 30 is 31, which the root speaks of.
        defended = answer(game, ALICE, 1, "right half", false);
        leaf = answer(game, ALICE, answer(game, BOB, defended, "third", false), "leaf", false);
        assertEq(positionOf(game, leaf), 30, "the last but one");
        (,,,, disputed,,) = game.claimData(leaf);
        bond = game.getRequiredBond(Position.wrap(62));
        vm.deal(BOB, bond);
        vm.prank(BOB);
        vm.expectRevert(abi.encodeWithSelector(BisectionGame.UnexpectedRootClaim.selector, VALID));
        game.defend{ value: bond }(disputed, leaf, Claim.wrap(VALID));
        answer(game, BOB, leaf, PANIC, false);
    }

    function test_no_moves_in_a_resolved_game() public {
        resolveAll(game);
        expectMove(GameState.GameNotInProgress.selector, 0, "claim", true, 0);
        vm.expectRevert(GameState.GameNotInProgress.selector);
        game.step(0, true, "", "");
        vm.expectRevert(GameState.GameNotInProgress.selector);
        game.addLocalData(1, 0, 0);
        vm.expectRevert(GameState.GameNotInProgress.selector);
        game.resolveClaim(0, 0);
        vm.expectRevert(GameState.GameNotInProgress.selector);
        game.resolve();
        vm.expectRevert(GameState.GameNotInProgress.selector);
        game.getChallengerDuration(0);
        OutputRootProof memory output;
        vm.expectRevert(GameState.GameNotInProgress.selector);
        game.challengeRootL2Block(output, "");
    }

    // Clocks.

    /// @dev Each side's clock runs while the other side's last claim stands unanswered, and is the sum of such times.
    function testFuzz_clocks_add_up(uint16[4] calldata _waits) public {
        uint256[2] memory used;
        for (uint256 i = 0; i < 3; ++i) {
            uint256 wait = bound(_waits[i], 0, 300);
            vm.warp(block.timestamp + wait);
            used[i % 2] += wait;
            assertEq(Duration.unwrap(game.getChallengerDuration(i)), used[i % 2], "before the move");
            answer(game, BOB, i, bytes32(i + 1), true);
            (uint256 clock, uint256 since) = clockOf(game, i + 1);
            assertEq(clock, used[i % 2], "on the clock");
            assertEq(since, block.timestamp, "runs since");
        }
    }

    function testFuzz_no_answer_when_the_time_is_over(uint256 _wait) public {
        _wait = bound(_wait, 0, 3 * CLOCK);
        vm.warp(block.timestamp + _wait);
        if (_wait < CLOCK) {
            answer(game, BOB, 0, "claim", true);
            return;
        }
        assertEq(Duration.unwrap(game.getChallengerDuration(0)), CLOCK, "never more");
        expectMove(BisectionGame.ClockTimeExceeded.selector, 0, "claim", true, game.getRequiredBond(Position.wrap(2)));
    }

    /// @dev Whatever time a side has used up: after its move it has the extension left, twice that where the program has to
    ///      be run next, and the oracle's period more where a step is next.
    /// forge-config: default.fuzz.runs = 64
    function testFuzz_extensions(uint256 _wait) public {
        _wait = bound(_wait, 0, CLOCK - 1);
        for (uint256 depth = 1; depth <= MAX_DEPTH; ++depth) {
            uint256 left = EXTENSION;
            if (depth == SPLIT - 1) left = 2 * EXTENSION;
            if (depth == MAX_DEPTH - 1) left = EXTENSION + PERIOD;
            (uint256 before,) = depth == 1 ? (0, 0) : clockOf(game, depth - 2);
            uint256 wait = _wait < CLOCK - before ? _wait : CLOCK - before - 1;
            vm.warp(block.timestamp + wait);
            answer(game, BOB, depth - 1, bytes32((uint256(1) << 248) | depth), true);
            (uint256 used,) = clockOf(game, depth);
            uint256 expected = before + wait > CLOCK - left ? CLOCK - left : before + wait;
            assertEq(used, expected, "used");
        }
    }

    /// @dev An answer made in the last second leaves the other side its time, and the game ends all the same.
    function test_the_longest_game_ends() public {
        uint256 began = block.timestamp;
        for (uint256 depth = 1; depth <= MAX_DEPTH; ++depth) {
            uint256 used = Duration.unwrap(game.getChallengerDuration(depth - 1));
            vm.warp(block.timestamp + CLOCK - 1 - used);
            answer(game, BOB, depth - 1, bytes32((uint256(1) << 248) | depth), true);
        }
        resolveAll(game);
        assertTrue(block.timestamp - began <= 3 * CLOCK + MAX_DEPTH * EXTENSION + PERIOD, "bounded");
    }

    // Steps.

    function state(uint256 _index) internal pure returns (bytes memory) {
        return abi.encode(_index, _index);
    }

    /// @dev A game whose deepest claim is about the first instruction.
    function playToTheFirstInstruction(bytes32 _claim) internal returns (uint256) {
        attackTo(MAX_DEPTH - 1);
        return answer(game, ALICE, MAX_DEPTH - 1, _claim, true);
    }

    function test_a_wrong_first_instruction_is_countered() public {
        uint256 claim = playToTheFirstInstruction(INVALID);
        vm.startPrank(CAROL);
        vm.expectRevert(OutputGame.InvalidPrestate.selector);
        game.step(claim, true, state(1), "");
        game.step(claim, true, state(0), "proof");
        assertEq(counteredBy(game, claim), CAROL, "by whoever made the step");
        vm.expectRevert(OutputGame.DuplicateStep.selector);
        game.step(claim, true, state(0), "proof");
        vm.stopPrank();
        // What the program was told apart by: the anchor is no claim, so only the disputed output counts.
        bytes32 context = keccak256(abi.encode(bytes32((uint256(1) << 248) | SPLIT), uint256(16)));
        assertEq(machine.lastContext(), context, "context");

        uint256 bond = bondOf(game, claim);
        resolveAll(game);
        assertEq(game.normalModeCredit(CAROL), bond, "who made the step has the bond");
    }

    function test_a_right_first_instruction_stands() public {
        uint256 claim = playToTheFirstInstruction(Claim.unwrap(machine.commit(1, 1)));
        vm.expectRevert(OutputGame.ValidStep.selector);
        game.step(claim, true, state(0), "");
    }

    /// @dev A claim about the third instruction: the state before it was claimed by an ancestor.
    function playToTheThirdInstruction(Claim _second, Claim _third) internal returns (uint256) {
        attackTo(MAX_DEPTH - 2);
        answer(game, BOB, MAX_DEPTH - 2, Claim.unwrap(_second), true);
        uint256 claim = answer(game, ALICE, MAX_DEPTH - 1, Claim.unwrap(_third), false);
        assertEq(positionOf(game, claim), 258, "third leaf of the run");
        return claim;
    }

    function test_a_step_begins_where_an_ancestor_ended() public {
        uint256 claim = playToTheThirdInstruction(machine.commit(2, 2), machine.commit(3, 4));
        vm.expectRevert(OutputGame.InvalidPrestate.selector);
        game.step(claim, true, state(0), "");
        game.step(claim, true, state(2), "");
        assertEq(counteredBy(game, claim), address(this), "countered");
    }

    /// @dev A defending step shows that the instruction behind the claim does not lead to what the claim's own side has said
    ///      about it.
    function test_a_step_that_defends() public {
        attackTo(MAX_DEPTH - 3);
        // The fourth state is claimed at depth 6, on the side of depth 8.
        answer(game, ALICE, MAX_DEPTH - 3, Claim.unwrap(machine.commit(4, 9)), true);
        answer(game, BOB, MAX_DEPTH - 2, Claim.unwrap(machine.commit(2, 2)), true);
        uint256 claim = answer(game, ALICE, MAX_DEPTH - 1, Claim.unwrap(machine.commit(3, 3)), false);
        vm.expectRevert(OutputGame.ValidStep.selector);
        game.step(claim, true, state(2), "");
        vm.expectRevert(OutputGame.InvalidPrestate.selector);
        game.step(claim, false, state(2), "");
        game.step(claim, false, state(3), "");
        assertEq(counteredBy(game, claim), address(this), "countered");
    }

    function test_a_step_that_defends_in_vain() public {
        attackTo(MAX_DEPTH - 3);
        answer(game, ALICE, MAX_DEPTH - 3, Claim.unwrap(machine.commit(4, 4)), true);
        answer(game, BOB, MAX_DEPTH - 2, Claim.unwrap(machine.commit(2, 2)), true);
        uint256 claim = answer(game, ALICE, MAX_DEPTH - 1, Claim.unwrap(machine.commit(3, 3)), false);
        vm.expectRevert(OutputGame.ValidStep.selector);
        game.step(claim, false, state(3), "");
    }

    /// @dev Where the other side has said it, the instruction must confirm it.
    function test_a_step_that_confirms_the_other_side() public {
        stepBehindTheFirst(true);
    }

    function test_a_step_that_does_not_confirm_the_other_side() public {
        stepBehindTheFirst(false);
    }

    function stepBehindTheFirst(bool _right) internal {
        // The second state is claimed at depth 7, and the claim at depth 8 is about the first.
        attackTo(MAX_DEPTH - 2);
        answer(game, BOB, MAX_DEPTH - 2, Claim.unwrap(machine.commit(2, _right ? 2 : 3)), true);
        uint256 claim = answer(game, ALICE, MAX_DEPTH - 1, Claim.unwrap(machine.commit(1, 1)), true);
        if (!_right) vm.expectRevert(OutputGame.ValidStep.selector);
        game.step(claim, false, state(1), "");
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_only_the_deepest_claims_are_stepped_on(uint256 _index, bool _isAttack) public {
        attackTo(MAX_DEPTH);
        _index = bound(_index, 0, MAX_DEPTH - 1);
        vm.expectRevert(OutputGame.InvalidParent.selector);
        game.step(_index, _isAttack, state(0), "");
    }

    // Local data.

    function assertLoaded(uint256 _ident, bytes32 _word, uint256 _size, bytes32 _context) internal {
        game.addLocalData(_ident, game.claimDataLen() - 1, 7);
        (uint256 ident, bytes32 context, bytes32 word, uint256 size, uint256 offset) = machine.loaded();
        assertEq(ident, _ident, "ident");
        assertEq(context, _context, "context");
        assertEq(word, _word, "word");
        assertEq(size, _size, "size");
        assertEq(offset, 7, "offset");
    }

    function test_local_data_of_the_first_output() public {
        attackTo(MAX_DEPTH);
        bytes32 disputed = bytes32((uint256(1) << 248) | SPLIT);
        bytes32 context = keccak256(abi.encode(disputed, uint256(16)));
        assertLoaded(1, blockhash(block.number - 1), 32, context);
        assertLoaded(2, keccak256("anchor"), 32, context);
        assertLoaded(3, disputed, 32, context);
        assertLoaded(4, bytes32((ANCHORED + 1) << 192), 8, context);
        assertLoaded(5, bytes32(L2_CHAIN << 192), 8, context);
        vm.expectRevert(OutputGame.InvalidLocalIdent.selector);
        game.addLocalData(0, MAX_DEPTH, 0);
        vm.expectRevert(OutputGame.InvalidLocalIdent.selector);
        game.addLocalData(6, MAX_DEPTH, 0);
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_local_data_needs_a_run(uint256 _index) public {
        attackTo(MAX_DEPTH);
        vm.expectRevert(OutputGame.ClaimAboveSplit.selector);
        game.addLocalData(1, bound(_index, 0, SPLIT), 0);
        game.addLocalData(1, SPLIT + 1, 0);
    }

    function test_local_data_between_two_claims() public {
        // 1, 2, 4, 10, 20: the output at 20 is attacked; the one before it, 19, is spoken of at 4 (9 -> 4).
        answer(game, BOB, 0, "at 2", true);
        answer(game, ALICE, 1, "at 4", true);
        answer(game, BOB, 2, "at 10", false);
        answer(game, ALICE, 3, "at 20", true);
        answer(game, BOB, 4, INVALID, true);
        bytes32 context = keccak256(abi.encode(bytes32("at 4"), uint256(4), bytes32("at 20"), uint256(20)));
        assertLoaded(2, "at 4", 32, context);
        assertLoaded(3, "at 20", 32, context);
        assertLoaded(4, bytes32((ANCHORED + 5) << 192), 8, context);

        // 1, 2, 4, 10, 20, defended: the output at 20 is agreed upon; the one behind it, 21, is spoken of at 10.
        answer(game, BOB, 4, VALID, false);
        context = keccak256(abi.encode(bytes32("at 20"), uint256(20), bytes32("at 10"), uint256(10)));
        assertLoaded(2, "at 20", 32, context);
        assertLoaded(3, "at 10", 32, context);
        assertLoaded(4, bytes32((ANCHORED + 6) << 192), 8, context);
    }

    /// @dev Leaves behind the last block speak of the last block.
    function test_the_block_number_ends_with_the_claim() public {
        game = propose(OPEN, ALICE, ROOT, ANCHORED + 3);
        answer(game, BOB, 0, "at 2", true);
        answer(game, ALICE, 1, "at 4", true);
        answer(game, BOB, 2, "at 10", false);
        answer(game, ALICE, 3, "at 20", true);
        answer(game, BOB, 4, INVALID, true);
        bytes32 context = keccak256(abi.encode(bytes32("at 4"), uint256(4), bytes32("at 20"), uint256(20)));
        assertLoaded(4, bytes32((ANCHORED + 3) << 192), 8, context);
    }

    // The root's block number.

    function header(bytes memory _number) internal pure returns (bytes memory payload_) {
        for (uint256 i = 0; i < 8; ++i) {
            payload_ = abi.encodePacked(payload_, Trie.str(abi.encodePacked(keccak256(abi.encode(i)))));
        }
        return Trie.list(abi.encodePacked(payload_, Trie.str(_number), Trie.str("the rest")));
    }

    function proposeHeader(bytes memory _header, uint256 _number) internal returns (OutputRootProof memory output_) {
        output_ = OutputRootProof(0, keccak256("state"), keccak256("storage"), keccak256(_header));
        game = propose(OPEN, ALICE, keccak256(abi.encode(output_)), _number);
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_a_root_about_another_block(uint64 _real, uint64 _said) public {
        vm.assume(_real > ANCHORED && _said > ANCHORED);
        bytes memory rlp = header(shortest(_real));
        OutputRootProof memory output = proposeHeader(rlp, _said);
        vm.startPrank(CAROL);
        if (_real == _said) {
            vm.expectRevert(OutputGame.BlockNumberMatches.selector);
            game.challengeRootL2Block(output, rlp);
            return;
        }
        game.challengeRootL2Block(output, rlp);
        assertTrue(game.l2BlockNumberChallenged(), "challenged");
        assertEq(game.l2BlockNumberChallenger(), CAROL, "by");
        vm.expectRevert(BisectionGame.L2BlockNumberChallenged.selector);
        game.challengeRootL2Block(output, rlp);
        vm.stopPrank();
        expectMove(BisectionGame.L2BlockNumberChallenged.selector, 0, "claim", true, 0);
        resolveAll(game);
        assertTrue(game.status() == GameStatus.CHALLENGER_WINS, "lost");
        assertEq(game.normalModeCredit(CAROL), 0.08 ether, "the root's bond");
    }

    /// @dev It wins against answers that were there before, and these get their bonds back.
    function test_the_block_number_goes_before_other_answers() public {
        bytes memory rlp = header(shortest(120));
        OutputRootProof memory output = proposeHeader(rlp, 119);
        answer(game, BOB, 0, "claim", true);
        vm.prank(CAROL);
        game.challengeRootL2Block(output, rlp);
        resolveAll(game);
        assertEq(counteredBy(game, 0), CAROL, "countered by");
        assertEq(game.normalModeCredit(CAROL), 0.08 ether, "the root's bond");
        assertEq(game.normalModeCredit(BOB), bondOf(game, 1), "his own");
    }

    function test_proofs_of_the_block_number_that_are_refused() public {
        bytes memory rlp = header(shortest(120));
        OutputRootProof memory output = proposeHeader(rlp, 119);
        output.stateRoot = 0;
        vm.expectRevert(OutputGame.InvalidOutputRootProof.selector);
        game.challengeRootL2Block(output, rlp);
        output.stateRoot = keccak256("state");
        vm.expectRevert(OutputGame.InvalidHeaderRLP.selector);
        game.challengeRootL2Block(output, header(shortest(121)));

        rlp = header(new bytes(33));
        output = proposeHeader(rlp, 118);
        vm.expectRevert(OutputGame.InvalidHeaderRLP.selector);
        game.challengeRootL2Block(output, rlp);
        rlp = Trie.list(abi.encodePacked(Trie.str("short")));
        output = proposeHeader(rlp, 117);
        vm.expectRevert(RLP.EmptyItem.selector);
        game.challengeRootL2Block(output, rlp);
        rlp = Trie.str("no list");
        output = proposeHeader(rlp, 116);
        vm.expectRevert(RLP.UnexpectedString.selector);
        game.challengeRootL2Block(output, rlp);
        // Zero is the empty string.
        rlp = header("");
        output = proposeHeader(rlp, 115);
        game.challengeRootL2Block(output, rlp);
    }

    function shortest(uint256 _number) internal pure returns (bytes memory number_) {
        for (; _number > 0; _number >>= 8) {
            number_ = abi.encodePacked(uint8(_number), number_);
        }
    }

    // Resolution.

    function test_answers_are_resolved_first() public {
        answer(game, BOB, 0, "one", true);
        answer(game, ALICE, 1, "two", true);
        vm.warp(block.timestamp + CLOCK);
        vm.expectRevert(BisectionGame.OutOfOrderResolution.selector);
        game.resolveClaim(0, 0);
        vm.expectRevert(BisectionGame.OutOfOrderResolution.selector);
        game.resolveClaim(1, 0);
        game.resolveClaim(2, 0);
        game.resolveClaim(1, 0);
        game.resolveClaim(0, 0);
        assertEq(counteredBy(game, 1), ALICE, "the answer fell");
        assertTrue(game.resolve() == GameStatus.DEFENDER_WINS, "the root stands");
        assertEq(game.normalModeCredit(ALICE), 0.08 ether + bondOf(game, 1) + bondOf(game, 2), "all of it");
    }

    /// @dev A claim is resolved when the side that could answer it has no time left, whoever's clock ends first.
    function test_each_claim_has_a_time_of_its_own() public {
        vm.warp(block.timestamp + 400);
        answer(game, BOB, 0, "one", true);
        // The root's time is over 600 seconds from now; Bob's claim can be answered for 1,000.
        vm.warp(block.timestamp + 600);
        vm.expectRevert(BisectionGame.ClockNotExpired.selector);
        game.resolveClaim(1, 0);
        vm.expectRevert(BisectionGame.OutOfOrderResolution.selector);
        game.resolveClaim(0, 0);
        vm.warp(block.timestamp + 400);
        game.resolveClaim(1, 0);
        game.resolveClaim(0, 0);
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_resolution_in_parts(uint8 _answers, uint8 _part) public {
        uint256 answers = bound(_answers, 1, 12);
        uint256 part = bound(_part, 1, 5);
        for (uint256 i = 0; i < answers; ++i) {
            answer(game, address(uint160(0x1000 + i)), 0, bytes32(i + 1), true);
        }
        vm.warp(block.timestamp + CLOCK);
        for (uint256 i = 1; i <= answers; ++i) {
            game.resolveClaim(i, 0);
        }
        for (uint256 left = answers; left > 0; left = left > part ? left - part : 0) {
            assertEq(game.getNumToResolve(0), left, "left");
            assertTrue(!game.resolvedSubgames(0), "not yet");
            game.resolveClaim(0, part);
        }
        assertTrue(game.resolvedSubgames(0), "resolved");
        assertEq(game.getNumToResolve(0), 0, "none left");
        assertEq(counteredBy(game, 0), address(0x1000), "of equal positions the first");
    }

    /// @dev The leftmost answer that stands has the bond, whenever it was made.
    function test_the_leftmost_answer_wins() public {
        playBothAnswers(true);
    }

    function test_the_leftmost_answer_wins_though_it_came_later() public {
        playBothAnswers(false);
    }

    function playBothAnswers(bool _attackFirst) internal {
        answer(game, BOB, 0, "one", true);
        answer(game, _attackFirst ? ALICE : CAROL, 1, "two", _attackFirst);
        answer(game, _attackFirst ? CAROL : ALICE, 1, "three", !_attackFirst);
        resolveAll(game);
        assertEq(counteredBy(game, 1), ALICE, "the attack is further left than the defense");
    }

    /// @dev Random play, resolved in a random order of parts, against the rule written once more; the sum of what is given out
    ///      is the sum of what came in, in either mode.
    /// forge-config: default.fuzz.runs = 64
    function testFuzz_bonds_are_conserved(uint256 _seed) public {
        uint256 moves = 4 + _seed % 12;
        for (uint256 i = 0; i < moves; ++i) {
            uint256 random = uint256(keccak256(abi.encode(_seed, i)));
            uint256 parent = random % game.claimDataLen();
            if (positionOf(game, parent) >= 16) parent = 0;
            address player = address(uint160(0x1000 + (random >> 32) % 4));
            answer(game, player, parent, bytes32(i + 1), parent == 0 || (random >> 64) % 2 == 0);
        }
        resolveAll(game);

        uint256 count = game.claimDataLen();
        address[] memory winners = new address[](count);
        uint256 won;
        uint256 paid;
        uint256 total;
        for (uint256 i = count; i > 0; --i) {
            uint256 leftmost = type(uint256).max;
            for (uint256 j = i; j < count; ++j) {
                (uint32 parent,, address claimant,,,,) = game.claimData(j);
                bool answers = parent == i - 1 && winners[j] == address(0);
                if (!answers || positionOf(game, j) >= leftmost) continue;
                (leftmost, winners[i - 1]) = (positionOf(game, j), claimant);
            }
            assertEq(counteredBy(game, i - 1), winners[i - 1], "countered by");
            total += bondOf(game, i - 1);
        }
        for (uint160 i = 0; i < 4; ++i) {
            won += game.normalModeCredit(address(0x1000 + i));
            paid += game.refundModeCredit(address(0x1000 + i));
        }
        won += game.normalModeCredit(ALICE);
        paid += game.refundModeCredit(ALICE);
        assertEq(won, total, "all bonds are won");
        assertEq(paid, total, "all bonds are on record");
        assertEq(weth.balanceOf(address(game)), total, "all bonds are kept");
        GameStatus outcome = winners[0] == address(0) ? GameStatus.DEFENDER_WINS : GameStatus.CHALLENGER_WINS;
        assertTrue(game.status() == outcome, "outcome");
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { AnchorStateRegistry } from "src/dispute/AnchorStateRegistry.sol";
import { BisectionGame } from "src/dispute/BisectionGame.sol";
import { DisputeGameFactory } from "src/dispute/DisputeGameFactory.sol";
import { GameArguments } from "src/dispute/GameArguments.sol";
import { GameBonds } from "src/dispute/GameBonds.sol";
import { NoVM } from "src/dispute/NoVM.sol";
import { PermissionedDisputeGame } from "src/dispute/PermissionedDisputeGame.sol";
import { Claim, GameStatus, GameType, Hash, IDisputeGame, Timestamp } from "src/interfaces/IDispute.sol";
import { BondDistributionMode, Duration, Position } from "src/interfaces/IFaultDispute.sol";
import { DisputeFixture } from "test/support/DisputeFixture.sol";

/// @notice Is paid, and calls the game again meanwhile.
contract Greedy {
    PermissionedDisputeGame internal game;
    bool public refuses;
    bool public called;

    function set(PermissionedDisputeGame _game, bool _refuses) external {
        (game, refuses) = (_game, _refuses);
    }

    receive() external payable {
        require(!refuses);
        if (address(game) == address(0)) return;
        called = true;
        try game.claimCredit(address(this)) {
            revert("paid twice");
        } catch { }
    }
}

contract PermissionedDisputeGameTest is DisputeFixture {
    event GameClosed(BondDistributionMode bondDistributionMode);
    event Resolved(GameStatus indexed status);

    bytes32 internal constant ROOT = keccak256("root");
    uint256 internal constant NUMBER = 110;

    PermissionedDisputeGame internal game;

    function setUp() public {
        setUpDisputes();
        vm.prank(GUARDIAN);
        registry.setRespectedGameType(PERMISSIONED);
        game = propose(PERMISSIONED, PROPOSER, ROOT, NUMBER);
    }

    function test_what_a_new_game_says() public view {
        assertEq(game.gameCreator(), PROPOSER, "creator");
        assertEq(Claim.unwrap(game.rootClaim()), ROOT, "root");
        assertEq(Claim.unwrap(game.rootClaimByChainId(L2_CHAIN)), ROOT, "root of the chain");
        assertEq(Hash.unwrap(game.l1Head()), blockhash(block.number - 1), "L1 head");
        assertEq(GameType.unwrap(game.gameType()), 1, "type");
        assertEq(game.extraData(), abi.encode(NUMBER), "extra data");
        assertEq(game.l2BlockNumber(), NUMBER, "block");
        assertEq(game.l2SequenceNumber(), NUMBER, "sequence number");
        (GameType kind, Claim root, bytes memory extra) = game.gameData();
        assertEq(abi.encode(kind, root, extra), abi.encode(1, ROOT, abi.encode(NUMBER)), "data");
        assertEq(Claim.unwrap(game.absolutePrestate()), Claim.unwrap(machine.commit(0, 0)), "prestate");
        assertEq(address(game.vm()), address(machine), "machine");
        assertEq(address(game.anchorStateRegistry()), address(registry), "registry");
        assertEq(address(game.weth()), address(weth), "weth");
        assertEq(game.l2ChainId(), L2_CHAIN, "chain");
        assertEq(game.proposer(), PROPOSER, "proposer");
        assertEq(game.challenger(), CHALLENGER, "challenger");
        assertEq(game.startingBlockNumber(), ANCHORED, "anchored block");
        assertEq(Hash.unwrap(game.startingRootHash()), keccak256("anchor"), "anchor");
        assertEq(game.maxGameDepth(), MAX_DEPTH, "depth");
        assertEq(game.splitDepth(), SPLIT, "split");
        assertEq(Duration.unwrap(game.clockExtension()), EXTENSION, "extension");
        assertEq(Duration.unwrap(game.maxClockDuration()), CLOCK, "clock");
        assertEq(Timestamp.unwrap(game.createdAt()), block.timestamp, "created");
        assertEq(Timestamp.unwrap(game.resolvedAt()), 0, "resolved");
        assertTrue(game.status() == GameStatus.IN_PROGRESS, "status");
        assertTrue(game.wasRespectedGameTypeWhenCreated(), "respected");
        assertEq(game.claimDataLen(), 1, "claims");
        assertEq(positionOf(game, 0), 1, "position");
        assertEq(bondOf(game, 0), 0.08 ether, "bond");
        assertEq(game.refundModeCredit(PROPOSER), 0.08 ether, "refund");
        assertEq(weth.balanceOf(address(game)), 0.08 ether, "kept");
    }

    function testFuzz_a_root_of_another_chain(uint256 _chain) public {
        vm.assume(_chain != L2_CHAIN);
        vm.expectRevert(GameArguments.UnknownChainId.selector);
        game.rootClaimByChainId(_chain);
    }

    function test_a_game_of_a_type_that_does_not_count() public {
        vm.prank(GUARDIAN);
        registry.setRespectedGameType(OPEN);
        PermissionedDisputeGame other = propose(PERMISSIONED, PROPOSER, ROOT, NUMBER + 1);
        assertTrue(!other.wasRespectedGameTypeWhenCreated(), "not respected");
    }

    function testFuzz_only_the_proposer_proposes(address _sender, address _origin) public {
        vm.assume(_origin != PROPOSER);
        vm.deal(_sender, 1 ether);
        vm.prank(_sender, _origin);
        vm.expectRevert(PermissionedDisputeGame.BadAuth.selector);
        factory.create{ value: 0.08 ether }(PERMISSIONED, Claim.wrap("other"), abi.encode(NUMBER));
        // Through a contract he may.
        vm.deal(_sender, 1 ether);
        vm.prank(_sender, PROPOSER);
        factory.create{ value: 0.08 ether }(PERMISSIONED, Claim.wrap("other"), abi.encode(NUMBER));
    }

    function testFuzz_only_two_accounts_play(address _stranger) public {
        vm.assume(_stranger != PROPOSER && _stranger != CHALLENGER && _stranger != address(factory));
        vm.startPrank(_stranger);
        vm.expectRevert(PermissionedDisputeGame.BadAuth.selector);
        game.attack(Claim.wrap(ROOT), 0, Claim.wrap("claim"));
        vm.expectRevert(PermissionedDisputeGame.BadAuth.selector);
        game.defend(Claim.wrap(ROOT), 0, Claim.wrap("claim"));
        vm.expectRevert(PermissionedDisputeGame.BadAuth.selector);
        game.move(Claim.wrap(ROOT), 0, Claim.wrap("claim"), true);
        vm.expectRevert(PermissionedDisputeGame.BadAuth.selector);
        game.step(0, true, "", "");
        vm.stopPrank();
        answer(game, CHALLENGER, 0, "claim", true);
        answer(game, PROPOSER, 1, "claim", true);
    }

    function test_a_game_begins_once() public {
        vm.expectRevert(BisectionGame.AlreadyInitialized.selector);
        game.initialize();
        Hash uuid = factory.getGameUUID(PERMISSIONED, Claim.wrap(ROOT), abi.encode(NUMBER));
        vm.deal(PROPOSER, 1 ether);
        vm.prank(PROPOSER, PROPOSER);
        vm.expectRevert(abi.encodeWithSelector(DisputeGameFactory.GameAlreadyExists.selector, uuid));
        factory.create{ value: 0.08 ether }(PERMISSIONED, Claim.wrap(ROOT), abi.encode(NUMBER));
    }

    function testFuzz_extra_data_is_one_word(bytes calldata _extra) public {
        vm.assume(_extra.length != 32);
        vm.deal(PROPOSER, 1 ether);
        vm.prank(PROPOSER, PROPOSER);
        vm.expectRevert(BisectionGame.BadExtraData.selector);
        factory.create{ value: 0.08 ether }(PERMISSIONED, Claim.wrap(ROOT), _extra);
    }

    function testFuzz_a_block_above_the_anchor(uint256 _number) public {
        _number = bound(_number, 0, ANCHORED);
        vm.deal(PROPOSER, 1 ether);
        vm.prank(PROPOSER, PROPOSER);
        vm.expectRevert(abi.encodeWithSelector(BisectionGame.UnexpectedRootClaim.selector, ROOT));
        factory.create{ value: 0.08 ether }(PERMISSIONED, Claim.wrap(ROOT), abi.encode(_number));
    }

    function test_no_game_without_an_anchor() public {
        registry = AnchorStateRegistry(deployProxied(address(new AnchorStateRegistry(AIRGAP)), initializeRegistry(0)));
        IDisputeGame implementation = factory.gameImpls(PERMISSIONED);
        factory.setImplementation(PERMISSIONED, implementation, permissionedArguments());
        vm.deal(PROPOSER, 1 ether);
        vm.prank(PROPOSER, PROPOSER);
        vm.expectRevert(BisectionGame.AnchorRootNotFound.selector);
        factory.create{ value: 0.08 ether }(PERMISSIONED, Claim.wrap("other"), abi.encode(NUMBER));
    }

    function testFuzz_an_oracle_that_asks_for_too_much_time(uint256 _period) public {
        _period = bound(_period, CLOCK - EXTENSION + 1, type(uint256).max);
        machine.set(_period);
        vm.deal(PROPOSER, 1 ether);
        vm.prank(PROPOSER, PROPOSER);
        vm.expectRevert(
            _period > type(uint64).max
                ? BisectionGame.InvalidChallengePeriod.selector
                : BisectionGame.InvalidClockExtension.selector
        );
        factory.create{ value: 0.08 ether }(PERMISSIONED, Claim.wrap("other"), abi.encode(NUMBER));
        machine.set(CLOCK - EXTENSION);
        propose(PERMISSIONED, PROPOSER, "other", NUMBER);
    }

    function test_a_chain_without_a_machine() public {
        NoVM none = new NoVM();
        IDisputeGame implementation = factory.gameImpls(PERMISSIONED);
        bytes memory arguments =
            abi.encodePacked(machine.commit(0, 0), none, registry, weth, L2_CHAIN, PROPOSER, CHALLENGER);
        factory.setImplementation(PERMISSIONED, implementation, arguments);
        game = propose(PERMISSIONED, PROPOSER, "other", NUMBER);
        for (uint256 i = 0; i < MAX_DEPTH; ++i) {
            answer(game, CHALLENGER, i, bytes32((uint256(1) << 248) + i), true);
        }
        vm.prank(PROPOSER);
        vm.expectRevert(NoVM.NoVM_NothingToExecute.selector);
        game.step(MAX_DEPTH, true, abi.encode(0, 0), "");
        vm.expectRevert(NoVM.NoVM_NothingToExecute.selector);
        game.addLocalData(1, MAX_DEPTH, 0);
        resolveAll(game);
    }

    function test_settings_that_are_refused() public {
        vm.expectRevert(BisectionGame.MaxDepthTooLarge.selector);
        new PermissionedDisputeGame(parameters(126, SPLIT, EXTENSION, CLOCK));
        vm.expectRevert(BisectionGame.InvalidSplitDepth.selector);
        new PermissionedDisputeGame(parameters(0, 0, EXTENSION, CLOCK));
        vm.expectRevert(BisectionGame.InvalidSplitDepth.selector);
        new PermissionedDisputeGame(parameters(MAX_DEPTH, 1, EXTENSION, CLOCK));
        vm.expectRevert(BisectionGame.InvalidSplitDepth.selector);
        new PermissionedDisputeGame(parameters(MAX_DEPTH, MAX_DEPTH - 1, EXTENSION, CLOCK));
        vm.expectRevert(BisectionGame.InvalidSplitDepth.selector);
        new PermissionedDisputeGame(parameters(MAX_DEPTH, type(uint256).max, EXTENSION, CLOCK));
        vm.expectRevert(BisectionGame.InvalidClockExtension.selector);
        new PermissionedDisputeGame(parameters(MAX_DEPTH, SPLIT, CLOCK / 2 + 1, CLOCK));
        vm.expectRevert(BisectionGame.InvalidClockExtension.selector);
        new PermissionedDisputeGame(parameters(MAX_DEPTH, SPLIT, type(uint64).max, type(uint64).max));
        new PermissionedDisputeGame(parameters(125, 123, CLOCK / 2, CLOCK));
    }

    function test_the_code_may_be_deployed() public {
        PermissionedDisputeGame implementation = new PermissionedDisputeGame(parameters(73, 30, 10_800, 302_400));
        assertTrue(address(implementation).code.length <= 24_576, "EIP-170");
        assertTrue(type(PermissionedDisputeGame).creationCode.length + 128 <= 49_152, "EIP-3860");
    }

    /// @dev The game, uncontested, from proposal to the bond's return.
    function test_an_uncontested_game() public {
        vm.expectRevert(GameBonds.GameNotResolved.selector);
        game.closeGame();
        vm.expectRevert(BisectionGame.OutOfOrderResolution.selector);
        game.resolve();
        vm.warp(block.timestamp + CLOCK - 1);
        vm.expectRevert(BisectionGame.ClockNotExpired.selector);
        game.resolveClaim(0, 0);
        vm.warp(block.timestamp + 1);
        game.resolveClaim(0, 0);
        vm.expectRevert(BisectionGame.ClaimAlreadyResolved.selector);
        game.resolveClaim(0, 0);
        vm.expectEmit(address(game));
        emit Resolved(GameStatus.DEFENDER_WINS);
        assertTrue(game.resolve() == GameStatus.DEFENDER_WINS, "won");
        assertEq(Timestamp.unwrap(game.resolvedAt()), block.timestamp, "time");
        vm.warp(block.timestamp + AIRGAP);
        vm.expectRevert(GameBonds.GameNotFinalized.selector);
        game.claimCredit(PROPOSER);
        vm.warp(block.timestamp + 1);
        vm.expectEmit(address(game));
        emit GameClosed(BondDistributionMode.NORMAL);
        game.closeGame();
        game.closeGame();
        assertEq(address(registry.anchorGame()), address(game), "anchor");
        assertEq(game.credit(PROPOSER), 0.08 ether, "credit");

        game.claimCredit(PROPOSER);
        vm.warp(block.timestamp + DELAY - 1);
        vm.expectRevert("DelayedWETH: withdrawal delay not met");
        game.claimCredit(PROPOSER);
        vm.warp(block.timestamp + 1);
        game.claimCredit(PROPOSER);
        assertEq(PROPOSER.balance, 0.08 ether, "paid");
        assertEq(weth.balanceOf(address(game)), 0, "nothing is left");
        vm.expectRevert(GameBonds.NoCreditToClaim.selector);
        game.claimCredit(PROPOSER);
        // Who has none can't get any.
        game.claimCredit(CHALLENGER);
        vm.expectRevert(GameBonds.NoCreditToClaim.selector);
        game.claimCredit(CHALLENGER);
    }

    /// @dev A game that lost is no anchor, and the challenger has both bonds.
    function test_a_lost_game() public {
        answer(game, CHALLENGER, 0, "other", true);
        uint256 stake = bondOf(game, 1);
        resolveAll(game);
        assertTrue(game.status() == GameStatus.CHALLENGER_WINS, "lost");
        vm.warp(block.timestamp + AIRGAP + 1);
        pay(CHALLENGER);
        assertEq(address(registry.anchorGame()), address(0), "no anchor");
        assertEq(CHALLENGER.balance, 0.08 ether + stake, "both bonds");
        assertEq(game.credit(PROPOSER), 0, "nothing");
    }

    /// @dev What the guardian strikes out before it is closed is refunded, whoever won.
    function test_refunds_of_a_blacklisted_game() public {
        refunds(true);
    }

    function test_refunds_of_a_retired_game() public {
        refunds(false);
    }

    function refunds(bool _blacklist) internal {
        answer(game, CHALLENGER, 0, "other", true);
        uint256 stake = bondOf(game, 1);
        resolveAll(game);
        vm.startPrank(GUARDIAN);
        if (_blacklist) registry.blacklistDisputeGame(game);
        else registry.updateRetirementTimestamp();
        vm.stopPrank();
        vm.warp(block.timestamp + AIRGAP + 1);
        vm.expectEmit(address(game));
        emit GameClosed(BondDistributionMode.REFUND);
        game.closeGame();
        pay(CHALLENGER);
        pay(PROPOSER);
        assertEq(CHALLENGER.balance, stake, "own bond");
        assertEq(PROPOSER.balance, 0.08 ether, "own bond, too");
        assertEq(weth.balanceOf(address(game)), 0, "nothing is left");
    }

    /// @dev Once the winners are known, striking the game out changes nothing.
    function test_a_closed_game_stays_closed() public {
        answer(game, CHALLENGER, 0, "other", true);
        resolveAll(game);
        vm.warp(block.timestamp + AIRGAP + 1);
        game.closeGame();
        vm.prank(GUARDIAN);
        registry.blacklistDisputeGame(game);
        game.closeGame();
        assertTrue(game.bondDistributionMode() == BondDistributionMode.NORMAL, "mode");
        assertEq(game.credit(PROPOSER), 0, "no refund");
    }

    function test_paused() public {
        resolveAll(game);
        vm.warp(block.timestamp + AIRGAP + 1);
        pause.set(address(0), true);
        vm.expectRevert(GameBonds.GamePaused.selector);
        game.closeGame();
        vm.expectRevert(GameBonds.GamePaused.selector);
        game.claimCredit(PROPOSER);
        pause.set(address(0), false);
        game.claimCredit(PROPOSER);
        assertTrue(game.bondDistributionMode() == BondDistributionMode.NORMAL, "no refund");
        vm.warp(block.timestamp + DELAY);
        pause.set(address(0), true);
        vm.expectRevert("DelayedWETH: contract is paused");
        game.claimCredit(PROPOSER);
        pause.set(address(0), false);
        game.claimCredit(PROPOSER);
        assertEq(PROPOSER.balance, 0.08 ether, "paid");
    }

    /// @dev The anchor is a matter of its own: a game older than it is closed and paid all the same.
    function test_a_game_below_the_anchor() public {
        PermissionedDisputeGame later = propose(PERMISSIONED, PROPOSER, "later", NUMBER + 1);
        resolveAll(later);
        game.resolveClaim(0, 0);
        game.resolve();
        vm.warp(block.timestamp + AIRGAP + 1);
        later.closeGame();
        game.closeGame();
        assertEq(address(registry.anchorGame()), address(later), "the later one");
        assertTrue(game.bondDistributionMode() == BondDistributionMode.NORMAL, "mode");
    }

    function test_no_reentrancy_and_no_way_around_a_refusal() public {
        Greedy greedy = new Greedy();
        IDisputeGame implementation = factory.gameImpls(PERMISSIONED);
        factory.setImplementation(
            PERMISSIONED, implementation, abi.encodePacked(commonArguments(), PROPOSER, address(greedy))
        );
        game = propose(PERMISSIONED, PROPOSER, "other", NUMBER);
        answer(game, address(greedy), 0, "claim", true);
        uint256 won = 0.08 ether + bondOf(game, 1);
        resolveAll(game);
        vm.warp(block.timestamp + AIRGAP + 1);
        game.claimCredit(address(greedy));
        vm.warp(block.timestamp + DELAY);

        greedy.set(game, true);
        vm.expectRevert(GameBonds.BondTransferFailed.selector);
        game.claimCredit(address(greedy));
        assertEq(game.credit(address(greedy)), won, "kept for later");
        greedy.set(game, false);
        game.claimCredit(address(greedy));
        assertTrue(greedy.called(), "tried");
        assertEq(address(greedy).balance, won, "paid once");
    }

    /// @dev A proposer who plays against himself has no more in the end than before, and does not change the outcome.
    function test_a_proposer_who_claims_on_both_sides() public {
        uint256 own = answer(game, PROPOSER, 0, "own", true);
        uint256 honest = answer(game, CHALLENGER, 0, "honest", true);
        // The same claim a second time is refused, whoever makes it.
        uint256 bond = game.getRequiredBond(Position.wrap(2));
        vm.deal(PROPOSER, bond);
        vm.prank(PROPOSER);
        vm.expectRevert(BisectionGame.ClaimAlreadyExists.selector);
        game.attack{ value: bond }(Claim.wrap(ROOT), 0, Claim.wrap("honest"));
        // He answers his own claim, so that the challenger's is the leftmost that stands.
        answer(game, PROPOSER, own, "again", true);
        uint256 paid = game.refundModeCredit(PROPOSER);
        resolveAll(game);
        assertTrue(game.status() == GameStatus.CHALLENGER_WINS, "lost");
        assertEq(counteredBy(game, 0), CHALLENGER, "by the challenger");
        assertEq(game.normalModeCredit(PROPOSER), paid - 0.08 ether, "his bonds but the root's");
        assertEq(game.normalModeCredit(CHALLENGER), 0.08 ether + bondOf(game, honest), "the root's bond");
    }

    function pay(address _recipient) internal {
        game.claimCredit(_recipient);
        vm.warp(block.timestamp + DELAY);
        game.claimCredit(_recipient);
    }
}

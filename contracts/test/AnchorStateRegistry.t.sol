// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { AnchorStateRegistry } from "src/dispute/AnchorStateRegistry.sol";
import {
    Claim,
    GameStatus,
    GameType,
    Hash,
    IDisputeGame,
    IDisputeGameFactory,
    Proposal,
    Timestamp
} from "src/interfaces/IDispute.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";
import { Test } from "test/support/Test.sol";

/// @notice Configuration and factory in one, to set by hand.
contract Surroundings {
    bool public paused;
    address public guardian = address(0x6A2D);
    address public superchainConfig = address(0x5C);
    address internal registered;

    function setPaused(bool _paused) external {
        paused = _paused;
    }

    function register(address _game) external {
        registered = _game;
    }

    function games(GameType, Claim, bytes calldata) external view returns (address, uint64) {
        return (registered, 0);
    }
}

/// @notice A game to set by hand.
contract Game {
    uint64 public createdAt;
    uint64 public resolvedAt;
    GameStatus public status;
    Claim public rootClaim;
    uint256 public l2SequenceNumber;
    bool public wasRespectedGameTypeWhenCreated = true;

    constructor(uint256 _number) {
        createdAt = uint64(block.timestamp);
        rootClaim = Claim.wrap(keccak256(abi.encode(_number)));
        l2SequenceNumber = _number;
    }

    function gameData() external view returns (GameType, Claim, bytes memory) {
        return (GameType.wrap(1), rootClaim, abi.encode(l2SequenceNumber));
    }

    function resolve(GameStatus _status) external {
        status = _status;
        resolvedAt = uint64(block.timestamp);
    }

    function setRespected(bool _respected) external {
        wasRespectedGameTypeWhenCreated = _respected;
    }
}

contract AnchorStateRegistryTest is Test {
    event AnchorUpdated(IDisputeGame indexed game);
    event RespectedGameTypeSet(GameType gameType);
    event RetirementTimestampSet(uint256 timestamp);
    event DisputeGameBlacklisted(IDisputeGame indexed disputeGame);

    uint256 internal constant AIRGAP = 302_400;
    uint256 internal constant START = 1_800_000_000;
    address internal constant GUARDIAN = address(0x6A2D);

    Surroundings internal around;
    AnchorStateRegistry internal registry;
    Game internal game;

    function setUp() public {
        vm.warp(START);
        around = new Surroundings();
        registry =
            AnchorStateRegistry(deployProxied(address(new AnchorStateRegistry(AIRGAP)), initialization("start", 100)));
        vm.warp(START + 10);
        game = new Game(200);
        around.register(address(game));
    }

    function initialization(bytes32 _root, uint256 _number) internal view returns (bytes memory) {
        Proposal memory start = Proposal(Hash.wrap(_root), _number);
        return abi.encodeCall(
            AnchorStateRegistry.initialize,
            (ISystemConfig(address(around)), IDisputeGameFactory(address(around)), start, GameType.wrap(1))
        );
    }

    function wrapped() internal view returns (IDisputeGame) {
        return IDisputeGame(address(game));
    }

    /// @dev The game is resolved for the defender, and the airgap is over.
    function win() internal {
        game.resolve(GameStatus.DEFENDER_WINS);
        vm.warp(block.timestamp + AIRGAP + 1);
    }

    function assertValid(bool _valid, string memory _what) internal view {
        assertTrue(registry.isGameClaimValid(wrapped()) == _valid, _what);
    }

    function test_initialize() public {
        (Hash root, uint256 number) = registry.getAnchorRoot();
        assertEq(Hash.unwrap(root), "start", "root");
        assertEq(number, 100, "number");
        (root, number) = registry.anchors(GameType.wrap(7));
        assertEq(Hash.unwrap(root), "start", "root of any type");
        assertEq(registry.getStartingAnchorRoot().l2SequenceNumber, 100, "starting number");
        assertEq(registry.retirementTimestamp(), START, "retirement");
        assertEq(GameType.unwrap(registry.respectedGameType()), 1, "type");
        assertEq(registry.disputeGameFinalityDelaySeconds(), AIRGAP, "airgap");
        assertEq(address(registry.superchainConfig()), address(0x5C), "superchain config");
        vm.expectRevert("Initializable: contract is already initialized");
        (bool again,) = address(registry).call(initialization("other", 1));
        assertTrue(again, "the expected revert");
    }

    function test_a_won_and_aired_game_is_valid() public {
        assertValid(false, "in progress");
        win();
        assertValid(true, "won");
    }

    function testFuzz_the_airgap_is_strict(uint256 _passed) public {
        game.resolve(GameStatus.DEFENDER_WINS);
        uint256 resolved = block.timestamp;
        vm.warp(resolved + AIRGAP);
        assertTrue(registry.isGameResolved(wrapped()) && !registry.isGameFinalized(wrapped()), "at the delay");
        assertValid(false, "at the delay");
        vm.warp(resolved + AIRGAP + 1);
        assertValid(true, "after it");
        _passed = bound(_passed, 0, 1e9);
        vm.warp(resolved + _passed);
        assertTrue(registry.isGameFinalized(wrapped()) == (_passed > AIRGAP), "finalized");
    }

    function test_each_condition_counts() public {
        win();
        assertValid(true, "before");

        around.register(address(1));
        assertTrue(!registry.isGameRegistered(wrapped()) && !registry.isGameProper(wrapped()), "not registered");
        assertValid(false, "not registered");
        around.register(address(game));

        game.setRespected(false);
        assertTrue(!registry.isGameRespected(wrapped()) && registry.isGameProper(wrapped()), "not respected");
        assertValid(false, "not respected");
        game.setRespected(true);

        around.setPaused(true);
        assertTrue(registry.paused() && !registry.isGameProper(wrapped()), "paused");
        assertValid(false, "paused");
        around.setPaused(false);
        assertValid(true, "as before");

        vm.startPrank(GUARDIAN);
        // Another type for new games takes nothing from those that exist.
        vm.expectEmit(address(registry));
        emit RespectedGameTypeSet(GameType.wrap(8));
        registry.setRespectedGameType(GameType.wrap(8));
        assertValid(true, "of the former type");
        vm.expectEmit(address(registry));
        emit DisputeGameBlacklisted(wrapped());
        registry.blacklistDisputeGame(wrapped());
        assertTrue(registry.isGameBlacklisted(wrapped()) && !registry.isGameProper(wrapped()), "blacklisted");
        assertValid(false, "blacklisted");
    }

    function test_retired_games_do_not_count() public {
        vm.expectEmit(address(registry));
        emit RetirementTimestampSet(block.timestamp);
        vm.prank(GUARDIAN);
        registry.updateRetirementTimestamp();
        assertTrue(registry.isGameRetired(wrapped()), "created at that time");
        win();
        assertValid(false, "retired");

        vm.warp(START + 11);
        game = new Game(300);
        around.register(address(game));
        assertTrue(!registry.isGameRetired(wrapped()), "created after it");
        win();
        assertValid(true, "newer");
    }

    function test_lost_games_do_not_count() public {
        game.resolve(GameStatus.CHALLENGER_WINS);
        vm.warp(block.timestamp + AIRGAP + 1);
        assertTrue(registry.isGameFinalized(wrapped()), "final");
        assertValid(false, "lost");
        vm.expectRevert(AnchorStateRegistry.AnchorStateRegistry_InvalidAnchorGame.selector);
        registry.setAnchorState(wrapped());
    }

    function testFuzz_only_the_guardian(address _stranger) public {
        vm.assume(_stranger != GUARDIAN && _stranger != address(this));
        vm.startPrank(_stranger);
        vm.expectRevert(AnchorStateRegistry.AnchorStateRegistry_Unauthorized.selector);
        registry.setRespectedGameType(GameType.wrap(0));
        vm.expectRevert(AnchorStateRegistry.AnchorStateRegistry_Unauthorized.selector);
        registry.updateRetirementTimestamp();
        vm.expectRevert(AnchorStateRegistry.AnchorStateRegistry_Unauthorized.selector);
        registry.blacklistDisputeGame(wrapped());
    }

    function testFuzz_the_anchor_only_moves_forward(uint256 _number) public {
        game = new Game(_number);
        around.register(address(game));
        vm.expectRevert(AnchorStateRegistry.AnchorStateRegistry_InvalidAnchorGame.selector);
        registry.setAnchorState(wrapped());
        win();
        if (_number <= 100) {
            vm.expectRevert(AnchorStateRegistry.AnchorStateRegistry_InvalidAnchorGame.selector);
            registry.setAnchorState(wrapped());
            return;
        }
        vm.expectEmit(address(registry));
        emit AnchorUpdated(wrapped());
        registry.setAnchorState(wrapped());
        (Hash root, uint256 number) = registry.getAnchorRoot();
        assertEq(number, _number, "number");
        assertEq(Hash.unwrap(root), Claim.unwrap(game.rootClaim()), "root");
        vm.expectRevert(AnchorStateRegistry.AnchorStateRegistry_InvalidAnchorGame.selector);
        registry.setAnchorState(wrapped());
    }

    /// @dev As an upgrade would call it again: the initializer's version is wound back.
    function reinitialize(bytes32 _root, uint256 _number) internal returns (bool success_, bytes memory result_) {
        bytes32 slot = vm.load(address(registry), 0);
        vm.store(address(registry), 0, bytes32(uint256(slot) & ~uint256(0xff)));
        (success_, result_) = address(registry).call(initialization(_root, _number));
        if (!success_) vm.store(address(registry), 0, slot);
    }

    function testFuzz_a_new_start_replaces_an_older_anchor(uint256 _number) public {
        win();
        registry.setAnchorState(wrapped());
        (bool success,) = reinitialize("start", 100);
        assertTrue(success && address(registry.anchorGame()) == address(game), "the same start leaves the anchor");
        assertEq(registry.retirementTimestamp(), START, "retirement stays");

        (success,) = reinitialize("other", _number);
        assertTrue(success == (_number > 200), "only if it is later");
        (Hash root, uint256 number) = registry.getAnchorRoot();
        assertEq(number, success ? _number : 200, "number");
        if (success) assertEq(Hash.unwrap(root), "other", "root");
    }
}

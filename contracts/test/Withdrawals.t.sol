// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { AnchorStateRegistry } from "src/dispute/AnchorStateRegistry.sol";
import { OptimismPortal } from "src/L1/OptimismPortal.sol";
import {
    Claim,
    GameStatus,
    GameType,
    Hash,
    IAnchorStateRegistry,
    IDisputeGame,
    IDisputeGameFactory,
    Proposal
} from "src/interfaces/IDispute.sol";
import { IETHLockbox } from "src/interfaces/IETHLockbox.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";
import { DEFAULT_L2_SENDER, FEATURE_ETH_LOCKBOX } from "src/libraries/Constants.sol";
import { L1Fixture, Lockbox } from "test/support/L1Fixture.sol";
import { Trie } from "test/support/Trie.sol";

/// @notice Games by index, to set by hand.
contract Games {
    address internal game;

    function set(address _game) external {
        game = _game;
    }

    function gameAtIndex(uint256) external view returns (uint32, uint64, address) {
        return (1, 0, game);
    }

    function games(uint32, bytes32, bytes calldata) external view returns (address, uint64) {
        return (game, 0);
    }
}

/// @notice A game to set by hand.
contract ProposedRoot {
    uint64 public createdAt = uint64(block.timestamp);
    uint64 public resolvedAt;
    GameStatus public status;
    bytes32 public rootClaim;
    uint32 public gameType = 1;
    bool public wasRespectedGameTypeWhenCreated = true;
    mapping(uint256 => bytes32) public rootClaimByChainId;

    constructor(bytes32 _root) {
        rootClaim = _root;
    }

    function gameData() external view returns (uint32, bytes32, bytes memory) {
        return (gameType, rootClaim, "");
    }

    function resolve(GameStatus _status) external {
        status = _status;
        resolvedAt = uint64(block.timestamp);
    }

    function setRespected(bool _respected) external {
        wasRespectedGameTypeWhenCreated = _respected;
    }

    /// @dev The claim is about several chains, and that root is this chain's.
    function share(uint32 _gameType, uint256 _chainId) external {
        (gameType, rootClaimByChainId[_chainId], rootClaim) = (_gameType, rootClaim, keccak256("all chains"));
    }
}

/// @notice What a withdrawal calls.
contract Target {
    OptimismPortal internal portal;
    address public lastSender;
    uint256 public gasSeen;
    bool public refuses;
    bytes public attack;
    bytes public failure;

    constructor(OptimismPortal _portal) {
        portal = _portal;
    }

    function set(bool _refuses, bytes calldata _attack) external {
        (refuses, attack) = (_refuses, _attack);
    }

    receive() external payable {
        gasSeen = gasleft();
        require(!refuses, "refused");
        lastSender = portal.l2Sender();
        if (attack.length == 0) return;
        (bool success, bytes memory result) = address(portal).call(attack);
        require(!success, "the attack worked");
        failure = result;
    }
}

contract WithdrawalsTest is L1Fixture {
    event WithdrawalProven(bytes32 indexed withdrawalHash, address indexed from, address indexed to);
    event WithdrawalProvenExtension1(bytes32 indexed withdrawalHash, address indexed proofSubmitter);
    event WithdrawalFinalized(bytes32 indexed withdrawalHash, bool success);

    uint256 internal constant MATURITY = 604_800;
    uint256 internal constant AIRGAP = 302_400;
    uint256 internal constant START = 1_800_000_000;
    address internal constant GUARDIAN = address(0x6A2D);

    Games internal games;
    AnchorStateRegistry internal registry;
    ProposedRoot internal game;
    Target internal target;
    OptimismPortal.WithdrawalTransaction internal withdrawal;
    OptimismPortal.OutputRootProof internal output;
    bytes[] internal proof;
    bytes32 internal hash;

    function setUp() public {
        vm.warp(START);
        setUpL1();
        games = new Games();
        bytes memory call = abi.encodeCall(
            AnchorStateRegistry.initialize,
            (
                ISystemConfig(address(config)),
                IDisputeGameFactory(address(games)),
                Proposal(Hash.wrap("start"), 0),
                GameType.wrap(1)
            )
        );
        registry = AnchorStateRegistry(deployProxied(address(new AnchorStateRegistry(AIRGAP)), call));
        call = abi.encodeCall(
            OptimismPortal.initialize,
            (ISystemConfig(address(config)), IAnchorStateRegistry(address(registry)), IETHLockbox(address(0)))
        );
        portal = OptimismPortal(payable(deployProxied(address(new OptimismPortal(MATURITY)), call)));
        target = new Target(portal);
        vm.deal(address(portal), 10 ether);
        vm.warp(START + 100);
        withdrawal = OptimismPortal.WithdrawalTransaction(
            uint256(1) << 240, address(0xB0B), address(target), 1 ether, 100_000, ""
        );
        propose();
        vm.warp(START + 112);
    }

    /// @dev A game about an L2 state that holds the withdrawal.
    function propose() internal {
        hash = keccak256(
            abi.encode(
                withdrawal.nonce,
                withdrawal.sender,
                withdrawal.target,
                withdrawal.value,
                withdrawal.gasLimit,
                withdrawal.data
            )
        );
        bytes32 key = keccak256(abi.encode(keccak256(abi.encode(hash, uint256(0)))));
        bytes32 root;
        (root, proof) = Trie.pair(key, hex"01", keccak256("another withdrawal"));
        output = OptimismPortal.OutputRootProof(0, keccak256("state"), root, keccak256("block"));
        game = new ProposedRoot(keccak256(abi.encode(output)));
        games.set(address(game));
    }

    function prove() internal {
        portal.proveWithdrawalTransaction(withdrawal, 0, output, proof);
    }

    function finalize() internal {
        portal.finalizeWithdrawalTransaction(withdrawal);
    }

    /// @dev Proven, the game won, and all delays over.
    function proveAndWait() internal {
        prove();
        game.resolve(GameStatus.DEFENDER_WINS);
        vm.warp(block.timestamp + MATURITY + 1);
    }

    function test_a_withdrawal_is_proven_and_finalized() public {
        vm.expectEmit(address(portal));
        emit WithdrawalProven(hash, address(0xB0B), address(target));
        vm.expectEmit(address(portal));
        emit WithdrawalProvenExtension1(hash, address(this));
        prove();
        (IDisputeGame proven, uint64 timestamp) = portal.provenWithdrawals(hash, address(this));
        assertEq(address(proven), address(game), "game");
        assertEq(timestamp, block.timestamp, "time");
        assertEq(portal.numProofSubmitters(hash), 1, "provers");
        assertEq(portal.proofSubmitters(hash, 0), address(this), "prover");
        game.resolve(GameStatus.DEFENDER_WINS);
        vm.warp(block.timestamp + MATURITY + 1);
        portal.checkWithdrawal(hash, address(this));

        vm.expectEmit(address(portal));
        emit WithdrawalFinalized(hash, true);
        finalize();
        assertEq(address(target).balance, 1 ether, "paid");
        assertEq(target.lastSender(), address(0xB0B), "sender");
        assertEq(portal.l2Sender(), DEFAULT_L2_SENDER, "reset");
        assertTrue(portal.finalizedWithdrawals(hash), "finalized");
        vm.expectRevert(OptimismPortal.OptimismPortal_AlreadyFinalized.selector);
        finalize();
    }

    function testFuzz_proofs_that_do_not_fit(uint8 _which, bytes32 _other) public {
        OptimismPortal.OutputRootProof memory changed = output;
        if (_which % 4 == 0) changed.version = _other;
        if (_which % 4 == 1) changed.stateRoot = _other;
        if (_which % 4 == 2) changed.messagePasserStorageRoot = _other;
        if (_which % 4 == 3) changed.latestBlockhash = _other;
        vm.assume(keccak256(abi.encode(changed)) != keccak256(abi.encode(output)));
        vm.expectRevert(OptimismPortal.OptimismPortal_InvalidOutputRootProof.selector);
        portal.proveWithdrawalTransaction(withdrawal, 0, changed, proof);

        withdrawal.value += 1;
        vm.expectRevert(OptimismPortal.OptimismPortal_InvalidMerkleProof.selector);
        prove();
        withdrawal.value -= 1;
        proof.pop();
        vm.expectRevert(OptimismPortal.OptimismPortal_InvalidMerkleProof.selector);
        prove();
    }

    function test_games_that_cannot_be_proven_against() public {
        vm.warp(game.createdAt());
        vm.expectRevert(OptimismPortal.OptimismPortal_InvalidProofTimestamp.selector);
        prove();
        vm.warp(game.createdAt() + 1);

        game.setRespected(false);
        vm.expectRevert(OptimismPortal.OptimismPortal_InvalidDisputeGame.selector);
        prove();
        game.setRespected(true);
        game.resolve(GameStatus.CHALLENGER_WINS);
        vm.expectRevert(OptimismPortal.OptimismPortal_InvalidDisputeGame.selector);
        prove();

        propose();
        vm.warp(block.timestamp + 1);
        vm.prank(GUARDIAN);
        registry.blacklistDisputeGame(IDisputeGame(address(game)));
        vm.expectRevert(OptimismPortal.OptimismPortal_ImproperDisputeGame.selector);
        prove();
        propose();
        vm.prank(GUARDIAN);
        registry.updateRetirementTimestamp();
        vm.warp(block.timestamp + 1);
        vm.expectRevert(OptimismPortal.OptimismPortal_ImproperDisputeGame.selector);
        prove();
        propose();
        vm.warp(block.timestamp + 1);
        prove();
    }

    function testFuzz_delays_are_strict(uint256 _passed) public {
        prove();
        uint256 proven = block.timestamp;
        game.resolve(GameStatus.DEFENDER_WINS);
        _passed = bound(_passed, 0, 1e9);
        vm.warp(proven + _passed);
        if (_passed <= MATURITY) {
            vm.expectRevert(OptimismPortal.OptimismPortal_ProofNotOldEnough.selector);
            finalize();
        }
        vm.warp(proven + MATURITY);
        vm.expectRevert(OptimismPortal.OptimismPortal_ProofNotOldEnough.selector);
        finalize();
        vm.warp(proven + MATURITY + 1);
        finalize();
    }

    function test_the_airgap_counts_from_the_resolution() public {
        prove();
        vm.warp(block.timestamp + MATURITY + 1);
        vm.expectRevert(OptimismPortal.OptimismPortal_InvalidRootClaim.selector);
        finalize();
        game.resolve(GameStatus.DEFENDER_WINS);
        vm.warp(block.timestamp + AIRGAP);
        vm.expectRevert(OptimismPortal.OptimismPortal_InvalidRootClaim.selector);
        finalize();
        vm.warp(block.timestamp + 1);
        finalize();
    }

    function test_a_withdrawal_of_a_lost_game_is_proven_again() public {
        prove();
        game.resolve(GameStatus.CHALLENGER_WINS);
        vm.warp(block.timestamp + MATURITY + 1);
        vm.expectRevert(OptimismPortal.OptimismPortal_InvalidRootClaim.selector);
        finalize();

        propose();
        vm.warp(block.timestamp + 1);
        prove();
        vm.expectRevert(OptimismPortal.OptimismPortal_ProofNotOldEnough.selector);
        finalize();
        game.resolve(GameStatus.DEFENDER_WINS);
        vm.warp(block.timestamp + MATURITY + 1);
        finalize();
        assertEq(portal.numProofSubmitters(hash), 2, "both proofs are on record");
    }

    function test_a_blacklisted_game_pays_nothing() public {
        proveAndWait();
        vm.prank(GUARDIAN);
        registry.blacklistDisputeGame(IDisputeGame(address(game)));
        vm.expectRevert(OptimismPortal.OptimismPortal_InvalidRootClaim.selector);
        finalize();
        assertEq(address(target).balance, 0, "nothing");
    }

    function test_somebody_elses_proof() public {
        proveAndWait();
        vm.startPrank(address(0xCAFE));
        vm.expectRevert(OptimismPortal.OptimismPortal_Unproven.selector);
        portal.finalizeWithdrawalTransaction(withdrawal);
        portal.finalizeWithdrawalTransactionExternalProof(withdrawal, address(this));
        assertEq(address(target).balance, 1 ether, "paid");
        vm.stopPrank();
        // A second proof is of no use.
        propose();
        vm.warp(block.timestamp + 1);
        vm.prank(address(0xCAFE));
        portal.proveWithdrawalTransaction(withdrawal, 0, output, proof);
        game.resolve(GameStatus.DEFENDER_WINS);
        vm.warp(block.timestamp + MATURITY + 1);
        vm.expectRevert(OptimismPortal.OptimismPortal_AlreadyFinalized.selector);
        portal.finalizeWithdrawalTransactionExternalProof(withdrawal, address(0xCAFE));
    }

    function test_nothing_while_paused() public {
        pause.set(address(0), true);
        vm.expectRevert(OptimismPortal.OptimismPortal_CallPaused.selector);
        prove();
        pause.set(address(0), false);
        proveAndWait();
        pause.set(address(0), true);
        vm.expectRevert(OptimismPortal.OptimismPortal_CallPaused.selector);
        finalize();
        pause.set(address(0), false);
        finalize();
    }

    function test_a_failing_call_is_final_all_the_same() public {
        proveAndWait();
        target.set(true, "");
        vm.expectEmit(address(portal));
        emit WithdrawalFinalized(hash, false);
        finalize();
        assertEq(address(portal).balance, 10 ether, "the ether stays");
        assertEq(portal.l2Sender(), DEFAULT_L2_SENDER, "reset");
        vm.expectRevert(OptimismPortal.OptimismPortal_AlreadyFinalized.selector);
        finalize();
    }

    function test_an_estimate_fails_where_the_call_does() public {
        proveAndWait();
        target.set(true, "");
        vm.prank(address(this), address(1));
        vm.expectRevert(OptimismPortal.OptimismPortal_GasEstimation.selector);
        portal.finalizeWithdrawalTransaction(withdrawal);
    }

    function test_no_reentrancy() public {
        OptimismPortal.WithdrawalTransaction memory first = withdrawal;
        target.set(false, abi.encodeCall(OptimismPortal.finalizeWithdrawalTransaction, (first)));
        proveAndWait();
        finalize();
        assertEq(target.failure(), abi.encodePacked(OptimismPortal.OptimismPortal_NoReentrancy.selector), "refused");
        assertEq(address(target).balance, 1 ether, "paid once");
    }

    /// @dev Whatever gas comes along: the target gets what it was promised, or nothing is final.
    function testFuzz_the_target_gets_its_gas(uint256 _gas) public {
        proveAndWait();
        _gas = bound(_gas, 60_000, 400_000);
        bytes memory call = abi.encodeCall(OptimismPortal.finalizeWithdrawalTransaction, (withdrawal));
        (bool success,) = address(portal).call{ gas: _gas }(call);
        assertTrue(success == portal.finalizedWithdrawals(hash), "final if it went through");
        if (success) assertTrue(target.gasSeen() >= 100_000, "enough gas");
    }

    function test_targets_that_are_refused() public {
        withdrawal.target = address(portal);
        propose();
        vm.warp(block.timestamp + 1);
        vm.expectRevert(OptimismPortal.OptimismPortal_BadTarget.selector);
        prove();
        vm.expectRevert(OptimismPortal.OptimismPortal_BadTarget.selector);
        finalize();
    }

    function test_a_claim_about_several_chains() public {
        game.share(9, config.l2ChainId());
        prove();
        propose();
        vm.warp(block.timestamp + 1);
        game.share(9, config.l2ChainId() + 1);
        vm.expectRevert(OptimismPortal.OptimismPortal_InvalidOutputRootProof.selector);
        prove();
    }

    function test_with_a_lockbox() public {
        Lockbox lockbox = new Lockbox();
        vm.store(address(portal), bytes32(uint256(63)), bytes32(uint256(uint160(address(lockbox)))));
        vm.mockCall(
            address(config), abi.encodeWithSignature("isFeatureEnabled(bytes32)", FEATURE_ETH_LOCKBOX), abi.encode(true)
        );
        vm.deal(address(lockbox), 10 ether);
        vm.deal(address(portal), 0);
        proveAndWait();
        finalize();
        assertEq(address(target).balance, 1 ether, "paid");
        assertEq(address(lockbox).balance, 9 ether, "out of the lockbox");

        withdrawal.nonce += 1;
        target.set(true, "");
        propose();
        vm.warp(block.timestamp + 1);
        proveAndWait();
        finalize();
        assertEq(address(lockbox).balance, 9 ether, "back in the lockbox");
        assertEq(address(portal).balance, 0, "nothing stays at the portal");
        withdrawal.target = address(lockbox);
        vm.expectRevert(OptimismPortal.OptimismPortal_BadTarget.selector);
        prove();
    }
}

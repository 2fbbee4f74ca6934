// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { ETHLockbox } from "src/L1/ETHLockbox.sol";
import { OptimismPortal } from "src/L1/OptimismPortal.sol";
import { SystemConfig } from "src/L1/SystemConfig.sol";
import { FEATURE_ETH_LOCKBOX } from "src/libraries/Constants.sol";
import { PermissionedDisputeGame } from "src/dispute/PermissionedDisputeGame.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { Claim, GameStatus, GameType, IAnchorStateRegistry } from "src/interfaces/IDispute.sol";
import { BondDistributionMode, Position } from "src/interfaces/IFaultDispute.sol";
import { IETHLockbox } from "src/interfaces/IETHLockbox.sol";
import { IOptimismPortal2 } from "src/interfaces/IOptimismPortal2.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";
import { DisputeFixture } from "test/support/DisputeFixture.sol";
import { Pause } from "test/support/L1Fixture.sol";
import { Trie } from "test/support/Trie.sol";

/// @notice A chain's settlement on L1, all of it real but the pause, and everything that its actors may do in any order.
///         Beside it stand the books: what was paid in and out, and what the guardian has said of each game, from which it
///         is told independently whether a withdrawal may be finalized. What differs from the books is kept in `violation`.
contract Settlement is DisputeFixture {
    /// @dev An L2 state in a game, and the withdrawal that it holds.
    struct Round {
        PermissionedDisputeGame game;
        uint256 withdrawal;
        OptimismPortal.OutputRootProof output;
        bytes[] proof;
        bool respected;
        bool blacklisted;
        bool retired;
        uint256 paidOut;
    }

    struct Proof {
        uint256 round;
        uint256 time;
    }

    uint256 internal constant MATURITY = 4_000;
    uint256 internal constant WITHDRAWALS = 6;
    uint256 internal constant PLAYERS = 4;

    string public violation;
    ETHLockbox public lockbox;
    Round[] internal rounds;
    mapping(uint256 => mapping(address => Proof)) internal proofs;
    mapping(uint256 => bool) internal finalized;
    uint256 public expectedInLockbox;

    uint256 public finalizations;
    uint256 public refusals;
    uint256 public payments;
    uint256 public refunds;
    uint256 public lost;
    uint256 public won;

    /// @dev The lockbox asks who owns the proxies' admin, which is this contract, so that it can't be set up before.
    function start() external {
        setUpDisputes();
        bytes memory call = abi.encodeCall(
            OptimismPortal.initialize,
            (ISystemConfig(address(config)), IAnchorStateRegistry(address(registry)), IETHLockbox(address(lockbox)))
        );
        address implementation = address(new OptimismPortal(MATURITY));
        Proxy(payable(address(portal))).upgradeToAndCall(implementation, call);
        IOptimismPortal2[] memory portals = new IOptimismPortal2[](1);
        portals[0] = IOptimismPortal2(address(portal));
        call = abi.encodeCall(ETHLockbox.initialize, (ISystemConfig(address(config)), portals));
        Proxy(payable(address(lockbox))).upgradeToAndCall(address(new ETHLockbox()), call);
        expectedInLockbox = 100 ether;
        vm.deal(address(lockbox), expectedInLockbox);
    }

    function setUpL1() internal override {
        pause = new Pause();
        portal = OptimismPortal(payable(new Proxy(address(this))));
        lockbox = ETHLockbox(address(new Proxy(address(this))));
        SystemConfig.Addresses memory all = addresses();
        all.optimismPortal = address(portal);
        bytes memory call = abi.encodeCall(
            SystemConfig.initialize,
            (
                OWNER,
                1368,
                810_949,
                bytes32(uint256(0xBA7C)),
                60_000_000,
                address(0x516),
                defaultResourceConfig(),
                address(0xFF00),
                all,
                L2_CHAIN,
                pause
            )
        );
        config = SystemConfig(deployProxied(address(new SystemConfig()), call));
        // Whether there is a pause is asked of the portal's lockbox.
        Proxy(payable(address(portal))).upgradeTo(address(new OptimismPortal(MATURITY)));
        config.setFeature(FEATURE_ETH_LOCKBOX, true);
    }

    /// @notice Owner of the proxies' admin.
    function owner() external view returns (address) {
        return address(this);
    }

    // What the actors do.

    function doPropose(uint256 _seed) external {
        if (rounds.length == 24) return;
        bool open = _seed % 3 != 0;
        uint256 withdrawal = (_seed >> 8) % WITHDRAWALS;
        rounds.push();
        Round storage round = rounds[rounds.length - 1];
        round.withdrawal = withdrawal;
        bytes32 slot = keccak256(abi.encode(hashOf(withdrawal), uint256(0)));
        bytes32 root;
        (root, round.proof) = Trie.pair(keccak256(abi.encode(slot)), hex"01", keccak256("another withdrawal"));
        round.output = OptimismPortal.OutputRootProof(0, keccak256(abi.encode(rounds.length)), root, 0);
        GameType kind = open ? OPEN : PERMISSIONED;
        address from = open ? player(_seed >> 16) : PROPOSER;
        round.respected = GameType.unwrap(registry.respectedGameType()) == GameType.unwrap(kind);
        (, uint256 anchored) = registry.getAnchorRoot();
        uint256 number = anchored + 1 + rounds.length;
        round.game = propose(kind, from, keccak256(abi.encode(round.output)), number);
    }

    function doMove(uint256 _seed) external {
        if (rounds.length == 0) return;
        PermissionedDisputeGame game = rounds[_seed % rounds.length].game;
        uint256 index = (_seed >> 16) % game.claimDataLen();
        (,,,, Claim disputed, Position position,) = game.claimData(index);
        bool isAttack = index == 0 || (_seed >> 32) % 2 == 0;
        uint128 node = Position.unwrap(position);
        if (node >= 16) return;
        uint256 bond = game.getRequiredBond(Position.wrap(2 * (isAttack ? node : node + 1)));
        address from = GameType.unwrap(game.gameType()) == 0
            ? player(_seed >> 40)
            : (_seed >> 40) % 2 == 0 ? PROPOSER : CHALLENGER;
        vm.deal(from, from.balance + bond);
        vm.prank(from, from);
        try game.move{ value: bond }(disputed, index, Claim.wrap(bytes32(_seed)), isAttack) { }
        catch {
            vm.deal(from, from.balance - bond);
        }
    }

    function doResolveClaim(uint256 _seed) external {
        if (rounds.length == 0) return;
        PermissionedDisputeGame game = rounds[_seed % rounds.length].game;
        try game.resolveClaim((_seed >> 16) % game.claimDataLen(), (_seed >> 32) % 3) { } catch { }
    }

    function doResolve(uint256 _seed) external {
        if (rounds.length == 0) return;
        PermissionedDisputeGame game = rounds[_seed % rounds.length].game;
        for (uint256 i = game.claimDataLen(); i > 0; --i) {
            try game.resolveClaim(i - 1, 100) { } catch { }
        }
        try game.resolve() returns (GameStatus status) {
            if (status == GameStatus.DEFENDER_WINS) ++won;
            else ++lost;
        } catch { }
    }

    function doClaimCredit(uint256 _seed) external {
        if (rounds.length == 0) return;
        Round storage round = rounds[_seed % rounds.length];
        address to = player(_seed >> 16);
        uint256 before = to.balance;
        vm.prank(player(_seed >> 32));
        try round.game.claimCredit(to) { } catch { }
        uint256 paid = to.balance - before;
        round.paidOut += paid;
        if (paid == 0) return;
        ++payments;
        if (round.game.bondDistributionMode() == BondDistributionMode.REFUND) ++refunds;
        if (config.paused()) violation = "a bond was paid while paused";
        if (round.game.credit(to) != 0) violation = "credit is left";
    }

    function doProve(uint256 _seed) external {
        if (rounds.length == 0) return;
        uint256 index = _seed % rounds.length;
        Round storage round = rounds[index];
        address from = player(_seed >> 16);
        vm.prank(from);
        try portal.proveWithdrawalTransaction(transaction(round.withdrawal), index, round.output, round.proof) {
            proofs[round.withdrawal][from] = Proof(index, block.timestamp);
            if (!mayCount(round)) violation = "proven against a game that does not count";
        } catch { }
    }

    function doFinalize(uint256 _seed) external {
        uint256 withdrawal = _seed % WITHDRAWALS;
        address prover = player(_seed >> 16);
        bool expected = mayFinalize(withdrawal, prover);
        vm.prank(player(_seed >> 32));
        try portal.finalizeWithdrawalTransactionExternalProof(transaction(withdrawal), prover) {
            if (!expected) violation = "finalized against the books";
            if (finalized[withdrawal]) violation = "finalized twice";
            finalized[withdrawal] = true;
            expectedInLockbox -= transaction(withdrawal).value;
            ++finalizations;
        } catch {
            if (expected) violation = "not finalized against the books";
            if (proofs[withdrawal][prover].time != 0) ++refusals;
        }
    }

    function doDeposit(uint256 _seed) external {
        address from = player(_seed);
        uint256 value = (_seed >> 16) % 3 ether;
        vm.deal(from, from.balance + value);
        vm.prank(from, from);
        portal.depositTransaction{ value: value }(from, value, 21_000, false, "");
        expectedInLockbox += value;
    }

    function doGuard(uint256 _seed) external {
        uint256 what = _seed % 8;
        pause.set(address(0), what == 0);
        vm.startPrank(GUARDIAN);
        if (what == 1 && rounds.length > 0 && (_seed >> 8) % 3 == 0) {
            Round storage round = rounds[(_seed >> 16) % rounds.length];
            registry.blacklistDisputeGame(round.game);
            round.blacklisted = true;
        } else if (what == 2 && (_seed >> 8) % 16 == 0) {
            registry.updateRetirementTimestamp();
            for (uint256 i = 0; i < rounds.length; ++i) {
                rounds[i].retired = true;
            }
        } else if (what == 3) {
            registry.setRespectedGameType((_seed >> 16) % 4 == 0 ? PERMISSIONED : OPEN);
        }
        vm.stopPrank();
    }

    function doWait(uint256 _seed) external {
        uint256[6] memory times = [uint256(1), 150, DELAY, CLOCK, MATURITY, AIRGAP];
        vm.warp(block.timestamp + times[_seed % 6] + (_seed >> 16) % 3);
        vm.roll(block.number + 1);
    }

    // The books.

    /// @dev Reverts where the contracts' money differs from the books.
    function check() external view {
        assertEq(bytes(violation), "", "violation");
        uint256 kept;
        for (uint256 i = 0; i < rounds.length; ++i) {
            Round storage round = rounds[i];
            uint256 total = bondsOf(round.game);
            uint256 balance = weth.balanceOf(address(round.game));
            assertEq(balance + round.paidOut, total, "bonds are with the game or paid out");
            assertEq(address(round.game).balance, 0, "no ether stays with a game");
            assertEq(credits(round.game), total - round.paidOut, "credits");
            kept += balance;
        }
        assertEq(address(weth).balance, kept, "DelayedWETH has what it owes");
        assertEq(address(lockbox).balance, expectedInLockbox, "the lockbox has deposits less withdrawals");
        assertEq(address(portal).balance, 0, "no ether stays with the portal");
        for (uint256 i = 0; i < WITHDRAWALS; ++i) {
            OptimismPortal.WithdrawalTransaction memory withdrawal = transaction(i);
            assertEq(withdrawal.target.balance, finalized[i] ? withdrawal.value : 0, "paid once or not at all");
            assertTrue(portal.finalizedWithdrawals(hashOf(i)) == finalized[i], "on record");
        }
    }

    /// @dev What the accounts have by the rule that applies: while nothing is resolved only a refund is known in full.
    function credits(PermissionedDisputeGame _game) private view returns (uint256 sum_) {
        bool refund =
            _game.status() == GameStatus.IN_PROGRESS || _game.bondDistributionMode() == BondDistributionMode.REFUND;
        for (uint256 i = 0; i < PLAYERS + 2; ++i) {
            sum_ += refund ? _game.refundModeCredit(player(i)) : _game.normalModeCredit(player(i));
        }
    }

    function bondsOf(PermissionedDisputeGame _game) private view returns (uint256 total_) {
        for (uint256 i = _game.claimDataLen(); i > 0; --i) {
            total_ += bondOf(_game, i - 1);
        }
    }

    function mayCount(Round storage _round) private view returns (bool) {
        return _round.respected && !_round.blacklisted && !_round.retired && !config.paused();
    }

    function mayFinalize(uint256 _withdrawal, address _prover) private view returns (bool) {
        Proof storage proof = proofs[_withdrawal][_prover];
        if (finalized[_withdrawal] || proof.time == 0) return false;
        Round storage round = rounds[proof.round];
        PermissionedDisputeGame game = round.game;
        return mayCount(round) && block.timestamp > proof.time + MATURITY && game.resolvedSubgames(0)
            && game.status() != GameStatus.IN_PROGRESS && counteredBy(game, 0) == address(0)
            && block.timestamp > uint256(vm.load(address(game), 0) << 128 >> 192) + AIRGAP;
    }

    /// @dev Anybody, the two accounts of permissioned games among them.
    function player(uint256 _seed) private pure returns (address) {
        uint256 index = _seed % (PLAYERS + 2);
        if (index == PLAYERS) return PROPOSER;
        return index > PLAYERS ? CHALLENGER : address(uint160(0x1000 + index));
    }

    function transaction(uint256 _index) private pure returns (OptimismPortal.WithdrawalTransaction memory) {
        address target = address(uint160(0x700000 + _index));
        return OptimismPortal.WithdrawalTransaction(_index, address(0xB0B), target, 1 ether + _index, 30_000, "");
    }

    function hashOf(uint256 _index) private pure returns (bytes32) {
        OptimismPortal.WithdrawalTransaction memory w = transaction(_index);
        return keccak256(abi.encode(w.nonce, w.sender, w.target, w.value, w.gasLimit, w.data));
    }
}

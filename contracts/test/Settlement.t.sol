// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Settlement } from "test/support/Settlement.sol";
import { Test } from "test/support/Test.sol";

/// @notice Portal, lockbox, factory, registry, games and DelayedWETH with actors that do anything in any order: bonds and
///         ether are conserved to the wei, nothing is paid twice, and no withdrawal is finalized by a game that does not count.
contract SettlementTest is Test {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Settlement internal settlement;
    bytes4[] internal actions;

    function setUp() public {
        settlement = new Settlement();
        settlement.start();
        actions = [
            Settlement.doPropose.selector,
            Settlement.doMove.selector,
            Settlement.doResolveClaim.selector,
            Settlement.doResolve.selector,
            Settlement.doClaimCredit.selector,
            Settlement.doProve.selector,
            Settlement.doFinalize.selector,
            Settlement.doDeposit.selector,
            Settlement.doGuard.selector,
            Settlement.doWait.selector
        ];
    }

    function targetContracts() external view returns (address[] memory targets_) {
        targets_ = new address[](1);
        targets_[0] = address(settlement);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory selectors_) {
        selectors_ = new FuzzSelector[](1);
        selectors_[0] = FuzzSelector(address(settlement), actions);
    }

    /// forge-config: default.invariant.runs = 8
    /// forge-config: default.invariant.depth = 120
    function invariant_the_books_agree() external view {
        settlement.check();
    }

    /// @dev Random play of a fixed seed, long enough that everything that may happen does.
    function test_everything_happens() external {
        for (uint256 i = 0; i < 2_000; ++i) {
            uint256 random = uint256(keccak256(abi.encode(i)));
            bytes memory call = abi.encodeWithSelector(actions[random % actions.length], random >> 8);
            (bool success,) = address(settlement).call(call);
            assertTrue(success, "no action reverts");
            if (i % 50 == 0) settlement.check();
        }
        settlement.check();
        assertTrue(settlement.won() > 0 && settlement.lost() > 0, "games are won and lost");
        assertTrue(
            settlement.payments() > settlement.refunds() && settlement.refunds() > 0, "bonds are won and refunded"
        );
        assertTrue(settlement.finalizations() > 1, "withdrawals are finalized");
        assertTrue(settlement.refusals() > 10, "and refused");
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { PermissionedDisputeGame } from "src/dispute/PermissionedDisputeGame.sol";
import { Claim, GameType, IDisputeGame } from "src/interfaces/IDispute.sol";
import { Duration, Position } from "src/interfaces/IFaultDispute.sol";
import { DisputeFixture } from "test/support/DisputeFixture.sol";

/// @notice Takes bonds without a log, which would tell the games apart.
contract QuietWETH {
    function deposit() external payable { }
    function unlock(address, uint256) external { }
}

/// @notice Our game and the FaultDisputeGame of 0.17.3, which has the same rules for claims, clocks, steps and resolution, but
///         other ones for the bonds' way out.
contract OutputGameOfficialTest is DisputeFixture {
    GameType internal constant THEIRS = GameType.wrap(7);
    bytes32 internal constant ROOT = keccak256("root");
    uint256 internal constant NUMBER = 110;

    PermissionedDisputeGame internal ours;
    PermissionedDisputeGame internal theirs;

    function setUp() public {
        setUpDisputes();
        // Time for large preimages is given since then only.
        machine.set(0);
        address quiet = address(new QuietWETH());
        IDisputeGame open = factory.gameImpls(OPEN);
        factory.setImplementation(
            OPEN, open, abi.encodePacked(machine.commit(0, 0), machine, registry, quiet, L2_CHAIN)
        );
        bytes memory arguments = abi.encode(
            THEIRS, machine.commit(0, 0), MAX_DEPTH, SPLIT, EXTENSION, CLOCK, machine, quiet, registry, L2_CHAIN
        );
        factory.setImplementation(THEIRS, IDisputeGame(deployOfficial("FaultDisputeGame", arguments)));
        factory.setInitBond(THEIRS, 0.08 ether);
        // What has become closeGame.
        vm.mockCall(address(registry), abi.encodeWithSignature("tryUpdateAnchorState()"), "");
        ours = propose(OPEN, address(0x1000), ROOT, NUMBER);
        theirs = propose(THEIRS, address(0x1000), ROOT, NUMBER);
    }

    /// @dev One call to both games, with the same outcome.
    function same(address _sender, uint256 _value, bytes memory _data) internal returns (bool) {
        (bool own, bytes memory result) = send(address(ours), _sender, _value, _data);
        (bool other, bytes memory expected) = send(address(theirs), _sender, _value, _data);
        assertEq(result, expected, "result");
        assertTrue(own == other, "success");
        return own;
    }

    function send(
        address _game,
        address _sender,
        uint256 _value,
        bytes memory _data
    )
        private
        returns (bool success_, bytes memory result_)
    {
        vm.deal(_sender, _value);
        vm.prank(_sender);
        (success_, result_) = _game.call{ value: _value }(_data);
    }

    /// forge-config: default.fuzz.runs = 128
    function testFuzz_official_a_random_game(uint256 _seed) public {
        for (uint256 i = 0; i < 40; ++i) {
            uint256 random = uint256(keccak256(abi.encode(_seed, i)));
            if (random % 8 < 4) move(random >> 8, i);
            else if (random % 8 == 4) step(random >> 8);
            else if (random % 8 == 5) localData(random >> 8);
            else if (random % 64 == 6) vm.warp(block.timestamp + (random >> 8) % (CLOCK / 2));
            else same(address(this), 0, abi.encodeCall(ours.resolveClaim, ((random >> 8) % 12, (random >> 16) % 3)));
        }
        compare();
        vm.warp(block.timestamp + CLOCK);
        for (uint256 i = ours.claimDataLen(); i > 0; --i) {
            same(address(this), 0, abi.encodeCall(ours.resolveClaim, (i - 1, 0)));
        }
        assertTrue(same(address(this), 0, abi.encodeCall(ours.resolve, ())), "resolved");
        compare();
    }

    function move(uint256 _random, uint256 _turn) internal {
        // Often the newest claim, so that the games get deep.
        uint256 length = ours.claimDataLen();
        uint256 index = _random % 4 == 0 ? (_random >> 8) % length : length - 1;
        (,,,, Claim disputed, Position position,) = ours.claimData(index);
        bool isAttack = (_random >> 16) % 3 != 0;
        uint128 node = Position.unwrap(position);
        if (isExtendedSinceThen(index, node)) return;
        uint256 bond = node >= 256 ? 0 : ours.getRequiredBond(Position.wrap(2 * (isAttack ? node : node + 1)));
        if ((_random >> 24) % 16 == 0) ++bond;
        // A few different claims, with each way for a run to end; now and then one that steps know.
        bytes32 claim = bytes32((((_random >> 32) % 3) << 248) | (_turn % 6));
        if ((_random >> 40) % 4 == 0) claim = Claim.unwrap(machine.commit((_random >> 48) % 4, (_random >> 48) % 4));
        address sender = address(uint160(0x1000 + (_random >> 64) % 3));
        same(sender, bond, abi.encodeCall(ours.move, (disputed, index, Claim.wrap(claim), isAttack)));
    }

    /// @dev Whether an answer's clock is set back by us and left alone by 0.17.3: before the program's first claim twice the
    ///      extension is given to whoever has less than that, by 0.17.3 to whoever has less than the extension.
    function isExtendedSinceThen(uint256 _index, uint128 _node) internal view returns (bool) {
        uint256 used = Duration.unwrap(ours.getChallengerDuration(_index));
        bool beforeProgram = _node >> (SPLIT - 2) == 1;
        return beforeProgram && used > CLOCK - 2 * EXTENSION && used <= CLOCK - EXTENSION;
    }

    function step(uint256 _random) internal {
        uint256 index = _random % 3 == 0 ? (_random >> 8) % ours.claimDataLen() : ours.claimDataLen() - 1;
        bytes memory state = abi.encode((_random >> 16) % 4, (_random >> 16) % 4);
        same(address(0x1003), 0, abi.encodeCall(ours.step, (index, (_random >> 24) % 2 == 0, state, "")));
    }

    function localData(uint256 _random) internal {
        bytes memory call =
            abi.encodeCall(ours.addLocalData, (_random % 7, (_random >> 8) % ours.claimDataLen(), _random >> 16));
        (bool own, bytes memory result) = send(address(ours), address(this), 0, call);
        bytes memory loaded = lastLoaded();
        (bool other, bytes memory expected) = send(address(theirs), address(this), 0, call);
        assertTrue(own == other, "success");
        assertEq(result, expected, "result");
        assertEq(loaded, lastLoaded(), "loaded");
    }

    /// @dev The block number is never above the claimed one since then; that of 0.17.3 is brought down to it here.
    function lastLoaded() internal view returns (bytes memory) {
        (uint256 ident, bytes32 context, bytes32 word, uint256 size, uint256 offset) = machine.loaded();
        if (ident == 4 && uint256(word) > NUMBER << 192) word = bytes32(NUMBER << 192);
        return abi.encode(ident, context, word, size, offset);
    }

    /// @dev Everything that both games tell of themselves.
    function compare() internal {
        same(address(this), 0, abi.encodeCall(ours.claimDataLen, ()));
        same(address(this), 0, abi.encodeCall(ours.status, ()));
        same(address(this), 0, abi.encodeCall(ours.resolvedAt, ()));
        same(address(this), 0, abi.encodeCall(ours.l2BlockNumberChallenged, ()));
        for (uint256 i = 0; i < ours.claimDataLen(); ++i) {
            same(address(this), 0, abi.encodeCall(ours.claimData, (i)));
            same(address(this), 0, abi.encodeCall(ours.resolvedSubgames, (i)));
            same(address(this), 0, abi.encodeCall(ours.resolutionCheckpoints, (i)));
            same(address(this), 0, abi.encodeCall(ours.getNumToResolve, (i)));
            same(address(this), 0, abi.encodeCall(ours.getChallengerDuration, (i)));
            same(address(this), 0, abi.encodeCall(ours.subgames, (i, 0)));
        }
        for (uint160 i = 0; i < 5; ++i) {
            same(address(this), 0, abi.encodeCall(ours.credit, (address(0x1000 + i))));
        }
    }

    function testFuzz_official_getters_and_bonds(uint128 _position) public {
        same(address(this), 0, abi.encodeCall(ours.gameCreator, ()));
        same(address(this), 0, abi.encodeCall(ours.rootClaim, ()));
        same(address(this), 0, abi.encodeCall(ours.l1Head, ()));
        same(address(this), 0, abi.encodeCall(ours.extraData, ()));
        same(address(this), 0, abi.encodeCall(ours.l2BlockNumber, ()));
        same(address(this), 0, abi.encodeCall(ours.startingOutputRoot, ()));
        same(address(this), 0, abi.encodeCall(ours.startingBlockNumber, ()));
        same(address(this), 0, abi.encodeCall(ours.startingRootHash, ()));
        same(address(this), 0, abi.encodeCall(ours.absolutePrestate, ()));
        same(address(this), 0, abi.encodeCall(ours.maxGameDepth, ()));
        same(address(this), 0, abi.encodeCall(ours.splitDepth, ()));
        same(address(this), 0, abi.encodeCall(ours.maxClockDuration, ()));
        same(address(this), 0, abi.encodeCall(ours.clockExtension, ()));
        same(address(this), 0, abi.encodeCall(ours.vm, ()));
        same(address(this), 0, abi.encodeCall(ours.l2ChainId, ()));
        same(address(this), 0, abi.encodeCall(ours.initialize, ()));
        same(address(this), 0, abi.encodeCall(ours.getRequiredBond, (Position.wrap(_position % 1_024 + 1))));
    }
}

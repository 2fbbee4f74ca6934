// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { AnchorStateRegistry } from "src/dispute/AnchorStateRegistry.sol";
import { BisectionGame } from "src/dispute/BisectionGame.sol";
import { DelayedWETH } from "src/dispute/DelayedWETH.sol";
import { DisputeGameFactory } from "src/dispute/DisputeGameFactory.sol";
import { OutputGame } from "src/dispute/OutputGame.sol";
import { PermissionedDisputeGame } from "src/dispute/PermissionedDisputeGame.sol";
import {
    Claim,
    GameType,
    Hash,
    IAnchorStateRegistry,
    IDisputeGame,
    IDisputeGameFactory,
    Proposal
} from "src/interfaces/IDispute.sol";
import { Clock, Duration, IBigStepper, IPreimageOracle, Position } from "src/interfaces/IFaultDispute.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";
import { L1Fixture } from "test/support/L1Fixture.sol";

/// @notice A machine whose states are a counter of steps and a value; each step adds one to both. It is its own oracle.
contract ToyMachine is IBigStepper, IPreimageOracle {
    struct Loaded {
        uint256 ident;
        bytes32 context;
        bytes32 word;
        uint256 size;
        uint256 offset;
    }

    uint256 public challengePeriod;
    bytes32 public lastContext;
    Loaded public loaded;

    constructor(uint256 _challengePeriod) {
        challengePeriod = _challengePeriod;
    }

    function set(uint256 _challengePeriod) external {
        challengePeriod = _challengePeriod;
    }

    function oracle() external view returns (IPreimageOracle) {
        return this;
    }

    /// @dev The claim about a state; the byte in front of the hash is 1 ("ended badly") throughout.
    function commit(uint256 _index, uint256 _value) public pure returns (Claim) {
        uint256 hash = uint256(keccak256(abi.encode(_index, _value)));
        return Claim.wrap(bytes32((hash & (type(uint256).max >> 8)) | (uint256(1) << 248)));
    }

    function step(bytes calldata _state, bytes calldata, bytes32 _context) external returns (bytes32) {
        (uint256 index, uint256 value) = abi.decode(_state, (uint256, uint256));
        lastContext = _context;
        return Claim.unwrap(commit(index + 1, value + 1));
    }

    function loadLocalData(
        uint256 _ident,
        bytes32 _context,
        bytes32 _word,
        uint256 _size,
        uint256 _offset
    )
        external
        returns (bytes32)
    {
        loaded = Loaded(_ident, _context, _word, _size, _offset);
        return 0;
    }
}

/// @notice The game with which anybody may play.
contract OpenGame is OutputGame {
    constructor(GameConstructorParams memory _params) BisectionGame(_params) { }

    function _assertMayPropose() internal view override { }
    function _assertMayPlay() internal view override { }

    function _argumentsLength() internal pure override returns (uint256) {
        return COMMON_ARGUMENTS;
    }
}

/// @notice Dispute games with all that they need; small trees, short clocks.
abstract contract DisputeFixture is L1Fixture {
    uint256 internal constant START = 1_800_000_000;
    uint256 internal constant MAX_DEPTH = 8;
    uint256 internal constant SPLIT = 4;
    uint64 internal constant EXTENSION = 100;
    uint64 internal constant CLOCK = 1_000;
    uint256 internal constant PERIOD = 300;
    uint256 internal constant AIRGAP = 5_000;
    uint256 internal constant DELAY = 700;
    uint256 internal constant ANCHORED = 100;
    uint256 internal constant L2_CHAIN = 901;
    GameType internal constant OPEN = GameType.wrap(0);
    GameType internal constant PERMISSIONED = GameType.wrap(1);
    address internal constant GUARDIAN = address(0x6A2D);
    address internal constant PROPOSER = address(0x9809);
    address internal constant CHALLENGER = address(0xC4A1);
    uint32 internal constant NO_PARENT = type(uint32).max;

    DisputeGameFactory internal factory;
    AnchorStateRegistry internal registry;
    DelayedWETH internal weth;
    ToyMachine internal machine;

    function setUpDisputes() internal {
        vm.warp(START);
        vm.roll(1_000);
        setUpL1();
        machine = new ToyMachine(PERIOD);
        bytes memory call = abi.encodeCall(DisputeGameFactory.initialize, (address(this)));
        factory = DisputeGameFactory(deployProxied(address(new DisputeGameFactory()), call));
        registry = AnchorStateRegistry(
            deployProxied(address(new AnchorStateRegistry(AIRGAP)), initializeRegistry(keccak256("anchor")))
        );
        call = abi.encodeCall(DelayedWETH.initialize, (ISystemConfig(address(config))));
        weth = DelayedWETH(payable(deployProxied(address(new DelayedWETH(DELAY)), call)));
        IDisputeGame open = new OpenGame(parameters(MAX_DEPTH, SPLIT, EXTENSION, CLOCK));
        factory.setImplementation(OPEN, open, commonArguments());
        IDisputeGame permissioned = new PermissionedDisputeGame(parameters(MAX_DEPTH, SPLIT, EXTENSION, CLOCK));
        factory.setImplementation(PERMISSIONED, permissioned, permissionedArguments());
        factory.setInitBond(OPEN, 0.08 ether);
        factory.setInitBond(PERMISSIONED, 0.08 ether);
        // Games of the registry's first second never count.
        vm.warp(START + 10);
    }

    function initializeRegistry(bytes32 _anchor) internal view returns (bytes memory) {
        return abi.encodeCall(
            AnchorStateRegistry.initialize,
            (
                ISystemConfig(address(config)),
                IDisputeGameFactory(address(factory)),
                Proposal(Hash.wrap(_anchor), ANCHORED),
                OPEN
            )
        );
    }

    function parameters(
        uint256 _maxDepth,
        uint256 _split,
        uint64 _extension,
        uint64 _clock
    )
        internal
        pure
        returns (BisectionGame.GameConstructorParams memory)
    {
        return BisectionGame.GameConstructorParams(_maxDepth, _split, Duration.wrap(_extension), Duration.wrap(_clock));
    }

    function commonArguments() internal view returns (bytes memory) {
        return abi.encodePacked(machine.commit(0, 0), machine, registry, weth, L2_CHAIN);
    }

    function permissionedArguments() internal view returns (bytes memory) {
        return abi.encodePacked(commonArguments(), PROPOSER, CHALLENGER);
    }

    /// @dev Creates a game. Both kinds are called through the interface of the larger one.
    function propose(
        GameType _type,
        address _from,
        bytes32 _root,
        uint256 _number
    )
        internal
        returns (PermissionedDisputeGame)
    {
        uint256 bond = factory.initBonds(_type);
        vm.deal(_from, _from.balance + bond);
        vm.prank(_from, _from);
        return PermissionedDisputeGame(
            address(factory.create{ value: bond }(_type, Claim.wrap(_root), abi.encode(_number)))
        );
    }

    /// @dev Answers a claim with the right bond, and gives the new claim's index.
    function answer(
        PermissionedDisputeGame _game,
        address _from,
        uint256 _index,
        bytes32 _claim,
        bool _isAttack
    )
        internal
        returns (uint256)
    {
        (,,,, Claim disputed, Position position,) = _game.claimData(_index);
        uint128 node = Position.unwrap(position);
        uint256 bond = _game.getRequiredBond(Position.wrap(2 * (_isAttack ? node : node + 1)));
        vm.deal(_from, _from.balance + bond);
        vm.prank(_from);
        _game.move{ value: bond }(disputed, _index, Claim.wrap(_claim), _isAttack);
        return _game.claimDataLen() - 1;
    }

    /// @dev Resolves all claims, the youngest first, and the game.
    function resolveAll(PermissionedDisputeGame _game) internal {
        vm.warp(block.timestamp + CLOCK);
        for (uint256 i = _game.claimDataLen(); i > 0; --i) {
            if (!_game.resolvedSubgames(i - 1)) _game.resolveClaim(i - 1, 0);
        }
        _game.resolve();
    }

    function positionOf(PermissionedDisputeGame _game, uint256 _index) internal view returns (uint256) {
        (,,,,, Position position,) = _game.claimData(_index);
        return Position.unwrap(position);
    }

    function counteredBy(PermissionedDisputeGame _game, uint256 _index) internal view returns (address by_) {
        (, by_,,,,,) = _game.claimData(_index);
    }

    function bondOf(PermissionedDisputeGame _game, uint256 _index) internal view returns (uint256) {
        (,,, uint128 bond,,,) = _game.claimData(_index);
        return bond;
    }

    function clockOf(
        PermissionedDisputeGame _game,
        uint256 _index
    )
        internal
        view
        returns (uint256 used_, uint256 since_)
    {
        (,,,,,, Clock clock) = _game.claimData(_index);
        return (Clock.unwrap(clock) >> 64, uint64(Clock.unwrap(clock)));
    }
}

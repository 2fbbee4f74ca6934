// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { DisputeGameFactory } from "src/dispute/DisputeGameFactory.sol";
import { Clones } from "src/libraries/Clones.sol";
import { Claim, GameId, GameType, Hash, IDisputeGame, Timestamp } from "src/interfaces/IDispute.sol";
import { Test } from "test/support/Test.sol";

/// @notice What a clone is called with, told by the implementation.
contract Echo {
    bytes public lastData;
    uint256 public paid;

    error Refused(uint256 code);

    function initialize() external payable {
        lastData = msg.data;
        paid = msg.value;
    }

    function fail(uint256 _code) external pure {
        revert Refused(_code);
    }

    /// @dev What stands behind selector and arguments of the call.
    function tail(uint256 _skip) external pure returns (bytes memory) {
        return msg.data[_skip:];
    }

    function rootClaim() external view returns (Claim claim_) {
        bytes memory data = lastData;
        assembly {
            claim_ := mload(add(data, 0x38))
        }
    }

    function extraData() external view returns (bytes memory extra_) {
        bytes memory data = lastData;
        extra_ = new bytes(data.length - 4 - 0x54 - 2);
        for (uint256 i = 0; i < extra_.length; ++i) {
            extra_[i] = data[4 + 0x54 + i];
        }
    }
}

contract ClonesTest is Test {
    event ReceiveETH(uint256 amount);

    function clone(bytes memory _arguments, bytes32 _salt) external returns (address) {
        return Clones.cloneDeterministic(address(new Echo()), _arguments, _salt);
    }

    function testFuzz_arguments_follow_the_call(bytes calldata _arguments, uint256 _word) public {
        Echo echo = Echo(payable(this.clone(_arguments, 0)));
        echo.initialize();
        bytes memory suffix = abi.encodePacked(_arguments, uint16(_arguments.length + 2));
        assertEq(echo.lastData(), abi.encodePacked(Echo.initialize.selector, suffix), "call data");
        assertEq(echo.tail(36), suffix, "result");
        vm.expectRevert(abi.encodeWithSelector(Echo.Refused.selector, _word));
        echo.fail(_word);
    }

    function testFuzz_ether_is_taken_within_the_gas_of_a_transfer(uint96 _value) public {
        address payable echo = payable(this.clone("arguments", 0));
        vm.deal(address(this), _value);
        vm.expectEmit(echo);
        emit ReceiveETH(_value);
        (bool success,) = echo.call{ value: _value, gas: _value == 0 ? 2_300 : 0 }("");
        assertTrue(success, "taken");
        assertEq(echo.balance, _value, "balance");
    }

    function test_the_same_clone_exists_once() public {
        address echo = address(new Echo());
        this.cloneOf(echo);
        vm.expectRevert(Clones.DeploymentFailed.selector);
        this.cloneOf(echo);
    }

    function cloneOf(address _implementation) external {
        Clones.cloneDeterministic(_implementation, "", bytes32(uint256(1)));
    }
}

contract DisputeGameFactoryTest is Test {
    event DisputeGameCreated(address indexed disputeProxy, GameType indexed gameType, Claim indexed rootClaim);
    event ImplementationSet(address indexed impl, GameType indexed gameType);
    event ImplementationArgsSet(GameType indexed gameType, bytes args);
    event InitBondUpdated(GameType indexed gameType, uint256 indexed newBond);

    address internal constant OWNER = address(0xA11CE);
    GameType internal constant TYPE = GameType.wrap(1);
    GameType internal constant OTHER = GameType.wrap(8);

    DisputeGameFactory internal factory;
    IDisputeGame internal echo;

    function setUp() public {
        vm.warp(1_800_000_000);
        bytes memory call = abi.encodeCall(DisputeGameFactory.initialize, (OWNER));
        factory = DisputeGameFactory(deployProxied(address(new DisputeGameFactory()), call));
        echo = IDisputeGame(address(new Echo()));
        vm.startPrank(OWNER);
        factory.setImplementation(TYPE, echo);
        factory.setImplementation(OTHER, echo);
        vm.stopPrank();
    }

    function test_initialize() public {
        assertEq(factory.owner(), OWNER, "owner");
        vm.expectRevert("Initializable: contract is already initialized");
        factory.initialize(address(this));
    }

    function testFuzz_only_the_owner_sets(address _stranger) public {
        vm.assume(_stranger != OWNER && _stranger != address(this));
        vm.startPrank(_stranger);
        vm.expectRevert("Ownable: caller is not the owner");
        factory.setImplementation(TYPE, echo);
        vm.expectRevert("Ownable: caller is not the owner");
        factory.setImplementation(TYPE, echo, "");
        vm.expectRevert("Ownable: caller is not the owner");
        factory.setInitBond(TYPE, 1);
    }

    function testFuzz_settings(GameType _type, address _impl, bytes calldata _args, uint256 _bond) public {
        vm.startPrank(OWNER);
        vm.expectEmit(address(factory));
        emit ImplementationSet(_impl, _type);
        vm.expectEmit(address(factory));
        emit ImplementationArgsSet(_type, _args);
        factory.setImplementation(_type, IDisputeGame(_impl), _args);
        assertEq(address(factory.gameImpls(_type)), _impl, "implementation");
        assertEq(factory.gameArgs(_type), _args, "arguments");
        factory.setImplementation(_type, echo);
        assertEq(factory.gameArgs(_type), _args, "arguments stay");
        vm.expectEmit(address(factory));
        emit InitBondUpdated(_type, _bond);
        factory.setInitBond(_type, _bond);
        assertEq(factory.initBonds(_type), _bond, "bond");
    }

    function testFuzz_create(
        address _creator,
        Claim _claim,
        bytes calldata _extra,
        uint96 _bond,
        uint32 _block
    )
        public
    {
        vm.assume(_creator != address(this));
        vm.prank(OWNER);
        factory.setInitBond(TYPE, _bond);
        vm.roll(uint256(_block) + 2);
        bytes memory arguments = abi.encodePacked(_creator, _claim, blockhash(block.number - 1), _extra);
        vm.deal(_creator, _bond);
        vm.prank(_creator);
        IDisputeGame game = factory.create{ value: _bond }(TYPE, _claim, _extra);

        bytes memory expected = abi.encodePacked(Echo.initialize.selector, arguments, uint16(arguments.length + 2));
        assertEq(Echo(address(game)).lastData(), expected, "arguments");
        assertEq(Echo(address(game)).paid(), _bond, "bond");
        assertFound(game, _claim, _extra);

        Hash uuid = factory.getGameUUID(TYPE, _claim, _extra);
        assertEq(Hash.unwrap(uuid), keccak256(abi.encode(TYPE, _claim, _extra)), "uuid");
        vm.deal(address(this), _bond);
        vm.expectRevert(abi.encodeWithSelector(DisputeGameFactory.GameAlreadyExists.selector, uuid));
        factory.create{ value: _bond }(TYPE, _claim, _extra);
    }

    /// @dev The only game there is, found in each way.
    function assertFound(IDisputeGame _game, Claim _claim, bytes calldata _extra) internal view {
        assertEq(factory.gameCount(), 1, "count");
        (GameType gameType, Timestamp timestamp, IDisputeGame found) = factory.gameAtIndex(0);
        assertEq(GameType.unwrap(gameType), GameType.unwrap(TYPE), "type");
        assertEq(Timestamp.unwrap(timestamp), block.timestamp, "time");
        assertEq(address(found), address(_game), "by index");
        (found, timestamp) = factory.games(TYPE, _claim, _extra);
        assertEq(address(found), address(_game), "by claim");
        assertEq(Timestamp.unwrap(timestamp), block.timestamp, "time");
        (found, timestamp) = factory.games(OTHER, _claim, _extra);
        assertEq(address(found), address(0), "no other");
    }

    function testFuzz_arguments_of_the_type(Claim _claim, bytes calldata _extra, bytes calldata _args) public {
        vm.assume(_args.length > 0);
        vm.prank(OWNER);
        factory.setImplementation(TYPE, echo, _args);
        vm.expectEmit(address(factory));
        emit ImplementationSet(address(echo), OTHER);
        vm.prank(OWNER);
        factory.setImplementation(OTHER, echo);
        IDisputeGame game = factory.create(TYPE, _claim, _extra);
        bytes memory arguments =
            abi.encodePacked(address(this), _claim, blockhash(block.number - 1), TYPE, _extra, _args);
        bytes memory expected = abi.encodePacked(Echo.initialize.selector, arguments, uint16(arguments.length + 2));
        assertEq(Echo(address(game)).lastData(), expected, "arguments");
    }

    function testFuzz_refused(GameType _type, uint96 _bond, uint96 _sent) public {
        vm.assume(GameType.unwrap(_type) != 1 && GameType.unwrap(_type) != 8 && _bond != _sent);
        vm.expectRevert(abi.encodeWithSelector(DisputeGameFactory.NoImplementation.selector, _type));
        factory.create(_type, Claim.wrap(0), "");
        vm.prank(OWNER);
        factory.setInitBond(TYPE, _bond);
        vm.deal(address(this), _sent);
        vm.expectRevert(DisputeGameFactory.IncorrectBondAmount.selector);
        factory.create{ value: _sent }(TYPE, Claim.wrap(0), "");
    }

    function testFuzz_latest_games(uint8 _pattern, uint256 _start, uint8 _n) public {
        // Bit by bit, games of the one type or the other.
        for (uint256 i = 0; i < 8; ++i) {
            GameType gameType = _pattern >> i & 1 == 1 ? TYPE : OTHER;
            factory.create(gameType, Claim.wrap(bytes32(i)), abi.encode(i));
        }
        _start = bound(_start, 0, 9);
        DisputeGameFactory.GameSearchResult[] memory found = factory.findLatestGames(TYPE, _start, _n);
        uint256 k = 0;
        for (uint256 left = _start < 8 ? _start + 1 : 0; left > 0 && k < _n; --left) {
            if (_pattern >> (left - 1) & 1 == 0) continue;
            assertEq(found[k].index, left - 1, "index");
            assertEq(found[k].extraData, abi.encode(left - 1), "extra data");
            assertEq(Claim.unwrap(found[k].rootClaim), bytes32(left - 1), "claim");
            (,, IDisputeGame game) = factory.gameAtIndex(left - 1);
            bytes32 packed = bytes32(abi.encodePacked(TYPE, uint64(block.timestamp), game));
            assertEq(GameId.unwrap(found[k].metadata), packed, "metadata");
            ++k;
        }
        assertEq(found.length, k, "count");
    }

    function test_a_search_does_not_pay_for_what_is_not_there() public {
        factory.create(TYPE, Claim.wrap(0), abi.encode(0));
        assertEq(factory.findLatestGames(TYPE, 0, type(uint256).max).length, 1, "one");
        assertEq(factory.findLatestGames(TYPE, 1, 1).length, 0, "beyond the end");
        assertEq(factory.findLatestGames(TYPE, type(uint256).max, 1).length, 0, "far beyond the end");
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Clones } from "src/libraries/Clones.sol";
import { OwnableUpgradeable } from "src/universal/Ownable.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { ReinitializableBase } from "src/universal/ReinitializableBase.sol";
import {
    Claim,
    GameId,
    GameType,
    Hash,
    IDisputeGame,
    IDisputeGameFactory,
    Timestamp
} from "src/interfaces/IDispute.sol";
import { ISemver } from "src/interfaces/ISemver.sol";

/// @notice Creates dispute games and remembers them. There is one implementation per type, and never two games of one type
///         about the same claim with the same extra data.
contract DisputeGameFactory is
    OwnableUpgradeable,
    ProxyAdminOwnedBase,
    ReinitializableBase,
    IDisputeGameFactory,
    ISemver
{
    /// @custom:field index     Place in the list of games.
    /// @custom:field metadata  Type, time of creation and address, packed.
    /// @custom:field timestamp Time of creation.
    struct GameSearchResult {
        uint256 index;
        GameId metadata;
        Timestamp timestamp;
        Claim rootClaim;
        bytes extraData;
    }

    error GameAlreadyExists(Hash uuid);
    error IncorrectBondAmount();
    error NoImplementation(GameType gameType);

    event DisputeGameCreated(address indexed disputeProxy, GameType indexed gameType, Claim indexed rootClaim);
    event ImplementationSet(address indexed impl, GameType indexed gameType);
    event ImplementationArgsSet(GameType indexed gameType, bytes args);
    event InitBondUpdated(GameType indexed gameType, uint256 indexed newBond);

    /// @notice What games of a type are clones of; zero if there are none.
    mapping(GameType => IDisputeGame) public gameImpls;
    /// @notice Wei to be sent along with a new game.
    mapping(GameType => uint256) public initBonds;
    mapping(Hash => GameId) internal _disputeGames;
    GameId[] internal _disputeGameList;
    /// @notice Arguments that each game of a type carries behind its own.
    mapping(GameType => bytes) public gameArgs;

    constructor() ReinitializableBase(1) {
        _disableInitializers();
    }

    /// @notice Sets the owner, who decides about implementations and bonds; only for the proxy's admin or its owner.
    function initialize(address _owner) external reinitializer(initVersion()) {
        _assertOnlyProxyAdminOrProxyAdminOwner();
        _transferOwnership(_owner);
    }

    /// @notice Creates a game about a claim.
    /// @param _gameType  The type of the game.
    /// @param _rootClaim What is claimed.
    /// @param _extraData What the game needs to know beside it; the L2 block's number for the fault games.
    function create(
        GameType _gameType,
        Claim _rootClaim,
        bytes calldata _extraData
    )
        external
        payable
        returns (IDisputeGame proxy_)
    {
        IDisputeGame implementation = gameImpls[_gameType];
        if (address(implementation) == address(0)) revert NoImplementation(_gameType);
        if (msg.value != initBonds[_gameType]) revert IncorrectBondAmount();
        Hash uuid = getGameUUID(_gameType, _rootClaim, _extraData);
        if (GameId.unwrap(_disputeGames[uuid]) != 0) revert GameAlreadyExists(uuid);

        // The newest L1 block whose hash is known is the one that the game derives L2 from.
        bytes memory arguments = abi.encodePacked(msg.sender, _rootClaim, blockhash(block.number - 1));
        bytes memory own = gameArgs[_gameType];
        arguments = own.length == 0
            ? abi.encodePacked(arguments, _extraData)
            : abi.encodePacked(arguments, _gameType, _extraData, own);
        proxy_ = IDisputeGame(Clones.cloneDeterministic(address(implementation), arguments, Hash.unwrap(uuid)));
        proxy_.initialize{ value: msg.value }();

        GameId id = _pack(_gameType, Timestamp.wrap(uint64(block.timestamp)), proxy_);
        _disputeGames[uuid] = id;
        _disputeGameList.push(id);
        emit DisputeGameCreated(address(proxy_), _gameType, _rootClaim);
    }

    /// @notice Sets what new games of a type are clones of, and leaves the type's arguments.
    function setImplementation(GameType _gameType, IDisputeGame _impl) external onlyOwner {
        _setImplementation(_gameType, _impl);
    }

    /// @notice Sets what new games of a type are clones of, and the arguments that they carry.
    function setImplementation(GameType _gameType, IDisputeGame _impl, bytes calldata _args) external onlyOwner {
        _setImplementation(_gameType, _impl);
        gameArgs[_gameType] = _args;
        emit ImplementationArgsSet(_gameType, _args);
    }

    /// @notice Sets the wei to be sent along with a new game of a type.
    function setInitBond(GameType _gameType, uint256 _initBond) external onlyOwner {
        initBonds[_gameType] = _initBond;
        emit InitBondUpdated(_gameType, _initBond);
    }

    function gameCount() external view returns (uint256 gameCount_) {
        return _disputeGameList.length;
    }

    /// @notice The game about a claim; zeros if there is none.
    function games(
        GameType _gameType,
        Claim _rootClaim,
        bytes calldata _extraData
    )
        external
        view
        returns (IDisputeGame proxy_, Timestamp timestamp_)
    {
        (, timestamp_, proxy_) = _unpack(_disputeGames[getGameUUID(_gameType, _rootClaim, _extraData)]);
    }

    /// @notice A game by its place in the list of all games, in the order of their creation.
    function gameAtIndex(uint256 _index)
        external
        view
        returns (GameType gameType_, Timestamp timestamp_, IDisputeGame proxy_)
    {
        return _unpack(_disputeGameList[_index]);
    }

    /// @notice Games of one type, newest first.
    /// @param _start Place in the list of all games to begin at, going down.
    /// @param _n     How many games at most.
    function findLatestGames(
        GameType _gameType,
        uint256 _start,
        uint256 _n
    )
        external
        view
        returns (GameSearchResult[] memory games_)
    {
        if (_start >= _disputeGameList.length) return games_;
        games_ = new GameSearchResult[](_n > _start ? _start + 1 : _n);
        uint256 found = 0;
        for (uint256 left = _start + 1; left > 0 && found < games_.length; --left) {
            GameId id = _disputeGameList[left - 1];
            (GameType gameType, Timestamp timestamp, IDisputeGame game) = _unpack(id);
            if (GameType.unwrap(gameType) != GameType.unwrap(_gameType)) continue;
            games_[found++] = GameSearchResult(left - 1, id, timestamp, game.rootClaim(), game.extraData());
        }
        // Shortened to what was found.
        assembly {
            mstore(games_, found)
        }
    }

    /// @notice What tells two games apart.
    function getGameUUID(
        GameType _gameType,
        Claim _rootClaim,
        bytes calldata _extraData
    )
        public
        pure
        returns (Hash uuid_)
    {
        return Hash.wrap(keccak256(abi.encode(_gameType, _rootClaim, _extraData)));
    }

    function version() external view returns (string memory) {
        return "1.6.1";
    }

    function _setImplementation(GameType _gameType, IDisputeGame _impl) private {
        gameImpls[_gameType] = _impl;
        emit ImplementationSet(address(_impl), _gameType);
    }

    function _pack(GameType _gameType, Timestamp _timestamp, IDisputeGame _game) private pure returns (GameId) {
        return GameId.wrap(bytes32(abi.encodePacked(_gameType, _timestamp, _game)));
    }

    function _unpack(GameId _id) private pure returns (GameType, Timestamp, IDisputeGame) {
        uint256 raw = uint256(GameId.unwrap(_id));
        return
            (GameType.wrap(uint32(raw >> 224)), Timestamp.wrap(uint64(raw >> 160)), IDisputeGame(address(uint160(raw))));
    }
}

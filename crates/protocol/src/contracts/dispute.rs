//! Dispute games, their factory and the registry that says which of them count.

use alloy_sol_types::sol;

// As in the module above, the Solidity sources describe the items.

sol! {
    /// L1: creates dispute games and remembers them.
    #[allow(missing_docs, reason = "the names are the contract's, which documents them")]
    #[sol(all_derives)]
    interface IDisputeGameFactory {
        struct GameSearchResult {
            uint256 index;
            bytes32 metadata;
            uint64 timestamp;
            bytes32 rootClaim;
            bytes extraData;
        }
        error GameAlreadyExists(bytes32 uuid);
        error IncorrectBondAmount();
        error NoImplementation(uint32 gameType);
        event DisputeGameCreated(address indexed disputeProxy, uint32 indexed gameType, bytes32 indexed rootClaim);
        function create(uint32 _gameType, bytes32 _rootClaim, bytes calldata _extraData) external payable returns (address proxy_);
        function gameCount() external view returns (uint256 gameCount_);
        function gameAtIndex(uint256 _index) external view returns (uint32 gameType_, uint64 timestamp_, address proxy_);
        function games(uint32 _gameType, bytes32 _rootClaim, bytes calldata _extraData) external view returns (address proxy_, uint64 timestamp_);
        function findLatestGames(uint32 _gameType, uint256 _start, uint256 _n) external view returns (GameSearchResult[] memory games_);
        function gameImpls(uint32) external view returns (address);
        function gameArgs(uint32) external view returns (bytes memory);
        function initBonds(uint32) external view returns (uint256);
        function version() external view returns (string memory);
    }

    /// L1: which games may be believed, and the newest proven state.
    #[allow(missing_docs, reason = "the names are the contract's, which documents them")]
    #[sol(all_derives)]
    interface IAnchorStateRegistry {
        error AnchorStateRegistry_InvalidAnchorGame();
        error AnchorStateRegistry_Unauthorized();
        event AnchorUpdated(address indexed game);
        function anchorGame() external view returns (address);
        function anchors(uint32) external view returns (bytes32, uint256);
        function getAnchorRoot() external view returns (bytes32, uint256);
        function disputeGameFactory() external view returns (address);
        function disputeGameFinalityDelaySeconds() external view returns (uint256);
        function respectedGameType() external view returns (uint32);
        function retirementTimestamp() external view returns (uint64);
        function isGameRegistered(address _game) external view returns (bool);
        function isGameRespected(address _game) external view returns (bool);
        function isGameBlacklisted(address _game) external view returns (bool);
        function isGameRetired(address _game) external view returns (bool);
        function isGameResolved(address _game) external view returns (bool);
        function isGameProper(address _game) external view returns (bool);
        function isGameFinalized(address _game) external view returns (bool);
        function isGameClaimValid(address _game) external view returns (bool);
        function paused() external view returns (bool);
        function setAnchorState(address _game) external;
        function setRespectedGameType(uint32 _gameType) external;
        function updateRetirementTimestamp() external;
        function blacklistDisputeGame(address _disputeGame) external;
        function version() external view returns (string memory);
    }

    /// L1: a game about one output root, as far as it is read and resolved from outside.
    #[allow(missing_docs, reason = "the names are the contract's, which documents them")]
    #[sol(all_derives)]
    interface IFaultDisputeGame {
        error AlreadyInitialized();
        error AnchorRootNotFound();
        error BadAuth();
        error BadExtraData();
        error BlockNumberMatches();
        error BondTransferFailed();
        error CannotDefendRootClaim();
        error ClaimAboveSplit();
        error ClaimAlreadyExists();
        error ClaimAlreadyResolved();
        error ClockNotExpired();
        error ClockTimeExceeded();
        error ContentLengthMismatch();
        error DuplicateStep();
        error EmptyItem();
        error GameDepthExceeded();
        error GameNotFinalized();
        error GameNotInProgress();
        error GameNotResolved();
        error GamePaused();
        error IncorrectBondAmount();
        error InvalidBondDistributionMode();
        error InvalidChallengePeriod();
        error InvalidClockExtension();
        error InvalidDataRemainder();
        error InvalidDisputedClaimIndex();
        error InvalidHeader();
        error InvalidHeaderRLP();
        error InvalidLocalIdent();
        error InvalidOutputRootProof();
        error InvalidParent();
        error InvalidPrestate();
        error InvalidSplitDepth();
        error L2BlockNumberChallenged();
        error MaxDepthTooLarge();
        error NoCreditToClaim();
        error OutOfOrderResolution();
        error UnexpectedList();
        error UnexpectedRootClaim(bytes32 rootClaim);
        error UnexpectedString();
        error UnknownChainId();
        error ValidStep();
        event Resolved(uint8 indexed status);
        function createdAt() external view returns (uint64);
        function resolvedAt() external view returns (uint64);
        function status() external view returns (uint8);
        function gameType() external view returns (uint32);
        function gameData() external view returns (uint32 gameType_, bytes32 rootClaim_, bytes memory extraData_);
        function rootClaim() external view returns (bytes32);
        function extraData() external view returns (bytes memory);
        function l2BlockNumber() external view returns (uint256);
        function l2SequenceNumber() external view returns (uint256);
        function l2ChainId() external view returns (uint256);
        function wasRespectedGameTypeWhenCreated() external view returns (bool);
        function maxClockDuration() external view returns (uint64);
        function getChallengerDuration(uint256 _claimIndex) external view returns (uint64);
        function claimDataLen() external view returns (uint256);
        function gameCreator() external view returns (address);
        function proposer() external view returns (address);
        function anchorStateRegistry() external view returns (address);
        function weth() external view returns (address);
        function bondDistributionMode() external view returns (uint8);
        function normalModeCredit(address) external view returns (uint256);
        function refundModeCredit(address) external view returns (uint256);
        function credit(address _recipient) external view returns (uint256);
        function hasUnlockedCredit(address) external view returns (bool);
        function resolvedSubgames(uint256) external view returns (bool);
        function resolve() external returns (uint8);
        function resolveClaim(uint256 _claimIndex, uint256 _numToResolve) external;
        function claimCredit(address _recipient) external;
        function closeGame() external;
        function version() external view returns (string memory);
    }

    /// L1: keeps the bonds of dispute games, and pays them some time after it was announced.
    #[allow(missing_docs, reason = "the names are the contract's, which documents them")]
    #[derive(Debug, PartialEq, Eq)]
    interface IDelayedWETH {
        function config() external view returns (address);
        function delay() external view returns (uint256);
        function withdrawals(address, address) external view returns (uint256 amount, uint256 timestamp);
        function balanceOf(address) external view returns (uint256);
        function version() external view returns (string memory);
    }

    /// L1: the guardian's pause.
    #[allow(missing_docs, reason = "the names are the contract's, which documents them")]
    interface ISuperchainConfig {
        function paused() external view returns (bool);
    }
}

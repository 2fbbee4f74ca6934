// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice A node of a game's binary tree: the root is 1, the children of n are 2n and 2n + 1.
type Position is uint128;

/// @notice A chess clock: the seconds that ran before it was stopped (64 bits), the time since when it runs (64).
type Clock is uint128;

/// @notice A number of seconds.
type Duration is uint64;

/// @notice Who is given the bonds of a game: nobody yet, the winners of each dispute, or those who paid them.
enum BondDistributionMode {
    UNDECIDED,
    NORMAL,
    REFUND
}

/// @notice What an output root is the hash of.
struct OutputRootProof {
    bytes32 version;
    bytes32 stateRoot;
    bytes32 messagePasserStorageRoot;
    bytes32 latestBlockhash;
}

/// @notice Keeps the data that a program reads while single steps of it are executed on L1.
interface IPreimageOracle {
    /// @notice Seconds in which a large preimage can be challenged before it may be used.
    function challengePeriod() external view returns (uint256);

    /// @notice Stores a part of a word that the program may ask for in one context.
    /// @param _size   How many bytes of the word count, from its top.
    /// @param _offset Where the part begins.
    function loadLocalData(
        uint256 _ident,
        bytes32 _localContext,
        bytes32 _word,
        uint256 _size,
        uint256 _offset
    )
        external
        returns (bytes32);
}

/// @notice A virtual machine of which single steps can be executed on L1.
interface IBigStepper {
    function oracle() external view returns (IPreimageOracle);

    /// @notice Executes one step.
    /// @param _stateData    The state before it.
    /// @param _proof        Proofs of the memory that it touches.
    /// @param _localContext The dispute whose local data it may read.
    /// @return What a claim about the state after it must be.
    function step(bytes calldata _stateData, bytes calldata _proof, bytes32 _localContext) external returns (bytes32);
}

/// @notice What games ask of the contract that keeps their bonds.
interface IDelayedWETH {
    function deposit() external payable;
    function unlock(address _recipient, uint256 _amount) external;
    function withdraw(address _recipient, uint256 _amount) external;
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IBigStepper, IDelayedWETH } from "src/interfaces/IFaultDispute.sol";
import { Claim, GameType, Hash, IAnchorStateRegistry, IDisputeGame } from "src/interfaces/IDispute.sol";

/// @notice What a game is about, and the chain's settings for games of its type. Each call brings all of it along at the end
///         of its data, where the game's clone puts it (see Clones):
///
///           0  creator               of the game, by the factory
///          20  root claim
///          52  newest L1 block       whose hash was known when the game was created
///          84  game type
///          88  L2 block number       the extra data
///         120  absolute prestate     of the type, from the factory's gameArgs
///         152  virtual machine
///         172  AnchorStateRegistry
///         192  DelayedWETH
///         212  L2 chain id
///         244  what a kind of game adds
abstract contract GameArguments is IDisputeGame {
    error UnknownChainId();

    /// @dev Bytes that all games have.
    uint256 internal constant COMMON_ARGUMENTS = 244;

    function gameCreator() public pure returns (address creator_) {
        return _addressArgument(0);
    }

    function rootClaim() public pure returns (Claim rootClaim_) {
        return Claim.wrap(_argument(20));
    }

    /// @notice The root claim, if it speaks of that chain.
    function rootClaimByChainId(uint256 _chainId) external pure returns (Claim rootClaim_) {
        if (_chainId != l2ChainId()) revert UnknownChainId();
        return rootClaim();
    }

    /// @notice The L1 block up to which L2 is derived to judge the claim.
    function l1Head() public pure returns (Hash l1Head_) {
        return Hash.wrap(_argument(52));
    }

    function gameType() public pure returns (GameType gameType_) {
        return GameType.wrap(uint32(uint256(_argument(84)) >> 224));
    }

    function extraData() public pure returns (bytes memory extraData_) {
        return abi.encode(l2BlockNumber());
    }

    /// @notice What tells the game from others.
    function gameData() external pure returns (GameType gameType_, Claim rootClaim_, bytes memory extraData_) {
        return (gameType(), rootClaim(), extraData());
    }

    /// @notice The L2 block whose state is claimed.
    function l2BlockNumber() public pure returns (uint256 l2BlockNumber_) {
        return uint256(_argument(88));
    }

    function l2SequenceNumber() external pure returns (uint256 l2SequenceNumber_) {
        return l2BlockNumber();
    }

    /// @notice The state in which the virtual machine starts.
    function absolutePrestate() public pure returns (Claim absolutePrestate_) {
        return Claim.wrap(_argument(120));
    }

    function vm() public pure returns (IBigStepper vm_) {
        return IBigStepper(_addressArgument(152));
    }

    function anchorStateRegistry() public pure returns (IAnchorStateRegistry registry_) {
        return IAnchorStateRegistry(_addressArgument(172));
    }

    function weth() public pure returns (IDelayedWETH weth_) {
        return IDelayedWETH(payable(_addressArgument(192)));
    }

    function l2ChainId() public pure returns (uint256 l2ChainId_) {
        return uint256(_argument(212));
    }

    /// @dev Whether the call brought the arguments and nothing else along, as a call of a function without parameters does.
    function _argumentsAre(uint256 _length) internal pure returns (bool) {
        return msg.data.length == 4 + _length + 2;
    }

    /// @dev The word that begins at byte `_at` of the arguments.
    function _argument(uint256 _at) internal pure returns (bytes32 word_) {
        assembly {
            // The last two bytes tell how long the arguments and these two are.
            let size := shr(240, calldataload(sub(calldatasize(), 2)))
            word_ := calldataload(add(sub(calldatasize(), size), _at))
        }
    }

    function _addressArgument(uint256 _at) internal pure returns (address) {
        return address(bytes20(_argument(_at)));
    }
}

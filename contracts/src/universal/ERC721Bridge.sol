// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { EOA } from "src/libraries/EOA.sol";
import { Initializable } from "src/universal/Initializable.sol";
import { ICrossDomainMessenger } from "src/interfaces/ICrossDomainMessenger.sol";

/// @notice ERC-721 tokens between L1, where they are at home and stay in the bridge, and L2, where they are minted and
///         burnt.
abstract contract ERC721Bridge is Initializable {
    event ERC721BridgeInitiated(
        address indexed localToken,
        address indexed remoteToken,
        address indexed from,
        address to,
        uint256 tokenId,
        bytes extraData
    );
    event ERC721BridgeFinalized(
        address indexed localToken,
        address indexed remoteToken,
        address indexed from,
        address to,
        uint256 tokenId,
        bytes extraData
    );

    bytes30 private spacer_0_2_30;
    ICrossDomainMessenger public messenger;
    /// @notice The bridge of the other chain.
    ERC721Bridge public otherBridge;
    uint256[46] private __gap;

    modifier fromOtherBridge() {
        require(
            msg.sender == address(messenger) && messenger.xDomainMessageSender() == address(otherBridge),
            "ERC721Bridge: function can only be called from the other bridge"
        );
        _;
    }

    /// @notice Sends a token to the sender's own address on the other chain, where a contract may not have one.
    /// @param _localToken  The token's contract here.
    /// @param _remoteToken Its partner on the other chain.
    /// @param _tokenId     Which token.
    /// @param _minGasLimit Gas that the other bridge gets for giving it out.
    /// @param _extraData   Goes into the logs of both chains; nothing more is done with it.
    function bridgeERC721(
        address _localToken,
        address _remoteToken,
        uint256 _tokenId,
        uint32 _minGasLimit,
        bytes calldata _extraData
    )
        external
    {
        require(EOA.isSenderEOA(), "ERC721Bridge: account is not externally owned");
        _initiate(_localToken, _remoteToken, msg.sender, _tokenId, _minGasLimit, _extraData);
    }

    /// @notice Sends a token to any address on the other chain.
    function bridgeERC721To(
        address _localToken,
        address _remoteToken,
        address _to,
        uint256 _tokenId,
        uint32 _minGasLimit,
        bytes calldata _extraData
    )
        external
    {
        require(_to != address(0), "ERC721Bridge: nft recipient cannot be address(0)");
        _initiate(_localToken, _remoteToken, _to, _tokenId, _minGasLimit, _extraData);
    }

    /// @notice Gives out a token that was sent on the other chain.
    function finalizeBridgeERC721(
        address _localToken,
        address _remoteToken,
        address _from,
        address _to,
        uint256 _tokenId,
        bytes calldata _extraData
    )
        external
        fromOtherBridge
    {
        _release(_localToken, _remoteToken, _to, _tokenId);
        emit ERC721BridgeFinalized(_localToken, _remoteToken, _from, _to, _tokenId, _extraData);
    }

    function MESSENGER() external view returns (ICrossDomainMessenger) {
        return messenger;
    }

    function OTHER_BRIDGE() external view returns (ERC721Bridge) {
        return otherBridge;
    }

    /// @notice Whether giving out is stopped.
    function paused() public view virtual returns (bool) {
        return false;
    }

    function _connect(ICrossDomainMessenger _messenger, ERC721Bridge _otherBridge) internal onlyInitializing {
        messenger = _messenger;
        otherBridge = _otherBridge;
    }

    /// @dev Takes the sender's token in.
    function _take(address _localToken, address _remoteToken, uint256 _tokenId) internal virtual;

    /// @dev Gives a token out.
    function _release(address _localToken, address _remoteToken, address _to, uint256 _tokenId) internal virtual;

    function _initiate(
        address _localToken,
        address _remoteToken,
        address _to,
        uint256 _tokenId,
        uint32 _minGasLimit,
        bytes calldata _extraData
    )
        private
    {
        _take(_localToken, _remoteToken, _tokenId);
        // There, the remote token is the local one.
        bytes memory message = abi.encodeCall(
            ERC721Bridge.finalizeBridgeERC721, (_remoteToken, _localToken, msg.sender, _to, _tokenId, _extraData)
        );
        messenger.sendMessage(address(otherBridge), message, _minGasLimit);
        emit ERC721BridgeInitiated(_localToken, _remoteToken, msg.sender, _to, _tokenId, _extraData);
    }
}

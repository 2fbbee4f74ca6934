//! Messengers, bridges and tokens: the same interfaces on L1 and L2.

use alloy_sol_types::sol;

// As in the module above, the Solidity sources describe the items.

sol! {
    /// Messages between the layers, on either of them.
    #[allow(missing_docs, reason = "the names are the contract's, which documents them")]
    #[sol(all_derives)]
    interface ICrossDomainMessenger {
        event SentMessage(address indexed target, address sender, bytes message, uint256 messageNonce, uint256 gasLimit);
        event SentMessageExtension1(address indexed sender, uint256 value);
        event RelayedMessage(bytes32 indexed msgHash);
        event FailedRelayedMessage(bytes32 indexed msgHash);
        function sendMessage(address _target, bytes calldata _message, uint32 _minGasLimit) external payable;
        function relayMessage(uint256 _nonce, address _sender, address _target, uint256 _value, uint256 _minGasLimit, bytes calldata _message) external payable;
        function successfulMessages(bytes32) external view returns (bool);
        function failedMessages(bytes32) external view returns (bool);
        function paused() external view returns (bool);
    }

    /// The bridge of ether and ERC-20 tokens, on either layer.
    #[allow(missing_docs, reason = "the names are the contract's, which documents them")]
    #[sol(all_derives)]
    interface IStandardBridge {
        event ETHBridgeInitiated(address indexed from, address indexed to, uint256 amount, bytes extraData);
        event ETHBridgeFinalized(address indexed from, address indexed to, uint256 amount, bytes extraData);
        event ERC20BridgeInitiated(address indexed localToken, address indexed remoteToken, address indexed from, address to, uint256 amount, bytes extraData);
        event ERC20BridgeFinalized(address indexed localToken, address indexed remoteToken, address indexed from, address to, uint256 amount, bytes extraData);
        function bridgeETHTo(address _to, uint32 _minGasLimit, bytes calldata _extraData) external payable;
        function bridgeERC20To(address _localToken, address _remoteToken, address _to, uint256 _amount, uint32 _minGasLimit, bytes calldata _extraData) external;
        function finalizeBridgeERC20(address _localToken, address _remoteToken, address _from, address _to, uint256 _amount, bytes calldata _extraData) external;
    }

    /// The bridge of ERC-721 tokens, on either layer.
    #[allow(missing_docs, reason = "the names are the contract's, which documents them")]
    #[sol(all_derives)]
    interface IERC721Bridge {
        event ERC721BridgeInitiated(address indexed localToken, address indexed remoteToken, address indexed from, address to, uint256 tokenId, bytes extraData);
        event ERC721BridgeFinalized(address indexed localToken, address indexed remoteToken, address indexed from, address to, uint256 tokenId, bytes extraData);
        function bridgeERC721To(address _localToken, address _remoteToken, address _to, uint256 _tokenId, uint32 _minGasLimit, bytes calldata _extraData) external;
        function finalizeBridgeERC721(address _localToken, address _remoteToken, address _from, address _to, uint256 _tokenId, bytes calldata _extraData) external;
    }

    /// A token that a bridge may move. `remoteToken` answers where the bridge mints and burns it.
    #[allow(missing_docs, reason = "the names are the contract's, which documents them")]
    #[sol(all_derives)]
    interface IBridgedToken {
        function decimals() external view returns (uint8);
        function allowance(address owner, address spender) external view returns (uint256);
        function approve(address spender, uint256 amount) external;
        function getApproved(uint256 tokenId) external view returns (address);
        function isApprovedForAll(address owner, address operator) external view returns (bool);
        function remoteToken() external view returns (address);
        function l1Token() external view returns (address);
    }
}

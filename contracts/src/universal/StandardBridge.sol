// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { EOA } from "src/libraries/EOA.sol";
import { SafeCall } from "src/libraries/SafeCall.sol";
import { Tokens } from "src/libraries/Tokens.sol";
import { Initializable } from "src/universal/Initializable.sol";
import { ICrossDomainMessenger } from "src/interfaces/ICrossDomainMessenger.sol";
import { ILegacyMintableERC20, IOptimismMintableERC20 } from "src/interfaces/ITokens.sol";

/// @notice Ether and ERC-20 tokens between two chains. A token that is at home here stays in this contract while it is on
///         the other chain; one that is at home there is minted and burnt here. So there is never more of a pair on one
///         chain than was taken in on the other.
///
///         Not for tokens that take a fee on transfers or change balances by themselves, and not for tokens that say that
///         they are mintable by the bridge and are not.
abstract contract StandardBridge is Initializable {
    event ETHBridgeInitiated(address indexed from, address indexed to, uint256 amount, bytes extraData);
    event ETHBridgeFinalized(address indexed from, address indexed to, uint256 amount, bytes extraData);
    event ERC20BridgeInitiated(
        address indexed localToken,
        address indexed remoteToken,
        address indexed from,
        address to,
        uint256 amount,
        bytes extraData
    );
    event ERC20BridgeFinalized(
        address indexed localToken,
        address indexed remoteToken,
        address indexed from,
        address to,
        uint256 amount,
        bytes extraData
    );

    /// @dev Gas on the other chain for ether that is sent by a plain transfer.
    uint32 internal constant RECEIVE_DEFAULT_GAS_LIMIT = 200_000;

    bytes30 private spacer_0_2_30;
    address private spacer_1_0_20;
    /// @notice Tokens kept here, by this chain's and the other chain's token of the pair.
    mapping(address => mapping(address => uint256)) public deposits;
    ICrossDomainMessenger public messenger;
    /// @notice The bridge of the other chain.
    StandardBridge public otherBridge;
    uint256[45] private __gap;

    /// @dev Only who could also tell an address on the other chain its own: a contract may not have one there.
    modifier byAccount() {
        require(EOA.isSenderEOA(), "StandardBridge: function can only be called from an EOA");
        _;
    }

    modifier fromOtherBridge() {
        require(
            msg.sender == address(messenger) && messenger.xDomainMessageSender() == address(otherBridge),
            "StandardBridge: function can only be called from the other bridge"
        );
        _;
    }

    /// @notice Sends the ether that came along to the sender's own address.
    /// @param _minGasLimit Gas that the other bridge gets for paying it out.
    /// @param _extraData   Goes into the logs of both chains; nothing more is done with it.
    function bridgeETH(uint32 _minGasLimit, bytes calldata _extraData) public payable byAccount {
        _initiateETH(msg.sender, msg.sender, msg.value, _minGasLimit, _extraData);
    }

    /// @notice Sends the ether that came along. If `_to` refuses it there, it stays with the other chain's messenger
    ///         until a replay succeeds.
    function bridgeETHTo(address _to, uint32 _minGasLimit, bytes calldata _extraData) public payable {
        _initiateETH(msg.sender, _to, msg.value, _minGasLimit, _extraData);
    }

    /// @notice Sends tokens to the sender's own address. A token that is at home here must be approved to this contract.
    function bridgeERC20(
        address _localToken,
        address _remoteToken,
        uint256 _amount,
        uint32 _minGasLimit,
        bytes calldata _extraData
    )
        public
        byAccount
    {
        _initiateERC20(_localToken, _remoteToken, msg.sender, msg.sender, _amount, _minGasLimit, _extraData);
    }

    /// @notice Sends tokens. They are lost if the remote token is not this one's partner on the other chain.
    function bridgeERC20To(
        address _localToken,
        address _remoteToken,
        address _to,
        uint256 _amount,
        uint32 _minGasLimit,
        bytes calldata _extraData
    )
        public
    {
        _initiateERC20(_localToken, _remoteToken, msg.sender, _to, _amount, _minGasLimit, _extraData);
    }

    /// @notice Pays ether out that was sent on the other chain.
    function finalizeBridgeETH(
        address _from,
        address _to,
        uint256 _amount,
        bytes calldata _extraData
    )
        public
        payable
        fromOtherBridge
    {
        require(!paused(), "StandardBridge: paused");
        require(msg.value == _amount, "StandardBridge: amount sent does not match amount required");
        require(_to != address(this), "StandardBridge: cannot send to self");
        require(_to != address(messenger), "StandardBridge: cannot send to messenger");
        _logETHFinalized(_from, _to, _amount, _extraData);
        require(SafeCall.call(_to, gasleft(), _amount, ""), "StandardBridge: ETH transfer failed");
    }

    /// @notice Pays tokens out that were sent on the other chain.
    function finalizeBridgeERC20(
        address _localToken,
        address _remoteToken,
        address _from,
        address _to,
        uint256 _amount,
        bytes calldata _extraData
    )
        public
        fromOtherBridge
    {
        require(!paused(), "StandardBridge: paused");
        if (_isMintable(_localToken)) {
            _assertPair(_localToken, _remoteToken);
            IOptimismMintableERC20(_localToken).mint(_to, _amount);
        } else {
            deposits[_localToken][_remoteToken] -= _amount;
            Tokens.safeTransfer(_localToken, _to, _amount);
        }
        _logERC20Finalized(_localToken, _remoteToken, _from, _to, _amount, _extraData);
    }

    function MESSENGER() external view returns (ICrossDomainMessenger) {
        return messenger;
    }

    function OTHER_BRIDGE() external view returns (StandardBridge) {
        return otherBridge;
    }

    /// @notice Whether paying out is stopped.
    function paused() public view virtual returns (bool) {
        return false;
    }

    function _connect(ICrossDomainMessenger _messenger, StandardBridge _otherBridge) internal onlyInitializing {
        messenger = _messenger;
        otherBridge = _otherBridge;
    }

    function _initiateETH(
        address _from,
        address _to,
        uint256 _amount,
        uint32 _minGasLimit,
        bytes memory _extraData
    )
        internal
    {
        require(msg.value == _amount, "StandardBridge: bridging ETH must include sufficient ETH value");
        _logETHInitiated(_from, _to, _amount, _extraData);
        messenger.sendMessage{ value: _amount }(
            address(otherBridge),
            abi.encodeCall(this.finalizeBridgeETH, (_from, _to, _amount, _extraData)),
            _minGasLimit
        );
    }

    function _initiateERC20(
        address _localToken,
        address _remoteToken,
        address _from,
        address _to,
        uint256 _amount,
        uint32 _minGasLimit,
        bytes memory _extraData
    )
        internal
    {
        require(msg.value == 0, "StandardBridge: cannot send value");
        if (_isMintable(_localToken)) {
            _assertPair(_localToken, _remoteToken);
            IOptimismMintableERC20(_localToken).burn(_from, _amount);
        } else {
            Tokens.safeTransferFrom(_localToken, _from, address(this), _amount);
            deposits[_localToken][_remoteToken] += _amount;
        }
        _logERC20Initiated(_localToken, _remoteToken, _from, _to, _amount, _extraData);
        // There, the remote token is the local one.
        messenger.sendMessage(
            address(otherBridge),
            abi.encodeCall(this.finalizeBridgeERC20, (_remoteToken, _localToken, _from, _to, _amount, _extraData)),
            _minGasLimit
        );
    }

    /// @dev The logs of this contract's four doings; each chain's bridge adds those that it had before Bedrock.
    function _logETHInitiated(address _from, address _to, uint256 _amount, bytes memory _extraData) internal virtual {
        emit ETHBridgeInitiated(_from, _to, _amount, _extraData);
    }

    function _logETHFinalized(address _from, address _to, uint256 _amount, bytes memory _extraData) internal virtual {
        emit ETHBridgeFinalized(_from, _to, _amount, _extraData);
    }

    function _logERC20Initiated(
        address _localToken,
        address _remoteToken,
        address _from,
        address _to,
        uint256 _amount,
        bytes memory _extraData
    )
        internal
        virtual
    {
        emit ERC20BridgeInitiated(_localToken, _remoteToken, _from, _to, _amount, _extraData);
    }

    function _logERC20Finalized(
        address _localToken,
        address _remoteToken,
        address _from,
        address _to,
        uint256 _amount,
        bytes memory _extraData
    )
        internal
        virtual
    {
        emit ERC20BridgeFinalized(_localToken, _remoteToken, _from, _to, _amount, _extraData);
    }

    /// @dev Whether the token says that this kind of contract mints it.
    function _isMintable(address _token) private view returns (bool) {
        return Tokens.offers(_token, type(ILegacyMintableERC20).interfaceId)
            || Tokens.offers(_token, type(IOptimismMintableERC20).interfaceId);
    }

    function _assertPair(address _mintable, address _remoteToken) private view {
        address remote = Tokens.offers(_mintable, type(ILegacyMintableERC20).interfaceId)
            ? ILegacyMintableERC20(_mintable).l1Token()
            : IOptimismMintableERC20(_mintable).remoteToken();
        require(_remoteToken == remote, "StandardBridge: wrong remote token for Optimism Mintable ERC20 local token");
    }
}

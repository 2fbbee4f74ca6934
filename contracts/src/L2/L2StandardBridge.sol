// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { L2_CROSS_DOMAIN_MESSENGER, LEGACY_ERC20_ETH } from "src/libraries/Constants.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { StandardBridge } from "src/universal/StandardBridge.sol";
import { ICrossDomainMessenger } from "src/interfaces/ICrossDomainMessenger.sol";
import { ISemver } from "src/interfaces/ISemver.sol";
import { ILegacyMintableERC20 } from "src/interfaces/ITokens.sol";

/// @notice The bridge on L2, with the functions and logs that it had before Bedrock. Their L1 token is zero for ether.
contract L2StandardBridge is StandardBridge, ProxyAdminOwnedBase, ISemver {
    event WithdrawalInitiated(
        address indexed l1Token,
        address indexed l2Token,
        address indexed from,
        address to,
        uint256 amount,
        bytes extraData
    );
    event DepositFinalized(
        address indexed l1Token,
        address indexed l2Token,
        address indexed from,
        address to,
        uint256 amount,
        bytes extraData
    );

    constructor() {
        _disableInitializers();
    }

    /// @notice Sets the bridge up; only for the proxy's admin or the admin's owner.
    function initialize(StandardBridge _otherBridge) external reinitializer(1) {
        _assertOnlyProxyAdminOrProxyAdminOwner();
        _connect(ICrossDomainMessenger(L2_CROSS_DOMAIN_MESSENGER), _otherBridge);
    }

    /// @notice Withdraws the ether for the sender, with the default gas.
    receive() external payable byAccount {
        _initiateETH(msg.sender, msg.sender, msg.value, RECEIVE_DEFAULT_GAS_LIMIT, "");
    }

    /// @notice Sends tokens that are at home on L1, or ether as the legacy token, to the sender's own address on L1.
    function withdraw(
        address _l2Token,
        uint256 _amount,
        uint32 _minGasLimit,
        bytes calldata _extraData
    )
        external
        payable
        byAccount
    {
        _withdraw(_l2Token, msg.sender, _amount, _minGasLimit, _extraData);
    }

    /// @notice Sends tokens that are at home on L1, or ether as the legacy token.
    function withdrawTo(
        address _l2Token,
        address _to,
        uint256 _amount,
        uint32 _minGasLimit,
        bytes calldata _extraData
    )
        external
        payable
    {
        _withdraw(_l2Token, _to, _amount, _minGasLimit, _extraData);
    }

    function l1TokenBridge() external view returns (address) {
        return address(otherBridge);
    }

    function version() external pure returns (string memory) {
        return "1.13.2";
    }

    function _withdraw(
        address _l2Token,
        address _to,
        uint256 _amount,
        uint32 _minGasLimit,
        bytes calldata _extraData
    )
        private
    {
        if (_l2Token == LEGACY_ERC20_ETH) {
            _initiateETH(msg.sender, _to, _amount, _minGasLimit, _extraData);
        } else {
            address l1Token = ILegacyMintableERC20(_l2Token).l1Token();
            _initiateERC20(_l2Token, l1Token, msg.sender, _to, _amount, _minGasLimit, _extraData);
        }
    }

    function _logETHInitiated(address _from, address _to, uint256 _amount, bytes memory _extraData) internal override {
        emit WithdrawalInitiated(address(0), LEGACY_ERC20_ETH, _from, _to, _amount, _extraData);
        super._logETHInitiated(_from, _to, _amount, _extraData);
    }

    function _logETHFinalized(address _from, address _to, uint256 _amount, bytes memory _extraData) internal override {
        emit DepositFinalized(address(0), LEGACY_ERC20_ETH, _from, _to, _amount, _extraData);
        super._logETHFinalized(_from, _to, _amount, _extraData);
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
        override
    {
        emit WithdrawalInitiated(_remoteToken, _localToken, _from, _to, _amount, _extraData);
        super._logERC20Initiated(_localToken, _remoteToken, _from, _to, _amount, _extraData);
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
        override
    {
        emit DepositFinalized(_remoteToken, _localToken, _from, _to, _amount, _extraData);
        super._logERC20Finalized(_localToken, _remoteToken, _from, _to, _amount, _extraData);
    }
}

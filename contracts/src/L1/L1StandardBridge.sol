// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { L2_STANDARD_BRIDGE } from "src/libraries/Constants.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { ReinitializableBase } from "src/universal/ReinitializableBase.sol";
import { StandardBridge } from "src/universal/StandardBridge.sol";
import { ICrossDomainMessenger } from "src/interfaces/ICrossDomainMessenger.sol";
import { ISemver } from "src/interfaces/ISemver.sol";
import { ISuperchainConfig } from "src/interfaces/ISuperchainConfig.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";

/// @notice The bridge on L1, with the functions and logs that it had before Bedrock.
contract L1StandardBridge is StandardBridge, ReinitializableBase, ProxyAdminOwnedBase, ISemver {
    event ETHDepositInitiated(address indexed from, address indexed to, uint256 amount, bytes extraData);
    event ETHWithdrawalFinalized(address indexed from, address indexed to, uint256 amount, bytes extraData);
    event ERC20DepositInitiated(
        address indexed l1Token,
        address indexed l2Token,
        address indexed from,
        address to,
        uint256 amount,
        bytes extraData
    );
    event ERC20WithdrawalFinalized(
        address indexed l1Token,
        address indexed l2Token,
        address indexed from,
        address to,
        uint256 amount,
        bytes extraData
    );

    address private spacer_50_0_20;
    address private spacer_51_0_20;
    /// @notice The chain's configuration, whose pause stops paying out.
    ISystemConfig public systemConfig;

    constructor() ReinitializableBase(3) {
        _disableInitializers();
    }

    /// @notice Sets the bridge up; only for the proxy's admin or the admin's owner.
    function initialize(
        ICrossDomainMessenger _messenger,
        ISystemConfig _systemConfig
    )
        external
        reinitializer(initVersion())
    {
        _assertOnlyProxyAdminOrProxyAdminOwner();
        systemConfig = _systemConfig;
        _connect(_messenger, StandardBridge(L2_STANDARD_BRIDGE));
    }

    /// @notice Deposits the ether for the sender, with the default gas.
    receive() external payable byAccount {
        _initiateETH(msg.sender, msg.sender, msg.value, RECEIVE_DEFAULT_GAS_LIMIT, "");
    }

    /// @notice `bridgeETH` by its older name.
    function depositETH(uint32 _minGasLimit, bytes calldata _extraData) external payable {
        bridgeETH(_minGasLimit, _extraData);
    }

    /// @notice `bridgeETHTo` by its older name.
    function depositETHTo(address _to, uint32 _minGasLimit, bytes calldata _extraData) external payable {
        bridgeETHTo(_to, _minGasLimit, _extraData);
    }

    /// @notice `bridgeERC20` by its older name.
    function depositERC20(
        address _l1Token,
        address _l2Token,
        uint256 _amount,
        uint32 _minGasLimit,
        bytes calldata _extraData
    )
        external
    {
        bridgeERC20(_l1Token, _l2Token, _amount, _minGasLimit, _extraData);
    }

    /// @notice `bridgeERC20To` by its older name.
    function depositERC20To(
        address _l1Token,
        address _l2Token,
        address _to,
        uint256 _amount,
        uint32 _minGasLimit,
        bytes calldata _extraData
    )
        external
    {
        bridgeERC20To(_l1Token, _l2Token, _to, _amount, _minGasLimit, _extraData);
    }

    /// @notice `finalizeBridgeETH` by its older name, which withdrawals of before Bedrock call.
    function finalizeETHWithdrawal(
        address _from,
        address _to,
        uint256 _amount,
        bytes calldata _extraData
    )
        external
        payable
    {
        finalizeBridgeETH(_from, _to, _amount, _extraData);
    }

    /// @notice `finalizeBridgeERC20` by its older name, which withdrawals of before Bedrock call.
    function finalizeERC20Withdrawal(
        address _l1Token,
        address _l2Token,
        address _from,
        address _to,
        uint256 _amount,
        bytes calldata _extraData
    )
        external
    {
        finalizeBridgeERC20(_l1Token, _l2Token, _from, _to, _amount, _extraData);
    }

    function l2TokenBridge() external view returns (address) {
        return address(otherBridge);
    }

    function superchainConfig() external view returns (ISuperchainConfig) {
        return systemConfig.superchainConfig();
    }

    function paused() public view override returns (bool) {
        return systemConfig.paused();
    }

    function version() external view returns (string memory) {
        return "2.8.2";
    }

    function _logETHInitiated(address _from, address _to, uint256 _amount, bytes memory _extraData) internal override {
        emit ETHDepositInitiated(_from, _to, _amount, _extraData);
        super._logETHInitiated(_from, _to, _amount, _extraData);
    }

    function _logETHFinalized(address _from, address _to, uint256 _amount, bytes memory _extraData) internal override {
        emit ETHWithdrawalFinalized(_from, _to, _amount, _extraData);
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
        emit ERC20DepositInitiated(_localToken, _remoteToken, _from, _to, _amount, _extraData);
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
        emit ERC20WithdrawalFinalized(_localToken, _remoteToken, _from, _to, _amount, _extraData);
        super._logERC20Finalized(_localToken, _remoteToken, _from, _to, _amount, _extraData);
    }
}

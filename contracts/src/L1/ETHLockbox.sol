// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { DEFAULT_L2_SENDER } from "src/libraries/Constants.sol";
import { Initializable } from "src/universal/Initializable.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { ReinitializableBase } from "src/universal/ReinitializableBase.sol";
import { IETHLockbox } from "src/interfaces/IETHLockbox.sol";
import { IOptimismPortal2 } from "src/interfaces/IOptimismPortal2.sol";
import { ISemver } from "src/interfaces/ISemver.sol";
import { ISuperchainConfig } from "src/interfaces/ISuperchainConfig.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";

/// @notice Keeps the ether that was deposited through one or more portals. Portals and lockboxes join by the word of the
///         common ProxyAdmin owner; nobody leaves.
contract ETHLockbox is ProxyAdminOwnedBase, Initializable, ReinitializableBase, IETHLockbox, ISemver {
    error ETHLockbox_Paused();
    error ETHLockbox_Unauthorized();
    error ETHLockbox_InsufficientBalance();
    error ETHLockbox_NoWithdrawalTransactions();
    error ETHLockbox_DifferentSuperchainConfig();

    event ETHLocked(IOptimismPortal2 indexed portal, uint256 amount);
    event ETHUnlocked(IOptimismPortal2 indexed portal, uint256 amount);
    event PortalAuthorized(IOptimismPortal2 indexed portal);
    event LockboxAuthorized(IETHLockbox indexed lockbox);
    event LiquidityMigrated(IETHLockbox indexed lockbox, uint256 amount);
    event LiquidityReceived(IETHLockbox indexed lockbox, uint256 amount);

    /// @notice Configuration of the chain that the lockbox began with; its pause stops all unlocking.
    ISystemConfig public systemConfig;
    /// @notice Portals that may lock and unlock.
    mapping(IOptimismPortal2 => bool) public authorizedPortals;
    /// @notice Lockboxes that may move their ether here.
    mapping(IETHLockbox => bool) public authorizedLockboxes;

    constructor() ReinitializableBase(1) {
        _disableInitializers();
    }

    /// @notice Sets the lockbox up; only for the proxy's admin or the admin's owner.
    function initialize(
        ISystemConfig _systemConfig,
        IOptimismPortal2[] calldata _portals
    )
        external
        reinitializer(initVersion())
    {
        _assertOnlyProxyAdminOrProxyAdminOwner();
        systemConfig = _systemConfig;
        for (uint256 i = 0; i < _portals.length; ++i) {
            _admit(_portals[i]);
        }
    }

    /// @notice Takes ether from a portal.
    function lockETH() external payable {
        emit ETHLocked(_callingPortal(), msg.value);
    }

    /// @notice Gives ether to the calling portal for a withdrawal. Not while the target of a withdrawal is running: such
    ///         a call could only come from a portal that let itself be re-entered.
    function unlockETH(uint256 _value) external {
        if (paused()) revert ETHLockbox_Paused();
        IOptimismPortal2 portal = _callingPortal();
        if (_value > address(this).balance) revert ETHLockbox_InsufficientBalance();
        if (portal.l2Sender() != DEFAULT_L2_SENDER) revert ETHLockbox_NoWithdrawalTransactions();
        portal.donateETH{ value: _value }();
        emit ETHUnlocked(portal, _value);
    }

    /// @notice Lets a portal in that has the same ProxyAdmin owner and the same SuperchainConfig.
    function authorizePortal(IOptimismPortal2 _portal) external {
        _assertOnlyProxyAdminOwner();
        _admit(_portal);
    }

    /// @notice Lets a lockbox with the same ProxyAdmin owner move its ether here.
    function authorizeLockbox(IETHLockbox _lockbox) external {
        _assertOnlyProxyAdminOwner();
        _assertSharedProxyAdminOwner(address(_lockbox));
        authorizedLockboxes[_lockbox] = true;
        emit LockboxAuthorized(_lockbox);
    }

    /// @notice Moves all ether to another lockbox, which must have authorized this one.
    function migrateLiquidity(IETHLockbox _lockbox) external {
        _assertOnlyProxyAdminOwner();
        _assertSharedProxyAdminOwner(address(_lockbox));
        uint256 amount = address(this).balance;
        _lockbox.receiveLiquidity{ value: amount }();
        emit LiquidityMigrated(_lockbox, amount);
    }

    /// @notice Takes all ether of a lockbox that moves here.
    function receiveLiquidity() external payable {
        IETHLockbox from = IETHLockbox(msg.sender);
        if (!authorizedLockboxes[from]) revert ETHLockbox_Unauthorized();
        emit LiquidityReceived(from, msg.value);
    }

    function paused() public view returns (bool) {
        return systemConfig.paused();
    }

    function superchainConfig() public view returns (ISuperchainConfig) {
        return systemConfig.superchainConfig();
    }

    function version() external view returns (string memory) {
        return "1.3.1";
    }

    function _admit(IOptimismPortal2 _portal) private {
        _assertSharedProxyAdminOwner(address(_portal));
        if (address(_portal.superchainConfig()) != address(superchainConfig())) {
            revert ETHLockbox_DifferentSuperchainConfig();
        }
        authorizedPortals[_portal] = true;
        emit PortalAuthorized(_portal);
    }

    function _callingPortal() private view returns (IOptimismPortal2 portal_) {
        portal_ = IOptimismPortal2(msg.sender);
        if (!authorizedPortals[portal_]) revert ETHLockbox_Unauthorized();
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { L2_CROSS_DOMAIN_MESSENGER } from "src/libraries/Constants.sol";
import { CrossDomainMessenger } from "src/universal/CrossDomainMessenger.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { ReinitializableBase } from "src/universal/ReinitializableBase.sol";
import { IOptimismPortal2 } from "src/interfaces/IOptimismPortal2.sol";
import { ISemver } from "src/interfaces/ISemver.sol";
import { ISuperchainConfig } from "src/interfaces/ISuperchainConfig.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";

/// @notice The messenger on L1: sends by deposits, and relays what withdrawals bring through the portal.
contract L1CrossDomainMessenger is CrossDomainMessenger, ReinitializableBase, ProxyAdminOwnedBase, ISemver {
    address private spacer_251_0_20;
    IOptimismPortal2 public portal;
    address private spacer_253_0_20;
    /// @notice The chain's configuration, whose pause stops relaying.
    ISystemConfig public systemConfig;

    constructor() ReinitializableBase(3) {
        _disableInitializers();
    }

    /// @notice Sets the messenger up; only for the proxy's admin or the admin's owner.
    function initialize(ISystemConfig _systemConfig, IOptimismPortal2 _portal) external reinitializer(initVersion()) {
        _assertOnlyProxyAdminOrProxyAdminOwner();
        systemConfig = _systemConfig;
        portal = _portal;
        _connect(CrossDomainMessenger(L2_CROSS_DOMAIN_MESSENGER));
    }

    function PORTAL() external view returns (IOptimismPortal2) {
        return portal;
    }

    function superchainConfig() external view returns (ISuperchainConfig) {
        return systemConfig.superchainConfig();
    }

    function paused() public view override returns (bool) {
        return systemConfig.paused();
    }

    function version() external view returns (string memory) {
        return "2.11.1";
    }

    function _forward(uint64 _gasLimit, bytes memory _data) internal override {
        portal.depositTransaction{ value: msg.value }(address(otherMessenger), msg.value, _gasLimit, false, _data);
    }

    function _isFromOtherMessenger() internal view override returns (bool) {
        return msg.sender == address(portal) && portal.l2Sender() == address(otherMessenger);
    }

    function _isBlocked(address _target) internal view override returns (bool) {
        return _target == address(this) || _target == address(portal);
    }
}

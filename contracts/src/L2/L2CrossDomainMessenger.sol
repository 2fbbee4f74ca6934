// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { AddressAlias } from "src/libraries/AddressAlias.sol";
import { L2_TO_L1_MESSAGE_PASSER } from "src/libraries/Constants.sol";
import { CrossDomainMessenger } from "src/universal/CrossDomainMessenger.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { IL2ToL1MessagePasser } from "src/interfaces/IL2ToL1MessagePasser.sol";
import { ISemver } from "src/interfaces/ISemver.sol";

/// @notice The messenger on L2: sends by withdrawals, and relays what the messenger on L1 deposits.
contract L2CrossDomainMessenger is CrossDomainMessenger, ProxyAdminOwnedBase, ISemver {
    constructor() {
        _disableInitializers();
    }

    /// @notice Sets the messenger up; only for the proxy's admin or the admin's owner.
    function initialize(CrossDomainMessenger _l1CrossDomainMessenger) external reinitializer(1) {
        _assertOnlyProxyAdminOrProxyAdminOwner();
        _connect(_l1CrossDomainMessenger);
    }

    function l1CrossDomainMessenger() external view returns (CrossDomainMessenger) {
        return otherMessenger;
    }

    /// @notice L2 is never paused: what a deposit brings can't wait.
    function paused() public view override returns (bool) {
        return false;
    }

    function version() external view returns (string memory) {
        return "2.2.1";
    }

    function _forward(uint64 _gasLimit, bytes memory _data) internal override {
        IL2ToL1MessagePasser(L2_TO_L1_MESSAGE_PASSER).initiateWithdrawal{ value: msg.value }(
            address(otherMessenger), _gasLimit, _data
        );
    }

    /// @dev A deposit by a contract comes from its alias.
    function _isFromOtherMessenger() internal view override returns (bool) {
        return msg.sender == AddressAlias.applyL1ToL2Alias(address(otherMessenger));
    }

    function _isBlocked(address _target) internal view override returns (bool) {
        return _target == address(this) || _target == L2_TO_L1_MESSAGE_PASSER;
    }
}

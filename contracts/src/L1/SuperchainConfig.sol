// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Initializable } from "src/universal/Initializable.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { ReinitializableBase } from "src/universal/ReinitializableBase.sol";
import { ISemver } from "src/interfaces/ISemver.sol";
import { ISuperchainConfig } from "src/interfaces/ISuperchainConfig.sol";

/// @notice The emergency brake of a group of chains. A guardian pauses one chain, by the address of its portal or
///         lockbox, or all of them, by address(0). A pause ends by itself, so that a lost guardian key locks nobody's
///         funds; the guardian may use an identifier again only after resetting it.
contract SuperchainConfig is ProxyAdminOwnedBase, Initializable, ReinitializableBase, ISuperchainConfig, ISemver {
    /// @notice What a ConfigUpdate changed.
    enum UpdateType {
        GUARDIAN
    }

    error SuperchainConfig_OnlyGuardian();
    error SuperchainConfig_AlreadyPaused(address identifier);
    error SuperchainConfig_NotAlreadyPaused(address identifier);

    event Paused(address identifier);
    event Unpaused(address identifier);
    event ConfigUpdate(UpdateType indexed updateType, bytes data);

    /// @dev How long a pause lasts: three months.
    uint256 internal constant PAUSE_LENGTH = 7_884_000;

    /// @notice Who may pause.
    address public guardian;
    /// @notice When each identifier was paused; zero if it was not, or was reset.
    mapping(address => uint256) public pauseTimestamps;

    modifier onlyGuardian() {
        if (msg.sender != guardian) revert SuperchainConfig_OnlyGuardian();
        _;
    }

    constructor() ReinitializableBase(3) {
        _disableInitializers();
    }

    /// @notice Sets the guardian; only for the proxy's admin or the admin's owner.
    function initialize(address _guardian) external reinitializer(initVersion()) {
        _assertOnlyProxyAdminOrProxyAdminOwner();
        guardian = _guardian;
        emit ConfigUpdate(UpdateType.GUARDIAN, abi.encode(_guardian));
    }

    /// @notice Pauses what has no pause on record, not even one that is over.
    function pause(address _identifier) external onlyGuardian {
        if (!pausable(_identifier)) revert SuperchainConfig_AlreadyPaused(_identifier);
        _start(_identifier);
    }

    /// @notice Lets a pause on record begin anew.
    function extend(address _identifier) external onlyGuardian {
        if (pausable(_identifier)) revert SuperchainConfig_NotAlreadyPaused(_identifier);
        _start(_identifier);
    }

    /// @notice Ends a pause, and clears its record.
    function unpause(address _identifier) external onlyGuardian {
        delete pauseTimestamps[_identifier];
        emit Unpaused(_identifier);
    }

    /// @notice Whether all chains are paused.
    function paused() external view returns (bool) {
        return paused(address(0));
    }

    /// @inheritdoc ISuperchainConfig
    function paused(address _identifier) public view returns (bool) {
        return block.timestamp < expiration(_identifier);
    }

    /// @notice When the pause on record ends or ended; zero if there is none.
    function expiration(address _identifier) public view returns (uint256) {
        return pausable(_identifier) ? 0 : pauseTimestamps[_identifier] + PAUSE_LENGTH;
    }

    /// @notice Whether there is no pause on record.
    function pausable(address _identifier) public view returns (bool) {
        return pauseTimestamps[_identifier] == 0;
    }

    function pauseExpiry() external pure returns (uint256) {
        return PAUSE_LENGTH;
    }

    function version() external view returns (string memory) {
        return "2.5.0";
    }

    function _start(address _identifier) private {
        pauseTimestamps[_identifier] = block.timestamp;
        emit Paused(_identifier);
    }
}

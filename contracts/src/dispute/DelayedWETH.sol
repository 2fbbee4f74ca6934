// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Initializable } from "src/universal/Initializable.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { ReinitializableBase } from "src/universal/ReinitializableBase.sol";
import { WETH98 } from "src/universal/WETH98.sol";
import { ISemver } from "src/interfaces/ISemver.sol";
import { ISuperchainConfig } from "src/interfaces/ISuperchainConfig.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";

/// @notice Where dispute games keep their bonds. A game announces what it will pay to whom, and can withdraw it only
///         after a delay, so that the owner has time to take hold of bonds that a faulty game would give away.
///
///         The delay is kept per game and recipient; that the recipients' amounts are right is the game's concern.
contract DelayedWETH is Initializable, ProxyAdminOwnedBase, ReinitializableBase, WETH98, ISemver {
    /// @custom:field amount    Wei announced and not withdrawn yet.
    /// @custom:field timestamp When the last of it was announced.
    struct WithdrawalRequest {
        uint256 amount;
        uint256 timestamp;
    }

    /// @dev Seconds between announcement and withdrawal.
    uint256 internal immutable DELAY_SECONDS;

    /// @notice Announcements by game and recipient.
    mapping(address => mapping(address => WithdrawalRequest)) public withdrawals;
    /// @notice Configuration of the chain whose pause stops withdrawals.
    ISystemConfig public systemConfig;

    modifier onlyBackstop() {
        require(msg.sender == proxyAdminOwner(), "DelayedWETH: not owner");
        _;
    }

    constructor(uint256 _delay) ReinitializableBase(1) {
        DELAY_SECONDS = _delay;
        _disableInitializers();
    }

    /// @notice Sets the contract up; only for the proxy's admin or the admin's owner.
    function initialize(ISystemConfig _systemConfig) external reinitializer(initVersion()) {
        _assertOnlyProxyAdminOrProxyAdminOwner();
        systemConfig = _systemConfig;
    }

    /// @notice Announces that the calling game will withdraw for a recipient. Each announcement starts the delay anew.
    function unlock(address _guy, uint256 _wad) external {
        WithdrawalRequest storage request = withdrawals[msg.sender][_guy];
        request.amount += _wad;
        request.timestamp = block.timestamp;
    }

    /// @notice Withdraws what the caller announced for itself.
    function withdraw(uint256 _wad) public override {
        withdraw(msg.sender, _wad);
    }

    /// @notice Withdraws, to the calling game, what it announced for a recipient.
    function withdraw(address _guy, uint256 _wad) public {
        require(!systemConfig.paused(), "DelayedWETH: contract is paused");
        WithdrawalRequest storage request = withdrawals[msg.sender][_guy];
        require(request.amount >= _wad, "DelayedWETH: insufficient unlocked withdrawal");
        require(request.timestamp != 0, "DelayedWETH: withdrawal not unlocked");
        require(block.timestamp >= request.timestamp + DELAY_SECONDS, "DelayedWETH: withdrawal delay not met");
        request.amount -= _wad;
        super.withdraw(_wad);
    }

    /// @notice Gives the owner ether out of this contract, as much as there is at most, whoever it belongs to.
    function recover(uint256 _wad) external onlyBackstop {
        uint256 amount = _wad > address(this).balance ? address(this).balance : _wad;
        (bool success,) = msg.sender.call{ value: amount }("");
        require(success, "DelayedWETH: recover failed");
    }

    /// @notice Gives the owner a game's whole balance.
    function hold(address _guy) external {
        hold(_guy, balanceOf(_guy));
    }

    /// @notice Gives the owner a part of a game's balance.
    function hold(address _guy, uint256 _wad) public onlyBackstop {
        _allowance[_guy][msg.sender] = _wad;
        emit Approval(_guy, msg.sender, _wad);
        transferFrom(_guy, msg.sender, _wad);
    }

    function delay() external view returns (uint256) {
        return DELAY_SECONDS;
    }

    function config() external view returns (ISuperchainConfig) {
        return systemConfig.superchainConfig();
    }

    function version() external view returns (string memory) {
        return "1.5.1";
    }
}

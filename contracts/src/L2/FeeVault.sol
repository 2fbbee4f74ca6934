// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { L2_TO_L1_MESSAGE_PASSER } from "src/libraries/Constants.sol";
import { SafeCall } from "src/libraries/SafeCall.sol";
import { NamespacedInitializable } from "src/universal/NamespacedInitializable.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { IL2ToL1MessagePasser } from "src/interfaces/IL2ToL1MessagePasser.sol";
import { ISemver } from "src/interfaces/ISemver.sol";

/// @notice Where withdrawn fees go.
enum WithdrawalNetwork {
    L1,
    L2
}

/// @notice Collects one kind of fee, which the protocol credits to it block by block. Anyone may have all of it paid out
///         to the recipient, once there is enough.
abstract contract FeeVault is NamespacedInitializable, ProxyAdminOwnedBase, ISemver {
    /// @dev L1 gas for a payment to L1.
    uint256 internal constant WITHDRAWAL_MIN_GAS = 400_000;

    /// @notice Wei paid out so far.
    uint256 public totalProcessed;
    /// @notice Wei that there must be.
    uint256 public minWithdrawalAmount;
    address public recipient;
    WithdrawalNetwork public withdrawalNetwork;
    uint256[46] private __gap;

    event Withdrawal(uint256 value, address to, address from);
    /// @notice Follows each of the above, which is from before the network could be chosen.
    event Withdrawal(uint256 value, address to, address from, WithdrawalNetwork withdrawalNetwork);
    event MinWithdrawalAmountUpdated(uint256 oldWithdrawalAmount, uint256 newWithdrawalAmount);
    event RecipientUpdated(address oldRecipient, address newRecipient);
    event WithdrawalNetworkUpdated(WithdrawalNetwork oldWithdrawalNetwork, WithdrawalNetwork newWithdrawalNetwork);

    receive() external payable { }

    /// @notice Sets the vault up; only for the proxy's admin or the admin's owner.
    function initialize(
        address _recipient,
        uint256 _minWithdrawalAmount,
        WithdrawalNetwork _withdrawalNetwork
    )
        external
        initializer
    {
        _assertOnlyProxyAdminOrProxyAdminOwner();
        recipient = _recipient;
        minWithdrawalAmount = _minWithdrawalAmount;
        withdrawalNetwork = _withdrawalNetwork;
    }

    /// @notice Pays all that is here out.
    function withdraw() external returns (uint256 value_) {
        value_ = address(this).balance;
        require(
            value_ >= minWithdrawalAmount, "FeeVault: withdrawal amount must be greater than minimum withdrawal amount"
        );
        totalProcessed += value_;
        emit Withdrawal(value_, recipient, msg.sender);
        emit Withdrawal(value_, recipient, msg.sender, withdrawalNetwork);
        if (withdrawalNetwork == WithdrawalNetwork.L2) {
            bool success = SafeCall.call(recipient, gasleft(), value_, "");
            require(success, "FeeVault: failed to send ETH to L2 fee recipient");
        } else {
            IL2ToL1MessagePasser(L2_TO_L1_MESSAGE_PASSER).initiateWithdrawal{ value: value_ }(
                recipient, WITHDRAWAL_MIN_GAS, ""
            );
        }
    }

    /// @notice The setters are the ProxyAdmin owner's.
    function setMinWithdrawalAmount(uint256 _newMinWithdrawalAmount) external {
        _assertOnlyProxyAdminOwner();
        emit MinWithdrawalAmountUpdated(minWithdrawalAmount, _newMinWithdrawalAmount);
        minWithdrawalAmount = _newMinWithdrawalAmount;
    }

    function setRecipient(address _newRecipient) external {
        _assertOnlyProxyAdminOwner();
        emit RecipientUpdated(recipient, _newRecipient);
        recipient = _newRecipient;
    }

    function setWithdrawalNetwork(WithdrawalNetwork _newWithdrawalNetwork) external {
        _assertOnlyProxyAdminOwner();
        emit WithdrawalNetworkUpdated(withdrawalNetwork, _newWithdrawalNetwork);
        withdrawalNetwork = _newWithdrawalNetwork;
    }

    /// @notice The getters' older names.
    function MIN_WITHDRAWAL_AMOUNT() external view returns (uint256) {
        return minWithdrawalAmount;
    }

    function RECIPIENT() external view returns (address) {
        return recipient;
    }

    function WITHDRAWAL_NETWORK() external view returns (WithdrawalNetwork) {
        return withdrawalNetwork;
    }
}

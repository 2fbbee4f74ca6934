// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Burn } from "src/libraries/Burn.sol";
import { ISemver } from "src/interfaces/ISemver.sol";

/// @notice Records the withdrawals of L2. Proofs on L1 are made against the mapping in slot 0 and this account's storage
///         root. The ether of withdrawals stays here until anyone burns it.
contract L2ToL1MessagePasser is ISemver {
    event MessagePassed(
        uint256 indexed nonce,
        address indexed sender,
        address indexed target,
        uint256 value,
        uint256 gasLimit,
        bytes data,
        bytes32 withdrawalHash
    );
    event WithdrawerBalanceBurnt(uint256 indexed amount);

    /// @dev L1 gas for withdrawals that are begun by a plain transfer.
    uint256 internal constant RECEIVE_DEFAULT_GAS_LIMIT = 100_000;

    /// @notice Version of the withdrawal's encoding, kept in the top two bytes of its nonce.
    uint16 public constant MESSAGE_VERSION = 1;

    /// @notice Whether a withdrawal, by its hash, was begun.
    mapping(bytes32 => bool) public sentMessages;
    uint240 internal msgNonce;

    receive() external payable {
        initiateWithdrawal(msg.sender, RECEIVE_DEFAULT_GAS_LIMIT, "");
    }

    function version() public pure returns (string memory) {
        return "1.2.0";
    }

    /// @notice Takes the ether that has left for L1 out of L2's supply.
    function burn() external {
        uint256 balance = address(this).balance;
        Burn.eth(balance);
        emit WithdrawerBalanceBurnt(balance);
    }

    /// @notice Begins a withdrawal of the ether sent along.
    /// @param _target   Who is called on L1.
    /// @param _gasLimit L1 gas that the call gets at least.
    /// @param _data     What the call carries.
    function initiateWithdrawal(address _target, uint256 _gasLimit, bytes memory _data) public payable {
        uint256 nonce = messageNonce();
        bytes32 withdrawalHash = keccak256(abi.encode(nonce, msg.sender, _target, msg.value, _gasLimit, _data));
        sentMessages[withdrawalHash] = true;
        unchecked {
            ++msgNonce;
        }
        emit MessagePassed(nonce, msg.sender, _target, msg.value, _gasLimit, _data, withdrawalHash);
    }

    /// @notice The nonce of the next withdrawal.
    function messageNonce() public view returns (uint256) {
        return uint256(MESSAGE_VERSION) << 240 | msgNonce;
    }
}

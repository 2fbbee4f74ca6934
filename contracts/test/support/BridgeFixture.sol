// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { L1CrossDomainMessenger } from "src/L1/L1CrossDomainMessenger.sol";
import { L2CrossDomainMessenger } from "src/L2/L2CrossDomainMessenger.sol";
import { AddressAlias } from "src/libraries/AddressAlias.sol";
import {
    DEFAULT_L2_SENDER,
    ETHER,
    L1_BLOCK_ATTRIBUTES,
    L2_CROSS_DOMAIN_MESSENGER,
    L2_TO_L1_MESSAGE_PASSER,
    PROXY_OWNER_ADDRESS
} from "src/libraries/Constants.sol";
import { CrossDomainMessenger } from "src/universal/CrossDomainMessenger.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { IOptimismPortal2 } from "src/interfaces/IOptimismPortal2.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";
import { Recorder } from "test/support/Coins.sol";
import { Test } from "test/support/Test.sol";

/// @notice A chain's configuration: a pause to set by hand. Answers also what older contracts ask.
contract ChainConfig {
    bool public paused;

    function set(bool _paused) external {
        paused = _paused;
    }

    function superchainConfig() external view returns (address) {
        return address(this);
    }

    function gasPayingToken() external pure returns (address, uint8) {
        return (ETHER, 18);
    }
}

/// @notice What the messengers use of the portal and of the message passer, without proofs and delays: what was sent waits
///         in a list.
contract Outbox {
    struct Sent {
        address sender;
        address target;
        uint256 value;
        uint256 gasLimit;
        bytes data;
    }

    event Passed(address target, uint256 value, bytes data);

    Sent[] private sent;
    /// @notice The L2 sender of the withdrawal that is being relayed.
    address public l2Sender = DEFAULT_L2_SENDER;

    receive() external payable { }

    function depositTransaction(
        address _to,
        uint256 _value,
        uint64 _gas,
        bool _creation,
        bytes calldata _data
    )
        external
        payable
    {
        require(!_creation && _value == msg.value, "Outbox: a messenger's deposit");
        _pass(_to, _gas, _data);
    }

    function initiateWithdrawal(address _target, uint256 _gas, bytes calldata _data) external payable {
        _pass(_target, _gas, _data);
    }

    /// @notice Makes a withdrawal's call as the portal does, and tells whether it succeeded.
    function relay(
        address _sender,
        address _target,
        uint256 _value,
        uint256 _gas,
        bytes calldata _data
    )
        external
        returns (bool success_)
    {
        l2Sender = _sender;
        (success_,) = _target.call{ value: _value, gas: _gas == 0 ? gasleft() : _gas }(_data);
        l2Sender = DEFAULT_L2_SENDER;
    }

    function setSender(address _sender) external {
        l2Sender = _sender;
    }

    function last() external view returns (Sent memory) {
        return sent[sent.length - 1];
    }

    function _pass(address _target, uint256 _gas, bytes calldata _data) private {
        sent.push(Sent(msg.sender, _target, msg.value, _gas, _data));
        // Without the gas, of which newer messengers ask more.
        emit Passed(_target, msg.value, _data);
    }
}

/// @notice Both messengers in one chain, with what they send carried over by hand.
abstract contract BridgeFixture is Test {
    address internal constant ALICE = address(0xA11CE);
    address internal constant BOB = address(0xB0B);

    ChainConfig internal chain;
    Outbox internal portal;
    Outbox internal passer;
    L1CrossDomainMessenger internal l1;
    L2CrossDomainMessenger internal l2;

    function setUpMessengers() internal {
        chain = new ChainConfig();
        portal = new Outbox();
        passer = Outbox(payable(L2_TO_L1_MESSAGE_PASSER));
        vm.etch(L2_TO_L1_MESSAGE_PASSER, address(portal).code);
        vm.etch(L1_BLOCK_ATTRIBUTES, address(chain).code);
        l1 = L1CrossDomainMessenger(deployProxied(address(new L1CrossDomainMessenger()), initializeL1Messenger()));
        placeProxied(
            L2_CROSS_DOMAIN_MESSENGER,
            address(new L2CrossDomainMessenger()),
            abi.encodeCall(L2CrossDomainMessenger.initialize, (l1))
        );
        l2 = L2CrossDomainMessenger(L2_CROSS_DOMAIN_MESSENGER);
    }

    function initializeL1Messenger() internal view returns (bytes memory) {
        return abi.encodeCall(
            L1CrossDomainMessenger.initialize, (ISystemConfig(address(chain)), IOptimismPortal2(address(portal)))
        );
    }

    /// @dev A proxy at a predeploy's address, administered by this test.
    function placeProxied(address _predeploy, address _implementation, bytes memory _call) internal {
        vm.etch(_predeploy, address(new Proxy(address(this))).code);
        vm.store(_predeploy, PROXY_OWNER_ADDRESS, bytes32(uint256(uint160(address(this)))));
        Proxy(payable(_predeploy)).upgradeToAndCall(_implementation, _call);
    }

    /// @dev Executes the newest deposit on L2, with what a transaction's start leaves of the gas that was bought.
    function deliver() internal returns (bool success_) {
        Outbox.Sent memory sent = portal.last();
        address sender = AddressAlias.applyL1ToL2Alias(sent.sender);
        vm.deal(sender, sent.value);
        uint256 gas = sent.gasLimit - 21_000;
        for (uint256 i = 0; i < sent.data.length; ++i) {
            gas -= sent.data[i] == 0 ? 4 : 16;
        }
        vm.prank(sender);
        (success_,) = sent.target.call{ value: sent.value, gas: gas }(sent.data);
    }

    /// @dev Finalizes the newest withdrawal on L1.
    function finalize() internal returns (bool success_) {
        Outbox.Sent memory sent = passer.last();
        return portal.relay(sent.sender, sent.target, sent.value, 0, sent.data);
    }

    /// @dev The call that relays a message; its hash is the message's.
    function relayCall(
        uint256 _nonce,
        address _sender,
        address _target,
        uint256 _value,
        uint256 _minGasLimit,
        bytes memory _message
    )
        internal
        pure
        returns (bytes memory)
    {
        return
            abi.encodeCall(
                CrossDomainMessenger.relayMessage, (_nonce, _sender, _target, _value, _minGasLimit, _message)
            );
    }

    /// @dev Puts a messenger in place that takes every message with the same log, and says that `_other` sent one.
    function mockMessenger(address _messenger, address _other) internal {
        vm.etch(_messenger, address(new Recorder()).code);
        Recorder(payable(_messenger)).setSender(_other);
    }
}

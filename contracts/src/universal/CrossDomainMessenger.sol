// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { DEFAULT_L2_SENDER, ESTIMATION_ADDRESS } from "src/libraries/Constants.sol";
import { SafeCall } from "src/libraries/SafeCall.sol";
import { Initializable } from "src/universal/Initializable.sol";
import { ICrossDomainMessenger } from "src/interfaces/ICrossDomainMessenger.sol";

/// @dev Keeps the initializer where it was when an address came before it.
abstract contract MessengerSpacer {
    address private spacer_0_0_20;
}

/// @dev Slots that messengers used before Bedrock.
abstract contract MessengerSpacers {
    uint256[50] private spacer_1_0_1600;
    address private spacer_51_0_20;
    uint256[49] private spacer_52_0_1568;
    bool private spacer_101_0_1;
    uint256[49] private spacer_102_0_1568;
    uint256 private spacer_151_0_32;
    uint256[49] private spacer_152_0_1568;
    mapping(bytes32 => bool) private spacer_201_0_32;
    mapping(bytes32 => bool) private spacer_202_0_32;
}

/// @notice Calls from one chain to the other. A message is named by its hash:
///
///         sent ──── relayed by the other messenger ──► successful: never again
///                     │                                   ▲
///                     └─► failed ── replayed by anyone ───┘
///                           ▲──────────────┘
///
///         The first relay comes by way of a deposit or a withdrawal, and brings the message's ether along, which stays
///         here while the message is failed. Nothing that the sender or the target does makes that relay revert, for
///         neither a deposit nor a withdrawal is made twice.
abstract contract CrossDomainMessenger is MessengerSpacer, Initializable, MessengerSpacers, ICrossDomainMessenger {
    event SentMessage(address indexed target, address sender, bytes message, uint256 messageNonce, uint256 gasLimit);
    /// @notice Follows each SentMessage, which has had its form since before messages carried ether.
    event SentMessageExtension1(address indexed sender, uint256 value);
    event RelayedMessage(bytes32 indexed msgHash);
    event FailedRelayedMessage(bytes32 indexed msgHash);

    /// @notice Version of the messages that are sent, kept in the top two bytes of their nonces. Version 0 is that of
    ///         withdrawals from before Bedrock.
    uint16 public constant MESSAGE_VERSION = 1;

    /// @notice Gas that is used ahead of the call, of which the messenger's proxy keeps back a 64th part: enough for a
    ///         least gas of up to 8 million. A message that asks for more may fail at first, and needs a replay.
    uint64 public constant RELAY_CONSTANT_OVERHEAD = 200_000;
    /// @notice A call passes on 63 parts of 64 of the gas at most (EIP-150).
    uint64 public constant MIN_GAS_DYNAMIC_OVERHEAD_NUMERATOR = 64;
    uint64 public constant MIN_GAS_DYNAMIC_OVERHEAD_DENOMINATOR = 63;
    /// @notice Gas per byte of a transaction's data.
    uint64 public constant MIN_GAS_CALLDATA_OVERHEAD = 16;
    /// @notice The least gas per byte of a transaction's data, whatever is executed (EIP-7623).
    uint64 public constant FLOOR_CALLDATA_OVERHEAD = 40;
    /// @notice Gas of the call itself: a cold account, value, a new account.
    uint64 public constant RELAY_CALL_OVERHEAD = 40_000;
    /// @notice Gas kept back for what follows the call.
    uint64 public constant RELAY_RESERVED_GAS = 40_000;
    /// @notice Gas used between looking at the gas and making the call.
    uint64 public constant RELAY_GAS_CHECK_BUFFER = 5_000;
    /// @notice Gas of any transaction.
    uint64 public constant TX_BASE_GAS = 21_000;
    /// @notice Bytes that a call of `relayMessage` has besides the message.
    uint64 public constant ENCODING_OVERHEAD = 260;

    /// @notice Messages that were relayed, by hash.
    mapping(bytes32 => bool) public successfulMessages;
    /// @dev Who sent the message that is being relayed; a placeholder while there is none.
    address internal xDomainMsgSender;
    uint240 internal msgNonce;
    /// @notice Messages whose relay failed at least once, by hash, even if a later one succeeded.
    mapping(bytes32 => bool) public failedMessages;
    /// @notice The messenger of the other chain.
    CrossDomainMessenger public otherMessenger;
    uint256[43] private __gap;

    /// @notice Sends a message with the ether that came along. If its relay fails, its sender has to see to it that it
    ///         can be replayed with success: ether can't be taken back.
    function sendMessage(address _target, bytes calldata _message, uint32 _minGasLimit) external payable {
        uint256 nonce = messageNonce();
        unchecked {
            ++msgNonce;
        }
        bytes memory relay = _encodeRelay(nonce, msg.sender, _target, msg.value, _minGasLimit, _message);
        _forward(baseGas(_message, _minGasLimit), relay);
        emit SentMessage(_target, msg.sender, _message, nonce, _minGasLimit);
        emit SentMessageExtension1(msg.sender, msg.value);
    }

    /// @notice Makes a message's call, when the other messenger sends it, or again by anyone's wish after it failed.
    /// @param _nonce       The message's nonce, with its version.
    /// @param _sender      Who sent it, on the other chain.
    /// @param _target      Who is called.
    /// @param _value       Wei that the call carries.
    /// @param _minGasLimit Gas that the call gets at least; with less at hand the message fails without a call.
    /// @param _message     What the call carries.
    function relayMessage(
        uint256 _nonce,
        address _sender,
        address _target,
        uint256 _value,
        uint256 _minGasLimit,
        bytes calldata _message
    )
        external
        payable
    {
        require(!paused(), "CrossDomainMessenger: paused");
        uint256 version = _nonce >> 240;
        require(version < 2, "CrossDomainMessenger: only version 0 or 1 messages are supported at this time");
        if (version == 0) {
            bytes32 legacyHash = _legacyHash(_target, _sender, _message, _nonce);
            require(!successfulMessages[legacyHash], "CrossDomainMessenger: legacy withdrawal already relayed");
        }
        // The hash commits to the sender and to the value also of messages of version 0.
        bytes32 hash = keccak256(_encodeRelay(_nonce, _sender, _target, _value, _minGasLimit, _message));

        if (_isFromOtherMessenger()) {
            // Whoever sends a message in the other messenger's name is that messenger.
            assert(msg.value == _value);
            assert(!failedMessages[hash]);
        } else {
            require(msg.value == 0, "CrossDomainMessenger: value must be zero unless message is from a system address");
            require(failedMessages[hash], "CrossDomainMessenger: message cannot be replayed");
        }
        require(!_isBlocked(_target), "CrossDomainMessenger: cannot send message to blocked system address");
        require(!successfulMessages[hash], "CrossDomainMessenger: message has already been relayed");

        _relay(hash, _sender, _target, _value, _minGasLimit, _message);
    }

    /// @inheritdoc ICrossDomainMessenger
    function xDomainMessageSender() external view returns (address) {
        require(xDomainMsgSender != DEFAULT_L2_SENDER, "CrossDomainMessenger: xDomainMessageSender is not set");
        return xDomainMsgSender;
    }

    function OTHER_MESSENGER() external view returns (CrossDomainMessenger) {
        return otherMessenger;
    }

    /// @notice The nonce of the next message.
    function messageNonce() public view returns (uint256) {
        return uint256(MESSAGE_VERSION) << 240 | msgNonce;
    }

    /// @notice Gas that a transaction on the other chain needs so that a message's call gets its least gas: what the
    ///         transaction costs before its execution and on the way to the call, or the floor that EIP-7623 sets.
    function baseGas(bytes calldata _message, uint32 _minGasLimit) public pure returns (uint64) {
        uint64 executionGas = RELAY_CONSTANT_OVERHEAD + RELAY_CALL_OVERHEAD + RELAY_RESERVED_GAS
            + RELAY_GAS_CHECK_BUFFER + _minGasLimit * MIN_GAS_DYNAMIC_OVERHEAD_NUMERATOR
            / MIN_GAS_DYNAMIC_OVERHEAD_DENOMINATOR;
        uint64 size = uint64(_message.length) + ENCODING_OVERHEAD;
        uint64 needed = executionGas + size * MIN_GAS_CALLDATA_OVERHEAD;
        uint64 floor = size * FLOOR_CALLDATA_OVERHEAD;
        return TX_BASE_GAS + (needed > floor ? needed : floor);
    }

    /// @notice Whether relaying is stopped.
    function paused() public view virtual returns (bool);

    function _connect(CrossDomainMessenger _otherMessenger) internal onlyInitializing {
        // An upgrade must not come between a message and its target.
        if (xDomainMsgSender == address(0)) xDomainMsgSender = DEFAULT_L2_SENDER;
        otherMessenger = _otherMessenger;
    }

    /// @dev Has the other messenger called with `_data` and all the ether of this call.
    function _forward(uint64 _gasLimit, bytes memory _data) internal virtual;

    /// @dev Whether this call is the other messenger's.
    function _isFromOtherMessenger() internal view virtual returns (bool);

    /// @dev Whether a call of this target could send or receive messages in this messenger's name.
    function _isBlocked(address _target) internal view virtual returns (bool);

    /// @dev A message's call. It fails, to be replayed, if there is too little gas, or if it comes out of the call of
    ///      another message, whose sender is still to be told.
    function _relay(
        bytes32 _hash,
        address _sender,
        address _target,
        uint256 _value,
        uint256 _minGasLimit,
        bytes memory _message
    )
        private
    {
        bool callable = SafeCall.hasMinGas(_minGasLimit, RELAY_RESERVED_GAS + RELAY_GAS_CHECK_BUFFER)
            && xDomainMsgSender == DEFAULT_L2_SENDER;
        bool success = false;
        if (callable) {
            xDomainMsgSender = _sender;
            success = SafeCall.call(_target, gasleft() - RELAY_RESERVED_GAS, _value, _message);
            xDomainMsgSender = DEFAULT_L2_SENDER;
        }
        if (success) {
            // No relay within the call can have got this far.
            assert(!successfulMessages[_hash]);
            successfulMessages[_hash] = true;
            emit RelayedMessage(_hash);
            return;
        }
        failedMessages[_hash] = true;
        emit FailedRelayedMessage(_hash);
        // An estimate of gas must not settle for the amount at which the call fails.
        if (tx.origin == ESTIMATION_ADDRESS) revert("CrossDomainMessenger: failed to relay message");
    }

    /// @dev The call that relays a message, whose hash is the message's.
    function _encodeRelay(
        uint256 _nonce,
        address _sender,
        address _target,
        uint256 _value,
        uint256 _minGasLimit,
        bytes calldata _message
    )
        private
        pure
        returns (bytes memory)
    {
        return
            abi.encodeCall(
                CrossDomainMessenger.relayMessage, (_nonce, _sender, _target, _value, _minGasLimit, _message)
            );
    }

    /// @dev What a message was named by before Bedrock.
    function _legacyHash(
        address _target,
        address _sender,
        bytes calldata _message,
        uint256 _nonce
    )
        private
        pure
        returns (bytes32)
    {
        return keccak256(
            abi.encodeWithSignature("relayMessage(address,address,bytes,uint256)", _target, _sender, _message, _nonce)
        );
    }
}

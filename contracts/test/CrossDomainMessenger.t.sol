// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { L1CrossDomainMessenger } from "src/L1/L1CrossDomainMessenger.sol";
import { L2CrossDomainMessenger } from "src/L2/L2CrossDomainMessenger.sol";
import { AddressAlias } from "src/libraries/AddressAlias.sol";
import {
    DEFAULT_L2_SENDER,
    ESTIMATION_ADDRESS,
    L2_CROSS_DOMAIN_MESSENGER,
    L2_TO_L1_MESSAGE_PASSER
} from "src/libraries/Constants.sol";
import { CrossDomainMessenger } from "src/universal/CrossDomainMessenger.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { ProxyAdmin } from "src/universal/ProxyAdmin.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { IOptimismPortal2 } from "src/interfaces/IOptimismPortal2.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";
import { BridgeFixture, Outbox } from "test/support/BridgeFixture.sol";

/// @notice A target that does what it was told to.
contract Target {
    CrossDomainMessenger private immutable MESSENGER;
    bool private refuses;
    bytes private reentry;
    uint256 public calls;
    uint256 public gasSeen;
    uint256 public valueSeen;
    address public senderSeen;
    bytes public dataSeen;
    bool public reentered;
    bytes public reentryResult;

    constructor(CrossDomainMessenger _messenger) {
        MESSENGER = _messenger;
    }

    function refuse(bool _refuses) external {
        refuses = _refuses;
    }

    /// @notice From now on calls the messenger with `_data` while it is called.
    function reenter(bytes calldata _data) external {
        reentry = _data;
    }

    fallback() external payable {
        uint256 gas = gasleft();
        if (refuses) revert("Target: refused");
        ++calls;
        (gasSeen, valueSeen, senderSeen, dataSeen) = (gas, msg.value, MESSENGER.xDomainMessageSender(), msg.data);
        if (reentry.length > 0) (reentered, reentryResult) = address(MESSENGER).call(reentry);
        // What is begun within the call of a message does not change whose call it is.
        require(MESSENGER.xDomainMessageSender() == senderSeen, "Target: sender lost");
    }

    receive() external payable {
        ++calls;
    }
}

/// @notice Spends the gas of whoever calls.
contract Spender {
    fallback() external payable {
        assembly {
            invalid()
        }
    }
}

contract CrossDomainMessengerTest is BridgeFixture {
    event SentMessage(address indexed target, address sender, bytes message, uint256 messageNonce, uint256 gasLimit);
    event SentMessageExtension1(address indexed sender, uint256 value);
    event RelayedMessage(bytes32 indexed msgHash);
    event FailedRelayedMessage(bytes32 indexed msgHash);

    uint256 internal constant V1 = uint256(1) << 240;

    Target internal target;
    address internal official1;
    address internal official2;

    function setUp() public {
        setUpMessengers();
        target = new Target(l2);
        official1 = deployProxied(
            deployOfficial("L1CrossDomainMessenger", ""),
            abi.encodeWithSignature("initialize(address,address,address)", chain, portal, chain)
        );
        official2 = deployProxied(
            deployOfficial("L2CrossDomainMessenger", ""), abi.encodeWithSignature("initialize(address)", l1)
        );
    }

    // Setting up.

    function test_initialize_values() public {
        assertEq(address(l1.systemConfig()), address(chain), "systemConfig");
        assertEq(address(l1.superchainConfig()), address(chain), "superchainConfig");
        assertEq(address(l1.portal()), address(portal), "portal");
        assertEq(address(l1.PORTAL()), address(portal), "PORTAL");
        assertEq(address(l1.otherMessenger()), L2_CROSS_DOMAIN_MESSENGER, "other of L1");
        assertEq(address(l1.OTHER_MESSENGER()), L2_CROSS_DOMAIN_MESSENGER, "OTHER_MESSENGER of L1");
        assertEq(address(l2.otherMessenger()), address(l1), "other of L2");
        assertEq(address(l2.l1CrossDomainMessenger()), address(l1), "l1CrossDomainMessenger");
        assertEq(l1.messageNonce(), V1, "nonce");
        assertEq(vm.load(address(l1), bytes32(0)), bytes32(uint256(3) << 160), "initialized above the spacer, L1");
        assertEq(vm.load(address(l2), bytes32(0)), bytes32(uint256(1) << 160), "initialized above the spacer, L2");
        vm.expectRevert("CrossDomainMessenger: xDomainMessageSender is not set");
        l1.xDomainMessageSender();
    }

    function test_initialize_onceAndByTheAdmin() public {
        bytes memory call = initializeL1Messenger();
        vm.expectRevert("Initializable: contract is already initialized");
        l1.initialize(ISystemConfig(address(0)), IOptimismPortal2(address(0)));
        vm.expectRevert("Initializable: contract is already initialized");
        l2.initialize(l1);
        Proxy fresh = new Proxy(address(this));
        fresh.upgradeTo(address(new L1CrossDomainMessenger()));
        fresh.changeAdmin(address(new ProxyAdmin(ALICE)));
        (bool success, bytes memory result) = address(fresh).call(call);
        assertTrue(!success, "a stranger");
        bytes4 reason = ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotProxyAdminOrProxyAdminOwner.selector;
        assertEq(result, abi.encodePacked(reason), "reason");
        vm.prank(ALICE);
        (success,) = address(fresh).call(call);
        assertTrue(success, "the admin's owner");
        L2CrossDomainMessenger implementation = new L2CrossDomainMessenger();
        vm.expectRevert("Initializable: contract is already initialized");
        implementation.initialize(l1);
    }

    function test_upgrade_keepsState() public {
        send(BOB, "1", 0, 0);
        bytes32 ok = keccak256(portal.last().data);
        assertTrue(deliver(), "delivered");
        target.refuse(true);
        bytes memory failed = failOnL2(0);
        Proxy(payable(address(l2))).upgradeTo(address(new L2CrossDomainMessenger()));
        Proxy(payable(address(l1))).upgradeTo(address(new L1CrossDomainMessenger()));
        assertEq(l1.messageNonce(), V1 | 2, "nonce");
        assertTrue(l2.successfulMessages(ok), "successful");
        assertTrue(l2.failedMessages(keccak256(failed)), "failed");
        target.refuse(false);
        replay(address(l2), failed);
        assertTrue(l2.successfulMessages(keccak256(failed)), "replayed after the upgrade");
    }

    // Sending.

    function testFuzz_sendMessage_onL1(address _to, uint96 _value, uint32 _gas, bytes memory _message) public {
        for (uint256 i = 0; i < 2; ++i) {
            vm.deal(ALICE, _value);
            vm.expectEmit(address(l1));
            emit SentMessage(_to, ALICE, _message, V1 | i, _gas);
            vm.expectEmit(address(l1));
            emit SentMessageExtension1(ALICE, _value);
            vm.prank(ALICE);
            l1.sendMessage{ value: _value }(_to, _message, _gas);
            assertEq(l1.messageNonce(), V1 | (i + 1), "nonce");
            Outbox.Sent memory sent = portal.last();
            assertEq(sent.sender, address(l1), "depositor");
            assertEq(sent.target, L2_CROSS_DOMAIN_MESSENGER, "target");
            assertEq(sent.value, _value, "value");
            assertEq(sent.gasLimit, l1.baseGas(_message, _gas), "gas");
            assertEq(sent.data, relayCall(V1 | i, ALICE, _to, _value, _gas, _message), "data");
        }
        assertEq(address(portal).balance, uint256(_value) * 2, "ether");
    }

    function testFuzz_sendMessage_onL2(address _to, uint96 _value, uint32 _gas, bytes memory _message) public {
        vm.deal(ALICE, _value);
        vm.expectEmit(address(l2));
        emit SentMessage(_to, ALICE, _message, V1, _gas);
        vm.expectEmit(address(l2));
        emit SentMessageExtension1(ALICE, _value);
        vm.prank(ALICE);
        l2.sendMessage{ value: _value }(_to, _message, _gas);
        Outbox.Sent memory sent = passer.last();
        assertEq(sent.sender, address(l2), "withdrawer");
        assertEq(sent.target, address(l1), "target");
        assertEq(sent.value, _value, "value");
        assertEq(sent.gasLimit, l2.baseGas(_message, _gas), "gas");
        assertEq(sent.data, relayCall(V1, ALICE, _to, _value, _gas, _message), "data");
    }

    function testFuzz_baseGas(uint32 _gas, bytes memory _message) public view {
        // On the way to the call: 285,000, and 64/63 of the least gas; data at 16 and at least 40 a byte.
        uint256 size = _message.length + 260;
        uint256 execution = 285_000 + uint256(_gas) * 64 / 63 + size * 16;
        uint256 floor = size * 40;
        assertEq(l1.baseGas(_message, _gas), 21_000 + (execution > floor ? execution : floor), "gas");
    }

    /// @dev The 64th that the messenger's proxy keeps back is bought by what the fixed part leaves over, and no more.
    function test_baseGas_bigMinimum() public {
        assertTrue(_relayedAtOnce(address(target), 7_000_000), "below eight million");
        assertTrue(!_relayedAtOnce(address(target), 30_000_000), "far more");
        // Nothing is lost: whoever brings the gas replays it.
        replay(address(l2), portal.last().data);
        assertTrue(l2.successfulMessages(keccak256(portal.last().data)), "replayed");
    }

    function _relayedAtOnce(address _target, uint32 _gas) private returns (bool) {
        vm.prank(ALICE);
        l1.sendMessage(_target, "", _gas);
        assertTrue(deliver(), "delivered");
        return l2.successfulMessages(keccak256(portal.last().data));
    }

    function test_baseGas_floorOfLongMessages() public view {
        assertEq(l1.baseGas(new bytes(0), 0), 21_000 + 285_000 + 260 * 16, "short");
        assertEq(l1.baseGas(new bytes(100_000), 0), 21_000 + 100_260 * 40, "long");
        assertEq(l1.baseGas("", type(uint32).max), 21_000 + 285_000 + 4_363_141_379 + 4160, "no overflow");
    }

    // Relaying.

    function testFuzz_relay_toL2(uint96 _value, uint32 _gas, bytes memory _message) public {
        _gas = uint32(bound(_gas, 2_000_000, 8_000_000));
        if (_message.length == 0) _message = hex"01";
        send(address(target), _message, _gas, _value);
        bytes32 hash = keccak256(portal.last().data);
        vm.expectEmit(address(l2));
        emit RelayedMessage(hash);
        assertTrue(deliver(), "delivered");
        assertTrue(l2.successfulMessages(hash) && !l2.failedMessages(hash), "successful");
        assertEq(target.calls(), 1, "called");
        assertEq(target.senderSeen(), ALICE, "sender");
        assertEq(target.valueSeen(), _value, "value");
        assertEq(target.dataSeen(), _message, "data");
        // The deposit bought no more than it has to, and that is enough.
        assertTrue(target.gasSeen() >= _gas, "the least gas");
    }

    function testFuzz_relay_toL1(uint96 _value, bytes memory _message) public {
        if (_message.length == 0) _message = hex"01";
        Target onL1 = new Target(l1);
        vm.deal(ALICE, _value);
        vm.prank(ALICE);
        l2.sendMessage{ value: _value }(address(onL1), _message, 100_000);
        vm.deal(address(portal), _value);
        assertTrue(finalize(), "finalized");
        assertEq(onL1.senderSeen(), ALICE, "sender");
        assertEq(onL1.valueSeen(), _value, "value");
        assertTrue(l1.successfulMessages(keccak256(passer.last().data)), "successful");
    }

    /// @dev EIP-150: whoever relays can't choose the gas so that the target gets less than its least gas. Then the
    ///      message fails without a call, and can be replayed.
    function testFuzz_relay_withLittleGas(uint256 _given) public {
        uint32 least = 1_000_000;
        Target onL1 = new Target(l1);
        bytes memory call = relayCall(V1, ALICE, address(onL1), 0, least, hex"01");
        _given = bound(_given, 60_000, 1_400_000);
        bool success = portal.relay(address(l2), address(l1), 0, _given, call);
        bytes32 hash = keccak256(call);
        if (onL1.calls() == 1) {
            assertTrue(onL1.gasSeen() >= least, "called with the least gas");
            assertTrue(success && l1.successfulMessages(hash), "and relayed");
            return;
        }
        assertTrue(!l1.successfulMessages(hash), "not relayed");
        // Below what the messenger itself needs the call runs out of gas, and leaves no trace.
        assertEq(success ? 1 : 0, l1.failedMessages(hash) ? 1 : 0, "failed");
        if (!success) return;
        replay(address(l1), call);
        assertEq(onL1.calls(), 1, "replayed");
    }

    /// @dev A target that spends all it gets leaves enough to write down that it failed.
    function testFuzz_relay_targetSpendsAllGas(uint32 _gas) public {
        _gas = uint32(bound(_gas, 0, 2_000_000));
        send(address(new Spender()), "", _gas, 1 ether);
        assertTrue(deliver(), "the deposit succeeds");
        assertTrue(l2.failedMessages(keccak256(portal.last().data)), "failed");
        assertEq(address(l2).balance, 1 ether, "ether is kept");
    }

    function test_relay_failedCanBeReplayed_succeededCannot() public {
        target.refuse(true);
        send(address(target), hex"01", 100_000, 5);
        bytes memory call = portal.last().data;
        bytes32 hash = keccak256(call);
        vm.expectEmit(address(l2));
        emit FailedRelayedMessage(hash);
        assertTrue(deliver(), "the deposit succeeds");
        assertTrue(l2.failedMessages(hash) && !l2.successfulMessages(hash), "failed");
        assertEq(address(l2).balance, 5, "ether is kept");

        replay(address(l2), call);
        assertTrue(!l2.successfulMessages(hash), "fails again");
        target.refuse(false);
        replay(address(l2), call);
        assertTrue(l2.successfulMessages(hash) && l2.failedMessages(hash), "succeeded in the end");
        assertEq(target.valueSeen(), 5, "ether arrived");
        assertEq(target.senderSeen(), ALICE, "sender");
        assertEq(address(l2).balance, 0, "nothing kept");

        vm.expectRevert("CrossDomainMessenger: message has already been relayed");
        replay(address(l2), call);
        assertEq(target.calls(), 1, "once");
    }

    function test_relay_onlyFromTheOtherMessenger() public {
        bytes memory call = relayCall(V1, ALICE, address(target), 0, 0, hex"01");
        vm.expectRevert("CrossDomainMessenger: message cannot be replayed");
        replay(address(l2), call);
        // The messenger's own address on L2 is not its alias.
        vm.prank(address(l1));
        (bool success,) = address(l2).call(call);
        assertTrue(!success, "not aliased");
        vm.prank(AddressAlias.applyL1ToL2Alias(address(l1)));
        (success,) = address(l2).call(call);
        assertTrue(success, "the alias");
        assertEq(target.calls(), 1, "called");

        assertTrue(!portal.relay(ALICE, address(l1), 0, 0, call), "withdrawal of somebody else");
        portal.setSender(address(l2));
        vm.expectRevert("CrossDomainMessenger: message cannot be replayed");
        replay(address(l1), call);
    }

    function test_relay_replayBringsNoEther() public {
        target.refuse(true);
        bytes memory call = failOnL2(7);
        vm.deal(BOB, 7);
        vm.expectRevert("CrossDomainMessenger: value must be zero unless message is from a system address");
        replay(address(l2), call, 7);
    }

    /// @dev The ether of one message can't be had by two others.
    function test_relay_valueIsTheMessages() public {
        address alias1 = AddressAlias.applyL1ToL2Alias(address(l1));
        vm.deal(alias1, 1);
        vm.prank(alias1);
        (bool success, bytes memory result) =
            address(l2).call{ value: 1 }(relayCall(V1, ALICE, address(target), 2, 0, ""));
        assertTrue(!success, "less ether than the message has");
        assertEq(result, abi.encodeWithSignature("Panic(uint256)", 1), "an assertion");
    }

    function test_relay_notToTheSystem() public {
        address[2] memory onL2 = [address(l2), L2_TO_L1_MESSAGE_PASSER];
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(AddressAlias.applyL1ToL2Alias(address(l1)));
            vm.expectRevert("CrossDomainMessenger: cannot send message to blocked system address");
            l2.relayMessage(V1 | i, ALICE, onL2[i], 0, 0, "");
        }
        assertTrue(
            !portal.relay(address(l2), address(l1), 0, 0, relayCall(V1, ALICE, address(l1), 0, 0, "")), "L1 self"
        );
        bytes memory call = relayCall(V1, ALICE, address(portal), 0, 0, "");
        assertTrue(!portal.relay(address(l2), address(l1), 0, 0, call), "portal");
    }

    function testFuzz_relay_unknownVersion(uint16 _version) public {
        vm.assume(_version > 1);
        vm.expectRevert("CrossDomainMessenger: only version 0 or 1 messages are supported at this time");
        l2.relayMessage(uint256(_version) << 240, ALICE, BOB, 0, 0, "");
    }

    /// @dev A withdrawal of before Bedrock is known by its old hash too.
    function testFuzz_relay_legacy(uint240 _nonce, bytes memory _message) public {
        Target onL1 = new Target(l1);
        if (_message.length == 0) _message = hex"01";
        bytes memory call = relayCall(_nonce, ALICE, address(onL1), 0, 0, _message);
        bytes32 old = keccak256(
            abi.encodeWithSignature(
                "relayMessage(address,address,bytes,uint256)", address(onL1), ALICE, _message, uint256(_nonce)
            )
        );
        bytes32 slot = keccak256(abi.encode(old, uint256(203)));
        vm.store(address(l1), slot, bytes32(uint256(1)));
        assertTrue(l1.successfulMessages(old), "relayed before Bedrock");
        assertTrue(!portal.relay(address(l2), address(l1), 0, 0, call), "not again");
        vm.prank(address(portal));
        vm.expectRevert("CrossDomainMessenger: legacy withdrawal already relayed");
        l1.relayMessage(_nonce, ALICE, address(onL1), 0, 0, _message);
        vm.store(address(l1), slot, 0);
        assertTrue(portal.relay(address(l2), address(l1), 0, 0, call), "migrated");
        assertEq(onL1.calls(), 1, "called");
        assertTrue(l1.successfulMessages(keccak256(call)), "under its new hash");
    }

    // Reentrancy.

    /// @dev A message that is replayed out of its own call: the inner relay fails, the outer succeeds.
    function test_reentrancy_ofTheSameMessage() public {
        target.refuse(true);
        bytes memory call = failOnL2(3);
        target.refuse(false);
        target.reenter(call);
        replay(address(l2), call);
        assertTrue(target.reentered(), "the inner relay fails without reverting");
        assertEq(target.calls(), 1, "one call");
        assertEq(target.valueSeen(), 3, "value once");
        assertEq(address(l2).balance, 0, "nothing twice");
        assertTrue(l2.successfulMessages(keccak256(call)), "successful");
        vm.expectRevert("CrossDomainMessenger: message has already been relayed");
        replay(address(l2), call);
    }

    /// @dev Another message relayed out of a call would take the sender away from it.
    function test_reentrancy_ofAnotherMessage() public {
        target.refuse(true);
        bytes memory other = failOnL2(3);
        target.refuse(false);
        target.reenter(other);
        send(address(target), hex"02", 1_000_000, 0);
        assertTrue(deliver(), "delivered");
        assertEq(target.calls(), 1, "only the outer");
        assertEq(target.dataSeen(), hex"02", "the outer");
        assertTrue(target.reentered() && !l2.successfulMessages(keccak256(other)), "the inner failed");
        target.reenter("");
        replay(address(l2), other);
        assertEq(target.calls(), 2, "replayed afterwards");
    }

    /// @dev While a withdrawal of the messenger runs, a withdrawal can't be posed by its target.
    function test_reentrancy_ofForgedMessage() public {
        Target onL1 = new Target(l1);
        onL1.reenter(relayCall(V1 | 9, address(1), BOB, 0, 0, ""));
        bytes memory call = relayCall(V1, ALICE, address(onL1), 0, 300_000, hex"01");
        assertTrue(portal.relay(address(l2), address(l1), 0, 0, call), "relayed");
        assertTrue(!onL1.reentered(), "forged");
        assertEq(
            onL1.reentryResult(),
            abi.encodeWithSignature("Error(string)", "CrossDomainMessenger: message cannot be replayed"),
            "reason"
        );
    }

    function test_reentrancy_sendingIsAllowed() public {
        target.reenter(abi.encodeCall(CrossDomainMessenger.sendMessage, (ALICE, hex"07", 21_000)));
        send(address(target), hex"01", 1_000_000, 0);
        assertTrue(deliver(), "delivered");
        assertTrue(target.reentered(), "answered");
        assertEq(passer.last().data, relayCall(V1, address(target), ALICE, 0, 21_000, hex"07"), "the answer");
    }

    // Pause.

    function test_pause_stopsRelayAndReplayOnL1_notSending() public {
        Target onL1 = new Target(l1);
        onL1.refuse(true);
        bytes memory call = relayCall(V1, ALICE, address(onL1), 0, 0, hex"01");
        assertTrue(portal.relay(address(l2), address(l1), 0, 0, call), "fails");
        onL1.refuse(false);

        chain.set(true);
        assertTrue(l1.paused(), "paused");
        bytes memory another = relayCall(V1 | 1, ALICE, address(onL1), 0, 0, hex"01");
        assertTrue(!portal.relay(address(l2), address(l1), 0, 0, another), "no relay");
        vm.expectRevert("CrossDomainMessenger: paused");
        replay(address(l1), call);
        send(BOB, "", 0, 1);
        assertTrue(!l2.paused(), "L2 goes on");
        assertTrue(deliver(), "and takes deposits");
        assertEq(BOB.balance, 1, "arrived");

        chain.set(false);
        replay(address(l1), call);
        assertTrue(portal.relay(address(l2), address(l1), 0, 0, another), "relay");
        assertEq(onL1.calls(), 2, "both");
    }

    // Estimates.

    function test_estimation_revertsOnFailure() public {
        target.refuse(true);
        bytes memory call = failOnL2(0);
        vm.prank(BOB, ESTIMATION_ADDRESS);
        (bool success, bytes memory result) = address(l2).call(call);
        assertTrue(!success, "too little gas does not look like success");
        assertEq(
            result, abi.encodeWithSignature("Error(string)", "CrossDomainMessenger: failed to relay message"), "reason"
        );
        target.refuse(false);
        vm.prank(BOB, ESTIMATION_ADDRESS);
        (success,) = address(l2).call(call);
        assertTrue(success, "success");
    }

    // The OP Stack's.

    function testFuzz_official_sendSame(address _to, uint96 _value, uint32 _gas, bytes memory _message) public {
        address official = official1;
        bytes memory call = abi.encodeCall(CrossDomainMessenger.sendMessage, (_to, _message, _gas));
        assertTrue(assertSame(address(l1), official, ALICE, _value, call), "L1");
        assertTrue(assertSame(address(l1), official, abi.encodeCall(l1.messageNonce, ())), "nonce");
        official = official2;
        assertTrue(assertSame(address(l2), official, ALICE, _value, call), "L2");
    }

    function testFuzz_official_relaySame(
        uint256 _nonce,
        address _sender,
        uint96 _value,
        uint32 _gas,
        bytes memory _message,
        uint8 _case
    )
        public
    {
        vm.assume(_sender != DEFAULT_L2_SENDER);
        _gas = uint32(bound(_gas, 0, 1_000_000));
        _nonce = bound(_nonce >> 240, 0, 2) << 240 | (_nonce & type(uint240).max);
        address official = official1;
        // An account, a contract that reverts, and what must not be called.
        address to = [address(0xCafe), address(chain), address(portal)][_case % 3];
        bytes memory call = relayCall(_nonce, _sender, to, _value, _gas, _message);
        chain.set(_case > 240);
        assertTrue(!assertSame(address(l1), official, BOB, 0, call), "a stranger may not");
        portal.setSender(address(l2));
        assertSame(address(l1), official, address(portal), _value, call);
        assertSame(address(l1), official, address(portal), _value, call);
        assertSame(address(l1), official, BOB, 0, call);
        assertSame(address(l1), official, BOB, 1, call);
        chain.set(false);
        assertSame(address(l1), official, BOB, 0, call);
        bytes32 hash = keccak256(call);
        assertSame(address(l1), official, abi.encodeCall(l1.successfulMessages, (hash)));
        assertSame(address(l1), official, abi.encodeCall(l1.failedMessages, (hash)));
        assertSame(address(l1), official, abi.encodeCall(l1.xDomainMessageSender, ()));
        assertEq(address(l1).balance, official.balance, "ether");
    }

    // Steps.

    function send(address _to, bytes memory _message, uint32 _gas, uint256 _value) internal {
        vm.deal(ALICE, _value);
        vm.prank(ALICE);
        l1.sendMessage{ value: _value }(_to, _message, _gas);
    }

    /// @dev A message that `target`, which must refuse, lets fail; its relay call.
    function failOnL2(uint256 _value) internal returns (bytes memory call_) {
        send(address(target), hex"01", 300_000, _value);
        call_ = portal.last().data;
        assertTrue(deliver(), "delivered");
        assertTrue(l2.failedMessages(keccak256(call_)), "failed");
    }

    function replay(address _messenger, bytes memory _call) internal {
        replay(_messenger, _call, 0);
    }

    function replay(address _messenger, bytes memory _call, uint256 _value) internal {
        vm.prank(BOB);
        (bool success, bytes memory result) = _messenger.call{ value: _value }(_call);
        if (success) return;
        assembly {
            revert(add(result, 0x20), mload(result))
        }
    }
}

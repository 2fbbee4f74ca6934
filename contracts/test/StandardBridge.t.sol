// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { L1StandardBridge } from "src/L1/L1StandardBridge.sol";
import { L2StandardBridge } from "src/L2/L2StandardBridge.sol";
import { L2_CROSS_DOMAIN_MESSENGER, L2_STANDARD_BRIDGE, LEGACY_ERC20_ETH } from "src/libraries/Constants.sol";
import { OptimismMintableERC20 } from "src/universal/OptimismMintableERC20.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { StandardBridge } from "src/universal/StandardBridge.sol";
import { ICrossDomainMessenger } from "src/interfaces/ICrossDomainMessenger.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";
import { BridgeFixture } from "test/support/BridgeFixture.sol";
import { Coin, Legacy, Liar, NoReturn, Recorder, Refusing } from "test/support/Coins.sol";

contract StandardBridgeTest is BridgeFixture {
    event ETHDepositInitiated(address indexed from, address indexed to, uint256 amount, bytes extraData);
    event ETHWithdrawalFinalized(address indexed from, address indexed to, uint256 amount, bytes extraData);
    event ETHBridgeInitiated(address indexed from, address indexed to, uint256 amount, bytes extraData);
    event ETHBridgeFinalized(address indexed from, address indexed to, uint256 amount, bytes extraData);
    event ERC20DepositInitiated(
        address indexed a, address indexed b, address indexed from, address to, uint256 amount, bytes extraData
    );
    event ERC20WithdrawalFinalized(
        address indexed a, address indexed b, address indexed from, address to, uint256 amount, bytes extraData
    );
    event ERC20BridgeInitiated(
        address indexed a, address indexed b, address indexed from, address to, uint256 amount, bytes extraData
    );
    event ERC20BridgeFinalized(
        address indexed a, address indexed b, address indexed from, address to, uint256 amount, bytes extraData
    );
    event WithdrawalInitiated(
        address indexed a, address indexed b, address indexed from, address to, uint256 amount, bytes extraData
    );
    event DepositFinalized(
        address indexed a, address indexed b, address indexed from, address to, uint256 amount, bytes extraData
    );

    L1StandardBridge internal bridge1;
    L2StandardBridge internal bridge2;
    Coin internal coin;
    OptimismMintableERC20 internal minted;
    address internal official1;
    address internal official2;

    function setUp() public {
        setUpMessengers();
        bridge1 = L1StandardBridge(payable(deployProxied(address(new L1StandardBridge()), initializeL1())));
        placeProxied(
            L2_STANDARD_BRIDGE, address(new L2StandardBridge()), abi.encodeCall(L2StandardBridge.initialize, (bridge1))
        );
        bridge2 = L2StandardBridge(payable(L2_STANDARD_BRIDGE));
        coin = new Coin();
        minted = new OptimismMintableERC20(L2_STANDARD_BRIDGE, address(coin), "Coin", "C", 18);
        official1 = deployProxied(
            deployOfficial("L1StandardBridge", ""),
            abi.encodeWithSignature("initialize(address,address,address)", l1, chain, chain)
        );
        official2 = deployProxied(
            deployOfficial("L2StandardBridge", ""), abi.encodeWithSignature("initialize(address)", bridge1)
        );
    }

    function initializeL1() internal view returns (bytes memory) {
        return abi.encodeCall(L1StandardBridge.initialize, (l1, ISystemConfig(address(chain))));
    }

    // Setting up.

    function test_initialize_values() public {
        assertEq(address(bridge1.messenger()), address(l1), "messenger of L1");
        assertEq(address(bridge1.MESSENGER()), address(l1), "MESSENGER of L1");
        assertEq(address(bridge1.otherBridge()), L2_STANDARD_BRIDGE, "other of L1");
        assertEq(address(bridge1.OTHER_BRIDGE()), L2_STANDARD_BRIDGE, "OTHER_BRIDGE of L1");
        assertEq(bridge1.l2TokenBridge(), L2_STANDARD_BRIDGE, "l2TokenBridge");
        assertEq(address(bridge1.systemConfig()), address(chain), "systemConfig");
        assertEq(address(bridge1.superchainConfig()), address(chain), "superchainConfig");
        assertEq(address(bridge2.messenger()), L2_CROSS_DOMAIN_MESSENGER, "messenger of L2");
        assertEq(address(bridge2.otherBridge()), address(bridge1), "other of L2");
        assertEq(bridge2.l1TokenBridge(), address(bridge1), "l1TokenBridge");
        assertTrue(!bridge2.paused(), "L2 is never paused");
        vm.expectRevert("Initializable: contract is already initialized");
        bridge1.initialize(l1, ISystemConfig(address(chain)));
        vm.expectRevert("Initializable: contract is already initialized");
        bridge2.initialize(bridge1);
    }

    function test_initialize_byTheAdminOnly() public {
        Proxy fresh = new Proxy(address(this));
        fresh.upgradeTo(address(new L1StandardBridge()));
        fresh.changeAdmin(address(new Recorder()));
        (bool success,) = address(fresh).call(initializeL1());
        assertTrue(!success, "a stranger");
    }

    function test_upgrade_keepsState() public {
        give(ALICE, 10);
        bridge(address(coin), address(minted), BOB, 10);
        Proxy(payable(address(bridge1))).upgradeTo(address(new L1StandardBridge()));
        assertEq(bridge1.deposits(address(coin), address(minted)), 10, "deposits");
        assertEq(address(bridge1.messenger()), address(l1), "messenger");
    }

    // Ether.

    /// forge-config: default.fuzz.runs = 96
    function testFuzz_eth_toL2AndBack(uint96 _value, bytes memory _extra) public {
        vm.deal(ALICE, _value);
        vm.expectEmit(address(bridge1));
        emit ETHDepositInitiated(ALICE, BOB, _value, _extra);
        vm.expectEmit(address(bridge1));
        emit ETHBridgeInitiated(ALICE, BOB, _value, _extra);
        vm.prank(ALICE);
        bridge1.bridgeETHTo{ value: _value }(BOB, 200_000, _extra);
        vm.expectEmit(address(bridge2));
        emit DepositFinalized(address(0), LEGACY_ERC20_ETH, ALICE, BOB, _value, _extra);
        vm.expectEmit(address(bridge2));
        emit ETHBridgeFinalized(ALICE, BOB, _value, _extra);
        assertTrue(deliver(), "delivered");
        assertEq(BOB.balance, _value, "on L2");

        vm.expectEmit(address(bridge2));
        emit WithdrawalInitiated(address(0), LEGACY_ERC20_ETH, BOB, ALICE, _value, _extra);
        vm.expectEmit(address(bridge2));
        emit ETHBridgeInitiated(BOB, ALICE, _value, _extra);
        vm.prank(BOB);
        bridge2.bridgeETHTo{ value: _value }(ALICE, 200_000, _extra);
        vm.expectEmit(address(bridge1));
        emit ETHWithdrawalFinalized(BOB, ALICE, _value, _extra);
        vm.expectEmit(address(bridge1));
        emit ETHBridgeFinalized(BOB, ALICE, _value, _extra);
        assertTrue(finalize(), "finalized");
        assertEq(ALICE.balance, _value, "back on L1");
        assertEq(address(bridge1).balance + address(l1).balance + address(portal).balance, 0, "nothing stays");
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_eth_byAllNames(uint96 _value, uint8 _way) public {
        bytes[4] memory calls = [
            abi.encodeCall(bridge1.depositETH, (200_000, "x")),
            abi.encodeCall(bridge1.bridgeETH, (200_000, "x")),
            abi.encodeCall(bridge1.depositETHTo, (ALICE, 200_000, "x")),
            bytes("")
        ];
        vm.deal(ALICE, _value);
        vm.prank(ALICE, ALICE);
        (bool success,) = address(bridge1).call{ value: _value }(calls[_way % 4]);
        assertTrue(success, "sent");
        assertTrue(deliver(), "delivered");
        assertEq(ALICE.balance, _value, "arrived");

        bytes[5] memory back = [
            abi.encodeCall(bridge2.withdraw, (LEGACY_ERC20_ETH, _value, 200_000, "x")),
            abi.encodeCall(bridge2.bridgeETH, (200_000, "x")),
            abi.encodeCall(bridge2.withdrawTo, (LEGACY_ERC20_ETH, ALICE, _value, 200_000, "x")),
            abi.encodeCall(bridge2.bridgeETHTo, (ALICE, 200_000, "x")),
            bytes("")
        ];
        vm.prank(ALICE, ALICE);
        (success,) = address(bridge2).call{ value: _value }(back[_way % 5]);
        assertTrue(success, "sent back");
        assertTrue(finalize(), "finalized");
        assertEq(ALICE.balance, _value, "back");
    }

    /// @dev Contracts must name a recipient; accounts that delegate (EIP-7702) are accounts.
    function test_eoaOnly() public {
        address[2] memory bridges = [address(bridge1), address(bridge2)];
        bytes[] memory calls = new bytes[](4);
        calls[0] = "";
        calls[1] = abi.encodeCall(bridge1.bridgeETH, (0, ""));
        calls[2] = abi.encodeCall(bridge1.bridgeERC20, (address(coin), address(minted), 0, 0, ""));
        for (uint256 i = 0; i < 2; ++i) {
            calls[3] = i == 0
                ? abi.encodeCall(bridge1.depositETH, (0, ""))
                : abi.encodeCall(bridge2.withdraw, (LEGACY_ERC20_ETH, 0, 0, ""));
            for (uint256 j = 0; j < 4; ++j) {
                (bool success, bytes memory result) = bridges[i].call(calls[j]);
                assertTrue(!success, "a contract");
                assertEq(
                    result,
                    abi.encodeWithSignature("Error(string)", "StandardBridge: function can only be called from an EOA"),
                    "reason"
                );
            }
            vm.etch(ALICE, abi.encodePacked(hex"ef0100", address(coin)));
            vm.prank(ALICE);
            (bool delegated,) = bridges[i].call(calls[1]);
            assertTrue(delegated, "a delegated account");
            vm.etch(ALICE, "");
        }
    }

    /// @dev Whoever refuses its ether gets it by a replay, when it no longer does.
    function test_eth_refusedCanBeReplayed() public {
        Refusing target = new Refusing();
        vm.deal(ALICE, 3);
        vm.prank(ALICE);
        bridge1.bridgeETHTo{ value: 3 }(address(target), 200_000, "");
        bytes memory call = portal.last().data;
        assertTrue(deliver(), "the deposit succeeds");
        assertTrue(l2.failedMessages(keccak256(call)), "the message fails");
        assertEq(address(l2).balance, 3, "ether is kept");
        target.accept();
        (bool success,) = address(l2).call(call);
        assertTrue(success, "replayed");
        assertEq(address(target).balance, 3, "arrived");
        (success,) = address(l2).call(call);
        assertTrue(!success, "once");
    }

    function test_eth_notToTheSystem() public {
        address[2] memory targets = [address(bridge2), address(l2)];
        string[2] memory reasons = ["StandardBridge: cannot send to self", "StandardBridge: cannot send to messenger"];
        for (uint256 i = 0; i < 2; ++i) {
            openMessage();
            vm.expectRevert(bytes(reasons[i]));
            vm.prank(address(l2));
            bridge2.finalizeBridgeETH(ALICE, targets[i], 0, "");
        }
        vm.deal(address(l2), 1);
        vm.expectRevert("StandardBridge: amount sent does not match amount required");
        vm.prank(address(l2));
        bridge2.finalizeBridgeETH{ value: 1 }(ALICE, BOB, 2, "");
        vm.deal(ALICE, 1);
        vm.expectRevert("StandardBridge: bridging ETH must include sufficient ETH value");
        vm.prank(ALICE);
        bridge2.withdrawTo{ value: 1 }(LEGACY_ERC20_ETH, ALICE, 2, 0, "");
    }

    // Tokens.

    /// forge-config: default.fuzz.runs = 96
    function testFuzz_erc20_toL2AndBack(uint256 _amount, uint256 _back, bytes memory _extra) public {
        _back = bound(_back, 0, _amount);
        give(ALICE, _amount);
        vm.expectEmit(address(bridge1));
        emit ERC20DepositInitiated(address(coin), address(minted), ALICE, BOB, _amount, _extra);
        vm.expectEmit(address(bridge1));
        emit ERC20BridgeInitiated(address(coin), address(minted), ALICE, BOB, _amount, _extra);
        vm.prank(ALICE);
        bridge1.bridgeERC20To(address(coin), address(minted), BOB, _amount, 200_000, _extra);
        assertEq(bridge1.deposits(address(coin), address(minted)), _amount, "kept");
        assertEq(coin.balanceOf(address(bridge1)), _amount, "held");

        vm.expectEmit(address(bridge2));
        emit DepositFinalized(address(coin), address(minted), ALICE, BOB, _amount, _extra);
        vm.expectEmit(address(bridge2));
        emit ERC20BridgeFinalized(address(minted), address(coin), ALICE, BOB, _amount, _extra);
        assertTrue(deliver(), "delivered");
        assertEq(minted.balanceOf(BOB), _amount, "minted");

        vm.expectEmit(address(bridge2));
        emit WithdrawalInitiated(address(coin), address(minted), BOB, ALICE, _back, _extra);
        vm.expectEmit(address(bridge2));
        emit ERC20BridgeInitiated(address(minted), address(coin), BOB, ALICE, _back, _extra);
        vm.prank(BOB);
        bridge2.withdrawTo(address(minted), ALICE, _back, 200_000, _extra);
        assertEq(minted.totalSupply(), _amount - _back, "burnt");
        vm.expectEmit(address(bridge1));
        emit ERC20WithdrawalFinalized(address(coin), address(minted), BOB, ALICE, _back, _extra);
        vm.expectEmit(address(bridge1));
        emit ERC20BridgeFinalized(address(coin), address(minted), BOB, ALICE, _back, _extra);
        assertTrue(finalize(), "finalized");
        assertEq(coin.balanceOf(ALICE), _back, "back");
        assertEq(bridge1.deposits(address(coin), address(minted)), minted.totalSupply(), "as much as there is");
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_erc20_byAllNames(uint8 _way, uint128 _amount) public {
        bytes[4] memory calls = [
            abi.encodeCall(bridge1.depositERC20, (address(coin), address(minted), _amount, 200_000, "x")),
            abi.encodeCall(bridge1.bridgeERC20, (address(coin), address(minted), _amount, 200_000, "x")),
            abi.encodeCall(bridge1.depositERC20To, (address(coin), address(minted), ALICE, _amount, 200_000, "x")),
            abi.encodeCall(bridge1.bridgeERC20To, (address(coin), address(minted), ALICE, _amount, 200_000, "x"))
        ];
        give(ALICE, _amount);
        vm.prank(ALICE, ALICE);
        (bool success,) = address(bridge1).call(calls[_way % 4]);
        assertTrue(success, "sent");
        assertTrue(deliver(), "delivered");
        assertEq(minted.balanceOf(ALICE), _amount, "minted");
        bytes[3] memory back = [
            abi.encodeCall(bridge2.withdraw, (address(minted), _amount, 200_000, "x")),
            abi.encodeCall(bridge1.bridgeERC20, (address(minted), address(coin), _amount, 200_000, "x")),
            abi.encodeCall(bridge2.withdrawTo, (address(minted), ALICE, _amount, 200_000, "x"))
        ];
        vm.prank(ALICE, ALICE);
        (success,) = address(bridge2).call(back[_way % 3]);
        assertTrue(success, "sent back");
        assertTrue(finalize(), "finalized");
        assertEq(coin.balanceOf(ALICE), _amount, "back");
    }

    /// @dev A token that is at home on L2 is kept there and minted on L1.
    /// forge-config: default.fuzz.runs = 64
    function testFuzz_erc20_ofL2(uint128 _amount) public {
        OptimismMintableERC20 onL1 = new OptimismMintableERC20(address(bridge1), address(coin), "Coin", "C", 6);
        coin.mint(ALICE, _amount);
        vm.prank(ALICE);
        coin.approve(address(bridge2), _amount);
        vm.prank(ALICE);
        bridge2.bridgeERC20To(address(coin), address(onL1), BOB, _amount, 200_000, "");
        assertEq(bridge2.deposits(address(coin), address(onL1)), _amount, "kept on L2");
        assertTrue(finalize(), "finalized");
        assertEq(onL1.balanceOf(BOB), _amount, "minted on L1");
        vm.prank(BOB);
        bridge1.bridgeERC20To(address(onL1), address(coin), ALICE, _amount, 200_000, "");
        assertEq(onL1.totalSupply(), 0, "burnt");
        assertTrue(deliver(), "delivered");
        assertEq(coin.balanceOf(ALICE), _amount, "back on L2");
    }

    /// @dev Tokens that say by their older interface that they are mintable.
    function test_erc20_legacy() public {
        Legacy legacy = new Legacy(address(coin));
        give(ALICE, 5);
        bridge(address(coin), address(legacy), BOB, 5);
        assertTrue(deliver(), "delivered");
        assertEq(legacy.balanceOf(BOB), 5, "minted");
        vm.expectRevert("StandardBridge: wrong remote token for Optimism Mintable ERC20 local token");
        vm.prank(BOB);
        bridge2.bridgeERC20To(address(legacy), address(minted), BOB, 5, 0, "");
        vm.prank(BOB);
        bridge2.bridgeERC20To(address(legacy), address(coin), BOB, 5, 200_000, "");
        assertEq(legacy.balanceOf(BOB), 0, "burnt");
        assertTrue(finalize(), "finalized");
        assertEq(coin.balanceOf(BOB), 5, "back");
    }

    /// @dev What one pair brought in, another can't take out.
    function test_erc20_pairsAreKeptApart() public {
        OptimismMintableERC20 other = new OptimismMintableERC20(address(this), address(coin), "Evil", "E", 18);
        give(ALICE, 5);
        bridge(address(coin), address(minted), BOB, 5);
        bytes memory call =
            abi.encodeCall(StandardBridge.finalizeBridgeERC20, (address(coin), address(other), BOB, BOB, 5, ""));
        bytes memory relay = relayCall(uint256(1) << 240, address(bridge2), address(bridge1), 0, 0, call);
        assertTrue(portal.relay(address(l2), address(l1), 0, 0, relay), "the withdrawal succeeds");
        assertTrue(l1.failedMessages(keccak256(relay)), "the message does not");
        assertEq(coin.balanceOf(address(bridge1)), 5, "still kept");
        vm.expectRevert("StandardBridge: wrong remote token for Optimism Mintable ERC20 local token");
        bridge2.bridgeERC20To(address(minted), address(other), BOB, 0, 0, "");
    }

    function test_erc20_tokensOfManyKinds() public {
        NoReturn silent = new NoReturn();
        silent.mint(ALICE, 5);
        bridge(address(silent), address(minted), BOB, 5);
        assertEq(silent.balanceOf(address(bridge1)), 5, "a token without an answer");
        Liar liar = new Liar();
        vm.expectRevert("SafeERC20: ERC20 operation did not succeed");
        bridge1.bridgeERC20To(address(liar), address(minted), BOB, 5, 0, "");
        vm.expectRevert("Address: call to non-contract");
        bridge1.bridgeERC20To(address(0xCafe), address(minted), BOB, 5, 0, "");
        vm.expectRevert("SafeERC20: low-level call failed");
        bridge1.bridgeERC20To(address(chain), address(minted), BOB, 5, 0, "");
        vm.expectRevert("Coin: balance");
        bridge1.bridgeERC20To(address(coin), address(minted), BOB, 5, 0, "");
    }

    // Who may finalize, and when.

    function test_finalize_onlyByTheOtherBridge() public {
        bytes4 reason = bytes4(keccak256("Error(string)"));
        bytes memory text =
            abi.encodeWithSelector(reason, "StandardBridge: function can only be called from the other bridge");
        bytes[4] memory calls = [
            abi.encodeCall(bridge1.finalizeBridgeETH, (ALICE, BOB, 0, "")),
            abi.encodeCall(bridge1.finalizeETHWithdrawal, (ALICE, BOB, 0, "")),
            abi.encodeCall(bridge1.finalizeBridgeERC20, (address(coin), address(minted), ALICE, BOB, 0, "")),
            abi.encodeCall(bridge1.finalizeERC20Withdrawal, (address(coin), address(minted), ALICE, BOB, 0, ""))
        ];
        for (uint256 i = 0; i < 4; ++i) {
            (bool success, bytes memory result) = address(bridge1).call(calls[i]);
            assertTrue(!success, "a stranger");
            assertEq(result, text, "reason");
            // A message of anyone but the other bridge fails.
            bytes memory relay = relayCall(i, ALICE, address(bridge1), 0, 0, calls[i]);
            assertTrue(portal.relay(address(l2), address(l1), 0, 0, relay), "relayed");
            assertTrue(l1.failedMessages(keccak256(relay)), "and failed");
            // The same message from the other bridge succeeds, whichever name it calls.
            relay = relayCall(i, address(bridge2), address(bridge1), 0, 0, calls[i]);
            assertTrue(portal.relay(address(l2), address(l1), 0, 0, relay), "relayed");
            assertTrue(l1.successfulMessages(keccak256(relay)), "and succeeded");
        }
    }

    function test_pause_stopsPayingOut_notTakingIn() public {
        give(ALICE, 5);
        bridge(address(coin), address(minted), BOB, 5);
        assertTrue(deliver(), "delivered");
        vm.prank(BOB);
        bridge2.withdrawTo(address(minted), BOB, 5, 200_000, "");
        bytes memory call = passer.last().data;
        chain.set(true);
        assertTrue(bridge1.paused(), "paused");
        assertTrue(!finalize(), "no relay");
        // The bridge itself refuses too, were the messenger to relay.
        vm.mockCall(address(l1), abi.encodeCall(l1.xDomainMessageSender, ()), abi.encode(bridge2));
        vm.startPrank(address(l1));
        vm.expectRevert("StandardBridge: paused");
        bridge1.finalizeBridgeERC20(address(coin), address(minted), BOB, BOB, 5, "");
        vm.expectRevert("StandardBridge: paused");
        bridge1.finalizeBridgeETH(BOB, BOB, 0, "");
        vm.stopPrank();
        vm.deal(ALICE, 1);
        vm.prank(ALICE);
        bridge1.bridgeETHTo{ value: 1 }(ALICE, 200_000, "");
        chain.set(false);
        assertTrue(portal.relay(address(l2), address(l1), 0, 0, call), "relayed");
        assertEq(coin.balanceOf(BOB), 5, "paid out");
    }

    /// @dev A token that calls back while it is taken in or given out can't have more out than it has in.
    function test_reentrancy_whilePayingOut() public {
        Recorder recorder = new Recorder();
        vm.deal(address(portal), 2);
        bytes memory call = abi.encodeCall(StandardBridge.finalizeBridgeETH, (BOB, address(recorder), 1, ""));
        bytes memory relay = relayCall(0, address(bridge2), address(bridge1), 1, 0, call);
        recorder.set(address(l1), relay);
        assertTrue(portal.relay(address(l2), address(l1), 1, 0, relay), "relayed");
        assertTrue(l1.successfulMessages(keccak256(relay)), "succeeded");
        assertTrue(!recorder.success(), "not twice");
        assertEq(address(recorder).balance, 1, "once");
        recorder.set(address(bridge1), call);
        relay = relayCall(1, address(bridge2), address(bridge1), 1, 0, call);
        assertTrue(portal.relay(address(l2), address(l1), 1, 0, relay), "relayed");
        assertTrue(!recorder.success(), "the bridge is the messenger's to call");
    }

    // The OP Stack's.

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_official_l1Same(address _to, uint96 _value, uint32 _gas, bytes memory _extra) public {
        address official = official1;
        address ours = address(bridge1);
        mockMessenger(address(l1), L2_STANDARD_BRIDGE);
        assertSame(ours, official, ALICE, _value, abi.encodeCall(bridge1.bridgeETHTo, (_to, _gas, _extra)));
        assertSame(ours, official, ALICE, _value, abi.encodeCall(bridge1.depositETHTo, (_to, _gas, _extra)));
        assertSame(ours, official, tx.origin, _value, abi.encodeCall(bridge1.bridgeETH, (_gas, _extra)));
        assertSame(ours, official, tx.origin, _value, "");
        assertSame(ours, official, address(chain), _value, "");
        assertSame(ours, official, BOB, 0, abi.encodeCall(bridge1.finalizeBridgeETH, (ALICE, _to, 0, _extra)));
        sameTokens(ours, official, address(coin), address(minted), _to, _value, _extra);
        OptimismMintableERC20 onL1 = new OptimismMintableERC20(ours, address(coin), "C", "C", 18);
        sameTokens(ours, official, address(onL1), address(minted), _to, _value, _extra);
        sameTokens(ours, official, address(new Liar()), address(minted), _to, _value, _extra);
        sameTokens(ours, official, address(new NoReturn()), address(minted), _to, _value, _extra);
        sameTokens(ours, official, address(chain), address(minted), _to, _value, _extra);
        sameTokens(ours, official, address(0xCafe), address(minted), _to, _value, _extra);
        chain.set(true);
        assertTrue(
            !sameFinalize(ours, official, address(l1), address(coin), address(minted), _to, _value, _extra), "paused"
        );
        chain.set(false);
        assertTrue(
            sameFinalize(ours, official, address(l1), address(coin), address(minted), _to, _value, _extra), "paid out"
        );
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_official_l2Same(address _to, uint96 _value, uint32 _gas, bytes memory _extra) public {
        address official = official2;
        address ours = address(bridge2);
        mockMessenger(address(l2), address(bridge1));
        bytes memory call = abi.encodeCall(bridge2.withdrawTo, (LEGACY_ERC20_ETH, _to, _value, _gas, _extra));
        assertSame(ours, official, ALICE, _value, call);
        assertSame(ours, official, ALICE, uint256(_value) + 1, call);
        assertSame(ours, official, ALICE, _value, abi.encodeCall(bridge2.bridgeETHTo, (_to, _gas, _extra)));
        call = abi.encodeCall(bridge2.withdraw, (LEGACY_ERC20_ETH, _value, _gas, _extra));
        assertSame(ours, official, tx.origin, _value, call);
        assertSame(ours, official, tx.origin, _value, "");
        call = abi.encodeCall(bridge2.withdrawTo, (address(coin), _to, _value, _gas, _extra));
        assertSame(ours, official, ALICE, 0, call);
        Legacy legacy = new Legacy(address(coin));
        legacy.mint(ALICE, 2 * uint256(_value));
        call = abi.encodeCall(bridge2.withdrawTo, (address(legacy), _to, _value, _gas, _extra));
        assertTrue(assertSame(ours, official, ALICE, 0, call), "legacy token");
        assertSame(ours, official, ALICE, 1, call);
        sameFinalize(ours, official, address(l2), address(legacy), address(coin), _to, _value, _extra);
        sameFinalize(ours, official, address(l2), address(legacy), address(minted), _to, _value, _extra);
    }

    function sameTokens(
        address _ours,
        address _theirs,
        address _local,
        address _remote,
        address _to,
        uint256 _value,
        bytes memory _extra
    )
        internal
    {
        Coin token = Coin(_local);
        if (_local == address(coin)) {
            token.mint(ALICE, 2 * _value);
            vm.startPrank(ALICE);
            token.approve(_ours, _value);
            token.approve(_theirs, _value);
            vm.stopPrank();
        }
        bytes memory call = abi.encodeCall(bridge1.bridgeERC20To, (_local, _remote, _to, _value, 0, _extra));
        bool success = assertSame(_ours, _theirs, ALICE, 0, call);
        assertTrue(success || _local != address(coin), "a plain token is taken");
    }

    function sameFinalize(
        address _ours,
        address _theirs,
        address _messenger,
        address _local,
        address _remote,
        address _to,
        uint256 _value,
        bytes memory _extra
    )
        internal
        returns (bool success_)
    {
        bytes memory call = abi.encodeCall(bridge1.finalizeBridgeERC20, (_local, _remote, ALICE, _to, _value, _extra));
        success_ = assertSame(_ours, _theirs, _messenger, 0, call);
        assertSame(_ours, _theirs, _messenger, 0, call);
        call = abi.encodeCall(bridge1.finalizeBridgeETH, (ALICE, BOB, _value, _extra));
        assertSame(_ours, _theirs, _messenger, _value, call);
        assertSame(_ours, _theirs, _messenger, _value + 1, call);
        call = abi.encodeCall(bridge1.finalizeBridgeETH, (ALICE, address(chain), _value, _extra));
        assertSame(_ours, _theirs, _messenger, _value, call);
        call = abi.encodeCall(bridge1.finalizeBridgeETH, (ALICE, _messenger, _value, _extra));
        assertSame(_ours, _theirs, _messenger, _value, call);
    }

    // Steps.

    function openMessage() internal {
        vm.mockCall(address(l2), abi.encodeCall(ICrossDomainMessenger.xDomainMessageSender, ()), abi.encode(bridge1));
    }

    function give(address _account, uint256 _amount) internal {
        coin.mint(_account, _amount);
        vm.prank(_account);
        coin.approve(address(bridge1), _amount);
    }

    function bridge(address _local, address _remote, address _to, uint256 _amount) internal {
        vm.startPrank(ALICE);
        Coin(_local).approve(address(bridge1), _amount);
        bridge1.bridgeERC20To(_local, _remote, _to, _amount, 200_000, "");
        vm.stopPrank();
    }
}

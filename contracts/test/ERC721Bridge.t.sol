// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { L1ERC721Bridge } from "src/L1/L1ERC721Bridge.sol";
import { L2ERC721Bridge } from "src/L2/L2ERC721Bridge.sol";
import { OptimismMintableERC721 } from "src/L2/OptimismMintableERC721.sol";
import { L2_CROSS_DOMAIN_MESSENGER, L2_ERC721_BRIDGE } from "src/libraries/Constants.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";
import { BridgeFixture } from "test/support/BridgeFixture.sol";

/// @notice Takes tokens, and calls somebody when it is given one.
contract Collector {
    bool private refuses;
    address private target;
    bytes private data;
    bool public success;

    function refuse(bool _refuses) external {
        refuses = _refuses;
    }

    function set(address _target, bytes calldata _data) external {
        (target, data) = (_target, _data);
    }

    function onERC721Received(address, address, uint256, bytes calldata) external returns (bytes4) {
        require(!refuses, "Collector: full");
        if (target != address(0)) (success,) = target.call(data);
        return this.onERC721Received.selector;
    }
}

contract ERC721BridgeTest is BridgeFixture {
    event ERC721BridgeInitiated(
        address indexed a, address indexed b, address indexed from, address to, uint256 tokenId, bytes extraData
    );
    event ERC721BridgeFinalized(
        address indexed a, address indexed b, address indexed from, address to, uint256 tokenId, bytes extraData
    );

    L1ERC721Bridge internal bridge1;
    L2ERC721Bridge internal bridge2;
    address internal official1;
    address internal official2;
    /// @dev At home on L1, where this test mints.
    OptimismMintableERC721 internal token;
    OptimismMintableERC721 internal minted;

    function setUp() public {
        setUpMessengers();
        bytes memory call = abi.encodeCall(L1ERC721Bridge.initialize, (l1, ISystemConfig(address(chain))));
        bridge1 = L1ERC721Bridge(deployProxied(address(new L1ERC721Bridge()), call));
        call = abi.encodeCall(L2ERC721Bridge.initialize, (bridge1));
        placeProxied(L2_ERC721_BRIDGE, address(new L2ERC721Bridge()), call);
        bridge2 = L2ERC721Bridge(L2_ERC721_BRIDGE);
        official1 = deployProxied(
            deployOfficial("L1ERC721Bridge", ""), abi.encodeWithSignature("initialize(address,address)", l1, chain)
        );
        official2 = deployProxied(
            deployOfficial("L2ERC721Bridge", ""), abi.encodeWithSignature("initialize(address)", bridge1)
        );
        token = new OptimismMintableERC721(address(this), 1, address(1), "Piece", "P");
        minted = new OptimismMintableERC721(L2_ERC721_BRIDGE, 1, address(token), "Piece", "P");
    }

    function test_initialize_values() public {
        assertEq(address(bridge1.messenger()), address(l1), "messenger of L1");
        assertEq(address(bridge1.MESSENGER()), address(l1), "MESSENGER of L1");
        assertEq(address(bridge1.otherBridge()), L2_ERC721_BRIDGE, "other of L1");
        assertEq(address(bridge1.OTHER_BRIDGE()), L2_ERC721_BRIDGE, "OTHER_BRIDGE of L1");
        assertEq(address(bridge1.systemConfig()), address(chain), "systemConfig");
        assertEq(address(bridge1.superchainConfig()), address(chain), "superchainConfig");
        assertEq(address(bridge2.messenger()), L2_CROSS_DOMAIN_MESSENGER, "messenger of L2");
        assertEq(address(bridge2.otherBridge()), address(bridge1), "other of L2");
        assertTrue(!bridge2.paused(), "L2 is never paused");
        vm.expectRevert("Initializable: contract is already initialized");
        bridge1.initialize(l1, ISystemConfig(address(chain)));
        vm.expectRevert("Initializable: contract is already initialized");
        bridge2.initialize(bridge1);
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_toL2AndBack(uint256 _id, bytes memory _extra) public {
        give(ALICE, _id);
        vm.expectEmit(address(bridge1));
        emit ERC721BridgeInitiated(address(token), address(minted), ALICE, BOB, _id, _extra);
        vm.prank(ALICE);
        bridge1.bridgeERC721To(address(token), address(minted), BOB, _id, 300_000, _extra);
        assertTrue(bridge1.deposits(address(token), address(minted), _id), "kept");
        assertEq(token.ownerOf(_id), address(bridge1), "held");
        vm.expectEmit(address(bridge2));
        emit ERC721BridgeFinalized(address(minted), address(token), ALICE, BOB, _id, _extra);
        assertTrue(deliver(), "delivered");
        assertEq(minted.ownerOf(_id), BOB, "minted");

        vm.expectEmit(address(bridge2));
        emit ERC721BridgeInitiated(address(minted), address(token), BOB, ALICE, _id, _extra);
        vm.prank(BOB);
        bridge2.bridgeERC721To(address(minted), address(token), ALICE, _id, 300_000, _extra);
        assertEq(minted.totalSupply(), 0, "burnt");
        vm.expectEmit(address(bridge1));
        emit ERC721BridgeFinalized(address(token), address(minted), BOB, ALICE, _id, _extra);
        assertTrue(finalize(), "finalized");
        assertEq(token.ownerOf(_id), ALICE, "back");
        assertTrue(!bridge1.deposits(address(token), address(minted), _id), "no longer kept");
    }

    function test_ownAddress_accountsOnly() public {
        give(ALICE, 1);
        give(address(this), 2);
        vm.prank(ALICE, ALICE);
        bridge1.bridgeERC721(address(token), address(minted), 1, 300_000, "");
        assertTrue(deliver(), "delivered");
        assertEq(minted.ownerOf(1), ALICE, "minted");
        vm.prank(ALICE, ALICE);
        bridge2.bridgeERC721(address(minted), address(token), 1, 300_000, "");
        assertTrue(finalize(), "finalized");
        vm.expectRevert("ERC721Bridge: account is not externally owned");
        bridge1.bridgeERC721(address(token), address(minted), 2, 0, "");
        vm.expectRevert("ERC721Bridge: account is not externally owned");
        bridge2.bridgeERC721(address(minted), address(token), 2, 0, "");
        vm.expectRevert("ERC721Bridge: nft recipient cannot be address(0)");
        bridge1.bridgeERC721To(address(token), address(minted), address(0), 2, 0, "");
        // An account that delegates (EIP-7702).
        vm.etch(ALICE, abi.encodePacked(hex"ef0100", address(chain)));
        vm.prank(ALICE);
        token.approve(address(bridge1), 1);
        vm.prank(ALICE);
        bridge1.bridgeERC721(address(token), address(minted), 1, 300_000, "");
        assertEq(token.ownerOf(1), address(bridge1), "taken in");
    }

    function test_refusals() public {
        give(ALICE, 1);
        vm.startPrank(ALICE);
        vm.expectRevert("L1ERC721Bridge: remote token cannot be address(0)");
        bridge1.bridgeERC721To(address(token), address(0), BOB, 1, 0, "");
        bridge1.bridgeERC721To(address(token), address(minted), BOB, 1, 300_000, "");
        assertTrue(deliverAs(ALICE), "delivered");
        vm.expectRevert("L2ERC721Bridge: Withdrawal is not being initiated by NFT owner");
        bridge2.bridgeERC721To(address(minted), address(token), ALICE, 1, 0, "");
        vm.stopPrank();
        vm.startPrank(BOB);
        vm.expectRevert("L2ERC721Bridge: remote token cannot be address(0)");
        bridge2.bridgeERC721To(address(minted), address(0), ALICE, 1, 0, "");
        vm.expectRevert("L2ERC721Bridge: remote token does not match given value");
        bridge2.bridgeERC721To(address(minted), address(1), ALICE, 1, 0, "");
        vm.stopPrank();
        vm.expectRevert("ERC721Bridge: function can only be called from the other bridge");
        bridge1.finalizeBridgeERC721(address(token), address(minted), BOB, BOB, 1, "");
        vm.expectRevert("ERC721Bridge: function can only be called from the other bridge");
        bridge2.finalizeBridgeERC721(address(minted), address(token), BOB, BOB, 2, "");
    }

    /// @dev What one pair brought in, another can't take out; and a token is given out once.
    function test_release_onlyWhatIsKept() public {
        give(ALICE, 1);
        vm.prank(ALICE);
        bridge1.bridgeERC721To(address(token), address(minted), BOB, 1, 300_000, "");
        mockSender();
        vm.startPrank(address(l1));
        vm.expectRevert("L1ERC721Bridge: Token ID is not escrowed in the L1 Bridge");
        bridge1.finalizeBridgeERC721(address(token), address(2), BOB, BOB, 1, "");
        vm.expectRevert("L1ERC721Bridge: local token cannot be self");
        bridge1.finalizeBridgeERC721(address(bridge1), address(minted), BOB, BOB, 1, "");
        bridge1.finalizeBridgeERC721(address(token), address(minted), BOB, BOB, 1, "");
        vm.expectRevert("L1ERC721Bridge: Token ID is not escrowed in the L1 Bridge");
        bridge1.finalizeBridgeERC721(address(token), address(minted), BOB, BOB, 1, "");
        vm.stopPrank();
    }

    function test_pause_stopsGivingOut_notTakingIn() public {
        give(ALICE, 1);
        give(ALICE, 2);
        vm.startPrank(ALICE);
        bridge1.bridgeERC721To(address(token), address(minted), BOB, 1, 300_000, "");
        chain.set(true);
        assertTrue(bridge1.paused(), "paused");
        bridge1.bridgeERC721To(address(token), address(minted), BOB, 2, 300_000, "");
        vm.stopPrank();
        mockSender();
        vm.expectRevert("L1ERC721Bridge: paused");
        vm.prank(address(l1));
        bridge1.finalizeBridgeERC721(address(token), address(minted), BOB, BOB, 1, "");
        chain.set(false);
        vm.prank(address(l1));
        bridge1.finalizeBridgeERC721(address(token), address(minted), BOB, BOB, 1, "");
        assertEq(token.ownerOf(1), BOB, "given out");
    }

    /// @dev A recipient that refuses gets its token by a replay; one that calls back gets it once.
    function test_receiver_refusesOrReenters() public {
        Collector collector = new Collector();
        collector.refuse(true);
        give(ALICE, 1);
        vm.prank(ALICE);
        bridge1.bridgeERC721To(address(token), address(minted), address(collector), 1, 300_000, "");
        bytes memory call = portal.last().data;
        assertTrue(deliver(), "the deposit succeeds");
        assertTrue(l2.failedMessages(keccak256(call)), "the message fails");
        collector.refuse(false);
        collector.set(address(l2), call);
        (bool success,) = address(l2).call(call);
        assertTrue(success && l2.successfulMessages(keccak256(call)), "replayed");
        assertEq(minted.ownerOf(1), address(collector), "given out");
        assertEq(minted.totalSupply(), 1, "once");
    }

    function test_upgrade_keepsState() public {
        give(ALICE, 1);
        vm.prank(ALICE);
        bridge1.bridgeERC721To(address(token), address(minted), BOB, 1, 300_000, "");
        Proxy(payable(address(bridge1))).upgradeTo(address(new L1ERC721Bridge()));
        assertTrue(bridge1.deposits(address(token), address(minted), 1), "kept");
        assertEq(address(bridge1.messenger()), address(l1), "messenger");
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_official_l1Same(address _to, uint256 _id, uint32 _gas, bytes memory _extra) public {
        vm.assume(_to.code.length == 0 && _to != address(0));
        mockMessenger(address(l1), L2_ERC721_BRIDGE);
        bytes memory call =
            abi.encodeCall(bridge1.bridgeERC721To, (address(token), address(minted), _to, _id, _gas, _extra));
        assertTrue(!assertSame(address(bridge1), official1, ALICE, 0, call), "not minted");
        // One piece can't be in two bridges: a token that lets everything happen.
        vm.etch(address(token), hex"00");
        assertTrue(assertSame(address(bridge1), official1, ALICE, 0, call), "taken in");
        call = abi.encodeCall(bridge1.bridgeERC721, (address(token), address(minted), _id, _gas, _extra));
        assertTrue(assertSame(address(bridge1), official1, tx.origin, 0, call), "own address");
        assertSame(address(bridge1), official1, address(chain), 0, call);
        call = abi.encodeCall(bridge1.bridgeERC721To, (address(token), address(0), _to, _id, _gas, _extra));
        assertSame(address(bridge1), official1, ALICE, 0, call);
        call = abi.encodeCall(bridge1.finalizeBridgeERC721, (address(token), address(minted), ALICE, _to, _id, _extra));
        assertSame(address(bridge1), official1, BOB, 0, call);
        chain.set(true);
        assertTrue(!assertSame(address(bridge1), official1, address(l1), 0, call), "paused");
        chain.set(false);
        assertTrue(assertSame(address(bridge1), official1, address(l1), 0, call), "given out");
        assertTrue(!assertSame(address(bridge1), official1, address(l1), 0, call), "once");
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_official_l2Same(address _to, uint256 _id, uint32 _gas, bytes memory _extra) public {
        vm.assume(_to.code.length == 0 && _to != address(0));
        mockMessenger(address(l2), address(bridge1));
        address[3] memory tokens = [address(minted), address(chain), address(0xCafe)];
        for (uint256 i = 0; i < 3; ++i) {
            bytes memory call =
                abi.encodeCall(bridge2.finalizeBridgeERC721, (tokens[i], address(1), ALICE, _to, _id, _extra));
            assertSame(address(bridge2), official2, address(l2), 0, call);
            call = abi.encodeCall(bridge2.bridgeERC721To, (tokens[i], address(token), _to, _id, _gas, _extra));
            assertSame(address(bridge2), official2, BOB, 0, call);
        }
        // A token that any bridge may mint and burn: its answers are mocked.
        answer(abi.encodeCall(minted.safeMint, (_to, _id)), "");
        answer(abi.encodeCall(minted.burn, (BOB, _id)), "");
        answer(abi.encodeCall(minted.ownerOf, (_id)), abi.encode(BOB));
        bytes memory good =
            abi.encodeCall(bridge2.finalizeBridgeERC721, (address(minted), address(token), ALICE, _to, _id, _extra));
        assertTrue(assertSame(address(bridge2), official2, address(l2), 0, good), "given out");
        good = abi.encodeCall(bridge2.bridgeERC721To, (address(minted), address(token), _to, _id, _gas, _extra));
        assertTrue(assertSame(address(bridge2), official2, BOB, 0, good), "taken in");
        assertTrue(!assertSame(address(bridge2), official2, ALICE, 0, good), "not the owner");
        good = abi.encodeCall(bridge2.bridgeERC721To, (address(minted), address(1), _to, _id, _gas, _extra));
        assertTrue(!assertSame(address(bridge2), official2, BOB, 0, good), "another remote token");
    }

    function answer(bytes memory _call, bytes memory _result) internal {
        vm.mockCall(address(minted), _call, _result);
    }

    function give(address _account, uint256 _id) internal {
        token.safeMint(_account, _id);
        vm.prank(_account);
        token.approve(address(bridge1), _id);
    }

    function onERC721Received(address, address, uint256, bytes calldata) external pure returns (bytes4) {
        return this.onERC721Received.selector;
    }

    /// @dev Delivers, and goes on acting as `_account`.
    function deliverAs(address _account) internal returns (bool success_) {
        vm.stopPrank();
        success_ = deliver();
        vm.startPrank(_account);
    }

    function mockSender() internal {
        vm.mockCall(address(l1), abi.encodeCall(l1.xDomainMessageSender, ()), abi.encode(bridge2));
    }
}

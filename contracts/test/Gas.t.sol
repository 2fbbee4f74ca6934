// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { L1StandardBridge } from "src/L1/L1StandardBridge.sol";
import { L1Block } from "src/L2/L1Block.sol";
import { L2StandardBridge } from "src/L2/L2StandardBridge.sol";
import { L2ToL1MessagePasser } from "src/L2/L2ToL1MessagePasser.sol";
import { AddressAlias } from "src/libraries/AddressAlias.sol";
import { DEPOSITOR_ACCOUNT, L2_STANDARD_BRIDGE, L2_TO_L1_MESSAGE_PASSER } from "src/libraries/Constants.sol";
import { OptimismMintableERC20 } from "src/universal/OptimismMintableERC20.sol";
import { OptimismMintableERC20Factory } from "src/universal/OptimismMintableERC20Factory.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { StandardBridge } from "src/universal/StandardBridge.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";
import { BridgeFixture } from "test/support/BridgeFixture.sol";
import { Coin } from "test/support/Coins.sol";
import { L1Fixture } from "test/support/L1Fixture.sol";

/// @notice What the calls that users make cost, without a transaction's own costs, and each as the first of its kind. The
///         figures go to snapshots/Gas.json; contracts/check compares.
contract GasOfPortalTest is L1Fixture {
    function setUp() public {
        vm.roll(1000);
        // So high that the deposit burns little besides.
        vm.fee(100 gwei);
        setUpL1();
    }

    function test_gas_portal() public {
        portal.depositTransaction{ value: 1 }(address(1), 1, 100_000, false, "");
        vm.snapshotGasLastCall("Gas", "portal: deposit ether");
    }
}

contract GasOfL2Test is L1Fixture {
    function test_gas_l1Block() public {
        L1Block l1Block = new L1Block();
        bytes memory call = abi.encodePacked(
            l1Block.setL1BlockValuesJovian.selector, uint32(1), uint32(2), uint64(3), uint64(4), uint64(5)
        );
        call = abi.encodePacked(call, uint256(6), uint256(7), bytes32("8"), bytes32("9"), uint32(10), uint64(11));
        vm.prank(DEPOSITOR_ACCOUNT);
        (bool success,) = address(l1Block).call(abi.encodePacked(call, uint16(12)));
        vm.snapshotGasLastCall("Gas", "L1Block: attributes of Jovian");
        assertTrue(success, "attributes");
    }

    function test_gas_messagePasser() public {
        L2ToL1MessagePasser passer = new L2ToL1MessagePasser();
        passer.initiateWithdrawal{ value: 1 }(address(1), 100_000, "");
        vm.snapshotGasLastCall("Gas", "message passer: withdraw ether");
    }
}

contract GasOfBridgeTest is BridgeFixture {
    L1StandardBridge internal bridge1;
    L2StandardBridge internal bridge2;
    Coin internal coin;
    OptimismMintableERC20 internal minted;

    function setUp() public {
        setUpMessengers();
        bytes memory call = abi.encodeCall(L1StandardBridge.initialize, (l1, ISystemConfig(address(chain))));
        bridge1 = L1StandardBridge(payable(deployProxied(address(new L1StandardBridge()), call)));
        call = abi.encodeCall(L2StandardBridge.initialize, (bridge1));
        placeProxied(L2_STANDARD_BRIDGE, address(new L2StandardBridge()), call);
        vm.etch(L2_TO_L1_MESSAGE_PASSER, address(new L2ToL1MessagePasser()).code);
        bridge2 = L2StandardBridge(payable(L2_STANDARD_BRIDGE));
        coin = new Coin();
        coin.mint(address(this), 10);
        coin.approve(address(bridge1), 10);
        minted = new OptimismMintableERC20(L2_STANDARD_BRIDGE, address(coin), "Coin", "C", 18);
        vm.deal(address(this), 100);
    }

    function test_gas_messenger() public {
        l2.sendMessage{ value: 1 }(BOB, "", 100_000);
        vm.snapshotGasLastCall("Gas", "messenger: send from L2");
        relayOnL2(relayCall(uint256(1) << 240, ALICE, BOB, 1, 100_000, ""), 1, "messenger: relay on L2");
    }

    function test_gas_ether() public {
        bytes memory call = abi.encodeCall(StandardBridge.finalizeBridgeETH, (ALICE, BOB, 1, ""));
        call = relayCall(uint256(1) << 240, address(bridge1), address(bridge2), 1, 200_000, call);
        relayOnL2(call, 1, "bridge: ether arrives on L2");
        bridge2.bridgeETHTo{ value: 1 }(BOB, 200_000, "");
        vm.snapshotGasLastCall("Gas", "bridge: ether leaves L2");
    }

    function test_gas_tokens() public {
        bytes memory call = abi.encodeCall(
            StandardBridge.finalizeBridgeERC20, (address(minted), address(coin), ALICE, address(this), 1, "")
        );
        call = relayCall(uint256(1) << 240, address(bridge1), address(bridge2), 0, 200_000, call);
        relayOnL2(call, 0, "bridge: tokens arrive on L2");
        bridge2.bridgeERC20To(address(minted), address(coin), BOB, 1, 200_000, "");
        vm.snapshotGasLastCall("Gas", "bridge: tokens leave L2");
    }

    function test_gas_factory() public {
        Proxy proxy = new Proxy(address(this));
        bytes memory call = abi.encodeCall(OptimismMintableERC20Factory.initialize, (address(bridge1)));
        proxy.upgradeToAndCall(address(new OptimismMintableERC20Factory()), call);
        OptimismMintableERC20Factory(address(proxy)).createOptimismMintableERC20(address(1), "Coin", "C");
        vm.snapshotGasLastCall("Gas", "factory: create a token");
    }

    function relayOnL2(bytes memory _call, uint256 _value, string memory _name) internal {
        address sender = AddressAlias.applyL1ToL2Alias(address(l1));
        vm.deal(sender, _value);
        vm.prank(sender);
        (bool success,) = address(l2).call{ value: _value }(_call);
        vm.snapshotGasLastCall("Gas", _name);
        assertTrue(success && l2.successfulMessages(keccak256(_call)), _name);
    }
}

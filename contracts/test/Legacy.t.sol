// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { L1Block } from "src/L2/L1Block.sol";
import { WETH } from "src/L2/WETH.sol";
import { DeployerWhitelist } from "src/legacy/DeployerWhitelist.sol";
import { L1BlockNumber } from "src/legacy/L1BlockNumber.sol";
import { LegacyMessagePasser } from "src/legacy/LegacyMessagePasser.sol";
import { DEPOSITOR_ACCOUNT, L1_BLOCK_ATTRIBUTES } from "src/libraries/Constants.sol";
import { Test } from "test/support/Test.sol";

/// @notice The small predeploys of L2: those of before Bedrock, and WETH.
contract LegacyTest is Test {
    address internal constant ALICE = address(0xA11CE);

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_official_messagePasserSame(address _sender, bytes memory _message) public {
        vm.assume(_sender != address(vm));
        LegacyMessagePasser ours = new LegacyMessagePasser();
        address official = deployOfficial("LegacyMessagePasser", "");
        bytes memory call = abi.encodeCall(ours.passMessageToL1, (_message));
        assertTrue(assertSame(address(ours), official, _sender, 0, call), "recorded");
        assertTrue(ours.sentMessages(keccak256(abi.encodePacked(_message, _sender))), "under its hash");
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_official_whitelistSame(address _owner, address _deployer, bool _allowed) public {
        vm.assume(_owner != address(vm));
        DeployerWhitelist ours = new DeployerWhitelist();
        address official = deployOfficial("DeployerWhitelist", "");
        bytes32 owner = bytes32(uint256(uint160(ALICE)));
        assertSame(address(ours), official, abi.encodeCall(ours.isDeployerAllowed, (_deployer)));
        vm.store(address(ours), 0, owner);
        vm.store(official, 0, owner);
        bytes[4] memory calls = [
            abi.encodeCall(ours.setWhitelistedDeployer, (_deployer, _allowed)),
            abi.encodeCall(ours.isDeployerAllowed, (_deployer)),
            abi.encodeCall(ours.setOwner, (_owner)),
            abi.encodeCall(ours.enableArbitraryContractDeployment, ())
        ];
        address[3] memory senders = [ALICE, address(1), _owner];
        for (uint256 i = 0; i < 12; ++i) {
            assertSame(address(ours), official, senders[i / 4], 0, calls[i % 4]);
        }
        assertEq(ours.owner(), address(0), "everybody is allowed");
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_official_blockNumberSame(uint64 _number, bytes memory _data, uint96 _value) public {
        vm.etch(L1_BLOCK_ATTRIBUTES, address(new L1Block()).code);
        vm.prank(DEPOSITOR_ACCOUNT);
        L1Block(L1_BLOCK_ATTRIBUTES).setL1BlockValues(_number, 0, 0, 0, 0, 0, 0, 0);
        L1BlockNumber ours = new L1BlockNumber();
        address official = deployOfficial("L1BlockNumber", "");
        vm.assume(_data.length < 4 || bytes4(_data) != ours.version.selector);
        assertTrue(assertSame(address(ours), official, ALICE, _value, _data), "any call");
        assertTrue(assertSame(address(ours), official, ALICE, _value, ""), "ether");
        (, bytes memory result) = address(ours).call(_data);
        assertEq(result, abi.encode(_number), "the number");
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_official_wethSame(uint96 _value, uint96 _out, address _to) public {
        vm.assume(_to != address(vm));
        WETH ours = new WETH();
        address official = deployOfficial("WETH", "");
        assertTrue(assertSame(address(ours), official, ALICE, _value, ""), "receive");
        assertTrue(assertSame(address(ours), official, ALICE, _value, hex"12"), "fallback");
        assertTrue(assertSame(address(ours), official, ALICE, _value, abi.encodeCall(ours.deposit, ())), "deposit");
        assertSame(address(ours), official, ALICE, 0, abi.encodeCall(ours.withdraw, (_out)));
        assertSame(address(ours), official, ALICE, 0, abi.encodeCall(ours.transfer, (_to, _out)));
        assertSame(address(ours), official, ALICE, 0, abi.encodeCall(ours.approve, (_to, _out)));
        assertSame(address(ours), official, _to, 0, abi.encodeCall(ours.transferFrom, (ALICE, _to, _out)));
        assertTrue(assertSame(address(ours), official, abi.encodeCall(ours.totalSupply, ())), "supply");
        assertEq(ours.name(), "Wrapped Ether", "name");
        assertEq(ours.symbol(), "WETH", "symbol");
    }
}

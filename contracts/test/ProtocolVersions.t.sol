// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { ProtocolVersion, ProtocolVersions } from "src/L1/ProtocolVersions.sol";
import { Test } from "test/support/Test.sol";

contract ProtocolVersionsTest is Test {
    address internal constant OWNER = address(0xA11CE);

    ProtocolVersions internal versions;
    address internal official;

    function setUp() public {
        bytes memory call = initialize(5, 7);
        versions = ProtocolVersions(deployProxied(address(new ProtocolVersions()), call));
        official = deployProxied(deployOfficial("ProtocolVersions", ""), call);
    }

    function initialize(uint256 _required, uint256 _recommended) internal pure returns (bytes memory) {
        return abi.encodeWithSignature("initialize(address,uint256,uint256)", OWNER, _required, _recommended);
    }

    function test_initialize_once() public {
        assertEq(versions.owner(), OWNER, "owner");
        assertEq(ProtocolVersion.unwrap(versions.required()), 5, "required");
        assertEq(ProtocolVersion.unwrap(versions.recommended()), 7, "recommended");
        vm.expectRevert("Initializable: contract is already initialized");
        versions.initialize(address(1), ProtocolVersion.wrap(0), ProtocolVersion.wrap(0));
        ProtocolVersions implementation = new ProtocolVersions();
        vm.expectRevert("Initializable: contract is already initialized");
        implementation.initialize(address(1), ProtocolVersion.wrap(0), ProtocolVersion.wrap(0));
    }

    function testFuzz_official_same(uint256 _required, uint256 _recommended) public {
        address ours = address(versions);
        bytes memory require_ = abi.encodeWithSignature("setRequired(uint256)", _required);
        bytes memory recommend = abi.encodeWithSignature("setRecommended(uint256)", _recommended);
        assertTrue(!assertSame(ours, official, address(this), 0, require_), "not the owner");
        assertTrue(!assertSame(ours, official, address(this), 0, recommend), "not the owner");
        assertTrue(assertSame(ours, official, OWNER, 0, require_), "required");
        assertTrue(assertSame(ours, official, OWNER, 0, recommend), "recommended");
        bytes4[6] memory getters = [
            versions.required.selector,
            versions.recommended.selector,
            versions.REQUIRED_SLOT.selector,
            versions.RECOMMENDED_SLOT.selector,
            versions.VERSION.selector,
            versions.owner.selector
        ];
        for (uint256 i = 0; i < 6; ++i) {
            assertTrue(assertSame(ours, official, abi.encodePacked(getters[i])), "getter");
        }
        assertEq(ProtocolVersion.unwrap(versions.required()), _required, "required");
        assertEq(ProtocolVersion.unwrap(versions.recommended()), _recommended, "recommended");
        bytes memory transfer = abi.encodeCall(versions.transferOwnership, (address(uint160(_required) | 1)));
        assertTrue(assertSame(ours, official, OWNER, 0, transfer), "ownership");
        assertTrue(!assertSame(ours, official, OWNER, 0, require_), "no longer the owner");
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { DEPOSITOR_ACCOUNT, PROXY_OWNER_ADDRESS } from "src/libraries/Constants.sol";
import { L1Block } from "src/L2/L1Block.sol";
import { ProxyAdmin } from "src/universal/ProxyAdmin.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { Test } from "test/support/Test.sol";

contract L1BlockTest is Test {
    struct Attributes {
        uint32 baseFeeScalar;
        uint32 blobBaseFeeScalar;
        uint64 sequenceNumber;
        uint64 timestamp;
        uint64 number;
        uint256 basefee;
        uint256 blobBaseFee;
        bytes32 hash;
        bytes32 batcherHash;
    }

    event FeatureSet(bytes32 indexed feature, bool indexed enabled);

    L1Block internal l1Block;

    function setUp() public {
        l1Block = new L1Block();
    }

    function test_selectors() public view {
        assertEq(l1Block.setL1BlockValues.selector, bytes32(bytes4(0x015d8eb9)), "Bedrock");
        assertEq(l1Block.setL1BlockValuesEcotone.selector, bytes32(bytes4(0x440a5e20)), "Ecotone");
        assertEq(l1Block.setL1BlockValuesIsthmus.selector, bytes32(bytes4(0x098999be)), "Isthmus");
        assertEq(l1Block.setL1BlockValuesJovian.selector, bytes32(bytes4(0x3db6be2b)), "Jovian");
    }

    function testFuzz_setL1BlockValues_slots(Attributes memory _a, uint256 _overhead, uint256 _scalar) public {
        vm.prank(DEPOSITOR_ACCOUNT);
        l1Block.setL1BlockValues(
            _a.number, _a.timestamp, _a.basefee, _a.hash, _a.sequenceNumber, _a.batcherHash, _overhead, _scalar
        );
        assertSlot(0, uint256(_a.timestamp) << 64 | _a.number);
        assertSlot(1, _a.basefee);
        assertSlot(2, uint256(_a.hash));
        assertSlot(3, _a.sequenceNumber);
        assertSlot(4, uint256(_a.batcherHash));
        assertSlot(5, _overhead);
        assertSlot(6, _scalar);
        assertSlot(7, 0);
        assertSlot(8, 0);
    }

    function testFuzz_setL1BlockValuesEcotone_slots(Attributes memory _a, bytes32 _untouched) public {
        fill(_untouched);
        callPacked(l1Block.setL1BlockValuesEcotone.selector, _a, "");
        assertPackedSlots(_a, _untouched);
        assertSlot(8, uint256(_untouched));
    }

    function testFuzz_setL1BlockValuesIsthmus_slots(
        Attributes memory _a,
        bytes32 _untouched,
        uint32 _operatorFeeScalar,
        uint64 _operatorFeeConstant
    )
        public
    {
        fill(_untouched);
        bytes memory rest = abi.encodePacked(_operatorFeeScalar, _operatorFeeConstant);
        callPacked(l1Block.setL1BlockValuesIsthmus.selector, _a, rest);
        assertPackedSlots(_a, _untouched);
        assertSlot(8, uint256(_operatorFeeScalar) << 64 | _operatorFeeConstant);
    }

    function testFuzz_setL1BlockValuesJovian_slots(
        Attributes memory _a,
        bytes32 _untouched,
        uint32 _operatorFeeScalar,
        uint64 _operatorFeeConstant,
        uint16 _daFootprintGasScalar
    )
        public
    {
        fill(_untouched);
        bytes memory rest = abi.encodePacked(_operatorFeeScalar, _operatorFeeConstant, _daFootprintGasScalar);
        callPacked(l1Block.setL1BlockValuesJovian.selector, _a, rest);
        assertPackedSlots(_a, _untouched);
        assertSlot(8, uint256(_daFootprintGasScalar) << 96 | uint256(_operatorFeeScalar) << 64 | _operatorFeeConstant);

        assertEq(l1Block.number(), _a.number, "number");
        assertEq(l1Block.timestamp(), _a.timestamp, "timestamp");
        assertEq(l1Block.basefee(), _a.basefee, "basefee");
        assertEq(l1Block.hash(), _a.hash, "hash");
        assertEq(l1Block.sequenceNumber(), _a.sequenceNumber, "sequenceNumber");
        assertEq(l1Block.baseFeeScalar(), _a.baseFeeScalar, "baseFeeScalar");
        assertEq(l1Block.blobBaseFeeScalar(), _a.blobBaseFeeScalar, "blobBaseFeeScalar");
        assertEq(l1Block.batcherHash(), _a.batcherHash, "batcherHash");
        assertEq(l1Block.l1FeeOverhead(), uint256(_untouched), "l1FeeOverhead");
        assertEq(l1Block.l1FeeScalar(), uint256(_untouched), "l1FeeScalar");
        assertEq(l1Block.blobBaseFee(), _a.blobBaseFee, "blobBaseFee");
        assertEq(l1Block.operatorFeeScalar(), _operatorFeeScalar, "operatorFeeScalar");
        assertEq(l1Block.operatorFeeConstant(), _operatorFeeConstant, "operatorFeeConstant");
        assertEq(l1Block.daFootprintGasScalar(), _daFootprintGasScalar, "daFootprintGasScalar");
    }

    function testFuzz_setters_onlyDepositor(address _sender) public {
        vm.assume(_sender != DEPOSITOR_ACCOUNT);
        vm.startPrank(_sender);
        vm.expectRevert("L1Block: only the depositor account can set L1 block values");
        l1Block.setL1BlockValues(0, 0, 0, 0, 0, 0, 0, 0);
        // The selector that the reference reverts with.
        vm.expectRevert(bytes4(0x3cc50b45));
        l1Block.setL1BlockValuesEcotone();
        vm.expectRevert(bytes4(0x3cc50b45));
        l1Block.setL1BlockValuesIsthmus();
        vm.expectRevert(bytes4(0x3cc50b45));
        l1Block.setL1BlockValuesJovian();
    }

    function test_gasToken_isEther() public view {
        (address token, uint8 decimals) = l1Block.gasPayingToken();
        assertEq(token, 0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE, "token");
        assertEq(decimals, 18, "decimals");
        assertEq(l1Block.gasPayingTokenName(), "Ether", "name");
        assertEq(l1Block.gasPayingTokenSymbol(), "ETH", "symbol");
        assertTrue(!l1Block.isCustomGasToken(), "not custom");
    }

    function testFuzz_setFeature(bytes32 _feature, address _stranger) public {
        address owner = address(0xA11CE);
        address admin = address(new ProxyAdmin(owner));
        vm.store(address(l1Block), PROXY_OWNER_ADDRESS, bytes32(uint256(uint160(admin))));
        vm.assume(_stranger != owner && _stranger != admin && _stranger != DEPOSITOR_ACCOUNT);

        vm.prank(_stranger);
        vm.expectRevert(L1Block.L1Block_NotAuthorizedToSetFeature.selector);
        l1Block.setFeature(_feature);

        address[3] memory allowed = [DEPOSITOR_ACCOUNT, owner, admin];
        for (uint256 i = 0; i < 3; ++i) {
            bytes32 feature = keccak256(abi.encode(_feature, i));
            vm.expectEmit(address(l1Block));
            emit FeatureSet(feature, true);
            vm.prank(allowed[i]);
            l1Block.setFeature(feature);
            assertTrue(l1Block.isFeatureEnabled(feature), "enabled");
            assertEq(vm.load(address(l1Block), keccak256(abi.encode(feature, 9))), bytes32(uint256(1)), "slot 9");

            vm.prank(allowed[i]);
            vm.expectRevert(L1Block.L1Block_FeatureAlreadyEnabled.selector);
            l1Block.setFeature(feature);
        }
    }

    function test_proxyAdmin_withoutProxy() public {
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotResolvedDelegateProxy.selector);
        l1Block.proxyAdmin();
    }

    function testFuzz_official_sameSettersAndGetters(
        Attributes memory _a,
        uint256 _overhead,
        uint256 _scalar,
        address _stranger
    )
        public
    {
        address official = deployOfficial("L1Block", "");
        bytes[2] memory setters = [
            abi.encodeCall(
                l1Block.setL1BlockValues,
                (_a.number, _a.timestamp, _a.basefee, _a.hash, _a.sequenceNumber, _a.batcherHash, _overhead, _scalar)
            ),
            packed(l1Block.setL1BlockValuesEcotone.selector, _a)
        ];
        for (uint256 i = 0; i < setters.length; ++i) {
            assertTrue(assertSame(address(l1Block), official, DEPOSITOR_ACCOUNT, 0, setters[i]), "depositor may");
            if (_stranger != DEPOSITOR_ACCOUNT) {
                assertTrue(!assertSame(address(l1Block), official, _stranger, 0, setters[i]), "others may not");
            }
            assertTrue(!assertSame(address(l1Block), official, DEPOSITOR_ACCOUNT, 1, setters[i]), "not payable");
            assertSameGetters(official);
        }
    }

    function assertSameGetters(address _official) internal {
        bytes4[15] memory getters = [
            l1Block.DEPOSITOR_ACCOUNT.selector,
            l1Block.number.selector,
            l1Block.timestamp.selector,
            l1Block.basefee.selector,
            l1Block.hash.selector,
            l1Block.sequenceNumber.selector,
            l1Block.blobBaseFeeScalar.selector,
            l1Block.baseFeeScalar.selector,
            l1Block.batcherHash.selector,
            l1Block.l1FeeOverhead.selector,
            l1Block.l1FeeScalar.selector,
            l1Block.blobBaseFee.selector,
            l1Block.gasPayingToken.selector,
            l1Block.gasPayingTokenName.selector,
            l1Block.gasPayingTokenSymbol.selector
        ];
        for (uint256 i = 0; i < getters.length; ++i) {
            assertTrue(assertSame(address(l1Block), _official, abi.encodePacked(getters[i])), "getter");
        }
    }

    function packed(bytes4 _selector, Attributes memory _a) internal pure returns (bytes memory) {
        return abi.encodePacked(
            _selector,
            _a.baseFeeScalar,
            _a.blobBaseFeeScalar,
            _a.sequenceNumber,
            _a.timestamp,
            _a.number,
            _a.basefee,
            _a.blobBaseFee,
            _a.hash,
            _a.batcherHash
        );
    }

    function callPacked(bytes4 _selector, Attributes memory _a, bytes memory _rest) internal {
        vm.prank(DEPOSITOR_ACCOUNT);
        (bool success,) = address(l1Block).call(abi.encodePacked(packed(_selector, _a), _rest));
        assertTrue(success, "set");
    }

    function fill(bytes32 _value) internal {
        for (uint256 i = 0; i <= 8; ++i) {
            vm.store(address(l1Block), bytes32(i), _value);
        }
    }

    function assertPackedSlots(Attributes memory _a, bytes32 _untouched) internal view {
        assertSlot(0, uint256(_a.timestamp) << 64 | _a.number);
        assertSlot(1, _a.basefee);
        assertSlot(2, uint256(_a.hash));
        assertSlot(3, uint256(_a.baseFeeScalar) << 96 | uint256(_a.blobBaseFeeScalar) << 64 | _a.sequenceNumber);
        assertSlot(4, uint256(_a.batcherHash));
        assertSlot(5, uint256(_untouched));
        assertSlot(6, uint256(_untouched));
        assertSlot(7, _a.blobBaseFee);
    }

    function assertSlot(uint256 _slot, uint256 _expected) internal view {
        assertEq(uint256(vm.load(address(l1Block), bytes32(_slot))), _expected, "slot");
    }
}

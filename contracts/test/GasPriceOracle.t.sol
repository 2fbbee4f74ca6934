// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { DEPOSITOR_ACCOUNT, L1_BLOCK_ATTRIBUTES } from "src/libraries/Constants.sol";
import { FastLZ } from "src/libraries/FastLZ.sol";
import { GasPriceOracle } from "src/L2/GasPriceOracle.sol";
import { L1Block } from "src/L2/L1Block.sol";
import { Test } from "test/support/Test.sol";

contract GasPriceOracleTest is Test {
    GasPriceOracle internal oracle;
    address internal official;
    L1Block internal constant l1Block = L1Block(L1_BLOCK_ATTRIBUTES);

    struct Fees {
        uint32 baseFeeScalar;
        uint32 blobBaseFeeScalar;
        uint64 basefee;
        uint64 blobBaseFee;
        uint64 l1FeeOverhead;
        uint64 l1FeeScalar;
    }

    function setUp() public {
        oracle = new GasPriceOracle();
        official = deployOfficial("GasPriceOracle", "");
        vm.etch(L1_BLOCK_ATTRIBUTES, address(new L1Block()).code);
    }

    function test_flags_followTheForks() public {
        address target = address(oracle);
        refuse(oracle.setFjord.selector, "GasPriceOracle: Fjord can only be activated after Ecotone");
        activate(oracle.setEcotone.selector);
        assertEq(vm.load(target, 0), bytes32(uint256(0x01)), "Ecotone");
        refuse(oracle.setEcotone.selector, "GasPriceOracle: Ecotone already active");
        refuse(oracle.setIsthmus.selector, "GasPriceOracle: Isthmus can only be activated after Fjord");
        activate(oracle.setFjord.selector);
        assertEq(vm.load(target, 0), bytes32(uint256(0x0101)), "Fjord");
        refuse(oracle.setFjord.selector, "GasPriceOracle: Fjord already active");
        refuse(oracle.setJovian.selector, "GasPriceOracle: Jovian can only be activated after Isthmus");
        activate(oracle.setIsthmus.selector);
        assertEq(vm.load(target, 0), bytes32(uint256(0x010101)), "Isthmus");
        refuse(oracle.setIsthmus.selector, "GasPriceOracle: Isthmus already active");
        activate(oracle.setJovian.selector);
        assertEq(vm.load(target, 0), bytes32(uint256(0x01010101)), "Jovian");
        refuse(oracle.setJovian.selector, "GasPriceOracle: Jovian already active");
    }

    function testFuzz_flags_onlyDepositor(address _sender) public {
        vm.assume(_sender != DEPOSITOR_ACCOUNT);
        vm.startPrank(_sender);
        vm.expectRevert("GasPriceOracle: only the depositor account can set isEcotone flag");
        oracle.setEcotone();
        vm.expectRevert("GasPriceOracle: only the depositor account can set isFjord flag");
        oracle.setFjord();
        vm.expectRevert("GasPriceOracle: only the depositor account can set isIsthmus flag");
        oracle.setIsthmus();
        vm.expectRevert("GasPriceOracle: only the depositor account can set isJovian flag");
        oracle.setJovian();
    }

    function test_getL1Fee_byHand() public {
        setFees(Fees(5227, 1_014_213, 1_055_991_687, 1, 188, 684_000));
        // 4 zero bytes and 6 others: 4 * 4 + 6 * 16 + 68 * 16 = 1200 gas.
        bytes memory data = hex"00010002000300040506";
        assertEq(oracle.getL1GasUsed(data), 1388, "Bedrock gas");
        assertEq(oracle.getL1Fee(data), uint256(1388) * 1_055_991_687 * 684_000 / 1e6, "Bedrock fee");
        activate(oracle.setEcotone.selector);
        uint256 price = uint256(16) * 5227 * 1_055_991_687 + 1_014_213;
        assertEq(oracle.getL1GasUsed(data), 1200, "Ecotone gas");
        assertEq(oracle.getL1Fee(data), 1200 * price / 16e6, "Ecotone fee");
        activate(oracle.setFjord.selector);
        // 10 literals make 11 bytes, with the signature 79: below the least size of 100.
        assertEq(oracle.getL1GasUsed(data), 1600, "Fjord gas");
        assertEq(oracle.getL1Fee(data), 100_000_000 * price / 1e12, "Fjord fee");
        assertEq(oracle.getL1FeeUpperBound(1000), (836_500 * uint256(1088) - 42_585_600) * price / 1e12, "bound");
    }

    function test_getL1FeeUpperBound_needsFjord() public {
        vm.expectRevert("GasPriceOracle: getL1FeeUpperBound only supports Fjord");
        oracle.getL1FeeUpperBound(1);
    }

    /// @dev A scalar above 2^28 must not overflow on the way to the fee.
    function test_getL1Fee_largeScalar() public {
        setFees(Fees(type(uint32).max, type(uint32).max, type(uint64).max, type(uint64).max, 0, 0));
        activate(oracle.setEcotone.selector);
        uint256 price = 17 * uint256(type(uint32).max) * type(uint64).max;
        assertEq(oracle.getL1Fee(""), 1088 * price / 16e6, "Ecotone fee");
        activate(oracle.setFjord.selector);
        assertEq(oracle.getL1Fee(""), 100_000_000 * price / 1e12, "Fjord fee");
    }

    function testFuzz_getOperatorFee(uint256 _gas, uint32 _scalar, uint64 _constant) public {
        vm.store(L1_BLOCK_ATTRIBUTES, bytes32(uint256(8)), bytes32(uint256(_scalar) << 64 | _constant));
        assertEq(oracle.getOperatorFee(_gas), 0, "before Isthmus");
        activate(oracle.setEcotone.selector);
        activate(oracle.setFjord.selector);
        assertEq(oracle.getOperatorFee(_gas), 0, "Fjord");
        activate(oracle.setIsthmus.selector);
        bool fits = _scalar == 0 || _gas <= type(uint256).max / _scalar;
        uint256 product = fits ? _gas * _scalar : type(uint256).max;
        assertEq(oracle.getOperatorFee(_gas), product / 1e6 + _constant, "Isthmus");
        activate(oracle.setJovian.selector);
        _gas = bound(_gas, 0, type(uint64).max);
        assertEq(oracle.getOperatorFee(_gas), _gas * _scalar * 100 + _constant, "Jovian");
    }

    function test_getOperatorFee_jovianOverflowReverts() public {
        vm.store(address(oracle), 0, bytes32(uint256(0x01010101)));
        vm.store(L1_BLOCK_ATTRIBUTES, bytes32(uint256(8)), bytes32(uint256(1) << 64));
        vm.expectRevert();
        oracle.getOperatorFee(type(uint256).max);
    }

    function test_fastLZ_knownSizes() public pure {
        assertEq(FastLZ.compressedLength(""), 0, "nothing");
        assertEq(FastLZ.compressedLength(hex"aa"), 2, "one literal");
        assertEq(FastLZ.compressedLength(new bytes(1000)), 21, "1000 zeros");
        bytes memory ones = new bytes(1000);
        for (uint256 i = 0; i < 1000; ++i) {
            ones[i] = 0x01;
        }
        assertEq(FastLZ.compressedLength(ones), 21, "1000 ones");
    }

    function testFuzz_official_sameFees(bytes memory _data, Fees memory _fees, uint64 _l2BaseFee) public {
        // From 2^28 on the official contract overflows.
        _fees.baseFeeScalar &= 0x0fffffff;
        setFees(_fees);
        vm.fee(_l2BaseFee);
        assertSameFees(_data);
        assertSameActivation(oracle.setEcotone.selector);
        assertSameFees(_data);
        assertSameActivation(oracle.setFjord.selector);
        assertSameFees(_data);
        bytes memory again = abi.encodePacked(oracle.setFjord.selector);
        assertTrue(!assertSame(address(oracle), official, DEPOSITOR_ACCOUNT, 0, again), "once only");
    }

    /// @dev Data with repetitions near and far, so that FastLZ finds matches of all kinds.
    /// forge-config: default.fuzz.runs = 96
    function testFuzz_official_sameFastLZ(uint256 _seed, uint256 _length, uint8 _alphabet) public {
        assertSameActivation(oracle.setEcotone.selector);
        assertSameActivation(oracle.setFjord.selector);
        bytes memory data = new bytes(bound(_length, 0, 12_000));
        uint256 i;
        while (i < data.length) {
            _seed = uint256(keccak256(abi.encode(_seed)));
            uint256 run = _seed % (_seed & 0x100 == 0 ? 400 : 9);
            uint256 back = (_seed >> 16) % (_seed & 0x200 == 0 ? 9000 : 40) + 1;
            bool fresh = _seed & 0x400 == 0 || back > i;
            for (uint256 j = 0; j < run && i < data.length; ++j) {
                data[i] = fresh
                    ? bytes1(uint8(uint256(keccak256(abi.encode(_seed, j))) % (uint256(_alphabet) + 1)))
                    : data[i - back];
                ++i;
            }
        }
        assertTrue(
            assertSame(address(oracle), official, abi.encodeCall(oracle.getL1GasUsed, (data))), "same FastLZ size"
        );
    }

    /// @dev Noise whose first 200 bytes come again at the end, as far back as a match may reach and one byte farther.
    function test_official_sameFastLZ_atMaximumDistance() public {
        assertSameActivation(oracle.setEcotone.selector);
        assertSameActivation(oracle.setFjord.selector);
        uint256[4] memory sizes;
        for (uint256 i = 0; i < 4; ++i) {
            bytes memory data = noise(8190 + i);
            bytes memory head = new bytes(200);
            for (uint256 j = 0; j < 200; ++j) {
                head[j] = data[j];
            }
            data = abi.encodePacked(data, head, noise(20));
            sizes[i] = FastLZ.compressedLength(data);
            assertTrue(
                assertSame(address(oracle), official, abi.encodeCall(oracle.getL1GasUsed, (data))), "same FastLZ size"
            );
        }
        assertTrue(sizes[1] < sizes[0] + 10, "8191 back is within reach");
        assertTrue(sizes[2] > sizes[1] + 100, "8192 back is not");
    }

    function noise(uint256 _length) internal pure returns (bytes memory noise_) {
        noise_ = new bytes(_length);
        for (uint256 i = 0; i < _length; ++i) {
            noise_[i] = keccak256(abi.encode(i / 32))[i % 32];
        }
    }

    function assertSameFees(bytes memory _data) internal {
        bytes4[15] memory getters = [
            oracle.DECIMALS.selector,
            oracle.decimals.selector,
            oracle.isEcotone.selector,
            oracle.isFjord.selector,
            oracle.gasPrice.selector,
            oracle.baseFee.selector,
            oracle.overhead.selector,
            oracle.scalar.selector,
            oracle.l1BaseFee.selector,
            oracle.blobBaseFee.selector,
            oracle.baseFeeScalar.selector,
            oracle.blobBaseFeeScalar.selector,
            oracle.setFjord.selector,
            oracle.setEcotone.selector,
            bytes4(0)
        ];
        for (uint256 i = 0; i < getters.length; ++i) {
            assertSame(address(oracle), official, abi.encodePacked(getters[i]));
        }
        assertSame(address(oracle), official, abi.encodeCall(oracle.getL1Fee, (_data)));
        assertSame(address(oracle), official, abi.encodeCall(oracle.getL1GasUsed, (_data)));
        assertSame(address(oracle), official, abi.encodeCall(oracle.getL1FeeUpperBound, (_data.length)));
    }

    function assertSameActivation(bytes4 _setter) internal {
        assertTrue(
            assertSame(address(oracle), official, DEPOSITOR_ACCOUNT, 0, abi.encodePacked(_setter)), "same activation"
        );
    }

    function activate(bytes4 _setter) internal {
        vm.prank(DEPOSITOR_ACCOUNT);
        (bool success,) = address(oracle).call(abi.encodePacked(_setter));
        assertTrue(success, "activation");
    }

    function refuse(bytes4 _setter, string memory _reason) internal {
        vm.prank(DEPOSITOR_ACCOUNT);
        (bool success, bytes memory result) = address(oracle).call(abi.encodePacked(_setter));
        assertTrue(!success, "refusal");
        assertEq(result, abi.encodeWithSignature("Error(string)", _reason), "reason");
    }

    function setFees(Fees memory _fees) internal {
        vm.startPrank(DEPOSITOR_ACCOUNT);
        l1Block.setL1BlockValues(0, 0, 0, 0, 0, 0, _fees.l1FeeOverhead, _fees.l1FeeScalar);
        (bool success,) = L1_BLOCK_ATTRIBUTES.call(
            abi.encodePacked(
                l1Block.setL1BlockValuesEcotone.selector,
                _fees.baseFeeScalar,
                _fees.blobBaseFeeScalar,
                new bytes(24),
                uint256(_fees.basefee),
                uint256(_fees.blobBaseFee),
                new bytes(64)
            )
        );
        assertTrue(success, "attributes");
        vm.stopPrank();
    }
}

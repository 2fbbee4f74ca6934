// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { DEPOSITOR_ACCOUNT, L1_BLOCK_ATTRIBUTES } from "src/libraries/Constants.sol";
import { FastLZ } from "src/libraries/FastLZ.sol";
import { IL1Block } from "src/interfaces/IL1Block.sol";
import { ISemver } from "src/interfaces/ISemver.sol";

/// @notice Lets wallets and contracts compute the fees that the execution engine will charge: the L1 data fee and the
///         operator fee, by the rules of the fork that is active. The depositor tells it of each fork.
contract GasPriceOracle is ISemver {
    uint256 public constant DECIMALS = 6;
    string public constant version = "1.6.0";

    IL1Block private constant L1_BLOCK = IL1Block(L1_BLOCK_ATTRIBUTES);

    /// @dev A signature's bytes, which the unsigned data lacks; all taken as non-zero.
    uint256 private constant SIGNATURE_BYTES = 68;

    /// @dev Fjord's estimate of the compressed size in millionths of a byte: intercept + coefficient * FastLZ size, and
    ///      at least 100 bytes.
    int256 private constant COST_INTERCEPT = -42_585_600;
    int256 private constant COST_FASTLZ_COEF = 836_500;
    int256 private constant MIN_SIZE_SCALED = 100_000_000;

    bool public isEcotone;
    bool public isFjord;
    bool public isIsthmus;
    bool public isJovian;

    function setEcotone() external {
        require(msg.sender == DEPOSITOR_ACCOUNT, "GasPriceOracle: only the depositor account can set isEcotone flag");
        require(!isEcotone, "GasPriceOracle: Ecotone already active");
        isEcotone = true;
    }

    function setFjord() external {
        require(msg.sender == DEPOSITOR_ACCOUNT, "GasPriceOracle: only the depositor account can set isFjord flag");
        require(isEcotone, "GasPriceOracle: Fjord can only be activated after Ecotone");
        require(!isFjord, "GasPriceOracle: Fjord already active");
        isFjord = true;
    }

    function setIsthmus() external {
        require(msg.sender == DEPOSITOR_ACCOUNT, "GasPriceOracle: only the depositor account can set isIsthmus flag");
        require(isFjord, "GasPriceOracle: Isthmus can only be activated after Fjord");
        require(!isIsthmus, "GasPriceOracle: Isthmus already active");
        isIsthmus = true;
    }

    function setJovian() external {
        require(msg.sender == DEPOSITOR_ACCOUNT, "GasPriceOracle: only the depositor account can set isJovian flag");
        require(isIsthmus, "GasPriceOracle: Jovian can only be activated after Isthmus");
        require(!isJovian, "GasPriceOracle: Jovian already active");
        isJovian = true;
    }

    /// @notice The L1 data fee in wei of a transaction.
    /// @param _data The unsigned transaction, RLP-encoded.
    function getL1Fee(bytes memory _data) external view returns (uint256) {
        if (isFjord) return _fjordFee(FastLZ.compressedLength(_data) + SIGNATURE_BYTES);
        uint256 dataGas = _calldataGas(_data);
        if (isEcotone) return dataGas * _ecotoneFeeScaled() / (16 * 10 ** DECIMALS);
        return (dataGas + L1_BLOCK.l1FeeOverhead()) * l1BaseFee() * L1_BLOCK.l1FeeScalar() / 10 ** DECIMALS;
    }

    /// @notice A fee in wei that nearly every transaction of a size stays below.
    /// @param _unsignedTxSize Bytes of the unsigned transaction, RLP-encoded.
    function getL1FeeUpperBound(uint256 _unsignedTxSize) external view returns (uint256) {
        require(isFjord, "GasPriceOracle: getL1FeeUpperBound only supports Fjord");
        uint256 size = _unsignedTxSize + SIGNATURE_BYTES;
        // FastLZ can make data longer: by one opcode in 255 bytes, and 16 for good measure.
        return _fjordFee(size + size / 255 + 16);
    }

    /// @notice The L1 gas of a transaction's data: of the data itself up to Ecotone, of its estimated compressed size
    ///         (16 gas a byte) from Fjord on. No fee is computed from the latter.
    function getL1GasUsed(bytes memory _data) public view returns (uint256) {
        if (isFjord) return _fjordSizeScaled(FastLZ.compressedLength(_data) + SIGNATURE_BYTES) * 16 / 1e6;
        uint256 dataGas = _calldataGas(_data);
        return isEcotone ? dataGas : dataGas + L1_BLOCK.l1FeeOverhead();
    }

    /// @notice The operator fee in wei of a transaction that uses `_gasUsed` L2 gas. Up to Jovian the scalar counts in
    ///         millionths and the sum saturates; from Jovian on it counts in hundreds.
    function getOperatorFee(uint256 _gasUsed) public view returns (uint256) {
        if (!isIsthmus) return 0;
        uint256 scale = L1_BLOCK.operatorFeeScalar();
        uint256 constantFee = L1_BLOCK.operatorFeeConstant();
        if (isJovian) return _gasUsed * scale * 100 + constantFee;
        unchecked {
            uint256 product = _gasUsed * scale;
            if (scale != 0 && product / scale != _gasUsed) product = type(uint256).max;
            // The quotient by 10^6 and a 64-bit constant can't overflow.
            return product / 1e6 + constantFee;
        }
    }

    /// @notice The L2 base fee, under its historical name.
    function gasPrice() public view returns (uint256) {
        return block.basefee;
    }

    function baseFee() public view returns (uint256) {
        return block.basefee;
    }

    function overhead() public view returns (uint256) {
        require(!isEcotone, "GasPriceOracle: overhead() is deprecated");
        return L1_BLOCK.l1FeeOverhead();
    }

    function scalar() public view returns (uint256) {
        require(!isEcotone, "GasPriceOracle: scalar() is deprecated");
        return L1_BLOCK.l1FeeScalar();
    }

    function l1BaseFee() public view returns (uint256) {
        return L1_BLOCK.basefee();
    }

    function blobBaseFee() public view returns (uint256) {
        return L1_BLOCK.blobBaseFee();
    }

    function baseFeeScalar() public view returns (uint32) {
        return L1_BLOCK.baseFeeScalar();
    }

    function blobBaseFeeScalar() public view returns (uint32) {
        return L1_BLOCK.blobBaseFeeScalar();
    }

    function decimals() public pure returns (uint256) {
        return DECIMALS;
    }

    /// @dev The price of 16 bytes: scaled L1 base fee and blob base fee, in millionths of a wei.
    function _ecotoneFeeScaled() private view returns (uint256) {
        return uint256(baseFeeScalar()) * 16 * l1BaseFee() + uint256(blobBaseFeeScalar()) * blobBaseFee();
    }

    function _fjordFee(uint256 _fastLzSize) private view returns (uint256) {
        return _fjordSizeScaled(_fastLzSize) * _ecotoneFeeScaled() / 10 ** (2 * DECIMALS);
    }

    /// @dev Estimated compressed size in millionths of a byte.
    function _fjordSizeScaled(uint256 _fastLzSize) private pure returns (uint256) {
        int256 estimate = COST_INTERCEPT + COST_FASTLZ_COEF * int256(_fastLzSize);
        return uint256(estimate < MIN_SIZE_SCALED ? MIN_SIZE_SCALED : estimate);
    }

    /// @dev L1 calldata gas: 4 for a zero byte, 16 for any other, and the signature's bytes.
    function _calldataGas(bytes memory _data) private pure returns (uint256 total_) {
        total_ = SIGNATURE_BYTES * 16;
        for (uint256 i = 0; i < _data.length; ++i) {
            total_ += _data[i] == 0 ? 4 : 16;
        }
    }
}

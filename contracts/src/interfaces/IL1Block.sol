// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The L1 attributes that fees are computed from.
interface IL1Block {
    function number() external view returns (uint64);
    function basefee() external view returns (uint256);
    function blobBaseFee() external view returns (uint256);
    function baseFeeScalar() external view returns (uint32);
    function blobBaseFeeScalar() external view returns (uint32);
    function l1FeeOverhead() external view returns (uint256);
    function l1FeeScalar() external view returns (uint256);
    function operatorFeeScalar() external view returns (uint32);
    function operatorFeeConstant() external view returns (uint64);
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The parameters of the market in which deposits buy L2 gas.
interface IResourceMetering {
    /// @custom:field maxResourceLimit            L2 gas that the deposits of one L1 block may buy.
    /// @custom:field elasticityMultiplier        `maxResourceLimit` over the target per L1 block.
    /// @custom:field baseFeeMaxChangeDenominator Bounds the change of the base fee from one block to the next.
    /// @custom:field minimumBaseFee              Floor of the base fee, wei per gas.
    /// @custom:field systemTxMaxGas              L2 gas kept for the L1 attributes deposit.
    /// @custom:field maximumBaseFee              Cap of the base fee, wei per gas.
    struct ResourceConfig {
        uint32 maxResourceLimit;
        uint8 elasticityMultiplier;
        uint8 baseFeeMaxChangeDenominator;
        uint32 minimumBaseFee;
        uint32 systemTxMaxGas;
        uint128 maximumBaseFee;
    }
}

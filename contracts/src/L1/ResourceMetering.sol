// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Burn } from "src/libraries/Burn.sol";
import { FixedPoint } from "src/libraries/FixedPoint.sol";
import { Initializable } from "src/universal/Initializable.sol";
import { IResourceMetering } from "src/interfaces/IResourceMetering.sol";

/// @notice The market in which deposits buy L2 gas. Its base fee moves from L1 block to L1 block as EIP-1559's does, and
///         the price is paid by burning L1 gas.
abstract contract ResourceMetering is Initializable {
    error OutOfGas();

    /// @custom:field prevBaseFee   Wei per L2 gas, as of the last deposit.
    /// @custom:field prevBoughtGas L2 gas bought so far in that L1 block.
    /// @custom:field prevBlockNum  The L1 block of the last deposit.
    struct ResourceParams {
        uint128 prevBaseFee;
        uint64 prevBoughtGas;
        uint64 prevBlockNum;
    }

    ResourceParams public params;

    /// @dev Keeps what inherits from this at slot 50.
    uint256[48] private __gap;

    /// @dev Sells `_amount` L2 gas to the caller of the function. Gas that the function itself uses is credited.
    modifier metered(uint64 _amount) {
        uint256 initialGas = gasleft();
        _;
        _metered(_amount, initialGas);
    }

    function _metered(uint64 _amount, uint256 _initialGas) internal {
        IResourceMetering.ResourceConfig memory config = _resourceConfig();
        ResourceParams memory market = params;

        uint256 blocks = block.number - market.prevBlockNum;
        if (blocks > 0) {
            market.prevBaseFee = _nextBaseFee(market, config, blocks);
            market.prevBoughtGas = 0;
            market.prevBlockNum = uint64(block.number);
        }

        market.prevBoughtGas += _amount;
        if (market.prevBoughtGas > config.maxResourceLimit) revert OutOfGas();
        params = market;

        // The price in wei, turned into L1 gas. A base fee below 1 gwei counts as 1 gwei, for the sake of L1s that have
        // none and so that a cheap L1 doesn't ask for more gas than a block holds.
        uint256 l1BaseFee = block.basefee > 1 gwei ? block.basefee : 1 gwei;
        uint256 gasCost = uint256(_amount) * market.prevBaseFee / l1BaseFee;
        uint256 gasUsed = _initialGas - gasleft();
        if (gasCost > gasUsed) Burn.gas(gasCost - gasUsed);
    }

    /// @dev The base fee `_blocks` (at least 1) blocks after the last deposit: one step by what that block sold, then
    ///      one step down for every block without deposits.
    function _nextBaseFee(
        ResourceParams memory _market,
        IResourceMetering.ResourceConfig memory _config,
        uint256 _blocks
    )
        private
        pure
        returns (uint128)
    {
        int256 target = int256(uint256(_config.maxResourceLimit / _config.elasticityMultiplier));
        int256 denominator = int256(uint256(_config.baseFeeMaxChangeDenominator));
        int256 min = int256(uint256(_config.minimumBaseFee));
        int256 max = int256(uint256(_config.maximumBaseFee));
        int256 baseFee = int256(uint256(_market.prevBaseFee));

        int256 excess = int256(uint256(_market.prevBoughtGas)) - target;
        baseFee = FixedPoint.clamp(baseFee + baseFee * excess / (target * denominator), min, max);
        if (_blocks > 1) {
            uint256 decayed = FixedPoint.decay(uint256(baseFee), uint256(denominator), _blocks - 1);
            baseFee = FixedPoint.clamp(int256(decayed), min, max);
        }
        return uint128(uint256(baseFee));
    }

    function _resourceConfig() internal view virtual returns (IResourceMetering.ResourceConfig memory);

    /// @dev Opens the market, if it has not been open before.
    function __ResourceMetering_init() internal onlyInitializing {
        if (params.prevBlockNum == 0) {
            params = ResourceParams({ prevBaseFee: 1 gwei, prevBoughtGas: 0, prevBlockNum: uint64(block.number) });
        }
    }
}

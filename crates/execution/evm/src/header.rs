//! Header fields that follow from the parent: base fee, blob gas, and the EIP-1559 parameters that
//! OP chains write into `extraData`.

use core::cmp::Ordering;

use alloy_consensus::Header;
use alloy_eips::eip1559::BaseFeeParams;
use alloy_primitives::{B64, Bytes};
use opal_protocol::Hardfork;
use opal_protocol::extra_data::{
    ExtraData, ExtraDataError, decode_extra_data_of_fork, write_extra_data,
};
use opal_protocol::system_config::split_eip1559_params;

use crate::ChainSpec;

/// `extraData` of an OP block with these payload attributes. Parameters of zero stand for the
/// chain's own. Spec: `holocene/exec-engine.md`, "Dynamic EIP-1559 Parameters";
/// `jovian/exec-engine.md`, "Minimum Base Fee".
///
/// # Errors
/// When only one of the two parameters is zero.
pub fn extra_data(
    spec: &ChainSpec,
    timestamp: u64,
    params: B64,
    min_base_fee: Option<u64>,
) -> Result<Bytes, ExtraDataError> {
    if params == B64::ZERO {
        let own = spec.base_fee_params(timestamp);
        let narrow = |value: u128| u32::try_from(value).unwrap_or(u32::MAX);
        let own = ExtraData {
            denominator: narrow(own.max_change_denominator),
            elasticity: narrow(own.elasticity_multiplier),
            min_base_fee: 0,
        };
        return Ok(write_extra_data(own.eip1559_params(), min_base_fee));
    }
    let (denominator, elasticity) = split_eip1559_params(params);
    if denominator == 0 || elasticity == 0 {
        return Err(ExtraDataError::Zero { denominator, elasticity });
    }
    Ok(write_extra_data(params, min_base_fee))
}

/// Base fee of the block at `timestamp` on top of `parent`, in wei.
///
/// A parent whose `extraData` is malformed (impossible once it was verified) counts as one with
/// the chain's own parameters.
pub fn next_base_fee(spec: &ChainSpec, parent: &Header, timestamp: u64) -> u64 {
    let mut params = spec.base_fee_params(timestamp);
    let mut gas_used = parent.gas_used;
    let mut minimum = 0;
    if let Some(fork) = spec.hardfork(parent.timestamp) {
        if fork >= Hardfork::Holocene
            && let Ok(extra) = decode_extra_data_of_fork(fork, &parent.extra_data)
        {
            params = BaseFeeParams::new(extra.denominator.into(), extra.elasticity.into());
            minimum = extra.min_base_fee;
        }
        if fork >= Hardfork::Jovian {
            gas_used = gas_used.max(parent.blob_gas_used.unwrap_or(0));
        }
    }
    let parent_fee = parent.base_fee_per_gas.unwrap_or(0);
    moved_base_fee(params, parent.gas_limit, gas_used, parent_fee).max(minimum)
}

/// EIP-1559's rule, for parameters and fees of any size: an OP chain's operator chooses the
/// parameters and the lowest fee. A fee that would not fit a header stays at the highest that
/// does. Without a gas target it does not move.
fn moved_base_fee(params: BaseFeeParams, gas_limit: u64, gas_used: u64, fee: u64) -> u64 {
    let target = u128::from(gas_limit).checked_div(params.elasticity_multiplier).unwrap_or(0);
    let difference = u128::from(gas_used).abs_diff(target);
    // The target has 64 bits, and so has a chain's denominator.
    let Some(share) = (u128::from(fee) * difference)
        .checked_div(target.saturating_mul(params.max_change_denominator))
    else {
        return fee;
    };
    let step = |share| u64::try_from(share).unwrap_or(u64::MAX);
    match u128::from(gas_used).cmp(&target) {
        Ordering::Equal => fee,
        Ordering::Greater => fee.saturating_add(step(share.max(1))),
        Ordering::Less => fee.saturating_sub(step(share)),
    }
}

/// Excess blob gas of the block at `timestamp` on top of `parent`; zero on an OP chain, `None`
/// before Cancun and Ecotone.
pub fn next_excess_blob_gas(spec: &ChainSpec, parent: &Header, timestamp: u64) -> Option<u64> {
    if !spec.has_beacon_root(timestamp) {
        return None;
    }
    let Some(params) = spec.blob_params(timestamp) else { return Some(0) };
    Some(params.next_block_excess_blob_gas_osaka(
        parent.excess_blob_gas.unwrap_or(0),
        parent.blob_gas_used.unwrap_or(0),
        parent.base_fee_per_gas.unwrap_or(0),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_fees_of_any_size_move_by_the_rule() {
        let numbers = [0, 1, 7, 250, 21_000, 30_000_000, u64::from(u32::MAX), u64::MAX / 3];
        for fee in numbers {
            for (limit, used) in numbers.iter().flat_map(|l| numbers.map(|u| (*l, u))) {
                for (denominator, elasticity) in [(50, 6), (250, 2), (8, 2), (0, 6), (250, 0)] {
                    let params = BaseFeeParams::new(denominator, elasticity);
                    let target = u128::from(limit).checked_div(elasticity).unwrap_or(0);
                    let moved = u128::from(fee) * u128::from(used.max(1)) / target.max(1);
                    if moved > u128::from(u64::MAX / 4) {
                        continue;
                    }
                    let expected = params.next_block_base_fee(used, limit, fee);
                    assert_eq!(moved_base_fee(params, limit, used, fee), expected);
                }
            }
        }
        // What has no room in a header.
        let steep = BaseFeeParams::new(1, u32::MAX.into());
        assert_eq!(moved_base_fee(steep, 30_000_000_000, 30_000_000, 1 << 62), u64::MAX);
        let flat = BaseFeeParams::new(u32::MAX.into(), 6);
        assert_eq!(moved_base_fee(flat, 60_000_000, 60_000_000, u64::MAX), u64::MAX);
        assert_eq!(moved_base_fee(steep, 30_000_000, 30_000_000, 5), 5);
    }
}

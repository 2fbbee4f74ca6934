//! Header fields that follow from the parent: base fee, blob gas, and the EIP-1559 parameters that
//! OP chains write into `extraData`.

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
    params.next_block_base_fee(gas_used, parent.gas_limit, parent_fee).max(minimum)
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

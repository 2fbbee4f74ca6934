//! The header's extra data, where Holocene keeps EIP-1559 parameters and Jovian the minimum base
//! fee. Spec: `holocene/exec-engine.md`, `jovian/exec-engine.md`.

use alloc::vec::Vec;

use alloy_primitives::{B64, Bytes};

use crate::{Hardfork, RollupConfig};

/// What a header's extra data says; all zero before Holocene.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtraData {
    /// Base fee change denominator.
    pub denominator: u32,
    /// Gas limit over gas target.
    pub elasticity: u32,
    /// Lowest base fee, in wei; zero before Jovian.
    pub min_base_fee: u64,
}

impl ExtraData {
    /// Denominator and elasticity as the payload attributes carry them.
    pub fn eip1559_params(&self) -> B64 {
        let mut out = B64::ZERO;
        out[..4].copy_from_slice(&self.denominator.to_be_bytes());
        out[4..].copy_from_slice(&self.elasticity.to_be_bytes());
        out
    }
}

/// Extra data that the fork does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtraDataError {
    /// Not the fork's length.
    #[error("extra data {data} has {} bytes, expected {expected}", data.len())]
    Length {
        /// The extra data.
        data: Bytes,
        /// Length that the fork demands.
        expected: usize,
    },
    /// Not the fork's version byte.
    #[error("extra data has version {found}, expected {expected}")]
    Version {
        /// Version found.
        found: u8,
        /// Version that the fork demands.
        expected: u8,
    },
    /// A denominator or elasticity of zero, which only payload attributes may have.
    #[error("extra data has denominator {denominator} and elasticity {elasticity}")]
    Zero {
        /// Base fee change denominator.
        denominator: u32,
        /// Gas limit over gas target.
        elasticity: u32,
    },
}

/// Reads the extra data of an L2 header with this timestamp.
///
/// # Errors
/// When it is not in the form of the fork.
pub fn decode_extra_data(
    config: &RollupConfig,
    timestamp: u64,
    data: &Bytes,
) -> Result<ExtraData, ExtraDataError> {
    decode_extra_data_of_fork(config.schedule.at(timestamp), data)
}

/// Reads the extra data of an L2 header of a block with this fork.
///
/// # Errors
/// When it is not in the form of the fork.
pub fn decode_extra_data_of_fork(
    fork: Hardfork,
    data: &Bytes,
) -> Result<ExtraData, ExtraDataError> {
    let (expected, version) = if fork >= Hardfork::Jovian {
        (17, 1)
    } else if fork >= Hardfork::Holocene {
        (9, 0)
    } else {
        (0, 0)
    };
    if data.len() != expected {
        return Err(ExtraDataError::Length { data: data.clone(), expected });
    }
    let Some((&found, rest)) = data.split_first() else { return Ok(ExtraData::default()) };
    if found != version {
        return Err(ExtraDataError::Version { found, expected: version });
    }
    // The length was checked: 8 bytes, and 8 more from Jovian on.
    let (params, min_base_fee) = rest.split_at(8);
    let (denominator, elasticity) =
        crate::system_config::split_eip1559_params(B64::from_slice(params));
    if denominator == 0 || elasticity == 0 {
        return Err(ExtraDataError::Zero { denominator, elasticity });
    }
    let min_base_fee = min_base_fee.iter().fold(0, |n, byte| (n << 8) | u64::from(*byte));
    Ok(ExtraData { denominator, elasticity, min_base_fee })
}

/// The extra data of a block built with these payload attributes. Parameters of zero stand for the
/// chain's defaults.
pub fn encode_extra_data(
    config: &RollupConfig,
    eip1559_params: Option<B64>,
    min_base_fee: Option<u64>,
) -> Bytes {
    let Some(params) = eip1559_params else { return Bytes::new() };
    let params = if params == B64::ZERO { default_eip1559_params(config) } else { params };
    write_extra_data(params, min_base_fee)
}

/// The extra data that holds these parameters: Holocene's form, or Jovian's when there is a lowest
/// base fee.
pub fn write_extra_data(params: B64, min_base_fee: Option<u64>) -> Bytes {
    let mut out = Vec::with_capacity(17);
    out.push(u8::from(min_base_fee.is_some()));
    out.extend_from_slice(params.as_slice());
    if let Some(fee) = min_base_fee {
        out.extend_from_slice(&fee.to_be_bytes());
    }
    out.into()
}

/// What parameters of zero stand for: the chain's Canyon denominator and its elasticity.
pub fn default_eip1559_params(config: &RollupConfig) -> B64 {
    let base_fee = &config.chain_op_config;
    ExtraData {
        denominator: u32::try_from(base_fee.denominator_canyon).unwrap_or(u32::MAX),
        elasticity: u32::try_from(base_fee.elasticity).unwrap_or(u32::MAX),
        min_base_fee: 0,
    }
    .eip1559_params()
}

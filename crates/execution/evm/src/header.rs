//! Header fields that follow from the parent: base fee, blob gas, and the EIP-1559 parameters that
//! OP chains write into `extraData`.

use alloy_consensus::Header;
use alloy_eips::eip1559::BaseFeeParams;
use alloy_primitives::{B64, Bytes};
use opal_protocol::Hardfork;

use crate::ChainSpec;

/// What `extraData` of an OP block says about base fees. Spec: `holocene/exec-engine.md`,
/// "Dynamic EIP-1559 Parameters"; `jovian/exec-engine.md`, "Minimum Base Fee".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeExtraData {
    /// Base fee change denominator.
    pub denominator: u32,
    /// Gas limit over gas target.
    pub elasticity: u32,
    /// Lowest base fee in wei; `None` in Holocene's form.
    pub min_base_fee: Option<u64>,
}

/// Why `extraData` is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtraDataError {
    /// The length does not fit the fork.
    #[error("extraData has {got} bytes, {expected} expected")]
    Length {
        /// Bytes that the fork's form has.
        expected: usize,
        /// Bytes found.
        got: usize,
    },
    /// The version byte does not fit the fork.
    #[error("extraData has version {got}, {expected} expected")]
    Version {
        /// The fork's version.
        expected: u8,
        /// The version found.
        got: u8,
    },
    /// A denominator or elasticity of zero.
    #[error("extraData: {0} must not be 0")]
    Zero(&'static str),
}

impl FeeExtraData {
    /// Reads `extraData` of a block with this fork.
    ///
    /// # Errors
    /// On another length or version than the fork has, or on zeros.
    pub fn decode(extra: &[u8], fork: Hardfork) -> Result<Self, ExtraDataError> {
        let (expected, version) = if fork >= Hardfork::Jovian { (17, 1) } else { (9, 0) };
        if extra.len() != expected {
            return Err(ExtraDataError::Length { expected, got: extra.len() });
        }
        if extra[0] != version {
            return Err(ExtraDataError::Version { expected: version, got: extra[0] });
        }
        let min_base_fee = (version == 1).then(|| be(&extra[9..17]));
        let this = Self {
            denominator: be(&extra[1..5]) as u32,
            elasticity: be(&extra[5..9]) as u32,
            min_base_fee,
        };
        if this.denominator == 0 {
            return Err(ExtraDataError::Zero("denominator"));
        }
        if this.elasticity == 0 {
            return Err(ExtraDataError::Zero("elasticity"));
        }
        Ok(this)
    }

    /// Writes Holocene's form, or Jovian's when there is a minimum.
    pub fn encode(&self) -> Bytes {
        let mut out = alloc::vec![u8::from(self.min_base_fee.is_some())];
        out.extend_from_slice(&self.denominator.to_be_bytes());
        out.extend_from_slice(&self.elasticity.to_be_bytes());
        if let Some(min) = self.min_base_fee {
            out.extend_from_slice(&min.to_be_bytes());
        }
        out.into()
    }

    /// The parameters of payload attributes; both zero means the chain's own.
    ///
    /// # Errors
    /// When only one of the two is zero.
    pub fn from_attributes(
        spec: &ChainSpec,
        timestamp: u64,
        params: B64,
        min_base_fee: Option<u64>,
    ) -> Result<Self, ExtraDataError> {
        let (denominator, elasticity) = (be(&params[..4]) as u32, be(&params[4..]) as u32);
        match (denominator, elasticity) {
            (0, 0) => {
                let defaults = spec.base_fee_params(timestamp);
                Ok(Self {
                    denominator: u32::try_from(defaults.max_change_denominator).unwrap_or(u32::MAX),
                    elasticity: u32::try_from(defaults.elasticity_multiplier).unwrap_or(u32::MAX),
                    min_base_fee,
                })
            }
            (0, _) => Err(ExtraDataError::Zero("denominator")),
            (_, 0) => Err(ExtraDataError::Zero("elasticity")),
            _ => Ok(Self { denominator, elasticity, min_base_fee }),
        }
    }
}

/// Up to eight bytes, big endian.
fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
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
        if fork >= Hardfork::Holocene {
            if let Ok(extra) = FeeExtraData::decode(&parent.extra_data, fork) {
                params = BaseFeeParams::new(extra.denominator.into(), extra.elasticity.into());
                minimum = extra.min_base_fee.unwrap_or(0);
            }
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

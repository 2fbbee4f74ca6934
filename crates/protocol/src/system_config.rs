//! The system configuration that L1 governs.

use alloc::vec::Vec;

use alloy_primitives::{Address, B64, B256, Log, U256, b256};
use serde::{Deserialize, Serialize};

use crate::{Hardfork, Receipt, RollupConfig};

/// Parameters of the L2 chain that the L1 `SystemConfig` contract sets, as they stand at one L1
/// block. Changes in L1 block N apply to L2 blocks with origin N. Spec: `system-config.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SystemConfig {
    /// Whose transactions to the batch inbox count.
    #[serde(rename = "batcherAddr")]
    pub batcher_address: Address,
    /// L1 fee overhead (before Ecotone).
    pub overhead: B256,
    /// L1 fee scalar; from Ecotone on two scalars behind a version byte.
    pub scalar: B256,
    /// L2 block gas limit.
    pub gas_limit: u64,
    /// Holocene's denominator and elasticity; zero means the chain's defaults.
    #[serde(default)]
    pub eip1559_params: B64,
    /// Isthmus' operator fee: scalar (4 bytes at 20) and constant (8 bytes at 24).
    #[serde(default)]
    pub operator_fee_params: B256,
    /// Jovian's lowest base fee, in wei.
    #[serde(default)]
    pub min_base_fee: u64,
    /// Jovian's DA footprint gas scalar; zero means the default of 400.
    #[serde(default, rename = "daFootprintGasScalar")]
    pub da_footprint_gas_scalar: u16,
}

/// `keccak256("ConfigUpdate(uint256,uint8,bytes)")`.
pub const CONFIG_UPDATE: B256 =
    b256!("1d2b0bda21d56b8bd12d4f94ebacffdfb35f5e226f84b461103bb8beab6353be");

/// Why a `ConfigUpdate` log changes nothing. Derivation goes on with the next log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigLogError {
    /// Not the three topics of the event.
    #[error("ConfigUpdate log has {0} topics, expected 3")]
    Topics(usize),
    /// Another event.
    #[error("log is not ConfigUpdate but {0}")]
    Selector(B256),
    /// An unknown event version.
    #[error("ConfigUpdate log has version {0}, expected 0")]
    Version(B256),
    /// An unknown update type.
    #[error("ConfigUpdate log has unknown type {0}")]
    Type(B256),
    /// The ABI encoding is not that of this type's bytes.
    #[error("ConfigUpdate log of type {0} is not well encoded")]
    Encoding(u8),
    /// A value that does not fit its field.
    #[error("ConfigUpdate log of type {kind} has value {value}")]
    Value {
        /// Update type.
        kind: u8,
        /// The word found.
        value: B256,
    },
}

/// The two fee scalars of Ecotone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeeScalars {
    /// Scalar of the L1 base fee.
    pub base_fee_scalar: u32,
    /// Scalar of the L1 blob base fee.
    pub blob_base_fee_scalar: u32,
}

impl FeeScalars {
    /// The version 1 encoding, as the SystemConfig contract holds it.
    pub fn encode(&self) -> B256 {
        let mut word = B256::ZERO;
        word[0] = 1;
        word[24..28].copy_from_slice(&self.blob_base_fee_scalar.to_be_bytes());
        word[28..].copy_from_slice(&self.base_fee_scalar.to_be_bytes());
        word
    }
}

/// Whether a scalar is one that Ecotone accepts in an update: version 0 or 1 with zero padding.
fn is_valid_ecotone_scalar(scalar: &B256) -> bool {
    let padding = match scalar[0] {
        0 => &scalar[1..28],
        1 => &scalar[1..24],
        _ => return false,
    };
    padding.iter().all(|byte| *byte == 0)
}

/// Whether Holocene's parameters are usable: both are zero, which means the chain's defaults, or
/// neither is.
pub(crate) fn is_valid_eip1559_params(params: B64) -> bool {
    let (denominator, elasticity) = split_eip1559_params(params);
    (denominator == 0) == (elasticity == 0)
}

/// Denominator and elasticity.
pub fn split_eip1559_params(params: B64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = params.0;
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}

impl SystemConfig {
    /// The scalars of Ecotone's L1 fee, `None` when the scalar has an unknown version. A version 0
    /// scalar with non-zero padding counts as the largest. Spec: `ecotone/l1-attributes.md`,
    /// `system-config.md`.
    pub fn fee_scalars(&self) -> Option<FeeScalars> {
        let word = |at: usize| {
            let s = &self.scalar;
            u32::from_be_bytes([s[at], s[at + 1], s[at + 2], s[at + 3]])
        };
        match self.scalar[0] {
            0 if !is_valid_ecotone_scalar(&self.scalar) => {
                Some(FeeScalars { base_fee_scalar: u32::MAX, blob_base_fee_scalar: 0 })
            }
            0 => Some(FeeScalars { base_fee_scalar: word(28), blob_base_fee_scalar: 0 }),
            1 if is_valid_ecotone_scalar(&self.scalar) => {
                Some(FeeScalars { base_fee_scalar: word(28), blob_base_fee_scalar: word(24) })
            }
            _ => None,
        }
    }

    /// Isthmus' operator fee: scalar and constant.
    pub fn operator_fee(&self) -> (u32, u64) {
        let p = &self.operator_fee_params;
        let scalar = u32::from_be_bytes([p[20], p[21], p[22], p[23]]);
        let mut constant = [0u8; 8];
        constant.copy_from_slice(&p[24..]);
        (scalar, u64::from_be_bytes(constant))
    }

    /// Sets Isthmus' operator fee.
    pub fn set_operator_fee(&mut self, scalar: u32, constant: u64) {
        self.operator_fee_params = B256::ZERO;
        self.operator_fee_params[20..24].copy_from_slice(&scalar.to_be_bytes());
        self.operator_fee_params[24..].copy_from_slice(&constant.to_be_bytes());
    }

    /// Applies the updates in an L1 block's receipts, log by log. A malformed log changes nothing
    /// and hides no other: it is returned, for the host to report. Failed transactions are skipped.
    /// `l1_time` is the timestamp of the L1 block. Spec: `system-config.md`, "System config
    /// updates".
    pub fn apply_receipts(
        &mut self,
        receipts: &[Receipt],
        config: &RollupConfig,
        l1_time: u64,
    ) -> Vec<ConfigLogError> {
        let logs = receipts.iter().filter(|receipt| receipt.success).flat_map(|r| &r.logs);
        self.apply_logs(logs.filter(|log| is_config_update(log, config)), config, l1_time)
    }

    /// Applies logs that are already known to come from the SystemConfig contract.
    pub fn apply_logs<'a>(
        &mut self,
        logs: impl Iterator<Item = &'a Log>,
        config: &RollupConfig,
        l1_time: u64,
    ) -> Vec<ConfigLogError> {
        let ecotone = config.is_active(Hardfork::Ecotone, l1_time);
        logs.filter_map(|log| self.apply_log(log, ecotone).err()).collect()
    }

    /// Applies one `ConfigUpdate` log; on error nothing has changed.
    ///
    /// # Errors
    /// When the log is malformed, of an unknown version or type, or has a value out of range.
    pub fn apply_log(&mut self, log: &Log, ecotone: bool) -> Result<(), ConfigLogError> {
        let [selector, version, kind] = log.topics() else {
            return Err(ConfigLogError::Topics(log.topics().len()));
        };
        if *selector != CONFIG_UPDATE {
            return Err(ConfigLogError::Selector(*selector));
        }
        if *version != B256::ZERO {
            return Err(ConfigLogError::Version(*version));
        }
        let unknown = ConfigLogError::Type(*kind);
        let (zeroes, last) = kind.split_at(31);
        if zeroes.iter().any(|byte| *byte != 0) {
            return Err(unknown);
        }
        let kind = last[0];
        let data = &log.data.data;
        let one = || match words(data) {
            Some([word]) => Ok(word),
            _ => Err(ConfigLogError::Encoding(kind)),
        };
        // The word's last N bytes, if the rest is zero.
        fn low<const N: usize>(kind: u8, word: B256) -> Result<[u8; N], ConfigLogError> {
            let (high, low) = word.split_at(32 - N);
            let mut out = [0; N];
            out.copy_from_slice(low);
            if high.iter().all(|byte| *byte == 0) {
                Ok(out)
            } else {
                Err(ConfigLogError::Value { kind, value: word })
            }
        }
        match kind {
            0 => self.batcher_address = low::<20>(kind, one()?)?.into(),
            1 => {
                let Some([overhead, scalar]) = words(data) else {
                    return Err(ConfigLogError::Encoding(kind));
                };
                if !ecotone {
                    self.overhead = overhead;
                    self.scalar = scalar;
                } else if is_valid_ecotone_scalar(&scalar) {
                    // The overhead has no effect from Ecotone on.
                    self.overhead = B256::ZERO;
                    self.scalar = scalar;
                } else {
                    return Err(ConfigLogError::Value { kind, value: scalar });
                }
            }
            2 => self.gas_limit = u64::from_be_bytes(low(kind, one()?)?),
            // The unsafe block signer is no part of the derived configuration.
            3 => {
                low::<20>(kind, one()?)?;
            }
            4 => {
                // The reference implementation does not look at the high bytes, others refuse them;
                // the contract writes zeroes.
                let word = one()?;
                let params = B64::new(low(kind, word)?);
                if !is_valid_eip1559_params(params) {
                    return Err(ConfigLogError::Value { kind, value: word });
                }
                self.eip1559_params = params;
            }
            5 => self.operator_fee_params = one()?,
            6 => self.min_base_fee = u64::from_be_bytes(low(kind, one()?)?),
            7 => self.da_footprint_gas_scalar = u16::from_be_bytes(low(kind, one()?)?),
            _ => return Err(unknown),
        }
        Ok(())
    }
}

/// Whether a log is a `ConfigUpdate` of this chain's SystemConfig.
pub fn is_config_update(log: &Log, config: &RollupConfig) -> bool {
    log.address == config.l1_system_config_address && log.topics().first() == Some(&CONFIG_UPDATE)
}

/// The address that a `ConfigUpdate` of type 3 names as signer of unsafe blocks.
pub fn unsafe_block_signer_update(log: &Log) -> Option<Address> {
    let [CONFIG_UPDATE, B256::ZERO, kind] = log.topics() else { return None };
    let [word] = words(&log.data.data)?;
    let (zeroes, address) = word.split_at(12);
    (*kind == B256::with_last_byte(3) && zeroes.iter().all(|byte| *byte == 0))
        .then(|| Address::from_slice(address))
}

/// The ABI encoding of one `bytes` argument that holds exactly N words.
fn words<const N: usize>(data: &[u8]) -> Option<[B256; N]> {
    if data.len() != 64 + 32 * N {
        return None;
    }
    let word = |i: usize| B256::from_slice(&data[32 * i..32 * (i + 1)]);
    let is = |i: usize, value: usize| U256::from_be_bytes(word(i).0) == U256::from(value);
    (is(0, 32) && is(1, 32 * N)).then(|| core::array::from_fn(|i| word(2 + i)))
}

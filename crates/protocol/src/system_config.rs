//! The system configuration that L1 governs.

use alloy_primitives::{Address, B64, B256};
use serde::{Deserialize, Serialize};

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

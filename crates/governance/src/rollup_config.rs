//! The rollup configuration of a deployment.

use opal_protocol::{BlockId, ConfigError, Genesis, RollupConfig, SystemConfig};

use crate::addresses::Addresses;
use crate::intent::Intent;
use crate::steps::fee_parameters;

/// What derivation must know: the intent, where the contracts are, and where both chains start.
///
/// # Errors
/// If the intent has a value that no chain can have.
pub fn rollup_config(
    intent: &Intent,
    addresses: &Addresses,
    l1_chain_id: u64,
    l1: BlockId,
    l2: BlockId,
    l2_time: u64,
) -> Result<RollupConfig, ConfigError> {
    let config = RollupConfig {
        genesis: Genesis { l1, l2, l2_time, system_config: system_config(intent) },
        block_time: intent.l2_block_time,
        max_sequencer_drift_config: intent.max_sequencer_drift,
        seq_window_size: intent.seq_window_size,
        channel_timeout_config: intent.channel_timeout,
        l1_chain_id,
        l2_chain_id: intent.l2_chain_id,
        schedule: intent.schedule(l2_time),
        pectra_blob_schedule_time: None,
        batch_inbox_address: intent.batch_inbox(),
        deposit_contract_address: addresses.optimism_portal_proxy,
        l1_system_config_address: addresses.system_config_proxy,
        chain_op_config: intent.eip1559,
        ..RollupConfig::default()
    };
    config.check()?;
    Ok(config)
}

/// The system configuration as the SystemConfig contract has it after deployment. The EIP-1559
/// parameters there are zero until its owner sets them: the chain's own hold.
pub fn system_config(intent: &Intent) -> SystemConfig {
    let (overhead, scalar) = fee_parameters(intent);
    let mut config = SystemConfig {
        batcher_address: intent.roles.batcher,
        overhead: overhead.into(),
        scalar: scalar.into(),
        gas_limit: intent.gas_limit,
        eip1559_params: Default::default(),
        operator_fee_params: Default::default(),
        min_base_fee: intent.min_base_fee,
        da_footprint_gas_scalar: intent.da_footprint_gas_scalar,
    };
    config.set_operator_fee(intent.operator_fee.scalar, intent.operator_fee.constant);
    config
}

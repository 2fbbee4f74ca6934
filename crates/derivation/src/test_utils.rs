//! What the tests of several stages share.

use opal_protocol::config::BaseFeeConfig;
use opal_protocol::{
    BlockId, Genesis, Hardfork, HardforkSchedule, L1BlockRef, RollupConfig, SystemConfig,
};

use alloy_primitives::{Address, B256};

/// A chain with all forks up to `newest` from genesis on.
pub(crate) fn config_at(newest: Hardfork) -> RollupConfig {
    RollupConfig {
        genesis: Genesis {
            l1: BlockId::default(),
            l2: BlockId::default(),
            l2_time: 0,
            system_config: SystemConfig { gas_limit: 30_000_000, ..Default::default() },
        },
        block_time: 2,
        max_sequencer_drift_config: 600,
        seq_window_size: 10,
        channel_timeout_config: 300,
        l1_chain_id: 900,
        l2_chain_id: 901,
        schedule: HardforkSchedule::at_genesis(newest),
        pectra_blob_schedule_time: None,
        batch_inbox_address: Address::repeat_byte(0xff),
        deposit_contract_address: Address::repeat_byte(0xdd),
        l1_system_config_address: Address::repeat_byte(0xcc),
        protocol_versions_address: Address::ZERO,
        chain_op_config: BaseFeeConfig::default(),
    }
}

/// A made-up L1 block, 12 seconds after the one before.
pub(crate) fn l1_ref(number: u64) -> L1BlockRef {
    let hash = |number: u64| B256::repeat_byte(number as u8);
    L1BlockRef {
        hash: hash(number),
        number,
        parent_hash: hash(number.wrapping_sub(1)),
        timestamp: 12 * number,
    }
}

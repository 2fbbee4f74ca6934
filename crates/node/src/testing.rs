//! What the tests of several modules share.
use alloy_consensus::Header;
use opal_protocol::{
    Block, BlockId, Genesis, Hardfork, HardforkSchedule, RollupConfig, SealedBlock, SystemConfig,
};

/// An L1 block of 12-second slots; `fork` makes another one of the same number.
pub(crate) fn l1_header(number: u64, fork: u8) -> Header {
    Header {
        number,
        timestamp: 12 * number,
        base_fee_per_gas: Some(7),
        extra_data: vec![fork].into(),
        ..Header::default()
    }
}

/// A chain with 6-second blocks and all forks up to Granite from this time on, if one is given.
pub(crate) fn config(granite: Option<u64>) -> RollupConfig {
    let mut schedule = HardforkSchedule::at_genesis(Hardfork::Regolith);
    for fork in
        [Hardfork::Canyon, Hardfork::Delta, Hardfork::Ecotone, Hardfork::Fjord, Hardfork::Granite]
    {
        schedule.set(fork, granite);
    }
    RollupConfig {
        genesis: Genesis {
            l1: BlockId { hash: l1_header(0, 0).hash_slow(), number: 0 },
            l2: genesis().id(),
            l2_time: 0,
            system_config: SystemConfig { gas_limit: 30_000_000, ..SystemConfig::default() },
        },
        block_time: 6,
        max_sequencer_drift_config: 600,
        seq_window_size: 3600,
        channel_timeout_config: 300,
        l1_chain_id: 900,
        l2_chain_id: 901,
        schedule,
        ..RollupConfig::default()
    }
}

/// Its first block.
pub(crate) fn genesis() -> SealedBlock {
    SealedBlock::new(Block { header: Header::default(), body: Default::default() })
}

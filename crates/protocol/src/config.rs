//! The rollup configuration: what a chain is, and what follows from its forks. How `rollup.json`
//! is read and written: `config_json`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::hardfork::TABLE;
use crate::l1_fees::L1BlobSchedule;
use crate::upgrades::UpgradeBundles;
use crate::{BlockId, Hardfork, HardforkSchedule, SystemConfig, suggest};

/// Where the rollup begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Genesis {
    /// The L1 block that the L2 genesis block has as its origin.
    pub l1: BlockId,
    /// The L2 genesis block.
    pub l2: BlockId,
    /// Timestamp of the L2 genesis block, in seconds.
    pub l2_time: u64,
    /// The system configuration at genesis.
    pub system_config: SystemConfig,
}

/// The chain's own EIP-1559 parameters (`chain_op_config`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BaseFeeConfig {
    /// Gas limit over gas target.
    #[serde(rename = "eip1559Elasticity")]
    pub elasticity: u64,
    /// Base fee change denominator before Canyon.
    #[serde(rename = "eip1559Denominator")]
    pub denominator: u64,
    /// Base fee change denominator from Canyon on.
    #[serde(rename = "eip1559DenominatorCanyon", default = "default_denominator_canyon")]
    pub denominator_canyon: u64,
}

const fn default_denominator_canyon() -> u64 {
    250
}

impl Default for BaseFeeConfig {
    fn default() -> Self {
        Self { elasticity: 6, denominator: 50, denominator_canyon: 250 }
    }
}

/// What the commitments of an alt-DA chain's batches are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommitmentType {
    /// The hash of the data, which a contract on L1 lets anyone challenge.
    #[serde(rename = "KeccakCommitment")]
    Keccak,
    /// Bytes that only the DA server understands.
    #[serde(rename = "GenericCommitment")]
    Generic,
}

/// Where a chain keeps its batches that does not post them to L1. Spec: `experimental/alt-da.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AltDaConfig {
    /// The DataAvailabilityChallenge on L1; zero for generic commitments.
    #[serde(rename = "da_challenge_contract_address", skip_serializing_if = "is_zero")]
    pub challenge_address: Address,
    /// Kind of the commitments.
    #[serde(rename = "da_commitment_type")]
    pub commitment_type: CommitmentType,
    /// L1 blocks in which a commitment can be challenged.
    #[serde(rename = "da_challenge_window")]
    pub challenge_window: u64,
    /// L1 blocks in which a challenge can be answered.
    #[serde(rename = "da_resolve_window")]
    pub resolve_window: u64,
}

impl AltDaConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let invalid =
            |field, value: &str| Err(ConfigError::Invalid { field, value: value.to_string() });
        let address = "alt_da.da_challenge_contract_address";
        match (self.commitment_type, self.challenge_address.is_zero()) {
            (CommitmentType::Keccak, true) => {
                return invalid(address, "zero with keccak commitments");
            }
            (CommitmentType::Generic, false) => {
                return invalid(address, "given with generic commitments");
            }
            _ => {}
        }
        match (self.challenge_window, self.resolve_window) {
            (0, _) => invalid("alt_da.da_challenge_window", "0"),
            (_, 0) => invalid("alt_da.da_resolve_window", "0"),
            _ => Ok(()),
        }
    }
}

/// Everything that derivation must know about a chain. The default is the base of struct updates:
/// no chain has it, and [`RollupConfig::check`] refuses it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RollupConfig {
    /// Where the rollup begins.
    pub genesis: Genesis,
    /// Seconds between L2 blocks.
    pub block_time: u64,
    /// How far L2 time may run ahead of its L1 origin, in seconds, before Fjord; see
    /// [`RollupConfig::max_sequencer_drift`].
    pub max_sequencer_drift_config: u64,
    /// Number of L1 blocks in which the batches of an epoch must appear.
    pub seq_window_size: u64,
    /// L1 blocks for which a channel stays open before Granite; see
    /// [`RollupConfig::channel_timeout`].
    pub channel_timeout_config: u64,
    /// Chain id of the L1.
    pub l1_chain_id: u64,
    /// Chain id of the L2.
    pub l2_chain_id: u64,
    /// Activation times of all forks.
    pub schedule: HardforkSchedule,
    /// Optional fix of the L1 blob base fee after L1 Prague: until this L1 time, Cancun's blob
    /// parameters stay in use. Spec: `pectra-blob-schedule/derivation.md`.
    pub pectra_blob_schedule_time: Option<u64>,
    /// L1 address that batches are sent to.
    pub batch_inbox_address: Address,
    /// The OptimismPortal on L1.
    pub deposit_contract_address: Address,
    /// The SystemConfig on L1.
    pub l1_system_config_address: Address,
    /// ProtocolVersions on L1; zero where there is none.
    pub protocol_versions_address: Address,
    /// The chain's EIP-1559 parameters.
    pub chain_op_config: BaseFeeConfig,
    /// Whether the gas that Karst's first block may use on top of the gas limit stays a part of the
    /// gas limit, until L1 sets another. So it was on chains that activated Karst with an early
    /// release of the reference node.
    pub keep_karst_upgrade_gas: bool,
    /// Chain ids of the dependency set that the chain is in, itself among them; empty without one.
    /// Matters to interop's first block. A key of our own in `rollup.json`.
    pub dependency_set: BTreeSet<u64>,
    /// SHA-256 of upgrade bundles that the chain has instead of the public ones, or that are not
    /// public. A key of our own in `rollup.json`.
    pub upgrade_bundles: BTreeMap<Hardfork, B256>,
    /// The bundles themselves, as far as they were loaded. No part of `rollup.json`.
    pub upgrades: UpgradeBundles,
    /// Where batches lie, if not on L1.
    pub alt_da: Option<AltDaConfig>,
    /// Blob parameters of an L1 that [`l1_fees`](crate::l1_fees) has no table of. No part of
    /// `rollup.json`: the L1's own genesis has them.
    pub l1_blob_schedule: Option<L1BlobSchedule>,
}

fn is_zero(address: &Address) -> bool {
    address.is_zero()
}

/// How far L2 time may run ahead of its L1 origin from Fjord on, in seconds.
pub(crate) const FJORD_MAX_SEQUENCER_DRIFT: u64 = 1800;
/// L1 blocks for which a channel stays open from Granite on.
pub(crate) const GRANITE_CHANNEL_TIMEOUT: u64 = 50;

/// Why a rollup configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is no JSON, or names a key twice.
    #[error("rollup config: {0}")]
    Json(String),
    /// A field that the configuration must have.
    #[error("rollup config: {field} is missing")]
    Missing {
        /// Path of the field.
        field: String,
    },
    /// A field that no configuration has. Nothing is passed over in silence: it could be one that
    /// changes what the chain is.
    #[error("rollup config: unknown field \"{field}\"{}", suggest::did_you_mean(nearest.as_deref()))]
    UnknownField {
        /// Path of the field.
        field: String,
        /// The field that was probably meant.
        nearest: Option<String>,
    },
    /// A field that can't be read, or contradicts another one.
    #[error("rollup config: {field}: {reason}")]
    Field {
        /// Path of the field.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A field has a value that no chain can have.
    #[error("rollup config: {field} must not be {value}")]
    Invalid {
        /// Path of the field.
        field: &'static str,
        /// The value it has.
        value: String,
    },
    /// Forks activate in the wrong order.
    #[error("rollup config: {}", fork_order(*earlier, *earlier_time, *later, *later_time))]
    ForkOrder {
        /// The fork that must come first.
        earlier: Hardfork,
        /// When it activates, if it does.
        earlier_time: Option<u64>,
        /// The fork that needs it.
        later: Hardfork,
        /// When that activates.
        later_time: Option<u64>,
    },
}

fn fork_order(
    earlier: Hardfork,
    first: Option<u64>,
    later: Hardfork,
    second: Option<u64>,
) -> String {
    let at = |time: Option<u64>| match time {
        Some(time) => alloc::format!("at {time}"),
        None => "nowhere".to_string(),
    };
    alloc::format!(
        "{later} is scheduled {} and {earlier}, which it builds on, {}; forks activate in order",
        at(second),
        at(first)
    )
}

impl RollupConfig {
    /// Reads `rollup.json` and checks it.
    ///
    /// # Errors
    /// On JSON of the wrong shape, an unknown field, or values that no chain can have.
    pub fn from_json(json: &str) -> Result<Self, ConfigError> {
        let config = crate::config_json::from_str(json)?;
        config.check()?;
        Ok(config)
    }

    /// Refuses values that no chain can have. The rules are those of the reference node, and: no
    /// EIP-1559 parameter is zero, every fork is in order and not only those up to Isthmus, and
    /// alt-DA has its windows.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        let (genesis, system) = (&self.genesis, &self.genesis.system_config);
        let fees = &self.chain_op_config;
        let at_least = [
            ("block_time", self.block_time, 1),
            ("channel_timeout", self.channel_timeout_config, 1),
            ("seq_window_size", self.seq_window_size, 2),
            ("max_sequencer_drift", self.max_sequencer_drift_config, 1),
            ("genesis.l2_time", genesis.l2_time, 1),
            ("genesis.system_config.gasLimit", system.gas_limit, 1),
            ("l1_chain_id", self.l1_chain_id, 1),
            ("l2_chain_id", self.l2_chain_id, 1),
            ("chain_op_config.eip1559Elasticity", fees.elasticity, 1),
            ("chain_op_config.eip1559Denominator", fees.denominator, 1),
            ("chain_op_config.eip1559DenominatorCanyon", fees.denominator_canyon, 1),
        ];
        for (field, value, least) in at_least {
            if value < least {
                return Err(ConfigError::Invalid { field, value: value.to_string() });
            }
        }
        let not_zero = [
            ("genesis.l1.hash", genesis.l1.hash.is_zero()),
            ("genesis.l2.hash", genesis.l2.hash.is_zero()),
            ("genesis.system_config.batcherAddr", system.batcher_address.is_zero()),
            ("genesis.system_config.scalar", system.scalar.is_zero()),
            ("batch_inbox_address", self.batch_inbox_address.is_zero()),
            ("deposit_contract_address", self.deposit_contract_address.is_zero()),
        ];
        for (field, zero) in not_zero {
            if zero {
                return Err(ConfigError::Invalid { field, value: "zero".to_string() });
            }
        }
        if genesis.l1.hash == genesis.l2.hash {
            let value = alloc::format!("{}, the hash of the L1 block", genesis.l2.hash);
            return Err(ConfigError::Invalid { field: "genesis.l2.hash", value });
        }
        if self.l1_chain_id == self.l2_chain_id {
            let value = alloc::format!("{}, the chain id of the L1", self.l2_chain_id);
            return Err(ConfigError::Invalid { field: "l2_chain_id", value });
        }
        if let Some(alt_da) = &self.alt_da {
            alt_da.check()?;
        }
        if let Some((earlier, later)) = self.schedule.out_of_order() {
            let time = |fork| self.schedule.time(fork);
            let (earlier_time, later_time) = (time(earlier), time(later));
            return Err(ConfigError::ForkOrder { earlier, earlier_time, later, later_time });
        }
        Ok(())
    }

    /// The forks that have no activation time.
    pub fn unscheduled(&self) -> Vec<Hardfork> {
        let forks = TABLE.iter().map(|row| row.fork);
        forks.filter(|fork| self.schedule.time(*fork).is_none()).collect()
    }

    /// Whether the chain probably lacks [`Self::pectra_blob_schedule_time`]: it began before its L1
    /// took Prague, and the L1 is one on which no node had the right blob parameters then.
    pub fn probably_lacks_pectra_blob_schedule(&self) -> bool {
        let prague = crate::l1_fees::PRAGUE_TIMES.iter().find(|(id, _)| *id == self.l1_chain_id);
        self.pectra_blob_schedule_time.is_none()
            && prague.is_some_and(|(_, time)| *time >= self.genesis.l2_time)
    }

    /// Whether a fork is active in an L2 block (or, where the spec says so, an L1 block) with this
    /// timestamp.
    pub fn is_active(&self, fork: Hardfork, timestamp: u64) -> bool {
        self.schedule.is_active(fork, timestamp)
    }

    /// Whether the L2 block with this timestamp is the fork's activation block: the first with the
    /// fork, its parent, one block time earlier, being without. A fork that is active in genesis
    /// has none.
    pub fn is_activation_block(&self, fork: Hardfork, l2_time: u64) -> bool {
        l2_time >= self.block_time
            && self.schedule.activates(fork, l2_time - self.block_time, l2_time)
    }

    /// How far L2 time may run ahead of the L1 origin, in seconds; `origin_time` is the timestamp
    /// of the L1 origin. Spec: `fjord/derivation.md`, "Constant maximum sequencer drift".
    pub fn max_sequencer_drift(&self, origin_time: u64) -> u64 {
        if self.is_active(Hardfork::Fjord, origin_time) {
            FJORD_MAX_SEQUENCER_DRIFT
        } else {
            self.max_sequencer_drift_config
        }
    }

    /// L1 blocks for which a channel stays open; `l1_time` is the timestamp of the L1 block that
    /// includes the frame. Spec: `granite/derivation.md`.
    pub fn channel_timeout(&self, l1_time: u64) -> u64 {
        if self.is_active(Hardfork::Granite, l1_time) {
            GRANITE_CHANNEL_TIMEOUT
        } else {
            self.channel_timeout_config
        }
    }

    /// Bytes that all channels of the bank may hold before the oldest is dropped. Spec:
    /// `fjord/derivation.md`.
    pub fn max_channel_bank_size(&self, origin_time: u64) -> u64 {
        if self.is_active(Hardfork::Fjord, origin_time) { 1_000_000_000 } else { 100_000_000 }
    }

    /// Bytes of decompressed batch data that a channel may hold; what goes beyond is cut off.
    /// Spec: `fjord/derivation.md`.
    pub fn max_rlp_bytes_per_channel(&self, origin_time: u64) -> u64 {
        if self.is_active(Hardfork::Fjord, origin_time) { 100_000_000 } else { 10_000_000 }
    }

    /// Timestamp of the L2 block with this number.
    pub const fn timestamp_of(&self, number: u64) -> u64 {
        self.genesis.l2_time.saturating_add(
            number.saturating_sub(self.genesis.l2.number).saturating_mul(self.block_time),
        )
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;

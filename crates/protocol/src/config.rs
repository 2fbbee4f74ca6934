//! The rollup configuration, field-compatible with op-node's `rollup.json`.

use alloc::string::{String, ToString};

use alloy_primitives::Address;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use serde_json::{Map, Value};

use crate::hardfork::TABLE;
use crate::{BlockId, Hardfork, HardforkSchedule, SystemConfig};

/// Where the rollup begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

/// Everything that derivation must know about a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// `rollup.json` without the fork times.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigJson {
    genesis: Genesis,
    block_time: u64,
    #[serde(default)]
    max_sequencer_drift: u64,
    seq_window_size: u64,
    channel_timeout: u64,
    l1_chain_id: u64,
    l2_chain_id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pectra_blob_schedule_time: Option<u64>,
    batch_inbox_address: Address,
    deposit_contract_address: Address,
    l1_system_config_address: Address,
    // Written by older releases of the reference node; read and passed on, never required.
    #[serde(default, skip_serializing_if = "is_zero")]
    protocol_versions_address: Address,
    #[serde(default)]
    chain_op_config: BaseFeeConfig,
}

fn is_zero(address: &Address) -> bool {
    address.is_zero()
}

impl Serialize for RollupConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = ConfigJson {
            genesis: self.genesis.clone(),
            block_time: self.block_time,
            max_sequencer_drift: self.max_sequencer_drift_config,
            seq_window_size: self.seq_window_size,
            channel_timeout: self.channel_timeout_config,
            l1_chain_id: self.l1_chain_id,
            l2_chain_id: self.l2_chain_id,
            pectra_blob_schedule_time: self.pectra_blob_schedule_time,
            batch_inbox_address: self.batch_inbox_address,
            deposit_contract_address: self.deposit_contract_address,
            l1_system_config_address: self.l1_system_config_address,
            protocol_versions_address: self.protocol_versions_address,
            chain_op_config: self.chain_op_config,
        };
        let mut value = serde_json::to_value(json).map_err(S::Error::custom)?;
        if let Value::Object(map) = &mut value {
            for row in &TABLE {
                if let (Some(key), Some(time)) = (row.rollup_key, self.schedule.time(row.fork)) {
                    map.insert(key.to_string(), time.into());
                }
            }
        }
        value.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RollupConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut map = Map::deserialize(deserializer)?;
        let mut schedule = HardforkSchedule::at_genesis(Hardfork::Bedrock);
        for row in &TABLE {
            let Some(key) = row.rollup_key else { continue };
            match map.remove(key) {
                None | Some(Value::Null) => {}
                Some(value) => {
                    let time = value.as_u64().ok_or_else(|| {
                        D::Error::custom(alloc::format!("{key}: {value} is not a time in seconds"))
                    })?;
                    schedule.set(row.fork, Some(time));
                }
            }
        }
        let json: ConfigJson =
            serde_json::from_value(Value::Object(map)).map_err(D::Error::custom)?;
        Ok(Self {
            genesis: json.genesis,
            block_time: json.block_time,
            max_sequencer_drift_config: json.max_sequencer_drift,
            seq_window_size: json.seq_window_size,
            channel_timeout_config: json.channel_timeout,
            l1_chain_id: json.l1_chain_id,
            l2_chain_id: json.l2_chain_id,
            schedule,
            pectra_blob_schedule_time: json.pectra_blob_schedule_time,
            batch_inbox_address: json.batch_inbox_address,
            deposit_contract_address: json.deposit_contract_address,
            l1_system_config_address: json.l1_system_config_address,
            protocol_versions_address: json.protocol_versions_address,
            chain_op_config: json.chain_op_config,
        })
    }
}

/// Why a rollup configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The JSON has a wrong shape.
    #[error("rollup config: {0}")]
    Json(String),
    /// A field has a value that no chain can have.
    #[error("rollup config: {field} must not be {value}")]
    Invalid {
        /// Name of the JSON field.
        field: &'static str,
        /// The value it has.
        value: String,
    },
    /// Forks activate in the wrong order.
    #[error("rollup config: {later} is scheduled before {earlier}; forks activate in order")]
    ForkOrder {
        /// The fork that must come first.
        earlier: Hardfork,
        /// The fork that needs it.
        later: Hardfork,
    },
}

impl RollupConfig {
    /// Reads `rollup.json` and checks it.
    ///
    /// # Errors
    /// On JSON of the wrong shape, an unknown field, or values that no chain can have.
    pub fn from_json(json: &str) -> Result<Self, ConfigError> {
        let config: Self =
            serde_json::from_str(json).map_err(|e| ConfigError::Json(e.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// Refuses values that no chain can have.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        let invalid = |field, value: u64| ConfigError::Invalid { field, value: value.to_string() };
        if self.block_time == 0 {
            return Err(invalid("block_time", 0));
        }
        if self.seq_window_size < 2 {
            return Err(invalid("seq_window_size", self.seq_window_size));
        }
        if self.channel_timeout_config == 0 {
            return Err(invalid("channel_timeout", 0));
        }
        if self.l1_chain_id == self.l2_chain_id {
            return Err(invalid("l2_chain_id", self.l2_chain_id));
        }
        if self.chain_op_config.elasticity == 0 || self.chain_op_config.denominator == 0 {
            return Err(invalid("chain_op_config", 0));
        }
        if self.chain_op_config.denominator_canyon == 0 {
            return Err(invalid("chain_op_config.eip1559DenominatorCanyon", 0));
        }
        if let Some((earlier, later)) = self.schedule.out_of_order() {
            return Err(ConfigError::ForkOrder { earlier, later });
        }
        Ok(())
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
            1800
        } else {
            self.max_sequencer_drift_config
        }
    }

    /// L1 blocks for which a channel stays open; `l1_time` is the timestamp of the L1 block that
    /// includes the frame. Spec: `granite/derivation.md`.
    pub fn channel_timeout(&self, l1_time: u64) -> u64 {
        if self.is_active(Hardfork::Granite, l1_time) { 50 } else { self.channel_timeout_config }
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample() -> RollupConfig {
        let mut schedule = HardforkSchedule::at_genesis(Hardfork::Granite);
        schedule.set(Hardfork::Holocene, Some(77));
        RollupConfig {
            genesis: Genesis {
                l1: BlockId::default(),
                l2: BlockId::default(),
                l2_time: 10,
                system_config: SystemConfig { gas_limit: 30_000_000, ..Default::default() },
            },
            block_time: 2,
            max_sequencer_drift_config: 600,
            seq_window_size: 3600,
            channel_timeout_config: 300,
            l1_chain_id: 900,
            l2_chain_id: 901,
            schedule,
            pectra_blob_schedule_time: None,
            batch_inbox_address: Address::ZERO,
            deposit_contract_address: Address::ZERO,
            l1_system_config_address: Address::ZERO,
            protocol_versions_address: Address::ZERO,
            chain_op_config: BaseFeeConfig::default(),
        }
    }

    #[test]
    fn json_round_trip_keeps_everything() {
        let config = sample();
        let json = serde_json::to_string(&config).unwrap();
        assert!(json.contains("\"holocene_time\":77") && !json.contains("isthmus_time"));
        assert_eq!(RollupConfig::from_json(&json).unwrap(), config);
    }

    #[test]
    fn unknown_fields_and_wrong_values_are_errors() {
        let mut value = serde_json::to_value(sample()).unwrap();
        value["custom_gas_token"] = true.into();
        let error = RollupConfig::from_json(&value.to_string()).unwrap_err();
        assert!(error.to_string().contains("custom_gas_token"), "{error}");

        let mut config = sample();
        config.block_time = 0;
        assert!(matches!(config.check(), Err(ConfigError::Invalid { field: "block_time", .. })));
        let mut config = sample();
        config.schedule.set(Hardfork::Jovian, Some(1));
        assert!(matches!(config.check(), Err(ConfigError::ForkOrder { .. })));
    }

    #[test]
    fn limits_follow_their_forks() {
        let mut config = sample();
        config.schedule = HardforkSchedule::at_genesis(Hardfork::Ecotone);
        config.schedule.set(Hardfork::Fjord, Some(100));
        config.schedule.set(Hardfork::Granite, Some(200));
        assert_eq!((config.max_sequencer_drift(99), config.max_sequencer_drift(100)), (600, 1800));
        assert_eq!((config.channel_timeout(199), config.channel_timeout(200)), (300, 50));
        assert_eq!(config.timestamp_of(3), 16);
    }
}

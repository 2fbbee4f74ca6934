//! `rollup.json`, read strictly: what the reference node writes is understood, and everything else
//! is an error that names the field.
//!
//! Beside the fields of the reference node's releases of 2026 these are read: `lagoon_time`, the
//! later name of `interop_time`; the fields in which older releases described alt-DA; the constants
//! that kona writes; and the keys of our own that the reference node's lenient reader passes over.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use alloy_primitives::Address;
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::config::{AltDaConfig, BaseFeeConfig, CommitmentType, Genesis};
use crate::hardfork::TABLE;
use crate::upgrades::UpgradeBundles;
use crate::{
    BlockId, ConfigError, Hardfork, HardforkSchedule, RollupConfig, SystemConfig, registry, suggest,
};

impl Serialize for RollupConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("genesis", &self.genesis)?;
        map.serialize_entry("block_time", &self.block_time)?;
        map.serialize_entry("max_sequencer_drift", &self.max_sequencer_drift_config)?;
        map.serialize_entry("seq_window_size", &self.seq_window_size)?;
        map.serialize_entry("channel_timeout", &self.channel_timeout_config)?;
        map.serialize_entry("l1_chain_id", &self.l1_chain_id)?;
        map.serialize_entry("l2_chain_id", &self.l2_chain_id)?;
        for row in &TABLE {
            if let (Some(key), Some(time)) = (row.rollup_key, self.schedule.time(row.fork)) {
                map.serialize_entry(key, &time)?;
            }
        }
        map.serialize_entry("batch_inbox_address", &self.batch_inbox_address)?;
        map.serialize_entry("deposit_contract_address", &self.deposit_contract_address)?;
        map.serialize_entry("l1_system_config_address", &self.l1_system_config_address)?;
        if !self.protocol_versions_address.is_zero() {
            map.serialize_entry("protocol_versions_address", &self.protocol_versions_address)?;
        }
        map.serialize_entry("chain_op_config", &self.chain_op_config)?;
        if let Some(alt_da) = &self.alt_da {
            map.serialize_entry("alt_da", alt_da)?;
        }
        if let Some(time) = self.pectra_blob_schedule_time {
            map.serialize_entry("pectra_blob_schedule_time", &time)?;
        }
        if self.keep_karst_upgrade_gas {
            map.serialize_entry("keep_karst_upgrade_gas", &true)?;
        }
        if !self.dependency_set.is_empty() {
            map.serialize_entry("dependency_set", &self.dependency_set)?;
        }
        if !self.upgrade_bundles.is_empty() {
            let bundles = serde_json::to_value(&self.upgrade_bundles).map_err(S::Error::custom)?;
            map.serialize_entry("upgrade_bundles", &bundles)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for RollupConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = StrictValue.deserialize(deserializer)?;
        read(value).map_err(D::Error::custom)
    }
}

/// Reads the JSON text of a configuration; says nothing of its values.
pub(crate) fn from_str(json: &str) -> Result<RollupConfig, ConfigError> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let value = StrictValue
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| ConfigError::Json(error.to_string()))?;
    read(value)
}

fn read(value: Value) -> Result<RollupConfig, ConfigError> {
    let mut root = Section::new(String::new(), value)?;
    let mut schedule = HardforkSchedule::at_genesis(Hardfork::Bedrock);
    for row in &TABLE {
        let Some(key) = row.rollup_key else { continue };
        let mut time: Option<u64> = root.optional(key)?;
        if row.fork == Hardfork::Interop {
            let lagoon: Option<u64> = root.optional("lagoon_time")?;
            if let (Some(interop), Some(lagoon)) = (time, lagoon)
                && interop != lagoon
            {
                return Err(root.invalid(
                    "lagoon_time",
                    format!("{lagoon}: it is another name of interop_time, which is {interop}"),
                ));
            }
            time = time.or(lagoon);
        }
        schedule.set(row.fork, time);
    }
    let genesis = read_genesis(root.section("genesis")?)?;
    let l2_chain_id = root.required("l2_chain_id")?;
    let chain_op_config = match root.optional_section("chain_op_config")? {
        Some(section) => read_base_fee(section)?,
        // Files from before the reference node had the field: it looks into the registry.
        None => registry::chains()
            .iter()
            .find(|chain| chain.chain_id == l2_chain_id)
            .map(|chain| chain.base_fee)
            .ok_or_else(|| root.missing("chain_op_config"))?,
    };
    let config = RollupConfig {
        genesis,
        block_time: root.required("block_time")?,
        max_sequencer_drift_config: root.optional("max_sequencer_drift")?.unwrap_or_default(),
        seq_window_size: root.required("seq_window_size")?,
        channel_timeout_config: root.required("channel_timeout")?,
        l1_chain_id: root.required("l1_chain_id")?,
        l2_chain_id,
        schedule,
        pectra_blob_schedule_time: root.optional("pectra_blob_schedule_time")?,
        batch_inbox_address: root.required("batch_inbox_address")?,
        deposit_contract_address: root.required("deposit_contract_address")?,
        l1_system_config_address: root.required("l1_system_config_address")?,
        protocol_versions_address: root.optional("protocol_versions_address")?.unwrap_or_default(),
        chain_op_config,
        keep_karst_upgrade_gas: root.optional("keep_karst_upgrade_gas")?.unwrap_or_default(),
        dependency_set: root.optional("dependency_set")?.unwrap_or_default(),
        upgrade_bundles: root.optional("upgrade_bundles")?.unwrap_or_default(),
        upgrades: UpgradeBundles::default(),
        alt_da: read_alt_da(&mut root)?,
        l1_blob_schedule: None,
    };
    read_constants(&mut root, &config)?;
    root.finish()?;
    Ok(config)
}

fn read_genesis(mut section: Section) -> Result<Genesis, ConfigError> {
    let genesis = Genesis {
        l1: read_block_id(section.section("l1")?)?,
        l2: read_block_id(section.section("l2")?)?,
        l2_time: section.required("l2_time")?,
        system_config: read_system_config(section.section("system_config")?)?,
    };
    section.finish()?;
    Ok(genesis)
}

fn read_block_id(mut section: Section) -> Result<BlockId, ConfigError> {
    let id = BlockId { hash: section.required("hash")?, number: section.required("number")? };
    section.finish()?;
    Ok(id)
}

fn read_system_config(mut section: Section) -> Result<SystemConfig, ConfigError> {
    let config = SystemConfig {
        batcher_address: section.required("batcherAddr")?,
        overhead: section.required("overhead")?,
        scalar: section.required("scalar")?,
        gas_limit: section.required("gasLimit")?,
        eip1559_params: section.optional("eip1559Params")?.unwrap_or_default(),
        operator_fee_params: section.optional("operatorFeeParams")?.unwrap_or_default(),
        min_base_fee: section.optional("minBaseFee")?.unwrap_or_default(),
        da_footprint_gas_scalar: section.optional("daFootprintGasScalar")?.unwrap_or_default(),
    };
    section.finish()?;
    Ok(config)
}

fn read_base_fee(mut section: Section) -> Result<BaseFeeConfig, ConfigError> {
    let config = BaseFeeConfig {
        elasticity: section.required("eip1559Elasticity")?,
        denominator: section.required("eip1559Denominator")?,
        denominator_canyon: section
            .optional("eip1559DenominatorCanyon")?
            .unwrap_or(BaseFeeConfig::default().denominator_canyon),
    };
    section.finish()?;
    Ok(config)
}

/// `alt_da`, or the fields at the top that came before it. All of them zero, as older releases
/// wrote them for every chain, is no alt-DA.
fn read_alt_da(root: &mut Section) -> Result<Option<AltDaConfig>, ConfigError> {
    let alt_da = match root.optional_section("alt_da")? {
        None => None,
        Some(mut section) => {
            let config = AltDaConfig {
                challenge_address: section
                    .optional("da_challenge_contract_address")?
                    .unwrap_or_default(),
                commitment_type: section.required("da_commitment_type")?,
                challenge_window: section.required("da_challenge_window")?,
                resolve_window: section.required("da_resolve_window")?,
            };
            section.finish()?;
            Some(config)
        }
    };
    let address: Option<Address> = root.optional("da_challenge_contract_address")?;
    let older_address: Option<Address> = root.optional("da_challenge_address")?;
    let legacy = AltDaConfig {
        challenge_address: address.or(older_address).unwrap_or_default(),
        commitment_type: CommitmentType::Keccak,
        challenge_window: root.optional("da_challenge_window")?.unwrap_or_default(),
        resolve_window: root.optional("da_resolve_window")?.unwrap_or_default(),
    };
    let plasma: bool = root.optional("use_plasma")?.unwrap_or_default();
    let nothing = legacy.challenge_address.is_zero()
        && legacy.challenge_window == 0
        && legacy.resolve_window == 0
        && !plasma;
    match alt_da {
        _ if nothing => Ok(alt_da),
        None => Ok(Some(legacy)),
        Some(config) if config == legacy => Ok(alt_da),
        Some(_) => Err(root.invalid(
            "alt_da",
            "it differs from the fields at the top that came before it (use_plasma, da_*)"
                .to_owned(),
        )),
    }
}

/// Fields of other clients that may say nothing but what is so anyway.
fn read_constants(root: &mut Section, config: &RollupConfig) -> Result<(), ConfigError> {
    let constants = [
        ("granite_channel_timeout", crate::config::GRANITE_CHANNEL_TIMEOUT),
        ("fjord_max_sequencer_drift", crate::config::FJORD_MAX_SEQUENCER_DRIFT),
    ];
    for (key, constant) in constants {
        let value: Option<u64> = root.optional(key)?;
        if let Some(value) = value.filter(|value| *value != constant) {
            let reason = format!("{value}: it is {constant} on every chain");
            return Err(root.invalid(key, reason));
        }
    }
    let key = "interop_message_expiry_window";
    let expiry: Option<u64> = root.optional(key)?;
    match (expiry, config.schedule.time(Hardfork::Interop)) {
        (Some(value), Some(_)) => {
            Err(root.invalid(key, format!("{value}: it can't be set on a chain with interop")))
        }
        // Without interop it has no meaning.
        _ => Ok(()),
    }
}

/// An object of the file: its fields are taken one by one, and none may be left at the end.
struct Section {
    /// Path of the object, with a dot at the end; empty for the whole file.
    path: String,
    map: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Section {
    fn new(path: String, value: Value) -> Result<Self, ConfigError> {
        match value {
            Value::Object(map) => Ok(Self { path, map, known: Vec::new() }),
            other => Err(ConfigError::Field {
                field: match path.trim_end_matches('.') {
                    "" => "the file".to_owned(),
                    path => path.to_owned(),
                },
                reason: format!("{} instead of an object", kind(&other)),
            }),
        }
    }

    fn field(&self, key: &str) -> String {
        format!("{}{key}", self.path)
    }

    fn missing(&self, key: &str) -> ConfigError {
        ConfigError::Missing { field: self.field(key) }
    }

    fn invalid(&self, key: &str, reason: String) -> ConfigError {
        ConfigError::Field { field: self.field(key), reason }
    }

    /// A field that may be absent or null.
    fn optional<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        self.known.push(key);
        match self.map.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|error| self.invalid(key, error.to_string())),
        }
    }

    fn required<T: DeserializeOwned>(&mut self, key: &'static str) -> Result<T, ConfigError> {
        self.optional(key)?.ok_or_else(|| self.missing(key))
    }

    fn optional_section(&mut self, key: &'static str) -> Result<Option<Self>, ConfigError> {
        let value: Option<Value> = self.optional(key)?;
        value.map(|value| Self::new(format!("{}.", self.field(key)), value)).transpose()
    }

    fn section(&mut self, key: &'static str) -> Result<Self, ConfigError> {
        self.optional_section(key)?.ok_or_else(|| self.missing(key))
    }

    /// Refuses what nobody has taken.
    fn finish(self) -> Result<(), ConfigError> {
        let Some(key) = self.map.keys().next() else { return Ok(()) };
        let nearest = suggest::nearest(key, self.known.iter().copied());
        Err(ConfigError::UnknownField {
            field: self.field(key),
            nearest: nearest.map(ToOwned::to_owned),
        })
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Reads JSON like `serde_json::Value`, but a key that an object has twice is an error: readers
/// differ in which of the two counts.
struct StrictValue;

impl<'de> DeserializeSeed<'de> for StrictValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(Self)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("key \"{key}\" stands there twice")));
            }
            let value = access.next_value_seed(Self)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

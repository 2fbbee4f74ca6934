//! Which rules a chain follows at which time.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use alloy_eips::eip1559::BaseFeeParams;
use alloy_eips::eip6110::MAINNET_DEPOSIT_CONTRACT_ADDRESS;
use alloy_eips::eip7840::BlobParams;
use alloy_genesis::{ChainConfig, Genesis};
use alloy_primitives::Address;
use opal_protocol::config::BaseFeeConfig;
use opal_protocol::hardfork::TABLE;
use opal_protocol::{Hardfork, HardforkSchedule};
use revm::primitives::hardfork::SpecId;

/// Longest encoded L1 block from Osaka on (EIP-7934).
const MAX_BLOCK_SIZE: usize = 8_388_608;

/// A chain's identity and rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSpec {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The rules, by layer.
    pub rules: Rules,
}

/// The rules of either layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Ethereum after the merge.
    L1(L1Rules),
    /// An OP chain.
    L2(L2Rules),
}

/// Ethereum's forks from Paris to Osaka. Times are in seconds; `None` means not scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L1Rules {
    /// Withdrawals.
    pub shanghai_time: Option<u64>,
    /// Blobs and the beacon root.
    pub cancun_time: Option<u64>,
    /// Requests, block-hash history, set-code transactions.
    pub prague_time: Option<u64>,
    /// Gas limit of transactions, new bounds of the blob fee.
    pub osaka_time: Option<u64>,
    /// Blob parameters with the times from which they hold, in order of time (EIP-7840, EIP-7892).
    pub blob_schedule: Vec<(u64, BlobParams)>,
    /// The contract whose logs are EIP-6110 deposit requests.
    pub deposit_contract: Address,
}

/// An OP chain's schedule and fee parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L2Rules {
    /// Activation times.
    pub schedule: HardforkSchedule,
    /// EIP-1559 parameters that hold until the system config sets others (Holocene).
    pub base_fee: BaseFeeConfig,
}

/// Why a genesis file gives no usable rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A key of the `config` section has a value of the wrong kind.
    #[error("genesis config: {key}: {reason}")]
    Field {
        /// The key.
        key: String,
        /// What is wrong with its value.
        reason: String,
    },
    /// A fork is scheduled before one that it builds on.
    #[error("genesis config: {later} is scheduled before {earlier}; forks activate in order")]
    ForkOrder {
        /// The fork that must come first.
        earlier: String,
        /// The fork that needs it.
        later: String,
    },
}

impl ChainSpec {
    /// Reads the `config` section of a genesis file in geth's format. A section named `optimism`
    /// makes it an OP chain.
    ///
    /// # Errors
    /// On values of the wrong kind, zero EIP-1559 parameters, or forks in the wrong order.
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, SpecError> {
        let config = &genesis.config;
        let rules = if config.extra_fields.contains_key("optimism") {
            Rules::L2(l2_rules(config)?)
        } else {
            Rules::L1(l1_rules(config)?)
        };
        Ok(Self { chain_id: config.chain_id, rules })
    }

    /// Whether this is an OP chain.
    pub const fn is_l2(&self) -> bool {
        matches!(self.rules, Rules::L2(_))
    }

    /// The newest OP fork at this time; `None` on an L1.
    pub fn hardfork(&self, timestamp: u64) -> Option<Hardfork> {
        match &self.rules {
            Rules::L1(_) => None,
            Rules::L2(rules) => Some(rules.schedule.at(timestamp)),
        }
    }

    /// Whether an OP fork is active; never on an L1.
    pub fn is_active(&self, fork: Hardfork, timestamp: u64) -> bool {
        match &self.rules {
            Rules::L1(_) => false,
            Rules::L2(rules) => rules.schedule.is_active(fork, timestamp),
        }
    }

    /// The EVM's fork at this time.
    pub fn evm_spec(&self, timestamp: u64) -> SpecId {
        match &self.rules {
            Rules::L1(rules) => {
                let active = |time: Option<u64>| time.is_some_and(|t| timestamp >= t);
                if active(rules.osaka_time) {
                    SpecId::OSAKA
                } else if active(rules.prague_time) {
                    SpecId::PRAGUE
                } else if active(rules.cancun_time) {
                    SpecId::CANCUN
                } else if active(rules.shanghai_time) {
                    SpecId::SHANGHAI
                } else {
                    SpecId::MERGE
                }
            }
            Rules::L2(rules) => match rules.schedule.at(timestamp) {
                Hardfork::Bedrock | Hardfork::Regolith => SpecId::MERGE,
                Hardfork::Canyon | Hardfork::Delta => SpecId::SHANGHAI,
                Hardfork::Ecotone | Hardfork::Fjord | Hardfork::Granite | Hardfork::Holocene => {
                    SpecId::CANCUN
                }
                Hardfork::Isthmus | Hardfork::Jovian => SpecId::PRAGUE,
                Hardfork::Karst | Hardfork::Interop => SpecId::OSAKA,
            },
        }
    }

    /// Whether blocks have a withdrawals list (Shanghai, Canyon).
    pub fn has_withdrawals(&self, timestamp: u64) -> bool {
        self.evm_spec(timestamp) >= SpecId::SHANGHAI
    }

    /// Whether headers carry the beacon root and blob gas fields (Cancun, Ecotone).
    pub fn has_beacon_root(&self, timestamp: u64) -> bool {
        self.evm_spec(timestamp) >= SpecId::CANCUN
    }

    /// Whether headers carry a requests hash and blocks write EIP-2935 history (Prague, Isthmus).
    pub fn has_requests(&self, timestamp: u64) -> bool {
        self.evm_spec(timestamp) >= SpecId::PRAGUE
    }

    /// The L1's blob parameters at this time; `None` before Cancun and on an OP chain.
    pub fn blob_params(&self, timestamp: u64) -> Option<BlobParams> {
        match &self.rules {
            Rules::L1(rules) => rules
                .blob_schedule
                .iter()
                .rev()
                .find(|(time, _)| timestamp >= *time)
                .map(|(_, params)| *params),
            Rules::L2(_) => None,
        }
    }

    /// Longest encoded block at this time, in bytes (EIP-7934); `None` before Osaka and on an OP
    /// chain.
    pub fn max_block_size(&self, timestamp: u64) -> Option<usize> {
        (!self.is_l2() && self.evm_spec(timestamp) >= SpecId::OSAKA).then_some(MAX_BLOCK_SIZE)
    }

    /// The chain's configured EIP-1559 parameters for a block at this time.
    pub fn base_fee_params(&self, timestamp: u64) -> BaseFeeParams {
        match &self.rules {
            Rules::L1(_) => BaseFeeParams::ethereum(),
            Rules::L2(rules) => {
                let denominator = if rules.schedule.is_active(Hardfork::Canyon, timestamp) {
                    rules.base_fee.denominator_canyon
                } else {
                    rules.base_fee.denominator
                };
                BaseFeeParams::new(denominator.into(), rules.base_fee.elasticity.into())
            }
        }
    }
}

fn l1_rules(config: &ChainConfig) -> Result<L1Rules, SpecError> {
    let forks = [
        ("shanghaiTime", config.shanghai_time),
        ("cancunTime", config.cancun_time),
        ("pragueTime", config.prague_time),
        ("osakaTime", config.osaka_time),
    ];
    for pair in forks.windows(2) {
        let [(earlier, first), (later, second)] = [pair[0], pair[1]];
        let wrong = match (first, second) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(a), Some(b)) => a > b,
        };
        if wrong {
            return Err(SpecError::ForkOrder {
                earlier: earlier.to_string(),
                later: later.to_string(),
            });
        }
    }
    let configured = config.blob_schedule_blob_params();
    let custom = |name: &str| config.blob_schedule.contains_key(name);
    let mut blob_schedule = Vec::new();
    if let Some(time) = config.cancun_time {
        let params = if custom("cancun") { configured.cancun } else { BlobParams::cancun() };
        blob_schedule.push((time, params));
    }
    if let Some(time) = config.prague_time {
        let params = if custom("prague") { configured.prague } else { BlobParams::prague() };
        blob_schedule.push((time, params));
    }
    if let Some(time) = config.osaka_time {
        let params = if custom("osaka") { configured.osaka } else { BlobParams::osaka() };
        blob_schedule.push((time, params));
    }
    blob_schedule.extend(configured.scheduled);
    // Stable: of two entries with one time the later fork stays last and wins.
    blob_schedule.sort_by_key(|(time, _)| *time);
    for (_, params) in &blob_schedule {
        if params.update_fraction == 0 || params.max_blob_count < params.target_blob_count {
            return Err(SpecError::Field {
                key: "blobSchedule".to_string(),
                reason: "max below target, or an update fraction of 0".to_string(),
            });
        }
    }
    Ok(L1Rules {
        shanghai_time: config.shanghai_time,
        cancun_time: config.cancun_time,
        prague_time: config.prague_time,
        osaka_time: config.osaka_time,
        blob_schedule,
        deposit_contract: config
            .deposit_contract_address
            .unwrap_or(MAINNET_DEPOSIT_CONTRACT_ADDRESS),
    })
}

fn l2_rules(config: &ChainConfig) -> Result<L2Rules, SpecError> {
    let mut schedule = HardforkSchedule::at_genesis(Hardfork::Bedrock);
    for row in &TABLE {
        let Some(key) = row.genesis_key else { continue };
        // A fork that is not scheduled may be absent or null.
        match config.extra_fields.get_deserialized::<Option<u64>>(key) {
            None | Some(Ok(None)) => {}
            Some(Ok(time)) => schedule.set(row.fork, time),
            Some(Err(error)) => return Err(field_error(key, error.to_string())),
        }
    }
    if let Some((earlier, later)) = schedule.out_of_order() {
        return Err(SpecError::ForkOrder {
            earlier: earlier.name().to_string(),
            later: later.name().to_string(),
        });
    }
    let base_fee = match config.extra_fields.get_deserialized::<BaseFeeConfig>("optimism") {
        Some(Ok(base_fee)) => base_fee,
        Some(Err(error)) => return Err(field_error("optimism", error.to_string())),
        None => BaseFeeConfig::default(),
    };
    for (key, value) in [
        ("optimism.eip1559Elasticity", base_fee.elasticity),
        ("optimism.eip1559Denominator", base_fee.denominator),
        ("optimism.eip1559DenominatorCanyon", base_fee.denominator_canyon),
    ] {
        if value == 0 {
            return Err(field_error(key, "must not be 0".to_string()));
        }
    }
    Ok(L2Rules { schedule, base_fee })
}

fn field_error(key: &str, reason: String) -> SpecError {
    SpecError::Field { key: key.to_string(), reason }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn spec(config: &str) -> Result<ChainSpec, SpecError> {
        let json = alloc::format!(
            r#"{{"config":{config},"gasLimit":"0x1","difficulty":"0x0","alloc":{{}}}}"#
        );
        ChainSpec::from_genesis(&serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn op_forks_are_read_by_the_table() {
        let spec = spec(
            r#"{"chainId":901,"regolithTime":0,"canyonTime":0,"deltaTime":0,"ecotoneTime":10,
                "fjordTime":null,
                "optimism":{"eip1559Elasticity":6,"eip1559Denominator":50,"eip1559DenominatorCanyon":250}}"#,
        )
        .unwrap();
        assert_eq!(spec.hardfork(9), Some(Hardfork::Delta));
        assert_eq!(spec.hardfork(10), Some(Hardfork::Ecotone));
        assert_eq!((spec.evm_spec(9), spec.evm_spec(10)), (SpecId::SHANGHAI, SpecId::CANCUN));
        assert_eq!(spec.base_fee_params(0), BaseFeeParams::new(250, 6));
        assert_eq!(spec.blob_params(10), None);
    }

    #[test]
    fn wrong_values_name_their_key() {
        let error = spec(r#"{"chainId":1,"canyonTime":"soon","optimism":{"eip1559Elasticity":6,"eip1559Denominator":50}}"#)
            .unwrap_err();
        assert!(error.to_string().contains("canyonTime"), "{error}");
        let error =
            spec(r#"{"chainId":1,"optimism":{"eip1559Elasticity":0,"eip1559Denominator":50}}"#)
                .unwrap_err();
        assert!(error.to_string().contains("eip1559Elasticity"), "{error}");
        let error = spec(r#"{"chainId":1,"shanghaiTime":5,"cancunTime":4}"#).unwrap_err();
        assert!(matches!(error, SpecError::ForkOrder { .. }));
    }

    #[test]
    fn blob_schedule_has_defaults_and_custom_entries() {
        let spec = spec(
            r#"{"chainId":1,"shanghaiTime":0,"cancunTime":0,"pragueTime":10,"osakaTime":20,"bpo1Time":30,
                "blobSchedule":{"cancun":{"target":3,"max":6,"baseFeeUpdateFraction":3338477},
                                "bpo1":{"target":10,"max":15,"baseFeeUpdateFraction":8346193}}}"#,
        )
        .unwrap();
        assert_eq!(spec.blob_params(0), Some(BlobParams::cancun()));
        assert_eq!(spec.blob_params(10), Some(BlobParams::prague()));
        assert_eq!(spec.blob_params(20), Some(BlobParams::osaka()));
        assert_eq!(spec.blob_params(30), Some(BlobParams::bpo1()));
    }
}

//! The chain config of an L1 that is none of Ethereum's public networks: derivation needs its blob
//! parameters, for the L1 attributes have the blob base fee.

use alloy_genesis::{ChainConfig, Genesis};
use opal_evm::ChainSpec;
use opal_evm::spec::Rules;
use opal_protocol::l1_fees::L1BlobSchedule;
use serde_json::Value;

/// Why the file gives no blob parameters.
#[derive(Debug, thiserror::Error)]
pub enum L1ConfigError {
    /// Neither a chain config nor a genesis.
    #[error("L1 chain config: {0}")]
    Json(#[from] serde_json::Error),
    /// A config of another chain.
    #[error("the L1 chain config is of chain {found}, not of {expected}")]
    ChainId {
        /// The rollup config's L1.
        expected: u64,
        /// The file's.
        found: u64,
    },
    /// Blobs without parameters.
    #[error("L1 chain config: blobSchedule is missing, and the chain has blobs (cancunTime)")]
    NoBlobSchedule,
    /// Rules that no chain can have.
    #[error("L1 chain config: {0}")]
    Rules(String),
}

/// The blob parameters in a chain config, or in a genesis with one under `config`. `None` where the
/// L1 is itself an OP chain: it has no blobs, and their price is always the lowest.
///
/// # Errors
/// If there are none, or the file is another chain's.
pub fn l1_blob_schedule(
    json: &str,
    l1_chain_id: u64,
) -> Result<Option<L1BlobSchedule>, L1ConfigError> {
    let mut value: Value = serde_json::from_str(json)?;
    if value.get("config").is_some_and(Value::is_object) {
        value = value["config"].take();
    }
    // The type has a default for the id.
    let found = value.get("chainId").and_then(Value::as_u64).unwrap_or_default();
    if found != l1_chain_id {
        return Err(L1ConfigError::ChainId { expected: l1_chain_id, found });
    }
    let config: ChainConfig = serde_json::from_value(value)?;
    let (cancun, schedule) = (config.cancun_time, !config.blob_schedule.is_empty());
    let spec = ChainSpec::from_genesis(&Genesis { config, ..Genesis::default() })
        .map_err(|error| L1ConfigError::Rules(error.to_string()))?;
    let Rules::L1(rules) = spec.rules else { return Ok(None) };
    if cancun.is_some() && !schedule {
        return Err(L1ConfigError::NoBlobSchedule);
    }
    let entries = rules.blob_schedule.iter().map(|(time, params)| {
        // A fraction beyond 64 bits is one at which the price never rises.
        (*time, u64::try_from(params.update_fraction).unwrap_or(u64::MAX))
    });
    Ok(Some(L1BlobSchedule::new(entries)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloy_consensus::Header;
    use alloy_primitives::U256;
    use opal_protocol::l1_fees::blob_base_fee;

    const CONFIG: &str = r#"{"chainId":77,"shanghaiTime":0,"cancunTime":10,"pragueTime":20,
        "osakaTime":30,"bpo1Time":40,"blobSchedule":{
            "cancun":{"target":3,"max":6,"baseFeeUpdateFraction":3338477},
            "prague":{"target":6,"max":9,"baseFeeUpdateFraction":5007716},
            "osaka":{"target":6,"max":9,"baseFeeUpdateFraction":5007716},
            "bpo1":{"target":10,"max":15,"baseFeeUpdateFraction":1000000}}}"#;

    fn header(timestamp: u64) -> Header {
        Header { timestamp, excess_blob_gas: Some(50_000_000), ..Header::default() }
    }

    #[test]
    fn parameters_change_with_the_forks_of_the_config() {
        let genesis = format!(r#"{{"config":{CONFIG},"alloc":{{}}}}"#);
        for json in [CONFIG, genesis.as_str()] {
            let schedule = l1_blob_schedule(json, 77).unwrap().unwrap();
            let fee = |time| schedule.blob_base_fee(&header(time));
            assert_eq!(fee(9), None);
            let cancun = blob_base_fee(77, &header(0));
            assert_eq!((fee(10), fee(19)), (cancun, cancun));
            assert!(fee(20) < cancun && fee(20) > Some(U256::ONE));
            assert_eq!((fee(20), fee(39)), (fee(30), fee(30)));
            assert!(fee(40) > cancun);
        }
    }

    #[test]
    fn files_without_the_parameters_are_refused() {
        let error = |json: &str| l1_blob_schedule(json, 77).unwrap_err().to_string();
        assert!(error("{").starts_with("L1 chain config"));
        assert!(error(r#"{"chainId":78}"#).contains("of chain 78, not of 77"));
        let no_schedule = r#"{"chainId":77,"shanghaiTime":0,"cancunTime":0}"#;
        assert!(error(no_schedule).contains("blobSchedule is missing"));
        let disorder = r#"{"chainId":77,"shanghaiTime":5,"cancunTime":4}"#;
        assert!(error(disorder).contains("cancunTime is scheduled before"));
        // Before blobs there is nothing to tell, and an OP chain has none.
        let none = l1_blob_schedule(r#"{"chainId":77}"#, 77).unwrap().unwrap();
        assert_eq!(none.blob_base_fee(&header(1)), None);
        let op = r#"{"chainId":77,"optimism":{"eip1559Elasticity":6,"eip1559Denominator":50}}"#;
        assert_eq!(l1_blob_schedule(op, 77).unwrap(), None);
    }
}

//! Payload attributes: what consensus asks execution to build.

use alloc::vec::Vec;

use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B64, B256, Bytes};
use serde::{Deserialize, Serialize};

use crate::{BlockId, L1BlockRef, L2BlockRef};

/// The Engine API's payload attributes with the OP Stack's fields.
/// Spec: `exec-engine.md`, "Extended PayloadAttributesV1"; `holocene/exec-engine.md`;
/// `jovian/exec-engine.md`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PayloadAttributes {
    /// Seconds since the Unix epoch.
    #[serde(with = "alloy_serde::quantity")]
    pub timestamp: u64,
    /// Randomness of the L1 origin.
    pub prev_randao: B256,
    /// Receives priority fees.
    pub suggested_fee_recipient: Address,
    /// From Canyon (Shanghai) on: always empty on L2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawals: Option<Vec<Withdrawal>>,
    /// From Ecotone (Cancun) on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_beacon_block_root: Option<B256>,
    /// Raw EIP-2718 transactions that open the block, deposits first. `None` on L1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<Vec<Bytes>>,
    /// When set, nothing from the pool is added.
    #[serde(default, deserialize_with = "null_is_false")]
    pub no_tx_pool: bool,
    /// Gas limit of the block; required on L2.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "alloy_serde::quantity::opt")]
    pub gas_limit: Option<u64>,
    /// From Holocene on: denominator and elasticity, 4 bytes each, big endian; zero means the
    /// chain's defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eip1559_params: Option<B64>,
    /// From Jovian on: lowest base fee, in wei. The specification calls it a quantity; op-node,
    /// op-geth and op-reth have a JSON number here, and take nothing else. Both are read.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "alloy_serde::quantity::opt::deserialize"
    )]
    pub min_base_fee: Option<u64>,
}

/// Consensus clients leave the field out, or write null, when they mean the pool to be used.
fn null_is_false<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Attributes together with the block they build on and where they came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributesWithParent {
    /// What to build.
    pub attributes: PayloadAttributes,
    /// The L2 block to build on.
    pub parent: L2BlockRef,
    /// The L1 block whose data completed the batch.
    pub derived_from: L1BlockRef,
    /// The L1 origin of the block to be built.
    pub l1_origin: BlockId,
    /// Whether the block closes its batch: from Holocene on each derived block does; before, the
    /// safe head may advance only when the last block of a span batch was applied.
    pub concluding: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_least_base_fee_is_a_number_as_other_clients_have_it() {
        let attributes = PayloadAttributes { min_base_fee: Some(5), ..Default::default() };
        let mut json = serde_json::to_value(&attributes).unwrap();
        assert_eq!(json["minBaseFee"], 5);
        for (value, read) in [
            (serde_json::json!(5), Some(5)),
            (serde_json::json!("0x5"), Some(5)),
            (serde_json::json!(u64::MAX), Some(u64::MAX)),
            (serde_json::json!(null), None),
        ] {
            json["minBaseFee"] = value;
            let attributes: PayloadAttributes = serde_json::from_value(json.clone()).unwrap();
            assert_eq!(attributes.min_base_fee, read);
        }
        json.as_object_mut().unwrap().remove("minBaseFee");
        assert_eq!(serde_json::from_value::<PayloadAttributes>(json).unwrap().min_base_fee, None);
    }
}

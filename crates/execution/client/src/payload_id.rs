//! The payload identifier as op-geth computes it, so that a node finds the same id everywhere.

use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{B64, B256, keccak256};
use alloy_rlp::Encodable;
use opal_protocol::{PayloadAttributes, TxEnvelope};
use sha2::{Digest, Sha256};

/// Names one building job.
pub type PayloadId = B64;

/// Version byte by which of the Engine API's attribute forms is used: 3 with a parent beacon root,
/// 2 with withdrawals, else 1.
const fn version(attributes: &PayloadAttributes) -> u8 {
    if attributes.parent_beacon_block_root.is_some() {
        3
    } else if attributes.withdrawals.is_some() {
        2
    } else {
        1
    }
}

/// The id of the job that builds on `parent` with these attributes: SHA-256 over parent and
/// attributes, its first byte replaced by the version of the attributes.
pub fn payload_id(parent: B256, attributes: &PayloadAttributes) -> PayloadId {
    let mut hasher = Sha256::new();
    hasher.update(parent);
    hasher.update(attributes.timestamp.to_be_bytes());
    hasher.update(attributes.prev_randao);
    hasher.update(attributes.suggested_fee_recipient);
    let mut withdrawals = Vec::new();
    attributes.withdrawals.as_deref().unwrap_or_default().to_vec().encode(&mut withdrawals);
    hasher.update(&withdrawals);
    if let Some(root) = attributes.parent_beacon_block_root {
        hasher.update(root);
    }
    let transactions = attributes.transactions.as_deref().unwrap_or_default();
    if attributes.no_tx_pool || !transactions.is_empty() {
        hasher.update([u8::from(attributes.no_tx_pool)]);
        hasher.update((transactions.len() as u64).to_be_bytes());
        for raw in transactions {
            // A transaction that does not decode makes the attributes invalid before anyone asks
            // for the id; its bytes still give a distinct one.
            let hash = TxEnvelope::decode_2718(&mut raw.as_ref())
                .map_or_else(|_| keccak256(raw), |tx| tx.tx_hash());
            hasher.update(hash);
        }
    }
    if let Some(gas_limit) = attributes.gas_limit {
        hasher.update(gas_limit.to_be_bytes());
    }
    if let Some(params) = attributes.eip1559_params {
        hasher.update(params);
    }
    if let Some(fee) = attributes.min_base_fee {
        hasher.update(fee.to_be_bytes());
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let mut id = [0u8; 8];
    id.copy_from_slice(&digest[..8]);
    id[0] = version(attributes);
    PayloadId::from(id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_field_changes_the_id() {
        let base = PayloadAttributes { timestamp: 1, ..Default::default() };
        let id = |change: fn(&mut PayloadAttributes)| {
            let mut attributes = base.clone();
            change(&mut attributes);
            payload_id(B256::ZERO, &attributes)
        };
        let ids = [
            id(|_| {}),
            id(|a| a.timestamp = 2),
            id(|a| a.prev_randao = B256::repeat_byte(1)),
            id(|a| a.withdrawals = Some(Vec::new())),
            id(|a| a.parent_beacon_block_root = Some(B256::ZERO)),
            id(|a| a.no_tx_pool = true),
            id(|a| a.gas_limit = Some(1)),
            id(|a| a.eip1559_params = Some(B64::repeat_byte(1))),
            id(|a| a.min_base_fee = Some(0)),
        ];
        for (i, one) in ids.iter().enumerate() {
            assert!(ids[i + 1..].iter().all(|other| other != one), "{i}");
        }
        assert_eq!((ids[0][0], ids[3][0], ids[4][0]), (1, 2, 3));
    }
}

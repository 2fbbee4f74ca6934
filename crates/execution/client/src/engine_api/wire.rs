//! What else crosses the wire: labels, statuses, built payloads.

use alloy_eips::eip7594::BlobTransactionSidecarVariant;
use alloy_primitives::{B256, Bytes, U256};
use serde::{Deserialize, Serialize};

use super::ExecutionPayload;
use crate::builder::BuiltPayload;
use crate::engine::{ForkchoiceState, ForkchoiceUpdated, PayloadStatus};
use crate::payload_id::PayloadId;

/// The labels of a `forkchoiceUpdated` call.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForkchoiceStateV1 {
    /// End of the canonical chain.
    pub head_block_hash: B256,
    /// Zero when not known.
    pub safe_block_hash: B256,
    /// Zero when not known.
    pub finalized_block_hash: B256,
}

impl From<ForkchoiceStateV1> for ForkchoiceState {
    fn from(state: ForkchoiceStateV1) -> Self {
        Self {
            head: state.head_block_hash,
            safe: state.safe_block_hash,
            finalized: state.finalized_block_hash,
        }
    }
}

impl From<ForkchoiceState> for ForkchoiceStateV1 {
    fn from(state: ForkchoiceState) -> Self {
        Self {
            head_block_hash: state.head,
            safe_block_hash: state.safe,
            finalized_block_hash: state.finalized,
        }
    }
}

/// A status in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// The block and its ancestors are valid.
    Valid,
    /// They are not.
    Invalid,
    /// An ancestor is missing.
    Syncing,
    /// The block was stored, and not executed; never given by Opal.
    Accepted,
    /// The hash is not the block's (version 1 only).
    InvalidBlockHash,
}

/// What the engine says of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PayloadStatusV1 {
    /// In one word.
    pub status: Status,
    /// The newest valid ancestor, if known.
    pub latest_valid_hash: Option<B256>,
    /// The broken rule.
    #[serde(default)]
    pub validation_error: Option<String>,
}

impl PayloadStatusV1 {
    /// A block of which nothing else is known.
    pub(super) const fn invalid(error: String) -> Self {
        Self { status: Status::Invalid, latest_valid_hash: None, validation_error: Some(error) }
    }
}

impl From<PayloadStatus> for PayloadStatusV1 {
    fn from(status: PayloadStatus) -> Self {
        match status {
            PayloadStatus::Valid { latest_valid_hash } => Self {
                status: Status::Valid,
                latest_valid_hash: Some(latest_valid_hash),
                validation_error: None,
            },
            PayloadStatus::Invalid { latest_valid_hash, error } => {
                Self { latest_valid_hash, ..Self::invalid(error) }
            }
            PayloadStatus::Syncing => {
                Self { status: Status::Syncing, latest_valid_hash: None, validation_error: None }
            }
        }
    }
}

/// Answer of `forkchoiceUpdated`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForkchoiceUpdatedV1 {
    /// Status of the head.
    pub payload_status: PayloadStatusV1,
    /// The building job, when attributes were given.
    #[serde(default)]
    pub payload_id: Option<PayloadId>,
}

impl From<ForkchoiceUpdated> for ForkchoiceUpdatedV1 {
    fn from(updated: ForkchoiceUpdated) -> Self {
        Self { payload_status: updated.status.into(), payload_id: updated.payload_id }
    }
}

/// Blobs of a payload, each with its commitment; one proof of each blob, or of each of its cells in
/// version 2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobsBundle {
    /// 48 bytes each.
    pub commitments: Vec<Bytes>,
    /// 48 bytes each.
    pub proofs: Vec<Bytes>,
    /// 131,072 bytes each.
    pub blobs: Vec<Bytes>,
}

/// Answer of `getPayload` from version 2 on; later versions add fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The payload.
    pub execution_payload: ExecutionPayload,
    /// What its proposer earns, in wei.
    #[serde(default)]
    pub block_value: U256,
    /// From version 3 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blobs_bundle: Option<BlobsBundle>,
    /// From version 3 on; never true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub should_override_builder: Option<bool>,
    /// On an OP chain from version 3 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_beacon_block_root: Option<B256>,
    /// From version 4 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_requests: Option<Vec<Bytes>>,
}

impl Envelope {
    pub(super) fn new(
        built: &BuiltPayload,
        version: u8,
        l2: bool,
        isthmus: bool,
    ) -> Result<Self, String> {
        let root = built.block.header().parent_beacon_block_root;
        let blobs = || blobs_bundle(built, version >= 5);
        Ok(Self {
            execution_payload: ExecutionPayload::from_block(&built.block, isthmus),
            block_value: built.value,
            blobs_bundle: (version >= 3).then(blobs).transpose()?,
            should_override_builder: (version >= 3).then_some(false),
            parent_beacon_block_root: root.filter(|_| l2 && version >= 3),
            execution_requests: (version >= 4).then(|| built.requests.clone()),
        })
    }
}

fn blobs_bundle(built: &BuiltPayload, cells: bool) -> Result<BlobsBundle, String> {
    let mut bundle = BlobsBundle::default();
    for (hash, sidecar) in &built.sidecars {
        let (blobs, commitments) = match (&**sidecar, cells) {
            (BlobTransactionSidecarVariant::Eip4844(sidecar), false) => {
                bundle.proofs.extend(sidecar.proofs.iter().map(|proof| proof.to_vec().into()));
                (&sidecar.blobs, &sidecar.commitments)
            }
            (BlobTransactionSidecarVariant::Eip7594(sidecar), true) => {
                bundle.proofs.extend(sidecar.cell_proofs.iter().map(|proof| proof.to_vec().into()));
                (&sidecar.blobs, &sidecar.commitments)
            }
            _ => {
                return Err(format!("the blobs of transaction {hash} have proofs of another fork"));
            }
        };
        bundle.blobs.extend(blobs.iter().map(|blob| blob.to_vec().into()));
        bundle.commitments.extend(commitments.iter().map(|item| item.to_vec().into()));
    }
    Ok(bundle)
}

//! Output roots: the commitments to L2 state that withdrawals are proven against.
//! Spec: `proposals.md`, "L2 Output Commitment Construction".

use alloy_primitives::{B256, keccak256};

/// What a version 0 output root commits to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputV0 {
    /// State root of the L2 block.
    pub state_root: B256,
    /// Storage root of the L2ToL1MessagePasser.
    #[serde(rename = "withdrawalStorageRoot")]
    pub withdrawals_storage_root: B256,
    /// Hash of the L2 block.
    pub block_hash: B256,
}

impl OutputV0 {
    /// The output root.
    pub fn root(&self) -> B256 {
        output_root_v0(self.state_root, self.withdrawals_storage_root, self.block_hash)
    }
}

/// `keccak256(version 0 ++ state_root ++ withdrawals_storage_root ++ block_hash)`.
pub fn output_root_v0(state_root: B256, withdrawals_storage_root: B256, block_hash: B256) -> B256 {
    let mut input = [0u8; 128];
    input[32..64].copy_from_slice(state_root.as_slice());
    input[64..96].copy_from_slice(withdrawals_storage_root.as_slice());
    input[96..].copy_from_slice(block_hash.as_slice());
    keccak256(input)
}

//! What the proposer asks of the rollup node.

use alloy_primitives::{B256, U64};
use opal_protocol::output::output_root_v0;
use opal_protocol::{L1BlockRef, L2BlockRef};
use opal_service::endpoint::{CallError, Endpoint};
use serde::Deserialize;

/// The part of `optimism_syncStatus` that the proposer reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct SyncStatus {
    /// L1 block that derivation has read last.
    pub current_l1: L1BlockRef,
    /// Tip of the L1.
    pub head_l1: L1BlockRef,
    /// Newest L2 block derived from L1.
    pub safe_l2: L2BlockRef,
    /// Newest L2 block derived from finalized L1 blocks.
    pub finalized_l2: L2BlockRef,
}

/// The output of an L2 block, checked against its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// The block's hash.
    pub block_hash: B256,
    /// The output root.
    pub root: B256,
    /// Storage root of the L2ToL1MessagePasser: it changes with every withdrawal.
    pub withdrawals_root: B256,
}

/// Answer of `optimism_outputAtBlock`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OutputResponse {
    version: B256,
    output_root: B256,
    block_ref: L2BlockRef,
    withdrawal_storage_root: B256,
    state_root: B256,
}

/// The node's heads.
pub(crate) async fn sync_status(rollup: &Endpoint) -> Result<SyncStatus, CallError> {
    rollup.request("optimism_syncStatus", ()).await
}

/// The output of the canonical L2 block with this number.
pub(crate) async fn output_at(rollup: &Endpoint, number: u64) -> Result<Output, CallError> {
    const METHOD: &str = "optimism_outputAtBlock";
    let answer = rollup.request(METHOD, (U64::from(number),)).await?;
    check(&answer, number).map_err(|reason| rollup.error(format!("{METHOD}: {reason}")))
}

fn check(answer: &OutputResponse, number: u64) -> Result<Output, String> {
    let OutputResponse { version, output_root, block_ref, withdrawal_storage_root, state_root } =
        *answer;
    if version != B256::ZERO {
        return Err(format!("the output of block {number} has version {version}, expected zero"));
    }
    if block_ref.number != number {
        return Err(format!("asked for block {number}, got {}", block_ref.number));
    }
    let root = output_root_v0(state_root, withdrawal_storage_root, block_ref.hash);
    if root != output_root {
        return Err(format!("output root {output_root} of block {number}: its parts give {root}"));
    }
    Ok(Output { block_hash: block_ref.hash, root, withdrawals_root: withdrawal_storage_root })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_must_be_what_its_parts_give() {
        let hash = B256::repeat_byte;
        let block_ref = L2BlockRef { number: 7, hash: hash(3), ..L2BlockRef::default() };
        let good = OutputResponse {
            version: B256::ZERO,
            output_root: output_root_v0(hash(1), hash(2), hash(3)),
            block_ref,
            withdrawal_storage_root: hash(2),
            state_root: hash(1),
        };
        let output =
            Output { block_hash: hash(3), root: good.output_root, withdrawals_root: hash(2) };
        assert_eq!(check(&good, 7), Ok(output));
        for (bad, number, expected) in [
            (good, 8, "asked for block 8, got 7"),
            (OutputResponse { version: hash(1), ..good }, 7, "version"),
            (OutputResponse { output_root: hash(9), ..good }, 7, "its parts give"),
            (OutputResponse { state_root: hash(9), ..good }, 7, "its parts give"),
        ] {
            let error = check(&bad, number);
            assert!(error.as_ref().is_err_and(|e| e.contains(expected)), "{error:?}");
        }
    }
}

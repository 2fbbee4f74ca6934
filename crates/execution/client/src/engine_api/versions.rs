//! Which version of a method is for which fork, and which fields it has.
//!
//! | method | forks (Ethereum) | forks (OP Stack) |
//! |---|---|---|
//! | forkchoiceUpdated, newPayload V1 | Paris | Bedrock, Regolith |
//! | V2 | Paris, Shanghai | up to Delta |
//! | V3 | from Cancun on; newPayload: Cancun | from Ecotone on; newPayload: to Holocene |
//! | newPayload V4 | from Prague on | from Isthmus on |
//! | getPayload V1, V2, V3 | as newPayload | as newPayload |
//! | getPayload V4 | Prague | from Isthmus on |
//! | getPayload V5 | from Osaka on | from Karst on |
//!
//! Clients of the OP Stack call getPayloadV4 or V5 on a chain with Karst; both are answered.

use alloy_primitives::{B256, Bytes};
use opal_evm::ChainSpec;
use opal_protocol::PayloadAttributes;
use revm::primitives::hardfork::SpecId;

use super::ExecutionPayload;
use super::error::{self, ApiResult};
use crate::payload_id::PayloadId;

/// What newer versions of newPayload have beside the payload.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub versioned_hashes: Option<Vec<B256>>,
    pub parent_beacon_block_root: Option<B256>,
    pub requests: Option<Vec<Bytes>>,
}

/// Refuses with the first error whose condition holds.
fn refuse<const N: usize>(
    conditions: [(bool, &str); N],
    error: fn(&str) -> jsonrpsee::types::ErrorObjectOwned,
) -> ApiResult<()> {
    match conditions.into_iter().find(|(holds, _)| *holds) {
        Some((_, text)) => Err(error(text)),
        None => Ok(()),
    }
}

pub(super) fn check_attributes(
    spec: &ChainSpec,
    version: u8,
    attributes: &PayloadAttributes,
) -> ApiResult<()> {
    let fork = spec.evm_spec(attributes.timestamp);
    let withdrawals = attributes.withdrawals.is_some();
    let beacon_root = attributes.parent_beacon_block_root.is_some();
    match version {
        1 => refuse(
            [
                (withdrawals || beacon_root, "withdrawals and beacon root not supported in V1"),
                (fork >= SpecId::SHANGHAI, "fcuV1 called post-shanghai"),
            ],
            |text| error::params(text),
        ),
        2 => {
            refuse(
                [
                    (beacon_root, "unexpected beacon root"),
                    (fork < SpecId::SHANGHAI && withdrawals, "withdrawals before shanghai"),
                    (fork == SpecId::SHANGHAI && !withdrawals, "missing withdrawals"),
                ],
                |text| error::attributes(text),
            )?;
            let text = "fcuV2 must only be called with paris or shanghai payloads";
            refuse([(fork >= SpecId::CANCUN, text)], |text| error::unsupported_fork(text))
        }
        _ => {
            refuse(
                [(!withdrawals, "missing withdrawals"), (!beacon_root, "missing beacon root")],
                |text| error::attributes(text),
            )?;
            let text = "fcuV3 must only be called for cancun/prague/osaka payloads";
            refuse([(fork < SpecId::CANCUN, text)], |text| error::unsupported_fork(text))
        }
    }
}

pub(super) fn check_payload(
    spec: &ChainSpec,
    version: u8,
    payload: &ExecutionPayload,
    extra: &Extra,
) -> ApiResult<()> {
    let fork = spec.evm_spec(payload.timestamp);
    let withdrawals = payload.withdrawals.is_some();
    let excess = payload.excess_blob_gas.is_some();
    let blob_gas = payload.blob_gas_used.is_some();
    if version <= 2 {
        let shanghai = fork >= SpecId::SHANGHAI;
        return refuse(
            [
                (version == 1 && withdrawals, "withdrawals not supported in V1"),
                (version == 1 && shanghai, "newPayloadV1 called post-shanghai"),
                (fork >= SpecId::CANCUN, "can't use newPayloadV2 post-cancun"),
                (shanghai && !withdrawals, "nil withdrawals post-shanghai"),
                (!shanghai && withdrawals, "non-nil withdrawals pre-shanghai"),
                (excess, "non-nil excessBlobGas pre-cancun"),
                (blob_gas, "non-nil blobGasUsed pre-cancun"),
            ],
            |text| error::params(text),
        );
    }
    refuse(
        [
            (!withdrawals, "nil withdrawals post-shanghai"),
            (!excess, "nil excessBlobGas post-cancun"),
            (!blob_gas, "nil blobGasUsed post-cancun"),
            (extra.versioned_hashes.is_none(), "nil versionedHashes post-cancun"),
            (extra.parent_beacon_block_root.is_none(), "nil beaconRoot post-cancun"),
            (version >= 4 && extra.requests.is_none(), "nil executionRequests post-prague"),
        ],
        |text| error::params(text),
    )?;
    let (wrong, text) = match version {
        3 => (fork != SpecId::CANCUN, "newPayloadV3 must only be called for cancun payloads"),
        _ => (fork < SpecId::PRAGUE, "newPayloadV4 must only be called for prague/osaka payloads"),
    };
    refuse([(wrong, text)], |text| error::unsupported_fork(text))
}

/// The first byte of an id is the version of the attributes, so that a job is not asked for by a
/// method of another fork.
pub(super) fn check_id(version: u8, id: PayloadId) -> ApiResult<()> {
    let fits = match version {
        1 => id[0] == 1,
        2 => id[0] == 1 || id[0] == 2,
        _ => id[0] == 3,
    };
    refuse([(!fits, "the payload was begun by another version")], |text| {
        error::unsupported_fork(text)
    })
}

/// Whether the method is for the fork at a block's time.
pub(super) fn check_get(spec: &ChainSpec, version: u8, timestamp: u64) -> ApiResult<()> {
    let fork = spec.evm_spec(timestamp);
    let fits = match version {
        1 => fork < SpecId::SHANGHAI,
        2 => fork < SpecId::CANCUN,
        3 => fork == SpecId::CANCUN,
        4 => fork == SpecId::PRAGUE || (spec.is_l2() && fork == SpecId::OSAKA),
        _ => fork >= SpecId::OSAKA,
    };
    refuse([(!fits, "the payload is of another fork")], |text| error::unsupported_fork(text))
}

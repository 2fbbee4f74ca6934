//! Blobs of the pool, for a consensus client that has seen their hashes in a block and spares itself
//! the way over its own network.

use alloy_eips::eip7594::{BlobTransactionSidecarVariant, CELLS_PER_EXT_BLOB};
use alloy_primitives::{B256, Bytes};
use revm::primitives::hardfork::SpecId;
use serde::Serialize;

use super::Registry;
use super::error::{self, ApiResult};
use crate::engine::LocalEngine;
use crate::pool::Sidecar;
use crate::rpc::params::Args;

/// Blobs that one request may ask for. Spec: `engine/cancun.md`, "engine_getBlobsV1".
const MAX_BLOBS: usize = 128;

/// A blob with the proof of it as a whole.
#[derive(Clone, Debug, Serialize)]
struct BlobAndProofV1 {
    blob: Bytes,
    proof: Bytes,
}

/// A blob with the proofs of its cells.
#[derive(Clone, Debug, Serialize)]
struct BlobAndProofV2 {
    blob: Bytes,
    proofs: Vec<Bytes>,
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("engine_getBlobsV1", |engine, params| {
        let hashes = requested(params)?;
        let fork = head_fork(engine);
        if fork < SpecId::CANCUN || fork >= SpecId::OSAKA {
            let text = "engine_getBlobsV1 is only available at Cancun/Prague fork";
            return Err(error::unsupported_fork(text));
        }
        let found = engine.chain().pool().blobs(&hashes).into_iter();
        Ok(found.map(|found| found.as_ref().and_then(with_proof)).collect::<Vec<_>>())
    });
    registry.add("engine_getBlobsV2", |engine, params| {
        let blobs = with_all_cell_proofs(engine, params)?;
        // All or nothing.
        Ok(blobs.and_then(|blobs| blobs.into_iter().collect::<Option<Vec<_>>>()))
    });
    registry.add("engine_getBlobsV3", with_all_cell_proofs);
}

/// What there is of the blobs with proofs of cells; `None` before Osaka.
fn with_all_cell_proofs(
    engine: &LocalEngine,
    params: &Args<'_>,
) -> ApiResult<Option<Vec<Option<BlobAndProofV2>>>> {
    let hashes = requested(params)?;
    if head_fork(engine) < SpecId::OSAKA {
        return Ok(None);
    }
    let found = engine.chain().pool().blobs(&hashes).into_iter();
    Ok(Some(found.map(|found| found.as_ref().and_then(with_cell_proofs)).collect()))
}

fn requested(params: &Args<'_>) -> ApiResult<Vec<B256>> {
    let hashes: Vec<B256> = params.sequence().next()?;
    if hashes.len() > MAX_BLOBS {
        return Err(error::too_large(format!("requested blob count too large: {}", hashes.len())));
    }
    Ok(hashes)
}

fn head_fork(engine: &LocalEngine) -> SpecId {
    engine.chain().spec().evm_spec(engine.head().header().timestamp)
}

fn with_proof((sidecar, index): &(Sidecar, usize)) -> Option<BlobAndProofV1> {
    let BlobTransactionSidecarVariant::Eip4844(sidecar) = &**sidecar else { return None };
    Some(BlobAndProofV1 {
        blob: sidecar.blobs.get(*index)?.to_vec().into(),
        proof: sidecar.proofs.get(*index)?.to_vec().into(),
    })
}

fn with_cell_proofs((sidecar, index): &(Sidecar, usize)) -> Option<BlobAndProofV2> {
    let BlobTransactionSidecarVariant::Eip7594(sidecar) = &**sidecar else { return None };
    let from = index.checked_mul(CELLS_PER_EXT_BLOB)?;
    let proofs = sidecar.cell_proofs.get(from..)?.get(..CELLS_PER_EXT_BLOB)?;
    Some(BlobAndProofV2 {
        blob: sidecar.blobs.get(*index)?.to_vec().into(),
        proofs: proofs.iter().map(|proof| proof.to_vec().into()).collect(),
    })
}

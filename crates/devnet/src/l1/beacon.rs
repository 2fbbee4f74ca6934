//! The beacon REST API: what a rollup node asks a consensus client for.
//!
//! Spec: ethereum/beacon-APIs. Served are genesis and spec, headers, blobs in the current form
//! (`/blobs/{id}`) and in the older one (`/blob_sidecars/{id}`), and the node's own state. A block
//! id is `head`, `genesis`, `justified`, `finalized`, a slot or a block root.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use alloy_eips::eip4844::Bytes48;
use alloy_primitives::{B256, Bytes, hex};
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::blob_store::{BeaconBlock, BlobStore, StoredBlob};
use super::slots::SlotClock;
use super::ssz::inclusion_proof;

/// What the API answers from.
#[derive(Clone, Debug)]
pub struct BeaconApi {
    /// Blocks and blobs; the producer writes them.
    pub store: Arc<RwLock<BlobStore>>,
    /// Slots of the chain.
    pub clock: SlotClock,
    /// Chain id of the L1.
    pub chain_id: u64,
    /// Name of the consensus fork that wraps the execution fork, e.g. `electra`.
    pub consensus_fork: &'static str,
    /// Most blobs that a block may hold.
    pub max_blobs: u64,
}

impl BeaconApi {
    /// The routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/eth/v1/beacon/genesis", get(genesis))
            .route("/eth/v1/config/spec", get(spec))
            .route("/eth/v1/beacon/headers/{block_id}", get(header))
            .route("/eth/v1/beacon/blobs/{block_id}", get(blobs))
            .route("/eth/v1/beacon/blob_sidecars/{block_id}", get(blob_sidecars))
            .route("/eth/v1/node/version", get(version))
            .route("/eth/v1/node/syncing", get(syncing))
            .route("/eth/v1/node/health", get(|| async { StatusCode::OK }))
            .fallback(no_such_route)
            .with_state(self)
    }

    fn store(&self) -> RwLockReadGuard<'_, BlobStore> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The block that an id names, and whether it is finalized.
    fn block(&self, id: &str) -> Result<(BeaconBlock, bool), ApiError> {
        let store = self.store();
        let block = match id {
            "head" => store.by_slot(store.head_slot()),
            "genesis" => store.by_slot(0),
            "justified" => store.by_slot(store.safe_slot()),
            "finalized" => store.by_slot(store.finalized_slot()),
            _ if id.starts_with("0x") => {
                let root = id.parse().map_err(|_| ApiError::bad("block ID", id))?;
                store.by_root(root)
            }
            _ => store.by_slot(id.parse().map_err(|_| ApiError::bad("block ID", id))?),
        };
        let block = block.ok_or_else(|| ApiError::not_found(format!("no block for ID {id:?}")))?;
        Ok((block.clone(), block.header.slot <= store.finalized_slot()))
    }
}

/// An answer other than 200, in the API's form.
#[derive(Debug)]
struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    fn bad(what: &str, value: &str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: format!("invalid {what}: {value:?}") }
    }

    const fn not_found(message: String) -> Self {
        Self { status: StatusCode::NOT_FOUND, message }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "code": self.status.as_u16(), "message": self.message });
        (self.status, Json(body)).into_response()
    }
}

async fn no_such_route(uri: Uri) -> ApiError {
    ApiError::not_found(format!("this beacon API has no route {}", uri.path()))
}

async fn version() -> Json<Value> {
    Json(json!({ "data": { "version": concat!("Opal/v", env!("CARGO_PKG_VERSION")) } }))
}

async fn syncing(State(api): State<BeaconApi>) -> Json<Value> {
    let head_slot = api.store().head_slot();
    Json(json!({ "data": {
        "head_slot": head_slot.to_string(),
        "sync_distance": "0",
        "is_syncing": false,
        "is_optimistic": false,
        "el_offline": false,
    } }))
}

async fn genesis(State(api): State<BeaconApi>) -> Json<Value> {
    Json(json!({ "data": {
        "genesis_time": api.clock.genesis_time().to_string(),
        // There are no validators; the root of the genesis block names the chain.
        "genesis_validators_root": api.store().genesis_root(),
        "genesis_fork_version": fork_version(api.chain_id),
    } }))
}

async fn spec(State(api): State<BeaconApi>) -> Json<Value> {
    let seconds = api.clock.slot_seconds();
    Json(json!({ "data": {
        "CONFIG_NAME": "opal",
        "PRESET_BASE": "mainnet",
        "GENESIS_FORK_VERSION": fork_version(api.chain_id),
        "SECONDS_PER_SLOT": seconds.to_string(),
        "SLOT_DURATION_MS": seconds.saturating_mul(1000).to_string(),
        "SECONDS_PER_ETH1_BLOCK": seconds.to_string(),
        "SLOTS_PER_EPOCH": "32",
        "DEPOSIT_CHAIN_ID": api.chain_id.to_string(),
        "DEPOSIT_NETWORK_ID": api.chain_id.to_string(),
        "MAX_BLOBS_PER_BLOCK": api.max_blobs.to_string(),
        "MAX_BLOBS_PER_BLOCK_ELECTRA": api.max_blobs.to_string(),
        "MAX_BLOB_COMMITMENTS_PER_BLOCK": "4096",
        "FIELD_ELEMENTS_PER_BLOB": "4096",
    } }))
}

/// The low four bytes of the chain id.
fn fork_version(chain_id: u64) -> Bytes {
    Bytes::copy_from_slice(&(chain_id as u32).to_be_bytes())
}

async fn header(
    State(api): State<BeaconApi>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let (block, finalized) = api.block(&id)?;
    Ok(Json(json!({
        "execution_optimistic": false,
        "finalized": finalized,
        "data": {
            "root": block.root,
            "canonical": true,
            "header": signed_header(&block),
        },
    })))
}

/// Blobs of a block in the block's order; with `versioned_hashes`, only those. A hash that is asked
/// for twice is answered twice if the block holds the blob twice.
async fn blobs(
    State(api): State<BeaconApi>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, ApiError> {
    let mut wanted = query_values(query.as_deref(), "versioned_hashes")
        .map(|value| value.parse::<B256>().map_err(|_| ApiError::bad("versioned hash", value)))
        .collect::<Result<Vec<_>, _>>()?;
    let all = wanted.is_empty();
    let (block, finalized) = api.block(&id)?;
    let data: Vec<String> = stored_blobs(&block)?
        .iter()
        .filter(|blob| {
            let position = wanted.iter().position(|hash| *hash == blob.versioned_hash);
            position.map(|i| wanted.swap_remove(i)).is_some() || all
        })
        .map(|blob| hex::encode_prefixed(blob.blob()))
        .collect();
    Ok(Json(json!({ "execution_optimistic": false, "finalized": finalized, "data": data })))
}

/// Blobs of a block with commitments and proofs; with `indices`, only those.
async fn blob_sidecars(
    State(api): State<BeaconApi>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, ApiError> {
    let wanted = query_values(query.as_deref(), "indices")
        .map(|value| value.parse::<usize>().map_err(|_| ApiError::bad("blob index", value)))
        .collect::<Result<Vec<_>, _>>()?;
    let (block, finalized) = api.block(&id)?;
    let stored = stored_blobs(&block)?;
    let indices: Vec<_> =
        (0..stored.len()).filter(|i| wanted.is_empty() || wanted.contains(i)).collect();
    // A proof that has to be computed takes tens of milliseconds.
    let data = tokio::task::spawn_blocking(move || {
        indices.into_iter().map(|i| sidecar(&block, &stored, i)).collect::<Result<Vec<_>, _>>()
    })
    .await
    .map_err(|error| internal(&error))??;
    Ok(Json(json!({
        "version": api.consensus_fork,
        "execution_optimistic": false,
        "finalized": finalized,
        "data": data,
    })))
}

fn internal(error: &dyn std::fmt::Display) -> ApiError {
    ApiError { status: StatusCode::INTERNAL_SERVER_ERROR, message: error.to_string() }
}

fn stored_blobs(block: &BeaconBlock) -> Result<Arc<Vec<StoredBlob>>, ApiError> {
    block.blobs.clone().ok_or_else(|| {
        ApiError::not_found(format!("the blobs of slot {} have been pruned", block.header.slot))
    })
}

fn sidecar(block: &BeaconBlock, blobs: &[StoredBlob], index: usize) -> Result<Value, ApiError> {
    let missing = || ApiError::not_found(format!("no blob {index}"));
    let stored = blobs.get(index).ok_or_else(missing)?;
    let branch =
        inclusion_proof(block.execution.hash, &block.commitments, index).ok_or_else(missing)?;
    let blob = stored.blob();
    let proof = match stored.proof {
        Some(proof) => proof,
        None => blob_proof(&blob, &stored.commitment).map_err(|error| internal(&error))?,
    };
    Ok(json!({
        "index": index.to_string(),
        "blob": hex::encode_prefixed(&blob),
        "kzg_commitment": stored.commitment,
        "kzg_proof": proof,
        "signed_block_header": signed_header(block),
        "kzg_commitment_inclusion_proof": branch,
    }))
}

/// Proof of a whole blob, for blobs that came with cell proofs only.
fn blob_proof(blob: &[u8], commitment: &Bytes48) -> Result<Bytes48, c_kzg::Error> {
    let blob = c_kzg::Blob::from_bytes(blob)?;
    let proof = c_kzg::ethereum_kzg_settings(0)
        .compute_blob_kzg_proof(&blob, &c_kzg::Bytes48::new(commitment.0))?;
    Ok(Bytes48::new(proof.to_bytes().into_inner()))
}

/// Nobody signs blocks here, so the signature is the point at infinity.
fn signed_header(block: &BeaconBlock) -> Value {
    let mut signature = [0u8; 96];
    signature[0] = 0xc0;
    json!({
        "message": {
            "slot": block.header.slot.to_string(),
            "proposer_index": "0",
            "parent_root": block.header.parent_root,
            "state_root": block.header.state_root,
            "body_root": block.header.body_root,
        },
        "signature": hex::encode_prefixed(signature),
    })
}

/// Values of a query parameter that may be repeated or hold a list: `k=a&k=b` and `k=a,b` (the
/// comma also as `%2C`; no value that this API takes needs another escape).
fn query_values<'a>(query: Option<&'a str>, key: &'a str) -> impl Iterator<Item = &'a str> {
    query
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(move |(name, _)| *name == key)
        .flat_map(|(_, values)| values.split(','))
        .flat_map(|values| values.split("%2C"))
        .flat_map(|values| values.split("%2c"))
        .filter(|value| !value.is_empty())
}

//! Blobs from a beacon node's REST API.
//!
//! Three kinds of servers answer under the same paths, and are told apart by asking:
//! - newer nodes: `/eth/v1/beacon/blobs/{slot}?versioned_hashes=…`, blobs only;
//! - older nodes: `/eth/v1/beacon/blob_sidecars/{slot}`, blobs with commitments;
//! - development L1s that count blocks instead of slots and lack `/eth/v1/config/spec`.
//!
//! Whatever the server says, a blob counts only when its commitment, computed here, has the
//! versioned hash asked for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use alloy_eips::eip4844::{AsCkzg, BYTES_PER_BLOB, Blob, Bytes48, kzg_to_versioned_hash};
use alloy_primitives::{B256, Bytes};
use opal_protocol::L1BlockRef;
use opal_service::http;
use reqwest::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tracing::info;
use url::Url;

use crate::DaError;

const TARGET: &str = "opal::da";

/// Largest response read: 128 blobs in hex with their proofs.
const MAX_RESPONSE: usize = 64 << 20;

/// How the server names blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotRule {
    /// By slot, counted from the beacon chain's genesis.
    Time {
        /// Start of slot 0, in seconds since the Unix epoch.
        genesis_time: u64,
        /// Length of a slot.
        seconds_per_slot: u64,
    },
    /// By the number of the execution block (anvil).
    BlockNumber,
}

impl SlotRule {
    /// What to ask for to get the blobs of `block`; `None` when the block is older than the beacon
    /// chain.
    pub const fn slot(&self, block: &L1BlockRef) -> Option<u64> {
        match *self {
            Self::BlockNumber => Some(block.number),
            Self::Time { genesis_time, seconds_per_slot } => {
                match block.timestamp.checked_sub(genesis_time) {
                    Some(elapsed) => elapsed.checked_div(seconds_per_slot),
                    None => None,
                }
            }
        }
    }
}

/// A beacon node, or what stands in for one.
#[derive(Debug)]
pub struct BeaconClient {
    client: reqwest::Client,
    base: Url,
    /// The endpoint without credentials, for messages.
    endpoint: String,
    rule: SlotRule,
    /// Whether only the older sidecar endpoint is there.
    sidecars: AtomicBool,
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Genesis {
    genesis_time: String,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(rename = "SECONDS_PER_SLOT")]
    seconds_per_slot: Option<String>,
    #[serde(rename = "SLOT_DURATION_MS")]
    slot_duration_ms: Option<String>,
}

#[derive(Deserialize)]
struct BlobSidecar {
    blob: Bytes,
    kzg_commitment: Bytes48,
}

/// A response that is not an answer.
enum Failure {
    /// The server has no such path or no such block.
    NotThere(StatusCode),
    Other(DaError),
}

impl BeaconClient {
    /// Connects and finds out how the server names blocks.
    ///
    /// # Errors
    /// When the server does not answer, or is no beacon API.
    pub async fn connect(url: &Url) -> Result<Self, DaError> {
        let client = http::http_client(url)?;
        let mut beacon = Self {
            client,
            base: url.clone(),
            endpoint: http::without_credentials(url),
            rule: SlotRule::BlockNumber,
            sidecars: AtomicBool::new(false),
        };
        let path = "eth/v1/beacon/genesis";
        let genesis: Data<Genesis> = match beacon.get(path, None).await {
            Ok(genesis) => genesis,
            Err(Failure::NotThere(status)) => {
                return Err(beacon.refused(path, format!("HTTP {status}; is this a beacon API?")));
            }
            Err(Failure::Other(error)) => return Err(error),
        };
        let number = |text: &str| text.parse::<u64>().ok();
        let Some(genesis_time) = number(&genesis.data.genesis_time) else {
            return Err(beacon.refused(path, "genesis_time is not a number".to_owned()));
        };
        let path = "eth/v1/config/spec";
        beacon.rule = match beacon.get::<Data<Spec>>(path, None).await {
            Ok(Data { data }) => {
                let seconds = data.seconds_per_slot.as_deref().and_then(number).or_else(|| {
                    data.slot_duration_ms.as_deref().and_then(number).map(|ms| ms / 1000)
                });
                match seconds {
                    Some(seconds_per_slot) if seconds_per_slot > 0 => {
                        SlotRule::Time { genesis_time, seconds_per_slot }
                    }
                    _ => {
                        let reason = "it does not tell SECONDS_PER_SLOT".to_owned();
                        return Err(beacon.refused(path, reason));
                    }
                }
            }
            Err(Failure::NotThere(_)) => {
                info!(target: TARGET, endpoint = beacon.endpoint,
                    "the beacon endpoint lacks config/spec, as development L1s do: \
                     blobs are asked for by L1 block number");
                SlotRule::BlockNumber
            }
            Err(Failure::Other(error)) => return Err(error),
        };
        // Read once in a process, in about a second: not first when a blob is waited for.
        tokio::task::spawn_blocking(|| c_kzg::ethereum_kzg_settings(0));
        Ok(beacon)
    }

    /// How the server names blocks.
    pub const fn slot_rule(&self) -> SlotRule {
        self.rule
    }

    /// The blobs of a block in the order of `hashes`, each recomputed to its versioned hash.
    ///
    /// # Errors
    /// When the server does not answer or does not have a blob.
    pub async fn blobs(
        &self,
        block: &L1BlockRef,
        hashes: &[B256],
    ) -> Result<Vec<Box<Blob>>, DaError> {
        let missing = |hash: B256, slot| DaError::BlobMissing {
            endpoint: self.endpoint.clone(),
            block: block.id(),
            slot,
            hash,
        };
        let first = hashes.first().copied().unwrap_or_default();
        let slot = self.rule.slot(block).ok_or_else(|| missing(first, 0))?;
        let mut verified = HashMap::new();
        for filtered in [true, false] {
            // Servers differ in how they read a list of hashes: one that gives too few is asked
            // for all blobs of the slot.
            let Some(candidates) = self.fetch(slot, hashes, filtered).await? else { continue };
            verified = tokio::task::spawn_blocking(move || by_versioned_hash(candidates))
                .await
                .map_err(|e| DaError::Client(format!("checking blobs: {e}")))?;
            if hashes.iter().all(|hash| verified.contains_key(hash)) {
                break;
            }
        }
        hashes
            .iter()
            .map(|hash| verified.get(hash).cloned().ok_or_else(|| missing(*hash, slot)))
            .collect()
    }

    /// What the server calls the blobs of the slot; `None` when it does not know the slot.
    async fn fetch(
        &self,
        slot: u64,
        hashes: &[B256],
        filtered: bool,
    ) -> Result<Option<Vec<Bytes>>, DaError> {
        if !self.sidecars.load(Ordering::Relaxed) {
            let path = format!("eth/v1/beacon/blobs/{slot}");
            let list: Vec<String> = hashes.iter().map(B256::to_string).collect();
            let query = filtered.then(|| format!("versioned_hashes={}", list.join(",")));
            match self.get::<Data<Vec<Bytes>>>(&path, query.as_deref()).await {
                Ok(blobs) => return Ok(Some(blobs.data)),
                // Either the path is unknown or the slot: the older path tells.
                Err(Failure::NotThere(_)) => {}
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        let path = format!("eth/v1/beacon/blob_sidecars/{slot}");
        match self.get::<Data<Vec<BlobSidecar>>>(&path, None).await {
            Ok(sidecars) => {
                if !self.sidecars.swap(true, Ordering::Relaxed) {
                    info!(target: TARGET, endpoint = self.endpoint,
                        "the beacon endpoint is of the older kind: reading blob sidecars");
                }
                // The commitment is the server's word: it only spares computing those of others.
                let wanted = |sidecar: &BlobSidecar| {
                    hashes.contains(&kzg_to_versioned_hash(sidecar.kzg_commitment.as_slice()))
                };
                let sidecars = sidecars.data.into_iter();
                Ok(Some(sidecars.filter(wanted).map(|sidecar| sidecar.blob).collect()))
            }
            Err(Failure::NotThere(_)) => Ok(None),
            Err(Failure::Other(error)) => Err(error),
        }
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Option<&str>,
    ) -> Result<T, Failure> {
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        if let Some(query) = query {
            // An access key in the base's query stays.
            let joined = url.query().map(|own| format!("{own}&{query}"));
            url.set_query(Some(joined.as_deref().unwrap_or(query)));
        }
        let unavailable = |reason: String| {
            Failure::Other(DaError::Unavailable {
                endpoint: self.endpoint.clone(),
                what: path.to_owned(),
                reason,
            })
        };
        let mut response = self
            .client
            .get(url)
            .header(reqwest::header::ACCEPT, "application/json")
            .send()
            .await
            .map_err(|error| unavailable(http::http_error_text(&error)))?;
        let status = response.status();
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND
            | StatusCode::GONE
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED
            | StatusCode::BAD_REQUEST => return Err(Failure::NotThere(status)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(Failure::Other(self.refused(path, format!("HTTP {status}"))));
            }
            status => return Err(unavailable(format!("HTTP {status}"))),
        }
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| unavailable(http::http_error_text(&error)))?
        {
            if body.len() + chunk.len() > MAX_RESPONSE {
                return Err(Failure::Other(
                    self.refused(path, "its answer is too long".to_owned()),
                ));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|error| {
            Failure::Other(self.refused(path, format!("its answer is not understood: {error}")))
        })
    }

    fn refused(&self, path: &str, reason: String) -> DaError {
        DaError::Refused { endpoint: self.endpoint.clone(), what: path.to_owned(), reason }
    }
}

/// The versioned hash of a blob, by the KZG commitment computed from its content. `None` when a field
/// element is not below the modulus: that is no blob that L1 accepted.
pub fn blob_versioned_hash(blob: &Blob) -> Option<B256> {
    // No precomputed tables: they only help with proofs.
    let settings = c_kzg::ethereum_kzg_settings(0);
    let commitment = settings.blob_to_kzg_commitment(blob.as_ckzg()).ok()?;
    Some(kzg_to_versioned_hash(Bytes48::from_ckzg(commitment.to_bytes()).as_slice()))
}

/// Blobs by their versioned hash. What is no blob is left out.
fn by_versioned_hash(candidates: Vec<Bytes>) -> HashMap<B256, Box<Blob>> {
    let mut blobs = HashMap::new();
    for bytes in candidates {
        if bytes.len() != BYTES_PER_BLOB {
            continue;
        }
        let blob = Box::new(Blob::from_slice(&bytes));
        if let Some(hash) = blob_versioned_hash(&blob) {
            blobs.insert(hash, blob);
        }
    }
    blobs
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fake_server::{hash, rest};
    use axum::extract::{Path, Query};
    use axum::http::StatusCode as Status;
    use axum::routing::get;
    use axum::{Json, Router};
    use serde_json::{Value, json};

    fn blob(byte: u8) -> Blob {
        let mut blob = Blob::ZERO;
        blob[1] = byte;
        blob
    }

    fn commitment(blob: &Blob) -> Bytes48 {
        let settings = c_kzg::ethereum_kzg_settings(0);
        Bytes48::from(*settings.blob_to_kzg_commitment(blob.as_ckzg()).unwrap().to_bytes())
    }

    fn versioned(blob: &Blob) -> B256 {
        kzg_to_versioned_hash(commitment(blob).as_slice())
    }

    fn with_genesis(router: Router) -> Router {
        let genesis = json!({"data": {"genesis_time": "1000", "genesis_fork_version": "0x00"}});
        router.route("/eth/v1/beacon/genesis", get(|| async { Json(genesis) }))
    }

    fn with_spec(router: Router) -> Router {
        let spec = json!({"data": {"SECONDS_PER_SLOT": "12", "BLOB_SCHEDULE": []}});
        router.route("/eth/v1/config/spec", get(|| async { Json(spec) }))
    }

    /// Serves blobs 1 and 2 at `slot` under the newer path.
    fn with_blobs(router: Router, slot: u64, honours_filter: bool) -> Router {
        let handler = move |Path(asked): Path<u64>, Query(query): Query<Value>| async move {
            if asked != slot {
                return (Status::NOT_FOUND, Json(json!({"code": 404, "message": "not found"})));
            }
            let filter = query["versioned_hashes"].as_str().unwrap_or_default().to_owned();
            let blobs: Vec<String> = [blob(1), blob(2)]
                .iter()
                .filter(|blob| {
                    filter.is_empty()
                        || (honours_filter && filter.contains(&versioned(blob).to_string()))
                })
                .map(|blob| format!("0x{}", alloy_primitives::hex::encode(blob)))
                .collect();
            (Status::OK, Json(json!({"data": blobs})))
        };
        router.route("/eth/v1/beacon/blobs/{slot}", get(handler))
    }

    /// Serves `content` with the commitment of blob 1 under the older path.
    fn with_sidecars(router: Router, slot: u64, content: Blob) -> Router {
        let handler = move |Path(asked): Path<u64>| async move {
            if asked != slot {
                return (Status::NOT_FOUND, Json(json!({"code": 404, "message": "not found"})));
            }
            let sidecar = |blob: &Blob, commitment: Bytes48| {
                json!({
                    "index": "0", "blob": format!("0x{}", alloy_primitives::hex::encode(blob)),
                    "kzg_commitment": commitment, "kzg_proof": Bytes48::ZERO,
                })
            };
            let data =
                [sidecar(&blob(9), commitment(&blob(9))), sidecar(&content, commitment(&blob(1)))];
            (Status::OK, Json(json!({"data": data})))
        };
        router.route("/eth/v1/beacon/blob_sidecars/{slot}", get(handler))
    }

    fn block(number: u64, timestamp: u64) -> L1BlockRef {
        L1BlockRef { hash: hash(1), number, parent_hash: hash(0), timestamp }
    }

    async fn connect(router: Router) -> BeaconClient {
        BeaconClient::connect(&rest(router).await).await.unwrap()
    }

    #[tokio::test]
    async fn newer_nodes_by_slot_in_the_order_asked_for() {
        for honours_filter in [true, false] {
            let router = with_blobs(with_spec(with_genesis(Router::new())), 5, honours_filter);
            let beacon = connect(router).await;
            let hashes = [versioned(&blob(2)), versioned(&blob(1))];
            let blobs = beacon.blobs(&block(77, 1060), &hashes).await.unwrap();
            assert!(*blobs[0] == blob(2) && *blobs[1] == blob(1));
        }
    }

    #[tokio::test]
    async fn older_nodes_through_sidecars() {
        let router = with_sidecars(with_spec(with_genesis(Router::new())), 5, blob(1));
        let beacon = connect(router).await;
        for _ in 0..2 {
            let blobs = beacon.blobs(&block(77, 1060), &[versioned(&blob(1))]).await.unwrap();
            assert!(*blobs[0] == blob(1));
        }
    }

    #[tokio::test]
    async fn development_nodes_by_block_number() {
        let beacon = connect(with_blobs(with_genesis(Router::new()), 77, true)).await;
        assert_eq!(beacon.slot_rule(), SlotRule::BlockNumber);
        let blobs = beacon.blobs(&block(77, 1060), &[versioned(&blob(1))]).await.unwrap();
        assert!(*blobs[0] == blob(1));
    }

    #[tokio::test]
    async fn a_wrong_or_missing_blob_is_never_returned() {
        let base = || with_spec(with_genesis(Router::new()));
        let wanted = versioned(&blob(1));
        // The commitment is right, the content is another blob.
        let forged = connect(with_sidecars(base(), 5, blob(3))).await;
        let error = forged.blobs(&block(77, 1060), &[wanted]).await.unwrap_err();
        assert!(matches!(error, DaError::BlobMissing { slot: 5, hash, .. } if hash == wanted));

        let beacon = connect(with_blobs(base(), 5, true)).await;
        for (at, hash) in [(1060, versioned(&blob(3))), (1200, wanted), (999, wanted)] {
            let error = beacon.blobs(&block(77, at), &[hash]).await.unwrap_err();
            assert!(matches!(error, DaError::BlobMissing { .. }), "{error}");
            assert!(error.is_temporary() && error.to_string().contains("pruned"));
        }
    }

    #[tokio::test]
    async fn more_or_fewer_blobs_than_asked_for() {
        let (one, two, three) = (versioned(&blob(1)), versioned(&blob(2)), versioned(&blob(3)));
        // This one gives both of its blobs whatever is asked for.
        let beacon = connect(with_blobs(with_spec(with_genesis(Router::new())), 5, false)).await;
        for wanted in [vec![two], vec![one, two, one], vec![one, one]] {
            let blobs = beacon.blobs(&block(77, 1060), &wanted).await.unwrap();
            let found: Vec<B256> = blobs.iter().map(|blob| versioned(blob)).collect();
            assert_eq!(found, wanted);
        }
        let error = beacon.blobs(&block(77, 1060), &[one, three, two]).await.unwrap_err();
        assert!(matches!(error, DaError::BlobMissing { slot: 5, hash, .. } if hash == three));
        assert!(error.is_temporary(), "asked for again, never a stop");
    }

    #[tokio::test]
    async fn what_is_no_beacon_node_is_told_so() {
        let error = BeaconClient::connect(&rest(Router::new()).await).await.unwrap_err();
        assert!(error.to_string().contains("is this a beacon API?"), "{error}");
        let router = with_genesis(Router::new())
            .route("/eth/v1/config/spec", get(|| async { Json(json!({"data": {}})) }));
        let error = BeaconClient::connect(&rest(router).await).await.unwrap_err();
        assert!(error.to_string().contains("SECONDS_PER_SLOT"), "{error}");
        let url = "http://127.0.0.1:1/KEY".parse().unwrap();
        let error = BeaconClient::connect(&url).await.unwrap_err();
        assert!(error.is_temporary() && !error.to_string().contains("KEY"), "{error}");
    }
}

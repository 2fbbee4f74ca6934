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

    async fn get<T: DeserializeOwned>(&self, path: &str, query: Option<&str>) -> Result<T, Failure> {
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
                return Err(Failure::Other(self.refused(path, "its answer is too long".to_owned())));
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

/// Blobs by the versioned hash of the commitment computed from their content. What is no blob is
/// left out.
fn by_versioned_hash(candidates: Vec<Bytes>) -> HashMap<B256, Box<Blob>> {
    // No precomputed tables: they only help with proofs.
    let settings = c_kzg::ethereum_kzg_settings(0);
    let mut blobs = HashMap::new();
    for bytes in candidates {
        if bytes.len() != BYTES_PER_BLOB {
            continue;
        }
        let blob = Box::new(Blob::from_slice(&bytes));
        // Fails when a field element is not below the modulus: no blob that L1 accepted.
        if let Ok(commitment) = settings.blob_to_kzg_commitment(blob.as_ckzg()) {
            let commitment = Bytes48::from_ckzg(commitment.to_bytes());
            blobs.insert(kzg_to_versioned_hash(commitment.as_slice()), blob);
        }
    }
    blobs
}

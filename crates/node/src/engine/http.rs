//! An execution client in another process, spoken to by the Engine API over HTTP.
//!
//! Tolerant where clients differ: unknown fields are ignored, `SYNCING` and `ACCEPTED` are the same,
//! a client without a safe block has none. Every call may be repeated: labels, payloads and reads
//! give the same result when they are sent twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alloy_primitives::{B256, U64};
use opal_execution::engine_api::{
    Envelope, ExecutionPayload, Expected, ForkchoiceStateV1, ForkchoiceUpdatedV1, PayloadStatusV1,
    Status, codes, requests_hash,
};
use opal_execution::{ForkchoiceState, ForkchoiceUpdated, OutputV0, PayloadId, PayloadStatus};
use opal_protocol::{Hardfork, PayloadAttributes, RollupConfig, SealedBlock, predeploys};
use opal_service::http::{HttpError, http_client, http_error_text, without_credentials};
use opal_service::jwt::JwtSecret;
use reqwest::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tracing::{debug, warn};
use url::Url;

use super::{BlockAt, Engine, EngineError};

/// For calls that execute a block.
const EXECUTE: Duration = Duration::from_secs(30);
/// For all others.
const READ: Duration = Duration::from_secs(10);
/// Waits between the tries of a call that did not reach the client.
const RETRIES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(900)];
/// Between tries to reach a client that is still starting.
const CONNECT_RETRY: Duration = Duration::from_secs(1);
/// Code of JSON-RPC: there is no such method.
const METHOD_NOT_FOUND: i64 = -32601;
/// Longest part of an answer that is shown in an error, in characters.
const SHOWN: usize = 200;

/// Why an execution client can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HttpEngineError {
    /// The URL is not one of HTTP.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The client does not take our token.
    #[error(
        "{url} refuses the JWT: {text}; both sides must have the same secret, and their clocks must agree to a minute"
    )]
    Unauthorized {
        /// Without credentials.
        url: String,
        /// Its answer.
        text: String,
    },
    /// The client runs another chain.
    #[error("{url} runs chain {found}, the rollup config is of chain {expected}")]
    WrongChain {
        /// Without credentials.
        url: String,
        /// What the client says.
        found: u64,
        /// What the rollup config says.
        expected: u64,
    },
    /// The client answers nonsense: the URL is probably not that of an Engine API.
    #[error("{url} is no Engine API: {text}")]
    NoEngine {
        /// Without credentials.
        url: String,
        /// What went wrong.
        text: String,
    },
}

/// An execution client behind a URL. Must be used inside a multi-threaded tokio runtime, from tasks
/// or from blocking threads.
#[derive(Debug)]
pub struct HttpEngine {
    config: Arc<RollupConfig>,
    client: reqwest::Client,
    url: Url,
    secret: JwtSecret,
    runtime: Handle,
    /// Whether the client wants `getPayloadV5` from Karst on.
    get_payload_v5: AtomicBool,
}

/// Why a call gave no result.
#[derive(Debug)]
enum CallError {
    /// The client did not answer.
    Transport { text: String, unsent: bool },
    /// It does not take our token.
    Unauthorized(String),
    /// It answered with an error.
    Rpc { code: i64, text: String },
    /// Its answer is not what the method gives.
    Malformed(String),
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Transport { text, .. } => f.write_str(text),
            Self::Unauthorized(text) => write!(f, "JWT refused: {text}"),
            Self::Rpc { code, text } => write!(f, "{text} (code {code})"),
            Self::Malformed(text) => write!(f, "unexpected answer: {text}"),
        }
    }
}

/// A JSON-RPC answer; one of both is there.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<RpcError>,
}

#[derive(Deserialize)]
struct RpcError {
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Value,
}

impl RpcError {
    /// Geth's Engine API has the cause in the data.
    fn text(self) -> String {
        match self.data["err"].as_str().or(self.data.as_str()) {
            Some(cause) => format!("{}: {}", self.message, shown(cause)),
            None => shown(&self.message),
        }
    }
}

fn shown(text: &str) -> String {
    text.trim().chars().take(SHOWN).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Proof {
    storage_hash: B256,
}

impl HttpEngine {
    /// Connects to a client, for which it waits if it is still starting.
    ///
    /// # Errors
    /// When the client refuses the token, runs another chain, or is no Engine API.
    pub async fn connect(
        url: Url,
        secret: JwtSecret,
        config: Arc<RollupConfig>,
    ) -> Result<Self, HttpEngineError> {
        let name = without_credentials(&url);
        if !matches!(url.scheme(), "http" | "https") {
            return Err(HttpError::Scheme { url: name }.into());
        }
        let client = http_client(&url)?;
        let expected = config.l2_chain_id;
        let this = Self {
            config,
            client,
            url,
            secret,
            runtime: Handle::current(),
            get_payload_v5: AtomicBool::new(false),
        };
        let mut told = false;
        let found = loop {
            let chain_id = this.send("eth_chainId", &json!([]), READ).await;
            match chain_id.and_then(|json| parse::<U64>(&json)) {
                Ok(Some(id)) => break id.to::<u64>(),
                Ok(None) => {
                    return Err(HttpEngineError::NoEngine {
                        url: name,
                        text: "no chain id".into(),
                    });
                }
                Err(CallError::Unauthorized(text)) => {
                    return Err(HttpEngineError::Unauthorized { url: name, text });
                }
                Err(error @ (CallError::Malformed(_) | CallError::Rpc { .. })) => {
                    return Err(HttpEngineError::NoEngine { url: name, text: error.to_string() });
                }
                Err(error @ CallError::Transport { .. }) => {
                    if !told {
                        warn!(target: "opal::node", url = name, %error,
                            "waiting for the execution engine");
                        told = true;
                    }
                    tokio::time::sleep(CONNECT_RETRY).await;
                }
            }
        };
        if found != expected {
            return Err(HttpEngineError::WrongChain { url: name, found, expected });
        }
        Ok(this)
    }

    /// One call, tried again while the client can't be reached.
    fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &Value,
        limit: Duration,
    ) -> Result<Option<T>, CallError> {
        parse(&self.call_raw(method, params, limit)?)
    }

    /// A call that always has a result.
    fn result<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &Value,
        limit: Duration,
    ) -> Result<T, CallError> {
        let result = self.call(method, params, limit)?;
        result.ok_or_else(|| CallError::Malformed(format!("{method} gives no result")))
    }

    fn call_raw(&self, method: &str, params: &Value, limit: Duration) -> Result<String, CallError> {
        let tries = async {
            for wait in RETRIES {
                match self.send(method, params, limit).await {
                    Err(CallError::Transport { text, unsent: true }) => {
                        debug!(target: "opal::node", method, text, "execution engine not reached");
                        tokio::time::sleep(wait).await;
                    }
                    other => return other,
                }
            }
            self.send(method, params, limit).await
        };
        // The caller waits; others of its runtime go on.
        tokio::task::block_in_place(|| self.runtime.block_on(tries))
    }

    /// Sends a request and gives the body of the answer.
    async fn send(
        &self,
        method: &str,
        params: &Value,
        limit: Duration,
    ) -> Result<String, CallError> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self.client.post(self.url.clone()).bearer_auth(self.secret.token());
        let request = request.timeout(limit).json(&body);
        let transport = |error: reqwest::Error| CallError::Transport {
            text: http_error_text(&error),
            unsent: error.is_connect(),
        };
        let response = request.send().await.map_err(transport)?;
        let status = response.status();
        let body = response.text().await.map_err(transport)?;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(CallError::Unauthorized(shown(&body)))
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(CallError::Transport { text: format!("HTTP {status}"), unsent: true })
            }
            status if !status.is_success() && !body.trim_start().starts_with('{') => {
                Err(CallError::Malformed(format!("HTTP {status}: {}", shown(&body))))
            }
            _ => Ok(body),
        }
    }

    fn active(&self, fork: Hardfork, timestamp: u64) -> bool {
        self.config.schedule.is_active(fork, timestamp)
    }

    fn payload(&self, id: PayloadId, version: u8) -> Result<Envelope, CallError> {
        self.result(&format!("engine_getPayloadV{version}"), &json!([id]), READ)
    }

    /// From Karst on, clients want version 4 or 5; what one wants is remembered.
    fn envelope(&self, id: PayloadId, timestamp: u64) -> Result<Envelope, CallError> {
        if !self.active(Hardfork::Ecotone, timestamp) {
            return self.payload(id, 2);
        }
        if !self.active(Hardfork::Isthmus, timestamp) {
            return self.payload(id, 3);
        }
        if !self.active(Hardfork::Karst, timestamp) {
            return self.payload(id, 4);
        }
        let versions = match self.get_payload_v5.load(Ordering::Relaxed) {
            true => [5, 4],
            false => [4, 5],
        };
        match self.payload(id, versions[0]) {
            Err(CallError::Rpc { code, .. })
                if code == i64::from(codes::UNSUPPORTED_FORK) || code == METHOD_NOT_FOUND =>
            {
                let envelope = self.payload(id, versions[1])?;
                self.get_payload_v5.store(versions[1] == 5, Ordering::Relaxed);
                Ok(envelope)
            }
            other => other,
        }
    }
}

fn parse<T: DeserializeOwned>(body: &str) -> Result<Option<T>, CallError> {
    let malformed = |error: serde_json::Error| CallError::Malformed(error.to_string());
    let answer: Answer<'_> = serde_json::from_str(body).map_err(malformed)?;
    if let Some(error) = answer.error {
        return Err(CallError::Rpc { code: error.code, text: error.text() });
    }
    match answer.result {
        None => Ok(None),
        Some(result) => serde_json::from_str(result.get()).map_err(malformed),
    }
}

/// What an error of a call means to the node.
fn sorted(error: CallError) -> EngineError {
    let text = error.to_string();
    match error {
        CallError::Rpc { code, text: cause } => {
            let is = |known: i32| code == i64::from(known);
            if is(codes::INVALID_ATTRIBUTES) {
                EngineError::InvalidAttributes(cause)
            } else if is(codes::UNKNOWN_PAYLOAD) || is(codes::INVALID_FORKCHOICE) {
                EngineError::Lost(text)
            } else if is(codes::UNSUPPORTED_FORK)
                || is(codes::INVALID_PARAMS)
                || code == METHOD_NOT_FOUND
            {
                // The two do not agree on the forks of the chain.
                EngineError::Broken(text)
            } else {
                EngineError::Unavailable(text)
            }
        }
        CallError::Malformed(_) => EngineError::Broken(text),
        // A clock that went wrong for a while, among others.
        CallError::Unauthorized(_) | CallError::Transport { .. } => EngineError::Unavailable(text),
    }
}

fn status(status: PayloadStatusV1, head: B256) -> PayloadStatus {
    match status.status {
        Status::Valid => {
            PayloadStatus::Valid { latest_valid_hash: status.latest_valid_hash.unwrap_or(head) }
        }
        Status::Syncing | Status::Accepted => PayloadStatus::Syncing,
        Status::Invalid | Status::InvalidBlockHash => PayloadStatus::Invalid {
            latest_valid_hash: status.latest_valid_hash.filter(|hash| !hash.is_zero()),
            error: status.validation_error.unwrap_or_else(|| "no reason given".to_owned()),
        },
    }
}

impl Engine for HttpEngine {
    fn fork_choice_updated(
        &self,
        state: ForkchoiceState,
        attributes: Option<PayloadAttributes>,
    ) -> Result<ForkchoiceUpdated, EngineError> {
        // Without attributes the newest version is for all forks.
        let v3 = attributes.as_ref().is_none_or(|a| self.active(Hardfork::Ecotone, a.timestamp));
        let method = if v3 { "engine_forkchoiceUpdatedV3" } else { "engine_forkchoiceUpdatedV2" };
        let params = json!([ForkchoiceStateV1::from(state), attributes]);
        let updated: ForkchoiceUpdatedV1 = self.result(method, &params, EXECUTE).map_err(sorted)?;
        Ok(ForkchoiceUpdated {
            status: status(updated.payload_status, state.head),
            payload_id: updated.payload_id,
        })
    }

    fn get_payload(&self, id: PayloadId, timestamp: u64) -> Result<SealedBlock, EngineError> {
        let envelope = self.envelope(id, timestamp).map_err(sorted)?;
        let isthmus = self.active(Hardfork::Isthmus, timestamp);
        // Clients of the OP Stack repeat the beacon root of the attributes.
        let requests = envelope.execution_requests.unwrap_or_default();
        let hash = requests_hash(&requests).map_err(EngineError::Broken)?;
        let expected = Expected {
            withdrawals_root_given: isthmus,
            parent_beacon_block_root: envelope.parent_beacon_block_root,
            requests_hash: isthmus.then_some(hash),
        };
        let block = envelope.execution_payload.into_block(&expected);
        block.map_err(|error| EngineError::Broken(format!("the payload built: {error}")))
    }

    fn new_payload(&self, block: &SealedBlock) -> Result<PayloadStatus, EngineError> {
        let header = block.header();
        let isthmus = self.active(Hardfork::Isthmus, header.timestamp);
        let payload = ExecutionPayload::from_block(block, isthmus);
        let root = header.parent_beacon_block_root;
        let no_hashes: [B256; 0] = [];
        let (method, params) = if isthmus {
            ("engine_newPayloadV4", json!([payload, no_hashes, root, []]))
        } else if self.active(Hardfork::Ecotone, header.timestamp) {
            ("engine_newPayloadV3", json!([payload, no_hashes, root]))
        } else {
            ("engine_newPayloadV2", json!([payload]))
        };
        let answer = self.result(method, &params, EXECUTE).map_err(sorted)?;
        Ok(status(answer, block.hash))
    }

    fn block(&self, at: BlockAt) -> Result<Option<SealedBlock>, EngineError> {
        let (method, id) = match at {
            BlockAt::Hash(hash) => ("eth_getBlockByHash", json!(hash)),
            BlockAt::Number(number) => ("eth_getBlockByNumber", json!(U64::from(number))),
            BlockAt::Latest => ("eth_getBlockByNumber", json!("latest")),
            BlockAt::Safe => ("eth_getBlockByNumber", json!("safe")),
            BlockAt::Finalized => ("eth_getBlockByNumber", json!("finalized")),
        };
        let json = match self.call::<Box<RawValue>>(method, &json!([id, true]), READ) {
            Ok(Some(json)) => json,
            Ok(None) => return Ok(None),
            // Geth's and others' ways to say that they have no such label yet.
            Err(CallError::Rpc { text, .. })
                if matches!(at, BlockAt::Safe | BlockAt::Finalized)
                    && ["not found", "unknown block"]
                        .iter()
                        .any(|word| text.to_ascii_lowercase().contains(word)) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(sorted(error)),
        };
        let block = opal_da::verify_l2_block(json.get())
            .map_err(|error| EngineError::Broken(format!("{method}: {error}")))?;
        let asked = match at {
            BlockAt::Hash(hash) => hash == block.hash,
            BlockAt::Number(number) => number == block.header().number,
            BlockAt::Latest | BlockAt::Safe | BlockAt::Finalized => true,
        };
        if !asked {
            let text = format!("{method}: asked for {at:?}, got {}", block.id());
            return Err(EngineError::Broken(text));
        }
        Ok(Some(block))
    }

    fn output_at(&self, block: &SealedBlock) -> Result<OutputV0, EngineError> {
        let header = block.header();
        let isthmus = self.active(Hardfork::Isthmus, header.timestamp);
        let withdrawals_storage_root = match header.withdrawals_root.filter(|_| isthmus) {
            Some(root) => root,
            None => {
                let no_slots: [B256; 0] = [];
                let params = json!([predeploys::L2_TO_L1_MESSAGE_PASSER, no_slots, block.hash]);
                let proof: Proof = self.result("eth_getProof", &params, READ).map_err(sorted)?;
                proof.storage_hash
            }
        };
        let (state_root, block_hash) = (header.state_root, block.hash);
        Ok(OutputV0 { state_root, withdrawals_storage_root, block_hash })
    }
}

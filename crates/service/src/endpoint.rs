//! A JSON-RPC endpoint that a flag names, and the start of a role that needs several.

use std::future::Future;
use std::time::Duration;

use alloy_json_rpc::{RpcRecv, RpcSend};
use alloy_provider::{DynProvider, Provider};
use alloy_transport::TransportError;
use opal_protocol::{ConfigError, RollupConfig};
use serde_json::value::RawValue;
use url::Url;

use crate::http::{HttpError, error_text, provider, without_credentials};
use crate::trouble::Trouble;

/// Time between attempts to reach the endpoints at the start.
const CONNECT_INTERVAL: Duration = Duration::from_secs(1);

/// An endpoint that failed, and why; always worth another try.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag} {endpoint}: {reason}")]
pub struct CallError {
    flag: &'static str,
    endpoint: String,
    reason: String,
}

/// Why a role can't work with its endpoints.
#[derive(Debug)]
pub enum ConnectError<E> {
    /// One does not answer: try again.
    Unavailable(String),
    /// Trying again won't help.
    Wrong(E),
}

impl<E> From<CallError> for ConnectError<E> {
    fn from(error: CallError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Connects again and again until the endpoints answer; `waiting` is told why they do not, when
/// that is news.
///
/// # Errors
/// When they turn out to be the wrong ones.
pub async fn connected<T, E, F: Future<Output = Result<T, ConnectError<E>>>>(
    connect: impl Fn() -> F,
    waiting: impl Fn(&str),
) -> Result<T, E> {
    let mut trouble = Trouble::default();
    loop {
        match connect().await {
            Ok(session) => return Ok(session),
            Err(ConnectError::Wrong(error)) => return Err(error),
            Err(ConnectError::Unavailable(reason)) => {
                if trouble.note(&reason) {
                    waiting(&reason);
                }
            }
        }
        tokio::time::sleep(CONNECT_INTERVAL).await;
    }
}

/// A JSON-RPC endpoint, and the flag that an operator knows it by.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The flag, with its dashes.
    pub flag: &'static str,
    /// Without credentials.
    name: String,
    /// For calls that have no method here.
    pub provider: DynProvider,
}

impl Endpoint {
    /// The endpoint at a URL; nothing is asked yet.
    ///
    /// # Errors
    /// When the URL is not HTTP, or the client can't be built.
    pub fn new(flag: &'static str, url: &Url) -> Result<Self, HttpError> {
        Ok(Self { flag, name: without_credentials(url), provider: provider(url)? })
    }

    /// An error of this endpoint.
    pub fn error(&self, reason: impl Into<String>) -> CallError {
        CallError { flag: self.flag, endpoint: self.name.clone(), reason: reason.into() }
    }

    /// The error of a call to this endpoint; `what` was asked for.
    pub fn call_error(&self, what: &str, error: &TransportError) -> CallError {
        self.error(format!("{what}: {}", error_text(error)))
    }

    /// Calls a method.
    ///
    /// # Errors
    /// When it is not answered, or with something else than an `R`.
    pub async fn request<P: RpcSend, R: RpcRecv>(
        &self,
        method: &'static str,
        params: P,
    ) -> Result<R, CallError> {
        let answer = self.provider.client().request(method, params).await;
        answer.map_err(|error| self.call_error(method, &error))
    }

    /// `eth_chainId`.
    ///
    /// # Errors
    /// When it is not answered.
    pub async fn chain_id(&self) -> Result<u64, CallError> {
        self.provider.get_chain_id().await.map_err(|e| self.call_error("eth_chainId", &e))
    }

    /// The rollup node's configuration of the chain; the inner error is a configuration that this
    /// version can't read.
    ///
    /// # Errors
    /// When `optimism_rollupConfig` is not answered.
    pub async fn rollup_config(&self) -> Result<Result<RollupConfig, ConfigError>, CallError> {
        let json: Box<RawValue> = self.request("optimism_rollupConfig", ()).await?;
        Ok(RollupConfig::from_json(json.get()))
    }
}

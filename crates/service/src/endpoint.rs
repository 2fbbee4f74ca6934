//! A JSON-RPC endpoint that a flag names.

use alloy_provider::{DynProvider, Provider};
use alloy_transport::TransportError;
use opal_protocol::{ConfigError, RollupConfig};
use serde_json::value::RawValue;
use url::Url;

use crate::http::{HttpError, error_text, provider, without_credentials};

/// An endpoint that failed, and why; always worth another try.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag} {endpoint}: {reason}")]
pub struct CallError {
    flag: &'static str,
    endpoint: String,
    reason: String,
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
        const METHOD: &str = "optimism_rollupConfig";
        let answer = self.provider.client().request_noparams::<Box<RawValue>>(METHOD).await;
        let json = answer.map_err(|e| self.call_error(METHOD, &e))?;
        Ok(RollupConfig::from_json(json.get()))
    }
}

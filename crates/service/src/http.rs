//! The TLS provider, the shared HTTP client, and alloy providers over it.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use alloy_network::Ethereum;
use alloy_provider::{DynProvider, Provider, RootProvider};
use alloy_rpc_client::RpcClient;
use alloy_transport::layers::RetryBackoffLayer;
use alloy_transport::{RpcError, TransportError, TransportErrorKind};
use reqwest::Client;
use serde_json::Value;
use url::{Host, Url};

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Only HTTP endpoints can be used here.
    #[error("{url} is not an http:// or https:// URL")]
    Scheme {
        /// The URL without credentials.
        url: String,
    },
    /// The HTTP client could not be built.
    #[error("cannot build the HTTP client: {0}")]
    Client(String),
}

/// Installs the process-wide TLS provider once. Called by everything here that builds a client.
pub fn install_tls() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        // An error means that the process has a provider already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// The process's HTTP client: 5 s to connect, 30 s for a whole request. Requests to loopback
/// addresses never go through a proxy. Cheap to clone.
///
/// # Errors
/// When the client can't be built.
pub fn http_client(url: &Url) -> Result<Client, HttpError> {
    static DIRECT: OnceLock<Client> = OnceLock::new();
    static PROXIED: OnceLock<Client> = OnceLock::new();
    let direct = is_loopback(url);
    let cell = if direct { &DIRECT } else { &PROXIED };
    if let Some(client) = cell.get() {
        return Ok(client.clone());
    }
    install_tls();
    let builder = || {
        let builder = Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(30))
            .user_agent(concat!("opal/", env!("CARGO_PKG_VERSION")));
        if direct { builder.no_proxy() } else { builder }
    };
    // A machine without root certificates can still speak plain HTTP; https then fails by itself.
    let client = builder()
        .build()
        .or_else(|_| builder().tls_certs_only([]).build())
        .map_err(|e| HttpError::Client(e.to_string()))?;
    Ok(cell.get_or_init(|| client).clone())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    }
}

/// An alloy provider over HTTP that retries rate-limited requests. Other failures are the
/// caller's to judge.
///
/// # Errors
/// When the URL is not HTTP, or the client can't be built.
pub fn provider(url: &Url) -> Result<DynProvider, HttpError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(HttpError::Scheme { url: without_credentials(url) });
    }
    let client = RpcClient::builder()
        .layer(RetryBackoffLayer::new(4, 250, 100_000))
        .http_with_client(http_client(url)?, url.clone());
    Ok(RootProvider::<Ethereum>::new(client).erased())
}

/// The error of a [`raw_call`]: what the node answered, or -32000 and why it did not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct RawCallError {
    /// JSON-RPC's code.
    pub code: i32,
    /// The node's text, or what went wrong on the way.
    pub message: String,
    /// What the node added.
    pub data: Option<Value>,
}

/// Calls a method that no type describes.
///
/// # Errors
/// When the node answers with one, or not at all.
pub async fn raw_call(
    provider: &DynProvider,
    method: &'static str,
    params: Value,
) -> Result<Value, RawCallError> {
    provider.raw_request(method.into(), params).await.map_err(|error| match error.as_error_resp() {
        Some(payload) => RawCallError {
            code: i32::try_from(payload.code).unwrap_or(-32000),
            message: payload.message.to_string(),
            data: payload.data.as_ref().and_then(|data| serde_json::from_str(data.get()).ok()),
        },
        None => RawCallError { code: -32000, message: error_text(&error), data: None },
    })
}

/// What went wrong in a JSON-RPC call, without the URL, which may hold an access key.
pub fn error_text(error: &TransportError) -> String {
    match error {
        RpcError::ErrorResp(payload) => format!("{} (code {})", payload.message, payload.code),
        RpcError::Transport(TransportErrorKind::Custom(inner)) => {
            match inner.downcast_ref::<reqwest::Error>() {
                Some(error) => http_error_text(error),
                None => inner.to_string(),
            }
        }
        other => other.to_string(),
    }
}

/// What went wrong in an HTTP request, without the URL.
pub fn http_error_text(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "timed out"
    } else if error.is_connect() {
        "cannot connect"
    } else if error.is_decode() {
        "unexpected response"
    } else {
        "request failed"
    };
    // The innermost cause is the one a person can act on ("Connection refused").
    let mut cause = std::error::Error::source(error);
    let mut text = None;
    while let Some(inner) = cause {
        text = Some(inner.to_string());
        cause = inner.source();
    }
    match (text, error.status()) {
        (Some(text), _) => format!("{what}: {text}"),
        (None, Some(status)) => format!("{what}: HTTP {status}"),
        (None, None) => what.to_owned(),
    }
}

/// The URL as it may be shown: scheme, host and port. User info, path and query are left out,
/// because providers put their keys there.
pub fn without_credentials(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn secrets_in_urls_are_not_shown() {
        let url = "wss://me:pw@l1.example:8546/v3/KEY?x=KEY".parse().unwrap();
        assert_eq!(without_credentials(&url), "wss://l1.example:8546");
        let error = provider(&url).unwrap_err().to_string();
        assert!(error.contains("wss://l1.example:8546") && !error.contains("KEY"), "{error}");
    }

    #[tokio::test]
    async fn a_failed_call_says_why_but_not_where() {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let url = format!("http://127.0.0.1:{port}/SECRETKEY").parse().unwrap();
        let error = provider(&url).unwrap().get_chain_id().await.unwrap_err();
        let text = error_text(&error);
        assert!(text.contains("cannot connect") && !text.contains("SECRETKEY"), "{text}");
    }

    #[test]
    fn clients_build_for_both_schemes() {
        for url in ["http://localhost:1", "https://l1.example/KEY"] {
            provider(&url.parse().unwrap()).unwrap();
        }
    }
}

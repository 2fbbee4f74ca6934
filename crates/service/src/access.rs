//! Who may call over HTTP and WebSocket: hosts that a request may name, and origins of web pages.
//!
//! A web page can make its own name point to a local address and so reach a local server as if it
//! were its own; the `Host` header then still names the page's host. Spec: geth's `--http.vhosts`,
//! `--http.corsdomain`, `--ws.origins`.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::{HeaderValue, StatusCode};
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use tower::{Layer, Service};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// Names that a header may hold: exact ones, patterns with one `*`, or `*` for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// The names, compared without regard to case.
    pub fn new<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Self {
        let names = names.into_iter();
        Self(names.map(|name| name.as_ref().trim().to_ascii_lowercase()).collect())
    }

    /// Every name.
    pub fn any() -> Self {
        Self::new(["*"])
    }

    /// Whether no name at all is allowed.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a name is allowed.
    pub fn allow(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.0.iter().any(|allowed| match allowed.split_once('*') {
            None => *allowed == name,
            Some((start, end)) => {
                name.len() >= start.len() + end.len()
                    && name.starts_with(start)
                    && name.ends_with(end)
            }
        })
    }
}

/// The answers that let pages of these origins call; none if there is no such origin.
pub(crate) fn cors(origins: &Names) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new().allow_methods(Any).allow_headers(Any);
    if *origins == Names::any() {
        return Some(layer.allow_origin(Any));
    }
    let origins = origins.clone();
    let allowed = move |origin: &HeaderValue, _: &_| {
        origin.to_str().is_ok_and(|origin| origins.allow(origin))
    };
    Some(layer.allow_origin(AllowOrigin::predicate(allowed)))
}

/// Refuses requests that name another host, and WebSockets of other origins.
#[derive(Clone, Debug)]
pub(crate) struct AccessLayer {
    pub hosts: Arc<Names>,
    pub ws_origins: Arc<Names>,
}

impl<S> Layer<S> for AccessLayer {
    type Service = Access<S>;

    fn layer(&self, inner: S) -> Access<S> {
        Access { rules: self.clone(), inner }
    }
}

impl AccessLayer {
    /// Why a request may not pass.
    fn refusal<B>(&self, request: &HttpRequest<B>) -> Option<&'static str> {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let authority = header("host").or_else(|| request.uri().authority().map(|a| a.as_str()));
        // A client that names no host is no browser.
        if let Some(authority) = authority.filter(|authority| !authority.is_empty()) {
            let host = host(authority);
            if host.parse::<IpAddr>().is_err() && !self.hosts.allow(host) {
                return Some("invalid host specified");
            }
        }
        let upgrade = header("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket"));
        let foreign = |origin: &str| !self.ws_origins.allow(origin);
        (upgrade && header("origin").is_some_and(foreign)).then_some("origin not allowed")
    }
}

/// The host of `host:port`, brackets of IPv6 addresses removed.
fn host(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(host, _)| host);
    }
    authority.split_once(':').map_or(authority, |(host, _)| host)
}

#[derive(Clone, Debug)]
pub(crate) struct Access<S> {
    rules: AccessLayer,
    inner: S,
}

type BoxedResponse<E> = Pin<Box<dyn Future<Output = Result<HttpResponse, E>> + Send>>;

impl<S, B> Service<HttpRequest<B>> for Access<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse>,
    S::Error: Send + 'static,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = S::Error;
    type Future = BoxedResponse<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        match self.rules.refusal(&request) {
            None => Box::pin(self.inner.call(request)),
            Some(reason) => Box::pin(async move {
                let mut response = HttpResponse::new(HttpBody::from(reason));
                *response.status_mut() = StatusCode::FORBIDDEN;
                Ok(response)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact_or_patterns() {
        let names = Names::new(["LocalHost", "https://*.example.org"]);
        assert!(names.allow("localhost") && names.allow("https://app.example.org"));
        assert!(!names.allow("localhost.evil.org") && !names.allow("https://example.org.evil"));
        assert!(Names::any().allow("anything") && !Names::default().allow("anything"));
        assert!(!Names::new(["ab*ba"]).allow("aba"));
    }

    #[test]
    fn hosts_lose_port_and_brackets() {
        for (authority, expected) in [
            ("a.org:80", "a.org"),
            ("[::1]:80", "::1"),
            ("[::1]", "::1"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            assert_eq!(host(authority), expected);
        }
    }
}

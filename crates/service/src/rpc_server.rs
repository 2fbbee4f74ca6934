//! JSON-RPC over HTTP and WebSocket on one port.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use jsonrpsee::RpcModule;
use jsonrpsee::core::traits::IdProvider;
use jsonrpsee::server::middleware::rpc::RpcServiceBuilder;
use jsonrpsee::server::{
    BatchRequestConfig, HttpBody, HttpRequest, HttpResponse, Methods, PingConfig,
    RandomIntegerIdProvider, Server, ServerConfig, ServerHandle, stop_channel,
};
use jsonrpsee::types::SubscriptionId;
use tower::{Layer, Service};

use crate::access::{self, AccessLayer, Names};
use crate::answers::Answers;
use crate::backlog::Backlog;
use crate::connections::{self, Limits};
use crate::jwt::{JwtLayer, JwtSecret};

/// Messages to a WebSocket that wait to be written; subscriptions wait beyond that.
const WAITING_MESSAGES: u32 = 64;

/// Where and within which limits a server answers.
#[derive(Clone, Debug)]
pub struct RpcServerConfig {
    /// Address to listen on; port 0 lets the system choose.
    pub addr: SocketAddr,
    /// The flag that sets the address, named in the error when the port is taken.
    pub flag: &'static str,
    /// Largest request body, in bytes.
    pub max_request_bytes: u32,
    /// Largest response body, in bytes.
    pub max_response_bytes: u32,
    /// Calls in one batch.
    pub max_batch: u32,
    /// Open HTTP and WebSocket connections.
    pub max_connections: u32,
    /// How long a client may keep the server waiting: for the head of a request, for its body, and
    /// for taking up an answer.
    pub patience: Duration,
    /// Bytes of requests under way, and of answers that their clients have not taken up. With more,
    /// requests get the status 503 or, over WebSocket, an error; a WebSocket that holds a 16th of
    /// it is not read from until it has taken up answers.
    pub max_held_bytes: usize,
    /// Subscriptions on one WebSocket connection.
    pub max_subscriptions: u32,
    /// The secret that signs the token of each request; anybody may call without one.
    pub jwt: Option<JwtSecret>,
    /// Origins of web pages that may call (geth's `--http.corsdomain`).
    pub origins: Names,
    /// What the `Host` header may name besides IP addresses (geth's `--http.vhosts`).
    pub hosts: Names,
    /// Origins that may open a WebSocket (geth's `--ws.origins`).
    pub ws_origins: Names,
    /// Namespaces that are served (geth's `--http.api`); all, when none is named.
    pub namespaces: Names,
}

impl RpcServerConfig {
    /// Limits fit for a devnet or a private node: 16 MiB requests, 160 MiB responses, batches of
    /// 1000, 500 connections, 512 MiB held for them, 30 s of patience. On a loopback address any origin may call, by the name `localhost`;
    /// elsewhere no foreign one, by any name.
    pub fn new(addr: SocketAddr, flag: &'static str) -> Self {
        let local = addr.ip().is_loopback();
        Self {
            addr,
            flag,
            max_request_bytes: 16 * 1024 * 1024,
            max_response_bytes: 160 * 1024 * 1024,
            max_batch: 1000,
            max_connections: Limits::DEFAULT.connections,
            patience: Limits::DEFAULT.patience,
            max_held_bytes: Limits::DEFAULT.held_bytes,
            max_subscriptions: 1024,
            jwt: None,
            origins: if local { Names::any() } else { Names::default() },
            hosts: if local { Names::new(["localhost"]) } else { Names::any() },
            ws_origins: Names::any(),
            namespaces: Names::default(),
        }
    }
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum RpcServerError {
    /// The address can't be listened on.
    #[error("cannot listen on {addr} ({flag}): {source}{}", bind_hint(source))]
    Bind {
        /// Address asked for.
        addr: SocketAddr,
        /// Flag that sets it.
        flag: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

fn bind_hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "; another process uses this port, choose a free one or 0",
        _ => "",
    }
}

/// A running server. Dropping the handle stops the server.
#[derive(Debug)]
pub struct RpcHandle {
    local_addr: SocketAddr,
    server: ServerHandle,
}

impl RpcHandle {
    /// The address listened on, with the port that the system chose.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// URL for HTTP clients.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.local_addr)
    }

    /// URL for WebSocket clients.
    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.local_addr)
    }

    /// Stops accepting calls and waits, at most half a second, for those under way.
    pub async fn stop(self) {
        // An error means that the server has stopped already.
        let _ = self.server.stop();
        let _ = tokio::time::timeout(Duration::from_millis(500), self.server.stopped()).await;
    }
}

/// Listens on `config.addr` and keeps the port without answering yet. Lets a launcher claim all
/// its ports before it starts anything.
///
/// # Errors
/// When the address can't be listened on.
pub fn bind(config: &RpcServerConfig) -> Result<std::net::TcpListener, RpcServerError> {
    let error = |source| RpcServerError::Bind { addr: config.addr, flag: config.flag, source };
    let listener = std::net::TcpListener::bind(config.addr).map_err(error)?;
    listener.set_nonblocking(true).map_err(error)?;
    Ok(listener)
}

/// Serves `module` on HTTP and WebSocket, and 200 on `GET /healthz`.
///
/// # Errors
/// When the address can't be listened on.
pub fn serve(config: &RpcServerConfig, module: RpcModule<()>) -> Result<RpcHandle, RpcServerError> {
    serve_on(bind(config)?, config, module)
}

/// [`serve`] on a listener from [`bind`]. Must be called inside a tokio runtime.
///
/// # Errors
/// When the listener can't be used.
pub fn serve_on(
    listener: std::net::TcpListener,
    config: &RpcServerConfig,
    methods: impl Into<Methods>,
) -> Result<RpcHandle, RpcServerError> {
    let error = |source| RpcServerError::Bind { addr: config.addr, flag: config.flag, source };
    let local_addr = listener.local_addr().map_err(error)?;
    let jwt = config.jwt.clone().map(JwtLayer);
    let access = AccessLayer {
        hosts: Arc::new(config.hosts.clone()),
        ws_origins: Arc::new(config.ws_origins.clone()),
    };
    let middleware = tower::ServiceBuilder::new()
        .layer(access)
        .option_layer(access::cors(&config.origins))
        .layer(HealthLayer)
        .option_layer(jwt);
    let settings = ServerConfig::builder()
        .max_request_body_size(config.max_request_bytes)
        .max_response_body_size(config.max_response_bytes)
        .max_connections(config.max_connections)
        .max_subscriptions_per_connection(config.max_subscriptions)
        .set_batch_request_config(BatchRequestConfig::Limit(config.max_batch))
        .set_message_buffer_capacity(WAITING_MESSAGES)
        .enable_ws_ping(PingConfig::new())
        .set_tcp_no_delay(true)
        .set_id_provider(HexIds)
        .build();
    let builder =
        Server::builder().set_config(settings).set_http_middleware(middleware).to_service_builder();
    let listener = tokio::net::TcpListener::from_std(listener).map_err(error)?;
    let limits = Limits {
        connections: config.max_connections,
        patience: config.patience,
        held_bytes: config.max_held_bytes,
    };
    let methods = served(methods.into(), &config.namespaces);
    let (stop, server) = stop_channel();
    let stopping = stop.clone();
    let max_response_bytes = config.max_response_bytes as usize;
    let service = move |backlog: Arc<Backlog>| {
        let answers =
            move |inner| Answers { inner, backlog: Arc::clone(&backlog), max_response_bytes };
        let middleware = RpcServiceBuilder::new().layer_fn(answers);
        let builder = builder.clone().set_rpc_middleware(middleware);
        builder.build(methods.clone(), stopping.clone())
    };
    tokio::spawn(connections::serve(listener, limits, service, stop));
    Ok(RpcHandle { local_addr, server })
}

/// The methods of these namespaces; all, when none is named.
fn served(methods: Methods, namespaces: &Names) -> Methods {
    if namespaces.is_empty() {
        return methods;
    }
    let left_out: Vec<&'static str> = methods
        .method_names()
        .filter(|name| !namespaces.allow(name.split('_').next().unwrap_or(name)))
        .collect();
    let mut module = RpcModule::new(());
    // Nothing is in the module yet that a name could collide with.
    if let Err(error) = module.merge(methods) {
        tracing::error!(target: "opal::rpc", %error, "methods not served");
    }
    for name in left_out {
        module.remove_method(name);
    }
    module.into()
}

/// Subscription ids in hexadecimal: Ethereum clients take nothing but strings there.
#[derive(Debug)]
pub(crate) struct HexIds;

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        match RandomIntegerIdProvider.next_id() {
            SubscriptionId::Num(number) => SubscriptionId::Str(format!("{number:#x}").into()),
            text @ SubscriptionId::Str(_) => text,
        }
    }
}

/// A claimed port that does not answer yet, with the limits of the server to come. A launcher
/// claims all its ports before it starts anything.
#[derive(Debug)]
pub struct RpcEndpoint {
    listener: std::net::TcpListener,
    config: RpcServerConfig,
}

impl RpcEndpoint {
    /// Claims the port.
    ///
    /// # Errors
    /// When the address can't be listened on.
    pub fn bind(config: RpcServerConfig) -> Result<Self, RpcServerError> {
        Ok(Self { listener: bind(&config)?, config })
    }

    /// Answers `methods` on the claimed port. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the listener can't be used.
    pub fn serve(self, methods: impl Into<Methods>) -> Result<RpcHandle, RpcServerError> {
        serve_on(self.listener, &self.config, methods)
    }
}

/// Answers `GET /healthz` before the request reaches JSON-RPC.
#[derive(Clone, Copy, Debug)]
struct HealthLayer;

impl<S> Layer<S> for HealthLayer {
    type Service = Health<S>;

    fn layer(&self, inner: S) -> Health<S> {
        Health { inner }
    }
}

#[derive(Clone, Debug)]
struct Health<S> {
    inner: S,
}

type BoxedResponse<E> = Pin<Box<dyn Future<Output = Result<HttpResponse, E>> + Send>>;

impl<S, B> Service<HttpRequest<B>> for Health<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse>,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = S::Error;
    type Future = BoxedResponse<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        if request.method().as_str() == "GET" && request.uri().path() == "/healthz" {
            return Box::pin(async { Ok(HttpResponse::new(HttpBody::from("OK"))) });
        }
        Box::pin(self.inner.call(request))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::http::http_client;

    fn loopback(port: u16) -> RpcServerConfig {
        RpcServerConfig::new(SocketAddr::from(([127, 0, 0, 1], port)), "--rpc.port")
    }

    fn module() -> RpcModule<()> {
        let mut module = RpcModule::new(());
        module.register_method("net_version", |_, _, _| "901").unwrap();
        module
    }

    #[test]
    fn subscription_ids_are_hexadecimal_strings() {
        let SubscriptionId::Str(id) = HexIds.next_id() else { panic!("not a string") };
        assert!(u64::from_str_radix(id.strip_prefix("0x").unwrap(), 16).is_ok(), "{id}");
        assert_ne!(HexIds.next_id(), SubscriptionId::Str(id));
    }

    #[tokio::test]
    async fn answers_calls_health_and_preflight_and_stops() {
        let server = serve(&loopback(0), module()).unwrap();
        let url = server.http_url();
        let client = http_client(&url.parse().unwrap()).unwrap();

        let call = serde_json::json!({"jsonrpc":"2.0","id":1,"method":"net_version","params":[]});
        let response = client.post(&url).json(&call).header("origin", "http://x.example");
        let response = response.send().await.unwrap();
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!(body["result"], "901");

        let health = client.get(format!("{url}/healthz")).send().await.unwrap();
        assert_eq!(health.status(), 200);

        server.stop().await;
        assert!(client.get(format!("{url}/healthz")).send().await.is_err());
    }

    #[tokio::test]
    async fn an_authenticated_server_answers_those_with_a_token() {
        let secret = JwtSecret::from([1; 32]);
        let server =
            serve(&RpcServerConfig { jwt: Some(secret.clone()), ..loopback(0) }, module()).unwrap();
        let url = server.http_url();
        let client = http_client(&url.parse().unwrap()).unwrap();
        let call = serde_json::json!({"jsonrpc":"2.0","id":1,"method":"net_version","params":[]});
        let post = |token: Option<String>| {
            let request = client.post(&url).json(&call);
            match token {
                Some(token) => request.bearer_auth(token).send(),
                None => request.send(),
            }
        };
        for (token, text) in [(None, "missing token\n"), (Some("a.b".to_owned()), "token contains")]
        {
            let response = post(token).await.unwrap();
            assert_eq!(response.status(), 401);
            let body = response.text().await.unwrap();
            assert!(body.starts_with(text), "{body}");
        }
        let wrong = JwtSecret::from([2; 32]).token();
        assert_eq!(
            post(Some(wrong)).await.unwrap().text().await.unwrap(),
            "signature is invalid\n"
        );
        let body: serde_json::Value =
            post(Some(secret.token())).await.unwrap().json().await.unwrap();
        assert_eq!(body["result"], "901");
    }

    #[tokio::test]
    async fn foreign_hosts_and_origins_are_refused() {
        let config = RpcServerConfig {
            origins: Names::new(["https://*.example.org"]),
            ws_origins: Names::new(["https://app.example.org"]),
            namespaces: Names::new(["web3"]),
            ..loopback(0)
        };
        let mut methods = module();
        methods.register_method("web3_sha3", |_, _, _| "0x").unwrap();
        let server = serve(&config, methods).unwrap();
        let url = server.http_url();
        let client = http_client(&url.parse().unwrap()).unwrap();
        let post = |method: &str, headers: &[(&'static str, &'static str)]| {
            let call = serde_json::json!({"jsonrpc":"2.0","id":1,"method":method,"params":[]});
            let request = client.post(&url).json(&call);
            let request = headers
                .iter()
                .fold(request, |request, (name, value)| request.header(*name, *value));
            async move { request.send().await.unwrap() }
        };
        for (host, status) in [("localhost", 200), ("127.0.0.1", 200), ("evil.example", 403)] {
            assert_eq!(post("web3_sha3", &[("host", host)]).await.status(), status, "{host}");
        }
        for (origin, allowed) in [("https://a.example.org", true), ("https://evil.example", false)]
        {
            let response = post("web3_sha3", &[("origin", origin)]).await;
            let header = response.headers().contains_key("access-control-allow-origin");
            assert_eq!(header, allowed, "{origin}");
        }
        for (origin, status) in [("https://app.example.org", 101), ("https://a.example.org", 403)] {
            let upgrade = client.get(&url).headers(
                [
                    ("connection", "upgrade"),
                    ("upgrade", "websocket"),
                    ("sec-websocket-version", "13"),
                    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
                    ("origin", origin),
                ]
                .into_iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect(),
            );
            assert_eq!(upgrade.send().await.unwrap().status(), status, "{origin}");
        }
        let left_out: serde_json::Value = post("net_version", &[]).await.json().await.unwrap();
        assert_eq!(left_out["error"]["code"], -32601);
    }

    #[tokio::test]
    async fn the_librarys_own_errors_are_in_geths_words() {
        let mut methods = module();
        methods
            .register_subscription("a_subscribe", "a_it", "a_unsubscribe", |_, _, _, _| async {})
            .unwrap();
        let server = serve(&loopback(0), methods).unwrap();
        let client = http_client(&server.http_url().parse().unwrap()).unwrap();
        let ask = async |body: serde_json::Value| {
            let answer = client.post(server.http_url()).json(&body).send().await.unwrap();
            answer.json::<serde_json::Value>().await.unwrap()
        };
        let call = |method: &str| serde_json::json!({"jsonrpc": "2.0", "id": 7, "method": method});
        let unknown = ask(call("eth_nothing")).await;
        let text = "the method eth_nothing does not exist/is not available";
        assert_eq!((&unknown["error"]["code"], &unknown["id"]), (&(-32601).into(), &7.into()));
        assert_eq!(unknown["error"]["message"], text);
        let batch = [call("eth_nothing"), call("net_version")];
        let batch = ask(serde_json::json!(batch)).await;
        assert_eq!(batch[0], unknown);
        assert_eq!(batch[1]["result"], "901");
        for method in ["a_subscribe", "a_unsubscribe"] {
            let refused = ask(call(method)).await;
            assert_eq!(refused["error"]["code"], -32601, "{refused}");
            assert_eq!(refused["error"]["message"], "notifications not supported");
        }
        let empty = ask(serde_json::json!([])).await;
        assert_eq!(empty["error"]["message"], "empty batch", "{empty}");
        assert_eq!(empty["error"]["code"], -32600);
    }

    #[tokio::test]
    async fn too_long_batches_are_refused() {
        let config = RpcServerConfig { max_batch: 2, ..loopback(0) };
        let server = serve(&config, module()).unwrap();
        let client = http_client(&server.http_url().parse().unwrap()).unwrap();
        let call = serde_json::json!({"jsonrpc":"2.0","id":1,"method":"net_version","params":[]});
        let body: serde_json::Value = client
            .post(server.http_url())
            .json(&vec![call; 3])
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert!(body["error"]["message"].as_str().unwrap().contains("batch"), "{body}");
    }

    #[tokio::test]
    async fn a_taken_port_names_address_and_flag() {
        let server = serve(&loopback(0), module()).unwrap();
        let port = server.local_addr().port();
        let error = serve(&loopback(port), module()).unwrap_err().to_string();
        assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
        assert!(error.contains("--rpc.port"), "{error}");
    }
}

//! JSON-RPC over a Unix socket, framed as geth frames it: JSON values one after the other, with or
//! without space between them; each answer ends with a line feed.
//!
//! ```text
//!   socket ──bytes──► Splitter ──values──► calls, some at once ──┐
//!      ▲                                                          ▼
//!      └───────────────── one writer ◄── answers and notifications
//! ```
//!
//! Whoever may open the socket may call: its file is the owner's alone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jsonrpsee::core::server::{BatchResponseBuilder, BoundedSubscriptions, SubscriptionState};
use jsonrpsee::server::{
    ConnectionId, Extensions, MethodCallback, MethodResponse, MethodSink, Methods,
};
use jsonrpsee::types::error::{ErrorCode, INVALID_REQUEST_CODE};
use jsonrpsee::types::{ErrorObjectOwned, Id, Notification, Params, Request};
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, warn};

use crate::answers::unknown_method;
use crate::rpc_server::HexIds;

/// Calls of one connection that run at once.
const CALLS_AT_ONCE: usize = 32;
/// Answers that wait for a slow reader before calls wait, too.
const OUTBOX: usize = 64;

/// Where and within which limits a socket answers.
#[derive(Clone, Debug)]
pub struct IpcConfig {
    /// File of the socket.
    pub path: PathBuf,
    /// The flag that sets it, named in errors.
    pub flag: &'static str,
    /// Largest request, in bytes.
    pub max_request_bytes: usize,
    /// Largest answer, in bytes.
    pub max_response_bytes: usize,
    /// Calls in one batch.
    pub max_batch: usize,
    /// Open connections.
    pub max_connections: usize,
    /// Subscriptions of one connection.
    pub max_subscriptions: u32,
}

impl IpcConfig {
    /// The limits of [`RpcServerConfig::new`](crate::RpcServerConfig::new).
    pub const fn new(path: PathBuf, flag: &'static str) -> Self {
        Self {
            path,
            flag,
            max_request_bytes: 16 * 1024 * 1024,
            max_response_bytes: 160 * 1024 * 1024,
            max_batch: 1000,
            max_connections: 500,
            max_subscriptions: 1024,
        }
    }
}

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum IpcError {
    /// Another process answers there.
    #[error("{flag} {path}: another process listens on this socket")]
    Taken {
        /// File of the socket.
        path: PathBuf,
        /// Flag that sets it.
        flag: &'static str,
    },
    /// The file can't be made.
    #[error("{flag} {path}: {source}")]
    Bind {
        /// File of the socket.
        path: PathBuf,
        /// Flag that sets it.
        flag: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// A socket that answers. Dropping the handle closes it and removes its file.
#[derive(Debug)]
pub struct IpcHandle {
    path: PathBuf,
    _running: DropGuard,
}

impl IpcHandle {
    /// File of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for IpcHandle {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            debug!(target: "opal::rpc", path = %self.path.display(), %error, "socket not removed");
        }
    }
}

/// Answers `methods` on a Unix socket. Must be called inside a tokio runtime.
///
/// # Errors
/// When another process listens there, or the file can't be made.
pub fn serve(config: IpcConfig, methods: impl Into<Methods>) -> Result<IpcHandle, IpcError> {
    let listener = bind(&config)?;
    let stop = CancellationToken::new();
    let handle = IpcHandle { path: config.path.clone(), _running: stop.clone().drop_guard() };
    tokio::spawn(accept(listener, Arc::new(config), methods.into(), stop));
    Ok(handle)
}

fn bind(config: &IpcConfig) -> Result<UnixListener, IpcError> {
    use std::os::unix::fs::PermissionsExt;

    let IpcConfig { path, flag, .. } = config;
    let failed = |source| IpcError::Bind { path: path.clone(), flag, source };
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(IpcError::Taken { path: path.clone(), flag });
    }
    // What a process that was killed left behind; anything that is no socket stays.
    let is_socket = |file: std::fs::Metadata| {
        use std::os::unix::fs::FileTypeExt;
        file.file_type().is_socket()
    };
    if std::fs::symlink_metadata(path).is_ok_and(is_socket) {
        std::fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

async fn accept(
    listener: UnixListener,
    config: Arc<IpcConfig>,
    methods: Methods,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(config.max_connections));
    // Unsubscribing goes by connection, so numbers are not used twice.
    static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(target: "opal::rpc", %error, "IPC connection not accepted");
                // Out of file descriptors, most likely: give others time to close theirs.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            debug!(target: "opal::rpc", limit = config.max_connections, "too many IPC connections");
            continue;
        };
        let connection = Connection {
            id: ConnectionId(CONNECTIONS.fetch_add(1, Ordering::Relaxed)),
            methods: methods.clone(),
            config: config.clone(),
            subscriptions: Arc::new(BoundedSubscriptions::new(config.max_subscriptions)),
        };
        let stop = stop.clone();
        tokio::spawn(async move {
            let _slot = slot;
            tokio::select! {
                () = stop.cancelled() => {}
                () = connection.run(stream) => {}
            }
        });
    }
}

#[derive(Clone)]
struct Connection {
    id: ConnectionId,
    methods: Methods,
    config: Arc<IpcConfig>,
    subscriptions: Arc<BoundedSubscriptions>,
}

impl Connection {
    /// Until the client closes, or sends what is no JSON.
    async fn run(self, stream: UnixStream) {
        let (reader, writer) = stream.into_split();
        let (outbox, answers) = mpsc::channel(OUTBOX);
        // Subscriptions keep their ends of the outbox, so the reader tells when it is over.
        let over = CancellationToken::new();
        tokio::select! {
            () = write(writer, answers, &over) => {}
            () = async {
                self.read(reader, outbox).await;
                over.cancel();
                std::future::pending().await
            } => {}
        }
    }

    async fn read(&self, mut reader: OwnedReadHalf, outbox: mpsc::Sender<Box<RawValue>>) {
        let turns = Arc::new(Semaphore::new(CALLS_AT_ONCE));
        let mut splitter = Splitter::new(self.config.max_request_bytes);
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let read = match reader.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(read) => read,
            };
            for value in splitter.feed(chunk.get(..read).unwrap_or_default()) {
                let value = match value {
                    Ok(value) => value,
                    Err(error) => {
                        let answer = MethodResponse::error(Id::Null, error).into_json();
                        // The client has gone already if it can't be told.
                        let _ = outbox.send(answer).await;
                        break;
                    }
                };
                let Ok(turn) = turns.clone().acquire_owned().await else { break };
                let (connection, outbox) = (self.clone(), outbox.clone());
                tokio::spawn(async move {
                    if let Some(answer) = connection.answer(&value, &outbox).await {
                        let _ = outbox.send(answer).await;
                    }
                    drop(turn);
                });
            }
            if splitter.broken {
                break;
            }
        }
        // Calls that run get their answers out before the connection closes.
        let _ = turns.acquire_many(CALLS_AT_ONCE as u32).await;
    }

    /// The answer to one value: a call, a notification or a batch.
    async fn answer(
        &self,
        value: &[u8],
        outbox: &mpsc::Sender<Box<RawValue>>,
    ) -> Option<Box<RawValue>> {
        if !value.starts_with(b"[") {
            return self.call(value, Some(outbox)).await.map(MethodResponse::into_json);
        }
        let calls: Vec<&RawValue> = match serde_json::from_slice(value) {
            Ok(calls) => calls,
            Err(_) => return Some(refuse(ErrorCode::ParseError.into()).into_json()),
        };
        if calls.is_empty() {
            return Some(refuse(invalid("empty batch")).into_json());
        }
        if calls.len() > self.config.max_batch {
            return Some(refuse(invalid("batch too large")).into_json());
        }
        let mut answers = BatchResponseBuilder::new_with_limit(self.config.max_response_bytes);
        for call in calls {
            let Some(answer) = self.call(call.get().as_bytes(), None).await else { continue };
            if let Err(too_large) = answers.append(answer) {
                return Some(too_large.into_json());
            }
        }
        let nothing_to_say = answers.is_empty();
        (!nothing_to_say).then(|| MethodResponse::from_batch(answers.finish()).into_json())
    }

    /// The answer to one call; none to a notification, nor to a subscription, which has answered
    /// through the outbox. Without an outbox there are no subscriptions.
    async fn call(
        &self,
        value: &[u8],
        outbox: Option<&mpsc::Sender<Box<RawValue>>>,
    ) -> Option<MethodResponse> {
        let Ok(request) = serde_json::from_slice::<Request<'_>>(value) else {
            if serde_json::from_slice::<Notification<'_, Option<&RawValue>>>(value).is_ok() {
                return None;
            }
            return Some(refuse(match serde_json::from_slice::<&RawValue>(value) {
                Ok(_) => ErrorCode::InvalidRequest.into(),
                Err(_) => ErrorCode::ParseError.into(),
            }));
        };
        let Request { id, method, params, .. } = request;
        let params = Params::new(params.as_ref().map(|params| params.as_ref().get()));
        let mut extensions = Extensions::new();
        extensions.insert(self.id);
        let limit = self.config.max_response_bytes;
        Some(match self.methods.method(&method) {
            None => MethodResponse::error(id, unknown_method(&method)),
            Some(MethodCallback::Sync(call)) => call(id, params, limit, extensions),
            Some(MethodCallback::Async(call)) => {
                let (id, params) = (id.into_owned(), params.into_owned());
                call(id, params, self.id, limit, extensions).await
            }
            Some(MethodCallback::Unsubscription(call)) => {
                call(id, params, self.id, limit, extensions)
            }
            Some(MethodCallback::Subscription(call)) => {
                let Some(outbox) = outbox else {
                    return Some(MethodResponse::error(id, invalid("no subscriptions in a batch")));
                };
                let Some(subscription_permit) = self.subscriptions.acquire() else {
                    return Some(MethodResponse::error(id, invalid("too many subscriptions")));
                };
                let state = SubscriptionState {
                    conn_id: self.id,
                    id_provider: &HexIds,
                    subscription_permit,
                };
                let bytes = u32::try_from(limit).unwrap_or(u32::MAX);
                let sink = MethodSink::new_with_limit(outbox.clone(), bytes);
                call(id, params, sink, state, extensions).await;
                return None;
            }
        })
    }
}

fn invalid(text: &str) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INVALID_REQUEST_CODE, text, None::<()>)
}

fn refuse(error: ErrorObjectOwned) -> MethodResponse {
    MethodResponse::error(Id::Null, error)
}

/// Writes answers as they come, and what is left of them when it is over.
async fn write(
    mut writer: OwnedWriteHalf,
    mut answers: mpsc::Receiver<Box<RawValue>>,
    over: &CancellationToken,
) {
    loop {
        let answer = tokio::select! {
            biased;
            answer = answers.recv() => answer,
            () = over.cancelled() => None,
        };
        let Some(answer) = answer else { return };
        let mut line = answer.get().as_bytes().to_vec();
        line.push(b'\n');
        if writer.write_all(&line).await.is_err() {
            return;
        }
    }
}

/// Cuts a stream into JSON objects and arrays. It looks at brackets and strings alone; whether
/// what lies between them is JSON is the parser's concern.
struct Splitter {
    limit: usize,
    value: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Nothing after an error can be trusted to begin where a value begins.
    broken: bool,
}

impl Splitter {
    const fn new(limit: usize) -> Self {
        let (in_string, escaped, broken) = (false, false, false);
        Self { limit, value: Vec::new(), depth: 0, in_string, escaped, broken }
    }

    fn feed(&mut self, bytes: &[u8]) -> Vec<Result<Vec<u8>, ErrorObjectOwned>> {
        let mut found = Vec::new();
        for byte in bytes {
            if self.broken {
                break;
            }
            match self.byte(*byte) {
                Ok(false) => {}
                Ok(true) => found.push(Ok(std::mem::take(&mut self.value))),
                Err(error) => {
                    self.broken = true;
                    found.push(Err(error));
                }
            }
        }
        found
    }

    /// Takes one byte; says whether it ends a value.
    fn byte(&mut self, byte: u8) -> Result<bool, ErrorObjectOwned> {
        if self.depth == 0 {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => return Ok(false),
                b'{' | b'[' => {}
                _ => return Err(ErrorCode::ParseError.into()),
            }
        }
        if self.value.len() >= self.limit {
            return Err(invalid("request body too large"));
        }
        self.value.push(byte);
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        Ok(self.depth == 0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use jsonrpsee::RpcModule;
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt, BufReader, Lines};

    use super::*;

    fn module() -> RpcModule<()> {
        let mut module = RpcModule::new(());
        module.register_method("net_version", |_, _, _| "901").unwrap();
        module
            .register_subscription(
                "eth_subscribe",
                "eth_subscription",
                "eth_unsubscribe",
                |_, sink, _, _| async move {
                    let sink = sink.accept().await?;
                    sink.send(jsonrpsee::core::to_json_raw_value(&"head")?).await?;
                    sink.closed().await;
                    Ok(())
                },
            )
            .unwrap();
        module
    }

    struct Client {
        writer: OwnedWriteHalf,
        lines: Lines<BufReader<OwnedReadHalf>>,
    }

    impl Client {
        async fn connect(handle: &IpcHandle) -> Self {
            let (reader, writer) = UnixStream::connect(handle.path()).await.unwrap().into_split();
            Self { writer, lines: BufReader::new(reader).lines() }
        }

        async fn send(&mut self, text: &str) {
            self.writer.write_all(text.as_bytes()).await.unwrap();
        }

        async fn answer(&mut self) -> Value {
            let line = tokio::time::timeout(Duration::from_secs(10), self.lines.next_line());
            serde_json::from_str(&line.await.unwrap().unwrap().unwrap()).unwrap()
        }
    }

    fn call(id: u64, method: &str, params: Value) -> String {
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
    }

    fn served(dir: &tempfile::TempDir, change: impl FnOnce(&mut IpcConfig)) -> IpcHandle {
        let mut config = IpcConfig::new(dir.path().join("opal.ipc"), "--ipc-path");
        change(&mut config);
        serve(config, module()).unwrap()
    }

    #[tokio::test]
    async fn values_are_cut_wherever_the_stream_is() {
        let stream = br#"{"a":"}\"]"} [1,{"b":[]}]{"c":{}}"#;
        for size in 1..stream.len() {
            let mut splitter = Splitter::new(100);
            let found = stream.chunks(size).flat_map(|chunk| splitter.feed(chunk));
            let found: Vec<String> =
                found.map(|value| String::from_utf8(value.unwrap()).unwrap()).collect();
            assert_eq!(found, [r#"{"a":"}\"]"}"#, r#"[1,{"b":[]}]"#, r#"{"c":{}}"#]);
        }
        assert!(Splitter::new(100).feed(b" 7")[0].is_err());
        assert!(Splitter::new(3).feed(b"[123]")[0].is_err());
        assert!(Splitter::new(100).feed(b"[}").iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn calls_batches_and_subscriptions() {
        let dir = tempfile::tempdir().unwrap();
        let server = served(&dir, |config| config.max_batch = 2);
        let mut client = Client::connect(&server).await;
        client.send(&call(1, "net_version", json!([]))).await;
        assert_eq!(client.answer().await["result"], "901");
        let two = format!("[{},{}]", call(2, "net_version", json!([])), call(3, "no", json!([])));
        client.send(&two).await;
        let batch = client.answer().await;
        assert_eq!(
            (&batch[0]["result"], &batch[1]["error"]["code"]),
            (&json!("901"), &json!(-32601))
        );
        let call_again = call(4, "net_version", json!([]));
        client.send(&format!("[{call_again},{call_again},{call_again}]")).await;
        assert_eq!(client.answer().await["error"]["message"], "batch too large");
        client.send("[]").await;
        assert_eq!(client.answer().await["error"]["message"], "empty batch");
        client.send("{}").await;
        assert_eq!(client.answer().await["error"]["code"], -32600);
        // A notification is not answered.
        client.send(r#"{"jsonrpc":"2.0","method":"net_version","params":[]}"#).await;

        client.send(&call(5, "eth_subscribe", json!(["newHeads"]))).await;
        let id = client.answer().await["result"].clone();
        assert!(id.as_str().unwrap().starts_with("0x"), "{id}");
        let head = client.answer().await;
        assert_eq!(
            (&head["params"]["subscription"], &head["params"]["result"]),
            (&id, &json!("head"))
        );
        client.send(&call(6, "eth_unsubscribe", json!([id]))).await;
        assert_eq!(client.answer().await["result"], true);

        client.send("nonsense").await;
        assert_eq!(client.answer().await["error"]["code"], -32700);
        assert!(client.lines.next_line().await.unwrap().is_none(), "the connection is closed");
    }

    #[tokio::test]
    async fn the_file_is_the_owners_alone_and_goes_with_the_server() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let server = served(&dir, |_| {});
        let path = server.path().to_owned();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = serve(IpcConfig::new(path.clone(), "--ipc-path"), module());
        assert!(matches!(second, Err(IpcError::Taken { .. })));
        drop(server);
        assert!(!path.exists());
        // A socket that a killed process left behind is no obstacle, a file is.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        drop(serve(IpcConfig::new(path.clone(), "--ipc-path"), module()).unwrap());
        std::fs::write(&path, "mine").unwrap();
        let error = serve(IpcConfig::new(path.clone(), "--ipc-path"), module()).unwrap_err();
        assert!(error.to_string().contains("--ipc-path"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }
}

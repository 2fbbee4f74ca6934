//! The TCP connections of a server: how many there are, how long each may keep it waiting, and how
//! much memory all of them hold.
//!
//! ```text
//!   accept ──► one of N places ──► head of a request ──► its body ──► answer ──► head of the next …
//!                │ none is free        │ each within `patience`; an answer without a longer pause
//!                └──► 429, closed      └──► too late: closed
//! ```
//! What WebSockets hold: [`crate::backlog`].

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse, StopHandle};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tower::Service;
use tracing::{debug, warn};

use crate::backlog::{Backlog, Memory};
use crate::trouble::Trouble;

const TARGET: &str = "opal::rpc";

/// Wait after a connection that could not be accepted, mostly for want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a connection gets for which there is no place.
const NO_PLACE: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\n\
    content-type: text/plain\r\ncontent-length: 45\r\n\r\n\
    Too many connections. Please try again later.";

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Bounds on all connections of a server together, and on each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Open connections.
    pub connections: u32,
    /// How long a client may keep the server waiting.
    pub patience: Duration,
    /// Bytes of requests that are read or answered, and of answers that are not taken up yet.
    pub held_bytes: usize,
}

impl Limits {
    /// Fit for a devnet or a private node.
    pub const DEFAULT: Self =
        Self { connections: 500, patience: Duration::from_secs(30), held_bytes: 512 * 1024 * 1024 };
}

/// Serves the connections of a listener until told to stop, each with a service of its own, which
/// counts in the backlog that it is made with what a WebSocket holds.
pub(crate) async fn serve<S>(
    listener: TcpListener,
    limits: Limits,
    service: impl Fn(Arc<Backlog>) -> S + Send + 'static,
    stop: StopHandle,
) where
    S: Service<HttpRequest, Response = HttpResponse, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
{
    let places = Arc::new(Semaphore::new(limits.connections as usize));
    let memory = Memory::new(limits.held_bytes);
    let mut stopped = pin!(stop.clone().shutdown());
    let mut trouble = Trouble::default();
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                if trouble.note(&error.to_string()) {
                    warn!(target: TARGET, %error, "cannot accept connections");
                }
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            if trouble.note("no place") {
                warn!(target: TARGET, limit = limits.connections,
                    "all connections are taken, further ones are refused");
            }
            // Whether it reads that is its own affair.
            let _ = socket.try_write(NO_PLACE);
            continue;
        };
        let _ = socket.set_nodelay(true);
        let backlog = Backlog::new(Arc::clone(&memory));
        let service = service(Arc::clone(&backlog));
        let patience = limits.patience;
        let (stall, failed, reader) = (None, false, None);
        let socket = Socket { socket, patience, stall, failed, reader, backlog, _place: place };
        let connection = connection(socket, service, Arc::clone(&memory), patience, stop.clone());
        tokio::spawn(connection);
    }
}

async fn connection<S>(
    socket: Socket,
    service: S,
    memory: Arc<Memory>,
    patience: Duration,
    stop: StopHandle,
) where
    S: Service<HttpRequest, Response = HttpResponse, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
{
    let backlog = Arc::clone(&socket.backlog);
    let first = Arc::new(Notify::new());
    let requested = Arc::clone(&first);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        requested.notify_one();
        let upgrade = request.headers().get(hyper::header::UPGRADE);
        if upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket")) {
            backlog.begin();
        }
        answer(request, service.clone(), Arc::clone(&memory), patience)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(patience);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(patience);
    let mut served = pin!(builder.serve_connection_with_upgrades(TokioIo::new(socket), service));
    // Until the first request it is not known which version of HTTP is spoken, and by whose clock.
    let silent = async {
        match tokio::time::timeout(patience, first.notified()).await {
            Ok(()) => std::future::pending().await,
            Err(_) => "no request came",
        }
    };
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = stop.shutdown() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
        reason = silent => Err(reason.into()),
    };
    if let Err(error) = ended {
        debug!(target: TARGET, %error, "connection ended");
    }
}

/// Answers one request, whose bytes and whose answer count as held until it is taken up.
async fn answer<S>(
    request: hyper::Request<Incoming>,
    mut service: S,
    memory: Arc<Memory>,
    patience: Duration,
) -> Result<HttpResponse, Infallible>
where
    S: Service<HttpRequest, Response = HttpResponse, Error = BoxError>,
{
    if memory.is_full() {
        return Ok(busy());
    }
    let held = Arc::new(Held { memory: Arc::clone(&memory), bytes: AtomicUsize::new(0) });
    let deadline = Box::pin(sleep(patience));
    let request =
        request.map(|body| HttpBody::new(RequestBody { body, deadline, held: Arc::clone(&held) }));
    let ready = poll_fn(|cx| service.poll_ready(cx)).await;
    let answered = match ready {
        Ok(()) => service.call(request).await,
        Err(error) => Err(error),
    };
    let response = match answered {
        Ok(response) => response,
        Err(error) => {
            debug!(target: TARGET, %error, "request not answered");
            return Ok(refusal(500, "the request could not be answered\n"));
        }
    };
    // Others may have filled the memory while this one was being made.
    if memory.is_full() && response.status() != hyper::StatusCode::SWITCHING_PROTOCOLS {
        return Ok(busy());
    }
    Ok(response.map(|body| HttpBody::new(ResponseBody { body, memory })))
}

fn busy() -> HttpResponse {
    refusal(503, "too many answers wait to be read, try again later\n")
}

fn refusal(status: u16, text: &'static str) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(text));
    if let Ok(status) = hyper::StatusCode::from_u16(status) {
        *response.status_mut() = status;
    }
    response
}

/// A part of the memory, which is given back when it is dropped.
#[derive(Debug)]
struct Held {
    memory: Arc<Memory>,
    bytes: AtomicUsize,
}

impl Held {
    /// Takes more; tells whether that is within the limit.
    fn add(&self, bytes: usize) -> bool {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.memory.take(bytes)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.give_back(*self.bytes.get_mut());
    }
}

/// The body of a request, which has to come in time.
struct RequestBody {
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
    held: Arc<Held>,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                match self.held.add(bytes) {
                    true => Poll::Ready(Some(Ok(frame))),
                    false => Poll::Ready(Some(Err("too many requests at once".into()))),
                }
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => match self.deadline.as_mut().poll(cx) {
                Poll::Ready(()) => {
                    Poll::Ready(Some(Err("the body of the request did not come in time".into())))
                }
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer.
struct ResponseBody {
    body: HttpBody,
    memory: Arc<Memory>,
}

/// A piece of an answer, which counts as held until it is sent: HTTP takes it out of the body long
/// before.
struct Piece {
    data: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()?;
        let memory = &self.memory;
        let counted = frame.map(|frame| {
            frame.map_data(|data| {
                let held = Held { memory: Arc::clone(memory), bytes: AtomicUsize::new(0) };
                // An answer that exists is given, even if it is one too many: the next request is
                // refused.
                held.add(data.len());
                Bytes::from_owner(Piece { data, _held: held })
            })
        });
        Poll::Ready(counted.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket with its place among the connections. It fails when what is written to it is not taken
/// up in time, and is not read from while a WebSocket's backlog is too long.
struct Socket {
    socket: TcpStream,
    patience: Duration,
    /// Runs while something waits to be written.
    stall: Option<Pin<Box<Sleep>>>,
    /// Whether something was not taken up in time: nothing is read any more then.
    failed: bool,
    /// Whoever waits for something to read.
    reader: Option<Waker>,
    backlog: Arc<Backlog>,
    _place: OwnedSemaphorePermit,
}

impl Socket {
    fn watched(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = &written {
            self.stall = None;
            self.backlog.written(*result.as_ref().unwrap_or(&0));
            return written;
        }
        let patience = self.patience;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stall.as_mut().poll(cx));
        self.failed = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.failed {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let read = match self.backlog.must_wait(cx) {
            true => Poll::Pending,
            false => Pin::new(&mut self.socket).poll_read(cx, buf),
        };
        if read.is_pending() {
            self.reader = Some(cx.waker().clone());
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.watched(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.watched(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;

//! HTTP servers that are no JSON-RPC, such as those of the metrics and of a beacon API, within the
//! bounds of the servers that are.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse, stop_channel};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::connections::{self, Limits};

/// Serves routes until told to stop; connections, their patience and their memory are bounded as
/// by [`RpcServerConfig::new`](crate::RpcServerConfig::new).
pub async fn serve(listener: TcpListener, routes: Router, stop: CancellationToken) {
    serve_within(Limits::DEFAULT, listener, routes, stop).await;
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    routes: Router,
    stop: CancellationToken,
) {
    let (stopping, server) = stop_channel();
    let service = move |_| Routes(routes.clone());
    tokio::select! {
        () = connections::serve(listener, limits, service, stopping) => {}
        () = stop.cancelled() => {
            // An error means that all connections have ended already.
            let _ = server.stop();
        }
    }
}

/// Routes with the body types of the other servers.
#[derive(Clone, Debug)]
struct Routes(Router);

impl Service<HttpRequest> for Routes {
    type Response = HttpResponse;
    type Error = connections::BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<HttpRequest>::poll_ready(&mut self.0, cx).map_err(never)
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move { answer.await.map(|it| it.map(HttpBody::new)).map_err(never) })
    }
}

fn never(error: Infallible) -> connections::BoxError {
    match error {}
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn routes_are_served_within_the_bounds() {
        let patience = Duration::from_millis(300);
        let limits = Limits { connections: 2, patience, held_bytes: 1 << 20 };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let routes = Router::new().route("/it", get(|| async { "answer" }));
        let server = tokio::spawn(serve_within(limits, listener, routes, stop.clone()));
        let get = |path: &str| {
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            async move {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.map(|_| answer).unwrap_or_default()
            }
        };
        let answer = get("/it").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("answer"), "{answer}");
        assert!(get("/else").await.starts_with("HTTP/1.1 404 "));

        // Two that say nothing take both places, until they have waited too long.
        let mut idle = Vec::new();
        for _ in 0..2 {
            idle.push(TcpStream::connect(addr).await.unwrap());
        }
        let refused = get("/it").await;
        assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 429 "), "{refused}");
        for stream in &mut idle {
            assert!(matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_)));
        }
        assert!(get("/it").await.starts_with("HTTP/1.1 200 "));
        stop.cancel();
        server.await.unwrap();
    }
}

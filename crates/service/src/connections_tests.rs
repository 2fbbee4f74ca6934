//! Clients that keep a server waiting.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jsonrpsee::RpcModule;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::RpcHandle;
use crate::http::http_client;
use crate::rpc_server::{RpcServerConfig, serve};

const PATIENCE: Duration = Duration::from_millis(150);
/// Longest wait for anything.
const DEADLINE: Duration = Duration::from_secs(20);
/// More than what the system holds between two ends of a connection.
const LARGE: usize = 30 << 20;

fn server(max_connections: u32, max_held_bytes: usize, patience: Duration) -> RpcHandle {
    let mut module = RpcModule::new(AtomicUsize::new(0));
    module.register_method("small", |_, _, _| 1).unwrap();
    module.register_method("large", |_, _, _| "x".repeat(LARGE)).unwrap();
    module
        .register_method("medium", |_, calls, _| {
            calls.fetch_add(1, Ordering::Relaxed);
            "x".repeat(256 << 10)
        })
        .unwrap();
    module.register_method("medium_calls", |_, calls, _| calls.load(Ordering::Relaxed)).unwrap();
    let config = RpcServerConfig {
        max_connections,
        max_held_bytes,
        patience,
        ..RpcServerConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)), "--rpc.port")
    };
    serve(&config, module.remove_context()).unwrap()
}

fn request(method: &str) -> String {
    let call = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":[]}}"#);
    let length = call.len();
    format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{call}"
    )
}

async fn send(server: &RpcHandle, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Everything until the server closes the connection. A client that is dropped amid an answer gets
/// an error there, or its end.
async fn rest(mut stream: TcpStream) -> String {
    let mut read = Vec::new();
    let reading = stream.read_to_end(&mut read);
    let _ = tokio::time::timeout(DEADLINE, reading).await.expect("the connection is closed");
    String::from_utf8(read).unwrap()
}

/// The status of a small call, once it is the expected one.
async fn until_status(server: &RpcHandle, expected: u16) {
    let url = server.http_url();
    let client = http_client(&url.parse().unwrap()).unwrap();
    let call = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "small"});
    let end = Instant::now() + DEADLINE;
    loop {
        let answer = client.post(&url).header("connection", "close").json(&call).send().await;
        let status = answer.map(|answer| answer.status().as_u16());
        if status.as_ref().is_ok_and(|status| *status == expected) {
            return;
        }
        assert!(Instant::now() < end, "{status:?} instead of {expected}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn clients_that_say_nothing_or_not_all_are_dropped() {
    let server = server(8, 1 << 20, PATIENCE);
    let whole = request("small");
    // Nothing; what may become HTTP/2; half a head; half a body; and nothing after an answer.
    for part in ["", "P", "POST / HTTP/1.1\r\nhost: local", &whole[..whole.len() - 5], &whole] {
        let stream = send(&server, part).await;
        let answer = rest(stream).await;
        assert_eq!(answer.contains("\"result\":1"), part == whole, "{part:?}: {answer}");
    }
    until_status(&server, 200).await;
}

#[tokio::test]
async fn connections_are_counted_and_further_ones_refused() {
    let server = server(2, 1 << 20, DEADLINE);
    let (first, second) = (send(&server, "POST").await, send(&server, "").await);
    let refused = rest(send(&server, "").await).await;
    assert!(refused.starts_with("HTTP/1.1 429 ") && refused.ends_with("again later."), "{refused}");
    drop((first, second));
    until_status(&server, 200).await;
}

#[tokio::test]
async fn answers_that_nobody_reads_are_bounded_and_dropped() {
    let server = server(8, LARGE / 2, Duration::from_secs(2));
    let idle = send(&server, &request("large")).await;
    // While the answer waits, others are refused; then it is dropped.
    until_status(&server, 503).await;
    until_status(&server, 200).await;
    assert!(rest(idle).await.len() < LARGE);
    // Who reads gets all, however slowly.
    let mut slow = send(&server, &request("large")).await;
    let mut buffer = vec![0; 1 << 20];
    let mut read = 0;
    while read < LARGE {
        read += slow.read(&mut buffer).await.unwrap();
    }
}

#[tokio::test]
async fn requests_that_come_at_once_are_bounded_together() {
    let server = server(8, 1 << 20, DEADLINE);
    let body = "x".repeat(700 << 10);
    let part = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: 8000000\r\n\r\n{body}"
    );
    let _first = send(&server, &part).await;
    let refused = rest(send(&server, &part).await).await;
    assert!(!refused.starts_with("HTTP/1.1 200"), "{refused}");
}

#[tokio::test]
async fn a_server_that_stops_ends_its_connections() {
    let server = server(8, 1 << 20, DEADLINE);
    let idle = send(&server, &request("small")).await;
    until_status(&server, 200).await;
    let begun = Instant::now();
    server.stop().await;
    assert!(rest(idle).await.contains("\"result\":1"));
    assert!(begun.elapsed() < DEADLINE);
}

/// A message of a client, masked by zeros.
fn message(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 126, "longer ones have another form");
    let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
    frame.extend(text.as_bytes());
    frame
}

#[tokio::test]
async fn a_websocket_that_does_not_read_is_not_read_from() {
    const CALLS: usize = 300;
    let server = server(8, 16 << 20, Duration::from_secs(2));
    let handshake = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n\
        upgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut stream = send(&server, handshake).await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    let call = message(r#"{"jsonrpc":"2.0","id":1,"method":"medium"}"#);
    stream.write_all(&call.repeat(CALLS)).await.unwrap();
    // It is dropped for the answers that it does not take up; what it held is free then.
    let (mut read, mut end) = (stream, [0; 1]);
    let closed = async {
        while read.write_all(&message("{}")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, closed).await.expect("the connection is closed");
    let _ = read.read(&mut end).await;
    until_status(&server, 200).await;
    let answer = rest(send(&server, &request("medium_calls")).await).await;
    let (_, calls) = answer.split_once("\"result\":").unwrap();
    let calls: usize = calls.trim_end_matches('}').parse().unwrap();
    // What fits into the buffers of the system is more than what the server may hold.
    assert!((1..CALLS / 2).contains(&calls), "{calls} calls were answered");
}

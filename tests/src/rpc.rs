//! One JSON-RPC call or page over plain HTTP on loopback, for tests that need no third-party client.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

/// The result of a call; `None` when the server does not answer, or not with a result.
pub fn call(url: &str, method: &str, params: Value) -> Option<Value> {
    let address = url.strip_prefix("http://")?.trim_end_matches('/');
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let request = format!(
        "POST / HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer: Value = serde_json::from_str(&exchange(address, &request)?).ok()?;
    answer.get("result").cloned()
}

/// The body of what a URL serves; `None` when the server does not answer.
pub fn get(url: &str) -> Option<String> {
    let (address, path) = url.strip_prefix("http://")?.split_once('/')?;
    let request = format!("GET /{path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    exchange(address, &request)
}

/// Sends an HTTP request and reads the answer's body.
fn exchange(address: &str, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// Number and hash of a block by number or label.
pub fn block(url: &str, at: &str) -> Option<(u64, String)> {
    let block = call(url, "eth_getBlockByNumber", json!([at, false]))?;
    let number = block["number"].as_str()?.strip_prefix("0x")?;
    Some((u64::from_str_radix(number, 16).ok()?, block["hash"].as_str()?.to_owned()))
}

//! A JSON-RPC server inside the test, which plays an L1 or a node.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

/// Answers a call: the path below the server's address, the method, its parameters. A refusal is
/// JSON-RPC's error object.
pub type Answer = dyn Fn(&str, &str, &Value) -> Result<Value, Value> + Send + Sync;

/// Serves JSON-RPC on a free port of the loopback, for every path of one segment; gives the address.
pub async fn serve(answer: Arc<Answer>) -> String {
    let router = Router::new().route("/{path}", post(handle)).with_state(answer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn handle(
    State(answer): State<Arc<Answer>>,
    Path(path): Path<String>,
    Json(call): Json<Value>,
) -> Json<Value> {
    let id = &call["id"];
    Json(match answer(&path, call["method"].as_str().unwrap(), &call["params"]) {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
    })
}

/// The error object for a refusal in words.
pub fn refused(message: impl Into<String>) -> Value {
    json!({"code": -32000, "message": message.into()})
}

/// A number as JSON-RPC writes it.
pub fn quantity(number: u64) -> Value {
    json!(format!("{number:#x}"))
}

/// A receipt as `eth_getTransactionReceipt` gives it.
pub fn receipt(transaction: Value, block: u64, success: bool, logs: &[Value]) -> Value {
    let (hash, address) = (format!("0x{}", "00".repeat(32)), format!("0x{}", "00".repeat(20)));
    json!({
        "type": "0x2", "status": if success { "0x1" } else { "0x0" },
        "cumulativeGasUsed": "0x5208", "logs": logs,
        "logsBloom": format!("0x{}", "00".repeat(256)), "transactionHash": transaction,
        "transactionIndex": "0x0", "blockHash": hash, "blockNumber": quantity(block),
        "gasUsed": "0x5208", "effectiveGasPrice": "0x1", "from": address, "to": address,
        "contractAddress": null,
    })
}

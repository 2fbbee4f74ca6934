//! What the tests of running nodes share: waiting, transactions, RPC, and an L1 that can fail.
#![allow(clippy::unwrap_used, dead_code, reason = "each test file uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use opal_execution::Chain;
use opal_protocol::TxEnvelope;
use opal_service::http::http_client;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// Longest wait for anything.
const DEADLINE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
pub async fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(DEADLINE, asking).await {
        Ok(answer) => answer,
        Err(_) => panic!("not within {DEADLINE:?}: {what}"),
    }
}

/// A free port of this machine.
pub const fn free_port() -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0)
}

/// A transfer of 1 wei, as bytes.
pub fn transfer(chain_id: u64, signer: &PrivateKeySigner, nonce: u64) -> Vec<u8> {
    let tx = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(Address::repeat_byte(0x11)),
        value: U256::from(1),
        ..TxEip1559::default()
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    TxEnvelope::Eip1559(tx.into_signed(signature)).encoded_2718()
}

/// Block of the canonical chain that holds the transaction.
pub fn block_of(chain: &Chain, tx: &B256) -> Option<u64> {
    chain.transaction(tx).map(|(block, _)| block.number())
}

/// The result of a JSON-RPC call, or its error message.
pub async fn rpc(url: &str, method: &str, params: Value) -> Result<Value, String> {
    let url: Url = url.parse().unwrap();
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let response = http_client(&url).unwrap().post(url).json(&request).send().await.unwrap();
    let answer: Value = response.json().await.unwrap();
    match answer.get("error") {
        Some(error) => Err(error["message"].as_str().unwrap().to_owned()),
        None => Ok(answer["result"].clone()),
    }
}

/// How an endpoint behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    Good,
    /// Takes connections and answers nothing.
    Hangs,
    /// Drops connections.
    Dead,
}

/// A TCP proxy in front of an endpoint that does as the test says.
pub struct Proxy {
    pub url: Url,
    line: watch::Sender<Line>,
}

impl Proxy {
    pub async fn start(target: &Url) -> Self {
        let listener = TcpListener::bind(free_port()).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let target = format!("{}:{}", target.host_str().unwrap(), target.port().unwrap());
        let (line, state) = watch::channel(Line::Good);
        tokio::spawn(async move {
            let target: Arc<str> = target.into();
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, target.clone(), state.clone()));
            }
        });
        Self { url, line }
    }

    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

async fn forward(mut client: TcpStream, target: Arc<str>, mut state: watch::Receiver<Line>) {
    if *state.borrow() == Line::Good {
        let mut server = TcpStream::connect(&*target).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
            _ = state.wait_for(|line| *line != Line::Good) => {}
        }
    }
    // A connection that has hung is not mended, only dropped.
    let _ = state.wait_for(|line| *line != Line::Hangs).await;
}

//! Latency and throughput of JSON-RPC methods over HTTP on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use alloy_primitives::{B256, U256};
use eyre::{bail, eyre};
use opal_service::{RpcServerConfig, http, rpc_server};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use url::Url;

use super::host::{Host, Start, resident_bytes};
use super::report::{Cell, Report, ms};
use super::workload::{Kind, Workload, balance_slot, token, transfer_call};
use super::{ChainArgs, extend};
use crate::tool;

/// How hard to ask.
pub(super) struct Load {
    /// Requests under way at the same time.
    pub(super) connections: u16,
    /// How long each method is asked.
    pub(super) time: Duration,
}

/// Token transfers in each block of the chain.
const LOGS_PER_BLOCK: usize = 2;

/// What a method is asked with; the number differs for each request.
type Params = fn(&Workload, u64) -> Value;

/// Runs the bench. Servers and clients run on `runtime`.
pub(super) fn run(
    args: &ChainArgs,
    blocks: u64,
    load: &Load,
    runtime: &Handle,
) -> eyre::Result<Report> {
    let mut workload = args.workload()?;
    tool::note(&format!("generating {} accounts", args.accounts));
    let start = Start::of(&workload, args.dir.as_deref())?;
    let engine = Host::open(&workload, &start, blocks)?;
    tool::note(&format!("building {blocks} blocks"));
    let mut pending = Vec::new();
    for _ in 0..blocks {
        if pending.is_empty() {
            pending = workload.transactions(Kind::Erc20)?;
            // Taken from the end: the senders' nonces must come in order.
            pending.reverse();
        }
        let transactions = pending.split_off(pending.len().saturating_sub(LOGS_PER_BLOCK));
        let transactions: Vec<_> = transactions.into_iter().rev().collect();
        extend(&engine, workload.attributes(&engine.head(), &transactions, true))?;
    }

    let module = opal_execution::rpc::module(engine.chain().clone());
    let config = RpcServerConfig::new(([127, 0, 0, 1], 0).into(), "--rpc");
    let server = {
        let _entered = runtime.enter();
        rpc_server::serve(&config, module)?
    };
    let url: Url = server.http_url().parse()?;
    let workload = Arc::new(workload);
    let mut rows = Vec::new();
    for (name, method, params) in methods() {
        tool::note(name);
        let asked = ask(&url, method, params, &workload, load);
        rows.push(row(name, runtime.block_on(asked)?));
    }
    runtime.block_on(server.stop());
    Ok(Report {
        title: format!(
            "{} requests at a time over HTTP for {:.1} s each, {} accounts, {blocks} blocks, {}",
            load.connections,
            load.time.as_secs_f64(),
            args.accounts,
            args.place(),
        ),
        columns: vec![
            "method",
            "requests",
            "per second",
            "median ms",
            "99 % ms",
            "most ms",
            "memory MB",
        ],
        rows,
        upright: false,
        notes: vec![
            "Memory is what the whole process has in use after the method was asked, this bench's \
             own clients and accounts included: a growing figure would be requests that leave \
             something behind."
                .into(),
        ],
    })
}

fn methods() -> [(&'static str, &'static str, Params); 4] {
    [
        ("eth_getBalance", "eth_getBalance", |workload, n| {
            json!([Workload::account(n % workload.accounts), "latest"])
        }),
        ("eth_call, token transfer", "eth_call", |workload, n| {
            let to = Workload::account(n % workload.accounts);
            json!([{"from": workload.sender(n), "to": token(), "data": transfer_call(to)}, "latest"])
        }),
        ("eth_getLogs, one account in all blocks", "eth_getLogs", |workload, n| {
            let account = workload.sender(n).into_word();
            json!([{"fromBlock": "earliest", "toBlock": "latest", "address": token(),
                    "topics": [Value::Null, account]}])
        }),
        ("eth_getProof, account and slot", "eth_getProof", |workload, n| {
            let slot: B256 = balance_slot(workload.sender(n));
            json!([token(), [U256::from_be_bytes(slot.0)], "latest"])
        }),
    ]
}

/// Sends requests until the time is over; gives each one's latency, and the time in all.
async fn ask(
    url: &Url,
    method: &'static str,
    params: Params,
    workload: &Arc<Workload>,
    load: &Load,
) -> eyre::Result<(Vec<Duration>, Duration)> {
    let client = http::http_client(url)?;
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let until = began + load.time;
    let mut askers = tokio::task::JoinSet::new();
    for _ in 0..load.connections {
        let (client, url, workload, next) =
            (client.clone(), url.clone(), workload.clone(), next.clone());
        askers.spawn(async move {
            let mut latencies = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let body = json!({"jsonrpc": "2.0", "id": n, "method": method, "params": params(&workload, n)});
                let sent = Instant::now();
                let answer: Value =
                    client.post(url.clone()).json(&body).send().await?.json().await?;
                latencies.push(sent.elapsed());
                if let Some(error) = answer.get("error") {
                    bail!("{method}: {error}");
                }
                if Instant::now() >= until {
                    return Ok(latencies);
                }
            }
        });
    }
    let mut latencies = Vec::new();
    while let Some(asker) = askers.join_next().await {
        latencies.extend(asker.map_err(|error| eyre!("{method}: {error}"))??);
    }
    latencies.sort_unstable();
    Ok((latencies, began.elapsed()))
}

fn row(name: &str, (latencies, time): (Vec<Duration>, Duration)) -> Vec<Cell> {
    let at = |share: usize| {
        let index = latencies.len().saturating_sub(1) * share / 100;
        latencies.get(index).copied().map_or(Cell::Number(0.0), ms)
    };
    vec![
        Cell::Text(name.into()),
        Cell::Whole(latencies.len() as u64),
        Cell::Number(latencies.len() as f64 / time.as_secs_f64().max(1e-9)),
        at(50),
        at(99),
        at(100),
        resident_bytes().map_or(Cell::Text("-".into()), |bytes| Cell::Number(bytes as f64 / 1e6)),
    ]
}

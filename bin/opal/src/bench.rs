//! `opal bench`: what this machine makes of Opal's execution client.
//!
//! Everything runs in this process, on a chain that is generated for it: nothing is fetched, and
//! nothing is left behind.

mod build;
mod host;
mod import;
mod report;
mod rpc;
mod workload;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use eyre::{ensure, eyre};
use opal_execution::{ForkchoiceState, LocalEngine};
use opal_protocol::{PayloadAttributes, SealedBlock};

use crate::tool;
use workload::{Kind, Workload};

/// Measure block import, block building or the JSON-RPC on this machine.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Import full blocks: signatures, execution, state root, storing; beside revm alone.
    Import {
        #[command(flatten)]
        chain: ChainArgs,
        /// Blocks of each kind.
        #[arg(long, default_value = "10", value_parser = count)]
        blocks: u64,
        /// What the transactions do; all kinds if not given.
        #[arg(long, value_enum, value_delimiter = ',')]
        kind: Vec<Kind>,
        /// Import blocks whose senders are known, as those of transactions in the pool are.
        #[arg(long)]
        known_senders: bool,
    },
    /// Fill the pool, and build full blocks from it.
    Build {
        #[command(flatten)]
        chain: ChainArgs,
        /// Blocks to build.
        #[arg(long, default_value = "10", value_parser = count)]
        blocks: u64,
    },
    /// Ask for calls, logs and proofs over HTTP.
    Rpc {
        #[command(flatten)]
        chain: ChainArgs,
        /// Length of the chain that logs are searched in, in blocks.
        #[arg(long, default_value = "10k", value_parser = count)]
        blocks: u64,
        /// Requests under way at the same time.
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
        connections: u16,
        /// How long each method is asked, in seconds.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
        seconds: u64,
    },
}

/// The chain to measure on.
#[derive(Debug, Args)]
struct ChainArgs {
    /// Accounts in the state; `k` and `m` stand for thousands and millions.
    #[arg(long, default_value = "100k", value_parser = count)]
    accounts: u64,
    /// Gas limit of a block, without the attributes deposit; `m` stands for millions.
    #[arg(long, default_value = "30m", value_parser = count)]
    gas_limit: u64,
    /// Keep the chain on the disk of this directory, in a new one below it that is removed in the
    /// end; in memory if not given.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print the figures in JSON.
    #[arg(long)]
    json: bool,
}

/// A number with `k` or `m` behind it.
fn count(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.to_ascii_lowercase() {
        text if text.ends_with('k') => (text.trim_end_matches('k').to_owned(), 1_000),
        text if text.ends_with('m') => (text.trim_end_matches('m').to_owned(), 1_000_000),
        text => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| "is no number such as 500, 100k or 1m")?;
    match number.checked_mul(factor) {
        None | Some(0) => Err("must be between 1 and 2^64".into()),
        Some(number) => Ok(number),
    }
}

/// Runs the bench and prints its table.
pub(crate) async fn run(args: BenchArgs) -> eyre::Result<()> {
    let runtime = tokio::runtime::Handle::current();
    tool::on_thread(move || {
        let (json, report) = match args.command {
            Command::Import { chain, blocks, kind, known_senders } => {
                let kinds = if kind.is_empty() { Kind::ALL.to_vec() } else { kind };
                (chain.json, import::run(&chain, blocks, &kinds, known_senders)?)
            }
            Command::Build { chain, blocks } => (chain.json, build::run(&chain, blocks)?),
            Command::Rpc { chain, blocks, connections, seconds } => {
                let load = rpc::Load { connections, time: Duration::from_secs(seconds) };
                (chain.json, rpc::run(&chain, blocks, &load, &runtime)?)
            }
        };
        tool::print(&if json { report.json()? } else { report.text() });
        Ok(())
    })
    .await
}

impl ChainArgs {
    fn workload(&self) -> eyre::Result<Workload> {
        // Everything that a run needs stands in memory: 64 million accounts are some 40 GB.
        ensure!(self.accounts <= 64_000_000, "--accounts: at most 64m");
        ensure!(
            (1_000_000..=1_000_000_000).contains(&self.gas_limit),
            "--gas-limit: between 1m and 1000m"
        );
        Workload::new(self.accounts, self.gas_limit)
    }

    /// Where the chain is kept, for titles.
    fn place(&self) -> String {
        match &self.dir {
            Some(dir) => format!("chain in {}", dir.display()),
            None => "chain in memory".into(),
        }
    }
}

/// Builds a block by the attributes, imports it and makes it the head.
fn extend(engine: &LocalEngine, attributes: PayloadAttributes) -> eyre::Result<SealedBlock> {
    let block = build(engine, attributes)?.0;
    adopt(engine, &block)?;
    Ok(block)
}

/// Builds a block by the attributes, and says how long it took from the request to the block.
fn build(
    engine: &LocalEngine,
    attributes: PayloadAttributes,
) -> eyre::Result<(SealedBlock, Duration)> {
    let head = ForkchoiceState { head: engine.head().hash, ..Default::default() };
    let began = Instant::now();
    let started = engine.fork_choice_updated(head, Some(attributes))?;
    let id = started.payload_id.ok_or_else(|| eyre!("no building job: {:?}", started.status))?;
    let block = engine.get_payload(id)?.block;
    Ok((block, began.elapsed()))
}

/// Imports a block and makes it the head.
fn adopt(engine: &LocalEngine, block: &SealedBlock) -> eyre::Result<()> {
    let status = engine.new_payload(block)?;
    ensure!(status.is_valid(), "block {} was refused: {status:?}", block.header().number);
    let head = ForkchoiceState { head: block.hash, ..Default::default() };
    let moved = engine.fork_choice_updated(head, None)?;
    ensure!(moved.status.is_valid(), "block {} did not become the head", block.header().number);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::host::{Host, Start};
    use super::*;

    fn small() -> ChainArgs {
        ChainArgs { accounts: 500, gas_limit: 2_000_000, dir: None, json: false }
    }

    #[test]
    fn counts_have_factors() {
        assert_eq!(count("12"), Ok(12));
        assert_eq!(count("100k"), Ok(100_000));
        assert_eq!(count("3M"), Ok(3_000_000));
        for wrong in ["", "k", "0", "-1", "1g", "99999999999999999999", "99999999999999999m"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn blocks_of_every_kind_do_what_they_say() {
        for kind in Kind::ALL {
            let mut workload = small().workload().unwrap();
            let engine = Host::open(&workload, &Start::Memory, 1).unwrap();
            let transactions = workload.transactions(kind).unwrap();
            let attributes = workload.attributes(&engine.head(), &transactions, true);
            let block = extend(&engine, attributes).unwrap();
            let receipts = engine.chain().receipts(&block.hash).unwrap();
            assert_eq!(receipts.len(), transactions.len() + 1);
            assert!(receipts.iter().all(|receipt| receipt.success), "{kind:?}");
            let logs = receipts.iter().map(|receipt| receipt.logs.len()).sum::<usize>();
            assert_eq!(logs, if kind == Kind::Erc20 { transactions.len() } else { 0 });
            // The limits leave little of the block empty.
            let users =
                receipts[receipts.len() - 1].cumulative_gas_used - receipts[0].cumulative_gas_used;
            let used = users as f64 / workload.gas_limit as f64;
            assert!(used > 0.6 && used <= 1.0, "{kind:?}: {used}");
        }
    }

    #[test]
    fn the_benches_report_what_they_ran() {
        let mut args = small();
        let kinds = [Kind::Transfer, Kind::Erc20];
        let text = import::run(&args, 2, &kinds, false).unwrap().text();
        assert!(text.contains("ETH transfers") && text.contains("ERC-20 transfers"), "{text}");
        assert!(text.contains("chain in memory"), "{text}");
        let report = build::run(&args, 2).unwrap();
        assert!(report.text().contains("pool"), "{}", report.text());
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert!(json["rows"].as_array().is_some_and(|rows| !rows.is_empty()), "{json}");

        let dir = tempfile::tempdir().unwrap();
        args.dir = Some(dir.path().to_owned());
        let report = import::run(&args, 2, &kinds[..1], true).unwrap();
        assert!(report.text().contains(&dir.path().display().to_string()), "{}", report.text());
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert!(json["rows"][0]["disk kB a block"].as_f64().unwrap() > 1.0, "{json}");
        assert_eq!(json["rows"][0]["flushes"], 1, "{json}");
        assert!(json["rows"][0]["ms a flush"].as_f64().unwrap() > 0.0, "{json}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_rpc_bench_asks_over_http() {
        let runtime = tokio::runtime::Handle::current();
        let load = rpc::Load { connections: 2, time: Duration::from_millis(50) };
        let report = tokio::task::spawn_blocking(move || rpc::run(&small(), 20, &load, &runtime));
        let text = report.await.unwrap().unwrap().text();
        for method in ["eth_call", "eth_getLogs", "eth_getProof"] {
            assert!(text.contains(method), "{text}");
        }
    }
}

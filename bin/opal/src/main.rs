//! `opal`: the whole OP Stack in one binary. This crate parses arguments and composes services;
//! everything else lives in the libraries.

mod banner;
mod batcher;
mod bench;
mod bridge;
mod chains;
mod data_dir;
mod db;
mod deploy;
mod derive;
mod execution;
mod genesis;
mod network;
mod node;
mod proposer;
mod rpc_args;
mod safe_db;
mod storage;
mod tool;
mod txpool;
mod up;
mod upgrades;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use opal_service::logging::{self, LogArgs};
use opal_service::{Shutdown, StopReason, shutdown::GRACE};

/// The whole OP Stack in one binary.
///
/// `opal up` starts a complete rollup: an L1, a sequencer, a batcher and a verifier. `node`,
/// `execution`, `batcher` and `proposer` run one role each; the other commands are tools that do their work and end.
#[derive(Debug, Parser)]
#[command(name = "opal", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a whole rollup for development, with its own L1 or on a given one.
    Up(Box<up::UpArgs>),
    /// Run a verifier: derive an OP chain from L1 and serve it over JSON-RPC.
    Node(Box<node::NodeArgs>),
    /// Run an execution client alone, for a consensus client that speaks the Engine API.
    Execution(Box<execution::ExecutionArgs>),
    /// Run a batcher: post a sequencer's blocks to L1.
    Batcher(Box<batcher::Args>),
    /// Run a proposer: put output roots on L1 as dispute games, resolve these and claim their bonds.
    Proposer(Box<proposer::Args>),
    /// Deploy a rollup's contracts to an L1, and check what is there.
    Deploy(Box<deploy::DeployArgs>),
    /// Deposit to an OP chain, withdraw from it, and see withdrawals through.
    Bridge(Box<bridge::BridgeArgs>),
    /// Derive payload attributes from recorded L1 data, and compare them with known L2 blocks.
    Derive(Box<derive::DeriveArgs>),
    /// List the chains that Opal has built in, or tell what is known of one.
    Chains(Box<chains::ChainsArgs>),
    /// Import or check the state that chains begin with.
    Genesis(Box<genesis::GenesisArgs>),
    /// Import, check or fetch the upgrade transactions of forks.
    Upgrades(Box<upgrades::UpgradesArgs>),
    /// Look into the data of a chain that no node is running on, or check all of it.
    Db(Box<db::DbArgs>),
    /// Make an older block the head of a chain that no node is running on.
    Rewind(Box<db::RewindArgs>),
    /// Measure block import, block building or the JSON-RPC on this machine.
    Bench(Box<bench::BenchArgs>),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = logging::init(&cli.log) {
        return fail(&error.into());
    }
    open_many_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let shutdown = Shutdown::new();
    let code = runtime.block_on(run(cli.command, &shutdown));
    // Blocking work that is still under way must not hold up the exit.
    runtime.shutdown_background();
    code
}

/// Each connection takes a file handle, as does each file of a chain: where none is left, nothing can
/// be written. What the system allows is more than what a process has at first.
fn open_many_files() {
    const ENOUGH: u64 = 4096;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit >= ENOUGH => {}
        Ok(limit) => tracing::warn!(target: "opal", limit, "few files may be open at once, and \
            connections could take them all; raise the limit with ulimit -n"),
        Err(error) => tracing::warn!(target: "opal", %error, "the limit of open files stays"),
    }
}

async fn run(command: Command, shutdown: &Shutdown) -> ExitCode {
    if let Err(error) = shutdown.wait_for_signals() {
        return fail(&error.into());
    }
    let service = matches!(
        command,
        Command::Up(_)
            | Command::Node(_)
            | Command::Execution(_)
            | Command::Batcher(_)
            | Command::Proposer(_)
    );
    let stopped = if service { "stopped before all was up" } else { "interrupted" };
    let started = async {
        match command {
            Command::Up(args) => up::run(*args, shutdown).await.map(Some),
            Command::Node(args) => node::run(*args, shutdown).await.map(Some),
            Command::Execution(args) => execution::run(*args, shutdown).await.map(Some),
            Command::Batcher(args) => batcher::run(*args, shutdown).await.map(Some),
            Command::Proposer(args) => proposer::run(*args, shutdown).await.map(Some),
            Command::Deploy(args) => deploy::run(*args).await.map(|()| None),
            Command::Bridge(args) => bridge::run(*args).await.map(|()| None),
            Command::Derive(args) => derive::run(*args).await.map(|()| None),
            Command::Chains(args) => chains::run(&args).map(|text| {
                // A reader that has seen enough is no error.
                let _ = std::io::stdout().write_all(text.as_bytes());
                None
            }),
            Command::Genesis(args) => genesis::run(*args).await.map(|()| None),
            Command::Upgrades(args) => upgrades::run(*args).await.map(|()| None),
            Command::Db(args) => db::run(*args).await.map(|()| None),
            Command::Rewind(args) => db::rewind(*args).await.map(|()| None),
            Command::Bench(args) => bench::run(*args).await.map(|()| None),
        }
    };
    // What a command returns keeps its services alive until the end; `None` if it is done.
    let running = tokio::select! {
        running = started => running,
        () = shutdown.cancelled() => Err(eyre::eyre!(stopped)),
    };
    match running {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(running)) => {
            let reason = shutdown.stopped(GRACE).await;
            drop(running);
            match reason {
                StopReason::Requested(_) => ExitCode::SUCCESS,
                StopReason::TaskFailed { .. } => {
                    tool::note(&format!("error: {reason}"));
                    ExitCode::from(reason.exit_code())
                }
            }
        }
        Err(error) => {
            if service {
                // The error is the last thing on the screen.
                shutdown.trigger("start failed");
                let reason = shutdown.stopped(GRACE).await;
                // A task that failed meanwhile is the cause of whatever the start has met.
                if let StopReason::TaskFailed { .. } = reason {
                    tool::note(&format!("error: {reason}"));
                    return ExitCode::from(reason.exit_code());
                }
            }
            fail(&error)
        }
    }
}

fn fail(error: &eyre::Report) -> ExitCode {
    tool::note(&format!("error: {}", message(error)));
    ExitCode::FAILURE
}

/// The error and its causes on one line. Many messages hold their cause's text already.
fn message(error: &eyre::Report) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyre::WrapErr;

    #[test]
    fn no_cause_is_told_twice() {
        let cause = eyre::eyre!("connection refused");
        let error = cause.wrap_err("L1: connection refused").wrap_err("--l1");
        assert_eq!(message(&error), "--l1: L1: connection refused");
        let error = Err::<(), _>(eyre::eyre!("not found")).wrap_err("--genesis").err();
        assert_eq!(error.as_ref().map(message).as_deref(), Some("--genesis: not found"));
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}

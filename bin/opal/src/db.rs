//! `opal db` and `opal rewind`: the data of a chain that no node is running on.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use alloy_primitives::B256;
use clap::{Args, Subcommand};
use opal_execution::{
    Database, DatabaseStats, Progress as At, Snapshot, import_snapshot, snapshot_identity,
};
use opal_protocol::BlockId;

use crate::data_dir::DataDir;
use crate::tool::{note, on_thread, print};

/// The data of a chain: blocks, receipts and state. The node must not be running.
#[derive(Debug, Args)]
pub(crate) struct DbArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Which chain.
#[derive(Clone, Debug, Args)]
struct Place {
    #[command(flatten)]
    data: DataDir,
    /// Id of the chain, if the data directory holds several.
    #[arg(long, value_name = "ID", global = true)]
    chain: Option<u64>,
}

impl Place {
    fn path(&self) -> eyre::Result<PathBuf> {
        self.data.find_execution(self.chain)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print sizes, heads and what history there is.
    Stats,
    /// Read everything and verify it: checksums, links between blocks, the index, and the newest
    /// stored state by its root.
    Check {
        /// Verify the older stored states, too: with a long history that takes many times as long.
        #[arg(long)]
        history: bool,
    },
    /// Write the newest blocks and the whole state after the last of them into one file, from which
    /// others can start.
    Export {
        /// The file to write.
        file: PathBuf,
        /// The newest stored state at or before this block [default: the newest one].
        #[arg(long, value_name = "NUMBER")]
        at: Option<u64>,
        /// Blocks to write: derivation looks back over about an hour of them when it starts, and
        /// contracts may ask for the hashes of the last 256.
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(256..))]
        blocks: u64,
    },
    /// Make a chain's data from a snapshot. Its blocks are verified against each other, its state
    /// against the state root of the last block; that this block is the chain's is yours to know.
    Import {
        /// The snapshot.
        file: PathBuf,
        /// Hash that the snapshot's block must have.
        #[arg(long, value_name = "HASH")]
        hash: Option<B256>,
    },
}

/// Makes the block at a height the head, at once or not at all; the blocks above it are forgotten.
/// A node derives them again from L1.
#[derive(Debug, Args)]
pub(crate) struct RewindArgs {
    #[command(flatten)]
    place: Place,
    /// Number of the block.
    #[arg(long, value_name = "NUMBER")]
    to: u64,
    /// Go below the finalized block, too.
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(args: DbArgs) -> eyre::Result<()> {
    on_thread(move || {
        let path = || args.place.path();
        match args.command {
            Command::Stats => {
                let path = path()?;
                print_stats(&path, &Database::open(&path)?.stats()?);
            }
            Command::Check { history } => check(&Database::open(&path()?)?, history)?,
            Command::Export { file, at, blocks } => {
                let mut progress = Progress::new();
                let database = Database::open(&path()?)?;
                let snapshot = database.export(&file, at, blocks, &mut |done| {
                    progress.tell("parts of the state", done, Some(PARTS));
                })?;
                tell(&format!("wrote {}", file.display()), &snapshot);
            }
            Command::Import { file, hash } => {
                let (identity, _) = snapshot_identity(&file)?;
                let dir = args.place.data.execution(identity.chain_id, identity.genesis)?;
                let mut progress = Progress::new();
                let snapshot = import_snapshot(&file, &dir, hash, &mut |done| {
                    progress.tell("parts of the state", done, Some(PARTS));
                })?;
                tell(&format!("imported into {}", dir.display()), &snapshot);
            }
        }
        Ok(())
    })
    .await
}

pub(crate) async fn rewind(args: RewindArgs) -> eyre::Result<()> {
    on_thread(move || {
        let database = Database::open(&args.place.path()?)?;
        let before = database.stats()?.head;
        let head = database.rewind(args.to, args.force)?;
        print(&format!("head was {}, is {}", shown(before), shown(Some(head))));
        Ok(())
    })
    .await
}

/// Into how many parts progress divides the keys of the state.
const PARTS: u64 = 1 << 16;

fn tell(what: &str, snapshot: &Snapshot) {
    let Snapshot { identity, block, blocks, accounts, slots } = snapshot;
    print(&format!(
        "{what}: chain {}, block {} {}, {blocks} blocks, {accounts} accounts, {slots} slots",
        identity.chain_id, block.number, block.hash
    ));
}

fn shown(block: Option<BlockId>) -> String {
    block.map_or_else(|| "genesis".to_owned(), |id| format!("{} {}", id.number, id.hash))
}

fn print_stats(path: &Path, stats: &DatabaseStats) {
    let line = |name: &str, value: String| print(&format!("{name:<12}{value}"));
    line("directory", path.display().to_string());
    line("chain", format!("{}, genesis {}", stats.identity.chain_id, stats.identity.genesis));
    line("head", shown(stats.head));
    line("safe", shown(stats.safe));
    line("finalized", shown(stats.finalized));
    let range = |range: Option<(u64, u64)>| {
        range.map_or_else(|| "none".to_owned(), |(first, last)| format!("{first} to {last}"))
    };
    let flushed = range(stats.flushed);
    line("blocks", format!("{flushed}, {}", size(stats.block_bytes)));
    line("journal", format!("{} blocks, {}", stats.journal_blocks, size(stats.journal_bytes)));
    line("index", format!("{} runs, {}", stats.index_runs, size(stats.index_bytes)));
    let states = stats.states.map(|(first, last, _)| (first, last));
    let count = stats.states.map_or(0, |(_, _, count)| count);
    let bytes = stats.state.node_bytes + stats.state.code_bytes;
    line("states", format!("{count} stored, of blocks {}, {}", range(states), size(bytes)));
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut shown = format!("{bytes} bytes");
    for unit in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        shown = format!("{value:.1} {unit}");
    }
    shown
}

fn check(database: &Database, history: bool) -> eyre::Result<()> {
    let mut progress = Progress::new();
    let mut tell = |at| match at {
        At::Blocks(done, total) => progress.tell("blocks", done, Some(total)),
        At::StateNodes(done) => progress.tell("nodes of the state", done, None),
    };
    let checked = database.check(&mut tell)?;
    print(&format!(
        "{} blocks with {} transactions, {} entries of the index and {} nodes of the newest stored \
         state are sound",
        checked.blocks, checked.transactions, checked.entries, checked.state_nodes
    ));
    if history {
        let nodes = database.check_history(&mut tell)?;
        print(&format!("{nodes} nodes of older stored states are sound"));
    }
    Ok(())
}

/// A line on stderr now and then.
struct Progress {
    started: Instant,
    told: Instant,
}

/// Time between two lines.
const PROGRESS: Duration = Duration::from_secs(2);

impl Progress {
    fn new() -> Self {
        Self { started: Instant::now(), told: Instant::now() }
    }

    fn tell(&mut self, what: &str, done: u64, total: Option<u64>) {
        if self.told.elapsed() < PROGRESS {
            return;
        }
        self.told = Instant::now();
        let rate = done as f64 / self.started.elapsed().as_secs_f64();
        let whole = total.filter(|total| *total > 0).map_or_else(String::new, |total| {
            format!(" of {total}, {} %", (done * 100 / total).min(100))
        });
        note(&format!("{what}: {done}{whole}, {rate:.0} a second"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_units() {
        assert_eq!(size(0), "0 bytes");
        assert_eq!(size(1023), "1023 bytes");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(5 << 30), "5.0 GiB");
    }
}

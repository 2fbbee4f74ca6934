//! Import of full blocks, its parts, and the limit that it is held against.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use alloy_primitives::{Address, U256};
use eyre::WrapErr;
use opal_evm::revm::context::TxEnv;
use opal_evm::revm::context::{BlockEnv, CfgEnv, Context};
use opal_evm::revm::database::CacheDB;
use opal_evm::revm::{ExecuteEvm, MainBuilder, MainContext};
use opal_evm::{BlockExecutor, BlockInput, ChainSpec, Parent, State};
use opal_execution::LocalEngine;
use opal_protocol::SealedBlock;

use super::report::{Cell, Report, ms};
use super::workload::{Kind, Workload};
use super::{ChainArgs, adopt, extend, in_memory, on_disk};
use crate::tool;

/// Where the time of a block goes.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    /// Recovery of the senders from signatures, one after the other.
    signatures: Duration,
    /// Transactions and the calls around them.
    execution: Duration,
    /// State root, receipts root, transactions root, assembly.
    root: Duration,
}

/// What one kind of blocks took.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    transactions: u64,
    gas: u64,
    /// `newPayload` and `forkchoiceUpdated` of all blocks.
    import: Duration,
    parts: Parts,
    /// Bytes that the chain took on disk, after its last flush.
    disk: u64,
    /// The same transactions on revm alone, without roots, all state in a hash map.
    limit: Duration,
}

/// Runs the bench.
pub(super) fn run(
    args: &ChainArgs,
    blocks: u64,
    kinds: &[Kind],
    dir: Option<&Path>,
) -> eyre::Result<Report> {
    let mut rows = Vec::new();
    for kind in kinds {
        tool::note(&format!("{}: generating {} accounts", kind.name(), args.accounts));
        let place = dir.map(Scratch::below).transpose()?;
        let figures = measure(args, blocks, *kind, place.as_ref())?;
        rows.push(row(*kind, blocks, &figures));
    }
    let place = match dir {
        Some(dir) => format!("one durable commit a block in {}", dir.display()),
        None => "state in memory".into(),
    };
    Ok(Report {
        title: format!(
            "import of {blocks} full blocks of {} gas each, {} accounts, {place}",
            args.gas_limit, args.accounts,
        ),
        columns: vec![
            "blocks of",
            "txs/block",
            "gas/block",
            "import ms",
            "Mgas/s",
            "signatures",
            "execution",
            "roots",
            "storing",
            "disk kB/block",
            "limit Mgas/s",
            "of limit",
            "bottleneck",
        ],
        rows,
        notes: vec![
            "Import is newPayload and forkchoiceUpdated of one block; the shares are of that time, \
             each part measured alone, so that work that overlaps adds up to more than 100 %."
                .into(),
            "The limit is revm alone on the same transactions: signatures known, all state in a \
             hash map, no roots, nothing stored."
                .into(),
        ],
    })
}

fn row(kind: Kind, blocks: u64, figures: &Figures) -> Vec<Cell> {
    let per_second = |time: Duration| figures.gas as f64 / time.as_secs_f64().max(1e-9) / 1e6;
    let share = |time: Duration| time.as_secs_f64() / figures.import.as_secs_f64().max(1e-9);
    let Parts { signatures, execution, root } = figures.parts;
    let storing = figures.import.saturating_sub(signatures + execution + root);
    let parts = [
        ("signatures", signatures),
        ("execution", execution),
        ("roots", root),
        ("storing", storing),
    ];
    let bottleneck = parts.iter().max_by_key(|(_, time)| *time).map_or("", |(name, _)| *name);
    vec![
        Cell::Text(kind.name().into()),
        Cell::Whole(figures.transactions / blocks),
        Cell::Whole(figures.gas / blocks),
        ms(figures.import / u32::try_from(blocks).unwrap_or(u32::MAX)),
        Cell::Number(per_second(figures.import)),
        Cell::Share(share(signatures)),
        Cell::Share(share(execution)),
        Cell::Share(share(root)),
        Cell::Share(share(storing)),
        Cell::Number(figures.disk as f64 / blocks as f64 / 1e3),
        Cell::Number(per_second(figures.limit)),
        Cell::Share(per_second(figures.import) / per_second(figures.limit).max(1e-9)),
        Cell::Text(bottleneck.into()),
    ]
}

/// A directory of a bench's own, which is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn below(dir: &Path) -> eyre::Result<Self> {
        let path = dir.join(format!("opal-bench-{}", std::process::id()));
        let in_dir = || format!("--dir: {}", path.display());
        std::fs::create_dir_all(dir).wrap_err_with(in_dir)?;
        // One that is there already is somebody else's.
        std::fs::create_dir(&path).wrap_err_with(in_dir)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tool::note(&format!("{} is left behind: {error}", self.0.display()));
        }
    }
}

/// Bytes of all files in a directory and below it.
fn size_of(dir: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { size_of(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}

fn measure(
    args: &ChainArgs,
    blocks: u64,
    kind: Kind,
    place: Option<&Scratch>,
) -> eyre::Result<Figures> {
    let mut workload = args.workload()?;
    let made = make_blocks(&mut workload, blocks, kind)?;

    let engine = match place {
        Some(Scratch(dir)) => on_disk(&workload, dir)?,
        None => in_memory(&workload)?,
    };
    let empty = place.map_or(Ok(0), |Scratch(dir)| size_of(dir))?;
    let genesis = engine.head();
    let mut figures = Figures::default();
    for block in &made {
        let began = Instant::now();
        adopt(&engine, block)?;
        figures.import += began.elapsed();
        figures.gas += block.header().gas_used;
        figures.transactions += block.block.body.transactions.len() as u64;
    }
    engine.chain().wait_for_flush();
    figures.disk = place.map_or(Ok(0), |Scratch(dir)| size_of(dir))?.saturating_sub(empty);
    let spec = engine.chain().spec().clone();
    let mut parent = genesis;
    for block in made {
        let state = engine.chain().state_at(&parent.hash)?;
        let (parts, senders) = parts_of(&spec, &engine, &parent, &block, &state)?;
        figures.parts.signatures += parts.signatures;
        figures.parts.execution += parts.execution;
        figures.parts.root += parts.root;
        figures.limit += limit_of(&spec, &block, &senders, &state)?;
        parent = block;
    }
    Ok(figures)
}

/// Blocks of one kind, built on a chain of their own.
fn make_blocks(workload: &mut Workload, blocks: u64, kind: Kind) -> eyre::Result<Vec<SealedBlock>> {
    let builder = in_memory(workload)?;
    (0..blocks)
        .map(|_| {
            let transactions = workload.transactions(kind)?;
            extend(&builder, workload.attributes(&builder.head(), &transactions, true))
        })
        .collect()
}

/// Executes a block once more, step by step.
fn parts_of(
    spec: &ChainSpec,
    engine: &LocalEngine,
    parent: &SealedBlock,
    block: &SealedBlock,
    state: &State,
) -> eyre::Result<(Parts, Vec<Address>)> {
    let transactions = &block.block.body.transactions;
    let began = Instant::now();
    let senders =
        transactions.iter().map(|tx| tx.recover()).collect::<Result<Vec<Address>, _>>()?;
    let signatures = began.elapsed();

    let began = Instant::now();
    let hashes = |number| engine.chain().ancestor_hash(parent.hash, number);
    let input = BlockInput::from_block(&block.block);
    let mut executor = BlockExecutor::new(spec, Parent::from(parent), input, state, &hashes)?;
    for (tx, sender) in transactions.iter().zip(&senders) {
        executor.transact(tx, *sender)?;
    }
    let execution = began.elapsed();

    let began = Instant::now();
    let executed = executor.finish()?;
    let root = began.elapsed();
    eyre::ensure!(
        executed.block.hash == block.hash,
        "executed again, the block came out otherwise"
    );
    Ok((Parts { signatures, execution, root }, senders))
}

/// The time that revm alone needs for a block's user transactions, with all that they read in a
/// hash map.
fn limit_of(
    spec: &ChainSpec,
    block: &SealedBlock,
    senders: &[Address],
    state: &State,
) -> eyre::Result<Duration> {
    let header = block.header();
    let env = BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.unwrap_or_default(),
        prevrandao: Some(header.mix_hash),
        ..Default::default()
    };
    let cfg = CfgEnv::new_with_spec(spec.evm_spec(header.timestamp)).with_chain_id(spec.chain_id);
    let transactions: Vec<TxEnv> = block
        .block
        .body
        .transactions
        .iter()
        .zip(senders)
        .filter(|(tx, _)| !tx.is_deposit_tx())
        .map(|(tx, sender)| opal_evm::tx_env(tx, *sender))
        .collect();
    let run = |database: &mut CacheDB<State>| -> eyre::Result<Duration> {
        let mut evm = Context::mainnet()
            .with_db(database)
            .with_block(env.clone())
            .with_cfg(cfg.clone())
            .build_mainnet();
        let transactions = transactions.clone();
        let began = Instant::now();
        for tx in transactions {
            evm.transact_one(tx).map_err(|error| eyre::eyre!("revm alone: {error:?}"))?;
        }
        std::hint::black_box(evm.finalize());
        Ok(began.elapsed())
    };
    // The first run reads from the trie into the map, the second is the measured one.
    let mut database = CacheDB::new(state.clone());
    run(&mut database)?;
    run(&mut database)
}

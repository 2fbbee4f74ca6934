//! Import of full blocks, where its time goes, and the limit that it is held against.

use std::time::{Duration, Instant};

use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, U256};
use opal_evm::State;
use opal_evm::revm::context::TxEnv;
use opal_evm::revm::context::{BlockEnv, CfgEnv, Context};
use opal_evm::revm::database::CacheDB;
use opal_evm::revm::{ExecuteEvm, MainBuilder, MainContext};
use opal_execution::{ChainSpec, ImportTimes, LocalEngine};
use opal_protocol::SealedBlock;

use super::host::{Host, Start, resident_bytes};
use super::report::{Cell, Report, ms};
use super::workload::{Kind, Workload};
use super::{ChainArgs, adopt, extend};
use crate::tool;

/// What one kind of blocks took.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    transactions: u64,
    gas: u64,
    /// `newPayload` and `forkchoiceUpdated` of all blocks.
    import: Duration,
    /// The parts of it.
    times: ImportTimes,
    /// Bytes that the chain took on disk, after its last flush.
    disk: u64,
    /// Bytes of memory that the process had in use after the last block.
    memory: Option<u64>,
    /// The same transactions on revm alone, without roots, all state in a hash map.
    limit: Duration,
}

/// Runs the bench.
pub(super) fn run(
    args: &ChainArgs,
    blocks: u64,
    kinds: &[Kind],
    known_senders: bool,
) -> eyre::Result<Report> {
    let mut rows = Vec::new();
    tool::note(&format!("generating {} accounts", args.accounts));
    let start = Start::of(&args.workload()?, args.dir.as_deref())?;
    for kind in kinds {
        tool::note(kind.name());
        let figures = measure(args, &start, blocks, *kind, known_senders)?;
        rows.push(row(*kind, blocks, &figures));
    }
    Ok(Report {
        title: format!(
            "import of {blocks} full blocks, gas limit {}, {} accounts, {}, senders {}",
            args.gas_limit,
            args.accounts,
            args.place(),
            if known_senders { "known" } else { "recovered" },
        ),
        columns: vec![
            "blocks of",
            "txs a block",
            "gas a block",
            "import ms",
            "Mgas/s",
            "limit Mgas/s",
            "of limit",
            "signatures",
            "execution",
            "roots",
            "disk",
            "memory",
            "pool",
            "rest",
            "disk kB a block",
            "flushes",
            "ms a flush",
            "of it alone ms",
            "memory MB",
            "bottleneck",
        ],
        rows,
        upright: true,
        notes: vec![
            "Import is newPayload and forkchoiceUpdated of one block. Its shares are signatures; \
             execution of the transactions; roots of state, receipts and transactions; disk, which \
             is the journal with its syncs; memory, which is keeping the state's memory and files \
             in bounds; the pool, which moves to the new head; and the rest, which is labels and \
             indexes."
                .into(),
            "The limit is revm alone on the same transactions: senders known, all state in a hash \
             map, no roots, nothing stored."
                .into(),
            "A flush writes the blocks and the state of the newest one beside the import, on a thread \
             of its own; alone is the end of it, in which the chain cannot change. With as many \
             blocks as make one flush (64 at most) nothing runs beside it."
                .into(),
            "Memory is the whole process's, the blocks and accounts of this bench included.".into(),
        ],
    })
}

fn row(kind: Kind, blocks: u64, figures: &Figures) -> Vec<Cell> {
    let per_second = |time: Duration| figures.gas as f64 / time.as_secs_f64().max(1e-9) / 1e6;
    let share = |time: Duration| time.as_secs_f64() / figures.import.as_secs_f64().max(1e-9);
    let ImportTimes { senders, execution, roots, storing, tending, pool, .. } = figures.times;
    let known = senders + execution + roots + storing + tending + pool;
    let rest = figures.import.saturating_sub(known);
    let parts = [
        ("signatures", senders),
        ("execution", execution),
        ("roots", roots),
        ("disk", storing),
        ("memory", tending),
        ("pool", pool),
        ("rest", rest),
    ];
    let bottleneck = parts.iter().max_by_key(|(_, time)| *time).map_or("", |(name, _)| *name);
    let flushes = u32::try_from(figures.times.flushes).unwrap_or(u32::MAX).max(1);
    let a_flush = |time: Duration| ms(time / flushes);
    let megabytes = |bytes: u64| Cell::Number(bytes as f64 / 1e6);
    let mut row = vec![
        Cell::Text(kind.name().into()),
        Cell::Whole(figures.transactions / blocks),
        Cell::Whole(figures.gas / blocks),
        ms(figures.import / u32::try_from(blocks).unwrap_or(u32::MAX)),
        Cell::Number(per_second(figures.import)),
        Cell::Number(per_second(figures.limit)),
        Cell::Share(per_second(figures.import) / per_second(figures.limit).max(1e-9)),
    ];
    row.extend(parts.iter().map(|(_, time)| Cell::Share(share(*time))));
    row.extend([
        Cell::Number(figures.disk as f64 / blocks as f64 / 1e3),
        Cell::Whole(figures.times.flushes),
        a_flush(figures.times.flushing),
        a_flush(figures.times.committing),
        figures.memory.map_or(Cell::Text("-".into()), megabytes),
        Cell::Text(bottleneck.into()),
    ]);
    row
}

fn measure(
    args: &ChainArgs,
    start: &Start,
    blocks: u64,
    kind: Kind,
    known_senders: bool,
) -> eyre::Result<Figures> {
    let mut workload = args.workload()?;
    let made = make_blocks(&mut workload, start, blocks, kind)?;

    let engine = Host::open(&workload, start, blocks)?;
    let empty = engine.disk_bytes()?;
    let before = engine.chain().import_times();
    let spec = engine.chain().spec().clone();
    let mut figures = Figures::default();
    let mut parent = engine.head();
    for block in made {
        if known_senders {
            fill_pool(&engine, &block)?;
        }
        let began = Instant::now();
        adopt(&engine, &block)?;
        figures.import += began.elapsed();
        figures.gas += block.header().gas_used;
        figures.transactions += block.block.body.transactions.len() as u64;
        // Beside the import, so that both see the machine in the same state.
        let state = engine.chain().state_at(&parent.hash)?;
        let senders = engine.chain().stored(&block.hash).map(|stored| stored.senders.clone());
        figures.limit += limit_of(&spec, &block, &senders.unwrap_or_default(), &state)?;
        parent = block;
    }
    figures.memory = resident_bytes();
    // Waits for the last flush, which counts among them.
    figures.disk = engine.disk_bytes()?.saturating_sub(empty);
    figures.times = engine.chain().import_times().since(&before);
    Ok(figures)
}

/// Puts the transactions of a block into the pool.
fn fill_pool(engine: &LocalEngine, block: &SealedBlock) -> eyre::Result<()> {
    let transactions = block.block.body.transactions.iter().filter(|tx| !tx.is_deposit_tx());
    let raw: Vec<_> = transactions.map(|tx| tx.encoded_2718().into()).collect();
    Ok(engine
        .chain()
        .pool()
        .add_raw_batch(&raw)
        .into_iter()
        .try_for_each(|added| added.map(drop))?)
}

/// Blocks of one kind, built on a chain of their own.
fn make_blocks(
    workload: &mut Workload,
    start: &Start,
    blocks: u64,
    kind: Kind,
) -> eyre::Result<Vec<SealedBlock>> {
    let builder = Host::open(workload, start, blocks)?;
    (0..blocks)
        .map(|_| {
            let transactions = workload.transactions(kind)?;
            extend(&builder, workload.attributes(&builder.head(), &transactions, true))
        })
        .collect()
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

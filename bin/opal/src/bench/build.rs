//! Pool inserts, and full blocks built from the pool.

use std::time::{Duration, Instant};

use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::Bytes;

use super::host::{Host, Start};
use super::report::{Cell, Report, ms};
use super::workload::Kind;
use super::{ChainArgs, adopt, build};
use crate::tool;

/// Runs the bench.
pub(super) fn run(args: &ChainArgs, blocks: u64) -> eyre::Result<Report> {
    let mut workload = args.workload()?;
    tool::note(&format!("generating {} accounts", args.accounts));
    let start = Start::of(&workload, args.dir.as_deref())?;
    let engine = Host::open(&workload, &start, blocks)?;
    let mut inserted = [Vec::new(), Vec::new()];
    let mut built = Vec::new();
    let mut transactions = 0u64;
    for block in 0..blocks {
        let raw: Vec<Bytes> = workload
            .transactions(Kind::Transfer)?
            .iter()
            .map(|tx| tx.encoded_2718().into())
            .collect();
        let pool = engine.chain().pool();
        let began = Instant::now();
        // In turns: how one client sends, and how many do at the same time.
        let batched = block % 2 == 1;
        if batched {
            pool.add_raw_batch(&raw).into_iter().try_for_each(|added| added.map(drop))?;
        } else {
            raw.iter().try_for_each(|raw| pool.add_raw(raw).map(drop))?;
        }
        inserted[usize::from(batched)].push(began.elapsed());
        transactions += raw.len() as u64;

        let (block, time) = build(&engine, workload.attributes(&engine.head(), &[], false))?;
        let in_block = block.block.body.transactions.len() - 1;
        eyre::ensure!(
            in_block == raw.len(),
            "the block holds {in_block} of the {} transactions in the pool",
            raw.len()
        );
        built.push(time);
        adopt(&engine, &block)?;
    }
    let per_block = transactions / blocks;
    let row = |what: String, mut times: Vec<Duration>| {
        times.sort_unstable();
        let at = |share: usize| times.get(times.len().saturating_sub(1) * share / 100).copied();
        let cell = |share| at(share).map_or(Cell::Text("-".into()), ms);
        let per_second = match at(50) {
            Some(time) => Cell::Number(per_block as f64 / time.as_secs_f64().max(1e-9)),
            None => Cell::Text("-".into()),
        };
        vec![Cell::Text(what), cell(0), cell(50), cell(100), per_second]
    };
    let [single, batched] = inserted;
    Ok(Report {
        title: format!(
            "building {blocks} full blocks of ETH transfers, gas limit {}, {} accounts, {}",
            args.gas_limit,
            args.accounts,
            args.place(),
        ),
        columns: vec!["step", "least ms", "median ms", "most ms", "txs a second"],
        rows: vec![
            row(format!("{per_block} transactions into the pool, one by one"), single),
            row(format!("{per_block} transactions into the pool, as one batch"), batched),
            row(format!("from the request to a payload of {per_block} transactions"), built),
        ],
        upright: false,
        notes: vec![
            "Insertion includes the recovery of each sender from its signature; a batch shares that \
             out to all cores."
                .into(),
        ],
    })
}

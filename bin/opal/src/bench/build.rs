//! Pool inserts, and full blocks built from the pool.

use std::time::{Duration, Instant};

use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::Bytes;

use super::report::{Cell, Report, ms};
use super::workload::Kind;
use super::{ChainArgs, adopt, build, in_memory};
use crate::tool;

/// Runs the bench.
pub(super) fn run(args: &ChainArgs, blocks: u64) -> eyre::Result<Report> {
    let mut workload = args.workload()?;
    tool::note(&format!("generating {} accounts", args.accounts));
    let engine = in_memory(&workload)?;
    let mut inserted = Vec::new();
    let mut built = Vec::new();
    let (mut transactions, mut insert_time) = (0u64, Duration::ZERO);
    for _ in 0..blocks {
        let raw: Vec<Bytes> = workload
            .transactions(Kind::Transfer)?
            .iter()
            .map(|tx| tx.encoded_2718().into())
            .collect();
        let began = Instant::now();
        for raw in &raw {
            engine.chain().pool().add_raw(raw)?;
        }
        let time = began.elapsed();
        transactions += raw.len() as u64;
        insert_time += time;
        inserted.push(time);

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
        let at = |share: usize| times.get((times.len() - 1) * share / 100).copied().map(ms);
        let cell = |share| at(share).unwrap_or(Cell::Number(0.0));
        vec![Cell::Text(what), cell(0), cell(50), cell(100)]
    };
    let per_second = transactions as f64 / insert_time.as_secs_f64().max(1e-9);
    Ok(Report {
        title: format!(
            "building {blocks} full blocks of ETH transfers, gas limit {}, {} accounts",
            args.gas_limit, args.accounts
        ),
        columns: vec!["step", "least ms", "median ms", "most ms"],
        rows: vec![
            row(format!("{per_block} transactions into the pool, one thread"), inserted),
            row(format!("from the request to a payload of {per_block} transactions"), built),
        ],
        notes: vec![format!(
            "The pool took {per_second:.0} transactions a second, signature recovery included."
        )],
    })
}

//! Two tables: allocations on both sides, how many and how many bytes in all; and how small each
//! side's compressors make the batches of the real channels.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use std::alloc::System;
use std::hint::black_box;

use kona_comp::BrotliLevel;
use opal_peers::generate;
use opal_peers::kona;
use opal_peers::scenario::Peer;
use opal_peers::vectors;
use opal_protocol::batch::Batch;
use opal_protocol::compress::{compress_brotli, compress_zlib};
use opal_protocol::{ChannelReader, L2BlockRef};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn count<T>(run: impl FnOnce() -> T) -> (usize, usize) {
    let region = Region::new(ALLOCATOR);
    black_box(run());
    let change = region.change();
    let grown = usize::try_from(change.bytes_reallocated).unwrap_or_default();
    (change.allocations + change.reallocations, change.bytes_allocated + grown)
}

fn row(name: &str, opal: (usize, usize), kona: (usize, usize)) {
    let megabytes = |bytes: usize| bytes as f64 / 1e6;
    println!(
        "| {name} | {} | {:.1} MB | {} | {:.1} MB |",
        opal.0,
        megabytes(opal.1),
        kona.0,
        megabytes(kona.1)
    );
}

fn main() {
    allocations();
    sizes();
}

fn allocations() {
    println!("| | Opal: allocations | bytes | kona: allocations | bytes |\n|---|---|---|---|---|");
    for channel in vectors::channels() {
        let config = &channel.config;
        let mut peer = kona::rollup_config(config);
        peer.hardforks.fjord_time = Some(0);
        let opal = count(|| {
            let mut reader = ChannelReader::new(&channel.data, 100_000_000, true).unwrap();
            while let Some(batch) = reader.next_batch() {
                if let Batch::Span(raw) = batch.unwrap() {
                    let genesis_time = config.genesis.l2_time;
                    let (time, id) = (config.block_time, config.l2_chain_id);
                    black_box(raw.into_span(time, genesis_time, id).unwrap());
                }
            }
        });
        let kona = count(|| {
            let data = channel.data.to_vec();
            let mut reader = kona_protocol::BatchReader::new(data, 100_000_000);
            while let Some(batch) = reader.next_batch(&peer) {
                black_box(batch);
            }
        });
        row(&format!("channel {}", channel.name), opal, kona);

        let scenario = channel.scenario();
        let mut blocks: Vec<L2BlockRef> = Vec::new();
        scenario.run(|attributes| {
            let block = generate::execute(&attributes);
            blocks.push(block);
            block
        });
        let first = blocks[0].number;
        let opal = count(|| {
            scenario.run(|attributes| blocks[(attributes.parent.number + 1 - first) as usize])
        });
        let peer = Peer::new(&scenario);
        let kona = count(|| {
            peer.run(|attributes, _| {
                let at = attributes.parent.block_info.number + 1 - first;
                kona::l2_block_info(blocks[at as usize])
            })
        });
        row(&format!("pipeline {}", channel.name), opal, kona);
    }
}

fn sizes() {
    println!(
        "| batches | bytes | zlib, both | Brotli, Opal | Brotli 9, kona | Brotli 10, kona |\n\
         |---|---|---|---|---|---|"
    );
    for channel in vectors::channels() {
        let blocks = generate::batch_blocks(&channel.stream, &channel.config);
        let span = generate::span_stream(&channel.config, &blocks);
        let singular = generate::singular_stream(&blocks);
        for (kind, stream) in [("span", span), ("singular", singular)] {
            let theirs = |level| kona_comp::compress_brotli(&stream, level).unwrap().len();
            println!(
                "| {} {kind} | {} | {} | {} | {} | {} |",
                channel.name,
                stream.len(),
                compress_zlib(&stream).len(),
                compress_brotli(&stream).unwrap().len(),
                theirs(BrotliLevel::Brotli9),
                theirs(BrotliLevel::Brotli10),
            );
        }
    }
}

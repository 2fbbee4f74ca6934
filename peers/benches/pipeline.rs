//! From L1 blocks to payload attributes, both sides in one process.
//!
//! Each run starts at the safe head before the channel and ends when L1 does. "Execution" is a
//! look-up in a table on both sides. "floor" is what neither can do without: the Keccak hash of what
//! the batcher signed, and the decompressor alone (ours). `OPAL_BENCH_LARGE=1` adds channels up to Fjord's limit of
//! 100 MB, which take a minute to make.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

mod common;

use std::cell::LazyCell;
use std::hint::black_box;
use std::time::Duration;

use alloy_primitives::{B256, Bytes};
use common::CpuTime;
use criterion::{Criterion, criterion_group, criterion_main};
use kona_protocol::L2BlockInfo;
use opal_derivation::Step;
use opal_peers::generate::{self, ChannelForm};
use opal_peers::kona;
use opal_peers::scenario::{Floor, KonaEnd, Peer, Scenario};
use opal_peers::vectors;
use opal_protocol::{Hardfork, L2BlockRef, RollupConfig};

/// A scenario and what comes out of it.
struct Prepared {
    scenario: Scenario,
    peer: Peer,
    floor: Floor,
    first: u64,
    blocks: Vec<L2BlockRef>,
    infos: Vec<L2BlockInfo>,
}

impl Prepared {
    fn new(name: &str, scenario: Scenario, hashes: &[B256]) -> Self {
        let mut blocks: Vec<L2BlockRef> = Vec::new();
        let mut transactions = 0;
        let ended = scenario.run(|attributes| {
            let mut block = generate::execute(&attributes);
            if let Some(hash) = hashes.get(blocks.len()) {
                block.hash = *hash;
            }
            transactions += attributes.attributes.transactions.as_ref().unwrap().len();
            blocks.push(block);
            block
        });
        assert_eq!(ended.step, Step::Idle, "{name}");
        assert!(!blocks.is_empty(), "{name}: {:?}", ended.dropped);
        println!(
            "{name}: {} L1 blocks, {} blobs, {} L2 blocks, {transactions} transactions",
            scenario.l1.len(),
            scenario.blobs.len(),
            blocks.len(),
        );
        Self {
            peer: Peer::new(&scenario),
            floor: Floor::new(&scenario),
            first: scenario.start.safe_head.number + 1,
            infos: blocks.iter().map(|block| kona::l2_block_info(*block)).collect(),
            blocks,
            scenario,
        }
    }

    fn opal(&self) {
        self.scenario.run(|attributes| {
            let attributes = black_box(attributes);
            self.blocks[(attributes.parent.number + 1 - self.first) as usize]
        });
    }

    fn floor(&self) {
        assert!(black_box(self.floor.run()) > 0);
    }

    fn kona(&self) {
        let end = self.peer.run(|attributes, _| {
            let attributes = black_box(attributes);
            self.infos[(attributes.parent.block_info.number + 1 - self.first) as usize]
        });
        assert_eq!(end, KonaEnd::Idle);
    }
}

/// Times both sides. The scenario is made only if one of them is asked for.
fn both(c: &mut Criterion<CpuTime>, name: &str, make: impl FnOnce() -> (Scenario, Vec<B256>)) {
    let prepared = LazyCell::new(|| {
        let (scenario, hashes) = make();
        Prepared::new(name, scenario, &hashes)
    });
    let mut group = c.benchmark_group(format!("pipeline/{name}"));
    if name.contains("MB") {
        group.sample_size(10).measurement_time(Duration::from_secs(10));
    }
    for (side, run) in [
        ("opal", Prepared::opal as fn(&Prepared)),
        ("kona", Prepared::kona),
        ("floor", Prepared::floor),
    ] {
        group.bench_function(side, |b| {
            let prepared = &*prepared;
            b.iter(|| run(prepared));
        });
    }
    group.finish();
}

fn generated(c: &mut Criterion<CpuTime>) {
    let config = generate::config(Hardfork::Holocene);
    let form = ChannelForm { brotli: true, blobs: true, others: 0 };
    // 150 other transactions in each L1 block, as on mainnet.
    let busy = ChannelForm { others: 150, ..form };
    let blocks = || generate::blocks(&config, 1, 120, 20);
    let make = |stream: Bytes, form| (generate::around(config.clone(), &stream, form), vec![]);
    let span = || generate::span_stream(&config, &blocks());
    let singular = || generate::singular_stream(&blocks());
    both(c, "generated-span", || make(span(), form));
    both(c, "generated-singular", || make(singular(), form));
    both(c, "generated-span-busy-l1", || make(span(), busy));

    // The limit before Fjord.
    let zlib = ChannelForm { brotli: false, ..form };
    both(c, "generated-span-10MB-zlib", || {
        let config = generate::config(Hardfork::Ecotone);
        let stream = sized_span(&config, 9_900_000);
        (generate::around(config, &stream, zlib), vec![])
    });
    if std::env::var_os("OPAL_BENCH_LARGE").is_some() {
        // The limit from Fjord on.
        both(c, "generated-span-100MB-zlib", || make(sized_span(&config, 99_000_000), zlib));
        // The peer refuses Brotli channels whose size, doubled up from the compressed one, passes
        // the limit; this one it reads.
        both(c, "generated-span-48MB-brotli", || make(sized_span(&config, 48_000_000), form));
    }
}

fn pipeline(c: &mut Criterion<CpuTime>) {
    for channel in vectors::channels() {
        both(c, &channel.name, || (channel.scenario(), vec![]));
    }
    for (name, scenario, hashes) in vectors::segments() {
        both(c, &name, || (scenario, hashes));
    }
    generated(c);
}

/// A span of at most so many bytes, in blocks of 60 transactions.
fn sized_span(config: &RollupConfig, bytes: usize) -> Bytes {
    let sample = generate::span_stream(config, &generate::blocks(config, 3, 50, 60));
    let mut count = 50 * bytes / sample.len();
    loop {
        let blocks = generate::blocks(config, 3, count as u64, 60);
        let span = generate::span_stream(config, &blocks);
        if span.len() <= bytes {
            return span;
        }
        count -= count / 100 + 1;
    }
}

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = pipeline
}
criterion_main!(benches);

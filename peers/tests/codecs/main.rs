//! Codecs, value by value: what the vectors hold and thousands of mutations of it must be accepted
//! or refused by both sides alike, and give the same value. Where the sides differ, the reason is a
//! row of [`DEVIATIONS`]; a difference without one fails.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod channels;
mod logs;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use alloy_primitives::Bytes;
use opal_peers::generate::Rng;
use opal_tests::vectors::Vectors;
use serde_json::Value;

/// Name, who is right and why. The numbers are those of kona's later fixes in the public history
/// of its repository; "op-node" is the reference implementation.
const DEVIATIONS: [(&str, &str); 16] = [
    ("frame-is-last", "kona 0.4.5 reads any other byte than 1 as false; op-node refuses the data"),
    ("batch-type", "kona 0.4.5 panics on an unknown batch type; op-node drops the channel's rest"),
    ("span-panic", "kona 0.4.5 panics on a span whose columns end early; op-node refuses it"),
    ("span-bits", "kona 0.4.5 fills bit lists that end early with zeroes; op-node refuses them"),
    ("span-varint", "kona 0.4.5 refuses numbers with needless zero bytes; op-node reads them"),
    ("span-number", "kona 0.4.5 limits fees and values to its types; op-node takes any size"),
    ("span-limit", "kona 0.4.5 lets transaction data exceed 10^7 bytes; op-node does not"),
    (
        "channel-last",
        "op-node loses the last batch before an error that comes with its end; kona 0.4.5 reads it",
    ),
    ("channel-damaged", "kona 0.4.5 drops a damaged zlib channel; op-node reads up to the damage"),
    ("blob-zero", "kona 0.4.5 takes a zero blob for a missing one; op-node decodes it to nothing"),
    ("deposit-address", "kona 0.4.5 refuses padding before addresses; op-node does not look at it"),
    ("deposit-offset", "kona 0.4.5 looks at 8 bytes of offset and length; op-node at all 32"),
    (
        "deposit-mint",
        "kona 0.4.5 reads the low 128 bits of the mint; we refuse more, op-node has 256",
    ),
    ("l1-info-padding", "kona 0.4.5 looks at no padding and cuts long fees; op-node does neither"),
    (
        "config-padding",
        "kona 0.4.5 does not look at padding of types and numbers; op-node refuses it",
    ),
    ("config-later", "updates of Jovian and checks of Holocene that kona 0.4.5 does not have"),
];

/// Counts of what was compared.
#[derive(Default)]
struct Tally {
    same: usize,
    accepted: usize,
    excused: BTreeMap<&'static str, usize>,
    /// Told at the end, because the peer's panics are silenced until then.
    wrong: Vec<String>,
}

impl Tally {
    fn same(&mut self, accepted: bool) {
        self.same += 1;
        self.accepted += usize::from(accepted);
    }

    fn excuse(&mut self, name: &'static str) {
        assert!(DEVIATIONS.iter().any(|(known, _)| *known == name), "{name} is not in the table");
        *self.excused.entry(name).or_default() += 1;
    }

    fn report(&self, what: &str) {
        println!(
            "{what}: {} the same, {} of them accepted; {:?}",
            self.same, self.accepted, self.excused
        );
    }
}

/// One change or a few: bits, bytes, cuts, growth, a piece of something else.
fn mutate(rng: &mut Rng, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=rng.below(3) {
        let length = data.len() as u64;
        let at = rng.below(length) as usize;
        if data.is_empty() {
            data.push(rng.next() as u8);
            continue;
        }
        match rng.below(8) {
            0 | 1 => data[at] ^= 1 << rng.below(8),
            2 => data[at] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5) as usize],
            3 => data[at] = rng.next() as u8,
            4 => data.truncate(at),
            5 => data.extend((0..=rng.below(40)).map(|_| 0)),
            6 => {
                data.drain(at..(at + 1 + rng.below(32) as usize).min(data.len()));
            }
            _ => {
                if !other.is_empty() {
                    let from = rng.below(other.len() as u64) as usize;
                    let until = (from + 1 + rng.below(64) as usize).min(other.len());
                    data.splice(at..at, other[from..until].iter().copied());
                }
            }
        }
    }
    data
}

/// The seeds, then `count` mutations of them.
fn with_mutations(seed: u64, seeds: &[Bytes], count: usize) -> impl Iterator<Item = Bytes> {
    let mut rng = Rng(seed);
    let seeds = seeds.to_vec();
    let total = if seeds.is_empty() { 0 } else { seeds.len() + count };
    (0..total).map(move |at| match seeds.get(at) {
        Some(seed) => seed.clone(),
        None => {
            let seed = &seeds[rng.below(seeds.len() as u64) as usize];
            let other = &seeds[rng.below(seeds.len() as u64) as usize];
            mutate(&mut rng, seed, other).into()
        }
    })
}

/// Runs the peer, which panics on some inputs; the panics' messages are not shown.
fn guarded<T>(f: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(f)).ok()
}

fn json_files(folder: &str) -> Vec<Value> {
    Vectors::from_env().files(folder).iter().map(|file| file.json()).collect()
}

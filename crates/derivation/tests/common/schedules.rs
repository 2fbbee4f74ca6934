//! The host's answers in other orders: split, twice, early and late. What the machine says of the
//! chain must stay the same, whatever it asks for in between.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use alloy_primitives::keccak256;
use opal_derivation::recording::{Event, Replay};
use opal_derivation::{Derivation, DerivationStart, Executed, Input, L1Block, Request, Step};
use opal_protocol::blob::Blob;
use opal_protocol::{AttributesWithParent, BlockId, RollupConfig, SealedBlock};

/// Steps in all schedules of a story, about: long stories get fewer of them, short ones hundreds.
const BUDGET: usize = 15_000;

/// A small generator (xorshift), so that a failing seed can be run again.
pub struct Rng(pub u64);

impl Rng {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// One machine's life: where it starts, what it was given, what it said.
struct Life {
    start: DerivationStart,
    l1: BTreeMap<u64, L1Block>,
    blobs: HashMap<BlockId, Vec<Box<Blob>>>,
    blobs_missing: HashSet<BlockId>,
    l2: BTreeMap<u64, SealedBlock>,
    executed: HashMap<alloy_primitives::B256, Executed>,
    said: Vec<Step>,
    /// Attributes that were given out last.
    open: Option<AttributesWithParent>,
}

fn key(attributes: &AttributesWithParent) -> alloy_primitives::B256 {
    keccak256(format!("{attributes:?}"))
}

/// Whether a step is about the chain, and not about what the machine lacks.
fn counts(step: &Step) -> bool {
    !matches!(step, Step::Need(_) | Step::Idle | Step::Execute(_))
}

fn lives(recording: &str, config: &RollupConfig) -> Vec<Life> {
    let mut lines = recording.lines();
    let mut replay = Replay::new(lines.next().unwrap(), config.upgrades.clone()).unwrap();
    let mut lives: Vec<Life> = Vec::new();
    for line in lines {
        let event = replay.feed(line).unwrap();
        match event {
            Event::Start(start) => lives.push(Life {
                start,
                l1: BTreeMap::new(),
                blobs: HashMap::new(),
                blobs_missing: HashSet::new(),
                l2: BTreeMap::new(),
                executed: HashMap::new(),
                said: Vec::new(),
                open: None,
            }),
            Event::Steps(_) | Event::End => {}
            Event::Input(input) => {
                let life = lives.last_mut().unwrap();
                match input {
                    Input::L1Block(block) => {
                        let number = block.reference.number;
                        if let Some(old) = life.l1.insert(number, block.clone()) {
                            assert_eq!(old.reference, block.reference, "two blocks to choose from");
                        }
                    }
                    Input::L1NotYet { .. } => {}
                    Input::Blobs { block, blobs } => {
                        life.blobs.insert(block, blobs);
                    }
                    Input::BlobsMissing { block } => {
                        life.blobs_missing.insert(block);
                    }
                    Input::L2Block(block) => {
                        life.l2.insert(block.header().number, block);
                    }
                }
            }
            Event::Executed(executed) => {
                let life = lives.last_mut().unwrap();
                let open = life.open.take().unwrap();
                life.executed.insert(key(&open), executed);
                life.said.push(Step::Execute(Box::new(open)));
            }
        }
        while let Some(step) = replay.next_step().unwrap() {
            let life = lives.last_mut().unwrap();
            match step {
                Step::Execute(attributes) => life.open = Some(*attributes),
                // Halted machines repeat themselves.
                step if counts(&step) && life.said.last() != Some(&step) => life.said.push(step),
                _ => {}
            }
        }
    }
    lives
}

/// Runs each machine of a recording under other schedules; `steps` is how long the recording is.
pub fn check(recording: &str, config: &Arc<RollupConfig>, steps: usize, most: usize) {
    let wanted = std::env::var("OPAL_SCHEDULES").ok().and_then(|text| text.parse().ok());
    let count = wanted.unwrap_or_else(|| (BUDGET / steps.max(1)).max(3).min(most));
    for life in lives(recording, config) {
        for seed in 1..=count as u64 {
            run(&life, config, seed);
        }
    }
}

fn run(life: &Life, config: &Arc<RollupConfig>, seed: u64) {
    let mut rng = Rng(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
    // Each schedule has a temper of its own: how much comes unasked, and how late answers are.
    let (unasked, lateness) = (2 + rng.below(12), 1 + rng.below(5));
    let mut machine = Derivation::new(config.clone(), life.start);
    let numbers: Vec<u64> = life.l1.keys().copied().collect();
    let blob_blocks: Vec<BlockId> = life.blobs.keys().copied().collect();
    let mut said = Vec::new();
    let mut at_end = 0;
    while at_end < 3 {
        if rng.one_in(unasked) {
            early(life, &mut machine, &numbers, &blob_blocks, &mut rng);
        }
        let step = machine.step();
        // A step that waits for something leaves no trace.
        if matches!(step, Step::Need(_) | Step::Execute(_)) {
            for _ in 0..rng.below(3) {
                assert_eq!(machine.step(), step, "seed {seed}");
            }
        }
        match step {
            Step::Need(_) if !rng.one_in(lateness) => {}
            Step::Need(request) => {
                let times = 1 + usize::from(rng.one_in(3));
                let Some(answer) = answer(life, &request, &mut rng) else {
                    // What the recorded host did not have, either.
                    at_end += 1;
                    if let Request::L1Block { number } = request {
                        machine.provide(Input::L1NotYet { number }).unwrap();
                    }
                    continue;
                };
                for _ in 0..times {
                    machine.provide(answer.clone()).unwrap();
                }
            }
            Step::Execute(_) if !rng.one_in(lateness) => {}
            Step::Execute(attributes) => {
                let Some(executed) = life.executed.get(&key(&attributes)) else {
                    // The recorded host stopped before it said what became of these.
                    assert_eq!(life.open.as_ref(), Some(&*attributes), "seed {seed}");
                    break;
                };
                machine.executed(*executed).unwrap();
                said.push(Step::Execute(attributes));
                // Only one answer counts.
                assert!(*executed == Executed::Invalid || machine.executed(*executed).is_err());
            }
            Step::Idle => {}
            step @ (Step::Reset(_) | Step::Critical(_)) => {
                said.push(step);
                break;
            }
            step => said.push(step),
        }
    }
    let first = (0..said.len().max(life.said.len())).find(|at| said.get(*at) != life.said.get(*at));
    if let Some(at) = first {
        panic!("seed {seed}, step {at}: {:?} instead of {:?}", said.get(at), life.said.get(at));
    }
}

/// Something at a time when nobody asked for it: L1 blocks far and near, old and new, blobs of
/// other blocks, blocks that are said not to be there.
fn early(
    life: &Life,
    machine: &mut Derivation,
    numbers: &[u64],
    blob_blocks: &[BlockId],
    rng: &mut Rng,
) {
    match rng.below(8) {
        0..4 if !numbers.is_empty() => {
            for _ in 0..1 + rng.below(4) {
                let number = numbers[rng.below(numbers.len())];
                let _ = machine.provide(Input::L1Block(life.l1[&number].clone()));
            }
        }
        4 if !blob_blocks.is_empty() => {
            let block = blob_blocks[rng.below(blob_blocks.len())];
            let _ = machine.provide(Input::Blobs { block, blobs: life.blobs[&block].clone() });
        }
        5 if !blob_blocks.is_empty() => {
            // Not as many as asked for, or not asked for at all.
            let block = blob_blocks[rng.below(blob_blocks.len())];
            let mut blobs = life.blobs[&block].clone();
            blobs.pop();
            let _ = machine.provide(Input::Blobs { block, blobs });
        }
        6 if !life.l2.is_empty() => {
            let at = rng.below(life.l2.len());
            if let Some(block) = life.l2.values().nth(at) {
                let _ = machine.provide(Input::L2Block(block.clone()));
            }
        }
        _ => {
            let number = machine.next_l1();
            if life.l1.contains_key(&number) {
                machine.provide(Input::L1NotYet { number }).unwrap();
            }
        }
    }
}

fn answer(life: &Life, request: &Request, rng: &mut Rng) -> Option<Input> {
    match request {
        Request::L1Block { number } => {
            let block = life.l1.get(number)?.clone();
            // Sometimes it is not there at first.
            Some(if rng.one_in(5) {
                Input::L1NotYet { number: *number }
            } else {
                Input::L1Block(block)
            })
        }
        Request::Blobs { block, .. } => {
            let block = block.id();
            if life.blobs_missing.contains(&block) {
                return Some(Input::BlobsMissing { block });
            }
            Some(Input::Blobs { block, blobs: life.blobs.get(&block)?.clone() })
        }
        Request::L2Block { number } => Some(Input::L2Block(life.l2.get(number)?.clone())),
    }
}

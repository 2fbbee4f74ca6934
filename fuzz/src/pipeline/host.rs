//! The two hosts.

use alloy_consensus::{BlockBody, Header};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{B256, Bytes};
use opal_derivation::recording::Recorder;
use opal_derivation::{Derivation, Executed, ExecutedError, Input, InputError, Request, Step};
use opal_protocol::{AttributesWithParent, Block, L2BlockRef, SealedBlock, TxEnvelope};

use super::batcher::block_of;
use super::world::World;

/// Steps that no input may exceed: a machine that goes in circles is found by it.
const MAX_STEPS: usize = 200_000;

/// A machine and, if wanted, what it is told.
struct Machine {
    machine: Derivation,
    recorder: Option<Recorder>,
}

impl Machine {
    fn new(world: &World, record: bool) -> Self {
        let start = world.start();
        let recorder = record.then(|| {
            let mut recorder = Recorder::new(&world.config);
            recorder.start(&start);
            recorder
        });
        Self { machine: Derivation::new(world.config.clone(), start), recorder }
    }

    fn step(&mut self) -> Step {
        self.recorder.iter_mut().for_each(Recorder::step);
        self.machine.step()
    }

    fn provide(&mut self, input: Input) -> Result<(), InputError> {
        self.recorder.iter_mut().for_each(|recorder| recorder.input(&input));
        self.machine.provide(input)
    }

    fn executed(&mut self, executed: Executed) -> Result<(), ExecutedError> {
        let result = self.machine.executed(executed);
        // The replay takes a wrong answer for a damaged recording.
        if result.is_ok() {
            self.recorder.iter_mut().for_each(|recorder| recorder.executed(&executed));
        }
        result
    }

    fn recording(&mut self) -> Option<String> {
        self.recorder.as_mut().map(|recorder| {
            recorder.end();
            recorder.take()
        })
    }
}

/// What a host saw.
pub(super) struct Outcome {
    /// All steps but the requests and the waiting, each once.
    pub(super) steps: Vec<Step>,
    /// Each execution's result: the block, or `None` for a refusal.
    pub(super) executed: Vec<Option<L2BlockRef>>,
    /// What the machine was told, if that was wanted. None if L2 blocks were asked for: their
    /// hashes are made up, and a recording has none.
    pub(super) recording: Option<String>,
}

/// The bytes that say how a host misbehaves. Without any it behaves well.
struct Disturbance<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Disturbance<'_> {
    fn next(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied();
        self.at = (self.at + 1) % self.bytes.len().max(1);
        byte.unwrap_or_default()
    }
}

/// A block that can be executed: transactions that are such, and not one that the world refuses.
fn accepts(world: &World, attributes: &AttributesWithParent) -> bool {
    let transactions = attributes.attributes.transactions.as_deref().unwrap_or_default();
    let users = transactions.iter().filter(|tx| tx.first() != Some(&0x7e)).count() as u64;
    let refused =
        world.refuses > 0 && users > 0 && (attributes.parent.number + users) % world.refuses == 0;
    !refused && transactions.iter().all(|tx| decode(tx).is_some())
}

fn decode(raw: &Bytes) -> Option<TxEnvelope> {
    let tx = TxEnvelope::decode_2718(&mut raw.as_ref()).ok()?;
    (tx.encoded_2718() == *raw).then_some(tx)
}

/// The L2 chain as the host built it.
struct Chain<'a> {
    world: &'a World,
    blocks: Vec<SealedBlock>,
}

impl Chain<'_> {
    fn insert(&mut self, attributes: &AttributesWithParent) -> L2BlockRef {
        let reference = block_of(attributes);
        let transactions = attributes.attributes.transactions.iter().flatten();
        let block = Block {
            header: Header {
                number: reference.number,
                parent_hash: reference.parent_hash,
                timestamp: reference.timestamp,
                ..Header::default()
            },
            body: BlockBody {
                transactions: transactions.filter_map(decode).collect(),
                ..Default::default()
            },
        };
        // Genesis is no part of the list.
        self.blocks.truncate(attributes.parent.number as usize);
        self.blocks.push(SealedBlock { hash: reference.hash, block: block.into() });
        reference
    }

    fn block(&self, number: u64) -> SealedBlock {
        if number == 0 {
            let header =
                Header { timestamp: self.world.config.genesis.l2_time, ..Header::default() };
            let block = Block { header, body: BlockBody::default() };
            return SealedBlock { hash: self.world.config.genesis.l2.hash, block: block.into() };
        }
        self.blocks[number as usize - 1].clone()
    }

    fn answer(&self, request: &Request) -> Input {
        match request {
            Request::L1Block { number } => self.l1(*number),
            Request::Blobs { block, hashes } => {
                let blobs: Option<Vec<_>> =
                    hashes.iter().map(|hash| self.world.blobs[hash].clone()).collect();
                match blobs {
                    Some(blobs) => Input::Blobs { block: block.id(), blobs },
                    None => Input::BlobsMissing { block: block.id() },
                }
            }
            Request::L2Block { number } => Input::L2Block(self.block(*number)),
            #[allow(unreachable_patterns, reason = "inputs that this world has not")]
            other => panic!("unexpected request {other:?}"),
        }
    }

    fn l1(&self, number: u64) -> Input {
        match self.world.l1.get(number as usize) {
            Some(block) => Input::L1Block(block.clone()),
            None => Input::L1NotYet { number },
        }
    }
}

/// Drives a machine until it has read all of L1, or cannot go on.
pub(super) fn drive(world: &World, disturbance: &[u8], record: bool) -> Outcome {
    let mut disturbance = Disturbance { bytes: disturbance, at: 0 };
    let mut chain = Chain { world, blocks: Vec::new() };
    let mut machine = Machine::new(world, record);
    let mut outcome = Outcome { steps: Vec::new(), executed: Vec::new(), recording: None };
    for _ in 0..MAX_STEPS {
        match machine.step() {
            Step::Need(request) => {
                if matches!(request, Request::L2Block { .. }) {
                    machine.recorder = None;
                }
                let answer = chain.answer(&request);
                disturb(&mut machine, &chain, &request, disturbance.next());
                machine.provide(answer).unwrap();
            }
            Step::Idle => {
                if machine.machine.next_l1() >= world.l1.len() as u64 {
                    outcome.recording = machine.recording();
                    return outcome;
                }
            }
            Step::Execute(attributes) => {
                let byte = disturbance.next();
                if byte & 1 == 1 {
                    assert_eq!(machine.step(), Step::Execute(attributes.clone()));
                }
                if byte & 2 == 2 {
                    let mut wrong = block_of(&attributes);
                    wrong.parent_hash = B256::repeat_byte(0x77);
                    assert!(machine.executed(Executed::Valid(wrong)).is_err());
                }
                if byte & 4 == 4 {
                    let request = Request::L1Block { number: machine.machine.next_l1() };
                    machine.provide(chain.answer(&request)).unwrap();
                }
                if accepts(world, &attributes) {
                    let block = chain.insert(&attributes);
                    machine.executed(Executed::Valid(block)).unwrap();
                    outcome.executed.push(Some(block));
                } else {
                    machine.executed(Executed::Invalid).unwrap();
                    outcome.executed.push(None);
                }
                outcome.steps.push(Step::Execute(attributes));
            }
            end @ (Step::Reset(_) | Step::Critical(_)) => {
                assert_eq!(machine.step(), end, "the machine stays where it stopped");
                outcome.steps.push(end);
                outcome.recording = machine.recording();
                return outcome;
            }
            step => outcome.steps.push(step),
        }
    }
    panic!("no end after {MAX_STEPS} steps");
}

/// What a host may do before it answers, without any effect on what is derived.
fn disturb(machine: &mut Machine, chain: &Chain<'_>, request: &Request, byte: u8) {
    let again = |machine: &mut Machine| {
        assert_eq!(
            machine.step(),
            Step::Need(request.clone()),
            "an unanswered request is repeated"
        );
    };
    if byte & 1 == 1 {
        again(machine);
    }
    let next = machine.machine.next_l1();
    if byte & 2 == 2 {
        // Out of order and ahead of time.
        for number in (next + 1..next + 4).rev() {
            if let input @ Input::L1Block(_) = chain.l1(number) {
                machine.provide(input).unwrap();
            }
        }
        again(machine);
    }
    if byte & 4 == 4 {
        // Long read.
        for number in next.saturating_sub(3)..next {
            machine.provide(chain.l1(number)).unwrap();
        }
        again(machine);
    }
    if byte & 8 == 8 {
        let number = u64::from(byte >> 4).min(machine.machine.safe_head().number);
        // Unless it is the answer.
        if *request != (Request::L2Block { number }) {
            machine.provide(Input::L2Block(chain.block(number))).unwrap();
        }
        let block = chain.world.l1[0].reference.id();
        machine.provide(Input::Blobs { block, blobs: Vec::new() }).ok();
        again(machine);
    }
    match request {
        Request::L1Block { number } => {
            if byte & 16 == 16 {
                machine.provide(Input::L1NotYet { number: *number }).unwrap();
                assert_eq!(machine.step(), Step::Idle);
                again(machine);
            }
            if byte & 32 == 32
                && let Input::L1Block(mut block) = chain.l1(*number)
            {
                // A block of a chain that is gone, before it is asked for again.
                block.reference.hash = B256::repeat_byte(0x55);
                machine.provide(Input::L1Block(block)).unwrap();
            }
            if byte & 64 == 64 {
                machine.provide(chain.l1(*number)).unwrap();
            }
        }
        Request::Blobs { block, hashes } => {
            if byte & 16 == 16 {
                let blobs = vec![Default::default(); hashes.len() + 1];
                assert!(machine.provide(Input::Blobs { block: block.id(), blobs }).is_err());
                again(machine);
            }
            if byte & 32 == 32 {
                machine.provide(chain.answer(request)).unwrap();
            }
        }
        Request::L2Block { .. } => {
            if byte & 32 == 32 {
                machine.provide(chain.answer(request)).unwrap();
            }
        }
        #[allow(unreachable_patterns, reason = "inputs that this world has not")]
        _ => {}
    }
}

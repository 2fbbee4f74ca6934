//! A host as a node has it: answers the machine, keeps the chain, finds a new start after a reset,
//! and records all of it. When it goes, the recording is replayed and shuffled: no story can forget
//! to.

use std::sync::Arc;

use opal_derivation::recording::{Recorder, replay};
use opal_derivation::{
    Derivation, DerivationStart, Dropped, Executed, Input, InputError, Request, Step,
    must_walk_back,
};
use opal_protocol::{
    AttributesWithParent, L1BlockRef, L2BlockRef, PayloadAttributes, RollupConfig,
};

use super::{L2Block, World, execute, schedules};

/// A block of the derived chain.
#[derive(Clone, Debug)]
pub struct Derived {
    pub block: L2Block,
    pub derived_from: L1BlockRef,
    pub concluding: bool,
}

pub struct Verifier {
    config: Arc<RollupConfig>,
    pub machine: Derivation,
    recorder: Recorder,
    steps: Vec<Step>,
    /// From genesis on.
    chain: Vec<Derived>,
    schedules: usize,
}

/// What came out of one run.
#[derive(Default, Debug)]
pub struct Run {
    pub blocks: Vec<L2Block>,
    pub executed: Vec<AttributesWithParent>,
    pub origins: Vec<L1BlockRef>,
    pub dropped: Vec<Dropped>,
    /// L2 blocks that were asked for.
    pub l2_requests: Vec<u64>,
    pub end: Option<Step>,
}

impl Run {
    pub fn references(&self) -> Vec<L2BlockRef> {
        self.blocks.iter().map(|block| block.reference).collect()
    }
}

impl Verifier {
    pub fn new(world: &World) -> Self {
        let start = world.start();
        let mut recorder = Recorder::new(&world.config);
        recorder.start(&start);
        let genesis = Derived {
            block: world.l2[0].clone(),
            derived_from: world.l1[0].reference,
            concluding: true,
        };
        Self {
            config: world.config.clone(),
            machine: Derivation::new(world.config.clone(), start),
            recorder,
            steps: Vec::new(),
            chain: vec![genesis],
            schedules: world.schedules,
        }
    }

    pub fn step(&mut self) -> Step {
        self.recorder.step();
        let step = self.machine.step();
        self.steps.push(step.clone());
        step
    }

    pub fn provide(&mut self, input: Input) -> Result<(), InputError> {
        self.recorder.input(&input);
        self.machine.provide(input)
    }

    pub fn safe_head(&self) -> L2BlockRef {
        self.machine.safe_head()
    }

    /// What was recorded so far, ended here.
    pub fn recording(&self) -> String {
        let mut recorder = self.recorder.clone();
        recorder.end();
        recorder.take()
    }

    /// The derived chain, genesis first.
    pub fn blocks(&self) -> Vec<L2Block> {
        self.chain.iter().map(|derived| derived.block.clone()).collect()
    }

    /// The L1 block from which the safe head was derived.
    pub fn derived_from(&self) -> L1BlockRef {
        self.chain.last().unwrap().derived_from
    }

    pub fn answer(&self, world: &World, request: &Request) -> Input {
        match request {
            Request::L1Block { number } => match world.l1.get(*number as usize) {
                Some(block) => Input::L1Block(block.clone()),
                None => Input::L1NotYet { number: *number },
            },
            Request::Blobs { block, hashes } => {
                let blobs = hashes.iter().map(|hash| world.blobs.get(hash).cloned());
                match blobs.collect() {
                    Some(blobs) => Input::Blobs { block: block.id(), blobs },
                    None => Input::BlobsMissing { block: block.id() },
                }
            }
            Request::L2Block { number } => {
                Input::L2Block(self.chain[*number as usize].block.sealed.clone())
            }
        }
    }

    /// Says what became of attributes. `accepts` refuses some; transactions that are none are
    /// refused as well.
    fn execute(
        &mut self,
        attributes: &AttributesWithParent,
        accepts: &impl Fn(&PayloadAttributes) -> bool,
    ) -> Option<L2Block> {
        let block = accepts(&attributes.attributes)
            .then(|| execute(&self.config, &attributes.parent, &attributes.attributes))
            .flatten();
        let answer =
            block.as_ref().map_or(Executed::Invalid, |block| Executed::Valid(block.reference));
        self.recorder.executed(&answer);
        self.machine.executed(answer).unwrap();
        // A refused block of a span takes those before it with it (before Holocene).
        let head = self.machine.pending_safe_head().number as usize;
        if let Some(block) = &block {
            self.chain.truncate(head);
            self.chain.push(Derived {
                block: block.clone(),
                derived_from: attributes.derived_from,
                concluding: attributes.concluding,
            });
        } else {
            self.chain.truncate(head + 1);
        }
        block
    }

    /// Goes on until the machine is idle or halts.
    pub fn run(&mut self, world: &World) -> Run {
        self.run_with(world, |_| true)
    }

    /// The same, with an execution that refuses some attributes.
    pub fn run_with(&mut self, world: &World, accepts: impl Fn(&PayloadAttributes) -> bool) -> Run {
        let mut run = Run::default();
        loop {
            match self.step() {
                Step::Need(request) => {
                    if let Request::L2Block { number } = request {
                        run.l2_requests.push(number);
                    }
                    let answer = self.answer(world, &request);
                    self.provide(answer).unwrap();
                }
                Step::Execute(attributes) => {
                    if let Some(block) = self.execute(&attributes, &accepts) {
                        run.blocks.push(block);
                        run.executed.push(*attributes);
                    }
                }
                Step::AdvancedOrigin(origin) => run.origins.push(origin),
                Step::Dropped(dropped) => run.dropped.push(dropped),
                end @ (Step::Idle | Step::Reset(_) | Step::Critical(_)) => {
                    run.end = Some(end);
                    return run;
                }
            }
        }
    }

    /// Where derivation goes on after a reset: the newest safe head that the L1 as it is now
    /// confirms, and the L1 block that the walk back from there ends at.
    pub fn find_start(&self, world: &World) -> DerivationStart {
        let canonical = |id: opal_protocol::BlockId| {
            world.l1.get(id.number as usize).is_some_and(|block| block.reference.id() == id)
        };
        let safe = self
            .chain
            .iter()
            .rposition(|derived| derived.concluding && canonical(derived.derived_from.id()))
            .unwrap();
        let origin_time = |at: usize| {
            world.l1[self.chain[at].block.reference.l1_origin.number as usize].reference.timestamp
        };
        let safe_head = self.chain[safe].block.reference;
        let mut at = safe;
        while must_walk_back(
            &self.config,
            safe_head.l1_origin,
            &self.chain[at].block.reference,
            origin_time(at),
        ) {
            at -= 1;
        }
        let l1_origin = self.chain[at].block.reference.l1_origin;
        assert!(canonical(l1_origin));
        DerivationStart {
            safe_head,
            safe_system_config: world.system_config_at(&self.chain[safe].block),
            l1: world.l1[l1_origin.number as usize].reference,
            l1_system_config: world.system_config_at(&self.chain[at].block),
        }
    }

    /// Builds the machine anew.
    pub fn reset(&mut self, world: &World) -> DerivationStart {
        let start = self.find_start(world);
        self.chain.truncate(start.safe_head.number as usize + 1);
        self.recorder.start(&start);
        self.machine = Derivation::new(self.config.clone(), start);
        start
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let recording = self.recording();
        let again = replay(&recording, self.config.upgrades.clone()).unwrap();
        assert_eq!(again.len(), self.steps.len());
        for (i, (again, step)) in again.iter().zip(&self.steps).enumerate() {
            assert_eq!(again, step, "step {i} of the replay");
        }
        schedules::check(&recording, &self.config, self.steps.len(), self.schedules);
    }
}

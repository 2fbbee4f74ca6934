//! An L1 with what is on it, and how the machine of each side runs over it.

use std::collections::HashMap;
use std::sync::Arc;

use alloy_consensus::{SignableTransaction, Transaction};
use alloy_primitives::{B256, Bytes, keccak256};
use kona_derive::{
    ActivationSignal, EthereumDataSource, OriginProvider, Pipeline, PipelineBuilder, PipelineError,
    PipelineErrorKind, ResetError, ResetSignal, SignalReceiver, StatefulAttributesBuilder,
    StepResult,
};
use kona_protocol::{L2BlockInfo, OpAttributesWithParent};
use opal_derivation::{
    Derivation, DerivationStart, Dropped, Executed, Input, L1Block, Request, Step,
};
use opal_protocol::batcher_tx::decode_batcher_data;
use opal_protocol::blob::{Blob, decode_blob};
use opal_protocol::compress::{decompress_brotli, decompress_zlib};
use opal_protocol::{
    AttributesWithParent, ChannelId, Compression, Frame, L2BlockRef, RollupConfig, TxEnvelope,
};

use crate::kona::{self, Blobs, Chain, L2};

/// What both sides are given.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The rollup.
    pub config: Arc<RollupConfig>,
    /// Where derivation begins.
    pub start: DerivationStart,
    /// Consecutive L1 blocks; the first is [`DerivationStart::l1`].
    pub l1: Vec<L1Block>,
    /// Blobs by versioned hash.
    pub blobs: HashMap<B256, Box<Blob>>,
}

/// How our run ended, and what was dropped on the way.
#[derive(Debug)]
pub struct Ended {
    /// Idle, reset or critical.
    pub step: Step,
    /// In order.
    pub dropped: Vec<Dropped>,
}

impl Scenario {
    fn answer(&self, request: Request) -> Input {
        match request {
            Request::L1Block { number } => {
                let at = number.checked_sub(self.start.l1.number).map(|at| at as usize);
                match at.and_then(|at| self.l1.get(at)) {
                    Some(block) => Input::L1Block(block.clone()),
                    None => Input::L1NotYet { number },
                }
            }
            Request::Blobs { block, hashes } => {
                let blobs = hashes.iter().map(|hash| self.blobs.get(hash).cloned());
                match blobs.collect() {
                    Some(blobs) => Input::Blobs { block: block.id(), blobs },
                    None => Input::BlobsMissing { block: block.id() },
                }
            }
            Request::L2Block { number } => panic!("L2 block {number} was asked for"),
        }
    }

    /// Runs our machine until there is no more L1. `execute` makes a block of attributes.
    pub fn run(&self, mut execute: impl FnMut(Box<AttributesWithParent>) -> L2BlockRef) -> Ended {
        let mut derivation = Derivation::new(self.config.clone(), self.start);
        let mut dropped = Vec::new();
        loop {
            match derivation.step() {
                Step::Need(request) => derivation.provide(self.answer(request)).unwrap(),
                Step::Execute(attributes) => {
                    let block = execute(attributes);
                    derivation.executed(Executed::Valid(block)).unwrap();
                }
                Step::AdvancedOrigin(_) => {}
                Step::Dropped(what) => dropped.push(what),
                step @ (Step::Idle | Step::Reset(_) | Step::Critical(_)) => {
                    return Ended { step, dropped };
                }
            }
        }
    }
}

/// What any implementation must do to derive a scenario: hash what the batcher signed, and decompress
/// its channels. No pipeline is faster than these two.
#[derive(Clone, Debug, Default)]
pub struct Floor {
    signed: Vec<Vec<u8>>,
    channels: Vec<Vec<u8>>,
}

impl Floor {
    /// Of the batcher's transactions, and of the channels that are complete.
    pub fn new(scenario: &Scenario) -> Self {
        let mut floor = Self::default();
        let mut open: HashMap<ChannelId, Vec<Frame>> = HashMap::new();
        let batcher = scenario.start.l1_system_config.batcher_address;
        for tx in scenario.l1.iter().flat_map(|block| block.transactions.iter()) {
            let to_inbox = tx.to() == Some(scenario.config.batch_inbox_address);
            if !to_inbox || tx.recover().ok() != Some(batcher) {
                continue;
            }
            let (signed, hashes) = match tx {
                TxEnvelope::Legacy(tx) => (tx.tx().encoded_for_signing(), &[][..]),
                TxEnvelope::Eip2930(tx) => (tx.tx().encoded_for_signing(), &[][..]),
                TxEnvelope::Eip1559(tx) => (tx.tx().encoded_for_signing(), &[][..]),
                TxEnvelope::Eip4844(tx) => {
                    (tx.tx().encoded_for_signing(), &tx.tx().blob_versioned_hashes[..])
                }
                _ => continue,
            };
            floor.signed.push(signed);
            let mut data: Vec<Bytes> = hashes
                .iter()
                .filter_map(|hash| decode_blob(scenario.blobs.get(hash)?).ok())
                .collect();
            if hashes.is_empty() {
                data.push(tx.input().clone());
            }
            for frame in data.iter().filter_map(|data| decode_batcher_data(data).ok()).flatten() {
                let (id, is_last) = (frame.id, frame.is_last);
                let frames = open.entry(id).or_default();
                frames.push(frame);
                if is_last && frames.iter().enumerate().all(|(i, f)| usize::from(f.number) == i) {
                    floor.channels.push(frames.iter().flat_map(|f| f.data.to_vec()).collect());
                }
            }
        }
        floor
    }

    /// Does it; gives how many bytes came out of the channels.
    pub fn run(&self) -> usize {
        for signed in &self.signed {
            std::hint::black_box(keccak256(signed));
        }
        let decompress = |channel: &Vec<u8>| match Compression::of_channel(channel[0]) {
            Some(Compression::Zlib) => decompress_zlib(channel, LIMIT).data.len(),
            Some(Compression::Brotli) => decompress_brotli(&channel[1..], LIMIT).data.len(),
            None => 0,
        };
        self.channels.iter().map(decompress).sum()
    }
}

/// Most bytes that a channel may come to.
const LIMIT: usize = 100_000_000;

/// A scenario in the peer's types, made ahead of its run.
#[derive(Clone, Debug)]
pub struct Peer {
    config: Arc<kona_genesis::RollupConfig>,
    chain: Chain,
    blobs: Blobs,
    l2: L2,
    reset: ResetSignal,
}

/// How the peer's run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum KonaEnd {
    /// There is no more L1.
    Idle,
    /// Reset or critical.
    Stopped(PipelineErrorKind),
}

impl Peer {
    /// The same scenario.
    pub fn new(scenario: &Scenario) -> Self {
        let safe_head = kona::l2_block_info(scenario.start.safe_head);
        let l2 = L2::new(kona::system_config(&scenario.start.safe_system_config));
        let reset = ResetSignal {
            l2_safe_head: safe_head,
            l1_origin: kona::block_info(scenario.start.l1),
            system_config: Some(kona::system_config(&scenario.start.l1_system_config)),
        };
        Self {
            config: Arc::new(kona::rollup_config(&scenario.config)),
            chain: Chain::new(&scenario.l1),
            blobs: Blobs::new(&scenario.blobs),
            l2,
            reset,
        }
    }

    /// Runs the peer's pipeline until there is no more L1. `execute` makes a block of attributes;
    /// what the peer asks of L2 later on, it puts into the second argument.
    pub fn run(
        &self,
        mut execute: impl FnMut(OpAttributesWithParent, &L2) -> L2BlockInfo,
    ) -> KonaEnd {
        let (config, l2) = (&self.config, &self.l2);
        let mut pipeline = PipelineBuilder::new()
            .rollup_config(config.clone())
            .dap_source(EthereumDataSource::new_from_parts(
                self.chain.clone(),
                self.blobs.clone(),
                config,
            ))
            .l2_chain_provider(l2.clone())
            .chain_provider(self.chain.clone())
            .builder(StatefulAttributesBuilder::new(config.clone(), l2.clone(), self.chain.clone()))
            .origin(self.reset.l1_origin)
            .build_polled();
        let mut safe_head = self.reset.l2_safe_head;
        // The signal takes the configuration of the safe head, whatever it is given.
        kona::now(pipeline.signal(self.reset.signal())).unwrap();
        loop {
            match kona::now(pipeline.step(safe_head)) {
                StepResult::PreparedAttributes => {
                    while let Some(attributes) = pipeline.next() {
                        safe_head = execute(attributes, l2);
                    }
                }
                StepResult::AdvancedOrigin => {}
                StepResult::OriginAdvanceErr(PipelineErrorKind::Reset(
                    ResetError::HoloceneActivation,
                )) => {
                    let signal = ActivationSignal {
                        l2_safe_head: safe_head,
                        l1_origin: pipeline.origin().unwrap(),
                        system_config: None,
                    };
                    kona::now(pipeline.signal(signal.signal())).unwrap();
                }
                StepResult::OriginAdvanceErr(PipelineErrorKind::Temporary(
                    PipelineError::Provider(_),
                )) => return KonaEnd::Idle,
                StepResult::StepFailed(PipelineErrorKind::Temporary(
                    error @ PipelineError::Provider(_),
                )) => return KonaEnd::Stopped(error.temp()),
                StepResult::OriginAdvanceErr(PipelineErrorKind::Temporary(_))
                | StepResult::StepFailed(PipelineErrorKind::Temporary(_)) => {}
                StepResult::OriginAdvanceErr(error) | StepResult::StepFailed(error) => {
                    return KonaEnd::Stopped(error);
                }
            }
        }
    }
}

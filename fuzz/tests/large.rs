//! Inputs of the largest size that the rules allow are read to their end: in seconds, as long as
//! nothing in them costs more the more of it there is. What is quadratic would take hours. Their
//! memory is counted.

// The targets' instrumentation, where they are built with it.
#[cfg(feature = "engine")]
use libfuzzer_sys as _;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, TxKind};
use opal_derivation::{Derivation, DerivationStart, Input, L1Block, Request, Step};
use opal_fuzz::memory::{Used, measure};
use opal_protocol::batcher_tx::encode_batcher_data;
use opal_protocol::compress::compress_zlib_at;
use opal_protocol::{
    BlockId, ChannelId, DepositTransaction, Frame, Genesis, Hardfork, HardforkSchedule, L1BlockRef,
    L2BlockRef, RollupConfig, SingularBatch, SystemConfig, TxEnvelope,
};

const INBOX: Address = Address::repeat_byte(1);
const BATCHER: Address = Address::repeat_byte(2);
const START: u64 = 1_000;

fn config(newest: Hardfork) -> RollupConfig {
    RollupConfig {
        genesis: Genesis {
            l2: BlockId { hash: B256::repeat_byte(3), number: 0 },
            l2_time: START,
            system_config: SystemConfig {
                batcher_address: BATCHER,
                gas_limit: 30_000_000,
                ..SystemConfig::default()
            },
            ..Genesis::default()
        },
        block_time: 2,
        max_sequencer_drift_config: 600,
        seq_window_size: 3_600,
        channel_timeout_config: 300,
        schedule: HardforkSchedule::at_genesis(newest),
        batch_inbox_address: INBOX,
        l1_chain_id: 900,
        l2_chain_id: 901,
        ..RollupConfig::default()
    }
}

/// Only one test runs at a time: memory is counted for the process.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Steps over L1 blocks with these batcher transactions; gives the number of steps, and the memory
/// that derivation used and holds at the end, beside L1. Nothing of what is posted here leads to
/// attributes.
fn run(config: RollupConfig, blocks: Vec<Vec<Bytes>>) -> (usize, Used) {
    let genesis = Header { timestamp: START, ..Header::default() };
    let mut parent = L1BlockRef::from_header(genesis.hash_slow(), &genesis);
    let mut config = config;
    config.genesis.l1 = parent.id();
    let block = |header: Header, data: Vec<Bytes>| {
        let tx = |input| {
            let to = TxKind::Call(INBOX);
            TxEnvelope::from(DepositTransaction { from: BATCHER, to, input, ..Default::default() })
        };
        L1Block {
            reference: L1BlockRef::from_header(header.hash_slow(), &header),
            header,
            receipts: Arc::default(),
            transactions: Arc::new(data.into_iter().map(tx).collect()),
        }
    };
    let mut l1 = vec![block(genesis, Vec::new())];
    for data in blocks {
        let header = Header {
            parent_hash: parent.hash,
            number: parent.number + 1,
            timestamp: parent.timestamp + 12,
            ..Header::default()
        };
        l1.push(block(header, data));
        parent = l1[l1.len() - 1].reference;
    }
    let system_config = config.genesis.system_config;
    let start = DerivationStart {
        safe_head: L2BlockRef {
            hash: config.genesis.l2.hash,
            timestamp: START,
            l1_origin: config.genesis.l1,
            ..L2BlockRef::default()
        },
        safe_system_config: system_config,
        l1: l1[0].reference,
        l1_system_config: system_config,
    };
    let config = Arc::new(config);
    let ((steps, machine), used) = measure(|| drive(Derivation::new(config, start), &l1));
    drop(machine);
    (steps, used)
}

fn drive(mut machine: Derivation, l1: &[L1Block]) -> (usize, Derivation) {
    let mut steps = 0;
    loop {
        steps += 1;
        match machine.step() {
            Step::Need(Request::L1Block { number }) => {
                let input = match l1.get(number as usize) {
                    Some(block) => Input::L1Block(block.clone()),
                    None => Input::L1NotYet { number },
                };
                machine.provide(input).unwrap();
            }
            Step::AdvancedOrigin(_) | Step::Dropped(_) => {}
            Step::Idle => return (steps, machine),
            step => panic!("{step:?}"),
        }
    }
}

/// A channel of this stream in frames, one to a transaction.
fn channel(id: u16, stream: &[u8]) -> Vec<Bytes> {
    let data = Bytes::from(compress_zlib_at(stream, 1));
    let mut name = [0; 16];
    name[..2].copy_from_slice(&id.to_be_bytes());
    let pieces: Vec<_> = (0..data.len()).step_by(900_000).collect();
    let frame = |(i, start): (usize, &usize)| {
        let data = data.slice(*start..(start + 900_000).min(data.len()));
        let is_last = i + 1 == pieces.len();
        encode_batcher_data(&[Frame { id: ChannelId(name), number: i as u16, data, is_last }])
    };
    pieces.iter().enumerate().map(frame).collect()
}

/// Each thing that is read or dropped is one step.
const MOST_STEPS: usize = 3_000_000;

/// Time and memory are in bounds: so many megabytes at most at a time, and at the end.
fn assert_bounded(what: &str, (steps, used): (usize, Used), peak: usize, held: usize) {
    println!("{what}: {steps} steps, {used:?}");
    assert!(steps < MOST_STEPS, "{what}: {steps} steps");
    assert!(used.peak <= peak * 1_000_000, "{what}: {used:?}");
    assert!(used.held <= held * 1_000_000, "{what}: {used:?}");
}

fn batch(timestamp: u64, transactions: Vec<Bytes>) -> SingularBatch {
    SingularBatch { epoch_num: 1, timestamp, transactions, ..SingularBatch::default() }
}

/// A hundred megabytes of batches that are not yet valid, before Holocene: all must be kept.
#[test]
fn batches_of_the_future() {
    let _alone = alone();
    let mut stream = Vec::new();
    for n in 0..1_000_000u64 {
        stream.extend_from_slice(
            &batch(START + 4 + 2 * (n % 1_000), Vec::new()).encode_for_channel(),
        );
    }
    for fork in [Hardfork::Granite, Hardfork::Karst] {
        let blocks = vec![Vec::new(), channel(1, &stream), Vec::new(), Vec::new()];
        assert_bounded("batches of the future", run(config(fork), blocks), 500, 250);
    }
}

/// As many channels as L1 blocks hold, none of them complete.
#[test]
fn channels_that_are_never_complete() {
    let _alone = alone();
    let mut id = 0u128;
    let blocks: Vec<Vec<Bytes>> = (0..20)
        .map(|_| {
            let frames: Vec<Frame> = (0..40_000)
                .map(|_| {
                    id += 1;
                    let id = ChannelId(id.to_be_bytes());
                    Frame { id, number: 0, data: Bytes::new(), is_last: false }
                })
                .collect();
            vec![encode_batcher_data(&frames)]
        })
        .collect();
    for fork in [Hardfork::Bedrock, Hardfork::Granite, Hardfork::Karst] {
        assert_bounded("open channels", run(config(fork), blocks.clone()), 500, 500);
    }
}

/// One channel of as many frames as can be numbered, again and again.
#[test]
fn frames_again_and_again() {
    let _alone = alone();
    let frame =
        |number| Frame { id: ChannelId([1; 16]), number, data: Bytes::new(), is_last: false };
    let data = encode_batcher_data(&(0..=u16::MAX).map(frame).collect::<Vec<_>>());
    for fork in [Hardfork::Granite, Hardfork::Karst] {
        assert_bounded("frames", run(config(fork), vec![vec![data.clone()]; 20]), 50, 20);
    }
}

/// The body of a span of so many empty blocks, so long after genesis, behind its version byte.
fn empty_span(after: u8, blocks: usize) -> Vec<u8> {
    // Timestamp of the first block, L1 origin of the last, two checks, number of blocks.
    let mut body = vec![1, after, 1];
    body.extend_from_slice(&B256::repeat_byte(3)[..20]);
    body.extend_from_slice(&[0; 20]);
    let mut count = blocks;
    while count >= 0x80 {
        body.push(count as u8 | 0x80);
        count >>= 7;
    }
    body.push(count as u8);
    // No block begins an epoch or has transactions.
    body.resize(body.len() + blocks.div_ceil(8) + blocks, 0);
    body
}

fn in_channel(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    alloy_rlp::Encodable::encode(body, &mut out);
    out
}

/// A span of ten million blocks, which is the most, eight times over: 11 MB each. Of the next block
/// it is dropped for its L1 origin; of a later one it waits, before Holocene, and holds its columns.
#[test]
fn the_longest_span() {
    let _alone = alone();
    // Timestamp of the first block, and the megabytes held in the end by fork.
    for (after, granite, karst) in [(2, 1, 1), (4, 91, 1)] {
        let stream = in_channel(&empty_span(after, 10_000_000)).repeat(8);
        let blocks = vec![Vec::new(), Vec::new(), channel(1, &stream), Vec::new()];
        for (fork, held) in [(Hardfork::Granite, granite), (Hardfork::Karst, karst)] {
            // Beside what waits, the stream, whose buffer doubles while it grows.
            let used = run(config(fork), blocks.clone());
            assert_bounded("the longest span", used, 300, held);
        }
    }
}

/// What waits does not hold its channel: here a span of sixty bytes, and a batch of two hundred, in
/// five megabytes each.
#[test]
fn short_batches_that_wait_in_long_channels() {
    let _alone = alone();
    let filler = batch(START, vec![vec![7; 5_000_000].into()]).encode_for_channel();
    let mut stream = in_channel(&empty_span(4, 2));
    stream.extend_from_slice(&batch(START + 4, vec![vec![1; 100].into()]).encode_for_channel());
    stream.extend_from_slice(&filler);
    let channels = (1..=40).flat_map(|id| channel(id, &stream)).collect();
    let used = run(config(Hardfork::Granite), vec![Vec::new(), channels, Vec::new()]);
    assert_bounded("short batches in long channels", used, 60, 1);
}

/// A batch of many million transactions, each of one byte.
#[test]
fn a_batch_of_tiny_transactions() {
    let _alone = alone();
    let stream = batch(START + 2, vec![Bytes::from_static(&[5]); 20_000_000]).encode_for_channel();
    for fork in [Hardfork::Granite, Hardfork::Karst] {
        let blocks = vec![Vec::new(), channel(1, &stream), Vec::new()];
        assert_bounded("tiny transactions", run(config(fork), blocks), 900, 1);
    }
}

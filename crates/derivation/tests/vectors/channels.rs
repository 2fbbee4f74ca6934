//! Channels that lie whole in a segment: the blocks of their batches must come out, with the
//! transactions that the channel's vector lists, whatever the batches' type and fork.

use std::cell::Cell;
use std::sync::Arc;

use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{B256, Bytes, keccak256};
use opal_derivation::{Derivation, DerivationStart, Executed};
use opal_protocol::l1_info::{L1BlockInfo, L1InfoForm};
use opal_protocol::{
    Batch, Block, ChannelReader, DepositTransaction, Hardfork, L2BlockRef, RollupConfig,
    SealedBlock, SystemConfig, TxEnvelope, l2_block_ref,
};
use opal_tests::vectors::{Outcome, VectorFile, list, optional, parse, uint};
use serde_json::Value;

use crate::chains::{self, Anchor, Chain};
use crate::{Stop, next_attributes};

/// One block of a batch.
#[derive(Clone, Debug)]
struct Expected {
    timestamp: u64,
    epoch: u64,
    transactions: Vec<Bytes>,
    /// Whether it is the last one of its batch.
    concluding: bool,
    /// The hash that the next batch gives it, as far as it does (spans tell 20 bytes).
    hash: B256,
}

/// The blocks that a channel gives from a known parent on.
struct Plan {
    config: Arc<RollupConfig>,
    parent: L2BlockRef,
    system_config: SystemConfig,
    blocks: Vec<Expected>,
    /// How many blocks the first batch has.
    first_batch: usize,
    /// The L1 block that completes the channel.
    inclusion: u64,
}

pub fn check(file: &VectorFile) -> Outcome {
    let json = file.json();
    if optional(&json["channel"], "channel_data").is_none() {
        file.not_understood(&json);
    }
    let plan = plan(&json);
    let (l1, plan) = match &plan {
        Ok((l1, plan)) => (l1, plan),
        Err(reason) => return Outcome::Ignored((*reason).to_owned()),
    };
    if let Err(Stop::NoBlob(hash)) = derive(plan, l1, 0, true) {
        return Outcome::Ignored(format!("no file in blobs/ has blob {hash}"));
    }
    // From within the first span, which then overlaps the safe chain: with the same blocks, and
    // with others.
    let overlap = plan.first_batch.saturating_sub(1).min(5);
    let told_apart = plan.blocks[..overlap].iter().any(|block| !block.transactions.is_empty());
    if overlap > 0 {
        derive(plan, l1, overlap, true).unwrap();
    }
    if told_apart {
        derive(plan, l1, overlap, false).unwrap();
    }
    Outcome::Checked(plan.blocks.len())
}

/// What of a channel can be derived with the L1 blocks at hand.
fn plan(json: &Value) -> Result<(Chain<'static>, Plan), &'static str> {
    let channel = &json["channel"];
    let inclusion = list(&channel["l1_inclusion"]).iter().map(uint).max();
    let inclusion = inclusion.ok_or("not known where on L1 it lies")?;
    let (l1, rollup) = chains::segments_of(json).ok_or("no segment of its chain")?;
    let batches = list(&channel["batches"]);
    let first = batches.first().ok_or("no batches")?;
    let first = first["blocks"].get(0).unwrap_or(first);
    let anchor = Anchor {
        number: optional(first, "number").map(uint),
        timestamp: uint(&first["timestamp"]),
    };
    let config = chains::config(&[json, rollup], l1.id, anchor);

    let held = |number: u64| l1.block(number).is_some();
    let batches = decode(&parse(&channel["channel_data"]), &config, inclusion, &l1);
    let parent_epochs = parent_epochs(channel);
    let from = (0..batches.len()).find(|at| {
        let epochs = batches[*at..].iter().flat_map(|batch| &batch.blocks).map(|b| b.epoch);
        let contiguous = |from: u64| (from..=inclusion).all(held);
        parent_epochs[*at].is_some_and(contiguous) && epochs.max().is_some_and(held)
    });
    let from = from.ok_or("its L1 blocks are in no segment")?;
    let batches = &batches[from..];

    let (batch, origin) = (&batches[0], parent_epochs[from].unwrap());
    let timestamp = batch.blocks[0].timestamp - config.block_time;
    let parent = L2BlockRef {
        hash: batch.parent,
        number: config.genesis.l2.number + (timestamp - config.genesis.l2_time) / config.block_time,
        parent_hash: B256::ZERO,
        timestamp,
        l1_origin: l1.block(origin).unwrap().reference.id(),
        // Any that lets the next block have the same origin.
        sequence_number: 3,
    };
    let mut system_config = SystemConfig {
        batcher_address: parse(&rollup["batcher"]),
        gas_limit: 30_000_000,
        ..SystemConfig::default()
    };
    system_config.scalar[0] = u8::from(config.is_active(Hardfork::Ecotone, timestamp));
    let mut blocks: Vec<Expected> = Vec::new();
    for batch in batches {
        if let Some(last) = blocks.last_mut() {
            last.hash = batch.parent;
        }
        blocks.extend(batch.blocks.iter().cloned());
    }
    let first_batch = batch.blocks.len();
    let plan =
        Plan { config: Arc::new(config), parent, system_config, blocks, first_batch, inclusion };
    Ok((l1, plan))
}

/// A batch of the channel, and the hash that it builds on, as far as it is told.
struct Unit {
    parent: B256,
    blocks: Vec<Expected>,
}

fn decode(data: &Bytes, config: &RollupConfig, inclusion: u64, l1: &Chain<'_>) -> Vec<Unit> {
    let time = l1.block(inclusion).map_or(u64::MAX, |block| block.reference.timestamp);
    let fjord = config.is_active(Hardfork::Fjord, time);
    let limit = config.max_rlp_bytes_per_channel(time);
    let mut reader = ChannelReader::new(data, limit, fjord).unwrap();
    let batches = std::iter::from_fn(|| reader.next_batch());
    let block = |timestamp, epoch, transactions| Expected {
        timestamp,
        epoch,
        transactions,
        concluding: false,
        hash: keccak256(u64::to_be_bytes(timestamp)),
    };
    let unit = |batch| {
        let (parent, mut blocks) = match batch {
            Batch::Singular(batch) => {
                let one = block(batch.timestamp, batch.epoch_num, batch.transactions);
                (batch.parent_hash, vec![one])
            }
            Batch::Span(raw) => {
                let (time, id) = (config.genesis.l2_time, config.l2_chain_id);
                let span = raw.into_span(config.block_time, time, id).unwrap();
                let mut parent = B256::ZERO;
                parent[..20].copy_from_slice(span.parent_check());
                let blocks = span.blocks();
                (parent, blocks.map(|b| block(b.timestamp, b.epoch_num, b.transactions)).collect())
            }
        };
        blocks.last_mut().unwrap().concluding = true;
        Unit { parent, blocks }
    };
    batches.map(|batch| unit(batch.unwrap())).collect()
}

/// The L1 origin of each batch's parent, as the vector tells it: by a span's first origin bit, or
/// by the batch before.
fn parent_epochs(channel: &Value) -> Vec<Option<u64>> {
    let batches = list(&channel["batches"]);
    let last_epoch = |batch: &Value| {
        let last = list(&batch["blocks"]).last().map(|block| &block["epoch"]);
        uint(last.unwrap_or(&batch["epoch_num"]))
    };
    let of = |(at, batch): (usize, &Value)| match (batch["blocks"].get(0), at) {
        (Some(block), _) => Some(uint(&block["epoch"]) - uint(&batch["origin_bits"][0])),
        (None, 0) => None,
        (None, at) => Some(last_epoch(&batches[at - 1])),
    };
    batches.iter().enumerate().map(of).collect()
}

/// An L2 block that gives this reference, with these transactions after the L1 attributes.
fn l2_block(config: &RollupConfig, reference: &L2BlockRef, transactions: &[Bytes]) -> SealedBlock {
    let info = L1BlockInfo {
        form: L1InfoForm::of_block(config, reference.timestamp),
        number: reference.l1_origin.number,
        block_hash: reference.l1_origin.hash,
        sequence_number: reference.sequence_number,
        ..L1BlockInfo::default()
    };
    let deposit = DepositTransaction { input: info.encode(), ..DepositTransaction::default() };
    let mut block = Block::default();
    block.header.number = reference.number;
    block.header.parent_hash = reference.parent_hash;
    block.header.timestamp = reference.timestamp;
    block.body.transactions = vec![deposit.into()];
    for raw in transactions {
        block.body.transactions.push(TxEnvelope::decode_2718_exact(raw).unwrap());
    }
    SealedBlock { hash: reference.hash, block: Arc::new(block) }
}

/// Derives with the first `overlap` blocks of the plan safe already. If those are not `honest` but
/// without transactions, the span that overlaps them does not count; from Holocene on only its later
/// blocks are looked at.
fn derive(plan: &Plan, l1: &Chain<'_>, overlap: usize, honest: bool) -> Result<(), Stop> {
    let Plan { config, parent, blocks, .. } = plan;
    let reference = |at: usize| {
        let block = &blocks[at];
        L2BlockRef {
            hash: block.hash,
            number: parent.number + 1 + at as u64,
            parent_hash: at.checked_sub(1).map_or(parent.hash, |before| blocks[before].hash),
            timestamp: block.timestamp,
            l1_origin: l1.block(block.epoch).unwrap().reference.id(),
            sequence_number: 0,
        }
    };
    let safe_block = |number: u64| match number.checked_sub(parent.number + 1) {
        Some(at) => {
            let transactions = &blocks[at as usize].transactions;
            let kept = if honest { transactions.as_slice() } else { &[] };
            l2_block(config, &reference(at as usize), kept)
        }
        None => l2_block(config, parent, &[]),
    };
    let first = safe_block(parent.number + overlap as u64);
    let safe_head = l2_block_ref(config, first.hash, &first.block).unwrap();
    let start = DerivationStart {
        safe_head,
        safe_system_config: plan.system_config,
        l1: l1.start(config, safe_head.l1_origin.number),
        l1_system_config: plan.system_config,
    };
    let mut derivation = Derivation::new(config.clone(), start);
    let asked = Cell::new(false);
    let mut derived = overlap;
    while let Some(expected) = blocks.get(derived) {
        let answer = |number| {
            asked.set(true);
            safe_block(number)
        };
        let given = match next_attributes(&mut derivation, l1, answer) {
            Ok(given) => given,
            Err(Stop::NoL1Block(_)) => break,
            Err(stop) => return Err(stop),
        };
        let transactions: Vec<&Bytes> = given
            .attributes
            .transactions
            .iter()
            .flatten()
            .filter(|raw| raw.first() != Some(&opal_protocol::DEPOSIT_TX_TYPE))
            .collect();
        assert_eq!(transactions, Vec::from_iter(&expected.transactions), "block {derived}");
        assert_eq!(given.attributes.timestamp, expected.timestamp, "block {derived}");
        assert_eq!(given.l1_origin.number, expected.epoch, "block {derived}");
        assert_eq!(given.derived_from.number, plan.inclusion, "block {derived}");
        let mut block = reference(derived);
        block.parent_hash = given.parent.hash;
        derivation.executed(Executed::Valid(block)).unwrap();
        if !config.is_active(Hardfork::Holocene, derivation.origin().timestamp) {
            // The safe head moves by whole batches.
            assert_eq!(given.concluding, expected.concluding, "block {derived}");
            assert_eq!(derivation.safe_head() == block, given.concluding, "block {derived}");
        }
        derived += 1;
    }
    let holocene = config.is_active(Hardfork::Holocene, derivation.origin().timestamp);
    assert_eq!(derived == blocks.len(), honest || holocene, "{derived} of {}", blocks.len());
    assert_eq!(asked.get(), overlap > 0, "asked for safe blocks");
    Ok(())
}

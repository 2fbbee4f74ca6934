//! What the tests of several stages share.
#![allow(clippy::unwrap_used)]

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Bytes};
use opal_protocol::compress::compress_zlib;
use opal_protocol::config::BaseFeeConfig;
use opal_protocol::span_batch::{RawSpanBatch, SpanBatch, SpanBlock, SpanChain, encode_blocks};
use opal_protocol::{
    BlockId, ChannelId, Frame, Genesis, Hardfork, HardforkSchedule, L1BlockRef, L2BlockRef,
    RollupConfig, SingularBatch, SystemConfig,
};

use crate::batch_validity::DropReason;
use crate::host::{Dropped, Inbox};
use crate::pipeline::{Context, Pipeline};

/// A chain with all forks up to `newest` from genesis on.
pub(crate) fn config_at(newest: Hardfork) -> RollupConfig {
    RollupConfig {
        genesis: Genesis {
            l1: BlockId::default(),
            l2: BlockId::default(),
            l2_time: 0,
            system_config: SystemConfig { gas_limit: 30_000_000, ..Default::default() },
        },
        block_time: 2,
        max_sequencer_drift_config: 600,
        seq_window_size: 10,
        channel_timeout_config: 300,
        l1_chain_id: 900,
        l2_chain_id: 901,
        schedule: HardforkSchedule::at_genesis(newest),
        pectra_blob_schedule_time: None,
        batch_inbox_address: Address::repeat_byte(0xff),
        deposit_contract_address: Address::repeat_byte(0xdd),
        l1_system_config_address: Address::repeat_byte(0xcc),
        chain_op_config: BaseFeeConfig::default(),
        ..RollupConfig::default()
    }
}

/// A made-up L1 block, 12 seconds after the one before.
pub(crate) fn l1_ref(number: u64) -> L1BlockRef {
    let hash = |number: u64| B256::repeat_byte(number as u8);
    L1BlockRef {
        hash: hash(number),
        number,
        parent_hash: hash(number.wrapping_sub(1)),
        timestamp: 12 * number,
    }
}

/// The safe head of most tests: block 500 at time 1208, the fifth of epoch 100 (time 1200).
pub(crate) fn safe_head() -> L2BlockRef {
    L2BlockRef {
        hash: B256::repeat_byte(0xaa),
        number: 500,
        parent_hash: B256::repeat_byte(0xa9),
        timestamp: 1208,
        l1_origin: l1_ref(100).id(),
        sequence_number: 4,
    }
}

/// Bytes in the place of a transaction of this type.
pub(crate) fn tx(kind: u8) -> Bytes {
    vec![kind, 1, 2].into()
}

/// A batch of one transaction on top of [`safe_head`], in its epoch.
pub(crate) fn batch(timestamp: u64) -> SingularBatch {
    let parent = safe_head();
    SingularBatch {
        parent_hash: parent.hash,
        epoch_num: parent.l1_origin.number,
        epoch_hash: parent.l1_origin.hash,
        timestamp,
        transactions: vec![tx(2)],
    }
}

/// A transaction of type 1, 2 or 4, for [`config_at`]'s chain, which a span can hold.
pub(crate) fn span_tx(kind: u8) -> Bytes {
    let fees: &[u8] = if kind == 1 { &[5] } else { &[1, 5] };
    // Chain id and nonce; gas limit, recipient, value, no data, no access list.
    let (head, middle) =
        ([0x82, 3, 0x85, 1], [&[9, 0x94][..], &[7; 20], &[3, 0x80, 0xc0]].concat());
    let authorizations: &[u8] = if kind == 4 { &[0xc0] } else { &[] };
    let payload = [&head[..], fees, &middle, authorizations, &[1, 6, 7]].concat();
    [&[kind, 0xc0 + payload.len() as u8], &payload[..]].concat().into()
}

/// A span on top of the block with this hash: epoch, time and transactions of each block. The times
/// are equally far apart.
pub(crate) fn span(parent: B256, blocks: &[(u64, u64, Vec<Bytes>)]) -> SpanBatch {
    let prefix = |hash: B256| hash[..20].try_into().unwrap();
    let last = l1_ref(blocks.last().unwrap().0);
    let block = |(epoch_num, timestamp, transactions): &(u64, u64, Vec<Bytes>)| SpanBlock {
        epoch_num: *epoch_num,
        timestamp: *timestamp,
        transactions: transactions.clone(),
    };
    let block_time = blocks.get(1).map_or(2, |second| second.1 - blocks[0].1);
    let chain = SpanChain { block_time, genesis_time: 0, chain_id: 901 };
    let checks = (prefix(parent), prefix(last.hash));
    let body = encode_blocks(checks, blocks.iter().map(block), chain, false).unwrap();
    RawSpanBatch::decode(&body.into()).unwrap().into_span(block_time, 0, 901).unwrap()
}

/// An unsigned number as span batches write it.
pub(crate) fn varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// A span of blocks without transactions, as it stands in a channel of a chain whose genesis is at
/// time zero. The first block changes the epoch of its parent if `parent_epoch` is another one.
pub(crate) fn encode_span(parent: B256, parent_epoch: u64, blocks: &[(u64, u64)]) -> Vec<u8> {
    let mut body = vec![1];
    varint(blocks[0].1, &mut body);
    let last = blocks.last().unwrap().0;
    varint(last, &mut body);
    body.extend_from_slice(&parent[..20]);
    body.extend_from_slice(&l1_ref(last).hash[..20]);
    varint(blocks.len() as u64, &mut body);
    let mut bits = vec![0u8; blocks.len().div_ceil(8)];
    let mut epoch = parent_epoch;
    for (i, block) in blocks.iter().enumerate() {
        if block.0 != epoch {
            let at = bits.len() - 1 - i / 8;
            bits[at] |= 1 << (i % 8);
        }
        epoch = block.0;
    }
    body.extend_from_slice(&bits);
    body.extend(blocks.iter().map(|_| 0));
    in_channel(&body)
}

/// A batch, version byte and body, as it stands in a channel.
pub(crate) fn in_channel(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    alloy_rlp::Encodable::encode(body, &mut out);
    out
}

/// Stages from the frame queue on, and what they need of a machine.
pub(crate) struct Rig {
    pub(crate) config: RollupConfig,
    pub(crate) pipeline: Pipeline,
    pub(crate) inbox: Inbox,
    pub(crate) dropped: VecDeque<Dropped>,
    channels: u8,
}

impl Rig {
    /// With all forks up to `fork` from genesis on, at L1 block `origin`, which is read.
    pub(crate) fn new(fork: Hardfork, origin: u64) -> Self {
        Self::with(config_at(fork), origin)
    }

    pub(crate) fn with(config: RollupConfig, origin: u64) -> Self {
        let pipeline = Pipeline::new(&config, l1_ref(origin), SystemConfig::default());
        Self { config, pipeline, inbox: Inbox::default(), dropped: VecDeque::new(), channels: 0 }
    }

    /// Moves on to an L1 block without batcher transactions.
    pub(crate) fn open(&mut self, origin: u64) {
        self.pipeline.traversal.open(l1_ref(origin), Arc::new(Vec::new()));
    }

    /// A channel in the origin, of batches as [`SingularBatch::encode_for_channel`] or
    /// [`encode_span`] write them.
    pub(crate) fn post(&mut self, batches: &[Vec<u8>]) {
        self.channels += 1;
        let data = compress_zlib(&batches.concat()).into();
        let id = ChannelId([self.channels; 16]);
        self.pipeline.queue_frame(Frame { id, number: 0, data, is_last: true });
    }

    pub(crate) fn parts(&mut self) -> (&mut Pipeline, Context<'_>) {
        let (config, inbox, dropped) = (&self.config, &mut self.inbox, &mut self.dropped);
        (&mut self.pipeline, Context { config, inbox, dropped })
    }

    /// Why batches were dropped since the last call.
    pub(crate) fn reasons(&mut self) -> Vec<DropReason> {
        let reason = |dropped| match dropped {
            Dropped::Batch { reason, .. } => Some(reason),
            _ => None,
        };
        self.dropped.drain(..).filter_map(reason).collect()
    }
}

//! A machine's surroundings: an L1 of made-up blocks, and an execution that accepts what it is told.
#![allow(clippy::unwrap_used)]

use alloc::vec;
use alloc::vec::Vec;

use alloy_consensus::{Header, SignableTransaction, TxEip1559, TxEip4844};
use alloy_primitives::{Address, B256, Bytes, Log, TxKind, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use opal_protocol::batcher_tx::encode_batcher_data;
use opal_protocol::compress::compress_zlib;
use opal_protocol::l1_info::{L1BlockInfo, L1InfoForm};
use opal_protocol::system_config::CONFIG_UPDATE;
use opal_protocol::{
    Block, ChannelId, DepositTransaction, Frame, PayloadAttributes, Receipt, SealedBlock, TxType,
};

use super::*;
use crate::test_utils::tx;

pub(super) fn key(byte: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).unwrap()
}

/// L1 from block 100 (time 1200) on, which is the epoch of the safe head (time 1210).
pub(super) struct World {
    pub(super) config: Arc<RollupConfig>,
    pub(super) l1: Vec<L1Block>,
}

#[derive(Default)]
pub(super) struct Run {
    /// Time and number of transactions of the blocks that were executed.
    pub(super) blocks: Vec<(u64, usize)>,
    pub(super) dropped: Vec<Dropped>,
    pub(super) end: Option<Step>,
}

impl World {
    pub(super) fn new(mut config: RollupConfig) -> Self {
        config.genesis.l2.number = 0;
        let header = Header { number: 100, timestamp: 1200, ..Header::default() };
        let first = l1_block(header, vec![], vec![]);
        Self { config: Arc::new(config), l1: vec![first] }
    }

    pub(super) fn mine(&mut self, transactions: Vec<TxEnvelope>, logs: Vec<Log>) {
        let parent = &self.l1.last().unwrap().header;
        let header = Header {
            number: parent.number + 1,
            parent_hash: parent.hash_slow(),
            timestamp: parent.timestamp + 12,
            ..Header::default()
        };
        self.l1.push(l1_block(header, transactions, logs));
    }

    pub(super) fn start(&self) -> DerivationStart {
        let system_config = SystemConfig {
            batcher_address: key(1).address(),
            gas_limit: 30_000_000,
            scalar: {
                let mut scalar = B256::ZERO;
                scalar[0] = 1;
                scalar
            },
            ..SystemConfig::default()
        };
        DerivationStart {
            safe_head: L2BlockRef {
                hash: B256::repeat_byte(0xaa),
                number: 500,
                timestamp: 1210,
                l1_origin: self.l1[0].reference.id(),
                sequence_number: 5,
                ..L2BlockRef::default()
            },
            safe_system_config: system_config,
            l1: self.l1[0].reference,
            l1_system_config: system_config,
        }
    }

    pub(super) fn machine(&self) -> Derivation {
        Derivation::new(self.config.clone(), self.start())
    }

    /// A channel with a row of batches on top of the safe head, each with so many transactions.
    pub(super) fn channel(&self, counts: &[usize]) -> Bytes {
        let DerivationStart { safe_head, .. } = self.start();
        let (mut parent, mut timestamp) = (safe_head.hash, safe_head.timestamp);
        let mut batches = Vec::new();
        for count in counts {
            timestamp += 2;
            let epoch = safe_head.l1_origin;
            let batch = SingularBatch {
                parent_hash: parent,
                epoch_num: epoch.number,
                epoch_hash: epoch.hash,
                timestamp,
                transactions: vec![tx(2); *count],
            };
            batches.extend(batch.encode_for_channel());
            parent = l2_hash(parent, timestamp, *count);
        }
        compress_zlib(&batches).into()
    }

    /// A batcher transaction with these frames of a channel (identifier, data, cut into so many
    /// pieces).
    pub(super) fn calldata(&self, key: &PrivateKeySigner, frames: &[Frame]) -> TxEnvelope {
        let to = TxKind::Call(self.config.batch_inbox_address);
        let input = encode_batcher_data(frames);
        let tx = TxEip1559 { chain_id: 900, to, input, ..TxEip1559::default() };
        let signature = key.sign_hash_sync(&tx.signature_hash()).unwrap();
        TxEnvelope::Eip1559(tx.into_signed(signature))
    }

    pub(super) fn blobs(&self, hashes: &[B256]) -> TxEnvelope {
        let tx = TxEip4844 {
            chain_id: 900,
            to: self.config.batch_inbox_address,
            blob_versioned_hashes: hashes.to_vec(),
            ..TxEip4844::default()
        };
        let signature = key(1).sign_hash_sync(&tx.signature_hash()).unwrap();
        TxEnvelope::Eip4844(tx.into_signed(signature))
    }

    pub(super) fn run(&self, machine: &mut Derivation) -> Run {
        self.run_with(machine, |_| true)
    }

    pub(super) fn run_with(
        &self,
        machine: &mut Derivation,
        accepts: impl Fn(&PayloadAttributes) -> bool,
    ) -> Run {
        let mut run = Run::default();
        loop {
            match machine.step() {
                Step::Need(Request::L1Block { number }) => {
                    let at = number as usize - 100;
                    let known = self.l1.get(at).cloned().map(Input::L1Block);
                    machine.provide(known.unwrap_or(Input::L1NotYet { number })).unwrap();
                }
                Step::Execute(given) if accepts(&given.attributes) => {
                    let (block, count) = execute(&given);
                    run.blocks.push((block.timestamp, count));
                    machine.executed(Executed::Valid(block)).unwrap();
                }
                Step::Execute(_) => machine.executed(Executed::Invalid).unwrap(),
                Step::Dropped(dropped) => run.dropped.push(dropped),
                Step::AdvancedOrigin(_) => {}
                end => {
                    run.end = Some(end);
                    return run;
                }
            }
        }
    }
}

pub(super) fn l1_block(header: Header, transactions: Vec<TxEnvelope>, logs: Vec<Log>) -> L1Block {
    let receipt = Receipt {
        tx_type: TxType::Eip1559,
        success: true,
        cumulative_gas_used: 0,
        logs,
        deposit_nonce: None,
        deposit_receipt_version: None,
    };
    L1Block {
        reference: L1BlockRef::from_header(header.hash_slow(), &header),
        header,
        receipts: Arc::new(vec![receipt]),
        transactions: Arc::new(transactions),
    }
}

/// The hash of an L2 block with so many transactions of its own.
pub(super) fn l2_hash(parent: B256, timestamp: u64, count: usize) -> B256 {
    keccak256([&parent[..], &timestamp.to_be_bytes(), &count.to_be_bytes()].concat())
}

pub(super) fn execute(given: &AttributesWithParent) -> (L2BlockRef, usize) {
    let AttributesWithParent { attributes, parent, l1_origin, .. } = given;
    let own = |tx: &&Bytes| tx.first() != Some(&0x7e);
    let count = attributes.transactions.iter().flatten().filter(own).count();
    let block = L2BlockRef {
        hash: l2_hash(parent.hash, attributes.timestamp, count),
        number: parent.number + 1,
        parent_hash: parent.hash,
        timestamp: attributes.timestamp,
        l1_origin: *l1_origin,
        sequence_number: parent.sequence_number + 1,
    };
    (block, count)
}

/// A channel in so many frames.
pub(super) fn frames(id: u8, data: &Bytes, count: usize) -> Vec<Frame> {
    let size = data.len().div_ceil(count);
    let frame = |(i, data): (usize, &[u8])| Frame {
        id: ChannelId([id; 16]),
        number: i as u16,
        data: Bytes::copy_from_slice(data),
        is_last: i + 1 == count,
    };
    let out: Vec<_> = data.chunks(size).enumerate().map(frame).collect();
    assert_eq!(out.len(), count);
    out
}

pub(super) fn batcher_log(config: &RollupConfig, batcher: Address) -> Log {
    let mut data = vec![0; 96];
    (data[31], data[63]) = (32, 32);
    data[76..].copy_from_slice(batcher.as_slice());
    let topics = vec![CONFIG_UPDATE, B256::ZERO, B256::ZERO];
    Log::new_unchecked(config.l1_system_config_address, topics, data.into())
}

pub(super) fn l2_block(world: &World, number: u64) -> SealedBlock {
    let timestamp = 210 + 2 * number;
    let form = L1InfoForm::of_block(&world.config, timestamp);
    let info = L1BlockInfo { form, ..L1BlockInfo::default() };
    let deposit = DepositTransaction { input: info.encode(), ..DepositTransaction::default() };
    let mut block = Block::default();
    (block.header.number, block.header.timestamp) = (number, timestamp);
    block.body.transactions = vec![deposit.into()];
    let hash = if number == 0 { world.config.genesis.l2.hash } else { B256::repeat_byte(1) };
    SealedBlock { hash, block: Arc::new(block) }
}

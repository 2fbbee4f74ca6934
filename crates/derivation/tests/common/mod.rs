//! An L1 in memory, a sequencer and a batcher, and a host that drives derivation over them.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::sync::Arc;

use alloy_consensus::{Header, SignableTransaction, TxEip1559, TxEip4844};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, Log, TxKind, U256, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use opal_derivation::{
    Derivation, DerivationStart, Dropped, EpochData, Executed, Input, L1Block, Request, Step,
    build_attributes,
};
use opal_protocol::batcher_tx::encode_batcher_data;
use opal_protocol::blob::{Blob, encode_blob};
use opal_protocol::l1_info::{L1BlockInfo, system_config_after};
use opal_protocol::{
    AttributesWithParent, BlockId, ChannelId, ChannelOut, Compression, Frame, Genesis, Hardfork,
    HardforkSchedule, L1BlockRef, L2BlockRef, PayloadAttributes, Receipt, RollupConfig,
    SingularBatch, SystemConfig, TxEnvelope, TxType,
};

pub const L1_BLOCK_TIME: u64 = 12;
pub const START_TIME: u64 = 1_000;

pub fn key(byte: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).unwrap()
}

/// A chain with all forks up to `newest` from genesis on.
pub fn config(newest: Hardfork) -> RollupConfig {
    let scalar = {
        let mut word = B256::ZERO;
        (word[0], word[31]) = (1, 7);
        word
    };
    RollupConfig {
        genesis: Genesis {
            l1: BlockId::default(),
            l2: BlockId { hash: B256::repeat_byte(0x22), number: 0 },
            l2_time: START_TIME,
            system_config: SystemConfig {
                batcher_address: key(1).address(),
                gas_limit: 30_000_000,
                scalar,
                ..SystemConfig::default()
            },
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
        protocol_versions_address: Address::ZERO,
        chain_op_config: Default::default(),
    }
}

/// An L2 block of the sequencer or of the verifier: execution is replaced by hashing.
#[derive(Clone, Debug, PartialEq)]
pub struct L2Block {
    pub reference: L2BlockRef,
    pub attributes: PayloadAttributes,
}

/// "Executes" attributes: the hash covers all that they say.
pub fn execute(parent: &L2BlockRef, attributes: &PayloadAttributes) -> L2BlockRef {
    let transactions = attributes.transactions.as_ref().unwrap();
    let TxEnvelope::Deposit(first) =
        TxEnvelope::decode_2718(&mut transactions[0].as_ref()).unwrap()
    else {
        panic!("block does not begin with a deposit");
    };
    let info = L1BlockInfo::decode(&first.input).unwrap();
    L2BlockRef {
        hash: keccak256(format!("{}{attributes:?}", parent.hash)),
        number: parent.number + 1,
        parent_hash: parent.hash,
        timestamp: attributes.timestamp,
        l1_origin: info.l1_origin(),
        sequence_number: info.sequence_number,
    }
}

pub struct World {
    pub config: Arc<RollupConfig>,
    pub l1: Vec<L1Block>,
    pub blobs: HashMap<B256, Box<Blob>>,
    /// The sequencer's chain; the first entry is genesis.
    pub l2: Vec<L2Block>,
    sequencer_config: SystemConfig,
    nonce: u64,
    channels: u8,
}

impl World {
    pub fn new(mut config: RollupConfig) -> Self {
        let header = Header { timestamp: START_TIME, gas_limit: 30_000_000, ..Header::default() };
        let genesis = block(header, Vec::new(), Vec::new());
        config.genesis.l1 = genesis.reference.id();
        let reference = L2BlockRef {
            hash: config.genesis.l2.hash,
            timestamp: config.genesis.l2_time,
            l1_origin: config.genesis.l1,
            ..L2BlockRef::default()
        };
        let system_config = config.genesis.system_config;
        Self {
            config: Arc::new(config),
            l1: vec![genesis],
            blobs: HashMap::new(),
            l2: vec![L2Block { reference, attributes: PayloadAttributes::default() }],
            sequencer_config: system_config,
            nonce: 0,
            channels: 0,
        }
    }

    pub fn l1_head(&self) -> &L1Block {
        self.l1.last().unwrap()
    }

    pub fn l2_head(&self) -> L2BlockRef {
        self.l2.last().unwrap().reference
    }

    /// Adds an L1 block with these transactions and logs.
    pub fn mine(&mut self, transactions: Vec<TxEnvelope>, logs: Vec<Log>) {
        let parent = self.l1_head();
        let time = parent.header.timestamp + L1_BLOCK_TIME;
        let header = Header {
            parent_hash: parent.reference.hash,
            number: parent.header.number + 1,
            timestamp: time,
            mix_hash: keccak256(time.to_be_bytes()),
            base_fee_per_gas: Some(7),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::repeat_byte(9)),
            extra_data: Bytes::copy_from_slice(&self.nonce.to_be_bytes()),
            ..Header::default()
        };
        self.l1.push(block(header, transactions, logs));
    }

    /// Adds an L1 block without anything for L2.
    pub fn mine_empty(&mut self, count: usize) {
        for _ in 0..count {
            self.mine(Vec::new(), Vec::new());
        }
    }

    /// The sequencer builds a block with the newest L1 origin that its time allows.
    pub fn sequence(&mut self, transactions: Vec<Bytes>) -> L2Block {
        let parent = self.l2_head();
        let time = parent.timestamp + self.config.block_time;
        let next = self.l1.get(parent.l1_origin.number as usize + 1);
        let origin = match next {
            Some(next) if next.reference.timestamp <= time => next,
            _ => &self.l1[parent.l1_origin.number as usize],
        };
        let epoch = EpochData::new(
            &self.config,
            origin.reference.hash,
            origin.header.clone(),
            &origin.receipts,
        );
        let mut used = self.sequencer_config;
        if origin.reference.number != parent.l1_origin.number {
            epoch.update_system_config(&mut used, &self.config);
        }
        let attributes =
            build_attributes(&self.config, &parent, &self.sequencer_config, &epoch, &transactions)
                .unwrap();
        self.sequencer_config = system_config_after(&self.config, &used, time);
        let block = L2Block { reference: execute(&parent, &attributes), attributes };
        self.l2.push(block.clone());
        block
    }

    /// Builds blocks up to, and not including, the time of the next L1 block.
    pub fn sequence_to_l1_head(&mut self) -> Vec<L2Block> {
        let mut out = Vec::new();
        let end = self.l1_head().reference.timestamp + L1_BLOCK_TIME;
        while self.l2_head().timestamp + self.config.block_time < end {
            let number = self.l2_head().number;
            out.push(self.sequence(vec![user_tx(number)]));
        }
        out
    }

    /// Makes these blocks after genesis the sequencer's chain. The configuration must not have
    /// changed on L1.
    pub fn adopt(&mut self, blocks: &[L2Block]) {
        self.l2.truncate(1);
        self.l2.extend_from_slice(blocks);
        self.sequencer_config = self.config.genesis.system_config;
        if let Some(last) = blocks.last() {
            let time = last.reference.timestamp;
            self.sequencer_config = system_config_after(&self.config, &self.sequencer_config, time);
        }
    }

    /// A channel with the batches of these blocks, in frames of at most this size.
    pub fn channel(&mut self, blocks: &[L2Block], frame_size: usize) -> Vec<Frame> {
        let time = self.l1_head().reference.timestamp + L1_BLOCK_TIME;
        let compression = if self.config.is_active(Hardfork::Fjord, time) {
            Compression::Brotli
        } else {
            Compression::Zlib
        };
        self.channels += 1;
        let id = ChannelId([self.channels; 16]);
        let limit = self.config.max_rlp_bytes_per_channel(time);
        let mut out = ChannelOut::new(id, compression, limit);
        for block in blocks {
            out.add(&batch(block)).unwrap();
        }
        out.frames(frame_size).unwrap()
    }

    fn sign<T: SignableTransaction<alloy_primitives::Signature>>(
        &mut self,
        key: &PrivateKeySigner,
        tx: T,
    ) -> alloy_consensus::Signed<T> {
        let signature = key.sign_hash_sync(&tx.signature_hash()).unwrap();
        self.nonce += 1;
        tx.into_signed(signature)
    }

    /// A batcher transaction that carries frames in its calldata.
    pub fn calldata_tx(&mut self, key: &PrivateKeySigner, frames: &[Frame]) -> TxEnvelope {
        let tx = TxEip1559 {
            chain_id: 900,
            nonce: self.nonce,
            to: TxKind::Call(self.config.batch_inbox_address),
            input: encode_batcher_data(frames),
            ..TxEip1559::default()
        };
        TxEnvelope::Eip1559(self.sign(key, tx))
    }

    /// A batcher transaction that carries each frame in a blob. `calldata` does not count.
    pub fn blob_tx(&mut self, key: &PrivateKeySigner, frames: &[Frame]) -> TxEnvelope {
        let mut hashes = Vec::new();
        for frame in frames {
            let data = encode_batcher_data(core::slice::from_ref(frame));
            let hash = keccak256(&data);
            self.blobs.insert(hash, encode_blob(&data).unwrap());
            hashes.push(hash);
        }
        let tx = TxEip4844 {
            chain_id: 900,
            nonce: self.nonce,
            to: self.config.batch_inbox_address,
            blob_versioned_hashes: hashes,
            input: Bytes::from_static(b"\x00not a frame"),
            ..TxEip4844::default()
        };
        TxEnvelope::Eip4844(self.sign(key, tx))
    }

    /// Sequences up to the L1 head, and mines an L1 block with a channel of all of it.
    pub fn sequence_and_post(&mut self) -> Vec<L2Block> {
        let blocks = self.sequence_to_l1_head();
        let frames = self.channel(&blocks, 100_000);
        let tx = self.calldata_tx(&key(1), &frames);
        self.mine(vec![tx], Vec::new());
        blocks
    }

    pub fn start(&self) -> DerivationStart {
        let system_config = self.config.genesis.system_config;
        DerivationStart {
            safe_head: self.l2[0].reference,
            safe_system_config: system_config,
            l1: self.l1[0].reference,
            l1_system_config: system_config,
        }
    }

    pub fn derivation(&self) -> Derivation {
        Derivation::new(self.config.clone(), self.start())
    }

    pub fn answer(&self, request: &Request) -> Input {
        match request {
            Request::L1Block { number } => match self.l1.get(*number as usize) {
                Some(block) => Input::L1Block(block.clone()),
                None => Input::L1NotYet { number: *number },
            },
            Request::Blobs { block, hashes } => Input::Blobs {
                block: block.id(),
                blobs: hashes.iter().map(|hash| self.blobs[hash].clone()).collect(),
            },
            Request::L2Block { number } => panic!("block {number} was asked for"),
        }
    }

    /// Drives a machine until it is idle.
    pub fn run(&self, derivation: &mut Derivation) -> Run {
        self.run_with(derivation, |_| true)
    }

    /// The same, with an execution that refuses some attributes.
    pub fn run_with(
        &self,
        derivation: &mut Derivation,
        accepts: impl Fn(&PayloadAttributes) -> bool,
    ) -> Run {
        let mut run = Run::default();
        loop {
            match derivation.step() {
                Step::Need(request) => derivation.provide(self.answer(&request)).unwrap(),
                Step::Execute(attributes) => {
                    if accepts(&attributes.attributes) {
                        let block = execute(&attributes.parent, &attributes.attributes);
                        derivation.executed(Executed::Valid(block)).unwrap();
                        run.blocks.push(L2Block {
                            reference: block,
                            attributes: attributes.attributes.clone(),
                        });
                        run.executed.push(*attributes);
                    } else {
                        derivation.executed(Executed::Invalid).unwrap();
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
}

#[derive(Default, Debug)]
pub struct Run {
    pub blocks: Vec<L2Block>,
    pub executed: Vec<AttributesWithParent>,
    pub origins: Vec<L1BlockRef>,
    pub dropped: Vec<Dropped>,
    pub end: Option<Step>,
}

impl Run {
    pub fn references(&self) -> Vec<L2BlockRef> {
        self.blocks.iter().map(|block| block.reference).collect()
    }
}

pub fn references(blocks: &[L2Block]) -> Vec<L2BlockRef> {
    blocks.iter().map(|block| block.reference).collect()
}

/// The batch of a sequencer's block.
pub fn batch(block: &L2Block) -> SingularBatch {
    let reference = block.reference;
    let transactions = block.attributes.transactions.iter().flatten();
    SingularBatch {
        parent_hash: reference.parent_hash,
        epoch_num: reference.l1_origin.number,
        epoch_hash: reference.l1_origin.hash,
        timestamp: reference.timestamp,
        transactions: transactions.filter(|tx| tx[0] != 0x7e).cloned().collect(),
    }
}

/// Bytes in the place of a transaction: derivation does not look into them.
pub fn user_tx(seed: u64) -> Bytes {
    let mut tx = vec![2];
    tx.extend_from_slice(keccak256(seed.to_be_bytes()).as_slice());
    tx.into()
}

/// A `ConfigUpdate` log.
pub fn config_log(config: &RollupConfig, kind: u8, word: U256) -> Log {
    let mut data = vec![0; 96];
    (data[31], data[63]) = (32, 32);
    data[64..].copy_from_slice(&word.to_be_bytes::<32>());
    let topics =
        vec![opal_protocol::system_config::CONFIG_UPDATE, B256::ZERO, B256::with_last_byte(kind)];
    Log::new_unchecked(config.l1_system_config_address, topics, data.into())
}

fn block(header: Header, transactions: Vec<TxEnvelope>, logs: Vec<Log>) -> L1Block {
    let reference = L1BlockRef::from_header(header.hash_slow(), &header);
    let receipt = Receipt {
        tx_type: TxType::Eip1559,
        success: true,
        cumulative_gas_used: 0,
        logs,
        deposit_nonce: None,
        deposit_receipt_version: None,
    };
    L1Block {
        reference,
        header,
        receipts: Arc::new(vec![receipt]),
        transactions: Arc::new(transactions),
    }
}

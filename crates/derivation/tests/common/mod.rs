//! An L1 in memory, a sequencer and a batcher over it, and a verifier that derives from it.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

pub mod schedules;
pub mod verifier;

use std::collections::HashMap;
use std::sync::Arc;

use alloy_consensus::constants::EMPTY_ROOT_HASH;
use alloy_consensus::proofs::calculate_transaction_root;
use alloy_consensus::{
    BlockBody, Header, SignableTransaction, Signed, TxEip1559, TxEip2930, TxEip4844, TxEip7702,
    TxLegacy,
};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, Log, Signature, TxKind, U256, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use opal_derivation::{DerivationStart, EpochData, L1Block, build_attributes};
use opal_protocol::batcher_tx::encode_batcher_data;
use opal_protocol::blob::{Blob, encode_blob};
use opal_protocol::compress::{compress_brotli, compress_zlib};
use opal_protocol::extra_data::encode_extra_data;
use opal_protocol::frame::FRAME_OVERHEAD;
use opal_protocol::span_batch::SpanBuilder;
use opal_protocol::upgrades::{UpgradeBundle, UpgradeTransaction};
use opal_protocol::{
    Block, BlockId, ChannelId, Frame, Genesis, Hardfork, HardforkSchedule, L1BlockRef, L2BlockRef,
    PayloadAttributes, Receipt, RollupConfig, SealedBlock, SingularBatch, SystemConfig, TxEnvelope,
    TxType, l2_block_ref, system_config_of,
};

pub use verifier::{Run, Verifier};

pub const L1_BLOCK_TIME: u64 = 12;
pub const START_TIME: u64 = 1_000;
/// A frame size that holds any channel of the stories.
pub const WHOLE: usize = 100_000;

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
            // The world sets both hashes.
            l1: BlockId::default(),
            l2: BlockId::default(),
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
        chain_op_config: Default::default(),
        ..RollupConfig::default()
    }
}

/// Gives a chain made-up bundles of its own for all upgrades that it schedules after genesis.
pub fn give_bundles(config: &mut RollupConfig) {
    let transaction = |fork: Hardfork, i: u8| UpgradeTransaction {
        data: Bytes::from(vec![i; 40]),
        from: Address::repeat_byte(i),
        gas_limit: 1_000_000,
        // Before Karst the intents have the fork's name themselves.
        intent: format!("{}{}: Step {i}", fork.name()[..1].to_uppercase(), &fork.name()[1..]),
        to: (i != 1).then(|| Address::repeat_byte(0x42)),
    };
    let bundles: Vec<UpgradeBundle> = config
        .upgrading_forks()
        .map(|fork| {
            let transactions = vec![transaction(fork, 1), transaction(fork, 2)];
            UpgradeBundle::from_transactions(fork, transactions).unwrap()
        })
        .collect();
    config.upgrade_bundles =
        bundles.iter().map(|bundle| (bundle.fork(), bundle.sha256())).collect();
    config.upgrades = bundles.into_iter().collect();
}

/// An L2 block of the sequencer or of the verifier.
#[derive(Clone, Debug, PartialEq)]
pub struct L2Block {
    pub reference: L2BlockRef,
    pub attributes: PayloadAttributes,
    pub sealed: SealedBlock,
}

/// "Executes" attributes: nothing is run, but the block's hash covers all that they say. `None` if
/// a transaction is none.
pub fn execute(
    config: &RollupConfig,
    parent: &L2BlockRef,
    attributes: &PayloadAttributes,
) -> Option<L2Block> {
    let raw = attributes.transactions.iter().flatten();
    let transactions: Result<Vec<TxEnvelope>, _> =
        raw.map(|raw| TxEnvelope::decode_2718_exact(raw)).collect();
    let transactions = transactions.ok()?;
    let header = Header {
        parent_hash: parent.hash,
        number: parent.number + 1,
        timestamp: attributes.timestamp,
        mix_hash: attributes.prev_randao,
        beneficiary: attributes.suggested_fee_recipient,
        gas_limit: attributes.gas_limit.unwrap(),
        transactions_root: calculate_transaction_root(&transactions),
        base_fee_per_gas: Some(1),
        withdrawals_root: attributes.withdrawals.as_ref().map(|_| EMPTY_ROOT_HASH),
        blob_gas_used: attributes.parent_beacon_block_root.map(|_| 0),
        excess_blob_gas: attributes.parent_beacon_block_root.map(|_| 0),
        parent_beacon_block_root: attributes.parent_beacon_block_root,
        extra_data: encode_extra_data(config, attributes.eip1559_params, attributes.min_base_fee),
        ..Header::default()
    };
    let withdrawals = header.withdrawals_root.map(|_| Default::default());
    let body = BlockBody { transactions, ommers: Vec::new(), withdrawals };
    let sealed = SealedBlock::new(Block { header, body });
    let reference = l2_block_ref(config, sealed.hash, &sealed.block).unwrap();
    Some(L2Block { reference, attributes: attributes.clone(), sealed })
}

/// What a channel holds.
#[derive(Clone, Debug)]
pub enum Content {
    Singular(SingularBatch),
    /// Blocks of one span, the first of which has a parent with this L1 origin.
    Span(u64, Vec<SingularBatch>),
    /// Anything.
    Raw(Vec<u8>),
}

/// A batch each.
pub fn singular(blocks: &[L2Block]) -> Vec<Content> {
    blocks.iter().map(|block| Content::Singular(batch(block))).collect()
}

pub struct World {
    pub config: Arc<RollupConfig>,
    pub l1: Vec<L1Block>,
    pub blobs: HashMap<B256, Box<Blob>>,
    /// The sequencer's chain; the first entry is genesis.
    pub l2: Vec<L2Block>,
    /// Seconds to the next L1 block.
    pub l1_block_time: u64,
    /// From when on L1 has Prague's rules.
    pub prague_time: Option<u64>,
    /// Most schedules in which a verifier's story is run again when it ends.
    pub schedules: usize,
    /// Makes L1 blocks of the same number differ after a reorg.
    branch: u64,
    nonce: u64,
    channels: u16,
}

impl World {
    pub fn new(mut config: RollupConfig) -> Self {
        let header = Header { timestamp: START_TIME, gas_limit: 30_000_000, ..Header::default() };
        let genesis = block(header, Vec::new(), Vec::new());
        config.genesis.l1 = genesis.reference.id();
        let header = Header {
            timestamp: config.genesis.l2_time,
            gas_limit: config.genesis.system_config.gas_limit,
            extra_data: Bytes::from_static(b"genesis"),
            ..Header::default()
        };
        let sealed = SealedBlock::new(Block { header, body: BlockBody::default() });
        config.genesis.l2 = sealed.id();
        let reference = l2_block_ref(&config, sealed.hash, &sealed.block).unwrap();
        let attributes = PayloadAttributes::default();
        Self {
            config: Arc::new(config),
            l1: vec![genesis],
            blobs: HashMap::new(),
            l2: vec![L2Block { reference, attributes, sealed }],
            l1_block_time: L1_BLOCK_TIME,
            prague_time: None,
            schedules: 200,
            branch: 0,
            nonce: 0,
            channels: 0,
        }
    }

    pub fn l1_head(&self) -> &L1Block {
        self.l1.last().unwrap()
    }

    /// Time of the L1 block that will be mined next.
    pub fn next_l1_time(&self) -> u64 {
        self.l1_head().reference.timestamp + self.l1_block_time
    }

    pub fn l2_head(&self) -> L2BlockRef {
        self.l2.last().unwrap().reference
    }

    /// Adds an L1 block with these transactions and logs.
    pub fn mine(&mut self, transactions: Vec<TxEnvelope>, logs: Vec<Log>) {
        let time = self.next_l1_time();
        let parent = self.l1_head();
        let number = parent.header.number + 1;
        let seed = keccak256([time.to_be_bytes(), self.branch.to_be_bytes()].concat());
        let header = Header {
            parent_hash: parent.reference.hash,
            number,
            timestamp: time,
            mix_hash: seed,
            base_fee_per_gas: Some(7 + number),
            withdrawals_root: Some(EMPTY_ROOT_HASH),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(u64::from(seed[0]) << 17),
            parent_beacon_block_root: Some(keccak256(seed)),
            requests_hash: self.prague_time.filter(|prague| time >= *prague).map(|_| B256::ZERO),
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

    /// Takes away the newest L1 blocks, and the L2 blocks that came of them. Those that are mined
    /// next differ.
    pub fn reorg_l1(&mut self, depth: usize) {
        self.l1.truncate(self.l1.len() - depth);
        self.branch += 1;
        let head = self.l1_head().reference.number;
        self.l2.retain(|block| block.reference.l1_origin.number <= head);
    }

    /// What the block after this one starts from.
    pub fn system_config_at(&self, block: &L2Block) -> SystemConfig {
        system_config_of(&self.config, block.sealed.hash, &block.sealed.block).unwrap()
    }

    /// The newest L1 origin that the time of the next L2 block allows.
    fn newest_origin(&self) -> u64 {
        let parent = self.l2_head();
        let time = parent.timestamp + self.config.block_time;
        let next = parent.l1_origin.number + 1;
        match self.l1.get(next as usize) {
            Some(block) if block.reference.timestamp <= time => next,
            _ => next - 1,
        }
    }

    /// The sequencer builds a block with the newest L1 origin that its time allows. Where a fork
    /// allows no transactions, they are left out.
    pub fn sequence(&mut self, transactions: Vec<Bytes>) -> L2Block {
        self.sequence_at(self.newest_origin(), transactions)
    }

    /// The same with this L1 origin.
    pub fn sequence_at(&mut self, origin: u64, transactions: Vec<Bytes>) -> L2Block {
        let parent = self.l2.last().unwrap();
        let time = parent.reference.timestamp + self.config.block_time;
        let schedule = &self.config.schedule;
        let upgrades = schedule.upgrade_at(parent.reference.timestamp, time).is_some();
        let transactions = if upgrades { Vec::new() } else { transactions };
        let origin = &self.l1[origin as usize];
        let epoch = EpochData::new(
            &self.config,
            origin.reference.hash,
            origin.header.clone(),
            &origin.receipts,
        );
        let system_config = self.system_config_at(parent);
        let parent = parent.reference;
        let attributes =
            build_attributes(&self.config, &parent, &system_config, &epoch, &transactions).unwrap();
        let block = execute(&self.config, &parent, &attributes).unwrap();
        self.l2.push(block.clone());
        block
    }

    /// Builds blocks up to, and not including, the time of the next L1 block.
    pub fn sequence_to_l1_head(&mut self) -> Vec<L2Block> {
        let mut out = Vec::new();
        let end = self.next_l1_time();
        while self.l2_head().timestamp + self.config.block_time < end {
            let number = self.l2_head().number;
            out.push(self.sequence(vec![user_tx(number)]));
        }
        out
    }

    /// Makes the chain that a verifier derived the sequencer's.
    pub fn adopt(&mut self, verifier: &Verifier) {
        self.l2 = verifier.blocks();
    }

    /// A channel of singular batches of these blocks, in frames of at most this size.
    pub fn channel(&mut self, blocks: &[L2Block], frame_size: usize) -> Vec<Frame> {
        self.channel_of(&singular(blocks), frame_size)
    }

    /// A channel of one span batch.
    pub fn span_channel(&mut self, blocks: &[L2Block], frame_size: usize) -> Vec<Frame> {
        let span = self.span(blocks);
        self.channel_of(&[span], frame_size)
    }

    /// A span batch of these blocks of the sequencer's chain.
    pub fn span(&self, blocks: &[L2Block]) -> Content {
        let number = blocks[0].reference.number;
        let parent_origin = self.l2[number as usize - 1].reference.l1_origin.number;
        Content::Span(parent_origin, blocks.iter().map(batch).collect())
    }

    /// A channel of anything, compressed as the next L1 block allows.
    pub fn channel_of(&mut self, content: &[Content], frame_size: usize) -> Vec<Frame> {
        let brotli = self.config.is_active(Hardfork::Fjord, self.next_l1_time());
        self.channel_with(content, frame_size, brotli)
    }

    /// The same with this compression.
    pub fn channel_with(
        &mut self,
        content: &[Content],
        frame_size: usize,
        brotli: bool,
    ) -> Vec<Frame> {
        let mut data = Vec::new();
        for content in content {
            data.extend(match content {
                Content::Singular(batch) => batch.encode_for_channel(),
                Content::Span(parent_origin, batches) => {
                    let mut span = SpanBuilder::new((&*self.config).into(), *parent_origin);
                    batches.iter().for_each(|batch| span.push(batch).unwrap());
                    span.encode_for_channel().unwrap()
                }
                Content::Raw(raw) => raw.clone(),
            });
        }
        let compressed = if brotli {
            [vec![1], compress_brotli(&data).unwrap()].concat()
        } else {
            compress_zlib(&data)
        };
        self.frames(&compressed.into(), frame_size)
    }

    /// A channel of these bytes.
    pub fn frames(&mut self, channel: &Bytes, frame_size: usize) -> Vec<Frame> {
        self.channels += 1;
        let mut id = [0; 16];
        id[..2].copy_from_slice(&self.channels.to_be_bytes());
        let room = frame_size - FRAME_OVERHEAD;
        let count = channel.len().div_ceil(room).max(1);
        let data = |i| channel.slice(i * room..channel.len().min((i + 1) * room));
        let frame = |i| Frame {
            id: ChannelId(id),
            number: i as u16,
            data: data(i),
            is_last: i + 1 == count,
        };
        (0..count).map(frame).collect()
    }

    fn sign<T: SignableTransaction<Signature>>(
        &mut self,
        key: &PrivateKeySigner,
        tx: T,
    ) -> Signed<T> {
        let signature = key.sign_hash_sync(&tx.signature_hash()).unwrap();
        self.nonce += 1;
        tx.into_signed(signature)
    }

    /// A batcher transaction that carries frames in its calldata.
    pub fn calldata_tx(&mut self, key: &PrivateKeySigner, frames: &[Frame]) -> TxEnvelope {
        self.inbox_tx(key, encode_batcher_data(frames))
    }

    /// A transaction to the batch inbox with any calldata.
    pub fn inbox_tx(&mut self, key: &PrivateKeySigner, input: Bytes) -> TxEnvelope {
        let tx = TxEip1559 {
            chain_id: 900,
            nonce: self.nonce,
            to: TxKind::Call(self.config.batch_inbox_address),
            input,
            ..TxEip1559::default()
        };
        TxEnvelope::Eip1559(self.sign(key, tx))
    }

    /// A set-code transaction to the batch inbox, which never counts.
    pub fn set_code_tx(&mut self, key: &PrivateKeySigner, frames: &[Frame]) -> TxEnvelope {
        let tx = TxEip7702 {
            chain_id: 900,
            nonce: self.nonce,
            to: self.config.batch_inbox_address,
            input: encode_batcher_data(frames),
            ..TxEip7702::default()
        };
        TxEnvelope::Eip7702(self.sign(key, tx))
    }

    /// A batcher transaction that carries each frame in a blob of its own. Its calldata is no
    /// frame.
    pub fn blob_tx(&mut self, key: &PrivateKeySigner, frames: &[Frame]) -> TxEnvelope {
        let input = Bytes::from_static(b"\x00not a frame");
        self.blob_tx_with(key, frames, input)
    }

    /// The same with this calldata.
    pub fn blob_tx_with(
        &mut self,
        key: &PrivateKeySigner,
        frames: &[Frame],
        input: Bytes,
    ) -> TxEnvelope {
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
            input,
            ..TxEip4844::default()
        };
        TxEnvelope::Eip4844(self.sign(key, tx))
    }

    /// Mines an L1 block with these frames in calldata of the usual batcher.
    pub fn post(&mut self, frames: &[Frame]) {
        let tx = self.calldata_tx(&key(1), frames);
        self.mine(vec![tx], Vec::new());
    }

    /// Sequences up to the L1 head, and mines an L1 block with a channel of all of it.
    pub fn sequence_and_post(&mut self) -> Vec<L2Block> {
        let blocks = self.sequence_to_l1_head();
        let frames = self.channel(&blocks, WHOLE);
        self.post(&frames);
        blocks
    }

    /// The same, the channel being one span batch.
    pub fn sequence_and_post_span(&mut self) -> Vec<L2Block> {
        let blocks = self.sequence_to_l1_head();
        let frames = self.span_channel(&blocks, WHOLE);
        self.post(&frames);
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

    /// A verifier that begins at genesis.
    pub fn verifier(&self) -> Verifier {
        Verifier::new(self)
    }

    /// What a verifier that begins at genesis derives.
    pub fn derive(&self) -> Run {
        self.verifier().run(self)
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

/// A user's transaction, of one of the types that all forks know. Its signature is made up.
pub fn user_tx(seed: u64) -> Bytes {
    let word = U256::from_be_bytes(keccak256(seed.to_be_bytes()).0) >> 1;
    let signature = Signature::new(word, word >> 3, seed.is_multiple_of(2));
    let to = TxKind::Call(Address::repeat_byte(seed as u8));
    let input = Bytes::copy_from_slice(&word.to_be_bytes::<32>());
    let (nonce, gas_limit, chain_id) = (seed, 21_000 + seed, 901);
    let tx = match seed % 4 {
        0 => TxEnvelope::Legacy(Signed::new_unhashed(
            TxLegacy { chain_id: Some(901), nonce, gas_limit, to, input, ..TxLegacy::default() },
            signature,
        )),
        1 => TxEnvelope::Eip2930(Signed::new_unhashed(
            TxEip2930 { chain_id, nonce, gas_limit, to, input, ..TxEip2930::default() },
            signature,
        )),
        2 => TxEnvelope::Legacy(Signed::new_unhashed(
            TxLegacy { chain_id: None, nonce, gas_limit, input, ..TxLegacy::default() },
            signature,
        )),
        _ => TxEnvelope::Eip1559(Signed::new_unhashed(
            TxEip1559 { chain_id, nonce, gas_limit, to, input, ..TxEip1559::default() },
            signature,
        )),
    };
    tx.encoded_2718().into()
}

/// A user's set-code transaction.
pub fn user_set_code_tx(seed: u64) -> Bytes {
    let tx = TxEip7702 { chain_id: 901, nonce: seed, ..TxEip7702::default() };
    let signature = Signature::new(U256::from(seed), U256::from(1), false);
    TxEnvelope::Eip7702(Signed::new_unhashed(tx, signature)).encoded_2718().into()
}

/// A `ConfigUpdate` log.
pub fn config_log(config: &RollupConfig, kind: u8, word: U256) -> Log {
    config_log_of(config, kind, &[word])
}

/// The same with several words.
pub fn config_log_of(config: &RollupConfig, kind: u8, words: &[U256]) -> Log {
    let mut data = vec![0; 64];
    (data[31], data[63]) = (32, 32 * words.len() as u8);
    data.extend(words.iter().flat_map(|word| word.to_be_bytes::<32>()));
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

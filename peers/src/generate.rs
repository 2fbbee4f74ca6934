//! Batches, channels and L1 chains made from a seed, and an L1 made around a real channel.

use std::collections::HashMap;
use std::sync::Arc;

use alloy_consensus::{
    Header, SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy,
};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use opal_derivation::{DerivationStart, L1Block};
use opal_protocol::batcher_tx::encode_batcher_data;
use opal_protocol::blob::{Blob, MAX_BLOB_DATA, encode_blob};
use opal_protocol::compress::{BROTLI_VERSION, compress_brotli, compress_zlib};
use opal_protocol::deposit::encode_deposit_log;
use opal_protocol::frame::FRAME_OVERHEAD;
use opal_protocol::{
    AttributesWithParent, Batch, BlockId, ChannelId, DepositTransaction, Frame, Genesis, Hardfork,
    L1BlockRef, L2BlockRef, Receipt, RollupConfig, SingularBatch, SystemConfig, TxEnvelope, TxType,
};

use crate::scenario::Scenario;

/// A small generator of numbers (SplitMix64): the same seed gives the same numbers everywhere.
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "not an iterator: it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// 32 bytes.
    pub fn word(&mut self) -> B256 {
        let mut out = B256::ZERO;
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes());
        }
        out
    }

    /// Bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// Makes transactions that look like those of a busy chain: a few contracts, calldata of words
/// that are mostly small numbers or known addresses.
#[derive(Clone, Debug)]
pub struct Transactions {
    rng: Rng,
    chain_id: u64,
    known: Vec<Address>,
}

impl Transactions {
    /// For this chain.
    pub fn new(seed: u64, chain_id: u64) -> Self {
        let mut rng = Rng(seed);
        let known = (0..400).map(|_| Address::from_slice(&rng.word()[12..])).collect();
        Self { rng, chain_id, known }
    }

    fn known(&mut self) -> Address {
        // Some are called far more often than others.
        let most = 1 + self.rng.below(self.known.len() as u64);
        self.known[self.rng.below(most) as usize]
    }

    fn calldata(&mut self) -> Bytes {
        let words = match self.rng.below(10) {
            0 | 1 => return Bytes::new(),
            2..=7 => 2 + self.rng.below(6),
            8 => 8 + self.rng.below(24),
            _ => 32 + self.rng.below(60),
        };
        let mut out = self.known()[..4].to_vec();
        for _ in 0..words {
            let word = match self.rng.below(5) {
                0 => self.known().into_word(),
                1 | 2 => B256::from(U256::from(self.rng.next() >> 40)),
                3 => B256::from(U256::from(self.rng.next())),
                _ => self.rng.word(),
            };
            out.extend_from_slice(word.as_slice());
        }
        out.into()
    }

    fn access_list(&mut self) -> AccessList {
        let count = self.rng.below(4);
        let item = |_| {
            let storage_keys = (0..self.rng.below(4)).map(|_| self.rng.word()).collect();
            AccessListItem { address: self.known(), storage_keys }
        };
        AccessList((0..count).map(item).collect())
    }

    fn signature(&mut self) -> Signature {
        let number = |word: B256| U256::from_be_bytes(word.0) >> 1;
        Signature::new(number(self.rng.word()), number(self.rng.word()), self.rng.below(2) == 1)
    }

    /// A transaction in its EIP-2718 encoding, its signature made up. Three in four are of type 2;
    /// `set_code` lets some be of type 4.
    pub fn next(&mut self, set_code: bool) -> Bytes {
        let chain_id = self.chain_id;
        let nonce = self.rng.below(5000);
        let gas_limit = 21_000 + self.rng.below(400_000);
        let input = self.calldata();
        let value = match self.rng.below(3) {
            0 => U256::from(self.rng.next()),
            _ => U256::ZERO,
        };
        let target = self.known();
        let to = if self.rng.below(100) == 0 { TxKind::Create } else { TxKind::Call(target) };
        let max_fee_per_gas = 1_000_000 + u128::from(self.rng.below(1_000_000));
        let max_priority_fee_per_gas = u128::from(self.rng.below(1_000_000));
        let signature = self.signature();
        let kind = self.rng.below(100);
        let tx = if set_code && kind < 5 {
            let authorization_list = (0..=self.rng.below(3))
                .map(|_| {
                    let authorization = Authorization {
                        chain_id: U256::from(chain_id),
                        address: self.known(),
                        nonce: self.rng.below(100),
                    };
                    let (r, s) = (self.rng.word(), self.rng.word());
                    SignedAuthorization::new_unchecked(
                        authorization,
                        (self.rng.below(2)) as u8,
                        U256::from_be_bytes(r.0),
                        U256::from_be_bytes(s.0),
                    )
                })
                .collect();
            let access_list = self.access_list();
            TxEnvelope::Eip7702(
                TxEip7702 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to: target,
                    value,
                    access_list,
                    authorization_list,
                    input,
                }
                .into_signed(signature),
            )
        } else if kind < 75 {
            let access_list = AccessList::default();
            TxEnvelope::Eip1559(
                TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to,
                    value,
                    access_list,
                    input,
                }
                .into_signed(signature),
            )
        } else if kind < 80 {
            let access_list = self.access_list();
            TxEnvelope::Eip2930(
                TxEip2930 {
                    chain_id,
                    nonce,
                    gas_price: max_fee_per_gas,
                    gas_limit,
                    to,
                    value,
                    access_list,
                    input,
                }
                .into_signed(signature),
            )
        } else {
            let chain_id = (kind < 98).then_some(chain_id);
            TxEnvelope::Legacy(
                TxLegacy {
                    chain_id,
                    nonce,
                    gas_price: max_fee_per_gas,
                    gas_limit,
                    to,
                    value,
                    input,
                }
                .into_signed(signature),
            )
        };
        tx.encoded_2718().into()
    }
}

/// The batch content of one L2 block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchBlock {
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// Number of the L1 origin.
    pub epoch: u64,
    /// Without deposits.
    pub transactions: Vec<Bytes>,
}

/// Blocks in a row after `config`'s genesis, six in each epoch of L1.
pub fn blocks(config: &RollupConfig, seed: u64, count: u64, txs_per_block: u64) -> Vec<BatchBlock> {
    let mut transactions = Transactions::new(seed, config.l2_chain_id);
    let first = config.genesis.l2_time + 1000 * config.block_time;
    let set_code = config.is_active(Hardfork::Isthmus, first);
    (0..count)
        .map(|at| BatchBlock {
            timestamp: first + at * config.block_time,
            epoch: 5000 + at / 6,
            transactions: (0..txs_per_block).map(|_| transactions.next(set_code)).collect(),
        })
        .collect()
}

/// A chain of its own with all forks up to `newest`.
pub fn config(newest: Hardfork) -> RollupConfig {
    let mut scalar = B256::ZERO;
    (scalar[0], scalar[31]) = (u8::from(newest >= Hardfork::Ecotone), 7);
    let mut config = opal_config(newest, 901, 1_000_000);
    config.genesis.system_config.scalar = scalar;
    config
}

/// The rollup of a scenario; the addresses are made up.
pub fn opal_config(newest: Hardfork, chain_id: u64, l2_time: u64) -> RollupConfig {
    RollupConfig {
        genesis: Genesis {
            l1: BlockId::default(),
            l2: BlockId { hash: B256::repeat_byte(0x22), number: 0 },
            l2_time,
            system_config: SystemConfig {
                batcher_address: batcher().address(),
                gas_limit: 30_000_000,
                scalar: {
                    let mut scalar = B256::ZERO;
                    (scalar[0], scalar[31]) = (u8::from(newest >= Hardfork::Ecotone), 7);
                    scalar
                },
                ..SystemConfig::default()
            },
        },
        block_time: 2,
        max_sequencer_drift_config: 600,
        seq_window_size: 3600,
        channel_timeout_config: 300,
        l1_chain_id: 900,
        l2_chain_id: chain_id,
        schedule: opal_protocol::HardforkSchedule::at_genesis(newest),
        batch_inbox_address: Address::repeat_byte(0xff),
        deposit_contract_address: Address::repeat_byte(0xdd),
        l1_system_config_address: Address::repeat_byte(0xcc),
        ..RollupConfig::default()
    }
}

/// The key of the batcher in all scenarios.
pub fn batcher() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap()
}

/// Hash of the L2 block with this number: execution is left out here.
pub fn l2_hash(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
}

/// "Executes" attributes.
pub fn execute(attributes: &AttributesWithParent) -> L2BlockRef {
    let parent = &attributes.parent;
    let same = parent.l1_origin == attributes.l1_origin;
    L2BlockRef {
        hash: l2_hash(parent.number + 1),
        number: parent.number + 1,
        parent_hash: parent.hash,
        timestamp: attributes.attributes.timestamp,
        l1_origin: attributes.l1_origin,
        sequence_number: if same { parent.sequence_number + 1 } else { 0 },
    }
}

/// How a channel is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelForm {
    /// Brotli, otherwise zlib.
    pub brotli: bool,
    /// In blobs, otherwise in calldata.
    pub blobs: bool,
    /// Other transactions in each L1 block, each with a receipt of three logs.
    pub others: usize,
}

/// A batch in the decompressed stream of a channel: where it lies, and its blocks.
struct Piece {
    batch: Batch,
    blocks: Vec<BatchBlock>,
}

fn pieces(stream: &Bytes, config: &RollupConfig) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut rest = stream.as_ref();
    while !rest.is_empty() {
        let encoded = alloy_rlp::Header::decode_bytes(&mut rest, false).unwrap();
        let batch = Batch::decode(&Bytes::copy_from_slice(encoded)).unwrap();
        let blocks = match &batch {
            Batch::Singular(batch) => vec![BatchBlock {
                timestamp: batch.timestamp,
                epoch: batch.epoch_num,
                transactions: batch.transactions.clone(),
            }],
            Batch::Span(raw) => raw
                .clone()
                .into_span(config.block_time, config.genesis.l2_time, config.l2_chain_id)
                .unwrap()
                .blocks()
                .map(|block| BatchBlock {
                    timestamp: block.timestamp,
                    epoch: block.epoch_num,
                    transactions: block.transactions,
                })
                .collect(),
        };
        out.push(Piece { batch, blocks });
    }
    out
}

/// The blocks of all batches in a decompressed channel.
pub fn batch_blocks(stream: &Bytes, config: &RollupConfig) -> Vec<BatchBlock> {
    pieces(stream, config).into_iter().flat_map(|piece| piece.blocks).collect()
}

/// An L1 block with one transaction of the batcher that names these blobs, and the blobs by the
/// made-up hashes that it gives them.
pub fn blob_block(blobs: &[Box<Blob>]) -> (L1Block, HashMap<B256, Box<Blob>>) {
    let by_hash: Vec<(B256, Box<Blob>)> =
        blobs.iter().enumerate().map(|(at, blob)| (l2_hash(at as u64), blob.clone())).collect();
    let tx = TxEip4844 {
        to: Address::repeat_byte(0xff),
        blob_versioned_hashes: by_hash.iter().map(|(hash, _)| *hash).collect(),
        ..TxEip4844::default()
    };
    let signature = batcher().sign_hash_sync(&tx.signature_hash()).unwrap();
    let header = Header::default();
    let block = L1Block {
        reference: L1BlockRef::from_header(header.hash_slow(), &header),
        header,
        receipts: Arc::default(),
        transactions: Arc::new(vec![TxEnvelope::Eip4844(tx.into_signed(signature))]),
    };
    (block, by_hash.into_iter().collect())
}

/// Compresses a stream of batches.
pub fn compress(stream: &[u8], brotli: bool) -> Vec<u8> {
    if brotli {
        let mut out = vec![BROTLI_VERSION];
        out.extend_from_slice(&compress_brotli(stream).unwrap());
        out
    } else {
        compress_zlib(stream)
    }
}

/// An L1 made around the batches of a stream: headers for all their epochs, deposits in each, and
/// behind them the channel. What names an L1 or L2 block in the batches is made to name those of
/// this chain; the transactions stay as they are.
pub fn around(config: RollupConfig, stream: &Bytes, form: ChannelForm) -> Scenario {
    let config = Arc::new(config);
    let pieces = pieces(stream, &config);
    let all: Vec<&BatchBlock> = pieces.iter().flat_map(|piece| &piece.blocks).collect();
    let (first, last) = (all[0], all[all.len() - 1]);
    let mut l1 = L1Builder::new(config.clone(), form.others);
    let parent_time = first.timestamp - config.block_time;
    for epoch in first.epoch..=last.epoch {
        let block = all.iter().find(|block| block.epoch == epoch).unwrap();
        let time = if epoch == first.epoch { parent_time } else { block.timestamp };
        l1.mine(epoch, time, Vec::new());
    }
    let hash_of = |epoch: u64| l1.blocks[(epoch - first.epoch) as usize].reference.hash;

    let parent_number = (parent_time - config.genesis.l2_time) / config.block_time;
    let mut number = parent_number;
    let mut data = Vec::with_capacity(stream.len());
    let mut rest = stream.as_ref();
    for piece in &pieces {
        let encoded = alloy_rlp::Header::decode_bytes(&mut rest, false).unwrap();
        let parent_hash = l2_hash(number);
        let origin_hash = hash_of(piece.blocks[piece.blocks.len() - 1].epoch);
        match &piece.batch {
            Batch::Singular(batch) => {
                let batch = SingularBatch { parent_hash, epoch_hash: origin_hash, ..batch.clone() };
                data.extend_from_slice(&batch.encode_for_channel());
            }
            Batch::Span(_) => {
                let mut body = encoded.to_vec();
                let varint = |from: usize| {
                    from + body[from..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1
                };
                let at = varint(varint(1));
                body[at..at + 20].copy_from_slice(&parent_hash[..20]);
                body[at + 20..at + 40].copy_from_slice(&origin_hash[..20]);
                alloy_rlp::Header { list: false, payload_length: body.len() }.encode(&mut data);
                data.extend_from_slice(&body);
            }
        }
        number += piece.blocks.len() as u64;
    }
    let channel = Bytes::from(compress(&data, form.brotli));
    let time = l1.blocks[l1.blocks.len() - 1].reference.timestamp.max(last.timestamp) + 12;
    l1.post(&channel, last.epoch + 1, time, form.blobs);

    let origin = l1.blocks[0].reference;
    let system_config = config.genesis.system_config;
    Scenario {
        start: DerivationStart {
            safe_head: L2BlockRef {
                hash: l2_hash(parent_number),
                number: parent_number,
                parent_hash: B256::ZERO,
                timestamp: parent_time,
                l1_origin: origin.id(),
                sequence_number: 0,
            },
            safe_system_config: system_config,
            l1: origin,
            l1_system_config: system_config,
        },
        l1: l1.blocks,
        blobs: l1.blobs,
        config,
    }
}

struct L1Builder {
    config: Arc<RollupConfig>,
    others: usize,
    rng: Rng,
    blocks: Vec<L1Block>,
    blobs: HashMap<B256, Box<Blob>>,
}

impl L1Builder {
    fn new(config: Arc<RollupConfig>, others: usize) -> Self {
        Self { config, others, rng: Rng(7), blocks: Vec::new(), blobs: HashMap::new() }
    }

    fn deposit(&mut self) -> DepositTransaction {
        DepositTransaction {
            from: Address::from_slice(&self.rng.word()[12..]),
            to: TxKind::Call(Address::from_slice(&self.rng.word()[12..])),
            mint: u128::from(self.rng.next()),
            value: U256::from(self.rng.next()),
            gas_limit: 100_000,
            input: self.rng.bytes(150).into(),
            ..DepositTransaction::default()
        }
    }

    /// Adds an L1 block with three deposits and these transactions.
    fn mine(&mut self, number: u64, timestamp: u64, mut transactions: Vec<TxEnvelope>) {
        let receipt = |logs| Receipt {
            tx_type: TxType::Eip1559,
            success: true,
            cumulative_gas_used: 0,
            logs,
            deposit_nonce: None,
            deposit_receipt_version: None,
        };
        let portal = self.config.deposit_contract_address;
        let deposits =
            (0..3).map(|_| encode_deposit_log(portal, &self.deposit())).collect::<Vec<_>>();
        let mut receipts = vec![receipt(deposits)];
        let mut others = Transactions::new(number, self.config.l1_chain_id);
        for _ in 0..self.others {
            use alloy_eips::eip2718::Decodable2718;
            let raw = others.next(false);
            transactions.push(TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap());
            let log = alloy_primitives::Log::new_unchecked(
                others.known(),
                vec![self.rng.word(), self.rng.word(), self.rng.word()],
                self.rng.bytes(64).into(),
            );
            receipts.push(receipt(vec![log.clone(), log.clone(), log]));
        }
        let parent_hash = self.blocks.last().map_or(B256::ZERO, |block| block.reference.hash);
        let header = Header {
            parent_hash,
            number,
            timestamp,
            mix_hash: self.rng.word(),
            base_fee_per_gas: Some(7_000_000_000),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(60_000_000),
            withdrawals_root: Some(self.rng.word()),
            parent_beacon_block_root: Some(self.rng.word()),
            ..Header::default()
        };
        self.blocks.push(L1Block {
            reference: L1BlockRef::from_header(header.hash_slow(), &header),
            header,
            receipts: Arc::new(receipts),
            transactions: Arc::new(transactions),
        });
    }

    /// Cuts a channel into frames and posts them: in blob transactions of up to six blobs, or in
    /// calldata of up to 120,000 bytes; up to 24 blobs or transactions in an L1 block.
    fn post(&mut self, channel: &Bytes, number: u64, time: u64, in_blobs: bool) {
        let room = if in_blobs { MAX_BLOB_DATA - 1 } else { 120_000 } - FRAME_OVERHEAD;
        let count = channel.len().div_ceil(room);
        let frames: Vec<Frame> = (0..count)
            .map(|at| Frame {
                id: ChannelId([9; 16]),
                number: at as u16,
                data: channel.slice(at * room..((at + 1) * room).min(channel.len())),
                is_last: at + 1 == count,
            })
            .collect();
        for (at, frames) in frames.chunks(24).enumerate() {
            let txs = if in_blobs {
                frames.chunks(6).map(|frames| self.blob_tx(frames)).collect()
            } else {
                frames.iter().map(|frame| self.calldata_tx(frame)).collect()
            };
            self.mine(number + at as u64, time + 12 * at as u64, txs);
        }
    }

    fn calldata_tx(&mut self, frame: &Frame) -> TxEnvelope {
        let tx = TxEip1559 {
            chain_id: self.config.l1_chain_id,
            nonce: self.rng.next(),
            to: TxKind::Call(self.config.batch_inbox_address),
            input: encode_batcher_data(core::slice::from_ref(frame)),
            ..TxEip1559::default()
        };
        let signature = batcher().sign_hash_sync(&tx.signature_hash()).unwrap();
        TxEnvelope::Eip1559(tx.into_signed(signature))
    }

    fn blob_tx(&mut self, frames: &[Frame]) -> TxEnvelope {
        let mut hashes = Vec::new();
        for frame in frames {
            let data = encode_batcher_data(core::slice::from_ref(frame));
            let hash = keccak256(&data);
            self.blobs.insert(hash, encode_blob(&data).unwrap());
            hashes.push(hash);
        }
        let tx = TxEip4844 {
            chain_id: self.config.l1_chain_id,
            nonce: self.rng.next(),
            to: self.config.batch_inbox_address,
            blob_versioned_hashes: hashes,
            ..TxEip4844::default()
        };
        let signature = batcher().sign_hash_sync(&tx.signature_hash()).unwrap();
        TxEnvelope::Eip4844(tx.into_signed(signature))
    }
}

/// The stream of these blocks as singular batches, their hashes yet to be set by [`around`].
pub fn singular_stream(blocks: &[BatchBlock]) -> Bytes {
    let mut out = Vec::new();
    for block in blocks {
        let batch = SingularBatch {
            epoch_num: block.epoch,
            timestamp: block.timestamp,
            transactions: block.transactions.clone(),
            ..SingularBatch::default()
        };
        out.extend_from_slice(&batch.encode_for_channel());
    }
    out.into()
}

/// The stream of these blocks as one span batch, written by the peer's encoder.
pub fn span_stream(config: &RollupConfig, blocks: &[BatchBlock]) -> Bytes {
    let mut span = kona_protocol::SpanBatch {
        genesis_timestamp: config.genesis.l2_time,
        chain_id: config.l2_chain_id,
        ..kona_protocol::SpanBatch::default()
    };
    for (at, block) in blocks.iter().enumerate() {
        let batch = kona_protocol::SingleBatch {
            epoch_num: block.epoch,
            timestamp: block.timestamp,
            transactions: block.transactions.clone(),
            ..kona_protocol::SingleBatch::default()
        };
        span.append_singular_batch(batch, u64::from(at > 0)).unwrap();
    }
    let mut body = Vec::new();
    kona_protocol::Batch::Span(span).encode(&mut body).unwrap();
    let mut out = Vec::with_capacity(body.len() + 8);
    alloy_rlp::Header { list: false, payload_length: body.len() }.encode(&mut out);
    out.extend_from_slice(&body);
    out.into()
}

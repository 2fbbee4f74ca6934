//! The peer: its types made of ours, and its data sources in memory.

use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{B256, Bytes, U256};
use alloy_rlp::{Decodable as _, Encodable as _};
use async_trait::async_trait;
use kona_alloy_consensus::{Eip658Value, Header, Receipt, TxEnvelope};
use kona_alloy_eips::BlockNumHash;
use kona_alloy_eips::eip2718::Decodable2718 as _;
use kona_alloy_eips::eip4844::{Blob, IndexedBlobHash};
use kona_derive::{
    BlobProvider, BlobProviderError, ChainProvider, L2ChainProvider, PipelineError,
    PipelineErrorKind,
};
use kona_genesis::{ChainGenesis, HardForkConfig, RollupConfig, SystemConfig};
use kona_op_alloy_consensus::{OpBlock, OpTxEnvelope};
use kona_protocol::{BatchValidationProvider, BlockInfo, L2BlockInfo, OpAttributesWithParent};
use opal_derivation::L1Block;
use opal_protocol::{BlockId, Hardfork, L1BlockRef, L2BlockRef, PayloadAttributes};

/// Runs a future that never waits: all data sources here are in memory.
pub fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing in memory waits"),
    }
}

/// Number and hash.
pub fn block_id(id: BlockId) -> BlockNumHash {
    BlockNumHash { number: id.number, hash: id.hash }
}

/// An L1 block reference.
pub fn block_info(block: L1BlockRef) -> BlockInfo {
    BlockInfo::new(block.hash, block.number, block.parent_hash, block.timestamp)
}

/// An L2 block reference.
pub fn l2_block_info(block: L2BlockRef) -> L2BlockInfo {
    L2BlockInfo::new(
        BlockInfo::new(block.hash, block.number, block.parent_hash, block.timestamp),
        block_id(block.l1_origin),
        block.sequence_number,
    )
}

/// A header, by way of its RLP.
pub fn header(header: &alloy_consensus::Header) -> Header {
    let mut encoded = Vec::new();
    header.encode(&mut encoded);
    Header::decode(&mut encoded.as_slice()).expect("the same header")
}

/// A system configuration. The peer knows nothing of Jovian's parameters.
pub fn system_config(config: &opal_protocol::SystemConfig) -> SystemConfig {
    let (denominator, elasticity) =
        opal_protocol::system_config::split_eip1559_params(config.eip1559_params);
    let (operator_scalar, operator_constant) = config.operator_fee();
    let fees = config.fee_scalars().unwrap_or_default();
    SystemConfig {
        batcher_address: config.batcher_address,
        overhead: U256::from_be_bytes(config.overhead.0),
        scalar: U256::from_be_bytes(config.scalar.0),
        gas_limit: config.gas_limit,
        base_fee_scalar: Some(fees.base_fee_scalar.into()),
        blob_base_fee_scalar: Some(fees.blob_base_fee_scalar.into()),
        eip1559_denominator: Some(denominator),
        eip1559_elasticity: Some(elasticity),
        operator_fee_scalar: Some(operator_scalar),
        operator_fee_constant: Some(operator_constant),
    }
}

/// A rollup configuration. Forks after Isthmus are left out: this version does not implement them.
pub fn rollup_config(config: &opal_protocol::RollupConfig) -> RollupConfig {
    let time = |fork| config.schedule.time(fork);
    RollupConfig {
        genesis: ChainGenesis {
            l1: block_id(config.genesis.l1),
            l2: block_id(config.genesis.l2),
            l2_time: config.genesis.l2_time,
            system_config: Some(system_config(&config.genesis.system_config)),
        },
        block_time: config.block_time,
        max_sequencer_drift: config.max_sequencer_drift_config,
        seq_window_size: config.seq_window_size,
        channel_timeout: config.channel_timeout_config,
        l1_chain_id: config.l1_chain_id,
        l2_chain_id: config.l2_chain_id.into(),
        hardforks: HardForkConfig {
            regolith_time: time(Hardfork::Regolith),
            canyon_time: time(Hardfork::Canyon),
            delta_time: time(Hardfork::Delta),
            ecotone_time: time(Hardfork::Ecotone),
            fjord_time: time(Hardfork::Fjord),
            granite_time: time(Hardfork::Granite),
            holocene_time: time(Hardfork::Holocene),
            pectra_blob_schedule_time: config.pectra_blob_schedule_time,
            isthmus_time: time(Hardfork::Isthmus),
            ..HardForkConfig::default()
        },
        batch_inbox_address: config.batch_inbox_address,
        deposit_contract_address: config.deposit_contract_address,
        l1_system_config_address: config.l1_system_config_address,
        protocol_versions_address: config.protocol_versions_address,
        ..RollupConfig::default()
    }
}

/// An L1 block as the peer reads it.
#[derive(Debug)]
pub struct KonaL1Block {
    info: BlockInfo,
    header: Header,
    transactions: Vec<TxEnvelope>,
    receipts: Vec<Receipt>,
}

impl KonaL1Block {
    /// The same block. Deposits, which only an L1 that is itself an OP chain has, are left out.
    pub fn new(block: &L1Block) -> Self {
        let transactions = block.transactions.iter().filter(|tx| !tx.is_deposit_tx());
        Self {
            info: block_info(block.reference),
            header: header(&block.header),
            transactions: transactions
                .map(|tx| TxEnvelope::decode_2718(&mut tx.encoded_2718().as_slice()).unwrap())
                .collect(),
            receipts: block
                .receipts
                .iter()
                .map(|receipt| Receipt {
                    status: Eip658Value::Eip658(receipt.success),
                    cumulative_gas_used: receipt.cumulative_gas_used,
                    logs: receipt.logs.clone(),
                })
                .collect(),
        }
    }
}

/// Something that is not there: the end of L1.
#[derive(Debug)]
pub struct Missing(String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not there", self.0)
    }
}

impl From<Missing> for PipelineErrorKind {
    fn from(missing: Missing) -> Self {
        PipelineError::Provider(missing.to_string()).temp()
    }
}

/// L1 in memory. The peer's interface demands owned values, so each answer is a copy.
#[derive(Clone, Debug)]
pub struct Chain {
    by_number: Arc<HashMap<u64, Arc<KonaL1Block>>>,
    by_hash: Arc<HashMap<B256, Arc<KonaL1Block>>>,
}

impl Chain {
    /// These blocks.
    pub fn new(blocks: &[L1Block]) -> Self {
        let blocks: Vec<Arc<KonaL1Block>> =
            blocks.iter().map(|block| Arc::new(KonaL1Block::new(block))).collect();
        Self {
            by_number: Arc::new(blocks.iter().map(|b| (b.info.number, b.clone())).collect()),
            by_hash: Arc::new(blocks.iter().map(|b| (b.info.hash, b.clone())).collect()),
        }
    }

    fn block(&self, hash: B256) -> Result<&KonaL1Block, Missing> {
        self.by_hash.get(&hash).map(|b| &**b).ok_or_else(|| Missing(format!("L1 block {hash}")))
    }
}

#[async_trait]
impl ChainProvider for Chain {
    type Error = Missing;

    async fn header_by_hash(&mut self, hash: B256) -> Result<Header, Missing> {
        Ok(self.block(hash)?.header.clone())
    }

    async fn block_info_by_number(&mut self, number: u64) -> Result<BlockInfo, Missing> {
        let block = self.by_number.get(&number);
        block.map(|b| b.info).ok_or_else(|| Missing(format!("L1 block {number}")))
    }

    async fn receipts_by_hash(&mut self, hash: B256) -> Result<Vec<Receipt>, Missing> {
        Ok(self.block(hash)?.receipts.clone())
    }

    async fn block_info_and_transactions_by_hash(
        &mut self,
        hash: B256,
    ) -> Result<(BlockInfo, Vec<TxEnvelope>), Missing> {
        let block = self.block(hash)?;
        Ok((block.info, block.transactions.clone()))
    }
}

/// Blobs in memory.
#[derive(Clone, Debug)]
pub struct Blobs(Arc<HashMap<B256, Box<Blob>>>);

impl Blobs {
    /// These blobs, by versioned hash.
    pub fn new(blobs: &HashMap<B256, Box<opal_protocol::blob::Blob>>) -> Self {
        let blobs = blobs.iter().map(|(hash, blob)| (*hash, Box::new(Blob::from(blob.0))));
        Self(Arc::new(blobs.collect()))
    }
}

#[async_trait]
impl BlobProvider for Blobs {
    type Error = BlobProviderError;

    async fn get_blobs(
        &mut self,
        _: &BlockInfo,
        hashes: &[IndexedBlobHash],
    ) -> Result<Vec<Box<Blob>>, BlobProviderError> {
        let get = |hash: &IndexedBlobHash| {
            let missing = || BlobProviderError::Backend(format!("no blob {}", hash.hash));
            self.0.get(&hash.hash).cloned().ok_or_else(missing)
        };
        hashes.iter().map(get).collect()
    }
}

/// What the peer asks of L2: system configurations and blocks by number.
#[derive(Clone, Debug, Default)]
pub struct L2 {
    /// For blocks that are not listed.
    default_config: SystemConfig,
    blocks: Arc<Mutex<HashMap<u64, L2Entry>>>,
}

#[derive(Clone, Debug)]
struct L2Entry {
    info: L2BlockInfo,
    config: SystemConfig,
    transactions: Vec<Bytes>,
}

impl L2 {
    /// No blocks; this is the configuration of all that are not inserted.
    pub fn new(default_config: SystemConfig) -> Self {
        Self { default_config, blocks: Arc::default() }
    }

    /// Adds a block.
    pub fn insert(&self, info: L2BlockInfo, config: SystemConfig, transactions: Vec<Bytes>) {
        let entry = L2Entry { info, config, transactions };
        self.blocks.lock().unwrap().insert(info.block_info.number, entry);
    }

    fn entry(&self, number: u64) -> Result<L2Entry, Missing> {
        let blocks = self.blocks.lock().unwrap();
        blocks.get(&number).cloned().ok_or_else(|| Missing(format!("L2 block {number}")))
    }
}

#[async_trait]
impl BatchValidationProvider for L2 {
    type Error = Missing;

    async fn l2_block_info_by_number(&mut self, number: u64) -> Result<L2BlockInfo, Missing> {
        Ok(self.entry(number)?.info)
    }

    async fn block_by_number(&mut self, number: u64) -> Result<OpBlock, Missing> {
        let entry = self.entry(number)?;
        let mut block = OpBlock::default();
        block.header.number = number;
        block.header.timestamp = entry.info.block_info.timestamp;
        block.body.transactions = entry
            .transactions
            .iter()
            .map(|tx| OpTxEnvelope::decode_2718(&mut tx.as_ref()).unwrap())
            .collect();
        Ok(block)
    }
}

#[async_trait]
impl L2ChainProvider for L2 {
    type Error = Missing;

    async fn system_config_by_number(
        &mut self,
        number: u64,
        _: Arc<RollupConfig>,
    ) -> Result<SystemConfig, Missing> {
        let blocks = self.blocks.lock().unwrap();
        Ok(blocks.get(&number).map_or(self.default_config, |entry| entry.config))
    }
}

/// The peer's attributes in our type.
pub fn attributes(attributes: &OpAttributesWithParent) -> PayloadAttributes {
    let inner = &attributes.inner;
    let payload = &inner.payload_attributes;
    PayloadAttributes {
        timestamp: payload.timestamp,
        prev_randao: payload.prev_randao,
        suggested_fee_recipient: payload.suggested_fee_recipient,
        withdrawals: payload.withdrawals.as_ref().map(|list| {
            assert!(list.is_empty(), "the rollup has no withdrawals here");
            Vec::new()
        }),
        parent_beacon_block_root: payload.parent_beacon_block_root,
        transactions: inner.transactions.clone(),
        no_tx_pool: inner.no_tx_pool.unwrap_or_default(),
        gas_limit: inner.gas_limit,
        eip1559_params: inner.eip_1559_params,
        min_base_fee: None,
    }
}

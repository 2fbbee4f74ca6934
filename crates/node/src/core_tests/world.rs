//! An L1 in memory, and a node that derives from it.

use alloy_consensus::{Header, SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_genesis::Genesis;
use alloy_primitives::{Bytes, TxKind, U256};
use alloy_signer::SignerSync;
use opal_derivation::{EpochData, L1Block, build_attributes};
use opal_execution::{Chain, LocalEngine};
use opal_governance::{DevAccounts, Intent, TEST_MNEMONIC, devnet_genesis};
use opal_protocol::batcher_tx::encode_batcher_data;
use opal_protocol::blob::Blob;
use opal_protocol::compress::compress_zlib;
use opal_protocol::span_batch::{SpanBuilder, SpanChain};
use opal_protocol::{
    ChannelId, ChannelOut, Compression, Frame, Hardfork, L1BlockRef, SingularBatch, TxEnvelope,
    system_config_of,
};
use opal_service::keys::{Key, Secret};
use opal_service::metrics::Metrics;

use super::super::*;
use crate::sync_start::Next;

pub(super) const TIME: u64 = 1_700_000_000;

pub(super) fn key(index: u32) -> Key {
    Key::from_mnemonic_index(&Secret::from(TEST_MNEMONIC), index).unwrap()
}

pub(super) fn sign<T: SignableTransaction<alloy_primitives::Signature>>(
    key: &Key,
    tx: T,
) -> alloy_consensus::Signed<T> {
    let signature = key.signer().sign_hash_sync(&tx.signature_hash()).unwrap();
    tx.into_signed(signature)
}

/// An L1 in memory. All L2 blocks have its first block as their origin, so that reorgs concern
/// their batches only.
pub(super) struct World {
    pub(super) config: Arc<RollupConfig>,
    pub(super) genesis: Genesis,
    pub(super) l1: Vec<L1Block>,
    pub(super) blobs: HashMap<B256, Box<Blob>>,
    /// Makes blocks and channels differ.
    pub(super) serial: u8,
}

impl World {
    pub(super) fn new(fork: Hardfork) -> Self {
        let mut intent = Intent::devnet(&DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap());
        (intent.l2_block_time, intent.fork) = (2, fork);
        let devnet = devnet_genesis(&intent, TIME).unwrap();
        let mut world = Self {
            config: Arc::default(),
            genesis: devnet.l2_genesis,
            l1: Vec::new(),
            blobs: HashMap::new(),
            serial: 0,
        };
        world.mine(Vec::new());
        let mut config = devnet.rollup_config;
        config.genesis.l1 = world.l1[0].reference.id();
        config.genesis.system_config.batcher_address = key(1).address();
        world.config = Arc::new(config);
        world
    }

    pub(super) fn mine(&mut self, transactions: Vec<TxEnvelope>) {
        self.serial += 1;
        let header = Header {
            number: self.l1.len() as u64,
            timestamp: TIME + 12 * self.l1.len() as u64,
            parent_hash: self.l1.last().map_or(B256::ZERO, |block| block.reference.hash),
            base_fee_per_gas: Some(7),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            extra_data: vec![self.serial].into(),
            ..Header::default()
        };
        self.l1.push(L1Block {
            reference: L1BlockRef::from_header(header.hash_slow(), &header),
            header,
            receipts: Arc::default(),
            transactions: Arc::new(transactions),
        });
    }

    /// Another chain from this block number on, which is one block longer than the one before and
    /// empty.
    pub(super) fn reorg(&mut self, from: usize) {
        let length = self.l1.len();
        self.l1.truncate(from);
        while self.l1.len() <= length {
            self.mine(Vec::new());
        }
    }

    pub(super) fn hash(&self, number: u64) -> Option<B256> {
        self.l1.get(number as usize).map(|block| block.reference.hash)
    }

    pub(super) fn heads(&self, finalized: usize) -> L1Heads {
        let finalized = self.l1[finalized].reference;
        L1Heads { head: self.l1.last().unwrap().reference, safe: finalized, finalized }
    }

    pub(super) fn parts(&self, engine: Arc<dyn Engine>, safe_db: Option<Arc<SafeDb>>) -> CoreParts {
        CoreParts {
            config: self.config.clone(),
            engine,
            l1_heads: self.heads(0),
            safe_db,
            recording: None,
            metrics: NodeMetrics::new(&Metrics::new(), "test"),
        }
    }

    pub(super) fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(LocalEngine::new(Chain::from_genesis(&self.genesis).unwrap()))
    }

    pub(super) fn start(&self, engine: Arc<dyn Engine>, safe_db: Option<Arc<SafeDb>>) -> Core {
        let parts = self.parts(engine, safe_db);
        let forkchoice =
            known_heads(&*parts.engine, &parts.config, parts.safe_db.as_deref()).unwrap();
        let log = forkchoice.safe_heads_newest_first().copied();
        let search = Search::new(self.config.clone(), *forkchoice.heads(), log);
        let start = self.found(search, &*parts.engine);
        if let Some(db) = &parts.safe_db {
            self.confirm(db, forkchoice.heads().finalized.number);
        }
        Core::new(parts, forkchoice, start).unwrap()
    }

    pub(super) fn found(&self, mut search: Search, engine: &dyn Engine) -> SyncStart {
        loop {
            match search.next(&|hash| Ok(engine.block(BlockAt::Hash(hash))?)).unwrap() {
                Next::L1Hash(number) => search.l1_hash(number, self.hash(number)),
                Next::L1Block(id) => search.l1_block(self.l1[id.number as usize].reference),
                Next::Found(start) => return *start,
            }
        }
    }

    pub(super) fn confirm(&self, db: &SafeDb, finalized: u64) -> usize {
        let mut hashes = HashMap::new();
        while let Some(number) = keep_confirmed(db, &hashes, finalized) {
            hashes.insert(number, self.hash(number));
        }
        hashes.len()
    }

    /// What the driver does when the L1 head moves.
    pub(super) fn new_head(&self, core: &mut Core, finalized: usize) -> Verdict {
        core.on_l1_heads(self.heads(finalized));
        self.verify(core)
    }

    pub(super) fn verify(&self, core: &mut Core) -> Verdict {
        let ours = core.ours();
        let verdict = core.judge(&ours, &ours.map(|id| self.hash(id.number)));
        if verdict == Verdict::Reorged {
            let start = self.found(core.search(), &*core.engine);
            if let Some(db) = core.safe_db() {
                self.confirm(db, core.heads().finalized.number);
            }
            core.restart(start, "test").unwrap();
        }
        verdict
    }

    pub(super) fn answer(&self, request: &Request) -> Input {
        match request {
            Request::L1Block { number } => match self.l1.get(*number as usize) {
                Some(block) => Input::L1Block(block.clone()),
                None => Input::L1NotYet { number: *number },
            },
            Request::Blobs { block, hashes } => Input::Blobs {
                block: block.id(),
                blobs: hashes.iter().map(|hash| self.blobs[hash].clone()).collect(),
            },
            Request::L2Block { number } => panic!("the engine has block {number}"),
        }
    }

    /// One turn of derivation, answers included. False when there is nothing to do.
    pub(super) fn turn(&self, core: &mut Core) -> bool {
        if !core.can_derive() {
            return false;
        }
        match core.derive().unwrap() {
            Turn::Progress => {}
            Turn::Want(request) => core.provide(self.answer(&request)),
            Turn::Idle => return false,
        }
        true
    }

    pub(super) fn run(&self, core: &mut Core) {
        while self.turn(core) {}
        assert_eq!(core.reset_due, None);
    }

    /// Derives until this L1 block is being read.
    pub(super) fn run_to_origin(&self, core: &mut Core, number: u64) {
        while core.derivation.origin().number < number {
            assert!(self.turn(core));
        }
    }

    pub(super) fn attributes(
        &self,
        core: &Core,
        parent: &L2BlockRef,
        txs: &[Bytes],
    ) -> PayloadAttributes {
        let block = core.engine.block(BlockAt::Hash(parent.hash)).unwrap().unwrap();
        let system_config = system_config_of(&self.config, parent.hash, &block.block).unwrap();
        let origin = &self.l1[parent.l1_origin.number as usize];
        let epoch = EpochData::new(
            &self.config,
            origin.reference.hash,
            origin.header.clone(),
            &origin.receipts,
        );
        let mut attributes =
            build_attributes(&self.config, parent, &system_config, &epoch, txs).unwrap();
        attributes.no_tx_pool = true;
        attributes
    }

    /// Blocks of the node's own sequencer, each with a transfer.
    pub(super) fn sequence(&mut self, core: &mut Core, count: usize) {
        for _ in 0..count {
            let parent = core.heads().unsafe_head;
            let tx = self.transfer(parent.number);
            let attributes = self.attributes(core, &parent, &[tx]);
            let (_, reference) = core.build_unsafe(attributes).unwrap();
            core.extend_unsafe(reference).unwrap();
        }
    }

    pub(super) fn transfer(&self, nonce: u64) -> Bytes {
        let tx = TxEip1559 {
            chain_id: self.config.l2_chain_id,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 5_000_000_000,
            to: TxKind::Call(key(3).address()),
            value: U256::from(1),
            ..TxEip1559::default()
        };
        TxEnvelope::Eip1559(sign(&key(2), tx)).encoded_2718().into()
    }

    /// The batches of these blocks of the node's chain.
    pub(super) fn batches(
        &self,
        core: &Core,
        blocks: std::ops::RangeInclusive<u64>,
    ) -> Vec<SingularBatch> {
        let origin = self.config.genesis.l1;
        blocks
            .map(|n| {
                SingularBatch::from_block(
                    &core.engine.block(BlockAt::Number(n)).unwrap().unwrap().block,
                    origin,
                )
            })
            .collect()
    }

    pub(super) fn frame(&mut self, data: Vec<u8>) -> Frame {
        self.serial += 1;
        Frame { id: ChannelId([self.serial; 16]), number: 0, data: data.into(), is_last: true }
    }

    pub(super) fn singular(&mut self, batches: &[SingularBatch]) -> Frame {
        let mut channel = ChannelOut::new(ChannelId::default(), Compression::Zlib, 1 << 20);
        for batch in batches {
            channel.add(batch).unwrap();
        }
        let data = channel.compressed().unwrap();
        self.frame(data)
    }

    pub(super) fn span(&mut self, batches: &[SingularBatch]) -> Frame {
        let mut span = SpanBuilder::new(SpanChain::from(&*self.config), 0);
        for batch in batches {
            span.push(batch).unwrap();
        }
        let data = compress_zlib(&span.encode_for_channel().unwrap());
        self.frame(data)
    }

    /// Mines an L1 block with this frame in calldata.
    pub(super) fn post(&mut self, frame: Frame) {
        let tx = TxEip1559 {
            to: TxKind::Call(self.config.batch_inbox_address),
            input: encode_batcher_data(&[frame]),
            ..TxEip1559::default()
        };
        self.mine(vec![TxEnvelope::Eip1559(sign(&key(1), tx))]);
    }

    pub(super) fn post_blocks(&mut self, core: &Core, blocks: std::ops::RangeInclusive<u64>) {
        let batches = self.batches(core, blocks);
        let frame = self.singular(&batches);
        self.post(frame);
    }
}

/// Numbers of the three heads, and that the engine has the same.
pub(super) fn heads(core: &Core) -> (u64, u64, u64) {
    let Heads { unsafe_head, safe, finalized } = *core.heads();
    let engine = engine::heads(&*core.engine, &core.config).unwrap();
    assert_eq!(engine, *core.heads());
    assert!(finalized.number <= safe.number && safe.number <= unsafe_head.number);
    let status = core.status();
    assert_eq!(
        (status.unsafe_l2, status.safe_l2, status.finalized_l2),
        (unsafe_head, safe, finalized)
    );
    (unsafe_head.number, safe.number, finalized.number)
}

pub(super) fn db(dir: &tempfile::TempDir, world: &World) -> Arc<SafeDb> {
    let config = &world.config;
    let db = SafeDb::open(dir.path(), config.l2_chain_id, config.genesis.l2.hash).unwrap();
    Arc::new(db)
}

/// A node with nine blocks, whose batches are in the L1 blocks 3, 5 and 7.
pub(super) fn nine_blocks(safe_db: Option<Arc<SafeDb>>, world: &mut World) -> Core {
    let mut core = world.start(world.engine(), safe_db);
    world.sequence(&mut core, 9);
    for blocks in [1..=3, 4..=6, 7..=9] {
        world.mine(Vec::new());
        if world.l1.len() == 2 {
            world.mine(Vec::new());
        }
        world.post_blocks(&core, blocks);
    }
    assert_eq!(world.new_head(&mut core, 0), Verdict::Ours);
    world.run(&mut core);
    assert_eq!(heads(&core), (9, 9, 0));
    core
}

//! Chains and states for the tests.

use std::sync::Arc;

use alloy_consensus::{BlockBody, Header, SignableTransaction, TxEip1559, proofs};
use alloy_network::TxSignerSync;
use alloy_primitives::{Address, B256, TxKind, U256, keccak256};
use alloy_signer_local::PrivateKeySigner;
use opal_protocol::{
    Block, BlockId, ChannelId, Genesis, Hardfork, HardforkSchedule, L1BlockRef, L2BlockRef,
    RollupConfig, SealedBlock, SystemConfig, TxEnvelope, config::BaseFeeConfig,
    l1_info::l1_info_deposit,
};

use crate::batcher::channel::{PendingBlock, TxData};
use crate::batcher::config::{BatcherConfig, Posting};
use crate::batcher::state::{BatcherState, Closed, Confirmation, Plan};
use crate::batcher::status::SyncStatus;
use crate::batcher::{BatchType, CompressionAlgo, DataAvailabilityType};

/// Key of the batcher in all tests.
pub(super) fn batcher_key() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap()
}

/// Seconds between L1 blocks; L2 has one block per second.
const L1_BLOCK_TIME: u64 = 2;
const GENESIS_TIME: u64 = 1_000_000;

pub(super) fn l1(number: u64) -> L1BlockRef {
    let hash = |n: u64| keccak256([b"l1".as_slice(), &n.to_be_bytes()].concat());
    L1BlockRef {
        hash: hash(number),
        number,
        parent_hash: hash(number.wrapping_sub(1)),
        timestamp: GENESIS_TIME + number * L1_BLOCK_TIME,
    }
}

pub(super) fn rollup(fork: Hardfork, genesis: BlockId) -> RollupConfig {
    RollupConfig {
        genesis: Genesis {
            l1: l1(0).id(),
            l2: genesis,
            l2_time: GENESIS_TIME,
            system_config: SystemConfig {
                gas_limit: 30_000_000,
                scalar: B256::with_last_byte(1),
                batcher_address: batcher_key().address(),
                ..SystemConfig::default()
            },
        },
        block_time: 1,
        max_sequencer_drift_config: 600,
        seq_window_size: 100,
        channel_timeout_config: 60,
        l1_chain_id: 900,
        l2_chain_id: 901,
        schedule: HardforkSchedule::at_genesis(fork),
        pectra_blob_schedule_time: None,
        batch_inbox_address: Address::repeat_byte(0xff),
        deposit_contract_address: Address::repeat_byte(2),
        l1_system_config_address: Address::repeat_byte(3),
        chain_op_config: BaseFeeConfig::default(),
        ..RollupConfig::default()
    }
}

/// An L2 chain of sealed blocks with real transactions; block n has the L1 origin n / 2.
#[derive(Clone)]
pub(super) struct Chain {
    pub config: Arc<RollupConfig>,
    pub blocks: Vec<SealedBlock>,
    key: PrivateKeySigner,
    nonce: u64,
}

impl Chain {
    pub(super) fn new(fork: Hardfork) -> Self {
        let genesis = SealedBlock::new(Block {
            header: Header { timestamp: GENESIS_TIME, ..Header::default() },
            body: BlockBody::default(),
        });
        let config = Arc::new(rollup(fork, genesis.id()));
        let key = PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap();
        Self { config, blocks: vec![genesis], key, nonce: 0 }
    }

    /// Appends a block with this many transactions, each with so much calldata that hardly
    /// compresses.
    pub(super) fn extend(&mut self, transactions: usize, calldata: usize) -> SealedBlock {
        let parent = self.blocks.last().unwrap();
        let number = parent.header().number + 1;
        let origin = l1(number / 2);
        let timestamp = GENESIS_TIME + number;
        let l1_header = Header {
            number: origin.number,
            timestamp: origin.timestamp,
            base_fee_per_gas: Some(7),
            ..Header::default()
        };
        let system_config = self.config.genesis.system_config;
        let info = l1_info_deposit(
            &self.config,
            &system_config,
            number % 2,
            &l1_header,
            origin.hash,
            timestamp,
        );
        let parent_hash = parent.hash;
        let mut body = vec![TxEnvelope::from(info.unwrap())];
        for _ in 0..transactions {
            body.push(self.transaction(calldata));
        }
        let header = Header {
            parent_hash,
            number,
            timestamp,
            transactions_root: proofs::calculate_transaction_root(&body),
            ..Header::default()
        };
        let body = BlockBody { transactions: body, ..BlockBody::default() };
        let block = SealedBlock::new(Block { header, body });
        self.blocks.push(block.clone());
        block
    }

    fn transaction(&mut self, calldata: usize) -> TxEnvelope {
        self.nonce += 1;
        let words = (0..calldata.div_ceil(32) as u64)
            .flat_map(|i| keccak256([self.nonce.to_be_bytes(), i.to_be_bytes()].concat()).0);
        let mut tx = TxEip1559 {
            chain_id: 901,
            nonce: self.nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 10,
            to: TxKind::Call(Address::repeat_byte(9)),
            value: U256::from(1),
            input: words.take(calldata).collect::<Vec<_>>().into(),
            ..TxEip1559::default()
        };
        let signature = self.key.sign_transaction_sync(&mut tx).unwrap();
        TxEnvelope::Eip1559(tx.into_signed(signature))
    }

    /// Replaces everything above block `number` by as many other blocks.
    pub(super) fn reorg(&mut self, number: u64) {
        let replaced = self.blocks.len() - 1 - number as usize;
        self.blocks.truncate(number as usize + 1);
        for _ in 0..replaced {
            self.extend(3, 0);
        }
    }

    pub(super) fn head(&self) -> u64 {
        self.blocks.len() as u64 - 1
    }

    pub(super) fn reference(&self, number: u64) -> L2BlockRef {
        let block = &self.blocks[number as usize];
        opal_protocol::l2_block_ref(&self.config, block.hash, &block.block).unwrap()
    }

    pub(super) fn status(&self, current_l1: u64, head_l1: u64, safe: u64) -> SyncStatus {
        let (safe, newest) = (self.reference(safe), self.reference(self.head()));
        SyncStatus::new(l1(current_l1), l1(head_l1), safe, newest)
    }
}

/// How a devnet posts, with calldata.
pub(super) fn posting() -> Posting {
    Posting {
        da: DataAvailabilityType::Calldata,
        batch_type: BatchType::Span,
        compression: CompressionAlgo::Auto,
        max_channel_duration: 1,
        sub_safety_margin: 4,
        target_num_frames: 1,
        max_frame_size: 10_000,
    }
}

/// A state with the chain that it follows, and the steps that the service makes with it.
pub(super) struct Fixture {
    pub chain: Chain,
    pub state: BatcherState,
    channels: u8,
}

impl Fixture {
    pub(super) fn new(posting: Posting) -> Self {
        Self::with(Chain::new(Hardfork::Holocene), posting, false)
    }

    pub(super) fn with(chain: Chain, posting: Posting, wait_node_sync: bool) -> Self {
        let mut state = BatcherState::new(chain.config.clone(), Arc::new(posting));
        if wait_node_sync {
            state.wait_for_node_sync();
        }
        Self { chain, state, channels: 0 }
    }

    /// Takes in a status and reads the blocks that the state asks for.
    pub(super) fn look(&mut self, current_l1: u64, head_l1: u64, safe: u64) -> Plan {
        let plan = self.state.on_status(&self.chain.status(current_l1, head_l1, safe));
        for number in plan.load.clone().into_iter().flatten() {
            let block = &self.chain.blocks[number as usize];
            let block = PendingBlock::new(&self.chain.config, block).unwrap();
            self.state.add_block(block).unwrap();
        }
        plan
    }

    pub(super) fn build(&mut self, l1_head: u64) -> Vec<Closed> {
        let channels = &mut self.channels;
        let new_id = || {
            *channels += 1;
            ChannelId([*channels; 16])
        };
        self.state.build(&l1(l1_head), true, new_id).unwrap()
    }

    /// Looks and builds at one L1 head, then at the next, so that all there is gets posted; gives
    /// the transactions.
    pub(super) fn post(&mut self, l1_head: u64, safe: u64) -> Vec<TxData> {
        self.look(l1_head, l1_head, safe);
        self.build(l1_head);
        self.look(l1_head, l1_head + 1, safe);
        self.build(l1_head + 1);
        std::iter::from_fn(|| self.state.next_tx()).collect()
    }

    pub(super) fn confirm(&mut self, tx: &TxData, l1_block: u64) -> Confirmation {
        self.state.tx_confirmed(tx.channel, tx.frames.len(), l1_block, &l1(l1_block))
    }
}

/// Numbers of the blocks that a transaction completes.
pub(super) fn numbers(tx: &TxData) -> Vec<u64> {
    tx.completes.iter().map(|block| block.number).collect()
}

/// A configuration for endpoints at these addresses.
pub(super) fn config(l1: &str, l2: &str, rollup: &str, da: DataAvailabilityType) -> BatcherConfig {
    let key = opal_service::keys::Key::from_signer(batcher_key());
    BatcherConfig::devnet(l1.parse().unwrap(), l2, rollup, key, da).unwrap()
}

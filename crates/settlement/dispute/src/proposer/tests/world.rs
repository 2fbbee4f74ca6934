//! An L1 with the settlement contracts and a rollup node, inside the test. L1 makes a block, and the
//! rollup follows, whenever somebody asks for its tip.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_consensus::{EthereumTxEnvelope, Transaction, TxEip4844WithSidecar};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, U64, U256, keccak256};
use alloy_sol_types::SolEvent;
use opal_protocol::contracts::IDisputeGameFactory::DisputeGameCreated;
use opal_protocol::output::output_root_v0;
use opal_protocol::{
    BlockId, Genesis, Hardfork, HardforkSchedule, L1BlockRef, L2BlockRef, RollupConfig,
    SystemConfig,
};
use opal_service::Shutdown;
use opal_service::keys::{Key, Secret, TEST_MNEMONIC};
use opal_tests::json_rpc::{self, quantity};
use serde_json::{Value, json};

use super::contracts::IMPLEMENTATION;
use crate::proposer::config::ProposerConfig;
use crate::proposer::{Proposer, ProposerError, ProposerStats};

type Tx = EthereumTxEnvelope<TxEip4844WithSidecar>;

/// Seconds between L1 blocks; each brings one L2 block.
const BLOCK_TIME: u64 = 2;
const GENESIS_TIME: u64 = 1_000_000;
/// Blocks by which finality follows the tip.
const FINALITY_LAG: u64 = 3;
pub(super) const BOND: u64 = 80_000_000_000;

pub(super) const PORTAL: Address = Address::repeat_byte(0xa1);
pub(super) const FACTORY: Address = Address::repeat_byte(0xa2);

pub(super) fn key() -> Key {
    Key::from_mnemonic_index(&Secret::from(TEST_MNEMONIC), 3).unwrap()
}

/// A game in the making: what the contract stores.
#[derive(Clone, Debug)]
pub(super) struct Game {
    pub address: Address,
    pub creator: Address,
    pub created_at: u64,
    pub game_type: u32,
    pub root: B256,
    pub l2_block: u64,
    /// Which claims are resolved; the first is the root claim.
    pub claims: Vec<bool>,
    /// Whether the root claim falls when it is resolved.
    pub countered: bool,
    pub status: u8,
    pub resolved_at: u64,
    pub mode: u8,
    pub won: U256,
    pub refund: U256,
    pub unlocked_at: Option<u64>,
}

/// Everything that an L1 reorg undoes.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    pub number: u64,
    pub time: u64,
    hash: B256,
    nonce: u64,
    pub games: Vec<Game>,
    /// Block, success and the game created, by transaction.
    mined: BTreeMap<B256, (u64, bool, Option<usize>)>,
    /// Wei of bonds that came back.
    pub paid: U256,
}

pub(super) struct World {
    pub chain: Chain,
    /// States after each block, oldest first.
    history: Vec<Chain>,
    pool: BTreeMap<u64, Tx>,
    /// Counts reorgs, so that blocks after one have other hashes.
    pub fork: u64,
    /// L2 blocks that hold a withdrawal.
    pub withdrawals: Vec<u64>,
    /// The L2 stands still at this block.
    pub frozen: Option<u64>,
    pub anchor: u64,
    /// Whether L1 and the rollup node answer.
    pub l1_up: bool,
    pub rollup_up: bool,
    /// L1 is several nodes, and the one that gives every fourth answer lags behind by so many
    /// blocks.
    pub lag: u64,
    answers: u64,
    /// L1 tries no transaction to a game out: it would take too much gas.
    pub games_too_dear: bool,
    pub paused: bool,
    pub blacklisted: bool,
    pub permitted: Address,
    pub l1_chain_id: u64,
    pub l2_chain_id: u64,
    pub is_proxy: bool,
    pub factory: Address,
    pub implementation: Address,
    /// Whether the factory knows arguments of games, or the implementation itself.
    pub arguments: bool,
    /// Whether games are closed before they pay, as those of today are.
    pub closing: bool,
    rollup: RollupConfig,
}

fn l2_hash(number: u64) -> B256 {
    keccak256([b"l2".as_slice(), &number.to_be_bytes()].concat())
}

impl World {
    fn new() -> Self {
        let rollup = RollupConfig {
            l1_chain_id: 900,
            l2_chain_id: 901,
            block_time: BLOCK_TIME,
            seq_window_size: 100,
            max_sequencer_drift_config: 600,
            channel_timeout_config: 60,
            genesis: Genesis {
                l1: BlockId { hash: B256::repeat_byte(1), number: 0 },
                l2: BlockId { hash: l2_hash(0), number: 0 },
                l2_time: GENESIS_TIME,
                system_config: SystemConfig {
                    gas_limit: 30_000_000,
                    scalar: B256::with_last_byte(1),
                    batcher_address: Address::repeat_byte(4),
                    ..SystemConfig::default()
                },
            },
            schedule: HardforkSchedule::at_genesis(Hardfork::Holocene),
            deposit_contract_address: PORTAL,
            l1_system_config_address: Address::repeat_byte(3),
            batch_inbox_address: Address::repeat_byte(0xff),
            ..RollupConfig::default()
        };
        let chain = Chain { time: GENESIS_TIME, hash: B256::repeat_byte(1), ..Chain::default() };
        Self {
            history: vec![chain.clone()],
            chain,
            pool: BTreeMap::new(),
            fork: 0,
            withdrawals: Vec::new(),
            frozen: None,
            anchor: 0,
            l1_up: true,
            rollup_up: true,
            lag: 0,
            answers: 0,
            games_too_dear: false,
            paused: false,
            blacklisted: false,
            permitted: key().address(),
            l1_chain_id: 900,
            l2_chain_id: 901,
            is_proxy: true,
            factory: FACTORY,
            implementation: IMPLEMENTATION,
            closing: true,
            arguments: true,
            rollup,
        }
    }

    pub(super) fn mine(&mut self) {
        let next = self.chain.number + 1;
        self.chain.number = next;
        self.chain.time += BLOCK_TIME;
        self.chain.hash =
            keccak256([b"l1".as_slice(), &next.to_be_bytes(), &self.fork.to_be_bytes()].concat());
        while let Some(tx) = self.pool.remove(&self.chain.nonce) {
            self.chain.nonce += 1;
            let (before, count) = (self.chain.clone(), self.chain.games.len());
            let to = tx.to().unwrap();
            let done = self.execute(key().address(), to, tx.value(), tx.input());
            let result = done.is_ok();
            if !result {
                self.chain = before;
            }
            let created = (self.chain.games.len() > count).then_some(count);
            self.chain.mined.insert(*tx.tx_hash(), (next, result, created));
        }
        self.history.push(self.chain.clone());
    }

    /// Drops so many blocks, with everything in them, and makes as many others.
    pub(super) fn reorg(&mut self, depth: usize) {
        self.drop_blocks(depth);
        (0..depth).for_each(|_| self.mine());
    }

    /// Drops so many blocks, with everything in them.
    pub(super) fn drop_blocks(&mut self, depth: usize) {
        self.fork += 1;
        self.history.truncate(self.history.len() - depth);
        self.chain = self.history.last().unwrap().clone();
        self.pool.clear();
    }

    pub(super) fn safe(&self) -> u64 {
        self.frozen.unwrap_or(self.chain.number)
    }

    pub(super) fn finalized(&self) -> u64 {
        self.safe().saturating_sub(FINALITY_LAG)
    }

    /// The newest block that the node knows whose turn it is.
    fn newest_of_a_node(&mut self) -> u64 {
        self.answers += 1;
        // In no order that the calls of a look could fall in with.
        let lags = keccak256(self.answers.to_be_bytes())[0].is_multiple_of(4);
        let lag = if lags { self.lag } else { 0 };
        self.chain.number.saturating_sub(lag)
    }

    fn withdrawals_root(&self, number: u64) -> B256 {
        let count = self.withdrawals.iter().filter(|block| **block <= number).count();
        B256::from(U256::from(count))
    }

    pub(super) fn output_root(&self, number: u64) -> B256 {
        output_root_v0(B256::repeat_byte(7), self.withdrawals_root(number), l2_hash(number))
    }

    fn l1_ref(&self) -> L1BlockRef {
        let Chain { number, hash, time: timestamp, .. } = self.chain;
        L1BlockRef { number, hash, timestamp, ..L1BlockRef::default() }
    }

    fn l2_ref(&self, number: u64) -> L2BlockRef {
        L2BlockRef { number, hash: l2_hash(number), ..L2BlockRef::default() }
    }

    fn status(&self) -> Value {
        json!({
            "current_l1": self.l1_ref(), "head_l1": self.l1_ref(),
            "safe_l2": self.l2_ref(self.safe()), "finalized_l2": self.l2_ref(self.finalized()),
        })
    }

    fn answer(&mut self, role: &str, method: &str, params: &Value) -> Result<Value, Value> {
        let error = |code: i64, message: &str, data: Value| {
            Err(json!({"code": code, "message": message, "data": data}))
        };
        let down = if role == "l1" { !self.l1_up } else { !self.rollup_up };
        if down {
            return error(-32000, "starting", Value::Null);
        }
        let address = |value: &Value| serde_json::from_value::<Address>(value.clone()).unwrap();
        Ok(match method {
            "optimism_rollupConfig" => serde_json::to_value(&self.rollup).unwrap(),
            "optimism_syncStatus" => self.status(),
            "optimism_outputAtBlock" => {
                let number: U64 = serde_json::from_value(params[0].clone()).unwrap();
                let number = number.to::<u64>();
                json!({
                    "version": B256::ZERO, "outputRoot": self.output_root(number),
                    "blockRef": self.l2_ref(number), "stateRoot": B256::repeat_byte(7),
                    "withdrawalStorageRoot": self.withdrawals_root(number),
                    "syncStatus": self.status(),
                })
            }
            "eth_chainId" => quantity(self.l1_chain_id),
            "eth_blockNumber" => quantity(self.chain.number),
            "eth_getBlockByNumber" => {
                self.mine();
                let newest = self.newest_of_a_node() as usize;
                let head = &self.history[newest];
                json!({
                    "number": quantity(head.number), "hash": head.hash,
                    "timestamp": quantity(head.time), "baseFeePerGas": "0x7",
                })
            }
            "eth_getStorageAt" => match self.is_proxy {
                true => json!(B256::repeat_byte(1)),
                false => json!(B256::ZERO),
            },
            "eth_call" | "eth_estimateGas" => {
                let call = &params[0];
                let from = call.get("from").map_or(Address::ZERO, address);
                let value = call
                    .get("value")
                    .map_or(U256::ZERO, |value| serde_json::from_value(value.clone()).unwrap());
                let data: Bytes = serde_json::from_value(call["data"].clone()).unwrap();
                let to = address(&call["to"]);
                let is_estimate = method == "eth_estimateGas";
                if is_estimate && self.games_too_dear && to != self.factory {
                    let text = "gas required exceeds allowance (50000000)";
                    return error(-32000, text, Value::Null);
                }
                let before = self.chain.clone();
                if let Some(hash) = params[1].get("blockHash") {
                    let hash: B256 = serde_json::from_value(hash.clone()).unwrap();
                    let newest = self.newest_of_a_node() as usize;
                    let known = self.history.iter().take(newest + 1).find(|at| at.hash == hash);
                    let Some(state) = known else {
                        return error(-32000, "header for hash not found", Value::Null);
                    };
                    self.chain = state.clone();
                }
                let result = self.execute(from, to, value, &data);
                self.chain = before;
                match result {
                    Ok(_) if is_estimate => quantity(200_000),
                    Ok(data) => json!(Bytes::from(data)),
                    Err(data) => {
                        return error(3, "execution reverted", json!(Bytes::from(data)));
                    }
                }
            }
            "eth_getTransactionCount" => quantity(self.chain.nonce),
            "eth_maxPriorityFeePerGas" => quantity(1),
            "eth_sendRawTransaction" => {
                let raw: Bytes = serde_json::from_value(params[0].clone()).unwrap();
                let tx = Tx::decode_2718(&mut raw.as_ref()).unwrap();
                let hash = *tx.tx_hash();
                self.pool.insert(tx.nonce(), tx);
                json!(hash)
            }
            "eth_getTransactionReceipt" => {
                let hash: B256 = serde_json::from_value(params[0].clone()).unwrap();
                match self.chain.mined.get(&hash) {
                    Some((block, success, created)) => {
                        let games = created.iter().map(|index| &self.chain.games[*index]);
                        let logs: Vec<Value> =
                            games.map(|game| creation(hash, *block, game)).collect();
                        json_rpc::receipt(json!(hash), *block, *success, &logs)
                    }
                    None => Value::Null,
                }
            }
            _ => return error(-32601, "no such method", Value::Null),
        })
    }
}

/// The event of a game's creation, as receipts hold it.
fn creation(transaction: B256, block: u64, game: &Game) -> Value {
    let event =
        DisputeGameCreated { disputeProxy: game.address, gameType: 1, rootClaim: game.root };
    let log = event.encode_log_data();
    json!({
        "address": FACTORY, "topics": log.topics(), "data": log.data, "blockHash": B256::ZERO,
        "blockNumber": quantity(block), "logIndex": "0x0", "transactionHash": transaction,
        "transactionIndex": "0x0", "removed": false,
    })
}

type Shared = Arc<Mutex<World>>;

/// A world and what a proposer in it is started with.
pub(super) struct Stage {
    pub world: Shared,
    pub config: ProposerConfig,
    pub shutdown: Shutdown,
}

impl Stage {
    pub(super) async fn new() -> Self {
        let world = Arc::new(Mutex::new(World::new()));
        let shared = Arc::clone(&world);
        let answer = move |role: &str, method: &str, params: &Value| {
            shared.lock().unwrap().answer(role, method, params)
        };
        let url = json_rpc::serve(Arc::new(answer)).await;
        let l1 = format!("{url}/l1").parse().unwrap();
        let mut config = ProposerConfig::devnet(l1, &format!("{url}/rollup"), key(), 2).unwrap();
        config.poll_interval = Duration::from_millis(10);
        config.tx_manager.poll_interval = Duration::from_millis(10);
        config.pace.allow_non_finalized = false;
        config.pace.withdrawal_interval = None;
        config.lookahead = 0;
        Self { world, config, shutdown: Shutdown::new() }
    }

    pub(super) async fn start(&self) -> Result<Proposer, ProposerError> {
        Proposer::start(self.config.clone(), &self.shutdown).await
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.world.lock().unwrap())
    }

    pub(super) async fn until(&self, what: &str, condition: impl Fn(&World) -> bool) {
        let wait = async {
            while !condition(&self.world.lock().unwrap()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect(what);
    }

    /// Lets L1 make so many blocks.
    pub(super) async fn blocks(&self, count: u64) {
        let end = self.change(|world| world.chain.number) + count;
        self.until("L1 goes on", |world| world.chain.number >= end).await;
    }
}

pub(super) async fn until_stats(
    proposer: &Proposer,
    condition: impl FnMut(&ProposerStats) -> bool,
) -> ProposerStats {
    let mut stats = proposer.stats();
    let wait = stats.wait_for(condition);
    *tokio::time::timeout(Duration::from_secs(30), wait).await.expect("statistics").unwrap()
}

//! The service against an L1, a node and a derivation that run inside the test. The L1 makes a
//! block whenever the batcher asks for the sync status.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_consensus::{EthereumTxEnvelope, Transaction, TxEip4844WithSidecar};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes};
use opal_protocol::batcher_tx::decode_batcher_data;
use opal_protocol::blob::decode_blob;
use opal_protocol::{Batch, ChannelId, ChannelReader, Frame, Hardfork, SealedBlock};
use opal_service::Shutdown;
use opal_service::shutdown::GRACE;
use opal_tests::json_rpc::{self, quantity};
use serde_json::{Value, json};

use super::support::{Chain, batcher_key, config, l1};
use crate::batcher::config::BatcherConfig;
use crate::batcher::{Batcher, BatcherError, BatcherStats, DataAvailabilityType};

type Tx = EthereumTxEnvelope<TxEip4844WithSidecar>;

struct World {
    chain: Chain,
    l1_head: u64,
    nonce: u64,
    pool: BTreeMap<u64, Tx>,
    mined: BTreeMap<B256, u64>,
    /// Bytes of batcher data on L1.
    bytes: u64,
    /// So many of the next transactions are mined but not derived from.
    ignore: usize,
    /// So many of the next transactions are refused by the pool.
    refuse: usize,
    batcher: Address,
    channel: Option<(ChannelId, Vec<Frame>)>,
    safe: u64,
    /// Whether the rollup RPC answers.
    up: bool,
    l1_chain_id: u64,
}

impl World {
    fn mine(&mut self) {
        self.l1_head += 1;
        while let Some(tx) = self.pool.remove(&self.nonce) {
            self.nonce += 1;
            self.mined.insert(*tx.tx_hash(), self.l1_head);
            let payloads = match &tx {
                Tx::Eip4844(tx) => {
                    let blobs = tx.tx().sidecar.blobs().iter();
                    blobs.map(|blob| decode_blob(blob).unwrap()).collect()
                }
                tx => vec![tx.input().clone()],
            };
            self.bytes += payloads.iter().map(|p| p.len() as u64).sum::<u64>();
            if self.ignore > 0 {
                self.ignore -= 1;
                continue;
            }
            for frame in payloads.iter().flat_map(|p| decode_batcher_data(p).unwrap()) {
                self.frame(frame);
            }
        }
    }

    /// Takes frames in strict order only, as derivation does from Holocene on.
    fn frame(&mut self, frame: Frame) {
        let last = frame.is_last;
        match &mut self.channel {
            _ if frame.number == 0 => self.channel = Some((frame.id, vec![frame])),
            Some((id, frames)) if *id == frame.id && frames.len() == usize::from(frame.number) => {
                frames.push(frame);
            }
            _ => return,
        }
        if !last {
            return;
        }
        let Some((_, frames)) = self.channel.take() else { return };
        let data: Vec<u8> = frames.iter().flat_map(|frame| frame.data.to_vec()).collect();
        let mut reader = ChannelReader::new(&data, 100_000_000, true).unwrap();
        while let Some(batch) = reader.next_batch() {
            let Batch::Span(span) = batch.unwrap() else { panic!("a singular batch") };
            let config = &self.chain.config;
            let span = span
                .into_span(config.block_time, config.genesis.l2_time, config.l2_chain_id)
                .unwrap();
            for batch in span.blocks() {
                let Some(block) = self.chain.blocks.get(self.safe as usize + 1) else { return };
                let transactions = block.block.body.transactions.iter();
                let expected = transactions.filter(|tx| !tx.is_deposit_tx());
                let expected: Vec<Bytes> = expected.map(|tx| tx.encoded_2718().into()).collect();
                let expected = (block.header().timestamp, expected);
                if (batch.timestamp, batch.transactions) == expected {
                    self.safe += 1;
                }
            }
        }
    }

    fn answer(&mut self, role: &str, method: &str, params: &Value) -> Result<Value, String> {
        Ok(match (role, method) {
            ("rollup", _) if !self.up => return Err("starting".to_owned()),
            ("rollup", "optimism_rollupConfig") => {
                serde_json::to_value(&*self.chain.config).unwrap()
            }
            ("rollup", "optimism_syncStatus") => {
                self.mine();
                let (safe, newest) =
                    (self.chain.reference(self.safe), self.chain.reference(self.chain.head()));
                json!({
                    "current_l1": l1(self.l1_head), "head_l1": l1(self.l1_head),
                    "unsafe_l2": newest, "safe_l2": safe, "local_safe_l2": safe,
                })
            }
            ("l2", "eth_chainId") => quantity(901),
            ("l2", "eth_getBlockByNumber") => {
                let number = params[0].as_str().unwrap().trim_start_matches("0x");
                let number = usize::from_str_radix(number, 16).unwrap();
                self.chain.blocks.get(number).map_or(Value::Null, block_json)
            }
            ("l1", "eth_chainId") => quantity(self.l1_chain_id),
            ("l1", "eth_blockNumber") => quantity(self.l1_head),
            ("l1", "eth_call") => {
                assert_eq!(params[0]["data"], "0xe81b2c6d");
                json!(self.batcher.into_word())
            }
            ("l1", "eth_getTransactionCount") => quantity(self.nonce),
            ("l1", "eth_maxPriorityFeePerGas" | "eth_blobBaseFee") => quantity(1),
            ("l1", "eth_estimateGas") => quantity(21_000),
            ("l1", "eth_getBlockByNumber") => {
                json!({ "baseFeePerGas": "0x7", "excessBlobGas": "0x0" })
            }
            ("l1", "eth_sendRawTransaction") => {
                if self.refuse > 0 {
                    self.refuse -= 1;
                    return Err("transaction type not supported".to_owned());
                }
                let raw: Bytes = serde_json::from_value(params[0].clone()).unwrap();
                let tx = Tx::decode_2718(&mut raw.as_ref()).unwrap();
                assert_eq!(tx.to(), Some(self.chain.config.batch_inbox_address));
                let hash = *tx.tx_hash();
                self.pool.insert(tx.nonce(), tx);
                json!(hash)
            }
            ("l1", "eth_getTransactionReceipt") => {
                let hash: B256 = serde_json::from_value(params[0].clone()).unwrap();
                let receipt = |block: &u64| json_rpc::receipt(json!(hash), *block, true, &[]);
                self.mined.get(&hash).map_or(Value::Null, receipt)
            }
            _ => return Err(format!("method {method} not found")),
        })
    }
}

fn block_json(block: &SealedBlock) -> Value {
    let header = alloy_rpc_types_eth::Header::new(block.header().clone());
    let mut json = serde_json::to_value(header).unwrap();
    json["transactions"] = serde_json::to_value(&block.block.body.transactions).unwrap();
    json
}

type Shared = Arc<Mutex<World>>;

struct Stage {
    world: Shared,
    config: BatcherConfig,
    shutdown: Shutdown,
}

/// A world with this many blocks of two transactions.
async fn stage(blocks: usize, da: DataAvailabilityType) -> Stage {
    let mut chain = Chain::new(Hardfork::Holocene);
    Arc::make_mut(&mut chain.config).seq_window_size = 1_000_000;
    for _ in 0..blocks {
        chain.extend(2, 100);
    }
    let world = Arc::new(Mutex::new(World {
        chain,
        l1_head: 100,
        nonce: 0,
        pool: BTreeMap::new(),
        mined: BTreeMap::new(),
        bytes: 0,
        ignore: 0,
        refuse: 0,
        batcher: batcher_key().address(),
        channel: None,
        safe: 0,
        up: true,
        l1_chain_id: 900,
    }));
    let shared = Arc::clone(&world);
    let answer = move |role: &str, method: &str, params: &Value| {
        shared.lock().unwrap().answer(role, method, params).map_err(json_rpc::refused)
    };
    let url = json_rpc::serve(Arc::new(answer)).await;
    let [l1, l2, rollup] = ["l1", "l2", "rollup"].map(|role| format!("{url}/{role}"));
    let mut config = config(&l1, &l2, &rollup, da);
    config.poll_interval = Duration::from_millis(10);
    config.tx_manager.poll_interval = Duration::from_millis(10);
    Stage { world, config, shutdown: Shutdown::new() }
}

impl Stage {
    async fn start(&self) -> Result<Batcher, BatcherError> {
        Batcher::start(self.config.clone(), &self.shutdown).await
    }

    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.world.lock().unwrap())
    }

    async fn until(&self, what: &str, condition: impl Fn(&World) -> bool) {
        let wait = async {
            while !condition(&self.world.lock().unwrap()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect(what);
    }

    async fn until_all_is_safe(&self) {
        self.until("all blocks become safe", |world| world.safe == world.chain.head()).await;
    }
}

async fn until_stats(
    batcher: &Batcher,
    condition: impl FnMut(&BatcherStats) -> bool,
) -> BatcherStats {
    let mut stats = batcher.stats();
    let wait = stats.wait_for(condition);
    *tokio::time::timeout(Duration::from_secs(30), wait).await.expect("statistics").unwrap()
}

async fn posts_and_counts(da: DataAvailabilityType) {
    let stage = stage(7, da).await;
    let batcher = stage.start().await.unwrap();
    stage.until_all_is_safe().await;
    stage.change(|world| (0..3).for_each(|_| drop(world.chain.extend(1, 50))));
    stage.until_all_is_safe().await;
    let stats = until_stats(&batcher, |stats| stats.l2_transactions == 17).await;
    let (bytes, count) = stage.change(|world| (world.bytes, world.mined.len() as u64));
    assert_eq!((stats.l1_bytes, stats.transactions), (bytes, count));
    assert_eq!((stats.failed_transactions, stats.lost_channels, stats.paused), (0, 0, false));
    stage.shutdown.trigger("end of the test");
    assert_eq!(stage.shutdown.stopped(GRACE).await.exit_code(), 0);
}

#[tokio::test]
async fn blocks_become_safe_through_calldata() {
    posts_and_counts(DataAvailabilityType::Calldata).await;
}

#[tokio::test]
async fn blocks_become_safe_through_blobs() {
    posts_and_counts(DataAvailabilityType::Blobs).await;
}

#[tokio::test]
async fn a_restarted_batcher_goes_on_at_the_safe_head() {
    let mut stage = stage(4, DataAvailabilityType::Calldata).await;
    stage.start().await.unwrap();
    stage.until_all_is_safe().await;
    stage.shutdown.trigger("restart");
    stage.shutdown.stopped(GRACE).await;
    let bytes = stage.change(|world| {
        world.chain.extend(2, 100);
        world.bytes
    });
    stage.shutdown = Shutdown::new();
    let batcher = stage.start().await.unwrap();
    stage.until_all_is_safe().await;
    let stats = until_stats(&batcher, |stats| stats.l2_transactions == 2).await;
    assert_eq!(stats.l1_bytes, stage.change(|world| world.bytes) - bytes);
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn a_channel_that_derivation_ignores_is_posted_again_and_counted_once() {
    let stage = stage(4, DataAvailabilityType::Calldata).await;
    stage.change(|world| world.ignore = 1);
    let batcher = stage.start().await.unwrap();
    stage.until_all_is_safe().await;
    let stats = until_stats(&batcher, |stats| stats.transactions >= 2).await;
    assert_eq!((stats.l2_transactions, stats.lost_channels), (8, 1));
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn what_l1_refuses_is_sent_again() {
    let stage = stage(4, DataAvailabilityType::Calldata).await;
    stage.change(|world| world.refuse = 1);
    let batcher = stage.start().await.unwrap();
    stage.until_all_is_safe().await;
    assert_eq!(batcher.stats().borrow().failed_transactions, 1);
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn a_reorganised_l2_is_posted_as_it_is_now() {
    let stage = stage(6, DataAvailabilityType::Calldata).await;
    stage.start().await.unwrap();
    stage.until("some blocks become safe", |world| world.safe >= 4).await;
    stage.change(|world| {
        let safe = world.safe;
        (0..3).for_each(|_| drop(world.chain.extend(1, 0)));
        world.chain.reorg(safe);
    });
    stage.until_all_is_safe().await;
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn a_key_that_l1_does_not_name_posts_nothing() {
    let stage = stage(3, DataAvailabilityType::Calldata).await;
    stage.change(|world| world.batcher = Address::repeat_byte(0x42));
    let batcher = stage.start().await.unwrap();
    until_stats(&batcher, |stats| stats.paused).await;
    let head = stage.change(|world| world.l1_head);
    stage.until("L1 goes on", |world| world.l1_head > head + 5).await;
    assert_eq!(stage.change(|world| world.nonce + world.pool.len() as u64), 0);
    // Named at last, it posts; replaced, it pauses again.
    stage.change(|world| world.batcher = batcher_key().address());
    stage.until_all_is_safe().await;
    until_stats(&batcher, |stats| !stats.paused).await;
    stage.change(|world| world.batcher = Address::ZERO);
    until_stats(&batcher, |stats| stats.paused).await;
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn an_endpoint_that_comes_up_later_is_waited_for() {
    let stage = stage(3, DataAvailabilityType::Calldata).await;
    stage.change(|world| world.up = false);
    let batcher = stage.start().await.unwrap();
    assert_eq!(*batcher.stats().borrow(), BatcherStats::default());
    stage.change(|world| world.up = true);
    stage.until_all_is_safe().await;
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn the_operator_starts_stops_and_flushes_it() {
    let mut stage = stage(3, DataAvailabilityType::Calldata).await;
    stage.config.stopped = true;
    stage.config.admin_rpc = Some(([127, 0, 0, 1], 0).into());
    // Without a flush, nothing this small would be posted.
    stage.config.posting.max_channel_duration = 0;
    let batcher = stage.start().await.unwrap();
    let url = batcher.rpc().unwrap().http_url().parse().unwrap();
    let client = opal_service::http::provider(&url).unwrap();
    let call = async |method: &'static str| {
        use alloy_provider::Provider;
        client.client().request_noparams::<()>(method).await.map_err(|e| e.to_string())
    };
    assert!(call("admin_flushBatcher").await.unwrap_err().contains("the batcher is stopped"));
    assert_eq!(stage.change(|world| world.l1_head), 100);
    call("admin_startBatcher").await.unwrap();
    assert!(call("admin_startBatcher").await.unwrap_err().contains("running already"));
    stage.until("the batcher looks around", |world| world.l1_head > 105).await;
    assert_eq!(stage.change(|world| world.nonce), 0);
    call("admin_flushBatcher").await.unwrap();
    stage.until_all_is_safe().await;
    call("admin_stopBatcher").await.unwrap();
    assert!(call("admin_stopBatcher").await.unwrap_err().contains("the batcher is stopped"));
    stage.shutdown.trigger("end of the test");
}

#[tokio::test]
async fn endpoints_of_other_chains_and_bad_margins_are_refused() {
    let mut stage = stage(1, DataAvailabilityType::Calldata).await;
    stage.change(|world| world.l1_chain_id = 1);
    let error = stage.start().await.unwrap_err();
    let expected = "--l1-eth-rpc serves chain 1, but the rollup configuration names 900";
    assert_eq!(error.to_string(), expected);
    stage.change(|world| world.l1_chain_id = 900);
    stage.config.posting.sub_safety_margin = 50;
    let error = stage.start().await.unwrap_err();
    assert!(matches!(error, BatcherError::Margin { margin: 50, timeout: 50, .. }), "{error}");
}

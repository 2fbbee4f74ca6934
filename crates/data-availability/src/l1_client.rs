//! Reads L1 through JSON-RPC.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use alloy_consensus::Header;
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip4844::Blob;
use alloy_primitives::{B256, U64};
use alloy_provider::{DynProvider, Provider};
use alloy_transport::{RpcError, TransportError};
use futures::stream::{self, StreamExt, TryStreamExt};
use opal_protocol::{L1BlockRef, Receipt, TxEnvelope};
use opal_service::http;
use tracing::{debug, info, warn};
use url::Url;

use crate::DaError;
use crate::beacon::BeaconClient;
use crate::rpc_block::{Layer, RpcBlock, RpcBlockRef, RpcReceipt, verify_receipts};

const TARGET: &str = "opal::da";

/// Blocks kept in memory: enough for two nodes that read the same chain side by side.
const CACHED_BLOCKS: usize = 64;
/// Most bytes of blocks kept in memory, by [`L1BlockData::weight`].
const CACHED_BYTES: usize = 64 << 20;

/// Depth of the `safe` block on an L1 that does not tell: one epoch.
const SAFE_DEPTH: u64 = 32;

/// Depth of the `finalized` block on an L1 that does not tell: two epochs.
const FINALIZED_DEPTH: u64 = 64;

/// Mainnet, Sepolia, Holesky and Hoodi: none of their nodes is allowed what anvil is.
const PUBLIC_L1S: [u64; 4] = [1, 11_155_111, 17_000, 560_048];

/// Receipts fetched at once where an L1 only gives them one by one.
const RECEIPTS_AT_ONCE: usize = 16;

/// A block named by what it is instead of by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockTag {
    /// Tip of the chain.
    Latest,
    /// Unlikely to be reorganised.
    Safe,
    /// Final.
    Finalized,
}

impl BlockTag {
    const fn name(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::Safe => "safe",
            Self::Finalized => "finalized",
        }
    }

    const fn depth(self) -> u64 {
        match self {
            Self::Latest => 0,
            Self::Safe => SAFE_DEPTH,
            Self::Finalized => FINALIZED_DEPTH,
        }
    }
}

/// An L1 block whose transactions and receipts match the roots in its header.
#[derive(Clone, Debug)]
pub struct L1BlockData {
    /// Hash, number, parent and time.
    pub reference: L1BlockRef,
    /// The header.
    pub header: Header,
    /// Transactions in block order.
    pub transactions: Arc<Vec<TxEnvelope>>,
    /// Receipts in block order.
    pub receipts: Arc<Vec<Receipt>>,
}

impl L1BlockData {
    /// About how much memory the block takes, in bytes.
    pub fn weight(&self) -> usize {
        const FIXED: usize = 512;
        let transactions = self.transactions.iter().map(|tx| FIXED + tx.encode_2718_len());
        let receipts = self.receipts.iter().map(|receipt| {
            let logs = receipt.logs.iter();
            FIXED + logs.map(|log| FIXED / 2 + log.data.data.len()).sum::<usize>()
        });
        FIXED + transactions.sum::<usize>() + receipts.sum::<usize>()
    }
}

/// Reads an L1 through its JSON-RPC and, for blobs, its beacon API. All calls can be made at once;
/// nothing is retried here except rate-limited requests.
pub struct L1Client {
    provider: DynProvider,
    /// The endpoint without credentials, for messages.
    endpoint: String,
    chain_id: u64,
    /// Asked in this order.
    beacons: Vec<BeaconClient>,
    tags_by_depth: bool,
    sidecars_in_root: bool,
    no_block_receipts: AtomicBool,
    cache: Mutex<Cache>,
}

impl fmt::Debug for L1Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("L1Client")
            .field("endpoint", &self.endpoint)
            .field("chain_id", &self.chain_id)
            .field("beacons", &self.beacons)
            .finish_non_exhaustive()
    }
}

/// The blocks read last, by hash; the oldest entry leaves first.
#[derive(Default)]
struct Cache {
    blocks: HashMap<B256, Arc<L1BlockData>>,
    /// Hashes and weights.
    order: VecDeque<(B256, usize)>,
    bytes: usize,
}

impl Cache {
    fn insert(&mut self, block: Arc<L1BlockData>) {
        let (hash, weight) = (block.reference.hash, block.weight());
        if self.blocks.insert(hash, block).is_none() {
            self.order.push_back((hash, weight));
            self.bytes += weight;
        }
        while (self.order.len() > CACHED_BLOCKS || self.bytes > CACHED_BYTES)
            && let Some((oldest, weight)) = self.order.pop_front()
        {
            self.bytes -= weight;
            self.blocks.remove(&oldest);
        }
    }
}

impl L1Client {
    /// Connects, and finds out what the L1 lacks; what can be made up for is logged once.
    ///
    /// # Errors
    /// When an endpoint does not answer, or is not what it should be.
    pub async fn connect(rpc: &Url, beacon: Option<&Url>) -> Result<Self, DaError> {
        Self::connect_with(rpc, beacon, &[]).await
    }

    /// As [`L1Client::connect`], with further beacon endpoints to ask for blobs that those before
    /// them do not give.
    ///
    /// # Errors
    /// As [`L1Client::connect`]; a further beacon endpoint that does not answer is left out.
    pub async fn connect_with(
        rpc: &Url,
        beacon: Option<&Url>,
        fallbacks: &[Url],
    ) -> Result<Self, DaError> {
        let provider = http::provider(rpc)?;
        let endpoint = http::without_credentials(rpc);
        let failed = |what: &str, error: TransportError| DaError::rpc(&endpoint, what, &error);
        let chain_id =
            provider.get_chain_id().await.map_err(|error| failed("eth_chainId", error))?;
        let tags_by_depth = match request_ref(&provider, "finalized").await {
            Ok(_) => false,
            Err(RpcError::ErrorResp(error)) => {
                warn!(target: TARGET, endpoint, reason = %error.message,
                    "L1 has no finalized block yet or does not know the tag; \
                     until it tells, blocks count as safe and final by their depth");
                true
            }
            Err(error) => return Err(failed("eth_getBlockByNumber", error)),
        };
        let mut beacons = Vec::new();
        if let Some(url) = beacon {
            beacons.push(BeaconClient::connect(url).await?);
        }
        for url in fallbacks {
            match BeaconClient::connect(url).await {
                Ok(beacon) => beacons.push(beacon),
                Err(error) => {
                    warn!(target: TARGET, %error, "beacon fallback is not used until the next start");
                }
            }
        }
        if beacons.is_empty() {
            info!(target: TARGET, "no beacon endpoint given: batches in blobs cannot be read");
        }
        let sidecars_in_root =
            !PUBLIC_L1S.contains(&chain_id) && computes_roots_with_sidecars(&provider).await;
        if sidecars_in_root {
            info!(target: TARGET, endpoint,
                "this L1 (anvil) computes its transactions root from blob transactions with their \
                 sidecars: the root of such blocks is not checked, each transaction's hash is");
        }
        debug!(target: TARGET, endpoint, chain_id, "L1 connected");
        Ok(Self {
            provider,
            endpoint,
            chain_id,
            beacons,
            tags_by_depth,
            sidecars_in_root,
            no_block_receipts: AtomicBool::new(false),
            cache: Mutex::default(),
        })
    }

    /// Chain id of the L1.
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Fails unless the L1 is the chain meant.
    ///
    /// # Errors
    /// [`DaError::WrongChain`].
    pub fn expect_chain_id(&self, expected: u64) -> Result<(), DaError> {
        if self.chain_id == expected {
            return Ok(());
        }
        Err(DaError::WrongChain { endpoint: self.endpoint.clone(), expected, found: self.chain_id })
    }

    /// The alloy provider behind the client.
    pub const fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// The labelled block. On an L1 without finality labels, `safe` and `finalized` are the blocks
    /// 32 and 64 below the tip; genesis where the chain is shorter.
    ///
    /// # Errors
    /// When L1 does not answer.
    pub async fn block_ref(&self, tag: BlockTag) -> Result<L1BlockRef, DaError> {
        match request_ref(&self.provider, tag.name()).await {
            Ok(Some(block)) => return Ok(block.reference()),
            Ok(None) if tag == BlockTag::Latest => {
                return Err(DaError::NotFound("latest".to_owned()));
            }
            Ok(None) => {}
            Err(RpcError::ErrorResp(_)) if tag != BlockTag::Latest && self.tags_by_depth => {}
            // A tag that worked before and fails now must not silently move to a depth.
            Err(error) => return Err(self.failed("eth_getBlockByNumber", &error)),
        }
        let latest = request_ref(&self.provider, BlockTag::Latest.name())
            .await
            .map_err(|error| self.failed("eth_getBlockByNumber", &error))?
            .ok_or_else(|| DaError::NotFound("latest".to_owned()))?
            .reference();
        self.block_ref_by_number(latest.number.saturating_sub(tag.depth())).await
    }

    /// The canonical block of this number.
    ///
    /// # Errors
    /// When it is not there or L1 does not answer.
    pub async fn block_ref_by_number(&self, number: u64) -> Result<L1BlockRef, DaError> {
        match request_ref(&self.provider, &format!("{number:#x}")).await {
            Ok(Some(block)) => Ok(block.reference()),
            Ok(None) => Err(DaError::NotFound(number.to_string())),
            Err(error) => Err(self.failed("eth_getBlockByNumber", &error)),
        }
    }

    /// The block with this hash.
    ///
    /// # Errors
    /// When it is not there or L1 does not answer.
    pub async fn block_ref_by_hash(&self, hash: B256) -> Result<L1BlockRef, DaError> {
        if let Some(block) = self.cached(hash) {
            return Ok(block.reference);
        }
        let client = self.provider.client();
        let request = client.request::<_, Option<RpcBlockRef>>("eth_getBlockByHash", (hash, false));
        match request.await {
            Ok(Some(block)) if block.reference().hash == hash => Ok(block.reference()),
            Ok(_) => Err(DaError::NotFound(hash.to_string())),
            Err(error) => Err(self.failed("eth_getBlockByHash", &error)),
        }
    }

    /// Hash of the canonical block of this number; `None` above the tip.
    ///
    /// # Errors
    /// When L1 does not answer.
    pub async fn canonical_hash(&self, number: u64) -> Result<Option<B256>, DaError> {
        match request_ref(&self.provider, &format!("{number:#x}")).await {
            Ok(block) => Ok(block.map(|block| block.reference().hash)),
            Err(error) => Err(self.failed("eth_getBlockByNumber", &error)),
        }
    }

    /// The canonical block of this number with its transactions and receipts, verified.
    ///
    /// # Errors
    /// When it is not there, L1 does not answer, or its parts do not fit together.
    pub async fn block_by_number(&self, number: u64) -> Result<Arc<L1BlockData>, DaError> {
        let what = "eth_getBlockByNumber";
        let params = (U64::from(number), true);
        let block = self.provider.client().request::<_, Option<RpcBlock>>(what, params).await;
        let block = block.map_err(|error| self.failed(what, &error))?;
        let block = block.ok_or_else(|| DaError::NotFound(number.to_string()))?;
        self.complete(block).await
    }

    /// The block with this hash with its transactions and receipts, verified.
    ///
    /// # Errors
    /// When it is not there, L1 does not answer, or its parts do not fit together.
    pub async fn block_by_hash(&self, hash: B256) -> Result<Arc<L1BlockData>, DaError> {
        if let Some(block) = self.cached(hash) {
            return Ok(block);
        }
        let what = "eth_getBlockByHash";
        let block = self.provider.client().request::<_, Option<RpcBlock>>(what, (hash, true)).await;
        let block = block.map_err(|error| self.failed(what, &error))?;
        let block = block.ok_or_else(|| DaError::NotFound(hash.to_string()))?;
        let block = self.complete(block).await?;
        if block.reference.hash != hash {
            return Err(DaError::NotFound(hash.to_string()));
        }
        Ok(block)
    }

    /// The blobs of a block in the order of `hashes`, each recomputed to its versioned hash.
    ///
    /// # Errors
    /// When no beacon endpoint was given, it does not answer, or does not have a blob.
    pub async fn blobs(
        &self,
        block: &L1BlockRef,
        hashes: &[B256],
    ) -> Result<Vec<Box<Blob>>, DaError> {
        if hashes.is_empty() {
            return Ok(Vec::new());
        }
        let mut first_error = None;
        for beacon in &self.beacons {
            match beacon.blobs(block, hashes).await {
                Ok(blobs) => return Ok(blobs),
                Err(error) => {
                    debug!(target: TARGET, %error, "asking the next beacon endpoint");
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or_else(|| DaError::NoBeacon(block.id())))
    }

    /// Whether blobs can be read.
    pub const fn has_beacon(&self) -> bool {
        !self.beacons.is_empty()
    }

    fn cached(&self, hash: B256) -> Option<Arc<L1BlockData>> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.blocks.get(&hash).cloned()
    }

    async fn complete(&self, block: RpcBlock) -> Result<Arc<L1BlockData>, DaError> {
        let block = block.verify(Layer::L1 { sidecars_in_root: self.sidecars_in_root })?;
        if let Some(cached) = self.cached(block.hash) {
            return Ok(cached);
        }
        let hashes: Vec<B256> =
            block.block.body.transactions.iter().map(TxEnvelope::tx_hash).collect();
        let receipts = self.receipts(block.hash, &hashes).await?;
        let receipts = verify_receipts(&block, receipts)?;
        let reference = L1BlockRef::from_header(block.hash, block.header());
        let block = Arc::unwrap_or_clone(block.block);
        let block = Arc::new(L1BlockData {
            reference,
            header: block.header,
            transactions: Arc::new(block.body.transactions),
            receipts: Arc::new(receipts),
        });
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(&block));
        Ok(block)
    }

    async fn receipts(&self, block: B256, txs: &[B256]) -> Result<Vec<RpcReceipt>, DaError> {
        if txs.is_empty() {
            return Ok(Vec::new());
        }
        if !self.no_block_receipts.load(Ordering::Relaxed) {
            let what = "eth_getBlockReceipts";
            let client = self.provider.client();
            match client.request::<_, Option<Vec<RpcReceipt>>>(what, (block,)).await {
                Ok(Some(receipts)) => return Ok(receipts),
                Ok(None) => return Err(DaError::NotFound(block.to_string())),
                Err(error) if lacks_method(&error) => {
                    info!(target: TARGET, endpoint = self.endpoint,
                        "L1 lacks eth_getBlockReceipts; reading receipts one by one");
                    self.no_block_receipts.store(true, Ordering::Relaxed);
                }
                Err(error) => return Err(self.failed(what, &error)),
            }
        }
        stream::iter(txs.iter().copied())
            .map(|tx| self.receipt(tx))
            .buffered(RECEIPTS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn receipt(&self, tx: B256) -> Result<RpcReceipt, DaError> {
        let what = "eth_getTransactionReceipt";
        match self.provider.client().request::<_, Option<RpcReceipt>>(what, (tx,)).await {
            Ok(Some(receipt)) => Ok(receipt),
            Ok(None) => Err(DaError::NotFound(format!("with transaction {tx}"))),
            Err(error) => Err(self.failed(what, &error)),
        }
    }

    fn failed(&self, what: &str, error: &TransportError) -> DaError {
        DaError::rpc(&self.endpoint, what, error)
    }
}

/// Whether the L1 is anvil, whose headers commit to blob transactions in their network form. An L1
/// that does not tell its version is taken to follow the rules.
async fn computes_roots_with_sidecars(provider: &DynProvider) -> bool {
    provider.get_client_version().await.is_ok_and(|version| version.starts_with("anvil/"))
}

async fn request_ref(
    provider: &DynProvider,
    number_or_tag: &str,
) -> Result<Option<RpcBlockRef>, TransportError> {
    provider.client().request("eth_getBlockByNumber", (number_or_tag, false)).await
}

fn lacks_method(error: &TransportError) -> bool {
    error.as_error_resp().is_some_and(|error| {
        let text = error.message.to_lowercase();
        error.code == -32601
            || ["not found", "not exist", "not supported", "not available", "unsupported"]
                .iter()
                .any(|words| text.contains("method") && text.contains(words))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fake_server::{
        Answer, blob_tx, block, block_json, hash, json_rpc, no_method, receipts_json, signed_tx,
    };
    use opal_protocol::SealedBlock;
    use serde_json::{Value, json};

    /// An L1 of a few blocks.
    #[derive(Clone)]
    struct Fake {
        blocks: Vec<(SealedBlock, Vec<Receipt>)>,
        block_receipts: bool,
        finalized: Option<u64>,
        version: Option<&'static str>,
        /// Changes an answer before it is given.
        tamper: fn(&str, Value) -> Value,
    }

    impl Fake {
        fn new(length: u64) -> Self {
            let mut blocks: Vec<(SealedBlock, Vec<Receipt>)> = Vec::new();
            for number in 0..length {
                let parent_hash = blocks.last().map_or_else(|| hash(0), |(block, _)| block.hash);
                let header = Header {
                    number,
                    parent_hash,
                    timestamp: 1000 + 12 * number,
                    base_fee_per_gas: Some(7),
                    ..Header::default()
                };
                let txs = (0..number % 4).map(|n| signed_tx(n, vec![n as u8].into())).collect();
                blocks.push(block(header, txs));
            }
            Self {
                blocks,
                block_receipts: true,
                finalized: Some(1),
                version: None,
                tamper: |_, value| value,
            }
        }

        fn answer(&self, method: &str, params: &Value) -> Result<Value, (i64, String)> {
            let by_hash =
                |value: &Value| self.blocks.iter().find(|(block, _)| json!(block.hash) == *value);
            let tip = self.blocks.len() as u64 - 1;
            let value = match method {
                "eth_chainId" => json!("0x384"),
                "web3_clientVersion" if self.version.is_some() => json!(self.version),
                "eth_getBlockByNumber" => {
                    let number = match params[0].as_str().unwrap() {
                        "latest" => Some(tip),
                        "safe" | "finalized" => match self.finalized {
                            Some(number) => Some(number),
                            None => return Err((-39001, "finalized block not found".to_owned())),
                        },
                        hex => u64::from_str_radix(hex.trim_start_matches("0x"), 16).ok(),
                    };
                    let block = number.and_then(|number| self.blocks.get(number as usize));
                    block.map_or(Value::Null, |(block, _)| block_json(block, params[1] == true))
                }
                "eth_getBlockByHash" => by_hash(&params[0])
                    .map_or(Value::Null, |(block, _)| block_json(block, params[1] == true)),
                "eth_getBlockReceipts" if self.block_receipts => {
                    let (block, receipts) = by_hash(&params[0]).unwrap();
                    json!(receipts_json(block, receipts))
                }
                "eth_getTransactionReceipt" => self
                    .blocks
                    .iter()
                    .flat_map(|(block, receipts)| receipts_json(block, receipts))
                    .find(|receipt| receipt["transactionHash"] == params[0])
                    .unwrap(),
                other => return Err(no_method(other)),
            };
            Ok((self.tamper)(method, value))
        }

        async fn serve(&self) -> Url {
            let fake = self.clone();
            let answer: Arc<Answer> =
                Arc::new(move |method: &str, params: &Value| fake.answer(method, params));
            json_rpc(answer).await
        }

        async fn connect(&self) -> L1Client {
            L1Client::connect(&self.serve().await, None).await.unwrap()
        }
    }

    #[tokio::test]
    async fn blocks_come_with_verified_content() {
        let fake = Fake::new(6);
        let l1 = fake.connect().await;
        l1.expect_chain_id(900).unwrap();
        let error = l1.expect_chain_id(1).unwrap_err().to_string();
        assert!(error.contains("900") && error.contains("expected 1"), "{error}");
        for (number, (expected, receipts)) in fake.blocks.iter().enumerate() {
            let block = l1.block_by_number(number as u64).await.unwrap();
            assert_eq!(block.reference, L1BlockRef::from_header(expected.hash, expected.header()));
            assert_eq!(&block.header, expected.header());
            assert_eq!(*block.transactions, expected.block.body.transactions);
            assert_eq!(*block.receipts, *receipts);
            let again = l1.block_by_hash(expected.hash).await.unwrap();
            assert!(Arc::ptr_eq(&block, &again), "read from memory");
            assert_eq!(l1.canonical_hash(number as u64).await.unwrap(), Some(expected.hash));
        }
        assert_eq!(l1.canonical_hash(6).await.unwrap(), None);
        assert_eq!(l1.block_by_number(6).await.unwrap_err(), DaError::NotFound("6".to_owned()));
    }

    #[tokio::test]
    async fn receipts_one_by_one_where_the_method_is_missing() {
        let fake = Fake { block_receipts: false, ..Fake::new(4) };
        let l1 = fake.connect().await;
        let block = l1.block_by_number(3).await.unwrap();
        assert_eq!(*block.receipts, fake.blocks[3].1);
    }

    #[tokio::test]
    async fn labels_fall_back_to_depth() {
        let l1 = Fake::new(70).connect().await;
        assert_eq!(l1.block_ref(BlockTag::Finalized).await.unwrap().number, 1);
        let l1 = Fake { finalized: None, ..Fake::new(70) }.connect().await;
        assert_eq!(l1.block_ref(BlockTag::Latest).await.unwrap().number, 69);
        assert_eq!(l1.block_ref(BlockTag::Safe).await.unwrap().number, 37);
        assert_eq!(l1.block_ref(BlockTag::Finalized).await.unwrap().number, 5);
        let l1 = Fake { finalized: None, ..Fake::new(3) }.connect().await;
        assert_eq!(l1.block_ref(BlockTag::Finalized).await.unwrap().number, 0);
    }

    #[tokio::test]
    async fn lies_and_unknown_transactions_are_found_out() {
        type Tamper = fn(&str, Value) -> Value;
        let cases: [(&str, Tamper); 5] = [
            ("header fields", |method, mut value| {
                if method == "eth_getBlockByNumber" && value["number"] == "0x3" {
                    value["gasLimit"] = json!("0x5");
                }
                value
            }),
            ("its transactions hash to", |method, mut value| {
                if method == "eth_getBlockByNumber" && value["number"] == "0x3" {
                    value["transactions"].as_array_mut().unwrap().pop();
                }
                value
            }),
            ("hashes to", |method, mut value| {
                if method == "eth_getBlockByNumber" && value["number"] == "0x3" {
                    value["transactions"][0]["hash"] = json!(hash(9));
                }
                value
            }),
            ("its receipts hash to", |method, mut value| {
                if method == "eth_getBlockReceipts" {
                    value[1]["status"] = json!("0x1");
                }
                value
            }),
            ("unknown type 0x55", |method, mut value| {
                if method == "eth_getBlockByNumber" && value["number"] == "0x3" {
                    value["transactions"][2]["type"] = json!("0x55");
                }
                value
            }),
        ];
        for (expected, tamper) in cases {
            let l1 = Fake { tamper, ..Fake::new(4) }.connect().await;
            let error = l1.block_by_number(3).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!error.is_temporary());
        }
    }

    #[tokio::test]
    async fn only_anvil_may_have_another_root_and_only_where_there_are_blobs() {
        type Tamper = fn(&str, Value) -> Value;
        let other_root: Tamper = |_, value| value;
        let wrong_hash: Tamper = |method, mut value| {
            if method.starts_with("eth_getBlock") && value["transactions"][0].is_object() {
                value["transactions"][0]["hash"] = json!(hash(9));
            }
            value
        };
        let on_mainnet: Tamper =
            |method, value| if method == "eth_chainId" { json!("0x1") } else { value };
        for (version, blobs, tamper, accepted) in [
            (Some("anvil/v1.7.1"), true, other_root, true),
            (Some("anvil/v1.7.1"), true, on_mainnet, false),
            (Some("anvil/v1.7.1"), true, wrong_hash, false),
            (Some("anvil/v1.7.1"), false, other_root, false),
            (Some("Geth/v1.17.0"), true, other_root, false),
            (None, true, other_root, false),
        ] {
            let mut fake = Fake { version, tamper, ..Fake::new(1) };
            let tx = if blobs { blob_tx(0) } else { signed_tx(0, vec![1].into()) };
            let (sealed, receipts) = block(Header { number: 1, ..Header::default() }, vec![tx]);
            let mut altered = Arc::unwrap_or_clone(sealed.block);
            altered.header.transactions_root = hash(5);
            fake.blocks.push((SealedBlock::new(altered), receipts));
            let result = fake.connect().await.block_by_number(1).await;
            assert_eq!(result.is_ok(), accepted, "{version:?}, blobs {blobs}: {result:?}");
        }
    }

    #[tokio::test]
    async fn blobs_need_a_beacon_endpoint() {
        let l1 = Fake::new(1).connect().await;
        let block = l1.block_ref(BlockTag::Latest).await.unwrap();
        let error = l1.blobs(&block, &[hash(1)]).await.unwrap_err();
        assert_eq!(error, DaError::NoBeacon(block.id()));
        assert!(error.to_string().contains("--l1-beacon"));
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut cache = Cache::default();
        for number in 0..3 * CACHED_BLOCKS as u64 {
            let header = Header { number, ..Header::default() };
            cache.insert(Arc::new(L1BlockData {
                reference: L1BlockRef::from_header(header.hash_slow(), &header),
                header,
                transactions: Arc::default(),
                receipts: Arc::default(),
            }));
        }
        assert_eq!((cache.blocks.len(), cache.order.len()), (CACHED_BLOCKS, CACHED_BLOCKS));
        // Few blocks, but large ones.
        for nonce in 0..80 {
            let tx = signed_tx(nonce, vec![1; 1 << 20].into());
            let (sealed, receipts) = block(Header { number: nonce, ..Header::default() }, vec![tx]);
            let data = Arc::unwrap_or_clone(sealed.block);
            cache.insert(Arc::new(L1BlockData {
                reference: L1BlockRef::from_header(sealed.hash, &data.header),
                header: data.header,
                transactions: Arc::new(data.body.transactions),
                receipts: Arc::new(receipts),
            }));
            assert!(cache.bytes <= CACHED_BYTES);
        }
        assert_eq!((cache.blocks.len(), cache.order.len()), (63, 63));
        let weights = cache.blocks.values().map(|block| block.weight());
        assert_eq!(cache.bytes, weights.sum::<usize>());
    }

    #[tokio::test]
    async fn further_beacon_endpoints_are_asked_for_what_the_first_one_lacks() {
        use crate::fake_server::rest;
        use axum::{Json, Router, routing::get};
        let blob = Blob::ZERO;
        let settings = c_kzg::ethereum_kzg_settings(0);
        let commitment = alloy_eips::eip4844::AsCkzg::as_ckzg(&blob);
        let commitment = settings.blob_to_kzg_commitment(commitment).unwrap().to_bytes();
        let wanted = alloy_eips::eip4844::kzg_to_versioned_hash(&*commitment);
        let beacon = |served: Vec<String>| {
            rest(
                Router::new()
                    .route(
                        "/eth/v1/beacon/genesis",
                        get(|| async { Json(json!({"data": {"genesis_time": "0"}})) }),
                    )
                    .route(
                        "/eth/v1/beacon/blobs/{slot}",
                        get(move || async move { Json(json!({"data": served})) }),
                    ),
            )
        };
        let pruned = beacon(Vec::new()).await;
        let archive = beacon(vec![format!("0x{}", alloy_primitives::hex::encode(blob))]).await;
        let dead: Url = "http://127.0.0.1:1".parse().unwrap();
        let rpc = Fake::new(1).serve().await;
        let connect = async |beacon: Option<&Url>, fallbacks: &[Url]| {
            L1Client::connect_with(&rpc, beacon, fallbacks).await.unwrap()
        };
        let block = connect(None, &[]).await.block_ref(BlockTag::Latest).await.unwrap();
        for (first, fallbacks, found) in [
            (Some(&pruned), vec![dead.clone(), archive.clone()], true),
            (None, vec![archive.clone()], true),
            (Some(&pruned), vec![dead.clone()], false),
        ] {
            let l1 = connect(first, &fallbacks).await;
            assert!(l1.has_beacon());
            let blobs = l1.blobs(&block, &[wanted]).await;
            match blobs {
                Ok(blobs) => assert!(found && blobs.len() == 1 && *blobs[0] == blob),
                Err(error) => {
                    assert!(!found && matches!(error, DaError::BlobMissing { .. }), "{error}");
                    assert!(error.to_string().contains("--l1.beacon-fallbacks"), "{error}");
                }
            }
        }
        assert!(!connect(None, &[]).await.has_beacon());
    }
}

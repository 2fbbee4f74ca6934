//! Reads L1 through JSON-RPC.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use alloy_eips::eip4844::Blob;
use alloy_primitives::{B256, U64};
use alloy_provider::{DynProvider, Provider};
use alloy_transport::{RpcError, TransportError};
use futures::stream::{self, StreamExt, TryStreamExt};
use opal_protocol::{L1BlockRef, TxEnvelope};
use opal_service::http;
use tracing::{debug, info, warn};
use url::Url;

use crate::DaError;
use crate::beacon::BeaconClient;
use crate::l1_block::{Cache, L1BlockData};
use crate::rpc_block::{Layer, RpcBlock, RpcBlockRef, RpcReceipt, verify_receipts};

const TARGET: &str = "opal::da";

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
        cache.get(&hash)
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
#[path = "l1_client_tests.rs"]
mod tests;

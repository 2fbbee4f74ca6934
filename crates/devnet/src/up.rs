//! Starts a whole rollup in one process.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_genesis::Genesis;
use opal_da::{Batcher, BatcherConfig, BlockTag, DataAvailabilityType, L1Client};
use opal_dispute::{Proposer, ProposerConfig};
use opal_execution::rpc::RpcConfig;
use opal_execution::{Chain, ChainConfig, ChainSpec, Journal, StorageConfig, keep_pool};
use opal_governance::transactions::{Event, Progress};
use opal_governance::{Addresses, Deployment, DevAccounts, DevRole, Intent};
use opal_node::SequencerConfig;
use opal_node::safe_db::SafeDb;
use opal_node::{FullNode, FullNodeConfig, NodeConfig, SyncStatus, full};
use opal_protocol::{Hardfork, L2BlockRef, RollupConfig, UpgradeBundles};
use opal_service::keys::Key;
use opal_service::metrics::{self, Metrics};
use opal_service::rpc_server::{RpcEndpoint, RpcServerError};
use opal_service::upgrades::{UpgradesError, load_upgrades, require_upgrades};
use opal_service::{RpcServerConfig, Shutdown, http};
use tokio::sync::watch;
use tracing::info;
use url::Url;

use crate::deployed::{Deployed, DeployedError};
use crate::files::{self, Endpoints, FileError, Files};
use crate::kept::{Beginning, Kept, KeptError, Settings};
use crate::l1::{EmbeddedL1, L1Config};
use crate::status;

/// How long the first L2 block may take before the start counts as failed.
const FIRST_BLOCK_DEADLINE: Duration = Duration::from_secs(60);
/// Bytes of a node's state that stay in memory, about, where the rollup is kept on disk.
const STATE_MEMORY: u64 = 128 << 20;
/// How often the transactions that wait are written, where the rollup is kept.
const POOL_JOURNAL: Duration = Duration::from_secs(60);

/// The rollup to start.
#[derive(Debug)]
pub struct UpConfig {
    /// Address that all servers listen on.
    pub host: IpAddr,
    /// Ports of the servers.
    pub ports: Ports,
    /// The L1 below it.
    pub l1: L1Choice,
    /// Seconds between L2 blocks.
    pub l2_block_time: u64,
    /// The newest fork that is active from L2 genesis on.
    pub fork: Hardfork,
    /// When later forks activate: seconds after L2 genesis.
    pub fork_offsets: BTreeMap<Hardfork, u64>,
    /// Directory with the upgrade transactions of these forks.
    pub upgrades: PathBuf,
    /// Where batches go.
    pub da: DataAvailabilityType,
    /// Accounts of users and roles.
    pub accounts: DevAccounts,
    /// Whether a second node derives the chain from L1 alone.
    pub verifier: bool,
    /// Whether output roots are proposed on L1, so that withdrawals can be proven.
    pub proposer: bool,
    /// Data directory that keeps both chains, where a rollup that was started with it before goes
    /// on; `None` keeps all in memory.
    pub data_dir: Option<PathBuf>,
    /// Where to write the files that other processes need.
    pub out: Option<PathBuf>,
}

/// Ports of the servers; 0 lets the system choose.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// L1 JSON-RPC (embedded L1 only).
    pub l1: u16,
    /// L1 beacon API (embedded L1 only).
    pub l1_beacon: u16,
    /// L2 JSON-RPC.
    pub l2: u16,
    /// Rollup RPC.
    pub rollup: u16,
    /// L2 JSON-RPC of the verifier.
    pub verifier: u16,
    /// Rollup RPC of the verifier.
    pub verifier_rollup: u16,
    /// Prometheus metrics, if wanted.
    pub metrics: Option<u16>,
}

/// The L1 below the rollup.
#[derive(Debug)]
pub enum L1Choice {
    /// An L1 inside this process, with the rollup's contracts in its genesis.
    Embedded {
        /// Seconds between L1 blocks.
        block_time: u64,
        /// Blocks between the L1's tip and its `safe` block.
        safe_lag: u64,
        /// Blocks between the L1's tip and its `finalized` block.
        finality_lag: u64,
    },
    /// An L1 that runs elsewhere; the contracts are deployed to it.
    External {
        /// JSON-RPC URL.
        rpc: Url,
        /// Beacon API URL; needed for blobs.
        beacon: Option<Url>,
        /// Where the rollup's contracts come from.
        contracts: Contracts,
    },
}

/// The rollup's contracts on an L1 that runs elsewhere.
#[derive(Debug)]
pub enum Contracts {
    /// They are deployed at the start; this key pays.
    Deploy(Box<Key>),
    /// They were deployed by `opal deploy`; the rollup is the one in this folder.
    Deployed(PathBuf),
}

/// Why the rollup did not start.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// A port is taken or may not be used.
    #[error(transparent)]
    Port(#[from] RpcServerError),
    /// `--out` can't be written.
    #[error("--out: {0}")]
    Out(#[from] FileError),
    /// The rollup cannot be kept, or the one that was kept cannot go on.
    #[error("--data-dir: {0}")]
    Kept(#[from] KeptError),
    /// The upgrade transactions of a fork that activates after genesis are not there.
    #[error("--upgrades: {0}")]
    Upgrades(#[from] UpgradesError),
    /// The folder of a deployment can't be used.
    #[error("--deployment: {0}")]
    Deployed(#[from] DeployedError),
    /// Genesis or deployment failed.
    #[error(transparent)]
    Governance(#[from] opal_governance::GovernanceError),
    /// The embedded L1 did not start.
    #[error("embedded L1: {0}")]
    EmbeddedL1(#[from] crate::l1::L1Error),
    /// The given L1 can't be used.
    #[error("L1: {0}")]
    L1(#[from] opal_da::DaError),
    /// A URL can't be used.
    #[error(transparent)]
    Http(#[from] opal_service::http::HttpError),
    /// A node did not start.
    #[error("{name}: {error}")]
    Node {
        /// Which one.
        name: &'static str,
        /// Why.
        error: opal_node::NodeError,
    },
    /// The L2 genesis describes no chain, or a chain's data cannot be used.
    #[error("L2: {0}")]
    L2Chain(#[from] opal_execution::ChainError),
    /// The L2 genesis has no usable rules.
    #[error("L2 genesis: {0}")]
    L2Rules(#[from] opal_execution::SpecError),
    /// The batcher did not start.
    #[error("batcher: {0}")]
    Batcher(#[from] opal_da::BatcherError),
    /// The proposer did not start.
    #[error("proposer: {0}")]
    Proposer(#[from] opal_dispute::ProposerError),
    /// No L2 block came.
    #[error("no L2 block within {} s; the log says why", FIRST_BLOCK_DEADLINE.as_secs())]
    NoBlock,
    /// The process was told to stop before all was up.
    #[error("stopped before the rollup was ready")]
    Stopped,
}

/// A running rollup.
#[derive(Debug)]
pub struct Devnet {
    /// Where everything answers.
    pub endpoints: Endpoints,
    /// The rollup configuration.
    pub rollup: Arc<RollupConfig>,
    /// Contracts on L1.
    pub addresses: Addresses,
    /// Accounts of users and roles.
    pub accounts: DevAccounts,
    /// The sequencer.
    pub sequencer: FullNode,
    /// The verifier, where one runs.
    pub verifier: Option<FullNode>,
    /// The embedded L1, where there is one.
    pub l1: Option<EmbeddedL1>,
    /// The batcher.
    pub batcher: Batcher,
    /// The proposer, where one runs.
    pub proposer: Option<Proposer>,
    /// The directory that keeps the rollup, where there is one.
    pub kept: Option<Kept>,
    /// Where the L2 chain stood at the start: genesis, unless the rollup was kept.
    pub started_from: L2BlockRef,
}

/// The L1 as the rollup sees it, and the genesis that goes with it.
struct Foundation {
    embedded: Option<EmbeddedL1>,
    l1_genesis: Option<Genesis>,
    rpc: Url,
    beacon: Option<Url>,
    client: Arc<L1Client>,
    l2_genesis: Genesis,
    rollup: Arc<RollupConfig>,
    addresses: Addresses,
}

/// Claimed ports of one L2 node.
struct NodePorts {
    rpc: RpcEndpoint,
    rollup: RpcEndpoint,
}

/// Starts everything and returns when all RPCs answer and the first L2 block is there.
///
/// # Errors
/// The first thing that went wrong. The caller ends what has started by `shutdown`.
pub async fn start(config: UpConfig, shutdown: &Shutdown) -> Result<Devnet, UpError> {
    // Everything that can be refused is refused before anything runs.
    if let Some(dir) = &config.out {
        files::prepare(dir)?;
    }
    let claim = |port, flag| {
        RpcEndpoint::bind(RpcServerConfig::new(SocketAddr::new(config.host, port), flag))
    };
    let ports = config.ports;
    let sequencer_ports = NodePorts {
        rpc: claim(ports.l2, "--l2-port")?,
        rollup: claim(ports.rollup, "--rollup-port")?,
    };
    let verifier_ports = if config.verifier {
        Some(NodePorts {
            rpc: claim(ports.verifier, "--verifier-port")?,
            rollup: claim(ports.verifier_rollup, "--verifier-rollup-port")?,
        })
    } else {
        None
    };
    let metrics = Metrics::new();
    let metrics_addr = match ports.metrics {
        Some(port) => {
            let addr = SocketAddr::new(config.host, port);
            Some(metrics::serve(metrics.clone(), addr, "--metrics-port", shutdown.token())?)
        }
        None => None,
    };

    let kept = config.data_dir.as_deref().map(Kept::open).transpose()?;
    let base = lay_foundation(&config, kept.as_ref(), shutdown).await?;
    let l1 = base.client.clone();

    let start_node = |name, ports: NodePorts, sequencer| {
        let (l1, metrics, base, kept) = (l1.clone(), &metrics, &base, kept.as_ref());
        let l1_poll_interval = poll_interval(&config.l1);
        async move {
            let dir = kept.map(|kept| kept.node(name));
            let chain = open_chain(base.l2_genesis.clone(), dir.clone()).await?;
            let failed = |error| UpError::Node { name, error };
            let safe_db = match &dir {
                Some(dir) => SafeDb::open(
                    &dir.join("safe-heads"),
                    base.rollup.l2_chain_id,
                    base.rollup.genesis.l2.hash,
                )
                .map_err(|error| failed(error.into()))?,
                None => SafeDb::in_memory(),
            };
            if let Some(dir) = dir {
                let journal = Journal::new(dir.join(Journal::FILE));
                let stop = shutdown.token().cancelled_owned();
                let kept = keep_pool(chain.clone(), journal, POOL_JOURNAL, stop);
                shutdown.spawn(format!("{name} pool journal"), kept);
            }
            let node = NodeConfig {
                name,
                rollup: base.rollup.clone(),
                sequencer,
                l1_conf_depth: 0,
                l1_poll_interval,
                rpc_admin: true,
                safe_db: Some(Arc::new(safe_db)),
                record: None,
                allow_no_beacon: true,
            };
            let full = FullNodeConfig {
                node,
                chain,
                rpc: ports.rpc,
                methods: RpcConfig::default(),
                #[cfg(unix)]
                ipc: None,
                rollup_rpc: ports.rollup,
            };
            full::start(full, l1, metrics, shutdown).await.map_err(failed)
        }
    };
    let sequencer =
        start_node("sequencer", sequencer_ports, Some(SequencerConfig::default())).await?;
    let started_from = sequencer.node.status().borrow().unsafe_l2;
    let verifier = match verifier_ports {
        Some(ports) => Some(start_node("verifier", ports, None).await?),
        None => None,
    };

    let endpoints = Endpoints {
        l1_rpc: base.rpc.as_str().trim_end_matches('/').to_owned(),
        l1_beacon: base.beacon.as_ref().map(|u| u.as_str().trim_end_matches('/').to_owned()),
        l2_rpc: sequencer.rpc.http_url(),
        l2_ws: sequencer.rpc.ws_url(),
        rollup_rpc: sequencer.node.rpc().http_url(),
        verifier_rpc: verifier.as_ref().map(|v| v.rpc.http_url()),
        verifier_rollup_rpc: verifier.as_ref().map(|v| v.node.rpc().http_url()),
        metrics: metrics_addr.map(|addr| format!("http://{addr}/metrics")),
    };
    let batcher = start_batcher(&config, &base, &endpoints, &metrics, shutdown).await?;
    let proposer = match config.proposer {
        true => Some(start_proposer(&config, &base, &endpoints, &metrics, shutdown).await?),
        false => None,
    };

    first_block(sequencer.node.status(), started_from.number, shutdown).await?;
    if let Some(dir) = &config.out {
        let files = Files {
            rollup: &base.rollup,
            l2_genesis: &base.l2_genesis,
            l1_genesis: base.l1_genesis.as_ref(),
            addresses: &base.addresses,
            endpoints: &endpoints,
        };
        files.write(dir)?;
    }
    status::show(
        sequencer.node.status(),
        verifier.as_ref().map(|v| v.node.status()),
        batcher.stats(),
        proposer.as_ref().map(Proposer::stats),
        shutdown,
    );
    Ok(Devnet {
        endpoints,
        rollup: base.rollup,
        addresses: base.addresses,
        accounts: config.accounts,
        sequencer,
        verifier,
        l1: base.embedded,
        batcher,
        proposer,
        kept,
        started_from,
    })
}

/// A node's chain, in its folder or in memory.
async fn open_chain(genesis: Genesis, dir: Option<PathBuf>) -> Result<Arc<Chain>, UpError> {
    let Some(dir) = dir else { return Ok(Chain::from_genesis(&genesis)?) };
    let storage =
        StorageConfig { state_memory: STATE_MEMORY, ..StorageConfig::new(dir.join("chain")) };
    // Blocks of the journal are executed again, which takes its time.
    let opening = tokio::task::spawn_blocking(move || {
        let spec = ChainSpec::from_genesis(&genesis)?;
        Ok(Chain::open(spec, &genesis, ChainConfig::default(), storage)?)
    });
    match opening.await {
        Ok(chain) => chain,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Starts the embedded L1 with the contracts in its genesis, or finds or deploys them on the given
/// L1. A rollup that was kept goes on with what it began with.
async fn lay_foundation(
    config: &UpConfig,
    kept: Option<&Kept>,
    shutdown: &Shutdown,
) -> Result<Foundation, UpError> {
    let settings = Settings::of(config);
    let before = kept.map(|kept| kept.load(&settings)).transpose()?.flatten();
    let is_new = before.is_none();
    let keep = |beginning: &Beginning| match kept {
        Some(kept) if is_new => kept.save(&settings, beginning),
        _ => Ok(()),
    };
    let (embedded, rpc, beacon, client, beginning) = match &config.l1 {
        L1Choice::Embedded { block_time, safe_lag, finality_lag } => {
            let (intent, upgrades) = intent(config)?;
            let mut beginning = match before {
                Some(before) => before,
                None => begin_both(&intent, (*block_time).max(config.l2_block_time))?,
            };
            keep(&beginning)?;
            beginning.rollup.upgrades = upgrades;
            let address = |port| SocketAddr::new(config.host, port);
            let l1 = EmbeddedL1::start(
                L1Config {
                    // A beginning on an embedded L1 has its genesis.
                    genesis: beginning.l1_genesis.clone().unwrap_or_default(),
                    block_time: *block_time,
                    safe_lag: *safe_lag,
                    finality_lag: *finality_lag,
                    rpc_addr: address(config.ports.l1),
                    beacon_addr: address(config.ports.l1_beacon),
                    data_dir: kept.map(Kept::l1),
                },
                shutdown,
            )
            .await?;
            let (rpc, beacon) = (l1.rpc_url(), Some(l1.beacon_url()));
            let client = L1Client::connect(&rpc, beacon.as_ref()).await?;
            (Some(l1), rpc, beacon, client, beginning)
        }
        L1Choice::External { rpc, beacon, contracts } => {
            // What the L1 lacks is said before anything is spent on it.
            let client = L1Client::connect(rpc, beacon.as_ref()).await?;
            let beginning = match contracts {
                Contracts::Deploy(key) => {
                    let (intent, upgrades) = intent(config)?;
                    let mut beginning = match before {
                        Some(before) => before,
                        None => deploy(intent, &client, rpc, key).await?,
                    };
                    keep(&beginning)?;
                    beginning.rollup.upgrades = upgrades;
                    beginning
                }
                Contracts::Deployed(dir) => {
                    let found = find(config, rpc, dir).await?;
                    if let (Some(kept), Some(before)) = (kept, &before) {
                        kept.expect_same(before, &found)?;
                    }
                    keep(&found)?;
                    found
                }
            };
            (None, rpc.clone(), beacon.clone(), client, beginning)
        }
    };
    let Beginning { l1_genesis, l2_genesis, rollup, addresses } = beginning;
    Ok(Foundation {
        embedded,
        l1_genesis,
        rpc,
        beacon,
        client: Arc::new(client),
        l2_genesis,
        rollup: Arc::new(rollup),
        addresses,
    })
}

/// A rollup and the L1 below it, which begin `seconds` ago, so that the first block of each is due at
/// once.
fn begin_both(intent: &Intent, seconds: u64) -> Result<Beginning, UpError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let genesis = opal_governance::devnet_genesis(intent, now.saturating_sub(seconds))?;
    Ok(Beginning {
        l1_genesis: Some(genesis.l1_genesis),
        l2_genesis: genesis.l2_genesis,
        rollup: genesis.rollup_config,
        addresses: genesis.addresses,
    })
}

/// What the rollup shall be, and the upgrade transactions of the forks that it will see.
fn intent(config: &UpConfig) -> Result<(Intent, UpgradeBundles), UpError> {
    let mut intent = Intent::devnet(&config.accounts);
    intent.fork = config.fork;
    intent.fork_offsets = config.fork_offsets.clone();
    intent.l2_block_time = config.l2_block_time;
    intent.check().map_err(opal_governance::GovernanceError::from)?;
    let upgrades = upgrades(config, &intent)?;
    Ok((intent, upgrades))
}

/// Deploys the contracts to the given L1.
async fn deploy(
    mut intent: Intent,
    client: &L1Client,
    rpc: &Url,
    key: &Key,
) -> Result<Beginning, UpError> {
    // Contracts of its own: the chain of an earlier run is gone, its proposals are of no use to
    // this one.
    intent.salt = client.block_ref(BlockTag::Latest).await?.hash;
    info!(target: "opal::devnet", l1 = %http::without_credentials(rpc), "deploying contracts");
    let mut observer = |news: Progress<'_>| {
        if let Event::Done { transaction, .. } = news.event {
            let (step, done, of) = (news.step, news.done, news.of);
            info!(target: "opal::devnet", step, done, of, %transaction, "deployed");
        }
    };
    let provider = http::provider(rpc)?;
    let deployed = opal_governance::deploy_to_l1(&provider, key, &intent, 1, &mut observer);
    let Deployment { l2_genesis, rollup_config: rollup, addresses, .. } = deployed.await?;
    Ok(Beginning { l1_genesis: None, l2_genesis, rollup, addresses })
}

/// Reads what `opal deploy` has put on the given L1.
async fn find(config: &UpConfig, rpc: &Url, dir: &Path) -> Result<Beginning, UpError> {
    let mut deployed = Deployed::read(dir)?;
    deployed.check_accounts(&config.accounts)?;
    let (provider, expected) = (http::provider(rpc)?, Some(deployed.rollup.l1_chain_id));
    opal_governance::transactions::chain_id(&provider, expected)
        .await
        .map_err(opal_governance::GovernanceError::from)?;
    load_upgrades(&config.upgrades, &mut deployed.rollup)?;
    require_upgrades(&config.upgrades, &deployed.rollup, deployed.rollup.genesis.l2_time)?;
    let Deployed { rollup, l2_genesis, addresses } = deployed;
    Ok(Beginning { l1_genesis: None, l2_genesis, rollup, addresses })
}

/// The upgrade transactions of the forks that activate after genesis. They are loaded before there
/// is a genesis, for a deployment costs money.
fn upgrades(config: &UpConfig, intent: &Intent) -> Result<UpgradeBundles, UpgradesError> {
    let mut rollup = RollupConfig { schedule: intent.schedule(1), ..RollupConfig::default() };
    load_upgrades(&config.upgrades, &mut rollup)?;
    require_upgrades(&config.upgrades, &rollup, 0)?;
    Ok(rollup.upgrades)
}

/// The embedded L1 is looked at often, since that costs nothing; a given one gently.
fn poll_interval(l1: &L1Choice) -> Duration {
    match l1 {
        L1Choice::Embedded { .. } => Duration::from_millis(100),
        L1Choice::External { .. } => Duration::from_millis(500),
    }
}

async fn start_batcher(
    config: &UpConfig,
    base: &Foundation,
    endpoints: &Endpoints,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Result<Batcher, UpError> {
    let key = Key::from_signer(config.accounts.role(DevRole::Batcher).clone());
    let batcher = BatcherConfig::devnet(
        base.rpc.clone(),
        &endpoints.l2_rpc,
        &endpoints.rollup_rpc,
        key,
        config.da,
    )?
    .with_metrics(metrics.clone());
    Ok(Batcher::start(batcher, shutdown).await?)
}

async fn start_proposer(
    config: &UpConfig,
    base: &Foundation,
    endpoints: &Endpoints,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Result<Proposer, UpError> {
    let key = Key::from_signer(config.accounts.role(DevRole::Proposer).clone());
    let l1_block_time = match config.l1 {
        L1Choice::Embedded { block_time, .. } => block_time,
        // Some other L1: at least a second, as on every chain.
        L1Choice::External { .. } => 1,
    };
    let proposer =
        ProposerConfig::devnet(base.rpc.clone(), &endpoints.rollup_rpc, key, l1_block_time)?
            .with_metrics(metrics.clone());
    Ok(Proposer::start(proposer, shutdown).await?)
}

/// Waits for a block after the one with this number.
async fn first_block(
    mut status: watch::Receiver<SyncStatus>,
    started_from: u64,
    shutdown: &Shutdown,
) -> Result<(), UpError> {
    let arrived = status.wait_for(|s| s.unsafe_l2.number > started_from);
    tokio::select! {
        () = shutdown.cancelled() => Err(UpError::Stopped),
        result = tokio::time::timeout(FIRST_BLOCK_DEADLINE, arrived) => match result {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(UpError::Stopped),
            Err(_) => Err(UpError::NoBlock),
        },
    }
}

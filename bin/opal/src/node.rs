//! `opal node`: a verifier.

use std::any::Any;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use eyre::{WrapErr, bail};
use opal_da::L1Client;
use opal_execution::ChainConfig;
use opal_node::{FullNodeConfig, HttpEngine, NodeConfig, full};
use opal_service::http::without_credentials;
use opal_service::jwt::JwtSecret;
use opal_service::metrics::{self, Metrics};
use opal_service::rpc_server::RpcEndpoint;
use opal_service::{RpcServerConfig, Shutdown};
use tracing::info;
use url::Url;

use crate::network::NetworkArgs;
use crate::rpc_args::RpcArgs;
use crate::safe_db;
use crate::storage::StorageArgs;
use crate::txpool::TxPoolArgs;

/// Flags of `opal node`. Each can be set by its `OPAL_NODE_*` variable too.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// L1 JSON-RPC.
    #[arg(long, visible_alias = "l1.rpc", env = "OPAL_NODE_L1", value_name = "URL")]
    l1: Url,
    /// L1 beacon API; needed when the chain posts blobs.
    #[arg(long, visible_alias = "l1.beacon", env = "OPAL_NODE_L1_BEACON", value_name = "URL")]
    l1_beacon: Option<Url>,
    /// Further L1 beacon APIs, asked for blobs that the first one lacks, such as pruned ones.
    #[arg(
        long,
        visible_aliases = ["l1.beacon-fallbacks", "l1.beacon-archiver"],
        env = "OPAL_NODE_L1_BEACON_FALLBACKS",
        value_name = "URL",
        value_delimiter = ','
    )]
    l1_beacon_fallbacks: Vec<Url>,
    /// Start without a beacon API although batches may be in blobs: derivation then stops at the
    /// first one.
    #[arg(long, visible_alias = "l1.beacon.ignore", env = "OPAL_NODE_L1_BEACON_IGNORE")]
    l1_beacon_ignore: bool,
    /// Engine API of an execution client that runs the chain, such as `opal execution` or op-reth;
    /// without it, the chain runs in this process.
    #[arg(
        long,
        visible_alias = "l2",
        env = "OPAL_NODE_L2_ENGINE_URL",
        value_name = "URL",
        requires = "l2_jwt_secret"
    )]
    l2_engine_url: Option<Url>,
    /// File with the JWT secret that the execution client has, too (32 bytes in hex).
    #[arg(
        long,
        visible_alias = "l2.jwt-secret",
        env = "OPAL_NODE_L2_JWT_SECRET",
        value_name = "FILE",
        requires = "l2_engine_url"
    )]
    l2_jwt_secret: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    storage: StorageArgs,
    /// Directory for the record of safe heads, which answers `optimism_safeHeadAtL1Block`; an empty
    /// name switches it off [default: one for each chain in the data directory].
    #[arg(long, visible_alias = "safedb.path", env = "OPAL_NODE_SAFEDB_PATH", value_name = "DIR",
        value_parser = path_or_nothing)]
    safedb_path: Option<PathBuf>,
    /// Write everything that derivation is given to this file, for `opal derive`.
    #[arg(long, env = "OPAL_NODE_RECORD", value_name = "FILE")]
    record: Option<PathBuf>,
    /// Address that all servers listen on.
    #[arg(long, env = "OPAL_NODE_HOST", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Port of the L2 JSON-RPC (HTTP and WebSocket), where the chain runs in this process; 0 picks a
    /// free one, as for all ports.
    #[arg(long, env = "OPAL_NODE_RPC_PORT", default_value_t = 9547)]
    rpc_port: u16,
    /// Port of the rollup RPC.
    #[arg(long, env = "OPAL_NODE_ROLLUP_PORT", default_value_t = 7547)]
    rollup_port: u16,
    /// Answer `admin_` methods on the rollup RPC.
    #[arg(long, visible_alias = "rpc.enable-admin", env = "OPAL_NODE_RPC_ADMIN")]
    rpc_admin: bool,
    /// Port of the Prometheus metrics; not served without it.
    #[arg(long, env = "OPAL_NODE_METRICS_PORT")]
    metrics_port: Option<u16>,
    /// L1 blocks that must stand above one before it is read.
    #[arg(
        long,
        visible_alias = "verifier.l1-confs",
        env = "OPAL_NODE_L1_CONFS",
        default_value_t = 0
    )]
    l1_confs: u64,
    /// Milliseconds between looks at the L1 head.
    #[arg(long, env = "OPAL_NODE_L1_POLL_INTERVAL_MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    l1_poll_interval_ms: u64,
    #[command(flatten)]
    rpc: RpcArgs,
    #[command(flatten)]
    txpool: TxPoolArgs,
}

/// A path, or an empty name, which clap's own parser of paths refuses.
fn path_or_nothing(text: &str) -> Result<PathBuf, std::convert::Infallible> {
    Ok(text.into())
}

pub(crate) async fn run(args: NodeArgs, shutdown: &Shutdown) -> eyre::Result<Box<dyn Any>> {
    let (rollup, chain) = match &args.l2_engine_url {
        None => {
            // Blocks of the journal are executed again, which takes its time.
            let (network, storage) = (args.network.clone(), args.storage.clone());
            let limits = ChainConfig { pool: args.txpool.config(), ..ChainConfig::default() };
            let loading = tokio::task::spawn_blocking(move || network.load(&storage, limits));
            loading.await?.map(|(rollup, chain)| (rollup, Some(chain)))?
        }
        Some(_) => (args.network.load_rollup()?, None),
    };
    let secret = args.l2_jwt_secret.as_deref().map(JwtSecret::read);
    let secret = secret.transpose().wrap_err("--l2-jwt-secret")?;
    let claim = |port, flag| {
        RpcEndpoint::bind(RpcServerConfig::new(SocketAddr::new(args.host, port), flag))
    };
    let claim_rpc = || {
        let addr = SocketAddr::new(args.host, args.rpc_port);
        RpcEndpoint::bind(args.rpc.server(addr, "--rpc-port"))
    };
    let rpc = chain.as_ref().map(|_| claim_rpc()).transpose()?;
    let rollup_rpc = claim(args.rollup_port, "--rollup-port")?;
    let metrics = Metrics::new();
    if let Some(port) = args.metrics_port {
        let addr = SocketAddr::new(args.host, port);
        let addr = metrics::serve(metrics.clone(), addr, "--metrics-port", shutdown.token())?;
        info!(target: "opal::node", url = %format!("http://{addr}/metrics"), "metrics");
    }

    let l1 = L1Client::connect_with(&args.l1, args.l1_beacon.as_ref(), &args.l1_beacon_fallbacks)
        .await
        .wrap_err("--l1")?;
    let safe_db = safe_db::open(args.safedb_path, &args.network.upgrades.data, &rollup)?;
    let rollup = Arc::new(rollup);
    let node = NodeConfig {
        name: "verifier",
        rollup: rollup.clone(),
        sequencer: None,
        l1_conf_depth: args.l1_confs,
        l1_poll_interval: Duration::from_millis(args.l1_poll_interval_ms),
        rpc_admin: args.rpc_admin,
        safe_db,
        record: args.record,
        allow_no_beacon: args.l1_beacon_ignore,
    };
    let l1 = Arc::new(l1);
    if let (Some(chain), Some(rpc)) = (chain, rpc) {
        args.txpool.keep(&chain, &args.network.upgrades.data, shutdown)?;
        let config = FullNodeConfig {
            node,
            chain,
            rpc,
            methods: args.rpc.methods()?,
            #[cfg(unix)]
            ipc: args.rpc.ipc(),
            rollup_rpc,
        };
        let node = full::start(config, l1, &metrics, shutdown).await?;
        info!(target: "opal::node", rpc = node.rpc.http_url(), ws = node.rpc.ws_url(),
            rollup_rpc = node.node.rpc().http_url(), "node is up");
        return Ok(Box::new(node));
    }
    let (Some(url), Some(secret)) = (args.l2_engine_url, secret) else {
        bail!("--l2-engine-url and --l2-jwt-secret belong together");
    };
    let shown = without_credentials(&url);
    let engine = HttpEngine::connect(url, secret, rollup).await.wrap_err("--l2-engine-url")?;
    let engine = Arc::new(engine);
    let node = opal_node::start(node, rollup_rpc, engine, l1, &metrics, shutdown).await?;
    info!(target: "opal::node", engine = shown, rollup_rpc = node.rpc().http_url(), "node is up");
    Ok(Box::new(node))
}

//! `opal execution`: the execution client alone.

use std::any::Any;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use eyre::{WrapErr, bail};
use opal_execution::{Chain, ChainConfig, LocalEngine, engine_api, register_pool_metrics, rpc};
use opal_governance::genesis_file;
use opal_protocol::registry;
use opal_service::access::Names;
#[cfg(unix)]
use opal_service::ipc;
use opal_service::jwt::JwtSecret;
use opal_service::metrics::{self, Metrics, prometheus_client::metrics::gauge::Gauge};
use opal_service::rpc_server::RpcEndpoint;
use opal_service::{RpcServerConfig, Shutdown};
use tracing::info;

use crate::data_dir::DataDir;
use crate::network::{Overrides, genesis_of};
use crate::rpc_args::RpcArgs;
use crate::storage::StorageArgs;
use crate::txpool::TxPoolArgs;

/// Largest request on the Engine API, in bytes, as geth has it: a payload is a whole block.
const MAX_ENGINE_REQUEST: u32 = 128 * 1024 * 1024;
/// Between looks at the chain for the metrics.
const LOOK: Duration = Duration::from_millis(500);
/// Least time between two lines of the log that tell of the head.
const TELL: Duration = Duration::from_secs(8);

/// Flags of `opal execution`. Each can be set by its `OPAL_EXECUTION_*` variable too.
#[derive(Debug, Args)]
pub(crate) struct ExecutionArgs {
    /// A chain of the superchain registry by name or id, such as unichain-sepolia; `opal chains`
    /// lists them.
    #[arg(
        long,
        env = "OPAL_EXECUTION_NETWORK",
        value_name = "NAME|ID",
        required_unless_present = "genesis"
    )]
    network: Option<String>,
    /// The genesis.json of a chain that is not in the registry; its `config` section has the rules.
    /// With --network the one in the data directory if left out.
    #[arg(long, env = "OPAL_EXECUTION_GENESIS", value_name = "FILE")]
    genesis: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    data: DataDir,
    #[command(flatten)]
    storage: StorageArgs,
    /// Address of the Engine API.
    #[arg(long = "authrpc.addr", env = "OPAL_EXECUTION_AUTHRPC_ADDR", value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    authrpc_addr: IpAddr,
    /// Port of the Engine API; 0 picks a free one, as for all ports.
    #[arg(
        long = "authrpc.port",
        env = "OPAL_EXECUTION_AUTHRPC_PORT",
        value_name = "PORT",
        default_value_t = 8551
    )]
    authrpc_port: u16,
    /// File with the secret that the consensus client has, too (32 bytes in hex); it is made if
    /// there is none [default: jwt.hex in the data directory].
    #[arg(
        long = "authrpc.jwtsecret",
        visible_alias = "authrpc.jwt-secret",
        env = "OPAL_EXECUTION_AUTHRPC_JWTSECRET",
        value_name = "FILE"
    )]
    jwt_secret: Option<PathBuf>,
    /// Address of the JSON-RPC.
    #[arg(long = "http.addr", env = "OPAL_EXECUTION_HTTP_ADDR", value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    http_addr: IpAddr,
    /// Port of the JSON-RPC (HTTP and WebSocket).
    #[arg(
        long = "http.port",
        visible_alias = "rpc-port",
        env = "OPAL_EXECUTION_HTTP_PORT",
        value_name = "PORT",
        default_value_t = 8545
    )]
    http_port: u16,
    /// Serve no JSON-RPC but that of the Engine API.
    #[arg(long, env = "OPAL_EXECUTION_NO_HTTP")]
    no_http: bool,
    /// Port of the Prometheus metrics, on the JSON-RPC's address; not served without it.
    #[arg(long, env = "OPAL_EXECUTION_METRICS_PORT", value_name = "PORT")]
    metrics_port: Option<u16>,
    #[command(flatten)]
    rpc: RpcArgs,
    #[command(flatten)]
    txpool: TxPoolArgs,
}

pub(crate) async fn run(args: ExecutionArgs, shutdown: &Shutdown) -> eyre::Result<Box<dyn Any>> {
    // All that can be refused is refused before the genesis is read, which takes its time.
    let path = match &args.jwt_secret {
        Some(path) => path.clone(),
        None => args.data.path()?.join("jwt.hex"),
    };
    let secret = JwtSecret::read_or_create(&path).wrap_err("--authrpc.jwtsecret")?;
    let auth = SocketAddr::new(args.authrpc_addr, args.authrpc_port);
    let auth = RpcEndpoint::bind(RpcServerConfig {
        max_request_bytes: MAX_ENGINE_REQUEST,
        origins: Names::default(),
        jwt: Some(secret),
        ..RpcServerConfig::new(auth, "--authrpc.port")
    })?;
    let http = SocketAddr::new(args.http_addr, args.http_port);
    let http = (!args.no_http)
        .then(|| RpcEndpoint::bind(args.rpc.server(http, "--http.port")))
        .transpose()?;
    let metrics = Metrics::new();
    if let Some(port) = args.metrics_port {
        let addr = SocketAddr::new(args.http_addr, port);
        let addr = metrics::serve(metrics.clone(), addr, "--metrics-port", shutdown.token())?;
        info!(target: "opal::execution", url = %format!("http://{addr}/metrics"), "metrics");
    }

    let args = Arc::new(args);
    let loading = args.clone();
    // Blocks of the journal are executed again, which takes its time.
    let chain = tokio::task::spawn_blocking(move || load(&loading)).await??;
    register_pool_metrics(&metrics, "execution", chain.clone());
    args.txpool.keep(&chain, &args.data, shutdown)?;
    let methods = rpc::module_with(chain.clone(), args.rpc.methods()?);
    let mut engine = engine_api::module(LocalEngine::new(chain.clone()));
    engine.merge(methods.clone())?;
    let auth = auth.serve(engine)?;
    #[cfg(unix)]
    let ipc = args.rpc.ipc().map(|ipc| ipc::serve(ipc, methods.clone())).transpose()?;
    #[cfg(not(unix))]
    let ipc = ();
    let http = http.map(|http| http.serve(methods)).transpose()?;
    watch(chain.clone(), &metrics, shutdown);
    info!(target: "opal::execution", authrpc = auth.http_url(), jwt = %path.display(),
        rpc = http.as_ref().map(|http| http.http_url()),
        chain_id = chain.spec().chain_id, genesis = %chain.genesis().hash,
        "execution client is up");
    Ok(Box::new((auth, http, ipc)))
}

/// The chain, where it was left.
fn load(args: &ExecutionArgs) -> eyre::Result<Arc<Chain>> {
    let Some(name) = &args.network else {
        if args.overrides.any() {
            bail!("--override.*: activation times of a chain of one's own are in its genesis");
        }
        let Some(path) = &args.genesis else { bail!("give --network or --genesis") };
        let context = || format!("--genesis {}", path.display());
        let json = genesis_file::read_file(path).wrap_err_with(context)?;
        let file = genesis_file::parse(&json).wrap_err_with(context)?;
        if !file.has_config {
            bail!("{}: it has no config section; name its chain with --network", context());
        }
        let any = |_| Ok::<_, eyre::Report>(());
        return args.storage.open(&args.data, &file.genesis, limits(args), any);
    };
    let preset = registry::find(name).wrap_err("--network")?;
    let context = || format!("--network {name}");
    preset.supported().wrap_err_with(context)?;
    let path = genesis_of(preset, args.genesis.as_ref(), &args.data).wrap_err_with(context)?;
    let context = || format!("--genesis {}", path.display());
    let mut config = preset.rollup_config();
    args.overrides.apply(&mut config);
    config.check()?;
    let json = genesis_file::read_file(&path).wrap_err_with(context)?;
    let file = genesis_file::parse(&json).wrap_err_with(context)?;
    drop(json);
    let genesis = file.of_chain(&config).wrap_err_with(context)?;
    args.storage.open(&args.data, &genesis, limits(args), |hash| {
        genesis_file::check_hash(hash, &config).wrap_err_with(context)
    })
}

fn limits(args: &ExecutionArgs) -> ChainConfig {
    ChainConfig { pool: args.txpool.config(), ..ChainConfig::default() }
}

/// Keeps the metrics, and tells of the head now and then, until the end. Storage that has failed is
/// the end.
fn watch(chain: Arc<Chain>, metrics: &Metrics, shutdown: &Shutdown) {
    let gauge = |name, help| metrics.register("execution", name, help, Gauge::<i64>::default());
    let head = gauge("head", "Number of the newest block.");
    let safe = gauge("safe", "Number of the safe block.");
    let finalized = gauge("finalized", "Number of the finalized block.");
    let stop = shutdown.token();
    shutdown.spawn_critical("storage", async move {
        let (mut told, mut told_at) = (chain.head().hash, Instant::now());
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
            // The calls that failed have told the consensus client; now the operator must act.
            if let Some(error) = chain.storage_error() {
                return Err(error);
            }
            let newest = chain.head();
            head.set(newest.header().number.cast_signed());
            safe.set(chain.safe().header().number.cast_signed());
            finalized.set(chain.finalized().header().number.cast_signed());
            if newest.hash != told && told_at.elapsed() >= TELL {
                info!(target: "opal::execution", number = newest.header().number,
                    hash = %newest.hash, safe = chain.safe().header().number, "head");
                (told, told_at) = (newest.hash, Instant::now());
            }
        }
    });
}

//! Flags of the execution JSON-RPC, named as geth and op-geth name them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use eyre::WrapErr;
use opal_execution::rpc::{ErrorObjectOwned, HistoricalRpc, RpcConfig};
use opal_service::access::Names;
use opal_service::duration::parse_duration;
use opal_service::{RpcServerConfig, http};
use url::Url;

/// How the execution JSON-RPC answers, and to whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "JSON-RPC")]
pub(crate) struct RpcArgs {
    /// Origins of web pages that may call; `*` is any [default: any on a loopback address].
    #[arg(long = "http.corsdomain", env = "OPAL_HTTP_CORSDOMAIN", value_delimiter = ',')]
    cors: Option<Vec<String>>,
    /// Names by which a request may call this host; `*` is any, addresses always are [default:
    /// localhost on a loopback address, any elsewhere].
    #[arg(long = "http.vhosts", env = "OPAL_HTTP_VHOSTS", value_delimiter = ',')]
    vhosts: Option<Vec<String>>,
    /// Namespaces served over HTTP and WebSocket [default: all].
    #[arg(
        long = "http.api",
        visible_alias = "ws.api",
        env = "OPAL_HTTP_API",
        value_delimiter = ','
    )]
    api: Option<Vec<String>>,
    /// Origins that may open a WebSocket; `*` is any [default: any].
    #[arg(long = "ws.origins", env = "OPAL_WS_ORIGINS", value_delimiter = ',')]
    ws_origins: Option<Vec<String>>,
    /// Answer on a Unix socket, too.
    #[arg(
        long = "ipc-path",
        visible_alias = "ipcpath",
        env = "OPAL_IPC_PATH",
        value_name = "FILE"
    )]
    ipc_path: Option<PathBuf>,
    /// Most gas that a call may use.
    #[arg(long = "rpc.gascap", env = "OPAL_RPC_GASCAP", default_value_t = 50_000_000)]
    gas_cap: u64,
    /// How long a call may take.
    #[arg(
        long = "rpc.evmtimeout",
        env = "OPAL_RPC_EVMTIMEOUT",
        default_value = "5s",
        value_parser = parse_duration
    )]
    timeout: Duration,
    /// Calls in one batch.
    #[arg(
        long = "rpc.batch-request-limit",
        env = "OPAL_RPC_BATCH_REQUEST_LIMIT",
        default_value_t = 1000
    )]
    batch: u32,
    /// Node that answers for blocks before Bedrock.
    #[arg(long = "rollup.historicalrpc", env = "OPAL_ROLLUP_HISTORICALRPC", value_name = "URL")]
    historical: Option<Url>,
}

impl RpcArgs {
    /// The settings of the server at `addr`, which the flag set.
    pub(crate) fn server(&self, addr: SocketAddr, flag: &'static str) -> RpcServerConfig {
        let config = RpcServerConfig::new(addr, flag);
        let names = |given: &Option<Vec<String>>, default| match given {
            Some(names) => Names::new(names),
            None => default,
        };
        RpcServerConfig {
            origins: names(&self.cors, config.origins),
            hosts: names(&self.vhosts, config.hosts),
            ws_origins: names(&self.ws_origins, config.ws_origins),
            namespaces: names(&self.api, config.namespaces),
            max_batch: self.batch,
            ..config
        }
    }

    /// The settings of the methods.
    pub(crate) fn methods(&self) -> eyre::Result<RpcConfig> {
        let historical = self.historical.as_ref().map(historical).transpose();
        Ok(RpcConfig {
            call_gas_limit: self.gas_cap,
            call_timeout: self.timeout,
            historical: historical.wrap_err("--rollup.historicalrpc")?,
            ..RpcConfig::default()
        })
    }

    /// The Unix socket, if one was asked for.
    #[cfg(unix)]
    pub(crate) fn ipc(&self) -> Option<opal_service::ipc::IpcConfig> {
        let path = self.ipc_path.clone()?;
        let config = opal_service::ipc::IpcConfig::new(path, "--ipc-path");
        Some(opal_service::ipc::IpcConfig { max_batch: self.batch as usize, ..config })
    }
}

fn historical(url: &Url) -> eyre::Result<HistoricalRpc> {
    let provider = http::provider(url)?;
    Ok(HistoricalRpc::new(move |method, params| {
        let provider = provider.clone();
        Box::pin(async move {
            let answer = http::raw_call(&provider, method, params).await;
            answer.map_err(|error| ErrorObjectOwned::owned(error.code, error.message, error.data))
        })
    }))
}

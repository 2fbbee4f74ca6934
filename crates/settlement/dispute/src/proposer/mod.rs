//! The proposer: puts output roots of L2 on L1 as dispute games, against which withdrawals are
//! proven, and sees its games through until their bonds are back.
//!
//! ```text
//!  rollup RPC ── safe or finalized head ──► rules: is a game due? ── output root ──► create ──┐
//!                                             ▲                                              │
//!                     newest own game, its age │                                             ▼
//!  L1 ── factory's list of games ──► Ledger ───┘── games due for a look ──► games ──► resolve, claim
//!        (from the newest, by pages)                                                         │
//!  stats, metrics ◄── confirmed / failed ◄── L1 ◄── TxManager ◄──────────────────────────────┘
//! ```
//!
//! All decisions are made by `rules`, `ledger` and `crate::games`, which know neither clock nor
//! network: time is L1's. Nothing is stored: after a restart the factory's list tells which games
//! there are, and after an L1 reorg it is read again.

mod args;
mod client;
mod config;
mod ledger;
mod metrics;
mod rpc;
mod rules;
mod run;
mod session;
mod source;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use alloy_primitives::{Address, U256};
use opal_protocol::ConfigError;
use opal_service::endpoint::ConnectError;
use opal_service::http::HttpError;
use opal_service::keys::KeyArgsError;
use opal_service::rpc_server::RpcServerError;
use opal_service::{RpcHandle, Shutdown, admin, metrics as service_metrics};
use tokio::sync::{mpsc, watch};

pub use args::ProposerArgs;
pub use config::ProposerConfig;

/// Log target of the proposer.
const TARGET: &str = "opal::settlement::proposer";

/// Why the proposer did not start, or stopped. Everything that time can heal (an endpoint that does
/// not answer, a transaction that fails) is waited for instead.
#[derive(Debug, thiserror::Error)]
pub enum ProposerError {
    /// A flag has a value that can't be used.
    #[error("{flag}: {reason}")]
    Flag {
        /// The flag, with its dashes.
        flag: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no key, or it can't be read.
    #[error(transparent)]
    Key(#[from] KeyArgsError),
    /// A URL can't be used.
    #[error("{flag}: {source}")]
    Http {
        /// The flag that gave the URL.
        flag: &'static str,
        /// What is wrong with it.
        source: HttpError,
    },
    /// The admin RPC or the metrics can't be served.
    #[error(transparent)]
    Rpc(#[from] RpcServerError),
    /// L1 is another chain than the rollup configuration names.
    #[error("--l1-eth-rpc serves chain {found}, but the rollup configuration names {expected}")]
    WrongL1 {
        /// Chain id of the endpoint.
        found: u64,
        /// Chain id in the rollup configuration.
        expected: u64,
    },
    /// The rollup node's configuration can't be used.
    #[error("--rollup-rpc: {0}")]
    Rollup(#[from] ConfigError),
    /// No factory was given, and the chain's portal names none.
    #[error(
        "the OptimismPortal {portal} names no DisputeGameFactory: give its proxy with \
         --game-factory-address"
    )]
    NoFactory {
        /// The portal of the rollup configuration.
        portal: Address,
    },
    /// The factory belongs to another chain: withdrawals can't be proven against its games.
    #[error(
        "--game-factory-address is {given}, but the OptimismPortal {portal} of this chain takes \
         games of the factory {named} only"
    )]
    OtherFactory {
        /// The flag's value.
        given: Address,
        /// The factory that the portal names.
        named: Address,
        /// The portal of the rollup configuration.
        portal: Address,
    },
    /// The address is not what it should be.
    #[error("--game-factory-address {address} is not the proxy of a DisputeGameFactory: {reason}")]
    NotAFactory {
        /// The address.
        address: Address,
        /// How that shows.
        reason: String,
    },
    /// The factory creates no games of the type.
    #[error("--game-type {game_type}: the factory {factory} has no implementation of it")]
    NoImplementation {
        /// The type.
        game_type: u32,
        /// The factory.
        factory: Address,
    },
    /// Games of the type are about another chain.
    #[error(
        "--game-type {game_type}: games of the factory {factory} are about L2 chain {found}, but \
         the rollup configuration names {expected}"
    )]
    OtherChain {
        /// The type.
        game_type: u32,
        /// The factory.
        factory: Address,
        /// The chain in the type's arguments.
        found: U256,
        /// Chain id in the rollup configuration.
        expected: u64,
    },
    /// Only another account may create games of the type.
    #[error(
        "--game-type {game_type}: the permitted proposer is {permitted}, but this key is {own}; \
         L1 would refuse its games"
    )]
    NotPermitted {
        /// The type.
        game_type: u32,
        /// The account that may create games.
        permitted: Address,
        /// The account of the key.
        own: Address,
    },
}

/// What the proposer has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProposerStats {
    /// Games created.
    pub created: u64,
    /// The L2 block of the newest game of this account, created by this run or an earlier one.
    pub newest_block: Option<u64>,
    /// Games of this account that are not finished.
    pub unfinished: u64,
    /// Games resolved.
    pub resolved: u64,
    /// Games whose bond was paid back.
    pub paid: u64,
    /// Games that a challenger won.
    pub lost: u64,
    /// Wei of bonds paid back.
    pub paid_wei: U256,
    /// Transactions that were refused, reverted or given up.
    pub failed_transactions: u64,
}

/// A running proposer. It ends with the [`Shutdown`] that it was started with.
#[derive(Debug)]
pub struct Proposer {
    stats: watch::Receiver<ProposerStats>,
    rpc: Option<RpcHandle>,
    metrics: Option<SocketAddr>,
}

impl Proposer {
    /// Starts the proposer. Endpoints that do not answer yet are waited for in the background; the
    /// task then ends with an error when they turn out to be the wrong ones.
    ///
    /// # Errors
    /// When the configuration is wrong, as far as the endpoints tell at once, or a port is taken.
    pub async fn start(config: ProposerConfig, shutdown: &Shutdown) -> Result<Self, ProposerError> {
        let rpc = config.admin_rpc.map(admin::bind).transpose()?;
        let serve = |addr| {
            service_metrics::serve(config.metrics.clone(), addr, "--metrics.port", shutdown.token())
        };
        let metrics = config.metrics_server.map(serve).transpose()?;
        let connector = session::Connector::new(config)?;
        let session = match connector.connect().await {
            Ok(session) => Some(session),
            Err(ConnectError::Wrong(error)) => return Err(error),
            // The task tries again, and says so.
            Err(ConnectError::Unavailable(_)) => None,
        };
        let (stats, receiver) = watch::channel(ProposerStats::default());
        let (commands, inbox) = mpsc::channel(8);
        let rpc = rpc.map(|rpc| rpc.serve(admin::module(&rpc::METHODS, commands))).transpose()?;
        let stop = shutdown.token();
        shutdown.spawn_critical("proposer", run::run(connector, session, stats, inbox, stop));
        Ok(Self { stats: receiver, rpc, metrics })
    }

    /// What the proposer has done, as it changes.
    pub fn stats(&self) -> watch::Receiver<ProposerStats> {
        self.stats.clone()
    }

    /// The admin RPC, where one was asked for.
    pub const fn rpc(&self) -> Option<&RpcHandle> {
        self.rpc.as_ref()
    }

    /// Where the metrics are served, if they were asked for.
    pub fn metrics_url(&self) -> Option<String> {
        self.metrics.map(|addr| format!("http://{addr}/metrics"))
    }
}

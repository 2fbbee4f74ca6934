//! Flags of `opal proposer`, named as the OP Stack's proposer names them.

use std::time::Duration;

use alloy_primitives::Address;
use clap::{ArgAction, Args};
use opal_service::TxManagerArgs;
use opal_service::admin::AdminArgs;
use opal_service::duration::parse_duration;
use opal_service::keys::KeyArgs;
use opal_service::metrics::MetricsArgs;
use url::Url;

/// Flags of the proposer.
#[derive(Clone, Debug, Args)]
#[command(
    mut_arg("rpc_addr", |arg| arg.env("OPAL_PROPOSER_RPC_ADDR")),
    mut_arg("rpc_port", |arg| arg.env("OPAL_PROPOSER_RPC_PORT")),
    mut_arg("metrics_enabled", |arg| arg.env("OPAL_PROPOSER_METRICS_ENABLED")),
    mut_arg("metrics_addr", |arg| arg.env("OPAL_PROPOSER_METRICS_ADDR")),
    mut_arg("metrics_port", |arg| arg.env("OPAL_PROPOSER_METRICS_PORT")),
    mut_arg("private_key", |arg| arg.env("OPAL_PROPOSER_PRIVATE_KEY")),
    mut_arg("private_key_file", |arg| arg.env("OPAL_PROPOSER_PRIVATE_KEY_FILE")),
    mut_arg("keystore", |arg| arg.env("OPAL_PROPOSER_KEYSTORE")),
    mut_arg("password_file", |arg| arg.env("OPAL_PROPOSER_PASSWORD_FILE")),
    mut_arg("mnemonic", |arg| arg.env("OPAL_PROPOSER_MNEMONIC")),
    mut_arg("hd_path", |arg| arg.env("OPAL_PROPOSER_HD_PATH").visible_alias("l2-output-hd-path"))
)]
pub struct ProposerArgs {
    /// L1 JSON-RPC that transactions are sent to.
    #[arg(long, env = "OPAL_PROPOSER_L1_ETH_RPC", value_name = "URL")]
    pub l1_eth_rpc: Url,
    /// Rollup RPC of a node that is trusted: what it says is proposed.
    #[arg(long, env = "OPAL_PROPOSER_ROLLUP_RPC", value_name = "URL")]
    pub rollup_rpc: Url,
    /// Proxy of the DisputeGameFactory [default: the one that the chain's OptimismPortal names].
    #[arg(
        long,
        visible_alias = "dgf-address",
        env = "OPAL_PROPOSER_GAME_FACTORY_ADDRESS",
        value_name = "ADDRESS"
    )]
    pub game_factory_address: Option<Address>,
    /// Type of the games: 0 is open to everyone, 1 is permissioned.
    #[arg(
        long,
        visible_alias = "dg-type",
        env = "OPAL_PROPOSER_GAME_TYPE",
        default_value_t = 0,
        value_name = "NUMBER"
    )]
    pub game_type: u32,
    /// Time between games, by the clock of L1.
    #[arg(long, env = "OPAL_PROPOSER_PROPOSAL_INTERVAL", default_value = "1h",
          value_parser = parse_duration, value_name = "DURATION")]
    pub proposal_interval: Duration,
    /// Create a game sooner, after this time, when withdrawals wait for one; not done without it.
    #[arg(long, env = "OPAL_PROPOSER_WITHDRAWAL_INTERVAL", value_parser = parse_duration,
          value_name = "DURATION")]
    pub withdrawal_interval: Option<Duration>,
    /// How often to look at L1 and the rollup node.
    #[arg(long, env = "OPAL_PROPOSER_POLL_INTERVAL", default_value = "12s",
          value_parser = parse_duration, value_name = "DURATION")]
    pub poll_interval: Duration,
    /// Propose blocks as soon as they are safe. An L1 reorg can make such a game wrong, and its bond
    /// is lost then.
    #[arg(long, env = "OPAL_PROPOSER_ALLOW_NON_FINALIZED")]
    pub allow_non_finalized: bool,
    /// Create no game until the rollup node has read L1 up to the block that is its tip now.
    #[arg(long, env = "OPAL_PROPOSER_WAIT_NODE_SYNC")]
    pub wait_node_sync: bool,
    /// Resolve the games of this key when their clocks are over, and claim their bonds.
    #[arg(long, env = "OPAL_PROPOSER_RESOLVE_GAMES", default_value_t = true,
          action = ArgAction::Set, value_name = "BOOL")]
    pub resolve_games: bool,
    /// Age of the oldest games that are looked at after a start.
    #[arg(long, env = "OPAL_PROPOSER_GAME_WINDOW", default_value = "672h",
          value_parser = parse_duration, value_name = "DURATION")]
    pub game_window: Duration,
    /// The L2OutputOracle of chains without dispute games is not supported.
    #[arg(long, env = "OPAL_PROPOSER_L2OO_ADDRESS", hide = true)]
    pub l2oo_address: Option<String>,
    /// Create no game until admin_startProposer is called; needs --rpc.port.
    #[arg(long, env = "OPAL_PROPOSER_STOPPED", requires = "rpc_port", help_heading = "Admin RPC")]
    pub stopped: bool,
    /// The admin RPC.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// The metrics.
    #[command(flatten)]
    pub metrics: MetricsArgs,
    /// The proposer's key.
    #[command(flatten)]
    pub key: KeyArgs,
    /// How transactions are sent.
    #[command(flatten)]
    pub tx_manager: TxManagerArgs,
}

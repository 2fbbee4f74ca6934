//! Flags of `opal batcher`, named as the OP Stack's batcher names them.

use std::fmt;
use std::time::Duration;

use clap::{Args, ValueEnum};
use opal_protocol::Compression;
use opal_protocol::compress::DEFAULT_LEVEL;
use opal_service::TxManagerArgs;
use opal_service::admin::AdminArgs;
use opal_service::duration::parse_duration;
use opal_service::keys::KeyArgs;
use opal_service::metrics::MetricsArgs;
use url::Url;

/// Where batches go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum DataAvailabilityType {
    /// Blobs of EIP-4844 transactions: cheap, kept by L1 for about 18 days; from Ecotone on.
    #[default]
    Blobs,
    /// Calldata of ordinary transactions: dearer, kept forever.
    Calldata,
}

impl fmt::Display for DataAvailabilityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blobs => "blobs",
            Self::Calldata => "calldata",
        })
    }
}

/// Which batches a channel holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum BatchType {
    /// One batch for each block.
    #[value(alias = "0")]
    Singular,
    /// One batch for all blocks of the channel, where the chain has the Delta fork: some percent
    /// smaller on busy chains, much smaller on others. Before Delta, `singular`.
    #[default]
    #[value(alias = "1")]
    Span,
}

/// How channels are compressed. Brotli is valid from the Fjord fork on; before it, every choice
/// means `zlib`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum CompressionAlgo {
    /// `brotli`.
    #[default]
    Auto,
    /// zlib always.
    Zlib,
    /// `brotli-9`.
    Brotli,
    /// Brotli at quality 9.
    #[value(name = "brotli-9")]
    Brotli9,
    /// Brotli at quality 10: several times slower.
    #[value(name = "brotli-10")]
    Brotli10,
    /// Brotli at quality 11: slower still.
    #[value(name = "brotli-11")]
    Brotli11,
}

impl CompressionAlgo {
    /// The compression and its level, given whether Fjord is active.
    pub(crate) const fn at(self, fjord: bool) -> (Compression, u8) {
        match self {
            Self::Brotli10 if fjord => (Compression::Brotli, 10),
            Self::Brotli11 if fjord => (Compression::Brotli, 11),
            Self::Auto | Self::Brotli | Self::Brotli9 if fjord => (Compression::Brotli, 9),
            _ => (Compression::Zlib, DEFAULT_LEVEL),
        }
    }
}

/// Flags of the batcher.
#[derive(Clone, Debug, Args)]
#[command(
    mut_arg("rpc_addr", |arg| arg.env("OPAL_BATCHER_RPC_ADDR")),
    mut_arg("rpc_port", |arg| arg.env("OPAL_BATCHER_RPC_PORT")),
    mut_arg("metrics_enabled", |arg| arg.env("OPAL_BATCHER_METRICS_ENABLED")),
    mut_arg("metrics_addr", |arg| arg.env("OPAL_BATCHER_METRICS_ADDR")),
    mut_arg("metrics_port", |arg| arg.env("OPAL_BATCHER_METRICS_PORT")),
    mut_arg("private_key", |arg| arg.env("OPAL_BATCHER_PRIVATE_KEY")),
    mut_arg("private_key_file", |arg| arg.env("OPAL_BATCHER_PRIVATE_KEY_FILE")),
    mut_arg("keystore", |arg| arg.env("OPAL_BATCHER_KEYSTORE")),
    mut_arg("password_file", |arg| arg.env("OPAL_BATCHER_PASSWORD_FILE")),
    mut_arg("mnemonic", |arg| arg.env("OPAL_BATCHER_MNEMONIC")),
    mut_arg("hd_path", |arg| arg.env("OPAL_BATCHER_HD_PATH").visible_alias("sequencer-hd-path"))
)]
pub struct BatcherArgs {
    /// L1 JSON-RPC that transactions are sent to.
    #[arg(long, env = "OPAL_BATCHER_L1_ETH_RPC", value_name = "URL")]
    pub l1_eth_rpc: Url,
    /// L2 JSON-RPC of the sequencer, which blocks are read from.
    #[arg(long, env = "OPAL_BATCHER_L2_ETH_RPC", value_name = "URL")]
    pub l2_eth_rpc: Url,
    /// Rollup RPC of the sequencer: tells which blocks are not on L1 yet.
    #[arg(long, env = "OPAL_BATCHER_ROLLUP_RPC", value_name = "URL")]
    pub rollup_rpc: Url,
    /// Where batches go.
    #[arg(
        long,
        visible_alias = "da",
        env = "OPAL_BATCHER_DATA_AVAILABILITY_TYPE",
        value_enum,
        default_value_t
    )]
    pub data_availability_type: DataAvailabilityType,
    /// How often to ask the rollup node for new blocks.
    #[arg(long, env = "OPAL_BATCHER_POLL_INTERVAL", default_value = "6s",
          value_parser = parse_duration, value_name = "DURATION")]
    pub poll_interval: Duration,
    /// L1 blocks after which a channel is posted even if it is not full; 0 waits until it is full
    /// or its sequencing window closes. Low values make blocks safe sooner and cost more.
    #[arg(
        long,
        env = "OPAL_BATCHER_MAX_CHANNEL_DURATION",
        default_value_t = 0,
        value_name = "L1_BLOCKS"
    )]
    pub max_channel_duration: u64,
    /// L1 blocks kept in reserve before a channel times out or a sequencing window closes.
    #[arg(
        long,
        env = "OPAL_BATCHER_SUB_SAFETY_MARGIN",
        default_value_t = 10,
        value_name = "L1_BLOCKS"
    )]
    pub sub_safety_margin: u64,
    /// Frames that make a channel full. With blobs: how many go into one transaction, up to 6.
    #[arg(long, env = "OPAL_BATCHER_TARGET_NUM_FRAMES", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=128), value_name = "FRAMES")]
    pub target_num_frames: u16,
    /// Largest transaction with calldata, in bytes of data. Most pools refuse more than 128 KiB.
    #[arg(long, env = "OPAL_BATCHER_MAX_L1_TX_SIZE_BYTES", default_value_t = 120_000,
          value_parser = clap::value_parser!(u32).range(1_000..=130_000), value_name = "BYTES")]
    pub max_l1_tx_size_bytes: u32,
    /// Transactions that may wait for confirmation at the same time; 0 for no limit.
    #[arg(long, env = "OPAL_BATCHER_MAX_PENDING_TX", default_value_t = 10, value_name = "COUNT")]
    pub max_pending_tx: usize,
    /// Which batches a channel holds; 0 and 1 name them, too.
    #[arg(long, env = "OPAL_BATCHER_BATCH_TYPE", value_enum, default_value_t)]
    pub batch_type: BatchType,
    /// How channels are compressed.
    #[arg(long, env = "OPAL_BATCHER_COMPRESSION_ALGO", value_enum, default_value_t)]
    pub compression_algo: CompressionAlgo,
    /// Post nothing until the rollup node has read L1 up to the block that is its tip now. Avoids
    /// posting again what an earlier batcher has just posted.
    #[arg(long, env = "OPAL_BATCHER_WAIT_NODE_SYNC")]
    pub wait_node_sync: bool,
    /// Post nothing until admin_startBatcher is called; needs --rpc.port.
    #[arg(long, env = "OPAL_BATCHER_STOPPED", requires = "rpc_port", help_heading = "Admin RPC")]
    pub stopped: bool,
    /// The admin RPC.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// The metrics.
    #[command(flatten)]
    pub metrics: MetricsArgs,
    /// The key of the batcher that the SystemConfig on L1 names.
    #[command(flatten)]
    pub key: KeyArgs,
    /// How transactions are sent.
    #[command(flatten)]
    pub tx_manager: TxManagerArgs,
}

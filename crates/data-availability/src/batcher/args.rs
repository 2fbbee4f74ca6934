//! Flags and configuration of the batcher.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::{Args, ValueEnum};
use opal_protocol::blob::MAX_BLOB_DATA;
use opal_protocol::frame::{FRAME_OVERHEAD, MAX_FRAME_DATA};
use opal_service::duration::parse_duration;
use opal_service::keys::{Key, KeyError, Secret};
use opal_service::{TxManagerArgs, TxManagerConfig};
use url::Url;

/// Most blobs that one transaction of ours carries; later L1 forks allow no fewer.
const MAX_BLOBS_PER_TX: usize = 6;

/// Where batches go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DataAvailabilityType {
    /// Blobs (EIP-4844), one frame each. Valid from Ecotone on.
    #[default]
    Blobs,
    /// Calldata, one frame per transaction.
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

/// Flags of the batcher.
#[derive(Clone, Debug, Args)]
pub struct BatcherArgs {
    /// JSON-RPC of the L1.
    #[arg(long, env = "OPAL_BATCHER_L1_ETH_RPC", value_name = "URL")]
    pub l1_eth_rpc: Url,
    /// JSON-RPC of the sequencer's execution.
    #[arg(long, env = "OPAL_BATCHER_L2_ETH_RPC", value_name = "URL")]
    pub l2_eth_rpc: Url,
    /// Rollup RPC of the sequencer's node.
    #[arg(long, env = "OPAL_BATCHER_ROLLUP_RPC", value_name = "URL")]
    pub rollup_rpc: Url,
    /// Key of the batcher account, in hex.
    #[arg(long, env = "OPAL_BATCHER_PRIVATE_KEY", hide_env_values = true, value_name = "HEX",
          required_unless_present = "mnemonic", conflicts_with = "mnemonic")]
    pub private_key: Option<Secret>,
    /// Phrase from which the key is derived.
    #[arg(long, env = "OPAL_BATCHER_MNEMONIC", hide_env_values = true, value_name = "PHRASE")]
    pub mnemonic: Option<Secret>,
    /// Derivation path of the key.
    #[arg(long, env = "OPAL_BATCHER_HD_PATH", default_value = "m/44'/60'/0'/0/0",
          value_name = "PATH")]
    pub hd_path: String,
    /// How often to look for new blocks.
    #[arg(long, env = "OPAL_BATCHER_POLL_INTERVAL", default_value = "6s",
          value_parser = parse_duration, value_name = "DURATION")]
    pub poll_interval: Duration,
    /// L1 blocks after which a channel is closed even if it is not full; 0 waits until it is, or
    /// until its timeout comes near.
    #[arg(long, env = "OPAL_BATCHER_MAX_CHANNEL_DURATION", default_value_t = 0)]
    pub max_channel_duration: u64,
    /// L1 blocks before a channel's timeout, and before the end of the sequencing window, at which
    /// it is closed.
    #[arg(long, env = "OPAL_BATCHER_SUB_SAFETY_MARGIN", default_value_t = 10)]
    pub sub_safety_margin: u64,
    /// Frames that a channel should fill: blobs of one transaction, or calldata transactions.
    #[arg(long, env = "OPAL_BATCHER_TARGET_NUM_FRAMES", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub target_num_frames: u16,
    /// Largest calldata of a transaction, in bytes.
    #[arg(long, env = "OPAL_BATCHER_MAX_L1_TX_SIZE_BYTES", default_value_t = 120_000)]
    pub max_l1_tx_size_bytes: u32,
    /// Where batches go.
    #[arg(long, visible_alias = "da", env = "OPAL_BATCHER_DATA_AVAILABILITY_TYPE", value_enum,
          default_value_t = DataAvailabilityType::Blobs)]
    pub data_availability_type: DataAvailabilityType,
    /// Transactions on their way to L1 at once.
    #[arg(long, env = "OPAL_BATCHER_MAX_PENDING_TX", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub max_pending_tx: u16,
    /// Start without posting; `admin_startBatcher` begins.
    #[arg(long, env = "OPAL_BATCHER_STOPPED")]
    pub stopped: bool,
    /// Address of the admin RPC.
    #[arg(long = "rpc.addr", env = "OPAL_BATCHER_RPC_ADDR", default_value = "127.0.0.1")]
    pub rpc_addr: IpAddr,
    /// Port of the admin RPC; without it there is none.
    #[arg(long = "rpc.port", env = "OPAL_BATCHER_RPC_PORT", value_name = "PORT")]
    pub rpc_port: Option<u16>,
    /// Transactions.
    #[command(flatten)]
    pub tx_manager: TxManagerArgs,
}

/// Why a configuration is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No usable key.
    #[error("{flag}: {error}")]
    Key {
        /// The flag that gave it.
        flag: &'static str,
        /// What is wrong.
        error: KeyError,
    },
    /// Neither a key nor a phrase was given.
    #[error("one of --private-key and --mnemonic is needed")]
    NoKey,
    /// A value out of its range.
    #[error("{flag} {value}: {reason}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Configuration of the batcher.
#[derive(Clone, Debug)]
pub struct BatcherConfig {
    /// JSON-RPC of the L1.
    pub l1_rpc: Url,
    /// JSON-RPC of the sequencer's execution.
    pub l2_rpc: Url,
    /// Rollup RPC of the sequencer's node.
    pub rollup_rpc: Url,
    /// The batcher account.
    pub key: Key,
    /// How often to look for new blocks.
    pub poll_interval: Duration,
    /// L1 blocks after which a channel is closed; 0 for no limit of its own.
    pub max_channel_duration: u64,
    /// L1 blocks kept between a channel's end and its timeout.
    pub sub_safety_margin: u64,
    /// Frames that a channel should fill.
    pub target_frames: usize,
    /// Largest frame, overhead included.
    pub max_frame_size: usize,
    /// Where batches go.
    pub da: DataAvailabilityType,
    /// Whether posting waits for `admin_startBatcher`.
    pub stopped: bool,
    /// Where the admin RPC listens.
    pub rpc_addr: Option<SocketAddr>,
    /// Fees, confirmations, and transactions at once.
    pub tx_manager: TxManagerConfig,
}

impl BatcherConfig {
    /// A devnet's configuration: every L1 block gets what is there, in up to six blobs.
    ///
    /// # Errors
    /// When a URL does not parse.
    pub fn devnet(
        l1_rpc: Url,
        l2_rpc: &str,
        rollup_rpc: &str,
        key: Key,
        da: DataAvailabilityType,
    ) -> Result<Self, ConfigError> {
        let url = |flag, text: &str| {
            let error = ConfigError::Value { flag, value: text.to_owned(), reason: "not a URL" };
            text.parse::<Url>().map_err(|_| error)
        };
        Ok(Self {
            l1_rpc,
            l2_rpc: url("--l2-eth-rpc", l2_rpc)?,
            rollup_rpc: url("--rollup-rpc", rollup_rpc)?,
            key,
            poll_interval: Duration::from_millis(200),
            max_channel_duration: 1,
            sub_safety_margin: 4,
            target_frames: MAX_BLOBS_PER_TX,
            max_frame_size: max_frame_size(da, 120_000),
            da,
            stopped: false,
            rpc_addr: None,
            tx_manager: TxManagerConfig { max_pending: 4, ..TxManagerConfig::default() },
        })
    }

    /// Frames that one transaction may carry.
    pub(crate) const fn frames_per_tx(&self) -> usize {
        match self.da {
            DataAvailabilityType::Blobs => MAX_BLOBS_PER_TX,
            DataAvailabilityType::Calldata => 1,
        }
    }
}

/// A blob and a calldata transaction both begin with a version byte.
const fn max_frame_size(da: DataAvailabilityType, max_tx_size: usize) -> usize {
    match da {
        DataAvailabilityType::Blobs => MAX_BLOB_DATA - 1,
        DataAvailabilityType::Calldata => max_tx_size.saturating_sub(1),
    }
}

impl TryFrom<BatcherArgs> for BatcherConfig {
    type Error = ConfigError;

    fn try_from(args: BatcherArgs) -> Result<Self, ConfigError> {
        let key = match (&args.private_key, &args.mnemonic) {
            (Some(secret), _) => Key::from_hex(secret)
                .map_err(|error| ConfigError::Key { flag: "--private-key", error })?,
            (None, Some(phrase)) => {
                Key::from_mnemonic(phrase, &args.hd_path).map_err(|error| {
                    let path = error == KeyError::Path;
                    ConfigError::Key { flag: if path { "--hd-path" } else { "--mnemonic" }, error }
                })?
            }
            (None, None) => return Err(ConfigError::NoKey),
        };
        let value = |flag, value: &dyn fmt::Display, reason| {
            Err(ConfigError::Value { flag, value: value.to_string(), reason })
        };
        let size = args.max_l1_tx_size_bytes as usize;
        if !(1000..=MAX_FRAME_DATA + FRAME_OVERHEAD + 1).contains(&size) {
            return value("--max-l1-tx-size-bytes", &size, "must be from 1000 to 1000024");
        }
        let frames = usize::from(args.target_num_frames);
        let da = args.data_availability_type;
        if da == DataAvailabilityType::Blobs && frames > MAX_BLOBS_PER_TX {
            return value("--target-num-frames", &frames, "a transaction carries at most 6 blobs");
        }
        if args.poll_interval.is_zero() {
            return value("--poll-interval", &0, "must not be zero");
        }
        let tx_manager = TxManagerConfig {
            max_pending: usize::from(args.max_pending_tx),
            ..TxManagerConfig::from(&args.tx_manager)
        };
        Ok(Self {
            l1_rpc: args.l1_eth_rpc,
            l2_rpc: args.l2_eth_rpc,
            rollup_rpc: args.rollup_rpc,
            key,
            poll_interval: args.poll_interval,
            max_channel_duration: args.max_channel_duration,
            sub_safety_margin: args.sub_safety_margin,
            target_frames: frames,
            max_frame_size: max_frame_size(da, size),
            da,
            stopped: args.stopped,
            rpc_addr: args.rpc_port.map(|port| SocketAddr::new(args.rpc_addr, port)),
            tx_manager,
        })
    }
}

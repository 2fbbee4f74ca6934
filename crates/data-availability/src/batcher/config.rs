//! The batcher's configuration. One that exists can be used.

use std::net::SocketAddr;
use std::time::Duration;

use opal_protocol::blob::MAX_BLOB_DATA;
use opal_service::TxManagerConfig;
use opal_service::keys::Key;
use opal_service::metrics::Metrics;
use url::Url;

use super::{BatchType, BatcherArgs, BatcherError, CompressionAlgo, DataAvailabilityType};

/// Most blobs in one transaction. Osaka allows no more, and earlier forks' blocks hold few more.
pub(crate) const MAX_BLOBS_PER_TX: usize = 6;

/// What the batcher works with.
#[derive(Clone, Debug)]
pub struct BatcherConfig {
    pub(crate) l1_rpc: Url,
    pub(crate) l2_rpc: Url,
    pub(crate) rollup_rpc: Url,
    pub(crate) key: Key,
    pub(crate) poll_interval: Duration,
    pub(crate) wait_node_sync: bool,
    /// Whether posting waits for `admin_startBatcher`.
    pub(crate) stopped: bool,
    pub(crate) admin_rpc: Option<SocketAddr>,
    pub(crate) max_pending: usize,
    pub(crate) posting: Posting,
    pub(crate) tx_manager: TxManagerConfig,
    pub(crate) metrics: Metrics,
    pub(crate) metrics_server: Option<SocketAddr>,
}

/// How blocks become transactions.
#[derive(Clone, Debug)]
pub(crate) struct Posting {
    pub da: DataAvailabilityType,
    pub batch_type: BatchType,
    pub compression: CompressionAlgo,
    /// L1 blocks for which a channel stays open; 0 for no limit.
    pub max_channel_duration: u64,
    /// L1 blocks kept in reserve before a deadline.
    pub sub_safety_margin: u64,
    /// Frames that make a channel full.
    pub target_num_frames: usize,
    /// Largest frame, its overhead included, in bytes.
    pub max_frame_size: usize,
}

impl Posting {
    /// Frames in one transaction: a blob holds one, and so does calldata.
    pub(crate) const fn frames_per_tx(&self) -> usize {
        match self.da {
            DataAvailabilityType::Blobs => MAX_BLOBS_PER_TX,
            DataAvailabilityType::Calldata => 1,
        }
    }
}

impl BatcherConfig {
    /// A development chain's batcher: posts what there is with every L1 block, and waits for one
    /// confirmation.
    ///
    /// # Errors
    /// When an address is no URL.
    pub fn devnet(
        l1: Url,
        l2_rpc: &str,
        rollup_rpc: &str,
        key: Key,
        da: DataAvailabilityType,
    ) -> Result<Self, BatcherError> {
        let parse = |flag, text: &str| {
            Url::parse(text)
                .map_err(|error| BatcherError::Flag { flag, reason: format!("{text:?}: {error}") })
        };
        Ok(Self {
            l1_rpc: l1,
            l2_rpc: parse("--l2-eth-rpc", l2_rpc)?,
            rollup_rpc: parse("--rollup-rpc", rollup_rpc)?,
            key,
            poll_interval: Duration::from_millis(100),
            wait_node_sync: false,
            stopped: false,
            admin_rpc: None,
            max_pending: 16,
            posting: Posting {
                da,
                batch_type: BatchType::default(),
                compression: CompressionAlgo::default(),
                max_channel_duration: 1,
                sub_safety_margin: 4,
                target_num_frames: 1,
                max_frame_size: max_frame_size(da, 120_000),
            },
            tx_manager: TxManagerConfig {
                poll_interval: Duration::from_millis(100),
                ..TxManagerConfig::default()
            },
            metrics: Metrics::new(),
            metrics_server: None,
        })
    }

    /// Registers `opal_batcher_*` in a registry.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }
}

/// The version byte of batcher data takes one byte beside the frame.
fn max_frame_size(da: DataAvailabilityType, max_calldata: usize) -> usize {
    match da {
        DataAvailabilityType::Blobs => MAX_BLOB_DATA - 1,
        DataAvailabilityType::Calldata => max_calldata - 1,
    }
}

impl TryFrom<BatcherArgs> for BatcherConfig {
    type Error = BatcherError;

    fn try_from(args: BatcherArgs) -> Result<Self, BatcherError> {
        let flag = |flag, reason: &str| BatcherError::Flag { flag, reason: reason.to_owned() };
        let key = args.key.key()?;
        if args.poll_interval < Duration::from_millis(10) {
            return Err(flag("--poll-interval", "must be 10ms or more"));
        }
        let target_num_frames = usize::from(args.target_num_frames);
        let da = args.data_availability_type;
        if da == DataAvailabilityType::Blobs && target_num_frames > MAX_BLOBS_PER_TX {
            return Err(flag("--target-num-frames", "a transaction carries 6 blobs at most"));
        }
        let max_pending = match args.max_pending_tx {
            0 => usize::MAX,
            limit => limit,
        };
        let max_calldata = usize::try_from(args.max_l1_tx_size_bytes).unwrap_or(usize::MAX);
        if max_calldata < 1_000 {
            return Err(flag("--max-l1-tx-size-bytes", "must be 1000 or more"));
        }
        Ok(Self {
            l1_rpc: args.l1_eth_rpc,
            l2_rpc: args.l2_eth_rpc,
            rollup_rpc: args.rollup_rpc,
            key,
            poll_interval: args.poll_interval,
            wait_node_sync: args.wait_node_sync,
            stopped: args.stopped,
            admin_rpc: args.admin.addr(),
            max_pending,
            posting: Posting {
                da,
                batch_type: args.batch_type,
                compression: args.compression_algo,
                max_channel_duration: args.max_channel_duration,
                sub_safety_margin: args.sub_safety_margin,
                target_num_frames,
                max_frame_size: max_frame_size(da, max_calldata),
            },
            tx_manager: TxManagerConfig { max_pending, ..TxManagerConfig::from(&args.tx_manager) },
            metrics: Metrics::new(),
            metrics_server: args.metrics.addr(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use clap::Parser;
    use opal_protocol::Compression;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: BatcherArgs,
    }

    const KEY: &str = "0x0101010101010101010101010101010101010101010101010101010101010101";

    fn parse(more: &[&str]) -> Result<BatcherConfig, String> {
        let mut args = vec!["batcher", "--l1-eth-rpc", "http://localhost:1"];
        args.extend(["--l2-eth-rpc", "http://localhost:2", "--rollup-rpc", "http://localhost:3"]);
        args.extend(more);
        let cli = Cli::try_parse_from(args).map_err(|e| e.to_string())?;
        BatcherConfig::try_from(cli.args).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_are_those_of_a_live_chain() {
        let config = parse(&["--private-key", KEY]).unwrap();
        assert_eq!(config.poll_interval, Duration::from_secs(6));
        assert_eq!(config.posting.da, DataAvailabilityType::Blobs);
        assert_eq!(config.posting.max_frame_size, MAX_BLOB_DATA - 1);
        assert_eq!(config.posting.batch_type, BatchType::Span);
        assert_eq!(config.posting.compression, CompressionAlgo::Auto);
        assert_eq!(config.tx_manager.confirmations, 10);
        assert_eq!((config.admin_rpc, config.stopped), (None, false));
        // A debug print must not show the key.
        assert!(!format!("{config:?}").contains("0101"));
    }

    #[test]
    fn calldata_admin_rpc_and_unlimited_transactions() {
        let config = parse(&[
            "--mnemonic",
            opal_service::keys::TEST_MNEMONIC,
            "--da",
            "calldata",
            "--max-l1-tx-size-bytes",
            "5000",
            "--max-pending-tx",
            "0",
            "--rpc.port",
            "0",
            "--stopped",
        ])
        .unwrap();
        assert_eq!(config.posting.max_frame_size, 4999);
        assert_eq!(config.max_pending, usize::MAX);
        assert!(config.stopped && config.admin_rpc.is_some());
    }

    #[test]
    fn batches_and_compression_have_the_names_that_operators_know() {
        let posting =
            |args: &[&str]| parse(&[&["--private-key", KEY], args].concat()).unwrap().posting;
        for (name, expected) in [
            ("0", BatchType::Singular),
            ("singular", BatchType::Singular),
            ("1", BatchType::Span),
            ("span", BatchType::Span),
        ] {
            assert_eq!(posting(&["--batch-type", name]).batch_type, expected);
        }
        for (name, before, after) in [
            ("auto", (Compression::Zlib, 9), (Compression::Brotli, 9)),
            ("zlib", (Compression::Zlib, 9), (Compression::Zlib, 9)),
            ("brotli", (Compression::Zlib, 9), (Compression::Brotli, 9)),
            ("brotli-9", (Compression::Zlib, 9), (Compression::Brotli, 9)),
            ("brotli-10", (Compression::Zlib, 9), (Compression::Brotli, 10)),
            ("brotli-11", (Compression::Zlib, 9), (Compression::Brotli, 11)),
        ] {
            let algo = posting(&["--compression-algo", name]).compression;
            assert_eq!((algo.at(false), algo.at(true)), (before, after), "{name}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        for (args, expected) in [
            (vec![], "--private-key"),
            (vec!["--private-key", "0x12"], "--private-key: the private key must be"),
            (vec!["--mnemonic", "test junk"], "--mnemonic: "),
            (vec!["--private-key", KEY, "--mnemonic", "x"], "both give a key"),
            (vec!["--private-key", KEY, "--target-num-frames", "7"], "6 blobs at most"),
            (vec!["--private-key", KEY, "--target-num-frames", "0"], "--target-num-frames"),
            (vec!["--private-key", KEY, "--poll-interval", "1ms"], "--poll-interval"),
            (vec!["--private-key", KEY, "--stopped"], "--rpc.port"),
            (vec!["--private-key", KEY, "--batch-type", "2"], "[possible values: singular, span]"),
            (vec!["--private-key", KEY, "--compression-algo", "brotli-8"], "brotli-11]"),
            (vec!["--private-key", KEY, "--da", "carrier-pigeon"], "[possible values: blobs"),
        ] {
            let error = parse(&args).unwrap_err();
            assert!(error.contains(expected), "{args:?}: {error}");
        }
        let key = Key::from_hex(&KEY.into()).unwrap();
        let l1 = "http://localhost:1".parse().unwrap();
        let da = DataAvailabilityType::Blobs;
        let error = BatcherConfig::devnet(l1, "nonsense", "http://localhost:2", key, da);
        assert!(error.unwrap_err().to_string().starts_with("--l2-eth-rpc: \"nonsense\""));
    }
}

//! The proposer's configuration. One that exists can be used.

use std::net::SocketAddr;
use std::time::Duration;

use alloy_primitives::Address;
use opal_service::TxManagerConfig;
use opal_service::keys::Key;
use opal_service::metrics::Metrics;
use url::Url;

use super::rules::Pace;
use super::{ProposerArgs, ProposerError};

/// `GameTypes.PERMISSIONED_CANNON`.
const PERMISSIONED: u32 = 1;
/// Types whose claims are super roots: `SUPER_CANNON`, `SUPER_PERMISSIONED_CANNON`,
/// `SUPER_ASTERISC_KONA`, `SUPER_CANNON_KONA`.
const SUPER_TYPES: [u32; 4] = [4, 5, 7, 9];

/// What the proposer works with.
#[derive(Clone, Debug)]
pub struct ProposerConfig {
    pub(crate) l1_rpc: Url,
    pub(crate) rollup_rpc: Url,
    pub(crate) key: Key,
    pub(crate) factory: Option<Address>,
    pub(crate) game_type: u32,
    pub(crate) pace: Pace,
    pub(crate) poll_interval: Duration,
    pub(crate) wait_node_sync: bool,
    /// Whether games are resolved and bonds claimed.
    pub(crate) resolve: bool,
    /// Seconds of L1's clock: older games are not looked at.
    pub(crate) game_window: u64,
    /// Seconds by which the next L1 block is later than its tip at least. What is due then is sent
    /// at once, without a dry run; 0 waits for a tip at which it is due.
    pub(crate) lookahead: u64,
    /// Whether everything waits for `admin_startProposer`.
    pub(crate) stopped: bool,
    pub(crate) admin_rpc: Option<SocketAddr>,
    pub(crate) tx_manager: TxManagerConfig,
    pub(crate) metrics: Metrics,
    pub(crate) metrics_server: Option<SocketAddr>,
}

impl ProposerConfig {
    /// A development chain's proposer: a permissioned game each minute, and as soon as a withdrawal
    /// is safe, with one confirmation for each transaction. L1's blocks are at least so many seconds
    /// apart.
    ///
    /// # Errors
    /// When an address is no URL.
    pub fn devnet(
        l1: Url,
        rollup_rpc: &str,
        key: Key,
        l1_block_time: u64,
    ) -> Result<Self, ProposerError> {
        let rollup_rpc = Url::parse(rollup_rpc).map_err(|error| ProposerError::Flag {
            flag: "--rollup-rpc",
            reason: format!("{rollup_rpc:?}: {error}"),
        })?;
        Ok(Self {
            l1_rpc: l1,
            rollup_rpc,
            key,
            factory: None,
            game_type: PERMISSIONED,
            pace: Pace { interval: 60, withdrawal_interval: Some(0), allow_non_finalized: true },
            poll_interval: Duration::from_millis(100),
            wait_node_sync: false,
            resolve: true,
            game_window: 3600,
            lookahead: l1_block_time,
            stopped: false,
            admin_rpc: None,
            tx_manager: TxManagerConfig {
                poll_interval: Duration::from_millis(100),
                ..TxManagerConfig::default()
            },
            metrics: Metrics::new(),
            metrics_server: None,
        })
    }

    /// Registers `opal_proposer_*` in a registry.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }
}

impl TryFrom<ProposerArgs> for ProposerConfig {
    type Error = ProposerError;

    fn try_from(args: ProposerArgs) -> Result<Self, ProposerError> {
        let flag = |flag, reason: &str| ProposerError::Flag { flag, reason: reason.to_owned() };
        if args.l2oo_address.is_some() {
            return Err(flag(
                "--l2oo-address",
                "chains with an L2OutputOracle instead of dispute games are not supported; use \
                 --game-factory-address",
            ));
        }
        let key = args.key.key()?;
        if args.poll_interval < Duration::from_millis(10) {
            return Err(flag("--poll-interval", "must be 10ms or more"));
        }
        if args.proposal_interval < Duration::from_secs(1) {
            return Err(flag("--proposal-interval", "must be 1s or more"));
        }
        if SUPER_TYPES.contains(&args.game_type) {
            return Err(flag(
                "--game-type",
                "games of this type are about super roots; only those about output roots are \
                 supported",
            ));
        }
        Ok(Self {
            l1_rpc: args.l1_eth_rpc,
            rollup_rpc: args.rollup_rpc,
            key,
            factory: args.game_factory_address,
            game_type: args.game_type,
            pace: Pace {
                interval: args.proposal_interval.as_secs(),
                withdrawal_interval: args.withdrawal_interval.map(|interval| interval.as_secs()),
                allow_non_finalized: args.allow_non_finalized,
            },
            poll_interval: args.poll_interval,
            wait_node_sync: args.wait_node_sync,
            resolve: args.resolve_games,
            game_window: args.game_window.as_secs(),
            lookahead: 0,
            stopped: args.stopped,
            admin_rpc: args.admin.addr(),
            tx_manager: TxManagerConfig::from(&args.tx_manager),
            metrics: Metrics::new(),
            metrics_server: args.metrics.addr(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: ProposerArgs,
    }

    const KEY: &str = "0x0101010101010101010101010101010101010101010101010101010101010101";

    fn parse(more: &[&str]) -> Result<ProposerConfig, String> {
        let mut args = vec!["proposer", "--l1-eth-rpc", "http://localhost:1"];
        args.extend(["--rollup-rpc", "http://localhost:3"]);
        args.extend(more);
        let cli = Cli::try_parse_from(args).map_err(|e| e.to_string())?;
        ProposerConfig::try_from(cli.args).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_are_those_of_a_live_chain() {
        let config = parse(&["--private-key", KEY]).unwrap();
        let pace = Pace { interval: 3600, withdrawal_interval: None, allow_non_finalized: false };
        assert_eq!(config.pace, pace);
        assert_eq!((config.game_type, config.factory, config.lookahead), (0, None, 0));
        assert!(config.resolve && !config.stopped && config.metrics_server.is_none());
        assert_eq!(config.tx_manager.confirmations, 10);
        // A debug print must not show the key.
        assert!(!format!("{config:?}").contains("0101"));
    }

    #[test]
    fn flags_of_operators_are_understood() {
        let config = parse(&[
            "--private-key",
            KEY,
            "--game-factory-address",
            "0x4200000000000000000000000000000000000099",
            "--game-type",
            "1",
            "--proposal-interval",
            "12s",
            "--withdrawal-interval",
            "0",
            "--allow-non-finalized",
            "--resolve-games",
            "false",
            "--rpc.port",
            "0",
            "--stopped",
            "--metrics.enabled",
            "--metrics.port",
            "0",
        ])
        .unwrap();
        let pace = Pace { interval: 12, withdrawal_interval: Some(0), allow_non_finalized: true };
        assert_eq!(config.pace, pace);
        assert_eq!(config.game_type, 1);
        assert!(config.factory.is_some() && config.stopped && !config.resolve);
        assert!(config.admin_rpc.is_some() && config.metrics_server.is_some());
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        for (args, expected) in [
            (vec![], "--private-key"),
            (vec!["--private-key", "0x12"], "--private-key: the private key must be"),
            (vec!["--mnemonic", "test junk"], "--mnemonic: "),
            (vec!["--private-key", KEY, "--mnemonic", "x"], "both give a key"),
            (vec!["--private-key", KEY, "--poll-interval", "1ms"], "--poll-interval"),
            (vec!["--private-key", KEY, "--proposal-interval", "0"], "--proposal-interval"),
            (vec!["--private-key", KEY, "--game-type", "5"], "super roots"),
            (vec!["--private-key", KEY, "--stopped"], "--rpc.port"),
            (
                vec!["--private-key", KEY, "--game-factory-address", "0x12"],
                "--game-factory-address",
            ),
            (vec!["--private-key", KEY, "--l2oo-address", "0x12"], "use --game-factory-address"),
        ] {
            let error = parse(&args).unwrap_err();
            assert!(error.contains(expected), "{args:?}: {error}");
        }
        let key = Key::from_hex(&KEY.into()).unwrap();
        let error =
            ProposerConfig::devnet("http://localhost:1".parse().unwrap(), "nonsense", key, 2);
        assert!(error.unwrap_err().to_string().starts_with("--rollup-rpc: \"nonsense\""));
    }
}

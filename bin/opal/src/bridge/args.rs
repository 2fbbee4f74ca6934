//! Flags of `opal bridge`.

use std::path::PathBuf;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256};
use clap::{Args, Subcommand};
use opal_dispute::withdrawals::Patience;
use opal_service::TxManagerConfig;
use opal_service::duration::parse_duration;
use opal_service::keys::KeyArgs;
use opal_service::tx_manager::fees::FeeLimits;
use url::Url;

use super::amount::Amount;

/// Move ether, tokens and messages between L1 and any OP chain.
///
/// A deposit takes one step. A withdrawal takes three: `withdraw` on L2, then `prove` and `finalize`
/// on L1, each after a delay; `status` says what is next. `exit` withdraws without any node of L2 and
/// whatever the sequencer wants.
#[derive(Debug, Args)]
pub(crate) struct BridgeArgs {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Bring ether, tokens or a message to L2. With --wait: until it is there.
    Deposit(TransferArgs),
    /// Begin a withdrawal on L2. With --wait: prove it, wait and finalize it, too.
    Withdraw(TransferArgs),
    /// Prove a withdrawal on L1. With --wait: as soon as a valid game holds it.
    Prove(WhichArgs),
    /// Finalize a withdrawal on L1. With --wait: prove it first where that is due, wait for both
    /// delays, and prove it again if its game is struck out meanwhile.
    Finalize(WhichArgs),
    /// Make a message's call once more, which failed on the chain that it was sent to: tokens and
    /// ether that it carries wait there until then.
    Relay(WhichArgs),
    /// Say where a withdrawal is, both clocks, and the next step; with --json its calldata, too. With
    /// --wait: when a step is due or the status changes.
    Status(StatusArgs),
    /// Begin a withdrawal from L1, by a deposit that the sequencer can't refuse. Needs ether on L1
    /// for gas alone; what is withdrawn is the account's on L2.
    Exit(ExitArgs),
}

/// Where the chains are, who signs, and how to answer.
#[derive(Debug, Args)]
#[command(
    mut_arg("private_key", |arg| arg.env("OPAL_BRIDGE_PRIVATE_KEY").global(true)),
    mut_arg("private_key_file", |arg| arg.env("OPAL_BRIDGE_PRIVATE_KEY_FILE").global(true)),
    mut_arg("keystore", |arg| arg.env("OPAL_BRIDGE_KEYSTORE").global(true)),
    mut_arg("password_file", |arg| arg.env("OPAL_BRIDGE_PASSWORD_FILE").global(true)),
    mut_arg("mnemonic", |arg| arg.env("OPAL_BRIDGE_MNEMONIC").global(true)),
    mut_arg("hd_path", |arg| arg.env("OPAL_BRIDGE_HD_PATH").global(true))
)]
pub(super) struct Common {
    /// L1 JSON-RPC.
    #[arg(
        long,
        env = "OPAL_BRIDGE_L1_RPC",
        value_name = "URL",
        global = true,
        required = false,
        default_value = "http://127.0.0.1:8545"
    )]
    pub(super) l1_rpc: Url,
    /// L2 JSON-RPC of any node of the chain. To prove, it must have the states of the last days.
    #[arg(long, env = "OPAL_BRIDGE_L2_RPC", value_name = "URL", global = true)]
    pub(super) l2_rpc: Option<Url>,
    /// The chain, if it is one of the superchain registry: name or id; `opal chains` lists them.
    #[arg(
        long,
        env = "OPAL_BRIDGE_NETWORK",
        value_name = "NAME|ID",
        global = true,
        conflicts_with_all = ["portal", "rollup_config"],
        help_heading = "Chain"
    )]
    pub(super) network: Option<String>,
    /// The chain's OptimismPortal on L1, if it is another.
    #[arg(
        long,
        env = "OPAL_BRIDGE_PORTAL",
        value_name = "ADDRESS",
        global = true,
        conflicts_with = "rollup_config",
        help_heading = "Chain"
    )]
    pub(super) portal: Option<Address>,
    /// The chain's rollup.json, which names the portal.
    #[arg(
        long,
        env = "OPAL_BRIDGE_ROLLUP_CONFIG",
        value_name = "FILE",
        global = true,
        help_heading = "Chain"
    )]
    pub(super) rollup_config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) key: KeyArgs,
    /// Print the transaction's recipient, value and calldata instead of sending it.
    #[arg(long, global = true)]
    pub(super) unsigned: bool,
    /// Print the result as JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Do not stop before the command's goal is reached.
    #[arg(long, global = true)]
    pub(super) wait: bool,
    /// Time between two looks.
    #[arg(long, default_value = "2s", value_parser = parse_duration, value_name = "DURATION",
          global = true, help_heading = "Waiting")]
    poll_interval: Duration,
    /// Longest wait; 0 waits for as long as it takes.
    #[arg(long, default_value = "0", value_parser = parse_duration, value_name = "DURATION",
          global = true, help_heading = "Waiting")]
    timeout: Duration,
    /// Blocks, the including one counted, after which a transaction is done.
    #[arg(long, default_value_t = 1, value_name = "BLOCKS", global = true,
          value_parser = clap::value_parser!(u64).range(1..), help_heading = "Waiting")]
    confirmations: u64,
}

impl Common {
    pub(super) fn patience(&self) -> Patience {
        Patience {
            poll: self.poll_interval.max(Duration::from_millis(10)),
            timeout: (!self.timeout.is_zero()).then_some(self.timeout),
        }
    }

    /// How transactions are sent: by the prices of the chain, without the floors of a service that
    /// has to be quick.
    pub(super) fn tx_manager(&self) -> TxManagerConfig {
        TxManagerConfig {
            confirmations: self.confirmations,
            poll_interval: self
                .poll_interval
                .clamp(Duration::from_millis(10), Duration::from_secs(2)),
            fees: FeeLimits {
                min_tip: 1_000_000,
                min_base_fee: 0,
                ..TxManagerConfig::default().fees
            },
            ..TxManagerConfig::default()
        }
    }
}

/// What is to be moved. Ether with --amount alone.
#[derive(Debug, Args)]
pub(super) struct TransferArgs {
    /// How much: 1.5ether, 20gwei or 7wei; of a token 12.5, or 7wei for its smallest units.
    #[arg(long, value_name = "AMOUNT")]
    pub(super) amount: Option<Amount>,
    /// The ERC-20 token on the chain that it leaves.
    #[arg(long, value_name = "ADDRESS", requires = "amount")]
    pub(super) token: Option<Address>,
    /// The ERC-721 contract on the chain that the token leaves.
    #[arg(long, value_name = "ADDRESS", requires = "id", conflicts_with_all = ["token", "amount"])]
    pub(super) nft: Option<Address>,
    /// Which token of --nft.
    #[arg(long, value_name = "ID", requires = "nft")]
    pub(super) id: Option<U256>,
    /// The same token on the other chain; needed where the token does not say.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) remote_token: Option<Address>,
    /// Calldata of a message that the messengers carry; --to is its target, --amount comes along.
    #[arg(long, value_name = "HEX", requires = "to", conflicts_with_all = ["token", "nft"])]
    pub(super) message: Option<Bytes>,
    /// Recipient on the other chain [default: the sending account].
    #[arg(long, value_name = "ADDRESS")]
    pub(super) to: Option<Address>,
    /// Gas of the call on the other chain.
    #[arg(long, default_value_t = 200_000, value_name = "GAS")]
    pub(super) gas_limit: u32,
}

#[derive(Debug, Args)]
pub(super) struct ExitArgs {
    #[command(flatten)]
    pub(super) transfer: TransferArgs,
    /// L2 gas that the deposit buys.
    #[arg(long, default_value_t = 500_000, value_name = "GAS")]
    pub(super) l2_gas: u64,
}

/// Which withdrawal.
#[derive(Debug, Args)]
pub(super) struct WhichArgs {
    /// The transaction that began it: one of L2, or the one of L1 that forced it. To relay, also a
    /// deposit's of L1.
    #[arg(long, value_name = "HASH")]
    pub(super) tx: B256,
    /// Which of the transaction's withdrawals, from 0.
    #[arg(long, default_value_t = 0, value_name = "INDEX")]
    pub(super) index: usize,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub(super) which: WhichArgs,
    /// Look at this account's proof in any case; the newest proofs of all are looked at anyway.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) prover: Option<Address>,
}

//! Flags of the transaction pool, named as geth's.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use clap::Args;
use eyre::WrapErr;
use opal_execution::{Chain, Journal, PoolConfig, keep_pool};
use opal_service::Shutdown;
use opal_service::duration::parse_duration;
use tracing::warn;

use crate::data_dir::DataDir;

/// Limits of the pool, and its journal.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Transaction pool")]
pub(crate) struct TxPoolArgs {
    /// Lowest tip of a transaction, in wei per gas.
    #[arg(
        long = "txpool.pricelimit",
        env = "OPAL_TXPOOL_PRICELIMIT",
        value_name = "WEI",
        default_value_t = PoolConfig::default().min_tip
    )]
    price_limit: u128,
    /// Transactions in all.
    #[arg(
        long = "txpool.globalslots",
        env = "OPAL_TXPOOL_GLOBALSLOTS",
        value_name = "COUNT",
        default_value_t = PoolConfig::default().max_transactions
    )]
    global_slots: usize,
    /// Transactions behind a nonce gap, in all.
    #[arg(
        long = "txpool.globalqueue",
        env = "OPAL_TXPOOL_GLOBALQUEUE",
        value_name = "COUNT",
        default_value_t = PoolConfig::default().max_queued
    )]
    global_queue: usize,
    /// Transactions of one account.
    #[arg(
        long = "txpool.accountslots",
        env = "OPAL_TXPOOL_ACCOUNTSLOTS",
        value_name = "COUNT",
        default_value_t = PoolConfig::default().max_per_account
    )]
    account_slots: usize,
    /// Transactions of one account behind a nonce gap.
    #[arg(
        long = "txpool.accountqueue",
        env = "OPAL_TXPOOL_ACCOUNTQUEUE",
        value_name = "COUNT",
        default_value_t = PoolConfig::default().max_queued_per_account
    )]
    account_queue: usize,
    /// Memory of all transactions, blobs not counted, in MiB.
    #[arg(
        long = "txpool.memory",
        env = "OPAL_TXPOOL_MEMORY",
        value_name = "MIB",
        default_value_t = PoolConfig::default().max_bytes >> 20
    )]
    memory: usize,
    /// How long a transaction may wait behind a nonce gap.
    #[arg(
        long = "txpool.lifetime",
        env = "OPAL_TXPOOL_LIFETIME",
        value_name = "TIME",
        default_value = "3h",
        value_parser = parse_duration
    )]
    lifetime: Duration,
    /// Accounts that the price limit does not bind, and whose transactions neither expire nor leave
    /// a full pool.
    #[arg(
        long = "txpool.locals",
        env = "OPAL_TXPOOL_LOCALS",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    locals: Vec<Address>,
    /// File that keeps the pool across restarts; an empty name switches it off [default:
    /// transactions.rlp in the data directory, one for each chain].
    #[arg(long = "txpool.journal", env = "OPAL_TXPOOL_JOURNAL", value_name = "FILE")]
    journal: Option<PathBuf>,
    /// How often that file is written.
    #[arg(
        long = "txpool.rejournal",
        env = "OPAL_TXPOOL_REJOURNAL",
        value_name = "TIME",
        default_value = "1m",
        value_parser = parse_interval
    )]
    rejournal: Duration,
    /// Take transactions without a chain id, which any chain could repeat.
    #[arg(long = "rpc.allow-unprotected-txs", env = "OPAL_RPC_ALLOW_UNPROTECTED_TXS")]
    allow_unprotected: bool,
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let every = parse_duration(text)?;
    if every < Duration::from_secs(1) { Err("at least 1s".into()) } else { Ok(every) }
}

impl TxPoolArgs {
    /// The limits.
    pub(crate) fn config(&self) -> PoolConfig {
        PoolConfig {
            min_tip: self.price_limit,
            max_transactions: self.global_slots,
            max_queued: self.global_queue,
            max_per_account: self.account_slots,
            max_queued_per_account: self.account_queue,
            max_bytes: self.memory.saturating_mul(1 << 20),
            lifetime: self.lifetime,
            locals: self.locals.iter().copied().collect(),
            allow_unprotected: self.allow_unprotected,
            ..PoolConfig::default()
        }
    }

    /// Reads the pool back and keeps its journal until the process stops.
    ///
    /// # Errors
    /// When the folder of a file that the user names can't be made.
    pub(crate) fn keep(
        &self,
        chain: &Arc<Chain>,
        data: &DataDir,
        shutdown: &Shutdown,
    ) -> eyre::Result<()> {
        let named = self.journal.is_some();
        let path = match (&self.journal, data.path()) {
            (Some(path), _) if path.as_os_str().is_empty() => return Ok(()),
            // A bare file name is in the working directory.
            (Some(path), _) => std::path::absolute(path).wrap_err("--txpool.journal")?,
            (None, Ok(data)) => {
                let chain = format!("{}-{}", chain.spec().chain_id, chain.genesis().hash);
                data.join("txpool").join(chain).join(Journal::FILE)
            }
            (None, Err(_)) => {
                warn!(target: "opal::execution", "no data directory: the pool does not survive a restart");
                return Ok(());
            }
        };
        let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        match folder.wrap_err_with(|| format!("--txpool.journal {}", path.display())) {
            Ok(()) => {}
            Err(error) if named => return Err(error),
            // A system that is read only: no reason not to start.
            Err(error) => {
                warn!(target: "opal::execution", error = format!("{error:#}"),
                    "the pool does not survive a restart; name a file with --txpool.journal");
                return Ok(());
            }
        }
        let stop = shutdown.token().cancelled_owned();
        let kept = keep_pool(chain.clone(), Journal::new(path), self.rejournal, stop);
        shutdown.spawn("pool journal", kept);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Probe {
        #[command(flatten)]
        txpool: TxPoolArgs,
    }

    #[test]
    fn flags_become_limits() {
        let parse = |flags: &[&str]| Probe::try_parse_from([&["probe"], flags].concat());
        let default = PoolConfig::default();
        let config = parse(&[]).unwrap().txpool.config();
        assert_eq!(format!("{config:?}"), format!("{default:?}"));
        let local = "0x00000000000000000000000000000000000000aa";
        let config = parse(&[
            "--txpool.pricelimit=5",
            "--txpool.globalslots=10",
            "--txpool.lifetime=90m",
            "--txpool.memory=2",
            "--txpool.locals",
            local,
        ]);
        let config = config.unwrap().txpool.config();
        assert_eq!((config.min_tip, config.max_transactions), (5, 10));
        assert_eq!((config.lifetime, config.max_bytes), (Duration::from_secs(5_400), 2 << 20));
        assert!(config.locals.contains(&local.parse::<Address>().unwrap()));
        assert!(parse(&["--txpool.rejournal=10ms"]).is_err());
    }
}

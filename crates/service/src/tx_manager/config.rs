//! Flags and configuration of the transaction manager.

use std::time::Duration;

use clap::Args;

use super::fees::FeeLimits;
use crate::duration::parse_duration;

const GWEI: f64 = 1e9;

/// Flags of the transaction manager, shared by every service that sends L1 transactions.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Transactions")]
pub struct TxManagerArgs {
    /// Blocks, the including one counted, after which a transaction is done.
    #[arg(long, env = "OPAL_NUM_CONFIRMATIONS", default_value_t = 10)]
    pub num_confirmations: u64,
    /// How long to wait for inclusion before the fees are raised.
    #[arg(long, env = "OPAL_RESUBMISSION_TIMEOUT", default_value = "48s",
          value_parser = parse_duration, value_name = "DURATION")]
    pub resubmission_timeout: Duration,
    /// How often to look for a receipt.
    #[arg(long = "txmgr.receipt-query-interval", env = "OPAL_TXMGR_RECEIPT_QUERY_INTERVAL",
          default_value = "1s", value_parser = parse_duration, value_name = "DURATION")]
    pub receipt_query_interval: Duration,
    /// Give up on a transaction after this time; 0 never does.
    #[arg(long = "txmgr.send-timeout", env = "OPAL_TXMGR_SEND_TIMEOUT", default_value = "0",
          value_parser = parse_duration, value_name = "DURATION")]
    pub send_timeout: Duration,
    /// Lowest priority fee, in gwei.
    #[arg(long = "txmgr.min-tip-cap", env = "OPAL_TXMGR_MIN_TIP_CAP", default_value = "1",
          value_parser = parse_gwei, value_name = "GWEI")]
    pub min_tip_cap: u128,
    /// Highest priority fee, in gwei, whatever L1 suggests.
    #[arg(long = "txmgr.max-tip-cap", env = "OPAL_TXMGR_MAX_TIP_CAP", default_value = "100",
          value_parser = parse_gwei, value_name = "GWEI")]
    pub max_tip_cap: u128,
    /// Lowest base fee to reckon with, in gwei.
    #[arg(long = "txmgr.min-basefee", env = "OPAL_TXMGR_MIN_BASEFEE", default_value = "1",
          value_parser = parse_gwei, value_name = "GWEI")]
    pub min_base_fee: u128,
    /// Lowest blob fee cap, in gwei.
    #[arg(long = "txmgr.min-blob-fee", env = "OPAL_TXMGR_MIN_BLOB_FEE", default_value = "1",
          value_parser = parse_gwei, value_name = "GWEI")]
    pub min_blob_fee: u128,
    /// Fees up to this are always paid, in gwei.
    #[arg(long = "txmgr.fee-limit-threshold", env = "OPAL_TXMGR_FEE_LIMIT_THRESHOLD",
          default_value = "100", value_parser = parse_gwei, value_name = "GWEI")]
    pub fee_limit_threshold: u128,
    /// Above the threshold, how many times the market's price may be paid.
    #[arg(long, env = "OPAL_FEE_LIMIT_MULTIPLIER", default_value_t = 5,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub fee_limit_multiplier: u64,
}

fn parse_gwei(text: &str) -> Result<u128, String> {
    match text.parse::<f64>() {
        Ok(gwei) if gwei.is_finite() && (0.0..1e15).contains(&gwei) => Ok((gwei * GWEI) as u128),
        _ => Err(format!("{text:?} is not an amount of gwei such as 1 or 0.05")),
    }
}

/// Configuration of the transaction manager.
#[derive(Clone, Debug)]
pub struct TxManagerConfig {
    /// Blocks, the including one counted, after which a transaction is done. At least 1.
    pub confirmations: u64,
    /// Wait for inclusion before the fees are raised.
    pub resubmission_interval: Duration,
    /// How often to look for a receipt, and to try again when L1 does not answer.
    pub poll_interval: Duration,
    /// Give up after this time; `None` never does.
    pub send_timeout: Option<Duration>,
    /// Transactions under way at once; further sends wait.
    pub max_pending: usize,
    /// Floors and ceilings of the fees.
    pub fees: FeeLimits,
}

impl Default for TxManagerConfig {
    /// One confirmation, twelve seconds until the fees rise: a devnet's choice.
    fn default() -> Self {
        Self {
            confirmations: 1,
            resubmission_interval: Duration::from_secs(12),
            poll_interval: Duration::from_millis(500),
            send_timeout: None,
            max_pending: 16,
            fees: FeeLimits {
                min_tip: 1_000_000_000,
                max_tip: 100_000_000_000,
                min_base_fee: 1_000_000_000,
                min_blob_fee: 1_000_000_000,
                threshold: 100_000_000_000,
                multiplier: 5,
            },
        }
    }
}

impl From<&TxManagerArgs> for TxManagerConfig {
    fn from(args: &TxManagerArgs) -> Self {
        Self {
            confirmations: args.num_confirmations.max(1),
            resubmission_interval: args.resubmission_timeout.max(Duration::from_millis(10)),
            poll_interval: args.receipt_query_interval.max(Duration::from_millis(10)),
            send_timeout: (!args.send_timeout.is_zero()).then_some(args.send_timeout),
            fees: FeeLimits {
                min_tip: args.min_tip_cap,
                max_tip: args.max_tip_cap,
                min_base_fee: args.min_base_fee,
                min_blob_fee: args.min_blob_fee,
                threshold: args.fee_limit_threshold,
                multiplier: u128::from(args.fee_limit_multiplier),
            },
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gwei_amounts_parse() {
        assert_eq!(parse_gwei("0.05"), Ok(50_000_000));
        assert_eq!(parse_gwei("100"), Ok(100_000_000_000));
        for text in ["-1", "NaN", "inf", "x", "1e30"] {
            assert!(parse_gwei(text).is_err(), "{text}");
        }
    }
}

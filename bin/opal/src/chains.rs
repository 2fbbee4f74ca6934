//! `opal chains`: the chains that Opal has built in.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use opal_protocol::hardfork::TABLE;
use opal_protocol::registry::{self, ChainPreset};
use opal_protocol::{Hardfork, RollupConfig};
use serde_json::{Value, json};

/// The chains of the superchain registry, which `--network` takes.
#[derive(Debug, Args)]
pub(crate) struct ChainsArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print a list in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell what is known of one chain.
    Show {
        /// Name or id: `op-mainnet`, `unichain-sepolia`, `mainnet/op`, `10`.
        #[arg(value_name = "NAME|ID")]
        chain: String,
        /// Print the chain's rollup.json.
        #[arg(long)]
        rollup_json: bool,
        /// Print what is known in JSON.
        #[arg(long, conflicts_with = "rollup_json")]
        json: bool,
    },
}

/// What the command prints.
pub(crate) fn run(args: &ChainsArgs) -> eyre::Result<String> {
    match &args.command {
        None if args.json => {
            let chains: Vec<Value> = registry::chains().iter().map(facts).collect();
            Ok(serde_json::to_string_pretty(&chains)? + "\n")
        }
        None => Ok(table()),
        Some(Command::Show { chain, rollup_json, json }) => {
            let chain = registry::find(chain)?;
            if *rollup_json {
                Ok(serde_json::to_string_pretty(&chain.rollup_config())? + "\n")
            } else if *json {
                Ok(serde_json::to_string_pretty(&facts(chain))? + "\n")
            } else {
                Ok(show(chain))
            }
        }
    }
}

/// One word for what Opal can do with a chain.
fn status(chain: &ChainPreset) -> &'static str {
    match (chain.supported(), chain.is_migrated()) {
        (Err(_), _) => "alt-da",
        (Ok(()), true) => "migrated",
        (Ok(()), false) => "runs",
    }
}

/// Why `opal node` can't run a chain, if it can't.
fn reason(chain: &ChainPreset) -> Option<String> {
    match chain.supported() {
        Err(error) => Some(error.to_string()),
        Ok(()) if chain.is_migrated() => Some(format!(
            "{} was there before Bedrock: the state that it begins with, at block {}, is in no genesis \
             file. Its L1 data can be derived, its blocks not be executed from there",
            chain.title, chain.l2.number
        )),
        Ok(()) => None,
    }
}

fn newest_fork(config: &RollupConfig) -> Hardfork {
    config.schedule.at(u64::MAX)
}

fn table() -> String {
    let mut out = format!(
        "{:<34} {:>11} {:>9}  {:<9} {:<9} {}\n",
        "NETWORK", "CHAIN ID", "L1", "FORKS TO", "STATUS", "NAME"
    );
    for chain in registry::chains() {
        let fork = newest_fork(&chain.rollup_config());
        // Writing to a string can't fail.
        let _ = writeln!(
            out,
            "{:<34} {:>11} {:>9}  {:<9} {:<9} {}",
            chain.network(),
            chain.chain_id,
            chain.l1_chain_id,
            fork.name(),
            status(chain),
            chain.title
        );
    }
    out
}

fn show(chain: &ChainPreset) -> String {
    let config = chain.rollup_config();
    let mut rows = vec![
        ("name", chain.title.to_owned()),
        ("network", chain.network()),
        ("chain id", chain.chain_id.to_string()),
        ("L1 chain id", chain.l1_chain_id.to_string()),
        ("governed by Optimism", chain.governed_by_optimism.to_string()),
        ("genesis L1 block", format!("{} {}", chain.l1.number, chain.l1.hash)),
        ("genesis L2 block", format!("{} {}", chain.l2.number, chain.l2.hash)),
        ("genesis L2 time", chain.l2_time.to_string()),
        ("block time", format!("{} s", chain.block_time)),
        ("sequencing window", format!("{} L1 blocks", chain.seq_window_size)),
        ("batch inbox", chain.batch_inbox.to_string()),
        ("OptimismPortal", chain.portal.to_string()),
        ("SystemConfig", chain.system_config.to_string()),
    ];
    if let Some(token) = chain.gas_paying_token {
        rows.push(("fees are paid in", token.to_string()));
    }
    for row in TABLE.iter().filter(|row| row.fork > Hardfork::Regolith) {
        let time = match config.schedule.time(row.fork) {
            Some(0) => "genesis".to_owned(),
            Some(time) => time.to_string(),
            None => "not scheduled".to_owned(),
        };
        rows.push((row.name, time));
    }
    if let Some(time) = chain.pectra_blob_schedule_time {
        rows.push(("pectra blob schedule", time.to_string()));
    }
    if chain.keep_karst_upgrade_gas {
        rows.push(("keeps Karst's upgrade gas", "true".to_owned()));
    }
    let status = reason(chain).unwrap_or_else(|| "Opal runs it".to_owned());
    rows.push(("status", status));
    rows.into_iter().fold(String::new(), |mut out, (key, value)| {
        let _ = writeln!(out, "{key:<26} {value}");
        out
    })
}

fn facts(chain: &ChainPreset) -> Value {
    json!({
        "network": chain.network(),
        "identifier": chain.identifier(),
        "name": chain.title,
        "chain_id": chain.chain_id,
        "l1_chain_id": chain.l1_chain_id,
        "governed_by_optimism": chain.governed_by_optimism,
        "superchain_time": chain.superchain_time,
        "gas_paying_token": chain.gas_paying_token,
        "status": status(chain),
        "reason": reason(chain),
        "rollup": chain.rollup_config(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn printed(command: Option<Command>, json: bool) -> eyre::Result<String> {
        run(&ChainsArgs { command, json })
    }

    fn shown(chain: &str, rollup_json: bool, json: bool) -> eyre::Result<String> {
        printed(Some(Command::Show { chain: chain.to_owned(), rollup_json, json }), false)
    }

    #[test]
    fn every_chain_is_listed() {
        let text = printed(None, false).unwrap();
        assert_eq!(text.lines().count(), 1 + registry::chains().len());
        let op = text.lines().find(|line| line.starts_with("op-mainnet")).unwrap();
        let words: Vec<&str> = op.split_whitespace().collect();
        assert_eq!(words, ["op-mainnet", "10", "1", "karst", "migrated", "OP", "Mainnet"]);
        let json: Value = serde_json::from_str(&printed(None, true).unwrap()).unwrap();
        assert_eq!(json.as_array().unwrap().len(), registry::chains().len());
        for chain in json.as_array().unwrap() {
            assert_eq!(chain["reason"].is_null(), chain["status"] == "runs", "{chain}");
        }
    }

    #[test]
    fn a_chain_is_shown_and_its_rollup_json_can_be_read_again() {
        let text = shown("unichain-sepolia", false, false).unwrap();
        assert!(text.contains("1301") && text.contains("Opal runs it"), "{text}");
        assert!(
            text.lines().any(|line| line.starts_with("interop") && line.ends_with("not scheduled"))
        );
        for chain in registry::chains() {
            let json = shown(&chain.network(), true, false).unwrap();
            assert_eq!(RollupConfig::from_json(&json).unwrap(), chain.rollup_config());
        }
        let json: Value =
            serde_json::from_str(&shown("celo-mainnet", false, true).unwrap()).unwrap();
        assert_eq!(json["status"], "alt-da");
        assert!(shown("nowhere", false, false).is_err());
    }
}

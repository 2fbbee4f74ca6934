//! What `opal up` prints when everything answers.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opal_devnet::Devnet;

/// Prints the banner to stdout. Private keys are shown only for the well-known test mnemonic.
pub(crate) fn print(devnet: &Devnet, secret_mnemonic: bool, took: Duration) {
    crate::tool::print(&text(devnet, secret_mnemonic, took));
}

fn text(devnet: &Devnet, secret_mnemonic: bool, took: Duration) -> String {
    let endpoints = &devnet.endpoints;
    let rollup = &devnet.rollup;
    let fork = rollup.schedule.at(rollup.genesis.l2_time);
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = writeln!(
        out,
        "\nOpal {} is up after {:.2} s\n",
        env!("CARGO_PKG_VERSION"),
        took.as_secs_f64()
    );
    let _ = writeln!(out, "L1  chain {}", rollup.l1_chain_id);
    row(&mut out, "JSON-RPC", Some(&endpoints.l1_rpc));
    row(&mut out, "beacon API", endpoints.l1_beacon.as_ref());
    let _ = writeln!(
        out,
        "L2  chain {}, {fork} active, a block every {} s",
        rollup.l2_chain_id, rollup.block_time
    );
    row(&mut out, "JSON-RPC", Some(&endpoints.l2_rpc));
    row(&mut out, "WebSocket", Some(&endpoints.l2_ws));
    row(&mut out, "rollup RPC", Some(&endpoints.rollup_rpc));
    row(&mut out, "verifier", endpoints.verifier_rpc.as_ref());
    row(&mut out, "its rollup RPC", endpoints.verifier_rollup_rpc.as_ref());
    row(&mut out, "metrics", endpoints.metrics.as_ref());
    if let Some(kept) = &devnet.kept {
        let _ = writeln!(out, "Data in {}", kept.path().display());
        let from = devnet.started_from;
        if from.number > 0 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let missed = now.saturating_sub(from.timestamp) / rollup.block_time.max(1);
            let _ = write!(out, "    went on from L2 block {}", from.number);
            // One or two are what a restart costs.
            let _ = match missed {
                0..=2 => writeln!(out),
                _ => writeln!(out, "; {missed} blocks were due meanwhile and are built now"),
            };
        }
    }

    let _ = writeln!(out, "\nContracts on L1 (--out DIR writes all addresses)");
    // Nobody calls an implementation: those are for whoever checks a deployment.
    for (name, address) in devnet.addresses.named().filter(|(name, _)| name.ends_with("Proxy")) {
        let _ = writeln!(out, "    {name:<33} {address}");
    }
    let _ = writeln!(out, "    {:<33} {}", "batch inbox", rollup.batch_inbox_address);

    let _ = writeln!(out, "\nPrefunded accounts (10,000 ETH each, L2 and embedded L1)");
    for signer in devnet.accounts.users() {
        if secret_mnemonic {
            let _ = writeln!(out, "    {}", signer.address());
        } else {
            let _ = writeln!(out, "    {}  {}", signer.address(), signer.to_bytes());
        }
    }
    if !secret_mnemonic {
        let _ = writeln!(out, "    These keys are public: never send real money to them.");
    }
    let _ = match devnet.kept {
        Some(_) => write!(out, "\nCtrl-C stops everything; the same command goes on with it."),
        None => write!(out, "\nCtrl-C stops everything."),
    };
    out
}

fn row(out: &mut String, name: &str, value: Option<&String>) {
    if let Some(value) = value {
        // Writing to a string can't fail.
        let _ = writeln!(out, "    {name:<33} {value}");
    }
}

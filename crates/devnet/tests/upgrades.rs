//! Forks that activate after genesis by upgrade transactions: on a chain that is built by the same
//! functions as the nodes', and on a running stack. The transactions are data of the public chains,
//! so without the vectors these tests are ignored.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "upgrades/chain.rs"]
mod chain;
#[path = "upgrades/running.rs"]
mod running;
mod support;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use opal_tests::vectors::Vectors;

fn main() -> ExitCode {
    let vectors = Vectors::from_env();
    let upgrades = vectors.root().join("upgrades");
    let registry = vectors.root().join("registry/superchain/extra/genesis");
    let dir = upgrades.clone();
    let mut trials =
        vec![trial("every fork of a devnet's chain activates", &upgrades, move || {
            chain::devnet_activates_every_fork(&dir);
        })];
    let dir = upgrades.clone();
    trials.push(trial("all forks activate in one block", &upgrades, move || {
        chain::all_forks_activate_in_one_block(&dir);
    }));
    let dir = upgrades.clone();
    trials.push(trial("sequencer and verifier agree across activations", &upgrades, move || {
        running::both_nodes_agree_across_activations(&dir);
    }));
    let chains = chain::public_chains(&registry);
    if chains.is_empty() {
        let name = "vectors::upgrades::a public chain activates the later forks (no genesis files)";
        let trial =
            Trial::test(name, || Err(Failed::from("the registry's genesis files are missing")));
        trials.push(trial.with_ignored_flag(true));
    }
    for (preset, newest, genesis) in chains {
        let dir = upgrades.clone();
        let name = format!("a public chain that began with {newest} activates the later forks");
        trials.push(trial(&name, &upgrades, move || {
            chain::public_chain_activates_every_fork(&dir, preset, &genesis);
        }));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: &str, upgrades: &std::path::Path, test: impl FnOnce() + Send + 'static) -> Trial {
    let trial = Trial::test(format!("vectors::upgrades::{name}"), move || {
        test();
        Ok::<(), Failed>(())
    });
    trial.with_ignored_flag(!upgrades.is_dir())
}

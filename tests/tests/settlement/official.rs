//! Our node, batcher, proposer and bridge on the OP Stack's own contracts.

use std::path::Path;
use std::time::Duration;

use opal_tests::clients::Clients;
use opal_tests::process::Process;
use opal_tests::rpc;
use opal_tests::stack::{
    MNEMONIC, Rollup, alone, metric, opal, proposer_command, separate_execution, separate_proposer,
};
use serde_json::{Value, json};

use super::OTHER_MNEMONIC;
use super::deployments::Second;

const SOON: Duration = Duration::from_secs(60);

/// Three rollups on one L1, the embedded one of `opal up`: its own, one of the OP Stack's contracts,
/// and one that `opal deploy` puts there meanwhile.
#[test]
fn other_rollups_on_the_l1_of_opal_up() {
    let _turn = alone();
    let Some(clients) = Clients::with_official("other_rollups_on_the_l1_of_opal_up") else {
        return;
    };
    let own = ["--l1-block-time", "1", "--fork", "granite", "--no-verifier", "--no-proposer"];
    let l1 = Rollup::up(&own);
    l1.with_log(|l1| {
        let url = l1.endpoint("l1Rpc");
        let second = Second::begin(&url);
        an_older_release(&clients, l1);
        second.finish(&l1.endpoint("l1Beacon"));
    });
    l1.stop();
}

/// The official release 0.17.3, whose portal (3.10.0) judges games itself and whose games (1.2.0) pay
/// without being closed: deposits and parameters derive from it, the proposer's games are won and move
/// the anchor, and a withdrawal pays out.
fn an_older_release(clients: &Clients, l1: &Rollup) {
    /// The proposer among the roles.
    const PROPOSER: u32 = 15;
    const RECIPIENT: &str = "0x0000000000000000000000000000000000000b0b";
    let script = |folder: &Path, args: &[&str]| {
        let roles = [("OPAL_ROLES", OTHER_MNEMONIC)];
        clients.run_with("official_0_17.mjs", folder, args, &roles, SOON);
    };
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let out = folder.path().to_str().unwrap();
    script(l1.dir(), &["begin", out]);
    let (execution, _, url) = separate_execution(folder.path(), data.path(), 0);
    script(l1.dir(), &["finish", out, &url]);
    execution.interrupt(Duration::from_secs(5));

    let oldest = std::fs::read_to_string(folder.path().join("oldest-portal")).unwrap();
    let deposit = ["bridge", "deposit", "--amount", "1wei", "--mnemonic", MNEMONIC];
    let mut command = opal(&deposit);
    command.args(["--l1-rpc", &l1.endpoint("l1Rpc"), "--portal", &oldest]);
    let refused = Process::start("opal bridge", &mut command).wait(SOON);
    assert!(!refused.status.success(), "{}", refused.stdout);
    for words in ["is version 2.", "no disputeGameFactory()"] {
        assert!(refused.stderr.contains(words), "no {words:?} in {}", refused.stderr);
    }

    let (rpc, beacon) = (l1.endpoint("l1Rpc"), l1.endpoint("l1Beacon"));
    let given = ["--l1", &rpc, "--l1-beacon", &beacon, "--deployment", out];
    let roles = ["--mnemonic", OTHER_MNEMONIC, "--no-proposer"];
    let rollup = Rollup::up(&[&given[..], &roles].concat());
    rollup.with_log(|rollup| {
        let mut command = proposer_command(rollup, OTHER_MNEMONIC, PROPOSER);
        command.args(["--withdrawal-interval", "1s"]);
        let (mut proposer, _, metrics) = separate_proposer(&mut command);
        script(rollup.dir(), &["use"]);

        let amount = ["--amount", "0.25ether", "--to", RECIPIENT];
        let begun = bridge(rollup, &[&["withdraw"], &amount[..]].concat());
        let transaction = ["--tx", begun["l2Transaction"].as_str().unwrap()];
        let report = |command: &[&str]| bridge(rollup, &[command, &transaction].concat());
        assert_eq!(report(&["status"])["paused"], false);
        let proven = report(&["prove", "--wait"]);
        assert_eq!(proven["steps"][0]["action"], "prove", "{proven}");
        assert_eq!(proven["proof"]["standing"]["respected"], true, "{proven}");
        let done = report(&["finalize", "--wait"]);
        assert_eq!(done["status"], "finalized", "{done}");
        let paid = rpc::call(&rpc, "eth_getBalance", json!([RECIPIENT, "latest"]));
        assert_eq!(paid.unwrap(), "0x3782dace9d90000", "a quarter of an ether");

        script(rollup.dir(), &["settled"]);
        proposer.wait_for("the proposer has seen its games through", SOON, |_| {
            metric(&metrics, "opal_proposer_unfinished_games").filter(|games| *games == 0)
        });
        let counted = |name| metric(&metrics, name);
        let games = counted("opal_proposer_games_created_total");
        assert!(games >= Some(1));
        assert_eq!(counted("opal_proposer_games_resolved_total"), games);
        assert_eq!(counted("opal_proposer_games_paid_total"), games);
        assert_eq!(counted("opal_proposer_failed_transactions_total"), Some(0));
        proposer.interrupt(Duration::from_secs(5));
    });
    rollup.stop();
}

/// Runs `opal bridge` for one of the funded accounts; gives what it answers.
fn bridge(rollup: &Rollup, args: &[&str]) -> Value {
    let mut command = opal(&["bridge", "--json", "--poll-interval", "100ms"]);
    command.args(["--l1-rpc", &rollup.endpoint("l1Rpc")]);
    command.args(["--l2-rpc", &rollup.endpoint("l2Rpc")]);
    command.arg("--rollup-config").arg(rollup.dir().join("rollup.json"));
    command.args(["--mnemonic", MNEMONIC, "--hd-path", "m/44'/60'/0'/0/7"]).args(args);
    let ended = Process::start("opal bridge", &mut command).wait(Duration::from_secs(60));
    assert!(ended.status.success(), "opal bridge {args:?}: {}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

//! The real binary, end to end, driven by third-party clients only: npm's viem, ethers, cast
//! and anvil, PyPI's web3.py.
//! Every test starts rollups of its own on free ports; they run one after the other.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod settlement;

use std::net::TcpListener;
use std::time::Duration;

use opal_tests::clients::Clients;
use opal_tests::process::{Ended, Process};
use opal_tests::rpc;
use opal_tests::stack::{
    FREE_PORTS, MNEMONIC, Rollup, alone, metric, opal, proposer_command, separate_execution,
    separate_node, separate_proposer, separate_rollup_node, with_small_files,
};
use serde_json::json;

/// Defaults (blobs, the newest live fork, brotli), every client script, and a verifier as a
/// process of its own.
#[test]
fn third_party_clients_on_the_default_rollup() {
    let _turn = alone();
    let Some(clients) = Clients::find("third_party_clients_on_the_default_rollup") else { return };
    let rollup = Rollup::up(&["--l1-block-time", "1"]);
    rollup.with_log(|rollup| {
        let dir = rollup.dir();
        let (node, rpc, rollup_rpc) = separate_node(rollup);
        clients.run("l2.mjs", dir, &[]);
        clients.run("rpc.mjs", dir, &[]);
        clients.run_python("rpc.py", dir);
        clients.run("traces.mjs", dir, &[]);
        clients.run_together(&["deposits.mjs", "tokens.mjs", "cast.mjs"], dir);
        clients.run("burst.mjs", dir, &[]);
        clients.run("withdrawals.mjs", dir, &[]);
        clients.run_with_binary("bridge.mjs", dir);
        clients.run("systemconfig.mjs", dir, &[]);
        clients.run("systemconfig.mjs", dir, &["batcher"]);
        clients.run_with("decode.mjs", dir, &[], &[("OPAL_DA", "blobs")], Duration::from_secs(120));
        clients.run("follow.mjs", dir, &[&rpc, &rollup_rpc]);
        node.interrupt(Duration::from_secs(5));
    });
    rollup.stop();
}

/// Batches in calldata, compressed by zlib, under the fee rules of before Ecotone; JSON logs.
#[test]
fn calldata_batches_before_ecotone() {
    let _turn = alone();
    let Some(clients) = Clients::find("calldata_batches_before_ecotone") else { return };
    let rollup = Rollup::up(&[
        "--da",
        "calldata",
        "--fork",
        "canyon",
        "--l1-block-time",
        "1",
        "--log-format",
        "json",
    ]);
    rollup.with_log(|rollup| {
        clients.run("l2.mjs", rollup.dir(), &[]);
        clients.run("deposits.mjs", rollup.dir(), &[]);
        let calldata = [("OPAL_DA", "calldata")];
        clients.run_with("decode.mjs", rollup.dir(), &[], &calldata, Duration::from_secs(120));
    });
    let ended = rollup.stop();
    let records: Vec<&str> = ended.stderr.lines().collect();
    assert!(!records.is_empty(), "the log goes to stderr");
    for record in records {
        let json: Result<serde_json::Value, _> = serde_json::from_str(record);
        assert!(json.is_ok_and(|json| json.is_object()), "not a JSON log record: {record}");
    }
}

/// An older fork with blobs: zlib, the Ecotone fee, the attributes deposit of Ecotone.
#[test]
fn blobs_in_ecotone() {
    let _turn = alone();
    let Some(clients) = Clients::find("blobs_in_ecotone") else { return };
    let rollup = Rollup::up(&["--fork", "ecotone", "--l1-block-time", "1"]);
    rollup.with_log(|rollup| {
        clients.run("l2.mjs", rollup.dir(), &[]);
        clients.run("systemconfig.mjs", rollup.dir(), &[]);
        let blobs = [("OPAL_DA", "blobs")];
        clients.run_with("decode.mjs", rollup.dir(), &[], &blobs, Duration::from_secs(120));
    });
    rollup.stop();
}

/// L1 reorgs of depth 1 to 8 while users send, and while they deposit and withdraw.
#[test]
fn l1_reorgs() {
    let _turn = alone();
    let Some(clients) = Clients::find("l1_reorgs") else { return };
    let rollup = Rollup::up(&["--l1-block-time", "1"]);
    rollup.with_log(|rollup| {
        clients.run("reorg.mjs", rollup.dir(), &[]);
        clients.run("decode.mjs", rollup.dir(), &[]);
        // A seed whose run has everything in it.
        clients.run("conservation.mjs", rollup.dir(), &["34"]);
    });
    rollup.stop();
}

/// `opal node` drives an `opal execution` in another process by the Engine API; the chain is the
/// sequencer's. The execution client is killed in the middle and comes back.
#[test]
fn a_node_over_a_separate_execution_client() {
    const SOON: Duration = Duration::from_secs(60);
    let _turn = alone();
    let rollup = Rollup::up(&["--l1-block-time", "1", "--no-verifier"]);
    rollup.with_log(|rollup| {
        let sequencer = rollup.endpoint("l2Rpc");
        let data = tempfile::tempdir().unwrap();
        let secret = data.path().join("jwt.hex");
        let (execution, engine, rpc) = separate_execution(rollup.dir(), data.path(), 0);
        let (mut node, rollup_rpc) = separate_rollup_node(rollup, &engine, &secret);
        let reaches = |node: &mut Process, rpc: &str, number: u64| {
            let what = format!("block {number} is safe in the execution client");
            let (safe, hash) = node.wait_for(&what, SOON, |_| {
                rpc::block(rpc, "safe").filter(|(safe, _)| *safe >= number)
            });
            let theirs = rpc::block(&sequencer, &format!("{safe:#x}")).unwrap();
            assert_eq!((safe, hash), theirs, "the sequencer has the same block");
            safe
        };
        let safe = reaches(&mut node, &rpc, 3);
        let output =
            rpc::call(&rollup_rpc, "optimism_outputAtBlock", json!([format!("{safe:#x}")]));
        let theirs = rollup.endpoint("rollupRpc");
        let theirs = rpc::call(&theirs, "optimism_outputAtBlock", json!([format!("{safe:#x}")]));
        assert_eq!(output.unwrap()["outputRoot"], theirs.unwrap()["outputRoot"]);

        let port = engine.rsplit(':').next().unwrap().parse().unwrap();
        drop(execution);
        let (execution, _, rpc) = separate_execution(rollup.dir(), data.path(), port);
        reaches(&mut node, &rpc, safe + 3);
        node.interrupt(Duration::from_secs(5));
        execution.interrupt(Duration::from_secs(5));
    });
    rollup.stop();
}

/// `opal proposer` in a process of its own creates games, resolves them and has their bonds paid back;
/// killed in the middle, it goes on with the games that it finds. Another key is refused.
#[test]
fn a_separate_proposer_sees_its_games_through() {
    const SOON: Duration = Duration::from_secs(60);
    /// Accounts of the test mnemonic: the proposer's, and some other.
    const PROPOSER: u32 = 15;
    const OTHER: u32 = 3;
    let _turn = alone();
    let rollup = Rollup::up(&["--l1-block-time", "1", "--no-verifier", "--no-proposer"]);
    rollup.with_log(|rollup| {
        let mut other = proposer_command(rollup, MNEMONIC, OTHER);
        let ended = Process::start("opal proposer", &mut other).wait(SOON);
        assert!(!ended.status.success(), "another key must be refused");
        assert!(ended.stderr.contains("the permitted proposer is"), "{}", ended.stderr);

        let mut command = proposer_command(rollup, MNEMONIC, PROPOSER);
        let (mut proposer, admin, metrics) = separate_proposer(&mut command);
        proposer.wait_for("a game is created", SOON, |_| {
            metric(&metrics, "opal_proposer_games_created_total").filter(|games| *games == 1)
        });
        proposer.wait_for("another one on demand", SOON, |_| {
            rpc::call(&admin, "admin_propose", json!([]));
            metric(&metrics, "opal_proposer_games_created_total").filter(|games| *games > 1)
        });
        drop(proposer);

        let (mut proposer, _, metrics) = separate_proposer(&mut command);
        proposer.wait_for("all games are finished, their bonds paid", SOON, |_| {
            let newest = metric(&metrics, "opal_proposer_newest_block")?;
            let unfinished = metric(&metrics, "opal_proposer_unfinished_games")?;
            (newest > 0 && unfinished == 0).then_some(())
        });
        // No game is due for an hour.
        assert_eq!(metric(&metrics, "opal_proposer_games_created_total"), Some(0));
        assert_eq!(metric(&metrics, "opal_proposer_failed_transactions_total"), Some(0));
        assert_eq!(metric(&metrics, "opal_proposer_games_lost_total"), Some(0));
        assert!(metric(&metrics, "opal_proposer_games_paid_total") >= Some(1));
        proposer.interrupt(Duration::from_secs(5));
    });
    rollup.stop();
}

/// A rollup with a data directory is killed, then finds a disk that takes no more, and goes on all the
/// same.
#[test]
fn a_rollup_with_a_data_directory_survives_kill_nine_and_a_full_disk() {
    const SOON: Duration = Duration::from_secs(60);
    let _turn = alone();
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let args = ["--l1-block-time", "1", "--data-dir", data];
    let safe_block = |rollup: &mut Rollup, least: u64| {
        let url = rollup.endpoint("verifierRpc");
        rollup.wait_for("a block is safe on the verifier", SOON, || {
            rpc::block(&url, "safe").filter(|(number, _)| *number >= least)
        })
    };
    let mut rollup = Rollup::up(&args);
    let safe = safe_block(&mut rollup, 2);
    let l1 = rpc::block(&rollup.endpoint("l1Rpc"), "latest").unwrap();
    // Kills it.
    drop(rollup);

    let mut command = opal(&["up"]);
    command.args(FREE_PORTS).args(args);
    let mut full = with_small_files(&command, 4);
    let ended = Process::start("opal up on a full disk", &mut full).wait(SOON);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    for words in ["error: ", data, "limits the size of files"] {
        assert!(ended.stderr.contains(words), "no {words:?} in\n{}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);

    let mut rollup = Rollup::up(&args);
    for name in ["l2Rpc", "verifierRpc"] {
        let found = rpc::block(&rollup.endpoint(name), &format!("{:#x}", safe.0));
        assert_eq!(found.as_ref(), Some(&safe), "{name} has lost what was safe");
    }
    let found = rpc::block(&rollup.endpoint("l1Rpc"), &format!("{:#x}", l1.0));
    assert_eq!(found, Some(l1), "the L1 has lost its block");
    safe_block(&mut rollup, safe.0 + 3);
    rollup.stop();
    up_refused(&["--l1-block-time", "2", "--data-dir", data], &["--data-dir", "--l1-block-time 1"]);
}

/// Runs `opal` to an end that must come soon.
fn run(args: &[&str]) -> Ended {
    Process::start("opal", &mut opal(args)).wait(Duration::from_secs(20))
}

/// Demands that `opal` refuses these arguments and names each of `words` on stderr.
fn refused(args: &[&str], words: &[&str]) {
    let ended = run(args);
    assert!(!ended.status.success(), "opal {args:?} must fail\n{}", ended.stdout);
    for word in words {
        assert!(ended.stderr.contains(word), "opal {args:?} must name {word:?}:\n{}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "opal {args:?} panicked:\n{}", ended.stderr);
}

/// `up` on free ports with more arguments must be refused; later flags win over the free ports.
fn up_refused(args: &[&str], words: &[&str]) {
    let free = FREE_PORTS
        .chunks(2)
        .filter(|pair| !args.contains(&pair[0]))
        .flatten()
        .copied()
        .collect::<Vec<_>>();
    refused(&[&["up"], free.as_slice(), args].concat(), words);
}

#[test]
fn a_taken_port_is_named() {
    let _turn = alone();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for flag in FREE_PORTS.iter().step_by(2) {
        up_refused(&[flag, &port], &[flag, &port]);
    }
}

#[test]
fn wrong_arguments_are_refused_by_name() {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let below = file.join("out");
    let missing = dir.path().join("missing.json");
    let (below, file, missing) =
        (below.to_str().unwrap(), file.to_str().unwrap(), missing.to_str().unwrap());

    up_refused(&["--mnemonic", "one two three"], &["--mnemonic"]);
    up_refused(&["--fork", "shanghai"], &["shanghai", "karst"]);
    up_refused(&["--da", "floppy"], &["--da", "floppy", "calldata"]);
    up_refused(&["--l1-block-time", "0"], &["--l1-block-time"]);
    up_refused(&["--no-such-flag"], &["--no-such-flag"]);
    up_refused(&["--out", below], &["--out", file]);
    up_refused(&["--l1", "not a url"], &["--l1"]);
    // Nothing listens there.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dead = format!("http://{free}");
    up_refused(&["--l1", &dead, "--l1-beacon", &dead], &[&free.to_string()]);

    let node = ["node", "--l1", &dead, "--rpc-port", "0", "--rollup-port", "0"];
    refused(
        &[&node[..], &["--rollup-config", missing, "--genesis", missing]].concat(),
        &["--rollup-config", missing],
    );
    refused(
        &[&node[..], &["--rollup-config", file, "--genesis", file]].concat(),
        &["--rollup-config", file],
    );
    refused(&["nonsense"], &["nonsense"]);
}

#[test]
fn an_l1_without_a_beacon_api_is_refused_for_blobs() {
    let _turn = alone();
    let Some(clients) = Clients::find("an_l1_without_a_beacon_api_is_refused_for_blobs") else {
        return;
    };
    let (_anvil, url) = clients.anvil();
    up_refused(&["--l1", &url], &["--l1-beacon", "--da calldata"]);
}

//! `opal deploy` on anvil and on the L1 of a running `opal up`.

use std::time::Duration;

use opal_tests::clients::Clients;
use opal_tests::process::Process;
use opal_tests::rpc;
use opal_tests::stack::{Rollup, alone, opal, separate_node};
use serde_json::json;
use tempfile::TempDir;

use super::OTHER_MNEMONIC;

const SOON: Duration = Duration::from_secs(60);
/// The first account of the test mnemonic.
const FIRST: (&str, &str) = (
    "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
);
/// The second one.
const SECOND: (&str, &str) = (
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
);

/// A folder of `opal deploy`, the L1 and who deploys.
struct Folder<'a> {
    dir: TempDir,
    l1: &'a str,
    deployer: &'static str,
    key: &'static str,
}

impl<'a> Folder<'a> {
    fn new(l1: &'a str, (deployer, key): (&'static str, &'static str)) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), l1, deployer, key }
    }

    fn path(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    fn start(&self, arguments: &[&str]) -> Process {
        let mut command = opal(&["deploy"]);
        command.args(arguments).arg("--dir").arg(self.dir.path());
        if arguments[0] != "init" {
            command.args(["--l1", self.l1]);
        }
        if arguments[0] == "apply" {
            command.env("OPAL_DEPLOY_PRIVATE_KEY", self.key);
        }
        Process::start("opal deploy", &mut command)
    }

    /// Runs a command that must succeed; gives what it printed.
    fn run(&self, arguments: &[&str]) -> String {
        let ended = self.start(arguments).wait(SOON);
        assert!(ended.status.success(), "{arguments:?}: {}\n{}", ended.stdout, ended.stderr);
        assert!(
            !(ended.stdout.clone() + &ended.stderr).contains(&self.key[2..]),
            "no key anywhere"
        );
        ended.stdout
    }

    /// Transactions that the deployer has sent.
    fn sent(&self) -> u64 {
        let count = rpc::call(self.l1, "eth_getTransactionCount", json!([self.deployer, "latest"]));
        let count = count.unwrap();
        u64::from_str_radix(count.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }
}

/// A rollup on an L1 that is not ours, whose contracts `opal deploy` has put there, up to a withdrawal
/// that pays out; and one that brings its own.
#[test]
fn anvil_as_the_l1() {
    let _turn = alone();
    let Some(clients) = Clients::find("anvil_as_the_l1") else { return };
    let (_anvil, url) = clients.anvil();
    let folder = Folder::new(&url, FIRST);
    deploy(&folder);
    let rollup = Rollup::up(&["--l1", &url, "--l1-beacon", &url, "--deployment", folder.path()]);
    rollup.with_log(|rollup| {
        let (node, rpc, rollup_rpc) = separate_node(rollup);
        clients.run("deposits.mjs", rollup.dir(), &[]);
        clients.run("withdrawals.mjs", rollup.dir(), &["one"]);
        clients.run("follow.mjs", rollup.dir(), &[&rpc, &rollup_rpc]);
        node.interrupt(SOON);
        let blobs = [("OPAL_DA", "blobs")];
        clients.run_with("decode.mjs", rollup.dir(), &[], &blobs, Duration::from_secs(120));
    });
    let portal = rollup.portal();
    rollup.stop();
    let rollup = Rollup::up(&["--l1", &url, "--l1-beacon", &url]);
    assert_ne!(rollup.portal(), portal);
    rollup.stop();
}

/// `opal deploy` from an empty folder to files that nodes read, killed once on the way.
fn deploy(folder: &Folder<'_>) {
    folder.run(&["init", "--dev"]);
    let plan = folder.run(&["plan", "--deployer", folder.deployer]);
    let steps = plan.lines().filter(|line| line.contains(" gas")).count() as u64 - 1;
    assert!(plan.contains(&format!("{steps} transactions to send")), "{plan}");

    let mut first = folder.start(&["apply"]);
    first.wait_for("some steps are done", SOON, |process| {
        process.stdout().contains("create SystemConfigImpl").then_some(())
    });
    first.signal("KILL");
    first.wait(SOON);
    assert!(folder.sent() < steps, "it was killed in the middle");
    folder.run(&["apply"]);
    // Each step once, and the ether for batcher and proposer.
    let sent = folder.sent();
    assert_eq!(sent, steps + 2);
    folder.run(&["apply"]);
    let addresses = folder.read("addresses.json");
    assert_eq!(folder.sent(), sent, "nothing is done twice");
    folder.run(&["verify"]);
    std::fs::remove_file(folder.dir.path().join("addresses.json")).unwrap();
    folder.run(&["inspect"]);
    assert_eq!(folder.read("addresses.json"), addresses);
    assert!(folder.run(&["plan"]).contains("0 transactions to send"));

    // What the intent wants and L1 has not is told.
    let intent = folder.read("intent.toml");
    let path = folder.dir.path().join("intent.toml");
    std::fs::write(&path, intent.replace("gasLimit = 60000000", "gasLimit = 50000000")).unwrap();
    let ended = folder.start(&["verify"]).wait(SOON);
    assert!(!ended.status.success());
    let wrong = "wrong  SystemConfig.gasLimit is 60000000, not 50000000";
    assert!(ended.stdout.contains(wrong), "{}", ended.stdout);
    let ended = folder.start(&["apply"]).wait(SOON);
    assert!(ended.stderr.contains("intent.toml was changed"), "{}", ended.stderr);
    std::fs::write(path, intent).unwrap();
}

/// A deployment to the L1 of a running `opal up`, under way.
pub(super) struct Second<'a> {
    folder: Folder<'a>,
    applying: Process,
}

impl<'a> Second<'a> {
    /// Chain id of the rollup.
    const CHAIN: &'static str = "903";

    /// Begins to deploy a second rollup, with roles of its own.
    pub(super) fn begin(l1: &'a str) -> Self {
        let folder = Folder::new(l1, SECOND);
        let init = ["init", "--dev", "--l2-chain-id", Self::CHAIN, "--mnemonic", OTHER_MNEMONIC];
        folder.run(&init);
        let plan = folder.run(&["plan", "--deployer", folder.deployer]);
        assert!(plan.contains(" transactions to send"), "{plan}");
        let applying = folder.start(&["apply"]);
        Self { folder, applying }
    }

    /// Waits for the deployment, checks it and runs the rollup: both of its nodes see batches on the
    /// L1 that it shares.
    pub(super) fn finish(self, beacon: &str) {
        let Self { folder, applying } = self;
        let ended = applying.wait(SOON);
        assert!(ended.status.success(), "{}\n{}", ended.stdout, ended.stderr);
        let verified = folder.run(&["verify", "--all"]);
        for line in [
            "ok     initialized version of ProtocolVersionsProxy is 1\n",
            "ok     initialized version of SystemConfigImpl is 255\n",
            "checks hold\n",
        ] {
            assert!(verified.contains(line), "no {line:?} in\n{verified}");
        }
        let printed = folder.run(&["inspect", "rollup"]);
        assert_eq!(printed.trim(), folder.read("rollup.json").trim());
        assert!(folder.run(&["plan"]).contains("0 transactions to send"));

        let mut rollup = Rollup::up(&[
            "--l1",
            folder.l1,
            "--l1-beacon",
            beacon,
            "--deployment",
            folder.path(),
            "--mnemonic",
            OTHER_MNEMONIC,
        ]);
        let [sequencer, verifier] = ["l2Rpc", "verifierRpc"].map(|name| rollup.endpoint(name));
        let (number, hash) = rollup.wait_for("a block is safe on the verifier", SOON, || {
            rpc::block(&verifier, "safe").filter(|(number, _)| *number > 0)
        });
        let theirs = rpc::block(&sequencer, &format!("{number:#x}"));
        assert_eq!(theirs, Some((number, hash)), "the sequencer has the same block");
        rollup.stop();
    }
}

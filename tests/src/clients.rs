//! The third-party clients of `tests/clients`: npm's viem, ethers, cast and anvil, PyPI's web3.py.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::Process;
use crate::say;
use crate::stack::opal_binary;

/// How to get the npm packages.
pub const INSTALL: &str = "npm ci --ignore-scripts --prefix tests/clients";

/// How to get the OP Stack's own contracts.
pub const INSTALL_OFFICIAL: &str = "npm ci --ignore-scripts --prefix contracts";

/// How to get web3.py.
pub const INSTALL_WEB3: &str =
    "python3 -m venv tests/clients/.venv && tests/clients/.venv/bin/pip install web3==8.0.0";

/// What the scripts need and a fresh clone does not have.
#[derive(Debug)]
pub struct Clients {
    dir: PathBuf,
}

impl Clients {
    /// Finds node and the npm packages. Without them a test panics in CI (`CI` is set); elsewhere
    /// it says loudly that it is ignored, and gets `None`.
    pub fn find(test: &str) -> Option<Self> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
        let node = Command::new("node").arg("--version").output();
        let missing = if !node.is_ok_and(|output| output.status.success()) {
            "node is not installed"
        } else if !dir.join("node_modules/viem/package.json").is_file() {
            "the npm packages of tests/clients are not installed"
        } else {
            return Some(Self { dir });
        };
        assert!(
            std::env::var_os("CI").is_none(),
            "{test}: {missing}; install node 20 and run: {INSTALL}"
        );
        say(&format!(
            "\nignored: {test}: {missing}; to run it, install node 20 and run: {INSTALL}\n"
        ));
        None
    }

    /// The same with the OP Stack's own contracts, which are among the npm packages of `contracts`.
    pub fn with_official(test: &str) -> Option<Self> {
        let clients = Self::find(test)?;
        let package = "../../contracts/node_modules/@eth-optimism/contracts-bedrock/package.json";
        if clients.dir.join(package).is_file() {
            return Some(clients);
        }
        let missing = "the npm packages of contracts are not installed";
        assert!(std::env::var_os("CI").is_none(), "{test}: {missing}; run: {INSTALL_OFFICIAL}");
        say(&format!("\nignored: {test}: {missing}; to run it: {INSTALL_OFFICIAL}\n"));
        None
    }

    /// Runs a script against the rollup that `dir` describes and prints what it proved; panics
    /// when it fails.
    pub fn run(&self, script: &str, dir: &Path, args: &[&str]) {
        self.run_with(script, dir, args, &[], Duration::from_secs(300));
    }

    /// The same with variables of the environment and a deadline.
    pub fn run_with(
        &self,
        script: &str,
        dir: &Path,
        args: &[&str],
        env: &[(&str, &str)],
        deadline: Duration,
    ) {
        let mut command = Command::new("node");
        command.arg(self.dir.join(script)).arg(dir).args(args).envs(env.iter().copied());
        let ended = Process::start(script, &mut command).wait(deadline);
        say(&ended.stdout);
        assert!(ended.status.success(), "{script} failed: {}\n{}", ended.status, ended.stderr);
    }

    /// Runs scripts that do not disturb one another at the same time, most of which is waiting.
    pub fn run_together(&self, scripts: &[&str], dir: &Path) {
        std::thread::scope(|scope| {
            let running: Vec<_> =
                scripts.iter().map(|script| scope.spawn(|| self.run(script, dir, &[]))).collect();
            for script in running {
                script.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            }
        });
    }

    /// Runs a script that runs `opal` commands itself.
    pub fn run_with_binary(&self, script: &str, dir: &Path) {
        let binary = opal_binary().to_str().expect("the path of the binary is text");
        self.run_with(script, dir, &[], &[("OPAL_BIN", binary)], Duration::from_secs(300));
    }

    /// Runs a web3.py script as [`Clients::run`] runs others. Where web3.py is not installed, says
    /// loudly that the script is left out.
    pub fn run_python(&self, script: &str, dir: &Path) {
        let python = self.dir.join(".venv/bin/python");
        if !python.is_file() {
            say(&format!("\nleft out: {script}: web3.py is missing; to run it: {INSTALL_WEB3}\n"));
            return;
        }
        let mut command = Command::new(python);
        command.arg(self.dir.join(script)).arg(dir);
        let ended = Process::start(script, &mut command).wait(Duration::from_secs(120));
        say(&ended.stdout);
        assert!(ended.status.success(), "{script} failed: {}\n{}", ended.status, ended.stderr);
    }

    /// Starts anvil, with a block each second, on a free port; gives it with its URL.
    pub fn anvil(&self) -> (Process, String) {
        let found = Command::new("node")
            .arg(self.dir.join("foundry.mjs"))
            .arg("anvil")
            .output()
            .expect("node can be run");
        let path = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        assert!(found.status.success(), "no anvil: {}", String::from_utf8_lossy(&found.stderr));
        let mut command = Command::new(path);
        command.args(["--port", "0", "--chain-id", "900", "--block-time", "1"]);
        command.args(["--slots-in-an-epoch", "4"]);
        let mut anvil = Process::start("anvil", &mut command);
        let address = anvil.wait_for("it listens", Duration::from_secs(30), |anvil| {
            let output = anvil.stdout();
            let rest = output.split_once("Listening on ")?.1;
            rest.split_once('\n').map(|(address, _)| address.trim().to_owned())
        });
        (anvil, format!("http://{address}"))
    }
}

//! The real `opal` binary: where it is, and a running rollup.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use crate::process::{Ended, Process};
use crate::{rpc, say, workspace_root};

/// How long a debug build may take to have everything answering.
const READY: Duration = Duration::from_secs(60);

/// Ctrl-C ends within about a second; the rest is for a busy machine.
const STOPPED: Duration = Duration::from_secs(5);

/// One rollup at a time: tests run on threads, and two rollups at once only slow each other down.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed before leaves nothing behind that matters to the next one.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The `opal` binary of the profile that the tests were built with; built when it is missing or
/// older than the sources.
pub fn opal_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("OPAL_BIN") {
            return path.into();
        }
        // <target>/<profile>/deps/<test>
        let test = std::env::current_exe().unwrap();
        let profile = test.parent().and_then(Path::parent).expect("tests lie in a target folder");
        let binary = profile.join("opal");
        let built = binary.metadata().and_then(|file| file.modified()).ok();
        if built.is_none_or(|built| built < newest_source()) {
            let target = profile.parent().expect("a profile lies in a target folder");
            let name = profile.file_name().unwrap().to_string_lossy();
            let name = if name == "debug" { "dev" } else { &name };
            // The same selection of packages and targets as `cargo test --workspace`, hence the same
            // features of all dependencies: only the binary itself is left to build.
            let status = Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--workspace", "--bins", "--tests", "--profile", name])
                .arg("--target-dir")
                .arg(target)
                .current_dir(workspace_root())
                .status()
                .unwrap();
            assert!(status.success(), "the build of opal failed");
        }
        binary
    })
}

/// When the newest of the files was written that the binary is made of.
fn newest_source() -> SystemTime {
    fn newest(dir: &Path, time: &mut SystemTime) {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                newest(&entry.path(), time);
            } else if let Ok(modified) = entry.metadata().and_then(|file| file.modified()) {
                *time = (*time).max(modified);
            }
        }
    }
    let root = workspace_root();
    let mut time = SystemTime::UNIX_EPOCH;
    for dir in ["bin/opal/src", "crates", "contracts/artifacts"] {
        newest(&root.join(dir), &mut time);
    }
    time
}

/// `opal` with arguments, away from the settings of whoever runs the tests.
pub fn opal(args: &[&str]) -> Command {
    let mut command = Command::new(opal_binary());
    command.args(args);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OPAL_") {
            command.env_remove(name);
        }
    }
    // Nothing of a test goes to the user's own data directory.
    let target = opal_binary().parent().expect("a binary lies in a folder");
    command.env("OPAL_DATA_DIR", target.join("tmp/opal-data"));
    command
}

/// The same command where no file may have more than so many KiB: a disk that takes no more.
pub fn with_small_files(command: &Command, kib: u32) -> Command {
    // Without the trap the system kills whoever writes beyond the limit, which is counted in halves.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", 2 * kib);
    let mut limited = Command::new("sh");
    limited.args(["-c", &script]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

/// Arguments that let the system choose every port.
pub const FREE_PORTS: [&str; 12] = [
    "--l1-port",
    "0",
    "--l1-beacon-port",
    "0",
    "--l2-port",
    "0",
    "--rollup-port",
    "0",
    "--verifier-port",
    "0",
    "--verifier-rollup-port",
    "0",
];

/// A rollup that `opal up` runs on free ports.
#[derive(Debug)]
pub struct Rollup {
    process: Process,
    dir: TempDir,
}

impl Rollup {
    /// Starts `opal up` with these arguments and waits until everything answers.
    pub fn up(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = opal(&["up"]);
        command.args(FREE_PORTS).arg("--out").arg(dir.path()).args(args);
        let started = Instant::now();
        let mut process = Process::start("opal up", &mut command);
        let endpoints = dir.path().join("endpoints.json");
        process.wait_for("endpoints.json is there", READY, |_| endpoints.is_file().then_some(()));
        say(&format!(
            "opal up {}: ready after {:.2} s",
            args.join(" "),
            started.elapsed().as_secs_f64()
        ));
        Self { process, dir }
    }

    /// Repeats `probe` until it gives something; panics when the process ends or time is up.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        deadline: Duration,
        mut probe: impl FnMut() -> Option<T>,
    ) -> T {
        self.process.wait_for(what, deadline, |_| probe())
    }

    /// The folder with the files of `--out`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// One of the URLs of endpoints.json.
    pub fn endpoint(&self, name: &str) -> String {
        let json = std::fs::read_to_string(self.dir().join("endpoints.json")).unwrap();
        let endpoints: serde_json::Value = serde_json::from_str(&json).unwrap();
        endpoints[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}")).to_owned()
    }

    /// The portal's address, as addresses.json has it.
    pub fn portal(&self) -> String {
        let json = std::fs::read_to_string(self.dir().join("addresses.json")).unwrap();
        let addresses: serde_json::Value = serde_json::from_str(&json).unwrap();
        addresses["OptimismPortalProxy"].as_str().unwrap().to_owned()
    }

    /// Ctrl-C: demands a clean and quick end.
    pub fn stop(self) -> Ended {
        let (took, ended) = self.process.interrupt(STOPPED);
        say(&format!("stopped {:.2} s after Ctrl-C", took.as_secs_f64()));
        ended
    }

    /// Runs `body`; when it panics, shows what the rollup wrote.
    pub fn with_log<T>(&self, body: impl FnOnce(&Self) -> T) -> T {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(self)));
        result.unwrap_or_else(|panic| {
            say(&self.process.output());
            std::panic::resume_unwind(panic)
        })
    }
}

/// Starts `opal node` as a process of its own beside a rollup; gives it with the URLs of its L2
/// RPC and its rollup RPC.
pub fn separate_node(rollup: &Rollup) -> (Process, String, String) {
    // The ports are read from the log, so that the system can choose them.
    let mut command = opal(&["--log-format", "json", "node"]);
    command.args(["--l1", &rollup.endpoint("l1Rpc"), "--l1-beacon", &rollup.endpoint("l1Beacon")]);
    command.arg("--rollup-config").arg(rollup.dir().join("rollup.json"));
    command.arg("--genesis").arg(rollup.dir().join("genesis.json"));
    command.args(["--rpc-port", "0", "--rollup-port", "0"]);
    command.arg("--data-dir").arg(rollup.dir().join("node"));
    let mut node = Process::start("opal node", &mut command);
    let (rpc, rollup_rpc) = urls(&mut node, ["rpc", "rollup_rpc"]).into();
    (node, rpc, rollup_rpc)
}

/// Waits for the record of the log that says where a process answers, and gives these fields.
fn urls<const N: usize>(process: &mut Process, names: [&str; N]) -> [String; N] {
    process.wait_for("it is up", READY, |process| {
        let output = process.stdout() + &process.stderr();
        output.lines().find_map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).ok()?;
            let field = |name: &str| {
                let value = record.get(name).or_else(|| record.get("fields")?.get(name))?;
                Some(value.as_str()?.to_owned())
            };
            let found: Vec<String> = names.iter().filter_map(|name| field(name)).collect();
            found.try_into().ok()
        })
    })
}

/// Starts `opal execution` as a process of its own on the genesis of a rollup's folder; gives it with
/// the URLs of its Engine API and its JSON-RPC. The data directory keeps what it stores, and the
/// secret.
pub fn separate_execution(
    folder: &Path,
    data: &Path,
    authrpc_port: u16,
) -> (Process, String, String) {
    let mut command = opal(&["--log-format", "json", "execution", "--http.port", "0"]);
    command.arg("--genesis").arg(folder.join("genesis.json"));
    command.arg("--data-dir").arg(data);
    command.args(["--authrpc.port", &authrpc_port.to_string()]);
    let mut execution = Process::start("opal execution", &mut command);
    let (engine, rpc) = urls(&mut execution, ["authrpc", "rpc"]).into();
    (execution, engine, rpc)
}

/// Starts `opal node` over an execution client at this URL; gives it with the URL of its rollup RPC.
pub fn separate_rollup_node(rollup: &Rollup, engine: &str, secret: &Path) -> (Process, String) {
    let mut command = opal(&["--log-format", "json", "node", "--rollup-port", "0"]);
    command.args(["--l1", &rollup.endpoint("l1Rpc"), "--l1-beacon", &rollup.endpoint("l1Beacon")]);
    command.arg("--rollup-config").arg(rollup.dir().join("rollup.json"));
    command.args(["--safedb-path", "", "--l2-engine-url", engine, "--l2-jwt-secret"]).arg(secret);
    let mut node = Process::start("opal node", &mut command);
    let [rollup_rpc] = urls(&mut node, ["rollup_rpc"]);
    (node, rollup_rpc)
}

/// Mnemonic of the accounts that an embedded L1 and anvil have funded, and of the roles by default.
pub const MNEMONIC: &str = "test test test test test test test test test test test junk";

/// Starts a proposer's command; gives it with the URLs of its admin RPC and its metrics.
pub fn separate_proposer(command: &mut Command) -> (Process, String, String) {
    let mut process = Process::start("opal proposer", command);
    let (rpc, metrics) = urls(&mut process, ["rpc", "metrics"]).into();
    (process, rpc, metrics)
}

/// `opal proposer` beside a rollup, with the key of this account of a mnemonic.
pub fn proposer_command(rollup: &Rollup, mnemonic: &str, account: u32) -> Command {
    let mut command = opal(&["--log-format", "json", "proposer", "--game-type", "1"]);
    command.args(["--l1-eth-rpc", &rollup.endpoint("l1Rpc")]);
    command.args(["--rollup-rpc", &rollup.endpoint("rollupRpc"), "--allow-non-finalized"]);
    command.args(["--proposal-interval", "1h", "--poll-interval", "100ms"]);
    command.args(["--num-confirmations", "1", "--txmgr.receipt-query-interval", "100ms"]);
    command.args(["--mnemonic", mnemonic]);
    command.args(["--hd-path", &format!("m/44'/60'/0'/0/{account}")]);
    command.args(["--rpc.port", "0", "--metrics.enabled", "--metrics.port", "0"]);
    command
}

/// A number among a process's metrics; `None` while it is not there.
pub fn metric(metrics: &str, name: &str) -> Option<u64> {
    let text = rpc::get(metrics)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.parse().ok()
}

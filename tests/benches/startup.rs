//! How long a whole rollup takes to start, and what it weighs then.
//!
//! `cargo bench -p opal-tests --bench startup` starts the release binary ten times on free ports.
//! A start is over when the L1 RPC, the L2 RPC and the rollup RPC answer and the first L2 block is
//! there. Printed are the minimum, the median and the maximum of the wall time, of the resident
//! memory at that moment, and of the time from Ctrl-C to the end of the process.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 10;
const DEADLINE: Duration = Duration::from_secs(60);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Sample {
    ready_ms: f64,
    resident_mib: f64,
    stop_ms: f64,
}

fn main() -> Result<()> {
    let binary = release_binary()?;
    let samples = (0..RUNS).map(|_| run(&binary)).collect::<Result<Vec<_>>>()?;
    row("ready after, ms", samples.iter().map(|s| s.ready_ms).collect());
    row("resident memory, MiB", samples.iter().map(|s| s.resident_mib).collect());
    row("stopped after, ms", samples.iter().map(|s| s.stop_ms).collect());
    Ok(())
}

/// The binary of the same build as this bench, built if it is not there.
fn release_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("OPAL_BIN") {
        return Ok(path.into());
    }
    let status = Command::new(env!("CARGO")).args(["build", "--release", "-p", "opal"]).status()?;
    if !status.success() {
        return Err("the release build failed".into());
    }
    // target/release/deps/startup-… → target/release/opal
    let deps = std::env::current_exe()?;
    let profile =
        deps.parent().and_then(Path::parent).ok_or("the bench stands in no target folder")?;
    Ok(profile.join("opal"))
}

fn run(binary: &Path) -> Result<Sample> {
    let dir = tempfile::tempdir()?;
    let mut up = Command::new(binary);
    up.args(["up", "--out"]).arg(dir.path());
    for port in ["l1", "l1-beacon", "l2", "rollup", "verifier", "verifier-rollup"] {
        up.args([format!("--{port}-port"), "0".to_owned()]);
    }
    up.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let mut child = up.spawn()?;
    let measured = measure(&mut child, dir.path(), started);
    if measured.is_err() {
        child.kill()?;
        child.wait()?;
    }
    measured
}

fn measure(child: &mut Child, dir: &Path, started: Instant) -> Result<Sample> {
    let endpoints = loop {
        if let Ok(json) = std::fs::read(dir.join("endpoints.json")) {
            break serde_json::from_slice::<serde_json::Value>(&json)?;
        }
        if let Some(status) = child.try_wait()? {
            return Err(format!("opal ended early: {status}").into());
        }
        if started.elapsed() > DEADLINE {
            return Err("opal was not ready in time".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    for (name, method) in [
        ("l1Rpc", "eth_chainId"),
        ("l2Rpc", "eth_blockNumber"),
        ("rollupRpc", "optimism_syncStatus"),
    ] {
        let url = endpoints[name].as_str().ok_or("endpoints.json lacks a URL")?;
        let answer = call(url, method)?;
        if answer.get("result").is_none() {
            return Err(format!("{name}: {method} answered {answer}").into());
        }
        if method == "eth_blockNumber" && answer["result"] == "0x0" {
            return Err("ready was said before the first L2 block".into());
        }
    }
    let ready_ms = started.elapsed().as_secs_f64() * 1e3;
    let resident_mib = resident_kib(child.id())? / 1024.0;

    let stopping = Instant::now();
    Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("opal ended with {status}").into());
    }
    Ok(Sample { ready_ms, resident_mib, stop_ms: stopping.elapsed().as_secs_f64() * 1e3 })
}

fn call(url: &str, method: &str) -> Result<serde_json::Value> {
    let address = url.strip_prefix("http://").ok_or("not an http URL")?;
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":[]}}"#);
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, json) = answer.split_once("\r\n\r\n").ok_or("no HTTP answer")?;
    Ok(serde_json::from_str(json)?)
}

/// Resident memory of a process, in KiB, as Linux tells it.
fn resident_kib(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no VmRSS value")?.parse()?)
}

fn row(name: &str, mut values: Vec<f64>) {
    values.sort_by(f64::total_cmp);
    println!(
        "{name:<22} min {:>7.1}  median {:>7.1}  max {:>7.1}",
        values[0],
        values[values.len() / 2],
        values[values.len() - 1]
    );
}

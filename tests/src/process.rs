//! Child processes with a deadline for everything, ended by their pid.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A child process whose output is collected; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// All it wrote to stdout.
    pub stdout: String,
    /// All it wrote to stderr.
    pub stderr: String,
}

fn collect(mut from: impl Read + Send + 'static, into: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(n) = from.read(&mut buffer) {
            if n == 0 {
                break;
            }
            into.lock().unwrap().extend_from_slice(&buffer[..n]);
        }
    })
}

fn text(bytes: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&bytes.lock().unwrap()).into_owned()
}

impl Process {
    /// Starts a command without stdin.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: cannot start {command:?}: {error}"));
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = vec![
            collect(child.stdout.take().expect("piped"), Arc::clone(&stdout)),
            collect(child.stderr.take().expect("piped"), Arc::clone(&stderr)),
        ];
        Self { child, name: name.to_owned(), stdout, stderr, readers }
    }

    /// What it wrote to stdout so far.
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// What it wrote to stderr so far.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Both streams, for a panic message.
    pub fn output(&self) -> String {
        format!(
            "--- {0}, stdout ---\n{1}\n--- {0}, stderr ---\n{2}",
            self.name,
            self.stdout(),
            self.stderr()
        )
    }

    /// Repeats `probe` until it gives something; panics when the process ends or time is up.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        deadline: Duration,
        mut probe: impl FnMut(&Self) -> Option<T>,
    ) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = probe(self) {
                return found;
            }
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                panic!("{} ended with {status} before {what}\n{}", self.name, self.output());
            }
            assert!(
                started.elapsed() < deadline,
                "{}: {what}: not within {deadline:?}\n{}",
                self.name,
                self.output()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for its end; panics at the deadline.
    pub fn wait(mut self, deadline: Duration) -> Ended {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if started.elapsed() >= deadline {
                panic!("{} did not end within {deadline:?}\n{}", self.name, self.output());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        Ended { status, stdout: self.stdout(), stderr: self.stderr() }
    }

    /// Sends a signal (`INT`, `TERM`).
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &self.child.id().to_string()])
            .status()
            .expect("kill can be run");
        assert!(sent.success(), "cannot send {signal} to {}", self.name);
    }

    /// Sends SIGINT, as Ctrl-C does, and demands a clean exit; gives the time that it took.
    pub fn interrupt(self, deadline: Duration) -> (Duration, Ended) {
        let started = Instant::now();
        self.signal("INT");
        let name = self.name.clone();
        let ended = self.wait(deadline);
        let took = started.elapsed();
        assert!(
            ended.status.success(),
            "{name} ended with {} after Ctrl-C\n{}\n{}",
            ended.status,
            ended.stdout,
            ended.stderr
        );
        (took, ended)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

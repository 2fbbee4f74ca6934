//! Log output: `tracing` to stderr, and the live status line of a terminal.
//!
//! Targets are `opal::<layer>` (`opal::da`, `opal::node`, …), so that
//! `--log-level info,opal::da=debug` shows one layer closely.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// Flags of the log output.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    /// Filter: a level (error, warn, info, debug, trace) for Opal's own records, or directives such
    /// as `info,opal::da=debug`.
    #[arg(
        long = "log-level",
        alias = "log.level",
        env = "OPAL_LOG_LEVEL",
        value_name = "FILTER",
        default_value = "info",
        global = true
    )]
    pub level: String,
    /// How records are written.
    #[arg(
        long = "log-format",
        alias = "log.format",
        env = "OPAL_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text",
        global = true
    )]
    pub format: LogFormat,
}

impl Default for LogArgs {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// Format of log records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One readable line per record, in colour on a terminal.
    #[default]
    Text,
    /// One JSON object per record.
    Json,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is no level and no list of directives.
    #[error("--log-level {value:?} is not a valid filter: {reason}")]
    Filter {
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A subscriber is already installed in this process.
    #[error("logging was already initialised")]
    AlreadyInitialised,
}

/// Installs the process-wide subscriber.
///
/// # Errors
/// When the filter does not parse, or logging was already initialised.
pub fn init(args: &LogArgs) -> Result<(), LogError> {
    let filter = EnvFilter::builder()
        .parse(directives(&args.level))
        .map_err(|e| LogError::Filter { value: args.level.clone(), reason: e.to_string() })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(StderrAboveStatus);
    let installed = match args.format {
        LogFormat::Text => {
            let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).finish().try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    installed.map_err(|_| LogError::AlreadyInitialised)
}

/// A bare level is meant for Opal; the libraries below it stay at warnings.
fn directives(level: &str) -> String {
    match level.parse::<tracing::Level>() {
        Ok(level) => format!("warn,opal={level}"),
        Err(_) => level.to_owned(),
    }
}

/// Whether [`set_status`] draws anything: only a terminal has a status line.
pub fn has_status_line() -> bool {
    io::stderr().is_terminal()
}

/// Draws or replaces the line that stays at the bottom of the terminal while log records scroll
/// above it; `None` removes it. Does nothing when stderr is not a terminal.
pub fn set_status(line: Option<String>) {
    if !has_status_line() {
        return;
    }
    let mut status = status();
    let mut out = io::stderr().lock();
    // A terminal that went away is no reason to stop.
    let _ = redraw(&mut out, &mut status, line);
}

static STATUS: Mutex<Option<String>> = Mutex::new(None);

fn status() -> MutexGuard<'static, Option<String>> {
    STATUS.lock().unwrap_or_else(PoisonError::into_inner)
}

const CLEAR_LINE: &[u8] = b"\r\x1b[2K";

/// Writes the status line cut off at the terminal's edge: one that wrapped could not be cleared.
fn write_status(out: &mut impl Write, line: &str) -> io::Result<()> {
    write!(out, "\x1b[?7l{line}\x1b[?7h")
}

fn redraw(out: &mut impl Write, old: &mut Option<String>, new: Option<String>) -> io::Result<()> {
    if old.is_some() {
        out.write_all(CLEAR_LINE)?;
    }
    if let Some(line) = &new {
        write_status(out, line)?;
    }
    *old = new;
    out.flush()
}

fn write_above(out: &mut impl Write, status: &Option<String>, record: &[u8]) -> io::Result<()> {
    if status.is_some() {
        out.write_all(CLEAR_LINE)?;
    }
    out.write_all(record)?;
    if let Some(line) = status {
        write_status(out, line)?;
    }
    out.flush()
}

/// Writes each record above the status line. `tracing` hands a whole record to one `write`.
struct StderrAboveStatus;

impl Write for StderrAboveStatus {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let status = status();
        write_above(&mut io::stderr().lock(), &status, record)?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for StderrAboveStatus {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        Self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_wrong_filter_is_named() {
        let args = LogArgs { level: "opal::da=loud".to_owned(), format: LogFormat::Text };
        let error = init(&args).unwrap_err().to_string();
        assert!(error.contains("--log-level") && error.contains("opal::da=loud"), "{error}");
    }

    #[test]
    fn records_scroll_above_the_status_line() {
        let mut out = Vec::new();
        let mut status = None;
        write_above(&mut out, &status, b"one\n").unwrap();
        redraw(&mut out, &mut status, Some("head 1".to_owned())).unwrap();
        write_above(&mut out, &status, b"two\n").unwrap();
        redraw(&mut out, &mut status, None).unwrap();
        let line = "\x1b[?7lhead 1\x1b[?7h";
        let expected = format!("one\n{line}\r\x1b[2Ktwo\n{line}\r\x1b[2K");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

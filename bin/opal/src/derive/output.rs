//! JSON lines on stdout, progress on stderr.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use opal_derivation::Dropped;
use opal_protocol::{AttributesWithParent, L1BlockRef};
use serde_json::{Value, json};

/// Time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(2);

/// What is known of a derived block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// The known block is what the attributes describe.
    Match,
    /// It is not; this is the first difference.
    Differs(String),
    /// Execution refused the attributes.
    Invalid,
    /// There is nothing to compare with.
    Unknown,
}

/// Where results go, and how many there were.
#[derive(Debug)]
pub(super) struct Output {
    drops: bool,
    quiet: bool,
    said: Instant,
    pub(super) derived: u64,
    pub(super) matching: u64,
    pub(super) differing: u64,
    pub(super) dropped: u64,
}

impl Output {
    pub(super) fn new(drops: bool, quiet: bool) -> Self {
        let said = Instant::now();
        Self { drops, quiet, said, derived: 0, matching: 0, differing: 0, dropped: 0 }
    }

    /// Attributes and what became of them. `hash` is the block's, where it is known.
    pub(super) fn block(
        &mut self,
        derived: &AttributesWithParent,
        hash: Option<alloy_primitives::B256>,
        comparison: &Comparison,
    ) -> io::Result<()> {
        self.derived += u64::from(*comparison != Comparison::Invalid);
        let (comparison, difference) = match comparison {
            Comparison::Match => {
                self.matching += 1;
                ("match", None)
            }
            Comparison::Differs(why) => {
                self.differing += 1;
                ("differs", Some(why))
            }
            Comparison::Invalid => ("invalid", None),
            Comparison::Unknown => ("unknown", None),
        };
        let mut object = json!({
            "number": derived.parent.number.saturating_add(1),
            "parentHash": derived.parent.hash,
            "l1Origin": derived.l1_origin,
            "derivedFrom": derived.derived_from.id(),
            "concluding": derived.concluding,
            "comparison": comparison,
        });
        let mut set = |key: &str, value: Value| {
            if let Value::Object(map) = &mut object {
                map.insert(key.to_owned(), value);
            }
        };
        if let Some(hash) = hash {
            set("hash", json!(hash));
        }
        if let Some(difference) = difference {
            set("difference", json!(difference));
        }
        set("attributes", json!(derived.attributes));
        line(&object)
    }

    /// Something was read and does not count.
    pub(super) fn dropped(&mut self, dropped: &Dropped, origin: L1BlockRef) -> io::Result<()> {
        self.dropped += 1;
        if !self.quiet {
            eprintln!("L1 block {}: dropped {dropped}", origin.number);
        }
        if self.drops {
            line(&json!({ "dropped": dropped.to_string(), "l1": origin.id() }))?;
        }
        Ok(())
    }

    /// Another L1 block was opened.
    pub(super) fn progress(&mut self, origin: L1BlockRef, safe: u64, last: Option<u64>) {
        if self.quiet || self.said.elapsed() < PROGRESS {
            return;
        }
        self.said = Instant::now();
        let of = last.map(|last| format!(" of {last}")).unwrap_or_default();
        eprintln!("L1 block {}{of}, L2 block {safe}, {} derived", origin.number, self.derived);
    }

    /// Something that the user should know.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// The last line of progress: why it ended, and what came out.
    pub(super) fn end(&self, why: &str) {
        self.note(&format!(
            "{why}: {} blocks derived, {} match, {} differ, {} dropped",
            self.derived, self.matching, self.differing, self.dropped
        ));
    }
}

/// Whoever reads the lines may have gone; that is an error of the pipe and ends the run.
fn line(value: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")
}

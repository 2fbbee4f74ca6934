//! JSON lines on stdout, progress on stderr.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use alloy_primitives::B256;
use opal_derivation::{DropReason, Dropped};
use opal_protocol::{AttributesWithParent, BlockId, L1BlockRef, PayloadAttributes};
use serde::Serialize;
use serde_json::json;

use crate::tool::note;

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

/// What is printed of a block.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    number: u64,
    parent_hash: B256,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<B256>,
    l1_origin: BlockId,
    derived_from: BlockId,
    concluding: bool,
    comparison: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<&'a str>,
    attributes: &'a PayloadAttributes,
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
    dropped: u64,
    past: u64,
}

impl Output {
    pub(super) fn new(drops: bool, quiet: bool) -> Self {
        let said = Instant::now();
        Self { drops, quiet, said, derived: 0, matching: 0, differing: 0, dropped: 0, past: 0 }
    }

    /// Attributes and what became of them. `hash` is the block's, where it is known.
    pub(super) fn block(
        &mut self,
        derived: &AttributesWithParent,
        hash: Option<B256>,
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
                ("differs", Some(why.as_str()))
            }
            Comparison::Invalid => ("invalid", None),
            Comparison::Unknown => ("unknown", None),
        };
        line(&Line {
            number: derived.parent.number.saturating_add(1),
            parent_hash: derived.parent.hash,
            hash,
            l1_origin: derived.l1_origin,
            derived_from: derived.derived_from.id(),
            concluding: derived.concluding,
            comparison,
            difference,
            attributes: &derived.attributes,
        })
    }

    /// Something was read and does not count.
    pub(super) fn dropped(&mut self, dropped: &Dropped, origin: L1BlockRef) -> io::Result<()> {
        self.dropped += 1;
        // After the start and in overlapping channels there are many of these.
        let past = matches!(dropped, Dropped::Batch { reason: DropReason::Past, .. });
        self.past += u64::from(past);
        if !self.quiet && !past {
            note(&format!("L1 block {}: dropped {dropped}", origin.number));
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
        let (origin, derived) = (origin.number, self.derived);
        note(&format!("L1 block {origin}{of}, L2 block {safe}, {derived} derived"));
    }

    /// Something that the user should know.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            note(text);
        }
    }

    /// The last line of progress: why it ended, and what came out.
    pub(super) fn end(&self, why: &str) {
        self.note(&format!(
            "{why}: {} blocks derived, {} match, {} differ; {} times data was dropped, {} of them \
             batches of the past",
            self.derived, self.matching, self.differing, self.dropped, self.past
        ));
    }
}

/// Whoever reads the lines may have gone; that is an error of the pipe and ends the run.
fn line(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")
}

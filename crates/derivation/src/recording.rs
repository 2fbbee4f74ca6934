//! Recordings: everything that a host told the machine, line by line, so that the same derivation
//! can be run again anywhere.
//!
//! A recording is text in JSON lines. The first line says what is being derived:
//!
//! ```json
//! {"format":"opal-derivation-recording","version":1,"rollup":{…rollup.json…}}
//! ```
//!
//! `l1_blob_schedule` stands in it, too, where the L1 has blob parameters of its own: pairs of a time
//! and an update fraction.
//!
//! Each other line is one event:
//!
//! | `event` | fields | meaning |
//! |---|---|---|
//! | `start` | `safe_head`, `safe_system_config`, `l1`, `l1_system_config` | a new machine ([`DerivationStart`]); the first event, and again after a reset |
//! | `steps` | `count` | the host called [`Derivation::step`] that often |
//! | `l1_block` | `header` (RLP), `transactions` (EIP-2718), `receipts` (EIP-2718 with bloom) | [`Input::L1Block`] |
//! | `l1_not_yet` | `number` | [`Input::L1NotYet`] |
//! | `blobs` | `block`, `blobs` | [`Input::Blobs`] |
//! | `blobs_missing` | `block` | [`Input::BlobsMissing`] |
//! | `l2_block` | `header` (RLP), `transactions` (EIP-2718) | [`Input::L2Block`] |
//! | `executed` | `block` | [`Executed::Valid`] |
//! | `invalid` | | [`Executed::Invalid`] |
//! | `end` | | nothing was cut off |
//!
//! Bytes are hex with `0x`. Hashes of blocks are not written down: they are computed from the
//! headers, so that a changed header is another block.
//!
//! Since the calls of `step` are counted, a replay gives the same steps one by one, requests and
//! all, whatever the host provided early, late or twice.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use opal_protocol::RollupConfig;
use opal_protocol::l1_fees::L1BlobSchedule;
use opal_protocol::upgrades::UpgradeBundles;
use serde_json::{Map, Value, json};

use crate::{Derivation, DerivationStart, Executed, ExecutedError, Input, Step};

mod codec;

use codec::{Fields, event_of, field_error, input_line, refs_line};
pub use codec::{RawBlock, l1_block, l2_block};

/// `format` in the first line.
pub const FORMAT: &str = "opal-derivation-recording";
/// `version` in the first line.
pub const VERSION: u64 = 1;
/// Longest line that is read, in bytes. An L1 block full of calldata, or of blobs, has a tenth.
pub const MAX_LINE: usize = 256 << 20;
/// Most steps that one line stands for.
const MAX_STEPS: u64 = 1 << 16;

/// One line after the first.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all events are inputs")]
pub enum Event {
    /// A machine that continues from here.
    Start(DerivationStart),
    /// This many calls of [`Derivation::step`].
    Steps(u64),
    /// Something was provided.
    Input(Input),
    /// Attributes were executed.
    Executed(Executed),
    /// The host stopped here.
    End,
}

/// A recording that cannot be read or does not fit itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct RecordingError {
    /// Number of the line, the first being 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not a JSON object.
    #[error("not a JSON object: {0}")]
    Json(String),
    /// Longer than [`MAX_LINE`].
    #[error("longer than {MAX_LINE} bytes")]
    TooLong,
    /// Not a recording.
    #[error("format is {0}, expected \"{FORMAT}\"")]
    Format(String),
    /// A recording by another version of this program.
    #[error("version is {0}; this program reads version {VERSION}")]
    Version(String),
    /// A field that the event must have.
    #[error("{0}: missing")]
    Missing(&'static str),
    /// A field that the event does not have.
    #[error("{0}: unknown field")]
    Unknown(String),
    /// A field of the wrong shape.
    #[error("{field}: {reason}")]
    Field {
        /// Name, and position in lists.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No event of this version.
    #[error("unknown event {0}")]
    Event(String),
    /// An answer while there is no machine.
    #[error("comes before the first \"start\"")]
    NotStarted,
    /// A line after `end`.
    #[error("comes after \"end\"")]
    AfterEnd,
    /// The machine gave out other attributes than the recorded ones, or none.
    #[error("{0}")]
    Executed(ExecutedError),
    /// Attributes were executed, but the machine has none to give.
    #[error("something was executed where the machine says {0}")]
    NothingToExecute(String),
    /// The recording ends without `end`.
    #[error("the recording ends without \"end\": it was cut off")]
    Cut,
}

/// Writes a recording. The host calls it beside the machine and takes the text away from time to
/// time; nothing else is kept.
#[derive(Clone, Debug)]
pub struct Recorder {
    out: String,
    steps: u64,
}

impl Recorder {
    /// Begins a recording of this chain.
    pub fn new(config: &RollupConfig) -> Self {
        let mut recorder = Self { out: String::new(), steps: 0 };
        // A configuration has no map with keys other than strings, so it can be written.
        let rollup = serde_json::to_value(config).unwrap_or(Value::Null);
        let mut first = json!({ "format": FORMAT, "version": VERSION, "rollup": rollup });
        if let Some(schedule) = &config.l1_blob_schedule {
            first["l1_blob_schedule"] = json!(schedule.entries());
        }
        recorder.line(&first);
        recorder
    }

    fn line(&mut self, value: &Value) {
        self.write_steps();
        self.out.push_str(&serde_json::to_string(value).unwrap_or_default());
        self.out.push('\n');
    }

    fn write_steps(&mut self) {
        if self.steps > 0 {
            let count = core::mem::take(&mut self.steps);
            self.line(&json!({ "event": "steps", "count": count }));
        }
    }

    /// A machine was made.
    pub fn start(&mut self, start: &DerivationStart) {
        self.line(&json!({
            "event": "start",
            "safe_head": start.safe_head,
            "safe_system_config": start.safe_system_config,
            "l1": start.l1,
            "l1_system_config": start.l1_system_config,
        }));
    }

    /// The machine is going to make a step.
    pub fn step(&mut self) {
        self.steps += 1;
        if self.steps == MAX_STEPS {
            self.write_steps();
        }
    }

    /// The machine is going to be given this. One that it refuses may be recorded as well.
    pub fn input(&mut self, input: &Input) {
        self.line(&input_line(input));
    }

    /// The machine is going to be told this.
    pub fn executed(&mut self, executed: &Executed) {
        self.line(&refs_line(executed));
    }

    /// The host stops here.
    pub fn end(&mut self) {
        self.line(&json!({ "event": "end" }));
    }

    /// Takes away what was written since the last time.
    pub fn take(&mut self) -> String {
        core::mem::take(&mut self.out)
    }
}

/// Runs a recording again. Lines go in one after the other, steps come out.
#[derive(Debug)]
pub struct Replay {
    config: Arc<RollupConfig>,
    machine: Option<Derivation>,
    line: u64,
    /// Calls of `step` that were recorded and not made yet.
    due: u64,
    /// An answer to attributes that the machine has not given out yet: this machine makes more
    /// steps on the way than the one that was recorded.
    executed: Option<Executed>,
    ended: bool,
}

impl Replay {
    /// Reads the first line. Upgrade bundles are not recorded; the chain's configuration pins their
    /// hashes.
    ///
    /// # Errors
    /// When the line is not that of a recording.
    pub fn new(first_line: &str, upgrades: UpgradeBundles) -> Result<Self, RecordingError> {
        let config = header(first_line).map_err(|problem| RecordingError { line: 1, problem })?;
        let config = Arc::new(RollupConfig { upgrades, ..config });
        Ok(Self { config, machine: None, line: 1, due: 0, executed: None, ended: false })
    }

    /// The chain.
    pub const fn config(&self) -> &Arc<RollupConfig> {
        &self.config
    }

    /// The machine, from the first `start` on.
    pub const fn machine(&self) -> Option<&Derivation> {
        self.machine.as_ref()
    }

    /// Number of the line that was read last.
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// Whether the last line was `end`.
    pub const fn is_complete(&self) -> bool {
        self.ended
    }

    /// Takes the next line. Steps of the lines before that were not asked for are made unseen.
    ///
    /// # Errors
    /// When the line is malformed, or the machine does not give out what was executed. An input
    /// that the machine refuses was refused when it was recorded, and is no error.
    pub fn feed(&mut self, line: &str) -> Result<Event, RecordingError> {
        while self.next_step()?.is_some() {}
        self.line += 1;
        let event = event(line).map_err(|problem| self.error(problem))?;
        if self.ended {
            return Err(self.error(Problem::AfterEnd));
        }
        match (&event, &mut self.machine) {
            (Event::Start(start), machine) => {
                *machine = Some(Derivation::new(self.config.clone(), *start));
            }
            (Event::End, _) => self.ended = true,
            (_, None) => return Err(self.error(Problem::NotStarted)),
            (Event::Steps(count), Some(_)) => self.due = *count,
            (Event::Input(input), Some(machine)) => {
                let _ = machine.provide(input.clone());
            }
            (Event::Executed(executed), Some(machine)) => match machine.executed(*executed) {
                Ok(()) => {}
                Err(ExecutedError::NothingExecuting) => self.executed = Some(*executed),
                Err(error) => return Err(self.error(Problem::Executed(error))),
            },
        }
        Ok(event)
    }

    /// The next step that the recorded host saw; `None` when another line is due.
    ///
    /// # Errors
    /// When the machine does not come to the attributes that were executed.
    pub fn next_step(&mut self) -> Result<Option<Step>, RecordingError> {
        let Some(machine) = &mut self.machine else { return Ok(None) };
        if self.due > 0 {
            self.due -= 1;
            return Ok(Some(machine.step()));
        }
        let Some(executed) = self.executed else { return Ok(None) };
        let step = machine.step();
        match &step {
            Step::Execute(_) => {
                self.executed = None;
                if let Err(error) = machine.executed(executed) {
                    return Err(self.error(Problem::Executed(error)));
                }
            }
            Step::AdvancedOrigin(_) | Step::Dropped(_) => {}
            Step::Need(_) | Step::Idle | Step::Reset(_) | Step::Critical(_) => {
                self.executed = None;
                let says = alloc::format!("{step:?}");
                return Err(self.error(Problem::NothingToExecute(says)));
            }
        }
        Ok(Some(step))
    }

    /// Says whether the recording is whole.
    ///
    /// # Errors
    /// When it was cut off.
    pub fn finish(&self) -> Result<(), RecordingError> {
        if self.ended { Ok(()) } else { Err(self.error(Problem::Cut)) }
    }

    const fn error(&self, problem: Problem) -> RecordingError {
        RecordingError { line: self.line, problem }
    }
}

/// Runs a whole recording; gives all steps.
///
/// # Errors
/// The first line that is wrong, or that the recording was cut off.
pub fn replay(recording: &str, upgrades: UpgradeBundles) -> Result<Vec<Step>, RecordingError> {
    let mut lines = recording.lines();
    let mut replay = Replay::new(lines.next().unwrap_or_default(), upgrades)?;
    let mut steps = Vec::new();
    for line in lines {
        replay.feed(line)?;
        while let Some(step) = replay.next_step()? {
            steps.push(step);
        }
    }
    replay.finish()?;
    Ok(steps)
}

fn object(line: &str) -> Result<Map<String, Value>, Problem> {
    if line.len() > MAX_LINE {
        return Err(Problem::TooLong);
    }
    serde_json::from_str(line).map_err(|error| Problem::Json(alloc::format!("{error}")))
}

/// Reads the first line.
fn header(line: &str) -> Result<RollupConfig, Problem> {
    let mut object = object(line)?;
    let show =
        |value: Option<Value>| value.map_or("missing".into(), |value| alloc::format!("{value}"));
    let format = object.remove("format");
    if format.as_ref().and_then(Value::as_str) != Some(FORMAT) {
        return Err(Problem::Format(show(format)));
    }
    let version = object.remove("version");
    if version.as_ref().and_then(Value::as_u64) != Some(VERSION) {
        return Err(Problem::Version(show(version)));
    }
    let mut fields = Fields::new(object);
    let mut config: RollupConfig = fields.json("rollup")?;
    let schedule: Option<Vec<(u64, u64)>> = fields.optional("l1_blob_schedule")?;
    config.l1_blob_schedule = schedule.map(L1BlobSchedule::new);
    // The recorded machine ran with this configuration, whatever else would be said against it.
    if config.block_time == 0 {
        return Err(field_error("rollup", &"block_time must not be 0"));
    }
    fields.end()?;
    Ok(config)
}

/// Reads a line after the first.
fn event(line: &str) -> Result<Event, Problem> {
    event_of(Fields::new(object(line)?))
}

#[cfg(test)]
mod tests;

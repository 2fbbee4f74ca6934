//! A file of everything that derivation is given, for `opal derive` to run again.
//!
//! Nothing but the line being written is kept in memory. The recording is an aid: a disk that fails
//! or is full ends it with a warning, and the node goes on.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use opal_derivation::recording::Recorder;
use opal_derivation::{DerivationStart, Executed, Input};
use opal_protocol::RollupConfig;
use tracing::{info, warn};

/// Bytes after which a recording ends by itself.
const MAX_BYTES: u64 = 16 << 30;

/// A recording being written.
#[derive(Debug)]
pub(crate) struct Recording {
    path: PathBuf,
    recorder: Recorder,
    /// `None` when the recording has ended.
    file: Option<BufWriter<File>>,
    room: u64,
}

impl Recording {
    /// Begins a recording in this file, whose content goes.
    pub(crate) fn create(path: &Path, config: &RollupConfig) -> io::Result<Self> {
        Self::with_room(path, config, MAX_BYTES)
    }

    fn with_room(path: &Path, config: &RollupConfig, room: u64) -> io::Result<Self> {
        let file = Some(BufWriter::new(File::create(path)?));
        info!(target: "opal::node", path = %path.display(), "recording what derivation is given");
        Ok(Self { path: path.to_owned(), recorder: Recorder::new(config), file, room })
    }

    /// A machine was made.
    pub(crate) fn start(&mut self, start: &DerivationStart) {
        self.record(|recorder| recorder.start(start));
    }

    /// The machine is going to make a step.
    pub(crate) fn step(&mut self) {
        self.record(Recorder::step);
    }

    /// The machine is going to be given this.
    pub(crate) fn input(&mut self, input: &Input) {
        self.record(|recorder| recorder.input(input));
    }

    /// The machine is going to be told this.
    pub(crate) fn executed(&mut self, executed: &Executed) {
        self.record(|recorder| recorder.executed(executed));
    }

    /// Brings what was recorded so far to the file.
    pub(crate) fn flush(&mut self) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.flush()
        {
            self.fail(&error);
        }
    }

    /// The node stops.
    pub(crate) fn end(&mut self) {
        self.record(Recorder::end);
        self.flush();
        self.file = None;
    }

    fn record(&mut self, event: impl FnOnce(&mut Recorder)) {
        let Some(file) = &mut self.file else { return };
        event(&mut self.recorder);
        let text = self.recorder.take();
        match self.room.checked_sub(text.len() as u64) {
            Some(room) => {
                self.room = room;
                if let Err(error) = file.write_all(text.as_bytes()) {
                    self.fail(&error);
                }
            }
            None => {
                warn!(target: "opal::node", path = %self.path.display(),
                    "the recording has reached its greatest size and ends here");
                self.recorder.end();
                let end = self.recorder.take();
                let _ = file.write_all(end.as_bytes()).and_then(|()| file.flush());
                self.file = None;
            }
        }
    }

    fn fail(&mut self, error: &io::Error) {
        warn!(target: "opal::node", %error, path = %self.path.display(), "the recording ends here");
        self.file = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use opal_protocol::{L1BlockRef, L2BlockRef, SystemConfig};

    fn start() -> DerivationStart {
        DerivationStart {
            safe_head: L2BlockRef::default(),
            safe_system_config: SystemConfig::default(),
            l1: L1BlockRef::default(),
            l1_system_config: SystemConfig::default(),
        }
    }

    #[test]
    fn it_is_in_the_file_when_the_node_has_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recording");
        let mut recording = Recording::create(&path, &crate::testing::config(None)).unwrap();
        recording.start(&start());
        recording.step();
        recording.input(&Input::L1NotYet { number: 0 });
        recording.flush();
        let before = std::fs::read_to_string(&path).unwrap();
        recording.step();
        recording.end();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(&before) && before.lines().count() >= 3, "{before}");
        assert!(text.lines().last().unwrap().contains("\"end\""), "{text}");
    }

    #[test]
    fn it_ends_by_itself_at_its_greatest_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recording");
        let config = crate::testing::config(None);
        let mut recording = Recording::with_room(&path, &config, 20_000).unwrap();
        recording.start(&start());
        for number in 0..100_000 {
            recording.input(&Input::L1NotYet { number });
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.len() < 20_100 && text.lines().count() > 100, "{}", text.len());
        assert!(text.lines().last().unwrap().contains("\"end\""));
        recording.end();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

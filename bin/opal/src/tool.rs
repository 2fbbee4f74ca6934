//! What the commands share that do their work and end.

use std::io::{self, Write as _};

/// Runs work on a thread of its own, so that a signal can end the command at any time.
pub(crate) async fn on_thread(
    work: impl FnOnce() -> eyre::Result<()> + Send + 'static,
) -> eyre::Result<()> {
    tokio::task::spawn_blocking(work).await?
}

/// Prints a line of results. A reader that has seen enough is no error.
pub(crate) fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints a line on stderr, if somebody reads it.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

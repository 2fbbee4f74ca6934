//! The admin RPC: `admin_startProposer`, `admin_stopProposer`, and `admin_propose`.

/// What the operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Create and resolve games again.
    Start,
    /// Send nothing more; what is under way to L1 goes on.
    Stop,
    /// Create a game about the newest block now, however young the last one is.
    Propose,
}

/// The methods and what they ask for.
pub(crate) const METHODS: [(&str, Command); 3] = [
    ("admin_startProposer", Command::Start),
    ("admin_stopProposer", Command::Stop),
    ("admin_propose", Command::Propose),
];

//! The admin RPC: `admin_startBatcher`, `admin_stopBatcher`, `admin_flushBatcher`.

/// What the operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Post again, beginning at the safe head.
    Start,
    /// Post nothing more; what is under way to L1 goes on.
    Stop,
    /// Post what there is, however little.
    Flush,
}

/// The methods and what they ask for.
pub(crate) const METHODS: [(&str, Command); 3] = [
    ("admin_startBatcher", Command::Start),
    ("admin_stopBatcher", Command::Stop),
    ("admin_flushBatcher", Command::Flush),
];

//! The admin RPC: `admin_startProposer`, `admin_stopProposer`, and `admin_propose`.

use jsonrpsee::RpcModule;
use jsonrpsee::types::{ErrorObjectOwned, error::INTERNAL_ERROR_CODE};
use tokio::sync::{mpsc, oneshot};

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

/// A command and where to say that it was carried out, or why not.
pub(crate) type Request = (Command, oneshot::Sender<Result<(), String>>);

pub(crate) fn module(commands: mpsc::Sender<Request>) -> RpcModule<()> {
    let mut module = RpcModule::new(commands);
    for (name, command) in [
        ("admin_startProposer", Command::Start),
        ("admin_stopProposer", Command::Stop),
        ("admin_propose", Command::Propose),
    ] {
        let registered = module.register_async_method(name, move |_, commands, _| async move {
            let (reply, answer) = oneshot::channel();
            let error =
                |text: String| ErrorObjectOwned::owned(INTERNAL_ERROR_CODE, text, None::<()>);
            let ended = || error("the proposer is stopping".to_owned());
            commands.send((command, reply)).await.map_err(|_| ended())?;
            answer.await.map_err(|_| ended())?.map_err(error)
        });
        debug_assert!(registered.is_ok(), "the names differ");
    }
    module.remove_context()
}

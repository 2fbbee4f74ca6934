//! The admin RPC: `admin_startBatcher`, `admin_stopBatcher`, `admin_flushBatcher`.

use jsonrpsee::RpcModule;
use jsonrpsee::types::{ErrorObjectOwned, error::INTERNAL_ERROR_CODE};
use tokio::sync::{mpsc, oneshot};

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

/// A command and where to say that it was carried out, or why not.
pub(crate) type Request = (Command, oneshot::Sender<Result<(), &'static str>>);

pub(crate) fn module(commands: mpsc::Sender<Request>) -> RpcModule<()> {
    let mut module = RpcModule::new(commands);
    for (name, command) in [
        ("admin_startBatcher", Command::Start),
        ("admin_stopBatcher", Command::Stop),
        ("admin_flushBatcher", Command::Flush),
    ] {
        let registered = module.register_async_method(name, move |_, commands, _| async move {
            let (reply, answer) = oneshot::channel();
            let error = |text| ErrorObjectOwned::owned(INTERNAL_ERROR_CODE, text, None::<()>);
            let ended = "the batcher is stopping";
            commands.send((command, reply)).await.map_err(|_| error(ended))?;
            answer.await.map_err(|_| error(ended))?.map_err(error)
        });
        debug_assert!(registered.is_ok(), "the names differ");
    }
    module.remove_context()
}

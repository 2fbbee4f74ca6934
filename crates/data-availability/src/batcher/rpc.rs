//! The admin RPC.

use jsonrpsee::RpcModule;
use jsonrpsee::types::ErrorObjectOwned;
use tokio::sync::{mpsc, oneshot};

use super::driver::Command;

/// `admin_startBatcher`, `admin_stopBatcher`, `admin_flushBatcher`.
pub(super) fn module(commands: mpsc::Sender<Command>) -> RpcModule<()> {
    let mut module = RpcModule::new(commands);
    let methods: [(&'static str, fn(oneshot::Sender<()>) -> Command); 3] = [
        ("admin_startBatcher", Command::Start),
        ("admin_stopBatcher", Command::Stop),
        ("admin_flushBatcher", Command::Flush),
    ];
    for (name, command) in methods {
        let registered = module.register_async_method(name, move |_, commands, _| async move {
            let (done, finished) = oneshot::channel();
            let stopped = || ErrorObjectOwned::owned(-32000, "the batcher has ended", None::<()>);
            commands.send(command(done)).await.map_err(|_| stopped())?;
            finished.await.map_err(|_| stopped())?;
            Ok::<_, ErrorObjectOwned>(())
        });
        debug_assert!(registered.is_ok(), "the names differ");
    }
    module.remove_context()
}

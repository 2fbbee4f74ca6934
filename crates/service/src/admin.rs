//! The admin RPC of a role that sends transactions: its flags, and its commands.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;
use jsonrpsee::RpcModule;
use jsonrpsee::types::{ErrorObjectOwned, error::INTERNAL_ERROR_CODE};
use tokio::sync::{mpsc, oneshot};

use crate::rpc_server::{RpcEndpoint, RpcServerConfig, RpcServerError};

/// Flags of the admin RPC. Each role names its own variables for them, by `mut_arg`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Admin RPC")]
pub struct AdminArgs {
    /// Address of the admin RPC, which has no access control.
    #[arg(long = "rpc.addr", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST),
          value_name = "ADDRESS")]
    pub rpc_addr: IpAddr,
    /// Port of the admin RPC; without it there is none.
    #[arg(long = "rpc.port", value_name = "PORT")]
    pub rpc_port: Option<u16>,
}

impl AdminArgs {
    /// Where to listen, if the admin RPC is wanted.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.rpc_port.map(|port| SocketAddr::new(self.rpc_addr, port))
    }
}

/// A command of the operator, and where to say that it was carried out, or why not.
pub type Request<C> = (C, oneshot::Sender<Result<(), String>>);

/// Claims the port of the admin RPC.
///
/// # Errors
/// When the address can't be listened on.
pub fn bind(addr: SocketAddr) -> Result<RpcEndpoint, RpcServerError> {
    RpcEndpoint::bind(RpcServerConfig::new(addr, "--rpc.port"))
}

/// Methods without parameters that hand on a command each, and answer when it was carried out.
pub fn module<C: Copy + Send + Sync + 'static>(
    methods: &[(&'static str, C)],
    commands: mpsc::Sender<Request<C>>,
) -> RpcModule<()> {
    let mut module = RpcModule::new(commands);
    for &(name, command) in methods {
        let registered = module.register_async_method(name, move |_, commands, _| async move {
            let (reply, answer) = oneshot::channel();
            let error =
                |text: String| ErrorObjectOwned::owned(INTERNAL_ERROR_CODE, text, None::<()>);
            let ended = || error("the service is stopping".to_owned());
            commands.send((command, reply)).await.map_err(|_| ended())?;
            answer.await.map_err(|_| ended())?.map_err(error)
        });
        debug_assert!(registered.is_ok(), "{name} stands twice in the list");
    }
    module.remove_context()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn commands_are_handed_on_and_answered() {
        let (sender, mut inbox) = mpsc::channel(1);
        let module = module(&[("admin_start", 1), ("admin_stop", 2)], sender);
        let answers = tokio::spawn(async move {
            for expected in [1, 2] {
                let (command, reply): Request<i32> = inbox.recv().await.unwrap();
                assert_eq!(command, expected);
                let answer = if command == 1 { Ok(()) } else { Err("it stands".to_owned()) };
                reply.send(answer).unwrap();
            }
        });
        let call = async |method| module.call::<_, ()>(method, [(); 0]).await;
        assert!(call("admin_start").await.is_ok());
        assert!(call("admin_stop").await.unwrap_err().to_string().contains("it stands"));
        answers.await.unwrap();
        // Nobody takes commands any more.
        assert!(call("admin_stop").await.unwrap_err().to_string().contains("stopping"));
    }
}

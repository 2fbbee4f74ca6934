//! `opal proposer`.

use std::any::Any;

use opal_dispute::{Proposer, ProposerArgs, ProposerConfig};
use opal_service::Shutdown;
use tracing::info;

/// Flags of `opal proposer`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    proposer: ProposerArgs,
}

pub(crate) async fn run(args: Args, shutdown: &Shutdown) -> eyre::Result<Box<dyn Any>> {
    let proposer = Proposer::start(ProposerConfig::try_from(args.proposer)?, shutdown).await?;
    let rpc = proposer.rpc().map(opal_service::RpcHandle::http_url);
    let metrics = proposer.metrics_url();
    info!(target: "opal::settlement", rpc, metrics, "proposer is up");
    Ok(Box::new(proposer))
}

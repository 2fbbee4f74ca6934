//! `opal batcher`.

use std::any::Any;

use opal_da::{Batcher, BatcherArgs, BatcherConfig};
use opal_service::Shutdown;
use tracing::info;

/// Flags of `opal batcher`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    batcher: BatcherArgs,
}

pub(crate) async fn run(args: Args, shutdown: &Shutdown) -> eyre::Result<Box<dyn Any>> {
    let batcher = Batcher::start(BatcherConfig::try_from(args.batcher)?, shutdown).await?;
    let rpc = batcher.rpc().map(opal_service::RpcHandle::http_url);
    let metrics = batcher.metrics_url();
    info!(target: "opal::da", rpc, metrics, "batcher is up");
    Ok(Box::new(batcher))
}

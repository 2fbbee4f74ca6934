//! Follows the heads of the L1.

use std::sync::Arc;
use std::time::Duration;

use opal_da::{BlockTag, DaError, L1Client};
use opal_protocol::L1BlockRef;
use tokio::sync::watch;
use tracing::{debug, warn};

/// The L1's three labelled blocks, as last seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L1Heads {
    /// Tip.
    pub head: L1BlockRef,
    /// The L1's `safe` block.
    pub safe: L1BlockRef,
    /// The L1's `finalized` block.
    pub finalized: L1BlockRef,
}

impl L1Heads {
    /// Reads all three from the L1.
    ///
    /// # Errors
    /// When the L1 does not answer or lacks a label that the client cannot replace.
    pub async fn read(l1: &L1Client) -> Result<Self, DaError> {
        let (head, safe, finalized) = tokio::try_join!(
            l1.block_ref(BlockTag::Latest),
            l1.block_ref(BlockTag::Safe),
            l1.block_ref(BlockTag::Finalized),
        )?;
        Ok(Self { head, safe, finalized })
    }
}

/// Polls the L1 and publishes its heads when they change. Errors are logged once per outage and
/// the poll goes on: an L1 endpoint that is away must not stop the node.
pub async fn watch_l1(l1: Arc<L1Client>, interval: Duration, heads: watch::Sender<L1Heads>) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failures = 0u32;
    loop {
        ticks.tick().await;
        let latest = match l1.block_ref(BlockTag::Latest).await {
            Ok(latest) if latest.hash == heads.borrow().head.hash => Ok(None),
            Ok(_) => L1Heads::read(&l1).await.map(Some),
            Err(error) => Err(error),
        };
        match latest {
            Ok(new) => {
                if failures > 0 {
                    warn!(target: "opal::node", failures, "L1 answers again");
                }
                failures = 0;
                let Some(new) = new else { continue };
                debug!(target: "opal::node", head = new.head.number, "new L1 head");
                if heads.send(new).is_err() {
                    return;
                }
            }
            Err(error) => {
                if failures == 0 {
                    warn!(target: "opal::node", %error, "L1 does not answer; trying on");
                }
                failures = failures.saturating_add(1);
            }
        }
    }
}

//! Runs the batcher: asks the sequencer, feeds [`State`], sends what comes out of it.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Bytes, U256};
use alloy_rpc_types_eth::TransactionReceipt;
use opal_protocol::RollupConfig;
use opal_protocol::batcher_tx::encode_batcher_data;
use opal_protocol::blob::encode_blob;
use opal_protocol::frame::ChannelId;
use opal_service::{TxCandidate, TxError, TxManager};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::args::{BatcherConfig, DataAvailabilityType};
use super::source::Source;
use super::state::{Advice, NotAdded, Policy, State, TxFrames};
use super::{BatcherError, BatcherStats, TARGET};
use crate::DaError;

/// L2 blocks loaded between two looks at the sync status.
const BLOCKS_PER_ROUND: usize = 256;

/// How long what is left may take at the end; the process stops soon after.
const FLUSH_LIMIT: Duration = Duration::from_millis(700);

/// What the admin RPC asks for; answered when it is done.
#[derive(Debug)]
pub(super) enum Command {
    Start(oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
    Flush(oneshot::Sender<()>),
}

/// A transaction's frames and how it ended.
type Outcome = (TxFrames, usize, usize, Result<TransactionReceipt, TxError>);

pub(super) struct Driver {
    config: BatcherConfig,
    rollup: Arc<RollupConfig>,
    source: Source,
    txs: TxManager,
    state: State,
    in_flight: JoinSet<Outcome>,
    active: bool,
    stats: watch::Sender<BatcherStats>,
    /// The complaint made last, so that an outage is reported once.
    complaint: Option<String>,
}

/// Why a round of work ended early.
enum Trouble {
    /// Try again at the next poll.
    Later(String),
    /// Start again from the safe head.
    Reset(String),
    Stop(BatcherError),
}

impl From<DaError> for Trouble {
    fn from(error: DaError) -> Self {
        Self::Later(error.to_string())
    }
}

impl Driver {
    pub(super) fn new(
        config: BatcherConfig,
        rollup: Arc<RollupConfig>,
        source: Source,
        txs: TxManager,
        stats: watch::Sender<BatcherStats>,
    ) -> Self {
        let policy = Policy {
            max_channel_duration: config.max_channel_duration,
            sub_safety_margin: config.sub_safety_margin,
            target_frames: config.target_frames,
            max_frame_size: config.max_frame_size,
            frames_per_tx: config.frames_per_tx(),
        };
        Self {
            state: State::new(Arc::clone(&rollup), policy, random_id),
            active: !config.stopped,
            config,
            rollup,
            source,
            txs,
            in_flight: JoinSet::new(),
            stats,
            complaint: None,
        }
    }

    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) -> Result<(), BatcherError> {
        let mut ticks = tokio::time::interval(self.config.poll_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let result = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(command) = commands.recv() => self.command(command).await,
                Some(outcome) = self.in_flight.join_next() => match outcome {
                    Ok(outcome) => self.finished(outcome),
                    Err(error) => Err(Trouble::Reset(format!("a sending task ended: {error}"))),
                },
                _ = ticks.tick() => tokio::select! {
                    biased;
                    // Whatever a round was doing, the end of the process does not wait for it.
                    () = stop.cancelled() => break,
                    result = self.round(), if self.active => result,
                },
            };
            self.settle(result).await?;
        }
        self.finish().await;
        Ok(())
    }

    /// Acts on how a piece of work ended; only what can never succeed stops the batcher.
    async fn settle(&mut self, result: Result<(), Trouble>) -> Result<(), BatcherError> {
        match result {
            Ok(()) => {}
            Err(Trouble::Later(reason)) => {
                if self.complaint.as_ref() != Some(&reason) {
                    warn!(target: TARGET, reason, "cannot go on yet; trying again");
                    self.complaint = Some(reason);
                }
            }
            Err(Trouble::Reset(reason)) => {
                warn!(target: TARGET, reason, "starting again from the safe head");
                self.state.reset();
                self.txs.resync().await;
                self.stats.send_modify(|stats| stats.resets += 1);
            }
            Err(Trouble::Stop(error)) => return Err(error),
        }
        Ok(())
    }

    /// One look at the sequencer, and what follows from it.
    async fn round(&mut self) -> Result<(), Trouble> {
        if self.load().await? {
            self.state.close_if_due().map_err(unpostable)?;
        }
        self.send().await?;
        if self.complaint.take().is_some() {
            info!(target: TARGET, "going on");
        }
        Ok(())
    }

    /// Brings the state up to date; `false` when the node's word does not count for now.
    async fn load(&mut self) -> Result<bool, Trouble> {
        let status = self.source.sync_status().await?;
        match self.state.on_status(&status) {
            Advice::Continue => {}
            Advice::Wait => {
                debug!(target: TARGET, "the node derives from further back; waiting for it");
                return Ok(false);
            }
            Advice::Reset(reason) => return Err(Trouble::Reset(reason)),
        }
        for _ in 0..BLOCKS_PER_ROUND {
            let Some(number) = self.state.next_block() else { break };
            if number > status.unsafe_l2.number {
                break;
            }
            let Some(block) = self.source.block(&self.rollup, number).await? else { break };
            match self.state.add_block(&block) {
                Ok(()) => {}
                Err(NotAdded::Reorg) => {
                    return Err(Trouble::Reset(format!(
                        "L2 reorg: block {} does not follow what was loaded",
                        block.reference.id()
                    )));
                }
                Err(NotAdded::Never(error)) => {
                    let reason = error.to_string();
                    return Err(Trouble::Stop(BatcherError::Block { number, reason }));
                }
            }
        }
        Ok(true)
    }

    /// Sends closed channels, as many transactions at once as allowed.
    async fn send(&mut self) -> Result<(), Trouble> {
        while self.in_flight.len() < self.config.tx_manager.max_pending {
            let Some(tx) = self.state.next_tx() else { return Ok(()) };
            let (candidate, bytes) = match self.candidate(&tx) {
                Ok(candidate) => candidate,
                Err(reason) => return Err(Trouble::Reset(reason)),
            };
            let blobs = candidate.blobs.len();
            match self.txs.send_async(candidate).await {
                Ok(pending) => {
                    debug!(target: TARGET, hash = %pending.first_hash, bytes, blobs, "sent");
                    self.in_flight
                        .spawn(async move { (tx, bytes, blobs, pending.confirmed().await) });
                }
                Err(error) => {
                    self.state.put_back(tx);
                    return Err(match error {
                        TxError::NonceGap { .. } | TxError::NonceTaken { .. } => {
                            Trouble::Reset(error.to_string())
                        }
                        // The frames stay; an operator or time can mend all of these.
                        _ => Trouble::Later(error.to_string()),
                    });
                }
            }
        }
        Ok(())
    }

    /// The transaction for some frames, and the bytes it posts.
    fn candidate(&self, tx: &TxFrames) -> Result<(TxCandidate, usize), String> {
        let mut candidate = TxCandidate {
            to: Some(self.rollup.batch_inbox_address),
            value: U256::ZERO,
            ..TxCandidate::default()
        };
        let mut bytes = 0;
        match self.config.da {
            DataAvailabilityType::Calldata => {
                let data = encode_batcher_data(&tx.frames);
                bytes = data.len();
                candidate.gas_limit = Some(calldata_gas(&data));
                candidate.data = data;
            }
            DataAvailabilityType::Blobs => {
                for frame in &tx.frames {
                    let data = encode_batcher_data(std::slice::from_ref(frame));
                    bytes += data.len();
                    let blob = encode_blob(&data).map_err(|e| format!("blob: {e}"))?;
                    candidate.blobs.push(*blob);
                }
                candidate.gas_limit = Some(TX_GAS);
            }
        }
        Ok((candidate, bytes))
    }

    fn finished(&mut self, outcome: Outcome) -> Result<(), Trouble> {
        let (tx, bytes, blobs, result) = outcome;
        let receipt = match result {
            Ok(receipt) => receipt,
            Err(TxError::Closed) => return Ok(()),
            Err(error) if self.state.is_current(&tx) => {
                return Err(Trouble::Reset(format!("a batch was not posted: {error}")));
            }
            Err(error) => {
                debug!(target: TARGET, %error, "a transaction from before the reset failed");
                return Ok(());
            }
        };
        let Some(l1_block) = receipt.block_number else { return Ok(()) };
        self.stats.send_modify(|stats| {
            stats.transactions += 1;
            stats.l1_bytes += bytes as u64;
            stats.blobs += blobs as u64;
        });
        if let Some(blocks) = self.state.confirmed(&tx, l1_block).map_err(Trouble::Reset)? {
            info!(target: TARGET, l1_block, first = blocks.first.number,
                last = blocks.last.number, txs = blocks.transactions, bytes, "batch on L1");
            self.stats.send_modify(|stats| {
                stats.l2_blocks += blocks.count;
                stats.l2_transactions += blocks.transactions;
            });
        }
        Ok(())
    }

    async fn command(&mut self, command: Command) -> Result<(), Trouble> {
        let (done, result) = match command {
            Command::Start(done) => {
                info!(target: TARGET, "started by admin_startBatcher");
                self.active = true;
                (done, Ok(()))
            }
            Command::Stop(done) => {
                info!(target: TARGET, "stopped by admin_stopBatcher");
                let result = self.flush().await;
                self.active = false;
                (done, result)
            }
            Command::Flush(done) => (done, self.flush().await),
        };
        // The caller may have gone.
        let _ = done.send(());
        result
    }

    /// Closes the channel being filled and hands its frames to L1.
    async fn flush(&mut self) -> Result<(), Trouble> {
        if self.active && self.load().await? {
            self.state.close().map_err(unpostable)?;
            self.send().await?;
        }
        Ok(())
    }

    /// Hands over what is complete, within a short limit; the rest is posted after the next start,
    /// which begins at the safe head.
    async fn finish(mut self) {
        let last = async {
            if self.active && self.state.has_unsent() {
                return self.send().await;
            }
            Ok(())
        };
        if !matches!(tokio::time::timeout(FLUSH_LIMIT, last).await, Ok(Ok(()))) {
            debug!(target: TARGET, "not everything was handed to L1 before the end");
        }
        self.txs.close();
    }
}

fn unpostable(error: opal_protocol::channel::ChannelOutError) -> Trouble {
    Trouble::Stop(error.into())
}

/// Gas of a transaction without calldata to an account without code.
const TX_GAS: u64 = 21_000;

/// Gas of calldata to an account without code: the larger of the old price and EIP-7623's floor,
/// so that it is enough before and after Prague.
fn calldata_gas(data: &Bytes) -> u64 {
    let zeros = data.iter().filter(|byte| **byte == 0).count() as u64;
    let tokens = zeros + 4 * (data.len() as u64 - zeros);
    TX_GAS + tokens * 10
}

/// Channel ids are random, so that no two lives of a batcher choose the same.
fn random_id() -> ChannelId {
    ChannelId(alloy_primitives::FixedBytes::<16>::random().0)
}

//! The batcher's task: asks the endpoints, lets [`BatcherState`] decide, sends.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, FixedBytes};
use alloy_rpc_types_eth::TransactionReceipt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use opal_protocol::{ChannelId, L1BlockRef, RollupConfig};
use opal_service::admin::Request;
use opal_service::duration::backoff;
use opal_service::endpoint::{CallError, ConnectError, Endpoint, connected};
use opal_service::trouble::Trouble;
use opal_service::tx_manager::PendingTx;
use opal_service::{TxError, TxManager};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::channel::{BlockSummary, PendingBlock};
use super::client;
use super::config::BatcherConfig;
use super::metrics::Recorder;
use super::rpc::Command;
use super::state::{BatcherState, Confirmation};
use super::status::{ResetReason, SyncStatus, WaitReason};
use super::{BatcherError, BatcherStats, TARGET, payload};

/// Longest time between attempts after failures.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The configuration and its endpoints, not yet known to be the right ones.
pub(crate) struct Connector {
    config: BatcherConfig,
    l1: Endpoint,
    l2: Endpoint,
    rollup: Endpoint,
}

/// The endpoints, all serving the same rollup.
pub(crate) struct Session {
    rollup_config: Arc<RollupConfig>,
    tx_manager: TxManager,
}

impl Connector {
    pub(crate) fn new(config: BatcherConfig) -> Result<Self, BatcherError> {
        let endpoint = |flag, url| {
            Endpoint::new(flag, url).map_err(|source| BatcherError::Http { flag, source })
        };
        Ok(Self {
            l1: endpoint("--l1-eth-rpc", &config.l1_rpc)?,
            l2: endpoint("--l2-eth-rpc", &config.l2_rpc)?,
            rollup: endpoint("--rollup-rpc", &config.rollup_rpc)?,
            config,
        })
    }

    /// Asks all endpoints who they are.
    pub(crate) async fn connect(&self) -> Result<Session, ConnectError<BatcherError>> {
        let rollup = self.rollup.rollup_config().await?;
        let rollup = rollup.map_err(|error| ConnectError::Wrong(error.into()))?;
        for (endpoint, expected) in [(&self.l1, rollup.l1_chain_id), (&self.l2, rollup.l2_chain_id)]
        {
            let found = endpoint.chain_id().await?;
            if found != expected {
                let flag = endpoint.flag;
                return Err(ConnectError::Wrong(BatcherError::WrongChain {
                    flag,
                    found,
                    expected,
                }));
            }
        }
        let margin = self.config.posting.sub_safety_margin;
        // Granite's timeout is the shortest that the chain can come to have.
        let (timeout, window) = (rollup.channel_timeout(u64::MAX), rollup.seq_window_size);
        if margin >= timeout.min(window) {
            return Err(ConnectError::Wrong(BatcherError::Margin { margin, timeout, window }));
        }
        let provider = self.l1.provider.clone();
        let (key, config) = (self.config.key.clone(), self.config.tx_manager.clone());
        let tx_manager = TxManager::new(provider, key, config).await;
        let tx_manager = tx_manager.map_err(|e| ConnectError::Unavailable(e.to_string()))?;
        Ok(Session { rollup_config: Arc::new(rollup), tx_manager })
    }
}

/// Runs until told to stop. Nothing has to be saved then: what is not on L1 yet is above the safe
/// head, where the next start goes on.
pub(crate) async fn run(
    connector: Connector,
    session: Option<Session>,
    stats: watch::Sender<BatcherStats>,
    mut commands: mpsc::Receiver<Request<Command>>,
    stop: CancellationToken,
) -> Result<(), BatcherError> {
    let work = async {
        let session = match session {
            Some(session) => session,
            None => {
                let waiting =
                    |reason: &str| warn!(target: TARGET, reason, "waiting for an endpoint");
                connected(|| connector.connect(), waiting).await?
            }
        };
        let mut service = Service::new(connector, session, stats);
        service.run(&mut commands).await
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        result = work => result,
    }
}

/// A transaction under way, as far as it matters when it is done.
struct Ticket {
    channel: ChannelId,
    frames: usize,
    bytes: u64,
    blobs: u64,
    completes: Vec<BlockSummary>,
}

type Sending = BoxFuture<'static, (Ticket, Result<PendingTx, TxError>)>;
type Confirming = BoxFuture<'static, (Ticket, Result<TransactionReceipt, TxError>)>;

struct Service {
    connector: Connector,
    session: Session,
    state: BatcherState,
    /// Whether the operator wants it to post.
    active: bool,
    recorder: Recorder,
    l1_head: L1BlockRef,
    /// The account that L1 named as the batcher last, and the L1 head then.
    batcher: Option<(L1BlockRef, Option<Address>)>,
    /// Whether the last look at the heads allows sending.
    ready: bool,
    /// At most one, so that the order on L1 is the order of the channels.
    sending: FuturesUnordered<Sending>,
    confirming: FuturesUnordered<Confirming>,
    failures: u32,
    /// After a failure, nothing is sent before this time.
    retry_at: Option<Instant>,
    trouble: Trouble,
    wrong_key: Trouble,
    waiting: Trouble,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.session.tx_manager.close();
    }
}

impl Service {
    fn new(connector: Connector, session: Session, stats: watch::Sender<BatcherStats>) -> Self {
        let config = &connector.config;
        let rollup = Arc::clone(&session.rollup_config);
        let posting = Arc::new(config.posting.clone());
        info!(target: TARGET, batcher = %session.tx_manager.address(),
            inbox = %rollup.batch_inbox_address, l1_chain = rollup.l1_chain_id,
            l2_chain = rollup.l2_chain_id, da = ?posting.da, "batcher started");
        let mut state = BatcherState::new(rollup, posting);
        if config.wait_node_sync {
            state.wait_for_node_sync();
        }
        Self {
            state,
            active: !config.stopped,
            recorder: Recorder::new(stats, &config.metrics),
            connector,
            session,
            l1_head: L1BlockRef::default(),
            batcher: None,
            ready: false,
            sending: FuturesUnordered::new(),
            confirming: FuturesUnordered::new(),
            failures: 0,
            retry_at: None,
            trouble: Trouble::default(),
            wrong_key: Trouble::default(),
            waiting: Trouble::default(),
        }
    }

    async fn run(
        &mut self,
        commands: &mut mpsc::Receiver<Request<Command>>,
    ) -> Result<(), BatcherError> {
        let mut ticks = tokio::time::interval(self.connector.config.poll_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some((ticket, result)) = self.sending.next() => self.on_sent(ticket, result),
                Some((ticket, result)) = self.confirming.next() => self.on_done(ticket, result),
                Some((command, reply)) = commands.recv() => {
                    // The caller may have gone.
                    let _ = reply.send(self.on_command(command).await?);
                }
                _ = ticks.tick(), if self.active => self.poll().await?,
            }
            self.send_next()?;
        }
    }

    async fn on_command(&mut self, command: Command) -> Result<Result<(), String>, BatcherError> {
        match (command, self.active) {
            (Command::Start, true) => return Ok(Err("the batcher is running already".to_owned())),
            (Command::Stop | Command::Flush, false) => {
                return Ok(Err("the batcher is stopped".to_owned()));
            }
            (Command::Start, false) => {
                info!(target: TARGET, "started by admin_startBatcher");
                self.state.clear();
                if self.connector.config.wait_node_sync {
                    self.state.wait_for_node_sync();
                }
                self.active = true;
            }
            (Command::Stop, true) => {
                info!(target: TARGET, "stopped by admin_stopBatcher");
                (self.active, self.ready) = (false, false);
            }
            (Command::Flush, true) => {
                info!(target: TARGET, "flushed by admin_flushBatcher");
                self.state.flush();
                self.poll().await?;
            }
        }
        Ok(Ok(()))
    }

    /// One look at the chains: load, build, and find out whether sending makes sense.
    async fn poll(&mut self) -> Result<(), BatcherError> {
        self.ready = false;
        let status = self.look().await;
        if status.is_ok() {
            over(&mut self.trouble, "the endpoints answer again");
        }
        match status {
            Ok(Some(status)) => {
                let caught_up = self.state.newest_number() >= status.unsafe_l2.number;
                self.build(caught_up).await?;
                self.ready = true;
            }
            Ok(None) => {}
            Err(error) => {
                report(&mut self.trouble, "an endpoint does not answer", &error.to_string());
            }
        }
        let paused = self.wrong_key.is_on() || self.waiting.is_on();
        self.recorder.state(self.state.pending_blocks(), paused);
        Ok(())
    }

    /// `None` when there is nothing to do for now.
    async fn look(&mut self) -> Result<Option<SyncStatus>, CallError> {
        let status = client::sync_status(&self.connector.rollup).await?;
        let plan = self.state.on_status(&status);
        if let Some(reason) = plan.reset {
            self.on_reset(reason);
        }
        for channel in &plan.timed_out {
            warn!(target: TARGET, %channel, "channel timed out on L1; posting its blocks again");
        }
        self.recorder.lost(plan.timed_out.len() as u64);
        if plan.wait != Some(WaitReason::NodeNotReady) {
            self.l1_head = status.head_l1;
        }
        if let Some(reason) = plan.wait {
            self.wait_for(reason);
            return Ok(None);
        }
        if !self.is_batcher().await? {
            return Ok(None);
        }
        if let Some(numbers) = plan.load {
            debug!(target: TARGET, first = numbers.start(), last = numbers.end(), "reading L2 blocks");
            let mut blocks = std::pin::pin!(client::l2_blocks(&self.connector.l2, numbers));
            while let Some(block) = blocks.next().await {
                let block = block?;
                let block =
                    PendingBlock::new(&self.session.rollup_config, &block).map_err(|e| {
                        self.connector.l2.error(format!("L2 block {}: {e}", block.id()))
                    })?;
                if let Err(reason) = self.state.add_block(block) {
                    info!(target: TARGET, %reason, "starting again from the safe head");
                    return Ok(None);
                }
            }
        }
        Ok(Some(status))
    }

    fn on_reset(&self, reason: ResetReason) {
        match reason {
            ResetReason::SafeHeadAhead => {
                info!(target: TARGET, %reason, "starting again from the safe head");
            }
            ResetReason::ChannelLost { .. } => {
                self.recorder.lost(1);
                warn!(target: TARGET, %reason, "starting again from the safe head");
            }
            ResetReason::SafeHeadBack | ResetReason::L2Reorg { .. } => {
                warn!(target: TARGET, %reason, "starting again from the safe head");
            }
        }
    }

    fn wait_for(&mut self, reason: WaitReason) {
        if reason.is_alarming() {
            report(&mut self.waiting, "not posting", &reason.to_string());
        } else {
            debug!(target: TARGET, %reason, "not posting yet");
        }
    }

    /// Whether L1 names our account as the batcher; asked once per L1 block.
    async fn is_batcher(&mut self) -> Result<bool, CallError> {
        let own = self.session.tx_manager.address();
        let named = match self.batcher {
            Some((head, named)) if head == self.l1_head => named,
            _ => {
                let system_config = self.session.rollup_config.l1_system_config_address;
                let named = client::batcher_address(&self.connector.l1, system_config).await?;
                self.batcher = Some((self.l1_head, named));
                named
            }
        };
        if named == Some(own) {
            if over(&mut self.wrong_key, "L1 names this key as the batcher now") {
                // What was sent in between counted for nothing.
                self.state.clear();
            }
            return Ok(true);
        }
        let named = named.map_or_else(|| "nobody".to_owned(), |address| address.to_string());
        let text = format!(
            "the SystemConfig on L1 names {named} as the batcher, but this key is {own}; batches \
             from it would be ignored"
        );
        report(&mut self.wrong_key, "not posting", &text);
        Ok(false)
    }

    async fn build(&mut self, caught_up: bool) -> Result<(), BatcherError> {
        let l1_head = self.l1_head;
        if let Err(reason) = self.state.may_send(l1_head.number) {
            self.wait_for(reason);
            return Ok(());
        }
        over(&mut self.waiting, "posting again");
        let stand_in = self.state.stand_in();
        let mut state = std::mem::replace(&mut self.state, stand_in);
        // Compression takes some 10 ms per channel.
        let task = tokio::task::spawn_blocking(move || {
            let new_id = || ChannelId(FixedBytes::<16>::random().0);
            let built = state.build(&l1_head, caught_up, new_id);
            (state, built)
        });
        let (state, built) = task.await.map_err(|e| BatcherError::Encoding(e.to_string()))?;
        self.state = state;
        let closed = built.map_err(|failed| match failed.block {
            Some(block) => BatcherError::Block { block, reason: failed.error.to_string() },
            None => BatcherError::Encoding(failed.error.to_string()),
        })?;
        for channel in closed {
            debug!(target: TARGET, channel = %channel.id, reason = ?channel.reason,
                blocks = channel.blocks, first = channel.first, last = channel.last,
                frames = channel.frames, input_bytes = channel.input_bytes,
                output_bytes = channel.output_bytes, "channel closed");
        }
        Ok(())
    }

    /// Starts to send the next transaction, if one may be sent.
    fn send_next(&mut self) -> Result<(), BatcherError> {
        let in_flight = self.sending.len() + self.confirming.len();
        if !self.ready
            || !self.sending.is_empty()
            || in_flight >= self.connector.config.max_pending
            || self.retry_at.is_some_and(|at| Instant::now() < at)
            || self.state.may_send(self.l1_head.number).is_err()
        {
            return Ok(());
        }
        let Some(data) = self.state.next_tx() else { return Ok(()) };
        let inbox = self.session.rollup_config.batch_inbox_address;
        let (candidate, bytes) =
            payload::transaction(&data.frames, self.connector.config.posting.da, inbox)
                .map_err(|e| BatcherError::Encoding(e.to_string()))?;
        let ticket = Ticket {
            channel: data.channel,
            frames: data.frames.len(),
            bytes,
            blobs: candidate.blobs.len() as u64,
            completes: data.completes,
        };
        let tx_manager = self.session.tx_manager.clone();
        let send = async move { (ticket, tx_manager.send_async(candidate).await) };
        self.sending.push(send.boxed());
        Ok(())
    }

    fn on_sent(&mut self, ticket: Ticket, result: Result<PendingTx, TxError>) {
        match result {
            Ok(pending) => {
                let confirm = async move { (ticket, pending.confirmed().await) };
                self.confirming.push(confirm.boxed());
            }
            Err(error) => self.on_failed(&ticket, &error),
        }
    }

    fn on_done(&mut self, ticket: Ticket, result: Result<TransactionReceipt, TxError>) {
        let receipt = match result {
            Ok(receipt) => receipt,
            Err(error) => return self.on_failed(&ticket, &error),
        };
        self.failures = 0;
        self.retry_at = None;
        self.recorder.confirmed(ticket.bytes, ticket.blobs, &ticket.completes);
        let l1_block = receipt.block_number.unwrap_or(self.l1_head.number);
        let head = self.l1_head;
        let outcome = self.state.tx_confirmed(ticket.channel, ticket.frames, l1_block, &head);
        let blocks = (ticket.completes.first(), ticket.completes.last());
        if let (Some(first), Some(last)) = blocks {
            info!(target: TARGET, l1_block, first = first.number, last = last.number,
                bytes = ticket.bytes, "L2 blocks posted");
        }
        debug!(target: TARGET, tx = %receipt.transaction_hash, l1_block, channel = %ticket.channel,
            frames = ticket.frames, ?outcome, "transaction confirmed");
        if outcome == Confirmation::TimedOut {
            self.recorder.lost(1);
            warn!(target: TARGET, channel = %ticket.channel,
                "channel timed out on L1; posting its blocks again");
        }
    }

    fn on_failed(&mut self, ticket: &Ticket, failure: &TxError) {
        self.recorder.failed();
        self.state.tx_failed(ticket.channel);
        self.failures = self.failures.saturating_add(1);
        let wait = backoff(self.failures, MAX_BACKOFF);
        self.retry_at = Some(Instant::now() + wait);
        match failure {
            TxError::InsufficientFunds { .. } | TxError::Refused(_) => {
                error!(target: TARGET, error = %failure, retry_in = ?wait, "cannot post");
            }
            _ => warn!(target: TARGET, error = %failure, retry_in = ?wait, "transaction failed"),
        }
    }
}

fn report(trouble: &mut Trouble, what: &str, reason: &str) {
    if trouble.note(reason) {
        warn!(target: TARGET, reason, "{what}");
    }
}

/// Whether there was a trouble, which is over now.
fn over(trouble: &mut Trouble, what: &str) -> bool {
    let was_on = trouble.over();
    if was_on {
        info!(target: TARGET, "{what}");
    }
    was_on
}

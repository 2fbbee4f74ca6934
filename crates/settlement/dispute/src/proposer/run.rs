//! The proposer's task: asks L1 and the rollup node, lets the rules decide, sends.

use std::time::Duration;

use alloy_primitives::{Address, B256};
use alloy_rpc_types_eth::TransactionReceipt;
use alloy_sol_types::SolEvent;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use opal_protocol::L2BlockRef;
use opal_protocol::contracts::IDisputeGameFactory;
use opal_service::admin::Request;
use opal_service::duration::backoff;
use opal_service::endpoint::{CallError, Endpoint, connected};
use opal_service::trouble::Trouble;
use opal_service::{TxCandidate, TxError};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::client::{self, Output, SyncStatus};
use super::ledger::{Ledger, Tracked};
use super::metrics::Recorder;
use super::rpc::Command;
use super::rules::{self, Hold, Verdict};
use super::session::{Connector, Session};
use super::source::Source;
use super::{ProposerError, ProposerStats, TARGET};
use crate::games::{self, Action, Outcome, OwnGame, Step, View};
use crate::l1::{ContractError, L1Head};

/// Longest time between attempts to create a game.
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// L1 blocks after which a confirmed game that the factory's list does not show has fallen to a
/// reorg.
const LISTING_PATIENCE: u64 = 64;
/// Looks that may find L1 at an older block than before: a node that lags behind the others of its
/// endpoint, or a reorg under way. After so many, L1 has gone back for good.
const LAG_PATIENCE: u32 = 5;
/// Games looked at in one go.
const MAX_LOOKS: usize = 16;

/// Runs until told to stop. Nothing has to be saved then: L1 tells which games there are.
pub(crate) async fn run(
    connector: Connector,
    session: Option<Session>,
    stats: watch::Sender<ProposerStats>,
    mut commands: mpsc::Receiver<Request<Command>>,
    stop: CancellationToken,
) -> Result<(), ProposerError> {
    let work = async {
        let session = match session {
            Some(session) => session,
            None => {
                let waiting =
                    |reason: &str| warn!(target: TARGET, reason, "waiting for an endpoint");
                connected(|| connector.connect(), waiting).await?
            }
        };
        Service::new(connector, session, stats).run(&mut commands).await;
        Ok(())
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        result = work => result,
    }
}

/// What transactions under way are for.
#[derive(Clone, Copy, Debug)]
enum Job {
    Create { block: u64 },
    Game { game: OwnGame, action: Action },
}

type Running = BoxFuture<'static, (Job, Result<Vec<TransactionReceipt>, TxError>)>;

/// Withdrawals are served by a game about a later block than theirs. These tell whether there are
/// any that the newest game does not serve: the root before its block, and before a newer one.
#[derive(Clone, Copy, Debug, Default)]
struct WithdrawalRoots {
    served: Option<(u64, B256)>,
    now: Option<(u64, B256)>,
}

struct Service {
    connector: Connector,
    session: Session,
    ledger: Option<Ledger>,
    /// Whether the operator wants it to work.
    active: bool,
    /// Whether the operator wants a game now.
    demanded: bool,
    recorder: Recorder,
    head: L1Head,
    /// Length of the factory's list.
    count: u64,
    /// The L1 block that the node must have read first.
    sync_target: Option<u64>,
    waits_for_sync: bool,
    creating: bool,
    /// The L2 block of the game that was confirmed last, and the L1 block that holds it, until the
    /// factory's list shows it: another game before that would be one too many.
    confirmed: Option<(u64, u64)>,
    /// Looks in a row that found L1 at an older block.
    lagging: u32,
    /// Why the last look created no game.
    hold: Option<Hold>,
    /// The block that has its game from someone else.
    exists: Option<u64>,
    roots: WithdrawalRoots,
    jobs: FuturesUnordered<Running>,
    failures: u32,
    /// After a failure, no game is created before this time.
    retry_at: Option<Instant>,
    l1_trouble: Trouble,
    rollup_trouble: Trouble,
    refused: Trouble,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.session.tx_manager.close();
    }
}

/// Why a look at the chains ended early.
enum Failure {
    L1(ContractError),
    Rollup(CallError),
}

impl From<ContractError> for Failure {
    fn from(error: ContractError) -> Self {
        Self::L1(error)
    }
}

impl Service {
    fn new(connector: Connector, session: Session, stats: watch::Sender<ProposerStats>) -> Self {
        let config = &connector.config;
        info!(target: TARGET, proposer = %session.tx_manager.address(),
            factory = %session.source.factory, game_type = config.game_type,
            interval_s = config.pace.interval, resolve = config.resolve, "proposer started");
        Self {
            ledger: None,
            active: !config.stopped,
            demanded: false,
            recorder: Recorder::new(stats, &config.metrics),
            head: L1Head::default(),
            count: 0,
            sync_target: None,
            waits_for_sync: config.wait_node_sync,
            creating: false,
            confirmed: None,
            lagging: 0,
            hold: None,
            exists: None,
            roots: WithdrawalRoots::default(),
            jobs: FuturesUnordered::new(),
            failures: 0,
            retry_at: None,
            l1_trouble: Trouble::default(),
            rollup_trouble: Trouble::default(),
            refused: Trouble::default(),
            connector,
            session,
        }
    }

    async fn run(&mut self, commands: &mut mpsc::Receiver<Request<Command>>) {
        let mut ticks = tokio::time::interval(self.connector.config.poll_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some((job, result)) = self.jobs.next() => self.on_done(job, result),
                Some((command, reply)) = commands.recv() => {
                    // The caller may have gone.
                    let _ = reply.send(self.on_command(command).await);
                }
                _ = ticks.tick(), if self.active => {
                    self.poll().await;
                }
            }
        }
    }

    async fn on_command(&mut self, command: Command) -> Result<(), String> {
        match (command, self.active) {
            (Command::Start, true) => Err("the proposer is running already".to_owned()),
            (Command::Stop | Command::Propose, false) => Err("the proposer is stopped".to_owned()),
            (Command::Start, false) => {
                info!(target: TARGET, "started by admin_startProposer");
                (self.active, self.waits_for_sync) = (true, self.connector.config.wait_node_sync);
                Ok(())
            }
            (Command::Stop, true) => {
                info!(target: TARGET, "stopped by admin_stopProposer");
                self.active = false;
                Ok(())
            }
            (Command::Propose, true) => {
                info!(target: TARGET, "game demanded by admin_propose");
                self.demanded = true;
                match self.poll().await {
                    Some(
                        hold @ (Hold::NodeNotReady
                        | Hold::NodeSyncing { .. }
                        | Hold::Searching
                        | Hold::NotListed { .. }
                        | Hold::Replaced { .. }
                        | Hold::Resting),
                    ) => Err(format!("the game comes later: {hold}")),
                    _ => Ok(()),
                }
            }
        }
    }

    /// One look at the chains. Gives why no game was created, where that is known.
    async fn poll(&mut self) -> Option<Hold> {
        if let Err(failure) = self.look().await {
            self.report(failure);
            return None;
        }
        let hold = match self.consider().await {
            Ok(hold) => {
                if self.rollup_trouble.over() {
                    info!(target: TARGET, "the rollup node answers again");
                }
                hold
            }
            Err(failure) => {
                self.report(failure);
                None
            }
        };
        if let Some(reason) = hold
            && hold != self.hold
        {
            debug!(target: TARGET, %reason, "no game now");
        }
        self.hold = hold;
        let ledger = self.ledger.as_ref();
        let newest = ledger.and_then(Ledger::newest).map(|game| game.l2_block);
        self.recorder.state(newest, ledger.map_or(0, Ledger::unfinished));
        hold
    }

    /// Looks at L1: its tip, the factory's list, and the games that are due.
    async fn look(&mut self) -> Result<(), Failure> {
        let head = self.session.source.l1.head().await.map_err(ContractError::from)?;
        self.refuse_older(&head)?;
        let source = self.session.source.at(&head);
        let count = source.count().await?;
        let same_games = match &self.ledger {
            Some(ledger) if head.hash != self.head.hash => source.holds(ledger, count).await?,
            Some(_) => true,
            None => false,
        };
        (self.head, self.count) = (head, count);
        if !same_games {
            if self.ledger.is_some() {
                self.confirmed = None;
                warn!(target: TARGET, "games vanished from L1: reading the factory's list again");
                // The transactions that made them may be gone, and their nonces free again.
                self.session.tx_manager.resync().await;
            }
            let window = self.connector.config.game_window;
            (self.ledger, self.exists) = (Some(Ledger::new(window, count)), None);
        }
        self.read_list(&source, count).await?;
        if self.connector.config.resolve {
            self.look_after(&source).await;
        } else if let Some(ledger) = &mut self.ledger {
            ledger.forget_open();
        }
        if self.l1_trouble.over() {
            info!(target: TARGET, "L1 answers again");
        }
        Ok(())
    }

    /// Waits when L1 is at an older block than before: what a node that lags behind says of games
    /// would have them created and resolved twice.
    fn refuse_older(&mut self, head: &L1Head) -> Result<(), ContractError> {
        if head.number() >= self.head.number() || self.lagging >= LAG_PATIENCE {
            self.lagging = 0;
            return Ok(());
        }
        self.lagging += 1;
        let (before, now) = (self.head.number(), head.number());
        let reason = format!("its tip was block {before} and is block {now}");
        Err(self.session.source.l1.endpoint.error(reason).into())
    }

    /// Reads the next page of the factory's list.
    async fn read_list(&mut self, source: &Source, count: u64) -> Result<(), ContractError> {
        let Some(ledger) = &mut self.ledger else { return Ok(()) };
        let unread = ledger.unread(count).unwrap_or_default();
        if unread.is_empty() {
            return Ok(());
        }
        let now = self.head.timestamp();
        for entry in source.entries(unread).await? {
            ledger.saw(entry.index, entry.created_at, entry.own, now);
        }
        Ok(())
    }

    /// Does what is due for the games that are not finished. What can't be read of one, or not be
    /// tried out, holds up neither the others nor new games.
    async fn look_after(&mut self, source: &Source) {
        let now = self.head.timestamp().saturating_add(self.connector.config.lookahead);
        let Some(ledger) = &self.ledger else { return };
        let due = ledger.due(now, MAX_LOOKS);
        for (tracked, view) in source.views(due).await {
            match view {
                Ok(view) => self.advance(&tracked, &view, now).await,
                Err(error) => self.set_back(&tracked.game, "game can't be read", &error),
            }
        }
    }

    async fn advance(&mut self, tracked: &Tracked, view: &View, now: u64) {
        let game = tracked.game;
        let step = games::next_step(view, now);
        if let View::InProgress(view) = view
            && view.claims > 1
            && matches!(step, Step::Wait(_))
        {
            warn!(target: TARGET, game = %game.address, l2_block = game.l2_block,
                claims = view.claims, "a game of ours is disputed");
        }
        let Some(ledger) = &mut self.ledger else { return };
        match step {
            Step::Wait(until) => ledger.wait(&game, until),
            Step::Search(index) => ledger.resolved_from(&game, index),
            Step::Done(outcome) => {
                ledger.finished(&game);
                match outcome {
                    Outcome::Paid => debug!(target: TARGET, game = %game.address, "game finished"),
                    Outcome::Lost => error!(target: TARGET, game = %game.address,
                        l2_block = game.l2_block, "the challenger won, and the bond is lost"),
                }
                // What was over before the first look was counted by an earlier run.
                if outcome == Outcome::Lost && tracked.looked_at {
                    self.recorder.lost();
                }
            }
            Step::Act(action) => match self.session.source.transactions(tracked, action).await {
                Ok(candidates) => {
                    debug!(target: TARGET, game = %game.address, %action, "sending");
                    if let Some(ledger) = &mut self.ledger {
                        ledger.sent(&game);
                    }
                    self.send(Job::Game { game, action }, candidates);
                }
                Err(error) => {
                    self.set_back(&game, "transaction to a game was tried out and failed", &error);
                }
            },
        }
    }

    fn set_back(&mut self, game: &OwnGame, what: &str, error: &ContractError) {
        warn!(target: TARGET, game = %game.address, l2_block = game.l2_block, %error, "{what}");
        if let Some(ledger) = &mut self.ledger {
            ledger.failed(game, self.head.timestamp());
        }
    }

    /// Creates a game if one is due; gives why not.
    async fn consider(&mut self) -> Result<Option<Hold>, Failure> {
        if self.creating {
            return Ok(Some(Hold::UnderWay));
        }
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Ok(Some(Hold::Resting));
        }
        let status = client::sync_status(&self.connector.rollup).await.map_err(Failure::Rollup)?;
        let target = match self.target(&status) {
            Ok(target) => target,
            Err(hold) => return Ok(Some(hold)),
        };
        if let Some(hold) = self.judge(&target).await? {
            if matches!(hold, Hold::NothingNew { .. }) {
                self.demanded = false;
            }
            return Ok(Some(hold));
        }
        let output = output_at(&self.connector.rollup, target.number).await?;
        if output.block_hash != target.hash {
            return Ok(Some(Hold::Replaced { block: target.number }));
        }
        self.create(&target, &output).await
    }

    fn target(&mut self, status: &SyncStatus) -> Result<L2BlockRef, Hold> {
        if self.waits_for_sync && !status.head_l1.hash.is_zero() {
            (self.sync_target, self.waits_for_sync) = (Some(status.head_l1.number), false);
        }
        if self.waits_for_sync {
            return Err(Hold::NodeNotReady);
        }
        let target = rules::target(status, &self.connector.config.pace, self.sync_target)?;
        self.sync_target = None;
        Ok(target)
    }

    /// Why no game about this block is to be created now.
    async fn judge(&mut self, target: &L2BlockRef) -> Result<Option<Hold>, Failure> {
        let pace = self.connector.config.pace;
        let now = self.head.timestamp();
        let count = self.count;
        let Some(ledger) = self.ledger.as_ref().filter(|l| l.is_known(count, pace.interval, now))
        else {
            return Ok(Some(Hold::Searching));
        };
        let newest = ledger.newest().copied();
        if let Some((block, l1_block)) = self.confirmed {
            let listed = newest.is_some_and(|newest| newest.l2_block >= block);
            if !listed && self.head.number() < l1_block.saturating_add(LISTING_PATIENCE) {
                return Ok(Some(Hold::NotListed { block }));
            }
            self.confirmed = None;
        }
        let judge = |withdrawals| {
            rules::judge(target.number, newest.as_ref(), now, &pace, withdrawals, self.demanded)
        };
        let verdict = match (judge(None), newest) {
            (Verdict::AskWithdrawals, Some(newest)) => {
                let wait = self.withdrawals_wait(newest.l2_block, target.number).await?;
                rules::judge(target.number, Some(&newest), now, &pace, Some(wait), self.demanded)
            }
            (verdict, _) => verdict,
        };
        match verdict {
            Verdict::Hold(hold) => Ok(Some(hold)),
            // Nobody is left to be asked: what is due without withdrawals is not held back for them.
            Verdict::Propose | Verdict::AskWithdrawals if self.exists == Some(target.number) => {
                Ok(Some(Hold::Exists { block: target.number }))
            }
            Verdict::Propose | Verdict::AskWithdrawals => {
                let anchor = self.session.source.anchor().await?;
                Ok((target.number <= anchor).then_some(Hold::Anchored { anchor }))
            }
        }
    }

    /// Whether a game about block `target` would serve withdrawals that the one about block `newest`
    /// does not.
    async fn withdrawals_wait(&mut self, newest: u64, target: u64) -> Result<bool, Failure> {
        let rollup = &self.connector.rollup;
        let served = match self.roots.served {
            Some((block, root)) if block == newest => root,
            _ => output_at(rollup, newest.saturating_sub(1)).await?.withdrawals_root,
        };
        let now = match self.roots.now {
            Some((block, root)) if block == target => root,
            _ => output_at(rollup, target.saturating_sub(1)).await?.withdrawals_root,
        };
        self.roots = WithdrawalRoots { served: Some((newest, served)), now: Some((target, now)) };
        Ok(served != now)
    }

    /// Creates a game about this output, unless there is one.
    async fn create(
        &mut self,
        target: &L2BlockRef,
        output: &Output,
    ) -> Result<Option<Hold>, Failure> {
        let block = target.number;
        let candidate = match self.session.source.creation(block, output).await {
            Ok(Some(candidate)) => candidate,
            Ok(None) => {
                (self.exists, self.demanded) = (Some(block), false);
                return Ok(Some(Hold::Exists { block }));
            }
            Err(ContractError::Unavailable(error)) => {
                return Err(ContractError::from(error).into());
            }
            Err(error) => {
                self.rest();
                let reason = error.to_string();
                if self.refused.note(&reason) {
                    error!(target: TARGET, l2_block = block, reason, "L1 would refuse the game");
                }
                return Ok(Some(Hold::Resting));
            }
        };
        self.refused.over();
        debug!(target: TARGET, l2_block = block, root = %output.root, bond = %candidate.value,
            gas_limit = candidate.gas_limit, "creating a game");
        (self.creating, self.demanded) = (true, false);
        self.send(Job::Create { block }, vec![candidate]);
        Ok(None)
    }

    /// Waits ever longer after failures.
    fn rest(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let wait = backoff(self.failures, MAX_BACKOFF);
        self.retry_at = Some(Instant::now() + wait);
        wait
    }

    /// Sends transactions, in this order, and waits for all of them in the background.
    fn send(&mut self, job: Job, candidates: Vec<TxCandidate>) {
        let tx_manager = self.session.tx_manager.clone();
        let send = async move {
            let mut pending = Vec::with_capacity(candidates.len());
            for candidate in candidates {
                pending.push(tx_manager.send_async(candidate).await?);
            }
            let mut receipts = Vec::with_capacity(pending.len());
            for tx in pending {
                receipts.push(tx.confirmed().await?);
            }
            Ok(receipts)
        };
        self.jobs.push(send.map(move |result| (job, result)).boxed());
    }

    fn on_done(&mut self, job: Job, result: Result<Vec<TransactionReceipt>, TxError>) {
        let outcome = match &result {
            Ok(receipts) => match receipts.iter().find(|receipt| !receipt.status()) {
                Some(receipt) => Err(format!("{} reverted", receipt.transaction_hash)),
                None => Ok(receipts),
            },
            Err(error) => Err(error.to_string()),
        };
        if outcome.is_err() {
            self.recorder.failed();
        }
        match (job, outcome) {
            (Job::Create { block }, Ok(receipts)) => {
                (self.creating, self.failures, self.retry_at) = (false, 0, None);
                self.recorder.created();
                let game = receipts.iter().find_map(|receipt| self.created_game(receipt));
                let l1_block = receipts.first().and_then(|receipt| receipt.block_number);
                self.confirmed = Some((block, l1_block.unwrap_or(self.head.number())));
                info!(target: TARGET, l2_block = block, l1_block,
                    game = game.map(|game| game.to_string()), "game created");
            }
            (Job::Create { block }, Err(error)) => {
                self.creating = false;
                let retry_in = self.rest();
                warn!(target: TARGET, l2_block = block, error, ?retry_in, "game not created");
            }
            (Job::Game { game, action }, Ok(_)) => {
                if let Some(ledger) = &mut self.ledger {
                    ledger.done(&game);
                }
                match action {
                    Action::ResolveWhole | Action::Resolve => self.recorder.resolved(),
                    Action::Withdraw(wei) => self.recorder.paid(wei),
                    Action::ResolveClaim(_) | Action::Close | Action::Unlock(_) => {}
                }
                info!(target: TARGET, game = %game.address, l2_block = game.l2_block, %action,
                    "game: transaction confirmed");
            }
            (Job::Game { game, action }, Err(error)) => {
                if let Some(ledger) = &mut self.ledger {
                    ledger.failed(&game, self.head.timestamp());
                }
                warn!(target: TARGET, game = %game.address, l2_block = game.l2_block, %action, error,
                    "game: transaction failed");
            }
        }
    }

    /// The game that a transaction to the factory created.
    fn created_game(&self, receipt: &TransactionReceipt) -> Option<Address> {
        let logs =
            receipt.inner.logs().iter().filter(|log| log.address() == self.session.source.factory);
        let mut created = logs
            .filter_map(|log| IDisputeGameFactory::DisputeGameCreated::decode_log(&log.inner).ok());
        created.next().map(|log| log.data.disputeProxy)
    }

    fn report(&mut self, failure: Failure) {
        let (trouble, what, reason) = match failure {
            Failure::L1(error) => (&mut self.l1_trouble, "L1 does not answer", error.to_string()),
            Failure::Rollup(error) => {
                (&mut self.rollup_trouble, "the rollup node does not answer", error.to_string())
            }
        };
        if trouble.note(&reason) {
            warn!(target: TARGET, reason, "{what}");
        }
    }
}

async fn output_at(rollup: &Endpoint, number: u64) -> Result<Output, Failure> {
    client::output_at(rollup, number).await.map_err(Failure::Rollup)
}

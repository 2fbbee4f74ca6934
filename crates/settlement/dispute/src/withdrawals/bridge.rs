//! Follows withdrawals over both chains: reads, lets the rules decide, makes the calls.

use std::collections::VecDeque;

use alloy_primitives::{Address, B256, U256};
use futures::try_join;
use opal_protocol::DepositTransaction;
use opal_protocol::contracts::IOptimismPortal::{
    WithdrawalTransaction, finalizeWithdrawalTransactionExternalProofCall,
    proveWithdrawalTransactionCall,
};
use opal_protocol::deposit::{TRANSACTION_DEPOSITED, decode_deposit_log};
use opal_protocol::predeploys::L2_CROSS_DOMAIN_MESSENGER;

use super::games::{Game, GameStatus, Objection, worth_trying};
use super::l1::{Head, L1};
use super::l2::{L2, L2Receipt};
use super::message::message_hash;
use super::proof::{self, WithdrawalProof};
use super::report::{Action, Next, Rejected, Report, duration};
use super::status::{Assessment, Clocks, Facts, Proof, Status};
use super::transfers::Call;
use super::{BridgeError, Withdrawal};

/// Games in one request.
const PAGE: u64 = 50;
/// Most games that are looked through for one that holds the withdrawal.
const MAX_GAMES: u64 = 500;
/// Most games whose claim is compared with L2.
const MAX_TRIES: usize = 20;

/// A withdrawal and where L2 made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The withdrawal.
    pub withdrawal: Withdrawal,
    /// The L2 transaction.
    pub transaction: B256,
    /// Its block.
    pub block: u64,
}

/// A deposit that a transaction of L1 made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// The transaction that it becomes on L2.
    pub hash: B256,
    /// The message that it carries, if the messengers sent it.
    pub message: Option<Message>,
}

/// A message on its way to L2's messenger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What the messengers know it by.
    pub hash: B256,
    /// The call on L2 that relays it again, once it has failed.
    pub relay: Call,
}

impl Deposit {
    fn new(deposit: &DepositTransaction) -> Self {
        let to_messenger = deposit.to.to() == Some(&L2_CROSS_DOMAIN_MESSENGER);
        let hash = message_hash(&deposit.input).filter(|_| to_messenger);
        let data = deposit.input.clone();
        // Ether that came along waits at the messenger.
        let relay = Call { to: L2_CROSS_DOMAIN_MESSENGER, value: U256::ZERO, data };
        Self { hash: deposit.tx_hash(), message: hash.map(|hash| Message { hash, relay }) }
    }
}

/// A chain's portal on L1 and, for what needs it, a node of its L2.
#[derive(Clone, Debug)]
pub struct WithdrawalBridge {
    l1: L1,
    l2: Option<L2>,
}

/// What came of the search for a game.
struct Search {
    /// The game and the proof against it.
    found: Option<(Game, WithdrawalProof)>,
    newest: Option<u64>,
    rejected: Vec<Rejected>,
    /// The L2 block of a game that the L2 node does not have.
    missing: Option<u64>,
    /// A game that holds the withdrawal, but is of the second of the L1 head.
    young: Option<u64>,
}

impl WithdrawalBridge {
    /// Makes one of connected nodes.
    pub const fn new(l1: L1, l2: Option<L2>) -> Self {
        Self { l1, l2 }
    }

    /// L1.
    pub const fn l1(&self) -> &L1 {
        &self.l1
    }

    /// L2, which is needed for `purpose`.
    ///
    /// # Errors
    /// When there is no node.
    pub fn l2(&self, purpose: &'static str) -> Result<&L2, BridgeError> {
        self.l2.as_ref().ok_or(BridgeError::NeedsL2(purpose))
    }

    /// The deposits in an L1 transaction, in order.
    ///
    /// # Errors
    /// When L1 does not answer, or does not know the transaction.
    pub async fn deposits_of(&self, transaction: B256) -> Result<Vec<Deposit>, BridgeError> {
        let receipt = self.l1.receipt(transaction).await?;
        let receipt = receipt.ok_or(BridgeError::UnknownTransaction(transaction))?;
        let portal = self.l1.contracts().portal;
        let deposits = receipt.inner.logs().iter().filter_map(|log| {
            let ours = log.inner.address == portal
                && log.inner.topics().first() == Some(&TRANSACTION_DEPOSITED);
            let (block, index) = (log.block_hash?, log.log_index?);
            let deposit = decode_deposit_log(&log.inner, block, index);
            ours.then_some(deposit)?.ok()
        });
        Ok(deposits.map(|deposit| Deposit::new(&deposit)).collect())
    }

    /// Whether L2's messenger made the call of a deposited message; as [`L1::message`].
    ///
    /// # Errors
    /// When L2 does not answer.
    pub async fn arrived(&self, message: &Message) -> Result<Option<bool>, BridgeError> {
        self.l2("see whether the message went through")?.message(message.hash).await
    }

    /// Finds a withdrawal by the transaction that made it: one of L2, or one of L1 that forced it.
    /// `index` counts the withdrawals of the transaction from 0.
    ///
    /// # Errors
    /// When there is none, or a node does not answer.
    pub async fn locate(&self, transaction: B256, index: usize) -> Result<Located, BridgeError> {
        let l2 = self.l2("find the withdrawal")?;
        let mut receipts: Vec<L2Receipt> = Vec::new();
        if let Some(receipt) = l2.receipt(transaction).await? {
            if receipt.status.is_zero() {
                return Err(BridgeError::FailedTransaction(transaction));
            }
            receipts.push(receipt);
        } else {
            for deposit in self.deposits_of(transaction).await? {
                let hash = deposit.hash;
                let receipt = l2.receipt(hash).await?;
                let receipt = receipt.ok_or(BridgeError::UnknownTransaction(hash))?;
                if receipt.status.is_zero() {
                    return Err(BridgeError::FailedTransaction(hash));
                }
                receipts.push(receipt);
            }
        }
        let mut all = Vec::new();
        for receipt in receipts {
            let (transaction, block) = (receipt.transaction_hash, receipt.block_number.to());
            let withdrawals = Withdrawal::in_logs(&receipt.logs())?;
            all.extend(withdrawals.into_iter().map(|withdrawal| Located {
                withdrawal,
                transaction,
                block,
            }));
        }
        let count = all.len();
        if count == 0 {
            return Err(BridgeError::NoWithdrawal(transaction));
        }
        let error = BridgeError::NoSuchWithdrawal { transaction, count, index };
        all.into_iter().nth(index).ok_or(error)
    }

    /// Where a withdrawal is, and what comes next. The proofs of `submitters` are looked at
    /// whatever others submit.
    ///
    /// # Errors
    /// When a node does not answer, or gives a wrong proof.
    pub async fn report(
        &self,
        located: &Located,
        submitters: &[Address],
    ) -> Result<Report, BridgeError> {
        let head = self.l1.head().await?;
        let hash = located.withdrawal.hash();
        let (paused, finalized, delays, proofs) = try_join!(
            self.l1.paused(head),
            self.l1.finalized(hash, head),
            self.l1.delays(head),
            self.l1.proofs(hash, submitters, head),
        )?;
        let facts = Facts { now: head.timestamp, finalized, delays, proofs };
        let report = Report {
            status: Status::Finalized,
            withdrawal_hash: hash,
            withdrawal: located.withdrawal.clone(),
            l2_transaction: located.transaction,
            l2_block: located.block,
            l1_block: head.number,
            l1_time: head.timestamp,
            paused,
            delays,
            proof: None,
            clocks: None,
            game: None,
            newest_game_block: None,
            rejected: Vec::new(),
            invalidated: None,
            delivered: None,
            next: None,
            note: String::new(),
        };
        match facts.assess() {
            Assessment::Finalized => self.finalized(report, head).await,
            Assessment::Ready(proof, clocks) => {
                let call = self.finalization(&report.withdrawal, proof.submitter);
                Ok(ready(report, call, proof, clocks))
            }
            Assessment::Waiting(proof, clocks) => Ok(waiting(report, proof, clocks)),
            Assessment::Unproven(struck) => {
                self.unproven(report, struck.map(|(_, objection)| objection), head).await
            }
        }
    }

    /// The call that finalizes a withdrawal by somebody's proof. It counts whoever sends it.
    pub(super) fn finalization(&self, withdrawal: &Withdrawal, submitter: Address) -> Call {
        let call = finalizeWithdrawalTransactionExternalProofCall {
            _tx: WithdrawalTransaction::from(withdrawal),
            _proofSubmitter: submitter,
        };
        Call::new(self.l1.contracts().portal, U256::ZERO, &call)
    }

    async fn finalized(&self, mut report: Report, head: Head) -> Result<Report, BridgeError> {
        report.note = "the portal has made the withdrawal's call".to_owned();
        let messenger = self.l1.contracts().bridges.messenger;
        let message = report.withdrawal.message_hash();
        let Some(message) = message.filter(|_| report.withdrawal.target == messenger) else {
            return Ok(report);
        };
        report.delivered = self.l1.message(message, head).await?;
        if report.delivered == Some(false) {
            // The ether waits at the messenger: the call needs none.
            let (to, data) = (messenger, report.withdrawal.data.clone());
            let call = Call { to, value: U256::ZERO, data };
            report.next = Some(Next { action: Action::Relay, call });
            report.note = "finalized, but the message's call failed on L1; it can be relayed again"
                .to_owned();
        }
        Ok(report)
    }

    async fn unproven(
        &self,
        mut report: Report,
        invalidated: Option<Objection>,
        head: Head,
    ) -> Result<Report, BridgeError> {
        report.invalidated = invalidated;
        report.status = Status::WaitingToProve;
        let (withdrawal, block) = (&report.withdrawal, report.l2_block);
        let search = self.find_game(withdrawal, block, head).await?;
        report.newest_game_block = search.newest;
        report.rejected = search.rejected;
        let Some((game, proof)) = search.found else {
            report.note = match (report.newest_game_block, search.young, search.missing) {
                (None, ..) => "no game of the respected type is there yet".to_owned(),
                (_, Some(young), _) => format!(
                    "game {young} holds the withdrawal; it can be proven from the next L1 block on"
                ),
                (Some(newest), ..) if newest < block => {
                    format!("games reach L2 block {newest}, the withdrawal is in {block}")
                }
                (.., Some(missing)) => {
                    format!("the L2 node does not have block {missing}, which a game is about")
                }
                _ => "no game that reaches the withdrawal's L2 block is valid".to_owned(),
            };
            return Ok(report);
        };
        let call = proveWithdrawalTransactionCall {
            _tx: WithdrawalTransaction::from(withdrawal),
            _disputeGameIndex: U256::from(game.index),
            _outputRootProof: proof.output_root_proof(),
            _withdrawalProof: proof.storage,
        };
        let action = if invalidated.is_some() { Action::ProveAgain } else { Action::Prove };
        let call = Call::new(self.l1.contracts().portal, U256::ZERO, &call);
        report.status = Status::ReadyToProve;
        report.note = match invalidated {
            Some(objection) => format!("the game of the last proof does not count: {objection}"),
            None => format!("game {} holds the withdrawal", game.index),
        };
        if report.paused {
            report.note = "the chain is paused: nothing can be proven now".to_owned();
        }
        report.next = Some(Next { action, call });
        report.game = Some(game);
        Ok(report)
    }

    /// Looks for the best game that holds the withdrawal.
    async fn find_game(
        &self,
        withdrawal: &Withdrawal,
        block: u64,
        head: Head,
    ) -> Result<Search, BridgeError> {
        let mut search =
            Search { found: None, newest: None, rejected: Vec::new(), missing: None, young: None };
        let Some((mut start, game_type)) = self.l1.games_end(head).await? else {
            return Ok(search);
        };
        let mut games = Vec::new();
        let mut seen = 0;
        while seen < MAX_GAMES {
            let page = self.l1.games(game_type, start, PAGE, head).await?;
            seen += PAGE;
            let full = page.len() as u64 == PAGE;
            let page: Vec<Game> = page.into_iter().flatten().collect();
            search.newest = search.newest.max(page.iter().map(|game| game.l2_block).max());
            let reaches = page.iter().any(|game| game.l2_block >= block);
            let oldest = page.last().map(|game| game.index);
            games.extend(page);
            // The list goes on for years; it is in the order of time, and nearly in that of L2.
            match oldest.and_then(|index| index.checked_sub(1)) {
                Some(next) if full && reaches => start = U256::from(next),
                _ => break,
            }
        }
        let l2 = self.l2("compute output roots and proofs")?;
        let young =
            games.iter().find(|game| game.l2_block >= block && game.created_at >= head.timestamp);
        search.young = young.map(|game| game.index);
        let mut games = VecDeque::from(worth_trying(games, block, head.timestamp));
        let mut unavailable = None;
        for _ in 0..MAX_TRIES {
            // A node without old states can still know those of the newest game.
            let game = match unavailable {
                None => games.pop_front(),
                Some(_) => games.pop_back(),
            };
            let Some(game) = game else { break };
            let reject = |reason| Rejected { index: game.index, game: game.address, reason };
            let standing = self.l1.standing(game.address, head).await?;
            if let Some(objection) = standing.objection() {
                search.rejected.push(reject(objection));
                continue;
            }
            let Some(state) = l2.state(game.l2_block).await? else {
                // The node is behind, or the game is about a block that will never be.
                search.missing = Some(game.l2_block);
                continue;
            };
            let answer = match l2.proof(withdrawal.slot(), game.l2_block).await {
                Ok(answer) => answer,
                Err(error) if error.is_temporary() => {
                    unavailable.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if proof::output_of(&state, &answer)?.root() != game.root_claim {
                search.rejected.push(reject(Objection::WrongRoot));
                continue;
            }
            search.found = Some((game, proof::check(withdrawal, &state, &answer)?));
            return Ok(search);
        }
        match unavailable {
            Some(error) => Err(error),
            None => Ok(search),
        }
    }
}

/// All delays are over.
fn ready(mut report: Report, call: Call, proof: Proof, clocks: Clocks) -> Report {
    report.status = Status::ReadyToFinalize;
    report.note = match report.paused {
        true => "the chain is paused: nothing can be finalized now".to_owned(),
        false => "both delays are over".to_owned(),
    };
    report.next = Some(Next { action: Action::Finalize, call });
    (report.proof, report.clocks) = (Some(proof), Some(clocks));
    report
}

/// A delay is not over.
fn waiting(mut report: Report, proof: Proof, clocks: Clocks) -> Report {
    report.status = Status::WaitingToFinalize;
    let mut reasons = Vec::new();
    if let Some(left @ 1..) = clocks.proof_maturity.left {
        reasons.push(format!("the proof matures in {}", duration(left)));
    }
    let resolved = proof.standing.status != GameStatus::InProgress;
    match clocks.game.left {
        Some(0) => {}
        Some(left) if resolved => {
            reasons.push(format!("the game's airgap ends in {}", duration(left)));
        }
        Some(left) => reasons.push(format!(
            "the game is not resolved and counts in {} at the earliest",
            duration(left)
        )),
        None => reasons.push("the game is not resolved".to_owned()),
    }
    report.note = reasons.join("; ");
    (report.proof, report.clocks) = (Some(proof), Some(clocks));
    report
}

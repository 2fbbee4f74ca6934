//! The deployment sent as transactions to an external L1.

mod reads;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U256, address, bytes};
use alloy_provider::{DynProvider, Provider};
use alloy_rpc_types_eth::{Block, TransactionInput, TransactionReceipt, TransactionRequest};
use opal_service::http::error_text;
use opal_service::keys::Key;
use opal_service::tx_manager::fees::FeeLimits;
use opal_service::tx_manager::{PendingTx, TxCandidate, TxError, TxManager, TxManagerConfig};

pub use reads::{Finding, chain_id, done, start_block, verify};
use reads::{read, request};

use crate::steps::{CREATE2_PROXY, Plan, Step};

/// How long L1 may stand still, or leave a transaction lying, before the deployment gives up.
const MINING_DEADLINE: Duration = Duration::from_secs(600);
/// How long transactions of an earlier run are waited for before they are replaced.
const LEFTOVERS_DEADLINE: Duration = Duration::from_secs(30);
/// Time between two looks at L1.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The most gas that a transaction may have. EIP-7825.
const GAS_CAP: u64 = 1 << 24;

/// The account whose one transaction, signed by nobody's key, creates the deterministic deployment
/// proxy on any chain.
const CREATE2_PROXY_SENDER: Address = address!("3fab184622dc19b6109349b94811493bf2a45362");
/// What that transaction costs, in wei.
const CREATE2_PROXY_COST: u64 = 10_000_000_000_000_000;
/// That transaction.
const CREATE2_PROXY_TRANSACTION: Bytes = bytes!(
    "f8a58085174876e800830186a08080b853604580600e600039806000f350fe7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf31ba02222222222222222222222222222222222222222222222222222222222222222a02222222222222222222222222222222222222222222222222222222222222222"
);

/// Why a deployment on an external L1 failed. It can be started again: what was done is skipped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionsError {
    /// The endpoint serves another chain than the intent's.
    #[error("the L1 endpoint serves chain {found}, the intent is for chain {expected}")]
    WrongChain {
        /// Chain id of the endpoint.
        found: u64,
        /// Chain id of the intent.
        expected: u64,
    },
    /// The L1 did not answer a request.
    #[error("L1 request failed while deployment tried to {doing}: {reason}")]
    Request {
        /// What the request was for.
        doing: &'static str,
        /// What the transport or the L1 says.
        reason: String,
    },
    /// The L1 would not take or not execute a step.
    #[error("deployment step \"{step}\" failed: {reason}")]
    Step {
        /// Name of the step.
        step: String,
        /// What the L1 says.
        reason: String,
    },
    /// Nothing of the deployment is on L1.
    #[error(
        "there is no SystemConfig at {0} on this L1: the deployment was not begun there, or another account or intent began it"
    )]
    NotDeployed(Address),
    /// Something is not as the intent wants it: the contracts are of another intent.
    #[error(
        "on L1, {what} is {found}, the intent wants {expected}; choose another salt for a new deployment, or an intent that fits"
    )]
    Check {
        /// What was looked at.
        what: String,
        /// What it is.
        found: Bytes,
        /// What it must be.
        expected: Bytes,
    },
}

/// News of a deployment under way.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Name of the step.
    pub step: &'a str,
    /// Steps of the plan that are done now, this one included if it is.
    pub done: usize,
    /// Steps of the plan.
    pub of: usize,
    /// What happened to it.
    pub event: Event,
}

/// What happened to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It had been done before.
    AlreadyDone,
    /// Its transaction is on the way.
    Sent {
        /// Hash of the first attempt; one with higher fees has another.
        transaction: B256,
    },
    /// Its transaction is in a block.
    Done {
        /// Hash of the transaction.
        transaction: B256,
        /// Gas that it used.
        gas_used: u64,
        /// What it cost, in wei.
        cost: U256,
    },
}

/// Takes the news of a deployment.
pub type Observer<'a> = &'a mut (dyn FnMut(Progress<'_>) + Send);

/// Sends a deployment's steps from one account.
pub struct Deployer<'a> {
    provider: &'a DynProvider,
    sender: TxManager,
    observer: Observer<'a>,
    done: usize,
    of: usize,
    /// Number of the newest block known to hold one of its transactions.
    mined_in: u64,
}

impl<'a> Deployer<'a> {
    /// Makes an L1 ready for the steps of a plan: what an earlier run left behind is in blocks, and
    /// the deterministic deployment proxy is there.
    ///
    /// # Errors
    /// If the L1 does not answer, or refuses to create the proxy.
    pub async fn new(
        provider: &'a DynProvider,
        key: &Key,
        plan: &Plan,
        observer: Observer<'a>,
    ) -> Result<Self, TransactionsError> {
        let config = TxManagerConfig {
            confirmations: 1,
            resubmission_interval: Duration::from_secs(36),
            poll_interval: POLL_INTERVAL,
            send_timeout: Some(MINING_DEADLINE),
            max_pending: 16,
            // L1 knows its market: nothing is added to what it asks for.
            fees: FeeLimits {
                min_tip: 1_000_000,
                min_base_fee: 1_000_000,
                ..TxManagerConfig::default().fees
            },
        };
        let sender = TxManager::new(provider.clone(), key.clone(), config).await;
        let sender = sender.map_err(|error| TransactionsError::Request {
            doing: "read the chain id",
            reason: error.to_string(),
        })?;
        let of = plan.steps().count();
        let mut this = Self { provider, sender, observer, done: 0, of, mined_in: 0 };
        this.wait_for_leftovers().await?;
        this.ensure_create2_proxy().await?;
        Ok(this)
    }

    /// Does what is still to be done of the steps, in order.
    ///
    /// # Errors
    /// On the first step that fails, by its name.
    pub async fn run(&mut self, steps: &[Step]) -> Result<(), TransactionsError> {
        for steps in steps.chunk_by(|a, b| a.wave == b.wave) {
            let mut sent = Vec::new();
            for step in steps {
                if self.is_done(step).await? {
                    self.finished(&step.name, Event::AlreadyDone);
                    continue;
                }
                match self.send(&step.name, step.to, U256::ZERO, step.data.clone()).await {
                    Ok(pending) => sent.push((step, pending)),
                    // What an earlier run had sent may have come in between.
                    Err(_) if self.is_done(step).await? => {
                        self.finished(&step.name, Event::AlreadyDone);
                    }
                    Err(error) => return Err(error),
                }
            }
            for (step, pending) in sent {
                match self.mined(&step.name, pending).await {
                    Ok(event) => self.finished(&step.name, event),
                    Err(_) if self.is_done(step).await? => {
                        self.finished(&step.name, Event::AlreadyDone);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Sends ether to accounts, named by the step, that have less than their balance shall be.
    ///
    /// # Errors
    /// If the L1 does not answer or refuses.
    pub async fn top_up(
        &mut self,
        accounts: &[(&str, Address, U256)],
    ) -> Result<(), TransactionsError> {
        let mut sent = Vec::new();
        for (step, to, balance) in accounts {
            let has = request("read a balance", self.provider.get_balance(*to).latest().await)?;
            let missing = balance.saturating_sub(has);
            if !missing.is_zero() {
                sent.push((step, self.send(step, *to, missing, Bytes::new()).await?));
            }
        }
        for (step, pending) in sent {
            let event = self.mined(step, pending).await?;
            self.tell(step, event);
        }
        Ok(())
    }

    /// Waits until `confirmations` blocks stand on a block, itself counted.
    ///
    /// # Errors
    /// If the L1 does not answer or stands still.
    pub async fn confirm(&self, number: u64, confirmations: u64) -> Result<(), TransactionsError> {
        let wanted = number.saturating_add(confirmations.saturating_sub(1));
        let mut newest = 0;
        let mut moved = Instant::now();
        loop {
            let head = request("read the block number", self.provider.get_block_number().await)?;
            if head >= wanted {
                return Ok(());
            }
            if head > newest {
                (newest, moved) = (head, Instant::now());
            }
            if moved.elapsed() > MINING_DEADLINE {
                let reason = format!(
                    "it stays at block {newest}, {confirmations} confirmations of block {number} do not come"
                );
                return Err(TransactionsError::Request { doing: "see blocks confirmed", reason });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// The newest block. An endpoint of several machines may answer from one that has not seen the
    /// deployment yet; that one is waited for.
    ///
    /// # Errors
    /// If the L1 does not answer or stands still.
    pub async fn newest_block(&self) -> Result<Block, TransactionsError> {
        const DOING: &str = "read the newest block";
        let start = Instant::now();
        loop {
            let latest = self.provider.get_block_by_number(BlockNumberOrTag::Latest).await;
            match request(DOING, latest)? {
                Some(block) if block.header.number >= self.mined_in => return Ok(block),
                _ if start.elapsed() > MINING_DEADLINE => {
                    let reason = format!("it stays below block {}", self.mined_in);
                    return Err(TransactionsError::Request { doing: DOING, reason });
                }
                _ => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }

    /// Whether a step has been done, in the newest block.
    async fn is_done(&self, step: &Step) -> Result<bool, TransactionsError> {
        let block = BlockId::hash(self.newest_block().await?.header.hash);
        Ok(read(self.provider, &step.done.query, block).await? == step.done.expected)
    }

    /// Signs and sends one transaction. Its gas is what L1 estimates, with a margin for state that
    /// changes until it is mined.
    async fn send(
        &mut self,
        step: &str,
        to: Address,
        value: U256,
        data: Bytes,
    ) -> Result<PendingTx, TransactionsError> {
        let failed = |reason| TransactionsError::Step { step: step.to_owned(), reason };
        let call = TransactionRequest::default()
            .from(self.sender.address())
            .to(to)
            .value(value)
            .input(TransactionInput::both(data.clone()));
        let gas = self.provider.estimate_gas(call).block(BlockId::latest()).await;
        let gas = gas.map_err(|e| failed(error_text(&e)))?;
        if gas > GAS_CAP {
            return Err(failed(format!("it takes {gas} gas, a transaction may have {GAS_CAP}")));
        }
        let gas_limit = Some(gas.saturating_add(gas / 5).min(GAS_CAP));
        let candidate = TxCandidate { to: Some(to), data, value, blobs: Vec::new(), gas_limit };
        let pending = self.sender.send_async(candidate).await;
        let pending = pending.map_err(|error: TxError| failed(error.to_string()))?;
        self.tell(step, Event::Sent { transaction: pending.first_hash });
        Ok(pending)
    }

    /// Waits until a transaction is in a block and demands that it succeeded.
    async fn mined(&mut self, step: &str, pending: PendingTx) -> Result<Event, TransactionsError> {
        let failed = |reason| TransactionsError::Step { step: step.to_owned(), reason };
        let receipt = pending.confirmed().await.map_err(|error| failed(error.to_string()))?;
        self.mined_in = self.mined_in.max(receipt.block_number.unwrap_or_default());
        match receipt.status() {
            true => Ok(mined_event(&receipt)),
            false => Err(failed(format!("transaction {} reverted", receipt.transaction_hash))),
        }
    }

    fn finished(&mut self, step: &str, event: Event) {
        self.done += 1;
        self.tell(step, event);
    }

    fn tell(&mut self, step: &str, event: Event) {
        (self.observer)(Progress { step, done: self.done, of: self.of, event });
    }

    /// Waits for transactions that an earlier run sent and did not see in a block. Those that stay
    /// in the pool are replaced later: a nonce is used once.
    async fn wait_for_leftovers(&self) -> Result<(), TransactionsError> {
        let account = self.sender.address();
        let start = Instant::now();
        while start.elapsed() < LEFTOVERS_DEADLINE {
            let mined = self.provider.get_transaction_count(account).latest().await;
            let mined = request("read the deployer's nonce", mined)?;
            let pending = self.provider.get_transaction_count(account).pending().await;
            if request("read the deployer's nonce", pending)? <= mined {
                return Ok(());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        tracing::warn!(target: "opal::governance", %account,
            "transactions of the deployer stay in the pool; they are replaced");
        Ok(())
    }

    /// Creates the deterministic deployment proxy on an L1 that has none.
    async fn ensure_create2_proxy(&mut self) -> Result<(), TransactionsError> {
        const STEP: &str = "create the deterministic deployment proxy";
        let code = self.provider.get_code_at(CREATE2_PROXY).latest().await;
        if !request("read code", code)?.is_empty() {
            return Ok(());
        }
        let cost = U256::from(CREATE2_PROXY_COST);
        self.top_up(&[(STEP, CREATE2_PROXY_SENDER, cost)]).await?;
        let failed = |reason| TransactionsError::Step { step: STEP.to_owned(), reason };
        let sent = self.provider.send_raw_transaction(&CREATE2_PROXY_TRANSACTION).await;
        let hash = *sent.map_err(|e| failed(error_text(&e)))?.tx_hash();
        let start = Instant::now();
        loop {
            let receipt = self.provider.get_transaction_receipt(hash).await;
            match request("wait for a receipt", receipt)? {
                Some(receipt) if receipt.status() => {
                    self.mined_in = self.mined_in.max(receipt.block_number.unwrap_or_default());
                    self.tell(STEP, mined_event(&receipt));
                    return Ok(());
                }
                Some(_) => return Err(failed(format!("transaction {hash} reverted"))),
                None if start.elapsed() > MINING_DEADLINE => {
                    let seconds = MINING_DEADLINE.as_secs();
                    return Err(failed(format!(
                        "transaction {hash} was not mined within {seconds} s; check that the L1 produces blocks and takes transactions of before EIP-155, and start again"
                    )));
                }
                None => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }
}

impl Drop for Deployer<'_> {
    /// Nobody is left to hear of transactions that are still on the way.
    fn drop(&mut self) {
        self.sender.close();
    }
}

fn mined_event(receipt: &TransactionReceipt) -> Event {
    Event::Done {
        transaction: receipt.transaction_hash,
        gas_used: receipt.gas_used,
        cost: U256::from(receipt.gas_used).saturating_mul(U256::from(receipt.effective_gas_price)),
    }
}

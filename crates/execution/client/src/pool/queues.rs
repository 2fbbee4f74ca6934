//! Per-sender nonce queues and the limits that keep them bounded.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use alloy_consensus::{Transaction, Typed2718};
use alloy_primitives::{Address, B256, U256};

use super::{PoolConfig, PoolError, PooledTransaction};

/// A transaction and when it came: ties in the tip are broken in favour of the older one.
#[derive(Debug)]
pub(super) struct Entry {
    pub tx: PooledTransaction,
    /// The most it can cost, L1 and operator fees as of its arrival included.
    pub cost: U256,
    pub sequence: u64,
}

impl Entry {
    fn nonce(&self) -> u64 {
        self.tx.tx().nonce()
    }
}

/// One sender's transactions by nonce.
pub(super) type Account = BTreeMap<u64, Arc<Entry>>;

/// All transactions of the pool.
#[derive(Debug, Default)]
pub(super) struct Queues {
    accounts: HashMap<Address, Account>,
    by_hash: HashMap<B256, Arc<Entry>>,
    bytes: usize,
    blobs: usize,
    next_sequence: u64,
}

impl Queues {
    pub fn get(&self, hash: &B256) -> Option<&Arc<Entry>> {
        self.by_hash.get(hash)
    }

    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    pub const fn accounts(&self) -> &HashMap<Address, Account> {
        &self.accounts
    }

    /// The unbroken run of transactions that starts at the account's next nonce.
    pub fn run(&self, sender: Address, nonce: u64) -> impl Iterator<Item = &Arc<Entry>> {
        self.accounts
            .get(&sender)
            .into_iter()
            .flat_map(move |account| account.range(nonce..))
            .enumerate()
            .take_while(move |(i, (n, _))| nonce.checked_add(*i as u64) == Some(**n))
            .map(|(_, (_, entry))| entry)
    }

    /// The first nonce after the unbroken run.
    pub fn next_nonce(&self, sender: Address, nonce: u64) -> u64 {
        nonce.saturating_add(self.run(sender, nonce).count() as u64)
    }

    /// Inserts a valid transaction: replaces the one with the same nonce when it pays enough more,
    /// and makes room when the pool is full. Returns what had to leave.
    pub fn insert(
        &mut self,
        tx: PooledTransaction,
        account_nonce: u64,
        balance: U256,
        cost: U256,
        base_fee: u64,
        config: &PoolConfig,
    ) -> Result<Vec<B256>, PoolError> {
        if self.by_hash.contains_key(&tx.hash()) {
            return Err(PoolError::AlreadyKnown);
        }
        let (sender, nonce) = (tx.sender(), tx.tx().nonce());
        let mut removed = Vec::new();
        let replaced = self.accounts.get(&sender).and_then(|account| account.get(&nonce)).cloned();
        match &replaced {
            Some(old) => check_replacement(&old.tx, &tx)?,
            None => self.check_account_limits(&tx, account_nonce, config)?,
        }
        self.check_funds(sender, nonce, balance, cost)?;
        match replaced {
            Some(old) => {
                self.remove(&old.tx.hash());
                removed.push(old.tx.hash());
            }
            None => removed = self.make_room(&tx, account_nonce, base_fee, config)?,
        }
        self.put(Arc::new(Entry { tx, cost, sequence: self.next_sequence }));
        self.next_sequence += 1;
        Ok(removed)
    }

    fn put(&mut self, entry: Arc<Entry>) {
        self.bytes += entry.tx.raw().len();
        self.blobs += entry.tx.blob_count();
        let account = self.accounts.entry(entry.tx.sender()).or_default();
        account.insert(entry.nonce(), entry.clone());
        self.by_hash.insert(entry.tx.hash(), entry);
    }

    pub fn remove(&mut self, hash: &B256) -> Option<Arc<Entry>> {
        let entry = self.by_hash.remove(hash)?;
        self.bytes = self.bytes.saturating_sub(entry.tx.raw().len());
        self.blobs = self.blobs.saturating_sub(entry.tx.blob_count());
        let sender = entry.tx.sender();
        if let Some(account) = self.accounts.get_mut(&sender) {
            account.remove(&entry.nonce());
            if account.is_empty() {
                self.accounts.remove(&sender);
            }
        }
        Some(entry)
    }

    fn check_account_limits(
        &self,
        tx: &PooledTransaction,
        account_nonce: u64,
        config: &PoolConfig,
    ) -> Result<(), PoolError> {
        let next = self.next_nonce(tx.sender(), account_nonce);
        let nonce = tx.tx().nonce();
        if nonce > next {
            if tx.tx().is_eip4844() {
                return Err(PoolError::NonceTooHigh { next, tx: nonce });
            }
            let queued =
                self.accounts.get(&tx.sender()).map_or(0, |account| account.range(next..).count());
            if queued >= config.max_queued_per_account {
                return Err(PoolError::AccountLimit);
            }
        }
        let all = self.accounts.get(&tx.sender()).map_or(0, |account| account.len());
        if all >= config.max_per_account { Err(PoolError::AccountLimit) } else { Ok(()) }
    }

    /// The account must be able to pay for everything it holds up to and including this nonce.
    fn check_funds(
        &self,
        sender: Address,
        nonce: u64,
        balance: U256,
        cost: U256,
    ) -> Result<(), PoolError> {
        let Some(account) = self.accounts.get(&sender) else { return Ok(()) };
        let queued = account
            .range(..nonce)
            .fold(U256::ZERO, |sum, (_, entry)| sum.saturating_add(entry.cost));
        if queued.saturating_add(cost) > balance {
            return Err(PoolError::InsufficientFundsQueued { balance, queued, cost });
        }
        Ok(())
    }

    /// Evicts the cheapest tails until the transaction fits. Nobody leaves for one that is refused
    /// in the end.
    fn make_room(
        &mut self,
        tx: &PooledTransaction,
        account_nonce: u64,
        base_fee: u64,
        config: &PoolConfig,
    ) -> Result<Vec<B256>, PoolError> {
        let mut evicted: Vec<Arc<Entry>> = Vec::new();
        loop {
            match self.victim(tx, account_nonce, base_fee, config) {
                Ok(None) => return Ok(evicted.iter().map(|entry| entry.tx.hash()).collect()),
                Ok(Some(hash)) => evicted.extend(self.remove(&hash)),
                Err(error) => {
                    evicted.into_iter().for_each(|entry| self.put(entry));
                    return Err(error);
                }
            }
        }
    }

    /// Who must leave next so that the transaction fits; `None` when it does. Only the last
    /// transaction of an account is ever named, so that no run gets a hole.
    fn victim(
        &self,
        tx: &PooledTransaction,
        account_nonce: u64,
        base_fee: u64,
        config: &PoolConfig,
    ) -> Result<Option<B256>, PoolError> {
        let fits = self.by_hash.len() < config.max_transactions
            && self.bytes + tx.raw().len() <= config.max_bytes;
        let blobs_fit = tx.blob_count() == 0 || self.blobs + tx.blob_count() <= config.max_blobs;
        if fits && blobs_fit {
            return Ok(None);
        }
        let victim = self
            .accounts
            .iter()
            .filter(|(sender, _)| **sender != tx.sender())
            .filter_map(|(_, account)| account.last_key_value())
            .map(|(_, entry)| entry)
            .filter(|entry| fits || entry.tx.blob_count() == 0 || !blobs_fit)
            .filter(|entry| !fits || entry.tx.blob_count() > 0)
            .min_by_key(|entry| (tip(&entry.tx, base_fee), Reverse(entry.sequence)));
        let Some(victim) = victim else { return Err(PoolError::Full) };
        let gapped = tx.tx().nonce() > self.next_nonce(tx.sender(), account_nonce);
        if gapped || tip(&victim.tx, base_fee) >= tip(tx, base_fee) {
            return Err(PoolError::Underpriced);
        }
        Ok(Some(victim.tx.hash()))
    }

    /// Transactions that could run in the next block, best tip first, each sender's in nonce
    /// order. `nonce_of` gives an account's next nonce.
    pub fn best(
        &self,
        base_fee: u64,
        blob_base_fee: u128,
        nonce_of: impl Fn(Address) -> u64,
    ) -> BestTransactions {
        let mut best = BestTransactions::default();
        for sender in self.accounts.keys() {
            let run: VecDeque<_> = self
                .run(*sender, nonce_of(*sender))
                .take_while(|entry| {
                    let tx = entry.tx.tx();
                    tx.max_fee_per_gas() >= u128::from(base_fee)
                        && tx.max_fee_per_blob_gas().is_none_or(|fee| fee >= blob_base_fee)
                })
                .cloned()
                .collect();
            best.add(*sender, run, base_fee);
        }
        best.base_fee = base_fee;
        best
    }
}

/// Wei per gas that the block's producer gets at this base fee; zero when the fee cap is below it.
fn tip(tx: &PooledTransaction, base_fee: u64) -> u128 {
    tx.tx().effective_tip_per_gas(base_fee).unwrap_or_default()
}

/// A replacement raises every fee by a tenth; one with blobs doubles them.
fn check_replacement(old: &PooledTransaction, new: &PooledTransaction) -> Result<(), PoolError> {
    let blobs = old.tx().is_eip4844() || new.tx().is_eip4844();
    let percent: u128 = if blobs { 200 } else { 110 };
    let enough = |old: u128, new: u128| {
        let bar = U256::from(old) * U256::from(percent);
        U256::from(new) * U256::from(100) >= bar && new > old
    };
    let tip_cap = |tx: &PooledTransaction| {
        tx.tx().max_priority_fee_per_gas().unwrap_or_else(|| tx.tx().max_fee_per_gas())
    };
    let mut ok = enough(old.tx().max_fee_per_gas(), new.tx().max_fee_per_gas())
        && (enough(tip_cap(old), tip_cap(new)) || (tip_cap(old) == 0 && tip_cap(new) == 0));
    if let (Some(old), Some(new)) =
        (old.tx().max_fee_per_blob_gas(), new.tx().max_fee_per_blob_gas())
    {
        ok &= enough(old, new);
    }
    if ok { Ok(()) } else { Err(PoolError::ReplacementUnderpriced) }
}

/// One sender's next transaction in the race for block space.
#[derive(Debug)]
struct Candidate {
    tip: u128,
    sequence: u64,
    sender: Address,
}

impl Candidate {
    const fn key(&self) -> (u128, Reverse<u64>) {
        (self.tip, Reverse(self.sequence))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// A snapshot of the executable transactions, best first.
#[derive(Debug, Default)]
pub struct BestTransactions {
    heads: BinaryHeap<Candidate>,
    runs: HashMap<Address, VecDeque<Arc<Entry>>>,
    base_fee: u64,
    current: Option<Address>,
}

impl BestTransactions {
    fn add(&mut self, sender: Address, run: VecDeque<Arc<Entry>>, base_fee: u64) {
        if let Some(first) = run.front() {
            self.heads.push(Candidate {
                tip: tip(&first.tx, base_fee),
                sequence: first.sequence,
                sender,
            });
            self.runs.insert(sender, run);
        }
    }

    /// Leaves out the rest of the sender whose transaction was returned last: without that one the
    /// later nonces can't run.
    pub fn skip_sender(&mut self) {
        if let Some(sender) = self.current.take() {
            self.runs.remove(&sender);
        }
    }
}

impl Iterator for BestTransactions {
    type Item = PooledTransaction;

    fn next(&mut self) -> Option<PooledTransaction> {
        if let Some(sender) = self.current.take()
            && let Some(run) = self.runs.remove(&sender)
        {
            self.add(sender, run, self.base_fee);
        }
        let Candidate { sender, .. } = self.heads.pop()?;
        let entry = self.runs.get_mut(&sender)?.pop_front()?;
        self.current = Some(sender);
        Some(entry.tx.clone())
    }
}

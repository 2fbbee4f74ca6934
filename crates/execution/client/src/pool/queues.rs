//! Per-sender nonce queues and the limits that keep them bounded.
//!
//! ```text
//!   account: nonce ─ run: unbroken from the account's nonce ─ next ─ gap ─ queued
//!   tails:   the last transaction of each account, the first to leave in front:
//!            those behind a gap before executable ones, the cheaper before the better paying,
//!            the younger before the older
//! ```
//! Only tails ever leave for want of room, so that no run gets a hole. All work for one
//! transaction is logarithmic in the size of the pool.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, U256};

use super::validate::AccountView;
use super::{PoolConfig, PoolError, PooledTransaction};

/// A transaction, what it may cost and when it came: ties in the tip are broken in favour of the
/// older one.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub tx: Arc<PooledTransaction>,
    /// The most it can cost by the fees of the head, L1 and operator fees included.
    pub cost: U256,
    pub sequence: u64,
    pub arrived: Instant,
}

/// One sender's transactions.
#[derive(Debug)]
pub(super) struct Account {
    /// The account after the head.
    pub view: AccountView,
    /// By nonce; none below the account's.
    pub transactions: BTreeMap<u64, Entry>,
    /// The first nonce after the run.
    pub next: u64,
    /// Sum of all costs. Each was added when the balance could pay for all, so it does not
    /// overflow.
    cost: U256,
    /// Its place among the tails.
    tail: Option<Tail>,
}

impl Account {
    fn new(view: AccountView) -> Self {
        let (transactions, next) = (BTreeMap::new(), view.nonce);
        Self { view, transactions, next, cost: U256::ZERO, tail: None }
    }

    /// Number of transactions that are executable.
    const fn run(&self) -> usize {
        (self.next - self.view.nonce) as usize
    }

    fn queued(&self) -> usize {
        self.transactions.len() - self.run()
    }

    fn extend_run(&mut self) {
        while self.transactions.contains_key(&self.next) {
            self.next += 1;
        }
    }

    fn has_blobs(&self) -> bool {
        self.transactions.values().next().is_some_and(|entry| entry.tx.has_blobs())
    }
}

/// Order in which transactions leave a full pool; the least goes first.
type Tail = (Worth, Reverse<u64>, Address);

/// Whether a transaction is executable, and what it pays: wei per gas over the base fee, negative
/// when its fee cap is below that.
type Worth = (bool, i128);

/// What an insertion did.
#[derive(Debug, Default)]
pub(super) struct Inserted {
    pub replaced: Option<Arc<PooledTransaction>>,
    pub evicted: Vec<Arc<PooledTransaction>>,
    /// Transactions that are executable now and were not, in nonce order.
    pub executable: Vec<B256>,
}

/// What a new head did.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// Transactions that can't run any more.
    pub dropped: Vec<Arc<PooledTransaction>>,
    /// Transactions that are executable now and were not.
    pub executable: Vec<B256>,
}

/// All transactions of the pool.
#[derive(Debug, Default)]
pub(super) struct Queues {
    accounts: HashMap<Address, Account>,
    by_hash: HashMap<B256, Arc<PooledTransaction>>,
    /// Tails of accounts without blobs, and of those with blobs.
    tails: [BTreeSet<Tail>; 2],
    /// How many transactions would set the code of an account.
    authorities: HashMap<Address, usize>,
    /// Senders whose transactions are not evicted.
    locals: HashSet<Address>,
    base_fee: u64,
    executable: usize,
    bytes: usize,
    blobs: usize,
    next_sequence: u64,
}

impl Queues {
    pub fn new(base_fee: u64, locals: impl IntoIterator<Item = Address>) -> Self {
        Self { base_fee, locals: locals.into_iter().collect(), ..Self::default() }
    }

    pub fn get(&self, hash: &B256) -> Option<&Arc<PooledTransaction>> {
        self.by_hash.get(hash)
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<PooledTransaction>> {
        self.by_hash.values()
    }

    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Number of executable transactions.
    pub const fn executable(&self) -> usize {
        self.executable
    }

    fn queued(&self) -> usize {
        self.by_hash.len() - self.executable
    }

    /// Bytes of memory, blobs not counted.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    pub const fn blobs(&self) -> usize {
        self.blobs
    }

    pub const fn accounts(&self) -> &HashMap<Address, Account> {
        &self.accounts
    }

    /// Inserts a valid transaction: replaces the one with the same nonce when it pays enough more,
    /// and makes room when the pool is full. On an error nothing has changed.
    pub fn insert(
        &mut self,
        tx: Arc<PooledTransaction>,
        view: AccountView,
        cost: U256,
        config: &PoolConfig,
        now: Instant,
    ) -> Result<Inserted, PoolError> {
        if self.by_hash.contains_key(&tx.hash()) {
            return Err(PoolError::AlreadyKnown);
        }
        let nonce = tx.nonce();
        let account = self.accounts.get(&tx.sender());
        let next = account.map_or(view.nonce, |account| account.next);
        let old = account.and_then(|account| account.transactions.get(&nonce)).cloned();
        self.check_reserved(&tx, account)?;
        self.check_delegation(&tx, view, account)?;
        match &old {
            Some(old) => check_replacement(&old.tx, &tx)?,
            None => check_account_limits(&tx, next, account, config)?,
        }
        let old_cost = old.as_ref().map(|old| old.cost);
        check_funds(account.map_or(U256::ZERO, |a| a.cost), old_cost, cost, view.balance)?;
        let evicted = self.make_room(&tx, next, old.as_ref().map(|old| &*old.tx), config)?;
        // From here on nothing fails.
        if let Some(old) = &old {
            self.forget(&old.tx);
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let executable = self.put(Entry { tx, cost, sequence, arrived: now }, view);
        Ok(Inserted { replaced: old.map(|old| old.tx), evicted, executable })
    }

    /// Puts an entry in its place, over one with the same nonce that was [forgotten](Self::forget)
    /// before. Returns what became executable by it.
    fn put(&mut self, entry: Entry, view: AccountView) -> Vec<B256> {
        let (sender, nonce) = (entry.tx.sender(), entry.tx.nonce());
        self.bytes += entry.tx.memory();
        self.blobs += entry.tx.blob_count();
        for authority in entry.tx.authorities() {
            *self.authorities.entry(*authority).or_default() += 1;
        }
        self.by_hash.insert(entry.tx.hash(), entry.tx.clone());
        let account = self.accounts.entry(sender).or_insert_with(|| Account::new(view));
        let before = account.next;
        account.cost = account.cost.saturating_add(entry.cost);
        let hash = entry.tx.hash();
        if let Some(old) = account.transactions.insert(nonce, entry) {
            account.cost = account.cost.saturating_sub(old.cost);
        }
        account.extend_run();
        self.executable += (account.next - before) as usize;
        let executable = if nonce < before {
            vec![hash]
        } else {
            account.transactions.range(before..account.next).map(|(_, e)| e.tx.hash()).collect()
        };
        self.update_tail(sender);
        executable
    }

    /// Takes a transaction out of the indexes and sums that are not its account's.
    fn forget(&mut self, tx: &PooledTransaction) {
        self.by_hash.remove(&tx.hash());
        self.bytes -= tx.memory();
        self.blobs -= tx.blob_count();
        for authority in tx.authorities() {
            if let Some(count) = self.authorities.get_mut(authority) {
                *count -= 1;
                if *count == 0 {
                    self.authorities.remove(authority);
                }
            }
        }
    }

    pub fn remove(&mut self, hash: &B256) -> Option<Arc<PooledTransaction>> {
        let tx = self.by_hash.get(hash)?.clone();
        self.take(tx.sender(), tx.nonce()).map(|(entry, _)| entry.tx)
    }

    /// Takes out a transaction that a block has included. Its account is not right any more until
    /// [`Queues::move_to`] has moved all accounts to that block.
    pub fn take_included(&mut self, hash: &B256) -> Option<Arc<PooledTransaction>> {
        let tx = self.by_hash.get(hash)?.clone();
        self.accounts.get_mut(&tx.sender())?.transactions.remove(&tx.nonce())?;
        self.forget(&tx);
        Some(tx)
    }

    /// Takes one transaction out; later ones of the account are behind a gap then.
    fn take(&mut self, sender: Address, nonce: u64) -> Option<(Entry, AccountView)> {
        let account = self.accounts.get_mut(&sender)?;
        let entry = account.transactions.remove(&nonce)?;
        let view = account.view;
        account.cost = account.cost.saturating_sub(entry.cost);
        if nonce < account.next {
            self.executable -= (account.next - nonce) as usize;
            account.next = nonce;
        }
        self.forget(&entry.tx);
        self.update_tail(sender);
        Some((entry, view))
    }

    /// Sets the account's place among the tails after a change, or drops an account without
    /// transactions.
    fn update_tail(&mut self, sender: Address) {
        let Some(account) = self.accounts.get_mut(&sender) else { return };
        let set = usize::from(account.has_blobs());
        if let Some(old) = account.tail.take() {
            self.tails.iter_mut().for_each(|tails| {
                tails.remove(&old);
            });
        }
        let Some((nonce, last)) = account.transactions.last_key_value() else {
            self.accounts.remove(&sender);
            return;
        };
        if !self.locals.contains(&sender) {
            let worth = worth(&last.tx, *nonce < account.next, self.base_fee);
            let tail = (worth, Reverse(last.sequence), sender);
            account.tail = Some(tail);
            self.tails[set].insert(tail);
        }
    }

    /// An account sends either transactions with blobs or such without.
    fn check_reserved(
        &self,
        tx: &PooledTransaction,
        account: Option<&Account>,
    ) -> Result<(), PoolError> {
        if account.is_some_and(|account| account.has_blobs() != tx.has_blobs()) {
            return Err(PoolError::AlreadyReserved);
        }
        for authority in tx.authorities() {
            if let Some(account) = self.accounts.get(authority)
                && (account.transactions.len() > 1 || account.has_blobs())
            {
                return Err(PoolError::AuthorityReserved);
            }
        }
        Ok(())
    }

    /// Anybody can take the money and use the nonce of an account with delegated code: what it has
    /// in the pool is worth little, so it gets room for one transaction.
    fn check_delegation(
        &self,
        tx: &PooledTransaction,
        view: AccountView,
        account: Option<&Account>,
    ) -> Result<(), PoolError> {
        if !view.has_code && !self.authorities.contains_key(&tx.sender()) {
            return Ok(());
        }
        let nonce = tx.nonce();
        match account.filter(|account| account.run() > 0) {
            None if nonce == view.nonce => Ok(()),
            None => Err(PoolError::GappedDelegated),
            Some(account) if nonce < account.next => Ok(()),
            Some(_) => Err(PoolError::InflightLimit),
        }
    }

    /// Evicts tails until the transaction fits. Nobody leaves for one that is refused in the end.
    fn make_room(
        &mut self,
        tx: &PooledTransaction,
        next: u64,
        replaced: Option<&PooledTransaction>,
        config: &PoolConfig,
    ) -> Result<Vec<Arc<PooledTransaction>>, PoolError> {
        let mut evicted: Vec<(Entry, AccountView)> = Vec::new();
        loop {
            match self.victim(tx, next, replaced, config) {
                Ok(None) => return Ok(evicted.into_iter().map(|(entry, _)| entry.tx).collect()),
                Ok(Some((sender, nonce))) => evicted.extend(self.take(sender, nonce)),
                Err(error) => {
                    for (entry, view) in evicted.into_iter().rev() {
                        self.put(entry, view);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Who must leave next so that the transaction fits; `None` when it does.
    fn victim(
        &self,
        tx: &PooledTransaction,
        next: u64,
        replaced: Option<&PooledTransaction>,
        config: &PoolConfig,
    ) -> Result<Option<(Address, u64)>, PoolError> {
        let (count, bytes, blobs) =
            replaced.map_or((0, 0, 0), |old| (1, old.memory(), old.blob_count()));
        let executable = tx.nonce() <= next;
        let fits = self.by_hash.len() - count < config.max_transactions
            && self.bytes - bytes + tx.memory() <= config.max_bytes;
        let blobs_fit =
            tx.blob_count() == 0 || self.blobs - blobs + tx.blob_count() <= config.max_blobs;
        let queue_fits = executable || replaced.is_some() || self.queued() < config.max_queued;
        if fits && blobs_fit && queue_fits {
            return Ok(None);
        }
        let [plain, with_blobs] = &self.tails;
        let first = |tails: &BTreeSet<Tail>| {
            tails.iter().find(|(_, _, sender)| *sender != tx.sender()).copied()
        };
        let victim = match blobs_fit {
            true => first(plain).into_iter().chain(first(with_blobs)).min(),
            false => first(with_blobs),
        };
        let Some((victim_worth, _, sender)) = victim else { return Err(PoolError::Full) };
        // The queue's own limit is no reason to drive out what can run.
        if !executable && victim_worth.0 {
            return Err(if fits { PoolError::Full } else { PoolError::FutureReplacePending });
        }
        if victim_worth >= worth(tx, executable, self.base_fee) {
            return Err(PoolError::Underpriced);
        }
        let last = self.accounts.get(&sender).and_then(|a| a.transactions.last_key_value());
        Ok(last.map(|(nonce, _)| (sender, *nonce)))
    }

    /// Moves all accounts to a new head. `view_of` gives an account after it, `cost_of` what a
    /// transaction costs now, `fits` whether the head's rules still allow it.
    pub fn move_to(
        &mut self,
        base_fee: u64,
        view_of: impl Fn(&Address, AccountView) -> AccountView,
        cost_of: impl Fn(&PooledTransaction) -> U256,
        fits: impl Fn(&PooledTransaction) -> bool,
    ) -> Moved {
        let mut moved = Moved::default();
        self.base_fee = base_fee;
        self.executable = 0;
        for (sender, account) in &mut self.accounts {
            let before = account.view.nonce..account.next;
            account.view = view_of(sender, account.view);
            let view = account.view;
            let mut sum = U256::ZERO;
            account.transactions.retain(|nonce, entry| {
                entry.cost = cost_of(&entry.tx);
                let keep = *nonce >= view.nonce && entry.cost <= view.balance && fits(&entry.tx);
                if keep {
                    sum = sum.saturating_add(entry.cost);
                } else {
                    moved.dropped.push(entry.tx.clone());
                }
                keep
            });
            account.cost = sum;
            account.next = view.nonce;
            account.extend_run();
            self.executable += account.run();
            let run = account.transactions.range(view.nonce..account.next);
            let fresh = run.filter(|(nonce, _)| !before.contains(nonce));
            moved.executable.extend(fresh.map(|(_, entry)| entry.tx.hash()));
            account.tail = None;
        }
        for tx in &moved.dropped {
            self.forget(tx);
        }
        self.tails = Default::default();
        let senders: Vec<Address> = self.accounts.keys().copied().collect();
        for sender in senders {
            self.update_tail(sender);
        }
        moved
    }

    /// Drops what waits behind a gap for longer than `lifetime`.
    pub fn expire(&mut self, now: Instant, lifetime: Duration) -> usize {
        let old = |entry: &Entry| now.saturating_duration_since(entry.arrived) >= lifetime;
        // Accounts with a gap come first among the tails.
        let gapped = self.tails.iter().flat_map(|tails| {
            tails.iter().take_while(|((executable, _), _, _)| !executable).map(|tail| tail.2)
        });
        let expired: Vec<(Address, u64)> = gapped
            .filter_map(|sender| Some((sender, self.accounts.get(&sender)?)))
            .flat_map(|(sender, account)| {
                let queued = account.transactions.range(account.next..);
                queued.filter(|(_, e)| old(e)).map(move |(nonce, _)| (sender, *nonce))
            })
            .collect();
        expired.iter().filter(|(sender, nonce)| self.take(*sender, *nonce).is_some()).count()
    }

    /// Drops the least worthy transactions behind gaps while there are more than `limit`: a reorg
    /// or a lost transaction may have put many there at once.
    pub fn trim_queued(&mut self, limit: usize) -> Vec<Arc<PooledTransaction>> {
        let mut trimmed = Vec::new();
        while self.queued() > limit {
            let first = self.tails.iter().filter_map(|tails| tails.first()).min().copied();
            let Some(((false, _), _, sender)) = first else { break };
            let last = self.accounts.get(&sender).and_then(|a| a.transactions.last_key_value());
            let Some(nonce) = last.map(|(nonce, _)| *nonce) else { break };
            let Some((entry, _)) = self.take(sender, nonce) else { break };
            trimmed.push(entry.tx);
        }
        trimmed
    }

    #[cfg(test)]
    pub fn assert_consistent(&self) {
        let all = || self.accounts.values().flat_map(|account| account.transactions.values());
        assert_eq!(all().count(), self.by_hash.len());
        assert!(all().all(|entry| self.by_hash.contains_key(&entry.tx.hash())));
        assert_eq!(all().map(|entry| entry.tx.memory()).sum::<usize>(), self.bytes);
        assert_eq!(all().map(|entry| entry.tx.blob_count()).sum::<usize>(), self.blobs);
        assert_eq!(
            self.accounts.values().map(|account| account.run()).sum::<usize>(),
            self.executable
        );
        let evictable =
            self.accounts.keys().filter(|sender| !self.locals.contains(*sender)).count();
        assert_eq!(self.tails.iter().map(BTreeSet::len).sum::<usize>(), evictable);
        for (sender, account) in &self.accounts {
            assert!(!account.transactions.is_empty(), "{sender}");
            assert!(account.transactions.keys().all(|nonce| *nonce >= account.view.nonce));
            let sum = account.transactions.values().map(|entry| entry.cost).sum::<U256>();
            assert_eq!(sum, account.cost);
            assert!(!account.transactions.contains_key(&account.next));
        }
    }
}

fn worth(tx: &PooledTransaction, executable: bool, base_fee: u64) -> Worth {
    let clamp = |fee: u128| i128::try_from(fee).unwrap_or(i128::MAX);
    let over_base = clamp(tx.fee_cap()) - i128::from(base_fee);
    (executable, over_base.min(clamp(tx.tip_cap())))
}

fn check_account_limits(
    tx: &PooledTransaction,
    next: u64,
    account: Option<&Account>,
    config: &PoolConfig,
) -> Result<(), PoolError> {
    let nonce = tx.nonce();
    if nonce > next {
        if tx.has_blobs() {
            return Err(PoolError::NonceTooHigh { next, tx: nonce });
        }
        if account.map_or(0, Account::queued) >= config.max_queued_per_account {
            return Err(PoolError::AccountLimit);
        }
    }
    if account.map_or(0, |a| a.transactions.len()) >= config.max_per_account {
        return Err(PoolError::AccountLimit);
    }
    Ok(())
}

/// The account must be able to pay for everything it has in the pool.
fn check_funds(
    queued: U256,
    replaced: Option<U256>,
    cost: U256,
    balance: U256,
) -> Result<(), PoolError> {
    match replaced {
        Some(old) => {
            let bump = cost.saturating_sub(old);
            if !bump.is_zero() && queued.saturating_add(bump) > balance {
                return Err(PoolError::InsufficientFundsBumped { balance, queued, bump });
            }
        }
        None if queued.saturating_add(cost) > balance => {
            return Err(PoolError::InsufficientFundsQueued { balance, queued, cost });
        }
        None => {}
    }
    Ok(())
}

/// A replacement raises every fee by a tenth; one with blobs doubles them.
fn check_replacement(old: &PooledTransaction, new: &PooledTransaction) -> Result<(), PoolError> {
    use alloy_consensus::Transaction;
    let percent: u128 = if old.has_blobs() { 200 } else { 110 };
    let enough = |old: u128, new: u128| {
        let bar = U256::from(old) * U256::from(percent);
        U256::from(new) * U256::from(100) >= bar && new > old
    };
    let mut ok = enough(old.fee_cap(), new.fee_cap())
        && (enough(old.tip_cap(), new.tip_cap()) || (old.tip_cap() == 0 && new.tip_cap() == 0));
    if let (Some(old), Some(new)) =
        (old.tx().max_fee_per_blob_gas(), new.tx().max_fee_per_blob_gas())
    {
        ok &= enough(old, new);
    }
    if ok { Ok(()) } else { Err(PoolError::ReplacementUnderpriced) }
}

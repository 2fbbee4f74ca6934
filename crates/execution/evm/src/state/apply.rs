//! The state after a block's changes, all of which are made in one sorted pass.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, U256, keccak256};
use revm::state::EvmState;

use super::{Account, State, StateError, slot_key};
use crate::reads::Reads;
use crate::trie::jobs::{self, RunJobs};
use crate::trie::source::TrieSource;
use crate::trie::{Change, Trie};

/// What becomes of an account.
struct AccountChange {
    key: B256,
    /// `None` when it goes.
    account: Option<Account>,
    /// Slots that differ, by hashed number, in order.
    slots: Vec<Change<U256>>,
}

impl AccountChange {
    fn update_storage(&mut self, source: &dyn TrieSource, run: RunJobs) -> Result<(), StateError> {
        match &mut self.account {
            Some(account) => account.storage.update(&mut self.slots, source, run).map(drop),
            None => Ok(()),
        }
    }
}

impl State {
    /// The state after `changes`, hashed. Whatever the journal merely loaded is left alone, and
    /// accounts that were touched and are empty disappear (EIP-161).
    ///
    /// # Errors
    /// When a trie node is missing.
    pub fn apply(&self, changes: EvmState) -> Result<Self, StateError> {
        self.apply_read(changes, &Reads::default())
    }

    /// [`State::apply`], given what was read of this state.
    pub(crate) fn apply_read(&self, changes: EvmState, reads: &Reads) -> Result<Self, StateError> {
        let mut accounts = Vec::with_capacity(changes.len());
        for (address, change) in &changes {
            if change.is_touched() {
                accounts.extend(self.change(address, change, reads)?);
            }
        }
        accounts.sort_unstable_by_key(|account: &AccountChange| account.key);

        // Storage first, whose roots the accounts hold. Jobs are subtrees of large changes, and
        // accounts with small ones.
        let source = &*self.source;
        let run = self.run;
        let (large, mut small): (Vec<_>, Vec<_>) = accounts
            .iter_mut()
            .filter(|account| !account.slots.is_empty())
            .partition(|account| account.slots.len() >= jobs::MANY);
        large.into_iter().try_for_each(|account| account.update_storage(source, run))?;
        let work = |account: &mut &mut AccountChange| account.update_storage(source, run);
        if small.iter().map(|account| account.slots.len()).sum::<usize>() >= jobs::MANY {
            jobs::each(&mut small, run, work)?;
        } else {
            small.iter_mut().try_for_each(work)?;
        }

        let mut accounts: Vec<_> =
            accounts.into_iter().map(|change| (change.key, change.account)).collect();
        let mut next = self.clone();
        next.accounts.update(&mut accounts, source, run)?;
        Ok(next)
    }

    /// What becomes of one account; `None` when it stays as it is.
    fn change(
        &self,
        address: &Address,
        change: &revm::state::Account,
        reads: &Reads,
    ) -> Result<Option<AccountChange>, StateError> {
        let read = reads.get(address);
        let key = read.map_or_else(|| keccak256(address), |read| read.key);
        let old = match read {
            Some(read) => read.account.clone(),
            None => self.account_at(&key)?,
        };
        // The local flag tells that the account was not used again after it destroyed itself.
        if change.is_selfdestructed_locally() || change.is_empty() {
            return Ok(old.map(|_| AccountChange { key, account: None, slots: Vec::new() }));
        }
        let cleared = change.is_created() || change.is_selfdestructed();
        let info = &change.info;
        let same = !cleared
            && old.as_ref().is_some_and(|old| {
                (old.nonce, old.balance, old.code_hash)
                    == (info.nonce, info.balance, info.code_hash)
            });
        let old = old.unwrap_or_default();
        let code = if old.code_hash == info.code_hash { old.code } else { info.code.clone() };
        let storage = if cleared { Trie::default() } else { old.storage };
        let account = Account {
            nonce: info.nonce,
            balance: info.balance,
            code_hash: info.code_hash,
            code,
            storage,
        };
        let mut slots = Vec::with_capacity(change.storage.len());
        for (slot, value) in &change.storage {
            let value = value.present_value;
            let read = read.and_then(|read| read.slots.get(slot));
            let key = read.map_or_else(|| slot_key(*slot), |(key, _)| *key);
            let old = match read {
                _ if cleared => U256::ZERO,
                Some((_, old)) => *old,
                None => self.slot_at(&account, &key)?,
            };
            if value != old {
                slots.push((key, (!value.is_zero()).then_some(value)));
            }
        }
        if same && slots.is_empty() {
            return Ok(None);
        }
        slots.sort_unstable_by_key(|(key, _)| *key);
        Ok(Some(AccountChange { key, account: Some(account), slots }))
    }
}

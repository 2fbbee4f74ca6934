//! What a block read of the state before it, so that the block's changes need not look again.

use alloc::vec::Vec;

use alloy_primitives::map::{AddressMap, HashMap};
use alloy_primitives::{Address, B256, U256, keccak256};

use crate::keccak::hash_all;
use crate::state::slot_key;
use crate::trie::jobs::{self, one_by_one};
use crate::{Account, State, StateError};

/// Accounts that one job reads ahead.
const READ_AT_ONCE: usize = 64;

/// Accounts and slots of one state, with their keys in the trie, which take a hash each.
#[derive(Debug, Default)]
pub(crate) struct Reads(AddressMap<Read>);

/// An account that was read.
#[derive(Debug)]
pub(crate) struct Read {
    /// The hashed address.
    pub(crate) key: B256,
    /// The account, if it exists.
    pub(crate) account: Option<Account>,
    /// Slots that were read: their hashed numbers and their values.
    pub(crate) slots: HashMap<U256, (B256, U256)>,
}

impl Reads {
    /// What was read of an account.
    pub(crate) fn get(&self, address: &Address) -> Option<&Read> {
        self.0.get(address)
    }

    /// Reads accounts before they are asked for, in jobs if they are many. One that
    /// cannot be read is left to whoever asks for it. Says how many were new.
    pub(crate) fn read_ahead(&mut self, state: &State, mut addresses: Vec<Address>) -> usize {
        addresses.sort_unstable();
        addresses.dedup();
        addresses.retain(|address| !self.0.contains_key(address));
        let run = if addresses.len() >= jobs::MANY { state.jobs() } else { one_by_one };
        let mut parts: Vec<_> =
            addresses.chunks(READ_AT_ONCE).map(|part| (part, Vec::new())).collect();
        // The work itself has no errors.
        let _ = jobs::each(&mut parts, run, |(part, read)| {
            let messages: Vec<&[u8]> = part.iter().map(|address| &address[..]).collect();
            let keys = hash_all(&messages);
            let accounts = state.accounts_at(&keys);
            read.extend(keys.into_iter().zip(accounts));
            Ok(())
        });
        self.0.reserve(addresses.len());
        for (part, read) in parts {
            for (address, (key, account)) in part.iter().zip(read) {
                if let Ok(account) = account {
                    let read = Read { key, account, slots: HashMap::default() };
                    self.0.insert(*address, read);
                }
            }
        }
        addresses.len()
    }

    /// An account, from `state` when it is asked for first.
    pub(crate) fn account(
        &mut self,
        state: &State,
        address: &Address,
    ) -> Result<&mut Read, StateError> {
        use alloy_primitives::map::Entry;
        match self.0.entry(*address) {
            Entry::Occupied(read) => Ok(read.into_mut()),
            Entry::Vacant(empty) => {
                let key = keccak256(address);
                let account = state.account_at(&key)?;
                Ok(empty.insert(Read { key, account, slots: HashMap::default() }))
            }
        }
    }

    /// A slot's value, from `state` when it is asked for first.
    pub(crate) fn storage(
        &mut self,
        state: &State,
        address: &Address,
        slot: U256,
    ) -> Result<U256, StateError> {
        let read = self.account(state, address)?;
        if let Some((_, value)) = read.slots.get(&slot) {
            return Ok(*value);
        }
        let key = slot_key(slot);
        let value = match &read.account {
            Some(account) => state.slot_at(account, &key)?,
            None => U256::ZERO,
        };
        read.slots.insert(slot, (key, value));
        Ok(value)
    }
}

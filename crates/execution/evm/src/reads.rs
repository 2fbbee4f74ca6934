//! What a block read of the state before it, so that the block's changes need not look again.

use alloy_primitives::map::{AddressMap, HashMap};
use alloy_primitives::{Address, B256, U256, keccak256};

use crate::state::slot_key;
use crate::{Account, State, StateError};

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

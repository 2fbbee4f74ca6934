//! A whole state from a stream in the order of hashed keys, with bounded memory.

use alloy_primitives::{B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use opal_evm::revm::bytecode::Bytecode;
use opal_evm::state::{Account, bytecode};
use opal_evm::trie::{Change, Trie};
use opal_evm::{State, TrieSource};

use super::{Persisted, StateStore, StoreError};
use crate::threads::run_jobs;

/// Accounts and slots that are gathered before they are hashed and written.
const BATCH: usize = 1 << 16;
/// Bytes of code that count as one slot.
const SLOT_BYTES: usize = 128;

/// Takes accounts in the order of their hashed addresses, each followed by its slots in the order
/// of theirs. Nothing else may be appended meanwhile but by other importers.
#[derive(Debug)]
pub struct Importer<'a> {
    store: &'a StateStore,
    accounts: Trie<Account>,
    batch: Vec<Change<Account>>,
    /// Slots of the accounts in the batch, and their codes as if they were slots.
    slots_in_batch: usize,
    current: Option<Current>,
    nodes: u64,
    bytes: u64,
}

/// The account whose slots come in.
#[derive(Debug)]
struct Current {
    key: B256,
    nonce: u64,
    balance: U256,
    code_hash: B256,
    code: Option<Bytecode>,
    storage: Trie<U256>,
    batch: Vec<Change<U256>>,
    last_slot: Option<B256>,
}

impl StateStore {
    /// Begins the import of a whole state.
    pub fn import(&self) -> Importer<'_> {
        Importer {
            store: self,
            accounts: Trie::default(),
            batch: Vec::new(),
            slots_in_batch: 0,
            current: None,
            nodes: 0,
            bytes: 0,
        }
    }
}

impl Importer<'_> {
    /// The next account: its hashed address, nonce, balance and code, which may be empty.
    ///
    /// # Errors
    /// When it does not come after the one before it, or something cannot be written.
    pub fn account(
        &mut self,
        key: B256,
        nonce: u64,
        balance: U256,
        code: Bytes,
    ) -> Result<(), StoreError> {
        if self.current.as_ref().is_some_and(|current| current.key >= key) {
            return Err(StoreError::Order { what: "account", key });
        }
        self.finish_account()?;
        let (code_hash, code) = if code.is_empty() {
            (KECCAK256_EMPTY, None)
        } else {
            (keccak256(&code), Some(bytecode(code)))
        };
        self.current = Some(Current {
            key,
            nonce,
            balance,
            code_hash,
            code,
            storage: Trie::default(),
            batch: Vec::new(),
            last_slot: None,
        });
        Ok(())
    }

    /// The next slot of the account: its hashed number and its value, which is not zero.
    ///
    /// # Errors
    /// When it does not come after the one before it, or something cannot be written.
    pub fn slot(&mut self, key: B256, value: U256) -> Result<(), StoreError> {
        let Some(current) = &mut self.current else {
            return Err(StoreError::Import("a slot came before any account"));
        };
        if value.is_zero() {
            return Err(StoreError::Import("a slot without a value"));
        }
        if current.last_slot.is_some_and(|last| last >= key) {
            return Err(StoreError::Order { what: "slot", key });
        }
        current.last_slot = Some(key);
        current.batch.push((key, Some(value)));
        if current.batch.len() >= BATCH {
            let source = self.store.files.clone();
            current.take_batch(&*source)?;
            let mut writer = self.store.writer()?;
            let storage = &current.storage;
            let (place, nodes, bytes) =
                self.store.write(&mut writer, |sink| storage.persist(sink))?;
            self.nodes += nodes;
            self.bytes += bytes;
            let root = storage.root().ok_or(opal_evm::StateError::Uncommitted)?;
            current.storage = Trie::from_stored(root, place);
        }
        Ok(())
    }

    fn finish_account(&mut self) -> Result<(), StoreError> {
        let Some(mut current) = self.current.take() else { return Ok(()) };
        let code = current.code.as_ref().map_or(0, Bytecode::len);
        self.slots_in_batch += current.batch.len() + code / SLOT_BYTES;
        let source = self.store.files.clone();
        current.take_batch(&*source)?;
        let Current { key, nonce, balance, code_hash, code, storage, .. } = current;
        self.batch.push((key, Some(Account::new(nonce, balance, code_hash, code, storage))));
        if self.batch.len() + self.slots_in_batch >= BATCH {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let source = self.store.files.clone();
        let root = self.accounts.update(&mut self.batch, &*source, run_jobs)?;
        self.batch.clear();
        self.slots_in_batch = 0;
        let mut writer = self.store.writer()?;
        let accounts = &self.accounts;
        let (place, nodes, bytes) = self.store.write(&mut writer, |sink| accounts.persist(sink))?;
        self.nodes += nodes;
        self.bytes += bytes;
        // Only the path to the last account is needed again.
        self.accounts = Trie::from_stored(root, place);
        Ok(())
    }

    /// Ends the import. The caller holds the root against what it should be, before it commits to
    /// anything.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn finish(mut self) -> Result<Persisted, StoreError> {
        self.finish_account()?;
        self.flush()?;
        let state =
            State::from_accounts(self.accounts, self.store.files.clone()).with_jobs(run_jobs);
        let mut persisted = self.store.append(&state)?;
        persisted.nodes += self.nodes;
        persisted.bytes += self.bytes;
        Ok(persisted)
    }
}

impl Current {
    fn take_batch(&mut self, source: &dyn TrieSource) -> Result<(), StoreError> {
        self.storage.update(&mut self.batch, source, run_jobs)?;
        self.batch.clear();
        Ok(())
    }
}

//! The world state: accounts, their storage and code, in one persistent trie.

mod account;
mod apply;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::EMPTY_ROOT_HASH;
use revm::DatabaseRef;
use revm::bytecode::Bytecode;
use revm::database_interface::DBErrorMarker;
use revm::state::AccountInfo;

pub use self::account::Account;
use crate::trie::Trie;
use crate::trie::jobs::{RunJobs, one_by_one};
use crate::trie::persist::{Evacuation, Sweep};
use crate::trie::source::{NoSource, Place, TrieSink, TrieSource};

/// Why the state could not be read or changed. None of these is the fault of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The witness or store lacks a node that is needed.
    #[error("trie node {0} is missing")]
    MissingNode(B256),
    /// The witness or store lacks a contract's code.
    #[error("code {0} is missing")]
    MissingCode(B256),
    /// Nobody knows the hash of this ancestor block.
    #[error("hash of block {0} is not known")]
    MissingBlockHash(u64),
    /// A node does not decode, or stands where no such node can stand.
    #[error("a trie node is malformed")]
    InvalidTrie,
    /// A node does not have the hash by which it is known.
    #[error("trie node {0} has another hash")]
    WrongHash(B256),
    /// A file that holds the state is damaged.
    #[error("{file} is damaged at byte {offset}: {what}")]
    Damaged {
        /// Path of the file.
        file: String,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// Hashes were asked of a state with changes that are not hashed yet.
    #[error("the state has changes that are not committed")]
    Uncommitted,
    /// The source of nodes failed.
    #[error("state source: {0}")]
    Source(String),
}

impl DBErrorMarker for StateError {}

/// An account, the path to it, and the paths to some of its slots (EIP-1186).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// The account's address.
    pub address: Address,
    /// Transactions sent, or contracts created.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// Keccak-256 of the code.
    pub code_hash: B256,
    /// Root of the account's storage trie.
    pub storage_root: B256,
    /// Encoded nodes from the state root to the account.
    pub account_proof: Vec<Bytes>,
    /// One entry for each slot that was asked for.
    pub storage_proof: Vec<StorageProof>,
}

/// A storage slot and the path to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageProof {
    /// The slot, not hashed.
    pub key: B256,
    /// Its value; zero when absent.
    pub value: U256,
    /// Encoded nodes from the storage root to the slot.
    pub proof: Vec<Bytes>,
}

/// A snapshot of the world state. Cloning is cheap; nodes that no snapshot refers to any more are
/// freed.
#[derive(Clone, Debug)]
pub struct State {
    accounts: Trie<Account>,
    source: Arc<dyn TrieSource>,
    run: RunJobs,
}

impl Default for State {
    fn default() -> Self {
        Self::from_accounts(Trie::default(), Arc::new(NoSource))
    }
}

impl State {
    /// The state with this root, its nodes and code to be had from `source`.
    pub fn from_root(root: B256, source: Arc<dyn TrieSource>) -> Self {
        Self::from_accounts(Trie::from_root(root), source)
    }

    /// The state whose root has this hash and lies at this place of the source's file set.
    pub fn from_stored(root: B256, place: Place, source: Arc<dyn TrieSource>) -> Self {
        Self::from_accounts(Trie::from_stored(root, place), source)
    }

    /// The state of these accounts.
    pub fn from_accounts(accounts: Trie<Account>, source: Arc<dyn TrieSource>) -> Self {
        Self { accounts, source, run: one_by_one }
    }

    /// How jobs are run.
    pub(crate) const fn jobs(&self) -> RunJobs {
        self.run
    }

    /// The same state, large changes of which are made by jobs that `run` is given, as are those of
    /// all states that come of it. Without this they are made one by one; the result is the same.
    #[must_use]
    pub fn with_jobs(self, run: RunJobs) -> Self {
        Self { run, ..self }
    }

    /// The state root. States handed out by this crate are always hashed.
    pub fn root(&self) -> B256 {
        // A zero hash is the root of nothing: whoever compares it sees that something is wrong.
        self.accounts.root().or_else(|| self.accounts.clone().commit().ok()).unwrap_or_default()
    }

    /// Where the root lies in the file set of the source; nowhere if it is not stored.
    pub fn place(&self) -> Place {
        self.accounts.place()
    }

    /// Which file set the state's places are of; 0 for a state in memory and for a witness.
    pub fn file_set(&self) -> u64 {
        self.source.file_set()
    }

    /// Stores all nodes and codes that are not stored yet; see [`Trie::persist`].
    ///
    /// # Errors
    /// When the state is not hashed, something is neither stored nor in memory, or the sink fails.
    pub fn persist(&self, sink: &mut dyn TrieSink) -> Result<Place, StateError> {
        self.accounts.persist(sink)
    }

    /// The same state as nodes of its own, stored nowhere, to be given to a file set whose source
    /// is `source`.
    ///
    /// # Errors
    /// When a node or a code is not in memory.
    pub fn detached(&self, source: Arc<dyn TrieSource>) -> Result<Self, StateError> {
        Ok(Self { accounts: self.accounts.detached()?, source, run: self.run })
    }

    /// The same state with less in memory: a sweep over the accounts whose hashed addresses begin
    /// with the byte `part`, and their storage.
    pub fn swept(&self, part: u8, sweep: &mut Sweep) -> Self {
        match self.accounts.swept_part(part, sweep) {
            Some(accounts) => Self { accounts, ..self.clone() },
            None => self.clone(),
        }
    }

    /// The same state with nodes of segments before `before` in memory and about to be stored
    /// again: about `bytes` of them. Gives the part of `bytes` that is left, which is zero while
    /// there may be more.
    ///
    /// # Errors
    /// When a node cannot be read.
    pub fn evacuated(&self, before: u32, bytes: u64) -> Result<(Self, u64), StateError> {
        let mut evacuation = Evacuation { before, bytes, source: &*self.source };
        let state = match self.accounts.evacuated(&mut evacuation)? {
            Some(accounts) => Self { accounts, ..self.clone() },
            None => self.clone(),
        };
        Ok((state, evacuation.bytes))
    }

    /// Hashes every node of the state again and reads every code, and calls `progress` for each
    /// node. What `known`, a state of the same file set, shares with this one was checked before and
    /// is left out.
    ///
    /// # Errors
    /// When something is damaged or missing.
    pub fn check(
        &self,
        known: Option<&Self>,
        progress: &mut dyn FnMut(),
    ) -> Result<(), StateError> {
        self.accounts.check(known.map(|known| &known.accounts), &*self.source, progress)
    }

    /// Calls `visit` for each account in the order of hashed addresses, beginning at `from`.
    ///
    /// # Errors
    /// When a node is missing, and whatever `visit` returns.
    pub fn walk<E: From<StateError>>(
        &self,
        from: &B256,
        visit: &mut dyn FnMut(B256, &Account) -> Result<(), E>,
    ) -> Result<(), E> {
        self.accounts.walk(from, &*self.source, visit)
    }

    /// Calls `visit` for each slot of an account of this state, in the order of hashed slots,
    /// beginning at `from`.
    ///
    /// # Errors
    /// When a node is missing, and whatever `visit` returns.
    pub fn walk_storage<E: From<StateError>>(
        &self,
        account: &Account,
        from: &B256,
        visit: &mut dyn FnMut(B256, U256) -> Result<(), E>,
    ) -> Result<(), E> {
        account.storage.walk(from, &*self.source, &mut |key, value: &U256| visit(key, *value))
    }

    /// An account, if it exists.
    ///
    /// # Errors
    /// When a trie node is missing.
    pub fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        self.accounts.get(&keccak256(address), &*self.source, Account::clone)
    }

    /// A storage slot's value; zero when absent.
    ///
    /// # Errors
    /// When a trie node is missing.
    pub fn storage(&self, address: &Address, slot: U256) -> Result<U256, StateError> {
        let value = self.accounts.get(&keccak256(address), &*self.source, |account| {
            account.storage.get(&slot_key(slot), &*self.source, |value| *value)
        })?;
        Ok(value.transpose()?.flatten().unwrap_or_default())
    }

    /// An account's code; empty when it has none.
    ///
    /// # Errors
    /// When a trie node or the code is missing.
    pub fn code(&self, address: &Address) -> Result<Bytes, StateError> {
        match self.account(address)? {
            None => Ok(Bytes::new()),
            Some(account) => Ok(self.code_of(&account)?.original_bytes()),
        }
    }

    /// Root of an account's storage trie; that of an empty trie when the account does not exist.
    ///
    /// # Errors
    /// When a trie node is missing, or changes are not committed.
    pub fn storage_root(&self, address: &Address) -> Result<B256, StateError> {
        let root = self.accounts.get(&keccak256(address), &*self.source, Account::storage_root)?;
        root.unwrap_or(Some(EMPTY_ROOT_HASH)).ok_or(StateError::Uncommitted)
    }

    /// Proof of an account and of some of its slots (EIP-1186).
    ///
    /// # Errors
    /// When a trie node is missing, or changes are not committed.
    pub fn proof(&self, address: &Address, slots: &[B256]) -> Result<AccountProof, StateError> {
        let key = keccak256(address);
        let account_proof = self.accounts.proof(&key, &*self.source)?;
        let account = self.account(address)?.unwrap_or_default();
        let mut storage_proof = Vec::with_capacity(slots.len());
        for slot in slots {
            let key = keccak256(slot);
            storage_proof.push(StorageProof {
                key: *slot,
                value: account.storage.get(&key, &*self.source, |v| *v)?.unwrap_or_default(),
                proof: account.storage.proof(&key, &*self.source)?,
            });
        }
        Ok(AccountProof {
            address: *address,
            nonce: account.nonce,
            balance: account.balance,
            code_hash: account.code_hash,
            storage_root: account.storage_root().ok_or(StateError::Uncommitted)?,
            account_proof,
            storage_proof,
        })
    }

    /// The encoded node at a path of the trie of accounts, or of the storage of the account with
    /// this hashed address.
    #[cfg(feature = "std")]
    pub(crate) fn node_at(
        &self,
        account: Option<&B256>,
        path: alloy_trie::Nibbles,
    ) -> Result<Option<Bytes>, StateError> {
        let Some(account) = account else { return self.accounts.node_at(path, &*self.source) };
        let node = self
            .accounts
            .get(account, &*self.source, |account| account.storage.node_at(path, &*self.source))?;
        Ok(node.transpose()?.flatten())
    }

    /// Code of the account with this hashed address; empty when it has none.
    ///
    /// # Errors
    /// When a trie node or the code is missing.
    pub fn code_at(&self, account: &B256) -> Result<Bytes, StateError> {
        match self.accounts.get(account, &*self.source, Account::clone)? {
            None => Ok(Bytes::new()),
            Some(account) => Ok(self.code_of(&account)?.original_bytes()),
        }
    }

    /// The account with this hashed address.
    pub(crate) fn account_at(&self, key: &B256) -> Result<Option<Account>, StateError> {
        self.accounts.get(key, &*self.source, Account::clone)
    }

    /// The accounts with these hashed addresses, in their order.
    pub(crate) fn accounts_at(&self, keys: &[B256]) -> Vec<Result<Option<Account>, StateError>> {
        self.accounts.get_many(keys, &*self.source, Account::clone)
    }

    /// Value of an account's slot with this hashed number.
    pub(crate) fn slot_at(&self, account: &Account, key: &B256) -> Result<U256, StateError> {
        let value = account.storage.get(key, &*self.source, |value| *value)?;
        Ok(value.unwrap_or_default())
    }

    /// Sets an account and its storage, in addition to what is there; hashes are not computed.
    pub(crate) fn set_account(
        &mut self,
        address: &Address,
        info: AccountInfo,
        clear_storage: bool,
        slots: impl Iterator<Item = (U256, U256)>,
    ) -> Result<(), StateError> {
        let key = keccak256(address);
        let old = self.accounts.get(&key, &*self.source, Account::clone)?.unwrap_or_default();
        let mut storage = if clear_storage { Trie::default() } else { old.storage };
        update_storage(&mut storage, slots, &*self.source)?;
        let account = Account {
            nonce: info.nonce,
            balance: info.balance,
            code_hash: info.code_hash,
            code: info.code,
            storage,
        };
        self.accounts.insert(&key, account, &*self.source)
    }

    /// Computes all missing hashes and returns the root.
    pub(crate) fn commit(&mut self) -> Result<B256, StateError> {
        self.accounts.commit()
    }

    /// What the EVM needs to know of an account.
    pub(crate) fn info(&self, address: &Address) -> Result<Option<AccountInfo>, StateError> {
        self.accounts.get(&keccak256(address), &*self.source, Account::info)
    }

    /// An account's code.
    ///
    /// # Errors
    /// When the code is missing.
    pub fn code_of(&self, account: &Account) -> Result<Bytecode, StateError> {
        match &account.info().code {
            Some(code) => Ok(code.clone()),
            None => self.code_by_hash(account.code_hash),
        }
    }

    fn code_by_hash(&self, hash: B256) -> Result<Bytecode, StateError> {
        self.source.code(&hash)?.ok_or(StateError::MissingCode(hash))
    }
}

/// Code for the EVM. Code that only looks like a delegation without being one runs as it stands.
pub fn bytecode(code: Bytes) -> Bytecode {
    Bytecode::new_raw_checked(code.clone()).unwrap_or_else(|_| Bytecode::new_legacy(code))
}

pub(crate) fn slot_key(slot: U256) -> B256 {
    keccak256(slot.to_be_bytes::<32>())
}

/// Writes slots that differ; zeros are removed, last for the reason given in [`State::apply`].
fn update_storage(
    storage: &mut Trie<U256>,
    slots: impl Iterator<Item = (U256, U256)>,
    source: &dyn TrieSource,
) -> Result<(), StateError> {
    let mut removed = Vec::new();
    for (slot, value) in slots {
        let key = slot_key(slot);
        if value.is_zero() {
            removed.push(key);
        } else if storage.get(&key, source, |old| *old == value)? != Some(true) {
            storage.insert(&key, value, source)?;
        }
    }
    for key in removed {
        storage.remove(&key, source)?;
    }
    Ok(())
}

impl DatabaseRef for State {
    type Error = StateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        self.info(&address)
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, StateError> {
        self.code_by_hash(code_hash)
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, StateError> {
        self.storage(&address, index)
    }

    /// A state knows no block hashes; executors bring their own.
    fn block_hash_ref(&self, number: u64) -> Result<B256, StateError> {
        Err(StateError::MissingBlockHash(number))
    }
}

/// Bytecodes already analysed, so that accounts of equal code share one copy.
#[derive(Debug, Default)]
pub(crate) struct CodeCache(alloy_primitives::map::B256Map<Bytecode>);

impl CodeCache {
    pub(crate) fn get(&mut self, code: &Bytes) -> (B256, Bytecode) {
        let hash = keccak256(code);
        let code = self.0.entry(hash).or_insert_with(|| bytecode(code.clone())).clone();
        (hash, code)
    }
}

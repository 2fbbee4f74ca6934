//! The world state: accounts, their storage and code, in one persistent trie.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use alloy_rlp::{Decodable, Encodable};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount};
use revm::DatabaseRef;
use revm::bytecode::Bytecode;
use revm::database_interface::DBErrorMarker;
use revm::state::{AccountInfo, EvmState};

use crate::reads::Reads;
use crate::trie::persist::{Evacuation, Sweep};
use crate::trie::source::{NoSource, Place, TrieSink, TrieSource};
use crate::trie::{Change, Input, Leaf, Trie, parallel, record};

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

/// An account with its storage.
#[derive(Clone, Debug)]
pub struct Account {
    /// Transactions sent, or contracts created.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// Keccak-256 of the code.
    pub code_hash: B256,
    /// The code, where it is in memory. States that are built here keep code in the leaf, shared
    /// between accounts of equal code where they were made together.
    code: Option<Bytecode>,
    storage: Trie<U256>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            nonce: 0,
            balance: U256::ZERO,
            code_hash: KECCAK256_EMPTY,
            code: None,
            storage: Trie::default(),
        }
    }
}

impl Account {
    /// An account of which everything is known. Without code, `code_hash` is that of empty code.
    pub const fn new(
        nonce: u64,
        balance: U256,
        code_hash: B256,
        code: Option<Bytecode>,
        storage: Trie<U256>,
    ) -> Self {
        Self { nonce, balance, code_hash, code, storage }
    }

    pub(crate) fn info(&self) -> AccountInfo {
        let code = if self.code_hash == KECCAK256_EMPTY {
            Some(Bytecode::default())
        } else {
            self.code.clone()
        };
        AccountInfo {
            balance: self.balance,
            nonce: self.nonce,
            code_hash: self.code_hash,
            account_id: None,
            code,
        }
    }

    /// Root of the storage trie; `None` while changes are not committed.
    pub fn storage_root(&self) -> Option<B256> {
        self.storage.root()
    }
}

impl Leaf for Account {
    fn encode(&self, out: &mut Vec<u8>) {
        TrieAccount {
            nonce: self.nonce,
            balance: self.balance,
            // `commit` runs before `encode`, so the root is there.
            storage_root: self.storage.root().unwrap_or(EMPTY_ROOT_HASH),
            code_hash: self.code_hash,
        }
        .encode(out);
    }

    fn decode(mut rlp: &[u8]) -> Result<Self, alloy_rlp::Error> {
        let account = TrieAccount::decode(&mut rlp)?;
        Ok(Self {
            nonce: account.nonce,
            balance: account.balance,
            code_hash: account.code_hash,
            code: None,
            storage: Trie::from_root(account.storage_root),
        })
    }

    fn commit(&mut self) -> Result<(), StateError> {
        self.storage.commit().map(drop)
    }

    /// Flags, nonce, balance; the code's hash if there is code; hash and pointer of the storage
    /// root if there is storage.
    fn store(&self, out: &mut Vec<u8>) -> Result<(), StateError> {
        let (code, storage) = (self.code_hash != KECCAK256_EMPTY, !self.storage.is_empty());
        out.push((u8::from(code) * HAS_CODE) | (u8::from(storage) * HAS_STORAGE));
        record::put_varint(self.nonce, out);
        // At most 32 bytes.
        let balance = self.balance.to_be_bytes_trimmed_vec();
        out.push(balance.len() as u8);
        out.extend_from_slice(&balance);
        if code {
            out.extend_from_slice(self.code_hash.as_slice());
        }
        if storage {
            let root = self.storage.root().ok_or(StateError::Uncommitted)?;
            out.extend_from_slice(root.as_slice());
            record::put_place(&self.storage.place(), out);
        }
        Ok(())
    }

    fn load(input: &mut Input<'_>) -> Result<Self, StateError> {
        let flags = input.byte()?;
        Ok(Self {
            nonce: input.varint()?,
            balance: input.number()?,
            code_hash: if flags & HAS_CODE == 0 { KECCAK256_EMPTY } else { input.hash()? },
            code: None,
            storage: if flags & HAS_STORAGE == 0 {
                Trie::default()
            } else {
                Trie::from_stored(input.hash()?, input.place()?)
            },
        })
    }

    fn persist(&self, sink: &mut dyn TrieSink) -> Result<(), StateError> {
        if let Some(code) = self.code.as_ref().filter(|_| self.code_hash != KECCAK256_EMPTY) {
            sink.code(&self.code_hash, code)?;
        }
        self.storage.persist(sink).map(drop)
    }

    fn oldest(&self) -> u32 {
        if self.storage.is_empty() { u32::MAX } else { self.storage.place().oldest }
    }

    fn sweep(&self, sweep: &mut Sweep) -> Option<Self> {
        let storage = self.storage.swept(sweep)?;
        Some(Self { storage, ..self.clone() })
    }

    fn evacuate(&self, evacuation: &mut Evacuation<'_>) -> Result<Option<Self>, StateError> {
        let storage = self.storage.evacuated(evacuation)?;
        Ok(storage.map(|storage| Self { storage, ..self.clone() }))
    }

    fn detach(&self) -> Result<Self, StateError> {
        Ok(Self { storage: self.storage.detached()?, ..self.clone() })
    }

    fn check(&self, source: &dyn TrieSource, progress: &mut dyn FnMut()) -> Result<(), StateError> {
        if self.code.is_none() && self.code_hash != KECCAK256_EMPTY {
            source.code(&self.code_hash)?.ok_or(StateError::MissingCode(self.code_hash))?;
        }
        self.storage.check(source, progress)
    }
}

const HAS_CODE: u8 = 1;
const HAS_STORAGE: u8 = 2;

impl Leaf for U256 {
    fn encode(&self, out: &mut Vec<u8>) {
        Encodable::encode(self, out);
    }

    fn decode(mut rlp: &[u8]) -> Result<Self, alloy_rlp::Error> {
        Decodable::decode(&mut rlp)
    }
}

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

/// What becomes of an account.
struct AccountChange {
    key: B256,
    /// `None` when it goes.
    account: Option<Account>,
    /// Slots that differ, by hashed number, in order.
    slots: Vec<Change<U256>>,
}

impl AccountChange {
    fn update_storage(&mut self, source: &dyn TrieSource) -> Result<(), StateError> {
        match &mut self.account {
            Some(account) => account.storage.update(&mut self.slots, source).map(drop),
            None => Ok(()),
        }
    }
}

/// A snapshot of the world state. Cloning is cheap; nodes that no snapshot refers to any more are
/// freed.
#[derive(Clone, Debug)]
pub struct State {
    accounts: Trie<Account>,
    source: Arc<dyn TrieSource>,
}

impl Default for State {
    fn default() -> Self {
        Self { accounts: Trie::default(), source: Arc::new(NoSource) }
    }
}

impl State {
    /// The state with this root, its nodes and code to be had from `source`.
    pub fn from_root(root: B256, source: Arc<dyn TrieSource>) -> Self {
        Self { accounts: Trie::from_root(root), source }
    }

    /// The state whose root has this hash and lies at this place of the source's file set.
    pub fn from_stored(root: B256, place: Place, source: Arc<dyn TrieSource>) -> Self {
        Self { accounts: Trie::from_stored(root, place), source }
    }

    /// The state of these accounts.
    pub const fn from_accounts(accounts: Trie<Account>, source: Arc<dyn TrieSource>) -> Self {
        Self { accounts, source }
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
        Ok(Self { accounts: self.accounts.detached()?, source })
    }

    /// The same state with less in memory: a sweep over the accounts whose hashed addresses begin
    /// with the byte `part`, and their storage.
    pub fn swept(&self, part: u8, sweep: &mut Sweep) -> Self {
        match self.accounts.swept_part(part, sweep) {
            Some(accounts) => Self { accounts, source: self.source.clone() },
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
            Some(accounts) => Self { accounts, source: self.source.clone() },
            None => self.clone(),
        };
        Ok((state, evacuation.bytes))
    }

    /// Hashes every node of the state again and reads every code, and calls `progress` for each
    /// node.
    ///
    /// # Errors
    /// When something is damaged or missing.
    pub fn check(&self, progress: &mut dyn FnMut()) -> Result<(), StateError> {
        self.accounts.check(&*self.source, progress)
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
        path: Nibbles,
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

        // Storage first, whose roots the accounts hold. The threads share out the subtrees of
        // large changes, and the accounts of small ones.
        let source = &*self.source;
        let (large, small): (Vec<_>, Vec<_>) = accounts
            .iter_mut()
            .filter(|account| !account.slots.is_empty())
            .partition(|account| account.slots.len() >= parallel::MANY);
        large.into_iter().try_for_each(|account| account.update_storage(source))?;
        let mut small = small;
        let many = small.iter().map(|account| account.slots.len()).sum::<usize>() >= parallel::MANY;
        parallel::each(&mut small, many, |account| account.update_storage(source))?;

        let mut accounts: Vec<_> =
            accounts.into_iter().map(|change| (change.key, change.account)).collect();
        let mut next = self.clone();
        next.accounts.update(&mut accounts, source)?;
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

    /// The account with this hashed address.
    pub(crate) fn account_at(&self, key: &B256) -> Result<Option<Account>, StateError> {
        self.accounts.get(key, &*self.source, Account::clone)
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

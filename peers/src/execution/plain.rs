//! The peer's state: plain maps, and the root by the peer's trie.

use std::cell::Cell;
use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, keccak256};
use alloy_trie::TrieAccount;
use alloy_trie::root::{state_root_unhashed, storage_root_unhashed};
use peer_revm::DatabaseRef;
use peer_revm::bytecode::Bytecode;
use peer_revm::database::BundleState;
use peer_revm::state::AccountInfo;

/// An account with all its slots that are not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainAccount {
    /// Nonce, balance, hash of the code.
    pub info: AccountInfo,
    /// Slots.
    pub storage: BTreeMap<U256, U256>,
}

/// A whole state.
#[derive(Clone, Debug, Default)]
pub struct Plain {
    /// The accounts that exist.
    pub accounts: BTreeMap<Address, PlainAccount>,
    codes: BTreeMap<B256, Bytecode>,
    /// Hashes of the blocks so far; the first is that of block zero.
    pub hashes: Vec<B256>,
    /// An account whose reads are counted.
    pub watched: Address,
    /// How often it was read.
    pub reads: Cell<u64>,
}

impl Plain {
    /// Adds an account.
    pub fn insert(
        &mut self,
        address: Address,
        nonce: u64,
        balance: U256,
        code: &[u8],
        storage: impl IntoIterator<Item = (U256, U256)>,
    ) {
        let code_hash = if code.is_empty() { KECCAK256_EMPTY } else { keccak256(code) };
        self.codes.insert(code_hash, Bytecode::new_raw(code.to_vec().into()));
        // Code is fetched by its hash.
        let info = AccountInfo { nonce, balance, code_hash, code: None, ..AccountInfo::default() };
        let storage = storage.into_iter().filter(|(_, value)| !value.is_zero()).collect();
        self.accounts.insert(address, PlainAccount { info, storage });
    }

    /// Takes over what a block changed.
    pub fn apply(&mut self, bundle: BundleState) {
        self.codes.extend(bundle.contracts);
        for (address, change) in bundle.state {
            if change.was_destroyed() {
                self.accounts.remove(&address);
            }
            let Some(info) = change.info else {
                self.accounts.remove(&address);
                continue;
            };
            let account = self.accounts.entry(address).or_default();
            account.info = info.without_code();
            for (slot, value) in change.storage {
                if value.present_value.is_zero() {
                    account.storage.remove(&slot);
                } else {
                    account.storage.insert(slot, value.present_value);
                }
            }
        }
    }

    /// The state root.
    pub fn root(&self) -> B256 {
        state_root_unhashed(self.accounts.iter().map(|(address, account)| {
            let slots = account.storage.iter().map(|(slot, value)| (B256::from(*slot), *value));
            let account = TrieAccount {
                nonce: account.info.nonce,
                balance: account.info.balance,
                storage_root: storage_root_unhashed(slots),
                code_hash: account.info.code_hash,
            };
            (*address, account)
        }))
    }

    /// An account's balance.
    pub fn balance(&self, address: Address) -> U256 {
        self.accounts.get(&address).map_or(U256::ZERO, |account| account.info.balance)
    }
}

impl DatabaseRef for Plain {
    type Error = std::convert::Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Self::Error> {
        if address == self.watched {
            self.reads.set(self.reads.get() + 1);
        }
        Ok(self.accounts.get(&address).map(|account| account.info.clone()))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Self::Error> {
        Ok(self.codes.get(&hash).cloned().unwrap_or_default())
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Self::Error> {
        let account = self.accounts.get(&address);
        Ok(account.and_then(|account| account.storage.get(&slot).copied()).unwrap_or_default())
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Self::Error> {
        Ok(self.hashes.get(number as usize).copied().unwrap_or_default())
    }
}

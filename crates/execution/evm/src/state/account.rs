//! An account: the leaf of the trie of accounts.

use alloc::vec::Vec;

use alloy_primitives::{B256, KECCAK256_EMPTY, U256};
use alloy_rlp::{Decodable, Encodable};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use revm::bytecode::Bytecode;
use revm::state::AccountInfo;

use super::StateError;
use crate::trie::persist::{Evacuation, Sweep};
use crate::trie::source::{TrieSink, TrieSource};
use crate::trie::{Input, Leaf, Trie, record};

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
    pub(super) code: Option<Bytecode>,
    pub(super) storage: Trie<U256>,
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

    fn check(
        &self,
        known: Option<&Self>,
        source: &dyn TrieSource,
        progress: &mut dyn FnMut(),
    ) -> Result<(), StateError> {
        let has_code = self.code.is_none() && self.code_hash != KECCAK256_EMPTY;
        if has_code && known.is_none_or(|known| known.code_hash != self.code_hash) {
            source.code(&self.code_hash)?.ok_or(StateError::MissingCode(self.code_hash))?;
        }
        self.storage.check(known.map(|known| &known.storage), source, progress)
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

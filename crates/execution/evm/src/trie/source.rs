//! Where trie nodes and code come from that are not in memory.

use core::fmt;

use alloy_primitives::{B256, Bytes, keccak256, map::B256Map};

use crate::StateError;

/// Looks up what a hash stands for.
pub trait TrieSource: Send + Sync + fmt::Debug {
    /// The encoded trie node with this hash; `None` when the source does not have it.
    ///
    /// # Errors
    /// When the source itself fails.
    fn node(&self, hash: &B256) -> Result<Option<Bytes>, StateError>;

    /// The contract code with this hash; `None` when the source does not have it.
    ///
    /// # Errors
    /// When the source itself fails.
    fn code(&self, hash: &B256) -> Result<Option<Bytes>, StateError>;
}

/// The source of a state that is wholly in memory: there is nothing to look up.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSource;

impl TrieSource for NoSource {
    fn node(&self, _: &B256) -> Result<Option<Bytes>, StateError> {
        Ok(None)
    }

    fn code(&self, _: &B256) -> Result<Option<Bytes>, StateError> {
        Ok(None)
    }
}

/// Nodes and codes by their Keccak-256 hash: a witness.
#[derive(Clone, Debug, Default)]
pub struct Preimages(B256Map<Bytes>);

impl Preimages {
    /// Hashes each preimage; nothing is trusted.
    pub fn new(preimages: impl IntoIterator<Item = Bytes>) -> Self {
        Self(preimages.into_iter().map(|bytes| (keccak256(&bytes), bytes)).collect())
    }

    /// The preimage of a hash.
    pub fn get(&self, hash: &B256) -> Option<&Bytes> {
        self.0.get(hash)
    }
}

impl FromIterator<Bytes> for Preimages {
    fn from_iter<I: IntoIterator<Item = Bytes>>(iter: I) -> Self {
        Self::new(iter)
    }
}

impl TrieSource for Preimages {
    fn node(&self, hash: &B256) -> Result<Option<Bytes>, StateError> {
        Ok(self.0.get(hash).cloned())
    }

    fn code(&self, hash: &B256) -> Result<Option<Bytes>, StateError> {
        Ok(self.0.get(hash).cloned())
    }
}

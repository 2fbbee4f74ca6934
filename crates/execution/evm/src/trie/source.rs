//! Where trie nodes and code come from that are not in memory, and where they go to.

use alloc::vec::Vec;
use core::fmt;

use alloy_primitives::{B256, Bytes, keccak256, map::B256Map};
use revm::bytecode::Bytecode;

use crate::StateError;
use crate::state::bytecode;

/// Where a node lies in a file set of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Position of the node's record; 0 when it lies nowhere or nobody knows where. The upper 24
    /// bits are the number of the file (the segment); what the others say is the file set's affair,
    /// but later records have higher positions.
    pub position: u64,
    /// The lowest number of a segment that holds the node or one below it.
    pub oldest: u32,
}

impl Place {
    /// Number of the segment that holds the record.
    pub const fn segment(&self) -> u32 {
        (self.position >> 40) as u32
    }
}

/// A stored node.
#[derive(Clone, Debug)]
pub struct Record {
    /// What [`TrieSink::node`] was given.
    pub bytes: Vec<u8>,
    /// Whether the reader may keep the decoded node in memory.
    pub keep: bool,
}

/// Looks up what a hash stands for.
pub trait TrieSource: Send + Sync + fmt::Debug {
    /// The encoded trie node with this hash; `None` when the source does not have it.
    ///
    /// # Errors
    /// When the source itself fails.
    fn node(&self, hash: &B256) -> Result<Option<Bytes>, StateError>;

    /// The record at a position, which holds the node with this hash. Only nodes whose place the
    /// source itself gave have one.
    ///
    /// # Errors
    /// When there is no such record or it is damaged.
    fn record(&self, _position: u64, hash: &B256) -> Result<Record, StateError> {
        Err(StateError::MissingNode(*hash))
    }

    /// The contract code with this hash; `None` when the source does not have it.
    ///
    /// # Errors
    /// When the source itself fails.
    fn code(&self, hash: &B256) -> Result<Option<Bytecode>, StateError>;

    /// Which file set the places of this source's nodes are of; 0 for a source without places.
    fn file_set(&self) -> u64 {
        0
    }
}

/// Takes the nodes and codes of a state that are not stored yet.
pub trait TrieSink {
    /// Stores the record of the node with this hash and says where; `oldest` is the segment that
    /// the record itself went to.
    ///
    /// # Errors
    /// When it cannot be stored.
    fn node(&mut self, hash: &B256, record: &[u8]) -> Result<Place, StateError>;

    /// Stores a contract's code, unless it is there already.
    ///
    /// # Errors
    /// When it cannot be stored.
    fn code(&mut self, hash: &B256, code: &Bytecode) -> Result<(), StateError>;
}

/// The source of a state that is wholly in memory: there is nothing to look up.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSource;

impl TrieSource for NoSource {
    fn node(&self, _: &B256) -> Result<Option<Bytes>, StateError> {
        Ok(None)
    }

    fn code(&self, _: &B256) -> Result<Option<Bytecode>, StateError> {
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

    fn code(&self, hash: &B256) -> Result<Option<Bytecode>, StateError> {
        Ok(self.0.get(hash).cloned().map(bytecode))
    }
}

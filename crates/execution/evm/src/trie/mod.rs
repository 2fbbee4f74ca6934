//! A persistent Merkle-Patricia trie.
//!
//! Nodes are shared between snapshots through [`Arc`]; a change copies the nodes on its path and
//! forgets their hashes, [`Trie::commit`] computes the missing ones. Keys are 32-byte hashes, so a
//! branch never holds a value and no path is longer than 64 nibbles, which bounds all recursion.
//!
//! ```text
//!  snapshot A ──► branch ──► branch ──► leaf k1
//!                   │  └────► leaf k2  ◄──┐
//!  snapshot B ──► branch' ────────────────┘      (k1 changed: its path was copied, k2 is shared)
//!                   └─► branch' ─► leaf' k1
//! ```

mod node;
pub mod source;

use alloc::sync::Arc;
use alloc::vec::Vec;

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};

use self::node::{Kind, Link, Node};
use self::source::TrieSource;
use crate::StateError;

/// What a leaf holds.
pub trait Leaf: Clone {
    /// Appends the value's RLP, which the leaf node wraps as a byte string.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads the value back.
    ///
    /// # Errors
    /// On bytes that are no such value.
    fn decode(rlp: &[u8]) -> Result<Self, alloy_rlp::Error>;

    /// Computes whatever hashes the value itself needs before it can be encoded.
    fn commit(&mut self) {}
}

/// A trie from hashed keys to values. Cloning copies a pointer.
#[derive(Clone, Debug)]
pub struct Trie<V> {
    root: Option<Link<V>>,
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self { root: None }
    }
}

impl<V: Leaf> Trie<V> {
    /// The trie with this root hash; nodes are fetched when first needed.
    pub fn from_root(root: B256) -> Self {
        if root == EMPTY_ROOT_HASH {
            return Self::default();
        }
        Self { root: Some(Arc::new(Node::unresolved(root))) }
    }

    /// Whether nothing is stored.
    pub const fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// Root hash; `None` while changes are not committed.
    pub fn root(&self) -> Option<B256> {
        let Some(root) = &self.root else { return Some(EMPTY_ROOT_HASH) };
        let reference = root.reference.as_ref()?;
        // A root that is shorter than a hash is hashed all the same.
        Some(reference.as_hash().unwrap_or_else(|| keccak256(reference.as_slice())))
    }

    /// Applies `read` to the value at `key`, if there is one.
    ///
    /// # Errors
    /// When a node on the path is neither in memory nor in the source.
    pub fn get<R>(
        &self,
        key: &B256,
        source: &dyn TrieSource,
        read: impl FnOnce(&V) -> R,
    ) -> Result<Option<R>, StateError> {
        match &self.root {
            None => Ok(None),
            Some(root) => node::get(root, Nibbles::unpack(key), source, read),
        }
    }

    /// Sets the value at `key`.
    ///
    /// # Errors
    /// When a node on the path is missing; the trie must then be dropped.
    pub fn insert(
        &mut self,
        key: &B256,
        value: V,
        source: &dyn TrieSource,
    ) -> Result<(), StateError> {
        let path = Nibbles::unpack(key);
        match &mut self.root {
            None => {
                self.root = Some(Arc::new(Node::new(Kind::Leaf { path, value })));
                Ok(())
            }
            Some(root) => node::insert(root, path, value, source),
        }
    }

    /// Removes the value at `key`, if there is one.
    ///
    /// # Errors
    /// When a node on the path, or the one that must be merged with its parent, is missing; the
    /// trie must then be dropped.
    pub fn remove(&mut self, key: &B256, source: &dyn TrieSource) -> Result<(), StateError> {
        // Looking first keeps the hashes of the path when there is nothing to remove.
        if self.get(key, source, |_| ())?.is_some() {
            node::remove(&mut self.root, Nibbles::unpack(key), source)?;
        }
        Ok(())
    }

    /// Computes the hashes of all changed nodes and returns the root.
    pub fn commit(&mut self) -> B256 {
        let Some(root) = &mut self.root else { return EMPTY_ROOT_HASH };
        let reference = node::commit(root, &mut Vec::new());
        reference.as_hash().unwrap_or_else(|| keccak256(reference.as_slice()))
    }

    /// The encoded node that stands at the end of `path`, if one begins there. Changes must have
    /// been committed.
    ///
    /// # Errors
    /// When a node on the path is missing.
    pub fn node_at(
        &self,
        path: Nibbles,
        source: &dyn TrieSource,
    ) -> Result<Option<Bytes>, StateError> {
        match &self.root {
            None => Ok(None),
            Some(root) => node::encoded_at(root, path, source),
        }
    }

    /// The encoded nodes from the root towards `key`, for a proof of its value or its absence.
    /// Changes must have been committed.
    ///
    /// # Errors
    /// When a node on the path is missing.
    pub fn proof(&self, key: &B256, source: &dyn TrieSource) -> Result<Vec<Bytes>, StateError> {
        let mut nodes = Vec::new();
        if let Some(root) = &self.root {
            node::prove(root, Nibbles::unpack(key), source, true, &mut nodes)?;
        }
        Ok(nodes)
    }
}

#[cfg(test)]
mod tests;

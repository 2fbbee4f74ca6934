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
//!
//! A node that is not in memory is known by its hash and, if a file set of records has
//! it, by its [`Place`] there. What was fetched once stays in memory until it is
//! [swept](persist::Sweep).

mod commit;
pub mod jobs;
mod node;
pub(crate) mod ordered;
pub mod persist;
pub(crate) mod record;
mod rlp;
pub mod source;
mod update;

use alloc::sync::Arc;
use alloc::vec::Vec;

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};

use self::jobs::RunJobs;
use self::node::{Link, Node, Reference};
pub use self::record::Input;
use self::source::{Place, TrieSink, TrieSource};
pub use self::update::Change;
use crate::StateError;

/// What a leaf holds.
pub trait Leaf: Clone + Send + Sync {
    /// Appends the value's RLP, which the leaf node wraps as a byte string.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads the value back.
    ///
    /// # Errors
    /// On bytes that are no such value.
    fn decode(rlp: &[u8]) -> Result<Self, alloy_rlp::Error>;

    /// Computes whatever hashes the value itself needs before it can be encoded.
    ///
    /// # Errors
    /// When something below it is malformed.
    fn commit(&mut self) -> Result<(), StateError> {
        Ok(())
    }

    /// Appends what the record of a leaf holds; the last part of it.
    ///
    /// # Errors
    /// When the value is not committed.
    fn store(&self, out: &mut Vec<u8>) -> Result<(), StateError> {
        self.encode(out);
        Ok(())
    }

    /// Reads what [`Leaf::store`] wrote.
    ///
    /// # Errors
    /// On bytes that are no such value.
    fn load(input: &mut Input<'_>) -> Result<Self, StateError> {
        Self::decode(core::mem::take(&mut input.0)).map_err(|_| StateError::InvalidTrie)
    }

    /// Stores what the value refers to.
    ///
    /// # Errors
    /// When that cannot be stored.
    fn persist(&self, _sink: &mut dyn TrieSink) -> Result<(), StateError> {
        Ok(())
    }

    /// The oldest segment that holds something the value refers to; [`u32::MAX`] if nothing is.
    fn oldest(&self) -> u32 {
        u32::MAX
    }

    /// The value without what the sweep puts out of memory; `None` when that is nothing.
    fn sweep(&self, _sweep: &mut persist::Sweep) -> Option<Self> {
        None
    }

    /// The value with what must leave old segments in memory, not stored; `None` when that is
    /// nothing.
    ///
    /// # Errors
    /// When something cannot be read.
    fn evacuate(
        &self,
        _evacuation: &mut persist::Evacuation<'_>,
    ) -> Result<Option<Self>, StateError> {
        Ok(None)
    }

    /// A copy that shares no nodes and is stored nowhere.
    ///
    /// # Errors
    /// When something is not in memory.
    fn detach(&self) -> Result<Self, StateError> {
        Ok(self.clone())
    }

    /// Hashes again what the value refers to, and tells of each node. What `known` refers to was
    /// checked before.
    ///
    /// # Errors
    /// When a hash is wrong or something is missing.
    fn check(
        &self,
        _known: Option<&Self>,
        _source: &dyn TrieSource,
        _progress: &mut dyn FnMut(),
    ) -> Result<(), StateError> {
        Ok(())
    }
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
        Self::from_stored(root, Place::default())
    }

    /// The trie whose root has this hash and lies there.
    pub fn from_stored(root: B256, place: Place) -> Self {
        if root == EMPTY_ROOT_HASH {
            return Self::default();
        }
        Self { root: Some(Arc::new(Node::unresolved(root, place))) }
    }

    /// Whether nothing is stored.
    pub const fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// Root hash; `None` while changes are not committed.
    pub fn root(&self) -> Option<B256> {
        let Some(root) = &self.root else { return Some(EMPTY_ROOT_HASH) };
        match root.reference {
            Reference::Unknown => None,
            Reference::Hash(hash) => Some(hash),
            // A root that is shorter than a hash is hashed all the same.
            Reference::Short => {
                let mut rlp = Vec::new();
                rlp::encode(root.resident()?, &mut rlp).ok()?;
                Some(keccak256(rlp))
            }
        }
    }

    /// Where the root lies; nowhere for an empty trie and one that is not stored.
    pub fn place(&self) -> Place {
        self.root.as_ref().map_or_else(Place::default, |root| root.place())
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
            Some(root) => node::get(root, key, 0, source, read),
        }
    }

    /// [`Trie::get`] for many keys, in their order, which takes less time than one by one.
    pub fn get_many<R>(
        &self,
        keys: &[B256],
        source: &dyn TrieSource,
        read: impl Fn(&V) -> R,
    ) -> Vec<Result<Option<R>, StateError>> {
        match &self.root {
            None => keys.iter().map(|_| Ok(None)).collect(),
            Some(root) => node::get_many(root, keys, source, read),
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
        update::update(&mut self.root, &mut [(*key, Some(value))], 0, source)
    }

    /// Removes the value at `key`, if there is one.
    ///
    /// # Errors
    /// When a node on the path, or the one that must be merged with its parent, is missing; the
    /// trie must then be dropped.
    pub fn remove(&mut self, key: &B256, source: &dyn TrieSource) -> Result<(), StateError> {
        // Looking first keeps the hashes of the path when there is nothing to remove.
        if self.get(key, source, |_| ())?.is_some() {
            update::update(&mut self.root, &mut [(*key, None)], 0, source)?;
        }
        Ok(())
    }

    /// Applies many changes at once and computes the hashes of all changed nodes. The changes must
    /// be sorted by key, each key once, and remove only what is there. `run` is given the subtrees
    /// of large changes.
    ///
    /// # Errors
    /// As [`Trie::remove`].
    pub fn update(
        &mut self,
        changes: &mut [Change<V>],
        source: &dyn TrieSource,
        run: RunJobs,
    ) -> Result<B256, StateError> {
        update::update_and_commit(&mut self.root, changes, source, run)?;
        self.commit()
    }

    /// Computes the hashes of all changed nodes and returns the root.
    ///
    /// # Errors
    /// When a node is malformed, which none is that was built here.
    pub fn commit(&mut self) -> Result<B256, StateError> {
        if let Some(root) = &mut self.root {
            commit::commit(root, &mut commit::Batch::default())?;
        }
        self.root().ok_or(StateError::Uncommitted)
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
            node::prove(root, key, 0, source, &mut nodes)?;
        }
        Ok(nodes)
    }

    /// Calls `visit` for each key and value in key order, beginning at `from`. Nodes that must be
    /// fetched don't stay in memory.
    ///
    /// # Errors
    /// When a node is missing, and whatever `visit` returns.
    pub fn walk<E: From<StateError>>(
        &self,
        from: &B256,
        source: &dyn TrieSource,
        visit: &mut dyn FnMut(B256, &V) -> Result<(), E>,
    ) -> Result<(), E> {
        match &self.root {
            None => Ok(()),
            Some(root) => {
                node::walk(root, Nibbles::default(), &Nibbles::unpack(from), source, visit)
            }
        }
    }

    /// Hashes every node again, fetching what is not in memory, and tells of each. Nodes that
    /// `known`, a trie of the same file set, has at the same places were checked before and are left
    /// out.
    ///
    /// # Errors
    /// When a hash is wrong or a node is missing.
    pub fn check(
        &self,
        known: Option<&Self>,
        source: &dyn TrieSource,
        progress: &mut dyn FnMut(),
    ) -> Result<(), StateError> {
        let known = known.and_then(|known| known.root.as_deref());
        match &self.root {
            None => Ok(()),
            Some(root) => node::check(root, known, 0, source, progress),
        }
    }
}

#[cfg(test)]
mod tests;

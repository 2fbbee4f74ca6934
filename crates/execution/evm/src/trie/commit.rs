//! Hashing what has changed.
//!
//! A node's hash needs those of its children, so the nodes of a changed subtree are hashed by
//! level: all leaves, then all nodes that stand on leaves alone, and so on. On each level four are
//! [hashed at once](crate::keccak).
//!
//! ```text
//!   collect   children first: every changed node's RLP into one buffer, holes for unknown hashes
//!   hash      lowest level first: hash, fill the hole in the parent
//!   assign    the hashes to the nodes, in the order of collection
//! ```

use alloc::sync::Arc;
use alloc::vec::Vec;

use alloy_primitives::{B256, keccak256};
use alloy_rlp::{EMPTY_STRING_CODE, Header};

use super::Leaf;
use super::node::{INVALID, Kind, Link, Reference};
use super::rlp::{self, HASH_CODE};
use crate::StateError;
use crate::keccak::{hash4, permutations};

/// Nodes that are collected at once, at most: of large changes, subtrees come one after the other.
const MOST_NODES: usize = 4_096;

/// Nodes that wait for their hashes. To be reused: it keeps its memory.
#[derive(Debug, Default)]
pub(super) struct Batch {
    rlp: Vec<u8>,
    /// In the order of collection: a node comes after all below it.
    nodes: Vec<Pending>,
    /// Numbers of nodes in the order in which they are hashed.
    order: Vec<u32>,
    hashes: Vec<B256>,
}

/// A node that waits for its hash.
#[derive(Clone, Copy, Debug)]
struct Pending {
    /// Its RLP in the buffer.
    start: usize,
    end: usize,
    /// 0 if it waits for no other node.
    level: u8,
    /// Where its hash goes in the RLP of its parent; [`usize::MAX`] while it has none.
    hole: usize,
}

/// A child as its parent's RLP holds it.
#[derive(Clone, Copy)]
enum Child {
    /// With its reference.
    Known,
    /// The pending node of this number.
    Pending(usize),
}

/// Computes the references of all changed nodes below `link`, and its own.
pub(super) fn commit<V: Leaf>(link: &mut Link<V>, batch: &mut Batch) -> Result<(), StateError> {
    if link.reference != Reference::Unknown {
        return Ok(());
    }
    batch.clear();
    if collect(link, batch)?.is_none() {
        // Too many: child by child, after which the node itself is the only one.
        match &mut Arc::make_mut(link).kind {
            Kind::Branch(children) => {
                children.iter_mut().flatten().try_for_each(|child| commit(child, batch))?;
            }
            Kind::Extension(extension) => commit(&mut extension.child, batch)?,
            Kind::Leaf(_) | Kind::Unresolved(_) => return Err(INVALID),
        }
        batch.clear();
        collect(link, batch)?.ok_or(INVALID)?;
    }
    batch.hash();
    assign(link, &mut batch.hashes.iter())
}

/// Adds what has changed below a node, and the node; `None` when the batch is full.
fn collect<V: Leaf>(link: &mut Link<V>, batch: &mut Batch) -> Result<Option<Child>, StateError> {
    if link.reference != Reference::Unknown {
        return Ok(Some(Child::Known));
    }
    if batch.nodes.len() >= MOST_NODES {
        return Ok(None);
    }
    // A changed node belongs to nobody else, unless a snapshot was taken before it was hashed.
    let node = Arc::make_mut(link);
    let (start, level) = match &mut node.kind {
        // Whoever changes a node has looked what it is.
        Kind::Unresolved(_) => return Err(INVALID),
        Kind::Leaf(leaf) => {
            leaf.value.commit()?;
            let start = batch.rlp.len();
            rlp::encode(&node.kind, &mut batch.rlp)?;
            (start, 0)
        }
        Kind::Extension(extension) => {
            let Some(child) = collect(&mut extension.child, batch)? else { return Ok(None) };
            let start = batch.rlp.len();
            let mut reference = Vec::with_capacity(33);
            match child {
                Child::Known => rlp::encode_reference(&extension.child, &mut reference)?,
                Child::Pending(_) => put_hole(&mut reference),
            }
            rlp::encode_extension(&extension.path, &reference, &mut batch.rlp);
            // The child comes last.
            let level = match child {
                Child::Known => 0,
                Child::Pending(number) => batch.wait_for(number),
            };
            (start, level)
        }
        Kind::Branch(children) => {
            let mut collected = [Child::Known; 16];
            for (child, collected) in children.iter_mut().zip(&mut collected) {
                if let Some(child) = child {
                    let Some(child) = collect(child, batch)? else { return Ok(None) };
                    *collected = child;
                }
            }
            let mut length = 1;
            for (child, collected) in children.iter().zip(collected) {
                length += match (child, collected) {
                    (None, _) => 1,
                    (Some(_), Child::Pending(_)) => 33,
                    (Some(child), Child::Known) => rlp::reference_length(child)?,
                };
            }
            let start = batch.rlp.len();
            Header { list: true, payload_length: length }.encode(&mut batch.rlp);
            let mut level = 0;
            for (child, collected) in children.iter().zip(collected) {
                match (child, collected) {
                    (None, _) => batch.rlp.push(EMPTY_STRING_CODE),
                    (Some(child), Child::Known) => rlp::encode_reference(child, &mut batch.rlp)?,
                    (Some(_), Child::Pending(number)) => {
                        put_hole(&mut batch.rlp);
                        level = level.max(batch.wait_for(number));
                    }
                }
            }
            batch.rlp.push(EMPTY_STRING_CODE);
            (start, level)
        }
    };
    match batch.push(start, level) {
        Some(number) => Ok(Some(Child::Pending(number))),
        None => {
            batch.rlp.truncate(start);
            node.reference = Reference::Short;
            Ok(Some(Child::Known))
        }
    }
}

pub(super) fn put_hole(out: &mut Vec<u8>) {
    out.push(HASH_CODE);
    out.extend_from_slice(B256::ZERO.as_slice());
}

/// Gives the hashes to the nodes that were collected.
fn assign<'a, V: Leaf>(
    link: &mut Link<V>,
    hashes: &mut impl Iterator<Item = &'a B256>,
) -> Result<(), StateError> {
    if link.reference != Reference::Unknown {
        return Ok(());
    }
    let node = Arc::get_mut(link).ok_or(INVALID)?;
    match &mut node.kind {
        Kind::Unresolved(_) => return Err(INVALID),
        Kind::Leaf(_) => {}
        Kind::Extension(extension) => assign(&mut extension.child, hashes)?,
        Kind::Branch(children) => {
            for child in children.iter_mut().flatten() {
                assign(child, hashes)?;
            }
        }
    }
    node.reference = Reference::Hash(*hashes.next().ok_or(INVALID)?);
    Ok(())
}

impl Batch {
    pub(super) fn clear(&mut self) {
        self.rlp.clear();
        self.nodes.clear();
    }

    /// The buffer that nodes are encoded into.
    pub(super) fn rlp(&mut self) -> &mut Vec<u8> {
        &mut self.rlp
    }

    /// Adds the node whose RLP begins at `start` and is complete but for its holes, and gives its
    /// number; `None` for one that is shorter than a hash, which waits for none.
    pub(super) fn push(&mut self, start: usize, level: u8) -> Option<usize> {
        let end = self.rlp.len();
        if end - start < 32 {
            return None;
        }
        self.nodes.push(Pending { start, end, level, hole: usize::MAX });
        Some(self.nodes.len() - 1)
    }

    /// Takes the last 32 bytes of the buffer for the place of a node's hash, and gives the level of
    /// a node that waits for it.
    pub(super) fn wait_for(&mut self, number: usize) -> u8 {
        let node = &mut self.nodes[number];
        node.hole = self.rlp.len() - 32;
        // A path has 64 nibbles at most.
        node.level + 1
    }

    /// The hash of a node, once all are computed.
    pub(super) fn hash_of(&self, number: usize) -> B256 {
        self.hashes[number]
    }

    /// Computes all hashes.
    pub(super) fn hash(&mut self) {
        let Self { rlp, nodes, order, hashes } = self;
        hashes.clear();
        hashes.resize(nodes.len(), B256::ZERO);
        order.clear();
        // There are few of them.
        order.extend(0..nodes.len() as u32);
        let kind = |number: &u32| {
            let node = &nodes[*number as usize];
            (node.level, permutations(node.end - node.start))
        };
        order.sort_unstable_by_key(|number| (kind(number), *number));
        for alike in order.chunk_by(|a, b| kind(a) == kind(b)) {
            let (fours, rest) = alike.as_chunks::<4>();
            for four in fours {
                let nodes = four.map(|number| nodes[number as usize]);
                let found = hash4(nodes.map(|node| &rlp[node.start..node.end]));
                for ((number, node), hash) in four.iter().zip(nodes).zip(found) {
                    hashes[*number as usize] = hash;
                    fill(rlp, node.hole, &hash);
                }
            }
            for number in rest {
                let node = nodes[*number as usize];
                let hash = keccak256(&rlp[node.start..node.end]);
                hashes[*number as usize] = hash;
                fill(rlp, node.hole, &hash);
            }
        }
    }
}

fn fill(rlp: &mut [u8], hole: usize, hash: &B256) {
    if let Some(place) = hole.checked_add(32).and_then(|end| rlp.get_mut(hole..end)) {
        place.copy_from_slice(hash.as_slice());
    }
}

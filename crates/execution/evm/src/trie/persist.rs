//! Tries in files: storing what is new, putting out of memory what is stored, and moving what is
//! old.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use alloy_primitives::B256;

use super::node::{ExtensionNode, INVALID, Kind, LeafNode, Link, Node, Reference};
use super::source::{Place, TrieSink, TrieSource};
use super::{Leaf, Trie, record};
use crate::StateError;

impl<V: Leaf> Trie<V> {
    /// Stores every node that has no place yet, children first, and says where the root lies. The
    /// nodes know their places then, in every snapshot that shares them.
    ///
    /// # Errors
    /// When the trie is not committed, a node is in no file and not in memory, or the sink fails;
    /// what was stored until then keeps its place.
    pub fn persist(&self, sink: &mut dyn TrieSink) -> Result<Place, StateError> {
        let Some(root) = &self.root else { return Ok(Place::default()) };
        let hash = self.root().ok_or(StateError::Uncommitted)?;
        persist(root, hash, sink, &mut Vec::with_capacity(1024))?;
        Ok(root.place())
    }

    /// The trie without what the sweep puts out of memory.
    pub fn swept(&self, sweep: &mut Sweep) -> Option<Self> {
        let root = swept(self.root.as_ref()?, sweep)?;
        Some(Self { root: Some(root) })
    }

    /// The trie without what the sweep puts out of memory in the subtree of the keys that begin
    /// with these two nibbles.
    pub fn swept_part(&self, part: u8, sweep: &mut Sweep) -> Option<Self> {
        let root = swept_part(self.root.as_ref()?, &[part >> 4, part & 15], sweep)?;
        Some(Self { root: Some(root) })
    }

    /// The trie with what must leave old segments in memory, not stored.
    ///
    /// # Errors
    /// When a node cannot be read.
    pub fn evacuated(&self, evacuation: &mut Evacuation<'_>) -> Result<Option<Self>, StateError> {
        let Some(root) = &self.root else { return Ok(None) };
        Ok(evacuated(root, evacuation)?.map(|root| Self { root: Some(root) }))
    }

    /// A copy that shares no nodes and is stored nowhere.
    ///
    /// # Errors
    /// When a node is not in memory.
    pub fn detached(&self) -> Result<Self, StateError> {
        Ok(Self { root: self.root.as_ref().map(detached).transpose()? })
    }
}

fn persist<V: Leaf>(
    node: &Node<V>,
    hash: B256,
    sink: &mut dyn TrieSink,
    scratch: &mut Vec<u8>,
) -> Result<(), StateError> {
    if node.place().position != 0 {
        return Ok(());
    }
    let mut oldest = u32::MAX;
    let mut child = |link: &Link<V>, scratch: &mut Vec<u8>| match link.reference {
        Reference::Unknown => Err(StateError::Uncommitted),
        // Part of its parent; it holds nothing that is stored elsewhere.
        Reference::Short => Ok(()),
        Reference::Hash(hash) => {
            persist(link, hash, sink, scratch)?;
            oldest = oldest.min(link.place().oldest);
            Ok(())
        }
    };
    let kind = node.resident().ok_or(StateError::MissingNode(hash))?;
    match kind {
        Kind::Unresolved(_) => return Err(INVALID),
        Kind::Leaf(leaf) => {
            leaf.value.persist(sink)?;
            oldest = leaf.value.oldest();
        }
        Kind::Extension(extension) => child(&extension.child, scratch)?,
        Kind::Branch(children) => {
            for link in children.iter().flatten() {
                child(link, scratch)?;
            }
        }
    }
    scratch.clear();
    record::encode(kind, scratch)?;
    let place = sink.node(&hash, scratch)?;
    node.set_place(Place { oldest: oldest.min(place.oldest), ..place });
    Ok(())
}

/// What a sweep is to do, and what it saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sweep {
    /// Nodes whose record lies below this position may go.
    pub below: u64,
    /// Whether stored nodes that nobody used since the last sweep go; otherwise they only age.
    pub evict: bool,
    /// Whether nodes go that were used, too.
    pub all: bool,
    /// Bytes, roughly, of the nodes that stayed.
    pub bytes: u64,
    /// Nodes that stayed.
    pub nodes: u64,
}

/// Bytes that a node takes beside what it is: counters, hash, place, and the allocator's share.
const NODE_BYTES: u64 = 96;
/// Bytes of a branch's children.
const BRANCH_BYTES: u64 = 144;

impl Sweep {
    fn stays<V>(&mut self, kind: &Kind<V>) {
        self.nodes += 1;
        self.bytes += NODE_BYTES
            + match kind {
                Kind::Unresolved(_) => 0,
                Kind::Leaf(_) => size_of::<LeafNode<V>>() as u64 + 16,
                Kind::Extension(_) => size_of::<ExtensionNode<V>>() as u64 + 16,
                Kind::Branch(children) => {
                    // Children that are not in memory have their own counters, hash and place.
                    let absent = children.iter().flatten().filter(|c| c.resident().is_none());
                    BRANCH_BYTES + NODE_BYTES * absent.count() as u64
                }
            };
    }
}

/// A replacement for the node, if anything of it goes out of memory.
fn swept<V: Leaf>(link: &Link<V>, sweep: &mut Sweep) -> Option<Link<V>> {
    let kind = link.resident()?;
    let place = link.place();
    let idle = !link.take_used();
    if let Reference::Hash(hash) = link.reference
        && sweep.evict
        && (idle || sweep.all)
        && place.position != 0
        && place.position < sweep.below
    {
        return Some(Arc::new(Node::unresolved(hash, place)));
    }
    let kind = match kind {
        Kind::Unresolved(_) => None,
        Kind::Leaf(leaf) => leaf
            .value
            .sweep(sweep)
            .map(|value| Kind::Leaf(Box::new(LeafNode { path: leaf.path, value }))),
        Kind::Extension(extension) => swept(&extension.child, sweep)
            .map(|child| Kind::Extension(Box::new(ExtensionNode { path: extension.path, child }))),
        Kind::Branch(children) => {
            let mut copy = None;
            for (index, child) in children.iter().enumerate() {
                if let Some(child) = child.as_ref().and_then(|child| swept(child, sweep)) {
                    copy.get_or_insert_with(|| children.clone())[index] = Some(child);
                }
            }
            copy.map(Kind::Branch)
        }
    };
    sweep.stays(kind.as_ref().or(link.resident())?);
    Some(Arc::new(Node::with(link.reference, place, kind?)))
}

fn swept_part<V: Leaf>(link: &Link<V>, part: &[u8], sweep: &mut Sweep) -> Option<Link<V>> {
    let (Some((first, part)), Some(Kind::Branch(children))) = (part.split_first(), link.resident())
    else {
        return swept(link, sweep);
    };
    let index = usize::from(*first);
    let child = swept_part(children[index].as_ref()?, part, sweep)?;
    let mut children = children.clone();
    children[index] = Some(child);
    Some(Arc::new(Node::with(link.reference, link.place(), Kind::Branch(children))))
}

/// Which nodes must leave their segments.
#[derive(Debug)]
pub struct Evacuation<'a> {
    /// Those in segments before this one.
    pub before: u32,
    /// How many bytes of records may still be moved; the last node may exceed it.
    pub bytes: u64,
    /// Where the nodes are read from.
    pub source: &'a dyn TrieSource,
}

/// About what a node's record takes, for the budget of an evacuation.
fn record_bytes<V>(kind: &Kind<V>) -> u64 {
    match kind {
        Kind::Branch(children) => 9 + 41 * children.iter().flatten().count() as u64,
        _ => 100,
    }
}

/// A copy of the node that is not stored, if it or something below it lies in an old segment.
fn evacuated<V: Leaf>(
    link: &Link<V>,
    evacuation: &mut Evacuation<'_>,
) -> Result<Option<Link<V>>, StateError> {
    let place = link.place();
    let Reference::Hash(_) = link.reference else { return Ok(None) };
    // What has no place is about to be written, but something below it may still be old.
    if evacuation.bytes == 0 || place.position != 0 && place.oldest >= evacuation.before {
        return Ok(None);
    }
    let kind = link.glance(evacuation.source)?;
    let moved = match &*kind {
        Kind::Unresolved(_) => return Err(INVALID),
        Kind::Leaf(leaf) => leaf
            .value
            .evacuate(evacuation)?
            .map(|value| Kind::Leaf(Box::new(LeafNode { path: leaf.path, value }))),
        Kind::Extension(extension) => evacuated(&extension.child, evacuation)?
            .map(|child| Kind::Extension(Box::new(ExtensionNode { path: extension.path, child }))),
        Kind::Branch(children) => {
            let mut copy = None;
            for (index, child) in children.iter().enumerate() {
                let Some(child) = child else { continue };
                if let Some(child) = evacuated(child, evacuation)? {
                    copy.get_or_insert_with(|| children.clone())[index] = Some(child);
                }
            }
            copy.map(Kind::Branch)
        }
    };
    let old = place.position != 0 && place.segment() < evacuation.before;
    let kind = match moved {
        Some(kind) => kind,
        None if old => (*kind).clone(),
        None => return Ok(None),
    };
    evacuation.bytes = evacuation.bytes.saturating_sub(record_bytes(&kind));
    Ok(Some(Arc::new(Node::with(link.reference, Place::default(), kind))))
}

fn detached<V: Leaf>(link: &Link<V>) -> Result<Link<V>, StateError> {
    let missing = match link.reference {
        Reference::Hash(hash) => StateError::MissingNode(hash),
        _ => INVALID,
    };
    let kind = match link.resident().ok_or(missing)? {
        Kind::Unresolved(_) => return Err(INVALID),
        Kind::Leaf(leaf) => {
            Kind::Leaf(Box::new(LeafNode { path: leaf.path, value: leaf.value.detach()? }))
        }
        Kind::Extension(extension) => Kind::Extension(Box::new(ExtensionNode {
            path: extension.path,
            child: detached(&extension.child)?,
        })),
        Kind::Branch(children) => {
            let mut copy: [Option<Link<V>>; 16] = Default::default();
            for (to, from) in copy.iter_mut().zip(children.iter()) {
                *to = from.as_ref().map(detached).transpose()?;
            }
            Kind::Branch(Box::new(copy))
        }
    };
    Ok(Arc::new(Node::with(link.reference, Place::default(), kind)))
}

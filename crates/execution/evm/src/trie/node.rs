//! Trie nodes and the operations on them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use alloy_primitives::{B256, Bytes};
use alloy_rlp::{Decodable, EMPTY_STRING_CODE, Encodable, Header};
use alloy_trie::Nibbles;
use alloy_trie::nodes::{ExtensionNodeRef, LeafNodeRef, RlpNode, TrieNode};

use super::Leaf;
use super::source::TrieSource;
use crate::StateError;

/// A shared node.
pub(super) type Link<V> = Arc<Node<V>>;

/// A node and, once computed, how its parent refers to it.
#[derive(Clone, Debug)]
pub(super) struct Node<V> {
    /// The node's RLP if shorter than 32 bytes, else the RLP of its hash; `None` after a change.
    pub(super) reference: Option<RlpNode>,
    pub(super) kind: Kind<V>,
}

#[derive(Clone, Debug)]
pub(super) enum Kind<V> {
    /// Known by hash only.
    Unresolved,
    /// The end of a path.
    Leaf { path: Nibbles, value: V },
    /// A stretch of path without a fork; the child is a branch.
    Extension { path: Nibbles, child: Link<V> },
    /// A fork with at least two children.
    Branch(Box<[Option<Link<V>>; 16]>),
}

impl<V> Node<V> {
    pub(super) const fn new(kind: Kind<V>) -> Self {
        Self { reference: None, kind }
    }

    pub(super) const fn unresolved(hash: B256) -> Self {
        Self { reference: Some(RlpNode::word_rlp(&hash)), kind: Kind::Unresolved }
    }
}

const INVALID: StateError = StateError::InvalidTrie;

/// First nibble of a path and what follows it.
fn split_first(path: &Nibbles) -> Result<(usize, Nibbles), StateError> {
    let first = path.first().ok_or(INVALID)?;
    Ok((usize::from(first), path.slice(1..)))
}

/// The encoded node behind an unresolved reference.
fn fetch(reference: Option<&RlpNode>, source: &dyn TrieSource) -> Result<Bytes, StateError> {
    let hash = reference.and_then(RlpNode::as_hash).ok_or(INVALID)?;
    source.node(&hash)?.ok_or(StateError::MissingNode(hash))
}

/// The node itself: what an unresolved one stands for, decoded one level deep.
fn resolve<V: Leaf>(node: &Node<V>, source: &dyn TrieSource) -> Result<Node<V>, StateError> {
    let rlp = fetch(node.reference.as_ref(), source)?;
    Ok(Node { reference: node.reference.clone(), kind: decode(&rlp)? })
}

/// Makes the node at `link` writable, in memory, and without a hash.
fn open<'a, V: Leaf>(
    link: &'a mut Link<V>,
    source: &dyn TrieSource,
) -> Result<&'a mut Kind<V>, StateError> {
    let node = Arc::make_mut(link);
    if matches!(node.kind, Kind::Unresolved) {
        *node = resolve(node, source)?;
    }
    node.reference = None;
    Ok(&mut node.kind)
}

fn decode<V: Leaf>(mut rlp: &[u8]) -> Result<Kind<V>, StateError> {
    let node = TrieNode::decode(&mut rlp).map_err(|_| INVALID)?;
    if !rlp.is_empty() {
        return Err(INVALID);
    }
    match node {
        TrieNode::EmptyRoot => Err(INVALID),
        TrieNode::Leaf(leaf) => {
            Ok(Kind::Leaf { path: leaf.key, value: V::decode(&leaf.value).map_err(|_| INVALID)? })
        }
        TrieNode::Extension(extension) => {
            // Each level must consume some of the path, or a chain could be endless.
            if extension.key.is_empty() {
                return Err(INVALID);
            }
            Ok(Kind::Extension { path: extension.key, child: decode_child(&extension.child)? })
        }
        TrieNode::Branch(branch) => {
            let mut children: [Option<Link<V>>; 16] = Default::default();
            let mut stack = branch.stack.iter();
            for (index, child) in children.iter_mut().enumerate() {
                if branch.state_mask.is_bit_set(index as u8) {
                    *child = Some(decode_child(stack.next().ok_or(INVALID)?)?);
                }
            }
            Ok(Kind::Branch(Box::new(children)))
        }
    }
}

/// A child by its reference: a hash stays unresolved, a short node is decoded where it stands.
fn decode_child<V: Leaf>(reference: &RlpNode) -> Result<Link<V>, StateError> {
    let kind = if reference.is_hash() { Kind::Unresolved } else { decode(reference.as_slice())? };
    Ok(Arc::new(Node { reference: Some(reference.clone()), kind }))
}

pub(super) fn get<V: Leaf, R>(
    node: &Node<V>,
    path: Nibbles,
    source: &dyn TrieSource,
    read: impl FnOnce(&V) -> R,
) -> Result<Option<R>, StateError> {
    let (mut node, mut path) = (node, path);
    loop {
        match &node.kind {
            Kind::Unresolved => return get(&resolve(node, source)?, path, source, read),
            Kind::Leaf { path: end, value } => {
                return Ok((*end == path).then(|| read(value)));
            }
            Kind::Extension { path: stretch, child } => {
                if !path.starts_with(stretch) {
                    return Ok(None);
                }
                path = path.slice(stretch.len()..);
                node = child;
            }
            Kind::Branch(children) => {
                let (index, rest) = split_first(&path)?;
                match &children[index] {
                    None => return Ok(None),
                    Some(child) => node = child,
                }
                path = rest;
            }
        }
    }
}

pub(super) fn insert<V: Leaf>(
    link: &mut Link<V>,
    path: Nibbles,
    value: V,
    source: &dyn TrieSource,
) -> Result<(), StateError> {
    let kind = open(link, source)?;
    match kind {
        Kind::Unresolved => Err(INVALID),
        Kind::Leaf { path: end, value: old } => {
            if *end == path {
                *old = value;
                return Ok(());
            }
            let common = end.common_prefix_length(&path);
            let (old_index, old_rest) = split_first(&end.slice(common..))?;
            let (new_index, new_rest) = split_first(&path.slice(common..))?;
            let old = Arc::new(Node::new(Kind::Leaf { path: old_rest, value: old.clone() }));
            let new = Arc::new(Node::new(Kind::Leaf { path: new_rest, value }));
            *kind = fork(&path.slice(..common), (old_index, old), (new_index, new));
            Ok(())
        }
        Kind::Extension { path: stretch, child } => {
            let common = stretch.common_prefix_length(&path);
            if common == stretch.len() {
                return insert(child, path.slice(common..), value, source);
            }
            let (old_index, old_rest) = split_first(&stretch.slice(common..))?;
            let (new_index, new_rest) = split_first(&path.slice(common..))?;
            let old = if old_rest.is_empty() {
                child.clone()
            } else {
                Arc::new(Node::new(Kind::Extension { path: old_rest, child: child.clone() }))
            };
            let new = Arc::new(Node::new(Kind::Leaf { path: new_rest, value }));
            *kind = fork(&path.slice(..common), (old_index, old), (new_index, new));
            Ok(())
        }
        Kind::Branch(children) => {
            let (index, rest) = split_first(&path)?;
            match &mut children[index] {
                Some(child) => insert(child, rest, value, source),
                empty => {
                    *empty = Some(Arc::new(Node::new(Kind::Leaf { path: rest, value })));
                    Ok(())
                }
            }
        }
    }
}

/// A branch of two children below `stretch`.
fn fork<V>(stretch: &Nibbles, old: (usize, Link<V>), new: (usize, Link<V>)) -> Kind<V> {
    let mut children: [Option<Link<V>>; 16] = Default::default();
    children[old.0] = Some(old.1);
    children[new.0] = Some(new.1);
    let branch = Kind::Branch(Box::new(children));
    if stretch.is_empty() {
        return branch;
    }
    Kind::Extension { path: *stretch, child: Arc::new(Node::new(branch)) }
}

/// Removes the value at `path`, which must exist.
pub(super) fn remove<V: Leaf>(
    slot: &mut Option<Link<V>>,
    path: Nibbles,
    source: &dyn TrieSource,
) -> Result<(), StateError> {
    let Some(link) = slot else { return Err(INVALID) };
    let kind = open(link, source)?;
    match kind {
        Kind::Unresolved => Err(INVALID),
        Kind::Leaf { .. } => {
            *slot = None;
            Ok(())
        }
        Kind::Extension { path: stretch, child } => {
            let mut below = Some(child.clone());
            remove(&mut below, path.slice(stretch.len()..), source)?;
            // Below an extension stands a branch, of which at least one child is left.
            let below = below.ok_or(INVALID)?;
            *kind = prepend(stretch, below);
            Ok(())
        }
        Kind::Branch(children) => {
            let (index, rest) = split_first(&path)?;
            remove(&mut children[index], rest, source)?;
            if children[index].is_some() {
                return Ok(());
            }
            let mut left = children.iter_mut().enumerate().filter(|(_, c)| c.is_some());
            if let (Some((index, last)), None) = (left.next(), left.next()) {
                let mut last = last.take().ok_or(INVALID)?;
                if matches!(last.kind, Kind::Unresolved) {
                    last = Arc::new(resolve(&last, source)?);
                }
                *kind = prepend(&Nibbles::from_nibbles([index as u8]), last);
            }
            Ok(())
        }
    }
}

/// The node that reaches `below` through `stretch`: paths of leaves and extensions are merged.
fn prepend<V: Leaf>(stretch: &Nibbles, below: Link<V>) -> Kind<V> {
    let mut path = *stretch;
    match &below.kind {
        Kind::Leaf { path: end, value } => {
            path.extend(end);
            Kind::Leaf { path, value: value.clone() }
        }
        Kind::Extension { path: more, child } => {
            path.extend(more);
            Kind::Extension { path, child: child.clone() }
        }
        Kind::Branch(_) | Kind::Unresolved => Kind::Extension { path, child: below },
    }
}

/// Computes the references of all changed nodes below `link` and returns its own. `scratch` is a
/// buffer to reuse.
pub(super) fn commit<V: Leaf>(link: &mut Link<V>, scratch: &mut Vec<u8>) -> RlpNode {
    if let Some(reference) = &link.reference {
        return reference.clone();
    }
    let node = Arc::make_mut(link);
    match &mut node.kind {
        Kind::Unresolved => {}
        Kind::Leaf { value, .. } => value.commit(),
        Kind::Extension { child, .. } => {
            commit(child, scratch);
        }
        Kind::Branch(children) => {
            for child in children.iter_mut().flatten() {
                commit(child, scratch);
            }
        }
    }
    scratch.clear();
    encode(&node.kind, scratch);
    let reference = RlpNode::from_rlp(scratch);
    node.reference = Some(reference.clone());
    reference
}

/// RLP of a node whose children are committed.
fn encode<V: Leaf>(kind: &Kind<V>, out: &mut Vec<u8>) {
    match kind {
        // An unresolved node always has its reference, so nobody encodes it.
        Kind::Unresolved => {}
        Kind::Leaf { path, value } => {
            let mut rlp = Vec::with_capacity(112);
            value.encode(&mut rlp);
            LeafNodeRef::new(path, &rlp).encode(out);
        }
        Kind::Extension { path, child } => {
            ExtensionNodeRef::new(path, reference_of(child)).encode(out);
        }
        Kind::Branch(children) => {
            let length =
                |child: &Option<Link<V>>| child.as_ref().map_or(1, |c| reference_of(c).len());
            let payload_length = children.iter().map(length).sum::<usize>() + 1;
            Header { list: true, payload_length }.encode(out);
            for child in children.iter() {
                match child {
                    Some(child) => out.extend_from_slice(reference_of(child)),
                    None => out.push(EMPTY_STRING_CODE),
                }
            }
            out.push(EMPTY_STRING_CODE);
        }
    }
}

fn reference_of<V>(link: &Link<V>) -> &[u8] {
    link.reference.as_ref().map_or(&[], |reference| reference.as_slice())
}

/// The encoded node that stands at the end of `path`, if one begins there. Nothing below it is
/// looked at.
pub(super) fn encoded_at<V: Leaf>(
    node: &Node<V>,
    path: Nibbles,
    source: &dyn TrieSource,
) -> Result<Option<Bytes>, StateError> {
    if matches!(node.kind, Kind::Unresolved) {
        if path.is_empty() {
            return fetch(node.reference.as_ref(), source).map(Some);
        }
        return encoded_at(&resolve(node, source)?, path, source);
    }
    if path.is_empty() {
        node.reference.as_ref().ok_or(StateError::Uncommitted)?;
        let mut rlp = Vec::new();
        encode(&node.kind, &mut rlp);
        return Ok(Some(rlp.into()));
    }
    match &node.kind {
        Kind::Unresolved | Kind::Leaf { .. } => Ok(None),
        Kind::Extension { path: stretch, child } => match path.starts_with(stretch) {
            true => encoded_at(child, path.slice(stretch.len()..), source),
            false => Ok(None),
        },
        Kind::Branch(children) => {
            let (index, rest) = split_first(&path)?;
            match &children[index] {
                Some(child) => encoded_at(child, rest, source),
                None => Ok(None),
            }
        }
    }
}

/// Collects the encoded nodes on the path that their parents refer to by hash.
pub(super) fn prove<V: Leaf>(
    node: &Node<V>,
    path: Nibbles,
    source: &dyn TrieSource,
    is_root: bool,
    nodes: &mut Vec<Bytes>,
) -> Result<(), StateError> {
    if matches!(node.kind, Kind::Unresolved) {
        return prove(&resolve(node, source)?, path, source, is_root, nodes);
    }
    let reference = node.reference.as_ref().ok_or(StateError::Uncommitted)?;
    if is_root || reference.is_hash() {
        let mut rlp = Vec::new();
        encode(&node.kind, &mut rlp);
        nodes.push(rlp.into());
    }
    match &node.kind {
        Kind::Unresolved | Kind::Leaf { .. } => Ok(()),
        Kind::Extension { path: stretch, child } => {
            if path.starts_with(stretch) {
                prove(child, path.slice(stretch.len()..), source, false, nodes)
            } else {
                Ok(())
            }
        }
        Kind::Branch(children) => {
            let (index, rest) = split_first(&path)?;
            match &children[index] {
                Some(child) => prove(child, rest, source, false, nodes),
                None => Ok(()),
            }
        }
    }
}

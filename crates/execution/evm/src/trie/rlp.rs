//! Nodes as Ethereum encodes and hashes them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use alloy_rlp::{Decodable, EMPTY_STRING_CODE, Encodable, Header};
use alloy_trie::Nibbles;
use alloy_trie::nodes::{ExtensionNodeRef, LeafNodeRef, RlpNode, TrieNode};
use once_cell::race::OnceBox;

use super::Leaf;
use super::node::{ExtensionNode, INVALID, Kind, LeafNode, Link, Node, Reference};
use super::source::Place;
use crate::StateError;

/// First byte of a hash as an RLP string.
pub(super) const HASH_CODE: u8 = 0xa0;

/// Appends the RLP of a node whose children are hashed.
pub(super) fn encode<V: Leaf>(kind: &Kind<V>, out: &mut Vec<u8>) -> Result<(), StateError> {
    match kind {
        // Whoever encodes a node has looked what it is.
        Kind::Unresolved(_) => return Err(INVALID),
        Kind::Leaf(leaf) => {
            let mut rlp = Vec::with_capacity(112);
            leaf.value.encode(&mut rlp);
            LeafNodeRef::new(&leaf.path, &rlp).encode(out);
        }
        Kind::Extension(extension) => {
            let mut child = Vec::with_capacity(33);
            encode_reference(&extension.child, &mut child)?;
            encode_extension(&extension.path, &child, out);
        }
        Kind::Branch(children) => {
            // The payload is written where it goes if its header takes three bytes, as it does
            // for branches of eight children and more.
            let start = out.len();
            out.extend_from_slice(&[0; 3]);
            for child in children.iter() {
                match child {
                    Some(child) => encode_reference(child, out)?,
                    None => out.push(EMPTY_STRING_CODE),
                }
            }
            out.push(EMPTY_STRING_CODE);
            let header = Header { list: true, payload_length: out.len() - start - 3 };
            let mut bytes = Vec::with_capacity(3);
            header.encode(&mut bytes);
            out.splice(start..start + 3, bytes);
        }
    }
    Ok(())
}

/// Appends the RLP of an extension whose child is referred to by `child`.
pub(super) fn encode_extension(path: &Nibbles, child: &[u8], out: &mut Vec<u8>) {
    ExtensionNodeRef::new(path, child).encode(out);
}

/// Bytes that a parent writes for a child.
pub(super) fn reference_length<V: Leaf>(link: &Link<V>) -> Result<usize, StateError> {
    match &link.reference {
        Reference::Unknown => Err(StateError::Uncommitted),
        Reference::Hash(_) => Ok(33),
        Reference::Short => {
            let mut rlp = Vec::with_capacity(32);
            encode(&link.kind, &mut rlp)?;
            Ok(rlp.len())
        }
    }
}

/// Appends what a parent writes for a child.
pub(super) fn encode_reference<V: Leaf>(
    link: &Link<V>,
    out: &mut Vec<u8>,
) -> Result<(), StateError> {
    match &link.reference {
        Reference::Unknown => Err(StateError::Uncommitted),
        Reference::Hash(hash) => {
            out.push(HASH_CODE);
            out.extend_from_slice(hash.as_slice());
            Ok(())
        }
        // Short nodes are always in memory with their parent.
        Reference::Short => encode(&link.kind, out),
    }
}

pub(super) fn decode<V: Leaf>(mut rlp: &[u8]) -> Result<Kind<V>, StateError> {
    let node = TrieNode::decode(&mut rlp).map_err(|_| INVALID)?;
    if !rlp.is_empty() {
        return Err(INVALID);
    }
    match node {
        TrieNode::EmptyRoot => Err(INVALID),
        TrieNode::Leaf(leaf) => {
            let value = V::decode(&leaf.value).map_err(|_| INVALID)?;
            Ok(Kind::Leaf(Box::new(LeafNode { path: leaf.key, value })))
        }
        TrieNode::Extension(extension) => {
            let child = decode_child(&extension.child)?;
            self::extension(extension.key, child)
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

/// An extension that was read. Each level must consume some of the path, or a chain of them could
/// be endless.
pub(super) fn extension<V>(path: Nibbles, child: Link<V>) -> Result<Kind<V>, StateError> {
    if path.is_empty() {
        return Err(INVALID);
    }
    Ok(Kind::Extension(Box::new(ExtensionNode { path, child })))
}

/// A child by its reference: a hash stays unresolved, a short node is decoded where it stands.
fn decode_child<V: Leaf>(reference: &RlpNode) -> Result<Link<V>, StateError> {
    match reference.as_hash() {
        Some(hash) => Ok(Arc::new(Node::with(
            Reference::Hash(hash),
            Place::default(),
            Kind::Unresolved(OnceBox::new()),
        ))),
        None => short(reference.as_slice()),
    }
}

/// A node that stands in its parent.
pub(super) fn short<V: Leaf>(rlp: &[u8]) -> Result<Link<V>, StateError> {
    // At 32 bytes its parent would hold its hash.
    if rlp.len() >= 32 {
        return Err(INVALID);
    }
    Ok(Arc::new(Node::with(Reference::Short, Place::default(), decode(rlp)?)))
}

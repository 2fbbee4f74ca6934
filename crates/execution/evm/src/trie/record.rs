//! Nodes as a file set stores them: like their RLP, but children have a place beside their hash,
//! and absent ones take no room.
//!
//! ```text
//!  branch     1  present: u16  short: u16  child …
//!  extension  2  path  short?: u8  child
//!  leaf       3  path  value
//!
//!  path       number of nibbles: u8, packed nibbles
//!  child      hash: 32 bytes, pointer                 or, for a short one, length: u8, RLP
//!  pointer    position: u64, oldest segment below: varint
//! ```
//! Numbers are big-endian. A record's length and checksum are the file set's affair.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use alloy_primitives::{B256, U256};
use alloy_trie::Nibbles;

use super::Leaf;
use super::node::{INVALID, Kind, LeafNode, Link, Node, Reference};
use super::rlp;
use super::source::Place;
use crate::StateError;

const BRANCH: u8 = 1;
const EXTENSION: u8 = 2;
const LEAF: u8 = 3;

/// Appends the record of a node whose children are stored.
pub(super) fn encode<V: Leaf>(kind: &Kind<V>, out: &mut Vec<u8>) -> Result<(), StateError> {
    match kind {
        Kind::Unresolved(_) => return Err(INVALID),
        Kind::Leaf(leaf) => {
            out.push(LEAF);
            put_path(&leaf.path, out);
            leaf.value.store(out)?;
        }
        Kind::Extension(extension) => {
            out.push(EXTENSION);
            put_path(&extension.path, out);
            out.push(u8::from(extension.child.reference == Reference::Short));
            put_child(&extension.child, out)?;
        }
        Kind::Branch(children) => {
            let (mut present, mut short) = (0u16, 0u16);
            for (index, child) in children.iter().enumerate() {
                if let Some(child) = child {
                    present |= 1 << index;
                    short |= u16::from(child.reference == Reference::Short) << index;
                }
            }
            out.push(BRANCH);
            out.extend_from_slice(&present.to_be_bytes());
            out.extend_from_slice(&short.to_be_bytes());
            for child in children.iter().flatten() {
                put_child(child, out)?;
            }
        }
    }
    Ok(())
}

pub(super) fn decode<V: Leaf>(record: &[u8]) -> Result<Kind<V>, StateError> {
    let mut input = Input(record);
    let kind = match input.byte()? {
        BRANCH => {
            let (present, short) = (input.u16()?, input.u16()?);
            let mut children: [Option<Link<V>>; 16] = Default::default();
            for (index, child) in children.iter_mut().enumerate() {
                if present >> index & 1 == 1 {
                    *child = Some(input.child(short >> index & 1 == 1)?);
                }
            }
            Kind::Branch(Box::new(children))
        }
        EXTENSION => {
            let path = input.path()?;
            let short = input.byte()? == 1;
            rlp::extension(path, input.child(short)?)?
        }
        LEAF => {
            let path = input.path()?;
            let value = V::load(&mut input)?;
            Kind::Leaf(Box::new(LeafNode { path, value }))
        }
        _ => return Err(INVALID),
    };
    if input.0.is_empty() { Ok(kind) } else { Err(INVALID) }
}

fn put_path(path: &Nibbles, out: &mut Vec<u8>) {
    // At most 64 nibbles.
    out.push(path.len() as u8);
    out.extend_from_slice(&path.pack());
}

fn put_child<V: Leaf>(link: &Link<V>, out: &mut Vec<u8>) -> Result<(), StateError> {
    match &link.reference {
        Reference::Unknown => Err(StateError::Uncommitted),
        Reference::Hash(hash) => {
            out.extend_from_slice(hash.as_slice());
            put_place(&link.place(), out);
            Ok(())
        }
        Reference::Short => {
            let at = out.len();
            out.push(0);
            rlp::encode(&link.kind, out)?;
            out[at] = (out.len() - at - 1) as u8;
            Ok(())
        }
    }
}

/// Appends a pointer to a stored node.
pub(crate) fn put_place(place: &Place, out: &mut Vec<u8>) {
    out.extend_from_slice(&place.position.to_be_bytes());
    put_varint(u64::from(place.oldest), out);
}

/// Appends a number, seven bits a byte, lowest first.
pub(crate) fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// What is left to read of a record.
#[derive(Debug)]
pub struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], StateError> {
        let (bytes, left) = self.0.split_at_checked(length).ok_or(INVALID)?;
        self.0 = left;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        self.bytes(N)?.try_into().map_err(|_| INVALID)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, StateError> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, StateError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn hash(&mut self) -> Result<B256, StateError> {
        Ok(B256::new(self.array()?))
    }

    /// A number whose length in bytes stands before it.
    pub(crate) fn number(&mut self) -> Result<U256, StateError> {
        let length = self.byte()?;
        U256::try_from_be_slice(self.bytes(usize::from(length))?).ok_or(INVALID)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, StateError> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(INVALID)
    }

    pub(crate) fn place(&mut self) -> Result<Place, StateError> {
        let position = u64::from_be_bytes(self.array()?);
        Ok(Place { position, oldest: u32::try_from(self.varint()?).map_err(|_| INVALID)? })
    }

    fn path(&mut self) -> Result<Nibbles, StateError> {
        let nibbles = usize::from(self.byte()?);
        if nibbles > 64 {
            return Err(INVALID);
        }
        Ok(Nibbles::unpack(self.bytes(nibbles.div_ceil(2))?).slice(..nibbles))
    }

    fn child<V: Leaf>(&mut self, short: bool) -> Result<Link<V>, StateError> {
        if short {
            let length = self.byte()?;
            return rlp::short(self.bytes(usize::from(length))?);
        }
        let hash = self.hash()?;
        Ok(Arc::new(Node::with(
            Reference::Hash(hash),
            self.place()?,
            Kind::Unresolved(Default::default()),
        )))
    }
}

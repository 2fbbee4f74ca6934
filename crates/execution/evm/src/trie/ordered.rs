//! Roots of lists: the trie of encoded items by their RLP-encoded places, as headers have it for
//! transactions and receipts.

use alloc::vec::Vec;

use alloy_primitives::B256;
use alloy_rlp::{EMPTY_STRING_CODE, Encodable, Header};
use alloy_trie::nodes::LeafNodeRef;
use alloy_trie::root::{adjust_index_for_rlp, ordered_trie_root_with_encoder};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};

use super::commit::{Batch, put_hole};
use super::rlp::encode_extension;

/// The root of a list of items.
pub(crate) fn ordered_root<T>(items: &[T], mut encode: impl FnMut(&T, &mut Vec<u8>)) -> B256 {
    let mut list = List { items, encode: &mut encode, batch: Batch::default(), item: Vec::new() };
    let in_order = (0..items.len()).map(|place| adjust_index_for_rlp(place, items.len()));
    let keys: Vec<(Nibbles, usize)> = in_order
        .map(|place| (Nibbles::unpack(alloy_rlp::encode_fixed_size(&place)), place))
        .collect();
    if keys.is_empty() {
        return EMPTY_ROOT_HASH;
    }
    match list.node(&keys, 0) {
        Some(root) => {
            list.batch.hash();
            list.batch.hash_of(root)
        }
        // Items of a few bytes, which no chain has.
        None => ordered_trie_root_with_encoder(items, encode),
    }
}

struct List<'a, T> {
    items: &'a [T],
    encode: &'a mut dyn FnMut(&T, &mut Vec<u8>),
    batch: Batch,
    /// An item, encoded.
    item: Vec<u8>,
}

impl<T> List<'_, T> {
    /// The node above these keys, which are sorted, at least one, and alike up to `depth`; `None`
    /// when a node is shorter than a hash. A node is given by its number in the batch.
    fn node(&mut self, keys: &[(Nibbles, usize)], depth: usize) -> Option<usize> {
        let ((first, place), (last, _)) = (keys.first()?, keys.last()?);
        let path = first.slice(depth..);
        if keys.len() == 1 {
            self.item.clear();
            (self.encode)(self.items.get(*place)?, &mut self.item);
            let rlp = self.batch.rlp();
            let start = rlp.len();
            LeafNodeRef::new(&path, &self.item).encode(rlp);
            return self.batch.push(start, 0);
        }
        let common = path.common_prefix_length(&last.slice(depth..));
        let branch = self.branch(keys, depth + common)?;
        if common == 0 {
            return Some(branch);
        }
        let mut child = Vec::with_capacity(33);
        put_hole(&mut child);
        let start = self.batch.rlp().len();
        encode_extension(&path.slice(..common), &child, self.batch.rlp());
        // The child comes last.
        let level = self.batch.wait_for(branch);
        self.batch.push(start, level)
    }

    /// The branch that these keys part at.
    fn branch(&mut self, keys: &[(Nibbles, usize)], depth: usize) -> Option<usize> {
        let mut children = [None; 16];
        // No key is the beginning of another, so each has a nibble here.
        for alike in keys.chunk_by(|(a, _), (b, _)| a.get(depth) == b.get(depth)) {
            let index = alike.first()?.0.get(depth)?;
            *children.get_mut(usize::from(index))? = Some(self.node(alike, depth + 1)?);
        }
        let present = children.iter().flatten().count();
        let start = self.batch.rlp().len();
        let payload_length = 33 * present + (16 - present) + 1;
        Header { list: true, payload_length }.encode(self.batch.rlp());
        let mut level = 0;
        for child in children {
            match child {
                None => self.batch.rlp().push(EMPTY_STRING_CODE),
                Some(number) => {
                    put_hole(self.batch.rlp());
                    level = level.max(self.batch.wait_for(number));
                }
            }
        }
        self.batch.rlp().push(EMPTY_STRING_CODE);
        self.batch.push(start, level)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;

    use super::*;

    #[test]
    fn lists_of_all_lengths_have_the_root_of_the_plain_way() {
        for length in (0..=40).chain(120..=140).chain([255, 256, 257, 300, 1_000, 4_200]) {
            let items: Vec<B256> = (0..length).map(|n: u32| keccak256(n.to_be_bytes())).collect();
            for size in [1usize, 20, 32, 110, 150, 300] {
                let encode = |item: &B256, out: &mut Vec<u8>| {
                    out.extend(item.iter().cycle().take(size + usize::from(item[0]) % 40));
                };
                let expected = ordered_trie_root_with_encoder(&items, encode);
                assert_eq!(ordered_root(&items, encode), expected, "{length} of {size}");
            }
        }
    }
}

//! Targets over block execution: blocks, genesis files, tries, and executing on a witness.

mod blocks;
mod store;
mod trie;
mod trie_nodes;
mod witness;

pub use blocks::{block, genesis};
pub use trie::trie;
pub use trie_nodes::trie_nodes;
pub use witness::witness;

/// First inputs, with the target that each is for.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = blocks::seeds();
    seeds.extend(witness::seeds());
    seeds
}

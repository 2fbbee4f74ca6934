//! What a stateless executor needs to execute one block: the trie nodes, codes and ancestor
//! headers that executing it here looks at, siblings that deletions merge included.
//!
//! The block is executed once more, on a state that knows nothing but its root and fetches every
//! node from a recorder. The recorder finds a node in the real state by its place: each node that
//! it hands out tells the places of the nodes below it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::vec::Vec;

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, map::B256Map};
use alloy_rlp::Decodable;
use alloy_trie::nodes::{RlpNode, TrieNode};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount};
use opal_protocol::Block;
use revm::bytecode::Bytecode;

use crate::executor::{BlockHashes, ExecutedBlock};
use crate::state::bytecode;
use crate::verify::{Stage, run_block};
use crate::{BlockError, BlockExecutor, ChainSpec, Parent, State, StateError, TrieSource};

/// What executing a block looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecutionWitness {
    /// Encoded trie nodes of the state before the block, ordered by hash.
    pub nodes: Vec<Bytes>,
    /// Contract codes, ordered by hash.
    pub codes: Vec<Bytes>,
    /// Addresses and slots that were used, not hashed, in order.
    pub keys: Vec<Bytes>,
    /// Lowest number of a block whose hash was asked for; its header and all later ones up to the
    /// parent's prove the hashes. `None` when none was.
    pub oldest_ancestor: Option<u64>,
}

/// Executes and verifies `block` as [`execute_block`](crate::execute_block) does, and collects its
/// witness.
///
/// # Errors
/// As [`execute_block`](crate::execute_block).
pub fn execution_witness(
    spec: &ChainSpec,
    parent: Parent<'_>,
    block: &Block,
    senders: &[Address],
    state: &State,
    hashes: BlockHashes<'_>,
) -> Result<(ExecutedBlock, ExecutionWitness), BlockError> {
    let recorder = Arc::new(Recorder::new(state.clone()));
    let blank = State::from_root(state.root(), recorder.clone());
    let oldest = Cell::new(None);
    let recorded_hashes = |number: u64| {
        let lowest = oldest.get().map_or(number, |known: u64| known.min(number));
        oldest.set(Some(lowest));
        hashes(number)
    };
    let mut keys = BTreeSet::new();
    let watch = |stage, executor: &mut BlockExecutor<'_>| {
        if stage != Stage::Executed {
            return;
        }
        for (address, slots) in executor.used() {
            keys.insert(Bytes::copy_from_slice(address.as_slice()));
            keys.extend(slots.map(|slot| Bytes::from(slot.to_be_bytes::<32>())));
        }
    };
    let executed = run_block(spec, parent, block, senders, &blank, &recorded_hashes, watch)?;
    let recorded = recorder.recorded();
    let witness = ExecutionWitness {
        nodes: recorded.nodes.values().cloned().collect(),
        codes: recorded.codes.values().cloned().collect(),
        keys: keys.into_iter().collect(),
        oldest_ancestor: oldest.get(),
    };
    drop(recorded);
    Ok((executed, witness))
}

/// Hands out nodes and codes of a state and remembers which.
#[derive(Debug)]
struct Recorder {
    state: State,
    recorded: Mutex<Recorded>,
}

#[derive(Debug, Default)]
struct Recorded {
    nodes: BTreeMap<B256, Bytes>,
    codes: BTreeMap<B256, Bytes>,
    /// Where the nodes stand that those handed out refer to. Equal nodes at several places are
    /// equal all the way down, so any of the places will do.
    places: B256Map<Place>,
    /// An account, by its hashed address, for each code hash seen.
    owners: B256Map<B256>,
}

/// A node's place: in the trie of accounts, or in the storage of the account with this hashed
/// address; and the path from the root.
#[derive(Clone, Debug)]
struct Place {
    account: Option<B256>,
    path: Nibbles,
}

impl Place {
    fn below(&self, more: &Nibbles) -> Self {
        let mut path = self.path;
        path.extend(more);
        Self { account: self.account, path }
    }

    /// The key of a leaf whose path this is.
    fn key(&self) -> B256 {
        let mut key = B256::ZERO;
        for (index, nibble) in self.path.iter().enumerate().take(64) {
            key[index / 2] |= if index % 2 == 0 { nibble << 4 } else { nibble };
        }
        key
    }
}

impl Recorded {
    /// Notes the places of what an encoded node refers to.
    fn learn(&mut self, node: &[u8], place: &Place) -> Result<(), StateError> {
        let invalid = |_| StateError::InvalidTrie;
        match TrieNode::decode(&mut &*node).map_err(invalid)? {
            TrieNode::EmptyRoot => {}
            TrieNode::Branch(branch) => {
                let mut children = branch.stack.iter();
                for index in 0..16 {
                    if branch.state_mask.is_bit_set(index)
                        && let Some(child) = children.next()
                    {
                        self.refer(child, place.below(&Nibbles::from_nibbles([index])));
                    }
                }
            }
            TrieNode::Extension(extension) => {
                self.refer(&extension.child, place.below(&extension.key));
            }
            TrieNode::Leaf(leaf) => {
                if place.account.is_none() {
                    let key = place.below(&leaf.key).key();
                    let account =
                        TrieAccount::decode(&mut leaf.value.as_slice()).map_err(invalid)?;
                    if account.storage_root != EMPTY_ROOT_HASH {
                        let root = Place { account: Some(key), path: Nibbles::new() };
                        self.places.entry(account.storage_root).or_insert(root);
                    }
                    if account.code_hash != KECCAK256_EMPTY {
                        self.owners.entry(account.code_hash).or_insert(key);
                    }
                }
            }
        }
        Ok(())
    }

    /// Nodes shorter than a hash stand within their parents and have no nodes with hashes below.
    fn refer(&mut self, child: &RlpNode, place: Place) {
        if let Some(hash) = child.as_hash() {
            self.places.entry(hash).or_insert(place);
        }
    }
}

impl Recorder {
    fn new(state: State) -> Self {
        let root = Place { account: None, path: Nibbles::new() };
        let places = B256Map::from_iter([(state.root(), root)]);
        Self { state, recorded: Mutex::new(Recorded { places, ..Default::default() }) }
    }

    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        // Every change leaves the maps whole.
        self.recorded.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl TrieSource for Recorder {
    fn node(&self, hash: &B256) -> Result<Option<Bytes>, StateError> {
        let mut recorded = self.recorded();
        if let Some(node) = recorded.nodes.get(hash) {
            return Ok(Some(node.clone()));
        }
        let Some(place) = recorded.places.get(hash).cloned() else { return Ok(None) };
        let node = self.state.node_at(place.account.as_ref(), place.path)?;
        if let Some(node) = &node {
            recorded.learn(node, &place)?;
            recorded.nodes.insert(*hash, node.clone());
        }
        Ok(node)
    }

    fn code(&self, hash: &B256) -> Result<Option<Bytecode>, StateError> {
        let mut recorded = self.recorded();
        if let Some(code) = recorded.codes.get(hash) {
            return Ok(Some(bytecode(code.clone())));
        }
        let Some(owner) = recorded.owners.get(hash) else { return Ok(None) };
        let code = self.state.code_at(owner)?;
        recorded.codes.insert(*hash, code.clone());
        Ok(Some(bytecode(code)))
    }
}

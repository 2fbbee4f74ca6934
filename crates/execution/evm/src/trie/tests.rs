#![allow(clippy::unwrap_used, clippy::expect_used)]

use alloc::collections::BTreeMap;

use alloy_primitives::{U256, keccak256};
use alloy_trie::proof::verify_proof;
use alloy_trie::root::storage_root;

use super::jobs::one_by_one;
use super::source::{NoSource, Preimages};
use super::*;

/// Numbers that look random and are the same on each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

/// A key of which only the first bytes differ much, so that extensions and deep branches arise.
fn key(n: u64) -> B256 {
    let mut key = keccak256(n.to_be_bytes());
    key[1..30].fill(if n.is_multiple_of(3) { 0x11 } else { 0x10 });
    key[0] &= 0x13;
    key
}

fn root_of(model: &BTreeMap<B256, U256>) -> B256 {
    storage_root(model.iter().map(|(key, value)| (*key, *value)))
}

/// Every node and value that a proof of any key in `model` shows.
fn witness(trie: &Trie<U256>, model: &BTreeMap<B256, U256>, source: &dyn TrieSource) -> Preimages {
    model.keys().flat_map(|key| trie.proof(key, source).unwrap()).collect()
}

#[test]
fn random_changes_give_the_root_of_a_naive_trie() {
    let mut numbers = Numbers(7);
    let mut trie = Trie::<U256>::default();
    let mut model = BTreeMap::new();
    let mut snapshots = Vec::new();
    for round in 0..300 {
        for _ in 0..numbers.next() % 8 {
            let key = key(numbers.next() % 200);
            if numbers.next() % 5 < 2 {
                trie.remove(&key, &NoSource).unwrap();
                model.remove(&key);
            } else {
                let value = U256::from(numbers.next() + 1) << (numbers.next() % 200) as usize;
                trie.insert(&key, value, &NoSource).unwrap();
                model.insert(key, value);
            }
        }
        assert_eq!(trie.commit().unwrap(), root_of(&model), "round {round}");
        assert_eq!(trie.root(), Some(root_of(&model)));
        if round % 50 == 0 {
            snapshots.push((trie.clone(), model.clone()));
        }
    }
    // Later changes leave earlier snapshots alone.
    for (trie, model) in snapshots {
        assert_eq!(trie.clone().commit().unwrap(), root_of(&model));
        let keys: Vec<B256> = (0..200).map(key).collect();
        let many = trie.get_many(&keys, &NoSource, |value| *value);
        for (key, found) in keys.iter().zip(many) {
            let value = trie.get(key, &NoSource, |value| *value).unwrap();
            assert_eq!(value, model.get(key).copied());
            assert_eq!(found, Ok(value));
        }
        let witness = witness(&trie, &model, &NoSource);
        let fetched = Trie::<U256>::from_root(trie.root().unwrap());
        for (key, found) in keys.iter().zip(fetched.get_many(&keys, &witness, |value| *value)) {
            assert_eq!(found, trie.get(key, &NoSource, |value| *value), "{key}");
        }
        let unknown = Trie::<U256>::from_root(trie.root().unwrap());
        let none = unknown.get_many(&keys, &NoSource, |value| *value);
        assert!(none.iter().all(|found| matches!(found, Err(StateError::MissingNode(_)))));
    }
}

#[test]
fn many_changes_at_once_give_the_root_of_a_naive_trie() {
    let mut numbers = Numbers(13);
    let mut trie = Trie::<U256>::default();
    let mut model = BTreeMap::new();
    // As many as make jobs, and fewer; of keys that differ early, and late.
    for count in [1000, 700, 40, 300, 900, 2, 2000] {
        let mut changes = BTreeMap::new();
        for _ in 0..count {
            let n = numbers.next() % 1_500;
            let key = if n.is_multiple_of(2) { key(n) } else { keccak256(n.to_be_bytes()) };
            let value = (!numbers.next().is_multiple_of(3)).then(|| U256::from(numbers.next() + 1));
            if value.is_some() || model.contains_key(&key) {
                changes.insert(key, value);
            }
        }
        for (key, value) in &changes {
            match value {
                Some(value) => model.insert(*key, *value),
                None => model.remove(key),
            };
        }
        let mut changes: Vec<_> = changes.into_iter().collect();
        assert_eq!(trie.update(&mut changes, &NoSource, one_by_one).unwrap(), root_of(&model));
    }
    let mut removals: Vec<_> = model.into_keys().map(|key| (key, None)).collect();
    assert_eq!(trie.update(&mut removals, &NoSource, one_by_one).unwrap(), EMPTY_ROOT_HASH);
}

#[test]
fn removing_everything_gives_the_empty_root() {
    let mut trie = Trie::<U256>::default();
    for n in 0..64 {
        trie.insert(&key(n), U256::from(n + 1), &NoSource).unwrap();
    }
    trie.commit().unwrap();
    for n in 0..64 {
        trie.remove(&key(n), &NoSource).unwrap();
    }
    assert!(trie.is_empty());
    assert_eq!(trie.commit().unwrap(), EMPTY_ROOT_HASH);
}

#[test]
fn removing_what_is_absent_changes_no_hash() {
    let mut trie = Trie::<U256>::default();
    trie.insert(&key(1), U256::from(1), &NoSource).unwrap();
    trie.insert(&key(2), U256::from(1), &NoSource).unwrap();
    trie.commit().unwrap();
    trie.remove(&key(9), &NoSource).unwrap();
    assert!(trie.root().is_some(), "a change was recorded");
}

#[test]
fn changes_on_a_witness_give_the_same_roots_as_in_memory() {
    let mut numbers = Numbers(11);
    let mut memory = Trie::<U256>::default();
    let mut model = BTreeMap::new();
    for n in 0..120 {
        memory.insert(&key(n), U256::from(n + 1), &NoSource).unwrap();
        model.insert(key(n), U256::from(n + 1));
    }
    let root = memory.commit().unwrap();
    let source = witness(&memory, &model, &NoSource);
    let mut lazy = Trie::<U256>::from_root(root);
    for _ in 0..200 {
        let key = key(numbers.next() % 150);
        if numbers.next().is_multiple_of(2) {
            memory.remove(&key, &NoSource).unwrap();
            lazy.remove(&key, &source).unwrap();
        } else {
            let value = U256::from(numbers.next() + 1);
            memory.insert(&key, value, &NoSource).unwrap();
            lazy.insert(&key, value, &source).unwrap();
        }
        assert_eq!(lazy.commit().unwrap(), memory.commit().unwrap());
    }
}

#[test]
fn proofs_of_presence_and_absence_verify() {
    let mut trie = Trie::<U256>::default();
    for n in 0..100 {
        trie.insert(&key(n), U256::from(n + 1), &NoSource).unwrap();
    }
    let root = trie.commit().unwrap();
    for n in 0..130 {
        let key = key(n);
        let value = trie.get(&key, &NoSource, |value| alloy_rlp::encode(value)).unwrap();
        let proof = trie.proof(&key, &NoSource).unwrap();
        verify_proof(root, Nibbles::unpack(key), value, &proof).unwrap();
    }
}

#[test]
fn a_node_that_is_missing_is_named() {
    let mut trie = Trie::<U256>::default();
    for n in 0..10 {
        trie.insert(&key(n), U256::from(n + 1), &NoSource).unwrap();
    }
    let root = trie.commit().unwrap();
    let mut lazy = Trie::<U256>::from_root(root);
    let missing = Err(StateError::MissingNode(root));
    assert_eq!(lazy.get(&key(1), &NoSource, |value| *value), missing);
    assert_eq!(lazy.insert(&key(1), U256::ONE, &NoSource), Err(StateError::MissingNode(root)));
    assert_eq!(lazy.proof(&key(1), &NoSource), Err(StateError::MissingNode(root)));
}

#[test]
fn malformed_nodes_are_errors() {
    let mut numbers = Numbers(3);
    let mut trie = Trie::<U256>::default();
    for n in 0..40 {
        trie.insert(&key(n), U256::from(n + 1), &NoSource).unwrap();
    }
    trie.commit().unwrap();
    let nodes: Vec<Bytes> = (0..40).flat_map(|n| trie.proof(&key(n), &NoSource).unwrap()).collect();
    for _ in 0..2000 {
        let mut bytes = nodes[numbers.next() as usize % nodes.len()].to_vec();
        for _ in 0..=numbers.next() % 3 {
            let at = numbers.next() as usize % bytes.len();
            bytes[at] = numbers.next() as u8;
        }
        bytes.truncate(1 + numbers.next() as usize % (2 * bytes.len()));
        let root = keccak256(&bytes);
        let source = Preimages::new([Bytes::from(bytes)]);
        // Any outcome but a panic will do.
        for n in 0..3 {
            let mut trie = Trie::<U256>::from_root(root);
            let _ = trie.get(&key(n), &source, |value| *value);
            let _ = trie.insert(&key(n), U256::ONE, &source);
            let mut trie = Trie::<U256>::from_root(root);
            let _ = trie.remove(&key(n), &source);
        }
    }
}

//! A trie under random changes, beside a sorted map and a naive trie.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes, U256};
use alloy_trie::proof::verify_proof;
use alloy_trie::root::storage_root;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use arbitrary::{Result, Unstructured};
use opal_evm::trie::jobs::one_by_one;
use opal_evm::trie::persist::{Evacuation, Sweep};
use opal_evm::trie::{Change, Trie};
use opal_evm::{NoSource, Preimages, StateError};

use super::store::Store;

/// Changes and checks of one input. Each check costs as much as the trie is large.
const STEPS: usize = 100;

/// Root, values and proofs are those of the naive trie after any changes, whether the trie is in
/// memory, in files, or partly in either, or knows nothing but a witness.
pub fn trie(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut model = Model::default();
    for _ in 0..STEPS {
        if input.is_empty() || model.step(&mut input).is_err() {
            break;
        }
    }
    model.commit();
    model.prove(&mut Unstructured::new(&[]));
}

#[derive(Default)]
struct Model {
    trie: Trie<U256>,
    values: BTreeMap<B256, U256>,
    store: Store,
    /// An earlier state, which later changes must leave alone.
    snapshot: Option<(Trie<U256>, B256)>,
}

/// A key which shares its beginning with many others.
pub(super) fn key(input: &mut Unstructured<'_>) -> Result<B256> {
    let mut key = B256::repeat_byte(input.int_in_range(0..=1)? * 0x11);
    for _ in 0..input.int_in_range(0..=2)? {
        key[input.int_in_range(0..=31)?] ^= 1 << input.int_in_range(0..=7)?;
    }
    Ok(key)
}

/// Small values, whose leaves may stand in their parents, and large ones.
fn value(input: &mut Unstructured<'_>) -> Result<U256> {
    let small = U256::from(input.int_in_range(1..=200u8)?);
    Ok(if input.ratio(1, 4)? { small << 248 } else { small })
}

impl Model {
    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let store = &self.store;
        match input.int_in_range(0..=15)? {
            0..=4 => {
                let (key, value) = (key(input)?, value(input)?);
                self.trie.insert(&key, value, store).unwrap();
                self.values.insert(key, value);
            }
            5..=6 => {
                let key = key(input)?;
                self.trie.remove(&key, store).unwrap();
                self.values.remove(&key);
            }
            7 => {
                // One that is there.
                let at = input.int_in_range(0..=31)?;
                let Some(key) = self.values.keys().nth(at).copied() else { return Ok(()) };
                self.trie.remove(&key, store).unwrap();
                self.values.remove(&key);
            }
            8..=10 => self.update(input)?,
            11 => {
                self.commit();
                let place = self.trie.persist(&mut &self.store).unwrap();
                let root = self.trie.root().unwrap();
                if input.arbitrary()? {
                    self.trie = Trie::from_stored(root, place);
                }
            }
            12 => {
                let mut sweep = Sweep {
                    below: u64::MAX,
                    evict: true,
                    all: input.arbitrary()?,
                    ..Sweep::default()
                };
                let swept = match input.arbitrary()? {
                    true => self.trie.swept(&mut sweep),
                    false => self.trie.swept_part(input.arbitrary()?, &mut sweep),
                };
                self.trie = swept.unwrap_or_else(|| self.trie.clone());
            }
            13 => {
                self.commit();
                let bytes = input.arbitrary::<u16>()?.into();
                let mut evacuation = Evacuation { before: 2, bytes, source: &self.store };
                if let Some(moved) = self.trie.evacuated(&mut evacuation).unwrap() {
                    self.trie = moved;
                }
            }
            14 => {
                self.commit();
                self.prove(input);
            }
            _ => {
                self.commit();
                if let Some((trie, root)) = self.snapshot.take() {
                    assert_eq!(trie.root(), Some(root));
                    trie.check(None, &self.store, &mut || ()).unwrap();
                }
                self.snapshot = Some((self.trie.clone(), self.trie.root().unwrap()));
            }
        }
        Ok(())
    }

    fn update(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let mut changes = BTreeMap::new();
        for _ in 0..input.int_in_range(1..=8)? {
            let key = key(input)?;
            match input.ratio(1, 3)? {
                true if self.values.contains_key(&key) => changes.insert(key, None),
                true => continue,
                false => changes.insert(key, Some(value(input)?)),
            };
        }
        for (key, value) in &changes {
            match value {
                Some(value) => self.values.insert(*key, *value),
                None => self.values.remove(key),
            };
        }
        let mut changes: Vec<Change<U256>> = changes.into_iter().collect();
        let root = self.trie.update(&mut changes, &self.store, one_by_one).unwrap();
        assert_eq!(root, self.root());
        Ok(())
    }

    fn root(&self) -> B256 {
        storage_root(self.values.iter().map(|(key, value)| (*key, *value)))
    }

    fn commit(&mut self) {
        let root = self.root();
        assert_eq!(self.trie.commit(), Ok(root));
        assert_eq!(self.trie.root(), Some(root));
        assert_eq!(self.trie.is_empty(), self.values.is_empty());
    }

    /// The trie must be committed.
    fn prove(&self, input: &mut Unstructured<'_>) {
        let root = self.root();
        let mut keys: Vec<B256> = self.values.keys().copied().collect();
        keys.extend((0..4).map_while(|_| key(input).ok()));
        keys.sort_unstable();
        keys.dedup();
        let many = self.trie.get_many(&keys, &self.store, |value| *value);
        let mut nodes: Vec<Bytes> = Vec::new();
        for (key, found) in keys.iter().zip(many) {
            let value = self.values.get(key).copied();
            assert_eq!(found, Ok(value));
            assert_eq!(self.trie.get(key, &self.store, |value| *value), Ok(value));
            let proof = self.trie.proof(key, &self.store).unwrap();
            let encoded = value.map(|value| alloy_rlp::encode(value));
            if root != EMPTY_ROOT_HASH {
                verify_proof(root, Nibbles::unpack(key), encoded, &proof).unwrap();
            }
            nodes.extend(proof);
        }
        // What the proofs show is enough to read the same again.
        let witness = Preimages::new(nodes);
        let shown = Trie::<U256>::from_root(root);
        let mut seen = BTreeMap::new();
        let walked = shown.walk::<StateError>(&B256::ZERO, &witness, &mut |key, value| {
            seen.insert(key, *value);
            Ok(())
        });
        assert_eq!(walked, Ok(()));
        assert_eq!(seen, self.values);
        shown.check(None, &witness, &mut || ()).unwrap();
        if root != EMPTY_ROOT_HASH {
            let unknown = Trie::<U256>::from_root(root);
            let missing = unknown.get(&B256::ZERO, &NoSource, |_| ());
            assert_eq!(missing, Err(StateError::MissingNode(root)));
        }
    }
}

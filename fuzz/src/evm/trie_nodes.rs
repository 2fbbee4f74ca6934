//! Trie nodes that somebody made up, by hash as in a witness, or by place as in a file set.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use alloy_rlp::Header;
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use arbitrary::{Result, Unstructured};
use opal_evm::revm::bytecode::Bytecode;
use opal_evm::trie::{Leaf, Trie};
use opal_evm::{Account, Place, Record, State, StateError, TrieSource};

use super::store::position;
use super::trie::key;
use crate::memory::within;

/// Nodes that are fetched until the source fails: trees of a few nodes may have more paths than
/// there are atoms.
const FETCHES: usize = 200;
/// What so many decoded nodes may take.
const MEMORY: usize = 32 << 20;

/// Whatever the nodes are, reading and changing the trie ends, with an error where something is
/// wrong; what was put in is found.
pub fn trie_nodes(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok((source, root, place)) = hostile(&mut input) else { return };
    let source = Arc::new(source);
    let Ok(keys) = (0..3).map(|_| key(&mut input)).collect::<Result<Vec<_>>>() else { return };
    within(MEMORY, "a hostile trie", || {
        let slots = Trie::<U256>::from_stored(root, place);
        examine(&slots, &keys, &source, U256::from(7));
        let accounts = Trie::<Account>::from_stored(root, place);
        examine(&accounts, &keys, &source, Account::default());
        state(State::from_stored(root, place, source.clone()), &source);
    });
}

fn examine<V: Leaf>(trie: &Trie<V>, keys: &[B256], source: &Hostile, value: V) {
    for key in keys {
        source.begin();
        let found = trie.get(key, source, |_| ()).map(|found| found.is_some());
        // A level of the path each, and the nibbles of a key.
        assert!(source.fetched() <= 65, "{} nodes for one key", source.fetched());
        let mut changed = trie.clone();
        if changed.remove(key, source).is_ok() {
            assert_eq!(changed.get(key, source, |_| ()), Ok(None));
            let _ = changed.commit();
        }
        let mut changed = trie.clone();
        if changed.insert(key, value.clone(), source).is_ok() {
            assert_eq!(changed.get(key, source, |_| ()), Ok(Some(())));
            if let Ok(root) = changed.commit() {
                assert_eq!(changed.root(), Some(root));
            }
            let _ = changed.remove(key, source);
        }
        if let Ok(proof) = trie.proof(key, source) {
            assert!(proof.len() <= 65);
            assert!(found.is_ok());
        }
        source.begin();
        let mut seen = 0;
        let _ = trie.walk::<StateError>(key, source, &mut |_, _| {
            seen += 1;
            if seen < 100 { Ok(()) } else { Err(StateError::InvalidTrie) }
        });
    }
    source.begin();
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let many = trie.get_many(&sorted, source, |_| ());
    for (key, found) in sorted.iter().zip(many) {
        source.begin();
        assert_eq!(found, trie.get(key, source, |_| ()));
    }
    let mut changes: Vec<_> = sorted.into_iter().map(|key| (key, Some(value.clone()))).collect();
    let _ = trie.clone().update(&mut changes, source, opal_evm::trie::jobs::one_by_one);
    source.begin();
    let _ = trie.check(None, source, &mut || ());
}

/// Addresses lead to keys that nobody can choose, so only the first levels are met.
fn state(state: State, source: &Hostile) {
    source.begin();
    for n in 0..4 {
        let address = Address::with_last_byte(n);
        let _ = state.account(&address);
        let _ = state.storage(&address, U256::from(n));
        let _ = state.code(&address);
        let _ = state.storage_root(&address);
        let _ = state.proof(&address, &[B256::ZERO]);
    }
    source.begin();
    let mut accounts = Vec::new();
    let _ = state.walk::<StateError>(&B256::ZERO, &mut |_, account| {
        accounts.push(account.clone());
        if accounts.len() < 4 { Ok(()) } else { Err(StateError::InvalidTrie) }
    });
    for account in &accounts {
        source.begin();
        let _ = state.code_of(account);
        let mut seen = 0;
        let _ = state.walk_storage::<StateError>(account, &B256::ZERO, &mut |_, _| {
            seen += 1;
            if seen < 100 { Ok(()) } else { Err(StateError::InvalidTrie) }
        });
    }
    source.begin();
    let _ = state.check(None, &mut || ());
    let _ = state.evacuated(2, 1_000);
}

/// Nodes by hash, and records by number whatever hash is asked for.
#[derive(Debug)]
struct Hostile {
    nodes: HashMap<B256, Bytes>,
    records: Vec<Vec<u8>>,
    fetched: AtomicUsize,
}

impl Hostile {
    fn begin(&self) {
        self.fetched.store(0, Ordering::Relaxed);
    }

    fn fetched(&self) -> usize {
        self.fetched.load(Ordering::Relaxed)
    }

    fn fetch(&self) -> std::result::Result<(), StateError> {
        match self.fetched.fetch_add(1, Ordering::Relaxed) {
            ..FETCHES => Ok(()),
            _ => Err(StateError::Source("enough".into())),
        }
    }
}

impl TrieSource for Hostile {
    fn node(&self, hash: &B256) -> std::result::Result<Option<Bytes>, StateError> {
        self.fetch()?;
        Ok(self.nodes.get(hash).cloned())
    }

    fn record(&self, position: u64, hash: &B256) -> std::result::Result<Record, StateError> {
        self.fetch()?;
        let number = position.wrapping_sub(self::position(0)) as usize;
        let bytes = self.records.get(number).ok_or(StateError::MissingNode(*hash))?;
        Ok(Record { bytes: bytes.clone(), keep: position % 2 == 0 })
    }

    fn code(&self, hash: &B256) -> std::result::Result<Option<Bytecode>, StateError> {
        Ok(self.nodes.get(hash).map(|code| opal_evm::state::bytecode(code.clone())))
    }

    fn file_set(&self) -> u64 {
        1
    }
}

/// A source, and the last of its nodes as the root.
fn hostile(input: &mut Unstructured<'_>) -> Result<(Hostile, B256, Place)> {
    let count = input.int_in_range(1..=12)?;
    let by_place = input.arbitrary()?;
    let mut made: Vec<(B256, Vec<u8>)> = Vec::new();
    for _ in 0..count {
        let mut node = match by_place {
            true => record(input, &made, count)?,
            false => node(input, &made)?,
        };
        for _ in 0..input.int_in_range(0..=8)?.max(6) - 6 {
            if !node.is_empty() {
                let at = input.int_in_range(0..=node.len() - 1)?;
                node[at] = input.arbitrary()?;
            }
        }
        made.push((keccak256(&node), node));
    }
    let root = made.last().map_or(B256::ZERO, |(hash, _)| *hash);
    let place = match by_place {
        true => Place { position: position(u64::from(count) - 1), oldest: 1 },
        false => Place::default(),
    };
    let records = match by_place {
        true => made.iter().map(|(_, node)| node.clone()).collect(),
        false => Vec::new(),
    };
    let nodes = made.into_iter().map(|(hash, node)| (hash, node.into())).collect();
    Ok((Hostile { nodes, records, fetched: AtomicUsize::new(0) }, root, place))
}

fn noise(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let length = usize::from(input.arbitrary::<u8>()?).min(input.len());
    Ok(input.bytes(length)?.to_vec())
}

type Made = [(B256, Vec<u8>)];

fn earlier<'a>(
    input: &mut Unstructured<'_>,
    made: &'a Made,
) -> Result<Option<&'a (B256, Vec<u8>)>> {
    // Mostly the newest.
    let back = input.int_in_range(0..=3usize)?;
    Ok(made.iter().rev().nth(back))
}

/// Nibbles as keys have them, mostly.
fn path(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let length = match input.int_in_range(0..=7)? {
        0 => input.int_in_range(0..=66)?,
        1..=2 => 0,
        3 => 64,
        4 => 63,
        _ => input.int_in_range(1..=3)?,
    };
    let mut path = vec![input.int_in_range(0..=1)?; length];
    if input.ratio(1, 4)? && length > 0 {
        path[input.int_in_range(0..=length - 1)?] = input.int_in_range(0..=15)?;
    }
    Ok(path)
}

/// A value as leaves of either trie hold it.
fn value(input: &mut Unstructured<'_>, made: &Made) -> Result<Vec<u8>> {
    Ok(match input.int_in_range(0..=7)? {
        0 => noise(input)?,
        1..=3 => alloy_rlp::encode(U256::from(input.arbitrary::<u8>()?)),
        _ => alloy_rlp::encode(TrieAccount {
            nonce: input.arbitrary::<u8>()?.into(),
            balance: U256::from(input.arbitrary::<u64>()?),
            storage_root: earlier(input, made)?.map_or(EMPTY_ROOT_HASH, |(hash, _)| *hash),
            code_hash: match input.arbitrary()? {
                true => KECCAK256_EMPTY,
                false => earlier(input, made)?.map_or(B256::ZERO, |(hash, _)| *hash),
            },
        }),
    })
}

fn string(bytes: &[u8]) -> Vec<u8> {
    alloy_rlp::encode(bytes)
}

fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let payload_length = items.iter().map(Vec::len).sum();
    let mut out = Vec::new();
    Header { list: true, payload_length }.encode(&mut out);
    out.extend(items.iter().flatten());
    out
}

/// A path with the marks of leaves and of odd lengths (hex prefix).
fn compact(path: &[u8], leaf: bool) -> Vec<u8> {
    let flag = u8::from(leaf) << 5;
    let (first, rest) = match path.split_at_checked(path.len() % 2) {
        Some(([odd], rest)) => (flag | 0x10 | odd, rest),
        _ => (flag, path),
    };
    let pairs = rest.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).unwrap_or(&0));
    std::iter::once(first).chain(pairs).collect()
}

/// What a parent writes for a child.
fn reference(input: &mut Unstructured<'_>, made: &Made) -> Result<Vec<u8>> {
    let Some((hash, node)) = earlier(input, made)? else { return Ok(vec![0x80]) };
    Ok(match input.int_in_range(0..=7)? {
        0 => string(B256::repeat_byte(9).as_slice()),
        1 => node.clone(),
        _ if node.len() < 32 => node.clone(),
        _ => string(hash.as_slice()),
    })
}

/// An encoded node with references to earlier ones.
fn node(input: &mut Unstructured<'_>, made: &Made) -> Result<Vec<u8>> {
    Ok(match input.int_in_range(0..=9)? {
        0 => noise(input)?,
        1..=4 => {
            let (path, value) = (path(input)?, value(input, made)?);
            list(&[string(&compact(&path, true)), string(&value)])
        }
        5..=6 => {
            let path = path(input)?;
            list(&[string(&compact(&path, false)), reference(input, made)?])
        }
        _ => {
            let mut items = vec![vec![0x80]; 17];
            if input.ratio(1, 4)? {
                items[..16].fill(reference(input, made)?);
            }
            for _ in 0..input.int_in_range(0..=3)? {
                // Where keys lead to, mostly.
                let at = input.int_in_range(0..=20)?;
                items[if at > 16 { at - 17 } else { at }] = reference(input, made)?;
            }
            list(&items)
        }
    })
}

/// A record, whose children may be any records, later ones and itself among them. The form:
/// `trie/record.rs`.
fn record(input: &mut Unstructured<'_>, made: &Made, count: u8) -> Result<Vec<u8>> {
    let put_path = |out: &mut Vec<u8>, path: &[u8]| {
        out.push(path.len() as u8);
        out.extend(path.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).unwrap_or(&0)));
    };
    let child = |input: &mut Unstructured<'_>, short: bool| -> Result<Vec<u8>> {
        if short {
            let node = node(input, &[])?;
            return Ok([&[node.len() as u8][..], &node].concat());
        }
        let mut out = input.arbitrary::<[u8; 2]>()?.repeat(16);
        let number = input.int_in_range(0..=count)?;
        out.extend_from_slice(&position(number.into()).to_be_bytes());
        out.push(1);
        Ok(out)
    };
    let mut out = Vec::new();
    match input.int_in_range(0..=9)? {
        0 => return Ok(noise(input)?),
        1..=3 => {
            out.push(3);
            put_path(&mut out, &path(input)?);
            if input.arbitrary()? {
                out.extend(value(input, made)?);
            } else {
                // An account: flags, nonce, balance, code hash, storage root with its place.
                let flags = input.int_in_range(0..=3u8)?;
                out.extend_from_slice(&[flags, input.arbitrary()?, 1, 9]);
                if flags & 1 != 0 {
                    out.extend_from_slice(&[3; 32]);
                }
                if flags & 2 != 0 {
                    out.extend(child(input, false)?);
                }
            }
        }
        4..=5 => {
            out.push(2);
            put_path(&mut out, &path(input)?);
            let short = input.ratio(1, 4)?;
            out.push(short.into());
            out.extend(child(input, short)?);
        }
        _ => {
            let present = match input.arbitrary()? {
                true => input.arbitrary::<u16>()?,
                false => 3,
            };
            let short = if input.ratio(1, 4)? { input.arbitrary::<u16>()? } else { 0 };
            out.push(1);
            out.extend_from_slice(&present.to_be_bytes());
            out.extend_from_slice(&short.to_be_bytes());
            for index in (0..16).filter(|index| present >> index & 1 == 1) {
                out.extend(child(input, short >> index & 1 == 1)?);
            }
        }
    }
    Ok(out)
}

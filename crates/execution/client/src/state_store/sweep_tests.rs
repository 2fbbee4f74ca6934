//! Sweeps under everything that a chain does at once: growth, reorganisations, queries of old
//! states, flushes that come late, moves of old nodes and deletions. Whatever went out of memory,
//! each root that is kept must be the state that it was.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use alloy_primitives::U256;
use opal_evm::trie::persist::Sweep;
use tempfile::TempDir;

use super::tests::{GENESIS, Numbers, address, changes, same, small};
use super::*;

const ACCOUNTS: u64 = 3_000;
/// One that the head fits into now and then, and one that it never does, so that what was just used
/// goes, too.
const BUDGETS: [u64; 2] = [256 << 10, 48 << 10];

/// A state that is kept, beside the same one of no store.
struct Kept {
    root: StateRoot,
    /// As the chain had it, with whatever of it is in memory.
    state: State,
    naive: State,
}

/// What the head's memory was at, of the marks that the sweeps go by.
#[derive(Default)]
struct Seen {
    below: usize,
    aging: usize,
    evicting: usize,
}

/// Reads accounts and slots of both states.
fn read(numbers: &mut Numbers, state: &State, naive: &State) {
    let account = |state: &State, address| {
        let account = state.account(&address).unwrap();
        account.map(|a| (a.nonce, a.balance, a.code_hash, a.storage_root()))
    };
    for _ in 0..20 {
        let address = address(numbers.next() % ACCOUNTS);
        assert_eq!(account(state, address), account(naive, address));
        let slot = U256::from(numbers.next() % 300);
        assert_eq!(state.storage(&address, slot).unwrap(), naive.storage(&address, slot).unwrap());
    }
}

/// Bytes that the nodes of a state really take in memory.
fn resident(state: &State) -> u64 {
    let mut sweep = Sweep::default();
    for part in 0..=u8::MAX {
        let _ = state.swept(part, &mut sweep);
    }
    sweep.bytes
}

/// [`StateStore::append`] that does something else when every node has its place, and before the
/// last of them are in the file.
fn append_while(store: &StateStore, state: &State, mut act: impl FnMut()) -> StateRoot {
    let mut writer = store.writer().unwrap();
    let written = store.write(&mut writer, |sink| {
        let place = state.persist(sink)?;
        act();
        Ok(place)
    });
    let (Place { position, oldest }, _, bytes) = written.unwrap();
    let root = StateRoot { hash: state.root(), position, oldest };
    store.appended(&root, bytes);
    root
}

fn run(seed: u64, budget: u64, seen: &mut Seen) {
    let dir = TempDir::new().unwrap();
    let options = StateStoreOptions { memory: budget, ..small() };
    let store = StateStore::open(dir.path(), GENESIS, None, options).unwrap();
    let mut numbers = Numbers(seed);
    let mut naive = State::default();
    let first = store.append(&naive).unwrap();
    let mut state = first.state.clone();
    let mut kept = vec![Kept { root: first.root, state: first.state, naive: naive.clone() }];
    // What a flush is to write, while the chain goes on.
    let mut flushing: Option<(State, State)> = None;
    for step in 0..200 {
        match numbers.next() % 16 {
            // A reorganisation to a state that is kept, out of memory or off the disk.
            0 => {
                let at = numbers.next() as usize % kept.len();
                let Kept { root, state: memory, naive: model } = &kept[at];
                state = match numbers.next() % 2 {
                    0 => memory.clone(),
                    _ => store.state(root).unwrap(),
                };
                naive = model.clone();
                kept.truncate(at + 1);
                flushing = None;
            }
            1..4 => {
                let kept = &kept[numbers.next() as usize % kept.len()];
                read(&mut numbers, &store.state(&kept.root).unwrap(), &kept.naive);
                read(&mut numbers, &kept.state, &kept.naive);
            }
            4 if kept.len() > 12 => {
                kept.drain(..1 + numbers.next() as usize % 4);
                let oldest = kept.iter().map(|kept| kept.root.oldest).min().unwrap();
                store.prune(oldest).unwrap();
            }
            _ => {}
        }
        let block = changes(&mut numbers, ACCOUNTS);
        naive = naive.apply(block.clone()).unwrap();
        state = state.apply(block).unwrap();
        read(&mut numbers, &state, &naive);
        state = store.tend(state).unwrap();
        assert_eq!(state.root(), naive.root(), "{step}");
        if let Some((flushed, model)) = flushing.take_if(|_| numbers.next().is_multiple_of(3)) {
            // Its nodes have places before they are written; the head is swept all the same.
            let root = append_while(&store, &flushed, || {
                for _ in 0..3 {
                    state = store.tend(state.clone()).unwrap();
                    read(&mut numbers, &state, &naive);
                }
            });
            kept.push(Kept { root, state: flushed, naive: model });
        }
        if flushing.is_none() && numbers.next().is_multiple_of(3) {
            flushing = Some((state.clone(), naive.clone()));
        }
        match store.memory() {
            memory if memory <= budget / 4 * 3 => seen.below += 1,
            memory if memory <= budget / 8 * 7 => seen.aging += 1,
            _ => seen.evicting += 1,
        }
        if step % 50 == 49 {
            for Kept { root, state, naive } in &kept {
                same(&store.state(root).unwrap(), naive, ACCOUNTS);
                same(state, naive, ACCOUNTS);
            }
        }
    }
    same(&state, &naive, ACCOUNTS);
    // Tended once more, the head is near its budget, whatever was read meanwhile.
    let last = store.append(&state).unwrap();
    state = store.tend(last.state).unwrap();
    state = store.tend(state).unwrap();
    let bytes = resident(&state);
    assert!(bytes < 2 * budget + (64 << 10), "{bytes}");
    kept.push(Kept { root: last.root, state, naive });
    store.sync().unwrap();
    for Kept { root, .. } in &kept {
        store.check(root, None, &mut |_| {}).unwrap();
    }
    drop(store);
    let store = StateStore::open(dir.path(), GENESIS, Some(last.committed), small()).unwrap();
    for Kept { root, naive, .. } in &kept {
        same(&store.state(root).unwrap(), naive, ACCOUNTS);
    }
}

#[test]
fn whatever_is_swept_each_kept_root_stays_the_state_that_it_was() {
    let mut seen = Seen::default();
    for (seed, budget) in BUDGETS.into_iter().enumerate() {
        run(seed as u64, budget, &mut seen);
    }
    let Seen { below, aging, evicting } = seen;
    assert!(below > 20 && aging > 20 && evicting > 20, "{below} {aging} {evicting}");
}

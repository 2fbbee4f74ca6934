#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs::OpenOptions;

use alloy_primitives::{Address, KECCAK256_EMPTY, U256, keccak256};
use opal_evm::revm::state::TransactionId;
use opal_evm::revm::state::{Account as Changed, AccountInfo, EvmState, EvmStorageSlot};
use opal_evm::state::bytecode;
use tempfile::TempDir;

use super::*;

pub(super) const GENESIS: B256 = B256::repeat_byte(7);

/// Numbers that look random and are the same on each run.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

pub(super) fn address(n: u64) -> Address {
    Address::left_padding_from(&n.to_be_bytes())
}

/// What a block of random changes gives: new balances, code, storage, and accounts that go.
pub(super) fn changes(numbers: &mut Numbers, accounts: u64) -> EvmState {
    let mut changes = EvmState::default();
    for _ in 0..1 + numbers.next() % 30 {
        let n = numbers.next() % accounts;
        let mut account = Changed::from(AccountInfo {
            balance: U256::from(numbers.next()) << (numbers.next() % 100) as usize,
            nonce: 1 + numbers.next(),
            code_hash: KECCAK256_EMPTY,
            account_id: None,
            code: None,
        });
        account.mark_touch();
        if n.is_multiple_of(4) {
            let code = Bytes::from(vec![(n % 8) as u8; 1 + n as usize % 50]);
            account.info.code_hash = keccak256(&code);
            account.info.code = Some(bytecode(code));
            for _ in 0..numbers.next() % 20 {
                let value = U256::from(numbers.next() % 3) << (numbers.next() % 200) as usize;
                let slot = EvmStorageSlot::new_changed(U256::ZERO, value, TransactionId::ZERO);
                account.storage.insert(U256::from(numbers.next() % 300), slot);
            }
        }
        if numbers.next().is_multiple_of(10) {
            account.info = AccountInfo::default();
        }
        changes.insert(address(n), account);
    }
    changes
}

/// A few kilobytes a segment, so that there are many.
pub(super) fn small() -> StateStoreOptions {
    StateStoreOptions { segment_bytes: 16 << 10, ..Default::default() }
}

fn open(dir: &TempDir, committed: Option<Committed>) -> StateStore {
    StateStore::open(dir.path(), GENESIS, committed, small()).unwrap()
}

/// Everything that two states say of the same accounts, proofs included.
pub(super) fn same(left: &State, right: &State, accounts: u64) {
    assert_eq!(left.root(), right.root());
    for n in (0..accounts).step_by(7).chain((0..accounts).step_by(4)) {
        let slots: Vec<B256> = (0..300).step_by(23).map(|n| B256::from(U256::from(n))).collect();
        let address = address(n);
        assert_eq!(left.proof(&address, &slots).unwrap(), right.proof(&address, &slots).unwrap());
        assert_eq!(left.code(&address).unwrap(), right.code(&address).unwrap());
    }
}

#[test]
fn every_root_that_was_appended_gives_its_proofs_after_reopening() {
    let dir = TempDir::new().unwrap();
    let mut numbers = Numbers(1);
    let mut memory = State::default();
    let store = open(&dir, None);
    let mut state = store.append(&memory).unwrap().state;
    let mut kept = Vec::new();
    for block in 0..60 {
        let changes = changes(&mut numbers, 400);
        memory = memory.apply(changes.clone()).unwrap();
        state = store.tend(state.apply(changes).unwrap()).unwrap();
        assert_eq!(state.root(), memory.root());
        if block % 3 == 0 {
            let persisted = store.append(&state).unwrap();
            kept.push((persisted.root, persisted.committed, memory.clone()));
        }
    }
    store.sync().unwrap();
    let stats = store.stats().unwrap();
    assert!(stats.segments.1 > 5, "{stats:?}");
    for (root, _, memory) in &kept {
        same(&store.state(root).unwrap(), memory, 400);
    }
    // The last append is not committed to.
    let (_, committed, _) = kept[kept.len() - 2];
    drop((store, state));
    let store = open(&dir, Some(committed));
    let (lost, _, _) = kept.pop().unwrap();
    store.state(&lost).unwrap_err();
    for (root, _, memory) in &kept {
        let state = store.state(root).unwrap();
        same(&state, memory, 400);
        assert!(store.check(root, None, &mut |_| {}).unwrap() > 10);
    }
    // A branch off an old state.
    let (root, _, memory) = &kept[3];
    let changes = changes(&mut numbers, 400);
    let state = store.state(root).unwrap().apply(changes.clone()).unwrap();
    let root = store.append(&state).unwrap().root;
    same(&store.state(&root).unwrap(), &memory.apply(changes).unwrap(), 400);
}

/// A chain of blocks with what each append gave.
fn chain(store: &StateStore, blocks: u64) -> Vec<Persisted> {
    let mut numbers = Numbers(5);
    let mut state = store.append(&State::default()).unwrap().state;
    (0..blocks)
        .map(|_| {
            state = state.apply(changes(&mut numbers, 300)).unwrap();
            store.append(&state).unwrap()
        })
        .collect()
}

fn copy(from: &TempDir) -> TempDir {
    let to = TempDir::new().unwrap();
    for entry in std::fs::read_dir(from.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

#[test]
fn after_a_cut_anywhere_the_store_opens_at_what_was_committed_or_says_that_it_is_cut() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, None);
    let chain = chain(&store, 12);
    let mut numbers = Numbers(9);
    let last = chain.last().unwrap().committed;
    let middle = &chain[6];
    for _ in 0..40 {
        // The tail beyond block 6 gets lost at any byte, in any file.
        let dir = copy(&dir);
        for segment in middle.committed.segment..=last.segment {
            let path = dir.path().join(format!("nodes-{segment:06}"));
            let length = path.metadata().unwrap().len();
            let least =
                if segment == middle.committed.segment { middle.committed.length } else { 0 };
            let length = least + numbers.next() % (length - least + 1);
            OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        }
        let store = open(&dir, Some(middle.committed));
        same(&store.state(&middle.root).unwrap(), &middle.state, 300);
        store.check(&middle.root, None, &mut |_| {}).unwrap();
        let cut = chain[11].root;
        store.state(&cut).unwrap_err();
    }
    // What was committed gets lost.
    for file in [format!("nodes-{:06}", last.segment), "codes".into(), "codes.index".into()] {
        let dir = copy(&dir);
        let path = dir.path().join(&file);
        let length = path.metadata().unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
        let error = StateStore::open(dir.path(), GENESIS, Some(last), small()).unwrap_err();
        assert!(matches!(&error, StoreError::Truncated { file, .. } if *file == path), "{error}");
        std::fs::remove_file(&path).unwrap();
        let error = StateStore::open(dir.path(), GENESIS, Some(last), small()).unwrap_err();
        assert!(error.to_string().contains(&file), "{error}");
    }
}

#[test]
fn damage_is_found_and_said_to_be_where_it_is() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, None);
    let chain = chain(&store, 6);
    let last = chain.last().unwrap();
    let mut numbers = Numbers(4);
    let mut found = 0;
    for _ in 0..60 {
        let dir = copy(&dir);
        let segment = last.root.oldest
            + numbers.next() as u32 % (last.committed.segment - last.root.oldest + 1);
        let path = dir.path().join(format!("nodes-{segment:06}"));
        let mut bytes = std::fs::read(&path).unwrap();
        let at = HEADER as usize + numbers.next() as usize % (bytes.len() - HEADER as usize);
        bytes[at] ^= 1 << (numbers.next() % 8);
        std::fs::write(&path, bytes).unwrap();
        let store = open(&dir, Some(last.committed));
        match store.check(&last.root, None, &mut |_| {}) {
            // An old version of a node that this state does not have any more.
            Ok(_) => {}
            Err(StoreError::State(StateError::Damaged { file, offset, .. })) => {
                assert_eq!(file, path.display().to_string());
                assert!(offset <= at as u64 && at as u64 - offset <= MAX_RECORD as u64);
                found += 1;
            }
            // The root itself is read first.
            Err(error) => panic!("{error}"),
        }
    }
    assert!(found > 5, "only {found}");
}

#[test]
fn no_damage_is_missed_when_every_root_is_checked() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, None);
    let mut roots: Vec<StateRoot> = Vec::new();
    let mut numbers = Numbers(8);
    let mut state = store.append(&State::default()).unwrap().state;
    let mut committed = None;
    for _ in 0..12 {
        // With moved nodes among them, which have two places.
        state = store.tend(state.apply(changes(&mut numbers, 300)).unwrap()).unwrap();
        let persisted = store.append(&state).unwrap();
        roots.push(persisted.root);
        committed = Some(persisted.committed);
    }
    let all = |store: &StateStore| -> Result<u64, StoreError> {
        let mut newer = None;
        let mut nodes = 0;
        for root in roots.iter().rev() {
            nodes += store.check(root, newer, &mut |_| {})?;
            newer = Some(root);
        }
        Ok(nodes)
    };
    // Each node once, and not the whole state for each root.
    let whole: u64 = roots.iter().map(|r| store.check(r, None, &mut |_| {}).unwrap()).sum();
    assert!(all(&store).unwrap() < whole / 2);
    drop((store, state));
    let last = committed.unwrap();
    for round in 0..60 {
        let dir = copy(&dir);
        let segment = 1 + numbers.next() as u32 % last.segment;
        let path = dir.path().join(format!("nodes-{segment:06}"));
        let mut bytes = std::fs::read(&path).unwrap();
        if bytes.len() == HEADER as usize {
            continue;
        }
        let at = HEADER as usize + numbers.next() as usize % (bytes.len() - HEADER as usize);
        bytes[at] ^= 1 << (numbers.next() % 8);
        std::fs::write(&path, bytes).unwrap();
        let error = all(&open(&dir, committed)).unwrap_err().to_string();
        assert!(error.contains(&*path.to_string_lossy()), "{round}: {error}");
    }
}

#[test]
fn foreign_directories_are_refused() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, None);
    let committed = chain(&store, 3).pop().unwrap().committed;
    drop(store);
    let refused = |genesis, committed: Option<Committed>, what: &str| {
        let error = StateStore::open(dir.path(), genesis, committed, small()).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    };
    refused(B256::ZERO, Some(committed), "of the chain with genesis 0x0707");
    refused(B256::ZERO, None, "of the chain with genesis 0x0707");
    let none = Committed { length: 3, ..committed };
    refused(GENESIS, Some(none), "no store has the lengths");
    let path = dir.path().join("nodes-000001");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[11] = 9;
    std::fs::write(&path, &bytes).unwrap();
    refused(GENESIS, Some(committed), "format version 9");
    std::fs::write(&path, "something else that is longer than a header, which has 64 bytes only")
        .unwrap();
    refused(GENESIS, None, "no file of a state store");
    // An interrupted creation is no foreign file.
    std::fs::write(&path, "OPAL").unwrap();
    StateStore::open(dir.path(), GENESIS, None, small()).unwrap();
}

#[test]
fn states_of_another_store_are_refused() {
    let (left, right) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (left, right) = (open(&left, None), open(&right, None));
    let mut numbers = Numbers(2);
    let state = State::default().apply(changes(&mut numbers, 50)).unwrap();
    // One in memory may go to both.
    let first = left.append(&state).unwrap();
    let second = right.append(&state).unwrap();
    same(&left.state(&first.root).unwrap(), &right.state(&second.root).unwrap(), 50);
    assert!(matches!(right.append(&first.state), Err(StoreError::ForeignState(_))));
}

#[test]
fn memory_stays_in_its_budget() {
    let dir = TempDir::new().unwrap();
    let options = StateStoreOptions { memory: 300 << 10, ..small() };
    let store = StateStore::open(dir.path(), GENESIS, None, options).unwrap();
    let mut numbers = Numbers(3);
    let mut memory = State::default();
    let mut state = store.append(&memory).unwrap().state;
    let mut highest = 0;
    for _ in 0..250 {
        let changes = changes(&mut numbers, 4_000);
        memory = memory.apply(changes.clone()).unwrap();
        state = store.append(&state.apply(changes).unwrap()).unwrap().state;
        for _ in 0..30 {
            state.account(&address(numbers.next() % 4_000)).unwrap();
        }
        state = store.tend(state).unwrap();
        highest = highest.max(store.stats().unwrap().memory);
    }
    same(&state, &memory, 4_000);
    assert!(highest < 600 << 10, "{highest}");
    assert!(store.stats().unwrap().reads > 1_000, "nothing was ever read again");
}

#[test]
fn old_segments_are_emptied_and_deleted() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, None);
    let mut numbers = Numbers(6);
    let mut memory = State::default();
    let mut state = store.append(&memory).unwrap().state;
    let mut roots = Vec::new();
    for _ in 0..400 {
        let changes = changes(&mut numbers, 500);
        memory = memory.apply(changes.clone()).unwrap();
        state = store.tend(state.apply(changes).unwrap()).unwrap();
        let persisted = store.append(&state).unwrap();
        roots.push((persisted.root, memory.clone()));
        if roots.len() > 10 {
            roots.remove(0);
            store.prune(roots.iter().map(|(root, _)| root.oldest).min().unwrap()).unwrap();
        }
    }
    let stats = store.stats().unwrap();
    let committed = store.append(&state).unwrap().committed;
    for (root, memory) in &roots {
        same(&store.state(root).unwrap(), memory, 500);
        store.check(root, None, &mut |_| {}).unwrap();
    }
    // What the state takes in a store that never held anything else.
    let fresh = TempDir::new().unwrap();
    let live = open(&fresh, None).append(&memory).unwrap().bytes;
    assert!(stats.segments.0 > 20, "{stats:?}");
    // Three to four times, and ten blocks.
    assert!(stats.node_bytes < live * 6, "{stats:?} {live}");
    drop((store, state));
    let store = open(&dir, Some(committed));
    for (root, memory) in &roots {
        same(&store.state(root).unwrap(), memory, 500);
    }
}

#[test]
fn an_archive_keeps_every_segment() {
    let dir = TempDir::new().unwrap();
    let options = StateStoreOptions { archive: true, ..small() };
    let store = StateStore::open(dir.path(), GENESIS, None, options).unwrap();
    chain(&store, 10);
    assert_eq!(store.prune(100).unwrap(), 0);
    assert_eq!(store.stats().unwrap().segments.0, 1);
}

#[test]
fn what_is_exported_can_be_imported() {
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (from, to) = (open(&from, None), open(&to, None));
    let last = chain(&from, 40).pop().unwrap();
    let state = from.state(&last.root).unwrap();
    let mut importer = to.import();
    let mut accounts = BTreeMap::new();
    state
        .walk(&B256::ZERO, &mut |key, account| {
            let code = state.code_of(account)?.original_bytes();
            importer.account(key, account.nonce, account.balance, code)?;
            accounts.insert(key, account.balance);
            state.walk_storage(account, &B256::ZERO, &mut |key, value| importer.slot(key, value))
        })
        .unwrap();
    let imported = importer.finish().unwrap();
    assert_eq!(imported.root.hash, last.root.hash);
    same(&to.state(&imported.root).unwrap(), &state, 300);
    // A walk may begin anywhere.
    let from = *accounts.keys().nth(accounts.len() / 2).unwrap();
    let mut rest = BTreeMap::new();
    let mut visit = |key, account: &opal_evm::Account| {
        rest.insert(key, account.balance);
        Ok::<_, StoreError>(())
    };
    state.walk(&from, &mut visit).unwrap();
    assert_eq!(rest, accounts.split_off(&from));
    // Out of order.
    let mut importer = to.import();
    importer.account(B256::repeat_byte(2), 1, U256::ONE, Bytes::new()).unwrap();
    let error = importer.account(B256::repeat_byte(1), 1, U256::ONE, Bytes::new()).unwrap_err();
    assert!(matches!(error, StoreError::Order { what: "account", .. }));
    importer.slot(B256::repeat_byte(2), U256::ONE).unwrap();
    let error = importer.slot(B256::repeat_byte(2), U256::ONE).unwrap_err();
    assert!(matches!(error, StoreError::Order { what: "slot", .. }));
}

#[test]
fn files_of_others_in_the_directory_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let open =
        |committed| StateStore::open(dir.path(), GENESIS, committed, StateStoreOptions::default());
    let store = open(None).unwrap();
    let persisted = store.append(&State::default()).unwrap();
    store.sync().unwrap();
    drop(store);
    for name in ["nodes-7", "nodes-+00009", "nodes-000002.old"] {
        std::fs::write(dir.path().join(name), b"mine").unwrap();
    }
    open(Some(persisted.committed)).unwrap();
    open(None).unwrap();
    for name in ["nodes-7", "nodes-+00009", "nodes-000002.old"] {
        assert_eq!(std::fs::read(dir.path().join(name)).unwrap(), b"mine");
    }
}

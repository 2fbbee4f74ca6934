#![allow(clippy::unwrap_used)]
use super::*;
use std::collections::BTreeMap;

const CHAIN: u64 = 901;
const GENESIS: B256 = B256::repeat_byte(7);

fn id(number: u64, fork: u8) -> BlockId {
    let mut hash = B256::repeat_byte(fork);
    hash[..8].copy_from_slice(&number.to_be_bytes());
    BlockId { hash, number }
}

fn record(l1: u64, l2: u64) -> SafeHeadRecord {
    SafeHeadRecord { l1_block: id(l1, 1), safe_head: id(l2, 2) }
}

fn open(dir: &Path) -> SafeDb {
    SafeDb::open(dir, CHAIN, GENESIS).unwrap()
}

fn bytes(dir: &Path) -> Vec<u8> {
    std::fs::read(dir.join(FILE_NAME)).unwrap()
}

fn numbers(db: &SafeDb, l1: u64) -> Option<(u64, u64)> {
    let found = db.at_l1(l1).unwrap()?;
    Some((found.l1_block.number, found.safe_head.number))
}

#[test]
fn the_newest_record_at_or_before_an_l1_block() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    assert_eq!(numbers(&db, u64::MAX), None);
    for (l1, l2) in [(10, 5), (10, 6), (13, 20), (14, 21)] {
        db.record(record(l1, l2)).unwrap();
    }
    let all = |db: &SafeDb| [9, 10, 12, 13, 14, 15, u64::MAX].map(|l1| numbers(db, l1));
    let (a, b, c) = (Some((10, 6)), Some((13, 20)), Some((14, 21)));
    assert_eq!(all(&db), [None, a, a, b, c, c, c]);
    assert_eq!(db.len(), 2, "the newest record is open");
    drop(db);
    let db = open(dir.path());
    assert_eq!((db.len(), all(&db)), (3, [None, a, a, b, c, c, c]));
    assert_eq!(db.at_l1(13).unwrap(), Some(record(13, 20)), "with the hashes");
}

#[test]
fn the_answer_has_op_nodes_shape() {
    let json = serde_json::to_value(record(300, 7)).unwrap();
    assert_eq!(json["l1Block"]["number"], 300);
    assert_eq!(json["safeHead"]["number"], 7);
    assert_eq!(json["l1Block"]["hash"], id(300, 1).hash.to_string());
    assert_eq!(json.as_object().unwrap().len(), 2);
}

#[test]
fn what_is_derived_again_is_confirmed_and_what_contradicts_replaces() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    for n in 1..=5 {
        db.record(record(n * 10, n)).unwrap();
    }
    db.flush().unwrap();
    let written = bytes(dir.path());
    for n in 1..=3 {
        db.record(record(n * 10, n)).unwrap();
        db.flush().unwrap();
        assert_eq!(numbers(&db, 50), Some((50, 5)), "later records stand");
    }
    assert_eq!(bytes(dir.path()), written);
    // Half of what L1 block 40 held: the file knows more.
    db.record(SafeHeadRecord { l1_block: id(40, 1), safe_head: id(3, 2) }).unwrap();
    assert_eq!(numbers(&db, 44), Some((40, 4)));
    db.record(record(40, 4)).unwrap();
    db.flush().unwrap();
    assert_eq!(bytes(dir.path()), written);
    // Another L1 block of the same number.
    let other = SafeHeadRecord { l1_block: id(40, 9), safe_head: id(4, 2) };
    db.record(other).unwrap();
    assert_eq!(db.at_l1(49).unwrap(), Some(other));
    db.flush().unwrap();
    assert_eq!((db.len(), db.at_l1(99).unwrap()), (4, Some(other)));
    // An L1 block between two records, and one with an older safe head.
    db.record(record(25, 3)).unwrap();
    db.flush().unwrap();
    assert_eq!((db.len(), numbers(&db, 99)), (3, Some((25, 3))));
    db.record(record(60, 2)).unwrap();
    db.flush().unwrap();
    assert_eq!((db.len(), numbers(&db, 99)), (2, Some((60, 2))));
}

#[test]
fn a_torn_record_at_the_end_is_dropped_and_any_other_damage_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    for n in 1..=4 {
        db.record(record(n, n)).unwrap();
    }
    drop(db);
    let whole = bytes(dir.path());
    let file = dir.path().join(FILE_NAME);
    let last = whole.len() - RECORD;
    // Every length at which a write of the last record, or of the header, can have stopped.
    for cut in (0..RECORD).chain(last..whole.len()) {
        std::fs::write(&file, &whole[..cut]).unwrap();
        let db = open(dir.path());
        assert_eq!(db.len(), if cut < RECORD { 0 } else { 3 }, "{cut}");
        db.record(record(4, 4)).unwrap();
        drop(db);
        assert!(open(dir.path()).get(0).unwrap().is_some());
        assert_eq!(numbers(&open(dir.path()), 9), Some((4, 4)));
    }
    // Space that was reserved, but not filled.
    let mut zeros = whole.clone();
    zeros[last..].fill(0);
    std::fs::write(&file, &zeros).unwrap();
    assert_eq!(open(dir.path()).len(), 3);

    for at in [RECORD, RECORD + 50, last - 1, last - RECORD + 3] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&file, &damaged).unwrap();
        let error = SafeDb::open(dir.path(), CHAIN, GENESIS).unwrap_err();
        let wrong = (at / RECORD - 1) as u64;
        assert!(matches!(error, SafeDbError::Damaged { index, .. } if index == wrong), "{error}");
        assert_eq!(bytes(dir.path()), damaged, "nothing is mended silently");
    }
    // Two records of the end are more than one interrupted write leaves.
    std::fs::write(&file, [&zeros[..], &[0; 10]].concat()).unwrap();
    assert!(matches!(
        SafeDb::open(dir.path(), CHAIN, GENESIS),
        Err(SafeDbError::Damaged { index: 3, .. })
    ));
    // Two whole records that changed places.
    let mut swapped = whole.clone();
    swapped[RECORD..2 * RECORD].copy_from_slice(&whole[2 * RECORD..3 * RECORD]);
    std::fs::write(&file, &swapped).unwrap();
    assert!(matches!(
        SafeDb::open(dir.path(), CHAIN, GENESIS),
        Err(SafeDbError::Damaged { index: 0, .. })
    ));
}

#[test]
fn a_file_whose_making_was_interrupted_is_new() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let header = bytes(dir.path());
    assert_eq!(header.len(), RECORD);
    let file = dir.path().join(FILE_NAME);
    for size in 0..=RECORD {
        for filled in [0, size / 2, size] {
            let content = [&header[..filled], &vec![0; size - filled]].concat();
            std::fs::write(&file, content).unwrap();
            drop(open(dir.path()));
            assert_eq!(bytes(dir.path()), header, "{filled} of {size}");
        }
    }
    // A header of another chain is none of that, nor are zeros with something behind them.
    let error = SafeDb::open(dir.path(), 10, GENESIS).unwrap_err();
    assert!(error.to_string().contains("belongs to the chain 901"), "{error}");
    let mut other = vec![0; RECORD];
    other[RECORD - 1] = 1;
    for content in [other, vec![0; RECORD + 1]] {
        std::fs::write(&file, &content).unwrap();
        let error = SafeDb::open(dir.path(), CHAIN, GENESIS).unwrap_err();
        assert!(matches!(error, SafeDbError::Foreign { .. }), "{error}");
        assert_eq!(bytes(dir.path()), content);
    }
}

#[test]
fn damage_that_comes_while_it_is_open_is_told_by_the_look_up() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    for n in 1..=3 {
        db.record(record(n, n)).unwrap();
    }
    db.flush().unwrap();
    let mut damaged = bytes(dir.path());
    damaged[2 * RECORD + 1] ^= 4;
    std::fs::write(dir.path().join(FILE_NAME), damaged).unwrap();
    assert!(matches!(db.at_l1(2), Err(SafeDbError::Damaged { index: 1, .. })));
}

#[test]
fn other_chains_files_and_processes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    assert!(matches!(SafeDb::open(dir.path(), CHAIN, GENESIS), Err(SafeDbError::InUse(_))));
    drop(db);
    let error = SafeDb::open(dir.path(), 10, GENESIS).unwrap_err();
    assert!(error.to_string().contains("belongs to the chain 901"), "{error}");
    let error = SafeDb::open(dir.path(), CHAIN, B256::ZERO).unwrap_err();
    assert!(error.to_string().contains("another genesis"), "{error}");
    for content in [&b"notes"[..], &[b'x'; 500]] {
        std::fs::write(dir.path().join(FILE_NAME), content).unwrap();
        let error = SafeDb::open(dir.path(), CHAIN, GENESIS).unwrap_err();
        assert!(error.to_string().contains("another file"), "{error}");
        assert_eq!(bytes(dir.path()), content);
    }
}

/// Does the same with the database in memory, while there is one.
fn both(db: &SafeDb, memory: &Option<SafeDb>, act: impl Fn(&SafeDb) -> Result<(), SafeDbError>) {
    act(db).unwrap();
    memory.iter().for_each(|memory| act(memory).unwrap());
}

/// Random stories of appends, re-derivation, resets, flushes, restarts and crashes against a map; the
/// database in memory goes along until the first crash.
#[test]
fn it_behaves_as_a_map() {
    let mut seed = 1u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for _ in 0..12 {
        let dir = tempfile::tempdir().unwrap();
        let mut db = open(dir.path());
        let mut memory = Some(SafeDb::in_memory());
        let mut model: BTreeMap<u64, SafeHeadRecord> = BTreeMap::new();
        // The state that is durable: a crash goes back to it.
        let mut durable = model.clone();
        let mut fork = 1;
        for _ in 0..120 {
            let last = model.last_key_value().map(|(_, record)| *record);
            let (l1, l2) = last.map_or((0, 0), |r| (r.l1_block.number, r.safe_head.number));
            match random(12) {
                0..=6 => {
                    // The same L1 block or a later one.
                    let same = random(3) == 0 && !model.is_empty();
                    let l1 = if same { l1 } else { l1 + 1 + random(3) };
                    if !same {
                        durable = model.clone();
                    }
                    let l1_block = if same { model[&l1].l1_block } else { id(l1, fork) };
                    let safe_head = id(l2 + 1 + random(5), fork);
                    let new = SafeHeadRecord { l1_block, safe_head };
                    both(&db, &memory, |db| db.record(new));
                    model.insert(l1, new);
                }
                7 => {
                    // An L1 reorg: the file is cut, then another chain goes on.
                    let keep = random(model.len() as u64 + 1) as usize;
                    both(&db, &memory, |db| db.flush().and_then(|()| db.truncate(keep as u64)));
                    model = model.into_iter().take(keep).collect();
                    durable = model.clone();
                    fork += 1;
                }
                8 => {
                    // Another L1 chain without any cut before it.
                    let l1 = random(l1 + 2);
                    let l2 = random(l2 + 2);
                    fork += 1;
                    let new = SafeHeadRecord { l1_block: id(l1, fork), safe_head: id(l2, fork) };
                    both(&db, &memory, |db| db.record(new).and_then(|()| db.flush()));
                    model.retain(|n, r| *n < l1 && r.safe_head.number < l2);
                    model.insert(l1, new);
                    durable = model.clone();
                }
                9 => {
                    both(&db, &memory, SafeDb::flush);
                    durable = model.clone();
                }
                10 => {
                    drop(db);
                    db = open(dir.path());
                    memory.iter().for_each(|db| db.flush().unwrap());
                    durable = model.clone();
                }
                _ => {
                    // A crash, in the middle of the write of one more record at times.
                    let content = bytes(dir.path());
                    drop(db);
                    let torn = encode(&record(9_000_000, 9_000_000), 77);
                    let cut = random(RECORD as u64 + 1) as usize;
                    std::fs::write(
                        dir.path().join(FILE_NAME),
                        [&content[..], &torn[..cut]].concat(),
                    )
                    .unwrap();
                    db = open(dir.path());
                    memory = None;
                    model = durable.clone();
                }
            }
            let highest = model.last_key_value().map_or(0, |(n, _)| *n) + 2;
            for number in [random(highest + 1), random(highest + 1), highest, u64::MAX] {
                let expected = model.range(..=number).next_back().map(|(_, r)| *r);
                both(&db, &memory, |db| db.at_l1(number).map(|at| assert_eq!(at, expected)));
            }
        }
    }
}

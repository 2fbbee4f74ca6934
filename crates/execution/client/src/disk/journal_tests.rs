#![allow(clippy::unwrap_used)]
use std::fs;

use alloy_consensus::Header;
use alloy_primitives::B256;
use opal_protocol::{Block, SealedBlock};
use tempfile::TempDir;

use super::super::record::{BlockRecord, Forkchoice};
use super::*;

fn base() -> Base {
    let state = crate::state_store::Committed { segment: 1, length: 64, codes: 64, code_index: 64 };
    Base { first: 1, blocks: 0, roots_file: 0, roots: 1, state: state.into(), runs: Vec::new() }
}

fn block(number: u64) -> Record {
    let header = Header { number, ..Header::default() };
    let block = SealedBlock::new(Block { header, ..Block::default() });
    Record::Block(BlockRecord { block, senders: Vec::new() })
}

fn labels(n: u8) -> Record {
    let head = B256::repeat_byte(n);
    Record::Forkchoice(Forkchoice { head, safe: head, finalized: head })
}

/// Blocks and the last label.
type Content = (Vec<u64>, Option<B256>);

fn read(dir: &TempDir) -> Result<Content, DiskError> {
    let mut content = Content::default();
    let journal = Journal::open(dir.path(), |record, _| {
        match record {
            Record::Base(found) => assert_eq!(*found, base()),
            Record::Block(found) => content.0.push(found.block.header().number),
            Record::Forkchoice(found) => content.1 = Some(found.head),
        }
        Ok(())
    })?;
    assert!(journal.is_some());
    Ok(content)
}

/// What each bit of the newest journal gives when it is wrong, with the byte that it is in.
fn each_bit(dir: &TempDir, mut check: impl FnMut(usize, Result<Content, DiskError>)) {
    let path = dir.path().join(name(1));
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            fs::write(&path, bytes).unwrap();
            check(at, read(dir));
        }
    }
    fs::write(&path, whole).unwrap();
}

#[test]
fn any_bit_of_what_a_flush_wrote_may_be_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let rest = [block(1), block(2), labels(3)];
    Journal::create(dir.path(), 1, &base(), rest.iter()).unwrap();
    let content = (vec![1, 2], Some(B256::repeat_byte(3)));
    assert_eq!(read(&dir).unwrap(), content);
    let (mut found, mut harmless) = (0, 0);
    each_bit(&dir, |at, result| match result {
        Err(DiskError::Damaged { .. }) => found += 1,
        Ok(read) => {
            assert_eq!(read, content, "byte {at}");
            harmless += 1;
        }
        Err(error) => panic!("{error}"),
    });
    assert!(found > harmless && harmless > 0, "{found} {harmless}");
}

#[test]
fn only_the_last_record_can_pass_for_an_interrupted_write() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(dir.path(), 1, &base(), [labels(1)].iter()).unwrap();
    for number in 1..=3 {
        journal.append(&block(number)).unwrap();
        journal.sync().unwrap();
    }
    let before_last = journal.len();
    journal.append(&labels(4)).unwrap();
    journal.sync().unwrap();
    let mut dropped = 0;
    each_bit(&dir, |at, result| match result {
        Err(DiskError::Damaged { .. }) => assert!((at as u64) < before_last, "byte {at}"),
        Ok((blocks, label)) => {
            assert_eq!(blocks, [1, 2, 3], "byte {at}");
            // Zeros at the end of a file header are nobody's.
            if label == Some(B256::repeat_byte(1)) {
                assert!(at as u64 >= before_last, "byte {at}");
                dropped += 1;
            }
        }
        Err(error) => panic!("{error}"),
    });
    assert!(dropped > 0);
}

#[test]
fn a_record_cut_short_is_told_from_one_with_a_wrong_bit() {
    let mut bytes = Vec::new();
    labels(1).encode(1, 0, &mut bytes);
    assert!(Framed::is_whole(&bytes));
    for end in 0..bytes.len() {
        assert!(!Framed::is_whole(&bytes[..end]), "{end} bytes");
    }
    *bytes.last_mut().unwrap() ^= 1;
    assert!(Framed::is_whole(&bytes) && Framed::read(&bytes, 1).is_none());
}

#[test]
fn beginnings_of_records_in_a_transaction_are_none() {
    // A block whose last write was interrupted, full of what looks like beginnings of long records.
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::create(dir.path(), 1, &base(), [labels(1)].iter()).unwrap();
    let mut bytes = fs::read(journal.path()).unwrap();
    let mut marker = Vec::new();
    labels(2).encode(1, u64::MAX, &mut marker);
    marker.truncate(24);
    marker[8..12].copy_from_slice(&(1u32 << 20).to_le_bytes());
    let start = bytes.len();
    bytes.extend(marker.repeat(1 << 17));
    fs::write(journal.path(), &bytes).unwrap();
    assert_eq!(read(&dir).unwrap(), (Vec::new(), Some(B256::repeat_byte(1))));
    assert_eq!(fs::metadata(journal.path()).unwrap().len(), start as u64);
}

#[test]
fn a_journal_whose_predecessor_stays_is_not_written_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(dir.path(), 1, &base(), [block(1)].iter()).unwrap();
    // Something that cannot be deleted as a file can.
    let old = dir.path().join(name(1));
    fs::remove_file(&old).unwrap();
    fs::create_dir_all(old.join("full")).unwrap();
    let error = journal.replace(&base(), [block(2)].iter()).unwrap_err().to_string();
    assert!(error.contains("cannot delete"), "{error}");
    assert!(matches!(journal.append(&labels(1)), Err(DiskError::Failed(_))));
    drop(journal);
    fs::remove_dir_all(old).unwrap();
    let mut numbers = Vec::new();
    Journal::open(dir.path(), |record, _| {
        if let Record::Block(found) = record {
            numbers.push(found.block.header().number);
        }
        Ok(())
    })
    .unwrap()
    .unwrap();
    assert_eq!(numbers, [2, 2], "the last record stands there twice");
}

//! The blooms on the disk are those of the headers, whatever happened to their file.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use alloy_primitives::{Bloom, Bytes};
use opal_protocol::SealedBlock;

use crate::testing::{
    GWEI, L2_CHAIN_ID, LOGGER, extend, l2_attributes, l2_engine_in, set_head, tx,
};
use crate::{Database, LocalEngine};

/// A block on the head whose logs differ from block to block: one of other data, or none.
fn grow(engine: &LocalEngine) -> SealedBlock {
    let head = engine.head();
    let state = engine.chain().state_at(&head.hash).unwrap();
    let nonce = |account: u8| {
        let account = state.account(&crate::testing::signer(account).address()).unwrap();
        account.map_or(0, |account| account.nonce)
    };
    let logs = !head.header().number.is_multiple_of(3);
    let forced = logs.then(|| tx(L2_CHAIN_ID, 0, nonce(0), LOGGER, GWEI, Bytes::from([1; 3])));
    extend(engine, l2_attributes(&head, forced.as_slice()))
}

fn close(engine: LocalEngine) {
    engine.chain().wait_for_flush();
    drop(engine);
}

/// A chain of 30 blocks, of which most are on the disk alone.
fn chain_in(dir: &Path) -> Vec<SealedBlock> {
    let engine = l2_engine_in(dir).unwrap();
    let mut blocks = vec![engine.head()];
    for _ in 0..30 {
        blocks.push(grow(&engine));
        engine.chain().wait_for_flush();
    }
    assert_blooms(&engine, &blocks);
    close(engine);
    blocks
}

/// All blooms, read in pieces of every length from every block on.
fn assert_blooms(engine: &LocalEngine, blocks: &[SealedBlock]) {
    let expected: Vec<Bloom> = blocks.iter().map(|block| block.header().logs_bloom).collect();
    assert!(expected.contains(&Bloom::ZERO) && expected.iter().any(|bloom| !bloom.is_zero()));
    let (chain, last) = (engine.chain(), blocks.len() - 1);
    for from in 0..=last {
        for to in from..=last + 2 {
            let found = chain.logs_blooms(from as u64, to as u64);
            assert!(!found.is_empty(), "{from} to {to}");
            assert_eq!(found, expected[from..=to.min(last)][..found.len()], "{from} to {to}");
        }
    }
    assert!(chain.logs_blooms(last as u64 + 1, u64::MAX).is_empty());
}

fn check(dir: &Path) -> Result<(), String> {
    let database = Database::open(dir).map_err(|error| error.to_string())?;
    database.check(&mut |_| {}).map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_reorg_below_what_is_flushed_changes_the_blooms() {
    let dir = tempfile::tempdir().unwrap();
    let mut blocks = chain_in(dir.path());
    let engine = l2_engine_in(dir.path()).unwrap();
    set_head(&engine, blocks[7].hash);
    blocks.truncate(8);
    assert_blooms(&engine, &blocks);
    // Without a log where the old chain has one, so that no bloom may stay.
    blocks.push(extend(&engine, l2_attributes(&engine.head(), &[])));
    for _ in 0..20 {
        blocks.push(grow(&engine));
        engine.chain().wait_for_flush();
        assert_blooms(&engine, &blocks);
    }
    close(engine);
    check(dir.path()).unwrap();
    assert_blooms(&l2_engine_in(dir.path()).unwrap(), &blocks);
}

#[test]
fn blooms_that_are_missing_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let blocks = chain_in(dir.path());
    let path = dir.path().join("blocks.blooms");
    let whole = fs::read(&path).unwrap();
    for len in [None, Some(0), Some(20), Some(32), Some(32 + 260 * 5 + 17)] {
        match len {
            None => fs::remove_file(&path).unwrap(),
            Some(len) => fs::write(&path, &whole[..len]).unwrap(),
        }
        let engine = l2_engine_in(dir.path()).unwrap();
        assert_blooms(&engine, &blocks);
        close(engine);
        check(dir.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole, "{len:?}");
    }
}

#[test]
fn a_directory_of_the_format_before_gets_its_blooms() {
    let dir = tempfile::tempdir().unwrap();
    let blocks = chain_in(dir.path());
    let path = dir.path().join("blocks.blooms");
    let identity = dir.path().join("IDENTITY");
    let whole = fs::read(&path).unwrap();
    let written = fs::read_to_string(&identity).unwrap();
    // An Opal of format 1 leaves no blooms, or has gone on from ones that it does not know: here
    // they are another chain's of the same length, with sound checksums.
    let other = tempfile::tempdir().unwrap();
    let engine = l2_engine_in(other.path()).unwrap();
    for _ in 0..30 {
        extend(&engine, l2_attributes(&engine.head(), &[]));
        engine.chain().wait_for_flush();
    }
    close(engine);
    let stale = fs::read(other.path().join("blocks.blooms")).unwrap();
    assert!(stale.len() == whole.len() && stale != whole);
    for left in [None, Some(stale)] {
        match left {
            None => fs::remove_file(&path).unwrap(),
            Some(stale) => fs::write(&path, stale).unwrap(),
        }
        fs::write(&identity, written.replace("format 2", "format 1")).unwrap();
        let engine = l2_engine_in(dir.path()).unwrap();
        assert_blooms(&engine, &blocks);
        close(engine);
        assert_eq!(fs::read(&path).unwrap(), whole);
        // An older Opal refuses it from here on.
        assert_eq!(fs::read_to_string(&identity).unwrap(), written);
        check(dir.path()).unwrap();
    }
}

#[test]
fn a_bloom_of_another_block_is_found_by_the_check() {
    let dir = tempfile::tempdir().unwrap();
    chain_in(dir.path());
    let other = tempfile::tempdir().unwrap();
    let engine = l2_engine_in(other.path()).unwrap();
    for _ in 0..30 {
        extend(&engine, l2_attributes(&engine.head(), &[]));
        engine.chain().wait_for_flush();
    }
    close(engine);
    let name = "blocks.blooms";
    fs::copy(other.path().join(name), dir.path().join(name)).unwrap();
    let error = check(dir.path()).unwrap_err();
    assert!(error.contains("the bloom in blocks.blooms is not the block's"), "{error}");
}

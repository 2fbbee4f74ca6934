#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

use alloy_primitives::{B256, U256};
use opal_protocol::{PayloadAttributes, TxEnvelope};

use super::*;
use crate::testing::{
    RECIPIENT, extend, l2_attributes, l2_engine, l2_engine_in, l2_engine_with, minting_deposit,
    set_head, transfer,
};
use crate::{Database, ForkchoiceState, LocalEngine, import_snapshot};

/// A block on the head with one transfer of the first account.
pub(super) fn grow(engine: &LocalEngine) -> SealedBlock {
    let head = engine.head();
    let nonce = head.header().number;
    extend(engine, l2_attributes(&head, &[transfer(0, nonce, 1)]))
}

pub(super) fn close(engine: LocalEngine) {
    engine.chain().wait_for_flush();
    drop(engine);
}

pub(super) fn wait(engine: &LocalEngine) {
    engine.chain().wait_for_flush();
}

/// Everything that can be asked of each canonical block up to the head.
pub(super) fn assert_whole(engine: &LocalEngine, blocks: &[SealedBlock]) {
    let chain = engine.chain();
    for block in blocks {
        let number = block.header().number;
        assert_eq!(chain.block_by_number(number).as_ref(), Some(block), "{number}");
        assert_eq!(chain.canonical_hash(number), Some(block.hash));
        assert_eq!(chain.ancestor_hash(chain.head().hash, number), Some(block.hash));
        assert!(chain.is_canonical(&block.hash));
        assert_eq!(chain.logs_blooms(number, number), [block.header().logs_bloom], "{number}");
        let stored = chain.stored(&block.hash).unwrap();
        assert_eq!(stored.block, *block);
        let receipts = stored.receipts.iter().map(|receipt| receipt.for_receipts_root());
        let receipts: Vec<_> = receipts.collect();
        let root = alloy_consensus::proofs::ordered_trie_root_with_encoder(
            &receipts,
            |receipt: &opal_protocol::Receipt, out| receipt.encode_2718(out),
        );
        assert_eq!(root, block.header().receipts_root, "{number}");
        for (index, tx) in block.block.body.transactions.iter().enumerate() {
            let (found, at) = chain.transaction(&tx.tx_hash()).unwrap();
            assert_eq!((found.block.hash, at), (block.hash, index), "{number}");
        }
    }
    let head = chain.head();
    assert_eq!(chain.state_at(&head.hash).unwrap().root(), head.header().state_root);
}

fn label(engine: &LocalEngine, safe: &SealedBlock, finalized: &SealedBlock) {
    let head = engine.head().hash;
    let state = ForkchoiceState { head, safe: safe.hash, finalized: finalized.hash };
    assert!(engine.fork_choice_updated(state, None).unwrap().status.is_valid());
}

#[test]
fn a_restart_finds_everything() {
    let dir = tempfile::tempdir().unwrap();
    let mut blocks = Vec::new();
    for round in 0..4 {
        let engine = l2_engine_in(dir.path()).unwrap();
        if blocks.is_empty() {
            blocks.push(engine.head());
        }
        assert_eq!(Some(&engine.head()), blocks.last());
        for _ in 0..9 {
            blocks.push(grow(&engine));
        }
        label(&engine, &blocks[blocks.len() - 3], &blocks[blocks.len() - 5]);
        if round == 1 {
            wait(&engine);
        }
        assert_whole(&engine, &blocks);
        let (safe, finalized) = (engine.safe(), engine.finalized());
        close(engine);

        let engine = l2_engine_in(dir.path()).unwrap();
        assert_eq!((engine.safe(), engine.finalized()), (safe, finalized));
        assert_whole(&engine, &blocks);
        close(engine);

        let database = Database::open(dir.path()).unwrap();
        let stats = database.stats().unwrap();
        assert_eq!(stats.head, blocks.last().map(|block| block.id()));
        let checked = database.check(&mut |_| {}).unwrap();
        assert_eq!(checked.transactions, 2 * checked.blocks);
        assert!(checked.blocks >= 8 * (round + 1), "{round}: {checked:?}");
    }
}

#[test]
fn the_same_blocks_as_a_chain_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (durable, memory) = (l2_engine_in(dir.path()).unwrap(), l2_engine());
    for _ in 0..20 {
        let block = grow(&durable);
        assert!(memory.new_payload(&block).unwrap().is_valid());
        set_head(&memory, block.hash);
    }
    assert_eq!(durable.head(), memory.head());
    // Blocks that come from elsewhere are stored alike.
    let other = tempfile::tempdir().unwrap();
    let follower = l2_engine_in(other.path()).unwrap();
    for number in 1..=20 {
        let block = durable.block_by_number(number).unwrap();
        assert!(follower.new_payload(&block).unwrap().is_valid());
        if number % 3 == 0 {
            set_head(&follower, block.hash);
        }
    }
    set_head(&follower, durable.head().hash);
    close(follower);
    assert_eq!(l2_engine_in(other.path()).unwrap().head(), memory.head());
}

#[test]
fn a_reorg_below_what_is_flushed_lasts_and_can_be_undone() {
    let dir = tempfile::tempdir().unwrap();
    let engine = l2_engine_in(dir.path()).unwrap();
    let mut old = vec![engine.head()];
    for _ in 0..20 {
        old.push(grow(&engine));
        wait(&engine);
    }
    // Block 5 is on the disk and no more in memory.
    let mut new = old[..=5].to_vec();
    set_head(&engine, old[5].hash);
    assert_eq!(engine.head(), old[5]);
    for mint in 0..3 {
        // Without the pool, which has the old chain's transactions now.
        let attributes = l2_attributes(&engine.head(), &[minting_deposit(mint)]);
        new.push(extend(&engine, PayloadAttributes { no_tx_pool: true, ..attributes }));
    }
    assert_whole(&engine, &new);
    let gone = old[6].block.body.transactions[1].tx_hash();
    assert!(engine.chain().transaction(&gone).is_none());
    close(engine);

    let engine = l2_engine_in(dir.path()).unwrap();
    assert_eq!(engine.head(), new[8]);
    assert_whole(&engine, &new);
    assert!(engine.chain().transaction(&gone).is_none());
    // The old chain is a fork now, and can come back.
    set_head(&engine, old[20].hash);
    assert_whole(&engine, &old);
    for _ in 0..10 {
        old.push(grow(&engine));
    }
    close(engine);
    let engine = l2_engine_in(dir.path()).unwrap();
    assert_whole(&engine, &old);
    close(engine);
    let database = Database::open(dir.path()).unwrap();
    database.check(&mut |_| {}).unwrap();
    assert!(database.check_history(&mut |_| {}).unwrap() > 0);
}

#[test]
fn a_fork_lasts_until_finality_passes_it() {
    let dir = tempfile::tempdir().unwrap();
    let engine = l2_engine_in(dir.path()).unwrap();
    let first = grow(&engine);
    set_head(&engine, engine.chain().genesis().hash);
    let fork = extend(&engine, l2_attributes(&engine.head(), &[minting_deposit(1)]));
    set_head(&engine, first.hash);
    for _ in 0..20 {
        grow(&engine);
    }
    close(engine);
    let engine = l2_engine_in(dir.path()).unwrap();
    assert_eq!(engine.block_by_hash(&fork.hash), Some(fork.clone()));
    let tenth = engine.block_by_number(10).unwrap();
    label(&engine, &tenth, &tenth);
    assert_eq!(engine.block_by_hash(&fork.hash), None);
    close(engine);
    let engine = l2_engine_in(dir.path()).unwrap();
    assert_eq!(engine.finalized(), Some(tenth));
    assert_eq!(engine.block_by_hash(&fork.hash), None);
}

#[test]
fn the_head_is_set_back_by_command_online_and_offline() {
    let dir = tempfile::tempdir().unwrap();
    let engine = l2_engine_in(dir.path()).unwrap();
    let mut blocks = vec![engine.head()];
    for _ in 0..30 {
        blocks.push(grow(&engine));
    }
    label(&engine, &blocks[12], &blocks[10]);
    wait(&engine);
    let chain = engine.chain().clone();
    let error = chain.set_head_to(9, false).unwrap_err();
    assert!(error.to_string().contains("finalized block 10"), "{error}");
    assert!(chain.set_head_to(31, false).is_err());
    assert_eq!(chain.set_head_to(11, false).unwrap(), blocks[11]);
    assert_eq!(chain.safe(), blocks[11]);
    assert_eq!(chain.finalized(), blocks[10]);
    drop(chain);
    for (mint, block) in blocks[12..15].iter_mut().enumerate() {
        let mint = [minting_deposit(mint as u128)];
        *block = extend(&engine, l2_attributes(&engine.head(), &mint));
    }
    close(engine);

    let database = Database::open(dir.path()).unwrap();
    assert!(database.rewind(9, false).is_err());
    assert!(database.rewind(15, false).is_err());
    assert_eq!(database.rewind(13, false).unwrap(), blocks[13].id());
    drop(database);
    let engine = l2_engine_in(dir.path()).unwrap();
    assert_eq!(engine.head(), blocks[13]);
    assert_whole(&engine, &blocks[..=13]);
    close(engine);
    let database = Database::open(dir.path()).unwrap();
    assert_eq!(database.rewind(3, true).unwrap(), blocks[3].id());
    drop(database);
    let engine = l2_engine_in(dir.path()).unwrap();
    assert_eq!(
        [engine.head(), engine.finalized().unwrap()],
        [blocks[3].clone(), blocks[3].clone()]
    );
    assert_whole(&engine, &blocks[..=3]);
    grow(&engine);
}

#[test]
fn states_of_the_history_are_computed_and_older_ones_dropped() {
    // Blocks every five seconds.
    for history in [History::Blocks(10), History::Seconds(50)] {
        older_states_are_dropped(history);
    }
}

fn older_states_are_dropped(history: History) {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        l2_engine_with(dir.path(), |_, storage| {
            (storage.flush_blocks, storage.history) = (2, history);
        })
        .unwrap()
    };
    let grow = |engine: &LocalEngine| {
        let head = engine.head();
        let nonce = head.header().number;
        let attributes = l2_attributes(&head, &[transfer(0, nonce, 1)]);
        let timestamp = head.header().timestamp + 5;
        extend(engine, PayloadAttributes { timestamp, ..attributes })
    };
    let engine = open();
    let mut blocks = vec![engine.head()];
    for _ in 0..100 {
        blocks.push(grow(&engine));
        if blocks.len().is_multiple_of(2) {
            wait(&engine);
        }
    }
    let root = |engine: &LocalEngine, number: usize| {
        engine.chain().state_at(&blocks[number].hash).map(|state| state.root())
    };
    // Nothing is final: all that a reorg could need is kept.
    for number in [0, 1, 37, 64, 95, 100] {
        assert_eq!(root(&engine, number).unwrap(), blocks[number].header().state_root);
    }
    // A flush that began before would end without the new label.
    wait(&engine);
    label(&engine, &blocks[98], &blocks[98]);
    grow(&engine);
    grow(&engine);
    wait(&engine);
    for (number, block) in blocks.iter().enumerate().skip(92) {
        assert_eq!(root(&engine, number).unwrap(), block.header().state_root);
    }
    let gone = root(&engine, 50).unwrap_err();
    assert!(matches!(gone, ChainError::StateUnavailable { number: 50, .. }), "{gone}");
    // Nor does an operator get there, who may go below the finalized block.
    let gone = engine.chain().set_head_to(50, true).unwrap_err();
    assert!(matches!(gone, ChainError::StateUnavailable { number: 50, .. }), "{gone}");
    close(engine);
    let database = Database::open(dir.path()).unwrap();
    let oldest = database.stats().unwrap().states.unwrap().0;
    assert!((88..=92).contains(&oldest), "{oldest}");
    let error = database.rewind(50, true).unwrap_err().to_string();
    assert!(error.contains("no state of block 50"), "{error}");
    drop(database);
    let engine = open();
    assert_eq!(root(&engine, 93).unwrap(), blocks[93].header().state_root);
    assert_whole(&engine, &blocks);
}

#[test]
fn a_snapshot_starts_another_node_and_is_verified() {
    let dir = tempfile::tempdir().unwrap();
    let engine = l2_engine_in(dir.path()).unwrap();
    let mut blocks = vec![engine.head()];
    for _ in 0..40 {
        blocks.push(grow(&engine));
        wait(&engine);
    }
    close(engine);
    let target = tempfile::tempdir().unwrap();
    let file = target.path().join("snapshot");
    let database = Database::open(dir.path()).unwrap();
    let exported = database.export(&file, Some(30), 10, &mut |_| {}).unwrap();
    let number = exported.block.number;
    assert!((22..=30).contains(&number), "{number}");
    assert_eq!(exported.block, blocks[number as usize].id());
    assert!(database.export(&file.join("x"), None, 10, &mut |_| {}).is_err());

    let new = target.path().join("new");
    let import = |file: &Path, hash| import_snapshot(file, &new, hash, &mut |_| {});
    assert!(import(&file, Some(B256::ZERO)).is_err());
    // No byte may be wrong or missing, and nothing is left behind.
    let whole = fs::read(&file).unwrap();
    let bad = target.path().join("bad");
    let mut errors = 0;
    for step in 0..40 {
        let mut bytes = whole.clone();
        let at = whole.len() * step / 40;
        if step % 4 == 3 {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 0x10;
        }
        fs::write(&bad, bytes).unwrap();
        match import(&bad, None) {
            Err(error) => {
                errors += 1;
                assert!(error.to_string().contains("bad"), "{error}");
            }
            // A bit that decompression does not look at: all was verified.
            Ok(_) => fs::remove_dir_all(&new).unwrap(),
        }
    }
    assert!(errors > 30, "{errors}");
    fs::remove_file(&bad).unwrap();
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 1);

    let imported = import(&file, Some(exported.block.hash)).unwrap();
    assert_eq!(imported.accounts, exported.accounts);
    assert!(import(&file, None).unwrap_err().to_string().contains("there already"));
    Database::open(&new).unwrap().check(&mut |_| {}).unwrap();
    let engine = l2_engine_in(&new).unwrap();
    let number = number as usize;
    assert_eq!(engine.head(), blocks[number]);
    assert_eq!(engine.finalized().unwrap(), blocks[number]);
    assert_eq!(engine.block_by_number(0).unwrap(), blocks[0]);
    assert_eq!(engine.block_by_number(5), None);
    assert_whole(&engine, &blocks[number - 9..=number]);
    for block in &blocks[number + 1..] {
        assert!(engine.new_payload(block).unwrap().is_valid());
        set_head(&engine, block.hash);
    }
    close(engine);
    assert_whole(&l2_engine_in(&new).unwrap(), &blocks[number - 9..]);
}

#[test]
fn many_blocks_before_one_flush_wait_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let engine = l2_engine_with(dir.path(), |_, storage| {
        (storage.flush_blocks, storage.max_unflushed) = (1, 3);
    })
    .unwrap();
    let mut blocks = vec![engine.head()];
    let funds = |engine: &LocalEngine| {
        let state = engine.chain().state_at(&engine.head().hash).unwrap();
        state.account(&RECIPIENT).unwrap().map_or(U256::ZERO, |account| account.balance)
    };
    for _ in 0..30 {
        blocks.push(grow(&engine));
    }
    assert_eq!(funds(&engine), U256::from(30));
    let tx: TxEnvelope = transfer(0, 0, 1);
    assert!(engine.chain().transaction(&tx.tx_hash()).is_some());
    assert!(engine.chain().transaction(&B256::repeat_byte(1)).is_none());
    close(engine);
    let engine = l2_engine_in(dir.path()).unwrap();
    assert_whole(&engine, &blocks);
}

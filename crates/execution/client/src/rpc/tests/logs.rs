//! `eth_getLogs` on a chain on disk: the answers of a chain in memory, or an error, but never fewer
//! logs than there are.

use super::*;
use crate::testing::{l2_engine_in, minting_deposit};
use crate::{Database, import_snapshot};

const BLOCKS: u64 = 30;

/// Grows both chains by the same blocks; every third one has no log.
fn grow(engine: &LocalEngine, memory: &LocalEngine, blocks: u64) {
    for n in 0..blocks {
        let head = engine.head();
        let state = engine.chain().state_at(&head.hash).unwrap();
        let account = state.account(&signer(0).address()).unwrap().unwrap();
        let forced = match n % 3 {
            2 => minting_deposit(u128::from(n)),
            _ => call_logger(0, account.nonce),
        };
        let block = extend(engine, l2_attributes(&head, &[forced]));
        engine.chain().wait_for_flush();
        assert!(memory.new_payload(&block).unwrap().is_valid());
        set_head(memory, block.hash);
    }
}

async fn assert_same_logs(engine: &LocalEngine, memory: &LocalEngine) {
    let (module, oracle) = (module(engine.chain().clone()), module(memory.chain().clone()));
    let last = engine.head().header().number;
    let mut logs = 0;
    for (from, to) in [(0, last), (1, last), (0, 1), (3, 9), (7, 7), (5, last - 1), (last, last)] {
        for address in [LOGGER, RECIPIENT] {
            let filter = json!({
                "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}"), "address": address
            });
            let found = ok(&module, "eth_getLogs", json!([filter])).await;
            assert_eq!(found, ok(&oracle, "eth_getLogs", json!([filter])).await, "{filter}");
            logs = logs.max(found.as_array().unwrap().len());
        }
    }
    assert!(logs as u64 > last / 2, "{logs}");
}

#[tokio::test]
async fn logs_on_disk_are_those_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, memory) = (l2_engine_in(dir.path()).unwrap(), l2_engine());
    grow(&engine, &memory, BLOCKS);
    assert_same_logs(&engine, &memory).await;
    // Blocks on the disk leave the chain, others come.
    let common = engine.block_by_number(5).unwrap().hash;
    set_head(&engine, common);
    set_head(&memory, common);
    grow(&engine, &memory, 1);
    let other = [minting_deposit(77)];
    let block = extend(&engine, l2_attributes(&engine.head(), &other));
    assert!(memory.new_payload(&block).unwrap().is_valid());
    set_head(&memory, block.hash);
    grow(&engine, &memory, BLOCKS);
    assert_same_logs(&engine, &memory).await;
    drop(engine);
    assert_same_logs(&l2_engine_in(dir.path()).unwrap(), &memory).await;
}

#[tokio::test]
async fn blocks_before_a_snapshot_are_not_taken_for_empty_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (source, new, file) =
        (dir.path().join("source"), dir.path().join("new"), dir.path().join("snapshot"));
    let (engine, memory) = (l2_engine_in(&source).unwrap(), l2_engine());
    grow(&engine, &memory, BLOCKS);
    drop(engine);
    let exported = Database::open(&source).unwrap().export(&file, None, 10, &mut |_| {}).unwrap();
    import_snapshot(&file, &new, None, &mut |_| {}).unwrap();
    let engine = l2_engine_in(&new).unwrap();
    let (module, oracle) = (module(engine.chain().clone()), module(memory.chain().clone()));
    let head = engine.head().header().number;
    let first = exported.block.number - 9;
    for (from, known) in [(0, false), (1, false), (first - 1, false), (first, true)] {
        let filter =
            json!([{ "fromBlock": format!("{from:#x}"), "toBlock": format!("{head:#x}") }]);
        let answer = ask(&module, "eth_getLogs", filter.clone()).await;
        if known {
            assert_eq!(answer.unwrap(), ok(&oracle, "eth_getLogs", filter).await);
        } else {
            let error = json!({ "code": 4444, "message": "pruned history unavailable" });
            assert_eq!(answer.unwrap_err(), error, "{from}");
        }
    }
}

//! Queries of old blocks on a chain on disk: as far as states are kept, they have the answers that a
//! chain has which keeps all in memory.

use super::*;
use crate::History;
use crate::testing::l2_engine_with;

const BLOCKS: u64 = 96;
/// Blocks behind the head whose states a pruned chain promises.
const KEPT: u64 = 10;

/// What looks into the state before or after a block, each in its own way.
fn questions(number: u64, hash: B256) -> [(&'static str, Value); 7] {
    let tag = format!("{number:#x}");
    let call = json!({ "to": LOGGER, "data": "0x01" });
    [
        ("debug_traceTransaction", json!([hash, { "tracer": "callTracer" }])),
        ("debug_traceBlockByNumber", json!([tag, { "tracer": "prestateTracer" }])),
        ("debug_traceCall", json!([call, tag, {}])),
        ("trace_block", json!([tag])),
        ("debug_executionWitness", json!([tag])),
        ("eth_getProof", json!([signer(0).address(), ["0x0"], tag])),
        ("eth_call", json!([call, tag])),
    ]
}

#[tokio::test]
async fn old_blocks_are_traced_as_far_as_states_are_kept() {
    for archive in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let engine = l2_engine_with(dir.path(), |_, storage| {
            storage.flush_blocks = 2;
            storage.history = if archive { History::All } else { History::Blocks(KEPT) };
        })
        .unwrap();
        let (memory, oracle) = l2();
        let mut hashes = Vec::new();
        for n in 0..BLOCKS {
            let forced = [minting_deposit(u128::from(n)), call_logger(0, n)];
            let block = extend(&engine, l2_attributes(&engine.head(), &forced));
            hashes.push(block.block.body.transactions[1].tx_hash());
            assert!(memory.new_payload(&block).unwrap().is_valid());
            set_head(&memory, block.hash);
            if n + 3 == BLOCKS {
                // What is final need not be kept.
                let state =
                    ForkchoiceState { head: block.hash, safe: block.hash, finalized: block.hash };
                assert!(engine.fork_choice_updated(state, None).unwrap().status.is_valid());
            }
            engine.chain().wait_for_flush();
        }
        let module = module(engine.chain().clone());
        let (mut answered, mut refused) = (0, 0);
        for (number, hash) in (1..=BLOCKS).zip(hashes).filter(|(n, _)| n % 5 == 1) {
            for (method, params) in questions(number, hash) {
                let expected = ok(&oracle, method, params.clone()).await;
                match ask(&module, method, params).await {
                    Ok(answer) => {
                        assert_eq!(answer, expected, "{method} at {number}");
                        answered += 1;
                    }
                    Err(error) => {
                        let text = error["message"].as_str().unwrap();
                        assert!(text.starts_with("historical state 0x"), "{method}: {text}");
                        assert!(text.ends_with("is not available"), "{method}: {text}");
                        assert!(
                            !archive && number + KEPT <= BLOCKS,
                            "{method} at {number}: {text}"
                        );
                        refused += 1;
                    }
                }
            }
        }
        assert!(answered >= 14 && (refused > 0) != archive, "{answered} {refused}");
    }
}

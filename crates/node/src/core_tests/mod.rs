#![allow(clippy::unwrap_used)]

mod world;

use alloy_consensus::TxEip4844;
use opal_protocol::batcher_tx::encode_batcher_data;
use opal_protocol::blob::encode_blob;
use opal_protocol::{Hardfork, TxEnvelope};

use super::*;
use world::{World, db, heads, key, nine_blocks, sign};

#[test]
fn own_blocks_become_safe_and_the_record_tells_from_when_on() {
    let mut world = World::new(Hardfork::Isthmus);
    let dir = tempfile::tempdir().unwrap();
    let db = db(&dir, &world);
    let core = nine_blocks(Some(db.clone()), &mut world);
    assert_eq!(core.metrics.unsafe_reorgs.get(), 0);
    let safe_at = |l1| db.at_l1(l1).unwrap().map(|r| (r.l1_block.number, r.safe_head.number));
    assert_eq!(
        [2, 3, 4, 5, 6, 7, 8].map(safe_at),
        [None, Some((3, 3)), Some((3, 3)), Some((5, 6)), Some((5, 6)), Some((7, 9)), Some((7, 9))]
    );
    assert_eq!(db.len(), 3, "all is on disk when the L1 is read to its end");
    assert_eq!(core.status().current_l1.number, 7);
    assert_eq!(core.status().pending_safe_l2, core.heads().safe);
}

#[test]
fn a_second_reorg_comes_while_the_first_is_being_derived_again() {
    let mut world = World::new(Hardfork::Isthmus);
    let dir = tempfile::tempdir().unwrap();
    let db = db(&dir, &world);
    let mut core = nine_blocks(Some(db.clone()), &mut world);

    world.reorg(7);
    assert_eq!(world.new_head(&mut core, 0), Verdict::Reorged);
    assert_eq!(heads(&core), (9, 6, 0), "blocks 7 to 9 have lost their batches");
    assert_eq!(db.at_l1(99).unwrap().unwrap().l1_block.number, 5);
    world.run_to_origin(&mut core, 1);
    // Derivation reads block 1 or 2, the safe head came from block 5.
    assert!(core.derivation.origin().number < 3);

    world.reorg(5);
    assert_eq!(world.new_head(&mut core, 0), Verdict::Reorged, "although all that is read stands");
    assert_eq!(heads(&core), (9, 3, 0));
    assert_eq!(db.at_l1(99).unwrap().unwrap().safe_head, core.heads().safe.id());
    world.run_to_origin(&mut core, 2);

    // A third one takes everything; then other blocks are posted.
    world.reorg(1);
    assert_eq!(world.new_head(&mut core, 0), Verdict::Reorged);
    assert_eq!((heads(&core), db.is_empty()), ((9, 0, 0), true));
    world.post_blocks(&core, 1..=5);
    assert_eq!(world.new_head(&mut core, 0), Verdict::Ours);
    world.run(&mut core);
    assert_eq!(heads(&core), (9, 5, 0), "the unsafe chain was right all the time");
    assert_eq!(core.metrics.resets.get(), 3);
    assert_eq!(db.len(), 1);
}

#[test]
fn an_l1_that_is_too_short_to_tell_changes_nothing() {
    let mut world = World::new(Hardfork::Isthmus);
    let mut core = nine_blocks(None, &mut world);
    let long = world.l1.clone();
    world.l1.truncate(6);
    assert_eq!(world.new_head(&mut core, 5), Verdict::Unknown);
    assert!(core.l1_unverified() && core.final_candidate().is_none());
    assert_eq!(heads(&core), (9, 9, 0));
    world.l1 = long;
    assert_eq!(world.new_head(&mut core, 5), Verdict::Ours);
    assert!(!core.l1_unverified() && core.final_candidate().is_some());
}

#[test]
fn finality_waits_while_the_l1_is_in_doubt() {
    let mut world = World::new(Hardfork::Isthmus);
    let mut core = nine_blocks(None, &mut world);
    let old = world.l1.clone();
    world.new_head(&mut core, 5);
    let candidate = core.final_candidate().unwrap();
    assert_eq!((candidate.0.number, candidate.1.safe.number), (5, 6));
    let answers = |world: &World| [world.hash(5), world.hash(5)];

    // The head jumps before the answer comes.
    world.reorg(4);
    assert!(core.on_l1_heads(world.heads(3)));
    assert_eq!(core.final_candidate(), None);
    core.finalize(candidate, [Some(old[5].reference.hash); 2]).unwrap();
    assert_eq!(heads(&core).2, 0, "an answer from before counts no more");
    assert_eq!(world.verify(&mut core), Verdict::Reorged);
    assert_eq!(heads(&core), (9, 3, 0));
    // Block 3, which holds the batches of 1 to 3, is on both chains, and is final.
    let candidate = core.final_candidate().unwrap();
    assert_eq!(candidate.1.safe.number, 3);
    core.finalize(candidate, [world.hash(3); 2]).unwrap();
    assert_eq!(heads(&core), (9, 3, 3));

    // The same question, but the L1 answers with another chain.
    world.l1 = old;
    world.new_head(&mut core, 3);
    world.run(&mut core);
    assert_eq!(heads(&core), (9, 9, 3));
    world.new_head(&mut core, 5);
    let candidate = core.final_candidate().unwrap();
    core.finalize(candidate, [Some(B256::ZERO), world.hash(5)]).unwrap();
    assert!(core.l1_unverified(), "to be compared first");
    assert_eq!(heads(&core).2, 3);
    assert_eq!(world.verify(&mut core), Verdict::Ours);
    core.finalize(candidate, [None, world.hash(5)]).unwrap();
    assert_eq!((heads(&core).2, core.l1_unverified()), (3, false), "the L1 is too short");
    core.finalize(candidate, answers(&world)).unwrap();
    assert_eq!(heads(&core).2, 6);

    // Finality that goes back, and one of another chain.
    core.on_l1_heads(L1Heads { finalized: world.l1[3].reference, ..world.heads(0) });
    assert_eq!((core.final_candidate(), heads(&core).2), (None, 6));
    let mut other = world.heads(7);
    other.finalized.hash = B256::repeat_byte(9);
    core.on_l1_heads(other);
    assert_eq!(core.final_candidate(), None);
    assert!(core.l1_unverified() && heads(&core).2 == 6);
}

#[test]
fn what_becomes_final_is_on_disk_before() {
    let mut world = World::new(Hardfork::Isthmus);
    let dir = tempfile::tempdir().unwrap();
    let safe_db = db(&dir, &world);
    let mut core = nine_blocks(Some(safe_db.clone()), &mut world);
    world.sequence(&mut core, 2);
    world.post_blocks(&core, 10..=11);
    world.mine(Vec::new());
    world.new_head(&mut core, 8);
    while core.heads().safe.number < 11 {
        assert!(world.turn(&mut core));
    }
    assert_eq!(safe_db.len(), 3, "the newest record waits for its L1 block's end");
    let candidate = core.final_candidate().unwrap();
    core.finalize(candidate, [world.hash(8); 2]).unwrap();
    assert_eq!((heads(&core), safe_db.len()), ((11, 11, 11), 4));
    assert_eq!(safe_db.get(3).unwrap().unwrap().safe_head, core.heads().finalized.id());
}

#[test]
fn a_reset_that_is_due_holds_finality_back() {
    let mut world = World::new(Hardfork::Isthmus);
    let mut core = nine_blocks(None, &mut world);
    world.new_head(&mut core, 7);
    let candidate = core.final_candidate().unwrap();
    core.reset_due = Some("test".to_owned());
    assert!(core.final_candidate().is_none() && !core.can_derive());
    core.finalize(candidate, [world.hash(7); 2]).unwrap();
    assert_eq!(heads(&core).2, 0);
}

#[test]
fn after_a_restart_the_record_says_what_is_safe_and_what_may_become_final() {
    let mut world = World::new(Hardfork::Isthmus);
    let dir = tempfile::tempdir().unwrap();
    let core = nine_blocks(Some(db(&dir, &world)), &mut world);
    let engine = core.engine.clone();
    drop(core);
    // Without the record the node falls back to the finalized head.
    assert_eq!(heads(&world.start(engine.clone(), None)), (9, 0, 0));
    let mut core = world.start(engine.clone(), Some(db(&dir, &world)));
    assert_eq!(heads(&core), (9, 9, 0));
    world.new_head(&mut core, 6);
    let candidate = core.final_candidate().unwrap();
    assert_eq!((candidate.1.derived_from.number, candidate.1.safe.number), (5, 6));
    core.finalize(candidate, [world.hash(6), world.hash(5)]).unwrap();
    assert_eq!(heads(&core), (9, 9, 6));
    drop(core);
    // While the node was away, the L1 has lost its last batches.
    world.reorg(7);
    let safe_db = db(&dir, &world);
    let core = world.start(engine, Some(safe_db.clone()));
    assert_eq!((heads(&core), safe_db.len()), ((9, 6, 6), 2));
    drop((core, safe_db));

    // An engine that has lost everything: the record stands, and is confirmed step by step.
    let safe_db = db(&dir, &world);
    let mut core = world.start(world.engine(), Some(safe_db.clone()));
    assert_eq!((heads(&core), safe_db.len()), ((0, 0, 0), 2));
    let told = |l1| safe_db.at_l1(l1).unwrap().map(|r| r.safe_head.number);
    while world.turn(&mut core) {
        assert_eq!(
            [told(2), told(3), told(4), told(5), told(99)],
            [None, Some(3), Some(3), Some(6), Some(6)]
        );
    }
    assert_eq!((heads(&core), safe_db.len()), ((6, 6, 0), 2));
}

#[test]
fn a_record_that_cannot_be_written_stops_no_node() {
    let mut world = World::new(Hardfork::Isthmus);
    let dir = tempfile::tempdir().unwrap();
    let safe_db = db(&dir, &world);
    let mut core = nine_blocks(Some(safe_db.clone()), &mut world);
    safe_db.break_writes();
    assert_eq!(safe_db.at_l1(99).unwrap().unwrap().l1_block.number, 7, "the error comes later");
    world.sequence(&mut core, 3);
    world.post_blocks(&core, 10..=12);
    assert_eq!(world.new_head(&mut core, 0), Verdict::Ours);
    world.run(&mut core);
    assert_eq!(heads(&core), (12, 12, 0));
    assert!(matches!(safe_db.at_l1(3), Err(SafeDbError::Failed)));
    // Nor do an L1 reorg, finality and the end.
    world.reorg(5);
    assert_eq!(world.new_head(&mut core, 3), Verdict::Reorged);
    world.run(&mut core);
    let candidate = core.final_candidate().unwrap();
    core.finalize(candidate, [world.hash(3); 2]).unwrap();
    assert_eq!(heads(&core), (12, 3, 3));
    core.close();
    drop((core, safe_db));
    // What the file has is what was written before, and the next start goes on with it.
    let safe_db = db(&dir, &world);
    assert_eq!(safe_db.len(), 3);
    let core = world.start(world.engine(), Some(safe_db.clone()));
    assert_eq!((safe_db.len(), safe_db.at_l1(99).unwrap().unwrap().l1_block.number), (1, 3));
    drop(core);
}

#[test]
fn the_record_is_compared_with_the_l1_by_few_questions() {
    let mut world = World::new(Hardfork::Isthmus);
    for _ in 0..200 {
        world.serial = 0;
        world.mine(Vec::new());
    }
    let dir = tempfile::tempdir().unwrap();
    let safe_db = db(&dir, &world);
    for block in world.l1.iter().skip(1).step_by(2) {
        let id = BlockId { number: block.reference.number, ..BlockId::default() };
        let l1_block = block.reference.id();
        safe_db.record(SafeHeadRecord { l1_block, safe_head: id }).unwrap();
    }
    safe_db.flush().unwrap();
    assert_eq!((world.confirm(&safe_db, 0), safe_db.len()), (1, 100));
    // The L1 is shorter now, then another one from block 60 on, then another one altogether.
    world.l1.truncate(150);
    assert!(world.confirm(&safe_db, 0) < 15);
    assert_eq!(safe_db.len(), 100, "an endpoint that lags costs nothing");
    world.serial = 100;
    world.reorg(60);
    assert!(world.confirm(&safe_db, 0) < 15);
    assert_eq!((safe_db.len(), safe_db.at_l1(999).unwrap().unwrap().l1_block.number), (30, 59));
    world.serial = 30;
    world.reorg(0);
    world.confirm(&safe_db, 19);
    assert_eq!(safe_db.len(), 10, "what is final stays");
    world.confirm(&safe_db, 0);
    assert!(safe_db.is_empty());
    assert_eq!(world.confirm(&safe_db, 0), 0);
}

#[test]
fn records_ahead_of_a_lagging_l1_stay_until_derivation_contradicts_them() {
    let mut world = World::new(Hardfork::Isthmus);
    let dir = tempfile::tempdir().unwrap();
    let safe_db = db(&dir, &world);
    let core = nine_blocks(Some(safe_db.clone()), &mut world);
    let batches = world.batches(&core, 1..=9);
    drop(core);
    let long = world.l1.clone();
    // The endpoint lags while the node starts.
    world.l1.truncate(4);
    let mut core = world.start(world.engine(), Some(safe_db.clone()));
    world.run(&mut core);
    assert_eq!((heads(&core), safe_db.len()), ((3, 3, 0), 3));
    let told = |l1| safe_db.at_l1(l1).unwrap().map(|r| (r.l1_block.number, r.safe_head.number));
    assert_eq!([told(4), told(6), told(9)], [Some((3, 3)), Some((5, 6)), Some((7, 9))]);
    // It comes back with another chain: blocks 4 to 9 are in its block 6, and none in 5.
    world.mine(Vec::new());
    world.mine(Vec::new());
    let frame = world.singular(&batches[3..]);
    world.post(frame);
    assert_eq!(world.new_head(&mut core, 0), Verdict::Ours);
    world.run(&mut core);
    assert_eq!(heads(&core), (9, 9, 0));
    assert_eq!([told(5), told(6), told(9)], [Some((3, 3)), Some((6, 9)), Some((6, 9))]);
    drop(core);
    // And with the one that it had: the newest record is cut, the others are derived again.
    world.l1 = long;
    let mut core = world.start(world.engine(), Some(safe_db.clone()));
    world.run(&mut core);
    assert_eq!([told(4), told(6), told(9)], [Some((3, 3)), Some((5, 6)), Some((7, 9))]);
}

#[test]
fn a_span_batch_is_safe_when_its_last_block_is() {
    let mut world = World::new(Hardfork::Granite);
    let mut sequencer = world.start(world.engine(), None);
    world.sequence(&mut sequencer, 4);
    let batches = world.batches(&sequencer, 1..=4);
    let frame = world.span(&batches);
    world.post(frame);
    // The one has the blocks already, the other one builds them.
    let verifier = world.start(world.engine(), None);
    for (mut core, tip) in [(sequencer, Some(4)), (verifier, None)] {
        world.new_head(&mut core, 0);
        let mut pending = 0;
        while pending < 4 {
            assert!(world.turn(&mut core));
            let now = core.status().pending_safe_l2.number;
            assert!(now == pending || now == pending + 1);
            pending = now;
            let safe = if pending < 4 { 0 } else { 4 };
            assert_eq!(heads(&core), (tip.unwrap_or(pending), safe, 0), "{pending} derived");
        }
        assert_eq!(core.metrics.unsafe_reorgs.get(), 0);
    }
}

#[test]
fn a_reorg_in_the_middle_of_a_span_leaves_nothing_of_it_safe() {
    let mut world = World::new(Hardfork::Granite);
    let mut core = world.start(world.engine(), None);
    world.sequence(&mut core, 4);
    let batches = world.batches(&core, 1..=4);
    let frame = world.span(&batches);
    world.post(frame);
    world.new_head(&mut core, 0);
    while core.status().pending_safe_l2.number < 2 {
        assert!(world.turn(&mut core));
    }
    world.reorg(1);
    assert_eq!(world.new_head(&mut core, 0), Verdict::Reorged);
    world.run(&mut core);
    assert_eq!((heads(&core), core.status().pending_safe_l2.number), ((4, 0, 0), 0));
}

#[test]
fn before_holocene_a_refused_block_voids_its_span_and_the_replaced_chain_stands_again() {
    let mut world = World::new(Hardfork::Granite);
    let mut core = world.start(world.engine(), None);
    world.sequence(&mut core, 5);
    let tip = core.heads().unsafe_head;
    // The span has another block 2, and one that cannot be executed as its third.
    let mut batches = world.batches(&core, 1..=4);
    batches[1].transactions.clear();
    batches[2].transactions = vec![world.transfer(77)];
    let frame = world.span(&batches);
    world.post(frame);
    world.new_head(&mut core, 0);
    while core.status().pending_safe_l2.number < 2 {
        assert!(world.turn(&mut core));
    }
    assert_eq!(heads(&core), (2, 0, 0), "the span replaces block 2");
    world.run(&mut core);
    assert_eq!(heads(&core), (5, 0, 0));
    assert_eq!((core.heads().unsafe_head, core.status().pending_safe_l2.number), (tip, 0));
    // The right batches come later.
    world.post_blocks(&core, 1..=5);
    world.new_head(&mut core, 0);
    world.run(&mut core);
    assert_eq!((heads(&core), core.heads().safe), ((5, 5, 0), tip));
}

#[test]
fn from_holocene_on_a_refused_block_is_replaced_by_its_deposits() {
    let mut world = World::new(Hardfork::Isthmus);
    let mut core = world.start(world.engine(), None);
    world.sequence(&mut core, 4);
    let before = *core.heads();
    let mut batches = world.batches(&core, 1..=4);
    batches[1].transactions = vec![world.transfer(77)];
    let frame = world.singular(&batches);
    world.post(frame);
    world.new_head(&mut core, 0);
    while heads(&core).1 < 1 {
        assert!(world.turn(&mut core));
    }
    // The next block is refused: the unsafe chain stands as before.
    while core.metrics.unsafe_reorgs.get() == 0 {
        assert!(world.turn(&mut core));
    }
    assert_eq!((heads(&core), core.heads().unsafe_head), ((4, 1, 0), before.unsafe_head));
    // Its deposits take its place, and the unsafe chain above it goes with it.
    while heads(&core).1 < 2 {
        assert!(world.turn(&mut core));
    }
    assert_eq!(heads(&core), (2, 2, 0));
    let block = core.engine.block(BlockAt::Number(2)).unwrap().unwrap();
    assert!(block.block.body.transactions.iter().all(TxEnvelope::is_deposit_tx));
    assert_eq!(core.heads().safe.id(), block.id());
    world.run(&mut core);
    assert_eq!(heads(&core), (2, 2, 0), "the rest of the channel is void");
}

#[test]
fn an_unsafe_chain_that_differs_from_l1_is_replaced_from_there_on() {
    let mut world = World::new(Hardfork::Isthmus);
    let mut core = world.start(world.engine(), None);
    world.sequence(&mut core, 4);
    let mut batches = world.batches(&core, 1..=2);
    batches[1].transactions.clear();
    let frame = world.singular(&batches);
    world.post(frame);
    world.new_head(&mut core, 0);
    world.run(&mut core);
    assert_eq!((heads(&core), core.metrics.unsafe_reorgs.get()), ((2, 2, 0), 1));
}

#[test]
fn too_many_or_too_few_blobs_are_asked_for_again() {
    let mut world = World::new(Hardfork::Isthmus);
    let mut core = world.start(world.engine(), None);
    world.sequence(&mut core, 2);
    let batches = world.batches(&core, 1..=2);
    let data = encode_batcher_data(&[world.singular(&batches)]);
    let hash = B256::with_last_byte(1);
    world.blobs.insert(hash, encode_blob(&data).unwrap());
    let tx = TxEip4844 {
        to: world.config.batch_inbox_address,
        blob_versioned_hashes: vec![hash],
        ..TxEip4844::default()
    };
    world.mine(vec![TxEnvelope::Eip4844(sign(&key(1), tx))]);
    world.new_head(&mut core, 0);
    let mut wrong = vec![0, 2, 3, 0];
    while core.can_derive() {
        match core.derive().unwrap() {
            Turn::Want(request @ Request::Blobs { block, .. }) => match wrong.pop() {
                Some(count) => {
                    let blobs = vec![world.blobs[&hash].clone(); count];
                    core.provide(Input::Blobs { block: block.id(), blobs });
                }
                None => core.provide(world.answer(&request)),
            },
            Turn::Want(request) => core.provide(world.answer(&request)),
            Turn::Progress => {}
            Turn::Idle => break,
        }
    }
    assert_eq!((heads(&core), core.reset_due, wrong), ((2, 2, 0), None, vec![]));
}

#[test]
fn a_missing_l2_block_stops_the_node() {
    let mut world = World::new(Hardfork::Isthmus);
    let core = nine_blocks(None, &mut world);
    let mut search = core.search();
    search.l1_hash(0, Some(B256::repeat_byte(1)));
    let error = search.next(&|_| Ok(None)).unwrap_err();
    assert!(matches!(error, NodeError::MissingBlock(_)), "{error}");
}

#[test]
fn an_engine_that_lost_its_blocks_is_filled_again() {
    let mut world = World::new(Hardfork::Isthmus);
    let mut core = nine_blocks(None, &mut world);
    let (safe, unsafe_head) = (core.heads().safe, core.heads().unsafe_head);
    assert_eq!(safe, unsafe_head);
    core.engine = world.engine();
    let error = engine::set_heads(&*core.engine, core.heads()).unwrap_err();
    assert!(matches!(error, EngineError::Lost(_)), "{error}");
    // What the driver does then.
    let known = core.known_heads().unwrap();
    let log = known.safe_heads_newest_first().copied();
    let search = Search::new(core.config.clone(), *known.heads(), log);
    let start = world.found(search, &*core.engine);
    assert_eq!(start.unsafe_head.number, 0);
    core.rejoin(known, start, "test").unwrap();
    assert_eq!(heads(&core), (0, 0, 0));
    world.run(&mut core);
    assert_eq!((core.heads().safe, core.heads().unsafe_head), (safe, unsafe_head));
    heads(&core);
}

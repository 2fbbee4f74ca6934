//! Derived blocks that execution refuses: replaced by their deposits from Holocene on, left out
//! before.

use opal_derivation::{CriticalError, Dropped, Step};
use opal_protocol::deposit::encode_deposit_log;
use opal_protocol::{DepositTransaction, Hardfork, PayloadAttributes};

use crate::common::{Content, L2Block, WHOLE, World, batch, config, references, singular, user_tx};

/// Three rounds; the batches of the second as one span or singly.
fn world(fork: Hardfork, span: bool) -> World {
    let mut world = World::new(config(fork));
    world.sequence_and_post();
    if span {
        world.sequence_and_post_span();
    } else {
        world.sequence_and_post();
    }
    world
}

/// Refuses the block at this time as long as it has users' transactions.
fn refuses(time: u64) -> impl Fn(&PayloadAttributes) -> bool {
    move |attributes| {
        let users = attributes.transactions.iter().flatten().filter(|tx| tx[0] != 0x7e).count();
        attributes.timestamp != time || users == 0
    }
}

fn transactions(block: &L2Block) -> &[alloy_primitives::Bytes] {
    block.attributes.transactions.as_deref().unwrap()
}

#[test]
fn a_refused_block_is_replaced_by_its_deposits_from_holocene_on() {
    for fork in [Hardfork::Holocene, Hardfork::Karst] {
        for span in [false, true] {
            let mut world = world(fork, span);
            // The ninth block: third of the second channel.
            let refused = world.l2[8].reference.timestamp;
            let mut verifier = world.verifier();
            let run = verifier.run_with(&world, refuses(refused));
            assert_eq!(run.references()[..7], references(&world.l2[1..8]));
            let replaced = &run.blocks[7];
            assert_eq!(replaced.attributes.timestamp, refused);
            assert_eq!(transactions(replaced), &transactions(&world.l2[8])[..1]);
            // What was built on the refused block is void: the rest of the span, or of the
            // channel.
            assert_eq!(run.blocks.len(), 8, "{fork} {span}");
            assert_eq!(verifier.safe_head(), replaced.reference);
            let rest = run.dropped.iter().any(|d| matches!(d, Dropped::SpanRest(_)));
            assert_eq!(rest, span, "{:?}", run.dropped);
            // The sequencer goes on from the replacement.
            world.adopt(&verifier);
            let blocks = world.sequence_and_post_span();
            assert_eq!(verifier.run(&world).references(), references(&blocks));
        }
    }
}

#[test]
fn a_replacement_keeps_the_deposits_of_users() {
    let mut world = World::new(config(Hardfork::Karst));
    let deposit = DepositTransaction { gas_limit: 100_000, ..DepositTransaction::default() };
    let log = encode_deposit_log(world.config.deposit_contract_address, &deposit);
    world.mine(Vec::new(), vec![log.clone(), log]);
    let blocks = world.sequence_to_l1_head();
    let at = blocks.iter().position(|block| block.reference.l1_origin.number == 1).unwrap();
    let frames = world.span_channel(&blocks, WHOLE);
    world.post(&frames);
    let refused = blocks[at].reference.timestamp;
    let run = world.verifier().run_with(&world, refuses(refused));
    assert_eq!(run.blocks.len(), at + 1);
    assert_eq!(transactions(&run.blocks[at]), &transactions(&blocks[at])[..3]);
}

#[test]
fn a_refused_block_is_left_out_before_holocene() {
    for fork in [Hardfork::Regolith, Hardfork::Granite] {
        let mut world = world(fork, false);
        let refused = world.l2[3].reference.timestamp;
        let mut verifier = world.verifier();
        let run = verifier.run_with(&world, refuses(refused));
        // The others wait for a block in its place that does not come.
        assert_eq!(run.references(), references(&world.l2[1..3]), "{fork}");
        assert_eq!(verifier.safe_head(), world.l2[2].reference);
        // Another one in its place counts.
        world.adopt(&verifier);
        let block = world.sequence(Vec::new());
        let frames = world.channel(std::slice::from_ref(&block), WHOLE);
        world.post(&frames);
        let run = verifier.run_with(&world, refuses(refused));
        assert_eq!(run.references()[0], block.reference);
    }
}

#[test]
fn a_refused_block_voids_its_whole_span_before_holocene() {
    for fork in [Hardfork::Delta, Hardfork::Granite] {
        let mut world = world(fork, true);
        let safe = world.l2[6].reference;
        let first_of_span = world.l2.iter().position(|b| b.reference.number == 6).unwrap();
        let refused = world.l2[first_of_span + 2].reference.timestamp;
        let mut verifier = world.verifier();
        let run = verifier.run_with(&world, refuses(refused));
        // Two blocks of the span were built, but none of it is safe.
        assert_eq!(run.blocks.last().unwrap().reference.timestamp, refused - 2);
        assert_eq!(verifier.safe_head(), world.l2[5].reference, "{fork}");
        assert_eq!(verifier.machine.pending_safe_head(), world.l2[5].reference);
        assert_eq!(verifier.blocks().last().unwrap().reference, world.l2[5].reference);
        assert_ne!(verifier.safe_head(), safe);
        // The same blocks without that one are heard.
        let again = world.l2[6..first_of_span + 2].to_vec();
        let frames = world.span_channel(&again, WHOLE);
        world.post(&frames);
        let run = verifier.run_with(&world, refuses(refused));
        assert_eq!(run.references(), references(&again), "{fork}: {:?}", run.dropped);
    }
}

#[test]
fn a_transaction_that_is_none_has_its_block_refused() {
    for fork in [Hardfork::Granite, Hardfork::Karst] {
        let mut world = World::new(config(fork));
        let blocks = world.sequence_to_l1_head();
        let mut bad = batch(&blocks[1]);
        bad.transactions.push(alloy_primitives::Bytes::from_static(b"\x02none"));
        let mut content = singular(&blocks[..1]);
        content.push(Content::Singular(bad));
        let frames = world.channel_of(&content, WHOLE);
        world.post(&frames);
        let run = world.derive();
        let strict = fork >= Hardfork::Holocene;
        assert_eq!(run.blocks.len(), if strict { 2 } else { 1 }, "{fork}");
        assert_eq!(run.blocks[0].reference, blocks[0].reference);
        if strict {
            assert_eq!(transactions(&run.blocks[1]), &transactions(&blocks[1])[..1]);
        }
    }
}

#[test]
fn after_a_replacement_the_open_channel_is_gone_as_well() {
    let mut world = World::new(config(Hardfork::Karst));
    world.mine_empty(1);
    let blocks = world.sequence_to_l1_head();
    let (early, late) = blocks.split_at(3);
    let first = world.channel(early, WHOLE);
    let second = world.channel(late, 150);
    // The refused block's channel, and the first frame of the next in the same L1 block.
    world.post(&[first, second[..1].to_vec()].concat());
    world.post(&second[1..]);
    let refused = early[2].reference.timestamp;
    let mut verifier = world.verifier();
    let run = verifier.run_with(&world, refuses(refused));
    assert_eq!(run.blocks.len(), 3, "{:?}", run.dropped);
    // Its blocks did not build on the replacement in any case; new ones do.
    world.adopt(&verifier);
    let block = world.sequence(vec![user_tx(3)]);
    let frames = world.channel(std::slice::from_ref(&block), WHOLE);
    world.post(&frames);
    assert_eq!(verifier.run(&world).references(), [block.reference]);
}

#[test]
fn refused_deposits_are_critical() {
    let world = world(Hardfork::Karst, true);
    let mut verifier = world.verifier();
    let run = verifier.run_with(&world, |_| false);
    assert!(matches!(run.end, Some(Step::Critical(CriticalError::DepositsOnlyInvalid(_)))));
    assert!(matches!(verifier.step(), Step::Critical(_)));
}

#[test]
fn refused_empty_blocks_are_critical_before_holocene_too() {
    let mut world = World::new(config(Hardfork::Granite));
    world.mine_empty(12);
    let run = world.verifier().run_with(&world, |_| false);
    assert!(matches!(run.end, Some(Step::Critical(CriticalError::DepositsOnlyInvalid(_)))));
}

//! The ordinary course of things, with both encoders.

use opal_derivation::{Executed, Step};
use opal_protocol::Hardfork;

use crate::common::{START_TIME, WHOLE, World, config, references, singular};

/// Five rounds of sequencing and posting singular batches.
fn world(newest: Hardfork) -> World {
    let mut world = World::new(config(newest));
    for _ in 0..5 {
        world.sequence_and_post();
    }
    world
}

#[test]
fn every_fork_derives_what_was_sequenced() {
    for fork in opal_protocol::hardfork::TABLE.map(|row| row.fork) {
        let world = world(fork);
        let mut verifier = world.verifier();
        let run = verifier.run(&world);
        assert_eq!(run.references(), references(&world.l2[1..]), "{fork}");
        assert!(run.dropped.is_empty(), "{fork}: {:?}", run.dropped);
        assert_eq!(verifier.safe_head(), world.l2_head());
        assert_eq!(run.end, Some(Step::Idle));
        assert!(run.executed.iter().all(|a| a.attributes.no_tx_pool && a.concluding));
    }
}

#[test]
fn span_batches_give_the_same_chain_as_singular_ones() {
    for fork in opal_protocol::hardfork::TABLE.map(|row| row.fork) {
        if fork < Hardfork::Delta {
            continue;
        }
        let mut world = World::new(config(fork));
        for _ in 0..5 {
            world.sequence_and_post_span();
        }
        let mut verifier = world.verifier();
        let run = verifier.run(&world);
        assert_eq!(run.references(), references(&world.l2[1..]), "{fork}");
        assert!(run.dropped.is_empty(), "{fork}: {:?}", run.dropped);
        assert_eq!(verifier.safe_head(), world.l2_head());
        // Before Holocene only the last block of a span makes it safe.
        let concluding = run.executed.iter().filter(|a| a.concluding).count();
        let expected = if fork >= Hardfork::Holocene { run.blocks.len() } else { 5 };
        assert_eq!(concluding, expected, "{fork}");
    }
}

#[test]
fn a_channel_holds_singular_and_span_batches_mixed() {
    for fork in [Hardfork::Delta, Hardfork::Granite, Hardfork::Karst] {
        let mut world = World::new(config(fork));
        world.mine_empty(2);
        let blocks = world.sequence_to_l1_head();
        assert!(blocks.len() >= 12);
        let mut content = singular(&blocks[..2]);
        content.push(world.span(&blocks[2..8]));
        content.extend(singular(&blocks[8..9]));
        content.push(world.span(&blocks[9..]));
        let frames = world.channel_of(&content, WHOLE);
        world.post(&frames);
        let run = world.derive();
        assert_eq!(run.references(), references(&blocks), "{fork}: {:?}", run.dropped);
    }
}

#[test]
fn deriving_does_not_depend_on_when_l1_blocks_come() {
    // One verifier follows along, the other one comes late.
    let mut world = World::new(config(Hardfork::Karst));
    let mut along = world.verifier();
    for round in 0..6 {
        if round % 2 == 0 {
            world.sequence_and_post_span();
        } else {
            world.sequence_and_post();
        }
        assert_eq!(along.run(&world).end, Some(Step::Idle));
    }
    let late = world.derive();
    assert_eq!(late.references(), references(&along.blocks()[1..]));
    assert_eq!(late.references(), references(&world.l2[1..]));
}

#[test]
fn a_chain_whose_genesis_lies_behind_l1_catches_up() {
    // L2 genesis as old as its L1 origin, blocks of 6 seconds.
    let mut config = config(Hardfork::Karst);
    config.block_time = 6;
    config.genesis.l2_time = START_TIME;
    let mut world = World::new(config);
    for _ in 0..4 {
        world.sequence_and_post_span();
    }
    let run = world.derive();
    assert_eq!(run.references(), references(&world.l2[1..]));
    assert!(run.blocks.iter().all(|block| block.attributes.timestamp % 6 == START_TIME % 6));
}

#[test]
fn executed_must_fit_what_was_given_out() {
    let world = world(Hardfork::Karst);
    let mut derivation = opal_derivation::Derivation::new(world.config.clone(), world.start());
    let verifier = world.verifier();
    assert!(derivation.executed(Executed::Invalid).is_err());
    let attributes = loop {
        match derivation.step() {
            Step::Need(request) => derivation.provide(verifier.answer(&world, &request)).unwrap(),
            Step::Execute(attributes) => break attributes,
            _ => {}
        }
    };
    assert_eq!(derivation.step(), Step::Execute(attributes));
    assert!(derivation.executed(Executed::Valid(world.l2[2].reference)).is_err());
    assert!(derivation.executed(Executed::Valid(world.l2[1].reference)).is_ok());
    assert_eq!(derivation.safe_head(), world.l2[1].reference);
}

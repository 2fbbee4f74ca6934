//! Whatever the order, the number and the time of the host's answers: the output is the same. Every
//! story shows that when its verifier goes; here it is shown on stories made for it.

use opal_derivation::{Derivation, Input, Request, Step};
use opal_protocol::Hardfork;

use crate::common::schedules::Rng;
use crate::common::{START_TIME, WHOLE, World, config, key, references};

/// Rounds of all kinds: calldata and blobs, small frames, repetitions, singular batches, spans and
/// overlapping spans, across Holocene.
fn eventful(seed: u64) -> World {
    let mut rng = Rng(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let mut config = config(Hardfork::Granite);
    config.schedule.set(Hardfork::Holocene, Some(START_TIME + 60));
    let mut world = World::new(config);
    for _ in 0..10 {
        let before = world.l2.len();
        let blocks = world.sequence_to_l1_head();
        let overlap = rng.below(3).min(before.saturating_sub(1));
        let frames = match rng.below(3) {
            0 => world.channel(&blocks, 150),
            1 => world.span_channel(&blocks, WHOLE),
            _ => {
                let blocks = world.l2[before - overlap..].to_vec();
                world.span_channel(&blocks, 200)
            }
        };
        let tx = if rng.one_in(2) {
            world.calldata_tx(&key(1), &frames)
        } else {
            world.blob_tx(&key(1), &frames)
        };
        let txs = if rng.one_in(3) { vec![tx.clone(), tx] } else { vec![tx] };
        world.mine(txs, Vec::new());
        if rng.one_in(4) {
            world.mine_empty(1);
        }
    }
    world.mine_empty(14);
    world.schedules = 300;
    world
}

#[test]
fn eventful_stories_come_out_the_same_under_hundreds_of_schedules() {
    for seed in 1..=4 {
        let world = eventful(seed);
        let run = world.derive();
        // All that was sequenced, and then empty blocks when the batcher had left.
        let sequenced = references(&world.l2[1..]);
        assert_eq!(
            run.references()[..sequenced.len()],
            sequenced,
            "seed {seed}: {:?}",
            run.dropped
        );
        assert!(run.blocks.len() > sequenced.len(), "seed {seed}");
    }
}

#[test]
fn a_step_that_waits_is_the_same_however_often_it_is_made() {
    let world = eventful(5);
    let verifier = world.verifier();
    let mut machine = Derivation::new(world.config.clone(), world.start());
    let mut once = Derivation::new(world.config.clone(), world.start());
    let mut waits = 0;
    loop {
        let step = machine.step();
        assert_eq!(once.step(), step);
        match step {
            Step::Need(request) => {
                waits += 1;
                for _ in 0..5 {
                    assert_eq!(machine.step(), Step::Need(request.clone()));
                }
                let answer = verifier.answer(&world, &request);
                if let Request::L1Block { number } = request {
                    // Nothing yet, five times over.
                    for _ in 0..5 {
                        machine.provide(Input::L1NotYet { number }).unwrap();
                        assert_eq!(machine.step(), Step::Idle);
                    }
                }
                once.provide(answer.clone()).unwrap();
                machine.provide(answer).unwrap();
            }
            // Spans that overlap need the chain, which nobody keeps here.
            Step::Execute(_) | Step::Idle => break,
            Step::AdvancedOrigin(_) | Step::Dropped(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(waits > 0);
}

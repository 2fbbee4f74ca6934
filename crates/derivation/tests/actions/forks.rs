//! Every fork's activation in the middle of a chain, and which clock decides: the time of the L1
//! block that brings the data, of the L1 origin, or of the L2 block.

use opal_derivation::{AttributesError, CriticalError, DropReason, Dropped, Step};
use opal_protocol::channel::ChannelError;
use opal_protocol::hardfork::TABLE;
use opal_protocol::l1_info::{L1InfoForm, l1_info_of_block};
use opal_protocol::{Hardfork, RollupConfig};

use crate::batch_drops;
use crate::common::{
    Content, L1_BLOCK_TIME, L2Block, Run, START_TIME, WHOLE, World, batch, config, give_bundles,
    key, references, singular, user_set_code_tx, user_tx,
};

/// The third L1 block.
const ACTIVATION: u64 = START_TIME + 3 * L1_BLOCK_TIME;

fn before(fork: Hardfork) -> Hardfork {
    TABLE[fork as usize - 1].fork
}

/// A chain that has this fork from `ACTIVATION` on, and its bundle.
fn activating(fork: Hardfork) -> RollupConfig {
    let mut config = config(before(fork));
    config.schedule.set(fork, Some(ACTIVATION));
    if config.upgrading_forks().any(|upgrade| upgrade == fork) {
        give_bundles(&mut config);
    }
    config
}

/// Eight rounds of sequencing and posting, in span batches where they may be.
fn sequenced(config: RollupConfig) -> World {
    let mut world = World::new(config);
    for round in 0..8 {
        let time = world.l1_head().reference.timestamp;
        if round % 2 == 1 && world.config.is_active(Hardfork::Delta, time) {
            world.sequence_and_post_span();
        } else {
            world.sequence_and_post();
        }
    }
    world
}

fn deposits(block: &L2Block) -> usize {
    block.attributes.transactions.iter().flatten().filter(|tx| tx[0] == 0x7e).count()
}

fn activating_forks() -> impl Iterator<Item = Hardfork> {
    TABLE.iter().skip(1).map(|row| row.fork)
}

#[test]
fn every_fork_activates_in_the_middle() {
    for fork in activating_forks() {
        let config = activating(fork);
        let upgrades = !config.upgrade_bundles.is_empty();
        let world = sequenced(config);
        let run = world.derive();
        assert_eq!(run.references(), references(&world.l2[1..]), "{fork}: {:?}", run.dropped);
        let expected: &[Dropped] =
            if fork == Hardfork::Holocene { &[Dropped::Holocene] } else { &[] };
        assert_eq!(run.dropped, expected, "{fork}");
        assert_eq!(run.end, Some(Step::Idle));
        for block in &run.blocks {
            assert_features(&world.config, block, fork);
            let first = block.reference.timestamp == ACTIVATION;
            let upgraded = first && upgrades;
            assert_eq!(deposits(block), if upgraded { 3 } else { 1 }, "{fork}");
            let transactions = block.attributes.transactions.as_ref().unwrap().len();
            assert_eq!(transactions, if upgraded { 3 } else { 2 }, "{fork}");
        }
    }
}

/// What the fork changes in attributes begins at its time on L2.
fn assert_features(config: &RollupConfig, block: &L2Block, fork: Hardfork) {
    let (time, attributes) = (block.reference.timestamp, &block.attributes);
    let has = |this: Hardfork| this < fork || (this == fork && time >= ACTIVATION);
    assert_eq!(attributes.withdrawals.is_some(), has(Hardfork::Canyon), "{fork} {time}");
    assert_eq!(attributes.parent_beacon_block_root.is_some(), has(Hardfork::Ecotone));
    assert_eq!(attributes.eip1559_params.is_some(), has(Hardfork::Holocene));
    assert_eq!(attributes.min_base_fee.is_some(), has(Hardfork::Jovian));
    // The first block of a fork that changes the form of the L1 attributes has the old one.
    let info = l1_info_of_block(config, block.sealed.hash, &block.sealed.block).unwrap();
    let after = |this: Hardfork| this < fork || (this == fork && time > ACTIVATION);
    let form = if after(Hardfork::Jovian) {
        L1InfoForm::Jovian
    } else if after(Hardfork::Isthmus) {
        L1InfoForm::Isthmus
    } else if after(Hardfork::Ecotone) {
        L1InfoForm::Ecotone
    } else {
        L1InfoForm::Bedrock
    };
    assert_eq!(info.form, form, "{fork} {time}");
    // From Karst on the upgrade has gas of its own, in that one block.
    let own_gas = fork >= Hardfork::Karst && time == ACTIVATION;
    let gas_limit = attributes.gas_limit.unwrap();
    assert_eq!(gas_limit > 30_000_000, own_gas, "{fork} {time}: {gas_limit}");
}

#[test]
fn a_fork_that_activates_between_l1_blocks_begins_with_the_next_l2_block() {
    for fork in activating_forks() {
        let mut config = activating(fork);
        config.schedule.set(fork, Some(ACTIVATION + 5));
        let world = sequenced(config);
        let run = world.derive();
        assert_eq!(run.references(), references(&world.l2[1..]), "{fork}: {:?}", run.dropped);
        for block in &run.blocks {
            let first = block.reference.timestamp == ACTIVATION + 6;
            let upgraded = first && !world.config.upgrade_bundles.is_empty();
            assert_eq!(deposits(block), if upgraded { 3 } else { 1 }, "{fork}");
        }
    }
}

#[test]
fn an_upgrade_whose_bundle_is_missing_stops_derivation() {
    for fork in activating_forks() {
        let config = activating(fork);
        if config.upgrade_bundles.is_empty() {
            continue;
        }
        let sha256 = config.upgrade_bundles[&fork];
        let mut world = sequenced(config);
        let mut without = (*world.config).clone();
        without.upgrades = Default::default();
        world.config = without.into();
        let run = world.derive();
        let Some(Step::Critical(CriticalError::Attributes(AttributesError::UpgradeTransactions(
            missing,
        )))) = &run.end
        else {
            panic!("{fork}: {:?}", run.end)
        };
        assert_eq!((missing.fork, missing.sha256), (fork, Some(sha256)));
        assert_eq!(run.blocks.last().unwrap().reference.timestamp, ACTIVATION - 2, "{fork}");
    }
}

#[test]
fn all_forks_activate_at_once() {
    let mut config = config(Hardfork::Bedrock);
    for fork in activating_forks() {
        config.schedule.set(fork, Some(ACTIVATION));
    }
    give_bundles(&mut config);
    let count = config.upgrade_bundles.len();
    let world = sequenced(config);
    let run = world.derive();
    assert_eq!(run.references(), references(&world.l2[1..]), "{:?}", run.dropped);
    let first = run.blocks.iter().find(|b| b.reference.timestamp == ACTIVATION).unwrap();
    assert_eq!(deposits(first), 1 + 2 * count);
}

// --- which clock decides ------------------------------------------------------------------------

/// Blocks of the first epoch posted as a channel into each of the L1 blocks 2 and 3, of which the
/// second is the fork's first.
fn around_activation(
    fork: Hardfork,
    channel: impl Fn(&mut World, &[L2Block]) -> Vec<opal_protocol::Frame>,
    blob: bool,
) -> (World, [Run; 2]) {
    let mut world = World::new(activating(fork));
    let blocks = world.sequence_to_l1_head();
    world.mine_empty(1);
    let mut verifier = world.verifier();
    let runs = [2, 3].map(|number| {
        let frames = channel(&mut world, &blocks);
        let tx = if blob {
            world.blob_tx(&key(1), &frames)
        } else {
            world.calldata_tx(&key(1), &frames)
        };
        world.mine(vec![tx], Vec::new());
        assert_eq!(world.l1_head().reference.number, number);
        verifier.run(&world)
    });
    drop(verifier);
    (world, runs)
}

#[test]
fn brotli_counts_from_the_first_l1_block_of_fjord_on() {
    let channel =
        |world: &mut World, blocks: &[L2Block]| world.channel_with(&singular(blocks), WHOLE, true);
    let (world, [early, late]) = around_activation(Hardfork::Fjord, channel, false);
    assert!(early.blocks.is_empty());
    assert!(
        matches!(early.dropped[..], [Dropped::ChannelData(ChannelError::BrotliBeforeFjord)]),
        "{:?}",
        early.dropped
    );
    // The blocks are older than Fjord all the same.
    assert_eq!(late.references(), references(&world.l2[1..]), "{:?}", late.dropped);
}

#[test]
fn zlib_counts_in_every_fork() {
    for fork in activating_forks() {
        let channel = |world: &mut World, blocks: &[L2Block]| {
            world.channel_with(&singular(blocks), WHOLE, false)
        };
        let (world, [early, late]) = around_activation(fork, channel, false);
        assert_eq!(early.references(), references(&world.l2[1..]), "{fork}");
        assert!(late.blocks.is_empty());
    }
}

#[test]
fn blobs_count_from_the_first_l1_block_of_ecotone_on() {
    let channel = |world: &mut World, blocks: &[L2Block]| world.channel(blocks, WHOLE);
    let (world, [early, late]) = around_activation(Hardfork::Ecotone, channel, true);
    assert!(early.blocks.is_empty());
    assert!(matches!(early.dropped[..], [Dropped::BatcherData(_)]), "{:?}", early.dropped);
    assert_eq!(late.references(), references(&world.l2[1..]));
}

#[test]
fn spans_count_by_the_time_of_their_first_origin_from_delta_on() {
    // Their blocks have origin 0, before Delta: they never count, whenever they are posted.
    let channel = |world: &mut World, blocks: &[L2Block]| world.span_channel(blocks, WHOLE);
    let (world, [early, late]) = around_activation(Hardfork::Delta, channel, false);
    assert!(early.blocks.is_empty() && late.blocks.is_empty());
    assert_eq!(early.dropped, [Dropped::SpanBeforeDelta]);
    assert_eq!(batch_drops(&late), [DropReason::BeforeDelta]);
    drop(world);

    // With an origin of Delta's time they do.
    let mut world = World::new(activating(Hardfork::Delta));
    for _ in 0..3 {
        world.sequence_and_post();
    }
    assert_eq!(world.l1_head().reference.timestamp, ACTIVATION);
    world.sequence_and_post_span();
    let run = world.derive();
    assert_eq!(run.references(), references(&world.l2[1..]), "{:?}", run.dropped);
}

#[test]
fn the_channel_timeout_shrinks_with_the_l1_block_of_a_frame_from_granite_on() {
    for (granite_at, counts) in [(80, true), (60, false)] {
        let mut config = config(Hardfork::Fjord);
        config.seq_window_size = 1_000;
        config.schedule.set(Hardfork::Granite, Some(START_TIME + granite_at * L1_BLOCK_TIME));
        let mut world = World::new(config);
        let blocks = world.sequence_to_l1_head();
        let frames = world.channel(&blocks, 150);
        world.post(&frames[..1]);
        world.mine_empty(68);
        world.post(&frames[1..]);
        assert_eq!(world.l1_head().reference.number, 70);
        let run = world.derive();
        assert_eq!(!run.blocks.is_empty(), counts, "{granite_at}: {:?}", run.dropped);
    }
}

#[test]
fn a_channel_begun_before_holocene_is_lost_at_activation() {
    let mut config = config(Hardfork::Granite);
    config.schedule.set(Hardfork::Holocene, Some(START_TIME + 24));
    let mut world = World::new(config);
    let blocks = world.sequence_to_l1_head();
    let frames = world.channel(&blocks, 150);
    let (before, after) = frames.split_at(1);
    world.post(before);
    world.post(after);
    let mut verifier = world.verifier();
    let run = verifier.run(&world);
    assert!(run.blocks.is_empty());
    assert!(run.dropped.contains(&Dropped::Holocene));
    // Posted again as a whole, it counts, although its blocks are older than Holocene.
    world.post(&frames);
    let run = verifier.run(&world);
    assert_eq!(run.references(), references(&blocks));
}

#[test]
fn batches_that_wait_for_their_turn_are_lost_at_holocene() {
    let mut world = World::new(activating(Hardfork::Holocene));
    world.mine_empty(1);
    let blocks = world.sequence_to_l1_head();
    let (early, late) = blocks.split_at(2);
    let (early, late) = (world.channel(early, WHOLE), world.channel(late, WHOLE));
    world.post(&late);
    assert!(world.next_l1_time() == ACTIVATION);
    world.post(&early);
    let mut verifier = world.verifier();
    let run = verifier.run(&world);
    assert_eq!(run.references(), references(&blocks[..2]), "{:?}", run.dropped);
    world.post(&late);
    assert_eq!(verifier.run(&world).references(), references(&blocks[2..]));
}

#[test]
fn set_code_transactions_count_from_the_first_l2_block_of_isthmus_on() {
    for (offset, counts) in [(0, false), (2, true)] {
        let mut world = World::new(activating(Hardfork::Isthmus));
        world.mine_empty(3);
        while world.l2_head().timestamp + 2 < ACTIVATION - 2 + 2 * offset {
            world.sequence(vec![user_tx(1)]);
        }
        let good = world.l2.len() - 1;
        world.sequence(vec![user_set_code_tx(1)]);
        let time = world.l2_head().timestamp;
        assert_eq!(time, if counts { ACTIVATION + 2 } else { ACTIVATION - 2 });
        let blocks = world.l2[1..].to_vec();
        let frames = world.channel(&blocks, WHOLE);
        world.post(&frames);
        let run = world.derive();
        let expected = if counts { &blocks[..] } else { &blocks[..good] };
        assert_eq!(run.references(), references(expected), "{:?}", run.dropped);
        let drops = if counts { vec![] } else { vec![DropReason::SetCodeTx(0)] };
        assert_eq!(batch_drops(&run), drops);
    }
}

#[test]
fn users_have_no_place_in_an_activation_block_from_jovian_on() {
    for fork in [Hardfork::Isthmus, Hardfork::Jovian, Hardfork::Karst, Hardfork::Interop] {
        let mut world = World::new(activating(fork));
        world.mine_empty(3);
        let blocks = world.sequence_to_l1_head();
        let at = blocks.iter().position(|b| b.reference.timestamp == ACTIVATION).unwrap();
        let mut bad = batch(&blocks[at]);
        bad.transactions.push(user_tx(9));
        let mut content = singular(&blocks[..at]);
        content.push(Content::Singular(bad));
        let frames = world.channel_of(&content, WHOLE);
        world.post(&frames);
        let run = world.derive();
        if fork >= Hardfork::Jovian {
            assert_eq!(run.references(), references(&blocks[..at]), "{fork}");
            assert_eq!(batch_drops(&run), [DropReason::ActivationBlock], "{fork}");
        } else {
            // Earlier forks leave it to the sequencer.
            let last = run.blocks.last().unwrap();
            assert_eq!(last.reference.timestamp, ACTIVATION);
            let transactions = last.attributes.transactions.as_ref().unwrap();
            assert_eq!(transactions.len(), 4);
            assert_eq!(transactions[3], user_tx(9));
        }
    }
}

#[test]
fn the_pectra_blob_schedule_keeps_cancuns_blob_fee_until_its_time() {
    let fix = START_TIME + 5 * L1_BLOCK_TIME;
    let mut fees = Vec::new();
    for fixed in [false, true] {
        let mut config = config(Hardfork::Holocene);
        config.pectra_blob_schedule_time = fixed.then_some(fix);
        let mut world = World::new(config);
        world.prague_time = Some(START_TIME + 2 * L1_BLOCK_TIME);
        for _ in 0..8 {
            world.sequence_and_post();
        }
        let run = world.derive();
        assert_eq!(run.references(), references(&world.l2[1..]));
        let fee = |block: &L2Block| {
            l1_info_of_block(&world.config, block.sealed.hash, &block.sealed.block)
                .unwrap()
                .blob_base_fee
        };
        fees.push(
            run.blocks.iter().map(|b| (b.reference.l1_origin.number, fee(b))).collect::<Vec<_>>(),
        );
    }
    let (plain, fixed) = (&fees[0], &fees[1]);
    assert_eq!(plain.len(), fixed.len());
    // L1 blocks differ by their hashes from each other, not between the two worlds.
    for ((origin, plain), (_, fixed)) in plain.iter().zip(fixed) {
        assert_eq!(plain != fixed, (2..5).contains(origin), "origin {origin}");
    }
}

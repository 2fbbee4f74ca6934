//! What L1's contracts say: deposits, and updates of the system configuration.

use alloy_primitives::{Address, B64, Bytes, Log, TxKind, U256};
use opal_derivation::{CriticalError, DropReason, Dropped, Step};
use opal_protocol::deposit::encode_deposit_log;
use opal_protocol::l1_info::{L1BlockInfo, l1_info_of_block};
use opal_protocol::{DepositTransaction, Hardfork, RollupConfig};

use crate::batch_drops;
use crate::common::{
    Content, L2Block, WHOLE, World, batch, config, config_log, config_log_of, key, references,
    singular,
};

fn deposit_log(config: &RollupConfig, seed: u8) -> Log {
    let deposit = DepositTransaction {
        from: Address::repeat_byte(seed),
        to: TxKind::Call(Address::repeat_byte(6)),
        mint: u128::from(seed),
        value: U256::from(3),
        gas_limit: 100_000,
        input: vec![seed; seed.into()].into(),
        ..DepositTransaction::default()
    };
    encode_deposit_log(config.deposit_contract_address, &deposit)
}

fn deposits(block: &L2Block) -> Vec<&Bytes> {
    block.attributes.transactions.iter().flatten().filter(|tx| tx[0] == 0x7e).collect()
}

/// Three rounds around an L1 block with these logs; gives its number.
fn with_logs(fork: Hardfork, logs: impl Fn(&RollupConfig) -> Vec<Log>) -> (World, u64) {
    let mut world = World::new(config(fork));
    world.sequence_and_post();
    let logs = logs(&world.config);
    world.mine(Vec::new(), logs);
    let epoch = world.l1_head().reference.number;
    for _ in 0..3 {
        world.sequence_and_post();
    }
    (world, epoch)
}

fn info(world: &World, block: &L2Block) -> L1BlockInfo {
    l1_info_of_block(&world.config, block.sealed.hash, &block.sealed.block).unwrap()
}

#[test]
fn deposits_come_in_the_first_block_of_their_epoch_in_order() {
    for fork in [Hardfork::Bedrock, Hardfork::Ecotone, Hardfork::Karst] {
        let many = 120;
        let (world, epoch) =
            with_logs(fork, |config| (0..many).map(|i| deposit_log(config, i)).collect());
        let run = world.derive();
        assert_eq!(run.references(), references(&world.l2[1..]), "{fork}");
        for block in &run.blocks {
            let first =
                block.reference.l1_origin.number == epoch && block.reference.sequence_number == 0;
            let deposits = deposits(block);
            assert_eq!(deposits.len(), if first { 121 } else { 1 }, "{fork}");
            if !first {
                continue;
            }
            for (i, raw) in deposits[1..].iter().enumerate() {
                use alloy_eips::eip2718::Decodable2718;
                let tx = opal_protocol::TxEnvelope::decode_2718_exact(raw).unwrap();
                let opal_protocol::TxEnvelope::Deposit(deposit) = tx else { panic!() };
                assert_eq!(deposit.from, Address::repeat_byte(i as u8));
            }
        }
    }
}

#[test]
fn deposits_of_other_portals_and_failed_transactions_do_not_count() {
    let (mut world, epoch) = with_logs(Hardfork::Karst, |config| {
        let mut other = deposit_log(config, 1);
        other.address = Address::repeat_byte(0x11);
        vec![other]
    });
    let run = world.derive();
    assert!(run.blocks.iter().all(|block| deposits(block).len() == 1));
    // The same log in a transaction that failed.
    let mut block = world.l1[epoch as usize].clone();
    let mut receipts = (*block.receipts).clone();
    receipts[0].logs = vec![deposit_log(&world.config, 1)];
    receipts[0].success = false;
    block.receipts = receipts.into();
    world.l1[epoch as usize] = block;
    let run = world.derive();
    assert!(run.blocks.iter().all(|block| deposits(block).len() == 1));
}

#[test]
fn a_deposit_that_cannot_be_decoded_stops_derivation() {
    let (world, _) = with_sequencer_blind();
    let run = world.derive();
    let Some(Step::Critical(CriticalError::Attributes(error))) = &run.end else {
        panic!("{:?}", run.end)
    };
    assert!(error.to_string().contains("deposit"), "{error}");
}

/// A malformed deposit that only the verifier sees: a sequencer would stop, too.
fn with_sequencer_blind() -> (World, u64) {
    let (mut world, epoch) = with_logs(Hardfork::Karst, |_| Vec::new());
    let mut log = deposit_log(&world.config, 1);
    log.data.data = Bytes::from_static(&[1, 2, 3]);
    let mut block = world.l1[epoch as usize].clone();
    let mut receipts = (*block.receipts).clone();
    receipts[0].logs = vec![log];
    block.receipts = receipts.into();
    world.l1[epoch as usize] = block;
    (world, epoch)
}

#[test]
fn epochs_follow_each_other_when_l1_is_faster_than_l2() {
    for fork in [Hardfork::Bedrock, Hardfork::Karst] {
        let mut world = World::new(config(fork));
        world.l1_block_time = 2;
        for i in 0..8 {
            let log = deposit_log(&world.config, i);
            world.mine(Vec::new(), vec![log]);
        }
        let blocks = world.sequence_to_l1_head();
        let frames = world.channel(&blocks, WHOLE);
        world.post(&frames);
        let run = world.derive();
        assert_eq!(run.references(), references(&blocks), "{fork}");
        let origins: Vec<u64> = blocks.iter().map(|b| b.reference.l1_origin.number).collect();
        assert_eq!(origins, (1..=8).collect::<Vec<u64>>()[..origins.len()]);
        assert!(run.blocks.iter().all(|block| deposits(block).len() == 2));
    }
}

#[test]
fn a_batch_that_skips_an_epoch_is_dropped() {
    for fork in [Hardfork::Bedrock, Hardfork::Karst] {
        let mut world = World::new(config(fork));
        world.l1_block_time = 2;
        world.mine_empty(6);
        let blocks = world.sequence_to_l1_head();
        let mut skips = batch(&blocks[2]);
        let next = &world.l1[4].reference;
        (skips.epoch_num, skips.epoch_hash) = (next.number, next.hash);
        let mut content = singular(&blocks[..2]);
        content.push(Content::Singular(skips));
        let frames = world.channel_of(&content, WHOLE);
        world.post(&frames);
        let run = world.derive();
        assert_eq!(run.references(), references(&blocks[..2]), "{fork}");
        assert_eq!(batch_drops(&run), [DropReason::EpochTooFar]);
    }
}

#[test]
fn every_update_applies_from_its_epoch_on_in_the_forks_that_know_it() {
    let fees = |fork: Hardfork| {
        // Overhead and scalar; from Ecotone on both scalars behind a version byte.
        let mut scalar = alloy_primitives::B256::ZERO;
        if fork >= Hardfork::Ecotone {
            (scalar[0], scalar[27], scalar[31]) = (1, 5, 6);
        } else {
            scalar[31] = 9;
        }
        [U256::from(2_100), U256::from_be_bytes(scalar.0)]
    };
    for fork in opal_protocol::hardfork::TABLE.map(|row| row.fork) {
        let (world, epoch) = with_logs(fork, |config| {
            vec![
                config_log_of(config, 1, &fees(fork)),
                config_log(config, 2, U256::from(40_000_000)),
                config_log(config, 3, U256::from(7)),
                config_log(config, 4, U256::from((250u64 << 32) | 4)),
                config_log(config, 5, U256::from((77u128 << 64) | 99)),
                config_log(config, 6, U256::from(1_234)),
                config_log(config, 7, U256::from(500)),
            ]
        });
        let run = world.derive();
        assert_eq!(run.references(), references(&world.l2[1..]), "{fork}");
        assert!(run.dropped.is_empty(), "{fork}: {:?}", run.dropped);
        for block in &run.blocks {
            let after = block.reference.l1_origin.number >= epoch;
            let (attributes, info) = (&block.attributes, info(&world, block));
            let pick = |then: u64, before: u64| if after { then } else { before };
            assert_eq!(attributes.gas_limit, Some(pick(40_000_000, 30_000_000)));
            if fork < Hardfork::Ecotone {
                assert_eq!(info.l1_fee_overhead, U256::from(pick(2_100, 0)), "{fork}");
                assert_eq!(info.l1_fee_scalar == U256::from(9), after);
            } else {
                assert_eq!(u64::from(info.base_fee_scalar), pick(6, 7), "{fork}");
                assert_eq!(u64::from(info.blob_base_fee_scalar), pick(5, 0));
            }
            if fork >= Hardfork::Holocene {
                let params = attributes.eip1559_params.unwrap();
                let given = B64::from(((250u64 << 32) | 4).to_be_bytes());
                assert_eq!(params == given, after, "{fork}: {params}");
            }
            if fork >= Hardfork::Isthmus {
                assert_eq!(u64::from(info.operator_fee_scalar), pick(77, 0));
                assert_eq!(info.operator_fee_constant, pick(99, 0));
            }
            if fork >= Hardfork::Jovian {
                assert_eq!(attributes.min_base_fee, Some(pick(1_234, 0)));
                assert_eq!(u64::from(info.da_footprint_gas_scalar), pick(500, 400));
            }
        }
    }
}

#[test]
fn malformed_updates_are_reported_and_hide_nothing() {
    let (world, epoch) = with_logs(Hardfork::Karst, |config| {
        let mut topics = config_log(config, 2, U256::from(1));
        topics.data = alloy_primitives::LogData::new_unchecked(
            topics.topics()[..2].to_vec(),
            topics.data.data.clone(),
        );
        vec![
            config_log(config, 200, U256::ZERO),
            topics,
            config_log(config, 2, U256::MAX),
            config_log(config, 4, U256::from(4)),
            config_log(config, 2, U256::from(40_000_000)),
        ]
    });
    let run = world.derive();
    assert_eq!(run.references(), references(&world.l2[1..]));
    assert_eq!(run.dropped.len(), 4);
    assert!(run.dropped.iter().all(|dropped| matches!(dropped, Dropped::ConfigLog(_))));
    let limit = run.blocks.last().unwrap().attributes.gas_limit;
    assert!(run.blocks.last().unwrap().reference.l1_origin.number > epoch);
    assert_eq!(limit, Some(40_000_000));
}

fn batcher_log(config: &RollupConfig, byte: u8) -> Log {
    let address = key(byte).address();
    config_log(config, 0, U256::from_be_bytes(address.into_word().0))
}

#[test]
fn a_new_batcher_key_counts_for_its_own_l1_block_already() {
    for fork in [Hardfork::Bedrock, Hardfork::Ecotone, Hardfork::Granite, Hardfork::Karst] {
        let mut world = World::new(config(fork));
        let blocks = world.sequence_to_l1_head();
        let (early, late) = blocks.split_at(3);
        let (early, late) = (world.channel(early, WHOLE), world.channel(late, WHOLE));
        // In the block of the change the new key's data counts, the old one's does not.
        let old = world.calldata_tx(&key(1), &late);
        let new = world.calldata_tx(&key(2), &early);
        let log = batcher_log(&world.config, 2);
        world.mine(vec![old, new], vec![log]);
        let mut verifier = world.verifier();
        assert_eq!(verifier.run(&world).references(), references(&blocks[..3]), "{fork}");
        // Nor does it later.
        world.post(&late);
        assert!(verifier.run(&world).blocks.is_empty());
        let tx = world.calldata_tx(&key(2), &late);
        world.mine(vec![tx], Vec::new());
        assert_eq!(verifier.run(&world).references(), references(&blocks[3..]), "{fork}");
    }
}

#[test]
fn the_batcher_key_changes_back_and_forth_between_frames_of_one_channel() {
    for fork in [Hardfork::Granite, Hardfork::Karst] {
        let mut config = config(fork);
        config.seq_window_size = 100;
        let mut world = World::new(config);
        let blocks = world.sequence_to_l1_head();
        let frames = world.channel(&blocks, 120);
        for (i, frame) in frames.iter().enumerate() {
            let holder = 2 + (i % 2) as u8;
            let log = batcher_log(&world.config, holder);
            let tx = world.calldata_tx(&key(holder), std::slice::from_ref(frame));
            let other = world.calldata_tx(&key(5 - holder), &frames);
            world.mine(vec![other, tx], vec![log]);
        }
        let run = world.derive();
        assert_eq!(run.references(), references(&blocks), "{fork}: {:?}", run.dropped);
    }
}

#[test]
fn after_a_reset_old_l1_blocks_are_read_with_the_key_of_their_time() {
    let mut world = World::new(config(Hardfork::Karst));
    for _ in 0..3 {
        world.sequence_and_post();
    }
    let mut verifier = world.verifier();
    verifier.run(&world);
    // The change, and a channel by the new key that begins there.
    let log = batcher_log(&world.config, 2);
    world.mine(Vec::new(), vec![log]);
    let blocks = world.sequence_to_l1_head();
    let frames = world.channel(&blocks, 150);
    let tx = world.calldata_tx(&key(2), &frames[..1]);
    world.mine(vec![tx], Vec::new());
    verifier.run(&world);
    let start = verifier.reset(&world);
    assert_eq!(start.l1_system_config.batcher_address, key(1).address());
    let tx = world.calldata_tx(&key(2), &frames[1..]);
    world.mine(vec![tx], Vec::new());
    let run = verifier.run(&world);
    assert_eq!(run.references(), references(&blocks), "{:?}", run.dropped);
}

#![allow(clippy::unwrap_used, clippy::expect_used)]

use alloy_primitives::{Bytes, U256};

use super::*;
use crate::testing::*;
use crate::{ChainEvent, chain::ChainConfig};

fn forkchoice(head: B256, safe: B256, finalized: B256) -> ForkchoiceState {
    ForkchoiceState { head, safe, finalized }
}

#[test]
fn blocks_built_here_execute_the_same_elsewhere() {
    let (builder, verifier) = (l2_engine(), l2_engine());
    assert_eq!(builder.head(), verifier.head());
    let pool = builder.chain().pool();
    for nonce in 0..3 {
        pool.add_raw(&raw(&transfer(0, nonce, GWEI))).unwrap();
        pool.add_raw(&raw(&tx(L2_CHAIN_ID, 1, nonce, LOGGER, GWEI, Bytes::from([1; 9])))).unwrap();
        let head = builder.head();
        let block =
            extend(&builder, l2_attributes(&head, &[minting_deposit(5), attributes_deposit(9)]));
        assert_eq!(block.block.body.transactions.len(), 5);
        assert!(verifier.new_payload(&block).unwrap().is_valid());
        set_head(&verifier, block.hash);
        assert_eq!(
            builder.output_at(&block.hash).unwrap(),
            verifier.output_at(&block.hash).unwrap()
        );
        let ours = builder.chain().receipts(&block.hash).unwrap();
        assert_eq!(Some(ours), verifier.chain().receipts(&block.hash));
    }
    let state = verifier.chain().state_at(&verifier.head().hash).unwrap();
    // Three mints of 5 and three transfers of 1.
    assert_eq!(state.account(&RECIPIENT).unwrap().unwrap().balance, U256::from(18));
}

#[test]
fn statuses_follow_the_engine_api() {
    let engine = l2_engine();
    let genesis = engine.head();
    let other = l2_engine();
    let one = extend(&other, l2_attributes(&genesis, &[]));
    let two = extend(&other, l2_attributes(&one, &[]));
    assert_eq!(engine.new_payload(&two).unwrap(), PayloadStatus::Syncing);
    let status = engine.fork_choice_updated(forkchoice(two.hash, B256::ZERO, B256::ZERO), None);
    assert_eq!(status.unwrap().status, PayloadStatus::Syncing);
    assert_eq!(engine.head(), genesis);

    let mut broken = (*one.block).clone();
    broken.header.gas_used += 1;
    let broken = SealedBlock::new(broken);
    let status = engine.new_payload(&broken).unwrap();
    let PayloadStatus::Invalid { latest_valid_hash, error } = &status else { panic!("{status:?}") };
    assert_eq!(*latest_valid_hash, Some(genesis.hash));
    assert!(error.contains("gas"), "{error}");
    let mut child = (*two.block).clone();
    child.header.parent_hash = broken.hash;
    let child = SealedBlock::new(child);
    assert!(matches!(engine.new_payload(&child).unwrap(), PayloadStatus::Invalid { .. }));
    let updated = engine.fork_choice_updated(forkchoice(broken.hash, B256::ZERO, B256::ZERO), None);
    assert!(matches!(updated.unwrap().status, PayloadStatus::Invalid { .. }));
    let lying = SealedBlock { hash: B256::repeat_byte(1), block: one.block.clone() };
    assert!(matches!(engine.new_payload(&lying).unwrap(), PayloadStatus::Invalid { .. }));

    assert!(engine.new_payload(&one).unwrap().is_valid());
    assert!(engine.new_payload(&two).unwrap().is_valid());
    assert!(engine.new_payload(&two).unwrap().is_valid());
    let updated = engine.fork_choice_updated(forkchoice(two.hash, one.hash, genesis.hash), None);
    assert!(updated.unwrap().status.is_valid());
    let labels = [engine.head(), engine.safe().unwrap(), engine.finalized().unwrap()];
    assert_eq!(labels.map(|b| b.hash), [two.hash, one.hash, genesis.hash]);
}

#[test]
fn contradicting_labels_are_errors() {
    let engine = l2_engine();
    let genesis = engine.head();
    let one = extend(&engine, l2_attributes(&genesis, &[]));
    set_head(&engine, genesis.hash);
    let mut attributes = l2_attributes(&genesis, &[]);
    attributes.timestamp += 5;
    let fork = extend(&engine, attributes);
    for state in [
        forkchoice(fork.hash, one.hash, B256::ZERO),
        forkchoice(fork.hash, B256::ZERO, one.hash),
        forkchoice(fork.hash, B256::repeat_byte(9), B256::ZERO),
        forkchoice(fork.hash, genesis.hash, fork.hash),
    ] {
        let error = engine.fork_choice_updated(state, None).unwrap_err();
        assert!(matches!(error, EngineError::InvalidForkchoice(_)), "{error}");
    }
    let zeros = forkchoice(B256::ZERO, B256::ZERO, B256::ZERO);
    let status = engine.fork_choice_updated(zeros, None).unwrap().status;
    assert!(matches!(status, PayloadStatus::Invalid { latest_valid_hash: None, .. }), "{status:?}");
    assert_eq!(engine.head(), fork);
}

#[test]
fn bad_attributes_are_told_apart() {
    let engine = l2_engine();
    let genesis = engine.head();
    let update = |attributes| {
        engine
            .fork_choice_updated(forkchoice(genesis.hash, B256::ZERO, B256::ZERO), Some(attributes))
    };
    let mut late = l2_attributes(&genesis, &[]);
    late.timestamp = genesis.header().timestamp;
    let mut no_gas = l2_attributes(&genesis, &[]);
    no_gas.gas_limit = None;
    let mut garbage = l2_attributes(&genesis, &[]);
    garbage.transactions = Some(vec![Bytes::from_static(&[1, 2, 3])]);
    let bad_nonce = l2_attributes(&genesis, &[transfer(0, 4, GWEI)]);
    for attributes in [late, no_gas, garbage, bad_nonce] {
        let error = update(attributes).unwrap_err();
        assert!(matches!(error, EngineError::InvalidAttributes(_)), "{error}");
    }
    let id = PayloadId::repeat_byte(3);
    assert!(matches!(engine.get_payload(id), Err(EngineError::UnknownPayload(_))));
}

#[test]
fn payload_improves_until_fetched_unless_the_pool_is_excluded() {
    let engine = l2_engine();
    let genesis = engine.head();
    let state = forkchoice(genesis.hash, B256::ZERO, B256::ZERO);
    let start = |attributes| {
        engine.fork_choice_updated(state, Some(attributes)).unwrap().payload_id.unwrap()
    };
    let open = start(l2_attributes(&genesis, &[]));
    let mut closed = l2_attributes(&genesis, &[]);
    closed.no_tx_pool = true;
    let closed = start(closed);
    assert_ne!(open, closed);
    assert_eq!(open, start(l2_attributes(&genesis, &[])), "same attributes, same job");
    let count = |id| engine.get_payload(id).unwrap().block.block.body.transactions.len();
    assert_eq!((count(open), count(closed)), (1, 1));
    engine.chain().pool().add_raw(&raw(&transfer(0, 0, GWEI))).unwrap();
    assert_eq!((count(open), count(closed)), (2, 1));
    assert_eq!(engine.get_payload(open).unwrap().block, engine.get_payload(open).unwrap().block);
}

#[test]
fn an_l1_block_without_the_pool_is_empty() {
    let engine = l1_engine(false);
    let genesis = engine.head();
    let pooled = tx(L1_CHAIN_ID, 0, 0, RECIPIENT, GWEI, Bytes::new());
    engine.chain().pool().add_raw(&raw(&pooled)).unwrap();
    let mut attributes = l1_attributes(&genesis);
    attributes.no_tx_pool = true;
    let empty = extend(&engine, attributes);
    assert!(empty.block.body.transactions.is_empty());
    let full = extend(&engine, l1_attributes(&empty));
    assert_eq!(full.block.body.transactions.len(), 1);
    assert!(full.header().requests_hash.is_some());
    assert!(engine.output_at(&full.hash).is_err());
}

#[test]
fn blocks_respect_gas_and_da_limits() {
    let engine = l2_engine();
    let pool = engine.chain().pool();
    for from in 0..4 {
        pool.add_raw(&raw(&transfer(from, 0, (1 + u128::from(from)) * GWEI))).unwrap();
    }
    let mut small = l2_attributes(&engine.head(), &[]);
    // The deposit uses little; two transactions of limit 100,000 fit at most.
    small.gas_limit = Some(1_150_000);
    let block = extend(&engine, small);
    assert!(block.header().gas_used <= 1_150_000);
    engine.chain().da_limits().set(0, 100);
    for from in 4..8 {
        pool.add_raw(&raw(&transfer(from, 0, GWEI))).unwrap();
    }
    let head = engine.head();
    let block = extend(&engine, l2_attributes(&head, &[]));
    assert_eq!(block.block.body.transactions.len(), 2, "one of 100 bytes beside the deposit");
    engine.chain().da_limits().set(0, 0);
}

#[test]
fn reorgs_are_announced_and_labels_fall_back() {
    let engine = l2_engine();
    let genesis = engine.head();
    let mut events = engine.chain().subscribe();
    let one = extend(&engine, l2_attributes(&genesis, &[]));
    let two = extend(&engine, l2_attributes(&one, &[]));
    let state = forkchoice(two.hash, two.hash, one.hash);
    engine.fork_choice_updated(state, None).unwrap();
    for expected in [&one, &two] {
        let ChainEvent::NewHead(stored) = events.try_recv().unwrap() else { panic!() };
        assert_eq!(stored.block, *expected);
    }
    let mut attributes = l2_attributes(&one, &[]);
    attributes.timestamp += 3;
    let state = forkchoice(one.hash, B256::ZERO, B256::ZERO);
    let id = engine.fork_choice_updated(state, Some(attributes)).unwrap().payload_id.unwrap();
    assert_eq!(engine.safe().unwrap(), one);
    let other = engine.get_payload(id).unwrap().block;
    assert!(engine.new_payload(&other).unwrap().is_valid());
    set_head(&engine, other.hash);
    let ChainEvent::Reorg { removed, added, head } = events.try_recv().unwrap() else { panic!() };
    assert_eq!((removed.len(), added.len(), head), (1, 0, one.clone()));
    let ChainEvent::NewHead(stored) = events.try_recv().unwrap() else { panic!() };
    assert_eq!(stored.block, other);
    // And straight over to the known branch.
    set_head(&engine, two.hash);
    let ChainEvent::Reorg { removed, added, head } = events.try_recv().unwrap() else { panic!() };
    assert_eq!((removed[0].block.hash, added[0].block.hash), (other.hash, two.hash));
    assert_eq!(head, two);
    assert_eq!(engine.block_by_number(2).unwrap(), two);
}

#[test]
fn dropped_states_are_computed_again() {
    let chain = l2_chain_with(|config: &mut ChainConfig| {
        config.state_window = 2;
        config.max_states = 2;
    });
    let engine = LocalEngine::new(chain);
    let mut blocks = vec![engine.head()];
    for n in 0..6 {
        engine.chain().pool().add_raw(&raw(&transfer(0, n, GWEI))).unwrap();
        let head = engine.head();
        blocks.push(extend(&engine, l2_attributes(&head, &[])));
    }
    let state = engine.chain().state_at(&blocks[2].hash);
    assert!(matches!(state, Err(ChainError::StateUnavailable { number: 2, .. })));
    let mut attributes = l2_attributes(&blocks[2], &[]);
    attributes.timestamp += 100;
    let state = forkchoice(blocks[2].hash, B256::ZERO, B256::ZERO);
    let id = engine.fork_choice_updated(state, Some(attributes)).unwrap().payload_id.unwrap();
    let block = engine.get_payload(id).unwrap().block;
    assert_eq!(block.header().parent_hash, blocks[2].hash);
    assert_eq!(block.block.body.transactions.len(), 5, "the four that the reorg dropped");
    let root = engine.chain().state_at(&blocks[2].hash).unwrap().root();
    assert_eq!(root, blocks[2].header().state_root);
}

#[test]
fn forks_are_forgotten_when_finality_passes() {
    let engine = l2_engine();
    let genesis = engine.head();
    let fork = extend(&engine, l2_attributes(&genesis, &[]));
    set_head(&engine, genesis.hash);
    let mut attributes = l2_attributes(&genesis, &[]);
    attributes.timestamp += 1;
    let one = extend(&engine, attributes);
    assert!(engine.block_by_hash(&fork.hash).is_some());
    engine.fork_choice_updated(forkchoice(one.hash, one.hash, one.hash), None).unwrap();
    assert!(engine.block_by_hash(&fork.hash).is_none());
    assert_eq!(engine.finalized().unwrap(), one);
}

#[test]
fn a_burst_from_few_accounts_is_mined_in_order() {
    let engine = l2_engine();
    let pool = engine.chain().pool();
    for nonce in 0..250 {
        for from in 0..4 {
            pool.add_raw(&raw(&transfer(from, nonce, GWEI))).unwrap();
        }
    }
    assert_eq!(pool.status(), (1_000, 0));
    let mut mined = 0;
    while mined < 1_000 {
        let head = engine.head();
        let block = extend(&engine, l2_attributes(&head, &[]));
        let transfers = block.block.body.transactions.len() - 1;
        assert!(transfers > 0, "{mined} mined so far");
        mined += transfers;
    }
    assert_eq!(pool.status(), (0, 0));
    let state = engine.chain().state_at(&engine.head().hash).unwrap();
    assert_eq!(state.account(&RECIPIENT).unwrap().unwrap().balance, U256::from(1_000));
}

#[test]
fn an_l1_block_is_built_no_longer_than_osaka_allows() {
    let mut genesis = l1_genesis(true);
    genesis.gas_limit = 300_000_000;
    let chain = || LocalEngine::new(Chain::from_genesis(&genesis).unwrap());
    let (builder, verifier) = (chain(), chain());
    // Nine megabytes, for which there is gas.
    for nonce in 0..9 {
        for account in 0..8 {
            let tx = custom(account, |tx| {
                (tx.chain_id, tx.nonce, tx.gas_limit) = (L1_CHAIN_ID, nonce, 1_300_000);
                tx.input = vec![0; 125_000].into();
            });
            builder.chain().pool().add_raw(&raw(&tx)).unwrap();
        }
    }
    let block = extend(&builder, l1_attributes(&builder.head()));
    let (transactions, size) =
        (block.block.body.transactions.len(), alloy_rlp::Encodable::length(&*block.block));
    assert!(transactions > 0 && size <= 8_388_608, "{transactions}: {size}");
    assert!(verifier.new_payload(&block).unwrap().is_valid());
}

#[test]
fn transactions_of_blocks_that_left_in_great_number_are_in_no_block() {
    let chain = l2_chain_with(|config| config.max_fork_blocks = 2);
    let engine = LocalEngine::new(chain);
    let mut blocks = vec![engine.head()];
    for nonce in 0..6 {
        blocks.push(extend(&engine, l2_attributes(&engine.head(), &[transfer(0, nonce, GWEI)])));
    }
    let find = |n: usize| {
        let hash = blocks[n].block.body.transactions[1].tx_hash();
        engine.chain().transaction(&hash).map(|(block, _)| block.block.hash)
    };
    assert_eq!(find(3), Some(blocks[3].hash));
    set_head(&engine, blocks[1].hash);
    assert_eq!(find(1), Some(blocks[1].hash));
    for number in 2..=6 {
        assert_eq!(find(number), None, "{number}");
    }
}

#![allow(clippy::unwrap_used, clippy::expect_used)]

use alloy_consensus::Transaction;
use alloy_eips::eip4844::builder::{SidecarBuilder, SimpleCoder};
use alloy_eips::eip7594::BlobTransactionSidecarVariant;
use alloy_primitives::{TxKind, U256};

use super::*;
use crate::testing::*;
use crate::{Chain, LocalEngine};

fn add(chain: &Chain, tx: &opal_protocol::TxEnvelope) -> Result<B256, PoolError> {
    chain.pool().add_raw(&raw(tx))
}

fn refusal(chain: &Chain, tx: &opal_protocol::TxEnvelope) -> String {
    add(chain, tx).unwrap_err().to_string()
}

#[test]
fn refusals_have_the_texts_that_clients_match_on() {
    let engine = l2_engine();
    let chain = engine.chain();
    let mut attributes = l2_attributes(&engine.head(), &[transfer(1, 0, GWEI)]);
    attributes.no_tx_pool = true;
    extend(&engine, attributes);

    let good = transfer(0, 0, GWEI);
    add(chain, &good).unwrap();
    assert_eq!(refusal(chain, &good), "already known");
    assert_eq!(
        refusal(chain, &transfer(1, 0, 2 * GWEI)),
        "nonce too low: next nonce 1, tx nonce 0"
    );
    let text = refusal(chain, &custom(2, |tx| tx.value = U256::from(10).pow(U256::from(24))));
    assert!(text.starts_with("insufficient funds for gas * price + value: balance 1000"), "{text}");
    let text = refusal(chain, &custom(2, |tx| tx.gas_limit = 20_999));
    assert_eq!(text, "intrinsic gas too low: gas 20999, minimum needed 21000");
    let text = refusal(chain, &custom(2, |tx| tx.gas_limit = 30_000_001));
    assert_eq!(text, "exceeds block gas limit");
    let text = refusal(chain, &custom(2, |tx| tx.gas_limit = 16_777_217));
    assert_eq!(text, "transaction gas limit too high (cap: 16777216, tx: 16777217)");
    let text = refusal(chain, &custom(2, |tx| tx.max_priority_fee_per_gas = 200 * GWEI));
    assert!(text.starts_with("max priority fee per gas higher than max fee per gas"), "{text}");
    let text = refusal(chain, &custom(2, |tx| tx.chain_id = 1));
    assert_eq!(text, "invalid sender: invalid chain id for signer: have 1 want 901");
    let text = refusal(chain, &custom(2, |tx| tx.input = vec![1; 140_000].into()));
    assert!(text.starts_with("oversized data: transaction size"), "{text}");
    let text = refusal(
        chain,
        &custom(2, |tx| {
            tx.to = TxKind::Create;
            tx.input = vec![1; 49_153].into();
        }),
    );
    assert_eq!(text, "max initcode size exceeded: code size 49153, limit 49152");
    let text = refusal(
        chain,
        &custom(2, |tx| {
            tx.gas_limit = 60_000;
            tx.input = vec![1; 1_500].into();
        }),
    );
    assert_eq!(text, "insufficient gas for floor data gas cost: gas 60000, minimum needed 81000");
    assert_eq!(refusal(chain, &attributes_deposit(5)), "transaction type not supported");
    assert!(matches!(chain.pool().add_raw(&[0xff, 1, 2]), Err(PoolError::Decode(_))));
    let mut trailing = raw(&transfer(3, 0, GWEI)).to_vec();
    trailing.push(0);
    assert!(matches!(chain.pool().add_raw(&trailing), Err(PoolError::Decode(_))));
    assert_eq!(chain.pool().status(), (1, 0));
}

#[test]
fn replacement_needs_a_tenth_more() {
    let engine = l2_engine();
    let chain = engine.chain();
    let with = |fee: u128, tip: u128| {
        custom(0, |tx| {
            tx.max_fee_per_gas = fee;
            tx.max_priority_fee_per_gas = tip;
        })
    };
    add(chain, &with(100 * GWEI, 10 * GWEI)).unwrap();
    let underpriced = "replacement transaction underpriced";
    assert_eq!(refusal(chain, &with(110 * GWEI, 10 * GWEI)), underpriced);
    assert_eq!(refusal(chain, &with(110 * GWEI - 1, 11 * GWEI)), underpriced);
    let better = with(110 * GWEI, 11 * GWEI);
    let hash = add(chain, &better).unwrap();
    assert_eq!(chain.pool().status(), (1, 0));
    assert!(chain.pool().get(&hash).is_some());
}

#[test]
fn gaps_wait_and_are_filled() {
    let engine = l2_engine();
    let chain = engine.chain();
    let sender = signer(0).address();
    let mut heard = chain.pool().subscribe();
    let hashes: Vec<_> =
        [1, 2, 0].map(|nonce| add(chain, &transfer(0, nonce, GWEI)).unwrap()).into();
    assert_eq!(chain.pool().next_nonce(sender).unwrap(), 3);
    assert_eq!(chain.pool().status(), (3, 0));
    let order = [heard.try_recv(), heard.try_recv(), heard.try_recv()].map(Result::unwrap);
    assert_eq!(order, [hashes[2], hashes[0], hashes[1]]);
    add(chain, &transfer(0, 4, GWEI)).unwrap();
    assert_eq!(chain.pool().status(), (3, 1));
    assert!(heard.try_recv().is_err());
    let content = chain.pool().content();
    assert_eq!((content.pending[&sender].len(), content.queued[&sender].len()), (3, 1));
}

#[test]
fn best_goes_by_tip_then_age_within_nonce_order() {
    let engine = l2_engine();
    let chain = engine.chain();
    for (from, nonce, tip) in [(0, 0, 1), (1, 0, 5), (1, 1, 9), (2, 0, 5), (0, 1, 90)] {
        add(chain, &transfer(from, nonce, tip * GWEI)).unwrap();
    }
    let head = chain.pool().head();
    let order: Vec<_> =
        chain.pool().best(head.base_fee, 1).map(|tx| (tx.sender(), tx.tx().nonce())).collect();
    let [a, b, c] = [0, 1, 2].map(|n| signer(n).address());
    assert_eq!(order, [(b, 0), (b, 1), (c, 0), (a, 0), (a, 1)]);

    let mut best = chain.pool().best(head.base_fee, 1);
    best.next();
    best.skip_sender();
    assert_eq!(best.map(|tx| tx.sender()).collect::<Vec<_>>(), [c, a, a]);
    assert_eq!(chain.pool().best(200 * GWEI as u64, 1).count(), 0);
}

#[test]
fn a_full_pool_evicts_the_cheapest_tail() {
    let chain = l2_chain_with(|config| config.pool.max_transactions = 4);
    for (from, nonce, tip) in [(0, 0, 5), (0, 1, 2), (1, 0, 3), (2, 0, 4)] {
        add(&chain, &transfer(from, nonce, tip * GWEI)).unwrap();
    }
    let cheap = add(&chain, &transfer(3, 0, GWEI));
    assert_eq!(cheap, Err(PoolError::Underpriced));
    let cheapest = transfer(0, 1, 2 * GWEI).tx_hash();
    add(&chain, &transfer(3, 0, 3 * GWEI)).unwrap();
    assert!(chain.pool().get(&cheapest).is_none());
    assert_eq!(chain.pool().status(), (4, 0));
    // A transaction behind a gap is worth nothing now and evicts nobody.
    assert_eq!(add(&chain, &transfer(4, 7, 90 * GWEI)), Err(PoolError::Underpriced));
}

#[test]
fn nobody_leaves_for_a_transaction_that_is_refused() {
    let chain = l2_chain_with(|config| config.pool.max_bytes = 400);
    for (from, tip) in [(0, 1), (1, 5), (2, 5)] {
        add(&chain, &transfer(from, 0, tip * GWEI)).unwrap();
    }
    // It would need the room of two and pays more than one of them.
    let long = custom(3, |tx| {
        tx.max_priority_fee_per_gas = 3 * GWEI;
        tx.input = vec![0; 150].into();
    });
    assert_eq!(add(&chain, &long), Err(PoolError::Underpriced));
    assert_eq!(chain.pool().status(), (3, 0));
    let room = custom(3, |tx| tx.max_priority_fee_per_gas = 3 * GWEI);
    add(&chain, &room).unwrap();
    assert_eq!(chain.pool().status(), (3, 0));
}

#[test]
fn accounts_are_limited() {
    let chain = l2_chain_with(|config| {
        config.pool.max_per_account = 3;
        config.pool.max_queued_per_account = 1;
    });
    add(&chain, &transfer(0, 5, GWEI)).unwrap();
    assert_eq!(add(&chain, &transfer(0, 6, GWEI)), Err(PoolError::AccountLimit));
    add(&chain, &transfer(0, 0, GWEI)).unwrap();
    add(&chain, &transfer(0, 1, GWEI)).unwrap();
    assert_eq!(add(&chain, &transfer(0, 2, GWEI)), Err(PoolError::AccountLimit));
    let half = U256::from(10).pow(U256::from(18)) * U256::from(600);
    let spend = |nonce| {
        custom(1, |tx| {
            tx.nonce = nonce;
            tx.value = half;
        })
    };
    add(&chain, &spend(0)).unwrap();
    let error = add(&chain, &spend(1)).unwrap_err();
    assert!(matches!(error, PoolError::InsufficientFundsQueued { .. }));
    assert!(error.to_string().contains("queued cost 600"), "{error}");
}

#[test]
fn a_reorg_brings_transactions_back() {
    let engine = l2_engine();
    let chain = engine.chain();
    let genesis = engine.head();
    let kept = [add(chain, &transfer(0, 0, GWEI)), add(chain, &transfer(0, 1, GWEI))];
    let first = extend(&engine, l2_attributes(&genesis, &[]));
    assert_eq!(first.block.body.transactions.len(), 3);
    assert_eq!(chain.pool().status(), (0, 0));

    set_head(&engine, genesis.hash);
    assert_eq!(chain.pool().status(), (2, 0));
    for hash in kept {
        assert!(chain.pool().get(&hash.unwrap()).is_some());
    }
    // Mined again on another branch.
    let mut attributes = l2_attributes(&genesis, &[]);
    attributes.timestamp += 1;
    let second = extend(&engine, attributes);
    assert_ne!(first.hash, second.hash);
    assert_eq!(second.block.body.transactions.len(), 3);
    assert_eq!(chain.pool().status(), (0, 0));
}

fn sidecar(osaka: bool, blobs: usize) -> BlobTransactionSidecarVariant {
    let data = vec![7u8; 100_000 * blobs];
    let builder = SidecarBuilder::<SimpleCoder>::from_slice(&data);
    let settings = c_kzg::ethereum_kzg_settings(0);
    if osaka {
        BlobTransactionSidecarVariant::Eip7594(builder.build_7594_with_settings(settings).unwrap())
    } else {
        BlobTransactionSidecarVariant::Eip4844(builder.build_4844_with_settings(settings).unwrap())
    }
}

fn blob_engine(osaka: bool) -> (LocalEngine, BlobTransactionSidecarVariant) {
    (l1_engine(osaka), sidecar(osaka, 1))
}

#[test]
fn blobs_are_checked_mined_and_survive_a_reorg() {
    for osaka in [false, true] {
        let (engine, sidecar) = blob_engine(osaka);
        let chain = engine.chain();
        let genesis = engine.head();
        let hash = chain.pool().add_raw(&blob_tx(0, 0, sidecar.clone(), 100 * GWEI)).unwrap();
        let state = crate::ForkchoiceState { head: genesis.hash, ..Default::default() };
        let id = engine.fork_choice_updated(state, Some(l1_attributes(&genesis))).unwrap();
        let payload = engine.get_payload(id.payload_id.unwrap()).unwrap();
        assert_eq!(payload.sidecars.len(), 1);
        assert_eq!(payload.sidecars[0].0, hash);
        assert_eq!(*payload.sidecars[0].1, sidecar);
        assert!(!payload.value.is_zero());
        let blobs = sidecar.blobs().len() as u64;
        assert_eq!(payload.block.header().blob_gas_used, Some(blobs * 131_072));
        assert!(engine.new_payload(&payload.block).unwrap().is_valid());
        set_head(&engine, payload.block.hash);
        assert!(chain.pool().get(&hash).is_none());
        assert!(chain.pool().sidecar(&hash).is_some(), "kept for a reorg");

        set_head(&engine, genesis.hash);
        let back = chain.pool().get(&hash).unwrap();
        assert_eq!(**back.sidecar().unwrap(), sidecar);
    }
}

#[test]
fn blobs_survive_many_reorgs() {
    let genesis = l1_genesis(false);
    let mut config = crate::ChainConfig::default();
    config.pool.max_included_blobs = 2;
    let spec = crate::ChainSpec::from_genesis(&genesis).unwrap();
    let engine = LocalEngine::new(Chain::with_config(spec, &genesis, config).unwrap());
    let pool = engine.chain().pool();
    let genesis = engine.head();
    let hash = pool.add_raw(&blob_tx(0, 0, sidecar(false, 1), 100 * GWEI)).unwrap();
    let block = extend(&engine, l1_attributes(&genesis));
    for _ in 0..3 {
        set_head(&engine, genesis.hash);
        assert!(pool.get(&hash).is_some());
        set_head(&engine, block.hash);
        assert!(pool.sidecar(&hash).is_some());
    }
}

#[test]
fn wrong_blobs_are_refused() {
    let (engine, good) = blob_engine(false);
    let pool = engine.chain().pool();
    let BlobTransactionSidecarVariant::Eip4844(mut bad) = good.clone() else { unreachable!() };
    bad.proofs[0] = bad.commitments[0];
    let error =
        pool.add_raw(&blob_tx(0, 0, BlobTransactionSidecarVariant::Eip4844(bad), 100 * GWEI));
    assert!(matches!(error, Err(PoolError::InvalidSidecar(_))), "{error:?}");
    let error = pool.add_raw(&blob_tx(0, 0, sidecar(true, 1), 100 * GWEI)).unwrap_err();
    assert_eq!(error.to_string(), "unexpected sidecar version, want: 0, got: 1");
    let error = pool.add_raw(&blob_tx(0, 1, good.clone(), 100 * GWEI)).unwrap_err();
    assert_eq!(error.to_string(), "nonce too high: tx nonce 1, gapped nonce 0");

    pool.add_raw(&blob_tx(0, 0, good.clone(), 100 * GWEI)).unwrap();
    let pooled = pool.best(0, 0).next().unwrap();
    assert_eq!(pool.add_raw(pooled.raw()), Err(PoolError::MissingSidecar));
    let bumped = pool.add_raw(&blob_tx(0, 0, good.clone(), 199 * GWEI));
    assert_eq!(bumped, Err(PoolError::ReplacementUnderpriced));
    pool.add_raw(&blob_tx(0, 0, good.clone(), 200 * GWEI)).unwrap();

    let l2 = l2_engine();
    let error = l2.chain().pool().add_raw(&blob_tx(0, 0, good, 100 * GWEI)).unwrap_err();
    assert_eq!(error, PoolError::TypeNotSupported);
}

#[test]
fn l2_senders_must_afford_the_l1_fee() {
    let engine = l2_engine();
    let chain = engine.chain();
    let balance = U256::from(10).pow(U256::from(18)) * U256::from(1_000);
    let all = balance - U256::from(100_000 * 100 * GWEI);
    let error = add(chain, &custom(0, |tx| tx.value = all)).unwrap_err();
    let PoolError::InsufficientFunds { cost, .. } = error else { panic!("{error}") };
    assert!(cost > balance, "{cost}");
    let fee = cost - balance;
    add(chain, &custom(0, |tx| tx.value = all - fee - U256::from(fee.to::<u64>()))).unwrap();
}

#[test]
fn accounts_with_delegated_code_send_and_contracts_do_not() {
    let mut genesis = l2_genesis();
    let mut give_code = |n: u8, code: Vec<u8>| {
        genesis.alloc.get_mut(&signer(n).address()).unwrap().code = Some(code.into());
    };
    give_code(0, [&[0xef, 0x01, 0x00][..], &[0x42; 20]].concat());
    give_code(1, vec![0x00]);
    let chain = Chain::from_genesis(&genesis).unwrap();
    add(&chain, &transfer(0, 0, GWEI)).unwrap();
    let refused = add(&chain, &transfer(1, 0, GWEI)).unwrap_err();
    assert!(matches!(refused, PoolError::SenderNotEoa(sender) if sender == signer(1).address()));
}

#[test]
fn damaged_transactions_are_refused_without_harm() {
    let engine = l2_engine();
    let good = raw(&transfer(0, 0, GWEI));
    for (position, bit) in (0..good.len()).flat_map(|i| [(i, 1), (i, 0x80)]) {
        let mut bad = good.to_vec();
        bad[position] ^= bit;
        // Most are refused; the few that decode are somebody else's, who has no money.
        if let Ok(tx) = PooledTransaction::decode(&bad) {
            assert_ne!(tx.hash(), transfer(0, 0, GWEI).tx_hash());
            assert!(engine.chain().pool().add(tx).is_err());
        }
        assert!(PooledTransaction::decode(&good[..position]).is_err());
    }
}

#![allow(clippy::unwrap_used, clippy::expect_used)]

use alloy_consensus::Transaction;
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
    let l1 = l1_engine(false);
    let much = custom(2, |tx| (tx.chain_id, tx.gas_limit) = (L1_CHAIN_ID, 30_000_001));
    assert_eq!(refusal(l1.chain(), &much), "exceeds block gas limit");
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
    assert_eq!(add(&chain, &transfer(4, 7, 90 * GWEI)), Err(PoolError::FutureReplacePending));
    let stats = chain.pool().stats();
    assert_eq!((stats.added, stats.evicted), (5, 1));
    assert_eq!((stats.refused["underpriced"], stats.refused["full"]), (1, 1));
}

#[test]
fn nobody_leaves_for_a_transaction_that_is_refused() {
    let chain = l2_chain_with(|config| config.pool.max_bytes = 4_400);
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
    let authority = "address already reserved";
    let plain = tx(L1_CHAIN_ID, 0, 1, RECIPIENT, GWEI, Default::default());
    assert_eq!(pool.add_raw(&raw(&plain)).unwrap_err().to_string(), authority);
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
    // One at a time, which may be replaced.
    let text = "in-flight transaction limit reached for delegated accounts";
    assert_eq!(refusal(&chain, &transfer(0, 1, GWEI)), text);
    add(&chain, &replacement(0)).unwrap();
    chain.pool().remove(&replacement(0).tx_hash());
    let text = "gapped-nonce tx from delegated accounts";
    assert_eq!(refusal(&chain, &transfer(0, 1, GWEI)), text);
}

fn replacement(from: u8) -> opal_protocol::TxEnvelope {
    custom(from, |tx| {
        tx.max_fee_per_gas = 200 * GWEI;
        tx.max_priority_fee_per_gas = 2 * GWEI;
    })
}

#[test]
fn pending_delegations_limit_the_authority() {
    let engine = l2_engine();
    let chain = engine.chain();
    let authority = signer(1).address();
    // A tuple may delegate a busy account only if it has at most one transaction here.
    add(chain, &transfer(1, 0, GWEI)).unwrap();
    add(chain, &transfer(1, 1, GWEI)).unwrap();
    let delegation = set_code(0, 0, &[1, 1, 2]);
    assert_eq!(refusal(chain, &delegation), "authority already reserved");
    chain.pool().remove(&transfer(1, 1, GWEI).tx_hash());
    add(chain, &delegation).unwrap();
    assert_eq!(chain.pool().get(&delegation.tx_hash()).unwrap().authorities().len(), 2);
    let text = "in-flight transaction limit reached for delegated accounts";
    assert_eq!(refusal(chain, &transfer(1, 1, GWEI)), text);
    add(chain, &replacement(1)).unwrap();
    add(chain, &transfer(2, 0, GWEI)).unwrap();
    assert_eq!(refusal(chain, &transfer(2, 1, GWEI)), text);
    // With the delegation gone from the pool the account is as before.
    chain.pool().remove(&delegation.tx_hash());
    add(chain, &transfer(1, 1, GWEI)).unwrap();
    assert_eq!(chain.pool().next_nonce(authority).unwrap(), 2);
    let none = set_code(3, 0, &[]);
    assert_eq!(refusal(chain, &none), "set code tx must have at least one authorization tuple");
}

fn set_code(from: u8, nonce: u64, authorities: &[u8]) -> opal_protocol::TxEnvelope {
    use alloy_consensus::{SignableTransaction, TxEip7702};
    use alloy_signer::SignerSync;
    let authorization_list = authorities
        .iter()
        .map(|n| {
            let tuple = alloy_eips::eip7702::Authorization {
                chain_id: U256::from(L2_CHAIN_ID),
                address: RECIPIENT,
                nonce: 0,
            };
            let signature = signer(*n).sign_hash_sync(&tuple.signature_hash()).unwrap();
            tuple.into_signed(signature)
        })
        .collect();
    let tx = TxEip7702 {
        chain_id: L2_CHAIN_ID,
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: 100 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to: RECIPIENT,
        authorization_list,
        ..Default::default()
    };
    let signature = signer(from).sign_hash_sync(&tx.signature_hash()).unwrap();
    opal_protocol::TxEnvelope::Eip7702(tx.into_signed(signature))
}

#[test]
fn conditions_are_checked_when_sent_and_when_included() {
    let engine = l2_engine();
    let chain = engine.chain();
    let (pool, genesis) = (chain.pool(), engine.head());
    let state = chain.state_at(&genesis.hash).unwrap();
    let send = |from: u8, json: String| {
        let condition: TransactionConditional = serde_json::from_str(&json).unwrap();
        pool.add_conditional(&raw(&transfer(from, 0, GWEI)), condition, &state)
    };
    // The base fee of L1 is in slot 1 of the predeploy.
    let l1_block = opal_protocol::predeploys::L1_BLOCK;
    let (slot, value) = (B256::with_last_byte(1), B256::from(U256::from(10 * GWEI)));
    let known =
        |value: B256| format!(r#"{{"knownAccounts":{{"{l1_block}":{{"{slot}":"{value}"}}}}}}"#);
    let refused = send(0, known(slot)).unwrap_err();
    assert_eq!((refused.code(), refused.reason()), (-32003, "condition"));
    let text = refused.to_string();
    assert!(
        text.starts_with("failed parent block state check: failed account storage slot"),
        "{text}"
    );
    let refused = send(0, r#"{"blockNumberMin":"0x1"}"#.into()).unwrap_err().to_string();
    assert_eq!(refused, "failed header check: failed block number minimum constraint");
    let root = state.storage_root(&l1_block).unwrap();
    send(0, known(value)).unwrap();
    send(1, format!(r#"{{"knownAccounts":{{"{l1_block}":"{root}"}}}}"#)).unwrap();
    // Holds for the head, and will not for the block on it.
    let gone = send(2, r#"{"blockNumberMax":"0x0"}"#.into()).unwrap();
    let back = send(3, format!(r#"{{"timestampMax":"{:#x}"}}"#, GENESIS_TIME + 1)).unwrap();
    let block = extend(&engine, l2_attributes(&genesis, &[]));
    assert_eq!(block.block.body.transactions.len(), 4);
    assert!(pool.get(&gone).is_none());
    // A reorg does not make it unconditional.
    set_head(&engine, genesis.hash);
    assert!(pool.get(&back).unwrap().condition().is_some());
    let mut later = l2_attributes(&genesis, &[]);
    later.timestamp += 1;
    let block = extend(&engine, later);
    assert_eq!(block.block.body.transactions.len(), 3);
    assert!(pool.get(&back).is_none());
}

#[test]
fn conditions_see_what_the_block_has_changed() {
    let mut genesis = l2_genesis();
    // Stores the call data's first word in slot 0.
    let contract = Address::repeat_byte(0x55);
    let account = serde_json::json!({ "balance": "0x0", "code": "0x5f355f55" });
    genesis.alloc.insert(contract, serde_json::from_value(account).unwrap());
    let engine = LocalEngine::new(Chain::from_genesis(&genesis).unwrap());
    let (pool, genesis) = (engine.chain().pool(), engine.head());
    let state = engine.chain().state_at(&genesis.hash).unwrap();
    let store = tx(L2_CHAIN_ID, 0, 0, contract, 2 * GWEI, B256::with_last_byte(7).to_vec().into());
    pool.add_raw(&raw(&store)).unwrap();
    let zero = B256::ZERO;
    let condition = format!(r#"{{"knownAccounts":{{"{contract}":{{"{zero}":"{zero}"}}}}}}"#);
    let condition: TransactionConditional = serde_json::from_str(&condition).unwrap();
    let after = pool.add_conditional(&raw(&transfer(1, 0, GWEI)), condition.clone(), &state);
    let before = pool.add_conditional(&raw(&transfer(2, 0, 3 * GWEI)), condition, &state);
    let block = extend(&engine, l2_attributes(&genesis, &[]));
    let hashes: Vec<_> = block.block.body.transactions.iter().map(|tx| tx.tx_hash()).collect();
    assert_eq!(hashes[1..], [before.unwrap(), store.tx_hash()]);
    assert!(pool.get(&after.unwrap()).is_none());
}

#[test]
fn the_block_and_transaction_limits_on_l1_data_hold() {
    let engine = l2_engine();
    let chain = engine.chain();
    let noise = |from: u8, length: usize| {
        let data: Vec<u8> =
            (0..length as u32).flat_map(|n| n.wrapping_mul(2_654_435_769).to_be_bytes()).collect();
        tx(L2_CHAIN_ID, from, 0, RECIPIENT, u128::from(9 - from) * GWEI, data.into())
    };
    let all = [noise(0, 200), noise(1, 20), noise(2, 20), noise(3, 0)];
    for tx in &all {
        chain.pool().add(PooledTransaction::decode(&raw(tx)).unwrap()).unwrap();
    }
    let sizes = all.each_ref().map(|tx| chain.pool().get(&tx.tx_hash()).unwrap().da_size());
    assert!(sizes[0] > sizes[1] && sizes[1] + sizes[3] < sizes[1] + sizes[2], "{sizes:?}");
    // The first is too large alone, the third does not fit beside the second, the last does.
    chain.da_limits().set(sizes[0] - 1, sizes[1] + sizes[3]);
    let block = extend(&engine, l2_attributes(&engine.head(), &[]));
    let hashes: Vec<_> = block.block.body.transactions[1..].iter().map(|tx| tx.tx_hash()).collect();
    assert_eq!(hashes, [all[1].tx_hash(), all[3].tx_hash()]);
    chain.da_limits().set(0, 0);
    let block = extend(&engine, l2_attributes(&engine.head(), &[]));
    assert_eq!(block.block.body.transactions.len(), 3);
}

#[test]
fn a_batch_is_checked_like_single_transactions() {
    let chain = l2_chain_with(|_| {});
    let mut batch: Vec<_> =
        (0..120).map(|n| raw(&transfer(n % 10, u64::from(n / 10), GWEI))).collect();
    batch.push(batch[0].clone());
    batch.push(vec![0xff].into());
    let results = chain.pool().add_raw_batch(&batch);
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 120);
    assert_eq!(results[120], Err(PoolError::AlreadyKnown));
    assert!(matches!(results[121], Err(PoolError::Decode(_))));
    assert_eq!(chain.pool().status(), (120, 0));
    assert_eq!(
        chain.pool().content_of(signer(3).address()).pending[&signer(3).address()].len(),
        12
    );
}

#[test]
fn unprotected_transactions_are_taken_only_if_allowed() {
    use alloy_consensus::{SignableTransaction, TxLegacy};
    use alloy_signer::SignerSync;
    let tx = TxLegacy {
        chain_id: None,
        gas_price: 100 * GWEI,
        gas_limit: 21_000,
        to: TxKind::Call(RECIPIENT),
        ..Default::default()
    };
    let signature = signer(0).sign_hash_sync(&tx.signature_hash()).unwrap();
    let tx = opal_protocol::TxEnvelope::Legacy(tx.into_signed(signature));
    let text = "only replay-protected (EIP-155) transactions allowed over RPC";
    assert_eq!(refusal(&l2_chain_with(|_| {}), &tx), text);
    let chain = l2_chain_with(|config| config.pool.allow_unprotected = true);
    let hash = add(&chain, &tx).unwrap();
    assert_eq!(chain.pool().get(&hash).unwrap().sender(), signer(0).address());
}

#[test]
fn locals_stand_outside_the_price_rules() {
    let chain = l2_chain_with(|config| {
        config.pool.min_tip = 2 * GWEI;
        config.pool.max_transactions = 2;
        config.pool.locals = [signer(0).address()].into();
    });
    assert_eq!(
        refusal(&chain, &transfer(1, 0, GWEI)),
        "transaction gas price below minimum: gas tip cap 1000000000, minimum needed 2000000000"
    );
    add(&chain, &transfer(0, 0, GWEI)).unwrap();
    add(&chain, &transfer(1, 0, 2 * GWEI)).unwrap();
    add(&chain, &transfer(2, 0, 3 * GWEI)).unwrap();
    assert_eq!(chain.pool().content().pending.len(), 2);
    assert!(chain.pool().get(&transfer(0, 0, GWEI).tx_hash()).is_some());
    add(&chain, &transfer(0, 1, GWEI)).unwrap_err();
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

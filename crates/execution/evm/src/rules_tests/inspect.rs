//! What an inspected transaction tells of the accounts that it used; and witnesses.

use alloy_consensus::Transaction;
use revm::DatabaseRef;

use super::*;

#[test]
fn changes_are_those_of_the_transaction_not_of_the_block() {
    let chain = Chain::l2(Hardfork::Karst, &fee_slots());
    let store = |nonce, value| {
        TxEnvelope::Eip1559(sign(TxEip1559 {
            chain_id: chain.spec.chain_id,
            nonce,
            gas_limit: 100_000,
            max_fee_per_gas: 2_000_000_000,
            to: TxKind::Call(STORES),
            value: U256::from(value),
            ..Default::default()
        }))
    };
    let txs = [(store(0, 5), ALICE), (transfer(&chain, 1, 21_000, 3), ALICE), (store(2, 7), ALICE)];
    let built = chain.block(&txs);
    let seen = chain.inspect(&built, &[ALICE; 3]);
    let slot = |n: usize| {
        let slot = &seen[n].outcome.state[&STORES].storage[&U256::ZERO];
        (slot.original_value, slot.present_value)
    };
    assert_eq!(slot(0), (U256::ZERO, U256::from(5)));
    assert_eq!(slot(2), (U256::from(5), U256::from(7)));
    assert!(!seen[1].outcome.state.contains_key(&STORES), "the transfer did not use it");
    for (n, inspected) in seen.iter().enumerate() {
        let before = inspected.before.basic_ref(ALICE).unwrap().unwrap();
        let after = &inspected.outcome.state[&ALICE].info;
        assert_eq!((before.nonce, after.nonce), (n as u64, n as u64 + 1));
        // What the sender loses is what the receiver and the vaults get.
        let vaults = [BASE_FEE_VAULT, L1_FEE_VAULT, OPERATOR_FEE_VAULT, MINER];
        let mut gained = txs[n].0.value();
        for vault in vaults {
            let old = inspected.before.basic_ref(vault).unwrap().unwrap_or_default().balance;
            let new = inspected.outcome.state[&vault].info.balance;
            assert!(new > old || vault == MINER, "{vault}");
            gained += new - old;
        }
        assert_eq!(before.balance - after.balance, gained);
    }
}

#[test]
fn a_failed_deposit_shows_its_mint_and_its_call() {
    let chain = Chain::l2(Hardfork::Isthmus, &[]);
    let mut create = deposit(TxKind::Create, 5, 6, 50_000);
    create.input = bytes!("00");
    for tx in [deposit(TxKind::Call(ALICE), 5, 6, 50_000), create] {
        let built = chain.block(&[(tx.into(), BOB)]);
        let seen = chain.inspect(&built, &[BOB]);
        let bob = &seen[0].outcome.state[&BOB].info;
        assert_eq!((bob.balance, bob.nonce), (U256::from(5), 1));
        assert_eq!(seen[0].before.basic_ref(BOB).unwrap(), None);
    }
}

#[test]
fn a_created_and_a_destroyed_contract_are_so_in_their_transaction_only() {
    let chain = Chain::l2(Hardfork::Canyon, &[]);
    // Init code that returns code which destroys itself for the caller's good.
    let mut create = deposit(TxKind::Create, 0, 0, 200_000);
    create.input = bytes!("6133ff6000526002601ef3");
    let contract = BOB.create(0);
    let call = deposit(TxKind::Call(contract), 9, 9, 100_000);
    let again = deposit(TxKind::Call(contract), 0, 0, 100_000);
    let txs = [(create.into(), BOB), (call.into(), BOB), (again.into(), BOB)];
    let built = chain.block(&txs);
    assert!(built.receipts.iter().all(|receipt| receipt.success));
    assert!(built.state.account(&contract).unwrap().is_none());
    let seen = chain.inspect(&built, &[BOB; 3]);
    let status = |n: usize| {
        let account = &seen[n].outcome.state[&contract];
        (account.is_created(), account.is_selfdestructed())
    };
    assert_eq!([status(0), status(1), status(2)], [(true, false), (false, true), (false, false)]);
    let code = seen[1].before.basic_ref(contract).unwrap().unwrap().code_hash;
    assert_eq!(seen[1].before.code_by_hash_ref(code).unwrap().original_bytes(), bytes!("33ff"));
    assert_eq!(seen[2].before.basic_ref(contract).unwrap(), None);
}

#[test]
fn state_so_far_is_the_state_after_each_transaction() {
    let chain = Chain::l2(Hardfork::Karst, &fee_slots());
    let mut executor = chain.executor();
    for nonce in 0..3 {
        executor.transact(&transfer(&chain, nonce, 21_000, 1), ALICE).unwrap();
        let state = executor.state_so_far().unwrap();
        assert_eq!(self::nonce(&state, ALICE), nonce + 1);
        assert_eq!(balance(&state, BOB), U256::from(nonce + 1));
    }
    let state = executor.state_so_far().unwrap();
    assert_eq!(executor.finish().unwrap().state.root(), state.root());
}

/// Deletions merge branches with their last child, which the witness must hold.
#[test]
fn a_witness_holds_what_deletions_merge() {
    // Sets each slot that a word of the input names to zero.
    let clears = bytes!("5f5b80355f905560200180361160015700");
    let clearer = address!("00000000000000000000000000000000000c1ea6");
    for count in 1..12_u64 {
        let storage: serde_json::Map<String, Value> = (0..count)
            .map(|slot| (B256::from(U256::from(slot)).to_string(), json!(B256::with_last_byte(1))))
            .collect();
        let mut alloc = alloc();
        alloc[clearer.to_string()] = json!({"balance": "0x0", "code": clears, "storage": storage});
        let chain = Chain::new(json!({"chainId": 900, "shanghaiTime": 0}), alloc, "0x");
        for removed in 1..=count {
            let input: Vec<u8> =
                (0..removed).flat_map(|slot| U256::from(slot).to_be_bytes::<32>()).collect();
            let tx = TxEnvelope::Eip1559(sign(TxEip1559 {
                chain_id: 900,
                gas_limit: 200_000,
                max_fee_per_gas: 2_000_000_000,
                to: TxKind::Call(clearer),
                input: input.into(),
                ..Default::default()
            }));
            let built = chain.block(&[(tx, ALICE)]);
            assert!(built.receipts[0].success);
            for slot in 0..count {
                let left = built.state.storage(&clearer, U256::from(slot)).unwrap();
                assert_eq!(left.is_zero(), slot < removed, "{slot} of {count}, {removed} removed");
            }
        }
    }
}

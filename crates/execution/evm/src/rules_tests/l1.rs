//! Blobs, system calls and forks of Ethereum.

use super::*;

#[test]
fn an_l1_block_carries_blobs_and_prices_them() {
    let mut chain = Chain::l1(&["shanghaiTime", "cancunTime", "pragueTime"]);
    let blobs = |nonce, count: u8| {
        TxEnvelope::Eip4844(sign(TxEip4844 {
            chain_id: 900,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 2_000_000_000,
            to: BOB,
            blob_versioned_hashes: (0..count)
                .map(|n| {
                    let mut hash = B256::repeat_byte(n);
                    hash[0] = 1;
                    hash
                })
                .collect(),
            max_fee_per_blob_gas: 1_000,
            ..Default::default()
        }))
    };
    let mut excess = 0;
    for block in 0..3 {
        let mut executor = chain.executor();
        executor.transact(&blobs(block, 9), ALICE).unwrap();
        let error = executor.transact(&blobs(block + 1, 1), ALICE).unwrap_err();
        assert_eq!(error, TxError::BlobGas { needed: DATA_GAS_PER_BLOB, available: 0 });
        let built = executor.finish().unwrap();
        let header = built.block.header();
        assert_eq!(header.blob_gas_used, Some(9 * DATA_GAS_PER_BLOB));
        assert_eq!(header.excess_blob_gas, Some(excess));
        // Three blobs above the target of six.
        excess += 3 * DATA_GAS_PER_BLOB;
        chain.verify(&built.block.block, &[ALICE]).unwrap();
        chain.advance(built);
    }
    assert_eq!(next_excess_blob_gas(&chain.spec, chain.head.header(), 100), Some(excess));
}

#[test]
fn an_l1_block_makes_its_system_calls_and_withdrawals() {
    let chain = Chain::l1(&["shanghaiTime", "cancunTime", "pragueTime"]);
    let mut attributes = chain.attributes();
    attributes.withdrawals =
        Some(alloc::vec![Withdrawal { index: 0, validator_index: 1, address: BOB, amount: 5 }]);
    let mut executor = chain.begin(&attributes);
    // A withdrawal request: public key of 48 bytes and amount of 8, with a fee of 1 wei.
    let mut request = alloc::vec![0x42; 48];
    request.extend_from_slice(&7_u64.to_be_bytes());
    let tx = TxEnvelope::Eip1559(sign(TxEip1559 {
        chain_id: 900,
        gas_limit: 200_000,
        max_fee_per_gas: 2_000_000_000,
        to: TxKind::Call(eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS),
        value: U256::from(1),
        input: request.into(),
        ..Default::default()
    }));
    assert!(executor.transact(&tx, ALICE).unwrap().success);
    let block = executor.finish().unwrap();
    assert_eq!(balance(&block.state, BOB), U256::from(5_000_000_000_u64));
    assert_eq!(block.requests.len(), 1);
    // Type, sender, public key, amount.
    assert_eq!((block.requests[0][0], block.requests[0].len()), (1, 1 + 20 + 48 + 8));
    assert_eq!(&block.requests[0][1..21], ALICE.as_slice());
    let header = block.block.header();
    assert_eq!(header.requests_hash, Some(crate::requests::hash(&block.requests)));
    // The parent's hash stands in the history contract, the beacon root in its own.
    let history = block.state.storage(&HISTORY_STORAGE, U256::ZERO).unwrap();
    assert_eq!(B256::from(history), chain.head.hash);
    let root = block.state.storage(&BEACON_ROOTS, U256::from(2 + 8191)).unwrap();
    assert_eq!(B256::from(root), B256::repeat_byte(7));
    chain.verify(&block.block.block, &[ALICE]).unwrap();
}

#[test]
fn an_l1_without_its_system_contracts_is_told_so() {
    let config = json!({"chainId": 900, "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0});
    let chain = Chain::new(config, alloc(), "0x");
    let error = chain.executor().finish().unwrap_err();
    assert!(matches!(error, BlockError::SystemContract { .. }), "{error}");
}

#[test]
fn a_contract_destroyed_before_cancun_is_gone_and_can_be_paid() {
    // SELFDESTRUCT to the zero address; slot 1 holds a value.
    let doomed = address!("00000000000000000000000000000000000c0de4");
    let mut genesis_alloc = alloc();
    genesis_alloc[doomed.to_string()] = json!({"balance": "0x1", "code": "0x6000ff",
        "storage": {B256::with_last_byte(1).to_string(): B256::with_last_byte(2)}});
    let config = json!({"chainId": 900, "shanghaiTime": 0});
    let chain = Chain::new(config, genesis_alloc, "0x");
    let pay = |nonce, value: u64| {
        let tx = TxLegacy {
            chain_id: Some(900),
            nonce,
            gas_price: 2_000_000_000,
            gas_limit: 100_000,
            to: TxKind::Call(doomed),
            value: U256::from(value),
            ..Default::default()
        };
        (TxEnvelope::Legacy(sign(tx)), ALICE)
    };
    let gone = chain.block(&[pay(0, 0)]);
    assert!(gone.state.account(&doomed).unwrap().is_none());
    let paid = chain.block(&[pay(0, 0), pay(1, 5)]);
    let account = paid.state.account(&doomed).unwrap().unwrap();
    assert_eq!(account.balance, U256::from(5));
    assert_eq!(account.storage_root(), Some(alloy_trie::EMPTY_ROOT_HASH));
    assert_eq!(paid.state.code(&doomed).unwrap(), Bytes::new());
}

//! Calls without a block, and blocks of calls.

use core::cell::Cell;

use super::*;

fn with_code(code: &[u8]) -> StateOverrides {
    let code = AccountOverride { code: Some(Bytes::copy_from_slice(code)), ..Default::default() };
    StateOverrides::from_iter([(BOB, code)])
}

#[test]
fn a_call_that_runs_too_long_is_stopped() {
    let chain = Chain::l2(Hardfork::Karst, &fee_slots());
    let header = chain.block(&[]).block.header().clone();
    // Loops for ever; calls itself for ever.
    for code in [&hex!("5b600056")[..], &hex!("5f5f5f5f5f305af15f5f5f5f5f305af1")] {
        let overrides = with_code(code);
        let state = OverriddenState::new(&chain.spec, 1, &chain.state, &overrides).unwrap();
        let asked = Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() > 3
        };
        let block = CallBlock { stop: Some(&stop), ..call_block(&chain, &header, &state) };
        let request = CallRequest { to: Some(BOB), gas: Some(u64::MAX / 2), ..Default::default() };
        assert_eq!(block.call(&request), Err(CallError::Stopped));
        assert_eq!(asked.get(), 4);
    }
}

#[test]
fn an_access_list_holds_what_is_cold() {
    let chain = Chain::l2(Hardfork::Karst, &fee_slots());
    let header = chain.block(&[]).block.header().clone();
    // SLOAD of slot 5, BALANCE of 0x77, BALANCE of the caller, a call of 0x88, SSTORE to slot 6.
    let code = &hex!("60055450607731503331505f5f5f5f5f60885af15060016006555000");
    let state = OverriddenState::new(&chain.spec, header.timestamp, &chain.state, &with_code(code))
        .unwrap();
    let request = CallRequest { from: ALICE, to: Some(BOB), ..Default::default() };
    let (list, result) = call_block(&chain, &header, &state).access_list(&request).unwrap();
    let item = |address, keys: &[u8]| alloy_eips::eip2930::AccessListItem {
        address,
        storage_keys: keys.iter().map(|key| B256::with_last_byte(*key)).collect(),
    };
    let last_byte = |byte| Address::with_last_byte(byte);
    assert_eq!(
        list.0,
        [item(last_byte(0x77), &[]), item(last_byte(0x88), &[]), item(BOB, &[5, 6])]
    );
    let listed = CallRequest { access_list: Some(list), ..request };
    let again = call_block(&chain, &header, &state).call(&listed).unwrap();
    assert_eq!(again.tx_gas_used(), result.tx_gas_used());
}

#[test]
fn precompiles_can_be_moved() {
    let chain = Chain::l2(Hardfork::Karst, &fee_slots());
    let header = chain.block(&[]).block.header().clone();
    let identity = Address::with_last_byte(4);
    let moved = AccountOverride { move_precompile_to: Some(BOB), ..Default::default() };
    let overrides = StateOverrides::from_iter([(identity, moved.clone())]);
    let data = bytes!("c0ffee");
    let at = |to| CallRequest { to: Some(to), data: data.clone(), ..Default::default() };
    let run = |to, overrides| call(&chain, &header, &at(to), overrides).unwrap();
    assert_eq!(run(BOB, &overrides).output(), Some(&data));
    assert_eq!(run(identity, &overrides).output(), Some(&Bytes::new()));
    assert_eq!(run(identity, &StateOverrides::default()).output(), Some(&data));
    let refused = |overrides: StateOverrides| match call(&chain, &header, &at(BOB), &overrides) {
        Err(CallError::Request(text)) => text,
        other => panic!("{other:?}"),
    };
    let text = refused(StateOverrides::from_iter([(ALICE, moved.clone())]));
    assert!(text.ends_with("is not a precompile"), "{text}");
    let itself = StateOverrides::from_iter([(BOB, moved.clone())]);
    assert!(refused(itself).ends_with("is not a precompile"));
    // Nothing is written for it, and gas is asked for by where precompiles belong.
    let state = OverriddenState::new(&chain.spec, 1, &chain.state, &overrides).unwrap();
    assert_eq!(state.state.root(), chain.state.root());
    assert!(state.precompiles.warm().contains(&identity));
    assert!(!state.precompiles.warm().contains(&BOB));
    let both = StateOverrides::from_iter([(identity, moved), (BOB, AccountOverride::default())]);
    assert!(refused(both).ends_with("is already overridden"));
}

#[test]
fn simulated_blocks_follow_each_other_and_show_transfers() {
    let chain = Chain::l2(Hardfork::Karst, &fee_slots());
    let none = StateOverrides::default();
    let state = OverriddenState::new(&chain.spec, 1, &chain.state, &none).unwrap();
    let input = BlockInput {
        timestamp: chain.head.header().timestamp + 12,
        beneficiary: MINER,
        prev_randao: B256::ZERO,
        gas_limit: 30_000_000,
        extra_data: Bytes::new(),
        parent_beacon_block_root: Some(B256::ZERO),
        withdrawals: Some(Vec::new()),
    };
    let simulation = Simulation {
        base_fee: 0,
        blob_base_fee: None,
        validation: false,
        trace_transfers: true,
        stop: None,
    };
    let parent = Parent::from(&chain.head);
    let mut block =
        BlockExecutor::simulate(&chain.spec, parent, input, &state, &no_hashes, simulation)
            .unwrap();
    let nonce = block.nonce(ALICE).unwrap();
    let request = CallRequest {
        from: ALICE,
        to: Some(STORES),
        value: U256::from(7),
        gas: Some(100_000),
        nonce: Some(nonce),
        ..Default::default()
    };
    let tx = TxEip1559 {
        chain_id: 901,
        nonce,
        gas_limit: 100_000,
        to: TxKind::Call(STORES),
        value: U256::from(7),
        ..Default::default()
    };
    let unsigned = Signature::new(U256::ZERO, U256::ZERO, false);
    let tx = TxEnvelope::Eip1559(Signed::new_unhashed(tx, unsigned));
    let result = block.simulate_call(&request, &tx).unwrap();
    assert!(result.is_success());
    let log = &result.logs()[0];
    assert_eq!(log.address, TRANSFER_LOG_ADDRESS);
    assert_eq!(log.topics()[1..], [ALICE.into_word(), STORES.into_word()]);
    assert_eq!(log.data.data, Bytes::from(U256::from(7).to_be_bytes::<32>()));
    let reverts = CallRequest { to: Some(REVERTS), nonce: Some(nonce + 1), ..request };
    let failed = block.simulate_call(&reverts, &tx).unwrap();
    assert!(!failed.is_success() && failed.logs().is_empty());
    assert_eq!(block.nonce(ALICE).unwrap(), nonce + 2);
    let executed = block.finish().unwrap();
    assert_eq!(executed.state.storage(&STORES, U256::ZERO).unwrap(), U256::from(7));
    assert_eq!(executed.receipts[0].logs, []);
    assert_eq!(executed.block.header().state_root, executed.state.root());
    assert_eq!(executed.block.header().base_fee_per_gas, Some(0));
}

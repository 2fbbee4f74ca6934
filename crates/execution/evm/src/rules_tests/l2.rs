//! Deposits, fees and forks of an OP chain.

use super::*;

#[test]
fn a_deposit_mints_transfers_and_pays_nothing() {
    let chain = Chain::l2(Hardfork::Karst, &[]);
    let tx = deposit(TxKind::Call(ALICE), 5, 3, 50_000);
    let block = chain.block(&[(tx.into(), BOB)]);
    let receipt = &block.receipts[0];
    assert!(receipt.success);
    assert_eq!(receipt.cumulative_gas_used, 21_000);
    assert_eq!((receipt.deposit_nonce, receipt.deposit_receipt_version), (Some(0), Some(1)));
    assert_eq!(balance(&block.state, BOB), U256::from(2));
    assert_eq!(balance(&block.state, ALICE), U256::from(10 * ETHER + 3));
    assert_eq!(nonce(&block.state, BOB), 1);
    for vault in [SEQUENCER_FEE_VAULT, BASE_FEE_VAULT, L1_FEE_VAULT, OPERATOR_FEE_VAULT] {
        assert_eq!(balance(&block.state, vault), U256::ZERO);
    }
}

#[test]
fn a_deposit_that_reverts_or_halts_keeps_its_mint() {
    let chain = Chain::l2(Hardfork::Isthmus, &[]);
    for (to, gas_used) in [(REVERTS, 21_000..30_000), (HALTS, 50_000..50_001)] {
        let block = chain.block(&[(deposit(TxKind::Call(to), 5, 3, 50_000).into(), BOB)]);
        assert!(!block.receipts[0].success);
        assert!(gas_used.contains(&block.receipts[0].cumulative_gas_used), "{to}");
        assert_eq!(balance(&block.state, BOB), U256::from(5));
        assert_eq!(nonce(&block.state, BOB), 1);
    }
}

#[test]
fn an_invalid_deposit_is_included_as_failed_and_uses_its_gas_limit() {
    let chain = Chain::l2(Hardfork::Isthmus, &[]);
    let too_dear = deposit(TxKind::Call(ALICE), 5, 6, 50_000);
    let too_little_gas = deposit(TxKind::Call(ALICE), 5, 0, 20_999);
    let mut system = deposit(TxKind::Call(ALICE), 5, 0, 50_000);
    system.is_system_transaction = true;
    for tx in [too_dear, too_little_gas, system] {
        let gas_limit = tx.gas_limit;
        let block = chain.block(&[(tx.into(), BOB)]);
        assert!(!block.receipts[0].success);
        assert_eq!(block.receipts[0].cumulative_gas_used, gas_limit);
        assert_eq!(block.receipts[0].deposit_nonce, Some(0));
        assert_eq!(balance(&block.state, BOB), U256::from(5));
        assert_eq!(nonce(&block.state, BOB), 1);
    }
}

#[test]
fn a_deposit_creates_a_contract_at_the_address_of_its_nonce() {
    let chain = Chain::l2(Hardfork::Jovian, &[]);
    let mut tx = deposit(TxKind::Create, 0, 0, 200_000);
    // Returns one byte of code.
    tx.input = bytes!("600160005360016000f3");
    let mut executor = chain.executor();
    executor.transact(&deposit(TxKind::Call(ALICE), 0, 0, 21_000).into(), BOB).unwrap();
    let outcome = executor.transact(&tx.into(), BOB).unwrap();
    assert_eq!(outcome.created, Some(BOB.create(1)));
    let block = executor.finish().unwrap();
    assert_eq!(block.receipts[1].deposit_nonce, Some(1));
    assert_eq!(nonce(&block.state, BOB), 2);
    assert_eq!(block.state.code(&BOB.create(1)).unwrap(), bytes!("01"));
}

#[test]
fn before_regolith_deposits_are_not_metered() {
    let chain = Chain::l2(Hardfork::Bedrock, &[]);
    let mut system = deposit(TxKind::Call(STORES), 0, 0, 150_000_000);
    system.is_system_transaction = true;
    let user = deposit(TxKind::Call(ALICE), 5, 3, 50_000);
    let block = chain.block(&[(system.into(), BOB), (user.into(), BOB)]);
    assert_eq!(block.receipts[0].cumulative_gas_used, 0);
    assert_eq!(block.receipts[1].cumulative_gas_used, 50_000);
    assert!(
        block.receipts.iter().all(|receipt| receipt.success && receipt.deposit_nonce.is_none())
    );
    // From Regolith on the same deposit is metered, and the nonce stays out of the receipts root.
    let chain = Chain::l2(Hardfork::Regolith, &[]);
    let block = chain.block(&[(deposit(TxKind::Call(ALICE), 5, 3, 50_000).into(), BOB)]);
    assert_eq!(block.receipts[0].cumulative_gas_used, 21_000);
    assert_eq!(block.receipts[0].deposit_nonce, Some(0));
    assert_eq!(block.receipts[0].deposit_receipt_version, None);
}

#[test]
fn fees_go_to_the_vaults_and_nothing_is_lost() {
    for (fork, operator_fee) in [
        (Hardfork::Holocene, 0_u64),
        (Hardfork::Isthmus, 21_000 * 3 + 77),
        (Hardfork::Jovian, 21_000 * 300_000_000 + 77),
        (Hardfork::Karst, 21_000 * 300_000_000 + 77),
    ] {
        let chain = Chain::l2(fork, &fee_slots());
        let tx = transfer(&chain, 0, 100_000, 1000);
        let block = chain.block(&[(tx.clone(), ALICE)]);
        let base_fee = block.block.header().base_fee_per_gas.unwrap();
        let info = block.l1_fees.unwrap().info(&tx).unwrap();
        // 100 bytes at least, at (16 * 1 gwei * 1,000 + 1 gwei * 2,000) / 1e6 wei each.
        assert!(info.l1_fee >= U256::from(100 * 18_000_000_u64), "{fork}: {}", info.l1_fee);
        assert_eq!(balance(&block.state, L1_FEE_VAULT), info.l1_fee);
        assert_eq!(balance(&block.state, BASE_FEE_VAULT), U256::from(21_000 * base_fee));
        assert_eq!(balance(&block.state, SEQUENCER_FEE_VAULT), U256::from(21_000 * 1_000_000_u64));
        assert_eq!(balance(&block.state, OPERATOR_FEE_VAULT), U256::from(operator_fee));
        let everything = [ALICE, BOB, L1_FEE_VAULT, BASE_FEE_VAULT, MINER, OPERATOR_FEE_VAULT];
        let sum: U256 = everything.into_iter().map(|a| balance(&block.state, a)).sum();
        assert_eq!(sum, U256::from(10 * ETHER), "{fork}");
        assert_eq!(info.operator_fee_scalar.is_some(), fork >= Hardfork::Isthmus);
        assert_eq!(info.da_footprint, (fork >= Hardfork::Jovian).then_some(100 * 400));
    }
}

#[test]
fn the_sender_must_afford_l1_and_operator_fee_of_the_whole_gas_limit() {
    let chain = Chain::l2(Hardfork::Jovian, &fee_slots());
    let tx = transfer(&chain, 0, 30_000, 0);
    let need = U256::from(30_000 * 2_000_000_000_u64) + worst_fees(&chain, &tx);
    // What is missing is one wei.
    let mut executor = chain.executor();
    let poor = transfer_of_all_but(&chain, need - U256::from(1));
    let error = executor.transact(&poor, ALICE).unwrap_err();
    assert!(
        matches!(error, TxError::Invalid(InvalidTransaction::LackOfFundForMaxFee { .. })),
        "{error}"
    );
    executor.transact(&transfer_of_all_but(&chain, need), ALICE).unwrap();
}

fn transfer_of_all_but(chain: &Chain, kept: U256) -> TxEnvelope {
    let value: u128 = (U256::from(10 * ETHER) - kept).to();
    transfer(chain, 0, 30_000, value)
}

/// L1 fee and worst-case operator fee of a transaction with 30,000 gas; its size does not depend on
/// the value, being below the smallest that counts.
fn worst_fees(chain: &Chain, tx: &TxEnvelope) -> U256 {
    let fees = L1FeeParams::at(&chain.spec, 2, &chain.state).unwrap().unwrap();
    fees.info(tx).unwrap().l1_fee + fees.operator_fee(30_000)
}

#[test]
fn jovian_limits_and_records_the_da_footprint() {
    let mut slots = fee_slots();
    slots[3].1[18..20].copy_from_slice(&u16::MAX.to_be_bytes());
    let chain = Chain::l2(Hardfork::Jovian, &slots);
    let mut executor = chain.executor();
    let footprint = 100 * u64::from(u16::MAX);
    let mut nonce = 0;
    let error = loop {
        match executor.transact(&transfer(&chain, nonce, 21_000, 1), ALICE) {
            Ok(_) => nonce += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(nonce, 30_000_000 / footprint);
    assert!(error.does_not_fit(), "{error}");
    let block = executor.finish().unwrap();
    assert_eq!(block.block.header().blob_gas_used, Some(nonce * footprint));
    // More than a sixth of the limit: the base fee rises although little gas was used.
    let header = block.block.header();
    assert!(next_base_fee(&chain.spec, header, 4) > header.base_fee_per_gas.unwrap());
}

#[test]
fn l2_headers_follow_the_forks() {
    let header = |fork| {
        let chain = Chain::l2(fork, &[]);
        (chain.block(&[]).block.header().clone(), chain.state)
    };
    let (bedrock, _) = header(Hardfork::Bedrock);
    assert_eq!((bedrock.withdrawals_root, bedrock.blob_gas_used), (None, None));
    let (canyon, _) = header(Hardfork::Canyon);
    assert_eq!(canyon.withdrawals_root, Some(alloy_trie::EMPTY_ROOT_HASH));
    let (ecotone, _) = header(Hardfork::Ecotone);
    assert_eq!((ecotone.excess_blob_gas, ecotone.requests_hash), (Some(0), None));
    assert_eq!(ecotone.extra_data, Bytes::new());
    let (holocene, _) = header(Hardfork::Holocene);
    assert_eq!(holocene.extra_data, bytes!("00000000fa00000006"));
    let (isthmus, state) = header(Hardfork::Isthmus);
    let root = state.storage_root(&L2_TO_L1_MESSAGE_PASSER).unwrap();
    assert_eq!(isthmus.withdrawals_root, Some(root));
    assert_ne!(root, alloy_trie::EMPTY_ROOT_HASH);
    assert_eq!(
        isthmus.requests_hash,
        Some(b256!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))
    );
    let (jovian, _) = header(Hardfork::Jovian);
    assert_eq!(jovian.extra_data, bytes!("01000000fa000000060000000000000000"));
}

#[test]
fn attributes_must_fit_the_fork() {
    let chain = Chain::l2(Hardfork::Isthmus, &[]);
    let good = chain.attributes();
    let parent = chain.head.header();
    let input = |attributes: &PayloadAttributes| {
        BlockInput::from_attributes(&chain.spec, parent, attributes)
    };
    assert!(input(&good).is_ok());
    let missing = PayloadAttributes { eip1559_params: None, ..good.clone() };
    assert_eq!(input(&missing), Err(InputError::Missing("eip1559Params")));
    let unexpected = PayloadAttributes { min_base_fee: Some(1), ..good.clone() };
    assert_eq!(input(&unexpected), Err(InputError::Unexpected("minBaseFee")));
    let no_limit = PayloadAttributes { gas_limit: None, ..good.clone() };
    assert_eq!(input(&no_limit), Err(InputError::Missing("gasLimit")));
    let limit = |gas_limit| PayloadAttributes { gas_limit: Some(gas_limit), ..good.clone() };
    // As much as a header may have; who verifies the block would refuse more.
    assert!(input(&limit(i64::MAX as u64)).is_ok());
    assert_eq!(input(&limit(1 << 63)), Err(InputError::GasLimit(1 << 63)));
    let half = PayloadAttributes { eip1559_params: Some(B64::with_last_byte(1)), ..good.clone() };
    assert!(matches!(input(&half), Err(InputError::Fees(_))));
    let early = PayloadAttributes { timestamp: parent.timestamp, ..good };
    assert!(matches!(input(&early), Err(InputError::Timestamp { .. })));
}

#[test]
fn karst_caps_gas_of_transactions_but_not_of_deposits() {
    let over = 16_777_217;
    let chain = Chain::l2(Hardfork::Karst, &[]);
    let mut executor = chain.executor();
    executor.transact(&deposit(TxKind::Call(ALICE), 0, 0, over).into(), BOB).unwrap();
    let error = executor.transact(&transfer(&chain, 0, over, 1), ALICE).unwrap_err();
    let capped = InvalidTransaction::TxGasLimitGreaterThanCap { gas_limit: over, cap: over - 1 };
    assert_eq!(error, TxError::Invalid(capped));
    let chain = Chain::l2(Hardfork::Jovian, &[]);
    chain.executor().transact(&transfer(&chain, 0, over, 1), ALICE).unwrap();
}

#[test]
fn a_deposit_beyond_the_cap_can_use_all_its_gas() {
    let chain = Chain::l2(Hardfork::Karst, &[]);
    let all = chain.block(&[(deposit(TxKind::Call(HALTS), 0, 0, 20_000_000).into(), BOB)]);
    assert_eq!(all.receipts[0].cumulative_gas_used, 20_000_000);
    // Init code that stores the gas that is left.
    let mut tx = deposit(TxKind::Create, 0, 0, 20_000_000);
    tx.input = bytes!("5a600055");
    let block = chain.block(&[(tx.into(), BOB)]);
    assert!(block.receipts[0].success);
    let gas = block.state.storage(&BOB.create(0), U256::ZERO).unwrap();
    assert!(gas > U256::from(19_900_000), "{gas}");
    assert!(block.receipts[0].cumulative_gas_used < 100_000);
}

#[test]
fn init_code_of_deposits_has_no_limit() {
    for fork in [Hardfork::Canyon, Hardfork::Karst] {
        let chain = Chain::l2(fork, &[]);
        let mut tx = deposit(TxKind::Create, 5, 3, 5_000_000);
        tx.input = alloc::vec![0; 49_153].into();
        let block = chain.block(&[(tx.into(), BOB)]);
        assert!(block.receipts[0].success, "{fork}");
        assert_eq!(balance(&block.state, BOB.create(0)), U256::from(3));
    }
}

#[test]
fn state_that_is_missing_is_not_the_blocks_fault() {
    let chain = Chain::l2(Hardfork::Regolith, &[]);
    let block = chain.block(&[(deposit(TxKind::Call(ALICE), 5, 3, 50_000).into(), BOB)]).block;
    let nothing = State::from_root(chain.state.root(), alloc::sync::Arc::new(NoSource));
    let parent = (&chain.head).into();
    let error = execute_block(&chain.spec, parent, &block.block, &[BOB], &nothing, &no_hashes);
    assert!(matches!(error, Err(BlockError::State(StateError::MissingNode(_)))), "{error:?}");
}

/// A call to `STORES` with this value, which it keeps in slot 0.
fn store(chain: &Chain, nonce: u64, value: u64) -> (TxEnvelope, Address) {
    let tx = TxEip1559 {
        chain_id: chain.spec.chain_id,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1_000_000,
        to: TxKind::Call(STORES),
        value: U256::from(value),
        ..Default::default()
    };
    (TxEnvelope::Eip1559(sign(tx)), ALICE)
}

#[test]
fn the_operator_fee_is_for_gas_after_refunds() {
    for fork in [Hardfork::Isthmus, Hardfork::Karst] {
        let chain = Chain::l2(fork, &fee_slots());
        let block = chain.block(&[store(&chain, 0, 7), store(&chain, 1, 0)]);
        let first = block.receipts[0].cumulative_gas_used;
        let second = block.receipts[1].cumulative_gas_used - first;
        // 21,000, two pushes of 5 gas, SSTORE of a cold slot for 5,000; 4,800 come back.
        assert_eq!(second, 21_000 + 5 + 5_000 - 4_800);
        let fees = block.l1_fees.unwrap();
        let expected = fees.operator_fee(first) + fees.operator_fee(second);
        assert_eq!(balance(&block.state, OPERATOR_FEE_VAULT), expected);
        let everything = [ALICE, STORES, L1_FEE_VAULT, BASE_FEE_VAULT, MINER, OPERATOR_FEE_VAULT];
        let sum: U256 = everything.into_iter().map(|a| balance(&block.state, a)).sum();
        assert_eq!(sum, U256::from(10 * ETHER), "{fork}");
    }
}

#[test]
fn an_authority_that_was_only_touched_does_not_exist() {
    // Whoever this signature is of: a fresh account.
    let authorization = Authorization { chain_id: U256::from(901), address: STORES, nonce: 0 };
    let signed = SignedAuthorization::new_unchecked(authorization, 0, U256::ONE, U256::ONE);
    let authority = signed.recover_authority().unwrap();
    for fork in [Hardfork::Isthmus, Hardfork::Karst] {
        let chain = Chain::l2(fork, &fee_slots());
        let gas = |first: Address, value: u64| {
            let call = TxEip1559 {
                chain_id: 901,
                gas_limit: 100_000,
                max_fee_per_gas: 2_000_000_000,
                to: TxKind::Call(first),
                value: U256::from(value),
                ..Default::default()
            };
            let set_code = TxEip7702 {
                chain_id: 901,
                nonce: 1,
                gas_limit: 100_000,
                max_fee_per_gas: 2_000_000_000,
                to: BOB,
                authorization_list: alloc::vec![signed.clone()],
                ..Default::default()
            };
            let block = chain.block(&[
                (TxEnvelope::Eip1559(sign(call)), ALICE),
                (TxEnvelope::Eip7702(sign(set_code)), ALICE),
            ]);
            assert_eq!(nonce(&block.state, authority), 1);
            block.receipts[1].cumulative_gas_used - block.receipts[0].cumulative_gas_used
        };
        // A base cost of 25,000 for the authority, half of which comes back when it exists; no
        // more than a fifth of all gas does.
        assert_eq!(gas(BOB, 0), 46_000, "{fork}");
        assert_eq!(gas(authority, 0), 46_000, "{fork}");
        assert_eq!(gas(authority, 1), 46_000 - 46_000 / 5, "{fork}");
    }
}

#[test]
fn the_withdrawals_root_is_that_after_the_block() {
    let mut chain = Chain::l2(Hardfork::Isthmus, &fee_slots());
    // A message passer that keeps the call's value in slot 1.
    let code = crate::state::bytecode(bytes!("34600155"));
    let info = revm::state::AccountInfo {
        nonce: 1,
        code_hash: code.hash_slow(),
        code: Some(code),
        ..Default::default()
    };
    let slots = core::iter::empty();
    chain.state.set_account(&L2_TO_L1_MESSAGE_PASSER, info, false, slots).unwrap();
    chain.state.commit().unwrap();
    let before = chain.state.storage_root(&L2_TO_L1_MESSAGE_PASSER).unwrap();
    let tx = deposit(TxKind::Call(L2_TO_L1_MESSAGE_PASSER), 9, 9, 100_000);
    let block = chain.block(&[(tx.into(), BOB)]);
    let root = block.block.header().withdrawals_root.unwrap();
    assert_ne!(root, before);
    assert_eq!(root, block.state.storage_root(&L2_TO_L1_MESSAGE_PASSER).unwrap());
}

#[test]
fn the_first_ecotone_block_is_priced_by_bedrock() {
    let size = l1_fee::DataSize { zeros: 10, nonzeros: 90, fastlz: 0 };
    let read = |slots: &[(u64, u64)]| {
        L1FeeParams::read(Hardfork::Ecotone, |slot| {
            let found = slots.iter().find(|(at, _)| U256::from(*at) == slot);
            Ok::<_, StateError>(U256::from(found.map_or(0, |(_, value)| *value)))
        })
        .unwrap()
    };
    // Base fee, overhead and scalar; nothing in the slots that Ecotone brought.
    let first = read(&[(1, 1_000_000), (5, 188), (6, 684_000)]);
    let gas = 10 * 4 + 90 * 16 + 188;
    assert_eq!(first.l1_cost(&size), U256::from(gas * 684_000));
    // A blob base fee without scalars is a chain that charges nothing.
    let free = read(&[(1, 1_000_000), (5, 188), (6, 684_000), (7, 1)]);
    assert_eq!(free.l1_cost(&size), U256::ZERO);
}

#[test]
fn the_base_fee_never_falls_below_the_lowest() {
    let chain = Chain::l2(Hardfork::Jovian, &[]);
    let mut header = chain.head.header().clone();
    header.extra_data = bytes!("01000000fa00000006000000012a05f200");
    assert_eq!(next_base_fee(&chain.spec, &header, 2), 5_000_000_000);
    header.base_fee_per_gas = Some(6_000_000_000);
    // An empty block: a 250th less.
    assert_eq!(next_base_fee(&chain.spec, &header, 2), 5_976_000_000);
    // Full by its data alone: five targets too much.
    header.blob_gas_used = Some(header.gas_limit);
    assert_eq!(next_base_fee(&chain.spec, &header, 2), 6_120_000_000);
}

#[test]
fn karst_brings_osaka() {
    // CLZ of 1, returned as a word.
    let clz = CallRequest { data: bytes!("60011e60005260206000f3"), ..Default::default() };
    // MODEXP of nothing: 200 gas, then 500. P256VERIFY of nothing: 3,450 gas, then 6,900.
    let precompile = |address: u64, gas: u64| CallRequest {
        to: Some(Address::left_padding_from(&address.to_be_bytes())),
        gas: Some(21_000 + gas),
        ..Default::default()
    };
    for (fork, modexp, p256) in [(Hardfork::Jovian, 200, 3_450), (Hardfork::Karst, 500, 6_900)] {
        let chain = Chain::l2(fork, &[]);
        let header = chain.block(&[]).block.header().clone();
        let run = |request: &CallRequest| {
            call(&chain, &header, request, &StateOverrides::default()).unwrap()
        };
        let karst = fork == Hardfork::Karst;
        assert_eq!(run(&clz).is_success(), karst);
        if karst {
            let word = Bytes::from(U256::from(255).to_be_bytes::<32>());
            assert_eq!(run(&clz).output(), Some(&word));
        }
        for (address, price) in [(5, modexp), (0x100, p256)] {
            assert!(run(&precompile(address, price)).is_success(), "{fork}");
            assert!(!run(&precompile(address, price - 1)).is_success(), "{fork}");
        }
    }
}

#[test]
fn canyon_deploys_the_create2_deployer_in_its_first_block_only() {
    let mut chain = Chain::l2(Hardfork::Regolith, &[]);
    let Rules::L2(rules) = &mut chain.spec.rules else { unreachable!() };
    rules.schedule.set(Hardfork::Canyon, Some(4));
    let before = chain.block(&[]);
    assert_eq!(before.state.code(&CREATE2_DEPLOYER).unwrap(), Bytes::new());
    chain.advance(before);
    let first = chain.block(&[]);
    let code = first.state.code(&CREATE2_DEPLOYER).unwrap();
    assert_eq!(
        keccak256(&code),
        b256!("b0550b5b431e30d38000efb7107aaa0ade03d48a7198a140edda9d27134468b2")
    );
}

#[test]
fn blob_base_fee_is_one_on_an_op_chain() {
    let chain = Chain::l2(Hardfork::Ecotone, &[]);
    // BLOBBASEFEE, returned as a word.
    let request = CallRequest { data: bytes!("4a60005260206000f3"), ..Default::default() };
    let header = chain.block(&[]).block.header().clone();
    let result = call(&chain, &header, &request, &StateOverrides::default()).unwrap();
    assert_eq!(result.output().unwrap(), &Bytes::from(U256::ONE.to_be_bytes::<32>()));
}

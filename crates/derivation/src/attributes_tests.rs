//! Rules of payload attributes, each once kept and once broken. What upgrades add is in
//! `upgrades` of opal-protocol and in the tests beside it. Spec: derivation.md, "Deriving Payload
//! Attributes".
#![allow(clippy::unwrap_used)]

use alloc::vec;

use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B64, Bloom, U256};
use opal_protocol::deposit::{DepositSource, encode_deposit_log};
use opal_protocol::l1_info::{L1BlockInfo, L1InfoForm};
use opal_protocol::system_config::CONFIG_UPDATE;
use opal_protocol::{DepositTransaction, TxEnvelope, TxType};

use super::*;
use crate::test_utils::{config_at, tx};

const ORIGIN: u64 = 10;

fn hash(number: u64) -> B256 {
    B256::repeat_byte(number as u8)
}

/// L1 block 10 or 11, at time 120 or 132, with these receipts.
fn epoch(config: &RollupConfig, number: u64, receipts: &[Receipt]) -> EpochData {
    EpochData::new(config, hash(number), header(number), receipts)
}

fn header(number: u64) -> Header {
    Header {
        number,
        parent_hash: hash(number - 1),
        timestamp: 12 * number,
        mix_hash: B256::repeat_byte(7),
        parent_beacon_block_root: Some(B256::repeat_byte(8)),
        base_fee_per_gas: Some(5),
        ..Header::default()
    }
}

fn receipt(success: bool, logs: Vec<Log>) -> Receipt {
    Receipt {
        tx_type: TxType::Eip1559,
        success,
        cumulative_gas_used: 0,
        logs,
        deposit_nonce: None,
        deposit_receipt_version: None,
    }
}

/// The sixth block of epoch 10, at time 130.
fn parent() -> L2BlockRef {
    L2BlockRef {
        hash: B256::repeat_byte(0x50),
        number: 50,
        timestamp: 130,
        l1_origin: BlockId { hash: hash(ORIGIN), number: ORIGIN },
        sequence_number: 5,
        ..L2BlockRef::default()
    }
}

fn system_config() -> SystemConfig {
    let mut scalar = B256::ZERO;
    scalar[0] = 1;
    SystemConfig {
        batcher_address: Address::repeat_byte(0xba),
        gas_limit: 60_000_000,
        scalar,
        eip1559_params: B64::new([0, 0, 0, 50, 0, 0, 0, 6]),
        min_base_fee: 77,
        ..SystemConfig::default()
    }
}

fn build_on(
    config: &RollupConfig,
    parent: &L2BlockRef,
    epoch: &EpochData,
    transactions: &[Bytes],
) -> Result<PayloadAttributes, AttributesError> {
    build_attributes(config, parent, &system_config(), epoch, transactions)
}

fn build_with(fork: Hardfork, number: u64, receipts: &[Receipt]) -> PayloadAttributes {
    let config = config_at(fork);
    build_on(&config, &parent(), &epoch(&config, number, receipts), &[]).unwrap()
}

fn deposits(attributes: &PayloadAttributes) -> Vec<DepositTransaction> {
    let deposit = |raw: &Bytes| match TxEnvelope::decode_2718(&mut raw.as_ref()) {
        Ok(TxEnvelope::Deposit(tx)) => Some(tx.into_inner()),
        _ => None,
    };
    attributes.transactions.iter().flatten().filter_map(deposit).collect()
}

fn l1_info(attributes: &PayloadAttributes) -> L1BlockInfo {
    L1BlockInfo::decode(&deposits(attributes)[0].input).unwrap()
}

fn deposit_log(config: &RollupConfig, value: u64) -> Log {
    let deposit =
        DepositTransaction { value: U256::from(value), gas_limit: 21_000, ..Default::default() };
    encode_deposit_log(config.deposit_contract_address, &deposit)
}

/// "Deriving the Transaction List": L1 attributes, then deposits, then the batch.
#[test]
fn transactions_stand_in_their_order() {
    let config = config_at(Hardfork::Granite);
    let receipts = [receipt(true, vec![deposit_log(&config, 1), deposit_log(&config, 2)])];
    let batch = [tx(2), tx(1)];
    let attributes = build_on(&config, &parent(), &epoch(&config, 11, &receipts), &batch).unwrap();
    let all = attributes.transactions.clone().unwrap();
    assert_eq!(all.len(), 5);
    assert_eq!(all[3..], batch);
    let deposits = deposits(&attributes);
    assert_eq!(deposits[0].to.to(), Some(&opal_protocol::predeploys::L1_BLOCK));
    let source = |log_index| DepositSource::User { l1_block_hash: hash(11), log_index }.hash();
    let found: Vec<_> = deposits[1..].iter().map(|d| (d.value, d.source_hash)).collect();
    assert_eq!(found, [(U256::from(1), source(0)), (U256::from(2), source(1))]);
}

/// "Deriving the Transaction List": deposits come in the first block of their epoch.
#[test]
fn deposits_come_in_the_first_block_of_their_epoch_only() {
    let config = config_at(Hardfork::Granite);
    let receipts = [receipt(true, vec![deposit_log(&config, 1)])];
    assert_eq!(deposits(&build_with(Hardfork::Granite, 11, &receipts)).len(), 2);
    assert_eq!(deposits(&build_with(Hardfork::Granite, 10, &receipts)).len(), 1);
}

/// deposits.md, "User-Deposited Transactions": of this portal, in transactions that succeeded.
#[test]
fn deposits_of_failed_transactions_and_other_contracts_do_not_count() {
    let config = config_at(Hardfork::Granite);
    let good = deposit_log(&config, 1);
    let mut other = good.clone();
    other.address = Address::ZERO;
    let count = |receipt| deposits(&build_with(Hardfork::Granite, 11, &[receipt])).len() - 1;
    assert_eq!(count(receipt(true, vec![good.clone()])), 1);
    assert_eq!(count(receipt(false, vec![good])), 0);
    assert_eq!(count(receipt(true, vec![other])), 0);
}

/// TRAPS "Bloom false positives": a block whose bloom matches the portal may hold no deposit.
#[test]
fn the_bloom_filter_is_not_taken_for_a_deposit() {
    let config = config_at(Hardfork::Granite);
    let mut header = header(11);
    header.logs_bloom = Bloom::repeat_byte(0xff);
    for (logs, count) in [(vec![], 0), (vec![deposit_log(&config, 1)], 1)] {
        let epoch = EpochData::new(&config, hash(11), header.clone(), &[receipt(true, logs)]);
        let attributes = build_on(&config, &parent(), &epoch, &[]).unwrap();
        assert_eq!(deposits(&attributes).len(), 1 + count);
    }
}

/// Deposits may not be skipped: one that is malformed is critical, in the block that needs it.
#[test]
fn a_malformed_deposit_is_critical() {
    let config = config_at(Hardfork::Granite);
    let mut log = deposit_log(&config, 1);
    log.data.data = log.data.data.slice(..64);
    let epoch_with = |number| epoch(&config, number, &[receipt(true, vec![log.clone()])]);
    let error = build_on(&config, &parent(), &epoch_with(11), &[]).unwrap_err();
    assert!(matches!(error, AttributesError::Deposit { .. }) && !error.needs_reset());
    assert!(build_on(&config, &parent(), &epoch_with(10), &[]).is_ok());
}

/// deposits.md, "L1 Attributes Deposited Transaction": the sequence number counts in the epoch.
#[test]
fn the_sequence_number_counts_from_zero_in_each_epoch() {
    assert_eq!(l1_info(&build_with(Hardfork::Granite, 10, &[])).sequence_number, 6);
    assert_eq!(l1_info(&build_with(Hardfork::Granite, 11, &[])).sequence_number, 0);
}

/// "Building Individual Payload Attributes".
#[test]
fn fields_come_from_the_origin_and_the_system_configuration() {
    let attributes = build_with(Hardfork::Bedrock, 11, &[]);
    assert_eq!(attributes.timestamp, 132);
    assert_eq!(attributes.prev_randao, B256::repeat_byte(7));
    assert_eq!(attributes.suggested_fee_recipient, SEQUENCER_FEE_VAULT);
    assert_eq!(attributes.gas_limit, Some(60_000_000));
    assert!(attributes.no_tx_pool);
    let info = l1_info(&attributes);
    assert_eq!((info.number, info.timestamp, info.base_fee), (11, 132, U256::from(5)));
    assert_eq!(info.l1_origin(), BlockId { hash: hash(11), number: 11 });
    assert_eq!(info.batcher_address, Address::repeat_byte(0xba));
}

/// Attributes of the block at 132 when the fork begins at this time.
fn with_fork(fork: Hardfork, time: u64) -> PayloadAttributes {
    let mut config = config_at(fork);
    config.schedule.set(fork, Some(time));
    build_on(&config, &parent(), &epoch(&config, 11, &[]), &[]).unwrap()
}

/// "Building Individual Payload Attributes": by the time of the L2 block.
#[test]
fn withdrawals_are_an_empty_list_from_canyon_on() {
    assert_eq!(with_fork(Hardfork::Canyon, 132).withdrawals, Some(vec![]));
    assert_eq!(with_fork(Hardfork::Canyon, 133).withdrawals, None);
}

/// exec-engine.md, "Extended PayloadAttributes", Ecotone: by the time of the L2 block; zero where L1
/// has none.
#[test]
fn the_beacon_block_root_is_given_from_ecotone_on() {
    // Long active: the first block would carry upgrade transactions, too.
    let root = B256::repeat_byte(8);
    assert_eq!(with_fork(Hardfork::Ecotone, 130).parent_beacon_block_root, Some(root));
    assert_eq!(with_fork(Hardfork::Ecotone, 133).parent_beacon_block_root, None);
    let config = config_at(Hardfork::Granite);
    let mut header = header(11);
    header.parent_beacon_block_root = None;
    let epoch = EpochData::new(&config, hash(11), header, &[]);
    let attributes = build_on(&config, &parent(), &epoch, &[]).unwrap();
    assert_eq!(attributes.parent_beacon_block_root, Some(B256::ZERO));
}

/// holocene/derivation.md, "Attributes Builder": by the time of the L2 block. In the activation
/// block they are zero, since no earlier block could hold any.
#[test]
fn eip1559_parameters_are_given_from_holocene_on() {
    let params = system_config().eip1559_params;
    assert_eq!(with_fork(Hardfork::Holocene, 132).eip1559_params, Some(params));
    assert_eq!(with_fork(Hardfork::Holocene, 133).eip1559_params, None);
    // What a block before Holocene leaves of them.
    let mut config = config_at(Hardfork::Holocene);
    config.schedule.set(Hardfork::Holocene, Some(132));
    let after = opal_protocol::l1_info::system_config_after(&config, &system_config(), 130);
    let first = build_attributes(&config, &parent(), &after, &epoch(&config, 10, &[]), &[]);
    assert_eq!(first.unwrap().eip1559_params, Some(B64::ZERO));
}

/// jovian/exec-engine.md, "Minimum Base Fee in PayloadAttributes": by the time of the L2 block.
#[test]
fn the_minimum_base_fee_is_given_from_jovian_on() {
    assert_eq!(with_fork(Hardfork::Jovian, 130).min_base_fee, Some(77));
    assert_eq!(with_fork(Hardfork::Jovian, 133).min_base_fee, None);
}

/// ecotone/, isthmus/, jovian/l1-attributes.md: a fork's form from the block after its first on. (The
/// first itself needs the fork's upgrade transactions.)
#[test]
fn the_l1_attributes_have_the_form_of_the_fork() {
    for (fork, old, new) in [
        (Hardfork::Ecotone, L1InfoForm::Bedrock, L1InfoForm::Ecotone),
        (Hardfork::Isthmus, L1InfoForm::Ecotone, L1InfoForm::Isthmus),
        (Hardfork::Jovian, L1InfoForm::Isthmus, L1InfoForm::Jovian),
    ] {
        assert_eq!(l1_info(&with_fork(fork, 133)).form, old, "{fork}");
        assert_eq!(l1_info(&with_fork(fork, 130)).form, new, "{fork}");
        let mut config = config_at(fork);
        config.schedule.set(fork, Some(132));
        assert_eq!(L1InfoForm::of_block(&config, 132), old, "{fork}");
        assert_eq!(L1InfoForm::of_block(&config, 134), new, "{fork}");
    }
}

/// deposits.md, "L1 Attributes Deposited Transaction": by the time of the L2 block.
#[test]
fn the_l1_attributes_are_a_system_transaction_until_regolith() {
    for (time, gas, system) in [(132, 1_000_000, false), (133, 150_000_000, true)] {
        let attributes = with_fork(Hardfork::Regolith, time);
        let deposit = &deposits(&attributes)[0];
        assert_eq!((deposit.gas_limit, deposit.is_system_transaction), (gas, system));
        let source = DepositSource::L1Info { l1_block_hash: hash(11), sequence_number: 0 };
        assert_eq!(deposit.source_hash, source.hash());
        assert_eq!(deposit.from, opal_protocol::predeploys::L1_INFO_DEPOSITOR);
    }
}

/// system-config.md, "Post-Ecotone Scalar Encoding": whether it is checked is told by the time of the
/// L1 block (132 here), not by that of the L2 block.
#[test]
fn scalars_are_checked_by_the_time_of_the_l1_block() {
    let mut config = config_at(Hardfork::Delta);
    let mut log = config_log(&config, 1, 9);
    let mut data = log.data.data.to_vec();
    (data[63], data[64]) = (64, 0);
    // A scalar of an unknown version.
    data.extend_from_slice(&[2; 32]);
    log.data.data = data.into();
    for (ecotone, skipped) in [(132, 1), (133, 0)] {
        config.schedule.set(Hardfork::Ecotone, Some(ecotone));
        let epoch = epoch(&config, 11, &[receipt(true, vec![log.clone()])]);
        let mut updated = system_config();
        assert_eq!(epoch.update_system_config(&mut updated, &config).len(), skipped);
        assert_eq!(updated.scalar == B256::repeat_byte(2), skipped == 0);
    }
}

/// pectra-blob-schedule/derivation.md: by the time of the L1 origin, and only where it is set.
#[test]
fn the_blob_base_fee_keeps_cancuns_rule_until_the_pectra_fix() {
    let fee = |fix: Option<u64>| {
        let mut config = config_at(Hardfork::Holocene);
        config.pectra_blob_schedule_time = fix;
        let mut header = header(11);
        header.excess_blob_gas = Some(100_000_000);
        header.requests_hash = Some(B256::ZERO);
        let epoch = EpochData::new(&config, hash(11), header, &[]);
        l1_info(&build_on(&config, &parent(), &epoch, &[]).unwrap()).blob_base_fee
    };
    let (cancun, prague) = (fee(Some(133)), fee(None));
    assert!(cancun > prague);
    assert_eq!(fee(Some(132)), prague);
    assert_eq!(fee(Some(0)), prague);
}

fn config_log(config: &RollupConfig, kind: u8, word: u64) -> Log {
    let mut data = vec![0; 96];
    (data[31], data[63]) = (32, 32);
    data[88..].copy_from_slice(&word.to_be_bytes());
    let topics = vec![CONFIG_UPDATE, B256::ZERO, B256::with_last_byte(kind)];
    Log::new_unchecked(config.l1_system_config_address, topics, data.into())
}

/// "Payload Attributes Derivation": updates of an L1 block count from the first L2 block of its
/// epoch on.
#[test]
fn the_system_configuration_changes_with_the_epoch() {
    let config = config_at(Hardfork::Granite);
    let receipts = [receipt(true, vec![config_log(&config, 2, 40_000_000)])];
    let gas_limit = |number| build_with(Hardfork::Granite, number, &receipts).gas_limit;
    assert_eq!(gas_limit(11), Some(40_000_000));
    assert_eq!(gas_limit(10), Some(60_000_000));
}

/// system-config.md, "System Config Updates". TRAPS 10: an update that cannot be parsed is skipped;
/// those before and after it count.
#[test]
fn a_malformed_update_is_skipped_alone() {
    let config = config_at(Hardfork::Granite);
    let bad = [
        config_log(&config, 9, 1),
        {
            let mut log = config_log(&config, 2, 1);
            log.data.data = log.data.data.slice(..64);
            log
        },
        Log::new_unchecked(config.l1_system_config_address, vec![CONFIG_UPDATE], Bytes::new()),
    ];
    let mut logs = vec![config_log(&config, 2, 40_000_000)];
    logs.extend(bad);
    logs.push(config_log(&config, 6, 5));
    let epoch = epoch(&config, 11, &[receipt(true, logs)]);
    let mut updated = system_config();
    assert_eq!(epoch.update_system_config(&mut updated, &config).len(), 3);
    assert_eq!((updated.gas_limit, updated.min_base_fee), (40_000_000, 5));
    let attributes = build_on(&config, &parent(), &epoch, &[]).unwrap();
    assert_eq!(attributes.gas_limit, Some(40_000_000));
}

/// system-config.md: of this contract, in transactions that succeeded.
#[test]
fn updates_of_failed_transactions_and_other_contracts_do_not_count() {
    let config = config_at(Hardfork::Granite);
    let good = config_log(&config, 2, 40_000_000);
    let mut other = good.clone();
    other.address = Address::ZERO;
    let limit = |receipt| build_with(Hardfork::Granite, 11, &[receipt]).gas_limit;
    assert_eq!(limit(receipt(true, vec![good.clone()])), Some(40_000_000));
    assert_eq!(limit(receipt(false, vec![good])), Some(60_000_000));
    assert_eq!(limit(receipt(true, vec![other])), Some(60_000_000));
}

/// The epoch is the parent's or builds on it; otherwise the view of L1 is wrong.
#[test]
fn attributes_need_an_epoch_that_continues_the_parents() {
    let config = config_at(Hardfork::Granite);
    let build = |parent: &L2BlockRef, number| {
        build_on(&config, parent, &epoch(&config, number, &[]), &[]).map(|_| ())
    };
    assert_eq!(build(&parent(), 10), Ok(()));
    assert_eq!(build(&parent(), 11), Ok(()));
    let mut other = parent();
    other.l1_origin.hash = B256::ZERO;
    for (parent, number) in [(parent(), 12), (other, 10), (other, 11)] {
        let error = build(&parent, number).unwrap_err();
        assert!(matches!(error, AttributesError::Origin { .. }) && error.needs_reset());
    }
}

/// derivation.md, "Batch Queue" (the invariant): L2 time is not before that of its origin.
#[test]
fn attributes_are_not_before_their_origin() {
    let config = config_at(Hardfork::Granite);
    let at = |timestamp| {
        let parent = L2BlockRef { timestamp, ..parent() };
        build_on(&config, &parent, &epoch(&config, 11, &[]), &[]).map(|_| ())
    };
    assert_eq!(at(130), Ok(()));
    let error = at(129).unwrap_err();
    assert!(matches!(error, AttributesError::BeforeOrigin { .. }) && error.needs_reset());
}

/// holocene/derivation.md, "Engine Queue": the same fields, and only the deposits.
#[test]
fn deposits_only_attributes_differ_in_their_transactions_alone() {
    let config = config_at(Hardfork::Holocene);
    let receipts = [receipt(true, vec![deposit_log(&config, 1)])];
    let epoch = epoch(&config, 11, &receipts);
    let full = build_on(&config, &parent(), &epoch, &[tx(2), tx(1)]).unwrap();
    assert!(!is_deposits_only(&full));
    let trimmed = deposits_only(&full);
    assert!(is_deposits_only(&trimmed));
    assert_eq!(trimmed, build_on(&config, &parent(), &epoch, &[]).unwrap());
}

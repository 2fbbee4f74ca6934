//! Attributes against the block that they describe, and against blocks with one difference each.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use alloc::vec;

use alloy_consensus::Header;
use alloy_consensus::constants::EMPTY_WITHDRAWALS;
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{B64, B256, Bytes};
use opal_protocol::extra_data::encode_extra_data;
use opal_protocol::upgrades::MissingUpgrade;
use opal_protocol::{
    Block, BlockId, Hardfork, L2BlockRef, PayloadAttributes, RollupConfig, SystemConfig,
    TxEnvelope, l2_block_ref, system_config_of,
};

use crate::consolidate::{Mismatch, attributes_match_block};
use crate::test_utils::config_at;
use crate::{AttributesError, EpochData, build_attributes};

fn epoch(config: &RollupConfig, number: u64) -> EpochData {
    let header = Header {
        number,
        parent_hash: B256::repeat_byte(number as u8 - 1),
        timestamp: 12 * number,
        mix_hash: B256::repeat_byte(7),
        parent_beacon_block_root: Some(B256::repeat_byte(8)),
        base_fee_per_gas: Some(5),
        ..Header::default()
    };
    EpochData::new(config, B256::repeat_byte(number as u8), header, &[])
}

fn parent() -> L2BlockRef {
    L2BlockRef {
        hash: B256::repeat_byte(0x50),
        number: 50,
        timestamp: 130,
        l1_origin: BlockId { hash: B256::repeat_byte(10), number: 10 },
        sequence_number: 5,
        ..L2BlockRef::default()
    }
}

fn system_config() -> SystemConfig {
    let mut scalar = B256::ZERO;
    scalar[0] = 1;
    SystemConfig {
        gas_limit: 60_000_000,
        scalar,
        eip1559_params: B64::new([0, 0, 0, 50, 0, 0, 0, 6]),
        min_base_fee: 77,
        ..SystemConfig::default()
    }
}

fn build(config: &RollupConfig) -> PayloadAttributes {
    build_attributes(config, &parent(), &system_config(), &epoch(config, 11), &[]).unwrap()
}

/// The block that an execution client makes of attributes.
fn block_of(config: &RollupConfig, attributes: &PayloadAttributes) -> Block {
    let isthmus = config.is_active(Hardfork::Isthmus, attributes.timestamp);
    let root = if isthmus { B256::repeat_byte(3) } else { EMPTY_WITHDRAWALS };
    let mut block = Block {
        header: Header {
            parent_hash: parent().hash,
            number: 51,
            timestamp: attributes.timestamp,
            mix_hash: attributes.prev_randao,
            beneficiary: attributes.suggested_fee_recipient,
            gas_limit: attributes.gas_limit.unwrap(),
            parent_beacon_block_root: attributes.parent_beacon_block_root,
            withdrawals_root: attributes.withdrawals.as_ref().map(|_| root),
            extra_data: encode_extra_data(
                config,
                attributes.eip1559_params,
                attributes.min_base_fee,
            ),
            ..Header::default()
        },
        ..Block::default()
    };
    block.body.transactions = attributes
        .transactions
        .iter()
        .flatten()
        .map(|raw| TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap())
        .collect();
    block.body.withdrawals = attributes.withdrawals.clone().map(Into::into);
    block
}

#[test]
fn the_block_of_the_attributes_matches_in_every_fork() {
    for row in opal_protocol::hardfork::TABLE {
        let config = config_at(row.fork);
        let attributes = build(&config);
        let block = block_of(&config, &attributes);
        attributes_match_block(&config, parent().hash, &attributes, &block).unwrap();
        // What the next block is built with can be read back out of this one.
        let reference = l2_block_ref(&config, B256::ZERO, &block).unwrap();
        assert_eq!(reference.l1_origin.number, 11);
        assert_eq!(reference.sequence_number, 0);
        let read = system_config_of(&config, B256::ZERO, &block).unwrap();
        let known = opal_protocol::l1_info::system_config_after(
            &config,
            &system_config(),
            attributes.timestamp,
        );
        assert_eq!(read, known, "{}", row.fork);
    }
}

#[test]
fn one_difference_is_found() {
    let config = config_at(Hardfork::Jovian);
    let attributes = build(&config);
    let check = |change: &dyn Fn(&mut Block)| {
        let mut block = block_of(&config, &attributes);
        change(&mut block);
        attributes_match_block(&config, parent().hash, &attributes, &block).unwrap_err()
    };
    assert!(matches!(check(&|b| b.header.parent_hash = B256::ZERO), Mismatch::Parent { .. }));
    assert!(matches!(check(&|b| b.header.timestamp += 1), Mismatch::Timestamp { .. }));
    assert!(matches!(check(&|b| b.header.mix_hash = B256::ZERO), Mismatch::PrevRandao { .. }));
    assert!(matches!(check(&|b| b.body.transactions.clear()), Mismatch::TransactionCount { .. }));
    assert!(matches!(check(&|b| b.header.gas_limit += 1), Mismatch::GasLimit { .. }));
    assert!(matches!(check(&|b| b.body.withdrawals = None), Mismatch::Withdrawals));
    assert!(matches!(check(&|b| b.header.withdrawals_root = None), Mismatch::WithdrawalsRoot(_)));
    assert!(matches!(
        check(&|b| b.header.parent_beacon_block_root = None),
        Mismatch::ParentBeaconBlockRoot { .. }
    ));
    assert!(matches!(
        check(&|b| b.header.beneficiary = Default::default()),
        Mismatch::FeeRecipient { .. }
    ));
    assert!(matches!(check(&|b| b.header.extra_data = Bytes::new()), Mismatch::ExtraData(_)));
    let extra =
        |params: [u8; 8], fee| encode_extra_data(&config, Some(B64::new(params)), Some(fee));
    assert!(matches!(
        check(&|b| b.header.extra_data = extra([0, 0, 0, 51, 0, 0, 0, 6], 77)),
        Mismatch::Eip1559Params { .. }
    ));
    assert!(matches!(
        check(&|b| b.header.extra_data = extra([0, 0, 0, 50, 0, 0, 0, 6], 78)),
        Mismatch::MinBaseFee { .. }
    ));
    assert!(matches!(
        check(&|b| {
            let TxEnvelope::Deposit(tx) = &b.body.transactions[0] else { panic!() };
            let mut tx = tx.clone().into_inner();
            tx.gas_limit += 1;
            b.body.transactions = vec![tx.into()];
        }),
        Mismatch::Transaction(0)
    ));
}

#[test]
fn zero_parameters_stand_for_the_chains_defaults() {
    let config = config_at(Hardfork::Holocene);
    let mut zero = system_config();
    zero.eip1559_params = B64::ZERO;
    let attributes = build_attributes(&config, &parent(), &zero, &epoch(&config, 11), &[]).unwrap();
    let block = block_of(&config, &attributes);
    assert_eq!(block.header.extra_data[..], [0, 0, 0, 0, 250, 0, 0, 0, 6]);
    attributes_match_block(&config, parent().hash, &attributes, &block).unwrap();
}

#[test]
fn attributes_refuse_an_epoch_that_does_not_follow() {
    let config = config_at(Hardfork::Karst);
    let build = |parent: &L2BlockRef, number| {
        build_attributes(&config, parent, &system_config(), &epoch(&config, number), &[])
    };
    assert!(build(&parent(), 10).is_ok());
    assert!(matches!(build(&parent(), 12), Err(AttributesError::Origin { .. })));
    let mut other = parent();
    other.l1_origin.hash = B256::ZERO;
    assert!(matches!(build(&other, 10), Err(AttributesError::Origin { .. })));
    assert!(matches!(build(&other, 11), Err(AttributesError::Origin { .. })));
    let mut early = parent();
    early.timestamp = 120;
    assert!(matches!(build(&early, 11), Err(AttributesError::BeforeOrigin { .. })));
}

#[test]
fn an_activation_block_without_its_upgrade_transactions_is_an_error() {
    let mut config = config_at(Hardfork::Karst);
    config.schedule.set(Hardfork::Karst, Some(132));
    let result = build_attributes(&config, &parent(), &system_config(), &epoch(&config, 11), &[]);
    let sha256 = config.upgrade_hash(Hardfork::Karst);
    let missing = MissingUpgrade { fork: Hardfork::Karst, sha256 };
    assert_eq!(result, Err(AttributesError::UpgradeTransactions(missing)));
}

//! Rules of derivation that live in the codecs of opal-protocol, each once kept and once broken:
//! blobs, deposit logs, system configuration updates, L1 attributes.
#![allow(clippy::unwrap_used)]

use alloc::vec;
use alloc::vec::Vec;

use alloy_primitives::{Address, B64, B256, Bytes, Log, U256};
use opal_protocol::blob::{Blob, BlobError, MAX_BLOB_DATA, decode_blob, encode_blob};
use opal_protocol::deposit::{
    DepositError, DepositSource, TRANSACTION_DEPOSITED, decode_deposit_log, encode_deposit_log,
};
use opal_protocol::l1_info::{L1BlockInfo, L1InfoError, L1InfoForm, system_config_after};
use opal_protocol::system_config::{CONFIG_UPDATE, ConfigLogError, FeeScalars};
use opal_protocol::{DepositTransaction, Hardfork, SystemConfig};

use crate::test_utils::config_at;

/// A blob with a changed byte.
fn blob_with(data: &[u8], change: impl FnOnce(&mut Blob)) -> Result<Bytes, BlobError> {
    let mut blob = encode_blob(data).unwrap();
    change(&mut blob);
    decode_blob(&blob)
}

/// ecotone/derivation.md, "Blob Encoding".
#[test]
fn a_blob_has_encoding_version_zero() {
    assert_eq!(blob_with(b"data", |_| ()), Ok(Bytes::from_static(b"data")));
    assert_eq!(blob_with(b"data", |blob| blob[1] = 1), Err(BlobError::Version(1)));
}

/// ecotone/derivation.md, "Blob Encoding": 130,048 bytes less four of version and length.
#[test]
fn a_blob_claims_no_more_than_it_holds() {
    assert_eq!(MAX_BLOB_DATA, 130_044);
    let full = vec![7; MAX_BLOB_DATA];
    assert_eq!(blob_with(&full, |_| ()).unwrap(), full);
    let claim = |length: u32| {
        blob_with(&full, |blob| blob[2..5].copy_from_slice(&length.to_be_bytes()[1..]))
    };
    assert!(claim(130_044).is_ok());
    assert_eq!(claim(130_045), Err(BlobError::Length(130_045)));
    assert_eq!(encode_blob(&[0; MAX_BLOB_DATA + 1]), Err(BlobError::TooLarge(MAX_BLOB_DATA + 1)));
}

/// ecotone/derivation.md, "Blob Encoding": of the very first element no client looks at them
/// (docs/deviations.md).
#[test]
fn the_top_bits_of_a_field_element_are_zero() {
    let data = vec![7; 1000];
    for element in [1, 2, 3, 4, 31] {
        for bit in [0x40, 0x80] {
            let changed = blob_with(&data, |blob| blob[32 * element] |= bit);
            assert_eq!(changed, Err(BlobError::FieldElement(element)));
        }
        assert!(blob_with(&data, |_| ()).is_ok());
    }
}

/// ecotone/derivation.md, "Blob Encoding".
#[test]
fn nothing_follows_the_data_of_a_blob() {
    for at in [10, 31, 200, 4096 * 32 - 1] {
        assert_eq!(blob_with(b"data", |blob| blob[at] = 1), Err(BlobError::Extraneous), "{at}");
        assert!(blob_with(b"data", |blob| blob[at] = 0).is_ok());
    }
}

fn deposit_log() -> Log {
    let deposit = DepositTransaction {
        from: Address::repeat_byte(1),
        to: alloy_primitives::TxKind::Call(Address::repeat_byte(2)),
        mint: 3,
        value: U256::from(4),
        gas_limit: 5,
        input: vec![6; 40].into(),
        ..DepositTransaction::default()
    };
    encode_deposit_log(Address::repeat_byte(9), &deposit)
}

fn deposit_with(change: impl FnOnce(&mut Log)) -> Result<DepositTransaction, DepositError> {
    let mut log = deposit_log();
    change(&mut log);
    decode_deposit_log(&log, B256::repeat_byte(7), 11)
}

fn set(log: &mut Log, at: usize, byte: u8) {
    let mut data = log.data.data.to_vec();
    data[at] = byte;
    log.data.data = data.into();
}

/// deposits.md, "Deposit Contract".
#[test]
fn a_deposit_log_has_the_events_topics() {
    let deposit = deposit_with(|_| ()).unwrap();
    let source = DepositSource::User { l1_block_hash: B256::repeat_byte(7), log_index: 11 };
    assert_eq!((deposit.source_hash, deposit.mint), (source.hash(), 3));
    let topics = |topics: Vec<B256>| deposit_with(|log| log.data.set_topics_unchecked(topics));
    assert_eq!(topics(vec![TRANSACTION_DEPOSITED; 3]), Err(DepositError::Topics(3)));
    assert_eq!(topics(vec![B256::ZERO; 4]), Err(DepositError::Selector(B256::ZERO)));
}

/// deposits.md, "Deposit Contract": version 0.
#[test]
fn a_deposit_has_version_zero() {
    let version = |byte: u8| {
        deposit_with(|log| {
            let mut topics = log.topics().to_vec();
            topics[3] = B256::with_last_byte(byte);
            log.data.set_topics_unchecked(topics);
        })
    };
    assert!(version(0).is_ok());
    assert_eq!(version(1), Err(DepositError::Version(B256::with_last_byte(1))));
}

/// deposits.md, "Deposit Contract": the ABI encoding of one byte string, padded as little as it can.
#[test]
fn the_data_of_a_deposit_log_is_well_encoded() {
    assert!(deposit_with(|_| ()).is_ok());
    let cut = |length| deposit_with(|log| log.data.data = log.data.data.slice(..length));
    assert_eq!(cut(63), Err(DepositError::DataLength(63)));
    assert_eq!(cut(65), Err(DepositError::DataLength(65)));
    assert!(matches!(cut(96), Err(DepositError::OpaqueLength { present: 32, .. })));
    assert!(matches!(deposit_with(|log| set(log, 31, 33)), Err(DepositError::Offset(_))));
    // 73 + 40 bytes in four words: 96 would leave a whole word of padding, 128 are there.
    for (length, ok) in [(97, true), (96, false), (128, true), (129, false)] {
        let result = deposit_with(|log| set(log, 63, length));
        let fits = !matches!(result, Err(DepositError::OpaqueLength { .. }));
        assert_eq!(fits, ok, "{length}");
    }
    let mut short = deposit_log();
    short.data.data =
        [&U256::from(32).to_be_bytes::<32>()[..], &U256::from(72).to_be_bytes::<32>(), &[0; 96]]
            .concat()
            .into();
    let result = decode_deposit_log(&short, B256::ZERO, 0);
    assert_eq!(result, Err(DepositError::OpaqueTooShort(72)));
}

/// More than any portal can lock (docs/deviations.md).
#[test]
fn a_deposit_mints_at_most_128_bits() {
    let mint = |at, byte| deposit_with(|log| set(log, at, byte));
    assert_eq!(mint(64 + 16, 1).unwrap().mint, (1 << 120) + 3);
    assert!(matches!(mint(64 + 15, 1), Err(DepositError::Mint(_))));
}

fn update(kind: u8, words: &[B256]) -> Log {
    let mut data = vec![0; 64];
    (data[31], data[63]) = (32, 32 * words.len() as u8);
    for word in words {
        data.extend_from_slice(word.as_slice());
    }
    let topics = vec![CONFIG_UPDATE, B256::ZERO, B256::with_last_byte(kind)];
    Log::new_unchecked(Address::ZERO, topics, data.into())
}

fn apply(log: &Log, ecotone: bool) -> Result<SystemConfig, ConfigLogError> {
    let mut config = SystemConfig { scalar: B256::repeat_byte(5), ..SystemConfig::default() };
    let before = config;
    let applied = config.apply_log(log, ecotone);
    assert!(applied.is_ok() || config == before, "an update that fails changes nothing");
    applied.map(|()| config)
}

fn word(n: u64) -> B256 {
    U256::from(n).into()
}

/// The largest number of this many bytes, and the next one.
fn limits(bytes: u32) -> (B256, B256) {
    let next = U256::from(1) << (8 * bytes);
    ((next - U256::from(1)).into(), next.into())
}

/// system-config.md, "System Config Updates": type 0, an address.
#[test]
fn an_update_of_the_batcher_is_an_address() {
    let (fits, too_large) = limits(20);
    let updated = apply(&update(0, &[fits]), true).unwrap();
    assert_eq!(updated.batcher_address, Address::repeat_byte(0xff));
    assert!(matches!(apply(&update(0, &[too_large]), true), Err(ConfigLogError::Value { .. })));
}

/// system-config.md, "System Config Updates": type 1, by the time of the L1 block; "Post-Ecotone
/// Scalar Encoding".
#[test]
fn an_update_of_the_scalars_is_checked_from_ecotone_on() {
    let scalar = |version: u8, at: usize, byte: u8| {
        let mut scalar = word(7);
        (scalar[0], scalar[at]) = (version, byte);
        scalar
    };
    for (scalar, ok) in [
        (scalar(0, 31, 7), true),
        (scalar(0, 28, 1), true),
        (scalar(0, 27, 1), false),
        (scalar(1, 24, 1), true),
        (scalar(1, 23, 1), false),
        (scalar(2, 31, 7), false),
    ] {
        let log = update(1, &[word(9), scalar]);
        let before = apply(&log, false).unwrap();
        assert_eq!((before.overhead, before.scalar), (word(9), scalar));
        let after = apply(&log, true);
        assert_eq!(after.is_ok(), ok, "{scalar}");
        if let Ok(after) = after {
            // The overhead has no effect any more.
            assert_eq!((after.overhead, after.scalar), (B256::ZERO, scalar));
        }
    }
    assert_eq!(apply(&update(1, &[word(9)]), false), Err(ConfigLogError::Encoding(1)));
}

/// system-config.md, "Post-Ecotone Scalar Encoding": what the two versions stand for.
#[test]
fn the_scalars_are_read_by_their_version() {
    let read = |scalar| SystemConfig { scalar, ..SystemConfig::default() }.fee_scalars();
    let mut scalar = word((3 << 32) + 4);
    scalar[0] = 1;
    assert_eq!(read(scalar), Some(FeeScalars { base_fee_scalar: 4, blob_base_fee_scalar: 3 }));
    assert_eq!(read(word(4)), Some(FeeScalars { base_fee_scalar: 4, blob_base_fee_scalar: 0 }));
    let largest = FeeScalars { base_fee_scalar: u32::MAX, blob_base_fee_scalar: 0 };
    assert_eq!(read(word(1 << 32)), Some(largest));
    scalar[0] = 2;
    assert_eq!(read(scalar), None);
}

/// system-config.md, "System Config Updates": types 2, 6 and 7, numbers of 64, 64 and 16 bits.
#[test]
fn updates_of_numbers_fit_their_fields() {
    for (kind, bytes) in [(2, 8), (6, 8), (7, 2)] {
        let (fits, too_large) = limits(bytes);
        let updated = apply(&update(kind, &[fits]), true).unwrap();
        let value = match kind {
            2 => updated.gas_limit,
            6 => updated.min_base_fee,
            _ => updated.da_footprint_gas_scalar.into(),
        };
        assert_eq!(word(value), fits);
        let error = ConfigLogError::Value { kind, value: too_large };
        assert_eq!(apply(&update(kind, &[too_large]), true), Err(error));
    }
}

/// system-config.md, "System Config Updates": type 3 is no part of derivation.
#[test]
fn an_update_of_the_unsafe_block_signer_changes_nothing() {
    let changed = apply(&update(2, &[word(3)]), true).unwrap();
    let unchanged = apply(&update(3, &[word(3)]), true).unwrap();
    assert_ne!(changed, unchanged);
    assert_eq!(unchanged, SystemConfig { scalar: B256::repeat_byte(5), ..Default::default() });
}

/// holocene/system-config.md: type 4, neither of the two parameters is zero unless both are. High
/// bytes are refused (docs/deviations.md).
#[test]
fn an_update_of_the_eip1559_parameters_has_both_or_none() {
    for (value, ok) in [((50 << 32) + 6, true), (0, true), (50 << 32, false), (6, false)] {
        let updated = apply(&update(4, &[word(value)]), true);
        assert_eq!(updated.is_ok(), ok, "{value:#x}");
        if let Ok(updated) = updated {
            assert_eq!(updated.eip1559_params, B64::new(value.to_be_bytes()));
        }
    }
    let mut high = word((50 << 32) + 6);
    high[23] = 1;
    assert!(apply(&update(4, &[high]), true).is_err());
}

/// isthmus/system-config.md: type 5, scalar and constant.
#[test]
fn an_update_of_the_operator_fee_holds_scalar_and_constant() {
    let mut params = word(9);
    params[23] = 8;
    assert_eq!(apply(&update(5, &[params]), true).unwrap().operator_fee(), (8, 9));
    assert_eq!(apply(&update(5, &[params; 2]), true), Err(ConfigLogError::Encoding(5)));
}

/// system-config.md, "System Config Updates": version 0 of the event and a known type.
#[test]
fn an_update_of_an_unknown_version_or_type_is_skipped() {
    let mut log = update(2, &[word(1)]);
    assert!(apply(&log, true).is_ok());
    log.data.set_topics_unchecked(vec![CONFIG_UPDATE, word(1), word(2)]);
    assert_eq!(apply(&log, true), Err(ConfigLogError::Version(word(1))));
    for kind in [8, 9, 255] {
        let unknown = ConfigLogError::Type(word(kind));
        assert_eq!(apply(&update(kind as u8, &[word(1)]), true), Err(unknown));
    }
    log.data.set_topics_unchecked(vec![CONFIG_UPDATE, B256::ZERO, word(258)]);
    assert_eq!(apply(&log, true), Err(ConfigLogError::Type(word(258))));
}

/// system-config.md, "System Config Updates": anything but the ABI encoding of the type is skipped.
#[test]
fn an_update_that_is_not_well_encoded_is_skipped() {
    for kind in [0u8, 2, 3, 4, 5, 6, 7] {
        let good = update(kind, &[word(0)]);
        assert!(apply(&good, true).is_ok());
        let mut pointer = good.data.data.to_vec();
        pointer[31] = 33;
        let mut length = good.data.data.to_vec();
        length[63] = 31;
        let longer = [&good.data.data[..], &[0; 32]].concat();
        let shorter = good.data.data[..95].to_vec();
        for data in [pointer, length, longer, shorter, vec![]] {
            let mut log = good.clone();
            log.data.data = data.into();
            assert_eq!(apply(&log, true), Err(ConfigLogError::Encoding(kind)));
        }
    }
}

/// deposits.md, ecotone/, isthmus/ and jovian/l1-attributes.md: a block's L1 attributes have the
/// form of its fork; the first block of a fork has the one before.
#[test]
fn l1_attributes_of_another_forks_form_are_refused() {
    for (fork, form, before) in [
        (Hardfork::Ecotone, L1InfoForm::Ecotone, L1InfoForm::Bedrock),
        (Hardfork::Isthmus, L1InfoForm::Isthmus, L1InfoForm::Ecotone),
        (Hardfork::Jovian, L1InfoForm::Jovian, L1InfoForm::Isthmus),
    ] {
        let mut config = config_at(fork);
        config.schedule.set(fork, Some(100));
        let decode = |time, form| {
            let data = L1BlockInfo { form, ..L1BlockInfo::default() }.encode();
            L1BlockInfo::decode_in_block(&config, time, &data).map(|info| info.form)
        };
        for (time, right, wrong) in [(98, before, form), (100, before, form), (102, form, before)] {
            assert_eq!(decode(time, right), Ok(right), "{fork} {time}");
            let error = L1InfoError::Form { found: wrong, expected: right };
            assert_eq!(decode(time, wrong), Err(error), "{fork} {time}");
        }
    }
}

/// ecotone/, isthmus/ and jovian/l1-attributes.md: exactly 164, 176 and 178 bytes.
#[test]
fn l1_attributes_have_the_length_of_their_form() {
    for (form, length) in [
        (L1InfoForm::Bedrock, 260),
        (L1InfoForm::Ecotone, 164),
        (L1InfoForm::Isthmus, 176),
        (L1InfoForm::Jovian, 178),
    ] {
        let data = L1BlockInfo { form, ..L1BlockInfo::default() }.encode();
        assert_eq!(data.len(), length);
        assert!(L1BlockInfo::decode(&data).is_ok());
        for wrong in [data[..length - 1].to_vec(), [&data[..], &[0]].concat()] {
            let error = L1InfoError::Length { form, length: wrong.len() };
            assert_eq!(L1BlockInfo::decode(&wrong), Err(error));
        }
    }
    assert_eq!(L1BlockInfo::decode(&[1, 2, 3]), Err(L1InfoError::NoSelector));
    let unknown = [9, 9, 9, 9];
    assert_eq!(L1BlockInfo::decode(&unknown), Err(L1InfoError::Selector(unknown)));
}

/// jovian/l1-attributes.md: a scalar of zero stands for 400.
#[test]
fn a_da_footprint_scalar_of_zero_stands_for_the_default() {
    let config = config_at(Hardfork::Jovian);
    for (set, given) in [(0, 400), (1, 1), (400, 400), (u16::MAX, u16::MAX)] {
        let mut scalar = B256::ZERO;
        scalar[0] = 1;
        let before = SystemConfig { da_footprint_gas_scalar: set, scalar, ..Default::default() };
        let after = system_config_after(&config, &before, 100);
        assert_eq!(after.da_footprint_gas_scalar, given);
    }
}

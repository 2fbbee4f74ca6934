//! Frames, batcher transactions, blobs, logs, L1 attributes, configurations, transactions.

use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, Log};
use arbitrary::{Result, Unstructured};
use opal_protocol::altda::Commitment;
use opal_protocol::batcher_tx::{decode_batcher_data, encode_batcher_data};
use opal_protocol::blob::{BLOB_SIZE, Blob, MAX_BLOB_DATA, decode_blob, encode_blob};
use opal_protocol::deposit::{TRANSACTION_DEPOSITED, decode_deposit_log, encode_deposit_log};
use opal_protocol::frame::{MAX_FRAME_DATA, parse_frames};
use opal_protocol::system_config::{CONFIG_UPDATE, unsafe_block_signer_update};
use opal_protocol::upgrades::UpgradeBundle;
use opal_protocol::{
    Hardfork, L1BlockInfo, Receipt, RollupConfig, SystemConfig, TxEnvelope, TxType,
};

use crate::memory::within;

/// Frames have one encoding only: what is read is written the same.
pub fn frame(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    // 23 bytes of input make a frame in memory.
    let frames = within(16 * data.len() + 4096, "frames", || parse_frames(&data));
    let Ok(frames) = frames else { return };
    let mut encoded = Vec::new();
    for frame in &frames {
        assert!(frame.data.len() <= MAX_FRAME_DATA);
        let before = encoded.len();
        frame.encode(&mut encoded);
        assert_eq!(encoded.len() - before, frame.encoded_len());
    }
    assert_eq!(encoded, data);
}

/// The same with the version byte.
pub fn batcher_transaction(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    let frames = within(16 * data.len() + 4096, "frames", || decode_batcher_data(&data));
    let Ok(frames) = frames else { return };
    assert!(!frames.is_empty());
    assert_eq!(encode_batcher_data(&frames), data);
}

/// A commitment to data kept elsewhere has one encoding, and no frames in it.
pub fn alt_da(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    let decoded = within(256, "a commitment", || Commitment::decode(&data));
    let Ok(commitment) = decoded else { return };
    assert_eq!(commitment.encode(), data);
    let whole = commitment.batcher_data();
    assert_eq!(whole[1..], data);
    assert!(decode_batcher_data(&whole).is_err(), "frames in version 1");
    let matches = commitment.matches(&data);
    assert_eq!(matches.is_none(), matches!(commitment, Commitment::Generic(_)));
    assert_ne!(matches, Some(true), "its own hash");
}

/// A blob that begins with the input, or an encoded blob with a few bytes changed.
pub fn blob(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else { return };
    let mut blob = Blob::ZERO;
    if mode & 1 == 0 {
        let length = data.len().min(BLOB_SIZE);
        blob[..length].copy_from_slice(&data[..length]);
    } else {
        let mut input = Unstructured::new(data);
        let Ok(changes) = changes(&mut input) else { return };
        let content = input.take_rest();
        // Long contents, without the long inputs that slow the fuzzer down.
        let content = content.repeat(1 << (mode >> 4));
        match encode_blob(&content) {
            Ok(encoded) => blob = *encoded,
            Err(_) => assert!(content.len() > MAX_BLOB_DATA),
        }
        if changes.is_empty() && content.len() <= MAX_BLOB_DATA {
            assert_eq!(decode_blob(&blob).unwrap(), content);
        }
        for (at, byte) in changes {
            blob[at] = byte;
        }
    }
    let decoded = within(4 * BLOB_SIZE, "a blob", || decode_blob(&blob));
    let Ok(content) = decoded else { return };
    let mut encoded = encode_blob(&content).unwrap();
    // The two bits that no decoder looks at.
    encoded[0] |= blob[0] & 0xc0;
    assert!(*encoded == blob, "another encoding of the same content");
}

fn changes(input: &mut Unstructured<'_>) -> Result<Vec<(usize, u8)>> {
    (0..input.int_in_range(0..=3)?)
        .map(|_| Ok((input.int_in_range(0..=BLOB_SIZE - 1)?, input.arbitrary()?)))
        .collect()
}

/// A log with mostly the right number of topics, the right event first.
fn log(input: &mut Unstructured<'_>, selector: B256, topics: usize) -> Result<Log> {
    let count = if input.ratio(1, 16)? { input.int_in_range(0..=5)? } else { topics };
    let mut list = Vec::new();
    for i in 0..count {
        list.push(match (i, input.int_in_range(0..=15)?) {
            (0, 0..=14) => selector,
            (_, 0..=7) => B256::ZERO,
            (_, 8..=11) => B256::with_last_byte(input.arbitrary()?),
            _ => B256::new(input.arbitrary()?),
        });
    }
    Ok(Log::new_unchecked(Address::repeat_byte(0xcc), list, abi_bytes(input)?))
}

/// An ABI-encoded `bytes` argument, with numbers that are mostly right.
fn abi_bytes(input: &mut Unstructured<'_>) -> Result<Bytes> {
    if input.ratio(1, 8)? {
        return Ok(Bytes::copy_from_slice(input.bytes(input.len())?));
    }
    let length = usize::from(input.arbitrary::<u16>()?) % 300;
    let length = if input.ratio(1, 2)? { length.next_multiple_of(32) } else { length };
    let claimed = if input.ratio(1, 8)? { input.arbitrary::<u64>()? } else { length as u64 };
    let offset = if input.ratio(1, 16)? { input.arbitrary::<u64>()? } else { 32 };
    let mut data = Vec::new();
    data.extend_from_slice(B256::left_padding_from(&offset.to_be_bytes()).as_slice());
    data.extend_from_slice(B256::left_padding_from(&claimed.to_be_bytes()).as_slice());
    let words = input.ratio(1, 2)?;
    while data.len() < 64 + length.next_multiple_of(32) {
        if words {
            data.extend_from_slice(B256::left_padding_from(input.bytes(1)?).as_slice());
        } else {
            data.push(input.arbitrary()?);
        }
    }
    Ok(data.into())
}

/// A deposit that is read from a log is written to the same log, but for padding.
pub fn deposit_log(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(log) = log(&mut input, TRANSACTION_DEPOSITED, 4) else { return };
    let block = B256::repeat_byte(7);
    let decoded =
        within(4 * log.data.data.len() + 4096, "a deposit", || decode_deposit_log(&log, block, 3));
    let Ok(deposit) = decoded else { return };
    let again = encode_deposit_log(log.address, &deposit);
    assert_eq!(decode_deposit_log(&again, block, 3).as_ref(), Ok(&deposit));
    assert_eq!(again.data.data.len(), log.data.data.len());
    let envelope = TxEnvelope::from(deposit);
    transaction(&envelope.encoded_2718());
}

/// L1 attributes have one encoding only.
pub fn l1_info(data: &[u8]) {
    let Ok(info) = within(4096, "L1 attributes", || L1BlockInfo::decode(data)) else { return };
    assert_eq!(info.encode()[..], *data);
    assert_eq!(info.form.calldata_len(), data.len());
}

/// Updates are applied one by one; a malformed one changes nothing and hides no other.
pub fn system_config(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(ecotone) = input.arbitrary() else { return };
    let mut current = SystemConfig::default();
    for _ in 0..8 {
        let Ok(log) = log(&mut input, CONFIG_UPDATE, 3) else { return };
        let before = current;
        let applied = within(4096, "an update", || current.apply_log(&log, ecotone));
        if applied.is_err() {
            assert_eq!(current, before);
        }
        if unsafe_block_signer_update(&log).is_some() {
            assert_eq!(applied, Ok(()));
            assert_eq!(current, before);
        }
        if current.scalar != before.scalar && ecotone {
            assert!(current.fee_scalars().is_some());
        }
        let (scalar, constant) = current.operator_fee();
        let mut written = current;
        written.set_operator_fee(scalar, constant);
        assert_eq!(written.operator_fee(), (scalar, constant));
        let json = serde_json::to_string(&current).unwrap();
        assert_eq!(serde_json::from_str::<SystemConfig>(&json).unwrap(), current);
    }
}

/// A rollup configuration that is read is written to an equal one.
pub fn rollup_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = within(64 * data.len() + 65_536, "JSON", || RollupConfig::from_json(text));
    let Ok(config) = read else { return };
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(RollupConfig::from_json(&json), Ok(config.clone()));
    for time in [0, 1, config.genesis.l2_time, u64::MAX] {
        config.max_sequencer_drift(time);
        config.channel_timeout(time);
        config.timestamp_of(time);
        for row in &opal_protocol::hardfork::TABLE {
            config.is_activation_block(row.fork, time);
        }
    }
}

/// A transaction that is read is written the same.
pub fn transaction(data: &[u8]) {
    let mut rest = data;
    let decoded =
        within(64 * data.len() + 4096, "a transaction", || TxEnvelope::decode_2718(&mut rest));
    let Ok(tx) = decoded else { return };
    let read = &data[..data.len() - rest.len()];
    let encoded = tx.encoded_2718();
    // The network form, in which a byte string holds a typed transaction, is read as well.
    assert!(encoded == read || read.ends_with(&encoded), "{tx:?}");
    let _ = tx.recover();
}

/// A bundle that is read is written to one with the same transactions.
pub fn upgrade_bundle(data: &[u8]) {
    for fork in [Hardfork::Ecotone, Hardfork::Karst] {
        let read =
            within(64 * data.len() + 65_536, "a bundle", || UpgradeBundle::parse(fork, data));
        let Ok(bundle) = read else { continue };
        let json = bundle.to_json().unwrap();
        let again = UpgradeBundle::parse(fork, json.as_bytes()).unwrap();
        assert_eq!(again.transactions(), bundle.transactions());
        assert_eq!(again.deposits(), bundle.deposits());
        assert_eq!(again.gas(), bundle.gas());
        assert_eq!(again.to_json().as_ref(), Ok(&json));
        for deposit in bundle.deposits() {
            transaction(deposit);
        }
    }
}

/// A receipt that is read is written the same, but for the bloom.
pub fn receipt(data: &[u8]) {
    let read = within(64 * data.len() + 4096, "a receipt", || Receipt::decode_2718(data));
    let Ok(receipt) = read else { return };
    let mut encoded = Vec::new();
    receipt.encode_2718(&mut encoded);
    assert_eq!(encoded.len(), data.len());
    assert_eq!(Receipt::decode_2718(&encoded), Ok(receipt));
}

/// The first input of that target.
pub(crate) fn a_receipt() -> Vec<u8> {
    let log = Log::new_unchecked(Address::ZERO, vec![B256::ZERO], Bytes::from_static(&[1, 2]));
    let receipt = Receipt {
        tx_type: TxType::Deposit,
        success: true,
        cumulative_gas_used: 21_000,
        logs: vec![log],
        deposit_nonce: Some(4),
        deposit_receipt_version: Some(1),
    };
    let mut encoded = Vec::new();
    receipt.encode_2718(&mut encoded);
    encoded
}

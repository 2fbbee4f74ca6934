//! What contracts say: deposits, L1 attributes, updates of the system configuration.

use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use kona_protocol::{L1BlockInfoTx, decode_deposit};
use opal_peers::generate::Rng;
use opal_peers::{kona, vectors};
use opal_protocol::SystemConfig;
use opal_protocol::deposit::{TRANSACTION_DEPOSITED, decode_deposit_log};
use opal_protocol::l1_info::{L1BlockInfo, L1InfoForm};
use opal_protocol::system_config::CONFIG_UPDATE;
use opal_tests::vectors::{list, optional, parse};
use serde_json::Value;

use super::{Tally, guarded, json_files, with_mutations};

/// A log as bytes that can be mutated: topics, then data.
fn log_bytes(log: &Log) -> Bytes {
    let topics = log.topics().iter().flat_map(|topic| topic.iter().copied());
    topics.chain(log.data.data.iter().copied()).collect::<Vec<u8>>().into()
}

fn log_of(address: Address, bytes: &[u8], topics: usize) -> Log {
    let topics = topics.min(bytes.len() / 32);
    let (head, data) = bytes.split_at(32 * topics);
    let topics = head.chunks(32).map(B256::from_slice).collect();
    Log::new_unchecked(address, topics, Bytes::copy_from_slice(data))
}

#[test]
fn vectors_deposit_logs() {
    let mut seeds: Vec<Bytes> = Vec::new();
    for json in json_files("deposits") {
        for case in list(&json["cases"]).iter().chain(list(&json["logs"])) {
            let (Some(topics), Some(data)) = (optional(case, "topics"), optional(case, "data"))
            else {
                continue;
            };
            let topics = list(topics).iter().map(parse::<B256>).collect();
            seeds.push(log_bytes(&Log::new_unchecked(Address::ZERO, topics, parse(data))));
        }
    }
    for (_, scenario, _) in vectors::segments() {
        let receipts = scenario.l1.iter().flat_map(|block| block.receipts.iter());
        let logs = receipts.flat_map(|receipt| &receipt.logs);
        let deposits = logs.filter(|log| log.topics().first() == Some(&TRANSACTION_DEPOSITED));
        seeds.extend(deposits.map(log_bytes));
    }
    let mut tally = Tally::default();
    let mut rng = Rng(5);
    let hash = B256::repeat_byte(5);
    for (at, bytes) in with_mutations(6, &seeds, 20_000).enumerate() {
        // The selector is right in most of them: else nothing more is looked at.
        let mut bytes = bytes.to_vec();
        if at >= seeds.len() && bytes.len() >= 32 {
            bytes[..32].copy_from_slice(TRANSACTION_DEPOSITED.as_slice());
        }
        let topics = if rng.below(50) == 0 { 3 } else { 4 };
        let log = log_of(Address::ZERO, &bytes, topics);
        let ours = decode_deposit_log(&log, hash, 9).map(|tx| Bytes::from(tx.encoded_2718()));
        let theirs = guarded(|| decode_deposit(hash, 9, &log)).expect("no panic");
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) if ours == theirs => tally.same(true),
            (Err(_), Err(_)) => tally.same(false),
            (ours, theirs) => {
                let data = &log.data.data;
                let padded = |i: usize| log.topics()[i][..12].iter().any(|byte| *byte != 0);
                let wide = |from: usize, to: usize| {
                    data.get(from..to).unwrap_or_default().iter().any(|b| *b != 0)
                };
                match (&ours, &theirs) {
                    (Ok(_), Err(_)) if padded(1) || padded(2) => tally.excuse("deposit-address"),
                    (Err(_), Ok(_)) if wide(0, 24) || wide(32, 56) => {
                        tally.excuse("deposit-offset");
                    }
                    (Err(_), Ok(_)) if wide(64, 80) => tally.excuse("deposit-mint"),
                    _ => panic!("{}: {ours:?}, the peer {theirs:?}", Bytes::from(bytes)),
                }
            }
        }
    }
    tally.report("deposit logs");
}

/// Every hex string in a JSON value.
fn hex_strings(json: &Value, out: &mut Vec<Bytes>) {
    match json {
        Value::String(text) => {
            out.extend(text.starts_with("0x").then(|| text.parse().ok()).flatten())
        }
        Value::Array(items) => items.iter().for_each(|item| hex_strings(item, out)),
        Value::Object(items) => items.values().for_each(|item| hex_strings(item, out)),
        _ => {}
    }
}

#[test]
fn vectors_l1_info() {
    let mut all = Vec::new();
    json_files("l1info").iter().for_each(|json| hex_strings(json, &mut all));
    let forms = [L1InfoForm::Bedrock, L1InfoForm::Ecotone, L1InfoForm::Isthmus];
    let known = |data: &Bytes| forms.iter().any(|form| data.starts_with(&form.selector()));
    let mut seeds: Vec<Bytes> = all.into_iter().filter(known).collect();
    for form in forms {
        let info = L1BlockInfo {
            form,
            number: 1,
            timestamp: 2,
            base_fee: U256::from(3),
            block_hash: keccak256("block"),
            sequence_number: 4,
            batcher_address: Address::repeat_byte(5),
            ..L1BlockInfo::default()
        };
        seeds.push(info.encode());
    }
    let mut tally = Tally::default();
    for data in with_mutations(7, &seeds, 20_000) {
        if data.starts_with(&L1InfoForm::Jovian.selector()) {
            continue;
        }
        let ours = L1BlockInfo::decode(&data).map(|info| info.encode());
        let theirs = guarded(|| L1BlockInfoTx::decode_calldata(&data)).expect("no panic");
        match (ours, theirs.map(|info| info.encode_calldata())) {
            (Ok(ours), Ok(theirs)) if ours == theirs => tally.same(true),
            (Err(_), Err(_)) => tally.same(false),
            (Err(opal_protocol::l1_info::L1InfoError::Padding(_)), Ok(_)) => {
                tally.excuse("l1-info-padding");
            }
            // Fees of more than 64 or 128 bits, which the peer's numbers do not hold.
            (Ok(ours), Ok(theirs)) => {
                assert_eq!(ours.len(), theirs.len());
                assert_eq!(ours[..], data[..], "decoding loses nothing");
                tally.excuse("l1-info-padding");
            }
            (ours, theirs) => panic!("{data}: {ours:?}, the peer {theirs:?}"),
        }
    }
    tally.report("L1 attributes");
}

#[test]
fn vectors_system_config_logs() {
    let mut seeds: Vec<Bytes> = Vec::new();
    for json in json_files("sysconfig") {
        for case in list(&json["cases"]) {
            if let (Some(topics), Some(data)) = (optional(case, "topics"), optional(case, "data")) {
                let topics = list(topics).iter().map(parse::<B256>).collect();
                seeds.push(log_bytes(&Log::new_unchecked(Address::ZERO, topics, parse(data))));
            }
        }
    }
    let address = Address::repeat_byte(0xcc);
    let before = SystemConfig {
        batcher_address: Address::repeat_byte(1),
        gas_limit: 7,
        ..SystemConfig::default()
    };
    let mut tally = Tally::default();
    let mut rng = Rng(8);
    for (at, bytes) in with_mutations(9, &seeds, 20_000).enumerate() {
        let mut bytes = bytes.to_vec();
        if at >= seeds.len() && bytes.len() >= 64 {
            bytes[..32].copy_from_slice(CONFIG_UPDATE.as_slice());
        }
        let topics = if rng.below(50) == 0 { 2 } else { 3 };
        let log = log_of(address, &bytes, topics);
        if log.topics().first() != Some(&CONFIG_UPDATE) {
            continue;
        }
        let ecotone = rng.below(2) == 0;
        let mut ours = before;
        let our_result = ours.apply_log(&log, ecotone);
        let mut theirs = kona::system_config(&before);
        let receipt = kona_alloy_consensus::Receipt {
            status: true.into(),
            cumulative_gas_used: 0,
            logs: vec![log.clone()],
        };
        let their_result = guarded(|| theirs.update_with_receipts(&[receipt], address, ecotone))
            .expect("no panic");
        let mut expected = kona::system_config(&ours);
        // The peer keeps Ecotone's scalars here as they were.
        (expected.base_fee_scalar, expected.blob_base_fee_scalar) =
            (theirs.base_fee_scalar, theirs.blob_base_fee_scalar);
        let kind = log.topics().get(2).map_or(0, |kind| kind[31]);
        match (&our_result, &their_result) {
            (Ok(()), Ok(_)) if expected == theirs => tally.same(true),
            (Err(_), Err(_)) => tally.same(false),
            // Ours tells of a log that changes nothing, the peer is silent.
            (Err(_), Ok(_)) if expected == theirs => tally.same(false),
            _ if kind >= 4 => tally.excuse("config-later"),
            (Err(_), Ok(_)) => tally.excuse("config-padding"),
            _ => panic!(
                "{}: ecotone {ecotone}: {our_result:?} {expected:?}, the peer {their_result:?} {theirs:?}",
                Bytes::from(bytes)
            ),
        }
    }
    tally.report("system configuration logs");
}

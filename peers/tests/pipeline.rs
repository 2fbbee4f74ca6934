//! Whole pipelines: the same L1 into both, attribute by attribute.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;

use alloy_primitives::B256;
use opal_derivation::{EpochData, Step};
use opal_peers::generate::{self, ChannelForm};
use opal_peers::kona;
use opal_peers::scenario::{KonaEnd, Peer, Scenario};
use opal_peers::vectors;
use opal_protocol::l1_info::{L1BlockInfo, system_config_after};
use opal_protocol::{AttributesWithParent, Hardfork, L2BlockRef, SystemConfig};

/// Runs both; the attributes must be the same. Gives ours.
fn compare(
    name: &str,
    scenario: &Scenario,
    execute: impl Fn(&AttributesWithParent) -> L2BlockRef,
) -> Vec<AttributesWithParent> {
    let mut ours = Vec::new();
    let mut blocks = Vec::new();
    let ended = scenario.run(|attributes| {
        let block = execute(&attributes);
        ours.push(*attributes);
        blocks.push(block);
        block
    });
    assert_eq!(ended.step, Step::Idle, "{name}");

    let epochs: HashMap<B256, EpochData> = scenario
        .l1
        .iter()
        .map(|block| {
            let hash = block.reference.hash;
            let data =
                EpochData::new(&scenario.config, hash, block.header.clone(), &block.receipts);
            (hash, data)
        })
        .collect();
    let mut system_config: SystemConfig = scenario.start.safe_system_config;
    let mut at = 0;
    let peer = Peer::new(scenario);
    let end = peer.run(|theirs, l2| {
        let Some((ours, block)) = ours.get(at).zip(blocks.get(at)) else {
            panic!("{name}: only the peer derives block {at}: {theirs:?}");
        };
        at += 1;
        let attributes = kona::attributes(&theirs);
        assert_eq!(attributes, ours.attributes, "{name}: block {}", block.number);
        assert_eq!(theirs.parent, kona::l2_block_info(ours.parent), "{name}");
        let derived_from = kona::block_info(ours.derived_from);
        assert_eq!(theirs.derived_from, Some(derived_from), "{name}: block {}", block.number);
        if !scenario.config.is_active(Hardfork::Holocene, ours.derived_from.timestamp) {
            assert_eq!(theirs.is_last_in_span, ours.concluding, "{name}: block {}", block.number);
        }
        let transactions = attributes.transactions.unwrap();
        if block.sequence_number == 0
            && let Some(epoch) = epochs.get(&block.l1_origin.hash)
        {
            epoch.update_system_config(&mut system_config, &scenario.config);
        }
        system_config = system_config_after(&scenario.config, &system_config, block.timestamp);
        let info = kona::l2_block_info(*block);
        l2.insert(info, kona::system_config(&system_config), transactions);
        info
    });
    assert_eq!(end, KonaEnd::Idle, "{name}");
    assert_eq!(at, ours.len(), "{name}: only we derive the blocks from {at} on");
    ours
}

#[test]
fn vectors_real_channels() {
    for channel in vectors::channels() {
        let scenario = channel.scenario();
        let attributes = compare(&channel.name, &scenario, generate::execute);
        assert_eq!(attributes.len(), channel.blocks, "{}", channel.name);
        let transactions: usize = attributes
            .iter()
            .flat_map(|attributes| attributes.attributes.transactions.iter().flatten())
            .filter(|tx| tx[0] != 0x7e)
            .count();
        assert_eq!(transactions, channel.transactions, "{}", channel.name);
    }
}

#[test]
fn vectors_l1_segments() {
    for (name, scenario, hashes) in vectors::segments() {
        let parent = scenario.start.safe_head.number;
        let execute = |attributes: &AttributesWithParent| {
            let mut block = generate::execute(attributes);
            if let Some(hash) = hashes.get((block.number - parent - 1) as usize) {
                block.hash = *hash;
            }
            let info = L1BlockInfo::decode(&opal_tx(
                attributes.attributes.transactions.as_ref().unwrap()[0].as_ref(),
            ));
            block.sequence_number = info.unwrap().sequence_number;
            block
        };
        let attributes = compare(&name, &scenario, execute);
        assert!(attributes.len() >= hashes.len(), "{name}");
    }
}

/// The input of a deposit.
fn opal_tx(raw: &[u8]) -> alloy_primitives::Bytes {
    use alloy_eips::eip2718::Decodable2718;
    match opal_protocol::TxEnvelope::decode_2718_exact(raw).unwrap() {
        opal_protocol::TxEnvelope::Deposit(tx) => tx.input.clone(),
        _ => panic!("no deposit"),
    }
}

#[test]
fn generated_channels() {
    for newest in [
        Hardfork::Bedrock,
        Hardfork::Regolith,
        Hardfork::Canyon,
        Hardfork::Delta,
        Hardfork::Ecotone,
        Hardfork::Fjord,
        Hardfork::Granite,
        Hardfork::Holocene,
        Hardfork::Isthmus,
    ] {
        let config = generate::config(newest);
        let blocks = generate::blocks(&config, newest as u64, 30, 4);
        for brotli in [false, true] {
            for span in [false, true] {
                if (brotli && newest < Hardfork::Fjord) || (span && newest < Hardfork::Delta) {
                    continue;
                }
                let stream = if span {
                    generate::span_stream(&config, &blocks)
                } else {
                    generate::singular_stream(&blocks)
                };
                let blobs = newest >= Hardfork::Ecotone;
                let form = ChannelForm { brotli, blobs, others: 5 };
                let scenario = generate::around(config.clone(), &stream, form);
                let name = format!("{newest}, brotli {brotli}, span {span}");
                let attributes = compare(&name, &scenario, generate::execute);
                assert_eq!(attributes.len(), blocks.len(), "{name}");
                for (attributes, block) in attributes.iter().zip(&blocks) {
                    let txs = attributes.attributes.transactions.as_ref().unwrap();
                    assert!(txs.ends_with(&block.transactions), "{name}");
                }
            }
        }
    }
}

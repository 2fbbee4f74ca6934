//! Segments of real L1 chains, driven through the machine.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use alloy_consensus::Header;
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bloom, Bytes, Log};
use alloy_rlp::Decodable;
use opal_derivation::{
    Derivation, DerivationStart, Executed, Input, L1Block, Request, Step, attributes_match_block,
};
use opal_protocol::l1_info::{L1BlockInfo, L1InfoForm};
use opal_protocol::{
    Batch, Block, BlockId, ChannelReader, DepositTransaction, Genesis, Hardfork, HardforkSchedule,
    L1BlockRef, L2BlockRef, Receipt, RollupConfig, SealedBlock, SystemConfig, TxEnvelope, TxType,
    l2_block_ref, system_config_of,
};
use serde_json::Value;

fn folder(name: &str) -> Vec<(String, Value)> {
    let root = std::env::var_os("OPAL_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors")),
        PathBuf::from,
    );
    let Ok(entries) = std::fs::read_dir(root.join(name)) else {
        eprintln!("ignored: no vectors at {}", root.join(name).display());
        return Vec::new();
    };
    let mut out: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let raw = std::fs::read(&path).unwrap();
            assert_eq!(raw[..4], [0x1f, 0x8b, 8, 0], "gzip without extra fields");
            let json = miniz_oxide::inflate::decompress_to_vec(&raw[10..]).unwrap();
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            (file, serde_json::from_slice(&json).unwrap())
        })
        .collect();
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

fn bytes(value: &Value) -> Bytes {
    value.as_str().unwrap().parse().unwrap()
}

fn address(value: &Value) -> Address {
    value.as_str().unwrap().parse().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn transactions(block: &Value) -> Vec<TxEnvelope> {
    list(&block["transactions"])
        .iter()
        .map(|raw| TxEnvelope::decode_2718(&mut bytes(raw).as_ref()).unwrap())
        .collect()
}

fn receipt(raw: &Value) -> Receipt {
    let raw = bytes(raw);
    let mut rest = raw.as_ref();
    let tx_type = if rest[0] <= 0x7f {
        let kind = rest[0];
        rest = &rest[1..];
        TxType::try_from(kind).unwrap()
    } else {
        TxType::Legacy
    };
    let mut fields = alloy_rlp::Header::decode_bytes(&mut rest, true).unwrap();
    let success = bool::decode(&mut fields).unwrap();
    let cumulative_gas_used = u64::decode(&mut fields).unwrap();
    Bloom::decode(&mut fields).unwrap();
    let logs = Vec::<Log>::decode(&mut fields).unwrap();
    Receipt {
        tx_type,
        success,
        cumulative_gas_used,
        logs,
        deposit_nonce: None,
        deposit_receipt_version: None,
    }
}

fn header(block: &Value) -> Header {
    Header::decode(&mut bytes(&block["header_rlp"]).as_ref()).unwrap()
}

fn l1_blocks(segment: &Value) -> HashMap<u64, L1Block> {
    let block = |json: &Value| {
        let header = header(json);
        let hash = header.hash_slow();
        assert_eq!(hash, json["hash"].as_str().unwrap().parse::<B256>().unwrap());
        L1Block {
            reference: L1BlockRef::from_header(hash, &header),
            header,
            receipts: Arc::new(list(&json["receipts"]).iter().map(receipt).collect()),
            transactions: Arc::new(transactions(json)),
        }
    };
    list(&segment["blocks"]).iter().map(block).map(|b| (b.reference.number, b)).collect()
}

/// A rollup configuration of what a segment says of its chain.
fn config(rollup: &Value, newest: Hardfork, genesis: (u64, u64)) -> RollupConfig {
    let (number, l2_time) = genesis;
    RollupConfig {
        genesis: Genesis {
            l1: BlockId::default(),
            l2: BlockId { hash: B256::ZERO, number },
            l2_time,
            system_config: SystemConfig::default(),
        },
        block_time: 2,
        max_sequencer_drift_config: 600,
        seq_window_size: 3600,
        channel_timeout_config: 300,
        l1_chain_id: 1,
        l2_chain_id: rollup["chain_id"].as_u64().unwrap_or(11_155_420),
        schedule: HardforkSchedule::at_genesis(newest),
        pectra_blob_schedule_time: None,
        batch_inbox_address: address(&rollup["batch_inbox"]),
        deposit_contract_address: address(&rollup["portal"]),
        l1_system_config_address: address(&rollup["system_config"]),
        protocol_versions_address: Address::ZERO,
        chain_op_config: Default::default(),
    }
}

/// The segment that L2 blocks were derived from.
fn segment_of(segments: &[(String, Value)], start: &str) -> Value {
    let matches = |name: &str| start.contains(name.trim_end_matches(".json.gz"));
    segments.iter().find(|(name, _)| matches(name)).expect("segment").1.clone()
}

#[test]
fn mainnet_blocks_vectors() {
    let segments = folder("derivation/l1");
    for (file, expected) in folder("derivation/expected") {
        let rollup = &expected["rollup"];
        assert_eq!(rollup["active_fork"], "regolith", "{file}");
        let genesis = (
            rollup["genesis_l2_number"].as_u64().unwrap(),
            rollup["genesis_l2_time"].as_u64().unwrap(),
        );
        let config = Arc::new(config(rollup, Hardfork::Regolith, genesis));
        let l1 = l1_blocks(&segment_of(&segments, expected["start"].as_str().unwrap()));

        let blocks: Vec<(L2BlockRef, Block)> = list(&expected["blocks"])
            .iter()
            .map(|json| {
                let mut block = Block { header: header(json), ..Block::default() };
                block.body.transactions = transactions(json);
                let hash = block.header.hash_slow();
                (l2_block_ref(&config, hash, &block).unwrap(), block)
            })
            .collect();
        let (safe_head, first) = &blocks[0];
        let system_config = system_config_of(&config, safe_head.hash, first).unwrap();
        let mut derivation = Derivation::new(
            config.clone(),
            DerivationStart {
                safe_head: *safe_head,
                safe_system_config: system_config,
                l1: l1[&safe_head.l1_origin.number].reference,
                l1_system_config: system_config,
            },
        );
        let mut derived = 1;
        while derived < blocks.len() {
            match derivation.step() {
                Step::Need(Request::L1Block { number }) => {
                    derivation.provide(Input::L1Block(l1[&number].clone())).unwrap();
                }
                Step::Execute(given) => {
                    let (reference, block) = &blocks[derived];
                    let raw: Vec<Bytes> =
                        block.body.transactions.iter().map(|tx| tx.encoded_2718().into()).collect();
                    assert_eq!(given.attributes.transactions.as_ref(), Some(&raw));
                    let parent = blocks[derived - 1].0.hash;
                    attributes_match_block(&config, parent, &given.attributes, block).unwrap();
                    derivation.executed(Executed::Valid(*reference)).unwrap();
                    derived += 1;
                }
                Step::AdvancedOrigin(_) | Step::Dropped(_) => {}
                other => panic!("{file}: {other:?}"),
            }
        }
        assert_eq!(derivation.safe_head(), blocks[blocks.len() - 1].0);
    }
}

/// An L2 block that gives this reference, with these transactions after the L1 attributes.
fn l2_block(reference: &L2BlockRef, transactions: &[Bytes]) -> SealedBlock {
    let info = L1BlockInfo {
        form: L1InfoForm::Ecotone,
        number: reference.l1_origin.number,
        block_hash: reference.l1_origin.hash,
        sequence_number: reference.sequence_number,
        ..L1BlockInfo::default()
    };
    let deposit = DepositTransaction { input: info.encode(), ..DepositTransaction::default() };
    let mut block = Block::default();
    block.header.number = reference.number;
    block.header.parent_hash = reference.parent_hash;
    block.header.timestamp = reference.timestamp;
    block.body.transactions = vec![deposit.into()];
    for raw in transactions {
        let tx = TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap();
        block.body.transactions.push(tx);
    }
    SealedBlock { hash: reference.hash, block: Arc::new(block) }
}

/// The last span of a channel whose L1 origins all lie in the segment: its blocks must come out,
/// with the transactions that the channel's vector lists.
#[test]
fn span_batches_of_a_segment_vectors() {
    let segments = folder("derivation/l1");
    let mut spans = 0;
    for (file, json) in folder("derivation/channels") {
        let channel = &json["channel"];
        let Some(inclusion) = list(&channel["l1_inclusion"]).last().and_then(Value::as_u64) else {
            continue;
        };
        let (Some(batch), true) =
            (list(&channel["batches"]).last(), json["active_fork"] == "granite")
        else {
            continue;
        };
        let (_, segment) = segments
            .iter()
            .find(|(_, segment)| segment["rollup"]["chain"] == json["chain"])
            .expect("segment");
        let l1 = l1_blocks(segment);
        let expected = list(&batch["blocks"]);
        let first_epoch = expected[0]["epoch"].as_u64().unwrap();
        if !l1.contains_key(&first_epoch) || !l1.contains_key(&inclusion) {
            continue;
        }
        // Which block the span builds on, as far as the batch tells.
        let mut reader =
            ChannelReader::new(&bytes(&channel["channel_data"]), 100_000_000, true).unwrap();
        let mut last = None;
        while let Some(batch) = reader.next_batch() {
            last = Some(batch.unwrap());
        }
        let Some(Batch::Span(raw)) = last else { panic!("{file}: no span") };
        let span =
            raw.clone().into_span(2, json["genesis_time"].as_u64().unwrap(), 11_155_420).unwrap();
        let mut parent_hash = B256::ZERO;
        parent_hash[..20].copy_from_slice(&raw.parent_check);
        let genesis_time = json["genesis_time"].as_u64().unwrap();
        let mut config = config(&segment["rollup"], Hardfork::Granite, (0, genesis_time));
        config.l1_chain_id = 11_155_111;
        let advances = list(&batch["origin_bits"])[0].as_u64() == Some(1);
        let origin = l1[&(first_epoch - u64::from(advances))].reference.id();
        let timestamp = expected[0]["timestamp"].as_u64().unwrap() - 2;
        let safe_head = L2BlockRef {
            hash: parent_hash,
            number: expected[0]["number"].as_u64().unwrap() - 1,
            parent_hash: B256::ZERO,
            timestamp,
            l1_origin: origin,
            sequence_number: 3,
        };
        let mut scalar = B256::ZERO;
        scalar[0] = 1;
        let system_config = SystemConfig {
            batcher_address: address(&segment["rollup"]["batcher"]),
            gas_limit: 30_000_000,
            scalar,
            ..SystemConfig::default()
        };
        // From the span's parent; and from within the span, which then overlaps the safe chain.
        for (overlap, honest) in [(0, true), (5, true), (5, false)] {
            let parent = safe_head;
            let safe_block = |number: u64| {
                if number == parent.number {
                    return l2_block(&parent, &[]);
                }
                let at = (number - parent.number - 1) as usize;
                let block = &span.blocks()[at];
                let reference = L2BlockRef {
                    hash: B256::with_last_byte(number as u8),
                    number,
                    parent_hash: B256::ZERO,
                    timestamp: block.timestamp,
                    l1_origin: l1[&block.epoch_num].reference.id(),
                    sequence_number: 0,
                };
                let honest = if honest { block.transactions.len() } else { 0 };
                l2_block(&reference, &block.transactions[..honest])
            };
            let first = safe_block(parent.number + overlap);
            let config = Arc::new(config.clone());
            let safe_head = l2_block_ref(&config, first.hash, &first.block).unwrap();
            let mut derivation = Derivation::new(
                config,
                DerivationStart {
                    safe_head,
                    safe_system_config: system_config,
                    l1: l1[&safe_head.l1_origin.number].reference,
                    l1_system_config: system_config,
                },
            );
            let mut derived = overlap as usize;
            let mut asked = 0;
            while derived < expected.len() {
                match derivation.step() {
                    Step::Need(Request::L1Block { number }) => match l1.get(&number) {
                        Some(block) => derivation.provide(Input::L1Block(block.clone())).unwrap(),
                        None => break,
                    },
                    Step::Need(Request::L2Block { number }) => {
                        derivation.provide(Input::L2Block(safe_block(number))).unwrap();
                        asked += 1;
                    }
                    Step::Execute(given) => {
                        let transactions = given.attributes.transactions.iter().flatten();
                        let hashes: Vec<B256> = transactions
                            .filter(|tx| tx[0] != 0x7e)
                            .map(alloy_primitives::keccak256)
                            .collect();
                        let listed: Vec<B256> = list(&expected[derived]["tx_hashes"])
                            .iter()
                            .map(|hash| hash.as_str().unwrap().parse().unwrap())
                            .collect();
                        assert_eq!(hashes, listed, "{file}: block {derived}");
                        assert_eq!(given.derived_from.number, inclusion);
                        assert_eq!(given.l1_origin.number, expected[derived]["epoch"]);
                        derived += 1;
                        assert_eq!(given.concluding, derived == expected.len());
                        let block = L2BlockRef {
                            hash: B256::repeat_byte(derived as u8),
                            number: given.parent.number + 1,
                            parent_hash: given.parent.hash,
                            timestamp: given.attributes.timestamp,
                            l1_origin: given.l1_origin,
                            sequence_number: 0,
                        };
                        derivation.executed(Executed::Valid(block)).unwrap();
                        assert_eq!(derivation.safe_head() == block, given.concluding);
                    }
                    Step::AdvancedOrigin(_) | Step::Dropped(_) => {}
                    other => panic!("{file}: {other:?}"),
                }
            }
            assert_eq!(derived == expected.len(), honest, "{file}: {overlap}");
            assert_eq!(asked > 0, overlap > 0);
        }
        spans += 1;
    }
    eprintln!("{spans} spans derived");
    assert!(spans > 0 || segments.is_empty());
}

//! Channels and L1 segments of the test vectors, without a panic where there are none.

use std::collections::HashMap;
use std::sync::Arc;

use alloy_consensus::Header;
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{B256, Bloom, Bytes, Log};
use alloy_rlp::Decodable;
use opal_derivation::{DerivationStart, L1Block};
use opal_protocol::blob::Blob;
use opal_protocol::{
    Block, Hardfork, L1BlockRef, Receipt, RollupConfig, TxEnvelope, TxType, l2_block_ref,
    system_config_of,
};
use opal_tests::vectors::{Vectors, list, optional, parse, text, uint};
use serde_json::Value;

use crate::generate::{ChannelForm, around, opal_config};
use crate::scenario::Scenario;

/// A real channel.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Name of its file, without endings.
    pub name: String,
    /// The chain it belongs to, with made-up addresses.
    pub config: RollupConfig,
    /// Compressed.
    pub data: Bytes,
    /// Decompressed.
    pub stream: Bytes,
    /// By its compression.
    pub brotli: bool,
    /// Number of blocks in its batches.
    pub blocks: usize,
    /// Number of transactions in its batches.
    pub transactions: usize,
}

fn stem(name: &str) -> String {
    name.trim_end_matches(".gz").trim_end_matches(".json").to_owned()
}

/// All channels of the vectors.
pub fn channels() -> Vec<Channel> {
    let files = Vectors::from_env().files("derivation/channels");
    files
        .iter()
        .map(|file| {
            let json = file.json();
            let channel = &json["channel"];
            let data: Bytes = parse(&channel["channel_data"]);
            let brotli = text(&channel["compression"]) == "brotli";
            let fork: Hardfork = text(&json["active_fork"]).parse().unwrap();
            let config = opal_config(fork, uint(&json["chain_id"]), uint(&json["genesis_time"]));
            let reader = opal_protocol::ChannelReader::new(&data, u64::MAX, true).unwrap();
            let batches = list(&channel["batches"]);
            let blocks: Vec<&Value> = batches
                .iter()
                .flat_map(|batch| match optional(batch, "blocks") {
                    Some(blocks) => list(blocks),
                    None => core::slice::from_ref(batch),
                })
                .collect();
            Channel {
                name: stem(&file.name),
                data: data.clone(),
                stream: reader.decompressed().clone(),
                brotli,
                blocks: blocks.len(),
                transactions: blocks.iter().map(|block| list(&block["tx_hashes"]).len()).sum(),
                config,
            }
        })
        .collect()
}

impl Channel {
    /// The channel with an L1 around it.
    pub fn scenario(&self) -> Scenario {
        let blobs = self.config.is_active(Hardfork::Ecotone, u64::MAX);
        let form = ChannelForm { brotli: self.brotli, blobs, others: 0 };
        around(self.config.clone(), &self.stream, form)
    }
}

fn receipt(raw: &Value) -> Receipt {
    let raw: Bytes = parse(raw);
    let (tx_type, mut rest) = match raw.split_first() {
        Some((kind, rest)) if *kind < 0x80 => (TxType::try_from(*kind).unwrap(), rest),
        _ => (TxType::Legacy, raw.as_ref()),
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

fn header(json: &Value) -> Header {
    Header::decode(&mut parse::<Bytes>(&json["header_rlp"]).as_ref()).unwrap()
}

fn transactions(json: &Value) -> Vec<TxEnvelope> {
    list(&json["transactions"])
        .iter()
        .map(|raw| TxEnvelope::decode_2718_exact(&parse::<Bytes>(raw)).unwrap())
        .collect()
}

/// All blobs of the vectors that have a versioned hash.
pub fn blobs() -> HashMap<B256, Box<Blob>> {
    let files = Vectors::from_env().files("blobs");
    let blob = |json: Value| {
        let hash = optional(&json, "versioned_hash").map(parse::<B256>)?;
        Some((hash, Box::new(Blob::from_slice(&parse::<Bytes>(&json["blob"])))))
    };
    files.iter().filter_map(|file| blob(file.json())).collect()
}

/// The segments of L1 from which listed L2 blocks must come out: name, scenario, and the hashes of
/// the blocks after the safe head.
pub fn segments() -> Vec<(String, Scenario, Vec<B256>)> {
    let vectors = Vectors::from_env();
    let mut l1: HashMap<u64, L1Block> = HashMap::new();
    for file in vectors.files("derivation/l1") {
        let json = file.json();
        for json in list(&json["blocks"]) {
            let header = header(json);
            let block = L1Block {
                reference: L1BlockRef::from_header(header.hash_slow(), &header),
                header,
                receipts: Arc::new(list(&json["receipts"]).iter().map(receipt).collect()),
                transactions: Arc::new(transactions(json)),
            };
            l1.insert(block.reference.number, block);
        }
    }
    let files = vectors.files("derivation/expected");
    files
        .iter()
        .map(|file| {
            let json = file.json();
            let rollup = &json["rollup"];
            let fork: Hardfork = text(&rollup["active_fork"]).parse().unwrap();
            let l2_time = uint(&rollup["genesis_l2_time"]);
            let mut config = opal_config(fork, uint(&rollup["chain_id"]), l2_time);
            config.genesis.l2.number = uint(&rollup["genesis_l2_number"]);
            config.batch_inbox_address = parse(&rollup["batch_inbox"]);
            config.deposit_contract_address = parse(&rollup["portal"]);
            config.l1_system_config_address = parse(&rollup["system_config"]);
            let blocks = list(&json["blocks"]);
            let first = Block {
                header: header(&blocks[0]),
                body: alloy_consensus::BlockBody {
                    transactions: transactions(&blocks[0]),
                    ..Default::default()
                },
            };
            let hash = parse(&blocks[0]["hash"]);
            let safe_head = l2_block_ref(&config, hash, &first).unwrap();
            let system_config = system_config_of(&config, hash, &first).unwrap();
            // Derivation begins as early as there are blocks in a row.
            let mut from = safe_head.l1_origin.number;
            while l1.contains_key(&(from - 1)) {
                from -= 1;
            }
            let l1: Vec<L1Block> = (from..).map_while(|number| l1.get(&number).cloned()).collect();
            let start = DerivationStart {
                safe_head,
                safe_system_config: system_config,
                l1: l1[0].reference,
                l1_system_config: system_config,
            };
            let scenario = Scenario { config: Arc::new(config), start, l1, blobs: HashMap::new() };
            let hashes = blocks[1..].iter().map(|block| parse(&block["hash"])).collect();
            (stem(&file.name), scenario, hashes)
        })
        .collect()
}

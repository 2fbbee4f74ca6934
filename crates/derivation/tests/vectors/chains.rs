//! The L1 blocks and blobs that the vectors hold, and what they say of the rollups on them.

use std::collections::HashMap;
use std::panic::catch_unwind;
use std::sync::{Arc, LazyLock};

use alloy_consensus::Header;
use alloy_consensus::proofs::calculate_transaction_root;
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Bloom, BloomInput, Bytes, Log};
use alloy_rlp::Decodable;
use alloy_trie::root::ordered_trie_root_with_encoder;
use opal_derivation::L1Block;
use opal_protocol::blob::Blob;
use opal_protocol::hardfork::TABLE;
use opal_protocol::{
    BlockId, Genesis, Hardfork, HardforkSchedule, L1BlockRef, Receipt, RollupConfig, SystemConfig,
    TxEnvelope, TxType,
};
use opal_tests::vectors::{Outcome, VectorFile, Vectors, list, optional, parse, text, uint};
use serde_json::Value;

/// Everything in the folders of segments and blobs, whatever the files are called. A file that
/// cannot be read is left out here: its own test fails.
static STORE: LazyLock<Store> = LazyLock::new(|| {
    let vectors = Vectors::from_env();
    let mut store = Store::default();
    for file in vectors.files("derivation/l1") {
        if let Ok((segment, blocks)) = catch_unwind(|| read_segment(&file)) {
            for block in blocks {
                store.blocks.insert((segment.l1_chain_id, block.reference.number), block);
            }
            store.segments.push(segment);
        }
    }
    for file in vectors.files("blobs") {
        let read = || {
            let json = file.json();
            let hash = optional(&json, "versioned_hash").map(parse::<B256>);
            hash.map(|hash| (hash, Box::new(Blob::from_slice(&parse::<Bytes>(&json["blob"])))))
        };
        if let Ok(Some((hash, blob))) = catch_unwind(read) {
            store.blobs.insert(hash, blob);
        }
    }
    store
});

#[derive(Default)]
struct Store {
    segments: Vec<Segment>,
    /// By L1 chain id and number.
    blocks: HashMap<(u64, u64), L1Block>,
    blobs: HashMap<B256, Box<Blob>>,
}

struct Segment {
    l1_chain_id: u64,
    /// What is said of the L2 chain.
    rollup: Value,
}

/// One L1 as the vectors know it, with the blobs of all.
pub struct Chain<'a> {
    pub id: u64,
    store: &'a Store,
}

impl Chain<'_> {
    pub fn block(&self, number: u64) -> Option<&L1Block> {
        self.store.blocks.get(&(self.id, number))
    }

    pub fn blob(&self, hash: &B256) -> Option<Box<Blob>> {
        self.store.blobs.get(hash).cloned()
    }

    /// The earliest block, not more than a channel's life before `origin`, from which on the
    /// vectors have all blocks up to `origin`: there derivation starts, as after a restart.
    pub fn start(&self, config: &RollupConfig, origin: u64) -> L1BlockRef {
        let reference = |number| self.block(number).map(|block| block.reference);
        let mut start = reference(origin).expect("the origin of the safe head is in a segment");
        let first = origin.saturating_sub(config.channel_timeout(start.timestamp));
        while start.number > first
            && let Some(before) = reference(start.number - 1)
        {
            start = before;
        }
        start
    }
}

/// The L1 with this chain id.
pub fn chain(id: u64) -> Chain<'static> {
    Chain { id, store: &STORE }
}

/// The L1 on which there are segments of this L2 chain, and what they say of it.
pub fn segments_of(json: &Value) -> Option<(Chain<'static>, &'static Value)> {
    let same = |rollup: &Value| {
        ["chain", "chain_id"]
            .iter()
            .any(|key| optional(json, key).is_some_and(|ours| optional(rollup, key) == Some(ours)))
    };
    let segment = STORE.segments.iter().find(|segment| same(&segment.rollup))?;
    Some((chain(segment.l1_chain_id), &segment.rollup))
}

pub fn header(block: &Value) -> Header {
    let header = Header::decode(&mut parse::<Bytes>(&block["header_rlp"]).as_ref()).unwrap();
    assert_eq!(
        header.hash_slow(),
        parse::<B256>(&block["hash"]),
        "hash of block {}",
        header.number
    );
    header
}

pub fn transactions(block: &Value) -> Vec<TxEnvelope> {
    list(&block["transactions"])
        .iter()
        .map(|raw| TxEnvelope::decode_2718_exact(&parse::<Bytes>(raw)).unwrap())
        .collect()
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

fn read_segment(file: &VectorFile) -> (Segment, Vec<L1Block>) {
    let json = file.json();
    if !json["l1_chain_id"].is_u64() || !json["blocks"].is_array() {
        file.not_understood(&json);
    }
    let blocks = list(&json["blocks"]).iter().map(|json| {
        let header = header(json);
        L1Block {
            reference: L1BlockRef::from_header(header.hash_slow(), &header),
            header,
            // Where there are none, the bloom filter says that none is of interest.
            receipts: Arc::new(list(&json["receipts"]).iter().map(receipt).collect()),
            transactions: Arc::new(transactions(json)),
        }
    });
    let segment =
        Segment { l1_chain_id: uint(&json["l1_chain_id"]), rollup: json["rollup"].clone() };
    (segment, blocks.collect())
}

/// A segment is what it claims to be: blocks in a row, with the roots that their headers have.
pub fn check_segment(file: &VectorFile) -> Outcome {
    let (segment, blocks) = read_segment(file);
    for pair in blocks.windows(2) {
        assert_eq!(pair[1].header.parent_hash, pair[0].reference.hash);
    }
    for L1Block { header, receipts, transactions, .. } in &blocks {
        let number = header.number;
        assert_eq!(calculate_transaction_root(transactions), header.transactions_root, "{number}");
        if receipts.is_empty() && !transactions.is_empty() {
            for key in ["portal", "system_config"] {
                let Some(address) = optional(&segment.rollup, key) else { continue };
                let address = BloomInput::Raw(parse::<Address>(address).as_slice()).into();
                let may_hold: bool = header.logs_bloom.contains(&address);
                assert!(!may_hold, "block {number} may hold logs of {key} but has no receipts");
            }
            continue;
        }
        let root =
            ordered_trie_root_with_encoder(receipts, |receipt, out| receipt.encode_2718(out));
        assert_eq!(root, header.receipts_root, "{number}");
    }
    Outcome::Checked(blocks.len())
}

/// A block of the L2 chain by which number and time are tied to each other.
#[derive(Clone, Copy)]
pub struct Anchor {
    /// Absent where the vector knows only the time.
    pub number: Option<u64>,
    pub timestamp: u64,
}

/// The configuration of a chain out of what the vectors say of it, in any of `sources`, the first
/// one that has a key counts. Constants stand in for what chains rarely set otherwise.
pub fn config(sources: &[&Value], l1_chain_id: u64, anchor: Anchor) -> RollupConfig {
    let get = |keys: &[&str]| {
        keys.iter().find_map(|key| sources.iter().find_map(|source| optional(source, key)))
    };
    let number = |keys: &[&str], default: u64| get(keys).map_or(default, uint);
    let address = |keys: &[&str]| get(keys).map_or(Address::ZERO, parse);
    let block_time = number(&["block_time"], 2);
    let l2_time = number(
        &["genesis_l2_time", "genesis_time"],
        anchor.timestamp - anchor.number.unwrap_or_default() * block_time,
    );
    let since = (anchor.timestamp - l2_time) / block_time;
    let genesis = anchor.number.map_or(0, |number| number - since);
    RollupConfig {
        genesis: Genesis {
            l1: BlockId::default(),
            l2: BlockId {
                hash: B256::ZERO,
                number: number(&["genesis_l2_number", "genesis_number"], genesis),
            },
            l2_time,
            system_config: SystemConfig::default(),
        },
        block_time,
        max_sequencer_drift_config: number(&["max_sequencer_drift"], 600),
        seq_window_size: number(&["seq_window_size"], 3600),
        channel_timeout_config: number(&["channel_timeout"], 300),
        l1_chain_id,
        l2_chain_id: number(&["chain_id", "l2_chain_id"], 0),
        schedule: schedule(sources),
        pectra_blob_schedule_time: sources
            .iter()
            .find_map(|source| activation(source, "pectra_blob_schedule_time")),
        batch_inbox_address: address(&["batch_inbox"]),
        deposit_contract_address: address(&["portal"]),
        l1_system_config_address: address(&["system_config"]),
        chain_op_config: Default::default(),
        ..RollupConfig::default()
    }
}

fn activation(source: &Value, key: &str) -> Option<u64> {
    optional(source, key).or_else(|| optional(&source["hardforks"], key)).map(uint)
}

/// The activation times that are given; if there are none, all forks up to the active one from the
/// beginning.
fn schedule(sources: &[&Value]) -> HardforkSchedule {
    let mut schedule = HardforkSchedule::at_genesis(Hardfork::Bedrock);
    for row in &TABLE {
        let Some(key) = row.rollup_key else { continue };
        let time = sources.iter().find_map(|source| activation(source, key));
        schedule.set(row.fork, time);
    }
    if schedule != HardforkSchedule::at_genesis(Hardfork::Bedrock) {
        return schedule;
    }
    let active = sources.iter().find_map(|source| optional(source, "active_fork"));
    HardforkSchedule::at_genesis(match text(active.expect("the vector names its fork")) {
        // The L1 fix between Holocene and Isthmus is no fork of the table.
        "pectra_blob_schedule" => Hardfork::Holocene,
        name => name.parse().unwrap(),
    })
}

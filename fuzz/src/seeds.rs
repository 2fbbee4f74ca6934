//! First inputs, made with our own encoders; and, where `OPAL_VECTORS` names the folder of the test
//! vectors, out of these.

use std::fs;
use std::io::{Read, Result};
use std::path::Path;

use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use opal_protocol::batcher_tx::encode_batcher_data;
use opal_protocol::compress::{compress_brotli, compress_zlib};
use opal_protocol::l1_info::L1InfoForm;
use opal_protocol::{
    ChannelId, DepositTransaction, Frame, Genesis, Hardfork, HardforkSchedule, L1BlockInfo,
    RollupConfig, SingularBatch, TxEnvelope,
};
use serde_json::Value;

/// Bytes without a pattern, the same in every run.
fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + 32);
    let mut hash = keccak256([seed]);
    while out.len() < length {
        out.extend_from_slice(hash.as_slice());
        hash = keccak256(hash);
    }
    out.truncate(length);
    out
}

fn batch(n: u8) -> SingularBatch {
    SingularBatch {
        parent_hash: B256::repeat_byte(n),
        epoch_num: n.into(),
        epoch_hash: B256::repeat_byte(n ^ 0xff),
        timestamp: 1_000 + u64::from(n),
        transactions: vec![Bytes::from(noise(n, 40)); usize::from(n % 3)],
    }
}

fn config() -> RollupConfig {
    let mut schedule = HardforkSchedule::at_genesis(Hardfork::Granite);
    schedule.set(Hardfork::Holocene, Some(77));
    let mut config = RollupConfig {
        genesis: Genesis { l2_time: 10, ..Genesis::default() },
        block_time: 2,
        max_sequencer_drift_config: 600,
        seq_window_size: 3600,
        channel_timeout_config: 300,
        l1_chain_id: 900,
        l2_chain_id: 901,
        schedule,
        batch_inbox_address: Address::repeat_byte(1),
        deposit_contract_address: Address::repeat_byte(2),
        l1_system_config_address: Address::repeat_byte(3),
        ..RollupConfig::default()
    };
    config.genesis.l1.hash = B256::repeat_byte(4);
    config.genesis.l2.hash = B256::repeat_byte(5);
    config.genesis.system_config.batcher_address = Address::repeat_byte(6);
    config.genesis.system_config.scalar = B256::repeat_byte(7);
    config.genesis.system_config.gas_limit = 30_000_000;
    config
}

/// Inputs for a target, made with our encoders.
pub fn encoded(target: &str) -> Vec<Vec<u8>> {
    #[cfg(feature = "execution")]
    if let Some(target) = crate::execution::TARGETS.iter().find(|found| found.name == target) {
        return (target.seeds)();
    }
    let mut seeds = all_encoded();
    seeds.retain(|(name, _)| *name == target);
    seeds.into_iter().map(|(_, bytes)| bytes).collect()
}

/// Target and bytes.
fn all_encoded() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = Vec::new();
    let frame = |number: u16, data: &'static [u8], is_last| Frame {
        id: ChannelId([3; 16]),
        number,
        data: Bytes::from_static(data),
        is_last,
    };
    let data = encode_batcher_data(&[frame(0, b"some", false), frame(1, b"data", true)]);
    seeds.push(("frame", data[1..].to_vec()));
    seeds.push(("batcher_transaction", data.to_vec()));
    seeds.push(("alt_da", [&[0][..], &noise(1, 32)].concat()));
    seeds.push(("alt_da", [&[1][..], &noise(2, 40)].concat()));

    let stream: Vec<u8> = (0..4).flat_map(|n| batch(n).encode_for_channel()).collect();
    // The byte before is the mode: the stream as it is, with the limit of 100 kB.
    seeds.push(("channel", [&[4 << 2][..], &compress_zlib(&stream)].concat()));
    let brotli = compress_brotli(&stream).unwrap_or_default();
    seeds.push(("channel", [&[4 << 2, 1][..], &brotli].concat()));
    let empty = vec![0u8; 300_000];
    seeds.push(("channel", [&[4 << 2][..], &compress_zlib(&empty)].concat()));
    // No output at all.
    for mode in 0..4 {
        seeds.push(("channel", [&[mode][..], &noise(mode, 400)].concat()));
    }
    for mode in 1..4 {
        seeds.push(("channel", [&[4 << 2 | mode][..], &noise(mode, 400)].concat()));
    }
    for n in 0..3 {
        let batch = alloy_rlp::encode(batch(n));
        seeds.push(("batch_singular", batch));
    }
    seeds.push(("blob", [&[1, 0][..], &noise(1, 200)].concat()));
    seeds.push(("blob", [&[0xf1, 0][..], &noise(2, 50)].concat()));
    seeds.push(("blob", vec![0, 0, 0, 0, 0, 5, 1, 2, 3]));
    for form in [L1InfoForm::Bedrock, L1InfoForm::Ecotone, L1InfoForm::Isthmus, L1InfoForm::Jovian]
    {
        let info = L1BlockInfo { form, number: 5, base_fee: U256::from(7), ..Default::default() };
        seeds.push(("l1_info", info.encode().to_vec()));
    }
    seeds.push(("rollup_config", serde_json::to_vec(&config()).unwrap_or_default()));
    let deposit = DepositTransaction { mint: 5, input: noise(1, 10).into(), ..Default::default() };
    seeds.push(("transaction", TxEnvelope::from(deposit).encoded_2718()));
    for tx in crate::pipeline::user_transactions().iter().take(4) {
        seeds.push(("transaction", tx.to_vec()));
    }
    for n in 0..8 {
        seeds.push(("batch_span", [&[1][..], &noise(n, 300 << (n % 4))].concat()));
        seeds.push(("deposit_log", noise(n, 400)));
        seeds.push(("system_config", noise(n, 600)));
    }
    for n in 0..32 {
        seeds.push(("pipeline", noise(n, 500 << (n % 4))));
    }
    for n in 0..8 {
        seeds.push(("span_builder", noise(n, 300 << (n % 4))));
    }
    let repeated = stream.repeat(3);
    for level in [0, 1, 6, 9] {
        let deflated = miniz_oxide::deflate::compress_to_vec(&repeated, level);
        seeds.push(("inflate", [&[0][..], &deflated].concat()));
        let zlib = miniz_oxide::deflate::compress_to_vec_zlib(&noise(level, 100), level);
        seeds.push(("inflate", [&[1][..], &zlib].concat()));
    }
    seeds.push(("upgrade_bundle", crate::pipeline::bundle_json().into_bytes()));
    seeds.push(("recording", crate::pipeline::recording(&noise(4, 2000)).into_bytes()));
    seeds.push(("receipt", crate::codecs::a_receipt()));
    seeds.extend(crate::evm::seeds());
    seeds
}

/// Which targets read what stands in which folder of the vectors, and the bytes before it.
const FOLDERS: &[(&str, &str, &[u8])] = &[
    ("derivation", "batcher_transaction", &[]),
    ("derivation/channels", "channel", &[7 << 2]),
    ("derivation/span", "batch_span", &[0]),
    ("blobs", "blob", &[0]),
    ("l1info", "l1_info", &[]),
    ("txs", "transaction", &[]),
];

/// Files that stand directly in the folder, unpacked.
fn files(folder: &Path) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.to_string_lossy().into_owned();
        let mut text = Vec::new();
        if name.ends_with(".json.gz") {
            flate2::read::GzDecoder::new(fs::File::open(&path)?).read_to_end(&mut text)?;
        } else if name.ends_with(".json") {
            text = fs::read(&path)?;
        }
        out.extend(serde_json::from_slice::<Value>(&text));
    }
    Ok(out)
}

/// All byte strings in a JSON value.
fn byte_strings(value: &Value, out: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) if text.starts_with("0x") => out.extend(hex::decode(text)),
        Value::Array(list) => list.iter().for_each(|value| byte_strings(value, out)),
        Value::Object(map) => map.values().for_each(|value| byte_strings(value, out)),
        _ => {}
    }
}

/// Writes a target's seeds into the folder that `OPAL_FUZZ_SEEDS` names. The fuzzer calls this
/// before it reads its corpus.
///
/// # Panics
/// When a file cannot be read or written.
pub fn write(target: &str) {
    let Some(folder) = std::env::var_os("OPAL_FUZZ_SEEDS").filter(|path| !path.is_empty()) else {
        return;
    };
    write_to(Path::new(&folder), target).unwrap();
}

fn write_to(folder: &Path, target: &str) -> Result<()> {
    let mut seeds = encoded(target);
    if let Some(vectors) = std::env::var_os("OPAL_VECTORS").filter(|path| !path.is_empty()) {
        for (name, _, before) in FOLDERS.iter().filter(|(_, name, _)| *name == target) {
            let mut found = Vec::new();
            for value in files(&Path::new(&vectors).join(name))? {
                byte_strings(&value, &mut found);
            }
            found.retain(|bytes| (33..200_000).contains(&bytes.len()));
            seeds.extend(found.into_iter().map(|bytes| [before, &bytes[..]].concat()));
        }
    }
    fs::create_dir_all(folder)?;
    for bytes in seeds {
        fs::write(folder.join(format!("{:x}", keccak256(&bytes))), bytes)?;
    }
    Ok(())
}

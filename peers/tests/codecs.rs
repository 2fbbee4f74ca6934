//! Codecs, value by value: what the vectors hold and thousands of mutations of it must be accepted
//! or refused by both sides alike, and give the same value. Where the sides differ, the reason is a
//! row of [`DEVIATIONS`]; a difference without one fails.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use kona_derive::{BlobSource, DataAvailabilityProvider, PipelineError, PipelineErrorKind};
use kona_protocol::{Batch as KonaBatch, BatchReader, L1BlockInfoTx, decode_deposit};
use opal_peers::generate::{self, Rng};
use opal_peers::{kona, vectors};
use opal_protocol::batch::Batch;
use opal_protocol::batcher_tx::decode_batcher_data;
use opal_protocol::blob::{Blob, decode_blob, encode_blob};
use opal_protocol::deposit::{TRANSACTION_DEPOSITED, decode_deposit_log};
use opal_protocol::frame::FrameError;
use opal_protocol::l1_info::{L1BlockInfo, L1InfoForm};
use opal_protocol::span_batch::SpanChain;
use opal_protocol::system_config::CONFIG_UPDATE;
use opal_protocol::{ChannelReader, Hardfork, RollupConfig, SystemConfig, TxEnvelope};
use opal_tests::vectors::{Vectors, list, optional, parse};
use serde_json::Value;

/// Name, who is right and why. The numbers are those of kona's later fixes in the public history
/// of its repository; "op-node" is the reference implementation.
const DEVIATIONS: [(&str, &str); 16] = [
    ("frame-is-last", "kona 0.4.5 reads any other byte than 1 as false; op-node refuses the data"),
    ("batch-type", "kona 0.4.5 panics on an unknown batch type; op-node drops the channel's rest"),
    ("span-panic", "kona 0.4.5 panics on a span whose columns end early; op-node refuses it"),
    ("span-bits", "kona 0.4.5 fills bit lists that end early with zeroes; op-node refuses them"),
    ("span-varint", "kona 0.4.5 refuses numbers with needless zero bytes; op-node reads them"),
    ("span-number", "kona 0.4.5 limits fees and values to its types; op-node takes any size"),
    ("span-limit", "kona 0.4.5 lets transaction data exceed 10^7 bytes; op-node does not"),
    (
        "channel-last",
        "op-node loses the last batch before an error that comes with its end; kona 0.4.5 reads it",
    ),
    ("channel-damaged", "kona 0.4.5 drops a damaged zlib channel; op-node reads up to the damage"),
    ("blob-zero", "kona 0.4.5 takes a zero blob for a missing one; op-node decodes it to nothing"),
    ("deposit-address", "kona 0.4.5 refuses padding before addresses; op-node does not look at it"),
    ("deposit-offset", "kona 0.4.5 looks at 8 bytes of offset and length; op-node at all 32"),
    (
        "deposit-mint",
        "kona 0.4.5 reads the low 128 bits of the mint; we refuse more, op-node has 256",
    ),
    ("l1-info-padding", "kona 0.4.5 looks at no padding and cuts long fees; op-node does neither"),
    (
        "config-padding",
        "kona 0.4.5 does not look at padding of types and numbers; op-node refuses it",
    ),
    ("config-later", "updates of Jovian and checks of Holocene that kona 0.4.5 does not have"),
];

/// Counts of what was compared.
#[derive(Default)]
struct Tally {
    same: usize,
    accepted: usize,
    excused: BTreeMap<&'static str, usize>,
    /// Told at the end, because the peer's panics are silenced until then.
    wrong: Vec<String>,
}

impl Tally {
    fn same(&mut self, accepted: bool) {
        self.same += 1;
        self.accepted += usize::from(accepted);
    }

    fn excuse(&mut self, name: &'static str) {
        assert!(DEVIATIONS.iter().any(|(known, _)| *known == name), "{name} is not in the table");
        *self.excused.entry(name).or_default() += 1;
    }

    fn report(&self, what: &str) {
        println!(
            "{what}: {} the same, {} of them accepted; {:?}",
            self.same, self.accepted, self.excused
        );
    }
}

/// One change or a few: bits, bytes, cuts, growth, a piece of something else.
fn mutate(rng: &mut Rng, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=rng.below(3) {
        let length = data.len() as u64;
        let at = rng.below(length) as usize;
        if data.is_empty() {
            data.push(rng.next() as u8);
            continue;
        }
        match rng.below(8) {
            0 | 1 => data[at] ^= 1 << rng.below(8),
            2 => data[at] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5) as usize],
            3 => data[at] = rng.next() as u8,
            4 => data.truncate(at),
            5 => data.extend((0..=rng.below(40)).map(|_| 0)),
            6 => {
                data.drain(at..(at + 1 + rng.below(32) as usize).min(data.len()));
            }
            _ => {
                if !other.is_empty() {
                    let from = rng.below(other.len() as u64) as usize;
                    let until = (from + 1 + rng.below(64) as usize).min(other.len());
                    data.splice(at..at, other[from..until].iter().copied());
                }
            }
        }
    }
    data
}

/// The seeds, then `count` mutations of them.
fn with_mutations(seed: u64, seeds: &[Bytes], count: usize) -> impl Iterator<Item = Bytes> {
    let mut rng = Rng(seed);
    let seeds = seeds.to_vec();
    let total = if seeds.is_empty() { 0 } else { seeds.len() + count };
    (0..total).map(move |at| match seeds.get(at) {
        Some(seed) => seed.clone(),
        None => {
            let seed = &seeds[rng.below(seeds.len() as u64) as usize];
            let other = &seeds[rng.below(seeds.len() as u64) as usize];
            mutate(&mut rng, seed, other).into()
        }
    })
}

/// Runs the peer, which panics on some inputs; the panics' messages are not shown.
fn guarded<T>(f: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(f)).ok()
}

fn json_files(folder: &str) -> Vec<Value> {
    Vectors::from_env().files(folder).iter().map(|file| file.json()).collect()
}

#[test]
fn vectors_frames() {
    let mut seeds: Vec<Bytes> = Vec::new();
    let files = Vectors::from_env().files("derivation");
    for json in files.iter().filter(|f| f.name.contains("json")).map(|f| f.json()) {
        let cases = list(&json["cases"]);
        seeds.extend(cases.iter().filter_map(|case| optional(case, "data")).map(parse::<Bytes>));
    }
    let frame = |number: u16, length: usize, is_last| opal_protocol::Frame {
        id: opal_protocol::ChannelId([7; 16]),
        number,
        data: Bytes::from(vec![3; length]),
        is_last,
    };
    let frames = [frame(0, 30, false), frame(1, 0, false), frame(2, 50, true)];
    seeds.push(opal_protocol::batcher_tx::encode_batcher_data(&frames));
    let mut tally = Tally::default();
    for data in with_mutations(1, &seeds, 20_000) {
        let ours = decode_batcher_data(&data);
        let theirs = kona_protocol::Frame::parse_frames(&data);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                assert_eq!(ours.len(), theirs.len(), "{data}");
                for (ours, theirs) in ours.iter().zip(&theirs) {
                    let fields = (ours.id.0, ours.number, &ours.data[..], ours.is_last);
                    let peer = (theirs.id, theirs.number, &theirs.data[..], theirs.is_last);
                    assert_eq!(fields, peer, "{data}");
                }
                tally.same(true);
            }
            (Err(_), Err(_)) => tally.same(false),
            (Err(FrameError::IsLast { .. }), Ok(_)) => tally.excuse("frame-is-last"),
            (ours, theirs) => panic!("{data}: {ours:?}, the peer {theirs:?}"),
        }
    }
    tally.report("frames");
}

/// A batch in a form that both sides' values come to: timestamp, epoch, hashes as far as there are,
/// transactions.
#[derive(Debug, PartialEq, Eq)]
struct Plain {
    checks: (Vec<u8>, Vec<u8>),
    blocks: Vec<(u64, u64, Vec<Bytes>)>,
}

fn plain(batch: Batch, config: &RollupConfig) -> Result<Plain, String> {
    match batch {
        Batch::Singular(b) => Ok(Plain {
            checks: (b.parent_hash.to_vec(), b.epoch_hash.to_vec()),
            blocks: vec![(b.timestamp, b.epoch_num, b.transactions)],
        }),
        Batch::Span(raw) => {
            let span = raw
                .into_span(config.block_time, config.genesis.l2_time, config.l2_chain_id)
                .map_err(|error| error.to_string())?;
            Ok(Plain {
                checks: (span.parent_check().to_vec(), span.l1_origin_check().to_vec()),
                blocks: span.blocks().map(|b| (b.timestamp, b.epoch_num, b.transactions)).collect(),
            })
        }
    }
}

fn kona_plain(batch: KonaBatch) -> Plain {
    match batch {
        KonaBatch::Single(b) => Plain {
            checks: (b.parent_hash.to_vec(), b.epoch_hash.to_vec()),
            blocks: vec![(b.timestamp, b.epoch_num, b.transactions)],
        },
        KonaBatch::Span(b) => Plain {
            checks: (b.parent_check.to_vec(), b.l1_origin_check.to_vec()),
            blocks: b
                .batches
                .into_iter()
                .map(|b| (b.timestamp, b.epoch_num, b.transactions))
                .collect(),
        },
    }
}

/// Whether a span has numbers in more bytes than they need: what it says in the shortest form is
/// other bytes.
fn is_overlong(data: &Bytes, config: &RollupConfig) -> bool {
    let Ok(Batch::Span(raw)) = Batch::decode(data) else { return false };
    let first_origin_changes = raw.first_origin_changes();
    let chain = SpanChain::from(config);
    let span = raw.into_span(chain.block_time, chain.genesis_time, chain.chain_id).unwrap();
    let shortest = span.encode(chain, first_origin_changes).unwrap();
    !data[1..].starts_with(&shortest)
}

/// Why the sides may differ on this batch, if they may.
fn batch_excuse(
    data: &Bytes,
    config: &RollupConfig,
    ours: &Result<Plain, String>,
    theirs: &Option<Option<Plain>>,
) -> Option<&'static str> {
    match (ours, theirs) {
        (_, None) if data.first().is_some_and(|kind| *kind > 1) => Some("batch-type"),
        (_, None) => Some("span-panic"),
        (Ok(ours), Some(None)) => {
            // Our decoder, like op-node's, moves bytes; the peer decodes into types. What is no
            // transaction for alloy's types is none for the peer.
            let mut all = ours.blocks.iter().flat_map(|(_, _, txs)| txs);
            if all.any(|tx| TxEnvelope::decode_2718_exact(tx).is_err()) {
                return Some("span-number");
            }
            is_overlong(data, config).then_some("span-varint")
        }
        (Err(error), Some(Some(_))) if error.contains("_bits") => Some("span-bits"),
        (Err(error), Some(Some(_))) if error.contains("exceeds the limit") => Some("span-limit"),
        _ => None,
    }
}

fn compare_batch(tally: &mut Tally, data: &Bytes, config: &RollupConfig) {
    let peer = kona::rollup_config(config);
    let ours = Batch::decode(data)
        .map_err(|error| error.to_string())
        .and_then(|batch| plain(batch, config));
    let theirs = guarded(|| KonaBatch::decode(&mut data.as_ref(), &peer).ok().map(kona_plain));
    match (&ours, &theirs) {
        (Ok(ours), Some(Some(theirs))) if ours == theirs => return tally.same(true),
        (Err(_), Some(None)) => return tally.same(false),
        _ => {}
    }
    match batch_excuse(data, config, &ours, &theirs) {
        Some(name) => tally.excuse(name),
        None => {
            let (head, length) = (data.slice(..data.len().min(400)), data.len());
            let ours = ours.map(|plain| plain.blocks.len());
            let theirs = theirs.map(|theirs| theirs.map(|plain| plain.blocks.len()));
            tally.wrong.push(format!("{length} bytes {head}: {ours:?}, the peer {theirs:?}"));
        }
    }
}

#[test]
fn vectors_batches() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut tally = Tally::default();
    let mut small: Vec<Bytes> = Vec::new();
    for channel in vectors::channels() {
        let mut rest = channel.stream.as_ref();
        while !rest.is_empty() {
            let batch = alloy_rlp::Header::decode_bytes(&mut rest, false).unwrap();
            let batch = Bytes::copy_from_slice(batch);
            compare_batch(&mut tally, &batch, &channel.config);
            if batch.len() < 10_000 {
                small.push(batch);
            }
        }
    }
    for json in json_files("derivation/span") {
        let body: Bytes = parse(&json["raw_span_body"]);
        let mut config = generate::config(Hardfork::Ecotone);
        config.l2_chain_id = opal_tests::vectors::uint(&json["chain_id"]);
        config.genesis.l2_time = opal_tests::vectors::uint(&json["genesis_time"]);
        let batch = Bytes::from([&[1], &body[..]].concat());
        compare_batch(&mut tally, &batch, &config);
        small.push(batch);
    }
    // Batches of a few transactions are those in which a mutation hits a column's edge.
    let config = generate::config(Hardfork::Isthmus);
    for seed in 0..40 {
        let blocks = generate::blocks(&config, seed, 1 + seed % 5, seed % 4);
        for stream in [generate::span_stream(&config, &blocks), generate::singular_stream(&blocks)]
        {
            let mut rest = stream.as_ref();
            let batch = alloy_rlp::Header::decode_bytes(&mut rest, false).unwrap();
            small.push(Bytes::copy_from_slice(batch));
        }
    }
    for batch in with_mutations(2, &small, 20_000) {
        compare_batch(&mut tally, &batch, &config);
    }
    let _ = std::panic::take_hook();
    tally.report("batches");
    let shown = tally.wrong.len().min(5);
    assert!(shown == 0, "{} differ: {:#?}", tally.wrong.len(), &tally.wrong[..shown]);
}

#[test]
fn vectors_damaged_channels() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut tally = Tally::default();
    let mut rng = Rng(3);
    for channel in vectors::channels() {
        let mut peer = kona::rollup_config(&channel.config);
        peer.hardforks.fjord_time = Some(0);
        let limit = 100_000_000;
        for at in 0..30 {
            let data = if at == 0 {
                channel.data.to_vec()
            } else {
                mutate(&mut rng, &channel.data, &channel.data)
            };
            let ours: Vec<Result<Plain, String>> = ChannelReader::new(&data, limit, true)
                .map_or_else(
                    |_| Vec::new(),
                    |mut reader| {
                        std::iter::from_fn(|| reader.next_batch())
                            .take_while(Result::is_ok)
                            .map(|batch| plain(batch.unwrap(), &channel.config))
                            .collect()
                    },
                );
            let theirs = guarded(|| {
                let mut reader = BatchReader::new(data.clone(), limit as usize);
                std::iter::from_fn(|| reader.next_batch(&peer)).map(kona_plain).collect::<Vec<_>>()
            });
            let Some(theirs) = theirs else {
                tally.excuse("span-panic");
                continue;
            };
            // What the peer reads, we read; but for the last batch, and never of what is whole.
            let mut pairs = ours.iter().zip(&theirs);
            let more = theirs.len().saturating_sub(ours.len());
            if more > usize::from(at > 0) || pairs.any(|(ours, theirs)| ours.as_ref() != Ok(theirs))
            {
                let (ours, theirs) = (ours.len(), theirs.len());
                tally.wrong.push(format!("{} mutation {at}: {ours}, {theirs}", channel.name));
            }
            if theirs.len() == ours.len() {
                tally.same(!ours.is_empty());
            } else if more > 0 {
                tally.excuse("channel-last");
            } else {
                tally.excuse("channel-damaged");
            }
        }
    }
    let _ = std::panic::take_hook();
    tally.report("damaged channels");
    assert!(tally.wrong.is_empty(), "{:?}", tally.wrong);
}

#[test]
fn vectors_blobs() {
    let mut seeds: Vec<Box<Blob>> = vectors::blobs().into_values().collect();
    for json in json_files("blobs") {
        for case in list(&json["decode"]) {
            let prefix: Bytes = parse(&case["blob_prefix"]);
            let mut blob = Box::new(Blob::ZERO);
            blob[..prefix.len()].copy_from_slice(&prefix);
            seeds.push(blob);
        }
        for sidecar in list(&json["data"]) {
            seeds.push(Box::new(Blob::from_slice(&parse::<Bytes>(&sidecar["blob"]))));
        }
    }
    let mut rng = Rng(4);
    for length in [0, 1, 26, 27, 28, 122, 123, 124, 250, 5000, 130_043, 130_044] {
        seeds.push(encode_blob(&rng.bytes(length)).unwrap());
    }
    let mut tally = Tally::default();
    let originals = seeds.len();
    for round in 0..3_000 {
        let blob = if round < originals {
            seeds[round].clone()
        } else {
            let mut blob = seeds[rng.below(originals as u64) as usize].clone();
            for _ in 0..=rng.below(2) {
                // Half of the changes hit the head.
                let range = if rng.below(2) == 0 { 64 } else { blob.len() as u64 };
                let at = rng.below(range) as usize;
                blob[at] ^= 1 << rng.below(8);
            }
            blob
        };
        let ours = decode_blob(&blob).ok();
        let (block, by_hash) = generate::blob_block(core::slice::from_ref(&blob));
        let chain = kona::Chain::new(core::slice::from_ref(&block));
        let blobs: HashMap<B256, Box<Blob>> = by_hash;
        let mut source =
            BlobSource::new(chain, kona::Blobs::new(&blobs), Address::repeat_byte(0xff));
        let info = kona::block_info(block.reference);
        let theirs = kona::now(source.next(&info, generate::batcher().address()));
        match (ours, theirs) {
            (Some(ours), Ok(theirs)) if ours == theirs => tally.same(true),
            (None, Err(PipelineErrorKind::Temporary(PipelineError::Eof))) => tally.same(false),
            (Some(_), Err(_)) if blob.iter().all(|byte| *byte == 0) => tally.excuse("blob-zero"),
            (ours, theirs) => panic!(
                "blob {}: {:?}, the peer {:?}",
                Bytes::copy_from_slice(&blob[..64]),
                ours.map(|data| data.len()),
                theirs.map(|data| data.len())
            ),
        }
    }
    tally.report("blobs");
}

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

//! Files of L1 blocks, L2 blocks and blobs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use alloy_consensus::proofs::{calculate_transaction_root, ordered_trie_root_with_encoder};
use alloy_eips::eip2718::Decodable2718;
use alloy_eips::eip4844::kzg_to_versioned_hash;
use alloy_primitives::{Address, B256, BloomInput, Bytes, FixedBytes, hex};
use eyre::{WrapErr, bail, ensure, eyre};
use flate2::read::MultiGzDecoder;
use opal_da::blob_versioned_hash;
use opal_derivation::L1Block;
use opal_derivation::recording::{self, MAX_LINE, RawBlock, l1_block, l2_block};
use opal_protocol::blob::{BLOB_SIZE, Blob};
use opal_protocol::{Receipt, RollupConfig, SealedBlock, TxEnvelope};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Longest file, unpacked.
const MAX_FILE: u64 = 2 << 30;
/// Most files in a folder tree.
const MAX_FILES: usize = 100_000;

/// What a segment says of the rollup that it was cut out for.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Rollup {
    pub(super) chain: Option<String>,
    pub(super) chain_id: Option<u64>,
}

/// Everything that was read.
#[derive(Debug, Default)]
pub(super) struct Data {
    pub(super) rollup: Option<Rollup>,
    /// By L1 chain and number.
    segments: BTreeMap<u64, BTreeMap<u64, Held>>,
    /// Those of the chain's L1, by number, after [`Data::select`].
    pub(super) l1: BTreeMap<u64, Held>,
    /// Known L2 blocks by number.
    pub(super) l2: BTreeMap<u64, SealedBlock>,
    blobs: BTreeMap<B256, HeldBlob>,
}

/// An L1 block, and whether its receipts were left out because nothing in them is of interest.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) block: L1Block,
    without_receipts: bool,
    path: PathBuf,
}

fn open(path: &Path) -> eyre::Result<Box<dyn BufRead>> {
    let file = File::open(path).wrap_err_with(|| path.display().to_string())?;
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    Ok(if packed {
        Box::new(BufReader::new(MultiGzDecoder::new(BufReader::new(file))))
    } else {
        Box::new(BufReader::new(file))
    })
}

/// A line of a recording.
pub(super) enum Line {
    /// One that was written to its end.
    Whole(String),
    /// The last one, within which its writer was stopped.
    Torn,
}

/// The lines of a recording, the first of which was looked at.
pub(super) struct Lines {
    first: Option<Line>,
    rest: Box<dyn BufRead>,
}

impl Lines {
    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> eyre::Result<Option<Line>> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => read_line(&mut self.rest),
        }
    }
}

fn read_line(from: &mut dyn BufRead) -> eyre::Result<Option<Line>> {
    let mut line = Vec::new();
    if from.take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    ensure!(line.len() <= MAX_LINE, "a line is longer than {MAX_LINE} bytes");
    // Nothing may be missing of the last line but its end.
    if !line.ends_with(b"\n") && serde_json::from_slice::<IgnoredAny>(&line).is_err() {
        return Ok(Some(Line::Torn));
    }
    let mut line = String::from_utf8(line)?;
    line.truncate(line.trim_end().len());
    Ok(Some(Line::Whole(line)))
}

/// Opens a file that begins as a recording does.
pub(super) fn open_recording(path: &Path) -> eyre::Result<Option<Lines>> {
    let in_file = || format!("--l1-data {}", path.display());
    if path.metadata().wrap_err_with(in_file)?.is_dir() {
        return Ok(None);
    }
    let mut rest = open(path).wrap_err("--l1-data")?;
    // A first line has a configuration; a segment has all its blocks in the first line.
    let mut start = Vec::new();
    let begins = rest.fill_buf().wrap_err_with(in_file)?;
    start.extend_from_slice(begins.get(..512).unwrap_or(begins));
    if !String::from_utf8_lossy(&start).contains(recording::FORMAT) {
        return Ok(None);
    }
    let first = read_line(&mut rest).wrap_err_with(in_file)?;
    Ok(Some(Lines { first, rest }))
}

/// A blob, not yet checked, and the file that it is from.
#[derive(Debug)]
struct HeldBlob {
    blob: Box<Blob>,
    path: PathBuf,
}

/// The fields of a segment or of expected blocks.
#[derive(Deserialize)]
struct Blocks {
    l1_chain_id: u64,
    #[serde(default)]
    rollup: Rollup,
    blocks: Vec<BlockJson>,
}

#[derive(Deserialize)]
struct BlockJson {
    hash: B256,
    header_rlp: Bytes,
    transactions: Vec<Bytes>,
    receipts: Option<Vec<Bytes>>,
}

#[derive(Deserialize)]
struct BlobJson {
    versioned_hash: B256,
    kzg_commitment: Option<FixedBytes<48>>,
    blob: String,
}

impl Data {
    /// Whether there are L1 blocks, of whatever L1.
    pub(super) fn has_l1(&self) -> bool {
        !self.segments.is_empty()
    }

    /// Reads a file, or all files below a folder that are of a known format.
    pub(super) fn read(&mut self, path: &Path) -> eyre::Result<()> {
        if !path.metadata().wrap_err_with(|| path.display().to_string())?.is_dir() {
            let known = self.read_file(path).wrap_err_with(|| path.display().to_string())?;
            ensure!(
                known,
                "{}: none of the formats opal-l1seg-v1, opal-l2expected-v1, opal-blob-v1",
                path.display()
            );
            return Ok(());
        }
        for path in files(path)? {
            self.read_file(&path).wrap_err_with(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// Reads a file; says whether its format is known.
    fn read_file(&mut self, path: &Path) -> eyre::Result<bool> {
        let mut text = Vec::new();
        let read = open(path)?.take(MAX_FILE + 1).read_to_end(&mut text)?;
        ensure!(read as u64 <= MAX_FILE, "longer than {MAX_FILE} bytes");
        let json: Value = serde_json::from_slice(&text)?;
        drop(text);
        let Some(format) = json.get("format").and_then(Value::as_str).map(str::to_owned) else {
            return Ok(false);
        };
        match format.as_str() {
            "opal-l1seg-v1" => self.add_l1(serde_json::from_value(json)?, path)?,
            "opal-l2expected-v1" => self.add_l2(serde_json::from_value(json)?)?,
            "opal-blob-v1" => self.add_blob(&serde_json::from_value(json)?, path)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn add_l1(&mut self, segment: Blocks, path: &Path) -> eyre::Result<()> {
        let blocks = self.segments.entry(segment.l1_chain_id).or_default();
        for (i, json) in segment.blocks.into_iter().enumerate() {
            let in_block = || format!("L1 block {i}");
            let without_receipts = json.receipts.is_none();
            let receipts = list(&json.receipts.unwrap_or_default(), Receipt::decode_2718);
            let block = l1_block(RawBlock {
                header: json.header_rlp.into(),
                transactions: list(&json.transactions, TxEnvelope::decode_2718_exact)
                    .wrap_err("transactions")
                    .wrap_err_with(in_block)?,
                receipts: receipts.wrap_err("receipts").wrap_err_with(in_block)?,
            })
            .wrap_err_with(in_block)?;
            let L1Block { reference, header, .. } = &block;
            let in_block = || format!("L1 block {}", header.number);
            check(reference.hash, json.hash, "hash").wrap_err_with(in_block)?;
            let root = calculate_transaction_root(&block.transactions);
            check(root, header.transactions_root, "transactions root").wrap_err_with(in_block)?;
            if !without_receipts {
                let root = ordered_trie_root_with_encoder(&block.receipts, |receipt, out| {
                    receipt.encode_2718(out);
                });
                check(root, header.receipts_root, "receipts root").wrap_err_with(in_block)?;
            }
            let number = header.number;
            let held = Held { block, without_receipts, path: path.to_owned() };
            if let Some(other) = blocks.insert(number, held)
                && other.block.reference.hash != json.hash
            {
                bail!(
                    "L1 block {number} is {} in {}",
                    other.block.reference.hash,
                    other.path.display()
                );
            }
        }
        if self.rollup.is_none() {
            self.rollup = Some(segment.rollup);
        }
        Ok(())
    }

    fn add_l2(&mut self, expected: Blocks) -> eyre::Result<()> {
        for (i, json) in expected.blocks.into_iter().enumerate() {
            let in_block = || format!("L2 block {i}");
            let block = l2_block(RawBlock {
                header: json.header_rlp.into(),
                transactions: list(&json.transactions, TxEnvelope::decode_2718_exact)
                    .wrap_err("transactions")
                    .wrap_err_with(in_block)?,
                receipts: Vec::new(),
            })
            .wrap_err_with(in_block)?;
            let number = block.header().number;
            let in_block = || format!("L2 block {number}");
            check(block.hash, json.hash, "hash").wrap_err_with(in_block)?;
            let root = calculate_transaction_root(&block.block.body.transactions);
            check(root, block.header().transactions_root, "transactions root")
                .wrap_err_with(in_block)?;
            let hash = block.hash;
            if let Some(other) = self.l2.insert(number, block)
                && other.hash != hash
            {
                bail!("L2 block {number} is {hash}, and {} in another file", other.hash);
            }
        }
        Ok(())
    }

    fn add_blob(&mut self, json: &BlobJson, path: &Path) -> eyre::Result<()> {
        let raw = hex::decode(&json.blob).wrap_err("blob")?;
        ensure!(raw.len() == BLOB_SIZE, "a blob of {} bytes, it must have {BLOB_SIZE}", raw.len());
        if let Some(commitment) = &json.kzg_commitment {
            let hash = kzg_to_versioned_hash(commitment.as_slice());
            check(hash, json.versioned_hash, "versioned hash of the commitment")?;
        }
        let blob = Box::new(Blob::from_slice(&raw));
        self.blobs.insert(json.versioned_hash, HeldBlob { blob, path: path.to_owned() });
        Ok(())
    }

    /// The blob with this versioned hash. That its content is the one that the hash commits to is
    /// checked here, as it takes tens of milliseconds: for the blobs that are used alone.
    pub(super) fn blob(&self, hash: B256, l1_block: u64) -> eyre::Result<Box<Blob>> {
        let HeldBlob { blob, path } = self
            .blobs
            .get(&hash)
            .ok_or_else(|| eyre!("blob {hash} of L1 block {l1_block} is missing: give --blobs"))?;
        match blob_versioned_hash(blob) {
            Some(found) if found == hash => Ok(blob.clone()),
            Some(found) => bail!(
                "{}: the blob for versioned hash {hash} has the KZG commitment of {found}: it is \
                 another blob, or was changed",
                path.display()
            ),
            None => bail!(
                "{}: the blob for versioned hash {hash} is none: a field element is not below the \
                 modulus",
                path.display()
            ),
        }
    }

    /// Keeps the blocks of the chain's L1 alone, and makes sure that receipts which were left out
    /// hold nothing for it.
    pub(super) fn select(&mut self, config: &RollupConfig) -> eyre::Result<()> {
        let ids: Vec<String> = self.segments.keys().map(ToString::to_string).collect();
        let id = config.l1_chain_id;
        self.l1 = self.segments.remove(&id).ok_or_else(|| {
            eyre!(
                "chain {} is on L1 {id}, the L1 data is of L1 {}",
                config.l2_chain_id,
                ids.join(", ")
            )
        })?;
        let contracts = [
            ("the portal", config.deposit_contract_address),
            ("SystemConfig", config.l1_system_config_address),
        ];
        for (number, held) in &self.l1 {
            if !held.without_receipts || held.block.transactions.is_empty() {
                continue;
            }
            for (name, address) in contracts {
                let address: Address = address;
                let input = BloomInput::Raw(address.as_slice());
                ensure!(
                    !held.block.header.logs_bloom.contains_input(input),
                    "{}: L1 block {number} has no receipts, but may hold logs of {name} ({address})",
                    held.path.display()
                );
            }
        }
        Ok(())
    }
}

fn check(computed: B256, given: B256, what: &str) -> eyre::Result<()> {
    ensure!(computed == given, "{what} is {computed}, expected {given}");
    Ok(())
}

fn list<T, E: core::fmt::Display>(
    raw: &[Bytes],
    read: impl Fn(&[u8]) -> Result<T, E>,
) -> eyre::Result<Vec<T>> {
    let read = |(i, raw): (usize, &Bytes)| read(raw).map_err(|error| eyre!("[{i}]: {error}"));
    raw.iter().enumerate().map(read).collect()
}

/// The `.json` and `.json.gz` files below a folder, in order.
fn files(root: &Path) -> eyre::Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let in_folder = || folder.display().to_string();
        for entry in std::fs::read_dir(&folder).wrap_err_with(in_folder)? {
            let entry = entry.wrap_err_with(in_folder)?;
            let (path, kind) = (entry.path(), entry.file_type().wrap_err_with(in_folder)?);
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            // A link to a folder is not followed: it may lead back here.
            if kind.is_dir() {
                folders.push(path);
            } else if name.ends_with(".json") || name.ends_with(".json.gz") {
                out.push(path);
            }
            ensure!(out.len() <= MAX_FILES, "more than {MAX_FILES} files");
        }
    }
    out.sort();
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn read(blob: &Blob, hash: B256, commitment: Option<&str>) -> eyre::Result<Data> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("blob.json");
        let mut file = json!({
            "format": "opal-blob-v1",
            "versioned_hash": hash,
            "blob": hex::encode_prefixed(blob),
        });
        if let Some(commitment) = commitment {
            file["kzg_commitment"] = commitment.into();
        }
        std::fs::write(&path, file.to_string())?;
        let mut data = Data::default();
        data.read(&path)?;
        Ok(data)
    }

    /// The versioned hash is that of the content's KZG commitment, or the file is named.
    #[test]
    fn a_blob_is_the_one_of_its_versioned_hash() {
        let mut blob = Blob::ZERO;
        // The commitment to nothing is the point at infinity.
        let nothing = format!("0xc0{}", "00".repeat(47));
        let hash = blob_versioned_hash(&blob).unwrap();
        for commitment in [None, Some(nothing.as_str())] {
            let data = read(&blob, hash, commitment).unwrap();
            assert_eq!(*data.blob(hash, 7).unwrap(), blob);
            let error = data.blob(B256::ZERO, 7).unwrap_err().to_string();
            assert!(error.contains("of L1 block 7 is missing"), "{error}");
        }
        let error = read(&blob, B256::ZERO, Some(&nothing)).unwrap_err();
        assert!(format!("{error:#}").contains("versioned hash of the commitment"), "{error:#}");

        blob[1] = 1;
        let error = read(&blob, hash, None).unwrap().blob(hash, 7).unwrap_err().to_string();
        let found = blob_versioned_hash(&blob).unwrap().to_string();
        assert!(error.contains("blob.json") && error.contains(&found), "{error}");
        blob[0] = 0xff;
        let error = read(&blob, hash, None).unwrap().blob(hash, 7).unwrap_err().to_string();
        assert!(error.contains("not below the modulus"), "{error}");
    }
}

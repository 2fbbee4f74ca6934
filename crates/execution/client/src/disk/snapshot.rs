//! Snapshots: the newest blocks and the whole state after the last of them, in one stream.
//!
//! ```text
//!   magic      zstd( head · block … · account · slots … · account · slots … · … · end )
//!   piece      kind (1) · length (4) · payload · checksum (4)         numbers little-endian
//! ```
//! Accounts and slots come in the order of their hashed keys, so that both sides stream. The import
//! believes nothing: blocks must follow each other and fit their headers, and the state that comes
//! out must have the root that the last header names.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_consensus::proofs::{
    calculate_transaction_root, calculate_withdrawals_root, ordered_trie_root_with_encoder,
};
use alloy_primitives::{B256, Bytes, U256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use opal_evm::StateError;
use opal_protocol::{BlockId, Receipt};

use super::codec::{self, Parts};
use super::database::Database;
use super::directory::{Directory, lock};
use super::file::{make_dir, sync_dir};
use super::journal::Journal;
use super::record::Base;
use super::roots::Roots;
use super::runs::{IndexEntry, Runs};
use super::segments::Segments;
use super::{
    DiskError, Forkchoice, Identity, Place, Record, STATE, index_entries, root, state_root,
};
use crate::chain::StoredBlock;
use crate::state_store::{Persisted, StateStore, StateStoreOptions, StoreError};

const MAGIC: &[u8; 16] = b"opal snapshot 1\n";
const LEVEL: i32 = 3;
/// Bytes of slots in one piece, about.
const CHUNK: usize = 1 << 16;
/// Largest piece that is believed.
const MAX_PIECE: u32 = 1 << 28;
/// Blocks that are written together on import.
const BATCH: usize = 256;

/// How a snapshot begins.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
struct Head {
    chain_id: u64,
    genesis: B256,
    number: u64,
    hash: B256,
    blocks: u64,
}

/// An account; its slots follow.
#[derive(RlpEncodable, RlpDecodable)]
struct AccountPiece {
    key: B256,
    nonce: u64,
    balance: U256,
    code: Bytes,
}

#[derive(RlpEncodable, RlpDecodable)]
struct SlotPiece {
    key: B256,
    value: U256,
}

/// How it ends: how much there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, RlpEncodable, RlpDecodable)]
struct End {
    accounts: u64,
    slots: u64,
}

const HEAD: u8 = 1;
const BLOCK: u8 = 2;
const ACCOUNT: u8 = 3;
const SLOTS: u8 = 4;
const END: u8 = 5;

/// What a snapshot holds.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot {
    /// The chain.
    pub identity: Identity,
    /// Its last block.
    pub block: BlockId,
    /// Blocks in it.
    pub blocks: u64,
    /// Accounts of the state.
    pub accounts: u64,
    /// Storage slots of the state.
    pub slots: u64,
}

/// How far along the state's keys an export or import is, of 65,536.
pub type SnapshotProgress<'a> = &'a mut dyn FnMut(u64);

fn position(key: &B256) -> u64 {
    u64::from(u16::from_be_bytes([key[0], key[1]]))
}

/// Writes pieces.
struct Pieces<W: Write> {
    out: W,
    path: std::path::PathBuf,
}

impl<W: Write> Pieces<W> {
    fn put(&mut self, kind: u8, payload: &[u8]) -> Result<(), DiskError> {
        let len = (payload.len() as u32).to_le_bytes();
        let sum = checksum(kind, len, payload).to_le_bytes();
        let parts = [&[kind][..], &len, payload, &sum];
        parts
            .iter()
            .try_for_each(|part| self.out.write_all(part))
            .map_err(DiskError::io(&self.path, "write"))
    }
}

fn checksum(kind: u8, len: [u8; 4], payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    [&[kind][..], &len, payload].iter().for_each(|part| sum.update(part));
    sum.finalize()
}

impl Database {
    /// Writes a snapshot of the newest stored state at or before block `at`, with up to `blocks`
    /// blocks before it. The file is there as a whole or not at all.
    ///
    /// # Errors
    /// When no such state is stored, something is damaged, or the file cannot be written.
    pub fn export(
        &self,
        file: &Path,
        at: Option<u64>,
        blocks: u64,
        progress: SnapshotProgress<'_>,
    ) -> Result<Snapshot, DiskError> {
        let disk = self.disk();
        let root = disk.roots.at_or_before(at.unwrap_or(u64::MAX)).filter(|root| {
            // Genesis itself is in no segment, and every node has it.
            root.number >= disk.first()
        });
        let root = root.ok_or_else(|| {
            DiskError::Refused("no state at or before that block is stored yet".into())
        })?;
        let first = root.number.saturating_sub(blocks.max(1) - 1).max(disk.first());
        let missing = || disk.inconsistent(&format!("block {}", root.number));
        let hash = disk.hash(root.number)?.ok_or_else(missing)?;
        let Identity { chain_id, genesis } = self.identity();
        let head =
            Head { chain_id, genesis, number: root.number, hash, blocks: root.number - first + 1 };

        let partial = file.with_extension("partial");
        let written = self.write_snapshot(&partial, &head, &root, progress);
        let renamed = written.and_then(|end| {
            fs::rename(&partial, file).map_err(DiskError::io(file, "write"))?;
            sync_dir(
                file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")),
            )?;
            Ok(end)
        });
        if renamed.is_err() {
            let _ = fs::remove_file(&partial);
        }
        let end = renamed?;
        Ok(snapshot(&head, &end))
    }

    fn write_snapshot(
        &self,
        path: &Path,
        head: &Head,
        root: &super::Root,
        progress: SnapshotProgress<'_>,
    ) -> Result<End, DiskError> {
        let io = |error| DiskError::Io { path: path.to_owned(), doing: "write", error };
        let file = File::create(path).map_err(io)?;
        let mut out = BufWriter::new(file);
        out.write_all(MAGIC).map_err(io)?;
        let out = zstd::stream::Encoder::new(out, LEVEL).map_err(io)?;
        let mut pieces = Pieces { out, path: path.to_owned() };
        pieces.put(HEAD, &alloy_rlp::encode(head))?;
        for number in head.number + 1 - head.blocks..=head.number {
            let block = self.disk().block(number)?;
            let block =
                block.ok_or_else(|| self.disk().inconsistent(&format!("block {number}")))?;
            let Parts { body, results, .. } = Parts::of(&block);
            let mut payload = Vec::new();
            block.block.hash.encode(&mut payload);
            body[..].encode(&mut payload);
            results[..].encode(&mut payload);
            pieces.put(BLOCK, &payload)?;
        }
        let mut end = End::default();
        let state = self.disk().states.state(&state_root(root))?;
        state.walk::<DiskError>(&B256::ZERO, &mut |key, account| {
            let code = state.code_of(account).map_err(StoreError::from)?.original_bytes();
            let piece = AccountPiece { key, nonce: account.nonce, balance: account.balance, code };
            pieces.put(ACCOUNT, &alloy_rlp::encode(piece))?;
            end.accounts += 1;
            let mut chunk = Vec::new();
            state.walk_storage::<DiskError>(account, &B256::ZERO, &mut |key, value| {
                SlotPiece { key, value }.encode(&mut chunk);
                end.slots += 1;
                if chunk.len() >= CHUNK {
                    pieces.put(SLOTS, &chunk)?;
                    chunk.clear();
                }
                Ok(())
            })?;
            if !chunk.is_empty() {
                pieces.put(SLOTS, &chunk)?;
            }
            progress(position(&key));
            Ok(())
        })?;
        pieces.put(END, &alloy_rlp::encode(end))?;
        let mut out = pieces.out.finish().map_err(io)?;
        out.flush().map_err(io)?;
        out.get_ref().sync_all().map_err(io)?;
        Ok(end)
    }
}

impl From<StateError> for DiskError {
    fn from(error: StateError) -> Self {
        Self::State(error.into())
    }
}

fn snapshot(head: &Head, end: &End) -> Snapshot {
    Snapshot {
        identity: Identity { chain_id: head.chain_id, genesis: head.genesis },
        block: BlockId { hash: head.hash, number: head.number },
        blocks: head.blocks,
        accounts: end.accounts,
        slots: end.slots,
    }
}

/// Reads pieces.
struct Reader<'a> {
    input: zstd::stream::Decoder<'static, BufReader<File>>,
    path: &'a Path,
    /// Bytes read, before compression.
    offset: u64,
}

impl<'a> Reader<'a> {
    fn open(path: &'a Path) -> Result<Self, DiskError> {
        let mut file = File::open(path).map_err(DiskError::io(path, "open"))?;
        let mut magic = [0; 16];
        let read = file.read_exact(&mut magic);
        if read.is_err() || magic != *MAGIC {
            let reason = "it is no snapshot that this version of Opal reads".to_owned();
            return Err(DiskError::Foreign { path: path.to_owned(), reason });
        }
        let input = zstd::stream::Decoder::new(file).map_err(DiskError::io(path, "read"))?;
        Ok(Self { input: input.single_frame(), path, offset: 0 })
    }

    fn wrong(&self, reason: impl Into<String>) -> DiskError {
        let reason = reason.into();
        DiskError::Snapshot { path: self.path.to_owned(), offset: self.offset, reason }
    }

    fn next(&mut self) -> Result<(u8, Vec<u8>), DiskError> {
        let mut header = [0; 5];
        self.fill(&mut header)?;
        let [kind, len @ ..] = header;
        let size = u32::from_le_bytes(len);
        if size > MAX_PIECE {
            return Err(self.wrong(format!("a piece of {size} bytes")));
        }
        // Grows with what is really there.
        let mut payload = Vec::new();
        let read = (&mut self.input).take(size.into()).read_to_end(&mut payload);
        read.map_err(|error| self.wrong(error.to_string()))?;
        let mut sum = [0; 4];
        self.fill(&mut sum)?;
        if payload.len() != size as usize
            || checksum(kind, len, &payload) != u32::from_le_bytes(sum)
        {
            return Err(self.wrong("a checksum is wrong"));
        }
        self.offset += 9 + u64::from(size);
        Ok((kind, payload))
    }

    /// Nothing may follow, neither in the stream nor behind it, and of the stream nothing may lack.
    fn end(&mut self) -> Result<(), DiskError> {
        let more = self.input.read(&mut [0]).map_err(|error| self.wrong(error.to_string()))?;
        let behind = self.input.get_mut().fill_buf().map_err(DiskError::io(self.path, "read"))?;
        if more != 0 || !behind.is_empty() {
            return Err(self.wrong("something follows its end"));
        }
        Ok(())
    }

    fn fill(&mut self, out: &mut [u8]) -> Result<(), DiskError> {
        self.input.read_exact(out).map_err(|error| self.wrong(error.to_string()))
    }

    fn decode<T: Decodable>(&self, payload: &[u8]) -> Result<T, DiskError> {
        alloy_rlp::decode_exact(payload).map_err(|error| self.wrong(error.to_string()))
    }
}

/// What a snapshot file says it is, before anything of it is verified.
///
/// # Errors
/// When it is none.
pub fn snapshot_identity(file: &Path) -> Result<(Identity, BlockId), DiskError> {
    let mut reader = Reader::open(file)?;
    let head = read_head(&mut reader)?;
    let snapshot = snapshot(&head, &End::default());
    Ok((snapshot.identity, snapshot.block))
}

fn read_head(reader: &mut Reader<'_>) -> Result<Head, DiskError> {
    let (kind, payload) = reader.next()?;
    if kind != HEAD {
        return Err(reader.wrong("it does not begin with its head"));
    }
    let head: Head = reader.decode(&payload)?;
    if head.blocks == 0 || head.blocks > head.number || head.number > Place::MAX_NUMBER {
        return Err(reader.wrong(format!("{} blocks up to number {}", head.blocks, head.number)));
    }
    Ok(head)
}

/// Makes the directory of a chain from a snapshot. `expected` is the hash of its block, if the
/// caller knows what it must be. The directory is there when all was verified, or not at all.
///
/// # Errors
/// When the directory is there already, the snapshot is damaged or contradicts itself, or nothing
/// can be written.
pub fn import_snapshot(
    file: &Path,
    dir: &Path,
    expected: Option<B256>,
    progress: SnapshotProgress<'_>,
) -> Result<Snapshot, DiskError> {
    if dir.exists() {
        let dir = dir.display();
        return Err(DiskError::Refused(format!(
            "{dir} is there already; move it away before a snapshot is imported"
        )));
    }
    let mut reader = Reader::open(file)?;
    let head = read_head(&mut reader)?;
    if expected.is_some_and(|expected| expected != head.hash) {
        return Err(reader.wrong(format!("it is of block {} {}", head.number, head.hash)));
    }
    let parent = dir.parent().unwrap_or(Path::new("."));
    make_dir(parent)?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let partial = parent.join(format!(".{name}.import"));
    if partial.exists() {
        // What an interrupted import has left, or where another one is at work.
        let _lock = lock(&partial)?;
        remove(&partial)?;
    }
    let result = read_snapshot(&mut reader, &head, &partial, progress).and_then(|end| {
        fs::rename(&partial, dir).map_err(DiskError::io(dir, "create"))?;
        sync_dir(parent)?;
        Ok(end)
    });
    if result.is_err() {
        // The error before is the one to tell.
        let _ = remove(&partial);
    }
    Ok(snapshot(&head, &result?))
}

fn remove(dir: &Path) -> Result<(), DiskError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(DiskError::Io { path: dir.to_owned(), doing: "delete", error })
        }
        _ => Ok(()),
    }
}

fn read_snapshot(
    reader: &mut Reader<'_>,
    head: &Head,
    dir: &Path,
    progress: SnapshotProgress<'_>,
) -> Result<End, DiskError> {
    let identity = Identity { chain_id: head.chain_id, genesis: head.genesis };
    let directory = Directory::open(dir, identity)?;
    let first = head.number + 1 - head.blocks;
    let segments = Segments::create(dir, first)?;
    let mut entries = Vec::new();
    let mut batch: Vec<Arc<StoredBlock>> = Vec::new();
    let mut parent: Option<Arc<StoredBlock>> = None;
    for number in first..=head.number {
        let block = Arc::new(read_block(reader, number, parent.as_deref())?);
        entries.extend(index_entries(&block));
        batch.push(block.clone());
        parent = Some(block);
        if batch.len() >= BATCH || number == head.number {
            segments.append(&batch)?;
            batch.clear();
        }
    }
    let tip = parent.filter(|tip| tip.block.hash == head.hash);
    let tip = tip.ok_or_else(|| reader.wrong("its last block is not the one that it names"))?;

    let states =
        StateStore::open(&dir.join(STATE), head.genesis, None, StateStoreOptions::default())?;
    let mut importer = states.import();
    let mut seen = End::default();
    let end: End = loop {
        let (kind, payload) = reader.next()?;
        match kind {
            ACCOUNT => {
                let AccountPiece { key, nonce, balance, code } = reader.decode(&payload)?;
                importer.account(key, nonce, balance, code)?;
                seen.accounts += 1;
                progress(position(&key));
            }
            SLOTS => {
                let mut rest = &payload[..];
                while !rest.is_empty() {
                    let slot = SlotPiece::decode(&mut rest);
                    let SlotPiece { key, value } =
                        slot.map_err(|error| reader.wrong(error.to_string()))?;
                    importer.slot(key, value)?;
                    seen.slots += 1;
                }
            }
            END => break reader.decode(&payload)?,
            kind => return Err(reader.wrong(format!("a piece of unknown kind {kind}"))),
        }
    };
    reader.end()?;
    let persisted = importer.finish()?;
    let expected = tip.block.header().state_root;
    if end != seen || persisted.root.hash != expected {
        let found = persisted.root.hash;
        return Err(reader.wrong(format!(
            "its state has the root {found}, not {expected} as block {} demands",
            head.number
        )));
    }
    states.sync()?;
    found(dir, first, &tip, entries, &persisted)?;
    drop(directory);
    Ok(seen)
}

/// Writes down what makes a directory of blocks from `first` to `tip`, which the segments hold with
/// these entries for the index, and of the state after them.
pub(super) fn found(
    dir: &Path,
    first: u64,
    tip: &StoredBlock,
    entries: Vec<IndexEntry>,
    state: &Persisted,
) -> Result<(), DiskError> {
    let runs = Runs::open(dir, &[])?;
    let new = runs.append(entries)?;
    let roots = Roots::create(dir, vec![root(tip.number(), &state.root)])?;
    let base = Base {
        first,
        blocks: tip.number() + 1 - first,
        roots_file: roots.number(),
        roots: 1,
        state: state.committed.into(),
        runs: new.ids(),
    };
    let hash = tip.hash();
    let labels = Record::Forkchoice(Forkchoice { head: hash, safe: hash, finalized: hash });
    Journal::create(dir, 1, &base, std::iter::once(&labels))?;
    Ok(())
}

/// A block that follows `parent` and fits its header.
fn read_block(
    reader: &mut Reader<'_>,
    number: u64,
    parent: Option<&StoredBlock>,
) -> Result<StoredBlock, DiskError> {
    let (kind, payload) = reader.next()?;
    if kind != BLOCK {
        return Err(reader.wrong(format!("block {number} is missing")));
    }
    let mut rest = &payload[..];
    let rlp = |error: alloy_rlp::Error| error.to_string();
    let mut read = || -> Result<StoredBlock, String> {
        let hash = B256::decode(&mut rest).map_err(rlp)?;
        let body = Bytes::decode(&mut rest).map_err(rlp)?;
        let results = Bytes::decode(&mut rest).map_err(rlp)?;
        codec::block(&body, &results, &hash)
    };
    let mut stored = read().map_err(|error| reader.wrong(format!("block {number}: {error}")))?;
    let header = stored.block.header();
    let body = &stored.block.block.body;
    let receipts: Vec<Receipt> = stored.receipts.iter().map(Receipt::for_receipts_root).collect();
    let receipts_root = ordered_trie_root_with_encoder(&receipts, |receipt: &Receipt, out| {
        receipt.encode_2718(out);
    });
    let withdrawals_fit = match (header.withdrawals_root, &body.withdrawals) {
        (None, None) => true,
        // From Isthmus on an OP chain's root is that of the message passer's storage.
        (Some(_), Some(list)) if list.is_empty() => true,
        (Some(root), Some(list)) => calculate_withdrawals_root(list) == root,
        _ => false,
    };
    let senders = body.transactions.iter().zip(&stored.senders);
    let fits = header.number == number
        && parent.is_none_or(|parent| parent.block.hash == header.parent_hash)
        && calculate_transaction_root(&body.transactions) == header.transactions_root
        && receipts_root == header.receipts_root
        && withdrawals_fit
        && body.ommers.is_empty()
        && header.ommers_hash == EMPTY_OMMER_ROOT_HASH
        && senders.into_iter().all(|(tx, sender)| tx.recover().is_ok_and(|found| found == *sender));
    if !fits {
        return Err(reader.wrong(format!("block {number} contradicts itself")));
    }
    // The root that outputs are made of is believed where the header says it, which it does from
    // Isthmus on, as it does of requests. Nobody could prove an older one from this.
    if stored.withdrawals_storage_root.is_some() {
        let root = header.withdrawals_root.filter(|_| header.requests_hash.is_some());
        stored.withdrawals_storage_root = root;
    }
    Ok(stored)
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;

//! Blobs on the disk, for an L1 that goes on after a restart.
//!
//! One file for each block that has blobs, named by its number and hash, is written before the block
//! becomes the head and goes when the store lets go of the block. It holds, integers in big endian:
//!
//! ```text
//!   "opal blobs 1\n" · block hash · whole (0 or 1) · number of blobs
//!   for each: commitment · has a proof (0 or 1) · proof · length · content without trailing zeros
//!   SHA-256 of all that
//! ```
//! Once the contents are pruned, the file is written again without them (`whole` is 0): the
//! commitments are part of the beacon block.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use alloy_consensus::Transaction;
use alloy_eips::eip4844::{BYTES_PER_BLOB, Bytes48};
use alloy_primitives::B256;
use opal_execution::Chain;
use opal_protocol::{BlockId, SealedBlock};
use opal_service::files::write_whole;
use sha2::{Digest, Sha256};

use super::blob_store::{BlobStore, Change, KeptBlobs, Retention, StoredBlob};
use super::slots::SlotClock;

const MAGIC: &[u8; 13] = b"opal blobs 1\n";
/// More blobs than any block has.
const MAX_BLOBS: u32 = 4096;
/// More bytes than any file has.
const MAX_FILE: u64 = 64 << 20;

/// Why blobs cannot be kept, or those that were kept cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BlobFilesError {
    /// The operating system refuses.
    #[error("cannot {doing} {}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The system's answer.
        error: io::Error,
    },
    /// A file is not what was written.
    #[error(
        "{} is damaged: {reason}; the L1 cannot go on without it: restore the data directory from a \
         backup, or delete it to begin anew", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A block of the L1 does not follow from what was kept.
    #[error("L1 block {number} in the data directory does not fit: {reason}")]
    Inconsistent {
        /// Number of the block.
        number: u64,
        /// What does not fit.
        reason: &'static str,
    },
}

/// The folder of the files.
#[derive(Debug)]
pub struct BlobFiles {
    dir: PathBuf,
}

impl BlobFiles {
    /// The files in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(dir: PathBuf) -> Result<Self, BlobFilesError> {
        std::fs::create_dir_all(&dir).map_err(io_error(&dir, "create"))?;
        Ok(Self { dir })
    }

    fn path(&self, block: &BlockId) -> PathBuf {
        self.dir.join(format!("{}-{:x}", block.number, block.hash))
    }

    /// Keeps the blobs of a block. They last when this returns.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, block: &BlockId, blobs: &[StoredBlob]) -> Result<(), BlobFilesError> {
        if blobs.is_empty() {
            return Ok(());
        }
        let blobs = blobs.iter().map(|blob| (blob.commitment, blob.proof, blob.content()));
        self.put(block, true, blobs.collect())
    }

    /// Does on the disk what the store has done in memory.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn apply(&self, changes: Vec<Change>) -> Result<(), BlobFilesError> {
        for change in changes {
            match change {
                Change::Removed(block) => remove(&self.path(&block))?,
                Change::Pruned(block, commitments) => {
                    let blobs =
                        commitments.into_iter().map(|commitment| (commitment, None, &[][..]));
                    self.put(&block, false, blobs.collect())?;
                }
            }
        }
        Ok(())
    }

    fn put(
        &self,
        block: &BlockId,
        whole: bool,
        blobs: Vec<(Bytes48, Option<Bytes48>, &[u8])>,
    ) -> Result<(), BlobFilesError> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(block.hash.as_slice());
        bytes.push(u8::from(whole));
        bytes.extend_from_slice(&(blobs.len() as u32).to_be_bytes());
        for (commitment, proof, content) in blobs {
            bytes.extend_from_slice(commitment.as_slice());
            bytes.push(u8::from(proof.is_some()));
            bytes.extend_from_slice(proof.unwrap_or_default().as_slice());
            bytes.extend_from_slice(&(content.len() as u32).to_be_bytes());
            bytes.extend_from_slice(content);
        }
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum);
        let path = self.path(block);
        write_whole(&path, &bytes).map_err(io_error(&path, "write"))
    }

    fn read(&self, block: &SealedBlock) -> Result<KeptBlobs, BlobFilesError> {
        let id = block.id();
        let path = self.path(&id);
        let file = File::open(&path).map_err(io_error(&path, "open"))?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(io_error(&path, "read"))?;
        let damaged =
            |reason: &str| BlobFilesError::Damaged { path: path.clone(), reason: reason.into() };
        let kept = decode(&bytes, id.hash).map_err(damaged)?;
        let hashes = kept
            .commitments
            .iter()
            .map(|c| alloy_eips::eip4844::kzg_to_versioned_hash(c.as_slice()));
        if !hashes.eq(versioned_hashes(block)) {
            return Err(damaged("its blobs are not those of the block"));
        }
        Ok(kept)
    }

    /// The beacon chain over the blocks that a chain has kept, with their blobs. Files of other
    /// blocks, which an interrupted process has left, are deleted.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the beacon blocks do not have the roots that the chain
    /// names.
    pub fn restore(
        &self,
        chain: &Chain,
        clock: SlotClock,
        retention: Retention,
    ) -> Result<BlobStore, BlobFilesError> {
        let mut store = BlobStore::new(chain.genesis(), retention);
        let genesis = chain.genesis().header().number;
        let head = chain.head().header().number;
        let oldest = head.saturating_sub(retention.blocks as u64).max(genesis) + 1;
        for number in oldest..=head {
            let inconsistent = |number, reason| BlobFilesError::Inconsistent { number, reason };
            let block = chain.block_by_number(number);
            let block = block.ok_or_else(|| inconsistent(number, "it is missing"))?;
            let parent_root = block.header().parent_beacon_block_root;
            let parent_root =
                parent_root.ok_or_else(|| inconsistent(number, "it has no beacon root"))?;
            // The first one's parent may be forgotten.
            if (number > oldest || number == genesis + 1) && store.head_root() != parent_root {
                return Err(inconsistent(number - 1, "its beacon block has another root"));
            }
            let blobs = match versioned_hashes(&block).next() {
                Some(_) => self.read(&block)?,
                None => KeptBlobs::default(),
            };
            let slot = clock.slot_at(block.header().timestamp);
            store.restore(slot, parent_root, &block, blobs);
        }
        let slot = |block: SealedBlock| clock.slot_at(block.header().timestamp);
        store.set_labels(slot(chain.safe()), slot(chain.finalized()));
        self.apply(store.take_changes())?;
        self.delete_others(&store)?;
        Ok(store)
    }

    fn delete_others(&self, store: &BlobStore) -> Result<(), BlobFilesError> {
        let read = || io_error(&self.dir, "read");
        let kept: std::collections::HashSet<PathBuf> =
            store.blocks_with_blobs().map(|block| self.path(&block)).collect();
        for entry in std::fs::read_dir(&self.dir).map_err(read())? {
            let path = entry.map_err(read())?.path();
            if !kept.contains(&path) {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

fn versioned_hashes(block: &SealedBlock) -> impl Iterator<Item = B256> + '_ {
    let transactions = &block.block.body.transactions;
    transactions.iter().filter_map(|tx| tx.blob_versioned_hashes()).flatten().copied()
}

fn io_error(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> BlobFilesError {
    move |error| BlobFilesError::Io { path: path.to_owned(), doing, error }
}

fn remove(path: &Path) -> Result<(), BlobFilesError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error(path, "delete")(error))
        }
        _ => Ok(()),
    }
}

/// Takes bytes from the front of a file.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (head, rest) = self.0.split_at_checked(count).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (head, rest) = self.0.split_first_chunk().ok_or("it ends too early")?;
        self.0 = rest;
        Ok(*head)
    }

    fn flag(&mut self) -> Result<bool, &'static str> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err("a flag is neither 0 nor 1"),
        }
    }
}

fn decode(bytes: &[u8], block: B256) -> Result<KeptBlobs, &'static str> {
    let (content, sum) = bytes.split_last_chunk::<32>().ok_or("it ends too early")?;
    if Sha256::digest(content).as_slice() != sum {
        return Err("its checksum is wrong");
    }
    let mut reader = Reader(content);
    if reader.array()? != *MAGIC || reader.array()? != block.0 {
        return Err("it is another file");
    }
    let whole = reader.flag()?;
    let count = u32::from_be_bytes(reader.array()?);
    if count > MAX_BLOBS {
        return Err("it has too many blobs");
    }
    let (mut commitments, mut blobs) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let commitment = Bytes48::new(reader.array()?);
        let has_proof = reader.flag()?;
        let proof = Bytes48::new(reader.array()?);
        let length = u32::from_be_bytes(reader.array()?) as usize;
        if length > BYTES_PER_BLOB {
            return Err("a blob is too long");
        }
        let blob = reader.take(length)?;
        commitments.push(commitment);
        blobs.push(StoredBlob::new(blob, commitment, has_proof.then_some(proof)));
    }
    match reader.0 {
        [] => Ok(KeptBlobs { commitments, blobs: whole.then_some(blobs) }),
        _ => Err("something follows its end"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use opal_protocol::Block;

    #[test]
    fn a_file_that_was_changed_or_cut_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let files = BlobFiles::open(dir.path().join("blobs")).unwrap();
        let block = SealedBlock::new(Block::default());
        let blob = StoredBlob::new(&[7, 0, 9, 0], Bytes48::repeat_byte(1), None);
        files.write(&block.id(), &[blob]).unwrap();
        let path = files.path(&block.id());
        let whole = std::fs::read(&path).unwrap();
        let kept = decode(&whole, block.hash).unwrap();
        assert_eq!(kept.commitments, [Bytes48::repeat_byte(1)]);
        assert_eq!(kept.blobs.unwrap()[0].content(), [7, 0, 9]);
        for cut in 0..whole.len() {
            decode(&whole[..cut], block.hash).unwrap_err();
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            decode(&changed, block.hash).unwrap_err();
        }
        assert_eq!(decode(&whole, B256::ZERO).unwrap_err(), "it is another file");
        // The block has no blobs at all.
        let error = files.read(&block).unwrap_err().to_string();
        assert!(error.contains("not those of the block"), "{error}");

        files.apply(vec![Change::Pruned(block.id(), vec![Bytes48::repeat_byte(1)])]).unwrap();
        let pruned = decode(&std::fs::read(&path).unwrap(), block.hash).unwrap();
        assert_eq!((pruned.commitments.len(), pruned.blobs.is_none()), (1, true));
        files.apply(vec![Change::Removed(block.id()), Change::Removed(block.id())]).unwrap();
        assert!(!path.exists());
    }
}

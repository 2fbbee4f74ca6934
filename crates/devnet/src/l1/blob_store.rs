//! The consensus side of the L1: a beacon block for each execution block, with its blobs.
//!
//! Only the canonical chain is kept. The number of blocks and the bytes of blobs are bounded; where
//! a bound is reached, the oldest blobs go first, as a beacon node prunes after its retention
//! period. A blob is kept without its trailing zeros, so a short batch costs what it holds and not
//! 128 KiB.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use alloy_eips::eip4844::{BYTES_PER_BLOB, Bytes48, kzg_to_versioned_hash};
use alloy_eips::eip7594::BlobTransactionSidecarVariant;
use alloy_primitives::B256;
use opal_protocol::{BlockId, SealedBlock};

use super::ssz::{BeaconHeader, body_root};

/// How much of the past the store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Blocks (slots that hold one), counted back from the head; at least the deepest reorg.
    pub blocks: usize,
    /// Bytes of blob content, without trailing zeros.
    pub blob_bytes: usize,
}

impl Default for Retention {
    /// 4096 blocks (a mainnet node keeps 131,072 slots) and 1 GiB.
    fn default() -> Self {
        Self { blocks: 4096, blob_bytes: 1 << 30 }
    }
}

/// A blob as the store keeps it.
#[derive(Clone, Debug)]
pub struct StoredBlob {
    /// KZG commitment to the blob.
    pub commitment: Bytes48,
    /// What transactions call the blob.
    pub versioned_hash: B256,
    /// Proof of the blob as a whole; transactions with cell proofs (EIP-7594) do not carry it.
    pub proof: Option<Bytes48>,
    content: Box<[u8]>,
}

impl StoredBlob {
    pub(super) fn new(blob: &[u8], commitment: Bytes48, proof: Option<Bytes48>) -> Self {
        let length = blob.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Self {
            commitment,
            versioned_hash: kzg_to_versioned_hash(commitment.as_slice()),
            proof,
            content: blob.get(..length).unwrap_or_default().into(),
        }
    }

    /// The bytes up to the last one that is not zero.
    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }

    /// All 131,072 bytes.
    pub fn blob(&self) -> Vec<u8> {
        let mut blob = self.content.to_vec();
        blob.resize(BYTES_PER_BLOB, 0);
        blob
    }
}

/// A block of the beacon chain.
#[derive(Clone, Debug)]
pub struct BeaconBlock {
    /// Root of the header.
    pub root: B256,
    /// The header.
    pub header: BeaconHeader,
    /// The execution block inside.
    pub execution: BlockId,
    /// Commitments of the block's blobs, in order. They stay when the blobs are pruned.
    pub commitments: Vec<Bytes48>,
    /// The blobs, in the order of the block's transactions; `None` once they were pruned.
    pub blobs: Option<Arc<Vec<StoredBlob>>>,
}

/// What is known of a block's blobs after a restart.
#[derive(Debug)]
pub struct KeptBlobs {
    /// Commitments, in order.
    pub commitments: Vec<Bytes48>,
    /// The blobs; `None` once they were pruned.
    pub blobs: Option<Vec<StoredBlob>>,
}

impl Default for KeptBlobs {
    /// Of a block without blobs.
    fn default() -> Self {
        Self { commitments: Vec::new(), blobs: Some(Vec::new()) }
    }
}

/// A block whose blobs the store has let go of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The block is gone.
    Removed(BlockId),
    /// The blobs are gone, the block and these commitments stay.
    Pruned(BlockId, Vec<Bytes48>),
}

/// Beacon blocks of the canonical chain by slot and root.
#[derive(Debug)]
pub struct BlobStore {
    retention: Retention,
    blocks: BTreeMap<u64, BeaconBlock>,
    slots_by_root: HashMap<B256, u64>,
    head: (u64, B256),
    genesis: B256,
    blob_bytes: usize,
    safe_slot: u64,
    finalized_slot: u64,
    changes: Vec<Change>,
}

impl BlobStore {
    /// A store with the genesis block in slot 0.
    pub fn new(genesis: &SealedBlock, retention: Retention) -> Self {
        let mut store = Self {
            retention,
            blocks: BTreeMap::new(),
            slots_by_root: HashMap::new(),
            head: (0, B256::ZERO),
            genesis: B256::ZERO,
            blob_bytes: 0,
            safe_slot: 0,
            finalized_slot: 0,
            changes: Vec::new(),
        };
        store.append(0, genesis, Vec::new());
        store.genesis = store.head.1;
        store
    }

    /// Slot of the newest block.
    pub const fn head_slot(&self) -> u64 {
        self.head.0
    }

    /// Root of the newest block: the next execution block's `parentBeaconBlockRoot`.
    pub const fn head_root(&self) -> B256 {
        self.head.1
    }

    /// Root of the genesis block.
    pub const fn genesis_root(&self) -> B256 {
        self.genesis
    }

    /// Slot of the newest block that is labelled safe ("justified").
    pub const fn safe_slot(&self) -> u64 {
        self.safe_slot
    }

    /// Slot of the newest finalized block.
    pub const fn finalized_slot(&self) -> u64 {
        self.finalized_slot
    }

    /// The block in a slot, `None` when the slot is empty, in the future or pruned.
    pub fn by_slot(&self, slot: u64) -> Option<&BeaconBlock> {
        self.blocks.get(&slot)
    }

    /// The block with this root, if it is canonical and not pruned.
    pub fn by_root(&self, root: B256) -> Option<&BeaconBlock> {
        self.blocks.get(self.slots_by_root.get(&root)?)
    }

    /// The beacon block around this execution block.
    pub fn by_execution_hash(&self, hash: B256) -> Option<&BeaconBlock> {
        self.blocks.values().rev().find(|block| block.execution.hash == hash)
    }

    /// Puts the head's child into `slot`, with the blobs of its transactions in order, and prunes
    /// what is beyond the retention.
    pub fn append(&mut self, slot: u64, block: &SealedBlock, blobs: Vec<StoredBlob>) {
        let commitments = blobs.iter().map(|blob| blob.commitment).collect();
        let blobs = KeptBlobs { commitments, blobs: Some(blobs) };
        self.restore(slot, self.head.1, block, blobs);
    }

    /// Puts a block into `slot` whose parent has this root and may be forgotten.
    pub fn restore(&mut self, slot: u64, parent_root: B256, block: &SealedBlock, kept: KeptBlobs) {
        let KeptBlobs { commitments, blobs } = kept;
        let header = BeaconHeader {
            slot,
            parent_root,
            state_root: block.header().state_root,
            body_root: body_root(block.hash, &commitments),
        };
        let root = header.root();
        self.blob_bytes += blobs.as_deref().map_or(0, bytes_of);
        let blobs = blobs.map(Arc::new);
        let block = BeaconBlock { root, header, execution: block.id(), commitments, blobs };
        self.blocks.insert(slot, block);
        self.slots_by_root.insert(root, slot);
        self.head = (slot, root);
        self.prune();
    }

    /// What the store has let go of since this was last asked, oldest first.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// The blocks that have blobs, pruned or not.
    pub fn blocks_with_blobs(&self) -> impl Iterator<Item = BlockId> + '_ {
        let with_blobs = self.blocks.values().filter(|block| !block.commitments.is_empty());
        with_blobs.map(|block| block.execution)
    }

    /// Drops all blocks after the one in `slot`, which becomes the head. The slot must hold a
    /// block; otherwise nothing happens and `false` is returned.
    pub fn revert_to(&mut self, slot: u64) -> bool {
        let Some(block) = self.blocks.get(&slot) else { return false };
        self.head = (slot, block.root);
        let dropped: Vec<u64> =
            self.blocks.range(slot.saturating_add(1)..).map(|(slot, _)| *slot).collect();
        for slot in dropped {
            self.remove(slot);
        }
        true
    }

    fn remove(&mut self, slot: u64) {
        if let Some(block) = self.blocks.remove(&slot) {
            self.slots_by_root.remove(&block.root);
            self.blob_bytes -= block.blobs.map_or(0, |blobs| bytes_of(&blobs));
            if !block.commitments.is_empty() {
                self.changes.push(Change::Removed(block.execution));
            }
        }
    }

    /// Moves the labels to the slots of these execution blocks.
    pub fn set_labels(&mut self, safe_slot: u64, finalized_slot: u64) {
        self.safe_slot = safe_slot;
        self.finalized_slot = finalized_slot;
    }

    /// Genesis is never pruned.
    fn prune(&mut self) {
        while self.blocks.len() > self.retention.blocks.saturating_add(1) {
            let Some(slot) = self.blocks.range(1..).next().map(|(slot, _)| *slot) else { break };
            self.remove(slot);
        }
        if self.blob_bytes <= self.retention.blob_bytes {
            return;
        }
        for (_, block) in self.blocks.range_mut(..self.head.0) {
            if self.blob_bytes <= self.retention.blob_bytes {
                break;
            }
            if let Some(blobs) = block.blobs.take_if(|blobs| !blobs.is_empty()) {
                self.blob_bytes -= bytes_of(&blobs);
                self.changes.push(Change::Pruned(block.execution, block.commitments.clone()));
            }
        }
    }
}

fn bytes_of(blobs: &[StoredBlob]) -> usize {
    blobs.iter().map(|blob| blob.content.len()).sum()
}

/// The blobs of a transaction, in order.
pub fn stored_blobs(
    sidecar: &BlobTransactionSidecarVariant,
) -> impl Iterator<Item = StoredBlob> + '_ {
    let proofs = match sidecar {
        BlobTransactionSidecarVariant::Eip4844(sidecar) => sidecar.proofs.as_slice(),
        BlobTransactionSidecarVariant::Eip7594(_) => &[],
    };
    sidecar.blobs().iter().zip(sidecar.commitments()).enumerate().map(|(i, (blob, commitment))| {
        StoredBlob::new(blob.as_slice(), *commitment, proofs.get(i).copied())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloy_eips::eip4844::{Blob, BlobTransactionSidecar};
    use opal_protocol::Block;

    fn block(number: u64, fork: u64) -> SealedBlock {
        let mut block = Block::default();
        block.header.number = number;
        block.header.gas_used = fork;
        SealedBlock::new(block)
    }

    /// One blob of `length` bytes; nobody checks its commitment here.
    fn sidecar(length: usize, tag: u8) -> Vec<StoredBlob> {
        let mut blob = Blob::ZERO;
        blob[..length].fill(tag);
        let sidecar = BlobTransactionSidecarVariant::Eip4844(BlobTransactionSidecar::new(
            vec![blob],
            vec![Bytes48::repeat_byte(tag)],
            vec![Bytes48::repeat_byte(0xee)],
        ));
        stored_blobs(&sidecar).collect()
    }

    #[test]
    fn blobs_are_found_by_slot_root_and_execution_hash() {
        let mut store = BlobStore::new(&block(0, 0), Retention::default());
        let genesis_root = store.head_root();
        store.append(3, &block(1, 0), [sidecar(10, 1), sidecar(0, 2)].concat());
        let found = store.by_slot(3).unwrap().clone();
        assert_eq!(found.header.parent_root, genesis_root);
        assert_eq!(found.execution, block(1, 0).id());
        assert_eq!(store.by_root(found.root).unwrap().header.slot, 3);
        assert_eq!(store.by_execution_hash(block(1, 0).hash).unwrap().header.slot, 3);
        let blobs = found.blobs.unwrap();
        assert_eq!(blobs.len(), 2);
        assert_eq!(blobs[0].blob().len(), BYTES_PER_BLOB);
        assert_eq!(&blobs[0].blob()[..11], &[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
        assert_eq!(blobs[0].proof, Some(Bytes48::repeat_byte(0xee)));
        assert_eq!(blobs[1].blob(), vec![0; BYTES_PER_BLOB]);
        assert!(store.by_slot(2).is_none());
    }

    #[test]
    fn a_reorg_replaces_blocks_and_blobs() {
        let mut store = BlobStore::new(&block(0, 0), Retention::default());
        for number in 1..=4 {
            store.append(number, &block(number, 0), sidecar(100, number as u8));
        }
        let (old_root, bytes) = (store.head_root(), store.blob_bytes);
        assert!(store.revert_to(2));
        assert_eq!((store.head_slot(), store.blob_bytes), (2, bytes / 2));
        assert!(store.by_slot(3).is_none() && store.by_root(old_root).is_none());
        store.append(3, &block(3, 1), Vec::new());
        store.append(4, &block(4, 1), sidecar(50, 9));
        assert_ne!(store.head_root(), old_root);
        assert_eq!(store.by_slot(4).unwrap().blobs.as_ref().unwrap()[0].blob()[49], 9);
        assert!(!store.revert_to(77), "an empty slot is no place to revert to");
        assert_eq!(store.head_slot(), 4);
    }

    #[test]
    fn blocks_beyond_the_retention_go_but_genesis_stays() {
        let mut store =
            BlobStore::new(&block(0, 0), Retention { blocks: 4, blob_bytes: usize::MAX });
        for number in 1..=10 {
            store.append(2 * number, &block(number, 0), sidecar(10, 1));
        }
        assert_eq!(store.blocks.keys().copied().collect::<Vec<_>>(), [0, 14, 16, 18, 20]);
        assert_eq!(store.slots_by_root.len(), 5);
        assert_eq!(store.blob_bytes, 40);
        assert_eq!(store.by_root(store.genesis_root()).unwrap().header.slot, 0);
        let gone = (1..=6).map(|number| Change::Removed(block(number, 0).id()));
        assert_eq!(store.take_changes(), gone.collect::<Vec<_>>());
        assert_eq!(store.blocks_with_blobs().count(), 4);
    }

    #[test]
    fn too_many_bytes_drop_the_oldest_blobs_but_keep_the_headers() {
        let mut store = BlobStore::new(&block(0, 0), Retention { blocks: 4096, blob_bytes: 250 });
        for number in 1..=4 {
            store.append(number, &block(number, 0), sidecar(100, 1));
        }
        let kept: Vec<_> = (1..=4).map(|s| store.by_slot(s).unwrap().blobs.is_some()).collect();
        assert_eq!(kept, [false, false, true, true]);
        assert_eq!(store.by_slot(1).unwrap().commitments.len(), 1);
        let commitments = |tag| vec![Bytes48::repeat_byte(tag)];
        let pruned = [1, 2].map(|number| Change::Pruned(block(number, 0).id(), commitments(1)));
        assert_eq!((store.take_changes(), store.blocks_with_blobs().count()), (pruned.to_vec(), 4));
        // Even a block that alone exceeds the limit is served while it is the head.
        store.append(5, &block(5, 0), sidecar(400, 1));
        assert!(store.by_slot(5).unwrap().blobs.is_some());
        assert!(store.by_slot(4).unwrap().blobs.is_none());
    }
}

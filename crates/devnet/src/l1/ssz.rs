//! The few SSZ hash tree roots that a beacon header and a blob's inclusion proof need.
//!
//! The block body commits, as an Electra body does, at field 9 to the execution payload (here: its
//! block hash) and at field 11 to the list of blob commitments; every other field is a zero chunk.
//! A client that checks inclusion proofs against the header's `body_root` finds them right.
//! Spec: consensus-specs, `ssz/simple-serialize.md`, "Merkleization"; `deneb/p2p-interface.md`,
//! `verify_blob_sidecar_inclusion_proof`.

use alloy_eips::eip4844::Bytes48;
use alloy_primitives::B256;
use sha2::{Digest, Sha256};

/// log2 of `MAX_BLOB_COMMITMENTS_PER_BLOCK` (4096).
const COMMITMENTS_DEPTH: usize = 12;
/// Levels of the body's tree: 13 fields, padded to 16.
const BODY_DEPTH: usize = 4;
const EXECUTION_PAYLOAD_FIELD: usize = 9;
const BLOB_COMMITMENTS_FIELD: usize = 11;

/// `KZG_COMMITMENT_INCLUSION_PROOF_DEPTH`: list, its length, and body.
pub const INCLUSION_PROOF_DEPTH: usize = COMMITMENTS_DEPTH + 1 + BODY_DEPTH;

/// A beacon block header. There are no validators, so the proposer is always number 0 and the
/// state root is the execution layer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeaconHeader {
    /// Slot of the block.
    pub slot: u64,
    /// Root of the parent's header.
    pub parent_root: B256,
    /// State root of the execution block.
    pub state_root: B256,
    /// Root of the body, see the module's text.
    pub body_root: B256,
}

impl BeaconHeader {
    /// Hash tree root: the block root, which is the next execution block's
    /// `parentBeaconBlockRoot`.
    pub fn root(&self) -> B256 {
        let proposer_index = number_chunk(0);
        let left = [number_chunk(self.slot), proposer_index, self.parent_root, self.state_root];
        let right = [self.body_root, B256::ZERO, B256::ZERO, B256::ZERO];
        let half = |c: [B256; 4]| pair(pair(c[0], c[1]), pair(c[2], c[3]));
        pair(half(left), half(right))
    }
}

/// Root of a body with this execution block and these blob commitments.
pub fn body_root(execution_hash: B256, commitments: &[Bytes48]) -> B256 {
    let mut root = commitments_root(commitments);
    let mut index = BLOB_COMMITMENTS_FIELD;
    for sibling in body_siblings(execution_hash) {
        root = if index & 1 == 0 { pair(root, sibling) } else { pair(sibling, root) };
        index >>= 1;
    }
    root
}

/// Merkle branch from the commitment at `index` up to the body root, lowest sibling first. `None`
/// when there is no such commitment.
pub fn inclusion_proof(
    execution_hash: B256,
    commitments: &[Bytes48],
    index: usize,
) -> Option<[B256; INCLUSION_PROOF_DEPTH]> {
    if index >= commitments.len() {
        return None;
    }
    let mut proof = [B256::ZERO; INCLUSION_PROOF_DEPTH];
    let (list, rest) = proof.split_at_mut(COMMITMENTS_DEPTH);
    let mut layer: Vec<B256> = commitments.iter().map(commitment_root).collect();
    let mut position = index;
    let mut zero = B256::ZERO;
    for slot in list {
        *slot = layer.get(position ^ 1).copied().unwrap_or(zero);
        layer = parents(&layer, zero);
        zero = pair(zero, zero);
        position >>= 1;
    }
    let (length, body) = rest.split_at_mut(1);
    length.fill(number_chunk(commitments.len() as u64));
    body.copy_from_slice(&body_siblings(execution_hash));
    Some(proof)
}

/// Siblings of the commitments' field (11) on its way to the body root. Only the payload's field
/// (9) beside it is set: it sits in the sibling one level up, all else is zero subtrees.
fn body_siblings(execution_hash: B256) -> [B256; BODY_DEPTH] {
    const { assert!(EXECUTION_PAYLOAD_FIELD == 9 && BLOB_COMMITMENTS_FIELD == 11) };
    let zero1 = pair(B256::ZERO, B256::ZERO);
    let zero2 = pair(zero1, zero1);
    let zero3 = pair(zero2, zero2);
    [B256::ZERO, pair(B256::ZERO, execution_hash), zero2, zero3]
}

/// Root of `List[KZGCommitment, 4096]`.
fn commitments_root(commitments: &[Bytes48]) -> B256 {
    let mut layer: Vec<B256> = commitments.iter().map(commitment_root).collect();
    let mut zero = B256::ZERO;
    for _ in 0..COMMITMENTS_DEPTH {
        layer = parents(&layer, zero);
        zero = pair(zero, zero);
    }
    let root = layer.first().copied().unwrap_or(zero);
    pair(root, number_chunk(commitments.len() as u64))
}

fn parents(layer: &[B256], zero: B256) -> Vec<B256> {
    layer
        .chunks(2)
        .map(|nodes| match nodes {
            [left, right] => pair(*left, *right),
            [left] => pair(*left, zero),
            _ => zero,
        })
        .collect()
}

fn commitment_root(commitment: &Bytes48) -> B256 {
    let mut second = B256::ZERO;
    second[..16].copy_from_slice(&commitment[32..]);
    pair(B256::from_slice(&commitment[..32]), second)
}

fn number_chunk(number: u64) -> B256 {
    let mut chunk = B256::ZERO;
    chunk[..8].copy_from_slice(&number.to_le_bytes());
    chunk
}

fn pair(left: B256, right: B256) -> B256 {
    let mut hasher = Sha256::new();
    hasher.update(left);
    hasher.update(right);
    B256::from_slice(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloy_primitives::b256;

    /// The spec's `is_valid_merkle_branch` with the generalised index of a commitment.
    fn branch_root(commitment: &Bytes48, index: usize, proof: &[B256]) -> B256 {
        let index = (BLOB_COMMITMENTS_FIELD << (COMMITMENTS_DEPTH + 1)) + index;
        proof.iter().enumerate().fold(commitment_root(commitment), |value, (i, sibling)| {
            if index >> i & 1 == 1 { pair(*sibling, value) } else { pair(value, *sibling) }
        })
    }

    #[test]
    fn inclusion_proofs_lead_to_the_body_root() {
        let hash = B256::repeat_byte(7);
        for count in [1usize, 2, 3, 9] {
            let commitments: Vec<_> = (0..count).map(|i| Bytes48::repeat_byte(i as u8)).collect();
            let root = body_root(hash, &commitments);
            for (i, commitment) in commitments.iter().enumerate() {
                let proof = inclusion_proof(hash, &commitments, i).unwrap();
                assert_eq!(branch_root(commitment, i, &proof), root, "blob {i} of {count}");
            }
            assert_eq!(inclusion_proof(hash, &commitments, count), None);
        }
    }

    /// Built once more the plain way: all 16 leaves, level by level.
    #[test]
    fn body_root_equals_the_plain_tree() {
        let hash = B256::repeat_byte(3);
        let commitments = [Bytes48::repeat_byte(1), Bytes48::repeat_byte(2)];
        let mut layer = vec![B256::ZERO; 16];
        layer[9] = hash;
        layer[11] = commitments_root(&commitments);
        while layer.len() > 1 {
            layer = parents(&layer, B256::ZERO);
        }
        assert_eq!(body_root(hash, &commitments), layer[0]);
        assert_ne!(body_root(hash, &[]), layer[0]);
    }

    /// The genesis header of Ethereum mainnet's beacon chain and its well-known root.
    #[test]
    fn header_root_is_the_known_one_of_mainnet_genesis() {
        let header = BeaconHeader {
            slot: 0,
            parent_root: B256::ZERO,
            state_root: b256!("7e76880eb67bbdc86250aa578958e9d0675e64e714337855204fb5abaaf82c2b"),
            body_root: b256!("ccb62460692be0ec813b56be97f68a82cf57abc102e27bf49ebf4190ff22eedd"),
        };
        assert_eq!(
            header.root(),
            b256!("4d611d5b93fdab69013a7f0a2f961caca0c853f87cfe9595fe50038163079360")
        );
    }
}

//! The proof that L2's state holds a withdrawal, checked as the portal will check it.
//!
//! ```text
//!  game's root claim ═ keccak(0 ‖ state root ‖ storage root of the message passer ‖ block hash)
//!                                                     │ storage proof
//!                                                     ▼
//!                                      sentMessages[withdrawal hash] = 1
//! ```
//! Where the storage root comes from: the header (Isthmus and later), or the proof of the message
//! passer's account in the state root (before).

use alloy_consensus::constants::EMPTY_ROOT_HASH;
use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_rlp::{Decodable, RlpEncodable};
use alloy_rpc_types_eth::EIP1186AccountProofResponse;
use alloy_trie::Nibbles;
use alloy_trie::nodes::TrieNode;
use alloy_trie::proof::verify_proof;
use opal_protocol::OutputV0;
use opal_protocol::contracts::IOptimismPortal::OutputRootProof;
use opal_protocol::predeploys::L2_TO_L1_MESSAGE_PASSER;

use super::Withdrawal;

/// What an L2 header says of its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L2State {
    /// Number of the block.
    pub number: u64,
    /// Hash of the block.
    pub hash: B256,
    /// The state root.
    pub state_root: B256,
    /// Storage root of the message passer, if the header has it (from Isthmus on).
    pub withdrawals_root: Option<B256>,
}

/// Why an answer of `eth_getProof` proves nothing. In each case the L2 RPC is at fault, or serves
/// another chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Another account.
    #[error("the L2 RPC gave a proof of account {0}, not of the message passer")]
    WrongAccount(alloy_primitives::Address),
    /// The account is not in the state root.
    #[error(
        "the message passer's account is not proven by the state root of block {block}: {reason}"
    )]
    Account {
        /// The L2 block.
        block: u64,
        /// Where the proof fails.
        reason: String,
    },
    /// The storage root is not the header's.
    #[error(
        "the message passer has storage root {given}, but the header of block {block} says {header}"
    )]
    StorageRoot {
        /// The L2 block.
        block: u64,
        /// Of the proof.
        given: B256,
        /// Of the header.
        header: B256,
    },
    /// Not one proof, of the slot that was asked for.
    #[error("the L2 RPC gave no proof of slot {0}")]
    NoSlot(B256),
    /// The withdrawal is not in that state: the block is older, or on another branch.
    #[error("the state of block {block} does not hold withdrawal {withdrawal}")]
    NotThere {
        /// The L2 block.
        block: u64,
        /// Hash of the withdrawal.
        withdrawal: B256,
    },
    /// The proof does not lead from the storage root to the slot.
    #[error("slot {slot} is not proven by storage root {root}: {reason}")]
    Storage {
        /// The withdrawal's slot.
        slot: B256,
        /// The message passer's storage root.
        root: B256,
        /// Where the proof fails.
        reason: String,
    },
}

/// What the portal takes as proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithdrawalProof {
    /// What the game's root claim must be the hash of.
    pub output: OutputV0,
    /// Trie nodes from the message passer's storage root to the withdrawal's slot.
    pub storage: Vec<Bytes>,
}

impl WithdrawalProof {
    /// The output's parts as the portal wants them.
    pub fn output_root_proof(&self) -> OutputRootProof {
        OutputRootProof {
            version: B256::ZERO,
            stateRoot: self.output.state_root,
            messagePasserStorageRoot: self.output.withdrawals_storage_root,
            latestBlockhash: self.output.block_hash,
        }
    }
}

#[derive(RlpEncodable)]
struct Account {
    nonce: u64,
    balance: U256,
    storage_root: B256,
    code_hash: B256,
}

/// The output of a block, from its header and, where that lacks the message passer's storage root,
/// from the proof of its account.
///
/// # Errors
/// When the proof is not that of the header's state.
pub fn output_of(
    state: &L2State,
    answer: &EIP1186AccountProofResponse,
) -> Result<OutputV0, ProofError> {
    if answer.address != L2_TO_L1_MESSAGE_PASSER {
        return Err(ProofError::WrongAccount(answer.address));
    }
    let block = state.number;
    match state.withdrawals_root {
        // Canyon's headers have the root of an empty list there.
        Some(header) if header != EMPTY_ROOT_HASH => {
            if answer.storage_hash != header {
                let given = answer.storage_hash;
                return Err(ProofError::StorageRoot { block, given, header });
            }
        }
        _ => {
            let account = alloy_rlp::encode(Account {
                nonce: answer.nonce,
                balance: answer.balance,
                storage_root: answer.storage_hash,
                code_hash: answer.code_hash,
            });
            let key = Nibbles::unpack(keccak256(answer.address));
            verify_proof(state.state_root, key, Some(account), &answer.account_proof)
                .map_err(|error| ProofError::Account { block, reason: error.to_string() })?;
        }
    }
    Ok(OutputV0 {
        state_root: state.state_root,
        withdrawals_storage_root: answer.storage_hash,
        block_hash: state.hash,
    })
}

/// Checks the answer of `eth_getProof` for the message passer and the withdrawal's slot against the
/// header of the same block, and makes what the portal needs of it.
///
/// # Errors
/// When something does not fit: the transaction would fail, too.
pub fn check(
    withdrawal: &Withdrawal,
    state: &L2State,
    answer: &EIP1186AccountProofResponse,
) -> Result<WithdrawalProof, ProofError> {
    let output = output_of(state, answer)?;
    let slot = withdrawal.slot();
    let proof = answer.storage_proof.iter().find(|proof| proof.key.as_b256() == slot);
    let proof = proof.ok_or(ProofError::NoSlot(slot))?;
    if proof.value != U256::ONE {
        let (block, withdrawal) = (state.number, withdrawal.hash());
        return Err(ProofError::NotThere { block, withdrawal });
    }
    let root = output.withdrawals_storage_root;
    let value = alloy_rlp::encode(U256::ONE);
    let key = Nibbles::unpack(keccak256(slot));
    verify_proof(root, key, Some(value), &proof.proof).map_err(|error| ProofError::Storage {
        slot,
        root,
        reason: error.to_string(),
    })?;
    Ok(WithdrawalProof { output, storage: unfolded(proof.proof.clone(), &key) })
}

/// The portal wants each node of a proof as an element of its own, even one so short that its parent
/// holds it, which `eth_getProof` leaves out. Such nodes are at the end of the path.
fn unfolded(mut nodes: Vec<Bytes>, key: &Nibbles) -> Vec<Bytes> {
    let (mut place, mut walked) = (0, 0);
    while let Some(Ok(node)) = nodes.get(place).map(|node| TrieNode::decode(&mut &node[..])) {
        let child = match node {
            TrieNode::Branch(branch) => {
                let next = key.get(walked);
                walked += 1;
                let branch = branch.as_ref();
                let mut children = branch.children();
                children
                    .find(|(index, _)| Some(*index) == next)
                    .and_then(|(_, child)| child.cloned())
            }
            TrieNode::Extension(extension) => {
                walked += extension.key.len();
                Some(extension.child)
            }
            TrieNode::Leaf(_) | TrieNode::EmptyRoot => None,
        };
        place += 1;
        match child {
            Some(child) if place == nodes.len() && !child.is_hash() => {
                nodes.push(Bytes::copy_from_slice(&child));
            }
            Some(_) => {}
            None => break,
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloy_primitives::{Address, b256};
    use alloy_rpc_types_eth::EIP1186StorageProof;
    use alloy_trie::HashBuilder;
    use alloy_trie::proof::ProofRetainer;

    use super::*;

    const CODE: B256 = b256!("0101010101010101010101010101010101010101010101010101010101010101");

    /// Root of a trie with these leaves, and the proof of the first.
    fn trie(leaves: &[(B256, Vec<u8>)]) -> (B256, Vec<Bytes>) {
        let key = Nibbles::unpack(leaves[0].0);
        let mut sorted = leaves.to_vec();
        sorted.sort();
        let mut builder =
            HashBuilder::default().with_proof_retainer(ProofRetainer::from_iter([key]));
        for (key, value) in &sorted {
            builder.add_leaf(Nibbles::unpack(key), value);
        }
        let root = builder.root();
        let nodes = builder.take_proof_nodes().into_nodes_sorted();
        (root, nodes.into_iter().map(|(_, node)| node).collect())
    }

    /// A withdrawal beside two others, in a state beside two other accounts.
    fn world() -> (Withdrawal, L2State, EIP1186AccountProofResponse) {
        let withdrawal = Withdrawal {
            nonce: U256::ONE << 240,
            sender: Address::repeat_byte(1),
            target: Address::repeat_byte(2),
            value: U256::from(3),
            gas_limit: U256::from(4),
            data: Bytes::new(),
        };
        let one = || alloy_rlp::encode(U256::ONE);
        let others = [B256::repeat_byte(3), B256::repeat_byte(4)].map(|key| (key, one()));
        let mut slots = vec![(keccak256(withdrawal.slot()), one())];
        slots.extend(others);
        let (storage_root, storage_proof) = trie(&slots);
        let account = Account { nonce: 1, balance: U256::from(5), storage_root, code_hash: CODE };
        let mut accounts = vec![(keccak256(L2_TO_L1_MESSAGE_PASSER), alloy_rlp::encode(account))];
        accounts.extend([6, 7].map(|byte| (B256::repeat_byte(byte), vec![byte; 40])));
        let (state_root, account_proof) = trie(&accounts);
        let state = L2State {
            number: 9,
            hash: B256::repeat_byte(8),
            state_root,
            withdrawals_root: Some(storage_root),
        };
        let answer = EIP1186AccountProofResponse {
            address: L2_TO_L1_MESSAGE_PASSER,
            balance: U256::from(5),
            code_hash: CODE,
            nonce: 1,
            storage_hash: storage_root,
            account_proof,
            storage_proof: vec![EIP1186StorageProof {
                key: withdrawal.slot().into(),
                value: U256::ONE,
                proof: storage_proof,
            }],
        };
        (withdrawal, state, answer)
    }

    #[test]
    fn a_good_proof_gives_the_output_before_and_after_isthmus() {
        let (withdrawal, state, answer) = world();
        let proof = check(&withdrawal, &state, &answer).unwrap();
        assert_eq!(proof.output.block_hash, state.hash);
        assert_eq!(proof.output.withdrawals_storage_root, answer.storage_hash);
        for withdrawals_root in [None, Some(EMPTY_ROOT_HASH)] {
            let before = L2State { withdrawals_root, ..state };
            assert_eq!(check(&withdrawal, &before, &answer), Ok(proof.clone()));
        }
        let portal = proof.output_root_proof();
        assert_eq!(keccak256(alloy_sol_types::SolValue::abi_encode(&portal)), proof.output.root());
    }

    #[test]
    fn what_the_header_does_not_say_is_refused() {
        let (withdrawal, state, answer) = world();
        let other = B256::repeat_byte(9);
        let isthmus = L2State { withdrawals_root: Some(other), ..state };
        let error = check(&withdrawal, &isthmus, &answer).unwrap_err();
        assert!(matches!(error, ProofError::StorageRoot { header, .. } if header == other));
        let before = L2State { withdrawals_root: None, state_root: other, ..state };
        let error = check(&withdrawal, &before, &answer).unwrap_err();
        assert!(matches!(error, ProofError::Account { block: 9, .. }), "{error}");
        let mut richer = answer.clone();
        richer.balance += U256::ONE;
        let before = L2State { withdrawals_root: None, ..state };
        assert!(matches!(check(&withdrawal, &before, &richer), Err(ProofError::Account { .. })));
        let mut stranger = answer;
        stranger.address = Address::ZERO;
        let error = check(&withdrawal, &state, &stranger).unwrap_err();
        assert_eq!(error, ProofError::WrongAccount(Address::ZERO));
    }

    #[test]
    fn nodes_that_lie_within_their_parents_are_elements_of_the_proof() {
        let one = alloy_rlp::encode(U256::ONE);
        let key = B256::repeat_byte(0x11);
        // All but the last nibbles are the same: the branch holds both leaves, and is short itself.
        let mut sibling = key;
        sibling[31] = 0x12;
        let (root, nodes) = trie(&[(key, one.clone()), (sibling, one.clone())]);
        let path = Nibbles::unpack(key);
        // As `eth_getProof` has it: nodes that have a hash.
        let bare = nodes[..1].to_vec();
        verify_proof(root, path, Some(one.clone()), &bare).unwrap();
        let unfolded = unfolded(bare, &path);
        assert_eq!(unfolded.len(), 3);
        for (parent, child) in unfolded.iter().zip(&unfolded[1..]) {
            assert!(parent.windows(child.len()).any(|part| part == &child[..]));
        }
        assert!(matches!(TrieNode::decode(&mut &unfolded[2][..]), Ok(TrieNode::Leaf(_))));
        // A leaf that its parent names by hash is there already.
        let far = B256::repeat_byte(0x22);
        let (_, nodes) = trie(&[(key, one.clone()), (far, one)]);
        assert_eq!(super::unfolded(nodes.clone(), &path), nodes);
    }

    #[test]
    fn a_withdrawal_that_is_not_there_and_proofs_that_lead_elsewhere() {
        let (withdrawal, state, answer) = world();
        let mut other = withdrawal.clone();
        other.value += U256::ONE;
        assert_eq!(check(&other, &state, &answer), Err(ProofError::NoSlot(other.slot())));

        let mut unsent = answer.clone();
        unsent.storage_proof[0].value = U256::ZERO;
        let error = check(&withdrawal, &state, &unsent).unwrap_err();
        assert_eq!(error, ProofError::NotThere { block: 9, withdrawal: withdrawal.hash() });

        let mut relabelled = answer.clone();
        relabelled.storage_proof[0].key = other.slot().into();
        assert!(matches!(check(&other, &state, &relabelled), Err(ProofError::Storage { .. })));
        for cut in 0..answer.storage_proof[0].proof.len() {
            let mut short = answer.clone();
            short.storage_proof[0].proof.truncate(cut);
            let error = check(&withdrawal, &state, &short).unwrap_err();
            assert!(matches!(error, ProofError::Storage { .. }), "{cut}: {error}");
        }
    }
}

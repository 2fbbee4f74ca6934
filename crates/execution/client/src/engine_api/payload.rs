//! Execution payloads: blocks as the Engine API writes them. The server reads and writes them, and
//! so does the node's client.

use alloy_consensus::constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_WITHDRAWALS};
use alloy_consensus::{BlockBody, Header, Transaction, proofs};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, Bloom, Bytes, U256};
use opal_protocol::{Block, SealedBlock, TxEnvelope};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Longest extra data of a header, in bytes.
const MAX_EXTRA_DATA: usize = 32;

/// A payload of any version: later versions add fields to earlier ones. Spec: `engine/paris.md`,
/// "ExecutionPayloadV1", to V3; `isthmus/exec-engine.md`, "Update to ExecutableData".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionPayload {
    /// Hash of the parent.
    pub parent_hash: B256,
    /// Receives priority fees.
    pub fee_recipient: Address,
    /// State root after the block.
    pub state_root: B256,
    /// Root of the receipts.
    pub receipts_root: B256,
    /// Bloom filter of the logs.
    pub logs_bloom: Bloom,
    /// Randomness: the header's mix hash.
    pub prev_randao: B256,
    /// Height.
    #[serde(with = "alloy_serde::quantity")]
    pub block_number: u64,
    /// Gas limit.
    #[serde(with = "alloy_serde::quantity")]
    pub gas_limit: u64,
    /// Gas used.
    #[serde(with = "alloy_serde::quantity")]
    pub gas_used: u64,
    /// Seconds since the Unix epoch.
    #[serde(with = "alloy_serde::quantity")]
    pub timestamp: u64,
    /// At most 32 bytes.
    pub extra_data: Bytes,
    /// Base fee, in wei.
    pub base_fee_per_gas: U256,
    /// Hash of the header.
    pub block_hash: B256,
    /// Transactions in their EIP-2718 encoding.
    pub transactions: Vec<Bytes>,
    /// From V2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawals: Option<Vec<Withdrawal>>,
    /// From V3 on; on an OP chain from Jovian on, the DA footprint.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "alloy_serde::quantity::opt")]
    pub blob_gas_used: Option<u64>,
    /// From V3 on.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "alloy_serde::quantity::opt")]
    pub excess_blob_gas: Option<u64>,
    /// On an OP chain from Isthmus on: storage root of the message passer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawals_root: Option<B256>,
}

/// What the header has that is not in the payload.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Whether the payload says its withdrawals root itself (Isthmus).
    pub withdrawals_root_given: bool,
    /// From Cancun on.
    pub parent_beacon_block_root: Option<B256>,
    /// From Prague on.
    pub requests_hash: Option<B256>,
}

/// Why a payload is no block.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// A transaction does not decode.
    #[error("invalid transaction {index}: {reason}")]
    Transaction {
        /// Its index.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The extra data is too long.
    #[error("invalid extradata length: {0}")]
    ExtraData(usize),
    /// The base fee is larger than a header's can be.
    #[error("invalid baseFeePerGas: {0}")]
    BaseFee(U256),
    /// The payload must say its withdrawals root.
    #[error("withdrawalsRoot is missing, which Isthmus needs")]
    NoWithdrawalsRoot,
    /// The payload has a withdrawals root before Isthmus.
    #[error("withdrawalsRoot is there before Isthmus")]
    WithdrawalsRoot,
    /// An OP chain from Isthmus on has no withdrawals in its blocks.
    #[error("withdrawals must be empty from Isthmus on")]
    Withdrawals,
    /// The fields make a block of another hash.
    #[error("blockhash mismatch, want {want}, got {got}")]
    BlockHash {
        /// What the payload says.
        want: B256,
        /// What its fields hash to.
        got: B256,
    },
}

impl ExecutionPayload {
    /// The payload of a block. `isthmus` says whether it has a withdrawals root of its own.
    pub fn from_block(block: &SealedBlock, isthmus: bool) -> Self {
        let header = block.header();
        let body = &block.block.body;
        Self {
            parent_hash: header.parent_hash,
            fee_recipient: header.beneficiary,
            state_root: header.state_root,
            receipts_root: header.receipts_root,
            logs_bloom: header.logs_bloom,
            prev_randao: header.mix_hash,
            block_number: header.number,
            gas_limit: header.gas_limit,
            gas_used: header.gas_used,
            timestamp: header.timestamp,
            extra_data: header.extra_data.clone(),
            base_fee_per_gas: U256::from(header.base_fee_per_gas.unwrap_or_default()),
            block_hash: block.hash,
            transactions: body.transactions.iter().map(|tx| tx.encoded_2718().into()).collect(),
            withdrawals: body.withdrawals.as_ref().map(|list| list.to_vec()),
            blob_gas_used: header.blob_gas_used,
            excess_blob_gas: header.excess_blob_gas,
            withdrawals_root: header.withdrawals_root.filter(|_| isthmus),
        }
    }

    /// The block, whose hash is what the payload says.
    ///
    /// # Errors
    /// When it is not, or the payload can't be a block of its fork.
    pub fn into_block(self, expected: &Expected) -> Result<SealedBlock, PayloadError> {
        if self.extra_data.len() > MAX_EXTRA_DATA {
            return Err(PayloadError::ExtraData(self.extra_data.len()));
        }
        let base_fee = u64::try_from(self.base_fee_per_gas)
            .map_err(|_| PayloadError::BaseFee(self.base_fee_per_gas))?;
        let decoded = self.transactions.iter().enumerate().map(|(index, raw)| {
            let fail = |reason: String| PayloadError::Transaction { index, reason };
            let input = &mut raw.as_ref();
            let tx = TxEnvelope::decode_2718(input).map_err(|error| fail(error.to_string()))?;
            if !input.is_empty() {
                return Err(fail("bytes after its end".to_owned()));
            }
            Ok(tx)
        });
        let transactions = decoded.collect::<Result<Vec<_>, _>>()?;
        let withdrawals_root = match (expected.withdrawals_root_given, self.withdrawals_root) {
            (true, None) => return Err(PayloadError::NoWithdrawalsRoot),
            (false, Some(_)) => return Err(PayloadError::WithdrawalsRoot),
            (true, Some(_)) if self.withdrawals.as_ref().is_some_and(|list| !list.is_empty()) => {
                return Err(PayloadError::Withdrawals);
            }
            (true, given) => given,
            (false, None) => self.withdrawals.as_ref().map(|list| match list.is_empty() {
                true => EMPTY_WITHDRAWALS,
                false => proofs::calculate_withdrawals_root(list),
            }),
        };
        let header = Header {
            parent_hash: self.parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: self.fee_recipient,
            state_root: self.state_root,
            transactions_root: proofs::calculate_transaction_root(&transactions),
            receipts_root: self.receipts_root,
            logs_bloom: self.logs_bloom,
            number: self.block_number,
            gas_limit: self.gas_limit,
            gas_used: self.gas_used,
            timestamp: self.timestamp,
            extra_data: self.extra_data,
            mix_hash: self.prev_randao,
            base_fee_per_gas: Some(base_fee),
            withdrawals_root,
            blob_gas_used: self.blob_gas_used,
            excess_blob_gas: self.excess_blob_gas,
            parent_beacon_block_root: expected.parent_beacon_block_root,
            requests_hash: expected.requests_hash,
            ..Header::default()
        };
        let withdrawals = self.withdrawals.map(Into::into);
        let body = BlockBody { transactions, ommers: Vec::new(), withdrawals };
        let block = SealedBlock::new(Block { header, body });
        if block.hash != self.block_hash {
            return Err(PayloadError::BlockHash { want: self.block_hash, got: block.hash });
        }
        Ok(block)
    }
}

/// SHA-256 over the SHA-256 of each request (EIP-7685).
///
/// # Errors
/// When a request has no data, or they are not in ascending order of type.
pub fn requests_hash(requests: &[Bytes]) -> Result<B256, String> {
    let mut hasher = Sha256::new();
    let mut last = None;
    for (index, request) in requests.iter().enumerate() {
        let kind = match request.as_ref() {
            [kind, _, ..] => *kind,
            _ => return Err(format!("empty request at index {index}")),
        };
        if last.is_some_and(|last| kind <= last) {
            return Err(format!("invalid request order at index {index}"));
        }
        last = Some(kind);
        hasher.update(Sha256::digest(request));
    }
    Ok(<[u8; 32]>::from(hasher.finalize()).into())
}

/// The hashes that consensus has of the block's blobs must be those of its transactions.
pub(super) fn check_versioned_hashes(block: &SealedBlock, hashes: &[B256]) -> Result<(), String> {
    let of_block: Vec<B256> = block
        .block
        .body
        .transactions
        .iter()
        .filter_map(|tx| tx.blob_versioned_hashes())
        .flatten()
        .copied()
        .collect();
    if of_block.len() != hashes.len() {
        return Err(format!(
            "invalid number of versionedHashes: {} blobHashes: {}",
            hashes.len(),
            of_block.len()
        ));
    }
    match of_block.iter().zip(hashes).position(|(ours, theirs)| ours != theirs) {
        Some(index) => Err(format!("invalid versionedHash at {index}")),
        None => Ok(()),
    }
}

//! Blocks and receipts as JSON-RPC gives them, turned into consensus objects and checked.

use alloy_consensus::{BlockBody, Header, proofs};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{B256, Log, U64, keccak256};
use opal_protocol::{
    Block, BlockId, DEPOSIT_TX_TYPE, L1BlockRef, Receipt, SealedBlock, TxEnvelope, TxType,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::DaError;

/// Answer of `eth_getBlockBy…` with full transactions.
#[derive(Debug, Deserialize)]
pub(crate) struct RpcBlock {
    #[serde(flatten)]
    header: alloy_rpc_types_eth::Header,
    transactions: Vec<Box<RawValue>>,
    #[serde(default)]
    withdrawals: Option<Withdrawals>,
}

/// The part of a transaction that must be read before its type is known.
#[derive(Deserialize)]
struct TxKindOnly {
    #[serde(default, rename = "type")]
    ty: U64,
}

/// Which transactions a block may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    L1 {
        /// Whether the L1 computes the transactions root of blocks with blob transactions from
        /// their network form, which nobody else can recompute. Each transaction's own hash is
        /// checked all the same.
        sidecars_in_root: bool,
    },
    L2,
}

impl RpcBlock {
    /// The block, once its header hashes to the hash claimed, and its transactions and withdrawals
    /// to the roots in the header.
    pub(crate) fn verify(self, layer: Layer) -> Result<SealedBlock, DaError> {
        let hash = self.header.hash;
        let header: Header = self.header.inner;
        let id = BlockId { hash, number: header.number };
        let wrong = |reason: String| DaError::Inconsistent { block: id, reason };
        check_hash(hash, &header).map_err(wrong)?;
        let mut transactions = Vec::with_capacity(self.transactions.len());
        for raw in &self.transactions {
            transactions.push(transaction(id, raw, layer)?);
        }
        let root = proofs::calculate_transaction_root(&transactions);
        let recomputable = !(matches!(layer, Layer::L1 { sidecars_in_root: true })
            && transactions.iter().any(|tx| matches!(tx, TxEnvelope::Eip4844(_))));
        if recomputable && root != header.transactions_root {
            return Err(wrong(format!("its transactions hash to {root}")));
        }
        check_withdrawals(&header, self.withdrawals.as_ref(), layer).map_err(wrong)?;
        let body = BlockBody { transactions, ommers: Vec::new(), withdrawals: self.withdrawals };
        Ok(SealedBlock { hash, block: std::sync::Arc::new(Block { header, body }) })
    }
}

/// The block in an answer of `eth_getBlockBy…` with full transactions from an L1, once it is what
/// its hash and roots say.
///
/// # Errors
/// When it is no block, or its parts do not fit together.
pub fn verify_l1_block(json: &str) -> Result<SealedBlock, DaError> {
    read_block(json)?.verify(Layer::L1 { sidecars_in_root: false })
}

/// The block in an answer of `eth_getBlockBy…` with full transactions from an L2, once it is what
/// its hash and roots say.
///
/// # Errors
/// When it is no block, or its parts do not fit together.
pub fn verify_l2_block(json: &str) -> Result<SealedBlock, DaError> {
    read_block(json)?.verify(Layer::L2)
}

fn read_block(json: &str) -> Result<RpcBlock, DaError> {
    serde_json::from_str(json).map_err(|error| DaError::Inconsistent {
        block: BlockId::default(),
        reason: format!("the answer is no block: {error}"),
    })
}

fn check_hash(hash: B256, header: &Header) -> Result<(), String> {
    let computed = header.hash_slow();
    if computed != hash {
        // Also the sign of a header field that this version does not know.
        return Err(format!("the header fields known hash to {computed}"));
    }
    Ok(())
}

/// On L2 the field holds another root from Isthmus on, and there are no withdrawals to check.
fn check_withdrawals(
    header: &Header,
    withdrawals: Option<&Withdrawals>,
    layer: Layer,
) -> Result<(), String> {
    if layer == Layer::L2 {
        return Ok(());
    }
    let root = withdrawals.map(|list| proofs::calculate_withdrawals_root(list));
    if root != header.withdrawals_root {
        return Err(match root {
            Some(root) => format!("its withdrawals hash to {root}"),
            None => "its withdrawals are missing".to_owned(),
        });
    }
    Ok(())
}

fn transaction(block: BlockId, raw: &RawValue, layer: Layer) -> Result<TxEnvelope, DaError> {
    let wrong = |reason: String| DaError::Inconsistent { block, reason };
    let kind: TxKindOnly = serde_json::from_str(raw.get())
        .map_err(|_| wrong("it lists a transaction without fields".to_owned()))?;
    let ty: u64 = kind.ty.to();
    let known = ty <= 4 || (layer == Layer::L2 && ty == u64::from(DEPOSIT_TX_TYPE));
    if !known {
        return Err(DaError::UnknownTransactionType { block, ty });
    }
    let tx: TxEnvelope = serde_json::from_str(raw.get())
        .map_err(|e| wrong(format!("a transaction of type {ty} does not decode: {e}")))?;
    // The JSON states the hash beside the fields; only the fields are covered by the root.
    let computed = keccak256(tx.encoded_2718());
    if computed != tx.tx_hash() {
        return Err(wrong(format!("transaction {} hashes to {computed}", tx.tx_hash())));
    }
    Ok(tx)
}

/// A receipt as JSON-RPC gives it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RpcReceipt {
    #[serde(default, rename = "type")]
    ty: U64,
    #[serde(default)]
    status: Option<U64>,
    cumulative_gas_used: U64,
    logs: Vec<Log>,
}

/// The block's receipts, once they hash to the root in its header.
pub(crate) fn verify_receipts(
    block: &SealedBlock,
    receipts: Vec<RpcReceipt>,
) -> Result<Vec<Receipt>, DaError> {
    let wrong = |reason: String| DaError::Inconsistent { block: block.id(), reason };
    let expected = block.block.body.transactions.len();
    if receipts.len() != expected {
        let found = receipts.len();
        return Err(wrong(format!("it has {expected} transactions but {found} receipts")));
    }
    let receipts = receipts
        .into_iter()
        .map(|receipt| {
            let ty: u64 = receipt.ty.to();
            let tx_type = u8::try_from(ty).ok().and_then(|ty| TxType::try_from(ty).ok());
            let (Some(tx_type), Some(status)) = (tx_type, receipt.status) else {
                return Err(wrong(format!(
                    "a receipt of type {ty} has no status or no known type"
                )));
            };
            Ok(Receipt {
                tx_type,
                success: status == U64::from(1),
                cumulative_gas_used: receipt.cumulative_gas_used.to(),
                logs: receipt.logs,
                deposit_nonce: None,
                deposit_receipt_version: None,
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let root = proofs::ordered_trie_root_with_encoder(&receipts, |receipt, out| {
        receipt.encode_2718(out);
    });
    if root != block.header().receipts_root {
        return Err(wrong(format!("its receipts hash to {root}")));
    }
    Ok(receipts)
}

/// Hash, number, parent and time of a block whose header hashes to the hash claimed.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "alloy_rpc_types_eth::Header")]
pub(crate) struct RpcBlockRef(L1BlockRef);

impl TryFrom<alloy_rpc_types_eth::Header> for RpcBlockRef {
    type Error = String;

    fn try_from(header: alloy_rpc_types_eth::Header) -> Result<Self, String> {
        check_hash(header.hash, &header.inner).map_err(|reason| {
            format!("block {} is not what its hash says: {reason}", header.hash)
        })?;
        Ok(Self(L1BlockRef::from_header(header.hash, &header.inner)))
    }
}

impl RpcBlockRef {
    pub(crate) const fn reference(&self) -> L1BlockRef {
        self.0
    }
}

/// The reference in an answer of `eth_getBlockBy…`, once the header is what its hash says.
///
/// # Errors
/// When it is no block, or has another hash.
pub fn verify_l1_header(json: &str) -> Result<L1BlockRef, DaError> {
    serde_json::from_str::<RpcBlockRef>(json).map(|block| block.reference()).map_err(|error| {
        DaError::Inconsistent { block: BlockId::default(), reason: error.to_string() }
    })
}

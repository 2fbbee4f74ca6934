//! The JSON shapes of blocks, transactions and receipts, as geth and op-geth write them.

use alloy_consensus::{Header, Transaction, Typed2718};
use alloy_eips::eip2930::AccessList;
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_eips::eip4895::Withdrawals;
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, B256, Bloom, Bytes, U8, U64, U128, U256};
use alloy_rpc_types_eth::{Block as RpcBlockBody, BlockTransactions, Header as RpcHeader, Log};
use opal_protocol::{SealedBlock, TxEnvelope};
use serde::Serialize;

use crate::chain::StoredBlock;
use crate::rules;

/// Where a transaction stands in a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub block_hash: B256,
    pub block_number: u64,
    pub timestamp: u64,
    pub base_fee: Option<u64>,
    pub index: usize,
}

impl Position {
    pub fn new(block: &SealedBlock, index: usize) -> Self {
        let header = block.header();
        Self {
            block_hash: block.hash,
            block_number: header.number,
            timestamp: header.timestamp,
            base_fee: header.base_fee_per_gas,
            index,
        }
    }
}

/// `eth_getTransactionByHash` and full blocks.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RpcTransaction {
    block_hash: Option<B256>,
    block_number: Option<U64>,
    block_timestamp: Option<U64>,
    from: Address,
    gas: U64,
    gas_price: Option<U128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_fee_per_gas: Option<U128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_priority_fee_per_gas: Option<U128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_fee_per_blob_gas: Option<U128>,
    hash: B256,
    input: Bytes,
    nonce: U64,
    to: Option<Address>,
    transaction_index: Option<U64>,
    value: U256,
    #[serde(rename = "type")]
    ty: U8,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_list: Option<AccessList>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain_id: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_versioned_hashes: Option<Vec<B256>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_list: Option<Vec<SignedAuthorization>>,
    v: U256,
    r: U256,
    s: U256,
    #[serde(skip_serializing_if = "Option::is_none")]
    y_parity: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_hash: Option<B256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mint: Option<U128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_system_tx: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deposit_receipt_version: Option<U64>,
}

impl RpcTransaction {
    /// A transaction of a block.
    pub fn mined(stored: &StoredBlock, index: usize) -> Option<Self> {
        let tx = stored.block.block.body.transactions.get(index)?;
        let position = Position::new(&stored.block, index);
        let mut rpc = Self::new(tx, *stored.senders.get(index)?, Some(position));
        if tx.is_deposit_tx()
            && let Some(receipt) = stored.receipts.get(index)
        {
            rpc.nonce = U64::from(receipt.deposit_nonce.unwrap_or_default());
            rpc.deposit_receipt_version = receipt.deposit_receipt_version.map(U64::from);
        }
        Some(rpc)
    }

    /// One that is not sent yet: with fee caps, nobody knows what it will pay, and a client that sent
    /// both back would contradict itself.
    pub fn unsent(tx: &TxEnvelope, from: Address) -> Self {
        let rpc = Self::new(tx, from, None);
        let gas_price = rpc.gas_price.filter(|_| rpc.max_fee_per_gas.is_none());
        Self { gas_price, ..rpc }
    }

    /// A transaction of the pool or, with a position, of a block.
    pub fn new(tx: &TxEnvelope, from: Address, position: Option<Position>) -> Self {
        let signature = Signature::of(tx);
        let dynamic = tx.is_dynamic_fee() && !tx.is_deposit_tx();
        let gas_price = match position {
            _ if tx.is_deposit_tx() => 0,
            Some(position) => tx.effective_gas_price(position.base_fee),
            None => tx.max_fee_per_gas(),
        };
        let deposit = match tx {
            TxEnvelope::Deposit(deposit) => Some(deposit),
            _ => None,
        };
        Self {
            block_hash: position.map(|p| p.block_hash),
            block_number: position.map(|p| U64::from(p.block_number)),
            block_timestamp: position.map(|p| U64::from(p.timestamp)),
            from,
            gas: U64::from(tx.gas_limit()),
            gas_price: Some(U128::from(gas_price)),
            max_fee_per_gas: dynamic.then(|| U128::from(tx.max_fee_per_gas())),
            max_priority_fee_per_gas: tx
                .max_priority_fee_per_gas()
                .filter(|_| dynamic)
                .map(U128::from),
            max_fee_per_blob_gas: tx.max_fee_per_blob_gas().map(U128::from),
            hash: tx.tx_hash(),
            input: tx.input().clone(),
            nonce: U64::from(tx.nonce()),
            to: tx.to(),
            transaction_index: position.map(|p| U64::from(p.index)),
            value: tx.value(),
            ty: U8::from(tx.ty()),
            access_list: tx.access_list().cloned(),
            chain_id: tx.chain_id().filter(|_| deposit.is_none()).map(U64::from),
            blob_versioned_hashes: tx.blob_versioned_hashes().map(<[B256]>::to_vec),
            authorization_list: tx.authorization_list().map(<[SignedAuthorization]>::to_vec),
            v: signature.v,
            r: signature.r,
            s: signature.s,
            y_parity: signature.y_parity,
            source_hash: deposit.map(|tx| tx.source_hash),
            mint: deposit.map(|tx| U128::from(tx.mint)),
            is_system_tx: deposit.filter(|tx| tx.is_system_transaction).map(|_| true),
            deposit_receipt_version: None,
        }
    }
}

/// The signature as JSON shows it: all zero for deposits.
#[derive(Default)]
struct Signature {
    v: U256,
    r: U256,
    s: U256,
    y_parity: Option<U64>,
}

impl Signature {
    fn of(tx: &TxEnvelope) -> Self {
        let signature = match tx {
            TxEnvelope::Legacy(tx) => tx.signature(),
            TxEnvelope::Eip2930(tx) => tx.signature(),
            TxEnvelope::Eip1559(tx) => tx.signature(),
            TxEnvelope::Eip4844(tx) => tx.signature(),
            TxEnvelope::Eip7702(tx) => tx.signature(),
            TxEnvelope::Deposit(_) => return Self::default(),
        };
        let parity = u64::from(signature.v());
        let (v, y_parity) = match (tx.is_legacy(), tx.chain_id()) {
            // EIP-155.
            (true, Some(id)) => (U256::from(id) * U256::from(2) + U256::from(35 + parity), None),
            (true, None) => (U256::from(27 + parity), None),
            (false, _) => (U256::from(parity), Some(U64::from(parity))),
        };
        Self { v, r: signature.r(), s: signature.s(), y_parity }
    }
}

/// `eth_getBlockBy…`.
pub(super) type RpcBlock = RpcBlockBody<RpcTransaction, RpcHeader>;

/// A block with transaction hashes, or with whole transactions.
pub(super) fn block(stored: &StoredBlock, full: bool) -> RpcBlock {
    let block = &stored.block;
    let body = &block.block.body;
    let transactions = if full {
        BlockTransactions::Full(
            (0..body.transactions.len())
                .filter_map(|index| RpcTransaction::mined(stored, index))
                .collect(),
        )
    } else {
        BlockTransactions::Hashes(body.transactions.iter().map(|tx| tx.tx_hash()).collect())
    };
    RpcBlock {
        header: header(block),
        uncles: Vec::new(),
        transactions,
        withdrawals: body.withdrawals.as_ref().map(|list| Withdrawals(list.0.clone())),
    }
}

/// The header as blocks show it, with the size of the whole block.
pub(super) fn header(block: &SealedBlock) -> RpcHeader {
    let size = alloy_rlp::Encodable::length(&*block.block);
    RpcHeader { size: Some(U256::from(size)), ..bare_header(block) }
}

/// The header as `newHeads` shows it.
pub(super) fn bare_header(block: &SealedBlock) -> RpcHeader<Header> {
    RpcHeader {
        hash: block.hash,
        inner: block.header().clone(),
        total_difficulty: None,
        size: None,
    }
}

/// `eth_getTransactionReceipt`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RpcReceipt {
    block_hash: B256,
    block_number: U64,
    contract_address: Option<Address>,
    cumulative_gas_used: U64,
    effective_gas_price: U128,
    from: Address,
    gas_used: U64,
    logs: Vec<Log>,
    logs_bloom: Bloom,
    status: U64,
    to: Option<Address>,
    transaction_hash: B256,
    transaction_index: U64,
    #[serde(rename = "type")]
    ty: U8,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_gas_used: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_gas_price: Option<U128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deposit_nonce: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deposit_receipt_version: Option<U64>,
    #[serde(flatten)]
    l1: L1Fields,
}

/// What a transaction of an OP chain paid for L1 data and to the operator. Fields appear with the
/// fork that brought them and vanish with the fork that replaced them.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct L1Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l1_gas_price: Option<U256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l1_gas_used: Option<U256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l1_fee: Option<U256>,
    /// A decimal fraction in a string; before Ecotone only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l1_fee_scalar: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l1_base_fee_scalar: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l1_blob_base_fee: Option<U256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l1_blob_base_fee_scalar: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator_fee_scalar: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator_fee_constant: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub da_footprint_gas_scalar: Option<U64>,
    /// DA footprint of the transaction, in gas; shown as the receipt's `blobGasUsed`.
    #[serde(skip)]
    pub da_footprint: Option<u64>,
}

/// Receipts of one block in JSON form.
pub(super) struct BlockReceipts<'a> {
    stored: &'a StoredBlock,
    blob_gas_price: Option<u128>,
}

impl<'a> BlockReceipts<'a> {
    /// `blob_gas_price` is the block's blob base fee on an L1.
    pub const fn new(stored: &'a StoredBlock, blob_gas_price: Option<u128>) -> Self {
        Self { stored, blob_gas_price }
    }

    /// All receipts of the block.
    pub fn all(&self) -> Vec<RpcReceipt> {
        self.some(0..self.stored.receipts.len())
    }

    /// The receipts with these indices, which ascend.
    pub fn some(&self, indices: impl Iterator<Item = usize>) -> Vec<RpcReceipt> {
        let (mut counted, mut log_index) = (0, 0);
        let mut receipts = Vec::new();
        for index in indices {
            let between = self.stored.receipts.get(counted..index).unwrap_or_default();
            log_index += between.iter().map(|receipt| receipt.logs.len()).sum::<usize>();
            counted = index;
            receipts.extend(self.receipt(index, log_index));
        }
        receipts
    }

    /// The receipt of one transaction.
    pub fn one(&self, index: usize) -> Option<RpcReceipt> {
        let before = self.stored.receipts.iter().take(index).map(|r| r.logs.len()).sum();
        self.receipt(index, before)
    }

    fn receipt(&self, index: usize, first_log: usize) -> Option<RpcReceipt> {
        let stored = self.stored;
        let header = stored.block.header();
        let tx = stored.block.block.body.transactions.get(index)?;
        let receipt = stored.receipts.get(index)?;
        let from = *stored.senders.get(index)?;
        let hash = tx.tx_hash();
        let gas_used = rules::gas_used(&stored.receipts, index);
        let contract_address = tx
            .kind()
            .is_create()
            .then(|| from.create(receipt.deposit_nonce.unwrap_or_else(|| tx.nonce())));
        let logs = receipt.logs.iter().enumerate().map(|(i, log)| Log {
            inner: log.clone(),
            block_hash: Some(stored.block.hash),
            block_number: Some(header.number),
            block_timestamp: Some(header.timestamp),
            transaction_hash: Some(hash),
            transaction_index: Some(index as u64),
            log_index: Some((first_log + i) as u64),
            removed: false,
        });
        let l1 = stored.l1_fee.as_ref().map(|params| rules::l1_fields(params, tx));
        let l1 = l1.unwrap_or_default();
        let blobs = tx.blob_versioned_hashes().map(|hashes| hashes.len() as u64);
        let blob_gas_used = blobs.map(|n| n * DATA_GAS_PER_BLOB).or(l1.da_footprint);
        Some(RpcReceipt {
            block_hash: stored.block.hash,
            block_number: U64::from(header.number),
            contract_address,
            cumulative_gas_used: U64::from(receipt.cumulative_gas_used),
            effective_gas_price: U128::from(match tx.is_deposit_tx() {
                true => 0,
                false => tx.effective_gas_price(header.base_fee_per_gas),
            }),
            from,
            gas_used: U64::from(gas_used),
            logs: logs.collect(),
            logs_bloom: receipt.bloom(),
            status: U64::from(receipt.success),
            to: tx.to(),
            transaction_hash: hash,
            transaction_index: U64::from(index),
            ty: U8::from(tx.ty()),
            blob_gas_used: blob_gas_used.map(U64::from),
            blob_gas_price: self.blob_gas_price.filter(|_| blobs.is_some()).map(U128::from),
            deposit_nonce: receipt.deposit_nonce.map(U64::from),
            deposit_receipt_version: receipt.deposit_receipt_version.map(U64::from),
            l1,
        })
    }
}

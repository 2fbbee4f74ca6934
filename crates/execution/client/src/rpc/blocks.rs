//! Blocks, transactions and receipts, and their raw encodings.

use alloy_eips::eip2718::Encodable2718;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, Bytes, U64};
use alloy_rpc_types_eth::{Block, BlockTransactions, Index};
use serde_json::{Value, json};

use super::error::{self, RpcResult};
use super::types::{self, BlockReceipts, RpcBlock, RpcReceipt, RpcTransaction};
use super::{Registry, Rpc};
use crate::chain::StoredBlock;
use crate::rules;

pub(super) fn register(registry: &mut Registry) {
    registry.quick("eth_blockNumber", |rpc, _| Ok(U64::from(rpc.chain.head().header().number)));
    registry.blocking("eth_getBlockByNumber", |rpc, params| {
        let (tag, full): (BlockNumberOrTag, Option<bool>) = params.two_optional()?;
        let full = full.unwrap_or_default();
        if tag == BlockNumberOrTag::Pending {
            return rpc.pending_block(full).map(Some);
        }
        rpc.by_tag(tag).map(|stored| to_value(types::block(&stored, full))).transpose()
    });
    registry.blocking("eth_getBlockByHash", |rpc, params| {
        let (hash, full): (B256, Option<bool>) = params.two_optional()?;
        Ok(rpc.chain.stored(&hash).map(|s| types::block(&s, full.unwrap_or_default())))
    });
    registry.quick("eth_getHeaderByNumber", |rpc, params| {
        let tag: BlockNumberOrTag = params.one()?;
        if tag == BlockNumberOrTag::Pending {
            return rpc.pending_header_json().map(Some);
        }
        rpc.by_tag(tag).map(|stored| header_json(&stored)).transpose()
    });
    registry.quick("eth_getHeaderByHash", |rpc, params| {
        let hash: B256 = params.one()?;
        rpc.chain.stored(&hash).map(|stored| header_json(&stored)).transpose()
    });
    registry.quick("eth_getBlockTransactionCountByNumber", |rpc, params| {
        Ok(rpc.by_tag(params.one()?).map(|stored| transaction_count(&stored)))
    });
    registry.quick("eth_getBlockTransactionCountByHash", |rpc, params| {
        Ok(rpc.chain.stored(&params.one()?).map(|stored| transaction_count(&stored)))
    });
    registry.quick("eth_getUncleCountByBlockNumber", |rpc, params| {
        Ok(rpc.by_tag(params.one()?).map(|_| U64::ZERO))
    });
    registry.quick("eth_getUncleCountByBlockHash", |rpc, params| {
        Ok(rpc.chain.stored(&params.one()?).map(|_| U64::ZERO))
    });
    // Blocks of proof of stake have no uncles.
    registry.quick("eth_getUncleByBlockNumberAndIndex", |_, params| {
        let _: (BlockNumberOrTag, Index) = params.two()?;
        Ok(Value::Null)
    });
    registry.quick("eth_getUncleByBlockHashAndIndex", |_, params| {
        let _: (B256, Index) = params.two()?;
        Ok(Value::Null)
    });
    registry.quick("eth_getRawTransactionByBlockNumberAndIndex", |rpc, params| {
        let (tag, index): (BlockNumberOrTag, Index) = params.two()?;
        Ok(rpc.by_tag(tag).and_then(|stored| raw_of(&stored, index.0)).unwrap_or_default())
    });
    registry.quick("eth_getRawTransactionByBlockHashAndIndex", |rpc, params| {
        let (hash, index): (B256, Index) = params.two()?;
        Ok(rpc.chain.stored(&hash).and_then(|s| raw_of(&s, index.0)).unwrap_or_default())
    });
    registry.blocking("eth_getBlockReceipts", |rpc, params| {
        let id: BlockId = params.one()?;
        if id == BlockId::Number(BlockNumberOrTag::Pending) {
            return Err(error::server("pending receipts is not available"));
        }
        Ok(rpc.by_id(id).ok().map(|stored| rpc.receipts_of(&stored).all()))
    });
    registry.quick("eth_getTransactionByHash", |rpc, params| {
        let hash: B256 = params.one()?;
        Ok(rpc.transaction(&hash))
    });
    registry.quick("eth_getTransactionByBlockNumberAndIndex", |rpc, params| {
        let (tag, index): (BlockNumberOrTag, Index) = params.two()?;
        Ok(rpc.by_tag(tag).and_then(|stored| RpcTransaction::mined(&stored, index.0)))
    });
    registry.quick("eth_getTransactionByBlockHashAndIndex", |rpc, params| {
        let (hash, index): (B256, Index) = params.two()?;
        Ok(rpc.chain.stored(&hash).and_then(|s| RpcTransaction::mined(&s, index.0)))
    });
    registry.quick("eth_getTransactionReceipt", |rpc, params| {
        let hash: B256 = params.one()?;
        Ok(rpc.receipt(&hash))
    });
    registry.quick("eth_getRawTransactionByHash", |rpc, params| {
        let hash: B256 = params.one()?;
        Ok(rpc.raw_transaction(&hash).unwrap_or_default())
    });
    registry.quick("debug_getRawTransaction", |rpc, params| {
        let hash: B256 = params.one()?;
        Ok(rpc.raw_transaction(&hash).unwrap_or_default())
    });
    registry.blocking("debug_getRawBlock", |rpc, params| {
        let stored = rpc.by_id(params.one()?)?;
        Ok(Bytes::from(alloy_rlp::encode(&*stored.block.block)))
    });
    registry.quick("debug_getRawHeader", |rpc, params| {
        let stored = rpc.by_id(params.one()?)?;
        Ok(Bytes::from(alloy_rlp::encode(stored.block.header())))
    });
    registry.blocking("debug_getRawReceipts", |rpc, params| {
        let stored = rpc.by_id(params.one()?)?;
        Ok(stored.receipts.iter().map(raw_receipt).collect::<Vec<_>>())
    });
}

fn raw_receipt(receipt: &opal_protocol::Receipt) -> Bytes {
    let mut raw = Vec::new();
    receipt.encode_2718(&mut raw);
    raw.into()
}

fn raw_of(stored: &StoredBlock, index: usize) -> Option<Bytes> {
    let tx = stored.block.block.body.transactions.get(index)?;
    Some(tx.encoded_2718().into())
}

fn header_json(stored: &StoredBlock) -> RpcResult<Value> {
    to_value(types::bare_header(&stored.block))
}

fn transaction_count(stored: &StoredBlock) -> U64 {
    U64::from(stored.block.block.body.transactions.len())
}

pub(super) fn to_value(value: impl serde::Serialize) -> RpcResult<Value> {
    serde_json::to_value(value).map_err(|error| error::server(error.to_string()))
}

impl Rpc {
    fn transaction(&self, hash: &B256) -> Option<RpcTransaction> {
        if let Some((stored, index)) = self.chain.transaction(hash) {
            return RpcTransaction::mined(&stored, index);
        }
        let pooled = self.chain.pool().get(hash)?;
        Some(RpcTransaction::new(pooled.tx(), pooled.sender(), None))
    }

    fn raw_transaction(&self, hash: &B256) -> Option<Bytes> {
        if let Some((stored, index)) = self.chain.transaction(hash) {
            return raw_of(&stored, index);
        }
        Some(self.chain.pool().get(hash)?.raw().clone())
    }

    pub(super) fn receipts_of<'a>(&self, stored: &'a StoredBlock) -> BlockReceipts<'a> {
        let blob_gas_price = rules::blob_base_fee(self.chain.spec(), stored.block.header());
        BlockReceipts::new(stored, blob_gas_price)
    }

    pub(super) fn receipt(&self, hash: &B256) -> Option<RpcReceipt> {
        let (stored, index) = self.chain.transaction(hash)?;
        self.receipts_of(&stored).one(index)
    }

    fn pending_header_json(&self) -> RpcResult<Value> {
        let mut header = to_value(alloy_rpc_types_eth::Header::new(self.pending_header()))?;
        for field in ["hash", "nonce", "miner"] {
            header[field] = json!(null);
        }
        Ok(header)
    }

    /// The block that would be built now, not executed: a header by the head's rules and the
    /// executable transactions that fit. Hash, nonce and miner are null as geth has them.
    fn pending_block(&self, full: bool) -> RpcResult<Value> {
        let pool = self.chain.pool().head();
        let mut gas_left = pool.gas_limit;
        let transactions: Vec<_> = self
            .chain
            .pool()
            .best(pool.base_fee, pool.blob_base_fee)
            .take_while(|tx| {
                let gas = alloy_consensus::Transaction::gas_limit(tx.tx());
                let fits = gas <= gas_left;
                gas_left = gas_left.saturating_sub(gas);
                fits
            })
            .collect();
        let transactions = if full {
            let rpc = |tx: &std::sync::Arc<crate::pool::PooledTransaction>| {
                RpcTransaction::new(tx.tx(), tx.sender(), None)
            };
            BlockTransactions::Full(transactions.iter().map(rpc).collect())
        } else {
            BlockTransactions::Hashes(transactions.iter().map(|tx| tx.hash()).collect())
        };
        let header = self.pending_header();
        let withdrawals = header.withdrawals_root.map(|_| Default::default());
        let header = alloy_rpc_types_eth::Header::new(header);
        let block: RpcBlock = Block { header, uncles: Vec::new(), transactions, withdrawals };
        let mut block = to_value(block)?;
        for field in ["hash", "nonce", "miner"] {
            block[field] = json!(null);
        }
        Ok(block)
    }
}
